"""Quantised networks as files: everything that is needed to run, map and export them, bit for bit."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import numpy as np

from hardware_profiles.fixed_point import QFormat
from liquid_neuro import cells
from liquid_neuro.archive import dataclasses_of, read_archive, write_archive
from liquid_neuro.network import CfCSettings, ClosedForm, Exact, Fused, Interface, LiquidNetwork, LTCSettings
from liquid_neuro.quantized_network import Population, Projection, QuantizedNetwork
from liquid_neuro.wiring import Wiring

KIND = "quantised network"
_SETTINGS = (QFormat, Fused, Exact, ClosedForm, LTCSettings, CfCSettings, Interface)
NETWORK_CLASSES: tuple[type, ...] = (*_SETTINGS, Wiring, LiquidNetwork, Population, Projection, QuantizedNetwork)


def quantized_classes() -> tuple[type, ...]:
    """The classes that a quantised network may consist of: those of the network, and every dataclass of the cells' files."""
    modules = [importlib.import_module(f"{cells.__name__}.{module.name}") for module in pkgutil.iter_modules(cells.__path__)]
    return (*NETWORK_CLASSES, *dataclasses_of(*modules))


def save_quantized(quantized: QuantizedNetwork, path: str | Path) -> Path:
    """Write a quantised network to `path` (.npz by custom) and return the path. `load_quantized` gives it back bit for bit."""
    return write_archive(path, KIND, quantized, quantized_classes())


def load_quantized(path: str | Path) -> QuantizedNetwork:
    """The quantised network of a file. A damaged, foreign or inconsistent file is a ValueError of one sentence."""
    quantized = read_archive(path, KIND, quantized_classes(), QuantizedNetwork)
    problem = _first_problem(quantized)
    if problem:
        raise ValueError(f'"{path}" must hold a consistent quantised network, but {problem}; write it again')
    return quantized


def _first_problem(quantized: QuantizedNetwork) -> str:
    """What contradicts itself in a quantised network, or "" when nothing does."""
    sizes = {population.name: population.size for population in quantized.populations}
    for population in quantized.populations:
        if len(population.labels) != population.size:
            return f'population "{population.name}" has {population.size} compartments and {len(population.labels)} labels'
        for name, values in population.parameters.items():
            if values.shape != (population.size,) or values.dtype != np.int64:
                return f'parameter "{name}" of population "{population.name}" has shape {values.shape} instead of ({population.size},)'
    for number, projection in enumerate(quantized.projections):
        ends = ((projection.source_population, projection.source), (projection.target_population, projection.target))
        for population_name, compartments in ends:
            if population_name not in sizes:
                return f'projection {number} names the population "{population_name}", which does not exist'
            if len(compartments) != len(projection.weight):
                return f"projection {number} has {len(projection.weight)} weights and {len(compartments)} ends"
            if len(compartments) and not 0 <= compartments.min() <= compartments.max() < sizes[population_name]:
                return f'projection {number} reaches outside of population "{population_name}"'
    if quantized.output_population not in sizes:
        return f'the output population "{quantized.output_population}" does not exist'
    return ""
