"""`simulate`: what it accepts, what it refuses, and what a recording tells."""

from __future__ import annotations

import networks
import numpy as np
import pytest

import event_sim
import liquid_neuro
from event_sim import EventStream, simulate
from liquid_neuro import Exact, Wiring
from liquid_neuro.dynamics import trajectory

X = np.array([[1, 0], [0, 1], [1, 1], [0.5, 0.2]], dtype=float)


def test_a_recording_of_a_sampled_run() -> None:
    network = networks.l4()
    run = simulate(network, EventStream.from_samples(X, sample_s=0.5), quantum=1e-3)
    assert run.engine == "event"
    assert run.state.shape == (5, 4)
    assert run.state_times_s.tolist() == [0, 0.5, 1, 1.5, 2]
    assert run.output_samples.shape == (4, 1)
    assert run.output(0.7) == run.output(0.5) == run.output_samples[0]
    assert run.output(0.0) == trajectory(network, X).states[0][0, :1] * 0
    assert run.event_counts.sum() == len(run.events)
    assert run.input_event_counts.tolist() == [4, 2]
    wiring = network.wiring
    assert wiring is not None
    fan_out = np.bincount(wiring.source, minlength=4)
    assert run.synaptic_operations == run.neuron_synaptic_operations == int(run.event_counts @ fan_out)
    assert run.stored_synaptic_operations == run.neuron_synaptic_operations + int(run.input_event_counts @ [4, 4])
    assert run.clocked_synaptic_operations == 4 * (6 * wiring.synapse_count + 8)
    with pytest.raises(ValueError, match=r"must lie within the run \(0 s to 2 s\)"):
        run.output(2.5)


def test_a26_products_of_a_wired_cfc() -> None:
    network = liquid_neuro.cfc(Wiring.auto_ncp(3, 19, 1), seed=1)
    x = np.random.default_rng(0).normal(size=(10, 3))
    for engine in ("event", "clocked"):
        run = simulate(network, EventStream.from_samples(x, sample_s=1.0), engine=engine)
        assert run.clocked_synaptic_operations == 10 * 1032


def test_output_between_events_is_exact() -> None:
    network = networks.l4(solver=Exact())
    stream = EventStream([0.1, 0.1], [0, 1], [1.0, 0.5])
    run = simulate(network, stream, until=1.0, quantum=1e-5)
    assert run.state_times_s.tolist() == [0.0, 0.1, 1.0]
    times = np.linspace(0.1, 1.0, 7)
    spans = np.diff(np.concatenate([[0.0], times]))
    x = np.vstack([[0.0, 0.0], np.tile([1.0, 0.5], (6, 1))])
    reference = trajectory(network, x, spans).y[0]
    np.testing.assert_allclose(run.output(times), reference, rtol=0, atol=run.error_bound)
    assert run.output(1.0)[0] == pytest.approx(run.state[-1, 0], abs=1e-12)


def test_order_of_rows_at_one_time_does_not_matter_on_a_clock() -> None:
    rows = [(0.0, 0, 1.0), (0.5, 0, 0.3), (0.5, 1, 0.7), (1.0, 1, 0.1)]
    swapped = [rows[0], rows[2], rows[1], rows[3]]
    images = set()
    for order in (rows, swapped):
        run = simulate(networks.l4(), EventStream(*zip(*order), sample_s=0.5), quantum=1e-3)
        images.add((run.state.tobytes(), run.events.tobytes()))
    assert len(images) == 1


def test_streams_in_a_list_and_a_clock_given_later() -> None:
    network = networks.l4()
    bare = EventStream([0.0, 0.6], [0, 1], [1.0, 0.5])
    with pytest.raises(ValueError, match=r"fused\(6\) steps on samples.*give `sample_s`"):
        simulate(network, bare)
    run, again = simulate(network, [bare, bare], sample_s=0.5, until=2.0)
    assert run.output_samples.tobytes() == again.output_samples.tobytes()
    assert run.state_times_s.tolist() == [0, 0.5, 1.0, 1.5, 2.0]
    with_zero_rows = EventStream.from_samples([[1, 0], [1, 0], [1, 0.5], [1, 0.5]], sample_s=0.5)
    np.testing.assert_allclose(run.output_samples, simulate(network, with_zero_rows).output_samples, rtol=0, atol=1e-12)


