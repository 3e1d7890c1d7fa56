"""The chip simulator's inner loop: ticks of a quantised network, bit for bit, at a cost that follows the activity.

A compartment's program runs only where its accumulators moved, or its state did at its last turn: elsewhere it would give the same word
again. Messages travel through one list of synapses per sending compartment; what arrives is summed per accumulator before it is added.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

from event_sim.kernels.jit import compiled, recompiled
from hardware_profiles.fixed_point import round_shift
from liquid_neuro.cells import PROGRAMS
from liquid_neuro.cells.interpret import with_primitives

Array = Any  # of NumPy, int64

PORTS, PARAMETERS = 3, 10
# The closed list of programs; a program's place is its number in `_evaluate`.
PROGRAM_NAMES = ("ltc.gate", "ltc.neuron", "cfc.unit", "cfc.unit_no_gate", "cfc.unit_pure", "cfc.backbone")


class Layout(NamedTuple):
    """A network as arrays. Compartments of all populations stand behind one another; population 0 is "input".

    Per population: start (populations + 1,), program, stateless, first_tick, period, threshold, message_shift, state_limit (words are
    -limit - 1 .. limit), table_bounds (populations, 3) of its two tables in `table`, unit_start: where its states stand in the network's
    state, or -1. Per compartment: population, parameters (compartments, PARAMETERS), synapse_start (compartments + 1,). Per synapse, by
    sender: slot (target * PORTS + port) and weight.
    """

    start: Array
    program: Array
    stateless: Array
    first_tick: Array
    period: Array
    threshold: Array
    message_shift: Array
    state_limit: Array
    table_bounds: Array
    unit_start: Array
    population: Array
    parameters: Array
    synapse_start: Array
    slot: Array
    weight: Array
    table: Array


class Machine(NamedTuple):
    """What changes.

    Per compartment: state, sent, queued (0 or 1), queue (by population, queue_length of them used). Per slot: total (the accumulator),
    arriving, is_touched, and the list `touched` of slots to which something is under way, touched_count[0] of them used. Counts: spikes,
    active (per compartment), state_saturations (per population), total_saturations (per slot).
    """

    state: Array
    sent: Array
    queued: Array
    queue: Array
    queue_length: Array
    total: Array
    arriving: Array
    is_touched: Array
    touched: Array
    touched_count: Array
    spikes: Array
    active: Array
    state_saturations: Array
    total_saturations: Array


class Record(NamedTuple):
    """What is kept of a run.

    samples (K, units): the states that belong to the samples. events (rows, 3): tick, unit, message; event_count[0] of them used.
    spikes_per_tick (ticks, populations), trace_state and trace_sent (ticks, compartments): with 0 rows when not wanted.
    """

    samples: Array
    events: Array
    event_count: Array
    spikes_per_tick: Array
    trace_state: Array
    trace_sent: Array


# The functions below take arrays one by one: reading them out of a tuple inside the loops costs more than the loops themselves.


def _bit_length(value: int) -> Any:
    """`bit_length` by the processor's floating point, which holds such integers exactly."""
    return math.frexp(value)[1]


def _unused(state: int, *rest: Any) -> int:
    """Stands for the programs of the cells that a network does not have: they need no compilation."""
    return state


gate = neuron = unit = unit_no_gate = unit_pure = backbone = _unused


def _evaluate(program: int, state: int, total: Array, parameters: Array, i: int, table: Array, table_2: Array) -> Any:
    """The new, unsaturated word of compartment i."""
    x = PORTS * i
    if program == 0:
        return gate(state, total[x], parameters[i, 0], parameters[i, 1], parameters[i, 2], table)
    if program == 1:
        return neuron(
            state, total[x], total[x + 1], parameters[i, 0], parameters[i, 1], parameters[i, 2], parameters[i, 3], parameters[i, 4],
            parameters[i, 5], parameters[i, 6], table,
        )  # fmt: skip
    a = parameters[i]
    if program == 2:
        return unit(
            state, total[x], total[x + 1], total[x + 2], a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], table, table_2
        )  # fmt: skip
    if program == 3:
        return unit_no_gate(
            state, total[x], total[x + 1], total[x + 2], a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], table, table_2
        )  # fmt: skip
    if program == 4:
        return unit_pure(state, total[x], a[0], a[1], a[2], a[3], a[4], a[5], table)
    return backbone(state, total[x], a[0], a[1], a[2], table)


def _arrive(
    touched: Array,
    touched_count: Array,
    is_touched: Array,
    total: Array,
    arriving: Array,
    total_saturations: Array,
    queued: Array,
    queue: Array,
    queue_length: Array,
    population: Array,
    start: Array,
    limit: int,
) -> None:
    """What was sent in the tick before reaches the accumulators; their compartments queue up for their next turn."""
    for n in range(touched_count[0]):
        slot = touched[n]
        new = total[slot] + arriving[slot]
        arriving[slot] = 0
        is_touched[slot] = 0
        if new > limit or new < -limit - 1:
            new = limit if new > limit else -limit - 1
            total_saturations[slot] += 1
        total[slot] = new
        i = slot // PORTS
        if queued[i] == 0:
            p = population[i]
            queued[i] = 1
            queue[start[p] + queue_length[p]] = i
            queue_length[p] += 1
    touched_count[0] = 0


