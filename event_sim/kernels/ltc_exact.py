"""Event-driven LTC as an ordinary differential equation, and the event loop of both orders.

First order is a quantised-state method with exact local solution: each neuron hears what the others last sent (QSS1, Kofman and Junco
2001), so between two events that reach it, it relaxes exactly: v(t) = v_inf + (v - v_inf) e^(-(g / cm) t), v_inf = c / g. It sends when it
has moved by its quantum, at a time that has a closed form. cm = 0: the neuron jumps to v_inf. g = 0: it keeps its value.

`run_events` is the loop. What depends on the order are the functions that it calls by name, from value_at to write_course; those of second
order stand in kernels/ltc_second.py, which compiles the same loop with them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from event_sim.kernels.jit import bare, compiled
from event_sim.kernels.lines import hear, post, schedule
from event_sim.kernels.prefetch import AHEAD, NEAR, ask_for
from event_sim.kernels.synapses import add, argument, drive, opened

DONE, NO_ROOM, TOO_MANY, NOT_FINITE = 0, 1, 2, 3
GO_ON, RECORD_ANEW, BEGIN = 0, 1, 2  # phases
LAZY = True  # a neuron may stand in the heap at a time before it is due, which is then looked at again: fewer moves, fewer logarithms
TOGETHER = 32  # times the limit of one neuron: the limit of all together

# A neuron, two cache lines: its value at time `at`, what it last sent, its sums with what rounding lost of them, its course (target and
# rate), how many events it sent since `since`, the last change that reached it, and whether it is an output (1).
EXACT_NEURON = np.dtype(
    [(name, np.float64) for name in ("value", "sent", "quantum", "capacity", "conductance", "conductance_carry", "driven", "driven_carry")]
    + [(name, np.float64) for name in ("target", "rate", "at", "since")]
    + [(name, np.int64) for name in ("mark", "output", "recent", "unused")]
)
EXACT_CHANGE = np.dtype([("time", np.float64), ("channel", np.int64), ("level", np.float64)])
# A piece of an output neuron's course, and what a run carries from call to call.
COURSE = np.dtype([("time", np.float64), ("unit", np.int64), ("start", np.float64), ("target", np.float64), ("rate", np.float64)])
_CARRIED = ("phase", "change", "record", "events", "courses", "mark", "free", "room", "recent", "culprit")
EXACT_PROGRESS = np.dtype([(name, np.int64) for name in _CARRIED] + [("since", np.float64)])


@bare
def value_at(neuron: Any, now: float) -> Any:
    """A neuron's value at a time not before its own."""
    elapsed = now - neuron.at
    if elapsed <= 0.0 or neuron.value == neuron.target:
        return neuron.value
    return neuron.target + (neuron.value - neuron.target) * np.exp(-neuron.rate * elapsed)


@partial(compiled, bare=True)
def values_at(neurons: Any, now: float, values: Any) -> None:
    """Write all neurons' values at a time not before their own."""
    for unit in range(len(neurons)):
        values[unit] = value_at(neurons[unit], now)


@bare
def advance(neuron: Any, now: float) -> None:
    """Bring a neuron's value to now."""
    neuron.value = value_at(neuron, now)
    neuron.at = now


@bare
def settle(neuron: Any, now: float) -> Any:
    """A neuron's new course (its value stands at now); returns a time before which it is not a quantum away from what it last sent.

    Such a time needs no logarithm: it moves fastest at the beginning.
    """
    conductance = neuron.conductance + neuron.conductance_carry
    if conductance <= 0.0:
        neuron.target, neuron.rate = neuron.value, 0.0
    else:
        neuron.target = (neuron.driven + neuron.driven_carry) / conductance
        if neuron.capacity > 0.0:
            neuron.rate = conductance / neuron.capacity
        else:
            neuron.value, neuron.rate = neuron.target, np.inf
    if abs(neuron.value - neuron.sent) >= neuron.quantum:
        return now
    if abs(neuron.target - neuron.sent) <= neuron.quantum * (1.0 + 1e-12) or neuron.value == neuron.target:
        return np.inf
    return now + (level_of(neuron) - neuron.value) / (neuron.rate * (neuron.target - neuron.value))


