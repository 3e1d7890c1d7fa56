"""From ticks to samples: in which order code that has no ticks runs the populations, and what each of them hears.

Within a sample a population whose program has no memory runs only when something that it hears has changed. A population that passes
each of its messages to one synapse of one target alone (the gates of an LTC) needs no storage: it is computed where its target sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

import numpy as np

from liquid_neuro.cells import PROGRAMS
from liquid_neuro.quantized_network import IntArray, Population, Projection, QuantizedNetwork
from mappers.exporters import ExportError

Turn = tuple[int, str]  # tick, population
DENSE = 0.75  # of all pairs: then weights of 0 cost less than an index with every weight


@dataclass(frozen=True, eq=False)
class Stream:
    """The synapses through which a target hears one source, sorted by target, then source.

    source: the population whose messages are read. gate: the population that is computed on the way, or "".
    counts: synapses of each target. index: the source's compartment per synapse, None where every target hears all of them in order.
    members: the gate's compartment per synapse (empty without one). weights: per port; a sum of port p is factors[p] times that of these.
    """

    source: str
    gate: str
    counts: IntArray
    index: IntArray | None
    members: IntArray
    weights: Mapping[str, IntArray]

    @property
    def plain(self) -> bool:
        """Whether all targets simply hear the one compartment of the source: nothing is stored for that."""
        ones = all((weight == 1).all() for weight in self.weights.values())
        return self.index is None and len(self.weights) == 1 and ones and bool((self.counts == 1).all())


@dataclass(frozen=True, eq=False)
class Plan:
    """before: populations that run once per sample, in order; then `loop`, `repeats` times. streams: by target; gates that are computed on
    the way are in neither list. factors: by (target, port)."""

    before: tuple[str, ...]
    loop: tuple[str, ...]
    repeats: int
    streams: Mapping[str, tuple[Stream, ...]]
    factors: Mapping[tuple[str, str], int]

    def hears_itself(self, name: str) -> bool:
        """Whether a population's new messages must wait until all of it has run."""
        return any(stream.source == name for stream in self.streams[name])

    def heard_first(self, name: str) -> bool:
        """Whether a population's messages of the sample before are heard, by itself or by one that runs earlier."""
        order = [*self.before, *self.loop]
        return any(stream.source == name for other in order[: order.index(name) + 1] for stream in self.streams[other])

    def held(self, name: str) -> tuple[Stream, ...]:
        """What a population of the loop hears that does not change during the loop: summed once per sample."""
        if name not in self.loop or self.repeats == 1:
            return ()
        return tuple(stream for stream in self.streams[name] if stream.source not in self.loop and not stream.plain)

    def plain(self, name: str) -> tuple[Stream, ...]:
        """What all compartments of a population hear alike."""
        return tuple(stream for stream in self.streams[name] if stream.plain)

    def still(self, name: str) -> int:
        """How many of a population's last compartments hear nothing that changes during the loop."""
        if name not in self.loop or self.repeats == 1:
            return 0
        moving = [stream.counts for stream in self.streams[name] if stream.source in self.loop]
        size = max((len(counts) for counts in moving), default=0)
        heard = np.flatnonzero(np.sum(moving, axis=0)) if moving else np.zeros(0)
        return size - (int(heard[-1]) + 1 if len(heard) else 0)


def make_plan(quantized: QuantizedNetwork) -> Plan:
    """The plan of a network; ExportError where no order without ticks computes the same."""
    order = _sample_order(quantized)
    fused = {name for name in dict.fromkeys(order) if _passes_on(quantized, name, order)}
    before, loop, repeats = _repeated([name for name in order if name not in fused])
    factors = _factors(quantized)
    streams = {p.name: _streams(quantized, p.name, fused, factors) for p in quantized.populations if p.program and p.name not in fused}
    return Plan(tuple(before), tuple(loop), repeats, streams, factors)


def sources(quantized: QuantizedNetwork, target: str) -> set[str]:
    """The populations that one hears."""
    return {item.source_population for item in quantized.projections if item.target_population == target and len(item.weight)}


# --- order ------------------------------------------------------------------------------------------------------------------------------


def _sample_order(quantized: QuantizedNetwork) -> list[str]:
    """The runs of one sample in the order of their ticks, without those in which nothing can change."""
    samples = 4
    turns = _effective(quantized, samples)
    sequence = [
        turn
        for sample in range(samples)
        for turn in sorted(
            (turn for turn in turns if _sample_of(quantized, turn) == sample),
            key=lambda turn: (turn[0], [p.name for p in quantized.populations].index(turn[1])),
        )
    ]
    for position, (tick, name) in enumerate(sequence):
        for source in sources(quantized, name):
            heard = max((t for t, other in turns if other == source and t < tick), default=-1)
            in_order = max((t for t, other in sequence[:position] if other == source), default=-1)
            if heard != in_order and _sample_of(quantized, (tick, name)) in range(1, samples - 1):
                raise ExportError(
                    f"{name} must hear {source} in the order of samples to run without ticks, but hears it at another tick; "
                    f"use the lava target"
                )
    return [name for tick, name in sequence if _sample_of(quantized, (tick, name)) == samples - 2 and quantized.population(name).program]


