"""The populations and projections of an LTC in integers (ltc_integer.py says what they compute)."""

from __future__ import annotations

from typing import Any

import numpy as np

from hardware_profiles.fixed_point import QFormat
from liquid_neuro.cells.integer import ARGUMENT_FRACTION, constant, elapsed_population
from liquid_neuro.cells.ltc import LTCValues, effective
from liquid_neuro.cells.ltc_formats import LTCFormats, LTCIntegers, integer_parameters, tables
from liquid_neuro.cells.ltc_integer import EXACT, EXACT_TIMED, GATE, NEURON, NEURON_TIMED, RELAY
from liquid_neuro.network import LiquidNetwork
from liquid_neuro.quantized_network import IntArray, Population, Projection


def build_integer(network: LiquidNetwork, formats: LTCFormats) -> tuple[tuple[Population, ...], tuple[Projection, ...]]:
    """Populations and projections of an LTC: "input", "elapsed", "sensory_gate", "recurrent_gate", "gap_relay", "neuron".

    Neurons stand in the order of network.labels; populations that the network has no use for are left out. One gate per distinct (source,
    gain, offset) in integers, one relay per neuron with gap junctions. Synapses whose weights all round to 0 are not stored, gates and
    relays that then drive nothing neither.
    """
    values = effective(network)
    integers = integer_parameters(values, formats).as_int64()
    constants = tables(formats)
    inputs = network.interface.channels or tuple(f"input_{number}" for number in range(network.inputs))
    source = Population(
        "input",
        "",
        network.inputs,
        {},
        {},
        formats.input,
        0,
        formats.input.bits,
        formats.input_threshold,
        0,
        formats.ticks_per_sample,
        inputs,
    )
    neurons = _neurons(network, integers, formats, constants)
    sensory = (values.sensory_source, values.sensory_target, integers.sensory_gain, integers.sensory_offset)
    recurrent = (values.source, values.target, integers.gain, integers.offset)
    populations: list[Population] = [source]
    projections: list[Projection] = []
    if formats.irregular:
        populations.append(elapsed_population(formats.elapsed, formats.ticks_per_sample))
        zeros, units = np.zeros(network.units, dtype=np.int64), np.arange(network.units)
        projections.append(Projection("elapsed", "neuron", "elapsed", zeros, units, zeros + 1, "excitatory", 8))
    for name, pre, wires, weights, fractions in (
        (
            "sensory_gate",
            source,
            sensory,
            (integers.sensory_conductance, integers.sensory_driven),
            (formats.input, formats.sensory_gain_fraction),
        ),
        ("recurrent_gate", neurons, recurrent, (integers.conductance, integers.driven), (formats.message, formats.gain_fraction)),
    ):
        shift = fractions[0].fraction_bits + fractions[1] - ARGUMENT_FRACTION
        gates, synapses = _gates(name, pre, wires, weights, shift, formats, constants["sigmoid"])
        if gates.size:
            populations.append(gates)
            projections += synapses
    if integers.gap.any():
        relays, synapses = _relays(neurons, values, integers.gap, formats)
        populations.append(relays)
        projections += synapses
    return (*populations, neurons), tuple(projections)


def _neurons(network: LiquidNetwork, integers: LTCIntegers, formats: LTCFormats, constants: dict[str, IntArray]) -> Population:
    units = network.units
    program = (EXACT_TIMED if formats.exact else NEURON_TIMED) if formats.irregular else EXACT if formats.exact else NEURON
    parameters = {
        "capacitance": integers.capacitance,
        "exponent": integers.exponent,
        "leak": integers.leak,
        "driven_leak": integers.driven_leak,
        "ratio": constant(formats.ratio, units),
        "ratio_shift": constant(formats.ratio_shift, units),
        "fraction": constant(formats.fraction, units),
        "guard": constant(formats.guard, units),
    }
    return Population(
        name="neuron",
        program=program.name,
        size=units,
        parameters={name: parameters[name] for name in program.parameters},
        tables={name: constants[name] for name in program.tables},
        state=formats.state,
        message_shift=formats.message_shift,
        message_bits=formats.message.bits,
        threshold=formats.neuron_threshold,
        first_tick=2,
        period=2,
        labels=network.labels,
        prediction=formats.exact,
    )


