"""CfC for chips that know dense layers with a bounded step-wise ReLU and nothing else (Akida 1 class): heads on the chip, gate on the host.

A CfC layer is four dense heads over z = [input, state] and a gate (Hasani et al., Nature Machine Intelligence 4, 992 (2022))::

    f1 = W1 z + b1, f2 = W2 z + b2, s = sigmoid((Wa z + ba) dt + (Wb z + bb)),   state' = tanh(f1) (1 - s) + s tanh(f2)

The products, nearly all of the work, run on the chip; what the chip cannot do, the host does in integers with look-up tables. One sample::

    "cfc_heads.encode"  host: each number becomes an unsigned code; real = origin + step * code (origin and step per channel and unit)
    "cfc_heads.head"    chip: code = clip(floor((sum - threshold) / activation_step), 0, highest), sum = Σ weight * code
    "cfc_heads.host"    host: tanh of the codes of ff1 and ff2 and the gate's drive of those of time_a and time_b, from a table per unit
                        with an entry per code; the sigmoid from a table; the product; the new state word, which is encoded in turn

The layers of a wired CfC follow one another within a sample, so each costs one trip to the chip and back. Origins are folded into the
thresholds, steps into the weights; a negative step turns a code around, so that what is seen most often is code 0, which is no event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware_profiles.fixed_point import QFormat, clip, floor_shift, look_up, round_half_up, round_shift, select
from liquid_neuro.cells.integer import Program
from liquid_neuro.network import CfCSettings
from liquid_neuro.quantized_network import IntArray

HEADS = ("ff1", "ff2", "time_a", "time_b")
RECIPROCAL_BITS = 24
GATE_FRACTION_BITS = 15  # the sigmoid's table holds 0 .. 2**15
DRIVE = QFormat(16, 10)  # the gate's argument; the sigmoid's table spans -8 .. 8 in 512 entries
SIGMOID_ENTRIES = 512
SIGMOID_SHIFT = 5
TIMESPAN = QFormat(20, 10, signed=False)  # elapsed time in model units, below 1024


# --- integer programs ---------------------------------------------------------------------------------------------------------------


def encode(state: Any, value: Any, origin: Any, multiplier: Any, shift: Any, highest: Any) -> Any:
    """The code of a word: (value - origin) / step rounded half up, clipped to 0 .. highest; 1 / step = multiplier / 2**shift."""
    return clip(round_shift((value - origin) * multiplier, shift), 0, highest)


def head(state: Any, sum: Any, threshold: Any, activation_step: Any, reciprocal: Any, highest: Any) -> Any:
    """The chip's output: floor((sum - threshold) / activation_step) within 0 .. highest; reciprocal = ceil(2**24 / activation_step)."""
    above = clip(sum - threshold, 0, (highest + 1) * activation_step - 1)
    return floor_shift(above * reciprocal, 24)


def host(
    state: Any,
    ff1: Any,
    ff2: Any,
    time_a: Any,
    time_b: Any,
    timespan: Any,
    base: Any,
    tanh_1: Any,
    tanh_2: Any,
    drive_a: Any,
    drive_b: Any,
    sigmoid: Any,
) -> Any:
    """The new state word of a CfC unit from its four codes and the elapsed time; a timespan of 0 leaves the state.

    Tables but the sigmoid's hold all units one after the other; a unit's begin at `base`. The slope is multiplied with the timespan in two
    parts, whole model units and the rest, each of which fits a signed 32-bit word.
    """
    first = look_up(tanh_1, base + ff1)
    second = look_up(tanh_2, base + ff2)
    whole = floor_shift(timespan, 10)
    slope = look_up(drive_a, base + time_a)
    drive = slope * whole + round_shift(slope * (timespan - whole * 1024), 10) + look_up(drive_b, base + time_b)
    gate = look_up(sigmoid, clip(round_shift(drive, 5) + 256, 0, 511))
    return select(timespan > 0, first + round_shift(gate * (second - first), 15), state)


