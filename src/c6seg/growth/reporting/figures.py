"""Growth figures for files (PNG, SVG, PDF); drawn without a display."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from c6seg.growth.curves import GrowthFit
from c6seg.growth.reporting.scales import confluence_top, hour_ticks, lag_end_h, ticks
from c6seg.growth.series import Floats, Series
from c6seg.growth.words import number, percent
from c6seg.runtime import atomic_path, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")
# Okabe and Ito's colours, told apart by the colour-blind; yellow is left out, it fades on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
INK, SOFT, GRID, PALE = "#1f2933", "#6b7683", "#e3e8ee", "#7f8c99"
PHASE = "#e8f1f8"
SMALL: Any = {"fontsize": 7.5, "color": SOFT}
TRUTH = "#D55E00"
FORMATS = (".svg", ".png", ".pdf")
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
    "text.parse_math": False,  # a dollar sign in the name of a well is a dollar sign
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "c6seg",
    "pdf.fonttype": 42,
}
# Of the PNG files, 0 to 9: beyond this they become a tenth smaller in three times the time.
FAST = 2
# Letters as outlines: a PDF with them takes a third of the time, but its text cannot be edited.
OUTLINED: Any = {"pdf.fonttype": 3}


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
    """Draw one series: points with intervals, the fitted curve with its band, phase, lag and plateau where known.

    Thick bars are the interval from sampling, thin ones with the error of the masks too. Hollow points carry a quality
    flag; hollow grey ones were excluded.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.1), facecolor="white")
    # margins that suit every series: laying each figure out anew would take longer than drawing it
    axes = figure.add_axes((0.13, 0.145, 0.85, 0.71))
    top = 100 * confluence_top(series, fit)
    _draw_fit(axes, series, fit, truth)
    if 100 * saturation <= top:
        axes.axhline(100 * saturation, color=SOFT, lw=0.9, ls=":")
    _draw_points(axes, series)
    first, last = axis_ends(series)
    axes.set(xlabel="time (h)", ylabel="confluence (%)", ylim=(0, top))
    axes.set_xlim(first - 0.03 * (last - first), last + 0.03 * (last - first))
    axes.set_xticks(hour_ticks(float(series.time_h[0]), float(series.time_h[-1])))
    axes.set_yticks(ticks(top))
    figure.text(0.02, 0.985, cut(series.name, 60), va="top", fontsize=9.5, fontweight="bold")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=3,
            fontsize=8,
            handlelength=1.6,
            borderaxespad=0.2,
            borderpad=0,
        )
    return figure


@styled
def svg(figure: Figure) -> str:
    """Return a figure as SVG text that asks for no font that is not there."""
    return _bytes(figure, ".svg").decode()


@styled
def save(figure: Figure, path: Path, *, outlined: bool = False) -> str:
    """Write a figure as ``path`` with the suffixes ``.png``, ``.svg`` and ``.pdf``; return the SVG text.

    Parameters
    ----------
    figure
        What was drawn.
    path
        Without suffix.
    outlined
        Write the letters of the PDF as outlines, for many figures at once.
    """
    from matplotlib import rc_context

    text = ""
    with rc_context(OUTLINED if outlined else {}):
        for suffix in FORMATS:
            data = _bytes(figure, suffix)
            figure.set_layout_engine("none")  # laid out once, the other formats look the same and take less time
            if suffix == ".svg":
                text = data.decode()
                write_text(path.with_name(path.name + suffix), text)
            else:
                with atomic_path(path.with_name(path.name + suffix)) as temporary:
                    temporary.write_bytes(data)
    return text


def blank_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure whose parts make room for each other."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")


