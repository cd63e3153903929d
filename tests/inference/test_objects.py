"""Objects: cells parted in simulated and real cultures, and what of them goes into the tables, files and outlines."""

from __future__ import annotations

import csv
import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roifile
import tifffile
from numpy.testing import assert_array_equal
from PIL import Image
from pycocotools.coco import COCO
from scipy import ndimage

from c6seg.config import SegmentConfig
from c6seg.data.images import read_image
from c6seg.data.masks import read_labels
from c6seg.data.regions import open_rows
from c6seg.data.synthetic import SyntheticImage, simulate_image
from c6seg.data.synthetic_style import SceneStyle
from c6seg.growth.measure import read_measurements
from c6seg.inference import making
from c6seg.inference.batch import segment_images
from c6seg.inference.objects import crowded_share, find_objects, measure_objects, without_seams
from c6seg.inference.segmenter import Segmenter

STYLE = SceneStyle(floaters=0, dust_rings=0, packing=0.9, region_fraction=0.8)


def culture(seed: int = 3) -> SyntheticImage:
    return simulate_image(size_hw=(300, 360), seed=seed, style=STYLE)


def parted(picture: SyntheticImage, *, cell_px: float = STYLE.diameter_px) -> np.ndarray:
    mask = picture.labels > 0
    return find_objects(picture.pixels, mask.astype(np.float32), mask, cell_px=cell_px)


@pytest.mark.parametrize("seed", [3, 5])
def test_counts_of_touching_cells_are_nearer_than_connected_parts(seed: int) -> None:
    picture = culture(seed)
    labels = parted(picture)
    true = int(picture.labels.max())
    parts = ndimage.label(picture.labels > 0, np.ones((3, 3)))[1]
    assert parts < 0.6 * true, "the cells of this culture touch"
    assert parts + 0.3 * (true - parts) < labels.max() < 1.3 * true
    assert not labels[picture.labels == 0].any()
    assert (labels > 0).sum() > 0.97 * (picture.labels > 0).sum()
    assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))


def test_contrast_and_depth_make_no_difference() -> None:
    picture = culture()
    other = replace(picture, pixels=picture.pixels.astype(np.float32) * 130 + 900)
    assert abs(int(parted(picture).max()) - int(parted(other).max())) <= 1


def test_a_dip_of_the_probability_parts_cells() -> None:
    mask = np.zeros((120, 200), bool)
    mask[40:80, 40:160] = True
    grey = np.full(mask.shape, 100, np.uint8)
    probability = np.where(mask, 0.99, 0.01).astype(np.float32)
    assert find_objects(grey, probability, mask, cell_px=60).max() == 1
    probability[40:80, 97:103] = 0.3
    labels = find_objects(grey, probability, mask, cell_px=60)
    assert labels.max() == 2
    assert abs(int(np.flatnonzero(np.diff(labels[60, 40:160]))[0]) + 40 - 99) <= 3


def test_specks_stay_in_the_mask_but_are_no_objects() -> None:
    mask = np.zeros((100, 100), bool)
    mask[20:60, 20:60] = True
    mask[70:76, 70:76] = True
    mask[62, 62] = True  # vanishes where objects are parted, and is no part of the cell nearby
    flat = np.full(mask.shape, 7, np.uint16)
    labels = find_objects(flat, mask.astype(np.float32), mask, cell_px=46)
    assert labels.max() == 1
    mask[60:] = False
    assert_array_equal(labels > 0, mask)


@pytest.mark.parametrize("value", [False, True])
def test_nothing_and_everything(value: bool) -> None:
    mask = np.full((50, 60), value)
    labels = find_objects(np.zeros(mask.shape, np.uint8), mask.astype(np.float32), mask, cell_px=40)
    assert labels.shape == mask.shape
    assert (labels.max() > 0) == value
    tiny = find_objects(np.zeros((2, 3), np.uint8), np.ones((2, 3), np.float32), np.ones((2, 3), bool), cell_px=90)
    np.testing.assert_array_equal(tiny, np.zeros((2, 3)))


