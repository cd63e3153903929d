"""To the scale of the model: by pixel size, or by the magnification at which the network is surest of its cells.

A network knows cells of the size it was trained on (Ilyukhin et al. 2025, experiment E4). Shown at other sizes, it
still marks something, but with probabilities nearer to the threshold. So the mean probability inside the mask, over a
range of magnifications, has its maximum where the cells have the size that the network knows. No part of this is
trained, so it serves every bundle. ``benchmarks/bench_scale.py`` compares it with no estimate and with the best of all
magnifications.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from c6seg.config import SegmentConfig
from c6seg.models.bundle_spec import ScaleSpec
from c6seg.transforms.preprocess import resize

Floats = NDArray[np.float32]

SAME_SCALE = 0.05
"""An image whose pixel size is within this relative distance of the model's is not resampled."""

SCALE_LIMITS = (0.2, 5.0)
"""Resampling factors are kept within this range; beyond it the flag ``scale_extreme`` is set."""

FAST_PX = 704 * 512
"""Pixels that the network sees at most with ``fast``: the lowest resolution of the paper (section 3)."""

ScaleSource = Literal["user", "file", "estimated", "unknown"]

FACTORS = (0.4, 0.5, 0.63, 0.8, 1.0, 1.26, 1.6, 2.0, 2.5)
"""Magnifications that are tried: ten to a decade."""

NETWORK_PX = 640
"""Side of the part, in the middle of the image, that the network sees at each of them, px."""

WINDOW_PX = 1600
"""Side of the middle of an image that this takes at most, px: what the smallest magnification needs."""

ALIKE = 0.01
"""Surety may differ by so much between magnifications that serve equally well; where all of them do, 1 is kept."""

CHARGE = 0.007
"""Surety that each doubling must bring: a network is a little surer of what is enlarged, as the inner parts of cells
grow and their rims do not. Chosen on t98g and LIVECell with the embedded model; 0.006 to 0.009 serve as well."""

FEWEST = 0.003
"""Part of the picture that must be cell for its surety to count; a speck may be sure."""


SURE = 0.84
"""A network that is nowhere surer of cells than this sees none: it makes some of the texture of an empty field.
Measured: 25 real images, at their best magnification, 0.85 to 0.995; 10 simulated fields without cells up to 0.84."""


@dataclass(frozen=True, slots=True)
class FoundScale:
    """An estimate of the magnification that brings an image to the scale of a network.

    Parameters
    ----------
    factor
        The estimate.
    lower, upper
        Least and largest magnification at which the network is about as sure.
    """

    factor: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Scaling:
    """At which size the network sees an image, and why.

    Parameters
    ----------
    pixel_size_um
        Edge of a pixel of the image in um; None where nobody knows.
    source
        Who said so; ``estimated``: nobody, and ``factor`` was found from the image.
    network_hw
        Height and width that the network sees, px, before padding.
    factor
        Magnification that brings the image to the scale of the model; 1 = none. With ``fast``, and where an estimate
        would make the picture larger than ``max_pixels``, the network sees it smaller than that.
    flags
        ``scale_unknown``, ``scale_extreme``.
    between
        Least and largest magnification that would serve as well; None where nobody knows.
    """

    pixel_size_um: float | None
    source: ScaleSource
    network_hw: tuple[int, int]
    factor: float
    flags: tuple[str, ...]
    between: tuple[float, float] | None = None


def decide_scale(
    trained: ScaleSpec,
    config: SegmentConfig,
    size_hw: tuple[int, int],
    pixel_size_um: float | None,
    found: FoundScale | None = None,
) -> Scaling:
    """Decide at which size the network sees an image.

    Parameters
    ----------
    trained
        The scale of the model.
    config
        Options.
    size_hw
        Height and width of the image, px.
    pixel_size_um
        What the file says, um; the user's word, in the options, wins.
    found
        What the image itself says, where no pixel size tells; None = nothing.
    """
    source: ScaleSource = "unknown" if pixel_size_um is None else "file"
    if config.pixel_size_um is not None:
        pixel_size_um, source = config.pixel_size_um, "user"
    factor, words = _factor(trained, config, pixel_size_um)
    whole = trained.whole_image
    if whole is not None and config.scale != "native" and not (pixel_size_um is not None and trained.pixel_size_um):
        # without pixel sizes, a model that was trained on whole images scaled to one size gets them at that size
        factor = math.sqrt(math.prod(whole) / math.prod(size_hw))
        return Scaling(pixel_size_um, source, whole, factor, tuple(words))
    between = None
    if found is not None:
        source, factor, between = "estimated", found.factor, (found.lower, found.upper)
    seen = factor
    if config.fast:
        seen = min(seen, math.sqrt(FAST_PX / math.prod(size_hw)))
    if found is not None:  # an estimate is no reason to refuse an image
        seen = min(seen, max(1.0, math.sqrt(config.max_pixels / math.prod(size_hw))))
    network_hw = (max(1, round(size_hw[0] * seen)), max(1, round(size_hw[1] * seen)))
    return Scaling(pixel_size_um, source, network_hw, factor, tuple(words), between)


def _factor(trained: ScaleSpec, config: SegmentConfig, pixel_size_um: float | None) -> tuple[float, list[str]]:
    """Magnification that brings the image to the scale of the model by pixel size, and the flags about it."""
    if pixel_size_um is None:
        return 1.0, ["scale_unknown"]
    if config.scale == "native" or trained.pixel_size_um is None:
        return 1.0, []
    factor = pixel_size_um / trained.pixel_size_um
    if abs(factor - 1) <= SAME_SCALE:
        return 1.0, []
    kept = float(np.clip(factor, *SCALE_LIMITS))
    return kept, ["scale_extreme"] if kept != factor else []


def find_scale(stretched: Floats, probability: Callable[[Floats], Floats], threshold: float) -> FoundScale | None:
    """Try magnifications on the middle of an image.

    Parameters
    ----------
    stretched
        (Y, X) or (Y, X, 3), contrast raised, 0..1.
    probability
        The network, tiles and all: a picture as ``stretched`` at some magnification to its probability of cell.
    threshold
        Probability from which a pixel is cell.

    Returns
    -------
    FoundScale
        None where no magnification shows cells.
    """
    surety = np.array([_surety(probability(_part(stretched, factor)), threshold) for factor in FACTORS])
    if surety.max() < SURE:
        return None
    if np.ptp(surety) <= ALIKE:
        return FoundScale(1.0, FACTORS[0], FACTORS[-1])
    worth = surety - CHARGE * np.log2(FACTORS)
    alike = np.flatnonzero(worth >= worth.max() - ALIKE)
    return FoundScale(FACTORS[int(worth.argmax())], FACTORS[alike[0]], FACTORS[alike[-1]])


def middle(size_hw: tuple[int, int], side_px: int) -> tuple[slice, slice]:
    """Rows and columns of the middle of an image, ``side_px`` in each direction or all of it."""
    starts = [max(0, (size - side_px) // 2) for size in size_hw]
    return slice(starts[0], starts[0] + side_px), slice(starts[1], starts[1] + side_px)


def _part(stretched: Floats, factor: float) -> Floats:
    rows, columns = middle((stretched.shape[0], stretched.shape[1]), max(1, round(NETWORK_PX / factor)))
    part = stretched[rows, columns]
    return resize(part, (max(1, round(part.shape[0] * factor)), max(1, round(part.shape[1] * factor))))


def _surety(probability: Floats, threshold: float) -> float:
    cell = probability >= threshold
    return float(probability[cell].mean()) if cell.mean() >= FEWEST else 0.0
