"""What a custom neuron program of each population would be on a Loihi 2 class chip: a readable instruction listing with its length.

The operations are those that public material lists for neuron programs: RMW, RDC, MOV, SEL, AND, OR, SHL, ADD, NEG, MIN, MUL_SHR, LT,
GE, EQ, SKP_C, JMP_C, SPIKE, PROBE. What they do exactly is not public; `LEGEND` says how they are read here. There is no table look-up
and no count of leading zeros among them. Leading zeros are found in five comparisons; a table of n entries becomes a tree of n - 1
comparisons whose leaves are constants, written as one line `TREE`: 4 n - 2 instructions, of which one run takes at most 2 ceil(log2 n) + 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hardware_profiles import fixed_point
from liquid_neuro.cells.interpret import with_primitives
from liquid_neuro.quantized_network import Population, QuantizedNetwork
from mappers.exporters.lava_sources import program
from mappers.resources import ports_of, shared

LEGEND = """\
RDC a, p            a = what arrived at port p in this tick
RMW a, w            a = word w of the neuron's memory
MOV w, a            writes it; MOV a, #5 makes a constant
SEL a, c, b, d      a = b where c holds, else d
LT, GE c, a, b      c: whether a < b, a >= b
ADD, MIN a, b, d    the sum, the smaller
NEG a, b            a = -b
SHL a, b, n         a = b 2^n
MUL_SHR a, b, d, n  a = b d / 2^n, rounded down
JMP_C c, end        goes on at `end` where c holds
SPIKE a             sends a along all synapses
PROBE w             shows word w
TREE a, t, i        entry i of table t: n entries as n - 1 pairs of LT and JMP_C above n leaves of MOV and JMP_C, 4 n - 2
                    instructions, of which one run takes at most 2 ceil(log2 n) + 2; public lists name no table look-up
#5                  a constant; parameters that all compartments share are constants, others are words of the neuron's memory

Words are of 32 bits. The word ticks_left starts as the population's first tick, the words of sums, state and last_sent as 0.
How long a program may be, and which registers there are, is not public.
"""
Instruction = tuple[Any, ...]  # (operation, result, operands …); results and operands are names or numbers


@dataclass(frozen=True)
class Listing:
    """The instructions of one turn of a compartment.

    instructions: (operation, result, operands …), a result of "" where there is none. length: how many the program holds, trees of tables
    included; steps: how many one turn takes at most. tables: entries by name.
    """

    population: str
    program: str
    instructions: tuple[Instruction, ...]
    tables: dict[str, int]

    @property
    def length(self) -> int:
        """Instructions of the whole program."""
        return sum(4 * self.tables[item[2]] - 2 if item[0] == "TREE" else 1 for item in self.instructions)

    @property
    def steps(self) -> int:
        """Instructions of the longest turn."""
        return sum(2 * (self.tables[item[2]] - 1).bit_length() + 2 if item[0] == "TREE" else 1 for item in self.instructions)

    def __str__(self) -> str:
        """The listing as text."""
        head = f"{self.population}: {self.program}, {self.length} instructions, at most {self.steps} in a turn"
        rows = []
        for operation, result, *operands in self.instructions:
            shown = [f"#{item}" if isinstance(item, int) else str(item) for item in operands]
            label = "end:" if operation == "PROBE" else ""
            rows.append(f"{label:<8}{operation:<8}" + ", ".join([result, *shown] if result else shown))
        return "\n".join([head, *rows]) + "\n"


class Register:
    """A value that the program computes; what is done with it is written down."""

    __slots__ = ("code", "name")

    def __init__(self, name: str, code: Code) -> None:
        self.name, self.code = name, code

    def __add__(self, other: Any) -> Register:
        return self if isinstance(other, int) and other == 0 else self.code.note("ADD", self, other)

    __radd__ = __add__

    def __neg__(self) -> Register:
        return self.code.note("NEG", self)

    def __sub__(self, other: Any) -> Register:
        return self.code.note("ADD", self, -other)

    def __rsub__(self, other: Any) -> Register:
        return self.code.note("ADD", -self, other)

    def __mul__(self, other: Any) -> Register:
        return self.code.note("MUL_SHR", self, other, 0)

    __rmul__ = __mul__

    def __lt__(self, other: Any) -> Register:
        return self.code.note("LT", self, other)

    def __ge__(self, other: Any) -> Register:
        return self.code.note("GE", self, other)

    def __gt__(self, other: Any) -> Register:
        return self.code.note("LT", other, self)

    def __le__(self, other: Any) -> Register:
        return self.code.note("GE", other, self)


class Code:
    """Instructions as they are noted; the same operation on the same operands is done once."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.known: dict[Instruction, Register] = {}

    def note(self, operation: str, *operands: Any) -> Register:
        """The register that holds the result of an operation."""
        names = tuple(item.name if isinstance(item, Register) else item if isinstance(item, str) else int(item) for item in operands)
        key = (operation, *names)
        if key not in self.known:
            self.known[key] = Register(f"r{len(self.known)}", self)
            self.instructions.append((operation, self.known[key].name, *names))
        return self.known[key]

    def act(self, operation: str, *operands: Any) -> None:
        """An instruction without a result."""
        self.instructions.append((operation, "", *(item.name if isinstance(item, Register) else item for item in operands)))


