"""What a CfC's float network does over the calibration: means and covariances of what its dense maps hear, and how far arguments go."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from liquid_neuro.cells import lstm
from liquid_neuro.cells.cfc import CfCLayer, CfCValues
from liquid_neuro.cells.functions import ACTIVATIONS, sigmoid
from liquid_neuro.network import FloatArray
from mappers.quantization import Choices
from mappers.quantization_memory import MemoryTrace


@dataclass(frozen=True, eq=False)
class Trace:
    """What a layer saw in calibration: means and covariances of what each dense map hears, largest |argument| of each backbone layer, then
    of ff1 and ff2."""

    means: tuple[FloatArray, ...]
    covariances: tuple[FloatArray, ...]
    arguments: tuple[float, ...]
    seen: bool


@dataclass
class _Moments:
    """Sums over the calibration of z z' (columns, columns) and, in the last row, of z."""

    total: FloatArray
    count: int = 0

    def note(self, z: FloatArray) -> None:
        """Adds what was heard, z (rows, columns)."""
        self.total[:-1] += z.T @ z
        self.total[-1] += z.sum(axis=0)
        self.count += len(z)

    @property
    def mean(self) -> FloatArray:
        return np.asarray(self.total[-1] / max(self.count, 1))

    @property
    def covariance(self) -> FloatArray:
        return np.asarray(self.total[:-1] / max(self.count, 1) - np.outer(self.mean, self.mean))


@dataclass
class _Run:
    """The sums of a whole calibration: per layer and dense map, and the memory's."""

    heard: list[list[_Moments]]
    largest: list[FloatArray]
    memory: _Moments
    largest_memory: float = 0.0
    states: list[FloatArray] = field(default_factory=list)


def traces_of(values: CfCValues, choices: Choices) -> tuple[list[Trace], MemoryTrace]:
    """Per layer and for the memory what calibration shows; zeros and no knowledge without it."""

    def moments(size: int) -> _Moments:
        return _Moments(np.zeros((size + 1, size)))

    sizes = [[layer.inputs + layer.units, *(len(bias) for _, bias in layer.backbone)] for layer in values.layers]
    run = _Run([[moments(size) for size in layer] for layer in sizes], [np.zeros(len(layer)) for layer in sizes], moments(0))
    run.memory = moments(values.inputs + values.units)
    by_length: dict[int, list[int]] = {}
    for number, window in enumerate(choices.windows):
        by_length.setdefault(len(window), []).append(number)
    for numbers in by_length.values():
        _follow(values, run, np.stack([choices.windows[n] for n in numbers]), np.stack([choices.spans[n] for n in numbers]))
    seen = run.heard[0][0].count > 0
    traces = [
        Trace(tuple(one.mean for one in layer), tuple(one.covariance for one in layer), tuple(bounds.tolist()), seen)
        for layer, bounds in zip(run.heard, run.largest)
    ]
    return traces, MemoryTrace(run.memory.mean, run.memory.covariance, run.largest_memory, seen)


def _follow(values: CfCValues, run: _Run, x: FloatArray, spans: FloatArray) -> None:
    """Windows x (windows, time, inputs) of samples that last spans (windows, time); those of length 0 leave the state."""
    states = [np.zeros((len(x), layer.units)) for layer in values.layers]
    memory = np.zeros((len(x), values.units))
    for k in range(x.shape[1]):
        span, moves = spans[:, k, None], spans[:, k, None] > 0
        own, below = list(states), x[:, k]
        if values.lstm is not None:
            liquid = np.concatenate(states, axis=1)
            run.memory.note(np.concatenate([below, liquid], axis=1))
            shown, carried = lstm.step(values.lstm, below, liquid, memory)
            memory = np.where(moves, carried, memory)
            run.largest_memory = max(run.largest_memory, float(np.abs(memory).max()))
            own = [shown[:, layer.start : layer.start + layer.units] for layer in values.layers]
        for number, layer in enumerate(values.layers):
            z = np.concatenate([below, own[number]], axis=1)
            new = _step(values, layer, z, span, run.heard[number], run.largest[number])
            below = states[number] = np.where(moves, new, states[number])


def _step(values: CfCValues, layer: CfCLayer, z: FloatArray, span: FloatArray, heard: list[_Moments], largest: FloatArray) -> FloatArray:
    """The layer's new state, with what its dense maps heard noted in `heard` and their arguments' magnitudes in `largest`."""
    for depth, (weight, bias) in enumerate(layer.backbone):
        heard[depth].note(z)
        argument = z @ weight.T + bias
        largest[depth] = max(largest[depth], float(np.abs(argument).max()))
        z = ACTIVATIONS[values.activation](argument)
    heard[-1].note(z)
    heads = {name: z @ weight.T + bias for name, (weight, bias) in layer.heads.items()}
    largest[-1] = max(largest[-1], *(float(np.abs(heads[name]).max()) for name in ("ff1", "ff2") if name in heads))
    first = heads["ff1"]
    if layer.w_tau is not None and layer.A is not None:
        return np.asarray(layer.A - layer.A * np.exp(-span * (np.abs(layer.w_tau) + np.abs(first))) * first)
    torch = values.dialect == "torch"
    start, goal = (np.tanh(heads[name]) if torch else heads[name] for name in ("ff1", "ff2"))
    gate = sigmoid((heads["time_a"] if torch else -heads["time_a"]) * span + heads["time_b"])
    return np.asarray(start + gate * (goal if values.mode == "no_gate" else goal - start))
