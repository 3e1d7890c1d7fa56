"""A quantised network and its machine as the kernel's arrays."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from event_sim.chip_state import ChipState
from event_sim.events import FloatArray, IntArray
from hardware_profiles.fixed_point import round_shift
from liquid_neuro.cells import PROGRAMS
from liquid_neuro.quantized_network import Population, QuantizedNetwork

MACHINE_STATE = 10  # of a machine's arrays: the rest are counts


def cells_of(quantized: QuantizedNetwork) -> tuple[str, ...]:
    """The cells whose programs the kernel must know."""
    from event_sim.kernels import chip

    used = {population.program for population in quantized.populations}
    unknown = used - {"", *chip.PROGRAM_NAMES}
    if unknown:
        raise ValueError(f"programs must be some of {', '.join(chip.PROGRAM_NAMES)} to run in ticks, but one is {min(unknown)}")
    return tuple(sorted({name.partition(".")[0] for name in used if name}))


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


def unit_words(quantized: QuantizedNetwork, layout: Any, state: IntArray) -> IntArray:
    starts = {p.name: int(layout.start[number]) for number, p in enumerate(quantized.populations)}
    return np.concatenate([state[starts[p.name] : starts[p.name] + p.size] for p, _ in unit_populations(quantized)])


@lru_cache(maxsize=8)
def layout_of(quantized: QuantizedNetwork) -> Any:
    """The kernel's arrays of a network."""
    from event_sim.kernels import chip

    populations = quantized.populations
    number = {p.name: n for n, p in enumerate(populations)}
    start = np.concatenate([[0], np.cumsum([p.size for p in populations])]).astype(np.int64)
    compartments = int(start[-1])
    parameters = np.zeros((compartments, chip.PARAMETERS), dtype=np.int64)
    bounds = np.zeros((len(populations), 3), dtype=np.int64)
    entries: list[IntArray] = []
    for n, p in enumerate(populations):
        program = PROGRAMS[p.program] if p.program else None
        for row, name in enumerate(program.parameters if program else ()):
            parameters[start[n] : start[n + 1], row] = p.parameters[name]
        sizes = [sum(len(entry) for entry in entries)]
        for name in program.tables if program else ():
            entries.append(p.tables[name])
            sizes.append(sizes[-1] + len(p.tables[name]))
        bounds[n] = (sizes + [sizes[-1]] * 3)[:3]
    unit_start = np.full(len(populations), -1, dtype=np.int64)
    for p, where in unit_populations(quantized):
        unit_start[number[p.name]] = where
    synapse_start, slot, weight = _synapses(quantized, number, start, chip.PORTS)

    def per_population(values: Any) -> IntArray:
        return np.array(list(values), dtype=np.int64)

    return chip.Layout(
        start=start,
        program=per_population(chip.PROGRAM_NAMES.index(p.program) if p.program else -1 for p in populations),
        stateless=per_population(bool(p.program) and PROGRAMS[p.program].stateless for p in populations),
        first_tick=per_population(p.first_tick for p in populations),
        period=per_population(p.period for p in populations),
        threshold=per_population(p.threshold for p in populations),
        message_shift=per_population(p.message_shift for p in populations),
        state_limit=per_population(word_limit(p.state.bits) for p in populations),
        table_bounds=bounds,
        unit_start=unit_start,
        population=np.repeat(np.arange(len(populations)), np.diff(start)),
        parameters=parameters,
        synapse_start=synapse_start,
        slot=slot,
        weight=weight,
        table=np.concatenate([*entries, np.zeros(1, dtype=np.int64)]),
    )


