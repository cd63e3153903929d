"""Scores of a mask against the truth: pure functions on counts and on boundary distances.

Counts and distances are taken once per image and kept; every score is a function of them, so that any aggregation can
be recomputed later. What a score is when there is nothing to score is a parameter of that score.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.errors import UsageError

Mask = NDArray[np.bool_]


class Counts(NamedTuple):
    """Pixels of one comparison: true and false positives, false and true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def total(self) -> int:
        """All pixels that were compared."""
        return self.tp + self.fp + self.fn + self.tn

    def plus(self, other: Counts) -> Counts:
        """Add the counts of another image (for scores pooled over images)."""
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class BoundaryDistances(NamedTuple):
    """Distances between two outlines, px.

    Parameters
    ----------
    predicted_to_true_px
        (P,) for each outline pixel of the prediction, the distance to the nearest one of the truth; ``inf`` if the
        truth is empty.
    true_to_predicted_px
        (Q,) the same the other way round.
    """

    predicted_to_true_px: NDArray[np.float64]
    true_to_predicted_px: NDArray[np.float64]


def count(predicted: Mask, true: Mask) -> Counts:
    """Count the pixels of a predicted mask against the true one.

    Parameters
    ----------
    predicted, true
        (Y, X) bool, True = cell.

    Raises
    ------
    UsageError
        The masks differ in shape or are not bool.

    Examples
    --------
    >>> count(np.array([[True, True, False]]), np.array([[True, False, False]]))
    Counts(tp=1, fp=1, fn=0, tn=1)
    """
    _check(predicted, true)
    tp = int(np.count_nonzero(predicted & true))
    fp = int(np.count_nonzero(predicted)) - tp
    fn = int(np.count_nonzero(true)) - tp
    return Counts(tp, fp, fn, int(predicted.size) - tp - fp - fn)


def dice(counts: Counts, *, empty: float = 1.0) -> float:
    """Dice score 2 |A and B| / (|A| + |B|): equation (1) of the paper.

    Parameters
    ----------
    counts
        Pixels of one image, or pooled over images.
    empty
        The score of nothing against nothing. The default 1 calls it a perfect answer.

    Examples
    --------
    >>> dice(Counts(tp=3, fp=1, fn=1, tn=5))
    0.75
    """
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn, empty)


def iou(counts: Counts, *, empty: float = 1.0) -> float:
    """Intersection over union (Jaccard index); ``empty`` is the score of nothing against nothing."""
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn, empty)


def precision(counts: Counts, *, empty: float = math.nan) -> float:
    """Fraction of the predicted area that is cell; ``empty`` (default: unknown) where nothing was predicted."""
    return _ratio(counts.tp, counts.tp + counts.fp, empty)


def recall(counts: Counts, *, empty: float = math.nan) -> float:
    """Fraction of the true area that was found; ``empty`` (default: unknown) where there is no cell."""
    return _ratio(counts.tp, counts.tp + counts.fn, empty)


def confluence_true(counts: Counts) -> float:
    """Fraction of the image that is cell, 0 to 1."""
    return _ratio(counts.tp + counts.fn, counts.total, math.nan)


def confluence_predicted(counts: Counts) -> float:
    """Fraction of the image that was marked as cell, 0 to 1."""
    return _ratio(counts.tp + counts.fp, counts.total, math.nan)


def confluence_error(counts: Counts) -> float:
    """Predicted less true confluence, -1 to 1; positive = too much marked."""
    return _ratio(counts.fp - counts.fn, counts.total, math.nan)


def outline(mask: Mask) -> Mask:
    """Pixels of a mask that touch the background by an edge; beyond the frame of the image is background.

    Every mask that is not empty has an outline, a mask that fills the image too.
    """
    eroded: Mask = ndimage.binary_erosion(mask, border_value=0)
    return mask & ~eroded


def boundary_distances(predicted: Mask, true: Mask) -> BoundaryDistances:
    """Measure how far apart two outlines lie, in both directions (Euclidean, between pixel centres).

    Parameters
    ----------
    predicted, true
        (Y, X) bool, True = cell.

    Raises
    ------
    UsageError
        The masks differ in shape or are not bool.
    """
    _check(predicted, true)
    ours, theirs = outline(predicted), outline(true)
    return BoundaryDistances(_distances(ours, theirs), _distances(theirs, ours))


def boundary_f1(distances: BoundaryDistances, *, tolerance_px: float = 2.0, empty: float = 1.0) -> float:
    """Agreement of two outlines within a tolerance: the harmonic mean of boundary precision and boundary recall.

    Boundary precision is the fraction of predicted outline pixels that lie within ``tolerance_px`` of the true
    outline, boundary recall the same the other way round (Csurka et al., BMVC 2013).

    Parameters
    ----------
    distances
        From :func:`boundary_distances`.
    tolerance_px
        Largest distance that counts as a hit, in pixels of the size at which is scored; the bound is included.
    empty
        The score of nothing against nothing. Something against nothing is 0.
    """
    there, back = distances
    if there.size == 0 and back.size == 0:
        return empty
    if there.size == 0 or back.size == 0:
        return 0.0
    hit, found = float(np.mean(there <= tolerance_px)), float(np.mean(back <= tolerance_px))
    return _ratio(2 * hit * found, hit + found, 0.0)


