from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from c6seg.errors import DataError
from c6seg.growth.measure import Measurement
from c6seg.growth.series import Series, group_series
from c6seg.growth.wound import analyse_wounds, fit_wound
from c6seg.growth.wounds.draws import between_fields, mean_of_fields
from c6seg.growth.wounds.fields import tracks
from c6seg.growth.wounds.law import RATE, fit_closing, half_time_h, law, refit
from c6seg.growth.wounds.results import WoundFit

HOURS = np.arange(0.0, 25.0, 2.0)
START, RATE_PER_H = 0.4, 0.05


def straight(time_h: np.ndarray, start: float = START, rate: float = RATE_PER_H, *, power: int = 1) -> np.ndarray:
    return start * np.maximum(0.0, 1 - rate / power * time_h) ** power


def noisy(
    fields: int,
    *,
    time_h: np.ndarray = HOURS,
    rate: float = RATE_PER_H,
    sd: float = 0.02,
    cv: float = 0.1,
    seed: int = 0,
) -> np.ndarray:
    """Gaps (F, T) of different size, that close at different rates (standard deviation ``cv`` of the rate)."""
    rng = np.random.default_rng(seed)
    start = START * (1 + 0.1 * rng.standard_normal((fields, 1)))
    rates = rate * (1 + (cv if fields > 1 else 0.0) * rng.standard_normal((fields, 1)))
    open_ = 1 - rates * time_h > 0
    noise = sd * start * rng.standard_normal((fields, time_h.size)) * np.where(open_, 1, 0.1)
    return np.clip(start * np.maximum(0, 1 - rates * time_h) + noise, 0, 1)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("rate", [0.02, 0.05, 0.09])
def test_rate_agrees_with_scipy(power: int, rate: float) -> None:
    true = straight(HOURS, rate=rate, power=power)
    values = true + np.random.default_rng(1).uniform(-0.006, 0.006, HOURS.size) * (true > 0)  # no outliers
    ours = fit_closing(HOURS, values, np.ones_like(HOURS), power)
    theirs, _ = curve_fit(lambda t, start, rate: straight(t, start, rate, power=power), HOURS, values, (0.4, rate))
    assert ours.free == 2
    assert ours.parameters[:2] == pytest.approx(theirs, rel=1e-4)


def test_weights_agree_with_scipy() -> None:
    scale = np.linspace(1, 3, HOURS.size)
    values = straight(HOURS, rate=0.03) + 0.003 * scale * np.random.default_rng(2).standard_normal(HOURS.size)
    ours = refit(HOURS, values[None], 1 / scale[None], 1, lags=np.zeros(1))[0]
    theirs, _ = curve_fit(straight, HOURS, values, (0.4, 0.03), sigma=scale)
    assert ours[:2] == pytest.approx(theirs, rel=1e-4)


def test_closed_times_do_not_flatten_the_line() -> None:
    long = np.arange(0.0, 100.0, 2.0)
    for time_h in (HOURS, long):
        fit = fit_wound("a", time_h, straight(time_h, rate=0.08)[None], bootstrap=100)
        assert fit.closure_per_h == pytest.approx(0.08, rel=1e-6)
    assert np.polyfit(long, straight(long, rate=0.08), 1)[0] > -0.4 * 0.02  # what a plain line would say


def test_one_outlier_hardly_moves_the_rate() -> None:
    values = noisy(1, rate=0.03, sd=0.005, seed=4)[0]
    clean = fit_closing(HOURS, values, np.ones_like(HOURS), 1)
    values[9] += 0.15
    spoiled = fit_closing(HOURS, values, np.ones_like(HOURS), 1)
    plain = refit(HOURS, values[None], np.ones((1, HOURS.size)), 1, lags=np.zeros(1))[0]
    off = abs(spoiled.parameters[RATE] / clean.parameters[RATE] - 1)
    assert off < 0.05
    assert off < 0.4 * abs(plain[RATE] / clean.parameters[RATE] - 1)
    assert spoiled.weights.argmin() == 9


