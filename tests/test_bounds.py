"""Error bounds of event-driven runs, held against the sampled reference and SciPy on networks far beyond ncps' ranges, and quanta."""

from __future__ import annotations

import numpy as np
import pytest
import random_networks

import liquid_neuro
from event_sim import EventStream, Recording, bounds, companions, simulate, sparse, tolerances
from event_sim.plan import make_plan
from liquid_neuro import LiquidNetwork, Wiring
from liquid_neuro.cells import ltc
from liquid_neuro.dynamics import trajectory

SOLVED = 1e-6  # what SciPy may be wrong by at rtol = 1e-9, some times amplified


def solved(network: LiquidNetwork, x: np.ndarray, timespans: np.ndarray) -> np.ndarray:
    """(K + 1, units): SciPy's solution at the samples' ends, by Radau where the network is stiff, else by DOP853."""
    integrate = pytest.importorskip("scipy.integrate")
    values = ltc.effective(network)
    prepared, states = ltc.Prepared(values), [np.zeros(network.units)]
    most = values.gleak + np.bincount(values.target, weights=values.w, minlength=network.units)
    stiff = float((most / values.cm).max() * timespans.sum()) > 3000
    for row, span in zip(x, timespans):
        held, driven = prepared.held(row[None])

        def slope(_: float, v: np.ndarray, held: np.ndarray = held, driven: np.ndarray = driven) -> np.ndarray:
            own, own_driven = prepared.sums(v.reshape(network.units, -1).T)
            return (((driven + own_driven) - (held + own) * v.reshape(network.units, -1).T).T / values.cm[:, None]).reshape(v.shape)

        method = "Radau" if stiff else "DOP853"
        run = integrate.solve_ivp(slope, (0.0, span), states[-1], method=method, rtol=1e-9, atol=1e-10, vectorized=True)
        assert run.success
        states.append(run.y[:, -1])
    return np.array(states)


def checked(kind: str, seed: int) -> tuple[float, list[Recording]]:
    """(largest error / bound, the runs) of one random network: with a random quantum, and to a tolerance."""
    network, generator = random_networks.network_of(kind, seed, gaps=seed % 2 == 1)
    x, timespans, stream = random_networks.stream_of(generator, network.inputs)
    exact = kind in ("exact", "second")
    if exact:  # SciPy needs seconds for more
        x, timespans = x[:12], timespans[:12]
        stream = EventStream.from_samples(x, timespans=timespans)
    right = solved(network, x, timespans) if exact else np.vstack([np.zeros(network.units), trajectory(network, x, timespans).states[0]])
    order = 2 if kind == "second" else 1
    options = {"quantum": 10.0 ** generator.uniform(-4, -1.5)}, {"tolerance": 10.0 ** generator.uniform(-3, -1)}
    runs = [simulate(network, stream, engine="event", order=order, **option) for option in options]  # type: ignore[arg-type]
    worst = 0.0
    for run in runs:
        assert run.error_bound_kind in ("derived", "measured", "confirmed", "box")
        error = float(np.abs(run.state - right).max()) - (SOLVED if exact else 0.0)
        assert error <= run.error_bound, (kind, seed, error, run.error_bound, run.error_bound_kind)
        worst = max(worst, error / run.error_bound)
    return worst, runs


@pytest.mark.parametrize("kind", random_networks.KINDS)
def test_no_error_exceeds_its_bound(kind: str) -> None:
    for seed in range(6 if kind in ("exact", "second") else 20):
        checked(kind, seed)


def test_amplified_rounding_belongs_to_a_measured_bound() -> None:
    checked("fused", 501227)  # rounding grows to 5e-9 there


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("kind", random_networks.KINDS)
def test_no_error_exceeds_its_bound_on_a_thousand_networks(kind: str, part: int) -> None:
    kept = [run for seed in range(50 * part, 50 * part + 50) for run in checked(kind, 100 + seed)[1]]
    assert sum(run.error_bound < 0.1 for run in kept) > len(kept) // 10  # bounds that say something