def host_no_gate(
    state: Any,
    ff1: Any,
    ff2: Any,
    time_a: Any,
    time_b: Any,
    timespan: Any,
    base: Any,
    tanh_1: Any,
    tanh_2: Any,
    drive_a: Any,
    drive_b: Any,
    sigmoid: Any,
) -> Any:
    """As `host` for a CfC in mode no_gate: state' = tanh(f1) + s tanh(f2)."""
    first = look_up(tanh_1, base + ff1)
    second = look_up(tanh_2, base + ff2)
    whole = floor_shift(timespan, 10)
    slope = look_up(drive_a, base + time_a)
    drive = slope * whole + round_shift(slope * (timespan - whole * 1024), 10) + look_up(drive_b, base + time_b)
    gate = look_up(sigmoid, clip(round_shift(drive, 5) + 256, 0, 511))
    return select(timespan > 0, first + round_shift(gate * second, 15), state)


def project(state: Any, sum: Any, bias: Any, shift: Any) -> Any:
    """An output word of the host's linear output layer from sum = Σ weight * state word."""
    return round_shift(sum + bias, shift)


_GATE_TABLES = ("tanh_1", "tanh_2", "drive_a", "drive_b", "sigmoid")
HEAD_PROGRAMS: dict[str, Program] = {
    program.name: program
    for program in (
        Program("cfc_heads.encode", encode, ("value",), ("origin", "multiplier", "shift", "highest"), (), True, False),
        Program("cfc_heads.head", head, ("sum",), ("threshold", "activation_step", "reciprocal", "highest"), (), True, False),
        Program("cfc_heads.host", host, (*HEADS, "timespan"), ("base",), _GATE_TABLES, False, True),
        Program("cfc_heads.host_no_gate", host_no_gate, (*HEADS, "timespan"), ("base",), _GATE_TABLES, False, True),
        Program("cfc_heads.project", project, ("sum",), ("bias", "shift"), (), True, False),
    )
}


