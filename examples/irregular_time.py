"""Measurements at irregular times: the time that passes between two of them is part of what a liquid network computes.

Run it with `python examples/irregular_time.py`; it prints what stands in irregular_time.out.
"""

import numpy as np

import event_sim
import liquid_neuro

network = liquid_neuro.ltc(liquid_neuro.Wiring.auto_ncp(2, 10, 1, seed=3), seed=3, time_unit_s=60.0)  # one model unit is a minute

# Stamped rows of a log: seconds, temperature, humidity (standardised). A NaN was not measured: the channel keeps its level.
log = np.array(
    [
        [0.0, 0.1, -0.3],
        [60.0, 0.2, -0.3],
        [75.0, np.nan, 0.4],
        [300.0, 0.9, 0.5],
        [300.0, 0.8, np.nan],  # the same stamp again: the last measurement of each channel wins
        [1200.0, -0.5, 0.1],
    ]
)
events = event_sim.EventStream.from_log(log[:, 0], log[:, 1:], until=1500.0)
minutes = np.diff(events.sample_times_s) / 60.0
print("samples hold for", " ".join(f"{span:g}" for span in minutes), "minutes")
for row in events.held():
    print("  network hears", " ".join(f"{value:+.1f}" for value in row))

# The reference: every sample integrated over its own timespan.
y, state = liquid_neuro.integrate(network, events.held(), timespans=minutes)
print("output after each sample", " ".join(f"{value:.3f}" for value in y[:, 0]))

# The simulator works event by event: neurons that stand still cost nothing. The same to within its tolerance, 1e-3 unless told otherwise.
recording = event_sim.simulate(network, events)
print("simulated               ", " ".join(f"{value:.3f}" for value in recording.output_samples[:, 0]))

# If the timespans are ignored, the answer is another one.
y_regular, _ = liquid_neuro.integrate(network, events.held())
print("as if every minute      ", " ".join(f"{value:.3f}" for value in y_regular[:, 0]))

# A batch of logs, each with timespans of its own, gives what each gives alone; a run may also stop and go on from its state.
x_batch, spans_batch = np.stack([events.held(), events.held()[::-1]]), np.stack([minutes, minutes[::-1]])
y_batch, _ = liquid_neuro.integrate(network, x_batch, timespans=spans_batch)
y_alone, _ = liquid_neuro.integrate(network, x_batch[1], timespans=spans_batch[1])
print("batch equals one by one:", bool(np.allclose(y_batch[0], y, atol=1e-12) and np.allclose(y_batch[1], y_alone, atol=1e-12)))
_, halfway = liquid_neuro.integrate(network, events.held()[:2], timespans=minutes[:2])
_, resumed = liquid_neuro.integrate(network, events.held()[2:], timespans=minutes[2:], state=halfway)
print("resumed equals one run: ", bool(np.allclose(resumed, state, atol=1e-12)))
