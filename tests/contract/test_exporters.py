"""What every exporter must keep. Exporters are found by name; a new one is tested without touching this file."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hardware_profiles
import liquid_neuro
import mappers
from liquid_neuro import Wiring
from mappers.exporters import ExportError, targets

WIRING = Wiring.auto_ncp(3, 8, 2, seed=1)
CELLS = {"ltc": lambda: liquid_neuro.ltc(WIRING, seed=2), "cfc": lambda: liquid_neuro.cfc(WIRING, seed=2)}
CHIPS = (("cfc", "loihi2"), ("ltc", "loihi2"), ("cfc", "akida1000"), ("cfc", "cortex_m4"), ("ltc", "cortex_m4"))


@cache
def mapping(cell: str, chip: str) -> Any:
    profile = hardware_profiles.load(chip)
    x = np.cumsum(np.random.default_rng(0).normal(0, 0.3, (4, 12, 3)), axis=1)
    return mappers.map_network(mappers.quantize(CELLS[cell](), profile, calibration=x), profile)


def attempt(target: str, cell: str, chip: str, folder: Path) -> Any:
    """The result of the export, or the error that refuses it."""
    try:
        return mappers.export(mapping(cell, chip), target, folder)
    except (ExportError, mappers.MappingError) as error:
        return error


@cache
def supported(target: str, base: Path) -> tuple[tuple[str, str], ...]:
    """The (cell, chip) pairs that a target writes."""
    return tuple(pair for pair in CHIPS if not isinstance(attempt(target, *pair, base / f"try-{'-'.join(pair)}"), Exception))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_exporters_are_found_by_name() -> None:
    assert set(targets()) >= {"lava", "c99", "akida"}


@pytest.mark.parametrize("target", targets())
def test_it_writes_a_folder_whose_files_are_all_listed_with_their_hashes(target: str, base: Path) -> None:
    pairs = supported(target, base)
    assert pairs, f"{target} writes none of {CHIPS}"
    result = attempt(target, *pairs[0], base / f"{target}-listed")
    files = contents(result.path)
    marker = json.loads(files.pop("export.json"))
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert marker["target"] == target
    assert marker["files"] == hashes == dict(result.files)
    assert "README.md" in files


@pytest.mark.parametrize("target", targets())
def test_the_same_network_gives_the_same_bytes(target: str, base: Path) -> None:
    pair = supported(target, base)[0]
    first, second = (contents(attempt(target, *pair, base / target / name).path) for name in ("first", "second"))
    assert first == second


@pytest.mark.parametrize("target", targets())
def test_exporting_again_into_the_same_folder_replaces_it(target: str, base: Path) -> None:
    pair = supported(target, base)[0]
    folder = base / target / "again"
    before = contents(attempt(target, *pair, folder).path)
    assert contents(attempt(target, *pair, folder).path) == before


@pytest.mark.parametrize("target", targets())
def test_what_it_cannot_express_it_refuses_and_leaves_nothing(target: str, tmp_path: Path) -> None:
    refusals = [error for pair in CHIPS if isinstance(error := attempt(target, *pair, tmp_path / "-".join(pair)), Exception)]
    written = {path.name for path in tmp_path.iterdir()}
    assert refusals, f"{target} writes everything; add a network that it cannot express"
    for error in refusals:
        assert " must " in str(error)
        assert "\n" not in str(error)
    assert len(written) == len(CHIPS) - len(refusals)


@pytest.mark.parametrize("target", targets())
def test_it_leaves_a_folder_of_somebody_else_alone(target: str, base: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert isinstance(attempt(target, *supported(target, base)[0], tmp_path), ExportError)
    assert contents(tmp_path) == {"notes.txt": b"mine"}
