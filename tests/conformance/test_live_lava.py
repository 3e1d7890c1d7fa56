"""Exported graphs in live Lava: every state and every message equals the simulator's, to the last bit.

Each test starts Lava in a Python 3.10 of its own: this one where it has Lava, else the one that uv builds.
"""

from __future__ import annotations

import importlib.util

import networks
import numpy as np
import pytest
import toy_chips
from lava_runs import ran, walk

import hardware_profiles
import liquid_neuro
import liquid_neuro.cells
import mappers
from mappers.exporters import export
from mappers.exporters.lava import compare, library_mapping, to_lava
from mappers.exporters.lava_compare import chip_trace

pytestmark = pytest.mark.live_lava


@pytest.mark.parametrize(("name", "samples"), [("ltc_ncp19", 100), ("cfc_wired_ncp19", 100), ("cfc_default", 60)])
def test_golden_networks_equal_the_chip_simulator(tmp_path, name, samples):
    network, arrays = networks.golden(name)
    calibration = arrays["x"].reshape(-1, network.inputs)
    quantized = mappers.quantize(network, hardware_profiles.load("loihi2"), calibration=calibration)
    mapping = mappers.map_network(quantized, hardware_profiles.load("loihi2"))
    mappers.export(mapping, "lava", tmp_path / "lava")
    x = np.concatenate([calibration, walk(samples - len(calibration), network.inputs)])
    comparison = ran(compare(tmp_path / "lava", quantized, x, samples=samples))
    assert (comparison.differences, comparison.first_difference, comparison.saturations) == (0, "", 0)
    assert comparison.ticks == quantized.ticks_per_sample * (samples - 1) + quantized.read_tick + 1
    assert comparison.values_compared == 2 * (quantized.compartments + network.inputs) * comparison.ticks


@pytest.fixture
def toy_programs(monkeypatch):
    monkeypatch.setattr(liquid_neuro.cells, "PROGRAMS", toy_chips.PROGRAMS)


def compared(folder, quantized, x, cores=1, timespans=None, **options):
    """The comparison with the naive executor."""
    export(toy_chips.mapping(quantized, cores), "lava", folder, inputs=x, timespans=timespans, **options)
    return ran(compare(folder, quantized, x, len(x), timespans, timeout_s=120.0, simulator=toy_chips.execute))


@pytest.mark.parametrize(("cores", "connection"), [(1, "dense"), (2, "sparse")])
@pytest.mark.usefixtures("toy_programs")
def test_toy_network(tmp_path, cores, connection):
    quantized = toy_chips.loop(seed=cores)
    x = np.random.default_rng(cores).normal(0.0, 0.5, (40, 3))
    comparison = compared(tmp_path / "lava", quantized, x, cores, connection=connection, unproved=True)
    assert comparison.values_compared == 2 * 13 * (4 * 39 + 5)
    assert (comparison.differences, comparison.first_difference) == (0, "")


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.usefixtures("toy_programs")
def test_timespans_and_predicted_messages(tmp_path, cores):
    quantized, random = toy_chips.timed(seed=cores), np.random.default_rng(cores)
    x, timespans = random.normal(0.0, 0.5, (60, 3)), random.uniform(0.0, 4.0, 60)
    comparison = compared(tmp_path / "lava", quantized, x, cores, timespans, unproved=True)
    assert (comparison.differences, comparison.values_compared) == (0, 2 * 8 * (4 * 59 + 4))


@pytest.mark.usefixtures("toy_programs")
def test_a11_saturation_in_lava_is_counted_and_does_not_wrap(tmp_path):
    # Two inputs of 2**15 - 1 through weights of 254 bring 16,645,636, beyond 24 bits, and the third sample takes them away again.
    populations = (
        toy_chips.population("input", "", 2),
        toy_chips.population("neuron", "toy.follow", 1, state=toy_chips.QFormat(24, 0), message_bits=24),
    )
    quantized = toy_chips.network(
        populations, (toy_chips.projection("input", "neuron", "value", [[254], [254]], "excitatory"),), 2, 1, "neuron"
    )
    comparison = compared(tmp_path / "lava", quantized, np.array([[0, 0], [40, 40], [-40, -40], [0, 0]]), unproved=True)
    assert comparison.differences == 0
    assert comparison.saturations == 2


@pytest.mark.parametrize("connection", ["sparse", "dense"])
@pytest.mark.usefixtures("toy_programs")
def test_a10_sums_are_those_of_the_stored_synapses(tmp_path, connection):
    weights = np.array(
        [[0, 40], [-2, -2]]
    )  # (source, target): what Lava's format leaves of the case; 3 synapses, its third source has none
    inputs = toy_chips.population("input", "", 3, state=toy_chips.QFormat(12, 0), message_bits=12)
    neurons = toy_chips.population("neuron", "toy.follow", 2, state=toy_chips.QFormat(24, 0), message_bits=24)
    wire = toy_chips.projection("input", "neuron", "value", [*weights.tolist(), [0, 0]], "mixed")
    quantized = toy_chips.network((inputs, neurons), (wire,), 1, 1, "neuron")
    x = np.random.default_rng(10).integers(-500, 500, (1000, 3))
    x[0] = 1, 2, 3
    comparison = compared(tmp_path / "lava", quantized, x, connection=connection)
    assert (comparison.differences, comparison.values_compared) == (0, 2 * 5 * 1001)
    states = toy_chips.execute(quantized, x, 1001)["neuron"][0]
    assert states[1].tolist() == [-4, 36]
    assert (states[1:] == x[:, :2] @ weights).all()


