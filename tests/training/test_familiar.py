"""What a training writes of its images into the bundle."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from c6seg.data.items import Item
from c6seg.models.bundle import open_bundle
from c6seg.training.run import TrainingSet, _add_familiar


@pytest.fixture
def items(tmp_path):
    found = []
    for number in range(12):
        rng = np.random.default_rng(number)
        pixels = rng.normal(60, 5, (160, 192))
        pixels[30 : 80 + 3 * number, 40:100] += 100
        path = tmp_path / f"image{number}.png"
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
        found.append(Item(name=path.stem, image=path, annotation=None))
    return found


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    return open_bundle(tmp_path / "bundle")


def test_the_bundle_of_a_training_knows_its_images(bundle, items):
    _add_familiar(bundle, TrainingSet(tuple(items[:7]), (), extra=tuple(items[7:])))
    found = open_bundle(bundle.path).spec.familiar
    assert (found.images, found.data) == (12, ("data", "extra"))


def test_with_few_images_it_does_not_and_says_so_where_they_show_nothing(bundle, items, caplog):
    _add_familiar(bundle, TrainingSet(tuple(items[:9]), ()))
    for item in items:
        Image.fromarray(np.full((160, 192), 80, np.uint8)).save(item.image)
    with caplog.at_level(logging.WARNING, logger="c6seg"):
        _add_familiar(bundle, TrainingSet(tuple(items), ()))
    assert open_bundle(bundle.path).spec.familiar is None
    assert "unlike_training" in caplog.text
