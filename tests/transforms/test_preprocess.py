"""Preprocessing: the same numbers as an independent implementation, whatever the size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from c6seg.config import PreprocessConfig
from c6seg.transforms.preprocess import (
    Preprocess,
    contrast_limits,
    normalise,
    pad_to_multiple,
    raise_contrast,
    resize,
    to_grey,
)


@pytest.mark.parametrize("size_hw", [(20, 30), (64, 48), (7, 100), (33, 47)])
def test_resize_equals_torch_bilinear_with_antialias(size_hw):
    array = np.random.default_rng(0).random((33, 47), dtype=np.float32)
    reference = torch.nn.functional.interpolate(
        torch.from_numpy(array)[None, None], size=size_hw, mode="bilinear", antialias=True, align_corners=False
    )[0, 0].numpy()
    np.testing.assert_allclose(resize(array, size_hw), reference, atol=1e-5)


def test_resize_of_a_box_equals_cut_then_resize():
    array = np.random.default_rng(1).random((40, 60), dtype=np.float32)
    whole = resize(array, (20, 25), box_xyxy=(10, 5, 35, 25))
    np.testing.assert_allclose(whole, resize(np.ascontiguousarray(array[5:25, 10:35]), (20, 25)), atol=1e-6)


def test_resize_keeps_channels_apart():
    array = np.zeros((10, 10, 3), np.float32)
    array[..., 1] = 1
    resized = resize(array, (20, 5))
    assert resized.shape == (20, 5, 3)
    np.testing.assert_allclose(resized[..., 1], 1)
    np.testing.assert_allclose(resized[..., [0, 2]], 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_contrast_is_stretched_between_percentiles_whatever_the_type(dtype):
    rng = np.random.default_rng(2)
    pixels = (rng.random((50, 50)) * 200 + 20).astype(dtype)
    stretched = Preprocess(PreprocessConfig()).stretch(pixels)
    low, high = np.percentile(pixels.astype(float), [0.5, 99.5])
    expected = np.clip((pixels.astype(float) - low) / (high - low), 0, 1)
    np.testing.assert_allclose(stretched, expected, atol=1e-4)


def test_brighter_and_higher_contrast_copies_give_the_same_input():
    pixels = np.random.default_rng(3).integers(0, 100, (40, 40)).astype(np.uint16)
    transform = Preprocess(PreprocessConfig())
    np.testing.assert_allclose(transform.network_input(pixels), transform.network_input(pixels * 300 + 17), atol=1e-4)


def test_one_grey_value_becomes_the_middle():
    assert np.all(raise_contrast(np.full((4, 4), 9, np.float32), (9, 9)) == 0.5)
    assert contrast_limits(np.full((4, 4), 9, np.float32), (0.5, 99.5)) == (9.0, 9.0)


def test_grey_is_copied_to_three_normalised_channels():
    planes = normalise(np.full((2, 2), 0.485, np.float32), None, None)
    assert planes.shape == (3, 2, 2)
    np.testing.assert_allclose(planes[0], 0, atol=1e-6)
    np.testing.assert_allclose(planes[1], (0.485 - 0.456) / 0.224, atol=1e-6)


def test_rgb_is_kept_or_weighted():
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:2, :, 0] = 255
    assert to_grey(pixels)[0, 0] == pytest.approx(0.299 * 255)
    rgb = Preprocess(PreprocessConfig(channels="rgb", mean=(0, 0, 0), std=(1, 1, 1))).network_input(pixels)
    assert rgb[0].max() == 1
    assert rgb[1:].max() == 0


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 4, 4\)"):
        to_grey(np.zeros((3, 4, 4)))


@settings(max_examples=40, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 70), st.integers(1, 70)), elements=st.floats(0, 1, width=32)))
def test_padding_keeps_the_picture_and_reaches_the_multiple(array):
    padded = pad_to_multiple(array, 32)
    assert padded.shape[0] % 32 == padded.shape[1] % 32 == 0
    assert padded.shape[0] - array.shape[0] < 32
    np.testing.assert_array_equal(padded[: array.shape[0], : array.shape[1]], array)
