"""What the course of a closing gap might have been, had the noise of the frames fallen differently."""

from __future__ import annotations

import numpy as np

from c6seg.growth.fits.resampling import CORRELATIONS
from c6seg.growth.wounds.law import LAG, MOST_LASTS, Closing, Floats, around, refit, slopes, thinned

# Variance of the wandering of the fronts in one interval, compared with the noise of an image.
WANDERING = np.geomspace(0.03, 30.0, 10)
# How probable it is beforehand that fronts wander, compared with noise that has no memory beyond the next times.
WALKS = 0.15
# Draws look for the end of the lag within so many times of where it was found, and for the time of closing likewise.
NEARBY = 3


def resample(
    time_h: Floats, values: Floats, scale: Floats, fit: Closing, number: int, rng: np.random.Generator
) -> Floats:
    """Draw what the parameters might have been, had the noise fallen differently.

    Each draw takes a noise level and a correlation between neighbouring times from what the residuals allow while the
    gap closes, adds such noise to the fitted course, and fits again. Where fewer times than ``fit.least`` show the gap
    closing, nothing is known of the noise, and all draws are the fitted parameters.

    Returns
    -------
    numpy.ndarray
        (number, 4).
    """
    moving = fit.moving
    count = int(np.count_nonzero(moving))
    if count < fit.least:
        return np.tile(fit.parameters, (number, 1))
    # a closed gap tells nothing of the noise of an open one, and hardly has any
    drawn = np.tile(np.where(moving, fit.fitted, values), (number, 1))
    drawn[:, moving] += _noise(time_h, values, scale, fit, number, rng) * scale[moving]
    lags = np.zeros(1)
    if fit.lags:
        lags = around(float(fit.parameters[LAG]), NEARBY * float(np.median(np.diff(time_h))))
    end = int(np.flatnonzero(moving)[-1])
    reach = max(NEARBY, count // 4)
    lasts = thinned(max(1, end - reach), min(time_h.size - 1, end + reach), MOST_LASTS)
    weights = np.broadcast_to(1 / scale, drawn.shape)
    return refit(time_h, drawn, weights, fit.power, lags=lags, stops=fit.stops, lasts=lasts)


def _noise(
    time_h: Floats, values: Floats, scale: Floats, fit: Closing, number: int, rng: np.random.Generator
) -> Floats:
    """Draw noise (number, M) of the M times at which the gap closes, in units of ``scale``.

    Its kind is drawn by restricted likelihood, its level from the inverse chi-square.
    """
    moving = fit.moving
    by = slopes(fit.parameters, time_h, fit.power)[0][moving, : 2 + fit.lags] / scale[moving, None]
    residuals = ((values - fit.fitted) / scale * np.sqrt(fit.weights))[moving]
    root, prior = _kinds(time_h[moving] / float(np.median(np.diff(time_h))))
    both = np.column_stack([by, residuals])
    white = np.linalg.solve(root, np.broadcast_to(both, (len(root), *both.shape)))
    q, r = np.linalg.qr(white[..., :-1])
    left = white[..., -1] - np.einsum("cti,ci->ct", q, np.einsum("cti,ct->ci", q, white[..., -1]))
    square = np.maximum((left**2).sum(axis=1), 1e-30)
    freedom = max(1.0, float(fit.weights[moving].sum()) - by.shape[1])
    logs = np.log(prior) - np.log(np.einsum("cii->ci", root)).sum(axis=1) - 0.5 * freedom * np.log(square)
    logs -= np.log(np.maximum(np.abs(np.einsum("cii->ci", r)), 1e-300)).sum(axis=1)
    chance = np.exp(logs - logs.max())
    picks = rng.choice(chance.size, size=number, p=chance / chance.sum())
    level = np.sqrt(square[picks] / rng.chisquare(freedom, size=number))
    noise = np.empty((number, len(residuals)))
    for kind in np.unique(picks):
        mine = picks == kind
        noise[mine] = rng.standard_normal((int(mine.sum()), len(residuals))) @ root[kind].T
    return np.asarray(level[:, None] * noise, dtype=np.float64)


def _kinds(steps: Floats) -> tuple[Floats, Floats]:
    """Return the kinds of noise as roots of their covariances (K, M, M), and how probable each is beforehand (K,).

    Errors at neighbouring times may be alike, as those of focus and light are; or the fronts wander, and each step
    stays in all later times.
    """
    apart = np.abs(steps[:, None] - steps[None, :])
    alike = np.where(apart == 0, 1.0 + 1e-10, CORRELATIONS[:, None, None] ** apart)
    walk = np.minimum(steps[:, None], steps[None, :]) - steps[0]
    walks = np.eye(steps.size) + WANDERING[:, None, None] * walk
    # neighbouring errors are more often nearly independent than nearly equal
    independent = (1.0 - CORRELATIONS) ** 2 * np.gradient(CORRELATIONS)
    prior = np.concatenate([independent / independent.sum(), np.full(WANDERING.size, WALKS / WANDERING.size)])
    return np.asarray(np.linalg.cholesky(np.concatenate([alike, walks])), dtype=np.float64), prior
