"""What a network takes of a chip: memory per core, routing entries, flash and RAM. Bits per item come from the profile (typical values)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hardware_profiles.profile import HardwareProfile
from liquid_neuro.quantized_network import Population, QuantizedNetwork

IntArray = npt.NDArray[np.int64]

HOST = -1  # the "core" of what does not lie on the chip: the input population, and the host's part of a network of dense layers


@dataclass(frozen=True, eq=False)
class CoreUse:
    """Per core (cores,): compartments, routing entries in and out, bits by cause. memory_bits is their sum."""

    compartments: IntArray
    input_axons: IntArray
    output_axons: IntArray
    synapse_bits: IntArray
    compartment_bits: IntArray
    table_bits: IntArray
    axon_bits: IntArray

    @property
    def memory_bits(self) -> IntArray:
        """All bits of each core."""
        return self.synapse_bits + self.compartment_bits + self.table_bits + self.axon_bits


def ports_of(quantized: QuantizedNetwork, population: Population) -> tuple[str, ...]:
    """The ports (accumulators) of a population that any projection reaches."""
    return tuple(sorted({projection.port for projection in quantized.projections if projection.target_population == population.name}))


def bits_per_compartment(quantized: QuantizedNetwork, population: Population, profile: HardwareProfile) -> int:
    """State, last message and one accumulator per port, and the parameters that differ between compartments."""
    limits = profile.limits
    assert limits is not None
    words = 2 + len(ports_of(quantized, population))
    own = sum(not shared(values) for values in population.parameters.values())
    return round(words * limits.state_word_bits.typical + own * limits.parameter_word_bits.typical)


def shared(values: IntArray) -> bool:
    """Whether all compartments have the same value, which is then stored once with the program."""
    return len(values) == 0 or bool((values == values[0]).all())


def table_bits(population: Population, profile: HardwareProfile) -> int:
    """Tables and shared parameters of a program: once on every core that runs it."""
    limits = profile.limits
    assert limits is not None
    entries = sum(len(table) for table in population.tables.values())
    common = sum(shared(values) for values in population.parameters.values())
    return round(entries * limits.table_word_bits.typical + common * limits.parameter_word_bits.typical)


def bits_per_synapse(weight_bits: int, profile: HardwareProfile) -> int:
    """A stored weight with its index."""
    assert profile.limits is not None
    return round(weight_bits + profile.limits.synapse_index_bits.typical)


def core_use(quantized: QuantizedNetwork, profile: HardwareProfile, core_of: Mapping[str, IntArray], cores: int) -> CoreUse:
    """What each core holds under an assignment population -> core of each compartment (HOST: none)."""
    limits = profile.limits
    assert limits is not None
    compartments, synapse, state, tables = (np.zeros(cores, dtype=np.int64) for _ in range(4))
    programs: dict[tuple[int, str], int] = {}
    for population in quantized.populations:
        here = core_of[population.name]
        on_chip = here[here != HOST]
        counts = np.bincount(on_chip, minlength=cores)
        compartments += counts
        state += counts * bits_per_compartment(quantized, population, profile)
        for core in np.unique(on_chip).tolist():
            entry = (core, population.program)
            programs[entry] = max(programs.get(entry, 0), table_bits(population, profile))
    for (core, _), bits in programs.items():
        tables[core] += bits
    for projection in quantized.projections:
        here = core_of[projection.target_population][projection.target]
        synapse += np.bincount(here[here != HOST], minlength=cores) * bits_per_synapse(projection.weight_bits, profile)
    incoming, outgoing = axons(quantized, core_of, cores)
    axon = np.round((incoming + outgoing) * limits.axon_entry_bits.typical).astype(np.int64)
    return CoreUse(compartments, incoming, outgoing, synapse, state, tables, axon)


def destinations(quantized: QuantizedNetwork, core_of: Mapping[str, IntArray], cores: int) -> dict[str, npt.NDArray[np.bool_]]:
    """Population -> (size, cores): whether a compartment has a target on that core. One message per spike and core follows from it."""
    reach = {population.name: np.zeros((population.size, cores), dtype=bool) for population in quantized.populations}
    for projection in quantized.projections:
        there = core_of[projection.target_population][projection.target]
        on_chip = there != HOST
        reach[projection.source_population][projection.source[on_chip], there[on_chip]] = True
    return reach


def axons(quantized: QuantizedNetwork, core_of: Mapping[str, IntArray], cores: int) -> tuple[IntArray, IntArray]:
    """(entries in, entries out) per core: one per sender that reaches it, one per (compartment, destination core). The host's senders
    take an entry in only."""
    incoming, outgoing = np.zeros(cores, dtype=np.int64), np.zeros(cores, dtype=np.int64)
    for name, reach in destinations(quantized, core_of, cores).items():
        incoming += reach.sum(axis=0)
        here = core_of[name]
        np.add.at(outgoing, here[here != HOST], reach[here != HOST].sum(axis=1))
    return incoming, outgoing


def program_memory(quantized: QuantizedNetwork, profile: HardwareProfile) -> dict[str, int]:
    """{"flash", "ram"} bits of generated code that computes sample by sample.

    Flash: weights in whole bytes with an index of 1 or 2 bytes, parameters in 32-bit words, tables in 16-bit words, code. RAM: one 32-bit
    word per state and last message, and one per accumulator of a compartment that keeps its state.
    """
    memory = profile.memory
    assert memory is not None
    flash, ram = memory.code_bits.typical, 0.0
    for population in quantized.populations:
        own = sum(not shared(values) for values in population.parameters.values())
        flash += 32.0 * (own * population.size + len(population.parameters) - own)
        ram += 32.0 * population.size * (2 + len(ports_of(quantized, population)))
    tables = {(population.program, name): len(table) for population in quantized.populations for name, table in population.tables.items()}
    flash += 16.0 * sum(tables.values())
    for projection in quantized.projections:
        index = 8 if quantized.population(projection.source_population).size <= 256 else 16
        flash += len(projection.weight) * (8 * -(-projection.weight_bits // 8) + index)
    return {"flash": round(flash), "ram": round(ram)}


def layer_bits(quantized: QuantizedNetwork, name: str) -> int:
    """Weights of a dense layer, zeros included: inputs x outputs x weight bits."""
    return sum(
        len(projection.weight) * projection.weight_bits for projection in quantized.projections if projection.target_population == name
    )


def layer_inputs(quantized: QuantizedNetwork, name: str) -> int:
    """How many inputs a dense layer has."""
    sources = {projection.source_population for projection in quantized.projections if projection.target_population == name}
    return sum(quantized.population(source).size for source in sources)
