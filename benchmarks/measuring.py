"""What the benchmarks have in common: the fastest of several calls, first calls in fresh processes, and the written table."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Parts = Iterable[tuple[str, Callable[[], list[str]]]]  # title, what measures the lines below it


def fastest(call: Callable[[], Any], repeats: int, clock: Callable[[], float] = time.thread_time) -> float:
    """The least seconds of one call: CPU time of this thread unless told otherwise."""
    times = []
    for _ in range(repeats):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def first_calls(what: str, scripts: Iterable[tuple[str, str]]) -> list[str]:
    """A table of the first call in a fresh process, with and without compiled kernels on disk.

    what: the head of its first column. scripts: (name, Python source that prints the seconds).
    """
    lines = [f"| {what} | compiling, s | from the cache, s |", "|---|---|---|"]
    for name, source in scripts:
        with tempfile.TemporaryDirectory() as folder:
            command, environment = [sys.executable, "-c", source], {**os.environ, "XDG_CACHE_HOME": folder}
            times = [float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout) for _ in range(2)]
        lines.append(f"| {name} | {times[0]:.2f} | {times[1]:.2f} |")
    return lines


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def write_report(description: str | None, title: str, how: str, parts: Parts, results: Path) -> None:
    """Measure part after part, print each, and write all to `results`. how: what stands behind the processor's name."""
    argparse.ArgumentParser(description=description).parse_args()
    started = time.perf_counter()
    text = [f"# {title}\n\n{processor()}, {how}\n"]
    for heading, part in parts:
        text.append(f"## {heading}\n\n" + "\n".join(part()) + "\n")
        print(text[-1], flush=True)
    results.parent.mkdir(exist_ok=True)
    results.write_text("\n".join(text))
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
