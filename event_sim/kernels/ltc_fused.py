"""Event-driven LTC under ncps' solver: each neuron advanced in closed form, only when something reaches it.

Between two events that reach it a neuron's conductance sum g and driven sum c are constant, and `k` semi-implicit sub-steps of
v <- (C v + c) / (C + g), C = cm / h, are v_inf + (v - v_inf) r^k with v_inf = c / g and r = C / (C + g). Times are whole sub-steps; all
events of one grid time act on the states before it. A neuron that may have moved by its quantum stands in a calendar queue (a ring of
lists, one per grid time) at a time before which it certainly has not: |v(k) - v| <= k (1 - r) |v_inf - v|. So no logarithm is needed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.kernels.jit import compiled, inner

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

RING = 256  # grid times per turn of the calendar; a power of two
NEVER = np.int64(1) << 62


class Synapses(NamedTuple):
    """Synapses ordered by source (`first` has one entry per source and one more); `now` is the conductance they contribute at present."""

    first: Integers
    target: Integers
    weight: Floats
    sigma: Floats
    mu: Floats
    erev: Floats
    now: Floats


class Neurons(NamedTuple):
    """What a neuron carries: its value at grid time `at`, what it last sent, its two sums with their rounding carries, its course."""

    value: Floats
    sent: Floats
    quantum: Floats
    capacity: Floats
    conductance: Floats
    conductance_carry: Floats
    driven: Floats
    driven_carry: Floats
    target: Floats
    ratio: Floats
    at: Integers
    due: Integers
    next: Integers
    previous: Integers
    mark: Integers


class Clock(NamedTuple):
    """Samples: sub-step length in model units (0: the sample leaves the state), boundaries and lengths in seconds, the inputs' changes."""

    step: Floats
    start_s: Floats
    length_s: Floats
    first_change: Integers
    channel: Integers
    level: Floats


class Sent(NamedTuple):
    """Room for neuron events."""

    time_s: Floats
    unit: Integers
    value: Floats


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
def add(total: Any, carry: Any, index: int, term: float) -> None:
    """total[index] += term, where carry collects what rounding loses (Knuth's two-sum), so that millions of increments do not drift."""
    before = total[index]
    after = before + term
    part = after - before
    carry[index] += (before - (after - part)) + (term - part)
    total[index] = after


@inner
def advance(neurons: Any, unit: int, now: int) -> None:
    """Bring a neuron's value to grid time now."""
    steps = now - neurons.at[unit]
    if steps > 0:
        target = neurons.target[unit]
        neurons.value[unit] = target + (neurons.value[unit] - target) * power(neurons.ratio[unit], steps)
        neurons.at[unit] = now


@inner
def remove(head: Any, neurons: Any, unit: int) -> None:
    """Take a neuron out of the calendar, if it stands there."""
    if neurons.due[unit] == NEVER:
        return
    after, before = neurons.next[unit], neurons.previous[unit]
    if before >= 0:
        neurons.next[before] = after
    else:
        head[neurons.due[unit] & (RING - 1)] = after
    if after >= 0:
        neurons.previous[after] = before
    neurons.due[unit] = NEVER


@inner
def insert(head: Any, neurons: Any, unit: int, due: int) -> None:
    """Enter a neuron into the calendar."""
    slot = due & (RING - 1)
    after = head[slot]
    neurons.next[unit], neurons.previous[unit], neurons.due[unit] = after, -1, due
    if after >= 0:
        neurons.previous[after] = unit
    head[slot] = unit


@inner
def schedule(head: Any, neurons: Any, unit: int, now: int) -> None:
    """Enter a neuron (value at `now`) at the earliest grid time at which it can be a quantum away from what it sent."""
    remove(head, neurons, unit)
    value, sent, quantum, target = neurons.value[unit], neurons.sent[unit], neurons.quantum[unit], neurons.target[unit]
    if value == target or (abs(target - sent) <= quantum and abs(value - sent) <= quantum):
        return
    margin = quantum - abs(value - sent)
    reach = abs(target - value) * (1.0 - neurons.ratio[unit])
    steps = np.int64(1)
    if margin > reach:
        steps = np.int64(min(margin / reach, 1e15))
    insert(head, neurons, unit, now + steps)


