"""Touching cells told apart, for counting: an estimate from the mask, its probability and the image.

A mask says where cells are, not which. Three things speak for a border between two cells: the mask is narrow there, the
probability of cell dips there, and the image is bright there (the halo of phase contrast). Where cells overlap or none
of the three shows, they stay one object; a cell with long arms can become several. ``benchmarks/bench_objects.py``
measures both; :data:`COUNT_ERRORS` says what it found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.data.images import Frame
from c6seg.inference.clusters import cell_width_px
from c6seg.inference.parting import COMPANY, Weights, hills, join
from c6seg.inference.segmenter import Segmentation, Segmenter
from c6seg.transforms.preprocess import contrast_limits, raise_contrast, resize, to_grey

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Labels = NDArray[np.int32]

CELL_PX = 24
"""Objects are parted at the magnification at which a cell of the model's scale is so wide; none is magnified."""

SIGMA = 0.08
"""Standard deviation of the Gaussian filters for dips and ridges, in widths of a cell."""

SMOOTH = 0.05
"""The same for the distance to the background."""

CAP = 0.35
"""Distance to the background, in widths of a cell, beyond which it says little: cells are no wider."""

LEAST_P = 1e-3
"""Probabilities nearer than this to 0 and 1 are as sure as these."""

DIP, LIGHT = 2.0, 8.0
"""How much dips of the probability and bright ridges of the image lower the landscape that is parted at first."""

WEIGHTS = Weights(neck=3.5, valley=1.7, ridge=5.0, company=0.65, least_area=0.25, least=2.4)
"""Fitted on the 20 training images of ``benchmarks/embedded_split.json`` and dense scenes composed of their cells."""

SPECK = 0.17
"""Parts of the mask below this area, in areas of a cell, are no objects; they stay in the mask."""


METHOD = (
    "hills of the distance to the background, lowered where the probability dips and the image is bright; neighbours "
    "joined while neck, dip, brightness and area do not speak for two cells"
)

MEASURED_WITH = "unet-mobilenetv2 1.1.0"

COUNT_ERRORS = {
    "t98g, sparse": {"images": 10, "mean": 0.007, "mean_absolute": 0.101},
    "LIVECell, mostly dense": {"images": 13, "mean": -0.524, "mean_absolute": 0.529},
    "simulated dense cultures": {"images": 14, "mean": -0.568, "mean_absolute": 0.568},
}
"""Found over true number of cells, less 1, of that model on images that it has not seen, as
``benchmarks/bench_objects.py`` measured."""

COUNT_UNSURE = "count_unsure"
"""Flag of an image whose cells are too crowded to be counted well."""

CROWDED = 0.5
"""Share of the cell area in connected parts of more than :data:`CROWD` cells from which a count is unsure."""

CROWD = COMPANY[1]
"""Area of a connected part, in areas of a cell, above which few of the borders between its cells are found."""

NOT_COUNTED = "not_counted"
"""Flag of an image that was read by rows: its cells were not parted, although that was asked for."""


@dataclass(frozen=True, slots=True)
class ObjectFigures:
    """What is measured on the objects of an image.

    Parameters
    ----------
    count
        All objects, those that the border of the image cuts as well.
    mean_area_um2
        Mean area of the whole ones; None where the pixel size is unknown or no object is whole.
    """

    count: int
    mean_area_um2: float | None


def objects_of(frame: Frame, found: Segmentation, segmenter: Segmenter) -> Labels | None:
    """Part the mask of a segmented frame into cells, (Y, X); None where the options do not ask for it."""
    if not segmenter.config.objects:
        return None
    return find_objects(frame.pixels, found.probability, found.mask, cell_px=_cell_px(found, segmenter))


def with_doubt(found: Segmentation, segmenter: Segmenter) -> Segmentation:
    """Add the flag :data:`COUNT_UNSURE` where objects are asked for and cells are crowded."""
    if not segmenter.config.objects or crowded_share(found.mask, _cell_px(found, segmenter)) < CROWDED:
        return found
    return replace(found, flags=tuple(sorted((*found.flags, COUNT_UNSURE))))


