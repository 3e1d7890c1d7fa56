"""Training through a chip's own integers: the cells' programs run in JAX with straight-through gradients and give the chip's very numbers.

The direct form of liquid_neuro/cells runs here: sub-steps without ticks, thresholds included (the values last sent are carried along),
equal to the tick form as long as no accumulator saturates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from liquid_neuro.cells import cfc, cfc_direct, cfc_formats, lstm, ltc_direct, ltc_formats
from liquid_neuro.cells.interpret import with_primitives
from liquid_neuro.cells.ltc import wiring_of
from liquid_neuro.network import LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork
from liquid_neuro.training.dynamics_jax import one_hot, positive
from liquid_neuro.training.forward import Arrays, Forward, structure_key
from liquid_neuro.training.straight_through import PRIMITIVES, ArrayNamespace, quantize, round_half_up

# (state, input words, words of the timespan (batch, 1) or None) -> (state, output words, messages)
Sample = Callable[[Any, jax.Array, Any], tuple[Any, jax.Array, jax.Array]]
THRESHOLDS = ("input_threshold", "neuron_threshold", "gate_threshold", "backbone_threshold", "memory_threshold")
SETTLED = 0.5  # messages are counted after this share of a window: a stream does not start from state 0 with every sample


@dataclass(frozen=True)
class SendRule:
    """Stands where the formats hold a threshold: the threshold, and the weight of such a message in the smooth count."""

    threshold: Any
    weight: Any


def integer_forward(through: QuantizedNetwork, weights: Mapping[str, float] | None = None) -> Forward:
    """The forward function of a quantised network's formats for other parameters of its float network.

    weights: how much a message of each population ("input", "neuron", "gate", "backbone", "memory") counts: those left out 0; without
    weights all 1.
    Thresholds and weights are constants: changing them compiles nothing.
    """
    formats = through.formats
    populations = tuple(name.removesuffix("_threshold") for name in _thresholds(formats))
    unknown = sorted(set(weights or {}) - set(populations))
    if unknown:
        raise ValueError(f'spike weights must name some of {", ".join(populations)}, but name "{unknown[0]}"')
    weights = {name: (1.0 if weights is None else weights.get(name, 0.0)) for name in populations}
    constants: dict[str, Any] = {}
    for name in _thresholds(formats):
        constants[name] = float(getattr(formats, name))
        constants[f"{name}_weight"] = float(weights[name.removesuffix("_threshold")])

    def function(parameters: Arrays, constants: Any, x: jax.Array, timespans: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        y, messages = run(through, parameters, constants, x, timespans)
        counted = messages[int(SETTLED * x.shape[1]) :]
        return y, jnp.mean(counted)

    return Forward(key=f"integers {_digest(through)}", double=True, constants=constants, function=function)


def run(
    through: QuantizedNetwork, parameters: Arrays, constants: Mapping[str, Any], x: jax.Array, timespans: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """(y (batch, time, outputs), smooth message count per sample (time,)) of inputs x (batch, time, inputs).

    timespans: (batch, time) in model units where the network takes irregular time, None for 1.
    """
    words, messages = output_words(through, parameters, constants, x, timespans)
    real = words * through.population(through.output_population).state.lsb
    gain, offset = _output_map(through, parameters)
    return (real @ gain.T if gain.ndim == 2 else real * gain) + offset, messages


def output_words(
    through: QuantizedNetwork, parameters: Arrays, constants: Mapping[str, Any], x: jax.Array, timespans: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """As `run`, with the integer words of the output compartments in place of y."""
    rules = {name: SendRule(constants[name], constants[f"{name}_weight"]) for name in _thresholds(through.formats)}
    formats = replace(through.formats, **rules)
    inputs = quantize(x, through.input_format)
    elapsed = None
    if through.elapsed is not None:
        spans = jnp.ones(x.shape[:2], inputs.dtype) if timespans is None else jnp.broadcast_to(timespans, x.shape[:2])
        elapsed = jnp.swapaxes(quantize(spans, through.elapsed.state), 0, 1)[..., None]
    build = _ltc if through.network.cell == "ltc" else _cfc
    start, sample = build(through.network, parameters, formats, x.shape[0])
    return _scan(start, sample, (jnp.swapaxes(inputs, 0, 1), elapsed), through.output_compartments)


def _scan(start: Any, sample: Sample, rows: tuple[jax.Array, Any], outputs: Any) -> tuple[jax.Array, jax.Array]:
    def step(now: Any, row: Any) -> Any:
        after, state, messages = sample(now, *row)
        return after, (state[:, outputs], messages)

    _, (words, messages) = jax.lax.scan(step, start, rows)
    return jnp.swapaxes(words, 0, 1), messages


def _interpreter(sent: list[jax.Array], matrices: Mapping[int, jax.Array]) -> dict[str, Any]:
    """The primitives, and the helpers of cells/integer.py that JAX does in its own way. `sent` collects the smooth counts."""

    def sent_after(message: Any, before: Any, rule: SendRule) -> Any:
        change = jnp.abs(message - before)
        sent.append(rule.weight * jnp.mean(jnp.sum(_smooth(change, rule.threshold), axis=-1)))
        after = jnp.where(change >= rule.threshold, message, before)
        return message + jax.lax.stop_gradient(after - message)  # targets hold the message to within the threshold

    def gather(values: Any, index: Any) -> Any:
        return values @ matrices[id(index)].T

    def scatter_sum(values: Any, target: Any, size: int) -> Any:
        return values @ matrices[id(target)]

    def join(parts: Any) -> Any:
        return jnp.concatenate(parts, axis=-1)

    return {**PRIMITIVES, "sent_after": sent_after, "gather": gather, "scatter_sum": scatter_sum, "join": join}


def _smooth(change: Any, threshold: Any) -> Any:
    """A stand-in for "change >= threshold" with a slope: r^4 / (r^4 + 1) of r = change / threshold, 1/2 at the threshold, 0 at rest."""
    power = (change / threshold) ** 4
    return power / (power + 1.0)


# --- LTC --------------------------------------------------------------------------------------------------------------------------------


def _ltc_values(network: LiquidNetwork, parameters: Arrays) -> SimpleNamespace:
    """Effective parameters (liquid_neuro.cells.ltc.LTCValues) as JAX arrays."""
    wiring = wiring_of(network)
    wires = {name: np.asarray(getattr(wiring, name)) for name in ("source", "target", "sensory_source", "sensory_target")}
    wires["gap_source"] = np.concatenate([wiring.gap_source, wiring.gap_target])
    wires["gap_target"] = np.concatenate([wiring.gap_target, wiring.gap_source])
    used = positive(network, parameters)
    used["gap_w"] = jnp.tile(used.get("gap_w", jnp.zeros(0)), 2)
    sizes = {"input": network.inputs, "output": network.outputs}
    maps = {f"{end}_{part}": jnp.full(size, float(part == "w")) for end, size in sizes.items() for part in "wb"}
    return SimpleNamespace(**{**wires, **maps, **used, "lstm": _lstm_values(network, parameters)})


def _ltc(network: LiquidNetwork, parameters: Arrays, formats: Any, batch: int) -> tuple[Any, Sample]:
    values = _ltc_values(network, parameters)
    integers = ltc_formats.integer_parameters(values, formats, ArrayNamespace(), round_half_up)
    tables = {name: jnp.asarray(table, jnp.float64) for name, table in ltc_formats.tables(formats).items()}
    sizes = dict.fromkeys(("source", "target", "sensory_target", "gap_source", "gap_target"), network.units)
    sizes["sensory_source"] = network.inputs
    matrices = {id(getattr(values, name)): one_hot(getattr(values, name), size, jnp.float64) for name, size in sizes.items()}
    names = [field.name for field in fields(ltc_direct.LTCState)]
    start = _at_rest(ltc_direct.rest(integers, network.inputs, (batch,)), names)

    def sub_steps(state: Any, sent: Any, gate_sent: Any, held: Any, wires: Any, integers: Any, once: Any, tables: Any) -> Any:
        """All sub-steps of a sample in a loop of JAX, which is compiled six times faster than a loop of Python."""

        def step(carry: Any, _: None) -> Any:
            counted: list[jax.Array] = []
            direct = with_primitives(ltc_direct.direct_sub_step, _interpreter(counted, matrices))
            return direct(*carry, held, wires, integers, formats, tables), sum(counted, jnp.zeros(()))

        carry, messages = jax.lax.scan(step, (state, sent, gate_sent), None, length=formats.unfolds)
        counts.append(jnp.sum(messages))
        return carry

    counts: list[jax.Array] = []

    def sample(now: Any, row: jax.Array, elapsed: Any) -> tuple[Any, jax.Array, jax.Array]:
        counts.clear()
        direct = with_primitives(ltc_direct.direct_sample, {**_interpreter(counts, matrices), "direct_sub_step": sub_steps})
        after = direct(ltc_direct.LTCState(**now), row, elapsed, values, integers, replace(formats, unfolds=1), tables)
        return {name: getattr(after, name) for name in names}, after.state, sum(counts, jnp.zeros(()))

    return start, sample


# --- CfC --------------------------------------------------------------------------------------------------------------------------------


def _cfc_values(network: LiquidNetwork, parameters: Arrays) -> SimpleNamespace:
    """Effective parameters (liquid_neuro.cells.cfc.CfCValues) as JAX arrays."""
    layers = []
    for number in range(len(cfc.layer_sizes(network))):
        prefix = "" if network.wiring is None else f"layer_{number}."
        mask = None if network.wiring is None else jnp.asarray(cfc.layer_mask(network.wiring, number))
        heads = {}
        for head in cfc.HEADS:
            if f"{prefix}{head}.weight" in parameters:
                weight = parameters[f"{prefix}{head}.weight"]
                masked = weight if mask is None or head not in cfc.MASKED_HEADS else weight * mask
                heads[head] = (masked, parameters[f"{prefix}{head}.bias"])
        depth = cfc.backbone_depth(network) if network.wiring is None else 0
        backbone = tuple((parameters[f"backbone.{d}.weight"], parameters[f"backbone.{d}.bias"]) for d in range(depth))
        pure = {name: parameters.get(f"{prefix}{name}") for name in ("w_tau", "A")}
        layers.append(SimpleNamespace(heads=heads, backbone=backbone, **pure))
    return SimpleNamespace(layers=tuple(layers), lstm=_lstm_values(network, parameters))


def _cfc(network: LiquidNetwork, parameters: Arrays, formats: Any, batch: int) -> tuple[Any, Sample]:
    integers = cfc_formats.integer_parameters(_cfc_values(network, parameters), formats, ArrayNamespace(), round_half_up)
    tables = tuple({name: jnp.asarray(table, jnp.float64) for name, table in layer.items()} for layer in cfc_formats.tables(formats))
    names = [field.name for field in fields(cfc_direct.CfCState)]
    start = _at_rest(cfc_direct.rest(integers, network.inputs, (batch,)), names)

    def sample(now: Any, row: jax.Array, elapsed: Any) -> tuple[Any, jax.Array, jax.Array]:
        counts: list[jax.Array] = []
        direct = with_primitives(cfc_direct.direct_sample, _interpreter(counts, {}))
        after = direct(cfc_direct.CfCState(**now), row, elapsed, integers, formats, tables)
        return {name: getattr(after, name) for name in names}, after.state[-1], sum(counts, jnp.zeros(()))

    return start, sample


# --- both ---------------------------------------------------------------------------------------------------------------------------------


def _lstm_values(network: LiquidNetwork, parameters: Arrays) -> lstm.LSTMValues | None:
    """The memory's weights, None without mixed memory."""
    if not network.mixed_memory:
        return None
    return lstm.LSTMValues(*(parameters[name] for name in lstm.parameter_shapes(network.inputs, network.units)))  # type: ignore[arg-type]


