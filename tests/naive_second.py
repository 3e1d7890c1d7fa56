"""The obvious twin of the engine of second order: sums anew, courses as polynomial plus exponential, a linear search for who is next."""

from __future__ import annotations

from math import exp, inf, sqrt

import numpy as np
from naive import Event, Past

from liquid_neuro import LiquidNetwork
from liquid_neuro.cells import ltc
from liquid_neuro.cells.functions import sigmoid

FIRE, BENT = 0.9, 5.19


class Neuron:
    """What it sent (value, slope, time), and its course since `at`."""

    def __init__(self, cm: float, quantum: float, reach: float, largest: float) -> None:
        self.cm, self.quantum, self.reach, self.largest = cm, quantum, reach, largest
        self.sent = self.slope = self.sent_at = self.at = self.value = 0.0
        self.due = inf
        self.said = [(-inf, 0.0, 0.0)]  # time, value, slope

    def heard(self, t: float, delay: float) -> tuple[float, float, float]:
        """(value, slope, when it was heard) of what was sent last a delay before t."""
        time, value, slope = next(said for said in reversed(self.said) if said[0] + delay <= t)
        return value, slope, 0.0 if time == -inf else time + delay

    def q(self, t: float) -> float:
        return self.sent + self.slope * (t - self.sent_at)

    def v(self, t: float) -> float:
        tau = t - self.at
        decay = 0.0 if self.cm == 0 else exp(-self.g * tau / self.cm)
        return self.p[0] + self.p[1] * tau + self.p[2] * tau**2 + (self.value - self.p[0]) * decay

    def begin(self, t: float, g: float, c: float, g1: float, c1: float) -> None:
        """A new course at t, and the next look."""
        self.at, self.g = t, g
        first, second = c1 - g1 * self.q(t), -g1 * self.slope
        bent = second / g
        drift = (first - 2 * self.cm * bent) / g
        self.p = ((c - self.cm * drift) / g, drift, bent)
        if self.cm == 0:
            self.value = self.p[0]
        speed = (c - g * self.value) / self.cm if self.cm else first / g
        away, rate = self.value - self.q(t), speed - self.slope
        span = inf if g1 == 0 else max(g, 1e-3 * self.largest) / (8 * abs(g1))
        present = abs(first - g * speed) / self.cm if self.cm else 2 * abs(bent)
        bend = present
        if self.cm and second != 0:
            bend = min(present + 2 * abs(second) * span / self.cm, max(present, 2 * abs(bent)))
        if abs(away) >= FIRE * self.quantum:
            self.due = t
            return
        if self.slope == first == second == 0 and abs(c / g - self.q(t)) < FIRE * self.quantum:
            self.due = inf
            return
        span = min(span, _root(self.quantum - away, rate, bend), _root(self.quantum + away, -rate, bend))
        if self.slope:
            span = min(span, max(self.sent_at + self.reach / abs(self.slope) - t, 0.0))
        self.due = t + span


def _root(room: float, rate: float, bend: float) -> float:
    if bend == 0:
        return room / rate if rate > 0 else inf
    return (sqrt(rate**2 + 2 * bend * room) - rate) / bend


