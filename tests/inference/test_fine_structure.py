"""Fine structure: sharp, blurred, noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from c6seg.inference.fine_structure import SIGMAS_PX, band_energy, like_noise, noise_energy, sharpness, windows


def energy(picture, factor=1.0):
    return band_energy(windows(lambda top, end: picture[top:end], picture.shape[:2], factor))


def discs(side, radius, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    picture = rng.normal(100, 1, (side, side))
    for row, column in rng.integers(0, side, (side * side // (40 * radius**2), 2)):
        picture[(y - row) ** 2 + (x - column) ** 2 < radius**2] += 20
    return picture.astype(np.float32)


@pytest.mark.parametrize("blur_px", [0.0, 1.5])
def test_noise_has_the_energy_that_the_formula_gives(blur_px):
    noise = np.random.default_rng(0).normal(0, 1, (512, 512)).astype(np.float32)
    # the finest filters are about as wide as a pixel, where sums are no integrals
    found = energy(ndimage.gaussian_filter(noise, blur_px) if blur_px else noise).mean(axis=1)[1:]
    expected = noise_energy(np.array([blur_px]))[1:, 0]
    assert found / found[0] == pytest.approx(expected / expected[0], rel=0.15)
    assert len(SIGMAS_PX) == 5


def test_blur_lowers_sharpness_and_noise_has_none():
    found = [sharpness(energy(ndimage.gaussian_filter(discs(400, 12), blur))) for blur in (0.5, 2, 4)]
    assert found == sorted(found, reverse=True)
    assert found[0] - found[2] > 1
    assert sharpness(energy(np.random.default_rng(1).normal(0, 1, (400, 400)).astype(np.float32))) is None


def test_windows_reach_from_edge_to_edge_and_keep_to_the_image():
    picture = np.random.default_rng(2).random((300, 200), np.float32)
    assert windows(lambda top, end: picture[top:end], (300, 200)).shape == (36, 128, 128)
    assert windows(lambda top, end: picture[top:end], (300, 200), 0.25).shape == (1, 75, 50)
    assert windows(lambda top, end: picture[top:end], (300, 200), 2.0).shape == (36, 128, 128)


def test_slopes_of_light_do_not_count():
    noise = np.random.default_rng(3).normal(0, 1, (400, 400))
    y, x = np.mgrid[-1:1:400j, -1:1:400j]
    for light in (300 * x, 300 * x * y, 100 * (x * x + y * y)):
        assert like_noise(energy((noise + light).astype(np.float32)))
        assert sharpness(energy((noise + light).astype(np.float32))) is None


def test_what_has_a_size_of_its_own_is_not_noise():
    noise = np.random.default_rng(4).normal(0, 1, (400, 400))
    grains = ndimage.gaussian_filter(noise, 2) - ndimage.gaussian_filter(noise, 3)
    assert like_noise(energy(ndimage.gaussian_filter(noise, 2).astype(np.float32)))
    assert not like_noise(energy(grains.astype(np.float32)))
    assert like_noise(np.zeros((4, 16), np.float32))
