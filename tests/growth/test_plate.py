from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c6seg.config import GrowthConfig
from c6seg.errors import OutputError
from c6seg.growth.curves import fit_series
from c6seg.growth.fits.verdicts import GrowthFit
from c6seg.growth.plate import analyse_plate
from c6seg.growth.plates.map import read_plate_map
from c6seg.growth.plates.results import PlateMap, PlateResult, PlateWell, WellInfo
from c6seg.growth.plates.tables import write_plate_tables
from c6seg.growth.series import Series


def series(
    well: str | None, plate: str | None = None, *, name: str = "", values: Sequence[float] = (0.1, 0.2)
) -> Series:
    confluence = np.array(values, dtype=float)
    images = tuple(((f"{well}.tif", index),) for index in range(confluence.size))
    label = name or f"{plate or ''} {well}".strip()
    whole = confluence[None]
    return Series(
        label, np.arange(confluence.size) * 6.0, confluence, confluence, confluence, whole, images,
        ((),) * confluence.size, "the file names", well=well, plate=plate,
    )  # fmt: skip


def growing(rate: float, error: float = 0.001) -> GrowthFit:
    kind = "growing" if rate > 2 * error else "flat"
    doubling = math.log(2) / rate if kind == "growing" else None
    return GrowthFit("", kind, doubling_time_h=doubling, estimate_per_h=rate, error_per_h=error)  # type: ignore[arg-type]


def layout(treatments: Mapping[str, str], plate: str | None = None, size: tuple[int, int] = (3, 4)) -> PlateMap:
    roles = {"control": "control", "blank": "blank"}
    infos = tuple(WellInfo(well, plate, roles.get(t, "sample"), t) for well, t in treatments.items())  # type: ignore[arg-type]
    return PlateMap(infos, size)


SMALL = {"A1": "control", "A2": "control", "B1": "drug", "B2": "drug"}
RATES = {"A1": 0.03, "A2": 0.032, "B1": 0.02, "B2": 0.021}


def by_well(result: PlateResult) -> dict[str, PlateWell]:
    return {f"{well.info.plate or ''} {well.info.well}".strip(): well for well in result.wells}


def analysed(wells: Mapping[str, float], plate_map: PlateMap) -> PlateResult:
    return analyse_plate([series(well) for well in wells], [growing(rate) for rate in wells.values()], plate_map)


def test_wells_meet_their_series() -> None:
    result = analysed(RATES, layout(SMALL))
    assert (result.size, result.plates, result.notes) == ((2, 3), ("",), ())
    well = by_well(result)["B1"]
    assert (well.series, well.kind, well.group, well.compared, well.reason) == ("B1", "growing", "drug", True, "")
    assert (well.estimate_per_h, well.first, well.last) == (0.02, 0.1, 0.2)
    assert [group.label for group in result.groups] == ["control", "drug"]
    assert result.groups[1].wells == ("B1", "B2")
    assert result.comparisons[0].difference_per_h == pytest.approx(-0.0105)


def test_wells_without_images_and_images_without_wells_are_kept_and_said() -> None:
    result = analysed({**RATES, "C4": 0.03, "B2": 0.02}, layout({**SMALL, "C1": "drug"}))
    wells = by_well(result)
    assert (wells["C1"].series, wells["C1"].reason) == (None, "no images")
    assert (wells["C4"].series, wells["C4"].group, wells["C4"].compared) == ("C4", "", False)
    assert wells["C4"].reason == "not in the plate map"
    assert result.size == (3, 4)
    assert "1 well of the plate map without images (C1)" in result.notes
    assert "1 well with images that the plate map does not name (C4)" in result.notes


def test_names_are_read_where_a_series_does_not_say_its_well() -> None:
    all_series = [series(None, name=f"A172_{well}") for well in RATES] + [series(None, name="somewhere")]
    result = analyse_plate(all_series, [growing(rate) for rate in (*RATES.values(), 0.1)], layout(SMALL))
    assert by_well(result)["B1"].series == "A172_B1"
    assert result.notes == ("1 series without a well in the name (somewhere)",)


