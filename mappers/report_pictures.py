"""Pictures as SVG text, for files and pages that have no plotting library at hand: a raster of events, and a network with its activity."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from liquid_neuro.wiring import Wiring
from mappers.report_style import AMBER, GRID, INDIGO, INK, QUIET, ROSE, SLATE, TEAL, time_scale

FloatArray = npt.NDArray[np.float64]
GROUP_COLOURS = (ROSE, INDIGO, TEAL, AMBER, SLATE, "#0891b2", "#7c3aed", "#65a30d")
MOST_MARKS = 20_000
FONT = "font-family='Inter, Helvetica, Arial, sans-serif'"


def raster_svg(
    time_s: npt.ArrayLike,
    unit: npt.ArrayLike,
    groups: Sequence[str],
    window: tuple[float, float],
    *,
    inputs: Sequence[tuple[str, float, float]] = (),
    title: str = "",
    width: int = 900,
    row: float = 2.4,
) -> str:
    """A raster as SVG: one mark per event of a unit at a time within the window (seconds), at most 20,000 marks.

    groups: the group of every unit; units stand in the order of their groups' first appearance, coloured by group. inputs: bands above the
    raster, (name, from, to) in seconds.
    """
    times, units = np.asarray(time_s, dtype=np.float64), np.asarray(unit, dtype=np.int64)
    inside = np.flatnonzero((times >= window[0]) & (times <= window[1]))[:MOST_MARKS]
    names = list(dict.fromkeys(groups))
    ranked = sorted(range(len(groups)), key=lambda index: (names.index(groups[index]), index))
    place = np.empty(len(groups))
    place[ranked] = np.arange(len(groups))
    left, top, span = 120.0, 44.0 + 16.0 * len(inputs), width - 140.0
    height = top + row * len(groups) + 50.0
    scale, unit_name = time_scale(window[1] - window[0])
    x = left + span * (times[inside] - window[0]) / (window[1] - window[0])
    y = top + row * place[units[inside]]
    parts = [_text(left, 22.0, title, 15)]
    for line, (name, begin, end) in enumerate(inputs):
        band = left + span * (np.clip([begin, end], *window) - window[0]) / (window[1] - window[0])
        where = 34.0 + 16.0 * line
        parts.append(f"<rect x='{band[0]:.1f}' y='{where:.1f}' width='{band[1] - band[0]:.1f}' height='10' fill='{AMBER}' opacity='0.55'/>")
        parts.append(_text(left - 8, where + 9, name, 11, "end"))
    written = 0.0
    for number, name in enumerate(names):
        rows = [place[index] for index in range(len(groups)) if groups[index] == name]
        begin, end, colour = top + row * min(rows), top + row * (max(rows) + 1), GROUP_COLOURS[number % len(GROUP_COLOURS)]
        parts.append(f"<line x1='{left}' x2='{left + span}' y1='{end:.1f}' y2='{end:.1f}' stroke='{GRID}'/>")
        written = max((begin + end) / 2 + 4, written + 14)  # labels of small groups do not cover each other
        parts.append(_text(left - 8, written, f"{name} ({len(rows)})", 12, "end", colour))
        mine = np.array([groups[index] == name for index in units[inside]], dtype=bool)
        marks = "".join(f"M{a:.1f} {b:.1f}v{max(row - 0.4, 1.0):.1f}" for a, b in zip(x[mine], y[mine]))
        if marks:
            parts.append(f"<path d='{marks}' stroke='{colour}' stroke-width='1'/>")
    for tick in np.linspace(window[0], window[1], 7):
        where = left + span * (tick - window[0]) / (window[1] - window[0])
        parts.append(f"<line x1='{where:.1f}' x2='{where:.1f}' y1='{top}' y2='{height - 44:.1f}' stroke='{GRID}'/>")
        parts.append(_text(where, height - 28, f"{tick / scale:.3g}", 11, "middle", QUIET))
    parts.append(_text(left + span / 2, height - 10, f"time ({unit_name})", 12, "middle", QUIET))
    return _svg(width, height, parts)


def network_svg(
    wiring: Wiring,
    groups: Sequence[str],
    activity: npt.ArrayLike,
    labels: Sequence[str],
    *,
    places: FloatArray | None = None,
    named: Sequence[int] = (),
    title: str = "",
    width: int = 900,
    height: int = 640,
) -> str:
    """A network as SVG: a disc per unit, coloured by group, its area following the unit's activity; synapses thin, gap junctions orange.

    activity: (units,) at least 0. places: (units, 2) in any scale, by default `flow_places`. named: units whose label is shown.
    """
    places = flow_places(wiring) if places is None else places
    low, high = places.min(axis=0), places.max(axis=0)
    unit = (places - low) / np.where(high > low, high - low, 1.0)
    x, y = 40.0 + (width - 80.0) * unit[:, 0], 60.0 + (height - 110.0) * (1.0 - unit[:, 1])
    shown = np.asarray(activity, dtype=np.float64)
    radius = 2.0 + 12.0 * np.sqrt(shown / max(float(shown.max(initial=0.0)), 1e-300))
    lines = (
        (wiring.source, wiring.target, SLATE, 0.10, 0.7),
        (wiring.gap_source, wiring.gap_target, AMBER, 0.30, 1.0),
    )
    parts = [_text(40, 26, title, 15)]
    for source, target, colour, opacity, thickness in lines:
        path = "".join(f"M{x[a]:.1f} {y[a]:.1f}L{x[b]:.1f} {y[b]:.1f}" for a, b in zip(source.tolist(), target.tolist()))
        parts.append(f"<path d='{path}' stroke='{colour}' stroke-opacity='{opacity}' stroke-width='{thickness}' fill='none'/>")
    names = list(dict.fromkeys(groups))
    for index in np.argsort(radius, kind="stable"):
        colour = GROUP_COLOURS[names.index(groups[index]) % len(GROUP_COLOURS)]
        hover = f"<title>{html.escape(labels[index])}: {shown[index]:.3g}</title>"
        where = f"cx='{x[index]:.1f}' cy='{y[index]:.1f}' r='{radius[index]:.1f}'"
        parts.append(f"<circle {where} fill='{colour}' fill-opacity='0.8' stroke='white' stroke-width='0.6'>{hover}</circle>")
    parts += [_text(x[index] + radius[index] + 3, y[index] + 4, labels[index], 11) for index in named]
    for number, name in enumerate(names):
        left, colour = 40.0 + 130.0 * number, GROUP_COLOURS[number % len(GROUP_COLOURS)]
        parts.append(f"<circle cx='{left}' cy='{height - 22}' r='6' fill='{colour}'/>")
        parts.append(_text(left + 12, height - 18, name, 12))
    return _svg(width, height, parts)


def flow_places(wiring: Wiring, contacts: npt.ArrayLike | None = None, gap_contacts: npt.ArrayLike | None = None) -> FloatArray:
    """(units, 2): along y the flow of signals downwards, along x what belongs together.

    y solves L z = b with the Laplacian L of the undirected network and b_i = sum_j W_ij sign(A_ij - A_ji): a unit lies above those that it
    drives. x is the eigenvector of the second smallest eigenvalue of the degree-normalised Laplacian (Varshney et al., PLoS Computational
    Biology 7, e1001066 (2011)). contacts (synapses,), gap_contacts (gap junctions,): weights, 1 unless given.
    """
    units = wiring.units
    weights = np.ones(wiring.synapse_count) if contacts is None else np.asarray(contacts, dtype=np.float64)
    gap_weights = np.ones(wiring.gap_count) if gap_contacts is None else np.asarray(gap_contacts, dtype=np.float64)
    directed, coupled = np.zeros((units, units)), np.zeros((units, units))
    directed[wiring.source, wiring.target] = weights
    np.fill_diagonal(directed, 0.0)
    coupled[wiring.gap_source, wiring.gap_target] = gap_weights
    joined = (directed + directed.T) / 2.0 + coupled + coupled.T
    degree = joined.sum(axis=1)
    laplacian = np.diag(degree) - joined
    flow = np.linalg.lstsq(laplacian, (joined * np.sign(directed - directed.T)).sum(axis=1), rcond=None)[0]
    root = np.where(degree > 0, 1.0 / np.sqrt(np.where(degree > 0, degree, 1.0)), 0.0)
    values, vectors = np.linalg.eigh(laplacian * root[:, None] * root)
    alone = int((degree == 0).sum())  # each brings a zero eigenvalue of its own
    across = vectors[:, np.argsort(values, kind="stable")[min(alone + 1, units - 1)]] * root
    across = across * np.sign(across[int(np.argmax(np.abs(across)))] or 1.0)  # an eigenvector's sign is arbitrary
    # Ranks spread what would be one dense cloud.
    return np.stack([np.argsort(np.argsort(across, kind="stable"), kind="stable").astype(np.float64), flow], axis=1)


def _text(x: float, y: float, text: str, size: int, anchor: str = "start", colour: str = INK) -> str:
    place = f"x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' fill='{colour}'"
    return f"<text {place} {FONT}>{html.escape(text)}</text>"


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    size = f"width='{width:.0f}' height='{height:.0f}' viewBox='0 0 {width:.0f} {height:.0f}'"
    body = "\n".join(parts)
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size}>\n<rect width='100%' height='100%' fill='white'/>\n{body}\n</svg>\n"
