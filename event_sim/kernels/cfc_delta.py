"""CfC as a delta network on its sample times.

A unit's new state depends on what it hears and on the elapsed time alone. So its sums W z + b are kept; a source that sent a new value adds
its difference times its column of W; where nothing arrived and the elapsed time is the same, the unit keeps its state and sends nothing.
Sums are taken anew after `refresh` increments, so that rounding does not add up; refresh = 0 takes them anew in every sample, which is the
clock-driven run.

A network is a list of stages (backbone layers and heads, layer after layer) over one vector of signals: inputs, then the recalled state h~
of a mixed memory where there is one, then what each stage sent. A stage hears ranges of signals.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from event_sim.kernels.jit import compiled, inner

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LECUN_TANH, TANH, RELU, SILU, GELU, DEFAULT, NO_GATE, PURE, KERAS_DEFAULT, KERAS_NO_GATE = range(10)


class Stages(NamedTuple):
    """Per stage: what it computes, its heads and outputs, where its ranges, sums, signals and units begin (unit -1: a backbone stage)."""

    kind: Integers
    heads: Integers
    outputs: Integers
    first_range: Integers
    first_sum: Integers
    first_signal: Integers
    first_unit: Integers
    increments: Integers


class Ranges(NamedTuple):
    """Per range of signals that a stage hears: its first signal, length, first weight (column after column), first place in `seen`."""

    first_signal: Integers
    length: Integers
    first_weight: Integers
    first_seen: Integers


class Numbers(NamedTuple):
    """weight: columns (heads x outputs each). bias, sums: per stage heads x outputs. seen, products: per heard signal. w_tau, A: per unit.

    signal, quantum: per signal. The last three: a memory cell's weights, empty without one.
    """

    weight: Floats
    bias: Floats
    sums: Floats
    seen: Floats
    products: Integers
    signal: Floats
    quantum: Floats
    w_tau: Floats
    A: Floats
    memory_input: Floats
    memory_bias: Floats
    memory_recurrent: Floats


class Inputs(NamedTuple):
    """Elapsed time per sample (model units, 0: the sample leaves the state), times of events, and the inputs' changes."""

    timespan: Floats
    time_s: Floats
    first_change: Integers
    channel: Integers
    level: Floats


@inner
def logistic(x: float) -> Any:
    """1 / (1 + e^-x)."""
    return 1.0 / (1.0 + np.exp(-x))


@inner
def activate(kind: int, x: float) -> Any:
    """A backbone's activation."""
    if kind == LECUN_TANH:
        return 1.7159 * np.tanh(0.666 * x)
    if kind == TANH:
        return np.tanh(x)
    if kind == RELU:
        return max(x, 0.0)
    if kind == SILU:
        return x * logistic(x)
    return x * 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


@inner
def new_state(kind: int, sums: Any, place: int, outputs: int, timespan: float, w_tau: float, a: float) -> Any:
    """A unit's new state from its heads' sums, which lie `outputs` apart."""
    first = sums[place]
    if kind == PURE:
        return a - a * np.exp(-timespan * (abs(w_tau) + abs(first))) * first
    second = sums[place + outputs]
    time_a, time_b = sums[place + 2 * outputs], sums[place + 3 * outputs]
    if kind in (DEFAULT, NO_GATE):
        first, second = np.tanh(first), np.tanh(second)
    else:
        time_a = -time_a
    gate = logistic(time_a * timespan + time_b)
    if kind in (NO_GATE, KERAS_NO_GATE):
        return first + gate * second
    return first * (1.0 - gate) + gate * second


