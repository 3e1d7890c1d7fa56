"""The chip in ticks: quantised networks of spiking chips, bit for bit as `liquid_neuro/quantized_network.py` describes them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim.chip_activity import ChipActivity, Trace
from event_sim.chip_machine import (
    MACHINE_STATE,
    cells_of,
    continue_from,
    layout_of,
    machine_at_rest,
    set_states,
    state_record,
    unit_populations,
    unit_words,
    word_limit,
)
from event_sim.chip_state import ChipState
from event_sim.events import EventStream, FloatArray, IntArray
from event_sim.plan import SampledPlan, chunks, make_plan
from event_sim.recording import FinalState, Recording, event_table
from liquid_neuro.cells import PROGRAMS
from liquid_neuro.network import LiquidNetwork
from liquid_neuro.quantized_network import Population, QuantizedNetwork

MOST_TICKS = 1 << 20  # of per-tick counts
MOST_EVENTS = 1 << 20  # of one call into the kernel


def run_chip(
    quantized: QuantizedNetwork,
    events: EventStream,
    until: float | None = None,
    initial: Any = None,
    trace: bool = False,
    progress: bool = False,
) -> Recording:
    """A stream through the chip: states, events and counts. Arguments as in `simulate`; trace: keep every tick's words in activity.trace.

    A state belongs to a sample once the sample's last turn is over: recording.state[k + 1] for sample k. An event of a sample's turn stands
    at the time that this turn has in the sample (the last one at its end), however fast the chip runs its ticks.
    """
    started = time.perf_counter()
    plan = make_plan(quantized.network, events, until, initial, None)
    if not isinstance(plan, SampledPlan):
        raise ValueError("network.solver must step on samples to run in integers, but is exact; quantise it again")
    _check_timespans(quantized, plan)
    machine = _Run(quantized, plan, initial, trace)
    for first, last in chunks(plan.samples, progress, "chip"):
        machine.samples(first, last)
    state = machine.chip_state()
    if plan.samples:
        machine.drain()
    return machine.recording(state, time.perf_counter() - started)


def run_samples(quantized: QuantizedNetwork, x: npt.ArrayLike) -> FloatArray:
    """Outputs y (batch, time, outputs) of windows x (batch, time, inputs) or (time, inputs), each from state 0."""
    return quantized.output(state_words(quantized, x))


def state_words(quantized: QuantizedNetwork, x: npt.ArrayLike) -> IntArray:
    """State words (batch, time, units) of windows x (batch, time, inputs) as the network sees them, each from state 0, by the kernel."""
    from event_sim.kernels import chip

    words = quantized.input_format.quantize(x)
    words = words[None] if words.ndim == 2 else words
    if words.ndim != 3 or words.shape[-1] != quantized.network.inputs:
        raise ValueError(f"x must have the shape (batch, time, {quantized.network.inputs}), but has {np.shape(x)}")
    layout, states = layout_of(quantized), np.zeros((*words.shape[:2], quantized.network.units), dtype=np.int64)
    if not words.size:
        return states
    ticks = quantized.ticks_per_sample * (words.shape[1] - 1) + quantized.read_tick + 1
    kernel, limit = chip.run_kernel(cells_of(quantized)), word_limit(quantized.accumulator_bits)

    def part(rows: range) -> None:
        machine, at_rest = machine_at_rest(layout), machine_at_rest(layout)
        for window in rows:
            for array, rest in zip(machine[:MACHINE_STATE], at_rest):
                array[:] = rest
            record = state_record(states[window])
            kernel(layout, machine, record, words[window], quantized.ticks_per_sample, 0, ticks, 0, 0, limit)

    workers = max(1, min(os.cpu_count() or 1, words.shape[0] * words.shape[1] // 512))
    edges = np.linspace(0, len(words), workers + 1).astype(int)
    rows = [range(edges[worker], edges[worker + 1]) for worker in range(workers)]
    if workers == 1:
        part(rows[0])
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(part, rows))
    return states


def direct_samples(quantized: QuantizedNetwork, x: npt.ArrayLike) -> IntArray:
    """The same state words without ticks, by the cells' direct form in NumPy: what training computes. Equal bit for bit."""
    words = quantized.input_format.quantize(x)
    words = words[None] if words.ndim == 2 else words
    direct: Callable[[LiquidNetwork, Any, IntArray], IntArray]
    if quantized.network.cell == "ltc":
        from liquid_neuro.cells.ltc_build import direct_states as direct
    else:
        from liquid_neuro.cells.cfc_build import direct_states as direct
    return direct(quantized.network, quantized.formats, words)


# --- one run ------------------------------------------------------------------------------------------------------------------------------


def _check_timespans(quantized: QuantizedNetwork, plan: SampledPlan) -> None:
    timespan = quantized.formats.timespan
    wrong = ~np.isclose(plan.timespans, timespan, rtol=1e-6, atol=0.0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"all samples must last {timespan:g} model units, for which the integers were made, but sample {row} lasts "
            f"{plan.timespans[row]:g}; resample the stream or quantise with that timespan"
        )


