"""Export to Lava (lava-nc 0.10.0): a self-contained folder whose run.py computes exactly what the chip simulator computes.

Populations become processes that run the cells' own integer programs, projections become Lava's own Sparse or Dense with explicit sign
mode and message width. The exported graph and the simulator are compared value by value with `mappers.exporters.lava_compare.compare`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import tempfile
import weakref
from collections.abc import Mapping as MappingOf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.cells.cfc_library import LibraryFormats
from liquid_neuro.quantized_network import IntArray, Population, Projection, QuantizedNetwork
from mappers.exporters import ExportError, lava_sources
from mappers.exporters.lava_checks import check
from mappers.exporters.lava_compare import LavaComparison, compare, host_rows, lava_here
from mappers.exporters.proof_notes import failed_obligations, told

if TYPE_CHECKING:
    from mappers.mapping import Mapping

__all__ = ["LavaComparison", "compare", "library_mapping", "to_lava", "write"]

LAVA_VERSION = "0.10.0"
CONNECTIONS = {"sparse": "Sparse", "dense": "Dense"}
PROCESSES = ("own", "library")
MOST_PROCESSES = 500
# Which of Lava's own processes a program is, and what it tells the recorder: the deltas it sends, or its value.
LIBRARY = {
    "": ("Delta", "deltas"),
    "lava.relu": ("SigmaDelta", "deltas"),
    "lava.sigma": ("Sigma", "values"),
    "lava.relay": ("GradedVec", "values"),
    "lava.product": ("ProdNeuron", "values"),
    "lava.hidden": ("Delta", "deltas"),
    "lava.delta": ("Delta", "deltas"),
}
Group = tuple[str, list[int], IntArray]


def write(
    mapping: Mapping,
    folder: Path,
    *,
    inputs: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
    samples: int = 100,
    connection: str = "sparse",
    processes: str = "own",
    by_core: bool = True,
    unproved: bool = False,
) -> None:
    """Fill an empty folder with the Lava graph of a mapped network.

    inputs: real network inputs (samples, channels) that run.py uses when it gets no others; a seeded random walk of `samples` rows if not
    given. timespans: model units of each sample (samples,) or all, for networks of irregular time.
    connection: "sparse" or "dense", Lava's process for the synapses. processes: "own", classes of the folder that run the programs, or
    "library", Lava's own neurons alone, which a CfC can be built from (`library_mapping` says how).
    by_core: one process for each core's share of a population, and one connection for each pair of them that synapses join; else one
    process for each population, and one for each projection.
    unproved: export although something is not proved to fit its word, with a warning; the README says what. A sum that leaves its
    accumulator saturates and is counted, as on the chip.

    Raises ExportError for what Lava cannot hold exactly: mappers/exporters/lava_checks.py.
    """
    if processes not in PROCESSES:
        raise ExportError(f'processes must be one of {", ".join(PROCESSES)}, but is "{processes}"')
    if connection not in CONNECTIONS:
        raise ExportError(f'connection must be one of {", ".join(CONNECTIONS)}, but is "{connection}"')
    real = _example_inputs(mapping.quantized, samples) if inputs is None else inputs
    library = processes == "library"
    if library and unproved:
        raise ExportError("unproved must be left out for Lava's own neurons, which do not saturate, but is True")
    rows = host_rows(mapping.quantized, real, timespans)
    if library:
        mapping = library_mapping(mapping, real)
        rows = host_rows(mapping.quantized, real)
    quantized = mapping.quantized
    proof = check(quantized, unproved=unproved, counted=not library)
    failures = failed_obligations(quantized, unproved)
    proof = f"{proof} {told(failures)}" if failures else proof
    groups = _groups(mapping, by_core)
    _check_processes(quantized, groups)
    np.savez(folder / "arrays.npz", **_arrays(quantized, groups, rows))  # type: ignore[arg-type]
    settings = _settings(quantized, groups, CONNECTIONS[connection], processes)
    (folder / "network.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    lava_sources.write_sources(folder, quantized, settings, proof)


def library_mapping(mapping: Mapping, inputs: npt.ArrayLike | None = None) -> Mapping:
    """The network in integers from Lava's own neurons alone, for the inputs, weights and time of this one, mapped to the same chip.

    It is another network than that of tables, with another error: simulate its `.quantized`, and compare the exported folder with that. A
    mapping of `mappers.quantize_library`'s result is returned as it is. inputs: real network inputs (samples, channels) on which its error
    is measured, into its notes. ExportError, saying why, where there is none.
    """
    from mappers.assignment import map_network
    from mappers.quantization_library import library_choices, quantize_library

    quantized = mapping.quantized
    if isinstance(quantized.formats, LibraryFormats):
        return mapping
    if quantized.elapsed is not None:
        raise ExportError("samples must all last equally long for Lava's own neurons, but the network takes irregular time")
    try:
        form = quantize_library(quantized.network, mapping.profile, calibration=inputs, **library_choices(quantized))
        return map_network(form, mapping.profile, seed=mapping.seed)
    except ValueError as error:
        raise ExportError(str(error)) from error


def to_lava(mapping: Mapping, inputs: npt.ArrayLike | None = None, record_into: Path | None = None, **options: Any) -> Any:
    """The network as live Lava processes in this interpreter (Python 3.10 with the `lava` extra): the Graph of network/graph.py.

    inputs: real network inputs (samples, channels); without them the graph hears your own processes. `graph.groups` are the processes by
    name; `graph.run(ticks)` and `graph.stop()` drive everything that is connected. options: those of `write`. Between processes of yours::

        graph = to_lava(mapping)
        sensor.s_out.connect(graph.groups["input"].values_in)     # whole numbers in quantized.input_format, at ticks ticks_per_sample k
        graph.groups["neuron"].probe.connect(motor.a_in)          # states at every tick; .spikes gives the deltas that are sent
        graph.run(quantized.ticks_per_sample * 100)               # your models need the tag fixed_pt
        graph.stop()

    The processes' source lies in a temporary folder that lives as long as the graph. ExportError where Lava cannot be imported.
    """
    if not lava_here():
        raise ExportError(
            f"lava must be importable for live processes, but Python {sys.version_info[0]}.{sys.version_info[1]} has none here; "
            f"use Python 3.10 with the lava extra, or export the folder and run it"
        )
    home = tempfile.TemporaryDirectory(prefix="liquid-neuro-lava-")
    folder = Path(home.name)
    write(mapping, folder, inputs=inputs, **options)
    name = f"lava_graph_{folder.name.rpartition('-')[2]}"
    package = folder / "network"
    spec = importlib.util.spec_from_file_location(name, package / "__init__.py", submodule_search_locations=[str(package)])
    if spec is None:
        raise ExportError(f"the exported package must be importable, but {package} is not")
    sys.modules[name] = importlib.util.module_from_spec(spec)
    _, arrays = importlib.import_module(f"{name}.content").read()
    graph = importlib.import_module(f"{name}.graph").build(None if inputs is None else arrays["inputs"], record_into=record_into)
    weakref.finalize(graph, home.cleanup)
    return graph


def _groups(mapping: Mapping, by_core: bool) -> dict[str, Group]:
    """Compartments that share a core: name -> (population, cores, compartments in order). A population in one group keeps its name."""
    groups = {}
    for population in mapping.quantized.populations:
        cores = np.asarray(mapping.core_of.get(population.name, ()), dtype=np.int64)
        if len(cores) != population.size:
            raise ExportError(
                f"core_of[{population.name}] must name {population.size} cores, but names {len(cores)}; map the network again"
            )
        distinct = np.unique(cores).tolist()
        if len(distinct) == 1 or not by_core:
            groups[population.name] = (population.name, distinct, np.arange(population.size))
            continue
        for core in distinct:
            groups[f"{population.name}_core_{core}"] = (population.name, [core], np.flatnonzero(cores == core))
    return groups


def _check_processes(quantized: QuantizedNetwork, groups: MappingOf[str, Group]) -> None:
    """Lava runs every process as one of the operating system, and each costs time at every tick."""
    number: dict[str, IntArray] = {population.name: np.zeros(population.size, dtype=np.int64) for population in quantized.populations}
    for index, (population, _, members) in enumerate(groups.values()):
        number[population][members] = index
    pairs = 0
    for projection in quantized.projections:
        ends = number[projection.source_population][projection.source], number[projection.target_population][projection.target]
        pairs += len(np.unique(np.stack(ends), axis=1).T)
    if len(groups) + pairs > MOST_PROCESSES:
        raise ExportError(
            f"the graph must have at most {MOST_PROCESSES} processes, but has {len(groups)} groups of compartments and {pairs} "
            f"connections; say by_core=False, or map to fewer cores"
        )


def _example_inputs(quantized: QuantizedNetwork, samples: int) -> npt.NDArray[np.float64]:
    """A seeded random walk inside the input's format: something to run at once, not data."""
    steps = np.random.default_rng(0).normal(0.0, 0.1, (samples, quantized.network.inputs))
    limit = min(1.0, float(quantized.input_format.to_real(quantized.input_format.highest)))
    return np.clip(np.cumsum(steps, axis=0), -limit, limit)


