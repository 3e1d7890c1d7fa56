"""Numbers in lanes (event_sim/kernels/lanes.py) beside the same numbers one by one."""

from __future__ import annotations

import numpy as np

from event_sim.kernels.jit import inner
from event_sim.kernels.lanes import LANES, add_pairs, broadcast, load, one_and_exp, reciprocal, store
from event_sim.kernels.synapses import SYNAPSE, open_gates


@inner
def gates(x, result):
    for at in range(0, len(x), LANES):
        store(result, at, broadcast(1.0) / one_and_exp(load(x, at)))


@inner
def reciprocals(x, result):
    for at in range(0, len(x), LANES):
        store(result, at, reciprocal(load(x, at)))


@inner
def added(pairs, targets, first, second):
    for at in range(0, len(targets), LANES):
        add_pairs(pairs, targets, at, load(first, at), load(second, at))


def test_gates_are_those_of_single_synapses_to_the_last_bit() -> None:
    generator = np.random.default_rng(0)
    x = np.concatenate([generator.normal(size=40_000) * scale for scale in (0.01, 1.0, 10.0, 300.0)])
    synapses, result = np.zeros(len(x), dtype=SYNAPSE), np.empty(len(x))
    synapses["sigma"], synapses["mu"], synapses["weight"] = 1.0, x, 1.0
    open_gates(np.array([0]), np.array([len(x)]), synapses, np.zeros(1))
    gates(x, result)
    assert (np.abs(x) > 700).any()
    assert result.tobytes() == synapses["now"].tobytes()


def test_reciprocals_of_all_magnitudes() -> None:
    mantissa = np.random.default_rng(0).uniform(1.0, 2.0, size=80_000)
    x, result = np.ldexp(mantissa, np.random.default_rng(1).integers(-1000, 1000, size=80_000)), np.empty(80_000)
    reciprocals(x, result)
    # The last step's error of 3e-16 and a rounding of 1.1e-16 each for x y, the product and the sum.
    assert np.abs(result * x - 1.0).max() < 8e-16


def test_pairs_are_added_one_after_the_other() -> None:
    generator = np.random.default_rng(0)
    targets, first, second = generator.integers(0, 5, size=800), generator.normal(size=800), generator.normal(size=800)
    pairs, expected = np.zeros(10), np.zeros((5, 2))
    added(pairs, targets, first, second)
    for target, change in zip(targets, np.stack([first, second], axis=1), strict=True):
        expected[target] += change
    assert pairs.tobytes() == expected.tobytes()