def hd95_px(distances: BoundaryDistances, *, empty: float = 0.0, one_empty: float = math.nan) -> float:
    """95th percentile of the Hausdorff distance, px: the larger of the two directed 95th percentiles.

    Parameters
    ----------
    distances
        From :func:`boundary_distances`.
    empty
        The distance of nothing from nothing.
    one_empty
        The distance of something from nothing (default: unknown; it has no finite value).
    """
    there, back = distances
    if there.size == 0 and back.size == 0:
        return empty
    if there.size == 0 or back.size == 0:
        return one_empty
    return max(float(np.percentile(there, 95)), float(np.percentile(back, 95)))


def band_counts(predicted: Mask, true: Mask, *, width_px: float = 3.0) -> Counts:
    """Count the pixels along the true outline only: those within a distance of the other side of it.

    The interior of large cells, which every mask finds, then counts for nothing. The frame of the image is no outline
    here, so that cells which it cuts are not scored along the cut.

    Parameters
    ----------
    predicted, true
        (Y, X) bool, True = cell.
    width_px
        Largest distance, px, of a cell's pixel to the nearest background and of background to the nearest cell; the
        bound is included. With 3, the band is three pixels wide on either side.

    Raises
    ------
    UsageError
        The masks differ in shape or are not bool.
    """
    _check(predicted, true)
    if not true.any() or true.all():
        return Counts(0, 0, 0, 0)
    inside, outside = ndimage.distance_transform_edt(true), ndimage.distance_transform_edt(~true)
    band = np.asarray(np.maximum(inside, outside) <= width_px)
    return count(predicted[band], true[band])


def band_dice(counts: Counts, *, empty: float = math.nan) -> float:
    """Dice along the true outline, from :func:`band_counts`; ``empty`` (default: unknown) where there is no outline."""
    return dice(counts, empty=empty) if counts.total else empty


def thin_parts(mask: Mask, *, radius_px: float = 3.0) -> Mask:
    """Pixels of a mask that an opening with a disc removes: processes, and corners sharper than the disc.

    Parameters
    ----------
    mask
        (Y, X) bool, True = cell; beyond the frame of the image it goes on as at the frame.
    radius_px
        Of the disc: the offsets of this length or less. 3 px removes what is narrower than 7 px, which is 6.1 um at
        0.87 um per px.
    """
    pad = math.ceil(radius_px) + 1
    padded = np.pad(mask, pad, mode="edge")
    if padded.all() or not padded.any():
        return np.zeros_like(mask)
    core = ndimage.distance_transform_edt(padded) > radius_px
    if not core.any():
        return mask.copy()
    opened = np.asarray(ndimage.distance_transform_edt(~core) <= radius_px)
    return np.asarray(mask & ~opened[pad:-pad, pad:-pad])


def thin_counts(predicted: Mask, true: Mask, *, radius_px: float = 3.0) -> Counts:
    """Count which pixels of the thin parts of the truth were found (tp) and missed (fn); see :func:`thin_parts`.

    Raises
    ------
    UsageError
        The masks differ in shape or are not bool.
    """
    _check(predicted, true)
    thin = thin_parts(true, radius_px=radius_px)
    return count(predicted[thin], true[thin])


def thin_recall(counts: Counts, *, empty: float = math.nan) -> float:
    """Found fraction of the thin parts, from :func:`thin_counts`; ``empty`` (default: unknown) where there are none."""
    return recall(counts, empty=empty)


def _distances(start: Mask, goal: Mask) -> NDArray[np.float64]:
    if not start.any():
        return np.empty(0, dtype=np.float64)
    if not goal.any():
        return np.full(int(np.count_nonzero(start)), np.inf)
    rows, columns = (np.flatnonzero((start | goal).any(axis=axis)) for axis in (1, 0))
    box = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    field: NDArray[np.float64] = ndimage.distance_transform_edt(~goal[box])
    return field[start[box]]


def _ratio(part: float, whole: float, empty: float) -> float:
    return part / whole if whole else empty


def _check(predicted: Mask, true: Mask) -> None:
    if predicted.shape != true.shape:
        raise UsageError(
            f"The predicted mask has shape {predicted.shape}, the true one {true.shape}; they must be equal. "
            "Bring both to the size at which you score first."
        )
    if predicted.dtype != np.bool_ or true.dtype != np.bool_:
        raise UsageError(f"Masks must be bool, not {predicted.dtype} and {true.dtype}. Threshold them first.")
