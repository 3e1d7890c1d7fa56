"""engine="auto": whether a stream is cheaper by events or on a clock.

Where only a clock-driven run would tell the error of an event-driven one, the clock is taken. Else three questions are asked in turn, each
only where the one before left it open, and none of them looks at a wall clock, so that the same input always has the same answer:

1. What either costs is foreseen (foreseen.py). Do events cost more than CERTAIN times the clock, as far as can be foreseen? Then the clock.
2. The event-driven run begins. Once it has spent TRIAL of the clock's cost, what is left is foreseen from its rate while busy so far (the
   beginning left out, which tells little of what follows: neurons then come from anywhere), in which the rate that was assumed before
   counts for SURE samples. Whenever that exceeds DEARER times the whole clock's cost, the clock runs instead. Otherwise what was done is
   part of the run: asking costs nothing.
3. Does the run keep the tolerance, or would a finer one that does cost more than the clock? Then the clock.
"""

from __future__ import annotations

import numpy as np

from event_sim import foreseen, tolerances
from event_sim.interrupts import Watch
from event_sim.recording import CurvedSegments, Recording

CERTAIN = 2.0
TRIAL = 0.04
BEGINNING = 8.0  # samples, or model units under the exact solver
SURE = 24.0
DEARER = 1.1


def run_chosen(plan: tolerances.Plan, tolerance: float, order: int, progress: bool) -> Recording:
    """The recording of the cheaper engine; `engine_reason` tells why. order: of the events."""
    if foreseen.is_small(plan):
        return _clocked(plan, tolerance, order, progress, "the clock takes less time than it takes to begin with events")
    if tolerances.needs_the_clock(plan, tolerance, order):
        return _clocked(plan, tolerance, order, progress, "the clock would have to run beside events to tell their error")
    cost = foreseen.foreseen(plan, tolerance, order)
    clock = _ms(cost.clock)
    if cost.whole(0.0) > cost.clock:
        return _clocked(plan, tolerance, order, progress, f"the clock, about {clock}, takes less time than it takes to begin with events")
    if cost.events > CERTAIN * cost.clock:
        reason = f"events were foreseen to take about {_ms(cost.events)}, the clock about {clock}"
        return _clocked(plan, tolerance, order, progress, reason)
    watch = _Watch(cost)
    try:
        run = tolerances.to_tolerance(plan, tolerance, order, progress, Watch(watch.look, watch.every), watch.worth_it)
    except _TooDear as given_up:
        reason = f"after {given_up.args[0]:.0%} of the run, events were foreseen to take longer than the clock, about {clock}"
        return _clocked(plan, tolerance, order, progress, reason)
    if run.error_bound > tolerance and not run.interrupted:
        reason = f"events that keep the tolerance would take longer than the clock, about {clock}, or are out of reach"
        return _clocked(plan, tolerance, order, progress, reason)
    share = run.stored_synaptic_operations / max(run.clocked_synaptic_operations, 1)
    return run.told(engine_reason=f"events needed {share:.2%} of the clock's synapse evaluations; the clock would take about {clock}")


def _clocked(plan: tolerances.Plan, tolerance: float, order: int, progress: bool, reason: str) -> Recording:
    """The clock-driven run; the event-driven one where no number of steps keeps the tolerance."""
    from event_sim import clocked

    try:
        return clocked.run_clocked(plan, tolerance, progress).told(engine_reason=reason)
    except ValueError as refused:
        return tolerances.to_tolerance(plan, tolerance, order, progress).told(engine_reason=f"the clock cannot run this: {refused}")


def _ms(ns: float) -> str:
    return f"{ns / 1e6:.2g} ms"


class _TooDear(Exception):
    """Ends an event-driven run for which the clock is to run instead; with the share of it that was done."""


class _Watch:
    """Decides whether to go on with events. activity: nanoseconds that all events of the run were last foreseen to take; begun: how much of
    the run was busy, and its nanoseconds, when the beginning was over, which tells little of what follows: neurons then come from anywhere.
    """

    def __init__(self, cost: foreseen.Foreseen) -> None:
        self.cost = cost
        self.activity = 0.0
        self.begun: tuple[float, float] | None = None

    @property
    def every(self) -> float:
        """After how many operations to look: they take a TRIAL of the clock's cost."""
        return TRIAL * self.cost.clock / (1.0 + self.cost.lighter) / self.cost.operation

    def look(self, share: float, operations: float) -> None:
        """End a run that did so many operations where what is left of it is not worth while."""
        cost = self.cost
        spent, inputs, active = operations * cost.operation, cost.of_inputs(share), cost.active_until(share)
        if self.begun is None:
            self.begun = (active, spent) if share >= BEGINNING * cost.unit else None
        if self.begun is None or (1.0 + cost.lighter) * (spent + inputs) < TRIAL * cost.clock:
            return
        sure, known = SURE * cost.unit if cost.busy > 0.0 else 0.0, active - self.begun[0]
        if sure + known > 0.0:
            rate = (sure * cost.busy + spent - self.begun[1]) / (sure + known)
            left = float(cost.inputs[-1]) - inputs + rate * (float(cost.active[-1]) - active)
            self.activity = spent + inputs + left
            if left + cost.companions * cost.fixed + cost.lighter * self.activity > DEARER * cost.clock:
                raise _TooDear(share)

    def worth_it(self, run: Recording, factor: float) -> bool:
        """Whether a run with a quantum that is finer by this factor is cheaper than the clock."""
        finer = factor if run.output_segments == () or not isinstance(run.output_segments[0], CurvedSegments) else np.sqrt(factor)
        activity = max(run.stored_synaptic_operations * self.cost.operation, self.activity)
        return self.cost.whole(activity / float(finer)) < self.cost.clock
