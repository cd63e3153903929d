"""Areas of pixels: opened, widened, taken apart, moved.

All lengths are half edges of squares, because filters with squares cost the same at every size. A straight front stays
where it is under such a filter, whatever its direction.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
# Fronts are straight where they leave their chord by less than this part of it (standard deviation).
STRAIGHT = 0.12


def opened(area: Bools, half_px: int) -> Bools:
    """Return the part of an area that squares of ``2 half_px + 1`` fit into; the image goes on beyond its edge.

    Applied to the ground without cells it closes the gaps between neighbouring cells.
    """
    from scipy import ndimage

    values = area.astype(np.uint8)
    for axis in (0, 1):
        values = ndimage.minimum_filter1d(values, 2 * half_px + 1, axis=axis, mode="constant", cval=1)
    return _widened(values, half_px)


def widened(area: Bools, half_px: int) -> Bools:
    """Return an area and all within ``half_px`` of it, along rows and columns."""
    return _widened(area.astype(np.uint8), half_px)


def without_small(area: Bools, least_px: float) -> Bools:
    """Return the connected parts of an area (8 neighbours) that have ``least_px`` or more."""
    labels, sizes = parts(area)
    kept = sizes >= least_px
    kept[0] = False
    return np.asarray(kept[labels])


def parts(area: Bools) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the connected parts (8 neighbours) as labels from 1, and the size of each label in px."""
    from scipy import ndimage

    found, _ = ndimage.label(area, structure=np.ones((3, 3)))
    labels = np.asarray(found, dtype=np.int32)
    return labels, np.asarray(np.bincount(labels.ravel()), dtype=np.int64)


def shifted(area: Bools, shift_yx: tuple[int, int]) -> Bools:
    """Move an area; what comes in at the edge is False."""
    if shift_yx == (0, 0):
        return area
    moved = np.zeros_like(area)
    source, target = [], []
    for step, size in zip(shift_yx, area.shape, strict=True):
        source.append(slice(max(0, -step), max(0, size - max(0, step))))
        target.append(slice(max(0, step), max(0, size - max(0, -step))))
    moved[tuple(target)] = area[tuple(source)]
    return moved


def centre_yx(area: Bools) -> NDArray[np.float64]:
    """Return the centre of an area that is not empty, px."""
    total = np.count_nonzero(area)
    return np.array([np.count_nonzero(area, axis=1 - axis) @ np.arange(area.shape[axis]) / total for axis in (0, 1)])


def hull_area_px(area: Bools) -> float:
    """Return the area of the convex hull, with whole pixels, so that a rectangle fills its own; 0 for an empty area."""
    from scipy.spatial import ConvexHull

    if not area.any():
        return 0.0
    rows = np.flatnonzero(area.any(axis=1))
    first, last = area.argmax(axis=1)[rows], area.shape[1] - 1 - area[:, ::-1].argmax(axis=1)[rows]
    ends = np.concatenate([np.column_stack([rows, first]), np.column_stack([rows, last + 1])])
    return float(ConvexHull(np.concatenate([ends, ends + np.array([1, 0])])).volume)


def straight(fronts: list[NDArray[np.int64]]) -> tuple[tuple[float, ...], tuple[float, float] | None]:
    """Return the length of each front from end to end and their common direction; nothing where one is bent."""
    lengths: list[float] = []
    directions: list[NDArray[np.float64]] = []
    for points in fronts:
        centred = points - points.mean(axis=0)
        _, spread, axes = np.linalg.svd(centred, full_matrices=False)
        length = float(np.ptp(centred @ axes[0])) + 1
        if spread[1] / math.sqrt(len(points)) > STRAIGHT * length:
            return (), None
        lengths.append(length)
        directions.append(axes[0] if axes[0] @ (directions or axes)[0] >= 0 else -axes[0])
    mean = np.sum(directions, axis=0)
    mean = mean / np.linalg.norm(mean)
    return tuple(lengths), (float(mean[0]), float(mean[1]))


def _widened(values: NDArray[Any], half_px: int) -> Bools:
    from scipy import ndimage

    for axis in (0, 1):
        values = ndimage.maximum_filter1d(values, 2 * half_px + 1, axis=axis, mode="constant", cval=0)
    return np.asarray(values, dtype=np.bool_)
