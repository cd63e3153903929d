"""The heat map of a plate: which well shows what, in which colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_uppercase

import numpy as np

from c6seg.growth.plates.results import PlateResult, PlateWell
from c6seg.growth.words import KINDS, dose, interval, number

# In a well there is room for a word or two.
SHORT_KINDS = {**KINDS, "few": "few times", "empty": "no cells", "flat": "no growth", "shrinking": "shrinks"}
NO_IMAGES = "no images"
COLOUR_MAP = "viridis"
# The darkest end is left out: it is hardly told from the ink of the page.
DARKEST = 0.12


@dataclass(frozen=True, slots=True)
class Cell:
    """One well of a heat map.

    Parameters
    ----------
    value
        Doubling time in hours, or why there is none in a word or two; empty where the map has no such well.
    label, amount
        What was added, and how much of it.
    kind
        ``"number"``, ``"none"`` (no doubling time), ``"blank"`` (no cells), ``"missing"`` (no images), ``"off"`` (not
        in the map).
    edge, control
        Whether it lies in the outer ring, and whether it is a control.
    colour, ink
        Of the ground, by growth rate, and of the letters on it; empty where there is no number.
    anchor
        Of its card; empty where it has none.
    words
        All of this in a sentence.
    """

    value: str
    label: str
    amount: str
    kind: str
    edge: bool
    control: bool
    colour: str
    ink: str
    anchor: str
    words: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Wells of a plate as a grid.

    Parameters
    ----------
    plate
        Its name; empty where there is one plate.
    columns
        Their numbers.
    rows
        (letter, cells).
    """

    plate: str
    columns: tuple[int, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """Colours of a heat map: by growth rate, named by doubling time.

    Parameters
    ----------
    lowest, highest
        Growth rates at the ends, per h.
    """

    lowest: float
    highest: float

    def part(self, rate: float) -> float:
        """Return where a rate lies on the colour map, 0..1."""
        wide = self.highest - self.lowest
        inner = (rate - self.lowest) / wide if wide > 0 else 0.6
        return DARKEST + (1 - DARKEST) * min(1.0, max(0.0, inner))

    def marks(self) -> list[tuple[str, str, str]]:
        """Return (colour, ink, doubling time) from slow to fast, for the key."""
        rates = np.linspace(self.lowest, self.highest, 5) if self.highest > self.lowest else [self.highest]
        return [(*colours(self.part(float(rate))), f"{number(float(np.log(2) / rate))} h") for rate in rates]


def colours(part: float) -> tuple[str, str]:
    """Return a colour of the map and that of letters which stand out from it.

    Black or white always reaches a contrast of 4.5 (WCAG 2.2, 1.4.3).
    """
    from matplotlib import colormaps

    red, green, blue = (float(value) for value in colormaps[COLOUR_MAP](part)[:3])
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in (red, green, blue)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    ground = "#" + "".join(f"{round(255 * value):02x}" for value in (red, green, blue))
    return ground, "#000000" if luminance > 0.179 else "#ffffff"


def colour_scale(plate: PlateResult) -> Scale | None:
    """Return the colours that all plates share; None where no well has a number."""
    rates = [float(np.log(2)) / well.doubling_time_h for well in plate.wells if well.doubling_time_h]
    return Scale(min(rates), max(rates)) if rates else None


def heat_maps(plate: PlateResult, anchors: Mapping[str, str]) -> list[HeatMap]:
    """Lay the wells out as they lie on their plates.

    Parameters
    ----------
    plate
        What was found.
    anchors
        Name of a series to the anchor of its card.
    """
    scale = colour_scale(plate)
    rows, columns = plate.size
    found = []
    for name in plate.plates:
        wells = {well.info.well: well for well in plate.wells if (well.info.plate or "") == name}
        grid = []
        for row in row_names(rows):
            cells = (
                _cell(f"{row}{column}", wells.get(f"{row}{column}"), scale, anchors) for column in range(1, columns + 1)
            )
            grid.append((row, tuple(cells)))
        found.append(HeatMap(name, tuple(range(1, columns + 1)), tuple(grid)))
    return found


def row_names(number_of_rows: int) -> list[str]:
    """Return the letters of the rows of a plate: A to Z, then AA.

    Examples
    --------
    >>> row_names(8)[-1], row_names(32)[-1]
    ('H', 'AF')
    """
    return [
        (ascii_uppercase[index // 26 - 1] if index >= 26 else "") + ascii_uppercase[index % 26]
        for index in range(number_of_rows)
    ]


def treatment_label(well: PlateWell) -> str:
    """Say what was added to a well."""
    words = " ".join(part for part in (well.info.treatment, dose(well.info.concentration, well.info.unit)) if part)
    return words or {"control": "control", "blank": "blank", "sample": ""}[well.info.role]


def _cell(name: str, well: PlateWell | None, scale: Scale | None, anchors: Mapping[str, str]) -> Cell:
    if well is None:
        return Cell("", "", "", "off", False, False, "", "", "", f"{name}: not in the plate map")
    control = well.info.role == "control"
    amount = dose(well.info.concentration, well.info.unit)
    label = well.info.treatment or ("control" if control else "")
    anchor = anchors.get(well.series or "", "")
    ground = ink = ""
    if well.doubling_time_h is not None and scale is not None:
        kind, value = "number", number(well.doubling_time_h)
        ground, ink = colours(scale.part(float(np.log(2)) / well.doubling_time_h))
        result = "doubling time " + interval(well.doubling_time_h, well.lower, well.upper, "h")
    elif well.series is None:
        kind, value, result = "missing", NO_IMAGES, NO_IMAGES
    else:
        kind, value = "none", SHORT_KINDS.get(well.kind or "", well.kind or "no number")
        result = f"no doubling time: {KINDS.get(well.kind or '', value)}"
    if well.info.role == "blank":
        kind, value, ground, ink = "blank", value if kind == "number" else "blank", "", ""
    parts = [
        treatment_label(well) if kind != "blank" else "",
        "control" if control and label != "control" else "",
        "edge well" if well.edge else "",
        result,
        well.reason,
    ]
    words = f"{name}: {'; '.join(part for part in parts if part)}"
    return Cell(value, label, amount, kind, well.edge, control, ground, ink, anchor, words)
