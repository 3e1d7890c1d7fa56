"""The parts of a report as HTML. Each function returns one section, or an empty text where its input is missing."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.offline

from mappers import report_figures as figures
from mappers import report_style as style
from mappers.report_figures import engineering

if TYPE_CHECKING:
    from event_sim.recording import Recording
    from hardware_profiles.cost import Cost, Range
    from mappers.mapping import Mapping as ChipMapping
    from mappers.report import CostRow, Tile

CONFIGURATION = {"displayModeBar": False, "responsive": True}


def library() -> str:
    """The plotly library as script text, once per page."""
    return str(plotly.offline.get_plotlyjs())


def section(title: str, lead: str, *content: str) -> str:
    """A card with a heading, a sentence and its content."""
    body = "\n".join(item for item in content if item)
    return f'<section><h2>{html.escape(title)}</h2><p class="lead">{html.escape(lead)}</p>\n{body}\n</section>'


def figure(drawing: Any, name: str) -> str:
    """A figure as a division of the page; the library is on the page already."""
    return str(drawing.to_html(full_html=False, include_plotlyjs=False, config=CONFIGURATION, div_id=name))


def tiles(items: Sequence[Tile]) -> str:
    """The row of figures at the top."""
    if not items:
        return ""
    classes = {None: "", True: " good", False: " bad"}
    cards = []
    for item in items:
        name, value, note = html.escape(item.name), html.escape(item.value), html.escape(item.note)
        cards.append(f'<div class="tile{classes[item.good]}"><span>{name}</span><b>{value}</b><em>{note}</em></div>')
    return f'<div class="tiles">{"".join(cards)}</div>'


def cores(mapping: ChipMapping | None) -> str:
    """Which core holds what."""
    found = [] if mapping is None else used_cores(mapping)
    if mapping is None or not found:
        return ""
    worst = max(found, key=lambda core: core["used_bits"] / core["available_bits"])
    compartments = sum(core["compartments"] for core in found)
    fullest = worst["used_bits"] / worst["available_bits"]
    lead = (
        f"{mapping.profile.title}: {compartments} compartments on {len(found)} of {mapping.profile.cores} cores. A core shows its number, "
        f"its compartments and its memory in use; fullest: core {worst['core']}, {fullest:.2%}. "
        f"Traffic: {mapping.hops_before:,.0f} hops before placement was improved, {mapping.hops_after:,.0f} after."
    )
    return section("Where it lives", lead, figure(figures.core_map(found, *mesh_shape(mapping)), "cores"))


def used_cores(mapping: ChipMapping) -> list[dict[str, Any]]:
    """Number, place, compartments, memory and content of every core in use."""
    content: dict[int, dict[str, int]] = {}
    for name, cores_of in mapping.core_of.items():
        for core, count in zip(*np.unique(np.asarray(cores_of), return_counts=True)):
            if core >= 0:  # what is negative lies at the host
                content.setdefault(int(core), {})[name] = int(count)
    found, taken = [], dict[tuple[int, int], int]()
    for core, parts in sorted(content.items()):
        tile = (int(mapping.core_xy[core][0]), int(mapping.core_xy[core][1]))
        slot = taken[tile] = taken.get(tile, -1) + 1
        found.append(
            {
                "core": core,
                "x": tile[0],
                "y": tile[1],
                "slot": slot,
                "compartments": sum(parts.values()),
                "used_bits": float(mapping.memory_bits[core]),
                "available_bits": float(mapping.memory_bits_available),
                "content": "<br>".join(f"{count} {name}" for name, count in parts.items()),
            }
        )
    return found


def mesh_shape(mapping: ChipMapping) -> tuple[int, int, int]:
    """Tiles wide, tiles high, and cores along one side of a tile."""
    mesh = mapping.profile.mesh
    if mesh is None:
        return (mapping.profile.cores, 1, 1)
    return mesh.tiles_wide.value, mesh.tiles_high.value, math.ceil(math.sqrt(mesh.cores_per_tile.value))


def events(float_recording: Recording | None, chip_recording: Recording | None, labels: Sequence[str], window: tuple[int, int]) -> str:
    """Who spoke when: neurons in the float engine and on the chip."""
    drawn = []
    for recording, name in (
        (float_recording, "In the asynchronous engine, in floating point"),
        (chip_recording, "On the chip, in integers"),
    ):
        if recording is None or window[1] <= window[0]:
            continue
        times = np.asarray(recording.state_times_s)
        span = (float(times[window[0]]), float(times[min(window[1], len(times) - 1)]))
        names = list(labels) or [f"neuron_{number}" for number in range(len(recording.event_counts))]
        drawing = figures.raster(recording.events["time_s"], recording.events["unit"], names, span)
        done, clocked = recording.stored_synaptic_operations, recording.clocked_synaptic_operations
        counts = (
            f"Whole run: {int(recording.event_counts.sum()):,} messages of neurons, {done:,} synapse evaluations; on a clock {clocked:,}."
        )
        drawn.append(f'<h3>{name}</h3><p class="lead">{counts}</p>' + figure(drawing, f"events_{recording.engine}"))
    lead = "Every mark is a message of a neuron: it speaks when its value has moved by a threshold since it last spoke."
    return section("Events", lead, *drawn) if drawn else ""


def outputs(lines_of: Mapping[str, Any], timed: Recording | None, truth: Any, threshold: float | None, window: tuple[int, int]) -> str:
    """Float against integers: named outputs (K, outputs), None where there is none, on the samples of `timed`."""
    start, stop = window
    lines = [(name, np.asarray(values)[start:stop, 0]) for name, values in lines_of.items() if values is not None and len(values)]
    if not lines or timed is None or stop <= start:
        return ""
    times = np.asarray(timed.state_times_s)[start + 1 : stop + 1]
    labels = None if truth is None else np.asarray(truth)[start:stop]
    lead = "The same output over the same samples; above the dashed line the decision is 1. Below: the difference to the first line."
    return section("Float against integers", lead, figure(figures.traces(times, lines, labels, threshold), "outputs"))


def costs(rows: Sequence[CostRow]) -> str:
    """What an inference costs, on each chip, for each network."""
    if not rows:
        return ""
    names = [f"{row.profile} · {row.model.upper()}" for row in rows]
    free, paced = [row.cost.energy_j for row in rows], [row.cost.energy_paced_j for row in rows]
    energy = figures.ranges(names, (("free running", style.TEAL, free), ("paced by the stream", style.INDIGO, paced)), "J")
    latency = figures.ranges(names, (("latency", style.AMBER, [row.cost.latency_s for row in rows]),), "s")
    parts = figures.shares(names, [_inside(row.cost) for row in rows])
    lead = (
        "One inference is one sample of the stream. Free running: all its ticks back to back. Paced: the chip stays powered for a whole "
        "sample period, so static power dominates. Each row says which network it is for: different networks are no comparison of chips."
    )
    notes = dict.fromkeys(f"{row.profile}: {note}" for row in rows for note in row.cost.notes)
    return section(
        "Energy and latency per inference",
        lead,
        _table(rows),
        "<h3>Energy</h3>" + figure(energy, "energy"),
        "<h3>Latency</h3>" + figure(latency, "latency"),
        "<h3>Where the energy goes, free running</h3>" + figure(parts, "parts"),
        "".join(f'<p class="note">{html.escape(note)}</p>' for note in notes),
        _source_table(rows),
    )


def _inside(cost: Cost) -> dict[str, float]:
    return {name: part.typical for name, part in cost.components.items() if name not in cost.outside_total and part.typical > 0}


def _range_cell(value: Range | None, unit: str) -> str:
    if value is None:
        return '<td class="number">–</td>'
    low, high = engineering(value.low, unit), engineering(value.high, unit)
    return f'<td class="number"><b>{engineering(value.typical, unit)}</b><small>{low} … {high}</small></td>'


def _source_table(rows: Sequence[CostRow]) -> str:
    """Every number of every profile that entered, with its source; equal lines once."""
    lines = dict.fromkeys((row.title, place, source) for row in rows for place, source in row.cost.sources.items())
    cells = "".join("<tr>" + "".join(f"<td>{html.escape(item)}</td>" for item in line) + "</tr>" for line in lines)
    heading = "<thead><tr><th>chip</th><th>number</th><th>source</th></tr></thead>"
    summary = f"<summary>Sources of the {len(lines)} numbers behind this table</summary>"
    return f'<details>{summary}<div class="scroll"><table class="small">{heading}<tbody>{cells}</tbody></table></div></details>'


def _memory(cost: Cost) -> str:
    """What is used of what there is: of the fullest core, and of RAM where that is apart."""
    bits = dict(cost.memory_bits)
    lines = []
    for name, used, available in (("", "worst_core", "available_per_core"), ("RAM ", "ram", "ram_available")):
        if used in bits and available in bits:
            lines.append(f"{name}<b>{engineering(bits.pop(used) / 8, 'B')}</b> of {engineering(bits.pop(available) / 8, 'B')}")
    lines += [f"{html.escape(name.replace('_', ' '))} {engineering(value / 8, 'B')}" for name, value in bits.items()]
    return "<br>".join(lines) or "–"


def _table(rows: Sequence[CostRow]) -> str:
    heading = "".join(
        f'<th class="number">{name}</th>' for name in ("energy, free running", "energy, paced", "latency", "memory of the fullest core")
    )
    lines = []
    for row in rows:
        cost = row.cost
        cells = "".join(
            _range_cell(value, unit) for value, unit in ((cost.energy_j, "J"), (cost.energy_paced_j, "J"), (cost.latency_s, "s"))
        )
        memory = f'<td class="number">{_memory(cost)}</td>'
        model = f'<span class="model {html.escape(row.model)}">{html.escape(row.model.upper())}</span>'
        lines.append(f"<tr><td>{html.escape(row.title)}</td><td>{model}</td>{cells}{memory}</tr>")
    head = f"<thead><tr><th>chip</th><th>network</th>{heading}</tr></thead>"
    return f'<div class="scroll"><table>{head}<tbody>{"".join(lines)}</tbody></table></div>'


def provenance(values: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Where all this comes from."""
    listed = "".join(f"<dt>{html.escape(str(name))}</dt><dd>{html.escape(str(value))}</dd>" for name, value in values.items())
    said = "".join(f'<p class="note">{html.escape(note)}</p>' for note in notes)
    return section("Provenance", "What is measured, what is modelled, and what was used.", said, f'<dl class="provenance">{listed}</dl>')
