"""How close integers come to the networks they stand for: `python -m benchmarks.quality` writes benchmarks/results/quality.md.

    python -m benchmarks.quality [--steps STEPS] [--out FILE] [--only TEXT]

Every figure is the rms error of the outputs over the standard deviation of the named target's own outputs, in per cent, on inputs that
calibration did not see: independent samples (white) and random walks for the golden networks (perturbed, not trained, from
tests/golden), the test windows of the occupancy task for trained ones (STEPS of training). "–": refused, with the reason in the notes.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import hardware_profiles
import liquid_neuro
from event_sim import EventStream, fixed
from liquid_neuro import LiquidNetwork, tasks
from liquid_neuro.dynamics import trajectory
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers import quantize

ROOT = Path(__file__).resolve().parent.parent
LTCS = ("ltc_ncp19", "ltc_auto32_softplus", "ltc_fc12_unfold3", "ltc_rand24_noaffine")
CFCS = ("cfc_wired_ncp19", "cfc_wired_auto32", "cfc_default", "cfc_nogate", "cfc_pure")
CHIP = hardware_profiles.load("loihi2")
WALK = 0.08  # per sample and channel
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Case:
    """A network, samples to calibrate on (windows, time, inputs), and named sets of samples to judge by, with their timespans."""

    name: str
    network: LiquidNetwork
    calibration: Any
    judged: Mapping[str, tuple[FloatArray, FloatArray]]

    def under(self, solver: str) -> Case:
        """The same network under another solver."""
        return dataclasses.replace(self, network=self.network.with_solver(solver))


def golden_cases(names: Iterable[str]) -> list[Case]:
    """The golden networks: calibrated on half of the recorded inputs and on walks, judged by the other half and by other walks."""
    sys.path.insert(0, str(ROOT / "tests"))
    from networks import golden

    cases = []
    for name in names:
        network, arrays = golden(name)
        x, generator = arrays["x"].astype(float), np.random.default_rng(0)
        spread = float(x.std())
        walks = np.cumsum(generator.normal(0, WALK, (8, 60, network.inputs)), axis=1)
        white = generator.normal(0, spread, (8, 60, network.inputs))
        cases.append(
            Case(name, network, np.concatenate([white[:4], walks[:4]]), {"white": _regular(white[4:]), "walk": _regular(walks[4:])})
        )
    return cases


def _regular(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    return x, np.ones(x.shape[:2])


def trained_cases(steps: int) -> list[Case]:
    """An LTC and a CfC of 19 neurons, trained on occupancy."""
    from liquid_neuro.commands.models import new_network

    task = tasks.occupancy()
    judged = {"test": _regular(task.test.x[:: max(1, len(task.test.x) // 200)])}
    cases = []
    for cell in ("ltc", "cfc"):
        network = liquid_neuro.fit(task, new_network(task, cell, 19, 0), steps=steps, seed=0).network
        cases.append(Case(f"{cell} occupancy", network, task.train.x[:: max(1, len(task.train.x) // 64)], judged))
    return cases


# --- one figure ---------------------------------------------------------------------------------------------------------------------------


def errors(case: Case, quantized: QuantizedNetwork) -> list[float]:
    """Per set of samples the relative rms error of the outputs."""
    found = []
    for x, spans in case.judged.values():
        y = trajectory(case.network, x, spans, tolerance=1e-7).y
        found.append(float(np.sqrt(np.mean(np.square(fixed.run_samples(quantized, x, spans) - y))) / y.std()))
    return found


def cell_of(case: Case, notes: list[str], **how: Any) -> str:
    """The table's cell of one quantisation: its errors, or – where it is refused."""
    try:
        quantized = quantize(case.network, CHIP, calibration=case.calibration, **how)
    except ValueError as refusal:
        notes.append(f"{case.name}, {how}: {refusal}")
        return "–"
    return shown(errors(case, quantized))


def shown(values: list[float]) -> str:
    """1.2 / 0.9: per cent."""
    return " / ".join(f"{100 * value:.2g}" for value in values)


