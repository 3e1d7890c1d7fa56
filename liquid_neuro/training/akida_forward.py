"""Training through the frames of an Akida-like chip: the cell's own integer programs in JAX, with straight-through gradients.

Integers are float64 numbers without a fraction (exact to 2**53), so the outputs equal those of `event_sim.frames` bit for bit. A rounding
has the gradient of the identity, a clip that of the identity within its ends (the ends belong to it) and 0 outside, a table look-up the
slope of the table at that entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from liquid_neuro.cells import cfc_heads, cfc_heads_build
from liquid_neuro.cells.cfc_heads import HEADS, HeadFormats
from liquid_neuro.cells.interpret import with_primitives
from liquid_neuro.quantized_network import IntArray, Population, QuantizedNetwork
from liquid_neuro.training.forward import Arrays, Forward


@jax.custom_jvp
def _floor(value: jax.Array) -> jax.Array:
    return jnp.floor(value)


@_floor.defjvp
def _floor_jvp(primals: Any, tangents: Any) -> Any:
    return jnp.floor(primals[0]), tangents[0]


def _shifted(value: Any, amount: Any) -> Any:
    return value * 2.0 ** -np.asarray(amount, dtype=np.float64)  # amounts are constants, and NumPy's powers of two are exact


def _clip(value: Any, lowest: Any, highest: Any) -> Any:
    inside = (value >= lowest) & (value <= highest)
    return jnp.where(inside, value, jax.lax.stop_gradient(jnp.clip(value, lowest, highest)))


@jax.custom_jvp
def _look_up(table: Any, index: jax.Array) -> jax.Array:
    """table: (entries, slopes), as `_with_slopes` makes it."""
    entries: jax.Array = table[0][index.astype(jnp.int32)]
    return entries


@_look_up.defjvp
def _look_up_jvp(primals: Any, tangents: Any) -> Any:
    (entries, slopes), index = primals
    place = index.astype(jnp.int32)
    return entries[place], slopes[place] * tangents[1]


def _with_slopes(table: IntArray, length: int) -> tuple[jax.Array, jax.Array]:
    """A table of parts of `length` entries, and its slope at every entry within the part: half the step from the one before to the next."""
    parts = table.reshape(-1, length).astype(np.float64)
    return jnp.asarray(parts.reshape(-1)), jnp.asarray(np.asarray(np.gradient(parts, axis=1)).reshape(-1))


PRIMITIVES: dict[str, Callable[..., Any]] = {
    "floor_shift": lambda value, amount: _floor(_shifted(value, amount)),
    "round_shift": lambda value, amount: _floor(_shifted(value, amount) + 0.5),
    "clip": _clip,
    "select": lambda condition, if_true, if_false: jnp.where(condition, if_true, if_false),
    "look_up": _look_up,
}


def round_straight_through(value: Any) -> Any:
    """floor(value + 1/2) with the gradient of the identity."""
    return _floor(value + 0.5)


def akida_forward(through: QuantizedNetwork) -> Forward:
    """The forward function of `through`'s formats for the parameters of its float network.

    It sends no deltas, so its message count is the number of codes that enter the chip's dense layers per sample, smoothed: how far the
    codes are from 0, in units of the largest code.
    """
    formats: HeadFormats = through.formats
    programs = {name: with_primitives(program.function, PRIMITIVES) for name, program in cfc_heads.HEAD_PROGRAMS.items()}

    def function(parameters: Arrays, constants: Any, x: jax.Array, timespans: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        values = cfc_heads_build.dense_values(through.network, parameters)
        integers = cfc_heads.integer_parameters(values, formats, jnp, round_straight_through)
        outputs, messages = _run(through, formats, programs, integers, x, timespans)
        return _outputs(through, formats, programs, parameters, outputs), messages

    return Forward(key=f"akida {_digest(through)}", double=True, function=function)


def _digest(through: QuantizedNetwork) -> str:
    """What the compiled function depends on: formats, masks, tables' meaning; not the parameters' values."""
    network = through.network
    text = hashlib.sha256(repr((through.formats, network.settings, network.inputs, network.units)).encode())
    if network.wiring is not None:
        for name in ("source", "target", "sensory_source", "sensory_target"):
            text.update(np.asarray(getattr(network.wiring, name), dtype=np.int64).tobytes() + b"|")
        text.update(repr(network.wiring.layers).encode())
    return text.hexdigest()


def _run(
    through: QuantizedNetwork, formats: HeadFormats, programs: dict[str, Callable[..., Any]], integers: Any, x: jax.Array,
    timespans: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    encode = programs["cfc_heads.encode"]
    layers = [_Layer(through, layer.name, formats, programs) for layer in formats.layers]
    word = jnp.clip(jnp.floor(x / formats.input_word.lsb + 0.5), formats.input_word.lowest, formats.input_word.highest)
    codes = encode(0.0, word, *_constants(through.population("input.code")))
    spans = jnp.floor(jnp.broadcast_to(1.0 if timespans is None else timespans, x.shape[:2]) / cfc_heads.TIMESPAN.lsb + 0.5)
    words = [jnp.zeros((x.shape[0], layer.units), x.dtype) for layer in layers]
    start = (words, [layer.encode(value) for layer, value in zip(layers, words)])

    def sample(carry: Any, row: tuple[jax.Array, jax.Array]) -> Any:
        (below, span), words, codes = row, list(carry[0]), list(carry[1])
        moved = jnp.mean(jnp.sum(below, axis=1))
        for number, (layer, dense) in enumerate(zip(layers, integers)):
            moved = moved + jnp.mean(jnp.sum(codes[number], axis=1)) + (jnp.mean(jnp.sum(below, axis=1)) if number else 0.0)
            words[number] = layer.step(dense, jnp.concatenate([below, codes[number]], axis=1), words[number], span)
            below = codes[number] = layer.encode(words[number])
        return (words, codes), (words[-1], moved)

    _, (outputs, moved) = jax.lax.scan(sample, start, (jnp.swapaxes(codes, 0, 1), spans.T[..., None]))
    return jnp.swapaxes(outputs, 0, 1), jnp.mean(moved) / formats.input.highest


def _outputs(through: QuantizedNetwork, formats: HeadFormats, programs: Any, parameters: Arrays, words: jax.Array) -> jax.Array:
    """y (batch, time, outputs) of the last layer's state words."""
    if formats.projection is not None:
        weight, bias = cfc_heads.projection_integers(parameters["fc.weight"], parameters["fc.bias"], formats, jnp, round_straight_through)
        word = through.population("output").state
        words = jnp.clip(
            programs["cfc_heads.project"](0.0, words @ weight.T, bias, formats.projection.fraction_bits), word.lowest, word.highest
        )
    real = words[..., through.output_compartments] * formats.state_word.lsb
    return real * jnp.asarray(through.output_gain) + jnp.asarray(through.output_offset)


