"""CfC in integers: every unit is one compartment with a running sum per head; a backbone layer's units have one sum each.

With z the messages that a layer hears and a fixed elapsed time dt, the two time heads fold into one: Wt = dt Wa + Wb, bt = dt ba + bb, and

    default : h' = tanh(f1) + s (tanh(f2) - tanh(f1))        f1 = W1 z + b1, f2 = W2 z + b2, s = sigmoid(Wt z + bt)
    no_gate : h' = tanh(f1) + s tanh(f2)
    pure    : h' = A - B p(f1),   B = A exp(-dt |w_tau|),   p(u) = u exp(-dt |u|) from a table

Where samples last differently long every unit hears the timespan, and the programs named `_timed` compute s = sigmoid(dt (Wa z + ba) +
Wb z + bb) and, in mode pure, h' = A - A f1 exp(-dt (|w_tau| + |f1|)). A timespan of 0 leaves the state.

An argument x is sum * multiplier / 2**shift + bias, in Q.fraction (12 bits, fewer where arguments leave -8 .. 8); the weights' scale is
chosen so that this is exact. Tables span -2**15 .. 2**15 in 512 straight pieces; in the Keras dialect, which has no tanh around f1 and f2,
the table named tanh is a straight line. Every product fits a signed 32-bit word: |sum| < 2**23 times a multiplier below 2**8; gate
(15 bits) times a difference of 17 bits; gain times p, 15 and 16 bits; a slope or rate of 17 bits times a timespan of 15.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hardware_profiles.fixed_point import clip, minimum, round_shift, select
from liquid_neuro.cells.integer import Program, absolute, curve, interpolate, mix

INDEX_BITS = 9
VALUE_FRACTION = 14  # of tanh and the gate

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


def relay(state: Any, value: Any) -> Any:
    """What came in the tick before: it brings a sample's timespan to a layer together with the sample."""
    return value


def unit_timed(
    state: Any,
    first: Any,
    second: Any,
    slope: Any,
    level: Any,
    elapsed: Any,
    first_bias: Any,
    second_bias: Any,
    slope_bias: Any,
    level_bias: Any,
    first_multiplier: Any,
    second_multiplier: Any,
    slope_multiplier: Any,
    level_multiplier: Any,
    first_shift: Any,
    second_shift: Any,
    slope_shift: Any,
    level_shift: Any,
    elapsed_shift: Any,
    state_shift: Any,
    tanh: Any,
    sigmoid: Any,
) -> Any:
    """The new state of a unit in mode default after a sample of that timespan."""
    start = curve(tanh, round_shift(first * first_multiplier, first_shift) + first_bias, 32768, 7)
    goal = curve(tanh, round_shift(second * second_multiplier, second_shift) + second_bias, 32768, 7)
    rate = clip(round_shift(slope * slope_multiplier, slope_shift) + slope_bias, -32768, 32767)
    fixed = round_shift(level * level_multiplier, level_shift) + level_bias
    gate = curve(sigmoid, round_shift(rate * elapsed, elapsed_shift) + fixed, 32768, 7)
    return select(elapsed > 0, round_shift(mix(start, goal, gate, 14), state_shift), state)


def unit_no_gate_timed(
    state: Any,
    first: Any,
    second: Any,
    slope: Any,
    level: Any,
    elapsed: Any,
    first_bias: Any,
    second_bias: Any,
    slope_bias: Any,
    level_bias: Any,
    first_multiplier: Any,
    second_multiplier: Any,
    slope_multiplier: Any,
    level_multiplier: Any,
    first_shift: Any,
    second_shift: Any,
    slope_shift: Any,
    level_shift: Any,
    elapsed_shift: Any,
    state_shift: Any,
    tanh: Any,
    sigmoid: Any,
) -> Any:
    """The new state of a unit in mode no_gate after a sample of that timespan."""
    start = curve(tanh, round_shift(first * first_multiplier, first_shift) + first_bias, 32768, 7)
    goal = curve(tanh, round_shift(second * second_multiplier, second_shift) + second_bias, 32768, 7)
    rate = clip(round_shift(slope * slope_multiplier, slope_shift) + slope_bias, -32768, 32767)
    fixed = round_shift(level * level_multiplier, level_shift) + level_bias
    gate = curve(sigmoid, round_shift(rate * elapsed, elapsed_shift) + fixed, 32768, 7)
    return select(elapsed > 0, round_shift(start + round_shift(gate * goal, 14), state_shift), state)


