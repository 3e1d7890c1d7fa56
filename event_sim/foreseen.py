"""What a run will cost, before it begins: on the clock, and by events.

The clock's cost is known: so many synapse evaluations. That of events is not: it is what neurons send. What is known is when: at the start
and for a while after an input has changed. Neurons of an LTC are taken to follow their inputs as a filter does with the time constant
LINGER. Let d be how far it is behind (the start of a run counts as a change by 1), and q the quantum. Under the exact solver neurons then
send in each model unit STEADY[1] sqrt(d) / q times at order 1 and STEADY[2] sqrt(d / q) times at order 2. Under Fused, where in lanes all
of them cost no more than RATE of the most they can send, they cost sqrt(m / (SWIFT f q)) of that, m: how far the filter moves in the
sample, f: how many synapses a neuron has.

These constants were fitted to runs of networks with ncps' ranges on 12 real streams and rare changes: 82 under Fused (302 and 2,000
neurons, 0.3 to 3.0 times the clock's cost; what events cost is foreseen to 20 % rms, where that is less than 1.7 times the clock's to 32
%), 228 of order 2 and 114 of order 1 (100, 302 and 1,000 neurons; 28 % and 32 % rms). Units of a CfC are taken to be busy for BUSY after
each change.

Prices are nanoseconds; they need to be right to some ten per cent of each other only. `python -m benchmarks.streams --prices` prints those
of an LTC under Fused; those of the exact solver were fitted to runs of 19 to 1,000 neurons, those of a CfC to runs of 19 to 300.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from event_sim import ltc_ways, tolerances
from event_sim.events import FloatArray
from event_sim.plan import ContinuousPlan, SampledPlan
from liquid_neuro.cells import ltc
from liquid_neuro.network import Fused
from liquid_neuro.wiring import Wiring

LINGER = 1.5  # model units
SWIFT = 19.0
RATE = 0.5
STEADY = {1: 0.11, 2: 0.26}
BUSY = 2.5  # samples
TRIED = 1  # intervals between recorded times, in which the exact clock is looked at


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


CACHED, LARGE = 2e4, 3e6
CLOCK = Prices(450e3, 50.0, 100.0, 2.0, 3.0, 0.0, (0.6, 2.2))
CLOCK_EXACT = Prices(600e3, 170.0, 500.0, 2.0, 12.0, 0.0, (0.8, 1.8))
STEP_EXACT = 1500.0  # of the exact clock, beside its neurons and synapses
EVENTS = Prices(700e3, 150.0, 100.0, 1.0, 0.6, 0.0, (4.1, 17.0), 2.0, 1.0)
EVENTS_EXACT = {
    1: Prices(900e3, 140.0, 500.0, 15.0, 0.0, 300.0, (20.0, 60.0), 0.31, 0.31),
    2: Prices(700e3, 80.0, 500.0, 40.0, 0.0, 150.0, (52.0, 120.0), 0.35, 0.35),
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
    """Whether sizes alone tell that the clock takes no longer than events of which there are none."""
    if plan.network.cell == "cfc" or isinstance(plan, ContinuousPlan):
        return False
    assert isinstance(plan.network.solver, Fused)
    wiring, samples, steps = ltc.wiring_of(plan.network), plan.samples, float(plan.samples * plan.network.solver.unfolds)
    recurrent, sensory = wiring.synapse_count + 2 * wiring.gap_count, wiring.sensory_synapse_count
    clock = _fused_clock(wiring, samples, steps, steps * recurrent + float(samples * sensory))
    return clock < (1.0 + EVENTS.companions) * _without_events(EVENTS, recurrent + sensory, samples, wiring.units, steps)


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
    heard, told = (way.heard, way.told) if np.isfinite(way.to_together) else (1.0, way.event)
    at_most = RATE * (recurrent * heard + units * told)  # and in lanes everything costs no more
    busy = steps * operation * float(min(at_most, way.everything if np.isfinite(way.to_lanes) else np.inf))
    inputs = operation * float(np.minimum(changed * way.hearing * heard, way.sensory).sum())
    clock = _fused_clock(wiring, samples, steps, steps * recurrent + float(np.count_nonzero(changed) * sensory))
    until, active = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    known = Foreseen(
        clock, _without_events(EVENTS, size, samples, units, steps), operation, busy, until, active, 1.0 / max(samples, 1),
        EVENTS.companions, EVENTS.lighter,
    )  # fmt: skip
    if known.whole(inputs) > clock:  # no need to look closer
        return known
    until, active = _busy_samples(plan, tolerance * tolerances.FIRST_QUANTUM[1])
    return known._replace(busy=busy + inputs / active[-1] if active[-1] > 0.0 else busy, until=until, active=active)


def _fused_clock(wiring: Wiring, samples: int, steps: float, evaluations: float) -> float:
    """Nanoseconds of a run on the clock with so many synapse evaluations."""
    size = wiring.synapse_count + 2 * wiring.gap_count + wiring.sensory_synapse_count
    return _without_events(CLOCK, size, samples, wiring.units, steps) + price_of(CLOCK, size) * evaluations


def _busy_samples(plan: SampledPlan, quantum: float) -> tuple[FloatArray, FloatArray]:
    """(until, active) of Foreseen under Fused."""
    before = np.concatenate([plan.start.inputs[None], plan.levels[:-1]])[: plan.samples]
    moved, kept = np.abs(plan.levels - before) @ _hearing(plan), np.exp(-plan.timespans / LINGER)
    moved[:1] += 1.0
    wiring = ltc.wiring_of(plan.network)
    fan_in = (wiring.synapse_count + wiring.sensory_synapse_count) / max(wiring.units, 1) or 1.0
    active = np.minimum(np.sqrt((1.0 - kept) * _behind(moved, kept) / (SWIFT * fan_in * quantum)), 1.0)
    samples = max(plan.samples, 1)
    return np.arange(plan.samples + 1) / samples, np.concatenate([[0.0], np.cumsum(active)]) / samples


def _hearing(plan: tolerances.Plan) -> FloatArray:
    """(inputs,) how many synapses of a neuron hear each input, on average over all neurons."""
    wiring = ltc.wiring_of(plan.network)
    return np.bincount(wiring.sensory_source, minlength=wiring.inputs) / max(wiring.units, 1)


def _behind(moved: FloatArray, kept: FloatArray) -> FloatArray:
    """(n,) how far a filter is behind just after each move; so much of that is kept until the next one."""
    result, far = [], 0.0
    for move, share in zip(moved.tolist(), kept.tolist()):
        far += move
        result.append(far)
        far *= share
    return np.array(result)


# --- the exact solver -----------------------------------------------------------------------------------------------------------------


def _exact(plan: ContinuousPlan, tolerance: float, order: int) -> Foreseen:
    wiring, units, length_s = ltc.wiring_of(plan.network), plan.network.units, (plan.end_s - plan.start_s) or 1.0
    recurrent, moments, prices = wiring.synapse_count + 2 * wiring.gap_count, len(plan.record_s), EVENTS_EXACT[order]
    size, steps, unit = recurrent + wiring.sensory_synapse_count, exact_steps(plan, tolerance), plan.network.time_unit_s / length_s
    operation, shares = price_of(prices, size) + prices.event / (recurrent / units or 1.0), (plan.time_s - plan.start_s) / length_s
    quantum = tolerance * tolerances.FIRST_QUANTUM[order]
    busy = operation * recurrent * STEADY[order] / unit / (quantum if order == 1 else float(np.sqrt(quantum)))
    heard_by = np.bincount(wiring.sensory_source, minlength=wiring.inputs)
    clock = _without_events(CLOCK_EXACT, size, moments, units, steps)
    clock += steps * (STEP_EXACT + price_of(CLOCK_EXACT, size) * 2.0 * size)
    return Foreseen(
        clock, _without_events(prices, size, moments, units, steps), operation, busy, *_busy_intervals(plan, shares, unit), unit,
        prices.companions, prices.lighter, np.append(0.0, np.cumsum(heard_by[plan.channel] * price_of(prices, size))), shares,
    )  # fmt: skip


def _busy_intervals(plan: ContinuousPlan, shares: FloatArray, unit: float) -> tuple[FloatArray, FloatArray]:
    """(until, active) of Foreseen under the exact solver: the time over which sqrt(d) is 1, that is its integral."""
    order = np.argsort(plan.channel, kind="stable")
    ordered, own = plan.value[order], plan.channel[order]
    before = np.append(0.0, ordered)[: len(ordered)]
    first = np.append(-1, own)[: len(own)] != own
    before[first] = plan.start.inputs[own[first]]
    moved = np.ones(1 + len(order))
    moved[1 + order] = np.abs(ordered - before) * _hearing(plan)[own]
    until = np.concatenate([[0.0], shares, [1.0]])
    decay = np.exp(-0.5 * np.diff(until) / (LINGER * unit))  # of sqrt(d)
    passed = 2.0 * LINGER * unit * np.sqrt(_behind(moved, decay**2)) * (1.0 - decay)
    return until, np.append(0.0, np.cumsum(passed))


def exact_steps(plan: ContinuousPlan, tolerance: float) -> float:
    """How many steps all passes of the exact clock will take together, by its first intervals; infinite where it cannot run."""
    from event_sim import clocked_exact

    intervals = len(np.union1d(plan.record_s, plan.time_s)) - 1
    end_s = float(plan.record_s[min(TRIED, len(plan.record_s) - 1)])
    recorded, changed = (int(np.searchsorted(times, end_s, side="right")) for times in (plan.record_s, plan.time_s))
    first = plan.shortened(end_s, recorded, changed)
    tried = len(np.union1d(first.record_s, first.time_s)) - 1
    try:
        return clocked_exact.steps_to(first, tolerance) * intervals / max(tried, 1)
    except ValueError:  # messages under way that it does not know of, neurons without inertia in a circle
        return float("inf")


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


def _busy_windows(shares: FloatArray, window: float) -> tuple[FloatArray, FloatArray]:
    """(until, active) of Foreseen where neurons are busy for a window behind the start and every change, at these shares of the run."""
    begin = np.append(0.0, shares)
    end = np.append(shares, 1.0)
    last = np.minimum(begin + window, end)
    active = np.cumsum(last - begin)
    return np.stack([begin, last], axis=1).ravel(), np.stack([np.append(0.0, active[:-1]), active], axis=1).ravel()
