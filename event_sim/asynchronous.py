"""The event-driven engines of LTC networks: they run the kernels' machines over a plan and pack the recording.

What the run's error is, tolerances.py tells.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from event_sim.events import FloatArray, IntArray
from event_sim.interrupts import Watch, interruptible, looks, pieces
from event_sim.keeping import Latest
from event_sim.ltc_arrays import DEFAULT_UNFOLDS, clocked_operations, curved_segments_of, fan_out, segments_of
from event_sim.ltc_machines import ExactMachine, FusedMachine, changes_of
from event_sim.plan import ContinuousPlan, SampledPlan
from event_sim.recording import Recording, ordered_events
from liquid_neuro.cells import ltc
from liquid_neuro.network import Fused

PARTS = 1 << 20  # of a run in continuous time, in pieces of which it can be interrupted


def run_fused_events(plan: SampledPlan, quantum: FloatArray, progress: bool, watch: Watch | None = None) -> Recording:
    """The recording of an event-driven run under a Fused solver. quantum: (units,) >= 0; 0 sends every change. watch: see interrupts.py."""
    started = time.perf_counter()
    machine = FusedMachine(plan.network, quantum, plan.start)
    values, solver, held = machine.values, plan.network.solver, machine.levels
    assert isinstance(solver, Fused)
    keep = plan.kept
    states, done, latest = np.empty((plan.samples + 1, len(keep.columns))), 0, Latest(keep, machine)
    states[0] = plan.start.state[keep.columns]
    if watch is not None:
        machine.look_every(watch.every, lambda ran, spent: watch.look((begin + ran) / plan.samples, spent))
    with interruptible() as stopped:
        for begin, done in pieces(plan.samples, progress, "simulating", stopped):
            here = slice(begin, done)
            boundaries_s, rows = plan.boundaries_s[begin : done + 1], states[begin : done + 1]
            machine.run(boundaries_s, plan.lengths_s[here], plan.timespans[here], plan.levels[here], rows, keep.columns)
            latest.take()
    interrupted, plan, states = done < plan.samples, plan.shortened(done), states[: done + 1]
    output, state, memory, events = ltc.output(values, states), machine.state.copy(), machine.memory, latest.events()
    final = plan.final(state if memory is None else (state, memory))
    return Recording(
        engine="event",
        state=states,
        state_units=keep.columns[:0] if keep.whole else keep.columns,
        state_times_s=plan.boundaries_s,
        output_samples=output[1:],
        output_initial=output[0],
        final=replace(final, carried=machine.carried()),
        events=ordered_events(events, own=True),
        events_dropped=latest.dropped,
        event_counts=machine.counts,
        input_event_counts=plan.event_counts,
        **_operations(fan_out(values), machine.counts, changes_of(held, plan.levels)[1]),
        clocked_synaptic_operations=clocked_operations(values, solver.unfolds, plan.samples),
        quantum=quantum,
        error_bound=np.inf,
        interrupted=interrupted,
        seconds=time.perf_counter() - started,
    )


def run_exact_events(plan: ContinuousPlan, quantum: FloatArray, progress: bool, order: int = 1, watch: Watch | None = None) -> Recording:
    """The recording of an event-driven run of the differential equation. quantum: (units,) > 0. Its events list values without slopes.

    ValueError where neurons without inertia form a circle, and where a neuron sends without end.
    """
    started = time.perf_counter()
    network, unit_s = plan.network, plan.network.time_unit_s
    length_s = plan.end_s - plan.start_s
    machine = ExactMachine(network, quantum, plan.start, plan.start_s, order=order, recorded=True, length_s=length_s)
    values, begin, end = machine.values, machine.begin, plan.end_s / unit_s
    changes = machine.changes(plan.time_s, plan.channel, plan.value, plan.start.inputs)
    record, keep = plan.record_s / unit_s, plan.kept
    states, part, to, latest = np.empty((len(record), len(keep.columns))), 0, begin, Latest(keep, machine)
    heard_by = fan_out(values)
    look = looks(watch, lambda: int(machine.counts @ heard_by[: values.units]), PARTS)
    with interruptible() as stopped:
        for _, part in pieces(PARTS, progress, "simulating", stopped, look):
            to = end if part == PARTS else begin + (end - begin) * (part / PARTS)
            machine.run(to, changes, record, states, keep.columns)
            latest.take()
    at = machine.progress[0]
    if part < PARTS:
        changed = int(np.searchsorted(plan.time_s / unit_s, to, side="right")) if part else 0
        plan = plan.shortened(to * unit_s if part else plan.start_s, int(at["record"]), changed)
        states = states[: len(plan.record_s)]
        states[-1] = machine.values_at(to)[keep.columns]
    final, output = plan.final(states[-1].copy() if keep.whole else machine.values_at(to)), ltc.output(values, states)
    machine.levels = final.inputs.copy() if part else machine.levels
    courses, events = machine.courses.array[: int(at["courses"])], latest.events()
    segments = segments_of(courses, network.outputs, unit_s) if order == 1 else curved_segments_of(courses, values, unit_s)
    return Recording(
        engine="event",
        state=states,
        state_units=keep.columns[:0] if keep.whole else keep.columns,
        state_times_s=plan.record_s,
        output_samples=output[1 : 1 + plan.samples],
        output_initial=output[0],
        final=replace(final, carried=machine.carried(to)),
        events=ordered_events(events, own=True),
        events_dropped=latest.dropped,
        event_counts=machine.counts,
        input_event_counts=plan.event_counts,
        **_operations(heard_by, machine.counts, changes["channel"][: int(at["change"])]),
        clocked_synaptic_operations=clocked_operations(values, DEFAULT_UNFOLDS, len(plan.record_s) - 1),
        quantum=quantum,
        error_bound=np.inf,
        output_segments=() if latest.dropped else segments,
        output_gain=values.output_w,
        output_offset=values.output_b,
        interrupted=part < PARTS,
        seconds=time.perf_counter() - started,
    )


def _operations(heard_by: IntArray, counts: IntArray, channels: IntArray) -> dict[str, Any]:
    """What a recording tells of synaptic operations, from fan-outs, events per neuron and the channels of all changes of levels."""
    own, units = int(counts @ heard_by[: len(counts)]), len(counts)
    return {"neuron_synaptic_operations": own, "stored_synaptic_operations": own + int(heard_by[units:][channels].sum())}
