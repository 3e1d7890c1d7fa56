"""The populations and projections of a CfC in integers (cfc_integer.py says what they compute)."""

from __future__ import annotations

import numpy as np

from liquid_neuro.cells.cfc import effective
from liquid_neuro.cells.cfc_integer import (
    BACKBONE,
    BY_MODE,
    CfCFormats,
    LayerFormats,
    LayerIntegers,
    activation_table,
    direct_sample,
    integer_parameters,
    rest,
    tables,
    unit_tables,
)
from liquid_neuro.cells.integer import constant
from liquid_neuro.network import LiquidNetwork
from liquid_neuro.quantized_network import IntArray, Population, Projection


def build_integer(network: LiquidNetwork, formats: CfCFormats) -> tuple[tuple[Population, ...], tuple[Projection, ...]]:
    """Populations and projections of a CfC: "input", then "backbone_0", … and "unit", or "layer_0", … with a wiring.

    Layer l's first turn is tick l + 1, when the first sample reaches it; a loop of n hops takes its turns n ticks apart. Weights that round
    to 0 are not stored.
    """
    channels = network.interface.channels or tuple(f"input_{number}" for number in range(network.inputs))
    period = formats.ticks_per_sample
    below = Population(
        "input", "", network.inputs, {}, {}, formats.input, 0, formats.input.bits, formats.input_threshold, 0, period, channels
    )
    populations, projections, start = [below], [], 0
    for number, layer in enumerate(integer_parameters(effective(network), formats)):
        layer, how = layer.as_int64(), formats.layers[number]
        size = len(layer.heads["first"][1])
        name = "unit" if network.wiring is None else f"layer_{number}"
        units = _units(name, number + len(how.backbone), layer, formats, how, network.labels[start : start + size])
        sources = [below, units]
        for depth, (weight, bias) in enumerate(layer.backbone):
            hidden = _hidden(depth, bias, formats, how)
            populations.append(hidden)
            projections += _dense(sources, hidden, "drive", weight, formats.weight_bits)
            sources = [hidden]
        for port, (weight, _) in layer.heads.items():
            projections += _dense(sources, units, port, weight, formats.weight_bits)
        populations.append(units)
        below, start = units, start + size
    return tuple(populations), tuple(projections)


def _units(name: str, hops: int, layer: LayerIntegers, formats: CfCFormats, how: LayerFormats, labels: tuple[str, ...]) -> Population:
    size = len(layer.heads["first"][1])
    parameters = {}
    for part in ("bias", "multiplier", "shift"):
        for port, dense in how.heads.items():
            parameters[f"{port}_{part}"] = layer.heads[port][1] if part == "bias" else constant(getattr(dense, part), size)
    if formats.mode == "pure":
        shift = how.gain_fraction + how.decay_fraction - formats.state.fraction_bits
        parameters |= {"gain": layer.gain, "gain_shift": constant(shift, size), "offset": layer.offset}
    else:
        parameters["state_shift"] = constant(formats.state_shift, size)
    return Population(
        name=name,
        program=BY_MODE[formats.mode].name,
        size=size,
        parameters=parameters,
        tables=unit_tables(formats, how),
        state=formats.state,
        message_shift=formats.message_shift,
        message_bits=formats.message.bits,
        threshold=formats.neuron_threshold,
        first_tick=hops + 1,
        period=formats.ticks_per_sample,
        labels=labels,
    )


def _hidden(depth: int, bias: IntArray, formats: CfCFormats, how: LayerFormats) -> Population:
    size, dense, word, message = len(bias), how.backbone[depth], how.backbone_words[depth], how.backbone_messages[depth]
    return Population(
        name=f"backbone_{depth}",
        program=BACKBONE.name,
        size=size,
        parameters={"bias": bias, "multiplier": constant(dense.multiplier, size), "shift": constant(dense.shift, size)},
        tables={"activation": activation_table(formats, how, depth)},
        state=word,
        message_shift=word.fraction_bits - message.fraction_bits,
        message_bits=message.bits,
        threshold=formats.backbone_threshold,
        first_tick=depth + 1,
        period=formats.ticks_per_sample,
        labels=tuple(f"backbone_{depth}:{number}" for number in range(size)),
    )


def _dense(sources: list[Population], target: Population, port: str, weight: IntArray, weight_bits: int) -> list[Projection]:
    """One projection per source; the columns of `weight` (target, source) are the sources' compartments, one source after the other."""
    projections, start = [], 0
    for source in sources:
        columns = weight[:, start : start + source.size].T
        start += source.size
        pre, post = np.nonzero(columns)
        if len(pre):
            projections.append(Projection(source.name, target.name, port, pre, post, columns[pre, post], "mixed", weight_bits))
    return projections


def direct_states(network: LiquidNetwork, formats: CfCFormats, words: IntArray) -> IntArray:
    """State words (batch, time, units) of input words (batch, time, inputs), each window from rest, by the direct form."""
    integers = tuple(layer.as_int64() for layer in integer_parameters(effective(network), formats))
    now, constants, states = rest(integers, network.inputs, (len(words),)), tables(formats), []
    for k in range(words.shape[1]):
        now = direct_sample(now, words[:, k], integers, formats, constants)
        states.append(np.concatenate(now.state, axis=-1))
    return np.stack(states, axis=1) if states else np.zeros((*words.shape[:2], network.units), dtype=np.int64)
