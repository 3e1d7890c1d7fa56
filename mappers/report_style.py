"""What figures and pictures share: colours, and units of time."""

from __future__ import annotations

INK, QUIET, GRID = "#1f2937", "#6b7280", "#e5e7eb"
TEAL, INDIGO, AMBER, ROSE, SLATE = "#0d9488", "#4f46e5", "#d97706", "#e11d48", "#64748b"


def time_scale(span_s: float) -> tuple[float, str]:
    """Seconds per unit and name of the unit that suits a span."""
    for seconds, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"), (1e-3, "milliseconds")):
        if span_s >= 3 * seconds:
            return seconds, name
    return 1e-6, "microseconds"
