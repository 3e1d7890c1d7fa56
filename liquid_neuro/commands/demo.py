"""`liquid-neuro demo`: one task through every stage, on real data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from liquid_neuro.commands.shared import Json, Seed, check_export_folder, check_writable, goal_missed, show

EXAMPLE = "liquid-neuro demo --out liquid-neuro-demo"
EXPORTS = ("akida", "lava", "lava_before_codesign")  # folders of the demonstration that an exporter writes


def run(
    out: Annotated[Path, typer.Option("--out", help="Folder for the report, models, mappings and recordings.")] = Path("liquid-neuro-demo"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Run one task through every stage, on real data: train an LTC and a CfC, simulate, quantise, co-design, map, check, estimate, report.

    Exit code 1 says that a goal was not met, and which; where no Python 3.10 can be had for Lava, that is said and is no failure.
    """
    from liquid_neuro.commands.demo_results import all_steps, summary, unmet
    from liquid_neuro.commands.demo_view import View

    _prepare(out)
    started = time.perf_counter()
    with View(silent=as_json) as view:
        results = all_steps(out, seed, view)
        seconds = time.perf_counter() - started
        view.line("\nseconds: " + ", ".join(f"{name} {spent:.1f}" for name, spent in view.steps_s.items()))
        view.line(f"[bold]Done in {seconds:.0f} s.[/bold] Open {out / 'report.html'}; models, mappings and recordings lie beside it.")
    if as_json:
        show(summary(results, view.steps_s, seconds), True)
    missed = unmet(results)
    if missed:
        raise goal_missed("; ".join(missed), as_json)


def _prepare(out: Path) -> None:
    """Make the folder, or refuse before any work is done."""
    if out.exists() and not out.is_dir():
        raise ValueError(f'--out "{out}" must be a folder, but is a file; give another name')
    for name in EXPORTS:
        check_export_folder(out / name)
    out.mkdir(parents=True, exist_ok=True)
    check_writable(out, out)
