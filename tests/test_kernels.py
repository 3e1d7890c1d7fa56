"""How kernels are compiled and cached: never stale, never fatal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hardware_profiles
from event_sim.kernels import jit
from hardware_profiles import fixed_point
from hardware_profiles.fixed_point import bit_length, look_up, round_shift, saturate

REPOSITORY = Path(hardware_profiles.__file__).parent.parent
PROGRAM = """
from hardware_profiles.fixed_point import look_up, round_shift

LENGTH = 4


def entry(value):
    return round_shift(value * LENGTH, 1)


def program(state, value, table):
    return state + entry(value) + look_up(table, LENGTH)
"""
RUN = """
import numpy as np
from event_sim.kernels import jit
from liquid_neuro.cells import example


def loop(states, values, table):
    for index in range(len(states)):
        states[index] = program(states[index], values[index], table)


kernel = jit.compiled(loop, variant="example", program=jit.recompiled(example.program))
states, values, table = np.arange(5), np.array([3, -3, 7, 0, 100]), np.arange(40) ** 2
expected = [example.program(int(s), int(v), table.tolist()) for s, v in zip(states, values)]
kernel(states, values, table)
assert states.tolist() == expected, (states.tolist(), expected)
hits = sum(kernel.stats.cache_hits.values())
print(states.tolist(), "loaded" if hits else "compiled", jit.cache_folder() is not None)
"""


def run(folder: Path, **environment: str) -> str:
    """What the script prints in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "XDG"))}
    result = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env={**clean, "PYTHONPATH": str(folder), **environment}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The least of the packages that a kernel with an integer program needs, in a folder of its own."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("hardware_profiles/fixed_point.py", "event_sim/kernels/jit.py"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((REPOSITORY / name).read_bytes())
    (folder / "liquid_neuro" / "cells").mkdir(parents=True)
    for package in ("hardware_profiles", "event_sim", "event_sim/kernels", "liquid_neuro", "liquid_neuro/cells"):
        (folder / package / "__init__.py").write_text("")
    (folder / "liquid_neuro" / "cells" / "example.py").write_text(PROGRAM)
    (folder / "script.py").write_text(RUN)
    return folder


def test_a32_an_edited_cell_is_never_run_from_a_stale_cache(copy: Path) -> None:
    cache = {"XDG_CACHE_HOME": str(copy / "cache")}
    assert run(copy, **cache) == "[22, 11, 32, 19, 220] compiled True"
    assert run(copy, **cache) == "[22, 11, 32, 19, 220] loaded True"
    (copy / "liquid_neuro" / "cells" / "example.py").write_text(PROGRAM.replace("LENGTH = 4", "LENGTH = 6"))
    assert run(copy, **cache) == "[45, 28, 59, 39, 340] compiled True"


def test_a32_without_a_folder_to_write_to_everything_works(copy: Path) -> None:
    occupied = copy / "a file"
    occupied.write_text("no folder can be made here")
    (copy / "liquid_neuro" / "cells" / "example.py").write_text(PROGRAM)
    assert run(copy, XDG_CACHE_HOME=str(occupied), HOME=str(occupied)) == "[22, 11, 32, 19, 220] compiled False"


def test_numba_keeps_its_own_settings() -> None:
    import numba

    before = numba.config.CACHE_DIR
    jit.compiled(lambda value: value + 1)
    assert before == numba.config.CACHE_DIR


def test_rebinding_needs_a_variant() -> None:
    with pytest.raises(ValueError, match="`variant` must be given"):
        jit.compiled(run, name=1)


def program(state: int, value: int, table: np.ndarray) -> int:
    """A program that uses primitives within primitives."""
    return saturate(state + round_shift(value, 3), 8) + look_up(table, bit_length(abs(value)))


def test_recompiled_primitives_equal_the_originals() -> None:
    fast, table = jit.recompiled(program), np.arange(33) * 3
    generator = np.random.default_rng(0)
    for state, value in generator.integers(-(2**20), 2**20, (200, 2)).tolist():
        assert fast(state, value, table) == program(state, value, table)
    assert fixed_point.round_shift is round_shift  # the originals are left alone
