"""The sampled reference: against recorded ncps runs, against closed forms, and at the edges (no time, no inertia, no leak)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import GOLDEN, c4, golden, l4, ncp19, one_neuron

from liquid_neuro import Exact, Fused, Wiring, cfc, integrate, ltc
from liquid_neuro.cells import ltc as cell
from liquid_neuro.cells.cfc import layer_mask
from liquid_neuro.dynamics import trajectory

# Recorded in float32: its rounding (6e-8) accumulated over 25 samples; the largest difference found is 4e-7.
GOLDEN_BOUND = 1e-6
# Field cases are written with nine digits.
NINE_DIGITS = 6e-10


def parts(state):
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_golden_runs_of_ncps(name, suffix):
    network, recorded = golden(name, suffix)
    for case, timespans in (("regular", None), ("irregular", recorded["irregular.timespans"])):
        y, state = integrate(network, recorded["x"], timespans)
        assert np.abs(y - recorded[f"{case}.y"]).max() < GOLDEN_BOUND
        assert np.abs(parts(state)[0] - recorded[f"{case}.h"]).max() < GOLDEN_BOUND


@pytest.mark.parametrize("name", ["ltc_ncp19", "cfc_default"])
def test_golden_runs_from_torch_files(name):
    network, recorded = golden(name, ".pt")
    assert np.abs(integrate(network, recorded["x"])[0] - recorded["regular.y"]).max() < GOLDEN_BOUND


def a01_input():
    b, t, i = np.arange(4)[:, None, None], np.arange(3)[None, :, None], np.arange(3)
    return np.sin(0.5 * (b + 1) * (t + 1) + i), (0.1 * (b + 1) + 0.05 * t)[..., 0]


def test_a01_timespans_belong_to_samples():
    x, timespans = a01_input()
    right = [
        [0.213289752, -0.246698172, 0.068957539, -0.344798665],
        [-0.112709205, 0.083591258, -0.176208819, 0.189628568],
        [-0.155352012, -0.056020181, -0.099419094, 0.449686963],
        [0.011628282, -0.553232357, 0.165128187, 0.277752737],
    ]
    assert np.abs(integrate(c4(), x, timespans)[1] - right).max() < NINE_DIGITS


@pytest.mark.parametrize("network", [c4(), l4(), l4(True), l4(solver=Exact())], ids=["cfc", "ltc", "softplus", "exact"])
def test_a01_every_batch_size_equals_single_samples(network):
    x, timespans = a01_input()
    x = x[..., : network.inputs]
    single = np.concatenate([integrate(network, x[row], timespans[row])[0][None] for row in range(4)])
    bound = 1e-9 if network.solver == Exact() else 1e-12  # a batch solves the equation in common steps, each within its tolerance
    for rows in ([0], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 0, 1, 2]):
        for spans in (timespans[rows], timespans[rows][..., None]):
            assert np.abs(integrate(network, x[rows], spans)[0] - single[rows]).max() < bound


def test_timespans_of_one_dimension_belong_to_time():
    network, x = l4(), np.random.default_rng(0).normal(size=(3, 3, 2))
    y = integrate(network, x, [0.1, 0.7, 0.3])[0]
    np.testing.assert_array_equal(y, integrate(network, x, np.tile([0.1, 0.7, 0.3], (3, 1)))[0])
    np.testing.assert_array_equal(integrate(network, x, 0.5)[0], integrate(network, x, np.full((3, 3), 0.5))[0])


def test_a02_a_timespan_of_zero_leaves_the_state():
    x, timespans = np.array([[1.0, 0], [0, 1], [1, 1]]), [0.5, 0, 0.5]
    run = trajectory(l4(), x, timespans)
    assert np.abs(run.y[0, :, 0] - [0.113892893, 0.113892893, 0.467564889]).max() < 1e-7
    assert np.abs(run.final - [0.467564889, 0.846297689, 0.259705403, 0.473676755]).max() < 1e-7
    np.testing.assert_array_equal(run.states[0, 0], run.states[0, 1])


@pytest.mark.parametrize(
    "network",
    [
        l4(),
        l4(solver=Exact()),
        l4(cm=np.zeros(4)),
        c4(),
        c4("no_gate"),
        cfc(5, 2, mixed_memory=True),
        ltc(Wiring.auto_ncp(2, 8, 2), mixed_memory=True),
    ],
    ids=["fused", "exact", "no inertia", "cfc", "no_gate", "cfc memory", "ltc memory"],
)
def test_a02_for_every_cell_and_in_single_rows_of_a_batch(network):
    x = np.random.default_rng(1).normal(size=(2, 4, network.inputs))
    spans = np.array([[0.5, 0.0, 0.25, 0.0], [0.5, 0.3, 0.0, 0.2]])
    y, state = integrate(network, x, spans)
    for row in range(2):
        kept = spans[row] > 0
        shorter, final = integrate(network, x[row, kept], spans[row, kept])
        assert np.abs(y[row, kept] - shorter).max() < 1e-9
        assert all(np.abs(a[row] - b).max() < 1e-9 for a, b in zip(parts(state), parts(final)))
    assert np.isfinite(y).all()


def test_a07_stiff_neurons_and_decay():
    stiff = one_neuron(0.01, 1.0, 0.5)
    assert abs(integrate(stiff, np.zeros((1, 1)))[1][0] - 0.5) < 1e-9
    assert abs(integrate(stiff.with_solver("fused"), np.zeros((1, 1)))[1][0] - 0.499999979) < 1e-9
    decay = one_neuron(1.0, 1.0, 0.0)
    assert abs(integrate(decay, np.zeros((1, 1)), state=np.ones(1))[1][0] - np.exp(-1)) < 1e-10
    assert abs(integrate(decay.with_solver("fused"), np.zeros((1, 1)), state=np.ones(1))[1][0] - (6 / 7) ** 6) < 2e-8  # ncps' epsilon


def test_a08_a_short_pulse_in_the_closed_form():
    network = one_neuron(0.05, 0.5, 0.0, (1.2, 5.0, 0.5, 1.0))
    y = integrate(network, [[0.0], [10.0], [0.0], [0.0]], [1.0, 0.001, 0.009, 0.99])[0][:, 0]
    assert np.abs(y - [0.154017859, 0.172465859, 0.170604166, 0.154019128]).max() < 1e-9


@pytest.mark.parametrize(
    ("unfolds", "softplus", "right"),
    [
        (6, True, [-0.002263703, 0.595593687, 0.352669367, 0.343716120]),
        (6, False, [0.241254270, 0.737167062, 0.518219058, 0.521983455]),
        (3, True, [-0.030815316, 0.557161674, 0.355931731, 0.347307275]),
        (3, False, [0.182014142, 0.717524858, 0.520892612, 0.522246695]),
    ],
)
def test_a15_solver_settings_change_the_result(unfolds, softplus, right):
    y = integrate(l4(softplus, Fused(unfolds)), [[1, 0], [0, 1], [1, 1], [0.5, 0.2]])[0]
    assert np.abs(y[:, 0] - right).max() < NINE_DIGITS


@pytest.mark.parametrize("network", [l4(), l4(solver=Exact()), cfc(5, 2, mixed_memory=True)], ids=["fused", "exact", "memory"])
def test_a23_two_chunks_equal_one_run(network):
    x, timespans = np.array([[1, 0], [0, 1], [1, 1], [0.5, 0.2], [0, 0]]), np.array([0.5, 0.2, 1, 0.1, 0.7])
    whole, final = integrate(network, x, timespans)
    first, state = integrate(network, x[:2], timespans[:2])
    second, end = integrate(network, x[2:], timespans[2:], state)
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    assert all((a == b).all() for a, b in zip(parts(end), parts(final)))
    if network.solver == Fused():
        assert np.abs(whole[:, 0] - [0.113892893, 0.489995596, 0.511831030, 0.515130904, 0.621916851]).max() < NINE_DIGITS


def test_a31_no_leak_and_no_input_is_a_memory():
    network = l4()
    wiring = network.wiring
    adjacency, sensory = wiring.adjacency(), wiring.sensory_adjacency()
    keep, sensory_keep = wiring.target != 0, wiring.sensory_target != 0
    adjacency[:, 0] = sensory[:, 0] = 0
    parameters = dict(network.parameters, gleak=np.array([0.0, *network.parameters["gleak"][1:]]))
    for name in ("w", "sigma", "mu", "erev"):
        parameters |= {name: network.parameters[name][keep], f"sensory_{name}": network.parameters[f"sensory_{name}"][sensory_keep]}
    changed = dataclasses.replace(network, wiring=Wiring.from_adjacency(adjacency, sensory, 1), parameters=parameters)
    start, x = np.array([0.3, 0, 0, 0]), np.eye(2)
    fused, exact = (integrate(item, x, [0.5, 2.0], start)[1] for item in (changed, changed.with_solver("exact")))
    assert abs(fused[0] - 0.3) <= 2e-8  # ncps' epsilon
    assert exact[0] == 0.3
    assert np.isfinite(fused).all()
    assert np.isfinite(exact).all()


@pytest.mark.parametrize("solver", [Fused(), Exact()])
def test_a31_without_inertia_a_neuron_jumps(solver):
    network = one_neuron(0.0, 0.5, 0.1, (1.1, 5.0, 0.5, -1.0), solver)
    y = integrate(network, [[0.0], [0.9]])[0][:, 0]
    assert np.abs(y - [-0.057321693, -0.625564237]).max() < 2e-8  # ncps' epsilon in fused


def settled(prepared, held, moving, v):
    """The full state (1, units): neurons without inertia follow the moving ones (here they do not hear each other)."""
    state = np.zeros((1, len(moving)))
    state[0, moving] = v
    conductance, driven = (part + still for part, still in zip(prepared.recurrent.sums(state), held))
    state[0, ~moving] = (driven / conductance)[0, ~moving]
    return state


def slope(prepared, held, moving, v):
    """v' of the moving neurons."""
    state = settled(prepared, held, moving, v)
    conductance, driven = (part + still for part, still in zip(prepared.recurrent.sums(state), held))
    return ((driven - conductance * state) / np.where(moving, prepared.values.cm, 1.0))[0, moving]


