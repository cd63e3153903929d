"""What is strange about times, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c6seg.growth.timeline.clock import Tick, order_notes, same_picture_note, same_pictures, step_notes


def since_1970(*day: int) -> float:
    return datetime(*day, tzinfo=UTC).timestamp() / 3600  # type: ignore[misc, arg-type]


def test_a_gap_is_counted_in_pictures() -> None:
    (note,) = step_notes(np.array([0.0, 4, 8, 12, 16, 20, 24, 36, 40]))
    assert note == "a gap of 12 h after 24 h: 2 pictures missing at the usual 4 h"
    (note,) = step_notes(np.array([0.0, 4, 12, 16, 20, 24, 36, 40, 44]))
    assert "2 gaps (8 h after 4 h: 1 picture missing" in note


def test_mixed_intervals_are_told_from_gaps() -> None:
    (note,) = step_notes(np.cumsum([0.0, 2, 2, 2, 2, 2, 6, 6, 6]))
    assert note.startswith("the interval is not the same throughout: 2 h (5 times), 6 h (3 times)")
    (note,) = step_notes(np.array([0.0, 1, 3, 9, 20, 40]))
    assert "steps from 1 h to 20 h" in note
    (note,) = step_notes(np.array([0.0, 4, 8, 10, 16, 20, 24, 28]))
    assert note == "steps that differ from the usual 4 h: 2 h after 8 h, 6 h after 10 h"


def test_a_jump_of_the_clock_is_no_gap() -> None:
    (note,) = step_notes(np.array([0.0, 2, 4, 6, 8, 58, 60, 62]))
    assert "50 h after 8 h, 25 times the usual 2 h" in note


@pytest.mark.parametrize(
    ("start", "steps", "words"),
    [
        ((2024, 3, 30, 12), [4, 4, 4, 5, 4, 4], "longer than all others (4 h; 2024-03-31, when clocks change in"),
        ((2024, 10, 26, 15), [4, 4, 3, 4, 4], "1 h shorter than all others (4 h; 2024-10-26 to 2024-10-27, when"),
        ((2024, 3, 9, 16), [6, 7, 6, 6, 6], "when clocks change in North America"),
        ((2024, 11, 2, 12), [24, 23, 24, 24, 24], "though not at the usual dates"),
        ((2024, 11, 2, 12), [23, 24, 24, 24, 24], "2024-11-02 to 2024-11-03, when clocks change in North America"),
        ((2024, 6, 1, 0), [1, 1, 1, 2, 1, 1], "the clock may have been changed, or a picture is missing"),
    ],
)  # fmt: skip
def test_a_changed_clock_is_named(start: tuple[int, ...], steps: list[float], words: str) -> None:
    times = np.cumsum([0.0, *steps]) + 0.002 * np.sin(7 * np.arange(len(steps) + 1))  # seconds of jitter
    (note,) = step_notes(times, start_h=since_1970(*start))
    assert words in note
    assert not any("clock" in note for note in step_notes(times))  # hours since the start have no summer time


def test_two_odd_hours_are_no_summer_time() -> None:
    times = np.cumsum([0.0, 24, 25, 24, 25, 24])
    assert step_notes(times, start_h=since_1970(2024, 3, 30)) == ()


@given(
    usual=st.sampled_from([0.25, 0.5, 2.0, 4.0, 24.0]),
    number=st.integers(1, 80),
    seed=st.integers(0, 2**32 - 1),
    calendar=st.booleans(),
)
def test_regular_times_with_a_little_jitter_say_nothing(usual: float, number: int, seed: int, calendar: bool) -> None:
    jitter = min(0.02, 0.05 * usual) * np.random.default_rng(seed).uniform(-1, 1, number)
    times = usual * np.arange(number) + jitter
    assert step_notes(times, start_h=since_1970(2024, 3, 29) if calendar else None) == ()


def test_daily_photographs_by_hand_say_nothing() -> None:
    assert step_notes(np.array([0, 23.4, 47.9, 73.1, 95.2, 120.4]), start_h=since_1970(2024, 3, 28, 9)) == ()


def ticks(times: list[float], unit: str = "a") -> list[Tick]:
    return [Tick(unit, number, time, f"t{number}") for number, time in enumerate(times)]


def test_frames_out_of_order_are_named() -> None:
    assert order_notes(ticks([0, 1, 2, 3])) == ()
    (note,) = order_notes(ticks([0, 1, 5, 2, 3, 4]))
    assert "1 frame is out of the order of the frame numbers (t2 at 5 h)" in note
    (note,) = order_notes(ticks([0, 1, 2, 3]) + ticks([0, 3, 1, 2], unit="b"))
    assert "1 frame is out" in note
    (note,) = order_notes(ticks([3, 2, 1, 0]))
    assert "3 frames are out" in note


def test_equal_times_are_named() -> None:
    (note,) = order_notes(ticks([0, 1, 1, 2, 2]))
    assert note == "2 frames are of the same time as another one (t2 at 1 h, t4 at 2 h)"
    assert order_notes(ticks([0, 1]) + ticks([0, 1], unit="b")) == ()


def test_numbers_that_count_no_frames_are_ignored() -> None:
    assert order_notes([Tick("a", 1, time, f"x{time}") for time in (3.0, 1.0, 2.0)]) == ()


@given(st.lists(st.integers(0, 20), max_size=30))
def test_the_frames_that_stay_are_in_order(times: list[int]) -> None:
    (*notes,) = order_notes(ticks([float(time) for time in times]))
    assert any("backwards" in note for note in notes) == (times != sorted(times))


def test_one_picture_under_two_names() -> None:
    same = same_pictures([("a", "1"), ("b", "2"), ("c", "1"), ("a", "1"), ("d", None), ("e", None)])
    assert same == {"a": ("a", "c"), "c": ("a", "c")}
    note = same_picture_note(["c", "b"], same)
    assert note is not None
    assert "once (a = c)" in note
    assert same_picture_note(["b", "d", "e"], same) is None


def test_real_tags_say_nothing(shared_data: Path) -> None:
    from c6seg.data.images import find_images, probe

    found = [probe(path).times_h for path in find_images([shared_data / "t98g_timelapse"])]
    times = np.array([one[0] for one in found if one is not None])
    assert times.size == 13
    assert step_notes(times) == ()
    assert step_notes(times, start_h=since_1970(2018, 3, 25)) == ()
    assert order_notes(ticks(times.tolist())) == ()
