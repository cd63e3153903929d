"""Figures of all series: their curves in one picture, and their doubling times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from c6seg.growth.curves import GrowthFit
from c6seg.growth.reporting.figures import COLOURS, INK, PALE, SOFT, TRUTH, Truth, blank_figure, cut, styled
from c6seg.growth.reporting.scales import common_axes
from c6seg.growth.series import Floats, Series
from c6seg.growth.words import percent, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def overview_figure(series: Sequence[Series], fits: Sequence[GrowthFit]) -> Figure:
    """Draw all series in one picture; beyond the number of colours, as small pictures side by side."""
    if len(series) > len(COLOURS):
        return _small_multiples(series, fits)
    figure = blank_figure(5.2, 3.3)
    axes = figure.add_subplot()
    markers = "osD^vPX"
    for colour, marker, one, fit in zip(COLOURS, markers, series, fits, strict=False):
        used = np.ones(one.time_h.size, bool) if one.used is None else one.used
        time, values = one.time_h[used], 100 * one.confluence[used]
        axes.plot(time, values, marker, color=colour, markersize=4, alpha=0.75, markeredgewidth=0)
        fitted = fit.curve is not None
        line = (fit.curve.time_h, 100 * fit.curve.confluence) if fit.curve is not None else (time, values)
        axes.plot(*line, color=colour, lw=1.8, ls="-" if fitted else ":")
        axes.plot([], [], marker=marker, markersize=4, color=colour, ls="-" if fitted else ":", label=cut(one.name))
    axes.set(xlabel="time (h)", ylabel="confluence (%)", ylim=(0, 100 * common_axes(series)[1]))
    longest = max(len(cut(one.name)) for one in series)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=max(1, min(4, 40 // (longest + 4))), borderaxespad=0.1)
    return figure


@styled
def doubling_figure(
    series: Sequence[Series], fits: Sequence[GrowthFit], *, truths: Mapping[str, Truth] | None = None
) -> Figure | None:
    """Draw the doubling times with their intervals, one line each; None where no series has one."""
    known = [fit.upper for fit in fits if fit.doubling_time_h is not None and fit.upper is not None]
    if not known:
        return None
    figure = blank_figure(5.2, 0.9 + (0.34 if len(series) <= 24 else 0.16) * len(series))
    axes = figure.add_subplot()
    for row, (one, fit) in enumerate(zip(series, fits, strict=True)):
        if fit.doubling_time_h is None or fit.lower is None or fit.upper is None:
            axes.text(
                0.01 * max(known), row, "no number", color=SOFT, va="center", fontsize=8 if len(series) < 25 else 6
            )
        else:
            axes.plot([fit.lower, fit.upper], [row, row], color=COLOURS[0], lw=2.4, solid_capstyle="round")
            axes.plot(fit.doubling_time_h, row, "o", color=COLOURS[0], markersize=6 if len(series) < 25 else 3.5)
        truth = (truths or {}).get(one.name)
        if truth is not None and truth.doubling_time_h is not None:
            axes.plot(truth.doubling_time_h, row, "D", color=TRUTH, markersize=5.5, markerfacecolor="white", mew=1.5)
    if truths:
        axes.plot([], [], "o-", color=COLOURS[0], label="measured, with interval")
        axes.plot([], [], "D", color=TRUTH, markerfacecolor="white", mew=1.5, label="simulated truth")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.1)
    size = 9 if len(series) <= 24 else 6
    axes.set_yticks(range(len(series)), [cut(one.name) for one in series], fontsize=size)
    axes.set(xlabel="doubling time (h)", xlim=(0, 1.08 * max(known)), ylim=(len(series) - 0.5, -0.5))
    axes.grid(visible=False, axis="y")
    return figure


def _small_multiples(series: Sequence[Series], fits: Sequence[GrowthFit]) -> Figure:
    """Draw every series into its own part of one pair of axes: a hundred pairs would take seconds to lay out."""
    columns = next(columns for most, columns in ((12, 4), (24, 6), (math.inf, 12)) if len(series) <= most)
    rows, small = -(-len(series) // columns), columns > 4
    figure = blank_figure(1.15 * columns + 0.1, 0.95 * rows + 0.5)
    axes = figure.add_subplot()
    (first, last), top = common_axes(series)

    def place(index: int, time: Floats, values: Floats) -> tuple[Floats, Floats]:
        row, column = divmod(index, columns)
        return column + 0.05 + 0.86 * (time - first) / (last - first), -row - 0.95 + 0.74 * values / top

    for index, (one, fit) in enumerate(zip(series, fits, strict=True)):
        row, column = divmod(index, columns)
        used = np.ones(one.time_h.size, bool) if one.used is None else one.used
        axes.plot(
            [column + 0.05, column + 0.05, column + 0.91], [-row - 0.2, -row - 0.95, -row - 0.95], color=PALE, lw=0.6
        )
        axes.plot(
            *place(index, one.time_h[used], one.confluence[used]), "o", color=INK, markersize=1.3 if small else 2, mew=0
        )
        if fit.curve is not None:
            axes.plot(*place(index, fit.curve.time_h, fit.curve.confluence), color=COLOURS[0], lw=1.1)
        axes.text(column + 0.07, -row - 0.16, cut(one.name, 16), fontsize=6.5 if small else 8, va="center")
    axes.set(xlim=(0, columns), ylim=(-rows, 0))
    axes.set_axis_off()
    scale = f"each: {short(first)} to {short(last)} h, confluence 0 to {percent(round(top, 2))}"
    figure.supxlabel(scale, fontsize=8, color=SOFT)
    return figure