@pytest.mark.parametrize(
    "network",
    [ncp19(2, Exact()), l4(solver=Exact(), cm=np.array([0.5, 1e-4, 0.0, 0.3])), ltc(Wiring.fully_connected(3, 6, 2), 7, "exact")],
    ids=["ncp19", "stiff with a neuron without inertia", "fully connected"],
)
def test_exact_against_an_independent_integrator(network):
    integrator = pytest.importorskip("scipy.integrate")
    x, spans = np.random.default_rng(5).normal(size=(3, network.inputs)), [0.7, 1.3, 0.02]
    prepared = cell.Prepared(cell.effective(network))
    moving = prepared.values.cm > 0
    v = np.zeros(int(moving.sum()))
    states = trajectory(network, x, spans).states[0]
    for index, span in enumerate(spans):
        held = prepared.held(x[index : index + 1])
        equation = lambda _, v, held=held: slope(prepared, held, moving, v)
        v = integrator.solve_ivp(equation, (0, span), v, method="LSODA", rtol=1e-12, atol=1e-13).y[:, -1]
        assert np.abs(settled(prepared, held, moving, v)[0] - states[index]).max() < 1e-9  # both methods aim at 1e-11 per step


def test_fused_tends_to_exact_with_order_one():
    network, x = ncp19(3), np.random.default_rng(2).normal(size=(6, 32))
    exact = integrate(network.with_solver("exact"), x)[1]
    errors = [np.abs(integrate(network.with_solver(Fused(unfolds)), x)[1] - exact).max() for unfolds in (200, 400, 800)]
    assert 1.8 < errors[0] / errors[1] < 2.2
    assert 1.8 < errors[1] / errors[2] < 2.2


