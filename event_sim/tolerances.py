"""Event-driven runs that keep a tolerance, and what is known of a run's error (bounds.py tells how)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from event_sim import bounds, companions, sparse
from event_sim.events import FloatArray
from event_sim.interrupts import Watch, interruptible
from event_sim.ltc_arrays import clocked_operations, fan_out
from event_sim.plan import ContinuousPlan, SampledPlan
from event_sim.recording import Recording
from liquid_neuro.cells import cfc, ltc
from liquid_neuro.network import Fused

Plan = SampledPlan | ContinuousPlan
FIRST_QUANTUM = {1: 0.09, 2: 0.2}  # of the tolerance, by order: what most networks of many neurons with ncps' ranges need
FEW = 0.4  # times that in networks of few neurons, whose companions are trusted less
MEASURED_QUANTUM = 0.5  # of the tolerance, where the error will be measured
RUNS = 3
FINEST = 1 / 400  # of the tolerance
MARGIN = 0.8  # of the tolerance, for which later quanta aim
SHORT = 2e5  # synapse evaluations for which no other kernel is compiled: events with quantum 0 do the same
CHEAP = 5e7  # synapse evaluations on the clock (some 50 ms) that nobody minds
PATIENT = 2e9  # the same (some 1.5 s) where companions leave the error in doubt
PER_OPERATION = 3.0, 30.0  # evaluations that take as long as companions' work for a run's synaptic operation, under Fused and exact
PER_STEP = 2000.0, 16.0, 2.5  # evaluations that take as long as a step of the exact clock, and those of a neuron and a synapse in it
LEAST_STEPS = 14  # of the exact clock per interval: runs of 2, 4 and 8
LIKELY = 10.0  # times as many there will be
EXACT_SHARE = 1 / 8  # of the tolerance, which the exact clock keeps


def to_tolerance(
    plan: Plan,
    tolerance: float,
    order: int,
    progress: bool,
    watch: Watch | None = None,
    worth: Callable[[Recording, float], bool] | None = None,
) -> Recording:
    """An event-driven run whose quanta were chosen for the tolerance; `error_bound` tells what was reached.

    Where a run does not keep it, another one has finer quanta, up to RUNS in all, unless these had to be less than FINEST of the tolerance:
    then the network amplifies so much that the run is as good an answer. watch: of the first run; with it the clock runs beside events only
    where it costs less than they do. worth: whether to make another run, given the last one
    and the factor of its quanta.
    """
    clock = Clock(plan, EXACT_SHARE * tolerance, 0.0 if watch is not None else CHEAP, instead=watch is not None)
    quantum = first_quanta(plan, tolerance, order, clock.cheap)
    run = _told(plan, event_run(plan, quantum, order, progress, watch), order, clock, tolerance)
    for _ in range(RUNS - 1):
        with interruptible() as stopped:
            if stopped() and run.error_bound > tolerance:  # while the error was told: what is finished is kept
                return run.told(interrupted=True)
        in_doubt = clock.instead and run.error_bound_kind in ("box", "none")  # companions of another run may agree
        factor = MARGIN * (1.0 if in_doubt else tolerance / run.error_bound)
        if run.error_bound <= tolerance or run.interrupted or factor * float(quantum.mean()) < FINEST * tolerance:
            break
        if worth is not None and not worth(run, factor):
            break
        quantum = quantum * factor
        finer = event_run(plan, quantum, order, progress)
        if finer.interrupted:
            return run.told(interrupted=True)
        run = _told(plan, finer, order, clock, tolerance)
    return run


def first_quanta(plan: Plan, tolerance: float, order: int, measured: bool) -> FloatArray:
    """(units,) quanta to try first: by what neurons do to each other (sparse.py) in an LTC that is not too large for that."""
    units = plan.network.units
    share = MEASURED_QUANTUM if measured else FIRST_QUANTUM[order] * (1.0 if units >= bounds.MANY else FEW)
    quantum = np.full(units, tolerance * share)
    if plan.network.cell != "ltc":
        return quantum
    values = ltc.effective(plan.network)
    if len(values.w) > sparse.MOST_SHAPED:
        return quantum
    levels = plan.levels if isinstance(plan, SampledPlan) else plan.levels_at(plan.record_s[:: max(len(plan.record_s) // 16, 1)])
    usual = levels.mean(axis=0) if len(levels) else plan.start.inputs
    return quantum * sparse.shape_of_quanta(values, fan_out(values)[:units].astype(np.float64), plan.start.state, usual)


def needs_the_clock(plan: Plan, tolerance: float, order: int) -> bool:
    """Whether a run on the clock will tell the error of an event-driven run to this tolerance: events then cost more than that alone."""
    companions_tell = plan.network.cell == "ltc" and plan.network.units >= bounds.MANY
    if companions_tell or not Clock(plan, EXACT_SHARE * tolerance, 0.0).takes_likely(PATIENT):
        return False
    quantum = np.full(plan.network.units, tolerance * FEW * FIRST_QUANTUM[order])
    return plan.network.cell == "cfc" or _proved(plan, quantum, order)[0] > tolerance


def event_run(plan: Plan, quantum: FloatArray, order: int, progress: bool, watch: Watch | None = None) -> Recording:
    """One event-driven run by the engine of the network's cell and solver; its recording knows nothing of its error."""
    from event_sim import asynchronous, asynchronous_cfc

    if isinstance(plan, ContinuousPlan):
        return asynchronous.run_exact_events(plan, quantum, progress, order, watch)
    run = asynchronous_cfc.run_cfc_events if plan.network.cell == "cfc" else asynchronous.run_fused_events
    return run(plan, quantum, progress, watch)


