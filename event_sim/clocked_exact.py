"""Clock-driven runs of the LTC's differential equation: the exponential midpoint rule, with steps halved until the error is small enough.

Error. A run with steps of h deviates by about a h^2 + b h^4. Of three runs with 4h, 2h and h, the last two give the extrapolation
X = v_h + (v_h - v_2h) / 3, which is free of a, and the first two another one, X'. Once runs converge, X is nearer to the solution than to
X', so |v_h - X| + |X - X'| bounds the error of v_h. Where they do not converge yet, X and X' differ much and steps are halved again. Where
steps are longer than time constants, runs converge more slowly, by a ratio q < 4 per halving: then |v_h - v_2h| / (q - 1) is what is left.
The states of all neurons at all recorded times and input events are compared so, and the outputs' courses at points between them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.carried import Carried
from event_sim.clocked_arrays import couplings_of, graded, in_slots, membranes_of, rows_of, shortest_time, slots_of
from event_sim.clocked_delays import exact_integrator
from event_sim.events import FloatArray, IntArray
from event_sim.interrupts import interruptible, pieces
from event_sim.ltc_arrays import algebraic_levels, clocked_operations, event_free, segments_of
from event_sim.plan import ContinuousPlan
from event_sim.recording import Recording
from liquid_neuro.cells import ltc

FIRST_STEPS = 2  # of the longest interval
DOUBLINGS, FEW_DOUBLINGS = 14, 4
ROUNDING = 1e-9
SAFETY = 2.0  # in 3,000 runs of 1,000 random networks, stiff ones among them, no error came nearer to the bound than 0.54
SLOWEST = 1.25  # ratio of convergence that is believed
POINTS = (0.1, 0.35, 0.6, 0.85)  # of a step, at which courses between the ends of steps are compared


class Pass(NamedTuple):
    """One run: states (cuts, units), courses of the outputs (steps * outputs of COURSE), steps in all, intervals that were run."""

    states: FloatArray
    courses: npt.NDArray[Any]
    steps: int
    done: int


Integrate = Callable[[IntArray, Callable[[], bool], bool], Pass]


def run_exact_clock(plan: ContinuousPlan, tolerance: float, progress: bool) -> Recording:
    """The recording of a clock-driven run whose error bound keeps the tolerance. ValueError where no number of steps does.

    Interrupted, it is the finest run that was finished, with that run's bound, or the part of the first run that there is.
    """
    started = time.perf_counter()
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"`tolerance` must be a positive number, but is {tolerance}")
    values = ltc.effective(plan.network)
    sweeps = algebraic_levels(values, plan.network)
    cuts, integrate, carried = exact_integrator(plan, values, sweeps) if values.has_delays else _integrator(plan, values, sweeps)
    lengths = np.diff(cuts)
    moving, steps, runs = bool((lengths > 0).any()), _first_steps(lengths), list[Pass]()
    with interruptible() as stopped:
        for _ in range(DOUBLINGS):
            run = integrate(steps, stopped, progress)
            if run.done < len(lengths):
                break
            runs = [*runs[-2:], run]
            if not moving or error_of(runs, plan.network.outputs) <= tolerance:
                return _packed(plan, values, run, cuts, error_of(runs, plan.network.outputs) if moving else 0.0, started, carried)
            steps = steps * 2
        else:
            raise ValueError(
                f'`tolerance` must be within reach of {int(steps.max())} steps per interval, but {tolerance} is not; use engine="event"'
            )
    if runs:
        return _packed(plan, values, runs[-1], cuts, error_of(runs, plan.network.outputs), started, interrupted=True)
    end_s = float(cuts[run.done])
    recorded, changed = (int(np.searchsorted(times, end_s, side="right")) for times in (plan.record_s, plan.time_s))
    plan, cuts = plan.shortened(end_s, recorded, changed), cuts[: run.done + 1]
    return _packed(plan, values, run, cuts, np.inf, started, interrupted=True)


def steps_to(plan: ContinuousPlan, tolerance: float) -> float:
    """How many steps all passes of a run will take together, as far as a few coarse ones tell: errors fall by 4 per halving in the end."""
    values = ltc.effective(plan.network)
    sweeps = algebraic_levels(values, plan.network)
    cuts, integrate, _ = exact_integrator(plan, values, sweeps) if values.has_delays else _integrator(plan, values, sweeps)
    steps, runs, error = _first_steps(np.diff(cuts)), list[Pass](), np.inf
    if not steps.sum():
        return 0.0
    for _ in range(FEW_DOUBLINGS):
        runs = [*runs[-2:], integrate(steps, lambda: False, False)]
        error = error_of(runs, plan.network.outputs)
        if error <= tolerance:
            break
        steps = steps * 2
    halvings = max(float(np.ceil(np.log2(error / tolerance) / 2.0)), 0.0)
    return float(2.0 * runs[-1].steps * 2.0**halvings)


def _first_steps(lengths: FloatArray) -> IntArray:
    """Steps of each interval in the coarsest pass."""
    longest = float(lengths.max()) if len(lengths) else 0.0
    return np.maximum(np.ceil(lengths / (longest or 1.0) * FIRST_STEPS - 1e-9), 1).astype(np.int64)


def error_of(runs: list[Pass], outputs: int) -> float:
    """The bound of the last run's error from the last three runs; infinite with fewer."""
    if len(runs) < 3:
        return np.inf
    coarse, middle, fine = runs
    ends = _deviation([run.states for run in runs])
    between = _deviation([_between(run, outputs, pieces) for run, pieces in ((coarse, 4), (middle, 2), (fine, 1))])
    return max(SAFETY * max(ends, between), ROUNDING)


