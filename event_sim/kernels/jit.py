"""How kernels are compiled: numba with an on-disk cache that knows everything a compiled kernel depends on.

numba's own cache looks at one source file's time stamp. A kernel here also depends on other kernels, on the neurons' integer programs
(`liquid_neuro/cells`) and on the integer primitives, so the cache lives in a folder named by a digest of all of them together with the
versions and the processor. Where no folder can be written, kernels are compiled anew in each process.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numpy as np

from hardware_profiles import fixed_point

FLAGS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
BARE: dict[str, Any] = {**FLAGS, "_nrt": False}  # without the run time that counts references
WITHIN: dict[str, Any] = {"forceinline": True, "no_cpython_wrapper": True}  # a part of its callers: Python cannot call it
_CONFIG: Any = numba.config  # numba makes its settings at run time, so that type checkers cannot see them
STALE_AFTER_S = 30 * 24 * 3600.0


def compiled(function: Callable[..., Any], variant: str = "", fastmath: bool | set[str] = False, bare: bool = False, **names: Any) -> Any:
    """`function` compiled at its first call and kept on disk. Use it as a decorator, or with names to rebind.

    names: globals of the function to replace, e.g. compiled(loop, variant="ltc.neuron", program=recompiled(...)): numba cannot cache
    functions passed as arguments, but it can cache those found in globals. Each set of names needs a `variant` of its own, which becomes
    part of the cache's file name, because numba does not look at globals when it looks for a cached result.
    bare: without the counting of references to arrays, which costs atomic operations at every call of a helper; such a kernel makes no
    arrays, and its helpers are `bare` too.
    """
    if names and not variant:
        raise ValueError("`variant` must be given when names are rebound, but is empty; name what makes this version of the kernel")
    source = _copy(function, names, variant) if names else function
    flags: dict[str, Any] = {**(BARE if bare else FLAGS), "fastmath": fastmath}
    folder = cache_folder()
    if folder is None:
        return numba.njit(**flags)(source)
    before = _CONFIG.CACHE_DIR
    _CONFIG.CACHE_DIR = str(folder)  # read when the dispatcher is made, so the user's own setting can be put back at once
    try:
        return numba.njit(cache=True, **flags)(source)
    finally:
        _CONFIG.CACHE_DIR = before


def called_by_address(function: Callable[..., Any], signature: Any, variant: str, **names: Any) -> Any:
    """`function` compiled at once for calls by address (numba's cfunc) and kept on disk; names and variant as for `compiled`."""
    folder, before = cache_folder(), _CONFIG.CACHE_DIR
    if folder is None:
        return numba.cfunc(signature, error_model="numpy")(_copy(function, names, variant))
    _CONFIG.CACHE_DIR = str(folder)
    try:
        return numba.cfunc(signature, cache=True, error_model="numpy")(_copy(function, names, variant))
    finally:
        _CONFIG.CACHE_DIR = before


def inner(function: Callable[..., Any]) -> Any:
    """A helper of kernels: compiled into each kernel that calls it, and only when that kernel is compiled (it has no cache of its own)."""
    return numba.njit(**FLAGS)(function)


def bare(function: Callable[..., Any]) -> Any:
    """As `inner`, for kernels compiled with bare=True."""
    return numba.njit(**BARE)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """As `bare`, without a call: for helpers that take many arrays, each of which is seven arguments."""
    return numba.njit(**{**BARE, **WITHIN})(function)


@cache
def recompiled(function: Callable[..., Any], within: bool = False) -> Any:
    """A compiled copy of a plain Python function whose callees are compiled too: a cell's integer program, made fast from its one source.

    Globals that are plain Python functions (the primitives of fixed_point and the cell's own helpers) are replaced by compiled copies; the
    original is left alone. Result and arguments are int64 (or int64 arrays for tables).
    within: for compiled callers alone, which need no way in from Python.
    """
    names = {
        name: recompiled(value, True)
        for name in function.__code__.co_names
        if isinstance(value := function.__globals__.get(name), FunctionType) and value is not function
    }
    # Inlined: a call that is not would be linked by name, to whichever compiled version of that name the process met first.
    flags = {**FLAGS, **WITHIN, "no_cpython_wrapper": within}
    return numba.njit(**flags)(_copy(function, names, "recompiled"))


def _copy(function: Callable[..., Any], names: dict[str, Any], variant: str) -> FunctionType:
    """The same code with some globals replaced, under a name of its own."""
    copy = FunctionType(
        function.__code__, {**function.__globals__, **names}, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__module__ = function.__module__
    copy.__qualname__ = f"{function.__qualname__}-{variant}"
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


@cache
def cache_folder() -> Path | None:
    """The folder for compiled kernels of exactly these sources on this machine, or None where none can be written."""
    try:
        root = Path(_CONFIG.CACHE_DIR or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "liquid-neuro"
        folder = root / digest()
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f"writable-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
        os.utime(folder)
        _remove_stale(root, keep=folder)
    except (OSError, RuntimeError):  # RuntimeError: no home folder at all
        return None
    return folder


def _remove_stale(root: Path, keep: Path) -> None:
    """Remove folders of sources that nobody has used for a month."""
    for folder in root.iterdir():
        if folder != keep and folder.is_dir() and time.time() - folder.stat().st_mtime > STALE_AFTER_S:
            shutil.rmtree(folder, ignore_errors=True)


@cache
def digest() -> str:
    """A digest of all that a compiled kernel depends on."""
    here = Path(__file__).resolve().parent
    top = Path(fixed_point.__file__).resolve().parent
    cells = top.parent / "liquid_neuro" / "cells"
    files = sorted(here.glob("*.py")) + sorted(cells.glob("*.py")) + [Path(fixed_point.__file__).resolve()]
    text = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        text.update(f"{file.name}:{len(content)}:".encode() + content)
    cpu = (llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten(), platform.machine())
    text.update(repr((numba.__version__, np.__version__, sys.version, cpu)).encode())
    return text.hexdigest()[:20]
