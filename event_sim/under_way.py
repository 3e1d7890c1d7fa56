"""The times at which something happens and the messages under way, as the kernels keep them (kernels/lines.py)."""

from __future__ import annotations

from typing import Any

import numpy as np

from event_sim.carried import PAST_TYPE, Carried, Table
from event_sim.events import FloatArray
from event_sim.ltc_arrays import Synapses
from event_sim.recording import FinalState

FIRST_MESSAGES = 64


class UnderWay:
    """heap, place: of `offset` neurons and all lines. messages, newest (sources,): what lines have yet to hear.

    Their counts stand in the run's progress, a record with the fields free and room.
    """

    def __init__(self, synapses: Synapses, offset: int, progress: Table) -> None:
        from event_sim.kernels import lines as kernel

        self.synapses, self.offset, self.progress = synapses, offset, progress
        entries = offset + len(synapses.lines)
        self.heap, self.place = np.zeros(entries, dtype=kernel.HEAP), np.zeros(entries, dtype=np.int64)
        self.newest = np.full(len(synapses.at_once), -1, dtype=np.int64)
        self.messages = np.zeros(0, dtype=kernel.MESSAGE)
        progress["free"], progress["room"] = -1, 0
        self.schedule(np.full(entries, np.inf))

    @property
    def due(self) -> FloatArray:
        """(entries,): when each entry is due."""
        return np.asarray(self.heap["due"][self.place])

    def schedule(self, due: FloatArray) -> None:
        """Set all times anew."""
        from event_sim.kernels import lines as kernel

        if len(due):
            kernel.schedule_all(self.heap, self.place, due)

    def reserve(self, room: int) -> None:
        """Make room for more than so many messages, where there are lines."""
        at = self.progress[0]
        if not len(self.synapses.lines) or at["room"] > room:
            return
        size = len(self.messages)
        grown = np.zeros(max(2 * size, size + 2 * room, FIRST_MESSAGES), dtype=self.messages.dtype)
        grown[:size] = self.messages
        grown["next"][size:] = np.append(np.arange(size + 1, len(grown)), at["free"])
        at["free"], at["room"], self.messages = size, at["room"] + len(grown) - size, grown

    def carried(self) -> dict[str, Table]:
        """Copies of the arrays that tell all of this."""
        lines = self.synapses.lines
        return {"due": self.due, "lines": lines.copy(), "messages": self.messages.copy(), "newest": self.newest.copy()}

    def restore(self, arrays: Any, shift: float) -> None:
        """Take the arrays that `carried` gave, with all times later by `shift`. free and room must stand in progress already."""
        self.synapses.lines[:], self.newest[:] = arrays["lines"], arrays["newest"]
        self.messages = arrays["messages"].copy()
        if shift:
            self.synapses.lines["heard_at"] += shift
            self.messages["time"] += shift
        self.schedule(arrays["due"] + shift)
        self._open()

    def past(self, now: float) -> Table | None:
        """What lines have yet to hear (event_sim.carried.PAST_TYPE), None without lines."""
        from event_sim.kernels import lines as kernel

        if not len(self.synapses.lines):
            return None
        past = np.zeros(len(self.messages) + len(self.newest), dtype=PAST_TYPE)
        return past[: kernel.list_past(self.synapses.lines, self.messages, now, past)].copy()

    def recall(self, past: Table | None, now: float, levels: FloatArray) -> None:
        """Take up what another engine had under way, if there is anything, and send levels (sources,) behind it, which are what is heard at
        once. Sums of neurons are to be taken afterwards."""
        from event_sim.kernels import lines as kernel

        if past is None:
            return
        present = np.zeros(len(levels), dtype=PAST_TYPE)
        present["source"], present["level"] = np.arange(len(levels)), levels
        past = np.concatenate([past, present[np.diff(self.synapses.first_line) > 0]])
        past = past[np.lexsort((-past["age"], past["source"]))]
        self.reserve(len(past))
        kernel.recall(
            self.progress, self.messages, self.newest, self.synapses.first_line, self.synapses.lines, self.heap, self.place, self.offset,
            now, past,
        )  # fmt: skip
        self._open()

    def _open(self) -> None:
        """Let the synapses of lines contribute what their lines last heard."""
        from event_sim.kernels.synapses import open_gates

        first, last, level = (self.synapses.lines[name].copy() for name in ("first", "last", "level"))
        open_gates(first, last, self.synapses.synapses, level)


def taken_up(final: FinalState | None, kind: str, has_delays: bool) -> tuple[Carried | None, Table | None]:
    """(what an engine of this kind carried to the end of a run and can go on with, else what is under way), of those what there is.

    ValueError where messages under way would be lost.
    """
    carried = None if final is None else final.carried
    if carried is not None and carried.kind == kind:
        return carried, None
    past = None if carried is None else carried.past
    if has_delays and final is not None and past is None:
        raise ValueError(
            "`initial` must tell what is still under way to synapses with delays, but does not; go on with the engine and order that ran, "
            "or give the state alone (initial=final.state)"
        )
    return None, past
