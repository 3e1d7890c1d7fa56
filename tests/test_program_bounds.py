"""Ranges of programs: graphs equal programs, nothing leaves its range, boxes and relations hold; brute force on small domains."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import toy_chips
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware_profiles.fixed_point import QFormat
from liquid_neuro.cells import PROGRAMS, integer, ltc_integer
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers.proofs.intervals import Interval
from mappers.proofs.program_bounds import Evaluation
from mappers.proofs.program_graph import trace
from mappers.proofs.state_box import PROGRAMS as LTC_PROGRAMS
from mappers.proofs.state_box import state_box
from mappers.proofs.sum_relations import FRACTION, relations
from mappers.proofs.witness import Question, exact_quantity

WORD = (-(1 << 31), (1 << 31) - 1)


@pytest.mark.parametrize("name", PROGRAMS)
def test_graphs_compute_what_programs_compute(name):
    program, random = PROGRAMS[name], np.random.default_rng(0)
    graph = trace(program)
    tables = {table: random.integers(-5000, 5000, 1025) for table in program.tables}
    if "reciprocal" in tables:
        tables["reciprocal"] = ltc_integer.reciprocal_table()
    count = 1 + len(program.ports) + len(program.parameters)
    names = ("state", *program.ports, *program.parameters)
    for _ in range(50):
        inputs = [
            int(random.integers(0, 13)) if "shift" in item or item in ("fraction", "guard") else int(random.integers(0, 250))
            for item in names
        ]
        result = program.function(*inputs, *(tables[table].tolist() for table in program.tables))
        assert exact_quantity(graph, tables, Question("result", graph.result, *WORD), inputs) == result
    assert [operation.label for operation in graph.operations[:count]] == list(names)


ENDS = st.tuples(st.integers(-9, 9), st.integers(0, 4)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    state=ENDS,
    conductance=ENDS.map(lambda ends: (ends[0] + 9, ends[1] + 9)),
    driven=ENDS,
    capacitance=st.integers(0, 40),
    leak=st.integers(0, 3),
    driven_leak=st.integers(-9, 9),
    ratio=st.integers(1, 9),
    fraction=st.integers(0, 15),
    guard=st.integers(0, 2),
)
def test_no_value_leaves_the_ranges_of_a_neuron(state, conductance, driven, capacitance, leak, driven_leak, ratio, fraction, guard):
    """Every operation, for every state and sums of tiny domains."""
    program = PROGRAMS["ltc.neuron"]
    parameters = [capacitance, leak, driven_leak, ratio, 2, fraction, guard]
    check_ranges(program, [state, conductance, driven], parameters, {"reciprocal": ltc_integer.reciprocal_table()})


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    value=st.tuples(st.integers(-300, 300), st.integers(0, 30)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    gain=st.integers(-3000, 3000),
    gain_shift=st.integers(0, 12),
    offset=st.integers(-40_000, 40_000),
)
def test_no_value_leaves_the_ranges_of_a_gate(value, gain, gain_shift, offset):
    """As above; the result's range is exact, because table positions are enumerated."""
    program = PROGRAMS["ltc.gate"]
    table = integer.sigmoid_table(10)
    seen, bounds, graph = check_ranges(program, [(0, 0), value], [gain, gain_shift, offset], {"sigmoid": table})
    low, high = bounds.of(graph.result)
    positions = [position for position, operation in enumerate(graph.operations) if operation.name == "position"]
    if gain == 0 or bounds.of(positions[0])[0] == bounds.of(positions[0])[1]:
        assert (int(low[0]), int(high[0])) == (min(seen[graph.result]), max(seen[graph.result]))
    assert 0 <= low[0] <= high[0] <= 1024


def check_ranges(program: Any, domains: list[tuple[int, int]], parameters: list[int], tables: Any) -> tuple[Any, Any, Any]:
    graph = trace(program)
    inputs = [Interval(*(np.array([end]) for end in ends)) for ends in [*domains, *((value, value) for value in parameters)]]
    bounds = Evaluation(graph, inputs, tables, 32).refined()
    seen: dict[int, set[int]] = {number: set() for number in range(len(graph.operations))}
    for point in np.ndindex(*(high - low + 1 for low, high in domains)):
        values = [low + step for (low, _), step in zip(domains, point)] + parameters
        collect(graph, tables, values, seen)
    for number, results in seen.items():
        low, high = bounds.of(number)
        assert low[0] <= min(results), graph.operations[number]
        assert max(results) <= high[0], graph.operations[number]
    return seen, bounds, graph


def collect(graph: Any, tables: Any, inputs: list[int], seen: dict[int, set[int]]) -> None:
    from mappers.proofs.witness import _exact

    values: list[int] = []
    for number, operation in enumerate(graph.operations):
        values.append(_exact(operation, number, values, inputs, tables))
        seen[number].add(values[-1])


