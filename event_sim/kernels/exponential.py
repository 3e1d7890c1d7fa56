"""An exponential without branches, which compilers can turn into SIMD code."""

from __future__ import annotations

import math
from typing import Any

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from event_sim.kernels.jit import FLAGS

LIMIT = 700.0  # arguments beyond would leave the range of float64
MAGIC = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer, left in the lowest bits
PER_LN2, LN2, LN2_REST = 1.4426950408889634, 0.6931471803691238, 1.9082149292705877e-10  # products of LN2 with small integers are exact
TAYLOR = tuple(1.0 / math.factorial(n) for n in range(12))


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


def _fast_exp(x: float) -> Any:
    """e^x for |x| <= 700 to a relative error below 1e-14, without a branch.

    x = n ln 2 + r; adding 1.5 * 2^52 rounds x / ln 2 to the integer n and leaves it in the lowest bits; e^r is its Taylor polynomial, odd
    and even powers apart. Each product is part of one sum at most: fused multiply-adds, where there are, come out alike wherever this is
    compiled, and so they do in kernels.lanes.one_and_exp.
    """
    shifted = x * PER_LN2 + MAGIC
    n = shifted - MAGIC
    r = x - n * LN2
    r = r - n * LN2_REST
    square = r * r
    odd = TAYLOR[11] * square + TAYLOR[9]
    odd = odd * square + TAYLOR[7]
    odd = odd * square + TAYLOR[5]
    odd = odd * square + TAYLOR[3]
    odd = odd * square + TAYLOR[1]
    even = TAYLOR[10] * square + TAYLOR[8]
    even = even * square + TAYLOR[6]
    even = even * square + TAYLOR[4]
    even = even * square + TAYLOR[2]
    even = even * square + TAYLOR[0]
    bits = (_bits_of(shifted) + 1023) << 52  # type: ignore[call-arg]
    return (odd * r + even) * _float_of(bits)  # type: ignore[call-arg]


fast_exp = numba.njit(fastmath={"contract"}, **FLAGS)(_fast_exp)
