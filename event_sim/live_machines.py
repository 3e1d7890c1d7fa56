"""The kernels' state of a live run, kept between calls. Row 0 of a call's samples stands for the sample before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim import asynchronous
from event_sim.asynchronous_cfc import BLOCK, REFRESH
from event_sim.cfc_arrays import cfc_arrays, memory_weights
from event_sim.events import FloatArray, IntArray
from event_sim.ltc_arrays import Log, algebraic_levels, neurons_of, synapses_by_source
from event_sim.plan import Start
from event_sim.recording import EVENT_TYPE, ordered_events
from liquid_neuro.cells import cfc, lstm, ltc
from liquid_neuro.network import Fused, LiquidNetwork

Table = npt.NDArray[Any]


def _changes(before: FloatArray, levels: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """(first change of every row and the end, with a row 0 that has none; channel; level)."""
    step, channel = np.nonzero(levels != np.concatenate([before[None], levels])[:-1])
    first = np.concatenate([[0], np.searchsorted(step, np.arange(len(levels) + 1))])
    return first.astype(np.int64), channel.astype(np.int64), levels[step, channel]


class FusedMachine:
    """An LTC under Fused. memory: (units,) or None."""

    def __init__(self, network: LiquidNetwork, quantum: FloatArray, start: Start) -> None:
        from event_sim.kernels import ltc_fused as kernel

        solver = network.solver
        assert isinstance(solver, Fused)
        self.network, self.values, self.unfolds = network, ltc.effective(network), solver.unfolds
        self.state, self.memory, self.levels, self.step = start.state.copy(), start.memory, start.inputs.copy(), 0.0
        self.synapses = synapses_by_source(self.values, start.state, start.inputs)
        self.neurons = neurons_of(kernel.NEURON, self.values, start.state, quantum, self.synapses, self.values.epsilon)
        self.neurons["ratio"], self.neurons["due"] = 1.0, kernel.NEVER
        self.head, self.carried = np.full(kernel.RING, -1, dtype=np.int64), np.zeros(1, dtype=kernel.PROGRESS)
        self.counts, self.log = np.zeros(network.units, dtype=np.int64), Log(kernel.EVENT, 0)

    def state_at(self, _: float) -> FloatArray:
        """The state at the end of the last sample."""
        return self.state.copy()

    def run(self, boundaries_s: FloatArray, sample_s: float, levels: FloatArray) -> Table:
        """Run samples of equal length with levels (n, inputs); returns their events."""
        from event_sim.kernels import ltc_fused as kernel

        count, values, at = len(levels), self.values, self.carried[0]
        if count == 0:
            return ordered_events(np.zeros(0, dtype=EVENT_TYPE))
        samples = np.zeros(count + 2, dtype=kernel.SAMPLE)
        samples["step"][0], samples["step"][1:-1] = self.step, sample_s / self.network.time_unit_s / self.unfolds
        samples["start_s"][1:], samples["step_s"][1:-1] = boundaries_s, sample_s / self.unfolds
        samples["first_change"], channel, level = _changes(self.levels, levels)
        changes = np.zeros(len(channel), dtype=kernel.CHANGE)
        changes["channel"], changes["level"] = channel, level * values.input_w[channel] + values.input_b[channel]
        states = np.empty((count + 2, len(self.state)))
        states[1], at["events"] = self.state, 0
        whole = values.lstm is None or self.memory is None
        for first in [1] if whole else range(1, count + 1):
            begin, end = first, count + 1 if whole else first + 1
            if values.lstm is not None and self.memory is not None:
                recalled, after = lstm.step(values.lstm, levels[first - 1 : first], states[first : first + 1], self.memory[None])
                self.neurons["value"], self.neurons["at"], self.memory = recalled[0], at["now"], after[0]
            while begin < end:
                room = self.log.reserve(int(at["events"]), self.unfolds * len(self.state))
                begin = kernel.run_fused(
                    begin, end, self.unfolds, not whole, self.neurons, *self.synapses[0], *self.synapses[1], samples, changes, self.head,
                    self.carried, states, room, self.counts,
                )  # fmt: skip
        self.state, self.levels, self.step = states[-1].copy(), levels[-1].copy(), float(samples["step"][-2])
        return ordered_events(self.log.array[: at["events"]])


class CfCMachine:
    """A CfC. memory: (units,) or None."""

    def __init__(self, network: LiquidNetwork, quantum: FloatArray, start: Start) -> None:
        self.network, self.values = network, cfc.effective(network)
        self.state, self.levels, self.timespan = start.state.copy(), start.inputs.copy(), 0.0
        self.memory = None if start.memory is None else start.memory.copy()
        self.arrays, self.weights = cfc_arrays(self.values, quantum, start), memory_weights(self.values)
        self.counts, self.counters, self.log = np.zeros(network.units, dtype=np.int64), np.zeros(2, dtype=np.int64), Log(EVENT_TYPE, 0)

    def state_at(self, _: float) -> FloatArray:
        """The state at the end of the last sample."""
        return self.state.copy()

    def run(self, boundaries_s: FloatArray, sample_s: float, levels: FloatArray) -> Table:
        """Run samples of equal length with levels (n, inputs); returns their events."""
        from event_sim.kernels import cfc_delta as kernel

        count, units = len(levels), len(self.state)
        if count == 0:
            return ordered_events(np.zeros(0, dtype=EVENT_TYPE))
        samples = np.zeros(count + 2, dtype=kernel.SAMPLE)
        samples["timespan"][0], samples["timespan"][1:-1] = self.timespan, sample_s / self.network.time_unit_s
        samples["time_s"][1:-1] = boundaries_s[1:]
        samples["first_change"], channel, level = _changes(self.levels, levels)
        changes = np.zeros(len(channel), dtype=kernel.CHANGE)
        changes["channel"], changes["level"] = channel, level
        states, memory = np.empty((count + 2, units)), np.zeros(0) if self.memory is None else self.memory
        states[1], self.counters[0], begin = self.state, 0, 1
        while begin < count + 1:
            room = self.log.reserve(int(self.counters[0]), BLOCK * units)
            begin = kernel.run_cfc(
                begin, count + 1, REFRESH, self.values.inputs, *self.arrays, samples, changes, memory, *self.weights, self.counters, states,
                room, self.counts,
            )  # fmt: skip
        self.state, self.levels, self.timespan = states[-1].copy(), levels[-1].copy(), float(samples["timespan"][-2])
        return ordered_events(self.log.array[: self.counters[0]])


class ExactMachine:
    """An LTC as its differential equation."""

    def __init__(self, network: LiquidNetwork, quantum: FloatArray, start: Start, start_s: float) -> None:
        from event_sim.kernels import ltc_exact as kernel

        self.network, self.values, units = network, ltc.effective(network), network.units
        algebraic_levels(self.values, network.labels)  # refuses circles of neurons without inertia
        self.synapses = synapses_by_source(self.values, start.state, start.inputs)
        self.neurons = neurons_of(kernel.EXACT_NEURON, self.values, start.state, quantum, self.synapses, 0.0)
        self.begin = start_s / network.time_unit_s
        self.neurons["at"], self.neurons["due"], self.neurons["place"] = self.begin, np.inf, np.arange(units)
        self.heap, self.carried = np.arange(units), np.zeros(1, dtype=kernel.EXACT_PROGRESS)
        self.counts, self.log = np.zeros(units, dtype=np.int64), Log(EVENT_TYPE, units)
        self.courses = np.empty(units, dtype=kernel.COURSE)  # nobody reads them here: neurons["output"] stays 0

    def state_at(self, time_s: float) -> FloatArray:
        """The state at a time not before the last event."""
        from event_sim.kernels import ltc_exact as kernel

        state = np.empty(len(self.neurons))
        kernel.values_at(self.neurons, time_s / self.network.time_unit_s, state)
        return state

    def run(self, until_s: float, time_s: FloatArray, channel: IntArray, value: FloatArray) -> Table:
        """Run to just before until_s with changes of levels in order of time; returns the events on the way."""
        from event_sim.kernels import ltc_exact as kernel

        unit_s, at = self.network.time_unit_s, self.carried[0]
        changes = np.zeros(len(time_s), dtype=kernel.EXACT_CHANGE)
        changes["time"], changes["channel"] = time_s / unit_s, channel
        changes["level"] = value * self.values.input_w[channel] + self.values.input_b[channel]
        at["events"] = at["change"] = 0
        before, status = np.nextafter(until_s / unit_s, -np.inf), kernel.NO_ROOM
        nothing, none = np.zeros(0), np.zeros((0, len(self.neurons)))
        while status == kernel.NO_ROOM:
            room = self.log.reserve(int(at["events"]), 1)
            status = kernel.run_exact(
                before, asynchronous.EVENT_LIMIT, self.begin, self.heap, self.neurons, *self.synapses[0], *self.synapses[1], changes,
                nothing, self.carried, none, room, self.courses, self.counts,
            )  # fmt: skip
        if status == kernel.TOO_MANY:
            asynchronous.refuse_endless(self.network.labels[at["culprit"]], float(self.log.array["time_s"][at["events"] - 1]) * unit_s)
        events = self.log.array[: at["events"]].copy()
        events["time_s"] *= unit_s
        return ordered_events(events)
