"""The event-driven engine of second order for the exact solver: events carry value and slope (kernels/ltc_second.py).

Its error, to first order: what a neuron hears is off by at most a quantum of value and, through its tangents, by what another quantum
would make; its own equation by at most an eighth of a quantum times g. So the estimate of bounds.py is taken with 2.25 quanta.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim import bounds
from event_sim.asynchronous import EVENT_LIMIT, PARTS, continuous_changes, refuse_endless
from event_sim.events import FloatArray
from event_sim.interrupts import interruptible, pieces
from event_sim.ltc_arrays import DEFAULT_UNFOLDS, Log, algebraic_levels, clocked_operations, neurons_of, synapses_by_source
from event_sim.plan import ContinuousPlan
from event_sim.recording import EVENT_TYPE, CurvedSegments, Recording, ordered_events
from liquid_neuro.cells import ltc

QUANTA = 2.25  # of disturbance, see above
BENT = (
    5.19  # (1 / 4) / (max |sigmoid''| / 2): a path that bends a gate by what a quantum moves it has the length sqrt(BENT quantum / sigma)
)


def run_second_events(plan: ContinuousPlan, quantum: FloatArray, progress: bool) -> Recording:
    """The recording of a run of second order. quantum: (units,) > 0. Errors as run_exact_events. Its events list values without slopes."""
    from event_sim.kernels import ltc_second as kernel
    from event_sim.kernels.ltc_exact import EXACT_PROGRESS, NO_ROOM, TOO_MANY

    started = time.perf_counter()
    network, values, unit_s = plan.network, ltc.effective(plan.network), plan.network.time_unit_s
    units, begin, end = network.units, plan.start_s / unit_s, plan.end_s / unit_s
    algebraic_levels(values, network.labels)  # refuses circles of neurons without inertia
    neurons, synapses = _arrays(plan, values, quantum, begin)
    heap, record, carried = np.arange(units), plan.record_s / unit_s, np.zeros(1, dtype=EXACT_PROGRESS)
    states, counts, at, part, to = np.empty((len(record), units)), np.zeros(units, dtype=np.int64), carried[0], 0, begin
    log, courses, changes = Log(EVENT_TYPE, units), Log(kernel.SECOND_COURSE, 2 * units), continuous_changes(plan, values)
    with interruptible() as stopped:
        for _, part in pieces(PARTS, progress, "simulating", stopped):
            to, status = end if part == PARTS else begin + (end - begin) * (part / PARTS), NO_ROOM
            while status == NO_ROOM:
                rooms = log.reserve(int(at["events"]), 1), courses.reserve(int(at["courses"]), units)
                status = kernel.run_second(
                    to, EVENT_LIMIT, begin, heap, neurons, *synapses, changes, record, carried, states, *rooms, counts
                )
            if status == TOO_MANY:
                refuse_endless(network.labels[at["culprit"]], float(log.array["time_s"][at["events"] - 1]) * unit_s)
    if part < PARTS:
        plan = plan.shortened(to * unit_s if part else plan.start_s, int(at["record"]), int(at["change"]))
        states = states[: len(plan.record_s)]
        kernel.second_values_at(neurons, plan.end_s / unit_s, states[-1])
    events = log.array[: at["events"]].copy()
    events["time_s"] *= unit_s
    output, levels = ltc.output(values, states), plan.levels_at(plan.record_s)
    estimate = bounds.ltc_errors(values, QUANTA * quantum, plan.start.state, states, levels, *plan.level_range()).estimate
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
        error_bound=estimate,
        error_bound_kind="estimate",
        error_estimate=estimate,
        quantum=quantum,
        output_segments=_segments(courses.array[: at["courses"]], values, unit_s),
        output_gain=values.output_w,
        output_offset=values.output_b,
        interrupted=part < PARTS,
        seconds=time.perf_counter() - started,
    )


def _arrays(
    plan: ContinuousPlan, values: ltc.LTCValues, quantum: FloatArray, begin: float
) -> tuple[npt.NDArray[Any], tuple[npt.NDArray[Any], ...]]:
    """(neurons at rest in what they have just sent, synapses: first and records, recurrent and sensory)."""
    from event_sim.kernels import ltc_second as kernel

    plain = synapses_by_source(values, plan.start.state, plan.start.inputs)
    neurons = neurons_of(kernel.SECOND_NEURON, values, plan.start.state, quantum, plain, 0.0)
    neurons["at"] = neurons["sent_at"] = begin
    neurons["due"], neurons["place"], neurons["output"] = np.inf, np.arange(values.units), np.arange(values.units) < values.outputs
    neurons["largest"] = values.gleak
    np.add.at(neurons["largest"], values.target, values.w)
    np.add.at(neurons["largest"], values.sensory_target, values.sensory_w)
    steepest = np.zeros(values.units)
    np.maximum.at(steepest, values.source, np.abs(values.sigma))
    with np.errstate(divide="ignore"):
        neurons["reach"] = np.sqrt(BENT * quantum / steepest)
    arrays: list[npt.NDArray[Any]] = []
    for first, records in plain:
        own = np.zeros(len(records), dtype=kernel.SECOND_SYNAPSE)
        for name in records.dtype.names or ():
            own[name] = records[name]
        arrays += [first, own]
    return neurons, tuple(arrays)


def _segments(courses: npt.NDArray[Any], values: ltc.LTCValues, unit_s: float) -> tuple[CurvedSegments, ...]:
    """The courses of the output neurons, one by one."""
    result = []
    for output in range(values.outputs):
        own = courses[courses["unit"] == output]
        start, push, first, second, held = (own[name].copy() for name in ("start", "push", "first", "second", "held"))
        result.append(CurvedSegments(own["time"] * unit_s, start, push, first, second, held, float(values.cm[output]), unit_s))
    return tuple(result)
