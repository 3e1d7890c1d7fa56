"""Fixed-point formats and the integer primitives: the only rounding in the repository.

A neuron's integer program (``liquid_neuro/cells``) is straight-line Python over ``+ - *``, comparisons and the functions of this file.
Each is written without a branch or a loop, so that the same source runs on Python integers (the naive simulator), on NumPy integer
arrays (inside Lava processes), under numba (the kernels) and printed as C99. JAX and operation counting bring functions of the same names.

One rounding rule everywhere: *half up*, ``floor(x + 1/2)``. So -6.5 becomes -6 and 6.5 becomes 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class QFormat:
    """A fixed-point number format: ``bits`` in all (sign included), ``fraction_bits`` of them behind the point.

    ``fraction_bits`` may exceed ``bits`` (all values below 1) or be negative (values are multiples of a power of two).
    """

    bits: int
    fraction_bits: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 63:
            raise ValueError(f"QFormat.bits must be 1 to 63, but is {self.bits}")

    @property
    def lsb(self) -> float:
        """The real value of one step."""
        return 2.0**-self.fraction_bits

    @property
    def lowest(self) -> int:
        """The smallest integer of the format."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The largest integer of the format."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    def quantize(self, real: npt.ArrayLike) -> Integers:
        """The nearest integers of the format (half up), saturated at its ends. NaN is refused with ValueError."""
        scaled = np.asarray(real, dtype=np.float64) / self.lsb
        if np.isnan(scaled).any():
            raise ValueError("a value to quantise must be a number, but is NaN")
        nearest: Integers = np.clip(round_half_up(scaled), self.lowest, self.highest).astype(np.int64)
        return nearest

    def to_real(self, integer: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The real values that integers of this format stand for."""
        return np.asarray(integer, dtype=np.float64) * self.lsb

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}.{self.fraction_bits}"


def round_half_up(real: Any) -> Any:
    """floor(real + 1/2) of floats, as floats."""
    return np.floor(np.asarray(real, dtype=np.float64) + 0.5)


# --- primitives: each interpreter supplies functions of these names -------------------------------------------------------------


def floor_shift(value: Any, amount: Any) -> Any:
    """floor(value / 2**amount), amount >= 0; also by a computed amount."""
    return value >> amount


def round_shift(value: Any, amount: Any) -> Any:
    """value / 2**amount rounded half up, amount >= 0; also by a computed amount."""
    return (value + ((1 << amount) >> 1)) >> amount


def left_shift(value: Any, amount: Any) -> Any:
    """value * 2**amount, amount >= 0; also by a computed amount."""
    return value << amount


def select(condition: Any, if_true: Any, if_false: Any) -> Any:
    """if_true where condition holds, else if_false. Both are evaluated."""
    return if_false + (if_true - if_false) * condition


def minimum(first: Any, second: Any) -> Any:
    """The smaller of two integers."""
    return second + (first - second) * (first < second)


def maximum(first: Any, second: Any) -> Any:
    """The larger of two integers."""
    return second + (first - second) * (first > second)


def clip(value: Any, lowest: Any, highest: Any) -> Any:
    """value, moved into lowest..highest."""
    return minimum(maximum(value, lowest), highest)


def saturate(value: Any, bits: Any) -> Any:
    """value, moved into the range of a signed word of so many bits."""
    return clip(value, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def bit_length(value: Any) -> Any:
    """The number of bits of a non-negative integer below 2**32: 0 for 0, 1 for 1, 15 for 2**14."""
    length = (value >= 1) * 1
    length = length + (value >= 1 << 1) + (value >= 1 << 2) + (value >= 1 << 3) + (value >= 1 << 4)
    length = length + (value >= 1 << 5) + (value >= 1 << 6) + (value >= 1 << 7) + (value >= 1 << 8)
    length = length + (value >= 1 << 9) + (value >= 1 << 10) + (value >= 1 << 11) + (value >= 1 << 12)
    length = length + (value >= 1 << 13) + (value >= 1 << 14) + (value >= 1 << 15) + (value >= 1 << 16)
    length = length + (value >= 1 << 17) + (value >= 1 << 18) + (value >= 1 << 19) + (value >= 1 << 20)
    length = length + (value >= 1 << 21) + (value >= 1 << 22) + (value >= 1 << 23) + (value >= 1 << 24)
    length = length + (value >= 1 << 25) + (value >= 1 << 26) + (value >= 1 << 27) + (value >= 1 << 28)
    return length + (value >= 1 << 29) + (value >= 1 << 30) + (value >= 1 << 31)


def look_up(table: Any, index: Any) -> Any:
    """table[index], 0 <= index < len(table)."""
    return table[index]


PRIMITIVES = (floor_shift, round_shift, left_shift, select, minimum, maximum, clip, saturate, bit_length, look_up)