def _gates(
    name: str,
    pre: Population,
    wires: tuple[Any, Any, IntArray, IntArray],
    weights: tuple[IntArray, IntArray],
    gain_shift: int,
    formats: LTCFormats,
    sigmoid: IntArray,
) -> tuple[Population, list[Projection]]:
    """The gate compartments of one kind of synapse with their three projections; see build_integer."""
    source, target, gain, offset = (np.asarray(array, dtype=np.int64) for array in wires)
    kept = (weights[0] != 0) | (weights[1] != 0)
    keys = np.stack([source, gain, offset], axis=1)[kept]
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)  # gates in the order in which the synapse list names them first
    number = np.argsort(order)[inverse.reshape(-1)]
    keys = keys[np.sort(first)]
    size = len(keys)
    population = Population(
        name=name,
        program=GATE.name,
        size=size,
        parameters={"gain": keys[:, 1].copy(), "gain_shift": constant(gain_shift, size), "offset": keys[:, 2].copy()},
        tables={"sigmoid": sigmoid},
        state=QFormat(formats.gate_bits + 2, formats.gate_bits),
        message_shift=0,
        message_bits=formats.gate_bits + 2,
        threshold=formats.gate_threshold,
        first_tick=1,
        period=1,
        labels=_gate_labels(pre, keys[:, 0]),
    )
    ones, numbers = np.ones(size, dtype=np.int64), np.arange(size)
    projections = [Projection(pre.name, name, "value", keys[:, 0].copy(), numbers, ones, "excitatory", 8)]
    for port, mode, weight in (("conductance", "excitatory", weights[0]), ("driven", "mixed", weights[1])):
        stored = weight[kept] != 0
        order = np.lexsort((target[kept][stored], number[stored]))
        gate, neuron, stored_weight = (array[order] for array in (number[stored], target[kept][stored], weight[kept][stored]))
        projections.append(Projection(name, "neuron", port, gate, neuron, stored_weight, mode, formats.weight_bits))
    return population, projections


def _relays(neurons: Population, values: LTCValues, weight: IntArray, formats: LTCFormats) -> tuple[Population, list[Projection]]:
    """The relays of all neurons that gap junctions leave, with the projections to and from them."""
    stored = weight != 0
    source, target, weight = values.gap_source[stored].astype(np.int64), values.gap_target[stored].astype(np.int64), weight[stored]
    senders, number = np.unique(source, return_inverse=True)
    gain, shift = formats.relay_gain
    state = QFormat(formats.message.bits + formats.gate_bits - formats.message.fraction_bits, formats.gate_bits)
    population = Population(
        name="gap_relay",
        program=RELAY.name,
        size=len(senders),
        parameters={"gain": constant(gain, len(senders)), "gain_shift": constant(shift, len(senders))},
        tables={},
        state=state,
        message_shift=0,
        message_bits=state.bits,
        threshold=1,
        first_tick=1,
        period=1,
        labels=tuple(f"{neurons.labels[sender]}:gap" for sender in senders),
    )
    order = np.lexsort((target, number))
    ones, numbers = np.ones(len(senders), dtype=np.int64), np.arange(len(senders))
    return population, [
        Projection("neuron", "gap_relay", "value", senders, numbers, ones, "excitatory", 8),
        Projection("gap_relay", "neuron", "driven", number[order], target[order], weight[order], "mixed", formats.weight_bits),
    ]


def _gate_labels(pre: Population, source: IntArray) -> tuple[str, ...]:
    """motor_0:0, motor_0:1, … : the gates that one presynaptic compartment drives."""
    seen: dict[int, int] = {}
    labels = []
    for number in source.tolist():
        seen[number] = seen.get(number, -1) + 1
        labels.append(f"{pre.labels[number]}:{seen[number]}")
    return tuple(labels)
