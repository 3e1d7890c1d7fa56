"""Which values an integer network clips on given samples: arguments beyond their tables, rates and states beyond their words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from event_sim.fixed import host_windows
from hardware_profiles.fixed_point import clip, floor_shift, round_shift, saturate
from liquid_neuro.cells import PROGRAMS
from liquid_neuro.cells.integer import curve
from liquid_neuro.cells.interpret import with_primitives
from liquid_neuro.network import FloatArray
from liquid_neuro.quantized_network import IntArray, Population, QuantizedNetwork

LONGEST_SHIFT = 31  # `clip` to it limits an amount to shift by, not a value
MOST_WEIGHTS = 4_000_000  # of dense matrices
MOST_WINDOWS, MOST_SAMPLES, MOST_TICKS = 4, 32, 800  # that quantisation looks at


@dataclass(eq=False)
class _Counts:
    """How often each compartment of a population clipped something, by what, over `turns` turns."""

    population: Population
    turns: int = 0
    found: dict[str, IntArray] = field(default_factory=dict)

    def note(self, what: str, beyond: Any) -> None:
        """Counts a turn's clips, beyond (windows, size) of truth values; a compartment counts once per turn and kind."""
        count = np.broadcast_to(beyond, (*np.shape(beyond)[:-1], self.population.size)).sum(axis=0)
        self.found[what] = self.found.get(what, 0) + count

    def primitives(self) -> Mapping[str, Any]:
        """`curve` and `clip` that note what they clip."""

        def noting_curve(table: Any, argument: Any, half_width: Any, fraction_bits: Any) -> Any:
            name = next(name for name, entries in self.population.tables.items() if entries is table)
            self.note(f"beyond the table {name}", (argument < -half_width) | (argument >= half_width))
            return curve(table, argument, half_width, fraction_bits)

        def noting_clip(value: Any, low: Any, high: Any) -> Any:
            if high != LONGEST_SHIFT:
                self.note(f"beyond {low} .. {high}", (value < low) | (value > high))
            return clip(value, low, high)

        return {"curve": noting_curve, "clip": noting_clip}


def clipped(quantized: QuantizedNetwork, x: FloatArray, timespans: FloatArray | None = None) -> dict[str, dict[str, float]]:
    """{"unit beyond the table tanh": {"motor_0": 0.25}}: per population and kind the share of turns in which each compartment clips.

    x: windows (windows, time, inputs) as the network sees them, each from rest; timespans as in `event_sim.fixed.state_words`. Kinds:
    arguments beyond their tables (which end where sigmoid and tanh have levelled off, but bound straight ones), rates beyond their words,
    states, and messages that run ahead of states beyond the state word. Saturations of running sums are counted by the simulator. What
    never clips is left out; nothing is said of networks whose weights do not fit dense matrices.
    """
    sizes = {p.name: p.size for p in quantized.populations}
    if sum(sizes[j.source_population] * sizes[j.target_population] for j in quantized.projections) > MOST_WEIGHTS:
        return {}
    words = host_windows(quantized, x, timespans)
    weights = {(j.target_population, j.port, number): _dense(quantized, number) for number, j in enumerate(quantized.projections)}
    state = {name: np.zeros((len(words), size), dtype=np.int64) for name, size in sizes.items()}
    sent = dict(state)
    counts = {p.name: _Counts(p) for p in quantized.populations if p.program}
    programs = {name: with_primitives(PROGRAMS[one.population.program].function, one.primitives()) for name, one in counts.items()}
    for tick in range(words.shape[1] * quantized.ticks_per_sample):
        held, host = dict(sent), 0
        for p in quantized.populations:
            before = state[p.name]
            if not p.program:
                if tick % quantized.ticks_per_sample == 0:
                    state[p.name] = words[:, tick // quantized.ticks_per_sample, host : host + p.size]
                host += p.size
            elif tick >= p.first_tick and (tick - p.first_tick) % p.period == 0:
                state[p.name] = _turn(quantized, p, before, held, weights, programs[p.name], counts[p.name])
            else:
                continue
            message = _message(p, state[p.name], before, counts.get(p.name))
            sent[p.name] = np.where(np.abs(message - held[p.name]) >= p.threshold, message, held[p.name])
    return {f"{name} {what}": shares for name, one in counts.items() for what, shares in _shares(one).items()}


def clipping_notes(quantized: QuantizedNetwork, x: FloatArray, timespans: FloatArray) -> dict[str, str]:
    """By population and kind how many compartments clip, and which of them most, over the beginnings of some windows."""
    samples = min(MOST_SAMPLES, max(MOST_TICKS // quantized.ticks_per_sample, 1))
    found = clipped(quantized, x[:MOST_WINDOWS, :samples], timespans[:MOST_WINDOWS, :samples])
    notes = {}
    for kind, shares in found.items():
        label, share = next(iter(shares.items()))
        notes[kind] = (
            f"{len(shares)} of {quantized.population(kind.partition(' ')[0]).size} compartments; most {label}, {share:.0%} of turns"
        )
    return notes


def _dense(quantized: QuantizedNetwork, number: int) -> FloatArray:
    """The weights of a projection, (source, target); float64 holds every sum of a word exactly."""
    one = quantized.projections[number]
    matrix = np.zeros((quantized.population(one.source_population).size, quantized.population(one.target_population).size))
    matrix[one.source, one.target] = one.weight
    return matrix


def _turn(
    quantized: QuantizedNetwork,
    p: Population,
    state: IntArray,
    held: Mapping[str, IntArray],
    weights: Mapping[tuple[str, str, int], FloatArray],
    program: Any,
    counts: _Counts,
) -> IntArray:
    """The new states of a population that hears what others had sent by the tick before."""
    known = PROGRAMS[p.program]
    ports = {port: np.zeros(state.shape, dtype=np.int64) for port in known.ports}
    for (target, port, number), matrix in weights.items():
        if target == p.name:
            ports[port] += (held[quantized.projections[number].source_population] @ matrix).astype(np.int64)
    heard = (saturate(ports[port], quantized.accumulator_bits) for port in known.ports)
    new = program(state, *heard, *(p.parameters[name] for name in known.parameters), *(p.tables[name] for name in known.tables))
    word: IntArray = saturate(new, p.state.bits)
    counts.turns += len(state)
    counts.note("beyond the state word", word != new)
    return word


def _message(p: Population, state: IntArray, before: IntArray, counts: _Counts | None) -> IntArray:
    """What a population says of its state; a prediction beyond the word is counted."""
    ahead = state + floor_shift(state - before, 1) if p.prediction else state
    word = saturate(ahead, p.state.bits)
    if p.prediction and counts is not None:
        counts.note("ahead beyond the state word", word != ahead)
    message: IntArray = round_shift(word, p.message_shift)
    return message


def _shares(one: _Counts) -> dict[str, dict[str, float]]:
    """By kind and label the share of turns, the largest first; what never clips is left out."""
    shares = {}
    for what, count in one.found.items():
        order = [int(place) for place in np.argsort(-count, kind="stable") if count[place]]
        shares[what] = {one.population.labels[place]: float(min(count[place] / one.turns, 1.0)) for place in order}
    return {what: found for what, found in shares.items() if found}
