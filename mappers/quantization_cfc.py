"""Formats of a CfC in integers: message bits from what the running sums can hold, scales from the weights, means from calibration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hardware_profiles import HardwareProfile
from hardware_profiles.fixed_point import QFormat
from liquid_neuro.cells.cfc import CfCLayer, CfCValues, effective
from liquid_neuro.cells.cfc_build import build_integer
from liquid_neuro.cells.cfc_integer import VALUE_FRACTION, CfCFormats, DenseFormats, LayerFormats, folded_heads, integer_parameters
from liquid_neuro.cells.functions import ACTIVATIONS, sigmoid
from liquid_neuro.cells.integer import ratio_at_least
from liquid_neuro.network import ClosedForm, FloatArray, LiquidNetwork
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers.quantization import Choices, integer_bits, sum_bits, weight_bits
from mappers.weight_scales import Heard, per_unit

MOST_MESSAGE_FRACTION, FEWEST_MESSAGE_FRACTION = 10, 4
VALUE_MARGIN = 1.25  # of a backbone word above what calibration saw, where the activation has no bound of its own
ARGUMENT_BOUND = 8.0  # tables reach from -8 to 8 where arguments stay within, and further in powers of two where they do not


@dataclass(frozen=True, eq=False)
class Trace:
    """What a layer saw in calibration: means and covariances of what each dense map hears, largest |argument| of each layer and of ff1."""

    means: tuple[FloatArray, ...]
    covariances: tuple[FloatArray, ...]
    arguments: tuple[float, ...]
    seen: bool


def quantize_cfc(
    network: LiquidNetwork, profile: HardwareProfile, choices: Choices, formats: Any, ticks_per_sample: int | None
) -> QuantizedNetwork:
    """See `quantize`."""
    values = effective(network)
    if values.dialect == "keras":
        raise ValueError(
            "settings.dialect must be torch to run in integers, but is keras, whose heads have no tanh and thus no bound; retrain it"
        )
    notes: dict[str, Any] = {}
    if formats is None:
        formats, notes = _choose(network, profile, values, choices)
    elif not isinstance(formats, CfCFormats) or len(formats.layers) != len(values.layers) or formats.mode != values.mode:
        raise ValueError("formats must come from a CfC with these layers and this mode, but do not; quantise without formats")
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
    return replace(
        formats,
        input_threshold=sent.get("input", formats.input_threshold),
        neuron_threshold=sent.get("neuron", formats.neuron_threshold),
        backbone_threshold=sent.get("backbone", formats.backbone_threshold),
    )


# --- what the float network does --------------------------------------------------------------------------------------------------------


def _traces(values: CfCValues, choices: Choices) -> list[Trace]:
    """Per layer what calibration shows; zeros and no knowledge without it."""
    sizes = [[layer.inputs + layer.units, *(len(bias) for _, bias in layer.backbone)] for layer in values.layers]
    sums = [[np.zeros((size + 1, size)) for size in layer] for layer in sizes]  # of z z', and in the last row of z
    largest = [np.zeros(len(layer)) for layer in sizes]
    steps = 0
    by_length: dict[int, list[FloatArray]] = {}
    for window in choices.windows:
        by_length.setdefault(len(window), []).append(window)
    for windows in by_length.values():
        x = np.stack(windows)
        states = [np.zeros((len(x), layer.units)) for layer in values.layers]
        for k in range(x.shape[1]):
            below = x[:, k]
            for number, layer in enumerate(values.layers):
                z = np.concatenate([below, states[number]], axis=1)
                below = states[number] = _step(values, layer, z, choices.timespan, sums[number], largest[number])
        steps += x.shape[0] * x.shape[1]
    traces = []
    for layer_sums, bounds in zip(sums, largest):
        moments = [total / max(steps, 1) for total in layer_sums]
        means = tuple(moment[-1] for moment in moments)
        covariances = tuple(moment[:-1] - np.outer(mean, mean) for moment, mean in zip(moments, means))
        traces.append(Trace(means, covariances, tuple(bounds.tolist()), steps > 0))
    return traces


def _note(total: FloatArray, z: FloatArray) -> None:
    """Adds what was heard, z (rows, columns), to its sums."""
    total[:-1] += z.T @ z
    total[-1] += z.sum(axis=0)


def _step(values: CfCValues, layer: CfCLayer, z: FloatArray, timespan: float, sums: list[FloatArray], largest: FloatArray) -> FloatArray:
    """The layer's new state, with what its dense maps heard added to `sums` and their arguments' magnitudes noted in `largest`."""
    for depth, (weight, bias) in enumerate(layer.backbone):
        _note(sums[depth], z)
        argument = z @ weight.T + bias
        largest[depth] = max(largest[depth], float(np.abs(argument).max()))
        z = ACTIVATIONS[values.activation](argument)
    _note(sums[-1], z)
    first, *rest = (z @ weight.T + bias for weight, bias in folded_heads(layer, timespan).values())
    largest[-1] = max(largest[-1], float(np.abs(first).max()))
    if layer.w_tau is not None and layer.A is not None:
        return np.asarray(layer.A - layer.A * np.exp(-timespan * (np.abs(layer.w_tau) + np.abs(first))) * first)
    start, goal, gate = np.tanh(first), np.tanh(rest[0]), sigmoid(rest[1])
    return np.asarray(start + gate * (goal if values.mode == "no_gate" else goal - start))


# --- choosing ---------------------------------------------------------------------------------------------------------------------------


def _choose(network: LiquidNetwork, profile: HardwareProfile, values: CfCValues, choices: Choices) -> tuple[CfCFormats, dict[str, Any]]:
    bits, traces = weight_bits(choices, profile), _traces(values, choices)
    step = 2 << (8 - bits)
    highest = 254 - 254 % step
    pure = [_pure_bound(layer, choices.timespan) for layer in values.layers] if values.mode == "pure" else []
    bound = max(pure) if pure else (2.0 if values.mode == "no_gate" else 1.0)
    state = _state_format(bound, values.mode, choices)
    message_fraction, reason = _message_fraction(values, profile, choices, highest, bound, state)
    layers = tuple(
        _layer(values, layer, trace, choices, profile, bits, message_fraction, state, bound) for layer, trace in zip(values.layers, traces)
    )
    formats = CfCFormats(
        weight_bits=bits,
        mode=values.mode,
        activation=values.activation,
        input=QFormat(max(integer_bits(choices.input_bound) + 1 + message_fraction, 2), message_fraction),
        state=state,
        message=QFormat(max(integer_bits(bound), 0) + 2 + message_fraction, message_fraction),
        layers=layers,
        timespan=choices.timespan,
        input_threshold=choices.thresholds.get("input", 1),
        neuron_threshold=choices.thresholds.get("neuron", 1),
        backbone_threshold=choices.thresholds.get("backbone", 1),
        accumulator_bits=sum_bits(profile),
        input_bound=choices.input_bound,
    )
    return formats, {
        "weights": f"{bits} bits, one scale per " + ("unit and head" if values.layers[0].backbone else "head and layer"),
        "messages": f"{message_fraction} fraction bits: {reason}",
        "state": f"{state}: |h| <= {bound:.4g}",
        "inputs": f"{formats.input}: up to {choices.input_bound:.4g} ({choices.input_bound_from})",
        "timespan": f"{choices.timespan:g} model units per sample, folded into the time head",
    }


def _pure_bound(layer: CfCLayer, timespan: float) -> float:
    """|h| of mode pure: |A| (1 + exp(-dt |w_tau|) / (e dt)), because u exp(-dt u) is largest at u = 1 / dt."""
    assert layer.A is not None
    assert layer.w_tau is not None
    return float((np.abs(layer.A) * (1.0 + np.exp(-timespan * np.abs(layer.w_tau)) / (np.e * timespan))).max())


def _state_format(bound: float, mode: str, choices: Choices) -> QFormat:
    bits = choices.bits.get("state", 16)
    if not 6 <= bits <= 16:
        raise ValueError(f'bits["state"] must be 6 to 16 for a CfC, but is {bits}')
    whole = 1 if mode != "pure" else integer_bits(1.02 * bound)
    return QFormat(bits, min(bits - 1 - whole, VALUE_FRACTION) if mode != "pure" else bits - 1 - whole)


def _message_fraction(
    values: CfCValues, profile: HardwareProfile, choices: Choices, highest: int, bound: float, state: QFormat
) -> tuple[int, str]:
    """The most fraction bits of inputs and states with which no running sum of the first maps can leave its word, whatever is heard."""
    room = 2.0 ** (sum_bits(profile) - 1) - 1
    most, where = float(MOST_MESSAGE_FRACTION), "more are not needed"
    for layer in values.layers:
        ranges = np.full(layer.inputs + layer.units, bound)
        if layer.inputs_from < 0:
            ranges[: layer.inputs] = choices.input_bound
        maps = [layer.backbone[0]] if layer.backbone else list(folded_heads(layer, choices.timespan).values())
        for weight, _ in maps:
            largest = _largest_sum(weight, ranges, highest)
            if largest and np.log2(room / largest) < most:
                most, where = (
                    float(np.floor(np.log2(room / largest))),
                    f"what {sum_bits(profile)}-bit sums hold for any input in range",
                )
    fraction = int(min(most, state.fraction_bits))
    whole = max(integer_bits(bound), 0) + 2
    asked = choices.bits.get("message", fraction + whole) - whole
    if not FEWEST_MESSAGE_FRACTION <= asked <= fraction:
        raise ValueError(
            f"messages must have {FEWEST_MESSAGE_FRACTION} to {fraction} fraction bits ({where}), but have {asked}; "
            "reduce the range of the inputs, the fan-in or the bits"
        )
    return asked, where


def _largest_sum(weight: FloatArray, ranges: FloatArray, highest: int) -> float:
    """The largest |running sum| of integer weights (rounding adds 1 at most) and messages of these ranges, per unit of message."""
    scale = float(np.abs(weight).max(initial=0.0)) / highest
    return float(((np.abs(weight) / scale + (weight != 0)) @ ranges).max(initial=0.0)) if scale else 0.0


def _dense(weight: FloatArray, argument_bound: float, message_fraction: int, highest: int) -> DenseFormats:
    """The smallest scale that holds the weights and whose argument is an exact multiple of the sum."""
    fraction = 15 - max(integer_bits(max(argument_bound, 2.0**-9)), 3)
    needed = float(np.abs(weight).max(initial=0.0)) / highest or 1e-3
    multiplier, shift = ratio_at_least(needed * 2.0 ** (fraction - message_fraction))
    if multiplier > 255 or shift > 31:
        raise ValueError(
            f"weights must have a magnitude between 1e-4 and 1e4 to run in integers, but the largest is {needed * highest:.4g}"
        )
    return DenseFormats(multiplier, shift, fraction, message_fraction)


def _layer(
    values: CfCValues,
    layer: CfCLayer,
    trace: Trace,
    choices: Choices,
    profile: HardwareProfile,
    bits: int,
    message_fraction: int,
    state: QFormat,
    bound: float,
) -> LayerFormats:
    dense, words, messages, highest = [], [], [], 254 - 254 % (2 << (8 - bits))
    ranges = np.concatenate([np.full(layer.inputs, choices.input_bound), np.full(layer.units, bound)])
    heard, room = message_fraction, 2.0 ** (sum_bits(profile) - 1) - 1
    heads = folded_heads(layer, choices.timespan)
    for depth, (weight, _) in enumerate(layer.backbone):
        argument_bound = _argument_bound(values.activation, trace, depth)
        shared = _dense(weight, argument_bound, heard, highest)
        dense.append(per_unit(weight, shared, Heard(ranges, trace.covariances[depth], room * 2.0**-heard), bits))
        value_bound, whole = _value_bound(values.activation, 2.0 ** (15 - shared.fraction), trace, depth)
        words.append(QFormat(16, 15 - whole))
        following = [layer.backbone[depth + 1][0]] if depth + 1 < len(layer.backbone) else [weight for weight, _ in heads.values()]
        ranges = np.full(len(weight), value_bound)
        largest = max(_largest_sum(w, ranges, highest) for w in following)
        heard = int(min(MOST_MESSAGE_FRACTION, 15 - whole, np.floor(np.log2(room / largest)) if largest else 15))
        if heard < 1:
            raise ValueError(f"backbone layer {depth + 1} hears too much for {sum_bits(profile)}-bit sums; use fewer units")
        # A word that calibration alone bounds may reach its end, which rounds to a message of one bit more.
        messages.append(QFormat(whole + 1 + heard + (value_bound == 2.0**whole), heard))
    first_bound = _argument_bound("", trace, len(layer.backbone)) if values.mode == "pure" else ARGUMENT_BOUND
    formats = {
        port: _dense(weight, first_bound if port == "first" else ARGUMENT_BOUND, heard, highest) for port, (weight, _) in heads.items()
    }
    if layer.backbone:
        hears = Heard(ranges, trace.covariances[-1], room * 2.0**-heard)
        formats = {port: per_unit(heads[port][0], shared, hears, bits) for port, shared in formats.items()}
    gain, decay = _pure_fractions(layer, choices.timespan, formats["first"], state) if values.mode == "pure" else (0, 0)
    return LayerFormats(tuple(dense), tuple(words), tuple(messages), formats, trace.means, gain, decay)


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


def _pure_fractions(layer: CfCLayer, timespan: float, first: DenseFormats, state: QFormat) -> tuple[int, int]:
    """Fraction bits of B and of the table p."""
    assert layer.A is not None
    assert layer.w_tau is not None
    reach = 2.0 ** (15 - first.fraction)
    top = min(1.0 / timespan, reach)
    decay = 14 - max(integer_bits(top * np.exp(-timespan * top)), -8)
    amplitude = float((np.abs(layer.A) * np.exp(-timespan * np.abs(layer.w_tau))).max()) or 1.0
    gain = 14 - integer_bits(amplitude)
    return max(min(gain, 31 + state.fraction_bits - decay), state.fraction_bits - decay), decay


def _losses(network: LiquidNetwork, values: CfCValues, formats: CfCFormats) -> dict[str, Any]:
    """What the integers lose: weights that round to nothing, by dense map."""
    lost: dict[str, int] = {}
    for number, (layer, integers) in enumerate(zip(values.layers, integer_parameters(values, formats))):
        name = "" if network.wiring is None else f"layer_{number}."
        pairs = [(f"backbone_{d}", layer.backbone[d][0], integers.backbone[d][0]) for d in range(len(layer.backbone))]
        pairs += [(port, weight, integers.heads[port][0]) for port, (weight, _) in folded_heads(layer, formats.timespan).items()]
        for what, real, integer in pairs:
            count = int(((real != 0) & (integer == 0)).sum())
            if count:
                lost[name + what] = count
    known = any(mean.any() for layer in formats.layers for mean in layer.means)
    return {
        "lost_weights": lost,
        "rounding": "errors of weights taken back on average in the biases"
        if known
        else "errors of weights not taken back: no calibration",
    }
