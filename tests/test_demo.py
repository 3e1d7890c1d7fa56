"""The demonstration as a user runs it: goals met, one JSON object, and files that open again."""

from __future__ import annotations

import json

import pytest

from liquid_neuro.__main__ import run

pytest.importorskip("jax")
pytest.importorskip("plotly")


@pytest.mark.slow
def test_the_demonstration_meets_its_goals(tmp_path, monkeypatch, capsys):
    import liquid_neuro
    from event_sim.recording_storage import load_recording
    from liquid_neuro.quantized_storage import load_quantized
    from mappers.mapping_storage import load_mapping

    out = tmp_path / "demo"
    assert run(["demo", "--json", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert set(result) == {"baseline_accuracy", "ltc", "cfc", "costs", "steps_s", "seconds"}
    ltc = result["ltc"]
    assert set(ltc) == {"float_accuracy", "event_rms_error", "quantized_accuracy", "codesign", "cores", "hops", "lava"}
    assert ltc["float_accuracy"] > 0.9463  # the LTC paper's figure
    assert ltc["codesign"]["spikes_per_sample"] <= ltc["codesign"]["spikes_per_sample_before"] / 3
    assert ltc["codesign"]["accuracy"] >= ltc["float_accuracy"] - 0.005
    assert ltc["hops"]["after"] <= ltc["hops"]["before"]
    assert ltc["lava"]["differences"] == 0 or ltc["lava"]["reason"]
    assert result["cfc"]["akida"]["weight_bits"] == result["cfc"]["akida"]["activation_bits"] == 4
    assert result["cfc"]["akida"]["accuracy"] >= result["cfc"]["float_accuracy"] - 0.01
    for cost in result["costs"].values():
        assert cost["model"] in ("ltc", "cfc")
        for kind in ("energy_j", "energy_paced_j", "latency_s"):
            assert 0 < cost[kind]["low"] <= cost[kind]["typical"] <= cost[kind]["high"]
    assert {"loihi2", "akida1000", "cortex_m4"} <= set(result["costs"])
    assert len(result["steps_s"]) == 9
    assert (out / "report.html").stat().st_size > 1e6
    for model in out.glob("*.safetensors"):
        liquid_neuro.load(model)
    for name, load in (("quantized", load_quantized), ("mapping", load_mapping), ("recording", load_recording)):
        for path in out.glob(f"*{name}.npz"):
            load(path)