def _arrays(quantized: QuantizedNetwork, groups: MappingOf[str, Group], rows: IntArray) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {"inputs": rows}
    for population in quantized.populations:
        for kind, values in (("parameters", population.parameters), ("tables", population.tables)):
            for name, value in values.items():
                arrays[f"{population.name}/{kind}/{name}"] = np.asarray(value, dtype=np.int64)
    for index, projection in enumerate(quantized.projections):
        for part in ("source", "target", "weight"):
            arrays[f"projection_{index}/{part}"] = np.asarray(getattr(projection, part), dtype=np.int64)
    for name, (_, _, members) in groups.items():
        arrays[f"groups/{name}"] = members
    arrays["output/compartments"] = np.asarray(quantized.output_compartments, dtype=np.int64)
    arrays["output/gain"] = np.asarray(quantized.output_gain, dtype=np.float64)
    arrays["output/offset"] = np.asarray(quantized.output_offset, dtype=np.float64)
    return arrays


def _settings(quantized: QuantizedNetwork, groups: MappingOf[str, Group], connection: str, processes: str) -> dict[str, Any]:
    sources = {population.name: population for population in quantized.populations}
    return {
        "profile": quantized.profile,
        "target": str(quantized.target),
        "lava": LAVA_VERSION,
        "ticks_per_sample": quantized.ticks_per_sample,
        "read_tick": quantized.read_tick,
        "accumulator_bits": quantized.accumulator_bits,
        "input_lsb": quantized.input_format.lsb,
        "output_population": quantized.output_population,
        "output_lsb": sources[quantized.output_population].state.lsb,
        "processes": processes,
        "populations": [_population_settings(quantized, population, processes) for population in quantized.populations],
        "projections": [_projection_settings(projection, sources, connection, processes) for projection in quantized.projections],
        "groups": [{"name": name, "population": population, "cores": cores} for name, (population, cores, _) in groups.items()],
    }


