"""Charts for the report: small SVG pictures written from numbers, far lighter than those of a plotting library.

Their colours, lines and letters are those of the page they stand in (``templates/style.css``), so that they stay
legible on a telephone and on paper. The figures that lie beside the report are drawn by
:mod:`c6seg.growth.reporting.figures`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from c6seg.growth.fits.verdicts import GrowthFit
from c6seg.growth.reporting.figures import Truth
from c6seg.growth.reporting.scales import confluence_top, hour_ticks, lag_end_h, ticks
from c6seg.growth.series import Series
from c6seg.growth.words import percent, short
from c6seg.growth.wounds.results import WoundFit

Floats = NDArray[np.float64]
CURVE_POINTS = 60
# Points of more times than this are drawn smaller.
MANY = 40


class Plot:
    """One chart that is being drawn: axes, and the marks so far.

    Parameters
    ----------
    first, last
        Range of the horizontal axis.
    top
        End of the vertical axis, which begins at 0.
    size
        Width and height of the drawing.
    margins
        Left, top, right, bottom: room for the labels.
    """

    def __init__(
        self,
        first: float,
        last: float,
        top: float,
        *,
        size: tuple[float, float] = (460, 280),
        margins: tuple[float, float, float, float] = (40, 24, 10, 36),
    ) -> None:
        self.width, self.height = size
        left, above, right, below = margins
        self.box = left, above, self.width - right, self.height - below
        if last <= first:
            first, last = first - 0.5, first + 0.5
        self.first, self.last, self.top = first, last, top
        self.marks: list[str] = []

    def x(self, values: Floats | float) -> Floats:
        """Return where times lie in the drawing."""
        left, _, right, _ = self.box
        part = (np.asarray(values, dtype=np.float64) - self.first) / (self.last - self.first)
        return np.asarray(left + part * (right - left), dtype=np.float64)

    def y(self, values: Floats | float) -> Floats:
        """Return where values lie in the drawing; beyond the axis they stay at its end."""
        _, above, _, below = self.box
        part = np.clip(np.asarray(values, dtype=np.float64) / self.top, -0.02, 1.04)
        return np.asarray(below - part * (below - above), dtype=np.float64)

    def axes(self, x_ticks: Iterable[float], y_ticks: Iterable[float], x_label: str, y_label: str) -> None:
        """Draw grid, ticks and labels."""
        left, above, right, below = self.box
        levels, texts = [], []
        for value in y_ticks:
            at = _n(float(self.y(value)))
            levels.append(f"M{_n(left)} {at}H{_n(right)}")
            texts.append(f'<text class="ty" x="{_n(left - 6)}" y="{at}">{short(value)}</text>')
        for value in x_ticks:
            at = _n(float(self.x(value)))
            levels.append(f"M{at} {_n(below)}v4")
            texts.append(f'<text class="tx" x="{at}" y="{_n(below + 17)}">{short(value)}</text>')
        self.marks.append(f'<path class="grid" d="{"".join(levels)}"/>')
        self.marks += texts
        self.marks.append(f'<text class="ly" x="2" y="{_n(above - 11)}">{escape(y_label)}</text>')
        self.marks.append(f'<text class="lx" x="{_n(right)}" y="{_n(self.height - 3)}">{escape(x_label)}</text>')

    def line(self, times: Floats, values: Floats, kind: str) -> None:
        """Join points by a line."""
        keep = np.isfinite(values)
        points = _points(self.x(times[keep]), self.y(values[keep]))
        if points:
            self.marks.append(f'<path class="{kind}" d="M{points}"/>')

    def band(self, times: Floats, lower: Floats, upper: Floats, kind: str) -> None:
        """Fill what lies between two curves."""
        keep = np.isfinite(lower) & np.isfinite(upper)
        if not keep.any():
            return
        across = self.x(times[keep])
        there, back = _points(across, self.y(upper[keep])), _points(across[::-1], self.y(lower[keep])[::-1])
        self.marks.append(f'<path class="{kind}" d="M{there}L{back}z"/>')

    def span(self, first: float, last: float, kind: str, label: str) -> None:
        """Shade a stretch of time."""
        _, above, _, below = self.box
        left, right = (float(end) for end in np.clip(self.x(np.array([first, last])), self.box[0], self.box[2]))
        self.marks.append(
            f'<rect class="{kind}" x="{_n(left)}" y="{_n(above)}" width="{_n(max(1, right - left))}" '
            f'height="{_n(below - above)}"><title>{escape(label)}</title></rect>'
        )

    def bars(self, times: Floats, lower: Floats, upper: Floats, kind: str) -> None:
        """Draw vertical bars from lower to upper."""
        keep = np.isfinite(lower) & np.isfinite(upper)
        ends = zip(self.x(times[keep]), self.y(lower[keep]), self.y(upper[keep]), strict=True)
        path = "".join(f"M{_n(at)} {_n(low)}V{_n(high)}" for at, low, high in ends)
        if path:
            self.marks.append(f'<path class="{kind}" d="{path}"/>')

    def dots(self, times: Floats, values: Floats, *kinds: str) -> None:
        """Draw points; a second kind is drawn over the first, which makes them hollow."""
        keep = np.isfinite(values)
        path = "".join(
            f"M{_n(at)} {_n(up)}h0" for at, up in zip(self.x(times[keep]), self.y(values[keep]), strict=True)
        )
        if path:
            self.marks += [f'<path class="{kind}" d="{path}"/>' for kind in kinds]

    def level(self, value: float, kind: str, label: str) -> None:
        """Draw a horizontal line with its name."""
        left, _, right, _ = self.box
        at = float(self.y(value))
        self.marks.append(f'<path class="{kind}" d="M{_n(left)} {_n(at)}H{_n(right)}"/>')
        self.marks.append(f'<text class="note" x="{_n(left + 5)}" y="{_n(at - 4)}">{escape(label)}</text>')

    def moment(self, value: float, kind: str, label: str) -> None:
        """Draw a vertical line with its name."""
        _, above, _, below = self.box
        at = float(self.x(value))
        anchor = "end" if at > self.width / 2 else "start"
        shift = -4 if anchor == "end" else 4
        self.marks.append(f'<path class="{kind}" d="M{_n(at)} {_n(above)}V{_n(below)}"/>')
        self.marks.append(
            f'<text class="note" style="text-anchor:{anchor}" x="{_n(at + shift)}" y="{_n(above + 9)}">'
            f"{escape(label)}</text>"
        )

    def svg(self, label: str, kind: str = "chart") -> str:
        """Return the drawing; ``label`` says to those who cannot see it what it shows."""
        return (
            f'<svg class="{kind}" viewBox="0 0 {_n(self.width)} {_n(self.height)}" role="img" '
            f'aria-label="{escape(label)}">{"".join(self.marks)}</svg>'
        )


def growth_chart(series: Series, fit: GrowthFit, *, truth: Truth | None = None, saturation: float = 0.85) -> str:
    """Draw the chart of one series: points with bars, the fitted curve with its band, phase, lag and plateau.

    Parameters
    ----------
    series, fit
        The curve and what was read from it.
    truth
        For simulated series, what is known to be true.
    saturation
        Confluence at which growth stops being exponential.
    """
    time, values = series.time_h, 100 * series.confluence
    top = 100 * confluence_top(series, fit)
    plot = Plot(float(time[0]), float(time[-1]), top)
    if fit.phase_h is not None:
        plot.span(*fit.phase_h, "phase", "exponential phase")
    plot.axes(hour_ticks(float(time[0]), float(time[-1])), ticks(top), "time (h)", "confluence (%)")
    if 100 * saturation <= top:
        plot.level(100 * saturation, "full", f"{percent(saturation)}: field nearly full")
    if fit.curve is not None:
        some = _thinned(fit.curve.time_h)
        curve = [100 * part[some] for part in (fit.curve.lower, fit.curve.upper, fit.curve.confluence)]
        plot.band(fit.curve.time_h[some], curve[0], curve[1], "band")
        plot.line(fit.curve.time_h[some], curve[2], "fit")
    if truth is not None and truth.time_h.size:
        some = _thinned(truth.time_h)
        plot.line(truth.time_h[some], 100 * truth.confluence[some], "truth")
    if fit.plateau is not None and 100 * fit.plateau <= top:
        plot.level(100 * fit.plateau, "plateau", f"plateau {percent(fit.plateau)}")
    end = lag_end_h(series, fit)
    if end is not None:
        plot.moment(end, "lag", "end of lag")
    _marks(plot, series, values)
    return plot.svg(chart_words(series, fit), "chart many" if time.size > MANY else "chart")


def chart_words(series: Series, fit: GrowthFit) -> str:
    """Say what the chart of a series shows."""
    first, last = series.confluence[0], series.confluence[-1]
    drawn = f"; the {fit.model} law drawn through the points" if fit.curve is not None else ""
    return (
        f"Confluence of {series.name} over time: {percent(float(first))} at {short(float(series.time_h[0]))} h, "
        f"{percent(float(last))} at {short(float(series.time_h[-1]))} h{drawn}."
    )


def spark(series: Series, fit: GrowthFit, *, hours: tuple[float, float], top: float) -> str:
    """Draw a series as small as a stamp, on axes that it shares with the others.

    Parameters
    ----------
    series, fit
        The curve and what was read from it.
    hours
        First and last time of the axis.
    top
        Confluence at the end of the axis, 0..1.
    """
    plot = Plot(*hours, top, size=(96, 56), margins=(3, 4, 3, 3))
    used = np.ones(series.time_h.size, bool) if series.used is None else series.used
    plot.dots(series.time_h[~used], series.confluence[~used], "out")
    plot.dots(series.time_h[used], series.confluence[used], "dot")
    if fit.curve is not None:
        some = _thinned(fit.curve.time_h, 24)
        plot.line(fit.curve.time_h[some], fit.curve.confluence[some], "fit")
    return (
        f'<svg class="spark" viewBox="0 0 {_n(plot.width)} {_n(plot.height)}" aria-hidden="true">'
        f"{''.join(plot.marks)}</svg>"
    )


def wound_chart(fit: WoundFit) -> str:
    """Draw the chart of a closing wound: gap over time, its curve, and the time of half closure."""
    known = [100 * float(part[np.isfinite(part)].max()) for part in (fit.gap, fit.upper) if np.isfinite(part).any()]
    top = min(104.0, 1.12 * max([5.0, *known]))
    times = fit.time_h if fit.time_h.size else np.zeros(1)
    plot = Plot(float(times[0]), float(times[-1]), top)
    plot.axes(hour_ticks(float(times[0]), float(times[-1])), ticks(top), "time (h)", "gap (% of the field)")
    if fit.curve_time_h is not None and fit.curve_gap is not None and fit.curve_time_h.size:
        some = _thinned(fit.curve_time_h)
        if fit.curve_lower is not None and fit.curve_upper is not None:
            plot.band(fit.curve_time_h[some], 100 * fit.curve_lower[some], 100 * fit.curve_upper[some], "band")
        plot.line(fit.curve_time_h[some], 100 * fit.curve_gap[some], "fit")
    if fit.half_h is not None:
        begin = times[0] if fit.curve_time_h is None else fit.curve_time_h[0]  # the first time with a gap
        half = float(begin) + fit.half_h
        plot.moment(half, "lag", f"half closed, {short(fit.half_h)} h")
    plot.bars(fit.time_h, 100 * fit.lower, 100 * fit.upper, "bar")
    plot.dots(fit.time_h, 100 * fit.gap, "dot")
    gap = fit.gap[np.isfinite(fit.gap)]
    course = f": {percent(float(gap[0]))} of the field at first, {percent(float(gap[-1]))} at last" if gap.size else ""
    return plot.svg(f"Gap of {fit.name} over time{course}.")


def _marks(plot: Plot, series: Series, values: Floats) -> None:
    time, used = series.time_h, np.ones(series.time_h.size, bool) if series.used is None else series.used
    flagged = used & np.array([bool(flags) for flags in series.flags], bool)
    plot.bars(time[used], 100 * series.lower[used], 100 * series.upper[used], "bar")
    if series.noise_lower is not None and series.noise_upper is not None:
        plot.bars(time[used], 100 * series.noise_lower[used], 100 * series.noise_upper[used], "noise")
    plot.dots(time[~used], values[~used], "out", "hole")
    plot.dots(time[used & ~flagged], values[used & ~flagged], "dot")
    plot.dots(time[flagged], values[flagged], "dot", "hole")


def _thinned(times: Floats, number: int = CURVE_POINTS) -> NDArray[np.intp]:
    """Return evenly spread indices, first and last included."""
    return np.unique(np.linspace(0, times.size - 1, min(number, times.size)).round().astype(np.intp))


def _points(across: Sequence[float] | Floats, up: Sequence[float] | Floats) -> str:
    return " ".join(f"{_n(one)} {_n(other)}" for one, other in zip(across, up, strict=True))


def _n(value: float) -> str:
    """Write a coordinate as short as can be."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text
