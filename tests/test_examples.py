"""Every example runs as a newcomer runs it and prints what stands beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py"))


def test_every_example_has_its_output_and_every_output_its_example() -> None:
    assert len(EXAMPLES) >= 3
    assert sorted(path.stem for path in FOLDER.glob("*.out")) == EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_what_stands_beside_it(name: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, FOLDER / f"{name}.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (FOLDER / f"{name}.out").read_text()
    assert list(tmp_path.iterdir()) == []
