"""Event-driven LTC as an ordinary differential equation: a quantised-state method of first order with exact local solution.

Each neuron hears what the others last sent (QSS1, Kofman and Junco 2001), so between two events that reach it, it relaxes exactly:
v(t) = v_inf + (v - v_inf) e^(-(g / cm) t), v_inf = c / g. It sends when it has moved by its quantum, at a time that has a closed form.
Neurons wait in an indexed binary heap ordered by (time, unit). cm = 0: the neuron jumps to v_inf. g = 0: it keeps its value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from event_sim.kernels.jit import compiled, inner
from event_sim.kernels.ltc_fused import add, gate

DONE, NO_ROOM, TOO_MANY = 0, 1, 2

# A neuron: its value at time `at`, what it last sent, its sums with what rounding lost of them, its course (target and rate), the time at
# which it sends, its place in the heap, whether it is an output (1), how many events it sent since the last
# input, and the number of that input.
EXACT_NEURON = np.dtype(
    [(name, np.float64) for name in ("value", "sent", "quantum", "capacity", "conductance", "conductance_carry", "driven", "driven_carry")]
    + [(name, np.float64) for name in ("target", "rate", "at", "due")]
    + [(name, np.int64) for name in ("place", "mark", "output", "recent", "inputs")]
)
EXACT_CHANGE = np.dtype([("time", np.float64), ("channel", np.int64), ("level", np.float64)])
# A piece of an output neuron's course, and what a run carries from call to call.
COURSE = np.dtype([("time", np.float64), ("unit", np.int64), ("start", np.float64), ("target", np.float64), ("rate", np.float64)])
_CARRIED = ("change", "record", "events", "courses", "mark", "operations", "sensory_operations", "culprit", "inputs")
EXACT_PROGRESS = np.dtype([(name, np.int64) for name in _CARRIED])


@inner
def earlier(neurons: Any, first: int, second: int) -> bool:
    """Whether neuron first comes before neuron second."""
    one, other = neurons[first].due, neurons[second].due
    return one < other or (one == other and first < second)


@inner
def move(heap: Any, neurons: Any, unit: int) -> None:
    """Restore the heap after a neuron's time changed."""
    position = neurons[unit].place
    while position > 0 and earlier(neurons, unit, heap[(position - 1) >> 1]):
        parent = heap[(position - 1) >> 1]
        heap[position] = parent
        neurons[parent].place = position
        position = (position - 1) >> 1
    size = len(heap)
    child = 2 * position + 1
    while child < size:
        if child + 1 < size and earlier(neurons, heap[child + 1], heap[child]):
            child += 1
        if not earlier(neurons, heap[child], unit):
            break
        heap[position] = heap[child]
        neurons[heap[child]].place = position
        position = child
        child = 2 * position + 1
    heap[position] = unit
    neurons[unit].place = position


@inner
def value_at(neuron: Any, now: float) -> Any:
    """A neuron's value at a time not before its own."""
    elapsed = now - neuron.at
    if elapsed <= 0.0 or neuron.value == neuron.target:
        return neuron.value
    return neuron.target + (neuron.value - neuron.target) * np.exp(-neuron.rate * elapsed)


@compiled
def values_at(neurons: Any, now: float, values: Any) -> None:
    """Write all neurons' values at a time not before their own."""
    for unit in range(len(neurons)):
        values[unit] = value_at(neurons[unit], now)


@inner
def settle(heap: Any, neurons: Any, unit: int, now: float) -> None:
    """A neuron's new course (its value stands at now), and the time at which it will be a quantum away from what it last sent."""
    neuron = neurons[unit]
    conductance = neuron.conductance + neuron.conductance_carry
    if conductance <= 0.0:
        neuron.target, neuron.rate = neuron.value, 0.0
    else:
        neuron.target = (neuron.driven + neuron.driven_carry) / conductance
        if neuron.capacity > 0.0:
            neuron.rate = conductance / neuron.capacity
        else:
            neuron.value, neuron.rate = neuron.target, np.inf
    before = neuron.due
    if abs(neuron.value - neuron.sent) >= neuron.quantum:
        neuron.due = now
    elif abs(neuron.target - neuron.sent) <= neuron.quantum * (1.0 + 1e-12) or neuron.value == neuron.target:
        neuron.due = np.inf
    else:
        level = neuron.sent + neuron.quantum if neuron.target > neuron.sent else neuron.sent - neuron.quantum
        neuron.due = now + np.log1p((level - neuron.value) / (neuron.target - level)) / neuron.rate
    if neuron.due != before:
        move(heap, neurons, unit)


