"""Networks of every kind in live Lava: on every wiring, in regular and irregular time, on several cores, from Lava's own neurons alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import lava_runs
import networks
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hardware_profiles
import mappers
from liquid_neuro import Fused, Wiring, cfc, ltc
from liquid_neuro.connectome import celegans
from mappers.exporters.lava import compare, library_mapping

pytestmark = pytest.mark.live_lava
LOIHI = hardware_profiles.load("loihi2")


def layered_worm() -> Wiring:
    """The connectome's chemical synapses with layers by type, as a wired CfC takes them: sensory, inter, motor, the outputs."""
    worm = celegans(gap=False)
    kinds = {"sensory": 0, "inter": 1, "motor": 2}
    layers: list[list[int]] = [[], [], [], []]
    for unit, kind in enumerate(worm.types):
        layers[3 if unit < worm.wiring.outputs else kinds.get(kind, 1)].append(unit)
    return replace(worm.wiring, layers=layers)


WIRINGS = {
    "NCP": lambda: Wiring.ncp(32, 12, 6, 1, 6, 4, 6, 6),
    "AutoNCP": lambda: Wiring.auto_ncp(7, 28, 3, 0.5, seed=8),
    "fully connected": lambda: Wiring.fully_connected(5, 12, 2),
    "random": lambda: Wiring.random(6, 24, 3, 0.7, seed=4),
    "connectome": layered_worm,
}
LONG_RUNS = {  # samples, so that each run compares at least 100,000 values
    ("ltc", "NCP"): 20,
    ("ltc", "AutoNCP"): 30,
    ("ltc", "fully connected"): 30,
    ("ltc", "random"): 25,
    ("ltc", "connectome"): 20,
    ("cfc", "NCP"): 1100,
    ("cfc", "AutoNCP"): 1600,
    ("cfc", "fully connected"): 3200,
    ("cfc", "random"): 1800,
    ("cfc", "connectome"): 200,
}


def quantized(network: Any, samples: int = 40, **options: Any) -> Any:
    return mappers.quantize(network, LOIHI, calibration=lava_runs.walk(samples, network.inputs, seed=1), **options)


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "wiring"), LONG_RUNS)
def test_long_runs_on_every_wiring(tmp_path, cell, wiring):
    """Ten runs of at least 100,000 values each: more than a million in all, every one equal."""
    network = {"ltc": ltc, "cfc": cfc}[cell](WIRINGS[wiring](), seed=1)
    x = lava_runs.walk(LONG_RUNS[cell, wiring], network.inputs)
    assert lava_runs.equal_to_lava(tmp_path / "lava", quantized(network), LOIHI, x) >= 100_000


