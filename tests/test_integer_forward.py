"""Training sees exactly what the chip computes: forward equal bit for bit, gradients straight through."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402

import event_sim  # noqa: E402
import hardware_profiles  # noqa: E402
import liquid_neuro  # noqa: E402
import mappers  # noqa: E402
from event_sim import fixed  # noqa: E402
from hardware_profiles import fixed_point  # noqa: E402
from hardware_profiles.fixed_point import QFormat  # noqa: E402
from liquid_neuro.cells import integer  # noqa: E402
from liquid_neuro.training import dynamics_jax, straight_through  # noqa: E402
from liquid_neuro.training.forward import precision  # noqa: E402
from liquid_neuro.training.forwards import forward_of  # noqa: E402
from liquid_neuro.training.integer_forward import integer_forward, output_words, run  # noqa: E402
from liquid_neuro.wiring import Wiring  # noqa: E402

pytestmark = pytest.mark.train
SMALL = Wiring.ncp(3, 5, 3, 2, 3, 2, 3, 2)
LOIHI = hardware_profiles.load("loihi2")
X = np.cumsum(np.random.default_rng(0).normal(0, 0.3, (6, 12, 3)), axis=1)
RAISED = {"ltc": {"input": 20, "neuron": 9, "gate": 7}, "cfc": {"input": 20, "neuron": 9, "backbone": 5}}

NETWORKS = {
    "ltc": liquid_neuro.ltc(SMALL, seed=1),
    "ltc explicit": liquid_neuro.ltc(SMALL, seed=2, softplus=False, output_mapping="none"),
    "cfc wired": liquid_neuro.cfc(SMALL, seed=3),
    "cfc no_gate": liquid_neuro.cfc(SMALL, seed=4, mode="no_gate"),
    "cfc pure": liquid_neuro.cfc(SMALL, seed=5, mode="pure"),
    "cfc backbone": liquid_neuro.cfc(6, inputs=3, seed=6, backbone_layers=2, backbone_units=10, projection=2),
}


def _prepared(quantized):
    forward = integer_forward(quantized)
    parameters = {name: jnp.asarray(value) for name, value in quantized.network.parameters.items()}
    return forward, parameters, {name: jnp.asarray(value) for name, value in forward.constants.items()}


@pytest.mark.parametrize(("name", "raised"), [("ltc", False), *((name, True) for name in NETWORKS)])
def test_the_forward_is_the_chip(name, raised):
    network = NETWORKS[name]
    quantized = mappers.quantize(network, LOIHI, calibration=X, thresholds=RAISED[network.cell] if raised else None)
    units = fixed.state_words(quantized, X)
    size = quantized.population(quantized.output_population).size
    start = units.shape[-1] - size if network.cell == "cfc" else 0
    with precision(True):
        _, parameters, constants = _prepared(quantized)
        words, _ = jax.jit(lambda p, c, x: output_words(quantized, p, c, x))(parameters, constants, jnp.asarray(X))
    assert (np.asarray(words) == units[..., start:][..., quantized.output_compartments]).all()


GAPS = Wiring.from_adjacency(np.ones((3, 3)), np.ones((3, 3)), 2, gap=np.ones((3, 3)) - np.eye(3))
KINDS = {
    "exact": (NETWORKS["ltc"].with_solver("exact"), {"ticks_per_sample": 6}),
    "irregular": (NETWORKS["ltc explicit"], {"timespans": (0.01, 3.0), "thresholds": RAISED["ltc"]}),
    "exact irregular": (NETWORKS["ltc explicit"].with_solver("exact"), {"timespans": (0.01, 3.0), "ticks_per_sample": 6}),
    "gap junctions": (liquid_neuro.ltc(GAPS, seed=4), {}),
    "memory": (liquid_neuro.ltc(SMALL, seed=6, mixed_memory=True), {"thresholds": {**RAISED["ltc"], "memory": 3}}),
    "memory exact irregular": (
        liquid_neuro.ltc(SMALL, seed=6, mixed_memory=True, solver="exact"),
        {"timespans": (0.01, 3.0), "ticks_per_sample": 14, "thresholds": {**RAISED["ltc"], "memory": 3}},
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        *("exact irregular", "gap junctions", "memory"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("exact", "irregular", "memory exact irregular")),
    ],
)
def test_the_forward_is_the_chip_in_every_kind_of_ltc(name):
    network, how = KINDS[name]
    x = X[:2, :6]
    quantized = mappers.quantize(network, LOIHI, calibration=X, **how)
    spans = None if quantized.elapsed is None else 10 ** np.random.default_rng(1).uniform(-2, 0.4, x.shape[:2])
    if spans is not None:
        spans[:, 4] = 0.0

    def loss(parameters, constants, x):
        words, _ = output_words(quantized, parameters, constants, x, spans)
        return jnp.sum((words * quantized.formats.state.lsb) ** 2), words

    with precision(True):
        _, parameters, constants = _prepared(quantized)
        slope, words = jax.jit(jax.grad(loss, has_aux=True))(parameters, constants, jnp.asarray(x))
    assert (np.asarray(words) == fixed.state_words(quantized, x, 1.0 if spans is None else spans)[..., quantized.output_compartments]).all()
    for parameter in ("cm", "w", "gap_w", "sensory_mu", "lstm.input_map.weight", "lstm.recurrent_map.weight"):
        if parameter in slope:
            assert np.isfinite(slope[parameter]).all()
            assert np.abs(slope[parameter]).max() > 0


CFC_KINDS = {
    "wired": liquid_neuro.cfc(SMALL, seed=3),
    "pure": liquid_neuro.cfc(SMALL, seed=5, mode="pure"),
    "backbone mixed": liquid_neuro.cfc(6, inputs=3, seed=6, backbone_layers=1, backbone_units=8, mixed_memory=True),
    "keras": liquid_neuro.cfc(6, inputs=3, seed=7, mode="no_gate", backbone_layers=1, backbone_units=8, dialect="keras"),
}


@pytest.mark.parametrize("name", ["pure", "backbone mixed", *(pytest.param(name, marks=pytest.mark.slow) for name in ("wired", "keras"))])
def test_the_forward_is_the_chip_in_irregular_time(name):
    network = CFC_KINDS[name]
    raised = {**RAISED["cfc"], "memory": 3}
    quantized = mappers.quantize(network, LOIHI, calibration=X, timespans=(0.05, 3.0), thresholds=raised)
    spans = np.random.default_rng(1).uniform(0.05, 3.0, X.shape[:2])
    spans[:, 4] = 0.0
    size = quantized.population(quantized.output_population).size

    def loss(parameters, constants, x):
        words, _ = output_words(quantized, parameters, constants, x, spans)
        return jnp.sum((words * quantized.formats.state.lsb) ** 2), words

    with precision(True):
        _, parameters, constants = _prepared(quantized)
        slope, words = jax.jit(jax.grad(loss, has_aux=True))(parameters, constants, jnp.asarray(X))
    assert (np.asarray(words) == fixed.state_words(quantized, X, spans)[..., -size:]).all()
    for parameter, value in slope.items():
        assert np.isfinite(value).all(), parameter
        assert np.abs(value).max() > 0, parameter


@pytest.mark.parametrize("name", ["ltc", "cfc backbone"])
def test_outputs_are_those_of_the_chip(name):
    quantized = mappers.quantize(NETWORKS[name], LOIHI, calibration=X)
    with precision(True):
        _, parameters, constants = _prepared(quantized)
        y, _ = jax.jit(lambda p, c, x: run(quantized, p, c, x))(parameters, constants, jnp.asarray(X[:2, :3]))
    # equal words; the host's map in floats may sum in another order
    np.testing.assert_allclose(np.asarray(y), fixed.run_samples(quantized, X[:2, :3]), rtol=0, atol=1e-14)


def test_parameters_round_to_the_chip_s_weights():
    network = NETWORKS["ltc"]
    moved = network.with_parameters({"w": network.parameters["w"] + 0.01, "sensory_mu": network.parameters["sensory_mu"] - 0.02})
    formats = mappers.quantize(network, LOIHI, calibration=X).formats
    quantized = mappers.quantize(moved, LOIHI, formats=formats)
    with precision(True):
        _, parameters, constants = _prepared(quantized)
        words, _ = output_words(mappers.quantize(network, LOIHI, formats=formats), parameters, constants, jnp.asarray(X))
    assert (np.asarray(words) == fixed.state_words(quantized, X)[..., :2]).all()


@pytest.mark.parametrize("name", ["ltc", "cfc wired"])
def test_straight_through_gradients_point_where_the_float_gradients_do(name):
    network = NETWORKS[name]
    quantized = mappers.quantize(network, LOIHI, calibration=X)
    with precision(True):
        forward, parameters, constants = _prepared(quantized)
        x, goal = jnp.asarray(X), jnp.asarray(np.random.default_rng(1).normal(size=(6, 12, 2)))

        def integers(p):
            return jnp.mean((forward.function(p, constants, x)[0] - goal) ** 2)

        def floats(p):
            return jnp.mean((dynamics_jax.integrate(network, p, x)[0] - goal) ** 2)

        ours, theirs = jax.jit(jax.grad(integers))(parameters), jax.jit(jax.grad(floats))(parameters)
    first, second = (np.concatenate([np.ravel(g[key]) for key in sorted(parameters)]) for g in (ours, theirs))
    # quantisation noise alone lies between them: measured cosines 0.998 and more
    assert np.dot(first, second) / np.linalg.norm(first) / np.linalg.norm(second) > 0.98


def test_thresholds_change_the_count_but_not_the_key():
    network = NETWORKS["ltc"]
    plain, raised = (mappers.quantize(network, LOIHI, calibration=X, thresholds=t) for t in (None, RAISED["ltc"]))
    with precision(True):
        counts = []
        for quantized in (plain, raised):
            forward, parameters, constants = _prepared(quantized)
            counts.append(float(forward.function(parameters, constants, jnp.asarray(X))[1]))
    assert integer_forward(plain) == integer_forward(raised)
    assert 0 < counts[1] < 0.7 * counts[0]
    weighted = integer_forward(plain, {"input": 1.0, "neuron": 1.0})
    with precision(True):
        constants = {name: jnp.asarray(value) for name, value in weighted.constants.items()}
        assert float(weighted.function(parameters, constants, jnp.asarray(X))[1]) < counts[0]


def test_spike_weights_name_populations():
    with pytest.raises(ValueError, match='spike weights must name some of input, neuron, gate, memory, but name "backbone"'):
        integer_forward(mappers.quantize(NETWORKS["ltc"], LOIHI, calibration=X), {"backbone": 1.0})


def test_the_smooth_count_follows_the_exact_one():
    """It stands for messages in training only; the exact count is the chip's. On settled windows they agree to a factor of two."""
    network = NETWORKS["ltc"]
    for thresholds in ({"neuron": 1}, {"input": 4, "neuron": 4, "gate": 4}, {"input": 32, "neuron": 16, "gate": 16}):
        quantized = mappers.quantize(network, LOIHI, calibration=X, thresholds=thresholds)
        stream = event_sim.EventStream.from_samples(X.reshape(-1, 3), sample_s=1.0)
        exact = event_sim.simulate(quantized, stream).activity.total_spikes / (X.shape[0] * X.shape[1])
        with precision(True):
            forward, parameters, constants = _prepared(quantized)
            smooth = float(forward.function(parameters, constants, jnp.asarray(X))[1])
        assert exact / 2 < smooth < exact * 2


