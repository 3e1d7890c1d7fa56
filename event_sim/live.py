"""A live stream: events are pushed as they come, and the state can be asked for at any time; memory does not grow with the run.

The kernels' own state is kept from call to call, so that a live run equals `simulate` on the whole stream with the same quantum, byte for
byte, however the run is cut into calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim import bounds
from event_sim.cfc_machine import CfCMachine
from event_sim.events import BOUNDARY_TOLERANCE, FloatArray, IntArray
from event_sim.ltc_machines import ExactMachine, FusedMachine
from event_sim.plan import effective_changes, start_of
from event_sim.recording import FinalState, ordered_events
from liquid_neuro.cells import cfc, ltc
from liquid_neuro.checks import check_seconds, check_whole, is_number
from liquid_neuro.network import Exact, LiquidNetwork


def open(
    network: LiquidNetwork,
    *,
    quantum: npt.ArrayLike | None = None,
    tolerance: float = 1e-3,
    initial: Any = None,
    sample_s: float | None = None,
    start_s: float = 0.0,
    order: int = 1,
) -> LiveStream:
    """A live, event-driven run of a float network from time start_s on.

    quantum, initial: as in `simulate`. Without a quantum it is chosen once from `tolerance`, because what was sent cannot be taken back:
    `simulate`'s second run with a finer quantum has no counterpart here; see `error_estimate`.
    sample_s: the sample clock, which sampled solvers need (boundaries at start_s + k sample_s); none under the exact solver.
    order: as in `simulate`.
    """
    if not isinstance(network, LiquidNetwork):
        raise ValueError(f"`network` must be a LiquidNetwork, but is {type(network).__name__}; chips run whole streams, see simulate")
    return LiveStream(network, quantum, tolerance, initial, sample_s, start_s, order)


class LiveStream:
    """Made by `open`. push events in order of time, advance to a time, ask for state and output.

    time_s: how far the run has come. quantum: (units,). event_counts: (units,) events sent so far.
    """

    def __init__(
        self, network: LiquidNetwork, quantum: npt.ArrayLike | None, tolerance: float, initial: Any, sample_s: float | None, start_s: float,
        order: int,
    ) -> None:  # fmt: skip
        from event_sim.engines import order_of, quantum_of

        order_of(network, order)
        exact = isinstance(network.solver, Exact)
        if exact == (sample_s is not None):
            raise ValueError(
                "`sample_s` must not be given under the exact solver, but is; leave it out"
                if exact
                else f"`sample_s` must be given, because the solver {network.solver} steps on samples, but is None"
            )
        self.network, self.start_s = network, check_seconds("`start_s`", start_s)
        self.sample_s = None if sample_s is None else check_seconds("`sample_s`", sample_s, positive=True)
        self.time_s = self.start_s
        self.quantum = bounds.quantum_for(tolerance, network.units) if quantum is None else quantum_of(network, quantum)
        start = start_of(network, initial, keep_levels=True)
        self._levels, self._pushed_s, self._samples = start.inputs.copy(), self.time_s, 0
        self._pending: list[tuple[float, int, float]] = []
        self._exact = ExactMachine(network, self.quantum, start, self.start_s, order=order) if exact else None
        sampled = CfCMachine if network.cell == "cfc" else FusedMachine
        self._sampled = None if exact else sampled(network, self.quantum, start)

    @property
    def event_counts(self) -> IntArray:
        """(units,) events sent so far."""
        return self._machine.counts.copy()

    @property
    def error_estimate(self) -> float:
        """The worst case of a resting network's error at the present state and levels (event_sim/bounds.py), for this quantum."""
        state = self.state()
        if self.network.cell == "cfc":
            span = (self.sample_s or 0.0) / self.network.time_unit_s
            jacobian = bounds.cfc_jacobian(cfc.effective(self.network), state, self._levels, span)
        else:
            jacobian = bounds.ltc_jacobian(ltc.effective(self.network), state, self._levels)
        return bounds.response(self.quantum, [jacobian])

    @property
    def final(self) -> FinalState:
        """Where the run stands: initial= of `simulate` or `open` to go on from there."""
        state, memory = self.state(), None if self._sampled is None else self._sampled.memory
        carried = self._machine.carried(self.time_s / self.network.time_unit_s)
        whole = state if memory is None else (state, memory.copy())
        return FinalState(self.time_s, whole, self._levels.copy(), carried=carried, network=self.network.fingerprint)

    def push(self, time_s: float, channel: int, value: float) -> None:
        """Set the level of a channel from time_s on. Times must not go back, nor lie before the time advanced to."""
        pushed_s, number = check_seconds("`time_s`", time_s), check_whole("`channel`", channel, 0)
        if number >= self.network.inputs:
            raise ValueError(f"`channel` must be below the network's {self.network.inputs} inputs, but is {channel}")
        if not is_number(value) or not np.isfinite(value):
            raise ValueError(f"`value` must be finite and one number, but is {value!r:.80}")
        if pushed_s < max(self._pushed_s, self.time_s):
            raise ValueError(f"`time_s` must not go back behind {max(self._pushed_s, self.time_s):g} s, but is {pushed_s:g} s")
        self._pushed_s = pushed_s
        self._pending.append((pushed_s, number, float(value)))

    def advance(self, until: float) -> npt.NDArray[np.void]:
        """Run to a time (on a sample clock: all samples that end by then); returns the events (time_s, unit, value) sent on the way.

        Under the exact solver, what happens at `until` itself stays for the next call, because events at that time may still be pushed.
        """
        until = check_seconds("`until`", until)
        if until < self.time_s:
            raise ValueError(f"`until` must not lie before the time advanced to ({self.time_s:g} s), but is {until:g} s")
        self.time_s = until
        if self._exact is not None:
            unit_s = self.network.time_unit_s
            due = [row for row in self._pending if row[0] / unit_s < until / unit_s]
            self._pending = self._pending[len(due) :]
            time_s, channel, value = self._columns(due)
            changes = effective_changes(time_s, channel, value, self._levels)
            self._levels[channel] = value  # NumPy assigns in order: the last one wins
            return self._exact.run_before(self.time_s, *changes)
        return self._run_samples()

    def state(self, time_s: float | None = None) -> FloatArray:
        """(units,) at a time (default: where the run stands), which must not lie before the time advanced to; later times are advanced to.

        On a sample clock: the state at the end of the last sample that ended by then. Events at exactly this time are not yet in it.
        """
        if time_s is not None and check_seconds("`time_s`", time_s) != self.time_s:
            if time_s < self.time_s:
                raise ValueError(f"`time_s` must not lie before the time advanced to ({self.time_s:g} s), but is {time_s:g} s")
            self.advance(time_s)
        return self._machine.state_at(self.time_s)

    def output(self, time_s: float | None = None) -> FloatArray:
        """(outputs,) at a time, as `state`."""
        state = self.state(time_s)[None]
        output = (
            cfc.output(cfc.effective(self.network), state) if self.network.cell == "cfc" else ltc.output(ltc.effective(self.network), state)
        )
        return np.asarray(output[0])

    @property
    def _machine(self) -> ExactMachine | FusedMachine | CfCMachine:
        machine = self._sampled if self._exact is None else self._exact
        assert machine is not None
        return machine

    @staticmethod
    def _columns(rows: list[tuple[float, int, float]]) -> tuple[FloatArray, IntArray, FloatArray]:
        return np.array([r[0] for r in rows]), np.array([r[1] for r in rows], dtype=np.int64), np.array([r[2] for r in rows])

    def _run_samples(self) -> npt.NDArray[np.void]:
        """Run the samples that end by time_s. An event takes effect at the first boundary at or after its time."""
        assert self._sampled is not None
        assert self.sample_s is not None
        last = int(np.floor((self.time_s - self.start_s) / self.sample_s + BOUNDARY_TOLERANCE))
        count, first = max(last - self._samples, 0), self._samples
        levels, waiting = np.empty((count, self.network.inputs)), 0
        for number in range(count):
            while waiting < len(self._pending) and self._sample_of(self._pending[waiting][0]) <= first + number:
                _, channel, value = self._pending[waiting]
                self._levels[channel] = value
                waiting += 1
            levels[number] = self._levels
        self._pending, self._samples = self._pending[waiting:], first + count
        boundaries = np.asarray(self.start_s + self.sample_s * np.arange(first, first + count + 1), dtype=np.float64)
        lengths, spans = np.full(count, self.sample_s), np.full(count, self.sample_s / self.network.time_unit_s)
        self._sampled.clear()
        self._sampled.run(boundaries, lengths, spans, levels, np.empty((count + 1, self.network.units)))
        return ordered_events(self._sampled.events)

    def _sample_of(self, time_s: float) -> int:
        assert self.sample_s is not None
        return int(np.ceil((time_s - self.start_s) / self.sample_s - BOUNDARY_TOLERANCE))
