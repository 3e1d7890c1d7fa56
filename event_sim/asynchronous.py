"""The event-driven engine of LTC networks: prepares the kernels' arrays, runs them, and packs the recording."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim import bounds
from event_sim.events import FloatArray
from event_sim.interrupts import interruptible, pieces
from event_sim.ltc_arrays import DEFAULT_UNFOLDS, Log, algebraic_levels, clocked_operations, neurons_of, segments_of, synapses_by_source
from event_sim.plan import ContinuousPlan, SampledPlan
from event_sim.recording import EVENT_TYPE, Recording, ordered_events
from liquid_neuro.cells import lstm, ltc
from liquid_neuro.network import Fused

PARTS = 1 << 20  # of a run in continuous time, in pieces of which it can be interrupted
EVENT_LIMIT = 2_000_000  # events of one neuron between two inputs


def run_fused_events(plan: SampledPlan, quantum: FloatArray, progress: bool) -> Recording:
    """The recording of an event-driven run under a Fused solver. quantum: (units,) >= 0; 0 sends every change."""
    from event_sim.kernels import ltc_fused as kernel

    started = time.perf_counter()
    values, units, solver = ltc.effective(plan.network), plan.network.units, plan.network.solver
    assert isinstance(solver, Fused)
    unfolds = solver.unfolds
    synapses = synapses_by_source(values, plan.start.state, plan.start.inputs)
    neurons = neurons_of(kernel.NEURON, values, plan.start.state, quantum, synapses, values.epsilon)
    neurons["ratio"], neurons["due"] = 1.0, kernel.NEVER
    samples, changes = _on_samples(plan, values, unfolds)
    head, carried = np.full(kernel.RING, -1, dtype=np.int64), np.zeros(1, dtype=kernel.PROGRESS)
    states, counts = np.empty((plan.samples + 1, units)), np.zeros(units, dtype=np.int64)
    states[0], memory = plan.start.state, plan.start.memory
    log, at, done = Log(kernel.EVENT, 2 * unfolds * units), carried[0], 0

    def run(begin: int, end: int, look_at_all: bool) -> None:
        while begin < end:
            room = log.reserve(int(at["events"]), unfolds * units)
            begin = kernel.run_fused(
                begin, end, unfolds, look_at_all, neurons, *synapses[0], *synapses[1], samples, changes, head, carried, states, room, counts
            )  # fmt: skip

    with interruptible() as stopped:
        for begin, done in pieces(plan.samples, progress, "simulating", stopped):
            if values.lstm is None or memory is None:
                run(begin, done, False)
                continue
            for sample in range(begin, done):
                here = slice(sample, sample + 1)
                if plan.timespans[sample] == 0.0:  # the memory rests too
                    states[sample + 1] = states[sample]
                    continue
                recalled, after = lstm.step(values.lstm, plan.levels[here], states[here], memory[None])
                neurons["value"], neurons["at"], memory = recalled[0], at["now"], after[0]
                run(sample, sample + 1, True)
    interrupted, plan, states = done < plan.samples, plan.shortened(done), states[: done + 1]
    output = ltc.output(values, states)
    errors = bounds.ltc_errors(values, quantum, plan.start.state, states[:-1], plan.levels, *plan.level_range())
    return Recording(
        engine="event",
        state=states,
        state_times_s=plan.boundaries_s,
        output_samples=output[1:],
        output_initial=output[0],
        final=plan.final(states[-1].copy() if memory is None else (states[-1].copy(), memory)),
        events=ordered_events(log.array[: at["events"]]),
        event_counts=counts,
        input_event_counts=plan.event_counts,
        neuron_synaptic_operations=int(at["operations"]),
        stored_synaptic_operations=int(at["operations"] + at["sensory_operations"]),
        clocked_synaptic_operations=clocked_operations(values, unfolds, plan.samples),
        **_told(errors, quantum),
        interrupted=interrupted,
        seconds=time.perf_counter() - started,
    )


def run_exact_events(plan: ContinuousPlan, quantum: FloatArray, progress: bool) -> Recording:
    """The recording of an event-driven run of the differential equation. quantum: (units,) > 0.

    ValueError where neurons without inertia form a circle, and where a neuron sends without end.
    """
    from event_sim.kernels import ltc_exact as kernel

    started = time.perf_counter()
    network, values, unit_s = plan.network, ltc.effective(plan.network), plan.network.time_unit_s
    units = network.units
    algebraic_levels(values, network.labels)  # refuses circles of neurons without inertia
    synapses = synapses_by_source(values, plan.start.state, plan.start.inputs)
    neurons = neurons_of(kernel.EXACT_NEURON, values, plan.start.state, quantum, synapses, 0.0)
    begin, end = plan.start_s / unit_s, plan.end_s / unit_s
    neurons["at"], neurons["due"], neurons["place"] = begin, np.inf, np.arange(units)
    neurons["output"] = np.arange(units) < network.outputs
    changes = continuous_changes(plan, values)
    heap, record, carried = np.arange(units), plan.record_s / unit_s, np.zeros(1, dtype=kernel.EXACT_PROGRESS)
    states, counts, at = np.empty((len(record), units)), np.zeros(units, dtype=np.int64), carried[0]
    log, courses = Log(EVENT_TYPE, units), Log(kernel.COURSE, 2 * units)
    part = 0
    with interruptible() as stopped:
        for _, part in pieces(PARTS, progress, "simulating", stopped):
            to, status = end if part == PARTS else begin + (end - begin) * (part / PARTS), kernel.NO_ROOM
            while status == kernel.NO_ROOM:
                rooms = log.reserve(int(at["events"]), 1), courses.reserve(int(at["courses"]), units)
                status = kernel.run_exact(
                    to, EVENT_LIMIT, begin, heap, neurons, *synapses[0], *synapses[1], changes, record, carried, states, *rooms, counts
                )  # fmt: skip
            if status == kernel.TOO_MANY:
                refuse_endless(network.labels[at["culprit"]], float(log.array["time_s"][at["events"] - 1]) * unit_s)
    if part < PARTS:
        plan = plan.shortened(to * unit_s if part else plan.start_s, int(at["record"]), int(at["change"]))
        states = states[: len(plan.record_s)]
        kernel.values_at(neurons, plan.end_s / unit_s, states[-1])
    events = log.array[: at["events"]].copy()
    events["time_s"] *= unit_s
    segments = segments_of(courses.array[: at["courses"]], network.outputs, unit_s)
    output = ltc.output(values, states)
    errors = bounds.ltc_errors(values, quantum, plan.start.state, states, plan.levels_at(plan.record_s), *plan.level_range())
    return Recording(
        engine="event",
        state=states,
        state_times_s=plan.record_s,
        output_samples=output[1 : 1 + plan.samples],
        output_initial=output[0],
        final=plan.final(states[-1].copy()),
        events=ordered_events(events),
        event_counts=counts,
        input_event_counts=plan.event_counts,
        neuron_synaptic_operations=int(at["operations"]),
        stored_synaptic_operations=int(at["operations"] + at["sensory_operations"]),
        clocked_synaptic_operations=clocked_operations(values, DEFAULT_UNFOLDS, len(plan.record_s) - 1),
        **_told(errors, quantum),
        output_segments=segments,
        output_gain=values.output_w,
        output_offset=values.output_b,
        interrupted=part < PARTS,
        seconds=time.perf_counter() - started,
    )


def _told(errors: bounds.Errors, quantum: FloatArray) -> dict[str, Any]:
    """What a recording tells of a run's error."""
    return {"error_bound": errors.bound, "error_bound_kind": errors.kind, "error_estimate": errors.estimate, "quantum": quantum}


