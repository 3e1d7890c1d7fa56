"""What quantisation chooses, what it says about it, how close the integers come, and what it refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import c4, golden, l4, one_neuron

import hardware_profiles
import liquid_neuro
from event_sim import fixed
from event_sim.events import EventStream
from liquid_neuro import Exact, Fused, LiquidNetwork, LTCSettings, Wiring
from liquid_neuro.cells import cfc
from liquid_neuro.cells.ltc import effective
from liquid_neuro.cells.ltc_formats import LTCFormats, integer_parameters
from mappers.quantization import quantize

LOIHI = hardware_profiles.load("loihi2")


def relative_error(quantized, x, y):
    """Root mean square error of the outputs over the standard deviation of the network's own."""
    return float(np.sqrt(np.mean((fixed.run_samples(quantized, x) - y) ** 2)) / y.std())


# --- how close ----------------------------------------------------------------------------------------------------------------------------


def test_ltc_comes_within_one_percent_of_its_own_solver():
    network, arrays = golden("ltc_ncp19")
    x = arrays["x"].astype(float)
    y, _ = liquid_neuro.integrate(network, x)
    quantized = quantize(network, LOIHI, calibration=x)
    assert (quantized.formats.weight_bits, quantized.formats.state.bits, quantized.formats.gate_bits) == (8, 16, 10)
    assert quantized.ticks_per_sample == 12
    assert quantized.compartments == 269  # 19 neurons, 58 + 192 gates
    assert quantized.stored_synapses == 750  # 250 to gates, two per synapse to neurons
    assert relative_error(quantized, x, y) < 0.01


def test_wired_cfc_comes_within_one_percent():
    network, arrays = golden("cfc_wired_ncp19")
    x = arrays["x"].astype(float)
    y, _ = liquid_neuro.integrate(network, x)
    assert relative_error(quantize(network, LOIHI, calibration=x), x, y) < 0.01


@pytest.mark.parametrize("name", ["cfc_default", "cfc_nogate", "cfc_pure"])
def test_backbone_cfc_comes_within_one_percent_on_inputs_that_calibration_did_not_see(name):
    network, arrays = golden(name)
    generator = np.random.default_rng(5)
    quantized = quantize(network, LOIHI, calibration=generator.normal(0, 0.7, (8, 64, network.inputs)))
    assert "per unit and head" in quantized.notes["weights"]
    walks = np.cumsum(generator.normal(0, 0.08, (4, 100, network.inputs)), axis=1)
    for x in (arrays["x"].astype(float), walks):
        y, _ = liquid_neuro.integrate(network, x)
        assert relative_error(quantized, x, y) < 0.01


def test_scales_of_units_undo_exactly_what_their_weights_were_divided_by():
    network, arrays = golden("cfc_default")
    quantized = quantize(network, LOIHI, calibration=arrays["x"].astype(float))
    unit = quantized.population("unit")
    scale = quantized.formats.layers[0].heads["time"].scale[:, 0]
    assert len(set(scale.tolist())) > 1
    assert unit.parameters["time_multiplier"].max() <= 255
    assert unit.parameters["time_shift"].max() <= 31
    real = cfc.effective(network).layers[0].heads
    folded = real["time_a"][0] + real["time_b"][0]
    stored = np.zeros_like(folded)
    for projection in quantized.projections:
        if projection.port == "time":
            stored[projection.target, projection.source] = projection.weight
    # Signed weights are even: half a step is 1, and rounding together moves a weight by no more than one step.
    assert (np.abs(stored * scale[:, None] - folded) <= 3 * scale[:, None] * (1 + 1e-9)).all()
    # No running sum can leave its word, whatever is heard: lecun_tanh stays below 1.7159, and rounding adds half a step to a message.
    heard = 1.7159 * 2.0 ** quantized.formats.layers[0].backbone_messages[1].fraction_bits + 1
    assert np.abs(stored).sum(axis=1).max() * heard < 2**23


# A weight's rounding error is half a step of 1/127 of the largest; bounds are twice what these networks show.
@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("ltc_auto32_softplus", 0.01),
        ("ltc_fc12_unfold3", 0.01),
        ("ltc_rand24_noaffine", 0.01),
        ("cfc_default", 0.025),
        ("cfc_nogate", 0.04),
        ("cfc_pure", 0.003),
        ("cfc_wired_auto32", 0.02),
    ],
)
def test_every_golden_network_runs_in_integers(name, bound):
    network, arrays = golden(name)
    x = arrays["x"].astype(float)
    y, _ = liquid_neuro.integrate(network, x)
    quantized = quantize(network, LOIHI, calibration=x)
    assert relative_error(quantized, x, y) < bound
    assert np.array_equal(fixed.state_words(quantized, x), fixed.direct_samples(quantized, x))


