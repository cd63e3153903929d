from __future__ import annotations

import numpy as np
import pytest

from c6seg.errors import DataError
from c6seg.growth.reporting.figures import svg
from c6seg.growth.wound import fit_wound
from c6seg.growth.wounds.figures import OUTLINE_RGB, wound_figure, wound_overlay
from c6seg.growth.wounds.results import WoundFit

HOURS = np.arange(0.0, 25.0, 2.0)


def fitted(name: str = "B2") -> WoundFit:
    rng = np.random.default_rng(0)
    gap = 0.4 * np.maximum(0, 1 - 0.05 * HOURS) * np.array([[0.9], [1.0], [1.1]])
    return fit_wound(name, HOURS, np.clip(gap + 0.005 * rng.standard_normal(gap.shape), 0, 1), bootstrap=200)


def refused() -> WoundFit:
    return fit_wound("B3", [0, 8, 16], [[0.4, 0.3, 0.2]])


def test_figure_shows_points_intervals_curve_and_half_closure() -> None:
    fit = fitted()
    figure = wound_figure(fit)
    (axes,) = figure.axes
    curve, half, points = axes.lines
    assert np.asarray(points.get_ydata()) == pytest.approx(100 * fit.gap)
    assert np.asarray(curve.get_ydata()) == pytest.approx(100 * fit.curve_gap)
    assert list(half.get_xdata()) == pytest.approx([fit.half_h] * 2)
    text = svg(figure)
    assert "half closed" in text
    assert "gap (% of the field)" in text
    assert svg(wound_figure(fit)) == text  # the same data, the same file
    low, high = axes.get_ylim()
    assert low == 0
    assert high > 100 * np.nanmax(fit.gap)


def test_figure_of_a_well_without_numbers_shows_what_was_measured() -> None:
    (axes,) = wound_figure(refused()).axes
    assert len(axes.lines) == 1
    assert "half closed" not in svg(axes.figure)  # type: ignore[arg-type]
    nothing = np.full(4, np.nan)
    empty = WoundFit("x", np.arange(4.0), nothing, nothing, nothing, None, "No number.", "none")
    assert "x" in svg(wound_figure(empty))


def test_names_with_signs_are_written_as_they_are() -> None:
    assert "5 $ &lt;well&gt;" in svg(wound_figure(fitted("5 $ <well>")))


def test_overlay_outlines_the_gap() -> None:
    pixels = np.random.default_rng(0).integers(0, 4000, (60, 80)).astype(np.uint16)
    gap = np.zeros((60, 80), bool)
    gap[20:40, 30:50] = True
    picture = wound_overlay(pixels, gap)
    assert (picture.shape, picture.dtype) == ((60, 80, 3), np.uint8)
    assert tuple(picture[19, 40]) == OUTLINE_RGB
    assert picture[5, 5, 0] == picture[5, 5, 1] == picture[5, 5, 2]
    with pytest.raises(DataError, match="one shape"):
        wound_overlay(pixels, gap[:30])
