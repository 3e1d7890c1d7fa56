"""The neurons' integer programs as functions in the machine's code: each is compiled once and called by its address.

So the chip's loop need not know them: it is compiled once for all networks, and a network costs the programs that are new. One call runs
a program over ranges of neighbouring compartments, whose words, accumulators and parameters lie side by side, so that the compiler can
take several compartments at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba.types
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic

from event_sim.kernels.jit import called_by_address, recompiled
from liquid_neuro.cells import PROGRAMS
from liquid_neuro.cells.interpret import with_primitives

Array = Any  # of NumPy, int64

_POINTERS, _NUMBERS = 7, 6  # of `_compute`
types: Any = numba.types
_SIGNATURE = types.void(*[types.CPointer(types.int64)] * _POINTERS, *[types.int64] * _NUMBERS)


def _call_program(typing_context: Any, address: Any, pointers: Any, numbers: Any) -> Any:
    """Calls the program at `address` with addresses of seven arrays and six numbers (the arguments of `_compute`)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, none = ir.IntType(64), ir.VoidType()
        place = word.as_pointer()
        function = ir.FunctionType(none, [place] * _POINTERS + [word] * _NUMBERS)
        values = [builder.inttoptr(builder.extract_value(arguments[1], n), place) for n in range(_POINTERS)]
        values += [builder.extract_value(arguments[2], n) for n in range(_NUMBERS)]
        builder.call(builder.inttoptr(arguments[0], function.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(types.int64, types.UniTuple(types.int64, _POINTERS), types.UniTuple(types.int64, _NUMBERS)), generate


def _apart(typing_context: Any) -> Any:
    """Tells the compiler that the arrays whose addresses this function was given do not overlap: only then does it work side by side."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        for argument in context.call_conv.get_arguments(builder.function):
            if isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return types.void(), generate


def _length(typing_context: Any, value: Any) -> Any:
    """`bit_length` by the processor's count of leading zeros."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, bit = ir.IntType(64), ir.IntType(1)
        zeros = builder.module.declare_intrinsic("llvm.ctlz", [word], ir.FunctionType(word, [word, bit]))
        return builder.sub(ir.Constant(word, 64), builder.call(zeros, [arguments[0], ir.Constant(bit, 0)]))

    return types.int64(types.int64), generate


call_program: Any = intrinsic(_call_program)
apart: Any = intrinsic(_apart)
bit_length_of_word: Any = intrinsic(_length)


def _bit_length(value: int) -> Any:
    """`bit_length` of a non-negative integer."""
    return bit_length_of_word(value)


def _evaluate(state: int, total: Array, x: int, parameters: Array, y: int, size: int, tables: Any) -> int:
    """Stands for a program: the new word, unsaturated, of a compartment with accumulators x, x + 1, … and parameters y, y + size, …"""
    return state


def _cut(entries: Array, bounds: Array, edge: int) -> Any:
    """Stands for the tables of a program, whose bounds begin at `edge`: each as all entries and where its own begin."""
    return (entries,)


def _look_up(table: Any, index: int) -> Any:
    """`look_up` in such a table."""
    return table[0][table[1] + index]


_ports = 0  # stands for how many accumulators a compartment has


def _compute(
    ranges: Any,
    state: Any,
    total: Any,
    parameters: Any,
    entries: Any,
    bounds: Any,
    fresh: Any,
    count: int,
    first: int,
    size: int,
    place: int,
    row: int,
    edge: int,
) -> None:
    """The new words, unsaturated, of the compartments of `count` ranges (first compartment, how many), one behind the other into `fresh`.

    first, size: the population's first compartment and how many it has. place, row: where its accumulators and its parameters begin;
    accumulators lie compartment by compartment, parameters one after the other, each for all compartments. edge: where the bounds of its
    tables begin. Arrays (int64) come as pointers, at which an index is not looked at: no index is negative.
    """
    apart()
    tables = _cut(entries, bounds, edge)
    done = 0
    for r in range(count):
        begin, many = ranges[2 * r], ranges[2 * r + 1]
        x, y = place + (begin - first) * _ports, row + begin - first
        for k in range(many):
            fresh[done + k] = _evaluate(state[begin + k], total, x + k * _ports, parameters, y + k, size, tables)
        done += many


def _written(source: str, **names: Any) -> Callable[..., Any]:
    """The function of a lambda's source that finds these names."""
    result: Callable[..., Any] = eval(source, dict(names))
    return result


@cache
def compiled_program(name: str) -> Any:
    """The compiled `_compute` for the program of that name; its address is `.address`.

    How many ports, parameters and tables a program takes stands in its entry in PROGRAMS.
    """
    program = PROGRAMS[name]
    ports = [f"total[x + {n}]" for n in range(len(program.ports))]
    parameters = [f"parameters[y + {n} * size]" for n in range(len(program.parameters))]
    tables = [f"tables[{n}]" for n in range(len(program.tables))]
    arguments = f"program({', '.join(['state', *ports, *parameters, *tables])})"
    pieces = ", ".join(f"(entries, bounds[edge + {n}])" for n in range(len(program.tables))) or "entries"
    cell = recompiled(with_primitives(program.function, {"bit_length": _bit_length, "look_up": _look_up}), True)
    evaluate = recompiled(_written(f"lambda state, total, x, parameters, y, size, tables: {arguments}", program=cell), True)
    cut = recompiled(_written(f"lambda entries, bounds, edge: ({pieces},)"), True)
    return called_by_address(_compute, _SIGNATURE, f"chip.{name}", _evaluate=evaluate, _cut=cut, _ports=len(program.ports))
