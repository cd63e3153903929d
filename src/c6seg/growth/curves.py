"""Series to growth rate and doubling time with an interval, or to words that say why there is no number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from c6seg.config import GrowthConfig
from c6seg.errors import DataError
from c6seg.growth.fitting import Floats, law
from c6seg.growth.selection import ALIKE, Bools, Candidate, akaike_weights, between_fields, choose, draw, fit_candidates
from c6seg.growth.series import Series
from c6seg.runtime import seed_for

# Confluence below which a field counts as empty.
EMPTY = 0.005
# Least rise of the covered area over the observed time: cells that attach, spread or drift into focus
# change it by a tenth or two without dividing.
MIN_FOLD = 1.25


@dataclass(frozen=True, slots=True)
class Curve:
    """A fitted curve for drawing: confluence and its interval at ``time_h``, all (N,)."""

    time_h: Floats
    confluence: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True, slots=True)
class GrowthFit:
    """What a series says about growth. Where it cannot carry a number, the numbers are None and ``verdict`` says why.

    Parameters
    ----------
    verdict
        In words: the result, or why there is none and what to do.
    kind
        ``"growing"`` where there is a number, else the reason in one word.
    model
        Law that AICc chose; None where no number is given.
    growth_rate_per_h, doubling_time_h
        Rate r of unhindered growth, and ln 2 / r.
    lower, upper
        Interval of the doubling time, h.
    rate_lower, rate_upper
        Interval of the rate, 1/h; also where it was too uncertain to be given as a number.
    lag_h
        Time before growth starts; None: neither law has one.
    plateau
        Confluence at which the logistic levels off; None where the data do not show it.
    aicc
        Of the chosen law, on the times before saturation.
    other_aicc
        Of the other law, on the same times.
    curve
        For drawing.
    """

    verdict: str
    kind: Literal["growing", "few", "empty", "full", "flat", "shrinking", "slight", "uncertain"]
    model: str | None = None
    growth_rate_per_h: float | None = None
    doubling_time_h: float | None = None
    lower: float | None = None
    upper: float | None = None
    rate_lower: float | None = None
    rate_upper: float | None = None
    lag_h: float | None = None
    plateau: float | None = None
    aicc: float | None = None
    other_aicc: float | None = None
    curve: Curve | None = None


def fit_series(series: Series, config: GrowthConfig | None = None) -> GrowthFit:
    """Fit one series; see :func:`fit_growth`."""
    return fit_growth(series.time_h, series.confluence, fields=series.fields, config=config, seed_name=series.name)


def fit_growth(
    time_h: ArrayLike,
    confluence: ArrayLike,
    *,
    fields: ArrayLike | None = None,
    config: GrowthConfig | None = None,
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
    refusal = _refuse_before(time, values, early, options)
    if refusal is not None:
        return refusal
    hours = time - time[0]
    rng = np.random.default_rng(seed_for(options.seed, "growth", seed_name))
    candidates = fit_candidates(hours, values, early)
    weights = akaike_weights(candidates)
    draws = draw(candidates, weights, hours, values, options.bootstrap, rng)
    chosen = choose(candidates)
    rates = draws[:, 1]
    if parts is not None:
        rates = rates + between_fields(hours, parts, chosen, len(draws), rng)
    tail = 50 * (1 - options.confidence)
    lower, upper = (float(end) for end in np.percentile(rates, [tail, 100 - tail]))
    refusal = _refuse_after(hours, values, early, chosen, (lower, upper), options)
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


def _refuse_before(time: Floats, values: Floats, early: Bools, options: GrowthConfig) -> GrowthFit | None:
    """Say why no law can be fitted at all, or return None."""
    need = options.min_times
    if time.size < need:
        return GrowthFit(
            f"No number: {_count(time.size)} cannot show a growth rate, at least {need} are needed. "
            f"Add {need - time.size} or more, spread over at least one doubling.",
            "few",
        )
    if values.max() < EMPTY:
        return GrowthFit(
            f"No number: hardly any cells, never more than {_percent(values.max())} of the field. "
            "Check focus and seeding, or look at a field with cells.",
            "empty",
        )
    below = int(early.sum())
    if below < need:
        begin = f"after {time[early][-1] - time[0]:.3g} h" if early[0] else "from the start"
        return GrowthFit(
            f"No number: the field is full {begin} ({_percent(values[~early].max())} covered): growth cannot be seen; "
            f"{_count(below)} below {_percent(options.saturation)}, {need} are needed. "
            "Seed fewer cells or image more often.",
            "full",
        )
    return None


def _refuse_after(
    hours: Floats, values: Floats, early: Bools, chosen: Candidate, rates: tuple[float, float], options: GrowthConfig
) -> GrowthFit | None:
    """Say why the fitted rate is no number to publish, or return None."""
    lower, upper = rates
    rate = float(chosen.fit.parameters[1])
    span = float(hours[early][-1] - hours[early][0])
    begin, end = law(chosen.fit.parameters, hours[early][[0, -1]])
    no_number = partial(GrowthFit, rate_lower=lower, rate_upper=upper)
    sure = f"{_percent(options.confidence)} interval"
    if upper < 0:
        change = f"{_percent(values[early][0])} to {_percent(values[early][-1])}"
        words = f"No number: the covered area shrinks ({change} in {span:.3g} h)."
        return no_number(f"{words} Cells die, detach or round up; look at the overlays.", "shrinking")
    if lower <= 0:
        bound = f"; if it grows at all, doubling takes more than {_hours(math.log(2) / upper)} ({sure})"
        return no_number(
            f"No number: growth cannot be told from zero over {span:.3g} h{bound if upper > 0 else ''}. "
            "Observe for longer, or average more fields of the well.",
            "flat",
        )
    if end < MIN_FOLD * begin:
        return no_number(
            f"No number: the covered area rose by only {_percent(end / begin - 1)} in {span:.3g} h, which spreading or "
            f"moving cells can do without dividing. Observe for longer: at this rate it doubles in about "
            f"{_hours(math.log(2) / rate)}.",
            "slight",
        )
    value, low, high = math.log(2) / rate, math.log(2) / upper, math.log(2) / lower
    if high - low > value:
        return no_number(
            f"No number: the doubling time lies between {_hours(low)} and {_hours(high)} ({sure}), a range wider "
            "than the value itself. Add times or fields, or observe for longer.",
            "uncertain",
        )
    return None


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
        f"{chosen.name.capitalize()} growth, doubling every {_hours(value)} ({_percent(options.confidence)} interval "
        f"{low:.3g} to {_hours(high)}; {int(chosen.used.sum())} times over {last - time[0]:.3g} h)."
    )
    if chosen.plateau is not None:
        verdict += f" It levels off near {_percent(round(chosen.plateau, 2))} confluence."
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


def _count(number: int) -> str:
    return {0: "no usable time", 1: "a single time"}.get(number, f"{number} times")


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _hours(value: float) -> str:
    return f"{value:.3g} h" if value < 1000 else f"{round(value, -2):.0f} h"
