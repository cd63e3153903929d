from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower

from c6seg.growth.plates.power import (
    detectable,
    g_over_plates,
    hedges_g,
    holm,
    power,
    promised,
    wells_needed,
)


@settings(max_examples=30, deadline=None)
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_agrees_with_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-15)


def test_holm_of_nothing() -> None:
    assert holm([]) == []


@pytest.mark.parametrize(("wells", "ratio", "alpha", "effect"), [(4, 2, 0.05, 1), (3, 1, 0.01, 2), (10, 1, 0.007, 0.5)])
def test_power_agrees_with_statsmodels(wells: int, ratio: int, alpha: float, effect: float) -> None:
    error, freedom = math.sqrt(1 / wells + 1 / (wells * ratio)), wells * (1 + ratio) - 2
    theirs = TTestIndPower()
    assert power(effect, error, freedom, alpha) == pytest.approx(theirs.power(effect, wells, alpha, ratio), rel=1e-6)
    least = theirs.solve_power(None, wells, alpha, 0.8, ratio)
    assert detectable(error, freedom, alpha) == pytest.approx(least, rel=1e-4)


@pytest.mark.parametrize(("effect", "alpha"), [(1.0, 0.05), (0.5, 0.01), (3.0, 0.001)])
def test_wells_needed_agree_with_statsmodels(effect: float, alpha: float) -> None:
    assert wells_needed(effect, 1.0, alpha) == math.ceil(TTestIndPower().solve_power(effect, None, alpha, 0.8))


def test_more_groups_tell_the_deviation_and_need_no_more_wells() -> None:
    assert wells_needed(3.0, 1.0, 0.01, groups=8) < wells_needed(3.0, 1.0, 0.01)


def test_hopeless_and_easy_designs() -> None:
    assert wells_needed(0.001, 1.0, 0.05) is None
    assert wells_needed(1000.0, 1.0, 0.05) == 2
    assert power(0.0, 1.0, 10, 0.05) == pytest.approx(0.05)
    assert power(1e6, 1.0, 1, 0.05) == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(freedom=st.floats(1, 500), alpha=st.floats(1e-4, 0.2), error=st.floats(1e-4, 10))
def test_what_is_just_detectable_is_found_with_the_wanted_power(freedom: float, alpha: float, error: float) -> None:
    assert power(detectable(error, freedom, alpha), error, freedom, alpha) == pytest.approx(0.8, abs=1e-4)


def test_hedges_g_by_hand() -> None:
    # J = 1 - 3 / (4 * 10 - 1) to three digits (Hedges 1981, equation 7)
    value, lower, upper = hedges_g(-3.0, 1.5, 4, 8, freedom=10, confidence=0.95)
    assert value == pytest.approx(-2 * (1 - 3 / 39), rel=1e-3)
    root, t = math.sqrt(1 / 4 + 1 / 8), -2 / math.sqrt(1 / 4 + 1 / 8)
    correction = value / -2
    assert stats.nct.cdf(t, 10, lower / correction / root) == pytest.approx(0.975, abs=1e-6)
    assert stats.nct.cdf(t, 10, upper / correction / root) == pytest.approx(0.025, abs=1e-6)


def test_interval_of_hedges_g_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(1.0, 1, (400, 4)), rng.normal(0.0, 1, (400, 6))
    deviation = np.sqrt((3 * first.var(axis=1, ddof=1) + 5 * second.var(axis=1, ddof=1)) / 8)
    inside = 0
    for difference, scale in zip(first.mean(axis=1) - second.mean(axis=1), deviation, strict=True):
        _, lower, upper = hedges_g(difference, scale, 4, 6, freedom=8, confidence=0.95)
        inside += lower <= 1.0 <= upper
    assert 0.92 <= inside / 400 <= 0.98


@settings(max_examples=20, deadline=None)
@given(difference=st.floats(-1e4, 1e4), wells=st.integers(2, 50), control=st.integers(2, 50))
def test_hedges_g_lies_in_its_interval_and_turns_its_sign(difference: float, wells: int, control: int) -> None:
    freedom = wells + control - 2
    value, lower, upper = hedges_g(difference, 1.0, wells, control, freedom=freedom, confidence=0.95)
    assert lower < upper
    assert lower - 1e-9 <= value <= upper + 1e-9
    turned = hedges_g(-difference, 1.0, wells, control, freedom=freedom, confidence=0.95)
    assert turned == pytest.approx((-value, -upper, -lower), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("freedom", "alpha"), [(2, 0.05), (4, 0.05), (10, 0.01), (40, 0.05)])
def test_what_is_promised_from_an_estimated_scatter_is_found_as_often_as_promised(freedom: int, alpha: float) -> None:
    rng = np.random.default_rng(freedom)
    first, second = (np.sqrt(rng.chisquare(freedom, 20000) / freedom) for _ in range(2))  # scatter in two experiments
    shift = rng.standard_normal(20000)
    limit = stats.t.ppf(1 - alpha / 2, freedom)
    found = (shift + promised(1.0, freedom, alpha) * first) / second > limit
    assert found.mean() == pytest.approx(0.8, abs=0.015)
    assert ((shift + detectable(1.0, freedom, alpha) * first) / second > limit).mean() < found.mean()


def test_interval_of_an_effect_over_plates_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    plates, wells, inside = 4, 3, 0
    for _ in range(300):
        rates = rng.normal(0, 1, (2, plates, wells)) + rng.normal(0, 0.7, (2, plates, 1))
        each = rates[1].mean(axis=1) - rates[0].mean(axis=1) + 2.0
        half = stats.t.ppf(0.975, plates - 1) * each.std(ddof=1) / math.sqrt(plates)
        deviation = math.sqrt(rates.var(axis=2, ddof=1).mean())
        ends = float(each.mean()), float(each.mean() - half), float(each.mean() + half)
        _, lower, upper = g_over_plates(ends, deviation, freedom=2 * plates * (wells - 1), confidence=0.95)
        inside += lower <= 2.0 <= upper
    assert 0.92 <= inside / 300 <= 0.995
