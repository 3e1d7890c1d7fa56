"""Address-event files (time, channel, value) as .npz and .csv, and the level-crossing encoder."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from event_sim.events import EventStream, FloatArray

SECONDS, MICROSECONDS = ["time_s", "channel", "value"], ["t_us", "channel", "value"]
MOST_CROSSINGS = 10_000_000


def write_events(stream: EventStream, path: str | Path) -> Path:
    """Write the rows of a stream to a .npz (its sample clock too) or .csv file (rows alone); `read_events` gives them back bit for bit."""
    place = Path(path)
    if place.suffix == ".csv":
        with place.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(SECONDS)
            table.writerows((repr(time_s), channel, repr(value)) for time_s, channel, value in stream)
    elif place.suffix == ".npz":
        arrays = {"time_s": stream.time_s, "channel": stream.channel, "value": stream.value, "channels": np.array(stream.channels)}
        if stream.sample_times_s is not None:
            arrays["sample_times_s"] = stream.sample_times_s
        with place.open("wb") as target:
            np.savez(target, **arrays)  # type: ignore[arg-type]
    else:
        raise ValueError(f'`path` must end in .npz or .csv, but is "{place}"')
    return place


def read_events(path: str | Path, bits: int = 32) -> EventStream:
    """The stream of a .npz or .csv file with columns time_s (or t_us), channel and value.

    t_us: a microsecond counter of so many bits that wraps around (event cameras); time 0 is then the first row.
    A missing, damaged or foreign file is a ValueError of one sentence; rows out of order are refused with the row.
    """
    place = Path(path)
    if place.suffix not in (".csv", ".npz"):
        raise ValueError(f'`path` must end in .npz or .csv, but is "{place}"')
    try:
        columns = _csv_columns(place) if place.suffix == ".csv" else _npz_columns(place)
    except (OSError, zipfile.BadZipFile, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f'"{place}" must be a readable file of events, but is not: {error}') from None
    if not {"channel", "value"} <= columns.keys() or not {"time_s", "t_us"} & columns.keys():
        raise ValueError(f'"{place}" must have columns time_s (or t_us), channel and value, but has {", ".join(sorted(columns)) or "none"}')
    channels = int(columns["channels"]) if "channels" in columns else -1
    if "time_s" in columns:
        clock = columns.get("sample_times_s")
        return EventStream(columns["time_s"], columns["channel"], columns["value"], clock, channels=channels)  # type: ignore[arg-type]
    return EventStream.from_counter(columns["t_us"], columns["channel"], columns["value"], bits=bits, channels=channels)


def _csv_columns(place: Path) -> dict[str, npt.NDArray[np.float64]]:
    with place.open(newline="") as file:
        rows = list(csv.reader(file))
    header = rows[0] if rows else []
    if header not in (SECONDS, MICROSECONDS):
        return {name: np.zeros(0) for name in header}
    for number, row in enumerate(rows[1:], 1):
        if len(row) != 3:
            raise ValueError(f'"{place}" must have 3 fields per row, but has {len(row)} in row {number}')
    try:
        table = np.array(rows[1:], dtype=np.float64).reshape(-1, 3)
    except ValueError as error:
        raise ValueError(f'"{place}" must hold numbers only, but does not: {error}') from None
    return dict(zip(header, table.T))


def _npz_columns(place: Path) -> dict[str, npt.NDArray[np.float64]]:
    if place.exists() and not zipfile.is_zipfile(place):
        raise ValueError(f'"{place}" must be a whole .npz file, but is not')
    with np.load(place, allow_pickle=False) as arrays:
        try:
            return {name: arrays[name] for name in arrays.files}
        except ValueError:
            raise ValueError(f'"{place}" must hold plain numbers, but holds objects') from None


def level_crossings(time_s: npt.ArrayLike, x: npt.ArrayLike, spacing: float) -> EventStream:
    """Events where signals cross multiples of `spacing`: their value is the multiple, their time that of the crossing.

    x: (K, channels) or (K,) at ascending times time_s (K,), joined by straight lines. The first event of a channel tells the multiple that
    is nearest to its first value. A channel sends where it reaches another multiple than it last sent, so the held level is never further
    than `spacing` from the joined signal: |x(t) - level(t)| <= spacing for all times from the first to the last.
    """
    times, rows = np.asarray(time_s, dtype=np.float64), np.asarray(x, dtype=np.float64)
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or times.shape != (len(rows),) or len(rows) == 0:
        raise ValueError(f"`x` must have one row per time, but shapes are {times.shape} and {rows.shape}")
    if not (np.isfinite(rows).all() and np.isfinite(times).all()) or not (np.diff(times) > 0).all():
        raise ValueError("`time_s` and `x` must be finite and times ascending, but are not")
    if not (np.isfinite(spacing) and spacing > 0):
        raise ValueError(f"`spacing` must be a positive number, but is {spacing}")
    crossings = float(np.abs(np.diff(rows, axis=0)).sum() / spacing)
    if crossings > MOST_CROSSINGS:
        raise ValueError(f"`spacing` must lead to at most {MOST_CROSSINGS} events, but leads to about {crossings:.0f}; use a wider one")
    found: list[tuple[float, int, float]] = []
    for channel in range(rows.shape[1]):
        found += [(moment, channel, number * spacing) for moment, number in _crossings(times, rows[:, channel] / spacing)]
    found.sort(key=lambda row: row[:2])
    columns = [np.array([row[index] for row in found]) for index in range(3)]
    return EventStream(columns[0], columns[1].astype(np.int64), columns[2], channels=rows.shape[1], restarts=True)


def _crossings(times: FloatArray, x: FloatArray) -> list[tuple[float, int]]:
    """(time, whole number) where the joined signal reaches another whole number than the one before."""
    level = int(np.rint(x[0]))
    found = [(float(times[0]), level)] if level != 0 else []
    for before, after, begin, end in zip(x[:-1].tolist(), x[1:].tolist(), times[:-1].tolist(), times[1:].tolist()):
        while after >= level + 1 or after <= level - 1:
            level += 1 if after > level else -1
            share = min(max((level - before) / (after - before), 0.0), 1.0) if after != before else 1.0
            found.append((begin + (end - begin) * share, level))
    return found
