"""The obvious simulator: plain Python integers, the text of `liquid_neuro/quantized_network.py` line by line. Twin of the compiled one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from liquid_neuro.cells import PROGRAMS
from liquid_neuro.quantized_network import Population, QuantizedNetwork


class Word(int):
    """An integer whose products must fit a signed 32-bit word. `largest` is the largest product seen."""

    largest = 0

    def __mul__(self, other: Any) -> Word:
        product = int(self) * int(other)
        assert -(2**31) <= product < 2**31, f"{int(self)} * {int(other)} does not fit 32 bits"
        Word.largest = max(Word.largest, abs(product))
        return Word(product)

    __rmul__ = __mul__

    def __add__(self, other: Any) -> Word:
        return Word(int(self) + int(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Word:
        return Word(int(self) - int(other))

    def __rsub__(self, other: Any) -> Word:
        return Word(int(other) - int(self))

    def __neg__(self) -> Word:
        return Word(-int(self))

    def __rshift__(self, other: Any) -> Word:
        return Word(int(self) >> int(other))

    def __lshift__(self, other: Any) -> Word:
        return Word(int(self) << int(other))


@dataclass
class Machine:
    """Everything that changes: per population its words, messages last sent, accumulators by port, and what is under way to them.

    samples: (first, last + 1) of those whose turns are counted; other turns are run and not counted. All turns where it is None.
    """

    quantized: QuantizedNetwork
    samples: tuple[int, int] | None = None
    now: int = 0
    state: dict[str, list[int]] = field(default_factory=dict)
    sent: dict[str, list[int]] = field(default_factory=dict)
    accumulators: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    arriving: list[tuple[str, str, int, int]] = field(default_factory=list)
    spikes: Counter[tuple[str, int]] = field(default_factory=Counter)
    operations: Counter[int] = field(default_factory=Counter)
    updates: Counter[str] = field(default_factory=Counter)
    saturations: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for population in self.quantized.populations:
            self.state[population.name] = [0] * population.size
            self.sent[population.name] = [0] * population.size
            ports = PROGRAMS[population.program].ports if population.program else ()
            self.accumulators[population.name] = {port: [0] * population.size for port in ports}

    def tick(self, t: int, sample: dict[str, list[int]] | None) -> None:
        """One tick; `sample`: the words that the host sets at this tick by population, None at ticks between samples."""
        self.now = t
        self._arrive()
        for population in self.quantized.populations:
            before = list(self.state[population.name])
            if not population.program:
                if sample is not None:
                    self.state[population.name] = list(sample[population.name])
                    self._send(population, before)
            elif t >= population.first_tick and (t - population.first_tick) % population.period == 0:
                self._advance(population)
                self._send(population, before)

    def _counts(self, population: Population) -> bool:
        """Whether this tick's turn of a population, or its next one where it has none, belongs to a sample that is counted."""
        turn = max(0, -((population.first_tick - self.now) // population.period)) * population.period
        return self.samples is None or self.samples[0] <= turn // self.quantized.ticks_per_sample < self.samples[1]

    def _arrive(self) -> None:
        sums: Counter[tuple[str, str, int]] = Counter()
        for population, port, compartment, product in self.arriving:
            sums[population, port, compartment] += product
        self.arriving = []
        for (name, port, compartment), total in sums.items():
            row = self.accumulators[name][port]
            row[compartment] = self._saturate(row[compartment] + total, self.quantized.accumulator_bits, name, f"{name}.{port}")

    def _advance(self, population: Population) -> None:
        program = PROGRAMS[population.program]
        tables = [[Word(entry) for entry in population.tables[name]] for name in program.tables]
        for i in range(population.size):
            ports = [Word(self.accumulators[population.name][port][i]) for port in program.ports]
            parameters = [Word(population.parameters[name][i]) for name in program.parameters]
            new = int(program.function(Word(self.state[population.name][i]), *ports, *parameters, *tables))
            self.state[population.name][i] = self._saturate(new, population.state.bits, population.name, population.name)
            self.updates[population.name] += self._counts(population)

    def _send(self, population: Population, before: list[int]) -> None:
        for i, state in enumerate(self.state[population.name]):
            half = (1 << population.message_shift) // 2
            ahead = state
            if population.prediction:
                highest = (1 << (population.state.bits - 1)) - 1
                ahead = min(max(state + ((state - before[i]) >> 1), -highest - 1), highest)
            message = (ahead + half) >> population.message_shift
            delta = message - self.sent[population.name][i]
            if abs(delta) < population.threshold:
                continue
            self.sent[population.name][i] = message
            self.spikes[population.name, i] += self._counts(population)
            for index, projection in enumerate(self.quantized.projections):
                if projection.source_population != population.name:
                    continue
                for source, target, weight in zip(projection.source.tolist(), projection.target.tolist(), projection.weight.tolist()):
                    if source == i:
                        self.arriving.append((projection.target_population, projection.port, target, weight * delta))
                        self.operations[index] += self._counts(population)

    def _saturate(self, value: int, bits: int, name: str, where: str) -> int:
        highest = (1 << (bits - 1)) - 1
        if not -highest - 1 <= value <= highest:
            if self._counts(self.quantized.population(name)):
                self.saturations[where] += 1
            return highest if value > 0 else -highest - 1
        return value


def run(
    quantized: QuantizedNetwork,
    samples: list[list[int]],
    machine: Machine | None = None,
    first_sample: int = 0,
    elapsed: list[int] | None = None,
) -> dict[str, Any]:
    """Runs words (K, inputs) to the last read tick; elapsed: words (K,) of the samples' timespans where the network hears them.

    "states": per tick population -> words; "sent" likewise; "machine", whose counts are those of the samples' own turns.
    """
    machine = machine or Machine(quantized)
    machine.samples = (first_sample, first_sample + len(samples))
    period, ticks = quantized.ticks_per_sample, quantized.ticks_per_sample * (len(samples) - 1) + quantized.read_tick + 1
    states, sent = [], []
    for t in range(first_sample * period, first_sample * period + ticks):
        k, rest = t // period - first_sample, t % period
        host = {"input": samples[k]} if rest == 0 and k < len(samples) else None
        if host is not None and elapsed is not None:
            host["elapsed"] = [elapsed[k]]
        machine.tick(t, host)
        states.append({name: list(words) for name, words in machine.state.items()})
        sent.append({name: list(words) for name, words in machine.sent.items()})
    return {"states": states, "sent": sent, "machine": machine}
