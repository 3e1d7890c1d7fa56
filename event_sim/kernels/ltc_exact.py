"""Event-driven LTC as an ordinary differential equation: a quantised-state method of first order with exact local solution.

Each neuron hears what the others last sent (QSS1, Kofman and Junco 2001), so between two events that reach it, it relaxes exactly:
v(t) = v_inf + (v - v_inf) e^(-(g / cm) t), v_inf = c / g. It sends when it has moved by its quantum, at a time that has a closed form.
Neurons wait in an indexed binary heap ordered by (time, unit). cm = 0: the neuron jumps to v_inf. g = 0: it keeps its value.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.kernels.jit import compiled, inner
from event_sim.kernels.ltc_fused import add

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

DONE, NO_ROOM, TOO_MANY = 0, 1, 2


class ExactNeurons(NamedTuple):
    """What a neuron carries: its value at time `at`, what it last sent, its sums with rounding carries, its course, its heap place."""

    value: Floats
    sent: Floats
    quantum: Floats
    capacity: Floats
    conductance: Floats
    conductance_carry: Floats
    driven: Floats
    driven_carry: Floats
    target: Floats
    rate: Floats
    at: Floats
    due: Floats
    heap: Integers
    place: Integers
    mark: Integers
    output: Integers


class Changes(NamedTuple):
    """Input levels that change, and times at which all states are recorded, both ascending, in model units."""

    time: Floats
    channel: Integers
    level: Floats
    record: Floats


class Log(NamedTuple):
    """Room for events (first_free 0) and for the courses of output neurons."""

    time: Floats
    unit: Integers
    value: Floats
    course_time: Floats
    course_unit: Integers
    course_start: Floats
    course_target: Floats
    course_rate: Floats


@inner
def earlier(neurons: Any, first: int, second: int) -> bool:
    """Whether neuron first comes before neuron second."""
    return neurons.due[first] < neurons.due[second] or (neurons.due[first] == neurons.due[second] and first < second)


@inner
def move(neurons: Any, unit: int) -> None:
    """Restore the heap after a neuron's time changed."""
    heap, place = neurons.heap, neurons.place
    position = place[unit]
    while position > 0 and earlier(neurons, unit, heap[(position - 1) >> 1]):
        parent = heap[(position - 1) >> 1]
        heap[position] = parent
        place[parent] = position
        position = (position - 1) >> 1
    size = len(heap)
    while True:
        child = 2 * position + 1
        if child >= size:
            break
        if child + 1 < size and earlier(neurons, heap[child + 1], heap[child]):
            child += 1
        if not earlier(neurons, heap[child], unit):
            break
        heap[position] = heap[child]
        place[heap[child]] = position
        position = child
    heap[position] = unit
    place[unit] = position


@inner
def value_at(neurons: Any, unit: int, now: float) -> Any:
    """A neuron's value at a time not before its own."""
    value, target, elapsed = neurons.value[unit], neurons.target[unit], now - neurons.at[unit]
    if elapsed <= 0.0 or value == target:
        return value
    return target + (value - target) * np.exp(-neurons.rate[unit] * elapsed)


@inner
def settle(neurons: Any, unit: int, now: float) -> None:
    """A neuron's new course (its value stands at now) and the time at which it will be a quantum away from what it last sent."""
    conductance = neurons.conductance[unit] + neurons.conductance_carry[unit]
    if conductance <= 0.0:
        neurons.target[unit], neurons.rate[unit] = neurons.value[unit], 0.0
    else:
        neurons.target[unit] = (neurons.driven[unit] + neurons.driven_carry[unit]) / conductance
        if neurons.capacity[unit] > 0.0:
            neurons.rate[unit] = conductance / neurons.capacity[unit]
        else:
            neurons.value[unit], neurons.rate[unit] = neurons.target[unit], np.inf
    predict(neurons, unit, now)
    move(neurons, unit)


@inner
def predict(neurons: Any, unit: int, now: float) -> None:
    """The next time at which the neuron sends; infinite where its course never takes it a quantum away."""
    value, sent, quantum, target = neurons.value[unit], neurons.sent[unit], neurons.quantum[unit], neurons.target[unit]
    if abs(value - sent) >= quantum:
        neurons.due[unit] = now
        return
    distance = abs(target - sent)
    if distance <= quantum * (1.0 + 1e-12) or value == target:
        neurons.due[unit] = np.inf
        return
    level = sent + quantum if target > sent else sent - quantum
    neurons.due[unit] = now + np.log1p((level - value) / (target - level)) / neurons.rate[unit]


