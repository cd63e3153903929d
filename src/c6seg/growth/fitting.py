"""Growth laws and their least-squares fits: one series by SciPy, a thousand resampled ones at once by Gauss-Newton.

Both laws are written with the same parameters ``(a, r, k)``: ``a`` = logarithm of the confluence at the first time,
``r`` = growth rate per hour, ``k`` = 1 / plateau. The exponential is the logistic with ``k = 0``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Confluence below which the noise no longer shrinks with the signal: a fifth of the "empty field" limit.
FLOOR = 0.001
# A plateau cannot lie above a full field, so 1 / plateau is at least 1; the upper end keeps the search in bounds.
INVERSE_PLATEAU = (1.0, 50.0)
# A culture starts below its plateau; the law has a pole where it does not.
FULLEST = 1.0 - 1e-9
# Residuals beyond this many robust standard deviations pull linearly, not quadratically (Huber).
HUBER = 3.5
POWERS = (0.0, 0.5, 1.0)
CORRELATIONS = np.linspace(0.0, 0.9, 19)


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted law.

    Parameters
    ----------
    parameters
        (3,) a, r, k.
    free
        Number of parameters that were fitted (2 = exponential, or logistic with a known plateau).
    fitted
        (T,) confluence by the law.
    scale
        (T,) standard deviation of the noise, up to a factor.
    weights
        (T,) 1, and less for outliers.
    aic
        Akaike's criterion for independent noise; see :func:`criterion` for the one that laws are chosen by.
    """

    parameters: Floats
    free: int
    fitted: Floats
    scale: Floats
    weights: Floats
    aic: float


def law(parameters: Floats, time_h: Floats) -> Floats:
    """Confluence by the law.

    Parameters
    ----------
    parameters
        (..., 3) a, r, k.
    time_h
        (T,) hours since the first time.

    Returns
    -------
    numpy.ndarray
        (..., T) confluence ``y0 exp(r t) / (1 + y0 k (exp(r t) - 1))``.
    """
    a, r, k = (parameters[..., index, None] for index in range(3))
    # divided by exp(r t), so that nothing overflows while cultures grow
    shrink = np.exp(-np.clip(r * time_h, -50, 50))
    start = np.exp(np.clip(a, -50, 50))
    part = np.minimum(start * k, FULLEST)
    return np.asarray(start / (shrink + part * (1 - shrink)), dtype=np.float64)


def jacobian(parameters: Floats, time_h: Floats) -> Floats:
    """Return the derivative of :func:`law` by its parameters, (..., T, 3)."""
    a, r, k = (parameters[..., index, None] for index in range(3))
    shrink = np.exp(-np.clip(r * time_h, -50, 50))
    start = np.exp(np.clip(a, -50, 50))
    part = np.minimum(start * k, FULLEST)
    below = shrink + part * (1 - shrink)
    value = start / below
    by_a = value * shrink / below
    by_r = value * time_h * (1 - part) * shrink / below
    by_k = -value * start * (1 - shrink) / below
    return np.stack([by_a, by_r, by_k], axis=-1)


def fit_law(time_h: Floats, values: Floats, scale: Floats, *, free: int, plateau_inverse: float = 0.0) -> Fit:
    """Weighted, robust least squares by SciPy.

    Parameters
    ----------
    time_h
        (T,) hours since the first time.
    values
        (T,) confluence.
    scale
        (T,) standard deviation of the noise, up to a factor.
    free
        2: a and r are fitted, k is ``plateau_inverse``; 3: all.
    plateau_inverse
        1 / plateau, or 0 for the exponential.
    """
    from scipy.optimize import least_squares

    first = first_guess(time_h, values, scale, plateau_inverse if free == 2 else 1.0 / max(1.0, float(values.max())))

    def full(free_part: Floats) -> Floats:
        return np.concatenate([free_part, [plateau_inverse]]) if free == 2 else free_part

    def residuals(free_part: Floats) -> Floats:
        return (law(full(free_part), time_h) - values) / scale

    def slopes(free_part: Floats) -> Floats:
        return np.asarray(jacobian(full(free_part), time_h)[:, :free] / scale[:, None])

    bounds = ([-12.0, -1.0, INVERSE_PLATEAU[0]][:free], [math.log(1.5), 1.0, INVERSE_PLATEAU[1]][:free])
    start = np.clip(first[:free], np.array(bounds[0]) + 1e-9, np.array(bounds[1]) - 1e-9)
    solve = partial(
        least_squares, residuals, jac=slopes, bounds=bounds, x_scale=[1.0, 0.01, 1.0][:free], xtol=1e-12, ftol=1e-12
    )
    best, weights = solve(start), np.ones_like(values)
    for _ in range(3):  # an outlier bends the first fit and so hides among its residuals
        spread = 1.4826 * float(np.median(np.abs(best.fun))) * math.sqrt(time_h.size / max(1, time_h.size - free))
        if spread == 0 or np.abs(best.fun).max() <= HUBER * spread:
            break
        best = solve(best.x, loss="huber", f_scale=HUBER * spread)
        weights = np.minimum(1.0, HUBER * spread / np.maximum(np.abs(best.fun), 1e-300))
    parameters = full(best.x)
    aic = _aic(best.fun * np.sqrt(weights), scale, free)
    return Fit(parameters, free, law(parameters, time_h), scale, weights, aic)