def test_lag_and_stop_are_found_where_they_are() -> None:
    time_h = np.arange(0.0, 41.0)
    true = law(np.array([0.3, 0.06, 6.0, 0.09]), time_h, 1)
    values = true + 0.003 * np.random.default_rng(0).standard_normal(time_h.size)
    fit = fit_wound("a", time_h, values[None])
    assert fit.lag_h == pytest.approx(6, abs=0.7)
    assert fit.stop == pytest.approx(0.3, abs=0.02)
    assert fit.closure_per_h == pytest.approx(0.06, rel=0.08)
    assert fit.half_h == pytest.approx(6 + 0.5 / 0.06, abs=0.5)
    assert "Closing sets in after" in fit.verdict
    assert "Closing stops with 30 %" in fit.verdict
    plain = fit_wound("b", HOURS, noisy(1, seed=3))
    assert (plain.lag_h, plain.stop) == (None, None)


def test_front_speed_and_half_time_of_a_strip() -> None:
    gap = straight(HOURS)
    # 1000 x 800 um field, upright strip: 400 um wide at first, each front moves at 10 um/h
    fit = fit_wound("B2", HOURS, gap[None], gap_um2=gap * 1000 * 800, front_length_um=800.0)
    assert fit.kind == "closing"
    assert fit.front_um_per_h == pytest.approx(10, rel=1e-6)
    assert fit.half_h == pytest.approx(10, rel=1e-6)
    assert fit.width_um is not None
    assert fit.width_um[0] == pytest.approx(400)
    assert fit.closed is not None
    assert fit.closed == pytest.approx(1 - gap / gap[0])
    assert fit.curve_gap is not None
    assert fit.curve_gap[-1] == 0
    assert "each front moves at 10 um/h" in fit.verdict
    assert "Half is closed after 10 h" in fit.verdict
    assert "100 % is closed" in fit.verdict


def test_front_speed_and_half_time_of_a_round_gap() -> None:
    radius = np.maximum(0, 300 - 12 * HOURS)
    area = np.pi * radius**2
    fit = fit_wound("B2", HOURS, area[None] / 1e6, gap_um2=area, shape="round")
    assert fit.front_um_per_h == pytest.approx(12, rel=1e-5)
    assert fit.half_h == pytest.approx((1 - math.sqrt(0.5)) * 300 / 12, rel=1e-5)
    assert fit.closure_per_h == pytest.approx(2 * 12 / 300, rel=1e-5)
    assert fit.width_um is None
    assert "at first" in fit.verdict


def test_unknown_scale_gives_a_rate_but_no_speed() -> None:
    fit = fit_wound("a", HOURS, noisy(3))
    assert fit.closure_per_h is not None
    assert (fit.front_um_per_h, fit.width_um, fit.gap_um2) == (None, None, None)


def test_half_closure_beyond_the_observed_time_is_extrapolated_in_words_only() -> None:
    fit = fit_wound("a", HOURS, noisy(3, rate=0.012, sd=0.01, cv=0.05))
    assert fit.kind == "closing"
    assert (fit.half_h, fit.half_lower, fit.half_upper) == (None, None, None)
    assert "not reached within the observed 24 h" in fit.verdict
    assert "extrapolated" in fit.verdict


NO_NUMBER: dict[str, tuple[list[float], list[float], str]] = {
    "few": ([0, 8, 16], [0.4, 0.3, 0.2], "at least 4 are needed"),
    "few, closed at once": ([0, 8, 16, 24, 32], [0.4, 0.1, 0.0, 0.0, 0.0], "Image more often"),
    "none": ([0, 8, 16, 24], [0.001, 0.0, 0.001, 0.0], "no wound at the first time"),
    "still": ([0, 4, 8, 12, 16, 20], [0.4, 0.41, 0.39, 0.4, 0.405, 0.398], "told from noise"),
    "still, slightly": ([0, 4, 8, 12, 16, 20], [0.4, 0.397, 0.3945, 0.391, 0.388, 0.385], "only 3."),
    "opening": ([0, 4, 8, 12, 16, 20], [0.3, 0.32, 0.345, 0.36, 0.385, 0.41], "the gap widens"),
    "uncertain": ([0, 4, 8, 12, 16, 20], [0.4, 0.25, 0.38, 0.2, 0.3, 0.12], "wider than the value"),
}


