"""Eight float64 numbers worked on at once, as a number type of the kernels: SIMD code that does not depend on what a compiler recognises.

Each operation becomes one instruction of LLVM's generic vectors, so that every processor runs it (AVX-512 in one register, others in two
or four). Products and sums are contracted to fused multiply-adds where the processor has them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

from event_sim.kernels import exponential
from event_sim.kernels.exponential import MAGIC
from event_sim.kernels.jit import FLAGS

if TYPE_CHECKING:  # an intrinsic is called without its typing context

    def intrinsic(function: Callable[..., Any]) -> Any: ...
else:
    from numba.extending import intrinsic

LANES = 8
LIMIT = 240.0  # powers of two are clamped to 2^-240..2^240, so that the product of two is still a float64
RECIPROCAL = 0x7FDE6238DA3C2118  # minus the bits of x: those of about 1 / x, to 5.1 % over all magnitudes
_FLOATS = ir.VectorType(ir.DoubleType(), LANES)
_INTEGERS = ir.VectorType(ir.IntType(64), LANES)


class LanesType(types.Type):  # type: ignore[misc]
    """numba's type of eight numbers."""

    def __init__(self) -> None:
        super().__init__(name="lanes")  # type: ignore[no-untyped-call]


lanes: Any = LanesType()  # type: ignore[no-untyped-call]


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)  # type: ignore[no-untyped-call]


def _arithmetic(symbol: Callable[..., Any], instruction: str) -> None:
    @infer_global(symbol)  # type: ignore[no-untyped-call]
    class _Template(ConcreteTemplate):  # type: ignore[misc]
        cases = [signature(lanes, lanes, lanes)]  # type: ignore[no-untyped-call]  # noqa: RUF012

    @lower_builtin(symbol, lanes, lanes)  # type: ignore[untyped-decorator, no-untyped-call]
    def _lower(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments, flags=("contract",))


for _symbol, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    _arithmetic(_symbol, _instruction)


def inlined(function: Callable[..., Any]) -> Any:
    """A helper that is copied into its callers: lanes stay in registers."""
    return numba.njit(forceinline=True, **FLAGS)(function)


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _spread(builder: Any, number: Any) -> Any:
    vector = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(vector, ir.Constant(_FLOATS, ir.Undefined), zeros)


def _clamped(builder: Any, numbers: Any, limit: float) -> Any:
    low, high = (_spread(builder, ir.Constant(ir.DoubleType(), end)) for end in (-limit, limit))
    above = builder.select(builder.fcmp_ordered(">", numbers, low), numbers, low)
    return builder.select(builder.fcmp_ordered("<", above, high), above, high)


def _shuffled(builder: Any, two: Any, places: Iterable[int]) -> Any:
    chosen = list(places)
    return builder.shuffle_vector(*two, ir.Constant(ir.VectorType(ir.IntType(32), len(chosen)), chosen))


@intrinsic
def load(context: Any, array: Any, index: Any) -> Any:
    """The eight numbers of a contiguous float64 array that begin at index."""

    def generate(context: Any, builder: Any, own: Any, arguments: Any) -> Any:
        address = _address(context, builder, own.args[0], *arguments)
        return builder.load(builder.bitcast(address, _FLOATS.as_pointer()), align=8)

    return lanes(array, types.intp), generate


