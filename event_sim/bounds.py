"""How far the event-driven LTC can be from its own solver run without quantum, and which quantum keeps a tolerance.

Derivation. Let e be the error of the states and q = v + d what neurons last sent, |d| <= quantum. Subtracting the two equations,

    cm e' = -g e + sum_j w_j (sigmoid(sigma_j (q_j - mu_j)) - sigmoid(sigma_j (v*_j - mu_j))) (erev_j - v*),

where v* is the run without quantum and g >= g_min the sum of conductances. All states stay in a box, because every update is a convex
combination of the state, vleak and the reversal potentials. With L_ij = w (steepest slope of the sigmoid over the box) (largest
|erev - v*| over the box), any E with g_min E >= L (E + quantum) bounds |e| for all times, by comparison; the same holds for the
sub-steps of Fused, which are convex combinations too. The smallest such E is the limit of E <- L (E + quantum) / g_min from 0, where
that converges. Most networks amplify too much for that; then the bound is an estimate:
ESTIMATE quanta, from measurements on random networks.
"""

from __future__ import annotations

import numpy as np

from event_sim.events import FloatArray
from liquid_neuro.cells.functions import sigmoid
from liquid_neuro.cells.ltc import LTCValues

ESTIMATE = 4.0
ITERATIONS = 400


def quantum_for(tolerance: float, units: int) -> FloatArray:
    """(units,) quanta whose estimated state error is the tolerance."""
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"`tolerance` must be a positive number, but is {tolerance}")
    return np.full(units, tolerance / ESTIMATE)


def error_bound(values: LTCValues, quantum: FloatArray, state: FloatArray, lowest: FloatArray, highest: FloatArray) -> tuple[float, str]:
    """(bound, "derived", "estimate" or "rounding") of the states' error.

    state: (units,) at the start. lowest, highest: (inputs,) the range of levels during the run.
    """
    if not quantum.any():
        return 1e-9, "rounding"
    low, high = invariant_box(values, state)
    slope = _steepest(values.sigma, values.mu, low[values.source], high[values.source])
    pull = np.maximum(np.abs(values.erev - low[values.target]), np.abs(values.erev - high[values.target]))
    gain = values.w * slope * pull
    conductance = _least_conductance(values, low, high, lowest, highest)
    if not (conductance > 0).all():
        return ESTIMATE * float(quantum.max()), "estimate"
    bound = np.zeros(values.units)
    for _ in range(ITERATIONS):
        arriving = gain * (bound[values.source] + quantum[values.source])
        new = np.bincount(values.target, weights=arriving, minlength=values.units) / conductance
        if (new > high - low).any():  # no error is larger than the box: where this happens, nothing is proved
            break
        if (new - bound <= 1e-6 * new).all():
            return float(new.max()) * (1 + 1e-5), "derived"
        bound = new
    return ESTIMATE * float(quantum.max()), "estimate"


def invariant_box(values: LTCValues, state: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(lowest, highest) value of each neuron for all times and inputs: the range of its start, vleak and reversal potentials.

    epsilon pulls a little towards 0, so 0 belongs to the box where there is an epsilon.
    """
    low, high = np.minimum(state, values.vleak), np.maximum(state, values.vleak)
    if values.epsilon > 0:
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    for target, erev in ((values.target, values.erev), (values.sensory_target, values.sensory_erev)):
        np.minimum.at(low, target, erev)
        np.maximum.at(high, target, erev)
    return low, high


def _steepest(sigma: FloatArray, mu: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """The largest slope of sigmoid(sigma (v - mu)) for v in low..high."""
    nearest = np.clip(mu, low, high)
    gate = sigmoid(sigma * (nearest - mu))
    return np.asarray(np.abs(sigma) * gate * (1.0 - gate))


def _least_conductance(values: LTCValues, low: FloatArray, high: FloatArray, lowest: FloatArray, highest: FloatArray) -> FloatArray:
    """The smallest sum of conductances each neuron can have while states stay in their box and levels in their range."""
    conductance = values.gleak.copy()
    ends = [np.sort([x * values.input_w + values.input_b for x in (lowest, highest)], axis=0)[i] for i in (0, 1)]
    gates = (
        (values.source, values.target, values.w, values.sigma, values.mu, low, high),
        (values.sensory_source, values.sensory_target, values.sensory_w, values.sensory_sigma, values.sensory_mu, ends[0], ends[1]),
    )
    for source, target, w, sigma, mu, below, above in gates:
        least = np.minimum(sigmoid(sigma * (below[source] - mu)), sigmoid(sigma * (above[source] - mu)))
        np.add.at(conductance, target, w * least)
    return conductance
