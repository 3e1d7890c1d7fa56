"""`liquid-neuro quantize`: a network in the integers of a chip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liquid_neuro.commands.shared import Data, Json, SampleSeconds, TaskName, check_output, read_network, read_stream, show, working

EXAMPLE = "liquid-neuro quantize model.safetensors --profile loihi2 --out quantized.npz"


def run(
    model: Annotated[Path, typer.Argument(help="A network (.safetensors).")],
    out: Annotated[Path, typer.Option("--out", help="Where the quantised network goes (.npz).")],
    profile: Annotated[str, typer.Option("--profile", help="Chip: a profile's name or TOML file.")] = "loihi2",
    bits: Annotated[int | None, typer.Option("--bits", help="Weight bits; without it the widest of the chip.", min=1)] = None,
    data: Data = None,
    sample_s: SampleSeconds = None,
    task: TaskName = "occupancy",
    as_json: Json = False,
) -> None:
    """Quantise a network for a chip. The data set the ranges of the number formats."""
    import hardware_profiles
    import mappers
    from liquid_neuro.quantized_storage import save_quantized

    check_output(out, model, data)
    chip = hardware_profiles.load(profile)
    network = read_network(model)
    events = read_stream(network, task, data, sample_s, 0.0, None)
    with working("Quantising", as_json):
        quantized = mappers.quantize(network, chip, calibration=events, bits=bits)
    save_quantized(quantized, out)
    summary = {
        "quantized": str(out),
        "profile": quantized.profile,
        "target": str(quantized.target),
        "ticks_per_sample": quantized.ticks_per_sample,
        "compartments": quantized.compartments,
        "stored_synapses": quantized.stored_synapses,
        "input_format": str(quantized.input_format),
        "populations": {population.name: population.size for population in quantized.populations},
        **({"notes": quantized.notes} if quantized.notes else {}),
    }
    show(summary, as_json, f"Quantised {model.name}")
