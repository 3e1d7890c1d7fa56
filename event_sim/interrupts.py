"""Ctrl-C during a run: the run ends at the next piece and returns what it has, instead of losing it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from event_sim.plan import chunks

if TYPE_CHECKING:
    from event_sim.recording import Recording

FIRST_PIECE = 64  # steps before the first look at the clock
LOOKS = 32
PIECE_S = 0.1  # a piece that takes longer is followed by a shorter one


class Watch(NamedTuple):
    """Who looks at a run on its way. look: called with the share of the run that is done and its synaptic operations so far; raises what
    ends the run without a result. every: so many operations, where the engine can stop by their number."""

    look: Callable[[float, float], None]
    every: float


class _Handler:
    """Counts Ctrl-C; the second one raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.pressed = False

    def __call__(self, number: int, frame: Any) -> None:
        if self.pressed:
            signal.default_int_handler(number, frame)
        self.pressed = True


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within it the first Ctrl-C sets a flag, which the yielded function tells; a second one raises KeyboardInterrupt as ever.

    One within another, or in a thread that works for it, shares its flag, so that a Ctrl-C ends all runs of a call. A program's own handler
    of SIGINT stays in force, and threads of a program's own receive no signals: there nothing changes.
    """
    present = signal.getsignal(signal.SIGINT)
    if isinstance(present, _Handler):
        yield lambda: present.pressed
        return
    if threading.current_thread() is not threading.main_thread() or present is not signal.default_int_handler:
        yield lambda: False
        return
    handler = _Handler()
    signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: handler.pressed
    finally:
        signal.signal(signal.SIGINT, present)


def whole(runs: Sequence[Recording], count: int) -> tuple[Recording, ...]:
    """The runs of so many streams, for who can do nothing with a part: KeyboardInterrupt where Ctrl-C cut them short."""
    if len(runs) < count or any(run.interrupted for run in runs):
        raise KeyboardInterrupt
    return tuple(runs)


def pieces(
    total: int, progress: bool, description: str, stopped: Callable[[], bool], look: Callable[[int], None] | None = None
) -> Iterator[tuple[int, int]]:
    """Parts (first, last) of `total` steps of about PIECE_S seconds each, with a bar if asked for; none once stopped() is true.

    look: called with the steps done so far behind every power of two and every LOOKS-th of the steps (whatever the time).
    """
    size = FIRST_PIECE
    for begin, end in chunks(total, progress, description):
        while begin < end:
            if stopped():
                return
            started, last = perf_counter(), min(begin + size, end)
            if look is not None:
                last = min(last, _next_look(begin, total))
            yield begin, last
            if last == begin + size:
                size = max(1, size // 2) if perf_counter() - started > PIECE_S else size * 2
            begin = last
            if look is not None and begin == _next_look(begin - 1, total) and begin < total:
                look(begin)


def _next_look(done: int, total: int) -> int:
    """The first step behind `done` at which to look."""
    stride = max(total // LOOKS, 1)
    return min(1 << done.bit_length(), (done // stride + 1) * stride)


def looks(watch: Watch | None, operations: Callable[[], float], total: int) -> Callable[[int], None] | None:
    """What `pieces` calls for a watch over a run of so many steps; operations: what it cost so far, in synaptic operations."""
    if watch is None:
        return None
    return lambda done: watch.look(done / total, operations())
