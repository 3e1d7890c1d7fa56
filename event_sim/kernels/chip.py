"""The chip simulator's inner loop: ticks of a quantised network, bit for bit, at a cost that follows the activity.

A compartment's program runs only where its accumulators moved, or its state did at its last turn: elsewhere it would give the same word
again. Messages travel through one list of synapses per sending compartment; what arrives is summed per accumulator before it is added.

Programs are called by their addresses (chip_programs.py), so that this loop serves every network.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from event_sim.kernels.chip_programs import call_program
from event_sim.kernels.jit import compiled, recompiled
from hardware_profiles import fixed_point

Array = Any  # of NumPy, int64


class Layout(NamedTuple):
    """A network as arrays. Compartments of all populations stand behind one another; those of the host are the first.

    Per population: start (populations + 1,), program (its address), stateless, first_tick, period, threshold, message_shift, prediction,
    state_limit (words are -limit - 1 .. limit), width (how many parameters a compartment has) and row: where the population's begin in
    `parameters`; edge: where the bounds of its tables in `entries` begin in `bounds`; unit_start: where its states stand in the network's
    state, or -1. Per compartment: population, place (compartments + 1,): where its accumulators begin, one slot per port; synapse_start
    (compartments + 1,). Per slot: owner, its compartment. Per synapse, by sender: slot and weight.
    """

    start: Array
    program: Array
    stateless: Array
    first_tick: Array
    period: Array
    threshold: Array
    message_shift: Array
    prediction: Array
    state_limit: Array
    width: Array
    row: Array
    edge: Array
    unit_start: Array
    population: Array
    place: Array
    synapse_start: Array
    owner: Array
    slot: Array
    weight: Array
    parameters: Array
    entries: Array
    bounds: Array


class Machine(NamedTuple):
    """What changes.

    Per compartment: state, sent, queued (0 or 1), queue (by population, queue_length of them used). Per slot: total (the accumulator),
    arriving, is_touched, and the list `touched` of slots to which something is under way, touched_count[0] of them used. Counts of the
    turns that belong to recorded samples: spikes, active (per compartment), state_saturations (per population), total_saturations (per
    slot). fresh: new words of the population whose turn it is.
    """

    state: Array
    sent: Array
    queued: Array
    queue: Array
    queue_length: Array
    total: Array
    arriving: Array
    is_touched: Array
    touched: Array
    touched_count: Array
    spikes: Array
    active: Array
    state_saturations: Array
    total_saturations: Array
    fresh: Array


class Record(NamedTuple):
    """What is kept of a run.

    samples (K, units): the states that belong to the samples. events (rows, 3): tick, unit, message; event_count[0] of them used.
    spikes_per_tick (ticks, populations), trace_state and trace_sent (ticks, compartments): with 0 rows when not wanted.
    """

    samples: Array
    events: Array
    event_count: Array
    spikes_per_tick: Array
    trace_state: Array
    trace_sent: Array


round_shift, floor_shift = recompiled(fixed_point.round_shift), recompiled(fixed_point.floor_shift)

# The functions below take arrays one by one: reading them out of a tuple inside the loops costs more than the loops themselves.


@recompiled
def _arrive(
    touched: Array,
    touched_count: Array,
    is_touched: Array,
    total: Array,
    arriving: Array,
    total_saturations: Array,
    queued: Array,
    queue: Array,
    queue_length: Array,
    owner: Array,
    population: Array,
    start: Array,
    sample: Array,
    samples: int,
    limit: int,
) -> None:
    """What was sent in the tick before reaches the accumulators; their compartments queue up for their next turn."""
    for n in range(touched_count[0]):
        slot = touched[n]
        new = total[slot] + arriving[slot]
        arriving[slot] = 0
        is_touched[slot] = 0
        i = owner[slot]
        if new > limit or new < -limit - 1:
            new = limit if new > limit else -limit - 1
            if 0 <= sample[population[i]] < samples:
                total_saturations[slot] += 1
        total[slot] = new
        if queued[i] == 0:
            p = population[i]
            queued[i] = 1
            queue[start[p] + queue_length[p]] = i
            queue_length[p] += 1
    touched_count[0] = 0


@recompiled
def _send(
    delta: int,
    first: int,
    last: int,
    slot: Array,
    weight: Array,
    arriving: Array,
    is_touched: Array,
    touched: Array,
    touched_count: Array,
) -> None:
    """A message sets out along the synapses first .. last - 1."""
    count = touched_count[0]
    for s in range(first, last):
        target = slot[s]
        arriving[target] += delta * weight[s]
        if is_touched[target] == 0:
            is_touched[target] = 1
            touched[count] = target
            count += 1
    touched_count[0] = count


@recompiled
def _note(events: Array, event_count: Array, t: int, unit: int, message: int) -> None:
    """A row for a unit's event, where there is room."""
    row = event_count[0]
    if row < len(events):
        events[row, 0] = t
        events[row, 1] = unit
        events[row, 2] = message
        event_count[0] = row + 1


@recompiled
def _set_inputs(row: Array, state: Array, queue: Array, queue_length: Array, start: Array) -> None:
    """The host sets the words of its populations, and all of them have their turn."""
    for i in range(len(row)):
        state[i] = row[i]
        queue[i] = i
    p = 0
    while start[p] < len(row):
        queue_length[p] = start[p + 1] - start[p]
        p += 1


