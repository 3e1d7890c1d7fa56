"""LTC in integers: the targets fused(U) and exact on a chip that adds, multiplies and shifts.

A sub-step of the semi-implicit solver (Hasani et al., AAAI 2021, as ncps computes it), with h = timespan / U, C = cm / h::

    v' = v + (A - G v) / (C + G),   G = gleak + Σ w σ,   A = gleak vleak + Σ w E σ,   σ = sigmoid(sigma (v_pre - mu))

The target "exact" solves the differential equation over h with G and A held, v' = v + (A / G - v) (1 - e^-z), z = G / C. With the share
s = G / (C + G) this is the same increment times a factor of s alone, smooth from 1 at s = 0 over 1.30 to 1 at s = 1 (a table)::

    v' = v + (A - G v) / (C + G) · θ(s),   θ(s) = (1 - e^(-s / (1 - s))) / s

so that cm = 0 works and nothing divides. Its messages run half a sub-step ahead (Population.prediction): second order in h.

Per sigmoid one *gate* compartment (a synapse can only multiply); per neuron one compartment with two running sums. A gap junction
w (v_j - v_i) adds w to G for good (a part of leak) and w v_j to A: one *relay* per neuron that has some brings its message to the fraction
bits of gates. Units:

===================  ================================================================================================================
gate message         σ, Q.gate_bits: 0 .. 2**gate_bits
conductance, G, C    one unit is u = conductance_scale / 2**gate_bits; weights w / conductance_scale, 0 .. 255
driven, A            weights w E / driven_scale, even, -254 .. 254, with driven_scale = conductance_scale ratio / 2**ratio_shift exactly, so
                     that bringing the driven sum to the unit u costs one small multiplication and no error
v                    Q.fraction in at most 16 bits; longer state words keep the rest as guard bits, which collect increments below one
                     step of v: slow neurons need them
elapsed              the sample's timespan where samples last differently long. C + G becomes cm U + G timespan (both times timespan): of
                     cm U the program knows 29 bits and an exponent
===================  ================================================================================================================

The division: G with A, and D = C + G, are each shifted to 15 bits; a table holds 2**28 / D. Every product fits a signed 32-bit word for
any parameters: |v G| < 2**30, |A 2**fraction| <= 2**30, |(their difference / 2**14) * (2**28 / D)| < 2**31, |gain * value| < 2**31,
|driven * ratio| < 2**31. With a factor θ or a timespan, 2**28 / D times these (relative to their own powers of two) stays below 2**14.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hardware_profiles.fixed_point import bit_length, clip, floor_shift, left_shift, maximum, minimum, round_half_up, round_shift
from liquid_neuro.cells.integer import Program, absolute, curve, interpolate, whole
from liquid_neuro.quantized_network import IntArray

HIGHEST_SUM = (1 << 30) - (1 << 24)  # of G and of C, in units of the accumulator: their sum stays below 2**31
CAPACITANCE_BITS = 29  # of cm U where samples last differently long: with timespan G, below 2**30, the sum stays below 2**31

# Numbers stand in the programs as numbers, so that their source alone can be carried elsewhere.


def gate(state: Any, value: Any, gain: Any, gain_shift: Any, offset: Any, sigmoid: Any) -> Any:
    """The sigmoid of a synapse, Q.gate_bits: σ(gain value + offset). value: the presynaptic message or input."""
    return curve(sigmoid, round_shift(value * gain, gain_shift) + offset, 32768, 8)


def relay(state: Any, value: Any, gain: Any, gain_shift: Any) -> Any:
    """A neuron's message with the fraction bits of gate messages, for its gap junctions."""
    return round_shift(value * gain, gain_shift)


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
    length = common_length(total, pull, fraction)
    whole_length = bit_length(whole_sum)
    total_15 = mantissa(total, length)
    error = distance(state, pull, length, total_15, fraction, guard)
    inverse = interpolate(reciprocal, mantissa(whole_sum, whole_length) - 16384, 7)
    return state + round_shift(round_shift(error, 14) * inverse, clip(14 + whole_length - length - guard, 0, 31))


def exact(
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
    exponential: Any,
) -> Any:
    """The new state of a neuron: state + (A - G v) / (C + G) θ(G / (C + G)), the solution with G and A held. C + G = 0 leaves the state."""
    total = maximum(conductance + leak, 0)
    pull = round_shift(driven * ratio, ratio_shift) + driven_leak
    whole_sum = maximum(total + capacitance, 1)
    length = common_length(total, pull, fraction)
    whole_length = bit_length(whole_sum)
    total_15 = mantissa(total, length)
    error = distance(state, pull, length, total_15, fraction, guard)
    inverse = interpolate(reciprocal, mantissa(whole_sum, whole_length) - 16384, 7)
    share = minimum(round_shift(total_15 * inverse, clip(14 + whole_length - length, 0, 31)), 16383)
    weight = round_shift(inverse * interpolate(exponential, share, 7), 15)
    return state + round_shift(round_shift(error, 14) * weight, clip(13 + whole_length - length - guard, 0, 31))