def test_fewer_bits_cost_more():
    network, arrays = golden("ltc_ncp19")
    x = arrays["x"].astype(float)
    y, _ = liquid_neuro.integrate(network, x)
    errors = [relative_error(quantize(network, LOIHI, calibration=x, bits=bits), x, y) for bits in (8, 6, 4)]
    assert errors[0] < errors[1] < errors[2]


def test_calibration_takes_rounding_errors_back():
    network, arrays = golden("ltc_ncp19")
    x = arrays["x"].astype(float)
    y, _ = liquid_neuro.integrate(network, x)
    with_means = quantize(network, LOIHI, calibration=x)
    without = quantize(network, LOIHI, input_range=(-4, 4))
    assert relative_error(with_means, x, y) < relative_error(without, x, y)
    assert "taken back" in with_means.notes["rounding"]
    assert "no calibration" in without.notes["rounding"]


# --- choices ------------------------------------------------------------------------------------------------------------------------------


def test_gate_bits_follow_from_fan_in():
    for fan_in, gate_bits in ((32, 10), (33, 9), (64, 9), (128, 8)):
        network = liquid_neuro.ltc(Wiring.from_adjacency([[0]], np.ones((fan_in, 1)), 1), seed=0)
        quantized = quantize(network, LOIHI, input_range=(-1, 1))
        assert quantized.formats.gate_bits == gate_bits
        assert f"{fan_in} synapses of motor_0" in quantized.notes["gate_bits"] or "unknown_0" in quantized.notes["gate_bits"]
        assert fan_in * 255 * 2**gate_bits < 2**23
    with pytest.raises(ValueError, match="gate bits must be 4 to 8"):
        quantize(network, LOIHI, input_range=(-1, 1), bits={"gates": 9})


def test_stored_weights_are_on_the_chips_grid():
    network, arrays = golden("ltc_ncp19")
    for bits in (8, 6, 5, 3):
        quantized = quantize(network, LOIHI, calibration=arrays["x"].astype(float), bits=bits)
        for projection in quantized.projections:
            weight = projection.weight
            assert (weight != 0).all()
            if projection.sign_mode == "excitatory":
                assert weight.min() >= 0
                assert weight.max() <= 255
                assert (weight % (1 << (8 - projection.weight_bits)) == 0).all()
            else:
                assert np.abs(weight).max() <= 254
                assert (weight % (1 << (9 - projection.weight_bits)) == 0).all()
            order = np.lexsort((projection.target, projection.source))
            assert np.array_equal(order, np.arange(len(order)))


def test_a10_lost_synapses_are_named_and_not_stored():
    network = l4(w=np.where(np.arange(10) == 3, 1e-5, l4().parameters["w"]))
    quantized = quantize(network, LOIHI, input_range=(0, 1))
    wiring, labels = network.wiring, network.labels
    assert quantized.notes["lost_synapses"] == (f"{labels[wiring.source[3]]} -> {labels[wiring.target[3]]}",)
    whole = quantize(l4(), LOIHI, input_range=(0, 1))
    assert whole.notes["lost_synapses"] == ()
    assert whole.stored_synapses - quantized.stored_synapses == 3  # the gate's and both of its own
    assert whole.compartments - quantized.compartments == 1


def test_gates_that_compute_the_same_are_one():
    network = l4(sigma=np.full(10, 4.0), mu=np.full(10, 0.25))
    quantized = quantize(network, LOIHI, input_range=(0, 1))
    assert quantized.population("recurrent_gate").size == 4  # one per presynaptic neuron
    x = np.random.default_rng(0).uniform(0, 1, (2, 8, 2))
    assert np.array_equal(fixed.state_words(quantized, x), fixed.direct_samples(quantized, x))


def test_formats_can_be_kept_for_another_network():
    network, arrays = golden("ltc_ncp19")
    x = arrays["x"].astype(float)
    first = quantize(network, LOIHI, calibration=x, thresholds=5)
    again = quantize(network, LOIHI, formats=first.formats)
    for one, other in zip(first.projections, again.projections):
        assert np.array_equal(one.weight, other.weight)
    changed = network.with_parameters({"w": network.parameters["w"] * 0.9})
    other = quantize(changed, LOIHI, formats=first.formats, thresholds={"gate": 2})
    assert np.array_equal(other.formats.conductance_scale, first.formats.conductance_scale)
    assert (other.formats.neuron_threshold, other.formats.gate_threshold) == (5, 2)
    assert quantize(c4(), LOIHI, formats=quantize(c4(), LOIHI).formats).stored_synapses > 0
    with pytest.raises(ValueError, match="formats must come from an LTC"):
        quantize(network, LOIHI, formats=quantize(c4(), LOIHI).formats)


