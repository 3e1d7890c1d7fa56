"""The occupancy task follows the published protocol; a user's CSV files make a task; mistakes in them are named."""

import numpy as np
import pytest

from liquid_neuro import tasks
from liquid_neuro.network import Interface


@pytest.fixture(scope="module")
def task():
    return tasks.occupancy()


def test_occupancy_has_the_protocol_s_sizes(task):
    assert task.channels == ("Temperature", "Humidity", "Light", "CO2", "HumidityRatio")
    assert task.train.x.shape == (7315, 16, 5)
    assert task.validation.x.shape == (812, 16, 5)
    assert task.test.x.shape == (1549, 16, 5)
    assert [stream.x.shape for stream in task.streams] == [(2665, 5), (9752, 5)]
    assert [stream.x.shape for stream in task.training_streams] == [(8143, 5)]
    assert (task.sample_s, task.time_unit_s) == (60.0, 60.0)
    assert task.interface.decision == "threshold"


def test_occupancy_values(task):
    x, y = task.training_streams[0]
    first = np.array([23.18, 27.272, 426, 721.25, 0.00479298817650529])
    np.testing.assert_allclose(x[0] * task.interface.input_scale + task.interface.input_mean, first, rtol=1e-12)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-10)  # sums of 8143 standardised values
    np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-10)
    assert y[0] == 1
    assert y.sum() == 1729
    # 75.8 % of the test windows' steps are empty rooms: the majority class
    assert 1 - task.test.y.mean() == pytest.approx(0.758, abs=5e-4)


def test_windows_are_cut_from_the_streams_in_order(task):
    order = np.random.RandomState(893429).permutation(8127)
    x, y = task.training_streams[0]
    for row, start in zip(range(3), order[:3]):
        assert (task.validation.x[row] == x[start : start + 16]).all()
    assert (task.train.y[-1] == y[order[-1] : order[-1] + 16]).all()
    second = task.streams[1]
    assert (task.test.x[332] == second.x[:16]).all()
    assert (task.test.x[333] == second.x[8:24]).all()


def test_arrays_are_read_only(task):
    with pytest.raises(ValueError, match="read-only"):
        task.test.x[0, 0, 0] = 1.0
    assert task.split("test") is task.test
    with pytest.raises(ValueError, match='split must be "train", "validation" or "test", but is "all"'):
        task.split("all")


def test_logistic_regression_is_the_baseline(task):
    baseline = tasks.logistic_regression(task)
    # ridge chosen on the validation windows: 0.9897; ridges of 100 and 1 give 0.9829 and 0.957
    assert baseline.accuracy == pytest.approx(0.9897, abs=5e-4)
    assert tasks.logistic_regression(task, penalties=(100.0,)).accuracy == pytest.approx(0.983, abs=5e-4)
    assert tasks.accuracy(baseline.outputs(task.test.x), task.test.y, task.interface) == baseline.accuracy
    assert int(np.argmax(np.abs(baseline.weights))) == task.channels.index("Light")


def test_logistic_regression_is_at_the_optimum(task):
    baseline = tasks.logistic_regression(task, penalties=(10.0,))
    odds = baseline.outputs(task.train.x)[..., 0]
    residual = task.train.y - 1 / (1 + np.exp(-odds))
    gradient = np.einsum("wti,wt->i", task.train.x, residual) - 10.0 * baseline.weights
    assert np.abs(gradient).max() < 1e-6  # of sums over 117,040 steps
    assert abs(residual.sum()) < 1e-6


def test_decide():
    interface = Interface(decision="threshold", threshold=0.5)
    assert tasks.decide([[[0.4], [0.6]]], interface).tolist() == [[False, True]]
    assert tasks.decide([0.4, 0.6], interface).tolist() == [False, True]
    with pytest.raises(ValueError, match=r'interface.decision must be "threshold"'):
        tasks.decide([0.0], Interface(decision="argmax"))
    with pytest.raises(ValueError, match="outputs must have one motor"):
        tasks.decide(np.zeros((1, 2, 3)), interface)


def _write(path, rows, header="time,a,b,label"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def _rows(count, seed=0):
    rng = np.random.default_rng(seed)
    return [f"{k},{rng.normal():.3f},{rng.normal():.3f},{k // 10 % 2}" for k in range(count)]


def test_a_csv_task(tmp_path):
    training, test = _write(tmp_path / "training.csv", _rows(60)), _write(tmp_path / "test.csv", _rows(40, 1))
    task = tasks.from_csv(training, [test], channels=("a", "b"), label="label", sample_s=0.5, window=8)
    assert task.train.x.shape == (47, 8, 2)
    assert task.validation.x.shape == (5, 8, 2)
    assert task.test.x.shape == (4, 8, 2)
    assert task.sample_s == task.time_unit_s == 0.5
    assert task.streams[0].y.tolist() == [k // 10 % 2 for k in range(40)]
    assert 0 <= tasks.logistic_regression(task).accuracy <= 1


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["0,1,2,1"], "time,a,label", 'must have a column "b", but has time, a, label'),
        (["0,1,x,1"], "time,a,b,label", 'row 2, column "b" must be a number, but is "x"'),
        (["0,1,nan,1"], "time,a,b,label", 'row 2, column "b" must be a number, but is "nan"'),
        (["0,1,2,1", "0,1"], "time,a,b,label", "row 3 must have 4 columns, but has 2"),
        (["0,1,2,1", "", "0,1,2,3"], "time,a,b,label", 'row 4, column "label" must be 0 or 1, but is 3'),
        (_rows(10), "time,a,b,label", "must have at least 18 rows, but has 10"),
        ([f"0,1,{k},0" for k in range(30)], "time,a,b,label", "channel a must vary in the training file"),
    ],
)
def test_mistakes_in_csv_files_are_named(tmp_path, rows, header, message):
    path = _write(tmp_path / "bad.csv", rows, header)
    with pytest.raises(ValueError, match=message):
        tasks.from_csv(path, [path], channels=("a", "b"), label="label", sample_s=1.0, window=8)


def test_a_csv_task_needs_a_test_file_and_a_clock(tmp_path):
    path = _write(tmp_path / "training.csv", _rows(60))
    with pytest.raises(ValueError, match="tests must name at least one file"):
        tasks.from_csv(path, [], channels=("a",), label="label", sample_s=1.0)
    with pytest.raises(ValueError, match="sample_s must be positive, but is 0"):
        tasks.from_csv(path, [path], channels=("a",), label="label", sample_s=0.0)