def test_a_network_of_another_shape_is_refused():
    quantized = mappers.quantize(NETWORKS["ltc"], LOIHI, calibration=X)
    with pytest.raises(ValueError, match=r"through must be a quantised form of this network \(cfc, 10 units\)"):
        forward_of(NETWORKS["cfc wired"], quantized)

    """The count stands for messages in training only (the exact one is the chip's); on settled windows they agree to a factor of two."""


def test_a28_gradient_of_a_clamp_includes_its_ends():
    low = QFormat(4, 2)
    x = jnp.asarray([-3.0, -2.0, -0.13, 0.1, 1.75, 2.5])
    assert (straight_through.quantize(x, low) * low.lsb).tolist() == [-2, -2, -0.25, 0, 1.75, 1.75]
    assert (straight_through.quantize(x, low) == low.quantize(np.asarray(x))).all()
    assert jax.grad(lambda x: jnp.sum(straight_through.quantize(x, low) * low.lsb))(x).tolist() == [0, 1, 1, 1, 1, 0]


def test_a11_a_word_saturates():
    with precision(True):
        assert straight_through.saturate(jnp.asarray([8388607.0 + 100, -8388608.0 - 5, 7.0]), 24).tolist() == [8388607, -8388608, 7]


def test_a12_shifts_round_half_up():
    cases = np.array([(-832, 7), (832, 7), (-1, 1), (-3, 1), (-64, 7), (26520, 7)])
    with precision(True):
        value, amount = jnp.asarray(cases[:, 0], jnp.float64), jnp.asarray(cases[:, 1], jnp.float64)
        assert straight_through.round_shift(value, amount).tolist() == [-6, 7, 0, -1, 0, 207]
        assert straight_through.floor_shift(value, amount).tolist() == [-7, 6, -1, -2, -1, 207]


