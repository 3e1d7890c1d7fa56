"""Quantised networks, recordings and mappings as files: bit for bit, and every damage is one sentence."""

from __future__ import annotations

import dataclasses
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import event_sim
import hardware_profiles
import liquid_neuro
import mappers
from event_sim.chip_machine import layout_of
from event_sim.recording_storage import load_recording, save_recording
from liquid_neuro.archive import archive_kind, read_archive, write_archive
from liquid_neuro.quantized_storage import load_quantized, save_quantized
from mappers.mapping_storage import load_mapping, save_mapping


def same(left: Any, right: Any, place: str = "") -> None:
    """Equal in every bit, field by field."""
    assert type(left) is type(right) or (isinstance(left, Mapping) and isinstance(right, Mapping)), place
    if isinstance(left, np.ndarray):
        assert left.dtype == right.dtype, place
        assert left.shape == right.shape, place
        assert left.tobytes() == right.tobytes(), place
    elif dataclasses.is_dataclass(left):
        for field in dataclasses.fields(left):
            same(getattr(left, field.name), getattr(right, field.name), f"{place}.{field.name}")
    elif isinstance(left, Mapping):
        assert list(left) == list(right), place
        for key in left:
            same(left[key], right[key], f"{place}[{key}]")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), place
        for number, (one, other) in enumerate(zip(left, right)):
            same(one, other, f"{place}[{number}]")
    elif isinstance(left, float):
        assert np.float64(left).tobytes() == np.float64(right).tobytes(), place
    else:
        assert left == right, place


@pytest.fixture(scope="module")
def stages():
    """A small network through every stage."""
    wiring = liquid_neuro.Wiring.ncp(
        2, inter=5, command=3, motor=1, sensory_fanout=3, inter_fanout=2, recurrent_command_synapses=3, motor_fanin=3, seed=7
    )
    network = liquid_neuro.ltc(wiring, seed=1)
    x = np.cumsum(np.random.default_rng(0).normal(0, 0.1, (40, 2)), axis=0)
    events = event_sim.EventStream.from_samples(x, sample_s=1.0, threshold=0.01)
    quantized = mappers.quantize(network, hardware_profiles.load("loihi2"), calibration=events)
    recording, chip_run = event_sim.simulate(network, events), event_sim.simulate(quantized, events)
    return {
        "quantized": quantized,
        "recording": recording,
        "chip_run": chip_run,
        "mapping": mappers.map_network(quantized, hardware_profiles.load("loihi2"), traffic=chip_run),
    }


CASES = [
    ("quantized", save_quantized, load_quantized),
    ("recording", save_recording, load_recording),
    ("chip_run", save_recording, load_recording),
    ("mapping", save_mapping, load_mapping),
]


@pytest.mark.parametrize(("name", "save", "load"), CASES)
def test_files_hold_every_bit(name, save, load, stages, tmp_path):
    path = save(stages[name], tmp_path / "value.npz")
    same(stages[name], load(path))
    assert path.read_bytes() == save(load(path), tmp_path / "again.npz").read_bytes()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["again.npz", "value.npz"]


def test_a_loaded_network_runs_and_continues_as_the_saved_one(stages, tmp_path):
    x = np.cumsum(np.random.default_rng(1).normal(0, 0.1, (30, 2)), axis=0)
    events = event_sim.EventStream.from_samples(x, sample_s=1.0)
    loaded = load_quantized(save_quantized(stages["quantized"], tmp_path / "q.npz"))
    before = load_recording(save_recording(stages["chip_run"], tmp_path / "r.npz"))
    first = event_sim.simulate(stages["quantized"], events, initial=stages["chip_run"].final)
    second = event_sim.simulate(loaded, events, initial=before.final)
    same(first.state, second.state)
    same(first.event_counts, second.event_counts)


@pytest.mark.parametrize(("name", "save", "load"), CASES)
def test_every_damage_is_one_sentence(name, save, load, stages, tmp_path):
    path = save(stages[name], tmp_path / "value.npz")
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    bad = tmp_path / "bad.npz"
    variants = [content[: int(share * len(content))] for share in (0.0, 0.1, 0.5, 0.99)]
    for place in generator.integers(0, len(content), 60):
        variants.append(content[:place] + bytes([content[place] ^ int(generator.integers(1, 256))]) + content[place + 1 :])
    for variant in variants:
        bad.write_bytes(variant)
        value, sentence = attempt(load, bad)
        if value is None:
            assert "bad.npz" in sentence
            assert "\n" not in sentence
        else:
            # A changed bit that no reader looks at (a flag or a date in the zip's directory) leaves the value as it was.
            same(stages[name], value)


