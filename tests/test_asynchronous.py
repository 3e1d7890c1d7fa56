"""The event-driven engines against their obvious twins, against the sampled reference, and at the edges of the equations."""

from __future__ import annotations

import naive
import networks
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import liquid_neuro
from event_sim import EventStream, bounds, simulate
from event_sim.kernels.exponential import fast_exp
from liquid_neuro import Exact, Fused, LiquidNetwork, LTCSettings, Wiring
from liquid_neuro.cells import ltc
from liquid_neuro.dynamics import trajectory

ROUNDING = 1e-9  # of a run without quantum: sums by increments against sums taken anew
GOLDEN_LTC = [name for name in networks.GOLDEN if name.startswith("ltc")]
GOLDEN_CFC = [name for name in networks.GOLDEN if name.startswith("cfc")]


def walk(samples: int, inputs: int, seed: int = 0, step: float = 0.3) -> np.ndarray:
    """A random walk, most of whose channels rest at any time."""
    generator = np.random.default_rng(seed)
    moves = generator.normal(size=(samples, inputs)) * step * (generator.random((samples, inputs)) < 0.3)
    return np.cumsum(moves, axis=0)


def loose_pair(first_cm: float, second_cm: float, solver: Exact | Fused | None = None) -> LiquidNetwork:
    """Two unconnected neurons that relax from 0 to 1."""
    parameters = {"cm": [first_cm, second_cm], "gleak": [1.0, 1.0], "vleak": [1.0, 1.0]}
    parameters |= {f"{side}{name}": [] for side in ("", "sensory_") for name in ("w", "sigma", "mu", "erev")}
    wiring = Wiring.from_adjacency(np.zeros((2, 2)), np.zeros((1, 2)), 2)
    return LiquidNetwork("ltc", 1, 2, 2, parameters, LTCSettings(softplus=False), solver or Exact(), wiring)


def nothing(channels: int = 1) -> EventStream:
    """A stream without events and without a clock."""
    return EventStream([], [], [], channels=channels)


# --- twins ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantum", [3e-3, 0.05])
def test_exact_engine_equals_its_twin(quantum: float) -> None:
    network = liquid_neuro.ltc(Wiring.auto_ncp(2, 8, 1), seed=3, solver="exact")
    network = network.with_parameters({"cm": np.where(np.arange(8) == 3, -800.0, network.parameters["cm"])})  # softplus: cm = 0
    wiring = network.wiring
    assert wiring is not None
    rows = [(0.0, 0, 0.9), (0.7, 1, -0.4), (0.7, 0, 0.2), (1.9, 1, 1.1)]
    levels = [(0.0, np.array([0.9, 0.0])), (0.7, np.array([0.2, -0.4])), (1.9, np.array([0.2, 1.1]))]
    state, events = naive.exact_events(network, levels, 3.0, quantum)
    run = simulate(network, EventStream(*zip(*rows)), until=3.0, quantum=quantum)
    np.testing.assert_allclose(run.state[-1], state, rtol=0, atol=1e-11)
    assert run.events["unit"].tolist() == [unit for _, unit, _ in events]
    np.testing.assert_allclose(run.events["time_s"], [time_s for time_s, _, _ in events], rtol=0, atol=1e-10)


@pytest.mark.parametrize("quantum", [0.0, 1e-2])
@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "no_gate"}, {"mode": "pure"}, {"backbone_layers": 2, "backbone_units": 5, "activation": "silu"}, {"wired": True}],
)
def test_cfc_engine_equals_its_twin(options: dict, quantum: float) -> None:
    options = {"backbone_layers": 0, **options}
    wired = options.pop("wired", False)
    options = {} if wired else options
    network = liquid_neuro.cfc(Wiring.auto_ncp(3, 10, 2) if wired else 6, None if wired else 3, seed=2, **options)
    x, timespans = walk(30, 3), np.array([0.5, 0.5, 0.0, 1.0, 2.0] * 6)
    states, events = naive.cfc_events(network, x, timespans, quantum)
    run = simulate(network, EventStream.from_samples(x, timespans=timespans), quantum=quantum)
    np.testing.assert_allclose(run.state, states, rtol=0, atol=1e-12)
    assert run.events["unit"].tolist() == [unit for _, unit, _ in events]


