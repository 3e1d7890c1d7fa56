"""From a quantised network to a Mapping: how many cores, which compartment on which, and where the cores lie."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware_profiles.profile import HardwareProfile
from liquid_neuro.cells import PROGRAMS
from liquid_neuro.checks import check_kind, check_seed, is_whole
from liquid_neuro.quantized_network import IntArray, QuantizedNetwork
from mappers.mapping import Mapping, before_placing, check, dense_layers, memory_of
from mappers.partitioning import MappingError, Problem, solve
from mappers.placement import PLACERS
from mappers.resources import HOST, axons, bits_per_compartment, bits_per_synapse, destinations, layer_bits, table_bits
from mappers.routing import hops

FloatArray = npt.NDArray[np.float64]

BALANCE = 1.1  # with a given number of cores, none has more than 10 % above the mean work (plus one compartment)
TYPICAL_ACTIVITY = 0.1  # share of synapses that carry a message in a tick, for the balance of work where no traffic is given


def map_network(
    quantized: QuantizedNetwork,
    profile: HardwareProfile,
    traffic: Any = None,
    cores: int | None = None,
    placer: str = "greedy",
    seed: int = 0,
) -> Mapping:
    """Places a quantised network on the chip.

    traffic: a chip run's recording, or population -> events per compartment, or the events of the network's units in state order; None:
    every compartment sends alike. cores: None takes the fewest that hold the network; a number spreads it evenly over so many, which
    shortens the tick. placer: a name of mappers.placement.PLACERS.
    MappingError names the constraint, what is needed and what is available.
    """
    check_kind("`quantized`", quantized, QuantizedNetwork, "make one by quantize(network, profile)")
    check_kind("`profile`", profile, HardwareProfile, "load one by hardware_profiles.load(name)")
    if quantized.kind != profile.kind:
        raise MappingError(
            f'`profile` must be of kind "{quantized.kind}", for which the network was quantised, but {profile.name} is of kind '
            f'"{profile.kind}"; quantise for {profile.name}'
        )
    if not isinstance(placer, str) or placer not in PLACERS:
        raise MappingError(f'`placer` must be one of {", ".join(PLACERS)}, but is "{placer}"; choose one')
    if cores is not None and (not is_whole(cores) or not 1 <= cores <= profile.cores):
        raise MappingError(f"cores: {cores} needed, {profile.cores} available on {profile.name}; ask for 1 to {profile.cores}")
    check_seed(seed)
    if profile.kind == "loihi":
        mapping = _on_mesh(quantized, profile, traffic, cores, placer, seed)
    elif profile.kind == "akida":
        mapping = _on_neural_processors(quantized, profile)
    else:
        core_of = {population.name: np.zeros(population.size, dtype=np.int64) for population in quantized.populations}
        mapping = _flat(quantized, profile, core_of, np.zeros((1, 2), dtype=np.int64))
    violations = check(mapping)
    if violations:
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise MappingError(f"{violations[0]}{more}; change the network, its word lengths or the chip")
    return mapping


def _flat(quantized: QuantizedNetwork, profile: HardwareProfile, core_of: dict[str, IntArray], core_xy: IntArray) -> Mapping:
    """A mapping on a chip whose message costs are not modelled."""
    cores = len(core_xy)
    return Mapping(
        quantized=quantized,
        profile=profile,
        core_of=core_of,
        core_xy=core_xy,
        traffic=np.zeros((cores, cores)),
        hops_before=0.0,
        hops_after=0.0,
        messages_before=0.0,
        messages_after=0.0,
        placer="none",
        **memory_of(quantized, profile, core_of, cores),
    )


# --- Akida class --------------------------------------------------------------------------------------------------------------------------


def _on_neural_processors(quantized: QuantizedNetwork, profile: HardwareProfile) -> Mapping:
    """Each dense layer gets neural processors of its own, as many as its outputs and weights need; everything else stays at the host."""
    neural = profile.neural
    assert neural is not None
    for violation in before_placing(quantized, profile):
        raise MappingError(f"{violation}; {profile.name} cannot hold this network")
    core_of = {population.name: np.full(population.size, HOST, dtype=np.int64) for population in quantized.populations}
    used = 0
    for name in dense_layers(quantized):
        outputs = quantized.population(name).size
        bits_per_output = layer_bits(quantized, name) / outputs
        by_memory = int(neural.memory_per_processor_bits.value // bits_per_output) if bits_per_output else outputs
        if by_memory == 0:
            available = neural.memory_per_processor_bits.value
            raise MappingError(
                f"memory_per_processor_bits: one output of layer {name} needs {bits_per_output:.0f}, {available} available; "
                "use a smaller network"
            )
        per_processor = min(neural.max_outputs_per_processor.value, by_memory)
        parts = -(-outputs // per_processor)
        core_of[name] = used + np.arange(outputs) * parts // outputs
        used += parts
    if used > profile.cores:
        raise MappingError(
            f"neural_processors: {used} needed, {profile.cores} available on {profile.name}; use a smaller network or fewer layers"
        )
    if used == 0:
        raise MappingError('`quantized` must have dense layers (program "cfc_heads.head"), but has none; quantise a CfC for this chip')
    per_node = -(-neural.neural_processors.value // neural.nodes.value)
    core_xy = np.stack([np.arange(used) // per_node, np.zeros(used, dtype=np.int64)], axis=1)
    return _flat(quantized, profile, core_of, core_xy)


# --- Loihi class --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Compartments:
    """All compartments of the chip in one row: where each population starts, events, work and demand of each."""

    start: Table[str, int]
    events: FloatArray
    source: IntArray
    target: IntArray
    demand: FloatArray
    work: FloatArray

    def core_of(self, quantized: QuantizedNetwork, core: IntArray) -> dict[str, IntArray]:
        """Population -> core of each compartment; the input population stays at the host."""
        return {
            population.name: core[self.start[population.name] : self.start[population.name] + population.size].copy()
            if population.name in self.start
            else np.full(population.size, HOST, dtype=np.int64)
            for population in quantized.populations
        }


def _on_mesh(quantized: QuantizedNetwork, profile: HardwareProfile, traffic: Any, cores: int | None, placer: str, seed: int) -> Mapping:
    flat = _flatten(quantized, profile, events_by_population(quantized, traffic))
    core = _fewest(quantized, profile, flat, seed) if cores is None else _spread(quantized, profile, flat, cores, seed)
    used = int(core.max()) + 1
    slots = _slots(profile)
    naive = flat.core_of(quantized, _index_order(flat, used))
    before = _messages(quantized, naive, flat, used)
    options = [flat.core_of(quantized, core)] + ([naive] if _fits(quantized, profile, naive, used) else [])
    placed = []
    for core_of in options:
        matrix = _messages(quantized, core_of, flat, used)
        slot = PLACERS[placer](matrix, slots, seed)
        placed.append((hops(matrix, slots[slot]).total, _between(matrix), core_of, matrix, slots[slot]))
    hops_after, messages_after, core_of, matrix, core_xy = min(placed, key=lambda item: item[:2])
    return Mapping(
        quantized=quantized,
        profile=profile,
        core_of=core_of,
        core_xy=core_xy,
        traffic=matrix,
        hops_before=hops(before, slots[:used]).total,
        hops_after=hops_after,
        messages_before=_between(before),
        messages_after=messages_after,
        placer=placer,
        seed=seed,
        **memory_of(quantized, profile, core_of, used),
    )


def _between(matrix: FloatArray) -> float:
    return float(matrix.sum() - np.trace(matrix))


def _slots(profile: HardwareProfile) -> IntArray:
    mesh = profile.mesh
    assert mesh is not None
    tile = np.arange(mesh.cores.value) // mesh.cores_per_tile.value
    return np.stack([tile % mesh.tiles_wide.value, tile // mesh.tiles_wide.value], axis=1)


def events_by_population(quantized: QuantizedNetwork, traffic: Any) -> dict[str, FloatArray]:
    """Events of every compartment from what the caller knows.

    A population of which nothing is known sends when its sources do: its events are the sum of theirs, at most those of the busiest
    compartment known (a gate has one source and so its events).
    """
    populations = quantized.populations
    if traffic is None:
        return {population.name: np.ones(population.size) for population in populations}
    known = _known_events(quantized, traffic)
    highest = max((float(events.max()) for events in known.values() if len(events)), default=1.0)
    for population in populations:
        if population.name not in known and not population.program:
            means = [float(events.mean()) for events in known.values() if len(events)] or [1.0]
            known[population.name] = np.full(population.size, sum(means) / len(means))
    for population in populations:
        if population.name in known:
            continue
        events = np.zeros(population.size)
        for projection in quantized.projections:
            if projection.target_population == population.name and projection.source_population in known:
                np.add.at(events, projection.target, known[projection.source_population][projection.source])
        known[population.name] = np.minimum(events, highest)
    return known


def _known_events(quantized: QuantizedNetwork, traffic: Any) -> dict[str, FloatArray]:
    activity = getattr(traffic, "activity", traffic)
    if activity is None:
        raise MappingError(
            "`traffic` must be the recording of a chip run, but is that of a float network; simulate the quantised network, or pass the "
            "event_counts of an event-driven run"
        )
    given = getattr(activity, "spikes", activity)
    sizes = {population.name: population.size for population in quantized.populations}
    known: dict[str, FloatArray] = {}
    if isinstance(given, Table):
        for name, events in given.items():
            if name not in sizes:
                raise MappingError(f'`traffic` must name populations of the network ({", ".join(sizes)}), but names "{name}"')
            known[name] = _event_counts(f'`traffic["{name}"]`', events)
            if known[name].shape != (sizes[name],):
                raise MappingError(
                    f'`traffic["{name}"]` must have the shape ({sizes[name]},), but has {known[name].shape}; give events per compartment'
                )
        return known
    counts = _event_counts("`traffic`", given)
    units = [population for population in quantized.populations if population.program and PROGRAMS[population.program].unit]
    total = sum(population.size for population in units)
    if counts.shape != (total,):
        raise MappingError(
            f"`traffic` must have the shape ({total},), one number per unit, but has {counts.shape}; pass recording.event_counts"
        )
    start = 0
    for population in units:
        known[population.name] = counts[start : start + population.size]
        start += population.size
    return known


def _event_counts(what: str, given: Any) -> FloatArray:
    """Numbers of events as floats; MappingError where one cannot be a number of events."""
    try:
        counts = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise MappingError(f"{what} must be numbers of events, but is {type(given).__name__}; pass a chip run or its counts") from None
    wrong = counts[~(np.isfinite(counts) & (counts >= 0))]
    if wrong.size:
        raise MappingError(f"{what} must be finite and at least 0, but holds {wrong.flat[0]:g}; give numbers of events")
    return counts


def _flatten(quantized: QuantizedNetwork, profile: HardwareProfile, events: Table[str, FloatArray]) -> _Compartments:
    time = profile.time
    assert time is not None
    start: dict[str, int] = {}
    total = 0
    for population in quantized.populations:
        if population.program:
            start[population.name] = total
            total += population.size
    bits, work, sent = np.zeros(total), np.zeros(total), np.zeros(total)
    for population in quantized.populations:
        if population.program:
            here = slice(start[population.name], start[population.name] + population.size)
            bits[here] = bits_per_compartment(quantized, population, profile)
            work[here] = time.compartment_access_s.typical + time.compartment_update_s.typical / population.period
            sent[here] = events[population.name]
    sources, targets = [], []
    for projection in quantized.projections:
        target = projection.target + start[projection.target_population]
        np.add.at(bits, target, bits_per_synapse(projection.weight_bits, profile))
        np.add.at(work, target, TYPICAL_ACTIVITY * time.synaptic_operation_s.typical)
        if projection.source_population in start:
            sources.append(projection.source + start[projection.source_population])
            targets.append(target)
    source = np.concatenate(sources) if sources else np.zeros(0, dtype=np.int64)
    target = np.concatenate(targets) if targets else np.zeros(0, dtype=np.int64)
    pairs = np.unique(np.stack([source, target], axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return _Compartments(start, sent, pairs[:, 0], pairs[:, 1], np.stack([np.ones(total), bits], axis=1), work)


def _problem(
    profile: HardwareProfile, quantized: QuantizedNetwork, flat: _Compartments, cores: int, room: float, balanced: bool
) -> Problem:
    """room: the share of a core's memory that compartments and synapses may take; tables and routing entries need the remainder."""
    limits = profile.limits
    assert limits is not None
    tables = sum({population.program: table_bits(population, profile) for population in quantized.populations}.values())
    bits = max(limits.memory_per_core_bits.value - tables, 0) * room
    demand, capacity = flat.demand, [float(limits.compartments_per_core.value), bits]
    names: tuple[str, ...] = ("compartments_per_core", "memory_per_core_bits")
    if balanced:
        demand = np.concatenate([demand, flat.work[:, None]], axis=1)
        capacity.append(BALANCE * flat.work.sum() / cores + flat.work.max())
        names = (*names, "work")
    return Problem(flat.events, flat.source, flat.target, demand, np.tile(np.array(capacity), (cores, 1)), names)


