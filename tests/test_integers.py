"""The chip simulator against its naive twin and against the direct form: always ==."""

from __future__ import annotations

import dataclasses

import naive_integer
import numpy as np
import pytest
from networks import c4, golden, l4, one_neuron

import hardware_profiles
import liquid_neuro
from event_sim import fixed
from event_sim.events import EventStream
from hardware_profiles.fixed_point import round_shift
from liquid_neuro import Fused, LiquidNetwork, LTCSettings, Wiring
from liquid_neuro.cells import PROGRAMS, ltc_integer
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers.quantization import quantize

LOIHI = hardware_profiles.load("loihi2")
SETTLED = {1: 1, 4: {"input": 4, "neuron": 4, "gate": 4}, 16: {"input": 16, "neuron": 16, "gate": 16}}


def random_ltc(seed: int, unfolds: int = 3) -> LiquidNetwork:
    """An LTC with parameters far outside of ncps' initial ranges: no inertia, no leak, steep and reversed sigmoids."""
    generator = np.random.default_rng(seed)
    inputs, units = int(generator.integers(1, 5)), int(generator.integers(2, 8))
    wiring = Wiring.random(inputs, units, 1, float(generator.uniform(0, 0.7)), seed=seed)
    count, sensory = wiring.synapse_count, wiring.sensory_synapse_count
    draw = generator.uniform
    parameters = {
        "gleak": draw(0, 1, units) * (draw(size=units) > 0.2),
        "cm": 10 ** draw(-2, 1, units) * (draw(size=units) > 0.2),
        "vleak": draw(-1, 1, units),
        "input_w": draw(-2, 2, inputs),
        "input_b": draw(-1, 1, inputs),
    }
    for prefix, size in (("", count), ("sensory_", sensory)):
        parameters |= {
            f"{prefix}w": draw(0, 2, size) * (draw(size=size) > 0.1),
            f"{prefix}sigma": draw(-12, 12, size),
            f"{prefix}mu": draw(-1, 1, size),
            f"{prefix}erev": draw(-2, 2, size),
        }
    return LiquidNetwork("ltc", inputs, units, 1, parameters, LTCSettings(softplus=False), Fused(unfolds), wiring)


def random_cfc(seed: int, mode: str = "default", backbone: tuple[int, ...] = ()) -> LiquidNetwork:
    """A CfC with random parameters of some size."""
    generator = np.random.default_rng(seed)
    network = liquid_neuro.cfc(5, inputs=3, mode=mode, seed=seed, backbone_layers=len(backbone), backbone_units=max(backbone, default=1))
    changed = {name: value + generator.normal(0, 0.5, value.shape) for name, value in network.parameters.items()}
    return network.with_parameters(changed)


def walk(network: LiquidNetwork, samples: int, seed: int, step: float = 0.3) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(0, step, (samples, network.inputs)), axis=0)


def assert_equals_naive(quantized: QuantizedNetwork, x: np.ndarray, timespans: np.ndarray | None = None) -> fixed.Recording:
    """Every word and every message of every tick, and all counts. timespans: (time,) where the network takes irregular time."""
    spans = np.full(len(x), quantized.formats.timespan) if timespans is None else timespans
    recording = fixed.run_chip(quantized, EventStream.from_samples(x, timespans=spans), trace=True)
    elapsed = None if quantized.elapsed is None else quantized.elapsed.state.quantize(spans).tolist()
    naive = naive_integer.run(quantized, quantized.input_format.quantize(x).tolist(), elapsed=elapsed)
    machine, activity = naive["machine"], recording.activity
    for population in quantized.populations:
        name = population.name
        assert np.array_equal(activity.trace.state[name], [words[name] for words in naive["states"]]), name
        assert np.array_equal(activity.trace.sent[name], [words[name] for words in naive["sent"]]), name
        assert activity.spikes[name].tolist() == [machine.spikes[name, i] for i in range(population.size)]
        if population.program:
            assert activity.updates[name].sum() == machine.updates[name]
    assert activity.stored_operations.tolist() == [machine.operations[i] for i in range(len(quantized.projections))]
    assert {name: count for name, count in activity.saturations.items() if name != "input"} == dict(machine.saturations)
    assert activity.ticks == len(naive["states"])
    return recording


