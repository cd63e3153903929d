"""The wound in one field of a well, followed from its first mask to its last."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from c6seg.errors import DataError
from c6seg.growth.names import parse_name
from c6seg.growth.series import Floats, Series
from c6seg.growth.wounds.area import Gap, Wound, find_wound, follow_wound
from c6seg.growth.wounds.pixels import Bools

Image = tuple[str, int]
MaskOf = Callable[[str, int], Bools | None]
PixelSizeOf = Callable[[str, int], float | None]
NO_MASK = "have no mask"
OTHER_SIZE = "have a mask of another size than the first of their field"
NO_CELLS = "show no cells, or no layer beside the gap"
EXCLUDED = "do not count: they were excluded by quality flags, or are a picture of the series once more"
UNREADABLE = "have a mask that cannot be used"


@dataclass(slots=True)
class FieldCourse:
    """What was seen in one field.

    Parameters
    ----------
    gap, density
        (T,) part of the image that is open wound, and relative wound density; NaN where unknown.
    wound
        As in the first mask; None where there is none.
    reason
        Why there is none, in words.
    area_um2
        Area of the image, um2; None where the scale is unknown or changes.
    pixel_um
        Edge of a pixel; None where it is unknown or changes.
    shift_px
        Largest shift of an image against the first.
    begins
        Index of the time of the first mask; None where there is no mask.
    lost
        Reason to names of the images that could not be used.
    """

    gap: Floats
    density: Floats
    wound: Wound | None = None
    reason: str = "there is no mask"
    area_um2: float | None = None
    pixel_um: float | None = None
    shift_px: float = 0.0
    begins: int | None = None
    lost: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def tracks(series: Series) -> list[list[Image | None]]:
    """Return the images of each field, one for each time; None where a field has none.

    Of several images of one field and time the first counts. Where the series does not say which image belongs to which
    field, its name does.
    """
    frames = {image for images in series.images for image, frame in images if frame > 0}
    keys: dict[tuple[str, ...], int] = {}
    found: list[list[Image | None]] = [[None] * len(series.images) for _ in series.fields] if series.rows else []
    for time, images in enumerate(series.images):
        for place, (image, frame) in enumerate(images):
            if series.rows is not None:
                row = series.rows[time][place]
            else:
                parts = parse_name(image)
                key = (image,) if image in frames else (parts.stem, parts.field or "", parts.crop or "")
                row = keys.setdefault(key, len(keys))
            if row == len(found):
                found.append([None] * len(series.images))
            if found[row][time] is None:
                found[row][time] = (image, frame)
    return found


def excluded(series: Series) -> list[set[int]]:
    """Return for each time the rows of ``fields`` that do not count there: their images were excluded by flags."""
    used = np.ones(series.time_h.size, np.bool_) if series.used is None else series.used
    if series.rows is None:
        every = set(range(sum(len(images) for images in series.images)))
        return [set() if good else every for good in used]
    return [
        {row for row in rows if not good or np.isnan(series.fields[row, time])}
        for time, (rows, good) in enumerate(zip(series.rows, used, strict=True))
    ]


def follow_field(
    track: Sequence[Image | None], skip: Sequence[bool], mask_of: MaskOf, pixel_size_of: PixelSizeOf
) -> FieldCourse:
    """Find the wound in the first mask of a field and follow it; what cannot be used costs itself only.

    Parameters
    ----------
    track
        Image and frame of each time.
    skip
        For each time, whether its image does not count.
    mask_of, pixel_size_of
        Mask (Y, X), True = cell, and edge of a pixel in um, for an image and a frame.
    """
    course = FieldCourse(np.full(len(track), np.nan), np.full(len(track), np.nan))
    shift_yx = (0, 0)
    sizes_um: set[float | None] = set()
    for time, image in enumerate(track):
        if image is None:
            continue
        if skip[time]:
            course.lost[EXCLUDED].append(image[0])
            continue
        mask, why = _mask(mask_of, image)
        if mask is not None and course.begins is None and not mask.any():
            mask, why = None, NO_CELLS
        if mask is None:
            course.lost[why].append(image[0])
            continue
        pixel_um = pixel_size_of(*image)
        sizes_um.add(None if pixel_um is None else float(f"{pixel_um:.3g}"))
        if course.begins is None:
            course.begins = time
            course.wound, course.reason = find_wound(mask, pixel_size_um=pixel_um)
            course.pixel_um = pixel_um
            course.area_um2 = mask.size * pixel_um**2 if pixel_um else None
            if course.wound is None:
                break  # the other masks need not be read
        shift_yx = _take(course, time, image, mask, shift_yx)
    if len(sizes_um) > 1:
        course.area_um2 = course.pixel_um = None
    return course


def _mask(mask_of: MaskOf, image: Image) -> tuple[Bools | None, str]:
    try:
        return mask_of(*image), NO_MASK
    except DataError:
        return None, UNREADABLE


def _take(course: FieldCourse, time: int, image: Image, mask: Bools, shift_yx: tuple[int, int]) -> tuple[int, int]:
    """Measure one mask; return by how much its image is shifted."""
    wound = course.wound
    if wound is None:
        return shift_yx
    if mask.shape != wound.region.shape:
        course.lost[OTHER_SIZE].append(image[0])
        return shift_yx
    gap: Gap | None = follow_wound(mask, wound, shift_yx=shift_yx)
    if gap is None:
        course.lost[NO_CELLS].append(image[0])
        return shift_yx
    course.gap[time] = gap.fraction
    course.density[time] = math.nan if gap.density is None else gap.density
    course.shift_px = max(course.shift_px, math.hypot(*gap.shift_yx))
    return gap.shift_yx
