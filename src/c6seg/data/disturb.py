"""What spoils a photograph without changing its cells: bright floating cells and uneven light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from c6seg.data.synthetic_optics import floating_cells, phase_contrast, random_field
from c6seg.data.synthetic_style import SceneStyle

__all__ = ["disturb"]

_MOST_UNEVEN = 0.45


def disturb(
    pixels: NDArray[np.uint8] | NDArray[np.uint16], mask: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Put floating cells over a picture, and uneven light on it.

    Parameters
    ----------
    pixels
        (Y, X), uint8 or uint16.
    mask
        (Y, X), where the cells are; it stays true, as floating cells are no part of it.
    rng
        Draws up to 120 floating cells per megapixel, 7 to 29 px across and up to 2.5 times as bright as the contrast
        of the picture, and light that varies by up to 45 % either way.

    Returns
    -------
    pixels
        (Y, X) in the type of the input.
    """
    size_hw = (pixels.shape[0], pixels.shape[1])
    image = pixels.astype(np.float32)
    low, high = np.percentile(image, [0.5, 99.5])
    style = replace(SceneStyle(), floaters=float(rng.uniform(0, 120)), diameter_px=float(rng.uniform(25, 60)))
    # a floating cell lies on top of the layer as often as beside it
    floating = floating_cells(size_hw, mask & (rng.random() < 0.5), style, rng)
    if floating is not None and floating.any():
        bright = phase_contrast(floating, halo_px=8, ring_amplitude=0.5, defocus=4 + 6 * rng.random(), blur_px=0.8) - 1
        bright += np.float32(rng.uniform(0.1, 0.3)) * floating**2
        strength = rng.uniform(0.7, 2.5) * (high - low) / max(float(np.percentile(bright[floating > 0], 95)), 1e-3)
        image += np.float32(strength) * bright
    light = random_field(size_hw, float(rng.uniform(0.3, 1.2)) * max(size_hw), rng)
    amount = rng.uniform(0, _MOST_UNEVEN) / max(float(np.abs(light).max()), 1e-3)
    image *= 1 + np.float32(amount) * light
    top = 255 if pixels.dtype == np.uint8 else 65535
    # bright light must not saturate a picture that was not
    image *= min(1.0, top / max(float(np.percentile(image, 99.5)), 1.0))
    counts = np.clip(np.rint(image), 0, top)
    return counts.astype(np.uint8) if pixels.dtype == np.uint8 else counts.astype(np.uint16)
