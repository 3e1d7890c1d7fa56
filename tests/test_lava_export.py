"""The exported Lava folder, without Lava: what it holds, what it refuses, and that it appears whole or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import toy_chips

import hardware_profiles
import liquid_neuro.cells
import mappers
from hardware_profiles import fixed_point
from hardware_profiles.fixed_point import saturate
from liquid_neuro import Wiring, ltc
from mappers.exporters import ExportError, export, lava, targets
from mappers.exporters.lava_checks import check, lost_synapses, weight_format

FILES = [
    ".python-version",
    "README.md",
    "arrays.npz",
    "network.json",
    "network/__init__.py",
    "network/content.py",
    "network/graph.py",
    "network/neurons.py",
    "network/processes/__init__.py",
    "network/processes/compartments.py",
    "network/processes/recorder.py",
    "network/programs.py",
    "programs.txt",
    "run.py",
]


@pytest.fixture(autouse=True)
def toy_programs(monkeypatch):
    monkeypatch.setattr(liquid_neuro.cells, "PROGRAMS", {**liquid_neuro.cells.PROGRAMS, **toy_chips.PROGRAMS})


def exported(folder, cores=1, **options):
    return export(toy_chips.mapping(toy_chips.loop(), cores), "lava", folder, **options)


def test_the_folder_holds_everything_and_nothing_else(tmp_path):
    result = exported(tmp_path / "lava")
    assert sorted(result.files) == FILES
    assert [entry.name for entry in tmp_path.iterdir()] == ["lava"]
    for name in FILES:
        if name.endswith(".py"):
            source = (tmp_path / "lava" / name).read_text()
            compile(source, name, "exec")
            assert "@@" not in source
            assert max(map(len, source.splitlines()), default=0) <= 140
    readme = (tmp_path / "lava" / "README.md").read_text()
    assert "@@" not in readme
    assert "10 compartments" in readme


def test_the_folder_names_the_python_that_lava_needs(tmp_path):
    exported(tmp_path / "lava")
    head = (tmp_path / "lava" / "run.py").read_text().split('"""')[0]
    assert '# requires-python = "==3.10.*"' in head
    assert '# dependencies = ["lava-nc==0.10.0"]' in head
    assert (tmp_path / "lava" / ".python-version").read_text() == "3.10\n"


def test_only_process_classes_stand_where_lava_executes_every_file(tmp_path):
    exported(tmp_path / "lava")
    for file in (tmp_path / "lava" / "network" / "processes").glob("*.py"):
        imported = [line for line in file.read_text().splitlines() if line.startswith(("import ", "from "))]
        assert all(line.startswith(("import numpy", "from lava.")) for line in imported)


def test_same_input_same_bytes(tmp_path):
    assert exported(tmp_path / "a").files == exported(tmp_path / "b").files
    assert exported(tmp_path / "c", cores=2).files != exported(tmp_path / "b").files


def test_the_exported_programs_compute_what_ours_compute(tmp_path):
    exported(tmp_path / "lava")
    copied: dict = {}
    exec((tmp_path / "lava" / "network" / "programs.py").read_text(), copied)
    random = np.random.default_rng(0)
    value, offset, curve = random.integers(-5000, 5000, 1000), random.integers(-50, 50, 1000), np.arange(256)
    squashed = copied["PROGRAMS"]["toy.squash"](value, value, offset, curve)
    assert (squashed == toy_chips.squash(value, value, offset, curve)).all()
    assert copied["HALF"] == toy_chips.HALF
    numbers, amounts = random.integers(-(2**30), 2**30, 10_000), random.integers(0, 20, 10_000)
    for name in ("floor_shift", "round_shift"):
        assert (copied[name](numbers, amounts) == getattr(fixed_point, name)(numbers, amounts)).all()
    assert (copied["bit_length"](abs(numbers)) == fixed_point.bit_length(abs(numbers))).all()


def test_a12_the_exported_round_shift_rounds_half_up(tmp_path):
    exported(tmp_path / "lava")
    copied: dict = {}
    exec((tmp_path / "lava" / "network" / "programs.py").read_text(), copied)
    cases = [(-832, 7, -6), (832, 7, 7), (-1, 1, 0), (-3, 1, -1), (-64, 7, 0), (26520, 7, 207)]
    for value, amount, rounded in cases:
        assert copied["round_shift"](np.int64(value), amount) == rounded


def test_a_program_may_not_refer_to_what_cannot_be_copied(tmp_path, monkeypatch):
    broken = replace(toy_chips.PROGRAMS["toy.squash"], function=uses_a_list)
    monkeypatch.setitem(liquid_neuro.cells.PROGRAMS, "toy.squash", broken)
    with pytest.raises(ExportError, match=r'uses_a_list uses "FILES", a list'):
        exported(tmp_path / "lava")
    assert list(tmp_path.iterdir()) == []


