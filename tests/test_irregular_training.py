"""Training in irregular time: each sample lasts its own time, in the float twin and in the integers of every chip."""

from dataclasses import replace

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("optax")

import event_sim  # noqa: E402
import hardware_profiles  # noqa: E402
import liquid_neuro  # noqa: E402
import mappers  # noqa: E402
from liquid_neuro import Wiring, tasks  # noqa: E402
from liquid_neuro.network import Interface  # noqa: E402
from liquid_neuro.tasks import Split, Stream, Task  # noqa: E402
from liquid_neuro.training.fit import fit  # noqa: E402

pytestmark = pytest.mark.train
SHORTEST, LONGEST = 0.05, 4.0
CFC = liquid_neuro.cfc(Wiring.auto_ncp(1, 8, 1, seed=1), seed=1)
LTC = liquid_neuro.ltc(Wiring.fully_connected(1, 3, 1), seed=0)
QUICK = {"batch_size": 64, "learning_rate": 0.03, "channel_penalty": 0.0, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def task() -> Task:
    """Whether the leaky mean of a random telegraph signal is positive: only who knows how long each sample lasted can tell."""
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (360, 12, 1))
    spans = np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST), x.shape[:2]))
    y, mean = np.zeros(spans.shape), np.zeros(len(x))
    for k in range(spans.shape[1]):
        keep = np.exp(-spans[:, k])
        mean = keep * mean + (1 - keep) * x[:, k, 0]
        y[:, k] = mean > 0
    parts = [Split(x[rows], y[rows], timespans=spans[rows]) for rows in np.split(np.arange(360), [200, 280])]
    interface = Interface(channels=("x",), outputs=("decision",), decision="threshold", threshold=0.0)
    return Task("leaky", ("x",), interface, 1.0, 1.0, *parts, (), (), "accuracy", "made here")


def _without_timespans(task: Task) -> Task:
    names = ("train", "validation", "test")
    return replace(task, **{name: replace(task.split(name), timespans=None) for name in names})


def test_timespans_tell_a_network_what_it_must_know(task):
    told = fit(task, CFC, steps=200, evaluate_every=100, **QUICK)
    untold = fit(_without_timespans(task), CFC, steps=200, evaluate_every=100, **QUICK)
    assert told.scores["test_accuracy"] > 0.93
    # without time the sign of the last sample is right on 78 % of the steps, a mean over samples on 80 %
    assert untold.scores["test_accuracy"] < 0.85
    # float32 against float64: no decision of these lies within rounding of the threshold but by chance
    assert event_sim.evaluate(task, told.network).accuracy == pytest.approx(told.scores["test_accuracy"], abs=0.003)


@pytest.mark.parametrize("name", ["cfc", "akida", pytest.param("ltc", marks=pytest.mark.slow)])
def test_a_fit_trains_through_the_integers_of_irregular_time(task, name):
    network, chip = (LTC if name == "ltc" else CFC), hardware_profiles.load("akida1000" if name == "akida" else "loihi2")
    network = replace(network, interface=task.interface)
    irregular = {} if name == "akida" else {"timespans": (SHORTEST, LONGEST)}
    quantized = mappers.quantize(network, chip, calibration=task.train.x, **irregular)
    result = fit(task, network, through=quantized, steps=4, evaluate_every=2, **{**QUICK, "batch_size": 16})
    # what training scores is what the chip does, bit for bit
    assert result.history[0].validation_accuracy == event_sim.evaluate(task, quantized, "validation").accuracy
    assert result.history[1].validation_loss != result.history[0].validation_loss
    trained = mappers.quantize(result.network, chip, formats=quantized.formats)
    assert result.scores["test_accuracy"] == event_sim.evaluate(task, trained).accuracy


def test_timespans_that_the_integers_do_not_know_are_refused(task):
    regular = mappers.quantize(CFC, hardware_profiles.load("loihi2"), calibration=task.train.x)
    with pytest.raises(ValueError, match=r"timespans must be 1 model units, for which the integers were made, but one is .*quantise with"):
        fit(task, CFC, through=regular)
    with pytest.raises(ValueError, match="timespans must be 1 model units"):
        event_sim.evaluate(task, regular)
    short = mappers.quantize(CFC, hardware_profiles.load("loihi2"), calibration=task.train.x, timespans=(SHORTEST, 1.0))
    with pytest.raises(ValueError, match=r"timespans must be 0 to .* resample or quantise with timespans that reach so far"):
        fit(task, CFC, through=short)


def test_splits_with_wrong_timespans_are_refused(task):
    with pytest.raises(ValueError, match="timespans must be given for all splits of leaky or for none, but validation differs from train"):
        fit(replace(task, validation=replace(task.validation, timespans=None)), CFC)
    spans = task.train.timespans
    for wrong in (spans[:, :3], -spans, spans * np.nan):
        with pytest.raises(ValueError, match="timespans must be finite, at least 0 and of the shape"):
            replace(task.train, timespans=wrong)
    streams = (Stream(task.train.x[0], task.train.y[0], spans[0]),)
    with pytest.raises(ValueError, match="leaky must be sampled regularly to be co-designed"):
        mappers.codesign(replace(task, training_streams=streams), CFC, hardware_profiles.load("loihi2"))


def _csv(path, durations):
    rng = np.random.default_rng(0)
    rows = [f"{rng.normal():.3f},{duration},{k // 10 % 2}" for k, duration in enumerate(durations)]
    path.write_text("\n".join(["a,held_s,label", *rows]) + "\n")
    return path


def test_a_csv_task_in_irregular_time(tmp_path):
    path = _csv(tmp_path / "log.csv", [0.5 + 0.25 * (k % 3) for k in range(60)])
    task = tasks.from_csv(path, [path], channels=("a",), label="label", sample_s=0.5, window=8, duration="held_s")
    stream = task.training_streams[0]
    assert stream.timespans.tolist() == [1.0 + 0.5 * (k % 3) for k in range(60)]
    assert task.train.timespans.shape == (47, 8)
    assert task.test.timespans.tolist() == [stream.timespans[k : k + 8].tolist() for k in range(0, 52, 8)]
    for window, spans in zip(task.train.x, task.train.timespans):
        start = next(k for k in range(60) if np.array_equal(stream.x[k : k + 8], window))
        assert spans.tolist() == stream.timespans[start : start + 8].tolist()
    wrong = _csv(tmp_path / "wrong.csv", [0.5] * 30 + [-0.5] * 30)
    with pytest.raises(ValueError, match=r'row 32, column "held_s" must be at least 0 seconds, but is -0.5'):
        tasks.from_csv(wrong, [wrong], channels=("a",), label="label", sample_s=0.5, window=8, duration="held_s")
