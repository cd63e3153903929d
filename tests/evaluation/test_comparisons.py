"""Intervals over repeated divisions: against libraries, against formulas of balanced tables, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c6seg.errors import UsageError
from c6seg.evaluation.comparisons import (
    Comparison,
    Estimate,
    compare,
    correct,
    estimate_mean,
    standard_error,
    variances,
)
from c6seg.evaluation.protocol import dice_score_average


def scored(table: np.ndarray) -> dict[tuple[str, str], float]:
    return {(f"d{k}", f"i{i}"): float(v) for (k, i), v in np.ndenumerate(table) if not math.isnan(v)}


def crossed(divisions: int, images: int, *, seed: int = 0, sd: tuple[float, float, float] = (1, 1, 1)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    division, image = rng.standard_normal((divisions, 1)), rng.standard_normal((1, images))
    return sd[1] * division + sd[0] * image + sd[2] * rng.standard_normal((divisions, images))


def codes(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    division, image = np.nonzero(~np.isnan(table))
    return table[division, image], division, np.unique(image, return_inverse=True)[1]


def sampled(
    divisions: int, images: int, tested: int, *, seed: int = 0, **more: tuple[float, float, float]
) -> np.ndarray:
    """Divisions that test random images, as in the paper: the others are NaN."""
    table = crossed(divisions, images, seed=seed, **more)
    rng = np.random.default_rng(seed + 1)
    for row in table:
        row[rng.permutation(images)[tested:]] = math.nan
    return table


def test_balanced_variances_are_those_of_the_analysis_of_variance() -> None:
    table = crossed(6, 12)
    k, n = table.shape
    rows, columns = table.mean(1, keepdims=True), table.mean(0, keepdims=True)
    rest = ((table - rows - columns + table.mean()) ** 2).sum() / ((k - 1) * (n - 1))
    of_division = (n * rows.var(ddof=1) - rest) / n
    of_image = (k * columns.var(ddof=1) - rest) / k
    found = variances(*codes(table))
    assert (found.image, found.division, found.rest) == pytest.approx((of_image, of_division, rest))
    assert found.freedom == (n - 1, k - 1, (k - 1) * (n - 1))


def test_unbalanced_rest_is_that_of_least_squares() -> None:
    import statsmodels.api as sm

    values, division, image = codes(sampled(8, 15, 6))
    design = np.hstack([np.eye(8)[division], np.eye(15)[image][:, 1:]])
    fit = sm.OLS(values, design).fit()
    assert variances(values, division, image).rest == pytest.approx(fit.ssr / (values.size - fit.model.rank))


def test_variances_are_right_on_average() -> None:
    """Henderson's estimates have no bias in any pattern of test images; large ones, as those below 0 are cut."""
    found = [variances(*codes(sampled(10, 30, 10, seed=seed, sd=(2, 3, 1)))) for seed in range(0, 1200, 2)]
    mean = np.mean([(one.image, one.division, one.rest) for one in found], axis=0)
    assert mean == pytest.approx([4, 9, 1], rel=0.06)


def test_disjoint_divisions_are_a_one_way_table() -> None:
    rng = np.random.default_rng(3)
    values = (2 * rng.standard_normal((6, 1)) + rng.standard_normal((6, 5))).ravel()
    division, image = np.repeat(np.arange(6), 5), np.arange(30)
    table = values.reshape(6, 5)
    found = variances(values, division, image)
    assert found.image == pytest.approx(table.var(axis=1, ddof=1).mean())
    assert found.division == pytest.approx(table.mean(1).var(ddof=1) - found.image / 5)
    error, _ = standard_error(values, division, image, overlap=0)
    assert error == pytest.approx(table.mean(1).std(ddof=1) / math.sqrt(6))


def one_test_image_each(divisions: int, images: int, **more: tuple[float, float, float]) -> np.ndarray:
    """Divisions that test one image, each image as often as the others; the rest of the table is NaN."""
    table = crossed(divisions, images, **more)
    table[np.arange(divisions)[:, None] % images != np.arange(images)] = math.nan
    return table


def test_one_test_image_in_each_division_is_a_one_way_table_of_images() -> None:
    """What is not of images may be of divisions, and is counted with them: the mirror of disjoint divisions."""
    values, division, image = codes(one_test_image_each(12, 5, sd=(3, 1, 1)))
    found, mirrored = variances(values, division, image), variances(values, image, division)
    assert found.image > 0
    assert (found.division, found.image, found.rest) == (mirrored.image, mirrored.division, 0.0)
    assert found.freedom == (4, 7, 1)


