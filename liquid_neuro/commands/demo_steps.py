"""The steps of the demonstration that concern the LTC on a Loihi-class chip: one short function each, results as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from liquid_neuro.commands.demo_view import View

if TYPE_CHECKING:
    from event_sim import EventStream
    from event_sim.recording import Recording
    from liquid_neuro.network import LiquidNetwork
    from liquid_neuro.quantized_network import QuantizedNetwork
    from liquid_neuro.tasks import Task
    from mappers.mapping import Mapping

LTC_STEPS, CFC_STEPS = 600, 600
LAVA_SAMPLES = 100
CORES = 8  # two tiles
SPIKE_SHARE, ACCURACY_DROP = 1 / 3, 0.005


@dataclass(frozen=True, eq=False)
class Trained:
    """Two networks on one wiring, their test accuracies, and the memoryless baseline's."""

    ltc: LiquidNetwork
    cfc: LiquidNetwork
    ltc_accuracy: float
    cfc_accuracy: float
    baseline_accuracy: float


@dataclass(frozen=True, eq=False)
class EventRun:
    """The LTC over the test streams, event by event. reference: outputs of the sampled reference, one array per stream."""

    streams: tuple[EventStream, ...]
    recordings: tuple[Recording, ...]
    reference: tuple[Any, ...]
    rms_error: float


@dataclass(frozen=True, eq=False)
class ChipRun:
    """A network in integers: its accuracy on the test windows, its runs over the test streams, its spikes per sample."""

    quantized: QuantizedNetwork
    accuracy: float
    recordings: tuple[Recording, ...]
    spikes_per_sample: float


def percent(share: float) -> str:
    """95.51 %."""
    return f"{100 * share:.2f} %"


def train(task: Task, seed: int, view: View) -> Trained:
    """Step 1: an LTC and a CfC on the same wiring, beside logistic regression without memory."""
    import liquid_neuro
    from event_sim import evaluate
    from liquid_neuro import tasks
    from liquid_neuro.commands.models import new_network

    baseline = tasks.logistic_regression(task).accuracy
    view.row("–", "logistic regression, test accuracy", percent(baseline), "memoryless baseline, strong on these sensors: honesty first")
    found = {}
    for cell, steps in (("ltc", LTC_STEPS), ("cfc", CFC_STEPS)):
        network = new_network(task, cell, 19, seed)
        fit = liquid_neuro.fit(task, network, steps=steps, seed=seed)
        accuracy = evaluate(task, fit.network).accuracy
        found[cell] = (fit.network, accuracy)
        published = f"; LTC paper: {percent(tasks.PUBLISHED_OCCUPANCY_ACCURACY['LTC'])}" if cell == "ltc" else ""
        view.row(cell, "trained, test accuracy", percent(accuracy), f"{steps} steps in {fit.seconds:.1f} s, float{published}")
    (ltc, ltc_accuracy), (cfc, cfc_accuracy) = found["ltc"], found["cfc"]
    return Trained(ltc, cfc, ltc_accuracy, cfc_accuracy, baseline)


def simulate(task: Task, network: LiquidNetwork, view: View) -> EventRun:
    """Step 2: the test streams through the asynchronous engine, against the sampled reference of the same solver."""
    import event_sim
    import liquid_neuro
    from event_sim.interrupts import whole

    streams = tuple(event_sim.EventStream.from_samples(stream.x, sample_s=task.sample_s) for stream in task.streams)
    for engine in ("event", "clocked"):  # compiled before anything is timed
        event_sim.simulate(network, streams[0], until=10 * task.sample_s, engine=engine)
    recordings = whole(event_sim.simulate(network, list(streams), engine="event"), len(streams))
    on_clock = whole(event_sim.simulate(network, list(streams), engine="clocked"), len(streams))
    reference = tuple(liquid_neuro.integrate(network, stream.x)[0] for stream in task.streams)
    error = np.concatenate([run.output_samples - y for run, y in zip(recordings, reference)])
    rms = float(np.sqrt(np.mean(error**2)))
    bound = max(run.error_bound for run in recordings)
    view.row(
        "ltc",
        "event-driven against reference, rms",
        f"{rms:.2e}",
        f"solver {network.solver}; bound of the states {bound:.2g} ({recordings[0].error_bound_kind})",
    )
    samples = sum(stream.samples for stream in streams)
    events = sum(int(run.event_counts.sum()) for run in recordings)
    operations = sum(run.stored_synaptic_operations for run in recordings)
    clocked = sum(run.clocked_synaptic_operations for run in recordings)
    view.row("ltc", "neuron events per sample", f"{events / samples:.1f}", f"{events:,} events in {samples:,} samples")
    view.row(
        "ltc",
        "synapse evaluations",
        f"{operations:,}",
        f"a clock-driven run does {clocked:,}: {clocked / max(operations, 1):.1f} times as many",
    )
    data_s = samples * task.sample_s
    seconds, clock_seconds = (sum(run.seconds for run in runs) for runs in (recordings, on_clock))
    note = f"{seconds:.2f} s for {data_s / 86400:.1f} days; our clock-driven engine: {1e6 * clock_seconds / data_s:.2f} µs"
    view.row("ltc", "time per second of data", f"{1e6 * seconds / data_s:.2f} µs", note)
    return EventRun(streams, recordings, reference, rms)


