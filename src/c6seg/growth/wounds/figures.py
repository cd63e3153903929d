"""The figure of a closing wound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from c6seg.growth.reporting.figures import COLOURS, INK, SMALL, SOFT, cut, styled
from c6seg.growth.reporting.scales import hour_ticks, ticks
from c6seg.growth.words import number
from c6seg.growth.wounds.results import WoundFit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def wound_figure(fit: WoundFit) -> Figure:
    """Draw the gap over time: points with intervals, the fitted course with its band, and the time of half closure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.1), facecolor="white")
    axes = figure.add_axes((0.13, 0.145, 0.85, 0.71))
    top = _top(fit)
    _draw_course(axes, fit)
    known = np.isfinite(fit.lower) & np.isfinite(fit.upper)
    axes.vlines(fit.time_h[known], 100 * fit.lower[known], 100 * fit.upper[known], color=SOFT, lw=0.9)
    axes.plot(fit.time_h, 100 * fit.gap, "o", color=INK, markersize=4 if fit.time_h.size <= 40 else 3, mew=0.8)
    first, last = (float(fit.time_h[0]), float(fit.time_h[-1])) if fit.time_h.size else (0.0, 1.0)
    first, last = (first, last) if last > first else (first - 0.5, last + 0.5)
    axes.set(xlabel="time (h)", ylabel="gap (% of the field)", ylim=(0, top))
    axes.set_xlim(first - 0.03 * (last - first), last + 0.03 * (last - first))
    axes.set_xticks(hour_ticks(first, last))
    axes.set_yticks(ticks(top))
    figure.text(0.02, 0.985, cut(fit.name, 60), va="top", fontsize=9.5, fontweight="bold")
    if axes.get_legend_handles_labels()[1]:
        place: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2, "borderpad": 0}
        axes.legend(ncols=2, fontsize=8, handlelength=1.6, **place)
    return figure


def _top(fit: WoundFit) -> float:
    known = [float(np.nanmax(part, initial=0.0)) for part in (fit.gap, fit.upper)]
    highest = max(0.05, known[0], min(known[1], 1.5 * known[0]))
    return min(105.0, 115 * highest)


def _draw_course(axes: Axes, fit: WoundFit) -> None:
    if fit.curve_time_h is None or fit.curve_gap is None or not fit.curve_time_h.size:
        return
    time = fit.curve_time_h
    if fit.curve_lower is not None and fit.curve_upper is not None:
        axes.fill_between(time, 100 * fit.curve_lower, 100 * fit.curve_upper, color=COLOURS[0], alpha=0.16, lw=0)
    axes.plot(time, 100 * fit.curve_gap, color=COLOURS[0], lw=2, label="fit with interval")
    if fit.half_h is None:
        return
    half = float(time[0]) + fit.half_h
    if fit.half_lower is not None and fit.half_upper is not None:
        span = float(time[0]) + fit.half_lower, min(float(time[0]) + fit.half_upper, float(time[-1]))
        axes.axvspan(*span, color=COLOURS[2], alpha=0.12, lw=0, zorder=0)
    axes.axvline(half, color=COLOURS[2], lw=1.1, ls=(0, (3, 2)))
    beside: Any = {"textcoords": "offset points", "xycoords": axes.get_xaxis_transform(), "va": "top"}
    axes.annotate(f"half closed, {number(fit.half_h)} h", (half, 0.99), (3, 0), **beside, **SMALL)
