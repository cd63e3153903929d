from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from c6seg.data.images import find_images, read_image
from c6seg.errors import DataError, UsageError
from c6seg.growth.measure import Measurement
from c6seg.growth.series import BY_INTERVAL, BY_NAME, BY_TAG, field_interval, group_series


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
    assert any("A1_18h, A1_24h" in note for note in series.notes)
    assert any("A1_noclock" in note for note in series.notes)


def test_nothing_usable_is_an_error() -> None:
    with pytest.raises(DataError, match="None of the 1 measured"):
        group_series([Measurement("a", confluence=None)])


def test_interval_of_a_time_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    time_h, hits, total = np.arange(10.0), 0, 0
    for fields in (1, 3):
        for _ in range(200):
            true = 0.2 + 0.03 * time_h
            values = np.clip(true + 0.02 * rng.standard_normal((fields, 10)), 0, 1)
            lower, upper = field_interval(time_h, values)
            hits, total = hits + int(np.sum((lower <= true) & (true <= upper))), total + 10
    assert 0.92 <= hits / total <= 0.98


def test_interval_is_empty_where_nothing_can_be_said() -> None:
    lower, upper = field_interval(np.arange(3.0), np.full((1, 3), 0.5))
    assert np.isnan(lower).all()
    assert np.isnan(upper).all()