# --- kinds of bounds ------------------------------------------------------------------------------------------------------------------


def test_a_measured_bound_is_the_largest_difference_to_the_clock() -> None:
    for kind, slack in (("fused", bounds.ROUNDING), ("exact", 5e-3), ("second", 5e-3)):
        for seed in range(5):
            network, generator = random_networks.network_of(kind, seed)
            _, _, stream = random_networks.stream_of(generator, network.inputs)
            order = 2 if kind == "second" else 1
            run = simulate(network, stream, engine="event", order=order, quantum=1e-2, until=float(stream.sample_times_s[4]))
            clock = simulate(network, stream, engine="clocked", tolerance=1e-6, until=float(stream.sample_times_s[4]))
            error = float(np.abs(run.state - clock.state).max())
            assert run.error_bound_kind == "measured"
            assert error - 1e-6 <= run.error_bound
            if error < 0.05:  # else the amplification of rounding is added
                assert run.error_bound <= error + slack + 1e-6


def larger(seed: int) -> tuple[LiquidNetwork, np.ndarray, np.ndarray, np.random.Generator]:
    """(network, x, timespans, generator): 64 to 200 neurons, some with weights and slopes up to 8 times ncps' ranges."""
    generator = np.random.default_rng([seed, 64])
    units, inputs = int(generator.integers(64, 201)), int(generator.integers(1, 9))
    if seed % 2:
        wiring = Wiring.random_fan_in(inputs, units, 1, fan_in=int(generator.integers(2, 33)), seed=seed, sensory_fan_in=1)
    else:
        wiring = Wiring.auto_ncp(inputs, units, 2, seed=seed)
    network = liquid_neuro.ltc(wiring, seed=seed, softplus=False)
    if seed % 3:
        scaled = {name: network.parameters[name] * 8.0 ** generator.uniform(0, 1) for name in ("w", "sigma", "sensory_w", "sensory_sigma")}
        network = network.with_parameters(scaled | {"mu": network.parameters["mu"] - generator.choice([0.0, 0.5])})
    x, timespans, _ = random_networks.stream_of(generator, inputs)
    return network, x, timespans, generator


