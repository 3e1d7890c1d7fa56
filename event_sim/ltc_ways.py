"""The other ways of an event-driven LTC under Fused, beside the loop over messages: what they need, and what they cost (kernels/ways.py).

Prices are in synaptic operations of the loop, of about 4 ns, and were fitted to times of the kernels on networks of 19, 302 and 2,000
neurons; they need to be right to some ten per cent of each other only. `python -m benchmarks.streams --prices` prints what a unit takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from event_sim.carried import Table
from event_sim.clocked_arrays import couplings_of, membranes_of, rows_of, slots_of
from event_sim.events import FloatArray, IntArray
from event_sim.ltc_arrays import Synapses
from liquid_neuro.cells.ltc import LTCValues

EVENT = 3.0  # beside its synapses
TOUCH = 6.0  # a neuron whose course changes
SAMPLE, STATE, KEPT = 50.0, 1.25, 5_000  # a sample, and each state that is written at its end; of larger networks few will be kept
STEP, NEURON, HEARD = 3.0, 0.2, 1.15  # together: a sub-step, one of a neuron, a synapse that hears a message
LANE_STEP, EVALUATION, SLOT = 6.0, 0.18, 0.9  # in lanes: a sub-step, a synapse in it, a neuron
CALL = 5_000.0  # of another kernel
BEGIN, MAKE = 50_000.0, 6.0  # lanes, and a synapse's place in them
OPEN = 2.5  # a synapse whose gate is needed again
COPY = 3.0  # a neuron's place among the others
MOST_SYNAPSES = 4_000_000  # of networks for which there is memory to hold all synapses twice


def prices_of(values: LTCValues) -> Any:
    """kernels.ways.Prices of a network. Where synapses have delays, there is only the loop."""
    from event_sim.kernels.ways import Prices

    units, own, sensory = values.units, len(values.w) + len(values.gap_w), len(values.sensory_w)
    return Prices(
        sample=SAMPLE + STATE * min(units, KEPT),
        event=EVENT,
        touch=TOUCH,
        neurons=STEP + NEURON * units,
        heard=HEARD,
        everything=LANE_STEP + EVALUATION * own + SLOT * units,
        sensory=EVALUATION * sensory,
        fan_out=own / units,
        hearing=sensory / max(values.inputs, 1),
        to_together=np.inf if values.has_delays else CALL + COPY * units,
        to_loop=CALL + (COPY + TOUCH) * units,
        to_lanes=np.inf if own + sensory > MOST_SYNAPSES else BEGIN + MAKE * (own + sensory),
        from_lanes=CALL + OPEN * (own + sensory) + COPY * units,
    )


def first_way(prices: Any) -> int:
    """On which way to begin: together, because most neurons move at first."""
    from event_sim.kernels import ways

    return ways.TOGETHER if np.isfinite(prices.to_together) else ways.LOOP


class Together:
    """All neurons of a network, for kernels.ltc_together; synapses and scratch are the loop's own."""

    def __init__(self, values: LTCValues, prices: Any, synapses: Synapses, scratch: tuple[Any, ...]) -> None:
        from event_sim.kernels import ltc_together as kernel
        from event_sim.kernels.lanes import LANES

        size, self.prices, self.synapses, self.scratch = values.units + -values.units % LANES, prices, synapses, scratch
        self.neurons = kernel.Neurons._make([*np.zeros((12, size)), np.empty(values.units, dtype=np.int64)])

    def run(self, begin: int, end: int, unfolds: int, neurons: Table, samples: Table, changes: Table, kept: IntArray, progress: Table,
            states: FloatArray, events: Table, counts: IntArray) -> int:  # fmt: skip
        """Run samples begin..end-1 or fewer; returns the first that was not run."""
        from event_sim.kernels import ltc_together as kernel

        first, at_once, synapses, first_gap, gaps = self.synapses[:5]
        return int(
            kernel.run_together(
                begin, end, unfolds, self.prices, neurons, self.neurons, first, at_once, synapses, first_gap, gaps, samples, changes, kept,
                progress, states, events, counts, *self.scratch,
            )
        )  # fmt: skip


class InLanes:
    """All neurons and synapses of a network, for kernels.ltc_lanes."""

    def __init__(self, values: LTCValues, prices: Any) -> None:
        from event_sim.kernels.lanes import LANES
        from event_sim.kernels.ltc_lanes import Slots

        self.values, self.prices = values, prices
        units = slots_of(values, LANES)
        self.slot_of = np.zeros(values.units, dtype=np.int64)
        self.slot_of[units[units >= 0]] = np.flatnonzero(units >= 0)
        self.slots = Slots._make([*np.zeros((5, len(units))), np.empty(2 * LANES)])
        self.membranes, self.couplings = membranes_of(values, units, values.epsilon, outputs=0), couplings_of(values, units)
        self.recurrent, self.sensory = rows_of(values, units)

    def run(self, begin: int, end: int, unfolds: int, neurons: Table, levels: FloatArray, samples: Table, changes: Table, kept: IntArray,
            progress: Table, states: FloatArray, events: Table, counts: IntArray) -> int:  # fmt: skip
        """Run samples begin..end-1 or fewer; returns the first that was not run. levels: (inputs,) mapped inputs before, changed."""
        from event_sim.kernels.ltc_lanes import run_lanes

        return int(
            run_lanes(
                begin, end, unfolds, neurons, self.slots, self.slot_of, self.prices, self.membranes, self.recurrent, self.sensory,
                self.couplings, levels, samples, changes, self.slot_of[kept], progress, states, events, counts,
            )
        )  # fmt: skip
