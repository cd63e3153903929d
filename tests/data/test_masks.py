"""Mask files of every kind give the same cells; what is no mask is refused with words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from c6seg.data.annotations import MaskFile, ObjectMasks
from c6seg.data.masks import labels_from_values
from c6seg.errors import AnnotationError

SIZE_HW = (40, 50)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TRUTH = np.zeros(SIZE_HW, dtype=bool)
TRUTH[5:15, 5:20] = TRUTH[25:38, 30:45] = True


def write(path: Path, values: np.ndarray, **options: Any) -> MaskFile:
    if path.suffix == ".tif":
        tifffile.imwrite(path, values, photometric="minisblack", **options)
    else:
        Image.fromarray(values).save(path, **options)
    return MaskFile(path)


def rgb(mask: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    return mask[..., None] * np.array(colour, dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("m.png", TRUTH),
        ("m.png", TRUTH.astype(np.uint8)),
        ("m.png", TRUTH * np.uint8(255)),
        ("m.png", TRUTH * np.uint8(7)),
        ("m.png", TRUTH * np.uint16(65535)),
        ("m.bmp", TRUTH * np.uint8(255)),
        ("m.tif", TRUTH * np.uint8(255)),
        ("m.tif", TRUTH.astype(np.float32)),
        ("m.tif", TRUTH.astype(np.int32) * -(2**31) // -(2**31)),
        ("m.png", rgb(TRUTH, (255, 255, 255))),
        ("m.png", rgb(TRUTH, (255, 0, 0))),
        ("m.png", np.dstack([rgb(TRUTH, (255, 255, 255)), np.full(SIZE_HW, 255, np.uint8)])),
        ("m.png", np.dstack([np.zeros((*SIZE_HW, 3), np.uint8), TRUTH * np.uint8(255)])),
        ("m.png", np.dstack([TRUTH * np.uint8(255), np.full(SIZE_HW, 255, np.uint8)])),
    ],
)
def test_binary_masks(name: str, values: np.ndarray, tmp_path: Path) -> None:
    annotation = write(tmp_path / name, values)
    assert annotation.size_hw == SIZE_HW
    assert np.array_equal(annotation.mask(SIZE_HW), TRUTH)
    assert annotation.labels(SIZE_HW).max() == 2  # the connected parts


@pytest.mark.parametrize("quality", [30, 60, 95])
@pytest.mark.parametrize("colour", [False, True])
def test_jpeg_noise_is_cut_at_the_middle(quality: int, colour: bool, tmp_path: Path) -> None:
    values = rgb(TRUTH, (255, 255, 255)) if colour else TRUTH * np.uint8(255)
    annotation = write(tmp_path / "m.jpg", values, quality=quality)
    stored = np.asarray(Image.open(tmp_path / "m.jpg").convert("L"))
    assert len(np.unique(stored)) > 2
    mask = annotation.mask(SIZE_HW)
    assert 2 * (mask & TRUTH).sum() / (mask.sum() + TRUTH.sum()) > 0.98


def test_smoothed_edges_are_cut_at_the_middle(tmp_path: Path) -> None:
    large = np.kron(TRUTH, np.ones((8, 8))).astype(np.uint8) * 255
    small = Image.fromarray(large).resize((131, 97), Image.Resampling.BILINEAR)
    mask = write(tmp_path / "m.png", np.asarray(small)).mask((97, 131))
    assert mask.mean() == pytest.approx(TRUTH.mean(), abs=0.01)


@QUICK
@given(
    labels=hnp.arrays(np.uint8, (9, 11), elements=st.integers(0, 6)),
    factor=st.integers(1, 40),
    kind=st.sampled_from(["uint8", "uint16", "uint32", "float32", "int32", "rgb"]),
)
def test_label_map_round_trip(labels: np.ndarray, factor: int, kind: str, tmp_path: Path) -> None:
    labels[0, 0], labels[0, 1:3] = 0, (1, 2)  # background and two objects, so that it is no binary mask
    labels = np.kron(labels, np.ones((4, 4), dtype=np.uint8))
    stored: np.ndarray = labels * np.uint8(factor)
    if kind == "rgb":
        stored = np.dstack([stored, labels, labels[::-1, ::-1] * 0])
    suffix = "png" if kind in {"uint8", "uint16", "rgb"} else "tif"
    values = stored if kind == "rgb" else stored.astype(kind)
    found = write(tmp_path / f"m.{suffix}", values).labels(labels.shape)
    present, dense = np.unique(labels, return_inverse=True)
    assert np.array_equal(found, dense.reshape(labels.shape))
    assert found.max() == present.size - 1


def test_label_maps_with_large_numbers(tmp_path: Path) -> None:
    values = np.zeros(SIZE_HW, dtype=np.uint32)
    values[:5, :5], values[10:15, :5], values[20:25, :5] = 5, 70_000, 4_000_000_000
    labels = write(tmp_path / "m.tif", values).labels(SIZE_HW)
    assert [int(labels[row, 0]) for row in (0, 10, 20)] == [1, 2, 3]


def test_label_map_in_a_palette(tmp_path: Path) -> None:
    image = Image.fromarray(TRUTH.astype(np.uint8) + (np.arange(50) > 25))
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    image.save(tmp_path / "m.png")
    labels = MaskFile(tmp_path / "m.png").labels(SIZE_HW)
    assert np.array_equal(labels, TRUTH.astype(np.uint8) + (np.arange(50) > 25))


def test_empty_and_full_masks(tmp_path: Path) -> None:
    assert not write(tmp_path / "a.png", np.zeros(SIZE_HW, np.uint8)).mask(SIZE_HW).any()
    assert write(tmp_path / "b.png", np.full(SIZE_HW, 255, np.uint8)).mask(SIZE_HW).all()


NOISE = np.random.default_rng(0).integers(0, 255, SIZE_HW, dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("m.png", NOISE, "looks like a photograph"),
        ("m.png", np.random.default_rng(0).normal(1e4, 300, SIZE_HW).astype(np.uint16), "looks like a photograph"),
        ("m.jpg", NOISE, "is a JPEG with"),
        ("m.jpg", TRUTH * np.uint8(1) + np.uint8(2), "is a JPEG with"),
        ("m.tif", NOISE / 255, "no whole numbers"),
        ("m.tif", np.where(TRUTH, np.nan, 0.0), "no whole numbers"),
        ("m.tif", TRUTH.astype(np.int16) * -1, "negative"),
        ("m.png", np.where(TRUTH, np.uint8(2), np.uint8(1)), "neither of them 0"),
        ("m.png", rgb(TRUTH, (200, 0, 0)) + np.array([20, 30, 40], dtype=np.uint8), "without black"),
        ("m.jpg", rgb(TRUTH, (120, 0, 60)) + rgb(~TRUTH, (0, 99, 0)), "JPEG in colours"),
        ("m.tif", np.dstack([NOISE.astype(np.uint16), NOISE.T[:40, :1] * np.uint16(2) + NOISE, NOISE]), "channels"),
    ],
)
def test_what_is_no_mask_is_refused(name: str, values: np.ndarray, words: str, tmp_path: Path) -> None:
    if values.ndim == 3 and name.endswith("tif"):
        tifffile.imwrite(tmp_path / name, values, photometric="rgb")
        annotation = MaskFile(tmp_path / name)
    else:
        annotation = write(tmp_path / name, values)
    with pytest.raises(AnnotationError, match=words) as error:
        annotation.labels(SIZE_HW)
    assert str(tmp_path / name) in str(error.value)
    assert "Save a mask with 0 = background" in str(error.value)


def test_mask_of_another_size_or_broken_is_refused(tmp_path: Path) -> None:
    annotation = write(tmp_path / "m.png", TRUTH)
    with pytest.raises(AnnotationError, match="made for 50x40, but the image is 40x50"):
        annotation.mask((50, 40))
    (tmp_path / "b.png").write_text("text")
    for call in (lambda: MaskFile(tmp_path / "b.png").size_hw, lambda: MaskFile(tmp_path / "b.png").mask(SIZE_HW)):
        with pytest.raises(AnnotationError, match=r"Mask .* is no image"):
            call()


def test_one_file_per_object(tmp_path: Path) -> None:
    for number, (top, left) in enumerate([(0, 0), (0, 10), (5, 5)]):
        part = np.zeros(SIZE_HW, dtype=np.uint8)
        part[top : top + 10, left : left + 10] = 255
        Image.fromarray(part).save(tmp_path / f"{number}.png")
    annotation = ObjectMasks(tuple(sorted(tmp_path.glob("*.png"))))
    labels = annotation.labels(SIZE_HW)
    assert annotation.size_hw == SIZE_HW
    assert np.unique(labels).tolist() == [0, 1, 2, 3]
    assert (labels > 0).sum() == 250


def test_real_label_map_is_not_taken_for_noise(shared_data: Path) -> None:
    path = shared_data / "t98g" / "masks" / "set03.png"
    values = np.asarray(Image.open(path))
    labels = MaskFile(path).labels((1022, 1024))
    assert labels.max() == len(np.unique(values)) - 1 == 74
    assert np.array_equal(labels > 0, values > 0)


def test_real_photograph_is_not_taken_for_a_mask(shared_data: Path) -> None:
    path = shared_data / "t98g" / "images" / "set03.tif"
    with pytest.raises(AnnotationError, match="photograph"):
        MaskFile(path).labels((1022, 1024))
    dense = shared_data / "livecell" / "images" / "livecell_test_images" / "A172_Phase_C7_1_00d20h00m_4.tif"
    with pytest.raises(AnnotationError, match="photograph"):
        MaskFile(dense).labels((520, 704))


def test_values_are_not_changed(tmp_path: Path) -> None:
    values = (TRUTH * np.uint8(3)).copy()
    before = values.copy()
    labels_from_values(values)
    assert np.array_equal(values, before)
