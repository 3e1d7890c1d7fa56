"""Checks of plain values that a user gives; each broken rule is one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LATEST_S = 1e300  # what may be added up and multiplied without overflow


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, Python's or NumPy's; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a real number, Python's or NumPy's; True and False are none."""
    return is_whole(value) or isinstance(value, float | np.floating)


def check_kind(name: str, value: Any, kind: type, hint: str) -> None:
    """ValueError unless the value is an instance of the class; hint: where such a thing comes from."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be of the class {kind.__name__}, but is of {type(value).__name__}; {hint}")


def check_whole(name: str, value: Any, least: int, hint: str = "") -> int:
    """The value as an integer. ValueError unless it is a whole number of at least `least`; hint: what to do then."""
    if not is_whole(value) or value < least:
        raise ValueError(f"{name} must be at least {least} and whole, but is {value!r:.80}{hint}")
    return int(value)


def check_choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """ValueError unless the value is one of the texts."""
    if not (isinstance(value, str) and value in allowed):
        shown = f'"{value:.80}"' if isinstance(value, str) else f"{value!r:.80}"
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, but is {shown}")


def check_flag(name: str, value: Any) -> bool:
    """The value as a bool. ValueError unless it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, but is {value!r:.80}")
    return bool(value)


def as_numbers(name: str, value: Any) -> npt.NDArray[np.float64]:
    """The value as a float64 array. ValueError where it is none."""
    try:
        if not np.iscomplexobj(value):
            return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name} must be an array of numbers, but is {value!r:.80}")


def check_seconds(name: str, value: Any, positive: bool = False) -> float:
    """The value as a number of seconds. ValueError unless it is a finite number, and a positive one where it must be."""
    number = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    try:
        seconds = float(number) if is_number(number) else np.nan
    except OverflowError:
        seconds = np.inf
    if not abs(seconds) <= LATEST_S or (positive and seconds <= 0):
        what = "a positive number of" if positive else "a finite time in"
        raise ValueError(f"{name} must be {what} seconds, but is {value!r:.80}")
    return seconds


def check_path(name: str, value: Any) -> Path:
    """The value as a path. ValueError unless it is a text or a path."""
    if not isinstance(value, str | Path) or str(value) in ("", "."):
        raise ValueError(f"{name} must be the path of a file, but is {value!r:.80}")
    return Path(value)


def check_seed(seed: Any) -> int:
    """The seed as an integer. ValueError unless it is a whole number from 0 to 2^32 - 1 (what NumPy's older generator takes)."""
    if not is_whole(seed) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number 0 to {2**32 - 1}, but is {seed!r:.80}")
    return int(seed)


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view of the array that nobody can write through; the array itself where that is so already."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.setflags(write=False)
    return view


def freeze_arrays(record: object) -> None:
    """Make every array of a frozen dataclass read-only, those in its tuples and mappings too (which become plain dictionaries)."""
    for item in fields(record):  # type: ignore[arg-type]
        value = getattr(record, item.name)
        if isinstance(value, np.ndarray):
            value = read_only(value)
        elif isinstance(value, tuple) and any(isinstance(part, np.ndarray) for part in value):
            value = tuple(read_only(part) if isinstance(part, np.ndarray) else part for part in value)
        elif isinstance(value, Mapping) and any(isinstance(part, np.ndarray) for part in value.values()):
            value = {name: read_only(part) if isinstance(part, np.ndarray) else part for name, part in value.items()}
        else:
            continue
        object.__setattr__(record, item.name, value)