@pytest.mark.parametrize("name", NO_NUMBER)
def test_no_number_where_the_data_cannot_carry_one(name: str) -> None:
    time_h, gap, words = NO_NUMBER[name]
    fit = fit_wound("x", time_h, [gap])
    assert fit.kind in ({"uncertain", "still"} if name == "uncertain" else {name.partition(",")[0]})
    assert words in fit.verdict or (name == "uncertain" and "told from noise" in fit.verdict)
    numbers = (fit.closure_per_h, fit.closure_lower, fit.front_um_per_h, fit.half_h, fit.curve_gap, fit.stop)
    assert numbers == (None,) * 6
    assert fit.gap == pytest.approx(gap)


@pytest.mark.parametrize("shape", ["strip", "round"])
def test_a_long_pause_after_the_first_time_is_no_fault(shape: str) -> None:
    time_h = np.array([0.0, 30, 32, 34, 36, 38, 40, 42])
    fit = fit_wound("a", time_h, straight(time_h, rate=0.02)[None], shape=shape, bootstrap=50)
    assert fit.closure_per_h is not None


@pytest.mark.filterwarnings("error")
def test_a_round_gap_that_is_closed_after_one_time_gets_no_number() -> None:
    fit = fit_wound("a", HOURS, np.where(HOURS > 0, 0.0, 0.4)[None], shape="round", bootstrap=50)
    assert fit.closure_per_h is None
    assert "1 time before that" in fit.verdict


def test_gaps_that_do_not_close_get_no_closure_rate() -> None:
    rng = np.random.default_rng(0)
    for index in range(60):
        fields, times = int(rng.integers(1, 5)), int(rng.choice([5, 9, 13]))
        noise = rng.standard_normal((fields, times))
        for step in range(1, times):  # errors of neighbouring times alike
            noise[:, step] = 0.6 * noise[:, step - 1] + 0.8 * noise[:, step]
        gap = 0.3 * (1 + float(rng.choice([0.01, 0.03, 0.06])) * noise)
        fit = fit_wound(f"{index}", np.linspace(0, 24, times), gap, bootstrap=200)
        assert fit.closure_per_h is None, fit.verdict


@pytest.mark.parametrize(("fields", "times", "cv"), [(1, 13, 0.0), (3, 9, 0.1), (4, 13, 0.15)])
def test_interval_covers_the_truth(fields: int, times: int, cv: float) -> None:
    time_h, number, hits, halves = np.linspace(0, 24, times), 60, 0, 0
    for seed in range(number):
        fit = fit_wound(f"{seed}", time_h, noisy(fields, time_h=time_h, cv=cv, seed=seed), bootstrap=200)
        assert fit.closure_lower is not None
        assert fit.closure_upper is not None
        assert fit.half_lower is not None
        assert fit.half_upper is not None
        hits += fit.closure_lower <= RATE_PER_H <= fit.closure_upper
        halves += fit.half_lower <= 0.5 / RATE_PER_H <= fit.half_upper
    assert min(hits, halves) / number >= 0.92 - 2 * math.sqrt(0.05 * 0.95 / number)


def test_fields_that_disagree_widen_the_interval() -> None:
    alike, differ = (fit_wound("a", HOURS, noisy(4, cv=cv, seed=2)) for cv in (0.0, 0.25))
    width = [fit.closure_upper - fit.closure_lower for fit in (alike, differ)]  # type: ignore[operator]
    assert width[1] > 1.8 * width[0]
    assert np.all(between_fields(np.array([0.05]), np.array([0.05]), 9, np.random.default_rng(0)) == 0)


