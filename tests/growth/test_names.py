from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c6seg.growth.series import parse_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("A172_Phase_C7_1_02d16h00m_2.tif", ("A172", "C7", "1", 64.0, "2", None)),
        ("MCF7_Phase_E4_1_00d00h00m_1.tif", ("MCF7", "E4", "1", 0.0, "1", None)),
        ("C6_Phase_D3_2_01d00h30m.png", ("C6", "D3", "2", 24.5, None, None)),
        ("20180101ef002xy01t13", (None, None, "01", None, None, 13)),
        ("B3_-1_2_1_Phase Contrast_007.tif", (None, "B3", "1", None, None, 7)),
        ("r02c03f01p01-ch1sk5fk1fl1.tiff", (None, "B3", "01", None, None, 5)),
        ("img_channel000_position001_time000000012_z000.tif", ("img", None, "001", None, None, 12)),
        ("B03_s1_t3.tif", (None, "B3", "1", None, None, 3)),
        ("xy3t3.tif", (None, None, "3", None, None, 3)),
        ("3T3_D2_24h.tif", ("3T3", "D2", None, 24.0, None, None)),
        ("NIH3T3_D2_007.tif", ("NIH3T3", "D2", None, None, None, 7)),
        ("glioma_C6_B3_48h_1.png", ("glioma_C6", "B3", "1", 48.0, None, None)),
        ("glioma_C6_24h_3.tif", (None, None, "3", 24.0, None, None)),
        ("well-A01_day3.jpg", (None, "A1", None, 72.0, None, None)),
        ("B3_2h30m.tif", (None, "B3", None, 2.5, None, None)),
        ("untreated-0.5h.ome.tif", (None, None, None, 0.5, None, None)),
        ("A1_90min.png", (None, "A1", None, 1.5, None, None)),
        ("img_004.png", (None, None, None, None, None, 4)),
        ("T98G.tif", (None, None, None, None, None, None)),
        ("exp1/B3/img_004.tif", (None, "B3", None, None, None, 4)),
        ("plate/24h/A1_2.tif", (None, "A1", "2", 24.0, None, 2)),
    ],
)
def test_name_says(name: str, expected: tuple[object, ...]) -> None:
    parts = parse_name(name)
    assert (parts.line, parts.well, parts.field, parts.time_h, parts.crop, parts.index) == expected


@pytest.mark.parametrize(
    "name", ["VID289_B3_1_2020y03m05d_12h30m.tif", "2020-03-05_12-30-00_A1.tif", "IMG_20200305_123000.jpg"]
)
def test_calendar_times_are_absolute(name: str) -> None:
    parts = parse_name(name)
    assert parts.absolute
    assert parts.time_h == datetime(2020, 3, 5, 12, 30, tzinfo=UTC).timestamp() / 3600


def test_impossible_date_is_no_time() -> None:
    assert parse_name("B3_20201399_120000").time_h is None


def test_stem_is_shared_by_the_images_of_a_place() -> None:
    assert parse_name("control_00h").stem == parse_name("control_24h").stem == "control"
    assert parse_name("xy01t01").stem != parse_name("xy02t01").stem
    assert parse_name("dish_f1_24h").stem == parse_name("dish_f2_48h").stem


def test_every_livecell_name_has_well_and_time(shared_data: Path) -> None:
    names = [path.name for path in (shared_data / "livecell" / "images").rglob("*.tif")]
    assert len(names) == 45
    for name in names:
        parts = parse_name(name)
        line, _, well, field, time, crop = name.removesuffix(".tif").split("_")
        days, hours, minutes = int(time[:2]), int(time[3:5]), int(time[6:8])
        assert (parts.line, parts.well, parts.field, parts.crop) == (line, well, field, crop)
        assert parts.time_h == 24 * days + hours + minutes / 60


@given(
    line=st.sampled_from(["A172", "C6", "T98G", "SK_OV_3"]),
    row=st.sampled_from("ABCDEFGHIJKLMNOP"),
    column=st.integers(1, 24),
    minutes=st.integers(0, 60 * 24 * 30),
)
def test_written_names_read_back(line: str, row: str, column: int, minutes: int) -> None:
    clock = f"{minutes // 1440:02d}d{minutes // 60 % 24:02d}h{minutes % 60:02d}m"
    parts = parse_name(f"{line}_Phase_{row}{column}_3_{clock}_1.tif")
    assert (parts.line, parts.well, parts.field) == (line, f"{row}{column}", "3")
    assert parts.time_h == pytest.approx(minutes / 60)


@given(st.text(max_size=40))
def test_any_name_is_read_without_error(name: str) -> None:
    assert parse_name(name).crop is None or "_" in name
