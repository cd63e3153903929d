from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from c6seg.config import SegmentConfig
from c6seg.data import regions
from c6seg.data.images import Frame, read_image
from c6seg.data.regions import open_rows
from c6seg.inference import large, survey, tiling
from c6seg.inference.batch import segment_images
from c6seg.inference.forecast import announce, forecast
from c6seg.inference.large import LargeImage, LargeSegmentation, resized_rows
from c6seg.inference.segmenter import Segmentation, Segmenter
from c6seg.inference.tables import measurement_row
from c6seg.transforms.preprocess import resize


@pytest.fixture
def small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of few rows and small tiles, so that small pictures are cut as large ones are."""
    for module in (survey, large):
        monkeypatch.setattr(module, "BAND_PX", 9000)
    monkeypatch.setattr(tiling, "BYTES_PER_PX", 300)


def segmenter_with(bundle: Path, **options: Any) -> Segmenter:
    return Segmenter(bundle, SegmentConfig(precision="f32", memory_mb=64, **options), threads=1)


def culture(height: int, width: int, dtype: str = "uint8", colours: int = 0) -> np.ndarray:
    rng = np.random.default_rng(height)
    rows, columns = np.mgrid[0:height, 0:width]
    image = 40 + 20 * rows / max(height, 2) + rng.normal(0, 4, (height, width))
    for _ in range(height * width // 12_000 + 1):
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        image += 120 * (np.hypot(rows - row, columns - column) < rng.uniform(8, 25))
    image = np.clip(image, 0, 250) * {"uint8": 1, "uint16": 16, "float32": 0.01}[dtype]
    if colours:
        image = image[..., None] * np.linspace(0.7, 1, colours)
    return image.astype(dtype)


def by_rows(segmenter: Segmenter, path: Path) -> tuple[np.ndarray, LargeSegmentation, list[float]]:
    told: list[float] = []
    reader = open_rows(path, max_pixels=10**6, least_px=1)
    assert reader is not None
    with reader:
        image = LargeImage(segmenter, reader, path.stem, told.append)
        mask = np.concatenate(list(image.mask(max_side_px=100)))
        return mask, image.result(), told


def check(segmenter: Segmenter, path: Path) -> tuple[Segmentation, LargeSegmentation]:
    whole = segmenter.segment(read_image(path))
    mask, found, told = by_rows(segmenter, path)
    decided = np.abs(whole.probability - segmenter.threshold) > 1e-3
    assert mask.shape == whole.mask.shape
    assert_array_equal(mask[decided], whole.mask[decided])
    assert found.uncertainty == pytest.approx(whole.uncertainty, abs=1e-4)
    expected, row = measurement_row(whole), measurement_row(found)
    assert row.pop("confluence") == pytest.approx(expected.pop("confluence"), abs=1e-3)
    for key in ("uncertainty", "cell_area_um2"):
        row.pop(key), expected.pop(key)
    assert row == expected
    assert told == sorted(told)
    assert told[-1] == 1
    return whole, found


@pytest.mark.usefixtures("small_bands")
@pytest.mark.parametrize("pixel_size_um", [None, 1.0, 0.45, 1.6])
@pytest.mark.parametrize("shape", [(700, 530), (1, 900), (900, 1), (450, 17)])
def test_by_rows_is_as_in_memory(
    tiny_bundle: Path, tmp_path: Path, shape: tuple[int, int], pixel_size_um: float | None
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", culture(*shape), rowsperstrip=13, compression="zlib")
    segmenter = segmenter_with(tiny_bundle, pixel_size_um=pixel_size_um)
    check(segmenter, tmp_path / "a.tif")


@pytest.mark.usefixtures("small_bands")
@pytest.mark.parametrize(("dtype", "colours"), [("uint16", 0), ("float32", 0), ("uint8", 3), ("uint16", 3)])
def test_every_kind_of_pixels(tiny_bundle: Path, tmp_path: Path, dtype: str, colours: int) -> None:
    photometric = "rgb" if colours else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", culture(470, 330, dtype, colours), photometric=photometric, tile=(64, 64))
    whole, found = check(segmenter_with(tiny_bundle, pixel_size_um=1.3), tmp_path / "a.tif")
    assert whole.confluence > 0.05
    assert found.small_mask.mean() == pytest.approx(found.confluence, abs=0.03)
    assert found.small.shape == found.small_mask.shape
    assert max(found.small.shape) <= 100


@pytest.mark.usefixtures("small_bands")
def test_figures_of_the_whole_are_exact(tiny_bundle: Path, tmp_path: Path) -> None:
    """The contrast of a band is not that of the image: here most rows are dark, and the last ones overexposed."""
    pixels = culture(500, 300)
    pixels[:300] //= 4
    pixels[450:] = 255
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    _, found = check(segmenter_with(tiny_bundle, pixel_size_um=1.0), tmp_path / "a.tif")
    assert "overexposed" in found.flags
    reader = open_rows(tmp_path / "a.tif", max_pixels=10**6, least_px=1)
    assert reader is not None
    preprocess = segmenter_with(tiny_bundle).preprocess.config
    with reader:
        told = survey.survey(reader, preprocess)
    assert_allclose(told.limits, np.percentile(pixels, preprocess.contrast_percentiles), rtol=1e-6)
    assert told.saturated == (pixels == 255).mean()
    assert_allclose(told.small, pixels)


@pytest.mark.usefixtures("small_bands")
@pytest.mark.parametrize("kind", ["flat", "noise"])
def test_nothing_is_seen_where_nothing_is(tiny_bundle: Path, tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).normal(120, 10, (400, 300))
    tifffile.imwrite(tmp_path / "a.tif", (noise if kind == "noise" else np.full((400, 300), 7)).astype(np.uint8))
    _, found = check(segmenter_with(tiny_bundle), tmp_path / "a.tif")
    assert found.confluence == 0
    assert ("no_contrast" in found.flags) == (kind == "flat")


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    new_h=st.integers(1, 90),
    new_w=st.integers(1, 90),
    cuts=st.sets(st.integers(1, 89), max_size=6),
    band_px=st.integers(1, 3000),
)
def test_resizing_by_rows_is_resizing(
    height: int, width: int, new_h: int, new_w: int, cuts: set[int], band_px: int
) -> None:
    picture = np.random.default_rng(0).random((height, width)).astype(np.float32)
    bands: Iterator[np.ndarray] = iter(np.split(picture, sorted(cut for cut in cuts if cut < height)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large, "BAND_PX", band_px)
        found = np.concatenate(list(resized_rows(bands, (height, width), (new_h, new_w))))
    assert_allclose(found, resize(picture, (new_h, new_w)), atol=2e-6)


@pytest.fixture
def all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "LARGE_PX", 1)


@pytest.mark.usefixtures("small_bands", "all_large")
def test_a_batch_with_a_large_image(tiny_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pixels = culture(600, 400)
    tifffile.imwrite(tmp_path / "scan.tif", pixels)
    segmenter = segmenter_with(tiny_bundle, pixel_size_um=1.0, max_pixels=100_000)
    progress: list[float] = []
    with caplog.at_level(logging.INFO, "c6seg"):
        result = segment_images(
            tmp_path / "scan.tif",
            tmp_path / "out",
            segmenter=segmenter,
            progress=lambda done, total, name: progress.append(done),
        )
    assert "'scan' is 400x600 px and is read by rows:" in caplog.text
    assert " of memory" in caplog.text
    assert result.failures == []
    assert progress == sorted(progress)
    assert len(set(progress)) > 5
    names = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert names == ["journal.jsonl", "manifest.json", "masks/scan.tif", "measurements.csv", "overlays/scan.jpg"]
    mask = tifffile.imread(tmp_path / "out" / "masks" / "scan.tif") == 255
    assert result.rows[0]["confluence"] == pytest.approx(mask.mean(), abs=1e-6)
    whole = segmenter.segment(Frame(pixels, "scan"))
    assert (mask == whole.mask).mean() > 0.9999
    again = segment_images(tmp_path / "scan.tif", tmp_path / "out", segmenter=segmenter)
    assert again.resumed == 1


@pytest.mark.usefixtures("small_bands", "all_large")
def test_what_was_stopped_in_the_middle_is_made_again(tiny_bundle: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "scan.tif", culture(900, 500))
    segmenter = segmenter_with(tiny_bundle)

    def stop(done: float, total: int, name: str) -> None:
        if done > 0.5:
            raise KeyboardInterrupt

    result = segment_images(tmp_path / "scan.tif", tmp_path / "out", segmenter=segmenter, progress=stop)
    assert result.interrupted
    assert list((tmp_path / "out" / "masks").iterdir()) == []
    result = segment_images(tmp_path / "scan.tif", tmp_path / "out", segmenter=segmenter)
    assert (result.resumed, len(result.rows)) == (0, 1)


@pytest.mark.usefixtures("small_bands")
def test_too_large_for_another_format_is_said_with_words(tiny_bundle: Path, tmp_path: Path) -> None:
    Image.fromarray(culture(300, 400)).save(tmp_path / "scan.png")
    tifffile.imwrite(tmp_path / "other.tif", culture(300, 400))
    segmenter = segmenter_with(tiny_bundle, max_pixels=100_000)
    result = segment_images(tmp_path, tmp_path / "out", segmenter=segmenter)
    ((name, reason),) = result.failures
    assert name.endswith("scan.png")
    assert "400x300 = 120000 pixels" in reason
    assert "Save it as a TIFF of one picture" in reason
    assert [row["image"] for row in result.rows] == ["other"]


@pytest.mark.usefixtures("small_bands", "all_large")
def test_a_damaged_part_costs_the_image_and_leaves_no_mask(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, culture(600, 400), rowsperstrip=50, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[0].dataoffsets[9]
    data = bytearray(path.read_bytes())
    data[offset : offset + 50] = bytes(50)
    path.write_bytes(bytes(data))
    result = segment_images(path, tmp_path / "out", segmenter=segmenter_with(tiny_bundle))
    assert "scan.tif' cannot be read as an image" in result.failures[0][1]
    assert not list((tmp_path / "out" / "masks").glob("*"))


def test_a_forecast_warns_of_too_little_memory(
    tiny_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "scan.tif", culture(300, 200))
    segmenter = segmenter_with(tiny_bundle, pixel_size_um=1.0)
    reader = open_rows(tmp_path / "scan.tif", max_pixels=10**6, least_px=1)
    assert reader is not None
    monkeypatch.setattr("c6seg.machine.available_memory_mb", lambda: 100.0)
    with reader:
        found = forecast(segmenter, reader, LargeImage(segmenter, reader, "scan").plan, "scan")
    assert found.plan.tiles == 1
    assert 0 < found.seconds < 60
    assert 250 < found.memory_mb < 1000
    announce(found)
    assert "only 100 MB are free" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING
