"""What a fit trains through: one function from parameters and inputs to outputs, and which numbers it needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import jax
import numpy as np

from liquid_neuro.network import LiquidNetwork

Arrays = Mapping[str, jax.Array]


@dataclass(frozen=True)
class Forward:
    """A differentiable network.

    key: forwards with equal keys compute the same function; compiled code is shared between them.
    function(parameters, constants, x, timespans) -> (y, messages): parameters the network's raw parameters by name, constants the arrays
    below, x (batch, time, inputs), timespans (batch, time) in model units or None for 1 each; y (batch, time, outputs), and messages a
    smooth stand-in for the number of messages sent per sample (weighted by population), 0 where nothing is sent.
    double: whether it needs float64 (integers up to 2^53 are exact there).
    constants: arrays that may change between fits without a new compilation (thresholds, scales).
    """

    key: str
    function: Callable[[Arrays, Any, jax.Array, jax.Array | None], tuple[jax.Array, jax.Array]] = field(compare=False)
    double: bool = False
    constants: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def dtype(self) -> type:
        """The floating type of its arrays."""
        return np.float64 if self.double else np.float32


@contextmanager
def precision(double: bool) -> Iterator[None]:
    """JAX's 64-bit mode inside the block alone, where asked for. The user's own setting is not touched otherwise."""
    if not double:
        yield
        return
    enable: Any = getattr(jax, "enable_x64", None)
    if enable is None:  # its place before JAX 0.8
        enable = import_module("jax.experimental").enable_x64
    with enable(True):
        yield


def structure_key(network: LiquidNetwork) -> str:
    """A digest of everything about a network but its parameters' values."""
    shapes = sorted((name, value.shape) for name, value in network.parameters.items())
    parts = [network.cell, network.inputs, network.units, network.outputs, network.settings, str(network.solver), shapes]
    digest = hashlib.sha256(repr(parts).encode())
    if network.wiring is not None:
        for name in ("source", "target", "sensory_source", "sensory_target", "gap_source", "gap_target"):
            digest.update(getattr(network.wiring, name).tobytes() + b"|")
        digest.update(repr(network.wiring.layers).encode())
    return digest.hexdigest()
