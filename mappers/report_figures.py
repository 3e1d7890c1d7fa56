"""The figures of a report, as plotly objects. Each function reads frozen results and draws; none computes anything that is not shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mappers.report_style import AMBER, GRID, INDIGO, INK, QUIET, ROSE, SLATE, TEAL, time_scale

ROLE_COLOURS = {"motor": ROSE, "command": INDIGO, "inter": TEAL, "unknown": SLATE}
UTILISATION = [[0.0, "#f0fdfa"], [1.0, "#2dd4bf"]]
MOST_MARKS = 20_000
PREFIXES = ((1e-15, "f"), (1e-12, "p"), (1e-9, "n"), (1e-6, "µ"), (1e-3, "m"), (1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"))
FONT = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def styled(figure: Any, height: int, **layout: Any) -> Any:
    """The common look: white, light grid, no toolbar clutter."""
    figure.update_layout(
        height=height,
        paper_bgcolor="white",
        plot_bgcolor="white",
        font={"family": FONT, "size": 13, "color": INK},
        margin={"l": 80, "r": 24, "t": 42, "b": 48},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.01, "xanchor": "right", "x": 1.0},
        hoverlabel={"font": {"family": FONT}},
        **layout,
    )
    figure.update_xaxes(gridcolor=GRID, zeroline=False, linecolor=GRID, ticks="outside", tickcolor=GRID)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, linecolor=GRID)
    return figure


def engineering(value: float, unit: str) -> str:
    """A number with three significant digits and an SI prefix: 0.000123 J is 123 µJ."""
    if value == 0:
        return f"0 {unit}"
    factor, prefix = next(((size, sign) for size, sign in reversed(PREFIXES) if abs(value) >= 0.9995 * size), PREFIXES[0])
    return f"{value / factor:.3g} {prefix}{unit}"


def logarithmic_ticks(low: float, high: float, unit: str) -> dict[str, Any]:
    """Range and labels of a logarithmic axis: powers of ten, with 2 and 5 between them where less than three decades are shown."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if math.log10(high / low) < 3 else (1,)
    values = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    margin = 0.04 * max(math.log10(high / low), 0.5)
    shown = [math.log10(low) - margin, math.log10(high) + margin]
    return {"type": "log", "tickvals": values, "ticktext": [engineering(value, unit) for value in values], "range": shown}


def core_map(cores: Sequence[dict[str, Any]], tiles_wide: int, tiles_high: int, side: int) -> Any:
    """The chip's tiles, each of side x side cores, with the cores in use.

    Each of `cores`: core, x, y (of its tile), slot (in the tile), compartments, used_bits, available_bits, content (text for hovering).
    """
    # Only the part of the mesh around what is used: a chip of 128 cores with three in use would be a poster of nothing.
    wide = min(tiles_wide, max(5, max(core["x"] for core in cores) + 2))
    high = min(tiles_high, max(2, max(core["y"] for core in cores) + 2))
    share: list[list[float | None]] = [[None] * (wide * side) for _ in range(high * side)]
    inside = [[""] * (wide * side) for _ in range(high * side)]
    hover = [["not used"] * (wide * side) for _ in range(high * side)]
    for core in cores:
        x, y = core["x"] * side + core["slot"] % side, core["y"] * side + core["slot"] // side
        part = core["used_bits"] / core["available_bits"]
        share[y][x] = part
        inside[y][x] = f"<b>core {core['core']}</b><br>{core['compartments']}<br>{part:.1%}"
        hover[y][x] = f"core {core['core']}<br>{core['content']}<br>{core['used_bits']:,.0f} of {core['available_bits']:,.0f} bits"
    figure = go.Figure(
        go.Heatmap(
            z=share,
            text=inside,
            customdata=hover,
            texttemplate="%{text}",
            textfont={"size": 12, "color": INK},
            hovertemplate="%{customdata}<extra></extra>",
            colorscale=UTILISATION,
            zmin=0,
            xgap=6,
            ygap=6,
            colorbar={"title": {"text": "memory used"}, "tickformat": ".1%", "thickness": 12, "outlinewidth": 0},
        )
    )
    for x in range(wide):
        for y in range(high):
            edge = {"x0": x * side - 0.5, "x1": (x + 1) * side - 0.5, "y0": y * side - 0.5, "y1": (y + 1) * side - 0.5}
            figure.add_shape(type="rect", layer="below", line={"color": "#cbd5e1", "width": 2}, fillcolor="#f1f5f9", **edge)
    for x in range(wide * side):
        for y in range(high * side):
            cell = {"x0": x - 0.44, "x1": x + 0.44, "y0": y - 0.42, "y1": y + 0.42}
            figure.add_shape(type="rect", layer="below", line={"color": GRID, "width": 1}, fillcolor="white", **cell)
    figure = styled(figure, 90 + 66 * side * high, showlegend=False)
    centre = (side - 1) / 2
    for axis, count, name in ((figure.update_xaxes, wide, "tile column"), (figure.update_yaxes, high, "tile row")):
        places = [side * index + centre for index in range(count)]
        axis(title=name, tickvals=places, ticktext=[str(index) for index in range(count)], showgrid=False, ticks="")
    figure.update_xaxes(range=[-0.6, wide * side - 0.4])
    figure.update_yaxes(range=[high * side - 0.4, -0.6])
    return figure


