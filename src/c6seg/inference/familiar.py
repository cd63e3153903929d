"""Is an image like those that trained the model? A distance in seven measures, and what it is among those themselves.

Three measures say how the energy of the image is spread over sizes, four how the network answers: how wide its
undecided rims are, how long they are beside the cells, how sure it is of cells and of the rest. Each alone may be odd
in a good image; what counts is the Mahalanobis distance to the images of the training, with a covariance shrunk to its
diagonal (Ledoit and Wolf, J Multivariate Anal 88 (2004) 365, with a fixed weight). ``benchmarks/bench_unlike.py``
measures hits and false alarms, also those of measures that were left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from c6seg.errors import UsageError
from c6seg.inference.fine_structure import FineStructure
from c6seg.models.bundle_spec import Familiar

Floats = NDArray[np.float64]

MEASURES = (
    "fine_energy",
    "middle_energy",
    "coarse_energy",
    "undecided_width",
    "rim_of_cells",
    "surety_of_cells",
    "surety_of_rest",
)

UNDECIDED = (0.1, 0.9)
"""Probabilities between which the network has not decided."""

SHRUNK = 0.2
"""Weight of the diagonal in the covariance."""

LEAST_SPREAD = 0.02
"""Standard deviation below which a measure counts as constant and gets this one."""

QUANTILE = 0.99
"""Part of the training images, each left out in turn, that lie below the threshold."""

MIN_IMAGES = 10
"""Images that it takes to say what is familiar; with fewer, nothing is unlike them."""


class Answer:
    """What the network says about an image, counted in rows that arrive from top to bottom.

    Parameters
    ----------
    threshold
        Probability from which a pixel is cell.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._pixels = self._cells = self._undecided = self._steps = 0
        self._sure = [0.0, 0.0]
        self._last: NDArray[np.bool_] | None = None

    def add(self, probability: NDArray[np.float32]) -> None:
        """Take the next rows, (rows, X), 0..1."""
        cell = probability >= self._threshold
        self._pixels += cell.size
        self._cells += int(np.count_nonzero(cell))
        low, high = UNDECIDED
        self._undecided += int(np.count_nonzero((probability > low) & (probability < high)))
        self._steps += int(np.count_nonzero(cell[1:] != cell[:-1]) + np.count_nonzero(cell[:, 1:] != cell[:, :-1]))
        if self._last is not None:
            self._steps += int(np.count_nonzero(cell[0] != self._last))
        self._last = cell[-1]
        total = float(probability.sum(dtype=np.float64))
        of_cells = float(probability.sum(dtype=np.float64, where=cell))
        self._sure[0] += of_cells
        self._sure[1] += total - of_cells

    def measures(self, factor: float) -> list[float] | None:
        """Give the last four of :data:`MEASURES`; None where all is cell or nothing is.

        Parameters
        ----------
        factor
            Magnification that brought the image to the scale of the model; lengths are in its px.
        """
        rest = self._pixels - self._cells
        if not self._cells or not rest:
            return None
        undecided, rims = self._undecided / self._pixels, self._steps / self._pixels / factor
        least = min(self._cells, rest) / self._pixels
        return [
            float(np.log10((undecided + 1e-3) / (rims + 1e-3))),
            float(np.log10((rims + 1e-3) / (least + 1e-2))),
            self._sure[0] / self._cells,
            self._sure[1] / rest,
        ]


def describe(structure: FineStructure, answer: Answer, factor: float) -> Floats | None:
    """Take the measures of an image; None where it is too plain to have them.

    Parameters
    ----------
    structure
        Of the image at ``factor``.
    answer
        All rows of its probability.
    factor
        Magnification that brought it to the scale of the model.
    """
    answered = answer.measures(factor)
    if answered is None:
        return None
    energy = structure.energy.mean(axis=1).astype(np.float64)
    if energy.min() <= 0:
        return None
    return np.array([*np.log10(energy[:3] / energy[3]), *answered])


def learn(measured: Sequence[Floats], *, data: Sequence[str] = ()) -> Familiar:
    """Say what is familiar from the measures of training images.

    Parameters
    ----------
    measured
        As :func:`describe` gives them, one for each image.
    data
        Names of the data sets.

    Raises
    ------
    UsageError
        Fewer than :data:`MIN_IMAGES`.
    """
    if len(measured) < MIN_IMAGES:
        raise UsageError(
            f"{len(measured)} images with cells are too few to say what is familiar to a model; at least {MIN_IMAGES} "
            "are needed. Name more of the images that trained it."
        )
    found = np.stack(measured)
    left_out = [_distance(one, *_centre(np.delete(found, number, axis=0))) for number, one in enumerate(found)]
    centre, whitening = _centre(found)
    return Familiar(
        measures=MEASURES,
        centre=tuple(round(float(value), 6) for value in centre),
        whitening=tuple(tuple(round(float(value), 6) for value in row) for row in whitening),
        threshold=round(float(np.quantile(left_out, QUANTILE)), 4),
        images=len(found),
        data=tuple(data),
    )


def distance(familiar: Familiar, measured: Floats) -> float | None:
    """Distance of an image from those of the training; 1 is usual. None where the measures are of another version."""
    if familiar.measures != MEASURES:
        return None
    return _distance(measured, np.array(familiar.centre), np.array(familiar.whitening))


def _centre(found: Floats) -> tuple[Floats, Floats]:
    """Mean, and the matrix that makes deviations from it uncorrelated and of variance 1."""
    mean = found.mean(axis=0)
    spread = np.maximum(found.std(axis=0), LEAST_SPREAD)
    alike = np.cov(((found - mean) / spread).T)
    shrunk = (1 - SHRUNK) * alike + SHRUNK * np.eye(len(mean))
    return mean, np.linalg.cholesky(np.linalg.inv(shrunk)).T / spread


def _distance(one: Floats, centre: Floats, whitening: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(whitening @ (one - centre)))))
