"""The growth report: one HTML file that needs nothing else, on screen, on a telephone and on paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache as cached
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c6seg.growth.curves import GrowthFit
from c6seg.growth.plates.results import PlateResult
from c6seg.growth.reporting.cards import digest
from c6seg.growth.reporting.chart import spark
from c6seg.growth.reporting.desk import Desk, ReportCache
from c6seg.growth.reporting.figures import Truth
from c6seg.growth.reporting.heat_map import colour_scale, heat_maps
from c6seg.growth.reporting.methods import Methods
from c6seg.growth.reporting.pictures import Darkroom, Timed, amounts, spread
from c6seg.growth.reporting.plate_page import group_rows, plate_headline, well_labels
from c6seg.growth.reporting.scales import common_axes
from c6seg.growth.reporting.whole_figures import drawings
from c6seg.growth.series import Series
from c6seg.growth.words import confidence_text, counted, number, percent, safe_name, sentence, short
from c6seg.growth.wounds.results import WoundFit
from c6seg.runtime import make_folder, write_text

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Methods", "ReportCache", "Truth", "safe_name", "spread", "write_report"]

# Up to so many series all cards lie open; more fold up to tiles.
OPEN_CARDS = 12


def write_report(
    out: Path,
    *,
    title: str,
    series: Sequence[Series],
    fits: Sequence[GrowthFit],
    overlays: Mapping[str, Sequence[Timed]],
    methods: Methods,
    truth: Mapping[str, Truth] | None = None,
    saturation: float = 0.85,
    plate: PlateResult | None = None,
    wounds: Sequence[WoundFit] = (),
    wound_pictures: Mapping[str, Sequence[Timed]] | None = None,
    confidence: float = 0.95,
    cache: ReportCache | None = None,
    quick: bool = False,
) -> Path:
    """Write ``report.html`` and the figures beside it.

    Parameters
    ----------
    out
        Folder; ``report.html`` and ``figures/`` are written into it.
    title
        Heading.
    series, fits
        The curves and what was read from them, in the same order.
    overlays
        For each series, hours and overlay picture; missing or unreadable files are passed over.
    methods
        Text and facts for the methods section.
    truth
        For simulated series, what is known to be true.
    saturation
        Confluence at which growth stops being exponential; drawn as a line.
    plate
        What the plate map and the comparisons say, where there is one.
    wounds
        Closing wounds, where they were looked for.
    wound_pictures
        As ``overlays``, for the wounds; None = those of the series of the same name.
    confidence
        Of the intervals, as they are called in the report.
    cache
        Kept between reports of one culture that is still growing: only what has changed is drawn anew.
    quick
        Leave the figures that show all series as they were in the report before, where ``cache`` has them.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    folder = make_folder(out / "figures")
    store, templates = cache if cache is not None else ReportCache(), _templates()
    labels, truths, folded = well_labels(plate), truth or {}, len(series) > OPEN_CARDS
    with Darkroom(store.pictures) as darkroom:
        desk = Desk(folder, store, darkroom, amounts(max(len(series), len(wounds))), templates)
        cards = desk.growth_cards(series, fits, overlays, truths=truths, labels=labels, saturation=saturation)
        of_wounds = overlays if wound_pictures is None else wound_pictures
        wound_cards = desk.wound_cards(wounds, of_wounds, labels=labels) if wounds else []
        pictures = drawings(series, fits, truths, plate, confidence, folded=folded)
        figures = desk.whole_figures(pictures, digest(series, fits, sorted(truths), plate), quick=quick)
        desk.close()
    hours, top = common_axes(series)
    page = templates.get_template("report.html.j2").render(
        title=title,
        headline=headline(fits, plate, wounds, confidence),
        finished=cards,
        rows=list(zip(cards, series, fits, strict=True)),
        sparks=[spark(one, fit, hours=hours, top=top) for one, fit in zip(series, fits, strict=True)],
        axes=f"{short(hours[0])} to {short(hours[1])} h, confluence 0 to {percent(round(top, 2))}",
        folded=folded,
        truths=truths,
        wounds=wound_cards,
        wounds_folded=len(wounds) > OPEN_CARDS,
        plate=_plate_parts(plate, {card.card.name: card.card.anchor for card in cards}, confidence),
        figures=figures,
        notes=shared_notes(series) if folded else [],
        methods=methods,
        sure=confidence_text(confidence),
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    )
    report = out / "report.html"
    write_text(report, page)
    return report


