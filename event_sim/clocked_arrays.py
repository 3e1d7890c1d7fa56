"""LTC networks as the clock-driven kernels read them: neurons in slots, synapses in the lanes of slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from event_sim.events import FloatArray, IntArray
from event_sim.ltc_arrays import records_of
from liquid_neuro.cells import ltc

if TYPE_CHECKING:
    from event_sim.kernels.ltc_clocked import Couplings, Membranes, Rows

LONG = 16.0  # time constants in an interval from which on its steps grow with the distance from its start
SLICE_ROWS = 3  # what adding up the lanes of a slice costs, in rows


def slots_of(values: ltc.LTCValues, lanes: int) -> IntArray:
    """(slots,) the unit that stands in each slot, -1 behind the last: units with most synapses first."""
    fan_in = np.bincount(values.target, minlength=values.units)
    order = np.lexsort((np.arange(values.units), -fan_in))
    return np.concatenate([order, np.full(-len(order) % lanes, -1)]).astype(np.int64)


def rows_of(values: ltc.LTCValues, units: IntArray) -> tuple[Rows, Rows]:
    """(recurrent, sensory) synapses in lanes. Recurrent ones: lane l of slice s sums for slot 8 s + l, and listens to slots."""
    slot_of = np.zeros(values.units, dtype=np.int64)
    slot_of[units[units >= 0]] = np.flatnonzero(units >= 0)
    v = values
    own = _packed(slot_of[v.source], slot_of[v.target], v.w, v.sigma, v.mu, v.erev, len(units), np.inf)
    target, count = slot_of[v.sensory_target], len(v.sensory_target)
    given = (v.sensory_source.astype(np.int64), target, v.sensory_w, v.sensory_sigma, v.sensory_mu, v.sensory_erev, len(units))
    fan_in = int(np.bincount(target).max()) if count else 0
    best = min(
        {fan_in, fan_in - fan_in // 4, -(-fan_in // 2), -(-fan_in // 3), -(-fan_in // 4)}, key=lambda most: (_cost(target, most), most)
    )
    return own, _packed(*given, best)


def _pieces(target: IntArray, slots: int, most: float) -> tuple[IntArray, IntArray]:
    """(slot, number of synapses) of every lane, longest first, when a lane holds at most `most` synapses.

    Without a limit, every slot has one lane, in the order of the slots.
    """
    fan_in = np.bincount(target, minlength=slots)
    if np.isinf(most):
        return np.arange(slots), fan_in
    parts = -(-fan_in // max(int(most), 1))
    slot = np.repeat(np.arange(slots), parts)
    number = np.arange(len(slot)) - np.repeat(np.cumsum(parts) - parts, parts)
    size = fan_in[slot] // parts[slot] + (number < fan_in[slot] % parts[slot])
    order = np.lexsort((slot, -size))
    return slot[order], size[order]


def _cost(target: IntArray, most: int) -> int:
    """Rows, and slices in rows, that lanes of at most `most` synapses make."""
    from event_sim.kernels.lanes import LANES

    longest = _pieces(target, int(target.max(initial=-1)) + 1, most)[1][::LANES]
    return int((longest + longest % 2 + SLICE_ROWS).sum())


def _packed(
    source: IntArray, target: IntArray, w: FloatArray, sigma: FloatArray, mu: FloatArray, erev: FloatArray, slots: int, most: float
) -> Rows:
    """Synapses dealt to lanes in their order: the k-th of a lane stands in the k-th row of its slice. Empty places have weight 0."""
    from event_sim.kernels import dealing
    from event_sim.kernels.lanes import LANES
    from event_sim.kernels.ltc_clocked import Rows

    slot, size = _pieces(target, slots, most)
    missing = -len(slot) % LANES
    slot, size = np.append(slot, np.zeros(missing, dtype=np.int64)), np.append(size, np.zeros(missing, dtype=np.int64))
    longest = size.reshape(-1, LANES).max(axis=1, initial=0)
    first = np.concatenate([[0], np.cumsum(longest + longest % 2)]).astype(np.int64)
    filled = np.flatnonzero(size)
    lanes = filled[np.argsort(slot[filled], kind="stable")]
    begin = np.searchsorted(slot[lanes], np.arange(slots))
    heard, shared = np.full((int(first[-1]), LANES), -1, dtype=np.int32), np.empty(len(first) - 1, dtype=np.int64)
    numbers = records_of(int(first[-1]) * 4 * LANES, np.float64).reshape(int(first[-1]), 4, LANES)
    columns = (source.astype(np.int32), target, w, sigma, mu, erev)
    dealing.deal(*columns, first, size, begin, lanes, np.zeros(len(size), dtype=np.int64), heard, numbers, shared)
    return Rows(first, heard.reshape(-1), numbers.reshape(-1), slot.astype(np.int64), (size + size % 2).astype(np.int64), shared)


def couplings_of(values: ltc.LTCValues, units: IntArray) -> Couplings:
    """The gap junctions in lanes; their conductances belong to the membranes' leak. Without any there are no slices to walk through."""
    from event_sim.kernels.lanes import LANES
    from event_sim.kernels.ltc_clocked import Couplings

    slices = len(units) // LANES
    slot_of = np.zeros(values.units, dtype=np.int64)
    slot_of[units[units >= 0]] = np.flatnonzero(units >= 0)
    source, target = slot_of[values.gap_source], slot_of[values.gap_target]
    counts = np.bincount(target, minlength=len(units))
    first = np.concatenate([[0], np.cumsum(counts.reshape(slices, LANES).max(axis=1, initial=0))]).astype(np.int64)
    order = np.lexsort((source, target))
    step = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    row, place = first[target[order] // LANES] + step, target[order] % LANES
    heard = np.zeros((int(first[-1]), LANES), dtype=np.int32)
    weight = np.zeros((int(first[-1]), LANES))
    heard[row, place], weight[row, place] = source[order], values.gap_w[order]
    return Couplings(first, heard.reshape(-1), weight.reshape(-1))


def membranes_of(values: ltc.LTCValues, units: IntArray, epsilon: float, outputs: int) -> Membranes:
    """The neurons in their slots. An empty slot has neither capacity nor conductance: it keeps its value 0."""
    from event_sim.kernels.ltc_clocked import Membranes

    conductance = values.gleak + epsilon + np.bincount(values.gap_target, weights=values.gap_w, minlength=values.units)
    leak: list[Any] = [in_slots(column, units) for column in (values.cm, conductance, values.gleak * values.vleak)]
    work: list[Any] = [np.zeros(len(units)) for _ in range(5)]
    jumps: npt.NDArray[Any] = (in_slots((values.cm == 0.0).astype(np.float64), units)).astype(np.int64)
    is_output = ((units >= 0) & (units < outputs)).astype(np.int64)
    columns: list[Any] = [*leak, *work, jumps, is_output, units]
    return Membranes(*columns)


def in_slots(column: FloatArray, units: IntArray) -> FloatArray:
    """A column (units,) as (slots,), 0 where no unit stands."""
    return np.where(units >= 0, np.asarray(column, dtype=np.float64)[units], 0.0)


def shortest_time(values: ltc.LTCValues) -> float:
    """The shortest time constant that a neuron with inertia can have, in model units; infinite without one."""
    most = values.gleak.copy()
    for target, weight in ((values.target, values.w), (values.sensory_target, values.sensory_w), (values.gap_target, values.gap_w)):
        np.add.at(most, target, weight)
    moving = (values.cm > 0.0) & (most > 0.0)
    return float((values.cm[moving] / most[moving]).min(initial=np.inf))


def graded(cuts: FloatArray, shortest: float) -> FloatArray:
    """The cuts, and in intervals far longer than the shortest time constant further ones, each twice as far from the interval's start.

    After a jump of the inputs neurons move fast, then rest: equal steps would have to be as short as the jump needs, all the way, and runs
    with steps that all pass over it would agree on an error that they share.
    """
    further = [cuts]
    for begin, length in zip(cuts[:-1], np.diff(cuts)):
        if length > LONG * shortest:
            further.append(begin + length * 0.5 ** np.arange(1, int(np.log2(length / shortest)) + 1))
    return np.unique(np.concatenate(further))
