"""What an event-driven run knows beside its state, so that it can be cut anywhere and go on as if it had not been."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.checks import freeze_arrays

Table = npt.NDArray[Any]
# What delayed synapses have yet to hear: `level` was sent by a source (units, then inputs; mapped) `age` model units ago.
PAST_TYPE = np.dtype([("source", np.int64), ("age", np.float64), ("level", np.float64)])


@dataclass(frozen=True, eq=False)
class Carried:
    """An engine's own arrays, read-only: what neurons last sent, their sums and courses, and messages under way.

    kind: the engine ("fused", "exact 1", "exact 2", "cfc"); another one starts from the state alone, and from `past`.
    time: the model time that the arrays' times refer to.
    past: (n,) of PAST_TYPE, ordered by source and falling age, for networks with delays; None where there are none or it is not known.
    """

    kind: str
    time: float
    arrays: Mapping[str, Table]
    past: Table | None = None

    def __post_init__(self) -> None:
        freeze_arrays(self)
