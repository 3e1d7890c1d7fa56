"""The populations and projections of a CfC in integers (cfc_integer.py and lstm_integer.py say what they compute)."""

from __future__ import annotations

from liquid_neuro.cells.cfc import effective
from liquid_neuro.cells.cfc_formats import (
    CfCFormats,
    CfCIntegers,
    LayerFormats,
    LayerIntegers,
    activation_table,
    integer_parameters,
    unit_tables,
)
from liquid_neuro.cells.cfc_integer import BACKBONE, BY_MODE, RELAY, TIMED_BY_MODE
from liquid_neuro.cells.integer import constant, elapsed_population
from liquid_neuro.cells.lstm_build import MemoryPlace, affine_parameters, dense_projections, memory_populations, ones
from liquid_neuro.network import LiquidNetwork
from liquid_neuro.quantized_network import IntArray, Population, Projection

MEMORY_HOPS = 2  # from what the memory hears to what its second compartments say


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
        place = MemoryPlace(1, period, formats.message, formats.memory_threshold, formats.weight_bits, elapsed, network.labels)
        memory, wires = memory_populations(formats.memory, integers.memory, (inputs, *units), place)
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
                projections.append(ones(before, elapsed, "value"))
            projections.append(ones(elapsed, here, "elapsed"))
        for depth, (weight, bias) in enumerate(layer.backbone):
            hidden = _hidden(depth, bias, first_hop, formats, how)
            populations.append(hidden)
            projections += dense_projections(sources, hidden, "drive", weight, formats.weight_bits)
            sources = [(hidden, slice(0, hidden.size))]
        for port, (weight, _) in layer.heads.items():
            projections += dense_projections(sources, here, port, weight, formats.weight_bits)
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
    parameters = affine_parameters({port: layer.heads[port][1] for port in how.heads}, how.heads, size)
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
