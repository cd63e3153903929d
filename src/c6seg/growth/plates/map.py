"""Plate maps: which well got what, from CSV, Excel or wellmap files. What is strange is said in words, and kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from c6seg.data.images import natural_key
from c6seg.errors import DataError
from c6seg.growth.plates.columns import Columns, find_columns
from c6seg.growth.plates.files import ALLOWED, Table, read_table
from c6seg.growth.plates.layout import plate_size, well_name, well_position
from c6seg.growth.plates.results import PlateMap, Role, WellInfo
from c6seg.growth.plates.words import amount, is_level, levels_among, role_of_word, unit_factor
from c6seg.growth.words import counted, dose, few

__all__ = ["ALLOWED", "read_plate_map"]

# Why a well without any treatment counts as a control where the map names none.
NOTHING = "an empty treatment"
# So few wells (and so small a part of them) outside a smaller plate may be typing errors.
STRAY, STRAY_PART = 2, 0.1


def read_plate_map(path: Path) -> PlateMap:
    """Read a plate map.

    A row for each well; the columns may be in any order and case. ``well`` (or ``row`` and ``col``) is needed;
    ``plate``, ``treatment``, ``concentration``, ``unit``, ``replicate`` and ``role`` are understood with their usual
    synonyms, others are kept. The unit may also stand in the heading (``conc_uM``) or behind the number.

    Parameters
    ----------
    path
        CSV (comma, semicolon or tab), Excel (first sheet), or wellmap TOML.

    Raises
    ------
    DataError
        The file cannot be read, is empty, or names no well.
    MissingExtraError
        It is a wellmap file and the library is not installed.
    """
    table = read_table(path)
    columns = find_columns(table.columns)
    if "well" not in columns.places and not {"row", "col"} <= columns.places.keys():
        given = ", ".join(f"'{name}'" for name in table.columns if name) or "none"
        raise DataError(f"Plate map '{path}' has no column 'well' (nor 'row' and 'col'). Its columns: {given}.")
    rows, notes = _rows(table, columns)
    if not rows:
        raise DataError(f"Plate map '{path}' names no well of any plate: {notes[0]}. Wells are called A1 to AF48.")
    rows, same_notes = _one_spelling(rows)
    rows, unit_notes = _units(rows)
    wells, role_notes = _roles(rows, columns)
    wells, double_notes = _doubles(wells)
    wells.sort(key=lambda info: (info.plate is not None, natural_key(info.plate or ""), _position(info)))
    notes = [*table.notes, *columns.notes, *notes, *same_notes, *unit_notes, *role_notes, *double_notes]
    if 0 < sum(info.plate is None for info in wells) < len(wells):
        notes.append(f"some rows of the plate map name a plate and others ({few(_without_plate(wells), 6)}) none")
    notes += _stray(wells)
    return PlateMap(tuple(wells), plate_size(_position(info) for info in wells), tuple(notes))


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    info: WellInfo
    role_word: str


def _rows(table: Table, columns: Columns) -> tuple[list[_Row], list[str]]:
    rows: list[_Row] = []
    notes: list[str] = []
    nameless = []
    for number, cells in table.rows:
        known = {name: cells[index] for name, index in columns.places.items()}
        name = known.get("well") or _from_row_and_column(known.get("row", ""), known.get("col", ""))
        place = well_position(name)
        if place is None:
            if name:
                notes.append(f"row {number} of the plate map was left out: '{name}' is no well of any plate")
            else:
                nameless.append(str(number))
            continue
        value, unit, problem = amount(known.get("concentration", ""), decimal_comma=table.decimal_comma)
        well = well_name(*place)
        if number in table.beyond and not problem:
            problem = (
                f"its row has more cells than the heading, '{table.beyond[number]}' the first of them (a number with a "
                "comma in it stands in quotes)"
            )
        if problem:
            notes.append(f"{well} is not compared: {problem} (row {number} of the plate map)")
        info = WellInfo(
            well,
            known.get("plate") or None,
            "sample",
            known.get("treatment", ""),
            value,
            unit or known.get("unit", "") or (columns.unit if value is not None else ""),
            known.get("replicate") or None,
            {heading: cells[index] for heading, index in columns.extra},
            problem,
        )
        rows.append(_Row(number, info, known.get("role", "")))
    if nameless:
        notes.append(f"rows of the plate map that name no well were left out: {few(nameless, 6)}")
    return rows, notes


def _from_row_and_column(row: str, column: str) -> str:
    letters = well_name(int(row) - 1, 0)[:-1] if row.isdecimal() and 0 < int(row) <= 32 else row
    return f"{letters}{column}" if letters and column else ""


def _one_spelling(rows: Sequence[_Row]) -> tuple[list[_Row], list[str]]:
    """Write a treatment as it is written first, where rows differ in small and large letters only."""
    first: dict[str, str] = {}
    changed: dict[str, set[str]] = defaultdict(set)
    found = []
    for row in rows:
        name = first.setdefault(row.info.treatment.casefold(), row.info.treatment)
        if name != row.info.treatment:
            changed[name].add(row.info.treatment)
        found.append(replace(row, info=replace(row.info, treatment=name)))
    return found, [
        f"'{name}' and '{few(sorted(other), 6)}' were taken for one treatment" for name, other in changed.items()
    ]


def _units(rows: Sequence[_Row]) -> tuple[list[_Row], list[str]]:
    """Give all wells of a treatment the unit that comes first, where units can be turned into each other."""
    first: dict[str, str] = {}
    for row in rows:
        if row.info.unit and row.info.concentration is not None:
            first.setdefault(row.info.treatment, row.info.unit)
    notes: dict[str, None] = {}
    unknown: Counter[str] = Counter()
    found = []
    for row in rows:
        info, into = row.info, first.get(row.info.treatment, "")
        name = info.treatment or "the treatment"
        if info.concentration == 0:
            info = replace(info, unit=into)
        elif info.concentration is not None and not info.unit:
            unknown[name] += 1
        elif info.concentration is not None and info.unit != into:
            factor = unit_factor(info.unit, into)
            if factor is None:
                notes[f"{name} is given in {into} and in {info.unit}, which are kept apart"] = None
            else:
                notes[f"{info.unit} were turned into {into} ({name})"] = None
                info = replace(info, concentration=float(f"{info.concentration * factor:.12g}"), unit=into)
        found.append(replace(row, info=info))
    said = list(notes)
    if unknown:
        number = counted(unknown.total(), "concentration")
        said.append(f"the plate map gives no unit for {number} ({few(list(unknown), 6)}); they are kept as they are")
    return found, said


def _roles(rows: Sequence[_Row], columns: Columns) -> tuple[list[WellInfo], list[str]]:
    """Find controls and blanks: by the role column, else by the words of the treatment or a concentration of 0."""
    guessed: Counter[tuple[Role, str]] = Counter()
    strange: Counter[str] = Counter()
    levels = levels_among(row.info.treatment for row in rows)
    wells: list[WellInfo] = []
    empty: list[int] = []
    for row in rows:
        role: Role = "sample"
        known = role_of_word(row.role_word) if row.role_word else None
        if known is not None:
            role = known
        elif row.role_word:
            strange[row.role_word] += 1
        else:
            role, why = _guess(row.info, columns, levels)
            guessed[role, why] += role != "sample"
            empty += [len(wells)] if why == NOTHING else []
        wells.append(replace(row.info, role=role))
    if empty and any(info.role == "control" for place, info in enumerate(wells) if place not in empty):
        # where the map names controls, a cell that is empty was not filled in
        del guessed["control", NOTHING]
        problem = "the plate map does not say what was added"
        for place in empty:
            wells[place] = replace(wells[place], role="sample", problem=wells[place].problem or problem)
    else:
        empty = []
    notes = [
        f"the role '{word}' is not known; its {counted(n, 'well was', 'wells were')} taken for samples"
        for word, n in strange.items()
    ]
    notes += [
        f"{counted(n, 'well was', 'wells were')} taken for {f'a {role}' if n == 1 else role + 's'} because of {why}"
        for (role, why), n in guessed.items()
        if n
    ]
    if empty:
        names = few([wells[place].well for place in empty], 6)
        were = counted(len(empty), "well has", "wells have")
        notes.append(f"{were} an empty treatment beside named controls and cannot be compared ({names})")
    if levels:
        notes.append(
            f"'medium' was taken for a level between others ({few(sorted(levels))}), not for wells without cells"
        )
    if not any(info.role == "control" for info in wells):
        notes.append(
            "the plate map marks no controls: nothing can be compared. Add a column 'role' with the word 'control' for "
            "the wells that treatments are compared with (a treatment called 'control', 'vehicle', 'DMSO' or "
            "'untreated', or a concentration of 0, is understood too)"
        )
    return wells, notes


def _guess(info: WellInfo, columns: Columns, levels: frozenset[str]) -> tuple[Role, str]:
    if not info.treatment and info.concentration == 0:
        return "control", "a concentration of 0"
    if "treatment" in columns.places and not (levels and is_level(info.treatment)):
        role = role_of_word(info.treatment)
        dosed = info.concentration is not None and info.concentration > 0
        if role in {"control", "blank"} and not (dosed and not info.treatment):
            return role, f"the treatment '{info.treatment}'" if info.treatment else NOTHING
    return ("control", "a concentration of 0") if info.concentration == 0 else ("sample", "")


def _doubles(wells: Sequence[WellInfo]) -> tuple[list[WellInfo], list[str]]:
    groups: dict[tuple[str, str], list[WellInfo]] = defaultdict(list)
    for info in wells:
        groups[info.plate or "", info.well].append(info)
    found, repeated, notes = [], [], []
    for (plate, well), group in groups.items():
        place = f"{plate} {well}".strip()
        kinds = list(dict.fromkeys(_description(info) for info in group))
        if len(kinds) > 1:
            problem = f"the plate map names {place} {len(group)} times, as {' and as '.join(kinds)}"
            notes.append(f"{problem}: it is not compared")
            found.append(replace(group[0], problem=problem))
            continue
        if len(group) > 1:
            repeated.append(place)
        found.append(next((info for info in group if info.problem), group[0]))
    if repeated:
        notes.append(
            f"the plate map names {counted(len(repeated), 'well')} more than once, each time alike ({few(repeated, 6)})"
        )
    return found, notes


def _description(info: WellInfo) -> str:
    return f"{info.role} '{label(info.treatment, info.concentration, info.unit)}'"


def label(treatment: str, concentration: float | None, unit: str) -> str:
    """Name a treatment with its concentration: ``"drug 1 uM"``."""
    return f"{treatment} {dose(concentration, unit)}".strip()


def _stray(wells: Sequence[WellInfo]) -> list[str]:
    """Say when one or two wells alone make the plate large."""
    size = plate_size(_position(info) for info in wells)
    smaller = sorted(wells, key=lambda info: max(_position(info)[0] / size[0], _position(info)[1] / size[1]))
    for number in range(1, STRAY + 1):
        if number > STRAY_PART * len(wells):
            break
        rest = plate_size(_position(info) for info in smaller[:-number])
        if rest != size:
            names = few([info.well for info in smaller[-number:]], 6)
            return [
                f"the plate was taken for one of {size[0] * size[1]} wells only because of {names}; without, it has "
                f"{rest[0] * rest[1]}: correct the plate map if that is a typing error"
            ]
    return []


def _without_plate(wells: Sequence[WellInfo]) -> list[str]:
    return [info.well for info in wells if info.plate is None]


def _position(info: WellInfo) -> tuple[int, int]:
    place = well_position(info.well)
    if place is None:
        raise DataError(f"'{info.well}' is no well of any plate.")
    return place
