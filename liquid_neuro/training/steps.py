"""The compiled pieces of a fit: the objective, optimiser steps, scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from liquid_neuro.cells.ltc import CONSTRAINED
from liquid_neuro.network import LiquidNetwork
from liquid_neuro.tasks import Split, Task
from liquid_neuro.training.forward import Arrays, Forward

BLOCK = 512  # windows per call when scoring
NON_NEGATIVE = CONSTRAINED
HEAD_WEIGHTS = ("ff1.weight", "ff2.weight", "time_a.weight", "time_b.weight")
SCHEDULES = {
    "cosine": lambda rate, steps: optax.cosine_decay_schedule(rate, steps),
    "one-cycle": lambda rate, steps: optax.cosine_onecycle_schedule(steps, rate),
    "constant": lambda rate, steps: optax.constant_schedule(rate),
}


@dataclass(frozen=True)
class Settings:
    """What is compiled into an optimiser step."""

    steps: int
    learning_rate: float
    schedule: str
    gain: float
    channel_penalty: float
    weight_decay: float
    non_negative: bool
    clip: float = 1.0


class Batch(NamedTuple):
    """Data of several optimiser steps. rows: (steps, batch) window numbers; factor: (steps,) of the thresholds; weight: of the messages.

    timespans: (windows, time) in model units, None for 1 each.
    """

    x: jax.Array
    y: jax.Array
    timespans: jax.Array | None
    rows: jax.Array
    factor: jax.Array
    weight: jax.Array


class Score(NamedTuple):
    """Of a split: mean weighted cross-entropy, share of right decisions, smooth message count."""

    entropy: float
    accuracy: float
    messages: float


def arrays(network: LiquidNetwork, forward: Forward, task: Task) -> tuple[Any, dict[str, jax.Array]]:
    """(parameters, constants) of a forward in its floating type."""
    constants = {name: jnp.asarray(value, forward.dtype) for name, value in forward.constants.items()}
    constants["decision"] = jnp.asarray(task.interface.threshold, forward.dtype)
    constants["step_weights"] = jnp.asarray(1.0 if task.train.weights is None else task.train.weights, forward.dtype)
    return {name: jnp.asarray(value, forward.dtype) for name, value in network.parameters.items()}, constants


def optimiser(settings: Settings) -> Any:
    """Adam with clipped gradients; weights in matrices decay (an LTC's vectors mean conductances and potentials: they do not)."""
    schedule = SCHEDULES[settings.schedule](settings.learning_rate, settings.steps)
    decayed = optax.adamw(schedule, weight_decay=settings.weight_decay, mask=_matrices)
    return optax.chain(optax.clip_by_global_norm(settings.clip), decayed)


def _matrices(parameters: Any) -> Any:
    return jax.tree.map(lambda value: value.ndim > 1, parameters)


def channel_norms(parameters: Arrays, inputs: int) -> jax.Array:
    """(inputs,) how strongly a network listens to each channel: |input_w|, or the norm of the first weights that read the channel.

    Zeros for an LTC without a map of its inputs.
    """
    if "input_w" in parameters:
        return jnp.abs(parameters["input_w"])
    first = [name for name in ("backbone.0.weight",) if name in parameters]
    first = first or [name for name in parameters if name.removeprefix("layer_0.") in HEAD_WEIGHTS]
    if not first:
        return jnp.zeros(inputs)
    squares = jnp.stack([jnp.sum(parameters[name][:, :inputs] ** 2, axis=0) for name in first])
    return jnp.sqrt(jnp.sum(squares, axis=0) + 1e-12)  # a slope at 0, too


def _objective(parameters: Arrays, constants: Any, batch: Batch, rows: jax.Array, forward: Forward, settings: Settings) -> jax.Array:
    x = batch.x[rows]
    outputs, messages = forward.function(parameters, constants, x, None if batch.timespans is None else batch.timespans[rows])
    entropies = optax.sigmoid_binary_cross_entropy(settings.gain * (outputs[..., 0] - constants["decision"]), batch.y[rows])
    penalty = settings.channel_penalty * jnp.sum(channel_norms(parameters, x.shape[-1]))
    return jnp.mean(entropies * constants["step_weights"]) + batch.weight * messages + penalty


@partial(jax.jit, static_argnames=("forward", "settings"))
def train(
    parameters: Any, moments: Any, constants: Any, batch: Batch, count: jax.Array, forward: Forward, settings: Settings
) -> tuple[Any, Any, jax.Array]:
    """(parameters, moments, mean objective) after `count` optimiser steps."""
    update = optimiser(settings).update

    def step(k: Any, carry: Any) -> Any:
        parameters, moments, total = carry
        now = {name: value * batch.factor[k] if name.endswith("_threshold") else value for name, value in constants.items()}
        loss, gradient = jax.value_and_grad(_objective)(parameters, now, batch, batch.rows[k], forward, settings)
        updates, moments = update(gradient, moments, parameters)
        parameters = optax.apply_updates(parameters, updates)
        if settings.non_negative:  # ncps' explicit constraints
            parameters = {name: jnp.maximum(value, 0) if name in NON_NEGATIVE else value for name, value in parameters.items()}
        return parameters, moments, total + loss

    parameters, moments, total = jax.lax.fori_loop(0, count, step, (parameters, moments, jnp.zeros((), batch.x.dtype)))
    return parameters, moments, total / count


@partial(jax.jit, static_argnames=("forward",))
def _evaluate(parameters: Any, constants: Any, x: jax.Array, timespans: Any, forward: Forward) -> tuple[jax.Array, jax.Array]:
    y, messages = forward.function(parameters, constants, x, timespans)
    return y[..., 0], messages


def score(parameters: Any, constants: Any, split: Split, forward: Forward, gain: float) -> Score:
    """The score of a split, summed up in float64 on the host."""
    parts, messages = [], 0.0
    block = min(BLOCK, len(split))
    for first in range(0, len(split), block):
        rows = np.arange(first, first + block) % len(split)  # all blocks equally large: compiled once
        timespans = None if split.timespans is None else jnp.asarray(split.timespans[rows], forward.dtype)
        outputs, sent = _evaluate(parameters, constants, jnp.asarray(split.x[rows], forward.dtype), timespans, forward)
        parts.append(np.asarray(outputs, np.float64))
        messages += float(sent)
    margin = np.concatenate(parts)[: len(split)] - float(constants["decision"])
    right = (margin > 0) == (split.y > 0.5)
    entropy = np.logaddexp(0.0, -gain * margin * (2 * split.y - 1)) * (1.0 if split.weights is None else split.weights)
    return Score(float(entropy.mean()), float(right.mean()), messages / len(parts))
