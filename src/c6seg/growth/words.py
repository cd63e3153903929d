"""Numbers as people write them, for the report, its tables and its sentences."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence

NONE = "–"
# What a reader sees of a fit at a glance; the verdict says the rest.
KINDS = {
    "growing": "growing",
    "excluded": "all excluded",
    "few": "too few times",
    "empty": "hardly any cells",
    "full": "full field",
    "flat": "no growth seen",
    "shrinking": "shrinking",
    "slight": "too slight",
    "uncertain": "uncertain",
    "closing": "closing",
    "none": "no gap",
    "still": "does not close",
    "opening": "opening",
}
LONGEST_NAME = 80


def number(value: float | None, digits: int = 3) -> str:
    """Write significant digits, never in powers of ten.

    Examples
    --------
    >>> number(0.028881), number(1234.5), number(24.04), number(None)
    ('0.0289', '1230', '24.0', '–')
    """
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    return _fixed(value, _places(value, digits))


def short(value: float | None) -> str:
    """Write up to three significant digits, without zeros that say nothing.

    Examples
    --------
    >>> short(24.0), short(0.5), short(1e-05)
    ('24', '0.5', '0.00001')
    """
    text = number(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(value: float | None) -> str:
    """Write a fraction as percent."""
    return NONE if value is None or not math.isfinite(value) else f"{short(100 * value)} %"


def signed_percent(value: float | None) -> str:
    """Write a change as percent, with its sign; whole percents from 10 % on.

    Examples
    --------
    >>> signed_percent(0.3), signed_percent(-0.027)
    ('+30 %', '−2.7 %')
    """
    if value is None or not math.isfinite(value):
        return NONE
    size = f"{100 * abs(value):.0f}" if abs(value) >= 0.0995 else f"{100 * abs(value):.1f}"
    return f"{'+' if value >= 0 else chr(0x2212)}{size} %"


def interval(value: float | None, lower: float | None, upper: float | None, unit: str = "") -> str:
    """Write a value with its interval, all to the places that the width gives a meaning, at most three digits.

    Examples
    --------
    >>> interval(24.04, 22, 26.53, "h")
    '24.0 h (22.0 to 26.5)'
    >>> interval(0.0000942, -0.0023, 0.0025)
    '0.0001 (−0.0023 to 0.0025)'
    >>> interval(22.153, 21.612, 22.627)
    '22.2 (21.6 to 22.6)'
    >>> interval(24.04, None, None, "h")
    '24.0 h'
    """
    if value is None or not math.isfinite(value):
        return NONE
    if lower is None or upper is None or not math.isfinite(upper - lower):
        return f"{number(value)} {unit}".strip()
    largest = max(abs(each) for each in (lower, value, upper))
    places = min(_places((upper - lower) / 2, 2), _places(largest, 3)) if upper > lower else _places(value, 3)
    low, middle, high = (_fixed(each, places) for each in (lower, value, upper))
    return f"{middle} {unit}".strip() + f" ({low} to {high})"


def percent_interval(value: float | None, lower: float | None, upper: float | None) -> str:
    """Write a fraction as percent with its interval."""
    value, lower, upper = (None if part is None else 100 * part for part in (value, lower, upper))
    return interval(value, lower, upper, "%")


def p_value(p: float | None) -> str:
    """Write a probability as papers do.

    Examples
    --------
    >>> p_value(0.00002), p_value(0.0312), p_value(0.82)
    ('< 0.001', '0.031', '0.82')
    """
    if p is None or not math.isfinite(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def areas(*um2: float) -> str:
    """Write areas, one after the other, in the unit that suits the largest.

    Examples
    --------
    >>> areas(5321.0), areas(87400.0, 1.25e6)
    ('5320 µm²', '0.0874 → 1.25 mm²')
    """
    divisor, unit = (1e6, "mm²") if max(um2) >= 1e5 else (1.0, "µm²")
    return " → ".join(number(each / divisor) for each in um2) + f" {unit}"


def counted(number_of: int, one: str, many: str | None = None) -> str:
    """Write a number with its noun.

    Examples
    --------
    >>> counted(1, "well"), counted(3, "well"), counted(2, "series", "series")
    ('1 well', '3 wells', '2 series')
    """
    return f"{number_of} {one if number_of == 1 else many or one + 's'}"


def few(names: Sequence[str], most: int = 3) -> str:
    """List the first names, with dots where there are more.

    Examples
    --------
    >>> few(["a", "b"]), few(["a", "b", "c", "d"])
    ('a, b', 'a, b, c ...')
    """
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")


def confidence_text(confidence: float) -> str:
    """Write ``0.95`` as ``95 %``."""
    return f"{100 * confidence:g} %"


def dose(concentration: float | None, unit: str) -> str:
    """Write a concentration with its unit; empty where there is none."""
    if concentration is None:
        return ""
    size = f"{concentration:.6g}" if 1e-3 <= abs(concentration) < 1e6 or concentration == 0 else f"{concentration:.3g}"
    return f"{size} {unit}".strip()


def safe_cell(text: str) -> str:
    """Return a text as no spreadsheet program takes it for a formula: with an apostrophe before ``= + - @``.

    Examples
    --------
    >>> safe_cell("=1+1"), safe_cell("+TMZ"), safe_cell("-1.5"), safe_cell("DMSO")
    ("'=1+1", "'+TMZ", '-1.5', 'DMSO')
    """
    if text[:1] not in {"=", "+", "-", "@", "\t", "\r"}:
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def sentence(words: str) -> str:
    """Begin with a capital letter and end with a stop; the rest stays as it is."""
    text = words.strip()
    return text if not text else text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def safe_name(name: str) -> str:
    """Return a name that every file system accepts."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name).strip(".") or "series"


def file_names(names: Sequence[str]) -> list[str]:
    """Return a file name for each series: short, safe, and unlike the others even where capitals do not count.

    Names that would fall together, and long ones, get some letters of their hash, so that a name keeps its file when
    other series come and go.

    Examples
    --------
    >>> file_names(["A1", "B 2"])
    ['A1', 'B_2']
    """
    safe = [safe_name(name) for name in names]
    counts = Counter(name.lower() for name in safe)
    return [
        short_name
        if counts[short_name.lower()] == 1 and len(short_name.encode()) <= LONGEST_NAME
        else f"{_cut(short_name)}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"
        for name, short_name in zip(names, safe, strict=True)
    ]


def _places(value: float, digits: int) -> int:
    return digits - 1 - math.floor(math.log10(abs(value))) if value else 0


def _fixed(value: float, places: int) -> str:
    text = f"{round(value, places):.{max(0, places)}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else text.replace("-", "")


def _cut(name: str) -> str:
    return re.sub(r"[-_.]+$", "", name.encode(errors="replace")[:LONGEST_NAME].decode(errors="ignore"))