def test_primitives_equal_their_namesakes():
    rng = np.random.default_rng(3)
    value, other = (rng.integers(-(1 << 40), 1 << 40, 20000) >> rng.integers(0, 40, 20000) for _ in range(2))
    amount = rng.integers(0, 12, 20000)
    table = rng.integers(-9000, 9000, 65)
    position = rng.integers(0, 64 << 7, 20000)
    low = np.abs(value) % (1 << 32)
    calls = {
        "floor_shift": (value, amount),
        "round_shift": (value, amount),
        "left_shift": (value, amount),
        "minimum": (value, other),
        "maximum": (value, other),
        "bit_length": (low,),
    }
    with precision(True):

        def real(argument):
            return jnp.asarray(argument, jnp.float64) if isinstance(argument, np.ndarray) else argument

        for name, arguments in calls.items():
            ours = np.asarray(getattr(straight_through, name)(*map(real, arguments)))
            assert (ours == getattr(fixed_point, name)(*arguments)).all(), name
        for bits in (1, 9, 24):
            assert (np.asarray(straight_through.saturate(real(value), bits)) == fixed_point.saturate(value, bits)).all()
        assert (np.asarray(straight_through.interpolate(real(table), real(position), 7)) == integer.interpolate(table, position, 7)).all()
        index = position >> 7
        assert (np.asarray(straight_through.look_up(real(table), real(index))) == table[index]).all()
        chosen = straight_through.select(real(value) > 3, real(value), real(other))
        assert (np.asarray(chosen) == fixed_point.select(value > 3, value, other)).all()


def test_gradients_of_the_primitives():
    with precision(True):
        assert jax.grad(lambda v: straight_through.round_shift(v, 3))(21.0) == 0.125
        assert jax.grad(lambda v: straight_through.left_shift(v, 3))(21.0) == 8.0
        table = jnp.asarray([0.0, 100.0, 50.0])
        slope = jax.grad(lambda position: straight_through.interpolate(table, position, 4))
        assert (slope(3.0), slope(16.0)) == (100 / 16, -50 / 16)
        assert jax.grad(lambda v: straight_through.bit_length(v) * 1.0)(9.0) == 0.0
