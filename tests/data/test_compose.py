"""Dense scenes composed from annotated cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from c6seg.data.compose import compose_dense
from c6seg.data.compose_set import write_composed
from c6seg.data.datasets import open_dataset
from c6seg.data.synthetic import SceneStyle, simulate_image, write_dataset
from c6seg.errors import AnnotationError, UsageError


def sparse(count: int = 2, bits: int = 8) -> tuple[list[np.ndarray], list[np.ndarray]]:
    style = SceneStyle(diameter_px=24.0, region_fraction=0.0, scatter=0.15, bits=bits)
    pictures = [simulate_image(size_hw=(200, 220), seed=seed, style=style) for seed in range(count)]
    return [picture.pixels for picture in pictures], [picture.labels for picture in pictures]


def test_sparse_cells_become_a_dense_layer() -> None:
    images, labels = sparse()
    before = np.mean([(label > 0).mean() for label in labels])
    pixels, made = compose_dense(images, labels, size_hw=(128, 160), seed=1, coverage=0.7)
    assert pixels.shape == made.shape == (128, 160)
    assert pixels.dtype == np.uint8
    assert made.dtype == np.int32
    assert before < 0.2
    assert 0.6 < (made > 0).mean() < 0.85
    np.testing.assert_array_equal(np.unique(made), np.arange(made.max() + 1))


def test_cells_touch_but_keep_their_look() -> None:
    images, labels = sparse()
    pixels, made = compose_dense(images, labels, size_hw=(160, 160), seed=2, coverage=0.6)
    beside = (made[:, 1:] > 0) & (made[:, :-1] > 0) & (made[:, 1:] != made[:, :-1])
    assert beside.sum() > 20

    def body(image: np.ndarray, label: np.ndarray) -> float:
        core = ndimage.binary_erosion(label > 0, iterations=3)
        return float(image[core].mean() / np.median(image[~ndimage.binary_dilation(label > 0, iterations=4)]))

    assert body(pixels, made) == pytest.approx(
        np.mean([body(*pair) for pair in zip(images, labels, strict=True)]), rel=0.1
    )


def test_same_seed_same_scene() -> None:
    images, labels = sparse()
    first, again, other = (compose_dense(images, labels, size_hw=(96, 96), seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_nothing_is_pasted_where_enough_is_covered() -> None:
    images, labels = sparse(1)
    pixels, made = compose_dense(images, labels, size_hw=images[0].shape, seed=0, coverage=0.0)
    np.testing.assert_allclose(pixels.astype(float), images[0], atol=1)
    np.testing.assert_array_equal(made > 0, labels[0] > 0)


def test_depth_follows_the_background_photograph() -> None:
    images, labels = sparse(2, bits=16)
    pixels, _ = compose_dense(images, labels, size_hw=(96, 96), seed=0)
    assert pixels.dtype == np.uint16


def test_bad_input_is_refused_with_words() -> None:
    images, labels = sparse()
    with pytest.raises(UsageError, match="0 images"):
        compose_dense([], [], size_hw=(96, 96), seed=0)
    with pytest.raises(UsageError, match="2 images and 1 label maps"):
        compose_dense(images, labels[:1], size_hw=(96, 96), seed=0)
    with pytest.raises(UsageError, match="not more than the largest image"):
        compose_dense(images, labels, size_hw=(400, 96), seed=0)
    with pytest.raises(AnnotationError, match="expected the same size"):
        compose_dense(images, [labels[0], labels[1][:-1]], size_hw=(96, 96), seed=0)
    with pytest.raises(UsageError, match="expected uint8 or uint16"):
        compose_dense([image / 2 for image in images], labels, size_hw=(96, 96), seed=0)
    with pytest.raises(UsageError, match="nothing can be pasted"):
        compose_dense(images, [np.zeros_like(label) for label in labels], size_hw=(96, 96), seed=0)


def test_real_cells(shared_data: Path) -> None:
    import tifffile

    paths = sorted((shared_data / "t98g" / "images").iterdir())[:2]
    images = [tifffile.imread(path)[:400, :400] for path in paths]
    masks = [shared_data / "t98g" / "masks" / f"{path.stem}.png" for path in paths]
    labels = [np.asarray(Image.open(path))[:400, :400] for path in masks]
    pixels, made = compose_dense(images, labels, size_hw=(256, 256), seed=0, coverage=0.7)
    assert pixels.dtype == np.uint16
    assert (made > 0).mean() > 0.6
    # light and contrast are those of the photographs
    assert np.median(pixels) == pytest.approx(np.median(images), rel=0.25)
    assert 0.4 < pixels.std() / np.mean([image.std() for image in images]) < 2.5


def test_a_share_of_the_scenes_is_disturbed_and_their_masks_are_not(tmp_path: Path) -> None:
    write_dataset(tmp_path / "sparse", count=2, size_hw=(128, 128), seed=1, family="spread")
    items = open_dataset(tmp_path / "sparse").items
    for name, share in (("calm", 0.0), ("some", 0.5)):
        write_composed(items, tmp_path / name, count=6, size_hw=(96, 96), seed=4, disturbed=share)
    changed = 0
    for path in sorted((tmp_path / "calm" / "images").iterdir()):
        pairs = [np.asarray(Image.open(tmp_path / name / "images" / path.name)) for name in ("calm", "some")]
        changed += not np.array_equal(*pairs)
        masks = [np.asarray(Image.open(tmp_path / name / "masks" / path.name)) for name in ("calm", "some")]
        np.testing.assert_array_equal(*masks)
    assert 1 <= changed <= 5
    with pytest.raises(UsageError, match="expected 0 to 1"):
        write_composed(items, tmp_path / "none", count=1, size_hw=(96, 96), seed=4, disturbed=1.5)
