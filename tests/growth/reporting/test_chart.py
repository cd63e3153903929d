"""The small charts of the report, and the axes that they share with the figures."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c6seg.growth.reporting.chart import growth_chart, spark, wound_chart
from c6seg.growth.reporting.figures import Truth
from c6seg.growth.reporting.scales import common_axes, confluence_top, hour_ticks, lag_end_h, ticks


def marks(svg: str, kind: str) -> list[ElementTree.Element]:
    return [one for one in ElementTree.fromstring(svg).iter() if one.get("class") == kind]


def points(svg: str, kind: str) -> list[tuple[float, float]]:
    path = "".join(one.get("d") or "" for one in marks(svg, kind))
    return [(float(x), float(y)) for x, y in re.findall(r"M([-\d.]+) ([-\d.]+)h0", path)]


def test_points_lie_where_the_numbers_say(examples: ModuleType) -> None:
    one = examples.series("A1", times=13, step_h=6.0)
    svg = growth_chart(one, examples.growing(one))
    found = np.array(points(svg, "dot"))
    assert len(found) == 13
    # the axes are linear: position and value correlate perfectly, up to the tenth that is written
    for column, values, sign in ((0, one.time_h, 1), (1, one.confluence, -1)):
        line = np.polyfit(values, found[:, column], 1)
        assert np.abs(np.polyval(line, values) - found[:, column]).max() < 0.11
        assert sign * line[0] > 0
    labels = {text.text: float(text.get("x") or 0) for text in marks(svg, "tx")}
    assert labels["0"] == found[0, 0]
    assert labels["72"] == found[-1, 0]


def test_excluded_times_are_apart_and_flagged_ones_hollow(examples: ModuleType) -> None:
    one = examples.with_excluded(examples.series("A2", times=9), 3, 4)
    svg = growth_chart(one, examples.growing(one))
    out, dots, holes = (points(svg, kind) for kind in ("out", "dot", "hole"))
    assert (len(out), len(dots), len(holes)) == (2, 7, 3)
    assert set(out) < set(holes)
    assert not set(out) & set(dots)
    # bars of excluded times would suggest that they count
    assert len(re.findall("M", marks(svg, "bar")[0].get("d") or "")) == 7


def test_phase_lag_plateau_truth_and_names_are_drawn(examples: ModuleType) -> None:
    one = examples.series('A3 <b> & "c"', rate=0.05, times=20, step_h=4.0)
    fit = examples.growing(one, 0.05, lag_h=8.0, plateau=0.9, phase_h=(8.0, 40.0))
    truth = Truth(20.0, one.time_h, one.confluence)
    svg = growth_chart(one, fit, truth=truth)
    for kind in ("phase", "lag", "plateau", "fit", "band", "truth", "full", "noise"):
        assert len(marks(svg, kind)) == 1, kind
    assert ElementTree.fromstring(svg).get("aria-label", "").startswith('Confluence of A3 <b> & "c" over time')
    bare = growth_chart(one, examples.still())
    assert not any(marks(bare, kind) for kind in ("phase", "lag", "plateau", "fit", "band", "truth"))


def test_unknown_values_and_a_single_time_leave_no_nan(examples: ModuleType) -> None:
    one = examples.series("A1", times=5)
    unknown = replace(one, lower=one.lower * np.nan, upper=one.upper * np.nan, noise_lower=None, noise_upper=None)
    gap = replace(unknown, confluence=np.where(np.arange(5) == 2, np.nan, one.confluence))
    single = examples.series("A1", times=1)
    for series in (unknown, gap, single):
        svg = growth_chart(series, examples.still())
        assert "nan" not in svg
        assert "inf" not in svg
    assert len(points(growth_chart(gap, examples.still()), "dot")) == 4
    assert len(points(growth_chart(single, examples.still()), "dot")) == 1


def test_charts_are_light(examples: ModuleType) -> None:
    one = examples.series("A1", times=72, step_h=1.0)
    fit = examples.growing(one)
    assert len(growth_chart(one, fit)) < 10_000
    assert len(spark(one, fit, hours=(0, 71), top=0.6)) < 2_500
    assert 'aria-hidden="true"' in spark(one, fit, hours=(0, 71), top=0.6)


def test_wounds_with_unknown_gaps(examples: ModuleType) -> None:
    fit = examples.wound()
    assert len(points(wound_chart(fit), "dot")) == fit.time_h.size
    assert marks(wound_chart(fit), "lag")
    some = replace(
        fit, gap=np.where(np.arange(13) < 2, np.nan, fit.gap), curve_lower=fit.curve_gap, curve_upper=fit.curve_gap
    )
    assert len(points(wound_chart(some), "dot")) == 11
    assert marks(wound_chart(some), "band")
    none = replace(examples.open_wound(), gap=np.full(13, np.nan))
    assert "nan" not in wound_chart(none)


@given(st.floats(-1000, 1000), st.floats(0.01, 3000))
def test_hour_ticks_lie_inside_and_are_few(first: float, span: float) -> None:
    found = hour_ticks(first, first + span)
    assert 1 <= len(found) <= 8
    assert found == sorted(set(found))
    assert all(first - 1e-6 <= one <= first + span + 1e-6 for one in found)


@given(st.floats(1e-3, 1e4))
def test_ticks_begin_at_zero_and_end_below_the_top(top: float) -> None:
    found = ticks(top)
    assert found[0] == 0
    assert 3 <= len(found) <= 7
    assert top / 3 < found[-1] <= top * (1 + 1e-6)


def test_axes_hold_points_and_bars(examples: ModuleType) -> None:
    one = examples.series("A1")
    assert confluence_top(one, examples.still()) >= float(one.upper.max())
    assert confluence_top(replace(one, confluence=one.confluence * 0), examples.still()) > 0
    early = examples.series("A2", times=5)
    (first, last), top = common_axes([one, early])
    assert (first, last) == (0.0, float(one.time_h[-1]))
    assert top >= float(one.confluence.max())


def test_the_lag_counts_from_the_first_time_that_is_used(examples: ModuleType) -> None:
    one = examples.series("A1", times=10, step_h=3.0)
    fit = examples.growing(one, lag_h=6.0)
    assert lag_end_h(one, fit) == 6.0
    assert lag_end_h(examples.with_excluded(one, 0, 1), fit) == 12.0
    assert lag_end_h(one, examples.growing(one, lag_h=500.0)) is None
    assert lag_end_h(replace(one, used=np.zeros(10, bool)), fit) is None
    assert lag_end_h(one, examples.still()) is None


def test_words_of_numbers() -> None:
    from c6seg.growth import words

    assert words.interval(math.nan, 1, 2) == words.NONE
    assert words.interval(310.2, 203.0, 507.0, "h") == "310 h (200 to 510)"
    assert words.interval(0.5, 0.5, 0.5) == "0.500 (0.500 to 0.500)"
    assert words.interval(-0.00004, -0.0011, 0.001) == "0.0000 (−0.0011 to 0.0010)"
    assert words.percent_interval(0.93, 0.9, 0.951) == "93.0 % (90.0 to 95.1)"
    assert words.number(0.0) == "0"
    assert words.number(99999.0) == "100000"
    assert words.sentence("pH was 7") == "PH was 7."
    assert words.sentence("Done!") == "Done!"
    assert words.dose(None, "uM") == ""
    assert (words.dose(0.0, "uM"), words.dose(1e-9, "M"), words.dose(12.5, "")) == ("0 uM", "1e-09 M", "12.5")


@pytest.mark.parametrize("names", [["a/b", "a_b"], ["a1", "A1"], ["x" * 300, "x" * 301], ["ä" * 90], ["..", "."]])
def test_file_names_never_meet(names: list[str]) -> None:
    from c6seg.growth.words import file_names

    found = file_names(names)
    assert len({one.lower() for one in found}) == len(names)
    assert all(len(one.encode()) < 120 and "/" not in one and not one.startswith(".") for one in found)
    # a name keeps its file when the others go
    assert file_names([*names, "other"])[: len(names)] == found
