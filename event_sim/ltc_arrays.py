"""LTC networks as the kernels read them: synapses by source, sums per neuron, room for what is written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from event_sim.events import FloatArray, IntArray
from event_sim.recording import Segments, event_table
from liquid_neuro.cells.functions import sigmoid
from liquid_neuro.cells.ltc import LTCValues
from liquid_neuro.network import Fused

if TYPE_CHECKING:
    from event_sim.kernels.ltc_fused import Synapses

DEFAULT_UNFOLDS = Fused().unfolds


def synapses_by_source(values: LTCValues, state: FloatArray, inputs: FloatArray) -> tuple[Synapses, Synapses]:
    """Recurrent and sensory synapses ordered by (source, target), with the conductance each contributes at the given state and inputs."""
    from event_sim.kernels.ltc_fused import Synapses

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
        w, sigma, mu, erev = (np.ascontiguousarray(array[order], dtype=np.float64) for array in parameters)
        now = w * sigmoid(sigma * (heard[source[order]] - mu))
        result.append(Synapses(first, target[order].astype(np.int64), w, sigma, mu, erev, now))
    return result[0], result[1]


def sums_of(values: LTCValues, recurrent: Synapses, sensory: Synapses, epsilon: float) -> tuple[FloatArray, FloatArray]:
    """Each neuron's conductance and driven conductance, leak included."""
    conductance, driven = values.gleak + epsilon, values.gleak * values.vleak
    for synapses in (recurrent, sensory):
        np.add.at(conductance, synapses.target, synapses.now)
        np.add.at(driven, synapses.target, synapses.now * synapses.erev)
    return conductance, driven


def clocked_operations(values: LTCValues, unfolds: int, samples: int) -> int:
    """Synapse evaluations of a clock-driven run: every recurrent synapse in every sub-step, every sensory one in every sample."""
    return samples * (unfolds * len(values.w) + len(values.sensory_w))


def segments_of(columns: list[npt.NDArray[Any]], outputs: int, unit_s: float) -> tuple[Segments, ...]:
    """The courses (time in model units, unit, start, target, rate) of the output neurons, one by one, in seconds."""
    at, unit, start, target, rate = columns
    mine = [unit == output for output in range(outputs)]
    return tuple(Segments(at[own] * unit_s, start[own], target[own], rate[own] / unit_s) for own in mine)


def event_free(units: int, input_counts: IntArray, operations: int, started: float) -> dict[str, Any]:
    """What the recording of a clock-driven run has in place of events."""
    none = np.zeros(0)
    return {
        "engine": "clocked",
        "events": event_table(none, np.zeros(0, dtype=np.int64), none),
        "event_counts": np.zeros(units, dtype=np.int64),
        "input_event_counts": input_counts,
        "neuron_synaptic_operations": 0,
        "stored_synaptic_operations": operations,
        "clocked_synaptic_operations": operations,
        "seconds": time.perf_counter() - started,
    }


class Log:
    """Rows written by a kernel, in arrays that double when they are full, because nobody knows the number before."""

    def __init__(self, kinds: tuple[npt.DTypeLike, ...], size: int) -> None:
        self.columns: list[npt.NDArray[Any]] = [np.empty(max(size, 4096), dtype=kind) for kind in kinds]

    def reserve(self, used: int, more: int) -> list[npt.NDArray[Any]]:
        """The columns, with room for `more` rows behind the `used` ones."""
        size = len(self.columns[0])
        if used + more > size:
            grown = max(2 * size, used + more)
            for number, column in enumerate(self.columns):
                self.columns[number] = np.empty(grown, dtype=column.dtype)
                self.columns[number][:used] = column[:used]
        return self.columns

    def rows(self, used: int) -> list[npt.NDArray[Any]]:
        """The columns cut to the rows that were written."""
        return [column[:used].copy() for column in self.columns]
