"""The whole pipeline on a small network: every stage once, in the order a user writes it. Its warm time is printed, not asserted."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

import event_sim
import hardware_profiles
import liquid_neuro
import mappers


def pipeline(folder: Path) -> dict[str, object]:
    wiring = liquid_neuro.Wiring.ncp(
        2, inter=5, command=3, motor=1, sensory_fanout=3, inter_fanout=2, recurrent_command_synapses=3, motor_fanin=3, seed=7
    )
    liquid_neuro.save(liquid_neuro.ltc(wiring, seed=1), folder / "model.safetensors")
    network = liquid_neuro.load(folder / "model.safetensors")
    profile = hardware_profiles.load("loihi2")
    x = np.cumsum(np.random.default_rng(0).normal(0, 0.1, (100, 2)), axis=0)
    events = event_sim.EventStream.from_samples(x, sample_s=0.02, threshold=0.01)
    recording = event_sim.simulate(network, events, until=2.0)
    quantized = mappers.quantize(network, profile, calibration=events)
    chip_run = event_sim.simulate(quantized, events, until=2.0)
    mapping = mappers.map_network(quantized, profile, traffic=chip_run)
    cost = mappers.cost(mapping, chip_run)
    exported = mappers.export(mapping, "lava", folder / "lava")
    return {
        "reference": liquid_neuro.integrate(network, events.held(), np.full(100, 0.02))[0],
        "recording": recording,
        "chip_run": chip_run,
        "mapping": mapping,
        "cost": cost,
        "exported": exported,
    }


def test_the_pipeline_runs_and_its_stages_agree(tmp_path, capsys):
    (tmp_path / "cold").mkdir()
    (tmp_path / "warm").mkdir()
    pipeline(tmp_path / "cold")
    started = time.perf_counter()
    result = pipeline(tmp_path / "warm")
    seconds = time.perf_counter() - started
    with capsys.disabled():
        print(f"\ntiny pipeline, warm: {seconds:.2f} s")
    recording, chip_run, cost = result["recording"], result["chip_run"], result["cost"]
    assert recording.output_samples.shape == chip_run.output_samples.shape == (100, 1)
    # The event engine's own bound holds for states; the output map of a new network has gain 1.
    assert np.abs(recording.output_samples - result["reference"]).max() <= max(recording.error_bound, 1e-9)
    # 8-bit weights and 10-bit gates on a network of 9 neurons with states within 1: a few per cent at most, so 0.1 tells right from wrong.
    assert np.abs(chip_run.output_samples - result["reference"]).max() < 0.1
    assert list(mappers.check(result["mapping"])) == []
    assert 0 < cost.energy_j.low <= cost.energy_j.typical <= cost.energy_j.high
    assert (result["exported"].path / "run.py").is_file()
