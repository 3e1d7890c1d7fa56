"""The clock-driven kernels: their exponential, and their lanes."""

from __future__ import annotations

import numpy as np
import pytest

import liquid_neuro
from event_sim import EventStream, simulate
from event_sim.kernels.jit import compiled
from event_sim.kernels.lanes import LANES, LIMIT, load, power_of_two, store
from liquid_neuro import Wiring
from liquid_neuro.dynamics import trajectory


@compiled
def powers(exponents: np.ndarray, result: np.ndarray) -> None:
    for index in range(0, len(exponents), LANES):
        store(result, index, power_of_two(load(exponents, index)))


def test_powers_of_two_over_their_whole_range() -> None:
    halves = np.arange(-480, 481) / 2  # both ends of the polynomial
    edges = [halves, np.nextafter(halves, 1e9), np.nextafter(halves, -1e9), np.linspace(-0.5, 0.5, 4001), np.linspace(-LIMIT, LIMIT, 40001)]
    exponents = np.clip(np.concatenate(edges), -LIMIT, LIMIT)
    exponents = np.resize(exponents, len(exponents) + -len(exponents) % LANES)
    result = np.empty_like(exponents)
    powers(exponents, result)
    assert np.abs(result / np.exp2(exponents) - 1).max() < 3e-14
    far = np.array([-np.inf, -1e300, -241.0, 241.0, 1e300, np.inf, 0.0, -0.0])
    powers(far, result)
    np.testing.assert_allclose(result[:8], np.exp2(np.clip(far, -LIMIT, LIMIT)), rtol=3e-14)


@pytest.mark.parametrize(
    "wiring",
    [
        Wiring.auto_ncp(32, 19, 1),
        Wiring.fully_connected(3, 8, 1),
        Wiring.fully_connected(1, 9, 2),
        Wiring.random(5, 40, 1, sparsity=0.9),
        Wiring.random_fan_in(4, 61, 1, 7, sensory_fan_in=1),
    ],
)
def test_lanes_of_any_wiring_equal_the_reference(wiring: Wiring) -> None:
    network = liquid_neuro.ltc(wiring, seed=2)
    x = np.random.default_rng(0).normal(size=(20, wiring.inputs)) * 3
    run = simulate(network, EventStream.from_samples(x, sample_s=0.7), engine="clocked")
    # the promise is 1e-9; gates are right to 3e-14, and steps do not amplify much
    np.testing.assert_allclose(run.state[1:], trajectory(network, x, 0.7).states[0], rtol=1e-9, atol=1e-11)
