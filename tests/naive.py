"""Obvious twins of the float engines: plain loops, every sum taken anew, no queues. Slow, and easy to believe."""

from __future__ import annotations

from math import exp, log

import numpy as np

from liquid_neuro import Fused, LiquidNetwork
from liquid_neuro.cells import cfc, ltc
from liquid_neuro.cells.functions import sigmoid

Event = tuple[float, int, float]


def sums(values: ltc.LTCValues, sent: np.ndarray, x: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Conductance and driven conductance of every neuron when neurons sent `sent` and inputs are x."""
    conductance, driven = values.gleak + epsilon, values.gleak * values.vleak
    u = values.input_w * x + values.input_b
    recurrent = zip(values.source, values.target, values.w, values.sigma, values.mu, values.erev)
    sensory = zip(
        values.sensory_source, values.sensory_target, values.sensory_w, values.sensory_sigma, values.sensory_mu, values.sensory_erev
    )
    for level, synapses in ((sent, recurrent), (u, sensory)):
        for source, target, w, sigma, mu, erev in synapses:
            gate = w * float(sigmoid(sigma * (level[source] - mu)))
            conductance[target] += gate
            driven[target] += gate * erev
    return conductance, driven


def fused_events(network: LiquidNetwork, x: np.ndarray, timespans: np.ndarray, quantum: float) -> tuple[np.ndarray, list[Event]]:
    """(states (K + 1, units), events): ncps' sub-steps, where synapses hear what neurons last sent instead of their values."""
    values = ltc.effective(network)
    assert isinstance(network.solver, Fused)
    unfolds = network.solver.unfolds
    v, sent = np.zeros(network.units), np.zeros(network.units)
    states, events, start = [v.copy()], [], 0.0
    for row, span in zip(x, timespans):
        h = span / unfolds
        for step in range(unfolds if span > 0 else 0):
            for unit in range(network.units):
                if v[unit] != sent[unit] and abs(v[unit] - sent[unit]) >= quantum:
                    sent[unit] = v[unit]
                    events.append((start + step * h, unit, v[unit]))
            conductance, driven = sums(values, sent, row, values.epsilon)
            v = (values.cm * v + h * driven) / (values.cm + h * conductance)
        states.append(v.copy())
        start += span
    return np.array(states), events


def exact_events(
    network: LiquidNetwork, changes: list[tuple[float, np.ndarray]], until: float, quantum: float
) -> tuple[np.ndarray, list[Event]]:
    """(state at the end, events) of the quantised-state method. changes: (time, all levels from then on)."""
    values = ltc.effective(network)
    v, sent, x, now, events = np.zeros(network.units), np.zeros(network.units), np.zeros(network.inputs), 0.0, []
    pending = [*changes, (until, x)]
    while pending:
        conductance, driven = sums(values, sent, x, 0.0)
        target = np.where(conductance > 0, driven / np.where(conductance > 0, conductance, 1.0), v)
        due = [_crossing(values.cm[i], conductance[i], target[i], v[i], sent[i], quantum) for i in range(network.units)]
        first = int(np.argmin(due))
        step = min(due[first], pending[0][0] - now)
        decay = [0.0 if cm == 0 else exp(-step * g / cm) for cm, g in zip(values.cm, conductance)]
        v, now = target + (v - target) * decay, now + step
        if due[first] < step or (due[first] == step and now < pending[0][0]):
            level = sent[first] + np.copysign(quantum, target[first] - sent[first])
            v[first] = sent[first] = v[first] if values.cm[first] == 0 else level
            events.append((now, first, v[first]))
        else:
            now, x = pending.pop(0)
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
