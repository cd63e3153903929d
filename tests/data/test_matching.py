"""Matching two data sets by the measured size of their objects."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tifffile
from PIL import Image

from c6seg.data.datasets import open_dataset
from c6seg.data.matching import matching_scale
from c6seg.errors import DataError


@pytest.fixture
def discs(tmp_path):
    """Make data sets of discs: name, radius (px), size (height, width)."""

    def make(name, radius, size_hw, count=3):
        folder = tmp_path / name
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
        labels = np.zeros(size_hw, np.uint8)
        for number in range(count):
            centre = (radius + 2 + number * 2 * (radius + 2), size_hw[1] // 2)
            labels[np.hypot(rows - centre[0], columns - centre[1]) <= radius] = number + 1
        tifffile.imwrite(folder / "images" / "a.tif", labels * 40 + ((rows + columns) % 7).astype(np.uint8))
        Image.fromarray(labels).save(folder / "masks" / "a.png")
        return folder

    return make


def test_s_makes_the_objects_equal(discs):
    match = matching_scale(discs("small", 8, (200, 240)), discs("large", 24, (300, 300)), input_hw=(240, 288))
    assert match.source.size.median_px == pytest.approx(16, abs=0.5)
    assert match.magnification == pytest.approx(3, rel=0.03)
    # 240 of 200 px: the whole image magnifies 1.2 times, 3 times is a fragment of 0.4
    assert match.fraction == pytest.approx(0.4, rel=0.03)
    assert match.possible
    assert match.fragment == pytest.approx((0.4 * 0.47, 0.4 * 1.53), rel=0.04)
    words = " ".join(match.sentences())
    assert "small (source)" in words
    assert "3 objects in 1 images" in words
    assert "--set augment.fragment=[0.1" in words


def test_whole_images_scaled_down_later_need_less_magnification(discs):
    folders = discs("small", 8, (200, 240)), discs("large", 24, (300, 300))
    crop = matching_scale(*folders, input_hw=(240, 288))
    resized = matching_scale(*folders, input_hw=(240, 288), target_input_hw=(150, 150))
    assert resized.target_px == pytest.approx(crop.target_px / 2)
    assert resized.fraction == pytest.approx(2 * crop.fraction)


def test_objects_that_are_too_large_cannot_be_matched_and_the_input_size_that_can_is_named(discs):
    large, small = discs("large", 24, (300, 300)), discs("small", 8, (200, 240))
    match = matching_scale(large, small, input_hw=(512, 512))
    assert match.fraction > 1
    assert not match.possible
    assert match.fragment is None
    words = match.sentences()[-1]
    assert "cannot be matched" in words
    assert "augment.scale=[0.2" in words
    side = 512 / match.fraction
    assert f"Pre-train at {int(side) // 32 * 32}x{int(side) // 32 * 32} or less" in words
    assert matching_scale(large, small, input_hw=(64, 64)).possible


def test_strong_magnification_and_empty_fragments_are_said(discs):
    match = matching_scale(discs("tiny", 3, (300, 300), count=1), discs("large", 24, (300, 300)), input_hw=(300, 300))
    words = " ".join(match.sentences())
    assert "magnified 7" in words
    assert "many will be empty" in words


def test_images_with_many_small_objects_do_not_decide_alone(shared_data):
    """13 LIVECell images: most objects are the small cells of two of them."""
    match = matching_scale(shared_data / "livecell", shared_data / "livecell", input_hw=(520, 704))
    assert match.fraction == pytest.approx(1)
    assert match.source.size.by_image_px > 1.3 * match.source.size.median_px
    assert not any("image by image" in line for line in match.sentences()), "of the same data set both are the same"
    data = open_dataset(shared_data / "livecell")
    large = type(data)(data.root, data.layout, tuple(item for item in data.items if item.name.startswith("SKOV3")))
    assert any("image by image" in line for line in matching_scale(data, large, input_hw=(256, 256)).sentences())


def test_a_data_set_without_objects_is_refused(discs):
    with pytest.raises(DataError, match=r"bare.*describe"):
        matching_scale(discs("bare", 8, (40, 40), count=0), discs("large", 24, (300, 300)))


def test_real_size_groups_differ_by_the_factor_of_their_table(shared_data):
    """t98g comes in two sizes of cells, about 67 and 40 px; both in images of one size."""
    data = open_dataset(shared_data / "t98g")
    small, large = (
        type(data)(data.root, data.layout, tuple(item for item in data.items if item.group == group)[:6])
        for group in ("small", "large")
    )
    match = matching_scale(small, large, input_hw=(1022, 1024))
    assert match.fraction == pytest.approx(1 / match.magnification)
    assert match.magnification == pytest.approx(67 / 40, rel=0.15)
    assert match.interval[0] < match.fraction < match.interval[1]
    assert math.isclose(match.target_px, match.target.size.median_px)
