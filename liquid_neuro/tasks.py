"""Tasks: labelled time series with a protocol, and the memoryless baseline that every result stands beside.

`occupancy()` is the room-occupancy data set under the protocol of the LTC paper (Hasani, Lechner, Amini, Rus, Grosu, AAAI 2021, arXiv
2006.04439); `from_csv` reads a user's own files under the same protocol.

Published accuracies use windows that start from state 0; spikes and energy use the streams, whose state is carried. A task has both.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from liquid_neuro.network import FloatArray, Interface

OCCUPANCY_CHANNELS = ("Temperature", "Humidity", "Light", "CO2", "HumidityRatio")
OCCUPANCY_UNITS = ("degree Celsius", "percent", "lux", "ppm", "kg/kg")
OCCUPANCY_SOURCE = (
    "Candanedo, Feldheim, Energy and Buildings 112, 28-39 (2016); UCI Machine Learning Repository no. 357, CC BY 4.0. "
    "Protocol: Hasani et al., Liquid Time-constant Networks, AAAI 2021."
)
# Hasani et al. (see above), the table of accuracies on this task.
PUBLISHED_OCCUPANCY_ACCURACY = {"LTC": 0.9463, "CT-RNN": 0.9454, "LSTM": 0.9318, "CT-GRU": 0.9144, "Neural ODE": 0.9015}

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Split:
    """Windows: x (windows, time, inputs) as a network sees them, y (windows, time) the labels.

    weights: (time,) of mean 1, how much each step of a window counts in training; None for all alike. Accuracies count all steps alike.
    timespans: (windows, time) in model units, how long each sample lasts (its label is that of the sample's end); None for 1 each.
    """

    x: FloatArray
    y: FloatArray
    weights: FloatArray | None = None
    timespans: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.timespans is None:
            return
        if np.shape(self.timespans) != np.shape(self.x)[:2] or not (np.isfinite(self.timespans) & (self.timespans >= 0)).all():
            shape = np.shape(self.x)[:2]
            raise ValueError(
                f"timespans must be finite, at least 0 and of the shape {shape}, but are not (shape {np.shape(self.timespans)})"
            )

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, eq=False)
class Stream:
    """One recording in time order: x (time, inputs) as a network sees it, y (time,) the labels; timespans (time,) as in Split.

    It unpacks to (x, y).
    """

    x: FloatArray
    y: FloatArray
    timespans: FloatArray | None = None

    def __iter__(self) -> Iterator[FloatArray]:
        return iter((self.x, self.y))


@dataclass(frozen=True, eq=False)
class Task:
    """A labelled problem.

    channels: names of the inputs. interface: standardisation and decision, to be put into a network (`network_interface`).
    time_unit_s: wall seconds of one model time unit. sample_s: wall seconds between two samples.
    streams: the test recordings in time order, one per file; training_streams: the training recordings in time order.
    metric: the name of the score. source: what to cite.
    """

    name: str
    channels: tuple[str, ...]
    interface: Interface
    time_unit_s: float
    sample_s: float
    train: Split
    validation: Split
    test: Split
    streams: tuple[Stream, ...]
    training_streams: tuple[Stream, ...]
    metric: str
    source: str

    def split(self, name: str) -> Split:
        """The windows of "train", "validation" or "test"."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        if name not in splits:
            raise ValueError(f'split must be "train", "validation" or "test", but is "{name}"')
        return splits[name]


def decide(outputs: npt.ArrayLike, interface: Interface) -> BoolArray:
    """The binary decision per time step: outputs (…, 1) or (…) above the interface's threshold."""
    array = np.asarray(outputs, dtype=np.float64)
    if interface.decision != "threshold":
        raise ValueError(f'interface.decision must be "threshold" for a binary decision, but is "{interface.decision}"')
    if array.ndim == 3:
        if array.shape[-1] != 1:
            raise ValueError(f"outputs must have one motor for a threshold decision, but have {array.shape[-1]}")
        array = array[..., 0]
    decisions: BoolArray = array > interface.threshold
    return decisions


def accuracy(outputs: npt.ArrayLike, labels: npt.ArrayLike, interface: Interface) -> float:
    """The share of right decisions over all windows and steps. outputs (windows, time, 1), labels (windows, time)."""
    return float(np.mean(decide(outputs, interface) == (np.asarray(labels) > 0.5)))


def occupancy() -> Task:
    """Room occupancy from five sensors, one sample a minute, under the LTC paper's protocol.

    Inputs are standardised by mean and standard deviation of the training file; windows of 16 samples: stride 1 over the training file
    (8,127; permutation RandomState(893429), the first tenth validates), stride 8 over both test files (1,549). A label per sample.
    """
    folder = resources.files("liquid_neuro") / "data" / "occupancy"
    tables = []
    for name in ("datatraining", "datatest", "datatest2"):
        text = gzip.decompress((folder / f"{name}.txt.gz").read_bytes()).decode()
        tables.append(_read_table(io.StringIO(text), OCCUPANCY_CHANNELS, "Occupancy", f"{name}.txt"))
    training, *tests = tables
    return _windowed_task("occupancy", training, tests, OCCUPANCY_CHANNELS, OCCUPANCY_UNITS, 60.0, OCCUPANCY_SOURCE)


def from_csv(
    training: str | Path,
    tests: Sequence[str | Path],
    *,
    channels: Sequence[str],
    label: str,
    sample_s: float,
    window: int = 16,
    test_stride: int = 8,
    seed: int = 893429,
    duration: str | None = None,
) -> Task:
    """A binary task from CSV files with a header row, in time order, under the protocol of `occupancy`.

    channels: the columns that are inputs; label: the column that holds 0 or 1. A model time unit is one sample of sample_s seconds.
    duration: the column that tells how many seconds each row lasts, where that differs; None for files that are regularly sampled.
    Raises ValueError with file, row and column for anything that cannot be read.
    """
    if not tests:
        raise ValueError("tests must name at least one file, but is empty; give a recording that is not used for training")
    if not (np.isfinite(sample_s) and sample_s > 0):
        raise ValueError(f"sample_s must be positive, but is {sample_s}; give the seconds between two rows")
    tables = []
    for path in (training, *tests):
        with open(path, newline="", encoding="utf-8-sig") as file:
            tables.append(_read_table(file, tuple(channels), label, str(path), duration, sample_s))
    name = Path(training).stem
    units = ("",) * len(channels)
    return _windowed_task(name, tables[0], tables[1:], tuple(channels), units, sample_s, str(training), window, test_stride, seed)


def _read_table(
    lines: Iterable[str], channels: tuple[str, ...], label: str, place: str, duration: str | None = None, sample_s: float = 1.0
) -> Stream:
    """The named columns as numbers. A header one shorter than its rows lacks the name of a leading row-number column (as R writes)."""
    rows = csv.reader(lines)
    header = [name.strip() for name in next(rows, [])]
    names = (*channels, label) if duration is None else (*channels, duration, label)
    for name in names:
        if name not in header:
            raise ValueError(f'{place} must have a column "{name}", but has {", ".join(header) or "no header"}')
    values = []
    for row in rows:
        if not row:
            continue
        number, shift = rows.line_num, len(row) - len(header)
        if shift not in (0, 1):
            raise ValueError(f"{place}, row {number} must have {len(header)} columns, but has {len(row)}")
        values.append([_number(row[header.index(name) + shift], place, number, name) for name in names])
        if values[-1][-1] not in (0.0, 1.0):
            raise ValueError(f'{place}, row {number}, column "{label}" must be 0 or 1, but is {values[-1][-1]:g}')
        if duration is not None and values[-1][-2] < 0:
            raise ValueError(f'{place}, row {number}, column "{duration}" must be at least 0 seconds, but is {values[-1][-2]:g}')
    table = np.array(values, dtype=np.float64).reshape(len(values), len(names))
    return Stream(table[:, : len(channels)], table[:, -1], None if duration is None else table[:, -2] / sample_s)


def _number(text: str, place: str, row: int, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise ValueError(f'{place}, row {row}, column "{column}" must be a number, but is "{text}"')
    return value


def _windowed_task(
    name: str,
    training: Stream,
    tests: Sequence[Stream],
    channels: tuple[str, ...],
    units: tuple[str, ...],
    sample_s: float,
    source: str,
    window: int = 16,
    test_stride: int = 8,
    seed: int = 893429,
) -> Task:
    if len(training.y) < window + 10:
        raise ValueError(f"the training file must have at least {window + 10} rows, but has {len(training.y)}")
    mean, scale = training.x.mean(axis=0), training.x.std(axis=0)
    constant = [channel for channel, value in zip(channels, scale) if not value > 0]
    if constant:
        raise ValueError(f"channel {constant[0]} must vary in the training file, but is constant; leave it out")
    short = [len(table.y) for table in tests if len(table.y) <= window]
    if short:
        raise ValueError(f"a test file must have more than {window} rows, but has {short[0]}")
    standardised = [Stream(_frozen((table.x - mean) / scale), _frozen(table.y), _frozen(table.timespans)) for table in (training, *tests)]
    windows = _windows(standardised[0], window, 1)
    order = np.random.RandomState(seed).permutation(len(windows))  # the protocol's own draw
    first = len(windows) // 10
    test = [_windows(stream, window, test_stride) for stream in standardised[1:]]
    interface = Interface(
        channels=channels,
        channel_units=units,
        input_mean=tuple(float(value) for value in mean),
        input_scale=tuple(float(value) for value in scale),
        outputs=("decision",),
        decision="threshold",
        threshold=0.0,
    )
    return Task(
        name=name,
        channels=channels,
        interface=interface,
        time_unit_s=sample_s,
        sample_s=sample_s,
        train=_chosen(windows, order[first:]),
        validation=_chosen(windows, order[:first]),
        test=_chosen(_together(test), slice(None)),
        streams=tuple(standardised[1:]),
        training_streams=(standardised[0],),
        metric="accuracy",
        source=source,
    )


def _windows(stream: Stream, window: int, stride: int) -> Split:
    """All windows that start at 0, stride, 2·stride, … below length - window (the protocol leaves out the last possible start)."""
    starts = np.arange(0, len(stream.y) - window, stride)
    rows = starts[:, None] + np.arange(window)
    return Split(stream.x[rows], stream.y[rows], timespans=None if stream.timespans is None else stream.timespans[rows])


def _together(parts: Sequence[Split]) -> Split:
    """The windows of several splits, all with timespans or all without."""
    spans = [part.timespans for part in parts if part.timespans is not None]
    x, y = np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])
    return Split(x, y, timespans=np.concatenate(spans) if spans else None)


