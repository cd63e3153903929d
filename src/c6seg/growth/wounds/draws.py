"""The fields of a wound together: their mean, and what closure rate, front speed and half-closure time may be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from c6seg.growth.fits.fitting import HUBER
from c6seg.growth.wounds.jumps import Jump, find_jump
from c6seg.growth.wounds.law import LAG, RATE, START, Closing, Floats, fit_closing, half_time_h, law, refit
from c6seg.growth.wounds.noise import resample

# Fields of one well differ in closure rate by about this part of it (standard deviation); what their own spread says
# counts more, the more fields there are.
USUAL_SPREAD = 0.15
# Residuals below this are rounding.
EXACT = 1e-9
SPREADS = np.linspace(0.0, 1.0, 81)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval."""

    value: float
    lower: float
    upper: float

    @property
    def vague(self) -> bool:
        """Whether the interval is wider than the value."""
        return not self.upper - self.lower <= abs(self.value)


@dataclass(frozen=True, slots=True)
class Course:
    """What was fitted to the mean of the fields.

    Parameters
    ----------
    fit
        The fitted law, with start and rate of all fields together.
    rate
        Part of the first gap that closes per hour.
    speed
        The same as gap per hour (power 1), or as square root of the gap per hour (power 2), in which the front of
        every field moves alike whatever the size of its gap.
    half
        Hours until half of the first gap is closed; infinite where that is never.
    grid_h, curve, lower, upper
        (M,) mean of the fields by the law, with its interval, for drawing.
    jump
        One step that describes the mean of the fields better than the law does; None where none does.
    """

    fit: Closing
    rate: Estimate
    speed: Estimate
    half: Estimate
    grid_h: Floats
    curve: Floats
    lower: Floats
    upper: Floats
    jump: Jump | None = None


def mean_of_fields(fields: Floats) -> Floats:
    """Return the mean (T,) of fields (F, T); where one is missing, as if it had gone like the others.

    Fields have gaps of different size, so that a plain mean would jump where one is missing.
    """
    known = ~np.isnan(fields)
    if known.all():
        return np.asarray(fields.mean(axis=0))
    values, size = np.where(known, fields, 0.0), np.ones((len(fields), 1))
    for _ in range(20):
        course = values.sum(axis=0) / np.maximum((size * known).sum(axis=0), 1e-12)
        size = values.sum(axis=1, keepdims=True) / np.maximum((course * known).sum(axis=1, keepdims=True), 1e-12)
    filled = np.where(known, fields, size * course)
    return np.asarray(np.where(known.any(axis=0), filled.mean(axis=0), np.nan))


