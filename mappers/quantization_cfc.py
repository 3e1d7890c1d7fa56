"""Formats of a CfC in integers: message bits from what the running sums can hold, scales from the weights, means from calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hardware_profiles import HardwareProfile
from hardware_profiles.fixed_point import QFormat
from liquid_neuro.cells.cfc import CfCLayer, CfCValues, effective
from liquid_neuro.cells.cfc_build import build_integer
from liquid_neuro.cells.cfc_formats import (
    ELAPSED_BITS,
    CfCFormats,
    LayerFormats,
    head_maps,
    heads_by_port,
    integer_parameters,
)
from liquid_neuro.cells.cfc_integer import VALUE_FRACTION
from liquid_neuro.cells.dense_formats import DenseFormats
from liquid_neuro.cells.functions import ACTIVATIONS
from liquid_neuro.cells.integer import elapsed_format
from liquid_neuro.cells.lstm_formats import memory_maps
from liquid_neuro.network import ClosedForm, FloatArray, LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers.calibration_cfc import Trace, traces_of
from mappers.quantization import Choices, integer_bits, sum_bits, weight_bits
from mappers.quantization_memory import ARGUMENT_BOUND, dense_map, memory_formats, most_fraction
from mappers.weight_scales import Heard, best_fraction, per_unit

MOST_MESSAGE_FRACTION, FEWEST_MESSAGE_FRACTION = 10, 4
VALUE_MARGIN = 1.25  # of a backbone word above what calibration saw, where the activation has no bound of its own
MOST_STATE = 1024.0  # without tanh
STATE_MARGIN = 1.5  # of a state without tanh above what calibration saw
SETTLED_GATE = 24.0  # |slope * timespan| from which the gate is open or shut whatever the level (within 8) and then some


@dataclass(frozen=True, eq=False)
class _Bounds:
    """What is known before any format of a layer is chosen.

    state: |h|; own: |what a layer's own columns hear|; reach: half the width of the table of f1 (and f2), the argument's bound.
    highest: the largest integer weight; room: of a running sum.
    """

    state: float
    own: float
    reach: float
    highest: int
    room: float
    bits: int


def quantize_cfc(
    network: LiquidNetwork, profile: HardwareProfile, choices: Choices, formats: Any, ticks_per_sample: int | None
) -> QuantizedNetwork:
    """See `quantize`."""
    values = effective(network)
    notes: dict[str, Any] = {}
    if formats is None:
        formats, notes = _choose(profile, values, choices)
    elif not isinstance(formats, CfCFormats) or len(formats.layers) != len(values.layers) or formats.mode != values.mode:
        raise ValueError("formats must come from a CfC with these layers and this mode, but do not; quantise without formats")
    elif (formats.memory is None) != (values.lstm is None) or formats.keras != (values.dialect == "keras"):
        raise ValueError("formats must come from a CfC of this dialect and memory, but do not; quantise without formats")
    else:
        formats = _changed(formats, choices)
    if ticks_per_sample not in (None, formats.ticks_per_sample):
        raise ValueError(
            f"ticks_per_sample must be {formats.ticks_per_sample} (the hops of the state's loop), but is {ticks_per_sample}; leave it out"
        )
    populations, projections = build_integer(network, formats)
    last = populations[-1]
    projection = values.projection
    return QuantizedNetwork(
        network=network,
        profile=profile.name,
        kind=profile.kind,
        target=ClosedForm(),
        formats=formats,
        ticks_per_sample=formats.ticks_per_sample,
        read_tick=last.first_tick,
        accumulator_bits=formats.accumulator_bits,
        populations=populations,
        projections=projections,
        input_format=formats.input,
        output_population=last.name,
        output_compartments=np.arange(last.size),
        output_gain=np.ones(last.size) if projection is None else np.array(projection[0]),
        output_offset=np.zeros(last.size) if projection is None else np.array(projection[1]),
        notes={**notes, **_losses(network, values, formats)},
    )


def _changed(formats: CfCFormats, choices: Choices) -> CfCFormats:
    """Formats kept, with the thresholds that the caller names."""
    sent = choices.thresholds
    names = ("input", "neuron", "backbone", "memory")
    return replace(formats, **{f"{name}_threshold": sent.get(name, getattr(formats, f"{name}_threshold")) for name in names})


# --- choosing ---------------------------------------------------------------------------------------------------------------------------


def _choose(profile: HardwareProfile, values: CfCValues, choices: Choices) -> tuple[CfCFormats, dict[str, Any]]:
    traces, memory_trace = traces_of(values, choices)
    bounds = _bounds(profile, values, choices, traces)
    state = _state_format(bounds.state, values, choices, bounds.reach)
    message_fraction, reason = _message_fraction(values, profile, choices, bounds, state, traces)
    if choices.irregular:
        _check_elapsed(choices)
    layers = tuple(_layer(values, layer, trace, choices, message_fraction, state, bounds) for layer, trace in zip(values.layers, traces))
    message = QFormat(max(integer_bits(bounds.state), 0) + 2 + message_fraction, message_fraction)
    keras = values.dialect == "keras" and values.mode != "pure"
    memory, memory_reason = None, ""
    if values.lstm is not None:
        ranges = _memory_ranges(values, choices, bounds)
        memory, memory_reason = memory_formats(values.lstm, memory_trace, ranges, message_fraction, bounds.bits, bounds.room)
    formats = CfCFormats(
        weight_bits=bounds.bits,
        mode=values.mode,
        activation=values.activation,
        input=QFormat(max(integer_bits(choices.input_bound) + 1 + message_fraction, 2), message_fraction),
        state=state,
        message=message,
        layers=layers,
        timespan=choices.timespan,
        accumulator_bits=sum_bits(profile),
        input_bound=choices.input_bound,
        irregular=choices.irregular,
        keras=values.dialect == "keras",
        value_fraction=layers[0].heads["first"].fraction if keras else VALUE_FRACTION,
        memory=memory,
        **{f"{name}_threshold": choices.thresholds.get(name, 1) for name in ("input", "neuron", "backbone", "memory")},
    )
    notes = _choice_notes(formats, choices, bounds, reason)
    if memory is not None:
        notes["memory"] = f"{memory.cell}: {memory_reason}; two compartments per unit, two ticks before the layers"
    return formats, notes


def _choice_notes(formats: CfCFormats, choices: Choices, bounds: _Bounds, reason: str) -> dict[str, Any]:
    """What was chosen and why."""
    span = f"{choices.timespan:g} model units per sample, folded into the time head"
    if choices.irregular:
        span = f"{choices.shortest:g} to {choices.timespan:g} model units per sample, which every unit hears as {formats.elapsed}"
    return {
        "weights": f"{bounds.bits} bits, one scale per unit and head",
        "messages": f"{formats.message.fraction_bits} fraction bits: {reason}",
        "state": f"{formats.state}: |h| <= {bounds.state:.4g}",
        "inputs": f"{formats.input}: up to {choices.input_bound:.4g} ({choices.input_bound_from})",
        "timespan": span,
    }


def _bounds(profile: HardwareProfile, values: CfCValues, choices: Choices, traces: Sequence[Trace]) -> _Bounds:
    bits = weight_bits(choices, profile)
    highest = 254 - 254 % (2 << (8 - bits))
    seen = max((trace.arguments[-1] for trace in traces), default=0.0)
    straight = values.dialect == "keras" and values.mode != "pure"  # f1 and f2 enter as they are, not through tanh
    reach = ARGUMENT_BOUND
    if straight and not seen <= MOST_STATE:
        raise ValueError(
            f"states must stay below {MOST_STATE:g} over the calibration to run in integers, but reach {seen:.3g}, because heads of the "
            "Keras dialect have no tanh that would hold them; train it further, or with dialect torch"
        )
    if straight and seen:
        reach = 2.0 ** max(integer_bits(STATE_MARGIN * seen), 0)
    if values.mode == "pure":
        reach = 2.0 ** integer_bits(max(ARGUMENT_BOUND, 1.25 * seen))
        bound = max(_pure_bound(layer, choices, reach) for layer in values.layers)
    else:
        bound = (2.0 if values.mode == "no_gate" else 1.0) * (reach if straight else 1.0)
    own = bound if values.lstm is None else 1.0
    return _Bounds(bound, own, reach, highest, 2.0 ** (sum_bits(profile) - 1) - 1, bits)


def _pure_bound(layer: CfCLayer, choices: Choices, reach: float) -> float:
    """|h| of mode pure: |A| (1 + exp(-dt |w_tau|) max u exp(-dt u)), where u exp(-dt u) is largest at u = 1 / dt or at the table's end."""
    assert layer.A is not None
    assert layer.w_tau is not None
    span = choices.shortest if choices.irregular else choices.timespan
    top = min(1.0 / span, reach) if choices.irregular else 1.0 / span
    return float((np.abs(layer.A) * (1.0 + np.exp(-span * np.abs(layer.w_tau)) * top * np.exp(-span * top))).max())


