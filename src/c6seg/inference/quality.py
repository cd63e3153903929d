"""What an image itself says about its use, before any network sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.inference.fine_structure import FineStructure, fine_structure, like_blur, like_noise, sharpness
from c6seg.transforms.preprocess import resize, to_grey

BLOCK_PX = 16
FEWEST_BLOCKS = 64
FEATURELESS = 1.8
"""Below this ratio of local contrasts an image may show noise only. Measured: noise, white and blurred, up to 1.75;
full layers of small simulated cells from 1.34, which :func:`~c6seg.inference.fine_structure.like_noise` tells apart;
the 81 real images of the development data from 8.2."""

BLURRED = -1.05
"""Below this :func:`~c6seg.inference.fine_structure.sharpness` an image is out of focus; see ``bench_flags.py``."""

UNEVEN = 0.6
"""Above this :func:`unevenness` the light of an image is uneven; see ``bench_flags.py``."""

OVEREXPOSED_FRACTION = 0.05
"""Above this fraction of pixels at the top grey value an image is flagged ``overexposed``; bright halos and a contrast
stretch by the microscope's software saturate up to about 2 %."""

LIGHT_SIDE_PX = 256
"""Sides below which, at the scale of the model, a few cells look like uneven light, px."""

LIGHT_PX = 32
"""Side of the picture that the light is read from, px."""


def contrast_ratio(pixels: NDArray[np.generic]) -> float | None:
    """Ratio of strong to weak local contrast: 95th to 5th percentile of the standard deviation in blocks of 16 x 16 px.

    Noise has the same contrast everywhere (ratio near 1); cells beside background, or parts of cells, do not. Slow
    changes of light are taken out first. None for images of fewer than 64 blocks, which are too small to tell.

    Parameters
    ----------
    pixels
        (Y, X) or (Y, X, 3).
    """
    grey = to_grey(pixels)
    return ratio(local_contrasts(grey)) if enough_blocks(grey.shape) else None


