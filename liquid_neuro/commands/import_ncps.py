"""`liquid-neuro import-ncps`: a checkpoint of the ncps library as a network of this project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liquid_neuro.commands.shared import Json, Seed, check_output, existing, show, working

if TYPE_CHECKING:
    from liquid_neuro.network import LiquidNetwork

EXAMPLE = "liquid-neuro import-ncps pilot.safetensors --cell ltc --out pilot_model.safetensors"


def run(
    checkpoint: Annotated[Path, typer.Argument(help="State dictionary of an ncps model: .safetensors, .npz or .pt (weights only).")],
    out: Annotated[Path, typer.Option("--out", help="Where the network goes (.safetensors).")],
    cell: Annotated[str, typer.Option("--cell", help="ltc or cfc.")] = "ltc",
    unfolds: Annotated[int, typer.Option("--unfolds", help="ncps' ode_unfolds, which a checkpoint does not tell (LTC).", min=1)] = 6,
    softplus: Annotated[bool, typer.Option("--softplus/--no-softplus", help="ncps' implicit_param_constraints (LTC).")] = True,
    epsilon: Annotated[float, typer.Option("--epsilon", help="ncps' epsilon (LTC).", min=0.0)] = 1e-8,
    mode: Annotated[str, typer.Option("--mode", help="default, pure or no_gate (CfC).")] = "default",
    activation: Annotated[
        str, typer.Option("--activation", help="Backbone activation (CfC): lecun_tanh, relu, tanh, gelu or silu.")
    ] = "lecun_tanh",
    dialect: Annotated[str, typer.Option("--dialect", help="torch or keras: their CfC equations differ.")] = "torch",
    outputs: Annotated[int | None, typer.Option("--outputs", help="Number of outputs, where the checkpoint does not tell.", min=1)] = None,
    prefix: Annotated[
        str | None, typer.Option("--prefix", help='Where the liquid part sits in a larger model, e.g. "policy.".', show_default=False)
    ] = None,
    time_unit_s: Annotated[
        float, typer.Option("--time-unit-s", help="Wall seconds of one model time unit (ncps trains with 1 per sample).")
    ] = 1.0,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Import an ncps checkpoint. Prints how far the trained solver lies from the differential equation, on a seeded input."""
    import math

    import liquid_neuro
    from liquid_neuro import ncps

    check_output(out, checkpoint)
    existing(checkpoint, "checkpoint")
    if not (math.isfinite(time_unit_s) and time_unit_s > 0):
        raise ValueError(f"--time-unit-s must be positive, but is {time_unit_s}")
    with working("Importing", as_json):
        network = liquid_neuro.load_ncps(
            checkpoint,
            cell=cell,
            ode_unfolds=unfolds,
            softplus=softplus,
            epsilon=epsilon,
            mode=mode,
            activation=activation,
            dialect=dialect,
            outputs=outputs,
            prefix=prefix,
            time_unit_s=time_unit_s,
        )
        try:
            gap: object = ncps.import_gap(network, seed=seed) if cell == "ltc" else None
        except ValueError as error:  # a loop of neurons without inertia, or a very large network: the import itself is sound
            gap = f"not measured: {error}"
    liquid_neuro.save(network, out)
    show({"model": str(out), **_told(network), "gap_to_exact": gap}, as_json, f"Imported {checkpoint.name}")


def _told(network: LiquidNetwork) -> dict[str, object]:
    """What the import found."""
    wiring = network.wiring
    return {
        "cell": network.cell,
        "inputs": network.inputs,
        "units": network.units,
        "outputs": network.outputs,
        "synapses": wiring.synapse_count if wiring is not None else None,
        "sensory_synapses": wiring.sensory_synapse_count if wiring is not None else None,
        "solver": str(network.solver),
        "settings": network.settings,
    }
