"""What the integer programs and tables compute, written down: any change of their meaning must be meant. Chips are delivered with it."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import pytest

from hardware_profiles import fixed_point
from liquid_neuro.cells import PROGRAMS, cfc_heads, cfc_integer, integer, ltc_integer

TABLES = {
    "sigmoid": lambda: integer.sigmoid_table(10),
    "reciprocal": ltc_integer.reciprocal_table,
    "tanh": lambda: integer.odd_table(np.tanh, 8.0, cfc_integer.INDEX_BITS, cfc_integer.VALUE_FRACTION),
    "decay": lambda: integer.odd_table(lambda u: u * np.exp(-np.abs(u)), 8.0, cfc_integer.INDEX_BITS, 14),
    "activation": lambda: integer.sampled_curve(lambda u: np.maximum(u, 0), 8.0, cfc_integer.INDEX_BITS, 12),
}
SMALL = {"fraction": 15, "guard": 8, "base": 100, "ff1": 15, "ff2": 15, "time_a": 15, "time_b": 15, "ratio": 255, "highest": 15}
POSITIVE = {"conductance", "capacitance", "leak", "ratio", "timespan", "activation_step", "reciprocal", "highest", "time"}
WRITTEN = {
    "ltc.gate": "8714d96d4c79efd4",
    "ltc.neuron": "5681992e62aa4f56",
    "cfc.unit": "a80a8527eac0ff42",
    "cfc.unit_no_gate": "77ecbf3d6d30980c",
    "cfc.unit_pure": "4d059fea59ad8b80",
    "cfc.backbone": "4a3916fed9153ba1",
    "cfc_heads.encode": "ac049f378fccbbc4",
    "cfc_heads.head": "69ceca997545e3b4",
    "cfc_heads.host": "2812325329149acb",
    "cfc_heads.host_no_gate": "768bd3425cec772b",
    "cfc_heads.project": "316e3a732d0e9ede",
}
WRITTEN_TABLES = {
    "sigmoid": "1f52212dcce2b184",
    "reciprocal": "17529976bedc759c",
    "tanh": "7a4d780287e9a1f9",
    "decay": "ccc6fde9f77764ba",
    "activation": "741839c551e4da65",
}
WRITTEN_LENGTHS = [max(value, 0).bit_length() for value in range(-3, 300)]


def digest(values: Any) -> str:
    return hashlib.sha256(",".join(str(int(value)) for value in values).encode()).hexdigest()[:16]


def drawn(generator: random.Random, name: str) -> int:
    """An input of the size that its name speaks of; numbers of every bit length, 0 among them."""
    if "shift" in name:
        return generator.randrange(0, 16)
    if name in SMALL:
        return generator.randrange(0, SMALL[name] + 1)
    size = 1 << generator.randrange(0, 24)
    return generator.randrange(0 if name in POSITIVE else -size, size)


def results(name: str) -> list[int]:
    program, generator = PROGRAMS[name], random.Random(0)
    tables = [
        TABLES[table]().tolist()
        if table in TABLES and not name.startswith("cfc_heads")
        else [generator.randrange(-(1 << 14), 1 << 14) for _ in range(512)]
        for table in program.tables
    ]
    if name.startswith("cfc.unit") and "sigmoid" in program.tables:
        tables[1] = integer.sigmoid_table(cfc_integer.VALUE_FRACTION, cfc_integer.INDEX_BITS).tolist()
    inputs = ("state", *program.ports, *program.parameters)
    return [program.function(*(drawn(generator, item) for item in inputs), *tables) for _ in range(3000)]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_program_computes_what_is_written_down(name):
    assert digest(results(name)) == WRITTEN[name]


def test_every_program_is_written_down():
    assert set(WRITTEN) == set(PROGRAMS)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_holds_what_is_written_down(name):
    assert digest(TABLES[name]()) == WRITTEN_TABLES[name]


def test_numbers_of_the_formats():
    assert (integer.ARGUMENT_FRACTION, integer.HALF_WIDTH, ltc_integer.HIGHEST_SUM) == (12, 32768, 1_056_964_608)
    assert (cfc_integer.INDEX_BITS, cfc_integer.VALUE_FRACTION) == (9, 14)
    assert (cfc_heads.RECIPROCAL_BITS, cfc_heads.GATE_FRACTION_BITS, cfc_heads.SIGMOID_ENTRIES, cfc_heads.SIGMOID_SHIFT) == (24, 15, 512, 5)
    assert (str(cfc_heads.DRIVE), str(cfc_heads.TIMESPAN)) == ("s16.10", "u20.10")


def test_bit_lengths_at_every_power_of_two():
    values = [edge + step for edge in (1 << bits for bits in range(32)) for step in (-1, 0, 1) if edge + step < 1 << 32]
    assert [fixed_point.bit_length(value) for value in values] == [value.bit_length() for value in values]
    assert [fixed_point.bit_length(value) for value in range(-3, 300)] == WRITTEN_LENGTHS


def test_a_message_is_sent_from_the_threshold_on():
    assert [integer.sent_after(value, 10, 3) for value in (6, 7, 8, 10, 12, 13, 14)] == [6, 7, 10, 10, 10, 13, 14]
    assert [integer.absolute(value) for value in (-2, -1, 0, 1, 2)] == [2, 1, 0, 1, 2]


def test_a_neuron_of_the_least_conductance_jumps_to_its_goal():
    """G = 1, C = 0: D = 1 is divided by, not 2; and nothing moves where there is no conductance at all."""
    table = ltc_integer.reciprocal_table().tolist()
    assert ltc_integer.neuron(0, 1, 1, 0, 0, 0, 128, 7, 14, 0, table) == 1 << 14
    assert ltc_integer.neuron(99, 0, 0, 0, 0, 0, 128, 7, 14, 0, table) == 99