def unit_pure_timed(
    state: Any,
    first: Any,
    elapsed: Any,
    first_bias: Any,
    first_multiplier: Any,
    first_shift: Any,
    tau: Any,
    elapsed_shift: Any,
    gain: Any,
    gain_shift: Any,
    offset: Any,
    decay: Any,
) -> Any:
    """The new state of a unit in mode pure after a sample of that timespan; decay: exp(-u), Q.14, over 0 .. 16."""
    drive = clip(round_shift(first * first_multiplier, first_shift) + first_bias, -32768, 32767)
    rate = minimum(absolute(drive) + tau, 65535)
    left = interpolate(decay, clip(round_shift(rate * elapsed, elapsed_shift), 0, 65535), 7)
    return select(elapsed > 0, offset - round_shift(gain * round_shift(drive * left, 14), gain_shift), state)


_HEADS = ("first", "second", "time")
_AFFINE = tuple(f"{port}_{part}" for part in ("bias", "multiplier", "shift") for port in _HEADS)
UNIT = Program("cfc.unit", unit, _HEADS, (*_AFFINE, "state_shift"), ("tanh", "sigmoid"), True, True, (513, 513))
UNIT_NO_GATE = replace(UNIT, name="cfc.unit_no_gate", function=unit_no_gate)
UNIT_PURE = Program(
    "cfc.unit_pure",
    unit_pure,
    ("first",),
    ("first_bias", "first_multiplier", "first_shift", "gain", "gain_shift", "offset"),
    ("decay",),
    stateless=True,
    unit=True,
    entries=(513,),
)
BACKBONE = Program("cfc.backbone", backbone, ("drive",), ("bias", "multiplier", "shift"), ("activation",), True, False, (513,))
RELAY = Program("relay", relay, ("value",), (), (), stateless=True, unit=False)

_TIMED_HEADS = ("first", "second", "slope", "level")
_TIMED_AFFINE = tuple(f"{port}_{part}" for part in ("bias", "multiplier", "shift") for port in _TIMED_HEADS)
UNIT_TIMED = Program(
    "cfc.unit_timed",
    unit_timed,
    (*_TIMED_HEADS, "elapsed"),
    (*_TIMED_AFFINE, "elapsed_shift", "state_shift"),
    ("tanh", "sigmoid"),
    stateless=False,
    unit=True,
    entries=(513, 513),
)
UNIT_NO_GATE_TIMED = replace(UNIT_TIMED, name="cfc.unit_no_gate_timed", function=unit_no_gate_timed)
UNIT_PURE_TIMED = Program(
    "cfc.unit_pure_timed",
    unit_pure_timed,
    ("first", "elapsed"),
    ("first_bias", "first_multiplier", "first_shift", "tau", "elapsed_shift", "gain", "gain_shift", "offset"),
    ("decay",),
    stateless=False,
    unit=True,
    entries=(513,),
)
BY_MODE = {"default": UNIT, "no_gate": UNIT_NO_GATE, "pure": UNIT_PURE}
TIMED_BY_MODE = {"default": UNIT_TIMED, "no_gate": UNIT_NO_GATE_TIMED, "pure": UNIT_PURE_TIMED}
PROGRAMS = (UNIT, UNIT_NO_GATE, UNIT_PURE, BACKBONE, UNIT_TIMED, UNIT_NO_GATE_TIMED, UNIT_PURE_TIMED, RELAY)
