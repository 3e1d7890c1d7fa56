"""CfC as dense heads for chips of the Akida 1 class: integers, calibration, frames, refusals."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, ClassVar

import naive_frames
import numpy as np
import pytest
from akida_networks import PROFILE, SHAPES, network_of, quantized_of, samples_of
from naive_integer import Word

import hardware_profiles
import liquid_neuro
import mappers
from event_sim import EventStream, frames, simulate
from hardware_profiles import fixed_point
from liquid_neuro import Wiring
from liquid_neuro.cells import cfc_heads, cfc_heads_build
from liquid_neuro.cells.interpret import with_primitives
from liquid_neuro.quantized_storage import load_quantized, save_quantized
from mappers.exporters import akida
from mappers.quantization_akida import quantize_akida


@pytest.fixture(scope="module")
def quantized() -> dict[str, Any]:
    return {shape: quantized_of(shape) for shape in SHAPES}


# --- programs -------------------------------------------------------------------------------------------------------------------------


def test_head_divides_exactly() -> None:
    generator = np.random.default_rng(0)
    step = generator.integers(1, cfc_heads.highest_activation_step(4) + 1, 100_000)
    total, threshold = generator.integers(-20_000, 20_000, (2, 100_000))
    reciprocal = -(-(1 << cfc_heads.RECIPROCAL_BITS) // step)
    expected = np.clip((total - threshold) // step, 0, 15)
    assert np.array_equal(cfc_heads.head(0, total, threshold, step, reciprocal, np.int64(15)), expected)


def test_head_products_stay_in_32_bits() -> None:
    step = np.arange(1, cfc_heads.highest_activation_step(4) + 1)
    reciprocal = -(-(1 << cfc_heads.RECIPROCAL_BITS) // step)
    assert ((16 * step - 1) * reciprocal).max() < 1 << 31


@pytest.mark.parametrize("shape", SHAPES)
def test_frames_equal_the_naive_twin(shape: str, quantized: dict[str, Any]) -> None:
    network, x = quantized[shape], samples_of(2, windows=5)
    result = frames.simulate_frames(network, x)
    for window in range(len(x)):
        words, _ = naive_frames.run(network, x[window])
        assert result.words[window, 1:].tolist() == words


def test_frames_equal_the_naive_twin_on_random_integers(quantized: dict[str, Any]) -> None:
    """Weights, thresholds, steps and tables that no calibration would choose; irregular timespans, 0 among them; states to start from."""
    for seed in range(40):
        generator = np.random.default_rng(seed)
        network = scrambled(quantized[SHAPES[seed % len(SHAPES)]], generator)
        x = generator.normal(0, 3, (2, 6, 3))
        spans = generator.choice([0.0, 0.25, 1.0, 3.5, 700.0], (2, 6))
        initial = generator.integers(-(1 << 15), 1 << 15, (2, network.network.units))
        result = frames.simulate_frames(network, x, spans, initial)
        for window in range(2):
            words, _ = naive_frames.run(network, x[window], spans[window], initial[window])
            assert result.words[window, 1:].tolist() == words


def scrambled(network: Any, generator: np.random.Generator) -> Any:
    """The same structure with random integers everywhere."""
    populations, projections = [], []
    for population in network.populations:
        parameters = dict(population.parameters)
        size = population.size
        if population.program == "cfc_heads.head":
            step = generator.integers(1, 1025, size)
            parameters["activation_step"], parameters["reciprocal"] = step, -(-(1 << 24) // step)
            parameters["threshold"] = generator.integers(-3000, 3000, size)
        if population.program == "cfc_heads.encode":
            parameters["origin"] = generator.integers(-(1 << 14), 1 << 14, size)
            parameters["multiplier"] = generator.integers(1024, 2049, size) * generator.choice([-1, 1], size)
            parameters["shift"] = generator.integers(12, 24, size)
        tables = {name: generator.integers(-(1 << 15), 1 << 15, len(table)) for name, table in population.tables.items()}
        if tables:
            tables["sigmoid"] = generator.integers(0, (1 << 15) + 1, len(tables["sigmoid"]))
        populations.append(dataclasses.replace(population, parameters=parameters, tables=tables))
    for projection in network.projections:
        projections.append(dataclasses.replace(projection, weight=generator.integers(-7, 8, len(projection.weight))))
    return dataclasses.replace(network, populations=tuple(populations), projections=tuple(projections))


class Counting(int):
    """An integer that counts what is done with it. Constants fold into the operation that uses them."""

    counts: ClassVar[dict[str, int]] = {}

    @classmethod
    def count(cls, operation: str) -> None:
        cls.counts[operation] = cls.counts.get(operation, 0) + 1

    def __add__(self, other: int) -> Counting:
        self.count("add")
        return Counting(int(self) + int(other))

    def __sub__(self, other: int) -> Counting:
        self.count("add")
        return Counting(int(self) - int(other))

    def __mul__(self, other: int) -> Counting:
        self.count("multiply")
        return Counting(int(self) * int(other))

    def __gt__(self, other: int) -> bool:
        self.count("compare")
        return int(self) > int(other)

    __radd__, __rmul__ = __add__, __mul__
    __hash__ = int.__hash__


def counting_primitives() -> dict[str, Any]:
    def many(value: int, **operations: int) -> Counting:
        for operation, number in operations.items():
            Counting.counts[operation] = Counting.counts.get(operation, 0) + number
        return Counting(value)

    return {
        "clip": lambda value, low, high: many(min(max(int(value), int(low)), int(high)), compare=2, select=2),
        "round_shift": lambda value, amount: many(fixed_point.round_shift(int(value), int(amount)), add=1, shift=1),
        "floor_shift": lambda value, amount: many(int(value) >> int(amount), shift=1),
        "look_up": lambda table, index: many(table[int(index)], load=1),
        "select": lambda condition, if_true, if_false: many(if_true if condition else if_false, select=1),
    }


@pytest.mark.parametrize("name", sorted(cfc_heads_build.HOST_OPERATIONS))
def test_host_operations_are_those_of_the_programs(name: str) -> None:
    program = cfc_heads.HEAD_PROGRAMS[name]
    counted = with_primitives(program.function, counting_primitives())
    Counting.counts = {}
    tables = [list(range(512)) for _ in program.tables]
    counted(Counting(0), *(Counting(3) for _ in (*program.ports, *program.parameters)), *tables)
    assert Counting.counts == cfc_heads_build.HOST_OPERATIONS[name]


# --- tables and rounding (field cases) --------------------------------------------------------------------------------------------------


def test_a33_tables_of_negative_arguments(quantized: dict[str, Any]) -> None:
    """tanh and sigmoid are mirrored; the sigmoid's step of 1/32 and the rounding of its argument to it bound its error by 1/256."""
    formats = quantized["ncp"].formats
    dense = cfc_heads.DenseFormat((-4.0,), (8.0 / 15,), (1,))
    layer = dataclasses.replace(formats.layers[0], ff1=dense, ff2=dense)
    tables = cfc_heads.tables(layer, formats, quantized["ncp"].network.settings)
    tanh = tables["tanh_1"]
    assert np.abs(tanh + tanh[::-1]).max() <= 1
    assert np.abs(tanh * formats.state_word.lsb - np.tanh(np.linspace(-4, 4, 16))).max() <= formats.state_word.lsb / 2
    sigmoid = tables["sigmoid"]
    assert np.abs(sigmoid[1:] + sigmoid[1:][::-1] - (1 << 15)).max() <= 1
    for argument, right in (
        (-4, 0.017986210),
        (-1, 0.268941421),
        (-0.25, 0.437823499),
        (0.25, 0.562176501),
        (1, 0.731058579),
        (4, 0.982013790),
    ):
        index = fixed_point.round_shift(int(argument * 1024), 5) + 256
        assert abs(sigmoid[index] / (1 << 15) - right) <= 1 / 256


