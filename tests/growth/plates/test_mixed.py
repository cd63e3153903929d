from __future__ import annotations

import warnings
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from c6seg.errors import DataError
from c6seg.growth.plates.mixed import contrast, fit_mixed


def rates(wells: list[int], seed: int, spread: float = 0.004) -> tuple[np.ndarray, np.ndarray]:
    """Return rates of groups with these numbers of wells, and the design."""
    rng = np.random.default_rng(seed)
    group = np.repeat(range(len(wells)), wells)
    return 0.03 - 0.003 * group + rng.normal(0, spread, group.size), np.eye(len(wells))[group]


@pytest.mark.parametrize("wells", [[6, 6], [3, 8], [2, 2]])
def test_two_groups_are_the_pooled_t_test(wells: list[int]) -> None:
    values, design = rates(wells, seed=1)
    ours = contrast(fit_mixed(values, design, np.zeros(values.size)), np.array([-1.0, 1.0]))
    theirs = stats.ttest_ind(values[wells[0] :], values[: wells[0]])
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-7)
    assert ours.freedom == pytest.approx(theirs.df, rel=1e-6)
    assert ours.interval(0.9) == pytest.approx(theirs.confidence_interval(0.9), rel=1e-6)


def test_contrasts_of_many_groups_are_those_of_the_analysis_of_variance() -> None:
    values, design = rates([4, 3, 5, 2], seed=2)
    fit = fit_mixed(values, design, np.zeros(14))
    means = design.T @ values / design.sum(axis=0)
    square = float(((values - design @ means) ** 2).sum()) / 10
    assert fit.well_variance == pytest.approx(square, rel=1e-9)
    ours = contrast(fit, np.array([-1.0, 0, 1, 0]))
    error = np.sqrt(square * (1 / 4 + 1 / 5))
    assert (ours.estimate, ours.error) == pytest.approx((means[2] - means[0], error), rel=1e-9)
    assert ours.p == pytest.approx(2 * stats.t.sf(abs(ours.estimate) / error, 10), rel=1e-9)


def test_equal_known_errors_change_nothing_while_wells_vary_more() -> None:
    values, design = rates([5, 5], seed=3)
    exact, known = (fit_mixed(values, design, np.full(10, error)) for error in (0.0, 0.001))
    assert known.well_variance == pytest.approx(exact.well_variance - 1e-6, rel=1e-6)
    first, second = (contrast(fit, np.array([-1.0, 1.0])) for fit in (exact, known))
    assert astuple(second) == pytest.approx(astuple(first), rel=1e-6)


def plates_of(group: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    plates = rng.permutation(np.arange(group.size) % 5)
    return plates, rng.normal(0, 0.006, 5)[plates]


def test_plates_agree_with_statsmodels() -> None:
    values, design = rates([20, 15, 25], seed=4)
    plates, offset = plates_of(design.argmax(axis=1), seed=5)
    ours = fit_mixed(values + offset, design, np.zeros(60), plates)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = MixedLM(1000 * (values + offset), design, plates).fit(reml=True, gtol=1e-12)
    assert 1e6 * ours.well_variance == pytest.approx(theirs.scale, rel=1e-5)
    assert 1e6 * ours.plate_variance == pytest.approx(float(theirs.cov_re[0, 0]), rel=1e-4)
    assert 1000 * ours.effects == pytest.approx(theirs.fe_params, rel=1e-6)
    assert 1000 * ours.plate_effects == pytest.approx(
        [float(theirs.random_effects[k].iloc[0]) for k in range(5)], rel=1e-4
    )


def test_covariance_is_that_of_generalised_least_squares() -> None:
    values, design = rates([10, 10], seed=6)
    plates, offset = plates_of(design.argmax(axis=1), seed=7)
    errors = np.linspace(0.001, 0.004, 20)
    fit = fit_mixed(values + offset, design, errors, plates)
    members = np.eye(5)[plates]
    whole = np.diag(fit.well_variance + errors**2) + fit.plate_variance * members @ members.T
    inverse = np.linalg.inv(whole)
    covariance = np.linalg.inv(design.T @ inverse @ design)
    assert fit.covariance == pytest.approx(covariance, rel=1e-6)
    assert fit.effects == pytest.approx(covariance @ design.T @ inverse @ (values + offset), rel=1e-6)
    for index, change in enumerate((np.eye(20), members @ members.T)):
        step = 1e-4 * (fit.well_variance, fit.plate_variance)[index]
        ends = [np.linalg.inv(design.T @ np.linalg.inv(whole + side * step * change) @ design) for side in (-1, 1)]
        assert fit.slopes[index] == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-4)


def test_balanced_plates_leave_the_freedom_of_randomised_blocks() -> None:
    rng = np.random.default_rng(8)
    plates, group = np.repeat(range(4), 6), np.tile([0, 0, 1, 1, 2, 2], 4)
    values = rng.normal(0.03, 0.002, 24) + rng.normal(0, 0.01, 4)[plates]
    found = contrast(fit_mixed(values, np.eye(3)[group], np.zeros(24), plates), np.array([-1.0, 1, 0]))
    assert found.freedom == pytest.approx(24 - 3 - 3, rel=1e-3)
    blocks = np.column_stack([np.eye(3)[group], np.eye(4)[plates][:, 1:]])
    effects, (square,), *_ = np.linalg.lstsq(blocks, values, rcond=None)
    assert found.estimate == pytest.approx(effects[1] - effects[0], rel=1e-6)
    assert found.error == pytest.approx(np.sqrt(square / 18 * 2 / 8), rel=1e-5)