def _state_format(bound: float, values: CfCValues, choices: Choices, reach: float) -> QFormat:
    bits = choices.bits.get("state", 16)
    if not 6 <= bits <= 16:
        raise ValueError(f'bits["state"] must be 6 to 16 for a CfC, but is {bits}')
    if values.mode == "pure":
        return QFormat(bits, bits - 1 - integer_bits(1.02 * bound))
    if values.dialect == "keras":
        return QFormat(bits, min(bits - 1 - integer_bits(bound), 15 - integer_bits(reach)))
    return QFormat(bits, min(bits - 2, VALUE_FRACTION))


def _check_elapsed(choices: Choices) -> None:
    """ValueError where timespans have too few fraction bits beside the 12 of the tables' arguments."""
    most = 2.0 ** (ELAPSED_BITS - 1)
    if elapsed_format(choices.timespan, ELAPSED_BITS).fraction_bits < 0:
        raise ValueError(
            f"timespans must be below {most:g} model units to run in integers, but the longest is {choices.timespan:g}; "
            "choose a longer model unit (time_unit_s)"
        )


def _message_fraction(
    values: CfCValues, profile: HardwareProfile, choices: Choices, bounds: _Bounds, state: QFormat, traces: Sequence[Trace]
) -> tuple[int, str]:
    """The fraction bits of inputs and states, and why: no running sum of the first maps can leave its word, whatever is heard."""
    most = min(MOST_MESSAGE_FRACTION, state.fraction_bits)
    for weight, _ in memory_maps(values.lstm).values() if values.lstm is not None else ():
        most = min(most, int(np.floor(most_fraction(weight, _memory_ranges(values, choices, bounds), bounds.highest, bounds.room))))
    found = []
    for layer, trace in zip(values.layers, traces):
        heard = Heard(_ranges(layer, choices, bounds), trace.covariances[0], bounds.room)
        maps = [layer.backbone[0]] if layer.backbone else list(_heads(values, layer, choices).values())
        found += [(weight, heard) for weight, _ in maps]
    best, finest = best_fraction(found, max(most, 0), bounds.bits) if most >= 0 else (-1, -1)
    if finest < FEWEST_MESSAGE_FRACTION:
        raise ValueError(
            f"{sum_bits(profile)}-bit sums must hold messages of at least {FEWEST_MESSAGE_FRACTION} fraction bits, but for inputs up to "
            f"{choices.input_bound:.4g} and states up to {bounds.state:.4g} hold {max(finest, 0)}; reduce the ranges or the fan-in"
        )
    best = max(best, FEWEST_MESSAGE_FRACTION)
    whole = max(integer_bits(bounds.state), 0) + 2
    asked = choices.bits.get("message", best + whole) - whole
    if not FEWEST_MESSAGE_FRACTION <= asked <= finest:
        raise ValueError(
            f'messages must have {FEWEST_MESSAGE_FRACTION} to {finest} fraction bits (bits["message"] {FEWEST_MESSAGE_FRACTION + whole} to '
            f"{finest + whole}) for {sum_bits(profile)}-bit sums to hold any input in range, but have {asked}; reduce the range of the "
            "inputs, the fan-in or the bits"
        )
    reasons = {MOST_MESSAGE_FRACTION: "more are not needed", state.fraction_bits: "as many as the state has"}
    coarser = f"more would take bits of the weights, so that {sum_bits(profile)}-bit sums hold any input in range"
    return asked, "asked for" if "message" in choices.bits else reasons.get(best, coarser)


