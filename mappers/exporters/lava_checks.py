"""What must hold before a network may be exported to Lava, because Lava itself would change it without a word."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from liquid_neuro.quantized_network import IntArray, Population, Projection, QuantizedNetwork
from mappers.exporters import ExportError
from mappers.exporters.lava_sources import program
from mappers.proofs.intervals import message_ranges, sum_range

SIGN_MODES = ("excitatory", "inhibitory", "mixed")
WEIGHT_WORD_BITS = 8
LAVA_SUM_BITS = 32
MOST_NAMED = 5


def weight_format(weight: npt.ArrayLike, sign_mode: str, weight_bits: int = 8) -> IntArray:
    """The weights that Lava 0.10.0 makes of these: clipped to the sign mode's range, low bits dropped by floor.

    mixed: [-256, 255], multiples of 2**(9 - bits); excitatory: [0, 255], multiples of 2**(8 - bits); inhibitory: [-255, 0], truncated
    toward 0. Equal to clip_weights and truncate_weights of lava.utils.weightutils. Idempotent: its fixed points survive an export.
    """
    if sign_mode not in SIGN_MODES:
        raise ValueError(f'sign_mode must be one of {", ".join(SIGN_MODES)}, but is "{sign_mode}"')
    if not 1 <= weight_bits <= WEIGHT_WORD_BITS:
        raise ValueError(f"weight_bits must be 1 to {WEIGHT_WORD_BITS}, but is {weight_bits}")
    value = np.asarray(weight, dtype=np.int64)
    mixed = sign_mode == "mixed"
    if sign_mode == "inhibitory":
        value = -value
    value = np.clip(value, -(1 << WEIGHT_WORD_BITS) if mixed else 0, (1 << WEIGHT_WORD_BITS) - 1)
    dropped = WEIGHT_WORD_BITS - weight_bits + mixed
    value = (value >> dropped) << dropped
    return -value if sign_mode == "inhibitory" else value


def lost_synapses(projection: Projection) -> IntArray:
    """Positions in the projection's synapse list whose weight is 0, or becomes 0 in Lava's weight format: such synapses vanish."""
    return np.flatnonzero(weight_format(projection.weight, projection.sign_mode, projection.weight_bits) == 0)


def check(quantized: QuantizedNetwork, unproved: bool = False, counted: bool = True) -> str:
    """What is proved about the widths of sums, in a sentence. ExportError, naming the place, for what Lava would compute differently.

    counted: whether the processes saturate as the simulator does, and count it.
    """
    if quantized.kind != "loihi":
        raise ExportError(f'kind must be "loihi" for Lava, but is "{quantized.kind}" ({quantized.profile}); quantise for loihi2')
    sources = [population.name for population in quantized.populations if not population.program]
    if sources not in (["input"], ["input", "elapsed"]):
        raise ExportError(f'the host\'s populations must be "input" and, where time is irregular, "elapsed", but are {", ".join(sources)}')
    for projection in quantized.projections:
        _check_weights(quantized, projection)
    for population in quantized.populations:
        _check_words(population)
        if population.program:
            program(population.program)
    return _check_sums(quantized, unproved, counted)


def _check_sums(quantized: QuantizedNetwork, unproved: bool, counted: bool) -> str:
    """A running sum of deltas is sum(weight * last sent); what arrives in one tick is at most sum(|weight| * range of the message)."""
    ranges = message_ranges(quantized)
    proved = True
    for target, port in dict.fromkeys((projection.target_population, projection.port) for projection in quantized.projections):
        labels = quantized.population(target).labels
        step = np.zeros(len(labels), dtype=np.int64)
        for projection in quantized.projections:
            if (projection.target_population, projection.port) == (target, port):
                lowest, highest = ranges[projection.source_population]
                np.add.at(step, projection.target, np.abs(projection.weight) * (highest - lowest)[projection.source])
        worst = int(np.argmax(step))
        if step[worst] >= 1 << (LAVA_SUM_BITS - 1):
            raise ExportError(f"{target}.{port} of {labels[worst]} must fit Lava's 32-bit sums, but one tick may bring {step[worst]}")
        low, high = sum_range(quantized, ranges, target, port)
        reach = np.maximum(-low - 1, high)
        worst = int(np.argmax(reach))
        if reach[worst] < 1 << (quantized.accumulator_bits - 1):
            continue
        proved = False
        if not unproved:
            raise ExportError(
                f"{target}.{port} of {labels[worst]} must fit {quantized.accumulator_bits} bits, but may reach {low[worst]} to "
                f"{high[worst]} ({int(reach[worst]).bit_length() + 1} bits); use fewer message bits or smaller weights, or say "
                f"unproved=True"
            )
    lowest, highest = ranges["input"]
    bound = quantized.input_format.lsb * max(int(-lowest.min(initial=0)), int(highest.max(initial=0)))
    word, beyond = f"{quantized.accumulator_bits} bits", "it then saturates, which is counted."
    if not counted:
        beyond = "Lava's own processes do not saturate as the simulator does."
    if proved:
        return f"Proved: no running sum leaves its {word} for inputs up to {bound:.4g} in magnitude; with larger ones {beyond}"
    return f"Not proved: a running sum may leave its {word}; {beyond}"


def _check_weights(quantized: QuantizedNetwork, projection: Projection) -> None:
    place = f"{projection.source_population} to {projection.target_population}.{projection.port}"
    lost = lost_synapses(projection)
    if len(lost):
        raise ExportError(
            f"weights of {place} must not be 0 in Lava's format, but {len(lost)} synapses would be lost: "
            f"{_named(quantized, projection, lost)}; remove them first"
        )
    kept = weight_format(projection.weight, projection.sign_mode, projection.weight_bits)
    changed = np.flatnonzero(kept != projection.weight)
    if len(changed):
        raise ExportError(
            f"weights of {place} must be on the grid of Lava's {projection.weight_bits}-bit {projection.sign_mode} format, "
            f"but {len(changed)} would change: "
            f"{_named(quantized, projection, changed, kept)}; round them to that grid first"
        )


def _named(quantized: QuantizedNetwork, projection: Projection, positions: IntArray, kept: IntArray | None = None) -> str:
    sources = quantized.population(projection.source_population).labels
    targets = quantized.population(projection.target_population).labels
    names = []
    for position in positions[:MOST_NAMED]:
        becomes = "" if kept is None else f" becomes {kept[position]}"
        source, target = sources[projection.source[position]], targets[projection.target[position]]
        names.append(f"{source} to {target} ({projection.weight[position]}{becomes})")
    return ", ".join(names) + (", …" if len(positions) > MOST_NAMED else "")


def _check_words(population: Population) -> None:
    if population.state.bits > LAVA_SUM_BITS - 1:
        raise ExportError(f"state of {population.name} must fit Lava's ports of {LAVA_SUM_BITS} bits, but has {population.state.bits}")
    if population.message_bits < 1:
        raise ExportError(f"message_bits of {population.name} must be at least 1, but is {population.message_bits}")
