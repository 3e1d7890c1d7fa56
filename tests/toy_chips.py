"""Small chip networks with toy programs, and the obvious executor of the tick semantics (liquid_neuro/quantized_network.py)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from hardware_profiles.fixed_point import QFormat, clip, look_up, round_shift, saturate
from liquid_neuro.cells.integer import Program
from liquid_neuro.network import Fused
from liquid_neuro.quantized_network import Population, Projection, QuantizedNetwork

HALF = 128


def biased(value: Any, offset: Any) -> Any:
    """A helper, so that the export has something to follow."""
    return value + offset


def squash(state: Any, value: Any, offset: Any, curve: Any) -> Any:
    """A table over the sum."""
    return look_up(curve, clip(round_shift(biased(value, offset), 4) + HALF, 0, 2 * HALF - 1))


def leak(state: Any, up: Any, down: Any, rate: Any) -> Any:
    """A leaky integrator of two sums."""
    return state + round_shift(up - down - state * rate, 8)


def follow(state: Any, value: Any) -> Any:
    """The sum itself."""
    return value


PROGRAMS = {
    "toy.squash": Program("toy.squash", squash, ("value",), ("offset",), ("curve",), stateless=True, unit=False),
    "toy.leak": Program("toy.leak", leak, ("up", "down"), ("rate",), (), stateless=False, unit=True),
    "toy.follow": Program("toy.follow", follow, ("value",), (), (), stateless=True, unit=True),
}


def population(name: str, program: str, size: int, **changes: Any) -> Population:
    settings = {
        "parameters": {},
        "tables": {},
        "state": QFormat(16, 10),
        "message_shift": 0,
        "message_bits": 16,
        "threshold": 1,
        "first_tick": 0,
        "period": 1,
        "labels": tuple(f"{name}_{number}" for number in range(size)),
    }
    return Population(name=name, program=program, size=size, **{**settings, **changes})


def projection(source: str, target: str, port: str, weight: Any, mode: str) -> Projection:
    """From a dense matrix (source, target); 0 is no synapse."""
    weight = np.asarray(weight, dtype=np.int64)
    pre, post = np.nonzero(weight)
    return Projection(source, target, port, pre, post, weight[pre, post], mode, 8)


def network(
    populations: tuple[Population, ...], projections: tuple[Projection, ...], ticks: int, read: int, output: str
) -> QuantizedNetwork:
    inputs = populations[0].size
    return QuantizedNetwork(
        network=SimpleNamespace(cell="ltc", inputs=inputs, units=populations[-1].size, outputs=1),
        profile="loihi2",
        kind="loihi",
        target=Fused(2),
        formats=None,
        ticks_per_sample=ticks,
        read_tick=read,
        accumulator_bits=24,
        populations=populations,
        projections=projections,
        input_format=populations[0].state,
        output_population=output,
        output_compartments=np.array([0]),
        output_gain=np.array([2.0]),
        output_offset=np.array([0.5]),
    )


def loop(seed: int = 0, inputs: int = 3, gates: int = 6, units: int = 4) -> QuantizedNetwork:
    """Inputs and neurons drive gates, gates and inputs drive neurons, on two phases; a threshold of 3 on the neurons."""
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, mode: str) -> Any:
        weight = random.integers(1, 64, (rows, columns)) * (random.random((rows, columns)) < 0.6)
        return weight if mode == "excitatory" else 2 * weight * random.choice([-1, 1], weight.shape)

    populations = (
        population("input", "", inputs, state=QFormat(12, 10), message_bits=12),
        population(
            "gate",
            "toy.squash",
            gates,
            parameters={"offset": random.integers(-50, 50, gates)},
            tables={"curve": np.arange(256) * 4},
            first_tick=1,
            message_bits=11,
            state=QFormat(11, 10),
        ),
        population(
            "neuron",
            "toy.leak",
            units,
            parameters={"rate": random.integers(100, 200, units)},
            state=QFormat(16, 12),
            message_shift=2,
            message_bits=15,
            threshold=3,
            first_tick=2,
            period=2,
        ),
    )
    wires = (
        ("input", "gate", "value", "mixed", (inputs, gates)),
        ("neuron", "gate", "value", "mixed", (units, gates)),
        ("gate", "neuron", "up", "excitatory", (gates, units)),
        ("gate", "neuron", "down", "mixed", (gates, units)),
        ("input", "neuron", "down", "excitatory", (inputs, units)),
    )
    projections = tuple(projection(source, target, port, matrix(*shape, mode), mode) for source, target, port, mode, shape in wires)
    return network(populations, projections, 4, 4, "neuron")


def timed(seed: int = 0, inputs: int = 3, units: int = 4) -> QuantizedNetwork:
    """Inputs and the host's timespan drive neurons whose messages run half a turn ahead; a recurrent loop; a threshold of 2."""
    random = np.random.default_rng(seed)
    populations = (
        population("input", "", inputs, state=QFormat(12, 10), message_bits=12),
        population("elapsed", "", 1, state=QFormat(16, 8)),
        population(
            "neuron",
            "toy.leak",
            units,
            parameters={"rate": random.integers(100, 200, units)},
            state=QFormat(16, 12),
            message_shift=2,
            message_bits=15,
            threshold=2,
            first_tick=1,
            period=2,
            prediction=True,
        ),
    )
    wires = (
        projection("input", "neuron", "up", random.integers(0, 64, (inputs, units)), "excitatory"),
        projection("elapsed", "neuron", "down", random.integers(1, 64, (1, units)), "excitatory"),
        projection("neuron", "neuron", "down", 2 * random.integers(-30, 30, (units, units)), "mixed"),
    )
    return network(populations, wires, 4, 3, "neuron")


