"""The growth laws against other libraries, and against themselves."""

from __future__ import annotations

import math
from dataclasses import replace

import lmfit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import curve_fit

from c6seg.growth.fits.fitting import fit_law
from c6seg.growth.fits.laws import (
    EXPONENTIAL,
    FULL_FIELD,
    GOMPERTZ,
    LAG,
    LOGISTIC,
    OVERLAPPING,
    RICHARDS,
    Law,
    confluence_at,
    slopes,
    specific_rate,
)
from c6seg.growth.fits.refitting import refit
from c6seg.growth.fits.resampling import _whiten

TIME_H = np.linspace(0, 96, 25)
LAWS = {
    "exponential": (EXPONENTIAL, [-2.5, 0.02, 0.0, 1.0, 0.0]),
    "full field": (FULL_FIELD, [-2.5, 0.05, 1.0, 1.0, 0.0]),
    "logistic": (LOGISTIC, [-2.8, 0.06, 1.11, 1.0, 0.0]),
    "overlapping": (OVERLAPPING, [-2.5, 0.04, 1.0, 1.0, 0.0]),
    "overlapping with lag": (OVERLAPPING.with_lag(0.8), [-2.5, 0.04, 1.0, 1.0, 17.0]),
    "Gompertz": (GOMPERTZ, [-2.8, 0.09, 1.11, 1.0, 0.0]),
    "Richards": (RICHARDS, [-2.8, 0.05, 1.11, 2.5, 0.0]),
    "exponential with lag": (EXPONENTIAL.with_lag(0.8), [-2.5, 0.03, 0.0, 1.0, 17.0]),
    "logistic with lag": (LOGISTIC.with_lag(0.8), [-2.8, 0.08, 1.11, 1.0, 17.0]),
    "Gompertz with lag": (GOMPERTZ.with_lag(0.8), [-2.8, 0.12, 1.11, 1.0, 17.0]),
}


def noisy(true: np.ndarray, seed: int, sd: float = 0.03) -> np.ndarray:
    return true * np.exp(sd * np.random.default_rng(seed).standard_normal(true.size))


def of(name: str) -> tuple[Law, np.ndarray]:
    law, parameters = LAWS[name]
    return law, np.array(parameters)


def test_exponential_agrees_with_scipy() -> None:
    time_h = np.linspace(0, 54, 10)
    values = noisy(0.08 * np.exp(0.03 * time_h), 1)
    ours = fit_law(time_h, values, np.ones(10))
    theirs, _ = curve_fit(lambda t, y0, r: y0 * np.exp(r * t), time_h, values, p0=(0.1, 0.02), xtol=1e-12)
    assert math.exp(ours.parameters[0]) == pytest.approx(theirs[0], rel=1e-4)
    assert ours.parameters[1] == pytest.approx(theirs[1], rel=1e-4)


def richards(t: np.ndarray, start: float, rate: float, plateau: float, shape: float) -> np.ndarray:
    return plateau / (1 + ((plateau / start) ** shape - 1) * np.exp(-rate * shape * t)) ** (1 / shape)


def gompertz(t: np.ndarray, start: float, rate: float, plateau: float) -> np.ndarray:
    return plateau * np.exp(np.log(start / plateau) * np.exp(rate * t / np.log(start / plateau)))


