"""The last step of the demonstration: the report, and everything else as files beside it."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from liquid_neuro.commands.demo_steps import ACCURACY_DROP, percent
from liquid_neuro.commands.demo_view import View
from liquid_neuro.tasks import PUBLISHED_OCCUPANCY_ACCURACY

if TYPE_CHECKING:
    from liquid_neuro.commands.demo_results import Results
    from liquid_neuro.tasks import Task
    from mappers.report import Tile

WINDOW_SAMPLES = 360


def write(task: Task, results: Results, out: Path, seed: int, view: View) -> None:
    """Step 9: report.html, models, quantised networks, mappings and recordings."""
    from mappers.report import write_report

    files = save_all(results, out)
    network = results.codesigned.run.quantized.network
    page = write_report(
        out / "report.html",
        title="liquid-neuro demonstration",
        subtitle="Room occupancy from five sensors: an LTC and a CfC of 19 neurons on one wiring, from training to three kinds of chip.",
        tiles=tiles(results),
        mapping=results.mapping,
        float_recording=results.events.recordings[0],
        chip_recording=results.codesigned.run.recordings[0],
        chip_name="integers, co-designed",
        reference=results.events.reference[0],
        outputs={"integers, quantised": results.chip.recordings[0].output_samples},
        truth=task.streams[0].y,
        unit_labels=network.labels,
        threshold=network.interface.threshold,
        window=window(task.streams[0].y),
        costs=results.costs,
        provenance={
            "command": f"liquid-neuro demo --seed {seed}",
            "data": task.source,
            **digests(),
            "wiring": "NCP: 12 inter, 6 command, 1 motor, wiring seed 22222",
            "LTC solver": str(results.trained.ltc.solver),
            "integer LTC approximates": str(results.codesigned.run.quantized.target),
            "Lava": lava_sentence(results),
        },
    )
    view.row("", "report", f"{page.stat().st_size / 1e6:.1f} MB", f"{page}; {len(files)} files beside it")


def save_all(results: Results, out: Path) -> list[Path]:
    """Every model, mapping and recording as a file; the paths."""
    import liquid_neuro
    from event_sim.recording_storage import save_recording
    from liquid_neuro.quantized_storage import save_quantized
    from mappers.mapping_storage import save_mapping

    models = {"ltc": results.trained.ltc, "cfc": results.trained.cfc, "ltc_codesigned": results.codesigned.run.quantized.network}
    files = []
    for name, network in models.items():
        liquid_neuro.save(network, out / f"{name}.safetensors")
        files.append(out / f"{name}.safetensors")
    runs = {"ltc_quantized": results.chip, "ltc_codesigned_quantized": results.codesigned.run, "cfc_akida_quantized": results.akida.run}
    for name, run in runs.items():
        files.append(save_quantized(run.quantized, out / f"{name}.npz"))
    for name, mapping in (("ltc_mapping", results.mapping), ("cfc_akida_mapping", results.akida.mapping)):
        files.append(save_mapping(mapping, out / f"{name}.npz"))
    files.append(save_recording(results.events.recordings[0], out / "ltc_recording.npz"))
    files.append(save_recording(results.codesigned.run.recordings[0], out / "ltc_chip_recording.npz"))
    return files


def tiles(results: Results) -> list[Tile]:
    """The figures at the top of the report."""
    from mappers.report import Tile

    trained, before, after, lava = results.trained, results.chip, results.codesigned.run, results.lava
    others = f"CfC {percent(trained.cfc_accuracy)}; logistic regression {percent(trained.baseline_accuracy)}"
    akida, cores = results.akida, results.mapping.cores
    kept = after.accuracy >= trained.ltc_accuracy - ACCURACY_DROP
    fewer = after.spikes_per_sample <= before.spikes_per_sample / 3
    return [
        Tile("LTC, test accuracy", percent(trained.ltc_accuracy), f"{others}; LTC paper {percent(PUBLISHED_OCCUPANCY_ACCURACY['LTC'])}"),
        Tile("on the chip, retrained", percent(after.accuracy), f"integers before retraining: {percent(before.accuracy)}", kept),
        Tile("spikes per sample", f"{after.spikes_per_sample:.1f}", f"{before.spikes_per_sample:.1f} before co-design", fewer),
        Tile(
            "differences to Lava",
            "–" if lava.differences is None else f"{lava.differences}",
            lava_sentence(results),
            _agrees(lava.differences),
        ),
        Tile(
            "Loihi 2 cores", f"{cores}", f"of {results.mapping.profile.cores}; {results.mapping.compartments_per_core.sum()} compartments"
        ),
        Tile("CfC, Akida-like", percent(akida.run.accuracy), f"{akida.weight_bits}-bit weights on {akida.mapping.cores} processors"),
    ]


def _agrees(differences: int | None) -> bool | None:
    return None if differences is None else differences == 0


def lava_sentence(results: Results) -> str:
    """What the comparison with Lava came to."""
    lava = results.lava
    if lava.differences is None:
        return f"not run: {lava.reason}"
    return f"{lava.differences} differences in {lava.values_compared:,} states and messages over {lava.ticks:,} ticks of lava-nc 0.10.0"


def window(labels: npt.ArrayLike) -> tuple[int, int]:
    """The stretch of the stream that the report shows: the first with the most changes of the label, so that something happens in it."""
    values = np.asarray(labels)
    shown = min(WINDOW_SAMPLES, len(values))
    changes = np.concatenate([[0], np.cumsum(np.diff(values) != 0)])
    start = int(np.argmax(changes[shown - 1 :] - changes[: len(changes) - shown + 1]))
    return start, start + shown


def digests() -> dict[str, str]:
    """The SHA-256 of every data file that the demonstration used."""
    folder = resources.files("liquid_neuro") / "data" / "occupancy"
    names = ("datatraining.txt.gz", "datatest.txt.gz", "datatest2.txt.gz")
    return {f"sha256 of {name}": hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