# --- against the sampled reference ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*GOLDEN_LTC, *GOLDEN_CFC])
def test_without_quantum_the_events_reproduce_ncps(name: str) -> None:
    network, arrays = networks.golden(name)
    x, timespans = arrays["x"][0].astype(float), arrays["irregular.timespans"][0].astype(float)
    for kind, spans in (("regular", np.ones(len(x))), ("irregular", timespans)):
        for engine in ("event", "clocked"):
            quantum = 0.0 if engine == "event" else None
            run = simulate(network, EventStream.from_samples(x, timespans=spans), engine=engine, quantum=quantum)
            reference = trajectory(network, x, spans)
            np.testing.assert_allclose(run.state[1:], reference.states[0], rtol=0, atol=ROUNDING)
            np.testing.assert_allclose(run.output_samples, reference.y[0], rtol=0, atol=ROUNDING)
            np.testing.assert_allclose(run.output_samples, arrays[f"{kind}.y"][0], rtol=0, atol=3e-6)  # recorded in float32


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), quantum=st.sampled_from([1e-1, 1e-2, 1e-3]), solver=st.sampled_from(["fused", "exact"]))
def test_the_error_stays_within_the_bound_on_random_networks(seed: int, quantum: float, solver: str) -> None:
    generator = np.random.default_rng(seed)
    wiring = Wiring.random_fan_in(2, int(generator.integers(3, 12)), 1, fan_in=2, seed=seed)
    network = liquid_neuro.ltc(wiring, seed=seed, solver=solver)
    x = walk(12, 2, seed)
    run = simulate(network, EventStream.from_samples(x, sample_s=1.0), quantum=quantum)
    error = np.abs(run.state[1:] - trajectory(network, x).states[0]).max()
    assert error <= run.error_bound


def test_a_bound_is_derived_where_the_network_does_not_amplify() -> None:
    weak = networks.l4(w=0.02 * networks.l4().parameters["w"], gleak=[1.0, 0.8, 1.0, 0.9])
    x = walk(40, 2)
    for network in (weak, weak.with_solver("exact")):
        run = simulate(network, EventStream.from_samples(x, sample_s=0.5), quantum=0.05)
        assert run.error_bound_kind == "derived"
        assert run.error_bound < 0.05
        error = np.abs(run.state[1:] - trajectory(network, x, 0.5).states[0]).max()
        assert error <= run.error_bound
    assert simulate(networks.ncp19(), EventStream.from_samples(walk(3, 32), sample_s=1.0), engine="event").error_bound_kind == "measured"


def test_tolerance_chooses_the_quantum() -> None:
    network, x = networks.ncp19(), walk(20, 32)
    stream = EventStream.from_samples(x, sample_s=1.0)
    coarse, fine = (simulate(network, stream, engine="event", tolerance=tolerance) for tolerance in (1e-2, 1e-4))
    reference = trajectory(network, x).states[0]
    assert np.abs(coarse.state[1:] - reference).max() <= coarse.error_bound <= 1e-2
    assert np.abs(fine.state[1:] - reference).max() <= fine.error_bound <= 1e-4
    assert len(coarse.events) < len(fine.events)


def test_a_slow_neuron_waits_many_turns_of_the_calendar() -> None:
    network = loose_pair(5000.0, 0.5, Fused(6))
    run = simulate(network, EventStream.from_samples(np.zeros(600), sample_s=1.0), quantum=0.1)
    ratio = 5000.0 / (5000.0 + (1.0 + 1e-8) / 6.0)
    expected = int(np.ceil(np.log(0.9) / np.log(ratio)))  # sub-steps until 1 - r^k >= 0.1; the calendar has 256 places
    assert expected > 3000
    slow = run.events[run.events["unit"] == 0]
    assert slow["time_s"].tolist() == [pytest.approx(expected / 6.0)]
    np.testing.assert_allclose(run.state[:, 0], 1.0 - ratio ** (6 * np.arange(601)), rtol=0, atol=1e-6)  # 1e-6: epsilon's leak to 0


