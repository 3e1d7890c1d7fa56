"""What a recording keeps of a run: the states of which units, and how many events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from event_sim.events import IntArray
from liquid_neuro.checks import is_whole

if TYPE_CHECKING:
    from event_sim.recording import Recording

Record = str | Sequence[int]
FEWEST = 1 << 16  # events worth emptying a log for


@dataclass(frozen=True, eq=False)
class Keep:
    """units (n,): whose states are kept, in this order. most_events: how many of the last events, None for all.

    columns (m,): whose states a run writes: the outputs first, because y is made of them, then the other units. places (n,): where the
    units stand among the columns. whole: whether the states of all units are kept in their order.
    """

    units: IntArray
    columns: IntArray
    places: IntArray
    most_events: int | None = None
    whole: bool = True

    def latest(self, events: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The events that are kept."""
        return events if self.most_events is None else events[max(len(events) - self.most_events, 0) :]


def keep_of(record: Record, most_events: int | None, units: int, outputs: int) -> Keep:
    """The Keep of `simulate`'s arguments. ValueError where they are not what it describes."""
    if most_events is not None and (not is_whole(most_events) or most_events < 0):
        raise ValueError(f"`most_events` must be a whole number of at least 0, but is {most_events!r:.80}; leave it out to keep all events")
    named = {"all": np.arange(units), "outputs": np.arange(min(outputs, units)), "none": np.arange(0)}
    if isinstance(record, str):
        if record not in named:
            raise ValueError(f'`record` must be "all", "outputs", "none" or a list of units, but is "{record}"')
        chosen = named[record]
    else:
        given = np.asarray(record)
        if given.ndim != 1 or (given.size and given.dtype.kind not in "iu") or ((given < 0) | (given >= units)).any():
            raise ValueError(f"`record` must list units from 0 to {units - 1}, but is {record!r:.80}")
        chosen = given.astype(np.int64)
    first = named["outputs"]
    if np.array_equal(chosen, named["all"]):
        return Keep(chosen, chosen, chosen, most_events)
    columns = np.concatenate([first, np.setdiff1d(chosen, first)])
    order = np.argsort(columns, kind="stable")
    places = order[np.searchsorted(columns[order], chosen)] if len(columns) else chosen
    return Keep(chosen.astype(np.int64), columns.astype(np.int64), places.astype(np.int64), most_events, whole=False)


class Latest:
    """The events of an event-driven machine that are kept: all, or the last ones of a run whose log is emptied from time to time."""

    def __init__(self, keep: Keep, machine: Any) -> None:
        self.keep, self.machine, self.dropped = keep, machine, 0
        self._before: npt.NDArray[Any] | None = None

    def take(self) -> None:
        """Empty the machine's log where it is long enough."""
        most = self.keep.most_events
        if most is not None and len(self.machine.events) > max(most, FEWEST):
            self._before = self.events().copy()
            self.machine.clear()

    def events(self) -> npt.NDArray[Any]:
        """Those of all so far that are kept; `dropped` counts the others. To be asked once behind the last `take`."""
        every = self.machine.events if self._before is None else np.concatenate([self._before, self.machine.events])
        latest = self.keep.latest(every)
        self.dropped += len(every) - len(latest)
        return latest


def kept(run: Recording, keep: Keep, units: int) -> Recording:
    """The recording of a run that wrote the states of all units, or of the columns, with what is to be kept of it."""
    events = keep.latest(run.events)
    dropped = run.events_dropped + len(run.events) - len(events)
    if keep.whole:
        return run if dropped == run.events_dropped else replace(run, events=events, events_dropped=dropped)
    state = run.state[:, keep.units] if run.state.shape[1] == units else run.state[:, keep.places]
    return replace(run, state=state, state_units=keep.units, events=events, events_dropped=dropped)
