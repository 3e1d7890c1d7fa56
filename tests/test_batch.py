"""Lists of streams: the same bytes alone, together and over any number of threads; a Ctrl-C ends all of them; large wirings."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from typing import Any

import numpy as np
import pytest

import liquid_neuro
from event_sim import EventStream, Recording, simulate
from liquid_neuro import LiquidNetwork, Wiring


def streams_of(inputs: int, count: int = 11) -> list[EventStream]:
    """Streams of any length, none among them, regular and irregular, some with samples of length 0."""
    draw = np.random.default_rng(inputs)
    result = []
    for index in range(count):
        x = draw.normal(size=(int(draw.integers(0, 40)), inputs))
        timespans = np.full(len(x), 0.7) if index % 2 else draw.choice([0.0, 0.2, 1.5], len(x))
        result.append(EventStream.from_samples(x, timespans=timespans))
    return result


def image(run: Recording) -> tuple[bytes, ...]:
    return run.state.tobytes(), run.output_samples.tobytes(), run.events.tobytes(), np.asarray(run.final.state).tobytes()


def network_of(kind: str) -> LiquidNetwork:
    base = Wiring.auto_ncp(3, 19, 2)
    coupled = dataclasses.replace(base, gap_source=[0, 1, 5], gap_target=[4, 9, 6])
    delays = {"delay": np.full(base.synapse_count, 0.3)}
    return {
        "fused": lambda: liquid_neuro.ltc(base, seed=1),
        "gaps": lambda: liquid_neuro.ltc(coupled, seed=1),
        "dense": lambda: liquid_neuro.ltc(Wiring.fully_connected(3, 9, 1), seed=1),
        "delays": lambda: liquid_neuro.ltc(base, seed=1).with_parameters(delays),
        "memory": lambda: liquid_neuro.ltc(base, seed=1, mixed_memory=True),
        "exact": lambda: liquid_neuro.ltc(base, seed=1, solver="exact"),
        "cfc": lambda: liquid_neuro.cfc(5, 3, seed=1, backbone_units=4),
    }[kind]()


@pytest.mark.parametrize("engine", ["clocked", "event"])
@pytest.mark.parametrize("kind", ["fused", "gaps", "dense", "delays", "memory", "exact", "cfc"])
def test_the_same_bytes_alone_together_and_over_threads(kind: str, engine: str) -> None:
    network = network_of(kind)
    streams = streams_of(3, 11 if kind in ("fused", "gaps", "dense") else 4)
    options: dict[str, Any] = {"engine": engine, "tolerance": 1e-2}
    if engine == "event":
        options = {"engine": engine, "quantum": 1e-2, "tolerance": None}
    alone = [image(simulate(network, stream, **options)) for stream in streams]
    for threads in (1, 2, 5):
        together = simulate(network, streams, threads=threads, **options)
        assert [image(run) for run in together] == alone


def test_threads_are_checked_and_streams_too() -> None:
    network, streams = network_of("fused"), streams_of(3, 3)
    for threads in (0, 1.5, True, "2"):
        with pytest.raises(ValueError, match="`threads` must be a whole number of at least 1"):
            simulate(network, streams, engine="clocked", threads=threads)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="the list holds a str"):
        simulate(network, [streams[0], "x"], engine="clocked")  # type: ignore[list-item]
    assert simulate(network, [], engine="clocked") == []


def test_a_progress_bar_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    network, streams = network_of("fused"), streams_of(3, 18)
    for threads in (1, 2):
        bars = simulate(network, streams, engine="clocked", threads=threads, progress=True)
        assert [image(run) for run in bars] == [image(run) for run in simulate(network, streams, engine="clocked", threads=threads)]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("threads", [1, 2])
def test_a_ctrl_c_ends_all_runs_on_the_clock(threads: int) -> None:
    network = liquid_neuro.ltc(Wiring.fully_connected(2, 200, 1), seed=1)
    x = np.random.default_rng(0).normal(size=(20_000, 2))
    simulate(network, EventStream.from_samples(x[:2], sample_s=1.0), engine="clocked")  # compiled before the clock runs
    simulate(network, [EventStream.from_samples(x[:2], sample_s=1.0)] * 3, engine="clocked")
    streams = [EventStream.from_samples(x, sample_s=1.0)] * 9
    presses = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    presses.start()
    runs = simulate(network, streams, engine="clocked", threads=threads)
    presses.join()
    assert 1 <= len(runs) <= 9
    assert all(run.interrupted and len(run.state) < 20_001 for run in runs)
    reached = len(runs[0].output_samples)
    rest = simulate(network, streams[0], engine="clocked", initial=runs[0].final, until=float(reached + 2))
    whole = simulate(network, streams[0], engine="clocked", until=float(reached + 2))
    np.testing.assert_array_equal(rest.state[-1], whole.state[-1])


def test_a_wiring_of_a_hundred_thousand_neurons() -> None:
    wiring = Wiring.random_fan_in(4, 100_000, 2, 32, seed=1)
    assert wiring.synapse_count == 3_200_000
    place = wiring.source.astype(np.int64) * wiring.units + wiring.target
    assert (np.diff(place) > 0).all()
    assert (np.bincount(wiring.target) == 32).all()
    assert (wiring.source != wiring.target).all()
    network = liquid_neuro.ltc(wiring, seed=1)
    assert network.with_solver("exact").parameters["w"] is network.parameters["w"]  # not a copy


@pytest.mark.slow
def test_a_million_neurons_are_built_and_simulated() -> None:
    network = liquid_neuro.ltc(Wiring.random_fan_in(8, 1_000_000, 1, 32, sensory_fan_in=1), seed=1)
    run = simulate(network, EventStream.from_samples(np.ones((1, 8)), sample_s=1.0), engine="event", quantum=1e-2, tolerance=None)
    assert run.state.shape == (2, 1_000_000)
    assert run.stored_synaptic_operations > 1_000_000
