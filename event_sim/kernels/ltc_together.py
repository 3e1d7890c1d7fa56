"""Lively stretches of an event-driven LTC under ncps' solver: all neurons step together, synapses wait for events.

Where something reaches many neurons in every sub-step, finding each one's course costs more than moving all of them in lanes. Messages are
those of the event loop (ltc_fused.py), and so are the results, up to rounding; see ways.py.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.kernels.exponential import fast_exp
from event_sim.kernels.jit import compiled, inlined
from event_sim.kernels.lanes import (
    LANES,
    apart,
    bits,
    broadcast,
    divide_positive,
    evens,
    load,
    lowest,
    odds,
    reciprocal,
    store,
    where_positive,
)
from event_sim.kernels.ltc_fused import advance, tell
from event_sim.kernels.prefetch import AHEAD, prefetch
from event_sim.kernels.rows import MANY, NEARBY, ask_for_row, hear_noted, note_row, put_rows, take_rows
from event_sim.kernels.synapses import argument
from event_sim.kernels.ways import ANEW, TOGETHER, choose, lanes_price, loop_price, together_price

Floats = npt.NDArray[np.float64]


class Neurons(NamedTuple):
    """The fields of the event loop's neurons, each in an array of its own, filled up to whole lanes.

    pending: what the sums have changed by in this sample, a pair for each neuron and for eight behind them; inertia: capacity / length of
    a sub-step; where neurons come to rest, and what is left of the way there after a sample; firing: (units,) who sends next.
    """

    value: Floats
    sent: Floats
    quantum: Floats
    capacity: Floats
    conductance: Floats
    conductance_carry: Floats
    driven: Floats
    driven_carry: Floats
    inertia: Floats
    target: Floats
    decay: Floats
    pending: Floats
    firing: npt.NDArray[np.int64]


@inlined
def take_up(n: Any, neurons: Any, now: int) -> None:
    """Read the event loop's neurons at grid time now."""
    for unit in range(len(neurons)):
        neuron = neurons[unit]
        advance(neuron, now)
        n.value[unit], n.sent[unit], n.quantum[unit], n.capacity[unit] = neuron.value, neuron.sent, neuron.quantum, neuron.capacity
        n.conductance[unit], n.conductance_carry[unit] = neuron.conductance, neuron.conductance_carry
        n.driven[unit], n.driven_carry[unit] = neuron.driven, neuron.driven_carry
    fold_all(n)  # nothing: afterwards the sums are the nearest numbers, as at the end of every sample


@inlined
def put_back(n: Any, neurons: Any, now: int) -> None:
    """Write the event loop's neurons at grid time now."""
    for unit in range(len(neurons)):
        neuron = neurons[unit]
        neuron.value, neuron.sent, neuron.at = n.value[unit], n.sent[unit], now
        neuron.conductance, neuron.conductance_carry = n.conductance[unit], n.conductance_carry[unit]
        neuron.driven, neuron.driven_carry = n.driven[unit], n.driven_carry[unit]


@inlined
def hear_each(n: Any, synapses: Any, first: int, last: int, level: float) -> None:
    """Synapses first .. last - 1 hear this level, one by one: as rows.note_row and hear_noted, of networks too large to stand in rows."""
    for index in range(first, last):
        if index + AHEAD < len(synapses):
            prefetch(n.pending, 2 * synapses[index + AHEAD].target, 0)  # type: ignore[call-arg]
        synapse = synapses[index]
        new = synapse.weight * (1.0 / (1.0 + fast_exp(argument(synapse, level))))
        change = new - synapse.now
        n.pending[2 * synapse.target] += change
        n.pending[2 * synapse.target + 1] += change * synapse.erev
        synapse.now = new


@inlined
def added(total: Any, carry: Any, change: Any) -> Any:
    """(total, carry) with a change, without loss (Knuth, as kernels.synapses.add); the total is the number nearest to both."""
    after = total + change
    part = after - total
    carry = carry + ((total - (after - part)) + (change - part))
    nearest = after + carry
    part = nearest - after
    return nearest, (after - (nearest - part)) + (carry - part)


