"""Which forward function a fit trains through: the float twin, a chip's integers, an Akida-like layer's frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from liquid_neuro.network import LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork
from liquid_neuro.training import dynamics_jax
from liquid_neuro.training.forward import Arrays, Forward, structure_key


def forward_of(network: LiquidNetwork, through: QuantizedNetwork | None, weights: Mapping[str, float] | None = None) -> Forward:
    """The float twin of `network`, or the arithmetic of the quantised network `through`, chosen by its kind.

    weights: how much a message of each population counts (liquid_neuro/training/integer_forward.py); where nothing is sent there are none.
    """
    if through is None:
        return float_forward(network)
    if through.network.cell != network.cell or through.network.units != network.units:
        raise ValueError(
            f"through must be a quantised form of this network ({network.cell}, {network.units} units), "
            f"but stands for a {through.network.cell} of {through.network.units} units"
        )
    if through.kind == "akida":
        from liquid_neuro.training.akida_forward import akida_forward

        return akida_forward(through)
    from liquid_neuro.training.integer_forward import integer_forward

    return integer_forward(through, weights)


def float_forward(network: LiquidNetwork) -> Forward:
    """The float32 twin; it sends no messages."""

    def function(parameters: Arrays, constants: Any, x: jax.Array, timespans: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        y, _ = dynamics_jax.integrate(network, parameters, x, timespans)
        return y, jnp.zeros((), x.dtype)

    return Forward(key=f"float {structure_key(network)}", function=function)