class _Run:
    """The arrays of one run and the calls into the kernel."""

    def __init__(self, quantized: QuantizedNetwork, plan: SampledPlan, initial: Any, trace: bool) -> None:
        from event_sim.kernels import chip

        self.quantized, self.plan, self.layout = quantized, plan, layout_of(quantized)
        self.machine = machine_at_rest(self.layout)
        self.tick = self.first_tick = _restore(quantized, self.layout, self.machine, initial, plan)
        self.start_words = unit_words(quantized, self.layout, self.machine.state)
        period = quantized.ticks_per_sample
        self.ticks = period * (plan.samples - 1) + quantized.read_tick + 1 if plan.samples else 0
        self.words = quantized.input_format.quantize(plan.levels)
        self.events: list[IntArray] = []
        rows = self.ticks if self.ticks <= MOST_TICKS else 0
        compartments, populations = len(self.layout.population), len(quantized.populations)
        self.record = chip.Record(
            samples=np.zeros((plan.samples, quantized.network.units), dtype=np.int64),
            events=np.zeros((0, 3), dtype=np.int64),
            event_count=np.zeros(1, dtype=np.int64),
            spikes_per_tick=np.zeros((rows, populations), dtype=np.int64),
            trace_state=np.zeros((self.ticks if trace else 0, compartments), dtype=np.int64),
            trace_sent=np.zeros((self.ticks if trace else 0, compartments), dtype=np.int64),
        )

    def samples(self, first: int, last: int) -> None:
        """Samples first .. last - 1, without the ticks that only their answers need."""
        period = self.quantized.ticks_per_sample
        turns = sum(p.size * (period // p.period) for p in self.quantized.populations if p.program and PROGRAMS[p.program].unit)
        step = max(1, MOST_EVENTS // max(turns, 1))
        for start in range(first, last, step):
            stop = min(start + step, last)
            self._call(self.words[start:stop], period * (stop - start), (stop - start) * turns)

    def drain(self) -> None:
        """The ticks in which the last sample's answer arrives."""
        ticks = self.ticks - self.quantized.ticks_per_sample * self.plan.samples
        units = self.quantized.network.units
        self._call(np.zeros((0, self.quantized.network.inputs), dtype=np.int64), ticks, ticks * units)

    def _call(self, words: IntArray, ticks: int, most_events: int) -> None:
        from event_sim.kernels import chip

        record = self.record._replace(events=np.zeros((most_events, 3), dtype=np.int64), event_count=np.zeros(1, dtype=np.int64))
        period, limit = self.quantized.ticks_per_sample, word_limit(self.quantized.accumulator_bits)
        first_sample = self.first_tick // period
        kernel = chip.run_kernel(cells_of(self.quantized))
        kernel(self.layout, self.machine, record, words, period, self.tick, ticks, first_sample, self.first_tick, limit)
        self.events.append(record.events[: record.event_count[0]].copy())
        self.tick += ticks

    def chip_state(self) -> ChipState:
        """The machine as it stands now."""
        m, split = self.machine, self._split
        by_port = {name: array.reshape(-1, m.total.size // m.state.size) for name, array in (("total", m.total), ("arriving", m.arriving))}
        return ChipState(
            tick=self.tick,
            state=split(m.state.copy()),
            sent=split(m.sent.copy()),
            accumulators=split(by_port["total"].copy()),
            arriving=split(by_port["arriving"].copy()),
            queued=split(m.queued.copy()),
        )

    def _split(self, array: IntArray) -> dict[str, IntArray]:
        start = self.layout.start
        return {p.name: array[start[n] : start[n + 1]] for n, p in enumerate(self.quantized.populations)}

    def recording(self, chip: ChipState, seconds: float) -> Recording:
        """The result; `chip` is the state from which a later run goes on."""
        quantized, plan = self.quantized, self.plan
        words = np.concatenate([self.start_words[None], self.record.samples])
        units = unit_populations(quantized)
        real = np.concatenate(
            [p.state.to_real(words[:, start : start + p.size]) for p, start in units], axis=1
        )  # fmt: skip
        activity = self._activity()
        events = self._event_table(units)
        final = plan.final(real[-1])
        final = FinalState(final.time_s, final.state, final.inputs, final.stream, chip)
        return Recording(
            engine="chip",
            state=real,
            state_times_s=np.array(plan.boundaries_s),
            output_samples=quantized.output(words[1:]),
            final=final,
            events=events,
            event_counts=np.concatenate([activity.spikes[p.name] for p, _ in units]),
            input_event_counts=plan.event_counts,
            neuron_synaptic_operations=_neuron_operations(quantized, activity),
            stored_synaptic_operations=int(activity.stored_operations.sum()),
            clocked_synaptic_operations=activity.clocked_operations,
            error_bound=float("nan"),
            seconds=seconds,
            output_initial=quantized.output(words[0]),
            activity=activity,
        )

    def _event_table(self, units: list[tuple[Population, int]]) -> npt.NDArray[np.void]:
        """Events at the times that their turns have in their samples."""
        rows = np.concatenate(self.events) if self.events else np.zeros((0, 3), dtype=np.int64)
        tick, unit = rows[:, 0], rows[:, 1]
        per_unit = np.zeros((self.quantized.network.units, 3))
        for p, start in units:
            per_unit[start : start + p.size] = p.first_tick, p.period, 2.0 ** (p.message_shift - p.state.fraction_bits)
        period = self.quantized.ticks_per_sample
        since = tick - per_unit[unit, 0].astype(np.int64)
        sample = since // period - self.first_tick // period
        inside = np.clip(sample, 0, max(self.plan.samples - 1, 0))
        share = (since % period + per_unit[unit, 1]) / period
        lengths = np.diff(self.plan.boundaries_s)
        times = self.plan.boundaries_s[inside] + share * (lengths[inside] if len(lengths) else 0.0)
        times = np.where(share == 1.0, self.plan.boundaries_s[np.minimum(inside + 1, self.plan.samples)], times)
        return event_table(times, unit, rows[:, 2] * per_unit[unit, 2])

    def _activity(self) -> ChipActivity:
        quantized, m, populations = self.quantized, self.machine, self.quantized.populations
        spikes, active = self._split(m.spikes), self._split(m.active)
        turns = {p.name: _turns(p, self.first_tick, self.ticks, quantized.ticks_per_sample, self.plan.samples) for p in populations}
        stored = [int((np.bincount(j.source, minlength=len(spikes[j.source_population])) * spikes[j.source_population]).sum())
                  for j in quantized.projections]  # fmt: skip
        return ChipActivity(
            samples=self.plan.samples,
            ticks=self.ticks,
            ticks_per_sample=quantized.ticks_per_sample,
            spikes=spikes,
            updates={p.name: np.full(p.size, turns[p.name], dtype=np.int64) for p in populations},
            active_updates=active,
            stored_operations=np.array(stored, dtype=np.int64),
            clocked_operations=sum(len(j.weight) * turns[j.source_population] for j in quantized.projections),
            saturations=self._saturations(),
            spikes_per_tick=self._per_tick(self.record.spikes_per_tick) if self.ticks <= MOST_TICKS else None,
            trace=self._trace(),
        )

    def _saturations(self) -> dict[str, int]:
        m = self.machine
        found = {p.name: int(count) for p, count in zip(self.quantized.populations, m.state_saturations)}
        low, high = self.quantized.input_format.lowest, self.quantized.input_format.highest
        exact = self.plan.levels / self.quantized.input_format.lsb
        found["input"] = int(np.count_nonzero((exact < low - 0.5) | (exact >= high + 0.5)))
        ports = self._split(m.total_saturations.reshape(len(m.state), -1))
        for p in self.quantized.populations:
            for number, port in enumerate(PROGRAMS[p.program].ports if p.program else ()):
                found[f"{p.name}.{port}"] = int(ports[p.name][:, number].sum())
        return {name: count for name, count in found.items() if count}

    def _per_tick(self, table: IntArray) -> dict[str, IntArray]:
        return {p.name: table[:, number].copy() for number, p in enumerate(self.quantized.populations)}

    def _trace(self) -> Trace | None:
        if not len(self.record.trace_state):
            return None
        state, sent = self._split(self.record.trace_state.T), self._split(self.record.trace_sent.T)
        return Trace(
            self.first_tick, {name: rows.T.copy() for name, rows in state.items()}, {name: rows.T.copy() for name, rows in sent.items()}
        )


def _restore(quantized: QuantizedNetwork, layout: Any, machine: Any, initial: Any, plan: SampledPlan) -> int:
    """Puts the machine where the run begins and returns the first tick."""
    chip = initial.chip if isinstance(initial, FinalState) else None
    if isinstance(chip, ChipState):
        return continue_from(quantized, layout, machine, chip)
    if initial is not None:
        set_states(quantized, layout, machine, plan.start.state)
    return 0


def _turns(population: Population, first_tick: int, ticks: int, period: int, samples: int) -> int:
    """How often it is the population's turn in ticks first_tick, …; the input's turns are its samples."""
    if not population.program:
        return samples
    before = [max(0, -(-(end - population.first_tick) // population.period)) for end in (first_tick, first_tick + ticks)]
    return before[1] - before[0]


def _neuron_operations(quantized: QuantizedNetwork, activity: ChipActivity) -> int:
    """Events times fan-out in the neuron graph: the wiring's synapses, or all units where there is no wiring."""
    spikes = np.concatenate([activity.spikes[p.name] for p, _ in unit_populations(quantized)])
    wiring = quantized.network.wiring
    if quantized.network.cell == "ltc" and wiring is not None:
        return int((spikes * np.bincount(wiring.source, minlength=len(spikes))).sum())
    return int(activity.stored_operations.sum())
