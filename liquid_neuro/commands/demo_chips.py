"""The steps of the demonstration that concern co-design, the Akida-like chip, costs and the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liquid_neuro.commands.demo_steps import ACCURACY_DROP, SPIKE_SHARE, ChipRun, Trained, percent, run_on_chip
from liquid_neuro.commands.demo_view import View

if TYPE_CHECKING:
    from event_sim import EventStream
    from liquid_neuro.tasks import Task
    from mappers.mapping import Mapping
    from mappers.report import CostRow

AKIDA_STEPS = 300


@dataclass(frozen=True, eq=False)
class Akida:
    """The CfC on the Akida-like chip."""

    run: ChipRun
    mapping: Mapping
    weight_bits: int
    activation_bits: int


@dataclass(frozen=True, eq=False)
class Codesigned:
    """The LTC after retraining through its integers. limit: which limit was hit where the budget was not met, else ""."""

    run: ChipRun
    limit: str


def codesign(task: Task, trained: Trained, before: ChipRun, streams: tuple[EventStream, ...], seed: int, view: View) -> Codesigned:
    """Step 4: retraining through the chip's own arithmetic with a spike term, until the spikes are a third and the accuracy is kept."""
    import hardware_profiles
    import mappers

    least, most = trained.ltc_accuracy - ACCURACY_DROP, SPIKE_SHARE * before.spikes_per_sample
    budget = mappers.Budget(accuracy_drop=ACCURACY_DROP, spike_ratio=SPIKE_SHARE)
    result = mappers.codesign(task, trained.ltc, hardware_profiles.load("loihi2"), budget, seed=seed)
    run = run_on_chip(task, result.quantized, streams)
    note = f"at least {percent(least)}; {len(result.history)} candidates measured bit for bit"
    view.row("ltc", "retrained integers, test accuracy", percent(run.accuracy), note, good=run.accuracy >= least)
    note = f"at most {most:.1f}; before {before.spikes_per_sample:.1f}"
    view.row("ltc", "spikes per sample", f"{run.spikes_per_sample:.1f}", note, good=run.spikes_per_sample <= most)
    if result.limit:
        view.row("ltc", "limit that was hit", result.limit, "", good=False)
    return Codesigned(run, result.limit)


def lower_to_akida(task: Task, trained: Trained, streams: tuple[EventStream, ...], folder: Path, seed: int, view: View) -> Akida:
    """Step 7: four dense heads per layer on the chip with 4-bit weights and activations; tables, gate and state on the host; retrained."""
    import event_sim
    import hardware_profiles
    import liquid_neuro
    import mappers

    chip = hardware_profiles.load("akida1000")
    calibration = task.train.x[::8]
    first = mappers.quantize(trained.cfc, chip, calibration=calibration)
    before = event_sim.evaluate(task, first).accuracy
    fit = liquid_neuro.fit(task, trained.cfc, through=first, steps=AKIDA_STEPS, learning_rate=0.003, seed=seed)
    quantized = mappers.quantize(fit.network, chip, formats=first.formats)
    run = run_on_chip(task, quantized, streams)
    mapping = mappers.map_network(quantized, chip)
    mappers.export(mapping, "akida", folder)
    weight_bits = max(projection.weight_bits for projection in quantized.projections)
    view.row(
        "cfc",
        "akida1000, test accuracy",
        percent(run.accuracy),
        f"before retraining {percent(before)}, float {percent(trained.cfc_accuracy)}",
    )
    view.row(
        "cfc",
        "neural processors",
        f"{mapping.cores}",
        f"of {chip.cores}; {weight_bits}-bit weights, {chip.activation_bits}-bit activations",
    )
    view.row("cfc", "on the chip", "dense heads", "matrices of ff1, ff2, time_a, time_b per layer, step-wise ReLU")
    view.row(
        "cfc",
        "on the host",
        "tables, gate, state",
        "AKD1000 has no tanh, no sigmoid and no product of activations; the host's work is costed",
    )
    return Akida(run, mapping, weight_bits, chip.activation_bits)


def estimate(task: Task, loihi: Mapping, loihi_run: ChipRun, akida: Akida, streams: tuple[EventStream, ...], view: View) -> list[CostRow]:
    """Step 8: energy and latency per inference on three chips; the Cortex-M4 runs the co-designed LTC in its own integers."""
    import event_sim
    import hardware_profiles
    import mappers
    from event_sim.interrupts import whole
    from mappers.report import CostRow
    from mappers.report_figures import engineering

    controller = hardware_profiles.load("cortex_m4")
    calibration = event_sim.EventStream.from_samples(task.training_streams[0].x, sample_s=task.sample_s)
    compiled = mappers.quantize(loihi_run.quantized.network, controller, calibration=calibration)
    placed = ((loihi, loihi_run.recordings[0]), (akida.mapping, akida.run.recordings[0]))
    on_controller = (mappers.map_network(compiled, controller), whole(event_sim.simulate(compiled, [streams[0]]), 1)[0])
    rows = []
    for mapping, recording in (*placed, on_controller):
        cost = mappers.cost(mapping, recording)
        model = mapping.quantized.network.cell
        rows.append(CostRow(mapping.profile.name, mapping.profile.title, model, cost))
        for name, value, unit in (
            ("free running", cost.energy_j, "J"),
            ("paced", cost.energy_paced_j, "J"),
            ("latency", cost.latency_s, "s"),
        ):
            if value is not None:
                what = f"{mapping.profile.name}, {name}"
                view.row(model, what, engineering(value.typical, unit), f"{engineering(value.low, unit)} … {engineering(value.high, unit)}")
    view.row(
        "",
        "sources",
        f"{sum(len(row.cost.sources) for row in rows)} numbers",
        "modelled from published figures; each stands in the report and in `liquid-neuro profiles`",
    )
    return rows
