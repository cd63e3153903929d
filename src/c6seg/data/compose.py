"""Dense scenes from real cells: annotated cells of sparse photographs, pasted into nearly full layers.

Cut-and-paste augmentation (Dwibedi, Misra and Hebert, ICCV 2017; Ghiasi et al., CVPR 2021) for phase contrast: what is
pasted is the deviation from the local background, with its halo, so that light and contrast match the place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from c6seg.data.synthetic_optics import smooth
from c6seg.errors import AnnotationError, UsageError
from c6seg.runtime import seed_for

__all__ = ["compose_dense"]

Image = NDArray[np.float32]
_FEATHER_PX = 5
_STEP = 4  # places are searched on a grid of this many px
_MOST_SOURCES = 4
_MOST_OVERLAP = 0.06
_MOST_OVERLAP_FULL = 0.35  # where nothing else fits and the layer shall be fuller
_PATIENCE = 4


class _Source(NamedTuple):
    """A photograph taken apart: background (Y, X), deviation from it (Y, X) in units of its spread, labels, spread."""

    background: Image
    deviation: Image
    labels: NDArray[np.int32]
    spread: float


class _Cutout(NamedTuple):
    """A cell cut out: deviation, its own mask, weight of pasting (all (y, x))."""

    deviation: Image
    mask: NDArray[np.bool_]
    weight: Image


def compose_dense(
    images: Sequence[NDArray[np.generic]],
    labels: Sequence[NDArray[np.integer]],
    *,
    size_hw: tuple[int, int],
    seed: int,
    coverage: float | None = None,
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], NDArray[np.int32]]:
    """Compose one dense, partly touching layer from annotated photographs.

    A patch of one photograph is the background, with the cells that it has; cells of this and up to three other
    photographs fill it, turned and mirrored, side by side with what is already there.

    Parameters
    ----------
    images
        Photographs, each (Y, X), uint8 or uint16.
    labels
        Their label maps, each (Y, X), 0 = no cell.
    size_hw
        Height and width of the scene in px, at least 32 and not more than the largest photograph.
    seed
        The same arguments give the same scene.
    coverage
        Covered share to stop at, 0..1; None draws it between 0.35 and 0.98. Less is reached where nothing fits.

    Returns
    -------
    pixels
        (Y, X) in the type of the photograph that gave the background.
    labels
        (Y, X) int32, 0 = no cell, 1..n.

    Raises
    ------
    UsageError
        No photographs, not as many label maps, no annotated cell, or a size that no photograph has.
    AnnotationError
        A label map of another size than its photograph.
    """
    rng = np.random.default_rng(seed_for(seed, "compose dense"))
    chosen = _choose(images, labels, size_hw, rng)
    sources = [_take_apart(images[k], labels[k]) for k in chosen]
    height, width = sources[0].labels.shape
    y0, x0 = int(rng.integers(height - size_hw[0] + 1)), int(rng.integers(width - size_hw[1] + 1))
    patch = (slice(y0, y0 + size_hw[0]), slice(x0, x0 + size_hw[1]))
    background = sources[0].background[patch]
    scene, owner = sources[0].deviation[patch].copy(), _renumber(sources[0].labels[patch])
    target = float(rng.uniform(0.35, 0.98)) if coverage is None else coverage
    cells = [(number, label) for number, source in enumerate(sources) for label in _whole_cells(source.labels)]
    if not cells:
        raise UsageError("No annotated cell lies wholly inside its photograph; nothing can be pasted.")
    failures = 0
    while (owner > 0).mean() < target and failures < 3 * _PATIENCE:
        number, label = cells[int(rng.integers(len(cells)))]
        cutout = _cut(sources[number], label, rng)
        overlap = _MOST_OVERLAP if failures < _PATIENCE else _MOST_OVERLAP_FULL
        place = _place(owner > 0, cutout.mask, overlap, rng)
        if place is None:
            failures += 1
            continue
        _paste(scene, owner, cutout, place)
    pixels = background + scene * np.float32(sources[0].spread)
    if images[chosen[0]].dtype == np.uint8:
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), _renumber(owner)
    return np.clip(np.rint(pixels), 0, 65535).astype(np.uint16), _renumber(owner)


def _choose(
    images: Sequence[NDArray[np.generic]],
    labels: Sequence[NDArray[np.integer]],
    size_hw: tuple[int, int],
    rng: np.random.Generator,
) -> list[int]:
    """Check the input and draw the photographs to work with; the first gives the background."""
    if not images or len(images) != len(labels):
        raise UsageError(f"{len(images)} images and {len(labels)} label maps; expected as many of both, at least one.")
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        if image.ndim != 2 or image.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
            raise UsageError(f"Image {index} is {image.dtype} {image.shape}; expected uint8 or uint16 (Y, X).")
        if image.shape != label.shape:
            raise AnnotationError(
                f"Label map {index} is {label.shape}, its image {image.shape}; expected the same size."
            )
    big = [k for k, image in enumerate(images) if image.shape[0] >= size_hw[0] and image.shape[1] >= size_hw[1]]
    if not big or min(size_hw) < 32:
        raise UsageError(f"size_hw is {tuple(size_hw)}; expected at least 32 px and not more than the largest image.")
    first = int(rng.choice(big))
    others = [int(k) for k in rng.permutation(len(images)) if k != first]
    return [first, *others[: _MOST_SOURCES - 1]]


def _take_apart(image: NDArray[np.generic], labels: NDArray[np.integer]) -> _Source:
    values = image.astype(np.float32)
    near = ndimage.binary_dilation(labels > 0, iterations=_FEATHER_PX)
    free = (~near).astype(np.float32)
    sigma = 24.0
    weight = smooth(free, sigma)
    level = float(np.median(values[~near])) if free.any() else float(np.median(values))
    # where no background is near, fall back to its typical level
    background = (smooth((values - level) * free, sigma)) / np.maximum(weight, 0.05) + np.float32(level)
    deviation = values - background
    low, high = np.percentile(deviation, [2, 98])
    spread = max(float(high - low), 1e-3)
    relative = np.asarray(deviation / spread, dtype=np.float32)
    return _Source(np.asarray(background, dtype=np.float32), relative, labels.astype(np.int32), spread)


def _whole_cells(labels: NDArray[np.int32]) -> list[int]:
    """Labels that do not touch the border and are neither specks nor giants."""
    border = set(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]).tolist())
    area = np.bincount(labels.ravel())
    return [k for k in range(1, len(area)) if 30 <= area[k] <= 0.1 * labels.size and k not in border]


def _cut(source: _Source, label: int, rng: np.random.Generator) -> _Cutout:
    where = ndimage.find_objects((source.labels == label).astype(np.int8))[0]
    height, width = source.labels.shape
    window = (
        slice(max(where[0].start - _FEATHER_PX, 0), min(where[0].stop + _FEATHER_PX, height)),
        slice(max(where[1].start - _FEATHER_PX, 0), min(where[1].stop + _FEATHER_PX, width)),
    )
    own = source.labels[window] == label
    weight = np.clip(1 - ndimage.distance_transform_edt(~own) / (_FEATHER_PX + 1), 0, 1)
    # what belongs to a neighbour stays behind
    weight[(source.labels[window] > 0) & ~own] = 0
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    step = -1 if mirror else 1
    return _Cutout(
        np.rot90(source.deviation[window], turns)[:, ::step],
        np.rot90(own, turns)[:, ::step],
        np.rot90(weight.astype(np.float32), turns)[:, ::step],
    )


def _place(
    occupied: NDArray[np.bool_], mask: NDArray[np.bool_], most_overlap: float, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Find a corner (y, x) where a mask touches what is there but hardly covers it; None where nothing fits."""
    ground = occupied[::_STEP, ::_STEP].astype(np.float32)
    stamp = mask[::_STEP, ::_STEP].astype(np.float32)
    area = float(stamp.sum())
    rows, columns = ground.shape[0] + 2 * stamp.shape[0], ground.shape[1] + 2 * stamp.shape[1]
    shape = (fft.next_fast_len(rows, real=True), fft.next_fast_len(columns, real=True))
    # around the field all is free, so that cells may stick out of it; half of a cell has to stay inside
    padded = np.zeros(shape, np.float32)
    inner = (
        slice(stamp.shape[0], stamp.shape[0] + ground.shape[0]),
        slice(stamp.shape[1], stamp.shape[1] + ground.shape[1]),
    )
    padded[inner] = ground
    inside = np.zeros(shape, np.float32)
    inside[inner] = 1
    turned = np.conj(fft.rfft2(stamp, shape))
    rim = np.zeros(shape, np.float32)
    rim[inner] = ndimage.binary_dilation(ground > 0, iterations=2).astype(np.float32)
    overlap, within, contact = (fft.irfft2(fft.rfft2(part) * turned, shape) for part in (padded, inside, rim))
    fits = (overlap <= most_overlap * area + 0.5) & (within >= 0.5 * area)
    fits[ground.shape[0] + stamp.shape[0] :] = False
    fits[:, ground.shape[1] + stamp.shape[1] :] = False
    candidates = np.flatnonzero(fits)
    if len(candidates) == 0:
        return None
    drawn = candidates[rng.integers(len(candidates), size=min(len(candidates), 200))]
    # mostly beside a neighbour, sometimes on its own
    score = (
        contact.ravel()[drawn] / area + 0.15 * rng.random(len(drawn)) if rng.random() < 0.85 else rng.random(len(drawn))
    )
    row, column = divmod(int(drawn[int(np.argmax(score))]), shape[1])
    return (row - stamp.shape[0]) * _STEP, (column - stamp.shape[1]) * _STEP


def _paste(scene: Image, owner: NDArray[np.int32], cutout: _Cutout, corner: tuple[int, int]) -> None:
    """Paste a cell in place; outside its own mask it does not disturb the cells that are there."""
    height, width = cutout.mask.shape
    y0, x0 = max(corner[0], 0), max(corner[1], 0)
    y1, x1 = min(corner[0] + height, scene.shape[0]), min(corner[1] + width, scene.shape[1])
    if y0 >= y1 or x0 >= x1:
        return
    part = (slice(y0 - corner[0], y1 - corner[0]), slice(x0 - corner[1], x1 - corner[1]))
    here = (slice(y0, y1), slice(x0, x1))
    mask = cutout.mask[part]
    weight = cutout.weight[part] * np.where(mask | (owner[here] == 0), np.float32(1), np.float32(0.25))
    scene[here] += weight * (cutout.deviation[part] - scene[here])
    owner[here][mask] = owner.max() + 1


def _renumber(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    _, numbers = np.unique(np.append(labels.ravel(), 0), return_inverse=True)
    return numbers[:-1].reshape(labels.shape).astype(np.int32)
