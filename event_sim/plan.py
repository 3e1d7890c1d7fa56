"""What a run is about to do, with every question about clocks, levels and initial states answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim.events import BOUNDARY_TOLERANCE, EventStream, FloatArray, IntArray
from event_sim.keeping import Keep, keep_of
from event_sim.recording import FinalState
from liquid_neuro.checks import as_numbers, check_seconds
from liquid_neuro.network import Exact, LiquidNetwork

CHUNKS = 100  # a progress bar moves at most so many times


@dataclass(frozen=True, eq=False)
class Start:
    """The state at the beginning: state (units,), memory (units,) or None, inputs (channels,) the held levels.

    final: the end of the run that goes on, None for a run that begins.
    """

    state: FloatArray
    memory: FloatArray | None
    inputs: FloatArray
    final: FinalState | None = None


@dataclass(frozen=True, eq=False)
class SampledPlan:
    """A run over K samples.

    boundaries_s (K + 1,), lengths_s (K,), timespans (K,) in model units, levels (K, inputs), event_counts (channels,).
    cut_off: whether the stream goes on after the run's end. first: the number of the run's first sample in the stream.
    keep: what its recording keeps; None for everything.
    """

    network: LiquidNetwork
    stream: EventStream
    start: Start
    boundaries_s: FloatArray
    lengths_s: FloatArray
    timespans: FloatArray
    levels: FloatArray
    event_counts: IntArray
    cut_off: bool
    first: int = 0
    keep: Keep | None = None

    @property
    def kept(self) -> Keep:
        """What its recording keeps."""
        return self.keep or keep_of("all", None, self.network.units, self.network.outputs)

    @property
    def samples(self) -> int:
        """The number of samples."""
        return len(self.timespans)

    def shortened(self, samples: int) -> SampledPlan:
        """The plan of the first so many samples of this run."""
        if samples == self.samples:
            return self
        index = self.stream.sample_index
        assert index is not None
        ran = (index >= self.first) & (index < self.first + samples)
        return replace(
            self,
            boundaries_s=self.boundaries_s[: samples + 1],
            lengths_s=self.lengths_s[:samples],
            timespans=self.timespans[:samples],
            levels=self.levels[:samples],
            event_counts=np.bincount(self.stream.channel[ran], minlength=self.network.inputs).astype(np.int64),
            cut_off=True,
        )

    @cached_property
    def changes(self) -> tuple[IntArray, IntArray, FloatArray]:
        """(first change of each sample and the end (K + 1,), channel, level): levels that differ from those held before."""
        before = np.concatenate([self.start.inputs[None], self.levels[:-1]]) if self.samples else self.levels
        step, channel = np.nonzero(self.levels != before)
        first = np.searchsorted(step, np.arange(self.samples + 1))
        return first.astype(np.int64), channel.astype(np.int64), self.levels[step, channel]

    def level_range(self) -> tuple[FloatArray, FloatArray]:
        """The lowest and highest level of each channel during the run."""
        start = self.start.inputs
        if not self.samples:
            return start, start
        return np.minimum(self.levels.min(axis=0), start), np.maximum(self.levels.max(axis=0), start)

    def final(self, state: FloatArray | tuple[FloatArray, FloatArray]) -> FinalState:
        """The end of this run with the state it reached."""
        inputs = self.levels[-1] if self.samples else self.start.inputs
        stream = self.stream if self.cut_off else None
        return FinalState(float(self.boundaries_s[-1]), state, inputs.copy(), stream, network=self.network.fingerprint)


@dataclass(frozen=True, eq=False)
class ContinuousPlan:
    """A run in continuous time from start_s to end_s: changes of levels (time_s, channel, value) without no-ops; times to record at.

    samples: how many of the recorded times after the first end a sample (those that follow it).
    """

    network: LiquidNetwork
    stream: EventStream
    start: Start
    start_s: float
    end_s: float
    time_s: FloatArray
    channel: IntArray
    value: FloatArray
    record_s: FloatArray
    samples: int
    event_counts: IntArray
    cut_off: bool
    keep: Keep | None = None

    @property
    def kept(self) -> Keep:
        """What its recording keeps."""
        return self.keep or keep_of("all", None, self.network.units, self.network.outputs)

    def level_range(self) -> tuple[FloatArray, FloatArray]:
        """The lowest and highest level of each channel during the run."""
        low, high = self.start.inputs.copy(), self.start.inputs.copy()
        np.minimum.at(low, self.channel, self.value)
        np.maximum.at(high, self.channel, self.value)
        return low, high

    def levels_at(self, time_s: FloatArray) -> FloatArray:
        """(n, inputs): the levels held just before each time; before the first change those of the start."""
        levels = np.tile(self.start.inputs, (len(time_s), 1))
        for channel in np.unique(self.channel):
            mine = self.channel == channel
            row = np.searchsorted(self.time_s[mine], time_s, side="left") - 1
            levels[row >= 0, channel] = self.value[mine][row[row >= 0]]
        return levels

    def shortened(self, end_s: float, recorded: int, changed: int) -> ContinuousPlan:
        """The plan of this run up to end_s, by which so many times of it were recorded and so many changes of levels took effect."""
        record = self.record_s[:recorded]
        record = record if recorded and record[-1] == end_s else np.append(record, end_s)
        ran = (self.stream.time_s <= end_s) & (self.stream.time_s >= self.start_s)
        return replace(
            self,
            end_s=end_s,
            time_s=self.time_s[:changed],
            channel=self.channel[:changed],
            value=self.value[:changed],
            record_s=record,
            samples=min(self.samples, max(recorded - 1, 0)),
            event_counts=np.bincount(self.stream.channel[ran], minlength=self.network.inputs).astype(np.int64),
            cut_off=True,
        )

    def final(self, state: FloatArray) -> FinalState:
        """The end of this run with the state it reached."""
        inputs = self.start.inputs.copy()
        inputs[self.channel] = self.value  # NumPy assigns in order: the last change wins
        return FinalState(self.end_s, state, inputs, self.stream if self.cut_off else None, network=self.network.fingerprint)


def make_plan(
    network: LiquidNetwork, stream: EventStream, until: float | None, initial: Any, sample_s: float | None, *, sampled: bool = False
) -> SampledPlan | ContinuousPlan:
    """The plan of `simulate`'s arguments. Every contradiction among them is a ValueError.

    sampled: plan samples although the network's solver is exact (chips step on samples whatever they approximate).
    """
    if stream.channels > network.inputs:
        raise ValueError(f"`events` must have at most the network's {network.inputs} channels, but has {stream.channels}")
    if until is not None:
        until = check_seconds("`until`", until)
    stream = on_clock(stream, until, sample_s)
    if isinstance(network.solver, Exact) and not sampled:
        if network.mixed_memory:
            raise ValueError('mixed memory steps on samples, but the solver is exact; use with_solver("fused")')
        return _continuous(network, stream, until, initial)
    if stream.sample_times_s is None:
        raise ValueError(f"the solver {network.solver} steps on samples, but `events` has no sample_times_s; give `sample_s`")
    return _sampled(network, stream, until, initial)


def on_clock(stream: EventStream, until: float | None, sample_s: float | None) -> EventStream:
    """The stream on a clock of samples of sample_s seconds, which it must not contradict; None: as it is."""
    if sample_s is None:
        return stream
    if stream.sample_times_s is None:
        return stream.with_clock(sample_s, until)
    if stream.sample_s != sample_s:
        raise ValueError("`sample_s` must not be given for a stream that has its own sample clock, but is; leave it out")
    return stream


def _sampled(network: LiquidNetwork, stream: EventStream, until: float | None, initial: Any) -> SampledPlan:
    continued = isinstance(initial, FinalState) and initial.stream is not None and same_stream(initial.stream, stream)
    if until is not None:
        stream = _extended(stream, until)
    boundaries, lengths, index = stream.sample_times_s, stream.durations_s, stream.sample_index
    assert boundaries is not None
    assert lengths is not None
    assert index is not None
    first = int(np.searchsorted(boundaries, initial.time_s, side="right")) - 1 if continued else 0
    if continued:  # of samples of length 0 at the cut, those that ended have run
        first = min(max(first, 0), len(lengths))
    last = len(lengths)
    if until is not None:
        if not continued and len(lengths) and until < boundaries[0]:
            raise ValueError(f"`until` must not lie before the stream, which starts at {boundaries[0]:g} s, but is {until:g} s")
        slack = BOUNDARY_TOLERANCE * (float(np.median(lengths)) if len(lengths) else 0.0)
        last = int(np.searchsorted(boundaries, until + slack, side="right")) - 1
        last = max(last, first)
    start = start_of(network, initial, keep_levels=continued or not stream.restarts)
    levels = np.zeros((last - first, network.inputs))
    held = stream.held()
    levels[:, : stream.channels] = held[first:last]
    if not stream.restarts and not continued:  # a channel keeps the level of the run before until its own first event
        seen = np.full(network.inputs, last)
        np.minimum.at(seen, stream.channel, index)
        waiting = np.arange(first, last)[:, None] < seen
        levels = np.where(waiting, start.inputs, levels)
    ran = (index >= first) & (index < last)
    counts = np.bincount(stream.channel[ran], minlength=network.inputs).astype(np.int64)
    lengths = lengths[first:last]
    spans, cut_off = lengths / network.time_unit_s, last < stream.samples
    return SampledPlan(network, stream, start, boundaries[first : last + 1], lengths, spans, levels, counts, cut_off, first)


def _extended(stream: EventStream, until: float) -> EventStream:
    """The stream with a clock that reaches `until`, where the clock is regular."""
    assert stream.sample_times_s is not None
    end = float(stream.sample_times_s[-1])
    if stream.sample_s is None:
        if until > end + BOUNDARY_TOLERANCE * (end - float(stream.sample_times_s[0])):
            raise ValueError(f"`until` must not lie behind the last sample boundary ({end:g} s) of an irregular clock, but is {until:g} s")
        return stream
    missing = int(np.floor((until - end) / stream.sample_s + BOUNDARY_TOLERANCE))
    if missing <= 0:
        return stream
    more = end + stream.sample_s * np.arange(1, missing + 1)
    clock = np.concatenate([stream.sample_times_s, more])
    index = stream.sample_index
    late = stream.time_s > end
    extended = EventStream(stream.time_s, stream.channel, stream.value, clock, channels=stream.channels, sample_s=stream.sample_s)
    assert index is not None
    assert extended.sample_index is not None
    merged = np.where(late, extended.sample_index, index)
    return EventStream(
        stream.time_s, stream.channel, stream.value, clock, channels=stream.channels, sample_s=stream.sample_s, sample_index=merged,
        restarts=stream.restarts,
    )  # fmt: skip


def _continuous(network: LiquidNetwork, stream: EventStream, until: float | None, initial: Any) -> ContinuousPlan:
    given = stream
    stream = stream if until is None or stream.sample_times_s is None else _extended(stream, until)
    clock = stream.sample_times_s
    known = isinstance(initial, FinalState) and initial.stream is not None and same_stream(initial.stream, given)
    continued = known or (isinstance(initial, FinalState) and clock is None)  # without a clock, times are absolute
    if continued:
        start_s = float(initial.time_s)
    elif clock is not None:
        start_s = float(clock[0])
    else:
        start_s = min(0.0, float(stream.time_s[0])) if len(stream) else 0.0
    natural_end = float(clock[-1]) if clock is not None else (float(stream.time_s[-1]) if len(stream) else start_s)
    end_s = max(natural_end, start_s) if until is None else _on_boundary(clock, float(until))
    if end_s < start_s:
        raise ValueError(f"`until` must not lie before the run's start ({start_s:g} s), but is {end_s:g} s")
    early = stream.time_s < start_s
    if early.any() and not known and clock is None:
        row = int(np.argmax(early))
        raise ValueError(f"`time_s` must not lie before the run's start ({start_s:g} s), but is {stream.time_s[row]:g} s in row {row}")
    kept = (stream.time_s <= end_s) & ((stream.time_s > start_s) | (not known))
    start = start_of(network, initial, keep_levels=continued or not stream.restarts)
    time_s, channel, value = np.maximum(stream.time_s[kept], start_s), stream.channel[kept], stream.value[kept]
    counts = np.bincount(channel, minlength=network.inputs).astype(np.int64)
    record, samples = _record_times(clock, time_s, start_s, end_s, continued)
    changes = effective_changes(time_s, channel, value, start.inputs)
    return ContinuousPlan(
        network, given, start, start_s, end_s, *changes, record, samples, counts, clock is None or end_s < natural_end
    )  # fmt: skip


def _record_times(clock: FloatArray | None, time_s: FloatArray, start_s: float, end_s: float, continued: bool) -> tuple[FloatArray, int]:
    """(times to record states at, how many of those after the first end a sample)."""
    if clock is None:
        return np.unique(np.concatenate([[start_s], time_s, [end_s]])), 0
    first = int(np.searchsorted(clock, start_s, side="right")) if continued else 1
    inner = clock[first : int(np.searchsorted(clock, end_s, side="right"))]
    beyond = [end_s] if end_s > (inner[-1] if len(inner) else start_s) else []
    return np.concatenate([[start_s], inner, beyond]), len(inner)


def _on_boundary(clock: FloatArray | None, time_s: float) -> float:
    """The boundary that a time means (decimal multiples of a sample are not binary ones), or the time itself."""
    if clock is None or len(clock) < 2:
        return time_s
    nearest = float(clock[int(np.argmin(np.abs(clock - time_s)))])
    return nearest if abs(nearest - time_s) <= BOUNDARY_TOLERANCE * float(np.median(np.diff(clock))) else time_s


def effective_changes(
    time_s: FloatArray, channel: IntArray, value: FloatArray, held: FloatArray
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Rows in order of (time, channel), of equal ones the last, without those that re-send the level already held."""
    order = np.lexsort((channel, time_s))
    time_s, channel, value = time_s[order], channel[order], value[order]
    last = np.append((time_s[1:] != time_s[:-1]) | (channel[1:] != channel[:-1]), True)[: len(time_s)]
    time_s, channel, value = time_s[last], channel[last], value[last]
    by_channel = np.argsort(channel, kind="stable")
    sorted_channel, sorted_value = channel[by_channel], value[by_channel]
    before = np.empty_like(sorted_value)
    before[1:] = sorted_value[:-1]
    first = np.append(True, sorted_channel[1:] != sorted_channel[:-1])[: len(channel)]
    before[first] = held[sorted_channel[first]]
    changed = np.empty(len(channel), dtype=bool)
    changed[by_channel] = sorted_value != before
    return time_s[changed], channel[changed], value[changed]


