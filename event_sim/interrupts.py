"""Ctrl-C during a run: the run ends at the next piece and returns what it has, instead of losing it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from event_sim.plan import chunks

FIRST_PIECE = 64  # steps before the first look at the clock
PIECE_S = 0.1  # a piece that takes longer is followed by a shorter one


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within it the first Ctrl-C sets a flag, which the yielded function tells; a second one raises KeyboardInterrupt as ever.

    A program's own handler of SIGINT stays in force, and threads other than the main one receive no signals: there nothing changes.
    """
    pressed: list[int] = []
    default = signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not default:
        yield lambda: False
        return

    def handler(number: int, frame: Any) -> None:
        if pressed:
            default(number, frame)
        pressed.append(number)

    signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, default)


def pieces(total: int, progress: bool, description: str, stopped: Callable[[], bool]) -> Iterator[tuple[int, int]]:
    """Parts (first, last) of `total` steps of about PIECE_S seconds each, with a bar if asked for; none once stopped() is true."""
    size = FIRST_PIECE
    for begin, end in chunks(total, progress, description):
        while begin < end:
            if stopped():
                return
            started, last = perf_counter(), min(begin + size, end)
            yield begin, last
            size = max(1, size // 2) if perf_counter() - started > PIECE_S else size * 2
            begin = last