def _synapses(quantized: QuantizedNetwork, number: Mapping[str, int], start: IntArray, ports: int) -> tuple[IntArray, IntArray, IntArray]:
    """All projections as one list by sender: (start per compartment, slot, weight)."""
    senders, slots, weights = [], [], []
    for projection in quantized.projections:
        target = quantized.population(projection.target_population)
        port = PROGRAMS[target.program].ports.index(projection.port)
        senders.append(projection.source + start[number[projection.source_population]])
        slots.append((projection.target + start[number[projection.target_population]]) * ports + port)
        weights.append(projection.weight)
    sender, slot, weight = (np.concatenate([*parts, np.zeros(0, dtype=np.int64)]) for parts in (senders, slots, weights))
    order = np.argsort(sender, kind="stable")
    counts = np.bincount(sender, minlength=int(start[-1]))
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), slot[order], weight[order]


def machine_at_rest(layout: Any) -> Any:
    """A machine at rest: every compartment waits for its first turn."""
    from event_sim.kernels import chip

    compartments, populations = len(layout.population), len(layout.program)
    first = int(layout.start[1])
    lengths = np.diff(layout.start)
    lengths[0] = 0
    slots = compartments * chip.PORTS
    zeros = {name: np.zeros(compartments, dtype=np.int64) for name in ("state", "sent", "spikes", "active")}
    per_slot = {name: np.zeros(slots, dtype=np.int64) for name in ("total", "arriving", "is_touched", "touched", "total_saturations")}
    return chip.Machine(
        queued=(np.arange(compartments) >= first).astype(np.int64),
        queue=np.arange(compartments),
        queue_length=lengths,
        touched_count=np.zeros(1, dtype=np.int64),
        state_saturations=np.zeros(populations, dtype=np.int64),
        **zeros,
        **per_slot,
    )


def state_record(states: IntArray) -> Any:
    """A record of states alone."""
    from event_sim.kernels import chip

    rows, ticks = np.zeros((0, 3), dtype=np.int64), np.zeros((0, 1), dtype=np.int64)
    return chip.Record(states, rows, np.zeros(1, dtype=np.int64), ticks, ticks, ticks)


def continue_from(quantized: QuantizedNetwork, layout: Any, machine: Any, chip: ChipState) -> int:
    """The machine of an earlier run of the same network."""
    ports = machine.total.size // machine.state.size
    machine.queue_length[:] = 0
    for n, p in enumerate(quantized.populations):
        here = slice(int(layout.start[n]), int(layout.start[n + 1]))
        if p.name not in chip.state or len(chip.state[p.name]) != p.size:
            raise ValueError(f'initial must come from a run of this network, but its population "{p.name}" differs; give states instead')
        machine.state[here], machine.sent[here] = chip.state[p.name], chip.sent[p.name]
        machine.queued[here] = chip.queued[p.name]
        waiting = here.start + np.flatnonzero(chip.queued[p.name])
        machine.queue[here.start : here.start + len(waiting)] = waiting
        machine.queue_length[n] = len(waiting)
        slots = slice(here.start * ports, here.stop * ports)
        machine.total[slots] = chip.accumulators[p.name].reshape(-1)
        machine.arriving[slots] = chip.arriving[p.name].reshape(-1)
    touched = np.flatnonzero(machine.arriving)
    machine.is_touched[touched] = 1
    machine.touched[: len(touched)] = touched
    machine.touched_count[0] = len(touched)
    return chip.tick


def set_states(quantized: QuantizedNetwork, layout: Any, machine: Any, state: FloatArray) -> None:
    """States in real numbers: every unit has sent its message, and its targets have it."""
    starts = {p.name: int(layout.start[n]) for n, p in enumerate(quantized.populations)}
    for p, where in unit_populations(quantized):
        here = slice(starts[p.name], starts[p.name] + p.size)
        machine.state[here] = p.state.quantize(state[where : where + p.size])
        machine.sent[here] = round_shift(machine.state[here], p.message_shift)
        for i in range(here.start, here.stop):
            synapses = slice(layout.synapse_start[i], layout.synapse_start[i + 1])
            machine.total[layout.slot[synapses]] += layout.weight[synapses] * machine.sent[i]