@inlined
def fold(n: Any, at: int, first: Any, second: Any) -> None:
    """Bring the pending changes of eight neurons into their sums; the carries keep what rounding loses: millions do not drift."""
    conductance, carry = added(load(n.conductance, at), load(n.conductance_carry, at), evens(first, second))
    driven, driven_carry = added(load(n.driven, at), load(n.driven_carry, at), odds(first, second))
    store(n.conductance, at, conductance)
    store(n.conductance_carry, at, carry)
    store(n.driven, at, driven)
    store(n.driven_carry, at, driven_carry)
    store(n.pending, 2 * at, broadcast(0.0))
    store(n.pending, 2 * at + LANES, broadcast(0.0))


@inlined
def fold_all(n: Any) -> None:
    """Bring the pending changes of all neurons into their sums."""
    for at in range(0, len(n.value), LANES):
        fold(n, at, load(n.pending, 2 * at), load(n.pending, 2 * at + LANES))


@inlined
def list_moved(n: Any, at: int, value: Any, fired: int) -> int:
    """Note which of eight neurons have moved by their quantum; returns how many are noted."""
    moved = bits(apart(value, load(n.sent, at), load(n.quantum, at)))
    while moved != 0:
        n.firing[fired] = at + lowest(moved)  # type: ignore[call-arg]
        fired += 1
        moved &= moved - 1
    return fired


@inlined
def set_inertia(n: Any, length: float) -> None:
    """For sub-steps of this length."""
    step = broadcast(length)
    for at in range(0, len(n.value), LANES):
        store(n.inertia, at, load(n.capacity, at) / step)


@inlined
def step_all(n: Any, folding: bool) -> int:
    """One sub-step of all neurons, then, if so, fold_all; returns how many have moved by their quantum.

    (C v + c) / (C + g) is v + (c - g v) / (C + g): then errors of the reciprocal do not move where neurons come to rest.
    """
    fired = 0
    for at in range(0, len(n.value), LANES):
        first, second = load(n.pending, 2 * at), load(n.pending, 2 * at + LANES)
        conductance, driven = load(n.conductance, at) + evens(first, second), load(n.driven, at) + odds(first, second)
        before, total = load(n.value, at), load(n.inertia, at) + conductance
        value = where_positive(total, before + (driven - conductance * before) * reciprocal(total), before)
        store(n.value, at, value)
        if folding:
            fold(n, at, first, second)
        fired = list_moved(n, at, value, fired)
    return fired


@inlined
def rests(n: Any, unfolds: int) -> bool:
    """Whether nobody will send while nobody hears anything: where all neurons come to rest within their quantum of what they last sent.

    Sets targets, and decays over a sample of sub-steps.
    """
    one = broadcast(1.0)
    for at in range(0, len(n.value), LANES):
        conductance, inertia = load(n.conductance, at), load(n.inertia, at)
        target = divide_positive(load(n.driven, at), conductance, load(n.value, at))
        if bits(apart(target, load(n.sent, at), load(n.quantum, at))) != 0:
            return False
        base, decay, exponent = divide_positive(inertia, inertia + conductance, one), one, unfolds
        while exponent > 0:
            if exponent & 1:
                decay = decay * base
            base = base * base
            exponent >>= 1
        store(n.target, at, target)
        store(n.decay, at, decay)
    return True


@inlined
def relax_all(n: Any) -> None:
    """Move all neurons through a sample on their way to rest."""
    for at in range(0, len(n.value), LANES):
        target = load(n.target, at)
        store(n.value, at, target + (load(n.value, at) - target) * load(n.decay, at))


@inlined
def are_all(kept: Any, units: int) -> bool:
    """Whether these are all units in their order."""
    same = len(kept) == units
    for column in range(len(kept)):
        same = same and kept[column] == column
    return same


@inlined
def write_values(n: Any, kept: Any, all_kept: bool, states: Any, row: int) -> None:
    """Write the values of the neurons `kept`."""
    if all_kept:
        for unit in range(len(kept)):
            states[row, unit] = n.value[unit]
    else:
        for column in range(len(kept)):
            states[row, column] = n.value[kept[column]]


