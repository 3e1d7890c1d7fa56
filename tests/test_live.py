"""Live streams equal whole runs, however they are cut; Ctrl-C keeps what was simulated."""

from __future__ import annotations

import signal
import threading

import networks
import numpy as np
import pytest
from akida_networks import quantized_of, samples_of

import event_sim
import liquid_neuro
from event_sim import EventStream, frames, interrupts, simulate
from liquid_neuro import Exact, LiquidNetwork, Wiring

KINDS = {
    "fused": lambda: networks.l4(),
    "cfc": lambda: liquid_neuro.cfc(5, 2, seed=1, backbone_units=3),
    "ltc with memory": lambda: liquid_neuro.ltc(Wiring.auto_ncp(2, 6, 1), mixed_memory=True),
    "cfc with memory": lambda: liquid_neuro.cfc(4, 2, seed=1, mixed_memory=True, backbone_units=3),
}


def rows_of(seed: int, count: int = 40, until: float = 9.5) -> list[tuple[float, int, float]]:
    draw = np.random.default_rng(seed)
    times = np.sort(np.round(draw.uniform(0.0, until, count), 1))  # many at once, many on sample boundaries
    return [(float(t), int(draw.integers(2)), float(np.round(draw.normal(), 1))) for t in times]


def pushed(network: LiquidNetwork, rows: list[tuple[float, int, float]], cuts: list[float], **options: object) -> tuple:
    """(live stream, states at the cuts, outputs at the cuts, events)."""
    live = event_sim.open(network, quantum=1e-3, **options)  # type: ignore[arg-type]
    states, outputs, events, waiting = [], [], [], list(rows)
    for cut in cuts:
        while waiting and waiting[0][0] < cut:
            live.push(*waiting.pop(0))
        events.append(live.advance(cut))
        states.append(live.state(cut))
        outputs.append(live.output())
    return live, np.array(states), np.array(outputs), np.concatenate(events)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("cuts", [[10.0], [0.0, 0.1, 2.5, 2.6, 7.0, 7.0, 10.0], [0.5 * k for k in range(21)]])
def test_a_live_run_on_a_sample_clock_equals_the_whole_run_in_bytes(kind: str, cuts: list[float]) -> None:
    network, rows = KINDS[kind](), rows_of(3)
    whole = simulate(network, EventStream(*zip(*rows), channels=2, sample_s=0.5), until=10.0, quantum=1e-3)
    live, states, outputs, events = pushed(network, rows, cuts, sample_s=0.5)
    at = np.searchsorted(whole.state_times_s, np.array(cuts) + 1e-9, side="right") - 1
    assert states.tobytes() == whole.state[at].tobytes()
    np.testing.assert_allclose(outputs, whole.output(np.array(cuts)), rtol=0, atol=1e-12)
    assert events.tobytes() == whole.events.tobytes()
    assert live.event_counts.tolist() == whole.event_counts.tolist()


@pytest.mark.parametrize("cuts", [[10.0], [0.0, 0.1, 0.35, 2.5, 2.6, 7.0, 7.0, 10.0], [0.1 * k for k in range(101)]])
def test_a_live_exact_run_equals_the_whole_run_in_bytes(cuts: list[float]) -> None:
    base, rows = networks.l4(solver=Exact()), rows_of(4)
    network = LiquidNetwork(base.cell, 2, 4, 1, base.parameters, base.settings, base.solver, base.wiring, time_unit_s=3.0)
    whole = simulate(network, EventStream(*zip(*rows), channels=2), until=10.0, quantum=1e-3)
    live, states, outputs, events = pushed(network, rows, cuts)
    assert states[-1].tobytes() == whole.state[-1].tobytes()
    assert events.tobytes() == whole.events.tobytes()
    np.testing.assert_allclose(outputs, whole.output(np.array(cuts)), rtol=0, atol=1e-12)
    assert live.final.inputs.tolist() == whole.final.inputs.tolist()


def test_a_live_run_can_be_continued_and_tells_its_error() -> None:
    network, rows = networks.l4(), rows_of(5)
    live, states, _, _ = pushed(network, [row for row in rows if row[0] < 5.0], [5.0], sample_s=0.5)
    assert 1e-3 < live.error_estimate < 0.1
    rest = [row for row in rows if row[0] >= 5.0]
    onward = event_sim.open(network, quantum=0.0, sample_s=0.5, start_s=5.0, initial=live.final)
    for row in rest:
        onward.push(*row)
    whole = simulate(network, EventStream(*zip(*rows), channels=2, sample_s=0.5), until=10.0, quantum=0.0)
    assert np.abs(onward.state(10.0) - whole.state[-1]).max() < 0.1
    assert states.shape == (1, 4)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda live: live.push(0.5, 0, 1.0), r"`time_s` must not go back behind 1 s, but is 0\.5 s"),
        (lambda live: live.push(2.0, 2, 1.0), "`channel` must be below the network's 2 inputs, but is 2"),
        (lambda live: live.push(2.0, 0, np.nan), "`value` must be finite"),
        (lambda live: live.advance(0.5), r"must not lie before the time advanced to \(1 s\)"),
        (lambda live: live.advance(np.inf), "`until` must be a finite time"),
        (lambda live: live.state(0.5), r"must not lie before the time advanced to \(1 s\)"),
    ],
)
def test_what_a_live_run_refuses(act, words: str) -> None:
    live = event_sim.open(networks.l4(solver=Exact()))
    live.advance(1.0)
    with pytest.raises(ValueError, match=words):
        act(live)