def test_one_test_image_in_each_division_and_never_twice_is_all_of_divisions() -> None:
    values, division, image = codes(one_test_image_each(10, 10))
    error, freedom = standard_error(values, division, image, overlap=0.5)
    assert error == pytest.approx(math.sqrt((1 / 10 + 1) * values.var(ddof=1)))
    assert freedom == pytest.approx(9)


@pytest.mark.parametrize("images", [6, 10])
def test_one_test_image_in_each_division_has_an_interval(images: int) -> None:
    table = one_test_image_each(10, images) * 0.01 + 0.8
    wider = compare(scored(table + 0.02 + crossed(10, images, seed=1) * 0.001), scored(table)).difference
    for found, truth in ((estimate_mean(scored(table)), 0.8), (wider, 0.02)):
        assert not found.reason
        assert (found.low or 1) < truth < (found.high or 0)


def test_a_variance_is_not_known_better_than_by_what_it_comes_from() -> None:
    """Twelve images in ten divisions of one image, but for two: within divisions two differences tell of images."""
    table = np.full((10, 12), np.nan)
    table[range(10), range(10)] = np.random.default_rng(0).standard_normal(10)
    table[0, 10], table[1, 11], table[2, 0] = 0.3, -0.2, 0.1
    values, division, image = codes(table)
    assert (values.size, image.max() + 1, division.max() + 1) == (13, 12, 10)
    assert variances(values, division, image).freedom == (3, 1, 1)


def test_divisions_alone_give_the_corrected_t_of_nadeau_and_bengio() -> None:
    """Where only divisions scatter, all of the variance is enlarged, as they do."""
    table = np.repeat(np.random.default_rng(0).standard_normal((10, 1)), 8, axis=1)
    error, freedom = standard_error(*codes(table), overlap=0.5)
    assert error == pytest.approx(math.sqrt((1 / 10 + 1) * table[:, 0].var(ddof=1)))
    assert freedom == pytest.approx(9)


def test_images_alone_give_the_t_interval_of_their_means() -> None:
    """Testing images again brings nothing new: n images count, not K x n scores."""
    from scipy import stats

    table = np.repeat(np.random.default_rng(0).uniform(0.6, 0.9, (1, 12)), 10, axis=0)
    found = estimate_mean(scored(table))
    low, high = stats.ttest_1samp(table[0], 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.scores, found.images, found.divisions) == (120, 12, 10)


@given(st.permutations(range(50)))
def test_the_order_of_the_scores_does_not_matter(order: list[int]) -> None:
    scores = scored(crossed(5, 10))
    keys = list(scores)
    assert estimate_mean({keys[index]: scores[keys[index]] for index in order}) == estimate_mean(scores)


def test_mean_and_spread_are_those_of_equation_3() -> None:
    table = crossed(4, 7)
    found = estimate_mean(scored(table))
    assert found.mean == pytest.approx(dice_score_average(table.tolist()), abs=1e-15)
    assert found.spread == pytest.approx(table.mean(1).std(ddof=1))


def test_more_overlap_never_narrows_but_one_training_set_is_for_itself() -> None:
    scores = scored(crossed(5, 10))
    errors = [estimate_mean(scores, overlap=overlap).error or 0 for overlap in (0, 0.2, 0.5, 0.9)]
    assert errors == sorted(errors)
    assert errors[0] < errors[-1]
    assert estimate_mean(scores, overlap=1.0).error == errors[0]


def test_the_interval_belongs_to_the_test() -> None:
    scores = scored(crossed(6, 10) * 0.01 + 0.004)
    p = estimate_mean(scores).p or 0
    at_p = estimate_mean(scores, level=1 - p)
    assert min(abs(at_p.low or 1), abs(at_p.high or 1)) == pytest.approx(0, abs=1e-9)


def test_pairs_are_those_that_both_have() -> None:
    table = crossed(6, 10) * 0.01 + 0.8
    first, second = scored(table + 0.02), scored(table)
    first.pop(("d0", "i0"))
    second.pop(("d1", "i1"))
    second.pop(("d2", "i2"))
    found = compare(first, second)
    assert found.difference.mean == pytest.approx(0.02)
    assert (found.difference.scores, found.unpaired, found.better) == (57, 3, 10)
    other = compare(second, first)
    assert (other.difference.mean, other.better, other.worse) == (-found.difference.mean, 0, 10)