def test_one_layout_for_several_plates() -> None:
    all_series = [series(well, plate) for plate in ("p1", "p2") for well in RATES]
    result = analyse_plate(all_series, [growing(rate) for rate in RATES.values()] * 2, layout(SMALL))
    assert result.plates == ("p1", "p2")
    assert by_well(result)["p2 B1"].series == "p2 B1"
    assert result.groups[1].wells == ("p1 B1", "p1 B2", "p2 B1", "p2 B2")
    assert (
        "the images come from 2 plates (p1, p2) and the map has one layout, which was taken for each" in result.notes[0]
    )


def test_plates_of_map_and_images_meet_by_name() -> None:
    two = (*layout(SMALL, "Plate 1").wells, *layout(SMALL, "Plate 2").wells)
    all_series = [series(well, plate) for plate in ("run/plate_2", "plate3") for well in RATES]
    result = analyse_plate(all_series, [growing(rate) for rate in RATES.values()] * 2, PlateMap(two, (2, 3)))
    wells = by_well(result)
    assert wells["Plate 2 B1"].series == "run/plate_2 B1"
    assert wells["Plate 1 B1"].series is None
    assert (wells["plate3 B1"].series, wells["plate3 B1"].reason) == ("plate3 B1", "not in the plate map")
    said = " ".join(result.notes)
    assert "the plates of some images (plate3) are not in the plate map, whose plates are Plate 1, Plate 2" in said
    assert len(result.wells) == 12


def test_another_name_for_the_only_plate_is_said() -> None:
    result = analyse_plate([series("A1", "x")], [growing(0.03)], layout({"A1": "control"}, "p1"))
    assert result.wells[0].series == "x A1"
    assert "the images are of plate x and the map of plate p1; they were taken for one" in result.notes


def test_a_well_is_one_unit_however_many_series_show_it() -> None:
    all_series = [series("B1", name="B1 left"), *(series(well, values=(0.1, 0.1, 0.2)) for well in RATES)]
    result = analyse_plate(all_series, [growing(0.5), *(growing(rate) for rate in RATES.values())], layout(SMALL))
    assert result.comparisons[0].wells == 2
    assert [well.reason for well in result.wells if well.series == "B1 left"] == ["a further series of this well"]
    assert any("several series lie in one well (B1)" in note for note in result.notes)


@pytest.mark.parametrize("kind", ["few", "empty", "full"])
def test_wells_that_say_nothing_of_growth_do_not_count(kind: str) -> None:
    fits = [growing(rate) for rate in RATES.values()]
    fits[2] = GrowthFit("", kind, estimate_per_h=0.0, error_per_h=0.001)  # type: ignore[arg-type]
    result = analyse_plate([series(well) for well in RATES], fits, layout(SMALL))
    assert not by_well(result)["B1"].compared
    assert by_well(result)["B1"].reason


@pytest.mark.parametrize("kind", ["flat", "shrinking", "slight", "uncertain"])
def test_wells_that_do_not_grow_count(kind: str) -> None:
    fits = [growing(rate) for rate in RATES.values()]
    fits[2] = GrowthFit("", kind, estimate_per_h=-0.001, error_per_h=0.001)  # type: ignore[arg-type]
    result = analyse_plate([series(well) for well in RATES], fits, layout(SMALL))
    assert by_well(result)["B1"].compared
    assert result.comparisons[0].difference_per_h < -0.015


@pytest.mark.parametrize(("rate", "error"), [(None, None), (0.03, None), (math.nan, 0.001), (0.03, math.inf)])
def test_wells_without_a_usable_rate(rate: float | None, error: float | None) -> None:
    fits = [growing(rate) for rate in RATES.values()]
    fits[2] = GrowthFit("", "uncertain", estimate_per_h=rate, error_per_h=error)
    result = analyse_plate([series(well) for well in RATES], fits, layout(SMALL))
    assert by_well(result)["B1"].reason == "no growth rate could be fitted"


