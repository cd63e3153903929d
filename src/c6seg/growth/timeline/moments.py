"""Times inside names: ``12h``, ``2d``, ``t-6h``, ``36hpi``, dates. What one name leaves open, the others settle."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

GAP = r"(?<![A-Za-z0-9.])"
END = r"(?![A-Za-z0-9])"
ELAPSED = r"(?P<d>\d{1,3})d(?P<h>\d{1,2})h(?:(?P<m>\d{1,2})m)?"
DATED = r"(?P<Y>\d{4})y(?P<M>\d\d)m(?P<D>\d\d)d[_-]?(?P<h>\d\d)h(?P<m>\d\d)m"

_CLOCK = r"(?P<h>[0-2]\d)[-:.h]?(?P<m>[0-5]\d)(?:[-:.m]?(?P<s>[0-5]\d)s?)?"
_NUMBER = r"\d+(?:[.,]\d+)?"
# A minus is one after "t", or after a gap: "t-12h", "B2_-12h"; in "untreated-12h" it is a hyphen.
_SIGNED = r"(?:(?:t|time)[ =_]?(?P<sign>[-+\N{MINUS SIGN}])?|(?<=[_ ])(?P<bare>[-+\N{MINUS SIGN}]))?"
_AFTER = r"(?:p[a-z])?"  # hours post infection, treatment, seeding: 36hpi
_YEAR_LAST = r"(?P<one>\d{1,2})(?P<dot>[-._])(?P<two>\d{1,2})(?P=dot)(?P<Y>20\d\d)"
_DAY_NUMBER = re.compile(GAP + rf"(?:{_SIGNED}(?P<d>\d{{1,2}}(?:[.,]\d+)?)d{_AFTER}|d(?P<day>\d{{1,3}}))" + END)

# Times anywhere in a name, tried in order.
_TIMES = (
    *(
        re.compile(GAP + pattern + END, flags)
        for pattern, flags in (
            (DATED, 0),
            (r"t?" + ELAPSED, re.IGNORECASE),
            (r"(?P<Y>20\d\d)-?(?P<M>[01]\d)-?(?P<D>[0-3]\d)[ T_-]" + _CLOCK, 0),
            (_YEAR_LAST + r"[ T_-]+" + _CLOCK, 0),
            (
                _SIGNED + rf"(?P<h>{_NUMBER})[ _]?(?:h|hr|hrs|hours?|hp[a-z])(?:(?P<m>\d{{1,2}})(?:m|min)?)?",
                re.IGNORECASE,
            ),
            (_SIGNED + rf"(?P<m>{_NUMBER})[ _]?(?:min|minutes?)", re.IGNORECASE),
            (rf"day[ _]?(?P<dash>-)?(?P<d>{_NUMBER})", re.IGNORECASE),
            (_SIGNED + rf"(?P<d>{_NUMBER})[ _]?days?", re.IGNORECASE),
        )
    ),
    _DAY_NUMBER,
)
_DATES_ALONE = (re.compile(r"(?P<Y>20\d\d)[-._]?(?P<M>[01]\d)[-._]?(?P<D>[0-3]\d)"), re.compile(_YEAR_LAST))
_SMALL_WELL = re.compile(GAP + r"(?P<well>[a-p](?:0?[1-9]|1\d|2[0-4]))" + END)
# Small letters before a number that stand for a channel, a day, a field, an hour or a position in other names.
_OTHER_MEANINGS = frozenset("cdfhp")
_SURE_ROWS = frozenset("abeg")


@dataclass(frozen=True, slots=True)
class Habits:
    """How the names of one set are written, where a single name can be read in several ways.

    Parameters
    ----------
    month_first
        ``05-01-2024`` is the first of May.
    hyphens
        ``t-12h`` has a hyphen, no minus; None = unknown: ``t-12h`` is negative and ``day-3`` is not.
    days
        ``3d`` and ``d3`` count days.
    small_wells
        ``b2`` is a well.
    """

    month_first: bool = False
    hyphens: bool | None = None
    days: bool = True
    small_wells: bool = False


USUAL = Habits()


def take_time(text: str, habits: Habits = USUAL) -> tuple[float | None, bool, str]:
    """Return hours, whether they are a calendar date, and the text without them."""
    for pattern in _TIMES:
        if pattern is _DAY_NUMBER and not habits.days:
            continue
        match = pattern.search(text)
        groups = match.groupdict() if match else {}
        if match and pattern is _DAY_NUMBER and groups["day"] and habits.small_wells and small_well(text) == match[0]:
            continue
        time_h = hours_of(groups, month_first=habits.month_first) if match else None
        if match and time_h is not None:
            return -time_h if _negative(groups, habits) else time_h, "Y" in groups, without(text, match)
    return None, False, text


def date_alone(text: str, habits: Habits = USUAL) -> float | None:
    """Return the hours since 1970 of a text that is a date and nothing else, such as the name of a folder."""
    match = next((match for pattern in _DATES_ALONE if (match := pattern.fullmatch(text))), None)
    return hours_of(match.groupdict(), month_first=habits.month_first) if match else None


def hours_of(groups: dict[str, str | None], *, month_first: bool = False) -> float | None:
    """Put the parts of a time together; None where there are none, or no such day is in the calendar."""
    groups = {**groups, "d": groups.get("d") or groups.get("day")}
    values = {key: float(value.replace(",", ".")) for key in "YMDdhms" if (value := groups.get(key))}
    if not values:
        return None
    hours = 24 * values.get("d", 0.0) + values.get("h", 0.0) + values.get("m", 0.0) / 60 + values.get("s", 0.0) / 3600
    if "Y" not in values:
        return hours
    if groups.get("one"):
        day, month = _day_and_month(groups, month_first=month_first)
    else:
        day, month = int(values["D"]), int(values["M"])
    try:
        date = datetime(int(values["Y"]), month, day, tzinfo=UTC)
    except ValueError:
        return None
    return date.timestamp() / 3600 + hours


def small_well(text: str) -> str | None:
    """Return the well in small letters, ``"b2"``; one that can hardly mean anything else comes first."""
    wells = [match["well"] for match in _SMALL_WELL.finditer(text)]
    return next((well for well in wells if well[0] not in _OTHER_MEANINGS), wells[-1] if wells else None)


def find_habits(names: Iterable[str]) -> tuple[Habits, tuple[str, ...]]:
    """Say how a set of names is written, and in words what was assumed.

    Parameters
    ----------
    names
        File names without suffix, with their folders.

    Returns
    -------
    tuple
        The habits; notes.
    """
    parts = list(dict.fromkeys(part for name in names for part in re.split(r"[\\/]+", name) if part))
    month_first, notes = _date_order(parts)
    days = {match["d"] or match["day"] for part in parts for match in _DAY_NUMBER.finditer(part)}
    # "3d" in every name is a kind of culture, not a time
    counted = len(parts) < 3 or len({float(day.replace(",", ".")) for day in days}) != 1
    small = {well[0] for part in parts if (well := small_well(part))}
    return Habits(month_first, _hyphens(parts), counted, bool(small & _SURE_ROWS)), notes


def without(text: str, match: re.Match[str]) -> str:
    """Return a text without a match and the gap beside it."""
    before, after = text[: match.start()], text[match.end() :]
    return before.rstrip(" _-.") + after if not before or not after else before + after.lstrip(" _-.")


def _negative(groups: dict[str, str | None], habits: Habits) -> bool:
    if groups.get("dash"):
        return habits.hyphens is False
    return (groups.get("sign") or groups.get("bare") or "+") != "+" and not (groups.get("sign") and habits.hyphens)


def _hyphens(parts: Sequence[str]) -> bool | None:
    """Whether the hyphens after ``t`` or ``day`` are no minus: all times have one."""
    written = re.compile(GAP + r"(?:t|time|day)[ =_]?(-?)\d+(?:[.,]\d+)?(?:h|d|min)?" + END, re.IGNORECASE)
    found = [match[1] for part in parts for match in written.finditer(part)]
    if "-" not in found:
        return None
    return all(found) and len(found) > 1


def _day_and_month(groups: dict[str, str | None], *, month_first: bool) -> tuple[int, int]:
    one, two = int(groups["one"] or 0), int(groups["two"] or 0)
    if two > 12 or (month_first and one <= 12):
        return two, one
    return one, two


def _date_order(parts: Sequence[str]) -> tuple[bool, tuple[str, ...]]:
    """Whether dates with the year at the end begin with the month."""
    search = re.compile(GAP + _YEAR_LAST + END)
    found = {match[0]: match.groupdict() for part in parts for match in search.finditer(part)}
    if not found:
        return False, ()
    ones, twos = ([int(groups[key] or 0) for groups in found.values()] for key in ("one", "two"))
    if max(ones) > 12 or max(twos) > 12:
        return max(ones) <= 12, ()
    if len(found) == 1 or all(one == two for one, two in zip(ones, twos, strict=True)):
        return False, ()  # the time between the images is the same in either order
    spans = []
    for first in (False, True):
        hours = [hours_of(groups, month_first=first) or 0.0 for groups in found.values()]
        spans.append(max(hours) - min(hours))
    month_first = spans[1] < spans[0]
    order, other = ("month-day-year", "day-month-year")[:: 1 if month_first else -1]
    why = f": as {other} they would lie further apart" if spans[0] != spans[1] else ", as nothing says otherwise"
    return month_first, (f"dates such as {next(iter(found))} were read as {order}{why}",)
