"""The only rounding in the repository, and the look-up tables, in every interpreter that the core has."""

from __future__ import annotations

import math

import numpy as np
import pytest

from event_sim.kernels.jit import recompiled
from hardware_profiles import fixed_point
from hardware_profiles.fixed_point import (
    QFormat,
    bit_length,
    clip,
    floor_shift,
    left_shift,
    maximum,
    minimum,
    round_shift,
    saturate,
    select,
)
from liquid_neuro.cells.integer import curve, interpolate, odd_table, ratio_at_least, sigmoid_table
from liquid_neuro.cells.interpret import with_primitives


def test_a12_round_shift_is_half_up_for_negative_numbers():
    pairs = [(-832, 7), (832, 7), (-1, 1), (-3, 1), (-64, 7), (26520, 7)]
    assert [floor_shift(value, amount) for value, amount in pairs] == [-7, 6, -1, -2, -1, 207]
    assert [round_shift(value, amount) for value, amount in pairs] == [-6, 7, 0, -1, 0, 207]
    compiled = recompiled(round_shift)
    assert [compiled(value, amount) for value, amount in pairs] == [-6, 7, 0, -1, 0, 207]
    values, amounts = (np.array(column) for column in zip(*pairs))
    assert round_shift(values, amounts).tolist() == [-6, 7, 0, -1, 0, 207]


def test_a12_interpreters_agree_on_random_shifts():
    generator = np.random.default_rng(0)
    values, amounts = generator.integers(-(2**40), 2**40, 1_000_000), generator.integers(0, 32, 1_000_000)
    rounded = round_shift(values, amounts)
    assert np.array_equal(rounded, np.floor(values / 2.0**amounts + 0.5).astype(np.int64))  # exact: 40-bit numbers in doubles
    assert [round_shift(int(value), int(amount)) for value, amount in zip(values[:2000], amounts[:2000])] == rounded[:2000].tolist()
    compiled = recompiled(round_shift)
    assert [compiled(value, amount) for value, amount in zip(values[:2000], amounts[:2000])] == rounded[:2000].tolist()


def test_a11_saturate_never_wraps():
    assert saturate(8388607 + 100, 24) == 8388607
    assert saturate(-8388608 - 5, 24) == -8388608
    assert saturate(np.array([8388707, -8388613, 5]), 24).tolist() == [8388607, -8388608, 5]
    compiled = recompiled(saturate)
    assert [compiled(value, 24) for value in (8388707, -8388613, 5)] == [8388607, -8388608, 5]


@pytest.mark.parametrize("function", [minimum, maximum])
def test_minimum_and_maximum(function):
    pairs = [(3, -5), (-5, 3), (0, 0), (-2, -7), (2**40, -(2**40))]
    expected = [{"minimum": min, "maximum": max}[function.__name__](pair) for pair in pairs]
    assert [function(*pair) for pair in pairs] == expected
    assert function(*(np.array(column) for column in zip(*pairs))).tolist() == expected
    compiled = recompiled(function)
    assert [compiled(*pair) for pair in pairs] == expected


def test_select_clip_and_shifts():
    assert [select(condition, 3, -9) for condition in (True, False)] == [3, -9]
    assert clip(np.array([-9, 0, 9]), -4, 5).tolist() == [-4, 0, 5]
    assert left_shift(-3, 4) == -48
    assert floor_shift(np.array([-1, 1]), 1).tolist() == [-1, 0]


def test_bit_length_counts_like_python():
    values = np.unique(np.concatenate([2 ** np.arange(32), 2 ** np.arange(32) - 1, np.random.default_rng(1).integers(0, 2**32, 1000)]))
    expected = [int(value).bit_length() for value in values]
    assert [bit_length(int(value)) for value in values] == expected
    assert bit_length(values).tolist() == expected
    compiled = recompiled(bit_length)
    assert [compiled(value) for value in values] == expected
    assert [math.frexp(value)[1] for value in values.tolist()] == expected  # what the chip kernel uses instead


def test_every_primitive_is_listed():
    names = {function.__name__ for function in fixed_point.PRIMITIVES}
    assert names == {
        "floor_shift", "round_shift", "left_shift", "select", "minimum", "maximum", "clip", "saturate", "bit_length", "look_up",
    }  # fmt: skip