def neuron_timed(
    state: Any,
    conductance: Any,
    driven: Any,
    elapsed: Any,
    capacitance: Any,
    exponent: Any,
    leak: Any,
    driven_leak: Any,
    ratio: Any,
    ratio_shift: Any,
    fraction: Any,
    guard: Any,
    reciprocal: Any,
) -> Any:
    """As `neuron` for a sample of that timespan: state + (A - G v) dt / (cm U + G dt), cm U = capacitance 2**exponent. dt = 0 leaves v."""
    total = maximum(conductance + leak, 0)
    pull = round_shift(driven * ratio, ratio_shift) + driven_leak
    length = common_length(total, pull, fraction)
    total_15 = mantissa(total, length)
    error = distance(state, pull, length, total_15, fraction, guard)
    time = maximum(elapsed, 0)
    time_length = bit_length(time)
    time_15 = mantissa(time, time_length)
    flow = total_15 * time_15  # G dt = flow 2**flow_exponent
    flow_exponent = length + time_length - 30
    common = maximum(flow_exponent, exponent)
    whole_sum = maximum(aligned(flow, common - flow_exponent) + aligned(capacitance, common - exponent), 1)
    whole_length = bit_length(whole_sum)
    inverse = interpolate(reciprocal, mantissa(whole_sum, whole_length) - 16384, 7)
    weight = round_shift(time_15 * inverse, 15)
    shift = 14 + whole_length + common - length - time_length - guard
    return state + round_shift(round_shift(error, 14) * weight, clip(shift, 0, 31))


def exact_timed(
    state: Any,
    conductance: Any,
    driven: Any,
    elapsed: Any,
    capacitance: Any,
    exponent: Any,
    leak: Any,
    driven_leak: Any,
    ratio: Any,
    ratio_shift: Any,
    fraction: Any,
    guard: Any,
    reciprocal: Any,
    exponential: Any,
) -> Any:
    """As `exact` for a sample of that timespan: the increment of `neuron_timed` times θ(G dt / (cm U + G dt)). dt = 0 leaves the state."""
    total = maximum(conductance + leak, 0)
    pull = round_shift(driven * ratio, ratio_shift) + driven_leak
    length = common_length(total, pull, fraction)
    total_15 = mantissa(total, length)
    error = distance(state, pull, length, total_15, fraction, guard)
    time = maximum(elapsed, 0)
    time_length = bit_length(time)
    time_15 = mantissa(time, time_length)
    flow = total_15 * time_15
    flow_exponent = length + time_length - 30
    common = maximum(flow_exponent, exponent)
    whole_sum = maximum(aligned(flow, common - flow_exponent) + aligned(capacitance, common - exponent), 1)
    whole_length = bit_length(whole_sum)
    inverse = interpolate(reciprocal, mantissa(whole_sum, whole_length) - 16384, 7)
    share_shift = clip(whole_length + common - flow_exponent - 16, 0, 31)
    share = minimum(round_shift(round_shift(flow, 15) * inverse, share_shift), 16383)
    weight = round_shift(time_15 * round_shift(inverse * interpolate(exponential, share, 7), 14), 16)
    shift = 13 + whole_length + common - length - time_length - guard
    return state + round_shift(round_shift(error, 14) * weight, clip(shift, 0, 31))


def common_length(total: Any, pull: Any, fraction: Any) -> Any:
    """The bit length under which G and A are both brought to 15 bits: A with v's fraction bits then stays within 2**30."""
    return bit_length(maximum(total, floor_shift(absolute(pull), 15 - fraction)))


def distance(state: Any, pull: Any, length: Any, total_15: Any, fraction: Any, guard: Any) -> Any:
    """A - G v in units of 2**(length - 15 - fraction)."""
    return left_shift(normalised(pull, length), fraction) - total_15 * round_shift(state, guard)


def normalised(value: Any, length: Any) -> Any:
    """value * 2**(15 - length): a value of that bit length becomes one of 15 bits."""
    return round_shift(left_shift(value, maximum(15 - length, 0)), maximum(length - 15, 0))


def mantissa(value: Any, length: Any) -> Any:
    """The same, with what rounds up to 2**15 kept below."""
    return minimum(normalised(value, length), 32767)


def aligned(value: Any, amount: Any) -> Any:
    """value / 2**amount for a value below 2**30, amount >= 0; 0 where nothing is left."""
    return round_shift(value, minimum(amount, 31))


def reciprocal_table() -> IntArray:
    """2**28 / D at 129 values of D from 2**14 to 2**15."""
    knots = np.linspace(1 << 14, 1 << 15, 129)
    return whole(round_half_up(2.0**28 / knots))


def exponential_table() -> IntArray:
    """θ(s) = (1 - e^(-s / (1 - s))) / s, Q.14, at 129 shares s from 0 to 1; 1 at both ends."""
    share = np.linspace(0.0, 1.0, 129)[1:-1]
    return whole(round_half_up(2.0**14 * np.concatenate([[1.0], -np.expm1(-share / (1.0 - share)) / share, [1.0]])))


_NEURON = ("leak", "driven_leak", "ratio", "ratio_shift", "fraction", "guard")
_TIMED = ("conductance", "driven", "elapsed"), ("capacitance", "exponent", *_NEURON)
GATE = Program("ltc.gate", gate, ("value",), ("gain", "gain_shift", "offset"), ("sigmoid",), True, False, (257,))
RELAY = Program("ltc.relay", relay, ("value",), ("gain", "gain_shift"), (), stateless=True, unit=False)
NEURON = Program("ltc.neuron", neuron, _TIMED[0][:2], ("capacitance", *_NEURON), ("reciprocal",), False, True, (129,))
EXACT = Program("ltc.exact", exact, _TIMED[0][:2], ("capacitance", *_NEURON), ("reciprocal", "exponential"), False, True, (129, 129))
NEURON_TIMED = Program("ltc.neuron_timed", neuron_timed, *_TIMED, ("reciprocal",), False, True, (129,))
EXACT_TIMED = Program("ltc.exact_timed", exact_timed, *_TIMED, ("reciprocal", "exponential"), False, True, (129, 129))
PROGRAMS = (GATE, RELAY, NEURON, EXACT, NEURON_TIMED, EXACT_TIMED)
