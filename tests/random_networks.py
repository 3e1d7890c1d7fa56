"""Random networks far beyond ncps' initial ranges, with streams for them: what error bounds are held against."""

from __future__ import annotations

import numpy as np
import pytest

import liquid_neuro
from event_sim import EventStream, tolerances
from liquid_neuro import LiquidNetwork, Wiring
from liquid_neuro.construct import LTC_RANGES

KINDS = ("fused", "exact", "second", "cfc wired", "cfc backbone")
MODES = ("default", "no_gate", "pure")


def without_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no clock run beside events, so that companions tell the error."""
    for name, value in (("CHEAP", 0.0), ("PATIENT", 0.0), ("PER_OPERATION", (0.0, 0.0))):
        monkeypatch.setattr(tolerances, name, value)


def wiring_of(generator: np.random.Generator, gaps: bool) -> Wiring:
    """2 to 24 neurons with 1 to 3 inputs: random fan-in, fully connected or an NCP; gap junctions where asked for."""
    units, inputs, seed = int(generator.integers(2, 25)), int(generator.integers(1, 4)), int(generator.integers(1 << 30))
    kind = generator.integers(3)
    if kind == 0:
        wiring = Wiring.random_fan_in(inputs, units, 1, fan_in=int(generator.integers(1, min(units, 7))), seed=seed)
    elif kind == 1:
        wiring = Wiring.fully_connected(inputs, min(units, 9), 1, seed=seed)
    else:
        wiring = Wiring.auto_ncp(inputs, max(units, 6), 1, seed=seed)
    if not gaps:
        return wiring
    adjacency, sensory = np.zeros((wiring.units,) * 2), np.zeros((inputs, wiring.units))
    adjacency[wiring.source, wiring.target] = wiring.polarity
    sensory[wiring.sensory_source, wiring.sensory_target] = wiring.sensory_polarity
    joined = np.triu(generator.random((wiring.units,) * 2) < 0.15, 1)
    return Wiring.from_adjacency(adjacency, sensory, 1, gap=joined | joined.T)


def ltc_of(generator: np.random.Generator, solver: str, gaps: bool = False) -> LiquidNetwork:
    """An LTC whose weights and slopes reach 8 times ncps' ranges, and whose capacities reach from 1/16 of them to 4 times."""
    wiring = wiring_of(generator, gaps)
    network = liquid_neuro.ltc(wiring, seed=int(generator.integers(1 << 30)), solver=solver, softplus=False)
    parameters = dict(network.parameters)
    for name in ("w", "sigma", "sensory_w", "sensory_sigma"):
        parameters[name] = parameters[name] * 8.0 ** generator.uniform(0, 1)
    if gaps and wiring.gap_count:
        parameters["gap_w"] = generator.uniform(0.0, LTC_RANGES["w"][1], wiring.gap_count) * 8.0 ** generator.uniform(0, 1)
    parameters["cm"] = parameters["cm"] * generator.choice([1 / 16, 0.25, 1.0, 4.0])
    parameters["mu"] = parameters["mu"] - generator.choice([0.0, 0.5])  # thresholds around 0, where states start, too
    return network.with_parameters(parameters)


def cfc_of(generator: np.random.Generator, backbone: bool) -> LiquidNetwork:
    """A CfC, wired or behind a backbone of up to three layers, whose weights reach 8 times ncps' ranges."""
    mode, seed = str(generator.choice(MODES)), int(generator.integers(1 << 30))
    if backbone:
        depth, width = int(generator.integers(0, 4)), int(generator.integers(3, 20))
        activation = str(generator.choice(["lecun_tanh", "tanh", "relu", "silu", "gelu"]))
        network = liquid_neuro.cfc(
            int(generator.integers(2, 20)), 2, mode, seed, backbone_units=width, backbone_layers=depth, activation=activation
        )
    else:
        network = liquid_neuro.cfc(Wiring.auto_ncp(2, int(generator.integers(6, 25)), 1, seed=seed), mode=mode, seed=seed)
    factor = 8.0 ** generator.uniform(0, 1)
    return network.with_parameters({name: factor * array for name, array in network.parameters.items() if name.endswith("weight")})


def network_of(kind: str, seed: int, gaps: bool = False) -> tuple[LiquidNetwork, np.random.Generator]:
    """A network of one of KINDS ("second" is an exact one, for events of second order), and the generator to go on with."""
    generator = np.random.default_rng([seed, KINDS.index(kind)])
    if kind.startswith("cfc"):
        return cfc_of(generator, kind == "cfc backbone"), generator
    return ltc_of(generator, "fused" if kind == "fused" else "exact", gaps), generator


def stream_of(generator: np.random.Generator, inputs: int) -> tuple[np.ndarray, np.ndarray, EventStream]:
    """(x, timespans, stream): a walk most of whose channels rest, single steps, or waves; regular or irregular; sometimes tiny."""
    samples = int(generator.integers(4, 40))
    kind = generator.integers(3)
    if kind == 0:
        x = np.cumsum(generator.normal(size=(samples, inputs)) * 0.4 * (generator.random((samples, inputs)) < 0.3), axis=0)
    elif kind == 1:
        x = np.repeat(generator.normal(size=(1, inputs)), samples, axis=0) * (np.arange(samples) >= samples // 3)[:, None]
    else:
        x = np.sin(np.arange(samples)[:, None] * generator.uniform(0.05, 1.0, inputs))
    x = x * generator.choice([0.02, 0.3, 1.0, 3.0])
    timespans = np.full(samples, generator.choice([0.1, 0.5, 1.0]))
    if generator.random() < 0.4:
        timespans = timespans * generator.uniform(0.2, 3.0, samples)
    return x, timespans, EventStream.from_samples(x, timespans=timespans)
