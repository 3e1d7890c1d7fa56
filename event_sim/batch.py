"""Many independent streams in one call: over threads, and on the clock eight streams at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.clocked import packed
from event_sim.clocked_arrays import couplings_of, in_slots, membranes_of, rows_of, slots_of
from event_sim.events import EventStream, IntArray
from event_sim.interrupts import interruptible, pieces
from event_sim.plan import SampledPlan, chunks, make_plan
from event_sim.recording import Recording
from liquid_neuro.cells import ltc
from liquid_neuro.checks import is_whole
from liquid_neuro.network import Fused, LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork

Job = Callable[[], list[Recording]]
FEWEST = 3  # streams that are faster together than one after the other


def threads_of(threads: int | None) -> int:
    """The number of threads to use: all processors of this process by default. ValueError for what is no number of threads."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not is_whole(threads) or threads < 1:
        raise ValueError(f"`threads` must be a whole number of at least 1, but is {threads!r:.80}; leave it out to use all processors")
    return int(threads)


def over_streams(
    run: Callable[[EventStream, bool], Recording], streams: Sequence[EventStream], threads: int | None, progress: bool
) -> list[Recording]:
    """The recordings of run(stream, progress), in the order of the streams. After Ctrl-C only those up to the first that was cut short."""
    count = min(threads_of(threads), len(streams))
    with interruptible() as stopped:
        return _in_order([partial(_alone, run, stream, progress and count == 1) for stream in streams], count, progress, stopped)


def _alone(run: Callable[[EventStream, bool], Recording], stream: EventStream, progress: bool) -> list[Recording]:
    return [run(stream, progress)]


def on_clock(
    network: LiquidNetwork | QuantizedNetwork,
    streams: Sequence[EventStream],
    given: tuple[Any, Any, Any],
    threads: int | None,
    progress: bool,
) -> list[Recording]:
    """Clock-driven runs of a network that `takes` allows: eight streams at a time, the groups over threads.

    given: until, initial and sample_s of `make_plan`.
    """
    from event_sim.kernels.lanes import LANES

    assert isinstance(network, LiquidNetwork)
    plans: list[SampledPlan] = []
    for stream in streams:
        plan = make_plan(network, stream, *given)
        assert isinstance(plan, SampledPlan)
        plans.append(plan)
    clock = _Clock.of(network)
    # Plans of like length go together. Each gives the same bytes in any company.
    order = sorted(range(len(plans)), key=lambda index: (-plans[index].samples, index))
    groups = [order[first : first + LANES] for first in range(0, len(order), LANES)]
    with interruptible() as stopped:
        count = min(threads_of(threads), len(groups))
        jobs = [partial(_together, clock, [plans[index] for index in group], stopped, progress and count == 1) for group in groups]
        recordings = _in_order(jobs, count, progress, stopped)
    found = dict(zip(order, recordings))
    whole = next((index for index in range(len(plans)) if index not in found), len(plans))
    return [found[index] for index in range(whole)]


def takes(network: LiquidNetwork | QuantizedNetwork, streams: Sequence[EventStream]) -> bool:
    """Whether `on_clock` runs such a network on such streams."""
    if not isinstance(network, LiquidNetwork) or network.cell != "ltc" or not isinstance(network.solver, Fused) or network.mixed_memory:
        return False
    delays = [network.parameters[name] for name in ltc.DELAYS if name in network.parameters]
    return len(streams) > 1 and all(isinstance(stream, EventStream) for stream in streams) and not any(delay.any() for delay in delays)


def _in_order(jobs: Sequence[Job], threads: int, progress: bool, stopped: Callable[[], bool]) -> list[Recording]:
    """The jobs' recordings in order. Once stopped, no further job begins, and the list ends with the last job that came to run."""
    results: list[Recording] = []
    if threads <= 1:
        for job in jobs:
            results += job()
            if stopped():
                break
        return results
    with ThreadPoolExecutor(threads) as pool:
        begun = [pool.submit(_unless, stopped, job) for job in jobs]
        try:
            for first, last in chunks(len(jobs), progress, f"simulating on {threads} threads"):
                for future in begun[first:last]:
                    results += future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def _unless(stopped: Callable[[], bool], job: Job) -> list[Recording]:
    return [] if stopped() else job()


class _Clock(NamedTuple):
    """A network as the kernels read it, shared by all groups."""

    values: ltc.LTCValues
    slots: IntArray
    recurrent: Any
    sensory: Any
    couplings: Any

    @classmethod
    def of(cls, network: LiquidNetwork) -> _Clock:
        from event_sim.kernels.lanes import LANES

        values = ltc.effective(network)
        slots = slots_of(values, LANES)
        return cls(values, slots, *rows_of(values, slots), couplings_of(values, slots))


def _together(clock: _Clock, plans: list[SampledPlan], stopped: Callable[[], bool], progress: bool) -> list[Recording]:
    """The recordings of at most eight plans."""
    from event_sim import clocked
    from event_sim.kernels.lanes import LANES
    from event_sim.kernels.ltc_batch import run_fused_batch

    if len(plans) < FEWEST:
        return [clocked.run_clocked(plan, np.inf, progress) for plan in plans]
    started, values, solver = time.perf_counter(), clock.values, plans[0].network.solver
    assert isinstance(solver, Fused)
    samples = max(plan.samples for plan in plans)
    levels, changed, steps = _inputs(plans, values, samples, solver.unfolds)
    states = np.zeros((samples + 1, values.units, LANES))
    value = np.zeros((2, len(clock.slots), LANES))
    for lane, plan in enumerate(plans):
        states[0, :, lane] = plan.start.state
        value[:, :, lane] = in_slots(plan.start.state, clock.slots)
    network = (membranes_of(values, clock.slots, values.epsilon, 0), clock.recurrent, clock.sensory, clock.couplings)
    lanes, rows, done = value.reshape(-1), states.reshape(samples + 1, -1), 0
    for begin, done in pieces(samples, progress, f"simulating {len(plans)} streams", stopped):
        run_fused_batch(begin, done, solver.unfolds, lanes, levels, changed, steps, *network, rows)
    recordings = []
    for lane, plan in enumerate(plans):
        ran = plan.shortened(min(done, plan.samples))
        recordings.append(packed(ran, values, states[: ran.samples + 1, :, lane].copy(), None, started, ran.samples < plan.samples))
    return recordings


def _inputs(
    plans: list[SampledPlan], values: ltc.LTCValues, samples: int, unfolds: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """(levels (samples, inputs * 8) mapped, changed (samples,), sub-steps (samples, 8), 0 behind a plan's end)."""
    from event_sim.kernels.lanes import LANES

    levels, steps = np.zeros((samples, values.inputs, LANES)), np.zeros((samples, LANES))
    changed = np.zeros(samples, dtype=bool)
    for lane, plan in enumerate(plans):
        levels[: plan.samples, :, lane] = plan.levels * values.input_w + values.input_b
        steps[: plan.samples, lane] = plan.timespans / unfolds
        changed[1 : plan.samples] |= (plan.levels[1:] != plan.levels[:-1]).any(axis=1)
    return levels.reshape(samples, -1), changed.astype(np.int64), steps
