"""Wirings: ncps' own draws bit for bit, immutability, graphs, and random wirings of any size."""

from __future__ import annotations

import hashlib
import json

import networkx
import numpy as np
import pytest
from networks import GOLDEN_FOLDER, GOLDEN_WIRINGS

from liquid_neuro import ROLES, Wiring, integrate, ltc
from liquid_neuro.wiring import state_labels

CONSTRUCTORS = {"ncp": Wiring.ncp, "auto_ncp": Wiring.auto_ncp, "fully_connected": Wiring.fully_connected, "random": Wiring.random}
SMALL = lambda: Wiring.ncp(5, 4, 3, 2, 2, 2, 3, 2, seed=4)


def digest(wiring: Wiring) -> str:
    return hashlib.sha256(wiring.adjacency().tobytes() + wiring.sensory_adjacency().tobytes()).hexdigest()


def test_two_hundred_wirings_equal_the_recorded_draws_of_ncps():
    records = json.loads((GOLDEN_FOLDER / "wirings.json").read_text())
    assert len(records) == 200
    for record in records:
        wiring = CONSTRUCTORS[record["kind"]](record["inputs"], *record["arguments"], seed=record["seed"])
        assert digest(wiring) == record["sha256"], record


@pytest.mark.parametrize("name", GOLDEN_WIRINGS)
def test_wirings_of_the_golden_networks(name):
    with np.load(GOLDEN_FOLDER / f"{name}.npz") as arrays:
        wiring = GOLDEN_WIRINGS[name]()
        np.testing.assert_array_equal(wiring.adjacency(), arrays["wiring.adjacency"])
        np.testing.assert_array_equal(wiring.sensory_adjacency(), arrays["wiring.sensory_adjacency"])


def test_the_published_drone_circuit_comes_out_of_its_seed():
    wiring = Wiring.ncp(128, 18, 12, 4, 6, 4, 4, 6, seed=22224)
    assert (wiring.units, wiring.synapse_count, wiring.sensory_synapse_count) == (34, 100, 768)


def test_auto_ncp_of_nineteen_units():
    wiring = Wiring.auto_ncp(3, 19, 1)
    assert [len(layer) for layer in wiring.layers] == [11, 7, 1]
    assert wiring.synapse_count + wiring.sensory_synapse_count == 63


def test_order_roles_labels_and_layers():
    wiring = SMALL()
    for source, target in ((wiring.source, wiring.target), (wiring.sensory_source, wiring.sensory_target)):
        place = source.astype(np.int64) * wiring.units + target
        assert (np.diff(place) > 0).all()
    assert wiring.layers == ((5, 6, 7, 8), (2, 3, 4), (0, 1))
    motor_first = ("motor_0", "motor_1", "command_0", "command_1", "command_2", "inter_0", "inter_1", "inter_2", "inter_3")
    assert state_labels(wiring, 9, "ltc") == motor_first
    assert state_labels(wiring, 9, "cfc") == motor_first[5:] + motor_first[2:5] + motor_first[:2]
    assert state_labels(None, 2, "cfc") == ("unknown_0", "unknown_1")
    assert [ROLES[code] for code in Wiring.fully_connected(2, 3, 1).roles] == ["motor", "inter", "inter"]


def test_building_twice_changes_nothing_and_nothing_can_be_written():
    assert SMALL() == SMALL()
    assert hash(SMALL()) == hash(SMALL())
    assert SMALL() != Wiring.ncp(5, 4, 3, 2, 2, 2, 3, 2, seed=5)
    wiring = SMALL()
    with pytest.raises(ValueError, match="read-only"):
        wiring.polarity[0] = 1
    with pytest.raises(AttributeError):
        wiring.units = 3


@pytest.mark.parametrize(
    "wiring", [SMALL(), Wiring.random(3, 12, 4, 0.6, 5), Wiring.fully_connected(0, 4, 2), Wiring.random_fan_in(3, 9, 2, 4)]
)
def test_graphs_and_matrices_give_the_wiring_back(wiring):
    assert Wiring.from_networkx(wiring.to_networkx()) == wiring
    again = Wiring.from_adjacency(wiring.adjacency(), wiring.sensory_adjacency(), wiring.outputs, wiring.roles.tolist(), wiring.layers)
    assert again == wiring


def test_a16_graph_import_does_not_depend_on_insertion_order():
    nodes, edges = (
        ["inter_0", "motor_0", "command_0"],
        [("inter_0", "command_0", 1), ("command_0", "motor_0", -1), ("motor_0", "motor_0", 1)],
    )
    wirings = []
    for order in (1, -1):
        graph = networkx.DiGraph()
        graph.add_nodes_from([*nodes, "sensory_0"][::order])
        for source, target, polarity in [*edges, ("sensory_0", "inter_0", 1)][::order]:
            graph.add_edge(source, target, polarity=polarity)
        wirings.append(Wiring.from_networkx(graph))
    assert wirings[0] == wirings[1]
    wiring = wirings[0]
    assert wiring.labels == ("motor_0", "command_0", "inter_0")
    found = {(wiring.labels[s], wiring.labels[t], p) for s, t, p in zip(wiring.source, wiring.target, wiring.polarity)}
    assert found == set(edges)
    y = [integrate(ltc(wiring, seed=3), np.ones((5, 1)))[0].tobytes() for wiring in wirings]
    assert y[0] == y[1]


