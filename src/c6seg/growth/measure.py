"""Masks to numbers: confluence and cell area, always of the area that was analysed."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from c6seg.errors import DataError, UsageError, did_you_mean
from c6seg.growth.words import counted, few

NEEDED_COLUMNS = ("image", "confluence")
FLAGS = (
    "empty_field",
    "mask_does_not_fit",
    "no_contrast",
    "out_of_focus",
    "overexposed",
    "scale_extreme",
    "scale_unknown",
    "unlike_training",
)
"""Words about the quality of a frame that c6seg knows; a table that was made elsewhere may have others."""
# Confluence and area are rounded in the table; masks that do not fit are off by far more than this part.
ROUNDING = 0.01


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
    cluster_fraction
        Part of the analysed area in clusters, 0..1, measured apart from the confluence; None where it was not.
    object_count
        Number of cells; None where touching cells were not split.
    mean_object_area_um2
        Mean area of a cell in um2; None where it is unknown.
    uncertainty
        Of the model about its mask, as ``c6seg segment`` writes it; None where there was no model.
    width_px, height_px
        Size of the mask; None where unknown.
    pixel_size_um
        Edge of a pixel in um; None where unknown.
    sha256
        Hash of the image file, to find one picture under two names; None where unknown.
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
    cluster_fraction: float | None = None
    object_count: int | None = None
    mean_object_area_um2: float | None = None
    uncertainty: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    pixel_size_um: float | None = None
    sha256: str | None = None


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


def fits_image(row: Measurement) -> bool:
    """Whether the covered area can lie in the image; a mask of another image, or at another scale, gives more.

    The area that was analysed, which is the covered area divided by the confluence, is never more than the image. True
    where something is unknown.
    """
    known = (row.cell_area_um2, row.confluence, row.width_px, row.height_px, row.pixel_size_um)
    if any(value is None for value in known):
        return True
    area, part, width, height, edge = (float(value) for value in known if value is not None)
    return area <= max(part, 1e-3) * width * height * edge**2 * (1 + ROUNDING)


def check_flags(words: Iterable[str], rows: Iterable[Measurement] = ()) -> None:
    """Refuse flags that c6seg does not know and no row has.

    Raises
    ------
    UsageError
        It names the known ones, the nearest first.
    """
    known = {*FLAGS, *(flag for row in rows for flag in row.flags)}
    for word in words:
        if word not in known:
            raise UsageError(did_you_mean(word, known, what="quality flag"))


def size_notes(rows: Sequence[Measurement]) -> tuple[str, ...]:
    """Say in words which images of one series differ from the others in size or scale, or lack the scale."""
    notes = []
    sizes = Counter((row.width_px, row.height_px) for row in rows if row.width_px and row.height_px)
    if len(sizes) > 1:
        usual = sizes.most_common(1)[0][0]
        odd = [row for row in rows if row.width_px and row.height_px and (row.width_px, row.height_px) != usual]
        notes.append(
            f"{counted(len(odd), 'image is', 'images are')} of another size than the others, {usual[0]}x{usual[1]} px "
            f"({few([f'{row.image}: {row.width_px}x{row.height_px}' for row in odd])}): check that masks and images "
            "belong together"
        )
    scales = [row.pixel_size_um for row in rows if row.pixel_size_um]
    if scales and max(scales) > (1 + ROUNDING) * min(scales):
        notes.append(
            f"the pixel size changes from {min(scales):.4g} to {max(scales):.4g} um within the series: "
            "the images show areas of different size"
        )
    lacking = [row.image for row in rows if not row.pixel_size_um]
    if scales and lacking:
        notes.append(
            f"{counted(len(lacking), 'image is', 'images are')} without a pixel size, so that their area in um2 is "
            f"unknown ({few(lacking)})"
        )
    return tuple(notes)


def read_measurements(path: Path) -> tuple[list[Measurement], list[tuple[str, str]]]:
    """Read the ``measurements.csv`` of a segmentation. A cell that cannot be read costs its row only.

    Returns
    -------
    tuple
        The rows; (image, reason) of those that cannot be used.

    Raises
    ------
    DataError
        No such file, no table, missing columns, or no usable row.
    """
    rows: list[Measurement] = []
    lost: list[tuple[str, str]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in NEEDED_COLUMNS if name not in (reader.fieldnames or [])]
            if missing:
                raise DataError(
                    f"'{path}' has no column {' and no column '.join(repr(name) for name in missing)}; "
                    "it is not a measurements.csv of `c6seg segment`."
                )
            for line, row in enumerate(reader, start=2):
                try:
                    rows.append(_measurement(row))
                except ValueError as error:
                    lost.append(((row.get("image") or "").strip(), f"'{path}' line {line}: {error}"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Cannot read '{path}': {error}") from error
    if not rows and lost:
        more = f" None of its {counted(len(lost), 'row')} can be used." if len(lost) > 1 else ""
        raise DataError(f"{lost[0][1]}{more}")
    if not rows:
        raise DataError(f"'{path}' has no rows: nothing was segmented. Look into failures.csv beside it.")
    return rows, lost


def _measurement(row: dict[str, str | None]) -> Measurement:
    def number(column: str) -> float | None:
        text = (row.get(column) or "").strip()
        try:
            value = float(text) if text else None
        except ValueError:
            raise ValueError(f"{column} is {text!r}, which is no number.") from None
        return value if value is None or math.isfinite(value) else None

    def whole(column: str) -> int | None:
        value = number(column)
        return None if value is None else round(value)

    image = (row.get("image") or "").strip()
    if not image:
        raise ValueError("the column 'image' is empty.")
    return Measurement(
        image=image,
        frame=int(number("frame") or 0),
        confluence=number("confluence"),
        time_h=number("time_h"),
        well=(row.get("well") or "").strip() or None,
        cell_area_um2=number("cell_area_um2"),
        flags=tuple((row.get("flags") or "").replace(";", " ").replace(",", " ").split()),
        cluster_fraction=number("cluster_fraction"),
        object_count=whole("object_count"),
        mean_object_area_um2=number("mean_object_area_um2"),
        uncertainty=number("uncertainty"),
        width_px=whole("width_px"),
        height_px=whole("height_px"),
        pixel_size_um=number("pixel_size_um"),
        sha256=(row.get("sha256") or "").strip() or None,
    )


def _checked(mask: NDArray[np.bool_], analysed: NDArray[np.bool_] | None) -> tuple[NDArray[np.bool_], int]:
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise DataError(f"A mask must be (Y, X) bool; this one is {mask.shape} {mask.dtype}.")
    if analysed is None:
        return mask, mask.size
    if analysed.shape != mask.shape:
        raise DataError(f"The mask is {mask.shape} and the analysed area {analysed.shape}; they must have one shape.")
    return mask & analysed, int(np.count_nonzero(analysed))
