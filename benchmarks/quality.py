"""How close integers come to the networks they stand for: `python -m benchmarks.quality` writes benchmarks/results/quality.md.

    python -m benchmarks.quality [--only TEXT] [--steps STEPS] [--cache FOLDER] [--out FILE]

Every figure is the rms error of the outputs over the standard deviation of the named target's own outputs, in per cent, on inputs that
calibration did not see. Golden networks (from tests/golden, perturbed, not trained): independent samples / random walks. Networks trained
on occupancy (STEPS of training): windows of the test file, each from state 0 / 2,000 samples of it as one stream. "–": refused, with the
reason in the notes.

--only runs the sections whose title holds TEXT and leaves the others of the file as they are. --cache keeps trained networks in a folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import liquid_neuro
from benchmarks.quality_cases import CFCS, CHIP, LTCS, ROOT, Case, Refusals, errors, golden_cases, shown, table, trained_cases
from event_sim import EventStream, evaluate, fixed
from liquid_neuro import tasks
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers import quantize

STEPS = 300  # training has converged to within what its seeds differ by
THROUGH_STEPS = 100  # of training on through the integers


def sweep(cases: list[Case], values: Iterable[Any], how: Callable[[Any], dict[str, Any]], name: str) -> list[str]:
    """One row per network, one column per value of an option."""
    values, refusals = list(values), Refusals()
    rows = [[case.name, *(refusals.cell(case, **how(value)) for value in values)] for case in cases]
    return [*table([name, *map(str, values)], rows), "", *refusals.lines()]


# --- sections -----------------------------------------------------------------------------------------------------------------------------


def weight_bits(cases: list[Case]) -> list[str]:
    """Rounding after training."""
    return sweep(cases, (8, 7, 6, 5, 4), lambda bits: {"bits": bits}, "weight bits")


def retrained(cases: list[Case]) -> list[str]:
    """Trained on through the integers: accuracy on the test windows before and after."""
    task, rows = tasks.occupancy(), []
    for case in cases[:2]:
        row = [case.name, f"{100 * evaluate(task, case.network).accuracy:.2f}"]
        for bits in (8, 6, 5, 4):
            before = quantize(case.network, CHIP, calibration=case.calibration, bits=bits)
            fit = liquid_neuro.fit(task, case.network, steps=THROUGH_STEPS, learning_rate=0.003, seed=0, through=before)
            after = quantize(fit.network, CHIP, formats=before.formats)
            row.append(" → ".join(f"{100 * evaluate(task, one).accuracy:.2f}" for one in (before, after)))
        rows.append(row)
    return table(["accuracy, %", "float", "8 bits", "6", "5", "4"], rows)


def state_bits(cases: list[Case]) -> list[str]:
    """LTC words above 16 bits keep guard bits below those that enter products; a CfC has at most 16."""
    return sweep(cases, (10, 12, 14, 16, 20, 24), lambda bits: {"bits": {"state": bits}}, "state bits")


def gate_bits(cases: list[Case]) -> list[str]:
    """Fraction bits of gate messages (LTC); fan-in limits them."""
    return sweep(cases, (4, 6, 7, 8, 9, 10), lambda bits: {"bits": {"gates": bits}}, "gate bits")


def message_bits(cases: list[Case]) -> list[str]:
    """Bits of the units' messages."""
    return sweep(cases, (7, 8, 9, 10, 11, 12, 13), lambda bits: {"bits": {"message": bits}}, "message bits")


def tables(cases: list[Case]) -> list[str]:
    """Fewer knots in every table, straight lines between them: the deployed tables hold 513 (CfC), 257 and 129 entries."""
    rows = []
    for case in cases:
        quantized = quantize(case.network, CHIP, calibration=case.calibration)
        rows.append([case.name, *(shown(errors(case, coarser(quantized, step))) for step in (1, 2, 4, 8, 16))])
    return table(["table size", "1", "1/2", "1/4", "1/8", "1/16"], rows)


