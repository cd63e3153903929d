"""``segment --export``: outlines that hang on the masks, also when a run is repeated, stopped or changed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
import tifffile
from PIL import Image
from pycocotools.coco import COCO

from c6seg.config import SegmentConfig
from c6seg.errors import ConfigError
from c6seg.inference import batch
from c6seg.inference.batch import BatchResult, segment_images
from c6seg.inference.segmenter import Segmenter

ALL = ("imagej", "geojson", "coco")


@pytest.fixture(scope="module")
def segmenter(tiny_bundle: Path) -> Segmenter:
    return Segmenter(tiny_bundle, SegmentConfig(precision="f32"))


def ring(radius: float) -> np.ndarray:
    rows, columns = np.mgrid[0:60, 0:80]
    distance = np.hypot(rows - 30, columns - 40)
    return np.where((distance < radius) & (distance > 9), 200, 40).astype(np.uint8)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(ring(20)).save(folder / "a.png")
    tifffile.imwrite(folder / "film.tif", np.stack([ring(17), ring(22)]), photometric="minisblack")
    return folder


def run(images: Path, out: Path, segmenter: Segmenter, **options: Any) -> BatchResult:
    return segment_images(images, out, segmenter=segmenter, **options)


def masks_of(out: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(out / "masks/a.png")) > 0, *(tifffile.imread(out / "masks/film.tif") > 0)]


def coco_masks(path: Path) -> Iterator[np.ndarray]:
    coco = COCO()
    coco.dataset = json.loads(path.read_text())
    coco.createIndex()
    for image in coco.dataset["images"]:
        parts = [coco.annToMask(entry) for entry in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))]
        yield np.sum(parts, axis=0) > 0


def test_what_is_written(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    out = tmp_path / "out"
    run(images, out, segmenter, export=ALL)
    names = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and "overlays" not in str(p))
    assert names == [
        "coco.json",
        "geojson/a.geojson",
        "geojson/film.geojson",
        "journal.jsonl",
        "manifest.json",
        "masks/a.png",
        "masks/film.tif",
        "measurements.csv",
        "rois/a.zip",
        "rois/film.zip",
    ]
    found, wanted = list(coco_masks(out / "coco.json")), masks_of(out)
    assert all(mask.any() and not mask.all() for mask in wanted)
    assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))
    content = json.loads((out / "coco.json").read_text())
    assert [(image["file_name"], image.get("frame")) for image in content["images"]] == [
        ("a.png", None),
        ("film.tif", 0),
        ("film.tif", 1),
    ]
    assert {roi.position for roi in roifile.roiread(out / "rois/a.zip")} == {0}
    assert {roi.position for roi in roifile.roiread(out / "rois/film.zip")} == {1, 2}
    assert "plane" not in json.loads((out / "geojson/a.geojson").read_text())["features"][0]["geometry"]


def test_asking_later_segments_nothing_again(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    out = tmp_path / "out"
    run(images, out, segmenter)
    assert not (out / "rois").exists()
    before = {path: path.stat().st_mtime_ns for path in out.glob("masks/*")}
    assert run(images, out, segmenter, export=["imagej", "coco"]).resumed == 2
    assert {path: path.stat().st_mtime_ns for path in out.glob("masks/*")} == before
    assert sorted(path.name for path in out.glob("rois/*")) == ["a.zip", "film.zip"]
    assert not (out / "geojson").exists()
    (out / "rois/a.zip").unlink()
    kept = (out / "rois/film.zip").stat().st_mtime_ns
    assert run(images, out, segmenter, export="imagej").resumed == 2
    assert (out / "rois/a.zip").exists()
    assert (out / "rois/film.zip").stat().st_mtime_ns == kept, "what is there is not made again"


def test_a_changed_image_gets_new_outlines(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    out = tmp_path / "out"
    run(images, out, segmenter, export=ALL)
    before = (out / "geojson/a.geojson").read_text()
    Image.fromarray(ring(25)).save(images / "a.png")
    run(images, out, segmenter)
    assert not (out / "geojson/a.geojson").exists(), "no outlines of an older mask are left"
    run(images, out, segmenter, export=ALL)
    assert (out / "geojson/a.geojson").read_text() != before
    found = list(coco_masks(out / "coco.json"))
    assert all(np.array_equal(one, other) for one, other in zip(found, masks_of(out), strict=True))


def test_outlines_older_than_the_mask_are_made_again(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    out = tmp_path / "out"
    run(images, out, segmenter, export="geojson")
    (out / "geojson/a.geojson").write_text("old")
    os.utime(out / "geojson/a.geojson", ns=(1, 1))
    run(images, out, segmenter, export="geojson")
    assert json.loads((out / "geojson/a.geojson").read_text())["features"]


def test_a_stopped_run_goes_on(
    images: Path, tmp_path: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    real = batch.Outlines.add

    def stop(self: batch.Outlines, path: Path, entry: dict[str, Any]) -> None:
        if path.name == "film.tif":
            raise KeyboardInterrupt
        real(self, path, entry)

    monkeypatch.setattr(batch.Outlines, "add", stop)
    assert run(images, out, segmenter, export=ALL).interrupted
    assert (out / "rois/a.zip").exists()
    assert not (out / "coco.json").exists(), "never half a file"
    assert not list(out.glob(".coco-*"))
    monkeypatch.setattr(batch.Outlines, "add", real)
    assert not run(images, out, segmenter, export=ALL).interrupted
    found = list(coco_masks(out / "coco.json"))
    assert all(np.array_equal(one, other) for one, other in zip(found, masks_of(out), strict=True))


def test_a_mask_above_the_limit_is_said(
    images: Path, tmp_path: Path, segmenter: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    run(images, tmp_path / "out", segmenter)
    entry = {"outputs": ["masks/a.png"], "rows": [{}]}
    with batch.Outlines(tmp_path / "out", ALL, max_pixels=100) as outlines:
        outlines.add(images / "a.png", entry)
    assert "there are no outlines of 'a'" in caplog.text
    assert not (tmp_path / "out/rois/a.zip").exists()


def test_an_unknown_format_is_refused_before_anything_is_written(
    images: Path, tmp_path: Path, segmenter: Segmenter
) -> None:
    with pytest.raises(ConfigError, match=r"Unknown format of --export 'imgej'.*'imagej'"):
        run(images, tmp_path / "out", segmenter, export=["imgej"])
    assert not (tmp_path / "out").exists()
