"""`liquid-neuro verify`: proof that no integer of a quantised network leaves its word, or that an export is as it was written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liquid_neuro.commands.shared import Json, existing, show, working

if TYPE_CHECKING:
    from mappers.proofs.verification import Proof

EXAMPLE = "liquid-neuro verify quantized.npz"
NOT_PROVED = 1
WEAKEST = 5


def run(
    quantized: Annotated[Path, typer.Argument(help="A quantised network (.npz), or the folder of an export.")],
    word_bits: Annotated[int, typer.Option("--word-bits", help="Word of the machine that runs the programs.", min=16, max=32)] = 32,
    as_json: Json = False,
) -> None:
    """Prove for any input and any state that no operation leaves its word, no index its table and no sum its accumulator.

    Exit code 1 where that is not proved: each failure names the operation, its line, the compartment and integers that lead there.
    Of an export: whether all files are as they were written, exit code 1 where one was edited.
    """
    import mappers
    from liquid_neuro.quantized_storage import load_quantized

    if quantized.is_dir():
        return _verify_export(quantized, as_json)
    network = load_quantized(existing(quantized, "quantised network"))
    with working("Proving", as_json):
        proof = mappers.verify(network, word_bits=word_bits)
    show(proof.to_json() if as_json else _summary(proof), as_json, f"Verification of {quantized.name}")
    if not proof.holds:
        raise typer.Exit(NOT_PROVED)


def _verify_export(folder: Path, as_json: bool) -> None:
    from mappers.exporters import ExportError, check_export

    try:
        result = check_export(folder)
    except ExportError as error:
        show({"holds": False if as_json else "no", "reason": str(error)}, as_json, f"Verification of {folder.name}")
        raise typer.Exit(NOT_PROVED) from error
    holds = {"holds": True if as_json else "yes", "target": result.target, "files": len(result.files)}
    show(holds, as_json, f"Verification of {folder.name}")


def _summary(proof: Proof) -> dict[str, object]:
    """What people want to read of a proof."""
    lowest, highest = proof.inputs
    return {
        "holds": "yes" if proof.holds else "not proved",
        "obligations": f"{sum(proof.obligations.values())}: " + ", ".join(f"{name} {count}" for name, count in proof.obligations.items()),
        "words": f"{proof.word_bits} bits, running sums {proof.accumulator_bits}",
        "inputs": "any" if proof.every_input else f"{lowest} .. {highest} (beyond them running sums saturate; the programs hold for any)",
        "weakest_margins": ", ".join(f"{name} {bits:g} bits" for name, bits in list(proof.margins.items())[:WEAKEST]),
        **{f"failure_{number}": str(failure) for number, failure in enumerate(proof.failures, start=1)},
    }