def attempt(load: Any, path: Any) -> tuple[Any, str]:
    """The value of a file, or None and why there is none."""
    try:
        return load(path), ""
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize(("name", "save", "load"), CASES)
def test_other_files_are_refused_by_name(name, save, load, stages, tmp_path):
    others = {"quantized": (save_recording, "recording"), "recording": (save_mapping, "mapping"), "chip_run": (save_mapping, "mapping")}
    write, other = others.get(name, (save_quantized, "quantized"))
    path = write(stages[other], tmp_path / "other.npz")
    with pytest.raises(ValueError, match=r"other\.npz.*must be a .* file, but is a .* file"):
        load(path)
    with pytest.raises(ValueError, match="must exist"):
        load(tmp_path / "none.npz")
    np.savez(tmp_path / "plain.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match="another kind of zip"):
        load(tmp_path / "plain.npz")
    assert archive_kind(tmp_path / "plain.npz") == ""


def test_only_named_classes_are_built_and_pickle_never(tmp_path):
    path = tmp_path / "evil.npz"
    for tree in ({"$object": "Popen", "fields": {"args": "true"}}, {"$object": "object", "fields": {}}, {"$model": "x", "fields": {}}):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("header.json", json.dumps({"liquid_neuro": "quantised network", "version": 1, "tree": tree}))
        with pytest.raises(ValueError, match="has no place in such a file"):
            load_quantized(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", json.dumps({"liquid_neuro": "quantised network", "version": 1, "tree": {"$array": 0}}))
        with archive.open("0.npy", "w") as file:
            np.lib.format.write_array(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"evil\.npz"):
        load_quantized(path)


def test_inconsistent_networks_are_refused(stages, tmp_path):
    quantized = stages["quantized"]
    projection = dataclasses.replace(quantized.projections[0], target=quantized.projections[0].target + 1000)
    save_quantized(dataclasses.replace(quantized, projections=(projection, *quantized.projections[1:])), tmp_path / "q.npz")
    with pytest.raises(ValueError, match="reaches outside"):
        load_quantized(tmp_path / "q.npz")
    short = dataclasses.replace(quantized.populations[1], labels=())
    save_quantized(
        dataclasses.replace(quantized, populations=(quantized.populations[0], short, *quantized.populations[2:])), tmp_path / "q.npz"
    )
    with pytest.raises(ValueError, match="labels"):
        load_quantized(tmp_path / "q.npz")


def test_a_failing_write_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="known classes"):
        write_archive(tmp_path / "x.npz", "thing", object(), ())
    with pytest.raises(ValueError, match="existing folder"):
        write_archive(tmp_path / "none" / "x.npz", "thing", 1, ())
    with pytest.raises(ValueError, match="is a folder"):
        write_archive(tmp_path, "thing", 1, ())
    assert list(tmp_path.iterdir()) == []


def test_numbers_texts_and_containers_come_back(tmp_path):
    value = {"a": (1, 2.5, float("inf"), -0.0), "b": [None, True, "ä"], "c": {"nested": np.arange(3)}, 4: np.zeros((0, 2))}
    path = write_archive(tmp_path / "x.npz", "thing", value, ())
    same(value, read_archive(path, "thing", (), dict))
    assert np.isnan(read_archive(write_archive(path, "thing", float("nan"), ()), "thing", (), float))
    assert archive_kind(path) == "thing"


def changed(quantized, name, **changes):
    populations = [dataclasses.replace(p, **changes) if p.name == name else p for p in quantized.populations]
    return dataclasses.replace(quantized, populations=tuple(populations))


def with_projection(quantized, **changes):
    return dataclasses.replace(
        quantized, projections=(dataclasses.replace(quantized.projections[0], **changes), *quantized.projections[1:])
    )


MALFORMED = {
    "does not exist": lambda q, p: changed(q, p.name, program="__import__('os')"),
    "the tables none instead of reciprocal": lambda q, p: changed(q, p.name, tables={}),
    "has shape (5,) instead of (129,)": lambda q, p: changed(q, p.name, tables={"reciprocal": p.tables["reciprocal"][:5]}),
    "holds numbers that it cannot hold": lambda q, p: changed(q, p.name, tables={"reciprocal": -p.tables["reciprocal"]}),
    "has the parameters none instead of": lambda q, p: changed(q, p.name, parameters={}),
    "is no shift of 0 to 31 bits": lambda q, p: changed(q, p.name, parameters={**p.parameters, "guard": np.full(p.size, -5)}),
    "leaves 32 bits": lambda q, p: changed(q, p.name, parameters={**p.parameters, "leak": np.full(p.size, 1 << 40)}),
    "which does not divide the ticks of a sample": lambda q, p: changed(q, p.name, period=0),
    "first_tick of population": lambda q, p: changed(q, p.name, first_tick=-1),
    "message_shift of population": lambda q, p: changed(q, p.name, message_shift=99),
    "compartments and": lambda q, p: changed(q, p.name, size=p.size + 1),
    "reaches a port": lambda q, p: with_projection(q, port="elsewhere"),
    "weights that leave 32 bits": lambda q, p: with_projection(q, weight=q.projections[0].weight + (1 << 40)),
    "reaches outside of population": lambda q, p: with_projection(q, target=q.projections[0].target + 10_000),
    "ticks_per_sample is 0": lambda q, p: dataclasses.replace(q, ticks_per_sample=0),
    "read_tick is -5": lambda q, p: dataclasses.replace(q, read_tick=-5),
    "accumulator_bits is 80": lambda q, p: dataclasses.replace(q, accumulator_bits=80),
    "the outputs reach outside": lambda q, p: dataclasses.replace(q, output_compartments=np.array([10_000])),
    "do not stand before all others": lambda q, p: dataclasses.replace(q, populations=q.populations[::-1]),
    "have the same name": lambda q, p: dataclasses.replace(q, populations=(*q.populations, p)),
}


@pytest.mark.parametrize("problem", MALFORMED)
def test_a_well_written_file_of_a_malformed_network_is_refused_and_so_is_running_it(problem, stages, tmp_path):
    quantized = stages["quantized"]
    wrong = MALFORMED[problem](quantized, quantized.population("neuron"))
    with pytest.raises(ValueError, match=re.escape(problem)):
        load_quantized(save_quantized(wrong, tmp_path / "wrong.npz"))
    with pytest.raises(ValueError, match=re.escape(problem)):
        layout_of(wrong)
