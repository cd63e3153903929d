from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c6seg.errors import DataError, MissingExtraError
from c6seg.growth.plates.layout import FORMATS, is_edge, plate_size, well_name, well_position
from c6seg.growth.plates.map import read_plate_map
from c6seg.growth.plates.results import PlateMap, WellInfo

Rows = Sequence[Sequence[str]]


def read(folder: Path, text: str | bytes, name: str = "map.csv") -> PlateMap:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_plate_map(path)


def roles(plate: PlateMap) -> dict[str, str]:
    return {info.well: info.role for info in plate.wells}


def test_csv_with_every_column(tmp_path: Path) -> None:
    plate = read(
        tmp_path,
        "Well,Plate,Treatment,Concentration,Unit,Replicate,Role,Passage\n"
        "B02,p1,drug,1.5,uM,1,sample,12\nB03,p1,,,,1,control,12\nB04,p1,,,,1,blank,12\n",
    )
    assert plate.size == (3, 4)
    assert plate.notes == ("columns of the plate map that are not known, and were only copied: 'Passage'",)
    assert plate.wells[0] == WellInfo("B2", "p1", "sample", "drug", 1.5, "uM", "1", {"Passage": "12"})
    assert roles(plate) == {"B2": "sample", "B3": "control", "B4": "blank"}


@pytest.mark.parametrize(
    ("heading", "unit"),
    [("concentration_uM", "uM"), ("Conc (uM)", "uM"), ("DOSE [µg/ml]", "µg/ml"), ("conc_ug_per_ml", "ug/ml")],
)
def test_unit_in_the_heading(tmp_path: Path, heading: str, unit: str) -> None:
    info = read(tmp_path, f"well;compound;{heading}\nA1;x;2,5\n").wells[0]
    assert (info.treatment, info.concentration, info.unit) == ("x", 2.5, unit)


def test_a_dose_level_is_no_concentration(tmp_path: Path) -> None:
    info = read(tmp_path, "well,drug,dose_level\nA1,x,3\n").wells[0]
    assert info.concentration is None
    assert info.extra == {"dose_level": "3"}