@bare
def level_of(neuron: Any) -> Any:
    """The value at which a neuron sends next."""
    return neuron.sent + neuron.quantum if neuron.target > neuron.sent else neuron.sent - neuron.quantum


@bare
def due_of(neuron: Any, now: float) -> Any:
    """When a neuron whose time in the heap has come is due, a quantum away from what it last sent: the logarithm that settle put off."""
    if abs(neuron.value - neuron.sent) >= neuron.quantum:
        return now
    if abs(neuron.target - neuron.sent) <= neuron.quantum * (1.0 + 1e-12) or neuron.value == neuron.target:
        return np.inf
    level = level_of(neuron)
    return max(neuron.at + np.log1p((level - neuron.value) / (neuron.target - level)) / neuron.rate, now)


@bare
def arrive(neuron: Any, now: float) -> bool:
    """Bring a neuron to its time in the heap; returns whether it sends then: at first order always, exactly at its next level."""
    if abs(neuron.value - neuron.sent) < neuron.quantum:
        neuron.value = level_of(neuron)
    neuron.at = now
    return True


@bare
def send(neuron: Any, now: float) -> Any:
    """The neuron's value is what others hear of it from now on; returns (value, slope, jump of what is heard, change of slope, time since
    it last sent)."""
    jump = neuron.value - neuron.sent
    neuron.sent = neuron.value
    return neuron.value, 0.0, jump, 0.0, 0.0


@bare
def touch(neurons: Any, target: int, now: float, mark: int, touched: Any, count: int) -> int:
    """Bring a neuron to now before its sums change, and note it, once; returns how many are noted."""
    neuron = neurons[target]
    if neuron.mark != mark:
        neuron.mark = mark
        touched[count] = target
        count += 1
        advance(neuron, now)
    return count


@bare
def deliver(neurons: Any, synapses: Any, first: int, last: int, gates: Any, level: float, slope: float, elapsed: float, now: float,
            mark: int, touched: Any, count: int) -> int:  # fmt: skip
    """Synapses first .. last - 1 hear this level: their new conductances enter the sums of their targets."""
    for index in range(first, last):
        gates[index - first] = argument(synapses[index], level)
    opened(gates, last - first)
    for index in range(first, last):
        if len(neurons) > NEAR and index + AHEAD < last:
            ask_for(neurons, synapses[index + AHEAD].target)
        synapse = synapses[index]
        count = touch(neurons, synapse.target, now, mark, touched, count)
        new = synapse.weight * gates[index - first]
        add(neurons[synapse.target], new - synapse.now, synapse.erev)
        synapse.now = new
    return count


@bare
def couple(neurons: Any, gaps: Any, first: int, last: int, jump: float, bend: float, now: float, mark: int, touched: Any,
           count: int) -> int:  # fmt: skip
    """Gap junctions first .. last - 1 hear that their source's value jumped."""
    for index in range(first, last):
        gap = gaps[index]
        count = touch(neurons, gap.target, now, mark, touched, count)
        drive(neurons[gap.target], gap.weight * jump)
    return count


@bare
def write_course(neuron: Any, courses: Any, row: int, unit: int) -> int:
    """Note the course that an output neuron takes from its own time on; returns the next free row."""
    if neuron.output == 0:
        return row
    course = courses[row]
    course.time, course.unit, course.start, course.target, course.rate = neuron.at, unit, neuron.value, neuron.target, neuron.rate
    return row + 1


@bare
def crowded(run: Any, neuron: Any, now: float, limit: int, window: float) -> Any:
    """Count an event; whether there were more than `limit` of this neuron, or TOGETHER times that of all, in no more than `window`."""
    neuron.recent += 1
    run.recent += 1
    if neuron.recent <= limit and run.recent <= TOGETHER * limit:
        return False
    if neuron.recent > limit and now - neuron.since > window:
        neuron.recent, neuron.since = 1, now
    if run.recent > TOGETHER * limit and now - run.since > window:
        run.recent, run.since = 1, now
    return neuron.recent > limit or run.recent > TOGETHER * limit


