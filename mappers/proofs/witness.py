"""Search for integers on which a program leaves its words: what turns "not proved" into "wrong, and here it is"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hardware_profiles import fixed_point
from liquid_neuro.cells.integer import Program
from liquid_neuro.quantized_network import IntArray
from mappers.proofs.intervals import Interval
from mappers.proofs.program_bounds import transfer
from mappers.proofs.program_graph import Graph, Operation

CANDIDATES, ROUNDS, KEPT = 1024, 12, 64
TURNS = 200
_EXACT: dict[str, Callable[..., int]] = {
    "add": lambda first, second: first + second,
    "subtract": lambda first, second: first - second,
    "multiply": lambda first, second: first * second,
    "negate": lambda value: -value,
    "absolute": abs,
    "less": lambda first, second: int(first < second),
    "not_less": lambda first, second: int(first >= second),
    "position": lambda value: value,
    "mix": lambda formula, *_: formula,
    **{name: getattr(fixed_point, name) for name in ("floor_shift", "round_shift", "left_shift", "select", "minimum", "maximum")},
    "bit_length": lambda value: max(value, 0).bit_length(),
}


@dataclass(frozen=True)
class Question:
    """Whether a quantity of a program can lie outside of lowest .. highest.

    quantity: "result" of the operation; "amount" of a shift; "index" of a look-up; "argument" of a bit length.
    """

    quantity: str
    operation: int
    lowest: int
    highest: int

    def excess(self, value: int) -> int:
        """By how much a value lies outside; 0 or less: inside."""
        return max(value - self.highest, self.lowest - value)


@dataclass(frozen=True, eq=False)
class Space:
    """Variables and what they may be, and the inputs of the program as sums of them: inputs = constants + variables @ factors."""

    lowest: IntArray
    highest: IntArray
    factors: IntArray
    constants: IntArray

    def inputs(self, variables: IntArray) -> IntArray:
        """(…, inputs) of variables (…, variables)."""
        return self.constants + variables @ self.factors


def search(graph: Graph, tables: Mapping[str, IntArray], question: Question, space: Space, seed: int = 0) -> tuple[list[int], int] | None:
    """Variables (found by a seeded random search that climbs) and the value of the quantity outside of its range, or None."""
    random = np.random.default_rng(seed)
    best = _drawn(space, CANDIDATES, random)
    for _ in range(ROUNDS):
        values = _quantity(graph, tables, question, space.inputs(best))
        order = np.argsort(np.minimum(question.highest - values, values - question.lowest), kind="stable")[:KEPT]
        found = best[order[0]]
        value = exact_quantity(graph, tables, question, space.inputs(found).tolist())
        if value is not None and question.excess(value) > 0:
            return found.tolist(), value
        best = _varied(best[order], space, random)
    return None


def driven(
    program: Program, parameters: list[int], tables: list[IntArray], sums: IntArray, word: tuple[int, int], turns: int = TURNS
) -> tuple[tuple[int, int], tuple[int, int]]:
    """((lowest state word, its choice), (highest, its choice)) that a compartment reaches from 0 while its sums (choices, ports) are held.

    word: the ends of the state word, at which states saturate.
    """
    state = np.zeros(len(sums), dtype=np.int64)
    least, most = state.copy(), state.copy()
    for _ in range(turns):
        state = np.clip(program.function(state, *sums.T, *parameters, *tables), *word)
        least, most = np.minimum(least, state), np.maximum(most, state)
    return (int(least.min()), int(least.argmin())), (int(most.max()), int(most.argmax()))


def _drawn(space: Space, count: int, random: np.random.Generator) -> IntArray:
    """Candidates: ends and values between; among them those that make every sum as small or as large as it can be."""
    shape = (count, len(space.lowest))
    drawn = random.integers(np.broadcast_to(space.lowest, shape), np.broadcast_to(space.highest, shape), endpoint=True)
    ends = np.where(random.random(shape) < 0.5, space.lowest, space.highest)
    candidates = np.where(random.random(shape) < random.random((count, 1)), ends, drawn)
    for number in range(space.factors.shape[1]):
        column = space.factors[:, number]
        if column.any():
            for sign in (1, -1):
                extreme = np.where(column * sign > 0, space.highest, space.lowest)
                rows = random.integers(0, count, 16)
                candidates[rows] = np.where(column != 0, extreme, candidates[rows])
    return candidates


def _varied(parents: IntArray, space: Space, random: np.random.Generator) -> IntArray:
    """The parents and their descendants: some variables redrawn, moved a little, or taken from another parent."""
    rows = parents[random.integers(0, len(parents), CANDIDATES)]
    others = parents[random.integers(0, len(parents), CANDIDATES)]
    width = np.maximum((space.highest - space.lowest) >> random.integers(0, 24, rows.shape), 1)
    moved = np.clip(rows + random.integers(-width, width, endpoint=True), space.lowest, space.highest)
    choice = random.random(rows.shape)
    rate = random.random((CANDIDATES, 1)) * 0.5
    children = np.where(choice < rate / 3, _drawn(space, CANDIDATES, random), np.where(choice < 2 * rate / 3, moved, rows))
    return np.concatenate([parents, np.where((choice >= 2 * rate / 3) & (choice < rate), others, children)])


def _quantity(graph: Graph, tables: Mapping[str, IntArray], question: Question, inputs: IntArray) -> IntArray:
    """The quantity for inputs (candidates, inputs) in 64-bit words, which is enough to rank candidates."""
    values: list[IntArray] = []
    for number, operation in enumerate(graph.operations):
        if operation.name == "input":
            values.append(inputs[:, number])
        elif operation.name == "constant":
            values.append(np.full(len(inputs), operation.value, dtype=np.int64))
        else:
            operands = [values[item] for item in operation.operands]
            values.append(np.broadcast_to(transfer(operation, [Interval(item, item) for item in operands], tables, 64).low, len(inputs)))
        if number == question.operation:
            break
    operation = graph.operations[question.operation]
    if question.quantity == "result":
        return values[-1]
    if question.quantity == "amount":
        return values[operation.operands[1]]
    return values[operation.operands[0]]


def exact_quantity(graph: Graph, tables: Mapping[str, IntArray], question: Question, inputs: list[int]) -> int | None:
    """The quantity for one input in Python's integers; None where the program cannot come that far."""
    values: list[int] = []
    for number, operation in enumerate(graph.operations):
        if number == question.operation and question.quantity != "result":
            operands = [values[item] for item in operation.operands]
            return operands[1 if question.quantity == "amount" else 0]
        try:
            values.append(_exact(operation, number, values, inputs, tables))
        except (IndexError, ValueError):
            return None
        if number == question.operation:
            return values[-1]
    return None


def _exact(operation: Operation, number: int, values: list[int], inputs: list[int], tables: Mapping[str, IntArray]) -> int:
    if operation.name == "input":
        return inputs[number]
    if operation.name == "constant":
        return operation.value
    operands = [values[item] for item in operation.operands]
    if operation.name == "look_up":
        if operands[0] < 0:
            raise IndexError
        return int(tables[operation.label][operands[0]])
    return _EXACT[operation.name](*operands)
