"""The event-driven engine of CfC networks: a delta network on its sample times; the clock-driven run is the same kernel, every sum anew."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from event_sim import bounds
from event_sim.events import FloatArray, IntArray
from event_sim.ltc_arrays import Log
from event_sim.plan import SampledPlan, chunks
from event_sim.recording import EVENT_TYPE, Recording, ordered_events
from liquid_neuro.cells import cfc

if TYPE_CHECKING:
    from event_sim.kernels.cfc_delta import Numbers, Ranges, Stages

REFRESH = 4096  # increments of a stage's sums after which they are taken anew


def run_cfc_events(plan: SampledPlan, quantum: FloatArray, progress: bool) -> Recording:
    """The recording of an event-driven CfC run. quantum: (units,) >= 0. Events bear the time of the end of their sample."""
    bound = (1e-9, "rounding") if not quantum.any() else (bounds.ESTIMATE * float(quantum.max()), "estimate")
    return _run(plan, quantum, REFRESH, "event", bound, progress)


def run_cfc_clocked(plan: SampledPlan, progress: bool) -> Recording:
    """The recording of a clock-driven CfC run: every product in every sample."""
    return _run(plan, np.zeros(plan.network.units), 0, "clocked", (1e-9, "rounding"), progress)


def _run(plan: SampledPlan, quantum: FloatArray, refresh: int, engine: str, bound: tuple[float, str], progress: bool) -> Recording:
    from event_sim.kernels import cfc_delta as kernel

    started = time.perf_counter()
    values, units = cfc.effective(plan.network), plan.network.units
    stages, ranges, numbers = _arrays(values, quantum, plan)
    inputs = kernel.Inputs(plan.timespans.copy(), plan.boundaries_s[1:].copy(), *plan.changes())
    states, counts, counters = np.empty((plan.samples + 1, units)), np.zeros(units, dtype=np.int64), np.zeros(2, dtype=np.int64)
    states[0] = plan.start.state
    memory = np.zeros(0) if plan.start.memory is None else plan.start.memory.copy()
    log = Log(EVENT_TYPE, 2 * units)
    for begin, end in chunks(plan.samples, progress, "simulating"):
        while begin < end:
            room = log.reserve(int(counters[0]), units * min(end - begin, 64))
            begin = kernel.run_cfc(
                begin, end, refresh, values.inputs, stages, ranges, numbers, inputs, counters, memory, states, room, counts
            )  # fmt: skip
    output = cfc.output(values, states)
    fan_out = heard_by(values)
    products = int(numbers.products.sum()) + numbers.memory_input.size + numbers.memory_recurrent.size
    ran = int(np.count_nonzero(plan.timespans))
    clocked = ran * products
    stored = clocked if refresh == 0 else int(counters[1]) + ran * (numbers.memory_input.size + numbers.memory_recurrent.size)
    return Recording(
        engine=engine,
        state=states,
        state_times_s=plan.boundaries_s,
        output_samples=output[1:],
        output_initial=output[0],
        final=plan.final(states[-1].copy() if plan.start.memory is None else (states[-1].copy(), memory)),
        events=ordered_events(log.array[: counters[0]]),
        event_counts=counts,
        input_event_counts=plan.event_counts,
        neuron_synaptic_operations=int(counts @ fan_out),
        stored_synaptic_operations=stored,
        clocked_synaptic_operations=clocked,
        error_bound=bound[0],
        error_bound_kind=bound[1],
        quantum=quantum,
        seconds=time.perf_counter() - started,
    )


def heard_by(values: cfc.CfCValues) -> IntArray:
    """(units,) how many units (of backbone layers too) hear each unit: its fan-out in the neuron graph."""
    fan_out = np.zeros(values.units, dtype=np.int64)
    for number, layer in enumerate(values.layers):
        own = len(layer.backbone[0][1]) if layer.backbone else layer.units
        fan_out[layer.start : layer.start + layer.units] += own
        if number > 0:
            before = values.layers[layer.inputs_from]
            heard = np.full(before.units, layer.units)
            if layer.mask is not None and "time_a" not in layer.heads:  # pure: what the wiring masks is not heard at all
                heard = np.count_nonzero(layer.mask[:, : layer.inputs], axis=0)
            fan_out[before.start : before.start + before.units] += heard
    return fan_out


def _kind(values: cfc.CfCValues) -> int:
    from event_sim.kernels import cfc_delta as kernel

    keras = values.dialect == "keras"
    kinds = {
        "default": kernel.KERAS_DEFAULT if keras else kernel.DEFAULT,
        "no_gate": kernel.KERAS_NO_GATE if keras else kernel.NO_GATE,
        "pure": kernel.PURE,
    }
    return kinds[values.mode]


def _arrays(values: cfc.CfCValues, quantum: FloatArray, plan: SampledPlan) -> tuple[Stages, Ranges, Numbers]:
    """The network as stages over one vector of signals."""
    from event_sim.kernels import cfc_delta as kernel

    names = ("lecun_tanh", "tanh", "relu", "silu", "gelu")
    builder = _Builder(values.inputs + (values.units if values.lstm is not None else 0))
    finest = float(quantum.min()) if len(quantum) else 0.0
    state_signals: list[int] = []
    for layer in values.layers:
        heard = (0, layer.inputs) if layer.inputs_from < 0 else (state_signals[layer.inputs_from], layer.inputs)
        head_signal = builder.signals + sum(len(bias) for _, bias in layer.backbone)
        own = (values.inputs + layer.start if values.lstm is not None else head_signal, layer.units)
        sources = [heard, own]
        for weight, bias in layer.backbone:
            products = np.full(weight.shape[1], len(bias))
            sources = [builder.add(names.index(values.activation), [weight], [bias], products, sources, -1)]
        columns = next(iter(layer.heads.values()))[0].shape[1]
        masked = np.full(columns, layer.units) if layer.mask is None else np.count_nonzero(layer.mask, axis=0)
        products = sum((masked if name in cfc.MASKED_HEADS else np.full(columns, layer.units)) for name in layer.heads)  # type: ignore[assignment]
        weights, biases = zip(*layer.heads.values())
        state_signals.append(builder.add(_kind(values), list(weights), list(biases), products, sources, layer.start)[0])
    stages, ranges = builder.tables()
    signal, quanta = np.zeros(builder.signals), np.full(builder.signals, finest)
    signal[: values.inputs] = plan.start.inputs
    w_tau, a = np.zeros(values.units), np.zeros(values.units)
    for layer, first in zip(values.layers, state_signals):
        own_units = slice(layer.start, layer.start + layer.units)
        signal[first : first + layer.units] = plan.start.state[own_units]
        quanta[first : first + layer.units] = quantum[own_units]
        if layer.w_tau is not None and layer.A is not None:
            w_tau[own_units], a[own_units] = layer.w_tau, layer.A
    if values.lstm is not None:
        quanta[values.inputs : values.inputs + values.units] = quantum
    bias = np.concatenate(builder.bias)
    products = np.concatenate(builder.products).astype(np.int64)
    lstm = values.lstm
    memory = [np.zeros((0, 0)), np.zeros(0), np.zeros((0, 0))]
    if lstm is not None:
        memory = [np.ascontiguousarray(part).copy() for part in (lstm.input_weight, lstm.input_bias, lstm.recurrent_weight)]
    numbers = kernel.Numbers(
        np.concatenate(builder.weight), bias, bias.copy(), np.zeros(len(products)), products, signal, quanta, w_tau, a, *memory
    )  # fmt: skip
    return stages, ranges, numbers


class _Builder:
    """Collects stages one after the other."""

    def __init__(self, signals: int) -> None:
        self.signals = signals
        self.rows: list[tuple[int, ...]] = []
        self.ranges: list[tuple[int, ...]] = []
        self.weight: list[FloatArray] = []
        self.bias: list[FloatArray] = []
        self.products: list[IntArray] = []

    def add(
        self, kind: int, weights: list[FloatArray], biases: list[FloatArray], products: IntArray, sources: list[tuple[int, int]], unit: int
    ) -> tuple[int, int]:
        """Append a stage; returns the range of signals that it sends. weights: (outputs, columns) per head."""
        outputs = len(biases[0])
        columns = np.concatenate(
            [weight.T for weight in weights], axis=1
        )  # (columns, heads x outputs): one column's weights are neighbours
        first_weight, first_seen = sum(part.size for part in self.weight), sum(len(part) for part in self.products)
        first_range, column = len(self.ranges), 0
        for signal, length in sources:
            self.ranges.append((signal, length, first_weight + column * columns.shape[1], first_seen + column))
            column += length
        first_sum = sum(part.size for part in self.bias)
        self.rows.append((kind, len(weights), outputs, first_range, first_sum, self.signals, unit, 0))
        self.weight.append(np.ascontiguousarray(columns).ravel())
        self.bias.append(np.concatenate(biases))
        self.products.append(products)
        self.signals += outputs
        return self.signals - outputs, outputs

    def tables(self) -> tuple[Stages, Ranges]:
        """The stages and ranges as arrays."""
        from event_sim.kernels.cfc_delta import Ranges, Stages

        columns = [np.array(column, dtype=np.int64) for column in zip(*self.rows)]
        columns[3] = np.append(columns[3], len(self.ranges))
        return Stages(*columns), Ranges(*(np.array(column, dtype=np.int64) for column in zip(*self.ranges)))