def test_many_neurons_at_once() -> None:
    network = liquid_neuro.ltc(Wiring.random_fan_in(4, 300, 3, fan_in=12, seed=2), seed=2)
    x = walk(8, 4)
    stream = EventStream.from_samples(x, sample_s=1.0)
    every = simulate(network, stream, quantum=0.0)
    clocked = simulate(network, stream, engine="clocked")
    np.testing.assert_allclose(every.state, clocked.state, rtol=0, atol=1e-12)
    order = np.lexsort((every.events["unit"], every.events["time_s"]))
    assert (order == np.arange(len(order))).all()
    coarse = simulate(network, stream, quantum=1e-3)
    assert np.abs(coarse.state - clocked.state).max() <= coarse.error_bound
    exact = network.with_solver("exact")
    fine, coarse = (simulate(exact, stream, quantum=quantum) for quantum in (1e-4, 1e-3))
    assert np.abs(fine.state - coarse.state).max() <= fine.error_bound + coarse.error_bound


def test_a_settled_network_costs_nothing() -> None:
    for network in (networks.ncp19(), liquid_neuro.cfc(Wiring.auto_ncp(32, 19, 1), seed=1)):
        x = np.concatenate([walk(5, 32), np.tile(walk(5, 32)[-1], (400, 1))])
        run = simulate(network, EventStream.from_samples(x, sample_s=1.0), quantum=1e-3)
        assert run.events["time_s"].max() < 100.0
        assert run.stored_synaptic_operations < 0.1 * run.clocked_synaptic_operations


def test_millions_of_increments_do_not_drift() -> None:
    network = networks.l4()
    x = np.random.default_rng(1).normal(size=(20_000, 2))
    run = simulate(network, EventStream.from_samples(x, sample_s=0.5), quantum=0.0)
    again = simulate(network, EventStream.from_samples(x[-200:], sample_s=0.5), quantum=0.0, initial=run.state[-201])
    np.testing.assert_allclose(run.state[-200:], again.state[1:], rtol=0, atol=1e-13)


def test_the_fast_exponential() -> None:
    x = np.concatenate([np.linspace(-700, 700, 20_001), np.linspace(-1, 1, 2_001)])
    relative = [abs(fast_exp(value) / np.exp(value) - 1) for value in x]
    assert max(relative) < 2e-14


# --- field cases ------------------------------------------------------------------------------------------------------------------


def test_a02_samples_of_length_zero_leave_the_state() -> None:
    stream = EventStream.from_samples([[1, 0], [0, 1], [1, 1]], timespans=[0.5, 0, 0.5])
    for options in ({"quantum": 0.0}, {"engine": "clocked"}):
        run = simulate(networks.l4(), stream, **options)
        np.testing.assert_allclose(run.output_samples[:, 0], [0.113892893, 0.113892893, 0.467564889], rtol=0, atol=1e-7)
        np.testing.assert_allclose(run.state[-1], [0.467564889, 0.846297689, 0.259705403, 0.473676755], rtol=0, atol=1e-7)
        assert run.state[1].tobytes() == run.state[2].tobytes()


def test_a03_simultaneous_events_in_any_order_and_no_ops() -> None:
    network = networks.l4(solver=Exact())
    variants = {
        "as given": [(0.1, 0, 1.0), (0.1, 1, 0.5)],
        "swapped": [(0.1, 1, 0.5), (0.1, 0, 1.0)],
        "repeated": [(0.1, 0, 1.0), (0.1, 1, 0.5), (0.1, 1, 0.5)],
        "no-op": [(0.05, 0, 0.0), (0.1, 0, 1.0), (0.1, 1, 0.5)],
    }
    runs = {name: simulate(network, EventStream(*zip(*rows)), until=1.0, quantum=1e-5) for name, rows in variants.items()}
    images = {(run.state[-1].tobytes(), run.output([0.3, 0.7, 1.0]).tobytes(), run.events.tobytes()) for run in runs.values()}
    assert len(images) == 1
    right = [0.442234735, 0.854731195, 0.298586324, 0.441433529]
    assert np.abs(runs["as given"].state[-1] - right).max() <= max(runs["as given"].error_bound, 1e-6)
    clocked = simulate(network, EventStream(*zip(*variants["as given"])), until=1.0, engine="clocked", tolerance=1e-7)
    np.testing.assert_allclose(clocked.state[-1], right, rtol=0, atol=1e-6)


