"""Scales of weights, and rounding them together: of the grid points beside each those whose errors cancel in what calibration saw."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hardware_profiles.fixed_point import round_half_up
from liquid_neuro.cells.ltc import LTCValues
from liquid_neuro.cells.ltc_formats import LTCFormats
from liquid_neuro.cells.ltc_integer import HIGHEST_SUM
from liquid_neuro.network import FloatArray
from liquid_neuro.quantized_network import IntArray

DAMPING = 0.03  # of the mean variance, added to each: what calibration did not see keeps the nearest grid points in favour
FURTHEST = 1.0  # steps from the nearest grid point
FINEST = 1.0 / 16.0  # of the shared scale: what smaller weights lose is small already
FACTORS = np.linspace(1.0, 1.3, 13)  # of the finest scale
SUM_MARGIN = 1.1  # of leaks and capacitances, for what rounding errors taken back add to them
SWEEPS = 2  # over the weights once all are chosen, each moved to where the others leave the least
MOST_ENTRIES = 4_000_000  # of a neuron's own history


@dataclass(frozen=True, eq=False)
class History:
    """Some moments of the calibration: open shares of recurrent and sensory gates (moments, synapses), states (moments, units)."""

    gates: FloatArray
    sensory_gates: FloatArray
    states: FloatArray


def with_own_scales(values: LTCValues, formats: LTCFormats, history: History | None) -> LTCFormats:
    """Formats with a scale of each neuron's own, no coarser than the shared one of `formats`, and its weights rounded together.

    A neuron's sums, leaks and capacitance stand in one unit that divides out of (A - G v) / (C + G), so that a scale of its own costs
    nothing. With errors e of its conductances and d of its driven conductances its current is off by Σ (d - v e) (σ - mean σ): the mean is
    taken back in its leaks, and of the scales up to 1.3 times the finest the one with the least variance is taken. Without history: the
    finest, and the nearest grid points.
    """
    scale = _finest_scales(values, formats)
    recurrent, sensory = np.zeros((2, len(values.w))), np.zeros((2, len(values.sensory_w)))
    highest = np.array([255 // formats.weight_step, 254 // formats.driven_step], dtype=np.float64)
    grid = np.array([formats.weight_step, formats.driven_step * formats.ratio * 2.0**-formats.ratio_shift])
    if history is None or not len(history.states):
        return replace(formats, conductance_scale=scale, nudge=recurrent, sensory_nudge=sensory)
    for unit in range(len(values.cm)):
        own, heard = np.flatnonzero(values.target == unit), np.flatnonzero(values.sensory_target == unit)
        count = len(own) + len(heard)
        if not count:
            continue
        w = np.concatenate([values.w[own], values.sensory_w[heard]])
        real = np.stack([w, w * np.concatenate([values.erev[own], values.sensory_erev[heard]])])
        scales = np.minimum(scale[unit] * FACTORS, formats.conductance_scale)
        wanted = (real / grid[:, None]).reshape(1, -1) / scales[:, None]
        limits = np.repeat([0.0, -highest[1]], count), np.repeat(highest, count)
        variance = _current_variance(unit, own, heard, formats, history, grid)
        chosen = nearest_plane(wanted, variance, limits)
        least = int(np.argmin(spread(wanted - chosen, variance) * np.square(scales)))
        scale[unit] = scales[least]
        moved = chosen[least] - np.clip(round_half_up(wanted[least]), *limits)
        recurrent[:, own], sensory[:, heard] = np.split(moved.reshape(2, count), [len(own)], axis=1)
    return replace(formats, conductance_scale=scale, nudge=recurrent, sensory_nudge=sensory)


def _finest_scales(values: LTCValues, formats: LTCFormats) -> FloatArray:
    """(units,): the smallest scale, up to the shared one, in which a neuron's weights fit the grid and its leaks and capacitance 2**30."""
    step, driven_step, units = formats.weight_step, formats.driven_step, len(values.cm)
    ratio = formats.ratio * 2.0**-formats.ratio_shift
    scale = np.full(units, FINEST * formats.conductance_scale)
    driven = (254 - 254 % driven_step) * ratio
    for target, weight, most in (
        (values.target, values.w, 255 - 255 % step),
        (values.sensory_target, values.sensory_w, 255 - 255 % step),
        (values.target, np.abs(values.w * values.erev), driven),
        (values.sensory_target, np.abs(values.sensory_w * values.sensory_erev), driven),
        (values.gap_target, values.gap_w, driven),
    ):
        np.maximum.at(scale, target, weight / most)
    leak = values.gleak * np.maximum(np.abs(values.vleak), 1.0) + np.bincount(values.gap_target, weights=values.gap_w, minlength=units)
    held = leak if formats.irregular else np.maximum(leak, values.cm * formats.unfolds / formats.timespan)
    least = SUM_MARGIN * held * 2.0**formats.gate_bits / HIGHEST_SUM
    return np.asarray(np.minimum(np.maximum(scale, least), formats.conductance_scale))


