"""Target "akida": a readable description of a CfC on a chip of dense layers (Akida 1 class), complete enough to run it with a pencil.

The folder holds model.json (layers in order of execution, formats, neural processors, the host's tables and operations), weights.npz
(every matrix and per-output vector) and README.md. It is a description, not a program file of the vendor: nothing in it stems from vendor
software, and every rule it follows stands in public documents. Before a file is written, the chip's documented limits are checked.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from liquid_neuro.cells import cfc_heads
from liquid_neuro.network import CfCSettings
from liquid_neuro.quantized_network import Population, Projection, QuantizedNetwork
from mappers.exporters import ExportError
from mappers.exporters.proof_notes import failed_obligations, told

if TYPE_CHECKING:
    from hardware_profiles.profile import HardwareProfile
    from mappers.mapping import Mapping

FORMAT = "liquid-neuro akida description 1"
PRIMITIVES = {
    "clip(v, low, high)": "v moved into low .. high",
    "floor_shift(v, n)": "floor(v / 2**n)",
    "round_shift(v, n)": "floor(v / 2**n + 1/2)",
    "look_up(table, k)": "table[k]",
    "select(condition, a, b)": "a where the condition holds, else b",
}


def write(mapping: Mapping, folder: Path, *, unproved: bool = False) -> None:
    """Fill an empty folder with the description.

    unproved: export although something is not proved to fit its word, with a warning; README and model.json ("not_proved") say what.
    ExportError names the first rule of the chip that the network breaks, or what is not proved.
    """
    quantized = mapping.quantized
    problems = check_limits(quantized, mapping.profile)
    if problems:
        raise ExportError(problems[0] + (f" ({len(problems) - 1} more)" if len(problems) > 1 else ""))
    failures = failed_obligations(quantized, unproved)
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    model = describe(quantized, mapping.profile, {name: np.asarray(cores) for name, cores in mapping.core_of.items()}, arrays)
    if failures:
        model["not_proved"] = failures
    np.savez(folder / "weights.npz", **arrays)  # type: ignore[arg-type]
    (folder / "model.json").write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")
    note = f"\n{told(failures)}\n" if failures else ""
    (folder / "README.md").write_text(_readme(model) + note, encoding="utf-8")


# --- the chip's rules, one sentence each ----------------------------------------------------------------------------------------------


def check_limits(quantized: QuantizedNetwork, profile: HardwareProfile) -> list[str]:
    """Every documented rule of the chip that the network breaks, as sentences; empty when it fits."""
    if quantized.kind != "akida" or profile.neural is None:
        return [f'quantized.kind must be "akida" for target akida, but is "{quantized.kind}"; quantise for an Akida profile']
    problems = []
    inputs: dict[str, int] = {}
    for projection in quantized.projections:
        target = projection.target_population
        if quantized.population(target).program != "cfc_heads.head":
            continue
        inputs[target] = inputs.get(target, 0) + quantized.population(projection.source_population).size
        problems += _weight_problems(target, projection.weight, projection.weight_bits, profile)
    for population in quantized.populations:
        if population.program == "cfc_heads.head":
            problems += _layer_problems(population, inputs[population.name], profile) + _sum_problems(quantized, population)
        elif population.program not in ("", "cfc_heads.encode", "cfc_heads.project") and not population.program.startswith(
            "cfc_heads.host"
        ):
            problems.append(
                f"layer {population.name} must be a dense layer with step-wise ReLU, but is {population.program}; quantise again"
            )
    return list(dict.fromkeys(problems))


def _weight_problems(layer: str, weight: Any, bits: int, profile: HardwareProfile) -> list[str]:
    choices = profile.weight_bits_choices
    if bits not in choices:
        return [
            f"weights of layer {layer} must have {', '.join(map(str, choices))} bits, but have {bits}; quantise with another number of bits"
        ]
    lowest, highest = (0, 1) if bits == 1 else (1 - (1 << (bits - 1)), (1 << (bits - 1)) - 1)
    if len(weight) and not lowest <= weight.min() <= weight.max() <= highest:
        return [f"weights of layer {layer} must lie in {lowest} .. {highest}, but reach {weight.min()} .. {weight.max()}; quantise again"]
    return []


def _layer_problems(population: Population, inputs: int, profile: HardwareProfile) -> list[str]:
    assert profile.neural is not None
    problems = []
    most = profile.neural.max_inputs.value
    if inputs > most:
        problems.append(
            f"inputs of layer {population.name} must be at most {most} (max_inputs), but are {inputs}; use fewer units or channels"
        )
    if population.state.bits not in profile.activation_bits_choices:
        choices = ", ".join(map(str, profile.activation_bits_choices))
        problems.append(
            f"activations of layer {population.name} must have {choices} bits, but have {population.state.bits}; quantise again"
        )
    if population.state.signed:
        problems.append(f"activations of layer {population.name} must be unsigned, but are signed; quantise again")
    return problems


def _sum_problems(quantized: QuantizedNetwork, population: Population) -> list[str]:
    """The largest sum and threshold that any input could lead to, against the accumulator."""
    largest = np.abs(population.parameters["threshold"]) + (population.parameters["highest"] + 1) * population.parameters["activation_step"]
    for projection in quantized.projections:
        if projection.target_population == population.name:
            code = quantized.population(projection.source_population).state.highest
            np.add.at(largest, projection.target, code * np.abs(projection.weight))
    bound = 1 << (quantized.accumulator_bits - 1)
    if largest.max() >= bound:
        return [f"sums of layer {population.name} must stay below {bound}, but may reach {largest.max()}; use fewer inputs"]
    return []


# --- the description ------------------------------------------------------------------------------------------------------------------


def describe(
    quantized: QuantizedNetwork, profile: HardwareProfile, cores: dict[str, Any], arrays: dict[str, np.ndarray[Any, Any]]
) -> dict[str, Any]:
    """model.json as plain values; matrices and vectors go into `arrays` under the names that the description uses."""
    formats, settings = quantized.formats, quantized.network.settings
    assert isinstance(settings, CfCSettings)
    layers = [_layer(quantized, number, layer, cores, arrays) for number, layer in enumerate(formats.layers)]
    output = quantized.population(quantized.output_population)
    return {
        "format": FORMAT,
        "chip": {"profile": profile.name, "title": profile.title},
        "weight_bits": formats.weight_bits,
        "activation_bits": formats.activation_bits,
        "neural_processors": sorted({core for name in cores for core in _processors(cores, name)}),
        "time_unit_s": quantized.network.time_unit_s,
        "timespan": {
            "fraction_bits": cfc_heads.TIMESPAN.fraction_bits,
            "unit": "model time units",
            "of_one_unit": 1 << cfc_heads.TIMESPAN.fraction_bits,
        },
        "input": {
            "channels": list(quantized.population("input").labels),
            "standardisation": {
                "mean": list(quantized.network.interface.input_mean),
                "scale": list(quantized.network.interface.input_scale),
            },
            "word": {"bits": quantized.input_format.bits, "fraction_bits": quantized.input_format.fraction_bits},
            "code": _vectors(quantized.population("input.code"), arrays),
        },
        "layers": layers,
        "output": {
            "of": output.name,
            **_output_layer(quantized, output, arrays),
            "compartments": quantized.output_compartments.tolist(),
            "fraction_bits": output.state.fraction_bits,
            "gain": quantized.output_gain.tolist(),
            "offset": quantized.output_offset.tolist(),
            "decision": quantized.network.interface.decision,
            "threshold": quantized.network.interface.threshold,
        },
        "sample": _order(quantized),
        "programs": {name: inspect.getsource(program.function) for name, program in _used_programs(quantized).items()},
        "primitives": PRIMITIVES,
        "work_per_sample": {name: value for name, value in quantized.notes.items() if name.endswith("_per_sample")},
    }


def _layer(quantized: QuantizedNetwork, number: int, layer: Any, cores: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    state = quantized.population(f"{layer.name}.state")
    dense = []
    for name in [*(f"backbone_{k}" for k in range(len(layer.backbone))), "heads"]:
        population = quantized.population(f"{layer.name}.{name}")
        incoming = [projection for projection in quantized.projections if projection.target_population == population.name]
        parts = [_matrix(quantized, projection) for projection in incoming]
        arrays[f"{population.name}.weight"] = np.concatenate(parts)
        dense.append(
            {
                "name": population.name,
                "type": "FullyConnected",
                "input": [projection.source_population for projection in incoming],
                "inputs": sum(len(part) for part in parts),
                "outputs": population.size,
                "weight": f"{population.name}.weight",
                "activation": f"step-wise bounded ReLU, {1 << population.state.bits} levels",
                **_vectors(population, arrays),
                "neural_processors": _processors(cores, population.name),
            }
        )
    return {
        "name": layer.name,
        "pass": number,
        "units": list(state.labels),
        "dense": dense,
        "host": {
            "name": state.name,
            **_vectors(state, arrays),
            "word": {"bits": state.state.bits, "fraction_bits": state.state.fraction_bits},
            "tables": {name: table.tolist() for name, table in state.tables.items()},
        },
        "code": _vectors(quantized.population(f"{layer.name}.code"), arrays),
    }


def _matrix(quantized: QuantizedNetwork, projection: Projection) -> np.ndarray[Any, Any]:
    """(sources, targets), in the smallest type that holds the weights."""
    sizes = [quantized.population(name).size for name in (projection.source_population, projection.target_population)]
    matrix = np.zeros(sizes, dtype=np.int8 if projection.weight_bits <= 8 else np.int32)
    matrix[projection.source, projection.target] = projection.weight
    return matrix


def _output_layer(quantized: QuantizedNetwork, output: Population, arrays: dict[str, Any]) -> dict[str, Any]:
    """The host's linear output layer, where there is one."""
    if output.program != "cfc_heads.project":
        return {}
    projection = next(item for item in quantized.projections if item.target_population == output.name)
    arrays["output.weight"] = _matrix(quantized, projection)
    return {"input": projection.source_population, "weight": "output.weight", **_vectors(output, arrays)}