def headline(
    fits: Sequence[GrowthFit], plate: PlateResult | None, wounds: Sequence[WoundFit], confidence: float
) -> str:
    """Say in a few sentences what was found; wounds first, and nothing of the growth of a layer whose gap closes."""
    if wounds and plate is None and len(fits) == len(wounds):
        fits = [fit for fit, wound in zip(fits, wounds, strict=True) if wound.kind != "closing"]
    words = plate_headline(plate, confidence) if plate is not None else summarise(fits) if fits else ""
    if not wounds:
        return words
    closing = [100 * fit.closure_per_h for fit in wounds if fit.closure_per_h is not None]
    if not closing:
        return f"{counted(len(wounds), 'wound')}; none with a closure rate. {words}".strip()
    rates = f"{number(min(closing))} %" if len(closing) == 1 else f"{number(min(closing))} to {number(max(closing))} %"
    told = f"{counted(len(wounds), 'wound')}; {len(closing)} with a closure rate ({rates} of the gap per h)."
    others = f" Of the other series: {words[0].lower()}{words[1:]}" if words and plate is None else f" {words}"
    return f"{told}{others}".strip()


def summarise(fits: Sequence[GrowthFit]) -> str:
    """Say in a sentence what the series show together."""
    good = [fit.doubling_time_h for fit in fits if fit.doubling_time_h is not None]
    total = f"{len(fits)} series" if len(fits) != 1 else "One series"
    if not good and len(fits) == 1:
        return "One series, without a doubling time. The verdict says why, and what would help."
    if not good:
        return f"{total}; none carries a doubling time. The verdicts say why, and what would help."
    times = f"{number(min(good))} h" if len(good) == 1 else f"{number(min(good))} to {number(max(good))} h"
    rest = len(fits) - len(good)
    words = f"{total}; {len(good)} with a doubling time ({times})" if len(fits) > 1 else f"Doubling time {times}"
    return f"{words}, {rest} without: the verdict says why." if rest else f"{words}."


def shared_notes(series: Sequence[Series], most: int = 12) -> list[str]:
    """Return the notes that several series share, with their number, and how many series have some of their own."""
    counts = Counter(note for one in series for note in dict.fromkeys(one.notes))
    shared = [(note, many) for note, many in counts.most_common(most) if many > 1]
    words = [f"{sentence(note)} ({many} of {len(series)} series)" for note, many in shared]
    told = {note for note, _ in shared}
    own = sum(bool(set(one.notes) - told) for one in series)
    if own:
        have, whose = ("series has", "its") if own == 1 else ("series have", "their")
        words.append(f"{own} {have} notes of {whose} own, told with the curve.")
    return words


def _plate_parts(plate: PlateResult | None, anchors: Mapping[str, str], confidence: float) -> dict[str, Any] | None:
    if plate is None:
        return None
    scale = colour_scale(plate)
    return {
        "maps": heat_maps(plate, anchors),
        "linked": any(well.series in anchors for well in plate.wells),
        "has_edge": any(well.edge for well in plate.wells),
        "has_control": any(well.info.role == "control" for well in plate.wells),
        "marks": scale.marks() if scale is not None else [],
        "dense": plate.size[1] > 12,
        "rows": group_rows(plate, confidence),
        "compared": bool(plate.comparisons),
        "left_out": [well for well in plate.wells if well.reason and well.series is not None],
        "design": plate.design,
        "blank": plate.blank,
        "notes": [sentence(note) for note in plate.notes],
    }


@cached
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    room = Environment(
        loader=PackageLoader("c6seg.growth.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    room.filters.update(number=number, percent=percent, sentence=sentence, drawn=Markup)
    return room