def test_rows_and_columns_instead_of_wells(tmp_path: Path) -> None:
    assert [info.well for info in read(tmp_path, "row\tcol\tdrug\nC\t7\tx\n2\t11\tx\n").wells] == ["B11", "C7"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings_of_spreadsheet_programs(tmp_path: Path, encoding: str) -> None:
    plate = read(tmp_path, "well,drug,conc\nA1,x,1 µM\n".encode(encoding))
    assert plate.wells[0].unit == "µM"
    assert any("Windows-1252" in note for note in plate.notes) == (encoding == "cp1252")


def test_controls_are_recognised_and_said(tmp_path: Path) -> None:
    plate = read(tmp_path, "well,drug,conc_uM\nA1,x,1\nA2,x,0\nA3,0.1% DMSO,\nB1,,\nB2,Medium only,\nB3,2,1\n")
    expected = ["sample", "control", "control", "sample", "blank", "sample"]
    assert list(roles(plate).values()) == expected
    said = " ".join(plate.notes)
    for words in ("because of a concentration of 0", "'0.1% DMSO'", "1 well was taken for a blank because of the"):
        assert words in said


def test_an_empty_treatment_is_a_control_only_where_nothing_else_is(tmp_path: Path) -> None:
    beside = read(tmp_path, "well,drug\nA1,x\nA2,DMSO\nA3,\n")
    assert [(info.role, bool(info.problem)) for info in beside.wells] == [
        ("sample", False), ("control", False), ("sample", True),
    ]  # fmt: skip
    assert "1 well has an empty treatment beside named controls and cannot be compared (A3)" in beside.notes
    alone = read(tmp_path, "well,drug\nA1,x\nA2,\nA3,\n")
    assert list(roles(alone).values()) == ["sample", "control", "control"]
    assert "2 wells were taken for controls because of an empty treatment" in alone.notes


def test_medium_between_low_and_high_is_a_level(tmp_path: Path) -> None:
    plate = read(tmp_path, "well,glucose level,treatment\nA1,1,low\nA2,2,Medium\nA3,3,high\nA4,0,control\n")
    assert list(roles(plate).values()) == ["sample", "sample", "sample", "control"]
    assert any("'medium' was taken for a level between others (high, low)" in note for note in plate.notes)
    assert roles(read(tmp_path, "well,drug\nA1,x\nA2,medium\n"))["A2"] == "blank"


def test_unknown_headings_are_named_with_the_nearest(tmp_path: Path) -> None:
    plate = read(tmp_path, "well,treatmnt,conc_uM,Colour\nA1,x,1,red\n")
    note = "columns of the plate map that are not known, and were only copied: "
    assert f"{note}'treatmnt' (did you mean 'treatment'?), 'Colour'" in plate.notes


def test_a_row_longer_than_the_heading_is_not_compared(tmp_path: Path) -> None:
    plate = read(tmp_path, "well,drug,conc_uM\nA1,x,1,000\nA2,x,1,\n")
    assert "more cells than the heading, '000' the first of them" in plate.wells[0].problem
    assert plate.wells[1].problem == ""


def test_a_role_column_decides(tmp_path: Path) -> None:
    text = "well,type,drug,conc_uM\nA1,vehicle,a,0\nA2,positive control,b,1\nA3,empty,,\nB1,odd,x,1\nB2,sample,DMSO,0\n"
    plate = read(tmp_path, text)
    assert list(roles(plate).values()) == ["control", "sample", "blank", "sample", "sample"]
    assert plate.notes == ("the role 'odd' is not known; its 1 well was taken for samples",)


def test_a_map_without_controls_says_so(tmp_path: Path) -> None:
    assert "marks no controls" in read(tmp_path, "well,drug\nA1,x\n").notes[-1]


def test_doubled_wells(tmp_path: Path) -> None:
    plate = read(tmp_path, "well,drug,conc_uM\nA1,x,1\nA01,x,1\nA2,x,1\nA2,y,1\nA3,x,0\n")
    assert [info.well for info in plate.wells] == ["A1", "A2", "A3"]
    assert [bool(info.problem) for info in plate.wells] == [False, True, False]
    said = " ".join(plate.notes)
    assert "names 1 well more than once, each time alike (A1)" in said
    assert "names A2 2 times, as sample 'x 1 uM' and as sample 'y 1 uM': it is not compared" in said


def test_one_well_on_two_plates_is_two_wells(tmp_path: Path) -> None:
    plate = read(tmp_path, "plate,well,drug\nq10,A1,x\nq9,A1,y\n,A2,x\n")
    assert [(info.plate, info.problem) for info in plate.wells] == [(None, ""), ("q9", ""), ("q10", "")]
    assert any("others (A2) none" in note for note in plate.notes)


@pytest.mark.parametrize("well", ["Z99", "A0", "1A", "AG1", "A49", "A1-A3"])
def test_wells_of_no_plate_are_left_out(tmp_path: Path, well: str) -> None:
    plate = read(tmp_path, f"well,drug\nA1,x\n{well},x\n,x\n")
    assert [info.well for info in plate.wells] == ["A1"]
    assert f"row 3 of the plate map was left out: '{well}' is no well of any plate" in plate.notes
    assert "rows of the plate map that name no well were left out: 4" in plate.notes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("much", "is no number"),
        ("-1", "is negative"),
        ("1e999", "is no number"),
        ('"1,000"', "may be a thousand or a fraction"),
        ("1.2.3", "is no number"),
    ],
)
def test_concentrations_that_are_none(tmp_path: Path, text: str, words: str) -> None:
    info = read(tmp_path, f"well,drug,conc_uM\nA1,x,{text}\n").wells[0]
    assert info.concentration is None
    assert words in info.problem


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [("10 nM", 10, "nM"), ("1e-3", 0.001, "uM"), (".5", 0.5, "uM"), ('"0,25"', 0.25, "uM"), ("n/a", None, "")],
)
def test_concentrations_as_people_write_them(tmp_path: Path, text: str, value: float, unit: str) -> None:
    info = read(tmp_path, f"well,drug,conc_uM\nA1,x,{text}\n").wells[0]
    assert (info.concentration, info.unit, info.problem) == (value, unit, "")


def test_units_of_one_treatment_are_made_one(tmp_path: Path) -> None:
    plate = read(tmp_path, "well,drug,conc\nA1,x,1 uM\nA2,X,300 nM\nA3,x,1 mg/ml\nB1,y,3 nM\nB2,z,3\n")
    assert [(info.concentration, info.unit) for info in plate.wells] == [
        (1, "uM"),
        (0.3, "uM"),
        (1, "mg/ml"),
        (3, "nM"),
        (3, ""),
    ]
    assert {info.treatment for info in plate.wells} == {"x", "y", "z"}
    said = " ".join(plate.notes)
    for words in ("nM were turned into uM (x)", "in uM and in mg/ml", "no unit for 1 concentration (z)", "'x' and 'X'"):
        assert words in said


def test_a_stray_well_is_named(tmp_path: Path) -> None:
    wells = "".join(f"{well_name(row, column)},x\n" for row in range(8) for column in range(12))
    plate = read(tmp_path, f"well,drug\n{wells}P24,x\n")
    assert plate.size == (16, 24)
    assert any("384 wells only because of P24; without, it has 96" in note for note in plate.notes)
    assert not any("because of" in note for note in read(tmp_path, f"well,drug\n{wells}").notes)


