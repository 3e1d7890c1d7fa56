"""Splitting a graph over cores: few messages between cores, capacities never exceeded, no core empty.

Traffic is multicast: a sender pays its events once for every *other* core on which it has at least one target, however many targets there
are. That is not the cut of an undirected graph, so the search below works on this objective itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import product
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

EXHAUSTIVE = 50_000  # assignments that are simply all tried
PASSES = 12
STARTS = 500  # divided by the nodes: how often the search begins anew
SMALL = 64  # nodes; up to so many, swaps are tried with everything
MEDIUM = 4000  # nodes; beyond, there are no swaps and the search ends when a pass saves less than 0.1 %
SWAP_CANDIDATES = 8


class MappingError(ValueError):
    """A network that does not fit the chip. The message names the constraint, what is needed and what is available."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What to split.

    events: (n,) messages that each node sends. source, target: (edges,) node numbers, self-loops left out, no pair twice.
    demand: (n, resources) what a node takes of each resource. capacity: (cores, resources). resources: their names.
    """

    events: FloatArray
    source: IntArray
    target: IntArray
    demand: FloatArray
    capacity: FloatArray
    resources: tuple[str, ...]

    @property
    def cores(self) -> int:
        """How many cores there are; each gets at least one node."""
        return len(self.capacity)


@dataclass(frozen=True, eq=False)
class Partition:
    """core_of: node -> core. messages: per run between different cores, multicast. optimal: whether all assignments were compared."""

    core_of: Mapping[Hashable, int]
    messages: float
    optimal: bool

    def __getitem__(self, node: Hashable) -> int:
        return self.core_of[node]

    @property
    def cores(self) -> tuple[tuple[Hashable, ...], ...]:
        """The nodes of each core, in the graph's order."""
        members: list[list[Hashable]] = [[] for _ in range(max(self.core_of.values(), default=-1) + 1)]
        for node, core in self.core_of.items():
            members[core].append(node)
        return tuple(tuple(nodes) for nodes in members)


def partition(graph: nx.DiGraph, capacities: Sequence[int], seed: int = 0) -> Partition:
    """Splits the nodes of a directed graph over len(capacities) cores of so many nodes each, with few messages.

    Node attribute "events": messages that the node sends (1 where missing); "size": what it takes of the capacity (1 where missing).
    Self-loops and parallel edges cost nothing extra. Small graphs are solved exactly.
    MappingError: too little room, fewer nodes than cores, or a capacity, size or number of events below 0.
    """
    nodes = list(graph.nodes)
    number = {node: index for index, node in enumerate(nodes)}
    pairs = sorted({(number[a], number[b]) for a, b in graph.edges() if a != b})
    edges = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    events = np.array([float(graph.nodes[node].get("events", 1)) for node in nodes])
    size = np.array([float(graph.nodes[node].get("size", 1)) for node in nodes])
    room = np.array(list(capacities), dtype=np.float64).reshape(-1, 1)
    for name, values in (("capacities", room), ('graph.nodes[…]["events"]', events), ('graph.nodes[…]["size"]', size)):
        wrong = values[~(np.isfinite(values) & (values >= 0))]
        if wrong.size:
            raise MappingError(f"{name} must be finite and at least 0, but holds {wrong.flat[0]:g}; give numbers of at least 0")
    problem = Problem(events, edges[:, 0], edges[:, 1], size.reshape(-1, 1), room, ("nodes",))
    core, optimal = solve(problem, seed)
    return Partition({node: int(core[index]) for node, index in number.items()}, messages(problem, core), optimal)


def multicast_messages(graph: nx.DiGraph, core_of: Mapping[Any, int]) -> float:
    """Messages between cores: every node's events once per other core that holds one of its targets."""
    total = 0.0
    for node in graph.nodes:
        others = {core_of[target] for target in graph.successors(node)} - {core_of[node]}
        total += graph.nodes[node].get("events", 1) * len(others)
    return total


def messages(problem: Problem, core: IntArray) -> float:
    """The objective for an assignment (n,) of nodes to cores."""
    reach = np.zeros((len(core), problem.cores), dtype=bool)
    reach[problem.source, core[problem.target]] = True
    reach[np.arange(len(core)), core] = False
    return float(problem.events @ reach.sum(axis=1))


