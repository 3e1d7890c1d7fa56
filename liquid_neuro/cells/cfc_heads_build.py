"""CfC heads as a quantised network: the float network's dense layers, the populations and projections, and the host's share of the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hardware_profiles.fixed_point import QFormat, round_half_up
from liquid_neuro.cells.cfc import MASKED_HEADS, backbone_depth, layer_mask, layer_sizes
from liquid_neuro.cells.cfc_heads import (
    HEAD_PROGRAMS,
    HEADS,
    RECIPROCAL_BITS,
    CodeFormat,
    DenseFormat,
    HeadFormats,
    HeadLayerFormats,
    Values,
    integer_parameters,
    projection_integers,
    tables,
)
from liquid_neuro.network import CfCSettings, LiquidNetwork
from liquid_neuro.quantized_network import IntArray, Population, Projection
from liquid_neuro.wiring import ROLES

# Integer operations of one run of each program that the host executes; a test counts them in the programs. A rounding shift is an
# addition and a shift, a clip two comparisons and two selections, a look-up a load.
HOST_OPERATIONS: dict[str, dict[str, int]] = {
    "cfc_heads.encode": {"add": 2, "multiply": 1, "shift": 1, "compare": 2, "select": 2},
    "cfc_heads.host": {"add": 13, "multiply": 4, "shift": 4, "compare": 3, "select": 3, "load": 5},
    "cfc_heads.project": {"add": 2, "shift": 1},
    "cfc_heads.host_no_gate": {"add": 12, "multiply": 4, "shift": 4, "compare": 3, "select": 3, "load": 5},
}


# --- the network's parts --------------------------------------------------------------------------------------------------------------


def layer_names(network: LiquidNetwork) -> tuple[str, ...]:
    """One name per layer in the order in which they run: inter, command, motor, or "cell" where there is one alone."""
    if network.wiring is None or len(network.wiring.layers) == 1:
        return ("cell",)
    roles = [ROLES[network.wiring.roles[layer[0]]] for layer in network.wiring.layers]
    return tuple(role if roles.count(role) == 1 and role != "unknown" else f"layer_{number}" for number, role in enumerate(roles))


def dense_values(network: LiquidNetwork, parameters: Mapping[str, Any]) -> Values:
    """Weights (ff1 and ff2 masked by the wiring) and biases of every dense layer; `parameters` may be NumPy or JAX arrays."""
    result: list[dict[str, tuple[Any, Any]]] = []
    for number in range(len(layer_sizes(network))):
        prefix = "" if network.wiring is None else f"layer_{number}."
        depth = backbone_depth(network) if network.wiring is None else 0
        layer = {f"backbone_{k}": (parameters[f"backbone.{k}.weight"], parameters[f"backbone.{k}.bias"]) for k in range(depth)}
        mask = None if network.wiring is None else layer_mask(network.wiring, number)
        for head in HEADS:
            weight = parameters[f"{prefix}{head}.weight"]
            layer[head] = (weight if mask is None or head not in MASKED_HEADS else weight * mask, parameters[f"{prefix}{head}.bias"])
        result.append(layer)
    return result


# --- building ------------------------------------------------------------------------------------------------------------------------


def build_integer(network: LiquidNetwork, values: Values, formats: HeadFormats) -> tuple[tuple[Population, ...], tuple[Projection, ...]]:
    """Populations and projections of a CfC as heads.

    "input" (the host's words), "input.code", and per layer "inter.heads" (one dense layer of the chip: the outputs of ff1, ff2, time_a and
    time_b one after the other; before it "inter.backbone_0", …), "inter.state" (the host's gate) and "inter.code". Projections are dense,
    zeros included: the chip stores the whole matrix. They end in dense layers (and in "output", which the host computes); a state reads its
    four heads unit by unit, a code its word.
    """
    assert isinstance(network.settings, CfCSettings)
    channels = network.interface.channels or tuple(f"input_{number}" for number in range(network.inputs))
    populations = [
        _population("input", "", network.inputs, {}, {}, formats.input_word, channels),
        _codes("input.code", formats.input, formats.input_word, channels),
    ]
    projections: list[Projection] = []
    previous, start = populations[1], 0
    for layer, integers in zip(formats.layers, integer_parameters(values, formats)):
        units = len(layer.state.step)
        labels = network.labels[start : start + units]
        code = _codes(f"{layer.name}.code", layer.state, formats.state_word, labels)
        sources = [previous, code]
        for name, dense, weight, threshold in _chip_layers(layer, integers):
            names = _output_labels(name, labels, len(dense.activation_step))
            population = _dense_population(f"{layer.name}.{name}", dense, threshold, formats, names)
            populations.append(population)
            projections += _dense_projections(sources, population.name, weight, formats.weight_bits)
            sources = [population]
        program = "cfc_heads.host_no_gate" if network.settings.mode == "no_gate" else "cfc_heads.host"
        layer_tables = tables(layer, formats, network.settings)
        base = {"base": np.arange(units) << formats.activation_bits}
        populations.append(_population(f"{layer.name}.state", program, units, base, layer_tables, formats.state_word, labels))
        populations.append(code)
        previous, start = code, start + units
    if formats.projection is not None:
        population, projection = _output(network, formats, populations[-2])
        populations.append(population)
        projections.append(projection)
    return tuple(populations), tuple(projections)


def _population(
    name: str,
    program: str,
    size: int,
    parameters: dict[str, IntArray],
    layer_tables: dict[str, IntArray],
    state: QFormat,
    labels: Sequence[str],
) -> Population:
    return Population(name, program, size, parameters, layer_tables, state, 0, state.bits, 1, 0, 1, tuple(labels))


def _codes(name: str, codes: CodeFormat, word: QFormat, labels: Sequence[str]) -> Population:
    """The host's encoder: 1 / step as a multiplier of 11 bits and a shift, so that no product leaves 32 bits."""
    step = np.array(codes.step) / word.lsb
    exponent = np.frexp(np.abs(step))[1].astype(np.int64)  # |step| = m 2**exponent, 1/2 <= m < 1
    shift = exponent + 10
    multiplier = round_half_up(2.0**shift / step).astype(np.int64)
    parameters = {
        "origin": round_half_up(np.array(codes.origin) / word.lsb).astype(np.int64),
        "multiplier": multiplier,
        "shift": shift,
        "highest": np.full(len(step), codes.highest, dtype=np.int64),
    }
    return _population(name, "cfc_heads.encode", len(step), parameters, {}, QFormat(codes.bits, 0, signed=False), labels)


def _chip_layers(layer: HeadLayerFormats, integers: Mapping[str, tuple[Any, Any]]) -> list[tuple[str, DenseFormat, Any, Any]]:
    """(name, formats, weight, threshold) of the chip's layers: each backbone layer, then the four heads as one layer "heads"."""
    formats = layer.dense()
    layers = [(name, formats[name], *integers[name]) for name in integers if name not in HEADS]
    steps = sum((formats[head].activation_step for head in HEADS), ())
    weight, threshold = (np.concatenate([np.asarray(integers[head][part]) for head in HEADS]) for part in (0, 1))
    return [*layers, ("heads", DenseFormat((), (), steps), weight, threshold)]  # origins and steps of the heads live on in the tables


def _output_labels(name: str, units: Sequence[str], size: int) -> tuple[str, ...]:
    if name == "heads":
        return tuple(f"{unit}.{head}" for head in HEADS for unit in units)
    return tuple(f"{name}_{number}" for number in range(size))


def _dense_population(name: str, dense: DenseFormat, threshold: Any, formats: HeadFormats, labels: Sequence[str]) -> Population:
    activation_step = np.array(dense.activation_step, dtype=np.int64)
    parameters = {
        "threshold": np.asarray(threshold).astype(np.int64),
        "activation_step": activation_step,
        "reciprocal": -(-(1 << RECIPROCAL_BITS) // activation_step),
        "highest": np.full(len(activation_step), (1 << formats.activation_bits) - 1, dtype=np.int64),
    }
    code = QFormat(formats.activation_bits, 0, signed=False)
    return _population(name, "cfc_heads.head", len(activation_step), parameters, {}, code, labels)


OUTPUT_WORD_BITS = 32


def _output(network: LiquidNetwork, formats: HeadFormats, state: Population) -> tuple[Population, Projection]:
    """The host's output layer over the states of the last layer."""
    assert formats.projection is not None
    weight, bias = projection_integers(network.parameters["fc.weight"], network.parameters["fc.bias"], formats)
    size = len(bias)
    parameters = {"bias": bias.astype(np.int64), "shift": np.full(size, formats.projection.fraction_bits, dtype=np.int64)}
    labels = network.interface.outputs if len(network.interface.outputs) == size else [f"output_{number}" for number in range(size)]
    word = QFormat(OUTPUT_WORD_BITS, formats.state_word.fraction_bits)
    population = _population("output", "cfc_heads.project", size, parameters, {}, word, labels)
    return population, _dense_projections([state], "output", weight, formats.projection.bits)[0]


def _dense_projections(sources: Sequence[Population], target: str, weight: Any, weight_bits: int) -> list[Projection]:
    """One dense projection per source population; the columns of `weight` are the sources' codes, one source after the other."""
    integer = np.asarray(weight).astype(np.int64)
    outputs = len(integer)
    projections, start = [], 0
    for source in sources:
        columns = integer[:, start : start + source.size]
        start += source.size
        pairs = (np.repeat(np.arange(source.size), outputs), np.tile(np.arange(outputs), source.size))
        projections.append(Projection(source.name, target, "sum", *pairs, columns.T.reshape(-1).copy(), "mixed", weight_bits))
    return projections


def lost_weights(network: LiquidNetwork, values: Values, projections: Sequence[Projection]) -> dict[str, int]:
    """Dense layer of the chip -> how many of its weights are 0 there and not 0 in the float network. Layers without any are left out."""
    lost = {}
    for layer, name in zip(values, layer_names(network)):
        heads = np.concatenate([np.asarray(layer[head][0]) for head in HEADS])
        real = {dense: np.asarray(weight) for dense, (weight, _) in layer.items() if dense not in HEADS} | {"heads": heads}
        for dense, weight in real.items():
            kept = sum(np.count_nonzero(item.weight) for item in projections if item.target_population == f"{name}.{dense}")
            lost[f"{name}.{dense}"] = int(np.count_nonzero(weight) - kept)
    return {name: number for name, number in lost.items() if number}


def host_work(populations: Sequence[Population], projections: Sequence[Projection]) -> dict[str, Any]:
    """What one sample costs beside the chip: integer operations of the host, codes moved, and trips to the chip and back."""
    counts: dict[str, int] = {}
    for population in populations:
        if population.program in HOST_OPERATIONS:
            program = HEAD_PROGRAMS[population.program]
            # Operands in, the result out, and on to the next compartment.
            around = {"load": len(program.ports) + len(program.parameters), "store": 1, "loop": 1}
            for operations in (HOST_OPERATIONS[population.program], around):
                for operation, number in operations.items():
                    counts[operation] = counts.get(operation, 0) + number * population.size
    sizes = {population.name: population.size for population in populations}
    for projection in projections:
        if projection.target_population == "output":  # the one product that the host computes
            for operation in ("load", "load", "multiply", "add"):
                counts[operation] += len(projection.weight)
    heads = [population for population in populations if population.program == "cfc_heads.head"]
    on_chip = {population.name for population in heads}
    on_chip_projections = [projection for projection in projections if projection.target_population in on_chip]
    sent = {
        (p.source_population, p.target_population.rpartition(".")[0]) for p in on_chip_projections if p.source_population not in on_chip
    }
    read = on_chip - {projection.source_population for projection in on_chip_projections}
    return {
        "host_operations_per_sample": counts,
        "codes_to_chip_per_sample": sum(sizes[source] for source, _ in sent),
        "codes_from_chip_per_sample": sum(sizes[name] for name in read),
        "host_round_trips_per_sample": len({name.rpartition(".")[0] for name in on_chip}),
        "products_per_sample": sum(len(projection.weight) for projection in on_chip_projections),
    }
