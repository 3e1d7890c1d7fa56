"""The populations and projections of a CfC in integers (cfc_integer.py and lstm_integer.py say what they compute)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hardware_profiles.fixed_point import QFormat
from liquid_neuro.cells.cfc import effective
from liquid_neuro.cells.cfc_formats import (
    CfCFormats,
    CfCIntegers,
    DenseFormats,
    LayerFormats,
    LayerIntegers,
    activation_table,
    integer_parameters,
    memory_tables,
    unit_tables,
)
from liquid_neuro.cells.cfc_integer import BACKBONE, BY_MODE, RELAY, TIMED_BY_MODE
from liquid_neuro.cells.integer import constant, elapsed_population
from liquid_neuro.cells.lstm_integer import CELL, CELL_TIMED, GATES, OUTPUT
from liquid_neuro.network import LiquidNetwork
from liquid_neuro.quantized_network import IntArray, Population, Projection

MEMORY_HOPS = 2  # from what the memory hears to what its second compartments say
Source = tuple[Population, slice]  # compartments of a population, as columns of a dense map


def build_integer(network: LiquidNetwork, formats: CfCFormats) -> tuple[tuple[Population, ...], tuple[Projection, ...]]:
    """Populations and projections of a CfC: "input", then "backbone_0", … and "unit", or "layer_0", … with a wiring.

    Layer l's first turn is tick l + 1, when the first sample reaches it; a loop of n hops takes its turns n ticks apart. Weights that round
    to 0 are not stored. Irregular time adds "elapsed" and, where layers follow each other from tick to tick, "elapsed_1", …: relays that
    bring the timespan to layer l together with its sample. Mixed memory adds "memory_cell" and "memory_output", two hops before layer 0,
    and units hear "memory_output" in place of their own layer.
    """
    channels = network.interface.channels or tuple(f"input_{number}" for number in range(network.inputs))
    period = formats.ticks_per_sample
    inputs = Population(
        "input", "", network.inputs, {}, {}, formats.input, 0, formats.input.bits, formats.input_threshold, 0, period, channels
    )
    integers = integer_parameters(effective(network), formats).as_int64()
    populations, projections = [inputs], []
    elapsed = elapsed_population(formats.elapsed, period) if formats.irregular else None
    if elapsed is not None:
        populations.append(elapsed)
    first_hop = 1 if formats.memory is None else 1 + MEMORY_HOPS
    units = _all_units(network, integers, formats, first_hop)
    memory = None
    if formats.memory is not None:
        memory, wires = _memory(network, integers, formats, inputs, elapsed, units)
        populations += memory
        projections += wires
    below, start = (inputs, slice(0, network.inputs)), 0
    for number, (layer, here) in enumerate(zip(integers.layers, units)):
        how, whole = formats.layers[number], slice(0, here.size)
        own = (here, whole) if memory is None else (memory[1], slice(start, start + here.size))
        sources = [below, own]
        if elapsed is not None:
            if number and memory is None:
                before, elapsed = elapsed, _relay(number, formats)
                populations.append(elapsed)
                projections.append(_one(before, elapsed, "value"))
            projections.append(_one(elapsed, here, "elapsed"))
        for depth, (weight, bias) in enumerate(layer.backbone):
            hidden = _hidden(depth, bias, first_hop, formats, how)
            populations.append(hidden)
            projections += _dense(sources, hidden, "drive", weight, formats.weight_bits)
            sources = [(hidden, slice(0, hidden.size))]
        for port, (weight, _) in layer.heads.items():
            projections += _dense(sources, here, port, weight, formats.weight_bits)
        populations.append(here)
        below, start = (here, whole), start + here.size
    return tuple(populations), tuple(projections)


def _all_units(network: LiquidNetwork, integers: CfCIntegers, formats: CfCFormats, first_hop: int) -> list[Population]:
    """The units, layer by layer."""
    units, start = [], 0
    for number, layer in enumerate(integers.layers):
        how, size = formats.layers[number], len(layer.heads["first"][1])
        name = "unit" if network.wiring is None else f"layer_{number}"
        labels = network.labels[start : start + size]
        units.append(_units(name, first_hop + number + len(how.backbone), layer, formats, how, labels))
        start += size
    return units


def _units(name: str, first_tick: int, layer: LayerIntegers, formats: CfCFormats, how: LayerFormats, labels: tuple[str, ...]) -> Population:
    size = len(layer.heads["first"][1])
    parameters = _affine({port: layer.heads[port][1] for port in how.heads}, how.heads, size)
    if formats.irregular:
        if formats.mode == "pure":
            parameters["tau"] = layer.tau
        parameters["elapsed_shift"] = constant(formats.elapsed_shift(how), size)
    if formats.mode == "pure":
        parameters |= {"gain": layer.gain, "gain_shift": constant(formats.gain_shift(how), size), "offset": layer.offset}
    else:
        parameters["state_shift"] = constant(formats.state_shift, size)
    return Population(
        name=name,
        program=(TIMED_BY_MODE if formats.irregular else BY_MODE)[formats.mode].name,
        size=size,
        parameters=parameters,
        tables=unit_tables(formats, how),
        state=formats.state,
        message_shift=formats.message_shift,
        message_bits=formats.message.bits,
        threshold=formats.neuron_threshold,
        first_tick=first_tick,
        period=formats.ticks_per_sample,
        labels=labels,
    )


def _affine(biases: Mapping[str, IntArray], maps: Mapping[str, DenseFormats], size: int) -> dict[str, IntArray]:
    """The parameters port_bias, port_multiplier and port_shift of some ports, part by part."""
    parameters = {f"{port}_bias": bias for port, bias in biases.items()}
    for part in ("multiplier", "shift"):
        parameters |= {f"{port}_{part}": constant(getattr(maps[port], part), size) for port in biases}
    return parameters


def _hidden(depth: int, bias: IntArray, first_hop: int, formats: CfCFormats, how: LayerFormats) -> Population:
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
        first_tick=first_hop + depth,
        period=formats.ticks_per_sample,
        labels=tuple(f"backbone_{depth}:{number}" for number in range(size)),
    )


def _relay(number: int, formats: CfCFormats) -> Population:
    """What brings a sample's timespan to layer `number` one tick after the layer before."""
    name, word = f"elapsed_{number}", formats.elapsed
    return Population(name, RELAY.name, 1, {}, {}, word, 0, word.bits, 1, number, formats.ticks_per_sample, (name,))


