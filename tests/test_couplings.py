"""Gap junctions and synaptic delays: in wirings, in files, and in the sampled reference against closed forms and other solvers."""

from __future__ import annotations

import dataclasses
import pickle

import networkx
import numpy as np
import pytest
from networks import l4, one_neuron

import liquid_neuro
from liquid_neuro import Exact, Fused, LiquidNetwork, LTCSettings, Wiring, cfc, integrate, ltc
from liquid_neuro.cells import ltc as cell
from liquid_neuro.dynamics import trajectory

SIX = Fused(6)


def coupled(solver=SIX, seed: int = 0, gaps: bool = True, delays: bool = False, softplus: bool = True) -> LiquidNetwork:
    """Six neurons in two inputs, every second pair of neighbours joined by a gap junction."""
    joined = np.diag(np.ones(5), 1) + np.diag(np.ones(5), -1) if gaps else None
    base = Wiring.random(2, 6, 2, 0.5, seed=seed)
    wiring = Wiring.from_adjacency(base.adjacency(), base.sensory_adjacency(), 2, gap=joined)
    network = ltc(wiring, seed=seed, solver=solver, softplus=softplus)
    if not delays:
        return network
    rng = np.random.default_rng(seed)
    lags = {
        "delay": rng.choice([0.0, 0.3, 0.75], wiring.synapse_count),
        "sensory_delay": rng.choice([0.0, 0.4], wiring.sensory_synapse_count),
    }
    return network.with_parameters(lags)


def two_neurons(solver, gap_w: float = 0.7, **changes) -> LiquidNetwork:
    """Two neurons that know each other through a gap junction alone."""
    wiring = Wiring.from_adjacency(np.zeros((2, 2)), np.zeros((0, 2)), 1, gap=[[0, 1], [1, 0]])
    parameters = {"cm": [0.5, 2.0], "gleak": [0.2, 0.0], "vleak": [1.0, 0.0], "gap_w": [gap_w], **changes}
    parameters |= {f"{side}{name}": [] for side in ("", "sensory_") for name in cell.SYNAPSE}
    return LiquidNetwork("ltc", 0, 2, 1, parameters, LTCSettings(softplus=False, epsilon=0.0), solver, wiring)


# --- wirings ------------------------------------------------------------------------------------------------------------------------------


