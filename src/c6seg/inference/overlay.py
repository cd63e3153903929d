"""Pictures for looking: the outline of a mask on its image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from c6seg.runtime import atomic_path, save_picture
from c6seg.transforms.preprocess import contrast_limits, raise_contrast, to_grey

OUTLINE_RGB = (255, 140, 0)
"""Orange: told from grey with any colour vision, and from both dark cells and bright halos."""

CLUSTER_RGB = (86, 180, 233)
"""Sky blue, for clusters: told from the orange of cells with any colour vision (Wong, Nature Methods 8 (2011) 441)."""

MAX_SIDE_PX = 2048
_TINT = 0.10
_LARGE_PX = 1_000_000


def overlay(
    pixels: NDArray[np.generic],
    mask: NDArray[np.bool_],
    clusters: NDArray[np.bool_] | None = None,
    *,
    max_side_px: int = MAX_SIDE_PX,
) -> NDArray[np.uint8]:
    """Draw the outline of a mask, and a breath of its colour inside, on the contrast-stretched image.

    Parameters
    ----------
    pixels
        (Y, X) or (Y, X, 3).
    mask
        bool (Y, X), True = cell.
    clusters
        bool (Y, X), True = dense cluster, drawn in :data:`CLUSTER_RGB`; None = there are none.
    max_side_px
        A larger picture is reduced to this.

    Returns
    -------
    NDArray
        uint8 (Y, X, 3).
    """
    grey = _grey_bytes(pixels)
    factor = min(1.0, max_side_px / max(grey.shape))
    areas = [(mask, OUTLINE_RGB)] + ([] if clusters is None else [(clusters, CLUSTER_RGB)])
    if factor < 1:
        size_hw = (max(1, round(grey.shape[0] * factor)), max(1, round(grey.shape[1] * factor)))
        grey = _reduce(grey, size_hw)
        areas = [(_reduce(area.astype(np.uint8) * np.uint8(255), size_hw) >= 128, colours) for area, colours in areas]
    picture = np.repeat(grey[..., None], 3, axis=2)
    levels = np.arange(256, dtype=np.float32)
    for area, colours in areas:
        # the line lies just outside the area, so that thin processes stay visible
        line = _grown(area, max(1, round(max(grey.shape) / 1000))) & ~area
        for channel, colour in enumerate(colours):
            tinted = np.round(levels + _TINT * (colour - levels)).astype(np.uint8)
            plane = np.where(area, tinted[grey], picture[..., channel])
            plane[line] = colour
            picture[..., channel] = plane
    return picture


def _grey_bytes(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Contrast-stretched grey, uint8; in large pictures every fourth pixel decides the limits."""
    part = pixels[::2, ::2] if pixels.shape[0] * pixels.shape[1] > _LARGE_PX else pixels
    limits = contrast_limits(to_grey(part), (0.5, 99.5))
    if pixels.ndim == 2 and pixels.dtype in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        levels = np.arange(256 if pixels.dtype == np.uint8 else 65536, dtype=np.float32)
        table = np.round(255 * raise_contrast(levels, limits)).astype(np.uint8)
        return np.asarray(table[pixels.astype(np.intp, copy=False)])
    return np.round(255 * raise_contrast(to_grey(pixels), limits)).astype(np.uint8)


def _reduce(plane: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(plane).resize((size_hw[1], size_hw[0]), Image.Resampling.BILINEAR))


def _grown(mask: NDArray[np.bool_], by_px: int) -> NDArray[np.bool_]:
    """Grow a mask by a square, one axis after the other."""
    for axis in (0, 1):
        grown = mask.copy()
        along, result = np.moveaxis(mask, axis, 0), np.moveaxis(grown, axis, 0)
        for step in range(1, min(by_px, along.shape[0] - 1) + 1):
            result[step:] |= along[:-step]
            result[:-step] |= along[step:]
        mask = grown
    return mask


def write_overlay(
    path: Path, pixels: NDArray[np.generic], mask: NDArray[np.bool_], clusters: NDArray[np.bool_] | None = None
) -> None:
    """Write an overlay as JPEG, whole or not at all.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with atomic_path(path) as temporary:
        picture = Image.fromarray(overlay(pixels, mask, clusters))
        save_picture(picture, temporary, format="JPEG", quality=90, subsampling=0)
