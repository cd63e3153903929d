"""How long a large image will take and how much memory, said before it begins."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from c6seg import machine, runtime
from c6seg.data.regions import RowReader
from c6seg.inference.segmenter import Segmenter
from c6seg.inference.survey import BAND_PX, survey_seconds
from c6seg.inference.tiling import Plan, bytes_per_px

BASE_MB = 250
"""Memory of the program and its libraries, measured."""

BAND_BYTES_PER_PX = 40
"""Memory for the pixels that are worked on at a time, besides the bands that are kept."""

AROUND_NS_PER_PX = 25
"""Time for contrast, scale, mask and writing, per pixel of the image and of the network's picture, measured."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a large image will take.

    Parameters
    ----------
    name
        The image.
    size_hw
        Its height and width, px.
    plan
        The tiles.
    seconds
        Wall time, on this machine as busy as it is now.
    memory_mb
        Largest memory of the program.
    available_mb
        Memory that is still to be had; None where the system does not say.
    """

    name: str
    size_hw: tuple[int, int]
    plan: Plan
    seconds: float
    memory_mb: float
    available_mb: float | None

    def words(self) -> str:
        """Say it in one line."""
        height, width = self.size_hw
        tile_h, tile_w = self.plan.tile_hw
        return (
            f"'{self.name}' is {width}x{height} px and is read by rows: {self.plan.tiles} tiles of "
            f"{tile_w}x{tile_h} px, about {duration(self.seconds)} and {self.memory_mb / 1000:.1f} GB of memory"
        )


def forecast(segmenter: Segmenter, reader: RowReader, plan: Plan, name: str) -> Forecast:
    """Try one tile and two bands of rows, and multiply.

    Parameters
    ----------
    segmenter
        The model.
    reader
        The image.
    plan
        Its tiles.
    name
        Its name.
    """
    empty = np.zeros((1, 3, *plan.tile_hw), np.float32)
    segmenter.engine.run(empty)  # the first picture of a size takes longer
    started = time.perf_counter()
    segmenter.engine.run(empty)
    network = (time.perf_counter() - started) * plan.tiles
    around = AROUND_NS_PER_PX * 1e-9 * (math.prod(reader.size_hw) + math.prod(plan.size_hw))
    seconds = network + around + survey_seconds(reader, segmenter.preprocess.config)
    return Forecast(
        name, reader.size_hw, plan, seconds, needed_mb(segmenter, reader, plan), machine.available_memory_mb()
    )


def needed_mb(segmenter: Segmenter, reader: RowReader, plan: Plan) -> float:
    """Largest memory that a large image takes in all, MB."""
    spec = segmenter.bundle.spec
    channels = 1 if spec.preprocess.channels == "grey" else 3
    tile_px = math.prod(plan.tile_hw)
    network = tile_px * (bytes_per_px(segmenter.engine, spec.encoder) + 4 * (3 + 2))
    bands = plan.tile_hw[0] * plan.padded_hw[1] * 4 * (channels + 2)
    value = np.dtype(reader.dtype).itemsize * (3 if reader.colours else 1)
    pieces = 2 * reader.piece_rows * reader.size_hw[1] * value
    return BASE_MB + (network + bands + pieces + BAND_PX * BAND_BYTES_PER_PX * channels) / 1e6


def announce(found: Forecast) -> None:
    """Say a forecast on stderr, as a warning where the memory will not do."""
    short = found.available_mb is not None and found.memory_mb > found.available_mb
    if short:
        advice = f"only {found.available_mb or 0:.0f} MB are free: close other programs, or lower --memory"
        runtime.logger.warning("%s; %s", found.words(), advice)
    else:
        runtime.logger.log(runtime.NOTICE, "%s", found.words())


def duration(seconds: float) -> str:
    """Give a time in words, to two digits at most.

    Examples
    --------
    >>> [duration(value) for value in (3.2, 75, 400, 9000)]
    ['3 s', '75 s', '7 min', '2.5 h']
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