def test_qformat_rounds_half_up_and_saturates():
    quarter = QFormat(4, 2)
    assert quarter.quantize([-3, -2, -0.13, -0.125, 0.1, 0.125, 1.75, 2.5]).tolist() == [-8, -8, -1, 0, 0, 1, 7, 7]
    assert quarter.to_real([-8, 7]).tolist() == [-2.0, 1.75]
    assert (QFormat(4, 2, signed=False).lowest, QFormat(4, 2, signed=False).highest) == (0, 15)
    assert str(QFormat(16, 14)) == "s16.14"
    with pytest.raises(ValueError, match="NaN"):
        quarter.quantize([0.0, np.nan])
    for bits in (0, 64):
        with pytest.raises(ValueError, match=f"1 to 63, but is {bits}"):
            QFormat(bits, 0)


# --- tables -----------------------------------------------------------------------------------------------------------------------------


def test_a33_tables_are_symmetric_and_right_on_both_sides():
    arguments = np.arange(-32768, 32769)
    tanh, sigmoid = odd_table(np.tanh, 8.0, 9, 14), sigmoid_table(14, 9)
    odd = curve(tanh, arguments, 32768, 7)
    gate = curve(sigmoid, arguments, 32768, 7)
    assert np.abs(odd + odd[::-1]).max() <= 1
    assert np.abs(gate + gate[::-1] - (1 << 14)).max() <= 1
    # Straight lines between knots 1/32 apart: h² / 8 max|f''| = 9.4e-5 for tanh, 1.2e-5 for the sigmoid, and roundings of 2**-14 each.
    real = arguments / 4096
    assert np.abs(odd / 2**14 - np.tanh(real)).max() < 1.6e-4
    assert np.abs(gate / 2**14 - 1 / (1 + np.exp(-real))).max() < 4.2e-4  # the end at 8 is 1 - 3.4e-4 and stays there
    for x, value in ((-4, -0.999329300), (-1, -0.761594156), (-0.25, -0.244918662), (0.25, 0.244918662), (1, 0.761594156)):
        assert abs(curve(tanh, int(x * 4096), 32768, 7) / 2**14 - value) < 1.6e-4
    for x, value in ((-1, 0.268941421), (1, 0.731058579)):
        assert abs(curve(sigmoid, x * 4096, 32768, 7) / 2**14 - value) < 1e-4


def test_gate_table_with_ten_bits():
    arguments = np.arange(-40000, 40001)
    gate = curve(sigmoid_table(10), arguments, 32768, 8)
    assert gate.min() == 0
    assert gate.max() == 1 << 10
    assert (np.diff(gate) >= 0).all()
    assert np.abs(gate / 2**10 - 1 / (1 + np.exp(-arguments / 4096))).max() < 1.1e-3  # half a step for the knots, half for the line


def test_interpolate_in_all_interpreters():
    table = np.array([0, 5, -7, 100, 101], dtype=np.int64)
    positions = np.arange(4 << 6)
    expected = np.floor(np.interp(positions / 64, np.arange(5), table) + 0.5 + 1e-9).astype(np.int64)
    assert np.array_equal(interpolate(table, positions, 6), expected)
    assert [interpolate(table.tolist(), int(position), 6) for position in positions] == expected.tolist()
    compiled = recompiled(interpolate)
    assert [compiled(table, position, 6) for position in positions] == expected.tolist()


def test_ratio_is_the_smallest_from_above():
    for value in (1.0, 1.18, 0.5, 0.0123, 3.99, 100.0, 255.0, 2.0**-10):
        multiplier, shift = ratio_at_least(value)
        assert multiplier / 2**shift >= value
        assert (multiplier - 1) / 2**shift < value
        assert 128 <= multiplier <= 255 or shift == 0


def test_with_primitives_reaches_helpers():
    calls = []

    def counted(value, amount):
        calls.append(amount)
        return round_shift(value, amount)

    copy = with_primitives(curve, {"round_shift": counted})
    table = np.arange(257)
    assert copy(table, 1000, 32768, 8) == curve(table, 1000, 32768, 8)
    assert calls == [8]
    with pytest.raises(TypeError, match="plain Python function"):
        with_primitives(np.add, {})
