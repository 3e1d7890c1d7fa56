"""Which timespans of samples the integers of a quantised network were made for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liquid_neuro.cells.cfc_heads import TIMESPAN
from liquid_neuro.quantized_network import QuantizedNetwork

TOLERANCE = 1e-6  # of a timespan, where all must be equal


def check_timespans(quantized: QuantizedNetwork, timespans: npt.NDArray[np.float64]) -> None:
    """ValueError where a sample lasts a time (in model units) that the network's integers do not know."""
    word = TIMESPAN if quantized.kind == "akida" else None if quantized.elapsed is None else quantized.elapsed.state
    if word is None:
        allowed, what = np.isclose(timespans, quantized.formats.timespan, rtol=TOLERANCE, atol=0.0), f"{quantized.formats.timespan:g}"
        hint = "quantise with a calibration of such a clock or with timespans=(shortest, longest)"
    else:
        shortest = word.lsb if quantized.kind == "akida" else 0.0  # what rounds to 0 there would not run at all
        allowed = (timespans >= shortest / 2) & (timespans < (word.highest + 0.5) * word.lsb) | (timespans == 0)
        what = f"0 or {shortest:g} to {word.highest * word.lsb:.6g}" if shortest else f"0 to {word.highest * word.lsb:.6g}"
        hint = "resample" if quantized.kind == "akida" else "resample or quantise with timespans that reach so far"
    if not allowed.all():
        raise ValueError(
            f"timespans must be {what} model units, for which the integers were made, but one is {timespans[~allowed][0]:g}; {hint}"
        )