@pytest.mark.parametrize("name", ["logistic", "Gompertz", "Richards"])
def test_weighted_fits_agree_with_lmfit(name: str) -> None:
    law, parameters = of(name)
    true = confluence_at(law, parameters, TIME_H)
    values = noisy(true, 2)
    ours = fit_law(TIME_H, values, true, law)
    assert ours.weights.min() == 1  # no outlier, so that both minimise the same squares
    function = {"logistic": lambda t, start, rate, plateau: richards(t, start, rate, plateau, 1.0)}
    function |= {"Gompertz": gompertz, "Richards": richards}
    start = {"start": 0.05, "rate": 0.05, "plateau": 0.95} | ({"shape": 2.0} if name == "Richards" else {})
    model = lmfit.Model(function[name])
    bounds = model.make_params(**{key: {"value": value, "min": 1e-3, "max": 10} for key, value in start.items()})
    bounds["start"].max = 0.2
    bounds["plateau"].min = 0.3
    options = {"ftol": 1e-14, "xtol": 1e-14}
    theirs = model.fit(values, bounds, t=TIME_H, weights=1 / true, fit_kws=options).best_values
    assert math.exp(ours.parameters[0]) == pytest.approx(theirs["start"], rel=1e-4)
    assert ours.parameters[1] == pytest.approx(theirs["rate"], rel=1e-4)
    assert 1 / ours.parameters[2] == pytest.approx(theirs["plateau"], rel=1e-4)
    if name == "Richards":
        assert ours.parameters[3] == pytest.approx(theirs["shape"], rel=1e-4)


def test_fit_with_a_lag_agrees_with_lmfit() -> None:
    law, parameters = of("exponential with lag")
    true = confluence_at(law, parameters, TIME_H)
    values = noisy(true, 5)
    ours = fit_law(TIME_H, values, true, law)
    assert ours.weights.min() == 1

    def lagging(t: np.ndarray, a: float, rate: float, lag: float) -> np.ndarray:
        soft = law.softness_h
        return np.exp(a + rate * soft * (np.logaddexp(0, (t - lag) / soft) - np.logaddexp(0, -lag / soft)))

    options = {"ftol": 1e-14, "xtol": 1e-14}
    model = lmfit.Model(lagging)
    theirs = model.fit(values, t=TIME_H, weights=1 / true, a=-2.5, rate=0.03, lag=16.0, fit_kws=options).best_values
    assert ours.parameters[[0, 1, LAG]] == pytest.approx([theirs["a"], theirs["rate"], theirs["lag"]], rel=1e-4)


@pytest.mark.parametrize("name", LAWS)
def test_slopes_are_the_derivatives(name: str) -> None:
    law, parameters = of(name)
    value, by = slopes(law, parameters, TIME_H)
    assert value == pytest.approx(confluence_at(law, parameters, TIME_H))
    for column, index in enumerate(law.free):
        shift = np.eye(5)[index] * 1e-6 * max(1e-2, abs(parameters[index]))
        numeric = (confluence_at(law, parameters + shift, TIME_H) - confluence_at(law, parameters - shift, TIME_H)) / (
            2 * shift.sum()
        )
        assert by[:, column] == pytest.approx(numeric, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("name", LAWS)
def test_specific_rate_is_the_derivative_of_the_logarithm(name: str) -> None:
    law, parameters = of(name)
    step = 1e-5
    logs = [np.log(confluence_at(law, parameters, TIME_H + side)) for side in (-step, step)]
    assert specific_rate(law, parameters, TIME_H) == pytest.approx((logs[1] - logs[0]) / (2 * step), rel=1e-4, abs=1e-8)


def test_laws_solve_their_differential_equations() -> None:
    def solve(slope: object, start: float) -> np.ndarray:
        done = solve_ivp(slope, (0, 96), [start], t_eval=TIME_H, rtol=1e-10, atol=1e-12)
        return np.asarray(done.y[0])

    start, plateau = math.exp(-2.8), 1 / 1.11
    law, parameters = of("Richards")
    by_hand = solve(lambda t, y: 0.05 * y * (1 - (y / plateau) ** 2.5), start)
    assert confluence_at(law, parameters, TIME_H) == pytest.approx(by_hand, rel=1e-6)
    law, parameters = of("Gompertz")
    by_hand = solve(lambda t, y: 0.09 / math.log(plateau / start) * y * np.log(plateau / y), start)
    assert confluence_at(law, parameters, TIME_H) == pytest.approx(by_hand, rel=1e-6)


def test_logistic_is_the_law_of_richards_with_shape_one_and_gompertz_its_limit() -> None:
    parameters = np.array([-2.8, 0.06, 1.11, 1.0, 0.0])
    same = confluence_at(RICHARDS, parameters, TIME_H)
    assert confluence_at(LOGISTIC, parameters, TIME_H) == pytest.approx(same, rel=1e-12)
    shape = 1e-4
    rate = 0.09 / (1 - math.exp(shape * (-2.8 + math.log(1.11))))
    limit = confluence_at(RICHARDS, np.array([-2.8, rate, 1.11, shape, 0.0]), TIME_H)
    gompertz_law, parameters = of("Gompertz")
    assert confluence_at(gompertz_law, parameters, TIME_H) == pytest.approx(limit, rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(LAWS)),
    st.floats(-4, -1.5),
    st.floats(0.005, 0.12),
    st.floats(1.0, 2.0),
    st.floats(0.3, 6),
    st.floats(0, 60),
)
def test_growing_cultures_never_shrink_nor_pass_the_plateau(
    name: str, a: float, r: float, k: float, v: float, lag: float
) -> None:
    law, _ = of(name)
    parameters = np.where(law.fixed == law.fixed, [a, r, k if law.bent else 0.0, v, lag], 0.0)
    if name != "Richards":
        parameters[3] = 1.0
    values = confluence_at(law, parameters, TIME_H)
    assert np.all(np.diff(values) >= -1e-12)
    assert values[0] == pytest.approx(math.exp(a), rel=1e-9)
    if law.bent:
        assert values.max() <= (1.0 if law.shape == "overlap" else 1 / k) + 1e-9


