"""What a user may get wrong in plain arguments is one sentence, never an error of Python's own; and results cannot be written to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import GOLDEN_FOLDER, l4

import event_sim
import hardware_profiles
import liquid_neuro
import mappers
from liquid_neuro import Fused, Interface, LTCSettings, Population, Projection, Wiring, cfc, integrate, ltc
from liquid_neuro.__main__ import run

WIRING = Wiring.ncp(3, 5, 3, 2, 3, 2, 3, 2)
LTC, CFC = ltc(WIRING), cfc(4, inputs=3)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: ltc(5), r"wiring must be a Wiring, but is 5; use Wiring.fully_connected\(inputs, units\)"),
        (lambda: cfc(4.5, 2), "wiring_or_units must be a Wiring or a number of units of at least 1, but is 4.5"),
        (lambda: cfc(True, 2), "but is True"),
        (lambda: cfc(4, 2, backbone_units=0), "backbone_units must be at least 1 and whole, but is 0; a CfC without backbone has"),
        (lambda: cfc(4, 2, backbone_layers=-1), "backbone_layers must be at least 0 and whole, but is -1"),
        (lambda: cfc(4, 2, projection=0), "projection must be at least 1 and whole, but is 0"),
        (lambda: ltc(WIRING, time_unit_s=True), "time_unit_s must be a positive number of seconds, but is True"),
        (lambda: ltc(WIRING, seed="a"), "seed must be a whole number 0 to 4294967295, but is 'a'"),
        (lambda: LTCSettings(softplus="no"), "LTCSettings.softplus must be True or False, but is 'no'"),
        (lambda: LTCSettings(epsilon="x"), "LTCSettings.epsilon must be a number of at least 0, but is 'x'"),
        (lambda: Fused(True), "Fused.unfolds must be at least 1 and whole, but is True"),
        (lambda: Wiring.random(2.5, 4), "inputs must be a whole number, but is 2.5"),
        (lambda: Wiring.random(2, 10**12), "units must be at most 2147483647, but is 1000000000000"),
        (lambda: Wiring.ncp(3, 5, 3, 2, 3, 2, -1, 2), "recurrent_command_synapses must be at least 0 and whole, but is -1"),
        (lambda: LTC.with_parameters({"w": "x"}), "parameter w must be an array of numbers, but is 'x'"),
        (lambda: integrate(LTC, "x"), "x must be an array of numbers, but is 'x'"),
        (lambda: liquid_neuro.save(None, "x"), "network must be a LiquidNetwork, but is None"),
        (lambda: liquid_neuro.load(3), "path must be the path of a file, but is 3"),
    ],
)
def test_a_wrong_value_is_named(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


NCP = {"inputs": 3, "inter": 5, "command": 3, "motor": 2, "sensory_fanout": 3, "inter_fanout": 2}
NCP |= {"recurrent_command_synapses": 3, "motor_fanin": 2, "seed": 1}
SMALL = {"inputs": 3, "units": 9, "outputs": 2, "seed": 1}
ADJACENCY = {"adjacency": np.eye(2), "sensory_adjacency": np.ones((1, 2)), "outputs": 1, "roles": None, "layers": (), "gap": None}
NETWORK = {"seed": 0, "time_unit_s": 1.0, "mixed_memory": False, "interface": None}
SAMPLES = np.random.default_rng(0).normal(size=(5, 2))
STREAM = {"events": event_sim.EventStream.from_samples(SAMPLES, sample_s=1.0), "until": 3.0, "engine": "clocked", "tolerance": 1e-3}
STREAM |= {"quantum": None, "order": None, "initial": None, "sample_s": None, "progress": False, "threads": 1, "record": "all"}
ROWS = {"time_s": [0.0, 0.5], "channel": [0, 1], "value": [1.0, 2.0], "sample_times_s": None, "channels": 2, "sample_s": 0.5}
CASES = {
    "simulate": (event_sim.simulate, {"network": l4(), **STREAM, "most_events": 3}),
    "stream": (event_sim.EventStream, {**ROWS, "durations_s": None, "sample_index": None}),
    "from_samples": (event_sim.EventStream.from_samples, {"x": SAMPLES, "sample_s": 1.0, "threshold": 0.1}),
    "from_timespans": (event_sim.EventStream.from_samples, {"x": SAMPLES, "timespans": np.ones(5), "time_unit_s": 2.0}),
    "from_log": (event_sim.EventStream.from_log, {"time_s": np.arange(5.0), "x": SAMPLES, "threshold": 0.1, "until": 6.0}),
    "from_counter": (
        event_sim.EventStream.from_counter,
        {"counter": [3, 5], "channel": [0, 1], "value": [1.0, 2.0], "tick_s": 1e-3, "bits": 32},
    ),
    "with_clock": (STREAM["events"].with_clock, {"sample_s": 1.0, "until": 2.0}),
    "open": (event_sim.open, {"network": l4(), "quantum": 0.1, "initial": None, "sample_s": 1.0, "start_s": 0.0, "order": 1}),
    "push": (event_sim.open(l4(), quantum=0.1, sample_s=1.0).push, {"time_s": 1.0, "channel": 0, "value": 1.0}),
    "advance": (event_sim.open(l4(), quantum=0.1, sample_s=1.0).advance, {"until": 1.0}),
    "output": (event_sim.simulate(l4(), STREAM["events"], engine="clocked").output, {"time_s": 1.0}),
    "ncp": (Wiring.ncp, NCP),
    "auto_ncp": (Wiring.auto_ncp, {**SMALL, "sparsity": 0.5}),
    "random": (Wiring.random, {**SMALL, "sparsity": 0.5}),
    "fully_connected": (Wiring.fully_connected, SMALL),
    "random_fan_in": (Wiring.random_fan_in, {"inputs": 3, "neurons": 9, "outputs": 2, "fan_in": 2, "seed": 1, "sensory_fan_in": 1}),
    "from_adjacency": (Wiring.from_adjacency, ADJACENCY),
    "from_networkx": (Wiring.from_networkx, {"graph": WIRING.to_networkx(), "outputs": None}),
    "wiring": (
        lambda **given: dataclasses.replace(WIRING, **given),
        {name: getattr(WIRING, name) for name in ("source", "polarity", "roles", "layers", "gap_source")},
    ),
    "ltc": (ltc, {"wiring": WIRING, "solver": None, "softplus": True, "epsilon": 0.0, "input_mapping": "none", **NETWORK}),
    "cfc": (cfc, {"wiring_or_units": 4, "inputs": 3, "mode": "pure", "projection": 1, "activation": "relu", "dialect": "torch", **NETWORK}),
    "backbone": (cfc, {"wiring_or_units": 4, "inputs": 3, "backbone_units": 2, "backbone_layers": 2}),
    "interface": (
        lambda **given: ltc(WIRING, interface=Interface(**given)),
        {"channels": (), "input_mean": (), "outputs": (), "decision": "", "threshold": 0.0},
    ),
    "network": (
        lambda **given: dataclasses.replace(LTC, **given),
        {"cell": "ltc", "inputs": 3, "parameters": dict(LTC.parameters), "settings": LTC.settings, "solver": LTC.solver, "wiring": WIRING},
    ),
    "integrate": (integrate, {"network": LTC, "x": np.zeros((2, 3)), "timespans": None, "state": None}),
    "load": (liquid_neuro.load, {}),
    "load_ncps": (
        liquid_neuro.load_ncps,
        {"path": GOLDEN_FOLDER / "ltc_ncp19.npz", "ode_unfolds": 6, "outputs": None, "wiring": None, "prefix": None, "dialect": "torch"},
    ),
}
ODD = [None, True, "x", b"x", -1, 0, 1.5, float("nan"), float("inf"), [], [1, 2], {}, object(), np.array([1.0, 2.0]), np.int64(3), WIRING]
PYTHON = ("broadcast", "inhomogeneous", "could not convert", "truth value", "invalid literal", "unpack", "setting an array", "ambiguous")


@pytest.mark.parametrize("name", CASES)
def test_no_argument_of_any_kind_raises_an_error_of_pythons_own(name, tmp_path):
    call, given = CASES[name]
    given = {"path": liquid_neuro.save(LTC, tmp_path / "network")} if name == "load" else given
    call(**given)  # is right before one argument is made wrong
    for argument in given:
        for value in ODD:
            sentence = refusal(call, {**given, argument: value})
            assert not any(word in sentence for word in PYTHON), (argument, value, sentence)


def refusal(call, arguments) -> str:
    """The sentence of a call's ValueError, "" where it succeeds."""
    try:
        call(**arguments)
    except ValueError as error:
        return str(error)
    return ""