def _on_samples(plan: SampledPlan, values: ltc.LTCValues, unfolds: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The samples and their changes of (mapped) levels as the kernel reads them."""
    from event_sim.kernels import ltc_fused as kernel

    first, channel, level = plan.changes()
    samples = np.zeros(plan.samples + 1, dtype=kernel.SAMPLE)
    samples["step"][:-1], samples["start_s"], samples["step_s"][:-1] = plan.timespans / unfolds, plan.boundaries_s, plan.lengths_s / unfolds
    samples["first_change"] = first
    changes = np.zeros(len(channel), dtype=kernel.CHANGE)
    changes["channel"], changes["level"] = channel, level * values.input_w[channel] + values.input_b[channel]
    return samples, changes


def continuous_changes(plan: ContinuousPlan, values: ltc.LTCValues) -> npt.NDArray[Any]:
    """The changes of (mapped) levels in model time as the kernel reads them."""
    from event_sim.kernels.ltc_exact import EXACT_CHANGE

    changes = np.zeros(len(plan.time_s), dtype=EXACT_CHANGE)
    changes["time"], changes["channel"] = plan.time_s / plan.network.time_unit_s, plan.channel
    changes["level"] = plan.value * values.input_w[plan.channel] + values.input_b[plan.channel]
    return changes


def refuse_endless(label: str, time_s: float) -> None:
    """ValueError naming the neuron that sent more than EVENT_LIMIT events between two inputs."""
    raise ValueError(
        f"a neuron must send at most {EVENT_LIMIT} events between two inputs, but {label} sent more by {time_s:g} s; "
        "use a larger quantum or tolerance, or look for an oscillation through neurons with a very small cm"
    )