def confirmed(seed: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a larger network whose companions tell the error kept a tolerance, after none of its runs was found to exceed its bound."""
    random_networks.without_the_clock(monkeypatch)
    network, x, timespans, generator = larger(seed)
    right = np.vstack([np.zeros(network.units), trajectory(network, x, timespans).states[0]])
    tolerance, bound = 10.0 ** generator.uniform(-3, -1.5), np.inf
    for option in ({"quantum": 10.0 ** generator.uniform(-4, -1.5)}, {"tolerance": tolerance}):
        run = simulate(network, EventStream.from_samples(x, timespans=timespans), engine="event", **option)  # type: ignore[arg-type]
        error, bound = float(np.abs(run.state - right).max()), run.error_bound
        assert run.error_bound_kind in ("confirmed", "derived", "box")
        assert error <= bound, (seed, error, bound, run.error_bound_kind)
    return bound <= tolerance


def test_no_error_exceeds_its_confirmed_bound_in_larger_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(16):
        confirmed(seed, monkeypatch)


def test_confirmed_bounds_are_narrow_where_errors_are_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    random_networks.without_the_clock(monkeypatch)
    network = liquid_neuro.ltc(Wiring.random_fan_in(3, 302, 1, 20, seed=1, sensory_fan_in=1), seed=1)
    x = np.cumsum(np.random.default_rng(0).normal(size=(40, 3)), axis=0)
    run = simulate(network, EventStream.from_samples(x, sample_s=1.0), engine="event", tolerance=1e-2)
    error = float(np.abs(run.state[1:] - trajectory(network, x).states[0]).max())
    assert run.error_bound_kind == "confirmed"
    assert error < run.error_bound < 6.0 * error  # SAFETY, and what the largest of some thousand differences leaves to luck
    assert run.error_bound <= 1e-2


def test_where_companions_leave_doubt_the_clock_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tolerances, "CHEAP", 0.0)
    monkeypatch.setattr(tolerances, "PER_OPERATION", (0.0, 0.0))
    kinds = set()
    for seed in range(12):
        network, x, timespans, _ = larger(seed)
        run = simulate(network, EventStream.from_samples(x, timespans=timespans), engine="event", quantum=0.02)
        found = companions.differences(make_plan(network, EventStream.from_samples(x, timespans=timespans), None, None, None), run, 1)
        assert found is not None
        sure = bounds.in_proportion(found, run.quantum, 1)
        assert run.error_bound_kind in (("confirmed", "derived", "box") if sure else ("measured", "derived", "box"))
        kinds.add(run.error_bound_kind)
    assert {"confirmed", "measured"} <= kinds


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_no_error_exceeds_its_confirmed_bound_in_many_larger_networks(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = sum(confirmed(1000 + seed, monkeypatch) for seed in range(150 * part, 150 * part + 150))
    assert kept > 0.75 * 150  # the others amplify too much for that: 65 of 541 others did


# --- responses and quanta -------------------------------------------------------------------------------------------------------------


def test_the_response_of_large_networks_is_found_by_steps() -> None:
    ratios = []
    for seed in range(20):
        network = liquid_neuro.ltc(Wiring.random_fan_in(2, 60, 1, 8, seed=seed), seed=seed)
        values, generator = ltc.effective(network), np.random.default_rng(seed)
        state, levels = generator.normal(size=60), generator.normal(size=2)
        quantum = generator.uniform(0.5, 2.0, 60)
        solved = bounds.response(quantum, [bounds.ltc_jacobian(values, state, levels)])
        sought = sparse.worst_response(sparse.pulls_of(values, state, levels), quantum)
        if np.isfinite(sought):  # the series settles
            ratios.append(sought / solved)
    assert len(ratios) > 10
    assert 0.5 < min(ratios) <= max(ratios) < 1.02  # steps end within CLOSE, and at a neuron that need not be the worst
    assert np.median(ratios) > 0.9


def test_neurons_that_do_little_to_others_have_larger_quanta() -> None:
    wiring = Wiring.random_fan_in(2, 40, 1, 6, seed=3)
    network = liquid_neuro.ltc(wiring, seed=3, softplus=False)
    weak = np.where(wiring.source < 10, 0.01, 1.0)
    values = ltc.effective(network.with_parameters({"w": network.parameters["w"] * weak}))
    heard_by = np.bincount(wiring.source, minlength=40).astype(np.float64)
    shape = sparse.shape_of_quanta(values, heard_by, np.zeros(40), np.zeros(2))
    heard = heard_by > 0
    assert shape[:10][heard[:10]].min() > shape[10:][heard[10:]].mean()
    assert (shape[~heard] == 1.0).all()
    assert 1.0 / sparse.WIDEST <= shape.min() <= shape.max() <= sparse.WIDEST


def test_quanta_of_their_own_save_synaptic_operations() -> None:
    """Operations grow as 1 / quantum and errors as the quantum: their product tells, whatever the quanta's size."""
    products = []
    for seed in range(8):
        network = liquid_neuro.ltc(Wiring.auto_ncp(3, 32, 3, seed=seed), seed=seed)
        x = np.cumsum(np.random.default_rng(seed).normal(size=(60, 3)) * 0.3, axis=0)
        stream, right = EventStream.from_samples(x, sample_s=1.0), trajectory(network, x).states[0]
        one = simulate(network, stream, engine="event")
        mean = np.full(network.units, float(one.quantum.mean()))
        pair = (one, simulate(network, stream, quantum=mean, tolerance=None))
        own, same = (run.synaptic_operations * float(np.sqrt(np.mean((run.state[1:] - right) ** 2))) for run in pair)
        products.append(own / same)
    assert np.exp(np.mean(np.log(products))) < 0.95