def _effective(quantized: QuantizedNetwork, samples: int) -> list[Turn]:
    """All turns of so many samples and of the inputs in which something can change."""
    period = quantized.ticks_per_sample
    ticks = period * samples + max(p.first_tick for p in quantized.populations) + 1
    turns: list[Turn] = []
    last: dict[str, int] = {p.name: -1 for p in quantized.populations}
    changed = dict(last)
    for tick in range(ticks):
        now = []
        for p in quantized.populations:
            first, step = (p.first_tick, p.period) if p.program else (0, period)
            if tick < first or (tick - first) % step:
                continue
            memory = not p.program or not PROGRAMS[p.program].stateless
            news = any(last[p.name] <= changed[source] < tick for source in sources(quantized, p.name))
            if memory or news or last[p.name] < 0:
                now.append((tick, p.name))
            last[p.name] = tick
        for _, name in now:
            changed[name] = tick
        turns += now
    return turns


def _sample_of(quantized: QuantizedNetwork, turn: Turn) -> int:
    population = quantized.population(turn[1])
    return (turn[0] - (population.first_tick if population.program else 0)) // quantized.ticks_per_sample


def _repeated(order: list[str]) -> tuple[list[str], list[str], int]:
    """The order as a beginning and a pattern that repeats until the end, as short as can be."""
    best: tuple[list[str], list[str], int] = (order, [], 0)
    for length in range(1, len(order) // 2 + 1):
        pattern, repeats = order[-length:], 1
        while order[-length * (repeats + 1) : -length * repeats] == pattern:
            repeats += 1
        beginning = order[: len(order) - length * repeats]
        if repeats > 1 and len(beginning) + length < len(best[0]) + len(best[1]):
            best = (beginning, pattern, repeats)
    return best


def _passes_on(quantized: QuantizedNetwork, name: str, order: list[str]) -> bool:
    """Whether a population's messages each go to one synapse pair of one target, right after they were made."""
    population = quantized.population(name)
    program = PROGRAMS[population.program]
    incoming = [item for item in quantized.projections if item.target_population == name]
    outgoing = [item for item in quantized.projections if item.source_population == name]
    if program.unit or not program.stateless or len(incoming) != 1 or len({item.target_population for item in outgoing}) != 1:
        return False
    one_source = np.array_equal(np.sort(incoming[0].target), np.arange(population.size)) and (incoming[0].weight == 1).all()
    pairs = _pairs(outgoing)
    once = len(pairs) == population.size and len(np.unique(pairs[:, 1])) == population.size
    source, target = incoming[0].source_population, outgoing[0].target_population
    if source == name or target == name:
        return False
    # The source must not run again between a run of this population and the target's next one.
    cycle = order + order
    for position, runs in enumerate(order):
        if runs == name:
            following = cycle[position + 1 : position + 1 + cycle[position + 1 :].index(target)]
            if source in following:
                return False
    return bool(one_source and once)


# --- synapses ---------------------------------------------------------------------------------------------------------------------------


def _pairs(projections: list[Projection]) -> IntArray:
    """The distinct (target, source) of some projections, sorted."""
    if not projections:
        return np.zeros((0, 2), dtype=np.int64)
    ends = np.concatenate([np.stack([item.target, item.source], axis=1) for item in projections])
    return np.unique(ends, axis=0)


def _factors(quantized: QuantizedNetwork) -> dict[tuple[str, str], int]:
    """The largest common divisor of all weights into a port."""
    factors: dict[tuple[str, str], int] = {}
    for item in quantized.projections:
        key = item.target_population, item.port
        factors[key] = gcd(factors.get(key, 0), *np.abs(item.weight).tolist())
    return {key: max(factor, 1) for key, factor in factors.items()}


def _streams(quantized: QuantizedNetwork, target: str, fused: set[str], factors: Mapping[tuple[str, str], int]) -> tuple[Stream, ...]:
    streams = []
    size = quantized.population(target).size
    for name in [p.name for p in quantized.populations if p.name in sources(quantized, target)]:
        projections = [p for p in quantized.projections if (p.source_population, p.target_population) == (name, target)]
        pairs = _pairs(projections)
        everything = size * quantized.population(name).size
        dense = name not in fused and len(pairs) >= DENSE * everything
        if dense:
            pairs = np.stack(np.divmod(np.arange(everything), quantized.population(name).size), axis=1)
        weights = {}
        for item in projections:
            weights[item.port] = np.zeros(len(pairs), dtype=np.int64)
            where = np.searchsorted(_key(pairs[:, 0], pairs[:, 1]), _key(item.target, item.source))
            weights[item.port][where] = item.weight // factors[target, item.port]
        counts = np.bincount(pairs[:, 0], minlength=size).astype(np.int64)
        if name in fused:
            streams.append(_through_gate(quantized, name, counts, pairs[:, 1], weights))
            continue
        none = np.zeros(0, dtype=np.int64)
        streams.append(Stream(name, "", counts, None if dense else pairs[:, 1].copy(), none, weights))
    return tuple(streams)


def _through_gate(quantized: QuantizedNetwork, gate: str, counts: IntArray, members: IntArray, weights: Mapping[str, IntArray]) -> Stream:
    incoming = next(item for item in quantized.projections if item.target_population == gate)
    source_of = np.zeros(quantized.population(gate).size, dtype=np.int64)
    source_of[incoming.target] = incoming.source
    return Stream(incoming.source_population, gate, counts, source_of[members], members.copy(), weights)


def _key(target: IntArray, source: IntArray) -> IntArray:
    return (target << 32) + source


def uniform(values: IntArray) -> bool:
    """Whether all compartments share a parameter."""
    return len(values) == 0 or bool((values == values[0]).all())


def parameters_of(population: Population) -> dict[str, IntArray]:
    """The parameters that differ between compartments."""
    return {name: np.asarray(values) for name, values in population.parameters.items() if not uniform(np.asarray(values))}
