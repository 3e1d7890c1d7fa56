"""Mappings as files: the quantised network, the chip's profile and where everything lies, bit for bit."""

from __future__ import annotations

from pathlib import Path

from hardware_profiles import profile, sections
from liquid_neuro.archive import dataclasses_of, read_archive, write_archive
from liquid_neuro.quantized_storage import quantized_classes
from mappers import mapping
from mappers.mapping import Mapping

KIND = "mapping"


def save_mapping(chosen: Mapping, path: str | Path) -> Path:
    """Write a mapping to `path` (.npz by custom) and return the path. `load_mapping` gives it back bit for bit."""
    return write_archive(path, KIND, chosen, _classes())


def load_mapping(path: str | Path) -> Mapping:
    """The mapping of a file. A damaged, foreign or inconsistent file, or one that breaks a limit of its chip, is a ValueError."""
    chosen = read_archive(path, KIND, _classes(), Mapping)
    violations = [str(violation) for violation in mapping.check(chosen)]
    if violations:
        raise ValueError(f'"{path}" must hold a valid mapping, but does not: {violations[0]}; map the network again')
    return chosen


def _classes() -> tuple[type, ...]:
    models = [item for module in (profile, sections) for item in vars(module).values() if isinstance(item, type)]
    return (*quantized_classes(), *dataclasses_of(mapping), *(item for item in models if hasattr(item, "model_validate")))
