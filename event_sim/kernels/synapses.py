"""Synapses, gap junctions and the sums of their targets, as all event-driven kernels read them.

Sources are the neurons, then the inputs. A source's synapses lie together, ordered by (delay, target); those that hear it at once come
first, at first[source] .. at_once[source] - 1. What is heard later belongs to a line (kernels/lines.py). A gap junction joins two neurons
linearly and stands there once each way: its conductance is part of its target's sum for good, its source's value part of what drives it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from event_sim.kernels.exponential import LIMIT, fast_exp
from event_sim.kernels.jit import bare, compiled

# `now` is the conductance that a synapse contributes since it last heard of its source.
SYNAPSE = np.dtype([("target", np.int64)] + [(name, np.float64) for name in ("weight", "sigma", "mu", "erev", "now")])
# Of second order: with the slope of this conductance (in front: numba takes records with equal beginnings for related).
SLOPED_SYNAPSE = np.dtype([("slope", np.float64), *SYNAPSE.descr])
GAP = np.dtype([("target", np.int64), ("weight", np.float64)])


@bare
def add(neuron: Any, change: float, erev: float) -> None:
    """Add a change of conductance to both sums. The carries keep what rounding loses (Knuth), so that millions of changes do not drift."""
    before = neuron.conductance
    after = before + change
    part = after - before
    neuron.conductance_carry += (before - (after - part)) + (change - part)
    neuron.conductance = after
    drive(neuron, change * erev)


@bare
def drive(neuron: Any, change: float) -> None:
    """Add a change to what drives a neuron, with its carry."""
    before = neuron.driven
    after = before + change
    part = after - before
    neuron.driven_carry += (before - (after - part)) + (change - part)
    neuron.driven = after


@bare
def argument(synapse: Any, level: float) -> Any:
    """What the exponential of a synapse's gate is taken of when its source has this level."""
    return min(max(synapse.sigma * (synapse.mu - level), -LIMIT), LIMIT)


@bare
def opened(gates: Any, count: int) -> None:
    """Turn the first arguments into gates between 0 and 1; a loop of its own becomes SIMD code."""
    for index in range(count):
        gates[index] = 1.0 / (1.0 + fast_exp(gates[index]))


@bare
def steepness(synapse: Any, gate: float, slope: float) -> Any:
    """How fast a synapse's conductance moves while its source's level has this slope."""
    return synapse.sigma * slope * (synapse.weight * gate) * (1.0 - gate) if slope != 0.0 else 0.0


@partial(compiled, bare=True)
def open_gates(first: Any, last: Any, synapses: Any, levels: Any) -> None:
    """Set `now` of every source's synapses first[source] .. last[source] - 1 to what they contribute at its level."""
    for source in range(len(levels)):
        for index in range(first[source], last[source]):
            synapse = synapses[index]
            synapse.now = synapse.weight * (1.0 / (1.0 + fast_exp(argument(synapse, levels[source]))))


@partial(compiled, bare=True)
def open_slopes(first: Any, last: Any, synapses: Any, levels: Any, slopes: Any) -> None:
    """Set the slopes of the conductances too (SLOPED_SYNAPSE); call open_gates as well."""
    for source in range(len(levels)):
        for index in range(first[source], last[source]):
            synapse = synapses[index]
            gate = 1.0 / (1.0 + fast_exp(argument(synapse, levels[source])))
            synapse.slope = steepness(synapse, gate, slopes[source])
