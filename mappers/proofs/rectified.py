"""Sums of rectifiers that all hear one argument: far narrower than each rectifier's own range would let them be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from liquid_neuro.cells.cfc_library import RELU
from liquid_neuro.quantized_network import IntArray, Population, Projection, QuantizedNetwork

Range = tuple[IntArray, IntArray]


def rectified_sums(quantized: QuantizedNetwork, sums: Mapping[str, Range], target: str, port: str) -> Range | None:
    """Smallest and largest running sum (size,) of a port that only rectifiers of one population reach; None for other ports.

    sums: by population the range (size,) of what its rectifiers hear. Those with the same incoming synapses hear the same x and send
    relu(x + bias) - rest in the same tick, so that a target's sum is one function of x per argument: lines between the knots -bias, whose
    extremes lie at knots and at the ends of x. Nothing sent yet counts as 0. Thresholds, rounded messages or words that saturate would
    break that: then None.
    """
    wires = [wire for wire in quantized.projections if (wire.target_population, wire.port) == (target, port)]
    if len(wires) != 1 or quantized.population(wires[0].source_population).program != RELU.name:
        return None
    bank, wire = quantized.population(wires[0].source_population), wires[0]
    low, high = sums[bank.name]
    bias, rest = bank.parameters["bias"], bank.parameters["rest"]
    exact = bank.threshold == 1 and bank.message_shift == 0 and not bank.prediction
    fits = (np.maximum(high + bias, 0) - rest <= bank.state.highest).all() and (-rest >= bank.state.lowest).all()
    if not (exact and fits):
        return None
    argument = _arguments(quantized, bank)
    size = quantized.population(target).size
    ends = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for compartment, mine in _by_target(wire).items():
        for one in np.unique(argument[wire.source[mine]]):
            chosen = mine[argument[wire.source[mine]] == one]
            sources = wire.source[chosen]
            x = np.clip(np.concatenate([-bias[sources], low[sources], high[sources]]), low[sources[0]], high[sources[0]])
            values = (np.maximum(x[:, None] + bias[sources], 0) - rest[sources]) @ wire.weight[chosen]
            ends[0][compartment] += min(int(values.min()), 0)
            ends[1][compartment] += max(int(values.max()), 0)
    return ends


def _by_target(wire: Projection) -> dict[int, IntArray]:
    """Positions of the synapses of every target."""
    found: dict[int, list[int]] = defaultdict(list)
    for position, compartment in enumerate(wire.target.tolist()):
        found[compartment].append(position)
    return {compartment: np.array(positions) for compartment, positions in found.items()}


def _arguments(quantized: QuantizedNetwork, bank: Population) -> IntArray:
    """A number (size,) per rectifier, the same for those with the same incoming synapses."""
    heard: list[list[tuple[int, int, int]]] = [[] for _ in range(bank.size)]
    for number, wire in enumerate(quantized.projections):
        if wire.target_population == bank.name:
            for source, compartment, weight in zip(wire.source.tolist(), wire.target.tolist(), wire.weight.tolist()):
                heard[compartment].append((number, source, weight))
    known: dict[tuple[tuple[int, int, int], ...], int] = {}
    return np.array([known.setdefault(tuple(sorted(synapses)), len(known)) for synapses in heard], dtype=np.int64)