def bars(across: Floats, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
    """Return vertical bars as one broken line, which is drawn faster than a line for each."""
    gaps = np.full(across.size, np.nan)
    return np.stack([across, across, gaps], axis=1).ravel(), np.stack([lower, upper, gaps], axis=1).ravel()


def _bytes(figure: Figure, suffix: str) -> bytes:
    buffer = io.BytesIO()
    # no dates: the same data give the same file
    dates: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})
    more: dict[str, Any] = {"pil_kwargs": {"compress_level": FAST}} if suffix == ".png" else {}
    with warnings.catch_warnings():
        # letters that the font lacks are boxes in the figure; the report, whose fonts are the browser's, has them
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format=suffix[1:], dpi=200, metadata={**dates, "Creator": "c6seg"}, **more)
    return buffer.getvalue()


def _draw_fit(axes: Axes, series: Series, fit: GrowthFit, truth: Truth | None) -> None:
    if fit.phase_h is not None:
        axes.axvspan(*fit.phase_h, color=PHASE, lw=0, zorder=0)
        middle = sum(fit.phase_h) / 2
        axes.text(middle, 0.02, "exponential phase", transform=axes.get_xaxis_transform(), ha="center", **SMALL)
    if fit.curve is not None:
        curve = fit.curve
        axes.fill_between(curve.time_h, 100 * curve.lower, 100 * curve.upper, color=COLOURS[0], alpha=0.16, lw=0)
        axes.plot(
            curve.time_h, 100 * curve.confluence, color=COLOURS[0], lw=2, label=f"fit ({fit.model}) with interval"
        )
    if truth is not None and truth.time_h.size:
        axes.plot(truth.time_h, 100 * truth.confluence, color=TRUTH, lw=1.5, ls=(0, (4, 2)), label="simulated truth")
    if fit.plateau is not None and fit.plateau <= confluence_top(series, fit):
        axes.axhline(100 * fit.plateau, color=COLOURS[2], lw=1.1, ls=(0, (6, 2, 1, 2)))
        words, at = f"plateau {percent(fit.plateau)}", 100 * fit.plateau
        axes.annotate(
            words, (0.01, at), (0, 2), textcoords="offset points", xycoords=axes.get_yaxis_transform(), **SMALL
        )
    end = lag_end_h(series, fit)
    if end is not None:
        axes.axvline(end, color=COLOURS[3], lw=1.1, ls=(0, (3, 2)))
        place: Any = {"textcoords": "offset points", "xycoords": axes.get_xaxis_transform(), "va": "top"}
        axes.annotate(f"lag {number(fit.lag_h)} h", (end, 0.99), (3, 0), **place, **SMALL)


def _draw_points(axes: Axes, series: Series) -> None:
    time, values = series.time_h, 100 * series.confluence
    used = np.ones(time.size, bool) if series.used is None else series.used
    flagged = used & np.array([bool(flags) for flags in series.flags], bool)
    for lower, upper, width in ((series.lower, series.upper, 0.9), (series.noise_lower, series.noise_upper, 2.4)):
        if lower is not None and upper is not None:
            known = np.isfinite(lower) & np.isfinite(upper) & used
            axes.plot(*bars(time[known], 100 * lower[known], 100 * upper[known]), color=SOFT, lw=width)
    size = 4 if time.size <= 40 else 3
    solid = used & ~flagged
    axes.plot(time[~used], values[~used], "o", color=PALE, markersize=size, mfc="white", label=_excluded(used))
    axes.plot(time[solid], values[solid], "o", color=INK, markersize=size, mew=0.8)
    axes.plot(time[flagged], values[flagged], "o", color=INK, markersize=size, mfc="white", mew=0.8)


def _excluded(used: np.ndarray[Any, np.dtype[np.bool_]]) -> str | None:
    return None if used.all() else "excluded by flags"


def axis_ends(series: Series) -> tuple[float, float]:
    """Return first and last time of a series, apart even where there is one time only."""
    first, last = float(series.time_h[0]), float(series.time_h[-1])
    return (first, last) if last > first else (first - 0.5, last + 0.5)


def cut(name: str, longest: int = 28) -> str:
    """Shorten a name that would not fit."""
    return name if len(name) <= longest else name[: longest - 1] + "…"