def run_on_chip(task: Task, quantized: QuantizedNetwork, streams: tuple[EventStream, ...]) -> ChipRun:
    """A quantised network on the test windows (accuracy) and on the test streams (spikes)."""
    import event_sim
    from event_sim.interrupts import whole

    accuracy = event_sim.evaluate(task, quantized).accuracy
    recordings = whole(event_sim.simulate(quantized, list(streams)), len(streams))
    spikes = sum(total_spikes(run) for run in recordings)
    return ChipRun(quantized, accuracy, recordings, spikes / sum(stream.samples for stream in streams))


def total_spikes(run: Recording) -> int:
    """All messages of all compartments, inputs and gates included."""
    assert run.activity is not None
    return sum(int(counts.sum()) for counts in run.activity.spikes.values())


def quantize(task: Task, network: LiquidNetwork, streams: tuple[EventStream, ...], view: View) -> ChipRun:
    """Step 3: the LTC in the integers of Loihi 2, ranges from the training stream, run bit by bit."""
    import event_sim
    import hardware_profiles
    import mappers

    calibration = event_sim.EventStream.from_samples(task.training_streams[0].x, sample_s=task.sample_s)
    quantized = mappers.quantize(network, hardware_profiles.load("loihi2"), calibration=calibration)
    result = run_on_chip(task, quantized, streams)
    size = f"{quantized.compartments} compartments, {quantized.stored_synapses} 8-bit synapses"
    note = f"{size}, {quantized.ticks_per_sample} ticks per sample"
    view.row("ltc", "integers, test accuracy", percent(result.accuracy), note)
    view.row("ltc", "spikes per sample", f"{result.spikes_per_sample:.1f}", "all compartments: inputs, gates, neurons")
    return result


def place(quantized: QuantizedNetwork, recordings: tuple[Recording, ...], view: View) -> Mapping:
    """Step 5: compartments on cores, by the traffic that was counted. One core would hold them; several share the work of a tick."""
    import hardware_profiles
    import mappers
    from mappers.report_figures import engineering

    profile = hardware_profiles.load("loihi2")
    alone, mapping = (mappers.map_network(quantized, profile, traffic=recordings[0], cores=cores) for cores in (1, CORES))
    one, many = (engineering(mappers.cost(item, recordings[0]).latency_s.typical, "s") for item in (alone, mapping))
    parts = " + ".join(f"{item.size} {item.name}" for item in quantized.populations if item.program)
    view.row("ltc", "compartments", f"{quantized.compartments}", parts)
    view.row("ltc", "cores", f"{mapping.cores}", f"of {profile.cores}; modelled latency {many}, on a single core {one}")
    used, available = int(mapping.memory_bits.max()), mapping.memory_bits_available
    view.row("ltc", "memory of the fullest core", percent(used / available), f"core {mapping.worst_core}: {used:,} of {available:,} bits")
    hops = f"{mapping.hops_before:,.0f} → {mapping.hops_after:,.0f}"
    view.row(
        "ltc",
        "hops before and after",
        hops,
        "in index order, row by row → partitioned and placed by traffic",
        good=mapping.hops_after <= mapping.hops_before,
    )
    return mapping


@dataclass(frozen=True)
class LavaRun:
    """Live Lava against the integer simulator, over all graphs that were run.

    differences: None where Lava could not be run; `reason` says why.
    """

    values_compared: int
    differences: int | None
    reason: str
    ticks: int
    first_difference: str


def run_lava(plain: ChipRun, mapping: Mapping, x: Any, out: Path, view: View) -> LavaRun:
    """Step 6: exported folders under live Lava, compared value by value with the integer simulator.

    Two networks: the co-designed one, which is nearly silent, and the one before co-design, in which something is sent at most ticks.
    A process for each population: one for each core's share computes the same, but two dozen processes take minutes on two cores.
    """
    import mappers
    from mappers.exporters import lava_compare

    before = mappers.map_network(plain.quantized, mapping.profile, traffic=plain.recordings[0], cores=CORES)
    chosen = {"before co-design": (before, out / "lava_before_codesign"), "co-designed": (mapping, out / "lava")}
    inputs = x[:LAVA_SAMPLES]
    folders = {name: mappers.export(item, "lava", folder, inputs=inputs, by_core=False).path for name, (item, folder) in chosen.items()}
    comparisons = []
    for name, (item, _) in chosen.items():
        found = lava_compare.compare(folders[name], item.quantized, x, samples=LAVA_SAMPLES)
        comparisons.append(found)
        if found.differences is None:
            view.row("ltc", f"live Lava, {name}", "not run", found.reason)
            break
        first = f"; first: {found.first_difference}" if found.differences else ""
        note = f"in {found.values_compared:,} states and messages over {found.ticks:,} ticks of lava-nc 0.10.0{first}"
        view.row("ltc", f"live Lava, {name}", f"{found.differences} differences", note, good=found.differences == 0)
    return LavaRun(
        sum(found.values_compared for found in comparisons),
        None if comparisons[-1].differences is None else sum(found.differences or 0 for found in comparisons),
        comparisons[-1].reason,
        sum(found.ticks for found in comparisons),
        "; ".join(found.first_difference for found in comparisons if found.first_difference),
    )