def test_numbers_of_numpy_are_as_good_as_pythons():
    network = cfc(np.int64(4), np.int32(3), projection=np.int64(2), seed=np.uint8(1), time_unit_s=np.float32(0.5))
    assert (network.inputs, network.units, network.outputs, network.time_unit_s) == (3, 4, 2, 0.5)
    assert all(type(size) is int for size in (network.inputs, network.units, network.outputs))
    assert type(network.time_unit_s) is float


def test_what_a_run_left_behind_cannot_be_written_to():
    events = event_sim.EventStream.from_samples(np.random.default_rng(0).normal(size=(5, 2)), sample_s=1.0)
    recording = event_sim.simulate(l4(), events, engine="event", quantum=0.01)
    for array in (recording.state, recording.state_times_s, recording.output_samples, recording.events, recording.event_counts):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    for array in (recording.final.state, recording.final.inputs, recording.quantum):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    assert np.isfinite(event_sim.simulate(l4(), events, initial=recording.final).state).all()


def test_integer_parts_cannot_be_written_to():
    table, weights = np.arange(3), np.array([1, 2])
    population = Population("p", "x", 1, {"a": table}, {"t": table}, None, 0, 8, 1, 0, 1, ("u",))
    projection = Projection("p", "p", "x", weights, weights, weights, "mixed", 8)
    for array in (population.parameters["a"], population.tables["t"], projection.source, projection.weight):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5
    table[0] = 7  # who made the arrays keeps them


