"""Clock-driven LTC: every synapse in every step. ncps' semi-implicit sub-steps, or the exponential midpoint rule for the equation itself.

Neurons stand in slots, most synapses first, eight slots to a slice; one lane of a slice sums the synapses of one neuron, so that nothing
is summed across lanes. Two synapses of a lane share a division: 1/a = b (1 / (a b)), 1/b = a (1 / (a b)). Sub-steps walk through the slices
forth and back in turn: of a network that is a little larger than the cache, most is then still there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.kernels.jit import compiled, inner
from event_sim.kernels.lanes import LANES, broadcast, divide_positive, gather, inlined, load, power_of_two, store

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
ROW = 4 * LANES  # numbers of one row


class Rows(NamedTuple):
    """Synapses in lanes. first: (slices + 1,) rows of every slice, an even number of them. source: (rows * 8,) where a synapse listens.

    numbers: per row 8 slopes, 8 offsets (the gate is 1 / (1 + 2^(slope level + offset))), 8 weights and 8 products of weight and reversal
    potential. slot: (slices * 8,) whose sums a lane's are part of. size: (slices * 8,) rows of a lane that are not empty.
    shared: (slices,) 1 where all lanes of each row listen to the same source.
    """

    first: Integers
    source: npt.NDArray[np.int32]
    numbers: Floats
    slot: Integers
    size: Integers
    shared: Integers


class Couplings(NamedTuple):
    """Gap junctions in lanes, slices as those of recurrent rows. first: (slices + 1,) rows; source, weight: (rows * 8,)."""

    first: Integers
    source: npt.NDArray[np.int32]
    weight: Floats


class Membranes(NamedTuple):
    """Per slot: capacity, conductance (with gap junctions) and current of the leak, the sums of inputs and of all synapses, a state in
    between; 1 for neurons without inertia; 1 for outputs; the unit that stands there (-1: none)."""

    capacity: Floats
    leak: Floats
    leak_driven: Floats
    held: Floats
    held_driven: Floats
    conductance: Floats
    driven: Floats
    middle: Floats
    jumps: Integers
    output: Integers
    unit: Integers


class Intervals(NamedTuple):
    """Pieces of time with constant inputs: steps and length of a step (model units, 0: the state rests), and the inputs' changes."""

    steps: Integers
    step: Floats
    start: Floats
    first_change: Integers
    channel: Integers
    level: Floats


@inlined
def add_pair(numbers: Any, at: int, one: Any, level: Any, other_level: Any, conductance: Any, driven: Any) -> Any:
    """(conductance, driven) plus two rows whose sources have these levels: w / (1 + 2^(slope level + offset)), driven by potentials."""
    first = one + power_of_two(load(numbers, at) * level + load(numbers, at + LANES))
    second = one + power_of_two(load(numbers, at + ROW) * other_level + load(numbers, at + ROW + LANES))
    both = one / (first * second)
    gate, other = second * both, first * both
    conductance = gate * load(numbers, at + 2 * LANES) + conductance
    driven = gate * load(numbers, at + 3 * LANES) + driven
    conductance = other * load(numbers, at + ROW + 2 * LANES) + conductance
    driven = other * load(numbers, at + ROW + 3 * LANES) + driven
    return conductance, driven


@inlined
def slice_sums(rows: Any, part: int, level: Any, shift: int, conductance: Any, driven: Any) -> Any:
    """(conductance, driven) plus the sums over the rows of a slice, for levels that begin at `shift`."""
    one, source, numbers = broadcast(1.0), rows.source, rows.numbers
    begin, end = rows.first[part], rows.first[part + 1]
    if rows.shared[part] == 1:
        for row in range(begin, end, 2):
            heard, other = broadcast(level[shift + source[row * LANES]]), broadcast(level[shift + source[row * LANES + LANES]])
            conductance, driven = add_pair(numbers, row * ROW, one, heard, other, conductance, driven)
    else:
        for row in range(begin, end, 2):
            heard, other = gather(level, shift, source, row * LANES), gather(level, shift, source, row * LANES + LANES)
            conductance, driven = add_pair(numbers, row * ROW, one, heard, other, conductance, driven)
    return conductance, driven


@inlined
def coupled(couplings: Any, part: int, value: Any, shift: int, driven: Any) -> Any:
    """`driven` plus what gap junctions bring to the neurons of a slice: weight times the neighbour's value."""
    for row in range(couplings.first[part], couplings.first[part + 1]):
        neighbour = gather(value, shift, couplings.source, row * LANES)
        driven = load(couplings.weight, row * LANES) * neighbour + driven
    return driven


@inner
def all_sums(rows: Any, level: Any, base: Any, base_driven: Any, conductance: Any, driven: Any, partial: Any) -> None:
    """Per slot: conductance = base + the sum over its synapses, driven likewise. A slot may own several lanes. partial: (16,) work."""
    slot = rows.slot
    for here in range(len(base)):  # one by one, here and in other kernels: to compile an assignment to a slice takes a second
        conductance[here], driven[here] = base[here], base_driven[here]
    for part in range(len(rows.first) - 1):
        sums = slice_sums(rows, part, level, 0, broadcast(0.0), broadcast(0.0))
        store(partial, 0, sums[0])
        store(partial, LANES, sums[1])
        for lane in range(LANES):
            where = slot[part * LANES + lane]
            conductance[where] += partial[lane]
            driven[where] += partial[LANES + lane]


