"""Event-driven LTC as a differential equation, of second order: an event carries a value and a slope (QSS2, Kofman 2002).

Neurons hear q(t) = sent + slope (t - sent_at) of the others. A gate follows its tangent, so that a neuron's conductance g + g' tau and
driven conductance c + c' tau are linear in the time tau since the last event that reached it. In g' tau v the neuron's own q stands for v
(they differ by at most a quantum), which leaves an equation with an exact solution:

    cm v' = c + c' tau - g v - g' tau q(tau),   v = v0 + tau / cm (push phi1 + first tau phi2 + 2 second tau^2 phi3)(-g tau / cm),
    push = c - g v0, first = c' - g' q(0), second = -g' slope, phi_k the exponential functions phi_1(z) = (e^z - 1) / z, ...

A neuron sends when v is FIRE of a quantum away from q; it is looked at when it can have moved so far at the earliest, which |v''| bounds.
It also sends when q has moved so far (`reach`) that the tangents of its gates may be off by what one quantum of q makes, and its course
is begun anew before g has changed by an eighth.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from event_sim.kernels.jit import compiled, inner
from event_sim.kernels.ltc_exact import DONE, NO_ROOM, TOO_MANY, move
from event_sim.kernels.ltc_fused import add, gate

FIRE = 0.9  # of a quantum
FINEST = 1e-15  # of the time: what a clock of float64 resolves, a few steps wide
SMALLEST = 1e-3  # of a neuron's largest conductance: below it, changes are measured against this instead of the conductance itself

_FLOATS = ["value", "sent", "slope", "sent_at", "quantum", "reach", "capacity", "inertia", "largest", "conductance", "conductance_carry"]
_FLOATS += [
    "driven",
    "driven_carry",
    "conductance_slope",
    "driven_slope",
    "push",
    "first",
    "second",
    "held",
    "target",
    "at",
    "due",
    "begun",
]
SECOND_NEURON = np.dtype(
    [(name, np.float64) for name in _FLOATS] + [(name, np.int64) for name in ("place", "mark", "output", "recent", "inputs")]
)
SECOND_SYNAPSE = np.dtype([("target", np.int64)] + [(name, np.float64) for name in ("weight", "sigma", "mu", "erev", "now", "slope")])
SECOND_COURSE = np.dtype(
    [("time", np.float64), ("unit", np.int64)] + [(name, np.float64) for name in ("start", "push", "first", "second", "held")]
)


@inner
def phis(z: float) -> Any:
    """phi_1, phi_2, phi_3 at -z for z >= 0."""
    if z < 0.5:
        third, term = 0.0, 1.0 / 6.0
        for k in range(4, 16):
            third += term
            term *= -z / k
        second = 0.5 - z * third
        return 1.0 - z * second, second, third
    first = -np.expm1(-z) / z
    second = (1.0 - first) / z
    return first, second, (0.5 - second) / z


@inner
def value_at(neuron: Any, now: float) -> Any:
    """A neuron's value at a time not before its own."""
    tau = now - neuron.at
    if tau <= 0.0:
        return neuron.value
    if neuron.inertia == 0.0:
        return neuron.value + tau * (neuron.first + neuron.second * tau) / neuron.held if neuron.held > 0.0 else neuron.value
    one, two, three = phis(neuron.held / neuron.inertia * tau)
    return neuron.value + tau / neuron.inertia * (neuron.push * one + tau * (neuron.first * two + 2.0 * tau * neuron.second * three))


@compiled
def second_values_at(neurons: Any, now: float, values: Any) -> None:
    """Write all neurons' values at a time not before their own."""
    for unit in range(len(neurons)):
        values[unit] = value_at(neurons[unit], now)


@inner
def advance(neuron: Any, now: float) -> None:
    """Bring a neuron's value and sums to now."""
    tau = now - neuron.at
    if tau > 0.0:
        neuron.value = value_at(neuron, now)
        neuron.conductance += neuron.conductance_slope * tau
        neuron.driven += neuron.driven_slope * tau
        neuron.at = now


@inner
def earliest(room: float, rate: float, bend: float) -> float:
    """The smallest tau >= 0 with rate tau + bend tau^2 / 2 = room >= 0; infinite without one."""
    root = np.sqrt(rate * rate + 2.0 * bend * room)
    if rate >= 0.0:
        return 2.0 * room / (rate + root) if rate + root > 0.0 else np.inf
    return (root - rate) / bend if bend > 0.0 else np.inf


@inner
def bend_of(neuron: Any, speed: float, span: float) -> Any:
    """A bound on |v''| for the next `span`: v'' relaxes from its present value to 2 second / g."""
    if neuron.inertia == 0.0:
        return 2.0 * abs(neuron.second) / neuron.held if neuron.held > 0.0 else 0.0
    present = abs(neuron.first - neuron.held * speed) / neuron.inertia
    if neuron.second == 0.0:
        return present
    later = present + 2.0 * abs(neuron.second) * span / neuron.inertia
    return min(later, max(present, 2.0 * abs(neuron.second) / neuron.held)) if neuron.held > 0.0 else later


@inner
def speed_of(neuron: Any) -> Any:
    """v' at the beginning of a course."""
    if neuron.inertia > 0.0:
        return neuron.push / neuron.inertia
    return neuron.first / neuron.held if neuron.held > 0.0 else 0.0


