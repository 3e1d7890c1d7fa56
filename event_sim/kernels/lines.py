"""Who is next, and what is under way.

A heap orders what will happen by (time, entry), so that ties break by number. Its records hold the times themselves, four children lie side
by side, and place[entry] tells where an entry stands: a change of one time touches few cache lines.

A line is a group of synapses of one source with one delay > 0. All that a source sends stands once in a list of messages, oldest first;
each line remembers which of them it hears next, and the line with the longest delay gives a message back once it has heard it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from event_sim.kernels.jit import bare, compiled

HEAP = np.dtype([("due", np.float64), ("entry", np.int64)])
# A line: its synapses, its source, whether no line of the source has a longer delay, the message that it hears next (-1: none), its delay,
# and the level and slope that it last heard, and when.
LINE = np.dtype(
    [(name, np.int64) for name in ("first", "last", "source", "longest", "next")]
    + [(name, np.float64) for name in ("delay", "level", "slope", "heard_at")]
)
MESSAGE = np.dtype([("time", np.float64), ("level", np.float64), ("slope", np.float64), ("next", np.int64)])
CHILDREN = 4


@bare
def before(heap: Any, position: int, due: float, entry: int) -> Any:
    """Whether what stands at this position comes before (due, entry)."""
    one = heap[position]
    return one.due < due or (one.due == due and one.entry < entry)


@bare
def put(heap: Any, place: Any, position: int, due: float, entry: int) -> None:
    """Write an entry to a position."""
    one = heap[position]
    one.due, one.entry = due, entry
    place[entry] = position


@bare
def schedule(heap: Any, place: Any, entry: int, due: float) -> None:
    """Give an entry another time."""
    position = place[entry]
    if heap[position].due == due:
        return
    while position > 0:
        parent = (position - 1) // CHILDREN
        if before(heap, parent, due, entry):
            break
        put(heap, place, position, heap[parent].due, heap[parent].entry)
        position = parent
    size = len(heap)
    while True:
        child = CHILDREN * position + 1
        if child >= size:
            break
        for other in range(child + 1, min(child + CHILDREN, size)):
            if before(heap, other, heap[child].due, heap[child].entry):
                child = other
        if not before(heap, child, due, entry):
            break
        put(heap, place, position, heap[child].due, heap[child].entry)
        position = child
    put(heap, place, position, due, entry)


@partial(compiled, bare=True)
def schedule_all(heap: Any, place: Any, due: Any) -> None:
    """Fill a heap: entry number k at due[k]."""
    for entry in range(len(due)):
        put(heap, place, entry, np.inf, entry)
    for entry in range(len(due)):
        schedule(heap, place, entry, due[entry])


@bare
def post(run: Any, messages: Any, newest: Any, first_line: Any, lines: Any, heap: Any, place: Any, offset: int, source: int, time: float,
         level: float, slope: float) -> None:  # fmt: skip
    """Note what a source sent for its lines first_line[source] .. first_line[source + 1] - 1, which stand in the heap from `offset` on.

    run.free: the first message that is free, run.room: how many are.
    """
    if first_line[source] == first_line[source + 1]:
        return
    number = run.free
    message = messages[number]
    run.free, run.room = message.next, run.room - 1
    message.time, message.level, message.slope, message.next = time, level, slope, -1
    if newest[source] >= 0:
        messages[newest[source]].next = number
    newest[source] = number
    for index in range(first_line[source], first_line[source + 1]):
        line = lines[index]
        if line.next < 0:
            line.next = number
            schedule(heap, place, offset + index, time + line.delay)


@bare
def hear(run: Any, messages: Any, newest: Any, lines: Any, heap: Any, place: Any, offset: int, index: int) -> None:
    """Move a line on to its next message, whose level and slope it then holds."""
    line = lines[index]
    number = line.next
    message = messages[number]
    line.level, line.slope, line.next = message.level, message.slope, message.next
    schedule(heap, place, offset + index, np.inf if line.next < 0 else messages[line.next].time + line.delay)
    if line.longest == 1:
        if newest[line.source] == number:
            newest[line.source] = -1
        message.next = run.free
        run.free, run.room = number, run.room + 1


@partial(compiled, bare=True)
def list_past(lines: Any, messages: Any, now: float, past: Any) -> int:
    """Write what every source with lines sent, as far as one of them has yet to hear it, and what it had sent before that (age infinite).

    past: room for records (source, age, level), ordered by source and falling age. Returns how many were written.
    """
    count = 0
    for index in range(len(lines)):
        line = lines[index]
        if line.longest == 1:
            row = past[count]
            row.source, row.age, row.level = line.source, np.inf, line.level
            count += 1
            number = line.next
            while number >= 0:
                row, message = past[count], messages[number]
                row.source, row.age, row.level = line.source, now - message.time, message.level
                count += 1
                number = message.next
    return count


@partial(compiled, bare=True)
def recall(run: Any, messages: Any, newest: Any, first_line: Any, lines: Any, heap: Any, place: Any, offset: int, now: float,
           past: Any) -> None:  # fmt: skip
    """Put lines at rest into the state that `list_past` listed. run: one record, as in `post`."""
    progress = run[0]
    for row in past:
        begin, end = first_line[row.source], first_line[row.source + 1]
        number = progress.free
        for index in range(begin, end):
            if row.age >= lines[index].delay:
                lines[index].level = row.level
        if begin < end and row.age < lines[end - 1].delay:
            heard = end
            while heard > begin and row.age < lines[heard - 1].delay:
                heard -= 1
            post(progress, messages, newest, first_line, lines, heap, place, offset, row.source, now - row.age, row.level, 0.0)
            for index in range(begin, heard):  # they heard it before
                if lines[index].next == number:
                    lines[index].next = -1
                    schedule(heap, place, offset + index, np.inf)