def _current_variance(unit: int, own: IntArray, heard: IntArray, formats: LTCFormats, history: History, grid: FloatArray) -> FloatArray:
    """The second moments (n, n) of what a step of each conductance, then of each driven weight, adds to a neuron's current."""
    count = len(own) + len(heard)
    rows = slice(None, None, max(1, -(-len(history.states) * 2 * count // MOST_ENTRIES)))
    means = np.concatenate([formats.gate_mean[own], formats.sensory_gate_mean[heard]])
    moved = np.concatenate([history.gates[rows][:, own], history.sensory_gates[rows][:, heard]], axis=1) - means
    effect = np.concatenate([-history.states[rows][:, unit, None] * moved * grid[0], moved * grid[1]], axis=1)
    return np.asarray(effect.T @ effect / len(effect))


def spread(errors: FloatArray, variance: FloatArray) -> FloatArray:
    """e' (variance) e of each row of errors."""
    return np.asarray(((errors @ variance) * errors).sum(axis=1))


def nearest_plane(wanted: FloatArray, variance: FloatArray, limits: tuple[FloatArray, FloatArray]) -> FloatArray:
    """Whole numbers beside `wanted` (rows, n), within limits (lowest, highest) (n,), whose errors e have a small e' (variance (n, n)) e.

    Grid points are chosen one after the other, each making up for those before it (Babai's nearest plane, which is GPTQ's rule, Frantar et
    al., ICLR 2023), and then moved once more, each to where the others leave the least. What is 0 stays 0; a row for which that is no
    better takes its nearest points.
    """
    nearest = np.clip(round_half_up(wanted), *limits)
    mean = float(np.trace(variance)) / max(len(variance), 1)
    if mean <= 0.0:
        return np.asarray(nearest)
    damped = variance + DAMPING * mean * np.eye(len(variance))
    edge = np.linalg.cholesky(damped).T
    lowest = np.where(wanted == 0.0, 0.0, np.maximum(limits[0], nearest - FURTHEST))
    highest = np.where(wanted == 0.0, 0.0, np.minimum(limits[1], nearest + FURTHEST))
    numbers, left = nearest.copy(), np.zeros(wanted.shape)
    for place in range(wanted.shape[1] - 1, -1, -1):
        goal = wanted[:, place] + left[:, place + 1 :] @ edge[place, place + 1 :] / edge[place, place]
        numbers[:, place] = np.clip(np.floor(goal + 0.5), lowest[:, place], highest[:, place])
        left[:, place] = wanted[:, place] - numbers[:, place]
    for place in [*range(wanted.shape[1])] * SWEEPS:
        goal = numbers[:, place] + left @ damped[place] / damped[place, place]
        numbers[:, place] = np.clip(np.floor(goal + 0.5), lowest[:, place], highest[:, place])
        left[:, place] = wanted[:, place] - numbers[:, place]
    closer = spread(left, damped) < spread(wanted - nearest, damped)
    return np.asarray(np.where(closer[:, None], numbers, nearest))
