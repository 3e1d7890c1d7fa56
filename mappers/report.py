"""The report: one HTML file that opens without a network and tells what was done, what it costs and where each number comes from."""

from __future__ import annotations

import datetime
import html
import platform
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from liquid_neuro.archive import write_atomically

if TYPE_CHECKING:
    from event_sim.recording import Recording
    from hardware_profiles.cost import Cost
    from mappers.mapping import Mapping as ChipMapping

MEASURED = (
    "Measured: accuracies, errors, events, spikes, synaptic operations, ticks, saturations and wall times were counted or timed in the "
    "runs of this report; the integer simulator is bit-exact, and its equality with another program is stated only where it was run."
)
MODELLED = (
    "Modelled: energy, latency and memory. They are counts from those runs times the costs per operation of a hardware profile, and "
    "stand as low / typical / high because the published costs do. Nothing here ran on a chip."
)
PACKAGES = ("liquid-neuro", "numpy", "numba", "networkx", "jax", "optax", "plotly")


@dataclass(frozen=True)
class Tile:
    """One figure at the top of a report: what it is, its value, and the sentence below it.

    good: whether its goal was met, None without a goal.
    """

    name: str
    value: str
    note: str = ""
    good: bool | None = None


@dataclass(frozen=True)
class CostRow:
    """One line of the cost table. model: the network it is for ("ltc", "cfc"). cost: what `mappers.cost` returned."""

    profile: str
    title: str
    model: str
    cost: Cost


def versions() -> dict[str, str]:
    """The versions that a result depends on: Python, the machine's kind, and the packages that are installed."""
    found = {"Python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_report(
    path: str | Path,
    *,
    title: str = "Liquid network report",
    subtitle: str = "",
    tiles: Sequence[Tile] = (),
    mapping: ChipMapping | None = None,
    float_recording: Recording | None = None,
    chip_recording: Recording | None = None,
    chip_name: str = "integers, bit-exact",
    reference: npt.ArrayLike | None = None,
    outputs: Mapping[str, npt.ArrayLike] | None = None,
    truth: npt.ArrayLike | None = None,
    unit_labels: Sequence[str] = (),
    threshold: float | None = None,
    window: tuple[int, int] | None = None,
    costs: Sequence[CostRow] = (),
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write a self-contained report.html and return its path. Every part is left out whose input is not given.

    reference: (K, outputs) outputs of the sampled float network on the same stream. outputs: further ones by name. chip_name: what the
    chip recording is called among them. truth: (K,) labels 0 / 1. unit_labels: names of the neurons in state order. window:
    first and last sample that the raster and the traces show (default: the first 240).
    provenance: names and values to print (seeds, digests of data, settings); versions are added. Needs the extra `report` (plotly).
    """
    from mappers import report_sections as sections

    count = max((len(run.output_samples) for run in (float_recording, chip_recording) if run is not None), default=0)
    shown = window or (0, min(count, 240))
    lines = {"float, sampled reference": reference, "float, event-driven": _outputs_of(float_recording)}
    lines |= {**(outputs or {}), chip_name: _outputs_of(chip_recording)}
    parts = [
        sections.tiles(tiles),
        sections.cores(mapping),
        sections.events(float_recording, chip_recording, unit_labels, shown),
        sections.outputs(lines, float_recording or chip_recording, truth, threshold, shown),
        sections.costs(costs),
        sections.provenance({**(provenance or {}), **versions()}, (MEASURED, MODELLED)),
    ]
    page = string.Template(resources.files("mappers").joinpath("report.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        plotly=sections.library(),
        body="\n".join(part for part in parts if part),
    )

    def write(temporary: Path) -> None:
        temporary.write_text(page, encoding="utf-8")

    return write_atomically(path, write)


def _outputs_of(recording: Recording | None) -> npt.ArrayLike | None:
    return None if recording is None else recording.output_samples
