"""A run that is cut anywhere and goes on from recording.final gives the bytes of the whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_event_couplings import KINDS as COUPLINGS
from test_event_couplings import coupled, walk

import event_sim
import liquid_neuro
from event_sim import EventStream, Recording, simulate
from event_sim.recording import ordered_events
from event_sim.recording_storage import load_recording, save_recording
from liquid_neuro import Fused, LiquidNetwork, Wiring

ENGINES = {
    **{f"fused, {kind}": (lambda kind=kind: coupled(kind, Fused(4)), 1) for kind in COUPLINGS},
    **{f"exact {order}, {kind}": (lambda kind=kind: coupled(kind, "exact"), order) for kind in COUPLINGS for order in (1, 2)},
    "cfc": (lambda: liquid_neuro.cfc(5, 2, seed=1, backbone_units=3), 1),
    "wired cfc": (lambda: liquid_neuro.cfc(Wiring.auto_ncp(2, 8, 2), seed=1), 1),
    "ltc with memory": (lambda: liquid_neuro.ltc(Wiring.auto_ncp(2, 6, 1), mixed_memory=True), 1),
    "cfc with memory": (lambda: liquid_neuro.cfc(4, 2, seed=1, mixed_memory=True, backbone_units=3), 1),
}


def in_parts(network: LiquidNetwork, stream: EventStream, cuts: list[float], **options: Any) -> list[Recording]:
    runs, final = [], None
    for cut in cuts:
        runs.append(simulate(network, stream, until=cut, initial=final, **options))
        final = runs[-1].final
    return runs


def same(whole: Recording, parts: list[Recording]) -> None:
    states = np.concatenate([parts[0].state, *(part.state[1:] for part in parts[1:])])
    times = np.concatenate([parts[0].state_times_s, *(part.state_times_s[1:] for part in parts[1:])])
    kept = np.isin(times, whole.state_times_s)  # the whole run has no row at cuts between samples
    assert states[kept].tobytes() == whole.state.tobytes()
    events = ordered_events(np.concatenate([part.events for part in parts]))  # at a cut, those of both sides have one time
    assert events.tobytes() == whole.events.tobytes()
    assert sum(part.event_counts for part in parts).tolist() == whole.event_counts.tolist()
    assert sum(part.input_event_counts for part in parts).tolist() == whole.input_event_counts.tolist()
    at = np.linspace(parts[-1].state_times_s[0], parts[-1].state_times_s[-1], 17)[1:]
    assert parts[-1].output(at).tobytes() == whole.output(at).tobytes()


@pytest.mark.parametrize("name", list(ENGINES))
def test_samples_in_parts(name: str) -> None:
    network, order = ENGINES[name][0](), ENGINES[name][1]
    x, timespans = walk(24), np.array([0.5, 1.0, 1.0, 0.0, 0.3, 0.7] * 4)
    stream = EventStream.from_samples(x, timespans=timespans)
    options = {"quantum": 2e-3, "order": order}
    whole = simulate(network, stream, **options)
    assert len(whole.events) > 50
    for cuts in ([7.0, 14.0], [1.5, 2.5, 3.3, 8.9, 14.0]):
        same(whole, in_parts(network, stream, cuts, **options))


@pytest.mark.parametrize("name", [name for name in ENGINES if name.startswith("exact")])
def test_continuous_time_in_parts(name: str) -> None:
    network, order = ENGINES[name][0](), ENGINES[name][1]
    draw = np.random.default_rng(5)
    rows = [(float(t), int(draw.integers(2)), float(draw.normal())) for t in np.sort(np.round(draw.uniform(0, 8, 20), 1))]
    stream, options = EventStream(*zip(*rows)), {"quantum": 2e-3, "order": order}
    whole = simulate(network, stream, until=9.0, **options)
    for cuts in ([rows[9][0], 9.0], [0.05, 1.23, 4.0, 4.0, 8.7, 9.0]):
        same(whole, in_parts(network, stream, cuts, **options))
    first = simulate(network, stream, until=4.05, **options)  # and with the rest of the rows alone
    rest = simulate(network, EventStream(*zip(*[row for row in rows if row[0] > 4.05])), until=9.0, initial=first.final, **options)
    same(whole, [first, rest])


@pytest.mark.parametrize("name", ["fused, both", "exact 1, both", "exact 2, both", "cfc with memory"])
def test_files_and_live_streams_go_on_too(name: str, tmp_path: Path) -> None:
    network, order = ENGINES[name][0](), ENGINES[name][1]
    stream, options = EventStream.from_samples(walk(20), sample_s=0.5), {"quantum": 2e-3, "order": order}
    whole = simulate(network, stream, **options)
    first = simulate(network, stream, until=4.0, **options)
    loaded = load_recording(save_recording(first, tmp_path / "first.npz"))
    same(whole, [first, simulate(network, stream, initial=loaded.final, **options)])
    again = simulate(network, stream, initial=first.final, **options)  # the first run's end was not used up
    same(whole, [first, again])
    exact = name.startswith("exact")
    clock = {} if exact else {"sample_s": 0.5}
    live = event_sim.open(network, quantum=2e-3, start_s=4.0, initial=first.final, **clock, **({"order": order} if exact else {}))
    for time_s, channel, value in zip(stream.time_s, stream.channel, stream.value):
        if time_s >= 4.0:
            live.push(float(time_s), int(channel), float(value))
    live.advance(6.0)
    onward = event_sim.open(network, quantum=2e-3, start_s=6.0, initial=live.final, **clock, **({"order": order} if exact else {}))
    for time_s, channel, value in zip(stream.time_s, stream.channel, stream.value):
        if time_s >= 6.0:
            onward.push(float(time_s), int(channel), float(value))
    assert onward.state(10.0).tobytes() == whole.state[-1].tobytes()


@pytest.mark.parametrize("name", ["fused, both", "exact 1, both", "exact 2, both", "wired cfc"])
def test_another_quantum_goes_on_from_what_was_sent(name: str) -> None:
    network, order = ENGINES[name][0](), ENGINES[name][1]
    stream = EventStream.from_samples(walk(20), sample_s=0.5)
    fine = simulate(network, stream, quantum=1e-5, order=order)
    first = simulate(network, stream, until=5.0, quantum=2e-2, order=order)
    rest = simulate(network, stream, quantum=1e-5, order=order, initial=first.final)
    np.testing.assert_allclose(rest.state[-1], fine.state[-1], rtol=0, atol=2e-2)
    assert 0 < len(rest.events) < len(fine.events)


def test_a_stream_that_begins_anew_starts_with_its_own_levels() -> None:
    for name in ("fused, gaps", "exact 1, both", "exact 2, gaps"):
        network, order = ENGINES[name][0](), ENGINES[name][1]
        x = walk(20)
        whole = simulate(network, EventStream.from_samples(x, sample_s=0.5), quantum=1e-4, order=order)
        first = simulate(network, EventStream.from_samples(x[:10], sample_s=0.5), quantum=1e-4, order=order)
        rest = simulate(network, EventStream.from_samples(x[10:], sample_s=0.5), quantum=1e-4, order=order, initial=first.final)
        np.testing.assert_allclose(rest.state[-1], whole.state[-1], rtol=0, atol=1e-3)


def test_what_is_under_way_passes_from_one_engine_to_the_other() -> None:
    network = coupled("both", "exact")
    stream = EventStream.from_samples(walk(12), sample_s=0.5)
    whole = simulate(network, stream, quantum=1e-5)
    first = simulate(network, stream, until=3.0, quantum=1e-5)
    rest = simulate(network, stream, quantum=1e-5, order=2, initial=first.final)
    np.testing.assert_allclose(rest.state[-1], whole.state[-1], rtol=0, atol=1e-4)
    back = simulate(network, stream, until=3.0, quantum=1e-5, order=2)
    with pytest.raises(ValueError, match="`initial` must tell what is still under way to synapses with delays, but does not"):
        simulate(network, stream, quantum=1e-5, initial=back.final)


def test_what_is_under_way_passes_between_clock_and_events() -> None:
    network = coupled("both", Fused(4), step=0.125)
    stream = EventStream.from_samples(walk(24), sample_s=0.5)
    engines = ({"engine": "clocked"}, {"engine": "event", "quantum": 0.0})
    whole = simulate(network, stream, **engines[0])
    for before, after in (engines, engines[::-1]):
        first = simulate(network, stream, until=5.0, **before)
        rest = simulate(network, stream, initial=first.final, **after)
        np.testing.assert_allclose(rest.state, whole.state[10:], rtol=0, atol=1e-12)


def test_the_end_of_another_networks_run_is_refused() -> None:
    network, stream = coupled("gaps", Fused(4)), EventStream.from_samples(walk(4), sample_s=0.5)
    final = simulate(network, stream, quantum=1e-3).final
    other = network.with_parameters({"w": 1.01 * network.parameters["w"]})
    for run in (lambda: simulate(other, stream, initial=final), lambda: event_sim.open(other, sample_s=0.5, initial=final)):
        with pytest.raises(ValueError, match="`initial` must come from a run of this network, but comes from that of another"):
            run()
    simulate(other, stream, quantum=1e-3, initial=final.state)
    simulate(LiquidNetwork(**{name: getattr(network, name) for name in network.__dataclass_fields__}), stream, quantum=1e-3, initial=final)
