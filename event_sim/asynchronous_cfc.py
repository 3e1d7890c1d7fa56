"""The event-driven engine of CfC networks: a delta network on its sample times; the clock-driven run is the same kernel, every sum anew."""

from __future__ import annotations

import time

import numpy as np

from event_sim import bounds
from event_sim.cfc_arrays import cfc_arrays, heard_by, memory_weights
from event_sim.events import FloatArray
from event_sim.interrupts import interruptible, pieces
from event_sim.ltc_arrays import Log
from event_sim.plan import SampledPlan
from event_sim.recording import EVENT_TYPE, Recording, ordered_events
from liquid_neuro.cells import cfc

REFRESH = 4096  # increments of a stage's sums after which they are taken anew
BLOCK = 64  # samples for whose events there is always room


def run_cfc_events(plan: SampledPlan, quantum: FloatArray, progress: bool) -> Recording:
    """The recording of an event-driven CfC run. quantum: (units,) >= 0. Events bear the time of the end of their sample."""
    return _run(plan, quantum, REFRESH, "event", progress)


def run_cfc_clocked(plan: SampledPlan, progress: bool) -> Recording:
    """The recording of a clock-driven CfC run: every product in every sample."""
    return _run(plan, np.zeros(plan.network.units), 0, "clocked", progress)


def _run(plan: SampledPlan, quantum: FloatArray, refresh: int, engine: str, progress: bool) -> Recording:
    from event_sim.kernels import cfc_delta as kernel

    started = time.perf_counter()
    values, units = cfc.effective(plan.network), plan.network.units
    arrays, weights = cfc_arrays(values, quantum, plan.start), memory_weights(values)
    first, channel, level = plan.changes()
    samples, changes = np.zeros(plan.samples + 1, dtype=kernel.SAMPLE), np.zeros(len(channel), dtype=kernel.CHANGE)
    samples["timespan"][:-1], samples["time_s"][:-1], samples["first_change"] = plan.timespans, plan.boundaries_s[1:], first
    changes["channel"], changes["level"] = channel, level
    states, counts, counters = np.empty((plan.samples + 1, units)), np.zeros(units, dtype=np.int64), np.zeros(2, dtype=np.int64)
    states[0] = plan.start.state
    memory = np.zeros(0) if plan.start.memory is None else plan.start.memory.copy()
    log = Log(EVENT_TYPE, BLOCK * units)
    done = 0
    with interruptible() as stopped:
        for begin, done in pieces(plan.samples, progress, "simulating", stopped):
            while begin < done:
                room = log.reserve(int(counters[0]), BLOCK * units)
                begin = kernel.run_cfc(
                    begin, done, refresh, values.inputs, *arrays, samples, changes, memory, *weights, counters, states, room, counts
                )  # fmt: skip
    interrupted, plan, states = done < plan.samples, plan.shortened(done), states[: done + 1]
    output = cfc.output(values, states)
    errors = bounds.cfc_errors(values, quantum, states[:-1], plan.levels, plan.timespans)
    ran = int(np.count_nonzero(plan.timespans))
    of_memory = ran * (weights[0].size + weights[2].size)
    clocked = ran * int(arrays.heard["products"].sum()) + of_memory
    return Recording(
        engine=engine,
        state=states,
        state_times_s=plan.boundaries_s,
        output_samples=output[1:],
        output_initial=output[0],
        final=plan.final(states[-1].copy() if plan.start.memory is None else (states[-1].copy(), memory)),
        events=ordered_events(log.array[: counters[0]]),
        event_counts=counts,
        input_event_counts=plan.event_counts,
        neuron_synaptic_operations=int(counts @ heard_by(values)),
        stored_synaptic_operations=clocked if refresh == 0 else int(counters[1]) + of_memory,
        clocked_synaptic_operations=clocked,
        error_bound=errors.bound,
        error_bound_kind=errors.kind,
        error_estimate=errors.estimate,
        quantum=quantum,
        interrupted=interrupted,
        seconds=time.perf_counter() - started,
    )