def exact_events(
    network: LiquidNetwork, changes: list[tuple[float, np.ndarray]], until: float, quantum: float
) -> tuple[np.ndarray, list[Event]]:
    """(state at the end, events). changes: (time, all levels from then on), the first at 0. Every neuron needs conductance."""
    values = ltc.effective(network)
    neurons = []
    for unit in range(network.units):
        steepest = max(np.abs(values.sigma[values.source == unit]), default=0.0)
        largest = values.gleak[unit] + values.w[values.target == unit].sum() + values.sensory_w[values.sensory_target == unit].sum()
        largest += values.gap_w[values.gap_target == unit].sum()
        neurons.append(Neuron(values.cm[unit], quantum, sqrt(BENT * quantum / steepest) if steepest else inf, largest))
    events, pending, inputs = [], [*changes], Past(values.input_b)

    def begin(unit: int, t: float) -> None:
        g, c, g1, c1 = values.gleak[unit], values.gleak[unit] * values.vleak[unit], 0.0, 0.0
        for s in np.flatnonzero(values.target == unit):
            level, slope, heard_at = neurons[values.source[s]].heard(t, values.delay[s])
            gate = float(sigmoid(values.sigma[s] * (level - values.mu[s])))
            steep = values.w[s] * gate * (1 - gate) * values.sigma[s] * slope
            now = values.w[s] * gate + steep * (t - heard_at)
            g, c, g1, c1 = g + now, c + now * values.erev[s], g1 + steep, c1 + steep * values.erev[s]
        for s in np.flatnonzero(values.gap_target == unit):
            other, w = neurons[values.gap_source[s]], values.gap_w[s]
            g, c, c1 = g + w, c + w * other.q(t), c1 + w * other.slope
        inputs_heard = inputs.heard(t, values.sensory_delay, values.sensory_source)
        for s in np.flatnonzero(values.sensory_target == unit):
            gate = values.sensory_w[s] * float(sigmoid(values.sensory_sigma[s] * (inputs_heard[s] - values.sensory_mu[s])))
            g, c = g + gate, c + gate * values.sensory_erev[s]
        neurons[unit].begin(t, g, c, g1, c1)

    def arrivals(after: float) -> tuple[float, set[int]]:
        """When a delayed synapse hears something next, and the targets then."""
        found = [(time + values.delay[s], values.target[s]) for s in range(len(values.w)) for time, _, _ in neurons[values.source[s]].said]
        for (_, before), (time, levels) in zip(inputs.rows, inputs.rows[1:]):
            for s in np.flatnonzero((levels != before)[values.sensory_source]):
                found.append((time + values.sensory_delay[s], values.sensory_target[s]))
        first = min((time for time, _ in found if time > after), default=inf)
        return first, {int(target) for time, target in found if time == first}

    now = 0.0
    for unit in range(network.units):
        begin(unit, 0.0)
    while True:
        unit = min(range(network.units), key=lambda i: neurons[i].due)
        one = neurons[unit]
        arrival, hearing = arrivals(now)
        now = min(one.due, pending[0][0] if pending else inf, arrival)
        if now > until:
            return np.array([n.v(until) for n in neurons]), events
        if pending and pending[0][0] == now:
            u = values.input_w * pending.pop(0)[1] + values.input_b
            moved = np.flatnonzero(u != inputs.rows[-1][1])
            inputs.send(now, u)
            at_once = np.isin(values.sensory_source, moved) & (values.sensory_delay == 0)
            touched = set(values.sensory_target[at_once].tolist())
        elif arrival == now:
            touched = hearing
        else:
            touched = {unit}
            value, looked = one.v(now), now > one.at
            due = abs(value - one.q(now)) >= FIRE * quantum or not looked
            if due or abs(one.slope) * (now - one.sent_at) >= one.reach * (1 - 1e-9):
                g, c, g1, c1 = _sums_of(begin, one, unit, now, value)
                push = c - g * value
                one.slope = (c1 - g1 * value) / g if one.cm == 0 else (push / one.cm if abs(push) > 0.5 * quantum * g else 0.0)
                one.sent, one.sent_at = value, now
                one.said.append((now, value, one.slope))
                events.append((now, unit, value))
                touched |= set(values.target[(values.source == unit) & (values.delay == 0)].tolist())
                touched |= set(values.gap_target[values.gap_source == unit].tolist())
        for other in touched:
            neurons[other].value = neurons[other].v(now)
        for other in sorted(touched):
            begin(other, now)


def _sums_of(begin, one: Neuron, unit: int, now: float, value: float) -> tuple[float, float, float, float]:
    """The sums that `begin` would hand to this neuron now."""
    kept: list[tuple[float, float, float, float]] = []
    original, Neuron.begin = Neuron.begin, lambda self, t, *sums: kept.append(sums)
    try:
        begin(unit, now)
    finally:
        Neuron.begin = original
    return kept[0]
