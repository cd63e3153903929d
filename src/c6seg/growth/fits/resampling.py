"""What the parameters of a fit might have been: draws and criteria over noise of unknown correlation in time."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from c6seg.growth.fits.fitting import Fit
from c6seg.growth.fits.laws import Floats, slopes
from c6seg.growth.fits.refitting import bounds, refit

# Dense towards 1, where errors wander slowly.
CORRELATIONS = np.concatenate([np.linspace(0.0, 0.9, 19), [0.925, 0.95, 0.965, 0.98, 0.99]])
AT_BOUND = 1e-6


def resample(time_h: Floats, values: Floats, fit: Fit, number: int, rng: np.random.Generator) -> Floats:
    """Draw what the parameters might have been, had the noise fallen differently.

    Each draw takes a noise level and a correlation between neighbouring times from what the residuals allow
    (restricted likelihood over a grid, level from the inverse chi-square), adds such noise to the fitted curve, and
    fits again. So the draws carry the small number of times, neighbouring errors alike, and the bend of the law.

    Returns
    -------
    numpy.ndarray
        (number, 5) a, r, k, v, lag.
    """
    whitened = _whiten(time_h, values, fit)
    left = time_h.size - fit.free
    logs = whitened.log_prior - whitened.log_root - whitened.log_slopes - 0.5 * left * np.log(whitened.square)
    chance = np.exp(logs - logs.max())
    picks = rng.choice(chance.size, size=number, p=chance / chance.sum())
    freedom = max(1.0, float(fit.weights.sum()) - fit.free)
    level = np.sqrt(whitened.square[picks] / rng.chisquare(freedom, size=number))
    noise = rng.standard_normal((number, time_h.size))
    kept = whitened.kept[picks]
    for step in range(1, time_h.size):
        noise[:, step] = kept[:, step] * noise[:, step - 1] + np.sqrt(1 - kept[:, step] ** 2) * noise[:, step]
    drawn = fit.fitted + level[:, None] * noise * fit.scale
    return refit(time_h, drawn, np.broadcast_to(1 / fit.scale, drawn.shape), fit.law, fit.parameters)


def criterion(time_h: Floats, values: Floats, fit: Fit, *, more: int = 0) -> tuple[float, float]:
    """Akaike's criterion of a fit, without and with the small-sample correction, over all noise correlations.

    With noise that is alike at neighbouring times, the criterion for independent noise finds bends that are none. Here
    the likelihood is averaged over the correlation. ``more`` parameters than the fit has are counted.

    Returns
    -------
    tuple
        AIC and AICc; the latter is infinite where there are too few times.
    """
    whitened, number, known = _whiten(time_h, values, fit), values.size, fit.free + more + 1
    logs = -whitened.log_root - 0.5 * number * np.log(whitened.square / number) + whitened.log_prior
    likelihood = float(np.logaddexp.reduce(logs)) - float(np.log(fit.scale).sum())
    aic = -2 * likelihood + 2 * known
    return aic, aic + (2 * known * (known + 1) / (number - known - 1) if number > known + 1 else math.inf)


class _Whitened(NamedTuple):
    """For each correlation: logarithms of determinants and prior, residual square sum, correlation of neighbours."""

    log_root: Floats
    log_slopes: Floats
    log_prior: Floats
    square: Floats
    kept: Floats


def _whiten(time_h: Floats, values: Floats, fit: Fit) -> _Whitened:
    """Take the correlation out of the residuals.

    Errors of neighbouring times are correlated by c to the power of their distance, in median intervals: a Markov
    process, so that each time needs only the one before it.
    """
    low, high = bounds(fit.law, time_h)
    found = fit.parameters[list(fit.law.free)]
    # a parameter that lies at its bound cannot take up what is left of the residuals
    inside = (found > low + AT_BOUND) & (found < high - AT_BOUND)
    by = slopes(fit.law, fit.parameters, time_h)[1][:, inside] / fit.scale[:, None]
    residuals = (values - fit.fitted) / fit.scale * np.sqrt(fit.weights)
    steps = np.diff(time_h) / np.median(np.diff(time_h))
    kept = np.concatenate([np.zeros((CORRELATIONS.size, 1)), CORRELATIONS[:, None] ** steps], axis=1)
    new = np.sqrt(1 - kept**2 + 1e-10)
    both = np.concatenate([by, residuals[:, None]], axis=1)
    before = np.concatenate([np.zeros((1, both.shape[1])), both[:-1]])
    white = (both - kept[..., None] * before) / new[..., None]
    q, r = np.linalg.qr(white[..., :-1])
    left = white[..., -1] - np.einsum("cti,ci->ct", q, np.einsum("cti,ct->ci", q, white[..., -1]))
    prior = np.gradient(CORRELATIONS) / np.gradient(CORRELATIONS).sum()  # all correlations alike
    return _Whitened(
        np.log(new).sum(axis=1),
        np.log(np.maximum(np.abs(np.einsum("cii->ci", r)), 1e-300)).sum(axis=1),
        np.log(prior),
        np.maximum((left**2).sum(axis=1), 1e-30),
        kept,
    )
