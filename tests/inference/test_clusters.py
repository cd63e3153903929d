from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from scipy import ndimage

from c6seg.data.images import read_frames
from c6seg.data.synthetic_clusters import ClusteredImage, simulate_clusters
from c6seg.data.synthetic_style import SceneStyle
from c6seg.inference.batch import segment_images
from c6seg.inference.clusters import cell_width_px, compare_masks, find_clusters
from c6seg.models.bundle_spec import ScaleSpec

STYLE = SceneStyle(floaters=0, dust_rings=0)
SIZE_HW = (400, 480)


def culture(count: int, seed: int = 4) -> ClusteredImage:
    return simulate_clusters(size_hw=SIZE_HW, seed=seed, count=count, style=STYLE)


def dice(left: np.ndarray, right: np.ndarray) -> float:
    return float(2 * (left & right).sum() / (left.sum() + right.sum()))


@pytest.mark.parametrize("marked", [False, True])
def test_clusters_are_found_whether_the_mask_has_them_or_not(marked: bool) -> None:
    picture = culture(2)
    mask = (picture.labels > 0) & ~picture.clusters | (picture.clusters & marked)
    found = find_clusters(picture.pixels, mask, cell_px=STYLE.diameter_px)
    assert found.shape == SIZE_HW
    assert dice(found, picture.clusters) > 0.6


@pytest.mark.parametrize("seed", [0, 2, 4])
def test_a_culture_without_clusters_has_none(seed: int) -> None:
    picture = culture(0, seed)
    assert not find_clusters(picture.pixels, picture.labels > 0, cell_px=STYLE.diameter_px).any()