def test_two_columns_of_one_meaning(tmp_path: Path) -> None:
    plate = read(tmp_path, "well,drug,compound\nA1,x,y\n")
    assert plate.wells[0].treatment == "x"
    assert plate.wells[0].extra == {"compound": "y"}
    assert "'drug' and 'compound' both give the treatment" in plate.notes[0]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("map.csv", "", "is empty"),
        ("map.csv", " \n,,\n", "is empty"),
        ("map.csv", "well,drug\n", "no wells"),
        ("map.csv", "place,drug\nA1,x\n", "no column 'well'"),
        ("map.csv", "well,drug\nZZ1,x\n", "names no well of any plate"),
        ("map.csv", 'well,drug\nA1,"x\n', "Cannot read"),
        ("map.csv", "well\0,drug", "is no text"),
        ("map.pdf", "well,drug\nA1,x\n", "cannot be read (.pdf)"),
        ("map.xlsx", "well,drug\nA1,x\n", "Cannot read"),
        ("map.toml", "bad = [", "Cannot read"),
        ("map.toml", "", "No wells defined"),
    ],
)
def test_files_that_are_no_plate_map(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text, name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match="is no file"):
            read_plate_map(path)


def test_without_wellmap_the_message_has_the_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wellmap", None)
    with pytest.raises(MissingExtraError, match=r"c6seg\[plates\]"):
        read(tmp_path, "[well.A1]\ndrug = 'x'\n", "map.toml")


def test_wellmap_plates_ranges_and_alerts(tmp_path: Path) -> None:
    text = (
        "[meta]\nalert = 'old seeding'\n[expt]\ncells = 'A172'\n"
        "[col.'1,2,...,3']\ndrug = 'x'\n[row.A]\nconc_uM = 0\n[row.B]\nconc_uM = 2.5\n"
        "[plate.q1]\n[plate.q2]\n"
    )
    plate = read(tmp_path, text, "map.toml")
    assert [info.well for info in plate.wells] == ["A1", "A2", "A3", "B1", "B2", "B3"] * 2
    assert {info.plate for info in plate.wells} == {"q1", "q2"}
    assert plate.wells[3] == WellInfo("B1", "q1", "sample", "x", 2.5, "uM", None, {"cells": "A172"})
    assert "the plate map says: old seeding" in plate.notes


def write_text(path: Path, rows: Rows, delimiter: str) -> None:
    lines = [delimiter.join(row) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")


def write_excel(path: Path, rows: Rows, _: str) -> None:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append([_as_number(cell) for cell in row])
    book.create_sheet("other")
    book.save(path)


def write_wellmap(path: Path, rows: Rows, _: str) -> None:
    header, *body = rows
    lines = []
    for row in body:
        cells = dict(zip(header, row, strict=True))
        lines.append(f"[well.{cells.pop('well')}]")
        lines += [f"{name} = {_as_toml(cell)}" for name, cell in cells.items() if cell]
    path.write_text("\n".join(lines), encoding="utf-8")


def _as_number(cell: str) -> float | str | None:
    try:
        return float(cell)
    except ValueError:
        return cell or None


def _as_toml(cell: str) -> str:
    return str(value) if isinstance(value := _as_number(cell), float) else f"'{cell}'"


FORMS: dict[str, tuple[str, Callable[[Path, Rows, str], None], str]] = {
    "comma": ("map.csv", write_text, ","),
    "semicolon": ("map.csv", write_text, ";"),
    "tab": ("map.tsv", write_text, "\t"),
    "excel": ("map.xlsx", write_excel, ""),
    "wellmap": ("map.toml", write_wellmap, ""),
}
amounts = st.floats(0, 1e6).map(lambda value: float(f"{value:.6g}"))
contents = st.tuples(st.sampled_from(["drug", "other drug"]), amounts, st.sampled_from(["sample", "control", "blank"]))
places = st.tuples(st.integers(0, 15), st.integers(0, 23))


@settings(max_examples=12, deadline=None)
@given(wells=st.dictionaries(places, contents, min_size=1, max_size=12))
@pytest.mark.parametrize("form", FORMS)
def test_a_map_is_the_same_in_every_form(
    tmp_path_factory: pytest.TempPathFactory, form: str, wells: dict[tuple[int, int], tuple[str, float, str]]
) -> None:
    infos = [
        WellInfo(well_name(*place), None, role, drug, amount, "uM", str(index))  # type: ignore[arg-type]
        for index, (place, (drug, amount, role)) in enumerate(sorted(wells.items()), 1)
    ]
    rows = [["well", "treatment", "concentration_uM", "role", "replicate"]]
    rows += [[i.well, i.treatment, f"{i.concentration:.6g}", i.role, str(i.replicate)] for i in reversed(infos)]
    name, write, delimiter = FORMS[form]
    path = tmp_path_factory.mktemp("map") / name
    write(path, rows, delimiter)
    plate = read_plate_map(path)
    assert list(plate.wells) == infos
    assert plate.size == plate_size(wells)


@given(row=st.integers(0, 31), column=st.integers(0, 47))
def test_names_of_wells_there_and_back(row: int, column: int) -> None:
    assert well_position(well_name(row, column)) == (row, column)
    assert well_position(f" {well_name(row, column).lower()} ") == (row, column)


def test_formats_and_edges() -> None:
    for rows, columns in FORMATS:
        assert plate_size([(rows - 1, columns - 1)]) == (rows, columns)
        outer = sum(is_edge((row, column), (rows, columns)) for row in range(rows) for column in range(columns))
        assert outer == (2 * (rows + columns) - 4 if rows * columns >= 48 else 0)
