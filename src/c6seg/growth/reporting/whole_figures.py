"""Which figures show all series or the whole plate, and what the report says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from c6seg.growth.curves import GrowthFit
from c6seg.growth.plates.results import PlateResult
from c6seg.growth.reporting.figures import Truth
from c6seg.growth.reporting.overview_figures import doubling_figure, overview_figure
from c6seg.growth.reporting.plate_figures import differences_figure, dose_figure, groups_figure, heat_map_figure
from c6seg.growth.series import Series
from c6seg.growth.words import confidence_text, file_names, sentence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Parts of the report that show figures.
PLACES = ("series", "treatments", "doses")


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure to draw, and its place in the report.

    Parameters
    ----------
    name
        Of its files.
    place
        Part of the report that shows it; empty = it lies in the folder only.
    draw
        Draws it, or returns None where there is nothing to draw.
    words, caption
        What it shows, for those who cannot see it, and below it.
    """

    name: str
    place: str
    draw: Callable[[], Figure | None]
    words: str
    caption: str


def drawings(
    series: Sequence[Series],
    fits: Sequence[GrowthFit],
    truths: Mapping[str, Truth],
    plate: PlateResult | None,
    confidence: float,
    *,
    folded: bool,
) -> Iterator[Drawing]:
    """Yield the figures of an analysis, in the order of the report.

    Parameters
    ----------
    folded
        Whether the report shows every series small; then the figures of all series lie in the folder only.
    """
    sure = confidence_text(confidence)
    if plate is not None:
        yield from _of_plate(plate, series, sure, confidence)
    place = "" if folded or len(series) < 2 else "series"
    yield Drawing(
        "growth",
        place,
        partial(overview_figure, series, fits),
        "Confluence over time of all series, points measured, lines fitted",
        "Confluence over time: points measured, solid lines fitted, dotted lines join points where no law was fitted.",
    )
    yield Drawing(
        "doubling_times",
        place,
        partial(doubling_figure, series, fits, truths=truths),
        f"Doubling time of each series with its {sure} interval",
        f"Doubling times with {sure} intervals{'; diamonds mark the simulated truth' if truths else ''}.",
    )


def _of_plate(plate: PlateResult, series: Sequence[Series], sure: str, confidence: float) -> Iterator[Drawing]:
    yield Drawing("plate", "", partial(heat_map_figure, plate), "Doubling times on the plate", "")
    yield Drawing(
        "differences",
        "treatments",
        partial(differences_figure, plate, confidence=confidence),
        f"Difference of the growth rate from control for each treatment, with its {sure} interval",
        f"Differences from control with {sure} intervals; filled orange where they hold after Holm's correction. "
        "An interval alone is not corrected for the number of treatments.",
    )
    yield Drawing(
        "treatments",
        "treatments",
        partial(groups_figure, plate, series),
        "Confluence over time of the wells of each treatment, before those of the control",
        "Curves of the wells of each treatment (blue), before those of the control (grey).",
    )
    names = file_names([one.treatment for one in plate.doses])
    for one, name in zip(plate.doses, names, strict=True):
        if not one.rates.size:
            continue
        yield Drawing(
            f"dose_{name}",
            "doses",
            partial(dose_figure, one),
            f"Growth rate against the concentration of {one.treatment}, one point for each well",
            sentence(one.verdict),
        )
