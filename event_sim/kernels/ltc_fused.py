"""Event-driven LTC under ncps' solver: each neuron advanced in closed form, only when something reaches it.

Between two events that reach it a neuron's conductance sum g and driven sum c are constant, and `k` semi-implicit sub-steps of
v <- (C v + c) / (C + g), C = cm / h, are v_inf + (v - v_inf) r^k with v_inf = c / g and r = C / (C + g). Times are whole sub-steps; all
events of one grid time act on the states before it. A neuron that may have moved by its quantum stands in a calendar queue (a ring of
lists, one per grid time) at a time before which it certainly has not: |v(k) - v| <= k (1 - r) |v_inf - v|. So no logarithm is needed.

Lines (synapses with a delay) stand in a heap by the model time at which they hear next; they do so in the first sub-step that begins at or
after it, SLACK of a sub-step tolerated.

Neurons and synapses are records (all of a neuron lies in two cache lines), which also keeps compiled calls free of reference counting.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from event_sim.kernels.jit import bare, compiled
from event_sim.kernels.lines import hear, post
from event_sim.kernels.prefetch import AHEAD, NEAR, ask_for
from event_sim.kernels.synapses import add, argument, drive, opened
from event_sim.kernels.ways import LOOP, choose, loop_price, together_price

RING = 256  # grid times per turn of the calendar; a power of two
FEW = 64  # events of one grid time that are sorted by unit one by one
MANY = 16  # more events than every so many neurons are sorted by a walk over all neurons; those in between are left to the recording
BLOCK = 4096  # synapses that are delivered together: few enough to stay in the cache, enough for SIMD
NEVER = np.int64(1) << 62

# A neuron: its value at grid time `at`, what it last sent, its two sums with what rounding lost of them, its course (target, ratio per
# sub-step), and its place in the calendar. cm / step length is `capacity` / step.
NEURON = np.dtype(
    [(name, np.float64) for name in ("value", "sent", "quantum", "capacity", "conductance", "conductance_carry", "driven", "driven_carry")]
    + [(name, np.float64) for name in ("target", "ratio")]
    + [(name, np.int64) for name in ("at", "due", "next", "previous", "mark", "unused")]
)
# A sample: sub-step length in model units (0: the sample leaves the state), start and sub-step in seconds, its first change of a level.
SAMPLE = np.dtype([("step", np.float64), ("start_s", np.float64), ("step_s", np.float64), ("first_change", np.int64)])
CHANGE = np.dtype([("channel", np.int64), ("level", np.float64)])
EVENT = np.dtype([("time_s", np.float64), ("unit", np.int64), ("value", np.float64)])
# What a run carries from call to call: grid time, events written, last change, free messages, the way (ways.py); step of the last sample,
# time of the next; in synaptic operations, what was spent and what the ways before and behind this one would have saved lately; kernels
# return once more than the limit was spent.
_CARRIED = ("now", "events", "mark", "free", "room", "way")
PROGRESS = np.dtype(
    [(name, np.int64) for name in _CARRIED] + [(name, np.float64) for name in ("step", "clock", "spent", "less", "more", "limit")]
)
SLACK = 1e-6  # decimal multiples of a sub-step are not binary ones


@bare
def power(base: float, exponent: int) -> float:
    """base**exponent for exponent >= 0 by squaring: the same roundings on every machine."""
    result = 1.0
    while exponent > 0:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


@bare
def advance(neuron: Any, now: int) -> None:
    """Bring a neuron's value to grid time now."""
    steps = now - neuron.at
    if steps > 0:
        neuron.value = neuron.target + (neuron.value - neuron.target) * power(neuron.ratio, steps)
        neuron.at = now


@bare
def remove(head: Any, neurons: Any, neuron: Any) -> None:
    """Take a neuron out of the calendar, if it stands there."""
    if neuron.due == NEVER:
        return
    if neuron.previous >= 0:
        neurons[neuron.previous].next = neuron.next
    else:
        head[neuron.due & (RING - 1)] = neuron.next
    if neuron.next >= 0:
        neurons[neuron.next].previous = neuron.previous
    neuron.due = NEVER


@bare
def insert(head: Any, neurons: Any, unit: int, due: int) -> None:
    """Enter a neuron into the calendar."""
    slot = due & (RING - 1)
    neuron = neurons[unit]
    neuron.next, neuron.previous, neuron.due = head[slot], -1, due
    if neuron.next >= 0:
        neurons[neuron.next].previous = unit
    head[slot] = unit


