"""What is familiar to a model: measures, distance, threshold, and the flag."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image
from pydantic import ValidationError

from c6seg import api
from c6seg.config import SegmentConfig
from c6seg.data.images import Frame
from c6seg.errors import UsageError
from c6seg.inference import familiar as familiar_module
from c6seg.inference.familiar import MEASURES, MIN_IMAGES, Answer, describe, distance, learn
from c6seg.inference.familiar_set import training_images
from c6seg.inference.fine_structure import fine_structure
from c6seg.inference.segmenter import Segmenter
from c6seg.interfaces.cli import app
from c6seg.interfaces.cli_base import run
from c6seg.models.bundle import open_bundle


def culture(seed, radius=12):
    """Bright discs on a noisy ground: what the tiny network marks."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:160, :192]
    picture = rng.normal(60, 4, y.shape)
    for row, column in rng.integers(0, 160, (7, 2)):
        picture[(y - row) ** 2 + (x - column) ** 2 < radius**2] += 100
    return np.clip(picture, 0, 255).astype(np.uint8)


def test_an_answer_in_bands_is_that_of_the_whole():
    probability = np.random.default_rng(0).random((50, 40), np.float32)
    whole, bands = Answer(0.5), Answer(0.5)
    whole.add(probability)
    for top in range(0, 50, 7):
        bands.add(probability[top : top + 7])
    assert bands.measures(1.0) == pytest.approx(whole.measures(1.0))


def test_the_answer_of_a_square_has_the_measures_that_one_counts():
    probability = np.full((20, 20), 0.02, np.float32)
    probability[5:15, 5:15] = 0.98
    probability[5, 5:15] = 0.6
    answer = Answer(0.5)
    answer.add(probability)
    width, rims, cells, rest = answer.measures(1.0)
    assert width == pytest.approx(np.log10((10 / 400 + 1e-3) / (40 / 400 + 1e-3)))
    assert rims == pytest.approx(np.log10((40 / 400 + 1e-3) / (100 / 400 + 1e-2)))
    assert (cells, rest) == pytest.approx(((90 * 0.98 + 10 * 0.6) / 100, 0.02))
    assert answer.measures(0.5)[0] < width  # the rims are as long at half the size, in px of the model twice as dense


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_nothing_is_said_where_all_is_cell_or_nothing(value):
    answer = Answer(0.5)
    answer.add(np.full((160, 192), value, np.float32))
    picture = culture(0)
    structure = fine_structure(lambda top, end: picture[top:end], (160, 192))
    assert describe(structure, answer, 1.0) is None


def test_distances_are_those_of_mahalanobis_and_the_threshold_leaves_each_out(monkeypatch):
    rng = np.random.default_rng(1)
    mixed = rng.normal(size=(200, len(MEASURES))) @ rng.normal(size=(len(MEASURES), len(MEASURES))) + 5
    monkeypatch.setattr(familiar_module, "SHRUNK", 0.0)
    found = learn(list(mixed), data=("generated",))
    inverse = np.linalg.inv(np.cov(mixed.T))
    centred = mixed - mixed.mean(axis=0)
    expected = np.sqrt(np.einsum("ij,jk,ik->i", centred, inverse, centred) / len(MEASURES))
    # standard deviations are taken with the divisor n, covariances with n - 1
    assert [distance(found, one) for one in mixed] == pytest.approx(list(expected), rel=0.01)
    assert np.mean(expected > found.threshold) <= 0.01
    assert found.threshold > np.quantile(expected, 0.99)
    assert distance(found, mixed.mean(axis=0) + 10 * mixed.std(axis=0)) > found.threshold
    assert (found.images, found.data) == (200, ("generated",))


def test_a_constant_measure_does_not_make_everything_unlike():
    vectors = [np.array([*one, 0.5]) for one in np.random.default_rng(2).normal(size=(30, len(MEASURES) - 1))]
    found = learn(vectors)
    shifted = np.mean(vectors, axis=0)
    shifted[-1] += 0.01
    assert distance(found, shifted) < found.threshold


