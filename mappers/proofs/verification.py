"""Proof that a quantised network's integers stay within their words: for any input words and any state words, at every operation.

What is shown, compartment by compartment:

- every operation of every program gives a result within a signed word (a rounding shift by n > 0 needs no more, because
  ((x >> (n - 1)) + 1) >> 1 is the same), no shift is negative or as long as the word, no index leaves its table, no bit length is asked
  of a negative number;
- parameters, entries of tables and state words fit the word, weights their format;
- no running sum leaves its accumulator, and what arrives in one tick fits a word;
- no message leaves its format (its delta may need one bit more).

The ranges come from the programs themselves, run on intervals (`program_bounds`). A program sees any state word and any running sum that
messages can make, or any word of an accumulator that may saturate. Running sums are looked at for inputs within the range that
the formats were made for, where they tell one (`Proof.inputs`); with larger inputs a sum saturates, which is counted, and the programs hold
all the same.
"""

from __future__ import annotations

import linecache
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from liquid_neuro.quantized_network import IntArray, Population, QuantizedNetwork
from mappers.proofs.program_bounds import Bounds
from mappers.proofs.program_graph import CELLS, Graph, Operation, trace
from mappers.proofs.reachable import Reach, host_sums, reachable, sum_limit
from mappers.proofs.witness import Question, driven, search

SHIFTS = ("floor_shift", "round_shift", "left_shift")
MOST_NAMED = 3  # messages named in a sentence
MOST_TRIED = 4  # compartments searched for one failure
MOST_WITNESSES = 12  # searches per proof; failures beyond them are reported without


@dataclass(frozen=True)
class Failure:
    """An obligation that is not proved at a compartment (the worst of `compartments` of them).

    obligation: its kind. operation: what fails there; place, source: its line. low, high: the range that the quantity may reach;
    lowest, highest: what is allowed. witness: integers that lead outside (inputs of the program, or messages), value: what comes out then;
    None where the search found none: then the obligation may hold, but is not proved.
    """

    obligation: str
    operation: str
    place: str
    source: str
    population: str
    compartment: str
    compartments: int
    low: int
    high: int
    lowest: int
    highest: int
    witness: Mapping[str, int] | None = None
    messages: Mapping[str, int] | None = None
    value: int | None = None

    def __str__(self) -> str:
        where = f"{self.operation} of {self.population} {self.compartment}" + (f" ({self.place}: {self.source})" if self.place else "")
        allowed = f"must lie in {self.lowest} .. {self.highest}"
        if self.value is None:
            return f"{where} {allowed}, but is only proved to lie in {self.low} .. {self.high}; no integers that leave it were found"
        given = [f"{name} {value}" for name, value in (self.witness or {}).items()]
        if self.messages:
            first = [f"{name} {value}" for name, value in list(self.messages.items())[:MOST_NAMED]]
            given.append(
                "messages " + ", ".join(first) + (f" and {len(self.messages) - MOST_NAMED} more" if len(self.messages) > MOST_NAMED else "")
            )
        return f"{where} {allowed}, but is {self.value} for {', '.join(given)}"