@inner
def recurrent_sums(m: Any, recurrent: Any, couplings: Any, value: Any, partial: Any) -> None:
    """The sums of all neurons at these values, inputs and gap junctions included."""
    all_sums(recurrent, value, m.held, m.held_driven, m.conductance, m.driven, partial)
    for part in range(len(couplings.first) - 1):
        store(m.driven, part * LANES, coupled(couplings, part, value, 0, load(m.driven, part * LANES)))


@compiled
def run_fused_clock(first: int, last: int, value: Any, levels: Any, membranes: Any, recurrent: Any, sensory: Any, couplings: Any,
                    intervals: Any, states: Any) -> None:  # fmt: skip
    """Run samples first..last-1 with ncps' sub-steps. value: (2 * slots,), the state in the first half, changed. levels: (inputs,) mapped
    inputs, changed. states: (samples + 1, units), row i + 1 is written at the end of sample i.
    """
    m, partial = membranes, np.empty(2 * LANES)
    capacity, held, held_driven, unit = m.capacity, m.held, m.held_driven, m.unit
    slots, slices = len(capacity), len(recurrent.first) - 1
    here, there = 0, slots
    for interval in range(first, last):
        begin, end = intervals.first_change[interval], intervals.first_change[interval + 1]
        for change in range(begin, end):
            levels[intervals.channel[change]] = intervals.level[change]
        if end > begin or interval == first:
            all_sums(sensory, levels, m.leak, m.leak_driven, held, held_driven, partial)
        step = broadcast(intervals.step[interval])
        for _ in range(intervals.steps[interval] if intervals.step[interval] > 0.0 else 0):
            for number in range(slices):
                part = number if here == 0 else slices - 1 - number
                at = part * LANES
                sums = slice_sums(recurrent, part, value, here, load(held, at), load(held_driven, at))
                driven = coupled(couplings, part, value, here, sums[1])
                inertia, before = load(capacity, at), load(value, here + at)
                after = divide_positive(inertia * before + step * driven, inertia + step * sums[0], before)
                store(value, there + at, after)
            here, there = there, here
        for slot in range(slots):
            if unit[slot] >= 0:
                states[interval + 1, unit[slot]] = value[here + slot]
    if here > 0:
        for slot in range(slots):
            value[slot] = value[slots + slot]


@inner
def relax(value: float, conductance: float, driven: float, capacity: float, step: float) -> Any:
    """A neuron's value after `step` under constant sums."""
    if conductance <= 0.0:
        return value
    target = driven / conductance
    if capacity <= 0.0:
        return target
    return target + (value - target) * np.exp(-step * conductance / capacity)


@inner
def midpoint(m: Any, recurrent: Any, couplings: Any, value: Any, step: float, sweeps: int, now: float, courses: Any, row: int,
             partial: Any) -> int:  # fmt: skip
    """One step of the exponential midpoint rule; writes the outputs' courses from `row` on and returns the next row."""
    recurrent_sums(m, recurrent, couplings, value, partial)
    for slot in range(len(value)):
        m.middle[slot] = relax(value[slot], m.conductance[slot], m.driven[slot], m.capacity[slot], 0.5 * step)
    recurrent_sums(m, recurrent, couplings, m.middle, partial)
    for slot in range(len(value)):
        if m.output[slot] == 1:
            course, alive = courses[row], m.conductance[slot] > 0.0
            course.time, course.unit, course.start = now, m.unit[slot], value[slot]
            course.target = m.driven[slot] / m.conductance[slot] if alive else value[slot]
            course.rate = m.conductance[slot] / m.capacity[slot] if alive else 0.0  # infinite without inertia
            row += 1
        value[slot] = relax(value[slot], m.conductance[slot], m.driven[slot], m.capacity[slot], step)
    jump(m, recurrent, couplings, value, sweeps, partial)
    return row


@inner
def jump(m: Any, recurrent: Any, couplings: Any, value: Any, sweeps: int, partial: Any) -> None:
    """Neurons without inertia follow the others, one level of them per sweep."""
    for _ in range(sweeps):
        recurrent_sums(m, recurrent, couplings, value, partial)
        for slot in range(len(value)):
            if m.jumps[slot] == 1 and m.conductance[slot] > 0.0:
                value[slot] = m.driven[slot] / m.conductance[slot]


@compiled
def run_midpoint_clock(first: int, last: int, row: int, sweeps: int, value: Any, levels: Any, membranes: Any, recurrent: Any, sensory: Any,
                       couplings: Any, intervals: Any, states: Any, courses: Any) -> int:  # fmt: skip
    """Run intervals first..last-1 with the exponential midpoint rule; returns the next free row of courses. sweeps: levels of neurons
    without inertia. value: (slots,), changed. courses: one row for every output and step, from `row` on. Else as run_fused_clock.
    """
    m, partial = membranes, np.empty(2 * LANES)
    for interval in range(first, last):
        begin, end = intervals.first_change[interval], intervals.first_change[interval + 1]
        for change in range(begin, end):
            levels[intervals.channel[change]] = intervals.level[change]
        if end > begin or interval == first:
            all_sums(sensory, levels, m.leak, m.leak_driven, m.held, m.held_driven, partial)
        step = intervals.step[interval]
        if step > 0.0:
            jump(m, recurrent, couplings, value, sweeps, partial)
            for number in range(intervals.steps[interval]):
                now = intervals.start[interval] + number * step
                row = midpoint(m, recurrent, couplings, value, step, sweeps, now, courses, row, partial)
        for slot in range(len(value)):
            if m.unit[slot] >= 0:
                states[interval + 1, m.unit[slot]] = value[slot]
    return row
