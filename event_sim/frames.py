"""Frame by frame: a quantised CfC on a chip of dense layers, bit for bit, all windows of a batch at once.

A chip of the Akida 1 class computes a sample in passes, one per CfC layer: the host encodes inputs and state as 4-bit codes, the chip's
dense layers turn them into codes of the heads, the host's tables and gate make the new state (`liquid_neuro.cells.cfc_heads`, whose
programs run here on NumPy's integers). Only codes other than 0 are events; an event costs one
synaptic operation per output of each dense layer that it enters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from event_sim.chip_activity import ChipActivity
from event_sim.events import EventStream
from event_sim.interrupts import interruptible, pieces
from event_sim.plan import SampledPlan, make_plan
from event_sim.recording import Recording, event_table
from hardware_profiles.fixed_point import Integers, round_shift
from liquid_neuro.cells import cfc_heads
from liquid_neuro.cells.interpret import with_primitives
from liquid_neuro.network import FloatArray
from liquid_neuro.quantized_network import Population, Projection, QuantizedNetwork
from liquid_neuro.timespans import check_timespans

# NumPy's own functions for some primitives: the same integers in fewer passes over the arrays than the arithmetic of fixed_point.
_ARRAYS: dict[str, Callable[..., Any]] = {
    "clip": lambda value, lowest, highest: np.minimum(np.maximum(value, lowest), highest),
    "select": np.where,
}
_PROGRAMS = {name: with_primitives(program.function, _ARRAYS) for name, program in cfc_heads.HEAD_PROGRAMS.items()}


@dataclass(frozen=True, eq=False)
class Frames:
    """What a batch of windows did.

    words (batch, time + 1, units): state words in the network's state order, row 0 the initial state.
    sent: population -> how often each of its codes was not 0 (size,), over all samples; the codes that enter a sample, and leave a layer.
    entered: (source population, layer) -> the same for the codes that entered the dense layers of that layer: the events of the chip.
    clipped: how often an input lay outside of the calibrated range, per channel.
    """

    words: Integers
    sent: dict[str, Integers]
    entered: dict[tuple[str, str], Integers]
    clipped: Integers


@dataclass(frozen=True, eq=False)
class _Layer:
    """A CfC layer. dense: the chip's layers in order with their matrices (inputs, outputs), the heads last."""

    name: str
    dense: tuple[tuple[Population, Integers], ...]
    state: Population
    code: Population


def frame_samples(quantized: QuantizedNetwork, x: npt.ArrayLike, timespans: npt.ArrayLike | None = None) -> FloatArray:
    """Outputs (batch, time, outputs) of windows x (batch, time, inputs) as the network sees them, each from state 0.

    timespans: (time,), (batch, time) or a number, in model units; 1 when left out.
    """
    frames = simulate_frames(quantized, x, timespans)
    return outputs_of(quantized, frames.words[:, 1:])


def outputs_of(quantized: QuantizedNetwork, words: Integers) -> FloatArray:
    """y (…, outputs) from state words (…, units) in the network's state order."""
    output = quantized.population(quantized.output_population)
    states = [population for population in quantized.populations if population.program.startswith("cfc_heads.host")]
    last = words[..., sum(population.size for population in states) - states[-1].size :]
    if output.program == "cfc_heads.project":
        projection = next(item for item in quantized.projections if item.target_population == output.name)
        sums = last @ _matrix(quantized, projection)
        last = np.clip(cfc_heads.project(0, sums, *output.parameters.values()), output.state.lowest, output.state.highest)
    real = output.state.to_real(last[..., quantized.output_compartments])
    result: FloatArray = real * quantized.output_gain + quantized.output_offset
    return result


def _matrix(quantized: QuantizedNetwork, projection: Projection) -> Integers:
    """A projection's weights as (sources, targets)."""
    sizes = [quantized.population(name).size for name in (projection.source_population, projection.target_population)]
    matrix = np.zeros(sizes, dtype=np.int64)
    matrix[projection.source, projection.target] = projection.weight
    return matrix


