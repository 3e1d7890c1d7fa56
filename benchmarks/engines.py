"""How fast the engines are, everything in one run: `uv run python -m benchmarks.engines` writes benchmarks/results/engines.md.

CPU time of one thread, minima over repeats, because machines are shared; judge by the ratios, which come from the same minutes.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.c_rival import rivals
from benchmarks.measuring import fastest, first_calls, write_report
from event_sim import EventStream, ltc_machines, ltc_ways, simulate
from event_sim.kernels import ltc_clocked, ltc_fused, ltc_lanes, ltc_together
from liquid_neuro import LiquidNetwork, Wiring, ltc
from liquid_neuro.cells.ltc import effective

RESULTS = Path(__file__).parent / "results" / "engines.md"
COLD = """
import time
import numpy as np, liquid_neuro
from event_sim import EventStream, simulate
network = liquid_neuro.ltc(liquid_neuro.Wiring.auto_ncp(32, 19, 1), seed=1)
start = time.perf_counter()
simulate(network, EventStream.from_samples(np.ones((4, 32)), sample_s=1.0), engine="ENGINE")
print(time.perf_counter() - start)
"""
LARGE = """
import resource, time
import numpy as np
from event_sim import EventStream, simulate
from liquid_neuro import Wiring, ltc
times = [time.perf_counter()]
wiring = Wiring.random_fan_in(8, 1_000_000, 1, 32, sensory_fan_in=1)
times.append(time.perf_counter())
network = ltc(wiring, seed=1)
times.append(time.perf_counter())
stream = EventStream.from_samples(np.random.default_rng(0).normal(size=(1, 8)), sample_s=1.0)
run = simulate(network, stream, engine="event", quantum=1e-3, tolerance=None)
times.append(time.perf_counter())
print(*np.diff(times), run.stored_synaptic_operations, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)
"""
SAMPLE_S, EQUAL = 0.25, 1e-3  # of the comparison with Brian2: seconds, rms error


CLOCK = ((ltc_clocked, "run_fused_clock"),)
WAYS = ((ltc_fused, "run_fused"), (ltc_together, "run_together"), (ltc_lanes, "run_lanes"))
# Prices of changes of the way (event_sim/kernels/ways.py) that leave only one.
WAYS_ONLY = {
    "loop": {"to_together": np.inf},
    "together": {"to_loop": np.inf, "to_lanes": np.inf},
    "lanes": {"to_loop": np.inf, "to_lanes": -1.0, "from_lanes": np.inf},
}


def in_kernels(kernels: Iterable[tuple[Any, str]], call: Callable[[], Any], repeats: int) -> float:
    """The least CPU seconds that one call spends inside kernels (module, name)."""
    spent, times = [0.0], []

    def timed(kernel: Any) -> Any:
        def run(*arguments: Any) -> Any:
            start = time.thread_time()
            result = kernel(*arguments)
            spent[0] += time.thread_time() - start
            return result

        return run

    with contextlib.ExitStack() as stack:
        for module, name in kernels:
            stack.enter_context(mock.patch.object(module, name, timed(getattr(module, name))))
        for _ in range(repeats):
            spent[0] = 0.0
            call()
            times.append(spent[0])
    return min(times)


def on_one_way(changes: dict[str, float]) -> Any:
    """Within it event-driven runs go one way (WAYS_ONLY), whatever that costs."""
    return mock.patch.object(ltc_machines, "prices_of", lambda values: ltc_ways.prices_of(values)._replace(**changes))


def against_c() -> list[str]:
    """The clock-driven kernel beside plain C."""
    lines = [
        "| network | ours, us per sample | G evaluations/s | C by target, us | C scatter, us | C (better) / ours | largest difference |",
        "|---|" + "---|" * 6,
    ]
    networks = (
        ("LTC AutoNCP(19, 1), 32 inputs", Wiring.auto_ncp(32, 19, 1), 4000),
        ("302 dense", Wiring.fully_connected(32, 302, 1), 20),
        ("302 at 10 %", Wiring.random(32, 302, 1, sparsity=0.9), 100),
    )
    for name, wiring, samples in networks:
        network, x = ltc(wiring, seed=1), np.random.default_rng(0).normal(size=(samples, 32))
        stream = EventStream.from_samples(x, sample_s=1.0)
        ours = in_kernels(CLOCK, partial(simulate, network, stream, engine="clocked"), 12) / samples * 1e6
        evaluations = 6 * wiring.synapse_count + wiring.sensory_synapse_count
        run, forms = simulate(network, stream, engine="clocked"), rivals(network, x, 1.0)
        times = {form: fastest(call, 12) / samples * 1e6 for form, call in forms.items()}
        off = max((float(np.abs(call() - run.state[1:]).max()) for call in forms.values()), default=float("nan"))
        c, scatter = times.get("by_target", float("nan")), times.get("scatter", float("nan"))
        lines.append(
            f"| {name} | {ours:.3g} | {evaluations / ours / 1e3:.2f} | {c:.3g} | {scatter:.3g} | {min(c, scatter) / ours:.2f} | {off:.0e} |"
        )
    return lines


def events_per_second() -> list[str]:
    """Synaptic events of the event-driven engine, each message followed, and on the way it chooses (which may not follow any)."""
    lines = ["| network | synaptic events | M events/s | ns each | growth against 302 | M events/s, as chosen |", "|---|" + "---|" * 5]
    first = 0.0
    for name, units, fan_in, samples in (
        ("302 x 20 (connectome size)", 302, 20, 400),
        ("10,000 x 32", 10_000, 32, 30),
        ("100,000 x 32", 100_000, 32, 4),
    ):
        network = ltc(Wiring.random_fan_in(8, units, 1, fan_in, sensory_fan_in=1), seed=1)
        stream = EventStream.from_samples(np.random.default_rng(0).normal(size=(samples, 8)), sample_s=1.0)
        call = partial(simulate, network, stream, engine="event", quantum=1e-3, tolerance=None)
        run, repeats = call(), 3 if units < 100_000 else 1
        chosen = in_kernels(WAYS, call, repeats)
        with on_one_way(WAYS_ONLY["loop"]):
            call()
            each = in_kernels(WAYS, call, repeats) / run.stored_synaptic_operations * 1e9
        first = first or each
        events = run.stored_synaptic_operations
        lines.append(f"| {name} | {events} | {1e3 / each:.1f} | {each:.1f} | {each / first:.2f} | {events / chosen / 1e6:.1f} |")
    return lines


def scale() -> list[str]:
    """A million neurons of 32 synapses, built and simulated in a process of its own, whose memory is measured."""
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    wiring, network, run, events, gigabytes = (float(word) for word in done.stdout.split())
    total = wiring + network
    return [
        "| wiring, s | network, s | both / 60 s | one sample, s | M synaptic events | largest memory, GB | / 6 GB |",
        "|---|" + "---|" * 6,
        f"| {wiring:.1f} | {network:.1f} | {total / 60:.2f} | {run:.1f} | {events / 1e6:.0f} | {gigabytes:.2f} | {gigabytes / 6:.2f} |",
    ]


def batches() -> list[str]:
    """64 independent streams: one by one, eight at a time, and over threads (wall time, because threads share no CPU clock)."""
    lines = [
        "| network | engine | one by one, us per sample | one call, 1 thread | 2 threads | one by one / 1 thread | 1 / 2 threads |",
        "|---|---|" + "---|" * 5,
    ]
    for name, wiring, samples in (("19", Wiring.auto_ncp(32, 19, 1), 2000), ("302 x 20", Wiring.random_fan_in(8, 302, 1, 20), 100)):
        network, draw = ltc(wiring, seed=1), np.random.default_rng(0)
        streams = [EventStream.from_samples(draw.normal(size=(samples, wiring.inputs)), sample_s=1.0) for _ in range(64)]
        for engine, options in (("clocked", {}), ("event", {"quantum": 1e-3, "tolerance": None})):
            call: Callable[..., Any] = partial(simulate, network, engine=engine, **options)
            calls = (partial(_one_by_one, call, streams), partial(call, streams, threads=1), partial(call, streams, threads=2))
            alone, one, two = (fastest(each, 3, time.perf_counter) / (64 * samples) * 1e6 for each in calls)
            lines.append(f"| {name} | {engine} | {alone:.3g} | {one:.3g} | {two:.3g} | {alone / one:.2f} | {one / two:.2f} |")
    return lines


def _one_by_one(call: Callable[..., Any], streams: list[EventStream]) -> None:
    for stream in streams:
        call(stream)


def against_brian2() -> list[str]:
    """The differential equation at equal rms error, 1e-3 of all states at the ends of all samples, walking inputs."""
    lines = ["| network | ours, ms | engine | Brian2, ms | its steps per sample | Brian2 / ours |", "|---|" + "---|" * 5]
    for name, wiring, samples in (
        ("19", Wiring.auto_ncp(4, 19, 1), 400),
        ("302 x 20", Wiring.random_fan_in(8, 302, 1, 20, sensory_fan_in=1), 40),
        ("10,000 x 32", Wiring.random_fan_in(8, 10_000, 1, 32, sensory_fan_in=1), 4),
    ):
        network = ltc(wiring, seed=1, solver="exact")
        x = np.cumsum(0.3 * np.random.default_rng(0).normal(size=(samples, wiring.inputs)), axis=0)
        stream = EventStream.from_samples(x, sample_s=SAMPLE_S)
        states = simulate(network, stream, engine="clocked", tolerance=1e-5).state[1:]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "network.npz"
            np.savez(file, x=x, states=states, sample_s=SAMPLE_S, error=EQUAL, **_plain(network))
            command = [sys.executable, "-m", "benchmarks.brian2_rival", str(file)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return [*lines, f"| {name} | - | - | Brian2 or its compiler is missing: {done.stderr.strip().splitlines()[-1]} | - | - |"]
        rival = json.loads(done.stdout.splitlines()[-1])
        engine, seconds = _at_equal_error_to(network, stream, states)
        ratio = rival["seconds"] / seconds
        lines.append(f"| {name} | {seconds * 1e3:.3g} | {engine} | {rival['seconds'] * 1e3:.3g} | {rival['steps']} | {ratio:.0f} |")
    return lines


def _plain(network: LiquidNetwork) -> dict[str, Any]:
    """What Brian2 needs of a network, as arrays."""
    values = effective(network)
    names = [side + name for side in ("", "sensory_") for name in ("source", "target", "w", "sigma", "mu", "erev")]
    return {name: getattr(values, name) for name in ("cm", "gleak", "vleak", *names)}


def _at_equal_error_to(network: LiquidNetwork, stream: EventStream, states: Any) -> tuple[str, float]:
    """(engine, seconds) of the fastest run whose rms error is at most EQUAL, at the loosest setting that meets it."""
    found: dict[str, float] = {}
    for engine, name, options in (("clocked", "tolerance", {}), ("event", "quantum", {"order": 2, "tolerance": None})):
        setting = 0.3
        while True:
            call = partial(simulate, network, stream, engine=engine, **{**options, name: setting})
            if float(np.sqrt(np.mean((call().state[1:] - states) ** 2))) <= EQUAL:
                break
            setting /= 2.0
        label = "clock" if engine == "clocked" else "events, order 2"
        found[label] = fastest(call, 5)
    best = min(found, key=lambda label: found[label])
    return best, found[best]


def first_call() -> list[str]:
    """Seconds of the first call, by engine."""
    return first_calls("engine", [(engine, COLD.replace("ENGINE", engine)) for engine in ("clocked", "event")])


def main() -> None:
    """Run everything, print it and write the table."""
    parts = (
        ("Clock-driven, 6 unfolds, batch 1, beside plain C (gcc -O3 -march=native -ffast-math, float32)", against_c),
        ("Event-driven: synaptic events per second", events_per_second),
        ("A million neurons with 32,000,000 synapses", scale),
        ("Independent streams: one call, one thread or two", batches),
        ("The differential equation against Brian2 (cython, exponential Euler) at equal error", against_brian2),
        ("First call", first_call),
    )
    write_report(__doc__, "Engines", "CPU time of one thread, minima over repeats on a shared machine.", parts, RESULTS)


if __name__ == "__main__":
    main()
