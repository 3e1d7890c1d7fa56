"""`liquid-neuro estimate`: energy and latency of one inference, as ranges with sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liquid_neuro.commands.shared import Json, existing, show, working

EXAMPLE = "liquid-neuro estimate mapping.npz chip_recording.npz"


def run(
    mapping: Annotated[Path, typer.Argument(help="A mapping (.npz).")],
    recording: Annotated[Path, typer.Argument(help="A recording (.npz) of the mapped quantised network.")],
    as_json: Json = False,
) -> None:
    """Estimate energy, latency and memory per inference (one sample), free running and paced by the stream, as low / typical / high."""
    import mappers
    from event_sim.recording_storage import load_recording
    from mappers.mapping_storage import load_mapping

    chosen = load_mapping(existing(mapping, "mapping"))
    run_of_it = load_recording(existing(recording, "recording"))
    with working("Estimating", as_json):
        cost = mappers.cost(chosen, run_of_it)
    summary = cost.to_json()
    if not as_json:  # people ask for the sources of a chip with `profiles`
        summary["sources"] = (
            f"{len(cost.sources)} numbers of the profile; `liquid-neuro profiles {chosen.profile.name}` prints each with its source"
        )
    summary["model"] = chosen.quantized.network.cell
    summary["measured"] = "counts of the run; energy and time per operation are modelled from the sources"
    show(summary, as_json, f"Estimate for {chosen.profile.title}")