def enough_blocks(size_hw: tuple[int, ...]) -> bool:
    """Whether an image has the 64 blocks that it takes to tell."""
    return (size_hw[0] // BLOCK_PX) * (size_hw[1] // BLOCK_PX) >= FEWEST_BLOCKS


def local_contrasts(grey: NDArray[np.float32], *, above: int = 0, below: int = 0) -> NDArray[np.float32]:
    """Take the standard deviation in every whole block of 16 x 16 px, slow changes of light taken out.

    Parameters
    ----------
    grey
        float32 (Y, X).
    above, below
        Rows at the top and bottom that only serve as surroundings; 16 are enough.
    """
    grey = grey - ndimage.uniform_filter(grey, 2 * BLOCK_PX + 1)
    grey = grey[above : grey.shape[0] - below]
    rows, columns = grey.shape[0] // BLOCK_PX, grey.shape[1] // BLOCK_PX
    blocks = grey[: rows * BLOCK_PX, : columns * BLOCK_PX].reshape(rows, BLOCK_PX, columns, BLOCK_PX)
    return np.asarray(blocks.std(axis=(1, 3)))


def ratio(contrasts: NDArray[np.float32]) -> float:
    """95th to 5th percentile of local contrasts."""
    weak, strong = np.percentile(contrasts, (5, 95))
    return float(strong / weak) if weak > 0 else float("inf")


def unevenness(picture: NDArray[np.float32], contrast: float) -> float:
    """Range of the light over an image, in units of the contrast of what it shows.

    The light is a surface of second degree through the whole image: slopes and vignettes are its kind, cells are not.

    Parameters
    ----------
    picture
        (Y, X), grey, the image or a reduced copy.
    contrast
        Strong local contrast: 95th percentile of :func:`local_contrasts`.
    """
    small = resize(picture, (LIGHT_PX, LIGHT_PX))
    y, x = np.mgrid[-1 : 1 : LIGHT_PX * 1j, -1 : 1 : LIGHT_PX * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    light = terms @ np.linalg.lstsq(terms, small.reshape(-1).astype(np.float64), rcond=None)[0]
    return float(np.ptp(light) / contrast) if contrast > 0 else 0.0


def structure_of(
    rows: Callable[[int, int], NDArray[np.generic]], size_hw: tuple[int, int], factor: float
) -> FineStructure | None:
    """Take the fine structure of an image, as :func:`fine_structure` does; None where it is too small to tell."""
    return fine_structure(rows, size_hw, factor) if enough_blocks(size_hw) else None


def quality_flags(
    structure: FineStructure | None,
    size_hw: tuple[int, int],
    picture: NDArray[np.float32],
    factor: float,
    *,
    blurred: bool = False,
) -> tuple[str, ...]:
    """Give the word ``out_of_focus`` or ``uneven_light`` where it is true; none for images too small to tell.

    Blur takes the contrast that light is measured by, so light is judged in images that are in focus only.

    Parameters
    ----------
    structure
        As :func:`structure_of` gives it at ``factor``.
    size_hw
        Its height and width, px.
    picture
        (y, x), grey, the image or a reduced copy.
    factor
        Magnification that brings the image to the scale of the model.
    blurred
        What :func:`judge` says.
    """
    if blurred:
        return ("out_of_focus",)
    if structure is None:
        return ()
    cut = structure.cut
    sharp = sharpness(structure.energy)
    contrast = float(np.percentile([local_contrasts(one) for one in cut], 95)) if min(cut.shape[1:]) >= BLOCK_PX else 0
    if sharp is not None and sharp < BLURRED:
        return ("out_of_focus",)
    large = min(size_hw) * min(1.0, factor) >= LIGHT_SIDE_PX
    return ("uneven_light",) if large and unevenness(picture, contrast) > UNEVEN else ()


class Look(NamedTuple):
    """What an image shows, as far as its contrast tells.

    Parameters
    ----------
    nothing
        One grey value only, or noise only.
    blurred
        A scene so far out of focus that little more than noise is left.
    """

    nothing: bool
    blurred: bool


def judge(found: float | None, rows: Callable[[int, int], NDArray[np.generic]], size_hw: tuple[int, int]) -> Look:
    """Say what an image shows, by its ratio of local contrasts and, where that is low, its fine structure.

    Parameters
    ----------
    found
        As :func:`contrast_ratio` gives it.
    rows
        Gives the rows from the first to before the second, (rows, X) or (rows, X, 3), of the image.
    size_hw
        Its height and width, px.
    """
    if found is None or found >= FEATURELESS:
        return Look(nothing=False, blurred=False)
    structure = fine_structure(rows, size_hw)
    if not like_noise(structure.energy):
        return Look(nothing=False, blurred=False)
    blurred = like_blur(*structure)
    return Look(nothing=not blurred, blurred=blurred)


def look(pixels: NDArray[np.generic]) -> Look:
    """Say what an image (Y, X) or (Y, X, 3) shows; stretching the contrast of noise would make cells of it."""
    if pixels.max() == pixels.min():
        return Look(nothing=True, blurred=False)
    size_hw = (int(pixels.shape[0]), int(pixels.shape[1]))
    return judge(contrast_ratio(pixels), lambda top, bottom: pixels[top:bottom], size_hw)


def shows_nothing(pixels: NDArray[np.generic]) -> bool:
    """Whether an image has one grey value only, or noise only."""
    return look(pixels).nothing


def saturated_fraction(pixels: NDArray[np.generic]) -> float:
    """Fraction of pixels that are at the largest value their camera can give in every channel.

    For 16-bit files the camera's range is taken to be 10, 12, 14 or 16 bits if the brightest pixel is exactly at the
    end of one; other brightest pixels, and floating-point images, count as not saturated.

    Examples
    --------
    >>> saturated_fraction(np.array([[255, 255], [0, 7]], np.uint8))
    0.5
    >>> saturated_fraction(np.array([[4095, 17], [0, 7]], np.uint16))
    0.25
    """
    if pixels.dtype == np.uint8:
        top = 255
    elif pixels.dtype == np.uint16:
        top = int(pixels.max())
        if top not in {1023, 4095, 16383, 65535}:
            return 0.0
    else:
        return 0.0
    at_top: NDArray[np.bool_] = np.asarray(pixels == top)
    return float((at_top if at_top.ndim == 2 else at_top.all(axis=2)).mean())
