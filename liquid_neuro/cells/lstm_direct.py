"""The direct form of mixed memory in integers: a sample without ticks (lstm_integer.py has the programs)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardware_profiles.fixed_point import round_shift, saturate
from liquid_neuro.cells.integer import sent_after, weighted_sum
from liquid_neuro.cells.lstm_formats import MapIntegers, MemoryFormats
from liquid_neuro.cells.lstm_integer import GATES, cell, cell_timed, output


def direct_memory(
    heard: Any,
    now: tuple[Any, ...],
    elapsed: Any,
    maps: MapIntegers,
    how: MemoryFormats,
    shown_shift: int,
    threshold: Any,
    constants: Mapping[str, Any],
) -> tuple[Any, ...]:
    """(words of the memory, its messages, those of h~) for the messages `heard` (…, inputs + units).

    elapsed: words of the sample's timespan where samples last differently long, else None. shown_shift: from the word of h~ to its message.
    """
    memory, cell_sent, shown_sent = now
    sums = {name: weighted_sum(heard, weight) for name, (weight, _) in maps.items()}
    biases = [maps[name][1] for name in GATES]
    multipliers, shifts = [how.gates[name].multiplier for name in GATES], [how.gates[name].shift for name in GATES]
    arguments: tuple[Any, ...] = (*biases, *multipliers, *shifts, 28 - how.cell.fraction_bits, constants["tanh"], constants["sigmoid"])
    arrived: tuple[Any, ...] = tuple(sums[name] for name in GATES)
    if elapsed is not None:
        arrived = (*arrived, elapsed)
    new = (cell if elapsed is None else cell_timed)(memory, *arrived, *arguments)
    memory = saturate(new, how.cell.bits)
    cell_sent = sent_after(round_shift(memory, how.message_shift), cell_sent, threshold)
    gate, (_, bias) = how.gates["output_gate"], maps["output_gate"]
    affine = (1 << (12 - how.message.fraction_bits), bias, gate.multiplier, gate.shift, 28 - how.state.fraction_bits)
    shown = output(0, cell_sent, sums["output_gate"], *affine, constants["tanh"], constants["sigmoid"])
    return memory, cell_sent, sent_after(round_shift(saturate(shown, how.state.bits), shown_shift), shown_sent, threshold)
