"""Clock-driven LTC: every synapse in every step. ncps' semi-implicit sub-steps, or the exponential midpoint rule for the equation itself.

The sigmoids of all synapses are taken in one loop without branches over contiguous arrays, so that the compiler makes it SIMD code.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.kernels.exponential import LIMIT, fast_exp
from event_sim.kernels.jit import compiled, inner

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class ByTarget(NamedTuple):
    """Synapses ordered by target (`first`: one entry per target and one more); sigma_mu is sigma * mu; gate is room to work."""

    first: Integers
    source: Integers
    weight: Floats
    sigma: Floats
    sigma_mu: Floats
    erev: Floats
    gate: Floats


class Membranes(NamedTuple):
    """Capacity, leak conductance and current; the sums of inputs and of all synapses; 1 for neurons without inertia; 1 for outputs."""

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


class Intervals(NamedTuple):
    """Pieces of time with constant inputs: steps and length of a step (model units, 0: the state rests), and the inputs' changes."""

    steps: Integers
    step: Floats
    start: Floats
    first_change: Integers
    channel: Integers
    level: Floats


@inner
def sums(synapses: Any, level: Any, base: Any, base_driven: Any, conductance: Any, driven: Any) -> None:
    """conductance = base + sum of w sigmoid(sigma (level - mu)) per target, driven likewise with erev."""
    gate, source, weight = synapses.gate, synapses.source, synapses.weight
    sigma, sigma_mu, erev = synapses.sigma, synapses.sigma_mu, synapses.erev
    for index in range(len(source)):  # fetching levels in a loop of its own leaves the next one to SIMD
        gate[index] = min(max(sigma_mu[index] - sigma[index] * level[source[index]], -LIMIT), LIMIT)
    for index in range(len(source)):
        gate[index] = weight[index] / (1.0 + fast_exp(gate[index]))
    for unit in range(len(conductance)):
        total, total_driven = base[unit], base_driven[unit]
        for index in range(synapses.first[unit], synapses.first[unit + 1]):
            total += gate[index]
            total_driven += gate[index] * erev[index]
        conductance[unit] = total
        driven[unit] = total_driven


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
def midpoint(m: Any, recurrent: Any, value: Any, step: float, sweeps: int, now: float, courses: Any, row: int) -> int:
    """One step of the exponential midpoint rule; writes the outputs' courses from `row` on and returns the next row."""
    units = len(value)
    sums(recurrent, value, m.held, m.held_driven, m.conductance, m.driven)
    for unit in range(units):
        m.middle[unit] = relax(value[unit], m.conductance[unit], m.driven[unit], m.capacity[unit], 0.5 * step)
    sums(recurrent, m.middle, m.held, m.held_driven, m.conductance, m.driven)
    for unit in range(units):
        if m.output[unit] == 1:
            course, alive = courses[row], m.conductance[unit] > 0.0
            course.time, course.unit, course.start = now, unit, value[unit]
            course.target = m.driven[unit] / m.conductance[unit] if alive else value[unit]
            course.rate = m.conductance[unit] / m.capacity[unit] if alive else 0.0  # infinite without inertia
            row += 1
        value[unit] = relax(value[unit], m.conductance[unit], m.driven[unit], m.capacity[unit], step)
    jump(m, recurrent, value, sweeps)
    return row


@inner
def jump(m: Any, recurrent: Any, value: Any, sweeps: int) -> None:
    """Neurons without inertia follow the others, one level of them per sweep."""
    for _ in range(sweeps):
        sums(recurrent, value, m.held, m.held_driven, m.conductance, m.driven)
        for unit in range(len(value)):
            if m.jumps[unit] == 1 and m.conductance[unit] > 0.0:
                value[unit] = m.driven[unit] / m.conductance[unit]


@compiled
def run_clock(first: int, last: int, exponential: bool, sweeps: int, value: Any, levels: Any, membranes: Any, recurrent: Any, sensory: Any,
              intervals: Any, states: Any, courses: Any, progress: Any) -> None:  # fmt: skip
    """Run intervals first..last-1. exponential: the midpoint rule instead of ncps' sub-steps. value: (units,), changed. levels: (inputs,)
    mapped inputs, changed. states: (intervals + 1, units), row i + 1 is written at the end of interval i. progress: [courses written].
    """
    m = membranes
    units = len(value)
    for interval in range(first, last):
        begin, end = intervals.first_change[interval], intervals.first_change[interval + 1]
        for change in range(begin, end):
            levels[intervals.channel[change]] = intervals.level[change]
        if end > begin or interval == first:
            sums(sensory, levels, m.leak, m.leak_driven, m.held, m.held_driven)
        step = intervals.step[interval]
        if step > 0.0:
            if exponential:
                jump(m, recurrent, value, sweeps)
            for number in range(intervals.steps[interval]):
                if exponential:
                    now = intervals.start[interval] + number * step
                    progress[0] = midpoint(m, recurrent, value, step, sweeps, now, courses, progress[0])
                    continue
                sums(recurrent, value, m.held, m.held_driven, m.conductance, m.driven)
                for unit in range(units):
                    denominator = m.capacity[unit] + step * m.conductance[unit]
                    if denominator > 0.0:
                        value[unit] = (m.capacity[unit] * value[unit] + step * m.driven[unit]) / denominator
        states[interval + 1, :] = value
