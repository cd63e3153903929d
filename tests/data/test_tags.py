"""Pixel size and time are read as microscopes write them, and never invented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from c6seg.data.images import (
    probe,
    read_frames,
    read_image,
)

GREY8 = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
GREY16 = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30) * 100
RGB = np.stack([GREY8, GREY8[::-1], GREY8[:, ::-1]], axis=-1)
SERIES = np.stack([GREY16 + step for step in range(4)])


def tiff(path: Path, values: np.ndarray, **options: Any) -> Path:
    options.setdefault("photometric", "minisblack")
    tifffile.imwrite(path, values, **options)
    return path


def pillow(path: Path, values: np.ndarray, mode: str | None = None, **options: Any) -> Path:
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def nis_tags(time_ms: float, um: float) -> list[tuple[int, int, int, float, bool]]:
    return [(65325, 12, 1, time_ms, True), (65326, 12, 1, um, True)]


def test_nis_elements(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for step in range(3):
            tags = nis_tags(7.2e6 + step * 1.8e6, 0.65)
            writer.write(GREY16, photometric="minisblack", metadata=None, extratags=tags)
    info = probe(path)
    assert info.pixel_size_um == 0.65
    assert info.times_h == pytest.approx((0, 0.5, 1.0))
    single = probe(tiff(tmp_path / "b.tif", GREY16, extratags=nis_tags(7.2e6, 0.65), metadata=None))
    assert single.times_h == pytest.approx((2.0,))  # a single frame keeps the clock of the microscope


def test_ome(tmp_path: Path) -> None:
    metadata = {
        "axes": "TYX",
        "PhysicalSizeX": 650.0,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 650.0,
        "PhysicalSizeYUnit": "nm",
        "Plane": {"DeltaT": [5.0, 15.0, 25.0, 45.0], "DeltaTUnit": ["min"] * 4},
    }
    info = probe(tiff(tmp_path / "a.ome.tif", SERIES, metadata=metadata, ome=True))
    assert info.pixel_size_um == pytest.approx(0.65)
    assert info.times_h == pytest.approx((0, 10 / 60, 20 / 60, 40 / 60))
    metadata = {"axes": "TYX", "TimeIncrement": 0.5, "TimeIncrementUnit": "h"}
    info = probe(tiff(tmp_path / "b.ome.tif", SERIES, metadata=metadata, ome=True))
    assert (info.pixel_size_um, info.times_h) == (None, (0, 0.5, 1.0, 1.5))


def ome_part(folder: Path, index: int) -> Path:
    """One file of an OME series over two files, each of which describes both."""
    names = ["urn:uuid:00000000-0000-4000-8000-00000000000" + str(step) for step in range(2)]
    data = "".join(
        f'<TiffData FirstT="{step}" IFD="0" PlaneCount="1"><UUID FileName="t{step}.ome.tif">{name}</UUID></TiffData>'
        f'<Plane TheT="{step}" TheC="0" TheZ="0" DeltaT="{step * 1800}"/>'
        for step, name in enumerate(names)
    )
    text = (
        f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{names[index]}">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="30" SizeY="20" '
        f'SizeC="1" SizeZ="1" SizeT="2" PhysicalSizeX="0.5"><Channel ID="Channel:0:0"/>{data}</Pixels></Image></OME>'
    )
    return tiff(folder / f"t{index}.ome.tif", SERIES[index], description=text, metadata=None)


def test_ome_series_over_files_gives_each_frame_once(tmp_path: Path) -> None:
    paths = [ome_part(tmp_path, index) for index in range(2)]
    for index, path in enumerate(paths):
        (frame,) = read_frames(path)
        assert np.array_equal(frame.pixels, SERIES[index])
        assert (frame.pixel_size_um, frame.time_h) == (0.5, index * 0.5)


@pytest.mark.parametrize(("unit", "per_pixel"), [("um", 0.65), ("\\u00B5m", 0.65), ("micron", 0.65), ("mm", 0.00065)])
def test_imagej(unit: str, per_pixel: float, tmp_path: Path) -> None:
    metadata = {"axes": "TYX", "unit": unit, "finterval": 1800}
    resolution = (1 / per_pixel, 1 / per_pixel)
    info = probe(tiff(tmp_path / "a.tif", SERIES, imagej=True, resolution=resolution, metadata=metadata))
    assert info.pixel_size_um == pytest.approx(0.65, rel=1e-4)
    assert info.times_h == pytest.approx((0, 0.5, 1.0, 1.5))


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((1e4 / 0.65, 1e4 / 0.65), "CENTIMETER", 0.65),
        ((25400 / 0.65, 25400 / 0.65), "INCH", 0.65),
        ((72, 72), "INCH", None),
        ((300, 300), "INCH", None),
        ((1200, 1200), "INCH", None),
        ((118, 118), "CENTIMETER", None),
        ((1, 1), "NONE", None),
    ],
)
def test_plain_resolution_is_believed_if_a_microscope_can_have_it(
    resolution: tuple[float, float], unit: str, expected: float | None, tmp_path: Path
) -> None:
    path = tiff(tmp_path / "a.tif", GREY8, resolution=resolution, resolutionunit=unit, metadata=None)
    assert probe(path).pixel_size_um == (None if expected is None else pytest.approx(expected, rel=1e-4))


@pytest.mark.parametrize(("dpi", "expected"), [(25400 / 0.65, 0.65), (96, None), (300, None)])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_resolution_of_png_and_jpeg(dpi: float, expected: float | None, suffix: str, tmp_path: Path) -> None:
    path = pillow(tmp_path / f"a.{suffix}", GREY8, dpi=(dpi, dpi))
    assert read_image(path).pixel_size_um == (None if expected is None else pytest.approx(expected, rel=1e-3))


def test_no_pixel_size_is_invented(tmp_path: Path) -> None:
    for path in (tiff(tmp_path / "a.tif", GREY8, imagej=True), pillow(tmp_path / "a.png", GREY8)):
        assert (probe(path).pixel_size_um, probe(path).times_h) == (None, None)
