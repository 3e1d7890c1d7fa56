"""Quantised networks as files: everything that is needed to run, map and export them, bit for bit."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from hardware_profiles.fixed_point import QFormat
from liquid_neuro import cells
from liquid_neuro.archive import dataclasses_of, read_archive, write_archive
from liquid_neuro.network import CfCSettings, ClosedForm, Exact, Fused, Interface, LiquidNetwork, LTCSettings
from liquid_neuro.quantized_network import Population, Projection, QuantizedNetwork
from liquid_neuro.quantized_rules import first_problem
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
    problem = first_problem(quantized)
    if problem:
        raise ValueError(f'"{path}" must hold a consistent quantised network, but {problem}; write it again')
    return quantized