def first_guess(time_h: Floats, values: Floats, scale: Floats, plateau_inverse: float) -> Floats:
    """Start of a fit: a straight line through the logarithm (or logit) of the values."""
    safe = np.maximum(values, FLOOR)
    if plateau_inverse > 0:
        part = np.clip(safe * plateau_inverse, 1e-4, 0.98)
        line = np.polyfit(time_h, np.log(part / (1 - part)), 1, w=part * (1 - part))
        a = float(line[1]) - math.log1p(math.exp(min(50.0, float(line[1])))) - math.log(plateau_inverse)
    else:
        line = np.polyfit(time_h, np.log(safe), 1, w=safe / scale)
        a = float(line[1])
    return np.array([a, float(line[0]), plateau_inverse])


def noise_scale(time_h: Floats, values: Floats, *, free: int) -> Floats:
    """How the noise grows with the signal: constant, with its square root, or in proportion; by likelihood.

    Returns
    -------
    numpy.ndarray
        (T,) standard deviation up to a factor.
    """
    found = []
    for power in POWERS:
        scale = np.maximum(values, 5 * FLOOR) ** power
        for _ in range(3 if power else 1):
            fit = fit_law(time_h, values, scale, free=free)
            scale = np.maximum(fit.fitted, 5 * FLOOR) ** power
        found.append((fit.aic, power, scale))
    return min(found, key=lambda item: item[:2])[2]


def resample(time_h: Floats, values: Floats, fit: Fit, number: int, rng: np.random.Generator) -> Floats:
    """Draw what the parameters might have been, had the noise fallen differently.

    Each draw takes a noise level and a correlation between neighbouring times from what the residuals allow
    (restricted likelihood over a grid, level from the inverse chi-square), adds such noise to the fitted curve, and
    fits again. So the draws carry the small number of times, neighbouring errors alike, and the bend of the law.

    Returns
    -------
    numpy.ndarray
        (number, 3) a, r, k.
    """
    whitened = _whiten(time_h, values, fit)
    left = time_h.size - fit.free
    logs = whitened.log_prior - whitened.log_root - whitened.log_slopes - 0.5 * left * np.log(whitened.square)
    chance = np.exp(logs - logs.max())
    picks = rng.choice(chance.size, size=number, p=chance / chance.sum())
    freedom = max(1.0, float(fit.weights.sum()) - fit.free)
    level = np.sqrt(whitened.square[picks] / rng.chisquare(freedom, size=number))
    noise = np.einsum("bij,bj->bi", whitened.root[picks], rng.standard_normal((number, time_h.size)))
    drawn = fit.fitted + level[:, None] * noise * fit.scale
    return refit(time_h, drawn, np.broadcast_to(1 / fit.scale, drawn.shape), fit)


