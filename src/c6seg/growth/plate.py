"""Plates: the map joined with the fits of its wells, blanks, edge, comparisons, dose responses, and what is odd."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from c6seg.growth.fits.verdicts import GrowthFit
from c6seg.growth.plates.compare import compare_groups, group_rates
from c6seg.growth.plates.dose import dose_responses
from c6seg.growth.plates.edge import edge_notes
from c6seg.growth.plates.groups import group_wells, well_label
from c6seg.growth.plates.join import Joined, join
from c6seg.growth.plates.layout import is_edge, plate_size, well_position
from c6seg.growth.plates.rates import fit_rates
from c6seg.growth.plates.results import Group, PlateMap, PlateResult, PlateWell, WellInfo
from c6seg.growth.series import Series
from c6seg.growth.words import few, percent

# Mean confluence of a blank from which it is not empty.
EMPTY_BLANK = 0.02
# A blank counts up to this part of its times, so that one bad frame does not raise the level of all.
BLANK_QUANTILE = 0.9
NO_RATE = {"few": "too few usable times", "empty": "hardly any cells", "full": "the field is full from the start"}


def analyse_plate(
    series: Sequence[Series], fits: Sequence[GrowthFit], plate_map: PlateMap, *, confidence: float = 0.95
) -> PlateResult:
    """Join wells and map, compare treatments with control, fit dose responses.

    A well that does not grow counts, as a treatment that stops growth must be seen; one that was empty or full from the
    start says nothing about growth and does not.

    Parameters
    ----------
    series
        One for each well, with its name, well and plate.
    fits
        Of these series, in the same order.
    plate_map
        Of :func:`~c6seg.growth.plates.map.read_plate_map`.
    confidence
        Of all intervals; differences are claimed at one minus it.
    """
    joined = join(series, plate_map)
    positions = [place for info, _ in joined.wells if (place := well_position(info.well)) is not None]
    size = plate_size(positions) if positions else plate_map.size
    blank, highest, blank_notes = _blanks(joined, series)
    wells = [
        _well(info, index, series, fits, size, _outside_reason(place, joined), highest)
        for place, (info, index) in enumerate(joined.wells)
    ]
    grouped = group_wells(wells, outside=joined.outside)
    grouped = replace(grouped, groups=_by_dose(grouped.groups))
    model = fit_rates(grouped.wells)
    groups = group_rates(grouped.groups, model, confidence=confidence)
    comparisons, design = compare_groups(grouped, model, groups, confidence=confidence)
    notes = [*plate_map.notes, *joined.notes, *blank_notes, *grouped.notes]
    notes += edge_notes(model, groups, grouped.control, confidence=confidence)
    return PlateResult(
        size,
        joined.plates,
        grouped.wells,
        groups,
        comparisons,
        dose_responses(grouped, model, confidence=confidence),
        design,
        blank,
        tuple(notes),
    )


def _by_dose(groups: Sequence[Group]) -> tuple[Group, ...]:
    """Put the concentrations of a treatment together, lowest first; treatments stay in the order of the map."""
    kinds = [(group.role, group.treatment, group.unit) for group in groups]
    order = sorted(range(len(groups)), key=lambda n: (kinds.index(kinds[n]), groups[n].concentration or 0.0))
    return tuple(groups[n] for n in order)


def _well(
    info: WellInfo,
    index: int | None,
    series: Sequence[Series],
    fits: Sequence[GrowthFit],
    size: tuple[int, int],
    reason: str,
    highest_blank: float | None,
) -> PlateWell:
    place = well_position(info.well)
    edge = place is not None and is_edge(place, size)
    if index is None:
        return PlateWell(info, None, edge, reason=info.problem or "no images")
    one, fit, seen = series[index], fits[index], _seen(series[index])
    reason = info.problem or reason or ("a blank" if info.role == "blank" else _no_rate(fit))
    if not reason and highest_blank is not None and seen.size and seen.max() <= highest_blank:
        reason = f"never above the blanks ({percent(highest_blank)} confluence)"
    return PlateWell(
        info,
        one.name,
        edge,
        fit.kind,
        fit.doubling_time_h,
        fit.lower,
        fit.upper,
        fit.estimate_per_h,
        fit.error_per_h,
        float(seen[0]) if seen.size else None,
        float(seen[-1]) if seen.size else None,
        not reason,
        reason,
    )


def _no_rate(fit: GrowthFit) -> str:
    if fit.kind in NO_RATE:
        return NO_RATE[fit.kind]
    known = fit.estimate_per_h is not None and fit.error_per_h is not None
    if not known or not (math.isfinite(fit.estimate_per_h or 0.0) and math.isfinite(fit.error_per_h or 0.0)):
        return "no growth rate could be fitted"
    return ""


def _outside_reason(place: int, joined: Joined) -> str:
    if place in joined.outside:
        return "not in the plate map"
    return "a further series of this well" if place in joined.second else ""


def _blanks(joined: Joined, series: Sequence[Series]) -> tuple[float | None, float | None, list[str]]:
    """Mean and highest confluence of the blanks, and what is odd about them."""
    several = len(joined.plates) > 1
    found = {}
    for place, (info, index) in enumerate(joined.wells):
        if info.role == "blank" and index is not None and place not in joined.outside and not info.problem:
            seen = _seen(series[index])
            if seen.size:
                found[well_label(info, several=several)] = seen
    if not found:
        return None, None, []
    means = {well: float(seen.mean()) for well, seen in found.items()}
    # the median over the wells: one blank that was given cells by mistake must not swallow the samples
    highest = float(np.median([np.quantile(seen, BLANK_QUANTILE) for seen in found.values()]))
    full = [f"{well}: {percent(mean)}" for well, mean in means.items() if mean > EMPTY_BLANK]
    notes = []
    if full:
        notes.append(
            f"blanks are not empty ({few(full, 6)} confluence on average): they hold cells or dirt, the plate map is "
            "wrong, or the model sees cells where there are none"
        )
    return float(np.mean(list(means.values()))), highest, notes


def _seen(one: Series) -> np.typing.NDArray[np.float64]:
    """Confluence at the times that are used."""
    used = np.ones(one.confluence.size, dtype=bool) if one.used is None else one.used
    values = one.confluence[used]
    return np.asarray(values[np.isfinite(values)], dtype=np.float64)
