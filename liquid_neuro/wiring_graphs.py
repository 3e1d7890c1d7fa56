"""Wirings to and from networkx graphs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

import networkx
import numpy as np

from liquid_neuro.checks import check_whole
from liquid_neuro.wiring import COMMAND, INTER, MOTOR, ROLES, UNKNOWN, Wiring
from liquid_neuro.wiring_draws import Synapses

_INPUT_WORDS = ("sensory", "input")
_SIGN_NAMES = ("polarity", "sign", "weight")
_SIGNS = {"excitatory": 1, "inhibitory": -1}


def to_networkx(wiring: Wiring) -> networkx.DiGraph:
    """Nodes: `wiring.labels` (attributes role, unit) and sensory_0 … (role "sensory"). Edges: attribute polarity, -1 or +1.

    A gap junction is an edge each way with the attribute gap=True, and without polarity where no synapse goes that way.
    """
    graph = networkx.DiGraph()
    labels = wiring.labels
    inputs = [f"sensory_{index}" for index in range(wiring.inputs)]
    for unit, (label, code) in enumerate(zip(labels, wiring.roles.tolist())):
        graph.add_node(label, role=ROLES[code], unit=unit)
    graph.add_nodes_from(inputs, role="sensory")
    for source, target, polarity in zip(wiring.sensory_source.tolist(), wiring.sensory_target.tolist(), wiring.sensory_polarity.tolist()):
        graph.add_edge(inputs[source], labels[target], polarity=polarity)
    for source, target, polarity in zip(wiring.source.tolist(), wiring.target.tolist(), wiring.polarity.tolist()):
        graph.add_edge(labels[source], labels[target], polarity=polarity)
    for source, target in zip(wiring.gap_source.tolist(), wiring.gap_target.tolist()):
        graph.add_edge(labels[source], labels[target], gap=True)
        graph.add_edge(labels[target], labels[source], gap=True)
    return graph


def from_networkx(graph: networkx.DiGraph, outputs: int | None = None) -> Wiring:
    """A wiring from a directed graph; the order of insertion does not matter.

    A node's role is its attribute `role` (or ncps' `neuron_type`), else the word before the number in its name: "command_3"; "sensory" and
    "input" nodes are the inputs. Units are numbered motor, command, inter, unknown, and by name within a role (2 before 10).
    An edge's sign is its attribute polarity (or sign, or weight): +1, -1, "excitatory" or "inhibitory". An edge with a true attribute gap
    joins its ends by a gap junction too (an edge one way is enough); it is a gap junction alone where it has no polarity or sign.
    outputs: how many units are outputs (the first in that order; they become motor neurons), the number of motor nodes unless told
    otherwise. ValueError where an edge has no sign, where two edges join the same pair, or where nothing tells the outputs.
    """
    if not isinstance(graph, networkx.Graph):
        raise ValueError(f"graph must be a networkx.DiGraph, but is {graph!r:.80}")
    if outputs is not None:
        check_whole("outputs", outputs, 1)
    if not graph.is_directed():
        raise ValueError("graph must be directed, but is undirected; use networkx.DiGraph")
    _refuse_parallel_edges(graph)
    roles = {node: _role(node, attributes) for node, attributes in graph.nodes(data=True)}
    inputs = sorted((node for node, role in roles.items() if role < 0), key=_natural)
    units = sorted((node for node, role in roles.items() if role >= 0), key=lambda node: (-roles[node], _natural(node)))
    if outputs is None:
        outputs = sum(role == MOTOR for role in roles.values())
        if outputs == 0:
            raise ValueError("outputs must be given for a graph without motor nodes")
    number = {node: index for nodes in (inputs, units) for index, node in enumerate(nodes)}
    parts: dict[bool, list[tuple[int, int, int]]] = {False: [], True: []}
    gaps: set[tuple[int, int]] = set()
    for source, target, attributes in graph.edges(data=True):
        if attributes.get("gap"):
            if roles[source] < 0 or roles[target] < 0:
                raise ValueError(f"a gap junction must join two units, but {source} - {target} has an input")
            gaps.add((min(number[source], number[target]), max(number[source], number[target])))
            if not _is_synapse(attributes):
                continue
        if roles[target] < 0:
            raise ValueError(f"an input must not be a target, but {source} -> {target} ends at one")
        parts[roles[source] < 0].append((number[source], number[target], _sign(source, target, attributes)))
    recurrent, sensory = (_columns(parts[which]) for which in (False, True))
    codes = np.array([roles[node] for node in units], dtype=np.int8)
    codes[:outputs][codes[:outputs] == UNKNOWN] = MOTOR  # what the caller calls an output is one
    joined = np.array(sorted(gaps), dtype=np.int64).reshape(-1, 2).T
    return Wiring(len(inputs), len(units), outputs, *recurrent, *sensory, codes, _layers(codes.tolist()), *joined)


def _columns(synapses: list[tuple[int, int, int]]) -> Synapses:
    source, target, polarity = np.array(synapses, dtype=np.int64).reshape(-1, 3).T
    return source, target, polarity


def _layers(codes: list[int]) -> tuple[tuple[int, ...], ...]:
    """inter, command, motor where the roles are told; one layer without command neurons, as ncps' own; () when a role is unknown."""
    if UNKNOWN in codes:
        return ()
    if COMMAND not in codes:
        return (tuple(range(len(codes))),)
    layers = (tuple(unit for unit, code in enumerate(codes) if code == role) for role in (INTER, COMMAND, MOTOR))
    return tuple(layer for layer in layers if layer)


def _role(node: Hashable, attributes: Mapping[str, Any]) -> int:
    """The role's code; -1 for an input."""
    named = attributes.get("role", attributes.get("neuron_type"))
    word = str(named) if named is not None else re.sub(r"[_\s-]*\d*$", "", str(node)).lower()
    if word in _INPUT_WORDS:
        return -1
    if word in ROLES:
        return ROLES.index(word)
    if named is not None:
        raise ValueError(f'the role of node {node} must be sensory, {", ".join(ROLES)}, but is "{named}"')
    return UNKNOWN


def _natural(node: Hashable) -> tuple[Any, ...]:
    """Sort key: text by text, numbers by value."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", str(node)) if part)


def _sign(source: Hashable, target: Hashable, attributes: Mapping[str, Any]) -> int:
    for name in _SIGN_NAMES:
        if name in attributes:
            value = attributes[name]
            sign = _SIGNS.get(value, 0) if isinstance(value, str) else value
            if sign in (-1, 1):
                return int(sign)
            raise ValueError(f"the {name} of {source} -> {target} must be -1 or +1, but is {value!r}")
    raise ValueError(f"{source} -> {target} must have an attribute polarity of -1 or +1, but has none")


def _is_synapse(attributes: Mapping[str, Any]) -> bool:
    """Whether an edge is a synapse (it may be a gap junction too)."""
    return not attributes.get("gap") or "polarity" in attributes or "sign" in attributes


def _refuse_parallel_edges(graph: networkx.DiGraph) -> None:
    synapses = ((source, target) for source, target, attributes in graph.edges(data=True) if _is_synapse(attributes))
    for (source, target), count in Counter(synapses).items():
        if count > 1:
            raise ValueError(f"{source} -> {target} has {count} synapses, at most 1 is possible; merge them or add a neuron between")