@intrinsic
def store(context: Any, array: Any, index: Any, numbers: Any) -> Any:
    """Write eight numbers into a contiguous float64 array from index on."""

    def generate(context: Any, builder: Any, own: Any, arguments: Any) -> Any:
        address = _address(context, builder, own.args[0], arguments[0], arguments[1])
        builder.store(arguments[2], builder.bitcast(address, _FLOATS.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@intrinsic
def gather(context: Any, array: Any, shift: Any, places: Any, index: Any) -> Any:
    """array[shift + places[index + lane]] in each lane; places are int32."""

    def generate(context: Any, builder: Any, own: Any, arguments: Any) -> Any:
        kind = ir.VectorType(ir.IntType(32), LANES)
        address = _address(context, builder, own.args[2], arguments[2], arguments[3])
        where = builder.load(builder.bitcast(address, kind.as_pointer()), align=4)
        start = _address(context, builder, own.args[0], arguments[0], arguments[1])
        result = ir.Constant(_FLOATS, ir.Undefined)
        for lane in range(LANES):
            number = ir.Constant(ir.IntType(32), lane)
            place = builder.sext(builder.extract_element(where, number), ir.IntType(64))
            result = builder.insert_element(result, builder.load(builder.gep(start, [place])), number)
        return result

    return lanes(array, types.intp, places, types.intp), generate


@intrinsic
def broadcast(context: Any, number: Any) -> Any:
    """The same number in every lane."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return _spread(builder, arguments[0])

    return lanes(types.float64), generate


@intrinsic
def clamp(context: Any, numbers: Any) -> Any:
    """Each number, or the nearest in -LIMIT..LIMIT."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return _clamped(builder, arguments[0], LIMIT)

    return lanes(lanes), generate


@intrinsic
def scale(context: Any, numbers: Any, shifted: Any) -> Any:
    """numbers * 2^n for positive normal numbers, where shifted = n + MAGIC: n is added to the exponents."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        bits, n = (builder.bitcast(argument, _INTEGERS) for argument in arguments)
        raised = builder.add(bits, builder.shl(n, ir.Constant(_INTEGERS, [52] * LANES)))
        return builder.bitcast(raised, _FLOATS)

    return lanes(lanes, lanes), generate


@intrinsic
def apart(context: Any, numbers: Any, others: Any, least: Any) -> Any:
    """1.0 where numbers differ from the others, and by at least so much; 0.0 elsewhere."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        difference = builder.bitcast(builder.fsub(arguments[0], arguments[1]), _INTEGERS)
        size = builder.bitcast(builder.and_(difference, ir.Constant(_INTEGERS, [(1 << 63) - 1] * LANES)), _FLOATS)  # without its sign
        far = builder.fcmp_ordered(">=", size, arguments[2])
        moved = builder.and_(builder.fcmp_ordered("!=", arguments[0], arguments[1]), far)
        return builder.uitofp(moved, _FLOATS)

    return lanes(lanes, lanes, lanes), generate


@intrinsic
def bits(context: Any, numbers: Any) -> Any:
    """An integer with a bit for each lane, the first one lowest: whether its number is positive."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        positive = builder.fcmp_ordered(">", arguments[0], _spread(builder, ir.Constant(ir.DoubleType(), 0.0)))
        return builder.zext(builder.bitcast(positive, ir.IntType(LANES)), ir.IntType(64))

    return types.int64(lanes), generate


@intrinsic
def lowest(context: Any, mask: Any) -> Any:
    """The number of the lowest bit that is set in an integer that is not 0."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


@intrinsic
def evens(context: Any, first: Any, second: Any) -> Any:
    """Of sixteen numbers, every other one from the first on."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return _shuffled(builder, arguments, range(0, 2 * LANES, 2))

    return lanes(lanes, lanes), generate


@intrinsic
def odds(context: Any, first: Any, second: Any) -> Any:
    """Of sixteen numbers, every other one from the second on."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return _shuffled(builder, arguments, range(1, 2 * LANES, 2))

    return lanes(lanes, lanes), generate


@intrinsic
def add_pairs(context: Any, pairs: Any, targets: Any, index: Any, first: Any, second: Any) -> Any:
    """Add (first, second) of each lane in turn to pairs[2 t], pairs[2 t + 1], where t = targets[index + lane] (int64)."""

    def generate(context: Any, builder: Any, own: Any, arguments: Any) -> Any:
        pair, width = ir.VectorType(ir.DoubleType(), 2), ir.IntType(32)
        start = builder.bitcast(_address(context, builder, own.args[0], arguments[0], arguments[2].type(0)), pair.as_pointer())
        where = _address(context, builder, own.args[1], arguments[1], arguments[2])
        for lane in range(LANES):
            place = builder.gep(start, [builder.load(builder.gep(where, [ir.Constant(width, lane)]))])
            change = _shuffled(builder, arguments[3:], (lane, LANES + lane))
            builder.store(builder.fadd(builder.load(place, align=8), change), place, align=8)
        return context.get_dummy_value()

    return types.void(pairs, targets, types.intp, lanes, lanes), generate


@intrinsic
def product(context: Any, numbers: Any, others: Any) -> Any:
    """numbers * others, rounded: never part of a fused multiply-add."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments)

    return lanes(lanes, lanes), generate


@intrinsic
def one_and_exp(context: Any, numbers: Any) -> Any:
    """1 + e^x, where x stands for the nearest number of -LIMIT..LIMIT: kernels.exponential to the last bit."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        def all_of(number: float) -> Any:
            return ir.Constant(_FLOATS, [number] * LANES)

        def sum_of(product: Any, number: Any) -> Any:
            return builder.fadd(builder.fmul(*product, flags=("contract",)), number, flags=("contract",))

        x = _clamped(builder, arguments[0], exponential.LIMIT)
        shifted = sum_of((x, all_of(exponential.PER_LN2)), all_of(MAGIC))
        n = builder.fsub(shifted, all_of(MAGIC))
        r = sum_of((n, all_of(-exponential.LN2)), x)
        r = sum_of((n, all_of(-exponential.LN2_REST)), r)
        square, terms = builder.fmul(r, r), [all_of(coefficient) for coefficient in exponential.TAYLOR]
        even, odd = terms[-2], terms[-1]
        for index in range(len(terms) - 4, -1, -2):
            even, odd = sum_of((even, square), terms[index]), sum_of((odd, square), terms[index + 1])
        raised = builder.add(builder.bitcast(shifted, _INTEGERS), ir.Constant(_INTEGERS, [1023] * LANES))
        power = builder.bitcast(builder.shl(raised, ir.Constant(_INTEGERS, [52] * LANES)), _FLOATS)
        result = builder.fmul(sum_of((odd, r), even), power)
        return builder.fadd(all_of(1.0), result)

    return lanes(lanes), generate


@intrinsic
def near_reciprocal(context: Any, numbers: Any) -> Any:
    """1 / x to 5.1 % for positive normal numbers with a normal reciprocal."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        known = builder.bitcast(arguments[0], _INTEGERS)
        return builder.bitcast(builder.sub(ir.Constant(_INTEGERS, [RECIPROCAL] * LANES), known), _FLOATS)

    return lanes(lanes), generate


@inlined
def reciprocal(x: Any) -> Any:
    """1 / x for positive normal numbers with a normal reciprocal, to a relative error of 6e-16, in four fifths of the time of a division.

    Three steps of Newton's, the first of third order, take the error from 5.1e-2 to 1.3e-4, 1.8e-8 and 3e-16.
    """
    one, y = broadcast(1.0), near_reciprocal(x)  # type: ignore[call-arg]
    error = one - x * y
    y = y + y * (error + error * error)
    y = y + y * (one - x * y)
    return y + y * (one - x * y)


@intrinsic
def where_positive(context: Any, test: Any, numbers: Any, otherwise: Any) -> Any:
    """`numbers` where the test is positive, `otherwise` where it is not."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        positive = builder.fcmp_ordered(">", arguments[0], _spread(builder, ir.Constant(ir.DoubleType(), 0.0)))
        return builder.select(positive, arguments[1], arguments[2])

    return lanes(lanes, lanes, lanes), generate


@inlined
def divide_positive(numerator: Any, denominator: Any, otherwise: Any) -> Any:
    """numerator / denominator where the denominator is positive, `otherwise` where it is not."""
    return where_positive(denominator, numerator / denominator, otherwise)


@inlined
def power_of_two(exponent: Any) -> Any:
    """2^x per lane, x clamped to -LIMIT..LIMIT, to a relative error below 3e-14.

    2^x = 2^n 2^f with the integer n nearest to x; 2^f by the polynomial of degree 9 with the least relative error (1.4e-14) on -1/2..1/2.
    """
    exponent = clamp(exponent)
    magic = broadcast(MAGIC)
    shifted = exponent + magic
    f = exponent - (shifted - magic)
    square = f * f
    odd = broadcast(1.0150336495148618e-07)
    odd = odd * square + broadcast(1.5252984839814557e-05)
    odd = odd * square + broadcast(0.0013333557617602426)
    odd = odd * square + broadcast(0.055504108668685624)
    odd = odd * square + broadcast(0.693147180559871)
    even = broadcast(1.3259405603573696e-06)
    even = even * square + broadcast(0.00015403434948103528)
    even = even * square + broadcast(0.009618129192067193)
    even = even * square + broadcast(0.24022650695649653)
    even = even * square + broadcast(1.0000000000000127)
    return scale(odd * f + even, shifted)
