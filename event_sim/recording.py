"""What a run leaves behind: states, outputs, events and counts, frozen."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from event_sim.carried import Carried
from event_sim.events import EventStream, FloatArray, IntArray
from liquid_neuro.checks import as_numbers, freeze_arrays

if TYPE_CHECKING:
    from event_sim.chip_activity import ChipActivity

EVENT_TYPE = np.dtype([("time_s", np.float64), ("unit", np.int64), ("value", np.float64)])


@dataclass(frozen=True, eq=False)
class FinalState:
    """Where a run ended: give it as initial= to go on from there.

    state: (units,), or (h, c) each (units,) for mixed memory. inputs: (channels,) the levels then held.
    stream: the stream that `until` cut off. Given again, it is continued from time_s; another stream starts at its own beginning.
    chip: what a chip run needs beside (accumulators, messages last sent), else None. carried: what an event-driven run needs beside (what
    neurons last sent, messages under way), so that a run that is cut in two gives the same bytes; None after other engines.
    network: the fingerprint of the network that ran; another network is refused. "" for any.
    """

    time_s: float
    state: FloatArray | tuple[FloatArray, FloatArray]
    inputs: FloatArray
    stream: EventStream | None = None
    chip: Any = None
    carried: Carried | None = None
    network: str = ""

    def __post_init__(self) -> None:
        freeze_arrays(self)


@dataclass(frozen=True, eq=False)
class Segments:
    """A unit's exact course between events: v(t) = target + (start - target) exp(-rate (t - time_s)) from each row's time to the next.

    time_s, start, target, rate: (n,), times ascending; of equal times the last row counts. rate may be infinite (the unit jumps).
    """

    time_s: FloatArray
    start: FloatArray
    target: FloatArray
    rate: FloatArray

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def at(self, time_s: FloatArray) -> FloatArray:
        """The values at the given times; before the first row its start."""
        row = np.clip(np.searchsorted(self.time_s, time_s, side="right") - 1, 0, len(self.time_s) - 1)
        elapsed = np.maximum(time_s - self.time_s[row], 0.0)
        with np.errstate(invalid="ignore"):
            decay = np.where(np.isinf(self.rate[row]), 0.0, np.exp(-self.rate[row] * elapsed))
        return np.asarray(self.target[row] + (self.start[row] - self.target[row]) * decay)


@dataclass(frozen=True, eq=False)
class CurvedSegments:
    """A unit's course between events of second order: the solution of capacity v' = push - held (v - start) + first tau + second tau^2.

    tau: model units since each row's time. All but capacity and unit_s (seconds per model unit): (n,), times ascending.
    """

    time_s: FloatArray
    start: FloatArray
    push: FloatArray
    first: FloatArray
    second: FloatArray
    held: FloatArray
    capacity: float
    unit_s: float

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def at(self, time_s: FloatArray) -> FloatArray:
        """The values at the given times; before the first row its start."""
        from event_sim.kernels.ltc_second import SECOND_NEURON, second_values_at

        row = np.clip(np.searchsorted(self.time_s, time_s, side="right") - 1, 0, len(self.time_s) - 1)
        result = np.empty(len(time_s))
        neuron = np.zeros(1, dtype=SECOND_NEURON)
        neuron["inertia"] = self.capacity
        for index, (place, moment) in enumerate(zip(row, time_s)):
            for name, column in (("value", self.start), ("push", self.push), ("first", self.first), ("second", self.second)):
                neuron[name] = column[place]
            neuron["held"] = self.held[place]
            second_values_at(neuron, (moment - self.time_s[place]) / self.unit_s, result[index : index + 1])
        return result


@dataclass(frozen=True, eq=False)
class Recording:
    """The result of `simulate`.

    engine: "event", "clocked", "chip" or "frames".
    state: (n, units) at state_times_s (n,). On a sample clock row 0 is the initial state and row k the end of sample k - 1; without one, n
    are the times of input events, the start and the end. States are those just before what happens at that time.
    output_samples: (K, outputs), y at the end of every sample (no rows without a sample clock).
    events: structured (time_s, unit, value): what neurons sent, ordered by (time, unit). event_counts: (units,).
    input_event_counts: (channels,) events of the stream that took effect, no-ops (the level already held) included.
    neuron_synaptic_operations: events times fan-out in the neuron graph (`synaptic_operations` is the same).
    stored_synaptic_operations: all synapses that were evaluated, sensory ones included; on a chip with its gates.
    clocked_synaptic_operations: what a clock-driven run of the same stream evaluates.
    error_bound: of the outputs and the recorded states at the recorded times, against the network's own solver run without quantum;
    error_bound_kind says where it comes from (see event_sim/bounds.py): "derived" (proved for this network and these input levels, at all
    times), "measured" (the largest difference to the clock-driven run plus its own bound), "confirmed" (by coarser runs that were moved on
    their way: evidence, no proof), "box" (all states stay in a box, and nothing better is known: the network amplifies what is left
    unsent), "estimate" (to first order, for runs with nothing beside them: no bound), "rounding" (the solver's own steps: only networks
    that amplify much make more than 1e-9 of rounding) or "none". error_estimate: what the largest error probably is.
    engine_reason: why `engine="auto"` chose the engine; "" where it was asked for.
    state_units: the units whose states `state` holds, column by column, where `record` chose some; else empty: all of them.
    events_dropped: how many events `most_events` left out, the earliest ones; event_counts counts them. An event-driven run of the exact
    solver that dropped some tells outputs at its recorded times only. sources: of the wiring's synapses (see synapse_event_counts).
    activity: the chip's counts (event_sim.chip_activity), else None. seconds: the wall time that the run took.
    interrupted: whether Ctrl-C ended the run before its time; the recording then reaches as far as the run came.
    """

    engine: str
    state: FloatArray
    state_times_s: FloatArray
    output_samples: FloatArray
    final: FinalState
    events: npt.NDArray[np.void]
    event_counts: IntArray
    input_event_counts: IntArray
    neuron_synaptic_operations: int
    stored_synaptic_operations: int
    clocked_synaptic_operations: int
    error_bound: float
    seconds: float
    error_bound_kind: str = "none"
    error_estimate: float = 0.0
    quantum: FloatArray = field(default_factory=lambda: np.zeros(0))
    output_initial: FloatArray = field(default_factory=lambda: np.zeros(0))
    output_segments: tuple[Segments, ...] | tuple[CurvedSegments, ...] = ()
    output_gain: FloatArray = field(default_factory=lambda: np.zeros(0))
    output_offset: FloatArray = field(default_factory=lambda: np.zeros(0))
    activity: ChipActivity | None = None
    interrupted: bool = False
    engine_reason: str = ""
    state_units: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    events_dropped: int = 0
    sources: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]] | None = None

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @property
    def synaptic_operations(self) -> int:
        """Events times fan-out in the neuron graph."""
        return self.neuron_synaptic_operations

    def told(self, **facts: Any) -> Recording:
        """The same recording with other facts (fields that are no arrays, or arrays that are read-only already)."""
        result = copy(self)
        for name, fact in facts.items():
            object.__setattr__(result, name, fact)
        return result

    @property
    def synapse_event_counts(self) -> tuple[IntArray, IntArray]:
        """How many events every recurrent and every sensory synapse passed on, in the order of the wiring's lists: those of its source."""
        if self.sources is None:
            raise ValueError("a recording must come from a network with a wiring to tell events per synapse, but does not")
        source, sensory_source = self.sources
        return self.event_counts[source], self.input_event_counts[sensory_source]

    def output(self, time_s: npt.ArrayLike) -> FloatArray:
        """y at the given time: (outputs,) for a number, (n, outputs) for n times.

        Solver exact: the value itself. Sampled networks: y as read at the end of the last sample that ended by then (1e-9 of the run's
        length tolerated), before that the initial output. Times outside the run raise ValueError.
        """
        times = np.atleast_1d(as_numbers("`time_s`", time_s))
        start, end = float(self.state_times_s[0]), float(self.state_times_s[-1])
        slack = 1e-9 * max(end - start, abs(end))
        if not ((times >= start - slack) & (times <= end + slack)).all():
            raise ValueError(f"`time_s` must lie within the run ({start:g} s to {end:g} s), but is {times.min():g} s to {times.max():g} s")
        if self.output_segments:
            raw = np.stack([segments.at(times) for segments in self.output_segments], axis=1)
            values = self.output_gain * raw + self.output_offset
        else:
            row = np.searchsorted(self.state_times_s, times + slack, side="right") - 1
            rows = np.concatenate([self.output_initial.reshape(1, -1), self.output_samples])
            values = rows[np.clip(row, 0, len(rows) - 1)]
        return np.asarray(values[0] if np.ndim(time_s) == 0 else values)


def event_table(time_s: FloatArray, unit: IntArray, value: FloatArray) -> npt.NDArray[np.void]:
    """Neuron events as one read-only structured array, ordered by (time, unit); a unit's own order at one time is kept."""
    table = np.empty(len(time_s), dtype=EVENT_TYPE)
    table["time_s"], table["unit"], table["value"] = time_s, unit, value
    return ordered_events(table)


def ordered_events(table: npt.NDArray[np.void], own: bool = False) -> npt.NDArray[np.void]:
    """A read-only copy of an event table, ordered by (time, unit); a unit's own order at one time is kept.

    own: nobody else will write to the memory of the table, which therefore is not copied where most of that memory is in use.
    """
    from event_sim.kernels.order import in_order

    whole = table.base if isinstance(table.base, np.ndarray) else table
    if not in_order(table):
        result = table[np.lexsort((table["unit"], table["time_s"]))]
    else:
        result = table.view() if own and 2 * len(table) > len(whole) else table.copy()
    result.setflags(write=False)
    return result
