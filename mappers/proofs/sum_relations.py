"""Running sums of the same messages belong together: what one of them says about the other, exactly.

For sums c = Σ w m and d = Σ w' m with w, m >= 0, and any slope p::

    d <= p c + max Σ (w' - p w) m

where each message alone decides its term. Slopes at the quotients w' / w give the upper edge of all (c, d) that messages can make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from liquid_neuro.quantized_network import IntArray, Population, QuantizedNetwork
from mappers.proofs.intervals import Interval, Range

FRACTION = 8
MOST_SLOPES = 8
FAR = 1 << 61


@dataclass(frozen=True, eq=False)
class Relation:
    """2**FRACTION times input `second` lies in -(slope first + below) .. slope first + above for each slope: arrays (slopes, size)."""

    first: int
    second: int
    slope: IntArray
    above: IntArray
    below: IntArray

    def narrowed(self, first: Interval, second: Interval) -> Interval:
        """What is left of `second` (cases, size) where `first` is that."""
        most = self.slope[:, None] * first.high[None]
        above = (most + self.above[:, None] >> FRACTION).min(axis=0)
        below = (most + self.below[:, None] >> FRACTION).min(axis=0)
        return Interval(np.maximum(second.low, -below), np.minimum(second.high, above))

    def allows(self, inputs: list[int], compartment: int) -> bool:
        """Whether these inputs of a compartment's program can belong together."""
        most = self.slope[:, compartment] * inputs[self.first]
        value = inputs[self.second] << FRACTION
        return bool((value <= most + self.above[:, compartment]).all() and (value >= -(most + self.below[:, compartment])).all())

    def except_at(self, lost: Any) -> Relation:
        """The same without the compartments (size,) whose sums may saturate: those no longer belong together."""
        return Relation(self.first, self.second, self.slope, np.where(lost, FAR, self.above), np.where(lost, FAR, self.below))

    def part(self, start: int, stop: int) -> Relation:
        """The same for some of the compartments."""
        return Relation(self.first, self.second, *(array[:, start:stop] for array in (self.slope, self.above, self.below)))


def relations(quantized: QuantizedNetwork, population: Population, ports: tuple[str, ...], messages: dict[str, Range]) -> list[Relation]:
    """All relations between two ports of a population; inputs are numbered as in its program (0: state, 1: the first port)."""
    weights = {port: _weights(quantized, population, port) for port in ports}
    found = []
    for first, port in enumerate(ports, start=1):
        ends = [messages[name][0][source] for rows in weights[port] for name, source in rows]
        if not all(weight >= 0 for rows in weights[port] for weight in rows.values()) or not all(end >= 0 for end in ends):
            continue
        for second, other in enumerate(ports, start=1):
            if second != first and any(weights[port]) and any(weights[other]):
                found.append(_relation(first, second, weights[port], weights[other], messages))
    return found


def _weights(quantized: QuantizedNetwork, population: Population, port: str) -> list[dict[tuple[str, int], int]]:
    rows: list[dict[tuple[str, int], int]] = [{} for _ in range(population.size)]
    for item in quantized.projections:
        if (item.target_population, item.port) == (population.name, port):
            for source, target, weight in zip(item.source.tolist(), item.target.tolist(), item.weight.tolist()):
                rows[target][item.source_population, source] = weight
    return rows


def _relation(
    first: int,
    second: int,
    weights: list[dict[tuple[str, int], int]],
    others: list[dict[tuple[str, int], int]],
    messages: dict[str, Range],
) -> Relation:
    size = len(weights)
    slope, above, below = (np.zeros((MOST_SLOPES, size), dtype=np.int64) for _ in range(3))
    for compartment, (row, other) in enumerate(zip(weights, others)):
        keys = list(dict.fromkeys([*row, *other]))
        one, two = (np.array([rows.get(key, 0) for key in keys], dtype=np.int64) for rows in (row, other))
        ends = np.array([[int(end[source]) for end in messages[name]] for name, source in keys], dtype=np.int64).reshape(-1, 2)
        quotients = -(-(np.abs(two[one > 0]) << FRACTION) // one[one > 0])
        chosen = np.quantile(quotients, np.linspace(0, 1, MOST_SLOPES), method="nearest") if len(quotients) else np.zeros(MOST_SLOPES)
        slope[:, compartment] = chosen
        for number, value in enumerate(slope[:, compartment].tolist()):
            for sign, offset in ((1, above), (-1, below)):
                terms = (sign * two << FRACTION) - value * one
                offset[number, compartment] = np.maximum(terms * ends[:, 0], terms * ends[:, 1]).sum()
    return Relation(first, second, slope, above, below)
