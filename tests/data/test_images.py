"""Images of all kinds come in with their pixel size and times; what is broken is refused in one line."""

from __future__ import annotations

import logging
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from c6seg.data.images import (
    Frame,
    find_images,
    probe,
    read_frames,
    read_image,
    read_raw,
    write_mask,
)
from c6seg.errors import ImageNotFoundError, ImageReadError, ImageTooLargeError, OutputError, UsageError

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


# ---- what is read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        (GREY8, {}, GREY8),
        (GREY16, {"compression": "lzw"}, GREY16),
        (GREY16, {"byteorder": ">"}, GREY16),
        (GREY16, {"tile": (16, 16), "compression": "zlib"}, GREY16),
        (GREY16, {"bigtiff": True}, GREY16),
        ((GREY16 // 2).astype(np.int16), {}, GREY16 // 2),
        (GREY16.astype(np.uint32), {}, GREY16.astype(np.float32)),
        (GREY16.astype(np.int32) - 1000, {}, GREY16.astype(np.float32) - 1000),
        (GREY16 / 7, {}, (GREY16 / 7).astype(np.float32)),
        (GREY16.astype(np.float16), {}, GREY16.astype(np.float16).astype(np.float32)),
        (GREY8 > 99, {}, ((GREY8 > 99) * 255).astype(np.uint8)),
        (GREY8, {"photometric": "miniswhite"}, 255 - GREY8),
        (RGB, {"photometric": "rgb"}, RGB),
        (np.moveaxis(RGB, -1, 0), {"photometric": "rgb", "planarconfig": "separate"}, RGB),
        (np.dstack([RGB, GREY8]), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, RGB),
        (np.dstack([GREY8, 255 - GREY8]), {"planarconfig": "contig", "extrasamples": ["unassalpha"]}, GREY8),
        (GREY8[None, None], {"metadata": {"axes": "TCYX"}, "ome": True}, GREY8),
        (np.moveaxis(RGB, -1, 0), {"metadata": {"axes": "CYX"}, "ome": True}, RGB),
    ],
    ids=lambda value: "" if isinstance(value, np.ndarray) else "-".join(f"{k}" for k in value) or "plain",
)
def test_tiff(values: np.ndarray, options: dict[str, Any], expected: np.ndarray, tmp_path: Path) -> None:
    frame = read_image(tiff(tmp_path / "a.tif", values, **options))
    assert frame.pixels.dtype == expected.dtype
    assert np.array_equal(frame.pixels, expected)
    assert (frame.name, frame.index, frame.source) == ("a", 0, tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["png", "bmp"])
@pytest.mark.parametrize("values", [GREY8, RGB], ids=["grey", "rgb"])
def test_png_and_bmp(suffix: str, values: np.ndarray, tmp_path: Path) -> None:
    frame = read_image(pillow(tmp_path / f"a.{suffix}", values))
    assert np.array_equal(frame.pixels, values)
    assert frame.pixels.flags.writeable


def test_png_of_other_depths(tmp_path: Path) -> None:
    assert np.array_equal(read_image(pillow(tmp_path / "a.png", GREY16)).pixels, GREY16)
    one_bit = read_image(pillow(tmp_path / "b.png", GREY8 > 99)).pixels
    assert np.array_equal(one_bit, (GREY8 > 99) * np.uint8(255))
    rgba = np.dstack([RGB, np.full_like(GREY8, 7)])
    assert np.array_equal(read_image(pillow(tmp_path / "c.png", rgba)).pixels, RGB)
    grey_alpha = np.dstack([GREY8, np.full_like(GREY8, 7)])
    assert np.array_equal(read_image(pillow(tmp_path / "d.png", grey_alpha)).pixels, GREY8)


def test_sixteen_bit_colour_png_keeps_its_depth(tmp_path: Path) -> None:
    import imagecodecs

    values = RGB.astype(np.uint16) * 257 + 1
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(values))
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, values)
    assert probe(tmp_path / "a.png").dtype == "uint16"


