"""How the demonstration looks: rows as they come on the output stream, a progress bar below them, nothing at all for machines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from liquid_neuro.commands.shared import console

STEPS = 9


class View:
    """Prints rows and times steps. `steps_s` has the seconds of every step that has run, by name."""

    def __init__(self, silent: bool) -> None:
        on_terminal = sys.stdout.isatty()
        self.console = console(silent)
        # Rows and bar share one console where both reach the same screen, so that the bar stays below the rows.
        below = self.console if on_terminal else Console(stderr=True)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=below, transient=True, disable=silent or not below.is_terminal)
        self.bar = self.progress.add_task("starting", total=STEPS)
        self.steps_s: dict[str, float] = {}
        self._heading = ""

    def __enter__(self) -> View:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[None]:
        """One numbered step: its first row bears its number and name, its time is noted."""
        self.progress.update(self.bar, description=doing)
        self._heading = f"{len(self.steps_s) + 1}  {name}"
        started = time.perf_counter()
        yield
        self.steps_s[name] = time.perf_counter() - started
        self.progress.advance(self.bar)

    def row(self, network: str, what: str, value: str, note: str = "", good: bool | None = None) -> None:
        """One row: which network it is for, what was found, and a note. good: whether a goal was met."""
        colour = {None: "bold", True: "bold green", False: "bold red"}[good]
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=13, style="cyan", no_wrap=True)
        table.add_column(width=4, style="magenta", no_wrap=True)
        table.add_column(width=36)
        table.add_column(width=20, style=colour)
        table.add_column(style="dim", overflow="fold")
        table.add_row(self._heading, network, what, value, note)
        self._heading = ""
        self.console.print(table)

    def line(self, text: str) -> None:
        """A line of its own."""
        self.console.print(text)
