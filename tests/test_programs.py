"""What the integer programs and tables compute, written down: any change of their meaning must be meant. Chips are delivered with it."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import pytest

from hardware_profiles import fixed_point
from liquid_neuro.cells import PROGRAMS, cfc_heads, cfc_integer, integer, ltc_integer, ltc_recalled
from liquid_neuro.network import CfCSettings

TABLES = {
    "sigmoid": lambda: integer.sigmoid_table(10),
    "reciprocal": ltc_integer.reciprocal_table,
    "exponential": ltc_integer.exponential_table,
    "tanh": lambda: integer.odd_table(np.tanh, 8.0, cfc_integer.INDEX_BITS, cfc_integer.VALUE_FRACTION),
    "decay": lambda: integer.odd_table(lambda u: u * np.exp(-np.abs(u)), 8.0, cfc_integer.INDEX_BITS, 14),
    "activation": lambda: integer.sampled_curve(lambda u: np.maximum(u, 0), 8.0, cfc_integer.INDEX_BITS, 12),
}
PHASES = {"phase": 40, "unfolds": 12, "hold": 30, "top": 60}
SMALL = {**PHASES, "fraction": 15, "guard": 8, "base": 100, "ff1": 15, "ff2": 15, "time_a": 15, "time_b": 15, "ratio": 255, "highest": 15}
POSITIVE = {"conductance", "capacitance", "leak", "ratio", "timespan", "activation_step", "reciprocal", "highest", "time"}
WRITTEN = {
    "ltc.gate": "8714d96d4c79efd4",
    "ltc.neuron": "5681992e62aa4f56",
    "ltc.relay": "5c0ff549d9ac531a",
    "ltc.exact": "f9a38000385b52cf",
    "ltc.neuron_timed": "fab59e643920a9fb",
    "ltc.exact_timed": "ed5d15cb20ddc3fa",
    "ltc.clock": "a049b432d9b5416d",
    "ltc.neuron_recalled": "9e4411b7354d39e6",
    "ltc.exact_recalled": "555a2588561558e6",
    "ltc.neuron_timed_recalled": "c330f021fa2059ee",
    "ltc.exact_timed_recalled": "aa29a096d674a3af",
    "cfc.unit": "a80a8527eac0ff42",
    "cfc.unit_no_gate": "77ecbf3d6d30980c",
    "cfc.unit_pure": "4d059fea59ad8b80",
    "cfc.backbone": "4a3916fed9153ba1",
    "cfc.unit_timed": "c9d74186b489a32d",
    "cfc.unit_no_gate_timed": "3b0182749536c529",
    "cfc.unit_pure_timed": "0f8211722dfab1bc",
    "relay": "613b13c820ea346e",
    "lstm.cell": "c7011d9e39968aef",
    "lstm.cell_timed": "678c9c65c83b4418",
    "lstm.output": "5c77c25b42f37ca4",
    "lava.relu": "071a84c2266edf0b",
    "lava.sigma": "0f8c385d50e6dbfd",
    "lava.relay": "31fba358b81bbd6e",
    "lava.product": "2db9fba6e99871c2",
    "lava.hidden": "a8e08e6aa01727bb",
    "lava.delta": "a8e08e6aa01727bb",
    "cfc_heads.encode": "ac049f378fccbbc4",
    "cfc_heads.head": "69ceca997545e3b4",
    "cfc_heads.host": "2812325329149acb",
    "cfc_heads.host_no_gate": "768bd3425cec772b",
    "cfc_heads.project": "316e3a732d0e9ede",
}
WRITTEN_TABLES = {
    "exponential": "e4db7f09b5685b0c",
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
    if name.startswith(("cfc.unit", "lstm.")) and "sigmoid" in program.tables:
        tables[1] = integer.sigmoid_table(cfc_integer.VALUE_FRACTION, cfc_integer.INDEX_BITS).tolist()
    inputs = ("state", *program.ports, *program.parameters)

    def given(item: str) -> int:
        if name == "ltc.clock" and item == "state":
            return generator.randrange(-3, 60)
        powers = item == "exponent" and name.startswith("ltc.")  # of two
        return generator.randrange(-63, 16) if powers else drawn(generator, item)

    return [program.function(*(given(item) for item in inputs), *tables) for _ in range(3000)]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_program_computes_what_is_written_down(name):
    assert digest(results(name)) == WRITTEN[name]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_program_says_how_long_its_tables_are(name):
    lengths = {"sigmoid": 257 if name == "ltc.gate" else 513, "tanh": 513, "decay": 513, "activation": 513}
    lengths |= {"reciprocal": 129, "exponential": 129}
    wanted = () if name.startswith("cfc_heads") else tuple(lengths[table] for table in PROGRAMS[name].tables)
    assert PROGRAMS[name].entries == wanted


def test_every_program_is_written_down():
    assert set(WRITTEN) == set(PROGRAMS)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_holds_what_is_written_down(name):
    assert digest(TABLES[name]()) == WRITTEN_TABLES[name]


def test_numbers_of_the_formats():
    assert (integer.ARGUMENT_FRACTION, integer.HALF_WIDTH, ltc_integer.HIGHEST_SUM) == (12, 32768, 1_056_964_608)
    assert ltc_integer.CAPACITANCE_BITS == 29
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


def test_a_curve_ends_where_its_table_does():
    steep = [0, 25_600, 51_200]
    assert [integer.curve(steep, argument, 256, 8) for argument in (-10_000, -256, -255, 254, 255, 256, 10_000)] == [
        *(0, 0, 100, 51_000, 51_100, 51_100, 51_100)
    ]
    assert [integer.interpolate(steep, position, 8) for position in (0, 1, 256, 511)] == [0, 100, 25_600, 51_100]
    assert [integer.mix(-10, 10, share, 4) for share in (0, 1, 8, 16)] == [-10, -9, 0, 10]


def test_messages_ahead_go_on_for_half_a_turn():
    assert [integer.predicted(state, 10, 8, 0) for state in (4, 9, 10, 11, 14, 100, -120)] == [1, 8, 10, 11, 16, 127, -128]
    assert integer.predicted(14, 10, 8, 2) == 4


def test_sums_over_synapses_and_rows():
    values, batch = np.array([[1, 2, 4], [8, 16, 32]]), np.array([[[1, 2, 4]], [[8, 16, 32]]])
    sums = integer.scatter_sum(values, np.array([1, 0, 1]), 3)
    assert sums.tolist() == [[2, 5, 0], [16, 40, 0]]
    assert integer.scatter_sum(batch, np.array([1, 0, 1]), 3).tolist() == [[[2, 5, 0]], [[16, 40, 0]]]
    assert integer.gather(values, np.array([2, 0])).tolist() == [[4, 1], [32, 8]]
    assert integer.weighted_sum(values, np.array([[1, 0, 0], [0, 1, 1]])).tolist() == [[1, 6], [8, 48]]
    assert integer.join((values, values[:, :1])).tolist() == [[1, 2, 4, 1], [8, 16, 32, 8]]
    assert integer.constant(3, 2).tolist() == [3, 3]


def test_ratios_of_eight_bits_are_never_too_small():
    for value, bits, ratio in (
        (1.0, 8, (128, 7)),
        (0.999, 8, (128, 7)),
        (1.001, 8, (129, 7)),
        (0.99, 8, (254, 8)),
        (300.0, 8, (300, 0)),
        (127.9, 8, (128, 0)),
    ):
        assert integer.ratio_at_least(value, bits) == ratio
        assert integer.ratio_at_least(value) == ratio
    assert integer.ratio_at_least(255.5, 8) == (256, 0)


def test_timespans_fill_their_words():
    for longest, fraction in ((1.0, 22), (0.99, 23), (2.0, 21), (1000.0, 13)):
        assert integer.elapsed_format(longest) == fixed_point.QFormat(24, fraction)
        assert longest / integer.elapsed_format(longest).lsb < 1 << 23
    population = integer.elapsed_population(fixed_point.QFormat(24, 21), 12)
    told = (population.size, population.message_shift, population.message_bits, population.threshold, population.first_tick)
    assert (*told, population.period) == (1, 0, 24, 1, 0, 12)


def test_the_least_and_the_slowest_of_every_neuron():
    """G = 1 beside C = 0 jumps to the goal, nothing moves without conductance or time, and the longest shift is 31."""
    tables = [table.tolist() for table in (ltc_integer.reciprocal_table(), ltc_integer.exponential_table())]
    scale = (128, 7, 14, 0)
    assert ltc_integer.neuron(-32768, 1, 0, (1 << 30) - 1, 0, 1, 128, 7, 15, 0, tables[0]) == -32767
    assert ltc_integer.exact(0, 1, 1, 0, 0, 0, *scale, *tables) == 16386
    assert ltc_integer.exact(99, 0, 0, 0, 0, 0, *scale, *tables) == 99
    for program, found in ((ltc_integer.neuron_timed, tables[:1]), (ltc_integer.exact_timed, tables)):
        assert program(0, 1, 1, 1, 0, -63, 0, 0, *scale, *found) == 16384
        assert program(99, 0, 0, 1, 0, -63, 0, 0, *scale, *found) == 99
        for elapsed in (0, -5):
            assert program(99, 5, 7, elapsed, 1 << 28, 0, 0, 3, *scale, *found) == 99
    assert ltc_integer.neuron_timed(0, 0, 0, 1, 0, -63, 0, 1, 128, 7, 0, 0, tables[0]) == 16384
    assert ltc_integer.exact_timed(0, 0, 0, 1, 0, -63, 0, 1, 128, 7, 0, 0, *tables) == 8192


def test_the_clock_counts_sub_steps_and_strides_above_them():
    assert [ltc_recalled.clock(state, 10, 3) for state in (-2, -1, 0, 1, 2, 3, 6, 10)] == [10, 10, 10, 0, 1, -1, 2, 6]
    assert [ltc_recalled.by_phase(7, 8, 9, phase, 3, 10) for phase in (-1, 0, 2, 3, 9, 10, 11)] == [8, 8, 8, 9, 9, 7, 7]


@pytest.mark.parametrize("program", [ltc_recalled.neuron_timed_recalled, ltc_recalled.exact_timed_recalled])
def test_a_sample_of_no_length_recalls_nothing(program):
    tables = [ltc_integer.reciprocal_table().tolist(), ltc_integer.exponential_table().tolist()]
    tables = tables if program is ltc_recalled.exact_timed_recalled else tables[:1]
    words = (0, 0, 0, 0, 128, 7, 14, 0, 3, 10, 2)
    assert [program(99, 0, 0, elapsed, 5, 6, *words, *tables) for elapsed in (-1, 0, 1, 2)] == [99, 99, 20, 20]


def test_mantissas_stay_below_16_bits():
    assert [ltc_integer.mantissa(value, value.bit_length()) for value in (65_535, 3, 1 << 14, 32_767)] == [32_767, 24_576, 16_384, 32_767]
    assert [ltc_integer.aligned(value, amount) for value, amount in ((7, 0), (7, 1), (7, 3), (1 << 29, 30), (1 << 29, 99))] == [
        7,
        4,
        1,
        1,
        0,
    ]


@pytest.mark.parametrize("program", [cfc_integer.unit_timed, cfc_integer.unit_no_gate_timed])
def test_a_rate_beyond_its_word_is_clipped(program):
    """Heads of 0 and 1 show the gate, a table that is a straight line shows its argument."""
    step, line = [0] * 256 + [16_384] * 257, [128 * index for index in range(513)]

    def gate(slope: int, level: int, elapsed: int = 4096, state: int = 99) -> Any:
        return program(state, 0, 0, 0, 0, elapsed, -32_768, 32_767, slope, level, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, step, line)

    assert [gate(slope, -32_767) for slope in (32_766, 32_767, 10**6)] == [32_767, 32_768, 32_768]
    assert [gate(slope, 32_767) for slope in (-32_767, -32_768, -(10**6))] == [32_768, 32_767, 32_767]
    assert [gate(0, 0, elapsed) for elapsed in (-1, 0, 1)] == [99, 99, 32_768]


def test_ends_of_the_pure_mode_with_irregular_time():
    line = [128 * index for index in range(513)]

    def result(drive: int, tau: int, elapsed: int, shift: int) -> Any:
        return cfc_integer.unit_pure_timed(99, 0, elapsed, drive, 0, 0, tau, shift, 1, 0, 0, line)

    assert result(16_384, 0, 1, 31) == 0
    assert (result(10**6, 0, 1, 0), result(-(10**6), 0, 1, 0)) == (-65_532, 65_536)
    assert (result(16_384, 60_000, 3, 2), result(16_384, 60_000, 2, 0)) == (-49_151, -65_535)
    assert [result(5, 5, elapsed, 0) for elapsed in (-1, 0)] == [99, 99]


def test_a_sum_at_its_threshold_is_code_0():
    assert [cfc_heads.head(0, value, 5, 1, 1 << 24, 15) for value in (4, 5, 6, 19, 20, 21)] == [0, 0, 1, 14, 15, 15]


def head_formats(weight_bits: int = 4) -> cfc_heads.HeadFormats:
    dense = cfc_heads.DenseFormat((-1.0, 0.5), (0.25, 0.5), (3, 5))
    codes = cfc_heads.CodeFormat(2, (0.5, -0.25), (0.5, -0.125))
    layer = cfc_heads.HeadLayerFormats("layer", (), dense, dense, dense, dense, codes)
    word = fixed_point.QFormat(16, 14)
    return cfc_heads.HeadFormats(weight_bits, 2, word, word, cfc_heads.CodeFormat(2, (1.0,), (0.5,)), (layer,), fixed_point.QFormat(8, 5))


def test_heads_are_rounded_as_written_down():
    formats = head_formats()
    assert (formats.input.highest, cfc_heads.CodeFormat(5, (0.0,), (1.0,)).highest) == (3, 31)
    assert [head_formats(bits).weight_limit for bits in (1, 2, 4, 8)] == [1, 1, 7, 127]
    assert [head_formats(bits).lowest_weight for bits in (1, 2, 4, 8)] == [0, -1, -7, -127]
    assert [cfc_heads.highest_activation_step(bits) for bits in (1, 4, 8)] == [2048, 1024, 256]
    affine = np.array([[0.1, -0.2, 0.3], [9.0, -9.0, 0.05]]), np.array([0.125, -0.52])
    integers = cfc_heads.integer_parameters([dict.fromkeys(cfc_heads.HEADS, affine)], formats)
    weight, threshold = integers[0]["ff1"]
    assert weight.tolist() == [[1.0, -1.0, 0.0], [7.0, -7.0, 0.0]]
    assert threshold.tolist() == [-16.0, 1.0]
    weight, bias = cfc_heads.projection_integers(np.array([[0.1, -9.0]]), np.array([0.001]), formats)
    assert (weight.tolist(), bias.tolist()) == ([[3.0, -128.0]], [524.0])


def test_tables_of_heads_hold_what_is_written_down():
    formats = head_formats()
    held = cfc_heads.tables(formats.layers[0], formats, CfCSettings())
    reals = np.array([-1.0, -0.75, -0.5, -0.25, 0.5, 1.0, 1.5, 2.0])
    assert held["tanh_1"].tolist() == held["tanh_2"].tolist() == np.floor(np.tanh(reals) * 16_384 + 0.5).tolist()
    assert held["drive_a"].tolist() == held["drive_b"].tolist() == (reals * 1024).tolist()
    assert (len(held["sigmoid"]), held["sigmoid"][[0, 128, 255, 256, 257, 511]].tolist()) == (
        512,
        [11, 589, 16_128, 16_384, 16_640, 32_757],
    )


def test_formats_have_1_to_63_bits():
    for bits in (1, 63):
        assert fixed_point.QFormat(bits, 0).bits == bits
    for bits in (0, 64):
        with pytest.raises(ValueError, match="bits must be 1 to 63"):
            fixed_point.QFormat(bits, 0)
    ends = [(word.lowest, word.highest) for word in (fixed_point.QFormat(8, 0), fixed_point.QFormat(8, 0, signed=False))]
    assert ends == [(-128, 127), (0, 255)]
    assert fixed_point.QFormat(8, 3).lsb == 0.125
    assert fixed_point.QFormat(8, 3).quantize([0.0624, 0.0625, -0.0625, 99.0, -99.0]).tolist() == [0, 1, 0, 127, -128]
    assert fixed_point.round_half_up([0.5, -0.5, 1.49]).tolist() == [1.0, 0.0, 1.0]


def test_words_saturate_at_their_ends():
    assert [fixed_point.saturate(value, 8) for value in (-129, -128, -127, 126, 127, 128)] == [-128, -128, -127, 126, 127, 127]
    assert [fixed_point.saturate(value, 24) for value in (8_388_607 + 100, -8_388_608 - 5)] == [8_388_607, -8_388_608]
