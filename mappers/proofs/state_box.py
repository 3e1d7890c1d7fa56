"""The box that the states of an LTC's neurons never leave, in integers: whatever the inputs, and for ever.

A neuron moves from v a part of the way to its goal A / G. Where every goal lies between b and B, v can pass them by rounding alone. With
u = v / 2**guard rounded (what enters products), f = fraction, and T, P the two sums brought to 15 bits::

    P 2**f - T u <= T (B - u) + R,   R = |B| + 2**(f-1)       because T and P are rounded (by 1 and 1/2 at most) and P 2**f <= T B
    u >= B + R / 2**14:  v' <= v                              T >= 2**14: |A| <= G 2**(15-f), so that G's bit length is the one used
    otherwise         :  v' <= v + 2**guard (r max(B - u, 0) + (R / 2**14 + 1/2) (1 + 2**-13)) + 1/2

where r exceeds G / (C + G) <= 1 by rounding only: by the reciprocal's relative error (the table is looked at), 2**-14 of the divisor and
2**-15 of T. So v never exceeds the right side at its largest; downwards likewise. Whether A 2**f <= G B for all messages is exact: both
sums are linear in the messages, so each message alone decides its term.
"""

from __future__ import annotations

import math

import numpy as np

from liquid_neuro.cells.integer import interpolate
from liquid_neuro.quantized_network import IntArray, Population, QuantizedNetwork
from mappers.proofs.intervals import Range

LONGEST = 16  # bits of v in products


def state_box(quantized: QuantizedNetwork, population: Population, messages: dict[str, Range]) -> Range:
    """Lowest and highest state words (size,) of a population of "ltc.neuron" that starts between them, 0 included.

    messages: ranges of what the sources send. Where nothing is proved: the ends of the state word.
    """
    terms = _Terms(quantized, population, messages)
    word = population.state
    low = np.full(population.size, word.lowest, dtype=np.int64)
    high = np.full(population.size, word.highest, dtype=np.int64)
    if len(population.tables["reciprocal"]) <= 128:  # too short to be read at all, which is another failure
        return low, high
    rounding = _reciprocal_excess(population.tables["reciprocal"])
    for neuron in range(population.size):
        goals = terms.goals(neuron)
        if goals is None:
            continue
        slack = _slack(population, neuron, max(abs(goals[0]), abs(goals[1])), rounding)
        scale = 1 << int(population.parameters["guard"][neuron])
        lowest, highest = scale * goals[0] - slack, scale * goals[1] + slack
        if word.lowest <= lowest and highest <= word.highest:
            low[neuron], high[neuron] = min(lowest, 0), max(highest, 0)
    return low, high


def _slack(population: Population, neuron: int, goal: int, rounding: float) -> int:
    """How far rounding can carry a state beyond its goals, in steps of the state word."""
    fraction, guard = (int(population.parameters[name][neuron]) for name in ("fraction", "guard"))
    scale, rest = 1 << guard, goal + (1 << max(fraction - 1, 0))
    beyond = math.ceil(rest / 2**14)
    excess = (1 + rounding) / (1 - 2.0**-14) * (1 + 2.0**-15) - 1
    return int(scale * (beyond + 1 + math.ceil(excess * 2**LONGEST))) + math.ceil((rest / 2**14 + 0.5) * (1 + 2.0**-13) * scale) + 2


def _reciprocal_excess(table: IntArray) -> float:
    """By how much the interpolated table exceeds 2**28 / D at most, relative to it."""
    positions = np.arange(1 << 14, dtype=np.int64)
    return float((interpolate(table, positions, 7) * (positions + (1 << 14)) / 2.0**28).max() - 1.0)


class _Terms:
    """What each message adds to the two sums of a neuron."""

    def __init__(self, quantized: QuantizedNetwork, population: Population, messages: dict[str, Range]) -> None:
        self.population = population
        self.weights: list[dict[tuple[str, int], list[int]]] = [{} for _ in range(population.size)]
        self.messages = messages
        for item in quantized.projections:
            if item.target_population == population.name:
                column = ("conductance", "driven").index(item.port)
                for source, target, weight in zip(item.source.tolist(), item.target.tolist(), item.weight.tolist()):
                    self.weights[target].setdefault((item.source_population, source), [0, 0])[column] = weight

    def goals(self, neuron: int) -> tuple[int, int] | None:
        """(b, B) with total b <= pull 2**fraction <= total B for all messages; None where there are none within 16 bits."""
        value = {name: int(array[neuron]) for name, array in self.population.parameters.items()}
        rows = [
            (weights[0], weights[1], int(self.messages[name][0][source]), int(self.messages[name][1][source]))
            for (name, source), weights in self.weights[neuron].items()
        ]
        plain = all(conductance >= 0 and lowest >= 0 for conductance, _, lowest, _ in rows)
        if not (plain and value["leak"] >= 0 and value["capacitance"] >= 0 and 0 <= value["fraction"] <= 15 and 0 <= value["guard"] <= 8):
            return None
        if value["leak"] + value["driven_leak"] == 0 and not rows:
            return 0, 0
        highest = self._smallest(rows, value, 1)
        lowest = self._smallest(rows, value, -1)
        return None if highest is None or lowest is None else (-lowest, highest)

    @staticmethod
    def _smallest(rows: list[tuple[int, int, int, int]], value: dict[str, int], sign: int) -> int | None:
        """The smallest B with sign * pull 2**fraction <= total B; the rounding of pull counts as one half."""
        unit = 1 << (value["ratio_shift"] + 1)

        def holds(bound: int) -> bool:
            total = (2 * sign * value["driven_leak"] + 1) * (unit >> 1 << value["fraction"]) - value["leak"] * bound * unit
            for conductance, driven, lowest, highest in rows:
                slope = sign * driven * value["ratio"] * 2 * (1 << value["fraction"]) - conductance * bound * unit
                total += slope * (highest if slope > 0 else lowest)
            return total <= 0

        first, last = -(1 << (LONGEST - 1)), 1 << (LONGEST - 1)
        if not holds(last):
            return None
        while last - first > 1:
            middle = (first + last) // 2
            first, last = (first, middle) if holds(middle) else (middle, last)
        return last
