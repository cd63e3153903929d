"""Series to growth rate and doubling time with an interval, or to words that say why there is no number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from c6seg.config import GrowthConfig
from c6seg.errors import DataError
from c6seg.growth.fitting import Fit, Floats, fit_law, jacobian, law, noise_scale, refit, resample
from c6seg.growth.series import Series
from c6seg.runtime import seed_for

Bools = NDArray[np.bool_]
# Confluence below which a field counts as empty.
EMPTY = 0.005
# Least rise of the covered area over the observed time: cells that attach, spread or drift into focus
# change it by a tenth or two without dividing.
MIN_FOLD = 1.25
LAWS = ("exponential", "logistic")


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
        Law that AICc chose; None where nothing was fitted or no number is given.
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
    used
        (T,) bool, the times that the chosen law was fitted to.
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
    used: tuple[bool, ...] = ()


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

    An exponential is fitted to the times before the culture fills ``config.saturation`` of the field, a logistic to
    all; AICc on the times before saturation chooses. The interval comes from ``config.bootstrap`` refits of both laws,
    mixed by their Akaike weights, to noise whose level, correlation in time and dependence on the signal are drawn from
    what the residuals allow; with several fields, what their own growth rates differ beyond that noise is added.

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
    time, values, parts, kept = _checked(time_h, confluence, fields)
    early = _before_saturation(values, options.saturation)
    refusal = _refuse_before(time, values, early, options)
    if refusal is not None:
        return refusal
    rng = np.random.default_rng(seed_for(options.seed, "growth", seed_name))
    start = float(time[0])
    hours = time - start
    chosen, other, draws, used = _fit_both(hours, values, early, options.bootstrap, rng)
    if parts is not None:
        draws[:, 1] += _between_fields(hours, parts, chosen, used, options.bootstrap, rng)
    tail = 100 * (1 - options.confidence) / 2
    rate_lower, rate_upper = (float(end) for end in np.percentile(draws[:, 1], [tail, 100 - tail]))
    result = _conclude(hours, values, early, chosen, (rate_lower, rate_upper), options)
    if result.kind != "growing":
        return result
    return _numbers(result, start + hours, chosen, other, draws, _back(used, kept), tail, start)


def _checked(
    time_h: ArrayLike, confluence: ArrayLike, fields: ArrayLike | None
) -> tuple[Floats, Floats, Floats | None, NDArray[np.intp]]:
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
    return time[kept], values[kept], None if parts is None else parts[:, kept], kept


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
            f"No number: hardly any cells, never more than {values.max():.1%} of the field. "
            "Check focus and seeding, or look at a field with cells.",
            "empty",
        )
    below = int(early.sum())
    if below < need:
        begin = "from the start" if not early[0] else f"after {time[early][-1] - time[0]:.3g} h"
        return GrowthFit(
            f"No number: the field is full {begin} ({values[~early].max():.0%} covered), so growth cannot be seen; "
            f"{_count(below)} below {options.saturation:.0%}, {need} are needed. Seed fewer cells or image more often.",
            "full",
        )
    return None


def _fit_both(
    hours: Floats,
    values: Floats,
    early: Bools,
    number: int,
    rng: np.random.Generator,
) -> tuple[Fit, Fit, Floats, Bools]:
    """Fit both laws; return the chosen one, the other, draws of (a, r, k), and the times that were used."""
    everywhere = np.ones_like(early)
    full = bool(early.all())
    scale, _ = noise_scale(hours, values, free=3 if values.size >= 6 else 2)
    exponential = fit_law(hours[early], values[early], scale[early], free=2)
    logistic = compared = fit_law(hours, values, scale, free=3)
    if not full:  # the plateau is known from the later times; compare on the earlier ones
        inverse = float(logistic.parameters[2])
        compared = fit_law(hours[early], values[early], scale[early], free=2, plateau_inverse=inverse)
    weight = _akaike_weight(compared.aicc, exponential.aicc)
    bent = round(number * weight)
    draws = np.concatenate(
        [
            resample(hours, values, logistic, bent, rng) if bent else np.empty((0, 3)),
            resample(hours[early], values[early], exponential, number - bent, rng)
            if bent < number
            else np.empty((0, 3)),
        ]
    )
    if weight > 0.5:
        return _with_aicc(logistic, compared), exponential, draws, everywhere
    return exponential, compared, draws, early


def _akaike_weight(first: float, second: float) -> float:
    """Probability of the first of two laws; the second where neither can be judged."""
    if math.isinf(first):
        return 0.0
    if math.isinf(second):
        return 1.0
    return 1.0 / (1.0 + math.exp(min(700.0, (first - second) / 2)))


def _with_aicc(fit: Fit, compared: Fit) -> Fit:
    return Fit(fit.parameters, fit.free, fit.fitted, fit.scale, fit.weights, compared.aic, compared.aicc)


def _between_fields(
    hours: Floats,
    parts: Floats,
    fit: Fit,
    used: Bools,
    number: int,
    rng: np.random.Generator,
) -> Floats:
    """Draws of what the mean rate of the fields may be off, beyond the noise within each of them."""
    present = ~np.isnan(parts[:, used])
    enough = present.sum(axis=1) >= fit.free + 2
    count = int(enough.sum())
    if count < 2:
        return np.zeros(number)
    time, weights = hours[used], present[enough] / fit.scale
    values = np.where(present, parts[:, used], 0.0)[enough]
    each = refit(time, values, weights, fit)
    slopes = jacobian(each, time)[..., : fit.free] * weights[..., None]
    off = (law(each, time) - values) * weights
    freedom = present[enough].sum(axis=1) - fit.free
    normal = np.einsum("bti,btj->bij", slopes, slopes) + 1e-12 * np.eye(fit.free)
    within = np.linalg.inv(normal)[:, 1, 1] * (off**2).sum(axis=1) / freedom
    excess = max(0.0, float(np.var(each[:, 1], ddof=1)) - float(np.mean(within)))
    shape = math.sqrt(excess / count) * rng.standard_normal(number)
    return np.asarray(shape / np.sqrt(rng.chisquare(count - 1, number) / (count - 1)) if count > 2 else shape)


def _conclude(
    hours: Floats,
    values: Floats,
    early: Bools,
    fit: Fit,
    rates: tuple[float, float],
    options: GrowthConfig,
) -> GrowthFit:
    lower, upper = rates
    rate = float(fit.parameters[1])
    span = float(hours[early][-1] - hours[early][0])
    sure = f"{options.confidence:.0%}"
    begin, end = law(fit.parameters, hours[early][[0, -1]])
    fold = float(end / begin)
    no_number = partial(GrowthFit, rate_lower=lower, rate_upper=upper)
    longer = (
        f"Observe for longer: at this rate the area doubles in about {math.log(2) / rate:.2g} h." if rate > 0 else ""
    )
    if upper < 0:
        words = f"No number: the covered area shrinks ({_percent(values[early][0])} to {_percent(values[early][-1])})."
        return no_number(f"{words} Cells die, detach or round up; look at the overlays.", "shrinking")
    if lower <= 0:
        bound = f"; if it grows at all, it needs more than {math.log(2) / upper:.2g} h to double" if upper > 0 else ""
        return no_number(
            f"No number: growth cannot be told from zero over {span:.3g} h{bound} ({sure}). "
            "Observe for longer, or average more fields of the well.",
            "flat",
        )
    if fold < MIN_FOLD:
        return no_number(
            f"No number: the covered area rose by only {fold - 1:.0%} in {span:.3g} h, which spreading or moving cells "
            f"can do without dividing. {longer}",
            "slight",
        )
    value, low, high = math.log(2) / rate, math.log(2) / upper, math.log(2) / lower
    if high - low > value or not low <= value <= high:
        return no_number(
            f"No number: the doubling time lies between {low:.2g} and {high:.2g} h ({sure}), wider than itself. "
            "Add times or fields.",
            "uncertain",
        )
    return no_number("", "growing")


def _numbers(
    result: GrowthFit,
    time: Floats,
    chosen: Fit,
    other: Fit,
    draws: Floats,
    used: tuple[bool, ...],
    tail: float,
    start: float,
) -> GrowthFit:
    rate, rate_lower, rate_upper = float(chosen.parameters[1]), result.rate_lower or 0.0, result.rate_upper or 0.0
    value, low, high = (math.log(2) / each for each in (rate, rate_upper, rate_lower))
    model = LAWS[chosen.free - 2]
    plateau = None
    if model == "logistic":
        plateau = 1 / float(chosen.parameters[2]) if 1 / max(1e-9, float(chosen.parameters[2])) <= 1.02 else None
        plateau = None if plateau is None else min(1.0, plateau)
    grid = np.linspace(time[0], time[np.asarray(used)][-1] if len(used) == time.size else time[-1], 120)
    curves = np.sort(law(draws, grid - start), axis=0)
    band = np.percentile(curves, [tail, 100 - tail], axis=0)
    middle = law(chosen.parameters, grid - start)
    count, span = int(np.sum(used)), float(time[-1] - time[0])
    verdict = (
        f"{model.capitalize()} growth, doubling every {value:.3g} h "
        f"({100 - 2 * tail:.0f} % interval {low:.3g} to {high:.3g} h; {count} times over {span:.3g} h)."
    )
    if plateau is not None:
        verdict += f" It levels off near {plateau:.0%} confluence."
    return GrowthFit(
        verdict,
        "growing",
        model,
        rate,
        value,
        low,
        high,
        rate_lower,
        rate_upper,
        None,
        plateau,
        _finite(chosen.aicc),
        _finite(other.aicc),
        Curve(grid, middle, np.minimum(band[0], middle), np.maximum(band[1], middle)),
        used,
    )


def _back(used: Bools, kept: NDArray[np.intp]) -> tuple[bool, ...]:
    """Return flags of the kept times, in time order."""
    return tuple(bool(flag) for flag in used) if kept.size == used.size else ()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _count(number: int) -> str:
    return {0: "no usable time", 1: "a single time"}.get(number, f"{number} times")


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"