def test_until_extends_a_regular_clock_and_cuts_any() -> None:
    network = networks.l4()
    stream = EventStream.from_samples(X, sample_s=0.5)
    assert len(simulate(network, stream, until=3.0).output_samples) == 6
    assert len(simulate(network, stream, until=1.2).output_samples) == 2
    with pytest.raises(ValueError, match=r"must not lie behind the last sample boundary \(4 s\)"):
        simulate(network, EventStream.from_samples(X, timespans=1.0), until=9.0)


def test_seconds_are_turned_into_model_units() -> None:
    network = liquid_neuro.ltc(Wiring.auto_ncp(2, 8, 1), seed=1, time_unit_s=60.0)
    for solver in ("fused", "exact"):
        run = simulate(network.with_solver(solver), EventStream.from_samples(X, sample_s=30.0), quantum=1e-4)
        reference = trajectory(network.with_solver(solver), X, 0.5).states[0]
        assert np.abs(run.state[1:] - reference).max() <= run.error_bound
        assert run.events["time_s"].max() > 60.0


def test_mixed_memory_states_are_pairs() -> None:
    for network in (
        liquid_neuro.ltc(Wiring.auto_ncp(2, 8, 1), seed=1, mixed_memory=True),
        liquid_neuro.cfc(6, 2, seed=1, mixed_memory=True, backbone_units=4),
    ):
        stream = EventStream.from_samples(X, sample_s=1.0)
        whole = simulate(network, stream, quantum=0.0)
        h, c = whole.final.state
        reference = trajectory(network, X).final
        np.testing.assert_allclose([h, c], [part[0] for part in reference], rtol=0, atol=1e-12)
        first = simulate(network, stream, until=2.0, quantum=0.0)
        second = simulate(network, stream, initial=first.final, quantum=0.0)
        np.testing.assert_allclose(second.state[-1], whole.state[-1], rtol=0, atol=1e-12)
        with pytest.raises(ValueError, match=r"pair \(h, c\)"):
            simulate(network, stream, initial=np.zeros(network.units))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": 2}, r"`order` must be 1 under the solver fused\(6\)"),
        ({"order": 3}, r"`order` must be 1 \(events carry values\) or 2"),
        ({"engine": "fast"}, '`engine` must be "auto", "event" or "clocked", but is "fast"'),
        ({"quantum": -1.0}, "`quantum` must be one number >= 0 or one per unit"),
        ({"quantum": [0.1, 0.1]}, r"one per unit \(4\)"),
        ({"tolerance": 0.0}, "`tolerance` must be a positive number"),
        ({"initial": [1.0]}, r"one finite number per unit \(4\)"),
        ({"until": np.nan}, "`until` must be a finite time"),
        ({"sample_s": 0.25}, "`sample_s` must not be given for a stream that has its own sample clock"),
    ],
)
def test_contradictions_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        simulate(networks.l4(), EventStream.from_samples(X, sample_s=0.5), **options)


def test_the_exact_solver_is_given_no_second_clock_either() -> None:
    stream = EventStream.from_samples(X, sample_s=0.5)
    with pytest.raises(ValueError, match="`sample_s` must not be given for a stream that has its own sample clock"):
        simulate(networks.l4(solver=Exact()), stream, sample_s=0.25)
    assert simulate(networks.l4(solver=Exact()), stream, sample_s=0.5).state_times_s.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_things_that_are_no_network_or_stream_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`events` must be an EventStream, a list of them or rows .*, but is ndarray"):
        simulate(networks.l4(), X)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="`network` must be a LiquidNetwork or a QuantizedNetwork, but is NoneType"):
        simulate(None, EventStream.from_samples(X, sample_s=0.5))  # type: ignore[call-overload]


