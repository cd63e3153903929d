"""Figures of a plate: heat map, differences from control, dose responses, curves by treatment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from c6seg.growth.plates.results import DoseResponse, Group, PlateResult
from c6seg.growth.reporting.figures import COLOURS, INK, PALE, SOFT, blank_figure, cut, styled
from c6seg.growth.reporting.heat_map import COLOUR_MAP, DARKEST, Cell, HeatMap, Scale, colour_scale, heat_maps
from c6seg.growth.reporting.plate_page import is_different, of_group
from c6seg.growth.reporting.scales import hour_ticks, ticks
from c6seg.growth.series import Series
from c6seg.growth.words import interval, number, p_value, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HATCH = "////"
MOST_PANELS = 24


@styled
def heat_map_figure(plate: PlateResult) -> Figure:
    """Draw the wells as they lie on the plate: doubling time in each, growth rate as colour.

    Wells without a doubling time are hatched, edge wells have a dashed frame, controls a dot before their label.
    """
    scale, maps = colour_scale(plate), heat_maps(plate, {})
    rows, columns = plate.size
    wide = max(4.6, min(13.0, 0.78 * columns + 1.2))
    high = (wide - 1.0) / columns * 0.74 * rows + 0.7
    figure = blank_figure(wide, high * len(maps))
    grid = figure.subplots(len(maps), 1, squeeze=False)[:, 0]
    for axes, one in zip(grid, maps, strict=True):
        _heat_map(axes, one, wide / columns)
    if scale is not None:
        _colour_bar(figure, list(grid), scale)
    return figure


@styled
def differences_figure(plate: PlateResult, *, confidence: float = 0.95) -> Figure | None:
    """Draw the differences from control with their intervals (forest plot); None where there are none."""
    known = [one for one in plate.comparisons if one.difference_per_h is not None and one.lower is not None]
    if not known:
        return None
    figure = blank_figure(5.2, 0.9 + 0.3 * len(plate.comparisons))
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, lw=0.9)
    for row, one in enumerate(plate.comparisons):
        if one.difference_per_h is None or one.lower is None or one.upper is None:
            axes.text(0.0, row, " not compared", color=SOFT, va="center", fontsize=8)
            continue
        different = is_different(one, confidence)
        colour = COLOURS[1] if different else SOFT
        axes.plot([one.lower, one.upper], [row, row], color=colour, lw=2.2, solid_capstyle="round")
        axes.plot(
            one.difference_per_h, row, "o", color=colour, markersize=6, mfc=colour if different else "white", mew=1.5
        )
        axes.annotate(
            p_value(one.p_holm), (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=INK
        )
    axes.annotate("p (Holm)", (1.01, -0.75), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=SOFT)
    axes.set_yticks(range(len(plate.comparisons)), [cut(one.group) for one in plate.comparisons])
    controls = dict.fromkeys(one.control for one in plate.comparisons)
    axes.set_xlabel(f"growth rate minus that of {cut(' or '.join(controls), 24)} (per h)")
    axes.set_ylim(len(plate.comparisons) - 0.5, -1.0)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(visible=False, axis="y")
    return figure


@styled
def dose_figure(dose: DoseResponse) -> Figure:
    """Draw growth rate against concentration: wells, curve with its band, IC50 and its interval."""
    figure = blank_figure(4.0, 2.9)
    axes = figure.add_subplot()
    given = dose.concentrations[dose.concentrations > 0]
    least = float(given.min()) if given.size else 1.0
    zero = least / 10**0.75  # controls lie apart, left of the axis of logarithms
    drawn = dose.curve_concentration > 0
    if drawn.any():
        across = dose.curve_concentration[drawn]
        axes.fill_between(across, dose.curve_lower[drawn], dose.curve_upper[drawn], color=COLOURS[0], alpha=0.16, lw=0)
        axes.plot(across, dose.curve_rate[drawn], color=COLOURS[0], lw=2)
    axes.plot(given, dose.rates[dose.concentrations > 0], "o", color=INK, markersize=4)
    controls = dose.rates[dose.concentrations == 0]
    axes.plot(np.full(controls.size, zero), controls, "o", color=INK, markersize=4, mfc="white")
    if dose.ic50 is not None:
        if dose.lower is not None and dose.upper is not None:
            axes.axvspan(dose.lower, dose.upper, color=COLOURS[1], alpha=0.12, lw=0)
        axes.axvline(dose.ic50, color=COLOURS[1], lw=1.2, ls=(0, (4, 2)))
        axes.set_title(
            f"IC50 {interval(dose.ic50, dose.lower, dose.upper, dose.unit)}", fontsize=8.5, loc="right", color=SOFT
        )
    axes.axhline(0, color=SOFT, lw=0.8)
    axes.set_xscale("log")
    powers = np.arange(np.floor(np.log10(least)), np.ceil(np.log10(float(given.max(initial=least)))) + 1)
    marks = [10.0**power for power in powers if 10.0**power >= least * 0.6]
    axes.set_xticks([zero, *marks] if controls.size else marks, [*(["0"] if controls.size else []), *map(short, marks)])
    axes.minorticks_off()
    axes.set(xlabel=f"{dose.treatment} ({dose.unit})" if dose.unit else dose.treatment, ylabel="growth rate (per h)")
    return figure


@styled
def groups_figure(plate: PlateResult, series: Sequence[Series]) -> Figure | None:
    """Draw the curves of the wells by treatment, before those of the control; None where there are no groups."""
    by_name = {one.name: one for one in series}
    groups = [group for group in plate.groups if group.role == "sample"][:MOST_PANELS]
    controls = _curves([group for group in plate.groups if group.role == "control"], plate, by_name)
    if not groups:
        return None
    columns = min(3, len(groups))
    rows = -(-len(groups) // columns)
    figure = blank_figure(0.7 + 1.5 * columns, 0.6 + 1.25 * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    shown = [curve for group in groups for curve in _curves([group], plate, by_name)] + controls
    top = 105 * max([0.05, *(float(np.nanmax(one.confluence, initial=0.0)) for one in shown)])
    first = min((float(one.time_h[0]) for one in shown), default=0.0)
    last = max((float(one.time_h[-1]) for one in shown), default=1.0)
    for axes, group in zip(grid, groups, strict=False):
        for curves, colour, width in ((controls, PALE, 0.7), (_curves([group], plate, by_name), COLOURS[0], 1.2)):
            for one in curves:
                used = np.ones(one.time_h.size, bool) if one.used is None else one.used
                axes.plot(one.time_h[used], 100 * one.confluence[used], color=colour, lw=width)
        axes.set_title(cut(group.label, 22), fontsize=8, pad=3)
        axes.tick_params(labelsize=7)
    for axes in grid[len(groups) :]:
        axes.set_axis_off()
    grid[0].set(ylim=(0, top), xticks=hour_ticks(first, last, 5), yticks=ticks(top, 4))
    figure.supxlabel("time (h)", fontsize=8.5)
    figure.supylabel("confluence (%)", fontsize=8.5)
    return figure


def _curves(groups: Sequence[Group], plate: PlateResult, by_name: Mapping[str, Series]) -> list[Series]:
    wells = [well for group in groups for well in of_group(group, plate.wells)]
    return [by_name[well.series] for well in wells if well.series is not None and well.series in by_name]


def _heat_map(axes: Axes, one: HeatMap, cell_in: float) -> None:
    size = min(9.0, 13.0 * cell_in)
    axes.set(xlim=(0, len(one.columns)), ylim=(len(one.rows), 0), aspect=0.74)
    for row, (_, cells) in enumerate(one.rows):
        for column, cell in enumerate(cells):
            _well(axes, cell, column, row, size)
    axes.set_xticks([column - 0.5 for column in one.columns], [str(column) for column in one.columns])
    axes.set_yticks([row + 0.5 for row in range(len(one.rows))], [name for name, _ in one.rows])
    axes.tick_params(length=0, labeltop=True, labelbottom=False, labelsize=size)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if one.plate:
        axes.set_title(one.plate, loc="left", fontsize=10, fontweight="bold")


def _well(axes: Axes, cell: Cell, column: int, row: int, size: float) -> None:
    from matplotlib.patches import Rectangle

    empty = cell.kind in {"off", "missing"}
    axes.add_patch(
        Rectangle(
            (column + 0.04, row + 0.05),
            0.92,
            0.9,
            facecolor=cell.colour or ("white" if empty or cell.kind == "blank" else "#eef1f4"),
            edgecolor="#c3ccd5",
            linewidth=0.6,
            hatch=HATCH if cell.kind == "none" else None,
        )
    )
    if cell.edge and cell.kind != "off":
        frame = Rectangle((column + 0.09, row + 0.11), 0.82, 0.78, fill=False, linewidth=0.8, linestyle=(0, (2, 1.5)))
        frame.set_edgecolor(cell.ink or SOFT)
        axes.add_patch(frame)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85} if cell.kind == "none" else None
    bold = "bold" if cell.kind == "number" else "normal"
    text: dict[str, Any] = {"ha": "center", "va": "center", "color": cell.ink or INK}
    lines = [("● " if cell.control else "") + cut(cell.label, 13) if cell.label else "", cell.amount]
    lines = [line for line in lines if line]
    value_size = size if cell.kind == "number" else 0.62 * size
    at = row + (0.5, 0.4, 0.32)[len(lines)]
    axes.text(column + 0.5, at, cell.value, fontsize=value_size, fontweight=bold, bbox=box, **text)
    for index, line in enumerate(lines):
        at = row + (0.7 if len(lines) == 1 else 0.57 + 0.2 * index)
        axes.text(column + 0.5, at, line, fontsize=min(0.56 * size, 7 * size / len(line)), bbox=box, **text)


def _colour_bar(figure: Figure, grid: list[Axes], scale: Scale) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    lowest, highest = scale.lowest, scale.highest
    if highest <= lowest:
        return
    colours = ListedColormap(colormaps[COLOUR_MAP](np.linspace(DARKEST, 1, 256)))
    bar = figure.colorbar(ScalarMappable(Normalize(lowest, highest), colours), ax=grid, shrink=0.7, aspect=18, pad=0.02)
    rates = [float(rate) for rate in np.linspace(lowest, highest, 5)]
    bar.set_ticks(rates, labels=[number(float(np.log(2) / rate)) for rate in rates])
    bar.set_label("doubling time (h), by growth rate", fontsize=8)
    bar.outline.set_visible(False)
