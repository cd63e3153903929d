"""The growth report: one HTML file that needs nothing else, on screen, on a telephone and on paper."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from c6seg.growth.curves import GrowthFit
from c6seg.growth.figures import Truth, doubling_figure, overview_figure, save, series_figure
from c6seg.growth.methods import Methods
from c6seg.growth.series import Series
from c6seg.runtime import make_folder, write_text

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["Methods", "Truth", "write_report"]

STRIP, LARGE = 8, 3  # pictures in the film strip of a series, and larger ones below it
STRIP_PX, LARGE_PX = 220, 760


@dataclass(frozen=True, slots=True)
class Picture:
    """An overlay inside the report: caption and JPEG as a data address."""

    caption: str
    address: str


@dataclass(frozen=True, slots=True)
class Card:
    """All that the report shows of one series."""

    series: Series
    fit: GrowthFit
    truth: Truth | None
    plot: str
    strip: tuple[Picture, ...]
    large: tuple[Picture, ...]
    flagged: str


def write_report(
    out: Path,
    *,
    title: str,
    series: Sequence[Series],
    fits: Sequence[GrowthFit],
    overlays: Mapping[str, list[tuple[float, Path]]],
    methods: Methods,
    truth: Mapping[str, Truth] | None = None,
    saturation: float = 0.85,
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
    truths = truth or {}
    overview = save(overview_figure(series, fits), folder / "growth")
    forest_figure = doubling_figure(series, fits, truths=truths)
    forest = save(forest_figure, folder / "doubling_times") if forest_figure is not None else None
    cards = []
    for one, fit in zip(series, fits, strict=True):
        figure = series_figure(one, fit, truth=truths.get(one.name), saturation=saturation)
        plot = save(figure, folder / f"series_{safe_name(one.name)}")
        pictures = overlays.get(one.name, [])
        cards.append(
            Card(
                one,
                fit,
                truths.get(one.name),
                _address(plot.encode(), "svg+xml"),
                _pictures(spread(pictures, STRIP), STRIP_PX),
                _pictures(spread(pictures, LARGE), LARGE_PX),
                _flagged(one),
            )
        )
    page = _template().render(
        title=title,
        cards=cards,
        summary=summarise(fits),
        overview=_address(overview.encode(), "svg+xml"),
        forest=_address(forest.encode(), "svg+xml") if forest else None,
        methods=methods,
        with_truth=bool(truths),
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    )
    report = out / "report.html"
    write_text(report, page)
    return report


def summarise(fits: Sequence[GrowthFit]) -> str:
    """Say in a sentence what the series show together."""
    good = [fit.doubling_time_h for fit in fits if fit.doubling_time_h is not None]
    total = f"{len(fits)} series" if len(fits) != 1 else "One series"
    if not good:
        return f"{total}; none carries a doubling time. The verdicts say why, and what would help."
    times = f"{min(good):.3g} h" if len(good) == 1 else f"{min(good):.3g} to {max(good):.3g} h"
    rest = len(fits) - len(good)
    words = f"{total}; {len(good)} with a doubling time ({times})" if len(fits) > 1 else f"Doubling time {times}"
    return f"{words}, {rest} without: the verdict says why." if rest else f"{words}."


def spread(pictures: Sequence[tuple[float, Path]], number: int) -> list[tuple[float, Path]]:
    """Choose pictures that are evenly spread over their times, first and last included.

    Examples
    --------
    >>> [time for time, _ in spread([(float(t), Path()) for t in range(10)], 4)]
    [0.0, 3.0, 6.0, 9.0]
    """
    ordered = sorted(pictures, key=lambda item: item[0])
    if len(ordered) <= number:
        return ordered
    wanted = np.linspace(ordered[0][0], ordered[-1][0], number)
    times = np.array([time for time, _ in ordered])
    return [ordered[index] for index in sorted({int(np.abs(times - time).argmin()) for time in wanted})]


def safe_name(name: str) -> str:
    """Return a series name that every file system accepts."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name).strip(".") or "series"


def _pictures(items: Sequence[tuple[float, Path]], width_px: int) -> tuple[Picture, ...]:
    found = []
    for time, path in items:
        address = _thumbnail(path, width_px)
        if address:
            found.append(Picture(f"{time:.3g} h", address))
    return tuple(found)


def _thumbnail(path: Path, width_px: int) -> str | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * width_px, 2 * width_px))
            picture = image.convert("RGB")
            picture.thumbnail((width_px, 4 * width_px), Image.Resampling.LANCZOS)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80, optimize=True)
    return _address(buffer.getvalue(), "jpeg")


def _address(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _flagged(series: Series) -> str:
    counts: dict[str, int] = {}
    for flags in series.flags:
        for flag in flags:
            counts[flag] = counts.get(flag, 0) + 1
    return ", ".join(
        f"{flag.replace('_', ' ')} ({count} of {series.time_h.size} times)" for flag, count in counts.items()
    )


def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    room = Environment(
        loader=PackageLoader("c6seg.growth"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    room.filters["number"] = _number
    room.filters["percent"] = lambda value: "–" if value is None else f"{100 * value:.3g} %"
    return room.get_template("report.html.j2")


def _number(value: float | None) -> str:
    """Write three significant digits, never in powers of ten."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}" if value else "0"
