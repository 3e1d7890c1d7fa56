"""The tables of a hardware profile as strict models: every number carries its uncertainty, a confidence and a source."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hardware_profiles.cost import Range

Confidence = Literal["measured", "published", "derived", "assumed"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Sourced(Strict):
    confidence: Confidence
    source: str = Field(min_length=3)


class Quantity(Sourced):
    """An uncertain number: low <= typical <= high, all finite and not negative."""

    low: float
    typical: float
    high: float

    @model_validator(mode="before")
    @classmethod
    def _one_value(cls, data: Any) -> Any:
        """`value = x` stands for low = typical = high = x."""
        if isinstance(data, dict) and "value" in data and not {"low", "typical", "high"} & set(data):
            data = dict(data)
            value = data.pop("value")
            data.update(low=value, typical=value, high=value)
        return data

    @field_validator("low", "typical", "high", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _ordered(self) -> Quantity:
        numbers = (self.low, self.typical, self.high)
        if not all(math.isfinite(number) and number >= 0 for number in numbers):
            raise ValueError(
                f"low, typical, high must be finite and not negative, but are {', '.join(f'{number:g}' for number in numbers)}"
            )
        if not self.low <= self.typical <= self.high:
            raise ValueError(f"low <= typical <= high must hold, but they are {self.low:g}, {self.typical:g}, {self.high:g}")
        return self

    @property
    def range(self) -> Range:
        """The three numbers as a Range."""
        return Range(self.low, self.typical, self.high)


class Limit(Sourced):
    """A count that the chip does not exceed."""

    value: int = Field(ge=0)


class Choices(Sourced):
    """The values that the chip offers."""

    values: list[int] = Field(min_length=1)


class Words(Strict):
    """Word lengths of the arithmetic."""

    weight_bits: Choices
    accumulator_bits: Limit
    state_bits: Limit
    message_bits: Limit
    activation_bits: Choices | None = None


class Power(Strict):
    """Static power. `contains` says what is inside the figure (chip, embedded processors, board)."""

    static_power_w: Quantity
    contains: str = Field(min_length=3)
    supply_v: Quantity | None = None
    sleep_power_w: Quantity | None = None


class Mesh(Strict):
    """Loihi class: tiles of cores on a mesh with XY routing."""

    cores: Limit
    tiles_wide: Limit
    tiles_high: Limit
    cores_per_tile: Limit

    @model_validator(mode="after")
    def _holds_cores(self) -> Mesh:
        slots = self.tiles_wide.value * self.tiles_high.value * self.cores_per_tile.value
        if self.cores.value > slots:
            raise ValueError(f"cores must be at most tiles_wide x tiles_high x cores_per_tile = {slots}, but is {self.cores.value}")
        return self


class CoreLimits(Strict):
    """Loihi class: what one core holds, and the bits that each thing takes of its memory."""

    compartments_per_core: Limit
    input_axons_per_core: Limit
    output_axons_per_core: Limit
    memory_per_core_bits: Limit
    synapse_index_bits: Quantity
    state_word_bits: Quantity
    parameter_word_bits: Quantity
    table_word_bits: Quantity
    axon_entry_bits: Quantity


class CoreEnergy(Strict):
    """Loihi class: energy per event, joules."""

    compartment_access_j: Quantity
    compartment_update_j: Quantity
    spike_j: Quantity
    message_j: Quantity
    message_received_j: Quantity
    synaptic_operation_j: Quantity
    tile_message_j: Quantity
    hop_east_west_j: Quantity
    hop_north_south_j: Quantity
    tick_j: Quantity


class CoreTime(Strict):
    """Loihi class: time per event, seconds. The barrier is a table: from so many mapped tiles on, so long."""

    compartment_access_s: Quantity
    compartment_update_s: Quantity
    spike_s: Quantity
    message_s: Quantity
    message_received_s: Quantity
    synaptic_operation_s: Quantity
    link_message_s: Quantity
    barrier_from_tiles_s: dict[str, Quantity]
    host_tick_s: Quantity

    @field_validator("barrier_from_tiles_s")
    @classmethod
    def _starts_at_one(cls, table: dict[str, Quantity]) -> dict[str, Quantity]:
        if "1" not in table or not all(key.isdigit() and int(key) > 0 for key in table):
            raise ValueError(f'keys must be numbers of tiles and "1" must be one of them, but they are {", ".join(sorted(table))}')
        return table

    def barrier(self, tiles: int) -> Range:
        """The barrier of a tick on so many mapped tiles: the entry with the largest key not above it."""
        keys = [int(key) for key in self.barrier_from_tiles_s if int(key) <= max(tiles, 1)]
        return self.barrier_from_tiles_s[str(max(keys))].range


class Neural(Strict):
    """Akida class: neural processors, limits of a fully connected layer, energy and time by events.

    stateful_channels_max: given where the chip keeps recurrent state itself; its width is then a power of two up to that number.
    dense_layers_max: given where the chip limits their number (0: it has none).
    """

    nodes: Limit
    neural_processors: Limit
    max_inputs: Limit
    max_outputs_per_processor: Limit
    memory_per_processor_bits: Limit
    clock_hz: Quantity
    synaptic_operation_j: Quantity
    input_event_j: Quantity
    cycles_per_synaptic_operation: Quantity
    cycles_per_layer: Quantity
    host_round_trip_s: Quantity
    stateful_channels_max: Limit | None = None
    dense_layers_max: Limit | None = None


class Processor(Strict):
    """A processor that runs integer code: a microcontroller target, or the host of a chip."""

    clock_hz: Quantity
    energy_per_cycle_j: Quantity
    sleep_power_w: Quantity
    cycles_per_operation: dict[str, Quantity]


class ProgramMemory(Strict):
    """Microcontroller class: memory of the part."""

    flash_bits: Limit
    ram_bits: Limit
    code_bits: Quantity
