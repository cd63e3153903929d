"""Which series lies in which well of the plate map."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from c6seg.data.images import natural_key
from c6seg.growth.names import parse_name
from c6seg.growth.plates.groups import well_label
from c6seg.growth.plates.layout import well_name, well_position
from c6seg.growth.plates.results import PlateMap, WellInfo
from c6seg.growth.series import Series
from c6seg.growth.timeline.moments import small_well
from c6seg.growth.words import counted, few


@dataclass(frozen=True, slots=True)
class Joined:
    """Wells of the map and wells with images, together.

    Parameters
    ----------
    wells
        (what the map says, number of the series or None), in the order of the map; those outside it at the end.
    outside
        Places in ``wells`` that the map does not name.
    second
        Places in ``wells`` of a further series of the same well.
    plates
        Names of the plates; one empty name where there is one without.
    notes
        In words.
    """

    wells: tuple[tuple[WellInfo, int | None], ...]
    outside: frozenset[int]
    second: frozenset[int]
    plates: tuple[str, ...]
    notes: tuple[str, ...]


def join(series: Sequence[Series], plate_map: PlateMap) -> Joined:
    """Find the series of each well of the map."""
    places, notes = _places(series)
    layouts, plate_notes = _layouts(sorted({plate for plate, _ in places}, key=_natural), plate_map)
    notes += plate_notes
    wells: list[tuple[WellInfo, int | None]] = []
    second: list[tuple[WellInfo, int]] = []
    for layout in layouts:
        for info in layout.wells:
            here = replace(info, plate=layout.name)
            found = places.pop((layout.image, info.well), []) if layout.imaged else []
            wells.append((here, found[0] if found else None))
            second += [(here, other) for other in found[1:]]
    names = {layout.image: layout.name for layout in layouts if layout.imaged}
    unknown = [(WellInfo(well, names.get(plate, plate)), n) for (plate, well), each in places.items() for n in each]
    unknown.sort(key=lambda item: (_natural(item[0].plate), well_position(item[0].well)))
    outside = frozenset(range(len(wells), len(wells) + len(unknown)))
    seconds = frozenset(range(len(wells) + len(unknown), len(wells) + len(unknown) + len(second)))
    plates = dict.fromkeys(info.plate or "" for info, _ in [*wells, *unknown])

    def listed(infos: Iterable[WellInfo]) -> str:
        return few([well_label(info, several=len(plates) > 1) for info in infos], 6)

    missing = [info for info, index in wells if index is None]
    if missing:
        notes.append(f"{counted(len(missing), 'well')} of the plate map without images ({listed(missing)})")
    if unknown:
        outer = [info for info, _ in unknown]
        notes.append(f"{counted(len(outer), 'well')} with images that the plate map does not name ({listed(outer)})")
    if second:
        doubled = listed(info for info, _ in second)
        notes.append(f"several series lie in one well ({doubled}); the longest counts, as a well is one unit")
    return Joined((*wells, *unknown, *second), outside, seconds, tuple(plates), tuple(notes))


def _places(series: Sequence[Series]) -> tuple[dict[tuple[str | None, str], list[int]], list[str]]:
    """Series of each plate and well, the longest first; those without a well are named in a note."""
    parts = [parse_name(one.name) for one in series]
    wells = [one.well or part.well or small_well(one.name) for one, part in zip(series, parts, strict=True)]
    counts = Counter(wells)
    found: dict[tuple[str | None, str], list[int]] = {}
    without = []
    for index in sorted(range(len(series)), key=lambda n: (-series[n].time_h.size, natural_key(series[n].name))):
        one, part, well = series[index], parts[index], wells[index]
        position = well_position(well or "")
        if position is None:
            without.append(one.name)
            continue
        # the part of a name before the well tells plates apart only where a well occurs twice
        plate = one.plate or (part.line if one.well is None and counts[well] > 1 else None)
        found.setdefault((plate, well_name(*position)), []).append(index)
    notes = [f"{counted(len(without), 'series', 'series')} without a well in the name ({few(without, 6)})"]
    return found, notes if without else []


class _Layout(NamedTuple):
    """Wells of the map on one plate: the plate of the images (where there are any), and how it is called."""

    image: str | None
    name: str | None
    wells: Sequence[WellInfo]
    imaged: bool = True


def _layouts(images: Sequence[str | None], plate_map: PlateMap) -> tuple[list[_Layout], list[str]]:
    """Say which part of the map belongs to which plate of the images."""
    mapped: dict[str | None, list[WellInfo]] = {}
    for info in plate_map.wells:
        mapped.setdefault(info.plate, []).append(info)
    by_key = {_key(plate): plate for plate in mapped}
    belongs = {plate: by_key[_key(plate)] for plate in images if _key(plate) in by_key}
    if len(mapped) == 1 and not belongs:
        belongs = dict.fromkeys(images, next(iter(mapped)))
    layouts, notes = [], []
    for plate, infos in mapped.items():
        here = [image for image, its in belongs.items() if its == plate]
        if not here:
            layouts.append(_Layout(None, plate, infos, imaged=False))
        elif len(here) == 1:
            layouts.append(_Layout(here[0], plate or here[0], infos))
            if plate and here[0] and _key(plate) != _key(here[0]):
                notes.append(f"the images are of plate {here[0]} and the map of plate {plate}; they were taken for one")
        else:
            layouts += [_Layout(image, image, infos) for image in here]
            notes.append(
                f"the images come from {len(here)} plates ({few(_names(here), 6)}) and the map has one layout"
                f"{f' called {plate}' if plate else ''}, which was taken for each; analyse different cells apart"
            )
    lost = [image for image in images if image not in belongs]
    if lost:
        notes.append(
            f"the plates of some images ({few(_names(lost), 6)}) are not in the plate map, whose plates are "
            f"{few(_names(mapped), 6)}"
        )
    return layouts, notes


def _names(plates: Iterable[str | None]) -> list[str]:
    return [plate or "without a name" for plate in plates]


def _natural(plate: str | None) -> tuple[tuple[int, int, str], ...]:
    return natural_key(plate or "")


def _key(plate: str | None) -> str:
    """Write a plate's name for comparing: the last folder, small, letters and digits only."""
    last = re.split(r"[\\/]", plate or "")[-1]
    return re.sub(r"[\W_]+", "", last.casefold())