def test_palettes_are_applied_for_pictures_and_kept_for_masks(tmp_path: Path) -> None:
    index = np.zeros((6, 8), dtype=np.uint8)
    index[2:4] = 1
    image = Image.fromarray(index)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.save(tmp_path / "a.png")
    colormap = np.zeros((3, 256), dtype=np.uint16)
    colormap[:, :2] = np.array([[10, 200], [20, 100], [30, 50]]) << 8
    tiff(tmp_path / "a.tif", index, photometric="palette", colormap=colormap)
    for name in ("a.png", "a.tif"):
        assert read_image(tmp_path / name).pixels[0, 0].tolist() == [10, 20, 30]
        assert read_image(tmp_path / name).pixels[2, 0].tolist() == [200, 100, 50]
        assert np.array_equal(read_raw(tmp_path / name), index)


def test_jpeg_is_turned_as_its_camera_was(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.pad(np.full((40, 20), 255, np.uint8), ((0, 0), (0, 60)))).save(tmp_path / "a.jpg", exif=exif)
    assert probe(tmp_path / "a.jpg").size_hw == (80, 40)
    assert read_image(tmp_path / "a.jpg").pixels[:10].mean() > 250


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    pillow(tmp_path / "a.png", GREY8).rename(tmp_path / "a.tif")
    tiff(tmp_path / "b.tif", GREY8).rename(tmp_path / "b.jpg")
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, GREY8)
    assert np.array_equal(read_image(tmp_path / "b.jpg").pixels, GREY8)


@pytest.mark.parametrize(
    "options",
    [
        {"metadata": {"axes": "TYX"}},
        {"metadata": {"axes": "ZYX"}, "imagej": True},  # time lapses are often saved as depth
        {"metadata": {"axes": "TYX"}, "ome": True},
        {"metadata": None, "ome": False},
        {"metadata": {"axes": "TYX"}, "compression": "zlib"},
        {"imagej": True, "metadata": {"axes": "TYX"}, "truncate": True},  # one page for all, as above 4 GB
    ],
    ids=["shaped", "imagej", "ome", "plain", "compressed", "one-page"],
)
def test_series(options: dict[str, Any], tmp_path: Path) -> None:
    path = tiff(tmp_path / "s.ome.tif", SERIES, **options)
    frames = list(read_frames(path))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert np.array_equal(np.stack([frame.pixels for frame in frames]), SERIES)
    assert probe(path).frames == 4
    assert frames[0].name == "s"
    assert np.array_equal(read_image(path, frame=2).pixels, SERIES[2])


def test_series_of_colour(tmp_path: Path) -> None:
    path = tiff(tmp_path / "s.tif", np.stack([RGB, RGB[::-1]]), photometric="rgb")
    assert [frame.pixels.shape for frame in read_frames(path)] == [(20, 30, 3)] * 2
    assert np.array_equal(read_image(path, frame=1).pixels, RGB[::-1])


def test_frames_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    original = tifffile.TiffPage.asarray
    monkeypatch.setattr(
        tifffile.TiffPage, "asarray", lambda page, *args, **kw: (decoded.append(1), original(page, *args, **kw))[1]
    )
    frames = read_frames(tiff(tmp_path / "s.tif", SERIES, metadata=None))
    assert np.array_equal(next(frames).pixels, SERIES[0])
    assert len(decoded) == 1
    frames.close()


def test_thumbnails_are_not_taken_for_the_image(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(GREY8[::4, ::4], photometric="minisblack", metadata=None)
        writer.write(GREY8, photometric="minisblack", metadata=None)
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, GREY8)


def test_several_channels_are_refused_with_words(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", np.stack([GREY16] * 2), metadata={"axes": "CYX"}, ome=True)
    with pytest.raises(ImageReadError, match=r"has 2 channels .* phase contrast alone"):
        read_image(path)
    path = tiff(tmp_path / "b.tif", np.stack([SERIES] * 2), metadata={"axes": "TZYX"}, ome=True)
    with pytest.raises(ImageReadError, match=r"T 2, Z 4.*one series"):
        probe(path)


def test_many_samples_are_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiff(tmp_path / "a.tif", np.zeros((4, 4, 9), np.uint8), planarconfig="contig", metadata=None)
    monkeypatch.delattr(tifffile.TiffPage, "asarray")
    with pytest.raises(ImageReadError, match="9 channels"):
        read_image(path)


def test_frame_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="has 4 frame"):
        read_image(tiff(tmp_path / "a.tif", SERIES), frame=4)


# ---- pixel size and time --------------------------------------------------------------------------------------------


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


# ---- what is refused ------------------------------------------------------------------------------------------------


