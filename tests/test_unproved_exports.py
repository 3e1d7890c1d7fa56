"""Exports of what is not proved: refused, and written when told so, with what is not proved in them and a warning."""

from __future__ import annotations

import json
from dataclasses import replace

import c99_host
import numpy as np
import pytest
from networks import golden
from test_integers import walk

import hardware_profiles
import mappers
from event_sim import EventStream, fixed
from liquid_neuro.__main__ import run
from mappers.exporters import ExportError
from mappers.mapping_storage import save_mapping

LOIHI = hardware_profiles.load("loihi2")


def mapping_of(quantized):
    return mappers.map_network(quantized, LOIHI)


def golden_integers(name="ltc_ncp19"):
    network, arrays = golden(name)
    return mappers.quantize(network, LOIHI, calibration=arrays["x"][0].astype(float))


def narrow_sums():
    """A network whose running sums have two bits less than they may need."""
    return replace(golden_integers(), accumulator_bits=22)


def wild_table():
    """A network whose reciprocal table makes products leave 32 bits."""
    quantized = golden_integers()
    populations = tuple(
        replace(p, tables={**p.tables, "reciprocal": 8 * p.tables["reciprocal"]}) if "reciprocal" in p.tables else p
        for p in quantized.populations
    )
    return replace(quantized, populations=populations)


@pytest.mark.parametrize("target", ["c99", "lava"])
@pytest.mark.parametrize(("make", "place"), [(narrow_sums, "22 bits"), (wild_table, "neuron")])
def test_what_is_not_proved_is_refused_unless_told_otherwise(tmp_path, target, make, place):
    mapping, folder = mapping_of(make()), tmp_path / "out"
    with pytest.raises(ExportError, match="say unproved=True") as refused:
        mappers.export(mapping, target, folder)
    assert place in str(refused.value) or "running sum" in str(refused.value)
    assert not folder.exists()
    with pytest.warns(UserWarning, match="the export is not proved: "):
        mappers.export(mapping, target, folder, unproved=True)
    failures = mappers.verify(mapping.quantized).failures
    assert failures
    for file in ("README.md", *(["liquid.h"] if target == "c99" else [])):
        text = (folder / file).read_text()
        assert "NOT PROVED" in text
        listed = text if target == "lava" else text.replace("* /", "*/").replace("/ *", "/*")
        assert all(str(failure) in listed for failure in failures), file


@pytest.mark.filterwarnings("ignore:the export is not proved")
def test_c99_saturates_sums_that_are_not_proved(tmp_path):
    """Where no sum leaves its word the code is the simulator; where one does it stays in the word, without undefined behaviour."""
    quantized = narrow_sums()
    x = 0.2 * walk(quantized.network, 200, 0)
    assert fixed.run_chip(quantized, EventStream.from_samples(x, sample_s=1.0)).activity.total_saturations == 0
    words = quantized.input_format.quantize(x)[None]
    program = c99_host.built(c99_host.exported(quantized, tmp_path / "c", unproved=True), *c99_host.SANITIZED)
    states, _ = c99_host.run(program, quantized, words)
    assert np.array_equal(states, fixed.state_words(quantized, quantized.input_format.to_real(words)))
    short = replace(quantized, accumulator_bits=17)
    program = c99_host.built(c99_host.exported(short, tmp_path / "short", unproved=True), *c99_host.SANITIZED)
    states, _ = c99_host.run(program, short, words)
    neurons = short.population("neuron").state
    assert neurons.lowest <= states.min()
    assert states.max() <= neurons.highest
    wild = wild_table()
    program = c99_host.built(c99_host.exported(wild, tmp_path / "wild", unproved=True), "-O2", "-fwrapv")
    c99_host.run(program, wild, words)


def test_what_is_proved_is_exported_as_without_the_option(tmp_path):
    mapping = mapping_of(golden_integers())
    for target in ("c99", "lava"):
        files = [mappers.export(mapping, target, tmp_path / f"{target}{flag}", unproved=flag).files for flag in (False, True)]
        assert files[0] == files[1]


def test_the_command_takes_the_option(tmp_path, capsys):
    path = save_mapping(mapping_of(narrow_sums()), tmp_path / "mapping.npz")
    command = ["export", "c99", str(path), "--out", str(tmp_path / "out"), "--json"]
    assert run(command) == 2
    assert "say unproved=True" in capsys.readouterr().err
    assert run([*command, "--unproved"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "liquid.c" in told["files"]
    assert told["warning"].startswith("the export is not proved: running sum conductance of neuron")


def test_a_frame_chip_is_told_what_is_not_proved(tmp_path):
    network, arrays = golden("cfc_wired_ncp19")
    akida = hardware_profiles.load("akida1000")
    quantized = mappers.quantize(network, akida, calibration=arrays["x"][0].astype(float))
    populations = tuple(
        replace(p, parameters={**p.parameters, "reciprocal": 1000 * p.parameters["reciprocal"]}) if p.program == "cfc_heads.head" else p
        for p in quantized.populations
    )
    mapping = replace(mappers.map_network(quantized, akida), quantized=replace(quantized, populations=populations))
    with pytest.raises(ExportError, match="say unproved=True"):
        mappers.export(mapping, "akida", tmp_path / "out")
    with pytest.warns(UserWarning, match="the export is not proved: "):
        mappers.export(mapping, "akida", tmp_path / "out", unproved=True)
    failures = [str(failure) for failure in mappers.verify(mapping.quantized).failures]
    assert json.loads((tmp_path / "out" / "model.json").read_text())["not_proved"] == failures
    assert all(failure in (tmp_path / "out" / "README.md").read_text() for failure in failures)