def simulate_frames(
    quantized: QuantizedNetwork, x: npt.ArrayLike, timespans: npt.ArrayLike | None = None, initial: npt.ArrayLike | None = None
) -> Frames:
    """Run windows x (batch, time, inputs). initial: state words (units,) or (batch, units); 0 when left out.

    Raises ValueError for a network of another kind, a wrong shape, a value that is not finite, or a timespan outside of its format.
    """
    if quantized.kind != "akida":
        raise ValueError(f'quantized.kind must be "akida" to be run frame by frame, but is "{quantized.kind}"; use simulate')
    inputs = np.asarray(x, dtype=np.float64)
    size = quantized.population("input").size
    if inputs.ndim != 3 or inputs.shape[-1] != size:
        raise ValueError(f"x must have the shape (batch, time, {size}), but has {inputs.shape}")
    if not np.isfinite(inputs).all():
        raise ValueError("x must be finite, but has a value that is not; leave such rows out")
    spans = timespan_words(quantized, timespans, inputs.shape[0], inputs.shape[1])
    layers = _layers(quantized)
    states = _initial(layers, initial, len(inputs))
    return _run(quantized, layers, inputs, spans, states)


def run_frames(
    quantized: QuantizedNetwork, events: EventStream, until: float | None = None, initial: Any = None, progress: bool = False
) -> Recording:
    """Run a stream, state carried from sample to sample. Arguments as in `simulate`; the engine is called "frames".

    Events are codes other than 0, which the host sends to the chip: `event_counts` and `events` those of the units' states. The state's
    time is the end of its sample.
    Ctrl-C ends the run early; the recording then holds what was simulated so far and says so.
    """
    started = time.perf_counter()
    plan = make_plan(quantized.network, events, until, initial, None)
    assert isinstance(plan, SampledPlan)
    words = state_words(quantized, plan.start.state)
    history, parts, done = [words[None]], [], 0
    timespan_words(quantized, plan.timespans, 1, plan.samples)  # refuses before anything runs
    with interruptible() as stopped:
        for first, done in pieces(plan.samples, progress, "frames", stopped):
            spans = plan.timespans[None, first:done]
            frames = simulate_frames(quantized, plan.levels[None, first:done], spans, initial=history[-1][-1])
            history.append(frames.words[0, 1:])
            parts.append(frames)
    recording = _recording(quantized, plan.shortened(done), np.concatenate(history), parts, time.perf_counter() - started)
    return recording.told(interrupted=done < plan.samples)


def state_words(quantized: QuantizedNetwork, state: FloatArray) -> Integers:
    """State words (units,) nearest to real states."""
    word = next(population.state for population in quantized.populations if population.program.startswith("cfc_heads.host"))
    return word.quantize(state)


def timespan_words(quantized: QuantizedNetwork, timespans: npt.ArrayLike | None, batch: int, steps: int) -> Integers:
    """Elapsed times in model units as words (batch, time). ValueError where one leaves the format, or rounds to 0 without being 0."""
    real = np.broadcast_to(np.asarray(1.0 if timespans is None else timespans, dtype=np.float64), (batch, steps))
    check_timespans(quantized, real)
    words: Integers = np.floor(real / cfc_heads.TIMESPAN.lsb + 0.5).astype(np.int64)
    return words


def _run(quantized: QuantizedNetwork, layers: list[_Layer], x: FloatArray, spans: Integers, states: list[Integers]) -> Frames:
    encoder = quantized.population("input.code")
    words = quantized.input_format.quantize(x)
    inputs = _encode(encoder, words)
    codes = [_encode(layer.code, state) for layer, state in zip(layers, states)]
    history = [[state] for state in states]
    outputs: dict[str, list[Integers]] = {population.name: [] for layer in layers for population, _ in layer.dense}
    for k in range(x.shape[1]):
        below = inputs[:, k]
        for number, layer in enumerate(layers):
            heads = _chip(layer, np.concatenate([below, codes[number]], axis=1), outputs)
            state = _host(layer.state, heads, history[number][-1], spans[:, k, None])
            history[number].append(state)
            below = codes[number] = _encode(layer.code, state)
    by_layer = [np.stack(states, axis=1) for states in history]
    sent, entered = _events(layers, inputs, by_layer)
    sent |= {name: np.count_nonzero(np.concatenate(steps), axis=0).astype(np.int64) for name, steps in outputs.items() if steps}
    return Frames(np.concatenate(by_layer, axis=2), sent, entered, _outside(encoder, words))


