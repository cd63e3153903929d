"""Where the times of a series come from: names, tags, the given interval, and at worst the dates of the files."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, reduce
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from c6seg.data.images import natural_key
from c6seg.errors import UsageError
from c6seg.growth.timeline.samples import Sample
from c6seg.growth.words import counted, few

BY_NAME, BY_TAG, BY_INTERVAL = "the file names", "the time tags of the files", "the given interval"
BY_EXIF, BY_MODIFIED = "the dates that the camera wrote (EXIF)", "the modification times of the files"
NO_TIMES = "nowhere: it is a single image"
# Files that are copied or converted together are modified within moments of each other.
LEAST_STEP_H = 0.05

T = TypeVar("T")

_EXIF_IFD, _ORIGINAL, _DIGITIZED, _OFFSETS = 0x8769, 36867, 36868, {36867: 36881, 36868: 36882}

_WARNINGS = {
    BY_EXIF: "the times are the dates that the camera wrote into the images (EXIF), as neither names nor tags carry "
    "any: they are right if the camera's clock was",
    BY_MODIFIED: "the times are those at which the files were last written, as nothing else says when the images were "
    "taken: copying, editing or unpacking files changes these times; check them, or pass --interval HOURS",
}


@dataclass(frozen=True, slots=True)
class FileTime:
    """When a file was made, by its EXIF date or, at worst, by the file system.

    Parameters
    ----------
    hours
        Since 1970. EXIF dates are by the camera's own clock, unless the file names the time zone.
    source
        ``"exif"`` or ``"modified"``.
    """

    hours: float
    source: Literal["exif", "modified"]


@dataclass(frozen=True, slots=True)
class Timed:
    """Samples of one series with their times.

    Parameters
    ----------
    samples
        Those that have a time.
    time_h
        Time of each, in hours.
    source
        Where the times come from, in words.
    start_h
        What ``time_h`` = 0 is on the calendar, in hours since 1970 by a local clock; None where times are no dates.
    notes
        What a reader should know about the source.
    """

    samples: list[Sample]
    time_h: list[float]
    source: str
    start_h: float | None = None
    notes: tuple[str, ...] = ()


def read_file_times(paths: Mapping[str, Path], noted_h: Mapping[str, float] | None = None) -> dict[str, FileTime]:
    """Read the EXIF date, or else the modification time, of image files.

    Parameters
    ----------
    paths
        Image name to its file (JPEG, TIFF, PNG have EXIF dates).
    noted_h
        Image name to the modification time that was noted when its file was there, hours since 1970.

    Returns
    -------
    dict
        Image name to time; files that are not there any more, and of which nothing was noted, are absent.
    """
    found = {name: FileTime(hours, "modified") for name, hours in (noted_h or {}).items()}
    for name, path in paths.items():
        try:
            modified_ns = path.stat().st_mtime_ns
        except OSError:
            continue
        modified, taken = modified_ns / 3.6e12, _exif_h(path, modified_ns)
        found[name] = FileTime(modified, "modified") if taken is None else FileTime(taken, "exif")
    return found


def assign_times(
    name: str,
    samples: Sequence[Sample],
    *,
    interval_h: float | None = None,
    file_times: Mapping[str, FileTime] | None = None,
) -> Timed:
    """Find the times of one series: from the first of these that tells the frames of each field apart.

    The names; the tags of the files, shifted so that the series starts at 0; ``interval_h`` times the order; EXIF
    dates; modification times, if they are at least three minutes apart in the median and in the order of the numbers
    in the names. The last two come with a warning.

    Parameters
    ----------
    name
        Of the series, for messages.
    samples
        In any order.
    interval_h
        Hours between frames, for files that carry no time.
    file_times
        See :func:`read_file_times`.

    Raises
    ------
    UsageError
        There are several frames and no times.
    """
    by_name = _by_name(samples)
    if by_name is not None:
        return by_name
    tags = _apart(samples, [sample.tag_h for sample in samples], BY_TAG)
    if tags is not None:
        return _from_zero(tags)
    if len(samples) == 1:
        return Timed(list(samples), [0.0], NO_TIMES)
    if interval_h is not None:
        return _by_interval(samples, interval_h)
    of_files = _by_files(samples, file_times or {})
    if of_files is not None:
        return of_files
    known = {sample.tag_h for sample in samples if sample.tag_h is not None}
    why = "neither names nor tags say when they were taken."
    if known:
        why = "the names say none, and the time tags of the files are alike or missing."
    if file_times:
        why += (
            " The modification times of the files cannot stand in: they do not tell the frames apart, or not in the "
            "order of frame numbers in the names."
        )
    raise UsageError(
        f"Series '{name}' has {len(samples)} images (such as '{samples[0].measurement.image}') and no times that tell "
        f"them apart: {why} Pass --interval HOURS, the time between two frames."
    )


def _by_name(samples: Sequence[Sample]) -> Timed | None:
    dates = [sample.parts.absolute for sample in samples if sample.name_h is not None]
    # dates and hours since the start cannot be put on one axis; the more frequent kind counts
    dated = 2 * sum(dates) > len(dates)
    times = [sample.name_h if sample.parts.absolute == dated else None for sample in samples]
    found = _apart(samples, times, BY_NAME)
    return _from_zero(found, calendar=True) if found is not None and dated else found


def _by_files(samples: Sequence[Sample], file_times: Mapping[str, FileTime]) -> Timed | None:
    times = [file_times.get(sample.measurement.image) for sample in samples]
    for kind, source in (("exif", BY_EXIF), ("modified", BY_MODIFIED)):
        found = _apart(samples, [time.hours if time and time.source == kind else None for time in times], source)
        if found is not None and (kind == "exif" or _trustworthy(found)):
            return _from_zero(found, calendar=kind == "exif", note=_WARNINGS[source])
    return None


def _apart(samples: Sequence[Sample], times: Sequence[float | None], source: str) -> Timed | None:
    """Take the times of one source if most frames have one and they tell the frames of each field apart."""
    pairs = [(sample, time) for sample, time in zip(samples, times, strict=True) if time is not None]
    if not pairs or 2 * len(pairs) < len(samples):
        return None
    known, hours = [sample for sample, _ in pairs], [time for _, time in pairs]
    of_unit = _of_units(known, hours)
    if not all(len(set(values)) > 1 or len(values) == 1 for values in of_unit.values()):
        return None
    notes: tuple[str, ...] = ()
    if len(known) < len(samples):
        left = [sample.measurement.image for sample, time in zip(samples, times, strict=True) if time is None]
        were = counted(len(left), "image without a time", "images without a time")
        notes = (f"left out: {were} in {source} ({few(left)})",)
    if len(set(hours)) == len(hours):
        known = _of_one_place(known) or known
    return Timed(known, hours, source, notes=notes)


def _of_one_place(samples: Sequence[Sample]) -> list[Sample] | None:
    """Return frames as those of one field where each has a name of its own and none names a field."""
    own = len({sample.unit for sample in samples}) == len(samples) > 1
    places = {(sample.parts.field, sample.parts.crop, sample.movie) for sample in samples}
    return [replace(sample, unit="") for sample in samples] if own and len(places) == 1 else None


def _trustworthy(timed: Timed) -> bool:
    """Whether modification times look like those of a time-lapse: apart, and in the order of the frame numbers."""
    numbers = [sample.number for sample in timed.samples]
    counted = [number for number in numbers if number is not None]
    if len(counted) < len(numbers):
        return False
    ordered = _of_units(timed.samples, list(zip(counted, timed.time_h, strict=True)))
    steps = [np.diff([time for _, time in sorted(pairs)]) for pairs in ordered.values()]
    every = np.concatenate(steps)
    unique = all(len({number for number, _ in pairs}) == len(pairs) for pairs in ordered.values())
    return unique and every.size > 0 and bool(every.min() > 0 and np.median(every) >= LEAST_STEP_H)


def _from_zero(timed: Timed, *, calendar: bool = False, note: str | None = None) -> Timed:
    start = min(timed.time_h)
    hours = [time - start for time in timed.time_h]
    notes = timed.notes if note is None else (note, *timed.notes)
    return Timed(timed.samples, hours, timed.source, start if calendar else None, notes)


def _of_units(samples: Sequence[Sample], values: Sequence[T]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    for sample, value in zip(samples, values, strict=True):
        found[sample.unit].append(value)
    return found


def _by_interval(samples: Sequence[Sample], interval_h: float) -> Timed:
    frames, note = _of_one_place(samples), ""
    if frames is not None:
        note = (
            "the names count neither fields nor frames: the images were taken for frames, in the order of their names"
        )
    elif len({sample.unit for sample in samples}) == len(samples):
        note = "its images differ in the field only, and were taken for one time: the interval says nothing about them"
    return Timed(*_by_order(frames or samples, interval_h), BY_INTERVAL, notes=(note,) if note else ())


def _by_order(samples: Sequence[Sample], interval_h: float) -> tuple[list[Sample], list[float]]:
    result, hours = [], []
    for group in _of_units(samples, samples).values():
        ordered = sorted(group, key=lambda sample: (natural_key(sample.measurement.image), sample.measurement.frame))
        counts = [sample.parts.index for sample in ordered]
        if len({sample.measurement.image for sample in ordered}) == 1:
            counts = [sample.measurement.frame for sample in ordered]
        numbers = [count for count in counts if count is not None]
        if len(set(numbers)) < len(ordered):
            numbers = list(range(len(ordered)))
        # t01, t04, t07 are neighbours; t01, t02, t04 has a gap
        step = reduce(math.gcd, (number - min(numbers) for number in numbers)) or 1
        result += ordered
        hours += [interval_h * (number - min(numbers)) / step for number in numbers]
    return result, hours


@lru_cache(maxsize=65536)
def _exif_h(path: Path, modified_ns: int) -> float | None:
    """Date at which a picture was taken, hours since 1970 by the camera's clock; None where the file does not say.

    A file is read once, until it is modified: a live analysis asks again and again.
    """
    del modified_ns
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged EXIF, and pictures that are large
            with Image.open(path) as image:
                if image.format == "PNG" and "exif" not in image.info:
                    return None  # Pillow would decode the whole picture to look behind it
                values = image.getexif().get_ifd(_EXIF_IFD)
    except Exception:  # noqa: BLE001 (whatever a damaged header makes Pillow raise, it gives no date)
        return None
    for tag in (_ORIGINAL, _DIGITIZED):
        try:
            text = str(values.get(tag) or "").strip("\0 ")
            taken = datetime.strptime(text, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            continue
        return (taken - _offset(str(values.get(_OFFSETS[tag]) or ""))).timestamp() / 3600
    return None


def _offset(text: str) -> timedelta:
    try:
        return datetime.strptime(text.strip("\0 "), "%z").utcoffset() or timedelta()
    except ValueError:
        return timedelta()
