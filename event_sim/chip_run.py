"""One run of a quantised network on its chip's ticks: the arrays, the calls into the kernel, and what they amount to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim.chip_activity import ChipActivity, Trace
from event_sim.chip_machine import (
    clock_at,
    continue_from,
    fingerprint,
    layout_of,
    machine_at_rest,
    memory_population,
    set_states,
    split,
    unit_populations,
    unit_words,
    word_limit,
)
from event_sim.chip_state import ChipState
from event_sim.events import IntArray
from event_sim.plan import SampledPlan
from event_sim.recording import FinalState, Recording, event_table
from liquid_neuro.cells import PROGRAMS
from liquid_neuro.quantized_network import Population, QuantizedNetwork

MOST_TICKS = 1 << 20  # of per-tick counts
MOST_EVENTS = 1 << 20  # of one call into the kernel


class ChipRun:
    """The arrays of one run and the calls into the kernel: samples first .. last - 1 in order, then drain, then the recording.

    words: (K, host compartments), what the host sets. first_tick, tick: where the run began and stands. drained: how many ticks an earlier
    run of the same machine ran beyond its samples to see their last answer, and counted.
    """

    def __init__(self, quantized: QuantizedNetwork, plan: SampledPlan, words: IntArray, initial: Any, trace: bool) -> None:
        from event_sim.kernels import chip

        self.quantized, self.plan, self.layout, self.words = quantized, plan, layout_of(quantized), words
        self.machine = machine_at_rest(quantized, self.layout)
        self.tick = self.first_tick = self._begin(initial)
        self.start_words = unit_words(quantized, self.layout, self.machine.state)
        self.answer_ticks = quantized.read_tick + 1 - quantized.ticks_per_sample
        self.drained = self.answer_ticks if self.first_tick and plan.samples else 0
        ticks = quantized.ticks_per_sample * plan.samples + self.answer_ticks if plan.samples else 0
        self.events: list[IntArray] = []
        rows = ticks if ticks <= MOST_TICKS else 0
        compartments, populations = len(self.layout.population), len(quantized.populations)
        self.record = chip.Record(
            samples=np.zeros((plan.samples, quantized.network.units), dtype=np.int64),
            events=np.zeros((0, 3), dtype=np.int64),
            event_count=np.zeros(1, dtype=np.int64),
            spikes_per_tick=np.zeros((rows, populations), dtype=np.int64),
            trace_state=np.zeros((ticks if trace else 0, compartments), dtype=np.int64),
            trace_sent=np.zeros((ticks if trace else 0, compartments), dtype=np.int64),
        )

    def _begin(self, initial: Any) -> int:
        """Puts the machine where the run begins and returns the first tick."""
        chip = initial.chip if isinstance(initial, FinalState) else None
        if isinstance(chip, ChipState):
            return continue_from(self.quantized, self.layout, self.machine, chip)
        if initial is not None:
            set_states(self.quantized, self.layout, self.machine, self.plan.start)
        return 0

    def samples(self, first: int, last: int) -> None:
        """Samples first .. last - 1, without the ticks that only their answers need."""
        period = self.quantized.ticks_per_sample
        turns = sum(p.size * (period // p.period) for p in self.quantized.populations if p.program and PROGRAMS[p.program].unit)
        step = max(1, MOST_EVENTS // max(turns, 1))
        for start in range(first, last, step):
            stop = min(start + step, last)
            self._call(self.words[start:stop], period * (stop - start), (stop - start) * turns)

    def shorten(self, samples: int) -> None:
        """Makes this a run of the first so many samples, which is how far it came."""
        if samples == self.plan.samples:
            return
        self.plan, self.words = self.plan.shortened(samples), self.words[:samples]
        ticks = self.quantized.ticks_per_sample * samples + self.answer_ticks if samples else 0
        record = self.record
        self.record = record._replace(
            samples=record.samples[:samples],
            spikes_per_tick=record.spikes_per_tick[:ticks],
            trace_state=record.trace_state[:ticks],
            trace_sent=record.trace_sent[:ticks],
        )

    def drain(self) -> None:
        """The ticks in which the last sample's answer arrives."""
        self._call(self.words[:0], self.answer_ticks, self.answer_ticks * self.quantized.network.units)

    def _call(self, words: IntArray, ticks: int, most_events: int) -> None:
        from event_sim.kernels.addresses import addresses
        from event_sim.kernels.chip import run_ticks

        record = self.record._replace(events=np.empty((most_events, 3), dtype=np.int64), event_count=np.zeros(1, dtype=np.int64))
        period, limit = self.quantized.ticks_per_sample, word_limit(self.quantized.accumulator_bits)
        clock = clock_at(self.layout, period, self.tick, self.first_tick // period)
        layout, machine = addresses(self.layout), addresses(self.machine)
        run_ticks(layout, machine, record, words, clock, period, self.tick, ticks, self.first_tick, limit)
        self.events.append(record.events[: record.event_count[0]].copy())
        self.tick += ticks

    def chip_state(self) -> ChipState:
        """The machine as it stands now."""
        m, layout = self.machine, self.layout

        def by_port(array: IntArray) -> dict[str, IntArray]:
            pieces = np.split(array.copy(), layout.place[layout.start[1:-1]])
            return {p.name: piece.reshape(p.size, -1) if p.size else piece for p, piece in zip(self.quantized.populations, pieces)}

        return ChipState(
            tick=self.tick,
            state=self._split(m.state.copy()),
            sent=self._split(m.sent.copy()),
            accumulators=by_port(m.total),
            arriving=by_port(m.arriving),
            queued=self._split(m.queued.astype(np.int64)),
            network=fingerprint(self.quantized),
        )

    def _split(self, array: IntArray) -> dict[str, IntArray]:
        return split(self.quantized, self.layout, array)

    # --- what the run amounts to --------------------------------------------------------------------------------------------------------

    def recording(self, chip: ChipState, seconds: float, interrupted: bool) -> Recording:
        """The result; `chip` is the state from which a later run goes on."""
        quantized, plan = self.quantized, self.plan
        words = np.concatenate([self.start_words[None], self.record.samples])
        units = unit_populations(quantized)
        real = np.concatenate([p.state.to_real(words[:, start : start + p.size]) for p, start in units], axis=1)
        activity = self._activity()
        memory = memory_population(quantized)
        end = real[-1] if memory is None else (real[-1], memory.state.to_real(chip.state[memory.name]))
        return Recording(
            engine="chip",
            state=real,
            state_times_s=np.array(plan.boundaries_s),
            output_samples=quantized.output(words[1:]),
            final=replace(plan.final(end), chip=chip),
            events=self._event_table(units),
            event_counts=np.concatenate([activity.spikes[p.name] for p, _ in units]),
            input_event_counts=plan.event_counts,
            neuron_synaptic_operations=_neuron_operations(quantized, activity),
            stored_synaptic_operations=int(activity.stored_operations.sum()),
            clocked_synaptic_operations=activity.clocked_operations,
            error_bound=float("nan"),
            seconds=seconds,
            output_initial=quantized.output(words[0]),
            activity=activity,
            interrupted=interrupted,
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
        share = (since % period + per_unit[unit, 1]) / period
        boundaries = self.plan.boundaries_s
        lengths = np.diff(boundaries)
        times = boundaries[sample] + share * (lengths[sample] if len(lengths) else 0.0)
        times = np.where(share == 1.0, boundaries[np.minimum(sample + 1, self.plan.samples)], times)
        return event_table(times, unit, rows[:, 2] * per_unit[unit, 2])

    def _activity(self) -> ChipActivity:
        quantized, m, populations = self.quantized, self.machine, self.quantized.populations
        spikes, active = self._split(m.spikes), self._split(m.active)
        turns = {p.name: self.plan.samples * (quantized.ticks_per_sample // p.period) for p in populations}
        stored = [
            int((np.bincount(j.source, minlength=len(spikes[j.source_population])) * spikes[j.source_population]).sum())
            for j in quantized.projections
        ]
        ran = self.tick - self.first_tick
        return ChipActivity(
            samples=self.plan.samples,
            ticks=ran - self.drained,
            ticks_per_sample=quantized.ticks_per_sample,
            spikes=spikes,
            updates={p.name: np.full(p.size, turns[p.name], dtype=np.int64) for p in populations},
            active_updates=active,
            stored_operations=np.array(stored, dtype=np.int64),
            clocked_operations=sum(len(j.weight) * turns[j.source_population] for j in quantized.projections),
            saturations=self._saturations(),
            spikes_per_tick=self._per_tick(self.record.spikes_per_tick) if ran <= MOST_TICKS else None,
            trace=self._trace(),
        )

    def _saturations(self) -> dict[str, int]:
        m, layout, quantized = self.machine, self.layout, self.quantized
        found = {p.name: int(count) for p, count in zip(quantized.populations, m.state_saturations)}
        low, high = quantized.input_format.lowest, quantized.input_format.highest
        exact = self.plan.levels / quantized.input_format.lsb
        found["input"] = int(np.count_nonzero((exact < low - 0.5) | (exact >= high + 0.5)))
        for number, p in enumerate(quantized.populations):
            ports = PROGRAMS[p.program].ports if p.program else ()
            counts = m.total_saturations[layout.place[layout.start[number]] : layout.place[layout.start[number + 1]]]
            for place, port in enumerate(ports):
                found[f"{p.name}.{port}"] = int(counts[place :: len(ports)].sum())
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


def _neuron_operations(quantized: QuantizedNetwork, activity: ChipActivity) -> int:
    """Events times fan-out in the neuron graph: the wiring's synapses, or all units where there is no wiring."""
    spikes = np.concatenate([activity.spikes[p.name] for p, _ in unit_populations(quantized)])
    wiring = quantized.network.wiring
    if quantized.network.cell == "ltc" and wiring is not None:
        return int((spikes * np.bincount(wiring.source, minlength=len(spikes))).sum())
    return int(activity.stored_operations.sum())
