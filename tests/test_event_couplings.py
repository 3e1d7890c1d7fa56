"""Gap junctions and synaptic delays in the event-driven engines: their twins, the sampled reference, and live streams."""

from __future__ import annotations

import naive
import naive_second
import numpy as np
import pytest

import event_sim
import liquid_neuro
from event_sim import EventStream, simulate
from liquid_neuro import Fused, LiquidNetwork, Wiring
from liquid_neuro.dynamics import trajectory

KINDS = {"gaps": (True, False), "delays": (False, True), "both": (True, True)}
ROWS = [(0.0, 0, 0.9), (0.7, 1, -0.4), (0.7, 0, 0.2), (1.9, 1, 1.1), (2.05, 0, 0.3)]
LEVELS = [
    (0.0, np.array([0.9, 0.0])),
    (0.7, np.array([0.2, -0.4])),
    (1.9, np.array([0.2, 1.1])),
    (2.05, np.array([0.3, 1.1])),
]


def coupled(kind: str, solver: object, units: int = 8, seed: int = 3, step: float = 0.0) -> LiquidNetwork:
    """An LTC whose neighbours are joined by gap junctions, with synapses of no, short and long delays (multiples of a step, if any)."""
    gaps, delays = KINDS[kind]
    base = Wiring.auto_ncp(2, units, 2, seed=seed)
    joined = (np.diag(np.ones(units - 1), 1) + np.diag(np.ones(units - 1), -1)) * (np.arange(units) % 3 != 0)
    wiring = Wiring.from_adjacency(base.adjacency(), base.sensory_adjacency(), 2, gap=joined * joined.T if gaps else None)
    network = liquid_neuro.ltc(wiring, seed=seed, solver=solver)
    if not delays:
        return network
    draw = np.random.default_rng(seed)
    lags = np.array([0.0, 1.0, 2.0, 7.0]) * step if step else np.array([0.0, 0.031, 0.173, 0.81])
    delay, sensory = draw.choice(lags, wiring.synapse_count), draw.choice(lags, wiring.sensory_synapse_count)
    return network.with_parameters({"delay": delay, "sensory_delay": sensory})


