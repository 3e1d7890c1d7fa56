"""`liquid-neuro codesign`: retrain through the chip's own arithmetic until a budget is met."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liquid_neuro.commands.shared import Json, Seed, TaskName, check_output, goal_missed, read_network, read_task, show, working

EXAMPLE = "liquid-neuro codesign model.safetensors --rounds 1 --steps 4 --spike-share 1.0 --accuracy-drop 0.5 --out codesigned.npz"


def run(
    model: Annotated[Path, typer.Argument(help="A trained network (.safetensors).")],
    out: Annotated[Path, typer.Option("--out", help="Where the retrained, quantised network goes (.npz).")],
    profile: Annotated[str, typer.Option("--profile", help="Chip: a profile's name or TOML file.")] = "loihi2",
    task: TaskName = "occupancy",
    spike_share: Annotated[float, typer.Option("--spike-share", help="Spikes per sample: at most this share of before.")] = 1 / 3,
    accuracy_drop: Annotated[float, typer.Option("--accuracy-drop", help="Accuracy: at most this far below the float network.")] = 0.005,
    rounds: Annotated[int, typer.Option("--rounds", help="Rounds of retraining.", min=0)] = 2,
    steps: Annotated[int, typer.Option("--steps", help="Retraining steps in each round.", min=1)] = 100,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Co-design: raise send thresholds and retrain through the chip's integers until a budget of spikes and accuracy is met.

    Exit code 1 says that the budget was not met; the best network found is written all the same.
    """
    import hardware_profiles
    import mappers
    from liquid_neuro.quantized_storage import save_quantized

    check_output(out, model)
    network = read_network(model)
    budget = mappers.Budget(accuracy_drop=accuracy_drop, spike_ratio=spike_share)
    with working("Retraining and measuring", as_json):
        chip = hardware_profiles.load(profile)
        result = mappers.codesign(read_task(task), network, chip, budget, rounds=rounds, steps=steps, seed=seed)
    save_quantized(result.quantized, out)
    summary = {
        "quantized": str(out),
        "accuracy": result.accuracy,
        "accuracy_float": result.accuracy_before,
        "spikes_per_sample": result.spikes_per_sample,
        "spikes_per_sample_before": result.spikes_per_sample_before,
        "met": result.met,
        "limit": result.limit,
        "candidates": len(result.history),
        "thresholds": result.thresholds,
        "seconds": result.seconds,
    }
    show(summary, as_json, f"Co-designed {model.name} for {profile}")
    if not result.met:
        raise goal_missed(f"the limit of {result.limit} within the budget", as_json)
