"""What a quantised network must keep before anything runs it: a kernel looks neither at the ends of tables nor at the width of words.

The rules are about form. That no word of a well-formed network can overflow is for `verify` to prove.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from liquid_neuro.cells import PROGRAMS, Program
from liquid_neuro.quantized_network import Population, Projection, QuantizedNetwork

WORD = 1 << 31  # parameters, tables and weights are words of 32 bits
LONGEST = 31  # shift


def first_problem(quantized: QuantizedNetwork) -> str:
    """What is wrong with a quantised network, as a part of a sentence; "" when nothing is."""
    return next(_problems(quantized), "")


def _problems(quantized: QuantizedNetwork) -> Iterator[str]:
    yield from _clock(quantized)
    names = [population.name for population in quantized.populations]
    if len(set(names)) < len(names):
        yield "two of its populations have the same name"
    hosts = [not population.program for population in quantized.populations]
    if hosts != sorted(hosts, reverse=True):
        yield "the host's populations do not stand before all others"
    for population in quantized.populations:
        yield from _population(population)
        if not population.period >= 1 or quantized.ticks_per_sample % population.period:
            yield f'the period of population "{population.name}" is {population.period}, which does not divide the ticks of a sample'
    for number, projection in enumerate(quantized.projections):
        yield from _projection(number, projection, {population.name: population for population in quantized.populations})
    yield from _outputs(quantized)


def _clock(quantized: QuantizedNetwork) -> Iterator[str]:
    for name, value, lowest, highest in (
        ("ticks_per_sample", quantized.ticks_per_sample, 1, WORD),
        ("read_tick", quantized.read_tick, 0, WORD),
        ("accumulator_bits", quantized.accumulator_bits, 2, 62),
    ):
        if not lowest <= value <= highest:
            yield f"{name} is {value} instead of {lowest} to {highest}"


def _population(population: Population) -> Iterator[str]:
    if population.program and population.program not in PROGRAMS:
        yield f'population "{population.name}" has the program "{population.program}", which does not exist'
        return
    if len(population.labels) != population.size:
        yield f'population "{population.name}" has {population.size} compartments and {len(population.labels)} labels'
    numbers = (("message_shift", population.message_shift, LONGEST), ("threshold", population.threshold, WORD))
    for name, value, highest in (*numbers, ("first_tick", population.first_tick, WORD)):
        if not 0 <= value <= highest:
            yield f'{name} of population "{population.name}" is {value} instead of 0 to {highest}'
    if population.program:
        yield from _constants(population, PROGRAMS[population.program])


def _constants(population: Population, program: Program) -> Iterator[str]:
    name = population.name
    for kind, given, wanted in (("parameters", population.parameters, program.parameters), ("tables", population.tables, program.tables)):
        if set(given) != set(wanted):
            yield f'population "{name}" has the {kind} {", ".join(given) or "none"} instead of {", ".join(wanted) or "none"}'
            return
    for key, values in population.parameters.items():
        if values.shape != (population.size,) or values.dtype != np.int64:
            yield f'parameter "{key}" of population "{name}" has shape {values.shape} instead of ({population.size},)'
        elif (np.abs(values) > WORD).any():
            yield f'parameter "{key}" of population "{name}" leaves 32 bits'
        elif (key.endswith("shift") or key in ("guard", "fraction")) and ((values < 0) | (values > LONGEST)).any():
            yield f'parameter "{key}" of population "{name}" is no shift of 0 to {LONGEST} bits'
    for key, entries in zip(program.tables, program.entries):
        values = population.tables[key]
        if values.shape != (entries,) or values.dtype != np.int64:
            yield f'table "{key}" of population "{name}" has shape {values.shape} instead of ({entries},)'
        elif (np.abs(values) > WORD).any() or (key in ("reciprocal", "exponential") and (values < 0).any()):
            yield f'table "{key}" of population "{name}" holds numbers that it cannot hold'


def _projection(number: int, projection: Projection, populations: dict[str, Population]) -> Iterator[str]:
    ends = ((projection.source_population, projection.source), (projection.target_population, projection.target))
    for name, compartments in ends:
        if name not in populations:
            yield f'projection {number} names the population "{name}", which does not exist'
            return
        if len(compartments) != len(projection.weight):
            yield f"projection {number} has {len(projection.weight)} weights and {len(compartments)} ends"
        elif len(compartments) and not 0 <= compartments.min() <= compartments.max() < populations[name].size:
            yield f'projection {number} reaches outside of population "{name}"'
    program = PROGRAMS.get(populations[projection.target_population].program)
    if program is None or projection.port not in program.ports:
        yield f'projection {number} reaches a port "{projection.port}", which population "{projection.target_population}" does not have'
    if (np.abs(projection.weight) >= WORD).any():
        yield f"projection {number} has weights that leave 32 bits"


def _outputs(quantized: QuantizedNetwork) -> Iterator[str]:
    chosen, size = quantized.output_compartments, {p.name: p.size for p in quantized.populations}.get(quantized.output_population)
    if size is None:
        yield f'the output population "{quantized.output_population}" does not exist'
    elif len(chosen) and not 0 <= chosen.min() <= chosen.max() < size:
        yield f'the outputs reach outside of population "{quantized.output_population}"'
