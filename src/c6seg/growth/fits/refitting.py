"""One growth law fitted to many series at once, by Gauss-Newton."""

from __future__ import annotations

import numpy as np

from c6seg.growth.fits.laws import COUNT, HIGHEST, LAG, LOWEST, Floats, Law, confluence_at, slopes


def bounds(law: Law, time_h: Floats) -> tuple[Floats, Floats]:
    """Return the least and the largest value of each free parameter."""
    high = HIGHEST.copy()
    high[LAG] = float(time_h[-1])
    return LOWEST[list(law.free)], high[list(law.free)]


def refit(time_h: Floats, values: Floats, weights: Floats, law: Law, start: Floats, *, steps: int = 12) -> Floats:
    """Fit one law to many series at once.

    Parameters
    ----------
    time_h
        (T,) hours since the first time.
    values
        (B, T) confluence.
    weights
        (B, T) 1 / standard deviation; 0 where there is no value.
    law
        Which, and which parameters are free.
    start
        (5,) or (B, 5) start; what is not free stays.
    steps
        Gauss-Newton steps, each shortened where it does not help.

    Returns
    -------
    numpy.ndarray
        (B, 5) a, r, k, v, lag.
    """
    free = list(law.free)
    low, high = bounds(law, time_h)
    current = np.broadcast_to(start, (values.shape[0], COUNT)).copy()

    def cost(parameters: Floats) -> Floats:
        return np.asarray((((confluence_at(law, parameters, time_h) - values) * weights) ** 2).sum(axis=1))

    best = cost(current)
    ridge = 1e-9 * np.eye(len(free))
    for _ in range(steps):
        fitted, by = slopes(law, current, time_h)
        by = by * weights[..., None]
        off = (values - fitted) * weights
        normal = np.einsum("bti,btj->bij", by, by)
        size = np.sqrt(np.einsum("bii->bi", normal)) + 1e-12
        step = (
            np.linalg.solve(
                normal / (size[:, :, None] * size[:, None, :]) + ridge,
                (np.einsum("bti,bt->bi", by, off) / size)[..., None],
            )[..., 0]
            / size
        )
        left = np.arange(values.shape[0])
        for factor in (1.0, 0.3, 0.05):
            trial = current[left]
            trial[:, free] = np.clip(trial[:, free] + factor * step[left], low, high)
            found = np.asarray((((confluence_at(law, trial, time_h) - values[left]) * weights[left]) ** 2).sum(axis=1))
            better = found < best[left]
            current[left[better]], best[left[better]] = trial[better], found[better]
            left = left[~better]
            if left.size == 0:
                break
        if left.size == values.shape[0]:
            break
    return current
