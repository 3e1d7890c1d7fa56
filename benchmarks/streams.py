"""Events against the clock on real streams: `uv run python -m benchmarks.streams [--data FOLDER] [--quick]`.

Writes benchmarks/results/streams.md and streams.svg. FOLDER holds data sets that do not come along (benchmarks/stream_data.py names their
files); those that are not there are left out. Both engines meet the same rms error of 1e-3 of all states, against the clock-driven run:
the event-driven one with the largest quantum that does. CPU time of one thread, minima over repeats. `--prices` prints what
event_sim/foreseen.py and event_sim/ltc_ways.py take operations to cost.
"""

from __future__ import annotations

import argparse
import math
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.engines import WAYS, WAYS_ONLY, in_kernels, on_one_way
from benchmarks.measuring import fastest, processor
from benchmarks.stream_data import streams
from event_sim import EventStream, Recording, foreseen, simulate
from liquid_neuro import LiquidNetwork, Wiring, cfc, ltc

RESULTS = Path(__file__).parent / "results"
ERROR, CLOSE = 1e-3, 1.06
THRESHOLDS = (0.0, 0.1, 0.5)
SIZES = {"19": (19, 0), "302 x 20": (302, 20), "2,000 x 32": (2000, 32)}
SAMPLES = {"19": 10_000, "302 x 20": 3_000, "2,000 x 32": 2_000}  # of a stream at most: what begins a run costs a millisecond or more
QUICK = 150
OTHERS = ("occupancy", "ECG", "half-cheetah", "gyro")  # streams for other solvers and cells
COLORS = {"19": "#4477aa", "302 x 20": "#228833", "2,000 x 32": "#cc3311"}


class Row(NamedTuple):
    """One network on one stream: microseconds per sample on the clock, by events at equal error, by events and by `auto` to a tolerance."""

    stream: str
    network: str
    threshold: float
    changing: float
    clock: float
    event: float
    activity: float
    careful: float
    auto: float
    chosen: str


def network_of(name: str, inputs: int) -> LiquidNetwork:
    """A network of the given size with ncps' initial ranges."""
    units, fan_in = SIZES[name]
    wiring = Wiring.random_fan_in(inputs, units, 1, fan_in, sensory_fan_in=1) if fan_in else Wiring.auto_ncp(inputs, units, 1)
    return ltc(wiring, seed=1)


def at_equal_error(network: LiquidNetwork, stream: EventStream, exact: Recording) -> float:
    """The largest quantum, to some per cent, whose rms error is at most ERROR."""

    def keeps(quantum: float) -> bool:
        run = simulate(network, stream, quantum=quantum, tolerance=None)
        return float(np.sqrt(np.mean((run.state - exact.state) ** 2))) <= ERROR

    quantum, factor = 0.1, 1.5
    while not keeps(quantum):
        quantum /= factor
    while factor > CLOSE:
        factor = math.sqrt(factor)
        quantum = quantum * factor if keeps(quantum * factor) else quantum
    return quantum


def measured(name: str, stream_name: str, x: np.ndarray, threshold: float, repeats: int) -> Row:
    """One row of the table. x: (samples, inputs)."""
    network, stream = network_of(name, x.shape[1]), EventStream.from_samples(x, sample_s=1.0, threshold=threshold)
    exact, us = simulate(network, stream, engine="clocked"), 1e6 / len(x)
    quantum = at_equal_error(network, stream, exact)
    run, auto = simulate(network, stream, quantum=quantum, tolerance=None), simulate(network, stream)
    times = (
        fastest(lambda: simulate(network, stream, engine="clocked"), repeats),
        fastest(lambda: simulate(network, stream, quantum=quantum, tolerance=None), repeats),
        fastest(lambda: simulate(network, stream, engine="event"), max(repeats - 1, 1)),
        fastest(lambda: simulate(network, stream), repeats),
    )
    clock, event, careful, chosen = (seconds * us for seconds in times)
    share = run.stored_synaptic_operations / run.clocked_synaptic_operations
    changing = float(np.mean(np.diff(stream.held(), axis=0, prepend=0.0) != 0.0))
    return Row(stream_name, name, threshold, changing, clock, event, share, careful, chosen, auto.engine)


def other(name: str, stream_name: str, x: np.ndarray, threshold: float, repeats: int) -> str:
    """A row of the table of other solvers and cells: what each engine takes to a tolerance of ERROR, and what `auto` does."""
    network, samples = others(x.shape[1])[name]
    stream, us = EventStream.from_samples(x[:samples], sample_s=1.0, threshold=threshold), 1e6 / len(x[:samples])
    auto = simulate(network, stream)
    clock, event, chosen = (fastest(partial(simulate, network, stream, engine=e), repeats) * us for e in ("clocked", "event", "auto"))
    cells = f"{clock:.3g} | {event:.3g} | {chosen:.3g} | {auto.engine} | {min(clock, event) / chosen:.2f}"
    return f"| {stream_name} | {name} | {threshold:g} | {cells} |"


