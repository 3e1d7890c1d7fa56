"""Event-driven LTC under ncps' solver: each neuron advanced in closed form, only when something reaches it.

Between two events that reach it a neuron's conductance sum g and driven sum c are constant, and `k` semi-implicit sub-steps of
v <- (C v + c) / (C + g), C = cm / h, are v_inf + (v - v_inf) r^k with v_inf = c / g and r = C / (C + g). Times are whole sub-steps; all
events of one grid time act on the states before it. A neuron that may have moved by its quantum stands in a calendar queue (a ring of
lists, one per grid time) at a time before which it certainly has not: |v(k) - v| <= k (1 - r) |v_inf - v|. So no logarithm is needed.

Neurons and synapses are records (all of a neuron lies in two cache lines), which also keeps compiled calls free of reference counting.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from event_sim.kernels.exponential import LIMIT, fast_exp
from event_sim.kernels.jit import compiled, inner

RING = 256  # grid times per turn of the calendar; a power of two
FEW = 64  # events of one grid time that are sorted by unit at once; more are left to the recording
NEVER = np.int64(1) << 62

# A neuron: its value at grid time `at`, what it last sent, its two sums with what rounding lost of them, its course (target, ratio per
# sub-step), and its place in the calendar. cm / step length is `capacity` / step.
NEURON = np.dtype(
    [(name, np.float64) for name in ("value", "sent", "quantum", "capacity", "conductance", "conductance_carry", "driven", "driven_carry")]
    + [(name, np.float64) for name in ("target", "ratio")]
    + [(name, np.int64) for name in ("at", "due", "next", "previous", "mark", "unused")]
)
# A synapse, ordered by (source, target); `now` is the conductance that it contributes at present.
SYNAPSE = np.dtype([("target", np.int64)] + [(name, np.float64) for name in ("weight", "sigma", "mu", "erev", "now")])
# A sample: sub-step length in model units (0: the sample leaves the state), start and sub-step in seconds, its first change of a level.
SAMPLE = np.dtype([("step", np.float64), ("start_s", np.float64), ("step_s", np.float64), ("first_change", np.int64)])
CHANGE = np.dtype([("channel", np.int64), ("level", np.float64)])
EVENT = np.dtype([("time_s", np.float64), ("unit", np.int64), ("value", np.float64)])
# What a run carries from call to call.
PROGRESS = np.dtype([(name, np.int64) for name in ("now", "events", "mark", "operations", "sensory_operations")])


@inner
def power(base: float, exponent: int) -> float:
    """base**exponent for exponent >= 0 by squaring: the same roundings on every machine."""
    result = 1.0
    while exponent > 0:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


@inner
def add(neuron: Any, change: float, erev: float) -> None:
    """Add a change of conductance to both sums. The carries keep what rounding loses (Knuth), so that millions of changes do not drift."""
    before = neuron.conductance
    after = before + change
    part = after - before
    neuron.conductance_carry += (before - (after - part)) + (change - part)
    neuron.conductance = after
    change *= erev
    before = neuron.driven
    after = before + change
    part = after - before
    neuron.driven_carry += (before - (after - part)) + (change - part)
    neuron.driven = after


@inner
def gate(synapse: Any, level: float) -> Any:
    """The conductance of a synapse whose source has this level."""
    return synapse.weight / (1.0 + np.exp(synapse.sigma * (synapse.mu - level)))


@inner
def advance(neuron: Any, now: int) -> None:
    """Bring a neuron's value to grid time now."""
    steps = now - neuron.at
    if steps > 0:
        neuron.value = neuron.target + (neuron.value - neuron.target) * power(neuron.ratio, steps)
        neuron.at = now


@inner
def remove(head: Any, neurons: Any, neuron: Any) -> None:
    """Take a neuron out of the calendar, if it stands there."""
    if neuron.due == NEVER:
        return
    if neuron.previous >= 0:
        neurons[neuron.previous].next = neuron.next
    else:
        head[neuron.due & (RING - 1)] = neuron.next
    if neuron.next >= 0:
        neurons[neuron.next].previous = neuron.previous
    neuron.due = NEVER


@inner
def insert(head: Any, neurons: Any, unit: int, due: int) -> None:
    """Enter a neuron into the calendar."""
    slot = due & (RING - 1)
    neuron = neurons[unit]
    neuron.next, neuron.previous, neuron.due = head[slot], -1, due
    if neuron.next >= 0:
        neurons[neuron.next].previous = unit
    head[slot] = unit


@inner
def settle(head: Any, neurons: Any, unit: int, now: int, step: float) -> None:
    """Find a neuron's new course (its value stands at now) after its sums changed, and enter it at the earliest time at which it can be a
    quantum away from what it sent; nowhere, if its course does not lead there."""
    neuron = neurons[unit]
    conductance = neuron.conductance + neuron.conductance_carry
    if conductance > 0.0:
        capacity = neuron.capacity / step
        neuron.target = (neuron.driven + neuron.driven_carry) / conductance
        neuron.ratio = capacity / (capacity + conductance)
    else:
        neuron.target, neuron.ratio = neuron.value, 1.0
    distance = abs(neuron.value - neuron.sent)
    if neuron.value == neuron.target or (abs(neuron.target - neuron.sent) <= neuron.quantum and distance <= neuron.quantum):
        remove(head, neurons, neuron)
        return
    margin = neuron.quantum - distance
    reach = abs(neuron.target - neuron.value) * (1.0 - neuron.ratio)
    due = np.int64(now + 1)
    if margin > reach:
        due = now + np.int64(min(margin / reach, 1e15))
    if due != neuron.due:
        remove(head, neurons, neuron)
        insert(head, neurons, unit, due)


