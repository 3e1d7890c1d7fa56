"""What the cells' integer programs share: interpolated tables, delta messages, and sums over synapses.

Numbers are integers. "Q.12" is an integer with 12 fraction bits: 4096 stands for 1. Arguments of sigmoid and tanh are Q.12 in -8 .. 8.
An interpreter that needs its own version of one of these functions (JAX: gradients) replaces it by name, as it does the primitives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware_profiles.fixed_point import QFormat, clip, floor_shift, left_shift, look_up, round_half_up, round_shift, saturate, select
from liquid_neuro.quantized_network import IntArray, Population

ARGUMENT_FRACTION = 12
HALF_WIDTH = 8 << ARGUMENT_FRACTION  # tables of sigmoid and tanh end at -8 and 8


@dataclass(frozen=True)
class Program:
    """One neuron's integer program: new = function(state, *ports, *parameters, *tables), not yet saturated.

    ports, parameters, tables: names in the order of the function's signature.
    entries: how many entries each table has; the program reaches all of them and none beyond.
    stateless: the result does not depend on the state. unit: its state is a network state (not a gate or a backbone layer).
    """

    name: str
    function: Callable[..., Any]
    ports: tuple[str, ...]
    parameters: tuple[str, ...]
    tables: tuple[str, ...]
    stateless: bool
    unit: bool
    entries: tuple[int, ...] = ()


def interpolate(table: Any, position: Any, fraction_bits: Any) -> Any:
    """The table at position / 2**fraction_bits, straight lines between its entries, rounded half up.

    0 <= position < (entries - 1) * 2**fraction_bits.
    """
    index = floor_shift(position, fraction_bits)
    rest = position - left_shift(index, fraction_bits)
    low = look_up(table, index)
    return low + round_shift((look_up(table, index + 1) - low) * rest, fraction_bits)


def curve(table: Any, argument: Any, half_width: Any, fraction_bits: Any) -> Any:
    """A table over -half_width .. half_width at `argument`, which is clipped to it."""
    return interpolate(table, clip(argument + half_width, 0, 2 * half_width - 1), fraction_bits)


def mix(start: Any, goal: Any, share: Any, fraction_bits: Any) -> Any:
    """The point on the way from start to goal at share / 2**fraction_bits, rounded half up; between them for shares of 0 to 1."""
    return start + round_shift(share * (goal - start), fraction_bits)


def absolute(value: Any) -> Any:
    """The magnitude of an integer."""
    return select(value < 0, -value, value)


def sent_after(message: Any, sent: Any, threshold: Any) -> Any:
    """What the targets hold once a compartment had its turn: its message where that moved by the threshold, else what it sent last."""
    return select(absolute(message - sent) >= threshold, message, sent)


def predicted(state: Any, before: Any, state_bits: Any, message_shift: Any) -> Any:
    """The message half a turn ahead of a state that was `before` one turn ago and goes on like this (populations with `prediction`)."""
    return round_shift(saturate(state + floor_shift(state - before, 1), state_bits), message_shift)


def gather(values: Any, index: Any) -> Any:
    """values[..., index]: what each synapse receives from its source."""
    return values[..., index]


def scatter_sum(values: Any, target: Any, size: int) -> Any:
    """The sums of `values` (…, synapses) over the synapses of each of `size` targets."""
    sums = np.zeros((size, *np.shape(values)[:-1]), dtype=np.int64)
    np.add.at(sums, target, np.moveaxis(values, -1, 0))
    return np.moveaxis(sums, 0, -1)


def weighted_sum(messages: Any, weight: Any) -> Any:
    """Sums (…, targets) of messages (…, sources) times weights (targets, sources)."""
    return messages @ weight.T


def join(parts: tuple[Any, ...]) -> Any:
    """The parts behind one another along the last axis."""
    return np.concatenate(parts, axis=-1)


def sampled_curve(function: Callable[[Any], Any], half_width: float, index_bits: int, fraction_bits: int) -> IntArray:
    """The 2**index_bits + 1 entries, Q.fraction_bits, of a function over -half_width .. half_width."""
    knots = np.linspace(-half_width, half_width, (1 << index_bits) + 1)
    return np.asarray(round_half_up(function(knots) * 2.0**fraction_bits)).astype(np.int64)


def sigmoid_table(fraction_bits: int, index_bits: int = 8) -> IntArray:
    """The logistic function over -8 .. 8, Q.fraction_bits; entry[n - i] = 2**fraction_bits - entry[i] exactly."""
    entries = sampled_curve(lambda knots: 1.0 / (1.0 + np.exp(-knots)), 8.0, index_bits, fraction_bits)
    half = len(entries) // 2
    entries[half + 1 :] = (1 << fraction_bits) - entries[:half][::-1]
    return entries


def odd_table(function: Callable[[Any], Any], half_width: float, index_bits: int, fraction_bits: int) -> IntArray:
    """As `sampled_curve` for an odd function; entry[n - i] = -entry[i] exactly."""
    entries = sampled_curve(function, half_width, index_bits, fraction_bits)
    half = len(entries) // 2
    entries[half] = 0
    entries[:half] = -entries[half + 1 :][::-1]
    return entries


def ratio_at_least(value: float, bits: int = 8) -> tuple[int, int]:
    """(multiplier, shift) with the smallest multiplier / 2**shift >= value > 0, 2**(bits-1) <= multiplier < 2**bits where shift > 0."""
    shift = max(bits - int(np.frexp(value)[1]), 0)
    multiplier = int(np.ceil(value * 2.0**shift))
    if multiplier == 1 << bits and shift > 0:
        multiplier, shift = multiplier >> 1, shift - 1
    return multiplier, shift


def whole(values: Any) -> IntArray:
    """Whole floats as int64."""
    result: npt.NDArray[np.int64] = np.asarray(values).astype(np.int64)
    return result


def constant(value: int | IntArray, size: int) -> IntArray:
    """A parameter that all compartments share, or (size,) of them."""
    return np.full(size, value, dtype=np.int64)


def elapsed_format(longest: float, bits: int = 24) -> QFormat:
    """The words of timespans up to the longest, in model units."""
    return QFormat(bits, bits - 1 - int(np.frexp(longest)[1]))


def elapsed_population(format: QFormat, ticks_per_sample: int) -> Population:
    """The host's compartment that tells each sample's timespan."""
    return Population("elapsed", "", 1, {}, {}, format, 0, format.bits, 1, 0, ticks_per_sample, ("elapsed",))
