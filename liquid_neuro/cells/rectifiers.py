"""Curves as banks of rectifiers, f(x) = Σ slope_k relu(x - p_k) + constant, with slopes on a grid and knots anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from liquid_neuro.cells.functions import FloatArray

REACH = 12.0  # beyond it the curves are flat
ROUNDS = 12
GRID = np.linspace(0.0, REACH, 1201)


@dataclass(frozen=True)
class Bank:
    """knots p_k ascending, and steps: the change of slope at each, a whole number of slope steps. Both sum to 0: an odd, bounded curve."""

    knots: tuple[float, ...]
    steps: tuple[int, ...]


@lru_cache(maxsize=4096)
def bank_of(function: Callable[[Any], Any], knots: int, step: float) -> Bank:
    """At most `knots` rectifiers (even) whose slopes are multiples of `step` and whose sum is close to an odd, saturating function.

    The knots of the positive half first stand where they divide the integral of sqrt(|f''|) evenly, which spreads the error of straight
    lines; slopes between them are rounded to the grid, and lines of equal slope become one; then every line is moved to the middle of what
    it misses, and knots are where neighbouring lines meet. The first line goes through 0.
    """
    values = np.asarray(function(GRID), dtype=np.float64)
    slopes = _slopes(values, knots // 2, step)
    heights = _heights(values, slopes * step)
    half = (heights[1:] - heights[:-1]) / (-np.diff(slopes) * step)
    return Bank((*(-half[::-1]).tolist(), *half.tolist()), (*(-np.diff(slopes)[::-1]).tolist(), *np.diff(slopes).tolist()))


def _slopes(values: FloatArray, half: int, step: float) -> Any:
    """Slopes of the lines right of 0, in steps, strictly falling to 0."""
    curvature = np.sqrt(np.abs(np.gradient(np.gradient(values, GRID), GRID)))
    share = np.concatenate([[0.0], np.cumsum((curvature[1:] + curvature[:-1]) / 2)])
    ends = np.interp(np.linspace(0.0, 1.0, half + 2)[:-1], share / share[-1], GRID)  # ends[0] = 0, then half knots
    levels = np.interp(ends, GRID, values)
    slopes = np.unique(np.floor(np.append(np.diff(levels) / np.diff(ends), 0.0) / step + 0.5).astype(np.int64))[::-1]
    return slopes if len(slopes) > 1 else np.array([1, 0])


def _heights(values: FloatArray, slopes: FloatArray) -> FloatArray:
    """Where each line meets the axis: the first at 0, the others in the middle of what f - slope x is where they are the curve."""
    gaps = values - slopes[:, None] * GRID
    heights = np.append(0.0, gaps[1:].max(axis=1))  # tangents from above: f is concave here
    for _ in range(ROUNDS):
        lines = heights[:, None] + slopes[:, None] * GRID
        owner = np.argmin(lines, axis=0)
        for line in range(1, len(slopes)):
            own = gaps[line][owner == line]
            if len(own):
                heights[line] = (own.max() + own.min()) / 2
    return np.asarray(heights)
