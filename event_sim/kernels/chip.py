"""The chip simulator's inner loop: ticks of a quantised network, bit for bit, at a cost that follows the activity.

A compartment's program runs only where its accumulators moved, or its state did at its last turn: elsewhere it would give the same word
again. Messages travel through one list of synapses per sending compartment; what arrives is summed per accumulator before it is added.

Both have a second form for populations in which much happens. Where a good part of a population waits for its turn, all of it has one: the
words of the others come out as they were, and neighbours are worked at side by side. Where many messages set out, they *flood* their
targets: nobody lists the accumulators that they reach, all of the target populations are looked through when they arrive.

Programs are called by their addresses (chip_programs.py), so that this loop serves every network. It takes arrays as pointers
(addresses.py), at which an index is not looked at.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from event_sim.kernels.addresses import flags, places, weights, words
from event_sim.kernels.chip_programs import call_program
from event_sim.kernels.chip_steps import (
    advance_all,
    advance_listed,
    arrive_everywhere,
    arrive_listed,
    flood,
    keep,
    list_senders,
    list_waiting,
    neighbours,
    note,
    send,
    set_inputs,
)
from event_sim.kernels.jit import compiled, inlined

Array = Any  # of NumPy, int64


class Layout(NamedTuple):
    """A network as arrays. Compartments of all populations stand behind one another; those of the host are the first.

    Per population: start (populations + 1,), program (its address; 0 for the host's), stateless, first_tick, period, threshold,
    message_shift, prediction, state_limit (words are -limit - 1 .. limit) and row: where its parameters begin in `parameters`, one after
    the other, each for all compartments; edge: where the bounds of its tables in `entries` begin in `bounds`; unit_start: where its states
    stand in the network's state, or -1; whole_from: where so many wait for their turn, all have it; flood_from: so many senders flood their
    targets, which are target[target_start .. next target_start - 1]; in_pairs: whether every compartment has two synapses. Per compartment:
    population, place (compartments + 1,): where its accumulators begin, one slot per port; synapse_start (compartments + 1,); is_run:
    whether its synapses reach many slots that lie side by side. Per slot: owner, its compartment. Per synapse, by sender: slot and weight.
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
    row: Array
    edge: Array
    unit_start: Array
    whole_from: Array
    flood_from: Array
    in_pairs: Array
    target_start: Array
    target: Array
    population: Array
    place: Array
    synapse_start: Array
    is_run: Array
    owner: Array
    slot: Array
    weight: Array
    parameters: Array
    entries: Array
    bounds: Array


class Machine(NamedTuple):
    """What changes.

    Per compartment: state, sent, queued (0 or 1: whether it waits for its turn). Per population: queue_length, how many wait; unlisted,
    whether `queue` (from start + population on) does not tell them; flooded, whether something is under way to it that `touched` does not
    tell. Per slot: total (the accumulator), arriving, is_touched, and the list `touched` of slots to which something is under way,
    touched_count[0] of them used. Counts of the turns that belong to recorded samples: spikes, active (per compartment),
    state_saturations (per population), total_saturations (per slot).

    Worked in, for the population whose turn it is: ranges of compartments, fresh (their new words), fires (whether they send), sender
    (who send) and, per compartment, delta (what).
    """

    state: Array
    sent: Array
    queued: Array
    queue: Array
    queue_length: Array
    unlisted: Array
    flooded: Array
    total: Array
    arriving: Array
    is_touched: Array
    touched: Array
    touched_count: Array
    spikes: Array
    active: Array
    state_saturations: Array
    total_saturations: Array
    ranges: Array
    fresh: Array
    fires: Array
    sender: Array
    delta: Array


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


@inlined
def _arrive(layout: Any, m: Any, populations: int, sample: Array, samples: int, limit: int) -> None:
    """Arrival: the messages of the tick before. layout, m: addresses."""
    start, place, count = words(layout.start, 0), words(layout.place, 0), words(m.touched_count, 0)
    queue_length, flooded = words(m.queue_length, 0), flags(m.flooded, 0)
    if count[0] != 0:
        arrive_listed(
            places(m.touched, 0), count[0], flags(m.is_touched, 0), words(m.total, 0), words(m.arriving, 0), words(m.total_saturations, 0),
            flags(m.queued, 0), places(m.queue, 0), queue_length, places(layout.owner, 0), places(layout.population, 0), start, sample,
            samples, limit,
        )  # fmt: skip
        count[0] = 0
    for p in range(populations):
        if flooded[p] != 0:
            first, last = start[p], start[p + 1]
            x, y = place[first], place[last]
            queue_length[p] = arrive_everywhere(
                last - first, y - x, flags(m.is_touched, x), words(m.total, x), words(m.arriving, x), words(m.total_saturations, x),
                flags(m.queued, first), 0 <= sample[p] < samples, limit,
            )  # fmt: skip
            flooded[p] = 0
            flags(m.unlisted, p)[0] = 1


@inlined
def _turn(p: int, t: int, owned: bool, layout: Any, m: Any, events: Array, event_count: Array) -> int:
    """Population p runs its program, takes its new words and sends. How many sent, where that counts (`owned`). layout, m: addresses."""
    first, ahead = words(layout.start, p)[0], -words(layout.prediction, p)[0]
    size, length = words(layout.start, p)[1] - first, words(m.queue_length, p)[0]
    lasting = words(layout.stateless, p)[0] == 0 or ahead != 0
    limit, shift, least = words(layout.state_limit, p)[0], words(layout.message_shift, p)[0], words(layout.threshold, p)[0]
    ranges, fresh, delta, sender, unlisted = (
        words(m.ranges, 0),
        words(m.fresh, 0),
        words(m.delta, 0),
        places(m.sender, 0),
        flags(m.unlisted, p),
    )
    program, pointers = words(layout.program, p)[0], (m.ranges, m.state, m.total, layout.parameters, layout.entries, layout.bounds, m.fresh)
    numbers = (first, size, words(layout.place, first)[0], words(layout.row, p)[0], words(layout.edge, p)[0])
    if program == 0 or length >= words(layout.whole_from, p)[0]:
        ranges[0], ranges[1] = first, size
        if program == 0:  # the host's words are set and stay
            fresh = words(m.state, first)
        else:
            call_program(program, pointers, (1, *numbers))
        waiting, saturations = advance_all(
            size, fresh, words(m.state, first), words(m.sent, first), flags(m.queued, first), words(m.spikes, first),
            words(m.active, first), flags(m.fires, 0), delta, owned, limit, shift, least, ahead, lasting,
        )  # fmt: skip
        unlisted[0] = 1
        sending = list_senders(flags(m.fires, 0), size, sender)
    else:
        queue = places(m.queue, first + p)
        if unlisted[0] != 0:
            list_waiting(flags(m.queued, first), size, first, queue)
            unlisted[0] = 0
        call_program(program, pointers, (neighbours(queue, length, ranges), *numbers))
        sending, waiting, saturations = advance_listed(
            queue, length, fresh, words(m.state, 0), words(m.sent, 0), flags(m.queued, 0), words(m.spikes, 0), words(m.active, 0), sender,
            delta, first, owned, limit, shift, least, ahead, lasting,
        )  # fmt: skip
    words(m.queue_length, p)[0] = waiting
    words(m.state_saturations, p)[0] += saturations if owned else 0
    synapse_start, slot, weight = places(layout.synapse_start, first), places(layout.slot, 0), weights(layout.weight, 0)
    arriving, is_touched, count = words(m.arriving, 0), flags(m.is_touched, 0), words(m.touched_count, 0)
    if sending >= words(layout.flood_from, p)[0]:
        in_pairs = words(layout.in_pairs, p)[0] != 0
        flood(sender, sending, delta, synapse_start, flags(layout.is_run, first), in_pairs, slot, weight, arriving, is_touched)
        for n in range(words(layout.target_start, p)[0], words(layout.target_start, p)[1]):
            flags(m.flooded, words(layout.target, n)[0])[0] = 1
    else:
        count[0] = send(sender, sending, delta, synapse_start, slot, weight, arriving, is_touched, places(m.touched, 0), count[0])
    unit = words(layout.unit_start, p)[0]
    if owned and unit >= 0:
        note(events, event_count, t, unit, sender, sending, words(m.sent, first))
    return sending if owned else 0


@partial(compiled, bare=True)
def run_ticks(
    layout: Any,
    machine: Any,
    record: Any,
    inputs: Array,
    clock: Array,
    ticks_per_sample: int,
    first_tick: int,
    ticks: int,
    record_tick: int,
    limit: int,
) -> None:
    """Ticks first_tick (a multiple of ticks_per_sample) and following; a row of inputs (K, host compartments) enters every so many ticks.

    layout, machine: by `addresses`. clock (3, populations): each population's next turn, the sample to which that turn belongs (the row of
    record.samples; turns of samples outside of it are run and not counted), and how many turns of that sample are left. record_tick: the
    tick of row 0 of the per-tick records. limit: of accumulators.
    """
    samples, events, event_count, spikes_per_tick, trace_state, trace_sent = record
    due, sample, left = clock[0], clock[1], clock[2]
    start, period, unit_start = words(layout.start, 0), words(layout.period, 0), words(layout.unit_start, 0)
    state, queue_length = words(machine.state, 0), words(machine.queue_length, 0)
    arrival, host = first_tick, 0
    for t in range(first_tick, first_tick + ticks):
        _arrive(layout, machine, len(due), sample, len(samples), limit)
        line = t - record_tick
        if t == arrival and host < len(inputs):
            set_inputs(inputs[host], state, flags(machine.queued, 0), queue_length, flags(machine.unlisted, 0), start)
            arrival += ticks_per_sample
            host += 1
        for p in range(len(due)):
            if t < due[p]:
                continue
            due[p] += period[p]
            owned = 0 <= sample[p] < len(samples)
            if queue_length[p] != 0:
                messages = _turn(p, t, owned, layout, machine, events, event_count)
                if line < len(spikes_per_tick):
                    spikes_per_tick[line, p] = messages
            left[p] -= 1
            if left[p] == 0:
                if owned and unit_start[p] >= 0:
                    keep(samples[sample[p], unit_start[p] :], words(machine.state, start[p]), start[p + 1] - start[p])
                sample[p] += 1
                left[p] = ticks_per_sample // period[p]
        if line < len(trace_state):
            keep(trace_state[line], state, trace_state.shape[1])
            keep(trace_sent[line], words(machine.sent, 0), trace_sent.shape[1])
