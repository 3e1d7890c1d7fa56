"""A CfC from library neurons alone: what it is made of, how close it comes, what it refuses, and the folder without Lava."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import naive_integer
import networks
import numpy as np
import pytest
import toy_chips

import hardware_profiles
import mappers
from event_sim.fixed import state_words
from hardware_profiles.fixed_point import QFormat
from liquid_neuro import Wiring, cfc, integrate, ltc
from liquid_neuro.__main__ import run
from liquid_neuro.cells.cfc_library import WORD, curve_of
from liquid_neuro.cells.rectifiers import bank_of
from liquid_neuro.quantized_network import Projection
from mappers.exporters import ExportError, export
from mappers.exporters.lava import library_mapping
from mappers.exporters.lava_compare import chip_trace
from mappers.proofs.intervals import message_ranges, sum_range
from mappers.proofs.verification import verify
from mappers.quantization_library import quantize_library

LOIHI = hardware_profiles.load("loihi2")


def walk(samples: int, channels: int, seed: int = 0) -> np.ndarray:
    return np.clip(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.08, (samples, channels)), axis=0), -2.0, 2.0)


def small(**options: Any) -> Any:
    return cfc(options.pop("wiring_or_units", 4), inputs=options.pop("inputs", 3), seed=2, **options)


def wired(mode: str = "default") -> Any:
    return cfc(Wiring.ncp(3, 4, 3, 2, 2, 2, 3, 2, seed=1), mode=mode, seed=2)


@pytest.mark.parametrize("name", ["tanh", "time", "hidden"])
@pytest.mark.parametrize(("knots", "error"), [(8, 0.036), (16, 0.0104)])
def test_banks_of_rectifiers_draw_the_curves(name, knots, error):
    # The best lines of 8 knots miss tanh by 0.017 and lecun_tanh by 0.029; slopes on a grid of 1 / 32 cost up to a fifth more.
    function, _ = curve_of(name, "lecun_tanh")
    x = np.linspace(-15.0, 15.0, 20_001)
    bank = bank_of(function, knots, 1 / 32)
    drawn = sum(step / 32 * (np.maximum(x - knot, 0) - np.maximum(-knot, 0)) for step, knot in zip(bank.steps, bank.knots, strict=True))
    assert np.abs(drawn - function(x)).max() < error
    assert sum(bank.steps) == 0
    assert bank.knots == tuple(sorted(bank.knots))
    assert bank.knots == tuple(-knot for knot in bank.knots[::-1])


def test_a_unit_takes_three_banks_and_six_neurons():
    quantized = quantize_library(wired(), LOIHI, knots=8)
    assert {one.program for one in quantized.populations} == {"", "lava.relu", "lava.sigma", "lava.relay", "lava.product", "lava.delta"}
    chain = 2 * (4 * 2 + 1)  # the start, and its copies until the third layer begins
    assert quantized.compartments == 9 * (3 * 8 + 6) + chain
    assert quantized.ticks_per_sample == 4
    assert [quantized.population(f"layer_{layer}").first_tick for layer in range(3)] == [1, 5, 9]
    backbone = quantize_library(small(backbone_layers=2, backbone_units=6), LOIHI, knots=8)
    assert backbone.ticks_per_sample == 12
    assert Counter(one.program for one in backbone.populations)["lava.hidden"] == 2


@pytest.mark.parametrize(
    "network",
    [wired("no_gate"), small(backbone_layers=2, backbone_units=5)],
    ids=["wired, no_gate", "backbone"],
)
def test_the_naive_simulator_and_the_kernel_agree(network):
    x = walk(12, network.inputs)
    quantized = quantize_library(network, LOIHI, calibration=x, knots=4)
    rows = quantized.input_format.quantize(x)
    plain = naive_integer.run(quantized, rows.tolist())
    trace = chip_trace(quantized, rows, len(plain["states"]))
    for population in quantized.populations:
        assert trace[population.name][0].tolist() == [states[population.name] for states in plain["states"]]
    assert not plain["machine"].saturations
    first = quantized.population(quantized.output_population)
    assert not trace[first.name][0][
        : first.first_tick + quantized.ticks_per_sample - 1
    ].any()  # nothing moves before the first sample arrives


@pytest.mark.parametrize(
    ("name", "share"),
    [("cfc_wired_ncp19", 0.035), pytest.param("cfc_default", 0.05, marks=pytest.mark.slow), ("cfc_wired_auto32", 0.03)],
)
def test_outputs_come_close_to_the_float_network(name, share):
    # Lines of 16 knots and 8-bit weights; measured 2.1 %, 3.3 % and 1.9 % of the outputs' standard deviation over 200 samples.
    network, _ = networks.golden(name)
    x = np.random.default_rng(1).normal(0.0, 1.0, (100, network.inputs)).clip(-2.0, 2.0)
    quantized = quantize_library(network, LOIHI, calibration=x)
    y, _ = integrate(network, x)
    error = quantized.output(state_words(quantized, x))[0] - y
    assert np.sqrt(np.mean(error**2)) < share * y.std()
    assert quantized.notes["error"]["samples"] > 0


def test_sums_of_banks_are_proved_to_fit():
    network = wired()
    x = 2.0 * np.random.default_rng(0).normal(0.0, 1.0, (60, 3)).clip(-2, 2)
    quantized = quantize_library(network, LOIHI, calibration=x, knots=8)
    assert str(verify(quantized)).startswith("Proved: ")
    rows = quantized.input_format.quantize(x)
    trace, ranges = chip_trace(quantized, rows, 4 * 59 + quantized.read_tick + 1), message_ranges(quantized)
    for population in quantized.populations:
        if population.program == "lava.sigma":
            low, high = (end + population.parameters["start"] for end in sum_range(quantized, ranges, population.name, "value"))
            states = trace[population.name][0]
            assert (low <= states.min(axis=0)).all()
            assert (states.max(axis=0) <= high).all()


def test_rectifiers_of_two_arguments_are_not_taken_for_one():
    """relu(x) - relu(y) with x and y of 100 messages each reaches as far as both; with x in both places it is 0."""
    one = np.array([0, 1])
    bank = toy_chips.population("bank", "lava.relu", 2, parameters={"bias": one * 0, "rest": one * 0}, state=WORD, message_bits=24)
    total = toy_chips.population("total", "lava.sigma", 1, parameters={"start": one[:1]}, state=WORD, message_bits=24)
    inputs = toy_chips.population("input", "", 2, state=QFormat(8, 0), message_bits=8)
    difference = Projection("bank", "total", "value", one, one * 0, np.array([2, -2]), "mixed", 8)
    for matrix, expected in (([[1, 0], [0, 1]], (-2 * 127, 2 * 127)), ([[1, 1], [0, 0]], (0, 0))):
        wire = toy_chips.projection("input", "bank", "value", matrix, "excitatory")
        quantized = toy_chips.network((inputs, bank, total), (wire, difference), 1, 1, "total")
        low, high = sum_range(quantized, message_ranges(quantized), "total", "value")
        assert (int(low[0]), int(high[0])) == expected
        coarse = replace(quantized, populations=(inputs, replace(bank, threshold=2), total))  # what is sent is no longer what is computed
        assert sum_range(coarse, message_ranges(coarse), "total", "value")[1][0] == 2 * 127


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (ltc(Wiring.random(3, 5, 2, 0.4, seed=1), seed=1), "network must be a CfC to be built from library neurons, but is an LTC"),
        (small(mode="pure"), "settings.mode must be default or no_gate for library neurons, but is pure"),
        (small(mixed_memory=True), "network must be without mixed memory to be built from library neurons"),
        (small(dialect="keras"), "settings.dialect must be torch for library neurons, but is keras"),
        (small(activation="relu"), "settings.activation must be lecun_tanh or tanh for library neurons, but is relu"),
    ],
    ids=["ltc", "pure", "mixed", "keras", "relu"],
)
def test_what_library_neurons_cannot_do_is_refused_in_a_sentence(network, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        quantize_library(network, LOIHI)


def test_knots_and_bits_are_checked():
    for knots in (3, 0, 2.0, True):
        with pytest.raises(ValueError, match=r"knots must be an even whole number of at least 2, but is"):
            quantize_library(wired(), LOIHI, knots=knots)
    with pytest.raises(ValueError, match=r'bits must name "weights" or "message" for library neurons'):
        quantize_library(wired(), LOIHI, bits={"state": 12})
    with pytest.raises(ValueError, match=r'profile.kind must be "loihi" for library neurons, but is "microcontroller" \(cortex_m4\)'):
        quantize_library(wired(), hardware_profiles.load("cortex_m4"))
    with pytest.raises(ValueError, match=r"profile must have messages of 9 bits for population input, but loihi1 has 1"):
        quantize_library(wired(), hardware_profiles.load("loihi1"), input_range=(-2, 2))
    with pytest.raises(ValueError, match=r"messages must have at least 4 fraction bits"):
        quantize_library(wired(), LOIHI, input_range=(-1e6, 1e6))


def test_the_folder_names_nothing_but_processes_of_lava(tmp_path):
    mapping = mappers.map_network(mappers.quantize(wired(), LOIHI, calibration=walk(30, 3)), LOIHI)
    files = export(mapping, "lava", tmp_path / "lava", processes="library").files
    assert {"network/programs.py", "network/processes/compartments.py", "programs.txt"}.isdisjoint(files)
    settings = json.loads((tmp_path / "lava" / "network.json").read_text())
    assert {one["process"] for one in settings["populations"]} == {"Delta", "SigmaDelta", "Sigma", "GradedVec", "ProdNeuron"}
    divided = {(one["source"].split("_")[0], one["weight_exp"]) for one in settings["projections"] if one["weight_exp"]}
    assert divided == {("sum", -8), ("relay", -7), ("product", -7)}  # they send values, the others deltas
    readme = (tmp_path / "lava" / "README.md").read_text()
    assert "Nothing but neurons that Lava brings" in readme
    assert "@@" not in readme
    assert re.search(r"On 64 samples outputs were 0\.0\d+ \(rms\) from it, \d\.\d\d% of their standard deviation", readme)
    assert "with larger ones Lava's own processes do not saturate as the simulator does" in readme
    assert max(map(len, (tmp_path / "lava" / "network" / "neurons.py").read_text().splitlines())) <= 140
    form = library_mapping(mapping)
    assert library_mapping(form) is form
    assert form.quantized.compartments == sum(one["size"] for one in settings["populations"] if one["program"])


def test_an_export_from_library_neurons_is_refused_where_there_is_none(tmp_path):
    mapping = mappers.map_network(mappers.quantize(ltc(Wiring.random(3, 5, 2, 0.4, seed=1), seed=1), LOIHI), LOIHI)
    with pytest.raises(ExportError, match=r"network must be a CfC to be built from library neurons, but is an LTC"):
        export(mapping, "lava", tmp_path / "lava", processes="library")
    with pytest.raises(ExportError, match=r"unproved must be left out for Lava's own neurons"):
        export(mapping, "lava", tmp_path / "lava", processes="library", unproved=True)
    with pytest.raises(ExportError, match=r'processes must be one of own, library, but is "chip"'):
        export(mapping, "lava", tmp_path / "lava", processes="chip")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_exports_from_library_neurons(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mappers.save_mapping(mappers.map_network(mappers.quantize(wired(), LOIHI), LOIHI), tmp_path / "mapping.npz")
    assert run(["export", "lava", "mapping.npz", "--out", "lava", "--processes", "library", "--json"]) == 0
    assert json.loads((tmp_path / "lava" / "network.json").read_text())["processes"] == "library"
    assert run(["export", "c99", "mapping.npz", "--out", "c", "--processes", "library"]) == 2