@pytest.mark.usefixtures("toy_programs")
def test_a24_a_message_sent_at_a_tick_arrives_at_the_next(tmp_path):
    quantized = toy_chips.chain()
    x = np.zeros((12, 1))
    x[5:] = 0.25
    assert compared(tmp_path / "lava", quantized, x).differences == 0
    # Lava agrees with this trace at every tick, so its ticks are Lava's: input at 5, then one more for each neuron.
    states = toy_chips.execute(quantized, quantized.input_format.quantize(x), 16)["neuron"][0]
    assert (states != 0).argmax(axis=0)[::-1].tolist() == [6, 7, 8, 9]


@pytest.mark.skipif(importlib.util.find_spec("lava") is None, reason="needs Python 3.10 with the lava extra")
@pytest.mark.usefixtures("toy_programs")
def test_live_processes_in_process():
    quantized = toy_chips.loop()
    x = np.random.default_rng(0).normal(0.0, 0.5, (5, 3))
    graph = to_lava(toy_chips.mapping(quantized), x, unproved=True)
    try:
        graph.run(13)
        state = graph.groups["neuron"].state.get()
        graph.run(4)
        later = graph.groups["neuron"].state.get()
    finally:
        graph.stop()
    expected = toy_chips.execute(quantized, quantized.input_format.quantize(x), 17)["neuron"][0]
    assert (state == expected[12]).all()
    assert (later == expected[16]).all()


@pytest.mark.skipif(importlib.util.find_spec("lava") is None, reason="needs Python 3.10 with the lava extra")
@pytest.mark.usefixtures("toy_programs")
def test_live_processes_between_processes_of_the_user():
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    quantized = toy_chips.loop()
    rows = quantized.input_format.quantize(np.random.default_rng(0).normal(0.0, 0.5, (5, 3)))
    sensor = Source(data=np.repeat(rows, quantized.ticks_per_sample, axis=0).T)
    motor, spikes = (Sink(shape=(4,), buffer=20) for _ in range(2))
    graph = to_lava(toy_chips.mapping(quantized), unproved=True)
    sensor.s_out.connect(graph.groups["input"].values_in)
    graph.groups["neuron"].probe.connect(motor.a_in)
    graph.groups["neuron"].spikes.connect(spikes.a_in)
    try:
        graph.run(20)
        states, sent = motor.data.get().T, spikes.data.get().T
    finally:
        graph.stop()
    expected = toy_chips.execute(quantized, rows, 20)["neuron"]
    assert (states == expected[0]).all()
    assert (sent == expected[1]).all()


@pytest.mark.skipif(importlib.util.find_spec("lava") is None, reason="needs Python 3.10 with the lava extra")
def test_live_processes_of_lava_alone_between_processes_of_the_user():
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    network = liquid_neuro.cfc(4, inputs=3, backbone_layers=0, seed=1)
    profile = hardware_profiles.load("loihi2")
    mapping = library_mapping(mappers.map_network(mappers.quantize(network, profile), profile))
    quantized, x = mapping.quantized, walk(5, 3)
    sensor = Source(data=np.repeat(quantized.input_format.quantize(x), quantized.ticks_per_sample, axis=0).T)
    motor = Sink(shape=(4,), buffer=20)
    graph = to_lava(mapping, processes="library")
    sensor.s_out.connect(graph.groups["input"].a_in)
    graph.groups["unit"].s_out.connect(motor.a_in)
    try:
        graph.run(20)
        sent = motor.data.get().T
    finally:
        graph.stop()
    expected = chip_trace(quantized, quantized.input_format.quantize(x), 4 * 4 + quantized.read_tick + 1)["unit"][1]
    assert (sent == expected[:20]).all()


@pytest.mark.skipif(importlib.util.find_spec("lava") is None, reason="needs Python 3.10 with the lava extra")
def test_a09_the_weight_format_is_that_of_lava_itself():
    from lava.utils.weightutils import SignMode, clip_weights, truncate_weights

    from mappers.exporters.lava_checks import weight_format

    weights = np.random.default_rng(0).integers(-300, 300, 2000)
    for name, mode in (("mixed", SignMode.MIXED), ("excitatory", SignMode.EXCITATORY), ("inhibitory", SignMode.INHIBITORY)):
        for bits in range(1, 9):
            theirs = truncate_weights(clip_weights(weights, mode, num_bits=8), mode, bits)
            assert (weight_format(weights, name, bits) == theirs).all()
