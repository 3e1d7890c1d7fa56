"""The box that the states of an LTC's neurons never leave, in integers: whatever the inputs, and for ever.

A neuron moves from v a part of the way to its goal A / G. Where every goal lies between b and B, v can pass them by rounding alone. With
u = v / 2**guard rounded (what enters products), f = fraction, and T, P the two sums brought to 15 bits::

    P 2**f - T u <= T (B - u) + R,   R = |B| + 2**(f-1)       because T and P are rounded (by 1 and 1/2 at most) and P 2**f <= T B
    u >= B + R / 2**14:  v' <= v                              T >= 2**14: |A| <= G 2**(15-f), so that G's bit length is the one used
    otherwise         :  v' <= v + 2**guard (r max(B - u, 0) + (R / 2**14 + 1/2) (1 + e)) + 1/2

where r, at most 1 + e, is the part that a turn goes: G / (C + G), G dt / (cm U + G dt), or either times θ, whose product with it stays
below 1 too. The excess e comes from rounding alone: the reciprocal's relative error and θ's (their tables are looked at), 2**-14 of the
divisor, 2**-15 of T, and where two factors are rounded on their way 2**-12 and less. So v never exceeds the right side at its largest;
downwards likewise. Whether A 2**f <= G B for all messages is exact: both sums are linear in the messages, so each message alone decides
its term.

Neurons that begin samples at what mixed memory recalls (programs named `_recalled`) have those words in their box as well: no step leaves
a box that holds all goals and the excess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.cells.integer import interpolate
from liquid_neuro.cells.ltc_integer import NEURON
from liquid_neuro.cells.ltc_recalled import RECALLED
from liquid_neuro.quantized_network import IntArray, Population, QuantizedNetwork
from mappers.proofs.intervals import Interval, Range, message_range, message_ranges, sum_range

BoolArray = npt.NDArray[np.bool_]
LONGEST = 16  # bits of v in products
PROGRAMS = (*RECALLED, *(program.name for program in RECALLED.values()))
WHOLE_SUM = 1 << 62  # what int64 holds for sure


def state_box(quantized: QuantizedNetwork, population: Population, messages: dict[str, Range]) -> Range:
    """Lowest and highest state words (size,) of a population of one of PROGRAMS that starts between them, 0 included.

    messages: ranges of what the sources send. Where nothing is proved: the ends of the state word.
    """
    word = population.state
    low = np.full(population.size, word.lowest, dtype=np.int64)
    high = np.full(population.size, word.highest, dtype=np.int64)
    if any(len(table) <= 128 for table in population.tables.values()):  # too short to be read at all, which is another failure
        return low, high
    terms = _Terms(quantized, population, messages)
    least, found_least = terms.smallest(-1)
    most, found_most = terms.smallest(1)
    still = terms.alone & (terms.leak == 0) & (population.parameters["driven_leak"] == 0)
    least, most = np.where(still, 0, -least), np.where(still, 0, most)
    slack = _slack(population, np.maximum(np.abs(least), np.abs(most)))
    scale = 1 << np.clip(population.parameters["guard"], 0, 8)
    lowest, highest = scale * least - slack, scale * most + slack
    recalled_low, recalled_high = _recalled(quantized, population, messages)
    lowest, highest = np.minimum(lowest, recalled_low), np.maximum(highest, recalled_high)
    proved = terms.plain & (still | (found_least & found_most)) & (word.lowest <= lowest) & (highest <= word.highest)
    return np.where(proved, np.minimum(lowest, 0), low), np.where(proved, np.maximum(highest, 0), high)


def _recalled(quantized: QuantizedNetwork, population: Population, messages: dict[str, Range]) -> Range:
    """The words that what arrives at a port "recalled" can set; 0 without one."""
    low, high = sum_range(quantized, messages, population.name, "recalled")
    shift = np.clip(population.parameters.get("recalled_shift", 0), 0, 31)
    return low << shift, high << shift


def messages_fit(quantized: QuantizedNetwork) -> bool:
    """Whether no message of the neurons can leave its format; where their states may saturate the last one rounds to a step beyond it."""
    neurons = quantized.population(quantized.output_population)
    low, high = message_range(neurons, Interval(*state_box(quantized, neurons, message_ranges(quantized))))
    limit = 1 << (neurons.message_bits - 1)
    return bool((low >= -limit).all() and (high < limit).all())


def _slack(population: Population, goal: IntArray) -> IntArray:
    """How far rounding can carry states (size,) beyond their goals, in steps of the state word."""
    fraction, guard = (np.clip(population.parameters[name], 0, 15) for name in ("fraction", "guard"))
    scale, rest = 1 << guard, goal + (1 << np.maximum(fraction - 1, 0))
    excess = _excess(population)
    steps = scale * (-(-rest >> 14) + 1 + int(np.ceil(excess * 2**LONGEST)))
    return np.asarray(steps + np.ceil((rest / 2**14 + 0.5) * (1 + excess) * scale).astype(np.int64) + 4)


def _excess(population: Population) -> float:
    """By how much the part that a turn goes can exceed 1."""
    positions = np.arange(1 << 14, dtype=np.int64)
    reciprocal = interpolate(population.tables["reciprocal"], positions, 7)
    factor = (reciprocal * (positions + (1 << 14)) / 2.0**28).max() / (1 - 2.0**-14) * (1 + 2.0**-15)
    if "exponential" in population.tables:
        shares = (positions + 0.5) / 2.0**14 * (1 + 2.0**-13)  # a position stands for shares that round to it
        factor *= max((shares * interpolate(population.tables["exponential"], positions, 7) / 2.0**14).max(), 1.0)
    plain = population.program.removesuffix("_recalled") == NEURON.name
    return float(factor * (1.0 if plain else 1 + 2.0**-11) - 1.0)


@dataclass(frozen=True, eq=False)
class _Synapses:
    """What each message adds to the two sums of a neuron: arrays over pairs of a neuron and a source."""

    target: IntArray
    conductance: IntArray
    driven: IntArray
    lowest: IntArray
    highest: IntArray


class _Terms:
    """The two sums of all neurons. plain: those whose parameters are of the kind that the proof is about; alone: those without synapses."""

    def __init__(self, quantized: QuantizedNetwork, population: Population, messages: dict[str, Range]) -> None:
        value = population.parameters
        self.size, self.leak, self.driven_leak = population.size, value["leak"], value["driven_leak"]
        self.ratio, self.fraction = value["ratio"], np.clip(value["fraction"], 0, 15)
        self.unit = np.left_shift(1, np.clip(value["ratio_shift"], 0, 31) + 1)
        self.synapses = _synapses(quantized, population, messages)
        wild = (self.synapses.conductance < 0) | ((self.synapses.conductance > 0) & (self.synapses.lowest < 0))
        self.alone = np.bincount(self.synapses.target, minlength=self.size) == 0
        self.plain = (
            (np.bincount(self.synapses.target[wild], minlength=self.size) == 0)
            & (self.leak >= 0)
            & (value["capacitance"] >= 0)
            & (self.fraction == value["fraction"])
            & (value["guard"] >= 0)
            & (value["guard"] <= 8)
            & (value["ratio_shift"] >= 0)
            & (value["ratio_shift"] <= 31)
        )
        if "exponent" in value:  # 29 bits of cm U, or none far below everything else
            self.plain &= (value["capacitance"] >= 1 << 28) | ((value["capacitance"] == 0) & (value["exponent"] <= -31))

    def smallest(self, sign: int) -> tuple[IntArray, BoolArray]:
        """(the smallest B (size,) with sign * pull 2**fraction <= total B for all messages, whether there is one within 16 bits)."""
        first = np.full(self.size, -(1 << (LONGEST - 1)), dtype=np.int64)
        last = -first
        found = self._holds(last, sign)
        while (last - first > 1).any():
            middle = (first + last) >> 1
            holds = self._holds(middle, sign)
            first, last = np.where(holds, first, middle), np.where(holds, middle, last)
        return last, found

    def _holds(self, bound: IntArray, sign: int) -> BoolArray:
        """Whether sign * pull 2**fraction <= total * bound for all messages; the rounding of pull counts as one half."""
        kind: type = np.int64 if self._largest < WHOLE_SUM else object
        synapses = self.synapses
        unit: npt.NDArray[Any] = self.unit.astype(kind)
        scale: npt.NDArray[Any] = np.left_shift(2, self.fraction).astype(kind)
        total = (2 * sign * self.driven_leak.astype(kind) + 1) * (unit * scale // 4) - self.leak.astype(kind) * bound * unit
        at = synapses.target
        slope = sign * synapses.driven.astype(kind) * self.ratio[at] * scale[at] - synapses.conductance.astype(kind) * bound[at] * unit[at]
        np.add.at(total, at, slope * np.where(slope > 0, synapses.highest, synapses.lowest))
        return np.asarray(total <= 0, dtype=bool)

    @property
    def _largest(self) -> float:
        """More than any sum in `_holds`."""
        synapses, unit, scale = self.synapses, self.unit.astype(float), 2.0 ** (self.fraction + 1)
        slope = np.abs(synapses.driven) * (np.abs(self.ratio) * scale)[synapses.target]
        slope = slope + np.abs(synapses.conductance) * (2.0**LONGEST * unit)[synapses.target]
        total = (2.0 * np.abs(self.driven_leak) + 1) * unit * scale + self.leak * 2.0**LONGEST * unit
        np.add.at(total, synapses.target, slope * np.maximum(np.abs(synapses.lowest), np.abs(synapses.highest)))
        return float(total.max(initial=0.0))


def _synapses(quantized: QuantizedNetwork, population: Population, messages: dict[str, Range]) -> _Synapses:
    empty = np.zeros(0, dtype=np.int64)
    parts = [_Synapses(empty, empty, empty, empty, empty)]
    for name in dict.fromkeys(item.source_population for item in quantized.projections if item.target_population == population.name):
        size = quantized.population(name).size
        ports = {
            item.port: item
            for item in quantized.projections
            if (item.source_population, item.target_population) == (name, population.name) and item.port in ("conductance", "driven")
        }
        if not ports:
            continue
        pairs = np.unique(np.concatenate([item.target * size + item.source for item in ports.values()]))
        weights = {}
        for port in ("conductance", "driven"):
            weights[port] = np.zeros(len(pairs), dtype=np.int64)
            if port in ports:
                item = ports[port]
                weights[port][np.searchsorted(pairs, item.target * size + item.source)] = item.weight
        source = pairs % size
        low, high = messages[name]
        parts.append(_Synapses(pairs // size, weights["conductance"], weights["driven"], low[source], high[source]))
    return _Synapses(*(np.concatenate([getattr(part, name) for part in parts]) for name in _Synapses.__dataclass_fields__))
