"""A neuron's integer program as a graph of its operations, noted while the program's own source runs once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import liquid_neuro.cells
from liquid_neuro.cells import integer
from liquid_neuro.cells.integer import Program
from liquid_neuro.cells.interpret import with_primitives

CELLS = str(Path(liquid_neuro.cells.__file__).parent)
OUTSIDE = -1


@dataclass(frozen=True)
class Place:
    """Where an operation stands: line of the program, and of the helper that the program calls there ("" for none)."""

    file: str
    line: int
    helper: str = ""
    helper_line: int = 0

    def __str__(self) -> str:
        inside = f" in {self.helper} (line {self.helper_line})" if self.helper else ""
        return f"{self.file}:{self.line}{inside}"


@dataclass(frozen=True)
class Operation:
    """One operation. name: "add", "multiply", a primitive, "input" (of that label), or "constant" (of that value).

    operands: numbers of earlier operations. table: of a look-up. region: the "position" operation of which alone it is a function, or
    OUTSIDE. Such operations can be enumerated, so that their ranges are exact.
    """

    name: str
    operands: tuple[int, ...]
    place: Place
    label: str = ""
    value: int = 0
    region: int = OUTSIDE

    @property
    def is_leaf(self) -> bool:
        """Inputs and constants: nothing is computed."""
        return self.name in ("input", "constant")


@dataclass
class Graph:
    """All operations of a program in the order in which they run; the first are its inputs: state, ports, parameters."""

    operations: list[Operation] = field(default_factory=list)
    result: int = 0

    def note(self, name: str, *operands: Any, label: str = "", value: int = 0) -> Traced:
        """A new operation."""
        numbers = tuple(self.number(operand) for operand in operands)
        here = len(self.operations)
        region = here if name == "position" else self._region(numbers)
        self.operations.append(Operation(name, numbers, _place(), label, value, region))
        return Traced(self, here)

    def number(self, operand: Any) -> int:
        """The number of an operand; a plain integer becomes a constant."""
        return operand.number if isinstance(operand, Traced) else self.note("constant", value=int(operand)).number

    def _region(self, numbers: tuple[int, ...]) -> int:
        regions = {self.operations[number].region for number in numbers if self.operations[number].name != "constant"}
        return regions.pop() if len(regions) == 1 else OUTSIDE

    def ancestors(self, numbers: list[int]) -> set[int]:
        """These operations and all that they depend on."""
        found: set[int] = set()
        waiting = list(numbers)
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                waiting += self.operations[number].operands
        return found


class Traced:
    """A number of a program that is being noted."""

    __slots__ = ("graph", "number")

    def __init__(self, graph: Graph, number: int) -> None:
        self.graph, self.number = graph, number

    def __add__(self, other: Any) -> Traced:
        return self.graph.note("add", self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Traced:
        return self.graph.note("subtract", self, other)

    def __rsub__(self, other: Any) -> Traced:
        return self.graph.note("subtract", other, self)

    def __neg__(self) -> Traced:
        return self.graph.note("negate", self)

    def __mul__(self, other: Any) -> Traced:
        return self.graph.note("multiply", self, other)

    __rmul__ = __mul__

    def __lt__(self, other: Any) -> Traced:
        return self.graph.note("less", self, other)

    def __gt__(self, other: Any) -> Traced:
        return self.graph.note("less", other, self)

    def __ge__(self, other: Any) -> Traced:
        return self.graph.note("not_less", self, other)

    def __le__(self, other: Any) -> Traced:
        return self.graph.note("not_less", other, self)


@dataclass(frozen=True)
class Table:
    """A table of a program that is being noted."""

    name: str


def _place() -> Place:
    """The line of the program (outermost frame in the cells' files) and of the helper (innermost)."""
    found = []
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith(CELLS):
            found.append((frame.f_code.co_name, Path(frame.f_code.co_filename).name, frame.f_lineno))
        frame = frame.f_back  # type: ignore[assignment]
    if not found:
        return Place("", 0)
    (_, file, line), (helper, _, helper_line) = found[-1], found[0]
    return Place(file, line, helper, helper_line) if len(found) > 1 else Place(file, line)


def _names(graph: Graph) -> dict[str, Callable[..., Any]]:
    """The primitives and helpers that a program finds while it is noted."""
    simple = ("floor_shift", "round_shift", "left_shift", "select", "minimum", "maximum", "bit_length", "absolute")
    names: dict[str, Callable[..., Any]] = {name: partial(graph.note, name) for name in simple}

    def look_up(table: Table, index: Any) -> Traced:
        return graph.note("look_up", index, label=table.name)

    def clip(value: Any, lowest: Any, highest: Any) -> Traced:
        return graph.note("minimum", graph.note("maximum", value, lowest), highest)

    def saturate(value: Any, bits: int) -> Traced:
        return clip(value, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    return {**names, "look_up": look_up, "clip": clip, "saturate": saturate}


@lru_cache(maxsize=64)
def trace(program: Program) -> Graph:
    """The graph of a program.

    The helper `interpolate` runs as it is written, on a position that counts as an input of its own: its results can be enumerated. `mix`
    runs as it is written too; an operation behind it holds what is known beyond its formula: shares of 0 to 1 stay between both ends.
    """
    graph = Graph()
    names = _names(graph)

    def interpolate(table: Table, position: Any, fraction_bits: Any) -> Any:
        return with_primitives(integer.interpolate, names)(table, graph.note("position", position), fraction_bits)

    def mix(start: Any, goal: Any, share: Any, fraction_bits: Any) -> Any:
        formula = with_primitives(integer.mix, names)(start, goal, share, fraction_bits)
        return formula if isinstance(fraction_bits, Traced) else graph.note("mix", formula, start, goal, share, value=int(fraction_bits))

    inputs = [graph.note("input", label=name) for name in ("state", *program.ports, *program.parameters)]
    tables = [Table(name) for name in program.tables]
    result = with_primitives(program.function, {**names, "interpolate": interpolate, "mix": mix})(*inputs, *tables)
    graph.result = graph.number(result)
    return graph
