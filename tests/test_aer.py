"""Event files and the level-crossing encoder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_sim import EventStream, level_crossings, read_events, write_events


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_files_give_rows_back_bit_for_bit(tmp_path, suffix: str) -> None:
    draw = np.random.default_rng(0)
    for stream in (
        EventStream(np.sort(draw.random(50)), draw.integers(0, 4, 50), draw.normal(size=50), sample_s=0.1, channels=5),
        EventStream([], [], []),
    ):
        again = read_events(write_events(stream, tmp_path / f"events{suffix}"))
        for name in ("time_s", "channel", "value"):
            assert getattr(again, name).tobytes() == getattr(stream, name).tobytes()
        if suffix == ".npz":
            assert again.channels == stream.channels
            assert again.samples == stream.samples


def test_a21_a_wrapping_clock_in_a_file(tmp_path) -> None:
    counts = np.array([4294967290, 4294967295, 3, 10])
    (tmp_path / "dvs.csv").write_text("t_us,channel,value\n" + "".join(f"{count},0,1\n" for count in counts))
    np.savez(tmp_path / "dvs.npz", t_us=counts, channel=np.zeros(4, dtype=int), value=np.ones(4))
    for name in ("dvs.csv", "dvs.npz"):
        np.testing.assert_allclose(read_events(tmp_path / name).time_s, [0, 5e-6, 9e-6, 16e-6], rtol=0, atol=1e-12)


def test_columns_stand_in_any_order_and_others_are_passed_over(tmp_path) -> None:
    rows = [(0.0, 1, 0.5), (0.25, 0, -1.0)]
    files = {
        "channel,time_s,value": [(channel, time_s, value) for time_s, channel, value in rows],
        "time_s,channel,value,what": [(*row, "x") for row in rows],
        "\ufefftime_s, channel, value": rows,
    }
    for header, lines in files.items():
        text = "\r\n".join([header, *(",".join(map(str, line)) for line in lines), "", ""])
        (tmp_path / "events.csv").write_text(text, encoding="utf-8", newline="")
        assert list(read_events(tmp_path / "events.csv")) == rows


def test_any_damage_is_one_sentence_and_a_failed_write_leaves_nothing(tmp_path, monkeypatch) -> None:
    path, draw = tmp_path / "events.npz", np.random.default_rng(0)
    np.savez_compressed(path, time_s=np.arange(50.0), channel=np.arange(50) % 3, value=np.ones(50))
    whole, sentences = path.read_bytes(), []
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[int(draw.integers(len(whole)))] ^= int(draw.integers(1, 256))
        path.write_bytes(damaged if draw.random() < 0.7 else damaged[: int(draw.integers(len(whole)))])
        try:
            assert len(read_events(path)) == 50
        except ValueError as error:
            sentences.append(str(error))
    assert len(sentences) > 100
    assert all(str(path) in sentence and "\n" not in sentence for sentence in sentences)
    path.unlink()
    with pytest.raises(ValueError, match="must lie in an existing folder"):
        write_events(EventStream([0.0], [0], [1.0]), tmp_path / "absent" / "events.csv")
    monkeypatch.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ValueError, match="must be writable, but is not"):
        write_events(EventStream([0.0], [0], [1.0]), path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="`stream` must be an EventStream, but is int"):
        write_events(3, path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"", "must end in .npz or .csv"),
        ("a.csv", b"x,y\n1,2\n", r"must have columns time_s \(or t_us\), channel and value, but has x, y"),
        ("a.csv", b"time_s,channel,value\n1,2\n", "must have 3 fields per row, but has 2 in row 1"),
        ("a.csv", b"time_s,channel,value\n1,0,abc\n", "must hold numbers only"),
        ("a.csv", b"time_s,channel,value\n2,0,1\n1,0,1\n", r"must not go back, but falls from 2\.0 s to 1\.0 s in row 1"),
        ("a.npz", b"nothing", "must be a whole .npz file"),
        ("a.npz", b"PKnothing", "must be a whole .npz file"),
    ],
)
def test_damaged_files_are_refused(tmp_path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_events(tmp_path / name)
    with pytest.raises(ValueError, match="must be a readable file"):
        read_events(tmp_path / "absent.csv")


def test_crossings_of_a_ramp() -> None:
    stream = level_crossings([0.0, 1.0, 2.0], [0.0, 1.0, 0.2], spacing=0.25)
    assert list(stream) == [(0.25, 0, 0.25), (0.5, 0, 0.5), (0.75, 0, 0.75), (1.0, 0, 1.0)] + [
        (pytest.approx(1.0 + 0.25 * k / 0.8), 0, 1.0 - 0.25 * k) for k in (1, 2, 3)
    ]
    with pytest.raises(ValueError, match="`spacing` must be a positive number"):
        level_crossings([0.0, 1.0], [0.0, 1.0], spacing=0.0)
    with pytest.raises(ValueError, match="`spacing` must lead to at most"):
        level_crossings([0.0, 1.0], [0.0, 1.0], spacing=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), spacing=st.floats(0.05, 2.0))
def test_the_held_level_is_never_further_than_the_spacing(seed: int, spacing: float) -> None:
    draw = np.random.default_rng(seed)
    times, x = np.cumsum(draw.uniform(0.1, 1.0, 20)), np.cumsum(draw.normal(size=(20, 2)), axis=0)
    stream = level_crossings(times, x, spacing)
    for channel in range(2):
        mine = stream.channel == channel
        moments = np.linspace(times[0], times[-1], 997)
        row = np.searchsorted(stream.time_s[mine], moments, side="right")
        held = np.concatenate([[0.0], stream.value[mine]])[row]
        assert np.abs(np.interp(moments, times, x[:, channel]) - held).max() <= spacing * (1 + 1e-9)
