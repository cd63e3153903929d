"""All tables of a growth analysis as one Excel file, ``growth.xlsx``."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from c6seg.growth.curves import GrowthFit
from c6seg.growth.plates.results import PlateResult
from c6seg.growth.plates.tables import COMPARISON, DOSE, INFO, WELL
from c6seg.growth.reporting.methods import Methods
from c6seg.growth.reporting.tables import FIT_COLUMNS, GROWTH_COLUMNS, fit_rows, growth_rows
from c6seg.growth.series import Series
from c6seg.growth.wounds.results import WoundFit
from c6seg.runtime import atomic_path

WOUND = (
    "name",
    "kind",
    "closure_per_h",
    "closure_lower",
    "closure_upper",
    "front_um_per_h",
    "front_lower",
    "front_upper",
    "half_h",
    "half_lower",
    "half_upper",
    "verdict",
)
WOUND_TIMES = ("name", "time_h", "gap", "lower", "upper", "gap_um2")
# A sheet of Excel has no more rows than this, and a cell no more letters.
MOST_ROWS = 1_048_576
MOST_LETTERS = 32_767
NARROWEST, WIDEST = 8, 60
# Letters that XML cannot carry.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# Files in a zip carry times; with this one the same analysis gives the same bytes.
MOMENT = datetime(2000, 1, 1)
CHANGED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet to write: title, columns, and rows of numbers and words."""

    title: str
    columns: Sequence[str]
    rows: Iterable[Sequence[Any]]


def write_workbook(
    path: Path,
    *,
    title: str,
    series: Sequence[Series],
    fits: Sequence[GrowthFit],
    methods: Methods,
    plate: PlateResult | None = None,
    wounds: Sequence[WoundFit] = (),
) -> None:
    """Write the tables of an analysis as sheets; numbers are numbers, and no text is ever taken for a formula.

    Sheets: Summary, Growth, Fits, and where there are any Plate, Groups, Comparisons, Dose response, Wound, Wound
    times. The same analysis gives the same file, byte for byte.

    Parameters
    ----------
    path
        ``growth.xlsx``.
    title
        Heading of the analysis.
    series, fits
        The curves and what was read from them, in the same order.
    methods
        Facts and text for the summary.
    plate
        What the plate map and the comparisons say.
    wounds
        Closing wounds.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    book.properties.creator = "c6seg"
    book.properties.created = MOMENT
    for sheet in _sheets(title, series, fits, methods, plate, wounds):
        _write(book.create_sheet(sheet.title), sheet)
    with atomic_path(path) as temporary:
        book.save(temporary)
        _without_times(temporary)


def _sheets(
    title: str,
    series: Sequence[Series],
    fits: Sequence[GrowthFit],
    methods: Methods,
    plate: PlateResult | None,
    wounds: Sequence[WoundFit],
) -> Iterator[Sheet]:
    facts = [("title", title), ("series", len(series)), ("with a doubling time", _grown(fits)), *methods.facts.items()]
    texts = [("methods", text) for text in methods.paragraphs]
    notes = [("note", note) for note in (plate.notes if plate is not None else ())]
    if plate is not None and plate.design is not None:
        notes.append(("design", plate.design.text))
    yield Sheet("Summary", ("what", "value"), [*facts, *notes, *texts])
    yield Sheet("Growth", GROWTH_COLUMNS, (list(row.values()) for row in growth_rows(series)))
    yield Sheet("Fits", FIT_COLUMNS, (list(row.values()) for row in fit_rows(series, fits)))
    if plate is not None:
        yield from _plate_sheets(plate)
    if wounds:
        yield Sheet("Wound", WOUND, ([getattr(one, name) for name in WOUND] for one in wounds))
        yield Sheet("Wound times", WOUND_TIMES, _wound_times(wounds))


def _plate_sheets(plate: PlateResult) -> Iterator[Sheet]:
    extra = list(dict.fromkeys(name for well in plate.wells for name in well.info.extra))
    titles = [f"map_{name}" if name in INFO + WELL else name for name in extra]
    rows = (
        [getattr(well.info, name) for name in INFO]
        + [getattr(well, name) for name in WELL]
        + [well.info.extra.get(name) for name in extra]
        for well in plate.wells
    )
    yield Sheet("Plate", (*INFO, *WELL, *titles), rows)
    columns = ("label", "role", "treatment", "concentration", "unit", "rate_per_h", "lower", "upper", "wells")
    if plate.groups:
        groups = ([*(getattr(one, name) for name in columns[:-1]), " ".join(one.wells)] for one in plate.groups)
        yield Sheet("Groups", columns, groups)
    for title, names, items in (("Comparisons", COMPARISON, plate.comparisons), ("Dose response", DOSE, plate.doses)):
        if items:
            yield Sheet(title, names, ([getattr(one, name) for name in names] for one in items))


def _wound_times(wounds: Sequence[WoundFit]) -> Iterator[list[Any]]:
    for one in wounds:
        for index in range(one.time_h.size):
            values = (one.time_h, one.gap, one.lower, one.upper, one.gap_um2)
            yield [one.name, *(None if part is None else float(part[index]) for part in values)]


def _write(page: Any, sheet: Sheet) -> None:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    rows = [[_value(value) for value in row] for row in sheet.rows][: MOST_ROWS - 1]
    page.freeze_panes = "A2"
    for index, name in enumerate(sheet.columns):
        longest = max([len(name) + 2, *(len(_shown(row[index])) + 1 for row in rows[:2000])])
        page.column_dimensions[get_column_letter(index + 1)].width = max(NARROWEST, min(WIDEST, longest))
    header = [WriteOnlyCell(page, value=name) for name in sheet.columns]
    for cell in header:
        cell.font = Font(bold=True)
    page.append(header)
    for row in rows:
        page.append([_cell(page, value, Alignment) if isinstance(value, str) else value for value in row])


def _cell(page: Any, text: str, alignment: Any) -> Any:
    """Return a cell whose text is a text, even where it begins as a formula does."""
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(page, value=text)
    cell.data_type = "s"
    if len(text) > WIDEST:
        cell.alignment = alignment(wrap_text=True, vertical="top")
    return cell


def _value(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return float(f"{value:.10g}")
    return FORBIDDEN.sub("\ufffd", value)[:MOST_LETTERS] if isinstance(value, str) else value


def _shown(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else "" if value is None else str(value)


def _grown(fits: Sequence[GrowthFit]) -> int:
    return sum(fit.doubling_time_h is not None for fit in fits)


def _without_times(path: Path) -> None:
    """Write the parts of a workbook again, all with one time."""
    with zipfile.ZipFile(path) as old:
        parts: Mapping[str, bytes] = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as new:
        for name, data in parts.items():
            # openpyxl writes the time of saving into the properties
            kept = CHANGED.sub(rb"\g<1>" + MOMENT.isoformat().encode() + b"Z", data) if "core" in name else data
            new.writestr(zipfile.ZipInfo(name, MOMENT.timetuple()[:6]), kept, zipfile.ZIP_DEFLATED)
