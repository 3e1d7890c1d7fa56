"""The state of the CfC's engine, kept from call to call: of whole runs and live ones, which therefore give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from event_sim.carried import Carried, Table
from event_sim.cfc_arrays import cfc_arrays, memory_weights
from event_sim.events import FloatArray
from event_sim.ltc_arrays import Log
from event_sim.ltc_machines import changes_of
from event_sim.plan import Start
from event_sim.recording import EVENT_TYPE
from event_sim.under_way import taken_up
from liquid_neuro.cells import cfc
from liquid_neuro.network import LiquidNetwork

REFRESH = 4096  # increments of a stage's sums after which they are taken anew
BLOCK = 64  # samples for whose events there is always room
_CARRIED = ("stages", "signals", "heard", "sums")  # of the kernel's arrays


class CfCMachine:
    """A CfC. memory: (units,) or None. refresh: increments after which sums are taken anew; 0 is the clock-driven run."""

    kind = "cfc"

    def __init__(self, network: LiquidNetwork, quantum: FloatArray, start: Start, refresh: int = REFRESH) -> None:
        self.network, self.values, self.refresh = network, cfc.effective(network), refresh
        self.state, self.levels, self.timespan = start.state.copy(), start.inputs.copy(), 0.0
        self.memory = None if start.memory is None else start.memory.copy()
        self.arrays, self.weights = cfc_arrays(self.values, quantum, start), memory_weights(self.values)
        self.counts, self.counters, self.log = np.zeros(network.units, dtype=np.int64), np.zeros(2, dtype=np.int64), Log(EVENT_TYPE, 0)
        carried, _ = taken_up(start.final, self.kind, False)
        if carried is not None and refresh:
            self._restore(carried.arrays)

    def _restore(self, arrays: Any) -> None:
        quanta = self.arrays.signals["quantum"].copy()
        for name in _CARRIED:
            getattr(self.arrays, name)[:] = arrays[name]
        self.levels, self.timespan = arrays["levels"].copy(), float(arrays["timespan"])
        if not (self.arrays.signals["quantum"] == quanta).all():
            self.arrays.signals["quantum"], self.timespan = quanta, 0.0  # another timespan: every unit is looked at

    def clear(self) -> None:
        """Forget the events so far."""
        self.counters[0] = 0

    @property
    def events(self) -> Table:
        """The events since `clear`, as the kernel wrote them; they bear the time of the end of their sample."""
        return self.log.array[: self.counters[0]]

    @property
    def products(self) -> int:
        """The products computed so far, those of the memory cell excepted."""
        return int(self.counters[1])

    def run(self, boundaries_s: FloatArray, _: FloatArray, timespans: FloatArray, levels: FloatArray, states: FloatArray) -> None:
        """Run samples: boundaries_s (n + 1,), timespans (n,), levels (n, inputs). states: (n + 1, units), first the present one."""
        from event_sim.kernels import cfc_delta as kernel

        count, units = len(levels), len(self.state)
        if count == 0:
            return
        samples = np.zeros(count + 1, dtype=kernel.SAMPLE)
        samples["timespan"][:-1], samples["time_s"][:-1] = timespans, boundaries_s[1:]
        samples["first_change"], channel, level = changes_of(self.levels, levels)
        changes = np.zeros(len(channel), dtype=kernel.CHANGE)
        changes["channel"], changes["level"] = channel, level
        memory, begin = np.zeros(0) if self.memory is None else self.memory, 0
        states[0] = self.state
        while begin < count:
            room = self.log.reserve(int(self.counters[0]), BLOCK * units)
            begin = kernel.run_cfc(
                begin, count, self.timespan, self.refresh, self.values.inputs, *self.arrays, samples, changes, memory, *self.weights,
                self.counters, states, room, self.counts,
            )  # fmt: skip
        self.state, self.levels, self.timespan = states[-1].copy(), levels[-1].copy(), float(timespans[-1])

    def state_at(self, _: float) -> FloatArray:
        """The state at the end of the last sample."""
        return self.state.copy()

    def carried(self, _: float = 0.0) -> Carried:
        """What goes on from the end of the last sample, copied."""
        arrays = {name: getattr(self.arrays, name).copy() for name in _CARRIED}
        return Carried(self.kind, 0.0, {**arrays, "levels": self.levels.copy(), "timespan": np.array(self.timespan)})
