"""Fields that are missing at some times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c6seg.config import GrowthConfig
from c6seg.growth.curves import fit_series
from c6seg.growth.measure import Measurement
from c6seg.growth.series import group_series
from c6seg.growth.timeline.missing import mean_of_fields

HOURS = np.arange(0, 60, 6)


def dense_field_missing(missing: set[int]) -> list[Measurement]:
    """Three fields of a growing well; the third is 20 points denser, and missing at some times."""
    course = 0.1 * np.exp(0.02 * HOURS)
    return [
        Measurement(f"B2_{field}_{hour}h", confluence=float(value + (0.2 if field == 3 else 0.01 * field)))
        for field in (1, 2, 3)
        for index, (hour, value) in enumerate(zip(HOURS, course, strict=True))
        if not (field == 3 and index in missing)
    ]


def test_a_denser_field_that_is_missing_at_half_of_the_times_makes_no_jumps() -> None:
    (whole,) = group_series(dense_field_missing(set()))
    (series,) = group_series(dense_field_missing({1, 3, 5, 7, 9}))
    assert series.confluence == pytest.approx(whole.confluence, abs=0.01)
    assert series.confluence[::2].tolist() == whole.confluence[::2].tolist()
    assert np.isnan(series.fields[2, 1::2]).all()
    assert np.all((series.lower < series.confluence) & (series.confluence < series.upper))
    (note,) = [note for note in series.notes if "not every field" in note]
    assert "5 are missing" in note
    assert "taken to have gone like the others" in note
    assert not any("not every field" in note for note in whole.notes)
    rate, true = (fit_series(one, GrowthConfig(bootstrap=100)).estimate_per_h for one in (series, whole))
    assert rate == pytest.approx(true, rel=0.05)


def test_fields_that_share_no_time_are_averaged_as_they_are() -> None:
    fields = np.array([[0.1, 0.2, np.nan, np.nan], [np.nan, np.nan, 0.5, 0.6]])
    mean, moved, taken = mean_of_fields(fields, np.ones(4, bool))
    assert mean.tolist() == [0.1, 0.2, 0.5, 0.6]
    assert moved is fields
    assert not taken


def test_times_that_do_not_count_say_nothing_about_the_fields() -> None:
    fields = np.array([[0.1, 0.2, 0.9], [0.3, np.nan, 0.0]])
    used = np.array([True, True, False])
    mean, _, _ = mean_of_fields(fields, used)
    assert mean[[0, 2]].tolist() == pytest.approx([0.2, 0.45])
    assert mean[1] == pytest.approx(
        (0.2 + np.sin(np.arcsin(0.2**0.5) + np.arcsin(0.3**0.5) - np.arcsin(0.1**0.5)) ** 2) / 2
    )


@given(
    st.lists(st.floats(0.05, 0.5), min_size=3, max_size=6),
    st.lists(st.floats(-0.2, 0.4), min_size=2, max_size=4),
    st.integers(0, 2**20),
)
def test_what_is_exactly_additive_is_found_again(course: list[float], off: list[float], seed: int) -> None:
    scale = np.clip(np.arcsin(np.sqrt(course)) + np.array(off)[:, None], 0.0, np.pi / 2)
    whole = np.sin(scale) ** 2
    gone = np.random.default_rng(seed).random(whole.shape) < 0.4
    gone[:, 0] = False  # all fields at the first time
    gone[0] = False
    clipped = bool(((scale <= 0) | (scale >= np.pi / 2)).any())
    mean, _, _ = mean_of_fields(np.where(gone, np.nan, whole), np.ones(len(course), bool))
    assert clipped or mean == pytest.approx(whole.mean(axis=0), abs=1e-3)
