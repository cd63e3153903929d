"""Dates of files, where nothing better says when an image was taken."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from c6seg.errors import UsageError
from c6seg.growth.measure import Measurement
from c6seg.growth.series import group_series
from c6seg.growth.timeline.times import BY_EXIF, BY_INTERVAL, BY_MODIFIED, BY_NAME, FileTime, read_file_times

TAKEN = datetime(2024, 5, 1, 14, 30, 15, tzinfo=UTC).timestamp() / 3600


def photograph(path: Path, date: str | None = "2024:05:01 14:30:15", *, tag: int = 36867, offset: str = "") -> Path:
    exif = Image.Exif()
    if date is not None:
        inner = exif.get_ifd(0x8769)
        inner[tag] = date
        if offset:
            inner[36881] = offset
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(path, exif=exif.tobytes() if date is not None else b"")
    os.utime(path, (1000 * 3600, 1000 * 3600))
    return path


def rows(names: list[str]) -> list[Measurement]:
    return [Measurement(name, confluence=0.3) for name in names]


@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
def test_exif_dates_are_read(tmp_path: Path, suffix: str) -> None:
    path = photograph(tmp_path / f"a.{suffix}")
    assert read_file_times({"a": path}) == {"a": FileTime(TAKEN, "exif")}


def test_a_time_zone_in_the_file_is_taken_into_account(tmp_path: Path) -> None:
    summer = photograph(tmp_path / "a.jpg", offset="+02:00")
    assert read_file_times({"a": summer})["a"].hours == pytest.approx(TAKEN - 2)
    digitised = photograph(tmp_path / "b.jpg", tag=36868)
    assert read_file_times({"b": digitised})["b"] == FileTime(TAKEN, "exif")


@pytest.mark.parametrize("date", [None, "0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday"])
def test_without_a_date_the_file_system_is_asked(tmp_path: Path, date: str | None) -> None:
    path = photograph(tmp_path / "a.jpg", date)
    assert read_file_times({"a": path}) == {"a": FileTime(1000.0, "modified")}


def test_broken_and_missing_files_cost_themselves_only(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (tmp_path / "bad.tif").write_bytes(b"II*\0\xff\xff\xff\xff")
    paths = {"good": photograph(tmp_path / "good.jpg"), "gone": tmp_path / "gone.jpg"}
    paths |= {f"bad{suffix}": tmp_path / f"bad.{suffix}" for suffix in ("jpg", "tif")}
    found = read_file_times(paths)
    assert {name: time.source for name, time in found.items()} == {
        "good": "exif", "badjpg": "modified", "badtif": "modified",
    }  # fmt: skip


NAMES = ["img_1", "img_2", "img_3", "img_4"]


def test_names_tags_and_interval_are_trusted_more_than_files() -> None:
    times = {name: FileTime(100.0 + 5 * number, "exif") for number, name in enumerate([*NAMES, "A1_0h", "A1_3h"])}
    assert group_series(rows(["A1_0h", "A1_3h"]), file_times=times)[0].time_source == BY_NAME
    assert group_series(rows(NAMES), interval_h=2.0, file_times=times)[0].time_source == BY_INTERVAL
    tagged = [Measurement(name, confluence=0.3, time_h=7.0 * number) for number, name in enumerate(NAMES)]
    assert group_series(tagged, file_times=times)[0].time_h.tolist() == [0, 7, 14, 21]


def test_exif_dates_make_a_series_with_a_warning() -> None:
    times = {name: FileTime(470_000.0 + 6 * number, "exif") for number, name in enumerate(NAMES)}
    (series,) = group_series(rows(NAMES), file_times=times)
    assert (series.time_h.tolist(), series.time_source) == ([0, 6, 12, 18], BY_EXIF)
    assert "if the camera's clock was" in series.notes[0]


def test_modification_times_make_a_series_with_a_warning() -> None:
    times = {name: FileTime(470_000.0 + 0.5 * number, "modified") for number, name in enumerate(NAMES)}
    (series,) = group_series(rows(NAMES), file_times=times)
    assert (series.time_h.tolist(), series.time_source) == ([0, 0.5, 1.0, 1.5], BY_MODIFIED)
    assert "copying, editing or unpacking files changes these times" in series.notes[0]


@pytest.mark.parametrize(
    ("names", "hours"),
    [
        (NAMES, [0, 0.01, 0.02, 0.03]),  # copied together
        (NAMES, [0, 2, 1, 3]),  # not in the order of the numbers
        (NAMES, [0, 1, 1, 2]),  # two alike
        (["morning", "noon", "evening"], [0, 4, 8]),  # no numbers
    ],
)
def test_modification_times_that_say_nothing_are_refused(names: list[str], hours: list[float]) -> None:
    times = {name: FileTime(470_000.0 + hour, "modified") for name, hour in zip(names, hours, strict=True)}
    with pytest.raises(UsageError, match=r"modification times of the files cannot stand in.*Pass --interval HOURS"):
        group_series(rows(names), file_times=times)


def test_modification_times_of_a_film_say_nothing() -> None:
    film = [Measurement("film", frame=frame, confluence=0.3) for frame in range(5)]
    with pytest.raises(UsageError, match="Pass --interval"):
        group_series(film, file_times={"film": FileTime(470_000.0, "exif")})


def test_a_changed_camera_clock_is_said() -> None:
    start = datetime(2024, 3, 30, 13, tzinfo=UTC).timestamp() / 3600
    hours = np.cumsum([0, 4, 4, 4, 5, 4, 4])
    names = [f"img_{number}" for number in range(hours.size)]
    times = {name: FileTime(start + float(hour), "exif") for name, hour in zip(names, hours, strict=True)}
    (series,) = group_series(rows(names), file_times=times)
    assert any("the clock may have been changed" in note for note in series.notes)
    changed = {name: FileTime(time.hours, "modified") for name, time in times.items()}
    (series,) = group_series(rows(names), file_times=changed)  # the file system counts without summer time
    assert not any("the clock may have been changed" in note for note in series.notes)


def test_images_of_one_well_that_name_neither_field_nor_frame_are_frames() -> None:
    well = [Measurement(f"A1_{name}", confluence=0.3) for name in ("a", "b", "c")]
    (series,) = group_series(well, interval_h=4.0)
    assert (series.time_h.tolist(), series.fields.shape) == ([0, 4, 8], (1, 3))
    assert any("taken for frames, in the order of their names" in note for note in series.notes)
    fields = [Measurement(f"A1_f{name}", confluence=0.3) for name in (1, 2, 3)]
    (series,) = group_series(fields, interval_h=4.0)
    assert (series.time_h.tolist(), series.fields.shape) == ([0], (3, 1))
    assert any("differ in the field only" in note for note in series.notes)


def test_equal_time_tags_are_called_equal() -> None:
    tagged = [Measurement(f"A1_t{number}", confluence=0.3, time_h=5.0) for number in (1, 2, 3)]
    with pytest.raises(UsageError, match="the time tags of the files are alike or missing"):
        group_series(tagged)


def test_hourly_images_of_the_night_when_clocks_are_set_back() -> None:
    start = datetime(2024, 10, 26, 22, tzinfo=UTC).timestamp() / 3600
    hours = [0, 1, 2, 3, 4, 4, 5, 6, 7]
    names = [f"img_{number}" for number in range(len(hours))]
    times = {name: FileTime(start + hour, "exif") for name, hour in zip(names, hours, strict=True)}
    (series,) = group_series(rows(names), file_times=times)
    (note,) = [note for note in series.notes if "set back" in note]
    assert "img_5 at 4 h" in note
    assert "2024-10-27, when clocks change in Europe" in note
    summer = {name: FileTime(time.hours - 24 * 90, "exif") for name, time in times.items()}
    (series,) = group_series(rows(names), file_times=summer)
    assert not any("set back" in note for note in series.notes)
