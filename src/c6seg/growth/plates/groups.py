"""Wells that were treated alike, and which of them are the control."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from c6seg.growth.plates.results import Group, PlateWell, WellInfo
from c6seg.growth.plates.words import is_vehicle, names_no_control
from c6seg.growth.words import dose

UNNAMED = "unnamed treatment"
# Headings of columns that say which cells a well holds.
_CELLS = re.compile(r"cell|line|strain|clone|donor|patient|passage|densit|seed", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Grouped:
    """Wells with the label of their group, the groups in the order of the map, and the one to compare with.

    Parameters
    ----------
    wells
        As given, with ``group`` filled in.
    groups
        Without rates.
    control
        Label of the control; None where the map marks none.
    notes
        In words: several kinds of control.
    """

    wells: tuple[PlateWell, ...]
    groups: tuple[Group, ...]
    control: str | None
    notes: tuple[str, ...]


def group_wells(wells: Sequence[PlateWell], *, outside: frozenset[int] = frozenset()) -> Grouped:
    """Put wells together that have the same treatment at the same concentration.

    Controls of different kinds are different groups. Treatments are compared with the one that carries the solvent,
    else with the one of the most wells; so are the other controls.

    Parameters
    ----------
    wells
        Of all plates.
    outside
        Numbers of those that the plate map does not name.
    """
    labelled = [
        well
        if number in outside or well.info.role == "blank" or well.info.problem
        else replace(well, group=_label(well.info))
        for number, well in enumerate(wells)
    ]
    several = len({well.info.plate for well in wells}) > 1
    groups = []
    for label in dict.fromkeys(well.group for well in labelled if well.group):
        members = [well for well in labelled if well.group == label]
        info = members[0].info
        names = tuple(well_label(well.info, several=several) for well in members if well.compared)
        if info.role == "control":
            info = replace(info, treatment=_control_name(info), concentration=None, unit="")
        groups.append(Group(label, info.role, info.treatment, info.concentration, info.unit, names))
    controls = [group for group in groups if group.role == "control"]
    notes = _mixed_up(wells)
    if not controls:
        if any(well.info.role == "control" for well in wells):
            notes.append("no control of the plate map can be used: nothing is compared")
        return Grouped(tuple(labelled), tuple(groups), None, tuple(notes))
    chosen = max(controls, key=lambda group: (is_vehicle(group.treatment), len(group.wells))).label
    if len(controls) > 1:
        kinds = ", ".join(f"{group.label}: {len(group.wells)} wells" for group in controls)
        notes.append(f"there are several kinds of control ({kinds}); everything is compared with {chosen}")
    return Grouped(tuple(labelled), tuple(groups), chosen, tuple(notes))


def well_label(info: WellInfo, *, several: bool) -> str:
    """Name a well, with its plate where there are several."""
    return f"{info.plate or ''} {info.well}".strip() if several else info.well


def reasons(wells: Sequence[PlateWell]) -> str:
    """Say why wells are not compared, the most frequent reason first."""
    counts = Counter(well.reason for well in wells if well.reason)
    return "; ".join(f"{count} x {reason}" if count > 1 else reason for reason, count in counts.most_common())


def _mixed_up(wells: Sequence[PlateWell]) -> list[str]:
    """Name columns of the map that tell cells apart and that the comparisons do not know."""
    values: dict[str, set[str]] = {}
    for well in wells:
        for name, value in well.info.extra.items():
            if value and _CELLS.search(name):
                values.setdefault(name, set()).add(value)
    return [
        f"the column '{name}' of the plate map has {len(found)} values, and wells are grouped by treatment and "
        "concentration only: analyse different cells apart, or write them into the treatment"
        for name, found in values.items()
        if len(found) > 1
    ]


def _label(info: WellInfo) -> str:
    if info.role == "control":
        name = _control_name(info)
        return f"control ({name})" if name else "control"
    return f"{info.treatment} {dose(info.concentration, info.unit)}".strip() or UNNAMED


def _control_name(info: WellInfo) -> str:
    """Name what is in a control; without any treatment, and at a concentration of 0, that is nothing."""
    if is_vehicle(info.treatment):
        return info.treatment
    return "" if names_no_control(info.treatment) or info.concentration == 0 else info.treatment
