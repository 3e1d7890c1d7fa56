"""Both forms of a turn and of a message in the chip's kernel, one by one and as it mixes them: always == to the naive twin."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
from networks import l4
from test_integers import LOIHI, assert_equals_naive, random_cfc, random_ltc, walk

import liquid_neuro
from event_sim import EventStream, chip_machine, chip_run, fixed
from event_sim.plan import make_plan
from liquid_neuro import Fused, Wiring
from liquid_neuro.quantized_network import QuantizedNetwork
from mappers.quantization import quantize

NEVER = 1 << 40
FORMS = {
    "mixed": {},
    "listed": {"whole_from": NEVER, "flood_from": NEVER},
    "whole": {"whole_from": 0, "flood_from": 0},
    "whole, one by one": {"whole_from": 0, "flood_from": 0, "is_run": 0, "in_pairs": 0},
    "whole turns, listed messages": {"whole_from": 0, "flood_from": NEVER},
    "listed turns, flooding messages": {"whole_from": NEVER, "flood_from": 0},
    "few flood": {"whole_from": 2, "flood_from": 2},
}


@pytest.fixture(params=FORMS.values(), ids=FORMS)
def form(request, monkeypatch):
    """Every run in this form."""

    def layout_of(quantized: QuantizedNetwork):
        layout = chip_machine.layout_of(quantized)
        return layout._replace(**{name: np.full_like(getattr(layout, name), value) for name, value in request.param.items()})

    monkeypatch.setattr(chip_run, "layout_of", layout_of)
    monkeypatch.setattr(fixed, "layout_of", layout_of)


def with_bits(quantized: QuantizedNetwork, accumulators: int, **states: int) -> QuantizedNetwork:
    """The same with narrower words, which saturate."""
    populations = tuple(
        dataclasses.replace(p, state=dataclasses.replace(p.state, bits=states[p.name])) if p.name in states else p
        for p in quantized.populations
    )
    return dataclasses.replace(quantized, populations=populations, accumulator_bits=accumulators)


@cache
def case(name: str) -> tuple[QuantizedNetwork, np.ndarray]:
    """A network and what it hears."""
    if name.startswith("ltc"):
        network = random_ltc(5).with_solver("exact" if name.endswith("exact") else Fused(3))
    elif name == "cfc":
        network = liquid_neuro.cfc(Wiring.fully_connected(12, 14, 2), seed=1)
    else:
        network = random_cfc(2, "default", (12,))
    x = walk(network, 20, 2)
    return quantize(network, LOIHI, input_range=(-4, 4)), x


@pytest.mark.parametrize("name", ["ltc", "ltc exact", "cfc", "cfc with a backbone"])
def test_every_form_equals_naive(form, name):
    quantized, x = case(name)
    recording = assert_equals_naive(quantized, x)
    units = chip_machine.unit_populations(quantized)
    words = np.concatenate([p.state.quantize(recording.state[1:, start : start + p.size]) for p, start in units], axis=1)
    assert np.array_equal(fixed.state_words(quantized, x)[0], words)


def test_the_networks_have_pairs_and_runs():
    assert chip_machine.layout_of(case("ltc")[0]).in_pairs.any()
    assert chip_machine.layout_of(case("cfc with a backbone")[0]).is_run.any()


def test_one_port_alone_wakes_a_neuron_in_every_form(form):
    """Of a gate's two synapses the second reaches the next neuron's other port: what waits is not told by first ports or first synapses."""
    quantized, x = case("ltc")
    moved = []
    for projection in quantized.projections:
        size = quantized.population(projection.target_population).size
        target = (projection.target + (projection.port == "driven")) % size
        order = np.lexsort((target, projection.source))
        moved.append(
            dataclasses.replace(projection, source=projection.source[order], target=target[order], weight=projection.weight[order])
        )
    crossed = dataclasses.replace(quantized, projections=tuple(moved))
    assert_equals_naive(crossed, np.repeat(x[:4], 12, axis=0))


def test_words_that_saturate_in_every_form(form):
    quantized, x = case("ltc")
    activity = assert_equals_naive(with_bits(quantized, 14, neuron=10), 3 * x).activity
    assert activity.saturations["neuron"] > 0
    assert activity.saturations["neuron.conductance"] > 0


def test_runs_go_on_in_every_form(form):
    quantized, x = case("ltc")
    stream = EventStream.from_samples(x, sample_s=1.0)
    whole = fixed.run_chip(quantized, stream)
    first = fixed.run_chip(quantized, stream, until=7.0)
    second = fixed.run_chip(quantized, stream, initial=first.final)
    assert np.array_equal(np.concatenate([first.state, second.state[1:]]), whole.state)
    assert np.array_equal(np.concatenate([first.events, second.events]), whole.events)


def counts_of(quantized: QuantizedNetwork, x: np.ndarray, monkeypatch, changes) -> dict[str, list[int]]:
    """Active turns per compartment in a form."""
    layout = chip_machine.layout_of(quantized)
    changed = layout._replace(**{name: np.full_like(getattr(layout, name), value) for name, value in changes.items()})
    monkeypatch.setattr(chip_run, "layout_of", lambda quantized: changed)
    activity = fixed.run_chip(quantized, EventStream.from_samples(x, sample_s=1.0)).activity
    return {name: counts.tolist() for name, counts in activity.active_updates.items()}


def test_every_form_counts_the_same_active_turns(monkeypatch):
    quantized, x = case("ltc")
    counts = [counts_of(quantized, x, monkeypatch, changes) for changes in FORMS.values()]
    assert all(one == counts[0] for one in counts)
    assert sum(sum(part) for part in counts[0].values()) > 0


def test_a_run_of_slots_has_no_gap():
    """Senders of eight synapses or more are served together where, and only where, their slots lie side by side."""
    start = np.array([0, 8, 16, 23, 31])
    slots = np.concatenate([np.arange(8), [0, 1, 2, 3, 4, 5, 6, 8], np.arange(7), np.arange(20, 28)])
    assert chip_machine._runs(start, slots).tolist() == [1, 0, 0, 1]


def test_a_clock_tells_the_next_turn_and_its_sample():
    network = l4(solver=Fused(4))
    quantized = quantize(network, LOIHI, input_range=(-1, 1))
    layout, period = chip_machine.layout_of(quantized), quantized.ticks_per_sample
    for tick in range(0, 3 * period, period):
        due, sample, left = chip_machine.clock_at(layout, period, tick, 1)
        for n, p in enumerate(quantized.populations):
            turns = [t for t in range(6 * period) if t >= p.first_tick and (t - p.first_tick) % p.period == 0]
            number = next(k for k, t in enumerate(turns) if t >= tick)
            per_sample = period // p.period
            assert (due[n], sample[n], left[n]) == (turns[number], number // per_sample - 1, per_sample - number % per_sample)


def test_an_empty_plan_runs_no_tick():
    network = l4(solver=Fused(4))
    quantized = quantize(network, LOIHI, input_range=(-1, 1))
    plan = make_plan(network, EventStream.from_samples(np.zeros((0, 2)), sample_s=1.0), None, None, None, sampled=True)
    run = chip_run.ChipRun(quantized, plan, np.zeros((0, 2), dtype=np.int64), None, False)
    run.samples(0, 0)
    assert run.tick == 0
    assert not run.machine.spikes.any()
