"""What an image itself says about its use, before any network sees it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.transforms.preprocess import to_grey

BLOCK_PX = 16
FEWEST_BLOCKS = 64
FEATURELESS = 1.8
"""Below this ratio of local contrasts an image shows noise only. Measured: noise, white and blurred, up to 1.75;
simulated full layers from 2.1; the 81 real images of the development data from 8.2."""


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


def shows_nothing(pixels: NDArray[np.generic]) -> bool:
    """Whether an image has one grey value only, or noise only; stretching its contrast would make cells of noise."""
    if pixels.max() == pixels.min():
        return True
    found = contrast_ratio(pixels)
    return found is not None and found < FEATURELESS