def _at_rest(rest: Any, names: list[str]) -> Any:
    """The fields of a direct form's state at rest as JAX arrays."""
    return jax.tree.map(lambda zero: jnp.asarray(zero, jnp.float64), {name: getattr(rest, name) for name in names})


def _output_map(through: QuantizedNetwork, parameters: Arrays) -> tuple[Any, Any]:
    """The host's map from states to y, trained along: gain (outputs,) or (outputs, units) and offset."""
    if "fc.weight" in parameters:
        return parameters["fc.weight"], parameters["fc.bias"]
    gain, offset = jnp.asarray(through.output_gain), jnp.asarray(through.output_offset)
    return parameters.get("output_w", gain), parameters.get("output_b", offset)


def _thresholds(formats: Any) -> tuple[str, ...]:
    return tuple(name for name in THRESHOLDS if hasattr(formats, name))


def _digest(through: QuantizedNetwork) -> str:
    """What the compiled function depends on beside its constants."""
    formats = replace(through.formats, **dict.fromkeys(_thresholds(through.formats), 1))
    return hashlib.sha256((structure_key(through.network) + _content(formats)).encode()).hexdigest()


def _content(value: Any) -> str:
    """A text that tells two values of formats apart: floats by all their digits, arrays by their bytes."""
    if isinstance(value, np.ndarray):
        return value.tobytes().hex()
    if is_dataclass(value):
        return "(" + ",".join(_content(getattr(value, field.name)) for field in fields(value)) + ")"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_content(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ",".join(map(_content, value)) + "]"
    return repr(value)
