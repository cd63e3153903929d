"""Floating cells and uneven light over a picture whose cells stay where they are."""

from __future__ import annotations

import numpy as np
import pytest

from c6seg.data.disturb import disturb
from c6seg.data.synthetic import simulate_image


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    picture = simulate_image(size_hw=(160, 160), seed=3)
    return picture.pixels, picture.labels > 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_keeps_type_and_size_and_changes_the_picture(scene: tuple[np.ndarray, np.ndarray], dtype: type) -> None:
    pixels = (scene[0].astype(np.float32) / scene[0].max() * 200).astype(dtype)
    changes = []
    for seed in range(6):
        spoiled = disturb(pixels, scene[1], np.random.default_rng(seed))
        assert spoiled.dtype == dtype
        assert spoiled.shape == pixels.shape
        changes.append(np.abs(spoiled.astype(float) - pixels).mean())
    assert np.mean(changes) > 3


def test_the_same_seed_gives_the_same_picture(scene: tuple[np.ndarray, np.ndarray]) -> None:
    one, two, other = (disturb(scene[0], scene[1], np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_light_is_uneven() -> None:
    flat = np.full((300, 300), 20000, np.uint16)
    flat[::2, ::2] = 20400  # a picture has some contrast
    light = []
    for seed in range(12):
        spoiled = disturb(flat, np.zeros(flat.shape, bool), np.random.default_rng(seed)).astype(float)
        coarse = np.median(spoiled.reshape(6, 50, 6, 50), axis=(1, 3))
        light.append(np.ptp(coarse) / coarse.mean())
    assert 0.1 < np.median(light) < 0.9


def test_floating_cells_are_brighter_than_the_contrast_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The light is made even, so that nothing but floating cells can change a picture."""
    monkeypatch.setattr("c6seg.data.disturb._MOST_UNEVEN", 0.0)
    flat = np.full((300, 300), 20000, np.uint16)
    flat[::2, ::2] = 20400
    excess = []
    for seed in range(12):
        spoiled = disturb(flat, np.zeros(flat.shape, bool), np.random.default_rng(seed)).astype(float)
        excess.append((spoiled.max() - flat.max()) / 400)
    assert np.median(excess) > 0.4


def test_no_floating_cell_at_all_is_no_fault() -> None:
    tiny = np.arange(40 * 40, dtype=np.uint16).reshape(40, 40)
    for seed in range(20):
        assert disturb(tiny, np.ones(tiny.shape, bool), np.random.default_rng(seed)).shape == tiny.shape
