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
    """Everything that changes: per population its words, messages last sent, accumulators by port, and what is under way to them."""

    quantized: QuantizedNetwork
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

    def tick(self, t: int, sample: list[int] | None) -> None:
        """One tick; `sample`: the words that the host sets at this tick, None at ticks between samples."""
        self._arrive()
        for population in self.quantized.populations:
            if not population.program:
                if sample is not None:
                    self.state[population.name] = list(sample)
                    self._send(population)
            elif t >= population.first_tick and (t - population.first_tick) % population.period == 0:
                self._advance(population)
                self._send(population)

    def _arrive(self) -> None:
        sums: Counter[tuple[str, str, int]] = Counter()
        for population, port, compartment, product in self.arriving:
            sums[population, port, compartment] += product
        self.arriving = []
        for (name, port, compartment), total in sums.items():
            row = self.accumulators[name][port]
            row[compartment] = self._saturate(row[compartment] + total, self.quantized.accumulator_bits, f"{name}.{port}")

    def _advance(self, population: Population) -> None:
        program = PROGRAMS[population.program]
        tables = [[Word(entry) for entry in population.tables[name]] for name in program.tables]
        for i in range(population.size):
            ports = [Word(self.accumulators[population.name][port][i]) for port in program.ports]
            parameters = [Word(population.parameters[name][i]) for name in program.parameters]
            new = int(program.function(Word(self.state[population.name][i]), *ports, *parameters, *tables))
            self.state[population.name][i] = self._saturate(new, population.state.bits, population.name)
            self.updates[population.name] += 1

    def _send(self, population: Population) -> None:
        for i, state in enumerate(self.state[population.name]):
            half = (1 << population.message_shift) // 2
            message = (state + half) >> population.message_shift
            delta = message - self.sent[population.name][i]
            if abs(delta) < population.threshold:
                continue
            self.sent[population.name][i] = message
            self.spikes[population.name, i] += 1
            for index, projection in enumerate(self.quantized.projections):
                if projection.source_population != population.name:
                    continue
                for source, target, weight in zip(projection.source.tolist(), projection.target.tolist(), projection.weight.tolist()):
                    if source == i:
                        self.arriving.append((projection.target_population, projection.port, target, weight * delta))
                        self.operations[index] += 1

    def _saturate(self, value: int, bits: int, where: str) -> int:
        highest = (1 << (bits - 1)) - 1
        if not -highest - 1 <= value <= highest:
            self.saturations[where] += 1
            return highest if value > 0 else -highest - 1
        return value


def run(quantized: QuantizedNetwork, samples: list[list[int]], machine: Machine | None = None, first_sample: int = 0) -> dict[str, Any]:
    """Runs words (K, inputs) to the last read tick. "states": per tick population -> words; "sent" likewise; "machine"."""
    machine = machine or Machine(quantized)
    period, ticks = quantized.ticks_per_sample, quantized.ticks_per_sample * (len(samples) - 1) + quantized.read_tick + 1
    states, sent = [], []
    for t in range(first_sample * period, first_sample * period + ticks):
        k, rest = divmod(t, period)
        machine.tick(t, samples[k - first_sample] if rest == 0 and k - first_sample < len(samples) else None)
        states.append({name: list(words) for name, words in machine.state.items()})
        sent.append({name: list(words) for name, words in machine.sent.items()})
    return {"states": states, "sent": sent, "machine": machine}
