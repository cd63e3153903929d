"""Images that show nothing are told from those that show cells."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from c6seg.data.images import Frame, find_images, read_image
from c6seg.inference.quality import FEATURELESS, contrast_ratio, shows_nothing
from c6seg.inference.segmenter import Segmenter


@pytest.mark.parametrize("blur", [0, 0.7, 1.5])
@pytest.mark.parametrize("slope", [0, 60])
def test_noise_shows_nothing_whatever_its_strength_and_the_light(blur, slope):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (256, 320))
    noise = ndimage.gaussian_filter(noise, blur) if blur else noise
    for strength in (2, 10):
        picture = 128 + strength * noise / noise.std() + np.linspace(-slope, slope, 320)
        assert shows_nothing(np.clip(picture, 0, 255).astype(np.uint8))


def test_one_grey_value_shows_nothing_and_a_tiny_image_is_not_judged():
    assert shows_nothing(np.full((8, 8), 7, np.uint8))
    assert contrast_ratio(np.eye(20, dtype=np.uint8)) is None
    assert not shows_nothing(np.eye(20, dtype=np.uint8))


@pytest.mark.parametrize("folder", ["t98g/images", "livecell/images", "phantast"])
def test_real_photographs_show_something_by_far(folder, shared_data):
    for path in find_images([shared_data / folder], recursive=True):
        assert contrast_ratio(read_image(path).pixels) > 2 * FEATURELESS, path.name


def test_a_field_of_noise_is_empty(tiny_bundle):
    noise = np.random.default_rng(1).normal(120, 8, (256, 256)).astype(np.uint8)
    found = Segmenter(tiny_bundle).segment(Frame(noise, "noise"))
    assert found.confluence == 0
    assert "empty_field" in found.flags
