"""Placing cores on the mesh: few hops. Every placer is a plain function of the same form, listed in PLACERS.

place(traffic, slots, seed) -> (cores,) the slot number of each core, no slot twice. traffic: (cores, cores) messages from row to column.
slots: (n, 2) the tile (x, y) of every slot in row-major order, n >= cores. Deterministic for a seed; ties go to the lower number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Placer = Callable[[FloatArray, IntArray, int], IntArray]

PASSES = 20


def hop_count(traffic: FloatArray, slots: IntArray, slot: IntArray) -> float:
    """Messages times Manhattan distance of their tiles."""
    place = slots[slot]
    distance = np.abs(place[:, None, :] - place[None, :, :]).sum(axis=2)
    return float((traffic * distance).sum())


def row_major(traffic: FloatArray, slots: IntArray, seed: int = 0) -> IntArray:
    """Core k on slot k: what one gets without placing."""
    return np.arange(len(traffic), dtype=np.int64)


def greedy(traffic: FloatArray, slots: IntArray, seed: int = 0) -> IntArray:
    """The busiest core first, each next one beside those it talks to most; then exchanges while they save hops.

    Starts from row-major order too and keeps the better, so it is never worse than `row_major`.
    """
    both = _symmetric(traffic)
    starts = [_improved(both, slots, row_major(traffic, slots)), _improved(both, slots, _grown(both, slots))]
    return min(starts, key=lambda slot: hop_count(traffic, slots, slot))


def annealing(traffic: FloatArray, slots: IntArray, seed: int = 0) -> IntArray:
    """Greedy, then random exchanges that may also lose hops while a temperature falls; the best placement seen, improved to its end."""
    both = _symmetric(traffic)
    slot = greedy(traffic, slots, seed)
    best, best_hops = slot.copy(), hop_count(both, slots, slot)
    if best_hops == 0.0:
        return best
    generator = np.random.default_rng(seed)
    hops, distance = best_hops, _distances(slots)
    owner = _owners(slot, len(slots))
    steps = min(200 * len(slot) + 2000, 20_000)
    start = max(best_hops / len(slot), 1e-9)
    for step in range(steps):
        core, there = int(generator.integers(len(slot))), int(generator.integers(len(slots)))
        change = _change(both, distance, slot, owner, core, there)
        if change <= 0 or generator.random() < np.exp(-change / (start * (1.0 - step / steps) + 1e-12)):
            _exchange(slot, owner, core, there)
            hops += change
            if hops < best_hops - 1e-9:
                best, best_hops = slot.copy(), hops
    return _improved(both, slots, best)


def _symmetric(traffic: FloatArray) -> FloatArray:
    both = (traffic + traffic.T) / 2.0
    np.fill_diagonal(both, 0.0)
    return both


def _distances(slots: IntArray) -> FloatArray:
    distance: FloatArray = np.abs(slots[:, None, :] - slots[None, :, :]).sum(axis=2).astype(np.float64)
    return distance


def _owners(slot: IntArray, slots: int) -> IntArray:
    owner = np.full(slots, -1, dtype=np.int64)
    owner[slot] = np.arange(len(slot))
    return owner


def _grown(both: FloatArray, slots: IntArray) -> IntArray:
    """Constructive placement around the middle of the mesh."""
    distance = _distances(slots)
    cores = len(both)
    slot = np.full(cores, -1, dtype=np.int64)
    free = np.ones(len(slots), dtype=bool)
    pull = both.sum(axis=1) * 1e-9  # before anything is placed the busiest core comes first
    for _ in range(cores):
        core = int(np.argmax(np.where(slot == -1, pull, -np.inf)))
        placed = np.flatnonzero(slot != -1)
        price = both[core, placed] @ distance[slot[placed]] if len(placed) else distance.sum(axis=1)
        chosen = int(np.argmin(np.where(free, price, np.inf)))
        slot[core], free[chosen] = chosen, False
        pull = pull + both[core]
    return slot


def _improved(both: FloatArray, slots: IntArray, slot: IntArray) -> IntArray:
    """Best exchange per core (with another core or a free slot), pass after pass, until nothing is saved."""
    slot, distance = slot.copy(), _distances(slots)
    owner = _owners(slot, len(slots))
    for _ in range(PASSES):
        saved = False
        for core in range(len(slot)):
            changes = np.array([_change(both, distance, slot, owner, core, there) for there in range(len(slots))])
            there = int(np.argmin(changes))
            if changes[there] < -1e-9:
                _exchange(slot, owner, core, there)
                saved = True
        if not saved:
            break
    return slot


def _change(both: FloatArray, distance: FloatArray, slot: IntArray, owner: IntArray, core: int, there: int) -> float:
    """Hops (both directions) gained by exchanging the core's slot with another slot and whoever sits there."""
    here, other = int(slot[core]), int(owner[there])
    if here == there:
        return 0.0
    difference = distance[there, slot] - distance[here, slot]
    if other == -1:
        row = both[core].copy()
        row[core] = 0.0
        return 2.0 * float(row @ difference)
    row = both[core] - both[other]
    row[core] = row[other] = 0.0
    return 2.0 * float(row @ difference)


def _exchange(slot: IntArray, owner: IntArray, core: int, there: int) -> None:
    here, other = int(slot[core]), int(owner[there])
    slot[core], owner[there], owner[here] = there, core, other
    if other != -1:
        slot[other] = here


PLACERS: Mapping[str, Placer] = MappingProxyType({"row_major": row_major, "greedy": greedy, "annealing": annealing})
