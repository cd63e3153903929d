"""Any microscope image or series to frames, masks out. (Skeleton: the reader is being written.)"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture.

    Parameters
    ----------
    pixels
        (Y, X) or (Y, X, C) with C = 3; uint8, uint16 or float32. An alpha channel is dropped on reading.
    name
        File name without suffix.
    index
        Number of the frame within its file, from 0.
    pixel_size_um
        Edge of a pixel in um, or None if the file does not say.
    time_h
        Time in hours since the first frame of the file (or absolute stage clock where a file holds one frame),
        or None if the file does not say.
    source
        The file, or None for pictures made in memory.
    """

    pixels: NDArray[np.generic]
    name: str
    index: int = 0
    pixel_size_um: float | None = None
    time_h: float | None = None
    source: Path | None = None
