"""The JAX twin of `liquid_neuro.integrate`: the same numbers, differentiable in parameters, inputs, timespans and state.

An LTC runs over its synapse list: gathering presynaptic values and scattering synaptic sums are two small matrix products with constant
0/1 matrices, six times faster in training than dense masks for a sparse network of this size, and the layout that a chip needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from liquid_neuro.cells.ltc import CONSTRAINED, DELAYS, effective, wiring_of
from liquid_neuro.network import Fused, LiquidNetwork, LTCSettings
from liquid_neuro.training.cfc_jax import initial_state, integrate_cfc, remember, unless_no_time
from liquid_neuro.wiring import Wiring

Arrays = Mapping[str, jax.Array]


def integrate(
    network: LiquidNetwork, parameters: Arrays, x: jax.Array, timespans: jax.Array | None = None, state: Any = None
) -> tuple[jax.Array, Any]:
    """Outputs (batch, time, outputs) and the final state, as `liquid_neuro.integrate` with `parameters` in place of the network's.

    x: (batch, time, inputs). timespans: (batch, time) in model units, None for 1. state: (batch, units), the pair (h, c) with mixed memory,
    None for 0. The floating type is that of x. The exact solver has no twin: ValueError (train `fused` with more sub-steps instead), nor
    have synaptic delays.
    """
    if network.cell == "cfc":
        return integrate_cfc(network, parameters, x, timespans, state)
    if not isinstance(network.solver, Fused):
        raise ValueError(
            f"network.solver must be Fused to be trained, but is {network.solver}; use with_solver(Fused(24)), a close approximation"
        )
    if effective(network).has_delays:
        name = next(name for name in DELAYS if (network.parameters.get(name, np.zeros(1)) > 0).any())
        raise ValueError(f"{name} must be 0 in a network to be trained, but is up to {network.parameters[name].max():.6g}; set it to 0")
    return _integrate_ltc(network, parameters, x, timespans, state)


def one_hot(index: np.ndarray[Any, Any], size: int, dtype: Any) -> jax.Array:
    """Rows of 0 with a 1 at index: (len(index), size)."""
    return jnp.asarray(np.eye(size)[np.asarray(index)].reshape(len(index), size), dtype)


def positive(network: LiquidNetwork, parameters: Arrays) -> dict[str, jax.Array]:
    """An LTC's parameters with w, sensory_w, cm and gleak through softplus where the network asks for it."""
    assert isinstance(network.settings, LTCSettings)
    result = dict(parameters)
    if network.settings.softplus:
        result.update({name: jax.nn.softplus(parameters[name]) for name in CONSTRAINED if name in parameters})
    return result


def _scatter(target: np.ndarray[Any, Any], units: int, w: jax.Array, erev: jax.Array) -> jax.Array:
    """(synapses, 2 · units): open gates to the sums of conductance and driven conductance."""
    rows = one_hot(target, units, w.dtype)
    return jnp.concatenate([rows * w[:, None], rows * (w * erev)[:, None]], axis=1)


def _couplings(wiring: Wiring, units: int, gap_w: jax.Array) -> jax.Array:
    """(units, units): the symmetric matrix of the conductances of gap junctions."""
    one_way = one_hot(wiring.gap_source, units, gap_w.dtype).T @ (one_hot(wiring.gap_target, units, gap_w.dtype) * gap_w[:, None])
    return one_way + one_way.T


def _integrate_ltc(
    network: LiquidNetwork, parameters: Arrays, x: jax.Array, timespans: jax.Array | None, state: Any
) -> tuple[jax.Array, Any]:
    assert isinstance(network.solver, Fused)
    assert isinstance(network.settings, LTCSettings)
    wiring, units, epsilon, unfolds = wiring_of(network), network.units, network.settings.epsilon, network.solver.unfolds
    p = positive(network, parameters)
    u = x * p["input_w"] if "input_w" in p else x
    u = u + p["input_b"] if "input_b" in p else u
    gather = one_hot(wiring.source, units, x.dtype).T
    scatter = _scatter(wiring.target, units, p["w"], p["erev"])
    sensory_gather = one_hot(wiring.sensory_source, network.inputs, x.dtype).T
    sensory_scatter = _scatter(wiring.sensory_target, units, p["sensory_w"], p["sensory_erev"])
    sensory = jax.nn.sigmoid(p["sensory_sigma"] * (u @ sensory_gather - p["sensory_mu"])) @ sensory_scatter
    held = sensory + jnp.concatenate([p["gleak"] + epsilon, p["gleak"] * p["vleak"]])  # (batch, time, 2 units)
    couplings = _couplings(wiring, units, p["gap_w"]) if wiring.gap_count else None
    spans = jnp.ones(x.shape[:2], x.dtype) if timespans is None else jnp.asarray(timespans, x.dtype)

    def sample(carry: tuple[jax.Array, jax.Array | None], row: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        inputs, constant, dt = row
        v, memory = remember(parameters, inputs, *carry)
        h = dt[:, None] / unfolds
        for _ in range(unfolds):
            gates = jax.nn.sigmoid(p["sigma"] * (v @ gather - p["mu"]))
            sums = gates @ scatter + constant
            sums = sums if couplings is None else sums + jnp.concatenate([jnp.broadcast_to(couplings.sum(0), v.shape), v @ couplings], 1)
            weight = p["cm"] + h * sums[:, :units]  # not divided by h, which may be 0
            v = jnp.where(weight > 0, (p["cm"] * v + h * sums[:, units:]) / jnp.where(weight > 0, weight, 1), v)
        new = (v, memory) if timespans is None else unless_no_time(dt, (v, memory), carry)
        return new, new[0][:, : network.outputs]

    rows = (jnp.swapaxes(x, 0, 1), jnp.swapaxes(held, 0, 1), spans.T)
    final, y = jax.lax.scan(sample, initial_state(network, x, state), rows)
    y = jnp.swapaxes(y, 0, 1)
    y = y * p["output_w"] if "output_w" in p else y
    return (y + p["output_b"] if "output_b" in p else y), final if network.mixed_memory else final[0]
