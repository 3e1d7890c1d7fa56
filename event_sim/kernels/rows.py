"""Synapses once more, eight of a source side by side, for the kernel that hears messages in lanes (ltc_together.py).

A source's synapses (kernels/synapses.py) fill blocks of eight; a block holds their fields one after the other: target, weight, sigma, mu,
erev, now. Places that are left over in a source's last block have weight 0, and targets behind all neurons. `now` is that of the records to
the last bit, so that one kernel can go on where the other stopped.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.kernels.jit import inlined
from event_sim.kernels.lanes import LANES, add_pairs, broadcast, load, one_and_exp, product, store
from event_sim.kernels.prefetch import LINE, prefetch

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
WEIGHT, SIGMA, MU, EREV, NOW, BLOCK = (LANES * field for field in range(1, 7))
MANY = 64  # synapses that are noted before they are heard: enough for two short loops, few enough to wait for memory in between
NEARBY = 1 << 17  # numbers of rows that lie in the cache anyway


class Rows(NamedTuple):
    """first: (sources + 1,) where each source's blocks begin in numbers; numbers: all blocks; targets: the same memory as integers.

    noted, closing: blocks that hear a message, and 1 + e^x of their synapses' gates.
    """

    first: Integers
    numbers: Floats
    targets: Integers
    noted: Integers
    closing: Floats


def rows_of(counts: Integers) -> Rows:
    """Room for sources with so many synapses each."""
    first, blocks = np.zeros(len(counts) + 1, dtype=np.int64), -(-counts // LANES)
    np.cumsum(blocks * BLOCK, out=first[1:])
    numbers, most = _room(int(first[-1])), MANY // LANES + int(blocks.max(initial=0))
    return Rows(first, numbers, numbers.view(np.int64), np.empty(most, dtype=np.int64), _room(most * LANES))


def _room(count: int) -> Floats:
    """Room for numbers that begins at a cache line, so that no eight of them lie in two."""
    numbers = np.empty(count + LANES)
    begin = -numbers.ctypes.data % LINE // numbers.itemsize
    return numbers[begin : begin + count]


@inlined
def take_rows(rows: Any, first: Any, last: Any, synapses: Any, behind: int) -> None:
    """Read every source's synapses first[source] .. last[source] - 1. behind: the first of eight targets behind all neurons."""
    for source in range(len(last)):
        index, end = first[source], last[source]
        for at in range(rows.first[source], rows.first[source + 1], BLOCK):
            for lane in range(at, at + LANES):
                if index < end:
                    synapse = synapses[index]
                    rows.targets[lane], rows.numbers[lane + WEIGHT] = synapse.target, synapse.weight
                    rows.numbers[lane + SIGMA], rows.numbers[lane + MU] = synapse.sigma, synapse.mu
                    rows.numbers[lane + EREV], rows.numbers[lane + NOW] = synapse.erev, synapse.now
                else:
                    rows.targets[lane], rows.numbers[lane + WEIGHT] = behind + lane - at, 0.0
                    rows.numbers[lane + SIGMA], rows.numbers[lane + MU] = 0.0, 0.0
                    rows.numbers[lane + EREV], rows.numbers[lane + NOW] = 0.0, 0.0
                index += 1


@inlined
def put_rows(rows: Any, first: Any, last: Any, synapses: Any) -> None:
    """Write what every source's synapses contribute now."""
    for source in range(len(last)):
        for index in range(first[source], last[source]):
            nth = index - first[source]
            synapses[index].now = rows.numbers[rows.first[source] + nth // LANES * BLOCK + nth % LANES + NOW]


@inlined
def ask_for_row(rows: Any, source: int) -> None:
    """Begin to load a source's blocks."""
    for at in range(rows.first[source], rows.first[source + 1], LANES):
        prefetch(rows.numbers, at, 0)  # type: ignore[call-arg]


@inlined
def note_row(rows: Any, source: int, level: float, noted: int) -> int:
    """Note that a source's synapses hear this level; returns how many blocks are noted now.

    What takes longest is begun here and ended in hear_noted: a processor has more of two short chains of operations under way than of one
    long one.
    """
    heard, numbers = broadcast(level), rows.numbers
    for at in range(rows.first[source], rows.first[source + 1], BLOCK):
        rows.noted[noted] = at
        store(rows.closing, noted * LANES, one_and_exp(load(numbers, at + SIGMA) * (load(numbers, at + MU) - heard)))
        noted += 1
    return noted


@inlined
def hear_noted(rows: Any, noted: int, pending: Any) -> int:
    """Add what noted synapses change by to pending: pairs (conductance, driven) by target; returns how many are noted now: none."""
    one, numbers = broadcast(1.0), rows.numbers
    for index in range(noted):
        at = rows.noted[index]
        new = product(load(numbers, at + WEIGHT), one / load(rows.closing, index * LANES))
        change = new - load(numbers, at + NOW)
        store(numbers, at + NOW, new)
        add_pairs(pending, rows.targets, at, change, change * load(numbers, at + EREV))
    return 0
