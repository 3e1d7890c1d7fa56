"""Hardware profiles: what a chip holds and what its operations cost, with sources; the fixed-point arithmetic; the arithmetic of cost."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hardware_profiles.cost import Activity, CoreCounts, Cost, LayerCounts, Range
    from hardware_profiles.estimates import estimate
    from hardware_profiles.fixed_point import QFormat
    from hardware_profiles.profile import HardwareProfile, ProfileError, available, from_dict, load, save

__all__ = [
    "Activity",
    "CoreCounts",
    "Cost",
    "HardwareProfile",
    "LayerCounts",
    "ProfileError",
    "QFormat",
    "Range",
    "available",
    "estimate",
    "from_dict",
    "load",
    "save",
]

_PLACES = {
    **dict.fromkeys(("Activity", "CoreCounts", "Cost", "LayerCounts", "Range"), "hardware_profiles.cost"),
    "estimate": "hardware_profiles.estimates",
    "QFormat": "hardware_profiles.fixed_point",
    **dict.fromkeys(("HardwareProfile", "ProfileError", "available", "from_dict", "load", "save"), "hardware_profiles.profile"),
}


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first asked for, so that importing the fixed-point arithmetic alone stays quick."""
    if name not in _PLACES:
        raise AttributeError(f"module 'hardware_profiles' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
