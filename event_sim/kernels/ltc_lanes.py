"""Busy stretches of an event-driven LTC under ncps' solver: all neurons and synapses in every sub-step, with the same events.

Where most neurons send, following each message costs more than computing everything anew in lanes. Neurons still hear what others last
sent, and send where they have moved by their quantum: the results are those of the event loop (ltc_fused.py), up to rounding; see ways.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.kernels.jit import compiled, inner
from event_sim.kernels.lanes import LANES, apart, broadcast, divide_positive, inlined, load, store, where_positive
from event_sim.kernels.ltc_clocked import all_sums, coupled, slice_sums
from event_sim.kernels.ltc_fused import advance
from event_sim.kernels.ways import ANEW, choose, lanes_price, together_price
from event_sim.kernels.ways import LANES as ALL

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Slots(NamedTuple):
    """Per slot: value, what was last sent, quantum, 1 where it sends now, how often it sent. partial: (16,) work."""

    value: Floats
    sent: Floats
    quantum: Floats
    moved: Floats
    sendings: Floats
    partial: Floats


@inner
def take_up(slots: Any, unit: Any, neurons: Any, now: int) -> None:
    """Read the neurons at grid time now into their slots."""
    for slot in range(len(unit)):
        if unit[slot] >= 0:
            neuron = neurons[unit[slot]]
            advance(neuron, now)
            slots.value[slot], slots.sent[slot], slots.quantum[slot] = neuron.value, neuron.sent, neuron.quantum


@inner
def put_back(slots: Any, unit: Any, neurons: Any, now: int, counts: Any) -> None:
    """Write the neurons at grid time now, and count their events."""
    for slot in range(len(unit)):
        if unit[slot] >= 0:
            neuron = neurons[unit[slot]]
            neuron.value, neuron.sent, neuron.at = slots.value[slot], slots.sent[slot], now
            counts[unit[slot]] += int(slots.sendings[slot])
            slots.sendings[slot] = 0.0


@inner
def put_sums(membranes: Any, unit: Any, neurons: Any) -> None:
    """Write the neurons' sums."""
    for slot in range(len(unit)):
        if unit[slot] >= 0:
            neuron = neurons[unit[slot]]
            neuron.conductance, neuron.conductance_carry = membranes.conductance[slot], 0.0
            neuron.driven, neuron.driven_carry = membranes.driven[slot], 0.0


@inner
def send_all(slots: Any, slot_of: Any, time_s: float, events: Any, written: int) -> Any:
    """Neurons that have moved by their quantum send their values; returns how many events are written now.

    Events come in the order of units, as recordings list them, and without a branch that nobody could foresee: those of neurons that do
    not send are written over.
    """
    for at in range(0, len(slots.value), LANES):
        value, sent = load(slots.value, at), load(slots.sent, at)
        moved = apart(value, sent, load(slots.quantum, at))
        store(slots.moved, at, moved)
        store(slots.sendings, at, load(slots.sendings, at) + moved)
        store(slots.sent, at, where_positive(moved, value, sent))
    for unit in range(len(slot_of)):
        slot = slot_of[unit]
        event = events[written]
        event.time_s, event.unit, event.value = time_s, unit, slots.value[slot]
        written += int(slots.moved[slot])
    return written


@compiled
def run_lanes(begin: int, end: int, unfolds: int, neurons: Any, slots: Any, slot_of: Any, prices: Any, membranes: Any, recurrent: Any,
              sensory: Any, couplings: Any, levels: Any, samples: Any, changes: Any, kept: Any, progress: Any, states: Any, events: Any,
              counts: Any) -> int:  # fmt: skip
    """Run samples begin..end-1, or up to where another way is cheaper; returns the first that was not run.

    levels: (inputs,) mapped inputs before sample `begin`, changed. kept: slots whose values are written to row k + 1 of states by sample k.
    events: room for those of a sample; where there is none, this returns too. Else as kernels.ltc_fused.run_fused.
    """
    m, unit, run = membranes, membranes.unit, progress[0]
    now, written, units, number = run.now, run.events, len(neurons), begin
    take_up(slots, unit, neurons, now)
    while number < end and run.way == ALL and run.spent < run.limit:
        sample = samples[number]
        if written + unfolds * units >= len(events):
            break
        step, first, last = sample.step, sample.first_change, samples[number + 1].first_change
        for index in range(first, last):
            levels[changes[index].channel] = changes[index].level
        if last > first or number == begin:
            all_sums(sensory, levels, m.leak, m.leak_driven, m.held, m.held_driven, slots.partial)
        length, before, sub_steps = broadcast(step), written, unfolds if step > 0.0 else 1
        for sub_step in range(sub_steps):
            written = send_all(slots, slot_of, sample.start_s + sub_step * sample.step_s, events, written)
            if step > 0.0:
                advance_all(m, recurrent, couplings, slots, length)
                now += 1
        run.clock += unfolds * step
        for column in range(len(kept)):
            states[number + 1, column] = slots.value[kept[column]]
        sent = written - before
        heard = prices.fan_out * sent + prices.hearing * (last - first)
        here, less = lanes_price(prices, sub_steps, last > first), together_price(prices, sub_steps, sent, heard)
        choose(run, here, less, np.inf, prices.from_lanes, np.inf)
        number += 1
    put_back(slots, unit, neurons, now, counts)
    if run.way != ALL:
        all_sums(recurrent, slots.sent, m.held, m.held_driven, m.conductance, m.driven, slots.partial)
        for part in range(len(couplings.first) - 1):
            store(m.driven, part * LANES, coupled(couplings, part, slots.sent, 0, load(m.driven, part * LANES)))
        put_sums(m, unit, neurons)
    run.now, run.events, run.step = now, written, ANEW
    return number


@inlined
def advance_all(m: Any, recurrent: Any, couplings: Any, slots: Any, length: Any) -> None:
    """One sub-step of all neurons, which hear what the others last sent."""
    for part in range(len(recurrent.first) - 1):
        at = part * LANES
        sums = slice_sums(recurrent, part, slots.sent, 0, load(m.held, at), load(m.held_driven, at))
        driven = coupled(couplings, part, slots.sent, 0, sums[1])
        inertia, before = load(m.capacity, at), load(slots.value, at)
        store(slots.value, at, divide_positive(inertia * before + length * driven, inertia + length * sums[0], before))
