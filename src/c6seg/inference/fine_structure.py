"""Fine structure of an image: is it in focus, is it more than noise, is the light uneven beside it.

Both are read from windows spread over the image, so that a large image costs no more than a small one, and from the
energy of four octaves of size in blocks of them. Nothing here is trained.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.transforms.preprocess import resize, to_grey

Floats = NDArray[np.float32]

WINDOW_PX = 128
"""Side of a window at the scale at which it is looked at, px."""

WINDOWS = 6
"""Windows in each direction."""

BLOCK_PX = 32
SIGMAS_PX = (0.7, 1.4, 2.8, 5.6, 11.2)
"""Gaussian filters whose differences are the four bands, from fine to coarse, px."""

STRUCTURE_MIN = 5.0
"""Coarse energy of the strongest fifth of the blocks, that of the weakest tenth taken away, in units of the latter,
below which nothing in the image is distinct enough to say whether it is in focus. Noise gives up to 1.4."""

STEEPER = 0.15
"""By so much, log, the coarsest band must fall below that of noise for an image to show more than noise; 40 / sqrt(px)
of chance comes on top."""


RISE = 0.42
"""By so much, log10, the coarsest band must exceed the next finer one, both in units of noise, for an image of low
contrast to show a blurred scene. Measured: simulated fields without cells, light uneven, up to 0.40 (stripes of light,
which have a direction, up to 0.70); LIVECell images blurred by 5 to 9 px that are taken for noise, 27 of 35 above."""

DIRECTED = 0.2
"""Above this share of one direction in the slopes of the coarsest band an image shows stripes. Measured: stripes of
light 0.27 to 0.93, blurred cells 0.01 to 0.15."""


class FineStructure(NamedTuple):
    """What the windows of an image show: (windows, y, x), as :func:`windows` cuts them; :func:`band_energy` of them."""

    cut: Floats
    energy: Floats


def fine_structure(
    rows: Callable[[int, int], NDArray[np.generic]], size_hw: tuple[int, int], factor: float = 1.0
) -> FineStructure:
    """Take the windows of an image and the energy in them; parameters as of :func:`windows`."""
    cut = windows(rows, size_hw, factor)
    return FineStructure(cut, band_energy(cut))


def windows(rows: Callable[[int, int], NDArray[np.generic]], size_hw: tuple[int, int], factor: float = 1.0) -> Floats:
    """Cut windows out of an image, in a grid that reaches from edge to edge.

    Parameters
    ----------
    rows
        Gives the rows from the first to before the second, (rows, X) or (rows, X, 3), of the image.
    size_hw
        Its height and width, px.
    factor
        Magnification that brings it to the scale of the model. Finer images are reduced to that scale; coarser ones
        are taken as they are, since enlarging blurs.

    Returns
    -------
    Floats
        (windows, y, x), grey, slow changes of light in each taken out.
    """
    reduced = min(1.0, factor)
    height, width = (min(size, round(WINDOW_PX / reduced)) for size in size_hw)
    to_hw = (max(1, round(height * reduced)), max(1, round(width * reduced)))
    lefts = np.unique(np.linspace(0, size_hw[1] - width, WINDOWS).astype(int))
    cut = []
    for top in np.unique(np.linspace(0, size_hw[0] - height, WINDOWS).astype(int)):
        grey = to_grey(rows(int(top), int(top) + height))
        cut += [resize(grey[:, left : left + width], to_hw) for left in lefts]
    return _without_slope(np.stack(cut))


def band_energy(cut: Floats) -> Floats:
    """Mean square of four bands of size in blocks of 32 x 32 px of windows: (4, blocks), from fine to coarse."""
    smooth = [ndimage.gaussian_filter(cut, (0, sigma, sigma), truncate=2.5) for sigma in SIGMAS_PX]
    side = [min(BLOCK_PX, size) for size in cut.shape[1:]]
    count = [size // step for size, step in zip(cut.shape[1:], side, strict=True)]
    energy = []
    for fine, coarse in itertools.pairwise(smooth):
        square = np.square(fine - coarse)[:, : count[0] * side[0], : count[1] * side[1]]
        blocks = square.reshape(len(cut), count[0], side[0], count[1], side[1])
        energy.append(blocks.mean(axis=(2, 4)).reshape(-1))
    return np.stack(energy)


def sharpness(energy: Floats) -> float | None:
    """Energy of the finest band of what the image shows, in relation to that of the coarse ones; log10.

    Taken in the fifth of the blocks with the most coarse structure; what the weakest tenth have, the noise, is taken
    away. Blur removes the fine band first. None where no block stands out.

    Parameters
    ----------
    energy
        As :func:`band_energy` gives it.
    """
    coarse = energy[2] + energy[3]
    weak, strong = np.percentile(coarse, (10, 80))
    noise = energy[:, coarse <= weak].mean(axis=1)
    signal = energy[:, coarse >= strong].mean(axis=1) - noise
    if signal[2] + signal[3] <= STRUCTURE_MIN * (noise[2] + noise[3]) or signal[0] <= 0:
        return None
    return float(np.log10(signal[0] / max(signal[2], signal[3])))


def noise_energy(blur_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energy of the bands of white noise that was blurred, up to a factor: (4, blurs).

    The filters g_a and g_b, applied to white noise, have variances 1 / (4 pi a^2), 1 / (4 pi b^2) and the covariance
    1 / (2 pi (a^2 + b^2)); blur adds its square to both.
    """
    square = np.array(SIGMAS_PX)[:, None] ** 2 + np.square(blur_px)[None]
    fine, coarse = square[:-1], square[1:]
    return np.asarray(1 / fine + 1 / coarse - 4 / (fine + coarse))


