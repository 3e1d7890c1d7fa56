"""LTC networks as the kernels read them: synapses by source, sums per neuron, room for what is written."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim.events import FloatArray, IntArray
from event_sim.recording import EVENT_TYPE, Segments, ordered_events
from liquid_neuro.cells.functions import sigmoid
from liquid_neuro.cells.ltc import LTCValues
from liquid_neuro.exact_solver import kinds
from liquid_neuro.network import Fused

Synapses = tuple[IntArray, npt.NDArray[Any]]
DEFAULT_UNFOLDS = Fused().unfolds


def synapses_by_source(values: LTCValues, state: FloatArray, inputs: FloatArray) -> tuple[Synapses, Synapses]:
    """Recurrent and sensory synapses, each (first of every source and the end, records ordered by (source, target)).

    `now` is the conductance that a synapse contributes at the given state and inputs.
    """
    from event_sim.kernels.ltc_fused import SYNAPSE

    level = inputs * values.input_w + values.input_b
    recurrent = (values.source, values.target, values.w, values.sigma, values.mu, values.erev)
    sensory = (
        values.sensory_source,
        values.sensory_target,
        values.sensory_w,
        values.sensory_sigma,
        values.sensory_mu,
        values.sensory_erev,
    )
    result = []
    for (source, target, *parameters), heard in ((recurrent, state), (sensory, level)):
        order = np.lexsort((target, source))
        first = np.searchsorted(source[order], np.arange(len(heard) + 1)).astype(np.int64)
        records = np.zeros(len(order), dtype=SYNAPSE)
        records["target"] = target[order]
        for name, array in zip(("weight", "sigma", "mu", "erev"), parameters):
            records[name] = array[order]
        records["now"] = records["weight"] * sigmoid(records["sigma"] * (heard[source[order]] - records["mu"]))
        result.append((first, records))
    return result[0], result[1]


def neurons_of(
    kind: npt.DTypeLike, values: LTCValues, state: FloatArray, quantum: FloatArray, synapses: tuple[Synapses, Synapses], epsilon: float
) -> npt.NDArray[Any]:
    """Neuron records of the given kind at the given state, which they have just sent, with their sums (leak included)."""
    neurons = np.zeros(values.units, dtype=kind)
    neurons["value"] = neurons["sent"] = neurons["target"] = state
    neurons["quantum"], neurons["capacity"] = quantum, values.cm
    neurons["conductance"] = values.gleak + epsilon
    neurons["driven"] = values.gleak * values.vleak
    for _, records in synapses:
        np.add.at(neurons["conductance"], records["target"], records["now"])
        np.add.at(neurons["driven"], records["target"], records["now"] * records["erev"])
    return neurons


def clocked_operations(values: LTCValues, unfolds: int, samples: int) -> int:
    """Synapse evaluations of a clock-driven run: every recurrent synapse in every sub-step, every sensory one in every sample."""
    return samples * (unfolds * len(values.w) + len(values.sensory_w))


def algebraic_levels(values: LTCValues, labels: tuple[str, ...]) -> int:
    """How many neurons without inertia (cm = 0) follow each other in a row at most. ValueError by name where they form a circle."""
    return len(kinds(values, labels).levels) if (values.cm == 0.0).any() else 0


def segments_of(courses: npt.NDArray[Any], outputs: int, unit_s: float) -> tuple[Segments, ...]:
    """The courses (kernels.ltc_exact.COURSE, model units) of the output neurons, one by one, in seconds."""
    mine = [courses[courses["unit"] == output] for output in range(outputs)]
    return tuple(Segments(own["time"] * unit_s, own["start"].copy(), own["target"].copy(), own["rate"] / unit_s) for own in mine)


def event_free(units: int, input_counts: IntArray, operations: int, started: float) -> dict[str, Any]:
    """What the recording of a clock-driven run has in place of events."""
    return {
        "engine": "clocked",
        "events": ordered_events(np.zeros(0, dtype=EVENT_TYPE)),
        "event_counts": np.zeros(units, dtype=np.int64),
        "input_event_counts": input_counts,
        "neuron_synaptic_operations": 0,
        "stored_synaptic_operations": operations,
        "clocked_synaptic_operations": operations,
        "seconds": time.perf_counter() - started,
    }


class Log:
    """Rows written by a kernel, in an array that doubles when it is full, because nobody knows their number before."""

    def __init__(self, kind: npt.DTypeLike, size: int) -> None:
        self.array: npt.NDArray[Any] = np.empty(max(size, 1 << 16), dtype=kind)  # memory is taken when rows are written

    def reserve(self, used: int, more: int) -> npt.NDArray[Any]:
        """The array, with room for `more` rows behind the `used` ones."""
        if used + more > len(self.array):
            grown = np.empty(max(2 * len(self.array), used + more), dtype=self.array.dtype)
            grown[:used] = self.array[:used]
            self.array = grown
        return self.array
