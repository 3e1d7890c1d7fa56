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

from functools import partial
from typing import Any

import numpy as np

from event_sim.kernels.jit import bare, compiled
from event_sim.kernels.ltc_exact import run_events
from event_sim.kernels.prefetch import AHEAD, NEAR, ask_for
from event_sim.kernels.synapses import add, argument, drive, opened, steepness

FIRE = 0.9  # of a quantum
FINEST = 1e-15  # of the time: what a clock of float64 resolves, a few steps wide
SHORTEST = 1e-150  # model units
SMALLEST = 1e-3  # of a neuron's largest conductance: below it, changes are measured against this instead of the conductance itself

# A neuron: as kernels.ltc_exact.EXACT_NEURON, with the slope that it last sent and when, the slopes of its sums, and its course: value,
# push, first and second at time `at`, its conductance then (`held`) and its capacity (`inertia`). reach, largest: see above and SMALLEST.
_FLOATS = ["value", "sent", "slope", "sent_at", "quantum", "reach", "capacity", "inertia", "largest", "conductance", "conductance_carry"]
_FLOATS += ["driven", "driven_carry", "conductance_slope", "driven_slope", "push", "first", "second", "held", "at", "since"]
SECOND_NEURON = np.dtype([(name, np.float64) for name in _FLOATS] + [(name, np.int64) for name in ("mark", "output", "recent")])
SECOND_COURSE = np.dtype(
    [("time", np.float64), ("unit", np.int64)] + [(name, np.float64) for name in ("start", "push", "first", "second", "held")]
)


@bare
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


@bare
def value_at(neuron: Any, now: float) -> Any:
    """A neuron's value at a time not before its own."""
    tau = now - neuron.at
    if tau <= 0.0:
        return neuron.value
    if neuron.inertia == 0.0:
        return neuron.value + tau * (neuron.first + neuron.second * tau) / neuron.held if neuron.held > 0.0 else neuron.value
    one, two, three = phis(neuron.held / neuron.inertia * tau)
    return neuron.value + tau / neuron.inertia * (neuron.push * one + tau * (neuron.first * two + 2.0 * tau * neuron.second * three))


@partial(compiled, bare=True)
def second_values_at(neurons: Any, now: float, values: Any) -> None:
    """Write all neurons' values at a time not before their own."""
    for unit in range(len(neurons)):
        values[unit] = value_at(neurons[unit], now)


@bare
def advance(neuron: Any, now: float) -> None:
    """Bring a neuron's value and sums to now."""
    tau = now - neuron.at
    if tau > 0.0:
        neuron.value = value_at(neuron, now)
        neuron.conductance += neuron.conductance_slope * tau
        neuron.driven += neuron.driven_slope * tau
        neuron.at = now


@bare
def earliest(room: float, rate: float, bend: float) -> float:
    """The smallest tau >= 0 with rate tau + bend tau^2 / 2 = room >= 0; infinite without one."""
    root = np.sqrt(rate * rate + 2.0 * bend * room)
    if rate >= 0.0:
        return 2.0 * room / (rate + root) if rate + root > 0.0 else np.inf
    return (root - rate) / bend if bend > 0.0 else np.inf


@bare
def bend_of(neuron: Any, speed: float, span: float) -> Any:
    """A bound on |v''| for the next `span`: v'' relaxes from its present value to 2 second / g."""
    if neuron.inertia == 0.0:
        return 2.0 * abs(neuron.second) / neuron.held if neuron.held > 0.0 else 0.0
    present = abs(neuron.first - neuron.held * speed) / neuron.inertia
    if neuron.second == 0.0:
        return present
    later = present + 2.0 * abs(neuron.second) * span / neuron.inertia
    return min(later, max(present, 2.0 * abs(neuron.second) / neuron.held)) if neuron.held > 0.0 else later


@bare
def speed_of(neuron: Any) -> Any:
    """v' at the beginning of a course."""
    if neuron.inertia > 0.0:
        return neuron.push / neuron.inertia
    return neuron.first / neuron.held if neuron.held > 0.0 else 0.0


@bare
def settle(neuron: Any, now: float) -> Any:
    """A neuron's new course (its value stands at now); returns when to look at it next."""
    heard = neuron.sent + neuron.slope * (now - neuron.sent_at)
    neuron.held = max(neuron.conductance + neuron.conductance_carry, 0.0)
    driven = neuron.driven + neuron.driven_carry
    neuron.first = neuron.driven_slope - neuron.conductance_slope * heard
    neuron.second = -neuron.conductance_slope * neuron.slope
    # A time constant that the clock cannot resolve at this time is none, nor one whose square would leave the range of float64.
    neuron.inertia = 0.0 if neuron.capacity <= max(FINEST * abs(now), SHORTEST) * neuron.held else neuron.capacity
    if neuron.inertia == 0.0 and neuron.held > 0.0:
        neuron.value = driven / neuron.held
    neuron.push = driven - neuron.held * neuron.value if neuron.held > 0.0 else 0.0
    speed, away = speed_of(neuron), neuron.value - heard
    still = neuron.slope == 0.0 and neuron.first == 0.0 and neuron.second == 0.0
    if abs(away) >= FIRE * neuron.quantum:
        return now
    if still and (neuron.held == 0.0 or abs(driven / neuron.held - heard) < FIRE * neuron.quantum):
        return np.inf
    span = np.inf
    if neuron.conductance_slope != 0.0:
        span = 0.125 * max(neuron.held, SMALLEST * neuron.largest) / abs(neuron.conductance_slope)
    bend, rate = bend_of(neuron, speed, span), speed - neuron.slope
    span = min(span, earliest(neuron.quantum - away, rate, bend), earliest(neuron.quantum + away, -rate, bend))
    if neuron.slope != 0.0:
        span = min(span, max(neuron.reach / abs(neuron.slope) - (now - neuron.sent_at), 0.0))
    return max(now + span, np.nextafter(now, np.inf))