def test_a_loop_without_inertia_is_refused_by_name():
    apart = l4(solver=Exact(), cm=np.array([0.0, 0.5, 0.5, 0.0]))  # no synapse joins neurons 0 and 3
    assert np.isfinite(integrate(apart, np.ones((2, 2)))[0]).all()
    with pytest.raises(ValueError, match=r"cm = 0 must not form a loop .* but unknown_0 -> unknown_1 -> unknown_0 do"):
        integrate(l4(solver=Exact(), cm=np.array([0.5, 0.0, 0.0, 0.5])), np.ones((2, 2)))
    assert np.isfinite(integrate(l4(cm=np.zeros(4)), np.ones((2, 2)))[0]).all()


def test_a_very_fast_neuron_and_a_neuron_that_hears_nothing():
    fast = one_neuron(1e-12, 1.0, 0.25)
    assert integrate(fast, np.zeros((1, 1)), 1e9)[1][0] == pytest.approx(0.25, abs=1e-11)
    idle = one_neuron(1.0, 0.0, 0.0)
    for solver in ("exact", Fused()):
        assert integrate(idle.with_solver(solver), np.zeros((1, 1)), 3.0, np.array([0.7]))[1][0] == pytest.approx(0.7, abs=1e-7)
    nothing = one_neuron(0.0, 0.0, 0.0)
    assert integrate(nothing, np.zeros((1, 1)), 3.0, np.array([0.7]))[1][0] == 0.7


def test_extreme_parameters_raise_no_warning():
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        steep = l4(sigma=np.full(l4().wiring.synapse_count, 1e4), w=np.full(l4().wiring.synapse_count, 1e3))
        for network in (steep, steep.with_solver("exact"), l4(True, cm=np.full(4, -800.0), gleak=np.full(4, 800.0))):
            assert np.isfinite(integrate(network, [[1e6, -1e6], [0, 0]])[0]).all()


