"""From a network to a chip: quantise, partition, place, check, cost, export, co-design, report. Everything is loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hardware_profiles.cost import Cost, Range
    from mappers.assignment import map_network
    from mappers.codesign_loop import Budget, CodesignResult, codesign
    from mappers.costing import cost
    from mappers.exporters import ExportError, export
    from mappers.mapping import Mapping, Violation, check
    from mappers.mapping_storage import load_mapping, save_mapping
    from mappers.partitioning import MappingError, Partition, multicast_messages, partition
    from mappers.placement import PLACERS
    from mappers.proofs.verification import Proof, verify
    from mappers.quantization import quantize
    from mappers.quantization_library import quantize_library
    from mappers.report import write_report

_PLACES = {
    **dict.fromkeys(("Cost", "Range"), "hardware_profiles.cost"),
    "map_network": "mappers.assignment",
    **dict.fromkeys(("Budget", "CodesignResult", "codesign"), "mappers.codesign_loop"),
    "cost": "mappers.costing",
    **dict.fromkeys(("ExportError", "export"), "mappers.exporters"),
    **dict.fromkeys(("Mapping", "Violation", "check"), "mappers.mapping"),
    **dict.fromkeys(("load_mapping", "save_mapping"), "mappers.mapping_storage"),
    **dict.fromkeys(("MappingError", "Partition", "multicast_messages", "partition"), "mappers.partitioning"),
    "PLACERS": "mappers.placement",
    "quantize": "mappers.quantization",
    "quantize_library": "mappers.quantization_library",
    "write_report": "mappers.report",
    **dict.fromkeys(("Proof", "verify"), "mappers.proofs.verification"),
}

__all__ = [
    "PLACERS",
    "Budget",
    "CodesignResult",
    "Cost",
    "ExportError",
    "Mapping",
    "MappingError",
    "Partition",
    "Proof",
    "Range",
    "Violation",
    "check",
    "codesign",
    "cost",
    "export",
    "load_mapping",
    "map_network",
    "multicast_messages",
    "partition",
    "quantize",
    "quantize_library",
    "save_mapping",
    "verify",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Loads a public name from its module."""
    if name not in _PLACES:
        raise AttributeError(f"module 'mappers' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