@inner
def settle(head: Any, neurons: Any, unit: int, now: int, step: float) -> None:
    """Find a neuron's new course after its sums or the step changed, and its next time."""
    conductance = neurons.conductance[unit] + neurons.conductance_carry[unit]
    driven = neurons.driven[unit] + neurons.driven_carry[unit]
    if step > 0.0:
        if conductance > 0.0:
            capacity = neurons.capacity[unit] / step
            neurons.target[unit] = driven / conductance
            neurons.ratio[unit] = capacity / (capacity + conductance)
        else:
            neurons.target[unit] = neurons.value[unit]
            neurons.ratio[unit] = 1.0
        schedule(head, neurons, unit, now)


@inner
def deliver(neurons: Any, synapses: Any, source: int, level: float, now: int, mark: int, touched: Any, count: int) -> int:
    """One event: its new conductances enter the sums of all targets, which are first advanced under the old sums."""
    for index in range(synapses.first[source], synapses.first[source + 1]):
        unit = synapses.target[index]
        if neurons.mark[unit] != mark:
            neurons.mark[unit] = mark
            touched[count] = unit
            count += 1
            advance(neurons, unit, now)
        new = synapses.weight[index] / (1.0 + np.exp(synapses.sigma[index] * (synapses.mu[index] - level)))
        change = new - synapses.now[index]
        synapses.now[index] = new
        add(neurons.conductance, neurons.conductance_carry, unit, change)
        add(neurons.driven, neurons.driven_carry, unit, change * synapses.erev[index])
    return count


@compiled
def run_fused(first: int, last: int, unfolds: int, restart: bool, neurons: Any, recurrent: Any, sensory: Any, clock: Any, head: Any,
              progress: Any, states: Any, sent: Any, counts: Any) -> int:  # fmt: skip
    """Run samples first..last-1; returns the first sample that was not run (there was no room left for its events).

    restart: look at every neuron at the beginning. head: (RING,) calendar. progress: [grid time, events written, mark, synaptic operations,
    sensory operations, bits of the step]. states: (K + 1, units), row k + 1 is written at the end of sample k. counts: (units,) events.
    """
    units = len(neurons.value)
    touched = np.empty(units, dtype=np.int64)
    firing = np.empty(units, dtype=np.int64)
    now, written, mark = progress[0], progress[1], progress[2]
    step = 0.0 if first == 0 else clock.step[first - 1]
    for sample in range(first, last):
        if written + unfolds * units > len(sent.unit):
            progress[0], progress[1], progress[2] = now, written, mark
            return sample
        mark += 1
        count = 0
        if clock.step[sample] != step or restart:  # courses depend on the step: all neurons are looked at
            restart = False
            step = clock.step[sample]
            for unit in range(units):
                advance(neurons, unit, now)
                neurons.mark[unit] = mark
                touched[unit] = unit
                remove(head, neurons, unit)
                insert(head, neurons, unit, now)
            count = units
        for change in range(clock.first_change[sample], clock.first_change[sample + 1]):
            channel = clock.channel[change]
            count = deliver(neurons, sensory, channel, clock.level[change], now, mark, touched, count)
            progress[4] += sensory.first[channel + 1] - sensory.first[channel]
        for sub_step in range(unfolds if step > 0.0 else 1):
            fired = 0
            unit = head[now & (RING - 1)]
            while unit >= 0:
                after = neurons.next[unit]
                if neurons.due[unit] == now:
                    firing[fired] = unit
                    fired += 1
                unit = after
            for index in range(fired):
                unit = firing[index]
                advance(neurons, unit, now)
                remove(head, neurons, unit)
                if neurons.mark[unit] != mark:
                    neurons.mark[unit] = mark
                    touched[count] = unit
                    count += 1
            for index in range(fired):
                unit = firing[index]
                value = neurons.value[unit]
                if value != neurons.sent[unit] and abs(value - neurons.sent[unit]) >= neurons.quantum[unit]:
                    neurons.sent[unit] = value
                    sent.time_s[written] = clock.start_s[sample] + sub_step * (clock.length_s[sample] / unfolds)
                    sent.unit[written] = unit
                    sent.value[written] = value
                    written += 1
                    counts[unit] += 1
                    progress[3] += recurrent.first[unit + 1] - recurrent.first[unit]
                    count = deliver(neurons, recurrent, unit, value, now, mark, touched, count)
            for index in range(count):
                settle(head, neurons, touched[index], now, step)
            mark += 1
            count = 0
            if step > 0.0:
                now += 1
        for unit in range(units):
            states[sample + 1, unit] = neurons.value[unit]
            elapsed = now - neurons.at[unit]
            if elapsed > 0:
                target = neurons.target[unit]
                states[sample + 1, unit] = target + (neurons.value[unit] - target) * power(neurons.ratio[unit], elapsed)
    progress[0], progress[1], progress[2] = now, written, mark
    return last