def walk(samples: int, inputs: int = 2, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return np.cumsum(draw.normal(size=(samples, inputs)) * 0.3 * (draw.random((samples, inputs)) < 0.4), axis=0)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(("quantum", "step"), [(0.0, 0.0), (1e-2, 0.0), (1e-3, 0.125)])
def test_the_fused_engine_equals_its_twin(kind: str, quantum: float, step: float) -> None:
    network = coupled(kind, Fused(4), step=step)
    x, timespans = walk(25), np.array([0.5, 0.0, 1.0, 1.0, 2.0] * 5)
    states, events = naive.fused_events(network, x, timespans, quantum)
    run = simulate(network, EventStream.from_samples(x, timespans=timespans), quantum=quantum)
    np.testing.assert_allclose(run.state, states, rtol=0, atol=1e-12)
    assert run.events["unit"].tolist() == [unit for _, unit, _ in events]
    np.testing.assert_allclose(run.events["time_s"], [time_s for time_s, _, _ in events], rtol=0, atol=1e-12)
    np.testing.assert_allclose(run.events["value"], [value for _, _, value in events], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("quantum", [5e-3, 0.05])
def test_the_exact_engine_equals_its_twin(kind: str, quantum: float) -> None:
    network = coupled(kind, "exact")
    state, events = naive.exact_events(network, LEVELS, 3.0, quantum)
    run = simulate(network, EventStream(*zip(*ROWS)), until=3.0, quantum=quantum)
    np.testing.assert_allclose(run.state[-1], state, rtol=0, atol=1e-11)
    assert run.events["unit"].tolist() == [unit for _, unit, _ in events]
    np.testing.assert_allclose(run.events["time_s"], [time_s for time_s, _, _ in events], rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("quantum", [2e-3, 0.02])
def test_the_engine_of_second_order_equals_its_twin(kind: str, quantum: float) -> None:
    network = coupled(kind, "exact", units=6)
    state, events = naive_second.exact_events(network, LEVELS, 3.0, quantum)
    events.sort(key=lambda event: event[:2])
    run = simulate(network, EventStream(*zip(*ROWS)), until=3.0, quantum=quantum, order=2)
    assert run.events["unit"].tolist() == [unit for _, unit, _ in events]
    np.testing.assert_allclose(run.events["time_s"], [time_s for time_s, _, _ in events], rtol=0, atol=1e-8)
    np.testing.assert_allclose(run.state[-1], state, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", list(KINDS))
def test_without_quantum_the_events_reproduce_the_sampled_reference(kind: str) -> None:
    network, x, timespans = coupled(kind, Fused(6)), walk(40), np.array([0.5, 1.0, 0.25, 1.3] * 10)
    run = simulate(network, EventStream.from_samples(x, timespans=timespans), quantum=0.0)
    np.testing.assert_allclose(run.state[1:], trajectory(network, x, timespans).states[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", list(KINDS))
def test_both_orders_approach_the_solution(kind: str) -> None:
    network, x = coupled(kind, "exact"), walk(8)
    reference = trajectory(network, x).states[0]
    stream = EventStream.from_samples(x, sample_s=1.0)
    for order, quantum in ((1, 1e-4), (2, 1e-6)):
        run = simulate(network, stream, quantum=quantum, order=order)
        assert np.abs(run.state[1:] - reference).max() < 10 * quantum  # these networks amplify a quantum by a few times


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_live_run_equals_the_whole_run_in_bytes(kind: str, order: int) -> None:
    network = coupled(kind, "exact" if order else Fused(4))
    clock = {} if order else {"sample_s": 0.25}
    live = event_sim.open(network, quantum=1e-3, **clock, **({"order": order} if order else {}))
    events, waiting = [], list(ROWS)
    for cut in (0.1, 0.5, 0.7, 0.75, 1.9, 2.0, 2.5, 3.0):
        while waiting and waiting[0][0] < cut:
            live.push(*waiting.pop(0))
        events.append(live.advance(cut))
    whole = simulate(network, EventStream(*zip(*ROWS), **clock), until=3.0, quantum=1e-3, order=order or 1)
    assert live.state().tobytes() == whole.state[-1].tobytes()
    assert np.concatenate(events).tobytes() == whole.events.tobytes()


def test_operations_count_synapses_and_gap_junctions() -> None:
    network = coupled("both", Fused(4))
    wiring = network.wiring
    assert wiring is not None
    run = simulate(network, EventStream.from_samples(walk(10), sample_s=1.0), quantum=1e-3)
    fan_out = np.bincount(wiring.source, minlength=8) + np.bincount(np.append(wiring.gap_source, wiring.gap_target), minlength=8)
    assert run.neuron_synaptic_operations == run.event_counts @ fan_out
    assert run.clocked_synaptic_operations == 10 * (4 * (wiring.synapse_count + 2 * wiring.gap_count) + wiring.sensory_synapse_count)


@pytest.mark.parametrize("order", [1, 2])
def test_neurons_without_inertia_may_hear_each_other_later_but_not_at_once(order: int) -> None:
    wiring = Wiring.from_adjacency([[0, 1], [1, 0]], [[1, 0]], 2)
    parameters = {"cm": [0.0, 0.0], "gleak": [1.0, 1.0], "vleak": [0.0, 0.0], "w": [1.0, 1.0], "sigma": [4.0, 4.0], "mu": [0.3, 0.3]}
    parameters |= {"erev": [1.0, 1.0], "sensory_w": [1.0], "sensory_sigma": [4.0], "sensory_mu": [0.5], "sensory_erev": [1.0]}
    loop = LiquidNetwork("ltc", 1, 2, 2, parameters, liquid_neuro.LTCSettings(softplus=False), liquid_neuro.Exact(), wiring)
    stream = EventStream([0.0], [0], [1.0])
    with pytest.raises(ValueError, match="neurons with cm = 0 must not form a loop"):
        simulate(loop, stream, until=1.0, quantum=1e-3, order=order)
    later = loop.with_parameters({"delay": [0.1, 0.1]})
    run = simulate(later, stream, until=5.0, quantum=1e-6, order=order)

    def open_(level: float, mu: float) -> float:
        return 1 / (1 + np.exp(-4 * (level - mu)))

    first = second = 0.0
    for _ in range(51):  # what either hears is what the other was a delay ago
        gates = open_(second, 0.3), open_(first, 0.3)
        first, second = (gates[0] + open_(1.0, 0.5)) / (1 + gates[0] + open_(1.0, 0.5)), gates[1] / (1 + gates[1])
    np.testing.assert_allclose(run.state[-1], [first, second], rtol=0, atol=1e-5)