def irregular(samples: int, seed: int = 0) -> np.ndarray:
    """Timespans from 0.4 to 2.0, and one of 0, which leaves the state."""
    spans = np.random.default_rng(seed).uniform(0.4, 2.0, samples)
    spans[samples // 2] = 0.0
    return spans


KINDS: dict[str, Any] = {
    "ltc, exact": lambda: (ltc(Wiring.auto_ncp(3, 10, 2, seed=3), seed=1, solver="exact"), {}),
    "ltc, irregular": lambda: (ltc(Wiring.auto_ncp(3, 10, 2, seed=3), seed=1), {"timespans": (0.4, 2.0)}),
    "ltc, exact, irregular": lambda: (ltc(Wiring.auto_ncp(3, 10, 2, seed=3), seed=1, solver="exact"), {"timespans": (0.4, 2.0)}),
    "ltc, gap junctions": lambda: (ltc(celegans().wiring, seed=1), {}),
    "ltc, mixed memory": lambda: (ltc(Wiring.auto_ncp(3, 10, 2, seed=3), mixed_memory=True, seed=1), {}),
    "ltc, mixed memory, exact, irregular": lambda: (
        ltc(Wiring.auto_ncp(3, 10, 2, seed=3), mixed_memory=True, seed=1, solver="exact"),
        {"timespans": (0.4, 2.0)},
    ),
    "cfc, irregular, wired": lambda: (cfc(Wiring.auto_ncp(3, 10, 2, seed=3), seed=1), {"timespans": (0.4, 2.0)}),
    "cfc, irregular, backbone": lambda: (cfc(6, inputs=3, backbone_layers=2, backbone_units=8, seed=1), {"timespans": (0.4, 2.0)}),
    "cfc, pure, irregular": lambda: (cfc(Wiring.auto_ncp(3, 10, 2, seed=3), mode="pure", seed=1), {"timespans": (0.4, 2.0)}),
    "cfc, mixed memory": lambda: (cfc(Wiring.auto_ncp(3, 10, 2, seed=3), mixed_memory=True, seed=1), {}),
    "cfc, mixed memory, irregular": lambda: (
        cfc(Wiring.auto_ncp(3, 10, 2, seed=3), mixed_memory=True, seed=1),
        {"timespans": (0.4, 2.0)},
    ),
    "cfc, keras": lambda: (cfc(Wiring.auto_ncp(3, 10, 2, seed=3), dialect="keras", seed=1), {}),
}
QUICK = ("ltc, exact, irregular", "cfc, irregular, wired")


@pytest.mark.parametrize("kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS])
def test_every_kind_of_network_equals_the_chip_simulator(tmp_path, kind):
    network, options = KINDS[kind]()
    x = lava_runs.walk(20, network.inputs)
    spans = irregular(len(x)) if options else None
    assert lava_runs.equal_to_lava(tmp_path / "lava", quantized(network, **options), LOIHI, x, spans) > 500


@st.composite
def drawn_networks(draw: Any) -> tuple[Any, dict[str, Any]]:
    """A network of any cell, wiring and time, and how it is quantised."""
    seed, inputs, units = draw(st.integers(0, 999)), draw(st.integers(1, 4)), draw(st.integers(5, 12))
    wiring = draw(
        st.sampled_from(
            [
                lambda: Wiring.auto_ncp(inputs, units, 2, draw(st.sampled_from([0.2, 0.5, 0.8])), seed=seed),
                lambda: Wiring.fully_connected(inputs, units, 2, seed=seed),
                lambda: Wiring.random(inputs, units, 2, 0.5, seed=seed),
            ]
        )
    )()
    options: dict[str, Any] = {"bits": draw(st.integers(5, 8)), "thresholds": draw(st.integers(1, 6))}
    if draw(st.booleans()):
        options["timespans"] = (0.4, 2.0)
    if draw(st.booleans()):
        return ltc(wiring, seed=seed, solver=draw(st.sampled_from([Fused(4), "exact"]))), options
    if draw(st.booleans()):
        return cfc(wiring, mode=draw(st.sampled_from(["default", "no_gate", "pure"])), seed=seed), options
    return cfc(units, inputs=inputs, backbone_layers=draw(st.integers(0, 2)), backbone_units=9, seed=seed), options


@pytest.mark.slow
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(drawn=drawn_networks(), cores=st.sampled_from([None, 2]), seed=st.integers(0, 99))
def test_random_networks_equal_the_chip_simulator(tmp_path_factory, drawn, cores, seed):
    network, options = drawn
    x = lava_runs.walk(12, network.inputs, seed)
    spans = irregular(len(x), seed) if "timespans" in options else None
    folder = tmp_path_factory.mktemp("drawn") / "lava"
    assert lava_runs.equal_to_lava(folder, quantized(network, **options), LOIHI, x, spans, cores) > 100


@pytest.mark.parametrize(
    "name",
    ["cfc_wired_auto32", pytest.param("cfc_wired_ncp19", marks=pytest.mark.slow), pytest.param("cfc_default", marks=pytest.mark.slow)],
)
def test_a_cfc_from_processes_of_lava_alone(tmp_path, name):
    """SigmaDelta, Sigma, GradedVec, ProdNeuron, Delta and Sparse as Lava brings them give the integers of the library form."""
    network, _ = networks.golden(name)
    x = lava_runs.walk(20, network.inputs)
    mapping = mappers.map_network(quantized(network), LOIHI)
    mappers.export(mapping, "lava", tmp_path / "lava", processes="library")
    form = library_mapping(mapping).quantized
    comparison = lava_runs.ran(compare(tmp_path / "lava", form, x, samples=len(x)))
    assert (comparison.differences, comparison.first_difference) == (0, "")
    assert comparison.values_compared == 2 * (form.compartments + network.inputs) * comparison.ticks
