"""The steps of a chip's tick over pointers: what arrives, the words that advance, the messages that set out (chip.py tells the story)."""

from __future__ import annotations

from typing import Any

from event_sim.kernels.jit import inlined, recompiled
from hardware_profiles import fixed_point

Array = Any  # of NumPy, int64
Words = Any  # a pointer to int64
Weights = Any  # to int32
Places = Any  # to uint32
Flags = Any  # to uint8

round_shift, floor_shift = recompiled(fixed_point.round_shift, True), recompiled(fixed_point.floor_shift, True)


@inlined
def arrive_listed(
    touched: Places,
    count: int,
    is_touched: Flags,
    total: Words,
    arriving: Words,
    total_saturations: Words,
    queued: Flags,
    queue: Places,
    queue_length: Words,
    owner: Places,
    population: Places,
    start: Words,
    sample: Array,
    samples: int,
    limit: int,
) -> None:
    """What was sent in the tick before reaches the listed accumulators; their compartments queue up for their next turn."""
    current, length = 0, queue_length[0]  # the population to whose queue the last one came, and how long that is
    for n in range(count):
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
            p = int(population[i])
            if p != current:
                queue_length[current] = length
                current, length = p, queue_length[p]
            queued[i] = 1
            queue[start[p] + p + length] = i
            length += 1
    queue_length[current] = length


@inlined
def arrive_everywhere(
    size: int,
    slots: int,
    is_touched: Flags,
    total: Words,
    arriving: Words,
    total_saturations: Words,
    queued: Flags,
    counts: bool,
    limit: int,
) -> int:
    """The same for all accumulators of a population. How many of its compartments wait for their turn now."""
    highest, lowest = 0, 0
    for slot in range(slots):
        new = total[slot] + arriving[slot]
        total[slot] = new
        arriving[slot] = 0
        highest, lowest = max(highest, new), min(lowest, new)
    if highest > limit or lowest < -limit - 1:
        for slot in range(slots):
            new = min(max(total[slot], -limit - 1), limit)
            if counts and new != total[slot]:
                total_saturations[slot] += 1
            total[slot] = new
    ports, waiting = slots // size, 0
    if ports == 1:  # side by side
        for i in range(size):
            queued[i] |= is_touched[i]
            is_touched[i] = 0
            waiting += queued[i]
        return waiting
    for i in range(size):
        for slot in range(i * ports, i * ports + ports):
            queued[i] |= is_touched[slot]
            is_touched[slot] = 0
        waiting += queued[i]
    return waiting


@inlined
def list_waiting(queued: Flags, size: int, first: int, queue: Places) -> None:
    """Lists who waits."""
    count = 0
    for k in range(size):
        queue[count] = first + k
        count += queued[k]


@inlined
def neighbours(queue: Places, length: int, ranges: Words) -> int:
    """The listed compartments as ranges of neighbours. How many ranges."""
    count, many, before = -1, 0, -2
    for q in range(length):
        i = int(queue[q])
        many = many + 1 if i == before + 1 else 1
        count += many == 1
        ranges[2 * count] = i - many + 1
        ranges[2 * count + 1] = many
        before = i
    return count + 1


@inlined
def advance_listed(
    queue: Places,
    length: int,
    fresh: Words,
    state: Words,
    sent: Words,
    queued: Flags,
    spikes: Words,
    active: Words,
    sender: Places,
    delta: Words,
    first: int,
    owned: bool,
    limit: int,
    shift: int,
    least: int,
    ahead: int,
    lasting: bool,
) -> tuple[int, int, int]:
    """The listed compartments take their new words. (how many send, how many wait again, how many saturated).

    lasting: whether a word that moved makes the next turn differ whatever arrives. ahead: -1 where messages run half a turn ahead, else 0.
    """
    sending, waiting, saturations = 0, 0, 0
    for q in range(length):
        i = queue[q]
        old, new = state[i], min(max(fresh[q], -limit - 1), limit)
        saturated = new != fresh[q]
        saturations += saturated
        state[i] = new
        active[i] += owned
        waits = saturated | (lasting & (new != old))
        queued[i] = waits
        queue[waiting] = i
        waiting += waits
        said = min(max(new + (floor_shift(new - old, 1) & ahead), -limit - 1), limit)
        difference = round_shift(said, shift) - sent[i]
        sender[sending] = i - first
        delta[i - first] = difference
        sending += abs(difference) >= least
    for n in range(sending):  # apart, because no processor foresees who sends
        k = sender[n]
        sent[first + k] += delta[k]
        spikes[first + k] += owned
    return sending, waiting, saturations


