"""Chains of random changes: as long as asked for, decided by the generator alone, mask and picture together."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from c6seg.config import AugmentConfig, ChainOperation
from c6seg.config_files import load_config
from c6seg.errors import ConfigError
from c6seg.transforms import chain

OPERATIONS = get_args(ChainOperation)


def picture(shape=(48, 64)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    disc = np.hypot(rows - 24, columns - 30) < 11
    image = (0.3 + 0.4 * disc + 0.1 * np.sin(columns / 3)).astype(np.float32)
    return (image if len(shape) == 2 else np.repeat(image[..., None], 3, axis=-1)), disc


def config(**values):
    return AugmentConfig(flips=False, quarter_turns=False, **values)


def test_every_operation_has_its_function():
    assert set(OPERATIONS) == {*chain.LIGHT, *chain.GEOMETRY}


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 3)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_changes_the_picture_and_stays_in_range(name, shape):
    image, mask = picture(shape)
    settings = config(chain=1, chain_of=(name,), magnitude=(0.8, 0.8))
    changed, moved = chain.apply(image, mask, settings, np.random.default_rng(0))
    assert changed.shape == shape
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert np.abs(changed - image).max() > 0.02
    assert moved.dtype == bool
    assert np.array_equal(moved, mask) == (name not in chain.GEOMETRY)


@pytest.mark.parametrize("name", list(chain.GEOMETRY))
def test_shapes_change_together_and_keep_their_area(name):
    _, mask = picture()
    settings = config(chain=1, chain_of=(name,), magnitude=(1, 1))
    for seed in range(6):
        image, moved = chain.apply(mask.astype(np.float32), mask, settings, np.random.default_rng(seed))
        np.testing.assert_array_equal(image >= 0.5, moved)
        assert moved.sum() == pytest.approx(mask.sum(), rel=0.04)
        assert (moved != mask).any()


def test_strength_zero_changes_nothing():
    image, mask = picture()
    for name in OPERATIONS:
        settings = config(chain=1, chain_of=(name,), magnitude=(0, 0))
        changed, moved = chain.apply(image, mask, settings, np.random.default_rng(0))
        np.testing.assert_allclose(changed, image, atol=1e-5)
        np.testing.assert_array_equal(moved, mask)


def test_a_chain_is_as_long_as_asked_for(monkeypatch):
    seen = []
    for name in chain.LIGHT:
        monkeypatch.setitem(
            chain.LIGHT, name, lambda image, strength, rng, name=name: seen.append((name, strength)) or image
        )
    image, mask = picture()
    settings = config(chain=3, chain_of=tuple(chain.LIGHT), magnitude=(0.2, 0.4))
    for seed in range(200):
        chain.apply(image, mask, settings, np.random.default_rng(seed))
    assert len(seen) == 600
    assert {name for name, _ in seen} == set(chain.LIGHT)
    strengths = np.array([strength for _, strength in seen])
    assert np.abs(strengths).min() >= 0.2
    assert np.abs(strengths).max() <= 0.4
    assert abs((strengths > 0).mean() - 0.5) < 0.1


def test_the_generator_decides_alone():
    image, mask = picture()
    made = [chain.apply(image, mask, config(chain=2), np.random.default_rng(seed))[0] for seed in (1, 1, 2)]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_wrong_options_are_named():
    with pytest.raises(ConfigError, match="no range"):
        load_config(AugmentConfig, {"magnitude": [0.9, 0.1]})
    with pytest.raises(ConfigError, match="rotate"):
        load_config(AugmentConfig, {"chain_of": ["rotat"]})
    with pytest.raises(ConfigError, match="magnitude"):
        load_config(AugmentConfig, {"magnitude": [0.5, 1.5]})
