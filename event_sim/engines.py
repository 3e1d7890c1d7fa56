"""`simulate`: one function for every network, stream and engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from event_sim import bounds
from event_sim.events import EventStream, FloatArray
from event_sim.plan import ContinuousPlan, make_plan
from event_sim.recording import Recording
from liquid_neuro.network import Exact, LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork

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

    A float network runs event by event (engine "event", the choice of "auto") or on a clock ("clocked"); a quantised one runs on its chip's
    ticks, bit for bit.
    until: seconds, by default the end of the stream's sample clock or its last event. On a sample clock those samples run that end by then.
    order: 1, events carry values (higher orders are not offered).
    quantum: how far a state may move from the value last sent before it sends again, one number or one per unit; by default what keeps the
    estimated state error within `tolerance`. 0 sends every change (sampled solvers only).
    initial: the state to start from: (units,) numbers, (h, c) for mixed memory, or recording.final to go on; default zeros.
    sample_s: a sample clock for streams that have none. progress: a bar on standard error.
    Contradictions raise ValueError.
    """
    if not isinstance(events, EventStream):
        shared = (until, engine, order, quantum, tolerance, initial, sample_s, progress)
        return [simulate(network, stream, *shared) for stream in events]
    if engine not in ENGINES:
        raise ValueError(f'`engine` must be "auto", "event" or "clocked", but is "{engine}"')
    if isinstance(network, QuantizedNetwork):
        return _simulate_quantized(network, events, until, initial, engine, sample_s, progress)
    if order != 1:
        raise ValueError(f"`order` must be 1 (events carry values), but is {order}; use a smaller quantum or tolerance for less error")
    plan = make_plan(network, events, until, initial, sample_s)
    if ENGINES[engine] == "clocked":
        from event_sim import clocked

        return clocked.run_clocked(plan, tolerance, progress)
    steps = _quantum(network, quantum, tolerance)
    if network.cell == "cfc":
        from event_sim import asynchronous_cfc

        assert not isinstance(plan, ContinuousPlan)
        return asynchronous_cfc.run_cfc_events(plan, steps, progress)
    from event_sim import asynchronous

    if isinstance(plan, ContinuousPlan):
        return asynchronous.run_exact_events(plan, steps, progress)
    return asynchronous.run_fused_events(plan, steps, progress)


def _quantum(network: LiquidNetwork, quantum: npt.ArrayLike | None, tolerance: float) -> FloatArray:
    """(units,) quanta from the arguments."""
    if quantum is None:
        return bounds.quantum_for(tolerance, network.units)
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