@inlined
def advance_all(
    size: int,
    fresh: Words,
    state: Words,
    sent: Words,
    queued: Flags,
    spikes: Words,
    active: Words,
    fires: Flags,
    delta: Words,
    owned: bool,
    limit: int,
    shift: int,
    least: int,
    ahead: int,
    lasting: bool,
) -> tuple[int, int]:
    """The same for a whole population: `fires` tells who sends. (how many wait again, how many saturated)."""
    waiting, saturations = 0, 0
    for k in range(size):
        old, new = state[k], min(max(fresh[k], -limit - 1), limit)
        saturated = new != fresh[k]
        saturations += saturated
        state[k] = new
        had = queued[k]
        active[k] += had & owned
        waits = saturated | (lasting & (new != old))
        queued[k] = waits
        waiting += waits
        said = min(max(new + (floor_shift(new - old, 1) & ahead), -limit - 1), limit)
        difference = round_shift(said, shift) - sent[k]
        sends = (abs(difference) >= least) & had
        sent[k] += difference if sends else 0
        spikes[k] += sends & owned
        delta[k] = difference
        fires[k] = sends
    return waiting, saturations


@inlined
def list_senders(fires: Flags, size: int, sender: Places) -> int:
    """Lists who sends. How many."""
    count = 0
    for k in range(size):
        sender[count] = k
        count += fires[k]
    return count


@inlined
def send(
    sender: Places,
    senders: int,
    delta: Words,
    synapse_start: Places,
    slot: Places,
    weight: Weights,
    arriving: Words,
    is_touched: Flags,
    touched: Places,
    count: int,
) -> int:
    """Messages set out along the synapses of their senders, and the accumulators that they reach are listed. How many are listed now."""
    for n in range(senders):
        k = sender[n]
        change = delta[k]
        for s in range(synapse_start[k], synapse_start[k + 1]):
            target = slot[s]
            arriving[target] += change * weight[s]
            touched[count] = target
            count += 1 - is_touched[target]
            is_touched[target] = 1
    return count


@inlined
def flood(
    sender: Places,
    senders: int,
    delta: Words,
    synapse_start: Places,
    is_run: Flags,
    in_pairs: bool,
    slot: Places,
    weight: Weights,
    arriving: Words,
    is_touched: Flags,
) -> None:
    """The same without a list. in_pairs: whether every sender has two synapses."""
    if in_pairs:
        base = synapse_start[0]
        for n in range(senders):
            change, s = delta[sender[n]], base + 2 * sender[n]
            one, other = slot[s], slot[s + 1]
            arriving[one] += change * weight[s]
            arriving[other] += change * weight[s + 1]
            is_touched[one] = 1
            is_touched[other] = 1
        return
    for n in range(senders):
        k = sender[n]
        change, begin, end = delta[k], synapse_start[k], synapse_start[k + 1]
        if is_run[k]:
            target = slot[begin]
            for s in range(end - begin):
                arriving[target + s] += change * weight[begin + s]
                is_touched[target + s] = 1
        else:
            for s in range(begin, end):
                arriving[slot[s]] += change * weight[s]
                is_touched[slot[s]] = 1


@inlined
def note(events: Array, event_count: Array, t: int, unit: int, sender: Places, senders: int, sent: Words) -> None:
    """A row for the event of each sender, where there is room; unit: the first of the population."""
    row = event_count[0]
    count = min(senders, len(events) - row)
    for n in range(count):
        events[row + n, 0] = t
        events[row + n, 1] = unit + sender[n]
        events[row + n, 2] = sent[sender[n]]
    event_count[0] = row + count


@inlined
def set_inputs(row: Array, state: Words, queued: Flags, queue_length: Words, unlisted: Flags, start: Words) -> None:
    """The host sets the words of its populations, and all of them have their turn."""
    for i in range(len(row)):
        state[i] = row[i]
        queued[i] = 1
    p = 0
    while start[p] < len(row):
        queue_length[p] = start[p + 1] - start[p]
        unlisted[p] = 1
        p += 1


@inlined
def keep(kept: Array, state: Words, count: int) -> None:
    """The words, kept."""
    for i in range(count):
        kept[i] = state[i]