def _processors(cores: dict[str, Any], population: str) -> list[int]:
    """The neural processors that hold a population; none for what the host does (-1)."""
    return [int(core) for core in np.unique(cores.get(population, [])) if core >= 0]


def _vectors(population: Population, arrays: dict[str, Any]) -> dict[str, Any]:
    """The program and the names of its parameter vectors."""
    names = {}
    for name, values in population.parameters.items():
        arrays[f"{population.name}.{name}"] = values
        names[name] = f"{population.name}.{name}"
    return {"program": population.program, "parameters": names}


def _used_programs(quantized: QuantizedNetwork) -> dict[str, Any]:
    used = {population.program for population in quantized.populations if population.program}
    return {name: cfc_heads.HEAD_PROGRAMS[name] for name in sorted(used)}


def _order(quantized: QuantizedNetwork) -> list[str]:
    """What happens in one sample, step by step, in words."""
    steps = [
        "host: input.code = encode(input word); the input word is the standardised measurement times 2**fraction_bits, rounded half up"
    ]
    source = "input.code"
    for layer in quantized.formats.layers:
        read = f"{source} and {layer.name}.code (of the sample before)"
        for number in range(len(layer.backbone)):
            steps.append(f"chip: {layer.name}.backbone_{number} = head(Σ weight · codes of {read})")
            read = f"{layer.name}.backbone_{number}"
        steps.append(f"chip: {layer.name}.heads = head(Σ weight · codes of {read}); a quarter each: ff1, ff2, time_a, time_b")
        steps.append(f"host: {layer.name}.state = the gate's program of the four codes and the timespan, saturated to its word")
        steps.append(f"host: {layer.name}.code = encode({layer.name}.state)")
        source = f"{layer.name}.code"
    if quantized.output_population == "output":
        steps.append(f"host: output = project(Σ weight · {quantized.formats.layers[-1].name}.state)")
    return [*steps, f"host: y = gain · {quantized.output_population} / 2**fraction_bits + offset"]


