"""Mutates every number of the integer programs, their tables and primitives, one at a time, and tells which proof or test notices.

    python benchmarks/mutations.py [--only TEXT] [--seconds LIMIT] [--all] [--out FILE]

A copy of the packages and tests is changed, never the checkout. Each number n becomes n + 1. What the programs compute is written down in
tests/test_programs.py, which is asked first because it is fast; then the proof of networks of every kind, then the other fast tests of
the integers, file by file, until one fails. Each is asked in a process of its own, forked after third parties were imported. Prints a
table (Markdown); survivors stand at its end.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("hardware_profiles", "liquid_neuro", "event_sim", "mappers", "tests", "pyproject.toml")
NOT_OURS = ("cfc_library",)  # Lava's own neurons: Lava says what they compute


def program_files() -> tuple[str, ...]:
    """The files that programs.py collects the integer programs from, with their helpers and primitives."""
    tree = ast.parse((ROOT / "liquid_neuro/cells/programs.py").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "liquid_neuro.cells"]
    names = ["integer", *(item.name for node in imports for item in node.names if item.name not in NOT_OURS)]
    return (*(f"liquid_neuro/cells/{name}.py" for name in names), "hardware_profiles/fixed_point.py")


FILES = program_files()
THIRD_PARTIES = ("numpy", "numba", "networkx", "safetensors.numpy", "hypothesis", "pytest", "_pytest.main", "ast", "inspect", "linecache")
WRITTEN_DOWN = "test_programs.py"
FAST = ("test_fixed_point.py", "test_intervals.py", "test_program_bounds.py", "test_verification.py")
SLOW = (
    "test_ltc_integers.py",
    "test_ltc_memory.py",
    "test_cfc_integers.py",
    "test_akida.py",
    "test_akida_chip.py",
    "test_integers.py",
)  # compile kernels anew
EQUIVALENT = {"absolute": "nothing: the same function, since -0 is 0"}  # by function: mutants that compute the same
HEAD = """# Every number of the integer programs, changed by one

`benchmarks/mutations.py` changes each number n of the cells' integer programs, their tables, helpers and primitives to n + 1, one at a
time, and asks tests and proofs until one notices.
"""
LIMIT_S = 300.0  # of one question; a mutant that does not end is noticed, too


@dataclass(frozen=True)
class Mutant:
    """One number of a file, and what becomes of it."""

    file: str
    name: str
    line: int
    column: int
    old: str
    new: str

    def applied(self, text: str) -> str:
        """The file's text with the number changed."""
        lines = text.splitlines(keepends=True)
        row = lines[self.line - 1].encode()
        end = self.column + len(self.old.encode())
        lines[self.line - 1] = (row[: self.column] + self.new.encode() + row[end:]).decode()
        return "".join(lines)


def mutants(root: Path, file: str) -> list[Mutant]:
    """All numbers of a file; docstrings and flags are none."""
    text = (root / file).read_text()
    found = []
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        name = getattr(node, "name", "") or next((item.id for item in targets if isinstance(item, ast.Name)), "")
        for item in ast.walk(node):
            if isinstance(item, ast.Constant) and isinstance(item.value, int | float) and not isinstance(item.value, bool):
                old = ast.get_source_segment(text, item) or ""
                found.append(Mutant(file, name, item.lineno, item.col_offset, old, repr(item.value + 1)))
    return sorted(found, key=lambda item: (item.line, item.column))


def proved() -> str:
    """What the proof does not show of networks of every kind, "" if nothing; for a process in which the copy stands first on the path."""
    from networks import golden

    import hardware_profiles
    import mappers

    timed: dict[str, Any] = {"timespans": (0.1, 2.0)}
    cases: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        ("ltc_ncp19", "loihi2", "", {}),
        ("ltc_ncp19", "loihi2", "exact", timed),
        ("ltc_ncp19", "loihi2", "exact", {}),
        ("ltc_ncp19", "loihi2", "", timed),
        ("ltc_auto32_mixed", "loihi2", "", {}),
        ("ltc_auto32_mixed", "loihi2", "exact", timed),
        ("cfc_default", "loihi2", "", {}),
        ("cfc_default", "loihi2", "", timed),
        ("cfc_pure", "loihi2", "", {}),
        ("cfc_pure", "loihi2", "", timed),
        ("cfc_nogate", "loihi2", "", timed),
        ("cfc_mixed", "loihi2", "", timed),
        ("cfc_nogate", "akida1000", "", {}),
        ("cfc_wired_ncp19", "akida1000", "", {}),
    )
    for name, chip, solver, clock in cases:
        network, arrays = golden(name)
        network = network.with_solver(solver) if solver else network
        calibration = arrays["x"][0].astype(float)
        proof = mappers.verify(mappers.quantize(network, hardware_profiles.load(chip), calibration=calibration, **clock))
        if not proof.holds:
            return f"{name}: {proof.failures[0].operation} of {proof.failures[0].population}"
    return ""


