"""Axes that the figures and the charts of the report share: where they end, and where their ticks lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from c6seg.growth.fits.verdicts import GrowthFit
from c6seg.growth.series import Series

# Steps that people think in: parts of an hour, hours, days, weeks.
HOUR_STEPS = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 12.0, 24.0, 48.0, 72.0, 168.0, 336.0, 672.0)


def hour_ticks(first: float, last: float, number: int = 7) -> list[float]:
    """Return round times, at most ``number``, in steps that people think in.

    Examples
    --------
    >>> hour_ticks(0, 71)
    [0.0, 12.0, 24.0, 36.0, 48.0, 60.0]
    """
    if last <= first:
        return [first]
    step = next((step for step in HOUR_STEPS if (last - first) / step < number), (last - first) / number)
    start = math.ceil(first / step - 1e-9)
    return [step * count for count in range(start, math.floor(last / step + 1e-9) + 1)] or [first, last]


def ticks(top: float, number: int = 6) -> list[float]:
    """Return round values from 0 to ``top``, at most about ``number``.

    Examples
    --------
    >>> ticks(58.0)
    [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    """
    rough = top / number
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    return [step * count for count in range(math.floor(top / step + 1e-9) + 1)]


def confluence_top(series: Series, fit: GrowthFit) -> float:
    """Return where the confluence axis of a series ends, 0..1.05: points, most of their bars and the curve fit in."""
    known = [0.05, float(np.nanmax(series.confluence, initial=0.0))]
    known.append(min(float(np.nanmax(series.upper, initial=0.0)), 1.5 * max(known)))
    if fit.curve is not None:
        known.append(min(float(fit.curve.confluence.max(initial=0.0)), 1.5 * max(known)))
    return min(1.05, 1.15 * max(known))


def lag_end_h(series: Series, fit: GrowthFit) -> float | None:
    """Return the time at which the lag ends, on the axis of the series; None where there is no lag to see."""
    time = series.time_h if series.used is None else series.time_h[series.used]
    if fit.lag_h is None or not time.size or not 0 < fit.lag_h <= time[-1] - time[0]:
        return None
    return float(time[0]) + fit.lag_h


def common_axes(series: Sequence[Series]) -> tuple[tuple[float, float], float]:
    """Return first and last time, and top of the confluence axis (0..1.05), that all series share."""
    first = min((float(one.time_h[0]) for one in series), default=0.0)
    last = max((float(one.time_h[-1]) for one in series), default=1.0)
    top = max([0.05, *(float(np.nanmax(one.confluence, initial=0.0)) for one in series)])
    return (first, last) if last > first else (first - 0.5, last + 0.5), min(1.05, 1.05 * top)