@inner
def settle(heap: Any, neurons: Any, unit: int, now: float) -> None:
    """A neuron's new course (its value stands at now), and when to look at it next."""
    neuron = neurons[unit]
    heard = neuron.sent + neuron.slope * (now - neuron.sent_at)
    neuron.held = max(neuron.conductance + neuron.conductance_carry, 0.0)
    driven = neuron.driven + neuron.driven_carry
    neuron.first = neuron.driven_slope - neuron.conductance_slope * heard
    neuron.second = -neuron.conductance_slope * neuron.slope
    # A time constant that the clock cannot resolve at this time is none.
    neuron.inertia = 0.0 if neuron.capacity <= FINEST * abs(now) * neuron.held else neuron.capacity
    if neuron.inertia == 0.0 and neuron.held > 0.0:
        neuron.value = driven / neuron.held
    neuron.push = driven - neuron.held * neuron.value if neuron.held > 0.0 else 0.0
    speed, away, before = speed_of(neuron), neuron.value - heard, neuron.due
    still = neuron.slope == 0.0 and neuron.first == 0.0 and neuron.second == 0.0
    if abs(away) >= FIRE * neuron.quantum:
        neuron.due = now
    elif still and (neuron.held == 0.0 or abs(driven / neuron.held - heard) < FIRE * neuron.quantum):
        neuron.due = np.inf
    else:
        span = np.inf
        if neuron.conductance_slope != 0.0:
            span = 0.125 * max(neuron.held, SMALLEST * neuron.largest) / abs(neuron.conductance_slope)
        bend, rate = bend_of(neuron, speed, span), speed - neuron.slope
        span = min(span, earliest(neuron.quantum - away, rate, bend), earliest(neuron.quantum + away, -rate, bend))
        if neuron.slope != 0.0:
            span = min(span, max(neuron.reach / abs(neuron.slope) - (now - neuron.sent_at), 0.0))
        neuron.due = max(now + span, np.nextafter(now, np.inf))
    if neuron.due != before:
        move(heap, neurons, unit)


@inner
def sends(neuron: Any, now: float) -> Any:
    """Whether a neuron that is looked at now (after it advanced from the beginning of its course) sends."""
    heard = neuron.sent + neuron.slope * (now - neuron.sent_at)
    if abs(neuron.value - heard) >= FIRE * neuron.quantum or now <= neuron.begun:
        return True
    return abs(neuron.slope) * (now - neuron.sent_at) >= neuron.reach * (1.0 - 1e-9)


@inner
def slope_of(neuron: Any) -> Any:
    """The slope that a neuron sends: v', but 0 where that moves it by less than half a quantum in a time constant, so that it can rest."""
    conductance, driven = neuron.conductance + neuron.conductance_carry, neuron.driven + neuron.driven_carry
    if conductance <= 0.0:
        return 0.0
    if neuron.inertia == 0.0:
        return (neuron.driven_slope - neuron.conductance_slope * neuron.value) / conductance
    push = driven - conductance * neuron.value
    return push / neuron.inertia if abs(push) > 0.5 * neuron.quantum * conductance else 0.0


@inner
def deliver(neurons: Any, first: Any, synapses: Any, source: int, level: float, slope: float, elapsed: float, now: float, mark: int,
            touched: Any, count: int) -> int:  # fmt: skip
    """One event: new tangents enter the sums of all targets. elapsed: since the source's event before, from which the old ones start."""
    for index in range(first[source], first[source + 1]):
        synapse = synapses[index]
        neuron = neurons[synapse.target]
        if neuron.mark != mark:
            neuron.mark = mark
            touched[count] = synapse.target
            count += 1
            advance(neuron, now)
        new = gate(synapse, level)
        steep = synapse.sigma * slope * new * (1.0 - new / synapse.weight) if slope != 0.0 and synapse.weight != 0.0 else 0.0
        add(neuron, new - (synapse.now + synapse.slope * elapsed), synapse.erev)
        neuron.conductance_slope += steep - synapse.slope
        neuron.driven_slope += (steep - synapse.slope) * synapse.erev
        synapse.now, synapse.slope = new, steep
    return count


@inner
def write_course(neurons: Any, courses: Any, row: int, unit: int, now: float) -> int:
    """Note the course that an output neuron takes from now on; returns the next free row."""
    neuron = neurons[unit]
    neuron.begun = now
    if neuron.output == 0:
        return row
    course = courses[row]
    course.time, course.unit, course.start = now, unit, neuron.value
    course.push, course.first, course.second, course.held = neuron.push, neuron.first, neuron.second, neuron.held
    return row + 1


@compiled
def run_second(until: float, limit: int, begin: float, heap: Any, neurons: Any, first: Any, synapses: Any, sensory_first: Any, sensory: Any,
               changes: Any, record: Any, progress: Any, states: Any, events: Any, courses: Any, counts: Any) -> int:  # fmt: skip
    """Run to time `until` (model units); arguments and result as kernels.ltc_exact.run_exact."""
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
                count = deliver(neurons, sensory_first, sensory, channel, level, 0.0, 0.0, now, run.mark, touched, count)
                run.sensory_operations += sensory_first[channel + 1] - sensory_first[channel]
                run.change += 1
        else:
            neuron = neurons[unit]
            advance(neuron, now)
            neuron.mark = run.mark
            touched[0] = unit
            count = 1
            if sends(neuron, now):
                elapsed = now - neuron.sent_at
                neuron.sent, neuron.slope, neuron.sent_at = neuron.value, slope_of(neuron), now
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
                count = deliver(neurons, first, synapses, unit, neuron.value, neuron.slope, elapsed, now, run.mark, touched, count)
        for index in range(count):
            settle(heap, neurons, touched[index], now)
            run.courses = write_course(neurons, courses, run.courses, touched[index], now)
