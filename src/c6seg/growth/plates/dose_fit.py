"""Four-parameter logistic by weighted least squares, with intervals from the profile of the sum of squares.

``rate = top + (bottom - top) share``, ``share = c^hill / (c^hill + ic50^hill)``: for a given IC50 and slope the curve
is linear in top and bottom. So the best curve at every point of a grid of IC50 and slope follows from a linear
equation (variable projection: Golub and Pereyra, SIAM Journal on Numerical Analysis 10 (1973) 413), which finds the
best start and shows every curve that the data allow (profile: Bates and Watts, Nonlinear Regression Analysis, 1988,
chapter 6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from c6seg.growth.plates.results import Floats

HILL = (0.1, 20.0)
# How far beyond the tested concentrations the profile looks, and its steps.
BEYOND = math.log(30)
STEPS, SLOPES = 240, 90


@dataclass(frozen=True, slots=True)
class DoseFit:
    """A fitted dose response, and what else the data allow.

    Parameters
    ----------
    top, bottom, ic50, hill
        Of the best curve.
    square, freedom
        Weighted sum of squares that is left, and its degrees of freedom.
    constant_square
        The same for a rate that does not depend on the concentration.
    limit
        Curves whose sum of squares is at most this are within the interval.
    """

    top: float
    bottom: float
    ic50: float
    hill: float
    square: float
    freedom: int
    constant_square: float
    limit: float
    _grid: _Grid


class _Grid(NamedTuple):
    """The best curve at each IC50 and slope: what is linear in it, and its sum of squares; all (G,)."""

    log_ic50: Floats
    log_hill: Floats
    square: Floats
    top: Floats
    bottom: Floats
    inverse: tuple[Floats, Floats, Floats]  # of the normal equations: top top, top bottom, bottom bottom


def logistic(concentration: Floats, top: float, bottom: float, ic50: float, hill: float) -> Floats:
    """Rate at each concentration; 0 is allowed."""
    return top + (bottom - top) * share(concentration, math.log(ic50), math.log(hill))


def share(concentration: Floats, log_ic50: Floats | float, log_hill: Floats | float) -> Floats:
    """Part of the whole effect that is reached at each concentration, 0..1."""
    with np.errstate(divide="ignore"):
        off = np.exp(log_hill) * (np.log(concentration) - log_ic50)
    return np.asarray(1 / (1 + np.exp(-np.clip(off, -600, 600))))


def fit_dose(concentration: Floats, rate: Floats, weight: Floats, *, confidence: float) -> DoseFit:
    """Fit the curve.

    Parameters
    ----------
    concentration
        (N,) of each well, 0 = control; at least four different ones above 0.
    rate
        (N,) 1/h.
    weight
        (N,) 1 / variance, up to a factor.
    confidence
        Of the intervals that the other functions of this file give.
    """
    from scipy import stats

    grid = _search(concentration, rate, weight)
    top, bottom, log_ic50, log_hill, square = _polish(concentration, rate, weight, grid)
    freedom = rate.size - 4
    mean = float(weight @ rate / weight.sum())
    wide = float(stats.f.ppf(confidence, 1, freedom))
    return DoseFit(
        top,
        bottom,
        math.exp(log_ic50),
        math.exp(log_hill),
        square,
        freedom,
        float(weight @ (rate - mean) ** 2),
        square * (1 + wide / freedom),
        grid,
    )


def ic50_interval(fit: DoseFit) -> tuple[float, float]:
    """Lowest and highest IC50 that the data allow; 0 or infinite where the search found no end."""
    low, high = _ends(fit._grid.log_ic50, fit)
    return min(math.exp(low), fit.ic50), max(math.exp(high), fit.ic50)


def hill_interval(fit: DoseFit) -> tuple[float, float]:
    """Lowest and highest slope that the data allow; 0 or infinite where the search found no end."""
    low, high = _ends(fit._grid.log_hill, fit)
    return min(math.exp(low), fit.hill), max(math.exp(high), fit.hill)


def rate_interval(fit: DoseFit, of_top: Floats, of_bottom: Floats) -> tuple[Floats, Floats]:
    """Lowest and highest value of ``of_top * top + of_bottom * bottom`` over all curves that the data allow.

    Parameters
    ----------
    of_top, of_bottom
        (M, G) or (M, 1); G = points of the grid that the data allow, as :func:`shares_at` gives them.

    Returns
    -------
    tuple
        (M,) each.
    """
    grid, near = fit._grid, _near(fit)
    top_top, both, bottom_bottom = (part[near] for part in grid.inverse)
    middle = of_top * grid.top[near] + of_bottom * grid.bottom[near]
    variance = of_top**2 * top_top + 2 * of_top * of_bottom * both + of_bottom**2 * bottom_bottom
    reach = np.sqrt(np.maximum(variance * (fit.limit - grid.square[near]), 0.0))
    return np.asarray((middle - reach).min(axis=1)), np.asarray((middle + reach).max(axis=1))


def shares_at(fit: DoseFit, concentration: Floats) -> Floats:
    """Part of the effect at each concentration on every point of the grid that the data allow, (M, G)."""
    near = _near(fit)
    return share(concentration[:, None], fit._grid.log_ic50[near], fit._grid.log_hill[near])


def effect_p(fit: DoseFit) -> float:
    """P of the F test that the curve describes the rates no better than a constant."""
    from scipy import stats

    if fit.square <= 0:
        return 0.0
    gain = (fit.constant_square - fit.square) / 3
    return float(stats.f.sf(gain / (fit.square / fit.freedom), 3, fit.freedom))


def lack_of_fit_p(fit: DoseFit, concentration: Floats, rate: Floats, weight: Floats) -> float | None:
    """P of the F test that means lie off the curve by no more than wells treated alike scatter; None without those."""
    from scipy import stats

    levels, index = np.unique(concentration, return_inverse=True)
    means = np.bincount(index, weight * rate) / np.bincount(index, weight)
    pure = float(weight @ (rate - means[index]) ** 2)
    wells, spare = rate.size - levels.size, levels.size - 4
    if wells < 2 or spare < 1 or pure <= 0:
        return None
    return float(stats.f.sf(max(fit.square - pure, 0.0) / spare / (pure / wells), spare, wells))


def _search(concentration: Floats, rate: Floats, weight: Floats) -> _Grid:
    levels, index = np.unique(concentration, return_inverse=True)
    heavy = np.bincount(index, weight)
    means = np.bincount(index, weight * rate) / heavy
    inside = float(weight @ (rate - means[index]) ** 2)
    tested = np.log(levels[levels > 0])
    axes = (
        np.linspace(tested[0] - BEYOND, tested[-1] + BEYOND, STEPS),
        np.linspace(math.log(HILL[0]), math.log(HILL[1]), SLOPES),
    )
    log_ic50, log_hill = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    low = share(levels, log_ic50[:, None], log_hill[:, None])  # (G, K) how much bottom counts at each level
    high = 1 - low
    top_top, both, bottom_bottom = (high**2) @ heavy, (high * low) @ heavy, (low**2) @ heavy
    by_top, by_bottom = high @ (heavy * means), low @ (heavy * means)
    size = top_top * bottom_bottom - both**2
    # where all levels lie on one end of the curve the other end is anything
    flat = size <= 1e-10 * top_top * bottom_bottom
    size = np.where(flat, 1.0, size)
    inverse = (bottom_bottom / size, -both / size, top_top / size)
    top = inverse[0] * by_top + inverse[1] * by_bottom
    bottom = inverse[1] * by_top + inverse[2] * by_bottom
    square = inside + ((means - top[:, None] * high - bottom[:, None] * low) ** 2) @ heavy
    return _Grid(log_ic50, log_hill, np.where(flat, np.inf, square), top, bottom, inverse)


def _polish(
    concentration: Floats, rate: Floats, weight: Floats, grid: _Grid
) -> tuple[float, float, float, float, float]:
    from scipy.optimize import least_squares

    at = int(grid.square.argmin())
    size = float(np.abs(rate).max()) or 1.0
    root = np.sqrt(weight / weight.max()) / size

    def residuals(parameters: Floats) -> Floats:
        top, bottom, log_ic50, log_hill = parameters
        return np.asarray(root * (size * (top + (bottom - top) * share(concentration, log_ic50, log_hill)) - rate))

    ends = (grid.log_ic50[0], grid.log_hill[0]), (grid.log_ic50[-1], grid.log_hill[-1])
    start = np.array([grid.top[at] / size, grid.bottom[at] / size, grid.log_ic50[at], grid.log_hill[at]])
    bounds = [-np.inf, -np.inf, *ends[0]], [np.inf, np.inf, *ends[1]]
    start = np.clip(start, np.array(bounds[0]) + 1e-9, np.array(bounds[1]) - 1e-9)
    best = least_squares(residuals, start, bounds=bounds, xtol=1e-12, ftol=1e-12, gtol=1e-12)
    square = 2 * float(best.cost) * float(weight.max()) * size**2
    top, bottom, log_ic50, log_hill = (float(value) for value in best.x)
    if square > grid.square[at]:
        return (*(float(part[at]) for part in (grid.top, grid.bottom, grid.log_ic50, grid.log_hill)), grid.square[at])
    return top * size, bottom * size, log_ic50, log_hill, square


def _near(fit: DoseFit) -> np.typing.NDArray[np.bool_]:
    """Mark the points of the grid that the data allow; the best one always."""
    near = fit._grid.square <= fit.limit
    near[fit._grid.square.argmin()] = True
    return np.asarray(near)


def _ends(axis: Floats, fit: DoseFit) -> tuple[float, float]:
    """Where the profile along an axis crosses the limit, between the points of the grid."""
    values = np.unique(axis)
    profile = np.array([fit._grid.square[axis == value].min() for value in values])
    inside = np.flatnonzero(profile <= fit.limit)
    if inside.size == 0:
        inside = np.array([profile.argmin()])
    first, last = int(inside[0]), int(inside[-1])

    def crossing(within: int, outside: int) -> float:
        if not 0 <= outside < values.size:
            return math.inf if outside > 0 else -math.inf
        rise = profile[outside] - profile[within]
        part = (fit.limit - profile[within]) / rise if math.isfinite(rise) and rise > 0 else 1.0
        return float(values[within] + min(1.0, max(0.0, part)) * (values[outside] - values[within]))

    return crossing(first, first - 1), crossing(last, last + 1)
