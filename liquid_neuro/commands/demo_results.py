"""The demonstration as a whole: the steps in order, what they found as one object, and which goals were not met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liquid_neuro.commands import demo_chips, demo_report, demo_steps
from liquid_neuro.commands.demo_steps import ACCURACY_DROP, SPIKE_SHARE, percent
from liquid_neuro.commands.demo_view import View
from liquid_neuro.commands.shared import read_task

if TYPE_CHECKING:
    from mappers.mapping import Mapping as ChipMapping
    from mappers.report import CostRow


@dataclass(frozen=True, eq=False)
class Results:
    """Everything that the steps found, in their order."""

    trained: demo_steps.Trained
    events: demo_steps.EventRun
    chip: demo_steps.ChipRun
    codesigned: demo_chips.Codesigned
    mapping: ChipMapping
    lava: demo_steps.LavaRun
    akida: demo_chips.Akida
    costs: list[CostRow]


def all_steps(out: Path, seed: int, view: View) -> Results:
    """Run the nine steps; rows are printed as they come, files are written to `out`."""
    task = read_task("occupancy")
    with view.step("train", "training an LTC and a CfC"):
        trained = demo_steps.train(task, seed, view)
    with view.step("simulate", "simulating event by event"):
        events = demo_steps.simulate(task, trained.ltc, view)
    with view.step("quantize", "quantising for Loihi 2, running the integers"):
        chip = demo_steps.quantize(task, trained.ltc, events.streams, view)
    with view.step("codesign", "retraining through the chip's arithmetic"):
        codesigned = demo_chips.codesign(task, trained, chip, events.streams, seed, view)
    with view.step("map", "placing on cores"):
        mapping = demo_steps.place(codesigned.run.quantized, codesigned.run.recordings, view)
    with view.step("lava", "running the exported graph under Lava"):
        lava = demo_steps.run_lava(chip, mapping, task.streams[0].x, out, view)
    with view.step("akida", "lowering the CfC to an Akida-like chip"):
        akida = demo_chips.lower_to_akida(task, trained, events.streams, out / "akida", seed, view)
    with view.step("estimate", "estimating energy and latency"):
        costs = demo_chips.estimate(task, mapping, codesigned.run, akida, events.streams, view)
    results = Results(trained, events, chip, codesigned, mapping, lava, akida, costs)
    with view.step("report", "writing the report"):
        demo_report.write(task, results, out, seed, view)
    return results


def summary(results: Results, steps_s: Mapping[str, float], seconds: float) -> dict[str, Any]:
    """The object that `--json` prints."""
    trained, codesigned, mapping, lava, akida = results.trained, results.codesigned, results.mapping, results.lava, results.akida
    reason = lava.reason if lava.differences is None else None
    return {
        "baseline_accuracy": trained.baseline_accuracy,
        "ltc": {
            "float_accuracy": trained.ltc_accuracy,
            "event_rms_error": results.events.rms_error,
            "quantized_accuracy": results.chip.accuracy,
            "codesign": {
                "accuracy": codesigned.run.accuracy,
                "spikes_per_sample": codesigned.run.spikes_per_sample,
                "spikes_per_sample_before": results.chip.spikes_per_sample,
            },
            "cores": mapping.cores,
            "hops": {"before": mapping.hops_before, "after": mapping.hops_after},
            "lava": {"values_compared": lava.values_compared, "differences": lava.differences, "reason": reason},
        },
        "cfc": {
            "float_accuracy": trained.cfc_accuracy,
            "akida": {
                "accuracy": akida.run.accuracy,
                "cores": akida.mapping.cores,
                "weight_bits": akida.weight_bits,
                "activation_bits": akida.activation_bits,
            },
        },
        "costs": {
            row.profile: {
                "model": row.model,
                "energy_j": row.cost.energy_j.to_json(),
                "energy_paced_j": None if row.cost.energy_paced_j is None else row.cost.energy_paced_j.to_json(),
                "latency_s": row.cost.latency_s.to_json(),
            }
            for row in results.costs
        },
        "steps_s": dict(steps_s),
        "seconds": seconds,
    }


def unmet(results: Results) -> list[str]:
    """The goals that were not met, one sentence each."""
    missed = []
    before, after = results.chip.spikes_per_sample, results.codesigned.run.spikes_per_sample
    if after > SPIKE_SHARE * before:
        missed.append(f"co-design must reach a third of {before:.1f} spikes per sample, but has {after:.1f}")
    lowest = results.trained.ltc_accuracy - ACCURACY_DROP
    if results.codesigned.run.accuracy < lowest:
        missed.append(f"co-design must keep an accuracy of {percent(lowest)}, but has {percent(results.codesigned.run.accuracy)}")
    if results.lava.differences:
        missed.append(f"Lava must agree with the integer simulator, but differs in {results.lava.differences} values")
    for run in results.codesigned.run.recordings:
        words = {name: count for name, count in run.activity.saturations.items() if name != "input"} if run.activity is not None else {}
        if any(words.values()):
            missed.append(f"the integer LTC must run without saturation, but saturates: {words}")
    return missed
