"""Integer programs as C99, printed from the Python syntax tree of the very functions that the simulator runs.

Helper functions are printed where they are called. Primitives become the C functions of c99_template/primitives.c.txt or operators
(c99_algebra). Along with the text goes the range of every intermediate, from all parameters that this network has; what is not proved to
fit 32 bits is refused.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hardware_profiles import fixed_point
from mappers.exporters import ExportError
from mappers.exporters.c99_algebra import Algebra
from mappers.exporters.c99_values import WORD_LOWEST, Tables, Value, entries_between, number
from mappers.proofs import intervals
from mappers.proofs.intervals import Interval

OPERATORS: dict[type, str] = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply"}
COMPARISONS: dict[type, str] = {ast.Lt: "<", ast.Gt: ">", ast.LtE: "<=", ast.GtE: ">="}
PRIMITIVES = {primitive.__name__: primitive for primitive in fixed_point.PRIMITIVES}
KNOWN = ("interpolate", "mix", "absolute")  # helpers of whose result more is known than their parts tell
# Names that a variable of a program may bear and C may not.
_KEYWORDS = """auto break case char const continue default do double else enum extern float for goto if inline int long register restrict
    return short signed sizeof static struct switch typedef union unsigned void volatile while"""
KEYWORDS = frozenset(_KEYWORDS.split())
Names = dict[str, Value]


@dataclass(frozen=True)
class Split:
    """A program in two functions. first, second: their statements; made: what the first gives the second; needed: names in the second.

    first_columns, second_columns: the columns of the compartment's record that each reads.
    """

    first: list[str]
    made: list[str]
    second: list[str]
    first_columns: dict[str, Any]
    second_columns: dict[str, Any]
    needed: set[str]


class Printer:
    """The statements of one C function. place: names the function in errors. words: its operations. unproved: as in Code."""

    def __init__(self, place: str, tables: Tables, fast_tables: bool = True, unproved: list[str] | None = None) -> None:
        self.words = Algebra(place, tables, fast_tables, unproved)
        self._lines: list[tuple[str, str]] = []  # name, expression
        self._late: set[str] = set()
        self._taken: set[str] = set(KEYWORDS)
        self._scopes: list[Names] = []

    def argument(self, name: str, value: Interval, late: bool = False) -> Value:
        """A parameter of the C function: its name, reserved, and its range. late: what does not depend on it gets names of its own."""
        self._taken.add(name)
        if late:
            self._late.add(name)
        return Value(name, value, atomic=True)

    def known(self, name: str, values: Any) -> Value:
        """What is known per compartment: a number, or a column of its record."""
        values = np.asarray(values)
        self._taken.add(name)
        return number(int(values[0])) if (values == values[0]).all() else self.words.column(name, values)

    def call(self, function: Callable[..., Any], *arguments: Value) -> Value:
        """The value of a Python function of these arguments; its statements are printed."""
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        names = [argument.arg for argument in tree.args.args]
        bound = [self._bound(value, name, _uses(tree, name) > 1) for name, value in zip(names, arguments, strict=True)]
        self._scopes.append(dict(zip(names, bound)))
        result = self._body(tree, function)
        self._scopes.pop()
        if function.__name__ in KNOWN:
            tighter = _known(function.__name__, bound)
            low, high = np.maximum(result.range.low, tighter.low), np.minimum(result.range.high, tighter.high)
            result = replace(result, range=Interval(low, high))
        return result

    def finished(self, result: Value) -> tuple[list[str], dict[str, Any]]:
        """(the statements that the result needs, the columns that they read). Their tables become a part of the file."""
        statements, needed = self._needed(_identifiers(result.text))
        return [*map(_declared, statements), f"return {result.text};"], self._columns(needed)

    def split(self, result: Value) -> Split:
        """The same in two functions: what depends on late arguments comes second."""
        statements, needed = self._needed(_identifiers(result.text))
        first = [item for item in statements if item[0] not in self._late]
        second = [item for item in statements if item[0] in self._late]
        wanted = _identifiers(result.text).union(*(_identifiers(text) for _, text in second))
        columns = self._columns(needed)
        made = [name for name, _ in first if name in wanted]
        early = set().union(*(_identifiers(text) for _, text in first))
        return Split(
            [_declared(item) for item in first],
            made,
            [*map(_declared, second), f"return {result.text};"],
            {name: values for name, values in columns.items() if name in early},
            {name: values for name, values in columns.items() if name in wanted},
            wanted,
        )

    def _needed(self, needed: set[str]) -> tuple[list[tuple[str, str]], set[str]]:
        """The statements that these identifiers need, and all identifiers in them. Their tables become a part of the file."""
        statements: list[tuple[str, str]] = []
        for name, text in reversed(self._lines):
            if name in needed:
                statements.insert(0, (name, text))
                needed = needed | _identifiers(text)
        for name in self.words.tables.values:
            if name in needed:
                self.words.tables.write(name)
        return statements, needed

    def _columns(self, needed: set[str]) -> dict[str, Any]:
        return {name: values for name, values in self.words.columns.items() if name in needed}

    # --- statements ---------------------------------------------------------------------------------------------------------------------

    def _body(self, tree: ast.FunctionDef, function: Callable[..., Any]) -> Value:
        for statement in tree.body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue
            if isinstance(statement, ast.Return) and statement.value is not None:
                return self._value(statement.value, function)
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
                name = statement.targets[0].id
                self._scopes[-1][name] = self._bound(self._value(statement.value, function), name, True)
                continue
            raise self._foreign(function, f"the statement `{ast.unparse(statement)}`")
        raise self._foreign(function, "no return")

    def _bound(self, value: Value, name: str, needed: bool) -> Value:
        """The value under a name of its own, where it is not a name already and is used more than once."""
        if value.text.isidentifier() or value.constant is not None or value.table is not None or not needed:
            return value
        text, copy = name, 1
        while text in self._taken or text in self.words.columns:
            copy += 1
            text = f"{name}_{copy}"
        self._taken.add(text)
        self._lines.append((text, value.text))
        if self._is_late(value):
            self._late.add(text)
        return value.named(text)

    def _is_late(self, value: Value) -> bool:
        return bool(_identifiers(value.text) & self._late)

    def _parted(self, operands: list[Value]) -> list[Value]:
        """Operands of one operation: where one is late, early ones are bound to names, so that they can be computed before."""
        late = [self._is_late(operand) for operand in operands]
        return [self._bound(operand, "early", not is_late and any(late)) for operand, is_late in zip(operands, late)]

    # --- expressions --------------------------------------------------------------------------------------------------------------------

    def _value(self, node: ast.expr, function: Callable[..., Any]) -> Value:
        if isinstance(node, ast.Name):
            return self._name(node.id, function)
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return number(node.value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return self.words.negate(self._value(node.operand, function))
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            operation = getattr(self.words, OPERATORS[type(node.op)])
            result: Value = operation(*self._parted([self._value(side, function) for side in (node.left, node.right)]))
            return result
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
            left, right = self._parted([self._value(side, function) for side in (node.left, node.comparators[0])])
            return self.words.compare(COMPARISONS[type(node.ops[0])], left, right)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._call(node, node.func.id, function)
        raise self._foreign(function, f"`{ast.unparse(node)}`")

    def _name(self, name: str, function: Callable[..., Any]) -> Value:
        if name in self._scopes[-1]:
            return self._scopes[-1][name]
        value = function.__globals__.get(name)
        if isinstance(value, int | np.integer):
            return number(int(value))
        raise self._foreign(function, f'"{name}", a {type(value).__name__}')

    def _call(self, node: ast.Call, name: str, function: Callable[..., Any]) -> Value:
        callee = function.__globals__.get(name)
        if not inspect.isfunction(callee):
            raise self._foreign(function, f'"{name}", which is no function of ours')
        if callee is fixed_point.bit_length:
            return self._bit_length(node.args[0], function)
        arguments = [self._value(argument, function) for argument in node.args]
        if callee is PRIMITIVES.get(name):
            result: Value = getattr(self.words, name)(*self._parted(arguments))
            return result
        return self.call(callee, *arguments)

    # --- bit lengths --------------------------------------------------------------------------------------------------------------------

    def _bit_length(self, node: ast.expr, function: Callable[..., Any]) -> Value:
        """Splits into one case per length, in which the operand and what it is made of lie below a power of two."""
        operand, cases = self._operand(node, function), self.words.cases
        low, high = cases.ends(operand.range)
        if low < 0:
            raise ExportError(f"{self.words.place} must take bit lengths of what is never negative, but `{operand.text}` may be {low}")
        length = cases.split(low.bit_length(), high.bit_length())
        lowest, below = (1 << length) >> 1, (1 << length) - 1
        cases.narrowed(operand.range, lowest, below)
        if isinstance(node, ast.Name):
            self._narrow_name(node.id, lowest, below)
        self._narrow(node, below, function)
        return self.words.bit_length(operand, length)

    def _operand(self, node: ast.expr, function: Callable[..., Any]) -> Value:
        """What to take the bit length of: for a maximum of two that are not negative, their bits together."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "maximum":
            parts = [self._value(argument, function) for argument in node.args]
            if all(self.words.cases.ends(part.range)[0] >= 0 for part in parts):
                return self.words.either(*parts)
        return self._value(node, function)

    def _narrow(self, node: ast.expr, highest: Any, function: Callable[..., Any]) -> None:
        """Narrow the names in an expression whose value is at most `highest`."""
        if isinstance(node, ast.Name):
            self._narrow_name(node.id, WORD_LOWEST, highest)
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            return
        if node.func.id == "maximum":
            for argument in node.args:
                self._narrow(argument, highest, function)
        elif node.func.id == "floor_shift":
            by = self._value(node.args[1], function).constant
            if by is not None:
                self._narrow(node.args[0], ((highest + 1) << by) - 1, function)
        elif node.func.id == "absolute" and isinstance(node.args[0], ast.Name):
            self._narrow_name(node.args[0].id, -highest, highest)

    def _narrow_name(self, name: str, lowest: Any, highest: Any) -> None:
        """Narrow what bears this name here, also under the names that it has in the functions which called this one."""
        value = self._scopes[-1].get(name)
        if value is None or value.fixed or not value.text.isidentifier():
            return
        narrowed = self.words.cases.narrowed(value.range, lowest, highest)
        for scope in self._scopes:
            scope.update({known: replace(one, range=narrowed) for known, one in scope.items() if one.text == value.text})

    def _foreign(self, function: Callable[..., Any], what: str) -> ExportError:
        return ExportError(
            f"integer programs may use + - *, comparisons, whole numbers and the functions of the cells, but {function.__name__} has {what}"
        )


def _known(name: str, arguments: Sequence[Value]) -> Interval:
    """What is known of a helper's result: as in mappers.proofs.intervals."""
    if name == "interpolate" and arguments[0].table is not None:
        index = intervals.floor_shift(arguments[1].range, arguments[2].range)
        return entries_between(arguments[0].table, Interval(index.low, index.high + 1))
    numbers = [argument.constant for argument in arguments]
    known: Interval = getattr(intervals, name)(*(one.range if fixed is None else fixed for one, fixed in zip(arguments, numbers)))
    return known


def _declared(statement: tuple[str, str]) -> str:
    return f"const int32_t {statement[0]} = {statement[1]};"


def _identifiers(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))


def _uses(tree: ast.FunctionDef, name: str) -> int:
    return sum(isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load) for node in ast.walk(tree))
