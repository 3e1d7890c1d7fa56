"""A recording of an event camera, as it came, through a liquid network: no frames anywhere.

`python examples/event_camera.py recording.npz`, with t_us (a counter of microseconds), x, y and p (1 brighter, 0 darker) of every event.
event_camera.out is what it prints for the sample of 0.59 s and 320 x 240 pixels that the tonic library ships with its tests; that sample
is GPL-3.0, which is why it is not here.

An event says that one pixel's logarithmic brightness moved by one step. Summed over a block of pixels, that is a level that moves by a
little with every event: what an input of this project's event streams is. The network is not trained; the example is about the stream.
"""

import sys
import zipfile
import zlib
from pathlib import Path
from typing import NoReturn

import numpy as np

import event_sim
import liquid_neuro

BLOCKS = (16, 12)
DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
STEP = 0.01  # of a block's level, per event of one of its pixels
QUANTUM = 1e-3


def refuse(sentence: str) -> NoReturn:
    """Say what is wrong with the recording, and exit with code 2."""
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


def read(path: Path) -> event_sim.EventStream:
    """The recording as a stream of the blocks' levels. One sentence and exit code 2 where it cannot be read."""
    try:
        with np.load(path) as file:
            t_us, x, y, brighter = (file[name] for name in ("t_us", "x", "y", "p"))
    except DAMAGED as error:
        refuse(f"{path} must be an .npz file with t_us, x, y and p, but is not ({type(error).__name__})")
    if any(column.shape != (x.size,) or column.dtype.kind not in "iub" or (column < 0).any() for column in (t_us, x, y, brighter)):
        refuse(f"{path} must hold t_us, x, y and p as whole numbers, one per event, but does not")
    if not x.size:
        refuse(f"{path} must hold events, but holds none")
    width, height = int(x.max()) + 1, int(y.max()) + 1
    block = (y.astype(np.int64) * BLOCKS[1] // height) * BLOCKS[0] + x.astype(np.int64) * BLOCKS[0] // width
    level, order = np.empty(len(block)), np.argsort(block, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(block[order])) + 1):
        level[rows] = STEP * np.cumsum(np.where(brighter[rows] > 0, 1.0, -1.0))
    try:
        return event_sim.EventStream.from_counter(t_us, block, level, channels=BLOCKS[0] * BLOCKS[1])
    except ValueError as error:
        refuse(f"{path}: {error}")


if len(sys.argv) != 2:
    refuse("a recording must be given: python examples/event_camera.py recording.npz")
events = read(Path(sys.argv[1]))
wiring = liquid_neuro.Wiring.ncp(events.channels, 12, 6, 1, 6, 4, 6, 6)
network = liquid_neuro.ltc(wiring, seed=1, solver="exact", time_unit_s=0.05)
recording = event_sim.simulate(network, events, engine="event", order=2, quantum=QUANTUM)
finer = event_sim.simulate(network, events, engine="event", order=2, quantum=QUANTUM / 10)

span_s = float(events.time_s[-1] - events.time_s[0])
each_ms = round(1000 * span_s) * 6 * (wiring.synapse_count + wiring.sensory_synapse_count)
done = recording.stored_synaptic_operations
difference = np.abs(recording.state[-1] - finer.state[-1]).max()
print(f"camera     {len(events)} events in {span_s:.2f} s, in {BLOCKS[0]} x {BLOCKS[1]} blocks")
print(f"network    {network.units} neurons, {wiring.synapse_count} synapses and {wiring.sensory_synapse_count} from the camera")
print(f"events     about {round(len(recording.events), -2)} of the neurons")
print(f"synapses   about {round(done, -4)} evaluated: each event of the camera is felt, and nothing else is computed")
print(f"           frames of 1 ms and six sub-steps: {each_ms}, and every event up to 1 ms late")
print(f"accuracy   {'within' if difference < 0.01 else 'worse than'} 0.01 of a run with a quantum ten times finer")
