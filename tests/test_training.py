"""The JAX twin equals the reference, its gradients are right, and a fit learns the occupancy task and repeats itself."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402

import liquid_neuro  # noqa: E402
from liquid_neuro import tasks  # noqa: E402
from liquid_neuro.network import Exact, Fused  # noqa: E402
from liquid_neuro.training import dynamics_jax  # noqa: E402
from liquid_neuro.training.fit import fit  # noqa: E402
from liquid_neuro.training.forward import precision  # noqa: E402
from liquid_neuro.training.steps import channel_norms  # noqa: E402
from liquid_neuro.wiring import Wiring  # noqa: E402

pytestmark = pytest.mark.train
NCP = Wiring.ncp(5, 12, 6, 1, 6, 4, 6, 6)
SMALL = Wiring.ncp(3, 5, 3, 2, 3, 2, 3, 2)

NETWORKS = {
    "ltc": liquid_neuro.ltc(SMALL, seed=1),
    "ltc explicit": liquid_neuro.ltc(SMALL, seed=2, softplus=False),
    "ltc 3 unfolds, no maps": liquid_neuro.ltc(SMALL, seed=3, solver=Fused(3), input_mapping="none", output_mapping="none"),
    "ltc mixed": liquid_neuro.ltc(SMALL, seed=4, mixed_memory=True),
    "ltc full": liquid_neuro.ltc(Wiring.fully_connected(3, 6, 2), seed=5),
    "ltc gaps": liquid_neuro.ltc(replace(SMALL, gap_source=[0, 1, 4], gap_target=[1, 6, 9]), seed=6),
    "cfc default": liquid_neuro.cfc(7, inputs=3, seed=1),
    "cfc no_gate": liquid_neuro.cfc(7, inputs=3, mode="no_gate", seed=2, backbone_layers=2, backbone_units=16),
    "cfc pure": liquid_neuro.cfc(7, inputs=3, mode="pure", seed=3, backbone_layers=0),
    "cfc keras": liquid_neuro.cfc(7, inputs=3, dialect="keras", seed=4, activation="gelu"),
    "cfc projection": liquid_neuro.cfc(7, inputs=3, seed=5, projection=2, activation="silu"),
    "cfc mixed": liquid_neuro.cfc(7, inputs=3, seed=6, mixed_memory=True, activation="relu"),
    "cfc wired": liquid_neuro.cfc(SMALL, seed=7),
    "cfc wired no_gate": liquid_neuro.cfc(SMALL, seed=8, mode="no_gate"),
    "cfc wired pure": liquid_neuro.cfc(SMALL, seed=9, mode="pure"),
}


def _data(batch=4, steps=6, inputs=3):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, steps, inputs))
    timespans = rng.uniform(0.05, 2.0, size=(batch, steps))
    timespans[1, 2] = 0.0  # two samples at the same time
    return x, timespans


@pytest.mark.parametrize(
    ("name", "irregular"), [("ltc", False), ("cfc default", False), ("cfc wired", False), *((name, True) for name in NETWORKS)]
)
def test_the_twin_equals_the_reference_in_float64(name, irregular):
    network = NETWORKS[name]
    x, timespans = _data()
    spans = timespans if irregular else None
    expected, expected_state = liquid_neuro.integrate(network, x, spans)
    with precision(True):
        parameters = {key: jnp.asarray(value) for key, value in network.parameters.items()}
        y, state = dynamics_jax.integrate(network, parameters, jnp.asarray(x), None if spans is None else jnp.asarray(spans))
        # the same operations in another order of summation: rounding errors only
        np.testing.assert_allclose(np.asarray(y), expected, rtol=0, atol=1e-10)
        for ours, theirs in zip(jax.tree.leaves(state), expected_state if isinstance(expected_state, tuple) else (expected_state,)):
            np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["ltc", "cfc default", "cfc wired"])
def test_the_twin_in_float32_is_close(name):
    network = NETWORKS[name]
    x, _ = _data()
    expected, _ = liquid_neuro.integrate(network, x)
    parameters = {key: jnp.asarray(value, jnp.float32) for key, value in network.parameters.items()}
    y, _ = dynamics_jax.integrate(network, parameters, jnp.asarray(x, jnp.float32))
    assert y.dtype == jnp.float32
    # float32 has 6e-8 relative; liquid states are contractions, so errors of a few steps add up: measured 5e-7
    np.testing.assert_allclose(np.asarray(y), expected, rtol=0, atol=3e-6)


def test_state_is_carried_between_chunks():
    network = NETWORKS["ltc mixed"]
    x, _ = _data()
    with precision(True):
        parameters = {key: jnp.asarray(value) for key, value in network.parameters.items()}
        whole, _ = dynamics_jax.integrate(network, parameters, jnp.asarray(x))
        first, state = dynamics_jax.integrate(network, parameters, jnp.asarray(x[:, :2]))
        second, _ = dynamics_jax.integrate(network, parameters, jnp.asarray(x[:, 2:]), state=state)
        np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=0, atol=1e-14)


def test_gradients_agree_with_finite_differences():
    network = NETWORKS["ltc"]
    x, timespans = _data()
    with precision(True):
        parameters = {key: jnp.asarray(value) for key, value in network.parameters.items()}

        def loss(parameters):
            y, _ = dynamics_jax.integrate(network, parameters, jnp.asarray(x), jnp.asarray(timespans))
            return jnp.sum(y**2)

        loss = jax.jit(loss)
        gradient = jax.grad(loss)(parameters)
        for name in ("w", "sigma", "erev", "cm", "gleak", "sensory_mu", "input_w", "output_b"):
            direction = np.random.default_rng(1).normal(size=parameters[name].shape)
            step = 1e-5 * direction
            above, below = (loss({**parameters, name: parameters[name] + sign * step}) for sign in (1, -1))
            slope = float(above - below) / 2e-5
            # central differences: error O(step^2) of a smooth function, about 1e-9 here
            assert float(jnp.sum(gradient[name] * direction)) == pytest.approx(slope, rel=1e-6, abs=1e-8), name


def test_exact_has_no_twin():
    network = NETWORKS["ltc"].with_solver(Exact())
    with pytest.raises(ValueError, match=r"network.solver must be Fused to be trained"):
        dynamics_jax.integrate(network, network.parameters, jnp.zeros((1, 2, 3)))


@pytest.mark.parametrize("double", [False, True])
def test_a29_gradients_of_a_steep_sigmoid_stay_finite(double):
    def synapse(v):
        return jax.nn.sigmoid(25.0 * v)

    with precision(double), warnings.catch_warnings():
        warnings.simplefilter("error")
        slopes = np.asarray(jax.vmap(jax.grad(synapse))(jnp.asarray([-5.0, 0.0, 5.0, -0.1])), dtype=np.float64)
    assert np.isfinite(slopes).all()
    assert slopes[1] == pytest.approx(6.25)
    assert slopes[3] == pytest.approx(1.752592914, rel=1e-6)
    # 1.29e-53 is 0 in float32; for +5, 1 - s cancels to 0 in float64 as well
    assert slopes[0] == pytest.approx(1.29e-53, rel=1e-2) if double else slopes[0] == 0
    assert 0 <= slopes[2] < 1e-50


def test_a29_whole_network_with_steep_synapses_has_finite_gradients():
    network = NETWORKS["ltc"]
    steep = network.with_parameters({name: 25.0 + 0 * network.parameters[name] for name in ("sigma", "sensory_sigma")})
    parameters = {key: jnp.asarray(value, jnp.float32) for key, value in steep.parameters.items()}
    x = jnp.asarray([[[-5.0, 5.0, 0.0], [6.0, -6.0, 100.0]]], jnp.float32)
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(dynamics_jax.integrate(steep, p, x)[0])))(parameters)
    assert all(bool(jnp.isfinite(value).all()) for value in gradient.values())


@pytest.fixture(scope="module")
def task():
    return tasks.occupancy()


def test_ltc_learns_occupancy_and_repeats_itself(task):
    network = liquid_neuro.ltc(NCP, seed=0)
    first = fit(task, network, steps=150, learning_rate=0.02, seed=3)
    assert first.scores["test_accuracy"] > 0.98  # published: 0.9463; logistic regression: 0.990
    assert first.network.interface == task.interface
    assert first.network.time_unit_s == 60.0
    assert first.history[-1].step == 150
    again = fit(task, network, steps=150, learning_rate=0.02, seed=3)
    assert first.history[1:] == again.history[1:]
    assert all((first.network.parameters[name] == again.network.parameters[name]).all() for name in network.parameters)
    y, _ = liquid_neuro.integrate(first.network, task.test.x)
    assert tasks.accuracy(y, task.test.y, task.interface) == pytest.approx(first.scores["test_accuracy"], abs=2e-4)


def test_cfc_learns_occupancy(task):
    result = fit(task, liquid_neuro.cfc(NCP, seed=0), steps=300, learning_rate=0.02, seed=0)
    assert result.scores["test_accuracy"] > 0.98
    norms = np.asarray(channel_norms({name: jnp.asarray(value) for name, value in result.network.parameters.items()}, 5))
    assert norms.argmax() == 2  # light tells most


def test_explicit_constraints_hold_after_a_fit(task):
    network = liquid_neuro.ltc(Wiring.ncp(5, 4, 2, 1, 2, 2, 2, 2), seed=0, softplus=False)
    result = fit(task, network, steps=30, learning_rate=0.2, evaluate_every=10, schedule="constant", channel_penalty=0.0)
    for name in ("w", "sensory_w", "cm", "gleak"):
        assert (result.network.parameters[name] >= 0).all()


def test_patience_stops_and_keeps_the_best(task):
    network = liquid_neuro.cfc(Wiring.ncp(5, 4, 2, 1, 2, 2, 2, 2), seed=0)
    result = fit(task, network, steps=400, learning_rate=1.0, evaluate_every=10, schedule="constant", patience=3)
    assert result.history[-1].step < 400
    best = min(evaluation.validation_loss for evaluation in result.history)
    assert result.scores["validation_accuracy"] in {e.validation_accuracy for e in result.history if e.validation_loss == best}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, but is 0"),
        ({"batch_size": 999_999}, "batch_size must be at most"),
        ({"spike_weight": 0.1}, "spike_weight must be 0 without `through`"),
        ({"spike_weight": -0.1}, "spike_weight must be finite and at least 0"),
        ({"spike_weight": {"gate": -0.1}}, r'spike_weight\["gate"\] must be finite and at least 0'),
        ({"patience": -1}, "patience must be finite and at least 0"),
        ({"learning_rate": -0.1}, "learning_rate must be finite and at least 0"),
        ({"gain": 0.0}, "gain must be finite and positive"),
        ({"schedule": "linear"}, "schedule must be one of cosine, one-cycle, constant"),
    ],
)
def test_wrong_arguments_are_named(task, change, message):
    with pytest.raises(ValueError, match=message):
        fit(task, liquid_neuro.ltc(NCP), **change)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("evaluate_every", [1, 10])
def test_a_training_that_diverges_says_so(task, evaluate_every):
    network = liquid_neuro.cfc(Wiring.ncp(5, 4, 2, 1, 2, 2, 2, 2), seed=0)
    with pytest.raises(ValueError, match=r"diverged by step .*lower learning_rate"):
        fit(task, network, steps=10, learning_rate=1e38, evaluate_every=evaluate_every, schedule="constant")


def test_a_network_that_does_not_fit_the_task_is_refused(task):
    with pytest.raises(ValueError, match=r"network.inputs must be 5"):
        fit(task, liquid_neuro.ltc(SMALL))
    with pytest.raises(ValueError, match=r"network.outputs must be 1"):
        fit(task, liquid_neuro.ltc(Wiring.ncp(5, 5, 3, 2, 3, 2, 3, 2)))


def test_double_precision_stays_inside_its_context():
    with precision(True):
        assert jnp.zeros(1).dtype == jnp.float64
    assert jnp.zeros(1).dtype == jnp.float32


def test_gap_junctions_are_trained_and_delays_are_refused():
    network, (x, _) = NETWORKS["ltc gaps"], _data()
    with precision(True):
        loss = lambda parameters: (dynamics_jax.integrate(network, parameters, jnp.asarray(x))[0] ** 2).sum()
        parameters = {name: jnp.asarray(value) for name, value in network.parameters.items()}
        gradient = jax.grad(loss)(parameters)["gap_w"]
        assert gradient.shape == (3,)
        step = 1e-6
        for index in range(3):
            sides = [loss({**parameters, "gap_w": parameters["gap_w"].at[index].add(sign * step)}) for sign in (1, -1)]
            slope = float(sides[0] - sides[1]) / (2 * step)
            assert abs(slope - float(gradient[index])) < 1e-6 * max(1.0, abs(slope))  # central differences: their error is about step²
        delayed = network.with_parameters({"sensory_delay": np.full(network.wiring.sensory_synapse_count, 0.5)})
        with pytest.raises(ValueError, match=r"sensory_delay must be 0 in a network to be trained, but is up to 0.5; set it to 0"):
            dynamics_jax.integrate(delayed, parameters, jnp.asarray(x))