def highest_activation_step(activation_bits: int) -> int:
    """Up to this step the reciprocal of `head` gives the exact floor of the quotient: 2**activation_bits step² <= 2**24."""
    return 1 << ((RECIPROCAL_BITS - activation_bits) // 2)


# --- formats: every choice of the quantisation ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CodeFormat:
    """Unsigned codes with one affine meaning per channel or unit: real = origin + step * code; a step may be negative, never 0."""

    bits: int
    origin: tuple[float, ...]
    step: tuple[float, ...]

    @property
    def highest(self) -> int:
        """The largest code."""
        return (1 << self.bits) - 1


@dataclass(frozen=True)
class DenseFormat:
    """The formats of one dense layer on the chip, one of each per output: code k stands for origin + step * k of the pre-activation.

    activation_step: per output, how many units of the sum make one code; the scale of that output's weights is step / activation_step.
    """

    origin: tuple[float, ...]
    step: tuple[float, ...]
    activation_step: tuple[int, ...]


@dataclass(frozen=True)
class HeadLayerFormats:
    """Formats of one CfC layer: the backbone's layers in order, the four heads, and the codes of its state."""

    name: str
    backbone: tuple[DenseFormat, ...]
    ff1: DenseFormat
    ff2: DenseFormat
    time_a: DenseFormat
    time_b: DenseFormat
    state: CodeFormat

    def dense(self) -> dict[str, DenseFormat]:
        """All dense layers by name: backbone_0, …, ff1, ff2, time_a, time_b."""
        return {f"backbone_{number}": item for number, item in enumerate(self.backbone)} | {name: getattr(self, name) for name in HEADS}


@dataclass(frozen=True)
class HeadFormats:
    """Every choice that turns a CfC into heads: enough to build the integers again from another set of float parameters.

    input_word, state_word: the host's words. input: the codes of the channels.
    projection: the format of the weights of the output layer, which the host computes; None without one.
    """

    weight_bits: int
    activation_bits: int
    input_word: QFormat
    state_word: QFormat
    input: CodeFormat
    layers: tuple[HeadLayerFormats, ...]
    projection: QFormat | None = None

    @property
    def weight_limit(self) -> int:
        """Weights are -limit .. limit (symmetric); for 1 bit 0 .. 1."""
        return max((1 << (self.weight_bits - 1)) - 1, 1)

    @property
    def lowest_weight(self) -> int:
        """The smallest weight: 0 where weights have one bit (that bit has no sign), -limit otherwise."""
        return 0 if self.weight_bits == 1 else -self.weight_limit


Values = Sequence[Mapping[str, tuple[Any, Any]]]  # per layer: dense layer -> (weight (outputs, inputs), bias (outputs,)), in float


# --- rounding of parameters, shared with training ------------------------------------------------------------------------------------


def integer_parameters(
    values: Values, formats: HeadFormats, namespace: Any = np, rounding: Callable[[Any], Any] = round_half_up
) -> list[dict[str, tuple[Any, Any]]]:
    """Per layer: dense layer -> (integer weights (outputs, inputs), integer thresholds (outputs,)), as arrays of whole floats.

    With step_j, origin_j of the input codes and scale_i = step / activation_step_i of the output: w_ij ≈ scale_i W_ij / step_j, and
    pre-activation = scale_i (Σ W_ij code_j) + b_i + Σ_j scale_i W_ij origin_j / step_j. The threshold makes the floor a rounding half up.
    namespace, rounding: NumPy and `round_half_up`, or JAX and a rounding with a straight-through gradient.
    """
    result = []
    previous = formats.input
    for layer, layer_formats in zip(values, formats.layers):
        origin = np.array(previous.origin + layer_formats.state.origin)
        step = np.array(previous.step + layer_formats.state.step)
        integers = {}
        for name, dense in layer_formats.dense().items():
            integers[name] = _dense_integers(*layer[name], dense, origin, step, formats, namespace, rounding)
            if name.startswith("backbone"):  # the next dense layer reads this one's codes, on the chip
                origin, step = np.array(dense.origin), np.array(dense.step)
        result.append(integers)
        previous = layer_formats.state
    return result


def _dense_integers(
    weight: Any, bias: Any, dense: DenseFormat, origin: Any, step: Any, formats: HeadFormats, namespace: Any, rounding: Callable[[Any], Any]
) -> tuple[Any, Any]:
    scale = np.array(dense.step) / np.array(dense.activation_step, dtype=np.float64)
    lowest, highest = float(formats.lowest_weight), float(formats.weight_limit)
    integer = namespace.clip(rounding(weight * (step / scale[:, None])), lowest, highest)
    folded = bias + namespace.sum(integer * (scale[:, None] * (origin / step)), axis=1)
    threshold = rounding((np.array(dense.origin) - folded) / scale - 0.5 * np.array(dense.activation_step))
    return integer, threshold


def projection_integers(
    weight: Any, bias: Any, formats: HeadFormats, namespace: Any = np, rounding: Callable[[Any], Any] = round_half_up
) -> tuple[Any, Any]:
    """Integer weights (outputs, units), biases (outputs,) of the host's output layer; a bias has the fraction bits of weight and state."""
    word = formats.projection
    assert word is not None
    integer = namespace.clip(rounding(weight * 2.0**word.fraction_bits), word.lowest, word.highest)
    return integer, rounding(bias * 2.0 ** (word.fraction_bits + formats.state_word.fraction_bits))


def tables(layer: HeadLayerFormats, formats: HeadFormats, settings: CfCSettings) -> dict[str, IntArray]:
    """The host's look-up tables of one layer, in the order of the program's signature: (units * codes,), the sigmoid's (512,).

    Keras' dialect has no tanh on ff1 and ff2 and the opposite sign on time_a.
    """
    codes = np.arange(1 << formats.activation_bits)
    real = {}
    for name in HEADS:
        dense = getattr(layer, name)
        real[name] = (np.array(dense.origin)[:, None] + np.array(dense.step)[:, None] * codes).ravel()
    keras = settings.dialect == "keras"
    squash = (lambda value: value) if keras else np.tanh
    centres = (np.arange(SIGMOID_ENTRIES) - SIGMOID_ENTRIES // 2) * 2.0 ** (SIGMOID_SHIFT - DRIVE.fraction_bits)
    return {
        "tanh_1": formats.state_word.quantize(squash(real["ff1"])),
        "tanh_2": formats.state_word.quantize(squash(real["ff2"])),
        "drive_a": DRIVE.quantize(-real["time_a"] if keras else real["time_a"]),
        "drive_b": DRIVE.quantize(real["time_b"]),
        "sigmoid": round_half_up(2.0**GATE_FRACTION_BITS / (1.0 + np.exp(-centres))).astype(np.int64),
    }