def _memory(
    network: LiquidNetwork,
    integers: CfCIntegers,
    formats: CfCFormats,
    inputs: Population,
    elapsed: Population | None,
    units: list[Population],
) -> tuple[list[Population], list[Projection]]:
    """The two populations of mixed memory and the projections to them; state order is that of the units."""
    how, size = formats.memory, network.units
    assert how is not None

    def population(name: str, program: str, parameters: dict[str, IntArray], word: QFormat, message: QFormat, tick: int) -> Population:
        return Population(
            name=name,
            program=program,
            size=size,
            parameters=parameters,
            tables=memory_tables(),
            state=word,
            message_shift=word.fraction_bits - message.fraction_bits,
            message_bits=message.bits,
            threshold=formats.memory_threshold,
            first_tick=tick,
            period=formats.ticks_per_sample,
            labels=tuple(f"{label}:{name.rpartition('_')[2]}" for label in network.labels),
        )

    biases = {gate: bias for gate, (_, bias) in integers.memory.items()}
    gates = _affine({gate: biases[gate] for gate in GATES}, how.gates, size)
    gates["product_shift"] = constant(28 - how.cell.fraction_bits, size)
    cell = population("memory_cell", (CELL_TIMED if formats.irregular else CELL).name, gates, how.cell, how.message, 1)
    last = {"memory_multiplier": constant(1 << (12 - how.message.fraction_bits), size)}
    last |= _affine({"output_gate": biases["output_gate"]}, how.gates, size)
    last["state_shift"] = constant(28 - how.state.fraction_bits, size)
    output = population("memory_output", OUTPUT.name, last, how.state, formats.message, 2)
    sources = [(one, slice(0, one.size)) for one in (inputs, *units)]
    projections = [_one(cell, output, "memory", pairs=True)]
    if elapsed is not None:
        projections.append(_one(elapsed, cell, "elapsed"))
    for gate, (weight, _) in integers.memory.items():
        projections += _dense(sources, output if gate == "output_gate" else cell, gate, weight, formats.weight_bits)
    return [cell, output], projections


def _one(source: Population, target: Population, port: str, pairs: bool = False) -> Projection:
    """Synapses of weight 1: from a source's one compartment to all of the target's, or from each to its counterpart."""
    post = np.arange(target.size)
    pre = post if pairs else np.zeros(target.size, dtype=np.int64)
    return Projection(source.name, target.name, port, pre, post, np.ones(target.size, dtype=np.int64), "excitatory", 8)


def _dense(sources: list[Source], target: Population, port: str, weight: IntArray, weight_bits: int) -> list[Projection]:
    """One projection per source; the columns of `weight` (target, source) are the sources' compartments, one source after the other."""
    projections, start = [], 0
    for source, part in sources:
        columns = weight[:, start : start + part.stop - part.start].T
        start += part.stop - part.start
        pre, post = np.nonzero(columns)
        if len(pre):
            projections.append(Projection(source.name, target.name, port, pre + part.start, post, columns[pre, post], "mixed", weight_bits))
    return projections
