"""From pixels to network input, the same in training and in inference.

The order is fixed: choose channels, raise the contrast (percentiles of the *whole* image, paper section 3), resize or
crop, normalise, pad. Resizing is bilinear with antialiasing when shrinking, by Pillow, which resizes float pictures
from a fractional box; no other resizer is used on images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from c6seg.config import PreprocessConfig

FloatArray = NDArray[np.float32]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def to_grey(pixels: NDArray[np.generic]) -> FloatArray:
    """Bring (Y, X) or (Y, X, 3) pixels of any type to one grey channel, float32 (Y, X), in the unit of the input.

    Three channels are weighted as in ITU-R BT.601.

    Raises
    ------
    ValueError
        If the shape is neither.
    """
    if pixels.ndim == 2:
        return pixels.astype(np.float32)
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return pixels.astype(np.float32) @ _LUMINANCE
    raise ValueError(f"Pixels have shape {pixels.shape}; expected (Y, X) or (Y, X, 3).")


def select_channels(pixels: NDArray[np.generic], channels: str) -> FloatArray:
    """Return float32 (Y, X) for ``grey``, (Y, X, 3) for ``rgb`` (a single channel is copied to three)."""
    if channels == "grey":
        return to_grey(pixels)
    array = pixels.astype(np.float32)
    return np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array


def contrast_limits(array: FloatArray, percentiles: tuple[float, float]) -> tuple[float, float]:
    """Grey values at two percentiles of the whole image (all channels together)."""
    low, high = np.percentile(array, percentiles)
    return float(low), float(high)


def raise_contrast(array: FloatArray, limits: tuple[float, float]) -> FloatArray:
    """Stretch ``limits`` to 0 and 1 and clip; an image of one grey value becomes 0.5 everywhere."""
    low, high = limits
    if high <= low:
        return np.full(array.shape, 0.5, dtype=np.float32)
    stretched = (array - np.float32(low)) * np.float32(1.0 / (high - low))
    return np.clip(stretched, 0.0, 1.0, out=stretched)


def resize(
    array: FloatArray, size_hw: tuple[int, int], *, box_xyxy: tuple[float, float, float, float] | None = None
) -> FloatArray:
    """Resize bilinearly, antialiased when shrinking.

    Parameters
    ----------
    array
        (Y, X) or (Y, X, C), float32.
    size_hw
        Wanted height and width, px.
    box_xyxy
        Part of the array to take, in its pixel coordinates (left, top, right, bottom; fractions allowed); None = all.

    Returns
    -------
    FloatArray
        ``size_hw`` (+ channels), float32.
    """
    if array.ndim == 3:
        planes = [
            resize(np.ascontiguousarray(array[..., c]), size_hw, box_xyxy=box_xyxy) for c in range(array.shape[2])
        ]
        return np.stack(planes, axis=2)
    if box_xyxy is None and array.shape == tuple(size_hw):
        return array
    image = Image.fromarray(np.ascontiguousarray(array, dtype=np.float32))
    resized = image.resize((size_hw[1], size_hw[0]), Image.Resampling.BILINEAR, box=box_xyxy)
    return np.asarray(resized, dtype=np.float32)


def normalise(
    array: FloatArray, mean: tuple[float, float, float] | None, std: tuple[float, float, float] | None
) -> FloatArray:
    """Turn stretched (Y, X) or (Y, X, 3) into network input (3, Y, X); grey is copied to the three channels."""
    planes = np.moveaxis(array, 2, 0) if array.ndim == 3 else array[None]
    shift = np.asarray(mean or IMAGENET_MEAN, dtype=np.float32)[:, None, None]
    scale = np.asarray(std or IMAGENET_STD, dtype=np.float32)[:, None, None]
    shifted = np.asarray(planes - shift, dtype=np.float32, order="C")
    shifted /= scale  # in place: three planes of a large picture are 60 MB
    return shifted


def pad_to_multiple(array: NDArray[np.float32], multiple: int) -> FloatArray:
    """Pad (..., Y, X) at the bottom and right by reflection to a multiple of ``multiple`` px.

    Cut the result back with ``[..., :height, :width]``. Reflection repeats where the picture is smaller than the pad.
    """
    height, width = array.shape[-2:]
    pad_y, pad_x = -height % multiple, -width % multiple
    if not pad_y and not pad_x:
        return array
    widths = [(0, 0)] * (array.ndim - 2) + [(0, pad_y), (0, pad_x)]
    return np.pad(array, widths, mode="symmetric")


class Preprocess:
    """The transform that a bundle was trained with.

    Parameters
    ----------
    config
        Channels, percentiles, mean, std, multiple.
    """

    def __init__(self, config: PreprocessConfig) -> None:
        self.config = config

    def stretch(self, pixels: NDArray[np.generic]) -> FloatArray:
        """Choose channels and raise the contrast: (Y, X[, C]) of any type to (Y, X) or (Y, X, 3) in 0..1."""
        array = select_channels(pixels, self.config.channels)
        return raise_contrast(array, contrast_limits(array, self.config.contrast_percentiles))

    def normalise(self, stretched: FloatArray) -> FloatArray:
        """Turn a stretched picture into network input (3, Y, X)."""
        return normalise(stretched, self.config.mean, self.config.std)

    def network_input(self, pixels: NDArray[np.generic], *, size_hw: tuple[int, int] | None = None) -> FloatArray:
        """Turn raw pixels (Y, X[, C]) into network input (3, Y, X), resized to ``size_hw`` if given, not yet padded."""
        stretched = self.stretch(pixels)
        return self.normalise(stretched if size_hw is None else resize(stretched, size_hw))
