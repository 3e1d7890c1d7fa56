"""The command line as people meet it: help, and mistakes on purpose. Exit code 2, one sentence, no traceback, nothing left behind."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import event_sim
import liquid_neuro
from event_sim import interrupts
from liquid_neuro.__main__ import COMMANDS, run

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder with a small model in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    wiring = liquid_neuro.Wiring.ncp(
        5, inter=6, command=4, motor=1, sensory_fanout=3, inter_fanout=2, recurrent_command_synapses=3, motor_fanin=3, seed=7
    )
    liquid_neuro.save(liquid_neuro.ltc(wiring, seed=1), tmp_path / "model.safetensors")
    return tmp_path


def refused(capsys, command: str) -> str:
    """Run a wrong command line; its one sentence."""
    assert run(shlex.split(command)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1, printed.err
    assert printed.err.startswith("liquid-neuro: ")
    assert "Traceback" not in printed.err
    return printed.err


# --- help -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_and_gives_an_example(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    assert run([name, "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert COMMANDS[name].EXAMPLE in printed
    assert "--json" in printed
    assert COMMANDS[name].EXAMPLE.startswith(f"liquid-neuro {name}")


def test_every_file_of_commands_is_a_command_or_a_helper():
    files = {path.stem for path in (ROOT / "liquid_neuro" / "commands").glob("*.py")} - {"__init__"}
    with_example = {name for name in files if "EXAMPLE" in (ROOT / "liquid_neuro" / "commands" / f"{name}.py").read_text()}
    assert with_example == {name.replace("-", "_") for name in COMMANDS}


def test_version_and_no_command(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip().count(".") == 2
    assert run([]) == 2


# --- wrong input ----------------------------------------------------------------------------------------------------------------------

MISSING = [
    "train --cell lstm --out m.safetensors",
    "train --task weather --out m.safetensors",
    "train --out nowhere/m.safetensors",
    "train",
    "train --out /proc/m.safetensors",
    "train --batch 999999 --out m.safetensors",
    "train --steps 0 --out m.safetensors",
    "train --steps many --out m.safetensors",
    "import-ncps none.safetensors --out m.safetensors",
    "simulate none.safetensors",
    "simulate model.safetensors --data none.csv --sample-s 1",
    "simulate model.safetensors --task weather",
    "simulate model.safetensors --engine quantum --samples 5",
    "simulate model.safetensors --samples 5 --out nowhere/r.npz",
    "quantize none.safetensors --out q.npz",
    "quantize model.safetensors --profile loihi9 --out q.npz",
    "quantize model.safetensors --profile loihi1 --out q.npz",
    "simulate model.safetensors --sample-s 1",
    "quantize model.safetensors --bits 77 --out q.npz",
    "quantize model.safetensors --out nowhere/q.npz",
    "map none.npz --out m.npz",
    "map model.safetensors --out m.npz",
    "estimate none.npz none.npz",
    "estimate model.safetensors model.safetensors",
    "export lava none.npz --out folder",
    "export verilog model.safetensors --out folder",
    "codesign none.safetensors --out c.npz",
    "codesign model.safetensors --out nowhere/c.npz",
    "profiles loihi9",
    "profiles model.safetensors",
    "report none.npz none.npz",
    "report model.safetensors model.safetensors --out nowhere/report.html",
    "demo --out model.safetensors",
    "demo --seed -1",
    "dance",
    "simulate model.safetensors --tempo 3",
]


@pytest.mark.parametrize("command", MISSING)
def test_wrong_input_is_one_sentence_and_leaves_nothing(command, place, capsys):
    before = sorted(place.rglob("*"))
    refused(capsys, command)
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_models_are_refused(share, place, capsys):
    whole = (place / "model.safetensors").read_bytes()
    (place / "cut.safetensors").write_bytes(whole[: int(share * len(whole))])
    assert "cut.safetensors" in refused(capsys, "simulate cut.safetensors")
    assert "cut.safetensors" in refused(capsys, "quantize cut.safetensors --out q.npz")
    refused(capsys, "import-ncps cut.safetensors --out m.safetensors")
    assert sorted(path.name for path in place.iterdir()) == ["cut.safetensors", "model.safetensors"]


@pytest.mark.parametrize("name", ["text.npz", "numbers.npz", "folder"])
def test_foreign_files_are_refused(name, place, capsys):
    (place / "text.npz").write_text("not a zip")
    np.savez(place / "numbers.npz", x=np.zeros(3))
    (place / "folder").mkdir()
    for command in (
        "simulate {}",
        "map {} --out m.npz",
        "estimate {} {}",
        "export lava {} --out build",
        "report {} {}",
        "quantize {} --out q.npz",
    ):
        assert name in refused(capsys, command.replace("{}", name))
    assert not (place / "build").exists()


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self").exists(), reason="needs a folder that cannot be written")
def test_unwritable_output_is_refused(place, capsys):
    sentence = refused(capsys, "quantize model.safetensors --out /proc/quantized.npz")
    assert "/proc/quantized.npz" in sentence


def test_wrong_data_names_file_row_and_column(place, capsys):
    (place / "data.csv").write_text("a,b,c,d,e\n1,2,3,4,5\n1,2,x,4,5\n")
    assert "row 3, column 3" in refused(capsys, "simulate model.safetensors --data data.csv --sample-s 1")
    (place / "data.csv").write_text("a,b\n1,2\n")
    assert "5 channels" in refused(capsys, "simulate model.safetensors --data data.csv --sample-s 1")
    (place / "data.csv").write_text("a,b,c,d,e\n1,2,3,4,5\n")
    assert "--sample-s" in refused(capsys, "simulate model.safetensors --data data.csv")
    (place / "data.csv").write_text("a,b,c,d,e,a\n1,2,3,4,5,6\n")
    assert 'names "a" 2 times' in refused(capsys, "simulate model.safetensors --data data.csv --sample-s 1")
    (place / "data.csv").write_text("time_s,a,b,c,d,e\n0,1,2,3,4,5\n1,1,2,3,4,5\n")
    assert "has a column time_s" in refused(capsys, "simulate model.safetensors --data data.csv --sample-s 1")
    (place / "data.csv").write_text("time_s,a,b,c,d,e\n1,1,2,3,4,5\n")
    assert '"data.csv" must have rows at two times or more' in refused(capsys, "simulate model.safetensors --data data.csv")
    (place / "data.csv").write_text("time_s,a,b,c,d,e\n1,1,2,3,4,5\n0,1,2,3,4,5\n")
    assert '"data.csv": `time_s` must not go back' in refused(capsys, "simulate model.safetensors --data data.csv")
    (place / "data.csv").write_bytes(bytes(range(256)))
    refused(capsys, "simulate model.safetensors --data data.csv --sample-s 1")


def test_no_command_writes_over_its_input(place, capsys):
    content = (place / "model.safetensors").read_bytes()
    for command in (
        "quantize model.safetensors --out model.safetensors",
        "simulate model.safetensors --samples 3 --out ./model.safetensors",
        "codesign model.safetensors --out model.safetensors",
        "import-ncps model.safetensors --out model.safetensors",
    ):
        assert "must be another file than the input" in refused(capsys, command)
    assert (place / "model.safetensors").read_bytes() == content


def test_a_number_that_is_none_is_refused(place, capsys):
    assert "`threshold` must be one finite number" in refused(capsys, "simulate model.safetensors --samples 3 --threshold inf")


# --- files between commands -------------------------------------------------------------------------------------------------------------


def test_files_of_one_stage_are_refused_by_another_by_name(place, capsys):
    assert run(shlex.split("quantize model.safetensors --out q.npz")) == 0
    assert run(shlex.split("map q.npz --out m.npz")) == 0
    capsys.readouterr()
    assert "quantised network" in refused(capsys, "estimate q.npz q.npz")
    assert "mapping" in refused(capsys, "map m.npz --out again.npz")
    assert "but is a quantised network file" in refused(capsys, "quantize q.npz --out again.npz")
    assert "but is a mapping file" in refused(capsys, "quantize m.npz --out again.npz")
    assert "a file of liquid_neuro" in refused(capsys, "import-ncps q.npz --out again.safetensors")
    assert run(shlex.split("simulate model.safetensors --samples 3 --out r.npz")) == 0
    capsys.readouterr()
    assert "but is that of a float network" in refused(capsys, "map q.npz --traffic r.npz --out again.npz")
    content = (place / "q.npz").read_bytes()
    (place / "q.npz").write_bytes(content[: len(content) // 2])
    assert "damaged" in refused(capsys, "map q.npz --out again.npz")
    (place / "q.npz").write_bytes(content[:300] + bytes([content[300] ^ 0xFF]) + content[301:])
    refused(capsys, "map q.npz --out again.npz")
    assert not (place / "again.npz").exists()


def test_a_recording_of_another_network_is_refused(place, capsys):
    wiring = liquid_neuro.Wiring.auto_ncp(5, 9, 1, seed=2)
    liquid_neuro.save(liquid_neuro.cfc(wiring, seed=1), place / "other.safetensors")
    for name in ("model", "other"):
        assert run(shlex.split(f"quantize {name}.safetensors --out {name}_q.npz")) == 0
        assert run(shlex.split(f"simulate {name}_q.npz --samples 20 --out {name}_r.npz")) == 0
    assert run(shlex.split("map model_q.npz --out m.npz")) == 0
    capsys.readouterr()
    for command in ("estimate m.npz other_r.npz", "report m.npz other_r.npz --out report.html"):
        assert "run of the mapped network" in refused(capsys, command)
    assert "is a chip run" in refused(capsys, "report m.npz model_r.npz --float-recording model_r.npz --out report.html")
    assert not (place / "report.html").exists()


@pytest.mark.parametrize("command", ["export lava m.npz --out {}", "demo --out {}"])
def test_foreign_folders_are_refused_before_any_work(command, place, capsys):
    assert run(shlex.split("quantize model.safetensors --out q.npz")) == 0
    assert run(shlex.split("map q.npz --out m.npz")) == 0
    folder = place / "mine" / "lava"
    folder.mkdir(parents=True)
    (folder / "diary.txt").write_text("mine")
    capsys.readouterr()
    sentence = refused(capsys, command.format(folder if command.startswith("export") else folder.parent))
    assert "choose another --out or remove it" in sentence
    assert "overwrite" not in sentence
    assert (folder / "diary.txt").read_text() == "mine"


def test_a_fault_of_the_program_is_one_line_and_another_exit_code(place, capsys, monkeypatch):
    def broken(*_: object) -> None:
        raise KeyError("sensory_gate")

    monkeypatch.setattr(liquid_neuro, "load", broken)
    monkeypatch.delenv("LIQUID_NEURO_TRACEBACK", raising=False)
    assert run(shlex.split("simulate model.safetensors --samples 3")) == 70
    printed = capsys.readouterr().err
    assert len(printed.strip().splitlines()) == 1
    assert "LIQUID_NEURO_TRACEBACK=1" in printed
    monkeypatch.setenv("LIQUID_NEURO_TRACEBACK", "1")
    with pytest.raises(KeyError):
        run(shlex.split("simulate model.safetensors --samples 3"))


def test_a19_a_core_limit_exceeded_is_one_sentence_with_needed_and_available(place, capsys):
    """As 1,025 compartments do not fit a core of 1,024, a small network does not fit one core of 8."""
    import hardware_profiles

    hardware_profiles.save(
        hardware_profiles.load("loihi2").replace({"limits.compartments_per_core": 8}, name="small"), place / "small.toml"
    )
    assert run(shlex.split("quantize model.safetensors --out q.npz")) == 0
    capsys.readouterr()
    sentence = refused(capsys, "map q.npz --profile small.toml --cores 1 --out m.npz")
    assert "8" in sentence
    assert "compartments" in sentence
    assert not (place / "m.npz").exists()


def test_json_is_one_object_on_standard_output(place, capsys):
    assert run(shlex.split("simulate model.safetensors --samples 20 --json")) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["samples"] == 20
    assert printed.err == ""
    assert run(["profiles", "--json"]) == 0
    assert {"loihi2", "akida1000", "cortex_m4"} <= {item["name"] for item in json.loads(capsys.readouterr().out)["profiles"]}


def test_the_examples_of_the_help_work_in_order(place, capsys):
    """Every example as it is printed, in a folder where only the ncps checkpoint and what the examples before it made are there."""
    pytest.importorskip("jax")
    (place / "model.safetensors").unlink()
    shutil.copy(ROOT / "tests" / "golden" / "ltc_ncp19.safetensors", place / "pilot.safetensors")
    for name in COMMANDS:
        if name == "demo":  # a minute: tests/test_demo.py
            continue
        assert run(shlex.split(COMMANDS[name].EXAMPLE)[1:]) == 0, f"{name}: {capsys.readouterr().err}"
        if name == "quantize":  # the same command as in an example, for the quantised network
            assert run(shlex.split("simulate quantized.npz --samples 500 --out chip_recording.npz")) == 0


def test_interrupting_is_one_line(place):
    script = "import liquid_neuro.commands.profiles as p\ndef run(): raise KeyboardInterrupt\np.run = run\n"
    script += "from liquid_neuro.__main__ import main; import sys; sys.argv = ['liquid-neuro', 'profiles']; main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 130
    assert done.stderr.strip() == "liquid-neuro: interrupted"


def test_an_interrupted_simulation_is_kept_and_says_so(place, capsys, monkeypatch):
    looked, before = iter(range(10**6)), interrupts.perf_counter

    def clock() -> float:
        if next(looked) == 2:
            signal.raise_signal(signal.SIGINT)
        return before()

    monkeypatch.setattr(interrupts, "perf_counter", clock)
    assert run(shlex.split("simulate model.safetensors --engine clock --out part.npz --json")) == 130
    monkeypatch.undo()
    printed = capsys.readouterr()
    assert printed.err.strip() == "liquid-neuro: interrupted"
    summary, recording = json.loads(printed.out), event_sim.load_recording(place / "part.npz")
    assert summary["interrupted"] is recording.interrupted is True
    assert 0 < summary["samples"] == len(recording.output_samples) < 2665


def test_a20_what_a_target_lacks_is_refused_and_no_folder_is_written(place, capsys):
    """An LTC's synaptic sigmoids have no place on a chip of dense layers: the exporter says so and writes nothing."""
    assert run(shlex.split("quantize model.safetensors --out q.npz")) == 0
    assert run(shlex.split("map q.npz --out m.npz")) == 0
    capsys.readouterr()
    assert "akida" in refused(capsys, "export akida m.npz --out build").lower()
    assert not (place / "build").exists()


def test_a32_commands_work_where_no_cache_can_be_written(place):
    """With nowhere to keep compiled kernels a command is slower, and that is all."""
    environment = {**os.environ, "HOME": "/proc", "XDG_CACHE_HOME": "/proc/cache", "NUMBA_CACHE_DIR": ""}
    command = [sys.executable, "-m", "liquid_neuro", "simulate", "model.safetensors", "--samples", "3", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples"] == 3
