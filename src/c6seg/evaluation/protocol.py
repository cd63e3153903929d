"""How a model is scored on images with truth: the paper's equations (2) to (4), with the resizing written out.

Equation (2) is ``DS_f(x, y, R, R2) = Dice(g(z, R2), g(y, R2))`` with ``z = f(g(x, R))``. Here:

- ``g`` of the **image** is the resizing that the network was trained with (:func:`c6seg.transforms.preprocess.resize`:
  bilinear, antialiased when shrinking).
- ``z`` is the **probability** that the network gives. It is interpolated to R2 as a probability and compared with the
  threshold after that, so that its outline is placed between pixels and not rounded twice.
- ``g`` of the probability and of the **truth** is plain bilinear interpolation between pixel centres, without
  antialiasing (torch's ``interpolate(mode="bilinear", align_corners=False)``): both are sampled at the same points.
- After ``g``, **every element of the truth that is greater than 0 becomes 1**, so that no part of an object is lost
  where it is enlarged; a predicted pixel is cell where the probability is at least the threshold.
- ``native`` for R is the image as it is, for R2 the size of the truth; ``g`` to the size at hand changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg.config import format_size
from c6seg.errors import UsageError
from c6seg.evaluation import metrics
from c6seg.evaluation.statistics import LEVEL, summarise

FloatArray = NDArray[np.float32]
Size = tuple[int, int] | None

COLUMNS = (
    "image", "input_size", "score_size", "tp", "fp", "fn", "tn", "dice", "iou", "precision", "recall",
    "boundary_f1", "hd95_px", "confluence_true", "confluence_pred",
    "band_dice", "thin_recall", "band_tp", "band_fp", "band_fn", "thin_tp", "thin_fn",
)  # fmt: skip
SUMMARISED = (
    "dice", "iou", "precision", "recall", "boundary_f1", "hd95_px", "confluence_true", "confluence_pred",
    "band_dice", "thin_recall",
)  # fmt: skip
TOLERANCE_PX = 2.0

BAND_PX = 3.0
"""Width of the band on either side of the true outline, px of the size at which is scored."""

THIN_RADIUS_PX = 3.0
"""Radius of the disc that does not fit into thin parts, px of the size at which is scored."""

NO_PIXELS = metrics.Counts(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Score:
    """One image, scored: its counts, and what cannot be computed from counts.

    Parameters
    ----------
    image
        Its name.
    input_hw, score_hw
        Sizes R and R2 of equation (2), px; None = native.
    counts
        Pixels at the size R2.
    boundary_f1, hd95_px
        Outline scores at the size R2; ``hd95_px`` is NaN where one of the masks is empty.
    band, thin
        Pixels at the size R2 along the true outline, and of the thin parts of the truth (tp and fn alone).
    """

    image: str
    input_hw: Size
    score_hw: Size
    counts: metrics.Counts
    boundary_f1: float
    hd95_px: float
    band: metrics.Counts = NO_PIXELS
    thin: metrics.Counts = NO_PIXELS

    @property
    def dice(self) -> float:
        """DS_f of equation (2)."""
        return metrics.dice(self.counts)

    def row(self) -> dict[str, Any]:
        """Return one row of the table, with :data:`COLUMNS`; unknown values are None."""
        values = {
            **self.counts._asdict(),
            "dice": self.dice,
            "iou": metrics.iou(self.counts),
            "precision": metrics.precision(self.counts),
            "recall": metrics.recall(self.counts),
            "boundary_f1": self.boundary_f1,
            "hd95_px": self.hd95_px,
            "confluence_true": metrics.confluence_true(self.counts),
            "confluence_pred": metrics.confluence_predicted(self.counts),
            "band_dice": metrics.band_dice(self.band),
            "thin_recall": metrics.thin_recall(self.thin),
            **{f"band_{name}": getattr(self.band, name) for name in ("tp", "fp", "fn")},
            **{f"thin_{name}": getattr(self.thin, name) for name in ("tp", "fn")},
        }
        known = {
            key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()
        }
        sizes = {"input_size": format_size(self.input_hw), "score_size": format_size(self.score_hw)}
        return {"image": self.image, **sizes, **known}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All images of a data set or of a part of it: those that were scored and those that could not be.

    Parameters
    ----------
    scores
        One per image that was scored.
    failures
        Name of an image and why it has no score. They are counted and listed, never left out in silence.
    """

    scores: tuple[Score, ...]
    failures: tuple[tuple[str, str], ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    def summary(self, *, level: float = LEVEL, seed: int = 0) -> dict[str, Any]:
        """Summarise for ``FILE.summary.json``: means, standard deviations and bootstrap intervals over images.

        ``dice_failures_as_0`` is the mean Dice with 0 for each image without a prediction; ``pooled`` holds the
        scores of all pixels of all images taken together.
        """
        rows = [score.row() for score in self.scores]
        table = {key: [math.nan if row[key] is None else float(row[key]) for row in rows] for key in SUMMARISED}
        error = [metrics.confluence_error(score.counts) for score in self.scores]
        table |= {"confluence_error": error, "confluence_error_absolute": [abs(value) for value in error]}
        images = len(self.scores) + len(self.failures)
        return {
            "images": images,
            "scored": len(self.scores),
            "failed": len(self.failures),
            "failures": [{"image": name, "reason": reason} for name, reason in self.failures],
            "interval": f"{level:.0%} BCa bootstrap interval of the mean over images",
            "scores": {key: summarise(values, level=level, seed=seed).as_dict() for key, values in table.items()},
            "dice_failures_as_0": sum(table["dice"]) / images if images else None,
            "pooled": _pooled(self.scores) if self.scores else None,
            **self.details,
        }


def interpolate(array: NDArray[Any], size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Interpolate bilinearly between pixel centres, without antialiasing: ``g`` for probabilities and truth.

    The positions are computed in whole numbers, so that a weight is 0 exactly where it should be.

    Parameters
    ----------
    array
        (Y, X) numbers or bool.
    size_hw
        Wanted height and width, px.

    Returns
    -------
    NDArray
        float64 of ``size_hw``.

    Raises
    ------
    UsageError
        The array is not two-dimensional, or a size is below 1.
    """
    if array.ndim != 2 or 0 in array.shape or min(size_hw) < 1:
        raise UsageError(f"Cannot interpolate from shape {array.shape} to {size_hw}; both need two sides of 1 or more.")
    values = array.astype(np.float64)
    for axis, size in enumerate(size_hw):
        if size == values.shape[axis]:
            continue
        before, after, weight = _positions(values.shape[axis], size)
        weight = weight[:, None] if axis == 0 else weight
        values = np.take(values, before, axis) * (1.0 - weight) + np.take(values, after, axis) * weight
    return values


def resize_truth(true: metrics.Mask, size_hw: Size) -> metrics.Mask:
    """Bring the truth to a size: interpolate, then every element greater than 0 becomes cell (paper, section 5)."""
    if size_hw is None or true.shape == size_hw:
        return true
    return interpolate(true, size_hw) > 0.0


def resize_prediction(probability: FloatArray, size_hw: tuple[int, int], *, threshold: float) -> metrics.Mask:
    """Bring a probability to a size, then compare it with the threshold: cell where it is at least as large."""
    if probability.shape == size_hw:
        return np.asarray(probability >= np.float32(threshold))
    # the arithmetic of the probability's own type decides ties as it does without resizing
    return np.asarray(interpolate(probability, size_hw).astype(np.float32) >= np.float32(threshold))


def score_image(
    image: str,
    probability: FloatArray,
    true: metrics.Mask,
    *,
    threshold: float,
    input_hw: Size = None,
    score_hw: Size = None,
    tolerance_px: float = TOLERANCE_PX,
) -> Score:
    """Score one prediction: the right-hand side of equation (2), and the other scores at the same size.

    Parameters
    ----------
    image
        Name, for the table.
    probability
        (Y, X) the output z of the network, at any size.
    true
        (Y, X) bool, at the size of the image.
    threshold
        From which probability on a pixel is cell.
    input_hw
        Size R at which the network saw the image, for the table; None = native.
    score_hw
        Size R2 at which is scored; None = native, the size of the truth.
    tolerance_px
        Of :func:`c6seg.evaluation.metrics.boundary_f1`, in pixels of R2.
    """
    target = score_hw or (int(true.shape[0]), int(true.shape[1]))
    predicted = resize_prediction(probability, target, threshold=threshold)
    truth = resize_truth(true, target)
    distances = metrics.boundary_distances(predicted, truth)
    return Score(
        image=image,
        input_hw=input_hw,
        score_hw=score_hw,
        counts=metrics.count(predicted, truth),
        boundary_f1=metrics.boundary_f1(distances, tolerance_px=tolerance_px),
        hd95_px=metrics.hd95_px(distances),
        band=metrics.band_counts(predicted, truth, width_px=BAND_PX),
        thin=metrics.thin_counts(predicted, truth, radius_px=THIN_RADIUS_PX),
    )


def dice_score_average(scores: Sequence[Sequence[float]]) -> float:
    """DiceScore^AV of equation (3): the mean over the N test images of each of K divisions.

    Parameters
    ----------
    scores
        K lists of N scores, each list with its own trained model.

    Raises
    ------
    UsageError
        The divisions have different numbers of images, or there is no score.

    Examples
    --------
    >>> dice_score_average([[0.8, 0.9], [0.7, 0.8]])
    0.8
    """
    lengths = sorted({len(row) for row in scores})
    if not scores or lengths[0] == 0 or len(lengths) > 1:
        raise UsageError(f"Equation (3) needs K lists of the same number N of scores; their lengths are {lengths}.")
    return math.fsum(value for row in scores for value in row) / (len(scores) * lengths[0])


def dice_loss_average(scores: Sequence[Sequence[float]]) -> float:
    """DiceLoss^AV of equation (4): 1 less :func:`dice_score_average`."""
    return 1.0 - dice_score_average(scores)


def evaluate_each(
    names: Iterable[str], score: Callable[[str], Score], *, expected: tuple[type[Exception], ...]
) -> Evaluation:
    """Score image after image and go on after one that fails.

    Parameters
    ----------
    names
        Names of all images that are to be scored.
    score
        Gives the score of an image, or raises.
    expected
        Errors that cost only their image; any other stops the evaluation.
    """
    scores: list[Score] = []
    failures: list[tuple[str, str]] = []
    for name in names:
        try:
            scores.append(score(name))
        except expected as error:
            failures.append((name, str(error)))
    return Evaluation(tuple(scores), tuple(failures))


def _positions(size: int, wanted: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Neighbours of each new pixel centre along one axis, and the weight of the second."""
    # (i + 1/2) size / wanted - 1/2, as a fraction with the divisor 2 wanted; outside the centres the border is kept
    position = np.maximum((2 * np.arange(wanted, dtype=np.int64) + 1) * size - wanted, 0)
    before = position // (2 * wanted)
    weight = (position % (2 * wanted)) / (2.0 * wanted)
    return before, np.minimum(before + 1, size - 1), weight


def _pooled(scores: Sequence[Score]) -> dict[str, float | None]:
    counts, band, thin = (
        metrics.Counts(*(sum(column) for column in zip(*parts, strict=True)))
        for parts in zip(*((score.counts, score.band, score.thin) for score in scores), strict=True)
    )
    values = {
        "dice": metrics.dice(counts),
        "iou": metrics.iou(counts),
        "precision": metrics.precision(counts),
        "recall": metrics.recall(counts),
        "band_dice": metrics.band_dice(band),
        "thin_recall": metrics.thin_recall(thin),
    }
    return {key: None if math.isnan(value) else value for key, value in values.items()}