@bare
def due_of(neuron: Any, now: float) -> Any:
    """When a neuron whose time in the heap has come is looked at: now."""
    return now


@bare
def arrive(neuron: Any, now: float) -> Any:
    """Bring a neuron to its time in the heap; returns whether it sends then: a quantum away, at the reach of its slope, or at once after
    its course was begun."""
    at_once = now <= neuron.at
    advance(neuron, now)
    heard = neuron.sent + neuron.slope * (now - neuron.sent_at)
    if at_once or abs(neuron.value - heard) >= FIRE * neuron.quantum:
        return True
    return abs(neuron.slope) * (now - neuron.sent_at) >= neuron.reach * (1.0 - 1e-9)


@bare
def slope_of(neuron: Any) -> Any:
    """The slope that a neuron sends: v', but 0 where that moves it by less than half a quantum in a time constant, so that it can rest."""
    conductance, driven = neuron.conductance + neuron.conductance_carry, neuron.driven + neuron.driven_carry
    if conductance <= 0.0:
        return 0.0
    if neuron.inertia == 0.0:
        return (neuron.driven_slope - neuron.conductance_slope * neuron.value) / conductance
    push = driven - conductance * neuron.value
    return push / neuron.inertia if abs(push) > 0.5 * neuron.quantum * conductance else 0.0


@bare
def send(neuron: Any, now: float) -> Any:
    """As kernels.ltc_exact.send, with the slope."""
    elapsed = now - neuron.sent_at
    slope = slope_of(neuron)
    jump, bend = neuron.value - (neuron.sent + neuron.slope * elapsed), slope - neuron.slope
    neuron.sent, neuron.slope, neuron.sent_at = neuron.value, slope, now
    return neuron.value, slope, jump, bend, elapsed


@bare
def touch(neurons: Any, target: int, now: float, mark: int, touched: Any, count: int) -> int:
    """As kernels.ltc_exact.touch."""
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
    """Synapses first .. last - 1 hear this level and slope: their new tangents enter the sums of their targets. elapsed: since they last
    heard of their source, from when the old tangents start."""
    for index in range(first, last):
        gates[index - first] = argument(synapses[index], level)
    opened(gates, last - first)
    for index in range(first, last):
        if len(neurons) > NEAR and index + AHEAD < last:
            ask_for(neurons, synapses[index + AHEAD].target)
        synapse = synapses[index]
        count = touch(neurons, synapse.target, now, mark, touched, count)
        gate = gates[index - first]
        new, steep = synapse.weight * gate, steepness(synapse, gate, slope)
        neuron = neurons[synapse.target]
        add(neuron, new - (synapse.now + synapse.slope * elapsed), synapse.erev)
        neuron.conductance_slope += steep - synapse.slope
        neuron.driven_slope += (steep - synapse.slope) * synapse.erev
        synapse.now, synapse.slope = new, steep
    return count


@bare
def couple(neurons: Any, gaps: Any, first: int, last: int, jump: float, bend: float, now: float, mark: int, touched: Any,
           count: int) -> int:  # fmt: skip
    """Gap junctions first .. last - 1 hear that their source's value jumped and its slope changed."""
    for index in range(first, last):
        gap = gaps[index]
        count = touch(neurons, gap.target, now, mark, touched, count)
        drive(neurons[gap.target], gap.weight * jump)
        neurons[gap.target].driven_slope += gap.weight * bend
    return count


@bare
def write_course(neuron: Any, courses: Any, row: int, unit: int) -> int:
    """Note the course that an output neuron takes from its own time on; returns the next free row."""
    if neuron.output == 0:
        return row
    course = courses[row]
    course.time, course.unit, course.start = neuron.at, unit, neuron.value
    course.push, course.first, course.second, course.held = neuron.push, neuron.first, neuron.second, neuron.held
    return row + 1


run_second = compiled(
    run_events,
    variant="second",
    bare=True,
    value_at=value_at,
    advance=advance,
    settle=settle,
    LAZY=False,
    due_of=due_of,
    arrive=arrive,
    send=send,
    deliver=deliver,
    couple=couple,
    write_course=write_course,
)
