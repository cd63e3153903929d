"""The two tables of closing wounds: ``wound.csv`` (the gap at every time) and ``closures.csv`` (one row a series)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from c6seg.growth.words import safe_cell
from c6seg.growth.wounds.results import WoundFit
from c6seg.runtime import make_folder, write_csv

# (column, attribute of the result)
TIME_COLUMNS = (
    ("time_h", "time_h"),
    ("gap", "gap"),
    ("lower", "lower"),
    ("upper", "upper"),
    ("gap_um2", "gap_um2"),
    ("closed", "closed"),
    ("width_um", "width_um"),
    ("relative_density", "density"),
)
CLOSURE_COLUMNS = (
    ("closure_per_h", "closure_per_h"),
    ("closure_lower", "closure_lower"),
    ("closure_upper", "closure_upper"),
    ("front_um_per_h", "front_um_per_h"),
    ("front_lower", "front_lower"),
    ("front_upper", "front_upper"),
    ("half_h", "half_h"),
    ("half_lower", "half_lower"),
    ("half_upper", "half_upper"),
    ("lag_h", "lag_h"),
    ("stays_open", "stop"),
)


def write_wound_tables(out: Path, fits: Sequence[WoundFit]) -> None:
    """Write ``wound.csv`` and ``closures.csv``; what is not known is empty.

    Parameters
    ----------
    out
        Folder.
    fits
        One for each series.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    folder = make_folder(out)
    write_csv(
        folder / "wound.csv",
        ("series", *(column for column, _ in TIME_COLUMNS)),
        (
            {"series": safe_cell(fit.name), **{column: _at(fit, name, index) for column, name in TIME_COLUMNS}}
            for fit in fits
            for index in range(fit.time_h.size)
        ),
    )
    write_csv(
        folder / "closures.csv",
        ("series", "kind", "shape", "fields", *(column for column, _ in CLOSURE_COLUMNS), "verdict"),
        (
            {
                "series": safe_cell(fit.name),
                "kind": fit.kind,
                "shape": fit.shape,
                "fields": fit.fields,
                **{column: _text(getattr(fit, name)) for column, name in CLOSURE_COLUMNS},
                "verdict": fit.verdict,
            }
            for fit in fits
        ),
    )


def _at(fit: WoundFit, name: str, index: int) -> str:
    values = getattr(fit, name)
    return "" if values is None else _text(float(values[index]))


def _text(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.8g}"
