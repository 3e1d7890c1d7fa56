"""Event-driven simulation of liquid networks: float networks asynchronously, quantised ones bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from event_sim.aer import level_crossings, read_events, write_events
    from event_sim.engines import simulate
    from event_sim.events import EventStream
    from event_sim.live import LiveStream, open
    from event_sim.recording import FinalState, Recording
    from event_sim.recording_storage import load_recording, save_recording
    from event_sim.scoring import Scores, evaluate

__all__ = [
    "EventStream",
    "FinalState",
    "LiveStream",
    "Recording",
    "Scores",
    "evaluate",
    "level_crossings",
    "load_recording",
    "open",
    "read_events",
    "save_recording",
    "simulate",
    "write_events",
]

_HOME = {
    "EventStream": "event_sim.events",
    "FinalState": "event_sim.recording",
    "LiveStream": "event_sim.live",
    "Recording": "event_sim.recording",
    "Scores": "event_sim.scoring",
    "evaluate": "event_sim.scoring",
    "level_crossings": "event_sim.aer",
    "load_recording": "event_sim.recording_storage",
    "open": "event_sim.live",
    "read_events": "event_sim.aer",
    "save_recording": "event_sim.recording_storage",
    "simulate": "event_sim.engines",
    "write_events": "event_sim.aer",
}


def __getattr__(name: str) -> Any:
    """Public names, imported when first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
