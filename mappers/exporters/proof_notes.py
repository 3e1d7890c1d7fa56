"""What an export says of proofs: a network that is not proved to keep within its words is refused, or exported with what is not proved."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from liquid_neuro.quantized_network import QuantizedNetwork
from mappers.exporters import ExportError

MOST_TOLD = 3  # failures in a warning; the export names all


def failed_obligations(quantized: QuantizedNetwork, unproved: bool) -> list[str]:
    """What `verify` does not prove of a network, a sentence each; ExportError where there is such and `unproved` does not allow it."""
    from mappers.proofs.verification import verify

    failures = [str(failure) for failure in verify(quantized).failures]
    if failures and not unproved:
        raise ExportError(f"{failures[0]}{_more(failures, 1)}; quantise with fewer bits or say unproved=True")
    return failures


def told(failures: Sequence[str]) -> str:
    """A paragraph for the export that lists what is not proved, "" where nothing is; a warning says the same."""
    distinct = list(dict.fromkeys(failures))
    if not distinct:
        return ""
    first = "; ".join(distinct[:MOST_TOLD])
    warnings.warn(f"the export is not proved: {first}{_more(distinct, MOST_TOLD)}", UserWarning, stacklevel=2)
    return f"NOT PROVED, exported all the same (unproved=True): {'; '.join(distinct)}."


def _more(failures: Sequence[str], told: int) -> str:
    return f" (and {len(failures) - told} more)" if len(failures) > told else ""
