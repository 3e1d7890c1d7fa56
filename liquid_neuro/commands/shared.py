"""What the commands have in common: options, reading of inputs, progress for people and one JSON object for machines."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from event_sim import EventStream
    from liquid_neuro.network import FloatArray, LiquidNetwork
    from liquid_neuro.quantized_network import QuantizedNetwork
    from liquid_neuro.tasks import Task

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines instead of text for people.")]
TaskName = Annotated[str, typer.Option("--task", help="Built-in task whose data is used: occupancy.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of every random draw.", min=0)]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", help="CSV file with a header row: one column per channel in measured units, and time_s where samples are irregular."
    ),
]
SampleSeconds = Annotated[float | None, typer.Option("--sample-s", help="Seconds between two rows of --data without a time_s column.")]
Threshold = Annotated[
    float, typer.Option("--threshold", help="A channel sends an event when it moved by this much (standardised units).", min=0.0)
]
Samples = Annotated[int | None, typer.Option("--samples", help="Use only so many samples from the start.", min=1)]


def plain(value: Any) -> Any:
    """A value of this project as JSON knows it: frozen dataclasses and mappings become objects, arrays lists, non-finite numbers null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def console(silent: bool = False) -> Console:
    """The output stream; wide where nobody watches, so that logs and files keep lines whole."""
    return Console(quiet=silent, highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 140)