@inner
def hear(stages: Any, ranges: Any, numbers: Any, stage: int, refresh: int) -> Any:
    """Bring a stage's sums up to date. Returns the products computed; -1 where nothing had changed."""
    width = stages.heads[stage] * stages.outputs[stage]
    base = stages.first_sum[stage]
    anew = stages.increments[stage] >= refresh
    if anew:
        stages.increments[stage] = 0
        for index in range(width):
            numbers.sums[base + index] = numbers.bias[base + index]
    products = np.int64(0)
    changed = anew
    for number in range(stages.first_range[stage], stages.first_range[stage + 1]):
        signals, seen, weights = ranges.first_signal[number], ranges.first_seen[number], ranges.first_weight[number]
        for source in range(ranges.length[number]):
            value = numbers.signal[signals + source]
            change = value - numbers.seen[seen + source]
            if change != 0.0:
                changed = True
                stages.increments[stage] += 1
                products += numbers.products[seen + source]
            if anew:
                change = value
            if change != 0.0:
                numbers.seen[seen + source] = value
                column = weights + source * width
                for index in range(width):
                    numbers.sums[base + index] += change * numbers.weight[column + index]
    return products if changed else np.int64(-1)


@inner
def remember(numbers: Any, inputs: int, state: Any, memory: Any) -> None:
    """One step of the memory cell: updates memory, and sends those recalled values h~ that moved by their quantum."""
    units = len(state)
    z = np.empty(4 * units)
    for row in range(4 * units):
        total = numbers.memory_bias[row]
        for column in range(inputs):
            total += numbers.memory_input[row, column] * numbers.signal[column]
        for column in range(units):
            total += numbers.memory_recurrent[row, column] * state[column]
        z[row] = total
    for unit in range(units):
        memory[unit] = memory[unit] * logistic(z[2 * units + unit] + 1.0) + np.tanh(z[unit]) * logistic(z[units + unit])
        recalled = np.tanh(memory[unit]) * logistic(z[3 * units + unit])
        if abs(recalled - numbers.signal[inputs + unit]) >= numbers.quantum[inputs + unit]:
            numbers.signal[inputs + unit] = recalled


@compiled
def run_cfc(first: int, last: int, refresh: int, network_inputs: int, stages: Any, ranges: Any, numbers: Any, inputs: Any, progress: Any,
            memory: Any, states: Any, events: Any, counts: Any) -> int:  # fmt: skip
    """Run samples first..last-1; returns the first sample that was not run (there was no room left for its events).

    refresh: increments after which a stage takes its sums anew. progress: [events written, products computed]. memory: (units,) or empty.
    states: (K + 1, units), row k + 1 is written by sample k. events: room for events. counts: (units,) events.
    """
    units = states.shape[1]
    state = states[first].copy()
    for sample in range(first, last):
        if progress[0] + units > len(events):
            return sample
        for change in range(inputs.first_change[sample], inputs.first_change[sample + 1]):
            numbers.signal[inputs.channel[change]] = inputs.level[change]
        timespan = inputs.timespan[sample]
        if timespan == 0.0:
            states[sample + 1, :] = state
            continue
        if len(memory) > 0:
            remember(numbers, network_inputs, state, memory)
        same_time = sample > 0 and inputs.timespan[sample - 1] == timespan
        for stage in range(len(stages.kind)):
            products = hear(stages, ranges, numbers, stage, refresh)
            if products < 0 and (same_time or stages.first_unit[stage] < 0):
                continue
            progress[1] += max(products, 0)
            kind, outputs, unit = stages.kind[stage], stages.outputs[stage], stages.first_unit[stage]
            for output in range(outputs):
                place = stages.first_sum[stage] + output
                signal = stages.first_signal[stage] + output
                if unit < 0:
                    value = activate(kind, numbers.sums[place])
                else:
                    value = new_state(kind, numbers.sums, place, outputs, timespan, numbers.w_tau[unit + output], numbers.A[unit + output])
                    state[unit + output] = value
                if value != numbers.signal[signal] and abs(value - numbers.signal[signal]) >= numbers.quantum[signal]:
                    numbers.signal[signal] = value
                    if unit >= 0:
                        event = events[progress[0]]
                        event.time_s, event.unit, event.value = inputs.time_s[sample], unit + output, value
                        progress[0] += 1
                        counts[unit + output] += 1
        states[sample + 1, :] = state
    return last
