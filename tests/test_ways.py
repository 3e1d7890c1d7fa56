"""The three ways of computing an LTC event by event (event_sim/kernels/ways.py) tell the same events, wherever a run changes from one to
another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import naive
import networks
import numpy as np
import pytest
from test_asynchronous import walk
from test_continuation import in_parts, same
from test_event_couplings import coupled

import liquid_neuro
from event_sim import EventStream, Recording, ltc_machines, ltc_ways, simulate
from event_sim.kernels import ways
from liquid_neuro import Fused, LiquidNetwork, Wiring

NEVER, AT_ONCE = np.inf, -1.0
PRICES: dict[str, dict[str, float]] = {
    "loop": {"to_together": NEVER},
    "together": {"to_together": AT_ONCE, "to_loop": NEVER, "to_lanes": NEVER},
    "together, not in rows": {"to_together": AT_ONCE, "to_loop": NEVER, "to_lanes": NEVER},
    "lanes": {"to_together": AT_ONCE, "to_loop": NEVER, "to_lanes": AT_ONCE, "from_lanes": NEVER},
    "changing": {"to_together": 0.0, "to_loop": 0.0, "to_lanes": 0.0, "from_lanes": 0.0, "everything": 90.0, "sensory": 0.0},
}
NETWORKS: dict[str, Callable[[], LiquidNetwork]] = {
    "ncp19": lambda: networks.ncp19(solver=Fused(6)),
    "no inertia, no leak": lambda: bare(liquid_neuro.ltc(Wiring.auto_ncp(2, 12, 2), seed=5, solver=Fused(4))),
    "gap junctions": lambda: coupled("gaps", Fused(4)),
    "memory": lambda: liquid_neuro.ltc(Wiring.auto_ncp(2, 6, 1), mixed_memory=True),
    "one neuron": lambda: liquid_neuro.ltc(Wiring.fully_connected(2, 1, 1), seed=1),
    "100 neurons": lambda: liquid_neuro.ltc(Wiring.random_fan_in(2, 100, 1, 9, seed=3), seed=3),
}


def bare(network: LiquidNetwork) -> LiquidNetwork:
    """The network with a neuron without inertia and one without leak (softplus of -800 is 0)."""
    cm, gleak = network.parameters["cm"].copy(), network.parameters["gleak"].copy()
    cm[3], gleak[4] = -800.0, -800.0
    return network.with_parameters({"cm": cm, "gleak": gleak})


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that lets all runs from now on go one way, or change it as often as they can."""

    def choose(way: str) -> None:
        monkeypatch.setattr(ltc_machines, "prices_of", lambda values: ltc_ways.prices_of(values)._replace(**PRICES[way]))
        monkeypatch.setattr(ltc_ways, "MOST_SYNAPSES", 0 if way == "together, not in rows" else 4_000_000)

    return choose


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The ways that runs have gone, at the ends of their pieces."""
    seen: set[int] = set()
    run = ltc_machines.FusedMachine._other_way

    def watched(machine: Any, *arguments: Any) -> int:
        seen.add(int(machine.progress[0]["way"]))
        return run(machine, *arguments)

    monkeypatch.setattr(ltc_machines.FusedMachine, "_other_way", watched)
    return seen


def stream_for(network: LiquidNetwork, samples: int = 60) -> EventStream:
    """Busy, then quiet, then busy again, with timespans that change and some that are 0."""
    x = walk(samples, network.inputs, seed=2, step=0.6)
    x[samples // 3 : 2 * samples // 3] = x[samples // 3]
    timespans = np.ones(samples)
    timespans[[4, samples // 2, samples - 9]], timespans[7], timespans[-5:] = 0.0, 2.5, 0.5
    return EventStream.from_samples(x, timespans=timespans)


def alike(run: Recording, other: Recording) -> None:
    assert run.events["unit"].tolist() == other.events["unit"].tolist()
    assert run.events["time_s"].tolist() == other.events["time_s"].tolist()
    assert run.event_counts.tolist() == other.event_counts.tolist()
    # Rounding: sums by increments and closed forms of several sub-steps, against sums taken anew and one sub-step after the other.
    np.testing.assert_allclose(run.events["value"], other.events["value"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(run.state, other.state, rtol=0, atol=1e-12)


@pytest.mark.parametrize("quantum", [0.0, 1e-3, 1e-2, 0.1])
@pytest.mark.parametrize("way", list(PRICES))
def test_every_way_equals_the_twin(way: str, quantum: float, go: Callable[[str], None]) -> None:
    go(way)
    network = liquid_neuro.ltc(Wiring.auto_ncp(3, 12, 2), seed=5, solver=Fused(4))
    x, timespans = walk(25, 3), np.array([0.5, 0.0, 1.0, 1.0, 3.0] * 5)
    states, events = naive.fused_events(network, x, timespans, quantum)
    run = simulate(network, EventStream.from_samples(x, timespans=timespans), quantum=quantum)
    np.testing.assert_allclose(run.state, states, rtol=0, atol=1e-12)
    assert run.events["unit"].tolist() == [unit for _, unit, _ in events]
    np.testing.assert_allclose(run.events["value"], [value for _, _, value in events], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_all_ways_tell_the_same_events(name: str, go: Callable[[str], None]) -> None:
    network = NETWORKS[name]()
    runs = {}
    for way in PRICES:
        go(way)
        runs[way] = simulate(network, stream_for(network), quantum=2e-3, tolerance=None)
    assert len(runs["loop"].events) > 40
    for way in set(PRICES) - {"loop"}:
        alike(runs[way], runs["loop"])
    assert runs["together"].events.tobytes() == runs["together, not in rows"].events.tobytes()
    assert runs["together"].state.tobytes() == runs["together, not in rows"].state.tobytes()


@pytest.mark.parametrize("way", [way for way in PRICES if way != "loop"])
@pytest.mark.parametrize("name", list(NETWORKS))
def test_cut_anywhere_every_way_gives_the_bytes_of_the_whole_run(name: str, way: str, go: Callable[[str], None]) -> None:
    go(way)
    network = NETWORKS[name]()
    stream = stream_for(network)
    assert stream.sample_times_s is not None
    cuts = [float(stream.sample_times_s[at]) for at in (5, 6, 23, 41, -1)]
    whole = simulate(network, stream, quantum=2e-3)
    same(whole, in_parts(network, stream, cuts, quantum=2e-3))


def test_a_run_changes_its_way_with_what_happens(go: Callable[[str], None], gone: set[int]) -> None:
    go("changing")
    network = NETWORKS["ncp19"]()
    simulate(network, stream_for(network), quantum=2e-3, tolerance=None)
    assert gone == {ways.TOGETHER, ways.LANES}


def test_busy_runs_go_in_lanes_and_quiet_large_ones_in_the_loop(gone: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    network = liquid_neuro.ltc(Wiring.random_fan_in(4, 600, 1, 6, seed=1, sensory_fan_in=1), seed=1)
    x = np.random.default_rng(0).normal(size=(40, 4))
    busy = simulate(network, EventStream.from_samples(x, sample_s=1.0), quantum=1e-6, tolerance=None)
    assert gone == {ways.TOGETHER, ways.LANES}
    quiet = EventStream.from_samples(np.repeat(x[-1:], 400, axis=0), sample_s=1.0)
    monkeypatch.setattr(ltc_ways, "KEPT", 0)
    after = simulate(network, quiet, quantum=1e-6, tolerance=None, initial=busy.final)
    assert busy.final.carried is not None
    assert after.final.carried is not None
    assert busy.final.carried.arrays["progress"]["way"].tolist() == [ways.LANES]
    assert after.final.carried.arrays["progress"]["way"].tolist() == [ways.LOOP]


def test_what_is_kept_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network = liquid_neuro.ltc(Wiring.random_fan_in(4, 600, 1, 6, seed=1, sensory_fan_in=1), seed=1)
    x = np.random.default_rng(0).normal(size=(40, 4))
    stream = EventStream.from_samples(np.concatenate([x[:20], np.repeat(x[19:20], 400, axis=0), x[20:]]), sample_s=1.0)
    for most in (0, ltc_ways.KEPT):  # with and without the loop in between
        monkeypatch.setattr(ltc_ways, "KEPT", most)
        runs = [simulate(network, stream, quantum=1e-4, tolerance=None, record=record) for record in ("all", "none")]
        assert runs[0].output_samples.tobytes() == runs[1].output_samples.tobytes()
        assert runs[0].events.tobytes() == runs[1].events.tobytes()


def test_delayed_synapses_stay_in_the_loop(gone: set[int]) -> None:
    network = coupled("delays", Fused(4))
    simulate(network, stream_for(network), quantum=1e-4, tolerance=None)
    assert gone == set()
