"""Which compartment lies on which core, and whether the chip can hold it: the Mapping and its design rules."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Table
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware_profiles.profile import HardwareProfile
from liquid_neuro.checks import check_kind
from liquid_neuro.quantized_network import IntArray, QuantizedNetwork
from mappers.resources import HOST, axons, core_use, layer_bits, layer_inputs, program_memory

FloatArray = npt.NDArray[np.float64]


def _frozen(array: Any) -> Any:
    copy = np.array(array)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, eq=False)
class Mapping:
    """A quantised network on a chip. Immutable.

    core_of: population -> (size,) core of each compartment; -1: at the host (inputs, and the host's part of a network of dense layers).
    core_xy: (cores, 2) the tile of each core. cores: how many are used.
    traffic: (cores, cores) messages from row to column under the traffic that the mapping was made for, multicast counted once per core.
    hops_before: of an index-order split placed row by row. hops_after: of this mapping. messages_before, messages_after: between cores.
    memory_bits: (cores,) used; memory_bits_available: per core. A microcontroller has one "core": its flash; ram_bits beside it.
    """

    quantized: QuantizedNetwork
    profile: HardwareProfile
    core_of: Table[str, IntArray]
    core_xy: IntArray
    traffic: FloatArray
    hops_before: float
    hops_after: float
    messages_before: float
    messages_after: float
    memory_bits: IntArray
    memory_bits_available: int
    ram_bits: int = 0
    ram_bits_available: int = 0
    placer: str = "greedy"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "core_of", MappingProxyType({name: _frozen(here) for name, here in self.core_of.items()}))
        for name in ("core_xy", "traffic", "memory_bits"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))

    @property
    def cores(self) -> int:
        """How many cores are used."""
        return len(self.core_xy)

    @property
    def worst_core(self) -> int:
        """The core with the fullest memory."""
        return int(np.argmax(self.memory_bits))

    @property
    def compartments_per_core(self) -> IntArray:
        """(cores,) compartments on each core."""
        counts = np.zeros(self.cores, dtype=np.int64)
        for here in self.core_of.values():
            counts += np.bincount(here[here != HOST], minlength=self.cores)
        return counts

    def to_json(self) -> dict[str, Any]:
        """A summary in plain values."""
        return {
            "profile": self.profile.name,
            "cores": self.cores,
            "cores_available": self.profile.cores,
            "compartments_per_core": self.compartments_per_core.tolist(),
            "core_xy": self.core_xy.tolist(),
            "memory_bits": {
                "worst_core": int(self.memory_bits.max()),
                "available_per_core": self.memory_bits_available,
                "total": int(self.memory_bits.sum()),
            },
            "ram_bits": {"used": self.ram_bits, "available": self.ram_bits_available},
            "messages": {"before": self.messages_before, "after": self.messages_after},
            "hops": {"before": self.hops_before, "after": self.hops_after},
            "placer": self.placer,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Violation:
    """One broken design rule: its name, where, what is needed and what is available; advice where there is a particular one."""

    rule: str
    place: str
    needed: int
    available: int
    advice: str = ""

    def __str__(self) -> str:
        return self.advice or f"{self.rule}: {self.place} needs {self.needed}, but {self.available} are available"


Rule = Callable[[Mapping], list[Violation]]


def check(mapping: Mapping) -> list[Violation]:
    """Every design rule that the mapping breaks; empty where it is valid."""
    check_kind("`mapping`", mapping, Mapping, "make one by map_network(quantized, profile)")
    misplaced = every_compartment_has_a_core(mapping)
    if misplaced:  # the other rules count per core
        return misplaced
    rules = {"loihi": LOIHI_RULES, "akida": AKIDA_RULES, "microcontroller": MICROCONTROLLER_RULES}[mapping.profile.kind]
    return [violation for rule in (*COMMON_RULES, *rules) for violation in rule(mapping)]


def _over(rule: str, needed: Table[str, int], available: int) -> list[Violation]:
    return [Violation(rule, place, number, available) for place, number in needed.items() if number > available]


def _per_core(counts: IntArray) -> dict[str, int]:
    return {f"core {core}": int(count) for core, count in enumerate(counts)}


# --- rules of every chip -----------------------------------------------------------------------------------------------------------------


def every_compartment_has_a_core(mapping: Mapping) -> list[Violation]:
    """Every compartment with a program lies on a core that exists."""
    violations = []
    for population in mapping.quantized.populations:
        here = mapping.core_of.get(population.name)
        if here is None or len(here) != population.size:
            violations.append(Violation("core_of", f"population {population.name}", population.size, 0 if here is None else len(here)))
        elif (here >= mapping.cores).any() or (here < HOST).any():
            violations.append(Violation("core_of", f"population {population.name}", int(here.max()) + 1, mapping.cores))
    return violations


def no_core_is_empty(mapping: Mapping) -> list[Violation]:
    """A core that is listed holds something."""
    return [Violation("core_not_empty", f"core {core}", 1, 0) for core in np.flatnonzero(mapping.compartments_per_core == 0).tolist()]


def cores_exist(mapping: Mapping) -> list[Violation]:
    """The chip has so many cores."""
    return _over("cores", {"the network": mapping.cores}, mapping.profile.cores)


def weights_fit(mapping: Mapping) -> list[Violation]:
    """Weights are not wider than the chip's."""
    needed = {
        f"projection {projection.source_population} -> {projection.target_population}.{projection.port}": projection.weight_bits
        for projection in mapping.quantized.projections
        if (mapping.core_of[projection.target_population] != HOST).any()  # the host has weights of its own width
    }
    return _over("weight_bits", needed, mapping.profile.weight_bits)


def memory_fits(mapping: Mapping) -> list[Violation]:
    """No core holds more bits than it has."""
    name = {"loihi": "memory_per_core_bits", "akida": "memory_per_processor_bits", "microcontroller": "flash_bits"}[mapping.profile.kind]
    return _over(name, _per_core(mapping.memory_bits), mapping.memory_bits_available)


# --- rules of the Loihi class ------------------------------------------------------------------------------------------------------------


def compartments_fit(mapping: Mapping) -> list[Violation]:
    """No core holds more compartments than it can."""
    assert mapping.profile.limits is not None
    return _over("compartments_per_core", _per_core(mapping.compartments_per_core), mapping.profile.limits.compartments_per_core.value)


def axons_fit(mapping: Mapping) -> list[Violation]:
    """Routing entries in and out of every core."""
    limits = mapping.profile.limits
    assert limits is not None
    incoming, outgoing = axons(mapping.quantized, mapping.core_of, mapping.cores)
    return _over("input_axons_per_core", _per_core(incoming), limits.input_axons_per_core.value) + _over(
        "output_axons_per_core", _per_core(outgoing), limits.output_axons_per_core.value
    )


def words_fit(mapping: Mapping) -> list[Violation]:
    """State words, messages and accumulators are not wider than the chip's."""
    profile, populations = mapping.profile, mapping.quantized.populations
    return [
        *_over("state_bits", {f"population {one.name}": one.state.bits for one in populations if one.program}, profile.state_bits),
        *_over("message_bits", {f"population {one.name}": one.message_bits for one in populations}, profile.message_bits),
        *_over("accumulator_bits", {"the network": mapping.quantized.accumulator_bits}, profile.accumulator_bits),
    ]


# --- rules of the Akida class ------------------------------------------------------------------------------------------------------------


def network_fits(mapping: Mapping) -> list[Violation]:
    """What can be said before anything is placed."""
    return before_placing(mapping.quantized, mapping.profile)


def before_placing(quantized: QuantizedNetwork, profile: HardwareProfile) -> list[Violation]:
    """Rules of the Akida class that need no placement."""
    return stateful_layers_fit(quantized, profile) + dense_layers_exist(quantized, profile)


def layers_fit(mapping: Mapping) -> list[Violation]:
    """Inputs of every dense layer, and its outputs per neural processor."""
    neural = mapping.profile.neural
    assert neural is not None
    layers = dense_layers(mapping.quantized)
    inputs = {f"layer {name}": layer_inputs(mapping.quantized, name) for name in layers}
    outputs = {f"layer {name}": int(np.bincount(mapping.core_of[name]).max()) for name in layers}
    return _over("max_inputs", inputs, neural.max_inputs.value) + _over(
        "max_outputs_per_processor", outputs, neural.max_outputs_per_processor.value
    )


def stateful_layers_fit(quantized: QuantizedNetwork, profile: HardwareProfile) -> list[Violation]:
    """Where the chip itself keeps a recurrent layer's state, its width is a power of two within a limit."""
    assert profile.neural is not None
    if profile.neural.stateful_channels_max is None:
        return []
    units, most = quantized.network.units, profile.neural.stateful_channels_max.value
    padded = 1 << (units - 1).bit_length()
    if units == padded <= most:
        return []
    hint = f"{padded} would do" if padded <= most else "use fewer units"
    advice = f"stateful_channels_max: the recurrent layer has {units} units, but it must be a power of two <= {most}; {hint}"
    return [Violation("stateful_channels_max", "the recurrent layer", units, most, advice)]


def dense_layers_exist(quantized: QuantizedNetwork, profile: HardwareProfile) -> list[Violation]:
    """The chip has so many dense layers."""
    assert profile.neural is not None
    if profile.neural.dense_layers_max is None:
        return []
    return _over("dense_layers_max", {"the network": len(dense_layers(quantized))}, profile.neural.dense_layers_max.value)


# --- rules of microcontrollers -----------------------------------------------------------------------------------------------------------


def ram_fits(mapping: Mapping) -> list[Violation]:
    """States and accumulators fit the RAM."""
    return _over("ram_bits", {"the network": mapping.ram_bits}, mapping.ram_bits_available)


COMMON_RULES: tuple[Rule, ...] = (no_core_is_empty, cores_exist, weights_fit, memory_fits)
LOIHI_RULES: tuple[Rule, ...] = (compartments_fit, axons_fit, words_fit)
AKIDA_RULES: tuple[Rule, ...] = (network_fits, layers_fit)
MICROCONTROLLER_RULES: tuple[Rule, ...] = (ram_fits,)


def dense_layers(quantized: QuantizedNetwork) -> tuple[str, ...]:
    """The populations that are dense layers of the chip."""
    return tuple(population.name for population in quantized.populations if population.program == "cfc_heads.head")


def memory_of(quantized: QuantizedNetwork, profile: HardwareProfile, core_of: Table[str, IntArray], cores: int) -> dict[str, Any]:
    """The memory fields of a Mapping."""
    if profile.kind == "loihi":
        assert profile.limits is not None
        used = core_use(quantized, profile, core_of, cores).memory_bits
        return {"memory_bits": used, "memory_bits_available": profile.limits.memory_per_core_bits.value}
    if profile.kind == "akida":
        assert profile.neural is not None
        used = np.zeros(cores, dtype=np.int64)
        for name in dense_layers(quantized):
            share = np.bincount(core_of[name], minlength=cores) / quantized.population(name).size
            used += np.ceil(share * layer_bits(quantized, name)).astype(np.int64)
        return {"memory_bits": used, "memory_bits_available": profile.neural.memory_per_processor_bits.value}
    assert profile.memory is not None
    needed = program_memory(quantized, profile)
    return {
        "memory_bits": np.array([needed["flash"]], dtype=np.int64),
        "memory_bits_available": profile.memory.flash_bits.value,
        "ram_bits": needed["ram"],
        "ram_bits_available": profile.memory.ram_bits.value,
    }