@inner
def deliver(neurons: Any, synapses: Any, source: int, level: float, now: float, mark: int, touched: Any, count: int) -> int:
    """One event: its new conductances enter the sums of all targets, which are first advanced under the old sums."""
    for index in range(synapses.first[source], synapses.first[source + 1]):
        unit = synapses.target[index]
        if neurons.mark[unit] != mark:
            neurons.mark[unit] = mark
            touched[count] = unit
            count += 1
            neurons.value[unit] = value_at(neurons, unit, now)
            neurons.at[unit] = now
        new = synapses.weight[index] / (1.0 + np.exp(synapses.sigma[index] * (synapses.mu[index] - level)))
        change = new - synapses.now[index]
        synapses.now[index] = new
        add(neurons.conductance, neurons.conductance_carry, unit, change)
        add(neurons.driven, neurons.driven_carry, unit, change * synapses.erev[index])
    return count


@inner
def write_course(neurons: Any, log: Any, row: int, unit: int, now: float) -> None:
    """Note the course that a neuron takes from now on."""
    log.course_time[row], log.course_unit[row] = now, unit
    log.course_start[row], log.course_target[row], log.course_rate[row] = neurons.value[unit], neurons.target[unit], neurons.rate[unit]


@compiled
def run_exact(until: float, limit: int, begin: float, neurons: Any, recurrent: Any, sensory: Any, changes: Any, progress: Any, states: Any,
              log: Any, counts: Any) -> int:  # fmt: skip
    """Run to time `until` (model units). Returns DONE, NO_ROOM (grow the log and call again) or TOO_MANY.

    begin: the start of the whole run. progress: [next change, next record, events written, courses written, mark, operations, sensory
    operations, culprit]. More than `limit` events of one neuron between two inputs are too many. counts: (2, units), events of the whole
    run and since the last input.
    """
    units = len(neurons.value)
    touched = np.empty(units, dtype=np.int64)
    change, record, written, courses, mark = progress[0], progress[1], progress[2], progress[3], progress[4]
    status = DONE
    if mark == 0:
        mark = 1
        for unit in range(units):
            settle(neurons, unit, begin)
            if neurons.output[unit] == 1:
                write_course(neurons, log, courses, unit, begin)
                courses += 1
    while True:
        if written >= len(log.unit) or courses + units > len(log.course_unit):
            status = NO_ROOM
            break
        first = neurons.heap[0]
        now = neurons.due[first]
        input_first = change < len(changes.time) and changes.time[change] <= now
        if input_first:
            now = changes.time[change]
        while record < len(changes.record) and changes.record[record] <= min(now, until):
            for unit in range(units):
                states[record, unit] = value_at(neurons, unit, changes.record[record])
            record += 1
        if now > until or now == np.inf:
            break
        mark += 1
        count = 0
        if input_first:
            counts[1, :] = 0
            while change < len(changes.time) and changes.time[change] == now:
                channel = changes.channel[change]
                count = deliver(neurons, sensory, channel, changes.level[change], now, mark, touched, count)
                progress[6] += sensory.first[channel + 1] - sensory.first[channel]
                change += 1
        else:
            if abs(neurons.value[first] - neurons.sent[first]) < neurons.quantum[first]:
                step = neurons.quantum[first] if neurons.target[first] > neurons.sent[first] else -neurons.quantum[first]
                neurons.value[first] = neurons.sent[first] + step
            value = neurons.value[first]
            neurons.at[first] = now
            neurons.sent[first] = value
            neurons.mark[first] = mark
            touched[0] = first
            count = 1
            log.time[written], log.unit[written], log.value[written] = now, first, value
            written += 1
            counts[0, first] += 1
            counts[1, first] += 1
            if counts[1, first] > limit:
                progress[7] = first
                status = TOO_MANY
                break
            progress[5] += recurrent.first[first + 1] - recurrent.first[first]
            count = deliver(neurons, recurrent, first, value, now, mark, touched, count)
        for index in range(count):
            unit = touched[index]
            settle(neurons, unit, now)
            if neurons.output[unit] == 1:
                write_course(neurons, log, courses, unit, now)
                courses += 1
    progress[0], progress[1], progress[2], progress[3], progress[4] = change, record, written, courses, mark
    return status
