"""What an LTC's states and gates do, which neurons are too slow for their words, and what the integers lose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.cells import lstm
from liquid_neuro.cells.functions import sigmoid
from liquid_neuro.cells.ltc import LTCValues, Prepared, fused_step
from liquid_neuro.cells.ltc_formats import LTCFormats, integer_parameters
from liquid_neuro.network import FloatArray, Fused, LiquidNetwork
from mappers.quantization import Choices
from mappers.quantization_memory import MemoryTrace
from mappers.weight_rounding import History

MOST_HISTORY = 20_000_000  # gates times moments that are kept
EXACT_STEPS = 24  # semi-implicit sub-steps by which the differential equation's ranges and means are found: a few per cent off it


@dataclass(frozen=True, eq=False)
class Ranges:
    """What the network's states and gates do. lowest, highest: the invariant box. seen: the largest |state| in calibration, or 0.

    gate_mean, sensory_gate_mean: per synapse, history: some moments; None without calibration. memory: None without mixed memory.
    """

    lowest: float
    highest: float
    seen: float
    gate_mean: FloatArray | None
    sensory_gate_mean: FloatArray | None
    history: History | None = None
    memory: MemoryTrace | None = None


class _Remembered:
    """Mixed memory along the calibration: c (windows, units), and what a trace of it needs."""

    def __init__(self, values: LTCValues) -> None:
        self.values, self.count, self.largest = values.lstm, 0, 0.0
        columns = values.inputs + values.units
        self.total, self.squares, self.c = np.zeros(columns), np.zeros((columns, columns)), np.zeros((0, values.units))

    def begin(self, v: FloatArray) -> None:
        """A run of windows from state 0, v (windows, units)."""
        self.c = np.zeros_like(v)

    def recalled(self, x: FloatArray, v: FloatArray, moves: npt.NDArray[np.bool_]) -> FloatArray:
        """The states that a sample begins with; those whose sample has no length stay."""
        if self.values is None:
            return v
        shown, carried = lstm.step(self.values, x, v, self.c)
        heard = np.concatenate([x, v], axis=1)
        self.total += heard.sum(axis=0)
        self.squares += heard.T @ heard
        self.count += len(x)
        self.c = np.where(moves, carried, self.c)
        self.largest = max(self.largest, float(np.abs(self.c).max()))
        return np.where(moves, shown, v)

    @property
    def trace(self) -> MemoryTrace | None:
        """What it saw."""
        if self.values is None:
            return None
        mean = self.total / max(self.count, 1)
        return MemoryTrace(mean, self.squares / max(self.count, 1) - np.outer(mean, mean), self.largest, self.count > 0)


# --- what the float network does --------------------------------------------------------------------------------------------------------


def find_ranges(network: LiquidNetwork, values: LTCValues, choices: Choices) -> Ranges:
    """The box that no state leaves (each step is a mean of states, vleak and the reversal potentials), and calibration."""
    drives = [values.vleak, values.erev[values.w > 0], values.sensory_erev[values.sensory_w > 0]]
    lowest, highest = min(0.0, *(d.min(initial=0.0) for d in drives)), max(0.0, *(d.max(initial=0.0) for d in drives))
    remembered = _Remembered(values)
    if values.lstm is not None:  # what the memory recalls lies between -1 and 1
        lowest, highest = min(lowest, -1.0), max(highest, 1.0)
    if not choices.windows:
        return Ranges(lowest, highest, 0.0, None, None, memory=remembered.trace)
    samples = sum(len(window) for window in choices.windows)
    every = max(1, -(-samples * (len(values.w) + len(values.sensory_w)) // MOST_HISTORY))
    kept: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    prepared, unfolds = Prepared(values), network.solver.unfolds if isinstance(network.solver, Fused) else EXACT_STEPS
    gates, sensory = np.zeros(len(values.w)), np.zeros(len(values.sensory_w))
    seen, time = 0.0, 0.0
    by_length: dict[int, list[tuple[FloatArray, FloatArray]]] = {}
    for window, lasting in zip(choices.windows, choices.spans):
        by_length.setdefault(len(window), []).append((window, lasting))
    for pairs in by_length.values():
        x, spans = (np.stack(part) for part in zip(*pairs))
        v = np.zeros((len(x), network.units))
        remembered.begin(v)
        for k in range(x.shape[1]):
            v = remembered.recalled(x[:, k], v, spans[:, k, None] > 0)
            share = (spans[:, k] / choices.timespan)[:, None]  # of the time, in units of the longest sample
            u = (x[:, k] * values.input_w + values.input_b)[:, values.sensory_source]
            heard = sigmoid(values.sensory_sigma * (u - values.sensory_mu))
            sensory += (share * heard).sum(axis=0)
            for number in range(unfolds):
                opened = sigmoid(values.sigma * (v[:, values.source] - values.mu))
                gates += (share * opened).sum(axis=0) / unfolds
                if number == unfolds // 2 and k % every == 0:
                    kept.append((opened, heard, v))
                v = fused_step(prepared, v, x[:, k], spans[:, k] / unfolds, 1)
                seen = max(seen, float(np.abs(v).max()))
        time += float(spans.sum()) / choices.timespan
    if not time:
        return Ranges(lowest, highest, seen, None, None, memory=remembered.trace)
    history = History(*(np.concatenate(parts) for parts in zip(*kept)))
    return Ranges(lowest, highest, seen, gates / time, sensory / time, history, remembered.trace)


def typical_timespan(choices: Choices) -> float:
    """The mean timespan of samples above 0; between the shortest and the longest where no calibration tells."""
    if not choices.irregular:
        return choices.timespan
    lasting = np.concatenate([*choices.spans, np.zeros(0)])
    return float(lasting[lasting > 0].mean()) if (lasting > 0).any() else float(np.sqrt(choices.shortest * choices.timespan))


# --- slow neurons -----------------------------------------------------------------------------------------------------------------------


def stagnation(values: LTCValues, formats: LTCFormats, ranges: Ranges, timespan: float) -> FloatArray:
    """Per neuron the distance from its goal at which increments fall below half a step of the state in samples of that timespan.

    A sub-step goes G / (C + G) of the way (1 - e^(-G / C) under the differential equation), G: leak, gap junctions and mean conductances
    (half open where no means are known). 0 for a neuron without conductance, which never moves.
    """
    recurrent = values.w * (0.5 if ranges.gate_mean is None else ranges.gate_mean)
    sensory = values.sensory_w * (0.5 if ranges.sensory_gate_mean is None else ranges.sensory_gate_mean)
    conductance = values.gleak.copy()
    for target, weights in ((values.target, recurrent), (values.sensory_target, sensory), (values.gap_target, values.gap_w)):
        conductance += np.bincount(target, weights=weights, minlength=len(values.cm))
    capacitance = values.cm * formats.unfolds / timespan
    ratio = np.divide(capacitance, conductance, out=np.full(len(capacitance), -1.0), where=conductance > 0)
    moves = ratio >= 0
    shares = -np.expm1(-1.0 / np.maximum(ratio, 1e-300)) if formats.exact else 1.0 / (1.0 + np.maximum(ratio, 0.0))
    short: FloatArray = np.where(moves, formats.state.lsb / 2.0 / shares, 0.0)
    return short


def losses(network: LiquidNetwork, values: LTCValues, formats: LTCFormats, ranges: Ranges, timespan: float) -> dict[str, Any]:
    """What the integers lose: synapses that round to nothing, weights beyond the grid, neurons that stop short of their goal."""
    integers = integer_parameters(values, formats).as_int64()
    labels, inputs = network.labels, network.interface.channels or tuple(f"input_{number}" for number in range(network.inputs))
    lost = [
        f"{labels[values.source[k]]} -> {labels[values.target[k]]}"
        for k in np.flatnonzero((integers.conductance == 0) & (integers.driven == 0))
    ]
    lost += [
        f"{inputs[values.sensory_source[k]]} -> {labels[values.sensory_target[k]]}"
        for k in np.flatnonzero((integers.sensory_conductance == 0) & (integers.sensory_driven == 0))
    ]
    scale, driven_scale = (np.broadcast_to(one, network.units) for one in (formats.conductance_scale, formats.driven_scale))
    clipped = sum(
        int((np.abs(real) > highest).sum())
        for real, highest in (
            (values.w, 255.5 * scale[values.target]),
            (values.sensory_w, 255.5 * scale[values.sensory_target]),
            (values.w * values.erev, 255.0 * driven_scale[values.target]),
            (values.sensory_w * values.sensory_erev, 255.0 * driven_scale[values.sensory_target]),
            (values.sigma, 32767.5 * 2.0**-formats.gain_fraction),
            (values.sensory_sigma * values.input_w[values.sensory_source], 32767.5 * 2.0**-formats.sensory_gain_fraction),
        )
    )
    box = max(-ranges.lowest, ranges.highest)
    short = stagnation(values, formats, ranges, timespan)
    slow = {labels[k]: float(short[k]) for k in np.flatnonzero(short > 2.0 * formats.state.lsb * 2**formats.guard)}
    return {
        "lost_synapses": tuple(lost),
        "clipped_parameters": clipped,
        "states_may_saturate": bool(box > formats.state.highest * formats.state.lsb),
        "stops_short_by": slow,
        "rounding": "errors of weights taken back on average in the leaks"
        if formats.gate_mean.any() or formats.sensory_gate_mean.any()
        else "errors of weights not taken back: no calibration",
    }