def _send(
    delta: int,
    first: int,
    last: int,
    slot: Array,
    weight: Array,
    arriving: Array,
    is_touched: Array,
    touched: Array,
    touched_count: Array,
) -> None:
    """A message sets out along the synapses first .. last - 1."""
    count = touched_count[0]
    for s in range(first, last):
        target = slot[s]
        arriving[target] += delta * weight[s]
        if is_touched[target] == 0:
            is_touched[target] = 1
            touched[count] = target
            count += 1
    touched_count[0] = count


def _note(events: Array, event_count: Array, t: int, unit: int, message: int) -> None:
    """A row for a unit's event, where there is room."""
    row = event_count[0]
    if row < len(events):
        events[row, 0] = t
        events[row, 1] = unit
        events[row, 2] = message
        event_count[0] = row + 1


def _set_inputs(row: Array, state: Array, queue: Array, queue_length: Array) -> None:
    """The host sets the input population's words, and all of it has its turn."""
    for i in range(len(row)):
        state[i] = row[i]
        queue[i] = i
    queue_length[0] = len(row)


def _keep(kept: Array, place: int, state: Array, first: int, last: int) -> None:
    """The words of compartments first .. last - 1, from `place` on."""
    for i in range(first, last):
        kept[place + i - first] = state[i]


def _run(
    layout: Any,
    machine: Any,
    record: Any,
    inputs: Array,
    ticks_per_sample: int,
    first_tick: int,
    ticks: int,
    first_sample: int,
    record_tick: int,
    limit: int,
) -> None:
    """Ticks first_tick (a multiple of ticks_per_sample) and following; a row of inputs (K, inputs) enters every so many ticks.

    first_sample: the sample of record.samples[0]. record_tick: the tick of row 0 of the per-tick records. limit: of accumulators.
    """
    start, program, stateless, turn_start, period, threshold, shift, state_limit, bounds, unit_start = layout[:10]
    population, parameters, synapse_start, slot, weight, entries = layout[10:]
    state, sent, queued, queue, queue_length, total, arriving, is_touched, touched, touched_count = machine[:10]
    spikes, active, state_saturations, total_saturations = machine[10:]
    samples, events, event_count, spikes_per_tick, trace_state, trace_sent = record
    for t in range(first_tick, first_tick + ticks):
        _arrive(
            touched, touched_count, is_touched, total, arriving, total_saturations, queued, queue, queue_length, population, start, limit
        )  # fmt: skip
        row = t - record_tick
        k = (t - first_tick) // ticks_per_sample
        if (t - first_tick) % ticks_per_sample == 0 and k < len(inputs):
            _set_inputs(inputs[k], state, queue, queue_length)
        for p in range(len(program)):
            since = t - turn_start[p]
            if since < 0 or since % period[p] != 0:
                continue
            table, table_2 = entries[bounds[p, 0] : bounds[p, 1]], entries[bounds[p, 1] : bounds[p, 2]]
            messages, kept = 0, 0
            for q in range(queue_length[p]):
                i = queue[start[p] + q]
                old = state[i]
                new = old if p == 0 else _evaluate(program[p], old, total, parameters, i, table, table_2)
                saturated = new > state_limit[p] or new < -state_limit[p] - 1
                if saturated:
                    new = state_limit[p] if new > state_limit[p] else -state_limit[p] - 1
                    state_saturations[p] += 1
                state[i] = new
                active[i] += 1
                if saturated or (new != old and stateless[p] == 0):  # its next turn can change something, whatever arrives
                    queue[start[p] + kept] = i
                    kept += 1
                else:
                    queued[i] = 0
                message = round_shift(new, shift[p])
                delta = message - sent[i]
                if abs(delta) >= threshold[p]:
                    sent[i] = message
                    spikes[i] += 1
                    messages += 1
                    _send(delta, synapse_start[i], synapse_start[i + 1], slot, weight, arriving, is_touched, touched, touched_count)
                    if unit_start[p] >= 0:
                        _note(events, event_count, t, unit_start[p] + i - start[p], message)
            queue_length[p] = kept
            if row < len(spikes_per_tick):
                spikes_per_tick[row, p] = messages
            sample = since // ticks_per_sample - first_sample
            if unit_start[p] >= 0 and since % ticks_per_sample == ticks_per_sample - period[p] and 0 <= sample < len(samples):
                _keep(samples[sample], unit_start[p], state, start[p], start[p + 1])
        if row < len(trace_state):
            _keep(trace_state[row], 0, state, 0, len(state))
            _keep(trace_sent[row], 0, sent, 0, len(sent))


@cache
def run_kernel(cells: tuple[str, ...]) -> Any:
    """`_run` compiled for the programs of these cells, e.g. ("ltc",)."""
    names = {function.__name__: recompiled(function) for function in (_arrive, _keep, _note, _send, _set_inputs, round_shift)}
    used = [name for name in PROGRAM_NAMES if name.partition(".")[0] in cells]
    programs = {name.partition(".")[2]: with_primitives(PROGRAMS[name].function, {"bit_length": _bit_length}) for name in used}
    variant = "+".join(cells)
    evaluate = with_primitives(_evaluate, programs)
    # Compiled code is linked by names: two of one name, one of them from the cache on disk, would be taken for the same function.
    evaluate.__qualname__ = f"_evaluate-{variant}"
    return compiled(_run, f"chip.{variant}", _evaluate=recompiled(evaluate), **names)
