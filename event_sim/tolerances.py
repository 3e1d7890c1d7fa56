"""Event-driven runs that keep a tolerance, and what is known of a run's error (bounds.py tells how)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from event_sim import bounds
from event_sim.events import FloatArray
from event_sim.interrupts import Watch, interruptible
from event_sim.plan import ContinuousPlan, SampledPlan
from event_sim.recording import Recording
from liquid_neuro.cells import cfc, ltc

Plan = SampledPlan | ContinuousPlan
FIRST_QUANTUM = {1: 1 / 20, 2: 1 / 40}  # of the tolerance, by order: what most networks with ncps' ranges need
FINEST = 0.05  # of the first quantum
MARGIN = 0.8  # of the tolerance, for which later quanta aim
SEED = 20160  # of the moves


def to_tolerance(
    plan: Plan,
    tolerance: float,
    order: int,
    progress: bool,
    watch: Watch | None = None,
    worth: Callable[[Recording, float], bool] | None = None,
) -> Recording:
    """An event-driven run whose quantum was chosen for the tolerance; `error_bound` tells what was reached.

    Where the first run does not keep it, a second one has a finer quantum, unless that had to be more than 20 times finer: then the network
    amplifies so much that the first run is as good an answer. watch: of the first run. worth: whether to make the second run, given the
    first one and the factor of its quantum.
    """
    quantum = np.full(plan.network.units, tolerance * FIRST_QUANTUM[order])
    run = with_errors(plan, event_run(plan, quantum, order, progress, watch), order)
    if run.error_bound <= tolerance or run.interrupted:
        return run
    factor = MARGIN * tolerance / run.error_bound
    if factor < FINEST or (worth is not None and not worth(run, factor)):
        return run
    return with_errors(plan, event_run(plan, quantum * factor, order, progress), order)


def event_run(plan: Plan, quantum: FloatArray, order: int, progress: bool, watch: Watch | None = None) -> Recording:
    """One event-driven run by the engine of the network's cell and solver; its recording knows nothing of its error."""
    from event_sim import asynchronous, asynchronous_cfc

    if isinstance(plan, ContinuousPlan):
        return asynchronous.run_exact_events(plan, quantum, progress, order, watch)
    run = asynchronous_cfc.run_cfc_events if plan.network.cell == "cfc" else asynchronous.run_fused_events
    return run(plan, quantum, progress, watch)


def with_errors(plan: Plan, run: Recording, order: int, confirm: bool = True) -> Recording:
    """The recording of an event-driven run of the plan with its error bound. confirm: by a coarse companion, else by the estimate."""
    errors = _errors(plan, run, order, confirm)
    return run.told(error_bound=errors.bound, error_bound_kind=errors.kind, error_estimate=errors.estimate)


def _errors(plan: Plan, run: Recording, order: int, confirm: bool) -> bounds.Errors:
    network, quantum = plan.network, run.quantum
    if not quantum.any():
        return bounds.Errors(bounds.ROUNDING, "rounding", bounds.ROUNDING)
    start = plan.start.state
    if network.cell == "cfc":
        assert isinstance(plan, SampledPlan)
        values, ran = cfc.effective(network), plan.timespans[plan.timespans > 0]
        low, high = bounds.cfc_box(values, start, float(ran.min())) if len(ran) else (start, start)
        proved = float("inf")
    else:
        numbers = ltc.effective(network)
        low, high = bounds.invariant_box(numbers, start)
        proved = bounds.derived(numbers, quantum, low, high, *plan.level_range()) if order == 1 else float("inf")
    width = float((high - low).max()) + bounds.ROUNDING
    if proved <= float(quantum.max()):
        return bounds.Errors(proved, "derived", proved)
    estimate = _estimate(plan, run, order)
    difference = _difference(plan, run, order) if confirm and not run.interrupted else None
    found = bounds.Errors(estimate, "estimate", estimate)
    if difference is not None:
        found = bounds.confirmed(difference, estimate, quantum, order)
    for bound, kind in ((proved, "derived"), (width, "box")):
        if bound < found.bound:
            found = bounds.Errors(bound, kind, min(bound, found.estimate))
    return found


