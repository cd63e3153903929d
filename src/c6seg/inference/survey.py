"""What a whole image says before any network sees it, gathered from bands of rows.

The same figures that the way through memory takes from the whole picture: grey values that the contrast is stretched
between, whether there is anything to see, how much is overexposed; and a small picture for the overlay.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c6seg.config import PreprocessConfig
from c6seg.data.regions import RowReader
from c6seg.inference import quality
from c6seg.transforms.percentiles import Percentiles
from c6seg.transforms.preprocess import select_channels, to_grey

BAND_PX = 4_000_000
"""Pixels that are worked on at a time."""

_TOPS = {"uint8": (255,), "uint16": (1023, 4095, 16383, 65535)}


@dataclass(frozen=True, slots=True)
class Survey:
    """Figures of a whole image.

    Parameters
    ----------
    limits
        Grey values at the two percentiles that become 0 and 1.
    flat
        Whether it has one value only.
    nothing, blurred
        Whether it shows nothing, one value or noise; whether a scene far out of focus.
    saturated
        Fraction of pixels at the largest value of the camera; see :func:`c6seg.inference.quality.saturated_fraction`.
    small
        The image reduced, grey, float32 (y, x).
    """

    limits: tuple[float, float]
    flat: bool
    nothing: bool
    blurred: bool
    saturated: float
    small: NDArray[np.float32]


class Reducer:
    """A picture reduced by whole steps, from rows that arrive from top to bottom.

    Parameters
    ----------
    size_hw
        Height and width of the picture, px.
    max_side_px
        The longer side becomes at most this.
    """

    def __init__(self, size_hw: tuple[int, int], max_side_px: int) -> None:
        self._size_hw, self._row = size_hw, 0
        self._step = max(1, -(-max(size_hw) // max_side_px))
        self._sums = np.zeros([-(-size // self._step) for size in size_hw])

    def add(self, rows: NDArray[np.generic]) -> None:
        """Take the next rows, (rows, X)."""
        step, count = self._step, len(rows)
        across = np.add.reduceat(rows, np.arange(0, rows.shape[1], step), axis=1, dtype=np.float32)
        starts = np.unique(np.r_[0, np.arange(-self._row % step, count, step)])
        first = self._row // step
        self._sums[first : first + len(starts)] += np.add.reduceat(across, starts, axis=0)
        self._row += count

    def picture(self) -> NDArray[np.float32]:
        """Mean of every cell, float32 (y, x)."""
        sides = [np.minimum(self._step, size - np.arange(0, size, self._step)) for size in self._size_hw]
        return np.asarray(self._sums / np.multiply.outer(*sides), np.float32)


def band_rows(width: int, *, multiple: int = 1) -> int:
    """Rows of a band of about :data:`BAND_PX` pixels, at least one multiple."""
    return max(1, BAND_PX // width // multiple) * multiple


def passes(reader: RowReader) -> int:
    """How many times :func:`survey` reads the image: once for 8 and 16 bit grey, else twice."""
    return 1 if reader.dtype in {"uint8", "uint16"} and not reader.colours else 2


def survey(
    reader: RowReader,
    preprocess: PreprocessConfig,
    *,
    max_side_px: int = 2048,
    tell: Callable[[float], None] | None = None,
) -> Survey:
    """Read an image band by band and gather its figures.

    Parameters
    ----------
    reader
        The image.
    preprocess
        Channels and percentiles of the model.
    max_side_px
        Longer side of the small picture.
    tell
        Called after every band with the part that is done.
    """
    height, width = reader.size_hw
    step = band_rows(width, multiple=quality.BLOCK_PX)
    tops = range(0, height, step)
    total = passes(reader) * len(tops)
    found = _Figures(reader, preprocess, max_side_px)
    done = 0
    for number in range(passes(reader)):
        for top in tops:
            bottom = min(top + step, height)
            found.add(top, bottom, first=number == 0)
            done += 1
            if tell is not None:
                tell(done / total)
        if not found.percentiles.again():
            break
    return found.survey()


def survey_seconds(reader: RowReader, preprocess: PreprocessConfig) -> float:
    """Time that :func:`survey` will take, from its second band, s."""
    height, width = reader.size_hw
    step = band_rows(width, multiple=quality.BLOCK_PX)
    figures = _Figures(reader, preprocess, 2048)
    seconds = 0.0
    for top in range(0, height, step)[:2]:
        started = time.perf_counter()
        figures.add(top, min(top + step, height), first=True)
        seconds = time.perf_counter() - started
    return seconds * passes(reader) * math.ceil(height / step)


class _Figures:
    """What :func:`survey` gathers."""

    def __init__(self, reader: RowReader, preprocess: PreprocessConfig, max_side_px: int) -> None:
        self._reader, self._channels = reader, preprocess.channels
        copies = 1 if preprocess.channels == "grey" else 3
        count = copies * reader.size_hw[0] * reader.size_hw[1]
        self.percentiles = Percentiles(preprocess.contrast_percentiles, count=count)
        self._least: float = np.inf
        self._most: float = -np.inf
        self._tops = dict.fromkeys(_TOPS.get(reader.dtype, ()), 0)
        self._contrasts: list[NDArray[np.float32]] = []
        self._small = Reducer(reader.size_hw, max_side_px)

    def add(self, top: int, bottom: int, *, first: bool) -> None:
        """Take rows; the second time they are only counted."""
        height, margin = self._reader.size_hw[0], quality.BLOCK_PX
        start, end = max(0, top - margin), min(height, bottom + margin)
        around = self._reader.rows(start, end)
        rows = around[top - start : bottom - start]
        whole = rows.dtype.kind == "u" and rows.ndim == 2
        if whole and self._channels == "grey":
            self.percentiles.add(rows)
        elif whole:
            for _ in range(3):
                self.percentiles.add(rows)
        else:
            self.percentiles.add(select_channels(rows, self._channels))
        if not first:
            return
        self._least, self._most = min(self._least, float(rows.min())), max(self._most, float(rows.max()))
        for value in self._tops:
            at_top: NDArray[np.bool_] = np.asarray(rows == value)
            self._tops[value] += int((at_top if at_top.ndim == 2 else at_top.all(axis=2)).sum())
        grey = to_grey(around)
        self._small.add(grey[top - start : bottom - start])
        if quality.enough_blocks(self._reader.size_hw) and bottom - top >= margin:
            self._contrasts.append(quality.local_contrasts(grey, above=top - start, below=end - bottom).reshape(-1))

    def survey(self) -> Survey:
        flat = self._most <= self._least
        ratio = quality.ratio(np.concatenate(self._contrasts)) if self._contrasts else None
        seen = quality.judge(ratio, self._reader.rows, self._reader.size_hw)
        low, high = self.percentiles.values()
        pixels = self._reader.size_hw[0] * self._reader.size_hw[1]
        return Survey(
            limits=(low, high),
            flat=flat,
            nothing=flat or seen.nothing,
            blurred=seen.blurred and not flat,
            saturated=self._tops.get(int(self._most), 0) / pixels if self._tops else 0.0,
            small=self._small.picture(),
        )
