"""The event-driven engine of LTC networks: prepares the kernels' arrays, runs them, and packs the recording."""

from __future__ import annotations

import time

import numpy as np

from event_sim import bounds
from event_sim.events import FloatArray
from event_sim.ltc_arrays import DEFAULT_UNFOLDS, Log, clocked_operations, segments_of, sums_of, synapses_by_source
from event_sim.plan import ContinuousPlan, SampledPlan, chunks
from event_sim.recording import Recording, event_table
from liquid_neuro.cells import lstm, ltc
from liquid_neuro.exact_solver import kinds
from liquid_neuro.network import Fused

EVENT_LIMIT = 2_000_000  # events of one neuron between two inputs


def run_fused_events(plan: SampledPlan, quantum: FloatArray, progress: bool) -> Recording:
    """The recording of an event-driven run under a Fused solver. quantum: (units,) >= 0; 0 sends every change."""
    from event_sim.kernels import ltc_fused as kernel

    started = time.perf_counter()
    values, units = ltc.effective(plan.network), plan.network.units
    assert isinstance(plan.network.solver, Fused)
    unfolds = plan.network.solver.unfolds
    recurrent, sensory = synapses_by_source(values, plan.start.state, plan.start.inputs)
    conductance, driven = sums_of(values, recurrent, sensory, values.epsilon)
    neurons = kernel.Neurons(
        value=plan.start.state.copy(),
        sent=plan.start.state.copy(),
        quantum=quantum,
        capacity=values.cm.copy(),
        conductance=conductance,
        conductance_carry=np.zeros(units),
        driven=driven,
        driven_carry=np.zeros(units),
        target=plan.start.state.copy(),
        ratio=np.ones(units),
        due=np.full(units, kernel.NEVER),
        **{name: np.zeros(units, dtype=np.int64) for name in ("at", "next", "previous", "mark")},
    )
    first, channel, level = plan.changes()
    level = level * values.input_w[channel] + values.input_b[channel]
    clock = kernel.Clock(plan.timespans / unfolds, plan.boundaries_s[:-1].copy(), plan.lengths_s.copy(), first, channel, level)
    head, counters = np.full(kernel.RING, -1, dtype=np.int64), np.zeros(5, dtype=np.int64)
    states, counts = np.empty((plan.samples + 1, units)), np.zeros(units, dtype=np.int64)
    states[0], memory = plan.start.state, plan.start.memory
    log = Log((np.float64, np.int64, np.float64), 2 * unfolds * units)

    def run(begin: int, end: int, look_at_all: bool) -> None:
        while begin < end:
            room = kernel.Sent(*log.reserve(int(counters[1]), unfolds * units))
            begin = kernel.run_fused(
                begin, end, unfolds, look_at_all, neurons, recurrent, sensory, clock, head, counters, states, room, counts
            )

    for begin, end in chunks(plan.samples, progress, "simulating"):
        if values.lstm is None or memory is None:
            run(begin, end, begin == 0)
            continue
        for sample in range(begin, end):
            here = slice(sample, sample + 1)
            if plan.timespans[sample] == 0.0:  # the memory rests too
                states[sample + 1] = states[sample]
                continue
            jumped, after = lstm.step(values.lstm, plan.levels[here], states[here], memory[None])
            neurons.value[:], neurons.at[:], memory = jumped[0], counters[0], after[0]
            run(sample, sample + 1, True)
    output = ltc.output(values, states)
    bound, kind = bounds.error_bound(values, quantum, plan.start.state, *plan.level_range())
    return Recording(
        engine="event",
        state=states,
        state_times_s=plan.boundaries_s,
        output_samples=output[1:],
        output_initial=output[0],
        final=plan.final(states[-1].copy() if memory is None else (states[-1].copy(), memory)),
        events=event_table(*log.rows(int(counters[1]))),
        event_counts=counts,
        input_event_counts=plan.event_counts,
        neuron_synaptic_operations=int(counters[3]),
        stored_synaptic_operations=int(counters[3] + counters[4]),
        clocked_synaptic_operations=clocked_operations(values, unfolds, plan.samples),
        error_bound=bound if values.lstm is None else bounds.ESTIMATE * float(quantum.max()),
        error_bound_kind=kind if values.lstm is None else "estimate",
        quantum=quantum,
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
    kinds(values, network.labels)  # refuses loops of neurons without inertia
    recurrent, sensory = synapses_by_source(values, plan.start.state, plan.start.inputs)
    conductance, driven = sums_of(values, recurrent, sensory, 0.0)
    begin, end = plan.start_s / unit_s, plan.end_s / unit_s
    neurons = kernel.ExactNeurons(
        value=plan.start.state.copy(),
        sent=plan.start.state.copy(),
        quantum=quantum,
        capacity=values.cm.copy(),
        conductance=conductance,
        conductance_carry=np.zeros(units),
        driven=driven,
        driven_carry=np.zeros(units),
        target=plan.start.state.copy(),
        rate=np.zeros(units),
        at=np.full(units, begin),
        due=np.full(units, np.inf),
        heap=np.arange(units),
        place=np.arange(units),
        mark=np.zeros(units, dtype=np.int64),
        output=(np.arange(units) < network.outputs).astype(np.int64),
    )
    level = plan.value * values.input_w[plan.channel] + values.input_b[plan.channel]
    changes = kernel.Changes(plan.time_s / unit_s, plan.channel, level, plan.record_s / unit_s)
    states, counts = np.empty((len(plan.record_s), units)), np.zeros((2, units), dtype=np.int64)
    counters = np.zeros(8, dtype=np.int64)
    log = Log((np.float64, np.int64, np.float64), units)
    courses = Log((np.float64, np.int64, np.float64, np.float64, np.float64), 2 * units)
    for _, part in chunks(100 if progress else 1, progress, "simulating"):
        share = part / (100 if progress else 1)
        status = kernel.NO_ROOM
        while status == kernel.NO_ROOM:
            room = kernel.Log(*log.reserve(int(counters[2]), 1), *courses.reserve(int(counters[3]), units))
            to = end if share == 1 else begin + (end - begin) * share
            status = kernel.run_exact(to, EVENT_LIMIT, begin, neurons, recurrent, sensory, changes, counters, states, room, counts)
        if status == kernel.TOO_MANY:
            _refuse_endless(network.labels[counters[7]], float(log.columns[0][counters[2] - 1]) * unit_s)
    event_time, event_unit, event_value = log.rows(int(counters[2]))
    segments = segments_of(courses.rows(int(counters[3])), network.outputs, unit_s)
    on_clock = plan.stream.sample_times_s is not None
    output = ltc.output(values, states)
    bound, kind = bounds.error_bound(values, quantum, plan.start.state, *plan.level_range())
    return Recording(
        engine="event",
        state=states,
        state_times_s=plan.record_s,
        output_samples=output[1:] if on_clock else output[:0],
        output_initial=output[0],
        final=plan.final(states[-1].copy()),
        events=event_table(event_time * unit_s, event_unit, event_value),
        event_counts=counts[0],
        input_event_counts=plan.event_counts,
        neuron_synaptic_operations=int(counters[5]),
        stored_synaptic_operations=int(counters[5] + counters[6]),
        clocked_synaptic_operations=clocked_operations(values, DEFAULT_UNFOLDS, len(plan.record_s) - 1),
        error_bound=bound,
        error_bound_kind=kind,
        quantum=quantum,
        output_segments=segments,
        output_gain=values.output_w,
        output_offset=values.output_b,
        seconds=time.perf_counter() - started,
    )


def _refuse_endless(label: str, time_s: float) -> None:
    raise ValueError(
        f"a neuron must send at most {EVENT_LIMIT} events between two inputs, but {label} sent more by {time_s:g} s; "
        "use a larger quantum or tolerance, or look for an oscillation through neurons with a very small cm"
    )
