"""Runs over rows that come one by one (a generator, a socket, a file too long for memory): never more than a piece of them is held.

Each piece continues the run before it (`initial=recording.final`), which gives the bytes that one run over all rows would have given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from event_sim import tolerances
from event_sim.events import BOUNDARY_TOLERANCE, EventStream
from event_sim.interrupts import interruptible
from event_sim.keeping import Keep, kept
from event_sim.plan import make_plan
from event_sim.recording import Recording
from liquid_neuro.network import Exact, LiquidNetwork

PIECE = 1 << 14  # rows
JOINED = 64  # pieces
Row = tuple[float, int, float]


def run_pushed(
    network: LiquidNetwork, rows: Iterable[Any], until: float | None, quantum: Any, order: int, initial: Any, sample_s: float | None,
    keep: Keep, progress: bool,
) -> Recording:  # fmt: skip
    """The recording of an event-driven run over rows (time_s, channel, value) in order of time. quantum: (units,); else as in `simulate`.

    Its error is estimated, because nothing can be run twice. Under the exact solver outputs are told at the recorded times: the start, the
    rows' times and the end. Ctrl-C ends the run behind the present piece. ValueError for malformed rows, with their number.
    """
    started, final = time.perf_counter(), initial
    parts: list[Recording] = []
    exact = isinstance(network.solver, Exact)
    if not exact and sample_s is None:
        raise ValueError(f"`sample_s` must be given, because the solver {network.solver} steps on samples, but is None")
    with interruptible() as stopped, _bar(progress) as tell:
        for piece, ended in _pieces(rows, until, None if exact else sample_s):
            stream, end = _stream_of(piece, network, parts[-1].final.time_s if parts else None, ended, until, None if exact else sample_s)
            plan = replace(make_plan(network, stream, end, final, None), keep=keep)
            part = tolerances.event_run(plan, quantum, order, False)
            parts.append(kept(tolerances.with_errors(plan, part, order, confirm=False), keep, network.units))
            final = parts[-1].final
            if len(parts) == JOINED:  # so that what most_events drops does not wait for the end
                parts = [_joined(parts, keep, started)]
            tell(len(piece))
            if stopped() or part.interrupted:
                break
    return _joined(parts, keep, started)


def _stream_of(
    piece: list[Row], network: LiquidNetwork, start_s: float | None, ended: bool, until: float | None, sample_s: float | None
) -> tuple[EventStream, float | None]:
    """(a piece as a stream, the time to run it to). start_s: where the run before it ended."""
    columns = [np.array([row[index] for row in piece], dtype=float) for index in range(3)]
    time_s, value, channel = columns[0], columns[2], columns[1].astype(np.int64)
    if sample_s is None:
        last_s = until if ended and until is not None else float(time_s[-1]) if piece else start_s
        return EventStream(time_s, channel, value, channels=network.inputs), last_s
    first = 0 if start_s is None else round(start_s / sample_s)
    if ended and until is not None:
        last = int(np.floor(until / sample_s + BOUNDARY_TOLERANCE))
    else:  # the sample in which the last row takes effect still belongs to this piece
        last = int(_moment(piece[-1], sample_s)) + 1 if piece else first
    boundaries = np.asarray(sample_s * np.arange(first, max(last, first) + 1), dtype=np.float64)
    return EventStream(time_s, channel, value, boundaries, channels=network.inputs, sample_s=sample_s), None


def _pieces(rows: Iterable[Any], until: float | None, sample_s: float | None) -> Iterator[tuple[list[Row], bool]]:
    """(rows, whether they are the last ones). Rows that act together (at one time, in one sample) stay together."""
    source, number = iter(rows), 0
    waiting: list[Row] = []
    while True:
        fresh = [row_of(row, number + index) for index, row in enumerate(islice(source, PIECE))]
        inside = fresh if until is None else [row for row in fresh if row[0] <= until]
        number, waiting = number + len(fresh), waiting + inside
        if len(fresh) < PIECE or len(inside) < len(fresh):
            yield waiting, True
            return
        last = _moment(waiting[-1], sample_s)
        ready = [row for row in waiting if _moment(row, sample_s) < last]
        waiting = waiting[len(ready) :]
        if ready:
            yield ready, False


def _moment(row: Row, sample_s: float | None) -> float:
    return row[0] if sample_s is None else float(np.ceil(row[0] / sample_s - BOUNDARY_TOLERANCE))


def row_of(row: Any, number: int) -> Row:
    """(time_s, channel, value) of row `number`. ValueError where it is no such row."""
    try:
        time_s, channel, value = row
        if int(channel) == channel and abs(channel) < 1 << 31:
            return float(time_s), int(channel), float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"row {number} of `events` must be (time_s, channel, value), but is {row!r:.80}")


@contextmanager
def _bar(progress: bool) -> Iterator[Callable[[int], None]]:
    """A count of rows on standard error, if asked for."""
    if not progress:
        yield lambda rows: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("simulating", total=None)
        yield lambda rows: bar.update(task, advance=rows)


def _joined(parts: list[Recording], keep: Keep, started: float) -> Recording:
    """One recording of runs that continue each other."""
    first, last = parts[0], parts[-1]
    events = np.concatenate([part.events for part in parts])
    latest = keep.latest(events)
    totals = (
        "event_counts",
        "input_event_counts",
        "neuron_synaptic_operations",
        "stored_synaptic_operations",
        "clocked_synaptic_operations",
    )
    sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts[1:]) + getattr(first, name) for name in totals}
    worst = max(parts, key=lambda part: part.error_bound)
    return replace(
        first,
        state=np.concatenate([first.state, *(part.state[1:] for part in parts[1:])]),
        state_times_s=np.concatenate([first.state_times_s, *(part.state_times_s[1:] for part in parts[1:])]),
        output_samples=np.concatenate([part.output_samples for part in parts]),
        output_segments=(),
        final=last.final,
        events=latest,
        events_dropped=sum(part.events_dropped for part in parts) + len(events) - len(latest),
        error_bound=worst.error_bound,
        error_bound_kind=worst.error_bound_kind,
        error_estimate=max(part.error_estimate for part in parts),
        interrupted=last.interrupted,
        seconds=time.perf_counter() - started,
        **sums,
    )
