"""`liquid-neuro report`: a mapped network and its runs as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liquid_neuro.commands.shared import Json, check_output, existing, show, working

EXAMPLE = "liquid-neuro report mapping.npz chip_recording.npz --float-recording recording.npz --out report.html"


def run(
    mapping: Annotated[Path, typer.Argument(help="A mapping (.npz).")],
    recording: Annotated[Path, typer.Argument(help="A recording (.npz) of the mapped quantised network.")],
    float_recording: Annotated[
        Path | None, typer.Option("--float-recording", help="A recording (.npz) of the float network on the same input.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("report.html"),
    as_json: Json = False,
) -> None:
    """Write a self-contained report.html: core map, events, float against integers, cost with sources, provenance."""
    import mappers
    from event_sim.recording_storage import load_recording
    from mappers.mapping_storage import load_mapping
    from mappers.report import CostRow, Tile, write_report

    check_output(out, mapping, recording, float_recording)
    chosen = load_mapping(existing(mapping, "mapping"))
    chip_run = load_recording(existing(recording, "recording"))
    float_run = None if float_recording is None else load_recording(existing(float_recording, "recording"))
    if float_run is not None and float_run.activity is not None:
        raise ValueError(
            f'--float-recording must be a run of the float network, but "{float_recording}" is a chip run; simulate the float model'
        )
    with working("Writing the report", as_json):
        cost = mappers.cost(chosen, chip_run)
        network = chosen.quantized.network
        samples = max(len(chip_run.output_samples), 1)
        write_report(
            out,
            title=f"{network.cell.upper()} on {chosen.profile.title}",
            subtitle=f"{network.units} neurons, {network.inputs} inputs, {samples:,} samples.",
            tiles=[
                Tile("compartments", f"{chosen.quantized.compartments:,}", f"{chosen.quantized.stored_synapses:,} synapses stored"),
                Tile(
                    "spikes per sample",
                    f"{chip_run.event_counts.sum() / samples:.1f}",
                    f"{chosen.quantized.ticks_per_sample} ticks per sample",
                ),
                Tile("energy per sample", f"{cost.energy_j.typical:.3g} J", "typical, free running; modelled"),
            ],
            mapping=chosen,
            float_recording=float_run,
            chip_recording=chip_run,
            unit_labels=network.labels,
            threshold=network.interface.threshold if network.interface.decision == "threshold" else None,
            costs=[CostRow(chosen.profile.name, chosen.profile.title, network.cell, cost)],
            provenance={"mapping": mapping, "recording": recording, "target": chosen.quantized.target},
        )
    show({"report": str(out), "energy_j": cost.energy_j, "latency_s": cost.latency_s}, as_json, "Report")