def test_a06_an_asymptote_one_quantum_away_is_never_reached() -> None:
    parameters = {"cm": [1.0, 1.0], "gleak": [1.0, 1.0], "vleak": [0.0, 1.0], "w": [0.5], "sigma": [4.0], "mu": [0.5], "erev": [1.0]}
    parameters |= {f"sensory_{name}": [] for name in ("w", "sigma", "mu", "erev")}
    wiring = Wiring.from_adjacency([[0, 0], [1, 0]], np.zeros((1, 2)), 1)
    network = LiquidNetwork("ltc", 1, 2, 1, parameters, LTCSettings(softplus=False), Exact(), wiring)
    run = simulate(network, nothing(), until=100.0, quantum=0.25)
    times = run.events["time_s"][run.events["unit"] == 1]
    np.testing.assert_allclose(times, [np.log(4 / 3), np.log(2), np.log(4)], rtol=0, atol=1e-9)


def test_a06_a_clock_that_cannot_resolve_the_step() -> None:
    network = networks.one_neuron(1e-9, 1.0, 0.0, sensory=(1.0, 50.0, 0.5, 1.0))
    run = simulate(network, EventStream([1e9], [0], [1.0]), until=1e9 + 1, quantum=0.125)
    assert abs(run.output(1e9 + 1)[0] - 0.5) < 1e-6
    assert run.event_counts[0] <= 5


def test_a07_stiff_and_plain_neurons() -> None:
    cases = [(0.01, 0.5, 0.0, 0.5, 0.499999979), (1.0, 0.0, 1.0, 0.367879441, 0.396569457)]
    for cm, vleak, start, exact, fused in cases:
        for solver, right, bound in ((Exact(), exact, 1e-9), (Fused(), fused, 1e-8)):
            network = networks.one_neuron(cm, 1.0, vleak, solver=solver)
            stream = EventStream.from_samples([0.0], sample_s=1.0)
            for engine in ("event", "clocked"):
                run = simulate(network, stream, initial=[start], engine=engine)
                assert abs(run.output(1.0)[0] - right) < bound


@pytest.mark.parametrize(("engine", "order"), [("event", 1), ("event", 2), ("clock", 1)])
def test_a08_a_short_pulse_is_not_missed(engine: str, order: int) -> None:
    network = networks.one_neuron(0.05, 0.5, 0.0, sensory=(1.2, 5.0, 0.5, 1.0))
    pulse = EventStream([1.0, 1.001], [0, 0], [10.0, 0.0])
    run = simulate(network, pulse, until=2.0, engine=engine, order=order)
    np.testing.assert_allclose(
        run.output([1.0, 1.001, 1.010, 2.0])[:, 0], [0.154017859, 0.172465859, 0.170604166, 0.154019128], rtol=0, atol=1e-6
    )  # fmt: skip
    assert abs(simulate(network, nothing(), until=2.0, engine=engine, order=order).output(1.010)[0] - 0.154017985) < 1e-6


def test_a08_events_are_recorded_in_order_of_time() -> None:
    run = simulate(loose_pair(1.0, 0.4), nothing(), until=1.0, quantum=0.3)
    assert run.events["unit"][:2].tolist() == [1, 0]
    np.testing.assert_allclose(run.events["time_s"][:2], [0.142669978, 0.356674944], rtol=0, atol=1e-9)


