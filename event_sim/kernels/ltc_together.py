"""Lively stretches of an event-driven LTC under ncps' solver: all neurons step together, synapses wait for events.

Where something reaches many neurons in every sub-step, finding each one's course costs more than moving all of them in lanes. Messages are
those of the event loop (ltc_fused.py), and so are the results, up to rounding; see ways.py.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.kernels.jit import bare, compiled
from event_sim.kernels.lanes import LANES, apart, bits, broadcast, divide_positive, load, store
from event_sim.kernels.ltc_fused import BLOCK, advance, collect, tell
from event_sim.kernels.prefetch import AHEAD, NEAR, prefetch
from event_sim.kernels.synapses import opened
from event_sim.kernels.ways import ANEW, TOGETHER, choose, lanes_price, loop_price, together_price

Floats = npt.NDArray[np.float64]


class Neurons(NamedTuple):
    """The fields of the event loop's neurons, each in an array of its own, filled up to whole lanes; what a sub-step adds to their sums;
    where they come to rest, and what is left of the way there after a sample; firing: (units,) who sends next."""

    value: Floats
    sent: Floats
    quantum: Floats
    capacity: Floats
    conductance: Floats
    conductance_carry: Floats
    driven: Floats
    driven_carry: Floats
    conductance_change: Floats
    driven_change: Floats
    target: Floats
    decay: Floats
    firing: npt.NDArray[np.int64]


@bare
def take_up(n: Any, neurons: Any, now: int) -> None:
    """Read the event loop's neurons at grid time now."""
    for unit in range(len(neurons)):
        neuron = neurons[unit]
        advance(neuron, now)
        n.value[unit], n.sent[unit], n.quantum[unit], n.capacity[unit] = neuron.value, neuron.sent, neuron.quantum, neuron.capacity
        n.conductance[unit], n.conductance_carry[unit] = neuron.conductance, neuron.conductance_carry
        n.driven[unit], n.driven_carry[unit] = neuron.driven, neuron.driven_carry


@bare
def put_back(n: Any, neurons: Any, now: int) -> None:
    """Write the event loop's neurons at grid time now."""
    for unit in range(len(neurons)):
        neuron = neurons[unit]
        neuron.value, neuron.sent, neuron.at = n.value[unit], n.sent[unit], now
        neuron.conductance, neuron.conductance_carry = n.conductance[unit], n.conductance_carry[unit]
        neuron.driven, neuron.driven_carry = n.driven[unit], n.driven_carry[unit]


@bare
def deliver(n: Any, synapses: Any, places: Any, gates: Any, reached: int) -> int:
    """Bring the new conductances of all noted synapses into the changes of their targets; returns how many are noted now: none."""
    opened(gates, reached)
    far = len(n.value) > NEAR
    for index in range(reached):
        if far and index + AHEAD < reached:
            target = synapses[places[index + AHEAD]].target
            prefetch(n.conductance_change, target, 0)  # type: ignore[call-arg]
            prefetch(n.driven_change, target, 0)  # type: ignore[call-arg]
        synapse = synapses[places[index]]
        new = synapse.weight * gates[index]
        change = new - synapse.now
        n.conductance_change[synapse.target] += change
        n.driven_change[synapse.target] += change * synapse.erev
        synapse.now = new
    return 0


@bare
def add_changes(n: Any) -> None:
    """Bring the changes of a sub-step into the sums; the carries keep what rounding loses (Knuth, as kernels.synapses.add)."""
    zero = broadcast(0.0)
    for at in range(0, len(n.value), LANES):
        change, driven_change = load(n.conductance_change, at), load(n.driven_change, at)
        before, driven_before = load(n.conductance, at), load(n.driven, at)
        after, driven_after = before + change, driven_before + driven_change
        part, driven_part = after - before, driven_after - driven_before
        store(n.conductance_carry, at, load(n.conductance_carry, at) + ((before - (after - part)) + (change - part)))
        lost = (driven_before - (driven_after - driven_part)) + (driven_change - driven_part)
        store(n.driven_carry, at, load(n.driven_carry, at) + lost)
        store(n.conductance, at, after)
        store(n.driven, at, driven_after)
        store(n.conductance_change, at, zero)
        store(n.driven_change, at, zero)


@bare
def list_moved(n: Any, at: int, value: Any, fired: int) -> int:
    """Note which of eight neurons have moved by their quantum; returns how many are noted."""
    moved = bits(apart(value, load(n.sent, at), load(n.quantum, at)))
    if moved != 0:
        for lane in range(LANES):
            if (moved >> lane) & 1:
                n.firing[fired] = at + lane
                fired += 1
    return fired


