"""What a run will cost, before it begins: on the clock, and by events.

The clock's cost is known: so many synapse evaluations. That of events is not: it is what neurons send. What is known is when: at the start
and for a while after an input has changed. Under Fused, neurons are taken to move at the speed at which a filter with the time constant
LINGER follows the inputs, and to send at RATE of the most they can where that is SWIFT quanta in a sample or more, else in proportion.
These three numbers were fitted to 88 runs of two networks with ncps' ranges (302 and 2,000 neurons) on 13 real streams, which cost 0.3 to
3.9 times the clock; they foresee what is sent to 17 % rms. Under other solvers neurons are taken to be busy for BUSY after each change.

Prices are nanoseconds, measured by `python -m benchmarks.streams --prices`; they need to be right to some ten per cent of each other only.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import numpy as np

from event_sim import ltc_ways, tolerances
from event_sim.events import FloatArray
from event_sim.plan import ContinuousPlan, SampledPlan
from liquid_neuro.cells import ltc
from liquid_neuro.network import Fused

BUSY = 2.5  # samples, or model units under the exact solver
LINGER = 3.0  # model units
SWIFT = 180.0
JUMP = 1.0  # of an input, as which the start of a run counts
RATE = 0.5
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


class Foreseen(NamedTuple):
    """Nanoseconds: of a whole run on the clock, of an event-driven one without any event, of one operation that an engine tells, and of
    neurons that are busy all the time; inputs (n + 1,): of all changes of inputs before the n-th that are not told.

    companions, lighter: see Prices. shares (n,): where in the run (0 to 1) inputs change. until, active: ascending shares of the run, and
    for how much of the run neurons are busy until then. unit: the share of a sample or model unit.
    """

    clock: float
    fixed: float
    operation: float
    busy: float
    until: FloatArray
    active: FloatArray
    unit: float
    companions: float
    lighter: float
    inputs: FloatArray = np.zeros(1)
    shares: FloatArray = np.zeros(0)

    def whole(self, activity: float) -> float:
        """Nanoseconds of a run whose events take so many, with its companions."""
        return (1.0 + self.companions) * self.fixed + (1.0 + self.lighter) * activity

    def active_until(self, share: float) -> float:
        """For how much of the run neurons are busy in the first part of it."""
        return float(np.interp(share, self.until, self.active))

    def of_inputs(self, share: float) -> float:
        """Nanoseconds of the changes of inputs in the first part of the run, where they are not told."""
        return float(self.inputs[np.searchsorted(self.shares, share)])

    @property
    def events(self) -> float:
        """Nanoseconds of an event-driven run and its companions."""
        return self.whole(float(self.inputs[-1]) + self.busy * float(self.active[-1]))


def foreseen(plan: tolerances.Plan, tolerance: float, order: int) -> Foreseen:
    """What a run to the tolerance will cost. order: of its events."""
    if isinstance(plan, ContinuousPlan):
        return _exact(plan, tolerance, order)
    return _fused(plan, tolerance) if plan.network.cell == "ltc" else _cfc(plan)


def is_small(plan: tolerances.Plan) -> bool:
    """Whether sizes alone tell that the clock is done before events have begun."""
    if plan.network.cell == "cfc" or isinstance(plan, ContinuousPlan):
        return False
    assert isinstance(plan.network.solver, Fused)
    wiring, steps = ltc.wiring_of(plan.network), plan.samples * plan.network.solver.unfolds
    size = wiring.synapse_count + wiring.sensory_synapse_count + 2 * wiring.gap_count
    return steps * (wiring.units * CLOCK.step + price_of(CLOCK, size) * size) < EVENTS.companions * EVENTS.setup


def _without_events(prices: Prices, size: int, moments: int, units: int, steps: float) -> float:
    """Nanoseconds of a run of so many samples or intervals and (sub-)steps beside its synaptic operations."""
    return prices.setup + prices.synapse * size + prices.sample * moments + units * (prices.record * moments + prices.step * steps)


# --- an LTC under Fused ---------------------------------------------------------------------------------------------------------------


def _fused(plan: SampledPlan, tolerance: float) -> Foreseen:
    wiring, units, samples, solver = ltc.wiring_of(plan.network), plan.network.units, plan.samples, plan.network.solver
    assert isinstance(solver, Fused)
    recurrent, sensory = wiring.synapse_count + 2 * wiring.gap_count, wiring.sensory_synapse_count
    size, steps, changed = recurrent + sensory, float(samples * solver.unfolds), np.diff(plan.changes[0])
    way, operation = ltc_ways.prices_of(ltc.effective(plan.network)), price_of(EVENTS, size)
    at_most = RATE * (recurrent + units * way.event)  # and in lanes everything costs no more
    busy = steps * operation * float(min(at_most, way.everything if np.isfinite(way.to_lanes) else np.inf))
    inputs = operation * float(np.minimum(changed * way.hearing * way.heard, way.sensory).sum())
    clock = _without_events(CLOCK, size, samples, units, steps)
    clock += price_of(CLOCK, size) * (steps * recurrent + np.count_nonzero(changed) * sensory)
    until, active = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    known = Foreseen(
        clock, _without_events(EVENTS, size, samples, units, steps), operation, busy, until, active, 1.0 / max(samples, 1),
        EVENTS.companions, EVENTS.lighter,
    )  # fmt: skip
    if known.whole(inputs) > clock:  # no need to look closer
        return known
    until, active = _busy_samples(plan, tolerance * tolerances.FIRST_QUANTUM[1])
    return known._replace(busy=busy + inputs / active[-1] if active[-1] > 0.0 else busy, until=until, active=active)


def _busy_samples(plan: SampledPlan, quantum: float) -> tuple[FloatArray, FloatArray]:
    """(until, active) of Foreseen for neurons that follow the inputs with the time constant LINGER."""
    moved, kept = plan.moves.copy(), np.exp(-plan.timespans / LINGER)
    moved[:1] += JUMP
    behind = accumulate(zip(moved.tolist(), kept.tolist()), _follow, initial=(0.0, 1.0))
    distance = moved + np.array([far for far, _ in behind][:-1])
    active, samples = np.minimum((1.0 - kept) * distance / (SWIFT * quantum), 1.0), max(plan.samples, 1)
    return np.arange(plan.samples + 1) / samples, np.concatenate([[0.0], np.cumsum(active)]) / samples


def _follow(before: tuple[float, float], now: tuple[float, float]) -> tuple[float, float]:
    """How far the filter is behind after a sample in which inputs moved; what of it is kept in the next one goes along."""
    return (before[0] + now[0]) * now[1], now[1]


# --- the exact solver -----------------------------------------------------------------------------------------------------------------


def _exact(plan: ContinuousPlan, tolerance: float, order: int) -> Foreseen:
    wiring, units, length_s = ltc.wiring_of(plan.network), plan.network.units, (plan.end_s - plan.start_s) or 1.0
    recurrent, moments, prices = wiring.synapse_count + 2 * wiring.gap_count, len(plan.record_s), EVENTS_EXACT[order]
    size, steps, unit = recurrent + wiring.sensory_synapse_count, exact_steps(plan, tolerance), plan.network.time_unit_s / length_s
    operation, shares = price_of(prices, size) + prices.event / (recurrent / units or 1.0), (plan.time_s - plan.start_s) / length_s
    busy = 0.0
    if order == 2:
        quantum = tolerance * tolerances.FIRST_QUANTUM[2]
        busy = RATE / unit * SECOND_ORDER[0] * float(np.sqrt(SECOND_ORDER[1] / quantum)) * recurrent
    heard_by = np.bincount(wiring.sensory_source, minlength=wiring.inputs)
    clock = _without_events(CLOCK_EXACT, size, moments, units, steps) + price_of(CLOCK_EXACT, size) * 2.0 * steps * size
    return Foreseen(
        clock, _without_events(prices, size, moments, units, steps), operation, busy * operation, *_busy_windows(shares, BUSY * unit), unit,
        prices.companions, prices.lighter, np.append(0.0, np.cumsum(heard_by[plan.channel] * price_of(prices, size))), shares,
    )  # fmt: skip


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


def _busy_windows(shares: FloatArray, window: float) -> tuple[FloatArray, FloatArray]:
    """(until, active) of Foreseen where neurons are busy for a window behind the start and every change, at these shares of the run."""
    begin = np.append(0.0, shares)
    end = np.append(shares, 1.0)
    last = np.minimum(begin + window, end)
    active = np.cumsum(last - begin)
    return np.stack([begin, last], axis=1).ravel(), np.stack([np.append(0.0, active[:-1]), active], axis=1).ravel()


# --- CfC ------------------------------------------------------------------------------------------------------------------------------


def _cfc(plan: SampledPlan) -> Foreseen:
    weights = {name: array for name, array in plan.network.parameters.items() if name.endswith(".weight") and array.ndim == 2}
    stages = {name: array for name, array in weights.items() if not name.startswith(("fc.", "lstm."))}
    of_memory = sum(array.size for name, array in weights.items() if name.startswith("lstm."))
    first_stage = "layer_0." if plan.network.wiring is not None else "backbone.0." if "backbone.0.weight" in weights else ""
    hearing = sum(len(array) for name, array in stages.items() if name.startswith(first_stage))
    products, moments, first_change = sum(array.size for array in stages.values()), plan.samples, plan.changes[0]
    events, clock = price_of(CFC_EVENTS, products), price_of(CFC_CLOCK, products)
    fixed, on_clock = (
        p.setup + moments * (p.sample + plan.network.units * (p.record + p.step) + of_memory * clock) for p in (CFC_EVENTS, CFC_CLOCK)
    )
    unit = 1.0 / max(moments, 1)
    shares = np.repeat(np.arange(float(moments)) * unit, np.diff(first_change))
    return Foreseen(
        on_clock + moments * products * clock, fixed, events, RATE * moments * products * events, *_busy_windows(shares, BUSY * unit), unit,
        CFC_EVENTS.companions, CFC_EVENTS.lighter, np.arange(len(shares) + 1.0) * (hearing * events), shares,
    )  # fmt: skip
