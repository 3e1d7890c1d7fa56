"""What a run costs on the mapped chip: counts of the recording -> counts per core, messages and hops -> energy and time per sample."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware_profiles.cost import Activity, CoreCounts, Cost, LayerCounts
from hardware_profiles.estimates import estimate
from liquid_neuro.checks import check_kind
from liquid_neuro.network import Fused, LiquidNetwork
from liquid_neuro.quantized_network import IntArray, QuantizedNetwork
from mappers.mapping import Mapping, dense_layers
from mappers.operation_counts import operations_per_sample, program_operations
from mappers.partitioning import MappingError
from mappers.resources import HOST, destinations
from mappers.routing import hops

FloatArray = npt.NDArray[np.float64]

COUNTED_FRAMES = ("cfc_heads.encode", "cfc_heads.head")  # programs whose messages a run of dense layers counts


def cost(mapping: Mapping, recording: Any, mode: str = "free_running", sample_period_s: float | None = None) -> Cost:
    """The cost of one sample (= inference) on the chip, as ranges with their components.

    recording: a chip run of the mapped network (`event_sim.simulate(quantized, …)`), or an Activity made by hand.
    mode: "free_running" (the ticks of a sample back to back) or "paced" (static power over the stream's sample period); it chooses what the
    components describe, the result has both energies. sample_period_s: left out, it is taken from the recording's sample clock.
    ValueError: a recording without chip counts, mode "paced" without a period. MappingError: a run of another network than the mapped one.
    """
    check_kind("`mapping`", mapping, Mapping, "make one by map_network(quantized, profile)")
    if isinstance(recording, Activity):
        return estimate(mapping.profile, recording, sample_period_s=sample_period_s, mode=mode, memory_bits=_memory(mapping))
    activity = chip_counts(mapping, recording)
    period = _period(recording) if sample_period_s is None else sample_period_s
    result = estimate(mapping.profile, activity, sample_period_s=period, mode=mode, memory_bits=_memory(mapping))
    samples = len(recording.output_samples)
    counts = {
        **result.counts,
        "products": float(products_per_sample(mapping.quantized.network)),
        "neuron_synaptic_operations": recording.neuron_synaptic_operations / samples,
    }
    return replace(result, counts=counts, notes=(*result.notes, *_program_note(mapping)))


def _program_note(mapping: Mapping) -> tuple[str, ...]:
    """On a chip that runs neuron programs: how long they are, since the published figures stem from built-in neurons."""
    if mapping.profile.kind != "loihi":
        return ()
    quantized = mapping.quantized
    longest = max((sum(program_operations(quantized, one).values()), one.program) for one in quantized.populations if one.program)
    return (
        f"the longest neuron program ({longest[1]}) has {longest[0]} operations; the profile's update figures stem from built-in neurons",
    )


def chip_counts(mapping: Mapping, recording: Any) -> Activity:
    """The run's counts as the chip's cores see them."""
    if getattr(recording, "activity", None) is None:
        raise ValueError("`recording` must be a chip run of the mapped network, but has no chip counts; simulate the quantised network")
    check_belongs(mapping.quantized, recording)
    samples = len(recording.output_samples)
    if samples == 0:
        raise ValueError("`recording` must hold at least one sample, but has none; run longer")
    if mapping.profile.kind == "loihi":
        return _mesh_counts(mapping, recording.activity, samples)
    operations = mapping.quantized.notes.get("host_operations_per_sample", {})
    if mapping.profile.kind == "akida":
        rounds = float(mapping.quantized.notes.get("host_round_trips_per_sample", 1))
        host = {name: float(number) * samples for name, number in operations.items()}
        return Activity(samples=samples, layers=_layer_counts(mapping, recording.activity), rounds=rounds, operations=host)
    return Activity(samples=1, operations=operations_per_sample(mapping.quantized))


def check_belongs(quantized: QuantizedNetwork, recording: Any) -> None:
    """MappingError where the chip run cannot be one of this network: other engine, populations, sizes, projections or ticks per sample."""
    activity = recording.activity
    engine = "frames" if quantized.kind == "akida" else "chip"
    pairs: list[tuple[str, Any, Any]] = [("engine", engine, getattr(recording, "engine", engine))]
    counted = [one for one in quantized.populations if quantized.kind != "akida" or one.program in COUNTED_FRAMES]
    populations = {population.name: population.size for population in counted}
    recorded = {name: np.size(counts) for name, counts in activity.spikes.items()}
    for name in dict.fromkeys((*populations, *recorded)):
        pairs.append((f"size of population {name}", populations.get(name, 0), recorded.get(name, 0)))
    pairs.append(("number of projections", len(quantized.projections), len(activity.stored_operations)))
    ticks = quantized.ticks_per_sample
    pairs.append(("number of ticks per sample", ticks, getattr(activity, "ticks_per_sample", ticks)))
    for what, expected, found in pairs:
        if expected != found:
            raise _foreign_run(f"the {what} is {found} instead of {expected}")
    for number, one in enumerate(quantized.projections if engine == "chip" else ()):
        expected, found = int(activity.spikes[one.source_population][one.source].sum()), int(activity.stored_operations[number])
        if abs(expected - found) > len(one.weight):  # a message of each synapse may be under way when the run begins or ends
            ends = f"from {one.source_population} to {one.target_population}"
            raise _foreign_run(f"it has {found} synaptic operations {ends} where its spikes would make {expected}")


def _foreign_run(found: str) -> MappingError:
    return MappingError(f"`recording` must be a run of the mapped network, but {found}; simulate the quantised network that was mapped")


def products_per_sample(network: LiquidNetwork) -> int:
    """Multiplications of a weight with a value that a clock-driven step of the network needs, biases not counted.

    CfC: for each head and backbone layer its connected weights (ff1 and ff2 of a wired layer masked, the other heads dense).
    LTC: two per synapse (conductance and driven conductance) and sub-step; sensory synapses once per sample.
    Mixed memory: all its weights, once per sample.
    """
    total = sum(array.size for name, array in network.parameters.items() if name.startswith("lstm.") and array.ndim == 2)
    if network.cell == "ltc":
        assert network.wiring is not None
        unfolds = network.solver.unfolds if isinstance(network.solver, Fused) else 1
        return total + 2 * (unfolds * network.wiring.synapse_count + network.wiring.sensory_synapse_count)
    from liquid_neuro.cells import cfc

    for layer in cfc.effective(network).layers:
        total += sum(weight.size for weight, _ in layer.backbone)
        for name, (weight, _) in layer.heads.items():
            masked = layer.mask is not None and name in cfc.MASKED_HEADS
            total += int(np.count_nonzero(layer.mask)) if masked and layer.mask is not None else weight.size
    return total


def _memory(mapping: Mapping) -> dict[str, int]:
    bits = {
        "worst_core": int(mapping.memory_bits.max()),
        "available_per_core": mapping.memory_bits_available,
        "total": int(mapping.memory_bits.sum()),
    }
    if mapping.ram_bits_available:
        bits.update(ram=mapping.ram_bits, ram_available=mapping.ram_bits_available)
    return bits


def _period(recording: Any) -> float | None:
    """The mean sample period of the run's stream in seconds; None where the recording has no sample clock."""
    times = np.asarray(recording.state_times_s, dtype=np.float64)
    if len(times) < 2 or len(times) != len(recording.output_samples) + 1:
        return None
    return float(times[-1] - times[0]) / (len(times) - 1) or None


# --- Loihi class ------------------------------------------------------------------------------------------------------------------------


def _mesh_counts(mapping: Mapping, chip: Any, samples: int) -> Activity:
    quantized, cores = mapping.quantized, mapping.cores
    spikes = {name: np.asarray(counts, dtype=np.float64) for name, counts in chip.spikes.items()}
    ticks = int(chip.ticks)
    accesses, updates, sent, messages, received, synapses = (np.zeros(cores) for _ in range(6))
    matrix = np.zeros((cores, cores))
    reach = destinations(quantized, mapping.core_of, cores)
    for population in quantized.populations:
        here = mapping.core_of[population.name]
        arriving = spikes[population.name][:, None] * reach[population.name]
        received += arriving.sum(axis=0)
        if (here == HOST).all():
            continue
        count = np.bincount(here, minlength=cores)
        accesses += count * ticks
        updates += count * turns(ticks, population.first_tick, population.period)
        sent += np.bincount(here, weights=spikes[population.name], minlength=cores)
        messages += np.bincount(here, weights=arriving.sum(axis=1), minlength=cores)
        np.add.at(matrix, here, arriving)
    for projection in quantized.projections:
        there = mapping.core_of[projection.target_population][projection.target]
        events = spikes[projection.source_population][projection.source]
        synapses += np.bincount(there[there != HOST], weights=events[there != HOST], minlength=cores)
    onward = hops(matrix, mapping.core_xy)
    per_core = tuple(
        CoreCounts(*(float(counts[core]) for counts in (accesses, updates, sent, messages, received, synapses))) for core in range(cores)
    )
    return Activity(
        samples=max(samples, ticks / quantized.ticks_per_sample),
        ticks=ticks,
        cores=per_core,
        tiles=len(np.unique(mapping.core_xy, axis=0)),
        tile_messages=onward.tile_messages,
        hops_east_west=onward.east_west,
        hops_north_south=onward.north_south,
        busiest_link_messages=onward.busiest_link,
        host_ticks=samples,
        latency_ticks=quantized.read_tick + 1,
    )


def turns(ticks: int, first_tick: int, period: int) -> int:
    """How often a population advances in ticks 0 .. ticks - 1."""
    return max(0, -(-(ticks - first_tick) // period)) if ticks > first_tick else 0


# --- Akida class --------------------------------------------------------------------------------------------------------------------------


def _layer_counts(mapping: Mapping, chip: Any) -> tuple[LayerCounts, ...]:
    """Events that enter each dense layer: its stored operations divided by its outputs (an event meets every output once)."""
    stored = _stored(mapping, chip)
    layers = []
    for name in dense_layers(mapping.quantized):
        outputs = mapping.quantized.population(name).size
        processors = len(np.unique(mapping.core_of[name]))
        layers.append(LayerCounts(name, stored[name] / outputs, outputs, processors))
    return tuple(layers)


def _stored(mapping: Mapping, chip: Any) -> Table[str, float]:
    """Synaptic operations by target population."""
    totals = {population.name: 0.0 for population in mapping.quantized.populations}
    counts: Any = chip.stored_operations
    for index, projection in enumerate(mapping.quantized.projections):
        number: IntArray | float = counts[index]
        totals[projection.target_population] += float(np.sum(number))
    return totals