def _population_settings(quantized: QuantizedNetwork, population: Population, processes: str) -> dict[str, Any]:
    source = not population.program
    process = "Input" if source else lava_sources.process_name(population.program)
    tells = "both"
    if processes == "library":
        process, tells = LIBRARY[population.program]
    return {
        "name": population.name,
        "program": population.program,
        "process": process,
        "tells": tells,
        "size": population.size,
        "ports": [] if source else list(lava_sources.program(population.program).ports),
        "parameters": list(population.parameters),
        "tables": list(population.tables),
        "state_bits": population.state.bits,
        "state_fraction_bits": population.state.fraction_bits,
        "state_lowest": population.state.lowest,
        "state_highest": population.state.highest,
        "accumulator_bits": quantized.accumulator_bits,
        "prediction": population.prediction,
        "message_shift": population.message_shift,
        "message_bits": population.message_bits,
        "threshold": population.threshold,
        "first_tick": 0 if source else population.first_tick,
        "period": quantized.ticks_per_sample if source else population.period,
        "labels": list(population.labels),
        # Where a population of the host finds its numbers in a row of inputs, and for how many ticks it holds the last one.
        "column": sum(other.size for other in quantized.populations[: quantized.populations.index(population)] if not other.program),
        "holds": quantized.read_tick + 1,
    }


def _projection_settings(projection: Projection, sources: MappingOf[str, Population], connection: str, processes: str) -> dict[str, Any]:
    # Only synapses that carry values divide, never those that carry deltas: the floor of each delta would stay in the sum.
    shift = sources[projection.target_population].parameters.get("shift") if processes == "library" else None
    return {
        "source": projection.source_population,
        "target": projection.target_population,
        "port": projection.port,
        "process": connection,
        "sign_mode": projection.sign_mode,
        "weight_bits": projection.weight_bits,
        "weight_exp": 0 if shift is None else -int(shift[0]),
        # What travels is the difference of two message values, one bit wider than they are.
        "payload_bits": sources[projection.source_population].message_bits + 1,
    }
