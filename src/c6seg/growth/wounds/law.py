"""How a gap closes: after a lag it closes steadily, until it is closed or comes to a stop.

The width of a gap between two straight fronts shrinks in proportion to time, and so does its area; the radius of a
round gap does, and its area with the square of it::

    gap(t) = max(level, start * max(0, 1 - rate / power * max(0, t - lag)) ** power)    power = 1 (fronts) or 2 (round)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from c6seg.growth.fits.fitting import HUBER

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
START, RATE, LAG, LEVEL = range(4)
# A lag or a stop must make the description this much better (AICc).
CLEARER = 6.0
# The lag is looked for at so many places between two times, and at no more than so many altogether.
PLACES, MOST_PLACES = 2, 24
# Times of closing that are tried at once: all of a short series; of a long one so many, and then so many about the
# best.
MOST_ENDS = 16
# Last times that a refit tries at most.
MOST_LASTS = 48


@dataclass(frozen=True, slots=True)
class Closing:
    """A fitted course.

    Parameters
    ----------
    parameters
        (4,) gap at the first time, part of it that closes per hour at first, lag in h, gap where closing stops.
    power
        1 or 2, see above.
    lags, stops
        Whether the lag and the stop were fitted; else they are 0.
    fitted
        (T,) gap by the law.
    weights
        (T,) 1, and less for outliers.
    moving
        (T,) bool, times at which the gap is neither closed nor stopped.
    """

    parameters: Floats
    power: int
    lags: bool
    stops: bool
    fitted: Floats
    weights: Floats
    moving: Bools

    @property
    def free(self) -> int:
        """Number of fitted parameters."""
        return 2 + self.lags + self.stops

    @property
    def least(self) -> int:
        """Number of times while the gap closes that are needed: one more than their fit uses up."""
        return 3 + self.lags

    def closing(self, time_h: Floats) -> Bools:
        """Return the times at which the gap closes: after the lag, and neither closed nor stopped."""
        return np.asarray(self.moving & (time_h >= self.parameters[LAG]))


def law(parameters: Floats, time_h: Floats, power: int) -> Floats:
    """Return the gap (..., T) for parameters (..., 4) and times (T,) since the first."""
    start, rate, lag, level = (parameters[..., index, None] for index in range(4))
    left = np.maximum(0.0, 1.0 - rate / power * np.maximum(0.0, time_h - lag))
    return np.asarray(np.maximum(level, start * left**power), dtype=np.float64)


def half_time_h(parameters: Floats, power: int) -> Floats:
    """Return the time until half of the first gap is closed, h; infinite where it never is.

    Parameters
    ----------
    parameters
        (..., 4).
    power
        1 or 2.
    """
    start, rate, lag, level = (parameters[..., index] for index in range(4))
    done = power * (1.0 - 0.5 ** (1.0 / power))
    with np.errstate(divide="ignore", invalid="ignore"):
        half = lag + done / rate
    return np.asarray(np.where((rate > 0) & (level < start / 2), half, math.inf))


def slopes(parameters: Floats, time_h: Floats, power: int) -> tuple[Floats, Bools]:
    """Return the derivative of the open gap by start, rate and lag (..., T, 3), and where the gap is open (..., T)."""
    start, rate, lag, level = (parameters[..., index, None] for index in range(4))
    later = np.maximum(0.0, time_h - lag)
    left = 1.0 - rate / power * later
    moving = (left > 0) & (start * np.maximum(left, 0.0) ** power > level)
    bent = start * np.maximum(left, 0.0) ** (power - 1)
    return np.stack([np.maximum(left, 0.0) ** power, -bent * later, bent * rate * (later > 0)], axis=-1), moving


def fit_closing(time_h: Floats, values: Floats, scale: Floats, power: int) -> Closing:
    """Fit the law by weighted robust least squares; with a lag or a stop only where the data clearly show one.

    Parameters
    ----------
    time_h
        (T,) hours since the first time.
    values
        (T,) gap.
    scale
        (T,) standard deviation of the noise, up to a factor.
    power
        1 or 2.
    """
    found = [_fit(time_h, values, scale, power, lags=False, stops=False)]
    for lags, stops in ((True, False), (False, True), (True, True)):
        if time_h.size >= 7 + lags + stops:
            found.append(_fit(time_h, values, scale, power, lags=lags, stops=stops))
    scores = [_aicc(one, values, scale) + (CLEARER if one.free > 2 else 0.0) for one in found]
    return found[int(np.argmin(scores))]


def refit(
    time_h: Floats,
    values: Floats,
    weights: Floats,
    power: int,
    *,
    lags: Floats,
    stops: bool = False,
    lasts: Iterable[int] | None = None,
) -> Floats:
    """Fit many courses at once.

    For every place of the lag and every number of times before the gap is closed the best line is exact; the best of
    all these is kept.

    Parameters
    ----------
    time_h
        (T,) hours since the first time.
    values
        (B, T) gap.
    weights
        (B, T) 1 / standard deviation; 0 where there is no value.
    power
        1 or 2.
    lags
        Lags to try, h.
    stops
        Whether the gap may stop short of closing.
    lasts
        Indices of the time that may be the last one before the gap is closed or stops; None = any.

    Returns
    -------
    numpy.ndarray
        (B, 4).
    """
    square = np.broadcast_to(weights**2, values.shape)
    known = np.where(square > 0, values, 0.0)
    best = np.zeros((len(values), 4))
    cost = np.full(len(values), math.inf)
    for lag in lags:
        later = np.maximum(0.0, time_h - lag)
        for trial in _lines(later, known, square, power, stops=stops, lasts=lasts or range(1, time_h.size)):
            trial[:, LAG] = lag
            found = (square * (law(trial, time_h, power) - known) ** 2).sum(axis=1)
            better = found < cost
            best[better], cost[better] = trial[better], found[better]
    return best if power == 1 else _polished(best, time_h, known, square, power)


def around(lag_h: float, reach_h: float) -> Floats:
    """Return lags to try around one, not below 0."""
    return np.unique(np.maximum(0.0, lag_h + reach_h * np.linspace(-1, 1, 13)))


def _fit(time_h: Floats, values: Floats, scale: Floats, power: int, *, lags: bool, stops: bool) -> Closing:
    weights = np.ones_like(values)
    for _ in range(4):  # an outlier bends the first fit and so hides among its residuals
        found = _search(time_h, values, np.sqrt(weights) / scale, power, lags=lags, stops=stops)
        fitted = law(found, time_h, power)
        fit = Closing(found, power, lags, stops, fitted, weights, slopes(found, time_h, power)[1])
        off = np.abs(values - fitted) / scale
        number = int(np.count_nonzero(fit.moving))
        if number <= fit.free + 1:
            break
        spread = 1.4826 * float(np.median(off[fit.moving])) * math.sqrt(number / (number - fit.free))
        if off.max() <= HUBER * spread:
            break
        weights = np.minimum(1.0, HUBER * spread / np.maximum(off, 1e-300))
    return fit


def _search(time_h: Floats, values: Floats, weights: Floats, power: int, *, lags: bool, stops: bool) -> Floats:
    look = partial(refit, time_h, values[None], weights[None], power, stops=stops)
    if not lags:
        return _ended(look, np.zeros(1), time_h, power)
    places = _places(time_h)
    found = look(lags=places, lasts=thinned(1, time_h.size - 1, MOST_ENDS))[0]
    return _ended(look, around(float(found[LAG]), float(places[1])), time_h, power)


def _ended(look: Callable[..., Floats], lags: Floats, time_h: Floats, power: int) -> Floats:
    """Try the times at which closing ends: all, or coarsely and then ever more finely about the best."""
    low, high = 1, time_h.size - 1
    best = look(lags=lags, lasts=thinned(low, high, MOST_LASTS))[0]
    reach = (high - low) / MOST_LASTS
    while reach >= 1:
        moving = np.flatnonzero(slopes(best, time_h, power)[1])
        end = int(moving[-1]) if moving.size else low
        near = thinned(max(low, int(end - reach)), min(high, math.ceil(end + reach)), MOST_ENDS)
        best = look(lags=lags, lasts=near)[0]
        reach /= MOST_ENDS
    return np.asarray(best)


def thinned(low: int, high: int, most: int) -> list[int]:
    """Return the whole numbers from ``low`` to ``high``, evenly thinned to at most so many."""
    return [int(each) for each in np.unique(np.linspace(low, high, min(most, high - low + 1)).round())]


def _places(time_h: Floats) -> Floats:
    """Return the lags that are tried at first: none, and up to the middle of the observed time."""
    middle = (time_h[0] + time_h[-1]) / 2
    inner = time_h[time_h <= middle]
    if inner.size == 1:
        return np.linspace(0.0, middle - time_h[0], PLACES + 1)
    number = min(PLACES * (inner.size - 1) + 1, MOST_PLACES)
    places = np.interp(np.linspace(0, inner.size - 1, number), np.arange(inner.size), inner) - time_h[0]
    return np.asarray(places, dtype=np.float64)


def _lines(
    later: Floats, values: Floats, square: Floats, power: int, *, stops: bool, lasts: Iterable[int]
) -> Iterator[Floats]:
    """Yield, for every number of times before the gap is closed, the best start and rate (B, 4)."""
    root = values if power == 1 else np.sqrt(np.maximum(values, 0.0))
    weight = square if power == 1 else square * np.maximum(4 * values, 0.04 * values.max(axis=1, keepdims=True))
    sums = [np.cumsum(weight * each, axis=1) for each in (1.0, later, later**2, root, later * root)]
    after = np.cumsum((square * values)[:, ::-1], axis=1)[:, ::-1], np.cumsum(square[:, ::-1], axis=1)[:, ::-1]
    for last in lasts:
        if later[last] <= 0 or (stops and last == later.size - 1):
            continue
        one, x, xx, y, xy = (each[:, last] for each in sums)
        spread = one * xx - x**2
        safe = spread > 1e-12 * np.maximum(one * xx, 1e-300)
        slope = np.where(safe, (one * xy - x * y) / np.where(safe, spread, 1.0), 0.0)
        start = np.maximum((y - slope * x) / np.maximum(one, 1e-300), 1e-9)
        trial = np.zeros((len(values), 4))
        trial[:, START], trial[:, RATE] = start**power, -power * slope / start
        if stops:
            level = after[0][:, last + 1] / np.maximum(after[1][:, last + 1], 1e-300)
            trial[:, LEVEL] = np.clip(level, 0.0, trial[:, START])
        yield trial


def _polished(best: Floats, time_h: Floats, values: Floats, square: Floats, power: int) -> Floats:
    """Improve start and rate on the scale of the gap itself by Gauss-Newton steps, halved where they do not help."""
    best = best.copy()
    cost = (square * (law(best, time_h, power) - values) ** 2).sum(axis=1)
    for _ in range(12):
        by, open_ = slopes(best, time_h, power)
        by = by[..., :2] * open_[..., None]
        off = values - law(best, time_h, power)
        normal = np.einsum("bti,bt,btj->bij", by, square, by)
        size = np.maximum(np.sqrt(np.einsum("bii->bi", normal)), 1e-150)
        normal = normal / (size[:, :, None] * size[:, None, :]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(normal, (np.einsum("bti,bt,bt->bi", by, square, off) / size)[..., None])[..., 0] / size
        for factor in (1.0, 0.3, 0.05):
            trial = best.copy()
            trial[:, :2] += factor * step
            trial[:, START] = np.maximum(trial[:, START], 1e-9)
            found = (square * (law(trial, time_h, power) - values) ** 2).sum(axis=1)
            better = found < cost
            best[better], cost[better] = trial[better], found[better]
            step = np.where(better[:, None], 0.0, step)
    return best


def aicc(square: float, number: int, free: int) -> float:
    """Corrected Akaike criterion (Hurvich and Tsai, Biometrika 76 (1989) 297) of Gaussian errors of unknown spread.

    ``square``: sum of the squared residuals, above 0; ``free``: free parameters besides the spread; infinite where
    ``number`` values are too few for them.
    """
    known = free + 1
    if number <= known + 1:
        return math.inf
    return number * math.log(square / number) + 2 * known * number / (number - known - 1)


def _aicc(fit: Closing, values: Floats, scale: Floats) -> float:
    residuals = (values - fit.fitted) / scale * np.sqrt(fit.weights)
    return aicc(max(float(residuals @ residuals), 1e-30), values.size, fit.free)
