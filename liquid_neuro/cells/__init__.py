"""The neuron models: one file per model and arithmetic, each the only definition of what it computes.

Float: ltc.py, cfc.py. Integers: ltc_integer.py, cfc_integer.py, cfc_heads.py, cfc_library.py. PROGRAMS lists every integer program by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liquid_neuro.cells.integer import Program as Program

    PROGRAMS: dict[str, Program]

__all__ = ["PROGRAMS", "Program"]


def __getattr__(name: str) -> Any:
    """Loaded at first use: the float cells and the network module read each other's neighbours while they are being imported."""
    if name == "Program":
        from liquid_neuro.cells.integer import Program

        return Program
    if name == "PROGRAMS":
        from liquid_neuro.cells.programs import PROGRAMS

        globals()["PROGRAMS"] = PROGRAMS
        return PROGRAMS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