def _readme(model: dict[str, Any]) -> str:
    rows = [
        f"| {dense['name']} | {dense['inputs']} | {dense['outputs']} | {len(dense['neural_processors'])} |"
        for layer in model["layers"]
        for dense in layer["dense"]
    ]
    work = "\n".join(f"- {name.removesuffix('_per_sample').replace('_', ' ')}: {value}" for name, value in model["work_per_sample"].items())
    return "\n".join(
        [
            f"# A CfC for {model['chip']['title']}",
            "",
            f"Weights of {model['weight_bits']} bits, activations of {model['activation_bits']} bits, "
            f"{len(model['neural_processors'])} neural processors.",
            "`model.json` describes everything in order of execution; `weights.npz` (see `numpy.load`) holds the arrays that it names.",
            "It is a description for people and scripts, written from public documents, not a file of the vendor's tools.",
            "",
            "## Dense layers on the chip",
            "",
            "A matrix has the shape (inputs, outputs); code = clip(floor((sum - threshold) / activation_step), 0, highest).",
            "",
            "| layer | inputs | outputs | neural processors |",
            "|---|---|---|---|",
            *rows,
            "",
            "## One sample",
            "",
            *(f"{number}. {step}" for number, step in enumerate(model["sample"], start=1)),
            "",
            "State words start at 0. The programs' sources and the meaning of their primitives stand in `model.json`.",
            "",
            "## Work per sample",
            "",
            work,
            "",
        ]
    )
