"""Object sizes, and the fragment size at which the objects of one data set look as large as those of another.

The paper's *random resized crop* (Fig. 5, experiment E6) cuts a fragment whose side is a part s of the image's side and
brings it to the input size. Its s* = 57 % was taken from the sizes of the images; here it comes from measured objects.
Numbers only: :mod:`c6seg.data.matching` measures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c6seg.runtime import seed_for

SMALLEST_FRAGMENT = 0.02
"""Smaller fragments show next to nothing."""

SPREAD = 0.53
"""Half width of the range of fragments about s*, as a part of s*: the paper's 57 +- 30 %, its better one (Table 4)."""


@dataclass(frozen=True, slots=True)
class ObjectSize:
    """Median equivalent diameter of the objects of a data set, px: that of the circle of their area.

    Parameters
    ----------
    median_px
        Median over all objects.
    by_image_px
        Median over the images of the median in each: where many small objects lie in few images, it is larger.
    resampled_px
        Medians of data sets whose images were drawn anew, with replacement: objects of one image are no independent
        ones.
    objects, images
        Numbers that were measured.
    """

    median_px: float
    by_image_px: float
    resampled_px: NDArray[np.float64]
    objects: int
    images: int

    @property
    def interval_px(self) -> tuple[float, float]:
        """95 % interval (percentiles of the bootstrap over images), px; of one image no width is known."""
        low, high = (float(value) for value in np.percentile(self.resampled_px, (2.5, 97.5)))
        return low, high


def measure_size(
    diameters_px: Sequence[NDArray[np.float64]], *, resamples: int = 1000, seed: int = 0
) -> ObjectSize | None:
    """Take the median over the objects of some images, with its uncertainty; None where there is no object.

    Parameters
    ----------
    diameters_px
        Equivalent diameters of the objects of each image, px.
    resamples
        Bootstrap samples.
    seed
        Of the draws; another one for each of two data sets that are compared.
    """
    found = [values for values in diameters_px if values.size]
    if not found:
        return None
    rng = np.random.default_rng(seed_for(seed, "object size"))
    draws = rng.integers(len(found), size=(resamples, len(found)))
    medians = [float(np.median(np.concatenate([found[number] for number in draw]))) for draw in draws]
    everything = np.concatenate(found)
    by_image = float(np.median([float(np.median(values)) for values in found]))
    return ObjectSize(float(np.median(everything)), by_image, np.array(medians), int(everything.size), len(found))


def matching_fraction(
    source_px: float, target_px: float, image_hw: tuple[float, float], input_hw: tuple[int, int]
) -> float:
    """Fraction s* of the image's side at which the objects of the source get the size of the target's.

    Parameters
    ----------
    source_px
        Object size in the images of the source, px.
    target_px
        Object size that the network shall see, px.
    image_hw
        Size of the source's images, px.
    input_hw
        Size of the network's input, px. Where it has not the image's shape, the geometric mean of the sides counts.

    Returns
    -------
    float
        Above 1 the fragment would be larger than the image: the objects are too large even in the whole image.

    Examples
    --------
    The paper's case: objects of the same size relative to images of 704x520 and 2592x1952, pre-training at 1472x1120.
    Its 57 % is 1472/2592, the widths alone.

    >>> round(matching_fraction(20.0, 20.0 * 2592 / 704, (520.0, 704.0), (1120, 1472)), 2)
    0.58
    """
    return source_px / target_px * math.sqrt(math.prod(input_hw) / math.prod(image_hw))


def fragment_range(fraction: float, spread: float) -> tuple[float, float]:
    """Range of fragment sides about s*: from ``fraction (1 - spread)`` to ``fraction (1 + spread)``, at most 1.

    Relative, so that objects vary by the same factor whatever s* is; 0.53 is the paper's 57 +- 30 %.

    Examples
    --------
    >>> fragment_range(0.57, 0.53)
    (0.268, 0.872)
    >>> fragment_range(0.9, 0.2)
    (0.72, 1.0)
    """
    low, high = fraction * (1 - spread), fraction * (1 + spread)
    return round(max(SMALLEST_FRAGMENT, min(1.0, low)), 3), round(max(SMALLEST_FRAGMENT, min(1.0, high)), 3)


def largest_input(input_hw: tuple[int, int], fraction: float, *, multiple: int = 32) -> tuple[int, int]:
    """Largest input of the same shape at which s* is at most 1, (height, width) px, multiples of ``multiple``.

    Examples
    --------
    >>> largest_input((1120, 1472), 1.6)
    (672, 896)
    """
    height, width = (max(multiple, int(side / fraction) // multiple * multiple) for side in input_hw)
    return height, width