def _chosen(split: Split, rows: Any) -> Split:
    """Some windows, read-only."""
    spans = None if split.timespans is None else split.timespans[rows]
    return Split(_frozen(split.x[rows]), _frozen(split.y[rows]), timespans=_frozen(spans))


@overload
def _frozen(array: FloatArray) -> FloatArray: ...
@overload
def _frozen(array: FloatArray | None) -> FloatArray | None: ...
def _frozen(array: FloatArray | None) -> FloatArray | None:
    if array is None:
        return None
    copy = np.ascontiguousarray(array, dtype=np.float64)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, eq=False)
class LogisticRegression:
    """The memoryless baseline: P(1 | x) = sigmoid(weights · x + bias), and its share of right decisions on the test windows.

    penalty: the ridge that did best on the validation windows.
    """

    weights: FloatArray
    bias: float
    penalty: float
    accuracy: float

    def outputs(self, x: FloatArray) -> FloatArray:
        """The log odds, (…, inputs) to (…, 1)."""
        result: FloatArray = x @ self.weights[:, None] + self.bias
        return result


def logistic_regression(task: Task, *, penalties: Sequence[float] = (1.0, 10.0, 100.0, 1000.0, 10000.0)) -> LogisticRegression:
    """Logistic regression on single time steps of the training windows, by Newton's method (iteratively reweighted least squares).

    penalties: candidates for the ridge on the weights (not the bias), in units of the log likelihood's sum; the one with the highest
    validation accuracy is taken, the larger of equals. A ridge matters here: without one, correlated channels (the two humidities of the
    occupancy task) take large opposite weights that do not hold on another day.
    """
    steps, count = np.unique(
        np.concatenate([task.train.x, task.train.y[..., None]], axis=-1).reshape(-1, task.train.x.shape[-1] + 1), axis=0, return_counts=True
    )  # overlapping windows repeat most steps
    candidates = [_newton(steps[:, :-1], steps[:, -1], count.astype(np.float64), penalty) for penalty in penalties]
    best = max(zip(candidates, penalties), key=lambda pair: (_score(pair[0], task, task.validation), pair[1]))
    coefficients, penalty = best
    return LogisticRegression(_frozen(coefficients[:-1]), float(coefficients[-1]), penalty, _score(coefficients, task, task.test))


def _score(coefficients: FloatArray, task: Task, split: Split) -> float:
    return accuracy((split.x @ coefficients[:-1] + coefficients[-1])[..., None], split.y, task.interface)


def _newton(x: FloatArray, y: FloatArray, count: FloatArray, penalty: float) -> FloatArray:
    """The minimum of the penalised log likelihood: weights, then bias. Stops when no coefficient moves by 1e-10."""
    x = np.concatenate([x, np.ones((len(y), 1))], axis=1)
    ridge = np.diag([penalty] * (x.shape[1] - 1) + [0.0])
    coefficients = np.zeros(x.shape[1])
    for _ in range(50):
        probability = 0.5 * (1.0 + np.tanh(0.5 * (x @ coefficients)))
        curvature = (x * (count * np.maximum(probability * (1 - probability), 1e-12))[:, None]).T @ x + ridge
        change = np.linalg.solve(curvature, x.T @ (count * (y - probability)) - ridge @ coefficients)
        coefficients = coefficients + change
        if np.max(np.abs(change)) < 1e-10:
            break
    return coefficients
