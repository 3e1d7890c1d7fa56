"""Formats of the mixed memory of an LTC in integers: messages that inputs and states share, and the memory's own words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hardware_profiles import HardwareProfile
from hardware_profiles.fixed_point import QFormat
from liquid_neuro.cells.lstm import LSTMValues
from liquid_neuro.cells.lstm_formats import memory_integers, memory_maps
from liquid_neuro.cells.ltc import LTCValues
from liquid_neuro.cells.ltc_formats import LTCFormats, turns_before
from liquid_neuro.network import FloatArray
from mappers.quantization import Choices, sum_bits, weight_bits
from mappers.quantization_memory import MemoryTrace, memory_formats, most_fraction

FEWEST_MESSAGE_FRACTION = 4


def shared_message(lstm: LSTMValues, message: QFormat, choices: Choices, profile: HardwareProfile) -> QFormat:
    """The neurons' messages with no more fraction bits than the memory's sums can hold, for inputs of as many; ValueError where too few."""
    step = 2 << (8 - weight_bits(choices, profile))
    room, ranges = 2.0 ** (sum_bits(profile) - 1) - 1, _ranges(lstm, message, choices)
    fits = min(most_fraction(weight, ranges, 254 - 254 % step, room) for weight, _ in memory_maps(lstm).values())
    fraction = int(np.floor(min(fits, message.fraction_bits)))
    if fraction < FEWEST_MESSAGE_FRACTION or ("message" in choices.bits and fraction < message.fraction_bits):
        asked = message.fraction_bits if "message" in choices.bits else FEWEST_MESSAGE_FRACTION
        raise ValueError(
            f"messages must have {asked} fraction bits or more, but of what the memory hears {sum_bits(profile)}-bit sums hold "
            f"{max(int(np.floor(fits)), 0)}; reduce the range of the inputs, the fan-in or the bits"
        )
    return QFormat(message.bits - message.fraction_bits + fraction, fraction)


def _ranges(lstm: LSTMValues, message: QFormat, choices: Choices) -> FloatArray:
    """The largest |message| of each column that the memory hears: inputs, then states."""
    units, columns = lstm.recurrent_weight.shape[1], lstm.input_weight.shape[1]
    return np.concatenate([np.full(columns, choices.input_bound), np.full(units, 2.0 ** (message.bits - 1 - message.fraction_bits))])


def with_memory(values: LTCValues, formats: LTCFormats, trace: MemoryTrace | None, choices: Choices) -> tuple[LTCFormats, dict[str, Any]]:
    """Formats with those of the memory, and notes: what was chosen, weights that round to nothing. Unchanged without mixed memory."""
    if values.lstm is None or trace is None:
        return formats, {}
    ranges = _ranges(values.lstm, formats.message, choices)
    room = 2.0 ** (formats.accumulator_bits - 1) - 1
    memory, reason = memory_formats(values.lstm, trace, ranges, formats.message.fraction_bits, formats.weight_bits, room)
    before = turns_before(True, formats.exact)
    notes: dict[str, Any] = {"memory": f"{memory.cell}: {reason}; three compartments per unit, {before} turns before the sub-steps"}
    real, integers = memory_maps(values.lstm), memory_integers(values.lstm, memory, formats.driven_step)
    lost = {f"memory.{gate}": int(((real[gate][0] != 0) & (integers[gate][0] == 0)).sum()) for gate in real}
    notes["lost_weights"] = {gate: count for gate, count in lost.items() if count}
    threshold = choices.thresholds.get("memory", 1)
    return replace(formats, memory=memory, memory_threshold=threshold, input_bound=choices.input_bound), notes
