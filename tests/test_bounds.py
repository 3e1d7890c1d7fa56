"""Error bounds of event-driven runs, held against the sampled reference and SciPy on networks far beyond ncps' ranges."""

from __future__ import annotations

import numpy as np
import pytest
import random_networks

from event_sim import EventStream, Recording, simulate
from liquid_neuro import LiquidNetwork
from liquid_neuro.cells import ltc
from liquid_neuro.dynamics import trajectory

SOLVED = 1e-6  # what SciPy may be wrong by at rtol = 1e-9, some times amplified


def solved(network: LiquidNetwork, x: np.ndarray, timespans: np.ndarray) -> np.ndarray:
    """(K + 1, units): SciPy's solution at the samples' ends, by Radau where the network is stiff, else by DOP853."""
    integrate = pytest.importorskip("scipy.integrate")
    values = ltc.effective(network)
    prepared, states = ltc.Prepared(values), [np.zeros(network.units)]
    most = values.gleak + np.bincount(values.target, weights=values.w, minlength=network.units)
    stiff = float((most / values.cm).max() * timespans.sum()) > 3000
    for row, span in zip(x, timespans):
        held, driven = prepared.held(row[None])

        def slope(_: float, v: np.ndarray, held: np.ndarray = held, driven: np.ndarray = driven) -> np.ndarray:
            own, own_driven = prepared.sums(v.reshape(network.units, -1).T)
            return (((driven + own_driven) - (held + own) * v.reshape(network.units, -1).T).T / values.cm[:, None]).reshape(v.shape)

        method = "Radau" if stiff else "DOP853"
        run = integrate.solve_ivp(slope, (0.0, span), states[-1], method=method, rtol=1e-9, atol=1e-10, vectorized=True)
        assert run.success
        states.append(run.y[:, -1])
    return np.array(states)


def checked(kind: str, seed: int) -> tuple[float, list[Recording]]:
    """(largest error / bound, the runs) of one random network: with a random quantum, and to a tolerance."""
    network, generator = random_networks.network_of(kind, seed, gaps=seed % 2 == 1)
    x, timespans, stream = random_networks.stream_of(generator, network.inputs)
    exact = kind in ("exact", "second")
    if exact:  # SciPy needs seconds for more
        x, timespans = x[:12], timespans[:12]
        stream = EventStream.from_samples(x, timespans=timespans)
    right = solved(network, x, timespans) if exact else np.vstack([np.zeros(network.units), trajectory(network, x, timespans).states[0]])
    order = 2 if kind == "second" else 1
    options = {"quantum": 10.0 ** generator.uniform(-4, -1.5)}, {"tolerance": 10.0 ** generator.uniform(-3, -1)}
    runs = [simulate(network, stream, engine="event", order=order, **option) for option in options]  # type: ignore[arg-type]
    worst = 0.0
    for run in runs:
        assert run.error_bound_kind in ("derived", "confirmed", "box")
        error = float(np.abs(run.state - right).max()) - (SOLVED if exact else 0.0)
        assert error <= run.error_bound, (kind, seed, error, run.error_bound, run.error_bound_kind)
        worst = max(worst, error / run.error_bound)
    return worst, runs


@pytest.mark.parametrize("kind", random_networks.KINDS)
def test_no_error_exceeds_its_bound(kind: str) -> None:
    for seed in range(6 if kind in ("exact", "second") else 20):
        checked(kind, seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("kind", random_networks.KINDS)
def test_no_error_exceeds_its_bound_on_a_thousand_networks(kind: str, part: int) -> None:
    kept = [run for seed in range(50 * part, 50 * part + 50) for run in checked(kind, 100 + seed)[1]]
    assert sum(run.error_bound < 0.1 for run in kept) > len(kept) // 10  # bounds that say something