def raster(time_s: npt.NDArray[Any], unit: npt.NDArray[Any], labels: Sequence[str], window: tuple[float, float]) -> Any:
    """One mark per event of a neuron between two times; the motors on top."""
    inside = (time_s >= window[0]) & (time_s <= window[1])
    time_s, unit = time_s[inside][:MOST_MARKS], unit[inside][:MOST_MARKS]
    roles = [label.rsplit("_", 1)[0] for label in labels]
    ranked = sorted(
        range(len(labels)), key=lambda index: (list(ROLE_COLOURS).index(roles[index]) if roles[index] in ROLE_COLOURS else 9, index)
    )
    row = np.empty(len(labels), dtype=np.int64)
    row[ranked] = np.arange(len(labels))
    seconds, name = time_scale(window[1] - window[0])
    figure = go.Figure()
    for role in dict.fromkeys(roles[index] for index in ranked):
        chosen = np.array([roles[index] == role for index in unit], dtype=bool)
        figure.add_trace(
            go.Scatter(
                x=time_s[chosen] / seconds,
                y=row[unit[chosen]],
                mode="markers",
                name=role,
                marker={"symbol": "line-ns-open", "size": 9, "color": ROLE_COLOURS.get(role, SLATE), "line": {"width": 1.4}},
                text=[labels[index] for index in unit[chosen]],
                hovertemplate="%{text} at %{x:.3f} " + name + "<extra></extra>",
            )
        )
    figure.update_xaxes(title=f"time ({name})", range=[window[0] / seconds, window[1] / seconds])
    figure.update_yaxes(
        tickvals=list(range(len(labels))),
        ticktext=[labels[index] for index in ranked],
        tickfont={"size": 11},
        range=[len(labels) - 0.5, -0.5],
    )
    return styled(figure, 130 + 19 * len(labels))


def traces(
    time_s: npt.NDArray[Any], lines: Sequence[tuple[str, npt.NDArray[Any]]], truth: npt.NDArray[Any] | None, threshold: float | None
) -> Any:
    """Outputs against time, the true label as a band behind them, and below the difference of each line to the first."""
    seconds, name = time_scale(float(time_s[-1] - time_s[0]))
    x = time_s / seconds
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.72, 0.28], vertical_spacing=0.06)
    every = np.concatenate([values for _, values in lines])
    margin = 0.06 * (float(np.ptp(every)) or 1.0)
    low, high = float(every.min()) - margin, float(every.max()) + margin
    if truth is not None:
        hidden = {"mode": "lines", "hoverinfo": "skip", "x": x}
        figure.add_trace(go.Scatter(y=np.full(len(x), low), line={"width": 0}, showlegend=False, **hidden), row=1, col=1)
        band = {"name": "label is 1", "fill": "tonexty", "fillcolor": "rgba(217,119,6,0.13)", "line": {"width": 0, "shape": "hv"}}
        figure.add_trace(go.Scatter(y=np.where(truth > 0.5, high, low), **band, **hidden), row=1, col=1)
    looks = ((INK, "solid", 2.4), (TEAL, "solid", 1.6), (ROSE, "dot", 1.8), (INDIGO, "dash", 1.6))
    for number, ((label, values), (colour, dash, width)) in enumerate(zip(lines, looks)):
        line = {"color": colour, "dash": dash, "width": width, "shape": "hv"}
        figure.add_trace(go.Scatter(x=x, y=values, mode="lines", name=label, line=line), row=1, col=1)
        if number:
            thin = {"color": colour, "width": 1.2, "shape": "hv"}
            difference = {"y": values - lines[0][1], "name": f"{label}: difference", "showlegend": False, "line": thin}
            figure.add_trace(go.Scatter(x=x, mode="lines", **difference), row=2, col=1)
    if threshold is not None:
        figure.add_hline(y=threshold, line={"color": QUIET, "width": 1, "dash": "dash"}, row=1, col=1)
    figure.update_yaxes(title_text="output", range=[low, high], row=1, col=1)
    figure.update_yaxes(title_text="difference", row=2, col=1)
    figure.update_xaxes(title_text=f"time ({name})", row=2, col=1)
    figure = styled(figure, 470)
    figure.update_layout(legend={"traceorder": "normal"})
    return figure