def test_one_outlier_hardly_moves_the_rate() -> None:
    time_h = np.linspace(0, 54, 10)
    true = 0.08 * np.exp(0.03 * time_h)
    values = noisy(true, 3, sd=0.01)
    clean = fit_law(time_h, values, values).parameters[1]
    values[6] *= 1.8
    spoiled = fit_law(time_h, values, true)
    plain, _ = curve_fit(lambda t, y0, r: y0 * np.exp(r * t), time_h, values, p0=(0.1, 0.02), sigma=values)
    assert abs(spoiled.parameters[1] / clean - 1) < 0.05
    assert abs(spoiled.parameters[1] - clean) < abs(plain[1] - clean)
    assert spoiled.weights.argmin() == 6


@pytest.mark.parametrize("name", LAWS)
def test_many_at_once_agree_with_one_by_one(name: str) -> None:
    law, parameters = of(name)
    true = confluence_at(law, parameters, TIME_H)
    rows = np.stack([noisy(true, seed, sd=0.02) for seed in range(5)])
    many = refit(TIME_H, rows, np.broadcast_to(1 / true, rows.shape), law, parameters, steps=40)
    for values, found in zip(rows, many, strict=True):
        one = fit_law(TIME_H, values, true, law)
        squares = [
            (((confluence_at(law, each, TIME_H) - values) / true) ** 2).sum() for each in (found, one.parameters)
        ]
        if one.weights.min() == 1:
            assert squares[0] == pytest.approx(squares[1], rel=1e-3)


def test_whitening_takes_correlation_out() -> None:
    time_h = np.cumsum(np.random.default_rng(0).uniform(1, 3, 12))
    time_h -= time_h[0]
    fit = fit_law(time_h, 0.1 * np.exp(0.02 * time_h), np.ones(12))
    off = np.random.default_rng(1).standard_normal(12)
    # against the whole matrix, for the residuals off
    fit = replace(fit, weights=np.ones(12))
    found = _whiten(time_h, fit.fitted + off, fit)
    apart = np.abs(time_h[:, None] - time_h) / np.median(np.diff(time_h))
    by = slopes(fit.law, fit.parameters, time_h)[1]
    for index, correlation in ((0, 0.0), (10, 0.5)):
        matrix = np.where(apart == 0, 1.0, correlation**apart)
        inverse = np.linalg.inv(matrix)
        best = np.linalg.solve(by.T @ inverse @ by, by.T @ inverse @ off)
        left = off - by @ best
        assert found.square[index] == pytest.approx(left @ inverse @ left, rel=1e-6)
        assert found.log_root[index] == pytest.approx(0.5 * np.linalg.slogdet(matrix)[1], abs=1e-6)
