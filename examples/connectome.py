"""The 302 neurons of C. elegans as a liquid network, touched twice: which neurons answer, and when.

Chemical synapses are an LTC's conductance synapses, gap junctions its linear couplings. `python examples/connectome.py` prints what is in
connectome.out; `python examples/connectome.py pictures/` writes raster.svg and network.svg there too.

The parameters are a convention, not a fit. Nobody knows the thresholds of the synapses, so each is put where its neuron rests, which leaves
every synapse half open at rest and makes the resting potentials the solution of linear equations: the rule of the published model of the
whole connectome (Kunert, Shlizerman and Kutz, Physical Review E 89, 052805 (2014)), after the sigmoid synapses of Wicks, Roehrig and
Rankin's tap withdrawal circuit (Journal of Neuroscience 16, 4017-4031 (1996)). Conductances follow the numbers of contacts. A touch opens a
conductance in the touch neurons.
"""

import sys
from pathlib import Path

import numpy as np

import event_sim
import liquid_neuro
from liquid_neuro.connectome import Connectome, celegans
from mappers.report_pictures import flow_places, network_svg, raster_svg

# Conductances in units of the leak: all synapses of a neuron, one contact of a gap junction, a touch. SLOPE: 1/potential.
SYNAPSES, GAP, SLOPE, TOUCH = 3.0, 0.05, 8.0, 20.0
MEMBRANE_S = 0.1  # 1 pF over 10 pS, the values that models of the whole connectome take from Varshney et al. (2011)
QUANTUM = 0.0005  # of the distance between leak and excitatory reversal potential
ANSWER = 0.01


def worm(worms: Connectome) -> tuple[liquid_neuro.LiquidNetwork, np.ndarray]:
    """The network, and the state in which it rests."""
    wiring = worms.wiring
    heard = np.bincount(wiring.target, weights=worms.contacts, minlength=wiring.units)
    w, gap_w = SYNAPSES * worms.contacts / heard[wiring.target], GAP * worms.gap_contacts
    # At rest every synapse has half its conductance: then the resting potentials solve linear equations.
    conductances, driven = np.eye(wiring.units), np.zeros(wiring.units)
    np.add.at(conductances, (wiring.target, wiring.target), w / 2)
    np.add.at(driven, wiring.target, w / 2 * wiring.polarity)
    for here, there in ((wiring.gap_source, wiring.gap_target), (wiring.gap_target, wiring.gap_source)):
        np.add.at(conductances, (here, here), gap_w)
        np.add.at(conductances, (here, there), -gap_w)
    rest = np.linalg.solve(conductances, driven)
    touched, synapses = np.ones(wiring.sensory_synapse_count), np.ones(wiring.synapse_count)
    parameters = {
        "gleak": np.ones(wiring.units), "vleak": np.zeros(wiring.units), "cm": np.ones(wiring.units), "gap_w": gap_w,
        "w": w, "sigma": SLOPE * synapses, "mu": rest[wiring.source], "erev": wiring.polarity,
        "sensory_w": TOUCH * touched, "sensory_sigma": 20.0 * touched, "sensory_mu": 0.5 * touched, "sensory_erev": touched,
    }  # fmt: skip
    network = liquid_neuro.ltc(wiring, solver="exact", softplus=False, input_mapping="none", output_mapping="none", time_unit_s=MEMBRANE_S)
    return network.with_parameters(parameters), rest


folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
if folder is not None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"the pictures need a folder, but {folder} can be none ({error.strerror})", file=sys.stderr)
        sys.exit(2)

worms = celegans()
network, rest = worm(worms)
wiring = worms.wiring
print(f"network    {wiring.units} neurons, {wiring.synapse_count} synapses, {wiring.gap_count} gap junctions")

# Each touch lasts 0.3 s; the second comes when the worm has come to rest.
touches = (("anterior touch", 0.1, 0.4), ("posterior touch", 1.6, 1.9))
rows = [(time, worms.channels.index(name), level) for name, begin, end in touches for time, level in ((begin, 1.0), (end, 0.0))]
recording = event_sim.simulate(network, rows, until=3.0, engine="event", order=2, quantum=QUANTUM, initial=rest)
sent = recording.events
print(f"simulated  3.0 s, about {round(len(sent), -3)} events of {len(np.unique(sent['unit']))} neurons")
assert recording.output_samples.size == 0  # no sample clock anywhere

# Who answers, and when. What the worm then does is not in the wiring alone: the signs of most synapses are a convention.
for name, begin, _ in touches:
    during = sent[(sent["time_s"] >= begin) & (sent["time_s"] < begin + 1.4)]
    answered = during[np.abs(during["value"] - rest[during["unit"]]) >= ANSWER]
    neurons, first = np.unique(answered["unit"], return_index=True)
    after = dict(zip(neurons.tolist(), answered["time_s"][first] - begin))
    print(f"{name}: {round(len(neurons), -1)} neurons move by more than {ANSWER}, among them")
    for told in ("ALML", "AVM", "PLML", "AVDL", "PVCL", "DVA", "AVAL", "AVBL"):
        unit = worms.unit(told)
        print(f"    {told:5}" + (f" after {10 * round(100 * after[unit]):3d} ms" if unit in after else " no"))

if folder is not None:
    groups = ["command" if unit < wiring.outputs else kind for unit, kind in enumerate(worms.types)]
    raster = raster_svg(sent["time_s"], sent["unit"], groups, (0.0, 3.0), inputs=touches, title="Events of 302 neurons")
    most = np.abs(recording.state - rest).max(axis=0)
    places = flow_places(wiring, worms.contacts, worms.gap_contacts)
    named = [worms.unit(name) for name in ("ALML", "ALMR", "AVM", "PLML", "PLMR", "AVDL", "PVCL", *worms.names[: wiring.outputs])]
    title = "How far each neuron moves when the worm is touched"
    picture = network_svg(wiring, groups, most, worms.names, places=places, named=named, title=title)
    for file, text in (("raster.svg", raster), ("network.svg", picture)):
        (folder / file).write_text(text)
        print(f"wrote {folder / file}")
