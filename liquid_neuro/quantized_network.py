"""The deployed network as a value: integer compartments, their programs, and the synapses between them.

Semantics of one tick t = 0, 1, 2, … (Loihi 2 class; every interpreter obeys this text):

1. Arrival. Every message sent at tick t - 1 is multiplied by its synapse's weight and added to the accumulator of the synapse's port at the
   target compartment. What arrives in one tick is summed first, so that its order does not matter. Accumulators are running sums of
   deltas, signed words of `accumulator_bits`; one that would leave the word saturates and is counted.
2. Advance. A population whose turn it is (t >= first_tick and (t - first_tick) % period == 0) runs its program once for each of its
   compartments: new = program(state, *accumulators, *parameters, *tables). The result saturates to `state_bits`, counted.
3. Send. A compartment that advanced has the message value m = round_shift(state, message_shift); in a population with `prediction`
   m = round_shift(saturate(state + floor_shift(state - before, 1)), message_shift), where `before` is the state before this turn: what the
   state will be half a turn later if it goes on like this. Where |m - last_sent| >= threshold it sends the delta m - last_sent along all
   its synapses and sets last_sent = m. The others send nothing.

Populations without a program are the host's: at tick ticks_per_sample * k it sets the population "input" to sample k (input format) and,
in networks that take irregular time, the one compartment of the population "elapsed" (behind "input") to the timespan of sample k in model
units (format of its state); both then send as in 3.
All state, accumulators and last_sent values start at 0 unless an initial state is given.
The state that belongs to sample k is that after the last turn that the sample has: tick ticks_per_sample * (k + 1) - period + first_tick of
the population. The outputs' population is the last to have it, at tick ticks_per_sample * k + read_tick.
A compartment whose accumulators did not change and whose program is stateless or at a fixed point may be skipped: same result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware_profiles.fixed_point import QFormat
from liquid_neuro.checks import freeze_arrays
from liquid_neuro.network import LiquidNetwork, Solver

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Population:
    """Compartments of one kind.

    program: its name, "ltc.gate", "cfc.unit", … (liquid_neuro.cells.PROGRAMS), or "" for the input population.
    parameters: one int64 array (size,) per parameter of the program, in the order of the program's signature.
    tables: one int64 array per table of the program, in the same order.
    state: the format of the state word; messages have message_shift fewer fraction bits.
    labels: one name per compartment.
    prediction: whether messages run half a turn ahead of the state (rule 3).
    """

    name: str
    program: str
    size: int
    parameters: Mapping[str, IntArray]
    tables: Mapping[str, IntArray]
    state: QFormat
    message_shift: int
    message_bits: int
    threshold: int
    first_tick: int
    period: int
    labels: tuple[str, ...]
    prediction: bool = False

    def __post_init__(self) -> None:
        freeze_arrays(self)


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from one population to one port (accumulator) of another.

    source, target, weight: int64 arrays over the synapses, sorted by (source, target); no two synapses join the same pair.
    sign_mode: "excitatory" (0..255) or "mixed" (even, -254..254), Loihi's weight formats at weight_bits = 8.
    """

    source_population: str
    target_population: str
    port: str
    source: IntArray
    target: IntArray
    weight: IntArray
    sign_mode: str
    weight_bits: int

    def __post_init__(self) -> None:
        freeze_arrays(self)


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A network in integers for one chip class: bit-exact in every interpreter.

    network: the float network it stands for. target: what it approximates (errors are reported against this alone).
    formats: every choice made by quantisation (a frozen dataclass of the cell's file), enough to build it again from `network`.
    output_population, output_compartments: whose states give y, in order; output_gain, output_offset turn their real values into y on the
    host: factors (outputs,), or a matrix (outputs, output compartments) where the network has a projection.
    notes: what quantisation chose and why, for people (scales, lost synapses, gate bits from fan-in, …).
    """

    network: LiquidNetwork
    profile: str
    kind: str
    target: Solver
    formats: Any
    ticks_per_sample: int
    read_tick: int
    accumulator_bits: int
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    input_format: QFormat
    output_population: str
    output_compartments: IntArray
    output_gain: npt.NDArray[np.float64]
    output_offset: npt.NDArray[np.float64]
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def population(self, name: str) -> Population:
        """The population of that name."""
        for population in self.populations:
            if population.name == name:
                return population
        raise ValueError(f'population must be one of {", ".join(p.name for p in self.populations)}, but is "{name}"')

    def output(self, words: IntArray) -> npt.NDArray[np.float64]:
        """y (…, outputs) of state words (…, units) in the network's state order (its last units are the output population's)."""
        population = self.population(self.output_population)
        last = words[..., self._output_start() :][..., self.output_compartments]
        real = population.state.to_real(last)
        return (real @ self.output_gain.T if self.output_gain.ndim == 2 else real * self.output_gain) + self.output_offset

    def _output_start(self) -> int:
        """Where the output population stands in the network's state."""
        from liquid_neuro.cells import PROGRAMS

        start = 0
        for population in self.populations:
            if population.name == self.output_population:
                return start
            start += population.size if population.program and PROGRAMS[population.program].unit else 0
        return start

    @property
    def elapsed(self) -> Population | None:
        """The host's population that tells each sample's timespan; None where all samples last `formats.timespan`."""
        return next((population for population in self.populations if population.name == "elapsed" and not population.program), None)

    @property
    def compartments(self) -> int:
        """All compartments that run a program; inputs belong to the host and are not counted."""
        return sum(population.size for population in self.populations if population.program)

    @property
    def stored_synapses(self) -> int:
        """All synapses that the chip stores (both matrices of a neuron, gates included)."""
        return sum(len(projection.weight) for projection in self.projections)