@recompiled
def _keep(kept: Array, place: int, state: Array, first: int, last: int) -> None:
    """The words of compartments first .. last - 1, from `place` on."""
    for i in range(first, last):
        kept[place + i - first] = state[i]


@recompiled
def _advance(
    p: int,
    t: int,
    owned: bool,
    first: int,
    limit: int,
    shift: int,
    least: int,
    ahead: bool,
    lasting: bool,
    unit: int,
    synapse_start: Array,
    slot: Array,
    weight: Array,
    fresh: Array,
    state: Array,
    sent: Array,
    queued: Array,
    queue: Array,
    queue_length: Array,
    arriving: Array,
    is_touched: Array,
    touched: Array,
    touched_count: Array,
    spikes: Array,
    active: Array,
    state_saturations: Array,
    events: Array,
    event_count: Array,
) -> int:
    """Population p takes its new words and sends. How many sent, where that counts (`owned`).

    lasting: whether a word that moved makes the next turn differ whatever arrives. ahead: whether messages run half a turn ahead.
    """
    messages, kept, saturations = 0, 0, 0
    for q in range(queue_length[p]):
        i = queue[first + q]
        old, new = state[i], fresh[q]
        saturated = new > limit or new < -limit - 1
        if saturated:
            new = limit if new > limit else -limit - 1
            saturations += 1
        state[i] = new
        active[i] += owned
        if saturated or (lasting and new != old):
            queue[first + kept] = i
            kept += 1
        else:
            queued[i] = 0
        said = new
        if ahead:
            said = min(max(new + floor_shift(new - old, 1), -limit - 1), limit)
        message = round_shift(said, shift)
        delta = message - sent[i]
        if abs(delta) >= least:
            sent[i] = message
            spikes[i] += owned
            messages += owned
            _send(delta, synapse_start[i], synapse_start[i + 1], slot, weight, arriving, is_touched, touched, touched_count)
            if owned and unit >= 0:
                _note(events, event_count, t, unit + i - first, message)
    queue_length[p] = kept
    state_saturations[p] += saturations if owned else 0
    return messages


@compiled
def run_ticks(
    layout: Any,
    machine: Any,
    record: Any,
    inputs: Array,
    clock: Array,
    ticks_per_sample: int,
    first_tick: int,
    ticks: int,
    first_sample: int,
    record_tick: int,
    limit: int,
) -> None:
    """Ticks first_tick (a multiple of ticks_per_sample) and following; a row of inputs (K, host compartments) enters every so many ticks.

    first_sample: the sample of record.samples[0]; turns of samples outside of it are run and not counted. record_tick: the tick of row 0 of
    the per-tick records. limit: of accumulators. clock (3, populations) is worked in: each population's next turn, the sample to which
    that turn belongs (counted from first_sample), and how many turns of that sample are left.
    """
    start, program, stateless, turn_start, period, threshold, message_shift, prediction, state_limit, width = layout[:10]
    row, edge, unit_start, population, place, synapse_start, owner, slot, weight, parameters, entries, bounds = layout[10:]
    state, sent, queued, queue, queue_length, total, arriving, is_touched, touched, touched_count = machine[:10]
    spikes, active, state_saturations, total_saturations, fresh = machine[10:]
    samples, events, event_count, spikes_per_tick, trace_state, trace_sent = record
    due, sample, left = clock[0], clock[1], clock[2]
    for p in range(len(program)):
        turns = ticks_per_sample // period[p]
        past = max(0, -((turn_start[p] - first_tick) // period[p]))
        due[p], sample[p], left[p] = turn_start[p] + past * period[p], past // turns - first_sample, turns - past % turns
    arrival, host = first_tick, 0
    pointers = (
        queue.ctypes.data, state.ctypes.data, total.ctypes.data, place.ctypes.data, parameters.ctypes.data, entries.ctypes.data,
        bounds.ctypes.data, fresh.ctypes.data,
    )  # fmt: skip
    for t in range(first_tick, first_tick + ticks):
        _arrive(
            touched, touched_count, is_touched, total, arriving, total_saturations, queued, queue, queue_length, owner, population, start,
            sample, len(samples), limit,
        )  # fmt: skip
        line = t - record_tick
        if t == arrival and host < len(inputs):
            _set_inputs(inputs[host], state, queue, queue_length, start)
            arrival += ticks_per_sample
            host += 1
        for p in range(len(program)):
            if t < due[p]:
                continue
            due[p] += period[p]
            owned = 0 <= sample[p] < len(samples)
            if queue_length[p] != 0:
                first, ahead = start[p], prediction[p] != 0
                call_program(program[p], pointers, (first, queue_length[p], row[p], width[p], edge[p]))
                messages = _advance(
                    p, t, owned, first, state_limit[p], message_shift[p], threshold[p], ahead, stateless[p] == 0 or ahead, unit_start[p],
                    synapse_start, slot, weight, fresh, state, sent, queued, queue, queue_length, arriving, is_touched, touched,
                    touched_count, spikes, active, state_saturations, events, event_count,
                )  # fmt: skip
                if line < len(spikes_per_tick):
                    spikes_per_tick[line, p] = messages
            left[p] -= 1
            if left[p] == 0:
                if owned and unit_start[p] >= 0:
                    _keep(samples[sample[p]], unit_start[p], state, start[p], start[p + 1])
                sample[p] += 1
                left[p] = ticks_per_sample // period[p]
        if line < len(trace_state):
            _keep(trace_state[line], 0, state, 0, len(state))
            _keep(trace_sent[line], 0, sent, 0, len(sent))
