from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from c6seg.data.images import read_image
from c6seg.data.regions import MORE_BY_ROWS, RowReader, open_rows
from c6seg.errors import ImageNotFoundError, ImageReadError, ImageTooLargeError

LAYOUTS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "strips, zlib": {"rowsperstrip": 7, "compression": "zlib", "predictor": True},
    "strips, lzw": {"rowsperstrip": 16, "compression": "lzw"},
    "tiles": {"tile": (32, 48)},
    "tiles, zlib": {"tile": (32, 48), "compression": "zlib"},
    "big endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True, "tile": (16, 16), "compression": "lzw"},
    "white is zero": {"photometric": "miniswhite", "rowsperstrip": 5},
    "OME": {"ome": True},
    "ImageJ": {"imagej": True},
}


def opened(path: Path, **options: Any) -> RowReader:
    reader = open_rows(path, **{"max_pixels": 10**6, "least_px": 1, **options})
    assert reader is not None
    return reader


def values(dtype: str, shape: tuple[int, ...] = (101, 77)) -> np.ndarray:
    return (np.random.default_rng(1).random(shape) * 200).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_those_of_the_whole(tmp_path: Path, layout: str, dtype: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values(dtype), **{"photometric": "minisblack", **LAYOUTS[layout]})
    whole = read_image(path)
    with opened(path) as reader:
        assert (reader.size_hw, reader.dtype, reader.colours) == ((101, 77), dtype, False)
        assert reader.pixel_size_um == whole.pixel_size_um
        for top, bottom in ((0, 101), (0, 1), (0, 20), (4, 33), (32, 34), (60, 90), (89, 101), (3, 9), (100, 101)):
            rows = reader.rows(top, bottom)
            np.testing.assert_array_equal(rows, whole.pixels[top:bottom])
            assert rows.dtype == whole.pixels.dtype


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("layout", ["one strip", "strips, zlib", "tiles, zlib"])
def test_colours(tmp_path: Path, layout: str, channels: int) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values("uint8", (101, 77, channels)), photometric="rgb", **LAYOUTS[layout])
    with opened(path) as reader:
        assert reader.colours
        np.testing.assert_array_equal(reader.rows(20, 60), read_image(path).pixels[20:60])


def test_one_bit_and_jpeg(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "bits.tif", values("uint8") > 100, rowsperstrip=8, compression="packbits")
    smooth = np.add.outer(np.arange(128), np.arange(96)).astype(np.uint8)
    tifffile.imwrite(
        tmp_path / "jpeg.tif", np.stack([smooth] * 3, -1), photometric="rgb", compression="jpeg", tile=(32, 32)
    )
    for name in ("bits.tif", "jpeg.tif"):
        with opened(tmp_path / name) as reader:
            np.testing.assert_array_equal(reader.rows(5, 70), read_image(tmp_path / name).pixels[5:70])


def test_each_part_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values("uint8"), rowsperstrip=10, compression="zlib")
    decoded: list[int] = []
    right = RowReader._pieces

    def counted(self: RowReader, top: int, bottom: int) -> np.ndarray:
        decoded.extend(range(top, bottom))
        return right(self, top, bottom)

    monkeypatch.setattr(RowReader, "_pieces", counted)
    with opened(path) as reader:
        for top in range(0, 101, 9):
            reader.rows(max(0, top - 6), min(101, top + 15))
    assert decoded == list(range(101))


def test_small_files_and_other_formats_are_read_whole(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values("uint8"))
    Image.fromarray(values("uint8")).save(tmp_path / "a.png")
    assert open_rows(tmp_path / "a.tif", max_pixels=10**6) is None
    assert open_rows(tmp_path / "a.png", max_pixels=10**6, least_px=1) is None


WHOLE_ONLY: dict[str, tuple[dict[str, Any], np.ndarray]] = {
    "several frames": ({"photometric": "minisblack"}, values("uint8", (3, 101, 77))),
    "separate planes": ({"photometric": "rgb", "planarconfig": "separate"}, values("uint8", (3, 101, 77))),
    "colours are no grey": ({"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}, values("uint8")),
    "values are int32": ({}, values("int32")),
    "pieces of 101 rows": ({"rowsperstrip": 101, "compression": "zlib"}, values("uint8")),
}


@pytest.mark.parametrize("what", WHOLE_ONLY)
def test_what_must_be_decoded_whole_is_refused_above_the_limit(tmp_path: Path, what: str) -> None:
    options, pixels = WHOLE_ONLY[what]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, **options)
    if "pieces" not in what:
        assert open_rows(path, max_pixels=10**6, least_px=1) is None
    with pytest.raises(ImageTooLargeError, match=what) as caught:
        open_rows(path, max_pixels=1000)
    assert "Save it as a TIFF" in str(caught.value)


def test_other_formats_are_refused_above_the_limit(tmp_path: Path) -> None:
    Image.fromarray(values("uint8")).save(tmp_path / "a.png")
    with pytest.raises(ImageTooLargeError, match=r"77x101 .* no TIFF file"):
        open_rows(tmp_path / "a.png", max_pixels=1000)


def test_there_is_a_limit_for_rows_too(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values("uint8"))
    opened(tmp_path / "a.tif", max_pixels=101 * 77 // MORE_BY_ROWS + 1).close()
    with pytest.raises(ImageTooLargeError):
        open_rows(tmp_path / "a.tif", max_pixels=101 * 77 // MORE_BY_ROWS)


def test_a_file_cut_short_and_a_damaged_one(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values("uint8"), compression="zlib", rowsperstrip=10)
    data = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        last = tif.pages[0].dataoffsets[-2]
    (tmp_path / "short.tif").write_bytes(data[: last + 10])
    with pytest.raises(ImageReadError, match=r"short.tif"):
        opened(tmp_path / "short.tif").rows(0, 101)
    (tmp_path / "bad.tif").write_bytes(data[:last] + b"\0" * 40 + data[last + 40 :])
    with opened(tmp_path / "bad.tif") as reader, pytest.raises(ImageReadError, match=r"bad.tif"):
        reader.rows(0, 101)
    with pytest.raises(ImageNotFoundError):
        open_rows(tmp_path / "none.tif", max_pixels=10)
