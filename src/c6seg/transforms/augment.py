"""Random training examples, each decided by (seed, epoch, index) alone, so that any run can be repeated or resumed.

No torch: fragments are cut and scaled by the same resizer as in inference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.config import AugmentConfig
from c6seg.runtime import seed_for
from c6seg.transforms.preprocess import resize

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an image, brought to the size of the network input.

    Parameters
    ----------
    box_xyxy
        Left, top, right, bottom in image pixels, fractions allowed, inside the image.
    inner_hw
        Size of that part after scaling, px; at most ``size_hw``. The rest is filled by reflection.
    size_hw
        Size of the example, px.
    """

    box_xyxy: tuple[float, float, float, float]
    inner_hw: tuple[int, int]
    size_hw: tuple[int, int]


def example_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Random generator of one example; the same on every machine, in every order of loading."""
    return np.random.default_rng(seed_for(seed, "augment", epoch, index))


def random_window(
    image_hw: tuple[int, int], size_hw: tuple[int, int], scale: float, rng: np.random.Generator
) -> Window:
    """Choose a random fragment which, magnified by ``scale``, fills the example.

    The fragment's *side* is ``1 / scale`` of the example's side (paper, Fig. 5, speaks of sides, not areas). Where the
    image is smaller than the fragment, the whole extent is taken and the rest is filled by reflection.
    """
    spans, starts, inner = [], [], []
    for length, size in zip(image_hw, size_hw, strict=True):
        span = min(size / scale, float(length))
        spans.append(span)
        inner.append(min(size, max(1, round(span * scale))))
        start = rng.uniform(0.0, length - span) if span < length else 0.0
        # At the original scale whole pixels are cut: a fraction of a pixel would blur what inference sees sharp.
        starts.append(float(round(start)) if span == size else start)
    box = (starts[1], starts[0], min(starts[1] + spans[1], image_hw[1]), min(starts[0] + spans[0], image_hw[0]))
    return Window(box, (inner[0], inner[1]), size_hw)


def random_fragment(
    image_hw: tuple[int, int], size_hw: tuple[int, int], side_hw: tuple[float, float], rng: np.random.Generator
) -> Window:
    """Choose a fragment with sides ``side_hw`` (px of the image, at most its own) at random, to fill the example."""
    height, width = side_hw
    top, left = rng.uniform(0, image_hw[0] - height), rng.uniform(0, image_hw[1] - width)
    return Window((left, top, left + width, top + height), size_hw, size_hw)


def cut(array: FloatArray, window: Window) -> FloatArray:
    """Cut and scale a window of (Y, X) or (Y, X, C)."""
    inner = resize(array, window.inner_hw, box_xyxy=window.box_xyxy)
    pad_y, pad_x = window.size_hw[0] - window.inner_hw[0], window.size_hw[1] - window.inner_hw[1]
    if not pad_y and not pad_x:
        return inner
    return np.pad(inner, [(0, pad_y), (0, pad_x), *[(0, 0)] * (array.ndim - 2)], mode="symmetric")


def draw_scale(config: AugmentConfig, rng: np.random.Generator) -> float:
    """Draw the magnification, uniformly in its logarithm."""
    low, high = np.log(config.scale)
    return float(np.exp(rng.uniform(low, high)))


def draw_side(config: AugmentConfig, rng: np.random.Generator) -> float:
    """Draw the side of a fragment as a fraction of the image's side, evenly from ``config.fragment`` (paper, E6)."""
    if not isinstance(config.fragment, tuple):
        raise TypeError(f"no range of fragments to draw from: {config.fragment}")
    return float(rng.uniform(*config.fragment))


def turn(
    image: FloatArray, mask: BoolArray, config: AugmentConfig, rng: np.random.Generator
) -> tuple[FloatArray, BoolArray]:
    """Flip and turn by quarters at random; a picture that is not square is turned by halves only."""
    if config.flips:
        for axis in (0, 1):
            if rng.random() < 0.5:
                image, mask = np.flip(image, axis), np.flip(mask, axis)
    if config.quarter_turns:
        turns = int(rng.integers(4))
        if mask.shape[0] != mask.shape[1]:
            turns -= turns % 2
        image, mask = np.rot90(image, turns), np.rot90(mask, turns)
    return np.ascontiguousarray(image), np.ascontiguousarray(mask)


def vary(image: FloatArray, config: AugmentConfig, rng: np.random.Generator) -> FloatArray:
    """Change light, focus and noise of a stretched picture (0..1) at random, in the order in which a camera does.

    Each change is off where its range is zero; half of the pictures stay in focus and a quarter free of added noise.
    """
    if config.blur_px or config.sharpness:
        image = _refocus(image, config, rng)
    if config.shading:
        image = image + config.shading * rng.uniform(0, 1) * smooth_field(image, rng)
    if config.gamma:
        exponent = np.exp(rng.uniform(-1, 1) * np.log1p(config.gamma))
        image = np.clip(image, 0, 1) ** np.float32(exponent)
    if config.contrast:
        gain = 1 + rng.uniform(-config.contrast, config.contrast)
        image = (image - 0.5) * np.float32(gain) + 0.5
    if config.brightness:
        image = image + np.float32(rng.uniform(-config.brightness, config.brightness))
    if config.noise and rng.random() < 0.75:
        sigma = config.noise * rng.uniform(0, 1)
        image = image + np.float32(sigma) * rng.standard_normal(image.shape, dtype=np.float32)
    if config.invert and rng.random() < config.invert:
        image = 1 - image
    return np.clip(image, 0, 1).astype(np.float32, copy=False)


def smooth_field(array: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a smooth random illumination field of the array's shape, values about -1..1."""
    coarse = rng.uniform(-1, 1, size=(4, 4)).astype(np.float32)
    field = resize(coarse, (array.shape[0], array.shape[1]))
    return field if array.ndim == 2 else field[..., None]


def _refocus(image: FloatArray, config: AugmentConfig, rng: np.random.Generator) -> FloatArray:
    """Blur or sharpen (unsharp masking), each with probability 1/4."""
    draw, amount = rng.random(), rng.uniform(0, 1)
    axes = (0, 1)
    if draw < 0.25 and config.blur_px:
        blurred: FloatArray = ndimage.gaussian_filter(image, config.blur_px * amount, axes=axes)
        return blurred
    if 0.25 <= draw < 0.5 and config.sharpness:
        smooth = ndimage.gaussian_filter(image, 1.5, axes=axes)
        return image + np.float32(config.sharpness * amount) * (image - smooth)
    return image
