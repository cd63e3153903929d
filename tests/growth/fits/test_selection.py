"""The choice among laws, its costs, and the draws of what the rate may be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from c6seg.growth.fits.fitting import fit_law, fit_step
from c6seg.growth.fits.laws import EXPONENTIAL, LAG, A, K, R, confluence_at
from c6seg.growth.fits.resampling import resample
from c6seg.growth.fits.selection import (
    Candidate,
    akaike_weights,
    best_rate,
    between_fields,
    choose,
    fit_candidates,
    mask_shift,
)

TIME_H = np.linspace(0, 66, 12)


def grown(seed: int, rate: float = 0.03, sd: float = 0.04, time_h: np.ndarray = TIME_H) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(0.08 * np.exp(rate * time_h + sd * rng.standard_normal(time_h.size)))


def candidates_of(seed: int) -> list[Candidate]:
    values = grown(seed)
    return fit_candidates(TIME_H, values, values < 0.85)


def test_a_step_is_fitted_where_it_is() -> None:
    values = np.where(TIME_H < 30, 0.1, 0.3) + 0.005 * np.random.default_rng(0).standard_normal(12)
    values[2] = 0.6  # an outlier
    fit = fit_step(TIME_H, values, np.ones(12))
    assert fit.parameters[R] == 0
    assert 24 < fit.parameters[LAG] <= 30
    assert np.exp(fit.parameters[A]) == pytest.approx(0.1, abs=0.02)
    assert 1 / fit.parameters[K] == pytest.approx(0.3, abs=0.02)
    assert fit.weights[2] < 0.5
    assert np.array_equal(fit.fitted, confluence_at(fit.law, fit.parameters, TIME_H))


def test_many_bent_laws_together_are_no_likelier_beforehand_than_the_straight_one() -> None:
    """Without the costs, ten bent laws share the evidence that one has, and a straight curve seems bent."""
    with_costs, without = [], []
    for seed in range(12):
        found = [one for one in candidates_of(seed) if one.grows]
        with_costs.append(akaike_weights(found)[0])
        without.append(akaike_weights([replace(one, cost=0.0) for one in found])[0])
        others = found[1:]
        assert all(one.cost >= 2 * np.log(len(others)) - 1e-9 for one in others)
        assert all((one.cost > 2 * np.log(len(others)) + 0.5) == (K not in one.fit.law.free and one.fit.law.bent)
                   for one in others)  # fmt: skip
    assert np.mean(with_costs) > 0.7
    assert np.mean(without) < np.mean(with_costs) - 0.1


def test_of_a_crowded_start_the_rate_is_averaged_and_of_a_sparse_one_it_is_that_of_the_law() -> None:
    found = [one for one in candidates_of(3) if one.grows]
    alike = [replace(found[0], aicc=0.0, cost=0.0), replace(found[1], aicc=0.0, cost=0.0)]
    assert best_rate(alike, alike[0]) == found[0].fit.parameters[R]
    crowded = [replace(one, fit=replace(one.fit, fitted=one.fit.fitted + 0.2)) for one in alike]
    assert best_rate(crowded, crowded[0]) == pytest.approx(np.sqrt(np.prod([one.fit.parameters[R] for one in alike])))
    crowded[1] = replace(crowded[1], aicc=4.0)
    assert best_rate(crowded, crowded[0]) == pytest.approx(found[0].fit.parameters[R], rel=1e-12)


def test_a_jump_is_never_the_chosen_law() -> None:
    values = np.where(TIME_H < 30, 0.1, 0.3) * np.exp(0.02 * np.random.default_rng(0).standard_normal(12))
    found = fit_candidates(TIME_H, values, values < 0.85)
    assert choose(found).grows
    assert akaike_weights(found)[[not one.grows for one in found]].sum() > 0.9


def test_few_times_have_wide_tails() -> None:
    """With five times the level of the noise is known badly: draws are those of Student's t, not of a normal."""
    time_h = np.linspace(0, 48, 5)
    few = grown(5, sd=0.03, time_h=time_h)
    rates = resample(time_h, few, fit_law(time_h, few, few), 4000, np.random.default_rng(1))[:, R]
    wide, narrow = np.subtract(*np.percentile(rates, [97.5, 2.5])), np.subtract(*np.percentile(rates, [75, 25]))
    assert wide / narrow > 3.6  # 4.2 for t with three degrees of freedom, 2.9 for a normal


def test_masks_off_on_the_arcsine_scale_move_the_rate() -> None:
    values = 0.05 * np.exp(0.03 * TIME_H)
    fit = fit_law(TIME_H, values, values)
    chosen = Candidate(fit, np.ones(12, dtype=bool), 0.0, 0.0)
    moved = np.sin(np.arcsin(np.sqrt(values)) + 0.02) ** 2
    by_hand = fit.parameters[R] - fit_law(TIME_H, moved, values, EXPONENTIAL).parameters[R]
    assert mask_shift(TIME_H, values, chosen, 0.0, arcsine=0.02) == pytest.approx(by_hand, rel=0.15)
    assert mask_shift(TIME_H, values, chosen, 0.0) == 0


def test_fields_of_different_rates_have_the_tails_of_few_fields() -> None:
    rates = np.array([0.02, 0.03, 0.04])
    fields = 0.08 * np.exp(rates[:, None] * TIME_H + 0.01 * np.random.default_rng(2).standard_normal((3, 12)))
    mean = fields.mean(axis=0)
    chosen = Candidate(fit_law(TIME_H, mean, mean), np.ones(12, dtype=bool), 0.0, 0.0)
    draws = between_fields(TIME_H, fields, chosen, 20000, np.random.default_rng(3))
    wide, narrow = np.subtract(*np.percentile(draws, [97.5, 2.5])), np.subtract(*np.percentile(draws, [75, 25]))
    assert wide / narrow > 4.5  # 5.3 for t with two degrees of freedom, 2.9 for a normal
    assert narrow / (2 * 0.816) == pytest.approx(0.01 / np.sqrt(3), rel=0.15)
    alike = 0.08 * np.exp(0.03 * TIME_H + 0.03 * np.random.default_rng(4).standard_normal((3, 12)))
    assert not between_fields(TIME_H, alike, chosen, 10, np.random.default_rng(3)).any()