def test_gap_junctions_are_undirected_sorted_and_read_only():
    base = Wiring.random(2, 5, 1, 0.5)
    wiring = dataclasses.replace(base, gap_source=[4, 0, 2], gap_target=[1, 3, 0])
    assert (wiring.gap_source.tolist(), wiring.gap_target.tolist(), wiring.gap_count) == ([0, 0, 1], [2, 3, 4], 3)
    assert wiring.gap_source.dtype == np.int32
    with pytest.raises(ValueError, match="read-only"):
        wiring.gap_source[0] = 1
    assert wiring != base
    assert wiring == dataclasses.replace(base, gap_source=[0, 1, 0], gap_target=[2, 4, 3])
    assert hash(wiring) == hash(pickle.loads(pickle.dumps(wiring)))
    assert "gap_junctions=3" in repr(wiring)


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        ([0], [0], "a gap junction must join two units, but one joins unit 0 to itself; leave it out"),
        ([0, 1], [1, 0], "gap junctions must join each pair at most once, but 0 and 1 are joined twice"),
        ([0], [5], "a gap junction must join units 0 to 4, but the values lie in 5 to 5"),
        ([0, 1], [1], "gap junction lists must be of one length, but are 2 and 1 long"),
        ([0.5], [1.0], "a gap junction must join units 0 to 4"),
    ],
)
def test_bad_gap_junctions_are_refused(source, target, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(Wiring.random(2, 5, 1, 0.5), gap_source=source, gap_target=target)


def test_a_gap_matrix_must_be_symmetric():
    with pytest.raises(ValueError, match=r"gap must be symmetric, but \[0, 1\] and \[1, 0\] differ; give gap \+ gap.T"):
        Wiring.from_adjacency(np.zeros((2, 2)), np.zeros((1, 2)), 1, gap=[[0, 1], [0, 0]])
    with pytest.raises(ValueError, match=r"gap must be a matrix of shape \(2, 2\), but has shape \(3,\)"):
        Wiring.from_adjacency(np.zeros((2, 2)), np.zeros((1, 2)), 1, gap=[0, 1, 0])


def test_graphs_carry_gap_junctions_there_and_back():
    wiring = coupled().wiring
    assert Wiring.from_networkx(wiring.to_networkx()).gap_count == wiring.gap_count
    again = dataclasses.replace(wiring, layers=(), roles=np.array([3, 3, 0, 0, 0, 0]))
    assert Wiring.from_networkx(again.to_networkx()) == again


def test_a_multigraph_may_join_a_pair_by_a_synapse_and_a_gap_junction():
    graph = networkx.MultiDiGraph()
    graph.add_edge("motor_0", "inter_0", polarity=1)
    graph.add_edge("motor_0", "inter_0", gap=True, weight=3)
    wiring = Wiring.from_networkx(graph)
    assert (wiring.synapse_count, wiring.gap_count) == (1, 1)
    graph.add_edge("sensory_0", "inter_0", gap=True)
    with pytest.raises(ValueError, match="a gap junction must join two units, but sensory_0 - inter_0 has an input"):
        Wiring.from_networkx(graph)


@pytest.mark.parametrize("delays", [False, True])
def test_files_carry_both(tmp_path, delays):
    network = coupled(delays=delays)
    again = liquid_neuro.load(liquid_neuro.save(network, tmp_path / "n.safetensors"))
    assert again.wiring == network.wiring
    assert {name: value.tolist() for name, value in again.parameters.items()} == {n: v.tolist() for n, v in network.parameters.items()}


def test_values_hold_every_gap_junction_both_ways():
    values = cell.effective(coupled(softplus=False))
    assert values.has_gaps
    assert not values.has_delays
    assert values.gap_source.tolist() == [0, 1, 2, 3, 4, 1, 2, 3, 4, 5]
    assert values.gap_target.tolist() == [1, 2, 3, 4, 5, 0, 1, 2, 3, 4]
    np.testing.assert_array_equal(values.gap_w[:5], values.gap_w[5:])
    assert cell.effective(coupled(delays=True)).has_delays


def test_what_does_not_fit_is_refused():
    network = coupled(softplus=False)
    with pytest.raises(ValueError, match=r"gap_w must be at least 0 without softplus, but gap_w\[2\] is -0.1"):
        network.with_parameters({"gap_w": [0, 0, -0.1, 0, 0]})
    with pytest.raises(ValueError, match='must not hold "gap_w"'):
        l4(gap_w=[1.0])
    with pytest.raises(ValueError, match='parameters must hold "gap_w"'):
        dataclasses.replace(network, parameters={n: v for n, v in network.parameters.items() if n != "gap_w"})
    with pytest.raises(ValueError, match=r"delay must be at least 0 in model time, but delay\[0\] is -1"):
        coupled().with_parameters({"delay": np.full(network.wiring.synapse_count, -1.0)})
    wired = Wiring.auto_ncp(2, 8, 2)
    with pytest.raises(ValueError, match="wiring of a CfC must have no gap junctions, but has 1; use an LTC"):
        cfc(dataclasses.replace(wired, gap_source=[0], gap_target=[1]))
    with pytest.raises(ValueError, match='must not hold "delay"'):
        cfc(wired).with_parameters({"delay": [1.0]})


# --- gap junctions ------------------------------------------------------------------------------------------------------------------------


def test_a_gap_junction_is_a_linear_coupling():
    """Two neurons obey a linear equation: its solution is a matrix exponential, here by eigenvalues."""
    network, start = two_neurons(Exact()), np.array([0.3, -0.4])
    cm, gap = network.parameters["cm"], 0.7
    matrix = np.array([[-(0.2 + gap), gap], [gap, -gap]]) / cm[:, None]
    eigenvalues, vectors = np.linalg.eig(matrix)
    decay = vectors @ np.diag(np.exp(eigenvalues * 0.9)) @ np.linalg.inv(vectors)
    right = 1.0 + decay @ (start - 1.0)  # both rest at the one leak's potential
    assert np.abs(integrate(network, np.zeros((3, 0)), 0.3, start)[1] - right).max() < 1e-10
    fine = integrate(network.with_solver(Fused(3000)), np.zeros((3, 0)), 0.3, start)[1]
    assert np.abs(fine - right).max() < 3e-4  # first order: h = 1e-4 times slopes of about 2


def test_a_fused_sub_step_adds_the_gap_to_both_sums():
    network, (a, b) = two_neurons(Fused(1)), (0.3, -0.4)
    right = [(0.5 * a + 0.2 + 0.7 * b) / (0.5 + 0.2 + 0.7), (2.0 * b + 0.7 * a) / (2.0 + 0.7)]
    np.testing.assert_allclose(integrate(network, np.zeros((1, 0)), 1.0, np.array([a, b]))[1], right, rtol=1e-15)


def test_a_neuron_without_inertia_follows_its_gap_junction_but_two_make_a_loop():
    network = two_neurons(Exact(), cm=[0.0, 2.0])
    state = integrate(network, np.zeros((1, 0)), 0.5, np.array([0.0, -0.4]))[1]
    assert state[0] == pytest.approx((0.2 + 0.7 * state[1]) / 0.9, abs=1e-14)
    with pytest.raises(ValueError, match="must not form a loop"):
        integrate(two_neurons(Exact(), cm=[0.0, 0.0], gleak=[0.2, 0.1]), np.zeros((1, 0)))


def test_a_gap_of_no_conductance_changes_nothing():
    x = np.random.default_rng(0).normal(size=(5, 2))
    for solver in (SIX, Exact()):
        plain, with_gaps = coupled(solver, gaps=False, softplus=False), coupled(solver, softplus=False)
        zeroed = with_gaps.with_parameters({**plain.parameters, "gap_w": np.zeros(5)})
        np.testing.assert_array_equal(integrate(plain, x)[0], integrate(zeroed, x)[0])


def other_solver(network: LiquidNetwork, x: np.ndarray, span: float) -> np.ndarray:
    """The state after the samples x by SciPy's DOP853 over pieces in which what delayed synapses hear is known (method of steps)."""
    integrate_with = pytest.importorskip("scipy.integrate").solve_ivp
    values = cell.effective(network)
    delays = np.unique(np.concatenate([values.delay, values.sensory_delay, [span]]))
    piece = 0.05  # divides every delay and the samples
    assert np.abs(np.round(delays / piece) * piece - delays).max() < 1e-12
    solutions: list = []

    def heard(time: float, source: int, v: np.ndarray, delay: float) -> float:
        if delay == 0:
            return v[source]
        index = int(np.floor((time - delay) / piece + 1e-9))
        return 0.0 if index < 0 else float(solutions[index](time - delay)[source])

    def slope(time: float, v: np.ndarray, middle: float) -> np.ndarray:
        g, c = values.gleak.copy(), values.gleak * values.vleak
        synapses = []
        for side in ("", "sensory_"):
            lists = (getattr(values, side + name) for name in ("source", "delay", "target", "w", "sigma", "mu", "erev"))
            for s, d, *rest in zip(*lists):
                if not side:
                    synapses.append((heard(time, s, v, d), *rest))
                    continue
                row = int(np.floor((middle - d) / span))
                level = x[row, s] if row >= 0 else 0.0
                synapses.append((level * values.input_w[s] + values.input_b[s], *rest))
        for value, target, w, sigma, mu, erev in synapses:
            gate = w / (1 + np.exp(-sigma * (value - mu)))
            g[target] += gate
            c[target] += gate * erev
        for s, t, w in zip(values.gap_source, values.gap_target, values.gap_w):
            g[t] += w
            c[t] += w * v[s]
        return (c - g * v) / values.cm

    v = np.zeros(network.units)
    for index in range(round(len(x) * span / piece)):
        begin = index * piece
        done = integrate_with(
            slope, (begin, begin + piece), v, "DOP853", args=(begin + piece / 2,), rtol=1e-11, atol=1e-12, dense_output=True
        )
        solutions.append(done.sol)
        v = done.y[:, -1]
    return v


@pytest.mark.parametrize(("gaps", "delays"), [(True, False), (False, True), (True, True)])
def test_the_exact_solution_agrees_with_another_solver(gaps, delays):
    network, x = coupled(Exact(), 3, gaps, delays), np.random.default_rng(1).normal(size=(4, 2))
    found = integrate(network, x, 0.5)[1]
    assert np.abs(found - other_solver(network, x, 0.5)).max() < 1e-8  # DOP853's dense solution is of order 7, over pieces of 0.05


# --- delays -------------------------------------------------------------------------------------------------------------------------------


def test_a_delayed_input_is_the_input_later():
    """One neuron hears its input 0.75 later; before, the level 0."""
    plain = one_neuron(0.3, 0.5, 0.1, (1.2, 5.0, 0.5, 1.0))
    delayed = plain.with_parameters({"sensory_delay": [0.75]})
    x = np.array([[1.0], [0.2], [0.9]])
    late = integrate(plain, np.array([[0.0], [1.0], [0.2], [0.9]]), [0.75, 1.0, 1.0, 0.25])[1]
    assert np.abs(integrate(delayed, x, 1.0)[1] - late).max() < 1e-10


def test_zero_delays_are_no_delays():
    x, spans = np.random.default_rng(0).normal(size=(3, 4, 2)), np.random.default_rng(1).uniform(0, 1, (3, 4))
    for solver in (SIX, Exact()):
        network = coupled(solver)
        zero = network.with_parameters({"delay": np.zeros(network.wiring.synapse_count)})
        np.testing.assert_array_equal(integrate(network, x, spans)[0], integrate(zero, x, spans)[0])


def naive_delayed(network: LiquidNetwork, x: np.ndarray, spans: np.ndarray, start: np.ndarray) -> np.ndarray:
    """States after each sample by plain loops over everything ever sent."""
    values, unfolds = cell.effective(network), network.solver.unfolds
    sent, levels, v, now, states = [(-np.inf, start)], [(-np.inf, values.input_b)], start, 0.0, []
    for row, span in zip(x, spans):
        levels.append((now, row * values.input_w + values.input_b))
        h = span / unfolds
        for index in range(unfolds if span > 0 else 0):
            time = now + index * h
            sent.append((time, v))
            g, c = values.gleak + values.epsilon, values.gleak * values.vleak
            for past, side in ((sent, ""), (levels, "sensory_")):
                lists = (getattr(values, side + name) for name in ("source", "target", "w", "sigma", "mu", "erev", "delay"))
                for source, target, w, sigma, mu, erev, delay in zip(*lists):
                    heard = [value for at, value in past if at + delay <= time + 1e-6 * h][-1]
                    gate = w / (1 + np.exp(-sigma * (heard[source] - mu)))
                    g[target] += gate
                    c[target] += gate * erev
            for source, target, w in zip(values.gap_source, values.gap_target, values.gap_w):
                g[target] += w
                c[target] += w * v[source]
            v = (values.cm * v + h * c) / (values.cm + h * g)
        now += span
        states.append(v)
    return np.array(states)


@pytest.mark.parametrize("seed", range(4))
def test_fused_delays_equal_a_plain_loop(seed):
    network, rng = coupled(Fused(3), seed, delays=True), np.random.default_rng(seed)
    x, start = rng.normal(size=(3, 8, 2)), rng.uniform(-0.5, 0.5, (3, 6))
    spans = rng.choice([0.0, 0.1, 0.3, 0.9], (3, 8))  # a delay of 0.3 is three or one sub-steps of some of these
    run = trajectory(network, x, spans, start)
    for row in range(3):
        assert np.abs(run.states[row] - naive_delayed(network, x[row], spans[row], start[row])).max() < 1e-13


def test_a_fused_delay_falls_on_the_sub_step_it_means():
    """0.3 is three sub-steps of 0.1, though 0.1 + 0.1 + 0.1 > 0.3 in binary: the input is heard in the fourth sub-step."""
    network = one_neuron(0.3, 0.5, 0.0, (1.2, 50.0, 0.5, 1.0), Fused(1)).with_parameters({"sensory_delay": [0.3]})
    moved = integrate(network, np.ones((6, 1)), 0.1)[0][:, 0] > 0.05
    assert moved.tolist() == [False, False, False, True, True, True]


def test_a_loop_through_a_delay_oscillates_as_the_method_of_steps_says():
    """v' = -v + 1 - s with s a step of what v was one unit ago: a delayed relay, whose first switches have closed forms."""
    wiring = Wiring.from_adjacency([[-1]], np.zeros((0, 1)), 1)
    parameters = {"cm": [1.0], "gleak": [1.0], "vleak": [1.0], "w": [1.0], "sigma": [4000.0], "mu": [0.5], "erev": [-1.0], "delay": [1.0]}
    parameters |= {f"sensory_{name}": [] for name in cell.SYNAPSE}
    network = LiquidNetwork("ltc", 0, 1, 1, parameters, LTCSettings(softplus=False), Exact(), wiring)
    switch = np.log(2.0) + 1.0  # v = 1 - e^-t passes 1/2 at ln 2
    highest = 1.0 - np.exp(-switch)
    states = trajectory(network, np.zeros((2, 0)), [switch, 0.3]).states[0, :, 0]
    # then 2 v' = -2 (2 v) ...: g = 2, c = 0; the sigmoid's width moves the switch by less than 1e-3
    assert np.abs(states - [highest, highest * np.exp(-0.6)]).max() < 2e-3


def test_a_loop_of_neurons_without_inertia_is_allowed_where_a_delay_breaks_it():
    wiring = Wiring.from_adjacency([[0, 1], [1, 0]], np.zeros((0, 2)), 1)
    parameters = {"cm": [0.0, 0.0], "gleak": [1.0, 1.0], "vleak": [0.2, 0.4], "w": [1.0, 0.5], "sigma": [3.0, 3.0], "mu": [0.5, 0.3]}
    parameters |= {"erev": [1.0, 1.0], **{f"sensory_{name}": [] for name in cell.SYNAPSE}}
    network = LiquidNetwork("ltc", 0, 2, 1, parameters, LTCSettings(softplus=False), Exact(), wiring)
    with pytest.raises(ValueError, match="must not form a loop"):
        integrate(network, np.zeros((1, 0)))
    delayed = network.with_parameters({"delay": [0.25, 0.0]})  # neuron 1 hears neuron 0 later
    v, before = np.zeros(2), 0.0
    states = trajectory(delayed, np.zeros((8, 0)), np.full(8, 0.25)).states[0]
    for state in states:  # constant between multiples of the delay
        gate = 1.0 / (1 + np.exp(-3.0 * (before - 0.5)))
        v[1] = (0.4 + gate) / (1.0 + gate)
        gate = 0.5 / (1 + np.exp(-3.0 * (v[1] - 0.3)))
        v[0] = before = (0.2 + gate) / (1.0 + gate)
        np.testing.assert_allclose(state, v, atol=1e-12)


def test_a_batch_of_delayed_runs_equals_single_runs():
    rng = np.random.default_rng(0)
    x, spans = rng.normal(size=(3, 4, 2)), rng.choice([0.0, 0.2, 0.7], (3, 4))
    for solver in (SIX, Exact()):
        network = coupled(solver, delays=True)
        y = integrate(network, x, spans)[0]
        for row in range(3):
            np.testing.assert_array_equal(y[row], integrate(network, x[row], spans[row])[0])


def test_delays_beside_mixed_memory():
    network = ltc(coupled().wiring, seed=1, mixed_memory=True)
    x = np.random.default_rng(0).normal(size=(6, 2))
    lags = {"delay": np.full(network.wiring.synapse_count, 1e-3)}  # little of a sub-step: heard one sub-step later
    later = integrate(network.with_parameters(lags), x)[0]
    assert np.isfinite(later).all()
    one = {"delay": np.full(network.wiring.synapse_count, 1.0 / 6.0)}
    np.testing.assert_array_equal(later, integrate(network.with_parameters(one), x)[0])
    assert np.abs(later - integrate(network, x)[0]).max() > 1e-3


def test_many_different_delays():
    network = coupled(Exact(), 2)
    rng = np.random.default_rng(5)
    synapses, sensory = network.wiring.synapse_count, network.wiring.sensory_synapse_count
    network = network.with_parameters({"delay": rng.uniform(0.05, 2.0, synapses), "sensory_delay": rng.uniform(0.0, 1.0, sensory)})
    x = rng.normal(size=(3, 2))
    one = integrate(network, x, 1.0)[1]
    loose = trajectory(network, x, 1.0, tolerance=1e-6).final[0]
    assert 0 < np.abs(one - loose).max() < 1e-4
    fine = integrate(network.with_solver(Fused(1000)), x, 1.0)[1]
    assert np.abs(one - fine).max() < 4e-3  # first order with h = 1e-3
