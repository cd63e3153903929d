from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from c6seg.data.images import find_images, read_image
from c6seg.errors import DataError, UsageError
from c6seg.growth.measure import Measurement
from c6seg.growth.series import BY_INTERVAL, BY_NAME, BY_TAG, group_series
from c6seg.growth.timeline.interval import Calibration


def named(name: str, confluence: float = 0.3, **known: object) -> Measurement:
    return Measurement(image=name, confluence=confluence, **known)  # type: ignore[arg-type]


def test_shuffled_wells_and_fields_come_out_in_order() -> None:
    rows = [
        named(f"C6_Phase_{well}_{field}_{day:02d}d00h00m_1", 0.1 * (day + 1) + 0.02 * field)
        for well in ("B2", "B10")
        for field in (1, 2)
        for day in (2, 0, 1)
    ]
    first, second = group_series(rows[::-1])
    assert (first.name, second.name) == ("B2", "B10")
    assert first.time_h.tolist() == [0, 24, 48]
    assert first.confluence == pytest.approx([0.13, 0.23, 0.33])
    assert first.fields.shape == (2, 3)
    assert first.time_source == BY_NAME
    assert np.all((first.lower < first.confluence) & (first.confluence < first.upper))


def test_real_time_lapse_is_one_series_by_its_tags(shared_data: Path) -> None:
    rows = []
    for path in find_images([shared_data / "t98g_timelapse"]):
        frame = read_image(path)
        rows.append(named(frame.name, time_h=frame.time_h))
    (series,) = group_series(rows[::-1])
    assert series.time_source == BY_TAG
    assert series.time_h == pytest.approx(np.arange(13) / 2, abs=0.01)
    assert series.time_h[0] == 0
    assert [images[0][0][-3:] for images in series.images] == [f"t{number:02d}" for number in range(1, 38, 3)]


def test_livecell_wells_of_two_lines_are_kept_apart(shared_data: Path) -> None:
    rows = [named(path.stem) for path in (shared_data / "livecell" / "images").rglob("*.tif")]
    series = {one.name: one for one in group_series(rows)}
    assert len({line for one in series.values() for images in one.images for line, _ in images}) == 45
    a172 = next(one for name, one in series.items() if "C7" in name)
    assert all(image.startswith("A172") for images in a172.images for image, _ in images)
    assert a172.time_h.size >= 2


def test_name_beats_tag_beats_interval() -> None:
    both = [named(f"A1_{hour}h", time_h=100.0 + hour / 2) for hour in (0, 12, 24)]
    assert group_series(both, interval_h=1.0)[0].time_h.tolist() == [0, 12, 24]
    tags = [named(f"A1_t{number}", time_h=100.0 + number) for number in (1, 2, 3)]
    assert group_series(tags, interval_h=5.0)[0].time_h.tolist() == [0, 1, 2]


def test_useless_tags_give_way_to_the_interval() -> None:
    rows = [named(f"A1_t{number}", time_h=0.0) for number in (1, 2, 3)]
    (series,) = group_series(rows, interval_h=5.0)
    assert (series.time_h.tolist(), series.time_source) == ([0, 5, 10], BY_INTERVAL)


def test_label_that_looks_like_a_time_is_not_taken_for_one() -> None:
    rows = [named(f"drug_24h_t{number:02d}") for number in range(4)]
    (series,) = group_series(rows, interval_h=6.0)
    assert series.time_h.tolist() == [0, 6, 12, 18]


@pytest.mark.parametrize(
    ("numbers", "expected"), [((1, 4, 7), [0, 2, 4]), ((1, 2, 4), [0, 2, 6]), ((9, 10, 11), [0, 2, 4])]
)
def test_interval_counts_gaps_but_not_the_stride(numbers: tuple[int, ...], expected: list[float]) -> None:
    (series,) = group_series([named(f"B2_t{number:03d}") for number in numbers], interval_h=2.0)
    assert series.time_h.tolist() == expected


def test_frames_of_one_file_by_tags_or_interval() -> None:
    tagged = [named("movie", 0.1, frame=frame, time_h=0.25 * frame) for frame in (2, 0, 1)]
    assert group_series(tagged)[0].time_h.tolist() == [0, 0.25, 0.5]
    bare = [named("B3_24h", 0.1, frame=frame) for frame in range(3)]
    with pytest.raises(UsageError, match="--interval"):
        group_series(bare)
    assert group_series(bare, interval_h=3.0)[0].time_h.tolist() == [0, 3, 6]