def with_errors(plan: Plan, run: Recording, order: int, confirm: bool = True) -> Recording:
    """The recording of an event-driven run of the plan with its error bound. confirm: by a run beside it, else by the estimate."""
    clock = Clock(plan, float(run.quantum.max()) / 2.0, CHEAP) if confirm and run.quantum.any() else None
    return _told(plan, run, order, clock, 0.0)


# --- the clock beside events ----------------------------------------------------------------------------------------------------------


class Clock:
    """The clock-driven run of a plan, made at most once, and only where it costs little. tolerance: of the exact solver's.

    cheap: synapse evaluations that may be spent on it whatever the events cost. evaluations: those that it is foreseen to take. instead:
    whether it can run in place of events that leave doubt.
    """

    def __init__(self, plan: Plan, tolerance: float, cheap: float, instead: bool = False) -> None:
        self.plan, self.tolerance, self.most, self.instead = plan, tolerance, cheap, instead
        self._run: Recording | None = None
        self._evaluations: float | None = None
        self._refused = False

    @property
    def cheap(self) -> bool:
        """Whether it costs little whatever the events cost."""
        return self.most > 0.0 and self._takes_at_most(self.most)

    def takes_likely(self, at_most: float) -> bool:
        """Whether it takes at most so many evaluations, as far as sizes alone tell."""
        return self._least() * (1.0 if isinstance(self.plan, SampledPlan) else LIKELY) <= at_most

    def beside(self, run: Recording, at_most: float = 0.0) -> Recording | None:
        """The clock-driven run, where it costs little beside this run of events, or at most so many synapse evaluations; None elsewhere,
        and where it came to no end."""
        by_companions = PER_OPERATION[0 if isinstance(self.plan, SampledPlan) else 1] * run.stored_synaptic_operations
        most = max(self.most, by_companions, at_most)
        if self._run is None and not self._refused and self._takes_at_most(most):
            self._run = self._tried()
            self._refused = self._run is None
        return self._run

    def _takes_at_most(self, evaluations: float) -> bool:
        if self._evaluations is None:
            least = self._least()
            if least > evaluations:
                return False
            self._evaluations = least if isinstance(self.plan, SampledPlan) else self._foreseen(least)
        return self._evaluations <= evaluations

    def _least(self) -> float:
        """Evaluations without which there is no clock-driven run."""
        network = self.plan.network
        if network.cell == "cfc":
            assert isinstance(self.plan, SampledPlan)
            return float(self.plan.samples * sum(array.size for array in network.parameters.values()))
        values = ltc.effective(network)
        if isinstance(self.plan, SampledPlan):
            assert isinstance(network.solver, Fused)
            return float(clocked_operations(values, network.solver.unfolds, self.plan.samples))
        intervals = len(np.union1d(self.plan.record_s, self.plan.time_s)) - 1
        return LEAST_STEPS * intervals * _per_step(values)

    def _foreseen(self, least: float) -> float:
        """Evaluations that the exact clock takes, by its first intervals."""
        from event_sim import foreseen

        assert isinstance(self.plan, ContinuousPlan)
        values = ltc.effective(self.plan.network)
        steps = foreseen.exact_steps(self.plan, self.tolerance)
        return max(least, steps * _per_step(values))

    def _tried(self) -> Recording | None:
        from event_sim import clocked

        if isinstance(self.plan, SampledPlan) and self.plan.network.cell == "ltc" and self._takes_at_most(SHORT):
            run = event_run(self.plan, np.zeros(self.plan.network.units), 1, False)
            return None if run.interrupted else run.told(error_bound=bounds.ROUNDING)
        try:
            run = clocked.run_clocked(self.plan, self.tolerance, False)
        except ValueError:  # no number of steps keeps the tolerance
            return None
        return None if run.interrupted else run


def _per_step(values: ltc.LTCValues) -> float:
    """Evaluations that take as long as a step of the exact clock."""
    return PER_STEP[0] + PER_STEP[1] * values.units + PER_STEP[2] * (len(values.w) + len(values.gap_w))


# --- what is known of an error --------------------------------------------------------------------------------------------------------


def _told(plan: Plan, run: Recording, order: int, clock: Clock | None, enough: float) -> Recording:
    errors = _errors(plan, run, order, clock, enough)
    return run.told(error_bound=errors.bound, error_bound_kind=errors.kind, error_estimate=errors.estimate)