@pytest.mark.parametrize("seed", range(5))
def test_states_never_leave_the_box_of_their_potentials(seed):
    """Every step is a convex combination of the old state, vleak and the reversal potentials: for every timespan and input."""
    rng = np.random.default_rng(seed)
    wiring = Wiring.random(3, 8, 2, 0.4, seed=seed)
    network = ltc(wiring, seed=seed, softplus=False, epsilon=0.0)
    zeroed = {name: network.parameters[name] * (rng.random(len(network.parameters[name])) < 0.7) for name in ("w", "sensory_w", "gleak")}
    network = network.with_parameters({**zeroed, "cm": 10.0 ** rng.uniform(-4, 1, 8), "erev": rng.normal(size=wiring.synapse_count)})
    x, spans, start = rng.normal(size=(12, 3)) * 5, rng.choice([0.0, 1e-3, 0.1, 1.0, 50.0], 12), rng.normal(size=8)
    bounds = [network.parameters[name] for name in ("vleak", "erev", "sensory_erev")]
    lowest, highest = min(part.min() for part in (*bounds, start)), max(part.max() for part in (*bounds, start))
    for solver in (Fused(1), Fused(6), Exact()):
        states = trajectory(network.with_solver(solver), x, spans, start).states
        assert lowest - 1e-9 < states.min()
        assert states.max() < highest + 1e-9


def test_the_exact_reference_has_a_limit_of_size():
    network = ltc(Wiring.random_fan_in(1, 3001, 1, 2), solver="exact")
    with pytest.raises(ValueError, match=r"at most 3000 neurons .* but has 3001; use event_sim.simulate"):
        integrate(network, np.zeros((1, 1)))
    assert np.isfinite(integrate(network.with_solver("fused"), np.zeros((1, 1)))[0]).all()


def test_a_wired_cfc_hears_the_layer_before_in_the_same_step():
    wiring = Wiring.ncp(3, 4, 3, 2, 2, 2, 2, 2)
    network = cfc(wiring, seed=2, mode="no_gate")
    x = np.random.default_rng(3).normal(size=3)
    p, before, after = network.parameters, x, []
    for layer, units in enumerate((4, 3, 2)):
        z = np.concatenate([before, np.zeros(units)])
        heads = {}
        for name in ("ff1", "ff2", "time_a", "time_b"):
            mask = layer_mask(wiring, layer) if name.startswith("ff") else 1.0
            heads[name] = (p[f"layer_{layer}.{name}.weight"] * mask) @ z + p[f"layer_{layer}.{name}.bias"]
        before = np.tanh(heads["ff1"]) + np.tanh(heads["ff2"]) / (1 + np.exp(-(heads["time_a"] * 0.3 + heads["time_b"])))
        after.append(before)
    y, state = integrate(network, x[None], 0.3)
    assert np.abs(state - np.concatenate(after)).max() < 1e-14
    np.testing.assert_array_equal(y[0], state[-2:])
    assert network.labels[-2:] == ("motor_0", "motor_1")


@pytest.mark.parametrize("activation", ["lecun_tanh", "tanh", "relu", "silu", "gelu"])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_every_activation_and_depth_runs(activation, depth):
    network = cfc(6, 3, activation=activation, backbone_layers=depth, backbone_units=7, projection=2)
    y, state = integrate(network, np.ones((2, 4, 3)))
    assert y.shape == (2, 4, 2)
    assert state.shape == (2, 6)
    assert np.isfinite(y).all()


def test_initial_ranges_are_those_of_ncps():
    parameters = ltc(Wiring.fully_connected(40, 40, 3), seed=1).parameters
    for name, low, high in (
        ("w", 0.001, 1),
        ("sigma", 3, 8),
        ("mu", 0.3, 0.8),
        ("cm", 0.4, 0.6),
        ("gleak", 0.001, 1),
        ("vleak", -0.2, 0.2),
    ):
        assert low <= parameters[name].min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < parameters[name].max() <= high
    memory = cfc(9, 4, mixed_memory=True).parameters["lstm.recurrent_map.weight"]
    assert np.abs(memory.T @ memory - np.eye(9)).max() < 1e-12


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((np.ones((3, 3)),), r"x must have shape \(batch, time, 2\) or \(time, 2\), but has \(3, 3\)"),
        (([[np.nan, 0.0]],), "x must be finite"),
        ((np.ones((3, 2)), [1, -1, 1]), "timespans must be finite and at least 0, but hold -1"),
        ((np.ones((3, 2)), [1, 1]), r"timespans must be one number or have shape \(3,\)"),
        ((np.ones((4, 3, 2)), np.ones(4)), r"timespans must be one number or have shape \(3,\)"),
        ((np.ones((3, 2)), None, np.zeros(5)), r"state must have shape \(4,\) or \(1, 4\), but has \(5,\)"),
        ((np.ones((3, 2)), None, (np.zeros(4), np.zeros(4))), "state must be one array"),
    ],
)
def test_mistakes_are_one_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        integrate(l4(), *arguments)


def test_effective_numbers_are_worked_out_once_and_cannot_be_changed() -> None:
    network = ltc(Wiring.auto_ncp(2, 8, 1), seed=1)
    values = cell.effective(network)
    assert cell.effective(network) is values
    assert cell.effective(network.with_parameters({})) is not values
    with pytest.raises(ValueError, match="read-only"):
        values.w[0] = 1.0
