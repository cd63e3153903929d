from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from c6seg.inference.overlay import CLUSTER_RGB, OUTLINE_RGB, overlay, write_overlay


def test_the_line_lies_just_outside_the_mask() -> None:
    mask = np.zeros((40, 50), bool)
    mask[10:20, 12:30] = True
    mask[25, 5:45] = True  # a process one pixel wide
    pixels = np.tile(np.linspace(0, 4000, 50).astype(np.uint16), (40, 1))
    picture = overlay(pixels, mask)
    assert picture.shape == (40, 50, 3)
    assert picture.dtype == np.uint8
    line = (picture == OUTLINE_RGB).all(axis=2)
    assert not (line & mask).any()
    assert line[9, 12:30].all()
    assert line[24, 5:45].all()
    assert not line[9, 40]
    outside = ~line & ~mask
    np.testing.assert_array_equal(picture[outside][:, 0], picture[outside][:, 2])  # grey stays grey


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (7, 9, 3)])
def test_any_image_has_an_overlay(shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.zeros(shape, np.uint8)
    write_overlay(tmp_path / "o.jpg", pixels, np.ones(shape[:2], bool))
    with Image.open(tmp_path / "o.jpg") as image:
        assert image.size == (shape[1], shape[0])


def test_a_large_picture_is_reduced() -> None:
    picture = overlay(np.zeros((300, 1000), np.uint8), np.ones((300, 1000), bool), max_side_px=200)
    assert picture.shape == (60, 200, 3)


def test_clusters_have_a_colour_of_their_own() -> None:
    cells, clusters = np.zeros((60, 60), bool), np.zeros((60, 60), bool)
    cells[10:20, 10:20] = True
    clusters[35:50, 35:50] = True
    picture = overlay(np.zeros((60, 60), np.uint8), cells, clusters)
    assert (picture[9, 10:20] == OUTLINE_RGB).all()
    assert (picture[34, 35:50] == CLUSTER_RGB).all()
    np.testing.assert_array_equal(overlay(np.zeros((60, 60), np.uint8), cells)[:30, :30], picture[:30, :30])
