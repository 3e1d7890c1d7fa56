"""Settings of the whole suite. Shared builders of networks stand in tests/networks.py."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests import networks.py and naive.py as plain modules

# One thread per library: the suite may run on several workers, and results must not depend on how many cores there are.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")


@pytest.fixture(autouse=True)
def plain_ctrl_c() -> Iterator[None]:
    """SIGINT as Python leaves it: other libraries that a test run loads (Brian2) install handlers of their own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
