"""A mask to the outlines of its objects, along the edges of the pixels, with holes: nothing is smoothed or lost.

Corners are whole numbers in px; (0, 0) is the corner of the first pixel, not its centre. Filling the outlines by the
centres of the pixels gives the mask again, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Outline", "Polygon", "trace", "trace_objects"]

Ring = NDArray[np.int32]
"""(N, 2) corners x, y in px; the last one is not the first one again."""

# Directions of an edge of a pixel and their steps (x, y); cell lies on the right hand.
_RIGHT, _DOWN, _LEFT, _UP = range(4)
_STEPS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)], np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """A connected region with its holes.

    Parameters
    ----------
    shell
        Outer ring, clockwise as seen on the screen.
    holes
        Rings of the holes, the other way round. Rings may touch in a corner; none touches itself.
    """

    shell: Ring
    holes: tuple[Ring, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """One object: pixels that touch by an edge or a corner.

    Parameters
    ----------
    polygons
        Its regions; more than one where they hang together by corners only.
    area_px
        Number of its pixels.
    """

    polygons: tuple[Polygon, ...]
    area_px: int

    @property
    def box_xyxy(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom, px."""
        corners = np.concatenate([polygon.shell for polygon in self.polygons])
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        return int(left), int(top), int(right), int(bottom)

    @property
    def has_holes(self) -> bool:
        """Whether any of its regions has a hole."""
        return any(polygon.holes for polygon in self.polygons)


def trace(mask: NDArray[np.bool_]) -> list[Outline]:
    """Outline the objects of a mask, (Y, X) bool; objects are its connected parts (8 neighbours), from the top.

    Examples
    --------
    >>> (outline,) = trace(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool))
    >>> sorted(outline.polygons[0].shell.tolist())
    [[0, 0], [0, 3], [3, 0], [3, 3]]
    >>> sorted(outline.polygons[0].holes[0].tolist())
    [[1, 1], [1, 2], [2, 1], [2, 2]]
    """
    from scipy import ndimage

    regions, count = ndimage.label(mask)
    if not count:
        return []
    objects, number = ndimage.label(mask, structure=np.ones((3, 3)))
    shells: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for ring, region in _rings(np.asarray(regions, np.int32)):
        if _twice_area(ring) > 0:
            shells[region] = ring
        else:
            holes.setdefault(region, []).append(ring)
    # a region lies in one object: that of its first pixel
    flat = regions.reshape(-1)
    _, first = np.unique(flat, return_index=True)
    first = first[1:] if flat.min() == 0 else first
    members: list[list[Polygon]] = [[] for _ in range(number)]
    for region, place in enumerate(first, 1):
        polygon = Polygon(shells[region], tuple(holes.get(region, ())))
        members[int(objects.flat[place]) - 1].append(polygon)
    areas = np.bincount(objects.reshape(-1), minlength=number + 1)[1:]
    return [Outline(tuple(polygons), int(area)) for polygons, area in zip(members, areas, strict=True)]


def trace_objects(labels: NDArray[np.generic]) -> list[Outline]:
    """Outline numbered objects, (Y, X), 0 = background, in the order of their numbers; those that touch stay apart.

    Examples
    --------
    >>> [outline.box_xyxy for outline in trace_objects(np.array([[1, 1, 2]]))]
    [(0, 0, 2, 1), (2, 0, 3, 1)]
    """
    from scipy import ndimage

    found = []
    boxes: list[Any] = ndimage.find_objects(np.asarray(labels, np.int32))
    for number, box in enumerate(boxes, 1):
        if box is None:  # a number that is not used
            continue
        parts = trace(np.asarray(labels[box] == number))
        corner = np.array([box[1].start, box[0].start], np.int32)
        polygons = [
            Polygon(polygon.shell + corner, tuple(hole + corner for hole in polygon.holes))
            for part in parts
            for polygon in part.polygons
        ]
        found.append(Outline(tuple(polygons), sum(part.area_px for part in parts)))
    return found


def _rings(regions: NDArray[np.int32]) -> list[tuple[Ring, int]]:
    """Every ring of every region (label map, 4 neighbours) with the number of the region."""
    padded = np.pad(regions, 1)
    starts, ways, owners = _edges(padded)
    following = _following(padded, starts, ways)
    turns = ways[following] != ways  # only where the direction changes is a corner
    width = padded.shape[1]
    after, corner = following.tolist(), turns.tolist()
    seen = bytearray(len(after))
    found = []
    for begin in range(len(after)):
        if seen[begin]:
            continue
        ring, edge = [], begin
        while not seen[edge]:
            seen[edge] = 1
            if corner[edge]:
                ring.append(after[edge])
            edge = after[edge]
        # the corner of the padded map at row r and column c is the corner (c - 1, r - 1) of the image
        places = starts[ring]
        corners = np.stack([places % width - 1, places // width - 1], axis=1).astype(np.int32)
        found.append((np.roll(corners, 1, axis=0), int(owners[begin])))
    return found


def _edges(padded: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.int32]]:
    """Edges between cell and background: corner where each begins (index into the map), direction, region."""
    width = padded.shape[1]
    cell = padded > 0
    parts = []
    for way, cells, shift in (
        (_RIGHT, cell[1:] & ~cell[:-1], (1, 0, 0)),  # along the top of the pixel
        (_LEFT, cell[:-1] & ~cell[1:], (0, 1, 1)),  # along the bottom, back
        (_DOWN, cell[:, :-1] & ~cell[:, 1:], (0, 0, 1)),  # down on the right side
        (_UP, cell[:, 1:] & ~cell[:, :-1], (0, 1, 0)),  # up on the left side
    ):
        rows, columns = np.nonzero(cells)
        rows = rows + (shift[0] if way in {_RIGHT, _LEFT} else 0)
        columns = columns + (1 if way == _UP else 0)
        down, right = {_RIGHT: (0, 0), _DOWN: (0, 1), _LEFT: (1, 1), _UP: (1, 0)}[way]
        places = (rows + down) * width + columns + right
        parts.append((places, np.full(len(places), way, np.int8), padded[rows, columns]))
    starts, ways, owners = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return starts.astype(np.int64), ways, owners


def _following(padded: NDArray[np.int32], starts: NDArray[np.int64], ways: NDArray[np.int8]) -> NDArray[np.int64]:
    """Index of the edge that follows each edge on its ring.

    Where two pixels of cell meet in a corner, two edges arrive and two leave. If both pixels are of one region, a ring
    passes there twice, and goes over to the other pixel: the background that it encloses becomes a hole, and no ring
    touches itself. Otherwise it stays with its pixel.
    """
    height, width = padded.shape
    leaving = np.full((4, height * width), -1, np.int64)
    leaving[ways, starts] = np.arange(len(starts))
    steps = np.array([1, width, -1, -width])
    ends = starts + steps[ways]
    flat = padded.reshape(-1)
    # the four pixels around a corner: those before it in the row and in the column, and itself
    one, other = flat[ends - width - 1], flat[ends]
    two, fourth = flat[ends - width], flat[ends - 1]
    joined = np.where(one > 0, one == other, two == fourth)
    right, left = leaving[(ways + 1) % 4, ends], leaving[(ways + 3) % 4, ends]
    ahead = leaving[ways, ends]
    both = (right >= 0) & (left >= 0)
    turned = np.where(both, np.where(joined, left, right), np.maximum(right, left))
    return np.asarray(np.where(ahead >= 0, ahead, turned), np.int64)


def _twice_area(ring: Ring) -> int:
    x, y = ring[:, 0].astype(np.int64), ring[:, 1].astype(np.int64)
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
