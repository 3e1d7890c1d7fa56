"""Rounding weights together: of the grid points beside each weight those whose errors cancel in the currents that calibration saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hardware_profiles.fixed_point import round_half_up
from liquid_neuro.cells.ltc import LTCValues
from liquid_neuro.cells.ltc_formats import LTCFormats
from liquid_neuro.network import FloatArray

DAMPING = 0.1  # of the mean variance, added to each: what calibration did not see keeps the nearest grid points in favour
FURTHEST = 1.0  # steps from the nearest grid point
MOST_ENTRIES = 4_000_000  # of a neuron's own history


@dataclass(frozen=True, eq=False)
class History:
    """Some moments of the calibration: open shares of recurrent and sensory gates (moments, synapses), states (moments, units)."""

    gates: FloatArray
    sensory_gates: FloatArray
    states: FloatArray


def nudges(values: LTCValues, formats: LTCFormats, history: History) -> tuple[FloatArray, FloatArray]:
    """Steps by which conductance and driven weights (2, synapses) leave their nearest grid points, recurrent and sensory.

    With errors e of a neuron's conductances and d of its driven conductances its current is off by Σ (d - v e) (σ - mean σ): the mean is
    taken back in its leaks. Grid points are chosen one after the other, each making up for those before it (Babai's nearest plane, which is
    GPTQ's rule, Frantar et al., ICLR 2023): the sum's variance falls where gates move together.
    """
    recurrent, sensory = np.zeros((2, len(values.w))), np.zeros((2, len(values.sensory_w)))
    if not len(history.states):
        return recurrent, sensory
    grid = np.array([formats.weight_step * formats.conductance_scale, formats.driven_step * formats.driven_scale])
    highest = np.array([255 // formats.weight_step, 254 // formats.driven_step])
    for unit in range(len(values.cm)):
        own, heard = np.flatnonzero(values.target == unit), np.flatnonzero(values.sensory_target == unit)
        count = len(own) + len(heard)
        if not count:
            continue
        rows = slice(None, None, max(1, -(-len(history.states) * 2 * count // MOST_ENTRIES)))
        means = np.concatenate([formats.gate_mean[own], formats.sensory_gate_mean[heard]])
        moved = np.concatenate([history.gates[rows][:, own], history.sensory_gates[rows][:, heard]], axis=1) - means
        w = np.concatenate([values.w[own], values.sensory_w[heard]])
        real = np.stack([w, w * np.concatenate([values.erev[own], values.sensory_erev[heard]])])
        effect = np.concatenate([-history.states[rows][:, unit, None] * moved * grid[0], moved * grid[1]], axis=1)
        lowest = np.repeat([0.0, -highest[1]], count)
        chosen = _nearest_plane((real / grid[:, None]).reshape(-1), effect, lowest, np.repeat(highest, count)).reshape(2, count)
        recurrent[:, own], sensory[:, heard] = chosen[:, : len(own)], chosen[:, len(own) :]
    return recurrent, sensory


def _nearest_plane(wanted: FloatArray, effect: FloatArray, lowest: FloatArray, highest: FloatArray) -> FloatArray:
    """Whole numbers beside `wanted` (n,) with a small variance of effect (moments, n) @ (wanted - numbers), less the nearest ones."""
    variance = effect.T @ effect / len(effect)
    mean = float(np.trace(variance)) / len(wanted)
    nearest = np.clip(round_half_up(wanted), lowest, highest)
    if mean <= 0.0:
        return np.zeros(len(wanted))
    edge = np.linalg.cholesky(variance + DAMPING * mean * np.eye(len(wanted))).T
    numbers, left = nearest.copy(), np.zeros(len(wanted))
    for place in range(len(wanted) - 1, -1, -1):
        if wanted[place] != 0.0:  # a synapse without weight stays without
            goal = wanted[place] + float(edge[place, place + 1 :] @ left[place + 1 :]) / edge[place, place]
            number = np.clip(np.floor(goal + 0.5), nearest[place] - FURTHEST, nearest[place] + FURTHEST)
            numbers[place] = np.clip(number, lowest[place], highest[place])
        left[place] = wanted[place] - numbers[place]
    moved: FloatArray = numbers - nearest
    return moved