def start_of(network: LiquidNetwork, initial: Any, keep_levels: bool) -> Start:
    """The initial state from None (zeros), a FinalState, (units,) numbers, or (h, c) of them for mixed memory."""
    inputs = np.zeros(network.inputs)
    given: Any = initial
    final = initial if isinstance(initial, FinalState) else None
    if isinstance(initial, FinalState):
        if initial.network not in ("", network.fingerprint):
            raise ValueError(
                "`initial` must come from a run of this network, but comes from that of another; give its state alone (initial=final.state)"
            )
        given = initial.state
        if keep_levels:
            inputs[: len(initial.inputs)] = initial.inputs[: network.inputs]
    if given is None:
        given = (np.zeros(network.units),) * 2 if network.mixed_memory else np.zeros(network.units)
    if network.mixed_memory:
        if not isinstance(given, tuple) or len(given) != 2:
            raise ValueError("`initial` must be a pair (h, c) for mixed memory, but is not")
        return Start(_vector(given[0], network.units), _vector(given[1], network.units), inputs, final)
    return Start(_vector(given, network.units), None, inputs, final)


def _vector(values: npt.ArrayLike, units: int) -> FloatArray:
    if hasattr(values, "final"):
        raise ValueError("`initial` must be a state, but is a recording; give recording.final")
    vector = as_numbers("`initial`", values).copy()
    if vector.shape != (units,) or not np.isfinite(vector).all():
        raise ValueError(f"`initial` must hold one finite number per unit ({units}), but has shape {vector.shape}")
    return vector


def same_stream(first: EventStream, second: EventStream) -> bool:
    """Whether two streams hold the same rows on the same clock."""
    if first is second:
        return True
    clocks = (first.sample_times_s, second.sample_times_s)
    if (clocks[0] is None) != (clocks[1] is None):
        return False
    same_clock = clocks[0] is None or np.array_equal(clocks[0], clocks[1])  # type: ignore[arg-type]
    rows = ((first.time_s, second.time_s), (first.channel, second.channel), (first.value, second.value))
    return same_clock and all(np.array_equal(a, b) for a, b in rows)


def chunks(total: int, progress: bool, description: str) -> Iterator[tuple[int, int]]:
    """Parts (first, last) of `total` steps, one without a progress bar, many with one (on standard error)."""
    if not progress or total == 0:
        yield 0, total
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        size = max(1, -(-total // CHUNKS))
        for first in range(0, total, size):
            yield first, min(first + size, total)
            bar.update(task, advance=min(size, total - first))
