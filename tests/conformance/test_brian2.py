"""The same LTC in Brian2 (numpy code generation, so that no compiler is needed): exponential Euler at two steps, extrapolated."""

from __future__ import annotations

import ltc_equations as equations
import numpy as np
import pytest

from event_sim import EventStream, simulate
from liquid_neuro import LiquidNetwork

brian2 = pytest.importorskip("brian2")

SAMPLE_S = 0.25
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
SYNAPSES = """
{sum}_post = w / (1 + exp(-sigma * (v_pre - mu))) : 1 (summed)
{sum}_drive_post = w * erev / (1 + exp(-sigma * (v_pre - mu))) : 1 (summed)
w : 1
sigma : 1
mu : 1
erev : 1
"""


def in_brian2(network: LiquidNetwork, x: np.ndarray, step_s: float) -> np.ndarray:
    """(K, units): the states at the end of every sample of SAMPLE_S seconds."""
    brian2.prefs.codegen.target = "numpy"
    brian2.start_scope()
    brian2.defaultclock.dt = step_s * brian2.second
    p, wiring = network.parameters, network.wiring
    assert wiring is not None
    neurons = brian2.NeuronGroup(network.units, NEURONS, method="exponential_euler")
    neurons.gleak, neurons.vleak, neurons.capacity = p["gleak"], p["vleak"], p["cm"]
    levels = brian2.TimedArray(p["input_w"] * x + p["input_b"], dt=SAMPLE_S * brian2.second)
    inputs = brian2.NeuronGroup(network.inputs, "v = levels(t, i) : 1", namespace={"levels": levels})
    recurrent = brian2.Synapses(neurons, neurons, SYNAPSES.format(sum="heard"))
    sensory = brian2.Synapses(inputs, neurons, SYNAPSES.format(sum="felt"))
    recurrent.connect(i=wiring.source, j=wiring.target)
    sensory.connect(i=wiring.sensory_source, j=wiring.sensory_target)
    for synapses, side in ((recurrent, ""), (sensory, "sensory_")):
        for name in ("w", "sigma", "mu", "erev"):
            setattr(synapses, name, p[side + name])
    # Values at the start of a step: the state at the end of a sample is the first of the next one.
    monitor = brian2.StateMonitor(neurons, "v", record=True, dt=SAMPLE_S * brian2.second)
    brian2.Network(neurons, inputs, recurrent, sensory, monitor).run((len(x) + 0.5) * SAMPLE_S * brian2.second)
    return np.asarray(monitor.v).T[1 : len(x) + 1]


@pytest.mark.parametrize("seed", [3, 4])
def test_the_same_network_in_brian2(seed: int) -> None:
    network = equations.random_network(seed, 12, inputs=3)
    x = np.cumsum(0.5 * np.random.default_rng(seed).normal(size=(6, 3)), axis=0)
    coarse, fine = (in_brian2(network, x, step_s) for step_s in (SAMPLE_S / 50, SAMPLE_S / 100))
    # Exponential Euler is of first order: the finer run is about as far from the solution as from the coarser one, and extrapolating both
    # removes that part of the error. 1e-4 bounds what is left.
    gap = float(np.abs(coarse - fine).max())
    assert gap < 5e-3
    stream = EventStream.from_samples(x, sample_s=SAMPLE_S)
    for options in ({"quantum": 1e-6}, {"engine": "clocked", "tolerance": 1e-7}):
        run = simulate(network, stream, **options)  # type: ignore[call-overload]
        assert np.abs(run.state[1:] - fine).max() <= 1.1 * gap + run.error_bound
        assert np.abs(run.state[1:] - (2.0 * fine - coarse)).max() <= 1e-4
