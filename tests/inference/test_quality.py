"""Images that show nothing are told from those that show cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from c6seg.data.images import Frame, find_images, read_image
from c6seg.data.synthetic import SceneStyle, simulate_image
from c6seg.data.synthetic_culture import simulate_culture
from c6seg.inference.quality import FEATURELESS, Look, contrast_ratio, look, quality_flags, shows_nothing, structure_of
from c6seg.inference.segmenter import Segmenter
from c6seg.transforms.preprocess import resize, to_grey


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


def quality(pixels, factor=1.0):
    size_hw = pixels.shape[:2]
    structure = structure_of(lambda top, end: pixels[top:end], size_hw, factor)
    return quality_flags(structure, size_hw, to_grey(pixels), factor)


def test_blur_and_slopes_of_light_are_flagged_and_the_photograph_itself_is_not(shared_data):
    pixels = read_image(shared_data / "t98g/images/set05.tif").pixels
    assert quality(pixels) == ()
    assert quality(ndimage.gaussian_filter(pixels.astype(np.float32), 4)) == ("out_of_focus",)
    light = np.linspace(0.75, 1.25, pixels.shape[1], dtype=np.float32)
    assert quality(pixels * light) == ("uneven_light",)


def test_a_finer_copy_of_a_sharp_photograph_is_sharp_at_the_scale_of_the_model(shared_data):
    pixels = read_image(shared_data / "t98g/images/set05.tif").pixels.astype(np.float32)
    finer = resize(pixels, (pixels.shape[0] * 3, pixels.shape[1] * 3))
    assert quality(finer, factor=1 / 3) == ()
    assert quality(finer) == ("out_of_focus",)


def test_a_full_layer_of_small_cells_is_something():
    style = SceneStyle.random(np.random.default_rng(3))
    style = replace(style, region_fraction=1.0, packing=1.0, diameter_px=12.0, wall=0.0, floaters=0.0, debris=0.0)
    layer = simulate_image(size_hw=(256, 320), seed=3, style=style)
    assert (layer.labels > 0).mean() > 0.9
    assert contrast_ratio(layer.pixels) < FEATURELESS
    assert not shows_nothing(layer.pixels)
    assert quality(layer.pixels) == ()


def test_a_scene_blurred_until_noise_is_left_is_out_of_focus_and_not_empty(shared_data, tiny_bundle):
    grey = to_grey(read_image(find_images([shared_data / "livecell/images"], recursive=True)[0]).pixels)
    noise = np.random.default_rng(0).normal(0, 1.2, grey.shape)
    pixels = np.clip(np.round(ndimage.gaussian_filter(grey, 6) + noise), 0, 255).astype(np.uint8)
    assert contrast_ratio(pixels) < FEATURELESS
    assert look(pixels) == Look(nothing=False, blurred=True)
    assert "out_of_focus" in Segmenter(tiny_bundle).segment(Frame(pixels, "blurred")).flags


def test_stripes_of_light_are_no_blurred_scene():
    rng = np.random.default_rng(1)
    stripes = 6 * np.sin(np.linspace(0, 60, 320))
    pixels = np.clip(128 + stripes + rng.normal(0, 3, (256, 320)), 0, 255).astype(np.uint8)
    assert look(pixels) == Look(nothing=True, blurred=False)


def test_the_demo_is_lit_evenly():
    frames = simulate_culture(size_hw=(512, 640), times_h=[0.0, 40.0], growth_rate_per_h=0.03, start_count=30, seed=6)
    assert [quality(frame.pixels) for frame in frames] == [(), ()]


def test_tiny_images_get_no_words():
    assert quality(np.eye(20, dtype=np.uint8)) == ()