def test_images_without_any_order_need_the_interval() -> None:
    rows = [named(name) for name in ("morning", "noon", "evening")]
    with pytest.raises(UsageError, match="--interval HOURS"):
        group_series(rows)
    assert group_series(rows, interval_h=4.0)[0].time_h.tolist() == [0, 4, 8]


def test_fields_taken_seconds_apart_share_a_time() -> None:
    rows = [
        named(f"B3_s{field}_t{number}", 0.2, time_h=50 + number + 0.01 * field)
        for field in (1, 2, 3)
        for number in range(4)
    ]
    (series,) = group_series(rows)
    assert series.fields.shape == (3, 4)
    assert series.time_h == pytest.approx([0.01, 1.01, 2.01, 3.01])


def test_what_is_left_out_is_said() -> None:
    rows = [named(f"A1_{hour}h") for hour in (0, 6, 12)] + [
        Measurement("A1_18h", confluence=None),
        named("A1_24h", 1.7),
        named("A1_noclock"),
    ]
    (series,) = group_series(rows)
    assert series.time_h.tolist() == [0, 6, 12]
    assert "1 image was left out, without a confluence (A1_18h)" in series.notes
    assert any("above 1 or below 0" in note and "A1_24h: 1.7" in note for note in series.notes)
    assert any("A1_noclock" in note for note in series.notes)


def test_nothing_usable_is_an_error() -> None:
    with pytest.raises(DataError, match="None of the 1 measured"):
        group_series([Measurement("a", confluence=None)])


def test_percent_is_recognised() -> None:
    with pytest.raises(DataError, match="look like percent: divide them by 100"):
        group_series([named(f"A1_{hour}h", 30.0 + hour) for hour in (0, 6)])


def test_images_of_no_series_are_named_too() -> None:
    rows = [named(f"{well}_{hour}h") for well in ("A1", "A2") for hour in (0, 6)]
    first, second = group_series([*rows, Measurement("B7_0h"), named("A2_12h", -0.2)])
    assert any("B7_0h" in note for note in first.notes)
    assert any("A2_12h: -0.2" in note for note in second.notes)
    assert not any("A2_12h" in note for note in first.notes)


def test_a_series_without_times_costs_itself_only() -> None:
    rows = [named(f"A1_{hour}h") for hour in (0, 6)] + [named(f"overview_{number}") for number in (1, 2)]
    (series,) = group_series(rows)
    assert series.name == "A1"
    assert any("Series 'overview' has 2 images" in note and "left out" in note for note in series.notes)
    with pytest.raises(UsageError, match="overview"):
        group_series([*rows[2:], named("A1_0h")])


def test_wells_of_two_plates_are_two_series_with_a_note() -> None:
    rows = [named(f"{plate}_{well}_{hour}h") for plate in ("P1", "P2") for well in ("A1", "B2") for hour in (0, 6)]
    rows += [named("P2_C3_0h"), named("P2_C3_6h")]
    found = {one.name: one for one in group_series(rows)}
    assert set(found) == {"P1 A1", "P1 B2", "P2 A1", "P2 B2", "C3"}
    assert [(found[name].well, found[name].plate) for name in ("P1 A1", "P2 B2", "C3")] == [
        ("A1", "P1"), ("B2", "P2"), ("C3", "P2"),
    ]  # fmt: skip
    assert "well A1 occurs under 2 plates or lines ('P1', 'P2')" in found["P2 A1"].notes[0]
    assert found["C3"].notes == ()
    (single,) = group_series(rows[:2])
    assert (single.well, single.plate) == ("A1", None)


def test_dates_and_hours_are_never_put_on_one_axis() -> None:
    names = ["A1_2024-05-01_12-00", "A1_2024-05-01_18-00", "A1_2024-05-02_00-00", "A1_6h"]
    (series,) = group_series([named(name) for name in names])
    assert series.time_h.tolist() == [0, 6, 12]
    assert any("A1_6h" in note for note in series.notes)


# Patterns


