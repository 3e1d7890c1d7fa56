"""The own file format: bit for bit, self-contained, and one sentence for every bad file."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from networks import GOLDEN, GOLDEN_FOLDER, golden, l4
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import liquid_neuro
from liquid_neuro import Exact, Fused, Interface, LTCSettings, Wiring, cfc, integrate, load, save
from liquid_neuro.validation import validate

INTERFACE = Interface(("a", "b"), ("V", "°C"), (0.1, 1e-300), (1.5, -2.0), ("door",), "threshold", 1 / 3)


def same(first, second) -> bool:
    plain = ("cell", "inputs", "units", "outputs", "settings", "solver", "wiring", "interface", "time_unit_s")
    equal = all(getattr(first, name) == getattr(second, name) for name in plain)
    names = list(first.parameters) and sorted(first.parameters) == sorted(second.parameters)
    return bool(equal and names and all((first.parameters[name] == second.parameters[name]).all() for name in first.parameters))


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_networks_come_back_bit_for_bit(name, tmp_path):
    network, recorded = golden(name)
    again = load(save(network, tmp_path / "a.safetensors"))
    assert same(network, again)
    assert integrate(again, recorded["x"])[0].tobytes() == integrate(network, recorded["x"])[0].tobytes()
    save(again, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a15_everything_that_changes_the_result_is_in_the_file(tmp_path):
    for solver in (Fused(3), Exact(), Fused()):
        network = dataclasses.replace(l4(True, solver), interface=INTERFACE, time_unit_s=60.0, settings=LTCSettings(True, 1e-6))
        path = save(network, tmp_path / "l4.safetensors")
        assert same(network, load(path))
        with safe_open(path, "numpy") as file:
            header = json.loads(file.metadata()["liquid_neuro"])
        assert header["solver"]["name"] == type(solver).__name__
        assert header["settings"] == {"softplus": True, "epsilon": 1e-6}
    keras = cfc(3, 2, mode="no_gate", activation="gelu", dialect="keras", mixed_memory=True, projection=4)
    assert same(keras, load(save(keras, tmp_path / "keras.safetensors")))
    wired = cfc(Wiring.ncp(3, 4, 3, 2, 2, 2, 2, 2), projection=5)
    assert same(wired, load(save(wired, tmp_path / "wired.safetensors")))


def rewritten(tmp_path, change_header=lambda header: None, change_tensors=lambda tensors: None):
    path = save(l4(), tmp_path / "good.safetensors")
    with safe_open(path, "numpy") as file:
        header = json.loads(file.metadata()["liquid_neuro"])
    tensors = load_file(path)
    change_header(header)
    change_tensors(tensors)
    save_file(tensors, tmp_path / "bad.safetensors", {"liquid_neuro": json.dumps(header)})
    return tmp_path / "bad.safetensors"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda h: h.update(format_version=99), "format_version must be 1, but is 99; update liquid-neuro"),
        (lambda h: h.pop("solver"), "lacks \\['solver'\\]"),
        (lambda h: h.update(more=1), "adds \\['more'\\]"),
        (lambda h: h.update(cell="gru"), 'cell must be "ltc" or "cfc"|CfCSettings must hold'),
        (lambda h: h.update(units="4"), "units must be an integer, but is '4'"),
        (lambda h: h.update(units=5), "roles must hold one role per unit"),
        (lambda h: h.update(time_unit_s=-1), "time_unit_s must be a positive number"),
        (lambda h: h.update(time_unit_s=None), "time_unit_s must be a number, but is None"),
        (lambda h: h.update(solver={"name": "Euler"}), "solver must be one of Fused, Exact, ClosedForm"),
        (lambda h: h.update(solver={"name": "Fused", "unfolds": 0}), "unfolds must be at least 1"),
        (lambda h: h.update(solver={"name": "Fused", "unfolds": 2.5}), "Fused.unfolds must be int, but is 2.5"),
        (lambda h: h.update(settings={"softplus": 1, "epsilon": 0.1}), "softplus must be bool, but is 1"),
        (lambda h: h["interface"].update(decision="maybe"), "interface.decision must be one of"),
        (lambda h: h["interface"].update(channels=["a"]), "interface.channels must be empty or have 2 entries, but has 1"),
        (lambda h: h["interface"].update(input_mean=["a", "b"]), "input_mean must be a number, but is 'a'"),
        (lambda h: h["wiring"].update(layers=3), "wiring.layers must be lists"),
        (lambda h: h.update(wiring=None), "wiring must be given|tensors that belong neither"),
    ],
)
def test_bad_headers_are_one_sentence(tmp_path, change, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        load(rewritten(tmp_path, change_header=change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.pop("parameters.w"), 'parameters must hold "w"'),
        (lambda t: t.update({"parameters.w": t["parameters.w"].astype(np.float32)}), "parameters must be float64"),
        (lambda t: t.update({"parameters.w": t["parameters.w"][:3]}), "parameter w must have shape"),
        (lambda t: t.update({"parameters.w": -t["parameters.w"]}), "w must be at least 0 without softplus, but w\\[0\\] is -"),
        (lambda t: t.update({"wiring.polarity": t["wiring.polarity"] * 2}), "polarity must be -1 or \\+1"),
        (lambda t: t.update({"wiring.source": t["wiring.source"] + 3}), "source must be an integer 0 to 3"),
        (lambda t: t.update({"stray": np.zeros(1)}), "tensors that belong neither"),
    ],
)
def test_bad_tensors_are_one_sentence(tmp_path, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        load(rewritten(tmp_path, change_tensors=change))


def test_foreign_and_damaged_files(tmp_path):
    with pytest.raises(ValueError, match="import ncps files with load_ncps"):
        load(GOLDEN_FOLDER / "ltc_ncp19.safetensors")
    with pytest.raises(ValueError, match=r"open it with liquid_neuro\.load"):
        liquid_neuro.load_ncps(save(l4(), tmp_path / "own.safetensors"))
    with pytest.raises(ValueError, match="there is none"):
        load(tmp_path / "missing")
    whole = (tmp_path / "own.safetensors").read_bytes()
    rng = np.random.default_rng(3)
    path = tmp_path / "damaged.safetensors"
    sentences, cut = [], 0
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[int(rng.integers(len(whole)))] ^= int(rng.integers(1, 256))
        shorter = rng.random() < 0.2
        path.write_bytes(bytes(damaged[: int(rng.integers(len(whole))) if shorter else len(whole)]))
        try:
            network = load(path)
        except ValueError as error:
            sentences.append(str(error))
            cut += shorter
            continue
        assert not shorter  # a changed number may pass, a missing one not
        assert network.units == 4
        assert all(np.isfinite(value).all() for value in network.parameters.values())
    assert cut > 10
    assert len(sentences) > 30
    assert all(str(path) in sentence and "\n" not in sentence for sentence in sentences)


def test_a_failed_save_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="must lie in an existing folder"):
        save(l4(), tmp_path / "nowhere" / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_networks_are_values():
    network = l4()
    with pytest.raises(ValueError, match="read-only"):
        network.parameters["w"][0] = 3.0
    with pytest.raises(TypeError):
        network.parameters["w"] = 3.0
    with pytest.raises(ValueError, match='solver must be "fused", "exact"'):
        network.with_solver("euler")
    with pytest.raises(ValueError, match="solver of a CfC must be ClosedForm"):
        cfc(3, 2).with_solver("exact")
    assert validate(network) is None


def test_settings_become_plain_values_and_survive_saving(tmp_path: Path) -> None:
    interface = Interface(("a", "b"), input_mean=np.zeros(2), input_scale=np.ones(2))  # type: ignore[arg-type]
    wiring = liquid_neuro.Wiring.auto_ncp(2, 8, 1)
    network = liquid_neuro.ltc(wiring, solver=liquid_neuro.Fused(np.int64(4)), softplus=np.bool_(True), interface=interface)
    liquid_neuro.save(network, tmp_path / "network.safetensors")
    loaded = liquid_neuro.load(tmp_path / "network.safetensors")
    assert (loaded.solver, loaded.settings, loaded.interface) == (network.solver, network.settings, network.interface)


@pytest.mark.parametrize("unfolds", [0, 1.5, True, np.bool_(True)])
def test_unfolds_are_whole_numbers(unfolds: object) -> None:
    with pytest.raises(ValueError, match="unfolds must be at least 1 and whole"):
        liquid_neuro.Fused(unfolds)  # type: ignore[arg-type]


def test_mean_and_scale_go_together_and_channels_differ() -> None:
    wiring = liquid_neuro.Wiring.auto_ncp(2, 8, 1)
    for interface in (
        Interface(input_mean=(0.0, 0.0)),
        Interface(input_scale=(1.0, 1.0)),
        Interface(("a", "a")),
    ):
        with pytest.raises(ValueError, match="must"):
            liquid_neuro.ltc(wiring, interface=interface)


def test_a_network_can_be_copied_and_pickled() -> None:
    network = liquid_neuro.ltc(liquid_neuro.Wiring.auto_ncp(2, 8, 1), seed=3)
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        x = np.ones((3, 2))
        assert liquid_neuro.integrate(twin, x)[0].tobytes() == liquid_neuro.integrate(network, x)[0].tobytes()
