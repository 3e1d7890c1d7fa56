"""The primitives of hardware_profiles/fixed_point.py in JAX: integers held in float64 (exact to 2**53), with straight-through gradients.

Forward every function gives the integer that its namesake gives. Backward a rounding is the identity, a shift the scaling it stands for, a
clip the identity on its range (both ends belong to it) and 0 outside, a table the slope of the segment that was read, and a delta
message the identity in the value sent. Bit lengths, being exponents, are constants.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from hardware_profiles.fixed_point import QFormat


@jax.custom_jvp
def floor(value: Any) -> Any:
    """The largest integer not above value; the gradient of the identity."""
    return jnp.floor(value)


@floor.defjvp
def _floor_jvp(primals: Any, tangents: Any) -> Any:
    return jnp.floor(primals[0]), tangents[0]


def round_half_up(value: Any) -> Any:
    """floor(value + 1/2)."""
    return floor(value + 0.5)


def _power_of_two(amount: Any) -> Any:
    """2**amount for whole amounts from -1022 to 1023, exactly (exp2 is not exact everywhere)."""
    if isinstance(amount, int):
        return 2.0**amount
    return jnp.ldexp(1.0, jnp.asarray(jax.lax.stop_gradient(amount)).astype(jnp.int32))


def floor_shift(value: Any, amount: Any) -> Any:
    """floor(value / 2**amount)."""
    return floor(value * _power_of_two(-amount))


def round_shift(value: Any, amount: Any) -> Any:
    """value / 2**amount rounded half up. For a whole value and amount 0 the half is lost in the floor."""
    return floor(value * _power_of_two(-amount) + 0.5)


def left_shift(value: Any, amount: Any) -> Any:
    """value * 2**amount."""
    return value * _power_of_two(amount)


def select(condition: Any, if_true: Any, if_false: Any) -> Any:
    """if_true where condition holds, else if_false."""
    return jnp.where(condition, if_true, if_false)


def minimum(first: Any, second: Any) -> Any:
    """The smaller; of equals the first has the gradient."""
    return jnp.where(first <= second, first, second)


def maximum(first: Any, second: Any) -> Any:
    """The larger; of equals the first has the gradient."""
    return jnp.where(first >= second, first, second)


def clip(value: Any, lowest: Any, highest: Any) -> Any:
    """value within lowest .. highest; the ends belong to the range and keep their gradient."""
    return minimum(maximum(value, lowest), highest)


def saturate(value: Any, bits: int) -> Any:
    """value within the range of a signed word."""
    return clip(value, -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1)


def bit_length(value: Any) -> Any:
    """The number of bits of a non-negative integer; no gradient."""
    return jnp.frexp(jax.lax.stop_gradient(value))[1]


def look_up(table: Any, index: Any) -> Any:
    """table[index], without a gradient (`interpolate` has one)."""
    return jnp.asarray(table)[jax.lax.stop_gradient(index).astype(jnp.int32)]


def interpolate(table: Any, position: Any, fraction_bits: int) -> Any:
    """liquid_neuro.cells.integer.interpolate; the gradient is the slope of the segment."""
    return _interpolate(jnp.asarray(table), fraction_bits, position)


def _segment(table: Any, fraction_bits: int, position: Any) -> tuple[Any, Any]:
    """(value, slope) at a position."""
    step = 2.0**-fraction_bits
    index = jnp.floor(position * step)
    low = table[index.astype(jnp.int32)]
    rise = table[index.astype(jnp.int32) + 1] - low
    rest = position - index * 2.0**fraction_bits
    return low + jnp.floor(rise * rest * step + 0.5), rise * step


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _interpolate(table: Any, fraction_bits: int, position: Any) -> Any:
    return _segment(table, fraction_bits, position)[0]


@_interpolate.defjvp
def _interpolate_jvp(fraction_bits: Any, primals: Any, tangents: Any) -> Any:
    value, slope = _segment(primals[0], fraction_bits, primals[1])
    return value, slope * tangents[1]


def absolute(value: Any) -> Any:
    """The magnitude."""
    return jnp.abs(value)


def quantize(real: Any, format: QFormat) -> Any:
    """The integers of a format nearest to real values, saturated (QFormat.quantize); the gradient is 1 / lsb within the range."""
    return clip(round_half_up(real / format.lsb), float(format.lowest), float(format.highest))


PRIMITIVES: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        floor_shift, round_shift, left_shift, select, minimum, maximum, clip, saturate, bit_length, look_up, interpolate, absolute,
    )
}  # fmt: skip


class ArrayNamespace:
    """What the rounding of parameters needs from NumPy, with gradients that include the ends of ranges."""

    clip = staticmethod(clip)
    maximum = staticmethod(maximum)
    minimum = staticmethod(minimum)
    abs = staticmethod(jnp.abs)

    @staticmethod
    def bincount(index: Any, weights: Any, minlength: int) -> Any:
        """Sums of `weights` by index, in the order of the entries."""
        return jnp.zeros(minlength, jnp.asarray(weights).dtype).at[jnp.asarray(index)].add(weights)

    def __getattr__(self, name: str) -> Any:
        return getattr(jnp, name)