@bare
def settle(head: Any, neurons: Any, unit: int, now: int, step: float) -> None:
    """Find a neuron's new course (its value stands at now) after its sums changed, and enter it at the earliest time at which it can be a
    quantum away from what it sent; nowhere, if its course does not lead there."""
    neuron = neurons[unit]
    conductance = neuron.conductance + neuron.conductance_carry
    if conductance > 0.0:
        capacity = neuron.capacity / step
        neuron.target = (neuron.driven + neuron.driven_carry) / conductance
        neuron.ratio = capacity / (capacity + conductance)
    else:
        neuron.target, neuron.ratio = neuron.value, 1.0
    distance = abs(neuron.value - neuron.sent)
    if neuron.value == neuron.target or (abs(neuron.target - neuron.sent) <= neuron.quantum and distance <= neuron.quantum):
        remove(head, neurons, neuron)
        return
    margin = neuron.quantum - distance
    reach = abs(neuron.target - neuron.value) * (1.0 - neuron.ratio)
    due = np.int64(now + 1)
    if margin > reach:
        due = now + np.int64(min(margin / reach, 1e15))
    if due != neuron.due:
        remove(head, neurons, neuron)
        insert(head, neurons, unit, due)


@bare
def take(head: Any, neurons: Any, now: int, firing: Any, flags: Any) -> int:
    """List the neurons that stand in the calendar for now; returns how many. flags: (units,) zeros, left as such.

    Few and many of them come in the order of their numbers: then memory is read in order too.
    """
    fired = 0
    unit = head[now & (RING - 1)]
    while unit >= 0:
        if neurons[unit].due == now:
            firing[fired] = unit
            fired += 1
        unit = neurons[unit].next
    if fired <= FEW:
        sort(firing, fired)
    elif fired * MANY > len(flags):
        for index in range(fired):
            flags[firing[index]] = 1
        fired = 0
        for unit in range(len(flags)):
            if flags[unit] == 1:
                flags[unit] = 0
                firing[fired] = unit
                fired += 1
    return fired


@bare
def sort(numbers: Any, count: int) -> None:
    """Sort the first few numbers in place."""
    for index in range(1, count):
        number = numbers[index]
        place = index
        while place > 0 and numbers[place - 1] > number:
            numbers[place] = numbers[place - 1]
            place -= 1
        numbers[place] = number


@bare
def tell(events: Any, counts: Any, written: int, time_s: float, unit: int, value: float) -> int:
    """Write an event and count it; returns how many are written now."""
    event = events[written]
    event.time_s, event.unit, event.value = time_s, unit, value
    counts[unit] += 1
    return written + 1


@bare
def collect(first: int, last: int, synapses: Any, level: float, places: Any, gates: Any, count: int) -> int:
    """Note that synapses first .. last - 1 hear this level, and the arguments of their gates; returns how many are noted now."""
    for index in range(first, last):
        places[count] = index
        gates[count] = argument(synapses[index], level)
        count += 1
    return count


@bare
def touch(neurons: Any, target: int, now: int, mark: int, touched: Any, count: int) -> int:
    """Bring a neuron to now before its sums change, and note it, once; returns how many are noted."""
    neuron = neurons[target]
    if neuron.mark != mark:
        neuron.mark = mark
        touched[count] = target
        count += 1
        advance(neuron, now)
    return count


@bare
def deliver(neurons: Any, synapses: Any, places: Any, gates: Any, reached: int, now: int, mark: int, touched: Any, count: int) -> int:
    """Bring the new conductances of all noted synapses into their targets' sums; targets are first advanced under the old sums."""
    opened(gates, reached)
    for index in range(reached):
        if len(neurons) > NEAR and index + AHEAD < reached:
            ask_for(neurons, synapses[places[index + AHEAD]].target)
        synapse = synapses[places[index]]
        count = touch(neurons, synapse.target, now, mark, touched, count)
        new = synapse.weight * gates[index]
        add(neurons[synapse.target], new - synapse.now, synapse.erev)
        synapse.now = new
    return count


@bare
def deliver_block(least: int, neurons: Any, synapses: Any, places: Any, gates: Any, reached: int, now: int, mark: int, touched: Any,
                  count: int) -> Any:  # fmt: skip
    """Deliver to the noted synapses if there are at least so many; returns how many neurons and how many synapses are noted now."""
    if reached < least:
        return count, reached
    return deliver(neurons, synapses, places, gates, reached, now, mark, touched, count), 0


@bare
def couple(neurons: Any, gaps: Any, first: int, last: int, jump: float, now: int, mark: int, touched: Any, count: int) -> int:
    """Gap junctions first .. last - 1 hear that their source's value jumped."""
    for index in range(first, last):
        gap = gaps[index]
        count = touch(neurons, gap.target, now, mark, touched, count)
        drive(neurons[gap.target], gap.weight * jump)
    return count


@bare
def write_states(neurons: Any, kept: Any, now: int, states: Any, row: int) -> None:
    """Write the values of the neurons `kept` at grid time now."""
    for index in range(len(kept)):
        neuron = neurons[kept[index]]
        value = neuron.value
        if now > neuron.at:
            value = neuron.target + (value - neuron.target) * power(neuron.ratio, now - neuron.at)
        states[row, index] = value


@partial(compiled, bare=True)
def fused_values(neurons: Any, kept: Any, now: int, values: Any) -> None:
    """Write the values of the neurons `kept` at a grid time not before their own to values (1, kept)."""
    write_states(neurons, kept, now, values, 0)


