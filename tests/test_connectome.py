"""The connectome of C. elegans and the pictures: counts that were published, places that follow the signals, SVG that is XML."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from liquid_neuro import Wiring
from liquid_neuro.connectome import COMMAND, TOUCH, celegans
from mappers.report_pictures import flow_places, network_svg, raster_svg

SVG = "{http://www.w3.org/2000/svg}"


def test_the_counts_are_those_of_the_tables():
    worm = celegans()
    wiring = worm.wiring
    assert (wiring.units, wiring.synapse_count, worm.contacts.sum()) == (302, 2279, 6465)
    assert (wiring.gap_count, worm.gap_contacts.sum()) == (552, 934)  # without 5 neurons that touch themselves, 13 contacts
    assert (wiring.polarity == -1).sum() == 154
    assert [worm.types.count(kind) for kind in ("sensory", "inter", "motor", "polymodal", "unknown")] == [83, 89, 123, 5, 2]
    assert celegans(gap=False).wiring.gap_count == 0
    assert len(set(worm.names)) == 302
    assert worm.names[:4] == COMMAND


def test_known_connections_are_there():
    worm = celegans()
    wiring = worm.wiring
    chemical = {(worm.names[a], worm.names[b]) for a, b in zip(wiring.source, wiring.target)}
    assert {("AVDL", "AVAL"), ("PVCL", "AVBR"), ("AVM", "AVBL")} <= chemical
    gaps = {frozenset((worm.names[a], worm.names[b])) for a, b in zip(wiring.gap_source, wiring.gap_target)}
    assert {frozenset(("ALML", "AVM")), frozenset(("PLML", "PVCL"))} <= gaps  # the touch circuit (Chalfie et al. 1985)
    driven = {(worm.channels[a], worm.names[b]) for a, b in zip(wiring.sensory_source, wiring.sensory_target)}
    assert driven == {(channel, name) for channel, group in TOUCH.items() for name in group}


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="a neuron must have a name of the connectome, such as \"AVAL\", but is 'XYZ'"):
        celegans(inputs={"x": ("XYZ",)})
    with pytest.raises(ValueError, match="but is 'avm'"):
        celegans().unit("avm")


def test_signals_flow_downwards_in_a_picture():
    chain = Wiring.from_adjacency(np.diag(np.ones(4), 1), np.zeros((1, 5)), 1)
    height = flow_places(chain)[:, 1]
    assert (np.diff(height) < 0).all()
    lonely = Wiring.from_adjacency(np.zeros((3, 3)), np.zeros((1, 3)), 1)
    assert np.isfinite(flow_places(lonely)).all()


def test_pictures_are_xml_with_a_mark_for_everything():
    worm = celegans()
    groups, activity = list(worm.types), np.linspace(0.0, 1.0, 302)
    picture = ElementTree.fromstring(network_svg(worm.wiring, groups, activity, worm.names, named=[0], title="a < b & c"))
    discs = [disc for disc in picture.iter(f"{SVG}circle") if disc.find(f"{SVG}title") is not None]
    assert len(discs) == 302
    assert "a < b & c" in [text.text for text in picture.iter(f"{SVG}text")]
    times, units = np.array([0.1, 0.2, 0.9]), np.array([0, 1, 2])
    raster = raster_svg(times, units, ["x", "y", "x"], (0.0, 0.5), inputs=[("touch", 0.1, 0.2)])
    marks = "".join(path.get("d") or "" for path in ElementTree.fromstring(raster).iter(f"{SVG}path"))
    assert marks.count("M") == 2  # the third lies outside the window
    assert network_svg(worm.wiring, groups, np.zeros(302), worm.names)  # silence is no error