def _deviation(results: list[FloatArray]) -> float:
    """The largest |v_h - v_2h| / (q - 1) + |X - X'| over the results of three runs, q the ratio at which they approach each other."""
    before, after = results[1] - results[0], results[2] - results[1]
    apart, last = (float(np.abs(difference).max(initial=0.0)) for difference in (before, after))
    ratio = min(max(apart / last, SLOWEST), 4.0) if last > 0.0 else 4.0
    return float((np.abs(after) / (ratio - 1.0) + np.abs(after + (after - before) / 3.0)).max(initial=0.0))


def _between(run: Pass, outputs: int, pieces_of_a_step: int) -> FloatArray:
    """(steps * pieces, points, outputs): the outputs' courses between the ends of steps, the same times for a run and one twice as fine."""
    courses = run.courses.reshape(-1, outputs)
    length = np.diff(courses["time"], axis=0, append=courses["time"][-1:])
    length[-1] = length[-2] if len(length) > 1 else 0.0  # all steps of an interval are as long, and there are two at least
    fraction = (np.arange(pieces_of_a_step)[:, None] + np.array(POINTS)) / pieces_of_a_step
    with np.errstate(invalid="ignore"):
        rate = courses["rate"][:, None, None]
        decay = np.where(np.isinf(rate), 0.0, np.exp(-rate * length[:, None, None] * fraction[..., None]))
    target, start = courses["target"][:, None, None], courses["start"][:, None, None]
    result: FloatArray = target + (start - target) * decay
    return result.reshape(-1, len(POINTS), outputs)


def _packed(
    plan: ContinuousPlan,
    values: ltc.LTCValues,
    run: Pass,
    cuts: FloatArray,
    error: float,
    started: float,
    carried: Callable[[], Carried] | None = None,
    interrupted: bool = False,
) -> Recording:
    final = plan.final(run.states[-1].copy())
    recorded = run.states[np.searchsorted(cuts, plan.record_s)]
    output = ltc.output(values, recorded)
    return Recording(
        state=recorded,
        state_times_s=plan.record_s,
        output_samples=output[1 : 1 + plan.samples],
        output_initial=output[0],
        final=final if carried is None else replace(final, carried=carried()),
        error_bound=max(error, ROUNDING),
        error_bound_kind="estimate" if np.isfinite(error) else "none",
        output_segments=segments_of(run.courses, plan.network.outputs, plan.network.time_unit_s),
        output_gain=values.output_w,
        output_offset=values.output_b,
        interrupted=interrupted,
        **event_free(plan.network.units, plan.event_counts, clocked_operations(values, 2, run.steps), started),
    )


def _integrator(plan: ContinuousPlan, values: ltc.LTCValues, sweeps: int) -> tuple[FloatArray, Integrate, None]:
    """(cuts in seconds, a function (steps of each interval between cuts, stopped, progress) -> Pass, nothing to carry beside the state)."""
    from event_sim.kernels import ltc_clocked as kernel
    from event_sim.kernels.lanes import LANES
    from event_sim.kernels.ltc_exact import COURSE

    unit_s, network = plan.network.time_unit_s, plan.network
    cuts = graded(np.unique(np.concatenate([plan.record_s, plan.time_s])), shortest_time(values) * unit_s)
    first = np.searchsorted(plan.time_s, cuts).astype(np.int64)
    level = plan.value * values.input_w[plan.channel] + values.input_b[plan.channel]
    slots = slots_of(values, LANES)
    recurrent, sensory = rows_of(values, slots)
    couplings, membranes = couplings_of(values, slots), membranes_of(values, slots, 0.0, network.outputs)

    def integrate(steps: IntArray, stopped: Callable[[], bool], progress: bool) -> Pass:
        intervals = kernel.Intervals(steps, np.diff(cuts) / steps / unit_s, cuts[:-1] / unit_s, first, plan.channel, level)
        states, value = np.empty((len(cuts), network.units)), in_slots(plan.start.state, slots)
        states[0] = plan.start.state
        courses = np.empty(int(steps.sum()) * network.outputs, dtype=COURSE)
        levels, row, done = plan.start.inputs * values.input_w + values.input_b, 0, 0
        for begin, done in pieces(len(steps), progress, f"simulating with {int(steps.max(initial=0))} steps per interval", stopped):
            row = kernel.run_midpoint_clock(
                begin, done, row, sweeps, value, levels, membranes, recurrent, sensory, couplings, intervals, states, courses
            )
        return Pass(states[: done + 1], courses[:row], row // network.outputs, done)

    return cuts, integrate, None
