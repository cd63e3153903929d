"""Least-squares fits of the growth laws to one series, by SciPy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from c6seg.growth.fits.laws import (
    EXPONENTIAL,
    HIGHEST,
    LAG,
    LOGISTIC,
    LOWEST,
    STEP,
    A,
    Floats,
    K,
    Law,
    R,
    V,
    confluence_at,
    slopes,
)
from c6seg.growth.fits.refitting import bounds, refit

# Confluence below which a field counts as empty: a speck on it is no culture.
EMPTY = 0.005
# Confluence below which the noise no longer shrinks with the signal.
FLOOR = EMPTY / 5
# Residuals beyond this many robust standard deviations pull linearly, not quadratically (Huber).
HUBER = 3.5
POWERS = (0.0, 0.5, 1.0)
# Ends of a lag that are tried as a start.
MOST_LAGS = 24
# Typical sizes of steps in a, r, k, v, lag.
STEPS = np.array([1.0, 0.01, 1.0, 1.0, 5.0])


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted law.

    Parameters
    ----------
    law
        Which.
    parameters
        (5,) a, r, k, v, lag.
    fitted
        (T,) confluence by the law.
    scale
        (T,) standard deviation of the noise, up to a factor.
    weights
        (T,) 1, and less for outliers.
    aic
        Akaike's criterion for independent noise; see :func:`criterion` for the one that laws are chosen by.
    """

    law: Law
    parameters: Floats
    fitted: Floats
    scale: Floats
    weights: Floats
    aic: float

    @property
    def free(self) -> int:
        """Number of fitted parameters."""
        return len(self.law.free)


def fit_law(time_h: Floats, values: Floats, scale: Floats, law: Law = EXPONENTIAL, *, near: Fit | None = None) -> Fit:
    """Weighted, robust least squares by SciPy.

    Parameters
    ----------
    time_h
        (T,) hours since the first time.
    values
        (T,) confluence.
    scale
        (T,) standard deviation of the noise, up to a factor.
    law
        What is fitted.
    near
        A fit of a simpler law to the same values, whose parameters are the start; None = a line through the logarithm.
    """
    from scipy.optimize import least_squares

    free = list(law.free)

    def residuals(part: Floats) -> Floats:
        return (confluence_at(law, law.full(part), time_h) - values) / scale

    def jacobian(part: Floats) -> Floats:
        return np.asarray(slopes(law, law.full(part), time_h)[1] / scale[:, None])

    low, high = bounds(law, time_h)
    solve = partial(
        least_squares, residuals, jac=jacobian, bounds=(low, high), x_scale=STEPS[free], xtol=1e-12, ftol=1e-12
    )
    start = _start(time_h, values, scale, law, near)[free]
    best, weights = solve(np.clip(start, low + 1e-9, high - 1e-9)), np.ones_like(values)
    for _ in range(3):  # an outlier bends the first fit and so hides among its residuals
        spread = 1.4826 * float(np.median(np.abs(best.fun))) * math.sqrt(time_h.size / max(1, time_h.size - len(free)))
        if spread == 0 or np.abs(best.fun).max() <= HUBER * spread:
            break
        best = solve(best.x, loss="huber", f_scale=HUBER * spread)
        weights = np.minimum(1.0, HUBER * spread / np.maximum(np.abs(best.fun), 1e-300))
    parameters = law.full(best.x)
    aic = _aic(best.fun * np.sqrt(weights), scale, len(free))
    return Fit(law, parameters, confluence_at(law, parameters, time_h), scale, weights, aic)


def fit_step(time_h: Floats, values: Floats, scale: Floats) -> Fit:
    """Fit one jump between two levels, at each pair of neighbouring times, and return the best of these fits.

    Parameters
    ----------
    time_h
        (T,) hours since the first time, at least two.
    values
        (T,) confluence.
    scale
        (T,) standard deviation of the noise, up to a factor.
    """
    from scipy.ndimage import median_filter

    # the median of three neighbours keeps a jump and loses an outlier, which would else make a jump beside it
    jump = best_jump(np.asarray(median_filter(values, 3, mode="nearest")), 1 / scale**2)
    weights = np.ones_like(values)
    for _ in range(3):  # an outlier moves the first fit and so hides among its residuals
        parameters = _two_levels(time_h, values, weights / scale**2, jump)
        fitted = confluence_at(STEP, parameters, time_h)
        off = np.abs(fitted - values) / scale
        spread = 1.4826 * float(np.median(off)) * math.sqrt(time_h.size / max(1, time_h.size - 2))
        if spread == 0 or off.max() <= HUBER * spread:
            break
        weights = np.minimum(1.0, HUBER * spread / np.maximum(off, 1e-300))
    aic = _aic(off * np.sqrt(weights), scale, 3)
    return Fit(STEP.pinned(parameters, A, K), parameters, fitted, scale, weights, aic)


