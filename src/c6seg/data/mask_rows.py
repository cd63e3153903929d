"""Masks larger than memory, written from rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from c6seg.runtime import atomic_path

__all__ = ["TILE_PX", "write_mask_rows"]

TILE_PX = 512
_CLASSIC_BYTES = 4_000_000_000


def write_mask_rows(path: str | Path, bands: Iterable[NDArray[np.bool_]], size_hw: tuple[int, int]) -> None:
    """Write a mask as a tiled TIFF, 255 = cell, whole or not at all.

    Parameters
    ----------
    path
        ``.tif``. BigTIFF where the mask has more than 4 GB before compression.
    bands
        The mask from top to bottom, (rows, X) each; taken one by one.
    size_hw
        Height and width of the whole, px.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    import tifffile

    height, width = size_hw
    with atomic_path(Path(path)) as temporary:
        tifffile.imwrite(
            temporary,
            _tiles(bands, width),
            shape=size_hw,
            dtype=np.uint8,
            tile=(TILE_PX, TILE_PX),
            photometric="minisblack",
            compression="zlib",
            bigtiff=height * width > _CLASSIC_BYTES,
            metadata={"axes": "YX"},
            maxworkers=1,  # more threads would take many tiles ahead
        )


def _tiles(bands: Iterable[NDArray[np.bool_]], width: int) -> Iterator[NDArray[np.uint8]]:
    """Cut bands of any height into tiles, row by row; those at the border are filled up with background."""
    across = -(-width // TILE_PX)
    buffer, filled = np.zeros((TILE_PX, across * TILE_PX), np.uint8), 0
    for band in bands:
        start = 0
        while start < len(band):
            count = min(TILE_PX - filled, len(band) - start)
            buffer[filled : filled + count, :width] = band[start : start + count] * np.uint8(255)
            filled, start = filled + count, start + count
            if filled == TILE_PX:
                yield from _cut(buffer)
                buffer, filled = np.zeros_like(buffer), 0
    if filled:
        yield from _cut(buffer)


def _cut(rows: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for left in range(0, rows.shape[1], TILE_PX):
        yield np.ascontiguousarray(rows[:, left : left + TILE_PX])