def _plain_or(name: str, noted: Callable[..., Any]) -> Callable[..., Any]:
    """The primitive of that name between constants, else what is noted."""
    plain = getattr(fixed_point, name)

    def primitive(*operands: Any) -> Any:
        found = any(isinstance(item, Register) for item in operands)
        return noted(*operands) if found else plain(*operands)

    return primitive


def _code(*operands: Any) -> Code:
    return next(item.code for item in operands if isinstance(item, Register))


def _floor_shift(value: Any, amount: Any) -> Any:
    if isinstance(amount, int) and amount == 0:
        return value
    return _code(value, amount).note("MUL_SHR", value, 1, amount)


def _left_shift(value: Any, amount: Any) -> Any:
    if isinstance(amount, int) and amount == 0:
        return value
    return _code(value, amount).note("SHL", value, amount)


def _round_shift(value: Any, amount: Any) -> Any:
    if isinstance(amount, int):
        return value if amount == 0 else _floor_shift(value + (1 << (amount - 1)), amount)
    half = _code(amount).note("MUL_SHR", _left_shift(1, amount), 1, 1)
    return _floor_shift(half + value, amount)


def _select(condition: Any, if_true: Any, if_false: Any) -> Any:
    return _code(condition, if_true, if_false).note("SEL", condition, if_true, if_false)


def _minimum(first: Any, second: Any) -> Any:
    return _code(first, second).note("MIN", first, second)


def _maximum(first: Any, second: Any) -> Any:
    code = _code(first, second)
    return code.note("SEL", code.note("LT", first, second), second, first)


def _clip(value: Any, lowest: Any, highest: Any) -> Any:
    return _minimum(_maximum(value, lowest), highest)


def _saturate(value: Any, bits: Any) -> Any:
    return _clip(value, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def _bit_length(value: Any) -> Any:
    """Five halvings of what may be left, then whether anything is."""
    code, length, rest = _code(value), 0, value
    for step in (16, 8, 4, 2, 1):
        high = _floor_shift(rest, step)
        some = code.note("GE", high, 1)
        rest = _select(some, high, rest)
        length = _select(some, step, 0) + length
    return _select(code.note("GE", rest, 1), 1, 0) + length


def _look_up(table: Any, index: Any) -> Any:
    return index.code.note("TREE", table, index)


_NOTED: dict[str, Callable[..., Any]] = {
    "floor_shift": _floor_shift,
    "left_shift": _left_shift,
    "round_shift": _round_shift,
    "select": _select,
    "minimum": _minimum,
    "maximum": _maximum,
    "clip": _clip,
    "saturate": _saturate,
    "bit_length": _bit_length,
}
PRIMITIVES = {**{name: _plain_or(name, noted) for name, noted in _NOTED.items()}, "look_up": _look_up}


def listing(quantized: QuantizedNetwork, population: Population) -> Listing:
    """One turn of a compartment of this population: arrival, program, saturation, message, spike."""
    code, cell = Code(), program(population.program)
    reached = ports_of(quantized, population)
    limit = 1 << (quantized.accumulator_bits - 1)
    sums: list[Any] = []
    for port in cell.ports:
        if port not in reached:
            sums.append(0)
            continue
        arrived = code.note("RDC", port) + code.note("RMW", f"{port}_sum")
        sums.append(_clip(arrived, -limit, limit - 1))
        code.act("MOV", f"{port}_sum", sums[-1])
    if population.period > 1 or population.first_tick:
        left = code.note("RMW", "ticks_left") + -1
        due = code.note("LT", left, 0)
        code.act("MOV", "ticks_left", _select(due, population.period - 1, left))
        code.act("JMP_C", _select(due, 0, 1), "end")
    before = code.note("RMW", "state")
    given = [int(values[0]) if shared(values) else code.note("RMW", name) for name, values in population.parameters.items()]
    new = with_primitives(cell.function, PRIMITIVES)(before, *sums, *given, *cell.tables)
    new = _clip(code.note("MOV", new) if isinstance(new, int) else new, population.state.lowest, population.state.highest)
    code.act("MOV", "state", new)
    told = new
    if population.prediction:
        told = _clip(_floor_shift(new - before, 1) + new, population.state.lowest, population.state.highest)
    sent = code.note("RMW", "last_sent")
    difference = _round_shift(told, population.message_shift) - sent
    size = _maximum(difference, -difference)
    code.act("JMP_C", code.note("LT", size, population.threshold), "end")
    code.act("MOV", "last_sent", sent + difference)
    code.act("SPIKE", difference)
    code.act("PROBE", "state")
    return Listing(population.name, population.program, tuple(code.instructions), {k: len(v) for k, v in population.tables.items()})


def listings_text(quantized: QuantizedNetwork) -> str:
    """programs.txt: the legend and all listings."""
    return "\n".join(["One turn of a compartment, per population.\n", LEGEND, *map(str, listings(quantized))])


def listings(quantized: QuantizedNetwork) -> tuple[Listing, ...]:
    """The listing of every population that runs a program."""
    return tuple(listing(quantized, population) for population in quantized.populations if population.program)
