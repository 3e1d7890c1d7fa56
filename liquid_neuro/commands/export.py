"""`liquid-neuro export`: a mapped network as a folder for another tool."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from liquid_neuro.commands.shared import Json, check_export_folder, existing, show, working

EXAMPLE = "liquid-neuro export lava mapping.npz --out build_lava"


def run(
    target: Annotated[
        str, typer.Argument(help="lava (a process graph that runs by itself), c99 (a .c/.h pair) or akida (layers, tables and host work).")
    ],
    mapping: Annotated[Path, typer.Argument(help="A mapping (.npz).")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    processes: Annotated[
        str, typer.Option("--processes", help="lava alone: own (they run the programs) or library (Lava's own neurons, for a CfC).")
    ] = "",
    unproved: Annotated[
        bool, typer.Option("--unproved", help="Export although something is not proved to keep within its words; the files say what.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Export a mapped network: `lava` for Loihi-class chips, `c99` for microcontrollers, `akida` for the Akida-like profile."""
    import mappers
    from mappers.mapping_storage import load_mapping

    existing(mapping, "mapping")
    check_export_folder(out)
    chosen = load_mapping(mapping)
    with working("Exporting", as_json), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        options: dict[str, Any] = {"processes": processes} if processes else {}
        options |= {"unproved": True} if unproved else {}
        result = mappers.export(chosen, target, out, **options)
    told: dict[str, Any] = {"target": target, "path": str(result.path), "files": sorted(result.files)}
    told |= {"warning": " ".join(str(one.message) for one in warned)} if warned else {}
    show(told, as_json, "Exported")
