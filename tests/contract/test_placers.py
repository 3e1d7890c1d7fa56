"""What every placer must keep. Placers are found by name."""

from itertools import pairwise

import numpy as np
import pytest

from mappers.placement import PLACERS, hop_count

SLOTS = np.array([(tile % 8, tile // 8) for tile in range(32) for _ in range(4)])


def traffic(cores: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).poisson(0.5, (cores, cores)).astype(float)


@pytest.mark.parametrize("name", PLACERS)
@pytest.mark.parametrize("cores", [1, 2, 5, 17, 128])
def test_every_core_gets_a_slot_of_its_own(name: str, cores: int) -> None:
    if cores == 128 and name == "annealing":
        cores = 40  # the full mesh takes seconds
    slot = PLACERS[name](traffic(cores, cores), SLOTS, 0)
    assert slot.shape == (cores,)
    assert len(set(slot.tolist())) == cores
    assert slot.min() >= 0
    assert slot.max() < len(SLOTS)


@pytest.mark.parametrize("name", PLACERS)
def test_never_more_hops_than_row_by_row(name: str) -> None:
    for seed in range(3):
        matrix = traffic(20, seed)
        assert hop_count(matrix, SLOTS, PLACERS[name](matrix, SLOTS, 0)) <= hop_count(matrix, SLOTS, np.arange(20))


@pytest.mark.parametrize("name", PLACERS)
def test_the_same_seed_gives_the_same_placement_and_the_input_stays(name: str) -> None:
    matrix = traffic(12, 3)
    before = matrix.copy()
    assert PLACERS[name](matrix, SLOTS, 7).tolist() == PLACERS[name](matrix, SLOTS, 7).tolist()
    assert (matrix == before).all()


@pytest.mark.parametrize("name", [name for name in PLACERS if name != "row_major"])
def test_a_chain_that_was_scattered_comes_together(name: str) -> None:
    # 6 cores in a chain on a line of 6 tiles, in an order that is far apart: the optimum is 5 hops.
    line = np.array([(x, 0) for x in range(6)])
    matrix = np.zeros((6, 6))
    order = [0, 3, 1, 4, 2, 5]
    for a, b in pairwise(order):
        matrix[a, b] = 1.0
    assert hop_count(matrix, line, PLACERS[name](matrix, line, 0)) == 5
