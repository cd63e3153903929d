"""Object sizes and the fragment that matches them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c6seg.transforms.scale import SPREAD, fragment_range, largest_input, matching_fraction, measure_size

SIDES = st.integers(64, 4000)
SIZES = st.floats(2, 400)


def test_the_papers_57_percent():
    fraction = matching_fraction(10.0, 10.0 * 2592 / 704, (520, 704), (1120, 1472))
    assert fraction == pytest.approx(1472 / 2592, rel=0.02)
    assert fragment_range(1472 / 2592, SPREAD) == pytest.approx((0.27, 0.87), abs=0.005)


@given(SIZES, SIZES, SIDES, SIDES, SIDES, SIDES)
def test_at_s_the_objects_have_the_size_asked_for(source, target, height, width, rows, columns):
    """The law: object px, times input side over fragment side."""
    fraction = matching_fraction(source, target, (height, width), (rows, columns))
    fragment = fraction * math.sqrt(height * width)
    assert source * math.sqrt(rows * columns) / fragment == pytest.approx(target)


@given(st.floats(0.05, 20))
def test_the_largest_input_leaves_something_to_cut(fraction):
    height, width = largest_input((1120, 1472), fraction)
    assert height % 32 == width % 32 == 0
    if fraction < 30:
        assert fraction * math.sqrt(height * width / (1120 * 1472)) < 1.0001


@given(st.floats(0.03, 1), st.floats(0, 0.9))
def test_a_range_can_be_cut(fraction, spread):
    low, high = fragment_range(fraction, spread)
    assert 0 < low <= high <= 1
    assert low - 0.001 <= fraction <= high + 0.001


def test_the_median_is_of_all_objects_and_its_interval_of_the_images():
    rng = np.random.default_rng(0)
    images = [rng.normal(centre, 1, 50) for centre in rng.normal(40, 6, 20)]
    size = measure_size(images)
    assert size.median_px == pytest.approx(np.median(np.concatenate(images)))
    assert (size.objects, size.images) == (1000, 20)
    low, high = size.interval_px
    assert low < size.median_px < high
    # Objects of one image are alike: as independent ones they would give an interval four times too narrow.
    alone = measure_size([np.concatenate(images)[number : number + 1] for number in range(1000)])
    assert high - low > 2.5 * (alone.interval_px[1] - alone.interval_px[0])


def test_another_seed_draws_others_and_nothing_gives_nothing():
    images = [np.array([10.0, 20.0]), np.array([30.0]), np.empty(0), np.array([50.0])]
    one, two, again = (measure_size(images, seed=seed) for seed in (0, 1, 0))
    assert not np.array_equal(one.resampled_px, two.resampled_px)
    assert np.array_equal(one.resampled_px, again.resampled_px)
    assert one.images == 3
    assert measure_size([np.empty(0)]) is None