def show(result: Mapping[str, Any], as_json: bool, title: str = "") -> None:
    """Print a result: one JSON object, or a table of two columns."""
    if as_json:
        print(json.dumps(plain(result), allow_nan=False))
        return
    table = Table(show_header=False, box=None, title=title or None, title_justify="left", title_style="bold", padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in result.items():
        table.add_row(name.replace("_", " "), text(value))
    console().print(table)


def text(value: Any) -> str:
    """A value for people: four significant digits, nested values on one line."""
    value = plain(value)
    if value is None or (isinstance(value, list | dict) and not value):
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {text(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(text(item) for item in value)
    return str(value)


def watched(as_json: bool) -> bool:
    """Whether somebody watches the error stream, so that progress is worth showing."""
    return not as_json and sys.stderr.isatty()


@contextmanager
def working(description: str, as_json: bool) -> Iterator[None]:
    """Show on the error stream that something runs, and for how long; silent for machines and when nobody watches."""
    if not watched(as_json):
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(description, total=None)
        yield


def existing(path: Path, what: str) -> Path:
    """The path of a file that is there, or a ValueError."""
    if not path.is_file():
        raise ValueError(f'{what} "{path}" must be a file, but {"is a folder" if path.is_dir() else "does not exist"}; check the path')
    return path


def read_task(name: str) -> Task:
    """A built-in task by its name."""
    from liquid_neuro import tasks

    known = {"occupancy": tasks.occupancy}
    if name not in known:
        raise ValueError(f'--task must be one of {", ".join(known)}, but is "{name}"')
    return known[name]()


def read_network(path: Path) -> LiquidNetwork:
    """The network of a file that `train`, `import-ncps` or liquid_neuro.save wrote."""
    import liquid_neuro

    return liquid_neuro.load(existing(path, "model"))


def read_any_network(path: Path) -> LiquidNetwork | QuantizedNetwork:
    """A float network (.safetensors) or a quantised one, told apart by the content of the file."""
    from liquid_neuro.archive import archive_kind
    from liquid_neuro.quantized_storage import load_quantized

    return load_quantized(path) if archive_kind(existing(path, "model")) else read_network(path)


def float_network(network: LiquidNetwork | QuantizedNetwork) -> LiquidNetwork:
    """The float network itself, or the one that a quantised network stands for."""
    from liquid_neuro.network import LiquidNetwork

    return network if isinstance(network, LiquidNetwork) else network.network


def read_stream(
    network: LiquidNetwork, task: str, data: Path | None, sample_s: float | None, threshold: float, samples: int | None
) -> EventStream:
    """The input of a run: rows of --data, else the first test recording of the task. Threshold 0: an event at every change."""
    import numpy as np

    from event_sim import EventStream

    if data is None:
        if sample_s is not None:
            raise ValueError(f"--sample-s must come with --data, but is {sample_s} without it: a task has its own clock; leave it out")
        chosen = read_task(task)
        if len(chosen.channels) != network.inputs:
            raise ValueError(f'the network has {network.inputs} inputs, but task "{task}" has {len(chosen.channels)} channels; give --data')
        return EventStream.from_samples(chosen.streams[0].x[:samples], sample_s=chosen.sample_s, threshold=threshold)
    time_s, x = read_table(data, network)
    if time_s is not None:
        if sample_s is not None:
            raise ValueError(f'--sample-s must be left out, but is {sample_s}: "{data}" has a column time_s; leave out one of both')
        time_s, x = time_s[:samples], x[:samples]
        if len(np.unique(time_s)) < 2:
            raise ValueError(f'"{data}" must have rows at two times or more, since a row lasts until the next, but has only one')
        try:
            return EventStream.from_log(time_s, x, threshold=threshold)
        except ValueError as error:
            raise ValueError(f'"{data}": {error}') from None
    if sample_s is None:
        raise ValueError(f'"{data}" has no column time_s, so --sample-s must say how many seconds lie between two rows')
    if not (math.isfinite(sample_s) and sample_s > 0):
        raise ValueError(f"--sample-s must be positive, but is {sample_s}")
    return EventStream.from_samples(x[:samples], sample_s=sample_s, threshold=threshold)


def read_table(path: Path, network: LiquidNetwork) -> tuple[FloatArray | None, FloatArray]:
    """Times (or None) and standardised inputs (rows, inputs) of a CSV file. Columns are found by the network's channel names."""
    import numpy as np

    with open(existing(path, "--data"), newline="", encoding="utf-8-sig") as file:
        try:
            rows = list(csv.reader(file))
        except (UnicodeDecodeError, csv.Error):
            raise ValueError(f'"{path}" must be a CSV text file, but is not; check the path') from None
    header = [name.strip() for name in rows[0]] if rows else []
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if twice:
        raise ValueError(
            f'"{path}" must name each column once, but names "{twice[0]}" {header.count(twice[0])} times; rename or remove one'
        )
    channels = network.interface.channels or tuple(name for name in header if name != "time_s")
    missing = [name for name in channels if name not in header]
    if missing:
        raise ValueError(f'"{path}" must have the columns {", ".join(channels)}, but lacks {", ".join(missing)}')
    if len(channels) != network.inputs:
        raise ValueError(f'"{path}" must have {network.inputs} channels, one per input of the network, but has {len(channels)}')
    wanted = [header.index(name) for name in (*channels, *(("time_s",) if "time_s" in header else ()))]
    values = np.array([[_number(row, column, path, number) for column in wanted] for number, row in enumerate(rows[1:], start=2) if row])
    if not len(values):
        raise ValueError(f'"{path}" must have at least one row of numbers, but has none')
    x = values[:, : len(channels)]
    if network.interface.input_mean:
        x = (x - np.array(network.interface.input_mean)) / np.array(network.interface.input_scale)
    return (values[:, -1] if "time_s" in header else None), x


def _number(row: list[str], column: int, path: Path, number: int) -> float:
    try:
        value = float(row[column])
    except (IndexError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f'"{path}", row {number}, column {column + 1} must be a number, but is "{(row[column : column + 1] or [""])[0]}"')
    return value


def check_output(path: Path, *inputs: Path | None) -> Path:
    """Refuse, before any work is done, an output path that cannot be written, or that is one of the command's inputs."""
    if path.is_dir():
        raise ValueError(f'--out "{path}" must be a file, but is a folder; give a file name')
    if not path.parent.is_dir():
        raise ValueError(f'--out "{path}" must lie in an existing folder, but "{path.parent}" is none; create it first')
    for given in inputs:
        if given is not None and path.exists() and given.exists() and path.samefile(given):
            raise ValueError(f'--out "{path}" must be another file than the input, but is "{given}" itself; give another name')
    check_writable(path.parent, path)
    return path


def check_writable(folder: Path, path: Path) -> None:
    """Refuse an output whose folder takes no new file: found out by making one, since permissions alone do not tell."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".", suffix=".part", dir=folder):
            pass
    except OSError as error:
        raise ValueError(f'--out "{path}" must be writable, but is not ({error.strerror}); choose another --out') from None


def check_export_folder(folder: Path) -> None:
    """Refuse, before any work is done, a folder that an export may not replace, with advice for the command line."""
    from mappers.exporters import obstacle

    found = obstacle(folder)
    if found:
        raise ValueError(f"--out must be free for the export, but {found}; choose another --out or remove it")


def goal_missed(sentence: str, as_json: bool) -> typer.Exit:
    """Say which goal was not met, and the exit to raise."""
    Console(stderr=True).print(f"[red]not met:[/red] {sentence}") if not as_json else print(f"not met: {sentence}", file=sys.stderr)
    return typer.Exit(1)
