"""Overlays inside the report: which times are shown, and small JPEGs of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c6seg.growth.words import short

STRIP_PX, LARGE_PX = 220, 760
# Pictures of a series in its film strip, and larger ones below it, for up to so many series.
# A plate of 96 wells would otherwise carry a thousand pictures.
AMOUNTS = ((12, 8, 3), (48, 6, 1), (1_000_000, 6, 0))
QUALITY = 80

Timed = tuple[float, Path]
Key = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """An overlay inside the report: caption, JPEG as a data address, width and height."""

    caption: str
    address: str
    size: tuple[int, int]


def amounts(number_of_series: int) -> tuple[int, int]:
    """Return how many small and how many larger pictures a series gets."""
    return next((strip, large) for most, strip, large in AMOUNTS if number_of_series <= most)


def spread(pictures: Sequence[Timed], wanted: int) -> list[Timed]:
    """Choose pictures that are evenly spread over their times, first and last included.

    Examples
    --------
    >>> [time for time, _ in spread([(float(t), Path()) for t in range(10)], 4)]
    [0.0, 3.0, 6.0, 9.0]
    """
    ordered = sorted(pictures, key=lambda item: item[0])
    if len(ordered) <= wanted:
        return ordered
    if wanted < 2:
        return ordered[-1:] if wanted else []
    targets = np.linspace(ordered[0][0], ordered[-1][0], wanted)
    times = np.array([time for time, _ in ordered])
    return [ordered[index] for index in sorted({int(np.abs(times - time).argmin()) for time in targets})]


def key(path: Path, width_px: int) -> Key | None:
    """Return what tells one state of a picture file from another; None where it cannot be read."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return str(path), state.st_mtime_ns, state.st_size, width_px


class Darkroom:
    """Makes small pictures, on threads, while figures are drawn; keeps those it has made.

    Decoding a JPEG lets other threads go on, so that a plate's pictures are ready when its figures are.

    Parameters
    ----------
    kept
        Pictures of an earlier report; new ones are added.
    """

    def __init__(self, kept: dict[Key, Picture | None]) -> None:
        self.kept = kept
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="c6seg-pictures")
        self._waiting: dict[Key, Future[Picture | None]] = {}

    def __enter__(self) -> Darkroom:
        return self

    def __exit__(self, *reason: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def order(self, items: Sequence[Timed], width_px: int) -> None:
        """Begin to make pictures."""
        for _, path in items:
            what = key(path, width_px)
            if what is not None and what not in self.kept and what not in self._waiting:
                self._waiting[what] = self._pool.submit(thumbnail, path, width_px)

    def fetch(self, items: Sequence[Timed], width_px: int) -> tuple[Picture, ...]:
        """Return pictures with their times as captions; missing and unreadable files are passed over."""
        self.order(items, width_px)
        found = []
        for time, path in items:
            what = key(path, width_px)
            if what is None:
                continue
            if what in self._waiting:
                self.kept[what] = self._waiting.pop(what).result()
            picture = self.kept.get(what)
            if picture is not None:
                found.append(Picture(caption(time), picture.address, picture.size))
        return tuple(found)


def thumbnail(path: Path, width_px: int) -> Picture | None:
    """Return a picture file as a small JPEG, or None where it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.draft("RGB", (width_px, width_px))  # a JPEG is decoded at the size that is needed, not whole
            picture = image.convert("RGB")
            picture.thumbnail((width_px, 4 * width_px), Image.Resampling.LANCZOS)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError):
        return None
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return Picture("", address(buffer.getvalue(), "jpeg"), picture.size)


def caption(time_h: float) -> str:
    """Return what stands below a picture: its time."""
    return f"{short(time_h)} h"


def address(data: bytes, kind: str) -> str:
    """Return a picture as a data address."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