def table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    """A table in Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def sweep(cases: list[Case], values: Iterable[Any], how: Callable[[Any], dict[str, Any]], name: str) -> list[str]:
    """One row per network, one column per value of an option."""
    values, notes = list(values), list[str]()
    rows = [[case.name, *(cell_of(case, notes, **how(value)) for value in values)] for case in cases]
    return [*table([name, *map(str, values)], rows), "", *(f"- {note}" for note in notes)]


# --- sections -----------------------------------------------------------------------------------------------------------------------------


def weight_bits(cases: list[Case]) -> list[str]:
    """Rounding after training."""
    return sweep(cases, (8, 7, 6, 5, 4), lambda bits: {"bits": bits}, "weight bits")


def retrained(cases: list[Case], steps: int) -> list[str]:
    """Trained on through the integers: accuracy on the test windows before and after."""
    from event_sim import evaluate

    task, rows = tasks.occupancy(), []
    for case in cases:
        row = [case.name, f"{100 * evaluate(task, case.network).accuracy:.2f}"]
        for bits in (8, 6, 5, 4):
            before = quantize(case.network, CHIP, calibration=case.calibration, bits=bits)
            fit = liquid_neuro.fit(task, case.network, steps=steps, learning_rate=0.003, seed=0, through=before)
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
    """Fewer knots in every table, straight lines between them: the deployed tables hold 257 and 129 entries."""
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
        second = "gate" if case.network.cell == "ltc" else "backbone"
        for name in ("neuron", second, "input"):
            row = [f"{case.name}, {name}"]
            for threshold in (1, 2, 4, 8, 16, 64):
                quantized = quantize(case.network, CHIP, calibration=case.calibration, thresholds={name: threshold})
                x, spans = list(case.judged.values())[-1]
                activity = fixed.run_chip(quantized, EventStream.from_samples(x[0], timespans=spans[0])).activity
                operations = int(activity.stored_operations.sum()) / len(x[0])
                row.append(f"{shown(errors(case, quantized))}; {operations:.0f}")
            rows.append(row)
    return table(["threshold, steps", "1", "2", "4", "8", "16", "64"], rows)


def exact(cases: list[Case]) -> list[str]:
    """Against the differential equation, by ticks per sample (two per sub-step) and state bits; target fused beside it."""
    rows, notes = [], list[str]()
    for case in cases:
        solved = case.under("exact")
        y = trajectory(case.network, next(iter(case.judged.values()))[0]).y
        apart = float(
            np.sqrt(np.mean(np.square(trajectory(solved.network, next(iter(case.judged.values()))[0], tolerance=1e-7).y - y))) / y.std()
        )
        row = [case.name, f"{100 * apart:.2g}", cell_of(case, notes)]
        for ticks, bits in ((12, 16), (24, 16), (48, 16), (48, 24), (96, 24)):
            row.append(cell_of(solved, notes, ticks_per_sample=ticks, bits={"state": bits}))
        rows.append(row)
    head = ["target", "fused from exact", "fused(U)", "exact, 12 ticks, 16 bits", "24, 16", "48, 16", "48, 24", "96, 24"]
    return [*table(head, rows), "", *(f"- {note}" for note in notes)]


def irregular(cases: list[Case]) -> list[str]:
    """Samples that last differently long, told with every sample; target: the same network in floats, same timespans."""
    rows, notes, ranges = [], list[str](), ((1.0, 1.0), (0.5, 2.0), (0.1, 2.0), (0.01, 2.0))
    for case in cases:
        row = [case.name]
        for shortest, longest in ranges:
            generator = np.random.default_rng(3)
            judged = {
                name: (x, np.exp(generator.uniform(np.log(shortest), np.log(longest), x.shape[:2]))) for name, (x, _) in case.judged.items()
            }
            row.append(cell_of(dataclasses.replace(case, judged=judged), notes, timespans=(shortest, longest)))
        rows.append(row)
    head = ["timespans", *(f"{shortest:g} to {longest:g}" for shortest, longest in ranges)]
    return [*table(head, rows), "", *(f"- {note}" for note in notes)]


def main() -> None:
    """Run everything, print it and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=600, help="of training; 0 leaves the trained networks out")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "quality.md")
    parser.add_argument("--only", default="", help="only sections whose title holds this")
    arguments = parser.parse_args()
    started = time.perf_counter()
    trained = trained_cases(arguments.steps) if arguments.steps else []
    ltcs = golden_cases(LTCS) + [case for case in trained if case.network.cell == "ltc"]
    cfcs = golden_cases(CFCS) + [case for case in trained if case.network.cell == "cfc"]
    both = ltcs + cfcs
    sections: tuple[tuple[str, Callable[[], list[str]]], ...] = (
        ("Weight bits, rounded after training", lambda: weight_bits(both)),
        ("Weight bits, trained on through the integers", lambda: retrained(trained, arguments.steps // 3) if trained else []),
        ("State bits", lambda: state_bits(both)),
        ("Gate bits", lambda: gate_bits(ltcs)),
        ("Message bits", lambda: message_bits(both)),
        ("Table sizes", lambda: tables(both)),
        ("Delta thresholds: error; synaptic operations per sample", lambda: thresholds(both)),
        ("The targets fused and exact", lambda: exact(ltcs)),
        ("Irregular time", lambda: irregular(both)),
    )
    text = [f"# Quality of the integers\n\n{(__doc__ or '').partition('Every figure')[1]}{(__doc__ or '').partition('Every figure')[2]}"]
    for title, section in sections:
        lines = section() if arguments.only.lower() in title.lower() else []
        if lines:
            text.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
            print(text[-1], flush=True)
    text.append(f"{time.perf_counter() - started:.0f} s.\n")
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text("\n".join(text))


if __name__ == "__main__":
    main()