@bare
def look_at_all(head: Any, neurons: Any, now: int, mark: int, touched: Any) -> None:
    """Note all neurons, brought to now, and enter them into the calendar for now."""
    for unit in range(len(neurons)):
        neuron = neurons[unit]
        advance(neuron, now)
        neuron.mark = mark
        touched[unit] = unit
        remove(head, neurons, neuron)
        insert(head, neurons, unit, now)


@partial(compiled, bare=True)
def run_fused(begin: int, end: int, unfolds: int, restart: bool, senders: int, prices: Any, neurons: Any, first: Any, at_once: Any,
              synapses: Any, first_gap: Any, gaps: Any, first_line: Any, lines: Any, messages: Any, newest: Any, heap: Any, place: Any,
              samples: Any, changes: Any, head: Any, kept: Any, progress: Any, states: Any, events: Any, counts: Any, touched: Any,
              firing: Any, flags: Any, places: Any, gates: Any) -> int:  # fmt: skip
    """Run samples begin..end-1; returns the first sample that was not run: there was no room left for its events or messages, from there on
    another way is cheaper, or the limit was spent.

    restart: look at every neuron at the beginning. senders: how many sources have lines. samples: one more than there are, for the end of
    the changes. heap: of the lines. head: (RING,) calendar. progress: one record. states: (K + 1, kept), row k + 1 is written by sample k,
    with the values of the neurons `kept`. events: room for events. counts: (units,) events of each neuron. touched, firing: room for every
    unit; flags: zeros for every unit, left as such; places, gates: room for a block of synapses and all of one source.
    """
    units = len(neurons)
    run = progress[0]
    now, written, mark = run.now, run.events, run.mark
    for number in range(begin, end):
        sample = samples[number]
        step = sample.step
        if written + unfolds * units > len(events) or run.room < (unfolds + 1) * senders:
            end = number
            break
        mark += 1
        count, heard, met, before = 0, 0, 0, written
        if step != run.step or restart:  # courses depend on the step: all neurons are looked at
            restart, run.step = False, step
            look_at_all(head, neurons, now, mark, touched)
            count = units
        reached = 0
        for index in range(sample.first_change, samples[number + 1].first_change):
            source, level = units + changes[index].channel, changes[index].level
            heard += at_once[source] - first[source]
            reached = collect(first[source], at_once[source], synapses, level, places, gates, reached)
            post(run, messages, newest, first_line, lines, heap, place, 0, source, run.clock, level, 0.0)
            count, reached = deliver_block(BLOCK, neurons, synapses, places, gates, reached, now, mark, touched, count)
        count, reached = deliver_block(0, neurons, synapses, places, gates, reached, now, mark, touched, count)
        for sub_step in range(unfolds if step > 0.0 else 1):
            clock = run.clock + sub_step * step
            fired = take(head, neurons, now, firing, flags)
            for index in range(fired):
                count = touch(neurons, firing[index], now, mark, touched, count)
            for index in range(fired):
                unit = firing[index]
                neuron = neurons[unit]
                value, jump = neuron.value, neuron.value - neuron.sent
                if value != neuron.sent and abs(jump) >= neuron.quantum:
                    neuron.sent = value
                    written = tell(events, counts, written, sample.start_s + sub_step * sample.step_s, unit, value)
                    heard += at_once[unit] - first[unit] + first_gap[unit + 1] - first_gap[unit]
                    reached = collect(first[unit], at_once[unit], synapses, value, places, gates, reached)
                    count = couple(neurons, gaps, first_gap[unit], first_gap[unit + 1], jump, now, mark, touched, count)
                    post(run, messages, newest, first_line, lines, heap, place, 0, unit, clock, value, 0.0)
                    count, reached = deliver_block(BLOCK, neurons, synapses, places, gates, reached, now, mark, touched, count)
            while len(lines) > 0 and heap[0].due <= clock + SLACK * step:
                line = lines[heap[0].entry]
                heard += line.last - line.first
                hear(run, messages, newest, lines, heap, place, 0, heap[0].entry)  # in order of time: the longest line gives messages back
                reached = collect(line.first, line.last, synapses, line.level, places, gates, reached)
                count, reached = deliver_block(BLOCK, neurons, synapses, places, gates, reached, now, mark, touched, count)
            count, reached = deliver_block(0, neurons, synapses, places, gates, reached, now, mark, touched, count)
            met += count
            if step > 0.0:
                for index in range(count):
                    settle(head, neurons, touched[index], now, step)
                mark += 1
                count = 0
                now += 1
        run.clock += unfolds * step
        write_states(neurons, kept, now, states, number + 1)
        sub_steps, sent = unfolds if step > 0.0 else 1, written - before
        here, more = loop_price(prices, sent, heard, met), together_price(prices, sub_steps, sent, heard)
        choose(run, here, np.inf, more, np.inf, prices.to_together)
        if run.way != LOOP or run.spent >= run.limit:
            end = number + 1
            break
    run.now, run.events, run.mark = now, written, mark
    return end
