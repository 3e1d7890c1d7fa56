"""How close the integers come on inputs that calibration did not see, what scales and message bits do for it, and what they clip."""

from __future__ import annotations

import numpy as np
import pytest
from naive_integer import Machine
from networks import golden
from test_cfc_integers import keras, spans_of
from test_integers import random_cfc, walk

import hardware_profiles
import liquid_neuro
from event_sim import EventStream, fixed
from liquid_neuro import Wiring
from liquid_neuro.cells import PROGRAMS, cfc, ltc
from liquid_neuro.cells.interpret import with_primitives
from liquid_neuro.dynamics import trajectory
from mappers import clipping, verify
from mappers.quantization import quantize
from mappers.quantization_error import rounded
from mappers.weight_rounding import nearest_plane
from mappers.weight_scales import Heard, best_fraction

LOIHI = hardware_profiles.load("loihi2")
GOLDEN = [
    *("ltc_ncp19", "ltc_auto32_softplus", "ltc_fc12_unfold3", "ltc_rand24_noaffine"),
    *("cfc_wired_ncp19", "cfc_wired_auto32", "cfc_default", "cfc_nogate", "cfc_pure"),
]


def samples(inputs: int, seed: int) -> np.ndarray:
    """Independent samples and random walks, (8, 60, inputs)."""
    generator = np.random.default_rng(seed)
    walks = np.cumsum(generator.normal(0, 0.08, (4, 60, inputs)), axis=1)
    return np.concatenate([generator.normal(0, 0.7, (4, 60, inputs)), walks])


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_networks_come_within_one_percent_on_unseen_samples_and_walks(name):
    network, _ = golden(name)
    quantized = quantize(network, LOIHI, calibration=samples(network.inputs, 11))
    unseen = samples(network.inputs, 12)
    y = trajectory(network, unseen, np.ones(unseen.shape[:2])).y
    off = fixed.run_samples(quantized, unseen) - y
    for rows in (slice(0, 4), slice(4, 8)):
        assert np.sqrt(np.mean(off[rows] ** 2)) < 0.01 * y[rows].std()  # what is promised of 8-bit weights; 0.08 % to 0.8 % here


# --- scales of their own, rounding together ----------------------------------------------------------------------------------------------


def test_each_neuron_of_an_ltc_uses_its_whole_grid():
    network, _ = golden("ltc_ncp19")
    quantized = quantize(network, LOIHI, input_range=(-1, 1))
    values, formats = ltc.effective(network), quantized.formats
    weights = {port: np.zeros(network.units) for port in ("conductance", "driven")}
    for projection in quantized.projections:
        if projection.target_population == "neuron":
            np.maximum.at(weights[projection.port], projection.target, np.abs(projection.weight))
    hears = np.union1d(values.target[values.w > 0], values.sensory_target[values.sensory_w > 0])
    finest = formats.conductance_scale.min() * 1.001
    own = formats.conductance_scale[hears] > finest  # none is finer than a sixteenth of the coarsest
    assert ((weights["conductance"][hears] >= 254) | (weights["driven"][hears] >= 252) | ~own).all()
    assert len(np.unique(formats.conductance_scale)) > 10


def test_the_nearest_plane_is_never_worse_than_the_nearest_points_and_leaves_zeros():
    generator = np.random.default_rng(0)
    for _ in range(20):
        mixing = generator.normal(size=(6, 6))
        wanted = generator.uniform(-9, 9, (5, 6))
        wanted[:, 2] = 0.0
        variance = mixing.T @ mixing
        limits = np.full(6, -8.0), np.full(6, 8.0)
        chosen = nearest_plane(wanted, variance, limits)
        nearest = np.clip(np.floor(wanted + 0.5), *limits)
        assert (chosen == np.floor(chosen)).all()
        assert (np.abs(chosen - nearest) <= 1).all()
        assert (np.abs(chosen) <= 8).all()
        assert (chosen[:, 2] == 0).all()
        damped = variance + 0.03 * np.trace(variance) / 6 * np.eye(6)
        spread = [np.einsum("ri,ij,rj->r", wanted - numbers, damped, wanted - numbers) for numbers in (chosen, nearest)]
        assert (spread[0] <= spread[1]).all()