def uses_a_list(state, value, offset, curve):
    return value + len(FILES)


# --- weights ---------------------------------------------------------------------------------------------------------------------

W1 = np.array([[3, -3, 255], [-256, 1, -1]])
W2 = np.array([[3, 5], [255, 1]])


def test_a09_weight_format_is_that_of_lava():
    # Right answers from lava-nc 0.10.0's own functions.
    assert weight_format(W1, "mixed").tolist() == [[2, -4, 254], [-256, 0, -2]]
    assert weight_format(W2, "excitatory").tolist() == W2.tolist()
    assert weight_format([-3, 4, -300], "inhibitory").tolist() == [-3, 0, -255]
    assert weight_format([-7, 7, 13], "mixed", 6).tolist() == [-8, 0, 8]
    assert weight_format([7, 13, -1], "excitatory", 6).tolist() == [4, 12, 0]


def test_a09_weight_format_has_fixed_points():
    random = np.random.default_rng(9)
    for mode in ("mixed", "excitatory", "inhibitory"):
        for bits in range(1, 9):
            once = weight_format(random.integers(-300, 300, 1000), mode, bits)
            assert (weight_format(once, mode, bits) == once).all()


def test_a09_quantised_networks_export_unchanged():
    """1,000 random networks: every weight is a fixed point of the format, and nothing can overflow."""
    profile = hardware_profiles.load("loihi2")
    for seed in range(1000):
        wiring = Wiring.random(2, 3 + seed % 4, 1, 0.5, seed=seed)
        quantized = mappers.quantize(ltc(wiring, seed=seed), profile, bits=4 + seed % 5)
        check(quantized)
        for wire in quantized.projections:
            assert (weight_format(wire.weight, wire.sign_mode, wire.weight_bits) == wire.weight).all()


def with_weights(matrix, mode="mixed"):
    """One projection input -> neuron with these weights (source, target), zeros stored as synapses."""
    matrix = np.asarray(matrix)
    sources, targets = (axis.reshape(-1) for axis in np.indices(matrix.shape))
    wire = replace(
        toy_chips.projection("input", "neuron", "value", matrix, mode), source=sources, target=targets, weight=matrix.reshape(-1)
    )
    populations = (toy_chips.population("input", "", matrix.shape[0]), toy_chips.population("neuron", "toy.follow", matrix.shape[1]))
    return toy_chips.network(populations, (wire,), 1, 1, "neuron")


def test_a09_export_refuses_weights_that_lava_would_change(tmp_path):
    quantized = with_weights([[3, -3, 255], [-256, 8, -2]])
    with pytest.raises(ExportError, match=r"3 would change: input_0 to neuron_0 \(3 becomes 2\), input_0 to neuron_1 \(-3 becomes -4\)"):
        export(toy_chips.mapping(quantized), "lava", tmp_path / "lava")
    assert list(tmp_path.iterdir()) == []


def test_a10_lost_synapses_are_named(tmp_path):
    weights = np.array([[1, -1], [40, -2]]).T  # (source, target); the case writes (target, source)
    assert weight_format([[1, -1, 0], [40, -2, 1]], "mixed").tolist() == [[0, -2, 0], [40, -2, 0]]
    assert (weight_format([[1, -1, 0], [40, -2, 1]], "mixed") @ [1, 2, 3]).tolist() == [-4, 36]
    quantized = with_weights(weights)
    assert lost_synapses(quantized.projections[0]).tolist() == [0]
    with pytest.raises(ExportError, match=r"1 synapses would be lost: input_0 to neuron_0 \(1\)"):
        export(toy_chips.mapping(quantized), "lava", tmp_path / "lava")


def test_explicit_zeros_are_refused(tmp_path):
    with pytest.raises(ExportError, match=r"1 synapses would be lost: input_1 to neuron_0 \(0\)"):
        export(toy_chips.mapping(with_weights([[2], [0]])), "lava", tmp_path / "lava")


# --- widths and features ------------------------------------------------------------------------------------------------------------


def test_a11_saturation_of_24_bits():
    assert [int(saturate(np.int64(value), 24)) for value in (8388607 + 100, -8388608 - 5)] == [8388607, -8388608]