def test_clocks_of_live_runs() -> None:
    with pytest.raises(ValueError, match=r"`sample_s` must be given, because the solver fused\(6\) steps on samples"):
        event_sim.open(networks.l4())
    with pytest.raises(ValueError, match="`sample_s` must not be given under the exact solver"):
        event_sim.open(networks.l4(solver=Exact()), sample_s=0.5)
    with pytest.raises(ValueError, match="`network` must be a LiquidNetwork, but is NoneType"):
        event_sim.open(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["fused", "exact", "cfc", "ltc with memory"])
def test_ctrl_c_returns_what_was_simulated(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = networks.l4(solver=Exact()) if kind == "exact" else KINDS[kind]()
    stream = EventStream.from_samples(np.random.default_rng(0).normal(size=(400, 2)), sample_s=0.5)
    whole = simulate(network, stream, quantum=1e-3)
    assert not whole.interrupted
    looked = iter(range(1000))

    def press(number: int) -> None:
        if number == 2:
            signal.raise_signal(signal.SIGINT)

    before = interrupts.perf_counter

    def clock() -> float:
        press(next(looked, 0))
        return before()

    monkeypatch.setattr(interrupts, "perf_counter", clock)
    monkeypatch.setattr(interrupts, "FIRST_PIECE", 200_000 if kind == "exact" else 50)
    monkeypatch.setattr(interrupts, "PIECE_S", 0.0)
    cut = simulate(network, stream, quantum=1e-3)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert cut.interrupted
    assert 1 < len(cut.state) < len(whole.state)
    assert len(cut.state_times_s) == len(cut.state)
    same = len(cut.state) - 1
    assert cut.state[:same].tobytes() == whole.state[:same].tobytes()
    assert cut.input_event_counts.sum() < whole.input_event_counts.sum()
    np.testing.assert_allclose(cut.output(cut.state_times_s[same])[0], whole.output(cut.state_times_s[same])[0], rtol=0, atol=1e-9)
    rest = simulate(network, stream, quantum=1e-3, initial=cut.final)
    np.testing.assert_allclose(rest.state[-1], whole.state[-1], rtol=0, atol=2e-2)


def test_ctrl_c_keeps_the_frames_that_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    quantized = quantized_of("ncp")
    stream = EventStream.from_samples(samples_of(7, windows=1, steps=400)[0], sample_s=1.0)
    whole, run = simulate(quantized, stream), frames.simulate_frames

    def pressed(*given: object, **options: object) -> frames.Frames:
        result = run(*given, **options)  # type: ignore[arg-type]
        if options["initial"].any():  # type: ignore[attr-defined]  # not in the first piece
            signal.raise_signal(signal.SIGINT)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(frames, "simulate_frames", pressed)
        cut = simulate(quantized, stream)
    ran = len(cut.output_samples)
    assert cut.interrupted
    assert not whole.interrupted
    assert 0 < ran == cut.activity.samples < 400
    rest = simulate(quantized, stream, initial=cut.final)
    assert np.array_equal(whole.state, np.concatenate([cut.state, rest.state[1:]]))
    assert np.array_equal(whole.events, np.concatenate([cut.events, rest.events]))
    assert (whole.input_event_counts == cut.input_event_counts + rest.input_event_counts).all()
    assert whole.stored_synaptic_operations == cut.stored_synaptic_operations + rest.stored_synaptic_operations


def test_who_needs_whole_runs_is_interrupted_by_parts_of_them() -> None:
    stream = EventStream.from_samples(np.zeros((3, 2)), sample_s=0.5)
    runs = simulate(networks.l4(), [stream, stream])
    assert interrupts.whole(runs, 2) == tuple(runs)
    for part, count in ((runs, 3), ([], 1), ([runs[0], runs[1].told(interrupted=True)], 2)):
        with pytest.raises(KeyboardInterrupt):
            interrupts.whole(part, count)


def test_other_threads_and_other_handlers_are_left_alone() -> None:
    seen: list[bool] = []

    def run() -> None:
        with interrupts.interruptible() as stopped:
            seen.append(stopped())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    own = lambda number, frame: None
    signal.signal(signal.SIGINT, own)
    try:
        with interrupts.interruptible():
            assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with interrupts.interruptible() as stopped:
        signal.raise_signal(signal.SIGINT)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert seen == [False]