@pytest.mark.parametrize("threshold", [1, 4, 16])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ltc_kernel_equals_naive_and_direct(seed, threshold):
    network = random_ltc(seed)
    x = walk(network, 60, seed)
    quantized = quantize(network, LOIHI, calibration=x, thresholds=SETTLED[threshold])
    assert_equals_naive(quantized, x)
    assert np.array_equal(fixed.state_words(quantized, x), fixed.direct_samples(quantized, x))


def test_ltc_over_thousands_of_ticks():
    network = random_ltc(7, unfolds=6)
    x = walk(network, 200, 3)
    quantized = quantize(network, LOIHI, input_range=(-4, 4))
    recording = assert_equals_naive(quantized, x)
    assert recording.activity.ticks == 12 * 199 + 13
    assert np.array_equal(fixed.state_words(quantized, x), fixed.direct_samples(quantized, x))


@pytest.mark.parametrize("threshold", [1, 4, 16])
@pytest.mark.parametrize(("mode", "backbone"), [("default", ()), ("default", (7, 7)), ("no_gate", (6,)), ("pure", ()), ("pure", (6,))])
def test_cfc_kernel_equals_naive_and_direct(mode, backbone, threshold):
    network = random_cfc(threshold, mode, backbone)
    x = walk(network, 80, 1)
    quantized = quantize(network, LOIHI, calibration=x, thresholds={"input": threshold, "neuron": threshold, "backbone": threshold})
    assert quantized.ticks_per_sample == len(backbone) + 1
    assert_equals_naive(quantized, x)
    assert np.array_equal(fixed.state_words(quantized, x), fixed.direct_samples(quantized, x))


@pytest.mark.parametrize("threshold", [1, 16])
def test_wired_cfc_layers_hear_each_other_in_the_same_sample(threshold):
    network, arrays = golden("cfc_wired_ncp19")
    x = arrays["x"][0, :10].astype(float)
    quantized = quantize(network, LOIHI, calibration=x, thresholds={"neuron": threshold})
    assert (quantized.ticks_per_sample, quantized.read_tick) == (1, 3)
    assert_equals_naive(quantized, x)
    assert np.array_equal(fixed.state_words(quantized, x), fixed.direct_samples(quantized, x))


def test_formats_of_every_width_stay_equal():
    network = random_ltc(4)
    x = walk(network, 12, 2)
    for bits in ({"weights": 4, "state": 12, "gates": 4}, {"weights": 2}, {"state": 24}, {"state": 12, "message": 9}):
        quantized = quantize(network, LOIHI, calibration=x, bits=bits)
        assert_equals_naive(quantized, x)
        assert np.array_equal(fixed.state_words(quantized, x), fixed.direct_samples(quantized, x))


# --- words ------------------------------------------------------------------------------------------------------------------------------


def test_products_of_the_neuron_fit_32_bits_for_any_words():
    generator = np.random.default_rng(0)
    table = [naive_integer.Word(entry) for entry in ltc_integer.reciprocal_table()]
    highest, sums = ltc_integer.HIGHEST_SUM, (0, 1, (1 << 23) - 1)
    for _ in range(4000):
        state, fraction = int(generator.choice([-32768, 32767, 0, generator.integers(-32768, 32768)])), int(generator.integers(0, 16))
        conductance = int(generator.choice([*sums, -(1 << 23), generator.integers(0, 1 << 23)]))
        driven = int(generator.choice([-(1 << 23), (1 << 23) - 1, generator.integers(-(1 << 23), 1 << 23)]))
        capacitance, leak = (int(generator.choice([0, 1, highest, 2 ** generator.integers(0, 30)])) for _ in range(2))
        driven_leak = int(generator.choice([-highest, 0, highest, generator.integers(-(1 << 20), 1 << 20)]))
        arguments = (state, conductance, driven, capacitance, leak, driven_leak, int(generator.integers(1, 256)), 7, fraction, 0)
        ltc_integer.neuron(*map(naive_integer.Word, arguments), table)  # Word asserts


def test_neuron_follows_the_division_it_replaces():
    generator = np.random.default_rng(1)
    count = 20_000
    conductance, leak = generator.integers(0, 1 << 22, count), generator.integers(1, 1 << 18, count)
    capacitance = 2 ** generator.integers(0, 29, count)
    pull = (generator.uniform(-1, 1, count) * (conductance + leak)).astype(np.int64)
    state = generator.integers(-16384, 16385, count)
    zero = np.zeros(count, dtype=np.int64)
    new = ltc_integer.neuron(state, conductance, zero, capacitance, leak, pull, 128, 7, 14, 0, ltc_integer.reciprocal_table())
    exact = (capacitance * state + pull * 2.0**14) / (capacitance + conductance + leak)
    # 15 bits of G, A and D each: 2**-15 of a way of at most 2 * 2**14 steps each, the table 2e-5 of it, and two roundings.
    assert np.abs(new - exact).max() < 4.0


