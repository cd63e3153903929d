"""How much of what is to be seen in a picture is annotated: local structure against the annotated area.

Cells in phase contrast are rough, their surroundings smooth. Pixels are parted into rough and smooth by the local
standard deviation of the picture, its slow changes of light taken out (threshold: Otsu, IEEE Trans. SMC 1979, on the
logarithm). On 48 annotated real images (T98G, LIVECell) at least 29 % of the rough area is annotated; of the same
images with two cells left, at most 3 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.transforms.preprocess import to_grey

SIGMA_PX = 3.0
MARGIN_PX = 6
LONGEST_PX = 1100
"""Pictures are shrunk below this before they are looked at, px; on larger ones cells have more pixels."""


@dataclass(frozen=True, slots=True)
class Texture:
    """Structure of one picture.

    Parameters
    ----------
    contrast
        How much rougher the rough part begins than the smoothest tenth is; 1-2 in a picture of noise alone.
    rough
        Fraction of the picture that is rough, 0 to 1.
    annotated
        Fraction of the rough part that lies in or next to annotated cells, 0 to 1.
    inside_out
        Median roughness of the annotated area over that of the rest; NaN where one of them is missing.
    """

    contrast: float
    rough: float
    annotated: float
    inside_out: float


def measure_texture(pixels: NDArray[np.generic], mask: NDArray[np.bool_]) -> Texture:
    """Compare structure and annotation of a picture.

    Parameters
    ----------
    pixels
        (Y, X) or (Y, X, 3), any type.
    mask
        (Y, X) bool, True = annotated as cell.
    """
    factor = -(-max(mask.shape) // LONGEST_PX)
    grey, cells = to_grey(pixels), mask
    if factor > 1:
        grey, cells = _shrink(grey, factor), _shrink(mask.astype(np.float32), factor) > 0
    roughness = _roughness(grey)
    level = _otsu(np.log(roughness + 1e-4))
    rough = roughness > np.exp(level)
    near = ndimage.binary_dilation(cells, iterations=MARGIN_PX)
    inside, outside = roughness[cells], roughness[~near]
    return Texture(
        contrast=float(np.exp(level) / max(float(np.percentile(roughness, 10)), 1e-4)),
        rough=float(rough.mean()),
        annotated=float((rough & near).sum() / max(int(rough.sum()), 1)),
        inside_out=float(np.median(inside) / max(float(np.median(outside)), 1e-6))
        if inside.size and outside.size
        else float("nan"),
    )


def _roughness(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(grey, (0.5, 99.5))
    stretched = np.clip((grey - low) / max(float(high - low), 1e-6), 0.0, 1.0)
    detail = stretched - ndimage.gaussian_filter(stretched, 4 * SIGMA_PX)
    power = ndimage.gaussian_filter(detail * detail, SIGMA_PX)
    return np.asarray(np.sqrt(np.maximum(power, 0.0)), dtype=np.float32)


def _otsu(values: NDArray[np.float32]) -> float:
    """Level that parts values into two classes with the largest variance between them."""
    counts, edges = np.histogram(values, 128)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = below[-1] + counts[-1] - below
    moment = np.cumsum(counts * centres)
    total = below + above
    inside = np.maximum(below * above, 1.0)
    between = (moment[-1] * below / total - moment[:-1]) ** 2 / inside
    return float(edges[1:][int(np.argmax(between))])


def _shrink(array: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    height, width = (side // factor * factor for side in array.shape)
    blocks = array[:height, :width].reshape(height // factor, factor, width // factor, factor)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)
