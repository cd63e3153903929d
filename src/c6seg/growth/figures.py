"""Growth figures, for files (PNG, SVG) and for the report; drawn without a display."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from c6seg.growth.curves import GrowthFit
from c6seg.growth.series import Floats, Series
from c6seg.runtime import atomic_path, save_picture, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")
# Okabe and Ito's colours, told apart by the colour-blind; yellow is left out, it fades on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
INK, SOFT, GRID = "#1f2933", "#6b7683", "#e3e8ee"
TRUTH = "#D55E00"
STYLE: Any = {  # matplotlib's type for this names every setting there is
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": "#b6bfc9",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "text.color": INK,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "c6seg",
    "pdf.fonttype": 42,
}


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known to be true of a simulated series.

    Parameters
    ----------
    doubling_time_h
        True doubling time; None for a culture that does not grow.
    time_h, confluence
        (T,) true curve; empty where it is not known.
    dice
        Mean Dice score of the masks against the true ones, where known.
    """

    doubling_time_h: float | None
    time_h: Floats
    confluence: Floats
    dice: float | None = None


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Let a function draw in this package's style, and leave matplotlib's own settings as they were."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import rc_context

        with rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


@styled
def series_figure(series: Series, fit: GrowthFit, *, truth: Truth | None = None, saturation: float = 0.85) -> Figure:
    """Draw one series: measured points with intervals, the fitted curve with its band, the truth where known."""
    figure = _figure(4.6, 2.9)
    axes = figure.add_subplot()
    _draw(axes, series, fit, truth, saturation)
    if fit.curve is not None or truth is not None:
        axes.legend(loc="upper left", handlelength=1.8, borderaxespad=0.2)
    return figure


@styled
def overview_figure(series: Sequence[Series], fits: Sequence[GrowthFit]) -> Figure:
    """Draw all series in one picture; beyond the number of colours, as small pictures side by side."""
    if len(series) > len(COLOURS):
        return _small_multiples(series, fits)
    figure = _figure(5.2, 3.3)
    axes = figure.add_subplot()
    for colour, one, fit in zip(COLOURS, series, fits, strict=False):
        axes.plot(one.time_h, 100 * one.confluence, "o", color=colour, markersize=4, alpha=0.75, markeredgewidth=0)
        line = (fit.curve.time_h, fit.curve.confluence) if fit.curve is not None else (one.time_h, one.confluence)
        axes.plot(
            line[0], 100 * line[1], color=colour, lw=1.8, ls="-" if fit.curve is not None else ":", label=one.name
        )
    top = 100 * max(0.05, *(float(one.confluence.max()) for one in series))
    axes.set(xlabel="time (h)", ylabel="confluence (%)", ylim=(0, 1.05 * top))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, borderaxespad=0.1)
    return figure


@styled
def doubling_figure(
    series: Sequence[Series], fits: Sequence[GrowthFit], *, truths: Mapping[str, Truth] | None = None
) -> Figure | None:
    """Draw the doubling times with their intervals, one line each; None where no series has one."""
    if not any(fit.doubling_time_h is not None for fit in fits):
        return None
    figure = _figure(5.2, 1.0 + 0.34 * len(series))
    axes = figure.add_subplot()
    known = [fit.upper for fit in fits if fit.upper is not None]
    for row, (one, fit) in enumerate(zip(series, fits, strict=True)):
        if fit.doubling_time_h is None or fit.lower is None or fit.upper is None:
            axes.text(0.01 * max(known), row, "no number", color=SOFT, va="center", fontsize=8.5)
        else:
            axes.plot([fit.lower, fit.upper], [row, row], color=COLOURS[0], lw=2.4, solid_capstyle="round")
            axes.plot(fit.doubling_time_h, row, "o", color=COLOURS[0], markersize=6.5)
        truth = (truths or {}).get(one.name)
        if truth is not None and truth.doubling_time_h is not None:
            axes.plot(truth.doubling_time_h, row, "D", color=TRUTH, markersize=5.5, markerfacecolor="white", mew=1.5)
    if truths:
        axes.plot([], [], "o-", color=COLOURS[0], label="measured, with interval")
        axes.plot([], [], "D", color=TRUTH, markerfacecolor="white", mew=1.5, label="simulated truth")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.1)
    axes.set_yticks(range(len(series)), [one.name for one in series])
    axes.set(xlabel="doubling time (h)", xlim=(0, 1.08 * max(known)), ylim=(len(series) - 0.5, -0.5))
    axes.grid(visible=False, axis="y")
    return figure


@styled
def svg(figure: Figure) -> str:
    """Return a figure as SVG text that asks for no font that is not there."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "c6seg"})
    return buffer.getvalue()


@styled
def save(figure: Figure, path: Path) -> str:
    """Write a figure as ``path`` with the suffixes ``.png`` and ``.svg``; return the SVG text."""
    text = svg(figure)
    write_text(path.with_name(path.name + ".svg"), text)
    with atomic_path(path.with_name(path.name + ".png")) as temporary:
        save_picture(figure, temporary, format="png", dpi=200)
    return text


def _figure(width_in: float, height_in: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")


def _draw(axes: Axes, series: Series, fit: GrowthFit, truth: Truth | None, saturation: float) -> None:
    if fit.curve is not None:
        curve = fit.curve
        axes.fill_between(curve.time_h, 100 * curve.lower, 100 * curve.upper, color=COLOURS[0], alpha=0.16, lw=0)
        axes.plot(curve.time_h, 100 * curve.confluence, color=COLOURS[0], lw=2, label=f"{fit.model} fit, with interval")
    if truth is not None and truth.time_h.size:
        axes.plot(truth.time_h, 100 * truth.confluence, color=TRUTH, lw=1.5, ls=(0, (4, 2)), label="simulated truth")
    known = np.isfinite(series.lower)
    axes.vlines(series.time_h[known], 100 * series.lower[known], 100 * series.upper[known], color=SOFT, lw=1)
    hollow = np.array([bool(flags) for flags in series.flags])
    axes.plot(series.time_h[~hollow], 100 * series.confluence[~hollow], "o", color=INK, markersize=4)
    axes.plot(series.time_h[hollow], 100 * series.confluence[hollow], "o", color=INK, markersize=4, mfc="white")
    top = 100 * max(float(np.nanmax(series.confluence)), 0.05)
    if top > 70 * saturation:
        axes.axhline(100 * saturation, color=SOFT, lw=0.9, ls=":")
    axes.set(xlabel="time (h)", ylabel="confluence (%)", ylim=(0, min(105, 1.3 * top)))


def _small_multiples(series: Sequence[Series], fits: Sequence[GrowthFit]) -> Figure:
    columns = 12 if len(series) > 24 else 6
    rows = -(-len(series) // columns)
    figure = _figure(min(14.0, 1.15 * columns), 0.95 * rows + 0.4)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(series) :]:
        axes.set_axis_off()
    for axes, one, fit in zip(grid, series, fits, strict=False):
        axes.plot(one.time_h, 100 * one.confluence, "o", color=INK, markersize=1.6)
        if fit.curve is not None:
            axes.plot(fit.curve.time_h, 100 * fit.curve.confluence, color=COLOURS[0], lw=1.2)
        axes.set_title(one.name, fontsize=7, pad=2)
        axes.tick_params(labelsize=6)
    figure.supxlabel("time (h)", fontsize=8)
    figure.supylabel("confluence (%)", fontsize=8)
    return figure
