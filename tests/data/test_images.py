"""Images of all kinds come in as frames, and masks go out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, example, given, settings
from hypothesis.extra import numpy as hnp
from PIL import Image

from c6seg.data.images import (
    find_images,
    probe,
    read_frames,
    read_image,
    read_raw,
    write_mask,
)
from c6seg.errors import ImageNotFoundError, ImageReadError, OutputError, UsageError

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


def test_pictures_of_another_size_are_told_once_and_thumbnails_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mixed, plain = tmp_path / "mixed.tif", tmp_path / "plain.tif"
    for path, kind in ((mixed, 0), (plain, 1)):  # 1: a reduced copy, by its own word
        with tifffile.TiffWriter(path) as tif:
            tif.write(np.full((40, 50), 9, np.uint8), photometric="minisblack")
            tif.write(np.full((20, 30), 7, np.uint8), photometric="minisblack", subfiletype=kind)
            tif.write(np.full((10, 12), 5, np.uint8), photometric="minisblack")  # a quarter of the side
        for _ in range(2):
            assert read_image(path).pixels.shape == (40, 50)
    [record] = caplog.records
    assert "mixed.tif' holds 1 more series" in record.message
    assert "(20x30); only the largest (40x50) is read" in record.message


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
@example(mask=np.ones((1, 2, 1), dtype=bool))
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
