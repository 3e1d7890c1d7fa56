"""CfC in integers: irregular time in every mode, mixed memory and the Keras dialect; ticks against the naive twin and the direct form."""

from __future__ import annotations

import dataclasses
import signal

import numpy as np
import pytest
from networks import golden
from test_integers import assert_equals_naive, random_cfc, walk

import event_sim
import hardware_profiles
import liquid_neuro
from event_sim import fixed
from event_sim.chip_run import ChipRun
from event_sim.events import EventStream
from liquid_neuro import LiquidNetwork, Wiring
from liquid_neuro.quantized_storage import load_quantized, save_quantized
from mappers.quantization import quantize

LOIHI = hardware_profiles.load("loihi2")
MODES = [("default", ()), ("default", (7, 7)), ("no_gate", (6,)), ("pure", ()), ("pure", (6,))]


def spans_of(samples: int, seed: int = 0) -> np.ndarray:
    """Timespans between 0.1 and 2 model units, two of them 0."""
    spans = np.random.default_rng(seed).uniform(0.1, 2.0, samples)
    spans[[samples // 3, samples // 2]] = 0.0
    return spans


def keras(network: LiquidNetwork) -> LiquidNetwork:
    """The same parameters in the Keras dialect."""
    return dataclasses.replace(network, settings=dataclasses.replace(network.settings, dialect="keras"))


def relative_error(network: LiquidNetwork, recording: fixed.Recording, x: np.ndarray, spans: np.ndarray | None) -> float:
    """rms of the outputs against the float network, in standard deviations of its outputs."""
    y, _ = liquid_neuro.integrate(network, x, timespans=spans)
    return float(np.sqrt(np.mean((recording.output_samples - y) ** 2)) / y.std())


@pytest.mark.parametrize("threshold", [1, 8])
@pytest.mark.parametrize(("mode", "backbone"), MODES)
def test_irregular_time_equals_naive_and_direct(mode, backbone, threshold):
    network = random_cfc(threshold, mode, backbone)
    x, spans = walk(network, 40, 1), spans_of(40)
    quantized = quantize(network, LOIHI, calibration=EventStream.from_samples(x, timespans=spans), thresholds=threshold)
    assert quantized.elapsed is not None
    assert quantized.ticks_per_sample == len(backbone) + 1
    assert_equals_naive(quantized, x, spans)
    assert np.array_equal(fixed.state_words(quantized, x, spans), fixed.direct_samples(quantized, x, spans))


@pytest.mark.parametrize("name", ["cfc_wired_ncp19", "cfc_wired_auto32", "cfc_default", "cfc_pure", "cfc_nogate"])
def test_irregular_golden_networks_come_close(name):
    network, arrays = golden(name)
    x = arrays["x"][0].astype(float)
    spans = np.asarray(arrays["irregular.timespans"], dtype=float).reshape(-1)[: len(x)]
    quantized = quantize(network, LOIHI, calibration=EventStream.from_samples(x, timespans=spans))
    assert_equals_naive(quantized, x[:6], spans[:6])
    recording = fixed.run_chip(quantized, EventStream.from_samples(x, timespans=spans))
    assert relative_error(network, recording, x, spans) < 0.01  # what is promised of 8-bit weights; 0.1 % to 0.8 % here
    assert recording.activity.total_saturations == 0


@pytest.mark.parametrize("mixed", [False, True])
def test_a02_a_timespan_of_0_leaves_the_state(mixed):
    wiring = Wiring.auto_ncp(4, 12, 2, 0.5, seed=3)
    network = liquid_neuro.cfc(wiring, mixed_memory=mixed, seed=3)
    x, spans = walk(network, 30, 2), spans_of(30)
    quantized = quantize(network, LOIHI, calibration=x, timespans=(0.1, 2.0))
    recording = assert_equals_naive(quantized, x, spans)
    for still in np.flatnonzero(spans == 0.0):
        assert np.array_equal(recording.state[still + 1], recording.state[still])
    y, _ = liquid_neuro.integrate(network, x, timespans=spans)
    assert np.abs(recording.output_samples - y).max() < 0.02  # of outputs within -1 .. 1, with 8-bit weights


@pytest.mark.parametrize("irregular", [False, True])
def test_mixed_memory_equals_naive_and_direct(irregular):
    network, arrays = golden("cfc_mixed")
    x = arrays["x"][0, :30].astype(float)
    spans = spans_of(len(x)) if irregular else np.ones(len(x))
    stream = EventStream.from_samples(x, timespans=spans)
    quantized = quantize(network, LOIHI, calibration=stream, thresholds={"neuron": 2, "memory": 3})
    depth = quantized.formats.depth
    assert (quantized.ticks_per_sample, quantized.read_tick) == (depth + 3, depth + 3)
    assert_equals_naive(quantized, x[:8], spans[:8])
    assert np.array_equal(fixed.state_words(quantized, x, spans), fixed.direct_samples(quantized, x, spans))
    recording = fixed.run_chip(quantized, stream)
    assert relative_error(network, recording, x, spans) < 0.01  # 0.5 % here
    liquid, memory = recording.final.state
    _, (h, c) = liquid_neuro.integrate(network, x, timespans=spans)
    assert np.abs(liquid - h).max() < 0.02  # of words within -1 .. 1
    assert np.abs(memory - c).max() < 0.02 * np.abs(c).max()


def test_memory_that_leaves_its_word_saturates_and_is_counted():
    network, arrays = golden("cfc_mixed")
    x = arrays["x"][0, :12].astype(float)
    quantized = quantize(network, LOIHI, calibration=x)
    populations = tuple(
        dataclasses.replace(p, state=dataclasses.replace(p.state, bits=10)) if p.name == "memory_cell" else p for p in quantized.populations
    )
    recording = assert_equals_naive(dataclasses.replace(quantized, populations=populations), x)
    assert recording.activity.saturations["memory_cell"] > 0


@pytest.mark.parametrize("irregular", [False, True])
@pytest.mark.parametrize("name", ["cfc_default", "cfc_nogate", "cfc_wired_ncp19"])
def test_keras_heads_equal_naive_and_direct(name, irregular):
    network, arrays = golden(name)
    network, x = keras(network), arrays["x"][0, :20].astype(float)
    spans = spans_of(len(x)) if irregular else np.ones(len(x))
    quantized = quantize(network, LOIHI, calibration=EventStream.from_samples(x, timespans=spans))
    assert_equals_naive(quantized, x[:6], spans[:6])
    assert np.array_equal(fixed.state_words(quantized, x, spans), fixed.direct_samples(quantized, x, spans))
    recording = fixed.run_chip(quantized, EventStream.from_samples(x, timespans=spans))
    assert relative_error(network, recording, x, spans) < 0.01  # what is promised of 8-bit weights; 0.5 % to 0.8 % here


@pytest.mark.parametrize("mixed", [False, True])
def test_a23_pieces_of_a_stream_add_up_to_the_whole(mixed):
    """States, events and every count, for cuts anywhere; in irregular time."""
    network = liquid_neuro.cfc(Wiring.auto_ncp(4, 12, 2, 0.5, seed=3), mixed_memory=mixed, seed=3)
    x, spans = walk(network, 20, 2), spans_of(20)
    stream = EventStream.from_samples(x, timespans=spans)
    quantized = quantize(network, LOIHI, calibration=stream, thresholds=2)
    whole, parts, at = fixed.run_chip(quantized, stream), [], None
    for cut in (1, 2, 9, 20):
        parts.append(fixed.run_chip(quantized, stream, until=float(stream.sample_times_s[cut]), initial=at))
        at = parts[-1].final
    assert np.array_equal(whole.state, np.concatenate([whole.state[:1], *(part.state[1:] for part in parts)]))
    assert np.array_equal(whole.events, np.concatenate([part.events for part in parts]))
    assert np.array_equal(whole.event_counts, sum(part.event_counts for part in parts))
    activities = [part.activity for part in parts]
    assert whole.activity.ticks == sum(one.ticks for one in activities)
    for name in whole.activity.spikes:
        for counts in ("spikes", "updates", "active_updates"):
            assert np.array_equal(getattr(whole.activity, counts)[name], sum(getattr(one, counts)[name] for one in activities)), counts
    assert np.array_equal(whole.activity.stored_operations, sum(one.stored_operations for one in activities))
    assert whole.activity.clocked_operations == sum(one.clocked_operations for one in activities)
    assert np.array_equal(np.bincount(whole.events["unit"], minlength=network.units), whole.event_counts)


def test_a_run_of_other_integers_is_not_continued():
    network = random_cfc(1)
    x = walk(network, 10, 1)
    stream = EventStream.from_samples(x, sample_s=1.0)
    final = fixed.run_chip(quantize(network, LOIHI, calibration=x), stream, until=5.0).final
    other = quantize(network, LOIHI, calibration=x, bits=6)
    with pytest.raises(ValueError, match=r"its integers are others; give its states \(initial=final.state\)"):
        fixed.run_chip(other, stream, initial=final)
    assert np.abs(fixed.run_chip(other, stream, initial=final.state).state[0] - final.state).max() < 2.0**-14  # half a step


def test_a_run_can_begin_from_memory_and_state_in_numbers():
    network, arrays = golden("cfc_mixed")
    x = arrays["x"][0, :12].astype(float)
    quantized = quantize(network, LOIHI, calibration=x)
    stream = EventStream.from_samples(x, sample_s=1.0)
    generator = np.random.default_rng(0)
    start = generator.uniform(-0.5, 0.5, network.units), generator.uniform(-0.5, 0.5, network.units)
    recording = event_sim.simulate(quantized, stream, initial=start)
    y, _ = liquid_neuro.integrate(network, x, state=start)
    assert np.abs(recording.output_samples - y).max() < 0.02  # 8-bit weights


def test_timespans_beyond_the_words_are_refused():
    network = random_cfc(1)
    x = walk(network, 10, 1)
    quantized = quantize(network, LOIHI, calibration=x, timespans=(0.1, 1.0))
    with pytest.raises(ValueError, match=r"timespans must be 0 to 1\.99994 model units, .* but sample 3 lasts 5; resample"):
        fixed.run_chip(quantized, EventStream.from_samples(x, timespans=[1, 1, 1, 5, 1, 1, 1, 1, 1, 1]))
    with pytest.raises(ValueError, match="timespans must be below 32768 model units to run in integers"):
        quantize(network, LOIHI, calibration=x, timespans=(1.0, 1e6))


@pytest.mark.parametrize(("mixed", "dialect"), [(True, "torch"), (False, "keras")])
def test_files_hold_every_format(tmp_path, mixed, dialect):
    network = liquid_neuro.cfc(5, inputs=3, mixed_memory=mixed, dialect=dialect, backbone_layers=1, backbone_units=6, seed=1)
    x, spans = walk(network, 15, 1), spans_of(15)
    quantized = quantize(network, LOIHI, calibration=EventStream.from_samples(x, timespans=spans))
    again = load_quantized(save_quantized(quantized, tmp_path / "network.npz"))
    assert np.array_equal(fixed.state_words(again, x, spans), fixed.state_words(quantized, x, spans))
    kept = quantize(network, LOIHI, timespans=(0.1, 2.0), formats=again.formats)
    assert np.array_equal(fixed.state_words(kept, x, spans), fixed.state_words(quantized, x, spans))


def test_states_that_nothing_holds_are_refused():
    network = keras(random_cfc(1))
    network = network.with_parameters({name: 3.0 * value for name, value in network.parameters.items()})
    with pytest.raises(ValueError, match=r"states must stay below 1024 over the calibration .* have no tanh that would hold them"):
        quantize(network, LOIHI, calibration=walk(network, 60, 1))


def test_formats_of_another_dialect_are_refused():
    network = random_cfc(1)
    formats = quantize(network, LOIHI).formats
    with pytest.raises(ValueError, match="formats must come from a CfC of this dialect and memory"):
        quantize(keras(network), LOIHI, formats=formats)


def test_ctrl_c_keeps_what_was_simulated(monkeypatch):
    network = random_cfc(1, "default", (6,))
    x = walk(network, 400, 1, 0.01)
    quantized = quantize(network, LOIHI, calibration=x)
    stream = EventStream.from_samples(x, sample_s=1.0)
    whole, run = fixed.run_chip(quantized, stream), ChipRun.samples

    def pressed(self, first, last):
        run(self, first, last)
        if first > 0:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(ChipRun, "samples", pressed)
        recording = fixed.run_chip(quantized, stream)
    ran = len(recording.output_samples)
    assert recording.interrupted
    assert not whole.interrupted
    assert 0 < ran == recording.activity.samples < len(x)
    rest = fixed.run_chip(quantized, stream, initial=recording.final)
    assert np.array_equal(whole.state, np.concatenate([recording.state, rest.state[1:]]))
    assert np.array_equal(whole.events, np.concatenate([recording.events, rest.events]))
    assert whole.activity.total_spikes == recording.activity.total_spikes + rest.activity.total_spikes


def any_cfc(seed: int) -> tuple[LiquidNetwork, bool]:
    """A CfC of a random kind, and whether in irregular time."""
    generator = np.random.default_rng(seed)
    mode, dialect = str(generator.choice(["default", "no_gate", "pure"])), str(generator.choice(["torch", "torch", "keras"]))
    choices = {"mode": mode, "dialect": dialect, "mixed_memory": bool(generator.integers(2)), "seed": seed}
    inputs = int(generator.integers(1, 6))
    if generator.integers(2):
        network = liquid_neuro.cfc(Wiring.auto_ncp(inputs, int(generator.integers(8, 20)), 2, 0.5, seed=seed), **choices)
    else:
        depth = {"backbone_layers": int(generator.integers(0, 3)), "backbone_units": int(generator.integers(1, 9))}
        activation = str(generator.choice(["lecun_tanh", "relu", "tanh", "gelu", "silu"]))
        network = liquid_neuro.cfc(int(generator.integers(1, 9)), inputs=inputs, activation=activation, **depth, **choices)
    most = 0.7 if dialect == "keras" else 2.0  # nothing holds the states of louder Keras heads
    louder = {name: value * float(generator.uniform(0.5, most)) for name, value in network.parameters.items()}
    return network.with_parameters(louder), bool(generator.integers(2))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 80, 10))
def test_networks_of_any_kind_equal_naive_and_direct_over_thousands_of_ticks(first):
    for seed in range(first, first + 10):
        network, irregular = any_cfc(seed)
        x = walk(network, 1000, seed, 0.2) % 4.0 - 2.0
        spans = np.random.default_rng(seed).uniform(0.0, 2.0, len(x)) if irregular else np.ones(len(x))
        how = {"timespans": (0.1, 2.0)} if irregular else {}
        bits = {"weights": 4 + seed % 5, "state": 10 + seed % 7}
        quantized = quantize(network, LOIHI, calibration=x, bits=bits, thresholds=1 + seed % 3, **how)
        assert np.array_equal(fixed.state_words(quantized, x, spans), fixed.direct_samples(quantized, x, spans)), seed
        assert_equals_naive(quantized, x[:20], spans[:20])