def _chip(layer: _Layer, codes: Integers, outputs: dict[str, list[Integers]]) -> Integers:
    """The codes of the heads (batch, 4 * units) from the layer's input codes; every dense layer's codes are added to `outputs`."""
    for population, weight in layer.dense:
        codes = _PROGRAMS["cfc_heads.head"](0, codes @ weight, *population.parameters.values())
        outputs[population.name].append(codes)
    return codes


def _host(state: Population, heads: Integers, words: Integers, span: Integers) -> Integers:
    by_head = heads.reshape(len(heads), len(cfc_heads.HEADS), state.size).swapaxes(0, 1)
    new = _PROGRAMS[state.program](words, *by_head, span, state.parameters["base"], *state.tables.values())
    result: Integers = np.minimum(np.maximum(new, state.state.lowest), state.state.highest)
    return result


def _events(layers: list[_Layer], inputs: Integers, words: list[Integers]) -> tuple[dict[str, Integers], dict[tuple[str, str], Integers]]:
    """`sent` and `entered` of the host's codes: a layer hears what is below it in the same sample and itself in the sample before."""
    sent = {"input.code": np.count_nonzero(inputs, axis=(0, 1)).astype(np.int64)}
    entered: dict[tuple[str, str], Integers] = {}
    source = "input.code"
    for layer, states in zip(layers, words):
        active = _encode(layer.code, states) != 0
        entered[source, layer.name] = sent[source]
        entered[layer.code.name, layer.name] = active[:, :-1].sum(axis=(0, 1)).astype(np.int64)
        source = layer.code.name
        sent[source] = active[:, 1:].sum(axis=(0, 1)).astype(np.int64)
    return sent, entered


def _encode(code: Population, words: Integers) -> Integers:
    result: Integers = _PROGRAMS["cfc_heads.encode"](0, words, *code.parameters.values())
    return result


def _outside(encoder: Population, words: Integers) -> Integers:
    """How often a word lies more than half a step outside of the codes' range, per channel."""
    origin, multiplier, shift, highest = encoder.parameters.values()
    steps = round_shift((words - origin) * multiplier, shift)
    result: Integers = np.count_nonzero((steps < 0) | (steps > highest), axis=(0, 1)).astype(np.int64)
    return result


def _layers(quantized: QuantizedNetwork) -> list[_Layer]:
    """The network's populations and projections by layer, dense layers as matrices."""
    incoming: dict[str, list[Projection]] = {}
    for projection in quantized.projections:
        incoming.setdefault(projection.target_population, []).append(projection)
    layers = []
    for state in quantized.populations:
        if not state.program.startswith("cfc_heads.host"):
            continue
        name = state.name.removesuffix(".state")
        dense = []
        for population in quantized.populations:
            if population.program == "cfc_heads.head" and population.name.rpartition(".")[0] == name:
                parts = [_matrix(quantized, projection) for projection in incoming[population.name]]
                dense.append((population, np.concatenate(parts)))
        layers.append(_Layer(name, tuple(dense), state, quantized.population(f"{name}.code")))
    return layers


def _initial(layers: list[_Layer], initial: npt.ArrayLike | None, batch: int) -> list[Integers]:
    sizes = [layer.state.size for layer in layers]
    words = np.zeros(sum(sizes), dtype=np.int64) if initial is None else np.asarray(initial, dtype=np.int64)
    if words.shape not in ((sum(sizes),), (batch, sum(sizes))):
        raise ValueError(f"initial must have the shape ({sum(sizes)},) or ({batch}, {sum(sizes)}), but has {words.shape}")
    whole = np.broadcast_to(words, (batch, sum(sizes)))
    return [part.copy() for part in np.split(whole, np.cumsum(sizes)[:-1], axis=1)]


# --- recordings -----------------------------------------------------------------------------------------------------------------------


