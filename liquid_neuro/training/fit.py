"""Fit a network to a task: Adam on the cross-entropy of every time step, the best snapshot on the validation windows kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from liquid_neuro.network import FloatArray, LiquidNetwork, LTCSettings
from liquid_neuro.quantized_network import QuantizedNetwork
from liquid_neuro.tasks import Task
from liquid_neuro.timespans import check_timespans
from liquid_neuro.training import steps as compiled
from liquid_neuro.training.forward import Forward, precision
from liquid_neuro.training.forwards import forward_of
from liquid_neuro.training.steps import Batch, Settings


@dataclass(frozen=True)
class Evaluation:
    """The state of a fit after some steps.

    loss: mean of the objective (cross-entropy and penalties) over the training steps since the last evaluation (NaN before the first);
    validation_loss: the same on the validation windows; messages: the smooth count of messages per sample there.
    """

    step: int
    loss: float
    validation_loss: float
    validation_accuracy: float
    messages: float


@dataclass(frozen=True, eq=False)
class Fit:
    """The network with the lowest objective on the validation windows, and how it was found.

    scores: "validation_accuracy", "test_accuracy" of that network under the forward it was trained through, "messages" its smooth count.
    """

    network: LiquidNetwork
    history: tuple[Evaluation, ...]
    seconds: float
    scores: Mapping[str, float]


@dataclass(frozen=True)
class _Course:
    """How a fit goes, beside what is compiled."""

    batch_size: int
    evaluate_every: int
    patience: int
    seed: int
    spike_weight: float
    threshold_range: float
    progress: bool


def fit(
    task: Task,
    network: LiquidNetwork,
    *,
    steps: int = 800,
    batch_size: int = 64,
    learning_rate: float = 0.01,
    schedule: str = "cosine",
    gain: float = 5.0,
    channel_penalty: float = 0.03,
    weight_decay: float = 1.0,
    patience: int = 0,
    evaluate_every: int = 50,
    seed: int = 0,
    through: QuantizedNetwork | None = None,
    spike_weight: float | Mapping[str, float] = 0.0,
    threshold_range: float = 1.0,
    progress: bool = False,
) -> Fit:
    """A new network with the parameters of the lowest objective on the validation windows; the given ones count as the snapshot of step 0.

    The objective is the binary cross-entropy of sigmoid(gain · (y - threshold)) at every time step (gain only scales the logits: a motor
    neuron stays within about -1..1), plus channel_penalty times the sum over the inputs of how strongly the network listens to each (a
    lasso: channels that tell little are left out, which holds better on another day), plus spike_weight times the smooth number of messages
    per sample where it trains `through` a quantised network (or by population: {"input": …, "neuron": …, "gate": …, "backbone": …}).
    weight_decay: of Adam, on weight matrices (a CfC's) alone.
    A task whose splits carry timespans is trained in irregular time: each sample lasts its own.
    through: train through its integer forward: formats and thresholds are kept, float parameters move by straight-through gradients. Its
    integers must know the task's timespans.
    threshold_range: each step draws a factor from 1 / threshold_range to 1 for the send thresholds, so that the network bears lower ones.
    schedule: "cosine" (from learning_rate to 0), "one-cycle" (up for 30 % of the steps, then down) or "constant".
    patience: stop after so many evaluations without a better snapshot; 0 never. Deterministic for a seed on one machine.
    ValueError: arguments that cannot be meant, or a training that diverges (its objective is no longer finite).
    """
    weights, price = (spike_weight, 1.0) if isinstance(spike_weight, Mapping) else (None, spike_weight)
    course = _Course(batch_size, evaluate_every, patience, seed, price, threshold_range, progress)
    _check(task, network, steps, schedule, course)
    _check_time(task, through)
    _check_weights(learning_rate, gain, patience, spike_weight, through is not None)
    started = time.perf_counter()
    network = replace(network, interface=task.interface, time_unit_s=task.time_unit_s)
    forward = forward_of(network, through, weights)
    non_negative = isinstance(network.settings, LTCSettings) and not network.settings.softplus
    settings = Settings(steps, learning_rate, schedule, gain, channel_penalty, weight_decay, non_negative)
    with precision(forward.double):
        best, history, scores = _run(task, network, forward, settings, course)
    return Fit(network.with_parameters(best), tuple(history), time.perf_counter() - started, scores)


def _check(task: Task, network: LiquidNetwork, steps: int, schedule: str, course: _Course) -> None:
    channels = len(task.channels)
    if network.inputs != channels:
        raise ValueError(f"network.inputs must be {channels} for {task.name}, but is {network.inputs}; build it for the task's channels")
    if network.outputs != 1:
        raise ValueError(f"network.outputs must be 1 for a threshold decision, but is {network.outputs}; use one motor neuron")
    for name, value in (("steps", steps), ("batch_size", course.batch_size), ("evaluate_every", course.evaluate_every)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, but is {value}")
    if course.batch_size > len(task.train):
        raise ValueError(
            f"batch_size must be at most {len(task.train)}, the training windows of {task.name}, but is {course.batch_size}; lower it"
        )
    if not course.threshold_range >= 1:
        raise ValueError(f"threshold_range must be at least 1, but is {course.threshold_range}")
    if schedule not in compiled.SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(compiled.SCHEDULES)}, but is {schedule!r}")


def _check_time(task: Task, through: QuantizedNetwork | None) -> None:
    spans = {name: task.split(name).timespans for name in ("train", "validation", "test")}
    for name, given in spans.items():
        if (given is None) != (spans["train"] is None):
            raise ValueError(f"timespans must be given for all splits of {task.name} or for none, but {name} differs from train")
        if given is not None and through is not None:
            check_timespans(through, given)


def _check_weights(learning_rate: float, gain: float, patience: int, spike_weight: float | Mapping[str, float], through: bool) -> None:
    weights = dict(spike_weight) if isinstance(spike_weight, Mapping) else {"": spike_weight}
    named = {f'spike_weight["{name}"]' if name else "spike_weight": value for name, value in weights.items()}
    for name, value in {"learning_rate": learning_rate, "patience": patience, **named}.items():
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be finite and at least 0, but is {value}")
    if not (np.isfinite(gain) and gain > 0):
        raise ValueError(f"gain must be finite and positive, but is {gain}")
    if any(weights.values()) and not through:
        raise ValueError(
            f"spike_weight must be 0 without `through`, but is {spike_weight}: a float network sends no messages; give a quantised network"
        )


def _run(
    task: Task, network: LiquidNetwork, forward: Forward, settings: Settings, course: _Course
) -> tuple[dict[str, FloatArray], list[Evaluation], dict[str, float]]:
    """(parameters of the best snapshot, history, scores)."""
    parameters, constants = compiled.arrays(network, forward, task)
    moments = compiled.optimiser(settings).init(parameters)
    chunks = _chunks(task, forward, settings.steps, course)

    def evaluation(step: int, loss: float) -> Evaluation:
        with np.errstate(all="ignore"):  # what is not finite is refused below, in one sentence
            entropy, right, messages = compiled.score(parameters, constants, task.validation, forward, settings.gain)
        penalty = settings.channel_penalty * float(jnp.sum(compiled.channel_norms(parameters, network.inputs)))
        objective = entropy + course.spike_weight * messages + penalty
        if not (np.isfinite(objective) and (step == 0 or np.isfinite(loss))):
            raise ValueError(
                f"training must keep a finite objective, but diverged by step {step} (loss {loss:g}, on the validation windows "
                f"{objective:g}); take a lower learning_rate"
            )
        return Evaluation(step, loss, objective, right, messages)

    history = [evaluation(0, float("nan"))]
    best, best_evaluation = parameters, history[0]
    with _Bar(settings.steps, course.progress) as bar:
        for first, count, batch in chunks:
            parameters, moments, loss = compiled.train(
                parameters, moments, constants, batch, jnp.asarray(count), forward=forward, settings=settings
            )
            history.append(evaluation(first + count, float(loss)))
            bar.advance(count, history[-1])
            if history[-1].validation_loss < best_evaluation.validation_loss:
                best, best_evaluation = parameters, history[-1]
            elif course.patience and first + count - best_evaluation.step >= course.patience * course.evaluate_every:
                break
    test = compiled.score(best, constants, task.test, forward, settings.gain)
    scores = {"validation_accuracy": best_evaluation.validation_accuracy, "test_accuracy": test.accuracy, "messages": test.messages}
    return {name: np.asarray(value, np.float64) for name, value in best.items()}, history, scores


def _chunks(task: Task, forward: Forward, steps: int, course: _Course) -> Any:
    """(first step, number of steps, data) between evaluations; every chunk has the same shapes, so that it is compiled once."""
    rng = np.random.default_rng(course.seed)
    rows = _batches(rng, len(task.train), steps, course.batch_size)
    factors = np.exp(-np.log(course.threshold_range) * rng.random(steps))
    x, y = jnp.asarray(task.train.x, forward.dtype), jnp.asarray(task.train.y, forward.dtype)
    timespans = None if task.train.timespans is None else jnp.asarray(task.train.timespans, forward.dtype)
    weight = jnp.asarray(course.spike_weight, forward.dtype)
    for first in range(0, steps, course.evaluate_every):
        count = min(course.evaluate_every, steps - first)
        spare = [(0, course.evaluate_every - count)]
        chunk = np.pad(rows[first : first + count], [*spare, (0, 0)]), np.pad(factors[first : first + count], spare)
        yield first, count, Batch(x, y, timespans, jnp.asarray(chunk[0]), jnp.asarray(chunk[1], forward.dtype), weight)


def _batches(rng: np.random.Generator, windows: int, steps: int, batch_size: int) -> npt.NDArray[np.int32]:
    """(steps, batch_size) window numbers: permutations one after the other."""
    needed = steps * batch_size
    passes = [rng.permutation(windows) for _ in range(-(-needed // windows))]
    return np.concatenate(passes)[:needed].reshape(steps, batch_size).astype(np.int32)


def smooth_messages(task: Task, quantized: QuantizedNetwork) -> float:
    """The smooth count of messages per sample of a quantised network on the validation windows: what spike_weight is multiplied with."""
    forward = forward_of(quantized.network, quantized)
    with precision(forward.double):
        parameters, constants = compiled.arrays(quantized.network, forward, task)
        return compiled.score(parameters, constants, task.validation, forward, 1.0).messages


class _Bar:
    """A progress bar on the terminal, or nothing."""

    def __init__(self, steps: int, shown: bool) -> None:
        self._bar: Any = None
        if shown:
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)  # results alone go to the output stream
            self._task = self._bar.add_task("fit", total=steps)

    def __enter__(self) -> _Bar:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, steps: int, evaluation: Evaluation) -> None:
        """Show that so many steps more are done."""
        if self._bar:
            text = f"fit: validation {evaluation.validation_accuracy:.4f}, loss {evaluation.loss:.4f}"
            self._bar.update(self._task, advance=steps, description=text)
