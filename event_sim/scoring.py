"""How well a network, in floats or in a chip's integers, does a task: windows that each start from state 0, as published accuracies do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from event_sim.events import FloatArray
from liquid_neuro.dynamics import trajectory
from liquid_neuro.network import Interface, LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork
from liquid_neuro.tasks import Task
from liquid_neuro.timespans import check_timespans

BLOCK = 256  # windows per call: keeps memory small for long data sets


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of one split.

    accuracy: the share of right decisions over all windows and steps; NaN for tasks without a decision. per_window: (windows,) the same for
    each window. rms_error: root mean square of output minus label. outputs: (windows, time, outputs).
    """

    task: str
    split: str
    accuracy: float
    per_window: FloatArray
    rms_error: float
    outputs: FloatArray

    @property
    def windows(self) -> int:
        """The number of windows."""
        return len(self.outputs)


def evaluate(task: Task, network: LiquidNetwork | QuantizedNetwork, split: str = "test") -> Scores:
    """The scores of a network on the windows of "train", "validation" or "test".

    A float network runs under its own solver, a quantised one bit for bit as on its chip. The decision is the network's own where its
    interface has one, else the task's. ValueError where channels or outputs do not fit the task.
    """
    windows = task.split(split)
    floats = network.network if isinstance(network, QuantizedNetwork) else network
    if floats.inputs != len(task.channels):
        raise ValueError(
            f"`network` must have the task's {len(task.channels)} inputs ({', '.join(task.channels)}), but has {floats.inputs}"
        )
    blocks = [slice(first, first + BLOCK) for first in range(0, len(windows.x), BLOCK)]
    spans = windows.timespans
    outputs = np.concatenate([outputs_of(network, windows.x[rows], None if spans is None else spans[rows]) for rows in blocks])
    interface = floats.interface if floats.interface.decision else task.interface
    labels = np.asarray(windows.y, dtype=np.float64)
    right = right_decisions(outputs, labels, interface)
    flat = outputs[..., 0] if outputs.ndim == labels.ndim + 1 and outputs.shape[-1] == 1 else outputs
    error = float(np.sqrt(np.mean((flat - labels) ** 2))) if flat.shape == labels.shape else float("nan")
    per_window = np.full(len(outputs), np.nan) if right is None else right.reshape(len(right), -1).mean(axis=1)
    return Scores(task.name, split, float("nan") if right is None else float(right.mean()), per_window, error, outputs)


def outputs_of(network: LiquidNetwork | QuantizedNetwork, x: FloatArray, timespans: FloatArray | None = None) -> FloatArray:
    """y (windows, time, outputs) of windows x (windows, time, inputs), each from state 0.

    timespans: (windows, time) in model units; None for 1 each.
    """
    if isinstance(network, LiquidNetwork):
        return trajectory(network, x, timespans).y
    if timespans is not None:
        check_timespans(network, timespans)
    if network.kind == "akida":
        from event_sim import frames

        return frames.frame_samples(network, x, timespans)
    from event_sim import fixed

    return fixed.run_samples(network, x, timespans)


def right_decisions(outputs: FloatArray, labels: FloatArray, interface: Interface) -> FloatArray | None:
    """1.0 where a decision is right, 0.0 where it is wrong, in the shape of the labels; None without a decision.

    "threshold": one output above the threshold against labels 0 and 1. "argmax": the largest output against the label's number.
    """
    if interface.decision == "threshold":
        if outputs.shape[-1] != 1:
            raise ValueError(f"a threshold decision must have one output, but the network has {outputs.shape[-1]}")
        decided = outputs[..., 0] > interface.threshold
        return np.asarray(decided == (labels > 0.5), dtype=np.float64)
    if interface.decision == "argmax":
        return np.asarray(outputs.argmax(axis=-1) == labels, dtype=np.float64)
    return None
