"""Co-design: thresholds are raised and the network retrained through the chip's own integers, so that it sends as little as it may.

Raising a send threshold saves messages and costs accuracy; retraining with the thresholds in place, through the very integers of the chip
and with a price on messages, wins accuracy back and lets thresholds rise further. In the end every threshold stands at half of what
was still good: a network at the edge of what it bears fails on another day. Every candidate is measured on the bit-exact simulator, on
windows that start from state 0 and on streams whose state is carried: windows alone hide what a held value does over hours.
Choices are made on validation windows and training streams; the test data are looked at once, for the result.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from event_sim import EventStream, evaluate, simulate
from event_sim.interrupts import whole
from hardware_profiles import HardwareProfile
from liquid_neuro.dynamics import integrate
from liquid_neuro.network import LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork
from liquid_neuro.tasks import Split, Stream, Task
from mappers.quantization import highest_thresholds, quantize

GUARD = 0.5  # of the allowed accuracy drop may be used on the validation windows: the test windows are other days
RETRAINING_WINDOW = 64  # samples: long enough that held values matter as they do in a stream
LEAST_SAVING = 0.03  # a threshold rises only where it saves so much of the messages
GUARDED_SPIKES = 0.9  # of the allowed messages may be used on the training streams
HIGHEST = 1 << 12  # of a threshold, in steps of the message


@dataclass(frozen=True)
class Budget:
    """What the chip may cost.

    accuracy_drop: how far the accuracy may fall below the float network's. spike_ratio: messages per sample, at most this share of the
    plain quantised network's; spikes_per_sample: an absolute number in its place.
    """

    accuracy_drop: float = 0.005
    spike_ratio: float = 1 / 3
    spikes_per_sample: float | None = None

    def __post_init__(self) -> None:
        if not self.accuracy_drop >= 0:
            raise ValueError(f"accuracy_drop must be at least 0, but is {self.accuracy_drop}")
        if not 0 < self.spike_ratio <= 1:
            raise ValueError(f"spike_ratio must be above 0 and at most 1, but is {self.spike_ratio}")
        if self.spikes_per_sample is not None and not self.spikes_per_sample >= 0:
            raise ValueError(f"spikes_per_sample must be at least 0, but is {self.spikes_per_sample}")


@dataclass(frozen=True)
class Candidate:
    """One network on the way, measured bit for bit. accuracy: on the validation windows; stream_accuracy, spikes_per_sample: on the
    training streams with the state carried. step: what was done to get it."""

    step: str
    thresholds: Mapping[str, int]
    accuracy: float
    stream_accuracy: float
    spikes_per_sample: float


@dataclass(frozen=True, eq=False)
class CodesignResult:
    """The network that sends least and keeps the accuracy, and how it was found.

    network: its float parameters; quantized: its integers with thresholds. On the test data: accuracy (windows), stream_accuracy (state
    carried), spikes_per_sample (streams, all compartments), and the same before: accuracies of the float network, spikes of the plain
    quantised one. met: whether both limits of the budget hold; limit: "" or which does not, "accuracy" or "spikes".
    history: every network that was measured. seconds: how long it took.
    """

    network: LiquidNetwork
    quantized: QuantizedNetwork
    accuracy: float
    accuracy_before: float
    stream_accuracy: float
    stream_accuracy_before: float
    spikes_per_sample: float
    spikes_per_sample_before: float
    met: bool
    limit: str
    history: tuple[Candidate, ...]
    seconds: float = field(compare=False)

    @property
    def thresholds(self) -> dict[str, int]:
        """The send thresholds of the result by population."""
        return _thresholds(self.quantized.formats)


def codesign(
    task: Task,
    network: LiquidNetwork,
    profile: HardwareProfile,
    budget: Budget | None = None,
    *,
    rounds: int = 2,
    steps: int = 100,
    batch_size: int = 16,
    learning_rate: float = 0.003,
    spike_weight: float = 0.02,
    bits: int | Mapping[str, int] | None = None,
    seed: int = 0,
    seconds: float | None = None,
    progress: bool = False,
) -> CodesignResult:
    """The network with the fewest messages per sample on `profile` whose accuracy stays within the budget.

    Thresholds are raised as far as the accuracy allows; then, `rounds` times, the network is retrained for `steps` steps at thresholds
    twice as high, with a price on messages, and they are raised again. In the end they are halved, unless only the edge meets the budget.
    spike_weight: the price of all messages that a network sends when it enters a round, in units of cross-entropy. bits: as in `quantize`.
    The same seed gives the same result, however fast the machine is; `seconds` ends the search before a further round once they are over,
    which may differ from machine to machine. progress: a line per candidate on the standard error.
    """
    started = time.perf_counter()
    budget = budget or Budget()
    search = _Search(task, network, profile, budget, bits, progress)
    search.raise_together()
    for number in range(rounds):
        if seconds is not None and time.perf_counter() - started > seconds:
            break
        if search.retrain(number + 1, steps, batch_size, learning_rate, spike_weight, seed + number):
            search.raise_together()
    search.raise_singly()
    search.step_back()
    return search.result(time.perf_counter() - started)


@dataclass(frozen=True, eq=False)
class _Measured:
    quantized: QuantizedNetwork
    candidate: Candidate


class _Search:
    """Where a search stands: the best network so far, and everything that was measured."""

    def __init__(self, task: Task, network: LiquidNetwork, profile: HardwareProfile, budget: Budget, bits: Any, progress: bool) -> None:
        if task.train.timespans is not None or any(stream.timespans is not None for stream in task.training_streams):
            raise ValueError(f"{task.name} must be sampled regularly to be co-designed, but has timespans; use fit(..., through=quantized)")
        self.task, self.profile, self.budget, self.progress = task, profile, budget, progress
        self.network = replace(network, interface=task.interface, time_unit_s=task.time_unit_s)
        self.training = [_events(stream, task) for stream in task.training_streams]
        self.plain = quantize(self.network, profile, calibration=self.training, bits=bits)
        if self.plain.kind == "akida":
            raise ValueError(
                f"profile must be of a chip that sends messages, but {profile.name} runs frames; use fit(..., through=quantized)"
            )
        self.history: list[Candidate] = []
        self.best = self.measure(self.plain, "quantised")
        self.float_accuracy = evaluate(task, self.network, "validation").accuracy
        self.float_stream = _stream_accuracy(task, self.network, task.training_streams)
        self.failed = False  # whether the last retraining at higher thresholds brought nothing

    def measure(self, quantized: QuantizedNetwork, step: str) -> _Measured:
        """Accuracy on the validation windows, accuracy and messages per sample on the training streams."""
        spikes, stream_accuracy = _on_streams(quantized, self.training, self.task.training_streams, self.task)
        accuracy = evaluate(self.task, quantized, "validation").accuracy
        candidate = Candidate(step, _thresholds(quantized.formats), accuracy, stream_accuracy, spikes)
        self.history.append(candidate)
        if self.progress:
            print(f"{step}: accuracy {accuracy:.4f}, on streams {stream_accuracy:.4f}, {spikes:.2f} messages per sample", file=sys.stderr)
        return _Measured(quantized, candidate)

    def kept(self, candidate: Candidate) -> bool:
        """Whether the accuracy is kept, with a reserve."""
        allowed = GUARD * self.budget.accuracy_drop
        return candidate.accuracy >= self.float_accuracy - allowed and candidate.stream_accuracy >= self.float_stream - allowed

    def raise_together(self) -> None:
        """Double all thresholds while the accuracy is kept."""
        while self.step_up([tuple(self.best.candidate.thresholds)], set()):
            pass

    def raise_singly(self) -> None:
        """Double one threshold at a time, the one that saves most, until the budget's messages are met or none saves enough."""
        tired: set[tuple[str, ...]] = set()
        while self.best.candidate.spikes_per_sample > self.most():
            if not self.step_up([(name,) for name in self.best.candidate.thresholds if (name,) not in tired], tired):
                return

    def step_up(self, groups: list[tuple[str, ...]], tired: set[tuple[str, ...]]) -> bool:
        """Double the thresholds of the group that saves most; False where no group saves enough and keeps the accuracy.

        tired: takes the groups that do not keep it, and those that save too little.
        """
        trials = []
        for group in groups:
            thresholds = {name: min(2 * self.best.candidate.thresholds[name], HIGHEST) for name in group}
            trial = self.measure(_rebuilt(self.best.quantized, self.profile, thresholds), f"{' and '.join(group)} thresholds doubled")
            saving = 1 - trial.candidate.spikes_per_sample / max(self.best.candidate.spikes_per_sample, 1e-12)
            if self.kept(trial.candidate) and saving >= LEAST_SAVING:
                trials.append((saving, group, trial))
            else:
                tired.add(group)
        if trials:
            self.best = max(trials, key=lambda trial: trial[:2])[2]
        return bool(trials)

    def retrain(self, number: int, steps: int, batch_size: int, learning_rate: float, spike_weight: float, seed: int) -> bool:
        """Train the best network through its own integers, at twice its thresholds where it keeps the accuracy; whether that was better."""
        from liquid_neuro.training.fit import fit, smooth_messages

        before, quantized = self.best.candidate, self.best.quantized
        if self.kept(before) and not self.failed:
            quantized = _rebuilt(quantized, self.profile, {name: min(2 * value, HIGHEST) for name, value in before.thresholds.items()})
        task = _long_windows(self.task, RETRAINING_WINDOW)
        fitted = fit(
            task, quantized.network, steps=steps, batch_size=batch_size, learning_rate=learning_rate, seed=seed, through=quantized,
            spike_weight=spike_weight / max(smooth_messages(task, quantized), 1e-6), evaluate_every=max(steps // 4, 1), threshold_range=4.0,
        )  # fmt: skip
        outcome = self.measure(quantize(fitted.network, self.profile, formats=quantized.formats), f"retrained, round {number}")
        after = outcome.candidate
        if self.kept(after):
            self.failed = self.kept(before) and after.spikes_per_sample >= before.spikes_per_sample
        else:
            self.failed = self.kept(before) or after.accuracy + after.stream_accuracy <= before.accuracy + before.stream_accuracy
        if not self.failed:
            self.best = outcome
        return not self.failed

    def step_back(self) -> None:
        """Halve all thresholds of a network that keeps the accuracy, unless only the edge meets the budget."""
        edge = self.best
        if not self.kept(edge.candidate) or max(edge.candidate.thresholds.values()) == 1:
            return
        halves = {name: max(value // 2, 1) for name, value in edge.candidate.thresholds.items()}
        safe = self.measure(_rebuilt(edge.quantized, self.profile, halves), "thresholds halved")
        only_the_edge = safe.candidate.spikes_per_sample > self.most() >= edge.candidate.spikes_per_sample
        if self.kept(safe.candidate) and not only_the_edge:
            self.best = safe

    def most(self) -> float:
        """Messages per sample of the training streams that the budget allows, with a reserve."""
        budget, before = self.budget, self.history[0].spikes_per_sample
        return GUARDED_SPIKES * (budget.spike_ratio * before if budget.spikes_per_sample is None else budget.spikes_per_sample)

    def result(self, seconds: float) -> CodesignResult:
        """The best network on the test data."""
        test = [_events(stream, self.task) for stream in self.task.streams]
        before, _ = _on_streams(self.plain, test, self.task.streams, self.task)
        after, stream_accuracy = _on_streams(self.best.quantized, test, self.task.streams, self.task)
        float_accuracy = evaluate(self.task, self.network).accuracy
        accuracy = evaluate(self.task, self.best.quantized).accuracy
        budget = self.budget
        least = float_accuracy - budget.accuracy_drop
        most = budget.spikes_per_sample if budget.spikes_per_sample is not None else budget.spike_ratio * before
        limit = "accuracy" if accuracy < least else "spikes" if after > most else ""
        return CodesignResult(
            network=self.best.quantized.network,
            quantized=self.best.quantized,
            accuracy=accuracy,
            accuracy_before=float_accuracy,
            stream_accuracy=stream_accuracy,
            stream_accuracy_before=_stream_accuracy(self.task, self.network, self.task.streams),
            spikes_per_sample=after,
            spikes_per_sample_before=before,
            met=not limit,
            limit=limit,
            history=tuple(self.history),
            seconds=seconds,
        )


def _thresholds(formats: Any) -> dict[str, int]:
    """The send thresholds in some formats by name."""
    names = ("input", "neuron", "gate", "backbone")
    return {name: getattr(formats, f"{name}_threshold") for name in names if hasattr(formats, f"{name}_threshold")}


def _rebuilt(quantized: QuantizedNetwork, profile: HardwareProfile, thresholds: Mapping[str, int]) -> QuantizedNetwork:
    highest = highest_thresholds(quantized)
    kept = {name: min(value, highest.get(name, value)) for name, value in thresholds.items()}
    return quantize(quantized.network, profile, formats=quantized.formats, thresholds=kept)


def _long_windows(task: Task, length: int) -> Task:
    """The task with long windows of the training streams to train on; every tenth validates (and stands for the test windows).

    The steps that the task's own windows reach count as much as all later ones together: both starts and streams must stay right.
    """
    parts = []
    for stream in task.training_streams:
        size = min(length, len(stream.y))
        rows = np.arange(0, len(stream.y) - size + 1, max(size // 4, 1))[:, None] + np.arange(size)
        parts.append((stream.x[rows], stream.y[rows]))
    x, y = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    chosen = np.arange(len(x)) % 10 == 0
    start = min(task.train.x.shape[1], x.shape[1])
    share = 0.5 if start < x.shape[1] else 1.0
    weights = np.full(x.shape[1], (1 - share) * x.shape[1] / max(x.shape[1] - start, 1))
    weights[:start] = share * x.shape[1] / start
    validation = Split(x[chosen], y[chosen], weights)
    return replace(task, train=Split(x[~chosen], y[~chosen], weights), validation=validation, test=validation)


def _events(stream: Stream, task: Task) -> EventStream:
    return EventStream.from_samples(stream.x, sample_s=task.sample_s)


def _on_streams(quantized: QuantizedNetwork, events: list[EventStream], streams: tuple[Stream, ...], task: Task) -> tuple[float, float]:
    """(messages per sample of all compartments, accuracy) with the state carried."""
    recordings = whole(simulate(quantized, events), len(events))
    samples = sum(len(stream.y) for stream in streams)
    spikes = sum(recording.activity.total_spikes for recording in recordings if recording.activity is not None)
    right = [_right(recording.output_samples, stream.y, task) for recording, stream in zip(recordings, streams)]
    return spikes / samples, float(np.concatenate(right).mean())


def _stream_accuracy(task: Task, network: LiquidNetwork, streams: tuple[Stream, ...]) -> float:
    right = [_right(integrate(network, stream.x)[0], stream.y, task) for stream in streams]
    return float(np.concatenate(right).mean())


def _right(outputs: Any, labels: Any, task: Task) -> Any:
    return (outputs[:, 0] > task.interface.threshold) == (labels > 0.5)
