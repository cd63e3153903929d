"""Whole images where they fit the memory budget, overlapping tiles where they do not.

A tile is predicted with a margin (halo) of its surroundings, of which the outer part counts nothing; in the middle of
the overlap of two tiles their probabilities are mixed with weights that rise smoothly, so that no seam shows. Tile
origins lie on multiples of the network's stride, so that every tile meets the same grid as the whole image does. Tiles
are predicted row by row, and rows of the image are given away as soon as no later tile changes them: neither the image
nor its probabilities need lie in memory whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c6seg.errors import ConfigError
from c6seg.inference import budget
from c6seg.inference.engine import Engine

# Peak memory of the network per input pixel on OpenVINO in f32, rounded up. Measured, 512x512 to 2592x1952 px:
# MobileNetV2 450-660 (at most 490 from 1 Mpx on), MiT-B3 520-610, EfficientNet-b5 610-650, VGG19 810-880 bytes. In
# bf16 the same network takes 0.55 to 0.6 of that (MobileNetV2: 270-290 bytes from 1.5 Mpx on).
BYTES_PER_PX = 1000
MEASURED_BYTES_PER_PX = {"MobileNetV2": 490, "VGG19": 900}
BF16_SHARE = 0.6

USUAL_MB = budget.USUAL_MB

MOST_WORK = 1.5
"""Pixels computed for each pixel of a picture above which more than :data:`USUAL_MB` is taken, if it is free."""

# What lies beyond the edge of a tile moves the probability by less than 0.02, the tolerance that the tests hold masks
# to, from 176 px on. Measured with the embedded model: an edge moves it by up to 0.17 at 128 px, 0.06 at 160, 0.011 at
# 176, 0.002 at 208, nothing from 352 px on (docs/benchmarks.md). HALO_PX - RAMP_PX / 2 px at the edge count
# nothing.
HALO_PX = 208
RAMP_PX = 64
"""Width over which two tiles are mixed, in the middle of their overlap of two halos."""

Fetch = Callable[[int, int, int, int], NDArray[np.float32]]
"""(top, bottom, left, right) to that part of the network input, float32 (3, bottom - top, right - left)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the tiles of a picture lie.

    Parameters
    ----------
    size_hw
        Height and width of the picture, px.
    padded_hw
        The same, up to the next multiples of the stride.
    tile_hw
        Height and width of every tile, px.
    tops, lefts
        Where tiles begin, px; every pair is one tile.
    halo_px
        Half of the least overlap of neighbours, px.
    """

    size_hw: tuple[int, int]
    padded_hw: tuple[int, int]
    tile_hw: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    halo_px: int

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return len(self.tops) * len(self.lefts)

    @property
    def work_px(self) -> int:
        """Pixels that the network computes in all, overlaps counted twice."""
        return self.tiles * self.tile_hw[0] * self.tile_hw[1]


def plan_tiles(
    size_hw: tuple[int, int],
    *,
    multiple: int = 32,
    limit_px: int,
    halo_px: int = HALO_PX,
    max_height: int | None = None,
) -> Plan:
    """Cut a picture into tiles of at most ``limit_px`` pixels, or into one; see :func:`tile_size`."""
    padded = (_up(size_hw[0], multiple), _up(size_hw[1], multiple))
    tile = padded
    if padded[0] * padded[1] > limit_px or (max_height is not None and padded[0] > max_height):
        tile = tile_size(padded, multiple=multiple, limit_px=limit_px, halo_px=halo_px, max_height=max_height)
    tops, lefts = (
        tuple(tile_starts(size, part, multiple=multiple, halo_px=halo_px))
        for size, part in zip(padded, tile, strict=True)
    )
    return Plan(size_hw, padded, tile, tops, lefts, halo_px)


def limit_px(engine: Engine, memory_mb: int, *, encoder: str = "") -> int:
    """Largest number of pixels that a tile may have within a budget for the network, MB."""
    return max(1, int(memory_mb * 1_000_000 / bytes_per_px(engine, encoder)))


def bytes_per_px(engine: Engine, encoder: str = "") -> float:
    """Memory that a network takes for each pixel at its peak, as measured, or a safe guess for others."""
    return MEASURED_BYTES_PER_PX.get(encoder, BYTES_PER_PX) * (BF16_SHARE if engine.precision == "bf16" else 1)


def least_mb(engine: Engine, *, multiple: int = 32, halo_px: int = HALO_PX, encoder: str = "") -> int:
    """Memory that the network takes for the smallest tile that there is, MB, whatever the budget."""
    return math.ceil(_smallest(multiple, halo_px) ** 2 * bytes_per_px(engine, encoder) / 1e6)


def roomy_mb(engine: Engine, size_hw: tuple[int, int], *, multiple: int, halo_px: int, encoder: str) -> int:
    """Budget for a picture where the user gives none: the usual one, more for those that it would cut too small.

    A network that needs much memory, or a picture that is narrow, gets tiles of which most pixels are computed several
    times; where that is more than half of the work again, up to :func:`~c6seg.inference.budget.most_mb` saves the time.
    A picture that one tile holds needs no more than its own.
    """
    plan = plan_tiles(size_hw, multiple=multiple, limit_px=limit_px(engine, USUAL_MB, encoder=encoder), halo_px=halo_px)
    whole_px = math.prod(plan.padded_hw)
    if plan.work_px <= MOST_WORK * whole_px:
        return USUAL_MB
    needed_mb = math.ceil(whole_px * bytes_per_px(engine, encoder) / 1e6) + 1
    return max(USUAL_MB, min(needed_mb, budget.most_mb()))


def predict(
    engine: Engine,
    image: NDArray[np.float32],
    *,
    multiple: int = 32,
    memory_mb: int | None = USUAL_MB,
    halo_px: int = HALO_PX,
    encoder: str = "",
    prepare: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:
    """Probability of every pixel of one picture.

    Parameters
    ----------
    engine
        Runs the network.
    image
        Network input, float32 (3, Y, X), any size from 1 x 1; with ``prepare``, what that turns into it.
    multiple
        Height and width handed to the network are multiples of this, px; the border is mirrored outwards.
    memory_mb
        Budget for the network, MB; it decides the size of the tiles. None: see :func:`roomy_mb`.
    halo_px
        Margin that each tile sees beyond the part that counts, px.
    encoder
        Name of the network's encoder, if its need of memory was measured.
    prepare
        Turns a part of ``image``, (Y, X) or (Y, X, 3), into network input (3, Y, X), each pixel for itself; a large
        picture is then never prepared whole.

    Returns
    -------
    NDArray
        float32 (Y, X) in 0..1.

    Raises
    ------
    ConfigError
        The picture has another shape.
    """
    expected = image.ndim == 3 and image.shape[0] == 3 if prepare is None else image.ndim in {2, 3}
    if not expected or 0 in image.shape:
        raise ConfigError(f"The network input has shape {image.shape}; expected (3, Y, X).")
    height, width = image.shape[1:] if prepare is None else image.shape[:2]

    def fetch(top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        return image[:, top:bottom, left:right] if prepare is None else prepare(image[top:bottom, left:right])

    if memory_mb is None:
        memory_mb = roomy_mb(engine, (height, width), multiple=multiple, halo_px=halo_px, encoder=encoder)
    limit = limit_px(engine, memory_mb, encoder=encoder)
    plan = plan_tiles((height, width), multiple=multiple, limit_px=limit, halo_px=halo_px)
    probability = np.empty((height, width), np.float32)
    for top, rows in predict_rows(engine, plan, fetch):
        probability[top : top + len(rows)] = rows
    return probability


def predict_rows(engine: Engine, plan: Plan, fetch: Fetch) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Probability of a picture, in bands from top to bottom.

    Parameters
    ----------
    engine
        Runs the network.
    plan
        Where the tiles lie.
    fetch
        Gives parts of the network input; never asked for rows above those that the band before began with.

    Yields
    ------
    tuple
        First row of the band, and the band: float32 (rows, X) in 0..1. A last band that is only padding is left out.
    """
    (tile_h, tile_w), (height, width) = plan.tile_hw, plan.size_hw
    ramps_y = _weights(plan.tops, tile_h, plan.padded_hw[0], plan.halo_px)
    ramps_x = _weights(plan.lefts, tile_w, plan.padded_hw[1], plan.halo_px)
    total = np.zeros((tile_h, plan.padded_hw[1]), np.float32)
    for row, top in enumerate(plan.tops):
        for left, ramp in zip(plan.lefts, ramps_x, strict=True):
            part = pad_to(fetch(top, min(top + tile_h, height), left, min(left + tile_w, width)), plan.tile_hw)
            found = engine.run(part[None])[0, 0]
            if plan.tiles == 1:
                yield 0, np.clip(found[:height, :width], 0, 1)
                return
            total[:, left : left + tile_w] += ramps_y[row][:, None] * ramp * found
        ready = (plan.tops[row + 1] if row + 1 < len(plan.tops) else plan.padded_hw[0]) - top
        rows = np.clip(total[: min(ready, height - top), :width], 0, 1)
        if len(rows):
            yield top, rows
        total[: tile_h - ready] = total[ready:].copy()
        total[tile_h - ready :] = 0


