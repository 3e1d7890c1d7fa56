"""Ranges of all operations of a program for all inputs in given ranges: intervals, cut into cases by bit lengths, tables enumerated.

Plain intervals forget that numbers depend on one another. Two remedies, both exact: the positions of an interpolated table are enumerated,
and where a program normalises (shifts by the bit length of a number) each bit length is a case of its own, whose consequences for what
that number was computed from are drawn before all operations are looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.quantized_network import IntArray
from mappers.proofs import intervals
from mappers.proofs.intervals import Interval
from mappers.proofs.program_graph import OUTSIDE, Graph, Operation
from mappers.proofs.sum_relations import Relation

MOST_POSITIONS = 1 << 20
BLOCK = 256
MOST_BOXES = 8
FAR = 1 << 62
_OPERATORS: dict[str, Callable[..., Interval]] = {
    "add": lambda first, second: first + second,
    "subtract": lambda first, second: first - second,
    "negate": lambda value: -value,
    "multiply": lambda first, second: first * second,
    "less": lambda first, second: first < second,
    "not_less": lambda first, second: first >= second,
    "position": lambda value: value,
}


@dataclass(frozen=True, eq=False)
class Bounds:
    """Per operation the ends of its results, arrays (cases, size); alive (cases, size): the cases that can happen at a compartment.

    Ends are those of the operation itself; what later operations read is taken within the word (they count only if this one held).
    narrowed: what is known of operations in each case. before: for operations that a cut into cases came after, the cases that could
    happen as far as was known without it.
    """

    low: list[IntArray]
    high: list[IntArray]
    alive: npt.NDArray[np.bool_]
    narrowed: Mapping[int, Interval] = field(default_factory=dict)
    before: Mapping[int, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def of(self, number: int) -> tuple[IntArray, IntArray]:
        """Smallest and largest result (size,) over all cases; low > high where none can happen."""
        return self._over_cases(number, self.low[number], self.high[number])

    def _over_cases(self, number: int, low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
        alive = self.before.get(number, self.alive)  # nothing may be concluded from cuts that come later
        return np.where(alive, low, FAR).min(axis=0), np.where(alive, high, -FAR).max(axis=0)

    def boxes(self, size: IntArray, compartment: int, inputs: int) -> Iterator[tuple[IntArray, IntArray]]:
        """(lowest, highest) of the first inputs in the cases that can happen at a compartment, largest `size` (cases,) first."""
        for case in np.argsort(-size, kind="stable")[:MOST_BOXES]:
            if self.alive[case, compartment]:
                items = [self.narrowed.get(item, Interval(self.low[item], self.high[item])) for item in range(inputs)]
                low = np.array([item.low[case, compartment] for item in items], dtype=np.int64)
                yield low, np.array([item.high[case, compartment] for item in items], dtype=np.int64)


class Evaluation:
    """One graph, its tables and the ranges of its inputs."""

    def __init__(
        self, graph: Graph, inputs: list[Interval], tables: Mapping[str, IntArray], word_bits: int, related: Sequence[Relation] = ()
    ) -> None:
        self.graph, self.tables, self.related = graph, tables, related
        self.limit = 1 << (word_bits - 1)
        self.word_bits = word_bits
        self.size = max(np.size(item.low) for item in inputs)
        self.inputs = [Interval(*(np.broadcast_to(end, (1, self.size)) for end in (item.low, item.high))) for item in inputs]
        self.rests = _rests(graph)
        self.lengths = [number for number, item in enumerate(graph.operations) if item.name == "bit_length"]

    def plain(self) -> Bounds:
        """Intervals without cases."""
        return self._forward({}, np.ones((1, self.size), dtype=bool))

    def refined(self) -> Bounds:
        """Cut into cases, one bit length after the other. What a bit length is computed from stays as it was before its cut, because the
        cases are complete only where that holds."""
        bounds = self.plain()
        for number in self.lengths:
            bounds = self._cut(bounds, number)
        return bounds

    def _cut(self, bounds: Bounds, number: int) -> Bounds:
        """The cases so far, each cut into those of one more bit length."""
        least = np.where(bounds.alive, bounds.low[number], FAR).min(axis=1)
        most = np.where(bounds.alive, bounds.high[number], -FAR).max(axis=1)
        counts = np.maximum(most - least + 1, 0)
        rows = np.repeat(np.arange(len(counts)), counts)
        lengths = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts - least, counts)
        case = np.broadcast_to(lengths[:, None], (len(rows), self.size))
        alive = bounds.alive[rows] & (bounds.low[number][rows] <= case) & (case <= bounds.high[number][rows])
        kept = alive.any(axis=1)
        rows, alive, case = rows[kept], alive[kept], case[kept]
        known = {item: Interval(ends.low[rows], ends.high[rows]) for item, ends in bounds.narrowed.items()}
        known[number] = Interval(case, case)
        before = self.graph.ancestors([number])
        for item in before - known.keys():  # what follows is looked at anew
            ends = (np.clip(end[item][rows], -self.limit, self.limit - 1) for end in (bounds.low, bounds.high))
            known[item] = Interval(*ends)
        self._backward(known, before)
        for relation in self.related:
            if relation.first in known and relation.second in known:
                known[relation.second] = relation.narrowed(known[relation.first], known[relation.second])
        cut = self._forward(known, alive)
        settled = {item: could[rows] for item, could in bounds.before.items()}
        settled |= dict.fromkeys(before - settled.keys(), bounds.alive[rows])
        for item in settled:
            cut.low[item], cut.high[item] = bounds.low[item][rows], bounds.high[item][rows]
        return replace(cut, before=settled)

    # --- forward --------------------------------------------------------------------------------------------------------------------------

    def _forward(self, known: Mapping[int, Interval], alive: npt.NDArray[np.bool_]) -> Bounds:
        low: list[IntArray] = []
        high: list[IntArray] = []
        inside: list[Interval] = []
        enumerated: dict[int, _Enumeration] = {}
        for number, operation in enumerate(self.graph.operations):
            result = self._result(number, operation, inside, enumerated)
            ends = [np.broadcast_to(end, alive.shape) for end in (result.low, result.high)]
            if number in known:
                ends = [np.maximum(ends[0], known[number].low), np.minimum(ends[1], known[number].high)]
                impossible = ends[0] > ends[1]
                alive = alive & ~impossible
                ends[1] = np.where(impossible, ends[0], ends[1])
            low.append(ends[0])
            high.append(ends[1])
            inside.append(Interval(*(np.clip(end, -self.limit, self.limit - 1) for end in ends)))
        return Bounds(low, high, alive, known)

    def _result(self, number: int, operation: Operation, inside: list[Interval], enumerated: dict[int, _Enumeration]) -> Interval:
        if operation.name == "input":
            return self.inputs[number]
        if operation.name == "constant":
            value = np.full((1, 1), operation.value, dtype=np.int64)
            return Interval(value, value)
        if number in self.rests:
            return Interval(np.zeros((1, 1), dtype=np.int64), np.full((1, 1), self.rests[number], dtype=np.int64))
        operands = [inside[item] for item in operation.operands]
        if operation.name == "position":
            positions = operands[0]
            if int(positions.high.max()) - int(positions.low.min()) < MOST_POSITIONS:
                enumerated[number] = _Enumeration(self.graph, self.tables, number, positions)
            return positions
        if operation.region != OUTSIDE and operation.region in enumerated:
            return enumerated[operation.region].range_of(number)
        return transfer(operation, operands, self.tables, self.word_bits)

    # --- backward -------------------------------------------------------------------------------------------------------------------------

    def _backward(self, known: dict[int, Interval], before: set[int]) -> None:
        """Draws from each result what it says about its operands."""
        for number in sorted(before, reverse=True):
            operation = self.graph.operations[number]
            for operand, (low, high) in zip(operation.operands, _consequences(operation, known, number)):
                if self.graph.operations[operand].name != "constant":
                    old = known[operand]
                    known[operand] = Interval(np.maximum(old.low, low), np.minimum(old.high, high))


def _rests(graph: Graph) -> dict[int, int]:
    """The operations x - (x >> n) * 2**n, of which plain intervals forget that both are the same x, with 2**n - 1."""
    found = {}
    for number, operation in enumerate(graph.operations):
        if operation.name != "subtract":
            continue
        value, product = operation.operands
        shifted, factor = (graph.operations[item] for item in (*graph.operations[product].operands, 0, 0)[:2])
        if graph.operations[product].name != "multiply" or shifted.name != "floor_shift" or factor.name != "constant":
            continue
        amount = graph.operations[shifted.operands[1]]
        if shifted.operands[0] == value and amount.name == "constant" and factor.value == 1 << amount.value:
            found[number] = factor.value - 1
    return found


def transfer(operation: Operation, operands: list[Interval], tables: Mapping[str, IntArray], word_bits: int) -> Interval:
    """What an operation gives for operands in these intervals; shifts and indices are taken within what is allowed."""
    name = operation.name
    if name in _OPERATORS:
        return _OPERATORS[name](*operands)
    if name in ("floor_shift", "round_shift", "left_shift"):
        amount = Interval(*(np.clip(end, 0, min(word_bits - 1, 31)) for end in (operands[1].low, operands[1].high)))
        operands = [operands[0], amount]
    if name == "look_up":
        table = tables[operation.label]
        return intervals.look_up(table, Interval(*(np.clip(end, 0, len(table) - 1) for end in (operands[0].low, operands[0].high))))
    if name == "mix":
        formula, between = operands[0], intervals.mix(operands[1], operands[2], operands[3], operation.value)
        return Interval(np.maximum(formula.low, between.low), np.minimum(formula.high, between.high))
    primitive: Callable[..., Interval] = intervals.PRIMITIVES[name]
    return primitive(*operands)


def _consequences(operation: Operation, known: Mapping[int, Interval], number: int) -> list[tuple[Any, Any]]:
    """Per operand the (low, high) that it must lie in for the result to lie where it does; nothing where little is to be learned."""
    result = known[number]
    operands = [known[item] for item in operation.operands]
    if operation.name == "bit_length":
        return [(np.where(result.low > 0, 1 << np.maximum(result.low - 1, 0), -FAR), (1 << np.clip(result.high, 0, 61)) - 1)]
    if operation.name == "add":
        first, second = operands
        return [(result.low - second.high, result.high - second.low), (result.low - first.high, result.high - first.low)]
    if operation.name == "subtract":
        first, second = operands
        return [(result.low + second.low, result.high + second.high), (first.low - result.high, first.high - result.low)]
    if operation.name == "negate":
        return [(-result.high, -result.low)]
    if operation.name == "maximum":
        return [(np.where(other.high < result.low, result.low, -FAR), result.high) for other in reversed(operands)]
    if operation.name == "minimum":
        return [(result.low, np.where(other.low > result.high, result.high, FAR)) for other in reversed(operands)]
    if operation.name == "absolute":
        return [(-result.high, result.high)]
    if operation.name == "floor_shift" and (operands[1].low == operands[1].high).all():
        amount = np.clip(operands[1].low, 0, 31)
        return [(result.low << amount, ((result.high + 1) << amount) - 1), (-FAR, FAR)]
    return []


class _Enumeration:
    """All operations that are functions of one table position, for every position that can occur."""

    def __init__(self, graph: Graph, tables: Mapping[str, IntArray], root: int, positions: Interval) -> None:
        self.start = int(positions.low.min())
        span = np.arange(self.start, int(positions.high.max()) + 1, dtype=np.int64)
        self.values: dict[int, IntArray] = {root: span}
        for number, operation in enumerate(graph.operations):
            if operation.region == root and number != root:
                operands = [self._operand(graph, item) for item in operation.operands]
                result = transfer(operation, [Interval(item, item) for item in operands], tables, 64)
                self.values[number] = np.broadcast_to(result.low, span.shape)
        ends = np.stack([end.reshape(-1) for end in np.broadcast_arrays(positions.low, positions.high)], axis=1) - self.start
        self.pairs, inverse = np.unique(ends, axis=0, return_inverse=True)
        self.inverse, self.shape = inverse.reshape(-1), positions.low.shape

    def _operand(self, graph: Graph, number: int) -> IntArray:
        if graph.operations[number].name == "constant":
            return np.array(graph.operations[number].value, dtype=np.int64)
        return self.values[number]

    def range_of(self, number: int) -> Interval:
        """The exact range of an operation for each range of positions."""
        values = self.values[number]
        whole = len(values) // BLOCK
        blocks = values[: whole * BLOCK].reshape(whole, BLOCK)
        lowest, highest = (blocks.min(axis=1), blocks.max(axis=1)) if whole else (values[:0], values[:0])
        ends = np.array([_slice_range(values, lowest, highest, low, high) for low, high in self.pairs.tolist()], dtype=np.int64)
        return Interval(ends[self.inverse, 0].reshape(self.shape), ends[self.inverse, 1].reshape(self.shape))


def _slice_range(values: IntArray, lowest: IntArray, highest: IntArray, low: int, high: int) -> tuple[int, int]:
    """Smallest and largest of values[low .. high], whole blocks at once."""
    first, last = -(-low // BLOCK), (high + 1) // BLOCK
    if first >= last:
        part = values[low : high + 1]
        return int(part.min()), int(part.max())
    pieces = (values[low : first * BLOCK], values[last * BLOCK : high + 1])
    least = [lowest[first:last].min(), *(piece.min() for piece in pieces if len(piece))]
    most = [highest[first:last].max(), *(piece.max() for piece in pieces if len(piece))]
    return int(min(least)), int(max(most))
