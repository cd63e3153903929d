from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from c6seg.config import SegmentConfig
from c6seg.data.images import Frame, read_image
from c6seg.errors import BundleError, ImageTooLargeError, UsageError
from c6seg.inference.quality import saturated_fraction
from c6seg.inference.segmenter import Segmenter


@pytest.fixture(scope="module")
def segmenter(tiny_bundle: Path) -> Segmenter:
    return Segmenter(tiny_bundle, SegmentConfig(precision="f32"), threads=1)


def discs(height: int, width: int, radius: float, *, seed: int = 3, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Bright discs on a dim slope: uint8 (Y, X) and their mask."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    truth = np.zeros((height, width), bool)
    for _ in range(count):
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        truth |= (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    return (np.where(truth, 200, 30) + 10 * rows / height).astype(np.uint8), truth


def dice(left: np.ndarray, right: np.ndarray) -> float:
    return 2 * (left & right).sum() / (left.sum() + right.sum())


def with_scale(bundle: Path, pixel_size_um: float | None, **options: object) -> Segmenter:
    return Segmenter(bundle, SegmentConfig(precision="f32", pixel_size_um=pixel_size_um, **options), threads=1)


def test_a_frame_becomes_a_mask_of_its_size(segmenter: Segmenter) -> None:
    pixels, truth = discs(150, 210, 20)
    found = segmenter.segment(Frame(pixels, "a", index=3, pixel_size_um=1.0, time_h=2.5))
    assert (found.name, found.index, found.time_h) == ("a", 3, 2.5)
    assert found.mask.shape == found.probability.shape == pixels.shape
    assert found.mask.dtype == np.bool_
    assert found.probability.dtype == np.float32
    assert dice(found.mask, truth) > 0.9
    assert found.flags == ()
    assert found.confluence == pytest.approx(truth.mean(), abs=0.05)
    assert found.cell_area_um2 == pytest.approx(found.mask.sum())
    assert 0 < found.uncertainty < 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3), (33, 31), (5, 5, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiny_and_narrow_images_work(segmenter: Segmenter, shape: tuple[int, ...], dtype: type) -> None:
    pixels = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    found = segmenter.segment(Frame(pixels, "tiny"))
    assert found.mask.shape == shape[:2]
    assert np.isfinite(found.probability).all()


@pytest.mark.parametrize(("image_um", "factor"), [(2.0, 2.0), (0.5, 0.5), (1.04, 1.0), (0.96, 1.0), (1.06, 1.06)])
def test_an_image_is_brought_to_the_scale_of_the_model(tiny_bundle: Path, image_um: float, factor: float) -> None:
    pixels, truth = discs(120, 160, 20)
    found = with_scale(tiny_bundle, None).segment(Frame(pixels, "a", pixel_size_um=image_um))
    assert found.scale == pytest.approx(factor)
    assert (found.scale_source, found.pixel_size_um) == ("file", image_um)
    assert found.mask.shape == (120, 160)
    assert dice(found.mask, truth) > 0.85
    assert found.cell_area_um2 == pytest.approx(found.mask.sum() * image_um**2)


def test_the_network_sees_the_resampled_size(tiny_bundle: Path) -> None:
    sizes = []

    class Spy:
        name, device, precision = "spy", "cpu", "f32"

        def run(self, batch: np.ndarray) -> np.ndarray:
            sizes.append(batch.shape[2:])
            return np.full((1, 1, *batch.shape[2:]), 0.25, np.float32)

    spied = Segmenter(tiny_bundle, engine=Spy())
    found = spied.segment(Frame(discs(100, 130, 9)[0], "a", pixel_size_um=2.0))
    assert sizes == [(224, 288)]  # 200 x 260, up to multiples of 32
    assert_allclose(found.probability, 0.25)
    assert not found.mask.any()


def test_the_users_pixel_size_wins(tiny_bundle: Path) -> None:
    found = with_scale(tiny_bundle, 2.0).segment(Frame(discs(64, 64, 9)[0], "a", pixel_size_um=1.0))
    assert (found.scale, found.scale_source, found.pixel_size_um) == (2.0, "user", 2.0)


def test_an_unknown_scale_is_said_not_invented(segmenter: Segmenter) -> None:
    found = segmenter.segment(Frame(discs(64, 64, 9)[0], "a"))
    assert (found.scale, found.scale_source, found.pixel_size_um) == (1.0, "unknown", None)
    assert found.cell_area_um2 is None
    assert found.flags == ("scale_unknown",)


@pytest.mark.parametrize(("image_um", "factor"), [(40.0, 5.0), (0.01, 0.2)])
def test_an_absurd_scale_is_limited_and_flagged(segmenter: Segmenter, image_um: float, factor: float) -> None:
    found = segmenter.segment(Frame(discs(40, 40, 9)[0], "a", pixel_size_um=image_um))
    assert found.scale == factor
    assert "scale_extreme" in found.flags


def test_an_image_that_would_grow_beyond_the_limit_is_refused(tiny_bundle: Path) -> None:
    small = with_scale(tiny_bundle, None, max_pixels=10_000)
    with pytest.raises(ImageTooLargeError, match="would become 160x160 px"):
        small.segment(Frame(discs(80, 80, 9)[0], "a", pixel_size_um=2.0))


@pytest.mark.parametrize("value", [0, 128])
def test_one_grey_value_is_an_empty_field(segmenter: Segmenter, value: int) -> None:
    found = segmenter.segment(Frame(np.full((50, 60), value, np.uint8), "a", pixel_size_um=1.0))
    assert found.confluence == 0
    assert found.uncertainty == 0
    assert found.flags == ("empty_field", "no_contrast")


def test_too_much_light_is_flagged(segmenter: Segmenter) -> None:
    pixels = discs(100, 100, 12)[0]
    pixels[:7] = 255
    assert "overexposed" in segmenter.segment(Frame(pixels, "a", pixel_size_um=1.0)).flags
    pixels[4:7] = 250
    assert "overexposed" not in segmenter.segment(Frame(pixels, "a", pixel_size_um=1.0)).flags


@pytest.mark.parametrize(("value", "white"), [(np.uint8(255), True), (np.uint16(65535), True), (np.uint8(90), False)])
def test_a_white_image_is_overexposed_and_no_empty_field(tiny_bundle: Path, value: np.generic, white: bool) -> None:
    found = Segmenter(tiny_bundle).segment(Frame(np.full((64, 64), value), "a", pixel_size_um=1.0))
    assert "no_contrast" in found.flags
    assert ("overexposed" in found.flags) == white
    assert ("empty_field" in found.flags) == (not white)


def test_saturation_knows_the_depth_of_the_camera() -> None:
    assert saturated_fraction(np.array([[65535, 0]], np.uint16)) == 0.5
    assert saturated_fraction(np.array([[4095, 4095]], np.uint16)) == 1
    assert saturated_fraction(np.array([[4094, 4094]], np.uint16)) == 0
    assert saturated_fraction(np.array([[1.0, 1.0]], np.float32)) == 0
    assert saturated_fraction(np.array([[[255, 255, 255], [255, 0, 255]]], np.uint8)) == 0.5


def test_threshold_comes_from_the_bundle_unless_given(tiny_bundle: Path) -> None:
    frame = Frame(discs(64, 64, 12)[0], "a")
    found = [with_scale(tiny_bundle, None, threshold=value).segment(frame).mask.mean() for value in (0.9, 0.5, 0.1)]
    assert found[0] < found[1] < found[2]
    assert with_scale(tiny_bundle, None).segment(frame).mask.mean() == found[1]


def test_clusters_are_told_apart_from_the_mask(tiny_bundle: Path) -> None:
    frame = Frame(discs(150, 210, 20)[0], "a", pixel_size_um=1.0)
    assert with_scale(tiny_bundle, None).segment(frame).cluster_fraction is None
    found = with_scale(tiny_bundle, None, clusters="report").segment(frame)
    assert found.clusters is not None
    assert found.clusters.shape == found.mask.shape
    assert not (found.clusters & found.mask).any()
    assert found.cluster_fraction == found.clusters.mean()
    flat = with_scale(tiny_bundle, None, clusters="exclude").segment(Frame(np.full((50, 60), 7, np.uint8), "flat"))
    assert flat.cluster_fraction == 0


def another(bundle: Path, tmp_path: Path) -> Path:
    """Copy a model under another name."""
    folder = shutil.copytree(bundle, tmp_path / "another")
    spec = folder / "bundle.yaml"
    spec.write_text(spec.read_text().replace("name: tiny", "name: another"))
    return folder


def test_a_model_is_no_cluster_model_of_itself(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="'tiny' itself"):
        with_scale(tiny_bundle, None, clusters="report", cluster_model=str(tiny_bundle))


def test_two_models_that_agree_find_no_cluster(tiny_bundle: Path, tmp_path: Path) -> None:
    frame = Frame(discs(150, 210, 20)[0], "a", pixel_size_um=1.0)
    two = with_scale(tiny_bundle, None, clusters="exclude", cluster_model=str(another(tiny_bundle, tmp_path)))
    found = two.segment(frame)
    assert found.cluster_fraction == 0
    assert (found.mask == with_scale(tiny_bundle, None).segment(frame).mask).all()


def test_a_cluster_model_without_a_policy_is_refused(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="--clusters exclude or --clusters report"):
        with_scale(tiny_bundle, None, cluster_model=str(tiny_bundle))


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(BundleError, match="Unknown model 'no-such-model'"):
        Segmenter("no-such-model")


def test_a_real_photograph(segmenter: Segmenter, shared_data: Path) -> None:
    frame = read_image(shared_data / "t98g_timelapse" / "20180101ef002xy01t01.tif")
    found = segmenter.segment(frame)
    assert found.mask.shape == (1022, 1024)
    assert found.pixel_size_um == pytest.approx(0.8708, abs=1e-4)
    assert found.scale == pytest.approx(0.8708, abs=1e-4)
    assert found.flags == ()
    tiled = Segmenter(segmenter.bundle, SegmentConfig(precision="f32", memory_mb=100), engine=segmenter.engine)
    assert_allclose(tiled.segment(frame).probability, found.probability, atol=1e-4)
