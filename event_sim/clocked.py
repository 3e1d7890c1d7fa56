"""Clock-driven runs of the same networks: what an event-driven run is compared with, and the faster engine where most neurons move."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from event_sim.carried import Carried
from event_sim.clocked_arrays import couplings_of, in_slots, membranes_of, rows_of, slots_of
from event_sim.clocked_exact import run_exact_clock
from event_sim.events import FloatArray
from event_sim.interrupts import interruptible, pieces
from event_sim.ltc_arrays import clocked_operations, event_free
from event_sim.plan import ContinuousPlan, SampledPlan
from event_sim.recording import Recording
from liquid_neuro.cells import lstm, ltc
from liquid_neuro.network import Fused

ROUNDING = 1e-9  # of a run without quantum, against the reference semantics
Samples = Callable[[int, int], None]


def run_clocked(plan: SampledPlan | ContinuousPlan, tolerance: float, progress: bool) -> Recording:
    """The recording of a clock-driven run. tolerance: of the states, for the exact solver, whose steps are halved until they agree."""
    if isinstance(plan, ContinuousPlan):
        return run_exact_clock(plan, tolerance, progress)
    if plan.network.cell == "cfc":
        from event_sim import asynchronous_cfc

        return asynchronous_cfc.run_cfc_clocked(plan, progress)
    return _run_fused(plan, progress)


def _run_fused(plan: SampledPlan, progress: bool) -> Recording:
    started = time.perf_counter()
    values = ltc.effective(plan.network)
    states = np.empty((plan.samples + 1, plan.network.units))
    states[0], memory, done = plan.start.state, plan.start.memory, 0
    if values.has_delays:
        from event_sim.clocked_delays import DelayedClock

        delayed: DelayedClock | None = DelayedClock(plan, values, states)
        assert delayed is not None
        clock: tuple[Samples, Callable[[FloatArray], None]] = (delayed.run, delayed.put)
    else:
        delayed, clock = None, _clock(plan, values, states)
    run, put = clock
    with interruptible() as stopped:
        for begin, done in pieces(plan.samples, progress, "simulating", stopped):
            if values.lstm is None or memory is None:
                run(begin, done)
                continue
            for sample in range(begin, done):
                here = slice(sample, sample + 1)
                if plan.timespans[sample] > 0.0:  # else the memory rests too
                    recalled, after = lstm.step(values.lstm, plan.levels[here], states[here], memory[None])
                    put(recalled[0])
                    memory = after[0]
                run(sample, sample + 1)
    past = None if delayed is None else delayed.carried()
    return packed(plan.shortened(done), values, states[: done + 1], memory, started, done < plan.samples, past)


def packed(
    plan: SampledPlan,
    values: ltc.LTCValues,
    states: FloatArray,
    memory: FloatArray | None,
    started: float,
    interrupted: bool = False,
    carried: Carried | None = None,
) -> Recording:
    """The recording of sub-steps through these states (samples + 1, units)."""
    assert isinstance(plan.network.solver, Fused)
    output = ltc.output(values, states)
    last = states[-1].copy()
    final = plan.final(last if memory is None else (last, memory))
    return Recording(
        state=states,
        state_times_s=plan.boundaries_s,
        output_samples=output[1:],
        output_initial=output[0],
        final=final if carried is None else replace(final, carried=carried),
        error_bound=ROUNDING,
        error_bound_kind="rounding",
        interrupted=interrupted,
        **event_free(plan.network.units, plan.event_counts, clocked_operations(values, plan.network.solver.unfolds, plan.samples), started),
    )


def _clock(plan: SampledPlan, values: ltc.LTCValues, states: FloatArray) -> tuple[Samples, Callable[[FloatArray], None]]:
    """(a function that runs samples first..last-1 into `states`, one that puts the neurons into another state)."""
    from event_sim.kernels import ltc_clocked as kernel
    from event_sim.kernels.lanes import LANES

    solver = plan.network.solver
    assert isinstance(solver, Fused)
    slots = slots_of(values, LANES)
    recurrent, sensory = rows_of(values, slots)
    couplings, membranes = couplings_of(values, slots), membranes_of(values, slots, values.epsilon, outputs=0)
    first, channel, level = plan.changes
    steps = np.full(plan.samples, solver.unfolds)
    level = level * values.input_w[channel] + values.input_b[channel]
    intervals = kernel.Intervals(steps, plan.timespans / solver.unfolds, plan.boundaries_s[:-1].copy(), first, channel, level)
    levels = plan.start.inputs * values.input_w + values.input_b
    value = np.tile(in_slots(plan.start.state, slots), 2)  # one half is read while the other is written

    def run(begin: int, end: int) -> None:
        kernel.run_fused_clock(begin, end, value, levels, membranes, recurrent, sensory, couplings, intervals, states)

    def put(state: FloatArray) -> None:
        value[: len(slots)] = in_slots(state, slots)

    return run, put
