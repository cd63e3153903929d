"""Measurements to series: which image is which place and time, several fields of a well taken together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from c6seg.data.images import natural_key
from c6seg.errors import UsageError
from c6seg.growth.measure import Measurement, size_notes
from c6seg.growth.names import NameParts, parse_name
from c6seg.growth.timeline.bins import bins_of, cell_notes, counting, mean_of
from c6seg.growth.timeline.clock import Tick, order_notes, same_picture_note, same_pictures, step_notes
from c6seg.growth.timeline.interval import Calibration, confluence_interval
from c6seg.growth.timeline.missing import mean_of_fields
from c6seg.growth.timeline.samples import Lost, Sample, exclusion_note, lost_notes, read_samples
from c6seg.growth.timeline.times import BY_INTERVAL, BY_NAME, BY_TAG, NO_TIMES, FileTime, Timed, assign_times
from c6seg.growth.words import few

__all__ = ["BY_INTERVAL", "BY_NAME", "BY_TAG", "NameParts", "Series", "group_series", "parse_name"]

Floats = NDArray[np.float64]


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
        (T,) mean over the fields, 0..1; where one has no image, as if it had gone like the others.
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
    rows
        For each time, to which row of ``fields`` each of ``images`` belongs. None = unknown.
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
    rows: tuple[tuple[int, ...], ...] | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """Confluence at the first and at the last time that is used; of all times where none is."""
        known = self.confluence if self.used is None or not self.used.any() else self.confluence[self.used]
        return float(known[0]), float(known[-1])


def group_series(
    measurements: Sequence[Measurement],
    *,
    interval_h: float | None = None,
    confidence: float = 0.95,
    pattern: str | None = None,
    exclude_flags: Collection[str] = (),
    calibration: Calibration | None = None,
    file_times: Mapping[str, FileTime] | None = None,
) -> list[Series]:
    """Sort measurements into series, one for each well or place, in time order.

    Times come from the file names; else from the tags of the files, shifted so that a series starts at 0; else from
    ``interval_h`` times the order; else, with a warning, from EXIF dates or modification times.

    Whatever is left out or strange is in the notes of its series; what belongs to none, in those of the first.

    Parameters
    ----------
    measurements
        In any order.
    interval_h
        Hours between frames, for files that carry no time.
    confidence
        Of the interval at each time.
    pattern
        What the names mean, see :func:`~c6seg.growth.names.compile_pattern`; None = known names are read as they come.
    exclude_flags
        Images with one of these flags do not count while there are others of that time; a time that has no other is
        kept, but not used.
    calibration
        Error of the masks, for the interval; None = they are exact.
    file_times
        Times by image name for files that carry none, see :func:`~c6seg.growth.timeline.times.read_file_times`.

    Raises
    ------
    DataError
        There is no usable measurement, or the pattern matches nothing.
    UsageError
        The pattern cannot be used; or no series with several frames has times, and no interval was given.
    """
    samples, lost, general = read_samples(measurements, pattern=pattern, exclude_flags=exclude_flags)
    lines = _lines(samples)
    places: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        places[_place(sample.parts, lines)].append(sample)
    untimed = all(sample.name_h is None and sample.tag_h is None for sample in samples)
    merged = untimed and all(len(group) == 1 for group in places.values())
    if merged:
        places = {"series": [replace(sample, unit="") for sample in samples]}
    timed, failed = _timed(places, interval_h, file_times)
    left: dict[str, list[Lost]] = defaultdict(list)
    for one in lost:
        left[next(iter(places)) if len(places) == 1 else _place(one.parts, lines)].append(one)
    same = same_pictures((row.image, row.sha256) for row in measurements)
    several = any(len(of_well) > 1 for of_well in lines.values())
    result = []
    for name, found in timed.items():
        parts = places[name][0].parts
        pictures = same_picture_note((sample.measurement.image for sample in found.samples), same)
        notes = (
            *_plate_notes(places[name], lines), *found.notes, *_clock_notes(found), *lost_notes(left.pop(name, [])),
            *size_notes([sample.measurement for sample in found.samples]), *([pictures] if pictures else []),
        )  # fmt: skip
        series = _series(name, found, notes, confidence, calibration)
        if parts.well is not None and not merged:
            series = replace(series, well=parts.well, plate=parts.line if several else None)
        result.append(series)
    general = (*general, *failed, *lost_notes([one for of_place in left.values() for one in of_place]))
    return [replace(result[0], notes=(*result[0].notes, *general)), *result[1:]]


def _lines(samples: Sequence[Sample]) -> dict[str, set[str | None]]:
    """Lines, or plates, under which each well occurs."""
    lines: dict[str, set[str | None]] = defaultdict(set)
    for sample in samples:
        if sample.parts.well:
            lines[sample.parts.well].add(sample.parts.line)
    return dict(lines)


def _place(parts: NameParts, lines: Mapping[str, set[str | None]]) -> str:
    """Name of the series that an image belongs to; wells of one name on several plates are told apart."""
    if parts.well and parts.line and len(lines.get(parts.well, ())) > 1:
        return f"{parts.line} {parts.well}"
    return parts.well or parts.stem or "series"


def _plate_notes(samples: Sequence[Sample], lines: Mapping[str, set[str | None]]) -> tuple[str, ...]:
    """Say that a well occurs under several plates, unless these were given as such."""
    parts = samples[0].parts
    of_well = lines.get(parts.well or "", set())
    if len(of_well) < 2 or samples[0].measurement.plate is not None:
        return ()
    names = few([repr(line) if line else "no name" for line in sorted(of_well, key=lambda line: line or "")])
    return (f"well {parts.well} occurs under {len(of_well)} plates or lines ({names}), which were kept apart",)


def _timed(
    places: Mapping[str, list[Sample]], interval_h: float | None, file_times: Mapping[str, FileTime] | None
) -> tuple[dict[str, Timed], list[str]]:
    """Give every place its times; one that has none is left out, unless no other has any."""
    timed: dict[str, Timed] = {}
    failed: dict[str, UsageError] = {}
    for name in sorted(places, key=natural_key):
        try:
            timed[name] = assign_times(name, places[name], interval_h=interval_h, file_times=file_times)
        except UsageError as error:
            failed[name] = error
    if failed and all(len(set(found.time_h)) == 1 for found in timed.values()):
        raise next(iter(failed.values()))
    return timed, [f"{error} It was left out." for error in failed.values()]


def _clock_notes(timed: Timed) -> tuple[str, ...]:
    """Say which frames are out of order; an order that made the times cannot contradict them."""
    if timed.source in {BY_INTERVAL, NO_TIMES}:
        return ()
    ticks = []
    for sample, time_h in zip(timed.samples, timed.time_h, strict=True):
        if sample.number is not None:
            image = sample.measurement.image
            ticks.append(
                Tick(sample.unit, sample.number, time_h, f"{image}[{sample.number}]" if sample.movie else image)
            )
    return order_notes(ticks, start_h=timed.start_h)


def _series(
    name: str, timed: Timed, notes: tuple[str, ...], confidence: float, calibration: Calibration | None
) -> Series:
    units = {unit: row for row, unit in enumerate(sorted({s.unit for s in timed.samples}, key=natural_key))}
    bins = bins_of(timed, units)
    sizes = Counter(sample.unit for sample in timed.samples)
    counted = [counting(group, sizes) for group in bins]
    cells: dict[tuple[int, int], list[Sample]] = defaultdict(list)
    for column, group in enumerate(counted):
        for sample in group:
            cells[units[sample.unit], column].append(sample)
    fields = np.full((len(units), len(bins)), np.nan)
    for place, of_cell in cells.items():
        fields[place] = sum(sample.confluence for sample in of_cell) / len(of_cell)
    used = np.array([not group[0].reasons for group in counted], dtype=np.bool_)
    time_h = np.array([sum(time for _, time in group) / len(group) for group in bins])
    mean, moved, levelled = mean_of_fields(fields, used)
    ends = confluence_interval(time_h, moved, confidence=confidence, used=used, calibration=calibration)
    excluded = exclusion_note(timed.samples, int(np.count_nonzero(~used)))
    return Series(
        name,
        time_h,
        mean,
        np.minimum(ends.lower, mean),
        np.maximum(ends.upper, mean),
        fields,
        tuple(tuple((s.measurement.image, s.measurement.frame) for s, _ in group) for group in bins),
        tuple(tuple(sorted({flag for s, _ in group for flag in (*s.measurement.flags, *s.reasons)})) for group in bins),
        timed.source,
        (*notes, *step_notes(time_h, start_h=timed.start_h), *cell_notes(bins, cells, len(units), levelled=levelled),
         *([excluded] if excluded else [])),
        used=used,
        noise_lower=np.minimum(ends.noise_lower, mean),
        noise_upper=np.maximum(ends.noise_upper, mean),
        cell_area_um2=mean_of(counted, "cell_area_um2"),
        cluster_fraction=mean_of(counted, "cluster_fraction"),
        object_count=mean_of(counted, "object_count"),
        rows=tuple(tuple(units[s.unit] for s, _ in group) for group in bins),
    )  # fmt: skip
