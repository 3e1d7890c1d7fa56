"""The neurons' integer programs as functions in the machine's code: each is compiled once and called by its address.

So the chip's loop need not know them: it is compiled once for all networks, and a network costs the programs that are new.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numba.types
from numba.extending import intrinsic

from event_sim.kernels.jit import called_by_address, recompiled
from liquid_neuro.cells import PROGRAMS
from liquid_neuro.cells.interpret import with_primitives

Array = Any  # of NumPy, int64

_POINTERS, _NUMBERS = 8, 5  # of `_compute`
types: Any = numba.types
_WORDS, _PLACES = types.CPointer(types.int64), types.CPointer(types.uint32)
_SIGNATURE = types.void(_PLACES, *[_WORDS] * (_POINTERS - 1), *[types.int64] * _NUMBERS)


def _call_program(typing_context: Any, address: Any, pointers: Any, numbers: Any) -> Any:
    """Calls the program at `address` with addresses of eight arrays and five numbers (the arguments of `_compute`)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir  # type: ignore[import-untyped]

        word, none = ir.IntType(64), ir.VoidType()
        place = word.as_pointer()
        function = ir.FunctionType(none, [place] * _POINTERS + [word] * _NUMBERS)
        values = [builder.inttoptr(builder.extract_value(arguments[1], n), place) for n in range(_POINTERS)]
        values += [builder.extract_value(arguments[2], n) for n in range(_NUMBERS)]
        builder.call(builder.inttoptr(arguments[0], function.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(types.int64, types.UniTuple(types.int64, _POINTERS), types.UniTuple(types.int64, _NUMBERS)), generate


call_program: Any = intrinsic(_call_program)


def _bit_length(value: int) -> Any:
    """`bit_length` by the processor's floating point, which holds such integers exactly."""
    return math.frexp(value)[1]


def _evaluate(state: int, total: Array, x: int, parameters: Array, y: int, tables: Any) -> int:
    """Stands for a program: the new word, unsaturated, of a compartment whose accumulators begin at x and whose parameters at y."""
    return state


def _cut(entries: Array, bounds: Array, edge: int) -> Any:
    """Stands for the tables of a program, whose bounds begin at `edge`: each as all entries and where its own begin."""
    return (entries,)


def _look_up(table: Any, index: int) -> Any:
    """`look_up` in such a table."""
    return table[0][table[1] + index]


def _compute(
    queue: Any,
    state: Any,
    total: Any,
    place: Any,
    parameters: Any,
    entries: Any,
    bounds: Any,
    fresh: Any,
    first: int,
    count: int,
    row: int,
    width: int,
    edge: int,
) -> None:
    """The new words of `count` queued compartments, unsaturated, into `fresh`.

    first: the population's first compartment, and where its queue begins. row, width: where its parameters begin, and how many a
    compartment has. edge: where the bounds of its tables begin. All but `queue` (uint32) hold int64; they come as pointers, at which an
    index is not looked at: no index is negative.
    """
    tables = _cut(entries, bounds, edge)
    for q in range(count):
        i = queue[first + q]
        fresh[q] = _evaluate(state[i], total, place[i], parameters, row + (i - first) * width, tables)


def _written(source: str, **names: Any) -> Callable[..., Any]:
    """The function of a lambda's source that finds these names."""
    result: Callable[..., Any] = eval(source, dict(names))
    return result


@cache
def compiled_program(name: str) -> Any:
    """The compiled `_compute` for the program of that name ("" is the host's, whose words are set and stay); its address is `.address`.

    How many ports, parameters and tables a program takes stands in its entry in PROGRAMS.
    """
    arguments, pieces, cell = "state", "entries", None
    if name:
        program = PROGRAMS[name]
        ports = [f"total[x + {n}]" for n in range(len(program.ports))]
        parameters = [f"parameters[y + {n}]" for n in range(len(program.parameters))]
        tables = [f"tables[{n}]" for n in range(len(program.tables))]
        arguments = f"program({', '.join(['state', *ports, *parameters, *tables])})"
        pieces = ", ".join(f"(entries, bounds[edge + {n}])" for n in range(len(program.tables))) or pieces
        cell = recompiled(with_primitives(program.function, {"bit_length": _bit_length, "look_up": _look_up}))
    evaluate = recompiled(_written(f"lambda state, total, x, parameters, y, tables: {arguments}", program=cell))
    cut = recompiled(_written(f"lambda entries, bounds, edge: ({pieces},)"))
    return called_by_address(_compute, _SIGNATURE, f"chip.{name}", _evaluate=evaluate, _cut=cut)
