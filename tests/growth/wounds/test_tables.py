from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from c6seg.errors import OutputError
from c6seg.growth.wound import fit_wound
from c6seg.growth.wounds.results import WoundFit
from c6seg.growth.wounds.tables import write_wound_tables

HOURS = np.arange(0.0, 25.0, 2.0)


def fits() -> list[WoundFit]:
    gap = 0.4 * np.maximum(0, 1 - 0.05 * HOURS)
    good = fit_wound("B2", HOURS, gap[None], gap_um2=gap * 8e5, front_length_um=800.0, bootstrap=100)
    return [good, fit_wound("B3, odd", [0, 8, 16], [[0.4, np.nan, 0.2]])]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_hold_every_number_and_leave_unknowns_empty(tmp_path: Path) -> None:
    good, poor = fits()
    write_wound_tables(tmp_path / "new", [good, poor])
    times = read(tmp_path / "new" / "wound.csv")
    assert list(times[0])[:7] == ["series", "time_h", "gap", "lower", "upper", "gap_um2", "closed"]
    assert len(times) == HOURS.size + 3
    assert [float(row["gap"]) for row in times[: HOURS.size]] == pytest.approx(good.gap)
    assert float(times[5]["closed"]) == pytest.approx(0.5)
    assert float(times[5]["gap_um2"]) == pytest.approx(0.2 * 8e5)
    assert float(times[5]["width_um"]) == pytest.approx(200)
    assert (times[-2]["series"], times[-2]["gap"], times[-2]["closed"]) == ("B3, odd", "", "")
    assert times[-1]["gap_um2"] == times[-1]["lower"] == times[-1]["relative_density"] == ""
    closing, few = read(tmp_path / "new" / "closures.csv")
    assert (closing["kind"], closing["shape"], closing["fields"]) == ("closing", "strip", "1")
    assert float(closing["closure_per_h"]) == pytest.approx(0.05)
    assert float(closing["front_um_per_h"]) == pytest.approx(10)
    assert float(closing["half_h"]) == pytest.approx(10)
    for name, value in (("closure", "closure_per_h"), ("front", "front_um_per_h"), ("half", "half_h")):
        assert float(closing[f"{name}_lower"]) <= float(closing[value]) <= float(closing[f"{name}_upper"])
    assert few["verdict"] == poor.verdict
    assert few["closure_per_h"] == few["half_h"] == few["front_um_per_h"] == few["stays_open"] == ""


def test_no_wounds_give_empty_tables(tmp_path: Path) -> None:
    write_wound_tables(tmp_path, [])
    assert read(tmp_path / "wound.csv") == read(tmp_path / "closures.csv") == []


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError):
        write_wound_tables(tmp_path / "taken", fits())
