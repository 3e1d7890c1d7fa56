"""`liquid-neuro simulate`: a float network event by event, or a quantised one bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liquid_neuro.commands.shared import (
    Data,
    Json,
    Samples,
    SampleSeconds,
    TaskName,
    Threshold,
    check_output,
    float_network,
    read_any_network,
    read_stream,
    show,
    watched,
)

EXAMPLE = "liquid-neuro simulate model.safetensors --samples 500 --quantum 0.01 --out recording.npz"


def run(
    model: Annotated[Path, typer.Argument(help="A network (.safetensors) or a quantised network (.npz).")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the recording goes (.npz); without it only the summary is printed.")
    ] = None,
    data: Data = None,
    sample_s: SampleSeconds = None,
    task: TaskName = "occupancy",
    threshold: Threshold = 0.0,
    samples: Samples = None,
    engine: Annotated[str, typer.Option("--engine", help="auto, event or clock (float networks).")] = "auto",
    quantum: Annotated[
        float | None, typer.Option("--quantum", help="A neuron broadcasts when it moved by this much (float networks).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate a network over a recording: events, synaptic operations and outputs. Quantised ones run bit-exact."""
    import event_sim
    from event_sim.recording_storage import save_recording
    from liquid_neuro.network import LiquidNetwork

    if out is not None:
        check_output(out, model, data)
    network = read_any_network(model)
    events = read_stream(float_network(network), task, data, sample_s, threshold, samples)
    if not isinstance(network, LiquidNetwork) and (engine != "auto" or quantum is not None):
        raise ValueError(f'--engine and --quantum are for float networks, but "{model}" is quantised: its chip decides; leave them out')
    recording = event_sim.simulate(network, events, engine=engine, quantum=quantum, progress=watched(as_json))
    if out is not None:
        save_recording(recording, out)
    summary = {
        "recording": None if out is None else str(out),
        "engine": recording.engine,
        "samples": len(recording.output_samples),
        "input_events": int(recording.input_event_counts.sum()),
        "neuron_events": int(recording.event_counts.sum()),
        "neuron_synaptic_operations": recording.neuron_synaptic_operations,
        "stored_synaptic_operations": recording.stored_synaptic_operations,
        "clocked_synaptic_operations": recording.clocked_synaptic_operations,
        "error_bound": recording.error_bound,
        "seconds": recording.seconds,
        "last_output": recording.output_samples[-1] if len(recording.output_samples) else None,
        "interrupted": recording.interrupted,
    }
    show(summary, as_json, f"Simulated {model.name}")
    if recording.interrupted:  # what was simulated is kept, but nobody takes it for the whole
        raise KeyboardInterrupt
