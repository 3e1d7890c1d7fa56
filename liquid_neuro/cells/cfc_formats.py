"""The formats of a CfC in integers, and the rounding of its parameters to their grids, which training and quantisation share.

cfc_integer.py and lstm_integer.py say what is computed from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hardware_profiles.fixed_point import QFormat, round_half_up
from liquid_neuro.cells.cfc_integer import INDEX_BITS, VALUE_FRACTION
from liquid_neuro.cells.dense_formats import DenseFormats, FloatArray, dense_integers
from liquid_neuro.cells.functions import ACTIVATIONS
from liquid_neuro.cells.integer import elapsed_format, odd_table, sampled_curve, sigmoid_table, whole
from liquid_neuro.cells.lstm_formats import MemoryFormats, memory_integers, memory_tables, tanh_table
from liquid_neuro.quantized_network import IntArray

ELAPSED_BITS = 16  # so that its product with a slope fits 32 bits


@dataclass(frozen=True, eq=False)
class LayerFormats:
    """One CfC cell.

    backbone: its dense maps, words and messages; heads: "first" (ff1), "second" (ff2), "time" (both time heads) or, where samples last
    differently long, "slope" and "level" (time_a and time_b), as the mode has them.
    means: per dense map (backbone layers, then heads' common input) the mean of what it hears over the calibration (0 where nobody knows):
    the rounding errors of weights, times these means, are taken back in the biases.
    gain_fraction, decay_fraction: fraction bits of B (or A) and of the table p (or exp) in mode pure, else 0.
    """

    backbone: tuple[DenseFormats, ...]
    backbone_words: tuple[QFormat, ...]
    backbone_messages: tuple[QFormat, ...]
    heads: Mapping[str, DenseFormats]
    means: tuple[FloatArray, ...]
    gain_fraction: int = 0
    decay_fraction: int = 0


@dataclass(frozen=True, eq=False)
class CfCFormats:
    """Every choice that turns a CfC into integers; enough to build it again from other float parameters.

    input: words of the inputs, sent as they are. state, message: words of the units and their messages. timespan: model units per sample;
    where samples last differently long (`irregular`) the longest, which the units hear as `elapsed`.
    The thresholds count steps of the message; 1 sends every change. input_bound: |inputs| for which no sum overflows; 0: not known.
    value_fraction: of the table named tanh; keras: whether the heads are those of the Keras dialect. memory: None without mixed memory.
    """

    weight_bits: int
    mode: str
    activation: str
    input: QFormat
    state: QFormat
    message: QFormat
    layers: tuple[LayerFormats, ...]
    timespan: float
    input_threshold: int = 1
    neuron_threshold: int = 1
    backbone_threshold: int = 1
    accumulator_bits: int = 24
    input_bound: float = 0.0
    irregular: bool = False
    keras: bool = False
    value_fraction: int = VALUE_FRACTION
    memory: MemoryFormats | None = None
    memory_threshold: int = 1

    @property
    def depth(self) -> int:
        """Backbone layers."""
        return len(self.layers[0].backbone)

    @property
    def ticks_per_sample(self) -> int:
        """One per hop of the loop that a unit's own state takes back to it: through the memory and all layers, or its own layer alone."""
        return self.depth + 1 if self.memory is None else len(self.layers) + self.depth + 2

    @property
    def elapsed(self) -> QFormat:
        """The words of timespans."""
        return elapsed_format(self.timespan, ELAPSED_BITS)

    @property
    def message_shift(self) -> int:
        """From the state word to the message."""
        return self.state.fraction_bits - self.message.fraction_bits

    @property
    def state_shift(self) -> int:
        """From the values of the table named tanh to the state word."""
        return self.value_fraction - self.state.fraction_bits

    @property
    def output_message_shift(self) -> int:
        """From the word of h~ to its message."""
        assert self.memory is not None
        return self.memory.state.fraction_bits - self.message.fraction_bits

    def gain_shift(self, layer: LayerFormats) -> int:
        """From B (or A) times the table's value to the state word, in mode pure."""
        left = layer.heads["first"].fraction if self.irregular else layer.decay_fraction
        return layer.gain_fraction + left - self.state.fraction_bits

    def elapsed_shift(self, layer: LayerFormats) -> int:
        """From a slope (in mode pure a rate) times a timespan to Q.12."""
        return layer.heads["first" if self.mode == "pure" else "slope"].fraction + self.elapsed.fraction_bits - 12

    @property
    def weight_step(self) -> int:
        """Signed weights are even; chips with fewer weight bits drop the low ones."""
        return 2 << (8 - self.weight_bits)


@dataclass(frozen=True)
class LayerIntegers:
    """Weights (outputs, columns) and biases (outputs,) of a layer's dense maps; gain, offset and tau (units,) in mode pure."""

    backbone: tuple[tuple[Any, Any], ...]
    heads: Mapping[str, tuple[Any, Any]]
    gain: Any = None
    offset: Any = None
    tau: Any = None

    def as_int64(self) -> LayerIntegers:
        """The same as int64 arrays."""
        return LayerIntegers(
            tuple((whole(weight), whole(bias)) for weight, bias in self.backbone),
            {name: (whole(weight), whole(bias)) for name, (weight, bias) in self.heads.items()},
            None if self.gain is None else whole(self.gain),
            None if self.offset is None else whole(self.offset),
            None if self.tau is None else whole(self.tau),
        )


@dataclass(frozen=True)
class CfCIntegers:
    """All layers, and the memory's dense maps by gate (none without mixed memory)."""

    layers: tuple[LayerIntegers, ...]
    memory: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def as_int64(self) -> CfCIntegers:
        """The same as int64 arrays."""
        memory = {name: (whole(weight), whole(bias)) for name, (weight, bias) in self.memory.items()}
        return CfCIntegers(tuple(layer.as_int64() for layer in self.layers), memory)


def integer_parameters(values: Any, formats: CfCFormats, xp: Any = np, rounding: Callable[[Any], Any] = round_half_up) -> CfCIntegers:
    """The parameters on their grids: round_half_up(value / scale), weights nudged, then clipped to the grid's ends.

    values: effective parameters (`liquid_neuro.cells.cfc.effective` or the same names with JAX arrays).
    xp, rounding: NumPy and round_half_up; training brings JAX and a rounding with a straight-through gradient.
    """

    def dense(weight: Any, bias: Any, how: DenseFormats, mean: Any) -> tuple[Any, Any]:
        return dense_integers(weight, bias, how, mean, formats.weight_step, xp, rounding)

    layers = []
    for layer, how in zip(values.layers, formats.layers):
        maps = zip(layer.backbone, how.backbone, how.means)
        hidden = tuple(dense(weight, bias, one, mean) for (weight, bias), one, mean in maps)
        heads = {name: dense(*affine, how.heads[name], how.means[-1]) for name, affine in head_maps(layer, formats).items()}
        layers.append(LayerIntegers(hidden, heads, *_pure_parameters(layer, how, formats, xp, rounding)))
    if formats.memory is None:
        return CfCIntegers(tuple(layers))
    return CfCIntegers(tuple(layers), memory_integers(values.lstm, formats.memory, formats.weight_step, xp, rounding))


def _pure_parameters(layer: Any, how: LayerFormats, formats: CfCFormats, xp: Any, rounding: Callable[[Any], Any]) -> tuple[Any, Any, Any]:
    """(gain, offset, tau) of mode pure; None each in other modes, tau where all samples last as long."""
    if formats.mode != "pure":
        return None, None, None
    amplitude = layer.A if formats.irregular else layer.A * xp.exp(-formats.timespan * xp.abs(layer.w_tau))
    gain = xp.clip(rounding(amplitude * 2.0**how.gain_fraction), -32767, 32767)
    offset = rounding(layer.A * 2.0**formats.state.fraction_bits)
    tau = xp.clip(rounding(xp.abs(layer.w_tau) * 2.0 ** how.heads["first"].fraction), 0, 65535) if formats.irregular else None
    return gain, offset, tau


def head_maps(layer: Any, formats: CfCFormats) -> dict[str, tuple[Any, Any]]:
    """The heads as (weight, bias) by port; the two time heads folded into one where all samples last as long."""
    return heads_by_port(layer, None if formats.irregular else formats.timespan, formats.keras)


def heads_by_port(layer: Any, timespan: float | None, keras: bool) -> dict[str, tuple[Any, Any]]:
    """`head_maps` for a timespan, or for irregular time (None). The Keras dialect has the other sign on the slope."""
    if "ff2" not in layer.heads:
        return {"first": layer.heads["ff1"]}
    (slope, slope_bias), level = layer.heads["time_a"], layer.heads["time_b"]
    if keras:
        slope, slope_bias = -slope, -slope_bias
    heads = {"first": layer.heads["ff1"], "second": layer.heads["ff2"]}
    if timespan is None:
        return {**heads, "slope": (slope, slope_bias), "level": level}
    return {**heads, "time": (timespan * slope + level[0], timespan * slope_bias + level[1])}


def unit_tables(formats: CfCFormats, layer: LayerFormats) -> dict[str, IntArray]:
    """The look-up tables of a layer's units by name."""
    half_width = 2.0 ** (15 - layer.heads["first"].fraction)
    if formats.mode != "pure":
        shape = odd_table(lambda value: value, half_width, INDEX_BITS, formats.value_fraction) if formats.keras else tanh_table()
        return {"tanh": shape, "sigmoid": sigmoid_table(VALUE_FRACTION, INDEX_BITS)}
    if formats.irregular:
        knots = np.linspace(0.0, 16.0, (1 << INDEX_BITS) + 1)
        return {"decay": whole(round_half_up(np.exp(-knots) * 2.0**layer.decay_fraction))}
    decay = odd_table(lambda u: u * np.exp(-formats.timespan * np.abs(u)), half_width, INDEX_BITS, layer.decay_fraction)
    return {"decay": decay}


def activation_table(formats: CfCFormats, layer: LayerFormats, depth: int) -> IntArray:
    """The look-up table of a backbone layer."""
    half_width = 2.0 ** (15 - layer.backbone[depth].fraction)
    return sampled_curve(ACTIVATIONS[formats.activation], half_width, INDEX_BITS, layer.backbone_words[depth].fraction_bits)


def tables(formats: CfCFormats) -> tuple[dict[str, IntArray], ...]:
    """All tables, layer by layer: those of the units, and "activation_0", … of the backbone; behind them those of the memory."""
    layers = tuple(
        {**unit_tables(formats, layer), **{f"activation_{d}": activation_table(formats, layer, d) for d in range(len(layer.backbone))}}
        for layer in formats.layers
    )
    return layers if formats.memory is None else (*layers, memory_tables())