def test_a11_an_accumulator_that_may_overflow_is_refused(tmp_path):
    # 2**15 (input word) x 254 stays below 2**23; two such synapses do not.
    export(toy_chips.mapping(with_weights([[254]])), "lava", tmp_path / "one")
    quantized = with_weights([[254], [254]])
    with pytest.raises(ExportError, match=r"neuron.value of neuron_0 must fit 24 bits, but may reach -16646144 to 16645636 \(25 bits\)"):
        export(toy_chips.mapping(quantized), "lava", tmp_path / "two")
    with pytest.warns(UserWarning, match="the export is not proved: running sum value of neuron neuron_0"):
        export(toy_chips.mapping(quantized), "lava", tmp_path / "two", unproved=True)
    assert "Proved: no running sum leaves its 24 bits for inputs up to 32 in" in (tmp_path / "one" / "README.md").read_text()
    assert "Not proved: a running sum may leave its 24 bits" in (tmp_path / "two" / "README.md").read_text()


def test_a20_what_lava_lacks_is_refused_and_no_folder_left(tmp_path):
    quantized = toy_chips.loop()
    akida = replace(quantized, kind="akida", profile="akida1000")
    with pytest.raises(ExportError, match=r'kind must be "loihi" for Lava, but is "akida" \(akida1000\)'):
        export(toy_chips.mapping(akida), "lava", tmp_path / "lava")
    unknown = replace(
        quantized, populations=(quantized.populations[0], replace(quantized.populations[1], program="other"), quantized.populations[2])
    )
    with pytest.raises(ExportError, match=r'program must be one of .*toy.follow, toy.leak, toy.squash, but is "other"'):
        export(toy_chips.mapping(unknown), "lava", tmp_path / "lava")
    assert list(tmp_path.iterdir()) == []


def test_a_population_on_several_cores_becomes_several_groups_unless_told_otherwise(tmp_path):
    def groups(folder):
        return [group["name"] for group in json.loads((folder / "network.json").read_text())["groups"]]

    exported(tmp_path / "a", cores=2)
    split = ["input_core_0", "input_core_1", "gate_core_0", "gate_core_1", "neuron_core_0", "neuron_core_1"]
    assert groups(tmp_path / "a") == split
    exported(tmp_path / "b", cores=2, by_core=False)
    assert groups(tmp_path / "b") == ["input", "gate", "neuron"]
    assert (
        "| gate | toy.squash | 6 | 11 bits, 10 of them fraction | tick 1, then every 1; threshold 1 | 0, 1 |"
        in (tmp_path / "b" / "README.md").read_text()
    )


def test_the_core_of_every_compartment_travels(tmp_path):
    profile = hardware_profiles.load("loihi2")
    mapping = mappers.map_network(mappers.quantize(ltc(Wiring.random(3, 9, 2, 0.4, seed=1), seed=1), profile), profile, cores=3)
    export(mapping, "lava", tmp_path / "lava")
    settings = json.loads((tmp_path / "lava" / "network.json").read_text())
    found = {one["name"]: np.full(one["size"], -2) for one in settings["populations"]}
    with np.load(tmp_path / "lava" / "arrays.npz") as arrays:
        for group in settings["groups"]:
            found[group["population"]][arrays[f"groups/{group['name']}"]] = group["cores"][0]
    assert {name: cores.tolist() for name, cores in found.items()} == {name: cores.tolist() for name, cores in mapping.core_of.items()}
    assert len({core for group in settings["groups"] for core in group["cores"]}) == 4  # three of the chip, and -1: the host


def test_a_graph_of_too_many_processes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lava, "MOST_PROCESSES", 20)
    with pytest.raises(ExportError, match=r"at most 20 processes, but has 6 groups of compartments and 20 connections; say by_core=False"):
        exported(tmp_path / "lava", cores=2)
    exported(tmp_path / "lava", cores=2, by_core=False)


def test_live_processes_need_lava(monkeypatch):
    monkeypatch.setattr(lava, "lava_here", lambda: False)
    with pytest.raises(ExportError, match=r"lava must be importable for live processes, but Python 3.\d+ has none here"):
        lava.to_lava(toy_chips.mapping(toy_chips.loop()), np.zeros((2, 3)))


# --- the folder -----------------------------------------------------------------------------------------------------------------------


def test_an_unknown_target_is_refused_and_the_others_are_listed(tmp_path):
    assert "lava" in targets()
    with pytest.raises(ExportError, match=r'target must be one of .*lava.*, but is "vhdl"'):
        export(toy_chips.mapping(toy_chips.loop()), "vhdl", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["lava", "c99", "akida"])
