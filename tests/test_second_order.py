"""The event-driven engine of second order: its twin, SciPy, how its events grow, and its edges."""

from __future__ import annotations

import naive_second
import networks
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import liquid_neuro
from event_sim import EventStream, simulate
from event_sim.recording_storage import load_recording, save_recording
from liquid_neuro import Exact, Wiring
from liquid_neuro.dynamics import trajectory


def walk(samples: int, inputs: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return np.cumsum(draw.normal(size=(samples, inputs)) * 0.3 * (draw.random((samples, inputs)) < 0.3), axis=0)


@pytest.mark.parametrize("quantum", [1e-3, 0.02])
def test_the_engine_equals_its_twin(quantum: float) -> None:
    network = liquid_neuro.ltc(Wiring.auto_ncp(2, 8, 1), seed=3, solver="exact")
    network = network.with_parameters({"cm": np.where(np.arange(8) == 3, -800.0, network.parameters["cm"])})  # softplus: cm = 0
    rows = [(0.0, 0, 0.9), (0.7, 1, -0.4), (0.7, 0, 0.2), (1.9, 1, 1.1)]
    levels = [(0.0, np.array([0.9, 0.0])), (0.7, np.array([0.2, -0.4])), (1.9, np.array([0.2, 1.1]))]
    state, events = naive_second.exact_events(network, levels, 3.0, quantum)
    events.sort(key=lambda event: event[:2])  # recordings order what happens at one time by unit
    run = simulate(network, EventStream(*zip(*rows)), until=3.0, quantum=quantum, order=2)
    assert run.events["unit"].tolist() == [unit for _, unit, _ in events]
    np.testing.assert_allclose(run.events["time_s"], [time_s for time_s, _, _ in events], rtol=0, atol=1e-8)
    np.testing.assert_allclose(run.state[-1], state, rtol=0, atol=1e-9)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), quantum=st.sampled_from([1e-2, 1e-3, 1e-5]))
def test_the_error_stays_within_the_estimate_on_random_networks(seed: int, quantum: float) -> None:
    wiring = Wiring.random_fan_in(2, int(np.random.default_rng(seed).integers(3, 12)), 1, fan_in=2, seed=seed)
    network = liquid_neuro.ltc(wiring, seed=seed, solver="exact")
    x = walk(12, 2, seed)
    run = simulate(network, EventStream.from_samples(x, sample_s=1.0), quantum=quantum, order=2)
    assert np.abs(run.state[1:] - trajectory(network, x).states[0]).max() <= run.error_bound
    assert run.error_bound_kind in ("derived", "measured")


def test_events_grow_with_the_root_of_the_quantum() -> None:
    network, stream = networks.l4(solver=Exact()), EventStream([0.1, 0.4], [0, 1], [1.0, 0.5])
    first = {q: len(simulate(network, stream, until=3.0, quantum=q).events) for q in (1e-3, 1e-5)}
    second = {q: len(simulate(network, stream, until=3.0, quantum=q, order=2).events) for q in (1e-3, 1e-5, 1e-7)}
    assert first[1e-5] > 80 * first[1e-3]
    assert second[1e-5] < 13 * second[1e-3]
    assert second[1e-7] < 11 * second[1e-5]
    assert second[1e-5] < 0.02 * first[1e-5]


def test_a_tolerance_is_kept_and_outputs_between_events_are_exact(tmp_path) -> None:
    network = networks.l4(solver=Exact())
    stream = EventStream([0.1, 0.1], [0, 1], [1.0, 0.5])
    run = simulate(network, stream, until=1.0, engine="event", tolerance=1e-8, order=2)
    times = np.linspace(0.1, 1.0, 7)
    x = np.vstack([[0.0, 0.0], np.tile([1.0, 0.5], (6, 1))])
    reference = trajectory(network, x, np.diff(np.concatenate([[0.0], times]))).y[0]
    assert run.error_bound <= 1e-8
    np.testing.assert_allclose(run.output(times), reference, rtol=0, atol=1e-8)
    again = load_recording(save_recording(run, tmp_path / "run.npz"))
    assert again.output(times).tobytes() == run.output(times).tobytes()


def test_a_settled_network_rests_and_a_memory_keeps_its_value() -> None:
    network = networks.l4(solver=Exact())
    run = simulate(network, EventStream([0.1], [0], [1.0]), until=1e6, quantum=1e-4, order=2)
    assert run.events["time_s"].max() < 100.0
    memory = networks.one_neuron(1.0, 0.0, 0.0)
    kept = simulate(memory, EventStream([], [], [], channels=1), until=10.0, initial=[0.3], order=2)
    assert (kept.state == 0.3).all()


def test_edges() -> None:
    stiff = networks.one_neuron(1e-9, 1.0, 0.0, sensory=(1.0, 50.0, 0.5, 1.0))
    run = simulate(stiff, EventStream([1e9], [0], [1.0]), until=1e9 + 1, quantum=0.125, order=2)
    assert abs(run.output(1e9 + 1)[0] - 0.5) < 1e-6
    algebraic = networks.one_neuron(0.0, 0.5, 0.1, sensory=(1.1, 5.0, 0.5, -1.0))
    stream = EventStream.from_samples([0.0, 0.9], sample_s=1.0)
    run = simulate(algebraic, stream, order=2)
    np.testing.assert_allclose(run.output_samples[:, 0], [-0.057321693, -0.625564237], rtol=0, atol=1e-7)
    for _ in range(2):  # the same bytes again, and with a bar
        assert simulate(algebraic, stream, order=2, progress=True).state.tobytes() == run.state.tobytes()
