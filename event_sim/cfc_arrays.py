"""CfC networks as the kernel reads them: a list of stages over one vector of signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.events import FloatArray, IntArray
from event_sim.plan import Start
from liquid_neuro.cells import cfc

NEVER_TAKEN = 1 << 62  # increments: sums are taken anew at once
ACTIVATIONS = ("lecun_tanh", "tanh", "relu", "silu", "gelu")  # in the order of the kernel's numbers


class CfCArrays(NamedTuple):
    """The kernel's arrays, in the order of its arguments: records of stages, ranges, signals and what was heard; weights, biases, sums."""

    stages: npt.NDArray[Any]
    ranges: npt.NDArray[Any]
    signals: npt.NDArray[Any]
    heard: npt.NDArray[Any]
    weight: FloatArray
    bias: FloatArray
    sums: FloatArray


def cfc_arrays(values: cfc.CfCValues, quantum: FloatArray, start: Start) -> CfCArrays:
    """The network at the given start. quantum: (units,); units of backbones take the finest of them."""
    recalled = values.units if values.lstm is not None else 0
    builder = _Builder(values.inputs + recalled)
    states: list[int] = []  # where the signals of each layer's state begin
    for layer in values.layers:
        heard = (0, layer.inputs) if layer.inputs_from < 0 else (states[layer.inputs_from], layer.inputs)
        own = builder.signals + sum(len(bias) for _, bias in layer.backbone)
        sources = [heard, (values.inputs + layer.start if recalled else own, layer.units)]
        for weight, bias in layer.backbone:
            products = np.full(weight.shape[1], len(bias))
            sources = [(builder.add(ACTIVATIONS.index(values.activation), [(weight, bias)], products, sources, -1), len(bias))]
        states.append(builder.add(_kind(values), list(layer.heads.values()), _products(layer), sources, layer.start))
    arrays = builder.arrays()
    arrays.stages["increments"] = NEVER_TAKEN  # a backbone layer has a value before anything that it hears has changed
    signals = arrays.signals
    signals["quantum"] = quantum.min() if len(quantum) else 0.0
    signals["value"][: values.inputs] = start.inputs
    if recalled:
        signals["quantum"][values.inputs : values.inputs + recalled] = quantum
    for layer, first in zip(values.layers, states):
        here, own_units = slice(first, first + layer.units), slice(layer.start, layer.start + layer.units)
        signals["value"][here], signals["quantum"][here] = start.state[own_units], quantum[own_units]
        if layer.w_tau is not None and layer.A is not None:
            signals["w_tau"][here], signals["A"][here] = layer.w_tau, layer.A
    return arrays


def memory_weights(values: cfc.CfCValues) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(input weight, input bias, recurrent weight) of the memory cell, empty without one."""
    if values.lstm is None:
        return np.zeros((0, 0)), np.zeros(0), np.zeros((0, 0))
    parts = (values.lstm.input_weight, values.lstm.input_bias, values.lstm.recurrent_weight)
    first, second, third = (np.array(part, dtype=np.float64, order="C") for part in parts)
    return first, second, third


def heard_by(values: cfc.CfCValues) -> IntArray:
    """(units,) how many units (of backbone layers too) hear each unit: its fan-out in the neuron graph."""
    fan_out = np.zeros(values.units, dtype=np.int64)
    for number, layer in enumerate(values.layers):
        own = len(layer.backbone[0][1]) if layer.backbone else layer.units
        fan_out[layer.start : layer.start + layer.units] += own
        if number > 0:
            before = values.layers[layer.inputs_from]
            heard = np.full(before.units, layer.units)
            if layer.mask is not None and "time_a" not in layer.heads:  # pure: what the wiring masks is not heard at all
                heard = np.count_nonzero(layer.mask[:, : layer.inputs], axis=0)
            fan_out[before.start : before.start + before.units] += heard
    return fan_out


def _products(layer: cfc.CfCLayer) -> IntArray:
    """(columns,) products that a change of each signal costs in the heads: masked weights are no products."""
    columns = next(iter(layer.heads.values()))[0].shape[1]
    every = np.full(columns, layer.units)
    masked = every if layer.mask is None else np.count_nonzero(layer.mask, axis=0)
    return np.sum([masked if name in cfc.MASKED_HEADS else every for name in layer.heads], axis=0).astype(np.int64)


def _kind(values: cfc.CfCValues) -> int:
    from event_sim.kernels import cfc_delta as kernel

    keras = values.dialect == "keras"
    kinds = {
        "default": kernel.KERAS_DEFAULT if keras else kernel.DEFAULT,
        "no_gate": kernel.KERAS_NO_GATE if keras else kernel.NO_GATE,
        "pure": kernel.PURE,
    }
    return kinds[values.mode]


@dataclass
class _Builder:
    """Collects stages one after the other. signals: how many there are so far."""

    signals: int

    def __post_init__(self) -> None:
        self.stages: list[tuple[int, ...]] = []
        self.ranges: list[tuple[int, ...]] = []
        self.weight: list[FloatArray] = []
        self.bias: list[FloatArray] = []
        self.products: list[IntArray] = []

    def add(self, kind: int, heads: list[cfc.Affine], products: IntArray, sources: list[tuple[int, int]], unit: int) -> int:
        """Append a stage; returns the first of the signals that it sends. sources: (first signal, length) of what it hears."""
        outputs = len(heads[0][1])
        columns = np.concatenate(
            [weight.T for weight, _ in heads], axis=1
        )  # one column's weights are neighbours: (columns, heads x outputs)
        first_weight, first_heard = sum(len(part) for part in self.weight), sum(len(part) for part in self.products)
        first_range, column = len(self.ranges), 0
        for signal, length in sources:
            self.ranges.append((signal, length, first_weight + column * columns.shape[1], first_heard + column))
            column += length
        first_sum = sum(len(part) for part in self.bias)
        self.stages.append((kind, len(heads), outputs, first_range, len(sources), first_sum, self.signals, unit, 0))
        self.weight.append(columns.ravel())
        self.bias.append(np.concatenate([bias for _, bias in heads]))
        self.products.append(products)
        self.signals += outputs
        return self.signals - outputs

    def arrays(self) -> CfCArrays:
        """The stages as the kernel's arrays; signals are zero."""
        from event_sim.kernels import cfc_delta as kernel

        heard = np.zeros(sum(len(part) for part in self.products), dtype=kernel.HEARD)
        heard["products"] = np.concatenate(self.products)
        bias = np.concatenate(self.bias)
        return CfCArrays(
            np.array(self.stages, dtype=kernel.STAGE),
            np.array(self.ranges, dtype=kernel.RANGE),
            np.zeros(self.signals, dtype=kernel.SIGNAL),
            heard,
            np.concatenate(self.weight),
            bias,
            bias.copy(),
        )
