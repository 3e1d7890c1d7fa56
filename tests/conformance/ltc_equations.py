"""The LTC written down once more, from its equation alone, with dense matrices: what other people's solvers are given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from liquid_neuro import Exact, LiquidNetwork, LTCSettings, Wiring

Slope = Callable[[float, np.ndarray], np.ndarray]


def random_network(seed: int, units: int, inputs: int = 2, stiff: bool = False) -> LiquidNetwork:
    """Any signs, any slopes and thresholds, time constants over two orders of magnitude (four if stiff); solver exact."""
    draw = np.random.default_rng(seed)
    adjacency = (draw.random((units, units)) < 0.4) * draw.choice([-1, 1], (units, units))
    sensory = (draw.random((inputs, units)) < 0.6) * draw.choice([-1, 1], (inputs, units))
    wiring = Wiring.from_adjacency(adjacency, sensory, 1)
    parameters = {
        "cm": 10.0 ** draw.uniform(-3.0 if stiff else -1.0, 1.0, units),
        "gleak": draw.uniform(0.2, 1.0, units),
        "vleak": draw.uniform(-0.5, 0.5, units),
        "input_w": draw.uniform(0.5, 1.5, inputs),
        "input_b": draw.uniform(-0.2, 0.2, inputs),
    }
    for side, count in (("", wiring.synapse_count), ("sensory_", wiring.sensory_synapse_count)):
        signs = draw.choice([-1.0, 1.0], count)
        parameters |= {f"{side}w": draw.uniform(0.01, 1.0, count), f"{side}sigma": draw.uniform(2.0, 8.0, count)}
        parameters |= {f"{side}mu": draw.uniform(0.0, 0.8, count), f"{side}erev": signs * draw.uniform(0.5, 1.0, count)}
    return LiquidNetwork("ltc", inputs, units, 1, parameters, LTCSettings(softplus=False), Exact(), wiring)


def random_events(seed: int, inputs: int = 2, count: int = 8, until: float = 4.0) -> list[tuple[float, int, float]]:
    """(time, channel, value) rows at any times, two of them at once."""
    draw = np.random.default_rng(1000 + seed)
    times = np.sort(draw.uniform(0.0, until, count))
    times[count // 2] = times[count // 2 - 1]
    return [(float(t), int(draw.integers(inputs)), float(draw.normal())) for t in times]


def dense(network: LiquidNetwork, side: str) -> dict[str, np.ndarray]:
    """(source, target) matrices of w, sigma, mu and erev; zeros where there is no synapse. No softplus."""
    wiring = network.wiring
    assert wiring is not None
    source, target = (wiring.sensory_source, wiring.sensory_target) if side else (wiring.source, wiring.target)
    matrices = {}
    for name in ("w", "sigma", "mu", "erev"):
        matrices[name] = np.zeros((network.inputs if side else network.units, network.units))
        matrices[name][source, target] = network.parameters[side + name]
    return matrices


def sums(network: LiquidNetwork, v: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Conductance and driven conductance of every neuron."""
    p = network.parameters
    u = p["input_w"] * x + p["input_b"]
    conductance, driven = p["gleak"].copy(), p["gleak"] * p["vleak"]
    for heard, side in ((v, ""), (u, "sensory_")):
        m = dense(network, side)
        gates = m["w"] / (1.0 + np.exp(-m["sigma"] * (heard[:, None] - m["mu"])))
        conductance, driven = conductance + gates.sum(axis=0), driven + (gates * m["erev"]).sum(axis=0)
    return conductance, driven


def slope(network: LiquidNetwork, x: np.ndarray) -> Slope:
    """v' of the differential equation while inputs are x."""

    def equation(_: float, v: np.ndarray) -> np.ndarray:
        conductance, driven = sums(network, v, x)
        return np.asarray((driven - conductance * v) / network.parameters["cm"])

    return equation


def fused(network: LiquidNetwork, x: np.ndarray, timespans: np.ndarray, unfolds: int, epsilon: float) -> np.ndarray:
    """(K, units): ncps' semi-implicit sub-steps v <- (cm / h v + c) / (cm / h + g + epsilon)."""
    v, states = np.zeros(network.units), []
    for row, span in zip(x, timespans):
        for _ in range(unfolds):
            conductance, driven = sums(network, v, row)
            capacity = network.parameters["cm"] * unfolds / span
            v = (capacity * v + driven) / (capacity + conductance + epsilon)
        states.append(v)
    return np.array(states)
