"""Address-event files (time, channel, value) as .npz and .csv, and the level-crossing encoder."""

from __future__ import annotations

import csv
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from event_sim.events import EventStream, FloatArray
from liquid_neuro.archive import BROKEN, write_atomically
from liquid_neuro.checks import as_numbers, check_path, is_number

COLUMNS = ("time_s", "channel", "value")
MOST_CROSSINGS = 10_000_000


def write_events(stream: EventStream, path: str | Path) -> Path:
    """Write the rows of a stream to a .npz (its sample clock too) or .csv file (rows alone); `read_events` gives them back bit for bit."""
    if not isinstance(stream, EventStream):
        raise ValueError(f"`stream` must be an EventStream, but is {type(stream).__name__}")
    place = _place(path)
    return write_atomically(place, partial(_write_csv if place.suffix == ".csv" else _write_npz, stream))


def read_events(path: str | Path, bits: int = 32) -> EventStream:
    """The stream of a .npz or .csv file with columns time_s (or t_us), channel and value, in any order; others are passed over.

    t_us: a microsecond counter of so many bits that wraps around (event cameras); time 0 is then the first row.
    A missing, damaged or foreign file is a ValueError of one sentence; rows out of order are refused with the row.
    """
    place = _place(path)
    try:
        columns = _csv_columns(place) if place.suffix == ".csv" else _npz_columns(place)
    except (OSError, UnicodeDecodeError, csv.Error, *BROKEN) as error:
        raise ValueError(f'"{place}" must be a readable file of events, but is not: {error!s:.200}') from None
    if not {"channel", "value"} <= columns.keys() or not {"time_s", "t_us"} & columns.keys():
        raise ValueError(f'"{place}" must have columns time_s (or t_us), channel and value, but has {", ".join(sorted(columns)) or "none"}')
    try:
        channels = int(columns["channels"]) if "channels" in columns else -1
        if "time_s" in columns:
            clock = columns.get("sample_times_s")
            return EventStream(columns["time_s"], columns["channel"], columns["value"], clock, channels=channels)  # type: ignore[arg-type]
        return EventStream.from_counter(columns["t_us"], columns["channel"], columns["value"], bits=bits, channels=channels)
    except (ValueError, TypeError) as error:
        raise ValueError(f'"{place}" must hold a stream, but does not: {error}') from None


def _place(path: str | Path) -> Path:
    place = check_path("`path`", path)
    if place.suffix not in (".csv", ".npz"):
        raise ValueError(f'`path` must end in .npz or .csv, but is "{place}"')
    return place


def _write_csv(stream: EventStream, place: Path) -> None:
    with place.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows((repr(time_s), channel, repr(value)) for time_s, channel, value in stream)


def _write_npz(stream: EventStream, place: Path) -> None:
    arrays = {"time_s": stream.time_s, "channel": stream.channel, "value": stream.value, "channels": np.array(stream.channels)}
    if stream.sample_times_s is not None:
        arrays["sample_times_s"] = stream.sample_times_s
    with place.open("wb") as target:
        np.savez(target, **arrays)  # type: ignore[arg-type]


def _csv_columns(place: Path) -> dict[str, npt.NDArray[np.float64]]:
    with place.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    header = [name.strip() for name in rows[0]] if rows else []
    if len(set(header)) < len(header):
        raise ValueError(f'"{place}" must name each column once, but does not')
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(header):
            raise ValueError(f'"{place}" must have {len(header)} fields per row, but has {len(row)} in row {number}')
    wanted = {name: header.index(name) for name in (*COLUMNS, "t_us") if name in header}
    try:
        table = np.array([[row[column] for column in wanted.values()] for row in rows[1:]], dtype=np.float64)
    except ValueError as error:
        raise ValueError(f'"{place}" must hold numbers only, but does not: {error}') from None
    return {name: np.zeros(0) for name in header} | dict(zip(wanted, table.reshape(-1, max(len(wanted), 1)).T))


def _npz_columns(place: Path) -> dict[str, npt.NDArray[np.float64]]:
    if place.exists() and not zipfile.is_zipfile(place):
        raise ValueError(f'"{place}" must be a whole .npz file, but is not')
    with np.load(place, allow_pickle=False) as arrays:
        try:
            return {name: arrays[name] for name in arrays.files}
        except ValueError:
            raise ValueError(f'"{place}" must hold plain numbers alone, but does not') from None


def level_crossings(time_s: npt.ArrayLike, x: npt.ArrayLike, spacing: float) -> EventStream:
    """Events where signals cross multiples of `spacing`: their value is the multiple, their time that of the crossing.

    x: (K, channels) or (K,) at ascending times time_s (K,), joined by straight lines. The first event of a channel tells the multiple that
    is nearest to its first value. A channel sends where it reaches another multiple than it last sent, so the held level is never further
    than `spacing` from the joined signal: |x(t) - level(t)| <= spacing for all times from the first to the last.
    """
    times, rows = as_numbers("`time_s`", time_s), as_numbers("`x`", x)
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or times.shape != (len(rows),) or len(rows) == 0:
        raise ValueError(f"`x` must have one row per time, but shapes are {times.shape} and {rows.shape}")
    if not (np.isfinite(rows).all() and np.isfinite(times).all()) or not (np.diff(times) > 0).all():
        raise ValueError("`time_s` and `x` must be finite and times ascending, but are not")
    if not is_number(spacing) or not (np.isfinite(spacing) and spacing > 0):
        raise ValueError(f"`spacing` must be a positive number, but is {spacing!r:.80}")
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
