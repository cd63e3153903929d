"""Patterns in which users say what their file names mean: a template with braces, or a regular expression."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime

from c6seg.errors import UsageError, did_you_mean

_NUMBER = r"\d+(?:[.,]\d+)?"
_UNIT = r"(?:days?|d|hours?|hrs?|h|minutes?|mins?|m)"
_SUFFIX = re.compile(r"(?:\.ome)?\.(?:tiff?|png|jpe?g|bmp)$", re.IGNORECASE)

# What a group may be called, and what its place in a template matches.
GROUPS = {
    "line": r"[^/]+?",
    "plate": r"[^/]+?",
    "well": r"[A-Pa-p](?:0?[1-9]|1\d|2[0-4])(?!\d)",
    "field": r"[A-Za-z0-9]+",
    "crop": r"[A-Za-z0-9]+",
    "index": r"\d+",
    "time_h": _NUMBER,
    "days": _NUMBER,
    "hours": _NUMBER,
    "minutes": _NUMBER,
    "time": rf"(?:{_NUMBER} ?{_UNIT} ?)+",
    "date": r"\d{4}[-._y]?\d\d[-._m]?\d\dd?(?:[ T_-]*\d\d[-:._h]?\d\d(?:[-:._m]?\d\d)?[smZ]?)?",
}
_CLOCK = {"days", "hours", "minutes"}
_SAYS_SOMETHING = {"well", "field", "index", "time_h", "time", "date", *_CLOCK}

_PLACE = re.compile(r"\{([A-Za-z_]\w*)\}")
_UNIT_AFTER = re.compile(rf"[ _]?({_UNIT})(?![A-Za-z])")
_TIME = re.compile(rf"({_NUMBER})\s?({_UNIT})\s?")
_DATE = re.compile(
    r"(\d{4})[-._y]?(\d\d)[-._m]?(\d\d)d?"
    r"(?:[ T_-]*(\d\d)[-:._h]?(\d\d)(?:[-:._m]?(\d\d)(?:[.,]\d+)?)?[smZ]?)?"
)
_EXAMPLES = "'{line}_{well}_{field}_{time}h' or '(?P<well>[A-H]\\d+)_(?P<hours>\\d+)h'"


@dataclass(frozen=True, slots=True)
class Words:
    """What a pattern found in a name.

    Parameters
    ----------
    texts
        Name of the group to its text; groups that took no part are absent.
    time_h
        Time in hours; None where the pattern names none.
    absolute
        Whether it is a date on the calendar, in hours since 1970.
    rest
        The name without the groups, to tell places apart where the pattern names none.
    """

    texts: dict[str, str]
    time_h: float | None
    absolute: bool
    rest: str


def compile_text(text: str) -> re.Pattern[str]:
    """Turn a template or a regular expression into a checked regular expression.

    A text with ``(?P<`` is a regular expression, any other text with ``{name}`` a template; so ``{2}`` or ``{1,3}``
    after something in a regular expression stay what they are.

    Raises
    ------
    UsageError
        It is neither, a group is unknown, says the time twice, or nothing in it tells images apart.
    """
    if "(?P<" not in text and _PLACE.search(text):
        return _checked(text, _from_template(text))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # "[[" may mean something else one day
            found = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        position = getattr(error, "pos", None)
        where = "" if position is None else f" at character {position + 1}, before {text[position : position + 12]!r}"
        raise UsageError(
            f"The pattern {text!r} is no regular expression: {getattr(error, 'msg', error)}{where}. "
            f"Write a template or a regular expression with named groups, such as {_EXAMPLES}."
        ) from error
    mixed = _PLACE.search(text)
    if mixed and found.groupindex:
        raise UsageError(
            f"The pattern {text!r} mixes the two ways of writing one: {mixed[0]!r} belongs to a template, '(?P<' to a "
            f"regular expression. Write (?P<{mixed[1]}>...) instead."
        )
    return _checked(text, found)


def read_words(pattern: re.Pattern[str], name: str) -> Words | None:
    """Match a pattern against a path without its suffix, then against the name alone, then against the path as it is.

    Returns
    -------
    Words | None
        None where nothing matches, or a group holds no time although it should.
    """
    path = name.replace("\\", "/")
    stem = _SUFFIX.sub("", path)
    for text in dict.fromkeys((stem, stem.rpartition("/")[2], path)):
        match = pattern.search(text)
        found = _words(match) if match else None
        if found is not None:
            return found
    return None


def _from_template(text: str) -> re.Pattern[str]:
    """Write a template as a regular expression: ``*`` is anything within a folder, other text is taken as it is."""
    text = _SUFFIX.sub("", text.replace("\\", "/"))
    pieces = re.split(r"(\{[^{}]*\})", text)
    seen: set[str] = set()
    out = []
    for number, piece in enumerate(pieces):
        place = _PLACE.fullmatch(piece)
        if place is None:
            if "{" in piece or "}" in piece:
                raise UsageError(
                    f"In the pattern {text!r}, {piece!r} cannot be read: braces hold one of {', '.join(GROUPS)}."
                )
            out.append(re.escape(piece).replace(r"\*", "[^/]*?"))
            continue
        name = place[1]
        if name not in GROUPS:
            raise UsageError(did_you_mean(name, GROUPS, what="part of a name in the pattern"))
        if name in seen:
            out.append(f"(?P={name})")
            continue
        seen.add(name)
        unit_follows = name == "time" and _UNIT_AFTER.match(pieces[number + 1])
        out.append(f"(?P<{name}>{_NUMBER if unit_follows else GROUPS[name]})")
    # a part at an end of the template is a whole word, not the tail of one
    begin = r"(?<![A-Za-z0-9])" if not pieces[0] else ""
    end = r"(?![A-Za-z0-9])" if not pieces[-1] else ""
    return re.compile(begin + "".join(out) + end)


def _checked(text: str, pattern: re.Pattern[str]) -> re.Pattern[str]:
    groups = set(pattern.groupindex)
    for name in pattern.groupindex:
        if name not in GROUPS:
            raise UsageError(did_you_mean(name, GROUPS, what="group in the pattern"))
    if not groups & _SAYS_SOMETHING:
        has = f"names only {', '.join(sorted(groups))}" if groups else "names no part of the file name"
        raise UsageError(
            f"The pattern {text!r} {has}; it must name a well, a field, an index or a time. "
            f"Allowed: {', '.join(GROUPS)}. Write it as {_EXAMPLES}."
        )
    said = [name for name in ("time_h", "time") if name in groups] + sorted(groups & _CLOCK)[:1]
    if len(said) > 1:
        raise UsageError(
            f"The pattern {text!r} says the time twice ({' and '.join(said)}). Use 'time_h' alone, 'time' alone, or "
            "'days', 'hours' and 'minutes' together."
        )
    return pattern


def _words(match: re.Match[str]) -> Words | None:
    texts = {name: text.strip() for name, text in match.groupdict().items() if text is not None and text.strip()}
    time_h, absolute = 0.0, "date" in texts
    parts = [_date_h(texts["date"])] if absolute else []
    for name, hours in (("days", 24.0), ("hours", 1.0), ("minutes", 1 / 60), ("time_h", 1.0)):
        if name in texts:
            value = _number(texts[name])
            parts.append(None if value is None else hours * value)
    if "time" in texts:
        parts.append(_time_h(texts["time"], match.string[match.end("time") :]))
    if "index" in texts and not texts["index"].isdecimal():
        return None
    for part in parts:
        if part is None:
            return None
        time_h += part
    return Words(texts, time_h if parts else None, absolute, _rest(match))


def _rest(match: re.Match[str]) -> str:
    """Return the text around the groups, with the unit of a time taken out too."""
    text = match.string
    spans = sorted(match.span(name) for name in match.groupdict() if match.end(name) > match.start(name))
    kept, last = "", 0
    for begin, end in spans:
        kept += text[last:begin].rstrip(" _-.") if begin >= last else ""
        unit = _UNIT_AFTER.match(text, end)
        last = max(last, unit.end() if unit and text[end - 1].isdigit() else end)
    return (kept + text[last:]).strip(" _-./")


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _time_h(text: str, after: str) -> float | None:
    """Hours of ``"24h"``, ``"02d16h00m"``, or of a bare number by the unit that follows it."""
    hours = {"d": 24.0, "h": 1.0, "m": 1 / 60}
    bare = _number(text)
    if bare is not None:
        unit = _UNIT_AFTER.match(after)
        return bare * hours[unit[1][0]] if unit else None
    parts = _TIME.findall(text)
    if not parts or _TIME.sub("", text).strip():
        return None
    return sum(float(value.replace(",", ".")) * hours[unit[0]] for value, unit in parts)


def _date_h(text: str) -> float | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        return datetime(*(int(part or 0) for part in match.groups()), tzinfo=UTC).timestamp() / 3600  # type: ignore[arg-type, misc]
    except ValueError:
        return None
