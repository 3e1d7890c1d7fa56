"""Running an exported Lava folder beside the chip simulator, from any Python, and comparing every state and every message."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.quantized_network import IntArray, QuantizedNetwork
from mappers.exporters import ExportError

# (quantized, input rows, ticks) -> {population: (states, sent deltas)}, each (ticks, size)
Trace = dict[str, tuple[IntArray, IntArray]]
Simulator = Callable[[QuantizedNetwork, IntArray, int], Trace]


# The caller's environment would mix two Pythons, or keep a version manager from offering the other one.
CALLERS_OWN = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "PYENV_VERSION", "PYENV_DIR")


@dataclass(frozen=True)
class LavaComparison:
    """How an exported graph, run by Lava, compares with the chip simulator.

    values_compared: states and messages, over all ticks and compartments. differences: how many are not equal; None where Lava could not be
    run, and reason then says why in one line. first_difference: "population.state of label at tick t: Lava 3, simulator 4" or "".
    saturations: how often Lava's side saturated a sum or a state. seconds: of wall time, start of Python and Lava included.
    """

    values_compared: int
    differences: int | None
    reason: str
    seconds: float
    ticks: int = 0
    saturations: int = 0
    first_difference: str = ""


def compare(
    folder: str | os.PathLike[str],
    quantized: QuantizedNetwork,
    x: npt.ArrayLike,
    samples: int = 100,
    timespans: npt.ArrayLike | None = None,
    timeout_s: float = 300.0,
    simulator: Simulator | None = None,
) -> LavaComparison:
    """Run the exported folder in live Lava on the first `samples` rows of x (time, inputs) and compare it with the simulator.

    timespans: model units of each row (time,) or all, for networks of irregular time.

    Lava runs in a process of its own, by this Python where it has Lava, else by `uv run run.py`, with a time limit. simulator: what to
    compare with; the chip simulator of event_sim if not given. ExportError where the folder holds no export or x does not fit.
    """
    path = Path(folder).resolve()
    if not (path / "run.py").is_file():
        raise ExportError(f"folder must hold an export for Lava, but {path} has no run.py; export first")
    rows = host_rows(quantized, x, timespans)[:samples]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="liquid-neuro-lava-") as scratch:
        result, reason = _run(path, rows, Path(scratch), timeout_s)
    if result is None:
        return LavaComparison(0, None, reason, time.perf_counter() - started)
    expected = (simulator or chip_trace)(quantized, rows, int(result["ticks"]))
    compared, differences, first = _differences(quantized, result, expected)
    saturations = sum(int(result[f"counters/{population.name}"][:-1].sum()) for population in quantized.populations)
    return LavaComparison(compared, differences, "", time.perf_counter() - started, int(result["ticks"]), saturations, first)


def _differences(quantized: QuantizedNetwork, result: dict[str, npt.NDArray[Any]], expected: Trace) -> tuple[int, int, str]:
    compared = differences = 0
    first = (1 << 62, "")
    for population in quantized.populations:
        for kind, simulated in zip(("state", "sent"), expected[population.name]):
            lava = result[f"{kind}/{population.name}"].astype(np.int64)
            if lava.shape != simulated.shape:
                raise ExportError(f"{population.name} must have one shape, but has {lava.shape} in Lava and {simulated.shape} simulated")
            compared += lava.size
            where = np.argwhere(lava != simulated)
            differences += len(where)
            if len(where) and where[0][0] < first[0]:
                tick, unit = (int(index) for index in where[0])
                values = f"Lava {lava[tick, unit]}, simulator {simulated[tick, unit]}"
                first = tick, f"{population.name}.{kind} of {population.labels[unit]} at tick {tick}: {values}"
    return compared, differences, first[1]


def _run(folder: Path, rows: IntArray, scratch: Path, timeout_s: float) -> tuple[dict[str, npt.NDArray[Any]] | None, str]:
    """The result of run.py, or None and the reason in one line."""
    python = _python_command()
    if python is None:
        return None, "uv must be installed to build the Python 3.10 that Lava needs, but is not found"
    np.save(scratch / "inputs.npy", rows)
    out = scratch / "run.npz"
    command = [*python, "run.py", "--inputs", str(scratch / "inputs.npy"), "--out", str(out)]
    environment = {name: value for name, value in os.environ.items() if name not in CALLERS_OWN}
    with (scratch / "stdout").open("wb") as stdout, (scratch / "stderr").open("wb") as stderr:
        process = subprocess.Popen(command, cwd=folder, stdout=stdout, stderr=stderr, env=environment, start_new_session=True)
        try:
            status = process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return None, f"Lava did not finish within {timeout_s:g} s"
        finally:
            _end_all_of(process)
    if status == 0 and out.is_file():
        with np.load(out) as arrays:
            return dict(arrays), ""
    return None, _reason(status, (scratch / "stderr").read_text(encoding="utf-8", errors="replace"))


def lava_here() -> bool:
    """Whether this Python can import Lava itself."""
    return importlib.util.find_spec("lava") is not None and importlib.util.find_spec("lava.magma") is not None


def _python_command() -> list[str] | None:
    """How to start a Python that has Lava, most direct first; None where there is no way."""
    if lava_here():
        return [sys.executable]
    if shutil.which("uv"):
        return ["uv", "run", "--quiet"]
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv", "run", "--quiet"]
    return None


def _end_all_of(process: subprocess.Popen[bytes]) -> None:
    """End the process group that we started: Lava's forked processes outlive a parent that is killed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _reason(status: int, errors: str) -> str:
    """One line out of what a failed run wrote to stderr: uv's error, run.py's own, or the last line of a traceback."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    telling = [line.removeprefix("error: ") for line in lines if line.startswith(("error:", "run.py:"))] or lines[-1:]
    return f"Lava did not run (status {status})" + (f": {telling[0]}" if telling else "")


def host_rows(quantized: QuantizedNetwork, x: npt.ArrayLike, timespans: npt.ArrayLike | None = None) -> IntArray:
    """What the host gives per sample, int64 (samples, columns): the input words, then in networks of irregular time the timespan's word.

    timespans: model units (samples,) or one for all; formats.timespan if not given. ExportError for shapes that do not fit.
    """
    rows = np.asarray(x, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != quantized.network.inputs or not len(rows):
        raise ExportError(f"inputs must have the shape (samples, {quantized.network.inputs}), but have {rows.shape}")
    words = quantized.input_format.quantize(rows)
    if quantized.elapsed is None:
        if timespans is not None:
            raise ExportError("timespans must be left out for a network whose samples all last equally long, but are given")
        return words
    given = np.asarray(quantized.formats.timespan if timespans is None else timespans, dtype=np.float64)
    if given.shape not in ((), (len(rows),)):
        raise ExportError(f"timespans must have the shape ({len(rows)},), one per sample, but have {given.shape}")
    return np.column_stack([words, quantized.elapsed.state.quantize(np.broadcast_to(given, len(rows)))])


def chip_trace(quantized: QuantizedNetwork, rows: IntArray, ticks: int) -> Trace:
    """States and sent deltas of the chip simulator at every tick, from state 0. rows: `host_rows`."""
    from event_sim.events import EventStream
    from event_sim.fixed import run_chip

    x, unit_s = quantized.input_format.to_real(rows[:, : quantized.network.inputs]), quantized.network.time_unit_s
    if quantized.elapsed is None:
        stream = EventStream.from_samples(x, sample_s=quantized.formats.timespan * unit_s)
    else:
        stream = EventStream.from_samples(x, timespans=quantized.elapsed.state.to_real(rows[:, -1]), time_unit_s=unit_s)
    activity = run_chip(quantized, stream, trace=True).activity
    if activity is None or activity.trace is None or activity.ticks != ticks:
        raise ExportError(f"the simulator must run {ticks} ticks, but ran {0 if activity is None else activity.ticks}")
    trace = activity.trace
    return {name: (trace.state[name], np.diff(trace.sent[name], axis=0, prepend=0)) for name in trace.state}
