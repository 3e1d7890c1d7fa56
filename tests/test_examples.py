"""Every example runs as a newcomer runs it and prints what stands beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py"))
DATA = {"event_camera": "LIQUID_NEURO_EVENT_CAMERA"}  # examples on data of another licence, and the variable that holds the path


def test_every_example_has_its_output_and_every_output_its_example() -> None:
    assert len(EXAMPLES) >= 3
    assert sorted(path.stem for path in FOLDER.glob("*.out")) == EXAMPLES


def run(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The example as a newcomer runs it, from a folder of its own."""
    return subprocess.run([sys.executable, FOLDER / f"{name}.py", *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_what_stands_beside_it(name: str, tmp_path: Path) -> None:
    data = os.environ.get(DATA[name]) if name in DATA else None
    if name in DATA and data is None:
        pytest.skip(f"{DATA[name]} tells where its data lie, which may not be copied here")
    done = run(name, tmp_path, *([data] if data else []))
    assert done.returncode == 0, done.stderr
    assert done.stdout == (FOLDER / f"{name}.out").read_text()
    assert list(tmp_path.iterdir()) == []


def test_the_connectome_is_drawn_where_asked(tmp_path: Path) -> None:
    done = run("connectome", tmp_path, "pictures")
    assert done.returncode == 0, done.stderr
    for name in ("raster.svg", "network.svg"):
        picture = ElementTree.parse(tmp_path / "pictures" / name).getroot()
        assert picture.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(picture) > 20
        assert f"wrote pictures/{name}" in done.stdout


def test_the_event_camera_reads_a_small_recording(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    t_us = np.sort(rng.integers(0, 20_000, 400)) + 2**32 - 10_000  # its counter of 32 bits wraps around
    x, y, p = rng.integers(0, 64, 400), rng.integers(0, 48, 400), rng.integers(0, 2, 400)
    np.savez(
        tmp_path / "small.npz", t_us=(t_us % 2**32).astype(np.uint32), x=x.astype(np.uint16), y=y.astype(np.uint8), p=p.astype(np.uint8)
    )
    done = run("event_camera", tmp_path, "small.npz")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("camera     400 events in 0.02 s, in 16 x 12 blocks\n")
    assert "within 0.01" in done.stdout


@pytest.mark.parametrize(("arguments", "sentence"), [((), "a recording must be given"), (("none.npz",), "none.npz must be an .npz file")])
def test_the_event_camera_says_what_it_needs(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = run("event_camera", tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


def test_a_file_of_another_kind_is_one_sentence_without_bad_advice(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "reals.npz", t_us=[0.5], x=[1.5], y=[0], p=[1])
    np.savez(tmp_path / "back.npz", t_us=[9, 3], x=[1, 1], y=[0, 0], p=[1, 1])
    (tmp_path / "plain").write_text("")
    for name, argument, sentence in (
        ("event_camera", "text.npz", "text.npz must be an .npz file with t_us, x, y and p, but is not (ValueError)"),
        ("event_camera", "reals.npz", "reals.npz must hold t_us, x, y and p as whole numbers"),
        ("event_camera", "back.npz", "back.npz: `counter` must not go back"),
        ("ecg", "text.npz", "a record must be an .npz with adc and beat_sample, but text.npz is not (ValueError)"),
        ("connectome", "plain", "the pictures need a folder, but plain can be none (File exists)"),
    ):
        done = run(name, tmp_path, argument)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert done.stderr.startswith(sentence)
        assert done.stderr.count("\n") == 1