def test_missing_image_of_a_field_does_not_bend_the_mean() -> None:
    fields = np.stack([straight(HOURS, start) for start in (0.2, 0.4, 0.6)])
    whole = fields.mean(axis=0)
    fields[0, 3] = fields[2, 5:7] = np.nan
    assert mean_of_fields(fields) == pytest.approx(whole, rel=1e-6)
    assert np.nanmean(fields, axis=0) != pytest.approx(whole, rel=0.02)
    fields[:, 8] = np.nan
    fit = fit_wound("a", HOURS, fields)
    assert np.isnan(fit.gap[8])
    assert fit.closure_per_h == pytest.approx(RATE_PER_H, rel=1e-6)
    assert fit.fields == 3


def test_order_of_times_and_zero_of_the_clock_do_not_matter() -> None:
    gap = noisy(2, seed=5)
    order = np.random.default_rng(0).permutation(HOURS.size)
    first = fit_wound("a", HOURS, gap)
    second = fit_wound("a", HOURS[order] + 100, gap[:, order])
    assert second.closure_per_h == pytest.approx(first.closure_per_h, rel=1e-9)
    assert second.half_h == pytest.approx(first.half_h, rel=1e-9)
    assert second.curve_time_h is not None
    assert second.curve_time_h[0] == 100


@settings(max_examples=10, deadline=None)
@given(factor=st.floats(0.1, 10), clock=st.floats(0.2, 5), seed=st.integers(0, 50))
def test_speed_scales_with_pixel_size_and_clock(factor: float, clock: float, seed: int) -> None:
    gap = noisy(2, seed=seed)
    area = gap.mean(axis=0) * 1e6
    first = fit_wound("a", HOURS, gap, gap_um2=area, front_length_um=1000.0, bootstrap=100)
    other = fit_wound("a", clock * HOURS, gap, gap_um2=factor**2 * area, front_length_um=factor * 1000.0, bootstrap=100)
    assert first.front_um_per_h is not None
    assert other.front_um_per_h == pytest.approx(factor / clock * first.front_um_per_h, rel=1e-6)
    assert other.closure_per_h == pytest.approx(first.closure_per_h / clock, rel=1e-6)  # type: ignore[operator]
    assert other.half_h == pytest.approx(clock * first.half_h, rel=1e-6)  # type: ignore[operator]


@settings(max_examples=50, deadline=None)
@given(
    start=st.floats(0.02, 1.0), rate=st.floats(0.005, 0.3), lag=st.floats(0, 10), power=st.sampled_from([1, 2]),
)  # fmt: skip
def test_half_time_is_where_the_law_is_half(start: float, rate: float, lag: float, power: int) -> None:
    parameters = np.array([start, rate, lag, 0.0])
    half = half_time_h(parameters, power)
    assert law(parameters, np.array([float(half)]), power)[0] == pytest.approx(start / 2)
    assert half_time_h(np.array([start, rate, lag, 0.6 * start]), power) == math.inf
    assert half_time_h(np.array([start, -rate, lag, 0.0]), power) == math.inf


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"time_h": [0, 1, 1, 2]}, "each of them once"),
        ({"time_h": [0, 1, math.nan, 2]}, "finite"),
        ({"time_h": [0, 1, 2]}, "do not fit"),
        ({"gap_fields": [[0.4, 0.3, 0.2, 1.2]]}, "0..1"),
        ({"gap_um2": [1.0, 2.0]}, "one for each time"),
        ({"front_length_um": 0.0}, "positive"),
    ],
)
def test_impossible_input_is_refused(given_: dict[str, Any], words: str) -> None:
    options: dict[str, Any] = {"time_h": [0, 1, 2, 3], "gap_fields": [[0.4, 0.3, 0.2, 0.1]], **given_}
    with pytest.raises(DataError, match=words):
        fit_wound("a", options.pop("time_h"), options.pop("gap_fields"), **options)


# ---- from masks