def like_noise(energy: Floats) -> bool:
    """Whether coarse structure is at least as strong as in noise, white or blurred, with the same finer structure.

    Noise, uneven light and dirt have no size of their own; a full layer of cells has: above that size there is little.
    Medians over blocks are taken, so that a few specks count for nothing; a full layer is everywhere.

    Parameters
    ----------
    energy
        As :func:`band_energy` gives it.
    """
    bands = np.median(energy, axis=1).astype(np.float64)
    if bands[1] <= 0 or bands[2] <= 0:
        return True
    noise = np.log(noise_energy(np.linspace(0, 3, 61)))
    nearest = int(np.argmin(np.abs(noise[2] - noise[1] - np.log(bands[2] / bands[1]))))
    steeper = noise[3, nearest] - noise[2, nearest] - np.log(max(bands[3], 1e-12) / bands[2])
    chance = 40 / np.sqrt(energy.shape[1] * BLOCK_PX**2)
    return bool(steeper <= STEEPER + chance)


def like_blur(cut: Floats, energy: Floats) -> bool:
    """Whether an image that is like noise shows a scene far out of focus.

    Blur takes the fine bands, and noise fills them: the energy that is left rises from band to band, over all of the
    image and in all directions. Dirt, slow changes and stripes of light lack one of these.

    Parameters
    ----------
    cut
        As :func:`windows` gives it.
    energy
        As :func:`band_energy` gives it.
    """
    bands = np.median(energy, axis=1).astype(np.float64)
    if bands.min() <= 0:
        return False
    noise = np.log(noise_energy(np.linspace(0, 3, 61)))
    nearest = int(np.argmin(np.abs(noise[1] - noise[0] - np.log(bands[1] / bands[0]))))
    above = (np.log(bands) - noise[:, nearest]) / np.log(10)
    return bool(above[3] - above[2] > RISE) and _direction(cut) < DIRECTED


def _direction(cut: Floats) -> float:
    """Share of one direction in the coarsest slopes: 0 = all alike, 1 = one only (structure tensor)."""
    slope_y, slope_x = np.gradient(ndimage.gaussian_filter(cut, (0, SIGMAS_PX[3], SIGMAS_PX[3])), axis=(1, 2))
    all_ways = float(np.square(slope_x).mean() + np.square(slope_y).mean())
    one_way = np.hypot(np.square(slope_x).mean() - np.square(slope_y).mean(), 2 * (slope_x * slope_y).mean())
    return float(one_way) / all_ways if all_ways > 0 else 0.0


def _without_slope(cut: Floats) -> Floats:
    """Take the light out of every window: the terms of a surface of second degree, one after the other."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, size, dtype=np.float32) for size in cut.shape[1:]), indexing="ij")
    level = cut - cut.mean(axis=(1, 2), keepdims=True)
    for term in (y, x, x * y, y * y - np.square(y).mean(), x * x - np.square(x).mean()):
        spread = np.maximum(np.square(term).mean(), 1e-6)
        level = level - (level * term).mean(axis=(1, 2), keepdims=True) * term / spread
    return np.asarray(level, dtype=np.float32)
