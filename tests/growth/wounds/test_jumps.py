"""Gaps that jump between two times and do not close, and long series."""

from __future__ import annotations

import time

import numpy as np
import pytest

from c6seg.growth.fits import fitting, resampling
from c6seg.growth.wounds import draws, jumps, law, noise
from c6seg.growth.wounds.fit import fit_wound
from c6seg.growth.wounds.jumps import find_jump
from c6seg.growth.wounds.law import fit_closing, refit, thinned

HOURS = np.arange(24.0)


def jumping(at: int, size: float, *, sd: float = 0.01, seed: int = 0) -> np.ndarray:
    noise_ = 1 + sd * np.random.default_rng(seed).standard_normal((1, HOURS.size))
    return 0.4 * (1 - size * (at <= HOURS)) * noise_


@pytest.mark.parametrize("shape", ["strip", "round"])
@pytest.mark.parametrize("size", [0.15, 0.3, 0.5])
def test_one_step_of_focus_is_no_closing(size: float, shape: str) -> None:
    for at in (1, 2, 6, 12, 18, 22, 23):
        for sd in (0.0, 0.003, 0.01):
            fit = fit_wound(f"{at}", HOURS, jumping(at, size, sd=sd, seed=at), shape=shape, bootstrap=50)
            assert (fit.closure_per_h, fit.half_h, fit.curve_gap) == (None, None, None), (at, sd, fit.verdict)
            assert fit.kind == "still", (at, sd, fit.verdict)
            assert f"(at {at - 1} to {at} h)" in fit.verdict
            assert "closes" not in fit.verdict


def test_a_flat_gap_whose_first_image_differs_does_not_close() -> None:
    gap = jumping(30, 0.0, sd=0.005)
    gap[0, 0] *= 1.3
    fit = fit_wound("a", HOURS, gap)
    assert fit.kind == "still"
    assert "gets narrower by 23" in fit.verdict
    assert "closes" not in fit.verdict
    gap[0, 0] /= 1.3**2
    assert "gets wider by" in fit_wound("a", HOURS, gap).verdict


def test_a_gap_that_closes_over_several_intervals_is_no_step() -> None:
    for hours in (3.5, 6.0, 12.0, 40.0):
        for seed in range(5):
            course = 0.4 * (1 - np.clip((HOURS - 5) / hours, 0, 0.7))
            noisy = course * (1 + 0.01 * np.random.default_rng(seed).standard_normal(HOURS.size))
            fit = fit_closing(HOURS, noisy, np.ones(HOURS.size), 1)
            assert find_jump(HOURS, noisy, np.ones(HOURS.size), fit) is None


def test_times_before_the_lag_do_not_count_as_closing() -> None:
    """Two intervals of closing after a long lag: plenty of times altogether, hardly any while it closes."""
    course = np.where(HOURS < 10, 0.4, np.where(HOURS == 10, 0.3, 0.2))
    fit = fit_wound("a", HOURS, (course * (1 + 0.004 * np.random.default_rng(2).standard_normal(24)))[None])
    assert fit.closure_per_h is None
    lag = fit_wound("b", HOURS, 0.4 * (1 - np.clip((HOURS - 6) * 0.05, 0, 1))[None])
    assert lag.lag_h == pytest.approx(6, abs=0.3)
    assert "18 times while it closes over 17 h" in lag.verdict


def test_time_grows_with_the_frames_and_no_faster() -> None:
    seconds = {}
    for frames in (150, 600):
        time_h = np.linspace(0, 48, frames)
        gap = 0.4 * np.maximum(0.1, 1 - 0.03 * np.maximum(0, time_h - 5))
        gap = gap + 0.004 * np.random.default_rng(0).standard_normal(frames)
        began = time.process_time()
        fit = fit_wound("a", time_h, np.clip(gap, 0, 1)[None], bootstrap=100)
        seconds[frames] = time.process_time() - began
        assert fit.closure_per_h == pytest.approx(0.03, rel=0.05)
        assert fit.lag_h == pytest.approx(5, abs=1)
        assert fit.stop == pytest.approx(0.1, abs=0.02)
    assert seconds[600] < 20


def test_coarse_ends_find_what_all_ends_find() -> None:
    rng = np.random.default_rng(5)
    for rate in (0.03, 0.08, 0.3):
        time_h = np.linspace(0, 40, 300)
        values = 0.4 * np.maximum(0, 1 - rate * time_h) + 0.004 * rng.standard_normal(300)
        whole = refit(time_h, values[None], np.ones((1, 300)), 1, lags=np.zeros(1))[0]
        assert law._search(time_h, values, np.ones(300), 1, lags=False, stops=False) == pytest.approx(whole, rel=1e-3)
    assert thinned(1, 5, 48) == [1, 2, 3, 4, 5]
    assert len(thinned(1, 600, 48)) == 48


def test_what_fits_and_wounds_share_is_defined_once() -> None:
    assert law.HUBER is draws.HUBER is jumps.HUBER is fitting.HUBER
    assert noise.CORRELATIONS is resampling.CORRELATIONS
