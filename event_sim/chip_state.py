"""Where a chip run stands, so that another run can go on from there exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ChipState:
    """The machine before tick `tick`.

    state, sent: population -> (size,) words and messages last sent. accumulators, arriving: population -> (size, ports) running sums, and
    what was sent in the tick before. queued: population -> (size,) of 0 and 1, compartments whose next turn can change something.
    network: the fingerprint of the integers that ran; others are refused.
    """

    tick: int
    state: Mapping[str, IntArray]
    sent: Mapping[str, IntArray]
    accumulators: Mapping[str, IntArray]
    arriving: Mapping[str, IntArray]
    queued: Mapping[str, IntArray]
    network: str