def _heads(values: CfCValues, layer: CfCLayer, choices: Choices) -> dict[str, Any]:
    return heads_by_port(layer, None if choices.irregular else choices.timespan, values.dialect == "keras")


def _ranges(layer: CfCLayer, choices: Choices, bounds: _Bounds) -> FloatArray:
    """The largest |message| per column of what a layer hears."""
    below = choices.input_bound if layer.inputs_from < 0 else bounds.state
    return np.concatenate([np.full(layer.inputs, below), np.full(layer.units, bounds.own)])


def _memory_ranges(values: CfCValues, choices: Choices, bounds: _Bounds) -> FloatArray:
    """The largest |message| per column of what the memory hears."""
    return np.concatenate([np.full(values.inputs, choices.input_bound), np.full(values.units, bounds.state)])


def _layer(
    values: CfCValues, layer: CfCLayer, trace: Trace, choices: Choices, message_fraction: int, state: QFormat, bounds: _Bounds
) -> LayerFormats:
    dense, words, messages, highest, room = [], [], [], bounds.highest, bounds.room
    ranges, heard = _ranges(layer, choices, bounds), message_fraction
    heads = _heads(values, layer, choices)
    for depth, (weight, _) in enumerate(layer.backbone):
        argument_bound = _argument_bound(values.activation, trace, depth)
        shared = dense_map(weight, argument_bound, heard, highest)
        dense.append(per_unit(weight, shared, Heard(ranges + 2.0**-heard, trace.covariances[depth], room * 2.0**-heard), bounds.bits))
        value_bound, whole = _value_bound(values.activation, 2.0 ** (15 - shared.fraction), trace, depth)
        words.append(QFormat(16, 15 - whole))
        following = [layer.backbone[depth + 1][0]] if depth + 1 < len(layer.backbone) else [weight for weight, _ in heads.values()]
        ranges = np.full(len(weight), value_bound)
        hears = Heard(ranges, trace.covariances[depth + 1], room)
        heard, _ = best_fraction([(one, hears) for one in following], max(min(MOST_MESSAGE_FRACTION, 15 - whole), 0), bounds.bits)
        if heard < 1:
            raise ValueError(f"backbone layer {depth + 1} hears too much for {int(np.log2(room)) + 2}-bit sums; use fewer units")
        # A word that calibration alone bounds may reach its end, which rounds to a message of one bit more.
        messages.append(QFormat(whole + 1 + heard + (value_bound == 2.0**whole), heard))
    formats = {}
    for port, (weight, bias) in heads.items():
        reach = bounds.reach if port in ("first", "second") else ARGUMENT_BOUND
        if values.mode == "pure":
            reach = _argument_bound("", trace, len(layer.backbone))
        if port == "slope":
            reach = _slope_bound(weight, bias, ranges + 2.0**-heard, choices.shortest)
        straight = values.dialect == "keras" and values.mode != "pure" and port in ("first", "second")
        formats[port] = dense_map(weight, reach, heard, highest, 0 if straight else 3)
    hears = Heard(ranges + 2.0**-heard, trace.covariances[-1], room * 2.0**-heard)
    formats = {port: per_unit(heads[port][0], shared, hears, bounds.bits) for port, shared in formats.items()}
    gain, decay = _pure_fractions(layer, choices, formats["first"], state) if values.mode == "pure" else (0, 0)
    return LayerFormats(tuple(dense), tuple(words), tuple(messages), formats, trace.means, gain, decay)