def others(inputs: int) -> dict[str, tuple[LiquidNetwork, int]]:
    """Networks under other solvers and of the other cell, and how many samples they are given."""
    fan_in = Wiring.random_fan_in(inputs, 302, 1, 20, sensory_fan_in=1)
    return {
        "exact, 19": (ltc(Wiring.auto_ncp(inputs, 19, 1), seed=1, solver="exact"), 300),
        "exact, 302 x 20": (ltc(fan_in, seed=1, solver="exact"), 100),
        "CfC, wired, 19": (cfc(Wiring.auto_ncp(inputs, 19, 1), seed=1), 3000),
        "CfC, wired, 300": (cfc(Wiring.auto_ncp(inputs, 300, 2), seed=1), 600),
        "CfC, 64, backbone 128": (cfc(64, inputs, seed=1), 1500),
    }


def other_table(found: dict[str, np.ndarray], repeats: int) -> list[str]:
    """The table of other solvers and cells as Markdown."""
    lines = ["| stream | network | threshold | clock, us | events, us | auto, us | auto took | better / auto |", "|---" * 8 + "|"]
    given = {stream_name: x for stream_name, x in found.items() if stream_name.startswith(OTHERS)}
    for stream_name, x in {**given, "one of 8 inputs every 30": sparse(3000, 30)}.items():
        for threshold in THRESHOLDS[::2] if stream_name in given else THRESHOLDS[:1]:
            for name in others(1):
                lines.append(other(name, stream_name, x, threshold, repeats))
                print(lines[-1], flush=True)
    return lines


def sparse(samples: int, every: int) -> np.ndarray:
    """One input of eight changes every n-th sample."""
    generator, x = np.random.default_rng(0), np.zeros((samples, 8))
    for sample in range(0, samples, every):
        x[sample:, generator.integers(8)] = generator.normal()
    return x


def table(rows: list[Row]) -> list[str]:
    """The rows as Markdown."""
    titles: tuple[str, ...] = ("stream", "network", "threshold", "inputs changing", "clock, us", "events, us", "clock / events", "activity")
    titles += ("events to 1e-3, us", "auto to 1e-3, us", "auto took", "better / auto")
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for r in rows:
        lines.append(
            f"| {r.stream} | {r.network} | {r.threshold:g} | {r.changing:.1%} | {r.clock:.3g} | {r.event:.3g} | {r.clock / r.event:.2f} | "
            f"{r.activity:.4f} | {r.careful:.3g} | {r.auto:.3g} | {r.chosen} | {min(r.clock, r.careful) / r.auto:.2f} |"
        )
    return lines


def crossing(rows: list[Row], name: str) -> str:
    """Where events overtake the clock: the activity at which a line through log ratio against log activity meets 1."""
    points = np.array([(math.log(r.activity), math.log(r.clock / r.event)) for r in rows if r.network == name])
    slope, offset = np.polyfit(points[:, 0], points[:, 1], 1) if len(points) > 2 else (0.0, 0.0)
    return f"{math.exp(-offset / slope):.2%}" if slope < 0 else "-"


def picture(rows: list[Row]) -> str:
    """A plain SVG: clock / events over activity, both logarithmic."""
    width, height, left, bottom = 720, 440, 70, 50
    low, high = 1e-4, 1.0
    top = max(10.0, *(r.clock / r.event for r in rows)) * 1.3
    least = min(0.1, *(r.clock / r.event for r in rows)) / 1.3

    def at(activity: float, ratio: float) -> tuple[float, float]:
        x = left + (width - left - 20) * math.log(max(activity, low) / low) / math.log(high / low)
        return x, height - bottom - (height - bottom - 20) * math.log(ratio / least) / math.log(top / least)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">']
    parts.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for activity in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        x, y = at(activity, least)
        parts.append(f'<line x1="{x:.1f}" y1="20" x2="{x:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{activity:g}</text>')
    for ratio in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0):
        if least <= ratio <= top:
            x, y = at(low, ratio)
            stroke = "#333" if ratio == 1.0 else "#ddd"
            parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{width - 20}" y2="{y:.1f}" stroke="{stroke}"/>')
            parts.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{ratio:g}</text>')
    for r in rows:
        x, y = at(r.activity, r.clock / r.event)
        label = f"{r.stream}, {r.network}, threshold {r.threshold:g}"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{COLORS[r.network]}" fill-opacity="0.7"><title>{label}</title></circle>'
        )
    for index, (name, color) in enumerate(COLORS.items()):
        parts.append(f'<circle cx="{width - 130}" cy="{34 + 18 * index}" r="4" fill="{color}"/>')
        parts.append(f'<text x="{width - 120}" y="{38 + 18 * index}">{name} neurons</text>')
    below = "activity: synaptic operations of events / of the clock"
    parts.append(f'<text x="{(left + width) / 2}" y="{height - 12}" text-anchor="middle">{below}</text>')
    parts.append(f'<text transform="translate(16 {height / 2}) rotate(-90)" text-anchor="middle">time on the clock / time by events</text>')
    return "\n".join([*parts, "</svg>", ""])