def chain(length: int = 4) -> QuantizedNetwork:
    """The input drives the last neuron, and each neuron the one before it; one tick per sample."""
    populations = (
        population("input", "", 1, message_bits=10, state=QFormat(10, 10)),
        population("neuron", "toy.follow", length, state=QFormat(10, 10), message_bits=10),
    )
    first = projection("input", "neuron", "value", [[0] * (length - 1) + [1]], "excitatory")
    down = projection("neuron", "neuron", "value", np.eye(length, k=-1), "excitatory")
    return network(populations, (first, down), 1, length, "neuron")


def mapping(quantized: QuantizedNetwork, cores: int = 1) -> Any:
    """Compartments dealt out to so many cores in turn."""
    return SimpleNamespace(quantized=quantized, core_of={p.name: np.arange(p.size) % cores for p in quantized.populations})


def execute(quantized: QuantizedNetwork, rows: Any, ticks: int) -> dict[str, tuple[Any, Any]]:
    """population -> (states, sent deltas), each (ticks, size)."""
    state, sent, delta = ({p.name: np.zeros(p.size, dtype=np.int64) for p in quantized.populations} for _ in range(3))
    sums = {(p.target_population, p.port): np.zeros(len(state[p.target_population]), dtype=np.int64) for p in quantized.projections}
    trace = {p.name: ([], []) for p in quantized.populations}
    for tick in range(ticks):
        arrived = {key: np.zeros_like(value) for key, value in sums.items()}
        for wire in quantized.projections:
            np.add.at(arrived[wire.target_population, wire.port], wire.target, wire.weight * delta[wire.source_population][wire.source])
        sums = {key: saturate(sums[key] + arrived[key], quantized.accumulator_bits) for key in sums}
        for group in quantized.populations:
            name = group.name
            delta[name] = np.zeros(group.size, dtype=np.int64)
            first, period = (group.first_tick, group.period) if group.program else (0, quantized.ticks_per_sample)
            if tick >= first and (tick - first) % period == 0:
                before, state[name] = state[name], advanced(quantized, group, state[name], sums, rows, tick)
                ahead = saturate(state[name] + ((state[name] - before) >> 1), group.state.bits)
                message = round_shift(ahead if group.prediction else state[name], group.message_shift)
                delta[name] = np.where(abs(message - sent[name]) >= group.threshold, message - sent[name], 0)
                sent[name] = sent[name] + delta[name]
            trace[name][0].append(state[name])
            trace[name][1].append(delta[name])
    return {name: (np.array(states), np.array(deltas)) for name, (states, deltas) in trace.items()}


def advanced(quantized: QuantizedNetwork, group: Population, state: Any, sums: Any, rows: Any, tick: int) -> Any:
    if not group.program:  # a row holds the numbers of the host's populations one behind another
        row = rows[min(tick // quantized.ticks_per_sample, len(rows) - 1)]
        return row[: group.size] if group.name == "input" else row[-group.size :]
    program = PROGRAMS[group.program]
    accumulators = [sums.get((group.name, port), np.zeros(group.size, dtype=np.int64)) for port in program.ports]
    parameters = [group.parameters[name] for name in program.parameters]
    return clip(
        program.function(state, *accumulators, *parameters, *(group.tables[name] for name in program.tables)),
        group.state.lowest,
        group.state.highest,
    )