def _recording(quantized: QuantizedNetwork, plan: SampledPlan, words: Integers, parts: list[Frames], seconds: float) -> Recording:
    states = [population for population in quantized.populations if population.program.startswith("cfc_heads.host")]
    state = np.concatenate([population.state.to_real(part) for population, part in _by_layer(states, words)], axis=1)
    codes = np.concatenate([_encode(_code_of(quantized, population), part[1:]) for population, part in _by_layer(states, words)], axis=1)
    step, unit = np.nonzero(codes)
    outputs = outputs_of(quantized, words)
    stored = _stored_operations(quantized, parts)
    return Recording(
        engine="frames",
        state=state,
        state_times_s=plan.boundaries_s,
        output_samples=outputs[1:],
        final=plan.final(state[-1].copy()),
        events=event_table(plan.boundaries_s[1:][step], unit, state[1:][step, unit]),
        event_counts=np.count_nonzero(codes, axis=0).astype(np.int64),
        input_event_counts=plan.event_counts,
        neuron_synaptic_operations=_neuron_operations(quantized, parts),
        stored_synaptic_operations=sum(int(count) for count in stored.values()),
        clocked_synaptic_operations=plan.samples * int(quantized.notes["products_per_sample"]),
        error_bound=0.0,
        seconds=seconds,
        error_bound_kind="rounding",
        output_initial=outputs[0],
        activity=_activity(quantized, plan.samples, parts, stored),
    )


def _by_layer(states: list[Population], words: Integers) -> list[tuple[Population, Integers]]:
    ends = np.cumsum([population.size for population in states])
    return list(zip(states, np.split(words, ends[:-1], axis=-1)))


def _code_of(quantized: QuantizedNetwork, state: Population) -> Population:
    return quantized.population(state.name.removesuffix(".state") + ".code")


def _arrivals(quantized: QuantizedNetwork, projection: Projection, parts: list[Frames]) -> Integers:
    """How often each source of a projection into the chip was an event there."""
    layer = projection.target_population.rpartition(".")[0]
    counts = [part.entered.get((projection.source_population, layer), part.sent.get(projection.source_population)) for part in parts]
    return sum((count for count in counts if count is not None), np.zeros(_size(quantized, projection), dtype=np.int64))


def _size(quantized: QuantizedNetwork, projection: Projection) -> int:
    return quantized.population(projection.source_population).size


def _stored_operations(quantized: QuantizedNetwork, parts: list[Frames]) -> dict[int, int]:
    """Projection index -> synaptic operations on the chip: events times the outputs of the dense layer, zeros in its matrix included."""
    return {
        number: int(np.bincount(projection.source, minlength=_size(quantized, projection)) @ _arrivals(quantized, projection, parts))
        for number, projection in enumerate(quantized.projections)
        if quantized.population(projection.target_population).program == "cfc_heads.head"
    }


def _neuron_operations(quantized: QuantizedNetwork, parts: list[Frames]) -> int:
    """Units' events times the units that hear them: all of the layer and of the next one (no wiring masks the time heads)."""
    return sum(
        int(count.sum()) * quantized.population(f"{layer}.state").size
        for part in parts
        for (source, layer), count in part.entered.items()
        if source != "input.code"
    )


def _activity(quantized: QuantizedNetwork, samples: int, parts: list[Frames], stored: dict[int, int]) -> ChipActivity:
    """The run's counts: a turn per compartment and sample; messages are codes other than 0."""
    populations = quantized.populations
    turns = {population.name: np.full(population.size, samples, dtype=np.int64) for population in populations if population.program}
    spikes = {
        population.name: sum(
            (part.sent[population.name] for part in parts if population.name in part.sent), np.zeros(population.size, np.int64)
        )
        for population in populations
        if population.program in ("cfc_heads.encode", "cfc_heads.head")
    }
    operations = np.array([stored.get(number, 0) for number in range(len(quantized.projections))], dtype=np.int64)
    return ChipActivity(
        samples=samples,
        ticks=samples,
        ticks_per_sample=1,
        spikes=spikes,
        updates=turns,
        active_updates=turns,
        stored_operations=operations,
        clocked_operations=samples * int(quantized.notes["products_per_sample"]),
        saturations={"input": sum(int(part.clipped.sum()) for part in parts)},
    )