def test_a02_an_elapsed_time_of_zero_leaves_the_state(quantized: dict[str, Any]) -> None:
    network, x = quantized["ncp"], samples_of(3, windows=2, steps=6)
    spans = np.array([1.0, 0.0, 1.0, 0.5, 0.0, 2.0])
    words = frames.simulate_frames(network, x, spans).words
    assert np.array_equal(words[:, 2], words[:, 1])
    assert np.array_equal(words[:, 5], words[:, 4])
    assert not np.array_equal(words[:, 6], words[:, 5])


def test_a11_words_saturate_and_inputs_outside_are_counted(quantized: dict[str, Any]) -> None:
    x = np.full((1, 3, 3), 1e6)
    assert frames.simulate_frames(quantized["ncp"], x).clipped.tolist() == [3, 3, 3]
    words, _ = naive_frames.run(quantized["ncp"], x[0])
    assert frames.simulate_frames(quantized["ncp"], x).words[0, 1:].tolist() == words


# --- calibration ------------------------------------------------------------------------------------------------------------------------


def wider_profile(bits: int) -> Any:
    """A chip with more bits than any: the same rounding, finer."""
    choice = {"values": [bits], "confidence": "assumed", "source": "test"}
    return PROFILE.replace({"words.weight_bits": choice, "words.activation_bits": choice})