def spread_of_fields(fields: Floats, mean: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Return the interval (T,) of the mean at each time from the spread of the fields; NaN with one field."""
    from scipy import stats

    number = (~np.isnan(fields)).sum(axis=0)
    several = number > 1
    half = np.full(mean.size, np.nan)
    # two fields give one difference; Student's t with one degree of freedom would cover nearly everything
    wide = stats.t.ppf((1 + confidence) / 2, np.maximum(2, number[several] - 1))
    half[several] = wide * np.nanstd(fields[:, several], axis=0, ddof=1) / np.sqrt(number[several])
    return np.maximum(mean - half, 0.0), np.minimum(mean + half, 1.0)


def estimate(
    hours: Floats, fields: Floats, *, power: int, confidence: float, number: int, rng: np.random.Generator
) -> Course:
    """Fit the mean of the fields and find the intervals by resampling frames and fields.

    Frames: the noise of the mean is drawn anew and the law fitted again (:func:`~c6seg.growth.wounds.noise.resample`).
    Fields: what the mean of the fields may be off, because others would have closed at other speeds, is added.

    Parameters
    ----------
    hours
        (T,) since the first time.
    fields
        (F, T) gap of each field, 0..1; NaN where missing, at no time in all.
    power
        1 for fronts, 2 for round gaps.
    confidence
        Such as 0.95.
    number
        How many draws.
    rng
        Source of chance.
    """
    values = mean_of_fields(fields)
    scale = np.sqrt(len(fields) / (~np.isnan(fields)).sum(axis=0))
    fit = fit_closing(hours, values, scale, power)
    jump = find_jump(hours, values, scale, fit)
    draws = resample(hours, values, scale, fit, number, rng)
    own = _each_field(hours, fields, fit)
    grid = np.linspace(0.0, hours[-1], 120)
    tail = 50 * (1 - confidence)
    curve = law(fit.parameters, grid, power)
    if len(own) == len(fields):
        # fields close at different times, so that their mean has no corner; each of them has
        pooled = own.mean(axis=0)
        pooled[RATE] = (own[:, START] * own[:, RATE]).sum() / own[:, START].sum()
        draws = draws + (pooled - fit.parameters)
        curve = law(own, grid, power).mean(axis=0)
        fit = replace(fit, parameters=pooled, fitted=law(own, hours, power).mean(axis=0))
    draws[:, START] = np.maximum(draws[:, START], 1e-9)
    rates = draws[:, RATE] + between_fields(own[:, RATE], draws[:, RATE], number, rng)
    speeds = _speed(draws, power)
    speeds = speeds + between_fields(_speed(own, power), speeds, number, rng)
    draws[:, RATE] = rates
    band = np.percentile(law(draws, grid, power), [tail, 100 - tail], axis=0) - law(fit.parameters, grid, power)
    return Course(
        fit,
        _interval(float(fit.parameters[RATE]), rates, tail),
        _interval(float(_speed(fit.parameters, power)), speeds, tail),
        _interval(float(half_time_h(fit.parameters, power)), half_time_h(draws, power), tail),
        grid,
        curve,
        np.maximum(curve + np.minimum(band[0], 0.0), 0.0),
        curve + np.maximum(band[1], 0.0),
        jump,
    )


def between_fields(each: Floats, draws: Floats, number: int, rng: np.random.Generator) -> Floats:
    """Return draws of what the mean of the fields may be off, beyond the noise within each of them.

    The standard deviation between fields is drawn from its likelihood, given the spread of the fields' own values and
    the noise within, times a half-normal prior of :data:`USUAL_SPREAD`.

    Parameters
    ----------
    each
        (F,) value of each field that has one.
    draws
        Of the mean's value, by the noise of the frames alone.
    number
        How many draws.
    rng
        Source of chance.
    """
    count = each.size
    if count < 2:
        return np.zeros(number)
    size = abs(float(np.median(draws)))
    within = count * float(np.var(draws))
    total = np.maximum(within + (SPREADS * size) ** 2, 1e-30)
    logs = -0.5 * (count - 1) * (np.log(total) + float(np.var(each, ddof=1)) / total)
    logs -= 0.5 * (SPREADS / USUAL_SPREAD) ** 2
    chance = np.exp(logs - logs.max())
    spread = size * rng.choice(SPREADS, size=number, p=chance / chance.sum())
    return np.asarray(spread / math.sqrt(count) * rng.standard_normal(number))


def _each_field(hours: Floats, fields: Floats, fit: Closing) -> Floats:
    """Fit each field that has three times or more while the mean closes: (F, 4); outliers count less."""
    known = ~np.isnan(fields)
    enough = (known & fit.moving).sum(axis=1) >= 3
    known, values = known[enough], np.where(known, fields, 0.0)[enough]
    weights, own = known.astype(np.float64), np.zeros((len(values), 4))
    for _ in range(3 if len(values) else 0):
        own = refit(hours, values, weights, fit.power, lags=fit.parameters[[LAG]], stops=fit.stops)
        off = np.where(known, np.abs(values - law(own, hours, fit.power)), np.nan)
        limit = HUBER * 1.4826 * np.nanmedian(off[:, fit.moving], axis=1, keepdims=True)
        weights = known * np.sqrt(np.minimum(1.0, np.maximum(limit, EXACT) / np.maximum(np.nan_to_num(off), EXACT)))
    return own


def _speed(parameters: Floats, power: int) -> Floats:
    return np.asarray(parameters[..., RATE] / power * parameters[..., START] ** (1 / power))


def _interval(value: float, draws: Floats, tail: float) -> Estimate:
    # "lower" and "higher" never average with an infinite draw
    lower = float(np.percentile(draws, tail, method="lower"))
    upper = float(np.percentile(draws, 100 - tail, method="higher"))
    return Estimate(value, min(lower, value), max(upper, value))