def test_holm_is_that_of_statsmodels_and_skips_what_has_no_test() -> None:
    from statsmodels.stats.multitest import multipletests

    values: list[float | None] = [0.01, None, 0.04, 0.03, 0.2, 0.011]
    found = correct([Comparison(Estimate(0.1, 5, 5, 25, p=p)) for p in values])
    known = [p for p in values if p is not None]
    expected: Iterator[float] = iter(multipletests(known, method="holm")[1])
    assert [one.p_holm for one in found] == [None if p is None else pytest.approx(next(expected)) for p in values]
    assert {one.family for one in found} == {5}


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((0, 5), "there is no score"),
        ((1, 9), "1 division, at least 3 are needed"),
        ((2, 9), "2 divisions, at least 3 are needed"),
        ((6, 4), "4 images, at least 5 are needed"),
        ((1, 1), "1 division, at least 3 are needed; 1 image, at least 5 are needed"),
    ],
)
def test_too_few_have_no_interval(shape: tuple[int, int], words: str) -> None:
    found = estimate_mean(scored(crossed(*shape)))
    assert found.reason == words
    assert found.low is found.high is found.p is found.error is None


def test_one_division_has_an_interval_over_images_for_its_networks() -> None:
    from scipy.stats import t

    values = crossed(1, 12)
    found = estimate_mean(scored(values))
    low, high = t.interval(0.95, 11, loc=values.mean(), scale=values.std(ddof=1) / math.sqrt(12))
    assert (found.images_low, found.images_high) == (pytest.approx(low), pytest.approx(high))


def test_two_divisions_count_an_image_once_there() -> None:
    scores = scored(crossed(1, 12))
    one = estimate_mean(scores)
    twice = estimate_mean({(division, image): value for division in "ab" for (_, image), value in scores.items()})
    assert (twice.images_low, twice.images_high) == (pytest.approx(one.images_low), pytest.approx(one.images_high))


@pytest.mark.parametrize("shape", [(0, 5), (1, 4), (3, 9)])
def test_no_interval_over_images_where_there_is_a_better_one_or_too_few(shape: tuple[int, int]) -> None:
    assert estimate_mean(scored(crossed(*shape))).images_low is None


def test_equal_values_have_no_interval() -> None:
    assert estimate_mean(scored(np.full((5, 6), 0.25))).reason == "all values are equal to the last digit"


@pytest.mark.parametrize(
    ("scores", "options", "words"),
    [
        ({("d", "i"): math.nan}, {}, "score of 'i' in d is nan"),
        ({}, {"overlap": 1.5}, "overlap = 1.5"),
        ({}, {"level": 95}, "level = 95"),
    ],
)
def test_wrong_use(scores: dict[tuple[str, str], float], options: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        estimate_mean(scores, **options)


def test_intervals_hold_the_truth() -> None:
    """Shared training images and repeated test images: a t interval of the divisions holds 0 in half of the studies."""
    from scipy import stats

    held = plain = 0
    number = 300
    for seed in range(number):
        rng = np.random.default_rng(seed)
        image, use = 0.5 * rng.standard_normal(30), rng.standard_normal(30)
        table = np.full((10, 30), math.nan)
        for row in table:
            order = rng.permutation(30)
            test, train = order[:10], order[15:]
            row[test] = image[test] + use[train].mean() * math.sqrt(15) + 0.3 * rng.standard_normal(10)
        found = estimate_mean(scored(table))
        held += (found.low or 0) <= 0 <= (found.high or 0)
        low, high = stats.ttest_1samp(np.nanmean(table, axis=1), 0).confidence_interval(0.95)
        plain += low <= 0 <= high
    assert held / number > 0.91
    assert plain / number < 0.7


@pytest.mark.parametrize("images", [8, 30])
def test_intervals_from_one_test_image_in_each_division_hold_the_truth(images: int) -> None:
    """Scores that depend on the training most of all, which such divisions cannot tell from images."""
    held = number = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        image, use, train = 0.3 * rng.standard_normal(images), rng.standard_normal(images), images // 2
        table = np.full((10, images), math.nan)
        for row in table:
            test, *others = rng.permutation(images)
            row[test] = image[test] + use[others[:train]].mean() * math.sqrt(train) + 0.3 * rng.standard_normal()
        found = estimate_mean(scored(table), overlap=0.5)
        number += not found.reason
        held += not found.reason and (found.low or 0) <= 0 <= (found.high or 0)
    assert held / number > 0.91
