"""Files that are broken, too large or no images are refused in one line, before anything is decoded."""

from __future__ import annotations

import logging
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from c6seg.data.images import (
    Frame,
    probe,
    read_frames,
    read_image,
)
from c6seg.errors import ImageNotFoundError, ImageReadError, ImageTooLargeError

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
