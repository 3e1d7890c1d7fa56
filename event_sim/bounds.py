"""How far an event-driven run can be from its network's own solver run without quantum.

Derived bound. Let e be the error of the states and q = v + d what neurons last sent, |d| <= quantum. Subtracting the two equations,

    cm e' = -g e + sum_j w_j (sigmoid(sigma_j (q_j - mu_j)) - sigmoid(sigma_j (v*_j - mu_j))) (erev_j - v*) + sum_j gap_w_j (q_j - v*_j),

where v* is the run without quantum and g >= g_min the sum of conductances. With L_ij = w (steepest slope of the sigmoid over the box of
states) (largest |erev - v*| over the box), and gap_w for gap junctions, any E with g_min E >= L (E + quantum) bounds |e| for all times, by
comparison (Halanay's inequality where synapses have delays); the same holds for the sub-steps of Fused, which are convex combinations. The
smallest such E is the limit of E <- L (E + quantum) / g_min from 0, where that converges. Most networks amplify too much for that.

Box. Every update is a convex combination of the state, vleak, the reversal potentials and the states across gap junctions, so that all
states stay in a box; a CfC's heads leave one too. No error is larger than the box.

Measured bound. The clock-driven run of the same plan is the run without quantum, but for rounding under Fused and of a CfC, and but for its
own bound, to a fraction of the tolerance, under the exact solver. The largest difference of the two at the recorded times (on a sample
clock all times there are) plus the clock's own bound cannot be exceeded there, as far as the clock's own holds: that of the exact solver is
an estimate (clocked_exact.py). Between recorded times nothing is claimed. Networks may amplify rounding too: of a CfC, and where the
difference is large or less than FINE, that of the clock to an event-driven run with a quantum of NUDGE is added. Taken where the clock
costs little beside the run, or little at all (tolerances.py).

Confirmed bound, where the clock costs too much. Further runs have COARSER and COARSER^2 times the quantum, and all states or messages are
moved by it, in random directions, KICKS times on the way (once, at the start, under the exact solver): without that two runs can agree
because what either leaves unsent (an instability about to grow) is the same. With the error in proportion to the quantum, the run differs
from them by COARSER - 1 and COARSER^2 - 1 times its error, and the second difference is COARSER + 1 times the first. Where it is about
that, gain = first / coarse quantum is small, and the network has so many neurons that the largest difference of them all is no matter of
luck,

    bound = SAFETY first / (COARSER - 1).

Else the clock runs after all and tells the measured bound, unless that took more than PATIENT (tolerances.py). Then nothing but the sizes
of differences is believed. Where errors grow in proportion to what causes them at all, the run itself is nearer to the truth than it is to
a companion; gain tells how far this may be trusted:

    bound = max(CAUTION first (1 + (gain / TRUSTED)^2), CAUTION second / (COARSER + 1), estimate), or the box where that is smaller,

with STUCK times the first term where the second difference is hardly larger than the first. This is no proof: a run and its companions can
take the same wrong way where the network decides between two.

Held against the sampled reference, under the exact solver against SciPy, on networks never looked at before, with weights and slopes up to
8 times ncps' ranges, each with a random quantum and to a random tolerance: with the clock as cheap as it is, none of 16,000 runs of 8,000
networks exceeded its bound (Fused 2,000, CfC wired 2,000 and with a backbone 2,000, exact 1,000 at order 1 and 1,000 at order 2). With
companions alone, none of 6,355 runs whose errors were in proportion (64 to 200 neurons; the largest was 0.76 of its bound, the bound 7
times the error in the median); in doubt, where the clock runs up to PATIENT, 1 of 13,598 (by 1.4 times; Fused 5,443 large and 3,749 small,
CfC 4,406). It is no proof: among the networks that the rules were settled on (three quanta each, up to 0.05), 2 of 1,000 small ones under
Fused and 2 of 268 under the exact solver miss their confirmed bound in doubt, by up to 2.9 times.

Estimate, alone for live streams and where no second run is wanted. With J the derivative of v_inf (of a CfC: of the new state) by what
neurons sent, a constant d moves a resting network by (I - J)^-1 J d, to first order. The estimate is the worst case over the signs of d,
|(I - J)^-1 J| quantum + quantum, at its largest over states that the run went through. In large networks (sparse.py) the worst signs
are sought for, not known. Networks that amplify miss it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Real
from typing import NamedTuple

import numpy as np

from event_sim.events import FloatArray
from event_sim.sparse import pulls_of
from liquid_neuro.cells import cfc
from liquid_neuro.cells.cfc import CfCValues
from liquid_neuro.cells.functions import sigmoid
from liquid_neuro.cells.ltc import IndexArray, LTCValues

FIRST_GUESS = 4.0  # quanta of error, before anything is known of the run
MOST_UNITS = 256  # of networks whose response is taken by solving for it; that of larger ones is sought for by steps
MOST_SYNAPSES = 2_000_000  # of those: networks with more get LARGE
LARGE = 12.0  # quanta
MOST_STATES = 4
ROUNDING = 1e-9
ITERATIONS = 400
COARSER = {1: 4.0, 2: 8.0}  # by order: coarse runs of second order save less
KICKS = 8
NUDGE = 1e-11  # far above what rounding does at once
FINE = 1e-6  # an error beside which amplified rounding may count
MANY = 64  # neurons
ABOUT = 1.6  # times more or less
SMALL_GAIN = 4.0
SAFETY = 3.0
CAUTION = 2.0
STUCK, HARDLY = 3.0, 2.0
TRUSTED = 10.0  # a gain up to which errors are taken to grow in proportion
SECOND_ORDER = 2.25  # quanta of disturbance: a quantum of value, one of the gates' tangents, an eighth of two of the neuron's own equation


Levels = Callable[[], tuple[FloatArray, FloatArray]]


class Errors(NamedTuple):
    """What is known of a run's error: a bound, where it comes from (see Recording.error_bound_kind), and what it probably is."""

    bound: float
    kind: str
    estimate: float


