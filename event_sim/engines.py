"""`simulate`: one function for every network, stream and engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from event_sim import bounds, tolerances
from event_sim.events import EventStream, FloatArray
from event_sim.interrupts import interruptible
from event_sim.keeping import Record, keep_of, kept
from event_sim.plan import make_plan, on_clock
from event_sim.recording import Recording
from liquid_neuro.checks import as_numbers, check_flag, check_seconds, is_whole
from liquid_neuro.network import Exact, LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork

Row = tuple[float, int, float]
ENGINES = {"auto": "auto", "event": "event", "clocked": "clocked", "clock": "clocked"}


@overload
def simulate(
    network: LiquidNetwork | QuantizedNetwork,
    events: EventStream | Sequence[Row] | Iterator[Row],
    until: float | None = None,
    engine: str = "auto",
    order: int | None = None,
    quantum: npt.ArrayLike | None = None,
    tolerance: float | None = 1e-3,
    initial: Any = None,
    sample_s: float | None = None,
    progress: bool = False,
    threads: int | None = None,
    record: Record = "all",
    most_events: int | None = None,
) -> Recording: ...
@overload
def simulate(
    network: LiquidNetwork | QuantizedNetwork,
    events: Sequence[EventStream],
    until: float | None = None,
    engine: str = "auto",
    order: int | None = None,
    quantum: npt.ArrayLike | None = None,
    tolerance: float | None = 1e-3,
    initial: Any = None,
    sample_s: float | None = None,
    progress: bool = False,
    threads: int | None = None,
    record: Record = "all",
    most_events: int | None = None,
) -> list[Recording]: ...
def simulate(
    network: LiquidNetwork | QuantizedNetwork,
    events: EventStream | Sequence[EventStream] | Sequence[Row] | Iterable[Row],
    until: float | None = None,
    engine: str = "auto",
    order: int | None = None,
    quantum: npt.ArrayLike | None = None,
    tolerance: float | None = 1e-3,
    initial: Any = None,
    sample_s: float | None = None,
    progress: bool = False,
    threads: int | None = None,
    record: Record = "all",
    most_events: int | None = None,
) -> Recording | list[Recording]:
    """Run a network on a stream of events; a list of streams gives a list of recordings, each from the same `initial`.

    A float network runs event by event (engine "event") or on a clock ("clocked", which sends no events: faster where most neurons keep
    moving). "auto" takes the cheaper one by what the stream causes (event_sim/choice.py); recording.engine and .engine_reason tell which
    and why. With a quantum "auto" means "event". A quantised network runs on its chip's ticks, bit for bit.
    until: seconds, by default the end of the stream's sample clock or its last event. On a sample clock those samples run that end by then.
    order: 1, events carry values, or 2, values and slopes, with far fewer events at fine tolerances: the exact solver only, whose default
    it is unless a quantum is given.
    quantum: how far a state may move from the value last sent before it sends again, one number or one per unit; 0 sends every change
    (sampled solvers only). By default it is chosen so that recording.error_bound keeps `tolerance`, where it can be kept.
    tolerance: the largest error of outputs and recorded states at the recorded times. What an event-driven run's error is, the clock tells
    where it costs little, else two coarser runs, which cost once or twice as much again; None with a quantum leaves that out and tells an
    estimate.
    initial: the state to start from: (units,) numbers, (h, c) for mixed memory, or recording.final to go on; default zeros.
    sample_s: a sample clock for streams that have none. progress: a bar on standard error.
    threads: over how many threads a list of streams is spread, by default over all processors; the bytes are the same for any number.
    record: whose states to keep: "all", "outputs", "none" or a list of units; outputs are always kept. most_events: keep so many events at
    most, the last ones. Counts are complete in any case.
    events may also be rows (time_s, channel, value) in order of time: a list of them is the stream EventStream(*zip(*rows)); those of any
    other iterable, such as a generator, are pushed piece by piece into an event-driven run that never holds more of them than a piece
    (event_sim/pushed.py).
    Ctrl-C ends a run early: the recording holds what was simulated so far and says so (recording.interrupted); of a list of
    streams no further ones are run. A second Ctrl-C raises KeyboardInterrupt.
    Contradictions raise ValueError.
    """
    given = _Given(until, engine, order, quantum, tolerance, initial, sample_s, progress, record, most_events)
    given = _checked(given, network, events, threads)
    if isinstance(events, EventStream):
        return _on_stream(network, events, given)
    if isinstance(events, list | tuple):
        if events and not any(isinstance(item, EventStream) for item in events):
            return _on_stream(network, _stream_of(events), given)
        return _on_streams(network, events, given, threads)
    return _on_rows(network, events, given)


class _Given(NamedTuple):
    """What `simulate` was given beside network and events."""

    until: float | None
    engine: str
    order: int | None
    quantum: npt.ArrayLike | None
    tolerance: float | None
    initial: Any
    sample_s: float | None
    progress: bool
    record: Record
    most_events: int | None

    def kept(self, network: LiquidNetwork | QuantizedNetwork, run: Recording) -> Recording:
        """What is to be kept of a run, which now also knows the sources of its synapses."""
        floats = network if isinstance(network, LiquidNetwork) else network.network
        if floats.wiring is not None:
            run = run.told(sources=(floats.wiring.source, floats.wiring.sensory_source))
        return kept(run, keep_of(self.record, self.most_events, floats.units, floats.outputs), floats.units)


def _checked(given: _Given, network: Any, events: Any, threads: int | None) -> _Given:
    """The arguments with times as numbers. ValueError for those that are wrong whatever is run."""
    if not isinstance(network, LiquidNetwork | QuantizedNetwork):
        raise ValueError(f"`network` must be a LiquidNetwork or a QuantizedNetwork, but is {type(network).__name__}")
    if not isinstance(events, EventStream | Iterable) or isinstance(events, str | bytes | np.ndarray):
        raise ValueError(
            f"`events` must be an EventStream, a list of them or rows (time_s, channel, value), but is {type(events).__name__}; make a "
            "stream of samples x by EventStream.from_samples(x, sample_s), of events by EventStream(time_s, channel, value)"
        )
    if not isinstance(given.engine, str) or given.engine not in ENGINES:
        shown = f'"{given.engine:.80}"' if isinstance(given.engine, str) else f"{given.engine!r:.80}"
        raise ValueError(f'`engine` must be "auto", "event" or "clocked", but is {shown}')
    if given.order is not None:
        _check_order(given.order)
    if threads is not None:
        from event_sim import batch

        batch.threads_of(threads)
    check_flag("`progress`", given.progress)
    until = None if given.until is None else check_seconds("`until`", given.until)
    sample_s = None if given.sample_s is None else check_seconds("`sample_s`", given.sample_s, positive=True)
    return given._replace(until=until, sample_s=sample_s)


def _on_stream(network: LiquidNetwork | QuantizedNetwork, stream: EventStream, given: _Given) -> Recording:
    engine, quantum = given.engine, given.quantum
    if isinstance(network, QuantizedNetwork):
        if quantum is not None or given.order not in (None, 1):
            raise ValueError("`quantum` and `order` must not be given for a quantised network: its thresholds decide what is sent")
        return given.kept(network, _simulate_quantized(network, stream, given.until, given.initial, engine, given.sample_s, given.progress))
    if ENGINES[engine] == "clocked" and (quantum is not None or given.order not in (None, 1)):
        raise ValueError('`quantum` and `order` must not be given with engine="clocked", which sends no events; leave them out')
    order = order_of(network, given.order, quantum is None)
    keep = keep_of(given.record, given.most_events, network.units, network.outputs)
    plan = replace(make_plan(network, stream, given.until, given.initial, given.sample_s), keep=keep)
    if engine == "event" or quantum is not None:
        run = _event_driven(plan, quantum, given.tolerance, order, given.progress)
    elif engine == "auto":
        from event_sim import choice

        with interruptible():
            run = choice.run_chosen(plan, bounds.checked_tolerance(given.tolerance), order, given.progress)
    else:
        from event_sim import clocked

        run = clocked.run_clocked(plan, bounds.checked_tolerance(given.tolerance), given.progress)
    return given.kept(network, run)


def _stream_of(rows: Sequence[Any]) -> EventStream:
    """The stream of a list of rows (time_s, channel, value). ValueError with the row that is none."""
    from event_sim import pushed

    time_s, channel, value = zip(*(pushed.row_of(row, number) for number, row in enumerate(rows)))
    return EventStream(np.array(time_s), np.array(channel), np.array(value))


def _on_streams(
    network: LiquidNetwork | QuantizedNetwork, streams: Sequence[EventStream], given: _Given, threads: int | None
) -> list[Recording]:
    from event_sim import batch

    for stream in streams:
        if not isinstance(stream, EventStream):
            raise ValueError(f"`events` must be an EventStream or a list of them, but the list holds a {type(stream).__name__}")
    if ENGINES.get(given.engine) == "clocked" and given.quantum is None and given.order in (None, 1) and batch.takes(network, streams):
        runs = batch.on_clock(network, streams, (given.until, given.initial, given.sample_s), threads, given.progress)
        return [given.kept(network, run) for run in runs]
    return batch.over_streams(
        lambda stream, progress: _on_stream(network, stream, given._replace(progress=progress)), streams, threads, given.progress
    )


def _on_rows(network: LiquidNetwork | QuantizedNetwork, rows: Iterable[Any], given: _Given) -> Recording:
    from event_sim import pushed

    if not isinstance(network, LiquidNetwork):
        raise ValueError("`events` must be an EventStream for a quantised network, but is an iterable; make one of all its rows")
    if given.engine not in ("auto", "event"):
        raise ValueError(f'`engine` must be "auto" or "event" for rows that come one by one, but is "{given.engine}"')
    order, quantum = order_of(network, given.order, given.quantum is None), given.quantum
    if quantum is None:
        quantum = bounds.checked_tolerance(given.tolerance) * tolerances.FIRST_QUANTUM[order]
    keep = keep_of(given.record, given.most_events, network.units, network.outputs)
    steps = quantum_of(network, quantum)
    return pushed.run_pushed(network, rows, given.until, steps, order, given.initial, given.sample_s, keep, given.progress)


def _event_driven(plan: tolerances.Plan, quantum: npt.ArrayLike | None, tolerance: float | None, order: int, progress: bool) -> Recording:
    """An event-driven run with the given quantum, or with one that keeps the tolerance."""
    with interruptible():
        if quantum is None:
            return tolerances.to_tolerance(plan, bounds.checked_tolerance(tolerance), order, progress)
        run = tolerances.event_run(plan, quantum_of(plan.network, quantum), order, progress)
        return tolerances.with_errors(plan, run, order, confirm=tolerance is not None)


def order_of(network: LiquidNetwork, order: int | None, to_tolerance: bool = False) -> int:
    """The order of events: 1 (values) or 2 (values and slopes). None: 2 for the exact solver where a tolerance is to be kept, else 1."""
    if order is None:
        return 2 if to_tolerance and isinstance(network.solver, Exact) else 1
    _check_order(order)
    if order == 2 and not isinstance(network.solver, Exact):
        raise ValueError(f"`order` must be 1 under the solver {network.solver}, but is 2; slopes need the solver exact")
    return order


def _check_order(order: Any) -> None:
    if not is_whole(order) or order not in (1, 2):
        raise ValueError(f"`order` must be 1 (events carry values) or 2 (values and slopes), but is {order!r:.80}")


def quantum_of(network: LiquidNetwork, quantum: npt.ArrayLike) -> FloatArray:
    """(units,) quanta from the argument."""
    steps = as_numbers("`quantum`", quantum)
    if steps.shape not in ((), (network.units,)) or not (np.isfinite(steps) & (steps >= 0)).all():
        raise ValueError(f"`quantum` must be one number >= 0 or one per unit ({network.units}), but is {quantum!r:.80}")
    if isinstance(network.solver, Exact) and not (steps > 0).all():
        raise ValueError("`quantum` must be positive under the exact solver, but is 0: every change would be infinitely many events")
    return np.full(network.units, steps)


def _simulate_quantized(
    network: QuantizedNetwork, events: EventStream, until: float | None, initial: Any, engine: str, sample_s: float | None, progress: bool
) -> Recording:
    """A chip run: ticks for spiking chips, frames for frame-based ones."""
    if engine != "auto":
        raise ValueError(f'`engine` must be "auto" for a quantised network (its chip decides), but is "{engine}"')
    events = on_clock(events, until, sample_s)
    if network.kind == "akida":
        from event_sim import frames

        return frames.run_frames(network, events, until=until, initial=initial, progress=progress)
    from event_sim import fixed

    return fixed.run_chip(network, events, until=until, initial=initial, progress=progress)
