"""Values of the cost model: uncertain numbers, counts of a run, and a cost per sample. The arithmetic stands in estimates.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Range:
    """An uncertain number that is not negative: low <= typical <= high. Sums and products take end with end.

    Adding ends is the widest statement: it treats all uncertainties as pulling the same way.
    """

    low: float
    typical: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.typical <= self.high:
            raise ValueError(
                f"Range must have 0 <= low <= typical <= high, but has {self.low:g}, {self.typical:g}, {self.high:g}; order them"
            )

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.typical + other.typical, self.high + other.high)

    def __mul__(self, other: Range | float) -> Range:
        other = other if isinstance(other, Range) else exactly(other)
        return Range(self.low * other.low, self.typical * other.typical, self.high * other.high)

    __rmul__ = __mul__

    def divided_by(self, other: Range) -> Range:
        """The quotient; the lowest is low / high. Every end of `other` must be above 0."""
        return Range(self.low / other.high, self.typical / other.typical, self.high / other.low)

    def contains(self, value: float) -> bool:
        """Whether low <= value <= high."""
        return self.low <= value <= self.high

    def to_json(self) -> dict[str, float]:
        """{"low": …, "typical": …, "high": …}."""
        return {"low": self.low, "typical": self.typical, "high": self.high}


ZERO = Range(0.0, 0.0, 0.0)


def exactly(value: float) -> Range:
    """A number without uncertainty."""
    return Range(float(value), float(value), float(value))


def total(ranges: Iterable[Range]) -> Range:
    """The sum of the ranges."""
    result = ZERO
    for one in ranges:
        result = result + one
    return result


def largest(ranges: Iterable[Range]) -> Range:
    """End by end the largest; ZERO of none."""
    ranges = list(ranges) or [ZERO]
    return Range(max(one.low for one in ranges), max(one.typical for one in ranges), max(one.high for one in ranges))


@dataclass(frozen=True)
class CoreCounts:
    """What one core of the Loihi class did in the whole run.

    accesses: compartments held x ticks. updates: program runs. spikes: compartments that sent. messages: per (spike, destination core), its
    own core included. messages_received. synaptic_operations. busy_s: the core's busy time where it is known; None: from the profile.
    """

    accesses: float = 0.0
    updates: float = 0.0
    spikes: float = 0.0
    messages: float = 0.0
    messages_received: float = 0.0
    synaptic_operations: float = 0.0
    busy_s: float | None = None


@dataclass(frozen=True)
class LayerCounts:
    """What one fully connected layer of the Akida class did in the whole run.

    events: inputs that were not zero, summed over the run. outputs: width of the layer. processors: over how many it is split.
    """

    name: str
    events: float
    outputs: int
    processors: int


@dataclass(frozen=True)
class Activity:
    """Counts of one run of `samples` samples. Which fields matter depends on the kind of chip; the others stay empty.

    Loihi class: ticks, cores, tiles (that hold a core), tile_messages (between cores of one tile), hops_east_west, hops_north_south,
    busiest_link_messages (over the run), host_ticks (ticks at which the host sends), latency_ticks (from a sample's tick to its result).
    Akida class: layers, rounds (exchanges with the host per sample), operations (integer operations at the host).
    Microcontroller class: operations.
    """

    samples: float
    ticks: float = 0.0
    cores: tuple[CoreCounts, ...] = ()
    tiles: int = 1
    tile_messages: float = 0.0
    hops_east_west: float = 0.0
    hops_north_south: float = 0.0
    busiest_link_messages: float = 0.0
    host_ticks: float = 0.0
    latency_ticks: float | None = None
    layers: tuple[LayerCounts, ...] = ()
    rounds: float = 1.0
    operations: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.samples > 0:
            raise ValueError(f"Activity.samples must be above 0, but is {self.samples:g}; run at least one sample")
        object.__setattr__(self, "operations", MappingProxyType(dict(self.operations)))


@dataclass(frozen=True)
class Cost:
    """What one sample (= inference) costs, as ranges.

    energy_j: free running, i.e. the ticks of a sample back to back, inputs already on the chip, static power during that time included.
    energy_paced_j: static power over the stream's sample period + the dynamic energy of the sample; None where the period is unknown.
    latency_s: from a sample's arrival on the chip to its result. busy_s: time per sample when samples follow back to back.
    components: energy in joules by cause, of the mode asked for; always "static", "barrier" and "host_input" beside the operations.
    outside_total: components that are shown but not in the totals (a host that may be absent, for example).
    times: seconds per sample by cause. counts: per sample. sources: place in the profile -> "confidence: source".
    """

    profile: str
    mode: str
    energy_j: Range
    energy_paced_j: Range | None
    latency_s: Range
    busy_s: Range
    sample_period_s: float | None
    components: Mapping[str, Range]
    outside_total: tuple[str, ...]
    times: Mapping[str, Range]
    counts: Mapping[str, float]
    sources: Mapping[str, str]
    memory_bits: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    per: str = "sample"

    @property
    def dynamic_j(self) -> Range:
        """Energy of the sample without static power and without what stands outside the total."""
        return total(part for name, part in self.components.items() if name != "static" and name not in self.outside_total)

    def to_json(self) -> dict[str, Any]:
        """Plain values for json.dumps."""
        return {
            "profile": self.profile,
            "per": self.per,
            "mode": self.mode,
            "energy_j": self.energy_j.to_json(),
            "energy_paced_j": self.energy_paced_j.to_json() if self.energy_paced_j else None,
            "sample_period_s": self.sample_period_s,
            "latency_s": self.latency_s.to_json(),
            "busy_s": self.busy_s.to_json(),
            "memory_bits": dict(self.memory_bits),
            "components_j": {name: part.to_json() for name, part in self.components.items()},
            "outside_total": list(self.outside_total),
            "times_s": {name: part.to_json() for name, part in self.times.items()},
            "counts": dict(self.counts),
            "notes": list(self.notes),
            "sources": dict(self.sources),
        }