def test_exact_needs_a_quantum_and_channels_must_exist() -> None:
    with pytest.raises(ValueError, match="must be positive under the exact solver"):
        simulate(networks.l4(solver=Exact()), EventStream.from_samples(X, sample_s=0.5), quantum=0.0)
    with pytest.raises(ValueError, match="at most the network's 2 channels, but has 3"):
        simulate(networks.l4(), EventStream.from_samples(np.ones((2, 3)), sample_s=0.5))


@pytest.mark.parametrize("engine", ["event", "clocked"])
@pytest.mark.parametrize("kind", ["fused", "exact", "cfc", "ltc with memory", "cfc with memory"])
def test_edges_of_streams(kind: str, engine: str) -> None:
    network = {
        "fused": networks.l4(),
        "exact": networks.l4(solver=Exact()),
        "cfc": liquid_neuro.cfc(4, 2, seed=1, backbone_units=3),
        "ltc with memory": liquid_neuro.ltc(Wiring.auto_ncp(2, 6, 1), mixed_memory=True),
        "cfc with memory": liquid_neuro.cfc(4, 2, seed=1, mixed_memory=True, backbone_units=3),
    }[kind]
    no_samples = (EventStream.from_samples(np.zeros((0, 2)), sample_s=1.0), EventStream([], [], [], [0.0]))
    for stream in no_samples:
        run = simulate(network, stream, engine=engine)
        assert (len(run.state), len(run.output_samples), len(run.events)) == (1, 0, 0)
    silence = simulate(network, EventStream([], [], []), sample_s=0.5, until=2.0, engine=engine)
    assert len(silence.output_samples) == 4
    resting = simulate(network, EventStream.from_samples(np.ones((3, 2)), timespans=0.0), engine=engine)
    assert len(resting.output_samples) == 3
    assert (resting.state == 0).all()
    for timespan in (1e-12, 1e9):
        run = simulate(network, EventStream.from_samples(np.full((3, 2), 1e6), timespans=timespan), engine=engine)
        assert np.isfinite(run.state).all()
        assert np.abs(run.output_samples - trajectory(network, np.full((3, 2), 1e6), timespan).y[0]).max() <= max(run.error_bound, 1e-9)


def test_exact_runs_record_every_boundary() -> None:
    x, timespans = np.array([[1, 0], [0, 1], [1, 1], [0.5, 0]]), np.array([0.5, 0.0, 0.5, 0.3])
    network = networks.l4(solver=Exact())
    stream = EventStream.from_samples(x, timespans=timespans)
    for options in ({"quantum": 1e-5}, {"engine": "clocked", "tolerance": 1e-6}):
        run = simulate(network, stream, **options)
        assert run.state_times_s.tolist() == stream.sample_times_s.tolist()
        np.testing.assert_allclose(run.output_samples, trajectory(network, x, timespans).y[0], rtol=0, atol=run.error_bound)
        cut = simulate(network, stream, until=1.1, **options)
        assert cut.state_times_s.tolist() == [0, 0.5, 0.5, 1.0, 1.1]
        assert len(cut.output_samples) == 3
        rest = simulate(network, stream, initial=cut.final, **options)
        assert rest.state_times_s.tolist() == [1.1, pytest.approx(1.3)]
        np.testing.assert_allclose(rest.state[-1], run.state[-1], rtol=0, atol=run.error_bound)


