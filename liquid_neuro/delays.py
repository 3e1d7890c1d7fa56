"""Synaptic delays in ncps' sub-steps: what was sent at grid time s is heard from the first sub-step that begins at or after s + delay."""

from __future__ import annotations

import numpy as np

from liquid_neuro.cells import ltc
from liquid_neuro.cells.functions import FloatArray

GRID_TOLERANCE = 1e-6  # of a sub-step: decimal multiples of a sub-step are not binary ones


class History:
    """Values that were sent, for synapses that hear the past."""

    def __init__(self, before: FloatArray, delay: FloatArray, source: ltc.IndexArray) -> None:
        """before (batch, sources): what was heard before the first value. delay, source (synapses,): of each synapse, and whom it hears."""
        self.delays, self.group = np.unique(delay, return_inverse=True)
        self.source, self.rows, self.count = source, np.arange(len(before)), 1
        self.times, self.values = np.full((2, len(before)), -np.inf), np.stack([before, before])
        self.last = np.zeros((len(self.delays), len(before)), dtype=np.int64)  # what each delay heard last

    def send(self, time: FloatArray, value: FloatArray) -> None:
        """Note that (batch, sources) was sent at the times (batch,)."""
        if self.count == len(self.times):
            self._make_room()
        self.times[self.count], self.values[self.count] = time, value
        self.count += 1

    def heard(self, time: FloatArray, slack: FloatArray) -> FloatArray:
        """(batch, synapses): per synapse the last value sent by time (batch,) + slack - delay."""
        while True:
            following = np.minimum(self.last + 1, self.count - 1)
            arrived = (following > self.last) & (self.times[following, self.rows] + self.delays[:, None] <= time + slack)
            if not arrived.any():
                break
            self.last += arrived
        return np.asarray(self.values[self.last, self.rows][self.group, :, self.source].T)

    def _make_room(self) -> None:
        """Drop what nobody can hear any more; take twice the room where that is not enough."""
        first = int(self.last.min(initial=self.count - 1))
        times, values = self.times[first:], self.values[first:]
        size = 2 * len(times)
        self.times, self.values = np.resize(times, (size, *times.shape[1:])), np.resize(values, (size, *values.shape[1:]))
        self.count, self.last = len(times), self.last - first


class DelayedFused:
    """`ltc.fused_step` with delays, step after step from a start state (batch, units); it remembers what is under way.

    Before the start a synapse hears the start state, from an input the level 0, at which event streams start as well.
    """

    def __init__(self, values: ltc.LTCValues, start: FloatArray, unfolds: int) -> None:
        self.prepared, self.unfolds, self.now = ltc.Prepared(values), unfolds, np.zeros(len(start))
        gates, sensory = self.prepared.recurrent, self.prepared.sensory
        silent = np.tile(values.input_b, (len(start), 1))
        self.neurons = History(start, values.delay[gates.order], gates.source)
        self.inputs = History(silent, values.sensory_delay[sensory.order], sensory.source)

    def __call__(self, v: FloatArray, x: FloatArray, timespan: FloatArray) -> FloatArray:
        """The state (batch, units) after one sample. A timespan of 0 leaves a row as it is."""
        prepared, values = self.prepared, self.prepared.values
        step = timespan / self.unfolds
        h, slack, leak = step[:, None], GRID_TOLERANCE * step, values.gleak * values.vleak
        self.inputs.send(self.now, x * values.input_w + values.input_b)
        for index in range(self.unfolds):
            time = self.now + index * step
            self.neurons.send(time, v)
            conductance, driven = prepared.with_gaps(*prepared.recurrent.heard(self.neurons.heard(time, slack)), v)
            held = prepared.sensory.heard(self.inputs.heard(time, slack))
            sums = conductance + held[0] + values.gleak, driven + held[1] + leak
            v = np.where(h > 0, ltc.sub_step(values.cm, values.epsilon, v, h, *sums), v)
        self.now = self.now + timespan
        return v
