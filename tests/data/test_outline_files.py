"""Outline files, read back by others' readers or fillers: the mask comes out again."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from matplotlib.path import Path as Curve
from PIL import Image
from pycocotools.coco import COCO

from c6seg.data.coco import read_coco
from c6seg.data.outline_files import imagej_roi, open_coco, open_geojson, open_imagej, qupath_feature
from c6seg.data.outlines import trace

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9))
RINGS = np.array(
    [[letter == "#" for letter in row] for row in ["####..", "#..#..", "#.##..", "####..", "......", ".....#"]]
)


def fill(rings: list[Any], size_hw: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies inside an odd number of rings, by matplotlib."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    inside = np.zeros(size_hw, bool)
    for ring in rings:
        corners = np.asarray(ring, float)
        inside ^= Curve(np.vstack([corners, corners[:1]])).contains_points(centres).reshape(size_hw)
    return inside


@given(masks)
def test_imagej_regions_are_the_mask(mask: np.ndarray) -> None:
    found = np.zeros(mask.shape, bool)
    for outline in trace(mask):
        roi = roifile.ImagejRoi.frombytes(imagej_roi(outline, name="a").tobytes())
        inside = fill(roi.coordinates(multi=True), mask.shape)
        rows, columns = np.nonzero(inside)
        assert (roi.left, roi.top) == (columns.min(), rows.min())
        assert (roi.right, roi.bottom) == (columns.max() + 1, rows.max() + 1)
        assert not (found & inside).any()
        found |= inside
    assert np.array_equal(found, mask)


@given(masks)
def test_geojson_is_the_mask(mask: np.ndarray) -> None:
    found = np.zeros(mask.shape, bool)
    for outline in trace(mask):
        geometry = qupath_feature(outline, name="a")["geometry"]
        areas = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        for rings in areas:
            assert all(ring[0] == ring[-1] and len(ring) >= 5 for ring in rings)
            found |= fill(rings, mask.shape)
    assert np.array_equal(found, mask)


@given(mask=masks, data=st.data())
def test_coco_is_the_mask(mask: np.ndarray, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("coco") / "coco.json"
    other = data.draw(masks)
    with open_coco(path) as writer:
        writer.add("a.png", trace(mask), mask.shape)
        writer.add("b.png", trace(other), other.shape)
    coco = loaded(path)
    for image, wanted in ((1, mask), (2, other)):
        found = np.zeros(wanted.shape, int)
        for entry in coco.loadAnns(coco.getAnnIds(imgIds=[image])):
            part = coco.annToMask(entry)
            x, y, width, height = entry["bbox"]
            assert part.sum() == entry["area"] == part[y : y + height, x : x + width].sum()
            found += part
        assert np.array_equal(found, wanted)
    images, faults, _ = read_coco(path)
    assert faults == []
    assert [
        np.array_equal(image.shapes.mask(wanted.shape), wanted)
        for image, wanted in zip(images, (mask, other), strict=True)
    ] == [True, True]


def loaded(path: Path) -> COCO:
    coco = COCO()
    coco.dataset = json.loads(path.read_text())
    coco.createIndex()
    return coco


def test_coco_has_polygons_and_run_lengths_where_there_are_holes(tmp_path: Path) -> None:
    with open_coco(tmp_path / "coco.json") as writer:
        writer.add("film.tif", trace(RINGS), RINGS.shape, frame=3)
    content = json.loads((tmp_path / "coco.json").read_text())
    assert content["images"] == [{"id": 1, "file_name": "film.tif", "width": 6, "height": 6, "frame": 3}]
    assert content["categories"] == [{"id": 1, "name": "cell", "supercategory": "cell"}]
    assert [type(entry["segmentation"]) for entry in content["annotations"]] == [dict, list]


def test_a_set_of_a_series_says_the_slices(tmp_path: Path) -> None:
    disc = np.hypot(*np.mgrid[-8:9, -8:9]) < 7
    ring = disc & (np.hypot(*np.mgrid[-8:9, -8:9]) > 3)
    with open_imagej(tmp_path / "a.zip", series=True) as add:
        add(0, trace(disc))
        add(1, [])
        add(2, trace(ring))
    rois = roifile.roiread(tmp_path / "a.zip")
    assert [(roi.name, roi.position) for roi in rois] == [("0001-0001", 1), ("0003-0001", 3)]
    assert rois[0].roitype == roifile.ROI_TYPE.TRACED
    assert (rois[0].composite, rois[1].composite) == (False, True)
    with open_geojson(tmp_path / "a.geojson", series=True) as add:
        add(0, trace(disc))
        add(2, trace(ring))
    content = json.loads((tmp_path / "a.geojson").read_text())
    assert content["type"] == "FeatureCollection"
    assert [feature["geometry"]["plane"]["t"] for feature in content["features"]] == [0, 2]
    assert [len(feature["geometry"]["coordinates"]) for feature in content["features"]] == [1, 2], (
        "shell, shell and hole"
    )
    assert {feature["properties"]["objectType"] for feature in content["features"]} == {"annotation"}
    assert len({feature["id"] for feature in content["features"]}) == 2


def test_nothing_is_an_empty_file_of_its_kind(tmp_path: Path) -> None:
    with open_imagej(tmp_path / "a.zip", series=False) as add:
        add(0, [])
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == []
    with open_geojson(tmp_path / "a.geojson", series=False) as add:
        add(0, [])
    assert json.loads((tmp_path / "a.geojson").read_text())["features"] == []
    with open_coco(tmp_path / "coco.json") as writer:
        writer.add("a.png", [], (3, 4))
    assert json.loads((tmp_path / "coco.json").read_text())["annotations"] == []


def test_a_large_object_keeps_its_corners(tmp_path: Path) -> None:
    mask = np.zeros((3, 70_000), bool)
    mask[1, 66_000:69_990] = True
    (outline,) = trace(mask)
    roi = roifile.ImagejRoi.frombytes(imagej_roi(outline, name="a").tobytes())
    assert sorted({int(x) for x in roi.coordinates(multi=True)[0][:, 0]}) == [66_000, 69_990]


def test_real_masks(shared_data: Path) -> None:
    path = sorted((shared_data / "t98g" / "masks").iterdir())[0]
    with Image.open(path) as image:
        mask = np.asarray(image)[:400, :400] > 0
    found = np.zeros(mask.shape, bool)
    for outline in trace(mask):
        roi = roifile.ImagejRoi.frombytes(imagej_roi(outline, name="a").tobytes())
        found |= fill(roi.coordinates(multi=True), mask.shape)
    assert np.array_equal(found, mask)