@bare
def step_all(n: Any, length: float) -> int:
    """One sub-step of all neurons; returns how many have moved by their quantum then."""
    step, fired = broadcast(length), 0
    for at in range(0, len(n.value), LANES):
        conductance = load(n.conductance, at) + load(n.conductance_carry, at)
        driven = load(n.driven, at) + load(n.driven_carry, at)
        inertia, before = load(n.capacity, at), load(n.value, at)
        value = divide_positive(inertia * before + step * driven, inertia + step * conductance, before)
        store(n.value, at, value)
        fired = list_moved(n, at, value, fired)
    return fired


@bare
def rests(n: Any, length: float, unfolds: int) -> bool:
    """Whether nobody will send while nobody hears anything: where all neurons come to rest within their quantum of what they last sent.

    Sets targets, and decays over a sample of sub-steps of this length.
    """
    step, one = broadcast(length), broadcast(1.0)
    for at in range(0, len(n.value), LANES):
        conductance = load(n.conductance, at) + load(n.conductance_carry, at)
        driven, inertia = load(n.driven, at) + load(n.driven_carry, at), load(n.capacity, at)
        target = divide_positive(driven, conductance, load(n.value, at))
        if bits(apart(target, load(n.sent, at), load(n.quantum, at))) != 0:
            return False
        base, decay, exponent = divide_positive(inertia, inertia + step * conductance, one), one, unfolds
        while exponent > 0:
            if exponent & 1:
                decay = decay * base
            base = base * base
            exponent >>= 1
        store(n.target, at, target)
        store(n.decay, at, decay)
    return True


@bare
def relax_all(n: Any) -> None:
    """Move all neurons through a sample on their way to rest."""
    for at in range(0, len(n.value), LANES):
        target = load(n.target, at)
        store(n.value, at, target + (load(n.value, at) - target) * load(n.decay, at))


@partial(compiled, bare=True)
def run_together(begin: int, end: int, unfolds: int, prices: Any, neurons: Any, n: Any, first: Any, at_once: Any, synapses: Any,
                first_gap: Any, gaps: Any, samples: Any, changes: Any, kept: Any, progress: Any, states: Any, events: Any, counts: Any,
                places: Any, gates: Any) -> int:  # fmt: skip
    """Run samples begin..end-1, or up to where another way is cheaper; returns the first that was not run.

    Arguments as those of kernels.ltc_fused.run_fused; events: where there is no room for those of a sample, this returns too.
    """
    run, units, fired = progress[0], len(neurons), 0
    now, written, number = run.now, run.events, begin
    resting = -1.0  # the length of the sub-steps for which all neurons are known to rest
    take_up(n, neurons, now)
    for at in range(0, len(n.value), LANES):
        fired = list_moved(n, at, load(n.value, at), fired)
    while number < end and run.way == TOGETHER:
        sample = samples[number]
        if written + unfolds * units > len(events):
            break
        step, before, reached, heard, met, earlier = sample.step, written, 0, 0, 0, 0
        for index in range(sample.first_change, samples[number + 1].first_change):
            source = units + changes[index].channel
            heard += at_once[source] - first[source]
            reached = collect(first[source], at_once[source], synapses, changes[index].level, places, gates, reached)
            if reached >= BLOCK:
                reached = deliver(n, synapses, places, gates, reached)
        sub_steps = unfolds if step > 0.0 else 1
        if heard + fired == 0 and step > 0.0 and (step == resting or rests(n, step, unfolds)):
            resting, sub_steps = step, 0
            relax_all(n)
            now += unfolds
        elif heard + fired > 0:
            resting = -1.0
        for sub_step in range(sub_steps):
            for index in range(fired):
                unit = n.firing[index]
                value, jump = n.value[unit], n.value[unit] - n.sent[unit]
                n.sent[unit] = value
                written = tell(events, counts, written, sample.start_s + sub_step * sample.step_s, unit, value)
                heard += at_once[unit] - first[unit] + first_gap[unit + 1] - first_gap[unit]
                reached = collect(first[unit], at_once[unit], synapses, value, places, gates, reached)
                for gap in range(first_gap[unit], first_gap[unit + 1]):
                    n.driven_change[gaps[gap].target] += gaps[gap].weight * jump
                if reached >= BLOCK:
                    reached = deliver(n, synapses, places, gates, reached)
            reached, fired = deliver(n, synapses, places, gates, reached), 0
            met += min(heard - earlier, units)
            if heard > earlier:
                add_changes(n)
                earlier = heard
            if step > 0.0:
                fired = step_all(n, step)
                now += 1
        run.clock += unfolds * step
        for column in range(len(kept)):
            states[number + 1, column] = n.value[kept[column]]
        sent = written - before
        everything = lanes_price(prices, max(sub_steps, 1), samples[number + 1].first_change > sample.first_change)
        here, less = together_price(prices, max(sub_steps, 1), sent, heard), loop_price(prices, sent, heard, met)
        choose(run, here, less, everything, prices.to_loop, prices.to_lanes)
        number += 1
    put_back(n, neurons, now)
    run.now, run.events, run.step = now, written, ANEW
    return number