def test_algebraic_neurons_and_pure_memories():
    # cm = 0: the state is the goal at once. gleak = 0 without synapses: the state stays.
    jump = one_neuron(0.0, 0.5, 0.1, (1.1, 5.0, 0.5, -1.0), Fused())
    words = fixed.run_samples(quantize(jump, LOIHI, input_range=(0, 1)), [[0.0], [0.9]])
    # Half a step of the driven weight, 1.1 / 254, over G = 1.6.
    assert words[0, :, 0] == pytest.approx([-0.057321693, -0.625564237], abs=3e-3)
    still = one_neuron(1.0, 0.0, 0.1, None, Fused())
    quantized = quantize(still, LOIHI)
    recording = fixed.run_chip(quantized, EventStream.from_samples([[0.0]] * 3, sample_s=1.0), initial=[0.3])
    assert np.ptp(recording.state) == 0.0


def test_a11_an_accumulator_that_leaves_its_word_saturates_and_is_counted():
    network = random_ltc(2)
    x = walk(network, 20, 5)
    quantized = quantize(network, LOIHI, calibration=x)
    assert fixed.run_chip(quantized, EventStream.from_samples(x, sample_s=1.0)).activity.total_saturations == 0
    narrow = dataclasses.replace(quantized, accumulator_bits=16)
    recording = assert_equals_naive(narrow, x)
    assert recording.activity.saturations["neuron.conductance"] > 0


def test_a11_states_and_inputs_that_leave_their_words_are_counted():
    network = random_ltc(3)
    x = walk(network, 20, 5)
    quantized = quantize(network, LOIHI, calibration=x)
    populations = tuple(
        dataclasses.replace(p, state=dataclasses.replace(p.state, bits=10)) if p.name == "neuron" else p for p in quantized.populations
    )
    recording = assert_equals_naive(dataclasses.replace(quantized, populations=populations), x)
    assert recording.activity.saturations["neuron"] > 0
    loud = quantize(network, LOIHI, input_range=(-0.01, 0.01))
    assert assert_equals_naive(loud, x).activity.saturations["input"] > 0


# --- time -------------------------------------------------------------------------------------------------------------------------------


def test_a04_events_at_decimal_multiples_fall_into_their_own_ticks():
    network, _ = golden("cfc_wired_ncp19")
    quantized = quantize(network, LOIHI, input_range=(0, 8), timespan=0.1)
    times = np.array([round(0.1 * k, 1) for k in range(100)])
    values = 1.0 + np.arange(100) % 7
    stream = EventStream(times, np.zeros(100, dtype=int), values, sample_s=0.1, channels=32)
    activity = fixed.run_chip(quantized, stream).activity
    assert activity.spikes_per_tick["input"][:100].tolist() == [1] * 100
    # Not a multiple: an event takes effect at the first boundary at or after its time.
    late = EventStream(times + 0.04, np.zeros(100, dtype=int), values, sample_s=0.1, channels=32)
    per_tick = fixed.run_chip(quantized, late).activity.spikes_per_tick["input"]
    assert per_tick[:101].tolist() == [0] + [1] * 100


def test_a24_each_hop_costs_a_tick():
    chain = Wiring.from_adjacency([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], [[0, 0, 0, 1]], 1)
    parameters = {"gleak": [0.1] * 4, "vleak": [0.0] * 4, "cm": [0.01] * 4}
    for prefix, size in (("", 3), ("sensory_", 1)):
        for name, value in (("w", 2.0), ("sigma", 200.0), ("mu", 0.3), ("erev", 1.0)):
            parameters[prefix + name] = [value] * size
    network = LiquidNetwork("ltc", 1, 4, 1, parameters, LTCSettings(softplus=False), Fused(3), chain)
    quantized = quantize(network, LOIHI, input_range=(0, 1))
    x = np.array([[0.0], [1.0], [1.0], [1.0]])
    trace = fixed.run_chip(quantized, EventStream.from_samples(x, sample_s=1.0), trace=True).activity.trace
    first = [int(np.argmax(np.diff(trace.state["neuron"][:, unit]) > 1000)) + 1 for unit in (3, 2, 1, 0)]
    # The sample's words set out at tick 6; gates have them at 7, neuron 3 at 8; a neuron and its gates are two ticks.
    assert first == [8, 10, 12, 14]


