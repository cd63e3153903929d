"""Series to growth rate and doubling time with an interval, or to words that say why there is no number."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from c6seg.config import GrowthConfig
from c6seg.errors import DataError
from c6seg.growth.fitting import Floats, law
from c6seg.growth.selection import (
    ALIKE,
    Bools,
    Candidate,
    akaike_weights,
    between_fields,
    choose,
    draw,
    fit_candidates,
    mask_shift,
)
from c6seg.growth.series import Series
from c6seg.growth.verdicts import Curve, GrowthFit, hours_text, percent, refuse_after, refuse_before
from c6seg.runtime import seed_for

__all__ = ["Curve", "GrowthFit", "fit_growth", "fit_series"]


def fit_series(series: Series, config: GrowthConfig | None = None, *, mask_error: float = 0.0) -> GrowthFit:
    """Fit one series; see :func:`fit_growth`."""
    time_h, values = series.time_h, series.confluence
    return fit_growth(time_h, values, fields=series.fields, config=config, mask_error=mask_error, seed_name=series.name)


def fit_growth(
    time_h: ArrayLike,
    confluence: ArrayLike,
    *,
    fields: ArrayLike | None = None,
    config: GrowthConfig | None = None,
    mask_error: float = 0.0,
    seed_name: str = "",
) -> GrowthFit:
    """Estimate growth rate and doubling time, or say why the data cannot carry them.

    Three laws are fitted: an exponential to the times before the culture fills ``config.saturation`` of the field, a
    logistic that ends in a full field, and a logistic with a plateau of its own. AICc on the times before saturation
    chooses, and the exponential stays where the others are not clearly better.

    The interval comes from ``config.bootstrap`` refits of all laws, as many of each as its Akaike weight says, to
    noise whose level and correlation in time are drawn from what the residuals allow; so it holds with eight times and
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
    mask_error
        Standard deviation of a constant error of all confluences; 0 = the confluences are exact up to noise.
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
    rates = draws[:, 1]
    if mask_error > 0:
        rates = rates + mask_shift(hours, values, chosen, mask_error) * rng.standard_normal(len(rates))
    if parts is not None:
        rates = rates + between_fields(hours, parts, chosen, len(draws), rng)
    tail = 50 * (1 - options.confidence)
    lower, upper = (float(end) for end in np.percentile(rates, [tail, 100 - tail]))
    refusal = refuse_after(hours, values, early, chosen, (lower, upper), options)
    if refusal is not None:
        return refusal
    other = min((one for one in candidates if one.name != chosen.name), key=lambda one: one.aicc, default=None)
    return _numbers(time, chosen, other, draws, (lower, upper), options)


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


def _numbers(
    time: Floats,
    chosen: Candidate,
    other: Candidate | None,
    draws: Floats,
    rates: tuple[float, float],
    options: GrowthConfig,
) -> GrowthFit:
    rate = float(chosen.fit.parameters[1])
    # the chosen law may lie at the edge of what all laws together say
    lower, upper = min(rates[0], rate), max(rates[1], rate)
    value, low, high = (math.log(2) / each for each in (rate, upper, lower))
    last = time[chosen.used][-1]
    grid = np.linspace(time[0], last, 120)
    tail = 50 * (1 - options.confidence)
    band = np.percentile(law(draws, grid - time[0]), [tail, 100 - tail], axis=0)
    middle = law(chosen.fit.parameters, grid - time[0])
    verdict = (
        f"{chosen.name.capitalize()} growth, doubling every {hours_text(value)} ({percent(options.confidence)} "
        f"interval {low:.3g} to {hours_text(high)}; {int(chosen.used.sum())} times over {last - time[0]:.3g} h)."
    )
    if chosen.plateau is not None:
        verdict += f" It levels off near {percent(round(chosen.plateau, 2))} confluence."
    if other is not None and abs(other.aicc - chosen.aicc) <= ALIKE:
        verdict += f" The {other.name} law fits as well; the interval covers both."
    return GrowthFit(
        verdict,
        "growing",
        model=chosen.name,
        growth_rate_per_h=rate,
        doubling_time_h=value,
        lower=low,
        upper=high,
        rate_lower=lower,
        rate_upper=upper,
        plateau=chosen.plateau,
        aicc=chosen.aicc if math.isfinite(chosen.aicc) else None,
        other_aicc=other.aicc if other is not None and math.isfinite(other.aicc) else None,
        curve=Curve(grid, middle, np.minimum(band[0], middle), np.maximum(band[1], middle)),
    )