def _errors(plan: Plan, run: Recording, order: int, clock: Clock | None, enough: float) -> bounds.Errors:
    """enough: a bound that needs no better one. clock: None where nothing is to be run beside."""
    quantum = run.quantum
    if not quantum.any():
        return bounds.Errors(bounds.ROUNDING, "rounding", bounds.ROUNDING)
    proved, width = _proved(plan, quantum, order)
    if proved <= max(float(quantum.max()), enough):
        return bounds.Errors(proved, "derived", proved)
    found = None
    if clock is not None and not run.interrupted:
        with interruptible():
            found = _measured(plan, run, order, clock) or _confirmed(plan, run, order, clock)
    if found is None:
        estimate = _estimate(plan, run, order)
        found = bounds.Errors(estimate, "estimate", estimate)
    for bound, kind in ((proved, "derived"), (width, "box")):
        if bound < found.bound:
            found = bounds.Errors(bound, kind, min(bound, found.estimate))
    return found


def _proved(plan: Plan, quantum: FloatArray, order: int) -> tuple[float, float]:
    """(the derived bound of runs with these quanta, the width of the box of states), infinite where there is none."""
    network, start = plan.network, plan.start.state
    if network.cell == "cfc":
        assert isinstance(plan, SampledPlan)
        values, ran = cfc.effective(network), plan.timespans[plan.timespans > 0]
        low, high = bounds.cfc_box(values, start, float(ran.min())) if len(ran) else (start, start)
        proved = float("inf")
    else:
        numbers = ltc.effective(network)
        low, high = bounds.invariant_box(numbers, start)
        proved = bounds.derived(numbers, quantum, low, high, plan.level_range) if order == 1 else float("inf")
    return proved, float((high - low).max()) + bounds.ROUNDING


def _measured(plan: Plan, run: Recording, order: int, clock: Clock, at_most: float = 0.0) -> bounds.Errors | None:
    """The errors by the clock-driven run; None without one (see Clock.beside), or where Ctrl-C ended what else it takes."""
    right = clock.beside(run, at_most)
    if right is None:
        return None
    bound = companions.apart(run, right.state) + right.error_bound * max(1.0, float(np.abs(right.state).max()))
    may_amplify = plan.network.cell == "cfc" or bound > bounds.TRUSTED * float(run.quantum.mean()) or bound < bounds.FINE
    if isinstance(plan, SampledPlan) and may_amplify:  # rounding as well
        nudged = companions.states_of(plan, np.full(plan.network.units, bounds.NUDGE), order, 0)
        if nudged is None:
            return None
        bound += companions.apart(right, nudged)
    return bounds.Errors(bound, "measured", bound)


def _confirmed(plan: Plan, run: Recording, order: int, clock: Clock) -> bounds.Errors | None:
    """The errors by coarse companions, or by the clock where these leave them in doubt; None where Ctrl-C ended that."""
    found = companions.differences(plan, run, order)
    if found is None:
        return None
    if bounds.in_proportion(found, run.quantum, order):
        return bounds.confirmed(found, 0.0, run.quantum, order)
    if clock.instead and clock.takes_likely(PATIENT):
        return bounds.Errors(float("inf"), "none", float("inf"))
    return _measured(plan, run, order, clock, PATIENT) or bounds.confirmed(found, _estimate(plan, run, order), run.quantum, order)


def _estimate(plan: Plan, run: Recording, order: int) -> float:
    """The estimate of first order (bounds.response) over the states of a run."""
    network, quantum, rows = plan.network, run.quantum, bounds.rows_of(max(len(run.state) - 1, 1), plan.network.units)
    state = run.state
    if len(run.state_units):  # most states are gone; the last one is not
        last = run.final.state
        rows = [len(state) - 1]
        state = np.zeros((len(state), network.units))
        state[rows] = last[0] if isinstance(last, tuple) else last
    if isinstance(plan, SampledPlan):
        held = np.concatenate([plan.levels, plan.start.inputs[None]]) if not plan.samples else plan.levels
        held = np.concatenate([held, held[-1:]])
    else:
        held = plan.levels_at(run.state_times_s)
    if network.cell == "cfc":
        assert isinstance(plan, SampledPlan)
        values = cfc.effective(network)
        spans = np.append(plan.timespans, plan.timespans[-1:]) if plan.samples else np.zeros(1)
        rows = rows if network.units <= bounds.MOST_UNITS else []
        return bounds.response(quantum, [bounds.cfc_jacobian(values, state[row], held[row], spans[row]) for row in rows])
    numbers = ltc.effective(network)
    disturbance = quantum if order == 1 else bounds.SECOND_ORDER * quantum
    if network.units <= bounds.MOST_UNITS:
        return bounds.response(disturbance, [bounds.ltc_jacobian(numbers, state[row], held[row]) for row in rows])
    if len(numbers.w) > bounds.MOST_SYNAPSES:
        return bounds.response(disturbance, [])
    return max(sparse.worst_response(sparse.pulls_of(numbers, state[row], held[row]), disturbance) for row in rows)
