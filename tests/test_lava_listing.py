"""Instruction listings of neuron programs: run instruction by instruction they do what a turn of a compartment is."""

from __future__ import annotations

from typing import Any

import networks
import numpy as np
import pytest

import hardware_profiles
import mappers
from liquid_neuro import Wiring, cfc, ltc
from liquid_neuro.cells import PROGRAMS
from mappers.exporters.lava_listing import Listing, listing, listings_text
from mappers.quantization_library import quantize_library

WIRING = Wiring.random(3, 5, 2, 0.4, seed=1)
PUBLIC = {
    "RMW",
    "RDC",
    "MOV",
    "SEL",
    "AND",
    "OR",
    "SHL",
    "ADD",
    "NEG",
    "MIN",
    "MUL_SHR",
    "LT",
    "GE",
    "EQ",
    "SKP_C",
    "JMP_C",
    "SPIKE",
    "PROBE",
}
LOIHI = hardware_profiles.load("loihi2")


def run(code: Listing, memory: dict[str, int], arrived: dict[str, int], tables: dict[str, Any]) -> int:
    """One turn: the spike (0 where none is sent), with the neuron's memory changed as it goes."""
    register: dict[str, int] = {}

    def value(item: Any) -> Any:
        return item if isinstance(item, int) else register[item]

    spike = 0
    for operation, result, *operands in code.instructions:
        if operation == "RDC":
            register[result] = arrived[operands[0]]
        elif operation == "RMW":
            register[result] = memory[operands[0]]
        elif operation == "MOV" and not result:
            memory[operands[0]] = value(operands[1])
        elif operation == "TREE":
            register[result] = int(tables[operands[0]][value(operands[1])])
        elif operation == "JMP_C":
            if value(operands[0]):
                break
        elif operation == "SPIKE":
            spike = value(operands[0])
        elif operation != "PROBE":
            register[result] = ARITHMETIC[operation](*map(value, operands))
    return spike


ARITHMETIC = {
    "MOV": lambda a: a,
    "SEL": lambda c, a, b: a if c else b,
    "ADD": lambda a, b: a + b,
    "MIN": min,
    "NEG": lambda a: -a,
    "SHL": lambda a, n: a << n,
    "MUL_SHR": lambda a, b, n: (a * b) >> n,
    "LT": lambda a, b: int(a < b),
    "GE": lambda a, b: int(a >= b),
}


def turn(quantized: Any, population: Any, unit: int, memory: dict[str, int], arrived: dict[str, int]) -> tuple[int, dict[str, int]]:
    """The text of the tick semantics for one compartment: the spike, and its memory afterwards."""
    program, after = PROGRAMS[population.program], dict(memory)
    limit = 1 << (quantized.accumulator_bits - 1)
    for port in arrived:
        after[f"{port}_sum"] = min(max(memory[f"{port}_sum"] + arrived[port], -limit), limit - 1)
    if "ticks_left" in memory:
        after["ticks_left"] = population.period - 1 if memory["ticks_left"] == 0 else memory["ticks_left"] - 1
        if memory["ticks_left"] > 0:
            return 0, after
    parameters = [int(population.parameters[name][unit]) for name in program.parameters]
    tables = [population.tables[name].tolist() for name in program.tables]
    new = program.function(memory["state"], *(after.get(f"{port}_sum", 0) for port in program.ports), *parameters, *tables)
    low, high = population.state.lowest, population.state.highest
    after["state"] = new = min(max(new, low), high)
    told = min(max(new + ((new - memory["state"]) >> 1), low), high) if population.prediction else new
    delta = ((told + (1 << population.message_shift >> 1)) >> population.message_shift) - memory["last_sent"]
    if abs(delta) < population.threshold:
        return 0, after
    after["last_sent"] += delta
    return delta, after


def quantized_networks() -> dict[str, Any]:
    backbone = cfc(4, inputs=3, seed=3)
    return {
        "ltc": mappers.quantize(ltc(WIRING, seed=1), LOIHI),
        "ltc, exact": mappers.quantize(ltc(WIRING, seed=1, solver="exact"), LOIHI),
        "ltc, irregular": mappers.quantize(ltc(WIRING, seed=1), LOIHI, timespans=(0.5, 2.0)),
        "ltc, exact, irregular": mappers.quantize(ltc(WIRING, seed=1, solver="exact"), LOIHI, timespans=(0.5, 2.0)),
        "cfc": mappers.quantize(backbone, LOIHI),
        "cfc, no_gate": mappers.quantize(cfc(4, inputs=3, mode="no_gate", seed=3), LOIHI),
        "cfc, pure": mappers.quantize(cfc(4, inputs=3, mode="pure", seed=3), LOIHI),
        "cfc, library": quantize_library(backbone, LOIHI, knots=4),
    }


NAMES = ("ltc", "ltc, exact", "ltc, irregular", "ltc, exact, irregular", "cfc", "cfc, no_gate", "cfc, pure", "cfc, library")


@pytest.fixture(scope="module")
def everything() -> dict[str, Any]:
    return quantized_networks()


@pytest.mark.parametrize("name", NAMES)
def test_a_listing_does_what_a_turn_is(everything, name):
    quantized, random = everything[name], np.random.default_rng(0)
    for population in quantized.populations:
        if not population.program:
            continue
        code = listing(quantized, population)
        assert {item[0] for item in code.instructions} <= PUBLIC | {"TREE"}
        ports = [item[2] for item in code.instructions if item[0] == "RDC"]
        for _ in range(60):
            unit = int(random.integers(population.size))
            memory = {"state": int(random.integers(population.state.lowest, population.state.highest + 1)), "last_sent": 0}
            memory |= {f"{port}_sum": int(random.integers(-1, 2) * 2.0 ** random.uniform(0, 22)) for port in ports}
            if any(item[:3] == ("RMW", item[1], "ticks_left") for item in code.instructions):
                memory["ticks_left"] = int(random.integers(0, 2))
            arrived = {port: int(random.integers(-1000, 1000)) for port in ports}
            spike, after = turn(quantized, population, unit, memory, arrived)
            words = {**memory, **{key: int(values[unit]) for key, values in population.parameters.items()}}
            assert run(code, words, arrived, population.tables) == spike
            assert {key: words[key] for key in memory} == after


def test_lengths_count_trees_of_tables(everything):
    gate = listing(everything["ltc"], everything["ltc"].population("recurrent_gate"))
    lines = len(gate.instructions)
    assert gate.tables == {"sigmoid": 257}
    assert (gate.length, gate.steps) == (lines - 2 + 2 * (4 * 257 - 2), lines - 2 + 2 * (2 * 9 + 2))
    text = listings_text(everything["ltc"])
    assert f"recurrent_gate: ltc.gate, {gate.length} instructions, at most {gate.steps} in a turn" in text
    assert text.count("SPIKE   r") == 3
    assert "\n        MUL_SHR r" in text


def test_a_rectifier_of_the_library_is_short(everything):
    bank = listing(everything["cfc, library"], everything["cfc, library"].population("bank_0"))
    assert bank.length == bank.steps < 32


def test_golden_networks_have_the_lengths_that_are_written_down():
    network, _ = networks.golden("cfc_wired_ncp19")
    quantized = mappers.quantize(network, LOIHI)
    unit = listing(quantized, quantized.populations[-1])
    assert unit.tables == {"tanh": 513, "sigmoid": 513}
    assert [item[0] for item in unit.instructions].count("TREE") == 6