def _estimate(plan: Plan, run: Recording, order: int) -> float:
    """The estimate of first order (bounds.response) over the states of a run."""
    network, quantum, rows = plan.network, run.quantum, bounds.rows_of(max(len(run.state) - 1, 1), plan.network.units)
    state = run.state
    if len(run.state_units):  # most states are gone; the last one is not
        last = run.final.state
        state, rows = np.zeros((len(state), network.units)), rows[-1:]
        state[rows] = last[0] if isinstance(last, tuple) else last
    if isinstance(plan, SampledPlan):
        held = np.concatenate([plan.levels, plan.start.inputs[None]]) if not plan.samples else plan.levels
    else:
        held = plan.levels_at(run.state_times_s)
    if network.cell == "cfc":
        assert isinstance(plan, SampledPlan)
        values = cfc.effective(network)
        spans = plan.timespans if plan.samples else np.zeros(1)
        return bounds.response(quantum, [bounds.cfc_jacobian(values, state[row], held[row], spans[row]) for row in rows])
    numbers = ltc.effective(network)
    disturbance = quantum if order == 1 else bounds.SECOND_ORDER * quantum
    return bounds.response(disturbance, [bounds.ltc_jacobian(numbers, state[row], held[row]) for row in rows])


# --- the coarse companion -------------------------------------------------------------------------------------------------------------


def _difference(plan: Plan, run: Recording, order: int) -> float | None:
    """The largest difference of a run's states to those of its companion; None where Ctrl-C ended that."""
    quantum, draw = bounds.COARSER[order] * run.quantum, np.random.default_rng(SEED)
    with interruptible() as stopped:
        if isinstance(plan, ContinuousPlan):
            states = _continuous(plan, quantum, order, draw, stopped)
        else:
            states = _sampled(plan, quantum, draw, stopped)
    if states is None:
        return None
    written = states[:, run.state_units] if len(run.state_units) and states.shape[1] != run.state.shape[1] else states
    return float(np.abs(written - run.state)[1:].max(initial=0.0))


def _sampled(plan: SampledPlan, quantum: FloatArray, draw: np.random.Generator, stopped: Callable[[], bool]) -> FloatArray | None:
    """(K + 1, units or columns): the states of the companion, moved by its quantum at KICKS samples."""
    from event_sim.cfc_machine import CfCMachine
    from event_sim.ltc_machines import FusedMachine

    machine = (CfCMachine if plan.network.cell == "cfc" else FusedMachine)(plan.network, quantum, plan.start)
    columns = np.arange(plan.network.units) if isinstance(machine, CfCMachine) else plan.kept.columns
    states = np.empty((plan.samples + 1, len(columns)))
    states[0] = plan.start.state[columns]
    edges = np.unique(np.linspace(0, plan.samples, min(bounds.KICKS, max(plan.samples, 1)) + 1).astype(int))
    for begin, end in pairwise(edges.tolist()):
        if stopped():
            return None
        moved: Any  # records with a value and a quantum
        if isinstance(machine, CfCMachine):
            moved = machine.arrays.signals[plan.network.inputs :]
        else:
            moved, machine.progress["step"] = machine.neurons, 0.0  # another step: all neurons are looked at
        moved["value"] += moved["quantum"] * draw.choice([-1.0, 1.0], len(moved))
        here = slice(begin, end)
        rows = plan.boundaries_s[begin : end + 1], plan.lengths_s[here], plan.timespans[here], plan.levels[here]
        if isinstance(machine, CfCMachine):
            machine.run(*rows, states[begin : end + 1])
        else:
            machine.run(*rows, states[begin : end + 1], columns)
    return states


def _continuous(
    plan: ContinuousPlan, quantum: FloatArray, order: int, draw: np.random.Generator, stopped: Callable[[], bool]
) -> FloatArray | None:
    """(n, columns): the states of the companion at the recorded times, moved by its quantum at the start."""
    from event_sim.kernels.ltc_exact import BEGIN
    from event_sim.ltc_machines import ExactMachine

    unit_s, count = plan.network.time_unit_s, plan.network.units
    machine = ExactMachine(plan.network, quantum, plan.start, plan.start_s, order=order, length_s=plan.end_s - plan.start_s)
    machine.neurons["value"] += quantum * draw.choice([-1.0, 1.0], count)
    machine.progress["phase"] = BEGIN  # all neurons are looked at
    changes = machine.changes(plan.time_s, plan.channel, plan.value, plan.start.inputs)
    record, columns = plan.record_s / unit_s, plan.kept.columns
    states = np.empty((len(record), len(columns)))
    begin, end = machine.begin, plan.end_s / unit_s
    for part in range(1, bounds.KICKS + 1):
        if stopped():
            return None
        to = end if part == bounds.KICKS else begin + (end - begin) * (part / bounds.KICKS)
        machine.run(to, changes, record, states, columns)
        machine.clear()
    return states
