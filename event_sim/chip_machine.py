"""A quantised network and its machine as the kernel's arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim.chip_state import ChipState
from event_sim.events import IntArray
from event_sim.plan import Start
from hardware_profiles.fixed_point import round_shift
from liquid_neuro.cells import PROGRAMS
from liquid_neuro.cells.lstm_integer import CELL, CELL_TIMED
from liquid_neuro.quantized_network import Population, QuantizedNetwork
from liquid_neuro.quantized_rules import first_problem

MACHINE_STATE = 12  # of a machine's arrays: the rest are counts
MANY = 8  # synapses of a sender, from which on it is worth looking whether their slots lie side by side
WHOLE = 3  # a population has its turn as a whole where one in so many of its compartments waits for it
FLOOD = 3  # messages flood populations where they reach one in so many slots
MEMORY_PROGRAMS = (CELL.name, CELL_TIMED.name)


def word_limit(bits: int) -> int:
    return (1 << (bits - 1)) - 1


def unit_populations(quantized: QuantizedNetwork) -> list[tuple[Population, int]]:
    """The populations whose states are the network's, with where they stand in it."""
    found, start = [], 0
    for population in quantized.populations:
        if population.program and PROGRAMS[population.program].unit:
            found.append((population, start))
            start += population.size
    return found


def memory_population(quantized: QuantizedNetwork) -> Population | None:
    """The population of the memory cells that a network with mixed memory has beside its units; None without."""
    return next((p for p in quantized.populations if p.program in MEMORY_PROGRAMS), None)


def split(quantized: QuantizedNetwork, layout: Any, array: IntArray) -> dict[str, IntArray]:
    """What belongs to each population of an array over all compartments (views)."""
    return {p.name: array[layout.start[n] : layout.start[n + 1]] for n, p in enumerate(quantized.populations)}


def unit_words(quantized: QuantizedNetwork, layout: Any, state: IntArray) -> IntArray:
    """(units,) words of the network's state."""
    words = split(quantized, layout, state)
    return np.concatenate([words[p.name] for p, _ in unit_populations(quantized)])


@lru_cache(maxsize=8)
def layout_of(quantized: QuantizedNetwork) -> Any:
    """The kernel's arrays of a network."""
    from event_sim.kernels import chip
    from event_sim.kernels.chip_programs import compiled_program

    populations = quantized.populations
    problem = first_problem(quantized)
    if problem:
        raise ValueError(f"the quantised network must be well formed, but {problem}; build it again")
    number = {p.name: n for n, p in enumerate(populations)}
    start = _edges([p.size for p in populations])
    ports = np.repeat([len(PROGRAMS[p.program].ports) if p.program else 0 for p in populations], np.diff(start)).astype(np.int64)
    place = _edges(ports)
    parameters, row, entries, edge, bounds = _constants(quantized)
    unit_start = np.full(len(populations), -1, dtype=np.int64)
    for p, where in unit_populations(quantized):
        unit_start[number[p.name]] = where
    synapse_start, slot, weight = _synapses(quantized, number, start, place)
    targets = [
        np.unique([number[j.target_population] for j in quantized.projections if j.source_population == p.name]).astype(np.int64)
        for p in populations
    ]
    flood_from = _flood_from(start, place, synapse_start, targets)

    def per_population(values: Any) -> IntArray:
        return np.array(list(values), dtype=np.int64)

    return chip.Layout(
        start=start,
        program=per_population(compiled_program(p.program).address if p.program else 0 for p in populations),
        stateless=per_population(bool(p.program) and PROGRAMS[p.program].stateless for p in populations),
        first_tick=per_population(p.first_tick for p in populations),
        period=per_population(p.period for p in populations),
        threshold=per_population(p.threshold for p in populations),
        message_shift=per_population(p.message_shift for p in populations),
        prediction=per_population(p.prediction for p in populations),
        state_limit=per_population(word_limit(p.state.bits) for p in populations),
        row=row,
        edge=edge,
        unit_start=unit_start,
        whole_from=(np.diff(start) + WHOLE - 1) // WHOLE,
        flood_from=flood_from,
        in_pairs=per_population((part == 2).all() for part in np.split(np.diff(synapse_start), start[1:-1])),
        target_start=_edges([len(part) for part in targets]),
        target=np.concatenate([*targets, np.zeros(0, dtype=np.int64)]),
        population=np.repeat(np.arange(len(populations), dtype=np.uint32), np.diff(start)),
        place=place,
        synapse_start=synapse_start.astype(np.uint32),
        is_run=_runs(synapse_start, slot),
        owner=np.repeat(np.arange(len(ports), dtype=np.uint32), ports),
        slot=slot.astype(np.uint32),
        weight=weight.astype(np.int32),
        parameters=parameters,
        entries=entries,
        bounds=bounds,
    )


