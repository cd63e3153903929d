"""Random examples: decided by (seed, epoch, index), geometry the same for picture and mask."""

from __future__ import annotations

import numpy as np
import pytest

from c6seg.config import AugmentConfig
from c6seg.transforms.augment import cut, draw_scale, example_rng, random_window, turn, vary

STRONG = AugmentConfig(
    brightness=0.2, contrast=0.4, gamma=0.5, sharpness=2, blur_px=2, noise=0.1, shading=0.4, invert=0.5
)


def test_the_same_example_gives_the_same_numbers_and_another_one_does_not():
    draws = [example_rng(*key).random() for key in [(0, 1, 2), (0, 1, 2), (0, 1, 3), (0, 2, 2), (1, 1, 2)]]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 4


@pytest.mark.parametrize("scale", [0.3, 0.57, 1.0, 2.5])
def test_the_side_of_the_fragment_is_one_over_scale(scale):
    rng = np.random.default_rng(0)
    for _ in range(20):
        window = random_window((400, 500), (64, 64), scale, rng)
        left, top, right, bottom = window.box_xyxy
        assert right - left == pytest.approx(64 / scale)
        assert bottom - top == pytest.approx(64 / scale)
        assert left >= 0
        assert top >= 0
        assert right <= 500
        assert bottom <= 400


def test_an_image_smaller_than_the_fragment_is_filled_by_reflection():
    array = np.arange(20 * 30, dtype=np.float32).reshape(20, 30)
    window = random_window((20, 30), (64, 64), 1.0, np.random.default_rng(0))
    example = cut(array, window)
    assert example.shape == (64, 64)
    np.testing.assert_allclose(example[:20, :30], array, atol=1e-4)
    np.testing.assert_allclose(example[20], example[19], atol=1e-4)


def test_objects_have_the_drawn_magnification():
    disc = (np.hypot(*np.mgrid[-100:101, -100:101]) < 20).astype(np.float32)
    area = np.pi * 20**2
    window = random_window((201, 201), (128, 128), 0.64, np.random.default_rng(1))
    assert (cut(disc, window) >= 0.5).sum() == pytest.approx(area * 0.64**2, rel=0.03)


def test_picture_and_mask_turn_together():
    image = np.random.default_rng(0).random((16, 16), dtype=np.float32)
    for seed in range(20):
        turned, mask = turn(image, image > 0.5, AugmentConfig(), np.random.default_rng(seed))
        np.testing.assert_array_equal(turned > 0.5, mask)


def test_a_picture_that_is_not_square_keeps_its_shape():
    image = np.zeros((8, 16), np.float32)
    for seed in range(10):
        turned, _ = turn(image, image > 0, AugmentConfig(), np.random.default_rng(seed))
        assert turned.shape == (8, 16)


def test_all_ranges_zero_changes_nothing():
    image = np.random.default_rng(0).random((16, 16), dtype=np.float32)
    np.testing.assert_array_equal(vary(image, AugmentConfig(), np.random.default_rng(0)), image)


@pytest.mark.parametrize("shape", [(32, 48), (32, 48, 3)])
def test_strong_changes_stay_in_range_and_differ(shape):
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    seen = [vary(image, STRONG, np.random.default_rng(seed)) for seed in range(10)]
    for changed in seen:
        assert changed.shape == shape
        assert changed.dtype == np.float32
        assert changed.min() >= 0
        assert changed.max() <= 1
    assert len({changed.tobytes() for changed in seen}) == 10


def test_scale_is_drawn_log_uniformly():
    rng = np.random.default_rng(0)
    config = AugmentConfig(scale=(0.5, 2.0))
    logs = np.log2([draw_scale(config, rng) for _ in range(4000)])
    assert abs(logs.mean()) < 0.05
    assert logs.min() >= -1
    assert logs.max() <= 1
    assert abs(logs.std() - 2 / np.sqrt(12)) < 0.02
