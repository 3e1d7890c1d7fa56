"""Obvious twins of the float engines: plain loops, every sum taken anew, no queues. Slow, and easy to believe."""

from __future__ import annotations

from math import exp, inf, log

import numpy as np

from liquid_neuro import Fused, LiquidNetwork
from liquid_neuro.cells import cfc, ltc
from liquid_neuro.cells.functions import sigmoid

Event = tuple[float, int, float]


class Past:
    """What was sent, for synapses that hear it later."""

    def __init__(self, before: np.ndarray) -> None:
        self.rows = [(-inf, before.copy())]

    def send(self, time: float, values: np.ndarray) -> None:
        self.rows.append((time, values.copy()))

    def heard(self, now: float, delay: np.ndarray, source: np.ndarray) -> list[float]:
        """Per synapse what its source had sent a delay before now."""
        return [next(row[s] for time, row in reversed(self.rows) if time + d <= now) for d, s in zip(delay, source)]

    def next_arrival(self, now: float, delay: np.ndarray) -> float:
        """When a synapse hears of something next, after now."""
        return min((time + d for time, _ in self.rows for d in set(delay.tolist()) if time + d > now), default=inf)


def sums(
    values: ltc.LTCValues, heard: list[float], inputs_heard: list[float], sent: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """Conductance and driven conductance of every neuron when its synapses hear this, and its gap junctions what neurons sent."""
    conductance, driven = values.gleak + epsilon, values.gleak * values.vleak
    recurrent = zip(heard, values.target, values.w, values.sigma, values.mu, values.erev)
    sensory = zip(inputs_heard, values.sensory_target, values.sensory_w, values.sensory_sigma, values.sensory_mu, values.sensory_erev)
    for level, target, w, sigma, mu, erev in (*recurrent, *sensory):
        gate = w * float(sigmoid(sigma * (level - mu)))
        conductance[target] += gate
        driven[target] += gate * erev
    for source, target, w in zip(values.gap_source, values.gap_target, values.gap_w):
        conductance[target] += w
        driven[target] += w * sent[source]
    return conductance, driven


def fused_events(network: LiquidNetwork, x: np.ndarray, timespans: np.ndarray, quantum: float) -> tuple[np.ndarray, list[Event]]:
    """(states (K + 1, units), events): ncps' sub-steps, where synapses hear what neurons last sent instead of their values."""
    values = ltc.effective(network)
    assert isinstance(network.solver, Fused)
    unfolds = network.solver.unfolds
    v, sent = np.zeros(network.units), np.zeros(network.units)
    past, inputs = Past(sent), Past(values.input_b)
    states, events, start = [v.copy()], [], 0.0
    for row, span in zip(x, timespans):
        h = span / unfolds
        inputs.send(start, values.input_w * row + values.input_b)
        for step in range(unfolds if span > 0 else 0):
            now = start + step * h
            for unit in range(network.units):
                if v[unit] != sent[unit] and abs(v[unit] - sent[unit]) >= quantum:
                    sent[unit] = v[unit]
                    events.append((now, unit, v[unit]))
            past.send(now, sent)
            heard = past.heard(now + 1e-6 * h, values.delay, values.source)
            inputs_heard = inputs.heard(now + 1e-6 * h, values.sensory_delay, values.sensory_source)
            conductance, driven = sums(values, heard, inputs_heard, sent, values.epsilon)
            v = (values.cm * v + h * driven) / (values.cm + h * conductance)
        states.append(v.copy())
        start += span
    return np.array(states), events


def exact_events(
    network: LiquidNetwork, changes: list[tuple[float, np.ndarray]], until: float, quantum: float
) -> tuple[np.ndarray, list[Event]]:
    """(state at the end, events) of the quantised-state method. changes: (time, all levels from then on)."""
    values = ltc.effective(network)
    v, sent, now, events = np.zeros(network.units), np.zeros(network.units), 0.0, []
    past, inputs = Past(sent), Past(values.input_b)
    pending = [*changes, (until, np.zeros(network.inputs))]
    while pending:
        heard = past.heard(now, values.delay, values.source)
        inputs_heard = inputs.heard(now, values.sensory_delay, values.sensory_source)
        conductance, driven = sums(values, heard, inputs_heard, sent, 0.0)
        target = np.where(conductance > 0, driven / np.where(conductance > 0, conductance, 1.0), v)
        due = [_crossing(values.cm[i], conductance[i], target[i], v[i], sent[i], quantum) for i in range(network.units)]
        first = int(np.argmin(due))
        arrival = min(past.next_arrival(now, values.delay), inputs.next_arrival(now, values.sensory_delay))
        upcoming = min(pending[0][0], arrival)
        step = min(due[first], upcoming - now)
        decay = [0.0 if cm == 0 else exp(-step * g / cm) for cm, g in zip(values.cm, conductance)]
        v = target + (v - target) * decay
        if due[first] < upcoming - now:
            now += step
            level = sent[first] + np.copysign(quantum, target[first] - sent[first])
            v[first] = sent[first] = v[first] if values.cm[first] == 0 else level
            past.send(now, sent)
            events.append((now, first, v[first]))
        elif pending[0][0] <= arrival:
            now, x = pending.pop(0)
            inputs.send(now, values.input_w * x + values.input_b)
        else:
            now = arrival
    return v, events


def _crossing(cm: float, g: float, target: float, v: float, sent: float, quantum: float) -> float:
    """How long until the neuron is a quantum away from what it sent."""
    if cm == 0:
        return 0.0 if abs(target - sent) >= quantum else np.inf
    if abs(target - sent) <= quantum * (1 + 1e-12):
        return np.inf
    level = sent + np.copysign(quantum, target - sent)
    return cm / g * log((v - target) / (level - target))


def cfc_events(network: LiquidNetwork, x: np.ndarray, timespans: np.ndarray, quantum: float) -> tuple[np.ndarray, list[Event]]:
    """(states (K + 1, units), events): ncps' steps, where units (of backbones too) hear what others last sent. No mixed memory."""
    values = cfc.effective(network)
    state, sent = np.zeros(network.units), np.zeros(network.units)
    backbone_sent = [[np.zeros(len(bias)) for _, bias in layer.backbone] for layer in values.layers]
    states, events, now = [state.copy()], [], 0.0
    for row, span in zip(x, timespans):
        now += span
        for number, layer in enumerate(values.layers if span > 0 else ()):
            own = slice(layer.start, layer.start + layer.units)
            before = values.layers[layer.inputs_from]
            heard = row if number == 0 else sent[before.start : before.start + before.units]
            z = np.concatenate([heard, sent[own]])
            for depth, (weight, bias) in enumerate(layer.backbone):
                new = cfc.ACTIVATIONS[values.activation](weight @ z + bias)
                old = backbone_sent[number][depth]
                z = backbone_sent[number][depth] = np.where(np.abs(new - old) >= quantum, new, old)
            heads = {name: (weight @ z + bias)[None] for name, (weight, bias) in layer.heads.items()}
            state[own] = cfc._advance(values, layer, heads, np.array([[span]]))[0]
            for unit in range(own.start, own.stop):
                if state[unit] != sent[unit] and abs(state[unit] - sent[unit]) >= quantum:
                    sent[unit] = state[unit]
                    events.append((now, unit, state[unit]))
        states.append(state.copy())
    return np.array(states), events