def _constants(population: Population) -> list[Any]:
    return [value.astype(np.float64) for value in population.parameters.values()]


class _Layer:
    """One layer's constants as JAX arrays."""

    def __init__(self, through: QuantizedNetwork, name: str, formats: HeadFormats, programs: dict[str, Callable[..., Any]]) -> None:
        state = through.population(f"{name}.state")
        self.units = state.size
        self.formats = formats
        self.programs = programs
        self.gate = programs[state.program]
        self.base = state.parameters["base"].astype(np.float64)
        codes = 1 << formats.activation_bits
        self.tables = [_with_slopes(table, len(table) if key == "sigmoid" else codes) for key, table in state.tables.items()]
        self.code = _constants(through.population(f"{name}.code"))
        highest = float((1 << formats.activation_bits) - 1)
        self.dense = {}
        for dense, item in next(layer for layer in formats.layers if layer.name == name).dense().items():
            step = np.array(item.activation_step, dtype=np.float64)
            self.dense[dense] = (step, np.ceil(2.0**cfc_heads.RECIPROCAL_BITS / step), highest)

    def encode(self, words: jax.Array) -> jax.Array:
        """The state's codes."""
        result: jax.Array = self.programs["cfc_heads.encode"](0.0, words, *self.code)
        return result

    def step(self, integers: Any, codes: jax.Array, words: jax.Array, span: jax.Array) -> jax.Array:
        """The new state words (batch, units) from the layer's input codes, the old words and those of the elapsed time (batch, 1)."""
        heads = {}
        for name, (weight, threshold) in integers.items():
            heads[name] = self.programs["cfc_heads.head"](0.0, codes @ weight.T, threshold, *self.dense[name])
            if name.startswith("backbone"):
                codes = heads[name]
        new = self.gate(words, *(heads[name] for name in HEADS), span, self.base, *self.tables)
        word = self.formats.state_word
        return jnp.clip(new, word.lowest, word.highest)