def _cell_px(found: Segmentation, segmenter: Segmenter) -> float:
    return cell_width_px(segmenter.bundle.spec.scale, pixel_size_um=found.pixel_size_um, factor=found.scale)


def crowded_share(mask: Bools, cell_px: float) -> float:
    """Share of the cell area, 0..1, that lies in connected parts of more than :data:`CROWD` cells; 0 without cells.

    Parameters
    ----------
    mask
        (Y, X) bool, True = cell.
    cell_px
        Width of a cell, px.
    """
    areas = np.bincount(ndimage.label(mask)[0].reshape(-1))[1:]
    if not areas.size:
        return 0.0
    return float(areas[areas > CROWD * math.pi / 4 * cell_px**2].sum() / areas.sum())


def measure_objects(labels: Labels | None, pixel_size_um: float | None) -> ObjectFigures | None:
    """Count objects and take their mean area; None of None.

    Objects cut by the border of the image are counted, as people do who outline all that they see. They are not in the
    mean area, of which they show a part only. As large objects are cut more often than small ones, each whole one is
    weighted by the inverse of its chance to lie whole in the field (Miles 1974; Lantuejoul 1978).

    Parameters
    ----------
    labels
        (Y, X), 0 = no object, 1..n without gaps.
    pixel_size_um
        Edge of a pixel in um; None where nobody knows.

    Examples
    --------
    >>> measure_objects(np.array([[0, 0, 0, 0], [0, 1, 0, 2], [0, 0, 0, 2]], np.int32), 2.0)
    ObjectFigures(count=2, mean_area_um2=4.0)
    """
    if labels is None:
        return None
    height, width = labels.shape
    areas = np.bincount(labels.reshape(-1))
    total = weights = 0.0
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        if 0 in (rows.start, columns.start) or rows.stop == height or columns.stop == width:
            continue
        places = (height - 1 - (rows.stop - rows.start)) * (width - 1 - (columns.stop - columns.start))
        weight = 1 / places
        total, weights = total + weight * float(areas[number]), weights + weight
    mean = None if pixel_size_um is None or not weights else total / weights * pixel_size_um**2
    return ObjectFigures(len(areas) - 1, mean)


def without_seams(mask: Bools, labels: Labels | None) -> Bools:
    """Take the pixels along the borders between objects out of a mask, so that a picture shows where it was parted.

    Parameters
    ----------
    mask
        (Y, X) bool.
    labels
        (Y, X) its objects; None = it was not parted.
    """
    if labels is None:
        return mask
    left = mask.copy()
    for here, there in ((labels[:-1], labels[1:]), (labels[:, :-1], labels[:, 1:])):
        seam = (here > 0) & (there > 0) & (here != there)
        left[: seam.shape[0], : seam.shape[1]] &= ~seam
    return left


def about_counts() -> dict[str, Any]:
    """Say for the manifest what counts are worth."""
    return {"estimate": True, "method": METHOD, "measured_with": MEASURED_WITH, "measured_count_errors": COUNT_ERRORS}


def find_objects(
    pixels: NDArray[np.generic], probability: NDArray[np.float32], mask: Bools, *, cell_px: float
) -> Labels:
    """Part a mask into cells.

    Parameters
    ----------
    pixels
        (Y, X) or (Y, X, 3), the image.
    probability
        (Y, X) of cell, 0..1.
    mask
        (Y, X) bool, True = cell.
    cell_px
        Width of a cell in the image, px: the scale of the model. Cells of less than half this width stay joined.

    Returns
    -------
    NDArray
        int32 (Y, X); 0 = no object, objects 1..n. Parts of the mask that are too small for a cell are none.
    """
    factor = min(1.0, CELL_PX / cell_px)
    size_hw = (max(1, round(mask.shape[0] * factor)), max(1, round(mask.shape[1] * factor)))
    reduced = resize(mask.astype(np.float32), size_hw) >= 0.5
    if not reduced.any():
        return np.zeros(mask.shape, np.int32)
    grey = to_grey(pixels)
    grey = resize(raise_contrast(grey, contrast_limits(grey, (0.5, 99.5))), size_hw)
    cell = cell_px * factor
    labels = _parted(grey, resize(probability, size_hw), reduced, cell)
    return _numbered(_unjoined(_enlarged(labels, mask), mask), SPECK * math.pi / 4 * cell_px**2)


