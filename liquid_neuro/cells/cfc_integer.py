"""CfC in integers: every unit is one compartment with a running sum per head; a backbone layer's units have one sum each.

With z the messages that a layer hears and a fixed elapsed time dt, the two time heads fold into one: Wt = dt Wa + Wb, bt = dt ba + bb, and

    default : h' = tanh(f1) + s (tanh(f2) - tanh(f1))        f1 = W1 z + b1, f2 = W2 z + b2, s = sigmoid(Wt z + bt)
    no_gate : h' = tanh(f1) + s tanh(f2)
    pure    : h' = A - B p(f1),   B = A exp(-dt |w_tau|),   p(u) = u exp(-dt |u|) from a table

An argument x is sum * multiplier / 2**shift + bias, in Q.fraction (12 bits, fewer where arguments leave -8 .. 8); the weights' scale is
chosen so that this is exact. Tables span -2**15 .. 2**15 in 512 straight pieces. Every product fits a signed 32-bit word: |sum| < 2**23
times a multiplier below 2**8; gate (15 bits) times a difference of 16 bits; gain times p, 15 bits each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware_profiles.fixed_point import QFormat, round_half_up, round_shift, saturate
from liquid_neuro.cells.functions import ACTIVATIONS
from liquid_neuro.cells.integer import Program, curve, join, mix, odd_table, sampled_curve, sent_after, sigmoid_table, weighted_sum, whole
from liquid_neuro.quantized_network import IntArray

FloatArray = npt.NDArray[np.float64]
INDEX_BITS = 9
VALUE_FRACTION = 14  # of tanh and the gate

# --- integer programs ---------------------------------------------------------------------------------------------------------------
# Numbers stand in them as numbers, so that their source alone can be carried elsewhere.


def unit(
    state: Any,
    first: Any,
    second: Any,
    time: Any,
    first_bias: Any,
    second_bias: Any,
    time_bias: Any,
    first_multiplier: Any,
    second_multiplier: Any,
    time_multiplier: Any,
    first_shift: Any,
    second_shift: Any,
    time_shift: Any,
    state_shift: Any,
    tanh: Any,
    sigmoid: Any,
) -> Any:
    """The new state of a unit in mode default."""
    start = curve(tanh, round_shift(first * first_multiplier, first_shift) + first_bias, 32768, 7)
    goal = curve(tanh, round_shift(second * second_multiplier, second_shift) + second_bias, 32768, 7)
    gate = curve(sigmoid, round_shift(time * time_multiplier, time_shift) + time_bias, 32768, 7)
    return round_shift(mix(start, goal, gate, 14), state_shift)


def unit_no_gate(
    state: Any,
    first: Any,
    second: Any,
    time: Any,
    first_bias: Any,
    second_bias: Any,
    time_bias: Any,
    first_multiplier: Any,
    second_multiplier: Any,
    time_multiplier: Any,
    first_shift: Any,
    second_shift: Any,
    time_shift: Any,
    state_shift: Any,
    tanh: Any,
    sigmoid: Any,
) -> Any:
    """The new state of a unit in mode no_gate."""
    start = curve(tanh, round_shift(first * first_multiplier, first_shift) + first_bias, 32768, 7)
    goal = curve(tanh, round_shift(second * second_multiplier, second_shift) + second_bias, 32768, 7)
    gate = curve(sigmoid, round_shift(time * time_multiplier, time_shift) + time_bias, 32768, 7)
    return round_shift(start + round_shift(gate * goal, 14), state_shift)


def unit_pure(
    state: Any, first: Any, first_bias: Any, first_multiplier: Any, first_shift: Any, gain: Any, gain_shift: Any, offset: Any, decay: Any
) -> Any:
    """The new state of a unit in mode pure."""
    decayed = curve(decay, round_shift(first * first_multiplier, first_shift) + first_bias, 32768, 7)
    return offset - round_shift(gain * decayed, gain_shift)


def backbone(state: Any, drive: Any, bias: Any, multiplier: Any, shift: Any, activation: Any) -> Any:
    """The activation of a backbone unit."""
    return curve(activation, round_shift(drive * multiplier, shift) + bias, 32768, 7)


_HEADS = ("first", "second", "time")
_AFFINE = tuple(f"{port}_{part}" for part in ("bias", "multiplier", "shift") for port in _HEADS)
UNIT = Program("cfc.unit", unit, _HEADS, (*_AFFINE, "state_shift"), ("tanh", "sigmoid"), stateless=True, unit=True)
UNIT_NO_GATE = replace(UNIT, name="cfc.unit_no_gate", function=unit_no_gate)
UNIT_PURE = Program(
    "cfc.unit_pure",
    unit_pure,
    ("first",),
    ("first_bias", "first_multiplier", "first_shift", "gain", "gain_shift", "offset"),
    ("decay",),
    stateless=True,
    unit=True,
)
BACKBONE = Program("cfc.backbone", backbone, ("drive",), ("bias", "multiplier", "shift"), ("activation",), stateless=True, unit=False)
BY_MODE = {"default": UNIT, "no_gate": UNIT_NO_GATE, "pure": UNIT_PURE}

# --- formats and the rounding of parameters, shared with training ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DenseFormats:
    """One dense map, argument = weights * messages + bias.

    multiplier, shift: from the running sum to the argument; a number, or int64 (outputs,), one per unit. fraction: of the argument.
    message_fraction: of the messages that it hears.
    """

    multiplier: int | IntArray
    shift: int | IntArray
    fraction: int
    message_fraction: int

    @property
    def scale(self) -> FloatArray:
        """The real value of one step of a weight, (outputs, 1) or (1, 1): an accumulator step is scale / 2**message_fraction."""
        steps = np.asarray(self.multiplier) * 2.0 ** (self.message_fraction - self.fraction - np.asarray(self.shift))
        return steps.reshape(-1, 1)


@dataclass(frozen=True, eq=False)
class LayerFormats:
    """One CfC cell.

    backbone: its dense maps, words and messages; heads: "first" (ff1), "second" (ff2), "time" (both time heads), as the mode has them.
    means: per dense map (backbone layers, then heads' common input) the mean of what it hears over the calibration (0 where nobody knows):
    the rounding errors of weights, times these means, are taken back in the biases.
    gain_fraction, decay_fraction: fraction bits of B and of the table p in mode pure, else 0.
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

    input: words of the inputs, sent as they are. state, message: words of the units and their messages. timespan: model units per sample.
    The thresholds count steps of the message; 1 sends every change. input_bound: |inputs| for which no sum overflows; 0: not known.
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

    @property
    def depth(self) -> int:
        """Backbone layers."""
        return len(self.layers[0].backbone)

    @property
    def ticks_per_sample(self) -> int:
        """One per hop of the loop that a unit's own state takes back to it."""
        return self.depth + 1

    @property
    def message_shift(self) -> int:
        """From the state word to the message."""
        return self.state.fraction_bits - self.message.fraction_bits

    @property
    def state_shift(self) -> int:
        """From Q.14 to the state word."""
        return VALUE_FRACTION - self.state.fraction_bits

    @property
    def weight_step(self) -> int:
        """Signed weights are even; chips with fewer weight bits drop the low ones."""
        return 2 << (8 - self.weight_bits)


@dataclass(frozen=True)
class LayerIntegers:
    """Weights (outputs, columns) and biases (outputs,) of a layer's dense maps; gain and offset (units,) in mode pure."""

    backbone: tuple[tuple[Any, Any], ...]
    heads: Mapping[str, tuple[Any, Any]]
    gain: Any = None
    offset: Any = None

    def as_int64(self) -> LayerIntegers:
        """The same as int64 arrays."""
        return LayerIntegers(
            tuple((whole(weight), whole(bias)) for weight, bias in self.backbone),
            {name: (whole(weight), whole(bias)) for name, (weight, bias) in self.heads.items()},
            None if self.gain is None else whole(self.gain),
            None if self.offset is None else whole(self.offset),
        )


def integer_parameters(
    values: Any, formats: CfCFormats, xp: Any = np, rounding: Callable[[Any], Any] = round_half_up
) -> tuple[LayerIntegers, ...]:
    """The parameters on their grids, layer by layer: round_half_up(value / scale), then clipped to the grid's ends.

    values: effective parameters (`liquid_neuro.cells.cfc.effective` or the same names with JAX arrays).
    xp, rounding: NumPy and round_half_up; training brings JAX and a rounding with a straight-through gradient.
    """
    step = formats.weight_step

    def dense(weight: Any, bias: Any, how: DenseFormats, mean: Any) -> tuple[Any, Any]:
        integer = step * xp.clip(rounding(weight / (step * how.scale)), -(254 // step), 254 // step)
        lost = xp.sum((weight - integer * how.scale) * mean, axis=1)
        return integer, xp.clip(rounding((bias + lost) * 2.0**how.fraction), -(2.0**24), 2.0**24)

    layers = []
    for layer, how in zip(values.layers, formats.layers):
        maps = zip(layer.backbone, how.backbone, how.means)
        hidden = tuple(dense(weight, bias, one, mean) for (weight, bias), one, mean in maps)
        heads = {name: dense(*affine, how.heads[name], how.means[-1]) for name, affine in folded_heads(layer, formats.timespan).items()}
        gain = offset = None
        if formats.mode == "pure":
            amplitude = layer.A * xp.exp(-formats.timespan * xp.abs(layer.w_tau))
            gain = xp.clip(rounding(amplitude * 2.0**how.gain_fraction), -32767, 32767)
            offset = rounding(layer.A * 2.0**formats.state.fraction_bits)
        layers.append(LayerIntegers(hidden, heads, gain, offset))
    return tuple(layers)


def folded_heads(layer: Any, timespan: float) -> dict[str, tuple[Any, Any]]:
    """The heads as (weight, bias) by port, the two time heads folded for this timespan."""
    if "ff2" not in layer.heads:
        return {"first": layer.heads["ff1"]}
    slope, level = layer.heads["time_a"], layer.heads["time_b"]
    time = (timespan * slope[0] + level[0], timespan * slope[1] + level[1])
    return {"first": layer.heads["ff1"], "second": layer.heads["ff2"], "time": time}


def unit_tables(formats: CfCFormats, layer: LayerFormats) -> dict[str, IntArray]:
    """The look-up tables of a layer's units by name."""
    if formats.mode != "pure":
        return {
            "tanh": odd_table(np.tanh, 8.0, INDEX_BITS, VALUE_FRACTION),
            "sigmoid": sigmoid_table(VALUE_FRACTION, INDEX_BITS),
        }
    half_width = 2.0 ** (15 - layer.heads["first"].fraction)
    decay = odd_table(lambda u: u * np.exp(-formats.timespan * np.abs(u)), half_width, INDEX_BITS, layer.decay_fraction)
    return {"decay": decay}


def activation_table(formats: CfCFormats, layer: LayerFormats, depth: int) -> IntArray:
    """The look-up table of a backbone layer."""
    half_width = 2.0 ** (15 - layer.backbone[depth].fraction)
    return sampled_curve(ACTIVATIONS[formats.activation], half_width, INDEX_BITS, layer.backbone_words[depth].fraction_bits)


def tables(formats: CfCFormats) -> tuple[dict[str, IntArray], ...]:
    """All tables, layer by layer: those of the units, and "activation_0", … of the backbone."""
    return tuple(
        {**unit_tables(formats, layer), **{f"activation_{d}": activation_table(formats, layer, d) for d in range(len(layer.backbone))}}
        for layer in formats.layers
    )


# --- the direct form: samples without ticks, equal bit for bit ----------------------------------------------------------------------------


@dataclass(frozen=True)
class CfCState:
    """Where a run stands, per layer: words of the units, and what the targets of units, backbone layers and inputs hold."""

    state: tuple[Any, ...]
    sent: tuple[Any, ...]
    backbone_sent: tuple[tuple[Any, ...], ...]
    input_sent: Any


def rest(integers: tuple[LayerIntegers, ...], inputs: int, batch: tuple[int, ...] = ()) -> CfCState:
    """The state before the first sample: all zero."""

    def zero(size: int) -> Any:
        return np.zeros((*batch, size), dtype=np.int64)

    units = tuple(zero(len(layer.heads["first"][1])) for layer in integers)
    hidden = tuple(tuple(zero(len(bias)) for _, bias in layer.backbone) for layer in integers)
    return CfCState(units, units, hidden, zero(inputs))


def direct_sample(
    now: CfCState, x: Any, integers: tuple[LayerIntegers, ...], formats: CfCFormats, constants: tuple[Mapping[str, Any], ...]
) -> CfCState:
    """One sample of input words x (…, inputs) through all layers, each hearing what the one before has just sent. constants: `tables`.

    Bit for bit what the tick form computes, thresholds included, as long as no accumulator saturates.
    """
    below = input_sent = sent_after(x, now.input_sent, formats.input_threshold)
    states, sent, hidden = [], [], []
    for number, layer in enumerate(integers):
        heard, layer_hidden = direct_backbone(
            join((below, now.sent[number])), now.backbone_sent[number], layer, formats, formats.layers[number], constants[number]
        )
        state = saturate(direct_unit(heard, layer, formats, formats.layers[number], constants[number]), formats.state.bits)
        below = sent_after(round_shift(state, formats.message_shift), now.sent[number], formats.neuron_threshold)
        states.append(state)
        sent.append(below)
        hidden.append(layer_hidden)
    return CfCState(tuple(states), tuple(sent), tuple(hidden), input_sent)


def direct_backbone(
    heard: Any, sent: tuple[Any, ...], layer: LayerIntegers, formats: CfCFormats, how: LayerFormats, constants: Mapping[str, Any]
) -> tuple[Any, tuple[Any, ...]]:
    """(what the heads hear, what each backbone layer has sent) for the messages `heard` (…, columns)."""
    held = []
    for depth, (weight, bias) in enumerate(layer.backbone):
        dense, word = how.backbone[depth], how.backbone_words[depth]
        value = backbone(0, weighted_sum(heard, weight), bias, dense.multiplier, dense.shift, constants[f"activation_{depth}"])
        message = round_shift(saturate(value, word.bits), word.fraction_bits - how.backbone_messages[depth].fraction_bits)
        heard = sent_after(message, sent[depth], formats.backbone_threshold)
        held.append(heard)
    return heard, tuple(held)


def direct_unit(heard: Any, layer: LayerIntegers, formats: CfCFormats, how: LayerFormats, constants: Mapping[str, Any]) -> Any:
    """The units' new words, not yet saturated, for the messages that the heads hear (…, columns)."""
    sums = [weighted_sum(heard, layer.heads[name][0]) for name in how.heads]
    biases = [layer.heads[name][1] for name in how.heads]
    multipliers, shifts = [dense.multiplier for dense in how.heads.values()], [dense.shift for dense in how.heads.values()]
    if formats.mode == "pure":
        shift = how.gain_fraction + how.decay_fraction - formats.state.fraction_bits
        return unit_pure(0, sums[0], biases[0], multipliers[0], shifts[0], layer.gain, shift, layer.offset, constants["decay"])
    arguments = (*sums, *biases, *multipliers, *shifts, formats.state_shift, constants["tanh"], constants["sigmoid"])
    return unit_no_gate(0, *arguments) if formats.mode == "no_gate" else unit(0, *arguments)
