"""The LTC's differential equation with synaptic delays: the method of steps over a dense solution.

Over a step no longer than the shortest delay, what delayed synapses hear is known: the solution so far. Each step is a polynomial that
fulfils the equation at the 7 Radau points (Radau IIA: Hairer & Wanner, Solving Ordinary Differential Equations II, IV.5), found by Newton's
method with the exact Jacobian. It is stable for every time constant, divides by no cm (a neuron without inertia obeys 0 = c - g v) and is
itself the dense solution that later steps hear.

Steps end where a level of an input arrives, and where such an instant is heard again after a delay (Bellen & Zennaro, Numerical Methods for
Delay Differential Equations, 2.2): the solution is smooth only between these times. Error: a step is accepted where the polynomial misses
the equation between its points by less than the tolerance, 1e-11, weighed as a change of state.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

import numpy as np

from liquid_neuro.cells.functions import FloatArray
from liquid_neuro.cells.ltc import Prepared
from liquid_neuro.exact_solver import MAXIMUM_STEPS, Kinds

MAXIMUM_NEURONS = 400
STAGES = 7
MOST_ECHOES = 64  # of one instant: later ones are of an order that step size control takes care of
NEWTON_STEPS = 8
SAME_TIME = 1e-12  # relative: sums of times in different order
SMALLEST_STEP = 1e-12  # of a sample: below it a jump nobody foresaw is stepped over


def _radau_points() -> FloatArray:
    """The zeros in (0, 1] of P_s - P_{s-1}, shifted Legendre polynomials."""
    coefficients = np.zeros(STAGES + 1)
    coefficients[-2:] = -1.0, 1.0
    return np.sort((np.polynomial.legendre.legroots(coefficients).real + 1.0) / 2.0)


def _differentiation(points: FloatArray, weights: FloatArray, at: FloatArray) -> FloatArray:
    """(at, points): derivatives at `at` of the polynomials that are 1 at one point and 0 at the others."""
    result = np.empty((len(at), len(points)))
    for column in range(len(points)):
        others = np.delete(points, column)
        for row, place in enumerate(at):
            products = [np.prod(np.delete(place - others, skip)) for skip in range(len(others))]
            result[row, column] = weights[column] * sum(products)
    return result


NODES = np.concatenate([[0.0], _radau_points()])
WEIGHTS = np.array([1.0 / np.prod(node - np.delete(NODES, index)) for index, node in enumerate(NODES)])
BETWEEN = (NODES[1:] + NODES[:-1]) / 2.0
SLOPES, SLOPES_BETWEEN = (_differentiation(NODES, WEIGHTS, at) for at in (NODES[1:], BETWEEN))


def _interpolation(place: float) -> FloatArray:
    """(points,): weights of a step's values in its polynomial at a place in [0, 1]."""
    distance = place - NODES
    exact = np.flatnonzero(distance == 0)
    if len(exact):
        return np.asarray(np.arange(len(NODES)) == exact[0], dtype=np.float64)
    result: FloatArray = WEIGHTS * np.prod(distance) / distance
    return result


VALUES_BETWEEN = np.stack([_interpolation(place) for place in BETWEEN])


@dataclass(frozen=True, eq=False)
class _Piece:
    """The solution over one step: values (nodes, units)."""

    start: float
    length: float
    values: FloatArray