def test_few_images_are_refused_and_measures_of_another_version_say_nothing():
    vectors = list(np.random.default_rng(3).normal(size=(MIN_IMAGES, len(MEASURES))))
    with pytest.raises(UsageError, match="at least 10"):
        learn(vectors[1:])
    found = learn(vectors)
    assert distance(found.model_copy(update={"measures": ("other",) * len(MEASURES)}), vectors[0]) is None
    with pytest.raises(ValidationError, match="equal in number"):
        type(found).model_validate({**found.model_dump(), "centre": (1.0,)})


@pytest.fixture(scope="module")
def taught(tiny_bundle, tmp_path_factory):
    """A copy of the tiny bundle that knows 14 images, and their folder."""
    folder = tmp_path_factory.mktemp("familiar")
    bundle, images = folder / "tiny", folder / "cells"
    shutil.copytree(tiny_bundle, bundle)
    images.mkdir()
    for seed in range(14):
        Image.fromarray(culture(seed)).save(images / f"cells{seed:02d}.png")
    api.familiarise_model(bundle, images)
    return bundle, images


def test_a_bundle_learns_its_training_images_and_stays_whole(taught):
    bundle, _ = taught
    spec = open_bundle(bundle).spec  # checks every hash
    assert spec.familiar.images == 14
    assert spec.familiar.data == ("cells",)
    assert "unlike_training" in (bundle / "README.md").read_text(encoding="utf-8")


def test_images_like_the_training_get_no_flag_and_others_do(taught, tiny_bundle):
    bundle, _ = taught
    segmenter = Segmenter(bundle)
    y = np.mgrid[:160, :192][0]
    stripes = (128 + 100 * np.sin(y / 1.5)).astype(np.uint8)
    frames = [Frame(picture, "one", pixel_size_um=1.0) for picture in (culture(99), stripes)]
    assert ["unlike_training" in segmenter.segment(frame).flags for frame in frames] == [False, True]
    assert "unlike_training" not in Segmenter(tiny_bundle).segment(frames[1]).flags  # knows nothing of its training
    assert "unlike_training" not in Segmenter(bundle, SegmentConfig(fast=True)).segment(frames[1]).flags


def test_of_a_data_set_only_the_images_that_trained_count(taught):
    folder, images = taught
    bundle = open_bundle(folder)
    assert len(training_images(bundle, [images])["cells"]) == 14
    spec = bundle.spec.model_copy(update={"provenance": {"train": ["cells03", "cells05"], "val": ["cells04"]}})
    found = training_images(replace(bundle, spec=spec), [images])
    assert [path.stem for path in found["cells"]] == ["cells03", "cells05"]


def test_an_image_that_is_read_by_rows_gets_the_same_word(taught, tmp_path, monkeypatch):
    bundle, _ = taught
    y = np.mgrid[:160, :192][0]
    for name, pixels in (("cells", culture(99)), ("stripes", (128 + 100 * np.sin(y / 1.5)).astype(np.uint8))):
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, rowsperstrip=16)
    options = {"pixel_size_um": 1.0, "overlays": False}
    found = {}
    for limit in (1_000_000, 10_000):
        monkeypatch.setattr("c6seg.data.regions.LARGE_PX", limit)
        result = api.segment(tmp_path, tmp_path / f"out{limit}", model=bundle, config=options)
        found[limit] = {row["image"]: row["flags"].split() for row in result.rows}
    assert found[1_000_000] == found[10_000]
    assert "unlike_training" in found[10_000]["stripes"]
    assert "unlike_training" not in found[10_000]["cells"]


def test_the_command_teaches_a_bundle(tiny_bundle, taught, tmp_path, capsys):
    shutil.copytree(tiny_bundle, tmp_path / "tiny")
    assert run(app, ["models", "familiar", str(tmp_path / "tiny"), str(taught[1])]) == 0
    assert "14 images measured" in capsys.readouterr().out
    assert open_bundle(tmp_path / "tiny").spec.familiar == open_bundle(taught[0]).spec.familiar
    assert run(app, ["models", "familiar", str(tmp_path / "tiny"), str(tmp_path / "nowhere")]) == 2
