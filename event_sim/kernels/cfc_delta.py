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
from typing import Any

import numpy as np

from event_sim.kernels.jit import compiled, inner

LECUN_TANH, TANH, RELU, SILU, GELU, DEFAULT, NO_GATE, PURE, KERAS_DEFAULT, KERAS_NO_GATE = range(10)


# A stage: what it computes, its heads and outputs, where its ranges, sums, signals and units begin (unit -1: a backbone stage), and how
# many increments its sums took since they were taken anew.
_STAGE = ("kind", "heads", "outputs", "first_range", "ranges", "first_sum", "first_signal", "first_unit", "increments")
STAGE = np.dtype([(name, np.int64) for name in _STAGE])
# A range of signals that a stage hears: its first weight (column after column, heads x outputs each) and its first place in `heard`.
RANGE = np.dtype([(name, np.int64) for name in ("first_signal", "length", "first_weight", "first_heard")])
# What a stage last heard of a signal, and the products that a change of it costs.
HEARD = np.dtype([("value", np.float64), ("products", np.int64)])
SIGNAL = np.dtype([("value", np.float64), ("quantum", np.float64), ("w_tau", np.float64), ("A", np.float64)])
# A sample: elapsed time in model units (0: it leaves the state), the time of its events, its first change of a level.
SAMPLE = np.dtype([("timespan", np.float64), ("time_s", np.float64), ("first_change", np.int64)])
CHANGE = np.dtype([("channel", np.int64), ("level", np.float64)])


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
def new_state(kind: int, sums: Any, place: int, outputs: int, timespan: float, signal: Any) -> Any:
    """A unit's new state from its heads' sums, which lie `outputs` apart."""
    first = sums[place]
    if kind == PURE:
        return signal.A - signal.A * np.exp(-timespan * (abs(signal.w_tau) + abs(first))) * first
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
def hear(stage: Any, ranges: Any, signals: Any, heard: Any, weight: Any, bias: Any, sums: Any, refresh: int) -> Any:
    """Bring a stage's sums up to date. Returns the products computed; -1 where nothing had changed."""
    width = stage.heads * stage.outputs
    base = stage.first_sum
    anew = stage.increments >= refresh
    if anew:
        stage.increments = 0
        for index in range(width):
            sums[base + index] = bias[base + index]
    products = np.int64(0)
    changed = anew
    for number in range(stage.first_range, stage.first_range + stage.ranges):
        part = ranges[number]
        for source in range(part.length):
            before = heard[part.first_heard + source]
            value = signals[part.first_signal + source].value
            change = value - before.value
            if change != 0.0:
                changed = True
                stage.increments += 1
                products += before.products
            if anew:
                change = value
            if change != 0.0:
                before.value = value
                column = part.first_weight + source * width
                for index in range(width):
                    sums[base + index] += change * weight[column + index]
    return products if changed else np.int64(-1)


@inner
def remember(signals: Any, inputs: int, state: Any, memory: Any, input_weight: Any, input_bias: Any, recurrent_weight: Any) -> None:
    """One step of the memory cell: updates memory, and sends those recalled values h~ that moved by their quantum."""
    units = len(state)
    z = input_bias.copy()
    for row in range(4 * units):
        for column in range(inputs):
            z[row] += input_weight[row, column] * signals[column].value
        for column in range(units):
            z[row] += recurrent_weight[row, column] * state[column]
    for unit in range(units):
        memory[unit] = memory[unit] * logistic(z[2 * units + unit] + 1.0) + np.tanh(z[unit]) * logistic(z[units + unit])
        recalled = np.tanh(memory[unit]) * logistic(z[3 * units + unit])
        signal = signals[inputs + unit]
        if abs(recalled - signal.value) >= signal.quantum:
            signal.value = recalled


@compiled
def run_cfc(begin: int, end: int, before: float, refresh: int, inputs: int, stages: Any, ranges: Any, signals: Any, heard: Any,
            weight: Any, bias: Any, sums: Any, samples: Any, changes: Any, memory: Any, input_weight: Any, input_bias: Any,
            recurrent_weight: Any, progress: Any, states: Any, events: Any, counts: Any) -> int:  # fmt: skip
    """Run samples begin..end-1; returns the first sample that was not run (there was no room left for its events).

    before: the timespan of the sample before the first. refresh: increments after which a stage takes its sums anew. samples: one more than
    there are, for the end of the changes. memory: (units,), or empty without a memory cell. progress: [events written, products
    computed]. states: (K + 1, units), row k + 1 is written by sample k. events: room for events. counts: (units,) events.
    """
    units = states.shape[1]
    state = states[begin].copy()
    for number in range(begin, end):
        sample = samples[number]
        if progress[0] + units > len(events):
            return number
        for index in range(sample.first_change, samples[number + 1].first_change):
            signals[changes[index].channel].value = changes[index].level
        timespan = sample.timespan
        if timespan > 0.0:
            if len(memory) > 0:
                remember(signals, inputs, state, memory, input_weight, input_bias, recurrent_weight)
            same_time = timespan == (samples[number - 1].timespan if number > 0 else before)
            for which in range(len(stages)):
                stage = stages[which]
                products = hear(stage, ranges, signals, heard, weight, bias, sums, refresh)
                if products < 0 and (same_time or stage.first_unit < 0):
                    continue
                progress[1] += max(products, 0)
                for output in range(stage.outputs):
                    place, unit = stage.first_sum + output, stage.first_unit + output
                    signal = signals[stage.first_signal + output]
                    if stage.first_unit < 0:
                        value = activate(stage.kind, sums[place])
                    else:
                        value = new_state(stage.kind, sums, place, stage.outputs, timespan, signal)
                        state[unit] = value
                    if value != signal.value and abs(value - signal.value) >= signal.quantum:
                        signal.value = value
                        if stage.first_unit >= 0:
                            event = events[progress[0]]
                            event.time_s, event.unit, event.value = sample.time_s, unit, value
                            progress[0] += 1
                            counts[unit] += 1
        for unit in range(len(state)):
            states[number + 1, unit] = state[unit]
    return end
