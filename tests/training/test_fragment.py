"""Fragments by the side of the image (paper, Fig. 5): drawn, validated, resolved from measured objects; and that the
recipes without them still show the examples that they always showed."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from c6seg.config import TrainConfig
from c6seg.config_files import load_config
from c6seg.data.datasets import open_dataset
from c6seg.errors import ConfigError, UsageError
from c6seg.training.batches import Examples
from c6seg.training.fragment import with_fragment
from c6seg.training.outcome import training_scale
from c6seg.training.recipe import load_recipe

NORMAL = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    """Two images of 240x200 px, each with two discs of radius 10 px, made by formula."""
    folder = tmp_path_factory.mktemp("discs")
    for part in ("images", "masks"):
        (folder / part).mkdir()
    rows, columns = np.mgrid[:200, :240]
    labels = np.zeros((200, 240), np.uint8)
    for number, (row, column) in enumerate([(60, 70), (140, 170)], start=1):
        labels[np.hypot(rows - row, columns - column) <= 10] = number
    for number, name in enumerate("ab"):
        waves = 60 * np.sin(rows / (9 + number)) * np.cos(columns / 13) + 90 * (labels > 0) + 100
        tifffile.imwrite(folder / "images" / f"{name}.tif", waves.astype(np.uint8))
        Image.fromarray(labels).save(folder / "masks" / f"{name}.png")
    return open_dataset(folder).items


def config(**changes):
    return load_config(
        TrainConfig, {"input_size": "120x100", "preprocess": NORMAL, "augment": {"flips": False, **changes}}
    )


@pytest.mark.parametrize(
    ("recipe", "shape", "cells", "mean", "pixels"),
    [
        ("default", (512, 512), [3774, 3380], -0.15246, [-0.0256, -0.1018, 0.1151, -0.1637]),
        ("embedded", (384, 384), [1761, 1838], -0.14271, [0.0079, 0.139, -0.362, -0.413]),
        ("paper", (512, 704), [4758, 4758], -0.30792, [-0.2498, -0.4764, -0.5999, -0.9164]),
    ],
)
def test_recipes_show_the_examples_that_they_always_showed(items, recipe, shape, cells, mean, pixels):
    """The numbers were taken before fragments and chains came."""
    made = Examples(items, load_recipe(recipe).model_copy(update={"preprocess": config().preprocess}))
    found = [made.train(number, epoch=3, index=number + 4) for number in (0, 1)]
    assert all(image.shape == (3, *shape) for image, _ in found)
    assert [int(mask.sum()) for _, mask in found] == pytest.approx(cells, abs=3)
    assert np.mean([image.mean() for image, _ in found]) == pytest.approx(mean, abs=1e-4)
    assert found[1][0][0, [5, 100, 300, 350], [7, 50, 200, 370]] == pytest.approx(pixels, abs=2e-3)


def test_the_side_of_a_fragment_is_a_fraction_of_the_side_drawn_evenly(items, monkeypatch):
    seen = []
    monkeypatch.setattr(
        Examples, "_cut", lambda self, prepared, window: seen.append(window) or (np.zeros((100, 120)),) * 2
    )
    made = Examples(items, config(fragment=[0.27, 0.87], quarter_turns=False))
    for index in range(400):
        made.train(0, epoch=0, index=index)
    boxes = np.array([window.box_xyxy for window in seen])
    widths, heights = (boxes[:, 2] - boxes[:, 0]) / 240, (boxes[:, 3] - boxes[:, 1]) / 200
    np.testing.assert_allclose(widths, heights)
    assert widths.min() >= 0.27
    assert widths.max() <= 0.87
    np.testing.assert_allclose(np.quantile(widths, [0.25, 0.5, 0.75]), [0.42, 0.57, 0.72], atol=0.04)
    assert boxes.min() >= 0
    assert (boxes[:, 2].max(), boxes[:, 3].max()) <= (240, 200)
    assert {window.inner_hw for window in seen} == {(100, 120)}


def test_objects_are_magnified_by_the_fragment_whatever_fit_says(items):
    areas = {}
    for side in (0.5, 0.9):
        for fit in ("crop", "resize"):
            settings = config(fragment=[side, side]).model_copy(update={"fit": fit})
            made = Examples(items, settings)
            masks = [made.train(0, epoch=0, index=index)[1] for index in range(40)]
            areas[side, fit] = max(int(mask.sum()) for mask in masks)  # where both discs are whole, or one of them
    assert areas[0.5, "crop"] == areas[0.5, "resize"]
    # At 120x100 a fragment of 0.5 keeps the size of the pixels, and not both discs fit; one of 0.9 makes both smaller.
    assert areas[0.9, "crop"] == pytest.approx(2 * np.pi * 10**2 / 1.8**2, rel=0.1)
    assert 0.95 < areas[0.5, "crop"] / (np.pi * 10**2) < 1.7


def test_examples_depend_on_seed_epoch_and_index_only(items):
    settings = config(fragment=[0.3, 0.9], chain=2)
    first, second = Examples(items, settings), Examples(items, settings)
    second.train(1, epoch=5, index=9)
    a, b, c = first.train(0, epoch=1, index=2), second.train(0, epoch=1, index=2), second.train(0, epoch=1, index=3)
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])
    assert not np.array_equal(a[0], c[0])


@pytest.mark.parametrize(("fragment", "count"), [([0.27, 0.87], 4), ([1, 1], 1), ([0.2, 0.3], 16), ([0.5, 0.5], 4)])
def test_validation_covers_the_image_at_the_middle_of_the_range(items, fragment, count):
    made = Examples(items, config(fragment=fragment))
    windows = made.windows(0)
    assert len(windows) == count
    seen = np.zeros((200, 240), int)
    for window in windows:
        left, top, right, bottom = window.box_xyxy
        assert (right - left) / 240 == pytest.approx(np.mean(fragment))
        seen[round(top) : round(bottom), round(left) : round(right)] += 1
    assert seen.min() >= 1
    assert made.fixed(0, windows[-1])[0].shape == (3, 100, 120)


def test_auto_measures_the_objects_and_gives_them_the_size_asked_for(items):
    settings = with_fragment(config(fragment="auto", object_px=20, fragment_spread=0.2), items)
    low, high = settings.augment.fragment
    assert (low + high) / 2 == pytest.approx(0.5, rel=0.03)
    assert high / low == pytest.approx(1.2 / 0.8, rel=0.01)
    scale = training_scale(items, settings)
    assert scale.object_size_px == pytest.approx(20, abs=0.5)
    assert scale.whole_image is None, "the result works on fragments; it must not ask for whole images"
    assert with_fragment(settings, items) == settings, "the saved configuration repeats the run"
    assert with_fragment(config(), items) == config()


def test_what_cannot_be_cut_is_refused_with_words(items):
    with pytest.raises(UsageError, match=r"augment\.object_px"):
        with_fragment(config(fragment="auto"), items)
    with pytest.raises(UsageError, match=r"input_size=\d+x\d+ or less"):
        with_fragment(config(fragment="auto", object_px=5), items)
    native = config(fragment=[0.5, 0.6]).model_copy(update={"input_size": None})
    with pytest.raises(UsageError, match="input size"):
        with_fragment(native, items)
    for wrong, why in (
        ([0.9, 0.3], "no range"),
        ([0.5, 1.2], "fragment"),
        ([0, 0.5], "fragment"),
        ("some", "fragment"),
    ):
        with pytest.raises(ConfigError, match=why):
            config(fragment=wrong)
