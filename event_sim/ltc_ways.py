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
from event_sim.ltc_arrays import Synapses, records_of
from liquid_neuro.cells.ltc import LTCValues

EVENT = 3.0  # beside its synapses
TOUCH = 6.0  # a neuron whose course changes
SAMPLE, STATE, KEPT = 50.0, 1.25, 5_000  # a sample, and each state that is written at its end; of larger networks few will be kept
STEP, NEURON, TOLD, HEARD = 8.0, 0.135, 0.7, 0.43  # together: a sub-step, one of a neuron, an event, a place in a row of synapses
LANE_STEP, EVALUATION, SLOT = 6.0, 0.18, 0.9  # in lanes: a sub-step, a synapse in it, a neuron
CALL = 5_000.0  # of another kernel
BEGIN, MAKE = 50_000.0, 6.0  # lanes, and a synapse's place in them
OPEN = 2.5  # a synapse whose gate is needed again
COPY = 3.0  # a neuron's place among the others
TAKE, PUT = 0.85, 0.65  # a synapse's place in a row: reading it, and writing back what it contributes
MOST_SYNAPSES = 4_000_000  # of networks for which there is memory to hold all synapses more than once


def prices_of(values: LTCValues) -> Any:
    """kernels.ways.Prices of a network. Where synapses have delays, there is only the loop."""
    from event_sim.kernels.lanes import LANES
    from event_sim.kernels.ways import Prices

    units, own, sensory = values.units, len(values.w) + len(values.gap_w), len(values.sensory_w)
    fan_out, rows = own / units, own + sensory if own + sensory <= MOST_SYNAPSES else 0
    return Prices(
        sample=SAMPLE + STATE * min(units, KEPT),
        event=EVENT,
        touch=TOUCH,
        neurons=STEP + NEURON * units,
        told=TOLD,
        heard=HEARD * max(fan_out + (LANES - 1) / 2, LANES) / max(fan_out, 1.0),  # the last block of a row is half empty
        everything=LANE_STEP + EVALUATION * own + SLOT * units,
        sensory=EVALUATION * sensory,
        fan_out=fan_out,
        hearing=sensory / max(values.inputs, 1),
        to_together=np.inf if values.has_delays else CALL + COPY * units + TAKE * rows,
        to_loop=CALL + (COPY + TOUCH) * units + PUT * rows,
        to_lanes=np.inf if own + sensory > MOST_SYNAPSES else BEGIN + MAKE * (own + sensory),
        from_lanes=CALL + OPEN * (own + sensory) + COPY * units + TAKE * rows,
    )


def first_way(prices: Any) -> int:
    """On which way to begin: together, because most neurons move at first."""
    from event_sim.kernels import ways

    return ways.TOGETHER if np.isfinite(prices.to_together) else ways.LOOP


class Together:
    """All neurons of a network, for kernels.ltc_together, and its synapses in rows, where there is memory for both.

    fresh: whether the rows say what each synapse contributes now.
    """

    def __init__(self, values: LTCValues, prices: Any, synapses: Synapses) -> None:
        from event_sim.kernels import ltc_together as kernel
        from event_sim.kernels.lanes import LANES
        from event_sim.kernels.rows import rows_of

        size, self.prices, self.synapses = values.units + -values.units % LANES, prices, synapses
        fields = [records_of(count, np.float64) for count in (*[size] * 11, 2 * (size + LANES))]
        self.neurons = kernel.Neurons._make([*fields, np.empty(values.units, dtype=np.int64)])
        few = len(synapses.synapses) <= MOST_SYNAPSES
        self.rows, self.fresh = rows_of(np.diff(synapses.first) if few else np.zeros(0, dtype=np.int64)), False

    def run(self, begin: int, end: int, unfolds: int, neurons: Table, samples: Table, changes: Table, kept: IntArray, progress: Table,
            states: FloatArray, events: Table, counts: IntArray) -> int:  # fmt: skip
        """Run samples begin..end-1 or fewer; returns the first that was not run."""
        from event_sim.kernels import ltc_together as kernel
        from event_sim.kernels import ways

        first, at_once, synapses, first_gap, gaps = self.synapses[:5]
        done = int(
            kernel.run_together(
                begin, end, unfolds, self.fresh, self.prices, neurons, self.neurons, self.rows, first, at_once, synapses, first_gap, gaps,
                samples, changes, kept, progress, states, events, counts,
            )
        )  # fmt: skip
        self.fresh = bool(progress[0]["way"] == ways.TOGETHER)
        return done


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
