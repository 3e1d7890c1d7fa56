"""Co-design: fewer messages at the same accuracy, chosen without the test data, the same for the same seed."""

import dataclasses

import numpy as np
import pytest

import event_sim
import hardware_profiles
import liquid_neuro
import mappers
from liquid_neuro import tasks
from liquid_neuro.tasks import Split, Stream
from mappers.codesign_loop import Budget, Candidate, _long_windows, codesign

LOIHI = hardware_profiles.load("loihi2")


def _light_switch():
    """A network made by hand for the occupancy task: the motor neuron rises with the light (channel 2), one sensory synapse."""
    adjacency, sensory = np.zeros((2, 2)), np.zeros((5, 2))
    adjacency[1, 0] = 1
    sensory[2, 0], sensory[2, 1] = 1, 1
    wiring = liquid_neuro.Wiring.from_adjacency(adjacency, sensory, outputs=1)
    network = liquid_neuro.ltc(wiring, softplus=False)
    values = {"gleak": [1.0, 1.0], "vleak": [-1.0, 0.0], "cm": [0.2, 0.2], "w": [0.2], "sigma": [5.0], "mu": [0.5], "erev": [1.0]}
    sensory_values = {"sensory_w": [1.6, 1.0], "sensory_sigma": [4.0, 2.0], "sensory_mu": [1.0, 0.5], "sensory_erev": [1.0, 1.0]}
    return network.with_parameters({**values, **sensory_values})


@pytest.fixture(scope="module")
def task():
    """A day of the occupancy task: a smaller world for the loop."""
    whole = tasks.occupancy()
    day = Stream(whole.training_streams[0].x[:1440], whole.training_streams[0].y[:1440])
    test = Stream(whole.streams[1].x[:1440], whole.streams[1].y[:1440])
    test_windows = Split(whole.test.x[332:432], whole.test.y[332:432])
    validation = Split(whole.validation.x[:100], whole.validation.y[:100])
    return dataclasses.replace(whole, streams=(test,), training_streams=(day,), validation=validation, test=test_windows)


def test_raising_thresholds_saves_messages_and_keeps_the_accuracy(task):
    network = _light_switch()
    result = codesign(task, network, LOIHI, Budget(accuracy_drop=0.01), rounds=0)
    assert result.met
    assert result.limit == ""
    assert result.spikes_per_sample < result.spikes_per_sample_before / 3
    assert result.accuracy >= result.accuracy_before - 0.01
    # what is reported is what the simulator gives
    assert result.accuracy == event_sim.evaluate(task, result.quantized).accuracy
    stream = event_sim.EventStream.from_samples(task.streams[0].x, sample_s=60.0)
    recording = event_sim.simulate(result.quantized, stream)
    assert result.spikes_per_sample == recording.activity.total_spikes / 1440
    assert result.stream_accuracy == float(((recording.output_samples[:, 0] > 0) == (task.streams[0].y > 0.5)).mean())
    assert result.thresholds == {"input": 1, "neuron": 1, "gate": 1} | result.thresholds
    assert max(result.thresholds.values()) > 1


def test_thresholds_stand_at_half_of_what_was_still_good(task):
    result = codesign(task, _light_switch(), LOIHI, Budget(accuracy_drop=0.01), rounds=0)
    assert result.history[0].step == "quantised"
    assert result.history[-1].step == "thresholds halved"
    together = [candidate for candidate in result.history if candidate.step.endswith("thresholds doubled")]
    highest = max(candidate.thresholds["input"] for candidate in together)
    assert result.thresholds["input"] == highest // 4  # the last doubling failed, the one before is the edge


def test_a_budget_that_cannot_be_met_is_said(task):
    result = codesign(task, _light_switch(), LOIHI, Budget(accuracy_drop=0.0, spikes_per_sample=0.0), rounds=0)
    assert not result.met
    assert result.limit in ("accuracy", "spikes")


def test_the_test_data_do_not_steer(task):
    """Other test labels change what is reported, not what is chosen."""
    flipped = dataclasses.replace(
        task, test=Split(task.test.x, 1 - task.test.y), streams=(Stream(task.streams[0].x, 1 - task.streams[0].y),)
    )
    first, second = (codesign(t, _light_switch(), LOIHI, rounds=0) for t in (task, flipped))
    assert first.history == second.history
    assert first.thresholds == second.thresholds
    assert first.accuracy != second.accuracy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accuracy_drop": -0.1}, "accuracy_drop must be at least 0, but is -0.1"),
        ({"spike_ratio": 0.0}, "spike_ratio must be above 0 and at most 1, but is 0"),
        ({"spikes_per_sample": -1.0}, "spikes_per_sample must be at least 0, but is -1"),
    ],
)
def test_budgets_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        Budget(**change)


def test_frames_send_no_messages(task):
    network = liquid_neuro.cfc(liquid_neuro.Wiring.ncp(5, 4, 2, 1, 2, 2, 2, 2), seed=0)
    with pytest.raises(ValueError, match="profile must be of a chip that sends messages, but akida1000 runs frames"):
        codesign(task, network, hardware_profiles.load("akida1000"), rounds=0)


def test_long_windows_weigh_starts_and_streams_alike(task):
    long = _long_windows(task, 64)
    assert long.train.x.shape[1:] == (64, 5)
    assert len(long.train) + len(long.validation) == (1440 - 64) // 16 + 1
    assert long.train.weights is not None
    assert long.train.weights.mean() == pytest.approx(1.0)
    assert long.train.weights[:16].sum() == pytest.approx(long.train.weights[16:].sum())


@pytest.mark.train
def test_retraining_repeats_itself(task):
    pytest.importorskip("jax")
    first, second = (codesign(task, _light_switch(), LOIHI, rounds=1, steps=8, seed=5) for _ in range(2))
    assert first.history == second.history
    assert any(candidate.step == "retrained, round 1" for candidate in first.history)
    assert all(isinstance(candidate, Candidate) for candidate in first.history)
    assert all((first.network.parameters[name] == second.network.parameters[name]).all() for name in first.network.parameters)


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_occupancy_needs_a_third_of_the_spikes(seed):
    pytest.importorskip("jax")
    whole = tasks.occupancy()
    fitted = liquid_neuro.fit(whole, liquid_neuro.ltc(liquid_neuro.Wiring.ncp(5, 12, 6, 1, 6, 4, 6, 6), seed=seed), seed=seed)
    assert fitted.scores["test_accuracy"] >= 0.98
    result = mappers.codesign(whole, fitted.network, LOIHI, seed=seed)
    assert result.met
    assert result.spikes_per_sample <= result.spikes_per_sample_before / 3
    assert result.accuracy >= result.accuracy_before - 0.005
    assert result.stream_accuracy >= result.stream_accuracy_before - 0.01
