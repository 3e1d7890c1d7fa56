"""Proofs of quantised networks: those that hold, those broken by hand with integers that really leave their words, and exact ranges."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from networks import GOLDEN, golden, l4

import hardware_profiles
import liquid_neuro
import mappers
from event_sim import fixed
from event_sim.events import EventStream
from liquid_neuro import Wiring
from liquid_neuro.__main__ import run
from liquid_neuro.cells import PROGRAMS
from liquid_neuro.quantized_network import QuantizedNetwork
from liquid_neuro.quantized_storage import save_quantized
from mappers.proofs.program_graph import trace
from mappers.proofs.reachable import reachable

LOIHI = hardware_profiles.load("loihi2")
AKIDA = hardware_profiles.load("akida1000")
INTEGER = list(GOLDEN)
WORD = (-(1 << 31), (1 << 31) - 1)


def quantized_golden(name: str, profile: Any = LOIHI) -> QuantizedNetwork:
    network, arrays = golden(name)
    return mappers.quantize(network, profile, calibration=arrays["x"][0].astype(float))


@pytest.fixture(scope="module")
def ltc() -> QuantizedNetwork:
    return quantized_golden("ltc_ncp19")


@pytest.fixture(scope="module")
def cfc() -> QuantizedNetwork:
    return quantized_golden("cfc_default")


def changed(quantized: QuantizedNetwork, name: str, *, parameters: Any = None, tables: Any = None, **fields: Any) -> QuantizedNetwork:
    """The network with changes of one population."""
    old = quantized.population(name)
    new = replace(
        old, parameters={**old.parameters, **(parameters or {})}, tables={**old.tables, **(tables or {})}, **fields
    )  # the order of names stays
    return replace(quantized, populations=tuple(new if item is old else item for item in quantized.populations))


class Strict(int):
    """A Python integer whose sums, products and shifts must fit 32 bits."""

    def _kept(self, value: int) -> Strict:
        if not WORD[0] <= value <= WORD[1]:
            raise OverflowError(f"{value} leaves 32 bits")
        return Strict(value)

    def __add__(self, other: Any) -> Strict:
        return self._kept(int(self) + int(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Strict:
        return self._kept(int(self) - int(other))

    def __rsub__(self, other: Any) -> Strict:
        return self._kept(int(other) - int(self))

    def __mul__(self, other: Any) -> Strict:
        return self._kept(int(self) * int(other))

    __rmul__ = __mul__

    def __neg__(self) -> Strict:
        return self._kept(-int(self))

    def __lshift__(self, other: Any) -> Strict:
        return self._kept(int(self) << int(other))

    def __rshift__(self, other: Any) -> Strict:
        return self._kept(int(self) >> int(other))

    def __rlshift__(self, other: Any) -> Strict:  # only 1 << amount, a constant of the rounding: half of it is what is added
        return Strict(int(other) << int(self))


def run_strictly(quantized: QuantizedNetwork, population: str, witness: dict[str, int]) -> int:
    """The program of a population on a witness, in words of 32 bits."""
    group = quantized.population(population)
    program = PROGRAMS[group.program]
    tables = [[Strict(entry) for entry in group.tables[name].tolist()] for name in program.tables]
    return int(program.function(*(Strict(witness[name]) for name in ("state", *program.ports, *program.parameters)), *tables))


# --- networks that hold -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INTEGER)
def test_golden_networks_hold(name):
    quantized = quantized_golden(name)
    begin = time.process_time()
    proof = mappers.verify(quantized)
    assert time.process_time() - begin < 1.0
    assert proof.holds, str(proof)
    assert proof.failures == ()
    assert min(proof.margins.values()) >= 0
    assert proof.every_input == (name.startswith("ltc") and not name.endswith("_mixed"))  # those have no dense maps
    assert proof.obligations["word"] > 500
    assert json.loads(json.dumps(proof.to_json()))["holds"] is True


@pytest.mark.parametrize("seed", range(4))
def test_random_ltcs_hold(seed):
    wiring = Wiring.random(5, 4 + 9 * seed, 2, 0.3 * (seed % 3), seed=seed)
    network = liquid_neuro.ltc(wiring, seed=seed)
    for bits in ({}, {"weights": 4}, {"state": 24}, {"state": 12, "gates": 6}):
        proof = mappers.verify(mappers.quantize(network, LOIHI, input_range=(-3, 3), bits=bits or None))
        assert proof.holds, str(proof)
        assert proof.every_input


@pytest.mark.parametrize(("mode", "layers"), [("default", 0), ("default", 2), ("no_gate", 1), ("pure", 0), ("pure", 1)])
def test_random_cfcs_hold(mode, layers):
    network = liquid_neuro.cfc(9, inputs=4, mode=mode, seed=layers, backbone_layers=layers, backbone_units=13)
    proof = mappers.verify(mappers.quantize(network, LOIHI, input_range=(-3, 3)))
    assert proof.holds, str(proof)


@pytest.mark.parametrize("bits", range(3, 9))
def test_sums_of_weights_that_all_round_up_hold(bits):
    """Coarse grids round by half a step of theirs: many equal weights just above the middle of one fill a sum further than their values."""
    network = liquid_neuro.cfc(2, inputs=700, seed=bits, backbone_layers=0)
    step = 2 << (8 - bits)
    highest = 256 - step
    parameters = {name: np.array(values) for name, values in network.parameters.items()}
    for name in [name for name in parameters if name.endswith("weight")]:
        parameters[name][:] = (0.501 if bits < 8 else 0.7) * step / highest
        parameters[name][:, 0] = 1.0
    heavy = replace(network, parameters=parameters)
    proof = mappers.verify(mappers.quantize(heavy, LOIHI, input_range=(-1.999, 1.999), bits=bits))
    assert proof.holds, str(proof)


@pytest.mark.parametrize("clock", [{}, {"timespans": (1e-3, 4.0)}])
@pytest.mark.parametrize("solver", ["", "exact"])
def test_no_shift_of_the_slowest_neuron_is_as_long_as_the_word(solver, clock):
    """Conductances of one unit beside the largest capacitance, and none: only clips at 31 keep shifts within the word."""
    network = l4().with_solver(solver) if solver else l4()
    quantized = mappers.quantize(network, LOIHI, input_range=(-4, 4), bits={"state": 16}, **clock)
    slow = {"leak": np.zeros(4, dtype=np.int64), "capacitance": np.array([1 << 29, (1 << 30) - (1 << 24), 0, 5])}
    if clock:
        slow = {
            "leak": slow["leak"],
            "capacitance": np.array([1 << 28, (1 << 29) - 1, 0, 1 << 28]),
            "exponent": np.array([10, 10, -63, -20]),
        }
    slowest = changed(quantized, "neuron", parameters=slow, message_bits=16)
    proof = mappers.verify(slowest)
    assert proof.holds, str(proof)
    graph, bounds = trace(PROGRAMS[slowest.population("neuron").program]), reachable(slowest, 32).bounds["neuron"][0]
    shifts = [operation.operands[1] for operation in graph.operations if operation.name == "round_shift"]
    longest = [int(bounds.of(amount)[1].max()) for amount in shifts if graph.operations[amount].name == "minimum"]
    assert longest == [31] * len(longest) != []


def test_any_leaks_and_capacitances_keep_the_neuron_within_its_words():
    """Nearly no conductance beside a large capacitance: no operation leaves its word. States may saturate there, so that their messages
    are given one more bit; without it what is not proved is said to be so."""
    network = l4(cm=np.array([0.0, 1e-6, 3.0, 900.0]), gleak=np.array([0.0, 1.0, 0.0, 1e-9]))
    quantized = mappers.quantize(network, LOIHI, input_range=(-4, 4))
    assert mappers.verify(quantized).holds
    neuron = quantized.population("neuron")
    highest = neuron.state.highest + (1 << neuron.message_shift >> 1) >> neuron.message_shift
    assert highest == 1 << (neuron.message_bits - 2)
    proof = mappers.verify(changed(quantized, "neuron", message_bits=neuron.message_bits - 1))
    assert [failure.obligation for failure in proof.failures] == ["message"]
    assert proof.failures[0].witness is None
    assert "no integers that leave it were found" in str(proof)


def test_heads_hold_for_every_timespan():
    for name in ("cfc_nogate", "cfc_wired_ncp19"):
        proof = mappers.verify(quantized_golden(name, AKIDA))
        assert proof.holds, str(proof)
    other = changed(quantized_golden("cfc_wired_ncp19", AKIDA), "inter.state", program="cfc_heads.host_no_gate")
    proof = mappers.verify(other)  # the same slopes, the longest of which fill their words
    assert not [failure for failure in proof.failures if failure.obligation == "word"], str(proof)


def test_what_runs_stays_within_what_is_proved(ltc):
    reach = reachable(ltc, 32)
    x = np.random.default_rng(0).normal(0, 6, (40, 32))
    trace_of = fixed.run_chip(ltc, EventStream.from_samples(x, sample_s=1.0), trace=True).activity.trace
    for population in ltc.populations:
        for values, (low, high) in (
            (trace_of.state[population.name], reach.states[population.name]),
            (trace_of.sent[population.name], reach.messages[population.name]),
        ):
            assert (values >= low).all(), population.name
            assert (values <= high).all(), population.name
    for (name, port), (low, high) in reach.sums.items():
        total = np.zeros((len(trace_of.sent["input"]), ltc.population(name).size), dtype=np.int64)
        for item in ltc.projections:
            if (item.target_population, item.port) == (name, port):
                np.add.at(total.T, item.target, (trace_of.sent[item.source_population][:, item.source] * item.weight).T)
        assert (total >= low).all(), (name, port)
        assert (total <= high).all(), (name, port)


# --- networks broken by hand ------------------------------------------------------------------------------------------------------------


def test_an_accumulator_too_short(ltc):
    proof = mappers.verify(replace(ltc, accumulator_bits=20))
    failures = {failure.operation: failure for failure in proof.failures if failure.obligation == "accumulator"}
    assert set(failures) == {"running sum conductance", "running sum driven"}
    failure = failures["running sum conductance"]
    assert failure.population == "neuron"
    neuron = ltc.population("neuron").labels.index(failure.compartment)
    total = 0
    for item in ltc.projections:
        if (item.target_population, item.port) == ("neuron", "conductance"):
            for source, weight in zip(item.source[item.target == neuron], item.weight[item.target == neuron]):
                total += int(weight) * failure.messages[f"{item.source_population}:{ltc.population(item.source_population).labels[source]}"]
    assert total == failure.value == failure.high
    assert total >= 1 << 19
    assert "running sum conductance of neuron" in str(failure)


def test_weights_beyond_their_format(ltc):
    wrong = replace(ltc.projections[1], weight=ltc.projections[1].weight * 2)
    proof = mappers.verify(replace(ltc, projections=(ltc.projections[0], wrong, *ltc.projections[2:])))
    assert {failure.obligation for failure in proof.failures} == {"format"}
    assert proof.failures[0].operation.startswith("weight from sensory_gate")


def test_too_many_large_weights(cfc):
    heads = tuple(
        replace(item, weight=np.full_like(item.weight, 254)) if item.target_population == "unit" else item for item in cfc.projections
    )
    proof = mappers.verify(replace(cfc, projections=heads))
    found = [failure for failure in proof.failures if failure.obligation == "accumulator"]
    assert {failure.operation for failure in found} == {"running sum first", "running sum second", "running sum time"}
    assert all(failure.value == 254 * sum(failure.messages.values()) >= 1 << 23 for failure in found)


def test_a_scale_off_by_one_bit(cfc):
    twice = cfc.population("backbone_0").parameters["multiplier"] * 2
    quantized = changed(cfc, "backbone_0", parameters={"multiplier": twice})
    proof = mappers.verify(quantized)
    failure = proof.failures[0]
    assert (failure.obligation, failure.operation, failure.population) == ("word", "multiply", "backbone_0")
    assert "drive * multiplier" in failure.source
    assert failure.place.startswith("cfc_integer.py:")
    assert failure.value == failure.witness["drive"] * failure.witness["multiplier"]
    with pytest.raises(OverflowError, match="32 bits"):
        run_strictly(quantized, "backbone_0", failure.witness)


@pytest.mark.parametrize(
    ("population", "parameter", "value", "operation", "source"),
    [
        ("sensory_gate", "gain", 1 << 20, "multiply", "value * gain"),
        ("recurrent_gate", "gain", 1 << 21, "multiply", "value * gain"),
        ("neuron", "ratio", 1 << 13, "multiply", "driven * ratio"),
        ("neuron", "capacitance", WORD[1] - 1000, "add", "total + capacitance"),
        ("neuron", "leak", WORD[1] - 1000, "add", "conductance + leak"),
    ],
)
def test_one_parameter_too_large(ltc, population, parameter, value, operation, source):
    values = ltc.population(population).parameters[parameter].copy()
    worst = 7
    values[worst] = value
    quantized = changed(ltc, population, parameters={parameter: values})
    failure = mappers.verify(quantized).failures[0]
    assert (failure.operation, failure.population, failure.compartments) == (operation, population, 1)
    assert failure.compartment == ltc.population(population).labels[worst]
    assert source in failure.source
    assert not WORD[0] <= failure.value <= WORD[1]
    with pytest.raises(OverflowError):
        run_strictly(quantized, population, failure.witness)


def test_a_shift_below_0(ltc):
    quantized = changed(ltc, "neuron", parameters={"fraction": np.full(19, 16)})
    failure = mappers.verify(quantized).failures[0]
    assert (failure.obligation, failure.operation, failure.value) == ("shift", "amount of floor_shift", -1)
    with pytest.raises(ValueError, match="negative shift"):
        run_strictly(quantized, "neuron", failure.witness)


@pytest.mark.parametrize(("population", "table"), [("sensory_gate", "sigmoid"), ("recurrent_gate", "sigmoid"), ("neuron", "reciprocal")])
def test_a_table_too_short(ltc, population, table):
    quantized = changed(ltc, population, tables={table: ltc.population(population).tables[table][:-1]})
    proof = mappers.verify(quantized)
    assert {failure.obligation for failure in proof.failures} <= {"index", "message"}  # states have no box without the reciprocal
    failure = proof.failures[0]
    assert (failure.operation, failure.population, failure.low >= 0) == ("index of look_up", population, True)
    assert failure.value == failure.highest + 1 == len(quantized.population(population).tables[table])
    with pytest.raises(IndexError):
        run_strictly(quantized, population, failure.witness)


def test_a_message_too_short(ltc):
    quantized = changed(ltc, "neuron", message_bits=10)
    failure = mappers.verify(quantized).failures[-1]
    assert (failure.obligation, failure.population) == ("message", "neuron")
    shift = ltc.population("neuron").message_shift
    assert failure.value == (failure.witness["state"] + (1 << shift >> 1)) >> shift
    assert not -512 <= failure.value <= 511
    wide = changed(ltc, "sensory_gate", message_bits=10)
    failure = mappers.verify(wide).failures[0]
    assert (failure.obligation, failure.population, failure.compartments) == ("message", "sensory_gate", 192)
    assert 511 < failure.value == run_strictly(wide, "sensory_gate", failure.witness)


def test_shorter_words_fail_and_say_where(ltc):
    proof = mappers.verify(ltc, word_bits=30)
    assert not proof.holds
    assert {failure.operation for failure in proof.failures} >= {"multiply", "subtract"}
    assert all(failure.value is not None for failure in proof.failures)
    assert str(proof).startswith("Not proved: ")
    with pytest.raises(ValueError, match="word_bits must be 16 to 32, but is 64"):
        mappers.verify(ltc, word_bits=64)


# --- the command ------------------------------------------------------------------------------------------------------------------------


def test_the_command_tells_and_exits(ltc, tmp_path, capsys):
    save_quantized(ltc, tmp_path / "good.npz")
    assert run(["verify", str(tmp_path / "good.npz")]) == 0
    assert "holds" in capsys.readouterr().out
    save_quantized(replace(ltc, accumulator_bits=20), tmp_path / "bad.npz")
    assert run(["verify", str(tmp_path / "bad.npz"), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["holds"] is False
    assert "running sum conductance" in [failure["operation"] for failure in told["failures"]]
    assert run(["verify", str(tmp_path / "none.npz")]) == 2


def test_the_output_layer_of_a_frame_chip_is_summed_by_the_host_in_32_bits():
    network = liquid_neuro.cfc(6, inputs=3, seed=1, backbone_layers=0, projection=2)
    x = np.cumsum(np.random.default_rng(0).normal(0, 0.3, (4, 12, 3)), axis=1)
    quantized = mappers.quantize(network, AKIDA, calibration=x)
    reach = max(int(np.abs(end).max()) for end in reachable(quantized, 32).sums["output", "sum"])
    assert 1 << (quantized.accumulator_bits - 1) < reach < 1 << 31
    assert mappers.verify(quantized).holds
    projections = tuple(
        replace(item, weight=np.full_like(item.weight, (1 << 15) - 1)) if item.target_population == "output" else item
        for item in quantized.projections
    )
    proof = mappers.verify(replace(quantized, projections=projections))
    assert any(failure.operation == "running sum sum" for failure in proof.failures)


@pytest.mark.parametrize("seed", [1, 17])
def test_messages_ahead_of_an_exact_network_fit_their_words(seed):
    """They are sent up to half a turn ahead, far beyond the states: two bits more than the states need."""
    network = liquid_neuro.ltc(Wiring.auto_ncp(1, 5, 2, seed=seed), seed=seed, solver="exact")
    x = np.random.default_rng(seed).normal(size=(40, 1)).cumsum(axis=0) * 0.3
    proof = mappers.verify(mappers.quantize(network, LOIHI, calibration=x))
    assert proof.holds, proof.failures[:1]
