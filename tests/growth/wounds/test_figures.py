from __future__ import annotations

import numpy as np
import pytest

from c6seg.growth.reporting.figures import svg
from c6seg.growth.wound import fit_wound
from c6seg.growth.wounds.figures import wound_figure
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