def coarser(quantized: QuantizedNetwork, step: int) -> QuantizedNetwork:
    """The network with every table replaced by straight lines between every step-th of its entries."""

    def thinned(entries: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        if (len(entries) - 1) % step:
            return entries
        knots = np.arange(0, len(entries), step)
        return np.floor(np.interp(np.arange(len(entries)), knots, entries[knots]) + 0.5).astype(np.int64)

    populations = tuple(
        dataclasses.replace(one, tables={name: thinned(entries) for name, entries in one.tables.items()}) for one in quantized.populations
    )
    return dataclasses.replace(quantized, populations=populations)


def thresholds(cases: list[Case]) -> list[str]:
    """Messages that are sent only once they moved so many steps: the error, and the synaptic operations per sample of the last set."""
    rows = []
    for case in cases:
        second = ["gate"] if case.network.cell == "ltc" else ["backbone"] if "backbone.0.weight" in case.network.parameters else []
        for name in ("neuron", *second, "input"):
            row = [f"{case.name}, {name}"]
            for threshold in (1, 2, 4, 8, 16, 64):
                quantized = quantize(case.network, CHIP, calibration=case.calibration, thresholds={name: threshold})
                x, spans = list(case.judged.values())[-1]
                activity = fixed.run_chip(quantized, EventStream.from_samples(x[0], timespans=spans[0] * case.network.time_unit_s)).activity
                operations = 0 if activity is None else int(activity.stored_operations.sum()) / len(x[0])
                row.append(f"{shown(errors(case, quantized))}; {operations:.0f}")
            rows.append(row)
    return table(["threshold, steps", "1", "2", "4", "8", "16", "64"], rows)


def exact(cases: list[Case]) -> list[str]:
    """Against the differential equation, by ticks per sample (two per sub-step) and state bits; target fused beside it."""
    rows, refusals = [], Refusals()
    for case in cases:
        solved, first = case.under("exact"), next(iter(case.judged))
        apart = float(np.sqrt(np.mean(np.square(solved.target(first) - case.target(first)))) / case.target(first).std())
        row = [case.name, f"{100 * apart:.2g}", refusals.cell(case)]
        for ticks, bits in ((12, 16), (24, 16), (48, 16), (48, 24), (96, 24)):
            row.append(refusals.cell(solved, ticks_per_sample=ticks, bits={"state": bits}))
        rows.append(row)
    head = ["target", "fused from exact", "fused(U)", "exact, 12 ticks, 16 bits", "24, 16", "48, 16", "48, 24", "96, 24"]
    return [*table(head, rows), "", *refusals.lines()]


def irregular(cases: list[Case]) -> list[str]:
    """Samples that last differently long, told with every sample; target: the same network in floats, same timespans."""
    rows, refusals, ranges = [], Refusals(), ((1.0, 1.0), (0.5, 2.0), (0.1, 2.0), (0.01, 2.0))
    for case in cases:
        row = [case.name]
        for shortest, longest in ranges:
            generator = np.random.default_rng(3)
            judged = {
                name: (x, np.exp(generator.uniform(np.log(shortest), np.log(longest), x.shape[:2]))) for name, (x, _) in case.judged.items()
            }
            row.append(refusals.cell(case.judged_by(judged), timespans=(shortest, longest)))
        rows.append(row)
    head = ["timespans", *(f"{shortest:g} to {longest:g}" for shortest, longest in ranges)]
    return [*table(head, rows), "", *refusals.lines()]


# --- the file -----------------------------------------------------------------------------------------------------------------------------


def main() -> None:
    """Run the sections, print them and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="only sections whose title holds this; the others of the file stay")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training; 0 leaves the trained networks out")
    parser.add_argument("--cache", type=Path, help="a folder that keeps trained networks")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "quality.md")
    arguments = parser.parse_args()

    @cache
    def cases(cell: str) -> list[Case]:
        return golden_cases(LTCS if cell == "ltc" else CFCS) + [one for one in trained() if one.network.cell == cell]

    @cache
    def trained() -> list[Case]:
        return trained_cases(arguments.steps, arguments.cache) if arguments.steps else []

    def both() -> list[Case]:
        return cases("ltc") + cases("cfc")

    sections: dict[str, Callable[[], list[str]]] = {
        "Weight bits, rounded after training": lambda: weight_bits(both()),
        "Weight bits, trained on through the integers": lambda: retrained(trained()) if trained() else [],
        "State bits": lambda: state_bits(both()),
        "Gate bits": lambda: gate_bits(cases("ltc")),
        "Message bits": lambda: message_bits(both()),
        "Table sizes": lambda: tables(both()),
        "Delta thresholds: error; synaptic operations per sample": lambda: thresholds(both()),
        "The targets fused and exact": lambda: exact(cases("ltc")),
        "Irregular time": lambda: irregular(both()),
    }
    chosen = [title for title in sections if arguments.only.lower() in title.lower()]
    if not chosen:
        parser.error(f'--only must be part of a section\'s title, but "{arguments.only}" is of none: {"; ".join(sections)}')
    written = _sections(arguments.out)
    for title in chosen:
        started = time.process_time()
        lines = sections[title]()
        if lines:
            written[title] = "\n".join(["\n".join(lines).rstrip(), "", f"{time.process_time() - started:.0f} s of processor time.", ""])
            print(f"## {title}\n\n{written[title]}", flush=True)
    head = "".join((__doc__ or "").partition("Every figure")[1:]).partition("\n\n--only")[0]
    parts = [f"## {title}\n\n{written[title]}" for title in sections if title in written]
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text("\n".join([f"# Quality of the integers\n\n{head.replace('STEPS', f'{arguments.steps} steps')}\n", *parts]))


def _sections(path: Path) -> dict[str, str]:
    """The sections of an earlier file by title; none where there is no file."""
    parts = path.read_text().split("\n## ")[1:] if path.is_file() else []
    return {title: text.lstrip("\n") for title, _, text in (part.partition("\n") for part in parts)}


if __name__ == "__main__":
    main()
