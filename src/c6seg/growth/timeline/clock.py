"""What is strange about the times of a series, in words: gaps, jumps, changed clocks, shuffled and doubled frames.

Nothing is mended here: the fit takes the times as they are, and the reader is told.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from c6seg.growth.words import counted, few

Floats = NDArray[np.float64]
# With fewer steps between times nothing is usual, and nothing strange.
FEWEST_STEPS = 4
# Steps within this part of the usual one count as equal to it.
ALIKE = 0.25
# The interval is one interval if this part of the steps is alike.
REGULAR = 0.6
# A longer step than so many usual ones is a jump of the clock, or a long pause.
JUMP = 10.0
# So many equal steps in a row that differ from the usual one are another interval, not a gap.
RUN = 3
# How exactly a step must be an hour off to be a changed clock, h.
HOUR = 0.05


@dataclass(frozen=True, slots=True)
class Tick:
    """A frame in the order in which it was counted.

    Parameters
    ----------
    unit
        Field that it belongs to.
    number
        Number of the frame, by its name or its place in a file.
    time_h
        Its time, h.
    label
        Its name.
    """

    unit: str
    number: int
    time_h: float
    label: str


def step_notes(time_h: Floats, *, start_h: float | None = None) -> tuple[str, ...]:
    """Say what is strange about the steps between the times of a series.

    Parameters
    ----------
    time_h
        (T,) strictly increasing, hours.
    start_h
        What ``time_h`` = 0 is on a local calendar, hours since 1970; None where the times are no dates. Only dates can
        show a clock that was changed by an hour.

    Returns
    -------
    tuple
        Notes; empty for a regular series, and for one of fewer than five times.

    Examples
    --------
    >>> step_notes(np.array([0.0, 4, 8, 12, 16, 20, 24, 36, 40]))
    ('a gap of 12 h after 24 h: 2 pictures missing at the usual 4 h',)
    """
    steps = np.diff(time_h)
    if steps.size < FEWEST_STEPS:
        return ()
    usual = float(np.median(steps))
    jumps = steps > JUMP * usual
    shift = None if start_h is None else _shifted(time_h, steps, usual, start_h)
    notes = [shift[1]] if shift else []
    if jumps.any():
        notes.append(_jump_note(time_h, steps, usual, jumps))
    alike = np.abs(steps - usual) <= ALIKE * usual
    rest = ~alike & ~jumps
    if shift:
        rest[shift[0]] = False
    if alike.mean() < REGULAR or _runs(steps, rest):
        notes.append(
            f"the interval is not the same throughout: {_levels(steps[~jumps])}; the fit takes times as they are"
        )
        return tuple(notes)
    ratio = np.round(steps / usual)
    gaps = rest & (ratio >= 2) & (np.abs(steps - ratio * usual) <= ALIKE * usual * np.maximum(1, ratio / 3))
    if gaps.any():
        notes.append(_gap_note(time_h, steps, usual, gaps))
    odd = np.flatnonzero(rest & ~gaps)
    if odd.size:
        words = [f"{_h(steps[index])} after {_h(time_h[index])}" for index in odd]
        notes.append(f"steps that differ from the usual {_h(usual)}: {few(words)}")
    return tuple(notes)


def order_notes(ticks: Iterable[Tick], *, start_h: float | None = None) -> tuple[str, ...]:
    """Say which frames are not in the order in which they were counted, and which have equal times.

    Parameters
    ----------
    ticks
        Frames of one series with a number. Numbers that occur twice in a field count no frames, and are ignored.
    start_h
        As in :func:`step_notes`.
    """
    units: dict[str, list[Tick]] = defaultdict(list)
    for tick in ticks:
        units[tick.unit].append(tick)
    shuffled: list[Tick] = []
    equal: list[Tick] = []
    for unit in units.values():
        ordered = sorted(unit, key=lambda tick: tick.number)
        if len({tick.number for tick in ordered}) < len(ordered):
            continue
        kept = _longest_rising([tick.time_h for tick in ordered])
        shuffled += [tick for index, tick in enumerate(ordered) if index not in kept]
        times: set[float] = set()
        for tick in ordered:
            if tick.time_h in times:
                equal.append(tick)
            times.add(tick.time_h)
    notes = []
    if shuffled:
        notes.append(
            f"times go backwards: {counted(len(shuffled), 'frame is', 'frames are')} out of the order of the frame "
            f"numbers ({few(_labels(shuffled))}); the series is in the order of the times"
        )
    if equal:
        notes.append(
            f"{counted(len(equal), 'frame is', 'frames are')} of the same time as another one ({few(_labels(equal))})"
        )
    night = next(
        (words for tick in (*equal, *shuffled) if start_h is not None and (words := _set_back(tick, start_h))), ""
    )
    if night:
        notes.append(night)
    return tuple(notes)


def _set_back(tick: Tick, start_h: float) -> str:
    """Say that a frame which does not come after the one before it lies in a night when clocks are set back."""
    there = datetime.fromtimestamp(3600 * (start_h + tick.time_h), UTC)
    where = _clock_change(there - timedelta(hours=1), there + timedelta(hours=1), forward=False)
    if where is None:
        return ""
    return (
        f"the clock was probably set back ({tick.label} at {_h(tick.time_h)}, {there:%Y-%m-%d}, when clocks change in "
        f"{where}): from there on the times are an hour early; the fit takes the times as they are"
    )


def same_pictures(pictures: Iterable[tuple[str, str | None]]) -> dict[str, tuple[str, ...]]:
    """Find pictures that occur under several names.

    Parameters
    ----------
    pictures
        (image name, hash of the file) of every image; hashes that are None are unknown.

    Returns
    -------
    dict
        Image name to all names of its picture, for those that have several.
    """
    names: dict[str, dict[str, None]] = defaultdict(dict)
    for name, digest in pictures:
        if digest:
            names[digest][name] = None
    return {name: tuple(same) for same in names.values() if len(same) > 1 for name in same}


def same_picture_note(images: Iterable[str], same: Mapping[str, tuple[str, ...]]) -> str | None:
    """Say which images of a series are the same picture as another one, or return None."""
    sets = dict.fromkeys(same[image] for image in images if image in same)
    if not sets:
        return None
    words = [" = ".join(names[:4]) for names in sets]
    times = "once" if len(sets) == 1 else f"{len(sets)} times"
    return (
        f"the same picture occurs under several names, {times} ({few(words)}); where the time is the same too, it "
        "counts once"
    )


def _shifted(time_h: Floats, steps: Floats, usual: float, start_h: float) -> tuple[int, str] | None:
    """Find the one step of a regular series that is an hour longer or shorter than all others."""
    off = np.flatnonzero(np.abs(steps - usual) > HOUR)
    if off.size != 1:
        return None
    index = int(off[0])
    change = float(steps[index]) - usual
    if abs(abs(change) - 1) > HOUR:
        return None
    before, after = (datetime.fromtimestamp(3600 * (start_h + float(time_h[index + end])), UTC) for end in (0, 1))
    where = _clock_change(before, after, forward=change > 0)
    day = f"{before:%Y-%m-%d}" if before.date() == after.date() else f"{before:%Y-%m-%d} to {after:%Y-%m-%d}"
    usually = f", when clocks change in {where}" if where else ", though not at the usual dates of summer time"
    other = ", or a picture is missing" if abs(steps[index] - 2 * usual) <= HOUR else ""
    words = "longer" if change > 0 else "shorter"
    return index, (
        f"the step after {_h(time_h[index])} is 1 h {words} than all others ({_h(usual)}; {day}{usually}): "
        f"the clock may have been changed{other}; the fit takes the times as they are"
    )


def _clock_change(before: datetime, after: datetime, *, forward: bool) -> str | None:
    """Return where clocks change between two times, in the early hours of a Sunday: Europe, North America, or None."""
    night = before.replace(hour=1, minute=0, second=0, microsecond=0)
    for _ in range(15):
        if night.weekday() == 6 and night <= after and before <= night + timedelta(hours=2):
            if night.month == (3 if forward else 10) and night.day >= 25:
                return "Europe"
            if (night.month == 3 and 8 <= night.day <= 14) if forward else (night.month == 11 and night.day <= 7):
                return "North America"
        night += timedelta(days=1)
    return None


def _jump_note(time_h: Floats, steps: Floats, usual: float, jumps: NDArray[np.bool_]) -> str:
    words = [
        f"{_h(steps[index])} after {_h(time_h[index])}, {steps[index] / usual:.0f} times the usual {_h(usual)}"
        for index in np.flatnonzero(jumps)
    ]
    return f"the times jump ({few(words)}): many pictures are missing, or the clock was changed"


def _gap_note(time_h: Floats, steps: Floats, usual: float, gaps: NDArray[np.bool_]) -> str:
    words = []
    for index in np.flatnonzero(gaps):
        missing = round(float(steps[index]) / usual) - 1
        pictures = counted(missing, "picture")
        words.append(f"{_h(steps[index])} after {_h(time_h[index])}: {pictures} missing at the usual {_h(usual)}")
    return f"a gap of {words[0]}" if len(words) == 1 else f"{len(words)} gaps ({'; '.join(words[:3])}{_dots(words)})"


def _runs(steps: Floats, rest: NDArray[np.bool_]) -> bool:
    """Whether several equal steps in a row differ from the usual one."""
    length, last = 0, math.nan
    for step, different in zip(steps, rest, strict=True):
        length = (length + 1 if abs(step - last) <= ALIKE * last else 1) if different else 0
        last = float(step)
        if length >= RUN:
            return True
    return False


def _levels(steps: Floats) -> str:
    """Write steps of about one length with their number, or the range where there are more than three lengths."""
    levels: list[list[float]] = []
    for step in np.sort(steps):
        if levels and step <= (1 + ALIKE) * levels[-1][0]:
            levels[-1].append(float(step))
        else:
            levels.append([float(step)])
    if len(levels) > 3:
        return f"steps from {_h(steps.min())} to {_h(steps.max())}"
    return ", ".join(f"{_h(float(np.median(level)))} ({len(level)} times)" for level in levels)


def _longest_rising(values: Sequence[float]) -> set[int]:
    """Positions of the longest part of a sequence that does not fall."""
    ends: list[float] = []
    tails: list[int] = []
    before: list[int] = []
    for index, value in enumerate(values):
        place = bisect_left(ends, math.nextafter(value, math.inf))
        before.append(tails[place - 1] if place else -1)
        ends[place : place + 1], tails[place : place + 1] = [value], [index]
    kept, index = set(), tails[-1] if tails else -1
    while index >= 0:
        kept.add(index)
        index = before[index]
    return kept


def _labels(ticks: Sequence[Tick]) -> list[str]:
    return [f"{tick.label} at {_h(tick.time_h)}" for tick in ticks]


def _dots(words: Sequence[str]) -> str:
    return " ..." if len(words) > 3 else ""


def _h(value: float) -> str:
    return f"{value:.3g} h" if value < 1000 else f"{value:.0f} h"
