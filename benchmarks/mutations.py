"""Mutates every number of the integer programs, their tables and primitives, one at a time, and tells which proof or test notices.

    python benchmarks/mutations.py [--only TEXT] [--seconds LIMIT] [--all] [--out FILE]

A copy of the packages and tests is changed, never the checkout. Each number n becomes n + 1. The proof of the golden networks is asked
first, then the fast tests of the integers, file by file, until one fails. Prints a table (Markdown); survivors stand at its end.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("hardware_profiles", "liquid_neuro", "event_sim", "mappers", "tests", "pyproject.toml")
PLACES = {
    "liquid_neuro/cells/ltc_integer.py": ("gate", "neuron", "normalised", "reciprocal_table", "HIGHEST_SUM"),
    "liquid_neuro/cells/cfc_integer.py": (
        *("unit", "unit_no_gate", "unit_pure", "backbone", "unit_tables", "activation_table"),
        *("INDEX_BITS", "VALUE_FRACTION"),
    ),
    "liquid_neuro/cells/integer.py": (
        *("interpolate", "curve", "mix", "absolute", "sent_after", "sampled_curve", "sigmoid_table", "odd_table"),
        *("ARGUMENT_FRACTION", "HALF_WIDTH"),
    ),
    "liquid_neuro/cells/cfc_heads.py": (
        *("encode", "head", "host", "host_no_gate", "project", "tables"),
        *("RECIPROCAL_BITS", "GATE_FRACTION_BITS", "DRIVE", "SIGMOID_ENTRIES", "SIGMOID_SHIFT", "TIMESPAN"),
    ),
    "hardware_profiles/fixed_point.py": (
        *("floor_shift", "round_shift", "left_shift", "select", "minimum", "maximum", "clip", "saturate", "bit_length", "look_up"),
    ),
}
PROOF = """
import sys
sys.path.insert(0, "tests")
import hardware_profiles, mappers
from networks import golden
for name, chip in (("ltc_ncp19", "loihi2"), ("cfc_default", "loihi2"), ("cfc_pure", "loihi2"), ("cfc_nogate", "loihi2"),
                   ("cfc_nogate", "akida1000")):
    network, arrays = golden(name)
    proof = mappers.verify(mappers.quantize(network, hardware_profiles.load(chip), calibration=arrays["x"][0].astype(float)))
    if not proof.holds:
        sys.exit(f"{name}: {proof.failures[0].operation} of {proof.failures[0].population}")
"""
FAST = ("test_programs.py", "test_fixed_point.py", "test_program_bounds.py", "test_intervals.py", "test_verification.py")
SLOW = ("test_akida.py", "test_akida_chip.py", "test_integers.py")  # kernels are compiled anew for every mutant: a minute each


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


def mutants(root: Path, file: str, names: tuple[str, ...]) -> list[Mutant]:
    """All numbers of the named functions and constants, docstrings and flags left out."""
    text = (root / file).read_text()
    found = []
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        name = node.name if isinstance(node, ast.FunctionDef) else next((item.id for item in targets if isinstance(item, ast.Name)), "")
        if name not in names:
            continue
        for item in ast.walk(node):
            if isinstance(item, ast.Constant) and type(item.value) in (int, float):
                old = ast.get_source_segment(text, item) or ""
                found.append(Mutant(file, name, item.lineno, item.col_offset, old, repr(item.value + 1)))
    return sorted(found, key=lambda item: (item.line, item.column))


def killer(copy: Path, tests: tuple[str, ...]) -> str:
    """What notices the copy's change: "proof: …", a test's name, or "" for nothing."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "XDG_CACHE_HOME": str(copy / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}

    def done(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True, check=False)

    proof = done("-c", PROOF)
    if proof.returncode:
        return "proof: " + (proof.stderr.strip().splitlines() or ["?"])[-1]
    for name in tests:
        result = done("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/{name}")
        if result.returncode:
            failed = [line for line in result.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
            return failed[0].split(" - ")[0].split(maxsplit=1)[1].removeprefix("tests/") if failed else name
    return ""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="files or functions whose path or name contains this")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--all", action="store_true", help="ask the slow tests, too")
    parser.add_argument("--out", type=Path, help="also write the table here")
    options = parser.parse_args()
    tests = FAST + (SLOW if options.all else ())
    begin, rows, survivors = time.monotonic(), ["| place | number | noticed by |", "|---|---|---|"], []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for item in COPIED:
            source = ROOT / item
            shutil.copytree(source, copy / item, ignore=shutil.ignore_patterns("__pycache__")) if source.is_dir() else shutil.copy(
                source, copy
            )
        chosen = [one for file, names in PLACES.items() for one in mutants(copy, file, names) if options.only in f"{one.file}:{one.name}"]
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
            row = f"| {one.file.rsplit('/')[-1]}:{one.line} {one.name} | {one.old} → {one.new} | {noticed or '**nothing**'} |"
            rows.append(row)
            survivors += [] if noticed else [row]
            print(f"{number + 1}/{len(chosen)} {row}", file=sys.stderr, flush=True)
    tried = sum("→" in row for row in rows)
    rows += ["", f"{tried} mutants, {len(survivors)} survive{':' if survivors else '.'}", *survivors]
    print("\n".join(rows))
    if options.out:
        options.out.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
