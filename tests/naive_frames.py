"""The obvious twin of `event_sim.frames`: one window, plain Python integers, true division, no vectors."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from liquid_neuro.quantized_network import Population, QuantizedNetwork


def half_up(number: int, amount: int) -> int:
    """number / 2**amount rounded half up, in integers."""
    return (2 * number + 2**amount) // (2 * 2**amount)


def encode(population: Population, words: list[int]) -> list[int]:
    """The codes of words: the nearest multiple of the step above the origin, within 0 .. highest."""
    parameters = {name: values.tolist() for name, values in population.parameters.items()}
    codes = []
    for unit, word in enumerate(words):
        steps = half_up((word - parameters["origin"][unit]) * parameters["multiplier"][unit], parameters["shift"][unit])
        codes.append(max(0, min(steps, parameters["highest"][unit])))
    return codes


def dense(quantized: QuantizedNetwork, population: Population, codes: dict[str, list[int]]) -> list[int]:
    """A dense layer's codes: whole activation steps above the threshold, within 0 .. highest."""
    sums = [0] * population.size
    for projection in quantized.projections:
        if projection.target_population == population.name:
            for source, target, weight in zip(projection.source.tolist(), projection.target.tolist(), projection.weight.tolist()):
                sums[target] += weight * codes[projection.source_population][source]
    parameters = {name: values.tolist() for name, values in population.parameters.items()}
    result = []
    for unit, total in enumerate(sums):
        steps = (total - parameters["threshold"][unit]) // parameters["activation_step"][unit]
        result.append(max(0, min(steps, parameters["highest"][unit])))
    return result


def gate(population: Population, heads: dict[str, list[int]], words: list[int], timespan: int) -> list[int]:
    """The new state words of a layer."""
    if timespan == 0:
        return list(words)
    tables = {name: values.tolist() for name, values in population.tables.items()}
    new = []
    for unit in range(population.size):
        codes = len(tables["tanh_1"]) // population.size
        own = {name: tables[name][codes * unit : codes * (unit + 1)] for name in ("tanh_1", "tanh_2", "drive_a", "drive_b")}
        first, second = own["tanh_1"][heads["ff1"][unit]], own["tanh_2"][heads["ff2"][unit]]
        drive = half_up(own["drive_a"][heads["time_a"][unit]] * timespan, 10) + own["drive_b"][heads["time_b"][unit]]
        opening = tables["sigmoid"][max(0, min(half_up(drive, 5) + 256, 511))]
        moved = second if population.program.endswith("no_gate") else second - first
        new.append(max(population.state.lowest, min(first + half_up(opening * moved, 15), population.state.highest)))
    return new


def run(quantized: QuantizedNetwork, x: Any, timespans: Any = None, initial: Any = None) -> tuple[list[list[int]], Counter[str]]:
    """State words after every sample of one window x (time, inputs), and how many codes that were not 0 each projection received."""
    layers = [
        population.name.removesuffix(".state") for population in quantized.populations if population.program.startswith("cfc_heads.host")
    ]
    sizes = [quantized.population(f"{layer}.state").size for layer in layers]
    flat = [0] * sum(sizes) if initial is None else [int(word) for word in initial]
    states = {layer: flat[sum(sizes[:k]) : sum(sizes[: k + 1])] for k, layer in enumerate(layers)}
    codes = {f"{layer}.code": encode(quantized.population(f"{layer}.code"), states[layer]) for layer in layers}
    word, events, history = quantized.input_format, Counter[str](), []
    for step, row in enumerate(x):
        span = 1.0 if timespans is None else float(timespans[step])
        raw = [max(word.lowest, min(math.floor(float(value) * 2.0**word.fraction_bits + 0.5), word.highest)) for value in row]
        codes["input.code"] = encode(quantized.population("input.code"), raw)
        for layer in layers:
            for population in quantized.populations:
                if population.program == "cfc_heads.head" and population.name.rpartition(".")[0] == layer:
                    codes[population.name] = dense(quantized, population, codes)
            units = quantized.population(f"{layer}.state").size
            heads = {
                name: codes[f"{layer}.heads"][k * units : (k + 1) * units] for k, name in enumerate(("ff1", "ff2", "time_a", "time_b"))
            }
            for number, projection in enumerate(quantized.projections):
                if projection.target_population.rpartition(".")[0] == layer:
                    active = {unit for unit, code in enumerate(codes[projection.source_population]) if code != 0}
                    events[str(number)] += sum(unit in active for unit in projection.source.tolist())
            states[layer] = gate(quantized.population(f"{layer}.state"), heads, states[layer], math.floor(span * 1024 + 0.5))
            codes[f"{layer}.code"] = encode(quantized.population(f"{layer}.code"), states[layer])
        history.append([value for layer in layers for value in states[layer]])
    return history, events
