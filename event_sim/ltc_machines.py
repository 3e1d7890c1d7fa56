"""The state of the LTC's event-driven engines, kept from call to call: of whole runs and live ones, which therefore give the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from event_sim.carried import Carried, Table
from event_sim.events import FloatArray, IntArray
from event_sim.ltc_arrays import Log, algebraic_levels, check_range, neurons_of, records_of, synapses_of
from event_sim.ltc_ways import InLanes, Together, first_way, prices_of
from event_sim.plan import Start, effective_changes
from event_sim.recording import EVENT_TYPE, ordered_events
from event_sim.under_way import UnderWay, taken_up
from liquid_neuro.cells import lstm, ltc
from liquid_neuro.network import Fused, LiquidNetwork

EVENT_LIMIT = 2_000_000  # events of one neuron in a part of a run (or of a model time unit, in a live one)
RUN_PARTS = 50
SAME_TIME = 1e-14  # relative
# What second order needs: a path that bends a gate by what a quantum moves it has the length sqrt(BENT quantum / sigma), because
# (1 / 4) / (max |sigmoid''| / 2) = BENT.
BENT = 5.19


class FusedMachine:
    """An LTC under Fused. memory: (units,) or None. log: the events since clear()."""

    kind = "fused"

    def __init__(self, network: LiquidNetwork, quantum: FloatArray, start: Start) -> None:
        from event_sim.kernels import ltc_fused as kernel
        from event_sim.kernels.synapses import SYNAPSE

        solver = network.solver
        assert isinstance(solver, Fused)
        self.network, self.values, self.unfolds = network, ltc.effective(network), solver.unfolds
        check_range(self.values, network)
        self.state, self.memory = start.state.copy(), start.memory
        self.counts, self.log = np.zeros(network.units, dtype=np.int64), Log(kernel.EVENT, 0)
        self.head, self.progress = np.full(kernel.RING, -1, dtype=np.int64), np.zeros(1, dtype=kernel.PROGRESS)
        carried, past = taken_up(start.final, self.kind, self.values.has_delays)
        self.levels, sent = start.inputs.copy(), start.state
        if carried is not None:
            self.levels, sent = carried.arrays["levels"].copy(), carried.arrays["neurons"]["sent"]
        self.synapses = synapses_of(self.values, SYNAPSE, _sent(self.values, sent, self.levels))
        self.prices = prices_of(self.values)
        self.together: Together | None = None
        self.lanes: InLanes | None = None
        self.progress["limit"] = np.inf
        self.look: tuple[float, float, Callable[[int, float], None]] | None = None
        self.under_way = UnderWay(self.synapses, 0, self.progress)
        self.all, block = np.arange(network.units), kernel.BLOCK + int(np.diff(self.synapses.first).max(initial=0))
        units = np.empty(network.units, dtype=np.int64), np.empty(network.units, dtype=np.int64), np.zeros(network.units, dtype=np.uint8)
        self.scratch = *units, np.empty(block, dtype=np.int64), np.empty(block)
        if carried is not None:
            self._restore(carried.arrays, quantum)
            return
        self.under_way.recall(past, 0.0, _sent(self.values, sent, self.levels))
        self.neurons = neurons_of(kernel.NEURON, self.values, start.state, quantum, self.synapses, self.values.epsilon)
        self.neurons["target"], self.neurons["ratio"], self.neurons["due"] = start.state, 1.0, kernel.NEVER
        self.progress["way"] = first_way(self.prices)

    def _restore(self, arrays: Any, quantum: FloatArray) -> None:
        self.progress[:], self.head[:] = arrays["progress"], arrays["head"]
        self.neurons = records_of(len(self.state), arrays["neurons"].dtype)
        self.neurons[:] = arrays["neurons"]
        self.under_way.restore(arrays, 0.0)
        if not (self.neurons["quantum"] == quantum).all():
            self.neurons["quantum"], self.progress["step"] = quantum, 0.0  # another step: all neurons are looked at

    def look_every(self, operations: float, look: Callable[[int, float], None]) -> None:
        """Call look(samples that the present call of `run` ran, operations spent from now on) whenever so many more were spent."""
        spent = float(self.progress[0]["spent"])
        self.look, self.progress["limit"] = (spent, operations, look), spent + operations

    def _look_if_due(self, ran: int) -> None:
        spent, look = float(self.progress[0]["spent"]), self.look
        if look is not None and spent >= self.progress[0]["limit"]:
            look[2](ran, spent - look[0])
            self.progress["limit"] = spent + look[1]

    def clear(self) -> None:
        """Forget the events so far."""
        self.progress["events"] = 0

    @property
    def events(self) -> Table:
        """The events since `clear`, as the kernel wrote them."""
        return self.log.array[: int(self.progress[0]["events"])]

    def run(self, boundaries_s: FloatArray, lengths_s: FloatArray, timespans: FloatArray, levels: FloatArray, states: FloatArray,
            kept: IntArray | None = None) -> None:  # fmt: skip
        """Run samples: boundaries_s (n + 1,), lengths_s, timespans (n,), levels (n, inputs).

        states: (n + 1, kept), whose rows behind the first are written; kept: numbers of the units, all unless given.
        """
        from event_sim.kernels import ltc_fused as kernel

        values, count = self.values, len(levels)
        samples = np.zeros(count + 1, dtype=kernel.SAMPLE)
        samples["step"][:-1], samples["start_s"], samples["step_s"][:-1] = timespans / self.unfolds, boundaries_s, lengths_s / self.unfolds
        samples["first_change"], channel, level = changes_of(self.levels, levels)
        changes = np.zeros(len(channel), dtype=kernel.CHANGE)
        changes["channel"], changes["level"] = channel, level * values.input_w[channel] + values.input_b[channel]
        kept = self.all if kept is None else kept
        if values.lstm is None or self.memory is None:
            self._samples(0, count, False, samples, changes, kept, states)
        else:
            for number in range(count):
                if timespans[number] > 0.0:  # else the memory rests too
                    here = levels[number : number + 1]
                    recalled, after = lstm.step(values.lstm, here, self.values_now()[None], self.memory[None])
                    self.neurons["value"], self.neurons["at"], self.memory = recalled[0], self.progress[0]["now"], after[0]
                self._samples(number, number + 1, timespans[number] > 0.0, samples, changes, kept, states)
        self.levels = levels[-1].copy() if count else self.levels
        self.state = self.values_now()
        if not np.isfinite(self.state).all():
            refuse_overflow(self.network, int(np.argmin(np.isfinite(self.state))))

    def _samples(self, begin: int, end: int, restart: bool, samples: Table, changes: Table, kept: IntArray, states: FloatArray) -> None:
        from event_sim.kernels import ltc_fused as kernel
        from event_sim.kernels.ways import LOOP

        most = self.unfolds * len(self.state) + 1
        senders = len(np.unique(self.synapses.lines["source"]))
        while begin < end:
            self._look_if_due(begin)
            room = self.log.reserve(int(self.progress[0]["events"]), most)
            if self.progress[0]["way"] != LOOP:
                begin = self._other_way(begin, end, samples, changes, kept, states, room)
                continue
            self.under_way.reserve((self.unfolds + 1) * senders)
            begin = kernel.run_fused(
                begin, end, self.unfolds, restart, senders, self.prices, self.neurons, *self.synapses, self.under_way.messages,
                self.under_way.newest, self.under_way.heap, self.under_way.place, samples, changes, self.head, kept, self.progress, states,
                room, self.counts, *self.scratch,
            )  # fmt: skip

    def _other_way(self, begin: int, end: int, samples: Table, changes: Table, kept: IntArray, states: FloatArray, room: Table) -> int:
        """As the loop (kernels/ways.py), while that is cheaper; returns the first sample that was not run."""
        from event_sim.kernels import synapses, ways

        given, run = (samples, changes, kept, self.progress, states, room, self.counts), self.progress[0]
        if run["way"] == ways.TOGETHER:
            if self.together is None:
                self.together = Together(self.values, self.prices, self.synapses)
            return self.together.run(begin, end, self.unfolds, self.neurons, *given)
        self.lanes = InLanes(self.values, self.prices) if self.lanes is None else self.lanes
        before = changes[: samples[begin]["first_change"]]
        levels = self.levels * self.values.input_w + self.values.input_b
        levels[before["channel"]] = before["level"]  # NumPy assigns in order: the last one wins
        begin = self.lanes.run(begin, end, self.unfolds, self.neurons, levels, *given)
        if run["way"] != ways.LANES:
            sent = np.concatenate([self.neurons["sent"], levels])
            synapses.open_gates(self.synapses.first[:-1], self.synapses.at_once, self.synapses.synapses, sent)
        return begin

    def values_now(self) -> FloatArray:
        """(units,) at the end of the last sample."""
        from event_sim.kernels import ltc_fused as kernel

        now = int(self.progress[0]["now"])
        if (self.neurons["at"] == now).all():
            return self.neurons["value"].copy()
        state = np.empty((1, len(self.neurons)))
        kernel.fused_values(self.neurons, self.all, now, state)
        return np.asarray(state[0])

    def state_at(self, _: float) -> FloatArray:
        """The state at the end of the last sample."""
        return self.state.copy()

    def carried(self, _: float = 0.0) -> Carried:
        """What goes on from the end of the last sample, copied."""
        clock = float(self.progress[0]["clock"])
        arrays = {"neurons": self.neurons.copy(), "progress": self.progress.copy(), "head": self.head.copy(), "levels": self.levels.copy()}
        arrays["progress"]["events"], arrays["progress"]["limit"] = 0, np.inf
        return Carried(self.kind, clock, {**arrays, **self.under_way.carried()}, self.under_way.past(clock))


class ExactMachine:
    """An LTC as its differential equation, of order 1 or 2. log: the events since clear(), in model time.

    recorded: whether the courses of output neurons are kept. window: events of one neuron are counted in so much model time.
    """

    def __init__(self, network: LiquidNetwork, quantum: FloatArray, start: Start, start_s: float, *, order: int = 1,
                 recorded: bool = False, length_s: float | None = None) -> None:  # fmt: skip
        from event_sim.kernels import ltc_exact, ltc_second, synapses

        self.network, self.values, self.order, units = network, ltc.effective(network), order, network.units
        algebraic_levels(self.values, network)  # refuses circles of neurons without inertia
        check_range(self.values, network)
        self.kernel, kind, records, course = (
            (ltc_exact.run_exact, ltc_exact.EXACT_NEURON, synapses.SYNAPSE, ltc_exact.COURSE)
            if order == 1
            else (ltc_second.run_second, ltc_second.SECOND_NEURON, synapses.SLOPED_SYNAPSE, ltc_second.SECOND_COURSE)
        )
        self.kind, self.begin = f"exact {order}", start_s / network.time_unit_s
        self.window = (1.0 if length_s is None else length_s / network.time_unit_s) / RUN_PARTS
        self.progress = np.zeros(1, dtype=ltc_exact.EXACT_PROGRESS)
        self.counts, self.log, self.courses = np.zeros(units, dtype=np.int64), Log(EVENT_TYPE, 0), Log(course, 2 * units)
        carried, past = taken_up(start.final, self.kind, self.values.has_delays)
        self.levels, sent = start.inputs.copy(), start.state
        if carried is not None:
            self.levels, sent = carried.arrays["levels"].copy(), carried.arrays["neurons"]["sent"]
        self.synapses = synapses_of(self.values, records, _sent(self.values, sent, self.levels))
        self.under_way = UnderWay(self.synapses, units, self.progress)
        self.scratch = np.empty(units, dtype=np.int64), np.empty(int(np.diff(self.synapses.first).max(initial=0)))
        if carried is not None:
            self._restore(carried, quantum)
        else:
            self.progress["phase"], self.progress["since"] = ltc_exact.BEGIN, self.begin
            self.synapses.lines["heard_at"] = self.begin
            self.under_way.recall(past, self.begin, _sent(self.values, sent, self.levels))
            self.neurons = neurons_of(kind, self.values, start.state, quantum, self.synapses, 0.0)
            self.neurons["at"] = self.neurons["since"] = self.begin
            if order == 1:
                self.neurons["target"] = start.state
            else:
                self.neurons["sent_at"] = self.begin
                self._set_reach(quantum)
        self.neurons["output"] = (np.arange(units) < network.outputs) & recorded

    def _set_reach(self, quantum: FloatArray) -> None:
        values = self.values
        self.neurons["largest"] = values.gleak + np.bincount(values.target, weights=values.w, minlength=values.units)
        self.neurons["largest"] += np.bincount(values.sensory_target, weights=values.sensory_w, minlength=values.units)
        self.neurons["largest"] += np.bincount(values.gap_target, weights=values.gap_w, minlength=values.units)
        steepest = np.zeros(values.units)
        np.maximum.at(steepest, values.source, np.abs(values.sigma))
        with np.errstate(divide="ignore"):
            self.neurons["reach"] = np.sqrt(BENT * quantum / steepest)

    def _restore(self, carried: Carried, quantum: FloatArray) -> None:
        from event_sim.kernels import ltc_exact, synapses

        arrays, shift = carried.arrays, self.begin - carried.time
        if abs(shift) <= SAME_TIME * abs(carried.time):  # the same time, but for seconds and back
            shift, self.begin = 0.0, carried.time
        self.progress[:] = arrays["progress"]
        self.neurons = records_of(len(arrays["neurons"]), arrays["neurons"].dtype)
        self.neurons[:] = arrays["neurons"]
        for name in ("at", "since", *(("sent_at",) if self.order == 2 else ())):
            self.neurons[name] += shift
        self.progress["since"] += shift
        self.under_way.restore(arrays, shift)
        if self.order == 2:
            first, at_once, records = self.synapses.first, self.synapses.at_once, self.synapses.synapses
            slopes = np.append(self.neurons["slope"], np.zeros(self.values.inputs))
            levels = _sent(self.values, self.neurons["sent"], self.levels)
            synapses.open_slopes(first[:-1], at_once, records, levels, slopes)
            first, last, level, slope = (self.synapses.lines[name].copy() for name in ("first", "last", "level", "slope"))
            synapses.open_slopes(first, last, records, level, slope)
        same = bool((self.neurons["quantum"] == quantum).all())
        self.progress["phase"] = ltc_exact.RECORD_ANEW if same else ltc_exact.BEGIN
        self.neurons["quantum"] = quantum
        if self.order == 2:
            self._set_reach(quantum)

    def clear(self) -> None:
        """Forget the events and courses so far."""
        self.progress["events"] = self.progress["courses"] = 0

    @property
    def events(self) -> Table:
        """The events since `clear`, a copy in seconds."""
        events = self.log.array[: int(self.progress[0]["events"])].copy()
        events["time_s"] *= self.network.time_unit_s
        return events

    def changes(self, time_s: FloatArray, channel: IntArray, value: FloatArray, inputs: FloatArray | None = None) -> Table:
        """Changes of levels as the kernel reads them. inputs: the levels held at the beginning, where they differ from the machine's."""
        from event_sim.kernels import ltc_exact as kernel

        if inputs is not None and not np.array_equal(inputs, self.levels):
            start_s, count = self.begin * self.network.time_unit_s, len(inputs)
            times, channels = np.append(np.full(count, start_s), time_s), np.append(np.arange(count), channel)
            time_s, channel, value = effective_changes(times, channels, np.append(inputs, value), self.levels)
        changes = np.zeros(len(time_s), dtype=kernel.EXACT_CHANGE)
        changes["time"], changes["channel"] = time_s / self.network.time_unit_s, channel
        changes["level"] = value * self.values.input_w[channel] + self.values.input_b[channel]
        return changes

    def run(self, until: float, changes: Table, record: FloatArray, states: FloatArray, kept: IntArray) -> None:
        """Run to model time `until`; see kernels.ltc_exact.run_events. ValueError where a neuron sends without end."""
        from event_sim.kernels import ltc_exact as kernel

        at, status, under_way = self.progress[0], kernel.NO_ROOM, self.under_way
        while status == kernel.NO_ROOM:
            events, courses = self.log.reserve(int(at["events"]), 1), self.courses.reserve(int(at["courses"]), len(self.neurons))
            under_way.reserve(self.network.inputs)
            status = self.kernel(
                until, self.begin, EVENT_LIMIT, self.window, under_way.heap, under_way.place, self.neurons, *self.synapses,
                under_way.messages, under_way.newest, changes, kept, record, self.progress, states, events, courses, self.counts,
                *self.scratch,
            )  # fmt: skip
        if status == kernel.TOO_MANY:
            self._refuse_endless()
        if status == kernel.NOT_FINITE:
            refuse_overflow(self.network, int(at["culprit"]))

    def _refuse_endless(self) -> None:
        from event_sim.kernels.ltc_exact import TOGETHER

        at = self.progress[0]
        culprit, limit = int(at["culprit"]), f"{EVENT_LIMIT} events"
        if self.neurons["recent"][culprit] <= EVENT_LIMIT:
            culprit, limit = int(np.argmax(self.neurons["recent"])), f"{TOGETHER * EVENT_LIMIT} events together with the others"
        time_s = float(self.log.array["time_s"][at["events"] - 1]) * self.network.time_unit_s
        raise ValueError(
            f"a neuron must send at most {limit} in {self.window * self.network.time_unit_s:g} s, but {self.network.labels[culprit]} sent "
            f"more by {time_s:g} s; use a larger quantum or tolerance, or look for an oscillation through neurons with a very small cm"
        )

    def run_before(self, until_s: float, time_s: FloatArray, channel: IntArray, value: FloatArray) -> Table:
        """Run to just before until_s with changes of levels in order of time; returns the events on the way."""
        self.clear()
        changes = self.changes(time_s, channel, value)
        self.levels[channel], self.progress["change"] = value, 0  # NumPy assigns in order: the last one wins
        until = float(np.nextafter(until_s / self.network.time_unit_s, -np.inf))
        self.run(until, changes, np.zeros(0), np.zeros((0, 0)), np.zeros(0, dtype=np.int64))
        return ordered_events(self.events)

    def state_at(self, time_s: float) -> FloatArray:
        """The state at a time not before the last event."""
        return self.values_at(time_s / self.network.time_unit_s)

    def values_at(self, time: float) -> FloatArray:
        """(units,) at a model time not before the last event."""
        from event_sim.kernels import ltc_exact, ltc_second

        state = np.empty(len(self.neurons))
        (ltc_exact.values_at if self.order == 1 else ltc_second.second_values_at)(self.neurons, time, state)
        return state

    def carried(self, time: float) -> Carried:
        """What goes on from this model time, copied."""
        arrays = {"neurons": self.neurons.copy(), "progress": self.progress.copy(), "levels": self.levels.copy()}
        for name in ("change", "record", "events", "courses"):
            arrays["progress"][name] = 0
        past = self.under_way.past(time) if self.order == 1 else None
        return Carried(self.kind, time, {**arrays, **self.under_way.carried()}, past)


def changes_of(before: FloatArray, levels: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """(first change of each row and the end, channel, level) of levels (n, inputs) that differ from the row before, at first `before`."""
    step, channel = np.nonzero(levels != np.concatenate([before[None], levels])[:-1])
    first = np.searchsorted(step, np.arange(len(levels) + 1))
    return first.astype(np.int64), channel.astype(np.int64), levels[step, channel]


def refuse_overflow(network: LiquidNetwork, unit: int) -> None:
    """ValueError naming the neuron whose sums leave the range of numbers."""
    raise ValueError(
        f"conductances and reversal potentials must leave sums within the range of float64, but those of {network.labels[unit]} do not; "
        "use smaller parameters"
    )


def _sent(values: ltc.LTCValues, state: FloatArray, levels: FloatArray) -> FloatArray:
    """(units + inputs,): what sources last sent, from states and raw levels."""
    return np.concatenate([state, levels * values.input_w + values.input_b])
