from __future__ import annotations

import math
import re

import numpy as np
import pytest

from c6seg.config import GrowthConfig
from c6seg.errors import DataError
from c6seg.growth.curves import GrowthFit, fit_growth, fit_series
from c6seg.growth.fits.advice import NUMBERS
from c6seg.growth.fits.fitting import fit_law
from c6seg.growth.series import Series

QUICK = GrowthConfig(bootstrap=300)
TIME_H = np.linspace(0, 54, 10)


def noisy(true: np.ndarray, *, sd: float, seed: int, correlation: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(true.size)
    for index in range(1, true.size):
        noise[index] = correlation * noise[index - 1] + math.sqrt(1 - correlation**2) * noise[index]
    return np.clip(true * np.exp(sd * noise), 0, 1)


def exponential(time_h: np.ndarray, rate: float, start: float = 0.08) -> np.ndarray:
    return start * np.exp(rate * time_h)


def logistic(time_h: np.ndarray, rate: float, plateau: float, start: float = 0.06) -> np.ndarray:
    return plateau / (1 + (plateau / start - 1) * np.exp(-rate * time_h))


def test_exponential_culture() -> None:
    fit = fit_growth(TIME_H, noisy(exponential(TIME_H, 0.03), sd=0.02, seed=5), config=QUICK)
    assert (fit.kind, fit.model) == ("growing", "exponential")
    assert fit.doubling_time_h == pytest.approx(math.log(2) / 0.03, rel=0.05)
    assert fit.lower is not None
    assert fit.upper is not None
    assert fit.lower < math.log(2) / 0.03 < fit.upper
    assert fit.growth_rate_per_h == pytest.approx(math.log(2) / fit.doubling_time_h)
    assert "doubling every" in fit.verdict
    assert fit.curve is not None
    assert np.all(fit.curve.lower <= fit.curve.upper)


def test_culture_that_fills_the_field_is_logistic() -> None:
    time_h = np.linspace(0, 120, 31)
    fit = fit_growth(time_h, noisy(logistic(time_h, 0.06, 0.95), sd=0.02, seed=6), config=QUICK)
    assert fit.model == "logistic"
    assert fit.growth_rate_per_h == pytest.approx(0.06, rel=0.1)
    assert fit.plateau == pytest.approx(0.95, abs=0.02)
    assert "levels off" in fit.verdict


def test_same_data_same_numbers_in_any_order() -> None:
    values = noisy(exponential(TIME_H, 0.03), sd=0.04, seed=7)
    order = np.random.default_rng(0).permutation(10)
    first = fit_growth(TIME_H, values, config=QUICK)
    second = fit_growth(TIME_H[order], values[order], config=QUICK)
    assert (first.lower, first.doubling_time_h, first.upper) == (second.lower, second.doubling_time_h, second.upper)


def test_doubling_time_scales_with_the_clock_and_ignores_its_zero() -> None:
    values = noisy(exponential(TIME_H, 0.03), sd=0.03, seed=8)
    first = fit_growth(TIME_H, values, config=QUICK)
    later = fit_growth(TIME_H + 1000, values, config=QUICK)
    slower = fit_growth(2 * TIME_H, values, config=QUICK)
    assert first.doubling_time_h is not None
    assert later.doubling_time_h == pytest.approx(first.doubling_time_h, rel=1e-6)
    assert slower.doubling_time_h == pytest.approx(2 * first.doubling_time_h, rel=1e-4)


NO_NUMBER = {
    "few": ([0, 10, 20], [0.1, 0.15, 0.2], "at least 4 are needed"),
    "empty": ([0, 10, 20, 30, 40], [0.001, 0.002, 0.0, 0.001, 0.003], "hardly any cells"),
    "full": ([0, 10, 20, 30, 40], [0.9, 0.93, 0.95, 0.96, 0.96], "from the start"),
    "flat": ([0, 10, 20, 30, 40, 50], [0.20, 0.21, 0.19, 0.2, 0.205, 0.2], "told from zero"),
    "shrinking": ([0, 10, 20, 30, 40, 50], [0.4, 0.33, 0.28, 0.23, 0.19, 0.16], "shrinks"),
    "slight": ([0, 1, 2, 3, 4, 5, 6], [0.2, 0.203, 0.206, 0.209, 0.212, 0.215, 0.218], "without a division"),
    "uncertain": ([0, 10, 20, 30, 40, 50], [0.1, 0.16, 0.12, 0.22, 0.14, 0.25], "No number"),
}


@pytest.mark.parametrize("kind", NO_NUMBER)
def test_no_number_where_the_data_cannot_carry_one(kind: str) -> None:
    time_h, values, words = NO_NUMBER[kind]
    fit = fit_growth(time_h, values, config=QUICK)
    assert fit.kind in ({"uncertain", "flat"} if kind == "uncertain" else {kind})
    assert words in fit.verdict
    numbers = (fit.doubling_time_h, fit.growth_rate_per_h, fit.lower, fit.upper, fit.plateau, fit.aicc, fit.model)
    assert numbers == (None,) * 7


def test_full_after_a_while_with_too_few_times_before() -> None:
    fit = fit_growth([0, 24, 48, 72, 96], [0.3, 0.9, 0.96, 0.97, 0.97], config=QUICK)
    assert fit.kind == "full"
    assert "after 0 h" in fit.verdict


def test_gaps_are_left_out() -> None:
    values = noisy(exponential(TIME_H, 0.03), sd=0.02, seed=9)
    with_gap = values.copy()
    with_gap[4] = np.nan
    without = np.arange(10) != 4
    first, second = (
        fit_growth(TIME_H, with_gap, config=QUICK),
        fit_growth(TIME_H[without], values[without], config=QUICK),
    )
    assert first.doubling_time_h == second.doubling_time_h


def test_fields_that_disagree_widen_the_interval() -> None:
    alike = np.stack([noisy(exponential(TIME_H, 0.03), sd=0.02, seed=seed) for seed in range(4)])
    rates = (0.02, 0.027, 0.033, 0.04)
    differ = np.stack([noisy(exponential(TIME_H, rate), sd=0.02, seed=seed) for seed, rate in enumerate(rates)])
    narrow = fit_growth(TIME_H, alike.mean(axis=0), fields=alike, config=QUICK)
    wide = fit_growth(TIME_H, differ.mean(axis=0), fields=differ, config=QUICK)
    assert narrow.rate_upper is not None
    assert narrow.rate_lower is not None
    assert wide.rate_upper is not None
    assert wide.rate_lower is not None
    assert wide.rate_upper - wide.rate_lower > 2 * (narrow.rate_upper - narrow.rate_lower)


@pytest.mark.parametrize(
    ("time_h", "values", "message"),
    [
        ([0, 1, 1, 2], [0.1] * 4, "occurs twice"),
        ([0, 1, 2], [0.1, 0.2], "one length"),
        ([0, 1, math.inf, 3], [0.1] * 4, "finite"),
        ([0, 1, 2, 3], [0.1, 0.2, 1.4, 0.3], "0..1"),
    ],
)
def test_impossible_input_is_refused(time_h: list[float], values: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_growth(time_h, values)


@pytest.mark.parametrize(
    ("name", "times", "true", "sd", "correlation", "least"),
    [
        ("8 times", 8, 0.03, 0.04, 0.0, 0.92),
        ("10 times, noisier", 10, 0.035, 0.08, 0.0, 0.92),
        ("24 times, errors alike", 24, 0.03, 0.04, 0.3, 0.85),
    ],
)
def test_interval_covers_the_truth(
    name: str, times: int, true: float, sd: float, correlation: float, least: float
) -> None:
    time_h = np.linspace(0, 54, times)
    hits, number = 0, 60
    for seed in range(number):
        values = noisy(exponential(time_h, true), sd=sd, seed=seed, correlation=correlation)
        fit = fit_growth(time_h, values, config=GrowthConfig(bootstrap=200), seed_name=str(seed))
        assert fit.rate_lower is not None
        assert fit.rate_upper is not None
        hits += fit.rate_lower <= true <= fit.rate_upper
    assert hits / number >= least - 2 * math.sqrt(0.05 * 0.95 / number), name


def test_cultures_that_do_not_grow_get_no_doubling_time() -> None:
    for seed in range(60):
        values = noisy(np.full(10, 0.3), sd=0.05, seed=seed, correlation=0.5 * (seed % 2))
        fit = fit_growth(TIME_H, values, config=GrowthConfig(bootstrap=200), seed_name=str(seed))
        assert fit.doubling_time_h is None, (seed, fit.verdict)


def test_mask_error_widens_the_interval_of_a_growing_culture_only() -> None:
    values = noisy(exponential(TIME_H, 0.03), sd=0.01, seed=12)
    exact, careful = (fit_growth(TIME_H, values, config=QUICK, mask_error=error) for error in (0.0, 0.01))
    assert exact.doubling_time_h == careful.doubling_time_h
    assert exact.lower is not None
    assert careful.lower is not None
    assert careful.upper is not None
    assert careful.lower < exact.lower
    # what too wide masks feign lies inside
    too_wide = math.log(2) / fit_law(TIME_H, values - 0.01, values).parameters[1]
    assert careful.lower < too_wide < careful.upper
    still = noisy(np.full(10, 0.3), sd=0.01, seed=12)
    flat, careful_flat = (fit_growth(TIME_H, still, config=QUICK, mask_error=error) for error in (0.0, 0.01))
    assert flat.rate_upper == pytest.approx(careful_flat.rate_upper, abs=1e-4)


def test_growth_after_a_lag_is_told_from_growth_from_the_start() -> None:
    time_h = np.arange(0, 72, 3.0)
    values = noisy(exponential(np.maximum(0, time_h - 18), 0.04), sd=0.02, seed=13)
    fit = fit_growth(time_h, values, config=QUICK)
    assert fit.model == "exponential with lag"
    assert fit.lag_h == pytest.approx(18, abs=3)
    assert fit.lag_lower is not None
    assert fit.lag_upper is not None
    assert fit.lag_lower <= fit.lag_h <= fit.lag_upper
    assert fit.doubling_time_h == pytest.approx(math.log(2) / 0.04, rel=0.06)
    assert fit.phase_h is not None
    assert fit.phase_h[0] == pytest.approx(fit.lag_h, abs=1)
    assert fit.phase_h[1] == time_h[-1]
    assert "after a lag of" in fit.verdict
    without = fit_growth(time_h, noisy(exponential(time_h, 0.04), sd=0.02, seed=13), config=QUICK)
    assert without.lag_h is None


def test_the_exponential_phase_ends_where_growth_slows() -> None:
    time_h = np.arange(0, 120, 4.0)
    fit = fit_growth(time_h, noisy(logistic(time_h, 0.06, 0.9, start=0.02), sd=0.02, seed=14), config=QUICK)
    assert fit.phase_h is not None
    # a logistic has three quarters of its rate until a quarter of the plateau is reached
    end = math.log(0.25 / 0.75 * (0.9 / 0.02 - 1)) / 0.06
    assert fit.phase_h[1] == pytest.approx(end, abs=5)
    assert fit.plateau_lower is not None
    assert fit.plateau_upper is not None
    assert fit.plateau_lower < 0.9 < fit.plateau_upper


def test_a_sharp_end_of_growth_needs_the_law_of_richards() -> None:
    time_h = np.arange(0, 96, 4.0)
    true = logistic(time_h, 0.15, 0.9**3, start=0.06**3) ** (1 / 3)  # the cube grows logistically: shape 3, rate 0.05
    fit = fit_growth(time_h, noisy(true, sd=0.02, seed=15), config=QUICK)
    assert fit.model == "Richards"
    assert fit.growth_rate_per_h == pytest.approx(0.05, rel=0.08)


def test_wells_without_a_number_still_have_an_estimate_to_compare() -> None:
    still = fit_growth(TIME_H, noisy(np.full(10, 0.3), sd=0.02, seed=16), config=QUICK)
    assert (still.kind, still.growth_rate_per_h) == ("flat", None)
    assert still.estimate_per_h is not None
    assert still.error_per_h is not None
    assert abs(still.estimate_per_h) < 3 * still.error_per_h
    growing = fit_growth(TIME_H, noisy(exponential(TIME_H, 0.03), sd=0.02, seed=16), config=QUICK)
    assert growing.estimate_per_h == growing.growth_rate_per_h


def series_of(values: np.ndarray, used: np.ndarray, flags: tuple[tuple[str, ...], ...]) -> Series:
    nothing = np.full(values.size, np.nan)
    images = tuple(((f"{index}", 0),) for index in range(values.size))
    return Series("A1", TIME_H, values, nothing, nothing, values[None], images, flags, "names", used=used)


def test_excluded_times_do_not_enter_the_fit() -> None:
    values = noisy(exponential(TIME_H, 0.03), sd=0.02, seed=17)
    used = np.ones(10, dtype=bool)
    used[[3, 7]] = False
    spoiled = np.where(used, values, 0.9)
    flags = tuple(() if use else ("out_of_focus",) for use in used)
    fit = fit_series(series_of(spoiled, used, flags), QUICK)
    alone = fit_growth(TIME_H[used], values[used], fields=values[None, used], config=QUICK, seed_name="A1")
    assert fit.doubling_time_h == alone.doubling_time_h
    none = fit_series(series_of(spoiled, np.zeros(10, dtype=bool), flags), QUICK)
    assert none.kind == "excluded"
    assert "out of focus" in none.verdict


@pytest.mark.parametrize(
    ("time_h", "values", "words"),
    [
        ([0, 12], [0.1, 0.15], "Two more times 12 h apart"),
        ([0, 10, 20], [0.1, 0.15, 0.2], "One more time 10 h after the last"),
        ([0, 10, 20, 30, 40], [0.9, 0.93, 0.95, 0.96, 0.96], "Seed about a third as many cells"),
        ([0, 1, 2, 3, 4, 5, 6], [0.2, 0.203, 0.206, 0.209, 0.212, 0.215, 0.218], "would probably give one"),
        ([0, 12], [0.6, 0.78], "nearly full: seed fewer cells"),
        ([0, 3, 6, 9, 12], [0.2, 0.206, 0.195, 0.204, 0.199], "would have doubled by then"),
    ],
)
def test_the_shortest_extra_experiment_is_named(time_h: list[float], values: list[float], words: str) -> None:
    fit = fit_growth(time_h, values, config=QUICK)
    assert words in fit.next_experiment
    assert fit.next_experiment in fit.verdict


def test_the_proposed_experiment_gives_a_number() -> None:
    given, got = 0, 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        time_h = np.arange(0, 20, 4.0)
        level = 0.12 * np.exp(0.05 * rng.standard_normal(60))

        def look(hours: np.ndarray, level: np.ndarray = level) -> GrowthFit:
            return fit_growth(hours, level[: hours.size] * np.exp(0.02 * hours), config=QUICK)

        first = look(time_h)
        found = re.match(r"(\w+) more times? (\S+) h", first.next_experiment)
        if found is None:
            continue
        given += 1
        number = NUMBERS.index(found[1].lower()) if found[1].lower() in NUMBERS else int(found[1])
        spacing = float(found[2])
        got += look(np.append(time_h, 16 + spacing * np.arange(1, number + 1))).doubling_time_h is not None
    assert given >= 6
    assert got / given >= 0.6


def test_what_is_no_growth_passes_for_none() -> None:
    """First or last pictures out of focus, cells that attach and spread: all of it without a division."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        for times in (12, 24):
            time_h = np.linspace(0, 66, times)
            level = 0.2 * np.exp(0.02 * rng.standard_normal(times))
            low, late = np.ones(times), np.ones(times)
            low[: 1 + seed % 3] = 0.5
            late[-3:] = 1.6
            spreading = 1 + 0.6 * (1 - np.exp(-time_h / 5))
            for name, factor in (("low", low), ("late", late), ("spreading", spreading)):
                fit = fit_growth(time_h, level * factor, config=GrowthConfig(bootstrap=150), seed_name=str(seed))
                assert fit.doubling_time_h is None, (name, times, seed, fit.verdict)


def test_cells_that_overlap_at_random_grow_unhindered() -> None:
    time_h = np.linspace(0, 72, 13)
    true = 1 - np.exp(-0.08 * np.exp(0.04 * time_h))
    fit = fit_growth(time_h, noisy(true, sd=0.02, seed=21), config=QUICK)
    assert fit.model == "overlapping"
    assert fit.growth_rate_per_h == pytest.approx(0.04, rel=0.04)
