"""The scalar functions of the cells, safe for every finite argument (no overflow, no warning)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x: npt.ArrayLike) -> FloatArray:
    """1 / (1 + e^-x), with full relative accuracy down to x = -700, where it stays."""
    result: FloatArray = 1.0 / (1.0 + np.exp(-np.maximum(np.asarray(x, dtype=np.float64), -700.0)))
    return result


def softplus(x: npt.ArrayLike) -> FloatArray:
    """log(1 + e^x)."""
    result: FloatArray = np.logaddexp(0.0, np.asarray(x, dtype=np.float64))
    return result


def lecun_tanh(x: npt.ArrayLike) -> FloatArray:
    """1.7159 tanh(0.666 x): ncps' constants (LeCun's own are 2/3)."""
    result: FloatArray = 1.7159 * np.tanh(0.666 * np.asarray(x, dtype=np.float64))
    return result


def tanh(x: npt.ArrayLike) -> FloatArray:
    """The hyperbolic tangent."""
    result: FloatArray = np.tanh(np.asarray(x, dtype=np.float64))
    return result


def relu(x: npt.ArrayLike) -> FloatArray:
    """max(x, 0)."""
    result: FloatArray = np.maximum(np.asarray(x, dtype=np.float64), 0.0)
    return result


def silu(x: npt.ArrayLike) -> FloatArray:
    """x sigmoid(x)."""
    values = np.asarray(x, dtype=np.float64)
    return values * sigmoid(values)


def gelu(x: npt.ArrayLike) -> FloatArray:
    """x times the standard normal distribution function of x (exact, not the tanh approximation)."""
    values = np.asarray(x, dtype=np.float64)
    result: FloatArray = values * 0.5 * (1.0 + _erf(values / math.sqrt(2.0)))
    return result


ACTIVATIONS: dict[str, Callable[[npt.ArrayLike], FloatArray]] = {
    "lecun_tanh": lecun_tanh,
    "tanh": tanh,
    "relu": relu,
    "silu": silu,
    "gelu": gelu,
}
