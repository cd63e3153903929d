"""Comparisons over several plates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from c6seg.growth.plates.compare import compare_groups, group_rates
from c6seg.growth.plates.groups import group_wells
from c6seg.growth.plates.rates import RateModel, fit_rates
from c6seg.growth.plates.results import Comparison, Group, PlateWell, WellInfo

SD = 0.003


def wells(rates: np.ndarray, names: list[str]) -> list[PlateWell]:
    """Return wells with rates (groups, plates, wells); NaN = no such well."""
    found = []
    for (group, plate, well), rate in np.ndenumerate(rates):
        info = WellInfo(
            f"{chr(65 + well)}{group + 1}", f"P{plate}", "sample" if names[group] else "control", names[group]
        )
        if np.isfinite(rate):
            found.append(PlateWell(info, "", False, estimate_per_h=rate, error_per_h=0.0, compared=True))
    return found


def compared(rates: np.ndarray, names: list[str]) -> tuple[dict[str, Comparison], dict[str, Group], RateModel]:
    grouped = group_wells(wells(rates, names))
    model = fit_rates(grouped.wells)
    groups = group_rates(grouped.groups, model, confidence=0.95)
    found, _ = compare_groups(grouped, model, groups, confidence=0.95)
    return {one.group: one for one in found}, {one.label: one for one in groups}, model


def drawn(seed: int, groups: int, plates: int, *, varies: float = 0.0, sds: np.ndarray | float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    sds = np.broadcast_to(sds, groups)[:, None, None] * SD
    offset = 2 * SD * rng.standard_normal((plates, 1))
    own = varies * rng.standard_normal((groups, plates, 1))
    return 0.03 + offset + sds * (own + rng.standard_normal((groups, plates, 3)))


@pytest.mark.parametrize(("plates", "treatments"), [(2, 1), (3, 1), (4, 1), (3, 4)])
def test_effects_that_vary_between_plates_are_not_claimed(plates: int, treatments: int) -> None:
    names = ["", *(f"drug{index}" for index in range(treatments))]
    p = [
        compared(drawn(seed, len(names), plates, varies=2.0), names)[0]["drug0"].p
        for seed in range(60 if treatments == 1 else 30)
    ]
    assert sum(one < 0.05 for one in p) <= (7 if treatments == 1 else 5)


@pytest.mark.parametrize("plates", [2, 3])
def test_calm_groups_do_not_sharpen_the_comparisons_of_others(plates: int) -> None:
    names = ["", "inert", *(f"kill{index}" for index in range(5))]
    sds = np.array([1, 1, 0.1, 0.1, 0.1, 0.1, 0.1])
    models = [fit_rates(group_wells(wells(drawn(seed, 7, plates, sds=sds), names)).wells) for seed in range(40)]
    p = [model.difference("inert", "control").p for model in models]
    assert sum(one < 0.05 for one in p) <= 5


def test_effects_that_return_on_every_plate_are_found() -> None:
    names = ["", *(f"drug{index}" for index in range(5))]
    for plates, effect in ((2, 6.0), (3, 4.0)):
        found = 0
        for seed in range(30):
            rates = drawn(seed, 6, plates)
            rates[1] -= effect * SD
            found += compared(rates, names)[0]["drug0"].p_holm < 0.05
        assert found >= 24


def test_two_groups_that_vary_are_the_paired_t_test_of_the_plates() -> None:
    rates = drawn(4, 2, 4, varies=3.0)
    found = compared(rates, ["", "drug"])[0]["drug"]
    theirs = stats.ttest_rel(rates[1].mean(axis=1), rates[0].mean(axis=1))
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-5)
    assert (found.lower, found.upper) == pytest.approx(tuple(theirs.confidence_interval()), rel=1e-5)


def test_single_wells_on_several_plates_are_paired() -> None:
    rates = drawn(5, 2, 5)[:, :, :1]
    theirs = stats.ttest_rel(rates[1, :, 0], rates[0, :, 0])
    assert compared(rates, ["", "drug"])[0]["drug"].p == pytest.approx(theirs.pvalue, rel=1e-6)


def test_a_treatment_that_shares_one_plate_is_compared_there_and_says_so() -> None:
    rates = drawn(6, 2, 2)
    rates[1, 1] = np.nan
    rates[1, 0] -= 5 * SD
    found = compared(rates, ["", "drug"])[0]["drug"]
    assert found.p == pytest.approx(stats.ttest_ind(rates[1, 0], rates[0, 0]).pvalue, rel=1e-6)
    assert found.verdict.endswith("drug and control share one plate: whether this returns, no other plate shows.")
    rates[1, 0, 1:] = np.nan
    assert "one well only on the plate that they share" in compared(rates, ["", "drug"])[0]["drug"].verdict


def test_what_is_clear_on_these_plates_only_is_told() -> None:
    rates = drawn(7, 2, 2)
    rates[1, 0] -= 5 * SD
    rates[1, 1] -= 9 * SD
    one = compared(rates, ["", "drug"])[0]["drug"]
    assert one.p > 0.05
    assert "On these 2 plates as they are the wells differ clearly" in one.verdict


def test_effect_size_is_in_scatter_of_wells_and_its_interval_holds_that_of_plates() -> None:
    rates = drawn(8, 2, 3, varies=3.0)
    rates[1] += 3 * SD
    one = compared(rates, ["", "drug"])[0]["drug"]
    deviation = np.sqrt(rates.var(axis=2, ddof=1).mean())
    assert one.effect_size == pytest.approx(one.difference_per_h / deviation * (1 - 3 / (4 * 12 - 1)), rel=2e-3)
    # wider than that of the difference alone
    assert one.effect_upper - one.effect_lower > 0.93 * (one.upper - one.lower) / deviation


def test_groups_that_scatter_differently_have_intervals_of_their_own() -> None:
    rng = np.random.default_rng(9)
    rates = np.stack([0.03 + SD * rng.standard_normal((1, 6)), 0.05 * SD * rng.standard_normal((1, 6))])
    groups = compared(rates, ["", "kill"])[1]
    for label, values in (("control", rates[0, 0]), ("kill", rates[1, 0])):
        half = stats.t.ppf(0.975, 5) * values.std(ddof=1) / np.sqrt(6)
        assert (groups[label].upper - groups[label].lower) / 2 == pytest.approx(half, rel=1e-6)
