"""An exponential without branches, which compilers can turn into SIMD code."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from event_sim.kernels.jit import inner

LIMIT = 700.0  # arguments beyond would leave the range of float64


@intrinsic
def _bits_of(context: Any, number: Any) -> Any:
    """The bits of a float as an integer."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def _float_of(context: Any, bits: Any) -> Any:
    """The float with these bits."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@inner
def fast_exp(x: float) -> Any:
    """e^x for |x| <= 700 to a relative error below 1e-14, without a branch.

    x = n ln 2 + r; adding 1.5 * 2^52 rounds x / ln 2 to the integer n and leaves it in the lowest bits; e^r is its Taylor polynomial.
    """
    magic = 6755399441055744.0
    shifted = x * 1.4426950408889634 + magic
    n = shifted - magic
    r = x - n * 0.6931471803691238
    r = r - n * 1.9082149292705877e-10
    p = 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    bits = (_bits_of(shifted) + 1023) << 52  # type: ignore[call-arg]
    return p * _float_of(bits)  # type: ignore[call-arg]
