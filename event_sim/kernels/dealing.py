"""Dealing synapses to the lanes of clock-driven kernels (kernels/ltc_clocked.py, Rows)."""

from __future__ import annotations

from functools import partial
from typing import Any

from event_sim.kernels.jit import bare, compiled
from event_sim.kernels.lanes import LANES

LOG2_E = 1.4426950408889634


@bare
def listen_alike(first: Any, heard: Any, shared: Any) -> None:
    """Let empty places listen where the others of their row do; shared[slice] = 1 where all places of each of its rows do so alike."""
    for part in range(len(shared)):
        shared[part] = 1
        for row in range(first[part], first[part + 1]):
            largest = 0
            for place in range(LANES):
                largest = max(largest, heard[row, place])
            for place in range(LANES):
                heard[row, place] = largest if heard[row, place] < 0 else heard[row, place]
                if heard[row, place] != heard[row, 0]:
                    shared[part] = 0


@partial(compiled, bare=True)
def deal(source: Any, target: Any, w: Any, sigma: Any, mu: Any, erev: Any, first: Any, size: Any, begin: Any, lanes: Any, used: Any,
         heard: Any, numbers: Any, shared: Any) -> None:  # fmt: skip
    """Write synapses, in their order, to the next free row of their target's lanes: heard (rows, lanes), numbers (rows, 4, lanes).

    lanes[begin[target]] and those behind it are the target's, which hold size[lane] synapses each. used: (lanes,) zeros, changed. begin is
    changed too. heard: -1 everywhere. shared: (slices,), see listen_alike.
    """
    for index in range(len(source)):
        where = target[index]
        lane = lanes[begin[where]]
        row, place = first[lane // LANES] + used[lane], lane % LANES
        slope = sigma[index] * LOG2_E
        heard[row, place] = source[index]
        numbers[row, 0, place] = -slope
        numbers[row, 1, place] = slope * mu[index]
        numbers[row, 2, place] = w[index]
        numbers[row, 3, place] = w[index] * erev[index]
        used[lane] += 1
        if used[lane] == size[lane]:
            begin[where] += 1
    listen_alike(first, heard, shared)
