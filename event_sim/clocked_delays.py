"""Clock-driven runs of LTCs with synaptic delays: what neurons sent, in rows that delayed synapses hear later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from event_sim.carried import PAST_TYPE, Carried, Table
from event_sim.clocked_arrays import graded, shortest_time
from event_sim.events import FloatArray, IntArray
from event_sim.interrupts import pieces
from event_sim.plan import ContinuousPlan, SampledPlan, Start
from event_sim.under_way import taken_up
from liquid_neuro.cells.ltc import LTCValues
from liquid_neuro.network import Fused

FUSED, EXACT = "clocked fused", "clocked exact"
MOST_CUTS = 100_000


class Rows(NamedTuple):
    """What was sent: rows (n, sources) at ascending times (n,) in model units."""

    times: FloatArray
    rows: FloatArray

    def back_to(self, end: float, longest: float) -> Rows:
        """The rows that can still be heard behind `end`, with times that end there."""
        first = max(int(np.searchsorted(self.times, end - longest, side="right")) - 1, 0)
        return Rows(self.times[first:] - end, self.rows[first:].copy())


class DelayedClock:
    """ncps' sub-steps of a plan with delays, run into `states` (samples + 1, units)."""

    def __init__(self, plan: SampledPlan, values: LTCValues, states: FloatArray) -> None:
        solver = plan.network.solver
        assert isinstance(solver, Fused)
        self.plan, self.values, self.states, self.unfolds, self.done = plan, values, states, solver.unfolds, 0
        self.value = np.array(plan.start.state)
        neurons, inputs = _before(plan.start, FUSED, values)
        self.cells, self.recurrent, self.sensory = _cells_of(values, values.epsilon), *_heard_of(values)
        moving = np.flatnonzero(plan.timespans > 0.0)
        self.starts = np.concatenate([[0.0], np.cumsum(plan.timespans)])
        self.steps = plan.timespans / self.unfolds
        grid = (self.starts[moving, None] + np.arange(self.unfolds) * self.steps[moving, None]).reshape(-1)
        self.times = np.concatenate([neurons.times, grid])
        self.begins = np.zeros((plan.samples, 2), dtype=np.int64)
        self.begins[moving, 0] = len(neurons.times) + self.unfolds * np.arange(len(moving))
        self.begins[:, 1] = len(inputs.times) + np.arange(plan.samples)
        self.inputs = Rows(
            np.concatenate([inputs.times, self.starts[:-1]]), np.concatenate([inputs.rows, plan.levels * values.input_w + values.input_b])
        )
        self.longest = float(values.delay.max(initial=0.0))
        self.ring = _ring(neurons, np.append(self.times, self.starts[-1]), self.longest)

    def run(self, begin: int, end: int) -> None:
        """Run samples begin..end-1."""
        from event_sim.kernels.ltc_delayed import run_fused_delayed

        run_fused_delayed(
            begin, end, self.unfolds, self.cells, self.recurrent, self.sensory, self.times, self.inputs.times, self.begins, self.steps,
            self.ring, self.inputs.rows, self.value, self.states,
        )  # fmt: skip
        self.done = end

    def put(self, state: FloatArray) -> None:
        """Put the neurons into another state."""
        self.value[:] = state

    def carried(self) -> Carried:
        """What is under way at the end of the samples that were run."""
        end = float(self.starts[self.done])
        noted = len(self.times) - self.unfolds * int((self.plan.timespans[self.done :] > 0.0).sum())
        given = len(self.inputs.times) - (self.plan.samples - self.done)
        inputs = Rows(self.inputs.times[:given], self.inputs.rows[:given])
        return _carried(FUSED, self.values, _noted(self.times, self.ring, noted), inputs, end)


