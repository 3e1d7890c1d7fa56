"""Wirings: which units and inputs are joined by synapses, with which polarity. Immutable synapse lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from liquid_neuro import wiring_draws
from liquid_neuro.checks import check_seed, check_whole, is_number, is_whole
from liquid_neuro.wiring_rules import (
    COMMAND,
    INTER,
    MOTOR,
    ROLES,
    UNKNOWN,
    Int8Array,
    Int32Array,
    canonical,
    canonical_gaps,
    check_layers,
    check_sizes,
    checked_layers,
    checked_roles,
    gap_pairs,
    motor_then_inter,
    nonzero,
    read_only_copy,
    role_code,
)

if TYPE_CHECKING:
    import networkx

__all__ = ["COMMAND", "INTER", "MOTOR", "ROLES", "UNKNOWN", "Wiring", "state_labels"]


@dataclass(frozen=True, eq=False)
class Wiring:
    """A wiring as a synapse list. Two wirings with the same content are equal and hash alike.

    inputs, units, outputs: sizes. The output (motor) units are units 0 .. outputs - 1.
    source, target, polarity: recurrent synapses, sorted by (source, target), at most one per pair; polarity is -1 or +1.
    sensory_source, sensory_target, sensory_polarity: the same from inputs to units.
    roles: one code into ROLES per unit; "unknown" where nobody told.
    layers: unit numbers of every layer in the order a wired CfC runs them (inter, command, motor); () when unknown.
    gap_source, gap_target: gap junctions (undirected, linear couplings of an LTC), each pair once with source < target, sorted.
    """

    inputs: int
    units: int
    outputs: int
    source: Int32Array
    target: Int32Array
    polarity: Int8Array
    sensory_source: Int32Array
    sensory_target: Int32Array
    sensory_polarity: Int8Array
    roles: Int8Array
    layers: tuple[tuple[int, ...], ...] = ()
    gap_source: Int32Array = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    gap_target: Int32Array = field(default_factory=lambda: np.zeros(0, dtype=np.int32))

    def __post_init__(self) -> None:
        check_sizes(self.inputs, self.units, self.outputs)
        for name in ("inputs", "units", "outputs"):
            object.__setattr__(self, name, int(getattr(self, name)))
        recurrent = canonical("synapse", (self.source, self.target, self.polarity), self.units, self.units)
        sensory = canonical("sensory synapse", (self.sensory_source, self.sensory_target, self.sensory_polarity), self.inputs, self.units)
        names = ("source", "target", "polarity", "sensory_source", "sensory_target", "sensory_polarity")
        for name, array in zip(names, (*recurrent, *sensory)):
            object.__setattr__(self, name, array)
        object.__setattr__(self, "roles", read_only_copy(checked_roles(self.roles, self.units), np.int8))
        object.__setattr__(self, "layers", checked_layers(self.layers))
        check_layers(self.layers, self.units)
        for name, array in zip(("gap_source", "gap_target"), canonical_gaps(self.gap_source, self.gap_target, self.units)):
            object.__setattr__(self, name, array)

    @classmethod
    def ncp(
        cls,
        inputs: int,
        inter: int,
        command: int,
        motor: int,
        sensory_fanout: int,
        inter_fanout: int,
        recurrent_command_synapses: int,
        motor_fanin: int,
        seed: int = 22222,
    ) -> Wiring:
        """The neural circuit policy that ncps draws from this seed for this number of inputs, synapse for synapse.

        inputs -> inter -> command (recurrent) -> motor. Units are numbered motor, command, inter. Recurrent command synapses are drawn with
        replacement, so there may be fewer of them than asked. Lechner et al., Nature Machine Intelligence 2, 642 (2020).
        """
        for name, size in (("inter", inter), ("command", command), ("motor", motor)):
            check_whole(name, size, 1)
        check_sizes(inputs, inter + command + motor, motor)
        fans = (sensory_fanout, inter_fanout, recurrent_command_synapses, motor_fanin)
        for name, size in zip(("sensory_fanout", "inter_fanout", "recurrent_command_synapses", "motor_fanin"), fans):
            check_whole(name, size, 0)
        recurrent, sensory = wiring_draws.ncp(inputs, inter, command, motor, *fans, seed=check_seed(seed))
        roles = np.repeat(np.array([MOTOR, COMMAND, INTER], dtype=np.int8), [motor, command, inter])
        units = motor + command + inter
        layers = (range(motor + command, units), range(motor, motor + command), range(motor))
        return cls(inputs, units, motor, *recurrent, *sensory, roles, tuple(tuple(layer) for layer in layers))

    @classmethod
    def auto_ncp(cls, inputs: int, units: int, outputs: int, sparsity: float = 0.5, seed: int = 22222) -> Wiring:
        """ncps' AutoNCP: an NCP whose layer sizes and fan-outs follow from the number of units, outputs and the sparsity (0.1 to 1.0)."""
        check_sizes(inputs, units, 1)
        if not (is_whole(outputs) and 1 <= outputs < units - 2):
            raise ValueError(f"outputs must be at least 1 and less than units - 2 = {units - 2}, but is {outputs!r:.80}")
        if not (is_number(sparsity) and 0.1 <= sparsity <= 1.0):
            raise ValueError(f"sparsity must be 0.1 to 1.0, but is {sparsity!r:.80}")
        density = 1.0 - sparsity
        command = max(int(0.4 * (units - outputs)), 1)
        inter = units - outputs - command
        sensory_fanout, inter_fanout = max(int(inter * density), 1), max(int(command * density), 1)
        return cls.ncp(
            inputs, inter, command, outputs, sensory_fanout, inter_fanout, max(int(command * density * 2), 1), inter_fanout, seed=seed
        )

    @classmethod
    def fully_connected(
        cls, inputs: int, units: int, outputs: int | None = None, seed: int = 1111, self_connections: bool = True
    ) -> Wiring:
        """ncps' FullyConnected: every unit to every unit, every input to every unit, a third of the synapses inhibitory."""
        outputs = units if outputs is None else outputs
        check_sizes(inputs, units, outputs)
        recurrent, sensory = wiring_draws.fully_connected(inputs, units, check_seed(seed), self_connections)
        return cls(inputs, units, outputs, *recurrent, *sensory, motor_then_inter(units, outputs), (tuple(range(units)),))

    @classmethod
    def random(cls, inputs: int, units: int, outputs: int | None = None, sparsity: float = 0.0, seed: int = 1111) -> Wiring:
        """ncps' Random: round(units² (1 - sparsity)) synapses and round(inputs units (1 - sparsity)) sensory ones at random places."""
        outputs = units if outputs is None else outputs
        check_sizes(inputs, units, outputs)
        if not (is_number(sparsity) and 0.0 <= sparsity < 1.0):
            raise ValueError(f"sparsity must be at least 0 and less than 1, but is {sparsity!r:.80}")
        recurrent, sensory = wiring_draws.random(inputs, units, sparsity, check_seed(seed))
        return cls(inputs, units, outputs, *recurrent, *sensory, motor_then_inter(units, outputs), (tuple(range(units)),))

    @classmethod
    def random_fan_in(
        cls, inputs: int, neurons: int, outputs: int, fan_in: int, seed: int = 0, sensory_fan_in: int | None = None
    ) -> Wiring:
        """Every neuron hears exactly `fan_in` other neurons and `sensory_fan_in` inputs (default: as many as fan_in, at most all).

        A third of the synapses is inhibitory. Time and memory grow with the number of synapses alone: for wirings of millions of synapses.
        """
        check_sizes(inputs, neurons, outputs)
        sensory_fan_in = min(inputs, check_whole("fan_in", fan_in, 0)) if sensory_fan_in is None else sensory_fan_in
        if not (is_whole(fan_in) and 0 <= fan_in < neurons):
            raise ValueError(f"fan_in must be 0 to neurons - 1 = {neurons - 1}, but is {fan_in!r:.80}")
        if not (is_whole(sensory_fan_in) and 0 <= sensory_fan_in <= inputs):
            raise ValueError(f"sensory_fan_in must be 0 to inputs = {inputs}, but is {sensory_fan_in!r:.80}")
        recurrent, sensory = wiring_draws.random_fan_in(inputs, neurons, fan_in, sensory_fan_in, check_seed(seed))
        return cls(inputs, neurons, outputs, *recurrent, *sensory, motor_then_inter(neurons, outputs), (tuple(range(neurons)),))

    @classmethod
    def from_adjacency(
        cls,
        adjacency: npt.ArrayLike,
        sensory_adjacency: npt.ArrayLike,
        outputs: int,
        roles: Sequence[int | str] | None = None,
        layers: Sequence[Sequence[int]] = (),
        gap: npt.ArrayLike | None = None,
    ) -> Wiring:
        """A wiring from ncps' matrices: adjacency[source, target] and sensory_adjacency[input, target] of -1, 0 or +1.

        Units 0 .. outputs - 1 are the outputs. roles: names or codes of ROLES per unit; without them the outputs are "motor" and the
        others "unknown". gap: a symmetric matrix (units, units), not 0 where a gap junction joins two units.
        """
        matrix, sensory = np.asarray(adjacency), np.asarray(sensory_adjacency)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"adjacency must be a square matrix [source, target], but has shape {matrix.shape}")
        for name, values in (("adjacency", matrix), ("sensory_adjacency", sensory)):
            if values.dtype.kind not in "biuf":
                raise ValueError(f"{name} must hold -1, 0 or +1, but holds {values.dtype}")
        units = matrix.shape[0]
        check_whole("outputs", outputs, 1)
        if sensory.ndim != 2 or sensory.shape[1] != units:
            raise ValueError(f"sensory_adjacency must be a matrix [input, target] with {units} columns, but has shape {sensory.shape}")
        if roles is not None and not isinstance(roles, Iterable):
            raise ValueError(f"roles must hold one role per unit, {units}, but is {roles!r:.80}")
        codes = [MOTOR if unit < outputs else UNKNOWN for unit in range(units)] if roles is None else [role_code(role) for role in roles]
        recurrent, from_inputs = nonzero(matrix), nonzero(sensory)
        joined = (np.zeros(0, dtype=np.int32),) * 2 if gap is None else gap_pairs(np.asarray(gap), units)
        return cls(
            sensory.shape[0], units, outputs, *recurrent, *from_inputs, np.array(codes, dtype=np.int8), checked_layers(layers), *joined
        )

    @classmethod
    def from_networkx(cls, graph: networkx.DiGraph, outputs: int | None = None) -> Wiring:
        """A wiring from a directed graph, in whatever order nodes and edges were inserted (liquid_neuro/wiring_graphs.py)."""
        from liquid_neuro.wiring_graphs import from_networkx

        return from_networkx(graph, outputs)

    def to_networkx(self) -> networkx.DiGraph:
        """A directed graph with nodes named as `labels` and sensory_0 …, node attribute `role`, edge attribute `polarity` (-1 or +1).

        A gap junction is an edge each way with the attribute gap=True, and without a polarity where no synapse goes that way.
        """
        from liquid_neuro.wiring_graphs import to_networkx

        return to_networkx(self)

    @property
    def labels(self) -> tuple[str, ...]:
        """One name per unit in unit order: its role and a count within the role."""
        counts = [0] * len(ROLES)
        names = []
        for code in self.roles.tolist():
            names.append(f"{ROLES[code]}_{counts[code]}")
            counts[code] += 1
        return tuple(names)

    @property
    def synapse_count(self) -> int:
        """Number of recurrent synapses."""
        return len(self.source)

    @property
    def sensory_synapse_count(self) -> int:
        """Number of synapses from inputs."""
        return len(self.sensory_source)

    @property
    def gap_count(self) -> int:
        """Number of gap junctions."""
        return len(self.gap_source)

    def adjacency(self) -> Int8Array:
        """Dense matrix [source, target] of -1, 0, +1 (ncps' adjacency_matrix)."""
        matrix = np.zeros((self.units, self.units), dtype=np.int8)
        matrix[self.source, self.target] = self.polarity
        return matrix

    def sensory_adjacency(self) -> Int8Array:
        """Dense matrix [input, target] of -1, 0, +1 (ncps' sensory_adjacency_matrix)."""
        matrix = np.zeros((self.inputs, self.units), dtype=np.int8)
        matrix[self.sensory_source, self.sensory_target] = self.sensory_polarity
        return matrix

    def _content(self) -> tuple[Any, ...]:
        arrays = (self.source, self.target, self.polarity, self.sensory_source, self.sensory_target, self.sensory_polarity, self.roles)
        gaps = (self.gap_source, self.gap_target)
        return (self.inputs, self.units, self.outputs, self.layers, *(array.tobytes() for array in (*arrays, *gaps)))

    def __eq__(self, other: object) -> bool:
        return self._content() == other._content() if isinstance(other, Wiring) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._content())

    def __repr__(self) -> str:
        counts = f"synapses={self.synapse_count}, sensory_synapses={self.sensory_synapse_count}"
        counts += f", gap_junctions={self.gap_count}" if self.gap_count else ""
        return f"Wiring(inputs={self.inputs}, units={self.units}, outputs={self.outputs}, {counts})"


def state_labels(wiring: Wiring | None, units: int, cell: str) -> tuple[str, ...]:
    """One name per unit in the order of the cell's state.

    LTC: unit order. Wired CfC: the layers one after the other (inter, command, motor). Without a wiring every role is unknown.
    """
    if wiring is None:
        return tuple(f"unknown_{unit}" for unit in range(units))
    labels = wiring.labels
    return tuple(labels[unit] for layer in wiring.layers for unit in layer) if cell == "cfc" else labels
