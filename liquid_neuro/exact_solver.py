"""The LTC's differential equation solved to a tight tolerance over one sample: the reference for every event-driven result.

Method: the linearly implicit Euler step (cm - h J) d = h F, extrapolated to order 8 over 1 to 8 sub-steps (5 where the tolerance is
coarse), with the exact Jacobian and step size control: Hairer & Wanner, Solving Ordinary Differential Equations II, IV.9. It is stable for
every time constant and divides by no cm. Neurons with cm = 0 have no state of their own: they follow v = c / g of the others at once, in
an order without loops.

Error: the estimated error of a step stays below the tolerance, 1e-11 (absolute below 1, else relative). Between two inputs an LTC's error
can grow only where the network amplifies; the tests find less than 1e-9 against another method on the networks they hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liquid_neuro.cells.functions import FloatArray
from liquid_neuro.cells.ltc import Gates, LTCValues, Prepared

TOLERANCE = 1e-11
MAXIMUM_STEPS = 100_000
MAXIMUM_NEURONS = 3000
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Kinds:
    """Which neurons move by the differential equation, which follow at once (level by level), and which never change."""

    moving: Indices
    levels: tuple[Indices, ...]

    @property
    def algebraic(self) -> Indices:
        """All neurons that follow at once."""
        return np.concatenate([*self.levels, np.zeros(0, dtype=np.int64)]).astype(np.int64)


def kinds(values: LTCValues, labels: tuple[str, ...]) -> Kinds:
    """Sort the neurons by what moves them. ValueError naming the neurons of a loop of neurons without inertia."""
    import networkx  # here, because importing it takes longer than everything else together

    driven = values.gleak > 0
    driven[values.target[values.w > 0]] = True
    driven[values.sensory_target[values.sensory_w > 0]] = True
    driven[values.gap_target[values.gap_w > 0]] = True
    algebraic = driven & (values.cm == 0)
    graph = networkx.DiGraph()
    graph.add_nodes_from(np.flatnonzero(algebraic).tolist())
    at_once = (values.source, values.target, (values.w > 0) & (values.delay == 0))  # what is heard later closes no loop
    for source, target, joined in (at_once, (values.gap_source, values.gap_target, values.gap_w > 0)):
        joins = joined & algebraic[source] & algebraic[target]
        graph.add_edges_from(zip(source[joins].tolist(), target[joins].tolist()))
    if not networkx.is_directed_acyclic_graph(graph):
        loop = [edge[0] for edge in networkx.find_cycle(graph)]
        path = " -> ".join(labels[unit] for unit in [*loop, loop[0]])
        raise ValueError(
            f'neurons with cm = 0 must not form a loop under the solver "exact", but {path} do; use Fused() or give one of them cm > 0'
        )
    levels = tuple(np.array(sorted(level), dtype=np.int64) for level in networkx.topological_generations(graph))
    return Kinds(np.flatnonzero(driven & ~algebraic), levels)


def exact_step(
    prepared: Prepared, kind: Kinds, v: FloatArray, x: FloatArray, timespan: FloatArray, tolerance: float = TOLERANCE
) -> FloatArray:
    """The state (batch, units) after the timespans (batch,) > 0 with inputs x held. Every row takes the same fractions of its timespan."""
    if v.shape[1] > MAXIMUM_NEURONS:
        limit = f"at most {MAXIMUM_NEURONS} neurons (its Jacobian is dense)"
        raise ValueError(f"the exact reference must have {limit}, but has {v.shape[1]}; use event_sim.simulate, which takes any number")
    system = _System(prepared, kind, *prepared.held(x), timespan, tolerance)
    v = system.settled(v)
    position, rejected, size = 0.0, False, system.first_step(v)
    for _ in range(MAXIMUM_STEPS):
        size = min(size, 1.0 - position)
        proposal, error = system.extrapolated(v, size)
        growth = min(5.0, 0.9 * error ** (-1.0 / system.order)) if error > 0 else 5.0
        if error <= 1.0:
            v, position = system.settled(proposal), position + size
            if 1.0 - position < 1e-14:
                return v
            size, rejected = size * (min(1.0, growth) if rejected else growth), False
        else:
            size, rejected = size * max(0.1, min(0.5, growth)), True
    raise ValueError(
        f"the exact solution of a timespan of up to {timespan.max():.3g} must need at most {MAXIMUM_STEPS} steps, but needs more"
    )


@dataclass(frozen=True, eq=False)
class _System:
    """The equations over one sample: time runs from 0 to 1, so that every row of the batch ends together."""

    prepared: Prepared
    kind: Kinds
    held_conductance: FloatArray
    held_driven: FloatArray
    timespan: FloatArray
    tolerance: float

    @property
    def order(self) -> int:
        """More columns of the extrapolation pay only where much accuracy is asked for."""
        return 8 if self.tolerance < 1e-7 else 5

    def sums(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Conductance g and driven conductance c of every neuron."""
        conductance, driven = self.prepared.sums(v)
        return conductance + self.held_conductance, driven + self.held_driven

    def settled(self, v: FloatArray) -> FloatArray:
        """The state with every neuron without inertia at its c / g; without conductance it keeps its value."""
        for level in self.kind.levels:
            conductance, driven = (part[:, level] for part in self.sums(v))
            v = v.copy()
            v[:, level] = np.divide(driven, conductance, out=v[:, level].copy(), where=conductance > 0)
        return v

    def slope(self, v: FloatArray) -> FloatArray:
        """timespan (c - g v) of the moving neurons of a settled state."""
        conductance, driven = self.sums(v)
        result: FloatArray = (self.timespan[:, None] * (driven - conductance * v))[:, self.kind.moving]
        return result

    def jacobian(self, v: FloatArray) -> FloatArray:
        """The derivative of `slope` by the moving neurons (batch, moving, moving), through those that follow at once."""
        gates: Gates = self.prepared.recurrent
        full = np.zeros((len(v), gates.units, gates.units))
        full[:, gates.target, gates.source] = gates.slopes(v)
        full[:, self.prepared.gaps.target, self.prepared.gaps.source] += self.prepared.gaps.w
        diagonal = np.arange(gates.units)
        full[:, diagonal, diagonal] -= self.sums(v)[0]
        moving, algebraic = self.kind.moving, self.kind.algebraic
        result = full[:, moving[:, None], moving]
        if len(algebraic):
            inner = full[:, algebraic[:, None], algebraic]
            places = np.arange(len(algebraic))
            inner[:, places, places] -= inner[:, places, places] == 0  # no conductance: the neuron keeps its value
            followed = np.linalg.solve(inner, full[:, algebraic[:, None], moving])
            result = result - full[:, moving[:, None], algebraic] @ followed
        return np.asarray(result * self.timespan[:, None, None])

    def first_step(self, v: FloatArray) -> float:
        """A step of about the shortest time constant; it depends on the present state alone, so that a run can be cut anywhere."""
        if not len(self.kind.moving):
            return 1.0
        rate = (np.abs(self.jacobian(v)).sum(axis=2) / self.prepared.values.cm[self.kind.moving]).max()
        return float(min(1.0, 1.0 / rate)) if rate > 0 else 1.0

    def extrapolated(self, v: FloatArray, size: float) -> tuple[FloatArray, float]:
        """The state one step on, and its estimated error in units of the tolerance."""
        if not len(self.kind.moving):
            return v, 0.0
        jacobian = self.jacobian(v)
        rows: list[list[FloatArray]] = []
        for number in range(1, self.order + 1):
            row = [self.implicit_euler(v, jacobian, size, number)]
            for column in range(1, number):
                ratio = number / (number - column)
                row.append(row[-1] + (row[-1] - rows[-1][column - 1]) / (ratio - 1.0))
            rows.append(row)
        best, second = rows[-1][-1], rows[-1][-2]
        error = float((np.abs(best - second) / (self.tolerance * np.maximum(1.0, np.abs(best)))).max())
        return self.replaced(v, best), error

    def implicit_euler(self, v: FloatArray, jacobian: FloatArray, size: float, number: int) -> FloatArray:
        """The moving neurons after `number` linearly implicit sub-steps."""
        moving, step = self.kind.moving, size / number
        inverse = np.linalg.inv(np.diag(self.prepared.values.cm[moving]) - step * jacobian)
        state = v
        for _ in range(number):
            change = inverse @ (step * self.slope(state))[:, :, None]
            state = self.replaced(state, state[:, moving] + change[:, :, 0])
        result: FloatArray = state[:, moving]
        return result

    def replaced(self, v: FloatArray, moved: FloatArray) -> FloatArray:
        """The settled state with the moving neurons at these values."""
        v = v.copy()
        v[:, self.kind.moving] = moved
        return self.settled(v)
