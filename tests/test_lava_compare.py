"""The comparison of an exported Lava folder with the simulator, without Lava: reasons, time limits, and what is counted."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import toy_chips

import liquid_neuro.cells
from mappers.exporters import ExportError, export, lava_compare


@pytest.fixture(autouse=True)
def toy_programs(monkeypatch):
    monkeypatch.setattr(liquid_neuro.cells, "PROGRAMS", toy_chips.PROGRAMS)


def exported(folder):
    return export(toy_chips.mapping(toy_chips.loop()), "lava", folder)


def test_where_python_3_10_cannot_be_had_the_reason_is_one_line(tmp_path, monkeypatch):
    quantized = toy_chips.loop()
    exported(tmp_path / "lava")
    monkeypatch.setattr(lava_compare, "_python_command", lambda: ["uv", "run", "--quiet", "--python", "3.10"])
    monkeypatch.setenv("PATH", str(tmp_path))
    fake = tmp_path / "uv"
    errors = "warning: x\\nerror: No interpreter found for Python 3.10\\n\\nhint: y\\n"
    fake.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.write('{errors}')\nsys.exit(2)\n")
    fake.chmod(0o755)
    comparison = lava_compare.compare(tmp_path / "lava", quantized, np.zeros((3, 3)), simulator=toy_chips.execute)
    assert comparison.differences is None
    assert comparison.values_compared == 0
    assert comparison.reason == "Lava did not run (status 2): No interpreter found for Python 3.10"


def test_a_run_that_does_not_end_is_ended(tmp_path, monkeypatch):
    exported(tmp_path / "lava")
    monkeypatch.setattr(lava_compare, "_python_command", lambda: [sys.executable, "-c", "import time; time.sleep(60)"])
    comparison = lava_compare.compare(tmp_path / "lava", toy_chips.loop(), np.zeros((3, 3)), timeout_s=0.2, simulator=toy_chips.execute)
    assert comparison.differences is None
    assert comparison.reason == "Lava did not finish within 0.2 s"
    assert comparison.seconds < 10


def test_every_differing_value_is_counted_and_the_first_is_named(tmp_path, monkeypatch):
    quantized = toy_chips.loop()
    exported(tmp_path / "lava")
    rows = quantized.input_format.quantize(np.random.default_rng(0).normal(0.0, 0.5, (5, 3)))
    simulated = toy_chips.execute(quantized, rows, 21)
    result = {
        f"{kind}/{name}": pair[position].copy() for name, pair in simulated.items() for position, kind in enumerate(("state", "sent"))
    }
    result |= {"ticks": np.int64(21)} | {f"counters/{name}": np.zeros(4) for name in simulated}
    result["state/neuron"][7, 2] += 1
    result["sent/gate"][9, :2] += 1
    monkeypatch.setattr(lava_compare, "_run", lambda *_: (result, ""))
    comparison = lava_compare.compare(tmp_path / "lava", quantized, rows / 1024, simulator=toy_chips.execute)
    assert (comparison.values_compared, comparison.differences) == (2 * 13 * 21, 3)
    assert comparison.first_difference.startswith("neuron.state of neuron_2 at tick 7: Lava ")


def test_a_folder_without_an_export_cannot_be_compared(tmp_path):
    with pytest.raises(ExportError, match=r"has no run.py; export first"):
        lava_compare.compare(tmp_path, toy_chips.loop(), np.zeros((3, 3)))