def _slope_bound(weight: FloatArray, bias: FloatArray, ranges: FloatArray, shortest: float) -> float:
    """|slope| beyond which nothing need be told apart: no argument is larger, or the gate has settled within the shortest timespan."""
    return min(1.02 * float((np.abs(weight) @ ranges + np.abs(bias)).max()), SETTLED_GATE / shortest)


def _value_bound(activation: str, reach: float, trace: Trace, depth: int) -> tuple[float, int]:
    """(the largest |word| of a backbone layer, its whole bits), for arguments within `reach`.

    Activations without a bound of their own get what calibration saw and a margin: finer messages; beyond it words saturate, counted.
    """
    margin = VALUE_MARGIN * trace.arguments[depth]
    bounded = activation in ("tanh", "lecun_tanh") or not trace.seen or margin >= reach
    reach = reach if bounded else margin
    largest = float(np.abs(ACTIVATIONS[activation](np.linspace(-reach, reach, 1025))).max())
    whole = max(integer_bits(1.001 * largest), 0) if largest else 0
    return (largest if bounded else 2.0**whole), whole


def _argument_bound(activation: str, trace: Trace, depth: int) -> float:
    """Half the width of a table: ±8, more where calibration goes further and the function does not level off."""
    if activation in ("tanh", "lecun_tanh") or not trace.seen:
        return ARGUMENT_BOUND
    return max(ARGUMENT_BOUND, 1.25 * trace.arguments[depth])