@inner
def take(head: Any, neurons: Any, now: int, firing: Any) -> int:
    """List the neurons that stand in the calendar for now; returns how many."""
    fired = 0
    unit = head[now & (RING - 1)]
    while unit >= 0:
        if neurons[unit].due == now:
            firing[fired] = unit
            fired += 1
        unit = neurons[unit].next
    if fired <= FEW:
        sort(firing, fired)
    return fired


@inner
def sort(numbers: Any, count: int) -> None:
    """Sort the first few numbers in place."""
    for index in range(1, count):
        number = numbers[index]
        place = index
        while place > 0 and numbers[place - 1] > number:
            numbers[place] = numbers[place - 1]
            place -= 1
        numbers[place] = number


@inner
def collect(first: Any, synapses: Any, source: int, level: float, places: Any, gates: Any, count: int) -> int:
    """Note the synapses that an event reaches and the arguments of their sigmoids; returns how many are noted now."""
    for index in range(first[source], first[source + 1]):
        synapse = synapses[index]
        places[count] = index
        gates[count] = min(max(synapse.sigma * (synapse.mu - level), -LIMIT), LIMIT)
        count += 1
    return count


@inner
def deliver(neurons: Any, synapses: Any, places: Any, gates: Any, reached: int, now: int, mark: int, touched: Any, count: int) -> int:
    """Bring the new conductances of all noted synapses into their targets' sums; targets are first advanced under the old sums."""
    for index in range(reached):  # a loop of its own becomes SIMD code
        gates[index] = 1.0 / (1.0 + fast_exp(gates[index]))
    for index in range(reached):
        synapse = synapses[places[index]]
        neuron = neurons[synapse.target]
        if neuron.mark != mark:
            neuron.mark = mark
            touched[count] = synapse.target
            count += 1
            advance(neuron, now)
        new = synapse.weight * gates[index]
        add(neuron, new - synapse.now, synapse.erev)
        synapse.now = new
    return count


@compiled
def run_fused(begin: int, end: int, unfolds: int, restart: bool, neurons: Any, first: Any, synapses: Any, sensory_first: Any, sensory: Any,
              samples: Any, changes: Any, head: Any, progress: Any, states: Any, events: Any, counts: Any) -> int:  # fmt: skip
    """Run samples begin..end-1; returns the first sample that was not run (there was no room left for its events).

    restart: look at every neuron at the beginning. first, sensory_first: where each source's synapses begin. samples: one more than there
    are, for the end of the changes. head: (RING,) calendar. progress: one record. states: (K + 1, units), row k + 1 is written by sample k.
    events: room for events. counts: (units,) events of each neuron.
    """
    units = len(neurons)
    touched = np.empty(units, dtype=np.int64)
    firing = np.empty(units, dtype=np.int64)
    places = np.empty(max(len(synapses), len(sensory)), dtype=np.int64)
    gates = np.empty(len(places))
    run = progress[0]
    now, written, mark = run.now, run.events, run.mark
    step = 0.0 if begin == 0 else samples[begin - 1].step
    for number in range(begin, end):
        sample = samples[number]
        if written + unfolds * units > len(events):
            end = number
            break
        mark += 1
        count = 0
        if sample.step != step or restart:  # courses depend on the step: all neurons are looked at
            restart = False
            step = sample.step
            for unit in range(units):
                neuron = neurons[unit]
                advance(neuron, now)
                neuron.mark = mark
                touched[unit] = unit
                remove(head, neurons, neuron)
                insert(head, neurons, unit, now)
            count = units
        reached = 0
        for index in range(sample.first_change, samples[number + 1].first_change):
            channel = changes[index].channel
            reached = collect(sensory_first, sensory, channel, changes[index].level, places, gates, reached)
        count = deliver(neurons, sensory, places, gates, reached, now, mark, touched, count)
        run.sensory_operations += reached
        for sub_step in range(unfolds if step > 0.0 else 1):
            fired = take(head, neurons, now, firing)
            for index in range(fired):
                neuron = neurons[firing[index]]
                advance(neuron, now)
                if neuron.mark != mark:
                    neuron.mark = mark
                    touched[count] = firing[index]
                    count += 1
            reached = 0
            for index in range(fired):
                unit = firing[index]
                neuron = neurons[unit]
                value = neuron.value
                if value != neuron.sent and abs(value - neuron.sent) >= neuron.quantum:
                    neuron.sent = value
                    event = events[written]
                    event.time_s, event.unit, event.value = sample.start_s + sub_step * sample.step_s, unit, value
                    written += 1
                    counts[unit] += 1
                    reached = collect(first, synapses, unit, value, places, gates, reached)
            count = deliver(neurons, synapses, places, gates, reached, now, mark, touched, count)
            run.operations += reached
            if step > 0.0:
                for index in range(count):
                    settle(head, neurons, touched[index], now, step)
                mark += 1
                count = 0
                now += 1
        for unit in range(units):
            neuron = neurons[unit]
            value = neuron.value
            if now > neuron.at:
                value = neuron.target + (value - neuron.target) * power(neuron.ratio, now - neuron.at)
            states[number + 1, unit] = value
    run.now, run.events, run.mark = now, written, mark
    return end