def test_a23_two_chunks_equal_one_run() -> None:
    x, timespans = np.array([[1, 0], [0, 1], [1, 1], [0.5, 0.2], [0, 0]]), np.array([0.5, 0.2, 1, 0.1, 0.7])
    right = [0.113892893, 0.489995596, 0.511831030, 0.515130904, 0.621916851]
    whole = EventStream.from_samples(x, timespans=timespans)
    for network, options in ((networks.l4(), {"quantum": 0.0}), (networks.l4(), {"engine": "clocked"})):
        np.testing.assert_allclose(simulate(network, whole, **options).output_samples[:, 0], right, rtol=0, atol=1e-7)
        first = simulate(network, whole, until=1.2, **options)  # in the middle of sample 2, which then does not run
        assert first.state_times_s[-1] == pytest.approx(0.7)
        for rest in (whole, EventStream.from_samples(x[2:], timespans=timespans[2:])):
            second = simulate(network, rest, initial=first.final, **options)
            outputs = np.concatenate([first.output_samples, second.output_samples])[:, 0]
            np.testing.assert_allclose(outputs, right, rtol=0, atol=1e-7)


def test_a23_a_continued_exact_run() -> None:
    network = networks.l4(solver=Exact())
    stream = EventStream([0.1, 0.6, 1.3], [0, 1, 0], [1.0, 0.5, 0.2])
    whole = simulate(network, stream, until=2.0, quantum=1e-5)
    first = simulate(network, stream, until=1.0, quantum=1e-5)
    for rest in (stream, EventStream([1.3], [0], [0.2])):
        second = simulate(network, rest, until=2.0, quantum=1e-5, initial=first.final)
        np.testing.assert_allclose(second.state[-1], whole.state[-1], rtol=0, atol=2e-5)
    with pytest.raises(ValueError, match=r"must not lie before the run's start \(1 s\), but is 0\.5 s in row 0"):
        simulate(network, EventStream([0.5], [0], [0.2]), until=2.0, initial=first.final)


def test_a31_no_leak_and_no_input_is_a_pure_memory() -> None:
    base = networks.l4()
    wiring = base.wiring
    assert wiring is not None
    into_0, sensory_into_0 = wiring.target == 0, wiring.sensory_target == 0
    gleak = base.parameters["gleak"].copy()
    gleak[0] = 0.0
    w, sensory_w = np.where(into_0, 0.0, base.parameters["w"]), np.where(sensory_into_0, 0.0, base.parameters["sensory_w"])
    network = base.with_parameters({"gleak": gleak, "w": w, "sensory_w": sensory_w})
    stream = EventStream.from_samples([[1, 0], [0, 1]], timespans=[0.5, 2.0])
    fused = simulate(network, stream, initial=[0.3, 0, 0, 0])
    assert abs(fused.state[-1, 0] - 0.3) < 2e-8
    exact = simulate(network.with_solver("exact"), stream, initial=[0.3, 0, 0, 0])
    assert (exact.state[:, 0] == 0.3).all()


@pytest.mark.parametrize("engine", ["event", "clocked"])
def test_a31_no_inertia_jumps(engine: str) -> None:
    stream = EventStream.from_samples([0.0, 0.9], sample_s=1.0)
    for solver in (Exact(), Fused()):
        network = networks.one_neuron(0.0, 0.5, 0.1, sensory=(1.1, 5.0, 0.5, -1.0), solver=solver)
        run = simulate(network, stream, engine=engine)
        np.testing.assert_allclose(run.output_samples[:, 0], [-0.057321693, -0.625564237], rtol=0, atol=1e-7)


def test_loops_of_neurons_without_inertia_are_refused_by_name() -> None:
    network = networks.l4(cm=[0.4, 0.0, 0.0, 0.5], solver=Exact())
    for engine in ("event", "clocked"):
        with pytest.raises(ValueError, match="unknown_0 -> unknown_1 -> unknown_0"):
            simulate(network, nothing(2), until=1.0, engine=engine)
    simulate(network.with_solver("fused"), nothing(2), until=1.0, sample_s=0.5)


def test_a_neuron_that_sends_without_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from event_sim import ltc_machines

    monkeypatch.setattr(ltc_machines, "EVENT_LIMIT", 10)
    for order in (1, 2):
        with pytest.raises(ValueError, match=r"at most 10 events in 0\.2 s, but motor_[01] sent more by .* use a larger quantum"):
            simulate(loose_pair(1.0, 1.0), nothing(), until=10.0, quantum=0.01 if order == 1 else 1e-8, order=order)
    slow = simulate(loose_pair(100.0, 100.0), nothing(), until=500.0, quantum=0.05)  # as many, over a longer time
    assert slow.event_counts.tolist() == [19, 19]


