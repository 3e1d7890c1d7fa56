"""Heartbeats from an electrocardiogram, event by event: two liquid neurons that work only when the heart does.

`python examples/ecg.py` runs on the minute in examples/data/ecg and prints what is in ecg.out; with a path it reads another record: an .npz
with adc (samples,) or (samples, leads) at 360 Hz and 200 steps per millivolt around 1024, and beat_sample or ann_sample, the marked beats.

The sensor sends when it has moved by 0.05 mV since it last sent. Neuron "beat" follows the R wave within milliseconds. It charges neuron
"refractory", whose time constant is 4 ms while it is charged and 200 ms afterwards: an LTC's liquid time constant. That one keeps "beat"
shut, so that a beat counts once. Record 100 is a clean one; a detector for all patients has to be trained.
"""

import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np

import event_sim
import liquid_neuro

RATE_HZ, STEPS_PER_MV, ZERO = 360.0, 200.0, 1024
WINDOW_S = 0.15  # how near a detection must be to a marked beat (AAMI EC57)
BEAT, REFRACTORY = range(2)


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Millivolts (samples,), and the times of the marked beats in seconds. Another file ends the program with one sentence."""
    try:
        with np.load(path) as file:
            adc = file["adc"] if file["adc"].ndim == 1 else file["adc"][:, 0]
            marked = file["beat_sample"] if "beat_sample" in file else file["ann_sample"][file["ann_symbol"] != "+"]
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        print(f"a record must be an .npz with adc and beat_sample, but {path} is not ({type(error).__name__})", file=sys.stderr)
        sys.exit(2)
    return (adc.astype(np.float64) - ZERO) / STEPS_PER_MV, marked / RATE_HZ


def detector() -> liquid_neuro.LiquidNetwork:
    """Two neurons, solved exactly, with a second as the unit of time."""
    wiring = liquid_neuro.Wiring.from_adjacency([[0, 1], [-1, 0]], [[1, 0]], outputs=1)
    network = liquid_neuro.ltc(wiring, solver="exact", softplus=False, input_mapping="none", output_mapping="none")
    parameters = {
        "cm": [0.005, 0.2], "gleak": [1.0, 1.0], "vleak": [0.0, 0.0],
        # beat -> refractory, refractory -> beat (it pulls to 0: a shunt)
        "w": [50.0, 40.0], "sigma": [30.0, 30.0], "mu": [0.5, 0.4], "erev": [1.0, 0.0],
        # more than 0.3 mV -> beat
        "sensory_w": [4.0], "sensory_sigma": [30.0], "sensory_mu": [0.3], "sensory_erev": [1.0],
    }  # fmt: skip
    return network.with_parameters(parameters)


def detections(sent: np.ndarray) -> np.ndarray:
    """Times at which the neuron "beat" sent a value above one half after one below."""
    mine = sent[sent["unit"] == BEAT]
    before = np.concatenate([[0.0], mine["value"][:-1]])
    return mine["time_s"][(mine["value"] >= 0.5) & (before < 0.5)]


path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data" / "ecg" / "record100_60s.npz"
millivolt, marked = read(path)
network = detector()
events = event_sim.EventStream.from_samples(millivolt[:, None], sample_s=1.0 / RATE_HZ, threshold=0.05)
recording = event_sim.simulate(network, events, engine="event", quantum=0.05)
found = detections(recording.events)

near = np.abs(found[:, None] - marked).min(axis=1) <= WINDOW_S
caught = np.abs(marked[:, None] - found).min(axis=1) <= WINDOW_S
clocked, done = recording.clocked_synaptic_operations, recording.stored_synaptic_operations
print(f"record      {len(millivolt) / RATE_HZ:.0f} s, {len(millivolt)} samples, {len(marked)} beats marked")
print(f"events      {len(events.time_s)} of the sensor, about {round(len(recording.events), -2)} of the neurons")
print(f"beats       {len(found)} found; sensitivity {100 * caught.mean():.1f} %, positive predictivity {100 * near.mean():.1f} %")
print(f"synapses    about {round(done, -2)} evaluated; {clocked}, {clocked // done} times as many, by a clock with six sub-steps a sample")
