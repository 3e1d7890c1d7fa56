"""The same differential equation in Brian2, for benchmarks/engines.py, which runs this file in a process of its own.

`python -m benchmarks.brian2_rival FILE`: FILE (.npz) holds the network, the inputs, the states at the ends of samples, and an rms error.
Brian2 runs with cython code and exponential Euler, at the largest of the steps sample / 2^n that meets the error. Of two ways to write the
synapses the faster one counts: gates as summed variables, or computed once per step and then summed. Prints seconds of a run, without
building and compiling, the step, the way and the error as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import brian2
import numpy as np

NEURONS = """
dv/dt = (gleak * (vleak - v) + heard_drive + felt_drive - (heard + felt) * v) / (capacity * second) : 1
heard : 1
heard_drive : 1
felt : 1
felt_drive : 1
gleak : 1
vleak : 1
capacity : 1
"""
PARAMETERS = """
w : 1
sigma : 1
mu : 1
erev : 1
"""
GATE = "w / (1 + exp(-sigma * (v_pre - mu)))"
WAYS = {
    "summed": f"{{sum}}_post = {GATE} : 1 (summed)\n{{sum}}_drive_post = erev * {GATE} : 1 (summed)",
    "gate first": "gate : 1\n{sum}_post = gate : 1 (summed)\n{sum}_drive_post = erev * gate : 1 (summed)",
}


def build(given: Any, way: str, step_s: float) -> tuple[Any, Any]:
    """(network, monitor of the states at the ends of samples)."""
    brian2.start_scope()
    brian2.defaultclock.dt = step_s * brian2.second
    sample = float(given["sample_s"]) * brian2.second
    neurons = brian2.NeuronGroup(len(given["cm"]), NEURONS, method="exponential_euler")
    neurons.gleak, neurons.vleak, neurons.capacity = given["gleak"], given["vleak"], given["cm"]
    levels = brian2.TimedArray(given["x"], dt=sample)
    inputs = brian2.NeuronGroup(given["x"].shape[1], "v : 1", namespace={"levels": levels})
    inputs.run_regularly("v = levels(t, i)", dt=sample, when="start", order=-2)
    parts = [neurons, inputs]
    for group, side, total in ((neurons, "", "heard"), (inputs, "sensory_", "felt")):
        synapses = brian2.Synapses(group, neurons, WAYS[way].format(sum=total) + PARAMETERS)
        synapses.connect(i=given[f"{side}source"], j=given[f"{side}target"])
        for name in ("w", "sigma", "mu", "erev"):
            setattr(synapses, name, given[side + name])
        if way == "gate first":
            synapses.run_regularly(f"gate = {GATE}", when="start", order=-1)
        parts.append(synapses)
    monitor = brian2.StateMonitor(neurons, "v", record=True, dt=sample)
    return brian2.Network(*parts, monitor), monitor


def measure(given: Any, way: str, halvings: int, repeats: int) -> tuple[float, float]:
    """(least CPU seconds of a run, rms error) with 2^halvings steps per sample."""
    network, monitor = build(given, way, float(given["sample_s"]) / 2**halvings)
    network.store()
    duration = (len(given["x"]) + 0.5) * float(given["sample_s"]) * brian2.second
    times = []
    for _ in range(repeats + 1):  # the first one compiles
        network.restore()
        start = time.process_time()
        network.run(duration)
        times.append(time.process_time() - start)
    states = np.asarray(monitor.v).T[1 : len(given["x"]) + 1]
    return min(times[1:]), float(np.sqrt(np.mean((states - given["states"]) ** 2)))


def main() -> None:
    """Measure both ways and print the faster one."""
    brian2.prefs.codegen.target = "cython"
    given = np.load(sys.argv[1])
    halvings, error = 2, np.inf
    while error > float(given["error"]):
        halvings += 1
        _, error = measure(given, "summed", halvings, 1)
    results = {way: measure(given, way, halvings, 3) for way in WAYS}
    way = min(results, key=lambda name: results[name][0])
    seconds, error = results[way]
    print(json.dumps({"seconds": seconds, "steps": 2**halvings, "way": way, "error": error}))


if __name__ == "__main__":
    main()
