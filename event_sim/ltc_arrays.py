"""LTC networks as the event-driven kernels read them: synapses by source, sums per neuron, what is under way, room for what is written."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.events import FloatArray, IntArray
from event_sim.recording import EVENT_TYPE, CurvedSegments, Segments, ordered_events
from liquid_neuro.cells.ltc import LTCValues
from liquid_neuro.exact_solver import kinds
from liquid_neuro.network import Fused, LiquidNetwork

Table = npt.NDArray[Any]
DEFAULT_UNFOLDS = Fused().unfolds
PART = 1 << 20  # synapses that are worked on at a time, so that lists of millions need little room beside them
ALIGNMENT = 128  # bytes
LARGEST = 1e150  # of a sum: its square is still a number


class Synapses(NamedTuple):
    """A network in the order of the kernels' arguments (kernels/synapses.py, kernels/lines.py). Sources are the units, then the inputs.

    first (sources + 1,): where each source's synapses begin in synapses; at_once (sources,): where those begin that hear it later.
    first_gap (units + 1,), gaps; first_line (sources + 1,), lines.
    """

    first: IntArray
    at_once: IntArray
    synapses: Table
    first_gap: IntArray
    gaps: Table
    first_line: IntArray
    lines: Table


def synapses_of(values: LTCValues, kind: npt.DTypeLike, levels: FloatArray) -> Synapses:
    """The synapses as records of the kind, each hearing what its source last sent: levels (units + inputs,), those of inputs mapped."""
    from event_sim.kernels import synapses as kernel

    sources, split = values.units + values.inputs, len(values.w)
    source = np.concatenate([values.source, values.sensory_source + np.int32(values.units)])  # either list is sorted by (source, target)
    first = np.searchsorted(source, np.arange(sources + 1)).astype(np.int64)
    records = records_of(len(source), kind)
    for part, side in ((records[:split], ""), (records[split:], "sensory_")):
        part["target"] = getattr(values, f"{side}target")
        for name, given in (("weight", "w"), ("sigma", "sigma"), ("mu", "mu"), ("erev", "erev")):
            part[name] = getattr(values, side + given)
    at_once, first_line, lines = first[1:], np.zeros(sources + 1, dtype=np.int64), _lines_of(source[:0], np.zeros(0), first)
    if values.has_delays:
        delay = np.concatenate([values.delay, values.sensory_delay])
        order = np.lexsort((records["target"], delay, source))
        records[:], delay = records[order], delay[order]
        at_once = first[:-1] + np.bincount(source, weights=delay == 0, minlength=sources).astype(np.int64)
        lines = _lines_of(source, delay, first)
        lines["level"] = levels[lines["source"]]
        first_line = np.searchsorted(lines["source"], np.arange(sources + 1)).astype(np.int64)
    kernel.open_gates(first[:-1], first[1:], records, levels)
    order = np.lexsort((values.gap_target, values.gap_source))
    gaps = np.zeros(len(order), dtype=kernel.GAP)
    gaps["target"], gaps["weight"] = values.gap_target[order], values.gap_w[order]
    first_gap = np.searchsorted(values.gap_source[order], np.arange(values.units + 1)).astype(np.int64)
    return Synapses(first, at_once, records, first_gap, gaps, first_line, lines)


def _lines_of(source: npt.NDArray[Any], delay: FloatArray, first: IntArray) -> Table:
    """Lines of synapses that are sorted by (source, delay), silent."""
    from event_sim.kernels.lines import LINE

    begins = np.flatnonzero((delay > 0) & ((np.diff(source, prepend=-1) != 0) | (np.diff(delay, prepend=0.0) != 0)))
    lines = np.zeros(len(begins), dtype=LINE)
    lines["first"], lines["source"], lines["delay"], lines["next"] = begins, source[begins], delay[begins], -1
    ends = first[lines["source"] + 1]
    follows = np.append(lines["source"][1:] == lines["source"][:-1], False)[: len(lines)]
    lines["last"] = np.where(follows, np.append(begins[1:], 0)[: len(lines)], ends)
    lines["longest"] = ~follows
    return lines


def neurons_of(
    kind: npt.DTypeLike, values: LTCValues, state: FloatArray, quantum: FloatArray, synapses: Synapses, epsilon: float
) -> npt.NDArray[Any]:
    """Neuron records of the given kind at the given state, which they have just sent, with their sums (leak and gap junctions included)."""
    neurons = records_of(values.units, kind)
    neurons["value"] = neurons["sent"] = state
    neurons["quantum"], neurons["capacity"] = quantum, values.cm
    conductance, driven = values.gleak + epsilon, values.gleak * values.vleak
    for part in (synapses.synapses[at : at + PART] for at in range(0, len(synapses.synapses), PART)):
        conductance += np.bincount(part["target"], weights=part["now"], minlength=values.units)
        driven += np.bincount(part["target"], weights=part["now"] * part["erev"], minlength=values.units)
    if values.has_gaps:
        conductance += np.bincount(values.gap_target, weights=values.gap_w, minlength=values.units)
        driven += np.bincount(values.gap_target, weights=values.gap_w * state[values.gap_source], minlength=values.units)
    neurons["conductance"], neurons["driven"] = conductance, driven
    return neurons


def check_range(values: LTCValues, network: LiquidNetwork) -> None:
    """ValueError naming a neuron whose sums of conductances can leave the range of numbers."""
    with np.errstate(over="ignore", invalid="ignore"):
        largest = values.gleak.copy()
        sides = ((values.target, values.w, values.erev), (values.sensory_target, values.sensory_w, values.sensory_erev))
        for target, w, erev in (*sides, (values.gap_target, values.gap_w, np.zeros(1))):
            largest += np.bincount(target, weights=w, minlength=values.units) * (1.0 + np.abs(erev).max(initial=0.0))
        largest *= 1.0 + np.abs(values.vleak)
    if not (largest < LARGEST).all():
        unit = int(np.argmin(largest < LARGEST))
        raise ValueError(
            f"conductances times potentials must stay below {LARGEST:g}, but the sum of those of {network.labels[unit]} can be "
            f"{largest[unit]:g}; use smaller parameters"
        )


def fan_out(values: LTCValues) -> IntArray:
    """(units + inputs,) how many synapses and gap junctions hear each source."""
    counts = [np.bincount(values.source, minlength=values.units) + np.bincount(values.gap_source, minlength=values.units)]
    return np.concatenate([*counts, np.bincount(values.sensory_source, minlength=values.inputs)]).astype(np.int64)


def records_of(count: int, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """(count,) records of zeros that begin at a cache line: a record of two lines does not lie in three."""
    size = count * np.dtype(kind).itemsize
    room = np.zeros(size + ALIGNMENT, dtype=np.uint8)
    begin = -room.ctypes.data % ALIGNMENT
    return room[begin : begin + size].view(kind)


def clocked_operations(values: LTCValues, unfolds: int, samples: int) -> int:
    """Synapse evaluations of a clock-driven run: every recurrent synapse and gap junction in every sub-step, every sensory synapse in every
    sample."""
    return samples * (unfolds * (len(values.w) + len(values.gap_w)) + len(values.sensory_w))


def algebraic_levels(values: LTCValues, network: LiquidNetwork) -> int:
    """How many neurons without inertia (cm = 0) follow each other in a row at most. ValueError by name where they form a circle."""
    return len(kinds(values, network.labels).levels) if (values.cm == 0.0).any() else 0


def segments_of(courses: Table, outputs: int, unit_s: float) -> tuple[Segments, ...]:
    """The courses (kernels.ltc_exact.COURSE, model units) of the output neurons, one by one, in seconds."""
    mine = [courses[courses["unit"] == output] for output in range(outputs)]
    return tuple(Segments(own["time"] * unit_s, own["start"].copy(), own["target"].copy(), own["rate"] / unit_s) for own in mine)


def curved_segments_of(courses: Table, values: LTCValues, unit_s: float) -> tuple[CurvedSegments, ...]:
    """The courses (kernels.ltc_second.SECOND_COURSE) of the output neurons, one by one."""
    result = []
    for output in range(values.outputs):
        own = courses[courses["unit"] == output]
        start, push, first, second, held = (own[name].copy() for name in ("start", "push", "first", "second", "held"))
        result.append(CurvedSegments(own["time"] * unit_s, start, push, first, second, held, float(values.cm[output]), unit_s))
    return tuple(result)


def event_free(units: int, input_counts: IntArray, operations: int, started: float) -> dict[str, Any]:
    """What the recording of a clock-driven run has in place of events."""
    return {
        "engine": "clocked",
        "events": ordered_events(np.zeros(0, dtype=EVENT_TYPE)),
        "event_counts": np.zeros(units, dtype=np.int64),
        "input_event_counts": input_counts,
        "neuron_synaptic_operations": 0,
        "stored_synaptic_operations": operations,
        "clocked_synaptic_operations": operations,
        "seconds": time.perf_counter() - started,
    }


class Log:
    """Rows written by a kernel, in an array that grows fourfold when it is full, because nobody knows their number before."""

    def __init__(self, kind: npt.DTypeLike, size: int) -> None:
        self.array: npt.NDArray[Any] = np.empty(max(size, 1 << 16), dtype=kind)  # memory is taken when rows are written

    def reserve(self, used: int, more: int) -> npt.NDArray[Any]:
        """The array, with room for `more` rows behind the `used` ones."""
        if used + more > len(self.array):
            grown = np.empty(max(4 * len(self.array), used + more), dtype=self.array.dtype)
            grown[:used] = self.array[:used]
            self.array = grown
        return self.array
