"""Clock-driven LTC whose synapses hear the past: what was sent stands in a ring of rows, one per time at which it was noted.

Synapses of one delay hear one row, so a pointer per delay walks through the rows. A scalar loop over the synapses of each neuron.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.kernels.jit import compiled, inner
from event_sim.kernels.ltc_clocked import relax

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
GRID_TOLERANCE = 1e-6  # of a sub-step


class Heard(NamedTuple):
    """Synapses by target. first: (units + 1,); source, group, weight, sigma, mu, erev: (synapses,). delay, last: (groups,) the different
    delays and the row each hears; next, share: (groups,) for values between rows, the row behind (-1: the provisional one) and how near."""

    first: Integers
    source: Integers
    group: Integers
    weight: Floats
    sigma: Floats
    mu: Floats
    erev: Floats
    delay: Floats
    last: Integers
    next: Integers
    share: Floats


class Cells(NamedTuple):
    """Per unit: capacity, conductance (with gap junctions) and current of the leak; sums of inputs, of all; first_gap (units + 1,), their
    neighbours and weights; 1 for neurons without inertia."""

    capacity: Floats
    leak: Floats
    leak_driven: Floats
    held: Floats
    held_driven: Floats
    conductance: Floats
    driven: Floats
    first_gap: Integers
    neighbour: Integers
    gap_weight: Floats
    jumps: Integers


@inner
def hear(heard: Any, times: Any, newest: int, now: float, slack: float) -> bool:
    """Move each delay's pointer to the last row that arrives by now + slack; rows up to `newest` are there. Whether one moved."""
    moved = False
    for group in range(len(heard.delay)):
        while heard.last[group] < newest and times[heard.last[group] + 1] + heard.delay[group] <= now + slack:
            heard.last[group] += 1
            moved = True
    return moved


@inner
def between(heard: Any, times: Any, newest: int, now: float, provisional: float) -> None:
    """Where between two rows each delay hears at `now`; behind the newest row stands a provisional one, at its time. No delay hears it."""
    hear(heard, times, newest, now, 0.0)
    for group in range(len(heard.delay)):
        row = heard.last[group]
        if heard.delay[group] == 0.0:
            heard.next[group], heard.share[group] = -1, 1.0
            continue
        after = times[row + 1] if row < newest else provisional
        heard.next[group] = row + 1 if row < newest else -1
        distance = now - heard.delay[group] - times[row]
        heard.share[group] = min(distance / (after - times[row]), 1.0) if after > times[row] and distance > 0.0 else 0.0


@inner
def gate(heard: Any, index: int, level: float) -> Any:
    """A synapse's conductance."""
    return heard.weight[index] / (1.0 + np.exp(heard.sigma[index] * (heard.mu[index] - level)))


@inner
def add_gaps(cells: Any, unit: int, value: Any) -> float:
    """What gap junctions drive into a neuron."""
    driven = 0.0
    for index in range(cells.first_gap[unit], cells.first_gap[unit + 1]):
        driven += cells.gap_weight[index] * value[cells.neighbour[index]]
    return driven


@inner
def hold(cells: Any, sensory: Any, levels: Any) -> None:
    """The sums of inputs; levels: one row of mapped inputs per row of the sensory pointers."""
    for unit in range(len(cells.capacity)):
        conductance, driven = cells.leak[unit], cells.leak_driven[unit]
        for index in range(sensory.first[unit], sensory.first[unit + 1]):
            new = gate(sensory, index, levels[sensory.last[sensory.group[index]], sensory.source[index]])
            conductance += new
            driven += new * sensory.erev[index]
        cells.held[unit], cells.held_driven[unit] = conductance, driven


@compiled
def run_fused_delayed(first: int, last: int, unfolds: int, cells: Any, recurrent: Any, sensory: Any, times: Any, input_times: Any,
                      begins: Any, steps: Any, ring: Any, levels: Any, value: Any, states: Any) -> None:  # fmt: skip
    """Run samples first..last-1 with ncps' sub-steps. times, input_times: of the rows of neurons and inputs. begins: (samples, 2) the rows
    of a sample's first sub-step and of its inputs; steps: (samples,), 0: the state rests. ring: (rows, units). value: (units,), changed.
    levels: (rows of inputs, inputs). states: (samples + 1, units).
    """
    units = len(value)
    after = np.empty(units)
    if first == 0:
        hold(cells, sensory, levels)
    for sample in range(first, last):
        step = steps[sample]
        for sub_step in range(unfolds if step > 0.0 else 0):
            row = begins[sample, 0] + sub_step
            now, slack = times[row], GRID_TOLERANCE * step
            ring[row % len(ring)] = value
            hear(recurrent, times, row, now, slack)
            if hear(sensory, input_times, begins[sample, 1], now, slack):
                hold(cells, sensory, levels)
            for unit in range(units):
                conductance, driven = cells.held[unit], cells.held_driven[unit] + add_gaps(cells, unit, value)
                for index in range(recurrent.first[unit], recurrent.first[unit + 1]):
                    place = recurrent.last[recurrent.group[index]] % len(ring)
                    new = gate(recurrent, index, ring[place, recurrent.source[index]])
                    conductance += new
                    driven += new * recurrent.erev[index]
                denominator = cells.capacity[unit] + step * conductance
                numerator = cells.capacity[unit] * value[unit] + step * driven
                after[unit] = numerator / denominator if denominator > 0.0 else value[unit]
            for unit in range(units):
                value[unit] = after[unit]
        for unit in range(units):
            states[sample + 1, unit] = value[unit]