def test_the_rounding_of_parameters_is_round_half_up_of_value_over_scale():
    network = l4()
    quantized = quantize(network, LOIHI, input_range=(0, 1))
    formats, values = quantized.formats, effective(network)
    integers = integer_parameters(values, formats)
    assert formats.conductance_scale.shape == (4,)
    assert np.array_equal(integers.conductance, np.clip(np.floor(values.w / formats.conductance_scale[values.target] + 0.5), 0, 255))
    assert np.array_equal(integers.capacitance, np.floor(values.cm * 6 / formats.unit + 0.5))
    assert integers.driven.dtype == np.float64
    assert np.array_equal(formats.driven_scale, formats.conductance_scale * formats.ratio / 2**formats.ratio_shift)


def test_streams_and_windows_calibrate_alike():
    network = l4()
    x = np.random.default_rng(0).normal(0, 0.5, (40, 2))
    stream = EventStream.from_samples(x, sample_s=1.0)
    formats = [quantize(network, LOIHI, calibration=given).formats for given in (x, x[None], stream, [stream])]
    assert all(np.array_equal(formats[0].gate_mean, other.gate_mean) for other in formats[1:])
    assert len({other.input for other in formats}) == 1
    slow = quantize(dataclasses.replace(network, time_unit_s=60.0), LOIHI, calibration=EventStream.from_samples(x, sample_s=30.0))
    assert slow.formats.timespan == 0.5


def test_notes_say_what_was_chosen():
    notes = quantize(l4(), LOIHI).notes
    assert {"weights", "gate_bits", "state", "inputs", "timespan", "lost_synapses", "stops_short_by", "rounding"} <= set(notes)
    assert "assumed" in notes["inputs"]


def test_states_never_leave_the_box_that_the_word_holds():
    network = l4()
    quantized = quantize(network, LOIHI, input_range=(-1, 1))
    x = np.random.default_rng(0).uniform(-1, 1, (4, 200, 2))
    values = effective(network)
    lowest, highest = min(0.0, values.vleak.min(), values.erev.min(), values.sensory_erev.min()), max(values.erev.max(), 1.0)
    states = fixed.state_words(quantized, x) * quantized.formats.state.lsb
    step = 1 / 127  # driven and conductance weights are rounded on their own
    assert states.min() > lowest - step
    assert states.max() < highest + step


def test_the_error_is_measured_against_the_named_target():
    network, arrays = golden("ltc_ncp19")
    x = arrays["x"].astype(float)
    y, _ = liquid_neuro.integrate(network, x)
    quantized = quantize(network, LOIHI, calibration=x)
    error = quantized.notes["error"]
    assert (error["target"], error["samples"]) == ("fused(6)", 50)
    assert error["of_output_std"] == pytest.approx(relative_error(quantized, x, y), rel=1e-9)
    assert "error" not in quantize(network, LOIHI, input_range=(-4, 4)).notes


def test_parameters_that_outgrow_kept_formats_are_counted():
    network = l4()
    quantized = quantize(network, LOIHI, input_range=(0, 1))
    assert quantized.notes["clipped_parameters"] == 0
    larger = network.with_parameters({"w": network.parameters["w"] * 3, "erev": network.parameters["erev"] * 3})
    notes = quantize(larger, LOIHI, formats=quantized.formats).notes
    assert notes["clipped_parameters"] > 0
    assert notes["states_may_saturate"]


def test_microcontrollers_keep_sums_of_24_bits():
    quantized = quantize(l4(), hardware_profiles.load("cortex_m4"), input_range=(0, 1))
    assert (quantized.kind, quantized.accumulator_bits) == ("microcontroller", 24)


# --- slow neurons -------------------------------------------------------------------------------------------------------------------------


def test_a13_slow_neurons_get_a_wide_word_or_are_refused():
    network = one_neuron(1.0, 1.0, 1.0, None, Fused(1))
    with pytest.raises(ValueError, match=r"neuron \w+_0 needs 21 state bits \(19 of fraction\) .* but 16 \(14\) are available"):
        quantize(network, LOIHI, timespan=1e-4, bits={"state": 16})
    quantized = quantize(network, LOIHI, timespan=1e-4)
    assert 16 < quantized.formats.state.bits <= 24
    assert "is slow" in quantized.notes["state"]
    words = fixed.state_words(quantized, np.zeros((100_000, 1)))[0, :, 0]
    v = words * quantized.formats.state.lsb
    assert abs(v[9_999] - 0.632120559) < 0.01
    assert abs(v[-1] - 1.0) < 0.01


def test_guard_bits_do_not_change_what_fast_neurons_do():
    network, arrays = golden("ltc_ncp19")
    x = arrays["x"].astype(float)
    y, _ = liquid_neuro.integrate(network, x)
    assert relative_error(quantize(network, LOIHI, calibration=x, bits={"state": 24}), x, y) < 0.01


