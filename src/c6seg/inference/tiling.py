"""Whole images where they fit the memory budget, overlapping tiles where they do not.

A tile is predicted with a margin (halo) of its surroundings; inside the overlap of two tiles their probabilities are
mixed with weights that rise linearly from the border, so that no seam shows. Tile origins lie on multiples of the
network's stride, so that every tile meets the same grid as the whole image does.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from c6seg.errors import ConfigError
from c6seg.inference.engine import Engine
from c6seg.transforms.preprocess import pad_to_multiple

# Peak memory of the network per input pixel, rounded up. Measured on OpenVINO in f32, 512x512 to 2048x2048 px:
# MobileNetV2 450-630, MiT-B3 520-610, EfficientNet-b5 610-650, VGG19 810-880 bytes. In bf16 the same network takes 0.55
# of that (MobileNetV2, 1408x1408 to 2592x1952 px: 250 bytes).
BYTES_PER_PX = 1000
BF16_SHARE = 0.6
HALO_PX = 128


def predict(
    engine: Engine,
    image: NDArray[np.float32],
    *,
    multiple: int = 32,
    memory_mb: int = 2000,
    halo_px: int = HALO_PX,
) -> NDArray[np.float32]:
    """Probability of every pixel of one picture.

    Parameters
    ----------
    engine
        Runs the network.
    image
        Network input, float32 (3, Y, X), any size from 1 x 1.
    multiple
        Height and width handed to the network are multiples of this, px; the border is mirrored outwards.
    memory_mb
        Budget for the network, MB; it decides the size of the tiles.
    halo_px
        Margin that each tile sees beyond the part that counts, px.

    Returns
    -------
    NDArray
        float32 (Y, X) in 0..1.

    Raises
    ------
    ConfigError
        The picture has another shape.
    """
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
        raise ConfigError(f"The network input has shape {image.shape}; expected (3, Y, X).")
    size_hw = (int(image.shape[1]), int(image.shape[2]))
    padded = pad_to_multiple(image, multiple)
    per_px = BYTES_PER_PX * (BF16_SHARE if engine.precision == "bf16" else 1)
    limit = max(1, int(memory_mb * 1_000_000 / per_px))
    if padded.shape[1] * padded.shape[2] <= limit:
        probability = engine.run(padded[None])[0, 0]
    else:
        probability = _tiled(engine, padded, multiple=multiple, limit_px=limit, halo_px=halo_px)
    clipped: NDArray[np.float32] = np.clip(probability[: size_hw[0], : size_hw[1]], 0, 1)
    return clipped


def tile_size(size_hw: tuple[int, int], *, multiple: int, limit_px: int, halo_px: int) -> tuple[int, int]:
    """Choose the height and width of the tiles, each a multiple of ``multiple``, that give the least work in all.

    A tile is never smaller than two halos and one step, whatever the budget: below that it would be all margin.

    Examples
    --------
    >>> tile_size((1952, 2592), multiple=32, limit_px=2_000_000, halo_px=128)  # two by two
    (1120, 1440)
    """
    smallest = _up(2 * halo_px + multiple, multiple)
    limit_px = max(limit_px, min(size_hw[0], smallest) * min(size_hw[1], smallest))

    def side(size: int, count: int) -> int:
        """Shortest side with which ``count`` overlapping tiles cover ``size``."""
        return min(size, max(smallest, _up(math.ceil((size + 2 * halo_px * (count - 1)) / count), multiple)))

    best = None
    for rows in range(1, size_hw[0] // multiple + 2):
        height = side(size_hw[0], rows)
        room = limit_px // height // multiple * multiple
        if room < min(size_hw[1], smallest):
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


def _tiled(
    engine: Engine, image: NDArray[np.float32], *, multiple: int, limit_px: int, halo_px: int
) -> NDArray[np.float32]:
    height, width = image.shape[1:]
    tile_h, tile_w = tile_size((height, width), multiple=multiple, limit_px=limit_px, halo_px=halo_px)
    total = np.zeros((height, width), np.float32)
    weights = np.zeros((height, width), np.float32)
    for top in tile_starts(height, tile_h, multiple=multiple, halo_px=halo_px):
        ramp_y = _ramp(tile_h, halo_px, first=top == 0, last=top + tile_h == height)
        for left in tile_starts(width, tile_w, multiple=multiple, halo_px=halo_px):
            ramp_x = _ramp(tile_w, halo_px, first=left == 0, last=left + tile_w == width)
            here = np.s_[top : top + tile_h, left : left + tile_w]
            weight = ramp_y[:, None] * ramp_x
            total[here] += weight * engine.run(image[None, :, here[0], here[1]])[0, 0]
            weights[here] += weight
    return total / weights


def _ramp(size: int, halo_px: int, *, first: bool, last: bool) -> NDArray[np.float32]:
    """Weight along one axis: next to nothing in the outer half of the halo, then linear to 1; no ramp at the border."""
    distance = np.arange(size, dtype=np.float32) + 0.5
    rise = np.clip((distance - halo_px / 2) / max(halo_px, 1), 1e-6, 1)
    ramp = np.ones(size, np.float32)
    if not first:
        ramp *= rise
    if not last:
        ramp *= rise[::-1]
    return ramp


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
