"""Which growth law: candidates on one series, their probabilities, and draws of the rate over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from c6seg.growth.fits.fitting import EMPTY, Fit, fit_law, fit_step, noise_scale
from c6seg.growth.fits.laws import (
    FULL_FIELD,
    GOMPERTZ,
    LAG,
    LOGISTIC,
    OVERLAPPING,
    RICHARDS,
    A,
    Floats,
    K,
    R,
    slopes,
    specific_rate,
)
from c6seg.growth.fits.refitting import refit
from c6seg.growth.fits.resampling import criterion, resample

Bools = NDArray[np.bool_]
# Largest constant error of the masks, as a part of the mean confluence.
MASK_PART = 0.05
# Fields of a well count as differing in rate where chance would do it less often than this.
DIFFERENT = 0.1
# A plateau that is assumed, not seen, costs a law half as much as a parameter in AIC.
ASSUMED = 1.0
# Least growth at which a bend of the curve can mean anything.
RISE = 1.1
# Laws whose AICc differs by no more than this describe the data alike (Burnham and Anderson 2002, section 2.6).
ALIKE = 2.0
# Fewest times from which a law with one more parameter is tried: three more than it has parameters.
SPARE = 3
# A law counts where so many times lie in its growth, at a quarter of its fastest or more; one more after a lag. A
# first picture out of focus, or cells that attach, would else pass for growth that has ended.
GROWING_TIMES, GROWING = 4, 0.25
# Growth after a lag must fill this part of the observed time: a jump in the last pictures is none.
LATE = 0.25
# One jump in the pictures passes for growth; its place is sought, which costs as much as a parameter in AIC.
SOUGHT = 2.0
# Confluence from which on a culture starts crowded.
CROWDED = 0.2
# Laws less probable than this part of the best one are left out of the averaged rate, as in Occam's window (Madigan and
# Raftery, J. Am. Stat. Assoc. 89 (1994) 1535): the rate of a law that hardly fits may be anything. Where
# the rates of all cultures were averaged, a twentieth made those of Gompertz 11 % too fast, a fifth left them right.
WINDOW = 0.2
# Times above saturation that show a plateau; a single one may be a picture out of focus.
TIMES_OF_PLATEAU = 2
# Width of the rounded corner at the end of a lag, in median intervals.
SOFTNESS = 0.2


@dataclass(frozen=True, slots=True)
class Candidate:
    """One law fitted to one series.

    Parameters
    ----------
    fit
        The fit on the times ``used``.
    used
        (T,) bool.
    aic, aicc
        Akaike's criterion on the times that all candidates share, those before saturation.
    cost
        What is added to it, so that many bent laws together are no likelier beforehand than the one straight law.
    """

    fit: Fit
    used: Bools
    aic: float
    aicc: float
    cost: float = 0.0

    @property
    def name(self) -> str:
        """Of the law, with its lag."""
        return self.fit.law.name + (" with lag" if self.fit.law.lags else "")

    @property
    def grows(self) -> bool:
        """Whether the law is one of growth, not of a jump."""
        return self.fit.law.shape != "step"

    @property
    def plateau(self) -> float | None:
        """Confluence where the law levels off; None where the data do not show it."""
        return 1 / float(self.fit.parameters[K]) if K in self.fit.law.free else None


def fit_candidates(hours: Floats, values: Floats, early: Bools) -> list[Candidate]:
    """Fit the exponential, overlapping, logistic, Gompertz and Richards law, each without and with a lag.

    The logistic is fitted twice: with a full field as its plateau, and with a plateau of its own. Where the confluence
    rises, a single jump competes with all of them.

    Parameters
    ----------
    hours
        (T,) since the first time.
    values
        (T,) confluence.
    early
        (T,) bool, times before saturation.
    """
    scale = noise_scale(hours, values)
    first = hours[early], values[early], scale[early]
    exponential = fit_law(*first)
    found = [Candidate(exponential, early, *criterion(*first[:2], exponential))]
    if exponential.fitted[-1] < RISE * exponential.fitted[0]:
        return found
    softness_h = SOFTNESS * float(np.median(np.diff(hours)))
    size = int(early.sum())
    plain: list[Fit] = [fit_law(hours, values, scale, FULL_FIELD), fit_law(hours, values, scale, OVERLAPPING)]
    for law in (LOGISTIC, GOMPERTZ, RICHARDS):
        if values.size >= len(law.free) + SPARE - (law is LOGISTIC):
            plain.append(fit_law(hours, values, scale, law, near=plain[-1] if law is RICHARDS else plain[0]))
    late = [_lagging(exponential, first, softness_h)] if size >= 2 + 1 + SPARE else []
    late = [one for one in late if _supported(one, first[0])]
    found += [Candidate(one, early, *criterion(*first[:2], one)) for one in late]
    bent = list(plain)
    for fit in plain:
        if fit.law.name != "Richards" and size >= fit.free + 1 + SPARE:
            bent.append(_lagging(fit, (hours, values, scale), softness_h))
    for fit in (one for one in bent if _supported(one, hours)):
        found.append(_bent(fit, first, early))
    many = 2 * math.log(max(1, len(found) - 1))
    others = [replace(one, cost=one.cost + many) for one in found[1:]]
    step = fit_step(*first)
    others.append(Candidate(step, early, *criterion(*first[:2], step), SOUGHT))
    return [found[0], *sorted(others, key=lambda one: one.fit.free)]


def _bent(fit: Fit, first: tuple[Floats, Floats, Floats], early: Bools) -> Candidate:
    """Score a law with a plateau on the times before saturation, as the others are.

    Its plateau and the shape of its bend come free of charge only where at least two later times show them.
    """
    assumed = ASSUMED if K not in fit.law.free else 0.0
    late = int(np.count_nonzero(~early))
    if late == 0:
        return Candidate(fit, early, *criterion(*first[:2], fit), assumed)
    same = fit_law(*first, fit.law.pinned(fit.parameters, A, R, LAG), near=fit)
    unseen = 0 if late >= TIMES_OF_PLATEAU else fit.free - same.free
    return Candidate(fit, np.ones_like(early), *criterion(*first[:2], same, more=unseen), assumed)


def _lagging(fit: Fit, data: tuple[Floats, Floats, Floats], softness_h: float) -> Fit:
    return fit_law(*data, fit.law.with_lag(softness_h), near=fit)


def _supported(fit: Fit, hours: Floats) -> bool:
    """Whether enough times lie in the growth of a law, and its lag, if any, is longer than half an interval."""
    rates = specific_rate(fit.law, fit.parameters, hours)
    growing = int(np.count_nonzero((rates >= GROWING * rates.max()) & (fit.fitted >= EMPTY)))
    lag = float(fit.parameters[LAG])
    if not fit.law.lags:
        return growing >= GROWING_TIMES
    long_enough = float(hours[-1]) - lag >= LATE * float(hours[-1])
    return growing > GROWING_TIMES and long_enough and lag > 0.5 * float(np.median(np.diff(hours)))


def akaike_weights(candidates: Sequence[Candidate]) -> Floats:
    """Return the probability of each law by AICc; with too few times for it, by AIC among the simplest laws."""
    scores = np.array([one.aicc + one.cost for one in candidates])
    if not np.isfinite(scores).any():
        scores = np.array([one.aic + one.cost if one.fit.free == 2 else math.inf for one in candidates])
    chance = np.exp(-0.5 * (scores - scores.min()))
    return np.asarray(chance / chance.sum())


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """Return the simplest of the laws of growth that describe the data as well as the one of the lowest AICc."""
    grows = [one for one in candidates if one.grows]
    best = grows[int(akaike_weights(grows).argmax())]
    if not math.isfinite(best.aicc):
        return candidates[0]
    return next(one for one in grows if one.aicc + one.cost <= best.aicc + best.cost + ALIKE)


def best_rate(candidates: Sequence[Candidate], chosen: Candidate) -> float:
    """Return the growth rate of the chosen law, per hour; of a crowded start, that of all laws.

    In a sparse culture the laws begin alike, and the simplest one gives the rate that was seen. Of a culture that
    starts crowded, unhindered growth was never seen: its rate is inferred from the law, and where several describe the
    data alike, that of one alone lies at the edge of what they leave possible. There it is averaged, each law being
    counted as it is probable (Burnham and Anderson 2002, section 4.2). The jump, which has no rate, is left to the
    interval.
    """
    if chosen.fit.fitted[0] < CROWDED:
        return float(chosen.fit.parameters[R])
    grows = [one for one in candidates if one.grows]
    weights = akaike_weights(grows)
    weights = np.where(weights >= WINDOW * weights.max(), weights, 0.0)
    weights /= weights.sum()
    rates = np.array([one.fit.parameters[R] for one in grows])
    # of rates that differ by factors the logarithms are averaged: the fastest would else decide
    return float(np.exp(weights @ np.log(rates)) if rates.min() > 0 else weights @ rates)


def draw(
    candidates: Sequence[Candidate],
    weights: Floats,
    hours: Floats,
    values: Floats,
    number: int,
    rng: np.random.Generator,
) -> list[tuple[Candidate, Floats]]:
    """Return ``number`` draws of the parameters, from each law as many as it is probable."""
    counts = np.diff(np.round(np.concatenate([[0.0], np.cumsum(weights)]) * number)).astype(int)
    return [
        (one, resample(hours[one.used], values[one.used], one.fit, int(count), rng))
        for one, count in zip(candidates, counts, strict=True)
        if count
    ]


def mask_shift(hours: Floats, values: Floats, chosen: Candidate, error: float, *, arcsine: float = 0.0) -> float:
    """Return by how much the rate moves when all confluences are off alike, as masks that are too wide make it.

    Parameters
    ----------
    hours
        (T,) since the first time.
    values
        (T,) confluence.
    chosen
        The law that describes them.
    error
        Constant error of the confluence; at most :data:`MASK_PART` of the mean is taken.
    arcsine
        Constant error of asin(sqrt(confluence)), as a calibration of the model measures it.
    """
    time, known = hours[chosen.used], values[chosen.used]
    step = min(error, MASK_PART * float(known.mean()))
    turned = np.arcsin(np.sqrt(known))
    off = np.stack([np.sin(np.clip(turned + side * arcsine, 0, np.pi / 2)) ** 2 + side * step for side in (1, -1)])
    off = np.maximum(off, 0.0)
    more, less = _only_start_and_rate(time, off, np.broadcast_to(1 / chosen.fit.scale, off.shape), chosen.fit)[:, R]
    return float(less - more) / 2


def between_fields(hours: Floats, fields: Floats, chosen: Candidate, number: int, rng: np.random.Generator) -> Floats:
    """Return draws of what the mean rate of the fields may be off, beyond the noise within each of them.

    The fields' own rates are compared with the errors of their fits (F test); where they differ, the excess variance,
    divided by the number of fields, is drawn from Student's t.

    Parameters
    ----------
    hours
        (T,) since the first time.
    fields
        (F, T) confluence of each field; NaN where missing.
    chosen
        The law that describes their mean.
    number
        How many draws.
    rng
        Source of chance.
    """
    from scipy import stats

    time, parts = hours[chosen.used], fields[:, chosen.used]
    present = ~np.isnan(parts)
    parts, present = parts[present.sum(axis=1) >= 4], present[present.sum(axis=1) >= 4]
    count = len(parts)
    if count < 2:
        return np.zeros(number)
    values, weights = np.where(present, parts, 0.0), present / chosen.fit.scale
    each = _only_start_and_rate(time, values, weights, chosen.fit)
    fitted, by = slopes(chosen.fit.law, each, time)
    by, off = by[..., :2] * weights[..., None], (fitted - values) * weights
    freedom = present.sum(axis=1) - 2
    normal = np.einsum("bti,btj->bij", by, by) + 1e-12 * np.eye(2)
    within = float(np.mean(np.linalg.inv(normal)[:, 1, 1] * (off**2).sum(axis=1) / freedom))
    spread = float(np.var(each[:, R], ddof=1))
    if within <= 0 or stats.f.sf(spread / within, count - 1, int(freedom.sum())) > DIFFERENT:
        return np.zeros(number)
    error = math.sqrt(max(0.0, spread - within) / count)
    # two fields give one difference; Student's t with one degree of freedom would refuse nearly every pair
    return np.asarray(error * rng.standard_t(max(2, count - 1), number))


def _only_start_and_rate(time: Floats, values: Floats, weights: Floats, fit: Fit) -> Floats:
    return refit(time, values, weights, fit.law.pinned(fit.parameters, A, R), fit.parameters)
