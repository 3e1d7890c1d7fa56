"""What a small change does to a network: to first order, over a list of synapses (event_sim/sparse.py), and to a run of it."""

from __future__ import annotations

from functools import partial
from typing import Any

from event_sim.kernels.jit import compiled


@partial(compiled, bare=True)
def add_terms(source: Any, target: Any, slope: Any, most: int, close: float, term: Any, after: Any, total: Any) -> bool:
    """total <- J term + J^2 term + ..., until what is added last is at most so close to 0 beside the sum, or `most` terms.

    Whether all terms were numbers. source, target, slope (n,): J, synapse by synapse. term, after (units,): room, changed; total: zeros.
    """
    for _ in range(most):
        for unit in range(len(after)):
            after[unit] = 0.0
        for index in range(len(slope)):
            after[target[index]] += slope[index] * term[source[index]]
        size, whole = 0.0, 0.0
        for unit in range(len(after)):
            term[unit] = after[unit]
            total[unit] += after[unit]
            size, whole = max(size, abs(after[unit])), max(whole, abs(total[unit]))
            if not abs(after[unit]) < 1e300:
                return False
        if size <= close * whole:
            return True
    return False


@partial(compiled, bare=True)
def largest_difference(states: Any, others: Any) -> Any:
    """The largest |difference| of two tables of one shape; not a number where one of them holds what is none; 0 without rows."""
    largest = 0.0
    for row in range(len(states)):
        for column in range(states.shape[1]):
            difference = abs(states[row, column] - others[row, column])
            if difference != difference:
                return difference
            largest = max(largest, difference)
    return largest