def _fewest(quantized: QuantizedNetwork, profile: HardwareProfile, flat: _Compartments, seed: int) -> IntArray:
    problem = _problem(profile, quantized, flat, 1, 1.0, False)
    least = int(max(np.ceil(flat.demand.sum(axis=0) / np.maximum(problem.capacity[0], 1e-300)).max(), 1))
    cores = least
    while cores <= profile.cores:
        core = _try(quantized, profile, flat, cores, seed, balanced=False)
        if core is not None:
            return core
        cores += max(1, cores // 8)  # beyond 16 cores the fewest are met within an eighth
    return _refuse(profile, problem, flat, profile.cores)


def _spread(quantized: QuantizedNetwork, profile: HardwareProfile, flat: _Compartments, cores: int, seed: int) -> IntArray:
    if cores > len(flat.events):
        raise MappingError(f"`cores` must be at most the {len(flat.events)} compartments of the network, but is {cores}; ask for fewer")
    for balanced in (True, False):
        core = _try(quantized, profile, flat, cores, seed, balanced)
        if core is not None:
            return core
    return _refuse(profile, _problem(profile, quantized, flat, cores, 1.0, False), flat, cores)


def _try(
    quantized: QuantizedNetwork, profile: HardwareProfile, flat: _Compartments, cores: int, seed: int, balanced: bool
) -> IntArray | None:
    """An assignment that keeps every limit, or None. Less memory or an even split may make room for routing entries."""
    for room, even in ((1.0, balanced), (0.9, balanced), (1.0, True), (0.75, balanced)):
        try:
            core, _ = solve(_problem(profile, quantized, flat, cores, room, even), seed)
        except MappingError:
            continue
        if _fits(quantized, profile, flat.core_of(quantized, core), cores):
            return core
    return None


def _fits(quantized: QuantizedNetwork, profile: HardwareProfile, core_of: dict[str, IntArray], cores: int) -> bool:
    limits = profile.limits
    assert limits is not None
    counts = sum(np.bincount(here[here != HOST], minlength=cores) for here in core_of.values())
    incoming, outgoing = axons(quantized, core_of, cores)
    memory = memory_of(quantized, profile, core_of, cores)
    return bool(
        np.max(counts) <= limits.compartments_per_core.value
        and np.min(counts) > 0
        and incoming.max() <= limits.input_axons_per_core.value
        and outgoing.max() <= limits.output_axons_per_core.value
        and memory["memory_bits"].max() <= memory["memory_bits_available"]
    )


def _refuse(profile: HardwareProfile, problem: Problem, flat: _Compartments, cores: int) -> IntArray:
    """Raises with every constraint; the first that cannot hold comes first."""
    needed, each = flat.demand.sum(axis=0), problem.capacity[0]
    rows = [
        (needed[k] / max(cores * each[k], 1e-300), f"{problem.resources[k]}: {needed[k]:.0f} needed, {cores} x {each[k]:.0f} available")
        for k in range(len(each))
    ]
    text = "; ".join(row for _, row in sorted(rows, reverse=True))
    raise MappingError(f"{text} on {cores} core(s) of {profile.name} (routing entries come on top); use more cores or a smaller network")


def _index_order(flat: _Compartments, cores: int) -> IntArray:
    """Compartments in their order, cut into equal pieces: the mapping that nobody thought about."""
    return np.arange(len(flat.events), dtype=np.int64) * cores // len(flat.events)


def _messages(quantized: QuantizedNetwork, core_of: dict[str, IntArray], flat: _Compartments, cores: int) -> FloatArray:
    """(cores, cores) messages under the traffic that the mapping is made for."""
    matrix = np.zeros((cores, cores))
    for name, reach in destinations(quantized, core_of, cores).items():
        if name in flat.start:
            events = flat.events[flat.start[name] : flat.start[name] + len(reach)]
            np.add.at(matrix, core_of[name], events[:, None] * reach)
    return matrix