def prices() -> list[str]:
    """Nanoseconds per operation and per synapse of the set-up, of both engines, by size."""
    lines = [
        "| network | events: set-up per synapse, ns | per operation, ns | clock: set-up, ns | per evaluation, ns |",
        "|---|---|---|---|---|",
    ]
    still = EventStream.from_samples(np.zeros((1, 8)), sample_s=1.0)
    for name, samples in (("19", 2000), ("302 x 20", 300), ("2,000 x 32", 40)):
        network, cells = network_of(name, 8), []
        stream = EventStream.from_samples(np.random.default_rng(0).normal(size=(samples, 8)), sample_s=1.0)
        for options in ({"quantum": 1e-3, "tolerance": None}, {"engine": "clocked"}):
            call = partial(simulate, network, **options)  # type: ignore[arg-type]
            begin, run = fastest(partial(call, still), 3), call(stream)
            wiring = network.wiring
            assert wiring is not None
            spent = fastest(partial(call, stream), 3) - begin
            cells += [begin / wiring.synapse_count * 1e9, spent / run.stored_synaptic_operations * 1e9]
        lines.append(f"| {name} | " + " | ".join(f"{cell:.3g}" for cell in cells) + " |")
    return [*lines, "", f"assumed: events {foreseen.EVENTS}, clock {foreseen.CLOCK}", "", *prices_of_ways()]


def prices_of_ways() -> list[str]:
    """What the kernels take per unit of event_sim/ltc_ways.py, on each way: about the same everywhere, if its prices are right."""
    lines = ["| network | a change every | quantum | " + " | ".join(f"{way}, ns per unit" for way in WAYS_ONLY) + " |", "|---" * 6 + "|"]
    for name, samples in (("19", 3000), ("302 x 20", 300), ("2,000 x 32", 60)):
        for every, quantum in ((1, 1e-3), (3, 1e-2), (10, 1e-3), (30, 1e-2)):
            stream, cells = EventStream.from_samples(sparse(samples, every), sample_s=1.0), []
            call = partial(simulate, network_of(name, 8), stream, quantum=quantum, tolerance=None)
            for only in WAYS_ONLY.values():
                with on_one_way(only):
                    carried = call().final.carried
                    assert carried is not None
                    cells.append(in_kernels(WAYS, call, 3) / float(carried.arrays["progress"]["spent"][0]) * 1e9)
            lines.append(f"| {name} | {every} | {quantum:g} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
    return lines


def main() -> None:
    """Run everything, print it and write the table and the picture."""
    parser = argparse.ArgumentParser(description="Events against the clock on real streams.")
    parser.add_argument("--data", type=Path, default=None, help="folder with further data sets")
    parser.add_argument("--quick", action="store_true", help="fewer samples, one repeat")
    parser.add_argument("--prices", action="store_true", help="print the prices of operations and stop")
    options = parser.parse_args()
    if options.prices:
        print("\n".join(prices()))
        return
    repeats, rows, swept = (1 if options.quick else 3), [], []
    most = {name: QUICK if options.quick else samples for name, samples in SAMPLES.items()}
    found = streams(options.data, max(most.values()))
    for stream_name, x in found.items():
        for name in SIZES:
            for threshold in THRESHOLDS:
                rows.append(measured(name, stream_name, x[: most[name]], threshold, repeats))
                print(table(rows)[-1], flush=True)
    for name in SIZES:
        for every in (1, 3, 10, 30, 100, 300):
            swept.append(measured(name, f"one of 8 inputs every {every}", sparse(most[name], every), 0.0, repeats))
            print(table(swept)[-1], flush=True)
    text = [f"# Events against the clock on real streams\n\n{processor()}, CPU time of one thread, per sample, at rms error {ERROR:g}.\n"]
    text.append(
        "Inputs are standardised and sent on delta with the threshold; networks have ncps' initial ranges; a sample is one model unit.\n"
    )
    text.append(
        "\n".join(table(rows))
        + "\n\n## Changes ever rarer\n\n"
        + "\n".join(table(swept))
        + f"\n\n## Other solvers and cells, to {ERROR:g}\n\n"
        + "\n".join(other_table(found, repeats))
        + "\n\n## The crossover\n\n![](streams.svg)\n"
    )
    text.append(
        "\n".join(f"- {name}: events overtake the clock below an activity of about {crossing(rows + swept, name)}" for name in SIZES) + "\n"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "streams.md").write_text("\n".join(text))
    (RESULTS / "streams.svg").write_text(picture(rows + swept))
    print(text[-1])


if __name__ == "__main__":
    main()