SIZE = (120, 200)
TIMES = range(0, 24, 4)


def stripe(width: float, *, size: tuple[int, int] = SIZE) -> np.ndarray:
    x = np.arange(size[1]) - (size[1] - 1) / 2
    return np.tile(np.abs(x) >= width / 2, (size[0], 1))


def well(name: str = "B2", fields: tuple[int, ...] = (1, 2), **flags: tuple[str, ...]) -> Series:
    rows = [
        Measurement(f"{name}_s{field}_{hour:02d}h", confluence=0.6, flags=flags.get(f"s{field}_{hour:02d}h", ()))
        for field in fields
        for hour in TIMES
    ]
    (series,) = group_series(rows, exclude_flags={"out_of_focus"})
    return series


class Masks:
    """Masks by name; 4 px an hour are closed (2 by each front), 5 in field 2."""

    def __init__(self, **other: np.ndarray | None) -> None:
        self.other = other
        self.asked: list[str] = []

    def __call__(self, image: str, frame: int) -> np.ndarray | None:
        self.asked.append(image)
        _, field, hour = image.split("_")
        key = f"{field}_{hour}"
        if key in self.other:
            return self.other[key]
        return stripe(90 - (5 if field == "s2" else 4) * int(hour[:-1]))


def analyse(series: Series, masks: Masks, *, pixel_um: float | None = 2.0) -> WoundFit:
    (fit,) = analyse_wounds([series], masks, lambda image, frame: pixel_um, bootstrap=200)
    return fit


def test_fields_are_followed_each_on_its_own() -> None:
    fit = analyse(well(), Masks())
    assert fit.kind == "closing"
    assert (fit.fields, fit.shape, fit.notes) == (2, "strip", ())
    # fronts of 240 um, 4.5 px of 2 um an hour by two fronts
    assert fit.front_um_per_h == pytest.approx(4.5, rel=0.03)
    assert fit.half_h == pytest.approx(10, rel=0.04)
    assert fit.gap[0] == pytest.approx(90 / 200, rel=0.01)
    assert fit.gap_um2 is not None
    assert fit.gap_um2[0] == pytest.approx(90 * 120 * 4, rel=0.01)
    assert fit.density is not None
    assert fit.density[0] == pytest.approx(0, abs=1e-9)
    assert fit.density[-1] > 0.9
    assert fit.width_um == pytest.approx(fit.gap * 400, rel=0.01)


def test_series_without_rows_are_followed_by_their_names() -> None:
    series = well()
    assert series.rows is not None
    with_rows, without = analyse(series, Masks()), analyse(replace(series, rows=None), Masks())
    assert without.closure_per_h == with_rows.closure_per_h


def test_frames_of_one_file_are_followed() -> None:
    rows = [Measurement("movie", frame=frame, confluence=0.5, time_h=3.0 * frame) for frame in range(6)]
    (fit,) = analyse_wounds(
        group_series(rows), lambda image, frame: stripe(90 - 12 * frame), lambda image, frame: None, bootstrap=100
    )
    assert fit.closure_per_h == pytest.approx(4 / 90, rel=0.02)
    assert fit.front_um_per_h is None
    assert any("scale is unknown" in note for note in fit.notes)


def test_bad_masks_cost_themselves_only() -> None:
    def broken(image: str, frame: int) -> np.ndarray | None:
        if image == "B2_s1_20h":
            raise DataError("broken file")
        return masks(image, frame)

    masks = Masks(s1_04h=None, s2_08h=stripe(50, size=(100, 100)), s2_16h=np.zeros(SIZE, bool))
    (fit,) = analyse_wounds([well()], broken, lambda image, frame: 2.0, bootstrap=200)
    whole = analyse(well(), Masks())
    assert fit.closure_per_h == pytest.approx(whole.closure_per_h, rel=0.05)
    notes = " / ".join(fit.notes)
    assert "1 images have no mask (B2_s1_04h)" in notes
    assert "1 images have a mask of another size than the first of their field (B2_s2_08h)" in notes
    assert "show no cells, or no layer beside the gap (B2_s2_16h)" in notes
    assert "cannot be used (B2_s1_20h)" in notes


