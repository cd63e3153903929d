"""Measurements to series: which image is which place and time, several fields of a well taken together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from c6seg.data.images import natural_key
from c6seg.errors import DataError, UsageError
from c6seg.growth.measure import Measurement
from c6seg.growth.names import NameParts, parse_name

__all__ = ["NameParts", "Series", "group_series", "parse_name"]

Floats = NDArray[np.float64]
BY_NAME, BY_TAG, BY_INTERVAL = "the file names", "the time tags of the files", "the given interval"
# Fields of a well that are taken within this part of the interval between frames belong to one time.
SAME_TIME = 0.25


@dataclass(frozen=True, slots=True)
class Series:
    """How one place (a well, or one stage position) changed with time.

    Parameters
    ----------
    name
        Well, or name of the place.
    time_h
        (T,) strictly increasing, hours.
    confluence
        (T,) mean over the fields, 0..1.
    lower, upper
        (T,) interval of ``confluence``; NaN where the data cannot give one.
    fields
        (F, T) confluence of each field; NaN where a field has no image.
    images
        For each time, the image name and frame number of every field.
    flags
        For each time, the quality flags of its images.
    time_source
        Where the times come from, in words.
    notes
        What a reader should know, in words.
    well
        Well in short form, ``"C7"``; None where the names carry none.
    plate
        What tells wells of one name on several plates apart; None where there is one plate.
    used
        (T,) bool, False where every image of a time was excluded by a quality flag: the measured confluence stays in
        the table and is drawn in grey, but nothing is fitted to it. None = all are used.
    noise_lower, noise_upper
        (T,) interval of ``confluence`` from sampling alone (spread of fields, scatter of times), without the error of
        the masks, which shifts all times of a series alike. None = as ``lower`` and ``upper``.
    cell_area_um2, cluster_fraction, object_count
        (T,) mean over the fields; NaN where unknown. None = unknown at all times.
    """

    name: str
    time_h: Floats
    confluence: Floats
    lower: Floats
    upper: Floats
    fields: Floats
    images: tuple[tuple[tuple[str, int], ...], ...]
    flags: tuple[tuple[str, ...], ...]
    time_source: str
    notes: tuple[str, ...] = ()
    well: str | None = None
    plate: str | None = None
    used: NDArray[np.bool_] | None = None
    noise_lower: Floats | None = None
    noise_upper: Floats | None = None
    cell_area_um2: Floats | None = None
    cluster_fraction: Floats | None = None
    object_count: Floats | None = None


@dataclass(frozen=True, slots=True)
class _Sample:
    measurement: Measurement
    parts: NameParts
    unit: str
    confluence: float
    time_h: float = math.nan


def group_series(
    measurements: Sequence[Measurement], *, interval_h: float | None = None, confidence: float = 0.95
) -> list[Series]:
    """Sort measurements into series, one for each well or place, in time order.

    Times come from the file names; else from the tags of the files, shifted so that a series starts at 0;
    else from ``interval_h`` times the order.

    Parameters
    ----------
    measurements
        In any order.
    interval_h
        Hours between frames, for files that carry no time.
    confidence
        Of the interval at each time.

    Raises
    ------
    DataError
        There is no usable measurement.
    UsageError
        A series has several frames, no times, and no interval was given.
    """
    samples, dropped = _samples(measurements)
    if not samples:
        raise DataError(f"None of the {len(measurements)} measured images has a confluence between 0 and 1.")
    places = _places(samples)
    untimed = all(_name_time(sample) is None and sample.measurement.time_h is None for sample in samples)
    if untimed and all(len(group) == 1 for group in places.values()):
        places = {"series": [replace(sample, unit="") for sample in samples]}
    result = []
    for name in sorted(places, key=natural_key):
        timed, source, notes = _with_times(name, places[name], interval_h)
        lost = [label for place, label in dropped if place == name or len(places) == 1]
        if lost:
            notes = (*notes, f"{len(lost)} images without a usable confluence were left out ({_few(lost)})")
        result.append(_series(name, timed, source, notes, confidence))
    return result


def _samples(measurements: Iterable[Measurement]) -> tuple[list[_Sample], list[tuple[str, str]]]:
    rows = list(measurements)
    long = {row.image for row in rows if row.frame > 0}
    samples, dropped = [], []
    for row in rows:
        parts = parse_name(row.path or row.image)
        if row.well is not None:
            parts = replace(parts, well=parse_name(row.well).well or row.well)
        if row.plate is not None:
            parts = replace(parts, line=row.plate)
        unit = row.image if row.image in long else "|".join([parts.stem, parts.field or "", parts.crop or ""])
        if row.confluence is None or not 0 <= row.confluence <= 1:
            dropped.append((parts.well or parts.stem or "series", row.image))
        else:
            samples.append(_Sample(row, parts, unit, row.confluence))
    return samples, dropped


def _places(samples: Sequence[_Sample]) -> dict[str, list[_Sample]]:
    lines: dict[str, set[str | None]] = defaultdict(set)
    for sample in samples:
        if sample.parts.well:
            lines[sample.parts.well].add(sample.parts.line)
    places: dict[str, list[_Sample]] = defaultdict(list)
    for sample in samples:
        parts = sample.parts
        name = parts.well or parts.stem or "series"
        if parts.well and len(lines[parts.well]) > 1:  # one well name on several plates
            name = f"{parts.line} {parts.well}" if parts.line else parts.well
        places[name].append(sample)
    return dict(places)


def _with_times(
    name: str, samples: list[_Sample], interval_h: float | None
) -> tuple[list[_Sample], str, tuple[str, ...]]:
    options: list[tuple[str, list[float | None], bool]] = [
        (BY_NAME, [_name_time(sample) for sample in samples], any(sample.parts.absolute for sample in samples)),
        (BY_TAG, [sample.measurement.time_h for sample in samples], True),
    ]
    for source, times, shift in options:
        known = [replace(sample, time_h=time) for sample, time in zip(samples, times, strict=True) if time is not None]
        if 2 * len(known) < len(samples) or not known or not _usable(known):
            continue
        notes: tuple[str, ...] = ()
        if len(known) < len(samples):
            left = [sample.measurement.image for sample, time in zip(samples, times, strict=True) if time is None]
            notes = (f"{len(left)} images without a time in {source} were left out ({_few(left)})",)
        start = min(sample.time_h for sample in known) if shift else 0.0
        return [replace(sample, time_h=sample.time_h - start) for sample in known], source, notes
    if len(samples) == 1:
        return [replace(samples[0], time_h=0.0)], "nowhere: it is a single image", ()
    if interval_h is None:
        raise UsageError(
            f"Series '{name}' has {len(samples)} images (such as '{samples[0].measurement.image}') and no times: "
            "neither names nor tags say when they were taken. Pass --interval HOURS, the time between two frames."
        )
    return _by_order(samples, interval_h), BY_INTERVAL, ()


def _name_time(sample: _Sample) -> float | None:
    time = sample.parts.time_h
    if sample.unit != sample.measurement.image:
        return time
    inside = sample.measurement.time_h  # frames of one file: the name can only say when the file starts
    return None if time is None or inside is None else time + inside


def _usable(samples: Sequence[_Sample]) -> bool:
    """Whether the times tell the frames of each field apart."""
    times: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        times[sample.unit].append(sample.time_h)
    return all(len(set(of_unit)) > 1 or len(of_unit) == 1 for of_unit in times.values())


def _by_order(samples: Sequence[_Sample], interval_h: float) -> list[_Sample]:
    units: dict[str, list[_Sample]] = defaultdict(list)
    for sample in samples:
        units[sample.unit].append(sample)
    result = []
    for group in units.values():
        ordered = sorted(group, key=lambda sample: (natural_key(sample.measurement.image), sample.measurement.frame))
        counts = [sample.parts.index for sample in ordered]
        if len({sample.measurement.image for sample in ordered}) == 1:
            counts = [sample.measurement.frame for sample in ordered]
        numbers = [count for count in counts if count is not None]
        if len(set(numbers)) < len(ordered):
            numbers = list(range(len(ordered)))
        # t01, t04, t07 are neighbours; t01, t02, t04 has a gap
        step = reduce(math.gcd, (number - min(numbers) for number in numbers)) or 1
        result += [
            replace(sample, time_h=interval_h * (number - min(numbers)) / step)
            for sample, number in zip(ordered, numbers, strict=True)
        ]
    return result


def _series(name: str, samples: Sequence[_Sample], source: str, notes: tuple[str, ...], confidence: float) -> Series:
    bins = _bins(samples)
    units = sorted({sample.unit for sample in samples}, key=natural_key)
    cells: dict[tuple[int, int], list[float]] = defaultdict(list)
    for column, group in enumerate(bins):
        for sample in group:
            cells[units.index(sample.unit), column].append(sample.confluence)
    fields = np.full((len(units), len(bins)), np.nan)
    for place, values in cells.items():
        fields[place] = np.mean(values)
    doubled = sum(len(values) - 1 for values in cells.values())
    if doubled:
        notes = (*notes, f"{doubled} images share field and time with another one and were averaged")
    if np.isnan(fields).any():
        notes = (*notes, f"not every field has an image at every time ({int(np.isnan(fields).sum())} are missing)")
    flags = tuple(tuple(sorted({flag for sample in group for flag in sample.measurement.flags})) for group in bins)
    time_h = np.array([np.mean([sample.time_h for sample in group]) for group in bins])
    mean = np.asarray(np.nanmean(fields, axis=0), dtype=np.float64)
    lower, upper = field_interval(time_h, fields, confidence=confidence)
    images = tuple(tuple((s.measurement.image, s.measurement.frame) for s in group) for group in bins)
    return Series(name, time_h, mean, lower, upper, fields, images, flags, source, notes)


def _bins(samples: Sequence[_Sample]) -> list[list[_Sample]]:
    """Put samples of one time together, in time order."""
    times: Mapping[str, set[float]] = defaultdict(set)
    for sample in samples:
        times[sample.unit].add(sample.time_h)
    steps = [step for of_unit in times.values() for step in np.diff(sorted(of_unit)) if step > 0]
    tolerance = SAME_TIME * float(np.median(steps)) if steps else 1e-6
    bins: list[list[_Sample]] = []
    for sample in sorted(samples, key=lambda sample: (sample.time_h, natural_key(sample.measurement.image))):
        first = bins[-1][0] if bins else None
        together = first is not None and sample.time_h - first.time_h <= tolerance
        seen = {other.unit for other in bins[-1]} if bins else set()
        if together and first is not None and (sample.unit not in seen or sample.time_h == first.time_h):
            bins[-1].append(sample)
        else:
            bins.append([sample])
    return bins


def field_interval(time_h: Floats, fields: Floats, *, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Interval of the mean confluence at each time, from the spread of the fields.

    The spread is pooled over all times on the arcsine scale, where the variance of a fraction hardly depends on its
    size. With a single field the scatter of a point about the line through its two neighbours takes its place
    (Gasser, Sroka and Jennen-Steinmetz, Biometrika 73 (1986) 625).

    Parameters
    ----------
    time_h
        (T,) hours.
    fields
        (F, T) confluence, 0..1; NaN where missing.
    confidence
        Such as 0.95.

    Returns
    -------
    tuple
        Lower and upper end, (T,); NaN where there is one field and fewer than four times.
    """
    from scipy import stats

    scale = np.arcsin(np.sqrt(fields))
    number = np.sum(~np.isnan(scale), axis=0)
    centre = np.nansum(scale, axis=0) / number
    freedom = int(np.sum(number - 1))
    if freedom >= 2:
        sd = math.sqrt(float(np.nansum((scale - centre) ** 2)) / freedom)
    elif time_h.size >= 4:
        left, right = np.diff(time_h)[:-1], np.diff(time_h)[1:]
        a, b = right / (left + right), left / (left + right)
        off = a * centre[:-2] + b * centre[2:] - centre[1:-1]
        freedom = off.size
        sd = math.sqrt(float(np.mean(off**2 / (a**2 + b**2 + 1))))
    else:
        return np.full(time_h.size, np.nan), np.full(time_h.size, np.nan)
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * sd / np.sqrt(number)
    lower = np.sin(np.clip(centre - half, 0, np.pi / 2)) ** 2
    upper = np.sin(np.clip(centre + half, 0, np.pi / 2)) ** 2
    return np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
