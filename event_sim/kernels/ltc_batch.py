"""Clock-driven LTC for eight independent inputs at once: one lane is one stream, so that nothing is gathered and no lane is empty.

The arithmetic of a lane is that of ltc_clocked, operation for operation and in the same order, so a stream gives the same bytes in a batch
as alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from event_sim.kernels.jit import compiled, inner
from event_sim.kernels.lanes import LANES, broadcast, divide_positive, inlined, load, power_of_two, store, where_positive
from event_sim.kernels.ltc_clocked import ROW


@inlined
def term(numbers: Any, at: int, source: Any, place: int, level: Any, shift: int) -> Any:
    """1 + 2^(slope level + offset) of the synapse whose numbers begin at `at`, for the levels of its source in all streams."""
    exponent = broadcast(numbers[at]) * load(level, shift + source[place] * LANES) + broadcast(numbers[at + LANES])
    return broadcast(1.0) + power_of_two(exponent)


@inlined
def lane_sums(rows: Any, place: int, begin: int, level: Any, shift: int, conductance: Any, driven: Any) -> Any:
    """(conductance, driven) plus the sums over the synapses of one lane of `rows`, whose slice begins with row `begin`."""
    source, numbers, lane = rows.source, rows.numbers, place % LANES
    for row in range(begin, begin + rows.size[place], 2):
        at = row * ROW + lane
        first = term(numbers, at, source, row * LANES + lane, level, shift)
        second = term(numbers, at + ROW, source, row * LANES + LANES + lane, level, shift)
        both = broadcast(1.0) / (first * second)
        gate, other = second * both, first * both
        conductance = gate * broadcast(numbers[at + 2 * LANES]) + conductance
        driven = gate * broadcast(numbers[at + 3 * LANES]) + driven
        conductance = other * broadcast(numbers[at + ROW + 2 * LANES]) + conductance
        driven = other * broadcast(numbers[at + ROW + 3 * LANES]) + driven
    return conductance, driven


@inner
def held_sums(m: Any, sensory: Any, levels: Any, held: Any, held_driven: Any) -> None:
    """What inputs at these levels (inputs * 8,) hold: held, held_driven (slots * 8,)."""
    for slot in range(len(m.leak)):
        store(held, slot * LANES, broadcast(m.leak[slot]))
        store(held_driven, slot * LANES, broadcast(m.leak_driven[slot]))
    for place in range(len(sensory.size)):
        sums = lane_sums(sensory, place, sensory.first[place // LANES], levels, 0, broadcast(0.0), broadcast(0.0))
        at = sensory.slot[place] * LANES
        store(held, at, load(held, at) + sums[0])
        store(held_driven, at, load(held_driven, at) + sums[1])


@inlined
def lane_coupled(couplings: Any, place: int, value: Any, shift: int, driven: Any) -> Any:
    """`driven` plus what gap junctions bring to the neuron of one lane."""
    lane = place % LANES
    for row in range(couplings.first[place // LANES], couplings.first[place // LANES + 1]):
        at = row * LANES + lane
        driven = broadcast(couplings.weight[at]) * load(value, shift + couplings.source[at] * LANES) + driven
    return driven


@compiled
def run_fused_batch(first: int, last: int, unfolds: int, value: Any, levels: Any, changed: Any, steps: Any, membranes: Any, recurrent: Any,
                    sensory: Any, couplings: Any, states: Any) -> None:  # fmt: skip
    """Run samples first..last-1 of eight streams. value: (2 * slots * 8,), the states in the first half, changed. levels: (samples, inputs
    * 8) mapped inputs; changed: (samples,) whether they differ from those before. steps: (samples, 8) lengths of a sub-step, 0: the
    state rests. states: (samples + 1, units * 8), row i + 1 is written at the end of sample i.
    """
    m, slots = membranes, len(membranes.capacity)
    held, held_driven = np.empty(slots * LANES), np.empty(slots * LANES)
    here, there = 0, slots * LANES
    for sample in range(first, last):
        if changed[sample] == 1 or sample == first:
            held_sums(m, sensory, levels[sample], held, held_driven)
        step = load(steps[sample], 0)
        for _ in range(unfolds):
            for slot in range(slots):
                at = slot * LANES
                begin = recurrent.first[slot // LANES]
                sums = lane_sums(recurrent, slot, begin, value, here, load(held, at), load(held_driven, at))
                driven = lane_coupled(couplings, slot, value, here, sums[1])
                inertia, before = broadcast(m.capacity[slot]), load(value, here + at)
                after = divide_positive(inertia * before + step * driven, inertia + step * sums[0], before)
                store(value, there + at, where_positive(step, after, before))
            here, there = there, here
        for slot in range(slots):
            if m.unit[slot] >= 0:
                store(states[sample + 1], m.unit[slot] * LANES, load(value, here + slot * LANES))
    if here > 0:
        for place in range(slots * LANES):
            value[place] = value[slots * LANES + place]
