"""The sampled reference semantics in float64 NumPy: what every engine, kernel and chip is measured against."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from liquid_neuro.cells import cfc, lstm, ltc
from liquid_neuro.cells.functions import FloatArray
from liquid_neuro.checks import as_numbers
from liquid_neuro.delayed_solver import DelayedExact
from liquid_neuro.delays import DelayedFused
from liquid_neuro.exact_solver import TOLERANCE, exact_step, kinds
from liquid_neuro.network import Fused, LiquidNetwork

State = FloatArray | tuple[FloatArray, FloatArray]
Step = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]


class Trajectory(NamedTuple):
    """What a run went through: y (batch, time, outputs) and states (batch, time, units) after every sample; final: as `integrate`."""

    y: FloatArray
    states: FloatArray
    final: State


def integrate(
    network: LiquidNetwork, x: npt.ArrayLike, timespans: npt.ArrayLike | None = None, state: State | None = None
) -> tuple[FloatArray, State]:
    """Outputs y and the final state of a network that hears the samples x.

    x: (batch, time, inputs) or (time, inputs). timespans: how long each sample is held, in model units: None (1 each), one number, (time,),
    (batch, time) or (batch, time, 1); rows of a batch may differ. A timespan of 0 leaves the state as it is (y is repeated), for every
    cell. state: (units,) or (batch, units), the pair (h, c) with mixed memory; zeros unless given.
    With synaptic delays the past before the call is the given state, so a run in two calls is another run; event_sim continues one.
    y: (batch, time, outputs) or (time, outputs), at the end of every sample; final state: (batch, units) or (units,), or the pair.
    ValueError where a shape does not fit, where a value is not finite, or where a timespan is negative.
    """
    run = trajectory(network, x, timespans, state)
    if np.ndim(x) == 3:
        return run.y, run.final
    final = (run.final[0][0], run.final[1][0]) if isinstance(run.final, tuple) else run.final[0]
    return run.y[0], final


def trajectory(
    network: LiquidNetwork,
    x: npt.ArrayLike,
    timespans: npt.ArrayLike | None = None,
    state: State | None = None,
    tolerance: float = TOLERANCE,
) -> Trajectory:
    """`integrate` with the states after every sample; always with a batch axis (of 1 for x of shape (time, inputs)).

    tolerance: the exact solver's, per step (liquid_neuro/exact_solver.py).
    """
    samples = _samples(network, x)
    batch, time, _ = samples.shape
    spans = _timespans(timespans, batch, time, np.ndim(x) == 3)
    h, c = _initial(network, state, batch)
    step, memory = _step(network, h, tolerance), lstm.effective(network)
    states = np.empty((batch, time, network.units))
    for index in range(time):
        span, row = spans[:, index], samples[:, index]
        moves = span > 0
        if moves.any():
            before, carried = (h, c) if memory is None else lstm.step(memory, row, h, c)
            after = step(before, row, span)
            h, c = np.where(moves[:, None], after, h), np.where(moves[:, None], carried, c)
        states[:, index] = h
    return Trajectory(_output(network)(states), states, h if memory is None else (h, c))


def _step(network: LiquidNetwork, start: FloatArray, tolerance: float) -> Step:
    """The function (h, x, timespan) -> h of the network's cell and solver; where a timespan is 0 nobody reads its result."""
    if network.cell == "cfc":
        closed = cfc.effective(network)
        return lambda h, x, span: cfc.step(closed, x, h, _positive(span))
    values, solver = ltc.effective(network), network.solver
    if isinstance(solver, Fused):
        if values.has_delays:
            return DelayedFused(values, start, solver.unfolds)
        prepared, unfolds = ltc.Prepared(values), solver.unfolds
        return lambda h, x, span: ltc.fused_step(prepared, h, x, _positive(span), unfolds)
    prepared, kind = ltc.Prepared(values), kinds(values, network.labels)
    if values.has_delays:
        runs = [DelayedExact(prepared, kind, row, tolerance) for row in start]
        return lambda h, x, span: np.stack(
            [run(row, inputs, dt) if dt > 0 else row for run, row, inputs, dt in zip(runs, h, x, span.tolist())]
        )
    return lambda h, x, span: exact_step(prepared, kind, h, x, _positive(span), tolerance)


def _positive(span: FloatArray) -> FloatArray:
    return np.where(span > 0, span, 1.0)


def _output(network: LiquidNetwork) -> Callable[[FloatArray], FloatArray]:
    if network.cell == "cfc":
        closed = cfc.effective(network)
        return lambda states: cfc.output(closed, states)
    values = ltc.effective(network)
    return lambda states: ltc.output(values, states)


def _samples(network: LiquidNetwork, x: npt.ArrayLike) -> FloatArray:
    if not isinstance(network, LiquidNetwork):
        raise ValueError(f"network must be a LiquidNetwork, but is {network!r:.80}")
    samples = as_numbers("x", x)
    if samples.ndim not in (2, 3) or samples.shape[-1] != network.inputs:
        wanted = f"(batch, time, {network.inputs}) or (time, {network.inputs})"
        raise ValueError(f"x must have shape {wanted}, but has {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError(f"x must be finite, but is not at index {tuple(np.argwhere(~np.isfinite(samples))[0].tolist())}")
    return samples if samples.ndim == 3 else samples[None]


def _timespans(timespans: npt.ArrayLike | None, batch: int, time: int, batched: bool) -> FloatArray:
    """(batch, time). A one-dimensional array belongs to time, whatever the batch size; a batch axis must be there to be meant."""
    spans = as_numbers("timespans", 1.0 if timespans is None else timespans)
    allowed = [(), (time,), (batch, time), (batch, time, 1)] + ([] if batched else [(time, 1)])
    if spans.shape not in allowed:
        raise ValueError(
            f"timespans must be one number or have shape ({time},), ({batch}, {time}) or ({batch}, {time}, 1), but have {spans.shape}"
        )
    if spans.ndim == 3 or (not batched and spans.shape == (time, 1)):
        spans = spans[..., 0]
    if not (np.isfinite(spans) & (spans >= 0)).all():
        bad = spans[~(np.isfinite(spans) & (spans >= 0))][0]
        raise ValueError(f"timespans must be finite and at least 0, but hold {bad}")
    return np.broadcast_to(spans, (batch, time))


def _initial(network: LiquidNetwork, state: State | None, batch: int) -> tuple[FloatArray, FloatArray]:
    """(h, c), both (batch, units); c stays unused without mixed memory."""
    if state is None:
        return np.zeros((batch, network.units)), np.zeros((batch, network.units))
    if isinstance(state, tuple) != network.mixed_memory:
        wanted = "a pair (h, c)" if network.mixed_memory else "one array"
        raise ValueError(f"state must be {wanted} for this network, but is {'a pair' if isinstance(state, tuple) else 'one array'}")
    parts = state if isinstance(state, tuple) else (state, np.zeros(network.units))
    if len(parts) != 2:
        raise ValueError(f"state must be a pair (h, c), but has {len(parts)} parts")
    h, c = (_state(as_numbers("state", part), batch, network.units) for part in parts)
    return h, c


def _state(part: FloatArray, batch: int, units: int) -> FloatArray:
    if part.shape not in ((units,), (batch, units)):
        raise ValueError(f"state must have shape ({units},) or ({batch}, {units}), but has {part.shape}")
    if not np.isfinite(part).all():
        raise ValueError("state must be finite, but is not")
    return np.array(np.broadcast_to(part, (batch, units)))
