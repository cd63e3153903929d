"""The gap in each field over time to closure rate, front speed and half-closure time, or to words that say why not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from c6seg.errors import DataError
from c6seg.growth.wounds.draws import Course, Estimate, estimate, mean_of_fields, spread_of_fields
from c6seg.growth.wounds.jumps import SEEN
from c6seg.growth.wounds.law import LAG, LEVEL, START, Bools, Floats, half_time_h
from c6seg.growth.wounds.results import WoundFit
from c6seg.growth.wounds.words import CLOSED, describe, few, jumps, no_change, not_sure, too_fast
from c6seg.runtime import seed_for

MIN_TIMES = 4
# Part of the image below which there is no gap to follow.
LEAST = 0.005
# Least part of the first gap that closes (or opens) over the observed time: moving cells at the rims, focus and light
# feign less.
LEAST_CHANGE = 0.1


def fit_wound(
    name: str,
    time_h: ArrayLike,
    gap_fields: ArrayLike,
    *,
    gap_um2: ArrayLike | None = None,
    front_length_um: float | None = None,
    shape: str = "strip",
    confidence: float = 0.95,
    bootstrap: int = 1000,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> WoundFit:
    """Estimate how fast a gap closes, or say why the data cannot carry it.

    The gap falls along a straight line until it is closed, stays closed, and the closed part does not flatten the line;
    a lag before and a stop short of closing are allowed for where the data clearly show them. Of a round gap the radius
    falls along the line. Intervals come from ``bootstrap`` refits with the noise of the frames drawn anew, to which the
    differences between fields are added.

    Parameters
    ----------
    name
        Of the series.
    time_h
        (T,) hours, in any order.
    gap_fields
        (F, T) part of the analysed area that is gap in each field, 0..1; NaN where unknown.
    gap_um2
        (T,) area of the gap in one field, um2, in the same order; None where the scale is unknown.
    front_length_um
        Half the length of all fronts: of a strip, the mean length of its two fronts, um; None where unknown.
    shape
        As in :class:`~c6seg.growth.wounds.results.WoundFit`; a ``"round"`` gap closes from all sides.
    confidence
        Of the intervals.
    bootstrap
        Number of refits.
    seed
        Base of the random numbers.
    notes
        Carried into the result.

    Raises
    ------
    DataError
        The shapes differ, a time occurs twice or is not finite, a gap is outside 0..1, or the length is not positive.

    Examples
    --------
    >>> time_h = np.arange(0, 20, 2.0)
    >>> fit = fit_wound("B2", time_h, 0.4 * np.maximum(0, 1 - 0.08 * time_h)[None])
    >>> round(fit.closure_per_h, 4), round(fit.half_h, 2)
    (0.08, 6.25)
    """
    time, fields, area_um2 = _checked(time_h, gap_fields, gap_um2, front_length_um)
    fields = fields[~np.isnan(fields).all(axis=1)]
    known = np.asarray(~np.isnan(fields).all(axis=0))
    make = _maker(name, time, fields, known, area_um2, front_length_um, shape, confidence, tuple(notes))
    if int(known.sum()) < MIN_TIMES:
        return make(verdict=few(int(known.sum()), MIN_TIMES), kind="few")
    gap = make.args[2]
    if gap[known][0] < LEAST:
        return make(verdict="No number: there is no wound at the first time.", kind="none")
    rng, power = np.random.default_rng(seed_for(seed, "wound", name)), 2 if shape == "round" else 1
    hours = time[known] - time[known][0]
    course = estimate(hours, fields[:, known], power=power, confidence=confidence, number=bootstrap, rng=rng)
    return _decide(
        make, course, hours, float(time[known][0]), _um2_per_part(gap, area_um2), front_length_um, confidence
    )


def _maker(
    name: str,
    time: Floats,
    fields: Floats,
    known: Bools,
    area_um2: Floats | None,
    front_length_um: float | None,
    shape: str,
    confidence: float,
    notes: tuple[str, ...],
) -> partial[WoundFit]:
    """Return the result without what the fit says: what was measured at each time."""
    gap = np.full(time.size, np.nan)
    gap[known] = mean_of_fields(fields[:, known])
    lower, upper = spread_of_fields(fields, gap, confidence)
    first = float(gap[known][0]) if known.any() else 0.0
    return partial(
        WoundFit,
        name,
        time,
        gap,
        lower,
        upper,
        area_um2,
        closed=1 - gap / first if first > 0 else None,
        width_um=area_um2 / front_length_um if area_um2 is not None and front_length_um and shape == "strip" else None,
        shape=shape,
        notes=notes,
        fields=len(fields),
    )


def _checked(
    time_h: ArrayLike, gap_fields: ArrayLike, gap_um2: ArrayLike | None, front_length_um: float | None
) -> tuple[Floats, Floats, Floats | None]:
    time, fields = np.asarray(time_h, dtype=np.float64), np.asarray(gap_fields, dtype=np.float64)
    if time.ndim != 1 or fields.ndim != 2 or fields.shape[1] != time.size:
        raise DataError(f"Times {time.shape} and gaps {fields.shape} do not fit; they must be (T,) and (F, T).")
    if not np.isfinite(time).all() or np.unique(time).size < time.size:
        raise DataError("Times must be finite numbers of hours, each of them once.")
    known = fields[~np.isnan(fields)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        raise DataError(f"A gap is a part of the area, 0..1; these go from {known.min():g} to {known.max():g}.")
    area = None if gap_um2 is None else np.asarray(gap_um2, dtype=np.float64)
    if area is not None and area.shape != time.shape:
        raise DataError(f"There are {time.size} times and {area.shape} areas; they must be one for each time.")
    if front_length_um is not None and not (math.isfinite(front_length_um) and front_length_um > 0):
        raise DataError(f"A front of {front_length_um} um is impossible; give a positive length or None.")
    order = np.argsort(time)
    return time[order], fields[:, order], None if area is None else area[order]


def _um2_per_part(gap: Floats, area_um2: Floats | None) -> float | None:
    """Area of the whole field, um2."""
    if area_um2 is None:
        return None
    both = np.isfinite(gap) & np.isfinite(area_um2) & (gap > 0)
    return float(area_um2[both].sum() / gap[both].sum()) if both.any() else None


def _decide(
    make: partial[WoundFit],
    course: Course,
    hours: Floats,
    begin_h: float,
    size_um2: float | None,
    front_um: float | None,
    confidence: float,
) -> WoundFit:
    fit, rate = course.fit, course.rate
    start, span = float(fit.parameters[START]), float(hours[-1])
    change = 1 - float(fit.fitted[-1]) / start
    jump = course.jump
    if jump is not None and abs(1 - jump.after / jump.before) >= LEAST_CHANGE:
        return make(verdict=jumps(jump, hours), kind="still")
    closing = fit.closing(hours)
    if int(fit.moving.sum()) < fit.least or int(closing.sum()) < SEEN:
        return make(verdict=too_fast(hours, closing), kind="few")
    if rate.upper < 0 and change <= -LEAST_CHANGE:
        return make(verdict=f"No number: the gap widens, by {-100 * change:.3g} % in {span:.3g} h.", kind="opening")
    if rate.lower <= 0 or change < LEAST_CHANGE:
        return make(verdict=no_change(course, change, span, confidence), kind="still")
    if rate.vague:
        return make(verdict=not_sure(rate, confidence), kind="uncertain")
    front = _front(course, size_um2, front_um)
    stop = float(fit.parameters[LEVEL]) / start
    reached = float(half_time_h(fit.parameters, fit.power)) <= span
    half = course.half if reached and not course.half.vague else None
    result = make(
        verdict="",
        kind="closing",
        closure_per_h=rate.value,
        closure_lower=rate.lower,
        closure_upper=rate.upper,
        front_um_per_h=front.value if front else None,
        front_lower=front.lower if front else None,
        front_upper=front.upper if front else None,
        half_h=half.value if half else None,
        half_lower=half.lower if half else None,
        half_upper=half.upper if half else None,
        curve_time_h=course.grid_h + begin_h,
        curve_gap=course.curve,
        curve_lower=course.lower,
        curve_upper=course.upper,
        lag_h=float(fit.parameters[LAG]) if fit.lags else None,
        stop=stop if stop >= CLOSED else None,
    )
    return replace(result, verdict=describe(result, course, hours, confidence))


def _front(course: Course, size_um2: float | None, front_um: float | None) -> Estimate | None:
    """Speed of a front: the area that closes per hour by the length of the two fronts, or the radius that does."""
    if size_um2 is None or (course.fit.power == 1 and front_um is None):
        return None
    factor = math.sqrt(size_um2 / math.pi) if course.fit.power == 2 else size_um2 / (2 * (front_um or math.nan))
    found = course.speed
    return None if found.vague else Estimate(*(factor * each for each in (found.value, found.lower, found.upper)))
