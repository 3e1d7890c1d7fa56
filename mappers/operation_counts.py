"""Operations of generated integer code, counted by running the cells' own programs on integers that count.

What is counted is straight-line code that computes a network sample by sample: for every run of a compartment its program, its parameters
loaded, its state loaded and stored; for every synapse a multiplication and an addition with their loads. Parameters that all compartments
share are constants of the code. Cycles follow from a profile's cycles per operation; they are an estimate, not a measurement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from liquid_neuro.cells import PROGRAMS
from liquid_neuro.cells.interpret import with_primitives
from liquid_neuro.quantized_network import Population, QuantizedNetwork
from mappers.resources import ports_of, shared

OPERATIONS = ("add", "multiply", "shift", "compare", "select", "load", "store", "bit_length", "loop", "call")


class Counted:
    """An integer that notes every operation done with it. Operations between plain integers are the compiler's, and free."""

    __slots__ = ("counts", "value")

    def __init__(self, value: Any, counts: Counter[str]) -> None:
        self.value, self.counts = int(value), counts

    def noted(self, operation: str, value: Any) -> Counted:
        """A result of an operation, which is counted."""
        self.counts[operation] += 1
        return Counted(value, self.counts)

    def __add__(self, other: Any) -> Counted:
        return self.noted("add", self.value + plain(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Counted:
        return self.noted("add", self.value - plain(other))

    def __rsub__(self, other: Any) -> Counted:
        return self.noted("add", plain(other) - self.value)

    def __neg__(self) -> Counted:
        return self.noted("add", -self.value)

    def __mul__(self, other: Any) -> Counted:
        return self.noted("multiply", self.value * plain(other))

    __rmul__ = __mul__

    def __lt__(self, other: Any) -> Counted:
        return self.noted("compare", self.value < plain(other))

    def __le__(self, other: Any) -> Counted:
        return self.noted("compare", self.value <= plain(other))

    def __gt__(self, other: Any) -> Counted:
        return self.noted("compare", self.value > plain(other))

    def __ge__(self, other: Any) -> Counted:
        return self.noted("compare", self.value >= plain(other))


def plain(value: Any) -> int:
    """The integer without its counter."""
    return value.value if isinstance(value, Counted) else int(value)


def _note(operation: str, value: int, *operands: Any) -> Any:
    for operand in operands:
        if isinstance(operand, Counted):
            return operand.noted(operation, value)
    return value


def _floor_shift(value: Any, amount: Any) -> Any:
    return _note("shift", plain(value) >> plain(amount), value, amount)


def _left_shift(value: Any, amount: Any) -> Any:
    return _note("shift", plain(value) << plain(amount), value, amount)


def _round_shift(value: Any, amount: Any) -> Any:
    half = (1 << plain(amount)) >> 1
    rounding = _note("shift", half, amount)  # a constant where the amount is one
    return _floor_shift(_note("add", plain(value) + half, value, rounding), amount)


def _select(condition: Any, if_true: Any, if_false: Any) -> Any:
    return _note("select", plain(if_true) if plain(condition) else plain(if_false), condition, if_true, if_false)


def _minimum(first: Any, second: Any) -> Any:
    return _select(_note("compare", plain(first) < plain(second), first, second), first, second)


def _maximum(first: Any, second: Any) -> Any:
    return _select(_note("compare", plain(first) > plain(second), first, second), first, second)


def _clip(value: Any, lowest: Any, highest: Any) -> Any:
    return _minimum(_maximum(value, lowest), highest)


def _saturate(value: Any, bits: Any) -> Any:
    return _clip(value, -(1 << (plain(bits) - 1)), (1 << (plain(bits) - 1)) - 1)


def _bit_length(value: Any) -> Any:
    return _note("bit_length", max(plain(value), 0).bit_length(), value)


def _look_up(table: Any, index: Any) -> Any:
    position = min(max(plain(index), 0), len(table) - 1)
    return _note("load", int(table[position]), index)


PRIMITIVES: Mapping[str, Any] = {
    "floor_shift": _floor_shift,
    "left_shift": _left_shift,
    "round_shift": _round_shift,
    "select": _select,
    "minimum": _minimum,
    "maximum": _maximum,
    "clip": _clip,
    "saturate": _saturate,
    "bit_length": _bit_length,
    "look_up": _look_up,
}


def program_operations(quantized: QuantizedNetwork, population: Population) -> Counter[str]:
    """Operations of one run of one compartment, synapses not included: program, loads, saturation, message, store, loop."""
    program = PROGRAMS[population.program]
    counts: Counter[str] = Counter()
    reached = ports_of(quantized, population)  # a port that nothing reaches is a constant 0
    arguments: list[Any] = [Counted(0, counts), *(Counted(0, counts) if port in reached else 0 for port in program.ports)]
    for values in population.parameters.values():
        if shared(values):
            arguments.append(int(values[0]) if len(values) else 0)
        else:
            arguments.append(Counted(values[0], counts))
            counts["load"] += 1
    result = with_primitives(program.function, PRIMITIVES)(*arguments, *population.tables.values())
    if not program.stateless:
        counts["load"] += 1
    _round_shift(_saturate(result, population.state.bits), population.message_shift) if population.message_shift else None
    counts["store"] += 1
    counts["loop"] += 1
    return counts


def runs_per_sample(quantized: QuantizedNetwork) -> dict[str, int]:
    """How often sample-by-sample code runs each population per sample.

    A program that keeps a state runs whenever it is its turn; a stateless one only when one of its sources has changed.
    """
    turns = {one.name: max(quantized.ticks_per_sample // one.period, 1) for one in quantized.populations}
    runs = {one.name: turns[one.name] if one.program else 1 for one in quantized.populations}
    for _ in quantized.populations:  # at most one round per population until nothing changes
        for one in quantized.populations:
            if one.program and PROGRAMS[one.program].stateless:
                sources = {item.source_population for item in quantized.projections if item.target_population == one.name}
                runs[one.name] = min(turns[one.name], max((runs[source] for source in sources), default=1))
    return runs


def synapse_operations(quantized: QuantizedNetwork) -> Counter[str]:
    """Operations per sample of all weighted sums. Synapses of several ports that join the same pair share index and value."""
    runs = runs_per_sample(quantized)
    counts: Counter[str] = Counter()
    pairs: dict[tuple[str, str], int] = {}
    for projection in quantized.projections:
        times, synapses = runs[projection.source_population], len(projection.weight)
        key = (projection.source_population, projection.target_population)
        pairs[key] = max(pairs.get(key, 0), synapses)
        if synapses and not (projection.weight == 1).all():  # weights of 1 pass the value on
            for operation in ("load", "multiply", "add"):
                counts[operation] += times * synapses
    for (source, _), synapses in pairs.items():
        counts["load"] += 2 * runs[source] * synapses
        counts["loop"] += runs[source] * synapses
    return counts


def operations_per_sample(quantized: QuantizedNetwork) -> dict[str, float]:
    """Operation -> how often per sample, programs and synapses together."""
    runs = runs_per_sample(quantized)
    counts = synapse_operations(quantized)
    for population in quantized.populations:
        if population.program:
            for operation, number in program_operations(quantized, population).items():
                counts[operation] += number * population.size * runs[population.name]
            counts["call"] += runs[population.name]
        else:
            counts["load"] += population.size
            counts["store"] += population.size
    return {operation: float(counts[operation]) for operation in OPERATIONS if counts[operation]}
