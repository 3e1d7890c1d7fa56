"""How fast the chip simulator is, and live Lava beside it in the same run: `python -m benchmarks.chip` writes benchmarks/results/chip.md.

CPU time of one thread for the simulator, minima over repeats; wall time for Lava, whose processes share the machine's cores. Lava's time
per tick is the difference of a long and a short run, so that starting Python and building the graph do not count.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

import hardware_profiles
import mappers
from benchmarks.measuring import fastest, first_calls, write_report
from event_sim import EventStream
from event_sim.chip_run import ChipRun
from event_sim.fixed import run_chip
from event_sim.kernels import chip
from event_sim.plan import SampledPlan, make_plan
from liquid_neuro import LiquidNetwork, Wiring, cfc, load_ncps, ltc
from liquid_neuro.connectome import celegans
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers.exporters.lava_compare import compare

RESULTS = Path(__file__).parent / "results" / "chip.md"
GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
TOUCH = {"anterior": ("ALML", "ALMR", "AVM"), "posterior": ("PLML", "PLMR")}
COLD = """
import time
import numpy as np, hardware_profiles, liquid_neuro, mappers
from event_sim import EventStream, fixed
network = liquid_neuro.CELL(liquid_neuro.Wiring.auto_ncp(32, 19, 1), seed=1)
quantized = mappers.quantize(network, hardware_profiles.load("loihi2"))
start = time.process_time()
fixed.run_chip(quantized, EventStream.from_samples(np.ones((4, 32)), sample_s=1.0))
print(time.process_time() - start)
"""


@dataclass(frozen=True, eq=False)
class Case:
    """A network and what it hears: x (samples, inputs); lava: samples of Lava's short and long run, none where it is not run."""

    name: str
    network: LiquidNetwork
    x: np.ndarray
    lava: tuple[int, int] | None = None


@cache
def cases() -> tuple[Case, ...]:
    """The networks of the tables."""
    worm = celegans(TOUCH).wiring
    generator = np.random.default_rng(0)
    return (
        Case("LTC-19 (ltc_ncp19), white", load_ncps(GOLDEN / "ltc_ncp19.safetensors", cell="ltc"), white(32, 1500), (20, 220)),
        Case("LTC, 302 neurons of C. elegans, walk", ltc(worm, seed=1), walk(worm.inputs, 150), (4, 44)),
        Case("LTC, 302 neurons at 10 %, white", ltc(Wiring.random(8, 302, 8, 0.9, seed=1), seed=0), white(8, 60), (2, 22)),
        Case("CfC-19, wired, white", load_ncps(GOLDEN / "cfc_wired_ncp19.safetensors", cell="cfc"), white(32, 20_000), (50, 1050)),
        Case("CfC, 256 units, one backbone layer of 128, white", cfc(256, inputs=16, seed=0), generator.normal(0, 0.5, (600, 16))),
    )


def white(inputs: int, samples: int) -> np.ndarray:
    """Independent samples: the worst case for messages that carry changes."""
    return np.random.default_rng(1).normal(0, 0.5, (samples, inputs))


def walk(inputs: int, samples: int) -> np.ndarray:
    """A random walk, 0.08 per sample and channel."""
    return np.cumsum(np.random.default_rng(1).normal(0, 0.08, (samples, inputs)), axis=0)


@cache
def quantized_of(case: Case) -> QuantizedNetwork:
    """The case's network for loihi2."""
    return mappers.quantize(case.network, hardware_profiles.load("loihi2"), calibration=case.x[:256])


def kernel_seconds(quantized: QuantizedNetwork, x: np.ndarray, repeats: int) -> float:
    """The least CPU seconds that the ticks of a run take."""
    plan = make_plan(quantized.network, EventStream.from_samples(x, sample_s=1.0), None, None, None, sampled=True)
    assert isinstance(plan, SampledPlan)
    words = quantized.input_format.quantize(plan.levels)
    runs = [ChipRun(quantized, plan, words, None, False) for _ in range(repeats)]
    return min(fastest(lambda run=run: run.samples(0, plan.samples), 1) for run in runs)  # type: ignore[misc]


@cache
def microseconds_per_tick(case: Case) -> float:
    """CPU time of the simulator."""
    quantized = quantized_of(case)
    return kernel_seconds(quantized, case.x, 7) / (len(case.x) * quantized.ticks_per_sample) * 1e6