@pytest.mark.parametrize("shape", SHAPES)
def test_integers_approach_the_float_network(shape: str) -> None:
    """Error in standard deviations of the output; untrained networks without tanh or with a sum of two states amplify it most."""
    x = samples_of(4)
    exact, _ = liquid_neuro.integrate(network_of(shape), x)
    errors = []
    for profile in (PROFILE, wider_profile(6), wider_profile(8)):
        network = quantize_akida(network_of(shape), profile, samples_of(1))
        errors.append(np.sqrt(np.mean((frames.frame_samples(network, x) - exact) ** 2)) / exact.std())
    assert errors[0] > errors[1] > errors[2]
    assert errors[0] < (1.2 if shape in ("no gate", "keras") else 0.45)
    assert errors[2] < 0.22  # what is left comes from inputs outside of the calibrated range


def test_weights_and_codes_stay_in_their_formats(quantized: dict[str, Any]) -> None:
    for shape in SHAPES:
        assert akida.check_limits(quantized[shape], PROFILE) == []
        for projection in quantized[shape].projections:
            if projection.target_population != "output":
                assert np.abs(projection.weight).max() <= 7


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_weight_bits(bits: int) -> None:
    network = quantize_akida(network_of("ncp"), PROFILE, samples_of(1), bits=bits)
    weights = np.concatenate([projection.weight for projection in network.projections])
    low, high = {1: (0, 1), 2: (-1, 1), 4: (-7, 7)}[bits]
    assert weights.min() == low
    assert weights.max() == high


def test_activation_bits() -> None:
    network = quantize_akida(network_of("ncp"), PROFILE, samples_of(1), bits={"activations": 2, "weights": 4})
    assert {population.state.bits for population in network.populations if population.program == "cfc_heads.head"} == {2}
    words, _ = naive_frames.run(network, samples_of(2)[0])
    assert frames.simulate_frames(network, samples_of(2)[:1]).words[0, 1:].tolist() == words


def test_wired_masks_are_kept(quantized: dict[str, Any]) -> None:
    """ff1 and ff2 have no weight where the wiring has no synapse; the matrix itself is dense."""
    network = quantized["ncp"]
    wiring = network.network.wiring
    heads = network.population("inter.heads")
    projection = next(p for p in network.projections if (p.source_population, p.target_population) == ("input.code", "inter.heads"))
    matrix = np.zeros((3, heads.size), dtype=int)
    matrix[projection.source, projection.target] = projection.weight
    absent = wiring.sensory_adjacency()[:, list(wiring.layers[0])] == 0
    units = heads.size // 4
    assert absent.any()
    assert (matrix[:, :units][absent] == 0).all()
    assert (matrix[:, units : 2 * units][absent] == 0).all()
    assert len(projection.weight) == matrix.size


def test_formats_rebuild_the_same_integers(quantized: dict[str, Any]) -> None:
    for shape in SHAPES:
        again = quantize_akida(quantized[shape].network, PROFILE, formats=quantized[shape].formats)
        x = samples_of(5)
        assert np.array_equal(frames.simulate_frames(again, x).words, frames.simulate_frames(quantized[shape], x).words)


def test_saved_network_is_the_same(quantized: dict[str, Any], tmp_path: Any) -> None:
    for shape in SHAPES:
        saved = load_quantized(save_quantized(quantized[shape], tmp_path / "network.npz"))
        assert saved.formats == quantized[shape].formats
        x = samples_of(13, windows=3)
        assert np.array_equal(frames.frame_samples(saved, x), frames.frame_samples(quantized[shape], x))


def test_commonest_end_of_a_range_is_no_event() -> None:
    """A channel that rests at its upper end rests at code 0."""
    x = samples_of(6)
    x[..., 1] = np.where(x[..., 1] > -2, 1.0, x[..., 1])
    network = quantize_akida(network_of("ncp"), PROFILE, x)
    assert network.formats.input.step[1] < 0
    assert frames.simulate_frames(network, x).sent["input.code"][1] < 0.2 * x[..., 1].size


def test_input_range_replaces_calibration() -> None:
    network = quantize_akida(network_of("ncp"), PROFILE, input_range=(-3.0, 3.0))
    origin, step = np.array(network.formats.input.origin), np.array(network.formats.input.step)
    assert np.allclose(np.sort(np.stack([origin, origin + 15 * step]), axis=0), [[-3.0] * 3, [3.0] * 3])