def test_contradictions_of_the_map_keep_the_well_out() -> None:
    plate_map = layout(SMALL)
    broken = replace(plate_map.wells[2], problem="named twice")
    result = analysed(RATES, replace(plate_map, wells=(*plate_map.wells[:2], broken, plate_map.wells[3])))
    assert (by_well(result)["B1"].reason, by_well(result)["B1"].group) == ("named twice", "")


BLANKED = {**SMALL, "C1": "blank", "C2": "blank"}


def with_blanks(*levels: float, sample: Sequence[float] = (0.1, 0.2)) -> PlateResult:
    all_series = [series(well, values=sample if well == "B1" else (0.1, 0.2)) for well in RATES]
    all_series += [series(f"C{n}", values=(level, level)) for n, level in enumerate(levels, 1)]
    fits = [growing(rate) for rate in RATES.values()] + [GrowthFit("", "empty")] * len(levels)
    return analyse_plate(all_series, fits, layout(BLANKED))


def test_blanks() -> None:
    result = with_blanks(0.004, 0.008)
    assert result.blank == pytest.approx(0.006)
    assert (by_well(result)["C1"].group, by_well(result)["C1"].reason) == ("", "a blank")
    assert result.notes == ()


def test_blanks_with_cells_are_told() -> None:
    assert "blanks are not empty (C2: 30 %" in " ".join(with_blanks(0.001, 0.3).notes)


def test_samples_that_never_rise_above_the_blanks_are_not_compared() -> None:
    result = with_blanks(0.015, 0.016, sample=(0.012, 0.014))
    assert by_well(result)["B1"].reason == "never above the blanks (1.55 % confluence)"
    assert by_well(with_blanks(0.01, 0.011, sample=(0.012, 0.014)))["B1"].compared


def test_times_that_are_not_used_count_nowhere() -> None:
    bad = replace(series("C1", values=(0.9, 0.01, 0.01)), used=np.array([False, True, True]))
    result = analyse_plate([bad], [GrowthFit("", "empty")], layout(BLANKED))
    assert result.blank == pytest.approx(0.01)
    assert by_well(result)["C1"].first == 0.01


def test_edge_wells_are_flagged_on_large_plates_only() -> None:
    wells = {"A1": "control", "B2": "control", "H12": "drug", "G11": "drug"}
    result = analysed(dict.fromkeys(wells, 0.03), layout(wells))
    assert {well.info.well: well.edge for well in result.wells} == {"A1": True, "B2": False, "H12": True, "G11": False}
    assert not any(well.edge for well in analysed(RATES, layout(SMALL)).wells)


def test_nothing_at_all() -> None:
    result = analyse_plate([], [], layout(SMALL))
    assert [well.reason for well in result.wells] == ["no images"] * 4
    assert "cannot be compared" in result.comparisons[0].verdict
    assert result.plates == ("",)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(list(range(8))))
def test_order_of_series_and_rows_changes_nothing(order: list[int]) -> None:
    wells = {**SMALL, "C1": "blank", "C2": "drug", "C3": "control", "D4": "drug"}
    all_series = [series(well, values=(0.01, 0.01) if t == "blank" else (0.1, 0.2)) for well, t in wells.items()]
    fits = [growing(0.02 + index / 1000) for index in range(8)]
    first = analyse_plate(all_series, fits, layout(wells))
    other = analyse_plate([all_series[n] for n in order], [fits[n] for n in order], layout(wells))
    assert first.wells == other.wells
    assert first.comparisons == other.comparisons
    assert first.notes == other.notes


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables(tmp_path: Path) -> None:
    plate_map = layout({**SMALL, "C1": "drug"})
    extra = replace(plate_map.wells[0], extra={"passage": "7", "edge": "x"}, concentration=0.1 + 0.2, unit="uM")
    result = analysed(RATES, replace(plate_map, wells=(extra, *plate_map.wells[1:])))
    paths = write_plate_tables(tmp_path / "new", result)
    assert [path.name for path in paths] == ["plate.csv", "comparisons.csv", "dose_response.csv"]
    wells = {row["well"]: row for row in rows(paths[0])}
    assert (wells["A1"]["concentration"], wells["A1"]["passage"], wells["A1"]["map_edge"]) == ("0.3", "7", "x")
    assert (wells["A1"]["edge"], wells["A1"]["compared"], wells["A1"]["plate"]) == ("no", "yes", "")
    assert (wells["C1"]["estimate_per_h"], wells["C1"]["passage"], wells["C1"]["reason"]) == ("", "", "no images")
    (one,) = rows(paths[1])
    assert float(one["p"]) == pytest.approx(result.comparisons[0].p)
    assert one["verdict"] == result.comparisons[0].verdict
    assert rows(paths[2]) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_plate_tables(tmp_path / "file", result)


