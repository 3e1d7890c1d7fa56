"""engine="auto": whether a stream is cheaper by events or on a clock.

The clock's cost is known before a run: so many synapse evaluations. That of events is not: it is what neurons send. What is known is when:
at the start and for a while (BUSY) after an input has changed. Three questions are asked in turn, each only where the one before left it
open, and none of them looks at a wall clock, so that the same input always has the same answer:

1. If neurons send at RATE of the most they can while they are busy, do events cost more than CERTAIN times the clock? Then the clock.
   (An LTC under Fused runs in lanes then, which caps what events cost: ltc_ways.py.)
2. The event-driven run begins. Once it has spent TRIAL of the clock's cost, what is left is foreseen from its rate while busy so far (the
   beginning left out, as soon as more is known).
   Whenever that exceeds the whole clock's cost, the clock runs instead. Otherwise what was done is part of the run: asking costs nothing.
3. Does the run keep the tolerance, or would a finer one that does cost more than the clock? Then the clock.

Prices are nanoseconds, measured by `python -m benchmarks.streams --prices`; they need to be right to some ten per cent of each other only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from event_sim import ltc_ways, tolerances
from event_sim.events import FloatArray
from event_sim.plan import ContinuousPlan, SampledPlan
from event_sim.recording import CurvedSegments, Recording
from liquid_neuro.cells import ltc
from liquid_neuro.network import Fused

TRIAL = 0.04
BEGINNING = 4.0  # such windows of a run
BUSY = 2.5  # samples, or model units under the exact solver
RATE = 0.5
CERTAIN = 1.25
SECOND_ORDER = 60.0, 2.5e-5  # sub-steps' worth of events of second order that a busy neuron sends per model unit, at this quantum
PASSES = 2.0  # what all runs of the exact clock cost together, in last runs
TRIAL_INTERVALS = 32  # one of so many intervals is run on the exact clock to see how many steps it needs
UNTRIED_STEPS = 60.0  # per interval or model unit, where there are fewer


class Prices(NamedTuple):
    """Nanoseconds: of the set-up and per synapse of it, per sample or interval, per neuron and recorded time, per neuron and (sub-)step,
    per event, and per synaptic operation in networks of up to CACHED and of LARGE synapses (its logarithm is interpolated in between).

    companions, lighter: what the coarse companions of a run cost: so many times what it costs without any event, and what its events do.
    """

    setup: float
    synapse: float
    sample: float
    record: float
    step: float
    event: float
    operation: tuple[float, float]
    companions: float = 0.0
    lighter: float = 0.0


CACHED, LARGE = 3e4, 3e6
CLOCK = Prices(450e3, 50.0, 100.0, 2.0, 3.0, 0.0, (0.6, 1.5))
CLOCK_EXACT = Prices(600e3, 170.0, 500.0, 2.0, 25.0, 0.0, (1.8, 3.0))
EVENTS = Prices(700e3, 150.0, 100.0, 1.0, 0.9, 0.0, (4.3, 25.0), 2.0, 1.0)
EVENTS_EXACT = {
    1: Prices(900e3, 140.0, 500.0, 15.0, 0.0, 300.0, (20.0, 60.0), 0.31, 0.31),
    2: Prices(900e3, 160.0, 500.0, 40.0, 0.0, 300.0, (55.0, 120.0), 0.35, 0.35),
}
CFC_CLOCK = Prices(500e3, 0.0, 500.0, 2.0, 80.0, 0.0, (0.6, 1.0))
CFC_EVENTS = Prices(700e3, 0.0, 500.0, 2.0, 80.0, 0.0, (0.7, 1.2), 1.0, 1.0)


def price_of(prices: Prices, synapses: int) -> float:
    """Nanoseconds of one synaptic operation in a network of so many synapses."""
    share = np.clip(np.log(max(synapses, 1) / CACHED) / np.log(LARGE / CACHED), 0.0, 1.0)
    return float(prices.operation[0] ** (1.0 - share) * prices.operation[1] ** share)


def run_chosen(plan: tolerances.Plan, tolerance: float, order: int, progress: bool) -> Recording:
    """The recording of the cheaper engine; `engine_reason` tells why. order: of the events."""
    if _small(plan):
        return _clocked(plan, tolerance, order, progress, "the clock takes less time than it takes to begin with events")
    foreseen = _foreseen_ltc(plan, order, tolerance) if plan.network.cell == "ltc" else _foreseen_cfc(plan)
    clock = _ms(foreseen.clock)
    if foreseen.whole(0.0) > foreseen.clock:
        return _clocked(plan, tolerance, order, progress, f"the clock, about {clock}, takes less time than it takes to begin with events")
    if foreseen.events > CERTAIN * foreseen.clock:
        reason = f"events were foreseen to take about {_ms(foreseen.events)}, the clock about {clock}"
        return _clocked(plan, tolerance, order, progress, reason)
    watch = _Watch(foreseen)
    run = tolerances.to_tolerance(plan, tolerance, order, progress, watch.go_on, watch.worth_it)
    if watch.gave_up_at is not None:
        reason = f"after {watch.gave_up_at:.0%} of the run, events were foreseen to take longer than the clock, about {clock}"
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


def _small(plan: tolerances.Plan) -> bool:
    """Whether sizes alone tell that the clock is done before events have begun."""
    if plan.network.cell == "cfc" or isinstance(plan, ContinuousPlan):
        return False
    assert isinstance(plan.network.solver, Fused)
    wiring, steps = ltc.wiring_of(plan.network), plan.samples * plan.network.solver.unfolds
    size = wiring.synapse_count + wiring.sensory_synapse_count + 2 * wiring.gap_count
    return steps * (wiring.units * CLOCK.step + price_of(CLOCK, size) * size) < EVENTS.companions * EVENTS.setup


class _Foreseen(NamedTuple):
    """Nanoseconds: of a whole run on the clock, of an event-driven one without any event, of one operation that an engine tells, and of
    neurons that are busy all the time, if RATE holds; inputs (n + 1,): of all changes of inputs before the n-th.

    companions, lighter: see Prices. shares (n,): where in the run (0 to 1) inputs change; window: for how much of it neurons are busy then.
    """

    clock: float
    fixed: float
    operation: float
    busy: float
    inputs: FloatArray
    shares: FloatArray
    window: float
    companions: float
    lighter: float

    def whole(self, activity: float) -> float:
        """Nanoseconds of a run whose events take so many, with its companions."""
        return (1.0 + self.companions) * self.fixed + (1.0 + self.lighter) * activity

    def active(self, share: float) -> float:
        """How much of the first part of the run neurons are busy."""
        starts = np.concatenate([[0.0], self.shares[self.shares < share]])
        lengths = np.minimum(np.diff(np.append(starts, share)), self.window)
        return float(np.maximum(lengths, 0.0).sum())

    def of_inputs(self, share: float) -> float:
        """Nanoseconds of the changes of inputs in the first part of the run."""
        return float(self.inputs[np.searchsorted(self.shares, share)])

    @property
    def events(self) -> float:
        """Nanoseconds of an event-driven run and its companion, if RATE holds."""
        return self.whole(float(self.inputs[-1]) + self.busy * self.active(1.0))


class _Watch:
    """Decides whether to go on with events. gave_up_at: the share of the run at which it did not; activity: nanoseconds that all events
    of the run were last foreseen to take; begun: how much of the run was busy, and its nanoseconds, when the beginning was over, which
    tells little of what follows: neurons then come from anywhere."""

    def __init__(self, foreseen: _Foreseen) -> None:
        self.foreseen = foreseen
        self.gave_up_at: float | None = None
        self.activity = 0.0
        self.begun: tuple[float, float] | None = None

    def go_on(self, share: float, operations: float) -> bool:
        """Whether what is left of a run that did so many operations is worth while."""
        f = self.foreseen
        spent, inputs, active = operations * f.operation, f.of_inputs(share), f.active(share)
        if self.begun is None and share >= BEGINNING * f.window:
            self.begun = active, spent
        so_far = (1.0 + f.lighter) * (spent + inputs) / f.clock
        if so_far < TRIAL:
            return True
        rate, known = spent / active, 0.0 if self.begun is None else active - self.begun[0]
        if self.begun is not None and known > f.window:
            rate = (spent - self.begun[1]) / known
        elif so_far < 2.0 * TRIAL:
            return True
        left = float(f.inputs[-1]) - inputs + rate * (f.active(1.0) - active)
        self.activity = spent + inputs + left
        if left + f.companions * f.fixed + f.lighter * self.activity <= f.clock:
            return True
        self.gave_up_at = share
        return False

    def worth_it(self, run: Recording, factor: float) -> bool:
        """Whether a run with a quantum that is finer by this factor is cheaper than the clock."""
        f = self.foreseen
        finer = factor if run.output_segments == () or not isinstance(run.output_segments[0], CurvedSegments) else np.sqrt(factor)
        return f.whole(max(run.stored_synaptic_operations * f.operation, self.activity) / float(finer)) < f.clock


def _foreseen_ltc(plan: tolerances.Plan, order: int, tolerance: float) -> _Foreseen:
    wiring, units = ltc.wiring_of(plan.network), plan.network.units
    recurrent, sensory, busy = wiring.synapse_count + 2 * wiring.gap_count, wiring.sensory_synapse_count, 0.0
    fan_out = recurrent / units or 1.0
    size = recurrent + sensory
    if isinstance(plan, SampledPlan):
        assert isinstance(plan.network.solver, Fused)
        changing = np.flatnonzero(np.diff(plan.changes[0]))
        prices, clock, moments = EVENTS, CLOCK, plan.samples
        steps = float(plan.samples * plan.network.solver.unfolds)
        evaluations = steps * recurrent + len(changing) * sensory
        way = ltc_ways.prices_of(ltc.effective(plan.network))
        busy = RATE * (recurrent + units * way.event)  # and what is done together costs little more
        busy, operation = steps * min(busy, np.inf if np.isinf(way.to_lanes) else way.everything), price_of(prices, size)
        of_inputs = np.zeros(len(changing))  # what this engine tells to have spent holds its inputs
        shares, window = changing / max(plan.samples, 1), BUSY / max(plan.samples, 1)
    else:
        prices, clock, moments = EVENTS_EXACT[order], CLOCK_EXACT, len(plan.record_s)
        steps = exact_steps(plan, tolerance)
        evaluations = 2.0 * steps * size
        length_s = (plan.end_s - plan.start_s) or 1.0
        shares, window = (plan.time_s - plan.start_s) / length_s, BUSY * plan.network.time_unit_s / length_s
        if order == 2:
            quantum = tolerance * tolerances.FIRST_QUANTUM[2]
            busy = RATE * length_s / plan.network.time_unit_s * SECOND_ORDER[0] * float(np.sqrt(SECOND_ORDER[1] / quantum)) * recurrent
        operation = price_of(prices, size) + prices.event / fan_out
        heard_by = np.bincount(wiring.sensory_source, minlength=wiring.inputs)
        of_inputs = np.multiply(heard_by[plan.channel], price_of(prices, size), dtype=np.float64)
    fixed, on_clock = (
        p.setup + p.synapse * size + p.sample * moments + units * (p.record * moments + p.step * steps) for p in (prices, clock)
    )
    return _Foreseen(
        clock=on_clock + price_of(clock, size) * evaluations,
        fixed=fixed,
        operation=operation,
        busy=busy * operation,
        inputs=np.concatenate([[0.0], np.cumsum(of_inputs)]),
        shares=shares,
        window=window,
        companions=prices.companions,
        lighter=prices.lighter,
    )


def exact_steps(plan: ContinuousPlan, tolerance: float) -> float:
    """How many steps all runs of the exact clock will take together, by trying the first part of the run; infinite out of its reach."""
    from event_sim import clocked_exact

    intervals = len(np.union1d(plan.record_s, plan.time_s)) - 1
    if intervals < TRIAL_INTERVALS:
        return UNTRIED_STEPS * max(intervals, (plan.end_s - plan.start_s) / plan.network.time_unit_s)
    end_s = float(plan.record_s[max(len(plan.record_s) // TRIAL_INTERVALS, 1)])
    recorded, changed = (int(np.searchsorted(times, end_s, side="right")) for times in (plan.record_s, plan.time_s))
    trial = plan.shortened(end_s, recorded, changed)
    values = ltc.effective(plan.network)
    try:
        run = clocked_exact.run_exact_clock(trial, tolerance, False)
    except ValueError:
        return float("inf")
    tried = len(np.union1d(trial.record_s, trial.time_s)) - 1
    steps = run.clocked_synaptic_operations / max(2 * (len(values.w) + len(values.gap_w)) + len(values.sensory_w), 1)
    return PASSES * steps * intervals / max(tried, 1)


def _foreseen_cfc(plan: tolerances.Plan) -> _Foreseen:
    assert isinstance(plan, SampledPlan)
    weights = {name: array for name, array in plan.network.parameters.items() if name.endswith(".weight") and array.ndim == 2}
    stages = {name: array for name, array in weights.items() if not name.startswith(("fc.", "lstm."))}
    of_memory = sum(array.size for name, array in weights.items() if name.startswith("lstm."))
    first_stage = "layer_0." if plan.network.wiring is not None else "backbone.0." if "backbone.0.weight" in weights else ""
    hearing = sum(len(array) for name, array in stages.items() if name.startswith(first_stage))
    products, moments, first_change, channel = sum(array.size for array in stages.values()), plan.samples, *plan.changes[:2]
    events, clock = price_of(CFC_EVENTS, products), price_of(CFC_CLOCK, products)
    fixed, on_clock = (
        p.setup + moments * (p.sample + plan.network.units * (p.record + p.step) + of_memory * clock) for p in (CFC_EVENTS, CFC_CLOCK)
    )
    return _Foreseen(
        clock=on_clock + moments * products * clock,
        fixed=fixed,
        operation=events,
        busy=RATE * moments * products * events,
        inputs=np.asarray(np.arange(len(channel) + 1) * (hearing * events), dtype=np.float64),
        shares=np.repeat(np.arange(moments), np.diff(first_change)) / max(moments, 1),
        window=BUSY / max(moments, 1),
        companions=CFC_EVENTS.companions,
        lighter=CFC_EVENTS.lighter,
    )