def _pure_fractions(layer: CfCLayer, choices: Choices, first: DenseFormats, state: QFormat) -> tuple[int, int]:
    """Fraction bits of B and of the table p; in irregular time of A and of the table exp."""
    assert layer.A is not None
    assert layer.w_tau is not None
    timespan, reach = choices.timespan, 2.0 ** (15 - first.fraction)
    top = min(1.0 / timespan, reach)
    decay = VALUE_FRACTION if choices.irregular else 14 - max(integer_bits(top * np.exp(-timespan * top)), -8)
    factor = first.fraction if choices.irregular else decay
    amplitude = np.abs(layer.A) * (1.0 if choices.irregular else np.exp(-timespan * np.abs(layer.w_tau)))
    gain = 14 - integer_bits(float(amplitude.max()) or 1.0)
    return max(min(gain, 31 + state.fraction_bits - factor), state.fraction_bits - factor), decay


def _losses(network: LiquidNetwork, values: CfCValues, formats: CfCFormats) -> dict[str, Any]:
    """What the integers lose: weights that round to nothing, by dense map."""
    integers = integer_parameters(values, formats)
    pairs: dict[str, tuple[FloatArray, Any]] = {}
    for number, (layer, integer) in enumerate(zip(values.layers, integers.layers)):
        name = "" if network.wiring is None else f"layer_{number}."
        pairs |= {f"{name}backbone_{d}": (layer.backbone[d][0], integer.backbone[d][0]) for d in range(len(layer.backbone))}
        pairs |= {name + port: (weight, integer.heads[port][0]) for port, (weight, _) in head_maps(layer, formats).items()}
    maps: Mapping[str, Any] = {} if values.lstm is None else memory_maps(values.lstm)
    pairs |= {f"memory.{gate}": (weight, integers.memory[gate][0]) for gate, (weight, _) in maps.items()}
    lost = {what: int(((real != 0) & (integer == 0)).sum()) for what, (real, integer) in pairs.items()}
    known = any(mean.any() for layer in formats.layers for mean in layer.means)
    return {
        "lost_weights": {what: count for what, count in lost.items() if count},
        "rounding": "errors of weights taken back on average in the biases"
        if known
        else "errors of weights not taken back: no calibration",
    }
