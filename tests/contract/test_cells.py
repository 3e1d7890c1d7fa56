"""What every integer program of a cell and every kind of network must keep. Programs are found by name; a new one needs no change here."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

import hardware_profiles
import liquid_neuro
from event_sim.kernels.jit import recompiled
from liquid_neuro import Wiring
from liquid_neuro.cells import PROGRAMS, Program
from liquid_neuro.cells.cfc import MODES
from liquid_neuro.cells.functions import ACTIVATIONS
from liquid_neuro.quantized_network import Population, QuantizedNetwork
from mappers import quantize
from mappers.quantization_library import quantize_library

DRAWS = 120
PROFILES = ("loihi2", "loihi1", "akida1000", "cortex_m4")
CODES = (0, 15)  # of four bits
AKIDA_PORTS = {"sum": (-(1 << 23), (1 << 23) - 1), "value": (-(1 << 15), (1 << 15) - 1), "timespan": (0, (1 << 20) - 1)}
WIRING = Wiring.auto_ncp(3, 8, 2, seed=1)
LTC_KINDS = {
    "plain": {},
    "without softplus": {"softplus": False},
    "linear maps": {"input_mapping": "linear", "output_mapping": "linear"},
    "no maps": {"input_mapping": "none", "output_mapping": "none"},
    "three sub-steps": {"solver": liquid_neuro.Fused(3)},
    "exact": {"solver": "exact"},
    "mixed memory": {"mixed_memory": True},
    "mixed memory, exact": {"mixed_memory": True, "solver": "exact"},
}
CFC_SHAPES: dict[str, dict[str, Any]] = {
    "wired": {"wiring_or_units": WIRING},
    "units": {"wiring_or_units": 4, "inputs": 3, "backbone_layers": 0},
    "backbone": {"wiring_or_units": 4, "inputs": 3, "backbone_layers": 2, "backbone_units": 6},
    "projection": {"wiring_or_units": 4, "inputs": 3, "backbone_layers": 0, "projection": 2},
    "keras": {"wiring_or_units": WIRING, "dialect": "keras"},
    "mixed memory": {"wiring_or_units": WIRING, "mixed_memory": True},
}
KINDS = {f"ltc, {name}": ("ltc", options) for name, options in LTC_KINDS.items()}
KINDS |= {f"cfc, {shape}, {mode}": ("cfc", {**CFC_SHAPES[shape], "mode": mode}) for shape, mode in product(CFC_SHAPES, MODES)}
KINDS |= {f"cfc, {name}": ("cfc", {**CFC_SHAPES["backbone"], "activation": name}) for name in ACTIVATIONS}


def signed(bits: int) -> tuple[int, int]:
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


@cache
def network(kind: str) -> Any:
    cell, options = KINDS[kind]
    return liquid_neuro.ltc(WIRING, seed=2, **options) if cell == "ltc" else liquid_neuro.cfc(seed=2, **options)


@cache
def outcome(kind: str, profile: str) -> QuantizedNetwork | str:
    """The quantised network, or the sentence that refuses it."""
    x = np.cumsum(np.random.default_rng(0).normal(0, 0.3, (4, 12, 3)), axis=1)
    try:
        return quantize(network(kind), hardware_profiles.load(profile), calibration=x)
    except ValueError as error:
        return str(error)


@cache
def users() -> dict[str, tuple[QuantizedNetwork, Population]]:
    """A population that runs each program, by the program's name."""
    found: dict[str, tuple[QuantizedNetwork, Population]] = {}
    for kind, profile in product(KINDS, ("loihi2", "akida1000")):
        quantized = outcome(kind, profile)
        if isinstance(quantized, QuantizedNetwork):
            for population in quantized.populations:
                found.setdefault(population.program, (quantized, population))
    loihi, joined = hardware_profiles.load("loihi2"), replace(WIRING, gap_source=np.array([0, 2]), gap_target=np.array([3, 5]))
    ltcs = [f"ltc, {name}" for name in ("plain", "exact", "mixed memory", "mixed memory, exact")]
    timed = (*ltcs, *(f"cfc, {shape}, {mode}" for shape in ("wired", "mixed memory") for mode in MODES))
    others = [quantize(network(kind), loihi, timespans=(0.5, 2.0)) for kind in timed]
    others.append(quantize(liquid_neuro.ltc(joined, seed=2), loihi))
    others += [quantize_library(network(kind), loihi, knots=4) for kind in ("cfc, wired, default", "cfc, backbone, default")]
    for quantized in others:
        for population in quantized.populations:
            found.setdefault(population.program, (quantized, population))
    return found


