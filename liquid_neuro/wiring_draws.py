"""Random wirings. The first three repeat the draws of ncps 1.0.1 one for one, so that a published seed gives the published circuit.

ncps (Lechner & Hasani) draws neural circuit policies from NumPy's legacy RandomState and the other wirings from its default generator. Both
streams are equal on every platform and NumPy version that the tests run. Every function returns the recurrent and the sensory synapses,
each as (source, target, polarity) in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Synapses = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
_SIGNS = np.array([-1, 1])
_MOSTLY_EXCITATORY = np.array([-1, 1, 1])


class _NcpDraw:
    """One circuit under construction: ncps' random stream and the synapses so far (a second draw of a pair replaces the first)."""

    def __init__(self, seed: int) -> None:
        self.stream = np.random.RandomState(seed)
        self.synapses: dict[tuple[int, int], int] = {}

    def connect(self, source: int, target: int) -> None:
        """One synapse of random sign."""
        self.synapses[source, target] = int(self.stream.choice(_SIGNS))

    def some(self, candidates: range, count: int) -> list[int]:
        """`count` different candidates."""
        return [int(unit) for unit in self.stream.choice(np.arange(candidates.start, candidates.stop), size=count, replace=False)]

    def fan_out(self, sources: range, targets: range, fanout: int, most: int, forgotten_from: str) -> None:
        """Each source to `fanout` targets; targets that nobody chose then hear about as many sources as the others, at most `most`."""
        forgotten = set(targets)
        for source in sources:
            for target in self.some(targets, fanout):
                forgotten.discard(target)
                self.connect(source, target)
        mean_fan_in = min(max(len(sources) * fanout // len(targets), 1), most)
        if forgotten and mean_fan_in > len(sources):
            raise ValueError(
                f"{forgotten_from} must number at least {mean_fan_in} to reach every neuron of the next layer, but are {len(sources)}"
            )
        for target in sorted(forgotten):
            for source in self.some(sources, mean_fan_in):
                self.connect(source, target)

    def fan_in(self, sources: range, targets: range, fanin: int) -> None:
        """Each target from `fanin` sources; sources that nobody chose then go to about as many targets as the others."""
        forgotten = set(sources)
        for target in targets:
            for source in self.some(sources, fanin):
                forgotten.discard(source)
                self.connect(source, target)
        mean_fan_out = min(max(len(targets) * fanin // len(sources), 1), len(targets))
        for source in sorted(forgotten):
            for target in self.some(targets, mean_fan_out):
                self.connect(source, target)

    def taken(self) -> Synapses:
        """The synapses drawn since the last call."""
        pairs = np.array(list(self.synapses), dtype=np.int64).reshape(-1, 2)
        polarity = np.array(list(self.synapses.values()), dtype=np.int64)
        self.synapses = {}
        return pairs[:, 0], pairs[:, 1], polarity


def ncp(
    inputs: int,
    inter: int,
    command: int,
    motor: int,
    sensory_fanout: int,
    inter_fanout: int,
    recurrent_command_synapses: int,
    motor_fanin: int,
    seed: int,
) -> tuple[Synapses, Synapses]:
    """ncps' neural circuit policy. Units: motor, then command, then inter."""
    sizes = {"inputs": inputs, "inter": inter, "command": command, "motor": motor}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, but is {size}")
    fans = (("sensory_fanout", sensory_fanout, "inter", inter), ("inter_fanout", inter_fanout, "command", command))
    for name, fan, layer, size in (*fans, ("motor_fanin", motor_fanin, "command", command)):
        if not 0 <= fan <= size:
            raise ValueError(f"{name} must be 0 to the number of {layer} neurons, {size}, but is {fan}")
    motors = range(motor)
    commands = range(motor, motor + command)
    inters = range(motor + command, motor + command + inter)
    draw = _NcpDraw(seed)
    draw.fan_out(range(inputs), inters, sensory_fanout, inputs, "inputs")
    sensory = draw.taken()
    draw.fan_out(inters, commands, inter_fanout, command, "inter neurons")
    for _ in range(recurrent_command_synapses):
        source, target = (int(draw.stream.choice(np.arange(commands.start, commands.stop))) for _ in range(2))
        draw.connect(source, target)
    draw.fan_in(commands, motors, motor_fanin)
    return draw.taken(), sensory


def fully_connected(inputs: int, units: int, seed: int, self_connections: bool) -> tuple[Synapses, Synapses]:
    """ncps' full wiring: signs drawn row by row, recurrent ones first."""
    generator = np.random.default_rng(seed)
    source, target = _pairs(units, units)
    if not self_connections:
        other = source != target
        source, target = source[other], target[other]
    recurrent = (source, target, generator.choice(_MOSTLY_EXCITATORY, size=len(source)))
    source, target = _pairs(inputs, units)
    return recurrent, (source, target, generator.choice(_MOSTLY_EXCITATORY, size=len(source)))


def random(inputs: int, units: int, sparsity: float, seed: int) -> tuple[Synapses, Synapses]:
    """ncps' random wiring: places without replacement, then signs. A sensory sign is drawn twice there; the second one counts."""
    generator = np.random.default_rng(seed)

    def places(sources: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        count = int(np.round(sources * units * (1 - sparsity)))
        chosen = generator.choice(sources * units, size=count, replace=False) if sources else np.zeros(0, dtype=np.int64)
        return chosen // units, chosen % units

    source, target = places(units)
    recurrent = (source, target, generator.choice(_MOSTLY_EXCITATORY, size=len(source)))
    source, target = places(inputs)
    return recurrent, (source, target, generator.choice(_MOSTLY_EXCITATORY, size=2 * len(source))[1::2])


def random_fan_in(inputs: int, neurons: int, fan_in: int, sensory_fan_in: int, seed: int) -> tuple[Synapses, Synapses]:
    """Every neuron hears `fan_in` different other neurons and `sensory_fan_in` different inputs."""
    generator = np.random.default_rng(seed)
    heard = _distinct(generator, neurons, neurons - 1, fan_in)
    heard += heard >= np.arange(neurons)[:, None]  # numbers from the neuron itself on move up by one: no neuron hears itself
    recurrent = _heard(generator, heard)
    return recurrent, _heard(generator, _distinct(generator, neurons, inputs, sensory_fan_in))


def _heard(generator: np.random.Generator, sources: npt.NDArray[np.int64]) -> Synapses:
    """The synapses of neurons that hear the sources in their rows (neurons, fan_in), with drawn signs."""
    neurons, fan_in = sources.shape
    source, target = sources.reshape(-1).astype(np.int32), np.repeat(np.arange(neurons, dtype=np.int32), fan_in)
    return source, target, _MOSTLY_EXCITATORY.astype(np.int8)[generator.integers(0, len(_MOSTLY_EXCITATORY), size=len(source))]


def _distinct(generator: np.random.Generator, rows: int, size: int, count: int) -> npt.NDArray[np.int64]:
    """(rows, count): in each row `count` different integers below `size`, every choice equally likely."""
    if count == 0:
        return np.zeros((rows, 0), dtype=np.int64)
    if 2 * count > size:  # dense: the matrix is no larger than the result
        return np.argsort(generator.random((rows, size)), axis=1)[:, :count].astype(np.int64)
    drawn = generator.integers(0, size, size=(rows, count))
    drawn.sort(axis=1)
    left, bad = np.arange(rows), drawn
    while True:  # redraw what a row already holds; as good as drawing each row until it has `count` different values
        repeated = np.zeros(bad.shape, dtype=bool)
        np.equal(bad[:, 1:], bad[:, :-1], out=repeated[:, 1:])
        again = repeated.any(axis=1)
        if not again.any():
            return drawn
        left, bad, repeated = left[again], bad[again], repeated[again]
        bad[repeated] = generator.integers(0, size, size=int(repeated.sum()))
        bad.sort(axis=1)
        drawn[left] = bad


def _pairs(sources: int, targets: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    return np.repeat(np.arange(sources), targets), np.tile(np.arange(targets), sources)
