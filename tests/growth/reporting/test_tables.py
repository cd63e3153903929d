"""The tables, the Excel file and report.json: what stands in them, and what never does."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import openpyxl
import pytest

from c6seg.config import GrowthConfig
from c6seg.errors import OutputError
from c6seg.growth.fits.verdicts import GrowthFit
from c6seg.growth.plates.results import PlateResult
from c6seg.growth.reporting.figures import Truth
from c6seg.growth.reporting.methods import Methods
from c6seg.growth.reporting.record import FORMAT, plain, write_record
from c6seg.growth.reporting.tables import FIT_COLUMNS, GROWTH_COLUMNS, write_fits, write_growth
from c6seg.growth.reporting.workbook import write_workbook
from c6seg.growth.series import Series
from c6seg.growth.wounds.results import WoundFit

METHODS = Methods(("One paragraph.",), {"c6seg": "1", "model": "m"})
CONTRACT_GROWTH = ("series", "time_h", "confluence", "lower", "upper")
CONTRACT_FITS = (
    "series", "model", "growth_rate_per_h", "doubling_time_h", "lower", "upper", "lag_h", "plateau", "aicc", "verdict",
)  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_growth_csv_keeps_its_first_columns_and_tells_the_rest(tmp_path: Path, examples: ModuleType) -> None:
    one = examples.with_excluded(examples.series("A1", times=6), 2)
    bare = Series("x", one.time_h, one.confluence, one.lower * np.nan, one.upper, one.fields, one.images, one.flags, "")
    write_growth(tmp_path / "growth.csv", [one, bare])
    found = rows(tmp_path / "growth.csv")
    assert GROWTH_COLUMNS[:5] == CONTRACT_GROWTH == tuple(found[0])[:5]
    assert tuple(found[0]) == GROWTH_COLUMNS
    assert [row["used"] for row in found[:6]] == ["yes", "yes", "no", "yes", "yes", "yes"]
    assert found[2]["flags"] == "out_of_focus"
    assert found[2]["confluence"] == f"{one.confluence[2]:.8g}"
    assert [float(row["noise_lower"]) for row in found[:6]] == pytest.approx(one.noise_lower)
    assert found[0]["fields"] == "4"
    assert float(found[0]["object_count"]) == one.object_count[0]
    # what is not known is empty, and noise is the whole interval where nothing else is known
    assert {row["cell_area_um2"] for row in found[6:]} == {""}
    assert {row["lower"] for row in found[6:]} == {row["noise_lower"] for row in found[6:]} == {""}
    assert found[6]["noise_upper"] == found[6]["upper"] != ""
    assert {row["used"] for row in found[6:]} == {"yes"}


def test_fields_without_an_image_are_not_counted(tmp_path: Path, examples: ModuleType) -> None:
    one = examples.series("A1", times=5)
    fields_with_gap = one.fields.copy()
    fields_with_gap[0, 3] = np.nan
    write_growth(tmp_path / "growth.csv", [replace(one, fields=fields_with_gap)])
    assert [row["fields"] for row in rows(tmp_path / "growth.csv")] == ["4", "4", "4", "3", "4"]


def test_fits_csv_keeps_its_first_columns_and_tells_the_rest(tmp_path: Path, examples: ModuleType) -> None:
    one = examples.series("A1")
    good = examples.growing(one, lag_h=6.0, lag_lower=4.0, lag_upper=8.0, plateau=0.9, plateau_lower=0.8)
    write_fits(tmp_path / "fits.csv", [one, one], [good, examples.still()])
    grown, still = rows(tmp_path / "fits.csv")
    assert FIT_COLUMNS[:10] == CONTRACT_FITS
    assert tuple(grown) == FIT_COLUMNS
    assert (grown["lag_lower"], grown["plateau_lower"], grown["plateau_upper"]) == ("4", "0.8", "")
    assert (float(grown["phase_start_h"]), float(grown["phase_end_h"])) == good.phase_h
    assert (still["doubling_time_h"], still["model"], still["phase_end_h"]) == ("", "", "")
    assert float(still["rate_lower"]) == pytest.approx(-0.0011)
    assert still["next_experiment"].startswith("two more time points")


@pytest.fixture(scope="module")
def plate(examples: ModuleType) -> tuple[list[Series], list[GrowthFit], PlateResult]:
    found: tuple[list[Series], list[GrowthFit], PlateResult] = examples.plate(4, 6, times=5)
    return found


def book(path: Path, found: tuple[list[Series], list[GrowthFit], PlateResult], **more: Any) -> Any:
    series, fits, _ = found
    write_workbook(path, **{"title": "T", "series": series, "fits": fits, "methods": METHODS, **more})
    return openpyxl.load_workbook(path)


def test_workbook_has_the_sheets_that_there_are(
    tmp_path: Path, plate: tuple[list[Series], list[GrowthFit], PlateResult], examples: ModuleType
) -> None:
    alone = book(tmp_path / "a.xlsx", plate)
    assert alone.sheetnames == ["Summary", "Growth", "Fits"]
    whole = book(tmp_path / "b.xlsx", plate, plate=plate[2], wounds=[examples.wound(), examples.open_wound()])
    assert whole.sheetnames == [
        "Summary", "Growth", "Fits", "Plate", "Groups", "Comparisons", "Dose response", "Wound", "Wound times",
    ]  # fmt: skip
    assert whole["Growth"].max_row == 1 + sum(one.time_h.size for one in plate[0])
    assert whole["Wound times"].max_row == 1 + 2 * 13
    for sheet in whole:
        assert sheet.freeze_panes == "A2"
        assert all(cell.font.bold for cell in sheet[1])
        assert not sheet["A2"].font.bold
        assert 8 <= sheet.column_dimensions["A"].width <= 60


def test_workbook_numbers_are_numbers_and_unknown_is_empty(
    tmp_path: Path, plate: tuple[list[Series], list[GrowthFit], PlateResult], examples: ModuleType
) -> None:
    endless = [replace(plate[1][0], upper=float("inf")), *plate[1][1:]]
    found = book(tmp_path / "a.xlsx", plate, fits=endless, plate=plate[2], wounds=[examples.open_wound()])
    header = [cell.value for cell in found["Fits"][1]]
    assert tuple(header) == FIT_COLUMNS
    for row, fit in zip(found["Fits"].iter_rows(min_row=2, values_only=True), plate[1], strict=True):
        assert row[header.index("doubling_time_h")] == pytest.approx(fit.doubling_time_h)
    growth = list(found["Growth"].iter_rows(min_row=2, values_only=True))
    assert growth[1][1] == 3
    assert isinstance(growth[1][2], float)
    # Excel knows neither NaN nor infinity
    assert found["Fits"].cell(2, 1 + header.index("upper")).value is None
    assert [row[3:5] for row in found["Wound times"].iter_rows(min_row=2, values_only=True)] == [(None, None)] * 13
    assert ["yes" if one.edge else "no" for one in plate[2].wells] == [
        row[len(("plate", "well", "role", "treatment", "concentration", "unit", "replicate", "group"))]
        for row in found["Plate"].iter_rows(min_row=2, values_only=True)
    ]


def test_workbook_takes_no_text_for_a_formula(tmp_path: Path, examples: ModuleType) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "A\x00B\ud800"]
    series = [replace(examples.series("A1", times=4), name=name) for name in names]
    fits = [examples.still()] * len(series)
    path = tmp_path / "a.xlsx"
    write_workbook(path, title="=HYPERLINK(1)", series=series, fits=fits, methods=METHODS)
    found = openpyxl.load_workbook(path)
    assert {cell.data_type for cell in found["Fits"]["A"]} == {"s"}
    assert [cell.value for cell in found["Fits"]["A"]][1:5] == names[:4]
    assert found["Fits"]["A6"].value == "A\ufffdB\ufffd"
    assert found["Summary"]["B2"].data_type == "s"


def test_workbook_is_the_same_each_time_and_written_whole(
    tmp_path: Path, plate: tuple[list[Series], list[GrowthFit], PlateResult]
) -> None:
    path = tmp_path / "a.xlsx"
    book(path, plate, plate=plate[2])
    before = path.read_bytes()
    book(path, plate, plate=plate[2])
    assert path.read_bytes() == before
    with zipfile.ZipFile(path) as parts:
        assert {part.date_time for part in parts.infolist()} == {(2000, 1, 1, 0, 0, 0)}
        times = re.findall(rb">([^<]*)</dcterms:", parts.read("docProps/core.xml"))
    assert {time[:10] for time in times} == {b"2000-01-01"}
    (tmp_path / "b.xlsx").mkdir()
    with pytest.raises(OutputError, match="in the way"):
        book(tmp_path / "b.xlsx", plate)
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_record_is_json_without_nan_and_holds_everything(
    tmp_path: Path, plate: tuple[list[Series], list[GrowthFit], PlateResult], examples: ModuleType
) -> None:
    series, fits, result = plate
    series = [replace(series[0], lower=np.full(5, np.nan)), *series[1:]]
    truth = {series[1].name: Truth(None, np.array([0.0, np.inf]), np.array([0.1, np.nan]), 0.9)}
    path = tmp_path / "report.json"
    write_record(
        path,
        title="T µ \udc80",
        series=series,
        fits=fits,
        config=GrowthConfig(bootstrap=200),
        methods=METHODS,
        manifest={"model": {"name": "m", "sha256": "ab"}, "threshold": 0.4, "inputs": ["left out"]},
        truth=truth,
        plate=result,
        wounds=[examples.wound()],
        failures=[("a.tif", "broken")],
    )

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    json.dumps(found, allow_nan=False)
    assert found["format"] == FORMAT
    assert found["config"]["bootstrap"] == 200
    assert found["segmentation"]["model"]["sha256"] == "ab"
    assert "inputs" not in found["segmentation"]
    assert len(found["series"]) == len(series)
    assert found["series"][0]["lower"] == [None] * 5
    assert found["series"][0]["confluence"] == pytest.approx(series[0].confluence.tolist())
    assert set(found["series"][0]) == {field.name for field in fields(Series)} | {"fit", "truth"}
    assert set(found["series"][0]["fit"]) == {field.name for field in fields(GrowthFit)}
    assert found["series"][0]["truth"] is None
    assert found["series"][1]["truth"]["time_h"] == [0.0, None]
    assert set(found["plate"]) == {field.name for field in fields(PlateResult)}
    assert found["plate"]["wells"][0]["info"]["well"] == "A1"
    assert set(found["wounds"][0]) == {field.name for field in fields(WoundFit)}
    assert found["failures"] == [{"image": "a.tif", "reason": "broken"}]


def test_record_without_plate_and_manifest_says_null(tmp_path: Path, examples: ModuleType) -> None:
    one = examples.series("A1")
    path = tmp_path / "r.json"
    write_record(path, title="T", series=[one], fits=[examples.still()], config=GrowthConfig(), methods=METHODS)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert (found["plate"], found["segmentation"], found["wounds"], found["failures"]) == (None, None, [], [])
    assert found["series"][0]["fit"]["doubling_time_h"] is None
    assert plain(np.float32("nan")) is None
    assert plain((np.int64(3), True, None, "a")) == [3, True, None, "a"]