def exact_integrator(plan: ContinuousPlan, values: LTCValues, sweeps: int) -> tuple[FloatArray, Any, Callable[[], Carried]]:
    """(cuts in seconds, the integrate function of event_sim.clocked_exact between them, what is under way at the end of its last run).

    Cuts are the recorded times, the changes of inputs, the times at which delayed synapses hear these, and those at which neurons that
    hear them are heard.
    """
    from event_sim.clocked_exact import Pass
    from event_sim.kernels.ltc_delayed import run_midpoint_delayed
    from event_sim.kernels.ltc_exact import COURSE

    unit_s, outputs = plan.network.time_unit_s, plan.network.outputs
    neurons, inputs = _before(plan.start, EXACT, values)
    begin = plan.start_s / unit_s
    inputs = _with_changes(Rows(inputs.times + begin, inputs.rows), plan, values)
    cells, (recurrent, sensory) = _cells_of(values, 0.0), _heard_of(values)
    cuts = graded(_cuts(plan, inputs.times, sensory.delay, recurrent.delay), shortest_time(values))
    heard = np.stack([np.searchsorted(inputs.times + delay, cuts[:-1], side="right") - 1 for delay in sensory.delay], axis=1)
    heard = np.maximum(heard, 0).astype(np.int64) if len(sensory.delay) else np.zeros((len(cuts) - 1, 0), dtype=np.int64)
    longest, ends = float(values.delay.max(initial=0.0)), {}

    def integrate(steps: IntArray, stopped: Callable[[], bool], progress: bool) -> Pass:
        length = np.diff(cuts) / steps
        grid = [cuts[at] + np.arange(steps[at] + 1) * length[at] for at in range(len(steps))]
        times = np.concatenate([neurons.times + begin, *grid])
        begins = len(neurons.times) + np.concatenate([[0], np.cumsum(steps + 1)])[:-1].astype(np.int64)
        ring = _ring(Rows(neurons.times + begin, neurons.rows), times, longest)
        recurrent.last[:] = 0
        states, value = np.empty((len(cuts), values.units)), np.array(plan.start.state)
        states[0] = value
        courses = np.empty(int(steps.sum()) * outputs, dtype=COURSE)
        row, done = 0, 0
        for first, done in pieces(len(steps), progress, f"simulating with {int(steps.max(initial=0))} steps per interval", stopped):
            row = run_midpoint_delayed(
                first, done, row, outputs, sweeps, cells, recurrent, sensory, times, begins, steps, length, heard, ring, inputs.rows, value,
                states, courses,
            )  # fmt: skip
        noted = len(neurons.times) + int((steps[:done] + 1).sum())
        ends["last"] = (_noted(times, ring, noted), float(cuts[done]))
        return Pass(states[: done + 1], courses[:row], row // outputs, done)

    def carried() -> Carried:
        noted, end = ends["last"]
        return _carried(EXACT, values, noted, inputs, end)

    cuts_s = cuts * unit_s
    cuts_s[np.searchsorted(cuts, plan.record_s / unit_s)] = plan.record_s  # as given, not rounded twice
    return cuts_s, integrate, carried


def _cuts(plan: ContinuousPlan, changes: FloatArray, sensory: FloatArray, recurrent: FloatArray) -> FloatArray:
    """(n,) times in model units between which nothing jumps."""
    unit_s = plan.network.time_unit_s
    begin, end = plan.start_s / unit_s, plan.end_s / unit_s
    arrivals = np.unique(np.add.outer(np.append(changes, begin), np.append(sensory, 0.0)))
    echoes = np.add.outer(arrivals, np.append(recurrent, 0.0)).reshape(-1) if len(arrivals) * len(recurrent) <= MOST_CUTS else arrivals
    times = np.concatenate([plan.record_s / unit_s, echoes])
    return np.unique(times[(times >= begin) & (times <= end)])


def _with_changes(before: Rows, plan: ContinuousPlan, values: LTCValues) -> Rows:
    """The mapped inputs from before the run on, a row for each time at which some change."""
    level = plan.value * values.input_w[plan.channel] + values.input_b[plan.channel]
    times, place = np.unique(plan.time_s / plan.network.time_unit_s, return_inverse=True)
    rows = np.empty((len(times), values.inputs))
    held = before.rows[-1].copy()
    begins = np.searchsorted(place, np.arange(len(times) + 1))
    for row in range(len(times)):
        here = slice(begins[row], begins[row + 1])
        held[plan.channel[here]] = level[here]
        rows[row] = held
    return Rows(np.concatenate([before.times, times]), np.concatenate([before.rows, rows]))


def _ring(before: Rows, times: FloatArray, longest: float) -> FloatArray:
    """(rows, units): room for all rows that can be heard at once; those of `before` stand in it."""
    oldest = np.searchsorted(times, times - longest * (1.0 + 1e-9), side="left") - 2
    size = max(int((np.arange(len(times)) - oldest).max(initial=0)) + 2, len(before.times) + 1)
    ring = np.zeros((size, before.rows.shape[1]))
    ring[: len(before.times)] = before.rows
    return ring


def _noted(times: FloatArray, ring: FloatArray, count: int) -> Rows:
    """The last of `count` rows that are still in the ring."""
    kept = np.arange(max(count - len(ring), 0), count)
    return Rows(times[kept], ring[kept % len(ring)])


def _before(start: Start, kind: str, values: LTCValues) -> tuple[Rows, Rows]:
    """(neurons, mapped inputs): what was sent before the run, whose first time is 0. Without a past the start state stood for ever."""
    carried, past = taken_up(start.final, kind, has_delays=True)
    levels = start.inputs * values.input_w + values.input_b
    if carried is not None:
        saved = carried.arrays
        return Rows(saved["times"], saved["rows"]), Rows(saved["input_times"], saved["input_rows"])
    past = np.zeros(0, dtype=PAST_TYPE) if past is None else past
    of_inputs = past["source"] >= values.units
    neurons = _rows_of(past[~of_inputs], 0, start.state)
    if kind == EXACT:  # its neurons move in straight lines from row to row: a step needs two of them, the last one at the run's start
        at, row = np.repeat(np.arange(len(neurons.times)), 2)[1:], np.repeat(np.arange(len(neurons.times)), 2)[:-1]
        first = min(neurons.times[1:].min(initial=0.0), -float(values.delay.max(initial=0.0))) - 1.0
        times = np.append(np.maximum(neurons.times, first)[at], 0.0)
        neurons = Rows(times, neurons.rows[np.append(row, len(neurons.rows) - 1)])
    return neurons, _rows_of(past[of_inputs], values.units, levels)


def _rows_of(past: Table, offset: int, present: FloatArray) -> Rows:
    """What the past tells of the sources from `offset` on, whose others always were as at present."""
    ages = np.unique(past["age"][np.isfinite(past["age"])])[::-1]
    times = np.concatenate([[-np.inf], -ages])
    rows = np.tile(present, (len(times), 1))
    for source in np.unique(past["source"]).tolist():
        own = past[past["source"] == source]  # the oldest first; of equal ages the last counts
        entry = np.searchsorted(-own["age"], times, side="right") - 1
        rows[entry >= 0, source - offset] = own["level"][entry[entry >= 0]]
    return Rows(times, rows)


def _carried(kind: str, values: LTCValues, neurons: Rows, inputs: Rows, end: float) -> Carried:
    """What is under way at time `end`: the rows for this engine, and a list for the others."""
    longest = float(values.delay.max(initial=0.0)), float(values.sensory_delay.max(initial=0.0))
    neurons, inputs = neurons.back_to(end, longest[0]), inputs.back_to(end, longest[1])
    arrays = {"times": neurons.times, "rows": neurons.rows, "input_times": inputs.times, "input_rows": inputs.rows}
    past = []
    lists = ((neurons, values.source, values.delay, 0), (inputs, values.sensory_source, values.sensory_delay, values.units))
    for rows, source, delay, offset in lists:
        for unit in np.unique(source[delay > 0]).tolist():
            level = rows.rows[:, unit]
            new = np.append(True, level[1:] != level[:-1])
            part = np.zeros(int(new.sum()), dtype=PAST_TYPE)
            part["source"], part["age"], part["level"] = unit + offset, -rows.times[new], level[new]
            part["age"][0] = np.inf
            past.append(part)
    return Carried(kind, end, arrays, np.concatenate([np.zeros(0, dtype=PAST_TYPE), *past]))


def _heard_of(values: LTCValues) -> tuple[Any, Any]:
    """(recurrent, sensory) synapses by target."""
    from event_sim.kernels.ltc_delayed import Heard

    result = []
    for side in ("", "sensory_"):
        target = getattr(values, f"{side}target")
        order = np.argsort(target, kind="stable")
        first = np.searchsorted(target[order], np.arange(values.units + 1)).astype(np.int64)
        delay, group = np.unique(getattr(values, f"{side}delay")[order], return_inverse=True)
        weight, sigma, mu, erev = (np.ascontiguousarray(getattr(values, side + name)[order]) for name in ("w", "sigma", "mu", "erev"))
        source, zeros = getattr(values, f"{side}source")[order].astype(np.int64), np.zeros(len(delay), dtype=np.int64)
        rows = (zeros, zeros.copy(), np.zeros(len(delay)))
        result.append(Heard(first, source, group.reshape(-1), weight, sigma, mu, erev, delay, *rows))
    return result[0], result[1]


def _cells_of(values: LTCValues, epsilon: float) -> Any:
    from event_sim.kernels.ltc_delayed import Cells

    order = np.argsort(values.gap_target, kind="stable")
    leak = values.gleak + epsilon + np.bincount(values.gap_target, weights=values.gap_w, minlength=values.units)
    held, held_driven, conductance, driven = (np.zeros(values.units) for _ in range(4))
    gaps = (values.gap_source[order].astype(np.int64), values.gap_w[order])
    first = np.searchsorted(values.gap_target[order], np.arange(values.units + 1)).astype(np.int64)
    capacity = np.array(values.cm)
    sums = (held, held_driven, conductance, driven)
    return Cells(capacity, leak, values.gleak * values.vleak, *sums, first, *gaps, (capacity == 0.0).astype(np.int64))
