"""Checkpoint files as dictionaries of arrays under ncps' own names, whatever wrote them and whatever model surrounds the liquid part."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors

from liquid_neuro.torch_file import read_tensors

Arrays = dict[str, npt.NDArray[Any]]
KERAS_HINT = "np.savez(path, **{weight.path: np.array(weight) for weight in model.weights})"
# What names the liquid part of a model: the cell itself, its memory cell, its projection.
_CELL = re.compile(r"^(.*?)(rnn_cell\.)?((?:layer_\d+\.)?(?:gleak|ff1\.weight))$")
_PARTS = ("rnn_cell.", "lstm.", "fc.")


def read_arrays(path: str | Path) -> Arrays:
    """The arrays of a .safetensors, .npz or .pt file; the content decides, not the suffix.

    An .npz may keep the state dictionary under "sd."; its other entries are then left out.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f'"{path}" must be a checkpoint file, but there is none')
    with file.open("rb") as stream:
        start = stream.read(9)
    if start.startswith(b"\x89HDF"):
        raise ValueError(f'"{path}" must be .safetensors, .npz or .pt, but is HDF5 (Keras); write the weights with {KERAS_HINT}')
    if start.startswith(b"PK"):
        return _from_zip(file)
    if start[8:9] == b"{":
        return _from_safetensors(file)
    raise ValueError(f'"{path}" must be .safetensors, .npz or .pt (torch 1.6 or newer), but is none of them')


def _from_zip(file: Path) -> Arrays:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, RuntimeError, UnicodeError) as error:
        raise ValueError(f'"{file}" must be a whole .npz or .pt file, but is not ({error!s:.120})') from None
    if not any(name.endswith(".npy") for name in names):
        if any(name.endswith(("config.json", ".h5")) for name in names):
            raise ValueError(f'"{file}" must be .safetensors, .npz or .pt, but is a Keras file; write the weights with {KERAS_HINT}')
        return read_tensors(file)
    try:
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except (
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        KeyError,
        MemoryError,
        RuntimeError,
        SyntaxError,
    ) as error:
        raise ValueError(f'"{file}" must be a whole .npz file of plain arrays, but is not ({error!s:.120})') from None
    inner = {name[3:]: value for name, value in arrays.items() if name.startswith("sd.")}
    return inner or arrays


def _from_safetensors(file: Path) -> Arrays:
    try:
        with safetensors.safe_open(str(file), framework="numpy") as content:
            if "liquid_neuro" in (content.metadata() or {}):
                raise ValueError(
                    f'"{file}" must be an ncps checkpoint, but was written by liquid_neuro.save; open it with liquid_neuro.load'
                )
            return {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - not a mapping
    except (safetensors.SafetensorError, OSError, TypeError, AttributeError, KeyError, UnicodeError, MemoryError) as error:
        raise ValueError(f'"{file}" must be a whole safetensors file of float arrays, but is not ({error!s:.120})') from None


def liquid_part(arrays: Arrays, prefix: str | None) -> Arrays:
    """The liquid model's arrays under the names of its own state dictionary, without the cell's "rnn_cell.".

    prefix: where it sits in a larger model ("policy."); found when the file holds nothing else. ValueError where other arrays lie beside it
    and the prefix was not told, and where there is no liquid part or more than one.
    """
    found: dict[str, str] = {}
    for name in arrays:
        match = _CELL.match(name)
        if match and (prefix is None or match[1] == prefix):
            found.setdefault(match[1], match[2] or "")
    if not found and "header.json" in arrays:
        raise ValueError("a checkpoint must come from ncps, but this is a file of liquid_neuro; check the path")
    if not found:
        place = "" if prefix is None else f' under "{prefix}"'
        raise ValueError(
            f"a checkpoint must hold an LTC (gleak, …) or a CfC (ff1.weight, …), but{place} there is none among {_some(arrays)}"
        )
    if len(found) > 1:
        raise ValueError(f"a checkpoint must hold one liquid part, but has {_some(found)}; say which with prefix=")
    base, cell = next(iter(found.items()))
    inside = {name[len(base) :]: value for name, value in arrays.items() if name.startswith(base)}
    mine = {name: value for name, value in inside.items() if not cell or name.startswith(_PARTS)}
    others = [name for name in arrays if not (name.startswith(base) and name[len(base) :] in mine)]
    if others and prefix is None:
        raise ValueError(
            f'a checkpoint must hold the liquid part alone, but has {_some(others)} beside it; give prefix="{base}" to leave that out'
        )
    return {name[len(cell) :] if cell and name.startswith(cell) else name: value for name, value in mine.items()}


def as_float(name: str, value: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The array as float64; ValueError where it holds no real numbers."""
    if value.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold real numbers, but holds {value.dtype}")
    with np.errstate(invalid="ignore"):  # a signalling NaN is as good as any other: the network's rules refuse it
        return value.astype(np.float64)


def _some(names: Any) -> str:
    listed = [str(name) or '""' for name in names]
    return ", ".join(listed[:6]) + (", …" if len(listed) > 6 else "")
