"""A dense map in integers: its formats, and the rounding of its weights and biases to their grids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.quantized_network import IntArray

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DenseFormats:
    """One dense map, argument = weights * messages + bias.

    multiplier, shift: from the running sum to the argument; a number, or int64 (outputs,), one per unit. fraction: of the argument.
    message_fraction: of the messages that it hears. nudge: whole steps of the grid, int64 (outputs, columns), by which weights leave their
    nearest grid points, so that the errors of a unit's weights cancel over the calibration; 0 where nobody knows.
    """

    multiplier: int | IntArray
    shift: int | IntArray
    fraction: int
    message_fraction: int
    nudge: int | IntArray = 0

    @property
    def scale(self) -> FloatArray:
        """The real value of one step of a weight, (outputs, 1) or (1, 1): an accumulator step is scale / 2**message_fraction."""
        steps = np.asarray(self.multiplier) * 2.0 ** (self.message_fraction - self.fraction - np.asarray(self.shift))
        return steps.reshape(-1, 1)


def dense_integers(
    weight: Any, bias: Any, how: DenseFormats, mean: Any, step: int, xp: Any, rounding: Callable[[Any], Any]
) -> tuple[Any, Any]:
    """(weights (outputs, columns), biases (outputs,)) on their grids: round_half_up(value / scale), nudged, clipped to the grid's ends.

    mean: of what each column hears: what rounding the weights does to the mean argument is taken back in the bias. step: of the weights.
    xp, rounding: as in the cells' `integer_parameters`.
    """
    integer = step * xp.clip(rounding(weight / (step * how.scale)) + how.nudge, -(254 // step), 254 // step)
    lost = xp.sum((weight - integer * how.scale) * mean, axis=1)
    return integer, xp.clip(rounding((bias + lost) * 2.0**how.fraction), -(2.0**24), 2.0**24)
