"""Coarse companions of an event-driven run: the same plan with a multiple of its quantum, and states moved on the way (see bounds.py)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from event_sim import bounds
from event_sim.events import FloatArray
from event_sim.interrupts import interruptible
from event_sim.plan import ContinuousPlan, SampledPlan
from event_sim.recording import Recording

SEED = 20160  # of the moves


def differences(plan: SampledPlan | ContinuousPlan, run: Recording, order: int) -> list[float] | None:
    """The largest differences of a run's states to those of its companions, one for each ratio of quanta; None where Ctrl-C ended that."""
    found = []
    for number, ratio in enumerate(bounds.ratios(plan.network.cell, order)):
        states = states_of(plan, ratio * run.quantum, order, number)
        if states is None:
            return None
        found.append(apart(run, states))
    return found


def states_of(plan: SampledPlan | ContinuousPlan, quantum: FloatArray, order: int, number: int) -> FloatArray | None:
    """(times, units or columns): the states of an event-driven run with this quantum that is moved by it; None where Ctrl-C ended it.

    number: of the draw of the moves.
    """
    draw = np.random.default_rng(SEED + number)
    with interruptible() as stopped:
        if isinstance(plan, ContinuousPlan):
            return _continuous(plan, quantum, order, draw, stopped)
        return _sampled(plan, quantum, draw, stopped)


def apart(run: Recording, states: FloatArray) -> float:
    """The largest difference of a run's recorded states to others: (times, units) of all units, or of those whose states the run has."""
    from event_sim.kernels.response import largest_difference

    written = states[:, run.state_units] if len(run.state_units) and states.shape[1] != run.state.shape[1] else states
    return float(largest_difference(written[1:], run.state[1:]))


def _sampled(plan: SampledPlan, quantum: FloatArray, draw: np.random.Generator, stopped: Callable[[], bool]) -> FloatArray | None:
    """(K + 1, units or columns): the states of a companion, moved by its quantum at KICKS samples."""
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
    """(n, columns): the states of a companion at the recorded times, moved by its quantum at the start."""
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