def solve(problem: Problem, seed: int = 0) -> tuple[IntArray, bool]:
    """(core of each node, whether proved optimal). MappingError where it does not fit."""
    nodes, cores = len(problem.events), problem.cores
    if nodes < cores:
        raise MappingError(f"`cores` must be at most the {nodes} nodes to be placed, but is {cores}; use fewer cores")
    for resource, name in enumerate(problem.resources):
        needed, available = problem.demand[:, resource].sum(), problem.capacity[:, resource].sum()
        if needed > available:
            raise MappingError(
                f"{name}: {needed:.0f} needed, {available:.0f} available on {cores} core(s); use more cores or a smaller network"
            )
    if cores == 1:
        return np.zeros(nodes, dtype=np.int64), True
    if cores**nodes <= EXHAUSTIVE:
        return _exhaustive(problem), True
    best: tuple[float, IntArray] | None = None
    generator = np.random.default_rng(seed)
    starts = min(max(STARTS // nodes, 2), 40) if nodes <= MEDIUM else 1
    for start in range(starts):
        core = _first(problem, generator, randomly=start % 2 == 1)
        _Search(problem, core).improve(generator)
        value = messages(problem, core)
        if best is None or value < best[0]:
            best = (value, core.copy())
    assert best is not None
    return best[1], False


def _fits(problem: Problem, core: IntArray) -> bool:
    load = np.zeros_like(problem.capacity)
    np.add.at(load, core, problem.demand)
    return bool((load <= problem.capacity).all()) and len(np.unique(core)) == problem.cores


def _exhaustive(problem: Problem) -> IntArray:
    best: tuple[float, IntArray] | None = None
    for assignment in product(range(problem.cores), repeat=len(problem.events)):
        core = np.array(assignment, dtype=np.int64)
        if not _fits(problem, core):
            continue
        value = messages(problem, core)
        if best is None or value < best[0]:
            best = (value, core)
    if best is None:
        raise _no_room(problem)
    return best[1]


def _no_room(problem: Problem) -> MappingError:
    demand, capacity = problem.demand, problem.capacity
    rows = [
        f"{name}: {demand[:, k].sum():.0f} needed (largest single {demand[:, k].max():.0f}), {capacity[:, k].sum():.0f} available"
        for k, name in enumerate(problem.resources)
    ]
    largest = ", ".join(rows)
    return MappingError(f"no split over {problem.cores} cores found that keeps every capacity; {largest}; use more cores")


def _first(problem: Problem, generator: np.random.Generator, randomly: bool) -> IntArray:
    """A first assignment within the capacities: cores grow one after the other, each to its fair share, along the strongest links."""
    nodes, cores = len(problem.events), problem.cores
    order = generator.permutation(nodes).tolist() if randomly else list(range(nodes))
    links: list[list[tuple[int, float]]] = [[] for _ in range(nodes)] if randomly else _neighbours(problem)
    core = np.full(nodes, cores - 1, dtype=np.int64)
    waiting = set(order)
    for number in range(cores - 1):
        for node in _grow(problem, number, order, waiting, links):
            core[node] = number
        order = [node for node in order if node in waiting]
    return core if _fits(problem, core) else _by_size(problem)


def _grow(problem: Problem, number: int, order: list[int], waiting: set[int], links: list[list[tuple[int, float]]]) -> list[int]:
    """Takes nodes for one core from `waiting`, strongest links to it first, else in `order`; leaves one for each later core."""
    share = problem.demand.sum(axis=0) / problem.cores
    load = np.zeros(problem.demand.shape[1])
    pull: dict[int, float] = {}
    heap: list[tuple[float, int]] = []
    taken: list[int] = []
    refused: set[int] = set()
    following = iter(order)
    while len(waiting) > problem.cores - 1 - number:
        node = heappop(heap)[1] if heap else next(following, None)
        if node is None:
            break
        if node not in waiting or node in refused:
            continue
        new = load + problem.demand[node]
        if taken and (load + 0.5 * problem.demand[node] > share).any():
            break
        if (new > problem.capacity[number]).any():
            refused.add(node)
            continue
        load = new
        taken.append(node)
        waiting.remove(node)
        for other, weight in links[node]:
            if other in waiting:
                pull[other] = pull.get(other, 0.0) + weight
                heappush(heap, (-pull[other], other))
    return taken


def _by_size(problem: Problem) -> IntArray:
    """First fit by decreasing size onto the emptiest core: less clever, but finds room where growing does not."""
    relative = problem.demand / np.maximum(problem.capacity.max(axis=0), 1e-300)
    core = np.full(len(relative), -1, dtype=np.int64)
    load = np.zeros_like(problem.capacity)
    for node in np.argsort(-relative.max(axis=1), kind="stable"):
        room = (load + problem.demand[node] <= problem.capacity).all(axis=1)
        if not room.any():
            raise _no_room(problem)
        fullness = np.where(room, (load / np.maximum(problem.capacity, 1e-300)).max(axis=1), np.inf)
        core[node] = int(np.argmin(fullness))
        load[core[node]] += problem.demand[node]
    if not _fits(problem, core):
        raise _no_room(problem)
    return core


def _neighbours(problem: Problem) -> list[list[tuple[int, float]]]:
    links: list[list[tuple[int, float]]] = [[] for _ in problem.events]
    for source, target in zip(problem.source.tolist(), problem.target.tolist()):
        weight = float(problem.events[source])
        links[source].append((target, weight))
        links[target].append((source, weight))
    return links


class _Search:
    """Moves and swaps of nodes while they save messages. `reach[v, c]`: how many targets of node v lie on core c."""

    def __init__(self, problem: Problem, core: IntArray) -> None:
        self.problem, self.core = problem, core
        nodes, cores = len(core), problem.cores
        self.reach = np.zeros((nodes, cores), dtype=np.int64)
        np.add.at(self.reach, (problem.source, core[problem.target]), 1)
        self.load = np.zeros_like(problem.capacity)
        np.add.at(self.load, core, problem.demand)
        self.members = np.bincount(core, minlength=cores)
        order = np.argsort(problem.target, kind="stable")
        bounds = np.searchsorted(problem.target[order], np.arange(nodes + 1))
        self.senders = [problem.source[order[bounds[k] : bounds[k + 1]]] for k in range(nodes)]

    def improve(self, generator: np.random.Generator) -> None:
        """Passes over the nodes with a link to another core until one saves (next to) nothing."""
        value = messages(self.problem, self.core)
        enough = 0.0 if len(self.core) <= MEDIUM else 1e-3
        for _ in range(PASSES):
            changed = False
            for node in generator.permutation(self._border()):
                changed = self._better_place(int(node)) or changed
            before, value = value, messages(self.problem, self.core)
            if not changed or before - value < enough * before:
                return

    def _border(self) -> IntArray:
        """Nodes that have a link to another core."""
        apart = self.core[self.problem.source] != self.core[self.problem.target]
        return np.unique(np.concatenate([self.problem.source[apart], self.problem.target[apart]]))

    def gains(self, node: int) -> FloatArray:
        """(cores,) messages saved by moving the node to each core; 0 for its own."""
        events, here, senders = self.problem.events, int(self.core[node]), self.senders[node]
        own = self.reach[node] > 0
        saved: FloatArray = events[node] * (own.astype(np.float64) - float(own[here]))
        weight, home = events[senders], self.core[senders]
        leaves = weight @ ((self.reach[senders, here] == 1) & (home != here))
        joins = weight @ ((self.reach[senders] == 0) & (home[:, None] != np.arange(self.problem.cores)))
        saved = saved + leaves - joins
        saved[here] = 0.0
        return saved

    def _better_place(self, node: int) -> bool:
        here = int(self.core[node])
        gains = self.gains(node)
        for there in np.argsort(-gains, kind="stable"):
            if there == here:
                continue
            if gains[there] > 0 and self._has_room(node, int(there)) and self.members[here] > 1:
                self._move(node, int(there))
                return True
            worthwhile = len(self.core) <= SMALL or (gains[there] > 0 and len(self.core) <= MEDIUM)
            if worthwhile and self._swap(node, int(there), float(gains[there])):
                return True
            if not worthwhile:
                return False
        return False
        return False

    def _has_room(self, node: int, there: int) -> bool:
        return bool((self.load[there] + self.problem.demand[node] <= self.problem.capacity[there]).all())

    def _swap(self, node: int, there: int, gain: float) -> bool:
        """Exchanges the node with the first node of the other core for which that saves messages."""
        here, demand = int(self.core[node]), self.problem.demand
        others = np.flatnonzero(self.core == there)
        if len(self.core) > SMALL:  # those that lean towards this node's core most
            pull = self.reach[others, here] * self.problem.events[others]
            others = others[np.argsort(-pull, kind="stable")[:SWAP_CANDIDATES]]
        for other in others.tolist():
            if (self.load[there] - demand[other] + demand[node] > self.problem.capacity[there]).any():
                continue
            if (self.load[here] - demand[node] + demand[other] > self.problem.capacity[here]).any():
                continue
            self._move(node, there)
            if gain + self.gains(other)[here] > 1e-9:
                self._move(other, here)
                return True
            self._move(node, here)
        return False

    def _move(self, node: int, there: int) -> None:
        here = int(self.core[node])
        self.reach[self.senders[node], here] -= 1
        self.reach[self.senders[node], there] += 1
        self.load[here] -= self.problem.demand[node]
        self.load[there] += self.problem.demand[node]
        self.members[here] -= 1
        self.members[there] += 1
        self.core[node] = there
