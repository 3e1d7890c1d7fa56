"""CfC as dense heads for chips of the Akida 1 class: streams, mapping, export, training."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import naive_frames
import numpy as np
import pytest
from akida_networks import PROFILE, SHAPES, quantized_of, samples_of

import liquid_neuro
import mappers
from event_sim import EventStream, frames, simulate
from liquid_neuro import Wiring
from mappers.exporters import ExportError
from mappers.quantization_akida import quantize_akida


@pytest.fixture(scope="module")
def quantized() -> dict[str, Any]:
    return {shape: quantized_of(shape) for shape in SHAPES}


# --- streams and mapping ------------------------------------------------------------------------------------------------------------------


def stream_of(x: Any, sample_s: float = 60.0) -> EventStream:
    return EventStream.from_samples(x, sample_s=sample_s, time_unit_s=60.0)


def minutes(network: Any) -> Any:
    """The same network with a time unit of 60 s."""
    return dataclasses.replace(network, network=dataclasses.replace(network.network, time_unit_s=60.0))


@pytest.mark.parametrize("shape", SHAPES)
def test_stream_equals_window(shape: str, quantized: dict[str, Any]) -> None:
    x = samples_of(7, windows=1, steps=40)
    network = minutes(quantized[shape])
    recording = simulate(network, stream_of(x[0]))
    assert np.array_equal(recording.output_samples, frames.frame_samples(network, x)[0])
    assert recording.engine == "frames"
    assert recording.state.shape == (41, network.network.units)


def test_a23_two_chunks_equal_one_run(quantized: dict[str, Any]) -> None:
    network, stream = minutes(quantized["ncp"]), stream_of(samples_of(8, windows=1, steps=30)[0])
    whole = simulate(network, stream)
    first = simulate(network, stream, until=13 * 60.0)
    second = simulate(network, stream, initial=first.final)
    assert np.array_equal(np.concatenate([first.state, second.state[1:]]), whole.state)
    assert np.array_equal(first.event_counts + second.event_counts, whole.event_counts)
    assert first.stored_synaptic_operations + second.stored_synaptic_operations == whole.stored_synaptic_operations


def test_irregular_stream_takes_its_elapsed_times(quantized: dict[str, Any]) -> None:
    x, spans = samples_of(9, windows=1, steps=8), np.array([1.0, 0.5, 3.0, 0.0, 1.0, 8.0, 0.25, 1.0])
    network = quantized["one layer"]
    recording = simulate(network, EventStream.from_samples(x[0], timespans=spans))
    assert np.array_equal(recording.output_samples, frames.frame_samples(network, x, spans[None])[0])


@pytest.mark.parametrize("shape", ["ncp", "relu backbone", "projection"])
def test_events_and_operations_are_those_of_the_naive_twin(shape: str, quantized: dict[str, Any]) -> None:
    x = samples_of(10, windows=1, steps=25)
    recording = simulate(quantized[shape], EventStream.from_samples(x[0], sample_s=1.0))
    _, counted = naive_frames.run(quantized[shape], x[0])
    activity = recording.activity
    on_chip = [k for k, p in enumerate(quantized[shape].projections) if p.target_population != "output"]
    assert [int(activity.stored_operations[k]) for k in on_chip] == [counted[str(k)] for k in on_chip]
    assert recording.stored_synaptic_operations == sum(counted[str(k)] for k in on_chip)
    assert recording.clocked_synaptic_operations == 25 * quantized[shape].notes["products_per_sample"]
    assert recording.event_counts.sum() == sum(
        activity.spikes[name].sum() for name in activity.spikes if name.endswith(".code") and name != "input.code"
    )
    assert len(recording.events) == recording.event_counts.sum()


def test_a26_products_are_those_of_the_dense_layers() -> None:
    """AutoNCP(19, 1) with 3 inputs: the float cell has 2 x 228 masked and 2 x 288 dense products; the chip's matrices store 4 x 288."""
    network = quantize_akida(liquid_neuro.cfc(Wiring.auto_ncp(3, 19, 1)), PROFILE, samples_of(1))
    assert network.notes["products_per_sample"] == 4 * 288
    assert network.notes["host_round_trips_per_sample"] == 3
    assert network.notes["codes_from_chip_per_sample"] == 4 * 19


def test_mapping_uses_one_neural_processor_per_layer(quantized: dict[str, Any]) -> None:
    mapping = mappers.map_network(quantized["ncp"], PROFILE)
    assert mapping.cores == 3
    assert mappers.check(mapping) == []
    assert mappers.map_network(quantized["projection"], PROFILE).cores == 1


# --- export -------------------------------------------------------------------------------------------------------------------------------