def run_events(until: float, begin: float, limit: int, window: float, heap: Any, place: Any, neurons: Any, first: Any, at_once: Any,
               synapses: Any, first_gap: Any, gaps: Any, first_line: Any, lines: Any, messages: Any, newest: Any, changes: Any, kept: Any,
               record: Any, progress: Any, states: Any, events: Any, courses: Any, counts: Any, touched: Any,
               gates: Any) -> int:  # fmt: skip
    """Run to time `until` (model units). Returns DONE, NO_ROOM (grow events, courses and messages and call again), TOO_MANY, or
    NOT_FINITE where numbers overflow.

    begin: when this run (a stream or a part of it) began. limit, window: more events of one neuron in so short a time are too many.
    culprit: the neuron that ended the run. heap: neurons, then lines. record: ascending times at which the values of the neurons `kept` are
    written to states, those just before what happens then. progress: one record. counts: (units,) events of each neuron. touched: room for
    every unit, gates: for all synapses of one source.
    """
    units, inputs = len(neurons), len(first) - 1 - len(neurons)
    run = progress[0]
    if run.courses + units > len(courses):
        return NO_ROOM
    for unit in range(units if run.phase != GO_ON else 0):
        if run.phase == BEGIN:
            advance(neurons[unit], begin)
            schedule(heap, place, unit, settle(neurons[unit], begin))
        run.courses = write_course(neurons[unit], courses, run.courses, unit)
    run.phase = GO_ON
    while True:
        if run.events >= len(events) or run.courses + units > len(courses) or (len(lines) > 0 and run.room <= inputs):
            return NO_ROOM
        entry, now = heap[0].entry, heap[0].due
        input_first = run.change < len(changes) and changes[run.change].time <= now
        if input_first:
            now = changes[run.change].time
        while run.record < len(record) and record[run.record] <= min(now, until):
            for index in range(len(kept)):
                states[run.record, index] = value_at(neurons[kept[index]], record[run.record])
            run.record += 1
        if now > until or now == np.inf:
            return DONE
        if not input_first and entry < units:
            due = due_of(neurons[entry], now)
            if due > now:
                schedule(heap, place, entry, due)
                continue
        run.mark += 1
        count, mark = 0, run.mark
        if input_first:
            while run.change < len(changes) and changes[run.change].time == now:
                source, level = units + changes[run.change].channel, changes[run.change].level
                count = deliver(neurons, synapses, first[source], at_once[source], gates, level, 0.0, 0.0, now, mark, touched, count)
                post(run, messages, newest, first_line, lines, heap, place, units, source, now, level, 0.0)
                run.change += 1
        elif entry >= units:
            line = lines[entry - units]
            hear(run, messages, newest, lines, heap, place, units, entry - units)
            elapsed = now - line.heard_at
            line.heard_at = now
            count = deliver(neurons, synapses, line.first, line.last, gates, line.level, line.slope, elapsed, now, mark, touched, count)
        else:
            neuron = neurons[entry]
            neuron.mark, touched[0], count = mark, entry, 1
            if arrive(neuron, now):
                level, slope, jump, bend, elapsed = send(neuron, now)
                event = events[run.events]
                event.time_s, event.unit, event.value = now, entry, level
                run.events += 1
                counts[entry] += 1
                if crowded(run, neuron, now, limit, window):
                    run.culprit = entry
                    return TOO_MANY
                count = deliver(
                    neurons, synapses, first[entry], at_once[entry], gates, level, slope, elapsed, now, mark, touched, count
                )  # fmt: skip
                count = couple(neurons, gaps, first_gap[entry], first_gap[entry + 1], jump, bend, now, mark, touched, count)
                post(run, messages, newest, first_line, lines, heap, place, units, entry, now, level, slope)
        for index in range(count):
            unit = touched[index]
            due = settle(neurons[unit], now)
            if not due >= now:
                run.culprit = unit
                return NOT_FINITE
            if not LAZY or due < heap[place[unit]].due:
                schedule(heap, place, unit, due)
            run.courses = write_course(neurons[unit], courses, run.courses, unit)


run_exact = compiled(run_events, bare=True)
