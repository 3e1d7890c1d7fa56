"""Mixed memory in integers: an LSTM cell beside the liquid state (lstm.py has the equations), two compartments per unit.

With the sums of what it hears, raw inputs and liquid states: c' = c sigmoid(fg + 1) + tanh(i) sigmoid(ig) in the first, which sends c' to
the second: h~ = tanh(c') sigmoid(og). A CfC hears h~ in place of its own states, an LTC begins every sample at it (ltc_recalled.py). The
1 of the forget gate is part of its bias.

Arguments are Q.12, tables Q.14; words of c have 16 bits, of h~ 14 fraction bits. Every product fits a signed 32-bit word: |c| <= 2**15
times a gate of at most 2**14; |tanh| <= 2**14 times a gate.
"""

from __future__ import annotations

from typing import Any

from hardware_profiles.fixed_point import round_shift, select
from liquid_neuro.cells.integer import Program, curve

GATES = ("value", "input_gate", "forget_gate")  # ports of the cell; the second compartment has "output_gate"


def cell(
    state: Any,
    value: Any,
    input_gate: Any,
    forget_gate: Any,
    value_bias: Any,
    input_gate_bias: Any,
    forget_gate_bias: Any,
    value_multiplier: Any,
    input_gate_multiplier: Any,
    forget_gate_multiplier: Any,
    value_shift: Any,
    input_gate_shift: Any,
    forget_gate_shift: Any,
    product_shift: Any,
    tanh: Any,
    sigmoid: Any,
) -> Any:
    """The new memory c'. product_shift: from Q.28 to the word's fraction bits."""
    news = curve(tanh, round_shift(value * value_multiplier, value_shift) + value_bias, 32768, 7)
    let_in = curve(sigmoid, round_shift(input_gate * input_gate_multiplier, input_gate_shift) + input_gate_bias, 32768, 7)
    keep = curve(sigmoid, round_shift(forget_gate * forget_gate_multiplier, forget_gate_shift) + forget_gate_bias, 32768, 7)
    return round_shift(state * keep, 14) + round_shift(news * let_in, product_shift)


def cell_timed(
    state: Any,
    value: Any,
    input_gate: Any,
    forget_gate: Any,
    elapsed: Any,
    value_bias: Any,
    input_gate_bias: Any,
    forget_gate_bias: Any,
    value_multiplier: Any,
    input_gate_multiplier: Any,
    forget_gate_multiplier: Any,
    value_shift: Any,
    input_gate_shift: Any,
    forget_gate_shift: Any,
    product_shift: Any,
    tanh: Any,
    sigmoid: Any,
) -> Any:
    """The new memory c' where samples last differently long: the LSTM does not know how long, but a timespan of 0 leaves c."""
    after = cell(
        state, value, input_gate, forget_gate, value_bias, input_gate_bias, forget_gate_bias, value_multiplier, input_gate_multiplier,
        forget_gate_multiplier, value_shift, input_gate_shift, forget_gate_shift, product_shift, tanh, sigmoid,
    )  # fmt: skip
    return select(elapsed > 0, after, state)


def output(
    state: Any,
    memory: Any,
    output_gate: Any,
    memory_multiplier: Any,
    output_gate_bias: Any,
    output_gate_multiplier: Any,
    output_gate_shift: Any,
    state_shift: Any,
    tanh: Any,
    sigmoid: Any,
) -> Any:
    """h~ = tanh(c') sigmoid(og). memory: the message of c', which its multiplier brings to Q.12."""
    shown = curve(tanh, memory * memory_multiplier, 32768, 7)
    let_out = curve(sigmoid, round_shift(output_gate * output_gate_multiplier, output_gate_shift) + output_gate_bias, 32768, 7)
    return round_shift(shown * let_out, state_shift)


_AFFINE = tuple(f"{port}_{part}" for part in ("bias", "multiplier", "shift") for port in GATES)
_OUTPUT = tuple(f"output_gate_{part}" for part in ("bias", "multiplier", "shift"))
_TABLES = ("tanh", "sigmoid")
CELL = Program("lstm.cell", cell, GATES, (*_AFFINE, "product_shift"), _TABLES, False, False, (513, 513))
CELL_TIMED = Program("lstm.cell_timed", cell_timed, (*GATES, "elapsed"), (*_AFFINE, "product_shift"), _TABLES, False, False, (513, 513))
OUTPUT = Program(
    "lstm.output", output, ("memory", "output_gate"), ("memory_multiplier", *_OUTPUT, "state_shift"), _TABLES, True, False, (513, 513)
)
PROGRAMS = (CELL, CELL_TIMED, OUTPUT)
