"""Streams of events: encoders, clocks, and every malformed row refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from event_sim import EventStream


def test_a05_send_on_delta_compares_with_the_last_value_sent() -> None:
    stream = EventStream.from_samples([1, 2, 2.9, 3, 3.9], sample_s=1, threshold=1.0)
    assert list(stream) == [(0.0, 0, 1.0), (1.0, 0, 2.0), (3.0, 0, 3.0)]
    assert stream.held()[:, 0].tolist() == [1, 2, 2, 3, 3]
    jump = EventStream.from_samples([0, 5, 5], sample_s=1, threshold=1.0)
    assert list(jump) == [(1.0, 0, 5.0)]


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 20), st.integers(1, 3)), elements=st.floats(-10, 10, allow_subnormal=False)),
    st.sampled_from([0.0, 0.5, 2.0]),
)
def test_the_held_level_is_never_a_threshold_away(x: np.ndarray, threshold: float) -> None:
    stream = EventStream.from_samples(x, sample_s=0.1, threshold=threshold)
    assert (np.abs(stream.held() - x) < threshold).all() or (threshold == 0 and (stream.held() == x).all())


def test_a04_event_times_at_multiples_of_the_sample_fall_into_their_own_sample() -> None:
    times = [round(0.1 * k, 1) for k in range(100)]
    plain = np.floor(np.array(times) / 0.1).astype(int)
    assert (plain != np.arange(100)).sum() == 33  # what the rule below avoids
    stream = EventStream(times, np.zeros(100, dtype=int), np.arange(100.0), sample_s=0.1)
    assert stream.samples == 100
    assert stream.sample_index.tolist() == list(range(100))
    assert stream.held()[:, 0].tolist() == list(range(100))
    later = EventStream(np.array(times) + 0.04, np.zeros(100, dtype=int), np.arange(100.0), sample_s=0.1)
    assert later.sample_index.tolist() == list(range(1, 101))  # the first boundary at or after the event


def test_a21_a_counter_that_wraps_around() -> None:
    counter = np.array([4294967290, 4294967295, 3, 10], dtype=np.uint32)
    stream = EventStream.from_counter(counter, [0, 1, 0, 1], [1.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(stream.time_s, [0, 5e-6, 9e-6, 16e-6], rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=r"falls from 4294967295 to 4294967294 in row 1"):
        EventStream.from_counter([4294967295, 4294967294], [0, 0], [1.0, 2.0])


def test_a22_times_that_go_back_are_refused_with_row_and_both_times() -> None:
    with pytest.raises(ValueError, match=r"falls from 0\.01 s to 0\.005 s in row 2"):
        EventStream([0, 0.010, 0.005, 0.020], [0, 0, 0, 0], [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0.0], [-1], [1.0]), "`channel` must not be negative, but is -1 in row 0"),
        (([0.0, 1.0], [0, 0], [1.0, np.nan]), "`value` must be finite, but is nan in row 1"),
        (([np.inf], [0], [1.0]), "`time_s` must be finite, but is inf in row 0"),
        (([0.0], [0.5], [1.0]), "whole numbers"),
        (([0.0], [0], [1.0], [0.0, 2.0, 1.0]), r"falls from 2\.0 s to 1\.0 s in row 2"),
    ],
)
def test_malformed_rows_are_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EventStream(*arguments)


def test_samples_of_events_that_go_back_are_refused() -> None:
    with pytest.raises(ValueError, match="`sample_index` must not go back, but falls from 2 to 1 in row 1; sort the rows"):
        EventStream([0.0, 0.0], [0, 0], [1.0, 2.0], [0.0, 0.0, 0.0, 1.0], sample_index=[2, 1])


def test_a_channel_beyond_the_last_is_refused() -> None:
    with pytest.raises(ValueError, match="below channels = 2, but is 3 in row 1"):
        EventStream([0, 1], [0, 3], [1, 1], channels=2)


def test_equal_times_last_row_wins_and_events_wait_for_the_next_boundary() -> None:
    stream = EventStream([0.0, 0.0, 0.15, 0.9], [0, 0, 1, 0], [1, 2, 5, 9], [0.0, 0.1, 0.2, 0.3])
    assert stream.held().tolist() == [[2, 0], [2, 0], [2, 5]]  # 0.15 s waits until 0.2 s; 0.9 s is not seen


def test_irregular_samples_keep_their_timespans_and_samples_of_length_zero() -> None:
    stream = EventStream.from_samples([[1, 0], [0, 1], [1, 1]], timespans=[0.5, 0, 0.5], time_unit_s=60.0)
    assert stream.sample_times_s.tolist() == [0.0, 30.0, 30.0, 60.0]
    assert stream.durations_s.tolist() == [30.0, 0.0, 30.0]
    assert stream.held().tolist() == [[1, 0], [0, 1], [1, 1]]


def test_a_log_of_stamped_measurements() -> None:
    log = EventStream.from_log([0.0, 1.0, 1.0, 3.0], [[1, np.nan], [2, np.nan], [np.nan, 7], [np.nan, 8]])
    assert log.sample_times_s.tolist() == [0.0, 1.0, 3.0, 5.0]
    assert log.held().tolist() == [[1, 0], [2, 7], [2, 8]]
    with pytest.raises(ValueError, match="one stamp"):
        EventStream.from_log([0.0], [1.0])


def test_missing_values_are_not_samples() -> None:
    with pytest.raises(ValueError, match=r"nan in row 1, channel 0; use from_log"):
        EventStream.from_samples([[1.0], [np.nan]], sample_s=1)
    with pytest.raises(ValueError, match="either `sample_s` or `timespans`, but got neither"):
        EventStream.from_samples([1.0])


def test_streams_are_read_only() -> None:
    stream = EventStream.from_samples([1.0, 2.0], sample_s=1)
    with pytest.raises(ValueError, match="read-only"):
        stream.value[0] = 3.0