@lru_cache(maxsize=8)
def fingerprint(quantized: QuantizedNetwork) -> str:
    """A digest of all that a machine's course depends on: equal for equal integers, whatever the float network."""
    layout, text = layout_of(quantized), hashlib.sha256()
    for name, array in zip(layout._fields, layout):
        if name != "program":  # addresses of this process
            text.update(f"{name}:{array.dtype}:{array.shape}".encode() + array.tobytes())
    programs = [(p.name, p.program) for p in quantized.populations]
    text.update(repr((programs, quantized.ticks_per_sample, quantized.accumulator_bits)).encode())
    return text.hexdigest()[:32]


def _edges(sizes: Any) -> IntArray:
    """Where parts of these sizes begin, one behind the other, and where the last ends."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _constants(quantized: QuantizedNetwork) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """(parameters, one after the other; where each population's begin; all tables; where its bounds begin; the bounds)."""
    parameters, entries = [np.zeros(1, dtype=np.int64)], [np.zeros(1, dtype=np.int64)]
    rows, edges, bounds = [], [], [1]
    for p in quantized.populations:
        program = PROGRAMS[p.program] if p.program else None
        rows.append(sum(part.size for part in parameters))
        edges.append(len(bounds) - 1)
        if program and program.parameters:
            parameters.append(np.stack([p.parameters[name] for name in program.parameters]).reshape(-1))
        for name in program.tables if program else ():
            entries.append(p.tables[name])
            bounds.append(bounds[-1] + len(p.tables[name]))
    row, edge, bound = (np.array(values, dtype=np.int64) for values in (rows, edges, bounds))
    return np.concatenate(parameters).astype(np.int64), row, np.concatenate(entries).astype(np.int64), edge, bound


def _synapses(
    quantized: QuantizedNetwork, number: Mapping[str, int], start: IntArray, place: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """All projections as one list by sender: (start per compartment, slot, weight)."""
    senders, slots, weights = [], [], []
    for projection in quantized.projections:
        target = quantized.population(projection.target_population)
        port = PROGRAMS[target.program].ports.index(projection.port)
        senders.append(projection.source + start[number[projection.source_population]])
        slots.append(place[projection.target + start[number[projection.target_population]]] + port)
        weights.append(projection.weight)
    sender, slot, weight = (np.concatenate([*parts, np.zeros(0, dtype=np.int64)]) for parts in (senders, slots, weights))
    order = np.argsort(sender, kind="stable")
    counts = np.bincount(sender, minlength=int(start[-1]))
    return _edges(counts), slot[order], weight[order]


def _runs(synapse_start: IntArray, slot: IntArray) -> npt.NDArray[np.uint8]:
    """Per compartment 1 where its synapses reach MANY slots or more that lie side by side, so that they can be served together."""
    breaks = np.concatenate([[0], np.cumsum(np.diff(slot) != 1)])
    first, last = synapse_start[:-1], synapse_start[1:] - 1
    many = last - first + 1 >= MANY
    runs = np.zeros(len(many), dtype=np.uint8)
    runs[many] = breaks[last[many]] == breaks[first[many]]
    return runs


def _flood_from(start: IntArray, place: IntArray, synapse_start: IntArray, targets: list[IntArray]) -> IntArray:
    """Per population how many senders it takes until to look through all slots of its targets costs less than to list those reached."""
    sizes, synapses, slots = np.diff(start), np.diff(synapse_start[start]), np.diff(place[start])
    reached = np.array([slots[part].sum() for part in targets])
    senders: IntArray = np.ceil(sizes * reached / (FLOOD * np.maximum(synapses, 1))).astype(np.int64)
    return np.maximum(senders, 1)


def machine_at_rest(quantized: QuantizedNetwork, layout: Any) -> Any:
    """A machine at rest: every compartment waits for its first turn."""
    from event_sim.kernels import chip

    compartments, populations = len(layout.population), len(layout.program)
    programmed = np.array([bool(p.program) for p in quantized.populations])
    slots = len(layout.owner)
    zeros = {name: np.zeros(compartments, dtype=np.int64) for name in ("state", "sent", "spikes", "active")}
    most = max(np.diff(layout.start), default=0) + 1
    scratch = {name: np.zeros(most, dtype=np.int64) for name in ("fresh", "delta")}
    per_slot = {name: np.zeros(slots, dtype=np.int64) for name in ("total", "arriving", "total_saturations")}
    return chip.Machine(
        queued=programmed[layout.population].astype(np.uint8),
        queue=np.zeros(compartments + populations, dtype=np.uint32),
        queue_length=np.where(programmed, np.diff(layout.start), 0),
        unlisted=np.ones(populations, dtype=np.uint8),
        flooded=np.zeros(populations, dtype=np.uint8),
        is_touched=np.zeros(slots, dtype=np.uint8),
        touched=np.zeros(slots + 1, dtype=np.uint32),
        touched_count=np.zeros(1, dtype=np.int64),
        state_saturations=np.zeros(populations, dtype=np.int64),
        ranges=np.zeros(2 * most, dtype=np.int64),
        fires=np.zeros(most, dtype=np.uint8),
        sender=np.zeros(most, dtype=np.uint32),
        **scratch,
        **zeros,
        **per_slot,
    )


def clock_at(layout: Any, ticks_per_sample: int, tick: int, first_sample: int) -> IntArray:
    """(3, populations): the first turn from `tick` on, its sample counted from first_sample, and how many turns of that sample are left."""
    turns = ticks_per_sample // layout.period
    past = np.maximum(0, -((layout.first_tick - tick) // layout.period))
    return np.stack([layout.first_tick + past * layout.period, past // turns - first_sample, turns - past % turns])


def state_record(states: IntArray) -> Any:
    """A record of states alone."""
    from event_sim.kernels import chip

    rows, ticks = np.zeros((0, 3), dtype=np.int64), np.zeros((0, 1), dtype=np.int64)
    return chip.Record(states, rows, np.zeros(1, dtype=np.int64), ticks, ticks, ticks)


def continue_from(quantized: QuantizedNetwork, layout: Any, machine: Any, chip: ChipState) -> int:
    """The machine of an earlier run of the same network; returns the tick at which it goes on."""
    if chip.network != fingerprint(quantized):
        raise ValueError("initial must come from a run of this network, but its integers are others; give its states (initial=final.state)")
    for n, p in enumerate(quantized.populations):
        here = slice(int(layout.start[n]), int(layout.start[n + 1]))
        slots = slice(int(layout.place[here.start]), int(layout.place[here.stop]))
        machine.state[here], machine.sent[here] = chip.state[p.name], chip.sent[p.name]
        machine.queued[here] = chip.queued[p.name]
        machine.queue_length[n] = np.count_nonzero(chip.queued[p.name])
        machine.total[slots] = chip.accumulators[p.name].reshape(-1)
        machine.arriving[slots] = chip.arriving[p.name].reshape(-1)
        machine.flooded[n] = machine.arriving[slots].any()
    machine.is_touched[:] = machine.arriving != 0
    return chip.tick


def set_states(quantized: QuantizedNetwork, layout: Any, machine: Any, start: Start) -> None:
    """States in real numbers: every unit (and memory cell) has sent its message, and its targets have it."""
    first = {p.name: int(layout.start[n]) for n, p in enumerate(quantized.populations)}
    given = [(p, start.state[where : where + p.size]) for p, where in unit_populations(quantized)]
    memory = memory_population(quantized)
    if memory is not None and start.memory is not None:
        given.append((memory, start.memory))
    for p, values in given:
        here = slice(first[p.name], first[p.name] + p.size)
        machine.state[here] = p.state.quantize(values)
        machine.sent[here] = round_shift(machine.state[here], p.message_shift)
        for i in range(here.start, here.stop):
            synapses = slice(layout.synapse_start[i], layout.synapse_start[i + 1])
            machine.total[layout.slot[synapses]] += layout.weight[synapses] * machine.sent[i]