def port_words(random: np.random.Generator, quantized: QuantizedNetwork, port: str) -> np.ndarray:
    """Words of every magnitude that a port may hold: a running sum, or what the host of a frame chip brings."""
    lowest, highest = AKIDA_PORTS.get(port, CODES) if quantized.kind == "akida" else signed(quantized.accumulator_bits)
    words = np.round(2.0 ** random.uniform(0, np.log2(highest + 1.0), DRAWS)).astype(np.int64) * random.choice([-1, 0, 1], DRAWS)
    words[:2] = lowest, highest
    return np.clip(words, lowest, highest)


def arguments(name: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(state, ports and parameters as int64 arrays of DRAWS words, tables) of a population that runs the program."""
    program, (quantized, population) = PROGRAMS[name], users()[name]
    random = np.random.default_rng(len(name))
    compartment = random.integers(0, population.size, DRAWS)
    state = random.integers(population.state.lowest, population.state.highest + 1, DRAWS)
    ports = [port_words(random, quantized, port) for port in program.ports]
    parameters = [population.parameters[item][compartment] for item in program.parameters]
    return [state, *ports, *parameters], [population.tables[item] for item in program.tables]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_signature_is_state_ports_parameters_tables(name: str) -> None:
    program = PROGRAMS[name]
    assert isinstance(program, Program)
    assert program.name == name
    names = ("state", *program.ports, *program.parameters, *program.tables)
    assert tuple(inspect.signature(program.function).parameters) == names
    assert len(set(names)) == len(names)
    assert program.function.__doc__


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_population_brings_what_its_program_reads(name: str) -> None:
    program, (quantized, population) = PROGRAMS[name], users()[name]
    assert tuple(population.parameters) == program.parameters
    assert tuple(population.tables) == program.tables
    assert {value.shape for value in population.parameters.values()} <= {(population.size,)}
    assert {item.port for item in quantized.projections if item.target_population == population.name} <= set(program.ports)


@pytest.mark.parametrize("name", PROGRAMS)
def test_python_numpy_and_the_compiled_form_give_the_same_words(name: str) -> None:
    program, (words, tables) = PROGRAMS[name], arguments(name)
    arrays = program.function(*words, *tables)
    rows, lists = list(zip(*words)), [table.tolist() for table in tables]
    assert np.asarray(arrays).dtype == np.int64
    assert arrays.tolist() == [program.function(*map(int, row), *lists) for row in rows]
    compiled = recompiled(program.function)
    assert arrays.tolist() == [compiled(*row, *tables) for row in rows]


@pytest.mark.parametrize("name", [name for name, program in PROGRAMS.items() if program.stateless])
def test_what_is_called_stateless_does_not_look_at_its_state(name: str) -> None:
    (state, *others), tables = arguments(name)
    function = PROGRAMS[name].function
    assert function(state, *others, *tables).tolist() == function(state[::-1], *others, *tables).tolist()


def test_every_maker_of_networks_is_tested() -> None:
    from liquid_neuro import construct

    makers = {name for name, item in vars(construct).items() if inspect.isfunction(item) and item.__module__ == construct.__name__}
    assert {name for name in makers if not name.startswith("_")} == {cell for cell, _ in KINDS.values()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_is_quantised_or_refused_in_a_sentence(kind: str) -> None:
    results = [outcome(kind, profile) for profile in PROFILES]
    for result in results:
        if isinstance(result, str):
            assert " must " in result or " cannot " in result, result
            assert "\n" not in result, result
            assert len(result) < 400, result
        else:
            assert {population.program for population in result.populations} - {""} <= set(PROGRAMS)
            assert len(result.output_compartments) in (network(kind).outputs, np.shape(result.output_gain)[-1])


def test_plain_networks_are_quantised_for_the_chips_of_their_cell() -> None:
    for kind in ("ltc, plain", "cfc, wired, default", "cfc, backbone, default"):
        for profile in ("loihi2", "cortex_m4"):
            assert isinstance(outcome(kind, profile), QuantizedNetwork), outcome(kind, profile)
    assert isinstance(outcome("cfc, wired, default", "akida1000"), QuantizedNetwork)