def test_wells_that_vary_less_than_their_errors() -> None:
    values, design = rates([4, 4], seed=9, spread=1e-5)
    fit = fit_mixed(values, design, np.full(8, 0.002))
    found = contrast(fit, np.array([-1.0, 1.0]))
    assert fit.well_variance == 0
    assert found.error == pytest.approx(0.002 * np.sqrt(2 / 4), rel=1e-6)
    assert found.freedom == 6  # not endless, as if the errors were exact


def test_wells_that_are_equal_give_no_p() -> None:
    fit = fit_mixed(np.array([0.03] * 3 + [0.02] * 3), np.eye(2)[[0, 0, 0, 1, 1, 1]], np.zeros(6))
    found = contrast(fit, np.array([-1.0, 1.0]))
    assert found.estimate == pytest.approx(-0.01)
    assert (found.error, found.p) == (0.0, None)


def test_too_few_wells() -> None:
    with pytest.raises(DataError, match="2 wells cannot tell 2 effects"):
        fit_mixed(np.array([0.1, 0.2]), np.eye(2), np.zeros(2))
    with pytest.raises(DataError):
        fit_mixed(np.array([0.1, 0.2, 0.3]), np.ones((3, 2)), np.zeros(3))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), factor=st.floats(0.01, 100), errors=st.sampled_from([0.0, 0.001, 0.02]))
def test_order_does_not_matter_and_scale_goes_through(seed: int, factor: float, errors: float) -> None:
    values, design = rates([4, 6, 5], seed=seed)
    plates, offset = plates_of(design.argmax(axis=1), seed=seed)
    order = np.random.default_rng(seed).permutation(15)
    weights = np.array([-1.0, 0, 1])
    first = contrast(fit_mixed(values + offset, design, np.full(15, errors), plates), weights)
    other = contrast(
        fit_mixed(factor * (values + offset)[order], design[order], np.full(15, factor * errors), plates[order]),
        weights,
    )
    assert (other.estimate, other.error) == pytest.approx(
        (factor * first.estimate, factor * first.error), rel=1e-5, abs=1e-12
    )
    assert other.p == pytest.approx(first.p, rel=1e-3, abs=1e-9)


def test_plates_that_hardly_differ_leave_degrees_of_freedom() -> None:
    """The observed information is next to 0 where the likelihood is flat, and p-values of 0.5 came of it."""
    group = np.repeat([0, 1], 9)
    plates = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 1, 1, 1, 1, 2, 2, 2])
    least = np.inf
    for seed in range(150):
        values = 0.03 + np.random.default_rng(seed).normal(0, 0.003, 18)
        fit = fit_mixed(values, np.eye(2)[group], np.zeros(18), plates)
        least = min(least, contrast(fit, np.array([-1.0, 1.0])).freedom)
    assert least > 5


def test_degrees_of_freedom_stay_above_those_of_the_smallest_stratum() -> None:
    values, design = rates([9, 9], seed=3)
    plates, offset = plates_of(design.argmax(axis=1), seed=3)
    fit = fit_mixed(values + 5 * offset, design, np.zeros(18), plates)
    mean = np.array([0.5, 0.5])
    assert contrast(fit, mean).freedom == pytest.approx(4, rel=0.05)
    assert contrast(fit, mean, least=6).freedom == 6
    assert contrast(fit, mean, freedom=3).freedom == 3
    assert contrast(fit, mean, freedom=3).p == pytest.approx(
        2 * stats.t.sf(contrast(fit, mean).estimate / contrast(fit, mean).error, 3)
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("huge", [1e2, 1e6, 1e12, 1e30, 1e160])
@pytest.mark.parametrize("several", [False, True])
def test_huge_errors_of_some_wells_do_no_harm(huge: float, several: bool) -> None:
    values, design = rates([5, 5, 5], seed=11)
    errors = np.full(15, 0.001)
    errors[[0, 10, 11, 12, 13, 14]] = huge  # one well of the first group, all of the third
    plates = np.arange(15) % 3 if several else None
    fit = fit_mixed(values, design, errors, plates)
    found = contrast(fit, np.array([-1.0, 1.0, 0.0]))
    assert 0 < found.error < 0.01
    other = contrast(fit, np.array([-1.0, 0.0, 1.0]))
    assert other.p is not None
    assert other.p > 0.5


def test_a_few_exact_wells_that_agree_are_not_all_there_is() -> None:
    values, design = rates([6, 6], seed=12)
    values[1] = values[0]
    errors = np.full(12, 0.001)
    errors[:2] = 0.0
    fit = fit_mixed(values, design, errors)
    assert fit.well_variance > 1e-6
    assert contrast(fit, np.array([1.0, 0.0])).error > 5e-4
