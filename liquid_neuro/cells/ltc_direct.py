"""The direct form of an LTC in integers: sub-steps without ticks, equal to the tick form bit for bit as long as no accumulator saturates.

It carries the values last sent along, so that thresholds act as they do in ticks. Training runs this source in JAX.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware_profiles.fixed_point import left_shift, round_shift, saturate, select
from liquid_neuro.cells.integer import ARGUMENT_FRACTION, gather, join, predicted, scatter_sum, sent_after
from liquid_neuro.cells.lstm_direct import direct_memory
from liquid_neuro.cells.ltc import effective
from liquid_neuro.cells.ltc_formats import LTCFormats, LTCIntegers, integer_parameters, tables
from liquid_neuro.cells.ltc_integer import exact, exact_timed, gate, neuron, neuron_timed, relay
from liquid_neuro.network import LiquidNetwork
from liquid_neuro.quantized_network import IntArray


@dataclass(frozen=True)
class LTCState:
    """Where a run stands: words of the neurons, and what the targets of each population hold (the values last sent).

    memory: words of the memory, and what its targets and those of h~ hold; empty without mixed memory.
    """

    state: Any
    sent: Any
    gate_sent: Any
    input_sent: Any
    sensory_gate_sent: Any
    memory: tuple[Any, ...] = ()


def rest(integers: LTCIntegers, inputs: int, batch: tuple[int, ...] = ()) -> LTCState:
    """The state before the first sample: all zero."""
    units, synapses, sensory = (len(array) for array in (integers.leak, integers.gain, integers.sensory_gain))

    def zeros(*sizes: int) -> tuple[Any, ...]:
        return tuple(np.zeros((*batch, size), dtype=np.int64) for size in sizes)

    state, sent, gate_sent, input_sent, sensory_sent = zeros(units, units, synapses, inputs, sensory)
    return LTCState(state, sent, gate_sent, input_sent, sensory_sent, zeros(units, units, units) if integers.memory else ())


def direct_sample(
    now: LTCState,
    x: Any,
    elapsed: Any,
    wires: Any,
    integers: LTCIntegers,
    formats: LTCFormats,
    constants: Mapping[str, Any],
) -> LTCState:
    """One sample of input words x (…, inputs): the sensory gates once, then `unfolds` sub-steps of all neurons from the old states.

    elapsed: words (…, 1) of the sample's timespan where samples last differently long; else it is not looked at.
    wires: has source, target, sensory_source, sensory_target, gap_source, gap_target (int arrays): the effective values.
    constants: `tables`. With mixed memory the sub-steps begin at what the memory recalls.
    """
    input_sent = sent_after(x, now.input_sent, formats.input_threshold)
    gain_shift = formats.input.fraction_bits + formats.sensory_gain_fraction - ARGUMENT_FRACTION
    arrived = gather(input_sent, wires.sensory_source)
    sensory = gate(0, arrived, integers.sensory_gain, gain_shift, integers.sensory_offset, constants["sigmoid"])
    sensory_sent = sent_after(sensory, now.sensory_gate_sent, formats.gate_threshold)
    units = integers.leak.shape[-1]
    held = (
        scatter_sum(sensory_sent * integers.sensory_conductance, wires.sensory_target, units),
        scatter_sum(sensory_sent * integers.sensory_driven, wires.sensory_target, units),
        elapsed,
    )
    state, sent, gate_sent, memory = now.state, now.sent, now.gate_sent, now.memory
    if formats.memory is not None:
        state, sent, gate_sent, memory = direct_recall(now, input_sent, elapsed, wires, integers, formats, constants)
    for _ in range(formats.unfolds):
        state, sent, gate_sent = direct_sub_step(state, sent, gate_sent, held, wires, integers, formats, constants)
    return LTCState(state, sent, gate_sent, input_sent, sensory_sent, memory)


def direct_recall(
    now: LTCState,
    input_sent: Any,
    elapsed: Any,
    wires: Any,
    integers: LTCIntegers,
    formats: LTCFormats,
    constants: Mapping[str, Any],
) -> tuple[Any, Any, Any, tuple[Any, ...]]:
    """(state, sent, gate_sent, memory) as the sub-steps of a sample find them (ltc_recalled.py); input_sent: what its inputs sent."""
    assert formats.memory is not None
    state, sent = now.state, now.sent
    gate_sent = direct_gates(sent, now.gate_sent, wires, integers, formats, constants)
    if formats.exact:  # a turn of holding: messages run ahead of the states no more
        sent = direct_sent(state, state, sent, formats)
        gate_sent = direct_gates(sent, gate_sent, wires, integers, formats, constants)
    lasted = elapsed if formats.irregular else None
    own = {"tanh": constants["tanh"], "sigmoid": constants["memory_sigmoid"]}
    heard, threshold = join((input_sent, sent)), formats.memory_threshold
    memory = direct_memory(heard, now.memory, lasted, integers.memory, formats.memory, formats.shown_shift, threshold, own)
    begun = left_shift(memory[2], formats.recalled_shift)
    begun = saturate(select(elapsed > 0, begun, state) if formats.irregular else begun, formats.state.bits)
    sent = direct_sent(begun, state, sent, formats)
    if formats.exact:
        gate_sent = direct_gates(sent, gate_sent, wires, integers, formats, constants)
        sent = direct_sent(begun, begun, sent, formats)
    return begun, sent, gate_sent, memory


def direct_sub_step(
    state: Any,
    sent: Any,
    gate_sent: Any,
    held: tuple[Any, Any, Any],
    wires: Any,
    integers: LTCIntegers,
    formats: LTCFormats,
    constants: Mapping[str, Any],
) -> tuple[Any, Any, Any]:
    """(state, sent, gate_sent) one sub-step later. held: the sums of conductance and driven conductance that the inputs cause, elapsed."""
    gate_sent = direct_gates(sent, gate_sent, wires, integers, formats, constants)
    units = integers.leak.shape[-1]
    driven = held[1] + scatter_sum(gate_sent * integers.driven, wires.target, units)
    if integers.gap.shape[-1]:
        gain, shift = formats.relay_gain
        heard = relay(0, gather(sent, wires.gap_source), gain, shift)
        driven = driven + scatter_sum(heard * integers.gap, wires.gap_target, units)
    conductance = held[0] + scatter_sum(gate_sent * integers.conductance, wires.target, units)
    advanced = _advanced(state, conductance, driven, held[2], integers, formats, constants)
    after = saturate(advanced, formats.state.bits)
    return after, direct_sent(after, state, sent, formats), gate_sent


def direct_gates(sent: Any, gate_sent: Any, wires: Any, integers: LTCIntegers, formats: LTCFormats, constants: Mapping[str, Any]) -> Any:
    """What the targets of recurrent gates hold after a turn of the gates, for the neurons' messages `sent`."""
    gain_shift = formats.message.fraction_bits + formats.gain_fraction - ARGUMENT_FRACTION
    gates = gate(0, gather(sent, wires.source), integers.gain, gain_shift, integers.offset, constants["sigmoid"])
    return sent_after(gates, gate_sent, formats.gate_threshold)


