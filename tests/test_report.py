"""The report: one file, complete, without a network."""

from __future__ import annotations

import re
import types

import numpy as np
import pytest

import event_sim
import hardware_profiles
import liquid_neuro
import mappers

pytest.importorskip("plotly")
from mappers import report, report_figures, report_sections


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    wiring = liquid_neuro.Wiring.ncp(
        2, inter=5, command=3, motor=1, sensory_fanout=3, inter_fanout=2, recurrent_command_synapses=3, motor_fanin=3, seed=7
    )
    network = liquid_neuro.ltc(wiring, seed=1)
    x = np.cumsum(np.random.default_rng(0).normal(0, 0.1, (60, 2)), axis=0)
    events = event_sim.EventStream.from_samples(x, sample_s=1.0)
    profile = hardware_profiles.load("loihi2")
    quantized = mappers.quantize(network, profile, calibration=events)
    recording, chip_run = event_sim.simulate(network, events), event_sim.simulate(quantized, events)
    mapping = mappers.map_network(quantized, profile, traffic=chip_run)
    path = mappers.write_report(
        tmp_path_factory.mktemp("report") / "report.html",
        title="A <title> & more",
        tiles=[report.Tile("accuracy", "95 %", "note", True)],
        mapping=mapping,
        float_recording=recording,
        chip_recording=chip_run,
        reference=liquid_neuro.integrate(network, x)[0],
        truth=x[:, 0] > 0,
        unit_labels=network.labels,
        threshold=0.0,
        costs=[report.CostRow("loihi2", profile.title, "ltc", mappers.cost(mapping, chip_run))],
        provenance={"seed": 7},
    )
    return path.read_text(encoding="utf-8")


def test_it_is_complete_and_self_contained(page):
    for heading in ("Where it lives", "Events", "Float against integers", "Energy and latency per inference", "Provenance"):
        assert f"<h2>{heading}</h2>" in page
    own = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)  # plotly's own text names addresses that it never opens by itself
    assert not re.search(r"""(src|href)=["'](https?:)?//""", own)
    assert page.count("<script src") == 0
    assert page.count("plotly.js v") == 1
    assert "A &lt;title&gt; &amp; more" in page


def test_it_says_what_is_measured_what_is_modelled_and_the_sources(page):
    assert report.MEASURED in page
    assert report.MODELLED in page
    assert "Sources of the" in page
    assert "published" in page
    assert "<dt>seed</dt><dd>7</dd>" in page
    assert "<dt>Python</dt>" in page


def test_parts_without_input_are_left_out(tmp_path):
    text = mappers.write_report(tmp_path / "empty.html").read_text(encoding="utf-8")
    assert "Where it lives" not in text
    assert "Provenance" in text
    with pytest.raises(ValueError, match="existing folder"):
        mappers.write_report(tmp_path / "none" / "report.html")


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0 J"), (1.234e-4, "123 µJ"), (0.99999e-3, "1 mJ"), (12.0, "12 J"), (3e-16, "0.3 fJ"), (2.5e4, "25 kJ")]
)
def test_numbers_have_a_prefix(value, text):
    assert report_figures.engineering(value, "J") == text


def test_cores_of_one_tile_lie_in_different_places():
    limit = types.SimpleNamespace
    mesh = limit(tiles_wide=limit(value=2), tiles_high=limit(value=1), cores_per_tile=limit(value=4))
    mapping = limit(
        profile=limit(mesh=mesh, cores=8),
        core_of={"input": np.array([-1, -1]), "neuron": np.array([0, 1, 2, 2])},
        core_xy=np.array([[0, 0], [0, 0], [1, 0]]),
        memory_bits=np.array([1, 2, 3]),
        memory_bits_available=10,
    )
    found = report_sections.used_cores(mapping)
    assert [(core["x"], core["y"], core["slot"]) for core in found] == [(0, 0, 0), (0, 0, 1), (1, 0, 0)]
    assert [core["compartments"] for core in found] == [1, 1, 2]
    assert report_sections.mesh_shape(mapping) == (2, 1, 2)