def refit(
    time_h: Floats, values: Floats, weights: Floats, fit: Fit, *, free: int | None = None, steps: int = 12
) -> Floats:
    """Fit many series at once, from the same start.

    Parameters
    ----------
    time_h
        (T,) hours since the first time.
    values
        (B, T) confluence.
    weights
        (B, T) 1 / standard deviation; 0 where there is no value.
    fit
        Start, and which parameters are free.
    free
        Fewer free parameters than ``fit`` has; the others stay.
    steps
        Gauss-Newton steps, each halved where it does not help.

    Returns
    -------
    numpy.ndarray
        (B, 3) a, r, k.
    """
    free = free or fit.free
    current = np.tile(fit.parameters, (values.shape[0], 1))

    def cost(parameters: Floats) -> Floats:
        return np.asarray((((law(parameters, time_h) - values) * weights) ** 2).sum(axis=1))

    best = cost(current)
    ridge = 1e-9 * np.eye(free)
    for _ in range(steps):
        slopes = jacobian(current, time_h)[..., :free] * weights[..., None]
        off = (values - law(current, time_h)) * weights
        normal = np.einsum("bti,btj->bij", slopes, slopes)
        size = np.sqrt(np.einsum("bii->bi", normal)) + 1e-12
        step = (
            np.linalg.solve(
                normal / (size[:, :, None] * size[:, None, :]) + ridge,
                (np.einsum("bti,bt->bi", slopes, off) / size)[..., None],
            )[..., 0]
            / size
        )
        for factor in (1.0, 0.3, 0.05):
            trial = current.copy()
            trial[:, :free] += factor * step
            trial[:, 0] = np.clip(trial[:, 0], -12.0, math.log(1.5))
            trial[:, 1] = np.clip(trial[:, 1], -1.0, 1.0)
            if free == 3:
                trial[:, 2] = np.clip(trial[:, 2], *INVERSE_PLATEAU)
            found = cost(trial)
            better = found < best
            current[better], best[better] = trial[better], found[better]
            step = np.where(better[:, None], 0.0, step)
    return current


def criterion(time_h: Floats, values: Floats, fit: Fit) -> tuple[float, float]:
    """Akaike's criterion of a fit, without and with the small-sample correction, over all noise correlations.

    With noise that is alike at neighbouring times, the criterion for independent noise finds bends that are none. Here
    the likelihood is averaged over the correlation.

    Returns
    -------
    tuple
        AIC and AICc; the latter is infinite where there are too few times.
    """
    whitened, number, known = _whiten(time_h, values, fit), values.size, fit.free + 1
    logs = -whitened.log_root - 0.5 * number * np.log(whitened.square / number) + whitened.log_prior
    likelihood = float(np.logaddexp.reduce(logs)) - float(np.log(fit.scale).sum())
    aic = -2 * likelihood + 2 * known
    return aic, aic + (2 * known * (known + 1) / (number - known - 1) if number > known + 1 else math.inf)


class _Whitened(NamedTuple):
    """For each correlation: logarithms of determinants and prior, residual square sum, root of the matrix."""

    log_root: Floats
    log_slopes: Floats
    log_prior: Floats
    square: Floats
    root: Floats


def _whiten(time_h: Floats, values: Floats, fit: Fit) -> _Whitened:
    slopes = jacobian(fit.parameters, time_h)[:, : fit.free] / fit.scale[:, None]
    residuals = (values - fit.fitted) / fit.scale * np.sqrt(fit.weights)
    apart = np.abs(time_h[:, None] - time_h[None, :]) / np.median(np.diff(time_h))
    matrices = np.where(apart == 0, 1.0 + 1e-10, CORRELATIONS[:, None, None] ** apart)
    root = np.linalg.cholesky(matrices)
    white_slopes = np.linalg.solve(root, np.broadcast_to(slopes, (len(root), *slopes.shape)))
    white = np.linalg.solve(root, np.broadcast_to(residuals[:, None], (len(root), residuals.size, 1)))
    q, r = np.linalg.qr(white_slopes)
    left = (white - q @ (q.swapaxes(1, 2) @ white))[..., 0]
    # neighbouring errors are more often nearly independent than nearly equal
    prior = (1.0 - CORRELATIONS) / (1.0 - CORRELATIONS).sum()
    return _Whitened(
        np.log(np.einsum("cii->ci", root)).sum(axis=1),
        np.log(np.maximum(np.abs(np.einsum("cii->ci", r)), 1e-300)).sum(axis=1),
        np.log(prior),
        np.maximum((left**2).sum(axis=1), 1e-30),
        root,
    )


def _aic(residuals: Floats, scale: Floats, free: int) -> float:
    square = max(float(residuals @ residuals), 1e-30)
    number = residuals.size
    return number * math.log(square / number) + 2 * float(np.log(scale).sum()) + 2 * (free + 1)
