"""Programs on intervals: every result lies inside, and what a gate or a table can send is known exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import toy_chips

import liquid_neuro.cells
from hardware_profiles import fixed_point
from liquid_neuro.cells import integer
from mappers.proofs import intervals
from mappers.proofs.intervals import Interval, message_ranges, sum_range


def primitives_used(value: Any, other: Any, amount: Any, table: Any, p: Any) -> dict[str, Any]:
    """Each primitive and operator, under a namespace of primitives."""
    index = p.clip(p.floor_shift(value, 3) + 8, 0, 15)
    return {
        "sum": value + other - 3,
        "product": value * other,
        "round_shift": p.round_shift(value, amount),
        "floor_shift": p.floor_shift(value, amount),
        "left_shift": p.left_shift(value, amount),
        "select": p.select(value < other, value, -other),
        "select_ge": p.select(value >= other, value + 1, 7),
        "minimum": p.minimum(value, other),
        "maximum": p.maximum(value, other),
        "saturate": p.saturate(value, 6),
        "bit_length": p.bit_length(p.maximum(value, 0)),
        "look_up": p.look_up(table, index),
    }


def test_every_result_lies_in_the_interval():
    random = np.random.default_rng(0)
    table = random.integers(-100, 100, 16)
    low, other_low, amount_low = random.integers(-60, 60, 300), random.integers(-60, 60, 300), random.integers(0, 4, 300)
    high, other_high, amount_high = (start + random.integers(0, 6, 300) for start in (low, other_low, amount_low))
    bounds = primitives_used(Interval(low, high), Interval(other_low, other_high), Interval(amount_low, amount_high), table, intervals)
    for _ in range(200):
        values = (random.integers(a, b + 1) for a, b in ((low, high), (other_low, other_high), (amount_low, amount_high)))
        for name, result in primitives_used(*values, table, fixed_point).items():
            assert (bounds[name].low <= result).all(), name
            assert (result <= bounds[name].high).all(), name


def test_an_interval_of_one_number_gives_one_number():
    random = np.random.default_rng(1)
    table = random.integers(-100, 100, 16)
    values = random.integers(-60, 60, 300), random.integers(-60, 60, 300), random.integers(0, 4, 300)
    exact = primitives_used(*values, table, fixed_point)
    for name, bound in primitives_used(*(intervals.interval(value) for value in values), table, intervals).items():
        assert (bound.low == exact[name]).all(), name
        assert (bound.high == exact[name]).all(), name


def test_interpolation_stays_between_the_entries():
    table = np.array([0, 10, 4, 20])
    bound = intervals.interpolate(table, Interval(np.array([0, 4]), np.array([3, 11])), 2)
    assert (bound.low.tolist(), bound.high.tolist()) == ([0, 4], [10, 20])
    values = [integer.interpolate(table, position, 2) for position in range(4, 12)]
    assert (min(values), max(values)) == (4, 16)


def test_a_mixture_lies_between_its_ends():
    start, goal = Interval(np.array([-5, -5]), np.array([5, 5])), Interval(np.array([-9, -9]), np.array([3, 3]))
    share = Interval(np.array([0, 0]), np.array([16, 17]))
    bound = intervals.mix(start, goal, share, 4)
    assert (bound.low[0], bound.high[0]) == (-9, 5)
    assert bound.low[1] < -9
    assert bound.high[1] > 5
    results = {integer.mix(a, b, c, 4) for a in range(-5, 6) for b in range(-9, 4) for c in range(17)}
    assert (min(results), max(results)) == (-9, 5)


def test_a_gate_cannot_leave_its_table():
    # The state word holds -2048 .. 2047; the table, and so the message, ends at 1024.
    size = 3
    table = integer.sigmoid_table(10)
    gates = toy_chips.population(
        "gate",
        "ltc.gate",
        size,
        parameters={"gain": np.full(size, 400), "gain_shift": np.full(size, 8), "offset": np.array([0, 40_000, -40_000])},
        tables={"sigmoid": table},
        state=toy_chips.QFormat(12, 10),
    )
    source = toy_chips.population("input", "", size, state=toy_chips.QFormat(16, 10))
    wire = toy_chips.projection("input", "gate", "value", np.eye(size), "excitatory")
    quantized = toy_chips.network((source, gates), (wire,), 1, 1, "gate")
    low, high = message_ranges(quantized)["gate"]
    assert low.tolist() == [0, 0, 0]
    # 2**15 * 400 / 2**8 = 51,200 steps of 2**-12: beyond both ends of the table, and from -40,000 still up to +11,200 (2.7): 0.94.
    assert high.tolist() == [1024, 1024, integer.sigmoid_table(10)[(11_200 + 32_768) // 256 + 1]]


def test_sums_bound_every_run(monkeypatch):
    monkeypatch.setattr(liquid_neuro.cells, "PROGRAMS", toy_chips.PROGRAMS)
    quantized = toy_chips.loop()
    ranges = message_ranges(quantized)
    x = np.random.default_rng(2).integers(-2048, 2048, (50, 3))
    trace = toy_chips.execute(quantized, x, 201)
    for projection in quantized.projections:
        sent = {name: deltas.cumsum(axis=0) for name, (_, deltas) in trace.items()}
        low, high = ranges[projection.source_population]
        assert (sent[projection.source_population] >= low).all()
        assert (sent[projection.source_population] <= high).all()
        low, high = sum_range(quantized, ranges, projection.target_population, projection.port)
        assert (low <= 0).all()
        assert (high >= 0).all()


@pytest.mark.parametrize("value", [-9, 0, 9])
def test_the_magnitude_of_a_number(value):
    bound = intervals.absolute(intervals.interval(value))
    assert (int(bound.low), int(bound.high)) == (abs(value), abs(value))


def test_the_magnitude_of_an_interval_around_0():
    bound = intervals.absolute(Interval(np.array(-3), np.array(2)))
    assert (int(bound.low), int(bound.high)) == (0, 3)