def direct_sent(after: Any, before: Any, sent: Any, formats: LTCFormats) -> Any:
    """What the neurons' targets hold after a turn from the words `before` to `after`."""
    ahead = (
        predicted(after, before, formats.state.bits, formats.message_shift) if formats.exact else round_shift(after, formats.message_shift)
    )
    return sent_after(ahead, sent, formats.neuron_threshold)


def _advanced(
    state: Any,
    conductance: Any,
    driven: Any,
    elapsed: Any,
    integers: LTCIntegers,
    formats: LTCFormats,
    constants: Mapping[str, Any],
) -> Any:
    """What the neurons' program makes of their sums."""
    shared = (
        integers.leak, integers.driven_leak, formats.ratio, formats.ratio_shift, formats.fraction, formats.guard, constants["reciprocal"]
    )  # fmt: skip
    if formats.irregular:
        timed = (state, conductance, driven, elapsed, integers.capacitance, integers.exponent, *shared)
        return exact_timed(*timed, constants["exponential"]) if formats.exact else neuron_timed(*timed)
    regular = (state, conductance, driven, integers.capacitance, *shared)
    return exact(*regular, constants["exponential"]) if formats.exact else neuron(*regular)


def direct_states(network: LiquidNetwork, formats: LTCFormats, words: IntArray, elapsed: IntArray | None = None) -> IntArray:
    """State words (batch, time, units) of input words (batch, time, inputs), each window from rest, by the direct form.

    elapsed: words (batch, time) of the samples' timespans in formats.elapsed, where samples last differently long.
    """
    values = effective(network)
    integers, constants = integer_parameters(values, formats).as_int64(), tables(formats)
    spans = np.zeros(words.shape[:2], dtype=np.int64) if elapsed is None else elapsed
    now, states = rest(integers, network.inputs, (len(words),)), []
    for k in range(words.shape[1]):
        now = direct_sample(now, words[:, k], spans[:, k, None], values, integers, formats, constants)
        states.append(now.state)
    return np.stack(states, axis=1) if states else np.zeros((*words.shape[:2], network.units), dtype=np.int64)
