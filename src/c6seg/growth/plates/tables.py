"""The tables of a plate: ``plate.csv``, ``comparisons.csv`` and ``dose_response.csv``."""

from __future__ import annotations

import math
from pathlib import Path

from c6seg.growth.plates.results import PlateResult, PlateWell
from c6seg.growth.words import safe_cell
from c6seg.runtime import write_csv

INFO = ("plate", "well", "role", "treatment", "concentration", "unit", "replicate")
WELL = (
    "group",
    "edge",
    "series",
    "kind",
    "doubling_time_h",
    "lower",
    "upper",
    "estimate_per_h",
    "error_per_h",
    "first",
    "last",
    "compared",
    "reason",
)
COMPARISON = (
    "group",
    "control",
    "wells",
    "control_wells",
    "difference_per_h",
    "lower",
    "upper",
    "change",
    "p",
    "p_holm",
    "effect_size",
    "effect_lower",
    "effect_upper",
    "power",
    "verdict",
)
DOSE = (
    "treatment",
    "unit",
    "ic50",
    "lower",
    "upper",
    "gi50",
    "gi50_lower",
    "gi50_upper",
    "top",
    "top_lower",
    "top_upper",
    "bottom",
    "bottom_lower",
    "bottom_upper",
    "hill",
    "hill_lower",
    "hill_upper",
    "verdict",
)


def write_plate_tables(out: Path, result: PlateResult) -> list[Path]:
    """Write a row for each well, each comparison and each dose response; what is not known is empty.

    Further columns of the plate map come last, with ``map_`` before names that the table has itself.

    Parameters
    ----------
    out
        Folder, made where it is missing.
    result
        Of :func:`~c6seg.growth.plate.analyse_plate`.

    Returns
    -------
    list
        The three paths.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    own = (*INFO, *WELL)
    extra = {
        name: f"map_{name}" if name in own else safe_cell(name)
        for name in dict.fromkeys(k for w in result.wells for k in w.info.extra)
    }
    paths = [out / "plate.csv", out / "comparisons.csv", out / "dose_response.csv"]
    write_csv(paths[0], (*own, *extra.values()), (_well_row(well, extra) for well in result.wells))
    for path, columns, items in ((paths[1], COMPARISON, result.comparisons), (paths[2], DOSE, result.doses)):
        write_csv(path, columns, ({name: _cell(getattr(item, name)) for name in columns} for item in items))
    return paths


def _well_row(well: PlateWell, extra: dict[str, str]) -> dict[str, object]:
    row = {name: _cell(getattr(well.info, name)) for name in INFO} | {name: _cell(getattr(well, name)) for name in WELL}
    return row | {title: _cell(well.info.extra.get(name, "")) for name, title in extra.items()}


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.8g}" if math.isfinite(value) else None
    return safe_cell(value) if isinstance(value, str) else value
