"""The scores of a study: for each configuration, division, test image and pair of sizes the counts of pixels.

A table has one column for each factor of the study, then :data:`FIXED`. An empty field of a factor means that the
configuration does not have it. Everything else in a report is computed from these rows.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from c6seg.config import format_size, parse_size
from c6seg.errors import DataError, UsageError
from c6seg.evaluation.metrics import Counts, dice
from c6seg.runtime import write_csv
from c6seg.studies.spec import TESTED_ON

COUNTS = ("tp", "fp", "fn", "tn")
NEEDED = ("split", "image", "input_size", "score_size", *COUNTS)
FIXED = ("split", "image", "group", "input_size", "score_size", *COUNTS)
"""Columns that are no factors; ``group`` may be missing in a table."""

Sizes = tuple[str, str]
Configuration = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One test image of one run at one pair of sizes.

    Parameters
    ----------
    configuration
        Factor to value, such as ``{"encoder": "MiT-B3", "init": "imagenet"}``; the order is that of the columns.
    split
        Name of the division, such as ``split03``.
    image
        Name of the test image.
    input_size, score_size
        R and R2 of equation (2) as WIDTHxHEIGHT in px, or ``native``.
    tp, fp, fn, tn
        Pixels at the size R2.
    group
        A part of the data set that is also reported apart, such as ``large``; empty = none.

    Raises
    ------
    UsageError
        A name is empty or has spaces around it, a factor is called like a column of :data:`FIXED`, a size is none, or
        the counts are negative or all 0.
    """

    configuration: Mapping[str, str] = field(hash=False)
    split: str
    image: str
    input_size: str
    score_size: str
    tp: int
    fp: int
    fn: int
    tn: int
    group: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "configuration", dict(self.configuration))
        for size in ("input_size", "score_size"):
            object.__setattr__(self, size, format_size(parse_size(getattr(self, size))))
        for factor, value in self.configuration.items():
            if factor in FIXED:
                raise UsageError(f"A factor may not be called {factor!r}: that is a column of the scores. Rename it.")
            _check_name(factor, "name of a factor")
            _check_name(value, f"value of {factor}")
        _check_name(self.split, "split")
        _check_name(self.image, "image")
        if self.group:
            _check_name(self.group, "group")
        for name in COUNTS:
            _check_count(name, getattr(self, name))
        if not self.counts.total:
            raise UsageError("tp, fp, fn and tn are all 0: no pixel was compared.")

    @property
    def key(self) -> Configuration:
        """The configuration as sorted pairs: equal for equal configurations, whatever the order of their factors."""
        return tuple(sorted(self.configuration.items()))

    @property
    def picture(self) -> str:
        """The test image, told apart from one of the same name in another data set."""
        data = self.configuration.get(TESTED_ON)
        return self.image if data is None else f"{data}/{self.image}"

    @property
    def sizes(self) -> Sizes:
        """R and R2."""
        return self.input_size, self.score_size

    @property
    def counts(self) -> Counts:
        """The counts, for :mod:`c6seg.evaluation.metrics`."""
        return Counts(self.tp, self.fp, self.fn, self.tn)

    @property
    def dice(self) -> float:
        """DS_f of equation (2); nothing against nothing is 1."""
        return dice(self.counts)


def write_scores(path: Path, rows: Iterable[ScoreRow]) -> None:
    """Write the table, whole or not at all, in an order that depends on the rows only: same rows, same bytes.

    Raises
    ------
    UsageError
        Two rows are about the same image, division, configuration and sizes.
    OutputError
        The file cannot be written.
    """
    ordered = sort_rows(rows)
    seen: set[tuple[object, ...]] = set()
    for row in ordered:
        if (place := _place(row)) in seen:
            raise UsageError(f"Two rows are about {_words(row)}; keep one of them.")
        seen.add(place)
    factors = factor_names(ordered)
    table = (
        {**dict.fromkeys(factors, ""), **row.configuration, **{name: getattr(row, name) for name in FIXED}}
        for row in ordered
    )
    write_csv(path, (*factors, *FIXED), table)


