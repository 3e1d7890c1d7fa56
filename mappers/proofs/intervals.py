"""Integer programs on intervals: what a compartment can send, whatever its inputs do. The basis of the proof that sums do not overflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from liquid_neuro.cells.interpret import with_primitives
from liquid_neuro.quantized_network import IntArray, Population, QuantizedNetwork

Range = tuple[IntArray, IntArray]
MOST_STEPS = 3  # in which states that come to an end do so: from 0, from what follows it, and from both


@dataclass(frozen=True, eq=False)
class Interval:
    """All whole numbers from low to high, one interval per compartment; + - * give intervals that hold every result."""

    low: IntArray
    high: IntArray
    __array_ufunc__ = None  # so that an array on the left leaves the work to this class

    def __add__(self, other: Any) -> Interval:
        other = interval(other)
        return Interval(self.low + other.low, self.high + other.high)

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low)

    def __sub__(self, other: Any) -> Interval:
        return self + (-interval(other))

    def __mul__(self, other: Any) -> Interval:
        other = interval(other)
        corners = [mine * theirs for mine in (self.low, self.high) for theirs in (other.low, other.high)]
        return Interval(np.minimum.reduce(corners), np.maximum.reduce(corners))

    def __lt__(self, other: Any) -> Interval:
        other = interval(other)
        return Interval(whole(self.high < other.low), whole(self.low < other.high))

    def __gt__(self, other: Any) -> Interval:
        return interval(other) < self

    def __ge__(self, other: Any) -> Interval:
        below: Interval = self < other
        return Interval(1 - below.high, 1 - below.low)

    def __le__(self, other: Any) -> Interval:
        above: Interval = self > other
        return Interval(1 - above.high, 1 - above.low)

    def __rsub__(self, other: Any) -> Interval:
        return interval(other) - self

    __radd__ = __add__
    __rmul__ = __mul__


def interval(value: Any) -> Interval:
    """A number or an array of numbers as an interval of one number each."""
    return value if isinstance(value, Interval) else Interval(whole(value), whole(value))


def whole(value: Any) -> IntArray:
    """As int64."""
    return np.asarray(value, dtype=np.int64)


def hull(first: Any, second: Any) -> Interval:
    """The smallest interval that holds both."""
    first, second = interval(first), interval(second)
    return Interval(np.minimum(first.low, second.low), np.maximum(first.high, second.high))


# --- the primitives and helpers of the programs, on intervals; the names are those of the originals ---------------------------------------


def floor_shift(value: Any, amount: Any) -> Interval:
    value, amount = interval(value), interval(amount)
    ends = [end >> by for end in (value.low, value.high) for by in (amount.low, amount.high)]
    return Interval(np.minimum.reduce(ends), np.maximum.reduce(ends))


def round_shift(value: Any, amount: Any) -> Interval:
    value, amount = interval(value), interval(amount)
    ends = [(end + ((1 << by) >> 1)) >> by for end in (value.low, value.high) for by in (amount.low, amount.high)]
    return Interval(np.minimum.reduce(ends), np.maximum.reduce(ends))


def left_shift(value: Any, amount: Any) -> Interval:
    amount = interval(amount)
    return interval(value) * Interval(1 << amount.low, 1 << amount.high)


def select(condition: Any, if_true: Any, if_false: Any) -> Interval:
    condition, if_true, if_false = interval(condition), interval(if_true), interval(if_false)
    either = hull(if_true, if_false)
    always, never = condition.low == 1, condition.high == 0
    return Interval(
        np.where(always, if_true.low, np.where(never, if_false.low, either.low)),
        np.where(always, if_true.high, np.where(never, if_false.high, either.high)),
    )


def minimum(first: Any, second: Any) -> Interval:
    first, second = interval(first), interval(second)
    return Interval(np.minimum(first.low, second.low), np.minimum(first.high, second.high))


def maximum(first: Any, second: Any) -> Interval:
    first, second = interval(first), interval(second)
    return Interval(np.maximum(first.low, second.low), np.maximum(first.high, second.high))


def clip(value: Any, lowest: Any, highest: Any) -> Interval:
    return minimum(maximum(value, lowest), highest)


def saturate(value: Any, bits: Any) -> Interval:
    return clip(value, -(1 << (whole(bits) - 1)), (1 << (whole(bits) - 1)) - 1)


def bit_length(value: Any) -> Interval:
    value = interval(value)
    return Interval(*(np.frexp(np.maximum(end, 0).astype(np.float64))[1].astype(np.int64) for end in (value.low, value.high)))


def absolute(value: Any) -> Interval:
    value = interval(value)
    return maximum(Interval(np.maximum(value.low, -value.high), np.maximum(value.high, -value.low)), 0)


def look_up(table: Any, index: Any) -> Interval:
    index = interval(index)
    low, high = np.broadcast_arrays(index.low, index.high)
    entries = np.asarray(table)
    if (low == high).all():
        return interval(entries[low])
    pairs, inverse = np.unique(np.stack([low.reshape(-1), high.reshape(-1)], axis=1), axis=0, return_inverse=True)
    parts = [entries[max(first, 0) : last + 1] for first, last in pairs.tolist()]
    ends = np.array([(part.min(), part.max()) for part in parts], dtype=np.int64)[inverse.reshape(-1)]
    return Interval(ends[:, 0].reshape(low.shape), ends[:, 1].reshape(low.shape))


def interpolate(table: Any, position: Any, fraction_bits: Any) -> Interval:
    """Between neighbours: no further out than the entries themselves."""
    index = floor_shift(position, fraction_bits)
    return look_up(table, Interval(index.low, index.high + 1))


def mix(start: Any, goal: Any, share: Any, fraction_bits: Any) -> Interval:
    """Between start and goal for shares of 0 to 1; what the formula gives otherwise."""
    share = interval(share)
    between = (share.low >= 0) & (share.high <= 1 << whole(fraction_bits))
    free = interval(start) + round_shift(share * (interval(goal) - start), fraction_bits)
    inside = hull(start, goal)
    return Interval(np.where(between, inside.low, free.low), np.where(between, inside.high, free.high))


PRIMITIVES = {
    function.__name__: function
    for function in (
        floor_shift,
        round_shift,
        left_shift,
        select,
        minimum,
        maximum,
        clip,
        saturate,
        bit_length,
        absolute,
        look_up,
        interpolate,
        mix,
    )
}


def message_ranges(quantized: QuantizedNetwork) -> dict[str, Range]:
    """Smallest and largest message value (size,) of every population, 0 (nothing sent yet) included.

    The input: the bound for which the formats were made, where they tell one, else its word. A population whose program has no memory: what
    the program makes of all that can arrive. Others: what they make of that and their own states, if that has an end; else their word.
    """
    ranges = {
        population.name: message_range(population, host_words(quantized, population) if not population.program else word(population))
        for population in quantized.populations
    }
    first = sources_first(quantized)
    for population in first:
        ranges[population.name] = message_range(population, _turn(population, _sums(quantized, population, ranges), word(population)))
    for population in quantized.populations:
        if population.program and population not in first and quantized.kind != "akida":  # whose host reads more than sums
            ranges[population.name] = message_range(population, states_from_rest(population, _sums(quantized, population, ranges)))
    return ranges


def states_from_rest(population: Population, sums: list[Interval]) -> Interval:
    """States that a population never leaves once it was at 0, whatever comes: what its program makes of 0 and of itself, where that goes no
    further. Any word where it does, and for programs that normalise by bit lengths, of which intervals alone tell nothing. sums: by port.
    """
    from liquid_neuro.cells import PROGRAMS
    from mappers.proofs.program_graph import trace

    states = interval(np.zeros(population.size, dtype=np.int64))
    if any(operation.name == "bit_length" for operation in trace(PROGRAMS[population.program]).operations):
        return word(population)
    for _ in range(MOST_STEPS):
        grown = hull(states, _turn(population, sums, states))
        if (grown.low == states.low).all() and (grown.high == states.high).all():
            return states
        states = grown
    return word(population)


def _turn(population: Population, sums: list[Interval], states: Interval) -> Interval:
    """The states after a turn from these."""
    from liquid_neuro.cells import PROGRAMS

    program, ends = PROGRAMS[population.program], word(population)
    tables = [population.tables[name] for name in program.tables]
    parameters = [population.parameters[name] for name in program.parameters]
    return clip(with_primitives(program.function, PRIMITIVES)(states, *sums, *parameters, *tables), ends.low, ends.high)


def _sums(quantized: QuantizedNetwork, population: Population, ranges: dict[str, Range]) -> list[Interval]:
    from liquid_neuro.cells import PROGRAMS

    return [Interval(*sum_range(quantized, ranges, population.name, port)) for port in PROGRAMS[population.program].ports]


def sum_range(quantized: QuantizedNetwork, ranges: dict[str, Range], target: str, port: str) -> Range:
    """Smallest and largest running sum (size,) of a port: sum(weight * last sent), each within its source's range.

    Narrower where rectifiers that hear one argument are summed (mappers/proofs/rectified.py).
    """
    from liquid_neuro.cells.cfc_library import SIGMA
    from mappers.proofs.rectified import rectified_sums

    if quantized.population(target).program == SIGMA.name:
        banks = {wire.source_population for wire in quantized.projections if wire.target_population == target}
        sums = {bank: sum_range(quantized, ranges, bank, "value") for bank in banks}
        narrow = rectified_sums(quantized, sums, target, port)
        if narrow is not None:
            return narrow
    size = quantized.population(target).size
    low, high = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for projection in quantized.projections:
        if (projection.target_population, projection.port) == (target, port):
            ends = [projection.weight * end[projection.source] for end in ranges[projection.source_population]]
            np.add.at(low, projection.target, np.minimum(*ends))
            np.add.at(high, projection.target, np.maximum(*ends))
    return low, high


def word(population: Population) -> Interval:
    """All state words of a population."""
    return Interval(np.full(population.size, population.state.lowest), np.full(population.size, population.state.highest))


def host_words(quantized: QuantizedNetwork, population: Population) -> Interval:
    """The words that the host sets: inputs within the bound for which the formats were made, if they tell one, else all; any timespan."""
    states = word(population)
    if population is quantized.elapsed:
        return maximum(states, 0)
    bound = getattr(quantized.formats, "input_bound", 0.0)
    steps = int(np.ceil(bound / quantized.input_format.lsb))
    return clip(states, -steps, steps) if steps else states


def message_range(population: Population, state: Interval) -> Range:
    """The messages (size,) of these state words, and 0."""
    ahead = saturate(state + floor_shift(state - state, 1), population.state.bits) if population.prediction else state
    message = hull(round_shift(ahead, population.message_shift), 0)
    return tuple(np.broadcast_to(end, (population.size,)) for end in (message.low, message.high))  # type: ignore[return-value]


def sources_first(quantized: QuantizedNetwork) -> list[Population]:
    """Populations in the order in which programs without memory feed one another, as far as that order goes."""
    from liquid_neuro.cells import PROGRAMS

    waiting = {p.name: p for p in quantized.populations if p.program and PROGRAMS[p.program].stateless}
    order: list[Population] = []
    while waiting:
        ready = [
            name
            for name in waiting
            if not any(
                p.target_population == name and p.source_population in waiting and p.source_population != name
                for p in quantized.projections
            )
        ]
        if not ready:
            break
        order += [waiting.pop(name) for name in ready]
    return order + list(waiting.values())
