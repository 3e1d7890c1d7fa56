"""`simulate`: one function for every network, stream and engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from event_sim import bounds
from event_sim.events import EventStream, FloatArray
from event_sim.plan import ContinuousPlan, SampledPlan, make_plan
from event_sim.recording import Recording
from liquid_neuro.network import Exact, LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork

FINEST = 0.05  # of the first quantum
ENGINES = {"auto": "event", "event": "event", "clocked": "clocked", "clock": "clocked"}


@overload
def simulate(
    network: LiquidNetwork | QuantizedNetwork,
    events: EventStream,
    until: float | None = None,
    engine: str = "auto",
    order: int = 1,
    quantum: npt.ArrayLike | None = None,
    tolerance: float = 1e-3,
    initial: Any = None,
    sample_s: float | None = None,
    progress: bool = False,
) -> Recording: ...
@overload
def simulate(
    network: LiquidNetwork | QuantizedNetwork,
    events: Sequence[EventStream],
    until: float | None = None,
    engine: str = "auto",
    order: int = 1,
    quantum: npt.ArrayLike | None = None,
    tolerance: float = 1e-3,
    initial: Any = None,
    sample_s: float | None = None,
    progress: bool = False,
) -> list[Recording]: ...
def simulate(
    network: LiquidNetwork | QuantizedNetwork,
    events: EventStream | Sequence[EventStream],
    until: float | None = None,
    engine: str = "auto",
    order: int = 1,
    quantum: npt.ArrayLike | None = None,
    tolerance: float = 1e-3,
    initial: Any = None,
    sample_s: float | None = None,
    progress: bool = False,
) -> Recording | list[Recording]:
    """Run a network on a stream of events; a list of streams gives a list of recordings, each from the same `initial`.

    A float network runs event by event (engine "event", which "auto" means) or on a clock ("clocked": faster where most neurons keep
    moving, see benchmarks/results/engines.md). A quantised network runs on its chip's ticks, bit for bit.
    until: seconds, by default the end of the stream's sample clock or its last event. On a sample clock those samples run that end by then.
    order: 1, events carry values, or 2, values and slopes: the exact solver's accurate mode, with far fewer events at fine tolerances.
    quantum: how far a state may move from the value last sent before it sends again, one number or one per unit; 0 sends every change
    (sampled solvers only). By default it is chosen so that the estimated state error keeps `tolerance`: where a first run does not, a
    second one has a finer quantum (at most 20 times finer; recording.error_bound tells what was reached).
    initial: the state to start from: (units,) numbers, (h, c) for mixed memory, or recording.final to go on; default zeros.
    sample_s: a sample clock for streams that have none. progress: a bar on standard error.
    Ctrl-C ends an event-driven run early: the recording holds what was simulated so far and says so (recording.interrupted); of a list of
    streams no further ones are run. A second Ctrl-C raises KeyboardInterrupt.
    Contradictions raise ValueError.
    """
    if not isinstance(network, LiquidNetwork | QuantizedNetwork):
        raise ValueError(f"`network` must be a LiquidNetwork or a QuantizedNetwork, but is {type(network).__name__}")
    if not isinstance(events, EventStream | list | tuple):
        kind = type(events).__name__
        raise ValueError(f"`events` must be an EventStream or a list of them, but is {kind}; make one by EventStream.from_samples")
    if not isinstance(events, EventStream):
        shared = (until, engine, order, quantum, tolerance, initial, sample_s, progress)
        recordings: list[Recording] = []
        for stream in events:
            recordings.append(simulate(network, stream, *shared))
            if recordings[-1].interrupted:
                break
        return recordings
    if engine not in ENGINES:
        raise ValueError(f'`engine` must be "auto", "event" or "clocked", but is "{engine}"')
    if isinstance(network, QuantizedNetwork):
        if quantum is not None or order != 1:
            raise ValueError("`quantum` and `order` must not be given for a quantised network: its thresholds decide what is sent")
        return _simulate_quantized(network, events, until, initial, engine, sample_s, progress)
    if order not in (1, 2):
        raise ValueError(f"`order` must be 1 (events carry values) or 2 (values and slopes), but is {order}")
    if order == 2 and not isinstance(network.solver, Exact):
        raise ValueError(f"`order` must be 1 under the solver {network.solver}, but is 2; slopes need the solver exact")
    if ENGINES[engine] == "clocked" and (quantum is not None or order != 1):
        raise ValueError('`quantum` and `order` must not be given with engine="clocked", which sends no events; leave them out')
    plan = make_plan(network, events, until, initial, sample_s)
    if ENGINES[engine] == "event":
        return _to_tolerance(network, plan, quantum, tolerance, order, progress)
    from event_sim import clocked

    return clocked.run_clocked(plan, tolerance, progress)


def _to_tolerance(
    network: LiquidNetwork,
    plan: SampledPlan | ContinuousPlan,
    quantum: npt.ArrayLike | None,
    tolerance: float,
    order: int,
    progress: bool,
) -> Recording:
    """An event-driven run with the given quantum, or with one that keeps the tolerance."""
    if quantum is not None:
        return _event_driven(plan, quantum_of(network, quantum), order, progress)
    steps = bounds.quantum_for(tolerance, network.units)
    run = _event_driven(plan, steps, order, progress)
    if run.error_estimate <= tolerance or run.interrupted:
        return run
    return _event_driven(plan, steps * max(0.9 * tolerance / run.error_estimate, FINEST), order, progress)


def _event_driven(plan: SampledPlan | ContinuousPlan, quantum: FloatArray, order: int, progress: bool) -> Recording:
    """One event-driven run by the engine of the network's cell and solver."""
    from event_sim import asynchronous, asynchronous_cfc, second_order

    if isinstance(plan, ContinuousPlan):
        if order == 2:
            return second_order.run_second_events(plan, quantum, progress)
        return asynchronous.run_exact_events(plan, quantum, progress)
    run = asynchronous_cfc.run_cfc_events if plan.network.cell == "cfc" else asynchronous.run_fused_events
    return run(plan, quantum, progress)


def quantum_of(network: LiquidNetwork, quantum: npt.ArrayLike) -> FloatArray:
    """(units,) quanta from the argument."""
    steps = np.asarray(quantum, dtype=np.float64)
    if steps.shape not in ((), (network.units,)) or not (np.isfinite(steps) & (steps >= 0)).all():
        raise ValueError(f"`quantum` must be one number >= 0 or one per unit ({network.units}), but is {quantum!r}")
    if isinstance(network.solver, Exact) and not (steps > 0).all():
        raise ValueError("`quantum` must be positive under the exact solver, but is 0: every change would be infinitely many events")
    return np.full(network.units, steps)


def _simulate_quantized(
    network: QuantizedNetwork, events: EventStream, until: float | None, initial: Any, engine: str, sample_s: float | None, progress: bool
) -> Recording:
    """A chip run: ticks for spiking chips, frames for frame-based ones."""
    if engine != "auto":
        raise ValueError(f'`engine` must be "auto" for a quantised network (its chip decides), but is "{engine}"')
    if sample_s is not None and events.sample_times_s is None:
        events = events.with_clock(sample_s, until)
    if network.kind == "akida":
        from event_sim import frames

        return frames.run_frames(network, events, until=until, initial=initial, progress=progress)
    from event_sim import fixed

    return fixed.run_chip(network, events, until=until, initial=initial, progress=progress)