def test_an_unknown_option_is_refused_by_name(target, tmp_path):
    with pytest.raises(ExportError, match=rf'option of target "{target}" must be .*, but is "foo"'):
        export(toy_chips.mapping(toy_chips.loop()), target, tmp_path / "out", foo=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_refused(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("x")
    with pytest.raises(ExportError, match=r"must be new, empty or an earlier export, but .*mine is not"):
        exported(folder)
    assert [file.name for file in folder.iterdir()] == ["thesis.tex"]
    exported(folder, overwrite=True)
    assert not (folder / "thesis.tex").exists()


def test_an_earlier_export_is_replaced_with_its_run_products(tmp_path):
    folder = tmp_path / "lava"
    exported(folder)
    (folder / "results").mkdir()
    (folder / "results" / "run.npz").write_bytes(b"x")
    exported(folder, cores=2)
    assert not (folder / "results").exists()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match=r'also holds "notes.txt"'):
        exported(folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_failed_export_leaves_the_earlier_one_as_it_was(tmp_path):
    folder = tmp_path / "lava"
    before = exported(folder).files
    with pytest.raises(ExportError):
        export(toy_chips.mapping(with_weights(W1)), "lava", folder)
    assert json.loads((folder / "export.json").read_text())["files"] == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["lava"]


def test_a_file_or_the_working_directory_is_no_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ExportError, match=r"must be a folder, but .*file is a file"):
        exported(tmp_path / "file", overwrite=True)
    inside = tmp_path / "here" / "inside"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    with pytest.raises(ExportError, match=r"must not hold the working directory"):
        exported(tmp_path / "here", overwrite=True)


def run_fails(folder, *arguments):
    """What run.py says in its one line, having ended with status 2."""
    run = subprocess.run([sys.executable, "run.py", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    return run.stderr


def test_an_edited_array_is_refused(tmp_path):
    folder = tmp_path / "lava"
    exported(folder)
    with np.load(folder / "arrays.npz") as arrays:
        edited = {name: array.copy() for name, array in arrays.items()}
    read = [sys.executable, "-c", "from network import content; print(sorted(content.read()[1])[0])"]
    assert subprocess.run(read, cwd=folder, capture_output=True, text=True, check=True).stdout == "gate/parameters/offset\n"
    edited["projection_0/weight"][0] += 2
    np.savez(folder / "arrays.npz", **edited)
    assert run_fails(folder).startswith("run.py: arrays.npz must be as exported (SHA-256 ")


@pytest.mark.parametrize("name", ["network.json", "network/programs.py", "network/graph.py", "network/processes/compartments.py"])
def test_an_edited_file_is_refused(tmp_path, name):
    exported(tmp_path / "lava")
    with (tmp_path / "lava" / name).open("a") as file:
        file.write("\n")
    assert run_fails(tmp_path / "lava").startswith(f"run.py: {name} must be as exported (SHA-256 ")


def test_rows_of_irregular_time_end_with_the_timespan(tmp_path):
    quantized = toy_chips.timed()
    export(toy_chips.mapping(quantized), "lava", tmp_path / "lava", inputs=np.zeros((2, 3)), timespans=[0.5, 3.0])
    settings = json.loads((tmp_path / "lava" / "network.json").read_text())
    assert [population["column"] for population in settings["populations"] if not population["program"]] == [0, 3]
    with np.load(tmp_path / "lava" / "arrays.npz") as arrays:
        assert arrays["inputs"].tolist() == [[0, 0, 0, 128], [0, 0, 0, 768]]
    assert (
        "| neuron | toy.leak | 4 | 16 bits, 12 of them fraction | tick 1, then every 2; threshold 2; half a turn ahead | 0 |"
        in (tmp_path / "lava" / "README.md").read_text()
    )
    np.save(tmp_path / "x.npy", np.zeros((5, 3), dtype=np.int64))
    assert "inputs must be whole numbers of shape (samples, 4), but are int64 of shape (5, 3)" in run_fails(
        tmp_path / "lava", "--inputs", str(tmp_path / "x.npy")
    )


def test_timespans_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ExportError, match=r"timespans must be left out for a network whose samples all last equally long, but are given"):
        exported(tmp_path / "lava", timespans=1.0)
    mapping = toy_chips.mapping(toy_chips.timed())
    with pytest.raises(ExportError, match=r"timespans must have the shape \(2,\), one per sample, but have \(3,\)"):
        export(mapping, "lava", tmp_path / "lava", inputs=np.zeros((2, 3)), timespans=[1.0, 1.0, 1.0])
    assert list(tmp_path.iterdir()) == []


def test_run_refuses_inputs_that_do_not_fit(tmp_path):
    folder = tmp_path / "lava"
    exported(folder)
    np.save(tmp_path / "x.npy", np.zeros((5, 2), dtype=np.int64))
    said = run_fails(folder, "--inputs", str(tmp_path / "x.npy"))
    assert said == "run.py: inputs must be whole numbers of shape (samples, 3), but are int64 of shape (5, 2)\n"
    assert run_fails(folder, "--samples", "101") == "run.py: --samples must be 1 to 100 for these inputs, but is 101\n"