def test_events_stand_at_their_turns():
    network = l4(solver=Fused(4))
    x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    recording = fixed.run_chip(quantize(network, LOIHI, calibration=x), EventStream.from_samples(x, sample_s=1.0))
    assert np.allclose(recording.events["time_s"] % 0.25, 0.0)
    assert recording.events["time_s"].max() == 3.0
    assert np.array_equal(np.bincount(recording.events["unit"], minlength=4), recording.event_counts)
    last = {int(unit): float(value) for unit, value in zip(recording.events["unit"], recording.events["value"])}
    assert all(abs(last[unit] - recording.state[-1, unit]) <= 2.0**-11 for unit in last)  # half a step of a message


@pytest.mark.parametrize("name", ["l4", "c4", "wired", "backbone"])
def test_a23_two_chunks_equal_one_run(name):
    wired, backbone = golden("cfc_wired_ncp19")[0], random_cfc(3, "default", (6, 6))
    network = {"l4": l4(), "c4": c4(), "wired": wired, "backbone": backbone}[name]
    x = walk(network, 12, 0)
    quantized = quantize(network, LOIHI, calibration=x, thresholds=3)
    stream = EventStream.from_samples(x, sample_s=1.0)
    whole = fixed.run_chip(quantized, stream)
    first = fixed.run_chip(quantized, stream, until=5.0)
    second = fixed.run_chip(quantized, stream, initial=first.final)
    assert np.array_equal(whole.state, np.concatenate([first.state, second.state[1:]]))
    assert np.array_equal(whole.output_samples, np.concatenate([first.output_samples, second.output_samples]))
    third = fixed.run_chip(quantized, EventStream.from_samples(x[5:], sample_s=1.0), initial=first.final)
    assert np.array_equal(second.state, third.state)


def test_a_state_in_numbers_is_where_a_run_can_begin():
    network = l4()
    x = walk(network, 6, 0)
    quantized = quantize(network, LOIHI, calibration=x)
    stream = EventStream.from_samples(x, sample_s=1.0)
    start = np.array([0.25, -0.125, 0.5, 0.0])
    recording = fixed.run_chip(quantized, stream, initial=start)
    assert np.array_equal(recording.state[0], start)
    y, _ = liquid_neuro.integrate(network, x, state=start)
    assert np.abs(recording.output_samples - y).max() < 5e-3  # 8-bit weights


def test_a02_integers_refuse_samples_of_other_lengths():
    quantized = quantize(l4(), LOIHI, input_range=(0, 1))
    stream = EventStream.from_samples([[1, 0], [0, 1], [1, 1]], timespans=[1.0, 0.5, 1.0])
    with pytest.raises(ValueError, match=r"all samples must last 1 model units, .* but sample 1 lasts 0\.5"):
        fixed.run_chip(quantized, stream)


# --- counts -----------------------------------------------------------------------------------------------------------------------------


def test_a26_synaptic_operations_are_events_times_fan_out():
    network = random_ltc(5)
    x = walk(network, 15, 4)
    recording = fixed.run_chip(quantize(network, LOIHI, calibration=x), EventStream.from_samples(x, sample_s=1.0))
    fan_out = np.bincount(network.wiring.source, minlength=network.units)
    assert recording.neuron_synaptic_operations == int((recording.event_counts * fan_out).sum())
    assert recording.stored_synaptic_operations == recording.activity.stored_operations.sum()
    assert 0 < recording.stored_synaptic_operations < recording.clocked_synaptic_operations
    assert recording.activity.active_updates["neuron"].sum() <= recording.activity.updates["neuron"].sum()


def test_windows_are_independent_and_equal_single_runs():
    network = l4()
    x = np.stack([walk(network, 9, seed) for seed in range(5)])
    quantized = quantize(network, LOIHI, calibration=x)
    together = fixed.run_samples(quantized, x)
    for window, y in zip(x, together):
        assert np.array_equal(fixed.run_chip(quantized, EventStream.from_samples(window, sample_s=1.0)).output_samples, y)
    assert fixed.run_samples(quantized, x[:0]).shape == (0, 9, 1)


def test_every_program_says_what_it_takes():
    for program in PROGRAMS.values():
        code = program.function.__code__
        names = code.co_varnames[: code.co_argcount]
        assert names == ("state", *program.ports, *program.parameters, *program.tables), program.name
    assert round_shift(3, 1) == 2