# --- refusals -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (lambda: liquid_neuro.ltc(Wiring.auto_ncp(3, 12, 1)), ["cfc", "ltc"]),
        (lambda: liquid_neuro.cfc(5, inputs=3), ["relu", "lecun_tanh", "1 backbone layer;"]),
        (lambda: liquid_neuro.cfc(Wiring.auto_ncp(3, 12, 1), mode="pure"), ["default or no_gate", "pure"]),
        (lambda: liquid_neuro.cfc(Wiring.auto_ncp(3, 12, 1), mixed_memory=True), ["LSTM"]),
    ],
)
def test_a20_what_the_chip_lacks_is_refused(network: Any, words: list[str]) -> None:
    with pytest.raises(ValueError, match="must") as error:
        quantize_akida(network(), PROFILE, samples_of(1))
    assert all(word in str(error.value) for word in words)


def test_a20_a_layer_of_19_units_on_a_chip_that_keeps_the_state(tmp_path: Any) -> None:
    pico = hardware_profiles.load("akida_pico")
    network = mappers.quantize(liquid_neuro.cfc(Wiring.auto_ncp(3, 19, 1)), pico, calibration=samples_of(1))
    with pytest.raises(mappers.MappingError, match="19 units, but it must be a power of two <= 256; 32 would do"):
        mappers.map_network(network, pico)


def test_sums_that_may_leave_the_accumulator_are_found(quantized: dict[str, Any]) -> None:
    narrow = dataclasses.replace(quantized["ncp"], accumulator_bits=8)
    assert "sums of layer inter.heads must stay below 128" in akida.check_limits(narrow, PROFILE)[0]


def test_a10_weights_that_round_to_zero_are_told(quantized: dict[str, Any]) -> None:
    network = quantized["ncp"]
    lost = network.notes["weights_rounded_to_zero"]
    stored = sum(np.count_nonzero(p.weight) for p in network.projections)
    real = sum(
        np.count_nonzero(w)
        for layer in cfc_heads_build.dense_values(network.network, network.network.parameters)
        for w, _ in layer.values()
    )
    assert sum(lost.values()) == real - stored > 0


def test_a_run_of_no_samples(quantized: dict[str, Any]) -> None:
    recording = simulate(quantized["ncp"], EventStream.from_samples(samples_of(1)[0], sample_s=1.0), until=0.5)
    assert recording.state.shape == (1, 12)
    assert recording.stored_synaptic_operations == 0


def test_other_refusals(quantized: dict[str, Any]) -> None:
    network = network_of("ncp")
    with pytest.raises(ValueError, match="must be one of 1, 2, 4 for akida1000, but is 8"):
        quantize_akida(network, PROFILE, samples_of(1), bits=8)
    with pytest.raises(ValueError, match='must name some of weights, activations for akida1000, but names "state"'):
        quantize_akida(network, PROFILE, samples_of(1), bits={"state": 4})
    with pytest.raises(ValueError, match="calibration must be given"):
        quantize_akida(network, PROFILE)
    with pytest.raises(ValueError, match="shape"):
        quantize_akida(network, PROFILE, np.zeros((4, 2)))
    with pytest.raises(ValueError, match="3 layers, but are for 1"):
        quantize_akida(network, PROFILE, formats=quantized["bare units"].formats)
    with pytest.raises(ValueError, match="timespans must be 0 or"):
        frames.frame_samples(quantized["ncp"], samples_of(1), timespans=5000.0)
    with pytest.raises(ValueError, match=r"shape \(batch, time, 3\)"):
        frames.frame_samples(quantized["ncp"], np.zeros((2, 2)))


@pytest.mark.parametrize("name", ["cfc_heads.host", "cfc_heads.host_no_gate"])
def test_products_of_the_host_fit_32_bits_for_any_words(name: str) -> None:
    words, spans = (-32768, -1, 0, 32767), (0, 1, 1023, 1024, 1025, (1 << 19) + 1, cfc_heads.TIMESPAN.highest)
    sigmoid = [Word(1 << cfc_heads.GATE_FRACTION_BITS)] * cfc_heads.SIGMOID_ENTRIES
    for first, second, slope, span in itertools.product(words, words, words, spans):
        tables = [[Word(entry)] for entry in (first, second, slope, 0)]
        new = cfc_heads.HEAD_PROGRAMS[name].function(Word(5), 0, 0, 0, 0, Word(span), 0, *tables, sigmoid)  # Word asserts
        assert int(new) == (5 if span == 0 else first + second if name.endswith("no_gate") else second)


def test_what_frames_do_not_know_is_refused() -> None:
    network = liquid_neuro.cfc(4, inputs=2, backbone_layers=0, seed=0)
    for given in ({"thresholds": 3}, {"ticks_per_sample": 2}, {"error": 0.1}):
        with pytest.raises(ValueError, match=f"{next(iter(given))} must not be given for {PROFILE.name}, .* leave it out"):
            mappers.quantize(network, PROFILE, input_range=(-1, 1), **given)
