"""Frozen values in one file: a zip of a JSON tree and of NumPy arrays, without pickle.

The file holds ``header.json`` (kind, format version, the tree) and one ``<number>.npy`` per array; ``numpy.load`` opens it too. A class is
written by the names and values of its fields and built again by its constructor, and only the classes that the reader names are ever built.
Equal values give equal bytes. Files are written under a temporary name beside the target and renamed, so that no half file is left behind.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

import numpy as np

FORMAT_VERSION = 1
Value = TypeVar("Value")
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a compression that zipfile does not know
    KeyError,
    TypeError,
    IndexError,
    OverflowError,
    RecursionError,
    MemoryError,
)


def write_atomically(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Call `write` with a temporary path beside `path` and move the result there. On any error nothing is left. Returns the path."""
    target = Path(path)
    if target.is_dir():
        raise ValueError(f'output "{target}" must be a file, but is a folder; give a file name')
    if not target.parent.is_dir():
        raise ValueError(f'output "{target}" must lie in an existing folder, but "{target.parent}" is none; create it first')
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise ValueError(f'output "{target}" must be writable, but is not ({error.strerror}); choose another place') from None
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.replace(temporary, target)
    except OSError as error:
        raise ValueError(f'output "{target}" must be writable, but is not ({error.strerror}); choose another place') from None
    finally:
        temporary.unlink(missing_ok=True)
    return target


def write_archive(path: str | Path, kind: str, value: Any, classes: Iterable[type]) -> Path:
    """Write `value` as a file of that kind. Its frozen dataclasses must be among `classes`. Returns the path."""
    arrays: list[np.ndarray[Any, Any]] = []
    tree = _encode(value, arrays, {item.__name__: item for item in classes})
    header = json.dumps({"liquid_neuro": kind, "version": FORMAT_VERSION, "tree": tree}, separators=(",", ":"), allow_nan=False)

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_entry("header.json"), header)
            for number, array in enumerate(arrays):
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, np.asanyarray(array), version=(1, 0), allow_pickle=False)
                archive.writestr(_entry(f"{number}.npy"), buffer.getvalue())

    return write_atomically(path, write)


def read_archive(path: str | Path, kind: str, classes: Iterable[type], expected: type[Value]) -> Value:
    """The value of a file of that kind, of class `expected`. A missing, damaged, foreign or newer file is a ValueError of one sentence."""
    place = Path(path)
    if not place.is_file():
        raise ValueError(f'{kind} file "{place}" must exist, but does not; check the path')
    try:
        with zipfile.ZipFile(place) as archive:
            header = _header(archive, place, kind)
            arrays = _Arrays(archive)
            value = _decode(header["tree"], arrays, {item.__name__: item for item in classes})
    except BROKEN as error:
        raise ValueError(f'"{place}" must be a whole {kind} file, but is damaged or foreign ({_short(error)}); write it again') from None
    except ValueError as error:
        if str(error).startswith(f'"{place}"'):
            raise
        raise ValueError(f'"{place}" must be a consistent {kind} file, but is not: {_short(error)}') from None
    except OSError as error:
        raise ValueError(f'"{place}" must be readable, but is not ({error.strerror}); check its permissions') from None
    if not isinstance(value, expected):
        raise ValueError(f'"{place}" must hold a {expected.__name__}, but holds a {type(value).__name__}; write it again')
    return value


def dataclasses_of(*modules: ModuleType) -> tuple[type, ...]:
    """Every dataclass that is defined in these modules: what a file may be built from."""
    return tuple(
        item
        for module in modules
        for item in vars(module).values()
        if isinstance(item, type) and dataclasses.is_dataclass(item) and item.__module__ == module.__name__
    )


def archive_kind(path: str | Path) -> str:
    """The kind of a file that `write_archive` wrote ("quantised network", "mapping", …), or "" for any other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("header.json"))["liquid_neuro"])
    except (OSError, ValueError, *BROKEN):
        return ""


def _header(archive: zipfile.ZipFile, place: Path, kind: str) -> dict[str, Any]:
    try:
        header = json.loads(archive.read("header.json"))
        found, version = header["liquid_neuro"], header["version"]
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError(f'"{place}" must be a {kind} file of liquid_neuro, but is another kind of zip; check the path') from None
    if found != kind:
        raise ValueError(f'"{place}" must be a {kind} file, but is a {found} file; check the path')
    if version != FORMAT_VERSION:
        raise ValueError(f'"{place}" must have format version {FORMAT_VERSION}, but has {version}; use the liquid_neuro that wrote it')
    return cast(dict[str, Any], header)


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry with a fixed date, so that equal values give equal bytes."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _short(error: Exception) -> str:
    """An error of any library on one line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + "…"


class _Arrays:
    """Reads arrays on demand. The declared size is compared with the stored one before memory is taken for it."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def __getitem__(self, number: int) -> np.ndarray[Any, Any]:
        content = io.BytesIO(self._archive.read(f"{int(number)}.npy"))
        if np.lib.format.read_magic(content) != (1, 0):
            raise ValueError(f"array {number} has an unknown format")
        shape, _, dtype = np.lib.format.read_array_header_1_0(content)
        needed, present = math.prod(shape) * dtype.itemsize, len(content.getbuffer()) - content.tell()
        if needed != present:
            raise ValueError(f"array {number} declares {needed} bytes, but has {present}")
        content.seek(0)
        array: np.ndarray[Any, Any] = np.lib.format.read_array(content, allow_pickle=False)
        array.setflags(write=False)
        return array


def _encode(value: Any, arrays: list[np.ndarray[Any, Any]], classes: Mapping[str, type]) -> Any:
    """`value` as a JSON tree; what JSON has no form for becomes an object with one key that starts with $."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"$array": len(arrays) - 1}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, Mapping):
        return {"$mapping": [[_encode(key, arrays, classes), _encode(item, arrays, classes)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        items = [_encode(item, arrays, classes) for item in value]
        return items if isinstance(value, list) else {"$tuple": items}
    name = type(value).__name__
    if classes.get(name) is not type(value):
        raise ValueError(f"a value to save must consist of numbers, texts, arrays and known classes, but has a {name}")
    if hasattr(value, "model_dump"):
        return {"$model": name, "fields": value.model_dump(mode="json")}
    names = [item.name for item in dataclasses.fields(cast(Any, value)) if item.init]
    fields = {field: _encode(getattr(value, field), arrays, classes) for field in names}
    return {"$object": name, "fields": fields}


def _decode(tree: Any, arrays: _Arrays, classes: Mapping[str, type]) -> Any:
    if isinstance(tree, list):
        return [_decode(item, arrays, classes) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "$array" in tree:
        return arrays[tree["$array"]]
    if "$float" in tree:
        return float(tree["$float"])
    if "$tuple" in tree:
        return tuple(_decode(item, arrays, classes) for item in tree["$tuple"])
    if "$mapping" in tree:
        return {_decode(key, arrays, classes): _decode(item, arrays, classes) for key, item in tree["$mapping"]}
    if "$model" in tree:
        return cast(Any, _class(tree["$model"], classes)).model_validate(tree["fields"])
    wanted = _class(tree["$object"], classes)
    return wanted(**{name: _decode(item, arrays, classes) for name, item in tree["fields"].items()})


def _class(name: str, classes: Mapping[str, type]) -> type:
    if name not in classes:
        raise ValueError(f"it names the class {name}, which has no place in such a file")
    return classes[name]
