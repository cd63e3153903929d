"""The two tables of a growth analysis: ``growth.csv`` and ``fits.csv``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from c6seg.growth.curves import GrowthFit
from c6seg.growth.series import Series
from c6seg.runtime import write_csv

GROWTH_COLUMNS = ("series", "time_h", "confluence", "lower", "upper")
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
)


def write_growth(path: Path, series: Sequence[Series]) -> None:
    """Write one row for each series and time; what is not known is empty."""
    write_csv(
        path,
        GROWTH_COLUMNS,
        (
            {"series": one.name, **{name: _text(float(getattr(one, name)[index])) for name in GROWTH_COLUMNS[1:]}}
            for one in series
            for index in range(one.time_h.size)
        ),
    )


def write_fits(path: Path, series: Sequence[Series], fits: Sequence[GrowthFit]) -> None:
    """Write one row for each series: the chosen law with its numbers, or the reason why there are none."""
    write_csv(
        path,
        FIT_COLUMNS,
        (
            {
                "series": one.name,
                "model": fit.model or "",
                **{name: _text(getattr(fit, name)) for name in FIT_COLUMNS[2:-1]},
                "verdict": fit.verdict,
            }
            for one, fit in zip(series, fits, strict=True)
        ),
    )


def _text(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.8g}"
