"""Interval of the confluence at one time: sampling and the error of the masks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from c6seg.growth.timeline.interval import Calibration, confluence_interval, field_interval

TIMES = np.arange(10.0)
MODEL = {"calibration": {"confluence_sd_arcsine": 0.03, "confluence_bias_arcsine": -0.01, "confluence_mae": 0.02}}


def calibration(sd: float = 0.03, images: int = 40) -> Calibration:
    return Calibration(sd, 0.0, images, "drawn")


def test_interval_of_a_time_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    hits, total = 0, 0
    for fields in (1, 3):
        for _ in range(200):
            true = 0.2 + 0.03 * TIMES
            values = np.clip(true + 0.02 * rng.standard_normal((fields, 10)), 0, 1)
            lower, upper = field_interval(TIMES, values)
            hits, total = hits + int(np.sum((lower <= true) & (true <= upper))), total + 10
    assert 0.92 <= hits / total <= 0.98


@pytest.mark.parametrize(
    ("fields", "times", "images", "confidence"),
    [(1, 10, 12, 0.95), (1, 3, 35, 0.95), (4, 10, 35, 0.95), (9, 2, 8, 0.95), (4, 10, 12, 0.8)],
)
def test_interval_with_the_error_of_the_masks_covers_the_truth(
    fields: int, times: int, images: int, confidence: float
) -> None:
    """Each well draws one mask error, which all its fields share, and its own estimate of how large such errors are."""
    rng = np.random.default_rng(fields * times)
    hits, wells, sd = 0, 2000, 0.05
    time_h = np.arange(float(times))
    true = np.linspace(0.5, 0.9, times)  # arcsine scale
    for _ in range(wells):
        noise = 0.04 * rng.standard_normal((fields, times)) * (fields > 1 or times > 3)
        values = np.sin(true + sd * rng.standard_normal() + noise) ** 2
        estimated = sd * math.sqrt(rng.chisquare(images - 1) / (images - 1))
        found = confluence_interval(time_h, values, confidence=confidence, calibration=calibration(estimated, images))
        middle = times // 2
        hits += found.lower[middle] <= math.sin(true[middle]) ** 2 <= found.upper[middle]
    # two t quantiles of few degrees of freedom together are a little wide
    assert -0.02 < hits / wells - confidence < 0.025


def test_sampling_shrinks_with_fields_and_the_masks_do_not() -> None:
    rng = np.random.default_rng(1)
    few, many = (
        confluence_interval(
            TIMES, np.sin(0.6 + 0.05 * rng.standard_normal((number, 10))) ** 2, calibration=calibration(0.05)
        )
        for number in (4, 400)
    )
    assert np.mean(many.noise_upper - many.noise_lower) < 0.15 * np.mean(few.noise_upper - few.noise_lower)
    least = 2 * 2.02 * 0.05 * math.sin(2 * 0.6)  # width from the masks alone
    assert np.mean(many.upper - many.lower) == pytest.approx(least, rel=0.05)
    assert np.all(many.upper > many.noise_upper)


def test_without_a_calibration_both_intervals_are_the_sampling() -> None:
    fields = np.random.default_rng(2).uniform(0.2, 0.4, (3, 10))
    found = confluence_interval(TIMES, fields)
    lower, upper = field_interval(TIMES, fields)
    for one, other in ((found.lower, lower), (found.noise_lower, lower), (found.upper, upper)):
        np.testing.assert_array_equal(one, other)


def test_a_single_field_at_few_times_has_the_masks_alone() -> None:
    fields = np.full((1, 3), 0.5)
    bare = confluence_interval(TIMES[:3], fields)
    assert np.isnan(bare.lower).all()
    assert np.isnan(bare.upper).all()
    found = confluence_interval(TIMES[:3], fields, calibration=calibration(0.05, 11))
    assert np.isnan(found.noise_lower).all()
    assert np.isnan(found.noise_upper).all()
    half = 2.2281389 * 0.05  # t, 10 degrees of freedom
    assert found.upper == pytest.approx(np.sin(np.pi / 4 + half) ** 2)
    assert found.lower == pytest.approx(np.sin(np.pi / 4 - half) ** 2)


def test_times_that_are_not_used_do_not_widen_the_others() -> None:
    fields = np.sin(0.6 + 0.01 * np.random.default_rng(3).standard_normal((4, 10))) ** 2
    quiet = field_interval(TIMES[:9], fields[:, :9])
    fields[:, 9] = (0.1, 0.9, 0.2, 0.8)
    lower, upper = field_interval(TIMES, fields, used=TIMES < 9)
    np.testing.assert_allclose(lower[:9], quiet[0])
    assert np.isfinite([lower[9], upper[9]]).all()
    assert field_interval(TIMES, fields)[0][0] < lower[0]


def test_a_time_without_any_field_has_no_interval() -> None:
    fields = np.sin(0.6 + 0.01 * np.random.default_rng(4).standard_normal((2, 5))) ** 2
    whole = field_interval(TIMES[:5], fields)
    fields = np.insert(fields, 2, np.nan, axis=1)
    lower, upper = field_interval(TIMES[:6], fields)
    assert np.isnan([lower[2], upper[2]]).all()
    np.testing.assert_allclose(np.delete(upper, 2), whole[1])


def test_calibration_is_read_from_the_manifest() -> None:
    model = {"calibration": {**MODEL["calibration"], "images": 35, "data": ["t98g", "simulated"]}}
    assert Calibration.from_manifest({"model": model}) == Calibration(0.03, -0.01, 35, "t98g, simulated", 0.02)


@pytest.mark.parametrize(
    "values",
    [None, {}, "good", {"confluence_sd_arcsine": 0.03}, {"confluence_sd_arcsine": 0.03, "images": 1},
     {"confluence_sd_arcsine": -0.03, "images": 9}, {"confluence_sd_arcsine": "0.03", "images": 9},
     {"confluence_sd_arcsine": float("nan"), "images": 9}, {"confluence_sd_arcsine": True, "images": 9}],
)  # fmt: skip
def test_what_is_no_calibration_gives_none(values: object) -> None:
    assert Calibration.from_manifest({"model": {"calibration": values}}) is None
    assert Calibration.from_manifest({}) is None
    assert Calibration.from_manifest({"model": None}) is None


@pytest.mark.parametrize(("fields", "least"), [(2, 0.83), (3, 0.88), (4, 0.9)])
def test_lasting_differences_between_fields_do_not_become_sure_with_time(fields: int, least: float) -> None:
    """Fields that differ alike at all times say no more of the well than as many numbers do."""
    rng = np.random.default_rng(fields)
    true, held = np.linspace(0.5, 0.9, 12), 0
    for _ in range(300):
        lasting = 0.1 * rng.standard_normal((fields, 1))
        seen = np.sin(np.clip(true + lasting + 0.02 * rng.standard_normal((fields, 12)), 0, np.pi / 2)) ** 2
        lower, upper = field_interval(np.arange(12.0), seen)
        held += bool(lower[3] <= np.sin(true[3]) ** 2 <= upper[3])
    assert held / 300 >= least