class DelayedExact:
    """`exact_step` with delays for one run from a start state (units,); it remembers the past that is still to be heard.

    Before the start a synapse hears the start state, from an input the level 0, at which event streams start as well.
    """

    def __init__(self, prepared: Prepared, kind: Kinds, start: FloatArray, tolerance: float) -> None:
        values = prepared.values
        if values.units > MAXIMUM_NEURONS:
            limit = f"at most {MAXIMUM_NEURONS} neurons with delays (its Newton steps are dense)"
            raise ValueError(
                f"the exact reference must have {limit}, but has {values.units}; use event_sim.simulate, which takes any number"
            )
        self.prepared, self.kind, self.tolerance, self.now, self.before = prepared, kind, tolerance, 0.0, start
        self.delay = values.delay[prepared.recurrent.order]
        self.delays, self.group = np.unique(self.delay, return_inverse=True)
        self.later = self.delays[self.delays > 0]
        self.sensory_delays, self.sensory_group = np.unique(values.sensory_delay[prepared.sensory.order], return_inverse=True)
        self.levels: list[tuple[float, FloatArray]] = []
        self.pieces: list[_Piece] = []
        self.ends: list[float] = []
        self.breaks: list[tuple[float, int]] = []
        self.suggested = np.inf
        self.depth = 1
        while 1 < len(self.later) ** (self.depth + 1) <= MOST_ECHOES or (len(self.later) == 1 and self.depth < STAGES):
            self.depth += 1
        self.foresee(0.0, 0)

    def foresee(self, time: float, generation: int) -> None:
        """Note the times at which an instant is heard again."""
        if generation < self.depth:
            for delay in self.later:
                self.note(time + float(delay), generation + 1)

    def note(self, time: float, generation: int) -> None:
        """Note that steps shall end at this time."""
        place = bisect_left(self.breaks, (time, 0))
        near = [time_of for time_of, _ in self.breaks[max(place - 1, 0) : place + 1]]
        if not any(abs(other - time) <= SAME_TIME * max(1.0, time) for other in near):
            insort(self.breaks, (time, generation))

    def __call__(self, v: FloatArray, x: FloatArray, timespan: float) -> FloatArray:
        """The state (units,) after a timespan > 0 with inputs x held."""
        values, begin, end = self.prepared.values, self.now, self.now + timespan
        level = x * values.input_w + values.input_b
        if not self.levels or (level != self.levels[-1][1]).any():
            self.levels.append((begin, level))
            for delay in self.sensory_delays:
                self.note(begin + float(delay), 0)
        if self.pieces and (v != self.pieces[-1].values[-1]).any():  # a memory changed the state
            self.foresee(begin, 0)
        steps, smallest, size = 0, SMALLEST_STEP * timespan, self.suggested
        while end - self.now > SAME_TIME * max(1.0, end):
            while self.breaks and self.breaks[0][0] <= self.now + SAME_TIME * max(1.0, self.now):
                self.foresee(*self.breaks.pop(0))
            limit = min([end, *(time for time, _ in self.breaks[:1])]) - self.now
            length = min(size, limit, *(self.later[:1] if len(self.later) else ()))
            piece, error = self.attempt(v, length)
            growth = min(5.0, 0.9 * error ** (-1.0 / (STAGES + 1))) if error > 0 else 5.0
            steps += 1
            if error <= 1.0 or length <= smallest:
                self.pieces.append(piece)
                self.ends.append(limit + self.now if length == limit else self.now + length)
                v, self.now = piece.values[-1], self.ends[-1]
                size = max(size, length * growth) if length < size else length * growth
            else:
                size = length * max(0.1, min(0.5, growth))
            if steps > MAXIMUM_STEPS:
                raise ValueError(
                    f"the exact solution of a timespan of {timespan:.3g} must need at most {MAXIMUM_STEPS} steps, but needs more"
                )
        self.suggested, self.now = size, end
        self.forget()
        return v

    def forget(self) -> None:
        """Drop what no synapse can hear any more."""
        oldest = bisect_left(self.ends, self.now - (self.delays[-1] if len(self.delays) else 0.0) - SAME_TIME * max(1.0, self.now)) - 1
        if oldest > 0:
            del self.pieces[:oldest], self.ends[:oldest]
        longest = self.sensory_delays[-1] if len(self.sensory_delays) else 0.0
        while len(self.levels) > 1 and self.levels[1][0] + longest < self.now:
            del self.levels[0]

    def attempt(self, v: FloatArray, length: float) -> tuple[_Piece, float]:
        """A step of this length from the state v, and its estimated error in units of the tolerance (infinite without a solution)."""
        held = self.arrived(self.now + length / 2)
        v = self.settled(v, held)
        cm, units = self.prepared.values.cm, len(v)
        unknown = np.sort(np.concatenate([self.kind.moving, self.kind.algebraic]))
        count, solved = len(unknown), np.tile(v, (STAGES, 1))
        if not count:
            return _Piece(self.now, length, np.tile(v, (STAGES + 1, 1))), 0.0
        past = [self.past(self.now + node * length) for node in NODES[1:]]
        inertia = np.einsum("ij,u->iuj", SLOPES[:, 1:], cm[unknown])
        for _ in range(NEWTON_STEPS):
            conductance, driven = self.sums(solved, past, held)
            wanted = SLOPES @ np.concatenate([v[None], solved])
            missing = (cm * wanted - length * (driven - conductance * solved))[:, unknown]
            matrix = np.zeros((STAGES, count, STAGES, count))
            for stage in range(STAGES):
                matrix[stage, :, stage] -= length * self.jacobian(solved[stage], conductance[stage])[np.ix_(unknown, unknown)]
            places = np.arange(count)
            matrix[:, places, :, places] += inertia.transpose(1, 0, 2)
            change = np.linalg.solve(matrix.reshape(STAGES * count, -1), missing.reshape(-1)).reshape(STAGES, count)
            solved[:, unknown] -= change
            if np.abs(change).max() <= 1e-3 * self.tolerance * max(1.0, float(np.abs(solved).max())):
                break
        else:
            return _Piece(self.now, length, np.tile(v, (STAGES + 1, 1))), np.inf
        piece = _Piece(self.now, length, np.concatenate([v[None], solved]))
        return piece, self.missed(piece, held, unknown) if units else 0.0

    def missed(self, piece: _Piece, held: tuple[FloatArray, FloatArray], unknown: FloatArray) -> float:
        """How far the polynomial is from the equation between its points, as a change of state in units of the tolerance."""
        values, cm = VALUES_BETWEEN @ piece.values, self.prepared.values.cm
        conductance, driven = self.sums(values, [self.past(piece.start + place * piece.length) for place in BETWEEN], held)
        missing = cm * (SLOPES_BETWEEN @ piece.values) - piece.length * (driven - conductance * values)
        weight = (cm + piece.length * conductance)[:, unknown]
        return float((np.abs(missing[:, unknown]) / weight / (self.tolerance * np.maximum(1.0, np.abs(values[:, unknown])))).max())

    def sums(self, v: FloatArray, past: list[FloatArray], held: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Conductance and driven conductance (places, units) of neurons at v (places, units) whose delayed synapses hear `past`."""
        gates = self.prepared.recurrent
        heard = np.where(self.delay > 0, np.stack(past), v[:, gates.source])
        conductance, driven = self.prepared.with_gaps(*gates.heard(heard), v)
        return conductance + held[0], driven + held[1]

    def jacobian(self, v: FloatArray, conductance: FloatArray) -> FloatArray:
        """(units, units): the derivative of c - g v by what is heard at once; -1 where a neuron without conductance keeps its value."""
        gates, gaps, units = self.prepared.recurrent, self.prepared.gaps, len(v)
        result, at_once = np.zeros((units, units)), self.delay == 0
        result[gates.target[at_once], gates.source[at_once]] = gates.slopes(v[None])[0, at_once]
        result[gaps.target, gaps.source] += gaps.w
        diagonal = np.arange(units)
        result[diagonal, diagonal] -= np.where((conductance == 0) & (self.prepared.values.cm == 0), 1.0, conductance)
        return result

    def settled(self, v: FloatArray, held: tuple[FloatArray, FloatArray]) -> FloatArray:
        """The state just after now, with every neuron without inertia at its c / g."""
        if not self.kind.levels:
            return v
        past = [self.past(self.now, after=True)]
        for level in self.kind.levels:
            conductance, driven = (part[0, level] for part in self.sums(v[None], past, held))
            v = v.copy()
            v[level] = np.divide(driven, conductance, out=v[level].copy(), where=conductance > 0)
        return v

    def arrived(self, time: float) -> tuple[FloatArray, FloatArray]:
        """Sums (units,) of the sensory synapses and the leak: the levels of inputs that have arrived by a time within a step."""
        values, gates = self.prepared.values, self.prepared.sensory
        times = [start for start, _ in self.levels]
        rows = [bisect_right(times, time - float(delay)) - 1 for delay in self.sensory_delays]
        levels = [self.levels[row][1] if row >= 0 else values.input_b for row in rows]
        heard = np.stack(levels)[self.sensory_group, gates.source] if levels else np.zeros(0)
        conductance, driven = gates.heard(heard[None])
        return conductance[0] + values.gleak, driven[0] + values.gleak * values.vleak

    def past(self, time: float, after: bool = False) -> FloatArray:
        """(synapses,): what delayed synapses hear at a time; of a jump the value before it, or the one after it. 0 for the others."""
        slack = SAME_TIME * max(1.0, time) * (1 if after else -1)
        states = np.zeros((len(self.delays), len(self.before)))
        for row, delay in enumerate(self.delays):
            if delay > 0:
                states[row] = self.state_at(time - float(delay), slack)
        return np.asarray(states[self.group, self.prepared.recurrent.source])

    def state_at(self, time: float, slack: float) -> FloatArray:
        """The state at a time of the past; slack > 0 prefers what follows an instant, slack < 0 what precedes it."""
        row = bisect_right(self.ends, time + slack)
        if time + slack < 0.0 or not self.pieces:
            return self.before
        piece = self.pieces[min(row, len(self.pieces) - 1)]
        return _interpolation(min(max((time - piece.start) / piece.length, 0.0), 1.0)) @ piece.values
