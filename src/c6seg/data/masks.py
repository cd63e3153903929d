"""Understand mask files: binary with 0/1, 0/255, colours, transparency or JPEG noise, and label maps of any depth.

What a file could mean in two ways, or in none, is refused with words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg.data.images import read_raw
from c6seg.data.mask_values import CLUSTER_VALUE
from c6seg.errors import AnnotationError, ImageReadError

__all__ = ["labels_from_values", "read_labels"]

_NEAR = 64
"""Distance from 0 or 255 within which a grey value of a noisy mask still counts as black or white."""

_ADVICE = (
    "Save a mask with 0 = background and 255 = cell as PNG, or a label map with 0 = background and 1, 2, 3 ... = cells."
)


def read_labels(path: str | Path, *, frame: int = 0) -> NDArray[np.int32]:
    """Read a mask file as objects.

    Returns
    -------
    NDArray[np.int32]
        (Y, X); 0 = background, objects 1..n without gaps: the numbers or colours of a label map, or the connected parts
        (8 neighbours) of a binary mask.

    Raises
    ------
    AnnotationError
        The file cannot be read or is no mask.
    """
    path = Path(path)
    try:
        values = read_raw(path, frame=frame)
    except ImageReadError as error:
        raise AnnotationError(f"Mask {error}") from error
    try:
        with path.open("rb") as file:
            lossy = file.read(3) == b"\xff\xd8\xff"  # JPEG, whatever its name
        return labels_from_values(values, lossy=lossy)
    except AnnotationError as error:
        raise AnnotationError(f"Mask '{path}' {error} {_ADVICE}") from error


def labels_from_values(given: NDArray[np.generic], *, lossy: bool = False) -> NDArray[np.int32]:
    """Turn stored values into objects; see :func:`read_labels`.

    Parameters
    ----------
    given
        (Y, X) or (Y, X, C), any type.
    lossy
        Whether the file is a JPEG, in which no value can be trusted exactly.
    """
    values: NDArray[Any] = _one_channel(given, lossy=lossy) if given.ndim == 3 else given
    if values.dtype == np.bool_:
        return _parts(np.asarray(values, dtype=bool))
    if values.dtype.kind == "f":
        values = _whole_numbers(values)
    present, inverse = np.unique(values, return_inverse=True)
    if present.size and present[0] < 0:
        raise AnnotationError(f"has negative values (lowest {present[0]}).")
    if present.size <= 2 and (not lossy or set(present.tolist()) <= {0, 255}):
        # one value that is not 0: everything is cell; two of which none is 0: nothing says which is background
        if present.size == 2 and present[0] != 0:
            raise AnnotationError(f"has the two values {present[0]} and {present[1]}, neither of them 0.")
        return _parts(np.asarray(values > 0))
    if set(present.tolist()) == {0, CLUSTER_VALUE, 255}:
        return _parts(np.asarray(values == 255))  # clusters that `c6seg segment` reported are no cells
    if values.dtype == np.uint8 and _is_bimodal(np.asarray(values, dtype=np.uint8), lossy=lossy):
        return _parts(np.asarray(values, dtype=np.uint8) >= 128)
    if lossy:
        raise AnnotationError(f"is a JPEG with {present.size} grey values that are not near 0 and 255.")
    _check_regions(values)
    offset = 0 if present[0] == 0 else 1
    return np.asarray(inverse.reshape(values.shape) + offset, dtype=np.int32)


def _parts(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    from scipy import ndimage

    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    return np.asarray(labels, dtype=np.int32)


def _whole_numbers(values: NDArray[np.generic]) -> NDArray[np.int64]:
    """Float label maps, as ImageJ writes them, hold whole numbers."""
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all() or (numbers != np.rint(numbers)).any() or np.abs(numbers).max(initial=0) > 2**53:
        raise AnnotationError("has values that are no whole numbers; a probability must be cut at a threshold first.")
    return numbers.astype(np.int64)


def _one_channel(values: NDArray[np.generic], *, lossy: bool) -> NDArray[np.generic]:
    """Bring colours and transparency to one number per pixel; black is background."""
    channels = values.shape[2]
    alpha = values[..., -1] if channels in {2, 4} else None
    colours = values[..., : channels - (alpha is not None)]
    flat = bool((colours == colours[:1, :1]).all())
    if alpha is not None and flat and (alpha != alpha.flat[0]).any():
        return np.asarray(alpha)  # drawn on a transparent layer
    first = colours[..., 0]
    if all(np.array_equal(first, colours[..., index]) for index in range(1, colours.shape[2])):
        return np.asarray(first)
    if colours.dtype != np.uint8 or colours.shape[2] != 3:
        raise AnnotationError(f"has {channels} channels of type {values.dtype}.")
    if lossy:
        spread = colours.max(axis=2)
        if _is_bimodal(spread, lossy=True):
            return np.asarray(spread)
        raise AnnotationError("is a JPEG in colours, which JPEG does not keep apart.")
    codes = np.asarray(colours, dtype=np.int64) @ np.array([65536, 256, 1])
    if not (codes == 0).any():
        raise AnnotationError("is in colours without black, so nothing says which colour is background.")
    return np.asarray(codes)


def _is_bimodal(values: NDArray[np.uint8], *, lossy: bool) -> bool:
    """Whether grey values lie near 0 and 255, as in a mask that went through JPEG or was smoothed at its edges."""
    counts = np.bincount(values.reshape(-1), minlength=256)
    dark, light = counts[:_NEAR].sum(), counts[256 - _NEAR :].sum()
    between = values.size - dark - light
    if lossy:  # no label map can be in there
        return bool(light > 0 and between <= 0.1 * values.size and light >= 0.8 * (light + between))
    # a label map with few objects lies near 0 only; one with many spreads evenly
    whitest = counts[240:].sum()
    return bool(whitest > 0 and between <= 0.05 * values.size and whitest >= 0.8 * counts[16:].sum())


def _check_regions(values: NDArray[Any]) -> None:
    """Refuse a photograph in place of a mask: within an object of a label map, neighbours have the same number."""
    left, right = values[:, :-1], values[:, 1:]
    inside = (left > 0) & (right > 0)
    if inside.sum() >= 100 and (left == right)[inside].mean() < 0.5:
        raise AnnotationError("looks like a photograph: its grey values change from pixel to pixel.")