def quantum_for(tolerance: float, units: int) -> FloatArray:
    """(units,) quanta to try first for a tolerance."""
    return np.full(units, checked_tolerance(tolerance) / FIRST_GUESS)


def checked_tolerance(tolerance: float | None) -> float:
    """The tolerance as a number; ValueError where it is no positive one."""
    if not isinstance(tolerance, Real) or not (np.isfinite(float(tolerance)) and tolerance > 0):
        advice = "; or give a quantum" if tolerance is None else ""
        raise ValueError(f"`tolerance` must be a positive number, but is {tolerance!r:.80}{advice}")
    return float(tolerance)


def ratios(cell: str, order: int) -> tuple[float, ...]:
    """How many times coarser the companions of a run are. Those of a CfC cost as much as the run: it has one."""
    return (COARSER[order],) if cell == "cfc" else (COARSER[order], COARSER[order] ** 2)


def in_proportion(differences: list[float], quantum: FloatArray, order: int) -> bool:
    """Whether a run's differences to its companions grow as errors in proportion to the quantum do, in a network of many neurons."""
    coarser = COARSER[order]
    if len(quantum) < MANY or len(differences) < 2 or not 0.0 < differences[0] < SMALL_GAIN * coarser * float(quantum.mean()):
        return False
    return (coarser + 1.0) / ABOUT < differences[1] / differences[0] < (coarser + 1.0) * ABOUT


def confirmed(differences: list[float], estimate: float, quantum: FloatArray, order: int = 1) -> Errors:
    """The errors of a run with these quanta and this estimate which differs so much from its coarse companions."""
    coarser, first = COARSER[order], differences[0]
    if not np.isfinite(differences).all():
        return Errors(float("inf"), "confirmed", float("inf"))
    if in_proportion(differences, quantum, order):
        return Errors(SAFETY * first / (coarser - 1.0), "confirmed", first / (coarser - 1.0))
    typical = float(quantum.mean())
    trust = 1.0 + (first / (coarser * typical) / TRUSTED) ** 2
    probable = max(first / coarser, 0.5 * typical) * trust
    second = differences[1] if len(differences) > 1 else 0.0
    stuck = STUCK if len(differences) > 1 and second < HARDLY * first else 1.0
    return Errors(max(CAUTION * first * trust * stuck, CAUTION * second / (coarser + 1.0), estimate), "confirmed", probable)


# --- the box of states ------------------------------------------------------------------------------------------------------------


