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
    rows, columns = grey.shape[0] // BLOCK_PX, grey.shape[1] // BLOCK_PX
    if rows * columns < FEWEST_BLOCKS:
        return None
    grey = grey - ndimage.uniform_filter(grey, 2 * BLOCK_PX + 1)
    blocks = grey[: rows * BLOCK_PX, : columns * BLOCK_PX].reshape(rows, BLOCK_PX, columns, BLOCK_PX)
    weak, strong = np.percentile(blocks.std(axis=(1, 3)), (5, 95))
    return float(strong / weak) if weak > 0 else float("inf")


def shows_nothing(pixels: NDArray[np.generic]) -> bool:
    """Whether an image has one grey value only, or noise only; stretching its contrast would make cells of noise."""
    if pixels.max() == pixels.min():
        return True
    ratio = contrast_ratio(pixels)
    return ratio is not None and ratio < FEATURELESS
