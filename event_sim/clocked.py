"""Clock-driven runs of the same networks: what an event-driven run is compared with."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim.clocked_arrays import in_slots, membranes_of, rows_of, slots_of
from event_sim.events import FloatArray
from event_sim.ltc_arrays import algebraic_levels, clocked_operations, event_free, segments_of
from event_sim.plan import ContinuousPlan, SampledPlan, chunks
from event_sim.recording import Recording
from liquid_neuro.cells import lstm, ltc
from liquid_neuro.network import Fused

ROUNDING = 1e-9  # of a run without quantum, against the reference semantics
FIRST_STEPS = 4  # per interval
DOUBLINGS = 12


def run_clocked(plan: SampledPlan | ContinuousPlan, tolerance: float, progress: bool) -> Recording:
    """The recording of a clock-driven run. tolerance: of the states, for the exact solver, whose steps are halved until they agree."""
    if isinstance(plan, ContinuousPlan):
        return _run_exact(plan, tolerance, progress)
    if plan.network.cell == "cfc":
        from event_sim import asynchronous_cfc

        return asynchronous_cfc.run_cfc_clocked(plan, progress)
    return _run_fused(plan, progress)


def _run_fused(plan: SampledPlan, progress: bool) -> Recording:
    from event_sim.kernels import ltc_clocked as kernel
    from event_sim.kernels.lanes import LANES

    started = time.perf_counter()
    values, solver = ltc.effective(plan.network), plan.network.solver
    assert isinstance(solver, Fused)
    slots = slots_of(values, LANES)
    recurrent, sensory = rows_of(values, slots)
    membranes = membranes_of(values, slots, values.epsilon, outputs=0)
    first, channel, level = plan.changes()
    steps = np.full(plan.samples, solver.unfolds)
    level = level * values.input_w[channel] + values.input_b[channel]
    intervals = kernel.Intervals(steps, plan.timespans / solver.unfolds, plan.boundaries_s[:-1].copy(), first, channel, level)
    levels = plan.start.inputs * values.input_w + values.input_b
    states = np.empty((plan.samples + 1, plan.network.units))
    states[0], memory = plan.start.state, plan.start.memory
    value = np.tile(in_slots(plan.start.state, slots), 2)  # one half is read while the other is written

    def run(begin: int, end: int) -> None:
        kernel.run_fused_clock(begin, end, value, levels, membranes, recurrent, sensory, intervals, states)

    for begin, end in chunks(plan.samples, progress, "simulating"):
        if values.lstm is None or memory is None:
            run(begin, end)
            continue
        for sample in range(begin, end):
            here = slice(sample, sample + 1)
            if plan.timespans[sample] > 0.0:  # else the memory rests too
                recalled, after = lstm.step(values.lstm, plan.levels[here], states[here], memory[None])
                value[: len(slots)], memory = in_slots(recalled[0], slots), after[0]
            run(sample, sample + 1)
    output = ltc.output(values, states)
    operations = clocked_operations(values, solver.unfolds, plan.samples)
    return Recording(
        state=states,
        state_times_s=plan.boundaries_s,
        output_samples=output[1:],
        output_initial=output[0],
        final=plan.final(states[-1].copy() if memory is None else (states[-1].copy(), memory)),
        error_bound=ROUNDING,
        error_bound_kind="rounding",
        **event_free(plan.network.units, plan.event_counts, operations, started),
    )


def _run_exact(plan: ContinuousPlan, tolerance: float, progress: bool) -> Recording:
    """Steps between all input events and recorded times, halved until two runs agree to the tolerance (Richardson's estimate)."""
    started = time.perf_counter()
    network, values = plan.network, ltc.effective(plan.network)
    sweeps = algebraic_levels(values, network.labels)
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"`tolerance` must be a positive number, but is {tolerance}")
    cuts = np.unique(np.concatenate([plan.record_s, plan.time_s]))
    longest = float(np.diff(cuts).max()) if len(cuts) > 1 else 0.0
    steps, before, error = FIRST_STEPS, None, np.inf
    for _ in range(DOUBLINGS):
        states, courses, taken = _integrate(plan, values, cuts, longest / steps, sweeps)
        if before is not None:
            error = float(np.abs(states - before).max()) / 3.0  # second order: the finer run is three times nearer than their distance
        if error <= tolerance or longest == 0.0:
            break
        steps, before = 2 * steps, states
    else:
        raise ValueError(f'`tolerance` must be within reach of {steps} steps per interval, but {tolerance} is not; use engine="event"')
    recorded = states[np.searchsorted(cuts, plan.record_s)]
    output = ltc.output(values, recorded)
    return Recording(
        state=recorded,
        state_times_s=plan.record_s,
        output_samples=output[1 : 1 + plan.samples],
        output_initial=output[0],
        final=plan.final(recorded[-1].copy()),
        error_bound=max(2.0 * error, ROUNDING) if np.isfinite(error) else ROUNDING,
        error_bound_kind="estimate",
        output_segments=segments_of(courses, network.outputs, network.time_unit_s),
        output_gain=values.output_w,
        output_offset=values.output_b,
        **event_free(network.units, plan.event_counts, clocked_operations(values, 2, taken), started),
    )


def _integrate(
    plan: ContinuousPlan, values: ltc.LTCValues, cuts: FloatArray, longest_s: float, sweeps: int
) -> tuple[FloatArray, npt.NDArray[Any], int]:
    """(states at the cuts, courses of the outputs, steps) with steps of at most longest_s seconds."""
    from event_sim.kernels import ltc_clocked as kernel
    from event_sim.kernels.lanes import LANES
    from event_sim.kernels.ltc_exact import COURSE

    unit_s, units = plan.network.time_unit_s, plan.network.units
    lengths = np.diff(cuts)
    steps = np.maximum(np.ceil(lengths / longest_s - 1e-9), 1).astype(np.int64) if len(lengths) else np.zeros(0, dtype=np.int64)
    first = np.searchsorted(plan.time_s, cuts).astype(np.int64)
    level = plan.value * values.input_w[plan.channel] + values.input_b[plan.channel]
    intervals = kernel.Intervals(steps, lengths / steps / unit_s, cuts[:-1] / unit_s, first, plan.channel, level)
    slots = slots_of(values, LANES)
    membranes = membranes_of(values, slots, 0.0, plan.network.outputs)
    states, value = np.empty((len(cuts), units)), in_slots(plan.start.state, slots)
    states[0] = plan.start.state
    total = int(steps.sum())
    courses = np.empty(total * plan.network.outputs, dtype=COURSE)
    levels = plan.start.inputs * values.input_w + values.input_b
    kernel.run_midpoint_clock(sweeps, value, levels, membranes, *rows_of(values, slots), intervals, states, courses)
    return states, courses, total
