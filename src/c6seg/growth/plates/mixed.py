"""Linear mixed model for the growth rates of wells, by restricted maximum likelihood (REML).

``y = X beta + u_plate + e_well + error``: ``u`` and ``e`` are normal with variances that are estimated, ``error`` is
the error of each well's own fit, which is known.

A well is one unit, however many fields and frames were taken of it. They show the same cells in the same medium after
one pipetting, so counting them as replicates would make intervals too narrow (pseudo-replication: Hurlbert, Ecological
Monographs 54 (1984) 187; Lazic, BMC Neuroscience 11 (2010) 5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from c6seg.errors import DataError
from c6seg.growth.plates.results import Floats

# Parts of the residual variance below which a variance counts as 0, and below which it never goes: the likelihood has
# a pole where wells without error of their own do not vary.
NOTHING, FLOOR = 1e-6, 1e-12
# Where the search begins: parts of the residual variance that lie between wells and between plates.
STARTS = ((0.9, 0.1), (0.1, 0.9), (0.5, 0.0))


@dataclass(frozen=True, slots=True)
class MixedFit:
    """A fitted mixed model.

    Parameters
    ----------
    effects
        (P,) coefficient of each column of the design.
    covariance
        (P, P) of the effects.
    well_variance, plate_variance
        Between wells treated alike, and between plates; the latter is 0 with one plate.
    plate_effects
        (K,) best prediction of how much each plate lies above the others.
    freedom
        Number of wells less the rank of the design: the most degrees of freedom that any contrast has.
    slopes
        (V, P, P) derivative of the covariance by each variance that is not 0.
    variance_covariance
        (V, V) covariance of the estimates of these variances.
    """

    effects: Floats
    covariance: Floats
    well_variance: float
    plate_variance: float
    plate_effects: Floats
    freedom: int
    slopes: Floats
    variance_covariance: Floats


@dataclass(frozen=True, slots=True)
class Contrast:
    """A weighted sum of effects: value, standard error, degrees of freedom, and p (None where the error is 0)."""

    estimate: float
    error: float
    freedom: float
    p: float | None

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the lower and upper end."""
        from scipy import stats

        half = float(stats.t.ppf((1 + confidence) / 2, self.freedom)) * self.error
        return self.estimate - half, self.estimate + half


def fit_mixed(rates: Floats, design: Floats, errors: Floats, plates: Sequence[int] | None = None) -> MixedFit:
    """Fit the model.

    Parameters
    ----------
    rates
        (N,) one for each well.
    design
        (N, P) of full rank.
    errors
        (N,) standard error of each rate; 0 = exact.
    plates
        (N,) number of the plate of each well, from 0; None = one plate.

    Raises
    ------
    DataError
        There are not more wells than the design has columns, or columns depend on each other.
    """
    number, columns = design.shape
    if np.linalg.matrix_rank(design) < columns or number <= columns:
        raise DataError(f"{number} wells cannot tell {columns} effects and their scatter apart.")
    members = np.zeros((number, 0)) if plates is None else np.eye(max(plates) + 1)[list(plates)]
    if members.shape[1] < 2:
        members = np.zeros((number, 0))
    plain = np.asarray(np.linalg.lstsq(design, rates, rcond=None)[0], dtype=np.float64)
    left = rates - design @ plain
    scale = math.sqrt(float(left @ left) / (number - columns))
    if scale <= 1e-12 * float(np.abs(rates).max(initial=0.0)):
        scale = 0.0
    scale = scale or float(np.sqrt(np.mean(errors**2)))
    if scale == 0.0:  # wells treated alike are equal to the last digit, and no error is known
        nothing = np.zeros((columns, columns))
        empty = np.zeros((0, columns, columns))
        plate_effects = np.zeros(members.shape[1])
        return MixedFit(plain, nothing, 0.0, 0.0, plate_effects, number - columns, empty, np.zeros((0, 0)))
    model = _Model(rates / scale, design, (errors / scale) ** 2, members)
    return _scaled(_best(model), model, scale)


def contrast(fit: MixedFit, weights: Floats) -> Contrast:
    """Test a weighted sum of effects with Satterthwaite's degrees of freedom.

    They follow from how far the variance of the sum depends on the estimated variances (Giesbrecht and Burns,
    Biometrics 41 (1985) 477), and never exceed those of the design: where a variance is estimated as 0 the formula
    would take the errors for exactly known.
    """
    from scipy import stats

    estimate = float(weights @ fit.effects)
    variance = float(weights @ fit.covariance @ weights)
    slopes = np.einsum("p,vpq,q->v", weights, fit.slopes, weights)
    spread = float(slopes @ fit.variance_covariance @ slopes)
    freedom = float(fit.freedom)
    if spread > 0:
        freedom = float(np.clip(2 * variance**2 / spread, 1.0, freedom))
    error = math.sqrt(max(variance, 0.0))
    p = float(2 * stats.t.sf(abs(estimate) / error, freedom)) if error > 0 else None
    return Contrast(estimate, error, freedom, p)


