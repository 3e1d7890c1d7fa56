"""Real streams for benchmarks: the room-occupancy data that come along, and others from a folder that the user names."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.tasks import occupancy

Samples = npt.NDArray[np.float64]


def _table(path: Path, first: int, last: int, header: bool = True) -> Samples:
    """Columns first..last-1 of a gzipped file with commas; what is no number is the number before it, 0 at first."""
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.reader(file))[int(header) :]
    values = np.zeros((len(rows), last - first))
    for index, row in enumerate(rows):
        for column, text in enumerate(row[first:last]):
            values[index, column] = float(text) if text not in ("", "?") else values[max(index - 1, 0), column]
    return values


def _ecg(folder: Path) -> Samples:
    return _array(folder / "ecg_mitbih" / "record100.npz", lambda file: (file["adc"] - 1024.0) / 200.0)


def _array(path: Path, take: Callable[[Any], Any]) -> Samples:
    with np.load(path) as file:
        return np.asarray(take(file), dtype=np.float64)


def _car(folder: Path) -> Samples:
    """Speed and steering on the speed's own clock."""
    return _array(folder / "comma2k19_segment" / "segment.npz", lambda file: np.column_stack([file["speed"], file["steering_deg"]]))


LOADERS: dict[str, Callable[[Path], Samples]] = {
    "occupancy (5 channels, 1 min)": lambda _: np.asarray(occupancy().streams[0].x, dtype=np.float64),
    "ECG record 100 (2, 360 Hz)": _ecg,
    "C-MAPSS FD001 (24, a cycle)": lambda folder: _table(folder / "cmapss_fd001" / "train_FD001.csv.gz", 2, 26),
    "EEG eye state (14, 128 Hz)": lambda folder: _table(folder / "eeg_eye_state" / "eeg_eye_state.csv.gz", 0, 14),
    "ozone (72, a day)": lambda folder: _table(folder / "ozone" / "eighthr.data.gz", 1, 73, header=False),
    "half-cheetah (17)": lambda folder: _array(folder / "halfcheetah" / "halfcheetah.npz", lambda file: file["obs"][0]),
    "walker2d (17)": lambda folder: _array(folder / "walker2d" / "walker2d.npz", lambda file: file["obs"][:1000]),
    "Japanese vowels (12)": lambda folder: _array(folder / "japanese_vowels" / "japanese_vowels.npz", lambda file: file["train_x"]),
    "movement AAL (4, 8 Hz)": lambda folder: _array(folder / "movement_aal" / "movement_aal.npz", lambda file: file["rss"]),
    "car speed and steering (2, 83 Hz)": _car,
    "gyro of an aircraft (3, 250 Hz)": lambda folder: _array(
        folder / "px4_imu_attitude" / "px4_imu_attitude.npz", lambda file: file["gyro"]
    ),
    "persons' tags (3)": lambda folder: _table(folder / "person_activity_part" / "person_activity_A01_A03.csv.gz", 3, 6),
    "lidar (541 beams)": lambda folder: _array(folder / "lidar_collision_avoidance" / "lidar.npz", lambda file: file["lidar_mm"]),
}


def streams(folder: Path | None, samples: int) -> dict[str, Samples]:
    """The first samples of every stream that is there, each channel standardised; channels that never change are 0."""
    found = {}
    for name, load in LOADERS.items():
        try:
            x = load(folder or Path())
        except FileNotFoundError:
            continue
        deviation = x.std(axis=0)
        found[name] = ((x - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0))[:samples]
    return found
