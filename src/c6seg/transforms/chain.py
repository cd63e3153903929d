"""Chains of random changes of a fixed length, after RandAugment (Cubuk et al., CVPR Workshops 2020).

For each example ``chain`` operations are drawn, each as likely, and each with a strength drawn from a range; where a
change has two directions, the direction is drawn, too. They are those of light, focus and shape: no stains, no colours.
No torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.config import AugmentConfig, ChainOperation
from c6seg.transforms.augment import BoolArray, FloatArray, smooth_field

PLANE = (0, 1)
Light = Callable[[FloatArray, float, np.random.Generator], FloatArray]
Matrix = NDArray[np.float64]


def apply(
    image: FloatArray, mask: BoolArray, config: AugmentConfig, rng: np.random.Generator
) -> tuple[FloatArray, BoolArray]:
    """Draw a chain and apply it.

    Parameters
    ----------
    image
        Stretched picture, 0..1, (Y, X) or (Y, X, C).
    mask
        (Y, X); it turns and shears with the picture.
    config
        Length, operations and strengths.
    rng
        Generator of the example.
    """
    for _ in range(config.chain):
        name = config.chain_of[int(rng.integers(len(config.chain_of)))]
        strength = float(rng.uniform(*config.magnitude)) * (1.0 if rng.random() < 0.5 else -1.0)
        if name in GEOMETRY:
            image, mask = _move(image, mask, GEOMETRY[name](strength))
        else:
            image = np.clip(LIGHT[name](image, strength, rng), 0, 1).astype(np.float32, copy=False)
    return image, mask


def _brightness(image: FloatArray, strength: float, rng: np.random.Generator) -> FloatArray:
    return image + np.float32(0.3 * strength)


def _contrast(image: FloatArray, strength: float, rng: np.random.Generator) -> FloatArray:
    return (image - 0.5) * np.float32(2.5**strength) + 0.5


def _gamma(image: FloatArray, strength: float, rng: np.random.Generator) -> FloatArray:
    return np.asarray(np.clip(image, 0, 1) ** np.float32(2.5**strength), dtype=np.float32)


def _sharpen(image: FloatArray, strength: float, rng: np.random.Generator) -> FloatArray:
    smooth = ndimage.gaussian_filter(image, 1.5, axes=PLANE)
    return image + np.float32(2 * abs(strength)) * (image - smooth)


def _blur(image: FloatArray, strength: float, rng: np.random.Generator) -> FloatArray:
    blurred: FloatArray = ndimage.gaussian_filter(image, 2.5 * abs(strength), axes=PLANE)
    return blurred


def _noise(image: FloatArray, strength: float, rng: np.random.Generator) -> FloatArray:
    return image + np.float32(0.12 * abs(strength)) * rng.standard_normal(image.shape, dtype=np.float32)


def _shading(image: FloatArray, strength: float, rng: np.random.Generator) -> FloatArray:
    return image + np.float32(0.4 * abs(strength)) * smooth_field(image, rng)


LIGHT: dict[ChainOperation, Light] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "gamma": _gamma,
    "sharpen": _sharpen,
    "blur": _blur,
    "noise": _noise,
    "shading": _shading,
}
"""Changes of light and focus: picture, strength (-1..1), generator."""


def _rotate(strength: float) -> Matrix:
    angle = math.radians(30 * strength)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _shear(strength: float) -> Matrix:
    return np.array([[1.0, 0.3 * strength], [0.0, 1.0]])


def _stretch(strength: float) -> Matrix:
    """Stretch one axis and shrink the other, so that areas stay."""
    return np.diag([1.25**strength, 1.25**-strength])


GEOMETRY: dict[ChainOperation, Callable[[float], Matrix]] = {"rotate": _rotate, "shear": _shear, "stretch": _stretch}
"""Changes of shape about the middle, none of which changes areas: the scale is that of the fragment."""


def _move(image: FloatArray, mask: BoolArray, matrix: Matrix) -> tuple[FloatArray, BoolArray]:
    middle = (np.array(mask.shape) - 1) / 2
    offset = middle - matrix @ middle
    moved = ndimage.affine_transform(mask.astype(np.float32), matrix, offset, order=1, mode="mirror") >= 0.5
    if image.ndim == 2:
        return ndimage.affine_transform(image, matrix, offset, order=1, mode="mirror"), moved
    planes = [
        ndimage.affine_transform(image[..., channel], matrix, offset, order=1, mode="mirror")
        for channel in range(image.shape[-1])
    ]
    return np.stack(planes, axis=-1), moved
