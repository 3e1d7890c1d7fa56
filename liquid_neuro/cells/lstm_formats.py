"""The formats of mixed memory in integers, and the rounding of its parameters; lstm_integer.py says what is computed from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware_profiles.fixed_point import QFormat, round_half_up
from liquid_neuro.cells.cfc_integer import INDEX_BITS, VALUE_FRACTION
from liquid_neuro.cells.dense_formats import DenseFormats, FloatArray, dense_integers
from liquid_neuro.cells.integer import odd_table, sigmoid_table
from liquid_neuro.quantized_network import IntArray

MapIntegers = Mapping[str, tuple[Any, Any]]  # (weight, bias) by gate


@dataclass(frozen=True, eq=False)
class MemoryFormats:
    """The LSTM cell of mixed memory.

    gates: its dense maps "value", "input_gate", "forget_gate", "output_gate"; mean: of what they hear. cell, message: words of the memory
    c and its messages; state: words of h~, whose messages have the form that the liquid cell hears.
    """

    gates: Mapping[str, DenseFormats]
    mean: FloatArray
    cell: QFormat
    message: QFormat
    state: QFormat

    @property
    def message_shift(self) -> int:
        """From the word of the memory to its message."""
        return self.cell.fraction_bits - self.message.fraction_bits


def memory_maps(lstm: Any, xp: Any = np) -> dict[str, tuple[Any, Any]]:
    """The LSTM's four maps (weight (units, inputs + units), bias) by gate, the forget gate's 1 added. lstm: named as LSTMValues."""
    units = lstm.input_bias.shape[0] // 4
    maps = {}
    for number, name in enumerate(("value", "input_gate", "forget_gate", "output_gate")):
        rows = slice(number * units, (number + 1) * units)
        weight = xp.concatenate((lstm.input_weight[rows], lstm.recurrent_weight[rows]), axis=1)
        maps[name] = (weight, lstm.input_bias[rows] + (1.0 if name == "forget_gate" else 0.0))
    return maps


def memory_integers(
    lstm: Any, how: MemoryFormats, step: int, xp: Any = np, rounding: Callable[[Any], Any] = round_half_up
) -> dict[str, tuple[Any, Any]]:
    """The four maps on their grids, by gate (dense_formats.py). step: of the weights."""
    maps = memory_maps(lstm, xp)
    return {name: dense_integers(*affine, how.gates[name], how.mean, step, xp, rounding) for name, affine in maps.items()}


def memory_tables() -> dict[str, IntArray]:
    """The look-up tables of the memory by name."""
    return {"tanh": tanh_table(), "sigmoid": sigmoid_table(VALUE_FRACTION, INDEX_BITS)}


def tanh_table() -> IntArray:
    """tanh over -8 .. 8, Q.VALUE_FRACTION."""
    return odd_table(np.tanh, 8.0, INDEX_BITS, VALUE_FRACTION)
