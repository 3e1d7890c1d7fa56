"""`liquid-neuro train`: a liquid network for a task, trained with JAX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liquid_neuro.commands.shared import Json, Seed, TaskName, check_output, read_task, show, watched, working

EXAMPLE = "liquid-neuro train --cell ltc --steps 30 --out model.safetensors"


def run(
    out: Annotated[Path, typer.Option("--out", help="Where the trained network goes (.safetensors).")],
    task: TaskName = "occupancy",
    cell: Annotated[str, typer.Option("--cell", help="Neuron model: ltc or cfc.")] = "ltc",
    units: Annotated[
        int, typer.Option("--units", help="Neurons, the motor included, on an NCP wiring (19: 12 inter, 6 command, 1 motor).", min=4)
    ] = 19,
    steps: Annotated[int, typer.Option("--steps", help="Training steps.", min=1)] = 400,
    batch: Annotated[int, typer.Option("--batch", help="Windows per step.", min=1)] = 64,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Peak learning rate of Adam.", min=0.0)] = 0.01,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train an LTC or a CfC on an NCP wiring for a task and save it. Prints the accuracy beside the memoryless baseline's."""
    import liquid_neuro
    from event_sim import evaluate
    from liquid_neuro import tasks
    from liquid_neuro.commands.models import new_network

    check_output(out)
    chosen = read_task(task)
    network = new_network(chosen, cell, units, seed)
    result = liquid_neuro.fit(
        chosen, network, steps=steps, batch_size=batch, learning_rate=learning_rate, seed=seed, progress=watched(as_json)
    )
    with working("Scoring", as_json):
        scores = evaluate(chosen, result.network)
        baseline = tasks.logistic_regression(chosen).accuracy
    liquid_neuro.save(result.network, out)
    summary = {
        "model": str(out),
        "cell": cell,
        "solver": str(network.solver),
        "steps": steps,
        "seconds": result.seconds,
        "test_accuracy": scores.accuracy,
        "memoryless_baseline_accuracy": baseline,
    }
    show(summary, as_json, f"Trained on {task}")
