"""LTC in integers: the target fused(U) on a chip that adds, multiplies and shifts.

A sub-step of the semi-implicit solver (Hasani et al., AAAI 2021, as ncps computes it), with h = timespan / U, C = cm / h::

    v' = v + (A - G v) / (C + G),   G = gleak + Σ w σ,   A = gleak vleak + Σ w E σ,   σ = sigmoid(sigma (v_pre - mu))

Per sigmoid one *gate* compartment (a synapse can only multiply); per neuron one compartment with two running sums. Units:

===================  ================================================================================================================
gate message         σ, Q.gate_bits: 0 .. 2**gate_bits
conductance, G, C    one unit is u = conductance_scale / 2**gate_bits; weights w / conductance_scale, 0 .. 255
driven, A            weights w E / driven_scale, even, -254 .. 254, with driven_scale = conductance_scale ratio / 2**ratio_shift exactly, so
                     that bringing the driven sum to the unit u costs one small multiplication and no error
v                    Q.fraction in at most 16 bits; longer state words keep the rest as guard bits, which collect increments below one
                     step of v: slow neurons need them
===================  ================================================================================================================

The division: G with A, and D = C + G, are each shifted to 15 bits; a table holds 2**28 / D. Every product fits a signed 32-bit word for
any parameters: |v G| < 2**30, |A 2**fraction| <= 2**30, |(their difference / 2**14) * (2**28 / D)| < 2**31, |gain * value| < 2**31,
|driven * ratio| < 2**31.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware_profiles.fixed_point import (
    QFormat,
    bit_length,
    clip,
    floor_shift,
    left_shift,
    maximum,
    minimum,
    round_half_up,
    round_shift,
    saturate,
)
from liquid_neuro.cells.integer import (
    ARGUMENT_FRACTION,
    Program,
    absolute,
    curve,
    gather,
    interpolate,
    scatter_sum,
    sent_after,
    sigmoid_table,
    whole,
)
from liquid_neuro.quantized_network import IntArray

FloatArray = npt.NDArray[np.float64]
HIGHEST_SUM = (1 << 30) - (1 << 24)  # of G and of C, in units of the accumulator: their sum stays below 2**31

# --- integer programs ---------------------------------------------------------------------------------------------------------------
# Numbers stand in them as numbers, so that their source alone can be carried elsewhere.


def gate(state: Any, value: Any, gain: Any, gain_shift: Any, offset: Any, sigmoid: Any) -> Any:
    """The sigmoid of a synapse, Q.gate_bits: σ(gain value + offset). value: the presynaptic message or input."""
    return curve(sigmoid, round_shift(value * gain, gain_shift) + offset, 32768, 8)


def neuron(
    state: Any,
    conductance: Any,
    driven: Any,
    capacitance: Any,
    leak: Any,
    driven_leak: Any,
    ratio: Any,
    ratio_shift: Any,
    fraction: Any,
    guard: Any,
    reciprocal: Any,
) -> Any:
    """The new state of a neuron: state + (A - G v) / (C + G). C + G = 0 leaves the state."""
    total = maximum(conductance + leak, 0)
    pull = round_shift(driven * ratio, ratio_shift) + driven_leak
    whole_sum = maximum(total + capacitance, 1)
    length = bit_length(maximum(total, floor_shift(absolute(pull), 15 - fraction)))
    whole_length = bit_length(whole_sum)
    total_15 = minimum(normalised(total, length), 32767)
    whole_15 = minimum(normalised(whole_sum, whole_length), 32767)
    error = left_shift(normalised(pull, length), fraction) - total_15 * round_shift(state, guard)
    inverse = interpolate(reciprocal, whole_15 - 16384, 7)
    return state + round_shift(round_shift(error, 14) * inverse, clip(14 + whole_length - length - guard, 0, 31))


def normalised(value: Any, length: Any) -> Any:
    """value * 2**(15 - length): a value of that bit length becomes one of 15 bits."""
    return round_shift(left_shift(value, maximum(15 - length, 0)), maximum(length - 15, 0))


def reciprocal_table() -> IntArray:
    """2**28 / D at 129 values of D from 2**14 to 2**15."""
    knots = np.linspace(1 << 14, 1 << 15, 129)
    return whole(round_half_up(2.0**28 / knots))


GATE = Program("ltc.gate", gate, ("value",), ("gain", "gain_shift", "offset"), ("sigmoid",), stateless=True, unit=False)
NEURON = Program(
    "ltc.neuron",
    neuron,
    ("conductance", "driven"),
    ("capacitance", "leak", "driven_leak", "ratio", "ratio_shift", "fraction", "guard"),
    ("reciprocal",),
    stateless=False,
    unit=True,
)

# --- formats and the rounding of parameters, shared with training ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LTCFormats:
    """Every choice that turns an LTC into integers; enough to build it again from other float parameters.

    input, state, message: formats of the input words, the neurons' words and their messages. gate_bits: fraction bits of gate messages.
    gain_fraction, sensory_gain_fraction: fraction bits of the gates' gains. ratio, ratio_shift: see the head of this file.
    timespan: model units per sample. The thresholds count steps of the message; 1 sends every change.
    gate_mean, sensory_gate_mean: the mean of each synapse's sigmoid over the calibration (0 where nobody knows). The rounding errors of
    weights, times these means, are constant currents on average: they are taken back in leak and driven_leak, at no cost on the chip.
    """

    weight_bits: int
    input: QFormat
    state: QFormat
    message: QFormat
    gate_bits: int
    gain_fraction: int
    sensory_gain_fraction: int
    conductance_scale: float
    ratio: int
    ratio_shift: int
    timespan: float
    unfolds: int
    gate_mean: FloatArray
    sensory_gate_mean: FloatArray
    input_threshold: int = 1
    neuron_threshold: int = 1
    gate_threshold: int = 1
    accumulator_bits: int = 24

    @property
    def ticks_per_sample(self) -> int:
        """Neurons advance on every second tick, gates settle in between."""
        return 2 * self.unfolds

    @property
    def unit(self) -> float:
        """The real conductance of one accumulator step."""
        return self.conductance_scale * 2.0**-self.gate_bits

    @property
    def driven_scale(self) -> float:
        """The real value of one step of a driven weight."""
        return self.conductance_scale * self.ratio * 2.0**-self.ratio_shift

    @property
    def guard(self) -> int:
        """Fraction bits of the state word below the 16 bits that enter products."""
        return max(self.state.bits - 16, 0)

    @property
    def fraction(self) -> int:
        """Fraction bits of v in products."""
        return self.state.fraction_bits - self.guard

    @property
    def message_shift(self) -> int:
        """From the state word to the message."""
        return self.state.fraction_bits - self.message.fraction_bits

    @property
    def weight_step(self) -> int:
        """Chips with fewer weight bits drop the low ones: the step of conductance weights."""
        return 1 << (8 - self.weight_bits)

    @property
    def driven_step(self) -> int:
        """The step of driven weights (signed weights are even)."""
        return 2 << (8 - self.weight_bits)


@dataclass(frozen=True)
class LTCIntegers:
    """The integer parameters, one entry per synapse (recurrent: …; from inputs: sensory_…) or neuron; as whole floats or int64."""

    gain: Any
    offset: Any
    conductance: Any
    driven: Any
    sensory_gain: Any
    sensory_offset: Any
    sensory_conductance: Any
    sensory_driven: Any
    capacitance: Any
    leak: Any
    driven_leak: Any

    def as_int64(self) -> LTCIntegers:
        """The same as int64 arrays."""
        return LTCIntegers(**{name: whole(value) for name, value in vars(self).items()})


def integer_parameters(values: Any, formats: LTCFormats, xp: Any = np, rounding: Callable[[Any], Any] = round_half_up) -> LTCIntegers:
    """The parameters on their grids: round_half_up(value / scale), then clipped to the grid's ends.

    values: effective parameters (`liquid_neuro.cells.ltc.effective` or the same names with JAX arrays). The map of the inputs,
    u = input_w x + input_b, is folded into the sensory gates.
    xp, rounding: NumPy and round_half_up; training brings JAX and a rounding with a straight-through gradient.
    """

    def gain(slope: Any, fraction: int) -> Any:
        return xp.clip(rounding(slope * 2.0**fraction), -32767, 32767)

    def offset(real: Any) -> Any:
        return xp.clip(rounding(real * 2.0**ARGUMENT_FRACTION), -(2.0**24), 2.0**24)

    def conductance(w: Any) -> Any:
        step = formats.weight_step
        return step * xp.clip(rounding(w / (step * formats.conductance_scale)), 0, 255 // step)

    def driven(w: Any, reversal: Any) -> Any:
        step = formats.driven_step
        return step * xp.clip(rounding(w * reversal / (step * formats.driven_scale)), -(254 // step), 254 // step)

    def sum_units(real: Any) -> Any:
        return xp.clip(rounding(real / formats.unit), -HIGHEST_SUM, HIGHEST_SUM)

    def lost(real: Any, integer: Any, scale: float, target: Any, mean: Any) -> Any:
        return xp.bincount(target, weights=(real - integer * scale) * mean, minlength=units)

    units = values.cm.shape[0]
    recurrent = conductance(values.w), driven(values.w, values.erev)
    sensory = conductance(values.sensory_w), driven(values.sensory_w, values.sensory_erev)
    leak = lost(values.w, recurrent[0], formats.conductance_scale, values.target, formats.gate_mean) + lost(
        values.sensory_w, sensory[0], formats.conductance_scale, values.sensory_target, formats.sensory_gate_mean
    )
    driven_leak = lost(values.w * values.erev, recurrent[1], formats.driven_scale, values.target, formats.gate_mean) + lost(
        values.sensory_w * values.sensory_erev, sensory[1], formats.driven_scale, values.sensory_target, formats.sensory_gate_mean
    )
    slope = values.sensory_sigma * values.input_w[values.sensory_source]
    shift = values.sensory_sigma * (values.input_b[values.sensory_source] - values.sensory_mu)
    return LTCIntegers(
        gain=gain(values.sigma, formats.gain_fraction),
        offset=offset(-values.sigma * values.mu),
        conductance=recurrent[0],
        driven=recurrent[1],
        sensory_gain=gain(slope, formats.sensory_gain_fraction),
        sensory_offset=offset(shift),
        sensory_conductance=sensory[0],
        sensory_driven=sensory[1],
        capacitance=sum_units(values.cm * (formats.unfolds / formats.timespan)),
        leak=xp.maximum(sum_units(values.gleak + leak), 0),
        driven_leak=sum_units(values.gleak * values.vleak + driven_leak),
    )


def tables(formats: LTCFormats) -> dict[str, IntArray]:
    """The look-up tables of both programs by name."""
    return {"sigmoid": sigmoid_table(formats.gate_bits), "reciprocal": reciprocal_table()}


# --- the direct form: sub-steps without ticks, equal bit for bit -----------------------------------------------------------------------


@dataclass(frozen=True)
class LTCState:
    """Where a run stands: words of the neurons, and what the targets of each population hold (the values last sent)."""

    state: Any
    sent: Any
    gate_sent: Any
    input_sent: Any
    sensory_gate_sent: Any


def rest(integers: LTCIntegers, inputs: int, batch: tuple[int, ...] = ()) -> LTCState:
    """The state before the first sample: all zero."""
    units, synapses, sensory = (len(array) for array in (integers.leak, integers.gain, integers.sensory_gain))
    return LTCState(*(np.zeros((*batch, size), dtype=np.int64) for size in (units, units, synapses, inputs, sensory)))


def direct_sample(
    now: LTCState,
    x: Any,
    wires: Any,
    integers: LTCIntegers,
    formats: LTCFormats,
    constants: Mapping[str, Any],
) -> LTCState:
    """One sample of input words x (…, inputs): the sensory gates once, then `unfolds` sub-steps of all neurons from the old states.

    wires: has source, target, sensory_source, sensory_target (int arrays): the effective values or the wiring. constants: `tables`.
    Bit for bit what the tick form computes, thresholds included, as long as no accumulator saturates.
    """
    input_sent = sent_after(x, now.input_sent, formats.input_threshold)
    gain_shift = formats.input.fraction_bits + formats.sensory_gain_fraction - ARGUMENT_FRACTION
    arrived = gather(input_sent, wires.sensory_source)
    sensory = gate(0, arrived, integers.sensory_gain, gain_shift, integers.sensory_offset, constants["sigmoid"])
    sensory_sent = sent_after(sensory, now.sensory_gate_sent, formats.gate_threshold)
    units = integers.leak.shape[-1]
    held = (
        scatter_sum(sensory_sent * integers.sensory_conductance, wires.sensory_target, units),
        scatter_sum(sensory_sent * integers.sensory_driven, wires.sensory_target, units),
    )
    state, sent, gate_sent = now.state, now.sent, now.gate_sent
    for _ in range(formats.unfolds):
        state, sent, gate_sent = direct_sub_step(state, sent, gate_sent, held, wires, integers, formats, constants)
    return LTCState(state, sent, gate_sent, input_sent, sensory_sent)


def direct_sub_step(
    state: Any,
    sent: Any,
    gate_sent: Any,
    held: tuple[Any, Any],
    wires: Any,
    integers: LTCIntegers,
    formats: LTCFormats,
    constants: Mapping[str, Any],
) -> tuple[Any, Any, Any]:
    """(state, sent, gate_sent) one sub-step later. held: the sums of conductance and driven conductance that the inputs cause."""
    gain_shift = formats.message.fraction_bits + formats.gain_fraction - ARGUMENT_FRACTION
    gates = gate(0, gather(sent, wires.source), integers.gain, gain_shift, integers.offset, constants["sigmoid"])
    gate_sent = sent_after(gates, gate_sent, formats.gate_threshold)
    units = integers.leak.shape[-1]
    advanced = neuron(
        state,
        held[0] + scatter_sum(gate_sent * integers.conductance, wires.target, units),
        held[1] + scatter_sum(gate_sent * integers.driven, wires.target, units),
        integers.capacitance,
        integers.leak,
        integers.driven_leak,
        formats.ratio,
        formats.ratio_shift,
        formats.fraction,
        formats.guard,
        constants["reciprocal"],
    )
    state = saturate(advanced, formats.state.bits)
    return state, sent_after(round_shift(state, formats.message_shift), sent, formats.neuron_threshold), gate_sent