def test_a16_parallel_edges_are_refused():
    graph = networkx.MultiDiGraph()
    graph.add_nodes_from(["motor_0", "command_0"])
    graph.add_edge("command_0", "motor_0", polarity=1)
    graph.add_edge("command_0", "motor_0", polarity=-1)
    with pytest.raises(ValueError, match="command_0 -> motor_0 has 2 synapses, at most 1"):
        Wiring.from_networkx(graph)


def test_graphs_that_do_not_tell_are_asked():
    graph = networkx.DiGraph([("a", "b")])
    with pytest.raises(ValueError, match="outputs must be given"):
        Wiring.from_networkx(graph)
    with pytest.raises(ValueError, match="must have an attribute polarity"):
        Wiring.from_networkx(graph, outputs=1)
    with pytest.raises(ValueError, match="directed"):
        Wiring.from_networkx(networkx.Graph([("a", "b")]))
    graph.edges["a", "b"]["polarity"] = "inhibitory"
    wiring = Wiring.from_networkx(graph, outputs=1)
    assert wiring.labels == ("motor_0", "unknown_0")
    assert (wiring.source.tolist(), wiring.target.tolist(), wiring.polarity.tolist()) == ([0], [1], [-1])


def test_names_are_ordered_by_their_numbers():
    graph = networkx.DiGraph()
    graph.add_nodes_from([f"motor_{index}" for index in (10, 2, 1)])
    graph.add_edge("motor_10", "motor_2", polarity=1)
    wiring = Wiring.from_networkx(graph)
    assert (wiring.source.tolist(), wiring.target.tolist()) == ([2], [1])


@pytest.mark.parametrize(("neurons", "fan_in"), [(50, 4), (50, 40), (50, 49), (2000, 100), (5, 0)])
def test_random_fan_in(neurons, fan_in):
    wiring = Wiring.random_fan_in(8, neurons, 2, fan_in, seed=3)
    assert (np.bincount(wiring.target, minlength=neurons) == fan_in).all()
    assert (np.bincount(wiring.sensory_target, minlength=neurons) == min(8, fan_in)).all()
    assert not (wiring.source == wiring.target).any()
    assert wiring == Wiring.random_fan_in(8, neurons, 2, fan_in, seed=3)
    if fan_in > 20:  # every source equally likely: the counts' spread is below 5 standard deviations of a fair draw
        counts = np.bincount(wiring.source, minlength=neurons)
        assert np.abs(counts - fan_in).max() <= 5 * np.sqrt(fan_in)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Wiring.ncp(3, 4, 2, 1, 5, 1, 1, 1), "sensory_fanout must be 0 to the number of inter neurons, 4, but is 5"),
        (lambda: Wiring.ncp(3, 4, 2, 1, 2, 1, 1, 3), "motor_fanin must be 0 to the number of command neurons, 2, but is 3"),
        (lambda: Wiring.auto_ncp(3, 5, 3), "outputs must be at least 1 and less than units - 2 = 3, but is 3"),
        (lambda: Wiring.auto_ncp(3, 19, 1, 0.05), "sparsity must be 0.1 to 1.0"),
        (lambda: Wiring.random(3, 4, 1, 1.0), "sparsity must be at least 0 and less than 1"),
        (lambda: Wiring.fully_connected(3, 4, 5), "outputs must be 1 to the number of units, 4, but is 5"),
        (lambda: Wiring.random_fan_in(3, 4, 1, 4), "fan_in must be 0 to neurons - 1 = 3, but is 4"),
        (lambda: Wiring.from_adjacency([[0, 2], [0, 0]], [[0, 0]], 1), "polarity must be -1 or \\+1, but is 2"),
        (lambda: Wiring.from_adjacency([[0, 1]], [[0, 0]], 1), "adjacency must be a square matrix"),
        (lambda: Wiring.from_adjacency(np.eye(2), [[0, 0, 0]], 1), "with 2 columns"),
        (lambda: Wiring.from_adjacency(np.eye(2), [[0, 0]], 1, ["boss", "motor"]), "a role must be one of"),
        (lambda: Wiring.from_adjacency(np.eye(2), [[0, 0]], 1, layers=[[0]]), "each of the 2 units exactly once"),
        (lambda: Wiring(0, 2, 1, [0, 0], [1, 1], [1, -1], [], [], [], [0, 0]), "0 -> 1 occurs several times"),
        (lambda: Wiring(0, 2, 1, [0], [2], [1], [], [], [], [0, 0]), "target must be an integer 0 to 1"),
    ],
)
def test_mistakes_are_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