def invariant_box(values: LTCValues, state: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(lowest, highest) value of each neuron for all times and inputs: the range of its start, vleak and reversal potentials.

    epsilon pulls a little towards 0, so 0 belongs to the box where there is an epsilon; a recalled state (mixed memory) lies in -1..1.
    """
    low, high = np.minimum(state, values.vleak), np.maximum(state, values.vleak)
    if values.epsilon > 0:
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    if values.lstm is not None:
        low, high = np.minimum(low, -1.0), np.maximum(high, 1.0)
    for target, erev in ((values.target, values.erev), (values.sensory_target, values.sensory_erev)):
        np.minimum.at(low, target, erev)
        np.maximum.at(high, target, erev)
    while True:  # gap junctions pull a neuron into the boxes of its neighbours
        before = low.copy(), high.copy()
        np.minimum.at(low, values.gap_target, low[values.gap_source])
        np.maximum.at(high, values.gap_target, high[values.gap_source])
        if np.array_equal(before[0], low) and np.array_equal(before[1], high):
            return low, high


def cfc_box(values: CfCValues, state: FloatArray, shortest: float) -> tuple[FloatArray, FloatArray]:
    """(lowest, highest) value of each unit over samples of at least `shortest` > 0 model units; infinite where heads have no bound."""
    low, high = state.copy(), state.copy()
    for layer in values.layers:
        here = slice(layer.start, layer.start + layer.units)
        if layer.A is not None:  # |x e^(-t |x|)| <= 1 / (e t)
            reach = np.abs(layer.A) / (np.e * shortest)
            below, above = layer.A - reach, layer.A + reach
        else:
            reach = _head_reach(values, layer)
            above = reach * (2.0 if "no_gate" in values.mode else 1.0)
            below = -above
        low[here], high[here] = np.minimum(low[here], below), np.maximum(high[here], above)
    return low, high


def _head_reach(values: CfCValues, layer: cfc.CfCLayer) -> FloatArray:
    """(units,) how far from 0 the heads ff1 and ff2 of a layer can lie."""
    if values.dialect != "keras":
        return np.ones(layer.units)  # tanh
    limits = {"tanh": 1.0, "lecun_tanh": 1.7159}
    if not layer.backbone or values.activation not in limits:
        return np.full(layer.units, np.inf)
    heads = [layer.heads[name] for name in ("ff1", "ff2") if name in layer.heads]
    reach = [np.abs(weight).sum(axis=1) * limits[values.activation] + np.abs(bias) for weight, bias in heads]
    return np.asarray(np.max(reach, axis=0), dtype=np.float64)


# --- derived --------------------------------------------------------------------------------------------------------------------------


def derived(values: LTCValues, quantum: FloatArray, low: FloatArray, high: FloatArray, levels: Levels) -> float:
    """The proved bound, infinite without one. low, high: (units,) the box of states; levels: gives the (inputs,) lowest and highest levels.

    Events of first order only. Mixed memory moves states beyond what the equation knows of: nothing is proved.
    """
    if values.lstm is not None:
        return float("inf")
    slope = _steepest(values.sigma, values.mu, low[values.source], high[values.source])
    pull = np.maximum(values.erev - low[values.target], high[values.target] - values.erev)  # erev lies in its target's box
    gain = np.concatenate([values.w * slope * pull, values.gap_w])
    source, target = np.concatenate([values.source, values.gap_source]), np.concatenate([values.target, values.gap_target])

    def limit(conductance: FloatArray) -> float:
        return _limit(source, target, gain, conductance, quantum, high - low) if (conductance > 0).all() else float("inf")

    if not np.isfinite(limit(_most_conductance(values))):  # it amplifies whatever the levels: no need to look closer
        return float("inf")
    return limit(_least_conductance(values, low, high, *levels()))


def _limit(
    source: IndexArray, target: IndexArray, gain: FloatArray, conductance: FloatArray, quantum: FloatArray, width: FloatArray
) -> float:
    """The largest E of the smallest with conductance E = gain (E + quantum), infinite where that grows beyond the width of the box."""
    bound, last = np.zeros(len(quantum)), np.full(len(quantum), np.inf)
    for _ in range(ITERATIONS):
        arriving = gain * (bound[source] + quantum[source])
        new = np.bincount(target, weights=arriving, minlength=len(quantum)) / conductance
        if (new > width).any():  # no error is larger than the box: where this happens, nothing is proved
            return float("inf")
        more = new - bound
        if (more <= 1e-6 * new).all():
            return float(new.max()) * (1 + 1e-5) + ROUNDING
        if (more >= last).all():  # what is added to each grows by the same positive matrix: then it does so for ever
            return float("inf")
        bound, last = new, more
    return float("inf")


def _steepest(sigma: FloatArray, mu: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """The largest slope of sigmoid(sigma (v - mu)) for v in low..high."""
    nearest = np.clip(mu, low, high)
    gate = sigmoid(sigma * (nearest - mu))
    return np.asarray(np.abs(sigma) * gate * (1.0 - gate))


def _most_conductance(values: LTCValues) -> FloatArray:
    """(units,) the sum of conductances with all gates open."""
    sides = (values.target, values.w), (values.gap_target, values.gap_w), (values.sensory_target, values.sensory_w)
    return np.asarray(values.gleak + sum(np.bincount(target, weights=w, minlength=values.units) for target, w in sides))


def _least_conductance(values: LTCValues, low: FloatArray, high: FloatArray, lowest: FloatArray, highest: FloatArray) -> FloatArray:
    """The smallest sum of conductances each neuron can have while states stay in their box and levels in their range."""
    conductance = values.gleak + np.bincount(values.gap_target, weights=values.gap_w, minlength=values.units)
    ends = [np.sort([x * values.input_w + values.input_b for x in (lowest, highest)], axis=0)[i] for i in (0, 1)]
    gates = (
        (values.source, values.target, values.w, values.sigma, values.mu, low, high),
        (values.sensory_source, values.sensory_target, values.sensory_w, values.sensory_sigma, values.sensory_mu, ends[0], ends[1]),
    )
    for source, target, w, sigma, mu, below, above in gates:
        least = np.minimum(sigmoid(sigma * (below[source] - mu)), sigmoid(sigma * (above[source] - mu)))
        np.add.at(conductance, target, w * least)
    return np.asarray(conductance)


# --- the estimate of first order --------------------------------------------------------------------------------------------------


def response(quantum: FloatArray, jacobians: list[FloatArray]) -> float:
    """The largest |(I - J)^-1 J| quantum + quantum over the Jacobians; LARGE quanta without any, infinite where I - J has no inverse."""
    if not jacobians:
        return LARGE * float(quantum.max())
    worst = 0.0
    for jacobian in jacobians:
        try:
            moved = np.abs(np.linalg.solve(np.eye(len(jacobian)) - jacobian, jacobian)) @ quantum + quantum
        except np.linalg.LinAlgError:
            return float("inf")
        worst = max(worst, float(moved.max()))
    return worst


def rows_of(states: int, units: int) -> list[int]:
    """Which states to look at: spread over the run; of large networks the one in the middle."""
    count = min(states, MOST_STATES if units <= 32 else MOST_STATES // 2)
    rows = np.linspace(0, states - 1, count) if units <= MOST_UNITS else np.full(1, states // 2)
    return sorted({int(row) for row in rows})


def ltc_jacobian(values: LTCValues, state: FloatArray, levels: FloatArray) -> FloatArray:
    """(units, units): derivative of every v_inf = c / g by what every neuron sent."""
    pulls, jacobian = pulls_of(values, state, levels), np.zeros((values.units, values.units))
    np.add.at(jacobian, (pulls.target, pulls.source), pulls.slope)
    return jacobian


def cfc_jacobian(values: CfCValues, state: FloatArray, levels: FloatArray, timespan: float) -> FloatArray:
    """(units, units): derivative of every new state by what every unit sent (of the layer before too), by differences."""
    step = 1e-6
    sent = np.vstack([state, state + step * np.eye(values.units)])
    heard = np.broadcast_to(levels, (len(sent), values.inputs))
    blocks = []
    for layer in values.layers:
        before = values.layers[layer.inputs_from]
        source = heard if layer.inputs_from < 0 else sent[:, before.start : before.start + before.units]
        alone = replace(values, layers=(replace(layer, inputs_from=-1, start=0),))
        blocks.append(cfc.step(alone, source, sent[:, layer.start : layer.start + layer.units], np.full(len(sent), timespan)))
    new = np.concatenate(blocks, axis=1)
    return np.asarray((new[1:] - new[0]).T / step)
