"""Formats of mixed memory and of dense maps in integers: scales from weights, message bits from sums, words of c from calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardware_profiles.fixed_point import QFormat
from liquid_neuro.cells.cfc_integer import VALUE_FRACTION
from liquid_neuro.cells.dense_formats import DenseFormats
from liquid_neuro.cells.integer import ratio_at_least
from liquid_neuro.cells.lstm import LSTMValues
from liquid_neuro.cells.lstm_formats import MemoryFormats, memory_maps
from liquid_neuro.network import FloatArray
from mappers.quantization import integer_bits
from mappers.weight_scales import Heard, per_unit

ARGUMENT_BOUND = 8.0  # tables reach from -8 to 8 where arguments stay within, and further in powers of two where they do not
MEMORY_MARGIN = 1.5  # of a memory word above what calibration saw
ASSUMED_MEMORY = 8.0  # |c| where nobody knows; beyond it words saturate, counted
MOST_MEMORY_BITS = 12  # left of the point: a gate opens to σ(8) at most, so that |c| <= 1 / (1 - σ(8)) = 2982
MOST_MEMORY_FRACTION = 12  # of the messages of c, which are arguments of tanh


@dataclass(frozen=True, eq=False)
class MemoryTrace:
    """What mixed memory saw in calibration: mean and covariance of what its maps hear (inputs, then states), the largest |c|."""

    mean: FloatArray
    covariance: FloatArray
    largest: float
    seen: bool


def most_fraction(weight: FloatArray, ranges: FloatArray, highest: int, room: float) -> float:
    """The most fraction bits (not whole) of messages of these ranges with which no running sum can exceed `room`; infinite without weights.

    Rounding adds half a step to an integer weight at most, and one step to a message.
    """
    scale = float(np.abs(weight).max(initial=0.0)) / highest
    if not scale:
        return float("inf")
    integers = np.abs(weight) / scale + (weight != 0) * (256 - highest) / 2  # half a step of the grid
    sums = integers @ ranges
    left = np.maximum(room - integers.sum(axis=1), 2.0**-30)
    return float(np.log2((left[sums > 0] / sums[sums > 0]).min(initial=np.inf)))


def dense_map(weight: FloatArray, argument_bound: float, message_fraction: int, highest: int, least_bits: int = 3) -> DenseFormats:
    """The smallest scale that holds the weights and whose argument, with 3 whole bits at least, is an exact multiple of the sum."""
    fraction = 15 - max(integer_bits(max(argument_bound, 2.0**-9)), least_bits)
    needed = float(np.abs(weight).max(initial=0.0)) / highest or 1e-3
    multiplier, shift = ratio_at_least(needed * 2.0 ** (fraction - message_fraction))
    if multiplier > 255 or shift > 31:
        raise ValueError(
            f"weights must have a magnitude between 1e-4 and 1e4 to run in integers, but the largest is {needed * highest:.4g}"
        )
    return DenseFormats(multiplier, shift, fraction, message_fraction)


def memory_formats(
    lstm: LSTMValues, trace: MemoryTrace, ranges: FloatArray, message_fraction: int, bits: int, room: float
) -> tuple[MemoryFormats, str]:
    """The memory's formats, and what decided the word of c. ranges: the largest |message| of each column that the maps hear.

    bits: of weights; room: of a running sum.
    """
    maps, highest = memory_maps(lstm), 254 - 254 % (2 << (8 - bits))
    heard = Heard(ranges + 2.0**-message_fraction, trace.covariance, room * 2.0**-message_fraction)
    shared = {name: dense_map(weight, ARGUMENT_BOUND, message_fraction, highest) for name, (weight, _) in maps.items()}
    gates = {name: per_unit(maps[name][0], dense, heard, bits) for name, dense in shared.items()}
    largest, reason = _largest(trace, *maps["forget_gate"], ranges)
    whole = min(max(integer_bits(max(largest, 0.5)), 0), MOST_MEMORY_BITS)
    cell = QFormat(16, 15 - whole)
    fraction = min(cell.fraction_bits, MOST_MEMORY_FRACTION)
    return MemoryFormats(gates, trace.mean, cell, QFormat(whole + 2 + fraction, fraction), QFormat(16, VALUE_FRACTION)), reason


def _largest(trace: MemoryTrace, weight: FloatArray, bias: FloatArray, ranges: FloatArray) -> tuple[float, str]:
    """|c| that its word must hold, and why: c' = c f + i with |i| <= 1 stays below 1 / (1 - f) for f up to what the gate can open to."""
    if trace.seen:
        return MEMORY_MARGIN * trace.largest, f"|c| up to {trace.largest:.4g} in calibration, with half as much to spare"
    widest = float(1.0 + np.exp(np.minimum(np.abs(weight) @ ranges + bias, ARGUMENT_BOUND)).max(initial=0.0))
    if widest < ASSUMED_MEMORY:
        return widest, f"|c| <= {widest:.4g}, as far as the forget gates can open"
    return ASSUMED_MEMORY, f"|c| up to {ASSUMED_MEMORY:g}, assumed: no calibration"