@inner
def deliver(neurons: Any, first: Any, synapses: Any, source: int, level: float, now: float, mark: int, touched: Any, count: int) -> int:
    """One event: its new conductances enter the sums of all targets, which are first advanced under the old sums."""
    for index in range(first[source], first[source + 1]):
        synapse = synapses[index]
        neuron = neurons[synapse.target]
        if neuron.mark != mark:
            neuron.mark = mark
            touched[count] = synapse.target
            count += 1
            neuron.value = value_at(neuron, now)
            neuron.at = now
        new = gate(synapse, level)
        add(neuron, new - synapse.now, synapse.erev)
        synapse.now = new
    return count


@inner
def write_course(neurons: Any, courses: Any, row: int, unit: int, now: float) -> int:
    """Note the course that an output neuron takes from now on; returns the next free row."""
    neuron = neurons[unit]
    if neuron.output == 0:
        return row
    course = courses[row]
    course.time, course.unit, course.start, course.target, course.rate = now, unit, neuron.value, neuron.target, neuron.rate
    return row + 1


@compiled
def run_exact(until: float, limit: int, begin: float, heap: Any, neurons: Any, first: Any, synapses: Any, sensory_first: Any, sensory: Any,
              changes: Any, record: Any, progress: Any, states: Any, events: Any, courses: Any, counts: Any) -> int:  # fmt: skip
    """Run to time `until` (model units). Returns DONE, NO_ROOM (grow events and courses and call again) or TOO_MANY.

    begin: the start of the whole run. heap: (units,) numbers. record: ascending times at which all states are written, those just before
    what happens then. progress: one record. More than `limit` events of one neuron between two inputs are too many; culprit names it.
    """
    units = len(neurons)
    touched = np.empty(units, dtype=np.int64)
    run = progress[0]
    if run.mark == 0:
        for unit in range(units):
            settle(heap, neurons, unit, begin)
            run.courses = write_course(neurons, courses, run.courses, unit, begin)
    while True:
        if run.events >= len(events) or run.courses + units > len(courses):
            return NO_ROOM
        unit = heap[0]
        now = neurons[unit].due
        input_first = run.change < len(changes) and changes[run.change].time <= now
        if input_first:
            now = changes[run.change].time
        while run.record < len(record) and record[run.record] <= min(now, until):
            for index in range(units):
                states[run.record, index] = value_at(neurons[index], record[run.record])
            run.record += 1
        if now > until or now == np.inf:
            return DONE
        run.mark += 1
        count = 0
        if input_first:
            run.inputs += 1
            while run.change < len(changes) and changes[run.change].time == now:
                channel, level = changes[run.change].channel, changes[run.change].level
                count = deliver(neurons, sensory_first, sensory, channel, level, now, run.mark, touched, count)
                run.sensory_operations += sensory_first[channel + 1] - sensory_first[channel]
                run.change += 1
        else:
            neuron = neurons[unit]
            if abs(neuron.value - neuron.sent) < neuron.quantum:
                neuron.value = neuron.sent + neuron.quantum if neuron.target > neuron.sent else neuron.sent - neuron.quantum
            neuron.sent, neuron.at, neuron.mark = neuron.value, now, run.mark
            touched[0] = unit
            count = 1
            event = events[run.events]
            event.time_s, event.unit, event.value = now, unit, neuron.value
            run.events += 1
            counts[unit] += 1
            if neuron.inputs != run.inputs:
                neuron.inputs, neuron.recent = run.inputs, 0
            neuron.recent += 1
            if neuron.recent > limit:
                run.culprit = unit
                return TOO_MANY
            run.operations += first[unit + 1] - first[unit]
            count = deliver(neurons, first, synapses, unit, neuron.value, now, run.mark, touched, count)
        for index in range(count):
            settle(heap, neurons, touched[index], now)
            run.courses = write_course(neurons, courses, run.courses, touched[index], now)
