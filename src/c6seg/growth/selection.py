"""Which growth law: candidates on one series, their probabilities, and draws of the rate over all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c6seg.growth.fitting import Fit, Floats, criterion, fit_law, jacobian, law, noise_scale, refit, resample

Bools = NDArray[np.bool_]
# Largest constant error of the masks, as a part of the mean confluence.
MASK_PART = 0.05
# Fields of a well count as differing in rate where chance would do it less often than this.
DIFFERENT = 0.1
# A plateau that is assumed, not seen, costs a law as much as a parameter in AIC.
ASSUMED = 2.0
# Least growth at which a bend of the curve can mean anything.
RISE = 1.1
# Laws whose AICc differs by no more than this describe the data alike (Burnham and Anderson 2002, section 2.6).
ALIKE = 2.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """One law fitted to one series.

    Parameters
    ----------
    name
        ``"exponential"`` or ``"logistic"``.
    fit
        The fit on the times ``used``.
    used
        (T,) bool.
    aic, aicc
        Akaike's criterion on the times that all candidates share, those before saturation.
    plateau
        Confluence where the law levels off; None where the data do not show it.
    """

    name: str
    fit: Fit
    used: Bools
    aic: float
    aicc: float
    plateau: float | None


def fit_candidates(hours: Floats, values: Floats, early: Bools) -> list[Candidate]:
    """Fit the exponential, the logistic that ends in a full field, and the logistic with a plateau of its own.

    Parameters
    ----------
    hours
        (T,) since the first time.
    values
        (T,) confluence.
    early
        (T,) bool, times before saturation.
    """
    scale = noise_scale(hours, values, free=3 if values.size >= 6 else 2)
    first = hours[early], values[early], scale[early]
    exponential = fit_law(*first, free=2)
    found = [Candidate("exponential", exponential, early, *criterion(*first[:2], exponential), None)]
    bent = []
    if exponential.fitted[-1] >= RISE * exponential.fitted[0]:
        bent.append(fit_law(hours, values, scale, free=2, plateau_inverse=1.0))
        if values.size > 4:
            bent.append(fit_law(hours, values, scale, free=3))
    for fit in bent:
        inverse = float(fit.parameters[2])
        # where later times show the plateau, the laws are compared on the times before it
        same = fit if early.all() else fit_law(*first, free=2, plateau_inverse=inverse)
        aic, aicc = criterion(*first[:2], same)
        cost = ASSUMED if fit.free == 2 else 0.0
        plateau = 1 / inverse if fit.free == 3 else None
        found.append(Candidate("logistic", fit, np.ones_like(early), aic + cost, aicc + cost, plateau))
    return found


def akaike_weights(candidates: list[Candidate]) -> Floats:
    """Return the probability of each law by AICc; with too few times for it, by AIC among the simplest laws."""
    scores = np.array([one.aicc for one in candidates])
    if not np.isfinite(scores).any():
        scores = np.array([one.aic if one.fit.free == 2 else math.inf for one in candidates])
    chance = np.exp(-0.5 * (scores - scores.min()))
    return np.asarray(chance / chance.sum())


def choose(candidates: list[Candidate]) -> Candidate:
    """Return the law of the lowest AICc, or the exponential, the simplest, where it describes the data as well."""
    best = candidates[int(akaike_weights(candidates).argmax())]
    simple = candidates[0]
    return best if best.aicc < simple.aicc - ALIKE else simple


def draw(
    candidates: list[Candidate], weights: Floats, hours: Floats, values: Floats, number: int, rng: np.random.Generator
) -> Floats:
    """Return ``number`` draws of (a, r, k), from each law as many as it is probable."""
    counts = np.diff(np.round(np.concatenate([[0.0], np.cumsum(weights)]) * number)).astype(int)
    return np.concatenate(
        [
            resample(hours[one.used], values[one.used], one.fit, int(count), rng)
            for one, count in zip(candidates, counts, strict=True)
            if count
        ]
    )


def mask_shift(hours: Floats, values: Floats, chosen: Candidate, error: float) -> float:
    """Return by how much the rate moves when all confluences are off by ``error``, as masks that are too wide make it.

    Parameters
    ----------
    hours
        (T,) since the first time.
    values
        (T,) confluence.
    chosen
        The law that describes them.
    error
        Constant error of the confluence; at most :data:`MASK_PART` of the mean is taken, since masks of sparse
        cultures are wrong by less.
    """
    time, known = hours[chosen.used], values[chosen.used]
    step = min(error, MASK_PART * float(known.mean()))
    off = np.stack([known + step, np.maximum(known - step, 0.0)])
    more, less = refit(time, off, np.broadcast_to(1 / chosen.fit.scale, off.shape), chosen.fit, free=2)[:, 1]
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
    each = refit(time, values, weights, chosen.fit, free=2)
    slopes = jacobian(each, time)[..., :2] * weights[..., None]
    off = (law(each, time) - values) * weights
    freedom = present.sum(axis=1) - 2
    normal = np.einsum("bti,btj->bij", slopes, slopes) + 1e-12 * np.eye(2)
    within = float(np.mean(np.linalg.inv(normal)[:, 1, 1] * (off**2).sum(axis=1) / freedom))
    spread = float(np.var(each[:, 1], ddof=1))
    if within <= 0 or stats.f.sf(spread / within, count - 1, int(freedom.sum())) > DIFFERENT:
        return np.zeros(number)
    error = math.sqrt(max(0.0, spread - within) / count)
    # two fields give one difference; Student's t with one degree of freedom would refuse nearly every pair
    return np.asarray(error * rng.standard_t(max(2, count - 1), number))
