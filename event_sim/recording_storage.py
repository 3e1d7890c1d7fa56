"""Recordings as files: all of a run, bit for bit."""

from __future__ import annotations

import importlib
from pathlib import Path

from event_sim import carried, events, recording
from event_sim.recording import Recording
from liquid_neuro.archive import dataclasses_of, read_archive, write_archive

KIND = "recording"
_CHIP_MODULES = ("event_sim.chip_activity", "event_sim.chip_state", "event_sim.fixed", "event_sim.frames")


def save_recording(run: Recording, path: str | Path) -> Path:
    """Write a recording to `path` (.npz by custom) and return the path. `load_recording` gives it back bit for bit."""
    return write_archive(path, KIND, run, _classes())


def load_recording(path: str | Path) -> Recording:
    """The recording of a file. A damaged, foreign or inconsistent file is a ValueError of one sentence."""
    run = read_archive(path, KIND, _classes(), Recording)
    if len(run.state) != len(run.state_times_s) or run.state.ndim != 2:
        raise ValueError(
            f'"{path}" must have one state per time, but has shapes {run.state.shape} and {run.state_times_s.shape}; write it again'
        )
    if len(run.event_counts) and len(run.events) and int(run.events["unit"].max()) >= len(run.event_counts):
        raise ValueError(f'"{path}" must have events of its {len(run.event_counts)} units only, but has others; write it again')
    return run


def _classes() -> tuple[type, ...]:
    return dataclasses_of(recording, carried, events, *(importlib.import_module(name) for name in _CHIP_MODULES))
