"""Several models on one image: the mean of their probabilities, each at its own scale."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from c6seg import api
from c6seg.config import SegmentConfig
from c6seg.data.images import Frame
from c6seg.errors import UsageError
from c6seg.inference.segmenter import Segmenter
from c6seg.interfaces.cli import app
from c6seg.interfaces.cli_base import run


@pytest.fixture(scope="module")
def coarse(tiny_bundle, tmp_path_factory):
    """The tiny model as if it were trained at pixels twice as large, with another threshold."""
    folder = tmp_path_factory.mktemp("ensemble") / "coarse"
    shutil.copytree(tiny_bundle, folder)
    spec = yaml.safe_load((folder / "bundle.yaml").read_text())
    spec |= {"name": "coarse", "threshold": 0.3, "scale": {**spec["scale"], "pixel_size_um": 2.0}}
    (folder / "bundle.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return folder


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    pixels = rng.normal(60, 6, (96, 128))
    pixels[20:60, 30:80] += 100
    return Frame(np.clip(pixels, 0, 255).astype(np.uint8), "one", pixel_size_um=1.0)


def several(tiny_bundle, *others, **options):
    return Segmenter(tiny_bundle, SegmentConfig(ensemble=tuple(map(str, others)), **options))


@pytest.mark.parametrize("fast", [False, True])
def test_the_probability_is_the_mean_of_what_each_model_gives_at_its_own_scale(tiny_bundle, coarse, frame, fast):
    one, other = (Segmenter(folder, SegmentConfig(fast=fast)).segment(frame) for folder in (tiny_bundle, coarse))
    assert (one.scale, other.scale) == (1.0, 0.5)
    assert np.abs(one.probability - other.probability).max() > 0.05
    both = several(tiny_bundle, coarse, fast=fast)
    found = both.segment(frame)
    assert found.probability == pytest.approx((one.probability + other.probability) / 2, abs=1e-6)
    assert both.threshold == pytest.approx((0.5 + 0.3) / 2)
    assert np.array_equal(found.mask, found.probability >= both.threshold)
    assert several(tiny_bundle, coarse, threshold=0.7).threshold == 0.7


def test_a_model_that_is_there_twice_is_refused(tiny_bundle, coarse):
    with pytest.raises(UsageError, match="'tiny' is in the ensemble twice"):
        several(tiny_bundle, tiny_bundle)
    with pytest.raises(UsageError, match="'coarse' is in the ensemble twice"):
        several(tiny_bundle, coarse, coarse)


def test_the_command_names_all_models_in_the_manifest_and_another_ensemble_begins_anew(
    tiny_bundle, coarse, frame, tmp_path, capsys
):
    Image.fromarray(frame.pixels).save(tmp_path / "one.png")
    command = ["segment", str(tmp_path / "one.png"), "--out", str(tmp_path / "out"), "--model", str(tiny_bundle)]
    command += ["--pixel-size", "1.0"]
    assert run(app, [*command, "--ensemble", str(coarse)]) == 0
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert [one["name"] for one in manifest["ensemble"]] == ["coarse"]
    assert manifest["options"]["ensemble"] == [str(coarse)]
    assert manifest["threshold"] == pytest.approx(0.4)
    assert manifest["model"]["calibration"] is None, "what was measured of one model says nothing of the mean"
    assert run(app, [*command, "--ensemble", str(coarse)]) == 0
    assert "1 of them before" in capsys.readouterr().out
    assert run(app, command) == 0
    assert "of them before" not in capsys.readouterr().out


def test_an_image_that_is_read_by_rows_is_refused_with_a_reason(tiny_bundle, coarse, tmp_path, monkeypatch):
    import tifffile

    monkeypatch.setattr("c6seg.data.regions.LARGE_PX", 10_000)
    pixels = np.random.default_rng(1).integers(0, 255, (160, 128), np.uint8)
    tifffile.imwrite(tmp_path / "large.tif", pixels, rowsperstrip=16)
    config = SegmentConfig(ensemble=(str(coarse),), pixel_size_um=1.0)
    result = api.segment(tmp_path / "large.tif", tmp_path / "out", model=tiny_bundle, config=config)
    ((_, reason),) = result.failures
    assert "one model alone can do" in reason


def test_a_size_that_is_not_that_of_each_model_is_refused_in_scoring(tiny_bundle, coarse, frame, tmp_path):
    for folder, pixels in (("images", frame.pixels), ("masks", (frame.pixels > 110).astype(np.uint8) * 255)):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).save(tmp_path / folder / "one.png")
    config = SegmentConfig(ensemble=(str(coarse),), pixel_size_um=1.0)
    with pytest.raises(UsageError, match="score them with input_size = 'model'"):
        api.evaluate(tmp_path, model=tiny_bundle, config=config)
    found = api.evaluate(tmp_path, model=tiny_bundle, config=config, input_size="model")
    assert found.scores[0].dice > 0.8
