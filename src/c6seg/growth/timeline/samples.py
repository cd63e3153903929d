"""Measured images with what their names say, and which of them cannot be used, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from c6seg.errors import DataError
from c6seg.growth.measure import Measurement, fits_image
from c6seg.growth.names import NameParts, compile_pattern, parse_name
from c6seg.growth.plates.layout import well_name, well_position
from c6seg.growth.timeline.moments import find_habits
from c6seg.growth.words import counted, few

NOT_MEASURED = "without a confluence"
IMPOSSIBLE = "with a confluence above 1 or below 0, which no sound mask gives"
MISFIT = "mask_does_not_fit"
"""Flag of frames whose covered area is larger than their image; they are excluded always."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame with a usable confluence.

    Parameters
    ----------
    measurement
        What was measured.
    parts
        What the name says.
    unit
        Field that it belongs to: frames of one unit differ in time only.
    confluence
        0..1.
    movie
        Whether its file holds several frames.
    name_h
        Time by the name, h; None where the name carries none.
    tag_h
        Time by the file itself, h; None where it carries none.
    reasons
        Flags that keep it from the mean; empty where it is good.
    """

    measurement: Measurement
    parts: NameParts
    unit: str
    confluence: float
    movie: bool
    name_h: float | None
    tag_h: float | None
    reasons: tuple[str, ...] = ()

    @property
    def number(self) -> int | None:
        """Number of the frame in its file, or in the names of the files; None where there is none."""
        return self.measurement.frame if self.movie else self.parts.index


@dataclass(frozen=True, slots=True)
class Lost:
    """An image that is in no series: what its name says, its own name, and the reason in words."""

    parts: NameParts
    image: str
    reason: str


def read_samples(
    measurements: Sequence[Measurement], *, pattern: str | None = None, exclude_flags: Collection[str] = ()
) -> tuple[list[Sample], list[Lost], tuple[str, ...]]:
    """Read the names of all images and set apart what cannot be used.

    With a pattern nothing is taken from a name that the pattern does not name, also not through the columns of the
    table that repeat what :func:`parse_name` finds there.

    Parameters
    ----------
    measurements
        In any order.
    pattern
        See :func:`~c6seg.growth.names.compile_pattern`; None = known names are read as they come.
    exclude_flags
        Flags of images that do not count.

    Returns
    -------
    tuple
        Samples; images that are in no series; notes about all series.

    Raises
    ------
    DataError
        No image matches the pattern, or none has a usable confluence.
    UsageError
        The pattern cannot be used.
    """
    rows = list(measurements)
    named, notes = _named(rows, pattern)
    long = {row.image for row in rows if row.frame > 0}
    excluding = frozenset(exclude_flags)
    samples, lost = [], []
    for row, parts in named:
        value = row.confluence
        if value is None:
            lost.append(Lost(parts, row.image, NOT_MEASURED))
        elif not 0 <= value <= 1:
            lost.append(Lost(parts, f"{row.image}: {value:.4g}", IMPOSSIBLE))
        else:
            samples.append(_sample(row, parts, value, row.image in long, excluding, own=pattern is not None))
    if not samples:
        values = [row.confluence for row, _ in named if row.confluence is not None]
        percent = " The values look like percent: divide them by 100." if values and 1 < max(values) <= 100 else ""
        raise DataError(f"None of the {len(rows)} measured images has a confluence between 0 and 1.{percent}")
    return samples, lost, notes


def exclusion_note(samples: Sequence[Sample], unused: int) -> str | None:
    """Say how many images of a series were excluded by which flag, or return None.

    Parameters
    ----------
    samples
        Of one series.
    unused
        Number of times at which no good image is left.
    """
    reasons = Counter(reason for sample in samples for reason in sample.reasons)
    if not reasons:
        return None
    names = [sample.measurement.image for sample in samples if sample.reasons]
    by_flag = ", ".join(f"{flag}: {count}" for flag, count in sorted(reasons.items()))
    why = "; the covered area is larger than the image where the mask does not fit" if MISFIT in reasons else ""
    left = f"; times without any other image, {unused}, are shown but not used" if unused else ""
    return f"{_were(names)} excluded by quality flags ({by_flag}; {few(names)}){why}{left}"


def lost_notes(lost: Sequence[Lost]) -> tuple[str, ...]:
    """Say which images were left out, one note for each reason."""
    images: Mapping[str, list[str]] = {one.reason: [] for one in lost}
    for one in lost:
        images[one.reason].append(one.image)
    return tuple(f"{_were(names)} left out, {reason} ({few(names)})" for reason, names in images.items())


def _were(images: Sequence[str]) -> str:
    return counted(len(images), "image was", "images were")


def _named(
    rows: Sequence[Measurement], pattern: str | None
) -> tuple[list[tuple[Measurement, NameParts]], tuple[str, ...]]:
    if pattern is None:
        habits, notes = find_habits(row.path or row.image for row in rows)
        return [(row, _known(row, parse_name(row.path or row.image, habits), row.well)) for row in rows], notes
    read = compile_pattern(pattern)
    texts = {row.path or row.image for row in rows}
    found = {text: read(text) for text in texts}
    named = []
    for row in rows:
        parts = found[row.path or row.image]
        if parts is not None:
            # the table repeats what the name seems to say; only a well from elsewhere counts
            told = None if parts.well or row.well == parse_name(row.image).well else row.well
            own = _own_plate(row, parts, read)
            named.append((own, _known(own, parts, told)))
    unmatched = sorted({row.image for row in rows if found[row.path or row.image] is None})
    if not named:
        shown = " and ".join(repr(text) for text in sorted(texts)[:2])
        unit = " A 'time' needs its unit (h, min or d) in it or behind it." if _has_time(pattern) else ""
        raise DataError(
            f"The pattern {pattern!r} matches none of the {len(texts)} images, such as {shown}.{unit} "
            "It is compared with the path below the folder that all images share, without suffix, and with the name."
        )
    note = f"{_were(unmatched)} left out of all series: the pattern {pattern!r} does not match ({few(unmatched)})"
    return named, (note,) if unmatched else ()


def _has_time(pattern: str) -> bool:
    """Whether a pattern has the group ``time``."""
    return "{time}" in pattern or "(?P<time>" in pattern


def _own_plate(row: Measurement, parts: NameParts, read: Callable[[str], NameParts | None]) -> Measurement:
    """Return a row without its plate where the pattern reads the folder that stands for the plate."""
    if row.plate is None:
        return row
    bare = read((row.path or row.image).removeprefix(f"{row.plate}/"))
    beside = bare is not None and replace(bare, stem=parts.stem) == parts
    return row if beside else replace(row, plate=None)


def _known(row: Measurement, parts: NameParts, well: str | None) -> NameParts:
    """Add what the table knows besides the name."""
    if well is not None:
        place = well_position(well)
        well = well_name(*place) if place else well
        parts = parts if well == parts.well else replace(parts, well=well)
    return parts if row.plate is None else replace(parts, line=row.plate)


def _sample(
    row: Measurement, parts: NameParts, value: float, movie: bool, excluding: frozenset[str], *, own: bool
) -> Sample:
    tag = row.time_h
    if own and tag is not None and not movie:
        guess = parse_name(row.image).time_h
        tag = None if guess is not None and abs(guess - tag) < 1e-5 else tag
    name_h = parts.time_h
    if movie:  # the name can only say when the file starts
        name_h = None if name_h is None or tag is None else name_h + tag
    unit = row.image if movie else "|".join([parts.stem, parts.field or "", parts.crop or ""])
    reasons = tuple(flag for flag in row.flags if flag in excluding) if excluding else ()
    if not fits_image(row):
        reasons = (*reasons, MISFIT)
    return Sample(row, parts, unit, value, movie, name_h, tag, reasons)
