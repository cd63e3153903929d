from __future__ import annotations

import lmfit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import curve_fit

from c6seg.growth.plates.dose import respond
from c6seg.growth.plates.dose_fit import effect_p, fit_dose, ic50_interval, lack_of_fit_p, logistic
from c6seg.growth.plates.dose_scatter import widened
from c6seg.growth.plates.results import DoseResponse

DOSES = 10 * 3.0 ** -np.arange(8)
TRUE = {"top": 0.03, "bottom": 0.004, "ic50": 0.5, "hill": 1.3}
EXACT = {"xtol": 1e-13, "ftol": 1e-13}


def wells(
    seed: int = 0, *, doses: np.ndarray = DOSES, each: int = 3, controls: int = 6, sd: float = 0.0015, **truth: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return concentrations and noisy rates."""
    concentration = np.concatenate([np.zeros(controls), np.repeat(doses, each)])
    noise = np.random.default_rng(seed).normal(0, sd, concentration.size)
    return concentration, logistic(concentration, **{**TRUE, **truth}) + noise


def response(concentration: np.ndarray, rate: np.ndarray, **options: float) -> DoseResponse:
    return respond("drug", "uM", concentration, rate, np.ones_like(rate), **options)


def law(c: np.ndarray, top: float, bottom: float, ic50: float, hill: float) -> np.ndarray:
    return top + (bottom - top) * c**hill / (c**hill + ic50**hill)


@pytest.mark.parametrize("truth", [{}, {"bottom": 0.05}, {"hill": 2.5, "bottom": -0.01}, {"ic50": 2.0, "hill": 0.8}])
def test_parameters_agree_with_scipy_and_lmfit(truth: dict[str, float]) -> None:
    concentration, rate = wells(1, **truth)
    weight = 1 / np.linspace(0.5, 2, rate.size) ** 2
    ours = fit_dose(concentration, rate, weight, confidence=0.95)
    mine = (ours.top, ours.bottom, ours.ic50, ours.hill)
    start = list({**TRUE, **truth}.values())
    theirs, _ = curve_fit(law, concentration, rate, p0=start, sigma=weight**-0.5, **EXACT)
    assert mine == pytest.approx(theirs, rel=1e-4)
    model = lmfit.Model(law).fit(rate, c=concentration, weights=weight**0.5, fit_kws=EXACT, **{**TRUE, **truth})
    assert mine == pytest.approx(list(model.best_values.values()), rel=1e-4)


def test_interval_of_the_ic50_is_the_profile_of_lmfit() -> None:
    concentration, rate = wells(2)
    model = lmfit.Model(law).fit(rate, c=concentration, **TRUE)
    ends = [end for _, end in model.conf_interval(p_names=["ic50"], sigmas=[0.95])["ic50"]]
    found = ic50_interval(fit_dose(concentration, rate, np.ones(rate.size), confidence=0.95))
    assert found == pytest.approx((ends[0], ends[-1]), rel=0.01)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(200):
        concentration, rate = wells(seed, doses=DOSES[:6], sd=0.002)
        lower, upper = ic50_interval(fit_dose(concentration, rate, np.ones(rate.size), confidence=0.9))
        inside += lower <= 0.5 <= upper
    assert 0.85 <= inside / 200 <= 0.95


def test_no_effect_is_claimed_of_nothing() -> None:
    found = sum(response(*wells(seed, bottom=0.03)).curve_rate.size > 0 for seed in range(100))
    assert found <= 8


def test_a_whole_response() -> None:
    found = response(*wells(3))
    assert found.ic50 == pytest.approx(0.5, rel=0.3)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < 0.5 < found.upper
    assert found.hill_lower < 1.3 < found.hill_upper
    assert found.top_lower < 0.03 < found.top_upper
    assert found.bottom_lower < 0.004 < found.bottom_upper
    # the rate is halved where the curve passes top / 2
    true_half = 0.5 * (0.015 / (0.026 - 0.015)) ** (1 / 1.3)
    assert found.gi50_lower < true_half < found.gi50_upper
    middle = logistic(np.array([found.gi50]), found.top, found.bottom, found.ic50, found.hill)
    assert middle[0] == pytest.approx(found.top / 2, rel=1e-6)
    assert "IC50 of drug: 0." in found.verdict
    assert "falls from 0.03" in found.verdict
    assert np.all((found.curve_lower <= found.curve_rate) & (found.curve_rate <= found.curve_upper))
    assert (found.curve_concentration[0], found.curve_concentration[-1]) == pytest.approx((DOSES[-1], 10))


def test_band_is_that_of_the_mean_far_from_the_bend() -> None:
    concentration, rate = wells(4, doses=DOSES[:4] * 100, hill=6.0, ic50=50.0, controls=30)
    found = response(concentration, rate)
    low = rate[concentration == 0]
    half = stats.t.ppf(0.975, rate.size - 4) * rate[concentration != 50].std() / np.sqrt(low.size)
    assert found.top == pytest.approx(low.mean(), abs=half)
    assert found.top_upper - found.top_lower < 2 * half


def test_stimulation_is_a_response_too() -> None:
    found = response(*wells(5, bottom=0.06))
    assert found.verdict.startswith("EC50 of drug")
    assert "rises" in found.verdict
    assert found.lower < 0.5 < found.upper
    assert found.gi50 is None


@pytest.mark.parametrize(
    ("ic50", "side", "more"),
    [(30.0, "above 10 uM", "30 and 90 uM"), (0.001, "below 0.00457 uM", "0.00051 and 0.0015 uM")],
)
def test_a_half_effect_outside_the_tested_range_is_not_bracketed(ic50: float, side: str, more: str) -> None:
    found = response(*wells(6, ic50=ic50, controls=8))
    assert (found.ic50, found.lower, found.upper, found.top, found.hill) == (None,) * 5
    assert f"it may lie {side}" in found.verdict
    assert f"Add concentrations such as {more}" in found.verdict
    assert found.curve_rate.size


def test_half_the_rate_may_be_known_where_the_half_effect_is_not() -> None:
    found = response(*wells(7, bottom=-0.1, ic50=20.0, hill=1.0, sd=0.001))
    assert found.ic50 is None
    assert found.gi50_lower < 20 * 0.015 / 0.115 < found.gi50_upper
    assert "half the control's" in found.verdict


def test_without_controls_there_is_no_half_of_their_rate() -> None:
    found = response(*wells(8, controls=0))
    assert found.ic50 is not None
    assert found.gi50 is None


@pytest.mark.parametrize(("doses", "each"), [(DOSES[:3], 4), (DOSES[:4], 1)])
def test_too_few_concentrations_or_wells(doses: np.ndarray, each: int) -> None:
    found = response(*wells(9, doses=doses, each=each, controls=0))
    assert found.ic50 is None
    assert "cannot carry a curve with four parameters" in found.verdict
    assert found.curve_rate.size == 0
    assert found.concentrations.size == found.rates.size == doses.size * each


def test_no_effect_is_no_ic50() -> None:
    found = response(*wells(11, bottom=0.03))
    assert found.ic50 is None
    assert "no change of the growth rate" in found.verdict


def test_response_that_turns_round_is_told() -> None:
    concentration, rate = wells(12, sd=0.0005)
    rate[concentration == DOSES[4]] += 0.008
    assert "further off this curve" in response(concentration, rate).verdict
    assert "further off this curve" not in response(*wells(12, sd=0.0005)).verdict


def test_lack_of_fit_by_hand() -> None:
    concentration, rate = wells(13)
    fit = fit_dose(concentration, rate, np.ones(rate.size), confidence=0.95)
    pure = sum(
        ((rate[concentration == c] - rate[concentration == c].mean()) ** 2).sum() for c in np.unique(concentration)
    )
    f = ((fit.square - pure) / 5) / (pure / (30 - 9))
    assert lack_of_fit_p(fit, concentration, rate, np.ones(30)) == pytest.approx(stats.f.sf(f, 5, 21), rel=1e-6)
    single = wells(13, each=1, controls=1)
    assert lack_of_fit_p(fit_dose(*single, np.ones(9), confidence=0.95), *single, np.ones(9)) is None


def test_exact_points_give_the_exact_curve() -> None:
    concentration, rate = wells(14, sd=0.0)
    fit = fit_dose(concentration, rate, np.ones(rate.size), confidence=0.95)
    assert (fit.top, fit.bottom, fit.ic50, fit.hill) == pytest.approx(tuple(TRUE.values()), rel=1e-4)
    lower, upper = ic50_interval(fit)
    assert lower <= fit.ic50 <= upper
    assert effect_p(fit) == pytest.approx(0, abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), clock=st.floats(0.1, 10), scale=st.floats(1e-3, 1e3))
def test_order_clock_and_unit_change_nothing_else(seed: int, clock: float, scale: float) -> None:
    concentration, rate = wells(seed)
    first = response(concentration, rate)
    order = np.random.default_rng(seed).permutation(rate.size)
    other = response(scale * concentration[order], clock * rate[order])
    if first.ic50 is None:
        assert other.ic50 is None
        return
    assert other.ic50 == pytest.approx(scale * first.ic50, rel=1e-4)
    assert (other.lower, other.upper) == pytest.approx((scale * first.lower, scale * first.upper), rel=1e-4)
    assert (other.top, other.bottom, other.hill) == pytest.approx(
        (clock * first.top, clock * first.bottom, first.hill), rel=1e-3, abs=1e-6 * clock
    )


def test_interval_holds_where_wells_scatter_most_at_the_bend() -> None:
    concentration, true = wells(sd=0.0, bottom=0.001)
    sd = 0.0007 + 0.016 * (true - 0.001) / 0.029 * (0.03 - true) / 0.029
    inside, before = 0, 0
    for seed in range(60):
        rate = true + sd * np.random.default_rng(seed).standard_normal(true.size)
        fit = fit_dose(concentration, rate, np.ones(rate.size), confidence=0.95)
        lower, upper = ic50_interval(fit)
        before += lower <= 0.5 <= upper
        lower, upper = ic50_interval(widened(fit, concentration, rate, np.ones(rate.size)))
        inside += lower <= 0.5 <= upper
    assert inside >= before + 5
    assert inside / 60 >= 0.83


def test_equal_scatter_hardly_widens_the_interval() -> None:
    ratios = []
    for seed in range(30):
        concentration, rate = wells(seed)
        fit = fit_dose(concentration, rate, np.ones(rate.size), confidence=0.95)
        wide = widened(fit, concentration, rate, np.ones(rate.size))
        ratios.append((wide.limit - fit.square) / (fit.limit - fit.square))
    assert min(ratios) >= 1
    assert np.median(ratios) < 1.3