def best_jump(values: Floats, weights: Floats) -> int:
    """Index of the last time before the jump that leaves the least weighted squares about two levels."""
    sums = np.cumsum(np.stack([weights, weights * values]), axis=1)
    before, after = sums[:, :-1], sums[:, -1:] - sums[:, :-1]
    # what two levels explain of the squares; the rest is the same for all jumps
    return int((before[1] ** 2 / before[0] + after[1] ** 2 / after[0]).argmax())


def _two_levels(time_h: Floats, values: Floats, weights: Floats, jump: int) -> Floats:
    """Parameters of the step whose levels are the weighted means before and after the jump, (5,)."""
    first, last = (
        float(np.average(values[part], weights=weights[part])) for part in (slice(jump + 1), slice(jump + 1, None))
    )
    parameters = STEP.fixed.copy()
    parameters[A] = np.clip(math.log(max(first, 1e-300)), LOWEST[A], HIGHEST[A])
    parameters[K] = max(LOWEST[K], 1 / max(last, 1e-300))
    parameters[LAG] = float(time_h[jump : jump + 2].mean())
    return parameters


def _start(time_h: Floats, values: Floats, scale: Floats, law: Law, near: Fit | None) -> Floats:
    """Start of a fit, (5,)."""
    if near is None or (law.bent and not near.law.bent):
        inverse = law.fixed[K] if K not in law.free else 1.0 / max(1.0, float(values.max()))
        first = first_guess(time_h, values, scale, inverse if law.bent else 0.0)
    else:
        first = near.parameters.copy()
    if law.shape == "gompertz" and not (
        near is not None and near.law.shape == "gompertz"
    ):  # the logistic's rate at the begin
        first[R] *= max(0.05, 1 - math.exp(min(0.0, first[A])) * first[K])
    first[V] = first[V] if V in law.free else law.fixed[V]
    return _best_lag(time_h, values, scale, law, first) if LAG in law.free else first


def first_guess(time_h: Floats, values: Floats, scale: Floats, plateau_inverse: float) -> Floats:
    """Straight line through the logarithm (or logit) of the values: (5,) parameters."""
    safe = np.maximum(values, FLOOR)
    if plateau_inverse > 0:
        part = np.clip(safe * plateau_inverse, 1e-4, 0.98)
        line = np.polyfit(time_h, np.log(part / (1 - part)), 1, w=part * (1 - part))
        a = float(line[1]) - math.log1p(math.exp(min(50.0, float(line[1])))) - math.log(plateau_inverse)
    else:
        line = np.polyfit(time_h, np.log(safe), 1, w=safe / scale)
        a = float(line[1])
    return np.array([a, float(line[0]), plateau_inverse, 1.0, 0.0])


def _best_lag(time_h: Floats, values: Floats, scale: Floats, law: Law, first: Floats) -> Floats:
    """Try lags that end at each of the earlier times; the squares have a minimum between any two of them."""
    lags = time_h[1 : max(2, (2 * time_h.size) // 3)]
    lags = lags[np.unique(np.linspace(0, lags.size - 1, min(lags.size, MOST_LAGS)).round().astype(int))]
    starts = np.tile(first, (lags.size, 1))
    starts[:, LAG] = lags
    drawn = np.broadcast_to(values, (lags.size, values.size))
    weights = np.broadcast_to(1 / scale, drawn.shape)
    fitted = refit(time_h, drawn, weights, law, starts, steps=8)
    cost = (((confluence_at(law, fitted, time_h) - values) / scale) ** 2).sum(axis=1)
    return np.asarray(fitted[int(cost.argmin())])


def noise_scale(time_h: Floats, values: Floats) -> Floats:
    """How the noise grows with the signal: constant, with its square root, or in proportion; by likelihood.

    Returns
    -------
    numpy.ndarray
        (T,) standard deviation up to a factor.
    """
    law = LOGISTIC if values.size >= 6 else EXPONENTIAL
    found = []
    for power in POWERS:
        scale = np.maximum(values, 5 * FLOOR) ** power
        for _ in range(3 if power else 1):
            fit = fit_law(time_h, values, scale, law)
            scale = np.maximum(fit.fitted, 5 * FLOOR) ** power
        found.append((fit.aic, power, scale))
    return min(found, key=lambda item: item[:2])[2]


def _aic(residuals: Floats, scale: Floats, free: int) -> float:
    square = max(float(residuals @ residuals), 1e-30)
    number = residuals.size
    return number * math.log(square / number) + 2 * float(np.log(scale).sum()) + 2 * (free + 1)
