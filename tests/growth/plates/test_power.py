from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower

from c6seg.growth.plates.power import detectable, hedges_g, holm, power, wells_needed


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