def test_a_single_bright_ball_is_no_cluster_and_neither_is_a_wall() -> None:
    picture = culture(0)
    pixels = picture.pixels.astype(np.float32)
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    ball = np.hypot(rows - 200, columns - 240) < STYLE.diameter_px * 0.25
    stripes = (rows < 90) & (columns // 6 % 2 == 0)
    for thing in (ball, stripes):
        bright = np.where(thing, 2 * np.median(pixels), pixels)
        assert not find_clusters(bright, picture.labels > 0, cell_px=STYLE.diameter_px).any()


def test_contrast_and_depth_make_no_difference() -> None:
    picture = culture(2)
    mask = picture.labels > 0
    whole = find_clusters(picture.pixels, mask, cell_px=STYLE.diameter_px)
    other = find_clusters(picture.pixels.astype(np.float32) * 130 + 900, mask, cell_px=STYLE.diameter_px)
    assert dice(whole, other) > 0.99


def test_nothing_to_compare_with_finds_nothing() -> None:
    picture = culture(1)
    nothing = np.zeros(SIZE_HW, bool)
    assert not find_clusters(picture.pixels, nothing, cell_px=40).any()
    assert not compare_masks(picture.pixels, nothing, nothing, cell_px=40).any()
    assert not find_clusters(np.ones((3, 5), np.uint8), np.ones((3, 5), bool), cell_px=40).any()


@pytest.mark.parametrize("turned", [False, True])
def test_two_masks_tell_clusters_where_they_differ(turned: bool) -> None:
    picture = culture(2)
    cells = (picture.labels > 0) & ~picture.clusters
    thinner = ndimage.binary_erosion(cells, iterations=2)  # networks disagree at outlines, too
    pair = (thinner, cells | picture.clusters)
    found = compare_masks(picture.pixels, *(pair[::-1] if turned else pair), cell_px=STYLE.diameter_px)
    assert dice(found, picture.clusters) > 0.8
    faint = np.where(picture.clusters, np.median(picture.pixels), picture.pixels)  # neither bright nor textured
    assert not compare_masks(faint, *pair, cell_px=STYLE.diameter_px).any()


@pytest.mark.parametrize(
    ("trained", "pixel_um", "factor", "width"),
    [
        (ScaleSpec(pixel_size_um=0.8, object_size_px=40), 0.4, 9.0, 80.0),
        (ScaleSpec(pixel_size_um=0.8, object_size_px=40), None, 2.0, 20.0),
        (ScaleSpec(), 0.4, 1.0, 46.8),
    ],
)
def test_the_width_of_a_cell(trained: ScaleSpec, pixel_um: float | None, factor: float, width: float) -> None:
    assert cell_width_px(trained, pixel_size_um=pixel_um, factor=factor) == pytest.approx(width)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clusters") / "culture.png"
    Image.fromarray(culture(2).pixels).save(path)
    return path


def run(photograph: Path, out: Path, bundle: Path, policy: str) -> tuple[np.ndarray, dict[str, object]]:
    result = segment_images(photograph, out, model=bundle, config=config(policy), export="coco")
    assert not result.failures
    return np.asarray(Image.open(out / "masks" / "culture.png")), result.rows[0]


def config(policy: str) -> object:
    from c6seg.config import SegmentConfig

    return SegmentConfig(clusters=policy, pixel_size_um=1.0, precision="f32")


@pytest.fixture
def corner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network of the tests knows bright from dark only; here a corner of the image is a cluster."""

    def find(pixels: np.ndarray, mask: np.ndarray, *, cell_px: float) -> np.ndarray:
        del pixels, cell_px
        rows, columns = np.indices(mask.shape)
        return (rows < 300) & (columns < 300)

    monkeypatch.setattr("c6seg.inference.segmenter.find_clusters", find)


@pytest.mark.usefixtures("corner")
def test_policies_in_the_files(photograph: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    plain, row = run(photograph, tmp_path / "include", tiny_bundle, "include")
    assert set(np.unique(plain)) == {0, 255}
    assert row["cluster_fraction"] is None
    without, left_out = run(photograph, tmp_path / "exclude", tiny_bundle, "exclude")
    apart, reported = run(photograph, tmp_path / "report", tiny_bundle, "report")
    assert set(np.unique(without)) == {0, 255}
    assert set(np.unique(apart)) == {0, 128, 255}
    assert_array_equal(without == 255, apart == 255)
    assert_array_equal(without == 255, (plain == 255) & (apart != 128))
    for figures in (left_out, reported):
        assert figures["confluence"] == pytest.approx((apart == 255).mean(), abs=1e-6)
        assert figures["cluster_fraction"] == pytest.approx((apart == 128).mean(), abs=1e-6)
    areas = [json.loads((tmp_path / name / "coco.json").read_text())["annotations"] for name in ("exclude", "report")]
    assert [one["area"] for one in areas[0]] == [one["area"] for one in areas[1]]


@pytest.mark.usefixtures("corner")
def test_a_series_has_clusters_in_its_pages(photograph: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    pixels = np.asarray(Image.open(photograph))
    Image.fromarray(pixels).save(tmp_path / "s.tif", save_all=True, append_images=[Image.fromarray(pixels[::-1])])
    segment_images(tmp_path / "s.tif", tmp_path / "out", model=tiny_bundle, config=config("report"))
    pages = [frame.pixels for frame in read_frames(tmp_path / "out" / "masks" / "s.tif")]
    assert [set(np.unique(page)) for page in pages] == [{0, 128, 255}] * 2


def test_an_image_read_by_rows_is_refused_with_words(
    photograph: Path, tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from c6seg.data import regions

    monkeypatch.setattr(regions, "LARGE_PX", 1000)
    Image.open(photograph).save(tmp_path / "scan.tif")
    for policy in ("exclude", "report"):
        result = segment_images(tmp_path / "scan.tif", tmp_path / "out", model=tiny_bundle, config=config(policy))
        assert "read by rows, where dense clusters cannot be told apart" in result.failures[0][1]
    assert segment_images(tmp_path / "scan.tif", tmp_path / "in", model=tiny_bundle, config=config("include")).rows
