"""Error bounds of event-driven runs with synaptic delays, held against the sampled reference and the reference solver of delays."""

from __future__ import annotations

import numpy as np
import pytest
import random_networks

from event_sim import EventStream, Recording, simulate
from liquid_neuro import LiquidNetwork
from liquid_neuro.dynamics import trajectory
from liquid_neuro.wiring import Wiring

KINDS = ("fused", "exact", "second")
SOLVED = 1e-8  # of the reference solver, whose steps miss the equation by 1e-11, some times amplified
SAMPLES = 5  # the reference solver needs a second for more


def delayed(kind: str, seed: int) -> tuple[LiquidNetwork, np.ndarray, np.ndarray, np.random.Generator]:
    """(network, x, timespans, generator): a random network some of whose synapses, sensory ones too, hear up to 1.2 model units later."""
    network, generator = random_networks.network_of(kind, seed, gaps=seed % 2 == 1)
    wiring = network.wiring
    assert isinstance(wiring, Wiring)
    choices = np.append(0.0, generator.uniform(0.05, 1.2, 2))
    network = network.with_parameters(
        {
            "delay": generator.choice(choices, wiring.synapse_count),
            "sensory_delay": generator.choice(choices, wiring.sensory_synapse_count),
        }
    )
    x, timespans, _ = random_networks.stream_of(generator, network.inputs)
    return network, x[:SAMPLES], timespans[:SAMPLES], generator


def checked(kind: str, seed: int) -> list[Recording]:
    """The runs of one random network with delays, with a random quantum and to a tolerance, after none was found to exceed its bound."""
    network, x, timespans, generator = delayed(kind, seed)
    stream, order = EventStream.from_samples(x, timespans=timespans), 2 if kind == "second" else 1
    right = np.vstack([np.zeros(network.units), trajectory(network, x, timespans).states[0]])
    options = {"quantum": 10.0 ** generator.uniform(-4, -1.5)}, {"tolerance": 10.0 ** generator.uniform(-3, -1)}
    runs = [simulate(network, stream, engine="event", order=order, **option) for option in options]  # type: ignore[arg-type]
    for run in runs:
        error = float(np.abs(run.state - right).max()) - SOLVED
        assert error <= run.error_bound, (kind, seed, error, run.error_bound, run.error_bound_kind)
    return runs


@pytest.mark.parametrize("kind", KINDS)
def test_no_error_exceeds_its_bound_with_delays(kind: str) -> None:
    runs = [run for seed in range(20 if kind == "fused" else 3) for run in checked(kind, seed)]
    assert {run.error_bound_kind for run in runs} <= {"derived", "measured", "confirmed", "box"}
    assert sum(run.error_bound_kind == "measured" for run in runs) > len(runs) / 2


@pytest.mark.parametrize("kind", KINDS)
def test_no_error_exceeds_its_confirmed_bound_with_delays(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random_networks.without_the_clock(monkeypatch)
    runs = [run for seed in range(20 if kind == "fused" else 3) for run in checked(kind, 500 + seed)]
    assert any(run.error_bound_kind == "confirmed" for run in runs)
    assert all(run.error_bound_kind != "measured" for run in runs)


def test_a_bound_is_derived_with_delays_where_the_network_does_not_amplify() -> None:
    """Halanay's inequality: the bound of the same network without delays holds with any."""
    for seed in range(8):
        for kind in ("fused", "exact"):
            network, x, timespans, _ = delayed(kind, seed)
            wiring, parameters = network.wiring, dict(network.parameters)
            assert isinstance(wiring, Wiring)
            steepness = np.bincount(wiring.target, weights=parameters["w"] * np.abs(parameters["sigma"]))
            weaker = {"w": 0.3 * parameters["w"] / steepness.max(), "gleak": 1.0 + parameters["gleak"]}
            if wiring.gap_count:
                weaker["gap_w"] = 0.05 * parameters["gap_w"] / parameters["gap_w"].max() / wiring.units
            weak = network.with_parameters(weaker)
            run = simulate(weak, EventStream.from_samples(x, timespans=timespans), quantum=0.03, tolerance=None)
            error = float(np.abs(run.state[1:] - trajectory(weak, x, timespans).states[0]).max())
            assert run.error_bound_kind == "derived"
            assert error - SOLVED <= run.error_bound


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_no_error_exceeds_its_bound_on_many_networks_with_delays(kind: str, part: int) -> None:
    count = 100 if kind == "fused" else 12
    runs = [run for seed in range(count * part, count * part + count) for run in checked(kind, 1000 + seed)]
    assert sum(run.error_bound < 0.1 for run in runs) > len(runs) // 10  # bounds that say something


def test_lines_hear_in_order_where_sub_steps_grow() -> None:
    for seed in (30041, 30113, 30159):
        network, x, timespans, _ = delayed("fused", seed)
        run = simulate(network, EventStream.from_samples(x, timespans=timespans), quantum=0.0)
        assert np.abs(run.state[1:] - trajectory(network, x, timespans).states[0]).max() < 1e-9  # rounding
