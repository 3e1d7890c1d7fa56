"""One weight scale per unit: among those that a small multiplication can undo, the one that rounds this unit's weights best, together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hardware_profiles.fixed_point import round_half_up
from liquid_neuro.cells.dense_formats import DenseFormats
from liquid_neuro.cells.integer import ratio_at_least
from liquid_neuro.network import FloatArray
from liquid_neuro.quantized_network import IntArray
from mappers.weight_rounding import nearest_plane, spread

FINEST = 1.0 / 16.0  # of the map's own scale: what smaller weights lose is small already
FACTORS = tuple(np.linspace(1.0, 1.3, 61))
ROUNDED_TOGETHER = 6  # of the scales that round a unit's weights best one by one
MOST_WORK = 3e10  # multiplications of rounding together: beyond it weights take their nearest grid points


@dataclass(frozen=True, eq=False)
class Heard:
    """What a dense map hears: largest |message| per column (rounded up), their covariance over the calibration (zeros where nobody knows).

    room: the largest running sum in real units of messages times integer weights.
    """

    ranges: FloatArray
    covariance: FloatArray
    room: float


def per_unit(weight: FloatArray, shared: DenseFormats, heard: Heard, weight_bits: int) -> DenseFormats:
    """Formats with a multiplier and a shift per row of `weight` (units, columns), starting from those that all rows share, and nudges.

    Rounding makes an error e (columns,) in a row; what it does to the argument varies by e' S e, S the covariance of what is heard (the
    mean is taken back in the bias). Each row takes the scale with the least of it whose running sum fits its word whatever is heard; where
    S is known, its weights are rounded together.
    """
    known = bool(heard.covariance.any())
    covariance = heard.covariance if known else np.diag(np.square(heard.ranges))
    multiplier, shift = np.zeros(len(weight), dtype=np.int64), np.zeros(len(weight), dtype=np.int64)
    nudge = np.zeros(weight.shape, dtype=np.int64)
    masks, group_of = np.unique(weight != 0, axis=0, return_inverse=True)
    together = known and len(masks) * float(weight.shape[1]) ** 3 < MOST_WORK
    for number, mask in enumerate(masks):  # rows that hear the same columns
        part, rows = Heard(heard.ranges[mask], covariance[np.ix_(mask, mask)], heard.room), np.flatnonzero(group_of.reshape(-1) == number)
        scales, moved = _best(weight[np.ix_(rows, mask)], shared, part, 2 << (8 - weight_bits), together)
        multiplier[rows], shift[rows] = scales.T
        nudge[np.ix_(rows, mask)] = moved
    return DenseFormats(multiplier, shift, shared.fraction, shared.message_fraction, nudge)


def _best(weight: FloatArray, shared: DenseFormats, heard: Heard, step: int, together: bool) -> tuple[IntArray, IntArray]:
    """(multiplier and shift (rows, 2), nudges (rows, columns)) of rows that hear the same columns."""
    unit, most = 2.0 ** (shared.fraction - shared.message_fraction), float(254 // step)
    choices, wanted = [], []
    for row in weight:
        scales = np.array(_usable(row, shared, heard, step))
        reals = row / (scales[:, :1] * 2.0 ** -scales[:, 1:] / unit * step)
        errors = spread(reals - np.clip(round_half_up(reals), -most, most), heard.covariance) * _real(scales, unit)
        order = np.argsort(errors, kind="stable")[: ROUNDED_TOGETHER if together else 1]
        choices.append(scales[order])
        wanted.append(reals[order])
    ends, reals, scales = np.cumsum([len(one) for one in wanted]), np.concatenate(wanted), np.concatenate(choices)
    nearest = np.clip(round_half_up(reals), -most, most)
    chosen = nearest
    if together:
        columns = np.ones(weight.shape[1])
        chosen = nearest_plane(reals, heard.covariance, (-most * columns, most * columns))
        fits = np.abs(chosen) @ heard.ranges * step <= heard.room
        chosen = np.where(fits[:, None], chosen, nearest)
    errors = spread(reals - chosen, heard.covariance) * _real(scales, unit)
    least = np.array([start + int(np.argmin(errors[start:end])) for start, end in zip([0, *ends[:-1]], ends)])
    return scales[least], (chosen - nearest)[least].astype(np.int64)


def _real(scales: IntArray, unit: float) -> FloatArray:
    """The square of a step in real units: multipliers and shifts (rows, 2) of different scales can be compared."""
    return np.asarray(np.square(scales[:, 0] * 2.0 ** -scales[:, 1] / unit))


def _usable(row: FloatArray, shared: DenseFormats, heard: Heard, step: int) -> list[tuple[int, int]]:
    """(multiplier, shift) of the scales between the finest that holds this row and its sums, and 1.3 times that."""
    unit, whole = 2.0 ** (shared.fraction - shared.message_fraction), float(shared.scale[0, 0])
    highest = 254 - 254 % step
    needed = max(float(np.abs(row).max(initial=0.0)) / highest, float(_scales_with_room(row[None], heard, step)[0]), FINEST * whole)
    needed = max(needed, 2.0**-24 / unit)  # so that no shift leaves 0 .. 31
    found = {ratio_at_least(needed * factor * unit) for factor in FACTORS}
    return sorted((multiplier, shift) for multiplier, shift in found if multiplier <= 255)


def _scales_with_room(weight: FloatArray, heard: Heard, step: int) -> FloatArray:
    """Per row the smallest scale with (|row| / scale + half a step of rounding) @ ranges <= room; infinite where there is none."""
    left = heard.room - (step / 2.0) * ((weight != 0) @ heard.ranges)
    sums = np.abs(weight) @ heard.ranges
    return np.asarray(np.where(sums > 0, np.where(left > 0, sums / np.where(left > 0, left, 1.0), np.inf), 0.0))


def best_fraction(maps: Sequence[tuple[FloatArray, Heard]], most: int, weight_bits: int) -> tuple[int, int]:
    """(the fraction bits of messages with the smallest rounding errors of all arguments, the most that sums can hold); at most `most`.

    A finer message needs coarser weights where a row's sum would not fit: the errors of both, as independent ones, are weighed against each
    other. maps: (weight, what it hears), the room that of messages in whole steps. (-1, -1) where the sums hold none.
    """
    errors = [sum(_error(weight, heard, fraction, 2 << (8 - weight_bits)) for weight, heard in maps) for fraction in range(most + 1)]
    possible = np.flatnonzero(np.isfinite(errors))
    return (int(np.argmin(errors)), int(possible[-1])) if len(possible) else (-1, -1)


def _error(weight: FloatArray, heard: Heard, fraction: int, step: int) -> float:
    """The variance that rounding weights and messages gives to the arguments of a map, all rows together; infinite where a sum has no room.

    The errors of a step are spread evenly over it: their variance is a twelfth of its square.
    """
    lsb = 2.0**-fraction
    variance = np.diag(heard.covariance) if heard.covariance.any() else np.square(heard.ranges) / 3.0
    scale = _scales_with_room(weight, Heard(heard.ranges + lsb, heard.covariance, heard.room * lsb), step)
    scale = np.maximum(scale, np.abs(weight).max(axis=1, initial=0.0) / (254 - 254 % step))
    weights = np.square(step * scale) * ((weight != 0) @ variance)
    return float((weights + lsb**2 * np.square(weight).sum(axis=1)).sum()) / 12.0
