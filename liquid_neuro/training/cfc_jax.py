"""The closed-form cell in JAX: every mode and dialect, wired or behind a backbone, with or without mixed memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from liquid_neuro.cells import cfc
from liquid_neuro.network import LiquidNetwork

Arrays = Mapping[str, jax.Array]

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "lecun_tanh": lambda z: 1.7159 * jnp.tanh(0.666 * z),
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "gelu": lambda z: jax.nn.gelu(z, approximate=False),
}


def integrate_cfc(
    network: LiquidNetwork, parameters: Arrays, x: jax.Array, timespans: jax.Array | None, state: Any
) -> tuple[jax.Array, Any]:
    """As `dynamics_jax.integrate` for a CfC."""
    sizes = cfc.layer_sizes(network)
    masks = [None if network.wiring is None else jnp.asarray(cfc.layer_mask(network.wiring, k), x.dtype) for k in range(len(sizes))]
    spans = jnp.ones(x.shape[:2], x.dtype) if timespans is None else jnp.asarray(timespans, x.dtype)

    def sample(carry: tuple[jax.Array, jax.Array | None], row: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        heard, dt = row
        h, memory = remember(parameters, heard, *carry)
        states, start = [], 0
        for number, (_, units) in enumerate(sizes):
            own = h[:, start : start + units]
            heard = _layer(network, parameters, number, masks[number], jnp.concatenate([heard, own], axis=1), dt[:, None])
            states.append(heard)
            start += units
        new = (jnp.concatenate(states, axis=1), memory)
        new = new if timespans is None else unless_no_time(dt, new, carry)
        return new, new[0][:, start - sizes[-1][1] :]

    final, y = jax.lax.scan(sample, initial_state(network, x, state), (jnp.swapaxes(x, 0, 1), spans.T))
    y = jnp.swapaxes(y, 0, 1)
    if "fc.weight" in parameters:
        y = y @ parameters["fc.weight"].T + parameters["fc.bias"]
    return y, final if network.mixed_memory else final[0]


def _layer(network: LiquidNetwork, parameters: Arrays, number: int, mask: jax.Array | None, z: jax.Array, dt: jax.Array) -> jax.Array:
    settings = cfc.settings_of(network)
    prefix = "" if network.wiring is None else f"layer_{number}."
    for depth in range(cfc.backbone_depth(network) if network.wiring is None else 0):
        z = ACTIVATIONS[settings.activation](z @ parameters[f"backbone.{depth}.weight"].T + parameters[f"backbone.{depth}.bias"])

    def head(name: str) -> jax.Array:
        weight = parameters[f"{prefix}{name}.weight"]
        weight = weight * mask if mask is not None and name in cfc.MASKED_HEADS else weight
        return z @ weight.T + parameters[f"{prefix}{name}.bias"]

    if settings.mode == "pure":
        f1, size = head("ff1"), parameters[f"{prefix}A"]
        return size - size * jnp.exp(-dt * (jnp.abs(parameters[f"{prefix}w_tau"]) + jnp.abs(f1))) * f1
    torch = settings.dialect == "torch"
    first, second = (jnp.tanh(head(name)) if torch else head(name) for name in cfc.MASKED_HEADS)
    gate = jax.nn.sigmoid((head("time_a") if torch else -head("time_a")) * dt + head("time_b"))
    return first + gate * second if settings.mode == "no_gate" else first * (1 - gate) + gate * second


def remember(parameters: Arrays, x: jax.Array, h: jax.Array, memory: jax.Array | None) -> tuple[jax.Array, jax.Array | None]:
    """The state that the liquid cell starts from and the new memory, liquid_neuro/cells/lstm.py; unchanged without mixed memory."""
    if memory is None:
        return h, None
    z = x @ parameters["lstm.input_map.weight"].T + parameters["lstm.input_map.bias"] + h @ parameters["lstm.recurrent_map.weight"].T
    value, input_gate, forget_gate, output_gate = jnp.split(z, 4, axis=-1)
    memory = memory * jax.nn.sigmoid(forget_gate + 1) + jnp.tanh(value) * jax.nn.sigmoid(input_gate)
    return jnp.tanh(memory) * jax.nn.sigmoid(output_gate), memory


def unless_no_time(dt: jax.Array, new: Any, old: Any) -> Any:
    """`new` where a sample lasts, `old` where its timespan is 0: the state stays as it is."""
    return jax.tree.map(lambda after, before: jnp.where(dt[:, None] > 0, after, before), new, old)


def initial_state(network: LiquidNetwork, x: jax.Array, state: Any) -> tuple[jax.Array, jax.Array | None]:
    """(h, c) of a batch; c is None without mixed memory."""
    zero = jnp.zeros((x.shape[0], network.units), x.dtype)
    if network.mixed_memory:
        return (zero, zero) if state is None else (jnp.asarray(state[0], x.dtype), jnp.asarray(state[1], x.dtype))
    return (zero if state is None else jnp.asarray(state, x.dtype)), None
