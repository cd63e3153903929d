"""Intervals: against scipy, by their coverage, and where there is nothing to say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from c6seg.errors import UsageError
from c6seg.evaluation.statistics import bootstrap_interval, summarise

SCORES = [0.91, 0.87, 0.93, 0.78, 0.88, 0.95, 0.86, 0.90, 0.82, 0.89]


def bca_by_hand(values: np.ndarray, resamples: int, seed: int) -> tuple[float, float]:
    """Efron's formulas, written out."""
    rng = np.random.default_rng(seed)
    means = np.sort([rng.choice(values, values.size).mean() for _ in range(resamples)])
    bias = stats.norm.ppf((means < values.mean()).mean())
    left = np.array([np.delete(values, i).mean() for i in range(values.size)])
    spread = left.mean() - left
    speed = (spread**3).sum() / (6 * (spread**2).sum() ** 1.5)
    ends = []
    for quantile in (0.025, 0.975):
        z = bias + stats.norm.ppf(quantile)
        ends.append(float(np.quantile(means, stats.norm.cdf(bias + z / (1 - speed * z)))))
    return ends[0], ends[1]


def test_interval_equals_the_formulas_written_out() -> None:
    expected = bca_by_hand(np.array(SCORES), 20_000, seed=1)
    assert bootstrap_interval(SCORES) == pytest.approx(expected, abs=1.5e-3)


def test_interval_is_reproducible_and_narrower_at_a_lower_level() -> None:
    low, high = bootstrap_interval(SCORES, seed=3)
    assert (low, high) == bootstrap_interval(SCORES, seed=3)
    assert (low, high) != bootstrap_interval(SCORES, seed=4)
    assert low < np.mean(SCORES) < high
    inner = bootstrap_interval(SCORES, level=0.5)
    assert low < inner[0] < inner[1] < high


def test_interval_covers_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.beta(8, 2, size=25).tolist(), resamples=499)
        hits += low <= 0.8 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_summary_by_hand() -> None:
    summary = summarise([*SCORES, math.nan])
    assert (summary.n, summary.missing) == (10, 1)
    assert summary.mean == pytest.approx(sum(SCORES) / 10)
    assert summary.std == pytest.approx(math.sqrt(sum((x - sum(SCORES) / 10) ** 2 for x in SCORES) / 9))
    assert (summary.minimum, summary.median, summary.maximum) == (0.78, pytest.approx(0.885), 0.95)
    assert (summary.low, summary.high) == bootstrap_interval(SCORES)


def test_too_few_values_say_nothing() -> None:
    assert all(map(math.isnan, bootstrap_interval([0.5])))
    assert bootstrap_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)
    nothing = summarise([math.nan]).as_dict()
    assert (nothing["n"], nothing["missing"], nothing["mean"], nothing["low"]) == (0, 1, None, None)
    one = summarise([0.25]).as_dict()
    assert (one["mean"], one["std"], one["high"]) == (0.25, None, None)
    two = summarise([0.25, 0.75])
    assert 0.25 <= two.low <= 0.5 <= two.high <= 0.75
    with pytest.raises(UsageError, match="between 0 and 1"):
        bootstrap_interval(SCORES, level=95)
