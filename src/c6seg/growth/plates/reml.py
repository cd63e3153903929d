"""The restricted likelihood of the mixed model of :mod:`c6seg.growth.plates.mixed`: value, maximum, information."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from c6seg.growth.plates.results import Floats

# Parts of the residual variance below which a variance counts as 0, and below which it never goes: the likelihood has
# a pole where wells without error of their own do not vary.
NOTHING, FLOOR = 1e-6, 1e-12
# Where the search begins: parts of the residual variance that lie between wells and between plates.
STARTS = ((0.9, 0.1), (0.1, 0.9), (0.5, 0.0))


class Model(NamedTuple):
    """What is fitted, in units of the residual scatter."""

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


class _Weighing(NamedTuple):
    """The covariance V of the rates at given variances, ready to be divided by."""

    own: Floats  # (N,) variance of each well alone
    between: float
    inside: Floats  # (K,) sum of 1 / own over the wells of each plate
    share: Floats
    members: Floats

    def solve(self, right: Floats) -> Floats:
        """Return V^-1 right; each plate adds a matrix of rank one (Sherman and Morrison)."""
        scaled = right / self.own[:, None]
        taken = self.share[:, None] * (self.members.T @ scaled)
        return np.asarray(scaled - (self.members / self.own[:, None]) @ taken)


def _weighing(model: Model, variances: Floats) -> _Weighing:
    own = variances[0] + model.known
    between = float(variances[1]) if variances.size > 1 else 0.0
    inside = model.members.T @ (1 / own)
    return _Weighing(own, between, inside, between / (1 + between * inside), model.members)


def state_at(model: Model, variances: Floats) -> _State:
    """Return the model at given variances: between wells, and where it has plates between these."""
    weighing = _weighing(model, variances)
    own, between, inside, share, members = weighing
    solve = weighing.solve
    solved = solve(model.design)
    covariance = _inverse(model.design.T @ solved)
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


def best_variances(model: Model) -> Floats:
    """Return the variances, in parts of the residual variance, that the restricted likelihood is greatest at."""
    from scipy.optimize import minimize

    number = 2 if model.members.shape[1] else 1
    bounds = [(max(0.0, FLOOR - float(model.known.min())), None), (0.0, None)][:number]
    if number == 1 and float(np.ptp(model.known)) == 0:  # the mean square
        rates, design = model.rates, model.design
        left = rates - design @ np.linalg.lstsq(design, rates, rcond=None)[0]
        square = float(left @ left) / (design.shape[0] - design.shape[1])
        return np.array([max(square - float(model.known[0]), float(bounds[0][0] or 0.0))])

    def cost(variances: Floats) -> tuple[float, Floats]:
        state = state_at(model, variances)
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
        step = np.linalg.lstsq(_curvature(model, best, inside), state_at(model, best).score[inside], rcond=None)[0]
        trial = best.copy()
        trial[inside] -= step
        if (trial[inside] <= NOTHING).any() or state_at(model, trial).deviance > state_at(model, best).deviance:
            break
        best = trial
    return best


def _curvature(model: Model, variances: Floats, inside: np.typing.NDArray[np.bool_]) -> Floats:
    """Second derivative of the deviance by the variances that are not 0, from differences of the first."""
    rows = []
    for index in np.flatnonzero(inside):
        step = np.zeros_like(variances)
        step[index] = 1e-4 * variances[index]
        change = state_at(model, variances + step).score - state_at(model, variances - step).score
        rows.append(change[inside] / (2 * step[index]))
    matrix = np.array(rows).reshape(int(inside.sum()), int(inside.sum()))
    return np.asarray((matrix + matrix.T) / 2)


def _inverse(matrix: Floats) -> Floats:
    """Return the inverse of a positive definite matrix, columns of very different size among them."""
    size = 1 / np.sqrt(np.diag(matrix))
    return np.asarray(size[:, None] * np.linalg.inv(matrix * size[:, None] * size) * size, dtype=np.float64)


def information(model: Model, variances: Floats) -> Floats:
    """Return the expected information on the variances, ``tr(P V_i P V_j) / 2``.

    (Searle, Casella and McCulloch, Variance Components, 1992, section 6.6.) Unlike the observed one it stays away
    from 0 where the likelihood is flat, at a variance next to 0.
    """
    weighing = _weighing(model, variances)
    own, _, _, share, members = weighing
    solved = weighing.solve(model.design)
    covariance = _inverse(model.design.T @ solved)
    inner, twice = solved.T @ solved, solved.T @ weighing.solve(solved)
    squares = members.T @ own**-2.0
    plain = float((own**-2.0).sum() - 2 * share @ (members.T @ own**-3.0) + (share * squares) @ (share * squares))
    plain += float(-2 * np.trace(covariance @ twice) + np.trace(covariance @ inner @ covariance @ inner))
    if variances.size == 1:
        return np.array([[plain / 2]])
    by_plate = weighing.solve(members) - solved @ (covariance @ (solved.T @ members))  # P Z
    both = members.T @ by_plate
    return np.array([[plain, (by_plate**2).sum()], [(by_plate**2).sum(), (both**2).sum()]]) / 2