def test_the_command_reads_a_part_of_a_larger_model(tmp_path, capsys):
    with np.load(GOLDEN_FOLDER / "ltc_ncp19.npz") as recorded:
        part = {f"policy.{name[3:]}": recorded[name] for name in recorded.files if name.startswith("sd.")}
    np.savez(tmp_path / "whole.npz", **part, **{"head.weight": np.zeros((2, 2))})
    arguments = ["import-ncps", str(tmp_path / "whole.npz"), "--out", str(tmp_path / "n.safetensors"), "--json"]
    assert run(arguments) == 2
    assert "head.weight" in capsys.readouterr().err
    assert run([*arguments, "--prefix", "policy."]) == 0
    assert liquid_neuro.load(tmp_path / "n.safetensors").units == 19


def test_a_quantised_network_is_not_given_another_clock_in_silence():
    stream = event_sim.EventStream.from_samples(np.zeros((5, 2)), sample_s=1.0)
    quantized = mappers.quantize(l4(), hardware_profiles.load("loihi2"), calibration=SAMPLES)
    with pytest.raises(ValueError, match="`sample_s` must not be given for a stream that has its own sample clock"):
        event_sim.simulate(quantized, stream, sample_s=0.25)
    assert event_sim.simulate(quantized, stream, sample_s=1.0).activity.samples == 5


def test_what_another_stage_takes_is_named():
    profile = hardware_profiles.load("loihi2")
    quantized = mappers.quantize(l4(), profile, calibration=SAMPLES)
    mapping = mappers.map_network(quantized, profile)
    for call, sentence in (
        (
            lambda: mappers.map_network(l4(), profile),
            "`quantized` must be of the class QuantizedNetwork, but is of LiquidNetwork",
        ),
        (lambda: mappers.map_network(quantized, "loihi2"), r"`profile` must be of the class HardwareProfile, but is of str; load one by"),
        (lambda: mappers.map_network(quantized, profile, cores=1.5), r"cores: 1.5 needed, 128 available on loihi2; ask for 1 to 128"),
        (lambda: mappers.map_network(quantized, profile, seed="x"), "seed must be a whole number"),
        (lambda: mappers.map_network(quantized, profile, placer=[]), "`placer` must be one of"),
        (lambda: mappers.check(quantized), "`mapping` must be of the class Mapping, but is of QuantizedNetwork; make one by map_network"),
        (lambda: mappers.cost(quantized, None), "`mapping` must be of the class Mapping"),
        (lambda: mappers.export(quantized, "c99", "x"), "mapping must be a Mapping, but is a QuantizedNetwork; make one by"),
        (lambda: mappers.export(mapping, None, "x"), "target must be one of akida, c99, lava, but is"),
        (lambda: mappers.export(mapping, "c99", None), "folder must be the path of a file, but is None"),
    ):
        with pytest.raises(ValueError, match=sentence):
            call()