def test_sums_beyond_the_range_of_numbers_are_refused_by_name() -> None:
    for network in (networks.l4(), networks.l4(solver=Exact())):
        huge = network.with_parameters({"w": np.where(network.wiring.target == 2, 1e200, network.parameters["w"])})
        with pytest.raises(ValueError, match=r"must stay below 1e\+150, but the sum of those of unknown_1 can be [0-9.]+e\+200"):
            simulate(huge, EventStream.from_samples(walk(3, 2), sample_s=1.0), engine="event", quantum=1e-3)


def spiral(cm: float) -> LiquidNetwork:
    """Two neurons that switch each other, one of them the wrong way: they spiral into (0.3, 0.7), ever faster."""
    parameters = {"cm": [cm, cm], "gleak": [1.0, 1.0], "vleak": [0.5, 0.5], "w": [5.0, 5.0], "sigma": [1e6, 1e6], "mu": [0.3, 0.7]}
    parameters |= {"erev": [1.0, 0.0]} | {f"sensory_{name}": [] for name in ("w", "sigma", "mu", "erev")}
    wiring = Wiring.from_adjacency([[0, 1], [-1, 0]], np.zeros((0, 2)), 1)
    return LiquidNetwork("ltc", 0, 2, 1, parameters, LTCSettings(softplus=False), Exact(), wiring)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("cm", [1.0, 1e-12, 1e-100, 1e-310])
def test_near_zero_capacitance_and_huge_gain_neither_hang_nor_lose_accuracy(cm: float, order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from event_sim import ltc_machines

    monkeypatch.setattr(ltc_machines, "EVENT_LIMIT", 20_000)
    if cm == 1.0:
        run = simulate(spiral(cm), nothing(0), until=20.0, quantum=1e-3, order=order, initial=[0.2, 0.9])
        np.testing.assert_allclose(run.state[-1], [0.3, 0.7], rtol=0, atol=0.05)  # a gain of 1e6 makes much of a quantum
        return
    with pytest.raises(ValueError, match=r"but (motor|unknown)_0 sent more by"):
        simulate(spiral(cm), nothing(0), until=1.0, quantum=1e-3, order=order, initial=[0.2, 0.9])


@pytest.mark.parametrize("order", [1, 2])
def test_simultaneous_crossings_of_many_neurons(order: int) -> None:
    units = 20
    wiring = Wiring.from_adjacency(1 - np.eye(units, dtype=int), np.ones((1, units)), units)
    network = liquid_neuro.ltc(wiring, seed=1, solver="exact")
    equal = {name: np.full_like(value, value.flat[0]) for name, value in network.parameters.items()}
    run = simulate(network.with_parameters(equal), EventStream([0.0, 1.0], [0, 0], [1.0, 0.2]), until=3.0, quantum=1e-2, order=order)
    assert np.ptp(run.state[-1]) < 5e-2  # neurons that are alike stay together, however ties are broken
    alone = simulate(network.with_parameters(equal), EventStream([0.0, 1.0], [0, 0], [1.0, 0.2]), until=3.0, quantum=1e-4, order=order)
    assert np.abs(run.state[-1] - alone.state[-1]).max() < 5e-2


def test_quantum_for_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="`tolerance` must be a positive number, but is 0"):
        bounds.quantum_for(0.0, 3)
    assert ltc.effective(networks.l4()).units == 4


def test_a_backbone_at_rest_has_its_biases_from_the_first_sample() -> None:
    network = liquid_neuro.cfc(6, 2, seed=3, backbone_layers=2, backbone_units=5, activation="relu")
    network = network.with_parameters({name: np.abs(array) for name, array in network.parameters.items()})
    run = simulate(network, EventStream.from_samples(np.zeros((4, 2)), sample_s=1.0), quantum=0.0)
    np.testing.assert_allclose(run.state[1:], trajectory(network, np.zeros((4, 2))).states[0], rtol=0, atol=1e-12)