@pytest.mark.parametrize("gap_px", [1, 2, 4])
def test_cells_that_a_narrow_gap_parts_are_two(gap_px: int) -> None:
    """At the reduced size, where cells are 24 px wide, the gap is not seen."""
    mask = np.zeros((240, 500), bool)
    mask[20:220, 20:220] = mask[20:220, 220 + gap_px : 420 + gap_px] = True
    labels = find_objects(np.zeros(mask.shape, np.uint8), mask.astype(np.float32), mask, cell_px=200)
    assert labels.max() == 2
    assert len({labels[100, 100], labels[100, 330]}) == 2


def test_a_crowd_makes_the_count_unsure() -> None:
    mask = np.zeros((300, 300), bool)
    mask[10:30, 10:30] = True
    assert crowded_share(np.zeros((5, 5), bool), 20) == 0
    assert crowded_share(mask, 20) == 0
    mask[50:250, 50:250] = True
    assert crowded_share(mask, 20) == pytest.approx(200**2 / (200**2 + 20**2))
    assert crowded_share(mask, 60) == 0  # the same area is that of few larger cells


def test_mean_area_is_that_of_all_although_large_cells_are_cut_more_often() -> None:
    """Squares of 10 and 50 px in equal numbers: the plain mean of the whole ones is too small."""
    rng = np.random.default_rng(0)
    sizes, cut = [], []
    for _ in range(1500):
        side = int(rng.choice([10, 50]))
        top, left = rng.integers(-60, 120, 2)
        labels = np.zeros((110, 110), np.int32)
        labels[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = 1
        figures = measure_objects(labels, 1.0)
        if labels.any() and figures is not None:
            cut.append(figures.mean_area_um2 is None)
            sizes.append(side)
    whole = [side for side, lost in zip(sizes, cut, strict=True) if not lost]
    assert np.mean(np.square(whole)) < 0.85 * (10**2 + 50**2) / 2
    weights = [1 / (109 - side) ** 2 for side in whole]
    assert np.average(np.square(whole), weights=weights) == pytest.approx((10**2 + 50**2) / 2, rel=0.06)
    both = np.zeros((110, 110), np.int32)
    both[5:15, 5:15], both[40:90, 40:90], both[0:8, 60:70] = 1, 2, 3
    figures = measure_objects(both, 2.0)
    assert figures is not None
    assert figures.count == 3, "what the border cuts is counted"
    by_hand = np.average([100, 2500], weights=[1 / 99**2, 1 / 59**2])
    assert figures.mean_area_um2 == pytest.approx(4 * by_hand)
    assert measure_objects(both, None) == replace(figures, mean_area_um2=None)
    assert measure_objects(None, 1.0) is None


def test_real_cells_are_counted_within_a_sixth(shared_data: Path) -> None:
    """A training photograph: from the true union, parted cells are those that people drew."""
    frame = read_image(shared_data / "t98g" / "images" / "set15.tif")
    true = read_labels(shared_data / "t98g" / "masks" / "set15.png")
    mask = true > 0
    labels = find_objects(frame.pixels, mask.astype(np.float32), mask, cell_px=46.8)
    parts = ndimage.label(mask, np.ones((3, 3)))[1]
    assert parts < 0.8 * true.max()
    assert abs(labels.max() / true.max() - 1) < 1 / 6


def test_seams_lie_between_objects_only() -> None:
    labels = np.array([[1, 1, 2, 0], [1, 1, 2, 2], [0, 3, 3, 0]], np.int32)
    left = without_seams(labels > 0, labels)
    assert_array_equal(left.astype(int), [[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0]])
    assert_array_equal(without_seams(labels > 0, None), labels > 0)


def blobs(distance_px: int) -> np.ndarray:
    rows, columns = np.mgrid[0:100, 0:160]
    near = np.minimum(np.hypot(rows - 50, columns - 50), np.hypot(rows - 50, columns - 50 - distance_px))
    return np.where(near < 21, 210, 30).astype(np.uint8)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(blobs(40)).save(folder / "a.png")
    tifffile.imwrite(folder / "film.tif", np.stack([blobs(40), blobs(70), blobs(0)]), photometric="minisblack")
    return folder


@pytest.fixture(scope="module")
def segmenter(tiny_bundle: Path) -> Segmenter:
    return Segmenter(tiny_bundle, SegmentConfig(precision="f32", pixel_size_um=1.0, objects=True))


def test_counts_in_tables_and_one_outline_for_each_object(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    out = tmp_path / "out"
    result = segment_images(images, out, segmenter=segmenter, export=("imagej", "geojson", "coco"))
    assert not result.failures
    assert [row["object_count"] for row in result.rows] == [2, 2, 2, 1]
    with (out / "measurements.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert float(row["mean_object_area_um2"]) == pytest.approx(
            float(row["cell_area_um2"]) / int(row["object_count"]), rel=0.03
        )
    line = np.asarray(Image.open(out / "overlays/a.jpg").convert("RGB")).astype(int)[50, 60:81]
    assert (line[:, 0] - line[:, 2]).max() > 150, "the picture shows where the cells were parted"
    single, film = tifffile.imread(out / "objects/a.tif"), tifffile.imread(out / "objects/film.tif")
    assert (single.dtype, single.max(), film.shape) == (np.uint16, 2, (3, 100, 160))
    assert_array_equal(single > 0, np.asarray(Image.open(out / "masks/a.png")) > 0)
    assert len(roifile.roiread(out / "rois/a.zip")) == 2
    assert sum(roi.position == 1 for roi in roifile.roiread(out / "rois/film.zip")) == 2
    assert len(json.loads((out / "geojson/a.geojson").read_text())["features"]) == 2
    coco = COCO()
    coco.dataset = json.loads((out / "coco.json").read_text())
    coco.createIndex()
    entries = coco.loadAnns(coco.getAnnIds(imgIds=[coco.dataset["images"][0]["id"]]))
    assert_array_equal(sum(number * coco.annToMask(entry) for number, entry in enumerate(entries, 1)), single)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["objects"]["estimate"] is True
    assert manifest["options"]["objects"] is True
    again = segment_images(images, out, segmenter=segmenter)
    assert again.resumed == 2
    measured, _ = read_measurements(out / "measurements.csv")
    assert [row.object_count for row in measured] == [2, 2, 2, 1]


def test_without_the_option_nothing_is_counted_and_old_objects_go(
    images: Path, tmp_path: Path, tiny_bundle: Path, segmenter: Segmenter
) -> None:
    out = tmp_path / "out"
    segment_images(images, out, segmenter=segmenter)
    plain = Segmenter(tiny_bundle, SegmentConfig(precision="f32", pixel_size_um=1.0))
    result = segment_images(images, out, segmenter=plain, export="imagej")
    assert (
        {row["object_count"] for row in result.rows} == {row["mean_object_area_um2"] for row in result.rows} == {None}
    )
    assert not list((out / "objects").glob("*"))
    assert len(roifile.roiread(out / "rois/film.zip")) < 5
    assert json.loads((out / "manifest.json").read_text())["objects"] is None


def test_an_image_read_by_rows_says_that_it_is_not_counted(
    tmp_path: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, np.tile(blobs(40), (3, 3)), photometric="minisblack")
    monkeypatch.setattr(making, "open_rows", functools.partial(open_rows, least_px=1))
    with caplog.at_level("WARNING"):
        (row,) = segment_images(path, tmp_path / "out", segmenter=segmenter).rows
    assert (row["object_count"], "not_counted" in row["flags"].split()) == (None, True)
    assert "not counted" in caplog.text
    assert not (tmp_path / "out/objects").exists()
