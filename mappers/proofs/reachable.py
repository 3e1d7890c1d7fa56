"""What a quantised network can reach: words, messages, running sums, and the ranges of all operations of its programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from liquid_neuro import cells
from liquid_neuro.cells.cfc_heads import HEADS, TIMESPAN
from liquid_neuro.cells.integer import Program
from liquid_neuro.quantized_network import IntArray, Population, QuantizedNetwork
from mappers.proofs import state_box
from mappers.proofs.intervals import Interval, Range, host_words, interval, message_range, sources_first, states_from_rest, sum_range, word
from mappers.proofs.program_bounds import FAR, Bounds, Evaluation
from mappers.proofs.program_graph import trace
from mappers.proofs.sum_relations import Relation, relations
from mappers.proofs.witness import Question, Space

CHUNK = 64  # compartments looked at together
HOST_SUM_BITS = 32


@dataclass(eq=False)
class Reach:
    """Ranges per population (size,) for any input word; `sums` for inputs within `inputs` alone.

    states, messages: ranges of words and of messages, 0 (nothing sent yet) included. ports: what programs find in their accumulators.
    bounds: per population the ranges of all operations, in chunks of compartments. related: how its sums belong together.
    """

    quantized: QuantizedNetwork
    word_bits: int
    inputs: tuple[int, int]
    states: dict[str, Range] = field(default_factory=dict)
    messages: dict[str, Range] = field(default_factory=dict)
    ports: dict[tuple[str, str], Range] = field(default_factory=dict)
    sums: dict[tuple[str, str], Range] = field(default_factory=dict)
    bounds: dict[str, list[Bounds]] = field(default_factory=dict)
    related: dict[str, list[Relation]] = field(default_factory=dict)

    def program(self, population: Population) -> Program:
        """The population's program."""
        return cells.PROGRAMS[population.program]

    def input_names(self, population: Population) -> tuple[str, ...]:
        """The inputs of its program, in order."""
        program = self.program(population)
        return ("state", *program.ports, *program.parameters)

    # --- ranges ---------------------------------------------------------------------------------------------------------------------------

    def look_at(self, population: Population) -> None:
        """Notes the ranges of a population's program for what is known of its sources."""
        program = self.program(population)
        for port in program.ports:
            self.ports[population.name, port] = self._port(population, port)
        inputs = [word(population), *(Interval(*self.ports[population.name, port]) for port in program.ports)]
        inputs += [interval(population.parameters[name]) for name in program.parameters]
        graph, chunks = trace(program), []
        related = [] if program.stateless else relations(self.quantized, population, program.ports, self.messages)
        limit = sum_limit(self.quantized, population)
        full = [self.ports[population.name, port][1] - self.ports[population.name, port][0] == 2 * limit - 1 for port in program.ports]
        related = self.related[population.name] = [item.except_at(full[item.first - 1] | full[item.second - 1]) for item in related]
        for start in range(0, population.size, CHUNK):
            part = [Interval(item.low[start : start + CHUNK], item.high[start : start + CHUNK]) for item in inputs]
            between = [item.part(start, start + CHUNK) for item in related]
            chunks.append(Evaluation(graph, part, population.tables, self.word_bits, between).refined())
        self.bounds[population.name] = chunks
        if program.stateless:
            ends = [part.of(graph.result) for part in chunks]
            state = word(population)
            low, high = (np.clip(np.concatenate(side), state.low, state.high) for side in zip(*ends))
            self.states[population.name] = (np.minimum(low, 0), np.maximum(high, 0))  # before its first turn it is 0
            self.messages[population.name] = message_range(population, Interval(low, high))
        elif program.name in state_box.PROGRAMS:
            self.states[population.name] = state_box.state_box(self.quantized, population, self.messages)
            self.messages[population.name] = message_range(population, Interval(*self.states[population.name]))
        else:
            settled = states_from_rest(population, [Interval(*self.ports[population.name, port]) for port in program.ports])
            self.states[population.name] = settled.low, settled.high
            self.messages[population.name] = message_range(population, settled)

    def _port(self, population: Population, port: str) -> Range:
        """What a program finds at a port: a sum, the whole accumulator where that may saturate, or what the host puts there."""
        quantized = self.quantized
        if any((item.target_population, item.port) == (population.name, port) for item in quantized.projections):
            low, high = sum_range(quantized, self.messages, population.name, port)
            limit = sum_limit(quantized, population)
            saturates = (low < -limit) | (high >= limit)
            return np.where(saturates, -limit, low), np.where(saturates, limit - 1, high)
        return self._host(population, port)

    def _host(self, population: Population, port: str) -> Range:
        """Ports that no synapse reaches: what the host reads unit by unit in a network of heads; 0 otherwise."""
        size, layer = population.size, population.name.rpartition(".")[0]
        if port == "timespan":
            return np.full(size, TIMESPAN.lowest), np.full(size, TIMESPAN.highest)
        if population.program == "cfc_heads.encode":
            return self.states["input" if layer == "input" else f"{layer}.state"]
        if port in HEADS:
            start = HEADS.index(port) * size
            low, high = self.states[f"{layer}.heads"]
            return low[start : start + size], high[start : start + size]
        return np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)

    def arrivals(self, name: str, port: str) -> IntArray:
        """The largest |sum| of the deltas that one tick can bring to each compartment (size,)."""
        step = np.zeros(self.quantized.population(name).size, dtype=np.int64)
        for item in self.quantized.projections:
            if (item.target_population, item.port) == (name, port):
                low, high = self.messages[item.source_population]
                np.add.at(step, item.target, np.abs(item.weight) * (high - low)[item.source])
        return step

    # --- witnesses ------------------------------------------------------------------------------------------------------------------------

    def extreme(self, name: str, port: str, compartment: int, limit: int) -> tuple[dict[str, int], int]:
        """Messages of the sources that make a running sum leave -limit .. limit - 1, and the sum."""
        ends: dict[bool, dict[str, int]] = {False: {}, True: {}}
        sums = {False: 0, True: 0}
        for source, item, weight in self._synapses(name, port, compartment):
            low, high = (int(end[item]) for end in self._bounded(source))
            label = f"{source}:{self.quantized.population(source).labels[item]}"
            for upward in (False, True):
                ends[upward][label] = high if (weight > 0) == upward else low
                sums[upward] += weight * ends[upward][label]
        upward = sums[True] >= limit
        return ends[upward], sums[upward]

    def held(self, population: Population, compartment: int) -> tuple[list[str], IntArray, IntArray]:
        """Labels of all sources of a compartment, some choices of their messages (choices, sources), and the sums (choices, ports).

        The choices: all messages that make a port's sum smallest or largest, the others at either end; and each source alone.
        """
        ports = self.program(population).ports
        synapses = [(port, *synapse) for port, name in enumerate(ports) for synapse in self._synapses(population.name, name, compartment)]
        keys = list(dict.fromkeys((source, item) for _, source, item, _ in synapses))
        weight = np.zeros((len(keys), len(ports)), dtype=np.int64)
        for port, source, item, value in synapses:
            weight[keys.index((source, item)), port] = value
        low, high = (np.array([int(self.messages[source][end][item]) for source, item in keys], dtype=np.int64) for end in (0, 1))
        choices = [np.where(np.eye(len(keys), dtype=bool)[number], high, low) for number in range(len(keys))]
        for port in range(len(ports)):
            for upward in (weight[:, port] > 0, weight[:, port] < 0, weight[:, port] >= 0, weight[:, port] <= 0):
                choices.append(np.where(upward, high, low))
        messages = np.array(choices, dtype=np.int64).reshape(len(choices), len(keys))
        labels = [f"{source}:{self.quantized.population(source).labels[item]}" for source, item in keys]
        return labels, messages, messages @ weight

    def spaces(self, population: Population, compartment: int, question: Question) -> Iterator[tuple[Space, list[str]]]:
        """Where to search: the state and the messages of all sources; then the state and the sums, case by case where there are cases."""
        program = self.program(population)
        names = self.input_names(population)
        parameters = [int(population.parameters[name][compartment]) for name in program.parameters]
        constants = np.array([0] * (1 + len(program.ports)) + parameters, dtype=np.int64)
        state = population.state
        low, high, labels, rows = [state.lowest], [state.highest], [""], [{0: 1}]
        known: dict[tuple[str, int], int] = {}
        for number, port in enumerate(program.ports, start=1):
            synapses = list(self._synapses(population.name, port, compartment))
            limit = sum_limit(self.quantized, population)
            ends = [int(end[compartment]) for end in self.ports[population.name, port]]
            if not synapses or ends == [-limit, limit - 1]:
                low, high, labels, rows = [*low, ends[0]], [*high, ends[1]], [*labels, ""], [*rows, {number: 1}]
                continue
            for source, item, weight in synapses:
                if (source, item) not in known:
                    known[source, item] = len(low)
                    first, last = (int(end[item]) for end in self.messages[source])
                    label = f"{source}:{self.quantized.population(source).labels[item]}"
                    low, high, labels, rows = [*low, first], [*high, last], [*labels, label], [*rows, {}]
                rows[known[source, item]][number] = weight
        factors = np.zeros((len(low), len(names)), dtype=np.int64)
        for row, weights in enumerate(rows):
            for column, weight in weights.items():
                factors[row, column] = weight
        yield Space(np.array(low), np.array(high), factors, constants), labels
        direct = np.eye(1 + len(program.ports), len(names), dtype=np.int64)
        chunk = self.bounds[population.name][compartment // CHUNK]
        size = np.maximum(chunk.high[question.operation], -chunk.low[question.operation])
        size = np.where(chunk.alive, size, -FAR)[:, compartment % CHUNK]
        for lowest, highest in chunk.boxes(size, compartment % CHUNK, 1 + len(program.ports)):
            yield Space(lowest, highest, direct, constants), []

    def _synapses(self, name: str, port: str, compartment: int) -> Iterator[tuple[str, int, int]]:
        """(source population, source compartment, weight) of a port's synapses."""
        for item in self.quantized.projections:
            if (item.target_population, item.port) == (name, port):
                for position in np.flatnonzero(item.target == compartment).tolist():
                    yield item.source_population, int(item.source[position]), int(item.weight[position])

    def _bounded(self, name: str) -> Range:
        """Messages of a population for inputs within `inputs`."""
        population = self.quantized.population(name)
        if population.program:
            return self.messages[name]
        return message_range(population, host_words(self.quantized, population))


def host_sums(population: Population) -> bool:
    """Whether the host computes a population's sums: the output layer of a network of heads."""
    return population.program == "cfc_heads.project"


def sum_limit(quantized: QuantizedNetwork, population: Population) -> int:
    """The end of a population's running sums: that of the chip's accumulators, or of 32 bits where the host sums."""
    return 1 << ((HOST_SUM_BITS if host_sums(population) else quantized.accumulator_bits) - 1)


def reachable(quantized: QuantizedNetwork, word_bits: int) -> Reach:
    """All ranges: the programs without memory in the order in which they feed one another, then the others, whose states are any word."""
    bounded_inputs = host_words(quantized, next(population for population in quantized.populations if not population.program))
    reach = Reach(quantized, word_bits, (int(bounded_inputs.low.min()), int(bounded_inputs.high.max())))
    for population in quantized.populations:
        state = word(population)
        reach.states[population.name] = (state.low, state.high)
        reach.messages[population.name] = message_range(population, state)
    first = sources_first(quantized)
    for population in first:
        reach.look_at(population)
    for population in quantized.populations:
        if population.program and population not in first:
            reach.look_at(population)
    bounded = {population.name: reach._bounded(population.name) for population in quantized.populations}
    for name, port in dict.fromkeys((item.target_population, item.port) for item in quantized.projections):
        reach.sums[name, port] = sum_range(quantized, bounded, name, port)
    return reach
