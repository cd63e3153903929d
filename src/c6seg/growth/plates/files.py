"""Plate map files to rows of text: CSV and its kin, Excel, wellmap TOML. What the columns mean comes later."""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c6seg.errors import DataError, MissingExtraError

TEXT = (".csv", ".tsv", ".tab", ".txt")
EXCEL = (".xlsx", ".xlsm")
ALLOWED = "CSV (comma, semicolon or tab), Excel .xlsx, or wellmap .toml"
# Places of a well that wellmap names in several ways; "well" is enough.
WELLMAP_PLACES = {"well0", "row", "col", "row_i", "col_j", "path"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table as text.

    Parameters
    ----------
    columns
        Headings as written.
    rows
        (number in the file, cells), a cell for each column.
    decimal_comma
        Whether a comma in a number can only be a decimal comma.
    notes
        What is strange about the file, in words.
    beyond
        Number of a row to its first cell that has no heading, because the row is longer than the heading.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    decimal_comma: bool = False
    notes: tuple[str, ...] = ()
    beyond: Mapping[int, str] = field(default_factory=dict)


def read_table(path: Path) -> Table:
    """Read a plate map file of any allowed kind.

    Raises
    ------
    DataError
        It is missing, empty, of another kind, or broken.
    MissingExtraError
        It is a wellmap file and the library is not installed.
    """
    kind = path.suffix.lower()
    if not path.is_file():
        raise DataError(f"Plate map '{path}' is no file. Give a file: {ALLOWED}.")
    if kind in EXCEL:
        return _excel(path)
    if kind == ".toml":
        return _wellmap(path)
    if kind in TEXT:
        return _text(path)
    raise DataError(f"Plate map '{path}' is of a kind that cannot be read ({kind or 'no ending'}). Allowed: {ALLOWED}.")


def _text(path: Path) -> Table:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _broken(path, error) from error
    text, notes = _decoded(raw)
    if "\0" in text:
        raise DataError(f"Plate map '{path}' is no text. Save it as CSV (UTF-8).")
    header = next((line for line in text.splitlines() if line.strip()), "")
    # no heading needs a tab or a semicolon, but "conc (uM, final)" may hold a comma
    delimiter = next((sign for sign in "\t;" if sign in header), ",")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise _broken(path, error) from error
    return _table(path, rows, decimal_comma=delimiter == ";", notes=notes)


def _decoded(raw: bytes) -> tuple[str, tuple[str, ...]]:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace"), ()
    try:
        return raw.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace"), ("the plate map is no UTF-8; it was read as Windows-1252",)


def _excel(path: Path) -> Table:
    from zipfile import BadZipFile

    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # some programs write a size that is too small
            rows = [[_cell(value) for value in row] for row in sheet.iter_rows(values_only=True)]
            names = book.sheetnames
        finally:
            book.close()
    except (OSError, BadZipFile, InvalidFileException, ValueError, KeyError, IndexError, SyntaxError) as error:
        raise _broken(path, error) from error
    notes = (f"the workbook has {len(names)} sheets; the first, '{names[0]}', was read",) if len(names) > 1 else ()
    return _table(path, rows, notes=notes)


def _wellmap(path: Path) -> Table:
    try:
        wellmap = importlib.import_module("wellmap")  # brings pandas
    except ImportError as error:
        raise MissingExtraError("Reading a wellmap TOML plate map", "plates") from error
    alerts: list[str] = []
    try:
        frame = wellmap.load(path, on_alert=lambda _, message: alerts.append(str(message)))
    except Exception as error:  # a reader of free-form files raises whatever it stumbles over
        raise _broken(path, error) from error
    columns = [str(name) for name in frame.columns if name not in WELLMAP_PLACES]
    cells = frame[columns].astype(object).where(frame[columns].notna(), None)
    rows = [[_cell(value) for value in row] for row in cells.itertuples(index=False)]
    return _table(path, [columns, *rows], notes=tuple(f"the plate map says: {text}" for text in alerts))


def _table(path: Path, rows: list[list[str]], *, decimal_comma: bool = False, notes: tuple[str, ...] = ()) -> Table:
    filled = [(number, [cell.strip() for cell in row]) for number, row in enumerate(rows, 1)]
    filled = [(number, row) for number, row in filled if any(row)]
    if not filled:
        raise DataError(f"Plate map '{path}' is empty. It needs a heading and a row for each well.")
    (_, header), *body = filled
    if not body:
        raise DataError(f"Plate map '{path}' has a heading and no wells. Add a row for each well.")
    beyond = {number: next(filter(None, row[len(header) :])) for number, row in body if any(row[len(header) :])}
    width = max(len(header), *(len(row) for _, row in body))
    header = [*header, *[""] * (width - len(header))]
    padded = tuple((number, (*row, *[""] * (width - len(row)))) for number, row in body)
    return Table(tuple(header), padded, decimal_comma, notes, beyond)


def _cell(value: Any) -> str:
    """Write a cell as its author sees it: whole numbers without a point."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _broken(path: Path, error: Exception) -> DataError:
    why = " ".join(str(error).split()) or type(error).__name__
    return DataError(
        f"Cannot read plate map '{path}': {why.removeprefix(f'{path}: ').rstrip('.')}. Allowed: {ALLOWED}."
    )