def read_scores(path: Path) -> list[ScoreRow]:
    """Read a table that :func:`write_scores` wrote, or one that was made elsewhere.

    Raises
    ------
    DataError
        There is no such file, a column is missing or double, or one cell cannot be used: the line is named. One bad
        cell refuses the table, as a mean over fewer images would look like a result.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            columns = next(reader, [])
            _check_columns(path, columns)
            rows, lines = [], dict[tuple[object, ...], int]()
            for cells in reader:
                if not cells:
                    continue
                line = reader.line_num
                row = _read_row(path, line, columns, cells)
                before = lines.setdefault(_place(row), line)
                if before != line:
                    raise DataError(f"'{path}', lines {before} and {line}: both are about {_words(row)}. Keep one.")
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"'{path}' is no table of scores that can be read: {error}") from error
    return rows


def sort_rows(rows: Iterable[ScoreRow]) -> list[ScoreRow]:
    """Sort by configuration, division, image and sizes, numbers inside names by their value."""
    return sorted(rows, key=lambda row: (_natural_pairs(row.key), natural(row.split), natural(row.image), row.sizes))


def factor_names(rows: Iterable[ScoreRow]) -> list[str]:
    """Names of all factors, sorted."""
    return sorted({factor for row in rows for factor in row.configuration})


@lru_cache(maxsize=100_000)
def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Key that sorts numbers inside a text by their value.

    Examples
    --------
    >>> sorted(["split10", "split9"], key=natural)
    ['split9', 'split10']
    """
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)


def _natural_pairs(key: Configuration) -> tuple[tuple[str, tuple[tuple[int, int, str], ...]], ...]:
    return tuple((factor, natural(value)) for factor, value in key)


def _place(row: ScoreRow) -> tuple[object, ...]:
    return row.key, row.split, row.image, *row.sizes


def _words(row: ScoreRow) -> str:
    configuration = ", ".join(f"{factor} = {value}" for factor, value in row.configuration.items()) or "(no factor)"
    return f"{configuration}; {row.split}, image '{row.image}', input {row.input_size}, scored at {row.score_size}"


def is_name(text: object) -> bool:
    """Whether something can be a name in the table of scores: a text of one line without spaces around it."""
    return isinstance(text, str) and bool(text) and text == text.strip() and "\n" not in text and "\r" not in text


def _check_name(text: str, what: str) -> None:
    if not is_name(text):
        raise UsageError(f"{text!r} cannot be the {what}: it must be a text of one line without spaces around it.")


def _check_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageError(f"{name} is {value!r}; it must be a whole number of pixels, 0 or more.")


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise DataError(f"'{path}' is no table of scores: it has no column {missing[0]}. Needed: {', '.join(NEEDED)}.")
    double = sorted({name for name in columns if columns.count(name) > 1})
    if double:
        raise DataError(f"'{path}' has more than one column {double[0]!r}. Rename or remove one.")
    if any(not name or name != name.strip() for name in columns):
        raise DataError(f"'{path}' has a column without a name, or with spaces around it. Name each factor.")


def _read_row(path: Path, line: int, columns: Sequence[str], cells: Sequence[str]) -> ScoreRow:
    if len(cells) != len(columns):
        raise DataError(f"'{path}', line {line}: {len(cells)} fields where there are {len(columns)} columns.")
    values: dict[str, Any] = dict(zip(columns, cells, strict=True))
    for name in COUNTS:
        if not re.fullmatch(r"[0-9]+", values[name]):
            raise DataError(
                f"'{path}', line {line}: {name} is {values[name]!r}; it must be a whole number of pixels, 0 or more."
            )
        values[name] = int(values[name])
    configuration = {name: values.pop(name) for name in columns if name not in FIXED}
    try:
        return ScoreRow(configuration={name: value for name, value in configuration.items() if value}, **values)
    except UsageError as error:
        raise DataError(f"'{path}', line {line}: {error}") from error
