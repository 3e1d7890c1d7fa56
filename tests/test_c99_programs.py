"""Exported C99 of irregular time, the exact target, gap junctions and mixed memory: every word is the simulator's, every proof holds."""

from __future__ import annotations

import json
import re
import subprocess

import c99_host
import numpy as np
import pytest
from networks import golden
from test_c99_export import assert_equals_simulator, within
from test_integers import walk

import hardware_profiles
import liquid_neuro
import mappers
from liquid_neuro import Wiring
from liquid_neuro.__main__ import run
from mappers.exporters import ExportError, check_export

M4 = hardware_profiles.load("cortex_m4")
LONGEST = 2.0


def coupled(solver="fused", seed=0):
    """An LTC of 9 neurons with synapses and gap junctions; the last neurons hear inputs alone."""
    random = np.random.default_rng(seed)
    synapses = (random.random((9, 9)) < 0.3) * random.choice([-1, 1], (9, 9))
    synapses[:, 6:] = 0
    joined = np.triu(random.random((9, 9)) < 0.3, 1)
    joined[:, 6:] = False
    wiring = Wiring.from_adjacency(synapses, random.random((3, 9)) < 0.5, 2, gap=joined | joined.T)
    network = liquid_neuro.ltc(wiring, seed=seed)
    return network if solver == "fused" else network.with_solver(solver)


def remembering(solver):
    """An LTC with mixed memory."""
    return liquid_neuro.ltc(Wiring.auto_ncp(3, 8, 2, 0.5, seed=3), seed=3, mixed_memory=True, solver=solver)


def small_cfc(mode, layers):
    return liquid_neuro.cfc(5, inputs=3, mode=mode, seed=1, backbone_layers=layers, backbone_units=6)


CASES = {
    "fused": (coupled, False, {}),
    "fused_timed": (coupled, True, {}),
    "exact": (lambda: coupled("exact"), False, {}),
    "exact_timed": (lambda: coupled("exact"), True, {"neuron": 4, "gate": 2}),
    "cfc_timed": (lambda: small_cfc("default", 0), True, {}),
    "no_gate_timed": (lambda: small_cfc("no_gate", 1), True, {"neuron": 3}),
    "pure_timed": (lambda: small_cfc("pure", 1), True, {}),
    "wired_timed": (lambda: golden("cfc_wired_ncp19")[0], True, {}),
    "mixed": (lambda: golden("cfc_mixed")[0], False, {}),
    "mixed_timed": (lambda: golden("cfc_mixed")[0], True, {}),
    "ltc_mixed": (lambda: golden("ltc_auto32_mixed")[0], False, {}),
    "ltc_mixed_timed": (lambda: remembering("exact"), True, {"neuron": 3, "gate": 2, "memory": 4}),
}


def case(name, samples=120):
    """(the network in integers, its inputs (windows, time, inputs), its timespans (windows, time) or None)."""
    make, timed, thresholds = CASES[name]
    network = make()
    x = np.stack([walk(network, samples, seed) for seed in range(2)])
    clock = {"timespans": (0.05, LONGEST)} if timed else {}
    quantized = mappers.quantize(network, M4, calibration=x[0], thresholds=thresholds or None, **clock)
    spans = np.random.default_rng(0).uniform(0, LONGEST, x.shape[:2])
    spans[:, [0, 7]] = 0.0
    spans[:, [3, 50]] = LONGEST
    return quantized, within(quantized, x), spans if timed else None


@pytest.mark.parametrize("name", CASES)
def test_every_program_equals_the_simulator(tmp_path, name):
    quantized, x, spans = case(name)
    proof = mappers.verify(quantized)
    assert proof.holds, str(proof)
    tables = "fast" if len(name) % 2 else "small"
    compared = assert_equals_simulator(quantized, x, tmp_path / "c", "-O1", *c99_host.SANITIZED[2:], spans=spans, tables=tables)
    assert compared >= 2 * 120 * quantized.network.units


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_long_runs_equal_the_simulator(tmp_path, name):
    quantized, x, spans = case(name, 4000)
    assert assert_equals_simulator(quantized, x, tmp_path / "c", spans=spans) >= 40_000


def test_neurons_that_hear_inputs_alone_are_prepared_once_a_sample(tmp_path):
    quantized, _, _ = case("exact_timed")
    source = (c99_host.exported(quantized, tmp_path / "c") / "liquid.c").read_text()
    assert "made[i - 6] = liquid_neuron_prepare(" in source
    assert "for (i = 6; i < 9; i++) {\n        const int32_t before = neuron[i];" in source


def test_the_timespan_is_an_argument_and_tested(tmp_path):
    quantized, x, _ = case("cfc_timed")
    spans = np.linspace(0.0, LONGEST, 20)
    folder = c99_host.exported(quantized, tmp_path / "c", inputs=x[0][:20], timespans=spans)
    header = (folder / "liquid.h").read_text()
    fraction = int(re.search(r"LIQUID_ELAPSED_FRACTION (\d+)", header)[1])
    assert fraction == quantized.elapsed.state.fraction_bits
    assert "void liquid_step(liquid_state *self, int32_t elapsed, const liquid_input" in header
    test = (folder / "liquid_test.c").read_text()
    words = [int(word) for word in re.search(r"elapsed\[SAMPLES\] = \{(.*)\};", test)[1].split(",")]
    assert words == quantized.elapsed.state.quantize(spans).tolist()
    program = c99_host.built(folder, sources=("liquid.c", "liquid_test.c"), program="own_test")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "0 of 100 state words differ from the simulator's\n")


def test_an_edited_export_is_refused_and_fails_its_self_test(tmp_path, capsys):
    quantized, _, _ = case("fused")
    folder = c99_host.exported(quantized, tmp_path / "c")
    assert run(["verify", str(folder)]) == 0
    source = (folder / "liquid.c").read_text()
    records = re.search(r"liquid_neuron_from_recurrent_gate\[\d+\] = \{\n    \{(-?\d+), ", source)
    edited = source[: records.start(1)] + str(int(records[1]) + 4000) + source[records.end(1) :]
    (folder / "liquid.c").write_text(edited)
    with pytest.raises(ExportError, match=r'"liquid\.c" in .* was edited since; export again'):
        check_export(folder)
    capsys.readouterr()
    assert run(["verify", str(folder), "--json"]) == 1
    assert "was edited" in json.loads(capsys.readouterr().out)["reason"]
    program = c99_host.built(folder, sources=("liquid.c", "liquid_test.c"), program="own_test")
    assert subprocess.run([program], capture_output=True, check=False).returncode == 1
    (folder / "liquid.h").unlink()
    (folder / "liquid.c").write_text(source)
    with pytest.raises(ExportError, match=r'"liquid\.h" is missing'):
        check_export(folder)
    with pytest.raises(ValueError, match="folder must be an export"):
        check_export(tmp_path)


def test_timespans_that_cannot_be_are_refused(tmp_path):
    timed, regular = case("cfc_timed")[0], mappers.quantize(small_cfc("default", 0), M4, input_range=(-1, 1))
    for quantized, spans, words in (
        (timed, [1.0], "timespans must be 50 numbers of 0 to"),
        (timed, np.full(50, -1.0), "timespans must be 50 numbers of 0 to"),
        (regular, np.ones(50), "timespans must be left out"),
    ):
        with pytest.raises(ExportError, match=words):
            c99_host.exported(quantized, tmp_path / "c", timespans=spans)
