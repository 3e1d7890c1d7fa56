"""Clock-driven LTC: every synapse in every step. ncps' semi-implicit sub-steps, or the exponential midpoint rule for the equation itself.

Neurons stand in slots, most synapses first, eight slots to a slice; one lane of a slice sums the synapses of one neuron, so that nothing
is summed across lanes. Two synapses of a lane share a division: 1/a = b (1 / (a b)), 1/b = a (1 / (a b)).
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
    potential. slot: (slices * 8,) whose sums a lane's are part of.
    """

    first: Integers
    source: npt.NDArray[np.int32]
    numbers: Floats
    slot: Integers


class Membranes(NamedTuple):
    """Per slot: capacity, leak conductance and current, the sums of inputs and of all synapses, a state in between; 1 for neurons without
    inertia; 1 for outputs; the unit that stands there (-1: none)."""

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
def slice_sums(source: Any, numbers: Any, begin: int, end: int, level: Any, shift: int, conductance: Any, driven: Any) -> Any:
    """(conductance, driven) plus the sums of rows begin..end-1 over w / (1 + 2^(slope level + offset)), driven with the potentials."""
    one = broadcast(1.0)
    for row in range(begin, end, 2):
        at = row * ROW
        exponent = load(numbers, at) * gather(level, shift, source, row * LANES) + load(numbers, at + LANES)
        first = one + power_of_two(exponent)
        exponent = load(numbers, at + ROW) * gather(level, shift, source, row * LANES + LANES) + load(numbers, at + ROW + LANES)
        second = one + power_of_two(exponent)
        both = one / (first * second)
        gate, other = second * both, first * both
        conductance = gate * load(numbers, at + 2 * LANES) + conductance
        driven = gate * load(numbers, at + 3 * LANES) + driven
        conductance = other * load(numbers, at + ROW + 2 * LANES) + conductance
        driven = other * load(numbers, at + ROW + 3 * LANES) + driven
    return conductance, driven


@inner
def all_sums(rows: Any, level: Any, base: Any, base_driven: Any, conductance: Any, driven: Any, partial: Any) -> None:
    """Per slot: conductance = base + the sum over its synapses, driven likewise. A slot may own several lanes. partial: (16,) work."""
    first, source, numbers, slot = rows.first, rows.source, rows.numbers, rows.slot
    conductance[:] = base
    driven[:] = base_driven
    for part in range(len(first) - 1):
        sums = slice_sums(source, numbers, first[part], first[part + 1], level, 0, broadcast(0.0), broadcast(0.0))
        store(partial, 0, sums[0])
        store(partial, LANES, sums[1])
        for lane in range(LANES):
            where = slot[part * LANES + lane]
            conductance[where] += partial[lane]
            driven[where] += partial[LANES + lane]


@compiled
def run_fused_clock(first: int, last: int, value: Any, levels: Any, membranes: Any, recurrent: Any, sensory: Any, intervals: Any,
                    states: Any) -> None:  # fmt: skip
    """Run samples first..last-1 with ncps' sub-steps. value: (2 * slots,), the state in the first half, changed. levels: (inputs,) mapped
    inputs, changed. states: (samples + 1, units), row i + 1 is written at the end of sample i.
    """
    m, partial = membranes, np.empty(2 * LANES)
    capacity, held, held_driven, unit = m.capacity, m.held, m.held_driven, m.unit
    rows, source, numbers = recurrent.first, recurrent.source, recurrent.numbers
    slots = len(capacity)
    here, there = 0, slots
    for interval in range(first, last):
        begin, end = intervals.first_change[interval], intervals.first_change[interval + 1]
        for change in range(begin, end):
            levels[intervals.channel[change]] = intervals.level[change]
        if end > begin or interval == first:
            all_sums(sensory, levels, m.leak, m.leak_driven, held, held_driven, partial)
        step = broadcast(intervals.step[interval])
        for _ in range(intervals.steps[interval] if intervals.step[interval] > 0.0 else 0):
            for part in range(len(rows) - 1):
                at = part * LANES
                sums = slice_sums(source, numbers, rows[part], rows[part + 1], value, here, load(held, at), load(held_driven, at))
                inertia, before = load(capacity, at), load(value, here + at)
                after = divide_positive(inertia * before + step * sums[1], inertia + step * sums[0], before)
                store(value, there + at, after)
            here, there = there, here
        for slot in range(slots):
            if unit[slot] >= 0:
                states[interval + 1, unit[slot]] = value[here + slot]
    if here > 0:
        value[:slots] = value[slots:]


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
def midpoint(m: Any, recurrent: Any, value: Any, step: float, sweeps: int, now: float, courses: Any, row: int, partial: Any) -> int:
    """One step of the exponential midpoint rule; writes the outputs' courses from `row` on and returns the next row."""
    all_sums(recurrent, value, m.held, m.held_driven, m.conductance, m.driven, partial)
    for slot in range(len(value)):
        m.middle[slot] = relax(value[slot], m.conductance[slot], m.driven[slot], m.capacity[slot], 0.5 * step)
    all_sums(recurrent, m.middle, m.held, m.held_driven, m.conductance, m.driven, partial)
    for slot in range(len(value)):
        if m.output[slot] == 1:
            course, alive = courses[row], m.conductance[slot] > 0.0
            course.time, course.unit, course.start = now, m.unit[slot], value[slot]
            course.target = m.driven[slot] / m.conductance[slot] if alive else value[slot]
            course.rate = m.conductance[slot] / m.capacity[slot] if alive else 0.0  # infinite without inertia
            row += 1
        value[slot] = relax(value[slot], m.conductance[slot], m.driven[slot], m.capacity[slot], step)
    jump(m, recurrent, value, sweeps, partial)
    return row


@inner
def jump(m: Any, recurrent: Any, value: Any, sweeps: int, partial: Any) -> None:
    """Neurons without inertia follow the others, one level of them per sweep."""
    for _ in range(sweeps):
        all_sums(recurrent, value, m.held, m.held_driven, m.conductance, m.driven, partial)
        for slot in range(len(value)):
            if m.jumps[slot] == 1 and m.conductance[slot] > 0.0:
                value[slot] = m.driven[slot] / m.conductance[slot]


@compiled
def run_midpoint_clock(sweeps: int, value: Any, levels: Any, membranes: Any, recurrent: Any, sensory: Any, intervals: Any, states: Any,
                       courses: Any) -> None:  # fmt: skip
    """Run all intervals with the exponential midpoint rule. sweeps: levels of neurons without inertia. value: (slots,), changed. courses:
    one row for every output and step. Else as run_fused_clock.
    """
    m, row, partial = membranes, 0, np.empty(2 * LANES)
    for interval in range(len(intervals.step)):
        begin, end = intervals.first_change[interval], intervals.first_change[interval + 1]
        for change in range(begin, end):
            levels[intervals.channel[change]] = intervals.level[change]
        if end > begin or interval == 0:
            all_sums(sensory, levels, m.leak, m.leak_driven, m.held, m.held_driven, partial)
        step = intervals.step[interval]
        if step > 0.0:
            jump(m, recurrent, value, sweeps, partial)
            for number in range(intervals.steps[interval]):
                now = intervals.start[interval] + number * step
                row = midpoint(m, recurrent, value, step, sweeps, now, courses, row, partial)
        for slot in range(len(value)):
            if m.unit[slot] >= 0:
                states[interval + 1, m.unit[slot]] = value[slot]
