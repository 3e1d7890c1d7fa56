"""Whether events stand in the order of recordings."""

from __future__ import annotations

from functools import partial
from typing import Any

from event_sim.kernels.jit import compiled


@partial(compiled, bare=True)
def in_order(events: Any) -> bool:
    """Whether events are ordered by (time_s, unit)."""
    for index in range(1, len(events)):
        before, event = events[index - 1], events[index]
        if event.time_s < before.time_s or (event.time_s == before.time_s and event.unit < before.unit):
            return False
    return True