def test_short_samples_keep_their_goal():
    """G is far below C: both are normalised on their own, so that G keeps its 15 bits."""
    network = l4()
    x = np.tile([[0.8, 0.4]], (3000, 1))
    quantized = quantize(network, LOIHI, calibration=EventStream.from_samples(x, sample_s=0.01))
    y, _ = liquid_neuro.integrate(network, x, timespans=0.01)
    assert np.abs(fixed.run_samples(quantized, x) - y).max() < 5e-3  # 8-bit weights


# --- refusals -----------------------------------------------------------------------------------------------------------------------------


def test_refusals_are_sentences():
    network = l4()
    negative = LiquidNetwork(
        "ltc", 2, 4, 1, {**network.parameters}, LTCSettings(softplus=True), Fused(), network.wiring
    )  # softplus makes any number positive
    assert quantize(negative, LOIHI).stored_synapses > 0
    cases = [
        (lambda: quantize(l4(solver=Exact()), LOIHI, ticks_per_sample=7), "must be even"),
        (lambda: quantize(network, LOIHI, timespan=1.0, timespans=(0.5, 1.0)), "must not both be given"),
        (lambda: quantize(network, LOIHI, timespans=(1.0, 0.5)), "0 < shortest <= longest"),
        (lambda: quantize(network, LOIHI, error=0.01), "there is no calibration"),
        (lambda: quantize(network, LOIHI, error="1%"), "error must be a fraction of the outputs' standard deviation .*, but is '1%'"),
        (lambda: quantize(network, LOIHI, error=-1.0), "error must be a fraction .* above 0, such as 0.01, but is -1.0"),
        (lambda: quantize(network, LOIHI, calibration="samples.csv"), "calibration must be samples in numbers, .* but holds a str"),
        (lambda: quantize(network, LOIHI, input_range="wide"), r"input_range must be \(lowest, highest\) of the inputs in finite numbers"),
        (lambda: quantize(network, LOIHI, input_range=[]), r"input_range must be \(lowest, highest\)"),
        (lambda: quantize(network, LOIHI, input_range=(-1e9, 1e9)), "must stay below .* to gate values of -17 fraction bits, but is"),
        (lambda: quantize(c4(), LOIHI, input_range=(-1e9, 1e9)), "sums must hold messages of at least 4 fraction bits, but for inputs"),
        (lambda: quantize(network, LOIHI, timespan="long"), "timespan must be a positive number of model units, but is 'long'"),
        (lambda: quantize(network, LOIHI, bits=True), "whole number"),
        (lambda: quantize(l4(delay=np.full(10, 0.5)), LOIHI), "delay must be 0 to run in integers, .* but reaches 0.5"),
        (lambda: quantize(network, LOIHI, bits=9), r'bits\["weights"\] must be one of'),
        (lambda: quantize(network, LOIHI, bits={"wieghts": 8}), 'names "wieghts"'),
        (lambda: quantize(network, LOIHI, bits={"state": 30}), "must be 6 to 24"),
        (lambda: quantize(network, LOIHI, thresholds={"neuron": 0}), "at least 1, but is 0"),
        (lambda: quantize(network, LOIHI, ticks_per_sample=6), "ticks_per_sample must be 12"),
        (lambda: quantize(network, LOIHI, timespan=0.0), "timespan must be a positive number"),
        (lambda: quantize(network, LOIHI, calibration=np.zeros((3, 5))), "calibration must be"),
        (lambda: quantize(network, LOIHI, calibration=np.full((3, 2), np.nan)), "finite"),
        (lambda: quantize(network, LOIHI, calibration=[]), "calibration must hold at least one sample"),
        (lambda: quantize(network, LOIHI, calibration=np.zeros((0, 2))), "calibration must hold at least one sample"),
        (lambda: quantize(network, LOIHI, calibration=np.zeros((0, 4, 2))), "calibration must hold at least one sample"),
        (lambda: quantize(network, LOIHI, thresholds=1 << 20), r"thresholds\['neuron'\] must be at most"),
        (lambda: quantize(network, LOIHI, thresholds={"gate": 1 << 20}), r"thresholds\['gate'\] must be at most"),
        (lambda: quantize(network, LOIHI, thresholds=2.0), "whole number"),
        (lambda: quantize(network, LOIHI, bits=4.0), "whole number"),
        (lambda: quantize(network, hardware_profiles.load("loihi1")), "loihi1 has 1; choose a chip of graded messages"),
        (lambda: quantize(c4(), LOIHI, ticks_per_sample=2), "ticks_per_sample must be 1"),
    ]
    for call, text in cases:
        with pytest.raises(ValueError, match=text) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_formats_are_values_of_their_own():
    formats = quantize(l4(), LOIHI).formats
    assert isinstance(formats, LTCFormats)
    assert formats.ticks_per_sample == 12
    with pytest.raises(dataclasses.FrozenInstanceError):
        formats.weight_bits = 4
