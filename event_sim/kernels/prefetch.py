"""Asking the processor for memory before it is needed."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from event_sim.kernels.jit import bare

LINE = 64
AHEAD = 16  # synapses before its turn, at which a target is asked for
NEAR = 4096  # neurons that lie in the cache anyway


@intrinsic
def prefetch(context: Any, array: Any, index: Any, offset: Any) -> Any:
    """Begin to load the cache line that lies `offset` bytes into array[index], for writing. The index must be one of the array."""

    def generate(context: Any, builder: Any, own: Any, arguments: Any) -> Any:
        data = context.make_array(own.args[0])(context, builder, arguments[0]).data
        address = builder.gep(builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer()), [arguments[2]])
        kind, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = builder.module.declare_intrinsic("llvm.prefetch", [kind], ir.FunctionType(ir.VoidType(), [kind, word, word, word]))
        builder.call(function, [address, *(ir.Constant(word, number) for number in (1, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate


@bare
def ask_for(records: Any, index: int) -> None:
    """Begin to load a record of two cache lines."""
    prefetch(records, index, 0)  # type: ignore[call-arg]
    prefetch(records, index, LINE)  # type: ignore[call-arg]
