"""Times in names that take a second look: days, minus signs, dates with the year at the end, wells in small letters."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from c6seg.growth.measure import Measurement
from c6seg.growth.names import parse_name
from c6seg.growth.series import BY_INTERVAL, group_series
from c6seg.growth.timeline.moments import Habits, date_alone, find_habits


def rows(names: list[str]) -> list[Measurement]:
    return [Measurement(name, confluence=0.3) for name in names]


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("B2_0d", 0.0),
        ("B2_2.5d", 60.0),
        ("B2_d1", 24.0),
        ("B2_3days", 72.0),
        ("B2_36hpi", 36.0),
        ("B2_2dpi", 48.0),
        ("B2_t-12h", -12.0),
        ("B2_-12h", -12.0),
        ("B2_t-00h", 0.0),
        ("untreated-0.5h", 0.5),
        ("B2-12h", 12.0),
        ("well-A01_day-3", 72.0),
    ],
)
def test_times_of_single_names(name: str, hours: float) -> None:
    parts = parse_name(f"{name}.tif")
    assert (parts.time_h, parts.absolute) == (hours, False)
    assert parts.well in {"B2", "A1", None}


@pytest.mark.parametrize("name", ["300dpi_B2", "3D_culture", "B2_3dx", "abcd1_B2"])
def test_no_times(name: str) -> None:
    assert parse_name(name).time_h is None


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("B2_01.05.2024_14h30.tif", datetime(2024, 5, 1, 14, 30, tzinfo=UTC)),
        ("B2_05-01-2024_1430.tif", datetime(2024, 1, 5, 14, 30, tzinfo=UTC)),
        ("B2_05-31-2024_1430.tif", datetime(2024, 5, 31, 14, 30, tzinfo=UTC)),
        ("31_12_2023 23-59-00_B2.tif", datetime(2023, 12, 31, 23, 59, tzinfo=UTC)),
    ],
)
def test_dates_with_the_year_at_the_end(name: str, date: datetime) -> None:
    parts = parse_name(name)
    assert parts.absolute
    assert parts.time_h == date.timestamp() / 3600
    assert parts.well == "B2"


def test_time_points_are_counted_and_need_the_interval() -> None:
    assert parse_name("B2_tp3.tif").index == 3
    assert parse_name("B2_timepoint_12.tif").index == 12
    (series,) = group_series(rows(["B2_tp1", "B2_tp2", "B2_tp4"]), interval_h=2.0)
    assert (series.name, series.time_h.tolist(), series.time_source) == ("B2", [0, 2, 6], BY_INTERVAL)


def test_the_order_of_day_and_month_follows_from_the_other_names() -> None:
    (series,) = group_series(rows([f"B2_05-{day}-2024_1200" for day in ("11", "12", "13")]))
    assert series.time_h.tolist() == [0, 24, 48]
    assert not any("read as" in note for note in series.notes)  # 13 can be no month
    (series,) = group_series(rows([f"B2_05-{day}-2024_1200" for day in ("01", "02", "03")]))
    assert series.time_h.tolist() == [0, 24, 48]
    assert any("05-01-2024 were read as month-day-year" in note for note in series.notes)
    (series,) = group_series(rows([f"B2_{day}.05.2024_12h00" for day in ("01", "02", "03")]))
    assert series.time_h.tolist() == [0, 24, 48]
    assert any("01.05.2024 were read as day-month-year" in note for note in series.notes)
    one_day = group_series(rows([f"B2_05-01-2024_1{hour}00" for hour in range(3)]))[0]
    assert one_day.time_h.tolist() == [0, 1, 2]
    assert not any("read as" in note for note in one_day.notes)
    assert find_habits(["05-06-2024_1200", "06-05-2024_1200"])[1][0].endswith(", as nothing says otherwise")


def test_times_before_the_treatment_come_first() -> None:
    (series,) = group_series(rows(["B2_t-12h", "B2_t0h", "B2_t12h"]))
    assert series.time_h.tolist() == [-12, 0, 12]
    # a hyphen in every name is no minus
    (series,) = group_series(rows(["B2_t-00h", "B2_t-12h", "B2_t-24h"]))
    assert series.time_h.tolist() == [0, 12, 24]
    (series,) = group_series(rows(["B2_day-1", "B2_day0", "B2_day2"]))
    assert series.time_h.tolist() == [-24, 0, 48]


def test_a_number_of_days_that_never_changes_is_no_time() -> None:
    names = [f"3d_culture_{number:03d}" for number in range(4)]
    assert group_series(rows(names), interval_h=6.0)[0].time_h.tolist() == [0, 6, 12, 18]
    (series,) = group_series(rows([f"B2_{day}d" for day in range(4)]))
    assert series.time_h.tolist() == [0, 24, 48, 72]


def test_wells_in_small_letters() -> None:
    names = [f"{well}_{hour}h" for well in ("b2", "d3", "f1") for hour in (0, 6)]
    found = group_series(rows(names))
    assert [(one.name, one.well) for one in found] == [("B2", "B2"), ("D3", "D3"), ("F1", "F1")]
    days = group_series(rows([f"b2_f{field}_d{day}" for field in (1, 2) for day in (0, 1, 2)]))
    assert [(one.well, one.time_h.tolist(), one.fields.shape) for one in days] == [("B2", [0, 24, 48], (2, 3))]
    table = [Measurement(f"x_{hour}h", confluence=0.3, well="b02") for hour in (0, 6)]
    assert group_series(table)[0].well == "B2"
    assert parse_name("b2_0h").well is None
    assert parse_name("b2_0h", Habits(small_wells=True)).well == "B2"


def test_folders_of_days_are_times_where_the_names_have_none() -> None:
    assert date_alone("2024-05-01") == datetime(2024, 5, 1, tzinfo=UTC).timestamp() / 3600
    assert date_alone("2024-05-01_B2") is None
    (series,) = group_series([Measurement(f"{d}/A1", confluence=0.3, path=f"2024-05-0{d}/A1.tif") for d in (1, 2, 4)])
    assert (series.name, series.time_h.tolist()) == ("A1", [0, 24, 72])
    counted = parse_name("2024-05-01/A1_007.tif")
    assert (counted.time_h, counted.index) == (None, 7)
