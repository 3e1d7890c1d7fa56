"""Comparisons with live Lava that the tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mappers
from hardware_profiles import HardwareProfile
from mappers.exporters.lava import LavaComparison, compare


def walk(samples: int, channels: int, seed: int = 0) -> np.ndarray:
    """A slow stream, as sensors give it."""
    return np.clip(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.08, (samples, channels)), axis=0), -2.0, 2.0)


def ran(comparison: LavaComparison) -> LavaComparison:
    """The comparison itself; skips where no Python 3.10 can be had, and nowhere else."""
    if comparison.differences is None and "3.10" in comparison.reason:
        pytest.skip(comparison.reason)
    assert comparison.reason == ""
    return comparison


def equal_to_lava(
    folder: Path, quantized: Any, profile: HardwareProfile, x: np.ndarray, timespans: np.ndarray | None = None, cores: int | None = None
) -> int:
    """How many values were compared, all of them equal; the network is mapped, exported into `folder` and run on x."""
    mapping = mappers.map_network(quantized, profile, cores=cores)
    mappers.export(mapping, "lava", folder, overwrite=True)
    comparison = ran(compare(folder, quantized, x, samples=len(x), timespans=timespans))
    assert (comparison.differences, comparison.first_difference) == (0, "")
    assert comparison.ticks == quantized.ticks_per_sample * (len(x) - 1) + quantized.read_tick + 1
    assert comparison.values_compared == 2 * sum(one.size for one in quantized.populations) * comparison.ticks
    return comparison.values_compared
