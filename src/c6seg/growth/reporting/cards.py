"""What the report shows of one series: its card."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from c6seg.growth.curves import GrowthFit
from c6seg.growth.reporting.chart import growth_chart, wound_chart
from c6seg.growth.reporting.figures import Truth
from c6seg.growth.reporting.pictures import Picture, caption
from c6seg.growth.series import Series
from c6seg.growth.words import (
    KINDS,
    areas,
    counted,
    interval,
    number,
    percent,
    percent_interval,
    sentence,
    short,
)
from c6seg.growth.wounds.results import WoundFit


@dataclass(frozen=True, slots=True)
class Card:
    """All that the report shows of one series.

    Parameters
    ----------
    anchor
        Name of the place in the page.
    name, label
        Of the series; ``label`` says what was in the well, where that is known.
    good, tag
        Whether there is a number, and the result in a word or two.
    value
        The number with its interval; empty where there is none.
    verdict, advice
        In words: the result, and the shortest experiment that would give one.
    chart
        SVG.
    key
        Entries of the key to the chart: (class of the mark, words).
    facts
        (what, how much), in words.
    notes
        What a reader should know.
    strip, large
        Overlays.
    gone
        Captions of the overlays whose times were excluded; they are shown in grey.
    """

    anchor: str
    name: str
    label: str
    good: bool
    tag: str
    value: str
    verdict: str
    advice: str
    chart: str
    key: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    strip: tuple[Picture, ...]
    large: tuple[Picture, ...]
    gone: frozenset[str] = frozenset()


def growth_card(
    series: Series,
    fit: GrowthFit,
    *,
    anchor: str,
    label: str = "",
    truth: Truth | None = None,
    saturation: float = 0.85,
    strip: tuple[Picture, ...] = (),
    large: tuple[Picture, ...] = (),
) -> Card:
    """Put the card of a growing, or not growing, series together."""
    good = fit.doubling_time_h is not None
    return Card(
        anchor=anchor,
        name=series.name,
        label=label,
        good=good,
        tag=KINDS.get(fit.kind, fit.kind),
        value=interval(fit.doubling_time_h, fit.lower, fit.upper, "h") if good else "",
        verdict=fit.verdict,
        advice=sentence(fit.next_experiment),
        chart=growth_chart(series, fit, truth=truth, saturation=saturation),
        key=tuple(_key(series, fit, truth)),
        facts=(*_results(fit), *_truth(truth), *_observed(series)),
        notes=tuple(sentence(note) for note in series.notes),
        strip=strip,
        large=large,
        gone=frozenset(caption(time) for time in _unused(series)),
    )


def _unused(series: Series) -> list[float]:
    return [] if series.used is None else [float(time) for time in series.time_h[~series.used]]


def wound_card(
    fit: WoundFit, *, anchor: str, label: str = "", strip: tuple[Picture, ...] = (), large: tuple[Picture, ...] = ()
) -> Card:
    """Put the card of a wound together."""
    good = fit.closure_per_h is not None
    return Card(
        anchor=anchor,
        name=fit.name,
        label=label,
        good=good,
        tag=KINDS.get(fit.kind, fit.kind),
        value=_hourly(fit),
        verdict=fit.verdict,
        advice="",
        chart=wound_chart(fit),
        key=(("dot", "measured gap"), *((("fit", "fit with its interval"),) if _has_curve(fit) else ())),
        facts=tuple(_wound_facts(fit)),
        notes=tuple(sentence(note) for note in fit.notes),
        strip=strip,
        large=large,
    )


def digest(*values: Any) -> str:
    """Return a hash of plain values, arrays and frozen dataclasses: equal content, equal hash."""
    found = hashlib.sha256()
    for value in values:
        for part in _parts(value):
            found.update(part)
    return found.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    if isinstance(value, np.ndarray):
        yield f"{value.dtype}{value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif is_dataclass(value):
        yield type(value).__name__.encode()
        for field in fields(value):
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, list | tuple):
        yield f"[{len(value)}".encode()
        for item in value:
            yield from _parts(item)
    else:
        yield f"{value!r},".encode(errors="backslashreplace")


def _results(fit: GrowthFit) -> Iterator[tuple[str, str]]:
    if fit.doubling_time_h is not None:
        yield "Doubling time", interval(fit.doubling_time_h, fit.lower, fit.upper, "h")
        yield "Growth rate", interval(fit.growth_rate_per_h, fit.rate_lower, fit.rate_upper, "per h")
    elif fit.rate_lower is not None and fit.rate_upper is not None:
        yield "Growth rate", f"between {number(fit.rate_lower)} and {number(fit.rate_upper)} per h"
    if fit.model is not None:
        yield "Law", fit.model
    if fit.phase_h is not None:
        yield "Exponential phase", f"{short(fit.phase_h[0])} to {short(fit.phase_h[1])} h"
    if fit.lag_h is not None:
        yield "Lag", interval(fit.lag_h, fit.lag_lower, fit.lag_upper, "h")
    if fit.plateau is not None:
        yield "Plateau", percent_interval(fit.plateau, fit.plateau_lower, fit.plateau_upper)


def _truth(truth: Truth | None) -> Iterator[tuple[str, str]]:
    if truth is None:
        return
    known = truth.doubling_time_h
    yield "Simulated truth", "does not grow" if known is None else f"doubles every {number(known)} h"
    if truth.dice is not None:
        yield "Mask against truth", f"Dice {truth.dice:.3f}"


def _observed(series: Series) -> Iterator[tuple[str, str]]:
    time = series.time_h
    span = f", {short(float(time[0]))} to {short(float(time[-1]))} h" if time.size > 1 else ""
    yield "Observed", f"{counted(time.size, 'time')}{span}; {counted(len(series.fields), 'field')}"
    yield "Confluence", _percents(*(series.ends if time.size > 1 else series.ends[:1]))
    for what, values, write in (
        ("Cell area per field", series.cell_area_um2, areas),
        ("In clusters", series.cluster_fraction, _percents),
        ("Objects per field", series.object_count, _shorts),
    ):
        known = values[np.isfinite(values)] if values is not None else np.array([])
        if known.size:
            yield what, write(float(known[0]), *([float(known[-1])] if time.size > 1 else []))
    if series.used is not None and not series.used.all():
        yield "Excluded", f"{int((~series.used).sum())} of {counted(time.size, 'time')}, for their flags"
    counts = Counter(flag for flags in series.flags for flag in flags)
    if counts:
        words = (f"{flag.replace('_', ' ')} ({many} of {time.size})" for flag, many in counts.items())
        yield "Flags", ", ".join(words)
    yield "Times from", series.time_source


def _key(series: Series, fit: GrowthFit, truth: Truth | None) -> Iterator[tuple[str, str]]:
    yield "dot", "measured"
    used = np.ones(series.time_h.size, bool) if series.used is None else series.used
    if any(flags and kept for flags, kept in zip(series.flags, used, strict=True)):
        yield "ring", "with a quality flag"
    if not used.all():
        yield "out", "excluded"
    if fit.curve is not None:
        yield "fit", f"fit ({fit.model}) with its interval"
    if truth is not None and truth.time_h.size:
        yield "truth", "simulated truth"
    if fit.phase_h is not None:
        yield "phase", "exponential phase"


def _wound_facts(fit: WoundFit) -> Iterator[tuple[str, str]]:
    if fit.closure_per_h is not None:
        yield "Closes", _hourly(fit)
    if fit.front_um_per_h is not None:
        yield (
            "Front" if fit.shape in {"round", "edge"} else "Each front",
            interval(fit.front_um_per_h, fit.front_lower, fit.front_upper, "µm per h"),
        )
    if fit.half_h is not None:
        yield "Half closed after", interval(fit.half_h, fit.half_lower, fit.half_upper, "h")
    if fit.lag_h is not None:
        yield "Lag", f"{number(fit.lag_h)} h"
    if fit.stop is not None:
        yield "Stays open", f"{percent(fit.stop)} of the first gap"
    gap = fit.gap[np.isfinite(fit.gap)]
    if gap.size:
        yield "Gap", f"{_percents(float(gap[0]), float(gap[-1]))} of the field"
    for what, values, write in (("Width", fit.width_um, _widths), ("Wound density", fit.density, _percents)):
        known = values[np.isfinite(values)] if values is not None else np.array([])
        if known.size:
            yield what, write(float(known[0]), float(known[-1]))
    if fit.gap_um2 is not None and np.isfinite(fit.gap_um2).any():
        known = fit.gap_um2[np.isfinite(fit.gap_um2)]
        yield "Gap area per field", areas(float(known[0]), float(known[-1]))
    span = f", {short(float(fit.time_h[0]))} to {short(float(fit.time_h[-1]))} h" if fit.time_h.size > 1 else ""
    yield (
        "Observed",
        f"{counted(fit.time_h.size, 'time')}{span}" + (f"; {counted(fit.fields, 'field')}" if fit.fields else ""),
    )


def _percents(*values: float) -> str:
    return " → ".join(percent(value) for value in values)


def _shorts(*values: float) -> str:
    return " → ".join(short(value) for value in values)


def _widths(*values: float) -> str:
    return " → ".join(number(value) for value in values) + " µm"


def _hourly(fit: WoundFit) -> str:
    if fit.closure_per_h is None:
        return ""
    value, lower, upper = (
        None if part is None else 100 * part for part in (fit.closure_per_h, fit.closure_lower, fit.closure_upper)
    )
    return interval(value, lower, upper, "% of the gap per h")


def _has_curve(fit: WoundFit) -> bool:
    return fit.curve_time_h is not None and fit.curve_time_h.size > 0
