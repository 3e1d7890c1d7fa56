"""Values that the C printer computes with: the text of an expression, and all integers that it can be, compartment by compartment.

Cases. A program that normalises by a bit length is split into one case per length: arrays of ranges then have one more axis in front, one
row per length, in which the length is a number and its operand lies between two powers of two. Combinations that no compartment can reach
are left out by `Cases.feasible`. So products of normalised numbers are bounded as tightly as their bit lengths bound them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.quantized_network import IntArray
from mappers.proofs.intervals import Interval

WORD_BITS = 32
WORD_LOWEST, WORD_HIGHEST = -(1 << (WORD_BITS - 1)), (1 << (WORD_BITS - 1)) - 1
NUMBERS_PER_LINE = 16


@dataclass(frozen=True, eq=False)
class Value:
    """An expression of type int32_t. text: in C; atomic: needs no brackets. range: what it can be.

    What else is known of it, as far as rules of c99_algebra use it:
    table: the entries, where it is a look-up table (its text is the array's name). entry: (table, index), where it is an entry.
    quotient: (x, n), where it is x >> n. floored: (x, n), where it is x >> n << n. parts: (x, c), where it is x + c and c is known.
    factors: (x, y), where it is x * y.
    """

    text: str
    range: Interval
    atomic: bool = False
    table: IntArray | None = None
    entry: tuple[Value, Value] | None = None
    quotient: tuple[Value, int] | None = None
    floored: tuple[Value, int] | None = None
    parts: tuple[Value, Value] | None = None
    factors: tuple[Value, Value] | None = None

    @property
    def bracketed(self) -> str:
        """The text as an operand."""
        return self.text if self.atomic else f"({self.text})"

    @property
    def summand(self) -> str:
        """The text as a part of a sum: products need no brackets there."""
        return self.text if self.atomic or not set(self.text) & set("<>&|+-=") else self.bracketed

    @property
    def constant(self) -> int | None:
        """The number that it is for all compartments in all cases, if it is one."""
        low, high = self.range.low, self.range.high
        first = int(low.reshape(-1)[0]) if low.size else 0
        return first if self.table is None and bool((low == first).all() and (high == first).all()) else None

    @property
    def fixed(self) -> bool:
        """Whether it is known for each compartment while the code is printed."""
        low, high = self.range.low, self.range.high
        return self.table is None and low.ndim <= 1 and low.shape == high.shape and bool((low == high).all())

    @property
    def foldable(self) -> bool:
        """Whether sums and shifts by constants can be done while the code is printed: of known numbers and of table entries."""
        return self.fixed or self.entry is not None

    def named(self, name: str) -> Value:
        """The same value under a name."""
        return replace(self, text=name, atomic=True)


@dataclass
class Cases:
    """The cases of one program, and which of them each compartment can reach."""

    axes: int = 0
    feasible: npt.NDArray[np.bool_] = field(default_factory=lambda: np.ones(1, dtype=bool))

    def split(self, lowest: int, highest: int) -> IntArray:
        """The numbers lowest .. highest along a new axis in front of all others."""
        self.axes += 1
        return np.arange(lowest, highest + 1).reshape(-1, *(1,) * self.axes)

    def narrowed(self, value: Interval, lowest: Any, highest: Any) -> Interval:
        """The value within lowest .. highest. Where that is empty the case cannot happen; it keeps a number from within the bounds."""
        low, high = np.maximum(value.low, lowest), np.minimum(value.high, highest)
        possible = low <= high
        self.feasible = self.feasible & possible
        return Interval(low, np.where(possible, high, low))

    def ends(self, value: Interval) -> tuple[int, int]:
        """The smallest and the largest number over all cases that can happen."""
        low, high, feasible = np.broadcast_arrays(value.low, value.high, self.feasible)
        if not feasible.any():
            return 0, 0
        return int(low[feasible].min()), int(high[feasible].max())

    def fits(self, value: Interval) -> bool:
        """Whether it is proved that the numbers fit 32 bits."""
        low, high = self.ends(value)
        return low >= WORD_LOWEST and high <= WORD_HIGHEST

    def never_above(self, first: Interval, second: Interval) -> bool:
        """Whether it is proved that first <= second."""
        low, high, feasible = np.broadcast_arrays(second.low, first.high, self.feasible)
        return bool((high <= low)[feasible].all())


@dataclass
class Tables:
    """The constant arrays of a file: equal ones have one name, and only those that are used are written."""

    values: dict[str, IntArray] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    flash: int = 0

    def look_up(self, name: str, entries: IntArray) -> Value:
        """A look-up table as a value; `name` unless these entries have a name already."""
        for known, others in self.values.items():
            if np.array_equal(entries, others):
                return table(known, entries)
        while name in self.values:
            name += "_"
        self.values[name] = entries
        return table(name, entries)

    def write(self, name: str) -> None:
        """Makes a named array a part of the file."""
        if name in self.texts:
            return
        values = self.values[name]
        kind = storage(int(values.min(initial=0)), int(values.max(initial=0)))
        rows = [", ".join(map(str, row)) for row in np.array_split(values, max(1, -(-len(values) // NUMBERS_PER_LINE)))]
        self.texts[name] = f"static const {kind} {name}[{len(values)}] = {{\n    " + ",\n    ".join(rows) + "\n};"
        self.flash += bytes_of(kind) * len(values)

    def write_records(self, name: str, comment: str, columns: dict[str, IntArray]) -> None:
        """An array of records, its type name_t: the widest columns first, so that nothing is padded inside."""
        kinds = {column: storage(int(values.min()), int(values.max())) for column, values in columns.items()}
        order = sorted(kinds, key=lambda column: -bytes_of(kinds[column]))
        fields = " ".join(f"{kinds[column]} {column};" for column in order)
        rows = np.stack([columns[column] for column in order], axis=1).tolist()
        text = ",\n".join("    {" + ", ".join(map(str, row)) + "}" for row in rows)
        self.texts[name] = (
            f"/* {comment} */\ntypedef struct {{ {fields} }} {name}_t;\nstatic const {name}_t {name}[{len(rows)}] = {{\n{text}\n}};"
        )
        widest = max(bytes_of(kind) for kind in kinds.values())
        self.flash += len(rows) * -(-sum(bytes_of(kind) for kind in kinds.values()) // widest) * widest


def number(value: int) -> Value:
    """A constant."""
    text = f"({value})" if value < 0 else str(value)
    if value == WORD_LOWEST:
        text = f"({WORD_LOWEST + 1} - 1)"
    return Value(text, Interval(np.asarray(value), np.asarray(value)), atomic=True)


def table(name: str, entries: IntArray) -> Value:
    """A look-up table."""
    return Value(name, Interval(np.asarray(entries.min()), np.asarray(entries.max())), atomic=True, table=entries)


def entries_between(entries: IntArray, index: Interval) -> Interval:
    """Smallest and largest entry for every range of indices, which must lie in the table."""
    low, high = (np.clip(end, 0, len(entries) - 1) for end in np.broadcast_arrays(index.low, index.high))
    pairs, inverse = np.unique(np.stack([low.reshape(-1), high.reshape(-1)]), axis=1, return_inverse=True)
    parts = [entries[first : max(first, last) + 1] for first, last in pairs.T.tolist()]
    inverse = inverse.reshape(-1)
    return Interval(
        np.array([part.min() for part in parts], dtype=np.int64)[inverse].reshape(low.shape),
        np.array([part.max() for part in parts], dtype=np.int64)[inverse].reshape(low.shape),
    )


def storage(low: int, high: int) -> str:
    """The smallest exact-width C type that holds low .. high."""
    for bits in (8, 16, 32):
        if low >= 0 and high < 1 << bits:
            return f"uint{bits}_t"
        if -(1 << (bits - 1)) <= low and high < 1 << (bits - 1):
            return f"int{bits}_t"
    raise ValueError(f"numbers must fit 32 bits, but reach {low} to {high}")


def bytes_of(kind: str) -> int:
    """The size of a type that `storage` names."""
    return int(kind.strip("uint_")) // 8
