"""The chip in ticks: quantised networks of spiking chips, bit for bit as `liquid_neuro/quantized_network.py` describes them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim.chip_machine import MACHINE_STATE, clock_at, layout_of, machine_at_rest, state_record, word_limit
from event_sim.chip_run import ChipRun
from event_sim.events import EventStream, FloatArray, IntArray
from event_sim.interrupts import interruptible, pieces
from event_sim.plan import SampledPlan, make_plan
from event_sim.recording import Recording
from liquid_neuro.cells.cfc_library import LibraryFormats
from liquid_neuro.quantized_network import QuantizedNetwork

SPAN_TOLERANCE = 1e-6  # of a timespan, where all must be equal


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
    Counts are those of the samples' own turns, so that the runs of a stream in pieces add up to the run of the whole.
    Ctrl-C ends the run early; the recording then holds what was simulated so far and says so.
    """
    started = time.perf_counter()
    plan = make_plan(quantized.network, events, until, initial, None, sampled=True)
    assert isinstance(plan, SampledPlan)
    run = ChipRun(quantized, plan, _host_words(quantized, plan), initial, trace)
    done = 0
    with interruptible() as stopped:
        for first, last in pieces(plan.samples, progress, "chip", stopped):
            run.samples(first, last)
            done = last
    run.shorten(done)
    state = run.chip_state()
    if done:
        run.drain()
    return run.recording(state, time.perf_counter() - started, interrupted=done < plan.samples)


def run_samples(quantized: QuantizedNetwork, x: npt.ArrayLike, timespans: npt.ArrayLike | None = None) -> FloatArray:
    """Outputs y (batch, time, outputs) of windows x (batch, time, inputs) or (time, inputs), each from state 0; see `state_words`."""
    return quantized.output(state_words(quantized, x, timespans))


def state_words(quantized: QuantizedNetwork, x: npt.ArrayLike, timespans: npt.ArrayLike | None = None) -> IntArray:
    """State words (batch, time, units) of windows x (batch, time, inputs) as the network sees them, each from state 0, by the kernel.

    timespans: model units, for networks that take irregular time: one number, (time,) or (batch, time); 1 each when left out.
    """
    from event_sim.kernels.addresses import addresses
    from event_sim.kernels.chip import run_ticks

    words = host_windows(quantized, x, timespans)
    layout, states = layout_of(quantized), np.zeros((*words.shape[:2], quantized.network.units), dtype=np.int64)
    if not words.size:
        return states
    ticks = quantized.ticks_per_sample * (words.shape[1] - 1) + quantized.read_tick + 1
    limit, clock = word_limit(quantized.accumulator_bits), clock_at(layout, quantized.ticks_per_sample, 0, 0)

    def part(rows: range) -> None:
        machine, at_rest = machine_at_rest(quantized, layout), machine_at_rest(quantized, layout)
        arrays = addresses(layout), addresses(machine)
        for window in rows:
            for array, rest in zip(machine[:MACHINE_STATE], at_rest):
                array[:] = rest
            record = state_record(states[window])
            run_ticks(*arrays, record, words[window], clock.copy(), quantized.ticks_per_sample, 0, ticks, 0, limit)

    workers = max(1, min(os.cpu_count() or 1, words.shape[0] * words.shape[1] // 512))
    edges = np.linspace(0, len(words), workers + 1).astype(int)
    rows = [range(edges[worker], edges[worker + 1]) for worker in range(workers)]
    if workers == 1:
        part(rows[0])
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(part, rows))
    return states


def direct_samples(quantized: QuantizedNetwork, x: npt.ArrayLike, timespans: npt.ArrayLike | None = None) -> IntArray:
    """The same state words without ticks, by the cells' direct form in NumPy: what training computes. Equal bit for bit.

    Library neurons have no such form: by the kernel.
    """
    if isinstance(quantized.formats, LibraryFormats):
        return state_words(quantized, x, timespans)
    words = host_windows(quantized, x, timespans)
    inputs = quantized.network.inputs
    direct: Callable[..., IntArray]
    if quantized.network.cell == "ltc":
        from liquid_neuro.cells.ltc_direct import direct_states as direct
    else:
        from liquid_neuro.cells.cfc_direct import direct_states as direct
    elapsed = () if quantized.elapsed is None else (words[..., inputs],)
    return direct(quantized.network, quantized.formats, words[..., :inputs], *elapsed)


# --- what the host sets -------------------------------------------------------------------------------------------------------------------


def elapsed_words(quantized: QuantizedNetwork, timespans: npt.ArrayLike | None, shape: tuple[int, int]) -> IntArray | None:
    """Words (batch, time) of timespans (one number, (time,) or (batch, time); 1 when left out); None where all samples last as long."""
    if quantized.elapsed is None:
        return None
    spans = np.broadcast_to(np.asarray(1.0 if timespans is None else timespans, dtype=np.float64), shape)
    word = quantized.elapsed.state
    wrong = ~((spans >= 0.0) & (spans < (word.highest + 0.5) * word.lsb))
    if wrong.any():
        window, row = np.argwhere(wrong)[0].tolist()
        raise ValueError(
            f"timespans must be 0 to {word.highest * word.lsb:.6g} model units, for which the integers were made, but sample {row} lasts "
            f"{spans[window, row]:g}; resample the stream or quantise with timespans that reach so far"
        )
    words: IntArray = word.quantize(spans)
    return words


def host_windows(quantized: QuantizedNetwork, x: npt.ArrayLike, timespans: npt.ArrayLike | None) -> IntArray:
    """Words (batch, time, host compartments) of windows and their timespans."""
    words: IntArray = quantized.input_format.quantize(x)
    words = words[None] if words.ndim == 2 else words
    if words.ndim != 3 or words.shape[-1] != quantized.network.inputs:
        raise ValueError(f"x must have the shape (batch, time, {quantized.network.inputs}), but has {np.shape(x)}")
    elapsed = elapsed_words(quantized, timespans, words.shape[:2])
    if elapsed is not None:
        words = np.concatenate([words, elapsed[..., None]], axis=-1)
    return words


def _host_words(quantized: QuantizedNetwork, plan: SampledPlan) -> IntArray:
    """Words (K, host compartments) of a stream's samples; ValueError where their timespans are none that the integers know."""
    words: IntArray = host_windows(quantized, plan.levels, plan.timespans if quantized.elapsed is not None else None)[0]
    if quantized.elapsed is not None:
        return words
    timespan = quantized.formats.timespan
    wrong = ~np.isclose(plan.timespans, timespan, rtol=SPAN_TOLERANCE, atol=0.0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"all samples must last {timespan:g} model units, for which the integers were made, but sample {row} lasts "
            f"{plan.timespans[row]:g}; resample the stream, or quantise with that timespan or with a calibration of such a clock"
        )
    return words
