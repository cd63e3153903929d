"""Patterns of the user's own for file names."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c6seg.errors import UsageError
from c6seg.growth.names import compile_pattern, parse_name


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("{line}_{well}_{field}_{time}h", "plate1/U87_B03_2_36h.tif", ("U87", "B3", "2", 36.0, None, None)),
        ("{line}_{well}_{field}_{time}h", "A172_Phase_C7_1_24h", ("A172_Phase", "C7", "1", 24.0, None, None)),
        (
            "{line}_Phase_{well}_{field}_{time}_{crop}",
            "A172_Phase_C7_1_02d16h00m_2",
            ("A172", "C7", "1", 64, "2", None),
        ),
        ("{well}_{days}d{hours}h{minutes}m.tif", "x_c07_02d16h30m.tif", (None, "C7", None, 64.5, None, None)),
        ("xy{field}t{index}", "20180101ef002xy01t13.tif", (None, None, "01", None, None, 13)),
        ("day{days}/{well}*", r"exp\day3\A01_phase.tif", (None, "A1", None, 72.0, None, None)),
        ("{well}_{time}min", "B3_90min", (None, "B3", None, 1.5, None, None)),
        ("{well}_{time}d", "B3_1.5d", (None, "B3", None, 36.0, None, None)),
        ("{well}_{time}", "B3_1d 12h", (None, "B3", None, 36.0, None, None)),
        ("{plate}/{well}_{time_h}", "exp/P2/B3_7,5", ("P2", "B3", None, 7.5, None, None)),
        (r"(?P<well>[A-H]\d{1,2})_(?P<time>\d+)(?=h|min)", "ctrl_C07_90min", (None, "C7", None, 1.5, None, None)),
        (r"^(?P<well>dish\d)-(?P<hours>\d{2})$", "deep/dish3-06.ome.tif", (None, "dish3", None, 6.0, None, None)),
        (r"(?P<well>[A-Z]{2}\d{2})_(?P<index>\d{3})", "AB07_012", (None, "AB7", None, None, None, 12)),
        (r"(?P<hours>\d+)h\.tif$", "A_24h.tif", (None, None, None, 24.0, None, None)),
    ],
)
def test_pattern_reads(pattern: str, name: str, expected: tuple[object, ...]) -> None:
    parts = compile_pattern(pattern)(name)
    assert parts is not None
    assert (parts.line, parts.well, parts.field, parts.time_h, parts.crop, parts.index) == expected


@pytest.mark.parametrize(
    "name",
    [
        "2024-05-01 14:30_B3",
        "20240501_1430_B3",
        "2024-05-01T14:30:00Z_B3",
        "2024y05m01d_14h30m_B3",
        "2024-05-01_14-30_B3",
    ],
)
def test_dates_are_read(name: str) -> None:
    parts = compile_pattern("{date}_{well}")(name)
    assert parts is not None
    assert parts.absolute
    assert parts.time_h == datetime(2024, 5, 1, 14, 30, tzinfo=UTC).timestamp() / 3600


def test_hours_are_added_to_a_date_without_a_clock() -> None:
    parts = compile_pattern("{date}/{well}_{hours}h")("2024-05-01/B3_6h")
    assert parts is not None
    assert parts.time_h == datetime(2024, 5, 1, 6, tzinfo=UTC).timestamp() / 3600


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{well}_{time}h", "overview"),
        ("{date}_{well}", "2024-13-45 14:30_B3"),
        ("{well}_{date}", "B3_20240501_9930"),
        (r"(?P<well>B\d)_(?P<time>\d+)", "B3_24"),
        (r"(?P<well>B\d)_(?P<hours>\w+)", "B3_late"),
        (r"(?P<well>B\d)_(?P<index>\w+)", "B3_last"),
        (r"(?P<well>B\d)_(?P<date>\w+)", "B3_today"),
        ("{well}_{time}h", "DATA3_24h"),
        ("{well}/{well}_{time}h", "B3/B4_24h"),
    ],
)
def test_what_does_not_match_is_none(pattern: str, name: str) -> None:
    assert compile_pattern(pattern)(name) is None


def test_places_without_a_well_stay_apart() -> None:
    read = compile_pattern("{time}h")
    stems = [parts.stem for name in ("ctrl_0h", "ctrl_24h", "drug_24h_b") if (parts := read(name))]
    assert stems == ["ctrl", "ctrl", "drug_b"]
    by_line = compile_pattern("{line}-{field}-{time}h")
    found = [by_line(name) for name in ("ctrl-1-0h", "ctrl-2-24h")]
    assert [parts and parts.stem for parts in found] == ["ctrl", "ctrl"]


def test_nothing_is_guessed_that_the_pattern_does_not_name() -> None:
    assert parse_name("A1_drug24h_t03").well == "A1"
    parts = compile_pattern("{line}_t{index}")("A1_drug24h_t03")
    assert parts is not None
    assert (parts.line, parts.well, parts.time_h, parts.index) == ("A1_drug24h", None, None, 3)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{wel}_{time}h", "Did you mean 'well'"),
        (r"(?P<hour>\d+)", "Did you mean 'hours'"),
        ("(?P<well>[A-", r"unterminated character set at character 10, before '\[A-'"),
        ("(?P<well>A)(?P<well>B)", "redefinition of group"),
        ("{line}_x", "names only line; it must name a well, a field, an index or a time"),
        ("img", "names no part of the file name"),
        ("", "names no part of the file name"),
        (r"[A-H]\d{1,2}", "names no part of the file name"),
        (r"(?P<well>[A-H]\d)_{time}", r"mixes the two ways.*Write \(\?P<time>"),
        ("{well}_{1,2}", r"'\{1,2\}' cannot be read"),
        ("{well}_{time", "'_{time' cannot be read"),
        ("{well}{time_h}{hours}", r"says the time twice \(time_h and hours\)"),
        ("{well}{time}h{minutes}m", "says the time twice"),
    ],
)
def test_bad_patterns_are_refused_with_words(pattern: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compile_pattern(pattern)


@given(
    line=st.sampled_from(["U87", "T98G", "SK-OV-3"]),
    well=st.tuples(st.sampled_from("ABCDEFGHIJKLMNOP"), st.integers(1, 24)),
    field=st.integers(0, 99),
    hours=st.integers(0, 999),
)
def test_template_and_regular_expression_agree(line: str, well: tuple[str, int], field: int, hours: int) -> None:
    name = f"run_7/{line}_{well[0]}{well[1]:02d}_{field}_{hours}h.tif"
    template = compile_pattern("{line}_{well}_{field}_{time}h")(name)
    regex = compile_pattern(r"(?P<line>[^/_]+)_(?P<well>[A-P]\d{2})_(?P<field>\d{1,2})_(?P<hours>\d{1,3})h")(name)
    assert template == regex
    assert template is not None
    assert (template.well, template.time_h) == (f"{well[0]}{well[1]}", hours)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_a_pattern_or_refused_with_words(pattern: str, name: str) -> None:
    try:
        read = compile_pattern(pattern)
    except UsageError:
        return
    read(name)