class _Model(NamedTuple):
    rates: Floats
    design: Floats
    known: Floats  # (N,) variance of each rate's own error
    members: Floats  # (N, K) which well lies on which plate; no column with one plate


class _State(NamedTuple):
    """The model at given variances: minus twice the restricted log-likelihood, its derivative, and the effects."""

    deviance: float
    score: Floats
    effects: Floats
    covariance: Floats
    slopes: Floats
    plate_effects: Floats


def _at(model: _Model, variances: Floats) -> _State:
    own = variances[0] + model.known
    between = float(variances[1]) if variances.size > 1 else 0.0
    members = model.members
    inside = members.T @ (1 / own)
    share = between / (1 + between * inside)

    def solve(right: Floats) -> Floats:  # V^-1 right; each plate adds a matrix of rank one (Sherman and Morrison)
        scaled = right / own[:, None]
        return np.asarray(scaled - (members / own[:, None]) @ (share[:, None] * (members.T @ scaled)))

    solved = solve(model.design)
    covariance = np.asarray(np.linalg.inv(model.design.T @ solved), dtype=np.float64)
    effects = covariance @ (solved.T @ model.rates)
    left = model.rates - model.design @ effects
    projected = solve(left[:, None])[:, 0]
    log_size = float(np.log(own).sum() + np.log1p(between * inside).sum())
    deviance = log_size - float(np.linalg.slogdet(covariance)[1]) + float(left @ projected)
    slopes, score = [covariance @ solved.T @ solved @ covariance], []
    traces = [float((1 / own).sum() - share @ (members.T @ own**-2.0))]
    squares = [float(projected @ projected)]
    inner = solved.T @ solved
    trims = [float(np.trace(covariance @ inner))]
    by_plate = members.T @ projected
    if variances.size > 1:
        sums = members.T @ solved
        slopes.append(covariance @ sums.T @ sums @ covariance)
        traces.append(float((inside / (1 + between * inside)).sum()))
        squares.append(float(by_plate @ by_plate))
        trims.append(float(np.trace(covariance @ sums.T @ sums)))
    score = [trace - trim - square for trace, trim, square in zip(traces, trims, squares, strict=True)]
    return _State(deviance, np.array(score), effects, covariance, np.array(slopes), between * by_plate)


def _best(model: _Model) -> Floats:
    """Variances, in parts of the residual variance, that the restricted likelihood is greatest at."""
    from scipy.optimize import minimize

    number = 2 if model.members.shape[1] else 1
    bounds = [(max(0.0, FLOOR - float(model.known.min())), None), (0.0, None)][:number]

    def cost(variances: Floats) -> tuple[float, Floats]:
        state = _at(model, variances)
        return state.deviance, state.score

    options = {"ftol": 1e-13, "gtol": 1e-9}
    starts = STARTS if number == 2 else ((0.9,), (0.1,))
    found = [
        minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)  # type: ignore[call-overload]
        for start in starts
    ]
    best = np.asarray(min(found, key=lambda one: float(one.fun)).x, dtype=np.float64)
    inside = best > NOTHING
    for _ in range(3):  # Newton's steps take the last digits
        step = np.linalg.lstsq(_curvature(model, best, inside), _at(model, best).score[inside], rcond=None)[0]
        trial = best.copy()
        trial[inside] -= step
        if (trial[inside] <= NOTHING).any() or _at(model, trial).deviance > _at(model, best).deviance:
            break
        best = trial
    return best


def _curvature(model: _Model, variances: Floats, inside: np.typing.NDArray[np.bool_]) -> Floats:
    """Second derivative of the deviance by the variances that are not 0, from differences of the first."""
    rows = []
    for index in np.flatnonzero(inside):
        step = np.zeros_like(variances)
        step[index] = 1e-4 * variances[index]
        change = _at(model, variances + step).score - _at(model, variances - step).score
        rows.append(change[inside] / (2 * step[index]))
    matrix = np.array(rows).reshape(int(inside.sum()), int(inside.sum()))
    return np.asarray((matrix + matrix.T) / 2)


def _scaled(variances: Floats, model: _Model, scale: float) -> MixedFit:
    state = _at(model, variances)
    inside = variances > NOTHING
    spread = np.asarray(2 * np.linalg.pinv(_curvature(model, variances, inside), hermitian=True), dtype=np.float64)
    kept = np.where(inside, variances, 0.0) * scale**2
    return MixedFit(
        state.effects * scale,
        state.covariance * scale**2,
        float(kept[0]),
        float(kept[1]) if kept.size > 1 else 0.0,
        state.plate_effects * scale,
        model.design.shape[0] - model.design.shape[1],
        state.slopes[inside],
        spread * scale**4,
    )