def test_a_list_of_rows_is_the_stream_of_its_rows() -> None:
    rows = [(0.0, 0, 1.0), (0.5, 1, 0.3), (0.5, 0, -1.0), (1.2, 1, 0.0)]
    stream = EventStream(*zip(*rows))
    for options in ({"engine": "event"}, {"engine": "clocked"}, {"quantum": 1e-3}):
        expected = simulate(networks.l4(solver=Exact()), stream, until=2.0, **options)
        for given in (rows, tuple(rows), [list(row) for row in rows], [np.array(row) for row in rows], stream):
            run = simulate(networks.l4(solver=Exact()), given, until=2.0, **options)
            assert run.state.tobytes() == expected.state.tobytes()
            assert run.error_bound_kind == expected.error_bound_kind
    sampled = simulate(networks.l4(), rows, until=2.0, sample_s=0.1)
    assert sampled.state.tobytes() == simulate(networks.l4(), stream, until=2.0, sample_s=0.1).state.tobytes()
    assert simulate(networks.l4(), []) == []


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ([(0.0, 0, 1.0), (0.5, 1)], r"row 1 of `events` must be \(time_s, channel, value\), but is \(0.5, 1\)"),
        ([(0.0, 0.5, 1.0)], "row 0 of `events` must be"),
        ([(0.0, 10**30, 1.0)], "row 0 of `events` must be"),
        (iter([(0.0, 1.5, 1.0)]), "row 0 of `events` must be"),
        ([(0.5, 0, 1.0), (0.2, 0, 1.0)], r"`time_s` must not go back, but falls from 0.5 s to 0.2 s in row 1"),
        ([(0.0, 2, 1.0)], "`events` must have at most the network's 2 channels, but has 3"),
        ([EventStream([0.0], [0], [1.0]), (0.0, 0, 1.0)], "the list holds a tuple"),
        (X, r"rows \(time_s, channel, value\), but is ndarray; make a stream of samples x by EventStream.from_samples"),
    ],
)
def test_rows_that_are_none_are_named(events: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        simulate(networks.l4(solver=Exact()), events)  # type: ignore[call-overload]


def test_a_progress_bar_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    stream = EventStream.from_samples(np.random.default_rng(0).normal(size=(250, 2)), sample_s=0.5)
    for network in (networks.l4(), networks.l4(solver=Exact()), liquid_neuro.cfc(5, 2, seed=1)):
        quiet, loud = (simulate(network, stream, progress=progress) for progress in (False, True))
        assert quiet.state.tobytes() == loud.state.tobytes()
        assert quiet.events.tobytes() == loud.events.tobytes()
    assert capsys.readouterr().out == ""


def test_public_names() -> None:
    assert set(dir(event_sim)) >= {"EventStream", "Recording", "simulate", "evaluate", "Scores"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        event_sim.nothing  # noqa: B018


def test_scores_of_a_task() -> None:
    task = liquid_neuro.tasks.occupancy()
    network = liquid_neuro.ltc(Wiring.auto_ncp(5, 8, 1), seed=1)
    scores = event_sim.evaluate(task, network, split="validation")
    assert scores.windows == len(task.validation) == len(scores.per_window)
    assert scores.accuracy == pytest.approx(scores.per_window.mean())
    window = simulate(network, EventStream.from_samples(task.validation.x[3], sample_s=1.0), quantum=0.0)
    np.testing.assert_allclose(scores.outputs[3], window.output_samples, rtol=0, atol=1e-9)
    with pytest.raises(ValueError, match="must have the task's 5 inputs"):
        event_sim.evaluate(task, networks.l4())


@pytest.mark.parametrize("kind", ["ltc", "cfc"])
def test_until_before_the_stream_is_refused(kind: str) -> None:
    network = networks.l4() if kind == "ltc" else liquid_neuro.cfc(4, inputs=2)
    stream = EventStream.from_samples(np.ones((3, 2)), sample_s=1.0)
    with pytest.raises(ValueError, match="`until` must not lie before the stream"):
        simulate(network, stream, until=-1.0)


def test_events_and_clocks_do_not_contradict_each_other() -> None:
    stream = EventStream.from_samples(X, sample_s=0.5)
    for options in ({"quantum": 0.1}, {"order": 2}):
        with pytest.raises(ValueError, match='with engine="clocked"'):
            simulate(networks.l4(solver=Exact()), stream, engine="clocked", **options)
    with pytest.raises(ValueError, match="give one of them"):
        EventStream([0.0], [0], [1.0], [0.0, 1.0, 2.0], sample_s=5.0)
    for durations in ([1.0, -5.0], [1.0]):
        with pytest.raises(ValueError, match="one per sample"):
            EventStream([0.0], [0], [1.0], [0.0, 1.0, 2.0], durations_s=durations)