def ranges(names: Sequence[str], series: Sequence[tuple[str, str, Sequence[Any]]], unit: str) -> Any:
    """One row per name; for each series (label, colour, ranges) a bar from low to high with a mark at typical, on a logarithmic axis."""
    figure = go.Figure()
    offsets = np.linspace(-0.17, 0.17, len(series)) if len(series) > 1 else [0.0]
    for (label, colour, values), offset in zip(series, offsets):
        present = [(index + offset, value) for index, value in enumerate(values) if value is not None and value.low > 0]
        bars_x = [edge for _, value in present for edge in (value.low, value.high, None)]
        bars_y = [edge for place, _ in present for edge in (place, place, None)]
        figure.add_trace(
            go.Scatter(
                x=bars_x, y=bars_y, mode="lines", line={"color": colour, "width": 9}, opacity=0.35, showlegend=False, hoverinfo="skip"
            )
        )
        figure.add_trace(
            go.Scatter(
                x=[value.typical for _, value in present],
                y=[place for place, _ in present],
                mode="markers",
                name=label,
                marker={"color": colour, "size": 11, "line": {"color": "white", "width": 1.5}},
                customdata=[[value.low, value.high] for _, value in present],
                hovertemplate="%{customdata[0]:.3s} … <b>%{x:.3s}</b> … %{customdata[1]:.3s}" + unit + f" ({label})<extra></extra>",
            )
        )
    ends = [end for _, _, values in series for value in values if value is not None and value.low > 0 for end in (value.low, value.high)]
    if ends:
        figure.update_xaxes(title="per inference (bar: low to high, mark: typical)", **logarithmic_ticks(min(ends), max(ends), unit))
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=list(names), range=[len(names) - 0.5, -0.5], showgrid=False)
    figure = styled(figure, 120 + 56 * len(names))
    figure.update_layout(margin={"l": 190, "r": 24, "t": 42, "b": 48})
    return figure


def shares(names: Sequence[str], components: Sequence[dict[str, float]]) -> Any:
    """Stacked bars: where the typical energy of one inference goes, in percent."""
    figure = go.Figure()
    colours = (TEAL, INDIGO, AMBER, ROSE, SLATE, "#0891b2", "#7c3aed", "#65a30d", "#be185d", "#a16207")
    totals = [sum(item.values()) or 1.0 for item in components]
    for index, part in enumerate(dict.fromkeys(name for item in components for name in item)):
        values = [100 * item.get(part, 0.0) / total for item, total in zip(components, totals)]
        figure.add_trace(
            go.Bar(
                y=list(names),
                x=values,
                name=part.replace("_", " "),
                orientation="h",
                marker={"color": colours[index % len(colours)]},
                customdata=[item.get(part, 0.0) for item in components],
                hovertemplate="%{fullData.name}: %{customdata:.3s}J (%{x:.1f} %)<extra></extra>",
            )
        )
    figure.update_xaxes(title="share of the typical energy (%)", range=[0, 100])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure = styled(figure, 150 + 40 * len(names), barmode="stack", bargap=0.35)
    figure.update_layout(margin={"l": 190, "r": 24, "t": 60, "b": 48}, legend={"traceorder": "normal"})
    return figure
