"""Pictures for looking: the outline of a mask on its image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from c6seg.runtime import atomic_path, save_picture
from c6seg.transforms.preprocess import contrast_limits, raise_contrast, resize, to_grey

OUTLINE_RGB = (255, 140, 0)
"""Orange: told from grey with any colour vision, and from both dark cells and bright halos."""

MAX_SIDE_PX = 2048
_TINT = 0.10


def overlay(
    pixels: NDArray[np.generic], mask: NDArray[np.bool_], *, max_side_px: int = MAX_SIDE_PX
) -> NDArray[np.uint8]:
    """Draw the outline of a mask, and a breath of its colour inside, on the contrast-stretched image.

    Parameters
    ----------
    pixels
        (Y, X) or (Y, X, 3).
    mask
        bool (Y, X), True = cell.
    max_side_px
        A larger picture is reduced to this.

    Returns
    -------
    NDArray
        uint8 (Y, X, 3).
    """
    from scipy import ndimage

    grey = to_grey(pixels)
    grey = raise_contrast(grey, contrast_limits(grey, (0.5, 99.5)))
    factor = min(1.0, max_side_px / max(grey.shape))
    if factor < 1:
        size_hw = (max(1, round(grey.shape[0] * factor)), max(1, round(grey.shape[1] * factor)))
        grey = resize(grey, size_hw)
        mask = resize(mask.astype(np.float32), size_hw) >= 0.5
    # the line lies just outside the mask, so that thin processes stay visible
    width_px = max(1, round(max(grey.shape) / 1000))
    line = ndimage.binary_dilation(mask, ndimage.generate_binary_structure(2, 2), iterations=width_px) & ~mask
    colour = np.asarray(OUTLINE_RGB, np.float32)
    picture = np.repeat(grey[..., None] * np.float32(255), 3, axis=2)
    picture[mask] += _TINT * (colour - picture[mask])
    picture[line] = colour
    return np.round(picture).astype(np.uint8)


def write_overlay(path: Path, pixels: NDArray[np.generic], mask: NDArray[np.bool_]) -> None:
    """Write an overlay as JPEG, whole or not at all.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with atomic_path(path) as temporary:
        picture = Image.fromarray(overlay(pixels, mask))
        save_picture(picture, temporary, format="JPEG", quality=90, subsampling=0)
