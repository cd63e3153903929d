"""Series to growth rate and doubling time with an interval, or to words that say why there is no number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from c6seg.config import GrowthConfig
from c6seg.errors import DataError
from c6seg.growth.fits.laws import LAG, Floats, K, R, confluence_at, specific_rate
from c6seg.growth.fits.resampling import resample
from c6seg.growth.fits.selection import (
    ALIKE,
    Bools,
    Candidate,
    akaike_weights,
    best_rate,
    between_fields,
    choose,
    draw,
    fit_candidates,
    mask_shift,
)
from c6seg.growth.fits.verdicts import (
    Curve,
    Found,
    GrowthFit,
    error_of,
    excluded,
    hours_text,
    percent,
    refuse_after,
    refuse_before,
)
from c6seg.growth.series import Series
from c6seg.runtime import seed_for

__all__ = ["Curve", "GrowthFit", "fit_growth", "fit_series"]

# The exponential phase is where growth has at least this part of its unhindered rate.
UNHINDERED = 0.75
# Draws for the intervals of lag and plateau, which only the chosen law has.
SHAPE_DRAWS = 400
# A plateau counts as seen where its interval is no wider than this part of it.
CLEAR_PLATEAU = 0.5


def fit_series(
    series: Series, config: GrowthConfig | None = None, *, mask_error: float = 0.0, mask_error_arcsine: float = 0.0
) -> GrowthFit:
    """Fit the times of a series that quality flags did not exclude; see :func:`fit_growth`."""
    used = np.ones(series.time_h.size, dtype=np.bool_) if series.used is None else series.used
    if not used.any():
        seen = {flag for flags in series.flags for flag in flags}
        return excluded(series.time_h.size, sorted(seen & set((config or GrowthConfig()).exclude_flags) or seen))
    return fit_growth(
        series.time_h[used],
        series.confluence[used],
        fields=series.fields[:, used],
        config=config,
        mask_error=mask_error,
        mask_error_arcsine=mask_error_arcsine,
        seed_name=series.name,
    )


def fit_growth(
    time_h: ArrayLike,
    confluence: ArrayLike,
    *,
    fields: ArrayLike | None = None,
    config: GrowthConfig | None = None,
    mask_error: float = 0.0,
    mask_error_arcsine: float = 0.0,
    seed_name: str = "",
) -> GrowthFit:
    """Estimate growth rate and doubling time, or say why the data cannot carry them.

    Exponential, logistic, Gompertz and Richards laws, and that of cells which grow unhindered and overlap at random,
    are fitted, each without and with a lag: the exponential to the times before the culture fills
    ``config.saturation`` of the field, the others to all. AICc on the times before saturation weighs them; a simpler
    law stays where the others are not clearly better. The rate is that of the chosen law; of a culture that starts
    crowded it is averaged over the laws. A single jump competes with them: where it wins, there is no growth. The
    exponential phase is where the chosen law has at least three quarters of its unhindered rate.

    The intervals come from ``config.bootstrap`` refits of all laws, as many of each as its Akaike weight says, to
    noise whose level and correlation in time are drawn from what the residuals allow; so they hold with eight times and
    with neighbouring errors alike, where percentiles of resampled residuals are too narrow. Where several fields of a
    well grow at rates that differ beyond this noise, that is added.

    Parameters
    ----------
    time_h
        (T,) hours, in any order.
    confluence
        (T,) 0..1; NaN where there is none.
    fields
        (F, T) confluence of each field; None = one field.
    config
        Options; None = the defaults.
    mask_error, mask_error_arcsine
        Standard deviation of a constant error of all confluences, and of asin(sqrt(confluence)), the scale of a model's
        calibration; 0 = the confluences are exact up to noise.
    seed_name
        What the random numbers are for, such as the name of the well.

    Raises
    ------
    DataError
        If the shapes differ, a time occurs twice or is not finite, or a confluence is outside 0..1.

    Examples
    --------
    >>> time_h = np.arange(0, 60, 6.0)
    >>> fit = fit_growth(time_h, 0.05 * 2 ** (time_h / 24))
    >>> round(fit.doubling_time_h, 2)
    24.0
    """
    options = config or GrowthConfig()
    time, values, parts = _checked(time_h, confluence, fields)
    early = _before_saturation(values, options.saturation)
    refusal = refuse_before(time, values, early, options)
    if refusal is not None:
        return refusal
    hours = time - time[0]
    rng = np.random.default_rng(seed_for(options.seed, "growth", seed_name))
    candidates = fit_candidates(hours, values, early)
    weights = akaike_weights(candidates)
    draws = draw(candidates, weights, hours, values, options.bootstrap, rng)
    chosen = choose(candidates)
    rates = np.concatenate([rows[:, R] for _, rows in draws])
    if parts is not None:
        rates = rates + between_fields(hours, parts, chosen, len(rates), rng)
    # wells of one model share the error of its masks: it is none between them
    error = error_of(_interval(rates, options.confidence), options)
    if mask_error > 0 or mask_error_arcsine > 0:
        shift = mask_shift(hours, values, chosen, mask_error, arcsine=mask_error_arcsine)
        rates = rates + shift * rng.standard_normal(len(rates))
    jump = _jump(time, candidates, weights, options.confidence)
    found = Found(chosen, best_rate(candidates, chosen), _interval(rates, options.confidence), jump)
    refusal = refuse_after(hours, values, early, found, options)
    if refusal is not None:
        return replace(refusal, error_per_h=error)
    shapes = _shapes(hours, values, chosen, options, rng)
    return replace(_numbers(time, candidates, found, draws, shapes, options), error_per_h=error)


def _checked(
    time_h: ArrayLike, confluence: ArrayLike, fields: ArrayLike | None
) -> tuple[Floats, Floats, Floats | None]:
    time, values = np.asarray(time_h, dtype=np.float64), np.asarray(confluence, dtype=np.float64)
    if time.ndim != 1 or time.shape != values.shape:
        raise DataError(f"Times {time.shape} and confluences {values.shape} must be two lists of one length.")
    if not np.isfinite(time).all():
        raise DataError("A time is not a finite number of hours.")
    if np.unique(time).size < time.size:
        raise DataError("A time occurs twice; average the images of one time first.")
    known = values[~np.isnan(values)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        raise DataError(f"Confluence must lie in 0..1; it goes from {known.min():g} to {known.max():g}.")
    order = np.argsort(time)
    kept = order[~np.isnan(values[order])]
    parts = None if fields is None else np.asarray(fields, dtype=np.float64)
    if parts is not None and (parts.ndim != 2 or parts.shape[1] != time.size):
        raise DataError(f"Fields must be (F, {time.size}); they are {parts.shape}.")
    return time[kept], values[kept], None if parts is None else parts[:, kept]


def _before_saturation(values: Floats, saturation: float) -> Bools:
    """Mark the times below saturation, up to where the culture stays above it."""
    early = values < saturation
    for index in range(values.size):
        if not early[index] and np.median(values[index:]) >= saturation:
            early[index:] = False
            break
    return early


def _jump(
    time: Floats, candidates: Sequence[Candidate], weights: Floats, confidence: float
) -> tuple[float, float, float, float] | None:
    """Levels and times of the jump, where it is too probable for growth to be sure."""
    for one, weight in zip(candidates, weights, strict=True):
        if not one.grows and weight > (1 - confidence) / 2:
            after = int(np.searchsorted(time - time[0], one.fit.parameters[LAG]))
            return float(one.fit.fitted[0]), float(one.fit.fitted[-1]), float(time[after - 1]), float(time[after])
    return None


def _interval(draws: Floats, confidence: float) -> tuple[float, float]:
    tail = 50 * (1 - confidence)
    lower, upper = np.percentile(draws, [tail, 100 - tail])
    return float(lower), float(upper)


class _Shapes(NamedTuple):
    """Lag and plateau with their intervals; None where the law has none or the data do not show it."""

    lag_h: float | None = None
    lag_lower: float | None = None
    lag_upper: float | None = None
    plateau: float | None = None
    plateau_lower: float | None = None
    plateau_upper: float | None = None


def _shapes(
    hours: Floats, values: Floats, chosen: Candidate, options: GrowthConfig, rng: np.random.Generator
) -> _Shapes:
    free, plateau = chosen.fit.law.free, chosen.plateau
    if LAG not in free and plateau is None:
        return _Shapes()
    rows = resample(hours[chosen.used], values[chosen.used], chosen.fit, SHAPE_DRAWS, rng)
    found = _Shapes()
    if LAG in free:
        lag, (low, high) = float(chosen.fit.parameters[LAG]), _interval(rows[:, LAG], options.confidence)
        if low > 0:
            found = found._replace(lag_h=lag, lag_lower=min(low, lag), lag_upper=max(high, lag))
    if plateau is not None:
        low, high = _interval(1 / rows[:, K], options.confidence)
        if high - low <= CLEAR_PLATEAU * plateau:
            found = found._replace(plateau=plateau, plateau_lower=min(low, plateau), plateau_upper=max(high, plateau))
    return found


def _phase(time: Floats, chosen: Candidate) -> tuple[float, float] | None:
    """First and last time at which growth has nearly its unhindered rate; None where it never has."""
    law, parameters = chosen.fit.law, chosen.fit.parameters
    begin = float(parameters[LAG]) if law.lags else 0.0
    grid = np.linspace(begin, float(time[chosen.used][-1] - time[0]), 200)
    rate = specific_rate(law.pinned(parameters), parameters, grid)
    good = grid[rate >= UNHINDERED * parameters[R]]
    return (float(time[0] + good[0]), float(time[0] + good[-1])) if good.size > 1 else None


def _numbers(
    time: Floats,
    candidates: Sequence[Candidate],
    found: Found,
    draws: Sequence[tuple[Candidate, Floats]],
    shapes: _Shapes,
    options: GrowthConfig,
) -> GrowthFit:
    chosen, rate = found.chosen, found.rate
    lower, upper = min(found.rates[0], rate), max(found.rates[1], rate)
    value, low, high = (math.log(2) / each for each in (rate, upper, lower))
    others = [one for one in candidates if one.grows and one.name != chosen.name]
    other = min(others, key=lambda one: one.aicc + one.cost, default=None)
    grid = np.linspace(time[0], time[chosen.used][-1], 120)
    tail = 50 * (1 - options.confidence)
    curves = [confluence_at(one.fit.law, rows, grid - time[0]) for one, rows in draws]
    band = np.percentile(np.concatenate(curves), [tail, 100 - tail], axis=0)
    middle = confluence_at(chosen.fit.law, chosen.fit.parameters, grid - time[0])
    phase = _phase(time, chosen)
    return GrowthFit(
        _words(chosen, other, (value, low, high), shapes, phase, options),
        "growing",
        model=chosen.name,
        growth_rate_per_h=rate,
        doubling_time_h=value,
        lower=low,
        upper=high,
        rate_lower=lower,
        rate_upper=upper,
        phase_h=phase,
        estimate_per_h=rate,
        aicc=chosen.aicc if math.isfinite(chosen.aicc) else None,
        curve=Curve(grid, middle, np.minimum(band[0], middle), np.maximum(band[1], middle)),
        **shapes._asdict(),
    )


def _words(
    chosen: Candidate,
    other: Candidate | None,
    times: tuple[float, float, float],
    shapes: _Shapes,
    phase: tuple[float, float] | None,
    options: GrowthConfig,
) -> str:
    value, low, high = times
    name = chosen.name[0].upper() + chosen.name[1:]
    found = [
        f"{name} growth, doubling every {hours_text(value)} ({percent(options.confidence)} interval {low:.3g} to "
        f"{hours_text(high)}; {int(chosen.used.sum())} times)."
    ]
    if shapes.lag_h is not None:
        found.append(f"Growth begins after a lag of {hours_text(shapes.lag_h)}.")
    if shapes.plateau is not None:
        found.append(f"It levels off near {percent(round(shapes.plateau, 2))} confluence.")
    if phase is None:
        found.append("No exponential phase was seen: the culture was crowded from the start, and the rate is inferred.")
    elif chosen.fit.law.bent or chosen.fit.law.lags:
        found.append(f"Exponential phase: {phase[0]:.3g} to {hours_text(phase[1])}.")
    if other is not None and abs(other.aicc + other.cost - chosen.aicc - chosen.cost) <= ALIKE:
        found.append(f"The {other.name} law fits as well; the interval covers both.")
    return " ".join(found)
