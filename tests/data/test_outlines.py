"""Outlines of masks: filling them by the centres of the pixels gives the mask again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from matplotlib.path import Path as Curve
from scipy import ndimage

from c6seg.data.outlines import Outline, trace

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9))


def fill(outline: Outline, size_hw: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies inside an odd number of rings, by matplotlib."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    inside = np.zeros(size_hw, bool)
    for polygon in outline.polygons:
        for ring in (polygon.shell, *polygon.holes):
            inside ^= Curve(np.vstack([ring, ring[:1]])).contains_points(centres).reshape(size_hw)
    return inside


@given(masks)
def test_filled_outlines_are_the_mask(mask: np.ndarray) -> None:
    outlines = trace(mask)
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    assert len(outlines) == count
    for number, outline in enumerate(outlines, 1):
        assert np.array_equal(fill(outline, mask.shape), labels == number)
        assert outline.area_px == (labels == number).sum()


@given(masks)
def test_no_ring_touches_itself_and_holes_run_the_other_way(mask: np.ndarray) -> None:
    def twice_area(ring: np.ndarray) -> int:
        x, y = ring.T.astype(int)
        return int(x @ np.roll(y, -1) - np.roll(x, -1) @ y)

    for outline in trace(mask):
        for polygon in outline.polygons:
            assert twice_area(polygon.shell) > 0
            assert all(twice_area(hole) < 0 for hole in polygon.holes)
            for ring in (polygon.shell, *polygon.holes):
                corners = [tuple(corner) for corner in ring.tolist()]
                assert len(set(corners)) == len(corners)
                turns = np.diff(np.vstack([ring, ring[:2]]), axis=0)
                assert ((turns == 0).sum(axis=1) == 1).all(), "along the edges of pixels"
                assert not (turns[1:] * turns[:-1]).any(), "only corners"


@pytest.mark.parametrize(
    ("rows", "parts", "holes"),
    [
        (["##", "##"], [1], [0]),
        (["#.", ".#"], [2], [0]),  # by a corner only: one object of two regions
        (["###", "#.#", "###"], [1], [1]),
        ([".##", "#.#", "###"], [1], [1]),  # a ring that closes in a corner: the inner place is a hole
        (["#####", "#...#", "#.#.#", "#...#", "#####"], [1, 1], [1, 0]),  # an island in a hole
        (["...", "..."], [], []),
    ],
)
def test_objects_regions_and_holes(rows: list[str], parts: list[int], holes: list[int]) -> None:
    outlines = trace(np.array([[letter == "#" for letter in row] for row in rows]))
    assert [len(outline.polygons) for outline in outlines] == parts
    assert [sum(len(polygon.holes) for polygon in outline.polygons) for outline in outlines] == holes
    assert [outline.has_holes for outline in outlines] == [number > 0 for number in holes]


def test_corners_count_from_the_corner_of_the_first_pixel() -> None:
    mask = np.zeros((5, 7), bool)
    mask[1:3, 2:6] = True
    (outline,) = trace(mask)
    assert outline.polygons[0].shell.tolist() == [[2, 1], [6, 1], [6, 3], [2, 3]]
    assert outline.box_xyxy == (2, 1, 6, 3)
