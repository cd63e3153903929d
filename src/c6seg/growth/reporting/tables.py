"""The two tables of a growth analysis: ``growth.csv`` and ``fits.csv``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from c6seg.growth.curves import GrowthFit
from c6seg.growth.series import Floats, Series
from c6seg.growth.words import safe_cell
from c6seg.runtime import write_csv

Value = str | float | int | None

# Columns that others rely on stand first, in this order; what was added since follows them.
GROWTH_COLUMNS = (
    "series",
    "time_h",
    "confluence",
    "lower",
    "upper",
    "noise_lower",
    "noise_upper",
    "fields",
    "cell_area_um2",
    "cluster_fraction",
    "object_count",
    "used",
    "flags",
)
FIT_COLUMNS = (
    "series",
    "model",
    "growth_rate_per_h",
    "doubling_time_h",
    "lower",
    "upper",
    "lag_h",
    "plateau",
    "aicc",
    "verdict",
    "rate_lower",
    "rate_upper",
    "lag_lower",
    "lag_upper",
    "plateau_lower",
    "plateau_upper",
    "phase_start_h",
    "phase_end_h",
    "next_experiment",
)


def write_growth(path: Path, series: Sequence[Series]) -> None:
    """Write one row for each series and time; what is not known is empty."""
    write_csv(path, GROWTH_COLUMNS, (_texts(row) for row in growth_rows(series)))


def write_fits(path: Path, series: Sequence[Series], fits: Sequence[GrowthFit]) -> None:
    """Write one row for each series: the chosen law with its numbers, or the reason why there are none."""
    write_csv(path, FIT_COLUMNS, (_texts(row) for row in fit_rows(series, fits)))


def growth_rows(series: Sequence[Series]) -> Iterator[dict[str, Value]]:
    """Yield the rows of ``growth.csv`` as numbers and words; None where something is not known.

    ``fields`` is the number of fields with an image at that time; ``used`` says whether the time was fitted.
    """
    for one in series:
        noise_lower = one.lower if one.noise_lower is None else one.noise_lower
        noise_upper = one.upper if one.noise_upper is None else one.noise_upper
        present = np.sum(np.isfinite(one.fields), axis=0)
        for index in range(one.time_h.size):
            yield {
                "series": one.name,
                "time_h": _number(one.time_h, index),
                "confluence": _number(one.confluence, index),
                "lower": _number(one.lower, index),
                "upper": _number(one.upper, index),
                "noise_lower": _number(noise_lower, index),
                "noise_upper": _number(noise_upper, index),
                "fields": int(present[index]),
                "cell_area_um2": _number(one.cell_area_um2, index),
                "cluster_fraction": _number(one.cluster_fraction, index),
                "object_count": _number(one.object_count, index),
                "used": "yes" if one.used is None or one.used[index] else "no",
                "flags": " ".join(one.flags[index]),
            }


def fit_rows(series: Sequence[Series], fits: Sequence[GrowthFit]) -> Iterator[dict[str, Value]]:
    """Yield the rows of ``fits.csv`` as numbers and words; None where something is not known."""
    for one, fit in zip(series, fits, strict=True):
        start, end = fit.phase_h if fit.phase_h is not None else (None, None)
        own: dict[str, Value] = {"series": one.name, "phase_start_h": start, "phase_end_h": end}
        yield {name: own[name] if name in own else getattr(fit, name) for name in FIT_COLUMNS}


def _number(values: Floats | None, index: int) -> float | None:
    value = float(values[index]) if values is not None else math.nan
    return value if math.isfinite(value) else None


def _texts(row: dict[str, Value]) -> dict[str, str]:
    return {name: _text(value) for name, value in row.items()}


def _text(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.8g}" if math.isfinite(value) else ""
    return "" if value is None else safe_cell(str(value))
