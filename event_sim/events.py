"""Input as events: who changed, when, to what value; and the clock on which sampled networks read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.checks import as_numbers, check_seconds, is_whole

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_CHANNELS = 1 << 31
BOUNDARY_TOLERANCE = 1e-6  # of the sample: decimal multiples of a sample are not binary ones, and must not fall one sample late


@dataclass(frozen=True, eq=False)
class EventStream:
    """Levels of input channels as events. An event sets the level of its channel, which holds until the channel's next event.

    time_s: (n,) seconds, never decreasing. channel: (n,) numbers from 0. value: (n,) levels as the network's inputs see them
    (standardised). Levels start at 0. Same time, same channel: the last row wins.
    sample_times_s: (K + 1,) boundaries of the sample clock, or None. Sample k lasts from [k] to [k + 1]; an event takes effect at the first
    boundary at or after its time (1e-6 of the sample are tolerated), so one after the last boundary is not seen.
    channels: how many channels there are (default: the largest number + 1).
    sample_s: the length of all samples where they are equal. Given alone, boundaries stand at its multiples and reach over the last event.
    durations_s: (K,) the samples' lengths as they were given (differences of boundaries carry rounding).
    sample_index: (n,) the sample of each event where that is known better than from its time (samples of length 0).
    restarts: whether the stream tells every level from its beginning, so that levels held by an earlier run are not carried over.
    Malformed rows raise ValueError with the row.
    """

    time_s: FloatArray
    channel: IntArray
    value: FloatArray
    sample_times_s: FloatArray | None = None
    channels: int = field(default=-1, kw_only=True)
    sample_s: float | None = field(default=None, kw_only=True)
    durations_s: FloatArray | None = field(default=None, kw_only=True)
    sample_index: IntArray | None = field(default=None, kw_only=True)
    restarts: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        time_s, channel, value = _checked_rows(self.time_s, self.channel, self.value)
        largest = int(channel.max()) + 1 if len(channel) else 0
        if self.channels is not None and (not is_whole(self.channels) or self.channels < -1):
            raise ValueError(f"`channels` must be a whole number of at least 0, but is {self.channels!r:.80}")
        channels = self.channels if self.channels is not None and self.channels >= 0 else largest
        if channels < largest:
            raise ValueError(f"`channel` must be below channels = {channels}, but is {largest - 1} in row {int(channel.argmax())}")
        boundaries, durations = _checked_clock(self.sample_times_s, self.sample_s, self.durations_s, time_s)
        for name, array in (("time_s", time_s), ("channel", channel), ("value", value)):
            object.__setattr__(self, name, _frozen(array))
        object.__setattr__(self, "channels", channels)
        object.__setattr__(self, "sample_times_s", None if boundaries is None else _frozen(boundaries))
        object.__setattr__(self, "durations_s", None if durations is None else _frozen(durations))
        if boundaries is not None:
            index = _samples_of(time_s, boundaries) if self.sample_index is None else _checked_index(self.sample_index, time_s)
            object.__setattr__(self, "sample_index", _frozen(index))

    @property
    def samples(self) -> int:
        """The number of samples K; 0 without a sample clock."""
        return 0 if self.sample_times_s is None else len(self.sample_times_s) - 1

    def __len__(self) -> int:
        return len(self.time_s)

    def __iter__(self) -> Iterator[tuple[float, int, float]]:
        return iter(zip(self.time_s.tolist(), self.channel.tolist(), self.value.tolist()))

    @classmethod
    def from_samples(
        cls,
        x: npt.ArrayLike,
        sample_s: float | None = None,
        timespans: npt.ArrayLike | None = None,
        threshold: npt.ArrayLike = 0.0,
        time_unit_s: float = 1.0,
    ) -> EventStream:
        """Send-on-delta encoding of samples x (K, channels) or (K,), starting at time 0 s.

        A channel sends its value where it differs from the value last sent (at first: 0) by `threshold` or more (0: by anything), so the
        held level is never further than the threshold from x. threshold: one number or one per channel.
        Either sample_s (seconds per sample) or timespans (K,) in model units of time_unit_s seconds; x[k] holds during timespans[k].
        """
        samples = _finite_matrix(x)
        count = len(samples)
        if (sample_s is None) == (timespans is None):
            raise ValueError(
                "from_samples must be given either `sample_s` or `timespans`, but got " + ("neither" if sample_s is None else "both")
            )
        if sample_s is not None:
            durations = np.full(count, check_seconds("`sample_s`", sample_s, positive=True))
            boundaries = _multiples(durations[0] if count else 1.0, count)
        else:
            spans = as_numbers("`timespans`", timespans)
            spans = spans[..., 0] if spans.ndim == 2 and spans.shape[-1] == 1 else spans
            if spans.shape not in ((), (count,)):
                raise ValueError(f"`timespans` must have one entry per sample ({count}), but has shape {spans.shape}")
            if not (np.isfinite(spans) & (spans >= 0)).all():
                row = int(np.argmin(np.isfinite(spans) & (spans >= 0)))
                raise ValueError(f"`timespans` must be finite and at least 0, but is {spans.flat[row]} in row {row}")
            durations = np.full(count, spans) * check_seconds("`time_unit_s`", time_unit_s, positive=True)
            boundaries = np.concatenate([np.zeros(1), np.cumsum(durations)])
        step, channel, value = _encode(samples, threshold)
        clock: dict[str, Any] = {"sample_s": sample_s, "durations_s": durations, "sample_index": step, "restarts": True}
        return cls(boundaries[step], channel, value, boundaries, channels=samples.shape[1], **clock)

    @classmethod
    def from_log(cls, time_s: npt.ArrayLike, x: npt.ArrayLike, threshold: npt.ArrayLike = 0.0, until: float | None = None) -> EventStream:
        """Stamped measurements x (K, channels) or (K,), each held until the next stamp; the stamps become the sample clock.

        NaN means not measured: the channel keeps its level (0 at first). Rows with equal stamps become one; there the last measurement of
        each channel wins. The last row holds until `until`, by default as long as the row before it.
        """
        stamps, rows = as_numbers("`time_s`", time_s), as_numbers("`x`", x)
        rows = rows[:, None] if rows.ndim == 1 else rows
        if rows.ndim != 2 or stamps.shape != (len(rows),) or len(rows) == 0:
            raise ValueError(f"`x` must have one row per stamp, but shapes are {stamps.shape} and {rows.shape}")
        _check_monotone(stamps)
        if np.isinf(rows).any():
            raise ValueError(f"`x` must be finite or NaN (not measured), but is infinite in row {int(np.argwhere(np.isinf(rows))[0, 0])}")
        known = np.where(np.isnan(rows), -1, np.arange(len(rows))[:, None])
        last_known = np.maximum.accumulate(known, axis=0)
        filled = np.where(last_known < 0, 0.0, np.take_along_axis(rows, np.maximum(last_known, 0), axis=0))
        last_of_stamp = np.append(stamps[1:] != stamps[:-1], True)
        stamps, filled = stamps[last_of_stamp], filled[last_of_stamp]
        if until is None:
            if len(stamps) < 2:
                raise ValueError("`until` must be given for a log with one stamp, because nothing tells how long its measurement holds")
            until = float(2 * stamps[-1] - stamps[-2])
        if check_seconds("`until`", until) < stamps[-1]:
            raise ValueError(f"`until` must not lie before the last stamp ({stamps[-1]:g} s), but is {until:g} s")
        boundaries = np.append(stamps, until)
        step, channel, value = _encode(filled, threshold)
        return cls(stamps[step], channel, value, boundaries, channels=filled.shape[1], sample_index=step, restarts=True)

    @classmethod
    def from_counter(
        cls, counter: npt.ArrayLike, channel: npt.ArrayLike, value: npt.ArrayLike, tick_s: float = 1e-6, bits: int = 32, **clock: Any
    ) -> EventStream:
        """Rows stamped by a counter of 1 to 62 bits that wraps around (event cameras: microseconds in 32 bits). Time 0 is the first row.

        A step of half the counter's range or more counts as going back and is refused with the row.
        """
        if not is_whole(bits) or not 1 <= bits <= 62:
            raise ValueError(f"`bits` must be a whole number 1 to 62, but is {bits!r:.80}")
        tick_s, counts = check_seconds("`tick_s`", tick_s, positive=True), _whole("`counter`", counter, 1 << 62)
        steps = np.diff(counts) % (1 << bits)
        if (steps >= 1 << (bits - 1)).any():
            row = int(np.argmax(steps >= 1 << (bits - 1))) + 1
            raise ValueError(f"`counter` must not go back, but falls from {counts[row - 1]} to {counts[row]} in row {row}; sort the rows")
        elapsed = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(steps)])[: len(counts)]
        return cls(np.asarray(elapsed * tick_s, dtype=np.float64), np.asarray(channel), as_numbers("`value`", value), **clock)

    def held(self) -> FloatArray:
        """(K, channels): the levels that a sampled network sees, sample by sample."""
        if self.sample_times_s is None or self.sample_index is None:
            raise ValueError("`sample_times_s` must be given to sample a stream, but is missing; use with_clock(sample_s)")
        count, seen = self.samples, int(np.searchsorted(self.sample_index, self.samples))
        if count == 0 or self.channels == 0:
            return np.zeros((count, self.channels))
        size = np.int32 if len(self) < np.iinfo(np.int32).max else np.int64
        row = np.zeros((count, self.channels), dtype=size)  # of the last event so far; 0: none, the level is 0
        row[self.sample_index[:seen], self.channel[:seen]] = np.arange(1, seen + 1)  # NumPy assigns in order: the last one stays
        np.maximum.accumulate(row, axis=0, out=row)
        return np.append(0.0, self.value)[row]

    def with_clock(self, sample_s: float, until: float | None = None) -> EventStream:
        """The same events on a regular sample clock that starts at 0 s and reaches to `until` (default: over the last event)."""
        sample_s = check_seconds("`sample_s`", sample_s, positive=True)
        end = self.time_s[-1] + sample_s if until is None and len(self) else check_seconds("`until`", 0.0 if until is None else until)
        count = max(int(np.floor(end / sample_s + BOUNDARY_TOLERANCE)), 0)
        return replace(self, sample_times_s=_multiples(sample_s, count), sample_s=sample_s, durations_s=None, sample_index=None)


def _frozen(array: Any) -> Any:
    copy = np.array(array, order="C")
    copy.setflags(write=False)
    return copy


def _multiples(sample_s: float, count: int) -> FloatArray:
    """The count + 1 boundaries of a regular clock from 0 s."""
    return np.asarray(sample_s * np.arange(count + 1), dtype=np.float64)


def _check_monotone(time_s: FloatArray) -> None:
    if not np.isfinite(time_s).all():
        row = int(np.argmin(np.isfinite(time_s)))
        raise ValueError(f"`time_s` must be finite, but is {time_s[row]} in row {row}")
    back = np.diff(time_s) < 0
    if back.any():
        row = int(np.argmax(back)) + 1
        raise ValueError(
            f"`time_s` must not go back, but falls from {time_s[row - 1]!s} s to {time_s[row]!s} s in row {row}; sort the rows"
        )


def _checked_rows(time_s: Any, channel: Any, value: Any) -> tuple[FloatArray, IntArray, FloatArray]:
    times = np.atleast_1d(as_numbers("`time_s`", time_s))
    numbers, values = _whole("`channel`", channel, MOST_CHANNELS), as_numbers("`value`", value)
    if any(array.shape not in ((), times.shape) for array in (numbers, values)):
        raise ValueError(f"`channel` and `value` must have one row per time, but shapes are {times.shape}, {numbers.shape}, {values.shape}")
    numbers, values = np.broadcast_to(numbers, times.shape), np.broadcast_to(values, times.shape)
    if times.ndim != 1:
        raise ValueError(f"`time_s` must be one-dimensional, but has shape {times.shape}")
    _check_monotone(times)
    if (numbers < 0).any():
        raise ValueError(f"`channel` must not be negative, but is {numbers.min()} in row {int(numbers.argmin())}")
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise ValueError(f"`value` must be finite, but is {values[row]} in row {row}")
    return times, numbers, values


def _whole(name: str, given: Any, limit: int) -> IntArray:
    """The given numbers as integers. ValueError where one is not whole, or `limit` or more."""
    numbers = given if isinstance(given, np.ndarray) and given.dtype.kind in "iu" else as_numbers(name, given)
    if numbers.size and not (np.isfinite(numbers).all() and np.array_equal(numbers, np.floor(numbers))):
        raise ValueError(f"{name} must hold whole numbers, but does not")
    if numbers.size and not (np.abs(numbers) < limit).all():
        raise ValueError(f"{name} must hold numbers below {limit}, but holds {numbers.flat[int(np.abs(numbers).argmax())]:g}")
    return numbers.astype(np.int64)


def _checked_index(index: Any, time_s: FloatArray) -> IntArray:
    numbers = _whole("`sample_index`", index, 1 << 62)
    if numbers.shape != time_s.shape or (numbers < 0).any():
        raise ValueError(f"`sample_index` must hold one number of at least 0 per row ({len(time_s)}), but does not")
    if (np.diff(numbers) < 0).any():
        row = int(np.argmax(np.diff(numbers) < 0)) + 1
        raise ValueError(
            f"`sample_index` must not go back, but falls from {numbers[row - 1]} to {numbers[row]} in row {row}; sort the rows"
        )
    return numbers


def _checked_clock(
    boundaries: Any, sample_s: float | None, durations: Any, time_s: FloatArray
) -> tuple[FloatArray | None, FloatArray | None]:
    if sample_s is not None:
        sample_s = check_seconds("`sample_s`", sample_s, positive=True)
    if boundaries is None:
        if sample_s is None:
            return None, None
        last = int(np.ceil(time_s[-1] / sample_s - BOUNDARY_TOLERANCE)) if len(time_s) else -1
        boundaries = _multiples(sample_s, max(last, -1) + 1)
    edges = as_numbers("`sample_times_s`", boundaries)
    if edges.ndim != 1 or len(edges) < 1 or not np.isfinite(edges).all():
        raise ValueError("`sample_times_s` must be a list of K + 1 finite boundaries in seconds, but is not")
    if (np.diff(edges) < 0).any():
        row = int(np.argmax(np.diff(edges) < 0)) + 1
        raise ValueError(f"`sample_times_s` must not go back, but falls from {edges[row - 1]!s} s to {edges[row]!s} s in row {row}")
    if durations is None:
        durations = np.diff(edges) if sample_s is None else np.full(len(edges) - 1, float(sample_s))
        if not np.allclose(np.diff(edges), durations, rtol=1e-6, atol=1e-9 * (1.0 + np.abs(edges).max())):
            raise ValueError(f"`sample_times_s` must be {sample_s:g} s apart where `sample_s` says so, but are not; give one of them")
    lengths = as_numbers("`durations_s`", durations)
    if lengths.shape != (len(edges) - 1,) or not (np.isfinite(lengths) & (lengths >= 0)).all():
        raise ValueError(f"`durations_s` must be {len(edges) - 1} finite numbers of seconds >= 0, one per sample, but are not")
    return edges, lengths


def _samples_of(time_s: FloatArray, boundaries: FloatArray) -> IntArray:
    """The first boundary at or after each time, tolerating times that lie less than 1e-6 of a sample behind a boundary."""
    index = np.searchsorted(boundaries, time_s, side="left")
    before = np.clip(index - 1, 0, None)
    lengths = np.append(np.diff(boundaries), np.diff(boundaries)[-1:]) if len(boundaries) > 1 else np.zeros(1)
    local = lengths[np.minimum(before, len(lengths) - 1)]
    late = (index > 0) & (time_s - boundaries[before] <= BOUNDARY_TOLERANCE * local)
    # Of several boundaries at one time the first one counts, as it does for times that hit it exactly.
    first_equal = np.searchsorted(boundaries, boundaries[before], side="left")
    return np.where(late, first_equal, index).astype(np.int64)


def _finite_matrix(x: npt.ArrayLike) -> FloatArray:
    samples = as_numbers("`x`", x)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if samples.ndim != 2:
        raise ValueError(f"`x` must have shape (samples, channels), but has shape {samples.shape}")
    if not np.isfinite(samples).all():
        row, channel = np.argwhere(~np.isfinite(samples))[0]
        raise ValueError(
            f"`x` must be finite, but is {samples[row, channel]} in row {row}, channel {channel}; use from_log for missing values"
        )
    return samples


def _encode(samples: FloatArray, threshold: npt.ArrayLike) -> tuple[IntArray, IntArray, FloatArray]:
    """Send-on-delta: (sample, channel, value) rows in order of sample, then channel."""
    limit = as_numbers("`threshold`", threshold)
    if limit.shape not in ((), (samples.shape[1],)) or not (np.isfinite(limit) & (limit >= 0)).all():
        raise ValueError(f"`threshold` must be one finite number >= 0 or one per channel ({samples.shape[1]}), but is {threshold!r}")
    sends = np.zeros(samples.shape, dtype=bool)
    sent = np.zeros(samples.shape[1])
    if not limit.any():
        sends = np.diff(samples, axis=0, prepend=sent[None]) != 0
    else:
        for step, row in enumerate(samples):
            sends[step] = (np.abs(row - sent) >= limit) & (row != sent)
            sent = np.where(sends[step], row, sent)
    steps, channels = np.nonzero(sends)
    return steps.astype(np.int64), channels.astype(np.int64), samples[steps, channels]
