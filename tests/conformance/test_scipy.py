"""The exact engine against SciPy's DOP853 and Radau, the fused engine against its recurrence written with dense matrices."""

from __future__ import annotations

import ltc_equations as equations
import numpy as np
import pytest

from event_sim import EventStream, Recording, simulate
from liquid_neuro import Fused, LiquidNetwork

integrate = pytest.importorskip("scipy.integrate")

SOLVED = 1e-8  # what SciPy itself may be wrong by, at rtol = atol = 1e-10 and up to ten restarts


def solved(network: LiquidNetwork, rows: list[tuple[float, int, float]], until: float, method: str) -> tuple[np.ndarray, np.ndarray]:
    """(times, states just before what happens at each time), SciPy started anew at every input event."""
    x, v, now = np.zeros(network.inputs), np.zeros(network.units), 0.0
    times, states = [0.0], [v]
    for time, channel, value in [*rows, (until, 0, 0.0)]:
        if time > now:
            run = integrate.solve_ivp(equations.slope(network, x), (now, time), v, method=method, rtol=1e-10, atol=1e-10)
            assert run.success
            v, now = run.y[:, -1], time
            times.append(time)
            states.append(v)
        x = x.copy()
        x[channel] = value
    return np.array(times), np.array(states)


def error_of(seed: int, method: str, quantum: float | None, **options: object) -> tuple[float, Recording]:
    """(largest error of the states of a random network's run, the run)."""
    draw = np.random.default_rng(seed)
    network = equations.random_network(seed, int(draw.integers(2, 11)), stiff=method == "Radau")
    rows, until = equations.random_events(seed), 5.0
    run = simulate(network, EventStream(*zip(*rows), channels=2), until=until, quantum=quantum, **options)  # type: ignore[arg-type]
    times, states = solved(network, rows, until, method)
    assert run.state_times_s.tolist() == pytest.approx(times.tolist())
    return float(np.abs(run.state - states).max()), run


def check(seed: int, method: str, quantum: float | None, **options: object) -> None:
    error, run = error_of(seed, method, quantum, **options)
    assert error <= run.error_bound + SOLVED, (seed, run.error_bound_kind)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("quantum", [1e-2, 1e-3])
def test_exact_events_stay_within_their_bound_of_dop853(seed: int, quantum: float) -> None:
    check(seed, "DOP853", quantum)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("quantum", [1e-3, 1e-5])
def test_events_of_second_order_stay_within_their_estimate_of_dop853(seed: int, quantum: float) -> None:
    check(seed, "DOP853", quantum, order=2)


@pytest.mark.parametrize("seed", range(20, 24))
def test_stiff_networks_stay_within_their_bound_of_radau(seed: int) -> None:
    check(seed, "Radau", 1e-3, order=1 + seed % 2)


@pytest.mark.parametrize("seed", range(30, 34))
def test_a_tolerance_is_kept_on_a_clock_and_by_events(seed: int) -> None:
    for engine in ("event", "clocked"):
        error, _ = error_of(seed, "DOP853", None, engine=engine, tolerance=1e-4)
        assert error <= 1e-4 + SOLVED


@pytest.mark.parametrize("seed", range(10))
def test_fused_events_stay_within_their_bound_of_the_recurrence(seed: int) -> None:
    network = equations.random_network(seed, 7).with_solver(Fused(5))
    draw = np.random.default_rng(seed)
    x, timespans = np.cumsum(0.3 * draw.normal(size=(15, 2)), axis=0), draw.uniform(0.1, 2.0, 15)
    right = equations.fused(network, x, timespans, 5, 1e-8)
    stream = EventStream.from_samples(x, timespans=timespans)
    for quantum in (0.0, 1e-3, 1e-2):
        run = simulate(network, stream, quantum=quantum)
        assert np.abs(run.state[1:] - right).max() <= run.error_bound
    assert np.abs(simulate(network, stream, engine="clocked").state[1:] - right).max() <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_a_thousand_networks(block: int) -> None:
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        check(seed, "DOP853", 10.0 ** -(1 + seed % 3), order=1 + seed % 2)