@inlined
def say(n: Any, rows: Any, first: int, last: int, synapses: Any, source: int, level: float, noted: int) -> int:
    """A source's synapses first .. last - 1 hear a level, or are noted to do so; returns how many blocks of rows are noted now."""
    if len(rows.numbers) == 0:
        hear_each(n, synapses, first, last, level)
        return 0
    noted = note_row(rows, source, level, noted)
    return int(hear_noted(rows, noted, n.pending)) if noted * LANES >= MANY else noted


@partial(compiled, bare=True)
def run_together(begin: int, end: int, unfolds: int, fresh: bool, prices: Any, neurons: Any, n: Any, rows: Any, first: Any, at_once: Any,
                synapses: Any, first_gap: Any, gaps: Any, samples: Any, changes: Any, kept: Any, progress: Any, states: Any, events: Any,
                counts: Any) -> int:  # fmt: skip
    """Run samples begin..end-1, or up to where another way is cheaper or the limit is spent; returns the first that was not run.

    Arguments as those of kernels.ltc_fused.run_fused; events: where there is no room for those of a sample, this returns too. rows: of the
    synapses, or empty; fresh: whether they say what each contributes now (synapses do so where rows are empty, and when the way changes).
    """
    run, units, fired = progress[0], len(neurons), 0
    now, written, number = run.now, run.events, begin
    length, resting = -1.0, False  # of the sub-steps for which inertia holds; whether all neurons are known to rest with it
    all_kept, in_rows, far = are_all(kept, units), len(rows.numbers) > 0, len(rows.numbers) > NEARBY
    take_up(n, neurons, now)
    if in_rows and not fresh:
        take_rows(rows, first, at_once, synapses, len(n.value))
    for at in range(0, len(n.value), LANES):
        fired = list_moved(n, at, load(n.value, at), fired)
    while number < end and run.way == TOGETHER and run.spent < run.limit:
        sample = samples[number]
        if written + unfolds * units > len(events):
            break
        step, before, noted, heard, met, earlier = sample.step, written, 0, 0, 0, 0
        if step > 0.0 and step != length:
            length, resting = step, False
            set_inertia(n, step)
        for index in range(sample.first_change, samples[number + 1].first_change):
            source = units + changes[index].channel
            heard += at_once[source] - first[source]
            noted = say(n, rows, first[source], at_once[source], synapses, source, changes[index].level, noted)
        sub_steps = unfolds if step > 0.0 else 1
        if heard + fired > 0:
            resting = False
        elif step > 0.0 and (resting or rests(n, unfolds)):
            resting, sub_steps = True, 0
            relax_all(n)
            now += unfolds
        for sub_step in range(sub_steps):
            for index in range(fired):
                unit = n.firing[index]
                if far and index + 1 < fired:
                    ask_for_row(rows, n.firing[index + 1])
                value, jump = n.value[unit], n.value[unit] - n.sent[unit]
                n.sent[unit] = value
                written = tell(events, counts, written, sample.start_s + sub_step * sample.step_s, unit, value)
                heard += at_once[unit] - first[unit] + first_gap[unit + 1] - first_gap[unit]
                noted = say(n, rows, first[unit], at_once[unit], synapses, unit, value, noted)
                for gap in range(first_gap[unit], first_gap[unit + 1]):
                    n.pending[2 * gaps[gap].target + 1] += gaps[gap].weight * jump
            noted, fired = hear_noted(rows, noted, n.pending), 0
            met += min(heard - earlier, units)
            earlier = heard
            if step > 0.0:
                fired = step_all(n, heard > 0 and sub_step + 1 == sub_steps)
                now += 1
        if heard > 0 and step == 0.0:
            fold_all(n)
        run.clock += unfolds * step
        write_values(n, kept, all_kept, states, number + 1)
        sent = written - before
        everything = lanes_price(prices, max(sub_steps, 1), samples[number + 1].first_change > sample.first_change)
        here, less = together_price(prices, max(sub_steps, 1), sent, heard), loop_price(prices, sent, heard, met)
        choose(run, here, less, everything, prices.to_loop, prices.to_lanes)
        number += 1
    put_back(n, neurons, now)
    if in_rows and run.way != TOGETHER:
        put_rows(rows, first, at_once, synapses)
    run.now, run.events, run.step = now, written, ANEW
    return number