def test_from_images_in_time_to_an_ic50(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    doses = [0.0, 0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
    lines, all_series = ["well;drug;conc_uM"], []
    time_h = np.arange(0, 49, 6.0)
    for row in "BCDE":
        for column, dose in enumerate(doses, 2):
            rate = (0.004 + 0.026 / (1 + dose / 0.5)) + rng.normal(0, 0.001)
            confluence = 0.1 * np.exp(rate * time_h) * np.exp(rng.normal(0, 0.02, time_h.size))
            lines.append(f"{row}{column:02};drug;{str(dose).replace('.', ',')}")
            one = series(f"{row}{column}", values=confluence)
            all_series.append(replace(one, time_h=time_h))
    path = tmp_path / "map.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    fits = [fit_series(one, GrowthConfig(bootstrap=100)) for one in all_series]
    result = analyse_plate(all_series, fits, read_plate_map(path))
    (dose,) = result.doses
    assert dose.lower < 0.5 < dose.upper
    assert dose.concentrations.size == 32
    strong = result.comparisons[-1]
    assert "drug 10 uM grows slower than control" in strong.verdict
    assert result.design.detectable < 0.3
    (row,) = rows(write_plate_tables(tmp_path, result)[2])
    assert float(row["ic50"]) == pytest.approx(dose.ic50)


def test_no_text_of_a_map_is_a_formula_in_the_tables(tmp_path: Path) -> None:
    evil = '=HYPERLINK("http://x")'
    infos = [WellInfo(well, None, "control", "DMSO") for well in ("A1", "A2")]
    infos += [WellInfo(well, None, "sample", evil, extra={"@note": "+1+1", "n": "-3"}) for well in ("B1", "B2")]
    result = analysed(RATES, PlateMap(tuple(infos), (3, 4)))
    for path in write_plate_tables(tmp_path, result):
        with path.open(newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell[:1] in set("=+-@") and not cell[1:].replace(".", "").isdigit()]
    assert f"'{evil}" in (tmp_path / "plate.csv").read_text().replace('""', '"')
    assert ",-3\n" in (tmp_path / "plate.csv").read_text()


def test_groups_are_in_the_order_of_the_dose(tmp_path: Path) -> None:
    doses = {"B1": 10.0, "B2": 0.1, "B3": 1.0, "C1": 10.0, "C2": 0.1, "C3": 1.0}
    infos = [WellInfo(well, None, "control", "DMSO") for well in ("A1", "A2")]
    infos += [WellInfo(well, None, "sample", "drug", dose, "uM") for well, dose in doses.items()]
    result = analysed({"A1": 0.03, "A2": 0.032} | dict.fromkeys(doses, 0.02), PlateMap(tuple(infos), (3, 4)))
    assert [group.concentration for group in result.groups] == [None, 0.1, 1.0, 10.0]
    assert [one.group for one in result.comparisons] == ["drug 0.1 uM", "drug 1 uM", "drug 10 uM"]


def test_a_series_in_small_letters_meets_its_well() -> None:
    result = analyse_plate([series(None, name="c2")], [growing(0.03)], layout({"C2": "control"}))
    assert by_well(result)["C2"].series == "c2"
