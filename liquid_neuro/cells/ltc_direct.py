"""The direct form of an LTC in integers: sub-steps without ticks, equal to the tick form bit for bit as long as no accumulator saturates.

It carries the values last sent along, so that thresholds act as they do in ticks. Training runs this source in JAX.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardware_profiles.fixed_point import round_shift, saturate
from liquid_neuro.cells.integer import ARGUMENT_FRACTION, gather, predicted, scatter_sum, sent_after
from liquid_neuro.cells.ltc import effective
from liquid_neuro.cells.ltc_formats import LTCFormats, LTCIntegers, integer_parameters, tables
from liquid_neuro.cells.ltc_integer import exact, exact_timed, gate, neuron, neuron_timed, relay
from liquid_neuro.network import LiquidNetwork
from liquid_neuro.quantized_network import IntArray


@dataclass(frozen=True)
class LTCState:
    """Where a run stands: words of the neurons, and what the targets of each population hold (the values last sent)."""

    state: Any
    sent: Any
    gate_sent: Any
    input_sent: Any
    sensory_gate_sent: Any


def rest(integers: LTCIntegers, inputs: int, batch: tuple[int, ...] = ()) -> LTCState:
    """The state before the first sample: all zero."""
    units, synapses, sensory = (len(array) for array in (integers.leak, integers.gain, integers.sensory_gain))
    return LTCState(*(np.zeros((*batch, size), dtype=np.int64) for size in (units, units, synapses, inputs, sensory)))


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
    constants: `tables`.
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
    state, sent, gate_sent = now.state, now.sent, now.gate_sent
    for _ in range(formats.unfolds):
        state, sent, gate_sent = direct_sub_step(state, sent, gate_sent, held, wires, integers, formats, constants)
    return LTCState(state, sent, gate_sent, input_sent, sensory_sent)


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
    gain_shift = formats.message.fraction_bits + formats.gain_fraction - ARGUMENT_FRACTION
    gates = gate(0, gather(sent, wires.source), integers.gain, gain_shift, integers.offset, constants["sigmoid"])
    gate_sent = sent_after(gates, gate_sent, formats.gate_threshold)
    units = integers.leak.shape[-1]
    driven = held[1] + scatter_sum(gate_sent * integers.driven, wires.target, units)
    if integers.gap.shape[-1]:
        gain, shift = formats.relay_gain
        heard = relay(0, gather(sent, wires.gap_source), gain, shift)
        driven = driven + scatter_sum(heard * integers.gap, wires.gap_target, units)
    conductance = held[0] + scatter_sum(gate_sent * integers.conductance, wires.target, units)
    advanced = _advanced(state, conductance, driven, held[2], integers, formats, constants)
    after = saturate(advanced, formats.state.bits)
    ahead = (
        predicted(after, state, formats.state.bits, formats.message_shift) if formats.exact else round_shift(after, formats.message_shift)
    )
    return after, sent_after(ahead, sent, formats.neuron_threshold), gate_sent


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
