"""What a file name says: cell line, well, field, time, crop. Nothing is guessed that the name does not carry."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from c6seg.growth.timeline.moments import (
    DATED,
    ELAPSED,
    END,
    GAP,
    USUAL,
    Habits,
    date_alone,
    hours_of,
    small_well,
    take_time,
    without,
)
from c6seg.growth.timeline.patterns import Words, compile_text, read_words


@dataclass(frozen=True, slots=True)
class NameParts:
    """The parts of an image name; what the name does not say is None.

    Parameters
    ----------
    line
        Cell line or experiment, the part before the well.
    well
        Well in short form, ``"C7"`` (never ``"C07"``); rows A-P, columns 1-24.
    field
        Field, site or stage position within the well.
    time_h
        Time in hours; since the start of the experiment, or since 1970 where ``absolute`` is true.
    crop
        Number of the cut-out, where an image was cut into several.
    index
        Number in a time series, where the name counts frames (``t013``) and does not say how far apart they are.
    absolute
        Whether ``time_h`` is a date on the calendar.
    stem
        The name without time, index, field and crop: equal for all images of one place.
    """

    line: str | None = None
    well: str | None = None
    field: str | None = None
    time_h: float | None = None
    crop: str | None = None
    index: int | None = None
    absolute: bool = False
    stem: str = ""


_WELL = r"(?P<well>[A-P](?:0?[1-9]|1\d|2[0-4]))"

# Whole names of known instruments, tried in order.
_INSTRUMENTS = tuple(
    re.compile(pattern)
    for pattern in (
        # Incucyte, LIVECell: A172_Phase_C7_1_02d16h00m_2; or with the date: 2020y03m05d_12h00m
        *(
            rf"(?:(?P<line>.+?)_)?(?:Phase_)?{_WELL}_(?P<field>\d+)_{time}(?:_(?P<crop>\d+))?"
            for time in (ELAPSED, DATED)
        ),
        # Cytation, Gen5: B3_-1_2_1_Phase Contrast_001 = well, step, channel, field, channel's name, time index
        rf"{_WELL}_-?\d+_\d+_(?P<field>\d+)(?:Z\d+)?_[A-Za-z][^_]*_(?P<index>\d{{3,}})",
        # Opera, Operetta: r02c03f01p01-ch1sk5fk1fl1
        r"r(?P<row>\d\d)c(?P<column>\d\d)f(?P<field>\d+)p\d+-ch\d+sk(?P<index>\d+).*",
        # Micro-Manager: img_channel000_position001_time000000012_z000
        r"(?P<line>.+?)_channel\d+_position(?P<field>\d+)_time(?P<index>\d+)(?:_z\d+)?",
    )
)

_INDEX = re.compile(
    r"(?:(?<![A-Za-z])t|(?<![A-Za-z])tp[ _-]?|frame[ _-]?|time[ _-]?(?:point[ _-]?)?)(?P<index>\d+)" + END,
    re.IGNORECASE,
)
# A cell line, not frame 3; "xy3t3" is position 3, frame 3.
_3T3 = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=NIH)|(?<=nih))3T3(?![0-9])", re.IGNORECASE)
_FIELD = re.compile(
    r"(?<![A-Za-z])(?P<kind>xy|s|f|p|fov|field|site|pos|position|series)[ _-]?(?P<field>\d+)(?![0-9])", re.IGNORECASE
)
# The others are stage positions: where no well is named, each is a place of its own.
_WITHIN_WELL = {"s", "f", "fov", "field", "site"}
_NAMED_WELL = re.compile(r"well[ _-]?" + _WELL + r"(?![0-9])", re.IGNORECASE)
_ANY_WELL = re.compile(GAP + _WELL + END)
# "C6" after one of these is the cell line, not a well.
_LINE_BEFORE = re.compile(r"(?:glioma|rat|line|cells?)[ _-]*$", re.IGNORECASE)
_TAIL = re.compile(r"(?:^|(?<=[_ .\-(#]))(?P<number>\d+)\)?$")


@lru_cache(maxsize=65536)
def parse_name(name: str, habits: Habits = USUAL) -> NameParts:
    """Read cell line, well, field, time and crop from an image name.

    Parameters
    ----------
    name
        File name with or without folder and suffix. What the file itself does not say is looked for in its folders.
    habits
        How the names of the set are written, where this one can be read in several ways.

    Examples
    --------
    >>> parts = parse_name("A172_Phase_C7_1_02d16h00m_2.tif")
    >>> parts.line, parts.well, parts.field, parts.time_h, parts.crop
    ('A172', 'C7', '1', 64.0, '2')
    >>> parse_name("20180101ef002xy01t13").index
    13
    """
    *folders, last = [part for part in re.split(r"[\\/]+", name) if part not in {"", ".", ".."}] or [""]
    parts = _parse_stem(re.sub(r"(?:\.ome)?\.(?:tiff?|png|jpe?g|bmp)$", "", last, flags=re.IGNORECASE), habits)
    for folder in reversed(folders):
        if parts.well is not None and parts.time_h is not None:
            break
        outer = _parse_stem(folder, habits)
        # a day tells no frames of one day apart
        day = date_alone(folder, habits) if parts.time_h is None and parts.index is None else None
        outer = outer if day is None else NameParts(time_h=day, absolute=True)
        well = parts.well or outer.well
        line = parts.line or (outer.line if outer.well else None)
        timed = parts if parts.time_h is not None else outer
        # in a folder of one time, a bare number counts fields
        field = parts.field
        if field is None and parts.time_h is None and outer.time_h is not None and parts.index is not None:
            field = str(parts.index)
        stem = f"{outer.stem}/{parts.stem}".strip("/")
        parts = NameParts(line, well, field, timed.time_h, parts.crop, parts.index, timed.absolute, stem)
    return parts


def compile_pattern(text: str) -> Callable[[str], NameParts | None]:
    r"""Turn a pattern of the user's into a function that reads image names by it, instead of :func:`parse_name`.

    There are two ways to write one. A **template** has the parts of a name in braces, ``*`` for anything within a
    folder, and everything else as it stands in the names: ``{line}_{well}_{field}_{time}h``. A **regular expression**
    of Python has named groups: ``(?P<well>[A-H]\d{1,2})_f(?P<field>\d)``. What contains ``(?P<`` is a regular
    expression.

    The parts are ``line`` (or ``plate``), ``well``, ``field``, ``crop``, ``index`` (number of the frame, where the
    names do not say how far apart frames are) and the time: ``time_h`` in hours; ``days``, ``hours`` and ``minutes``,
    which are added up; ``time``, a number with its unit (h, min, d) in it or behind it; ``date``, year first, such as
    ``2024-05-01 14:30`` or ``20240501_1430``, to which ``hours`` and the like are added.

    The pattern may match anywhere: it is searched in the path below the folder that all images share, without suffix
    and with ``/`` between folders, and then in the name alone. ``^`` and ``$`` hold it to the ends.

    Parameters
    ----------
    text
        The pattern.

    Returns
    -------
    Callable
        From a path or name to what it says, or to None where the pattern does not match. What the pattern does not
        name is not guessed.

    Raises
    ------
    UsageError
        It cannot be read, a group is unknown, or it names neither well, field, index nor time.

    Examples
    --------
    >>> read = compile_pattern("{line}_{well}_{field}_{time}h")
    >>> parts = read("plate1/U87_B03_2_36h.tif")
    >>> parts.line, parts.well, parts.field, parts.time_h
    ('U87', 'B3', '2', 36.0)
    >>> read("overview.tif") is None
    True
    """
    pattern = compile_text(text)

    def read(name: str) -> NameParts | None:
        words = read_words(pattern, name)
        return None if words is None else _from_words(words)

    return read


def _from_words(words: Words) -> NameParts:
    texts = words.texts
    line = " ".join(texts[name] for name in ("line", "plate") if name in texts) or None
    well = texts.get("well")
    if well is not None and re.fullmatch(r"[A-Za-z]{1,2}\d+", well):
        letters = well.rstrip("0123456789")
        well = f"{letters.upper()}{int(well[len(letters) :])}"
    stem = "_".join(part for part in (line, well) if part) or words.rest
    index = int(texts["index"]) if "index" in texts else None
    return NameParts(line, well, texts.get("field"), words.time_h, texts.get("crop"), index, words.absolute, stem)


def _parse_stem(stem: str, habits: Habits) -> NameParts:
    for pattern in _INSTRUMENTS:
        match = pattern.fullmatch(stem)
        if match:
            return _from_instrument(match.groupdict())
    time_h, absolute, rest = take_time(stem, habits)
    index = _frame_number(rest)
    rest = without(rest, index) if index else rest
    well = _NAMED_WELL.search(rest) or _last_well(rest, habits)
    found = next((one for one in _FIELD.finditer(rest) if well is None or one.span() != well.span("well")), None)
    field = found["field"] if found else None
    if found and found["kind"].lower() in _WITHIN_WELL:
        rest = without(rest, found)
        well = _NAMED_WELL.search(rest) or _last_well(rest, habits)
        found = None
    count = index["index"] if index else None
    number = _TAIL.search(rest)
    if number and not any(part and part.end() >= number.end() for part in (found, well)):
        # a bare number at the end counts fields where the time is known, else frames
        if time_h is None and count is None:
            count, rest = number["number"], rest[: number.start()]
        else:
            field, rest = field or number["number"], rest[: number.start()]
    line = rest[: well.start()].strip(" _-.") if well else None
    return NameParts(
        line=line or None,
        well=_short_well(well["well"]) if well else None,
        field=field,
        time_h=time_h,
        index=int(count) if count else None,
        absolute=absolute,
        stem=rest.strip(" _-.(#"),
    )


def _frame_number(text: str) -> re.Match[str] | None:
    lines = [match.span() for match in _3T3.finditer(text)]
    found = _INDEX.finditer(text)
    return next((match for match in found if not any(begin < match.start() < end for begin, end in lines)), None)


def _from_instrument(groups: dict[str, str | None]) -> NameParts:
    well = groups.get("well")
    if well is None and groups.get("row") is not None:
        well = f"{chr(ord('A') + int(groups['row'] or 1) - 1)}{groups['column']}"
    line = groups.get("line")
    line = line.removesuffix("_Phase").removesuffix("_phase") if line else None
    well = _short_well(well) if well else None
    index = groups.get("index")
    stem = "_".join(part for part in (line, well, groups.get("field")) if part)
    absolute = groups.get("Y") is not None
    crop = groups.get("crop")
    return NameParts(
        line, well, groups.get("field"), hours_of(groups), crop, int(index) if index else None, absolute, stem
    )


def _last_well(text: str, habits: Habits) -> re.Match[str] | None:
    wells = [match for match in _ANY_WELL.finditer(text) if not _LINE_BEFORE.search(text[: match.start()])]
    if not wells and habits.small_wells and (small := small_well(text)):
        return re.search(rf"{GAP}(?P<well>{small}){END}", text)
    return wells[-1] if wells else None


def _short_well(well: str) -> str:
    return f"{well[0].upper()}{int(well[1:])}"
