"""The networks by which benchmarks/quality.py judges the integers, golden and trained, and how it judges them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import hardware_profiles
import liquid_neuro
from event_sim import fixed
from liquid_neuro import LiquidNetwork, Task, tasks
from liquid_neuro.dynamics import trajectory
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers import quantize

ROOT = Path(__file__).resolve().parent.parent
LTCS = ("ltc_ncp19", "ltc_auto32_softplus", "ltc_fc12_unfold3", "ltc_rand24_noaffine")
CFCS = ("cfc_wired_ncp19", "cfc_wired_auto32", "cfc_default", "cfc_nogate", "cfc_pure")
CHIP = hardware_profiles.load("loihi2")
WALK = 0.08  # per sample and channel
STREAM = 2000  # samples of the test file
FloatArray = npt.NDArray[np.float64]
Samples = tuple[FloatArray, FloatArray]  # x (windows, time, inputs), timespans (windows, time)


@dataclass(frozen=True, eq=False)
class Case:
    """A network, samples to calibrate on (windows, time, inputs), and named sets of samples to judge by, with their timespans.

    targets: what the network itself gives for each set, once it was asked for.
    """

    name: str
    network: LiquidNetwork
    calibration: Any
    judged: Mapping[str, Samples]
    targets: dict[str, FloatArray] = field(default_factory=dict)

    def under(self, solver: str) -> Case:
        """The same network under another solver."""
        return dataclasses.replace(self, network=self.network.with_solver(solver), targets={})

    def judged_by(self, judged: Mapping[str, Samples]) -> Case:
        """The same network, judged by other samples."""
        return dataclasses.replace(self, judged=judged, targets={})

    def target(self, name: str) -> FloatArray:
        """The network's own outputs for a set of samples."""
        if name not in self.targets:
            self.targets[name] = trajectory(self.network, *self.judged[name], tolerance=1e-7).y
        return self.targets[name]


def regular(x: FloatArray) -> Samples:
    """Samples that last one model unit each."""
    return x, np.ones(x.shape[:2])


def golden_cases(names: Iterable[str]) -> list[Case]:
    """The golden networks: calibrated on random samples and walks, judged by others."""
    sys.path.insert(0, str(ROOT / "tests"))
    from networks import golden

    cases = []
    for name in names:
        network, arrays = golden(name)
        spread, generator = float(arrays["x"].astype(float).std()), np.random.default_rng(0)
        walks = np.cumsum(generator.normal(0, WALK, (8, 60, network.inputs)), axis=1)
        white = generator.normal(0, spread, (8, 60, network.inputs))
        seen = np.concatenate([white[:4], walks[:4]])
        cases.append(Case(name, network, seen, {"white": regular(white[4:]), "walk": regular(walks[4:])}))
    return cases


def _untrained(task: Task) -> dict[str, LiquidNetwork]:
    """Networks to train, by name: both cells on the 19-neuron circuit, the Keras dialect on it, and a CfC with a backbone."""
    from liquid_neuro.commands.models import demo_wiring, new_network

    inputs = len(task.channels)
    return {
        "ltc occupancy": new_network(task, "ltc", 19, 0),
        "cfc occupancy": new_network(task, "cfc", 19, 0),
        "cfc keras occupancy": liquid_neuro.cfc(demo_wiring(inputs), dialect="keras", seed=0),
        "cfc backbone occupancy": liquid_neuro.cfc(16, inputs=inputs, projection=1, backbone_layers=1, backbone_units=32, seed=0),
    }


def trained_cases(steps: int, cache: Path | None = None) -> list[Case]:
    """Networks trained on occupancy, kept in files of the folder `cache` and read from there where they are.

    Calibrated on training windows, judged by windows of the test file, each from state 0, and by the test file as one stream.
    """
    task = tasks.occupancy()
    windows, stream = task.test.x[:: max(1, len(task.test.x) // 200)], task.streams[0].x[None, :STREAM]
    judged = {"windows": regular(windows), "stream": regular(stream)}
    seen, cases = task.train.x[:: max(1, len(task.train.x) // 64)], []
    for name, network in _untrained(task).items():
        file = None if cache is None else cache / f"{name.replace(' ', '_')}_{steps}.safetensors"
        if file is not None and file.is_file():
            network = liquid_neuro.load(file)
        else:
            network = liquid_neuro.fit(task, network, steps=steps, seed=0).network
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                liquid_neuro.save(network, file)
        cases.append(Case(name, network, seen, judged))
    return cases


# --- one figure ---------------------------------------------------------------------------------------------------------------------------


def errors(case: Case, quantized: QuantizedNetwork) -> list[float]:
    """Per set of samples the relative rms error of the outputs."""
    found = []
    for name, (x, spans) in case.judged.items():
        y = case.target(name)
        found.append(float(np.sqrt(np.mean(np.square(fixed.run_samples(quantized, x, spans) - y))) / y.std()))
    return found


def shown(values: list[float]) -> str:
    """1.2 / 0.9: per cent."""
    return " / ".join(f"{100 * value:.2g}" for value in values)


class Refusals:
    """Sentences of refusals, each with the networks and options that it was given for."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def cell(self, case: Case, **how: Any) -> str:
        """The table's cell of one quantisation: its errors, or – where it is refused."""
        try:
            quantized = quantize(case.network, CHIP, calibration=case.calibration, **how)
        except ValueError as refusal:
            self.found.setdefault(str(refusal), []).append(case.name)
            return "–"
        return shown(errors(case, quantized))

    def lines(self) -> list[str]:
        """A line per sentence."""
        return [f"- {', '.join(dict.fromkeys(names))}: {text}" for text, names in self.found.items()]


def table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    """A table in Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
