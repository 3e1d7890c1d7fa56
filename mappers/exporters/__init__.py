"""Export of a mapped network to other people's software: one target per file of this folder.

A target is a file `<target>.py` here whose name has no underscore. It offers

    write(mapping, folder: pathlib.Path, **options) -> None

which fills an empty folder, or raises ExportError. Adding a target adds one file.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liquid_neuro.checks import check_path

if TYPE_CHECKING:
    from mappers.mapping import Mapping

MARKER = "export.json"
FORMAT = "liquid-neuro export 1"
# What running an exported folder leaves in it; these never stand in the way of exporting again.
RUN_PRODUCTS = ("results", "__pycache__", ".venv")


class ExportError(ValueError):
    """A mapping cannot be written for a target, or a folder cannot take it."""


@dataclass(frozen=True)
class ExportResult:
    """What was written: the folder, and the files in it (relative, sorted) with the SHA-256 of each."""

    path: Path
    target: str
    files: MappingOf[str, str]


def targets() -> tuple[str, ...]:
    """The names that `export` takes as target, sorted: the files of this folder."""
    return tuple(sorted(file.stem for file in Path(__file__).parent.glob("*.py") if "_" not in file.stem))


def export(mapping: Mapping, target: str, folder: str | os.PathLike[str], *, overwrite: bool = False, **options: Any) -> ExportResult:
    """Write a mapped network for a target into a folder and return what was written.

    The folder appears complete or not at all: files are written beside it and it is renamed. An earlier export of the project is replaced
    (its run products, such as `results`, go with it); any other folder that is not empty is refused unless overwrite=True, which replaces
    it whole. options are those of the target's `write`; all targets take `unproved`: export although something is not proved to keep
    within its words, with a warning; the files then say what.

    Raises ExportError: unknown target or option, a folder that cannot be taken, or a network that the target cannot hold exactly or that
    is not proved.
    """
    if not hasattr(mapping, "quantized"):
        raise ExportError(f"mapping must be a Mapping, but is a {type(mapping).__name__}; make one by map_network(quantized, profile)")
    check_path("folder", os.fspath(folder) if isinstance(folder, os.PathLike) else folder)
    if not isinstance(target, str) or target not in targets():
        raise ExportError(f'target must be one of {", ".join(targets())}, but is "{target!s:.80}"')
    write = importlib.import_module(f"{__name__}.{target}").write
    known = list(inspect.signature(write).parameters)[2:]
    for name in options:
        if name not in known:
            offered = f"one of {', '.join(known)}" if known else "left out, since the target has none"
            raise ExportError(f'an option of target "{target}" must be {offered}, but is "{name}"; check its spelling')
    path = Path(folder).expanduser().resolve()
    _check_folder(path, overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise ExportError(f"folder must be writable, but {path.parent} is not ({error.strerror}); choose another") from error
    try:
        written = scratch / "new"
        written.mkdir()
        write(mapping, written, **options)
        files = {name: _digest(written / name) for name in _files_below(written)}
        marker = {"format": FORMAT, "target": target, "files": files}
        (written / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
        _put_in_place(written, path, scratch / "old")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return ExportResult(path, target, files)


def _check_folder(path: Path, overwrite: bool) -> None:
    if path == Path.cwd() or path in Path.cwd().parents:
        raise ExportError(f"folder must not hold the working directory, but {path} does; choose a new one")
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise ExportError(f"folder must be a folder, but {path} is a file; choose another")
    if overwrite or not path.exists() or not any(path.iterdir()):
        return
    files = _earlier_export(path)
    if files is None:
        raise ExportError(f"folder must be new, empty or an earlier export, but {path} is not; choose another or say overwrite=True")
    foreign = _foreign(path, files)
    if foreign:
        raise ExportError(f'folder must hold an earlier export alone, but {path} also holds "{foreign[0]}"; move it or say overwrite=True')


def check_export(folder: str | os.PathLike[str]) -> ExportResult:
    """What an exported folder holds, where every file is what `export` wrote; what running it has left there does not count.

    Raises ExportError: the first file that was edited, is missing or does not belong; ValueError: a folder that is no export.
    """
    path = Path(folder).expanduser().resolve()
    files = _earlier_export(path)
    if files is None:
        raise ValueError(f"folder must be an export, but {path} holds no {MARKER} of one; choose the folder that export wrote")
    for name, digest in files.items():
        if not (path / name).is_file():
            raise ExportError(f'an export must be complete, but "{name}" is missing from {path}; export again')
        if _digest(path / name) != digest:
            raise ExportError(f'an export must be as it was written, but "{name}" in {path} was edited since; export again')
    foreign = _foreign(path, files)
    if foreign:
        raise ExportError(f'an export must hold its own files alone, but {path} also holds "{foreign[0]}"; move it')
    marker = json.loads((path / MARKER).read_text(encoding="utf-8"))
    return ExportResult(path, str(marker.get("target")), files)


def obstacle(folder: str | os.PathLike[str]) -> str:
    """What stands in the way of exporting into a folder ("" if nothing), as a clause; export with overwrite=False refuses the same."""
    path = Path(folder).expanduser().resolve()
    if path == Path.cwd() or path in Path.cwd().parents:
        return f'"{path}" holds the working directory'
    if path.exists() and not path.is_dir():
        return f'"{path}" is a file'
    if not path.exists() or not any(path.iterdir()):
        return ""
    files = _earlier_export(path)
    if files is None:
        return f'"{path}" is neither new, empty nor an earlier export'
    foreign = _foreign(path, files)
    return f'"{path / foreign[0]}" is not of an earlier export' if foreign else ""


def _foreign(path: Path, files: MappingOf[str, str]) -> list[str]:
    return [name for name in _files_below(path) if name not in files and name != MARKER and not _run_product(name)]


def _put_in_place(written: Path, path: Path, old: Path) -> None:
    """Rename the written folder to path; an earlier one goes to `old`, and comes back when the renaming fails."""
    if path.exists():
        path.rename(old)
    try:
        written.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise


def _earlier_export(path: Path) -> dict[str, str] | None:
    """The files of an earlier export in this folder, None where there is none."""
    try:
        marker = json.loads((path / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(marker, dict) or marker.get("format") != FORMAT or not isinstance(marker.get("files"), dict):
        return None
    return {str(name): str(digest) for name, digest in marker["files"].items()}


def _run_product(name: str) -> bool:
    return any(part in RUN_PRODUCTS for part in Path(name).parts)


def _files_below(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
