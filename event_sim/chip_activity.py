"""What a chip did during a run: counts per compartment and projection, from which energy and time follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trace:
    """Every tick's words: per population (ticks, size) states after the tick, and messages last sent by then. Row 0 is tick first_tick."""

    first_tick: int
    state: Mapping[str, IntArray]
    sent: Mapping[str, IntArray]


@dataclass(frozen=True, eq=False)
class ChipActivity:
    """Counts of a run: of the turns that belong to its samples, so that the runs of a stream in pieces add up to the run of the whole.

    samples, ticks, ticks_per_sample: ticks is the number that were run, those in which the last sample's answer arrives included; a run
    that goes on from another does not count those of the other again.
    spikes: population -> (size,) messages sent. updates: population -> (size,) turns, at each of which a chip runs the program.
    active_updates: population -> (size,) turns at which something could change (an accumulator had moved, or the state still did).
    stored_operations: (projections,) weights that met a message, in the order of the network's projections.
    clocked_operations: what they would be if every compartment sent at each of its turns.
    saturations: population (state words), "population.port" (accumulators) or "input" (samples outside of the input format) -> how often.
    spikes_per_tick: population -> (ticks,); None for runs of more ticks than `event_sim.chip_run.MOST_TICKS`. trace: None unless asked.
    """

    samples: int
    ticks: int
    ticks_per_sample: int
    spikes: Mapping[str, IntArray]
    updates: Mapping[str, IntArray]
    active_updates: Mapping[str, IntArray]
    stored_operations: IntArray
    clocked_operations: int
    saturations: Mapping[str, int]
    spikes_per_tick: Mapping[str, IntArray] | None = None
    trace: Trace | None = None

    @property
    def total_spikes(self) -> int:
        """All messages, inputs included."""
        return int(sum(counts.sum() for counts in self.spikes.values()))

    @property
    def total_saturations(self) -> int:
        """All saturations; 0 means that no word ever left its range."""
        return sum(self.saturations.values())
