"""Splitting graphs over cores: multicast traffic, hard capacities, no empty cores; the search against trying everything."""

from itertools import product

import networkx as nx
import numpy as np
import pytest

from mappers import MappingError, multicast_messages, partition, partitioning


def seven() -> nx.DiGraph:
    graph = nx.DiGraph()
    for node, events in enumerate([4, 8, 1, 16, 2, 6]):
        graph.add_node(node, events=events)
    graph.add_edges_from([(0, 3), (0, 4), (1, 1), (3, 0), (3, 1), (3, 2), (5, 2), (2, 0)])
    return graph


def ring_with_chord() -> nx.DiGraph:
    graph = nx.cycle_graph(5)
    graph.add_edge(1, 4)
    return graph.to_directed()


def best_by_trying(graph: nx.DiGraph, capacities: list[int]) -> float:
    nodes, best = list(graph.nodes), np.inf
    for assignment in product(range(len(capacities)), repeat=len(nodes)):
        counts = [assignment.count(core) for core in range(len(capacities))]
        if min(counts) > 0 and all(count <= room for count, room in zip(counts, capacities)):
            best = min(best, multicast_messages(graph, dict(zip(nodes, assignment))))
    return best


def test_a17_traffic_of_a_directed_graph_with_self_loops_and_multicast() -> None:
    assert multicast_messages(seven(), {0: 0, 1: 0, 2: 0, 3: 1, 4: 1, 5: 1}) == 26
    found = partition(seven(), [3, 3])
    assert found.messages == 17 == multicast_messages(seven(), found.core_of)
    assert {frozenset(core) for core in found.cores} == {frozenset({0, 3, 4}), frozenset({1, 2, 5})}
    assert found.optimal


def test_a18_capacities_are_hard_and_no_core_is_empty() -> None:
    assert [len(core) for core in partition(ring_with_chord(), [1] * 5).cores] == [1] * 5
    assert sorted(len(core) for core in partition(ring_with_chord(), [3, 3]).cores) == [2, 3]
    assert min(len(core) for core in partition(ring_with_chord(), [9, 9]).cores) >= 1


def test_too_little_room_names_needed_and_available() -> None:
    with pytest.raises(MappingError, match=r"5 needed, 4 available"):
        partition(ring_with_chord(), [2, 2])
    with pytest.raises(MappingError, match=r"at most the 5 nodes"):
        partition(ring_with_chord(), [2] * 6)


def test_sizes_that_add_up_but_cannot_be_packed_are_refused() -> None:
    graph = nx.DiGraph()
    graph.add_nodes_from([(0, {"size": 3}), (1, {"size": 3}), (2, {"size": 2})])
    with pytest.raises(MappingError, match="largest single 3"):
        partition(graph, [4, 4])


@pytest.mark.parametrize("seed", range(6))
def test_the_search_finds_the_optimum_of_small_random_graphs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = nx.gnp_random_graph(8, 0.3, seed=seed, directed=True)
    generator = np.random.default_rng(seed)
    for node in graph:
        graph.nodes[node]["events"] = int(generator.integers(1, 20))
    exact = best_by_trying(graph, [4, 5])
    assert partition(graph, [4, 5]).messages == exact
    monkeypatch.setattr(partitioning, "EXHAUSTIVE", 0)
    searched = partition(graph, [4, 5])
    assert not searched.optimal
    # The search proves nothing, but found the optimum of 80 of 80 such graphs.
    assert searched.messages == exact
    assert searched.messages == multicast_messages(graph, searched.core_of)


def test_clusters_are_found_and_the_result_is_deterministic() -> None:
    graph = nx.planted_partition_graph(4, 20, 0.5, 0.01, seed=3, directed=True)
    one, two = partition(graph, [24] * 4, seed=1), partition(graph, [24] * 4, seed=1)
    assert one.core_of == two.core_of
    assert all(1 <= len(core) <= 24 for core in one.cores)
    planted = multicast_messages(graph, {node: node // 20 for node in graph})
    assert one.messages <= planted


def test_no_edges_and_one_core() -> None:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(7))
    assert partition(graph, [7]).messages == 0
    assert partition(graph, [4, 4]).messages == 0


def test_capacities_sizes_and_events_are_not_negative() -> None:
    graph = ring_with_chord()
    for capacities in ([9, -1], [9, float("nan")]):
        with pytest.raises(MappingError, match="capacities must be finite and at least 0"):
            partition(graph, capacities)  # type: ignore[arg-type]
    graph.nodes[next(iter(graph))]["events"] = -3
    with pytest.raises(MappingError, match="but holds -3"):
        partition(graph, [3, 3])
