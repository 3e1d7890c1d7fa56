"""The populations and projections of an LTC in integers (ltc_integer.py and ltc_recalled.py say what they compute)."""

from __future__ import annotations

from typing import Any

import numpy as np

from hardware_profiles.fixed_point import QFormat
from liquid_neuro.cells.integer import ARGUMENT_FRACTION, constant, elapsed_population
from liquid_neuro.cells.lstm_build import MemoryPlace, memory_populations, ones
from liquid_neuro.cells.ltc import LTCValues, effective
from liquid_neuro.cells.ltc_formats import LTCFormats, LTCIntegers, integer_parameters, tables
from liquid_neuro.cells.ltc_integer import EXACT, EXACT_TIMED, GATE, NEURON, NEURON_TIMED, RELAY
from liquid_neuro.cells.ltc_recalled import CLOCK, RECALLED
from liquid_neuro.network import LiquidNetwork
from liquid_neuro.quantized_network import IntArray, Population, Projection


def build_integer(network: LiquidNetwork, formats: LTCFormats) -> tuple[tuple[Population, ...], tuple[Projection, ...]]:
    """Populations and projections of an LTC: "input", "elapsed", "sensory_gate", "recurrent_gate", "gap_relay", "neuron".

    Neurons stand in the order of network.labels; populations that the network has no use for are left out. One gate per distinct (source,
    gain, offset) in integers, one relay per neuron with gap junctions. Synapses whose weights all round to 0 are not stored, gates and
    relays that then drive nothing neither. Mixed memory adds "memory_output" behind the inputs, "clock" and "memory_relay" (which passes
    the states on once per sample) before "neuron", and "memory_cell" behind it: in this order populations that run in the same tick hear
    what they must when they run one after the other.
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
    elapsed = elapsed_population(formats.elapsed, formats.ticks_per_sample) if formats.irregular else None
    if elapsed is not None:
        populations.append(elapsed)
        projections.append(ones(elapsed, neurons, "elapsed"))
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
    if formats.memory is None:
        return (*populations, neurons), tuple(projections)
    (clock, relay, cell, recalled), synapses = _memory(network, integers, formats, source, neurons, elapsed)
    hosts = 1 if elapsed is None else 2
    return (*populations[:hosts], recalled, *populations[hosts:], clock, relay, neurons, cell), (*projections, *synapses)


def _neurons(network: LiquidNetwork, integers: LTCIntegers, formats: LTCFormats, constants: dict[str, IntArray]) -> Population:
    units = network.units
    program = (EXACT_TIMED if formats.exact else NEURON_TIMED) if formats.irregular else EXACT if formats.exact else NEURON
    program = program if formats.memory is None else RECALLED[program.name]
    parameters = {
        "capacitance": integers.capacitance,
        "exponent": integers.exponent,
        "leak": integers.leak,
        "driven_leak": integers.driven_leak,
        "ratio": constant(formats.ratio, units),
        "ratio_shift": constant(formats.ratio_shift, units),
        "fraction": constant(formats.fraction, units),
        "guard": constant(formats.guard, units),
        "unfolds": constant(formats.unfolds, units),
        "hold": constant(_phase(formats, formats.held), units),
        "recalled_shift": constant(formats.recalled_shift, units),
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


# --- mixed memory -----------------------------------------------------------------------------------------------------------------------


def _phase(formats: LTCFormats, turns: int) -> int:
    """The clock's phase with so many turns of recalling and holding between it and the sub-steps."""
    return formats.unfolds - 1 + (turns + 1) * (formats.unfolds + 1)


def _recalled(formats: LTCFormats) -> QFormat:
    """The messages of h~."""
    assert formats.memory is not None
    word = formats.memory.state
    return QFormat(word.bits - formats.shown_shift, word.fraction_bits - formats.shown_shift)


def _memory(
    network: LiquidNetwork, integers: LTCIntegers, formats: LTCFormats, source: Population, neurons: Population, elapsed: Population | None
) -> tuple[list[Population], list[Projection]]:
    """Clock, relay, memory and what recalls, with the projections to and from them; the relay hears states that move no more."""
    assert formats.memory is not None
    period, first = formats.ticks_per_sample, 2 * formats.held - 1
    top = _phase(formats, 2 * formats.held - 1)
    word = QFormat(top.bit_length() + 1, 0)
    parameters = {"top": constant(top, 1), "unfolds": constant(formats.unfolds, 1)}
    clock = Population("clock", CLOCK.name, 1, parameters, {}, word, 0, word.bits, formats.unfolds, 1, 2, ("clock",))
    relay = Population(
        name="memory_relay",
        program=RELAY.name,
        size=neurons.size,
        parameters={"gain": constant(1, neurons.size), "gain_shift": constant(0, neurons.size)},
        tables={},
        state=formats.message,
        message_shift=0,
        message_bits=formats.message.bits,
        threshold=1,
        first_tick=first,
        period=period,
        labels=tuple(f"{label}:relay" for label in neurons.labels),
    )
    place = MemoryPlace(first + 1, period, _recalled(formats), formats.memory_threshold, formats.weight_bits, elapsed, network.labels)
    memory, synapses = memory_populations(formats.memory, integers.memory, (source, relay), place)
    around = [ones(clock, neurons, "phase"), ones(neurons, relay, "value", pairs=True), ones(memory[1], neurons, "recalled", pairs=True)]
    return [clock, relay, *memory], [*around, *synapses]
