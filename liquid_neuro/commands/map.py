"""`liquid-neuro map`: a quantised network on the cores of a chip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liquid_neuro.commands.shared import Json, check_output, existing, goal_missed, show, working

EXAMPLE = "liquid-neuro map quantized.npz --profile loihi2 --out mapping.npz"


def run(
    quantized: Annotated[Path, typer.Argument(help="A quantised network (.npz).")],
    out: Annotated[Path, typer.Option("--out", help="Where the mapping goes (.npz).")],
    profile: Annotated[str, typer.Option("--profile", help="Chip: a profile's name or TOML file.")] = "loihi2",
    traffic: Annotated[
        Path | None, typer.Option("--traffic", help="Recording (.npz) of the quantised network whose spikes weigh the traffic.")
    ] = None,
    cores: Annotated[int | None, typer.Option("--cores", help="Use at most so many cores.", min=1)] = None,
    as_json: Json = False,
) -> None:
    """Partition, place and route a quantised network, and check every limit of the chip."""
    import hardware_profiles
    import mappers
    from event_sim.recording_storage import load_recording
    from liquid_neuro.quantized_storage import load_quantized
    from mappers.mapping_storage import save_mapping

    check_output(out, quantized, traffic)
    chip = hardware_profiles.load(profile)
    network = load_quantized(existing(quantized, "quantised network"))
    recording = None if traffic is None else load_recording(existing(traffic, "recording"))
    with working("Mapping", as_json):
        mapping = mappers.map_network(network, chip, traffic=recording, cores=cores)
        violations = mappers.check(mapping)
    if violations:
        raise goal_missed("; ".join(str(violation) for violation in violations), as_json)
    save_mapping(mapping, out)
    show({"mapping": str(out), **mapping.to_json()}, as_json, f"Mapped {quantized.name} on {chip.title}")