def constant_input(case: Case) -> tuple[float, float]:
    """(active compartments, microseconds) per tick once the first sample has been held for 1,000 samples: integers may circle for good."""
    quantized, still = quantized_of(case), np.tile(case.x[:1], (2000, 1))
    ticks = 1000 * quantized.ticks_per_sample
    seconds = kernel_seconds(quantized, still, 3) - kernel_seconds(quantized, still[:1000], 3)
    long, short = (run_chip(quantized, EventStream.from_samples(x, sample_s=1.0)).activity for x in (still, still[:1000]))
    assert long is not None
    assert short is not None
    active = sum(int((long.active_updates[p.name] - short.active_updates[p.name]).sum()) for p in quantized.populations if p.program)
    return active / ticks, seconds / ticks * 1e6


def microseconds_at_rest(case: Case) -> float:
    """CPU time per tick of a machine in which no compartment has anything to do: what is left is the clock and the host's samples."""
    quantized, samples = quantized_of(case), 1000
    plan = make_plan(
        quantized.network, EventStream.from_samples(np.zeros((samples, case.x.shape[1])), sample_s=1.0), None, None, None, sampled=True
    )
    assert isinstance(plan, SampledPlan)
    run = ChipRun(quantized, plan, np.zeros((samples, case.x.shape[1]), dtype=np.int64), None, False)
    run.machine.queued[:], run.machine.queue_length[:] = 0, 0
    return fastest(lambda: run.samples(0, samples), 1) / (samples * quantized.ticks_per_sample) * 1e6


def speed() -> list[str]:
    """The simulator alone."""
    lines = [
        "| network | compartments | stored synapses | synaptic operations per tick | active compartments per tick | us per tick "
        "| M synaptic operations/s | constant input: active compartments per tick | constant input: us per tick | at rest: us per tick |",
        "|---|" + "---|" * 9,
    ]
    for case in cases():
        quantized = quantized_of(case)
        us = microseconds_per_tick(case)
        activity = run_chip(quantized, EventStream.from_samples(case.x, sample_s=1.0)).activity
        assert activity is not None
        ticks = len(case.x) * quantized.ticks_per_sample
        operations = activity.stored_operations.sum() / ticks
        active = sum(int(counts.sum()) for counts in activity.active_updates.values()) / ticks
        moving, constant = constant_input(case)
        lines.append(
            f"| {case.name} | {quantized.compartments} | {quantized.stored_synapses} | {operations:.0f} | {active:.0f} | {us:.2f} "
            f"| {operations / us:.0f} | {moving:.0f} | {constant:.3f} | {microseconds_at_rest(case):.4f} |"
        )
    return lines


def beside_lava() -> list[str]:
    """The same networks in live lava-nc, equal in every state and message."""
    lines = ["| network | lava-nc, us per tick | simulator, us per tick | ratio | values compared | differences |", "|---|" + "---|" * 5]
    for case in cases():
        if case.lava is None:
            continue
        quantized = quantized_of(case)
        mapping = mappers.map_network(quantized, hardware_profiles.load("loihi2"))
        with tempfile.TemporaryDirectory() as folder:
            mappers.export(mapping, "lava", folder)
            found = [compare(folder, quantized, case.x, samples=samples) for samples in (case.lava[0], *case.lava)]  # the first warms up
        if any(one.differences is None for one in found):
            lines.append(f"| {case.name} | not run: {found[-1].reason} | | | | |")
            continue
        us = (found[2].seconds - found[1].seconds) / (found[2].ticks - found[1].ticks) * 1e6
        ours = microseconds_per_tick(case)
        lines.append(
            f"| {case.name} | {us:.0f} | {ours:.2f} | {us / ours:.0f} | {found[2].values_compared:,} | "
            f"{sum(one.differences or 0 for one in found)} |"
        )
    return lines


def first_call() -> list[str]:
    """CPU seconds of the first call, by cell."""
    return first_calls("cell", [(cell, COLD.replace("CELL", cell)) for cell in ("ltc", "cfc")])


def main() -> None:
    """Run everything, print it and write the table."""
    assert chip.run_ticks is not None  # compiled before anything is timed
    parts = (
        ("The simulator (bounds asked for: 1.8 us per tick of LTC-19, 100 M synaptic operations/s)", speed),
        ("Beside live lava-nc 0.10.0 (asked for: 1,000 times at 19 neurons, 300 times at 300)", beside_lava),
        ("First call", first_call),
    )
    write_report(
        __doc__, "Chip simulator", "one thread; CPU time of the simulator, wall time of Lava, on a shared machine.", parts, RESULTS
    )


if __name__ == "__main__":
    main()