def _parted(grey: NDArray[np.float32], probability: NDArray[np.float32], mask: Bools, cell: float) -> Labels:
    sure = np.clip(probability.astype(np.float64), LEAST_P, 1 - LEAST_P)
    valley = np.maximum(_curvature(np.log(sure / (1 - sure)), SIGMA * cell)[0], 0)
    ridge = np.maximum(-_curvature(grey.astype(np.float64), SIGMA * cell)[1], 0)
    far = np.full(mask.shape, float(sum(mask.shape)))
    distance = far if mask.all() else np.asarray(ndimage.distance_transform_edt(mask), np.float64)
    distance = np.where(mask, ndimage.gaussian_filter(distance, SMOOTH * cell), 0)
    landscape = CAP * np.tanh(distance / (CAP * cell)) * np.exp(-DIP * valley - LIGHT * ridge)
    area = math.pi / 4 * cell**2
    return join(hills(landscape, mask), distance, valley, ridge, cell_area=area, weights=WEIGHTS)


def _curvature(picture: Floats, sigma: float) -> tuple[Floats, Floats]:
    """Give the larger and the smaller eigenvalue of the Hessian, times sigma squared."""
    across, down, mixed = (ndimage.gaussian_filter(picture, sigma, order=order) for order in ((0, 2), (2, 0), (1, 1)))
    mean, spread = (across + down) / 2, np.hypot((across - down) / 2, mixed)
    return sigma**2 * (mean + spread), sigma**2 * (mean - spread)


def _enlarged(labels: Labels, mask: Bools) -> Labels:
    """Bring objects to the size of the mask, whose pixels at their rims they take, too."""
    height, width = mask.shape
    rows = np.minimum((np.arange(height) + 0.5) * labels.shape[0] / height, labels.shape[0] - 1).astype(np.intp)
    columns = np.minimum((np.arange(width) + 0.5) * labels.shape[1] / width, labels.shape[1] - 1).astype(np.intp)
    large = np.where(mask, labels[rows[:, None], columns], 0)
    for _ in range(math.ceil(height / labels.shape[0]) + 1):  # no further: what vanished on the way is no object
        bare = mask & (large == 0)
        large[bare] = ndimage.maximum_filter(large, 3)[bare]
    return np.asarray(large, np.int32)


def _unjoined(labels: Labels, mask: Bools) -> Labels:
    """Part objects at gaps of the mask that are too narrow to be seen at the reduced size."""
    parts, count = ndimage.label(mask, structure=np.ones((3, 3)))
    numbers = np.arange(1, int(labels.max()) + 1)
    if np.array_equal(ndimage.minimum(parts, labels, numbers), ndimage.maximum(parts, labels, numbers)):
        return labels
    pairs = np.where(labels > 0, labels.astype(np.int64) * (count + 1) + parts, 0)
    _, numbered = np.unique(np.append(pairs.reshape(-1), 0), return_inverse=True)
    return np.asarray(numbered[:-1].reshape(labels.shape), np.int32)


def _numbered(labels: Labels, least_px: float) -> Labels:
    """Drop what is too small and number the others anew."""
    areas = np.bincount(labels.reshape(-1))
    kept = areas >= least_px
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0)
    return np.asarray(numbers[labels], np.int32)