def test_a_pattern_says_what_names_mean() -> None:
    rows = [named(f"day{day}/s{site}-well{well}", 0.1 * day) for day in (1, 2, 3) for site in (1, 2) for well in (1, 2)]
    rows = [
        Measurement(row.image.replace("/", "-"), confluence=row.confluence, path=f"{row.image}.tif") for row in rows
    ]
    first, second = group_series(rows, pattern=r"day(?P<days>\d)/s(?P<field>\d)-(?P<well>well\d)")
    assert (first.name, second.name) == ("well1", "well2")
    assert first.time_h.tolist() == [24, 48, 72]
    assert first.fields.shape == (2, 3)


def test_images_that_the_pattern_does_not_match_are_listed() -> None:
    rows = [named(f"A1-{hour}h") for hour in (0, 6)] + [named(name) for name in ("x1", "x2", "x3", "x4")]
    (series,) = group_series(rows, pattern="{well}-{time}h")
    assert any("4 images were left out of all series" in note and "(x1, x2, x3 ...)" in note for note in series.notes)
    with pytest.raises(
        DataError, match=r"'\{well\}_s\{field\}' matches none of the 6 images, such as 'A1-0h' and 'A1-6h'"
    ):
        group_series(rows, pattern="{well}_s{field}")
    with pytest.raises(DataError, match="A 'time' needs its unit"):
        group_series([named("A1_24"), named("A1_48")], pattern=r"(?P<well>A1)_(?P<time>\d+)")


def test_columns_that_repeat_the_name_do_not_count_against_a_pattern() -> None:
    """A table of ``c6seg segment`` has well and time of the names that it knows."""
    rows = [named(f"A1_drug24h_t{number}", time_h=24.0, well="A1") for number in range(3)]
    with pytest.raises(UsageError, match="no times"):
        group_series(rows, pattern="{line}_t{index}")
    (series,) = group_series(rows, pattern="{line}_t{index}", interval_h=2.0)
    assert (series.name, series.well, series.time_source) == ("A1_drug24h", None, BY_INTERVAL)
    doses = [named(f"A1_{number}h_t{number}", time_h=float(number)) for number in (1, 2, 4)]
    with pytest.raises(UsageError, match="no times"):
        group_series(doses, pattern="{well}_*_t{index}")
    tagged = [named(f"dish_t{number}", time_h=5.0 + number, well="B7") for number in range(3)]
    (series,) = group_series(tagged, pattern="{line}_t{index}")
    assert (series.name, series.time_h.tolist()) == ("B7", [0, 1, 2])


# Frames that are strange


def test_frames_with_a_flag_leave_the_mean_and_stay_in_the_table() -> None:
    rows = [named(f"B2_{field}_{hour}h", 0.2 + 0.01 * hour) for field in (1, 2) for hour in (0, 6, 12)]
    rows[1] = named("B2_1_6h", 0.9, flags=("out_of_focus", "scale_unknown"))
    rows[2] = named("B2_1_12h", 0.8, flags=("out_of_focus",))
    rows[5] = named("B2_2_12h", 0.6, flags=("overexposed",))
    (series,) = group_series(rows, exclude_flags={"out_of_focus", "overexposed"})
    assert series.confluence == pytest.approx([0.2, 0.26, 0.7])
    assert series.used is not None
    assert series.used.tolist() == [True, True, False]
    assert np.isnan(series.fields[0, 1])
    assert [len(images) for images in series.images] == [2, 2, 2]
    assert series.flags[1] == ("out_of_focus", "scale_unknown")
    (note,) = [note for note in series.notes if "excluded" in note]
    assert "3 images were excluded by quality flags (out_of_focus: 2, overexposed: 1" in note
    assert "times without any other image, 1, are shown but not used" in note
    (plain,) = group_series(rows)
    assert plain.confluence[1] == pytest.approx(0.58)
    assert plain.used is not None
    assert plain.used.all()


def test_a_series_of_excluded_frames_stays() -> None:
    rows = [named(f"B2_{hour}h", 0.2, flags=("out_of_focus",)) for hour in (0, 6, 12)]
    (series,) = group_series(rows, exclude_flags=["out_of_focus"])
    assert series.used is not None
    assert not series.used.any()
    assert series.confluence.tolist() == [0.2, 0.2, 0.2]


