"""What is no growth, or not enough of it, must not get a doubling time; and what is growth must not be taken for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from c6seg.config import GrowthConfig
from c6seg.growth.curves import GrowthFit, fit_growth

Chance = np.random.Generator
QUICK = GrowthConfig(bootstrap=150)
HOURS = 72.0


def fit_of(time_h: np.ndarray, values: np.ndarray, sd: float, seed: int) -> GrowthFit:
    rng = np.random.default_rng(seed)
    noisy = np.clip(values * np.exp(sd * rng.standard_normal(values.size)), 0, 1)
    return fit_growth(time_h, noisy, config=QUICK, seed_name=str(seed))


def jump(time_h: np.ndarray, at: float, fold: float) -> np.ndarray:
    return 0.12 * np.where(time_h < at * HOURS, 1.0, fold)


def ramp(time_h: np.ndarray, at: float, fold: float, width_h: float) -> np.ndarray:
    return 0.12 * (1 + (fold - 1) / (1 + np.exp(-(time_h - at * HOURS) / (width_h / 4))))


def spread(time_h: np.ndarray, fold: float, slowness_h: float) -> np.ndarray:
    return 0.1 * (fold - (fold - 1) * np.exp(-time_h / slowness_h))


STILL: dict[str, tuple[int, Callable[[np.ndarray, int], np.ndarray]]] = {
    "jump": (24, lambda t, seed: jump(t, 0.2 + 0.15 * seed, 1.5)),
    "jump, many times": (72, lambda t, seed: jump(t, 0.3 + 0.15 * seed, 2.0)),
    "jump at the end": (72, lambda t, _: jump(t, 0.92, 1.5)),
    "slow jump": (72, lambda t, seed: ramp(t, 0.3 + 0.1 * seed, 2.0, 5.0)),
    "spreading to twice the area": (24, lambda t, _: spread(t, 2.0, 8.0)),
    "spreading to three times the area": (24, lambda t, _: spread(t, 3.0, 10.0)),
    "slow spreading": (12, lambda t, _: spread(t, 3.0, 25.0)),
    "drifting light": (24, lambda t, _: 0.2 * (1 + 0.4 * t / HOURS)),
}


@pytest.mark.parametrize("name", STILL)
def test_no_doubling_time_without_division(name: str) -> None:
    times, course = STILL[name]
    time_h = np.linspace(0, HOURS, times)
    for seed in range(5):
        fit = fit_of(time_h, course(time_h, seed), 0.04, seed)
        assert fit.doubling_time_h is None, (seed, fit.verdict)
        assert fit.kind in {"flat", "slight", "uncertain"}


def test_a_jump_is_said_to_be_one() -> None:
    time_h = np.arange(0, 72, 3.0)
    fit = fit_of(time_h, np.where(time_h < 40, 0.12, 0.24), 0.03, 1)
    assert "single jump" in fit.verdict
    assert "between 39 and 42 h" in fit.verdict
    assert fit.rate_lower is not None
    assert fit.rate_lower <= 0


def test_a_speck_in_an_empty_field_is_no_culture() -> None:
    time_h = np.linspace(0, 66, 12)
    for number in (1, 2, 3, 4):
        values = np.zeros(12)
        values[-number:] = np.linspace(0.006, 0.02, number)
        fit = fit_growth(time_h, values, config=QUICK)
        assert fit.doubling_time_h is None, fit.verdict


def test_what_doubles_faster_than_cells_divide_is_no_growth() -> None:
    time_h = np.arange(0, 6, 0.5)
    values = 0.05 * np.exp(0.3 * time_h)
    assert "faster than cells divide" in fit_of(time_h, values, 0.02, 3).verdict
    allowed = fit_growth(time_h, values, config=GrowthConfig(bootstrap=150, fastest_doubling_h=0))
    assert allowed.doubling_time_h == pytest.approx(np.log(2) / 0.3, rel=0.02)


def test_one_full_picture_at_the_end_does_not_hide_growth() -> None:
    found = []
    for seed in range(8):
        time_h = np.linspace(0, 66, 12)
        rng = np.random.default_rng(seed)
        values = 0.1 * np.exp(0.02 * time_h + 0.03 * rng.standard_normal(12))
        values[-1] = 0.99
        found.append(fit_growth(time_h, values, config=QUICK, seed_name=str(seed)).growth_rate_per_h)
    numbers = [rate for rate in found if rate is not None]
    assert len(numbers) >= 5
    assert numbers == pytest.approx([0.02] * len(numbers), rel=0.12)


def test_a_crowded_start_gives_no_rate_of_one_law_alone() -> None:
    """From 40 % on an exponential and a logistic curve look alike; the slower of their rates alone would be wrong."""
    time_h = np.linspace(0, 48, 12)
    values = 1 / (1 + (1 / 0.4 - 1) * np.exp(-0.03 * time_h))
    fits = [fit_of(time_h, values, 0.03, seed) for seed in range(8)]
    assert sum(fit.doubling_time_h is not None for fit in fits) <= 2
    assert all(fit.rate_upper is not None and fit.rate_upper >= 0.028 for fit in fits)
    thinner = 1 / (1 + (1 / 0.3 - 1) * np.exp(-0.03 * time_h))
    rates = [fit_of(time_h, thinner, 0.03, seed).estimate_per_h or 0.0 for seed in range(8)]
    assert np.median(rates) > 0.018  # the exponential alone says 0.0155


@pytest.mark.parametrize(("times", "rate"), [(6, 0.03), (8, 0.012), (12, 0.012), (24, 0.03)])
def test_growth_still_gets_its_number(times: int, rate: float) -> None:
    time_h = np.linspace(0, 60, times)
    fits = [fit_of(time_h, 0.09 * np.exp(rate * time_h), 0.025, seed) for seed in range(6)]
    numbers = [fit.growth_rate_per_h for fit in fits if fit.growth_rate_per_h is not None]
    assert len(numbers) >= 5
    assert np.median(numbers) == pytest.approx(rate, rel=0.06)