def small_neuron(random: np.random.Generator, guard: int) -> QuantizedNetwork:
    """One neuron under a few gates whose messages are the inputs."""
    sources = int(random.integers(1, 4))
    fraction = int(random.integers(10, 15))
    weights = random.integers(1, 256, sources)
    bound = min(3 * 2**fraction, 30_000) / 2**fraction
    ratio, shift = int(random.integers(128, 256)), 7
    driven = 2 * np.round(weights * random.uniform(-bound / 2, bound / 2, sources) * 2**shift / ratio / 2).astype(np.int64)
    leak = int(random.integers(50, 60_000))
    neuron = toy_chips.population(
        "neuron",
        "ltc.neuron",
        1,
        parameters={
            "capacitance": np.array([int(10 ** random.uniform(0, 7))]),
            "leak": np.array([leak]),
            "driven_leak": np.array([int(leak * random.uniform(-bound / 3, bound / 3))]),
            "ratio": np.array([ratio]),
            "ratio_shift": np.array([shift]),
            "fraction": np.array([fraction]),
            "guard": np.array([guard]),
        },
        tables={"reciprocal": ltc_integer.reciprocal_table()},
        state=QFormat(16 + guard, fraction + guard),
    )
    source = toy_chips.population("input", "", sources, state=QFormat(10, 10, signed=False))
    wires = [toy_chips.projection("input", "neuron", "conductance", weights[:, None], "excitatory")]
    if driven.any():
        wires.append(toy_chips.projection("input", "neuron", "driven", driven[:, None], "mixed"))
    return toy_chips.network((source, neuron), tuple(wires), 1, 1, "neuron")


def with_program(quantized, name, random):
    """The neuron under another program of the same parameters, and of some for irregular time."""
    neuron, program = quantized.population("neuron"), PROGRAMS[name]
    known = {**neuron.parameters, "exponent": np.array([int(random.integers(-29, 22))])}
    known |= {"unfolds": np.array([3]), "hold": np.array([10]), "recalled_shift": np.array([int(random.integers(0, 4))])}
    if "exponent" in program.parameters:
        known["capacitance"] = np.array([int(random.integers(1 << 28, 1 << 29))])
    tables = {"reciprocal": ltc_integer.reciprocal_table(), "exponential": ltc_integer.exponential_table()}
    changed = dataclasses.replace(
        neuron,
        program=name,
        parameters={part: known[part] for part in program.parameters},
        tables={part: tables[part] for part in program.tables},
    )
    wires = quantized.projections
    if "recalled" in program.ports:
        first = np.eye(quantized.population("input").size, 1, dtype=int)
        wires += (toy_chips.projection("input", "neuron", "recalled", first, "excitatory"),)
    return dataclasses.replace(quantized, populations=(quantized.populations[0], changed), projections=wires)


@pytest.mark.parametrize("program", LTC_PROGRAMS)
@pytest.mark.parametrize("seed", range(12))
def test_no_neuron_leaves_its_box(seed, program):
    """From everywhere in the box, under the messages that pull hardest and random ones, the next state lies in the box."""
    random = np.random.default_rng(seed)
    quantized = with_program(small_neuron(random, seed % 3), program, random)
    neuron = quantized.population("neuron")
    sources = quantized.population("input").size
    low, high = (int(end[0]) for end in state_box(quantized, neuron, {"input": (np.zeros(sources, dtype=int), np.full(sources, 1023))}))
    assert neuron.state.lowest < low <= 0 <= high < neuron.state.highest
    corners = np.array([[1023 * (number >> source & 1) for source in range(sources)] for number in range(1 << sources)])
    messages = np.concatenate([corners, random.integers(0, 1024, (200, sources))])
    sums = []
    for port in ("conductance", "driven"):
        weight = np.zeros(sources, dtype=np.int64)
        for item in quantized.projections:
            if item.port == port:
                weight[item.source] = item.weight
        sums.append(messages @ weight)
    states = np.unique(np.concatenate([[low, high], np.linspace(low, high, 60).astype(int), random.integers(low, high + 1, 60)]))
    grid = [np.repeat(states, len(messages)), *(np.tile(values, len(states)) for values in sums)]
    parameters = [int(values[0]) for values in neuron.parameters.values()]
    timed, recalling = ("elapsed" in PROGRAMS[program].ports, "recalled" in PROGRAMS[program].ports)
    spans = [(elapsed,) for elapsed in (0, 1, 3, 1000, 40_001, (1 << 23) - 1)] if timed else [()]
    phases = [(recalled, phase) for phase in (2, 6, 10) for recalled in (0, 1023)] if recalling else [()]
    for more in (span + phase for span in spans for phase in phases):  # in a sub-step, recalling and holding
        new = np.asarray(PROGRAMS[program].function(*grid, *more, *parameters, *neuron.tables.values()))
        assert low <= new.min()
        assert new.max() <= high


@pytest.mark.parametrize("seed", range(10))
def test_sums_of_the_same_messages_belong_together(seed):
    random = np.random.default_rng(seed)
    source = toy_chips.population("input", "", 6, state=QFormat(4, 0, signed=False))
    target = toy_chips.population("neuron", "toy.leak", 3)
    up, down = random.integers(0, 9, (6, 3)), random.integers(-9, 9, (6, 3))
    wires = (
        toy_chips.projection("input", "neuron", "up", up, "excitatory"),
        toy_chips.projection("input", "neuron", "down", down, "mixed"),
    )
    quantized = toy_chips.network((source, target), wires, 1, 1, "neuron")
    messages = random.integers(0, 16, (500, 6))
    first, second = messages @ up, messages @ down
    (relation,) = relations(quantized, target, ("up", "down"), {"input": (np.zeros(6, dtype=int), np.full(6, 15))})
    for slope, above, below in zip(relation.slope, relation.above, relation.below):
        assert ((second << FRACTION) <= slope * first + above).all()
        assert ((second << FRACTION) >= -(slope * first + below)).all()
    wide = Interval(np.full((500, 3), -(1 << 20)), np.full((500, 3), 1 << 20))
    narrowed = relation.narrowed(Interval(first, first), wide)
    assert (narrowed.low <= second).all()
    assert (second <= narrowed.high).all()
