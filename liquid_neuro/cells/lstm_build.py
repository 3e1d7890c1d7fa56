"""The populations and projections of mixed memory in integers, and of dense maps (lstm_integer.py says what the memory computes)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hardware_profiles.fixed_point import QFormat
from liquid_neuro.cells.dense_formats import DenseFormats
from liquid_neuro.cells.integer import constant
from liquid_neuro.cells.lstm_formats import MapIntegers, MemoryFormats, memory_tables
from liquid_neuro.cells.lstm_integer import CELL, CELL_TIMED, GATES, OUTPUT
from liquid_neuro.quantized_network import IntArray, Population, Projection

Source = tuple[Population, slice]  # compartments of a population, as columns of a dense map


@dataclass(frozen=True)
class MemoryPlace:
    """Where the memory stands in its network. first_tick: of c, one before that of h~; period: of both. message: of h~.

    elapsed: the host's compartment that tells how long a sample lasts, None where all last as long. labels: of the units.
    """

    first_tick: int
    period: int
    message: QFormat
    threshold: int
    weight_bits: int
    elapsed: Population | None
    labels: tuple[str, ...]


def memory_populations(
    how: MemoryFormats, maps: MapIntegers, sources: Sequence[Population], place: MemoryPlace
) -> tuple[list[Population], list[Projection]]:
    """The two populations of mixed memory, "memory_cell" and "memory_output", and the projections to them.

    maps: int64, their columns the sources' compartments, one source after the other; state order is that of the units.
    """
    size = len(place.labels)

    def population(name: str, program: str, parameters: dict[str, IntArray], word: QFormat, message: QFormat, tick: int) -> Population:
        return Population(
            name=name,
            program=program,
            size=size,
            parameters=parameters,
            tables=memory_tables(),
            state=word,
            message_shift=word.fraction_bits - message.fraction_bits,
            message_bits=message.bits,
            threshold=place.threshold,
            first_tick=tick,
            period=place.period,
            labels=tuple(f"{label}:{name.rpartition('_')[2]}" for label in place.labels),
        )

    biases = {gate: bias for gate, (_, bias) in maps.items()}
    gates = affine_parameters({gate: biases[gate] for gate in GATES}, how.gates, size)
    gates["product_shift"] = constant(28 - how.cell.fraction_bits, size)
    program = CELL if place.elapsed is None else CELL_TIMED
    cell = population("memory_cell", program.name, gates, how.cell, how.message, place.first_tick)
    last = {"memory_multiplier": constant(1 << (12 - how.message.fraction_bits), size)}
    last |= affine_parameters({"output_gate": biases["output_gate"]}, how.gates, size)
    last["state_shift"] = constant(28 - how.state.fraction_bits, size)
    output = population("memory_output", OUTPUT.name, last, how.state, place.message, place.first_tick + 1)
    columns = [(one, slice(0, one.size)) for one in sources]
    projections = [ones(cell, output, "memory", pairs=True)]
    if place.elapsed is not None:
        projections.append(ones(place.elapsed, cell, "elapsed"))
    for gate, (weight, _) in maps.items():
        projections += dense_projections(columns, output if gate == "output_gate" else cell, gate, weight, place.weight_bits)
    return [cell, output], projections


def affine_parameters(biases: Mapping[str, IntArray], maps: Mapping[str, DenseFormats], size: int) -> dict[str, IntArray]:
    """The parameters port_bias, port_multiplier and port_shift of some ports, part by part."""
    parameters = {f"{port}_bias": bias for port, bias in biases.items()}
    for part in ("multiplier", "shift"):
        parameters |= {f"{port}_{part}": constant(getattr(maps[port], part), size) for port in biases}
    return parameters


def ones(source: Population, target: Population, port: str, pairs: bool = False) -> Projection:
    """Synapses of weight 1: from a source's one compartment to all of the target's, or from each to its counterpart."""
    post = np.arange(target.size)
    pre = post if pairs else np.zeros(target.size, dtype=np.int64)
    return Projection(source.name, target.name, port, pre, post, np.ones(target.size, dtype=np.int64), "excitatory", 8)


def dense_projections(sources: Sequence[Source], target: Population, port: str, weight: IntArray, weight_bits: int) -> list[Projection]:
    """One projection per source; the columns of `weight` (target, source) are the sources' compartments, one source after the other."""
    projections, start = [], 0
    for source, part in sources:
        columns = weight[:, start : start + part.stop - part.start].T
        start += part.stop - part.start
        pre, post = np.nonzero(columns)
        if len(pre):
            projections.append(Projection(source.name, target.name, port, pre + part.start, post, columns[pre, post], "mixed", weight_bits))
    return projections