def test_finer_messages_are_paid_with_weight_bits_only_where_sums_are_wide():
    narrow, wide = np.full((1, 4), 0.5), np.full((1, 600), 0.5)

    def heard(columns):
        return Heard(np.full(columns, 2.0), np.eye(columns), 2.0**23 - 1)

    assert best_fraction([(narrow, heard(4))], 10, 8) == (10, 10)
    best, most = best_fraction([(wide, heard(600))], 10, 8)
    assert best == 6  # 600 * 254 * 2 * 2**f < 2**23 allows 4: the weights' errors are a tenth of the messages' there
    assert best < most == 10


@pytest.mark.parametrize("mode", ["default", "pure"])
def test_no_sum_of_a_wide_cfc_can_leave_its_word(mode):
    """Here finer messages are paid with coarser weights, and rounding together moves weights: the sums stay proved."""
    network = liquid_neuro.cfc(Wiring.auto_ncp(150, 40, 4, 0.1, seed=2), mode=mode, seed=2)
    calibration = samples(150, 3)
    quantized = quantize(network, LOIHI, calibration=calibration)
    assert "would take bits of the weights" in quantized.notes["messages"]
    assert not verify(quantized).failures
    bound = np.abs(calibration).max() * 1.1
    recording = fixed.run_chip(quantized, EventStream.from_samples(np.sign(calibration[0]) * bound, sample_s=1.0))
    assert recording.activity.total_saturations == 0


def test_rounded_weights_in_floats_explain_the_error_of_few_bits():
    for network in (golden("cfc_wired_ncp19")[0], golden("cfc_default")[0], keras(golden("cfc_nogate")[0]), golden("ltc_ncp19")[0]):
        x = samples(network.inputs, 5)
        spans = np.ones(x.shape[:2])
        quantized = quantize(network, LOIHI, calibration=x, bits=4)
        y = trajectory(network, x, spans).y
        alone = trajectory(rounded(network, quantized.formats), x, spans).y
        words = fixed.run_samples(quantized, x)
        assert np.sqrt(np.mean((words - alone) ** 2)) < 0.3 * np.sqrt(np.mean((words - y) ** 2))  # the rest of the integers is finer


def test_a_refusal_names_what_was_asked_for():
    network, _ = golden("cfc_default")
    x = samples(network.inputs, 5)
    with pytest.raises(ValueError, match=r'without thresholds\["backbone"\] it would be .*; 8-bit weights alone cost .* is furthest off'):
        quantize(network, LOIHI, calibration=x, thresholds={"backbone": 16}, error=0.01)
    with pytest.raises(ValueError, match="allow a larger error, or train through the integers"):
        quantize(network, LOIHI, calibration=x, error=1e-5)


# --- what is clipped ----------------------------------------------------------------------------------------------------------------------


def clipping_networks():
    """(quantised network, samples, timespans) with much to clip: tables of LTC and CfC, irregular time, predictions."""
    ltc_network, arrays = golden("ltc_ncp19")
    x = arrays["x"][:, :5].astype(float)
    yield quantize(ltc_network, LOIHI, calibration=x), 2 * x, None
    yield quantize(ltc_network.with_solver("exact"), LOIHI, calibration=x, ticks_per_sample=8), x, None
    for mode, dialect in (("pure", "torch"), ("default", "keras"), ("no_gate", "torch")):
        network = random_cfc(4, mode, (6,))
        network = keras(network) if dialect == "keras" else network
        louder = network.with_parameters({name: 4.0 * value for name, value in network.parameters.items() if name.startswith("ff1")})
        x = walk(network, 12, 1)
        quiet = EventStream.from_samples(0.05 * x, timespans=spans_of(12))
        yield quantize(louder, LOIHI, calibration=quiet, input_range=(-8, 8)), 8 * np.sign(x)[None], spans_of(12)[None]


