"""The operations and primitives of integer programs, as C expressions with ranges.

Every rule here keeps the value exactly. What is proved needless goes (a maximum with 0 of what is never negative, a shift by 0); what is
known per compartment is computed here and becomes one column of its record; `(x >> n) + c` becomes `(x + c * 2**n) >> n` where that
fits, so that an offset and a rounding cost one addition. With fast tables the same is done for table entries: interpolation then takes
one multiply-add, and one look-up where an entry and the step to the next one fit a word together.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from liquid_neuro.quantized_network import IntArray
from mappers.exporters import ExportError
from mappers.exporters.c99_values import WORD_BITS, WORD_HIGHEST, WORD_LOWEST, Cases, Tables, Value, entries_between, number
from mappers.proofs import intervals
from mappers.proofs.intervals import Interval, interval

COMPARISONS = {"<": Interval.__lt__, ">": Interval.__gt__, "<=": Interval.__le__, ">=": Interval.__ge__}


def note_failure(unproved: list[str] | None, failure: str, remedy: str) -> None:
    """Notes what is not proved in `unproved`; ExportError where that is None."""
    if unproved is None:
        raise ExportError(f"{failure}; {remedy}")
    unproved.append(failure)


@dataclass
class Algebra:
    """Operations of one program. place: names it in errors. columns: numbers known per compartment, by name. used: C functions called.

    unproved: as in Code. Once something is not proved, ranges are only what should be: then every index is held within its table.
    """

    place: str
    tables: Tables
    fast_tables: bool
    unproved: list[str] | None = None
    cases: Cases = field(default_factory=Cases)
    columns: dict[str, IntArray] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    # --- results ------------------------------------------------------------------------------------------------------------------------

    def result(self, text: str, value: Interval, atomic: bool = False) -> Value:
        """A value; as a number or a column where it is known. ExportError where it is not proved to fit 32 bits."""
        value = self.within_word(text, value)
        low, high = self.cases.ends(value)
        if low == high:
            return number(low)
        plain = Value(text, value, atomic)
        return self.column("known", value.low) if plain.fixed else plain

    def within_word(self, text: str, value: Interval) -> Interval:
        """The range, where it is proved to fit 32 bits; else what it should be, which is noted."""
        if self.cases.fits(value):
            return value
        low, high = self.cases.ends(value)
        failure = f"{self.place} must be proved to fit 32-bit words, but `{text}` may reach {low} to {high}"
        note_failure(self.unproved, failure, "quantise with fewer bits or say unproved=True")
        return Interval(*(np.clip(end, WORD_LOWEST, WORD_HIGHEST) for end in (value.low, value.high)))

    def column(self, name: str, values: IntArray) -> Value:
        """What is known per compartment, as a column of its record; equal columns have one name."""
        values = np.asarray(values)
        for known, others in self.columns.items():
            if np.array_equal(values, others):
                return Value(known, Interval(values, values), atomic=True)
        wanted, copy = name, 1
        while name in self.columns:
            copy += 1
            name = f"{wanted}_{copy}"
        self.columns[name] = values
        return Value(name, Interval(values, values), atomic=True)

    def called(self, name: str, value: Interval, *arguments: Value) -> Value:
        """A call of a C function of c99_template/primitives.c.txt."""
        self.used.add(name)
        return self.result(f"liquid_{name}({', '.join(argument.text for argument in arguments)})", value, atomic=True)

    # --- + - * and comparisons ------------------------------------------------------------------------------------------------------------

    def add(self, left: Value, right: Value) -> Value:
        if left.constant == 0 or right.constant == 0:
            return right if left.constant == 0 else left
        folded = self._entry_plus(left, right) or self._entry_plus(right, left)
        folded = folded or self._under_shift(left, right) or self._under_shift(right, left)
        folded = folded or self._with_known(left, right) or self._with_known(right, left)
        if folded is not None:
            return folded
        text = f"{left.summand} + {right.summand}"
        if right.constant is not None and right.constant < 0:
            text = f"{left.summand} - {-right.constant}"
        total = self.result(text, left.range + right.range)
        known, other = (left, right) if left.foldable else (right, left)
        return replace(total, parts=(other, known)) if known.foldable and not total.fixed else total

    def _with_known(self, sum_: Value, known: Value) -> Value | None:
        """(x + c) + d as x + (c + d)."""
        if sum_.parts is None or not known.foldable or sum_.fixed:
            return None
        variable, first = sum_.parts
        if not self.cases.fits(first.range + known.range) or not self.cases.fits(variable.range + first.range + known.range):
            return None
        if not (first.fixed and known.fixed) and not (self._entry_sum(first, known)):
            return None
        return self.add(variable, self.add(first, known))

    def _under_shift(self, shifted: Value, known: Value) -> Value | None:
        """(x >> n) + c as (x + c * 2**n) >> n."""
        if (
            shifted.quotient is None
            or shifted.text.isidentifier()
            or not known.foldable
            or (known.entry is not None and not self.fast_tables)
        ):
            return None
        inside, by = shifted.quotient
        moved = intervals.left_shift(known.range, by)
        part = inside.parts[1].range if inside.parts is not None else Interval(np.asarray(0), np.asarray(0))
        if not all(self.cases.fits(reach) for reach in (moved, moved + part, inside.range + moved)):
            return None
        return self.floor_shift(self.add(inside, self.left_shift(known, number(by))), number(by))

    def _entry_sum(self, first: Value, second: Value) -> bool:
        entry, other = (first, second) if first.entry is not None else (second, first)
        return self.fast_tables and entry.entry is not None and other.constant is not None

    def _entry_plus(self, entry: Value, other: Value) -> Value | None:
        """A table entry plus a constant: an entry of another table."""
        if not self._entry_sum(entry, other) or entry.entry is None or entry.entry[0].table is None or other.constant is None:
            return None
        name = f"{entry.entry[0].text}_{'plus' if other.constant > 0 else 'minus'}_{abs(other.constant)}"
        return self._entry_of(name, entry.entry[0].table + other.constant, entry.entry[1])

    def _entry_of(self, name: str, entries: IntArray, index: Value) -> Value | None:
        if abs(entries).max() >= 1 << (WORD_BITS - 1):
            return None
        return self.look_up(self.tables.look_up(name, entries), index)

    def subtract(self, left: Value, right: Value) -> Value:
        if right.constant == 0:
            return left
        if right.floored is not None and right.floored[0].text == left.text:
            mask = (1 << right.floored[1]) - 1
            return Value(f"{left.bracketed} & {mask}", Interval(np.asarray(0), np.asarray(mask)))
        if right.fixed:
            return self.add(left, self.negate(right))
        step = self._step(left, right)
        return step or self.result(f"{left.summand} - {right.bracketed}", left.range - right.range)

    def _step(self, left: Value, right: Value) -> Value | None:
        """The difference of neighbouring table entries: an entry of a table of differences."""
        if not self.fast_tables or left.entry is None or right.entry is None or left.entry[0].text != right.entry[0].text:
            return None
        after, entries = left.entry[1], right.entry[0].table
        if entries is None or after.parts is None or after.parts[1].constant != 1 or after.parts[0].text != right.entry[1].text:
            return None
        return self.look_up(self.tables.look_up(f"{right.entry[0].text}_steps", np.diff(entries)), right.entry[1])

    def multiply(self, left: Value, right: Value) -> Value:
        if left.constant == 1 or right.constant == 1:
            return right if left.constant == 1 else left
        product = self.result(f"{left.bracketed} * {right.bracketed}", left.range * right.range)
        return product if product.fixed else replace(product, factors=(left, right))

    def negate(self, value: Value) -> Value:
        return self.result(f"-{value.bracketed}", -value.range)

    def compare(self, sign: str, left: Value, right: Value) -> Value:
        return self.result(f"{left.bracketed} {sign} {right.bracketed}", COMPARISONS[sign](left.range, right.range))

    # --- primitives: the names of hardware_profiles.fixed_point ---------------------------------------------------------------------------

    def floor_shift(self, value: Value, amount: Value) -> Value:
        by = amount.constant
        if by == 0:
            return value
        packed = self._packed(value, by) if by is not None else None
        if packed is not None:
            return packed
        result = self.result(f"{value.bracketed} >> {amount.bracketed}", intervals.floor_shift(value.range, amount.range))
        return replace(result, quotient=(value, by)) if by is not None and not result.fixed else result

    def _packed(self, value: Value, by: int) -> Value | None:
        """(base[i] + step[i] * rest) >> by, where one word holds step[i] above and base[i] below: one look-up for two."""
        if value.parts is None or value.parts[0].factors is None:
            return None
        (step, rest), base = value.parts[0].factors, value.parts[1].entry
        if step.entry is None or base is None or step.entry[0].table is None or base[0].table is None:
            return None
        if step.entry[1].text != base[1].text or (1 << by) - 1 != self.cases.ends(rest.range)[1]:
            return None
        steps, bases = step.entry[0].table, base[0].table[: len(step.entry[0].table)]
        ends = np.stack([bases, bases + steps * ((1 << by) - 1)])
        width = max(int(ends.max()).bit_length(), (-int(ends.min()) - 1 if ends.min() < 0 else 0).bit_length()) + 1
        if width + max(int(np.abs(steps).max()).bit_length(), 1) + 1 > WORD_BITS:
            return None
        name = f"{step.entry[0].text.removesuffix('_steps')}_lines"
        word = self.look_up(self.tables.look_up(name, (steps << width) + bases), base[1])
        return self.called("line", intervals.floor_shift(value.range, interval(by)), word, rest, number(width), number(by))

    def left_shift(self, value: Value, amount: Value) -> Value:
        by = amount.constant
        if by == 0:
            return value
        if by is not None and self.fast_tables and value.entry is not None and value.entry[0].table is not None:
            derived = self._entry_of(f"{value.entry[0].text}_times_{1 << by}", value.entry[0].table << by, value.entry[1])
            if derived is not None:
                return derived
        moved = intervals.left_shift(value.range, amount.range)
        if self.cases.ends(value.range)[0] >= 0:
            result = self.result(f"{value.bracketed} << {amount.bracketed}", moved)
        elif by is not None:
            result = self.result(f"{value.bracketed} * {1 << by}", moved)
        else:
            result = self.result(f"{value.bracketed} * (INT32_C(1) << {amount.bracketed})", moved)
        if by is not None and value.quotient is not None and value.quotient[1] == by:
            return replace(result, floored=value.quotient)
        return result

    def round_shift(self, value: Value, amount: Value) -> Value:
        by = amount.constant
        if by == 0:
            return value
        halves = Interval(*((1 << end) >> 1 for end in (amount.range.low, amount.range.high)))
        if self.cases.fits(value.range + halves):
            if amount.fixed:
                half = number((1 << by) >> 1) if by is not None else self.column("half", halves.low)
                return self.floor_shift(self.add(value, half), amount)
            return self.called("round_shift", intervals.round_shift(value.range, amount.range), value, amount)
        never_zero = self.cases.ends(amount.range)[0] > 0
        name = "round_shift_above_0" if never_zero else "round_shift_high"
        return self.called(name, intervals.round_shift(value.range, amount.range), value, amount)

    def select(self, condition: Value, if_true: Value, if_false: Value) -> Value:
        if condition.constant is not None:
            return if_true if condition.constant else if_false
        chosen = intervals.select(condition.range, if_true.range, if_false.range)
        return self.called("select", chosen, condition, if_true, if_false)

    def minimum(self, first: Value, second: Value) -> Value:
        for smaller, larger in ((first, second), (second, first)):
            if self.cases.never_above(smaller.range, larger.range):
                return smaller
        least = intervals.minimum(first.range, second.range)
        for value, limit in ((first, second.constant), (second, first.constant)):
            if limit is not None and limit & (limit + 1) == 0 and self.cases.ends(value.range)[0] >= 0:
                return self.called("cap", least, value, number(limit.bit_length()))
        return self.called("minimum", least, first, second)

    def maximum(self, first: Value, second: Value) -> Value:
        for smaller, larger in ((first, second), (second, first)):
            if self.cases.never_above(smaller.range, larger.range):
                return larger
        return self.called("maximum", intervals.maximum(first.range, second.range), first, second)

    def clip(self, value: Value, lowest: Value, highest: Value) -> Value:
        if self.cases.never_above(lowest.range, value.range) or self.cases.never_above(value.range, highest.range):
            return self.minimum(self.maximum(value, lowest), highest)
        inside, low, high = intervals.clip(value.range, lowest.range, highest.range), lowest.constant, highest.constant
        if high is not None and high & (high + 1) == 0 and low in (0, -high - 1):
            name, bits = ("clip_unsigned", high.bit_length()) if low == 0 else ("clip_signed", high.bit_length() + 1)
            return self.called(name, inside, value, number(bits))
        return self.called("clip", inside, value, lowest, highest)

    def saturate(self, value: Value, bits: Value) -> Value:
        word = bits.constant
        if word is None:
            raise ExportError(f"{self.place} must saturate to a word of known width, but its width is `{bits.text}`; use a constant")
        return self.clip(value, number(-(1 << (word - 1))), number((1 << (word - 1)) - 1))

    def look_up(self, entries: Value, index: Value) -> Value:
        low, high = self.cases.ends(index.range)
        if entries.table is None:
            raise ExportError(f"{self.place} must look up entries of a table, but `{entries.text}` is none")
        last = len(entries.table) - 1
        if low < 0 or high > last:
            failure = f"{self.place} must look up entries of {entries.text}, but `{index.text}` may reach {low} to {high}"
            note_failure(self.unproved, failure, "quantise with fewer bits or say unproved=True")
        if self.unproved:
            inside = Interval(*(np.clip(end, 0, last) for end in (index.range.low, index.range.high)))
            index = self.called("clip", inside, index, number(0), number(last))
        found = self.result(f"(int32_t){entries.text}[{index.text}]", entries_between(entries.table, index.range), atomic=True)
        return found if found.fixed else replace(found, entry=(entries, index))

    def bit_length(self, operand: Value, length: IntArray) -> Value:
        """length: the lengths, one per case."""
        name = "bit_length" if self.cases.ends(operand.range)[0] < 1 else "bit_length_above_0"
        return self.called(name, Interval(length, length), operand)

    def either(self, first: Value, second: Value) -> Value:
        """A value with the bit length of the larger of two that are not negative."""
        return self.result(f"{first.bracketed} | {second.bracketed}", intervals.maximum(first.range, second.range))