def run_description(folder: Any, x: Any) -> list[list[float]]:
    """Runs an exported folder from nothing but its files: the programs' sources with the primitives that it explains."""
    model = json.loads((folder / "model.json").read_text())
    arrays = np.load(folder / "weights.npz")
    clip = lambda value, low, high: np.minimum(np.maximum(value, low), high)
    primitives = {
        "Any": Any,
        "clip": clip,
        "floor_shift": lambda value, amount: value // 2**amount,
        "round_shift": lambda value, amount: (value + 2**amount // 2) // 2**amount,
        "look_up": lambda table, index: table[index],
        "select": np.where,
    }
    programs: dict[str, Any] = {}
    for name, source in model["programs"].items():
        scope = dict(primitives)
        exec(source, scope)
        programs[name] = scope[name.rpartition(".")[2]]

    def vectors(item: Any) -> list[Any]:
        return [arrays[name] for name in item["parameters"].values()]

    def encode(item: Any, word: Any) -> Any:
        return programs[item["program"]](0, word, *vectors(item))

    words = {layer["name"]: np.zeros(len(layer["units"]), dtype=np.int64) for layer in model["layers"]}
    codes = {f"{layer['name']}.code": encode(layer["code"], words[layer["name"]]) for layer in model["layers"]}
    outputs = []
    for row in x:
        codes["input.code"] = encode(
            model["input"]["code"], np.floor(row * 2 ** model["input"]["word"]["fraction_bits"] + 0.5).astype(np.int64)
        )
        for layer in model["layers"]:
            for dense in layer["dense"]:
                read = np.concatenate([codes[name] for name in dense["input"]])
                codes[dense["name"]] = programs[dense["program"]](0, read @ arrays[dense["weight"]].astype(np.int64), *vectors(dense))
            host, name = layer["host"], layer["name"]
            tables = [np.array(table) for table in host["tables"].values()]
            words[name] = programs[host["program"]](
                words[name], *np.split(codes[f"{name}.heads"], 4), model["timespan"]["of_one_unit"], *vectors(host), *tables
            )
            codes[f"{name}.code"] = encode(layer["code"], words[name])
        output, word = model["output"], words[name]
        if "weight" in output:
            word = programs[output["program"]](0, word @ arrays[output["weight"]].astype(np.int64), *vectors(output))
        outputs.append((word * 2.0 ** -output["fraction_bits"]).tolist())
    return outputs


@pytest.mark.parametrize("shape", SHAPES)
def test_exported_folder_computes_the_same(shape: str, quantized: dict[str, Any], tmp_path: Any) -> None:
    mapping = mappers.map_network(quantized[shape], PROFILE)
    result = mappers.export(mapping, "akida", tmp_path / "chip")
    assert sorted(result.files) == ["README.md", "model.json", "weights.npz"]
    x = samples_of(11, windows=1, steps=20)
    assert run_description(tmp_path / "chip", x[0]) == frames.frame_samples(quantized[shape], x)[0].tolist()


def test_export_is_deterministic(quantized: dict[str, Any], tmp_path: Any) -> None:
    mapping = mappers.map_network(quantized["ncp"], PROFILE)
    first, second = (mappers.export(mapping, "akida", tmp_path / name).files for name in ("a", "b"))
    assert first == second


def test_a20_an_export_that_breaks_a_rule_writes_nothing(quantized: dict[str, Any], tmp_path: Any) -> None:
    mapping = mappers.map_network(quantized["ncp"], PROFILE)
    small = dataclasses.replace(mapping, profile=PROFILE.replace({"neural.max_inputs": 8}))
    with pytest.raises(ExportError, match=r"inputs of layer inter.heads must be at most 8 \(max_inputs\), but are 10"):
        mappers.export(small, "akida", tmp_path / "chip")
    assert not (tmp_path / "chip").exists()
    wide = tuple(dataclasses.replace(p, weight=p.weight * 2) for p in quantized["ncp"].projections)
    with pytest.raises(ExportError, match=r"must lie in -7 \.\. 7, but reach -14 \.\. 14"):
        mappers.export(
            dataclasses.replace(mapping, quantized=dataclasses.replace(quantized["ncp"], projections=wide)), "akida", tmp_path / "chip"
        )
    assert not (tmp_path / "chip").exists()


# --- training -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["no gate", "relu backbone", "projection"])
def test_training_computes_what_the_chip_computes(shape: str, quantized: dict[str, Any]) -> None:
    pytest.importorskip("jax")
    import jax
    import jax.numpy as jnp

    from liquid_neuro.training.akida_forward import akida_forward
    from liquid_neuro.training.forward import precision

    network, x = quantized[shape], samples_of(12, windows=4)
    generator = np.random.default_rng(0)
    moved = network.network.with_parameters({k: v + generator.normal(0, 0.2, v.shape) for k, v in network.network.parameters.items()})
    again = quantize_akida(moved, PROFILE, formats=network.formats)
    forward = akida_forward(network)

    def loss(parameters: Any, inputs: Any) -> Any:
        outputs, messages = forward.function(parameters, {}, inputs)
        return jnp.mean(outputs**2), (outputs, messages)

    with precision(forward.double):
        parameters = {name: jnp.asarray(value) for name, value in moved.parameters.items()}
        gradient, (outputs, messages) = jax.jit(jax.grad(loss, has_aux=True))(parameters, jnp.asarray(x))
    assert np.array_equal(np.asarray(outputs), frames.frame_samples(again, x))
    assert float(messages) > 0
    assert all(np.isfinite(np.asarray(value)).all() for value in gradient.values())
    assert all(np.abs(np.asarray(value)).max() > 0 for name, value in gradient.items() if name.endswith("weight"))


def test_a28_gradient_at_the_ends_of_a_clip() -> None:
    pytest.importorskip("jax")
    import jax
    import jax.numpy as jnp

    from liquid_neuro.training import akida_forward as module

    x = jnp.array([-3.0, -2.0, -0.13, 0.1, 1.75, 2.5])
    four_bits = lambda value: module.PRIMITIVES["clip"](module.round_straight_through(value * 4), -8.0, 7.0) / 4
    assert four_bits(x).tolist() == [-2.0, -2.0, -0.25, 0.0, 1.75, 1.75]
    assert jax.grad(lambda value: four_bits(value).sum())(x).tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]