def test_field_that_begins_later_is_followed_from_there() -> None:
    empty = analyse(well(), Masks(s1_00h=np.zeros(SIZE, bool)))
    rows = [
        Measurement(f"B2_s{field}_{hour:02d}h", confluence=0.6)
        for field in (1, 2)
        for hour in TIMES
        if field + hour > 1
    ]
    (series,) = group_series(rows)
    for told in (series, replace(series, rows=None)):
        by_field = {track[1]: track[0] for track in tracks(told)}
        assert by_field == {("B2_s1_04h", 0): None, ("B2_s2_04h", 0): ("B2_s2_00h", 0)}
    (fit,) = analyse_wounds([series], Masks(), lambda image, frame: 2.0, bootstrap=200)
    for one in (empty, fit):
        assert one.fields == 2
        assert one.closure_per_h == pytest.approx(4.5 / 90, rel=0.05)
        assert any("1 fields begin later" in note for note in one.notes)


def test_flagged_images_do_not_count() -> None:
    masks = Masks(s1_08h=stripe(10), s2_08h=stripe(10))
    fit = analyse(well(s1_08h=("out_of_focus",), s2_08h=("out_of_focus",)), masks)
    assert np.isnan(fit.gap[2])
    assert any("excluded by quality flags" in note and "B2_s1_08h" in note for note in fit.notes)
    one = analyse(well(s1_08h=("out_of_focus",)), Masks(s1_08h=stripe(10)))
    assert one.gap[2] > 0.2


def test_field_without_a_wound_leaves_the_others() -> None:
    full = np.ones(SIZE, bool)
    masks = Masks(**{f"s1_{hour:02d}h": full for hour in TIMES})
    fit = analyse(well(), masks)
    assert (fit.kind, fit.fields) == ("closing", 1)
    assert any("no wound in 1 of 2 fields" in note for note in fit.notes)
    assert any("one field only" in note for note in fit.notes)
    assert sum("s1" in image for image in masks.asked) == 1  # the others need not be read


def test_well_without_a_wound_says_why() -> None:
    rng = np.random.default_rng(0)
    sparse = rng.random(SIZE) < 0.02
    (fit,) = analyse_wounds([well()], lambda image, frame: sparse, lambda image, frame: 1.0)
    assert fit.kind == "none"
    assert "no layer of cells around a gap" in fit.verdict
    assert np.isnan(fit.gap).all()
    (fit,) = analyse_wounds([well()], lambda image, frame: None, lambda image, frame: 1.0)
    assert "there is no mask" in fit.verdict


def test_round_gap_and_strip_are_not_mixed() -> None:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    disc = np.hypot(y - 60, x - 100) >= 35
    fit = analyse(well(fields=(1, 2, 3)), Masks(**{f"s1_{hour:02d}h": disc for hour in TIMES}, s3_00h=stripe(90)))
    assert (fit.shape, fit.fields) == ("strip", 2)
    assert any("round, unlike the others" in note for note in fit.notes)


def test_changing_scale_gives_no_um() -> None:
    sizes = {hour: 2.0 if hour < 12 else 1.0 for hour in TIMES}
    (fit,) = analyse_wounds([well()], Masks(), lambda image, frame: sizes[int(image.split("_")[2][:-1])], bootstrap=100)
    assert fit.kind == "closing"
    assert (fit.gap_um2, fit.front_um_per_h) == (None, None)
    assert any("changes" in note for note in fit.notes)


def test_progress_is_told_for_each_series() -> None:
    told: list[tuple[float, int, str]] = []
    analyse_wounds(
        [well("B2"), well("B3")],
        Masks(),
        lambda image, frame: None,
        bootstrap=50,
        progress=lambda *now: told.append(now),
    )
    assert told == [(1, 2, "B2"), (2, 2, "B3")]