def png_bomb(path: Path, side: int) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


def one_line(error: pytest.ExceptionInfo[Exception], path: Path) -> bool:
    text = str(error.value)
    return "\n" not in text and str(path) in text and text.endswith(".")


@pytest.mark.parametrize("read", [probe, read_image, lambda path: list(read_frames(path))])
@pytest.mark.parametrize("side", [15_000, 20_100, 100_000])
def test_png_bomb_is_refused_before_decoding(read: Any, side: int, tmp_path: Path) -> None:
    path = png_bomb(tmp_path / "a.png", side)
    with pytest.raises(ImageTooLargeError, match="Nothing was decoded") as error:
        read(path) if side > 20_000 else probe(path, max_pixels=1000)
    assert one_line(error, path)


def test_tiff_above_the_limit_is_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiff(tmp_path / "a.tif", SERIES, metadata=None)
    assert probe(path, max_pixels=600).frames == 4  # the limit is for a frame, not for the series
    monkeypatch.delattr(tifffile.TiffPage, "asarray")
    with pytest.raises(ImageTooLargeError, match="30x20") as error:
        read_image(path, max_pixels=599)
    assert one_line(error, path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tif", b"these are notes\nabout cells\n", "content is text"),
        ("a.png", b"\x00\x01\x02\x03" * 9, "content is something else"),
        ("a.tif", b"", "is empty"),
        ("a.tif", b"II*\0", "cannot be read"),
        ("a.tif", b"II*\0\x08\0\0\0", "cannot be read"),
        ("a.tif", b"II*\0" + b"\xff" * 40, "cannot be read"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "no image|cannot be read"),
        ("a.jpg", b"\xff\xd8\xff\xe0", "no image|cannot be read"),
    ],
)
def test_files_that_are_no_images(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for read in (probe, read_image):
        with pytest.raises(ImageReadError, match=words) as error:
            read(path)
        assert one_line(error, path)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_truncated_tiff(
    compression: str | None, part: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 65535, (3, 64, 64), dtype=np.uint16)
    path = tiff(tmp_path / "a.tif", noise, compression=compression, metadata=None)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ImageReadError, match=r"cut short|cannot be read|incomplete") as error:
        list(read_frames(path))
    assert one_line(error, path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("part", [0.3, 0.7, 0.98])
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_truncated_picture(part: float, suffix: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    path = pillow(tmp_path / f"a.{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ImageReadError) as error:
        read_image(path)
    assert one_line(error, path)


def test_unknown_sample_types_are_words_not_tracebacks(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.ome.tif", GREY8, metadata={"axes": "YX"}, ome=True)
    path.write_bytes(path.read_bytes().replace(b'Type="uint8"', b'Type="uint24"'.ljust(12)[:12]))
    assert len(read_or_words(path)) in {0, 1}
    path = tiff(tmp_path / "b.tif", GREY8, metadata=None)
    data = bytearray(path.read_bytes())
    place = data.index(struct.pack("<HHI", 258, 3, 1)) + 8
    data[place : place + 2] = struct.pack("<H", 24)
    path.write_bytes(data)
    with pytest.raises(ImageReadError):
        read_image(path)
    with pytest.raises(ImageReadError, match="complex64"):
        read_image(tiff(tmp_path / "c.tif", GREY8.astype(np.complex64)))


def read_or_words(path: Path) -> list[Frame]:
    """Read all frames; an error on purpose in one line gives none, any other one fails the test."""
    try:
        return list(read_frames(path, max_pixels=1_000_000))
    except ImageReadError as error:
        if "\n" in str(error):
            raise
        return []


def test_not_a_number_is_refused(tmp_path: Path) -> None:
    values = np.ones((4, 4), dtype=np.float32)
    values[2, 2] = np.nan
    with pytest.raises(ImageReadError, match="NaN"):
        read_image(tiff(tmp_path / "a.tif", values))


def test_folder_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(ImageNotFoundError, match="no file"):
        read_image(tmp_path / "a.tif")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 700), byte=st.integers(0, 255), kind=st.sampled_from(["tif", "png", "ome"]))
def test_a_changed_byte_gives_an_image_or_words(place: int, byte: int, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"{kind}.{'png' if kind == 'png' else 'tif'}"
    if not (tmp_path / kind).exists():
        pillow(path, GREY8) if kind == "png" else tiff(path, SERIES, ome=kind == "ome")
        (tmp_path / kind).write_bytes(path.read_bytes())
    data = bytearray((tmp_path / kind).read_bytes())
    data[place % len(data)] = byte
    path.write_bytes(data)
    assert all(frame.pixels.ndim in {2, 3} for frame in read_or_words(path))


def test_logging_of_others_is_left_as_it_was(tmp_path: Path) -> None:
    log = logging.getLogger("tifffile")
    before = (list(log.filters), list(log.handlers), log.level)
    read_image(tiff(tmp_path / "a.tif", GREY8))
    assert (list(log.filters), list(log.handlers), log.level) == before


# ---- finding and writing --------------------------------------------------------------------------------------------


def test_find_images(tmp_path: Path) -> None:
    for name in ("t10.tif", "t2.TIF", "t1.png", ".hidden.png", "notes.txt", "deep/t3.jpg", ".git/x.png", "[odd].png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    names = lambda found: [path.name for path in found]  # noqa: E731
    assert names(find_images([tmp_path])) == ["[odd].png", "t1.png", "t2.TIF", "t10.tif"]
    assert "t3.jpg" in names(find_images([tmp_path], recursive=True))
    assert names(find_images([f"{tmp_path}/t1*"])) == ["t1.png", "t10.tif"]
    assert names(find_images([f"{tmp_path}/**/*.jpg"])) == ["t3.jpg"]
    assert names(find_images([tmp_path / "[odd].png"])) == ["[odd].png"]
    assert names(find_images([tmp_path / "t10.tif", str(tmp_path)]))[0] == "t10.tif"
    assert len(find_images([tmp_path, tmp_path, tmp_path / "t1.png"])) == 4
    assert names(find_images([tmp_path / "notes.txt"])) == ["notes.txt"]  # named, so it is tried and fails with words


@pytest.mark.parametrize(
    ("given", "words"), [("", "has no image"), ("*.tif", "No image matches"), ("x.tif", "no file or folder")]
)
def test_find_nothing(given: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ImageNotFoundError, match=words):
        find_images([tmp_path / given])
    with pytest.raises(ImageNotFoundError, match="No image was given"):
        find_images([])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mask=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9)))
def test_mask_there_and_back(mask: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / ("m.png" if mask.ndim == 2 else "m.tif")
    write_mask(path, mask)
    frames = [frame.pixels for frame in read_frames(path)]
    back = frames[0] if mask.ndim == 2 else np.stack(frames)
    assert back.dtype == np.uint8
    assert np.array_equal(back, mask.astype(np.uint8) * 255)


def test_mask_of_another_shape_or_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\(2, 4, 4\)"):
        write_mask(tmp_path / "m.png", np.zeros((2, 4, 4), dtype=bool))
    with pytest.raises(UsageError, match=r"m\.jpg"):
        write_mask(tmp_path / "m.jpg", np.zeros((4, 4), dtype=bool))
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        write_mask(tmp_path / "file" / "m.png", np.zeros((4, 4), dtype=bool))
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


# ---- real files -----------------------------------------------------------------------------------------------------


def test_real_nis_elements_images(shared_data: Path) -> None:
    frame = read_image(shared_data / "t98g" / "images" / "set22.tif")
    assert (frame.pixels.shape, frame.pixels.dtype) == ((1022, 1024), np.uint16)
    assert frame.pixel_size_um == pytest.approx(0.8708, abs=1e-4)
    series = find_images([shared_data / "t98g_timelapse"])
    times = [probe(path).times_h for path in series]
    assert len(times) == 13
    steps = np.diff([time[0] for time in times if time is not None])
    assert steps == pytest.approx(np.full(12, 0.5), abs=0.01)


def test_real_images_without_a_pixel_size(shared_data: Path) -> None:
    demo = read_image(shared_data / "phantast" / "Demo_Image.tif")  # 72 dpi, set by an image editor
    assert (demo.pixels.shape, demo.pixel_size_um, demo.time_h) == ((250, 250, 3), None, None)
    infos = [probe(path) for path in find_images([shared_data / "livecell" / "images"], recursive=True)]
    assert {(info.size_hw, info.dtype, info.pixel_size_um) for info in infos} == {((520, 704), "uint8", None)}
    assert len(infos) == 45
