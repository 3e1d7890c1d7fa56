"""Small CfC networks of every shape that a chip of the Akida 1 class can take, and inputs for them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import hardware_profiles
import liquid_neuro
from liquid_neuro import Wiring
from mappers.quantization_akida import quantize_akida

PROFILE = hardware_profiles.load("akida1000")
SHAPES = ("ncp", "one layer", "no gate", "keras", "bare units", "relu backbone", "projection")


def network_of(shape: str, seed: int = 0) -> Any:
    """A small untrained CfC of every shape that the chip can take."""
    if shape == "bare units":
        return liquid_neuro.cfc(6, inputs=3, backbone_layers=0, seed=seed)
    if shape == "relu backbone":
        return liquid_neuro.cfc(5, inputs=3, backbone_layers=2, backbone_units=12, activation="relu", seed=seed)
    if shape == "projection":
        return liquid_neuro.cfc(6, inputs=3, backbone_layers=0, projection=2, seed=seed)
    if shape == "one layer":
        return liquid_neuro.cfc(Wiring.fully_connected(3, 5, seed=seed), seed=seed)
    mode = "no_gate" if shape == "no gate" else "default"
    return liquid_neuro.cfc(Wiring.auto_ncp(3, 12, 1, seed=seed), mode=mode, dialect="keras" if shape == "keras" else "torch", seed=seed)


def samples_of(seed: int, windows: int = 24, steps: int = 12) -> Any:
    """Seeded inputs that wander, with jumps."""
    generator = np.random.default_rng(seed)
    return np.cumsum(generator.normal(0, 0.4, (windows, steps, 3)), axis=1) + generator.normal(0, 1, (windows, 1, 3))


@cache
def quantized_of(shape: str) -> Any:
    """The untrained network of that shape, quantised."""
    return quantize_akida(network_of(shape), PROFILE, samples_of(1))