def tile_size(
    size_hw: tuple[int, int], *, multiple: int, limit_px: int, halo_px: int, max_height: int | None = None
) -> tuple[int, int]:
    """Choose the height and width of the tiles, each a multiple of ``multiple``, that give the least work in all.

    A tile is never smaller than two halos and one step, whatever the budget: below that it would be all margin.

    Examples
    --------
    >>> tile_size((1952, 2592), multiple=32, limit_px=2_000_000, halo_px=192)  # two by two
    (1184, 1504)
    """
    smallest = _smallest(multiple, halo_px)
    limit_px = max(limit_px, min(size_hw[0], smallest) * min(size_hw[1], smallest))

    def side(size: int, count: int) -> int:
        """Shortest side with which ``count`` overlapping tiles cover ``size``."""
        return min(size, max(smallest, _up(math.ceil((size + 2 * halo_px * (count - 1)) / count), multiple)))

    best = None
    for rows in range(1, size_hw[0] // multiple + 2):
        height = side(size_hw[0], rows)
        room = limit_px // height // multiple * multiple
        too_high = max_height is not None and height > max(max_height, smallest)
        if room < min(size_hw[1], smallest) or too_high:
            continue
        columns = 1 if room >= size_hw[1] else math.ceil((size_hw[1] - 2 * halo_px) / (room - 2 * halo_px))
        width = side(size_hw[1], columns)
        work = (rows * columns * height * width, rows * columns)
        if best is None or work < best[0]:
            best = (work, (height, width))
        if height <= smallest:
            break
    return best[1] if best else (min(size_hw[0], smallest), min(size_hw[1], smallest))


def tile_starts(size: int, tile: int, *, multiple: int, halo_px: int) -> list[int]:
    """Place tiles along one axis so that neighbours overlap by at least two halos; starts are multiples of the stride.

    Examples
    --------
    >>> tile_starts(1024, 512, multiple=32, halo_px=64)
    [0, 256, 512]
    """
    if tile >= size:
        return [0]
    step = max(multiple, (tile - 2 * halo_px) // multiple * multiple)
    count = math.ceil((size - tile) / step)
    last = (size - tile) // multiple
    return sorted({last * index // count * multiple for index in range(count)} | {size - tile})


def pad_to(part: NDArray[np.float32], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Pad (3, Y, X) at the bottom and right by reflection to a size; reflection repeats where it is smaller."""
    missing = [(0, 0)] + [(0, size - have) for size, have in zip(size_hw, part.shape[1:], strict=True)]
    return part if not any(after for _, after in missing) else np.pad(part, missing, mode="symmetric")


def _weights(starts: tuple[int, ...], tile: int, size: int, halo_px: int) -> list[NDArray[np.float32]]:
    """Weights of every tile along one axis; those of all tiles that cover a pixel add up to 1."""
    total = np.zeros(size)
    ramps = [_ramp(tile, halo_px, first=start == 0, last=start + tile == size) for start in starts]
    for start, ramp in zip(starts, ramps, strict=True):
        total[start : start + tile] += ramp
    parts = zip(starts, ramps, strict=True)
    return [(ramp / total[start : start + tile]).astype(np.float32) for start, ramp in parts]


def _ramp(size: int, halo_px: int, *, first: bool, last: bool) -> NDArray[np.float64]:
    """Weight along one axis: nothing up to half a ramp before the halo ends, then up to 1; no ramp at the border."""
    width = min(RAMP_PX, max(halo_px, 1))
    distance = np.arange(size) + 0.5
    rise = np.clip((distance - halo_px + width / 2) / width, 0, 1)
    rise = np.maximum(rise * rise * (3 - 2 * rise), 1e-9)
    ramp = np.ones(size)
    if not first:
        ramp *= rise
    if not last:
        ramp *= rise[::-1]
    return ramp


def _smallest(multiple: int, halo_px: int) -> int:
    """Shortest side of a tile that is not all margin, px."""
    return _up(2 * halo_px + multiple, multiple)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
