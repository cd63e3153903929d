"""What the report says of a plate: its groups with their comparisons, and a headline in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from c6seg.growth.plates.results import Comparison, DoseResponse, Group, PlateResult, PlateWell
from c6seg.growth.reporting.heat_map import treatment_label
from c6seg.growth.words import counted, interval, number, p_value, sentence, signed_percent


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One row of the table of treatments, in words.

    Parameters
    ----------
    label, wells, rate
        Of the group: name, number of wells, mean growth rate with its interval.
    difference, change, p, effect
        Against control; empty for the control itself.
    tag, different
        The verdict in a word, and whether a difference was found.
    verdict
        In a sentence.
    """

    label: str
    wells: str
    rate: str
    difference: str = ""
    change: str = ""
    p: str = ""
    effect: str = ""
    tag: str = ""
    different: bool = False
    verdict: str = ""


def group_rows(plate: PlateResult, confidence: float) -> list[GroupRow]:
    """Return the groups with their comparisons, the control first."""
    against = {one.group: one for one in plate.comparisons}
    rows = []
    for group in sorted(plate.groups, key=lambda one: one.role != "control"):
        base = GroupRow(group.label, str(len(group.wells)), interval(group.rate_per_h, group.lower, group.upper))
        one = against.get(group.label)
        rows.append(base if one is None else _compared(base, one, confidence))
        if one is None and group.role == "control":
            rows[-1] = GroupRow(base.label, base.wells, base.rate, tag="control")
    return rows


def _compared(base: GroupRow, one: Comparison, confidence: float) -> GroupRow:
    different = is_different(one, confidence)
    tag = "not compared" if one.difference_per_h is None else direction(one) if different else "no difference found"
    return GroupRow(
        base.label,
        base.wells,
        base.rate,
        interval(one.difference_per_h, one.lower, one.upper),
        signed_percent(one.change),
        p_value(one.p_holm),
        interval(one.effect_size, one.effect_lower, one.effect_upper),
        tag,
        different,
        one.verdict,
    )


def is_different(one: Comparison, confidence: float) -> bool:
    """Whether a treatment differs from its control after Holm's correction."""
    return one.p_holm is not None and one.p_holm < 1 - confidence


def direction(one: Comparison) -> str:
    """Say which way a treatment moves the growth rate."""
    return "slower" if (one.difference_per_h or 0.0) < 0 else "faster"


def plate_headline(plate: PlateResult, confidence: float) -> str:
    """Say in a few sentences what the plate shows."""
    wells = [well for well in plate.wells if well.series is not None]
    cells = [well for well in wells if well.info.role != "blank"]
    known = [well.doubling_time_h for well in cells if well.doubling_time_h is not None]
    words = [f"{counted(len(wells), 'well')} with images"]
    if known:
        spread = f"{number(min(known))} h" if len(known) == 1 else f"{number(min(known))} to {number(max(known))} h"
        words[0] += (
            f"; {len(known)} carry a doubling time ({spread})" if len(known) != 1 else f"; one doubles in {spread}"
        )
    else:
        words[0] += "; none carries a doubling time"
    words += _differences(plate.comparisons, confidence)
    words += [
        f"{_called(one)} of {one.treatment}: {interval(one.ic50, one.lower, one.upper, one.unit)}"
        for one in plate.doses
        if one.ic50 is not None
    ]
    return " ".join(sentence(part) for part in words)


def _called(dose: DoseResponse) -> str:
    return "EC50" if (dose.bottom or 0.0) > (dose.top or 0.0) else "IC50"


def _differences(comparisons: Sequence[Comparison], confidence: float) -> list[str]:
    comparisons = [one for one in comparisons if one.p is not None]  # those that could be made
    if not comparisons:
        return []
    found = [one for one in comparisons if is_different(one, confidence)]
    parts = []
    for how in ("slower", "faster"):
        names = [one.group for one in found if direction(one) == how]
        if names:
            parts.append(f"{_listed(names)} grow{'s' if len(names) == 1 else ''} {how}")
    rest, against = len(comparisons) - len(found), f"against {comparisons[0].control}"
    if not parts:
        return [f"{against}, no difference was found in {counted(rest, 'treatment')}"]
    return [f"{against}, {' and '.join(parts)}" + (f"; no difference was found for {_others(rest)}" if rest else "")]


def _others(rest: int) -> str:
    return "the other treatment" if rest == 1 else f"the other {rest} treatments"


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def well_labels(plate: PlateResult | None) -> dict[str, str]:
    """Return what was added to each series that lies on the plate."""
    if plate is None:
        return {}
    return {well.series: treatment_label(well) for well in plate.wells if well.series is not None}


def of_group(group: Group, wells: Sequence[PlateWell]) -> list[PlateWell]:
    """Return the wells of a group that have images, whether or not they were compared."""
    return [well for well in wells if well.series is not None and well.group == group.label]
