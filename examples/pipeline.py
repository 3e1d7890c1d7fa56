"""From a network to a chip, stage by stage: events, simulation, integers, cores, cost, export.

Run it with `python examples/pipeline.py`; it prints what stands in pipeline.out.
"""

import tempfile
from pathlib import Path

import numpy as np

import event_sim
import hardware_profiles
import liquid_neuro
import mappers

# 1. A network. A trained one comes from `liquid_neuro.load(path)`, `liquid_neuro.load_ncps(path, cell="ltc")` or `liquid_neuro.fit(…)`.
wiring = liquid_neuro.Wiring.ncp(
    2, inter=6, command=4, motor=1, sensory_fanout=3, inter_fanout=2, recurrent_command_synapses=3, motor_fanin=3
)
network = liquid_neuro.ltc(wiring, seed=1)
print(f"network   {network.units} neurons, {wiring.synapse_count} + {wiring.sensory_synapse_count} synapses")

# 2. Two seconds of two sensors at 50 Hz. A channel sends an event when it has moved by 0.01 since its last event.
x = np.cumsum(np.random.default_rng(0).normal(0, 0.1, (100, 2)), axis=0)
events = event_sim.EventStream.from_samples(x, sample_s=0.02, threshold=0.01)
print(f"input     {events.samples} samples, {len(events.time_s)} events")

# 3. Floating point, neuron by neuron, only where something happens.
recording = event_sim.simulate(network, events, engine="event")
print(
    f"float     about {round(int(recording.event_counts.sum()), -2)} events of neurons, last output {recording.output_samples[-1, 0]:.3f}"
)

# 4. The chip's integers. From here on, everything is exact: another machine gives the same numbers.
profile = hardware_profiles.load("loihi2")
quantized = mappers.quantize(network, profile, calibration=events)
chip_run = event_sim.simulate(quantized, events)
difference = np.abs(chip_run.output_samples - recording.output_samples).max()
print(f"integers  {quantized.ticks_per_sample} ticks per sample, {chip_run.event_counts.sum()} spikes of neurons")
print(f"          last output {chip_run.output_samples[-1, 0]:.3f}, at most {difference:.4f} from floating point")

# 5. Its compartments on the chip's cores, and what a sample costs there: modelled from the run's counts, as low / typical / high.
mapping = mappers.map_network(quantized, profile, traffic=chip_run)
cost = mappers.cost(mapping, chip_run)
energy, latency = cost.energy_j, cost.latency_s
print(f"cores     {mapping.cores} of {profile.cores}")
print(f"energy    {energy.low * 1e6:.1f} / {energy.typical * 1e6:.1f} / {energy.high * 1e6:.1f} uJ per sample, free running")
print(f"latency   {latency.low * 1e6:.0f} / {latency.typical * 1e6:.0f} / {latency.high * 1e6:.0f} us per sample")

# 6. The same network as C99 that needs no library, with a self-test against the simulator. Also: "lava", and "akida" for an Akida profile.
with tempfile.TemporaryDirectory() as folder:
    result = mappers.export(mapping, "c99", Path(folder) / "c99")
    print(f"export    {', '.join(result.files)}")
