"""The event-driven engine of CfC networks: a delta network on its sample times; the clock-driven run is the same kernel, every sum anew."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from event_sim.bounds import ROUNDING
from event_sim.cfc_arrays import heard_by
from event_sim.cfc_machine import REFRESH, CfCMachine
from event_sim.events import FloatArray
from event_sim.interrupts import Watch, interruptible, looks, pieces
from event_sim.plan import SampledPlan
from event_sim.recording import Recording, ordered_events
from liquid_neuro.cells import cfc


def run_cfc_events(plan: SampledPlan, quantum: FloatArray, progress: bool, watch: Watch | None = None) -> Recording:
    """The recording of an event-driven CfC run. quantum: (units,) >= 0. Events bear the time of the end of their sample."""
    return _run(plan, quantum, REFRESH, "event", progress, watch)


def run_cfc_clocked(plan: SampledPlan, progress: bool) -> Recording:
    """The recording of a clock-driven CfC run: every product in every sample."""
    return _run(plan, np.zeros(plan.network.units), 0, "clocked", progress)


def _run(plan: SampledPlan, quantum: FloatArray, refresh: int, engine: str, progress: bool, watch: Watch | None = None) -> Recording:
    started = time.perf_counter()
    machine = CfCMachine(plan.network, quantum, plan.start, refresh)
    values, states, done = machine.values, np.empty((plan.samples + 1, plan.network.units)), 0
    states[0] = plan.start.state
    look = looks(watch, lambda: machine.products, plan.samples)
    with interruptible() as stopped:
        for begin, done in pieces(plan.samples, progress, "simulating", stopped, look):
            here = slice(begin, done)
            boundaries_s, rows = plan.boundaries_s[begin : done + 1], states[begin : done + 1]
            machine.run(boundaries_s, plan.lengths_s[here], plan.timespans[here], plan.levels[here], rows)
    interrupted, plan, states = done < plan.samples, plan.shortened(done), states[: done + 1]
    output, state, memory = cfc.output(values, states), states[-1].copy(), machine.memory
    final = plan.final(state if memory is None else (state, memory))
    ran = int(np.count_nonzero(plan.timespans))
    of_memory = ran * (machine.weights[0].size + machine.weights[2].size)
    clocked = ran * int(machine.arrays.heard["products"].sum()) + of_memory
    return Recording(
        engine=engine,
        state=states,
        state_times_s=plan.boundaries_s,
        output_samples=output[1:],
        output_initial=output[0],
        final=replace(final, carried=machine.carried()) if refresh else final,
        events=ordered_events(machine.events),
        event_counts=machine.counts,
        input_event_counts=plan.event_counts,
        neuron_synaptic_operations=int(machine.counts @ heard_by(values)),
        stored_synaptic_operations=clocked if refresh == 0 else machine.products + of_memory,
        clocked_synaptic_operations=clocked,
        error_bound=ROUNDING if refresh == 0 else np.inf,
        error_bound_kind="rounding" if refresh == 0 else "none",
        quantum=quantum,
        interrupted=interrupted,
        seconds=time.perf_counter() - started,
    )