def naive_shares(quantized, x, spans):
    """The shares of `clipping.clipped` by the naive machine, one window."""
    found: dict[str, dict[str, int]] = {}
    turns: dict[str, int] = {}
    machine = Machine(quantized)
    now = {"place": ("", 0)}

    def noting(what, beyond):
        name, place = now["place"]
        label = quantized.population(name).labels[place]
        if beyond:
            row = found.setdefault(f"{name} {what}", {})
            row[label] = row.get(label, 0) + 1

    def program_of(population, place):
        def curve(table, argument, half_width, bits):
            name = next(key for key, entries in population.tables.items() if list(entries) == list(table))
            noting(f"beyond the table {name}", argument < -half_width or argument >= half_width)
            return clipping.curve(table, argument, half_width, bits)

        def clip(value, low, high):
            if high != 31:
                noting(f"beyond {low} .. {high}", value < low or value > high)
            return min(max(value, low), high)

        return with_primitives(PROGRAMS[population.program].function, {"curve": curve, "clip": clip})

    programs = {(p.name, i): program_of(p, i) for p in quantized.populations if p.program for i in range(p.size)}
    words = fixed.host_windows(quantized, x, spans)[0]
    for tick in range(len(words) * quantized.ticks_per_sample):
        start, sample = 0, None
        if tick % quantized.ticks_per_sample == 0:
            sample = {}
            for p in quantized.populations:
                if not p.program:
                    sample[p.name] = words[tick // quantized.ticks_per_sample, start : start + p.size].tolist()
                    start += p.size
        machine.now = tick
        before = {name: list(row) for name, row in machine.state.items()}
        machine._arrive()
        for p in quantized.populations:
            if p.program and tick >= p.first_tick and (tick - p.first_tick) % p.period == 0:
                turns[p.name] = turns.get(p.name, 0) + 1
                for i in range(p.size):
                    now["place"] = (p.name, i)
                    ports = [machine.accumulators[p.name][port][i] for port in PROGRAMS[p.program].ports]
                    parameters = [int(p.parameters[name][i]) for name in PROGRAMS[p.program].parameters]
                    tables = [p.tables[name].tolist() for name in PROGRAMS[p.program].tables]
                    new = int(programs[p.name, i](machine.state[p.name][i], *ports, *parameters, *tables))
                    lowest, highest = p.state.lowest, p.state.highest
                    machine.state[p.name][i] = min(max(new, lowest), highest)
                    noting("beyond the state word", machine.state[p.name][i] != new)
                    if p.prediction:
                        ahead = machine.state[p.name][i] + ((machine.state[p.name][i] - before[p.name][i]) >> 1)
                        noting("ahead beyond the state word", not lowest <= ahead <= highest)
                machine._send(p, before[p.name])
            elif not p.program and sample is not None:
                machine.state[p.name] = list(sample[p.name])
                machine._send(p, before[p.name])
    return {kind: {label: count / turns[kind.partition(" ")[0]] for label, count in row.items()} for kind, row in found.items()}


def test_clips_are_those_of_the_naive_machine():
    kinds = set()
    for quantized, x, spans in clipping_networks():
        shares = clipping.clipped(quantized, x[:1], spans)
        assert shares == naive_shares(quantized, x[:1], spans)
        kinds |= {kind.partition(" ")[2] for kind in shares}
    assert "beyond the table sigmoid" in kinds
    assert len(kinds) > 1


def test_the_notes_say_what_clips():
    network, arrays = golden("ltc_ncp19")
    notes = quantize(network, LOIHI, calibration=arrays["x"].astype(float)).notes["clipped"]
    assert notes["sensory_gate beyond the table sigmoid"].endswith("of turns")
    quiet, arrays = golden("cfc_wired_ncp19")
    assert quantize(quiet, LOIHI, calibration=arrays["x"].astype(float)).notes["clipped"] == {}
    assert cfc.effective(quiet).mode == "default"
