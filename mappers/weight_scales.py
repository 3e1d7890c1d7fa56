"""One weight scale per unit: among those that a small multiplication can undo, the one that rounds this unit's weights best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardware_profiles.fixed_point import round_half_up
from liquid_neuro.cells.cfc_formats import DenseFormats
from liquid_neuro.cells.integer import ratio_at_least
from liquid_neuro.network import FloatArray

FINEST = 1.0 / 16.0  # of the map's own scale: what smaller weights lose is small already
FACTORS = tuple(np.linspace(1.0, 1.3, 61))


@dataclass(frozen=True, eq=False)
class Heard:
    """What a dense map hears: largest |message| per column (rounded up), their covariance over the calibration (zeros where nobody knows).

    room: the largest running sum in real units of messages times integer weights.
    """

    ranges: FloatArray
    covariance: FloatArray
    room: float


def per_unit(weight: FloatArray, shared: DenseFormats, heard: Heard, weight_bits: int) -> DenseFormats:
    """Formats with a multiplier and a shift per row of `weight` (units, columns), starting from those that all rows share.

    Rounding makes an error e (columns,) in a row; what it does to the argument varies by e' S e, S the covariance of what is heard (the
    mean is taken back in the bias). Each row takes the scale with the least of it whose running sum fits its word whatever is heard.
    """
    step = 2 << (8 - weight_bits)
    highest = 254 - 254 % step
    covariance = heard.covariance if heard.covariance.any() else np.diag(np.square(heard.ranges))
    whole = float(shared.scale[0, 0])
    unit = 2.0 ** (shared.fraction - shared.message_fraction)
    multipliers, shifts = [], []
    for row in weight:
        needed = min(max(float(np.abs(row).max(initial=0.0)) / highest, _scale_with_room(row, heard, step), FINEST * whole), whole)
        needed = max(needed, 2.0**-24 / unit)  # so that no shift leaves 0 .. 31
        found = {ratio_at_least(needed * factor * unit) for factor in FACTORS}
        usable = sorted((multiplier, shift) for multiplier, shift in found if multiplier <= 255)
        errors = []
        for multiplier, shift in usable:
            scale = multiplier * 2.0**-shift / unit
            error = row - step * scale * np.clip(round_half_up(row / (step * scale)), -(highest // step), highest // step)
            errors.append(float(error @ covariance @ error))
        multiplier, shift = usable[int(np.argmin(errors))]
        multipliers.append(multiplier)
        shifts.append(shift)
    return DenseFormats(np.array(multipliers, dtype=np.int64), np.array(shifts, dtype=np.int64), shared.fraction, shared.message_fraction)


def _scale_with_room(row: FloatArray, heard: Heard, step: int) -> float:
    """The smallest scale with (|row| / scale + half a step of rounding) @ ranges <= room."""
    left = heard.room - (step / 2.0) * float(((row != 0) * heard.ranges).sum())
    return float(np.abs(row) @ heard.ranges) / left if left > 0 else float("inf")