def tested(name: str) -> str:
    """The first test of a file that fails, "" if none; for a process as above."""
    import pytest

    class Noted:
        failed = ""

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            self.failed = self.failed or (report.nodeid.removeprefix("tests/") if report.failed else "")

    noted = Noted()
    code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", f"tests/{name}"], plugins=[noted])
    return noted.failed or (f"{name} does not run" if code else "")


def asked(copy: Path, question: Callable[[], str]) -> str:
    """The answer of a process of its own that works in the copy."""
    answer = copy / "answer.txt"
    answer.write_text("no answer")
    child = os.fork()
    if child == 0:
        os.chdir(copy)
        sys.path[:0] = [str(copy), str(copy / "tests")]
        sys.dont_write_bytecode = True
        os.environ["XDG_CACHE_HOME"] = str(copy / "cache")
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        try:
            answer.write_text(question())
        except BaseException as error:  # whatever a mutant does is an answer
            answer.write_text(f"{type(error).__name__}: {error}".splitlines()[0])
        os._exit(0)
    end = time.monotonic() + LIMIT_S
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"no end within {LIMIT_S:g} s"
        time.sleep(0.02)
    return answer.read_text()


def killer(copy: Path, tests: tuple[str, ...]) -> str:
    """What notices the copy's change: "proof: …", a test's name, or "" for nothing."""
    noticed = asked(copy, partial(tested, WRITTEN_DOWN))
    if noticed:
        return noticed
    noticed = asked(copy, proved)
    if noticed:
        return f"proof: {noticed}"
    return next((noticed for name in tests if (noticed := asked(copy, partial(tested, name)))), "")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="files or functions whose path or name contains this")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--all", action="store_true", help="ask the slow tests, too")
    parser.add_argument("--out", type=Path, help="also write the table here")
    options = parser.parse_args()
    for name in THIRD_PARTIES:
        importlib.import_module(name)
    tests = FAST + (SLOW if options.all else ())
    begin, rows, survivors = time.monotonic(), [HEAD, "| place | number | noticed by |", "|---|---|---|"], []
    kinds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for item in COPIED:
            source = ROOT / item
            shutil.copytree(source, copy / item, ignore=shutil.ignore_patterns("__pycache__")) if source.is_dir() else shutil.copy(
                source, copy
            )
        chosen = [one for file in FILES for one in mutants(copy, file) if options.only in f"{one.file}:{one.name}"]
        unchanged = killer(copy, tests)
        if unchanged:
            sys.exit(f"the tests must pass before anything is changed, but {unchanged} fails")
        for number, one in enumerate(chosen):
            if time.monotonic() - begin > options.seconds:
                rows.append(f"| … | {len(chosen) - number} not tried | |")
                break
            original = (copy / one.file).read_text()
            (copy / one.file).write_text(one.applied(original))
            noticed = killer(copy, tests)
            (copy / one.file).write_text(original)
            told = noticed or EQUIVALENT.get(one.name, "**nothing**")
            row = f"| {one.file.rsplit('/')[-1]}:{one.line} {one.name} | {one.old} → {one.new} | {told} |"
            rows.append(row)
            kinds["the proof" if noticed.startswith("proof") else noticed.split("::")[0].split(" ")[0] or "nothing"] += 1
            survivors += [] if noticed else [row]
            print(f"{number + 1}/{len(chosen)} {row}", file=sys.stderr, flush=True)
    told = ", ".join(f"{name} {count}" for name, count in kinds.most_common())
    rows += ["", f"{kinds.total()} mutants; noticed by: {told}.", "", f"survivors: {len(survivors)}", *survivors]
    print("\n".join(rows))
    if options.out:
        options.out.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
