"""A published circuit, synapse for synapse, from its seed: the neural circuit policy that flies a drone in Chahine et al. 2023.

Robust flight navigation out of distribution with liquid neural networks, Science Robotics 8 (2023): an NCP of 18 inter, 12 command and 4
motor neurons behind 128 features of a camera image. The wiring is drawn by ncps' own rule, so nothing but the seed needs to be known.
Run it with `python examples/published_circuit.py`; it prints what stands in published_circuit.out.
"""

import numpy as np

import hardware_profiles
import liquid_neuro
import mappers
from liquid_neuro.wiring import ROLES

wiring = liquid_neuro.Wiring.ncp(
    128,
    inter=18,
    command=12,
    motor=4,
    sensory_fanout=6,
    inter_fanout=4,
    recurrent_command_synapses=4,
    motor_fanin=6,
    seed=22224,
)
print(f"{wiring.units} neurons, {wiring.synapse_count} + {wiring.sensory_synapse_count} synapses")

# Which layer drives which.
role = np.array(ROLES)[wiring.roles]
for source, target in (("inter", "command"), ("command", "command"), ("command", "motor")):
    joins = (role[wiring.source] == source) & (role[wiring.target] == target)
    print(f"  {source:7} -> {target:7} {joins.sum():3} synapses, {np.sum(wiring.polarity[joins] > 0)} of them excitatory")
print("first synapses:", ", ".join(f"{a}->{b} {p:+d}" for a, b, p in zip(wiring.source[:6], wiring.target[:6], wiring.polarity[:6])))

# The same graph for networkx, and back.
graph = wiring.to_networkx()
print("through networkx and back:", liquid_neuro.Wiring.from_networkx(graph) == wiring)

# What it needs on a chip. An LTC needs a compartment for every sigmoid of a synapse, a CfC one for every neuron.
profile = hardware_profiles.load("loihi2")
for name, network in (("LTC", liquid_neuro.ltc(wiring, seed=0)), ("CfC", liquid_neuro.cfc(wiring, seed=0))):
    quantized = mappers.quantize(network, profile, input_range=(-1.0, 1.0))
    mapping = mappers.map_network(quantized, profile)
    compartments = sum(population.size for population in quantized.populations if population.program)
    print(f"{name}: {compartments} compartments on {mapping.cores} core, {quantized.ticks_per_sample} ticks per sample")
