"""The direct form of a CfC in integers: samples without ticks, equal to the tick form bit for bit as long as no accumulator saturates.

It carries the values last sent along, so that thresholds act as they do in ticks. Training runs this source in JAX.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware_profiles.fixed_point import round_shift, saturate
from liquid_neuro.cells.cfc import effective
from liquid_neuro.cells.cfc_formats import CfCFormats, CfCIntegers, LayerFormats, LayerIntegers, integer_parameters, tables
from liquid_neuro.cells.cfc_integer import backbone, unit, unit_no_gate, unit_no_gate_timed, unit_pure, unit_pure_timed, unit_timed
from liquid_neuro.cells.integer import join, sent_after, weighted_sum
from liquid_neuro.cells.lstm_direct import direct_memory
from liquid_neuro.network import LiquidNetwork
from liquid_neuro.quantized_network import IntArray


@dataclass(frozen=True)
class CfCState:
    """Where a run stands, per layer: words of the units, and what the targets of units, backbone layers and inputs hold.

    memory: words of the memory, and what its targets and those of h~ hold; empty without mixed memory.
    """

    state: tuple[Any, ...]
    sent: tuple[Any, ...]
    backbone_sent: tuple[tuple[Any, ...], ...]
    input_sent: Any
    memory: tuple[Any, ...]


def rest(integers: CfCIntegers, inputs: int, batch: tuple[int, ...] = ()) -> CfCState:
    """The state before the first sample: all zero."""

    def zero(size: int) -> Any:
        return np.zeros((*batch, size), dtype=np.int64)

    units = tuple(zero(len(layer.heads["first"][1])) for layer in integers.layers)
    hidden = tuple(tuple(zero(len(bias)) for _, bias in layer.backbone) for layer in integers.layers)
    memory = tuple(zero(len(integers.memory["value"][1])) for _ in range(3)) if integers.memory else ()
    return CfCState(units, units, hidden, zero(inputs), memory)


def direct_sample(
    now: CfCState, x: Any, elapsed: Any, integers: CfCIntegers, formats: CfCFormats, constants: tuple[Mapping[str, Any], ...]
) -> CfCState:
    """One sample of input words x (…, inputs) through all layers, each hearing what the one before has just sent. constants: `tables`.

    elapsed: words (…, 1) of the sample's timespan where samples last differently long; else it is not looked at.
    Bit for bit what the tick form computes, thresholds included, as long as no accumulator saturates.
    """
    below = input_sent = sent_after(x, now.input_sent, formats.input_threshold)
    memory, own = now.memory, now.sent
    if formats.memory is not None:
        lasted = elapsed if formats.irregular else None
        shift, threshold = formats.output_message_shift, formats.memory_threshold
        heard = join((input_sent, *now.sent))
        memory = direct_memory(heard, now.memory, lasted, integers.memory, formats.memory, shift, threshold, constants[-1])
        own, start = (), 0
        for part in now.sent:
            own = (*own, memory[2][..., start : start + part.shape[-1]])
            start += part.shape[-1]
    states, sent, hidden = [], [], []
    for number, layer in enumerate(integers.layers):
        how = formats.layers[number]
        heard, layer_hidden = direct_backbone(join((below, own[number])), now.backbone_sent[number], layer, formats, how, constants[number])
        new = direct_unit(now.state[number], heard, elapsed, layer, formats, how, constants[number])
        state = saturate(new, formats.state.bits)
        below = sent_after(round_shift(state, formats.message_shift), now.sent[number], formats.neuron_threshold)
        states.append(state)
        sent.append(below)
        hidden.append(layer_hidden)
    return CfCState(tuple(states), tuple(sent), tuple(hidden), input_sent, memory)


def direct_backbone(
    heard: Any, sent: tuple[Any, ...], layer: LayerIntegers, formats: CfCFormats, how: LayerFormats, constants: Mapping[str, Any]
) -> tuple[Any, tuple[Any, ...]]:
    """(what the heads hear, what each backbone layer has sent) for the messages `heard` (…, columns)."""
    held = []
    for depth, (weight, bias) in enumerate(layer.backbone):
        dense, word = how.backbone[depth], how.backbone_words[depth]
        value = backbone(0, weighted_sum(heard, weight), bias, dense.multiplier, dense.shift, constants[f"activation_{depth}"])
        message = round_shift(saturate(value, word.bits), word.fraction_bits - how.backbone_messages[depth].fraction_bits)
        heard = sent_after(message, sent[depth], formats.backbone_threshold)
        held.append(heard)
    return heard, tuple(held)


def direct_unit(
    state: Any, heard: Any, elapsed: Any, layer: LayerIntegers, formats: CfCFormats, how: LayerFormats, constants: Mapping[str, Any]
) -> Any:
    """The units' new words, not yet saturated, for the messages that the heads hear (…, columns)."""
    sums = [weighted_sum(heard, layer.heads[name][0]) for name in how.heads]
    biases = [layer.heads[name][1] for name in how.heads]
    multipliers, shifts = [dense.multiplier for dense in how.heads.values()], [dense.shift for dense in how.heads.values()]
    if formats.mode == "pure":
        gain = (layer.gain, formats.gain_shift(how), layer.offset, constants["decay"])
        if formats.irregular:
            rate = (layer.tau, formats.elapsed_shift(how))
            return unit_pure_timed(state, sums[0], elapsed, biases[0], multipliers[0], shifts[0], *rate, *gain)
        return unit_pure(0, sums[0], biases[0], multipliers[0], shifts[0], *gain)
    known: tuple[Any, ...] = (formats.state_shift, constants["tanh"], constants["sigmoid"])
    affine: tuple[Any, ...] = (*biases, *multipliers, *shifts)
    if formats.irregular:
        arguments = (*sums, elapsed, *affine, formats.elapsed_shift(how), *known)
        return unit_no_gate_timed(state, *arguments) if formats.mode == "no_gate" else unit_timed(state, *arguments)
    return unit_no_gate(0, *sums, *affine, *known) if formats.mode == "no_gate" else unit(0, *sums, *affine, *known)


def direct_states(network: LiquidNetwork, formats: CfCFormats, words: IntArray, elapsed: IntArray | None = None) -> IntArray:
    """State words (batch, time, units) of input words (batch, time, inputs), each window from rest, by the direct form.

    elapsed: (batch, time) words of the timespans where samples last differently long.
    """
    integers = integer_parameters(effective(network), formats).as_int64()
    now, constants, states = rest(integers, network.inputs, (len(words),)), tables(formats), []
    for k in range(words.shape[1]):
        now = direct_sample(now, words[:, k], None if elapsed is None else elapsed[:, k, None], integers, formats, constants)
        states.append(np.concatenate(now.state, axis=-1))
    return np.stack(states, axis=1) if states else np.zeros((*words.shape[:2], network.units), dtype=np.int64)
