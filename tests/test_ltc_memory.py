"""LTC with mixed memory in integers: ticks against the naive twin and the direct form, the error, the proofs, and memories beyond 8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import golden
from test_integers import assert_equals_naive, walk
from test_ltc_integers import joined, relative_error, spans_of

import hardware_profiles
import liquid_neuro
import mappers
from event_sim import fixed
from event_sim.events import EventStream
from liquid_neuro import Fused, Wiring
from mappers.quantization import quantize

LOIHI = hardware_profiles.load("loihi2")
SOLVERS = {"fused": Fused(3), "exact": "exact"}


def mixed(cell: str = "ltc", seed: int = 3, **options):
    """A small network with memory."""
    return getattr(liquid_neuro, cell)(Wiring.auto_ncp(3, 8, 2, 0.5, seed=seed), seed=seed, mixed_memory=True, **options)


def long_memory(cell: str):
    """A network whose memory forgets a thousandth per sample and gains up to one: |c| grows far beyond 8."""
    network = mixed(cell)
    bias, units = np.array(network.parameters["lstm.input_map.bias"]), network.units
    bias[: 3 * units] = np.repeat([1.5, 2.0, 5.9], units)
    bias[:units] *= np.where(np.arange(units) % 2, -1, 1)
    return network.with_parameters({"lstm.input_map.bias": bias})


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("irregular", [False, True])
@pytest.mark.parametrize("raised", [False, True])
def test_kernel_equals_naive_and_direct(solver, irregular, raised):
    network = joined(mixed(solver=SOLVERS[solver]), 1) if raised else mixed(solver=SOLVERS[solver])
    x, spans = walk(network, 14, 1), spans_of(14, 1) if irregular else np.ones(14)
    thresholds = {"input": 4, "neuron": 5, "gate": 3, "memory": 6} if raised else None
    ticks = 14 if solver == "exact" else None
    stream = EventStream.from_samples(x, timespans=spans)
    quantized = quantize(network, LOIHI, calibration=stream, ticks_per_sample=ticks, thresholds=thresholds)
    program = "ltc." + {"fused": "neuron", "exact": "exact"}[solver] + "_timed" * irregular + "_recalled"
    assert quantized.population("neuron").program == program
    assert quantized.ticks_per_sample == {"fused": 10, "exact": 14}[solver]
    assert_equals_naive(quantized, x, spans if irregular else None)
    assert np.array_equal(fixed.state_words(quantized, x, spans), fixed.direct_samples(quantized, x, spans))


@st.composite
def drawn(draw):
    """(a network with memory, how it is quantised, its timespans or None), of any wiring, solver, bits, thresholds and clock."""
    seed, inputs, units = draw(st.integers(0, 999)), draw(st.integers(1, 4)), draw(st.integers(5, 9))
    wiring = draw(st.sampled_from([Wiring.auto_ncp, Wiring.fully_connected]))(inputs, units, 2, seed=seed)
    solver = draw(st.sampled_from([Fused(1), Fused(4), "exact"]))
    network = liquid_neuro.ltc(wiring, seed=seed, mixed_memory=True, solver=solver)
    names = ("input", "neuron", "gate", "memory")
    options = {"bits": draw(st.integers(4, 8)), "thresholds": {name: draw(st.integers(1, 9)) for name in names}}
    options |= {"ticks_per_sample": draw(st.sampled_from([10, 12, 16]))} if solver == "exact" else {}
    return network, options, spans_of(6, seed) if draw(st.booleans()) else None


@settings(max_examples=8, deadline=None, derandomize=True)
@given(case=drawn())
def test_random_networks_equal_naive_and_direct(case):
    network, options, spans = case
    x = walk(network, 6, 0)
    clock = {} if spans is None else {"timespans": (0.01, 3.0)}
    quantized = quantize(network, LOIHI, calibration=x, **options, **clock)
    assert_equals_naive(quantized, x, spans)
    lasting = 1.0 if spans is None else spans
    assert np.array_equal(fixed.state_words(quantized, x, lasting), fixed.direct_samples(quantized, x, lasting))


@pytest.mark.parametrize("solver", ["fused", "exact"])
@pytest.mark.parametrize("clock", [{}, {"timespans": (0.1, 2.0)}])
def test_every_word_is_proved_and_the_golden_network_comes_close(solver, clock):
    network, arrays = golden("ltc_auto32_mixed")
    network, x = network if solver == "fused" else network.with_solver(solver), arrays["x"].astype(float)
    quantized = quantize(network, LOIHI, calibration=x, **clock)
    assert mappers.verify(quantized).holds
    spans = np.random.default_rng(0).uniform(0.1, 2.0, x.shape[:2]) if clock else 1.0
    # 0.6 % and 0.4 % of fused, 1.1 % and 0.7 % of the differential equation, whose 12 sub-steps cost as much as the 8-bit weights
    assert relative_error(quantized, x, spans) < (0.01 if solver == "fused" else 0.015)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_sample_that_lasts_no_time_leaves_state_and_memory(solver):
    network = mixed(solver=SOLVERS[solver])
    x, spans = walk(network, 20, 2), spans_of(20, 2)
    recording = fixed.run_chip(quantize(network, LOIHI, calibration=x, timespans=(0.1, 2.0)), EventStream.from_samples(x, timespans=spans))
    still = np.flatnonzero(spans == 0.0)
    assert len(still)
    assert np.array_equal(recording.state[still + 1], recording.state[still])
    y, (h, c) = liquid_neuro.integrate(network, x, timespans=spans)
    liquid, memory = recording.final.state
    assert max(np.abs(recording.output_samples - y).max(), np.abs(liquid - h).max(), np.abs(memory - c).max()) < 0.02  # 8-bit weights


@pytest.mark.parametrize("solver", SOLVERS)
def test_pieces_of_a_stream_add_up_to_the_whole(solver):
    network = mixed(solver=SOLVERS[solver])
    x = walk(network, 12, 2)
    stream = EventStream.from_samples(x, sample_s=1.0)
    quantized = quantize(network, LOIHI, calibration=stream, thresholds=2)
    whole, parts, at = fixed.run_chip(quantized, stream), [], None
    for cut in (1, 5, 12):
        parts.append(fixed.run_chip(quantized, stream, until=float(cut), initial=at))
        at = parts[-1].final
    assert np.array_equal(whole.state, np.concatenate([whole.state[:1], *(part.state[1:] for part in parts)]))
    assert np.array_equal(whole.event_counts, sum(part.event_counts for part in parts))
    for name, spikes in whole.activity.spikes.items():
        assert np.array_equal(spikes, sum(part.activity.spikes[name] for part in parts)), name
    begun = fixed.run_chip(quantized, EventStream.from_samples(x[5:], sample_s=1.0), initial=parts[1].final.state)
    assert np.abs(begun.state[1:] - whole.state[6:]).max() < 2e-3  # a run from numbers has sent other messages: a step of one is 1e-3


def test_the_clock_tells_three_phases_and_the_relay_passes_states_on_once():
    network = mixed(solver=Fused(3))
    x = walk(network, 4, 2)
    recording = fixed.run_chip(quantize(network, LOIHI, calibration=x), EventStream.from_samples(x, sample_s=1.0), trace=True)
    assert recording.activity.trace.state["clock"][1:21:2, 0].tolist() == [10, 6, 2, 1, 0, 10, 6, 2, 1, 0]
    assert recording.activity.trace.sent["clock"][1:21:2, 0].tolist() == [10, 6, 2, 2, 2, 10, 6, 2, 2, 2]
    assert recording.activity.spikes["memory_relay"].max() <= 4
    assert np.ptp(recording.activity.spikes["memory_relay"]) <= np.ptp(recording.activity.spikes["neuron"]) + 4


@pytest.mark.parametrize("cell", ["ltc", "cfc"])
def test_memories_beyond_8_fit_their_words(cell):
    network = long_memory(cell)
    x = walk(network, 40, 3, step=0.05)
    _, (_, c) = liquid_neuro.integrate(network, x)
    assert np.abs(c).max() > 16
    quantized = quantize(network, LOIHI, calibration=x)
    recording = fixed.run_chip(quantized, EventStream.from_samples(x, sample_s=1.0))
    assert recording.activity.total_saturations == 0
    assert np.abs(recording.final.state[1] - c).max() < 0.01 * np.abs(c).max()  # 8-bit weights
    assert relative_error(quantized, x[None]) < 0.02
    assert mappers.verify(quantized).holds
    assert "in calibration, with half as much to spare" in quantized.notes["memory"]
    blind = quantize(network, LOIHI, input_range=(-2, 2))
    assert "assumed" in blind.notes["memory"]
    assert mappers.verify(blind).holds  # for any state word: beyond its end c saturates, which is counted
    assert fixed.run_chip(blind, EventStream.from_samples(x, sample_s=1.0)).activity.saturations["memory_cell"] > 0


def test_forget_gates_that_hardly_open_bound_the_memory():
    network = mixed()
    names = {"lstm.input_map.weight": 0.1, "lstm.input_map.bias": 0.1, "lstm.recurrent_map.weight": 0.1}
    network = network.with_parameters({name: factor * network.parameters[name] for name, factor in names.items()})
    quantized = quantize(network, LOIHI, input_range=(-1, 1))
    assert "as far as the forget gates can open" in quantized.notes["memory"]
    assert quantized.formats.memory.cell.highest * quantized.formats.memory.cell.lsb < 8


def test_formats_of_another_memory_are_refused():
    network = mixed()
    quantized = quantize(network, LOIHI, input_range=(-1, 1))
    again = quantize(network, LOIHI, input_range=(-1, 1), formats=quantized.formats, thresholds={"memory": 4})
    assert again.population("memory_cell").threshold == 4
    with pytest.raises(ValueError, match="formats must come from an LTC with this wiring and solver"):
        quantize(network, LOIHI, input_range=(-1, 1), formats=replace(quantized.formats, memory=None))
    with pytest.raises(ValueError, match="messages must have 4 fraction bits or more, but of what the memory hears 24-bit sums hold 0"):
        quantize(network, LOIHI, input_range=(-100_000, 100_000))