@inner
def sums_between(cells: Any, recurrent: Any, ring: Any, value: Any, provisional: Any) -> None:
    """The sums of all neurons at `value`, whose synapses hear values between rows (`between`)."""
    for unit in range(len(value)):
        conductance, driven = cells.held[unit], cells.held_driven[unit] + add_gaps(cells, unit, value)
        for index in range(recurrent.first[unit], recurrent.first[unit + 1]):
            group, source = recurrent.group[index], recurrent.source[index]
            level = ring[recurrent.last[group] % len(ring), source]
            share = recurrent.share[group]
            if share > 0.0:
                behind = provisional[source] if recurrent.next[group] < 0 else ring[recurrent.next[group] % len(ring), source]
                level = behind if share == 1.0 else level + share * (behind - level)
            new = gate(recurrent, index, level)
            conductance += new
            driven += new * recurrent.erev[index]
        cells.conductance[unit], cells.driven[unit] = conductance, driven


@inner
def follow(cells: Any, recurrent: Any, times: Any, row: int, now: float, ring: Any, value: Any, sweeps: int) -> None:
    """Neurons without inertia follow the others at `now`, one level of them per sweep."""
    for _ in range(sweeps):
        between(recurrent, times, row, now, now)
        sums_between(cells, recurrent, ring, value, value)
        for unit in range(len(value)):
            if cells.jumps[unit] == 1 and cells.conductance[unit] > 0.0:
                value[unit] = cells.driven[unit] / cells.conductance[unit]


@compiled
def run_midpoint_delayed(first: int, last: int, course: int, outputs: int, sweeps: int, cells: Any, recurrent: Any, sensory: Any,
                         times: Any, begins: Any, steps: Any, step: Any, input_rows: Any, ring: Any, levels: Any, value: Any, states: Any,
                         courses: Any) -> int:  # fmt: skip
    """Run intervals first..last-1 with the exponential midpoint rule; returns the next free row of courses.

    begins: (intervals,) the row noted at an interval's start; every step notes another at its end. steps, step: number and length of an
    interval's steps. input_rows: (intervals, groups) what each sensory delay hears during an interval. Else as run_fused_delayed.
    """
    units = len(value)
    middle = np.empty(units)
    for interval in range(first, last):
        for group in range(len(sensory.last)):
            sensory.last[group] = input_rows[interval, group]
        hold(cells, sensory, levels)
        row, length = begins[interval], step[interval]
        follow(cells, recurrent, times, row - 1, times[row], ring, value, sweeps)
        ring[row % len(ring)] = value
        for _ in range(steps[interval] if length > 0.0 else 0):
            now = times[row]
            between(recurrent, times, row, now, now)
            sums_between(cells, recurrent, ring, value, value)
            for unit in range(units):
                middle[unit] = relax(value[unit], cells.conductance[unit], cells.driven[unit], cells.capacity[unit], 0.5 * length)
            between(recurrent, times, row, now + 0.5 * length, now + 0.5 * length)
            sums_between(cells, recurrent, ring, middle, middle)
            for unit in range(outputs):
                piece, alive = courses[course], cells.conductance[unit] > 0.0
                piece.time, piece.unit, piece.start = now, unit, value[unit]
                piece.target = cells.driven[unit] / cells.conductance[unit] if alive else value[unit]
                piece.rate = cells.conductance[unit] / cells.capacity[unit] if alive else 0.0  # infinite without inertia
                course += 1
            for unit in range(units):
                value[unit] = relax(value[unit], cells.conductance[unit], cells.driven[unit], cells.capacity[unit], length)
            follow(cells, recurrent, times, row, times[row + 1], ring, value, sweeps)
            row += 1
            ring[row % len(ring)] = value
        states[interval + 1] = value
    return course
