"""Growth rate against concentration: half-effect concentrations, or words that say why there is none.

Rates are used, not end points: how far growth is inhibited at an end point depends on how fast the cells divide
(Hafner et al., Nature Methods 13 (2016) 521).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from c6seg.growth.plates.dose_fit import (
    DoseFit,
    effect_p,
    fit_dose,
    hill_interval,
    ic50_interval,
    lack_of_fit_p,
    logistic,
    rate_interval,
    shares_at,
)
from c6seg.growth.plates.dose_scatter import widened
from c6seg.growth.plates.groups import Grouped
from c6seg.growth.plates.rates import RateModel
from c6seg.growth.plates.results import DoseResponse, Floats
from c6seg.growth.words import confidence_text, counted, number, p_value, short

# A curve of four parameters needs as many concentrations, besides the control.
LEAST = 4
# Level of the test that wells lie off the curve: the curve is a description, and slight departures do no harm.
OFF_CURVE = 0.01
# Points of a drawn curve, and of the search for the concentration that halves the rate.
DRAWN, SEARCHED = 80, 300


def dose_responses(grouped: Grouped, model: RateModel, *, confidence: float) -> tuple[DoseResponse, ...]:
    """Fit a dose response for each treatment that the map gives in two or more concentrations.

    The control is concentration 0. Each well weighs by the inverse of its variance, between wells and of its own fit;
    differences between plates are taken off.
    """
    levels: dict[tuple[str, str], set[float]] = {}
    for group in grouped.groups:
        if group.role == "sample" and group.concentration:
            levels.setdefault((group.treatment, group.unit), set()).add(group.concentration)
    return tuple(
        _response(treatment, unit, grouped, model, confidence)
        for (treatment, unit), found in levels.items()
        if len(found) > 1
    )


def _response(treatment: str, unit: str, grouped: Grouped, model: RateModel, confidence: float) -> DoseResponse:
    members = {
        group.label: group.concentration
        for group in grouped.groups
        if group.role == "sample" and (group.treatment, group.unit) == (treatment, unit)
    }
    if grouped.control is not None:
        members[grouped.control] = 0.0
    picked = [index for index, well in enumerate(model.wells) if members.get(well.group) is not None]
    concentration = np.array([members[model.wells[index].group] for index in picked], dtype=np.float64)
    offsets = np.zeros(len(model.wells))
    variance = model.errors**2
    if model.fit is not None:
        variance = variance + model.fit.well_variance
        if model.fit.plate_effects.size:
            offsets = model.fit.plate_effects[list(model.plates)]
    rate, variance = (model.rates - offsets)[picked], variance[picked]
    weight = 1 / variance if (variance > 0).all() else np.ones_like(variance)
    return respond(treatment, unit, concentration, rate, weight, confidence=confidence)


def respond(
    treatment: str, unit: str, concentration: Floats, rate: Floats, weight: Floats, *, confidence: float = 0.95
) -> DoseResponse:
    """Fit a dose response, or say why there is none.

    Parameters
    ----------
    treatment, unit
        For the words.
    concentration
        (N,) of each well, 0 = control.
    rate
        (N,) growth rate, 1/h.
    weight
        (N,) 1 / variance, up to a factor.
    confidence
        Of the intervals.
    """
    base = DoseResponse(treatment, unit, concentration, rate)
    tested = np.unique(concentration[concentration > 0])
    if tested.size < LEAST or rate.size <= LEAST:
        words = (
            f"No IC50 of {treatment}: {counted(rate.size, 'well')} at {counted(tested.size, 'concentration')} above 0 "
            f"cannot carry a curve with four parameters; at least {LEAST} concentrations and {LEAST + 1} wells are "
            "needed. Add concentrations in equal factors, such as 3-fold steps, until the effect is complete."
        )
        return replace(base, verdict=words)
    fit = fit_dose(concentration, rate, weight, confidence=confidence)
    p = effect_p(fit)
    if p >= 1 - confidence:
        words = (
            f"No IC50 of {treatment}: no change of the growth rate with the concentration can be claimed (p = "
            f"{p_value(p)}, F test against a constant). If it has an effect, use more wells or concentrations above "
            f"{_amount(tested[-1], unit)}."
        )
        return replace(base, verdict=words)
    fit = widened(fit, concentration, rate, weight)
    base = _with_curve(base, fit, tested)
    words = ""
    half = _half_rate(fit, tested) if (concentration == 0).any() else None
    if half is not None:
        base = replace(base, gi50=half[0], gi50_lower=half[1], gi50_upper=half[2])
        ends = f"{confidence_text(confidence)} interval {number(half[1])} to {number(half[2])}"
        words = f" The rate is half the control's at {_amount(half[0], unit)} (GI50; {ends})."
    words += _off_curve(fit, concentration, rate, weight)
    lower, upper = ic50_interval(fit)
    if lower < tested[0] or upper > tested[-1]:
        return replace(base, verdict=_not_bracketed(treatment, unit, tested, lower, upper) + words)
    return _with_numbers(base, fit, lower, upper, words, confidence)


def _with_curve(base: DoseResponse, fit: DoseFit, tested: Floats) -> DoseResponse:
    at = np.geomspace(tested[0], tested[-1], DRAWN)
    middle = logistic(at, fit.top, fit.bottom, fit.ic50, fit.hill)
    shares = shares_at(fit, at)
    lower, upper = rate_interval(fit, 1 - shares, shares)
    return replace(
        base,
        curve_concentration=at,
        curve_rate=middle,
        curve_lower=np.minimum(lower, middle),
        curve_upper=np.maximum(upper, middle),
    )


def _with_numbers(
    base: DoseResponse, fit: DoseFit, lower: float, upper: float, words: str, confidence: float
) -> DoseResponse:
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    top, bottom = rate_interval(fit, one, zero), rate_interval(fit, zero, one)
    slopes = hill_interval(fit)
    sure = f"{confidence_text(confidence)} interval"
    falls = fit.bottom < fit.top
    return replace(
        base,
        top=fit.top,
        bottom=fit.bottom,
        hill=fit.hill,
        ic50=fit.ic50,
        lower=lower,
        upper=upper,
        top_lower=float(top[0][0]),
        top_upper=float(top[1][0]),
        bottom_lower=float(bottom[0][0]),
        bottom_upper=float(bottom[1][0]),
        hill_lower=slopes[0] or None,
        hill_upper=slopes[1] if math.isfinite(slopes[1]) else None,
        verdict=(
            f"{'IC50' if falls else 'EC50'} of {base.treatment}: {_amount(fit.ic50, base.unit)} ({sure} "
            f"{number(lower)} to {number(upper)}). The growth rate {'falls' if falls else 'rises'} from "
            f"{number(fit.top, 2)} to {number(fit.bottom, 2)} per h, with a Hill slope of "
            f"{_slope(fit.hill, *slopes)}.{words}"
        ),
    )


def _half_rate(fit: DoseFit, tested: Floats) -> tuple[float, float, float] | None:
    """Concentration at which the rate is half the control's, with its interval; None where it is not within the range.

    A concentration belongs to the interval where a curve that the data allow has half its top there.
    """
    if rate_interval(fit, np.ones((1, 1)), np.zeros((1, 1)))[0][0] <= 0 or fit.bottom >= fit.top / 2:
        return None
    part = 0.5 * fit.top / (fit.top - fit.bottom)
    value = fit.ic50 * (part / (1 - part)) ** (1 / fit.hill)
    at = np.geomspace(tested[0], tested[-1], SEARCHED)
    shares = shares_at(fit, at)
    lower, upper = rate_interval(fit, 0.5 - shares, shares)
    allowed = np.flatnonzero((lower <= 0) & (upper >= 0))
    beyond = tested[0] <= value <= tested[-1]
    if not beyond or (allowed.size and (allowed[0] == 0 or allowed[-1] == SEARCHED - 1)):
        return None
    below, above = (at[allowed[0] - 1], at[allowed[-1] + 1]) if allowed.size else (value, value)
    return value, min(float(below), value), max(float(above), value)


def _off_curve(fit: DoseFit, concentration: Floats, rate: Floats, weight: Floats) -> str:
    p = lack_of_fit_p(fit, concentration, rate, weight)
    if p is None or p >= OFF_CURVE:
        return ""
    return (
        f" The wells lie further off this curve than wells treated alike scatter (p {'' if p < 0.001 else '= '}"
        f"{p_value(p)}): look whether the response goes one way only."
    )


def _not_bracketed(treatment: str, unit: str, tested: Floats, lower: float, upper: float) -> str:
    step = min(10.0, float(np.exp(np.median(np.diff(np.log(tested))))))
    low, high = lower < tested[0], upper > tested[-1]
    sides, advice = [], []
    if low:
        sides.append(f"below {_amount(tested[0], unit)}")
        advice.append(f"{_rounded(tested[0] / step**2)} and {_rounded(tested[0] / step)} {unit}".strip())
    if high:
        sides.append(f"above {_amount(tested[-1], unit)}")
        advice.append(f"{_rounded(tested[-1] * step)} and {_rounded(tested[-1] * step**2)} {unit}".strip())
    more = " and more wells at each" if low and high else ""
    return (
        f"No IC50 of {treatment}: it is not bracketed by the tested concentrations, it may lie {' or '.join(sides)}. "
        f"Add concentrations such as {', '.join(advice)}{more}."
    )


def _slope(hill: float, lower: float, upper: float) -> str:
    ends = f"{number(lower, 2)} to {number(upper, 2)}" if math.isfinite(upper) else f"at least {number(lower, 2)}"
    return f"{number(hill, 2)} ({ends})"


def _amount(value: float, unit: str) -> str:
    return f"{short(value)} {unit}".strip()


def _rounded(value: float) -> str:
    return short(float(f"{value:.2g}"))