@dataclass(frozen=True)
class Proof:
    """The outcome. obligations: how many of each kind were checked (one per compartment and operation). margins: the least distance to the
    end of the word by operation, in bits (0: exactly full; negative: beyond it).

    inputs: (lowest, highest) input words for which the running sums are looked at; every_input: these are all input words.
    """

    holds: bool
    word_bits: int
    accumulator_bits: int
    inputs: tuple[int, int]
    every_input: bool
    obligations: Mapping[str, int]
    margins: Mapping[str, float]
    failures: tuple[Failure, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def __str__(self) -> str:
        inputs = (
            "any input word" if self.every_input else f"input words {self.inputs[0]} .. {self.inputs[1]} (sums) and any other (programs)"
        )
        if self.holds:
            return f"Proved: {sum(self.obligations.values())} obligations hold for {inputs} and any state word."
        return "Not proved: " + "; ".join(str(failure) for failure in self.failures)


@dataclass
class _Ledger:
    """What was checked so far."""

    quantized: QuantizedNetwork
    word_bits: int
    obligations: Counter[str] = field(default_factory=Counter)
    margins: dict[str, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def check(self, obligation: str, operation: str, population: Population, ends: Any, allowed: tuple[int, int], **more: Any) -> None:
        """One obligation at every compartment. ends: (low, high), each (size,); a compartment with low > high cannot come here."""
        low, high = (np.broadcast_to(np.asarray(end, dtype=np.int64), (population.size,)) for end in ends)
        self.obligations[obligation] += population.size
        seen = low <= high
        excess = np.where(seen, np.maximum(high - allowed[1], allowed[0] - low), -(1 << 62))
        if obligation in ("word", "accumulator", "arrival", "message") and seen.any():
            reach = max(int(np.where(seen, high, 0).max(initial=0)) + 1, -int(np.where(seen, low, 0).min(initial=0)), 1)
            margin = math.floor(1000 * math.log2((allowed[1] + 1) / reach)) / 1000
            name = obligation if obligation != "word" else operation
            self.margins[name] = min(self.margins.get(name, margin), margin)
        if (excess > 0).any():
            worst, found = int(excess.argmax()), {}
            if "witness" in more:
                for compartment in np.argsort(-excess, kind="stable")[: min(int((excess > 0).sum()), MOST_TRIED)].tolist():
                    found = more["witness"](compartment)
                    if found:
                        worst = compartment
                        break
            self.failures.append(
                Failure(
                    obligation=obligation,
                    operation=operation,
                    place=more.get("place", ""),
                    source=more.get("source", ""),
                    population=population.name,
                    compartment=population.labels[worst],
                    compartments=int((excess > 0).sum()),
                    low=int(low[worst]),
                    high=int(high[worst]),
                    lowest=allowed[0],
                    highest=allowed[1],
                    **found,
                )
            )

    @property
    def word(self) -> tuple[int, int]:
        """The ends of the word."""
        return -(1 << (self.word_bits - 1)), (1 << (self.word_bits - 1)) - 1


def verify(quantized: QuantizedNetwork, *, word_bits: int = 32) -> Proof:
    """Whether every obligation above is proved, with what fails.

    word_bits: of the machine that runs the programs, 16 to 32. ValueError otherwise.
    """
    if not 16 <= word_bits <= 32:
        raise ValueError(f"word_bits must be 16 to 32, but is {word_bits}")
    ledger = _Ledger(quantized, word_bits)
    _check_formats(ledger)
    if ledger.failures:  # nothing else means anything
        return _proof(ledger, None)
    reach = reachable(quantized, word_bits)
    for population in quantized.populations:
        if population.program:
            _check_program(ledger, reach, population)
        _check_message(ledger, reach, population)
    _check_sums(ledger, reach)
    return _proof(ledger, reach)


def _proof(ledger: _Ledger, reach: Reach | None) -> Proof:
    word = ledger.quantized.input_format
    inputs = reach.inputs if reach else (word.lowest, word.highest)
    return Proof(
        holds=not ledger.failures,
        word_bits=ledger.word_bits,
        accumulator_bits=ledger.quantized.accumulator_bits,
        inputs=inputs,
        every_input=inputs == (word.lowest, word.highest),
        obligations=dict(sorted(ledger.obligations.items())),
        margins=dict(sorted(ledger.margins.items(), key=lambda item: (item[1], item[0]))),
        failures=tuple(ledger.failures),
    )


# --- the obligations ------------------------------------------------------------------------------------------------------------------


def _check_formats(ledger: _Ledger) -> None:
    """Parameters, tables and state words within the word; weights within their formats."""
    for population in ledger.quantized.populations:
        ends = np.array([population.state.lowest]), np.array([population.state.highest])
        ledger.check("format", "state word", population, ends, ledger.word)
        for name, values in population.parameters.items():
            ledger.check("format", f"parameter {name}", population, (values, values), ledger.word)
        for name, table in population.tables.items():
            ledger.check("format", f"table {name}", population, (table.min(initial=0), table.max(initial=0)), ledger.word)
    for projection in ledger.quantized.projections:
        target = ledger.quantized.population(projection.target_population)
        low, high = np.zeros(target.size, dtype=np.int64), np.zeros(target.size, dtype=np.int64)
        np.minimum.at(low, projection.target, projection.weight)
        np.maximum.at(high, projection.target, projection.weight)
        name = f"weight from {projection.source_population} to {projection.port}"
        ledger.check("format", name, target, (low, high), _weight_range(ledger.quantized, projection.sign_mode))


def _weight_range(quantized: QuantizedNetwork, sign_mode: str) -> tuple[int, int]:
    """Stored weights of 8 bits (fewer bits are multiples of a step in the same range)."""
    if quantized.kind == "loihi":
        return {"excitatory": (0, 255), "inhibitory": (-255, 0)}.get(sign_mode, (-256, 255))
    return -(1 << 15), (1 << 15) - 1


def _check_program(ledger: _Ledger, reach: Reach, population: Population) -> None:
    """Every operation of a population's program."""
    graph = trace(reach.program(population))
    bounds = reach.bounds[population.name]
    for question, obligation, operation, ends in _questions(graph, population, bounds, ledger.word):
        place = operation.place
        ledger.check(
            obligation,
            operation.name if obligation == "word" else f"{question.quantity} of {operation.name}",
            population,
            ends,
            (question.lowest, question.highest),
            place=str(place),
            source=linecache.getline(str(Path(CELLS) / place.file), place.line).strip(),
            witness=lambda compartment, question=question: _found(ledger, reach, population, graph, question, compartment),
        )


def _questions(
    graph: Graph, population: Population, bounds: list[Bounds], word: tuple[int, int]
) -> Iterator[tuple[Question, str, Operation, tuple[IntArray, IntArray]]]:
    """(question, obligation, operation, ends) of everything that must hold in a program."""

    def ends(number: int) -> tuple[IntArray, IntArray]:
        parts = [part.of(number) for part in bounds]
        return np.concatenate([low for low, _ in parts]), np.concatenate([high for _, high in parts])

    for number, operation in enumerate(graph.operations):
        if operation.is_leaf or operation.name in ("position", "mix"):
            continue
        yield Question("result", number, *word), "word", operation, ends(number)
        if operation.name in SHIFTS:
            yield Question("amount", number, 0, word[1].bit_length()), "shift", operation, ends(operation.operands[1])
        if operation.name == "look_up":
            yield Question("index", number, 0, len(population.tables[operation.label]) - 1), "index", operation, ends(operation.operands[0])
        if operation.name == "bit_length":
            yield Question("argument", number, 0, word[1]), "bit length", operation, ends(operation.operands[0])


def _check_message(ledger: _Ledger, reach: Reach, population: Population) -> None:
    """The message value in its format; its word is signed unless the population's states are not."""
    bits, shift = population.message_bits, population.message_shift
    allowed = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if population.state.signed else (0, (1 << bits) - 1)
    half = (1 << shift) >> 1
    states = (allowed[0] << shift) - half, (allowed[1] + 1 << shift) - half - 1  # words whose message is in the format

    def message(state: int) -> int:
        return (state + half) >> shift

    def witness(compartment: int) -> dict[str, Any]:
        if not population.program:
            ends = population.state.lowest, population.state.highest
            state = ends[0] if ends[0] < states[0] else ends[1]
            return {"witness": {"state": state}, "value": message(state)}
        program = reach.program(population)
        if program.stateless:
            graph = trace(program)
            found = _found(ledger, reach, population, graph, Question("result", graph.result, *states), compartment)
            return found and {**found, "value": message(min(max(found["value"], population.state.lowest), population.state.highest))}
        labels, messages, sums = reach.held(population, compartment)
        parameters = [int(population.parameters[name][compartment]) for name in program.parameters]
        tables = [population.tables[name] for name in program.tables]
        for state, choice in driven(program, parameters, tables, sums, (population.state.lowest, population.state.highest)):
            if not states[0] <= state <= states[1]:
                return {"witness": {"state": state}, "messages": dict(zip(labels, messages[choice].tolist())), "value": message(state)}
        return {}

    ledger.check("message", "message", population, reach.messages[population.name], allowed, witness=witness)


def _check_sums(ledger: _Ledger, reach: Reach) -> None:
    """Running sums within their accumulators, arrivals of one tick within the word."""
    quantized = ledger.quantized
    for name, port in dict.fromkeys((projection.target_population, projection.port) for projection in quantized.projections):
        population = quantized.population(name)
        low, high = reach.sums[name, port]
        limit = sum_limit(quantized, population)

        def witness(compartment: int, name: str = name, port: str = port, limit: int = limit) -> dict[str, Any]:
            messages, value = reach.extreme(name, port, compartment, limit)
            return {"messages": messages, "value": value}

        ledger.check("accumulator", f"running sum {port}", population, (low, high), (-limit, limit - 1), witness=witness)
        if host_sums(population):  # which no deltas reach: it multiplies the states themselves
            continue
        step = reach.arrivals(name, port)
        ledger.check("arrival", f"arrivals at {port}", population, (-step, step), ledger.word)


def _found(ledger: _Ledger, reach: Reach, population: Population, graph: Graph, question: Question, compartment: int) -> dict[str, Any]:
    """What a search for a witness brings, as fields of a Failure: first through messages, then with sums of their own."""
    if sum(failure.obligation not in ("accumulator", "message") for failure in ledger.failures) >= MOST_WITNESSES:
        return {}
    names = reach.input_names(population)
    for space, variables in reach.spaces(population, compartment, question):
        result = search(graph, population.tables, question, space)
        if result:
            found, value = result
            inputs = space.inputs(np.array(found)).tolist()
            if not all(relation.allows(inputs, compartment) for relation in reach.related[population.name]):
                continue
            messages = {label: number for label, number in zip(variables, found) if label} if variables else None
            return {"witness": dict(zip(names, inputs)), "messages": messages, "value": value}
    return {}
