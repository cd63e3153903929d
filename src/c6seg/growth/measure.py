"""Masks to numbers: confluence and cell area, always of the area that was analysed."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from c6seg.errors import DataError

NEEDED_COLUMNS = ("image", "confluence")


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is known of one frame of one image.

    Parameters
    ----------
    image
        Name of the image, with or without folder and suffix.
    frame
        Number of the frame within its file, from 0.
    confluence
        Covered part of the analysed area, 0..1; None where it could not be measured.
    time_h
        Time that the file itself carries, in hours; any zero point.
    well
        Well, where known.
    cell_area_um2
        Covered area in um2; None where the scale is unknown.
    flags
        Words about the quality of the frame.
    path
        File with the folders that tell it from the other images, where known; they may name well and time.
    plate
        What tells wells of one name apart, where images of one name come from several results; wins over the name.
    """

    image: str
    frame: int = 0
    confluence: float | None = None
    time_h: float | None = None
    well: str | None = None
    cell_area_um2: float | None = None
    flags: tuple[str, ...] = ()
    path: str | None = None
    plate: str | None = None


def confluence(mask: NDArray[np.bool_], *, analysed: NDArray[np.bool_] | None = None) -> float:
    """Return the part of the analysed area that cells cover.

    Parameters
    ----------
    mask
        (Y, X) bool, True = cell.
    analysed
        (Y, X) bool, True = pixel that counts; None = the whole image.

    Returns
    -------
    float
        0..1; NaN where nothing was analysed.

    Raises
    ------
    DataError
        If the mask is not two-dimensional bool, or the shapes differ.

    Examples
    --------
    >>> confluence(np.array([[True, False], [False, False]]))
    0.25
    """
    cells, area = _checked(mask, analysed)
    return float(np.count_nonzero(cells)) / area if area else math.nan


def cell_area_um2(
    mask: NDArray[np.bool_], *, pixel_size_um: float | None, analysed: NDArray[np.bool_] | None = None
) -> float | None:
    """Return the area that cells cover in um2, or None where the pixel size is unknown.

    Parameters
    ----------
    mask
        (Y, X) bool, True = cell.
    pixel_size_um
        Edge of a pixel in um, or None.
    analysed
        (Y, X) bool, True = pixel that counts; None = the whole image.

    Raises
    ------
    DataError
        If the mask is not two-dimensional bool, the shapes differ, or the pixel size is not positive.
    """
    cells, _ = _checked(mask, analysed)
    if pixel_size_um is None:
        return None
    if not (math.isfinite(pixel_size_um) and pixel_size_um > 0):
        raise DataError(f"Pixel size {pixel_size_um} um cannot be used; it must be a positive number of um per pixel.")
    return float(np.count_nonzero(cells)) * pixel_size_um**2


def analysed_area_um2(
    size_hw: tuple[int, int], *, pixel_size_um: float | None, analysed: NDArray[np.bool_] | None = None
) -> float | None:
    """Return the area that was looked at in um2, or None where the pixel size is unknown."""
    if pixel_size_um is None:
        return None
    pixels = size_hw[0] * size_hw[1] if analysed is None else int(np.count_nonzero(analysed))
    return pixels * pixel_size_um**2


def read_measurements(path: Path) -> list[Measurement]:
    """Read the ``measurements.csv`` of a segmentation.

    Raises
    ------
    DataError
        No such file, no table, missing columns, a field that is no number, or no rows.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in NEEDED_COLUMNS if name not in (reader.fieldnames or [])]
            if missing:
                raise DataError(
                    f"'{path}' has no column {' and no column '.join(repr(name) for name in missing)}; "
                    "it is not a measurements.csv of `c6seg segment`."
                )
            rows = [_measurement(row, path, number) for number, row in enumerate(reader, start=2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Cannot read '{path}': {error}") from error
    if not rows:
        raise DataError(f"'{path}' has no rows: nothing was segmented. Look into failures.csv beside it.")
    return rows


def _measurement(row: dict[str, str | None], path: Path, line: int) -> Measurement:
    def number(column: str) -> float | None:
        text = (row.get(column) or "").strip()
        try:
            value = float(text) if text else None
        except ValueError:
            raise DataError(f"'{path}' line {line}: {column} is {text!r}, which is no number.") from None
        return value if value is None or math.isfinite(value) else None

    image = (row.get("image") or "").strip()
    if not image:
        raise DataError(f"'{path}' line {line}: the column 'image' is empty.")
    return Measurement(
        image=image,
        frame=int(number("frame") or 0),
        confluence=number("confluence"),
        time_h=number("time_h"),
        well=(row.get("well") or "").strip() or None,
        cell_area_um2=number("cell_area_um2"),
        flags=tuple((row.get("flags") or "").replace(";", " ").replace(",", " ").split()),
    )


def _checked(mask: NDArray[np.bool_], analysed: NDArray[np.bool_] | None) -> tuple[NDArray[np.bool_], int]:
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise DataError(f"A mask must be (Y, X) bool; this one is {mask.shape} {mask.dtype}.")
    if analysed is None:
        return mask, mask.size
    if analysed.shape != mask.shape:
        raise DataError(f"The mask is {mask.shape} and the analysed area {analysed.shape}; they must have one shape.")
    return mask & analysed, int(np.count_nonzero(analysed))