def test_a_mask_that_does_not_fit_its_image_is_excluded() -> None:
    size = {"width_px": 100, "height_px": 80, "pixel_size_um": 2.0}
    rows = [named(f"B2_{hour}h", 0.25, cell_area_um2=0.25 * 32000, **size) for hour in (0, 6, 12)]
    rows.append(named("B2_18h", 0.25, cell_area_um2=0.5 * 32000, **size))
    (series,) = group_series(rows)
    assert series.used is not None
    assert series.used.tolist() == [True, True, True, False]
    assert series.flags[3] == ("mask_does_not_fit",)
    assert any("mask_does_not_fit: 1; B2_18h" in note for note in series.notes)


def test_one_picture_under_two_names_counts_once() -> None:
    rows = [named(f"B2_{field}_{hour}h", 0.1 * field, sha256=f"{field}{hour}") for field in (1, 2) for hour in (0, 6)]
    rows.append(named("B2_copy_0h", 0.1, sha256="10"))
    rows.append(named("B2_1_12h", 0.1, sha256="16"))
    (series,) = group_series(rows)
    assert series.confluence == pytest.approx([0.15, 0.15, 0.15])  # field 2 has no third image
    (note,) = [note for note in series.notes if "same picture" in note]
    assert "2 times (B2_1_0h = B2_copy_0h, B2_1_6h = B2_1_12h)" in note


def test_frames_that_go_backwards_are_named() -> None:
    film = [named("film", frame=frame, time_h=time) for frame, time in enumerate([0.0, 1, 3, 2, 4, 4])]
    (series,) = group_series(film)
    assert series.time_h.tolist() == [0, 1, 2, 3, 4]
    assert any("times go backwards: 1 frame is" in note and "film[2] at 3 h" in note for note in series.notes)
    assert any("same time as another one (film[5] at 4 h)" in note for note in series.notes)
    shuffled = [named(f"dish_t{number}", time_h=time) for number, time in enumerate([0.0, 2, 1, 3])]
    (series,) = group_series(shuffled)
    assert any("times go backwards" in note and "dish_t1 at 2 h" in note for note in series.notes)


# Intervals and further measures


def test_the_error_of_the_masks_widens_the_interval() -> None:
    rows = [named(f"B2_{field}_{6 * step}h", 0.1 * (step + 1) + 0.01 * field) for field in (1, 2) for step in range(4)]
    (bare,) = group_series(rows)
    (wide,) = group_series(rows, calibration=Calibration(0.05, 0.0, 30, "drawn"))
    assert bare.noise_lower is not None
    assert wide.noise_lower is not None
    np.testing.assert_array_equal(bare.noise_lower, bare.lower)
    np.testing.assert_array_equal(wide.noise_lower, bare.lower)
    assert np.all(wide.lower < bare.lower)
    assert np.all(wide.upper > bare.upper)


def test_further_measures_are_means_over_the_fields() -> None:
    rows = [
        named(f"B2_{field}_{hour}h", cell_area_um2=100.0 * field, object_count=10 * field if hour else None)
        for field in (1, 2)
        for hour in (0, 6)
    ]
    rows.append(named("B2_3_0h", flags=("bad",), cell_area_um2=900.0))
    (series,) = group_series(rows, exclude_flags=["bad"])
    assert series.cell_area_um2 is not None
    assert series.cell_area_um2.tolist() == [150, 150]
    assert series.object_count is not None
    assert np.isnan(series.object_count[0])
    assert series.object_count[1] == 15
    assert series.cluster_fraction is None


def test_ordinary_data_say_nothing(shared_data: Path) -> None:
    names = [path.stem for path in (shared_data / "livecell" / "images").rglob("*.tif")]
    ordinary = ("plates or lines", "not every field")
    for series in group_series([named(name) for name in names]):
        assert [note for note in series.notes if not any(words in note for words in ordinary)] == []


def test_a_whole_plate_is_grouped_in_about_a_second() -> None:
    rows = [
        named(f"U87_Phase_{row}{column}_{field}_{4 * step // 24:02d}d{4 * step % 24:02d}h00m", 0.1 + 0.001 * step)
        for row in "ABCDEFGH"
        for column in range(1, 13)
        for step in range(72)
        for field in range(1, 5)
    ]
    start = time.process_time()
    found = group_series(rows)
    assert time.process_time() - start < 4
    assert (len(rows), len(found), found[0].fields.shape) == (27648, 96, (4, 72))
    assert all(one.notes == () for one in found)
