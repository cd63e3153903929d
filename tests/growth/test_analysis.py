"""From a segmentation folder, or raw images, to curves: through the api and the command line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from c6seg import api
from c6seg.errors import DataError, UsageError
from c6seg.interfaces.cli import app
from c6seg.interfaces.cli_base import run

HEADER = "image,frame,time_h,well,confluence,flags\n"


def results(folder: Path, rows: list[str], **manifest: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "measurements.csv").write_text(HEADER + "".join(row + "\n" for row in rows))
    if manifest:
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def growing(name: str = "A1", *, rate: float = 0.03, clock: bool = True) -> list[str]:
    times = range(0, 60, 6)
    return [
        f"{name}_{f'{time}h' if clock else f't{time // 6:02d}'},0,,,{0.08 * np.exp(rate * time):.5f}," for time in times
    ]


def fits(out: Path) -> list[dict[str, str]]:
    with (out / "fits.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_results_folder_to_everything_promised(tmp_path: Path) -> None:
    folder = results(tmp_path / "seg", growing("A1") + growing("A2", rate=0.0))
    (folder / "overlays").mkdir()
    for time in (0, 30, 54):
        Image.fromarray(np.full((40, 60), 99, np.uint8)).save(folder / "overlays" / f"A1_{time}h.jpg")
    result = api.grow(folder, tmp_path / "out")
    assert [one.name for one in result.series] == ["A1", "A2"]
    assert result.fits[0].doubling_time_h == pytest.approx(np.log(2) / 0.03, rel=1e-3)
    written = {"growth.csv", "fits.csv", "growth.xlsx", "figures", "report.html", "report.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == written
    assert result.report.read_text().count("data:image/jpeg") == 6
    # the same again gives the same numbers
    before = (tmp_path / "out" / "fits.csv").read_bytes()
    api.grow(folder / "measurements.csv", tmp_path / "out")
    assert (tmp_path / "out" / "fits.csv").read_bytes() == before


def test_folders_of_the_images_name_the_wells(tmp_path: Path) -> None:
    rows = growing("img", clock=False)
    paths = [{"path": f"/data/C6/plate/B3/{row.split(',')[0]}.tif"} for row in rows]
    paths.append({"path": "/data/C6/plate/B4/other_24h.tif"})
    folder = results(tmp_path / "seg", [*rows, "other_24h,0,,,0.3,"], inputs=paths)
    result = api.grow(folder, tmp_path / "out", config={"interval_h": 6.0, "bootstrap": 200})
    assert [one.name for one in result.series] == ["B3", "B4"]


def test_two_plates_together(tmp_path: Path) -> None:
    first = results(tmp_path / "p1", growing("one_A1"))
    second = results(tmp_path / "p2", growing("two_A1", rate=0.02))
    result = api.grow([first, second], tmp_path / "out")
    assert [one.name for one in result.series] == ["one A1", "two A1"]


def test_two_plates_with_the_same_image_names_are_never_averaged(tmp_path: Path) -> None:
    plates = [results(tmp_path / name, growing(rate=rate)) for name, rate in (("ctrl", 0.03), ("drug", 0.015))]
    for folder, grey in zip(plates, (60, 200), strict=True):
        (folder / "overlays").mkdir()
        Image.fromarray(np.full((40, 60), grey, np.uint8)).save(folder / "overlays" / "A1_0h.jpg")
    result = api.grow(plates, tmp_path / "out")
    assert [one.name for one in result.series] == ["ctrl A1", "drug A1"]
    doubling = [fit.doubling_time_h for fit in result.fits]
    assert doubling == pytest.approx([np.log(2) / 0.03, np.log(2) / 0.015], rel=1e-2)
    assert result.report.read_text().count("data:image/jpeg") == 4


def test_results_of_one_time_each_make_one_series(tmp_path: Path) -> None:
    folders = [
        results(tmp_path / f"day{day}", [f"A1,0,,,{0.08 * 2**day:.3f},", f"A2,0,,,{0.05 * 2**day:.3f},"])
        for day in range(4)
    ]
    result = api.grow(folders, tmp_path / "out")
    assert [one.name for one in result.series] == ["A1", "A2"]
    assert [one.time_h.tolist() for one in result.series] == [[0.0, 24.0, 48.0, 72.0]] * 2


def test_an_interval_that_is_not_needed_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path / "seg", growing())
    assert run(app, ["growth", str(folder), "--out", str(tmp_path / "out"), "--interval", "3"]) == 0
    assert "--interval 3 was not needed: the times come from the file names" in capsys.readouterr().err


def test_command_line_writes_and_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path / "seg", growing(clock=False))
    code = run(app, ["growth", str(folder), "--out", str(tmp_path / "out"), "--interval", "6"])
    captured = capsys.readouterr()
    assert code == 0
    assert "doubling every 23.1 h" in captured.out
    assert "report.html" in captured.out
    assert float(fits(tmp_path / "out")[0]["doubling_time_h"]) == pytest.approx(23.1, abs=0.05)


@pytest.mark.parametrize(
    ("rows", "arguments", "words"),
    [
        (["a,0,,,0.1,", "b,0,,,0.2,"], [], "Pass --interval HOURS"),
        (["a_1h,0,,,x,"], [], "which is no number"),
        (["a_1h,0,,,,"], [], "between 0 and 1"),
        ([], [], "has no rows"),
        (["a_1h,0,,,0.1,"], ["--interval", "-3"], "interval_h = -3.0"),
    ],
)
def test_bad_results_are_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[str], arguments: list[str], words: str
) -> None:
    folder = results(tmp_path / "seg", rows)
    code = run(app, ["growth", str(folder), "--out", str(tmp_path / "out"), *arguments])
    error = capsys.readouterr().err
    assert code == 2
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_bad_folders_are_one_line_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    good = results(tmp_path / "seg", growing())
    for inputs, words in (
        ([empty], "has no image"),
        ([tmp_path / "nowhere"], "no file or folder"),
        ([good, empty], "the one kind or the other"),
    ):
        code = run(app, ["growth", *map(str, inputs), "--out", str(tmp_path / "out")])
        error = capsys.readouterr().err
        assert code == 2
        assert words in error
        assert len(error.strip().splitlines()) == 1


def test_broken_manifest_is_said(tmp_path: Path) -> None:
    folder = results(tmp_path / "seg", growing())
    (folder / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json"):
        api.grow(folder, tmp_path / "out")


def test_raw_images_are_segmented_first(tmp_path: Path, tiny_bundle: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for step in range(6):
        pixels = np.full((64, 96), 20, np.uint8)
        pixels[:, : round(8 * 1.4**step)] = 220
        Image.fromarray(pixels).save(images / f"B2_{12 * step}h.png")
    (images / "B2_80h.png").write_bytes(b"no picture")
    result = api.grow(images, tmp_path / "out", model=tiny_bundle, segment_config={"pixel_size_um": 1.0})
    assert [one.name for one in result.series] == ["B2"]
    assert result.series[0].time_h.tolist() == [0, 12, 24, 36, 48, 60]
    assert result.fits[0].doubling_time_h == pytest.approx(12 * np.log(2) / np.log(1.4), rel=0.15)
    assert [reason for _, reason in result.failures]
    assert (tmp_path / "out" / "segmentation" / "masks" / "B2_0h.png").is_file()
    assert "model tiny" in result.report.read_text()


@pytest.mark.parametrize("folder_of", ["{hours}h/B{well:02d}.png", "B{well}/pic_{hours}h.png"], ids=["times", "wells"])
def test_folders_of_times_or_wells_with_the_same_names_inside(
    tmp_path: Path, tiny_bundle: Path, folder_of: str
) -> None:
    for step in range(5):
        for well, factor in ((2, 1.4), (3, 1.2)):
            pixels = np.full((64, 96), 20, np.uint8)
            pixels[:, : round(8 * factor**step)] = 220
            path = tmp_path / "images" / folder_of.format(hours=12 * step, well=well)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    options = {"model": tiny_bundle, "segment_config": {"pixel_size_um": 1.0}, "recursive": True}
    result = api.grow(tmp_path / "images", tmp_path / "images" / "out", **options)
    assert [one.name for one in result.series] == ["B2", "B3"]
    assert [one.time_h.tolist() for one in result.series] == [[0, 12, 24, 36, 48]] * 2
    assert result.fits[0].doubling_time_h == pytest.approx(12 * np.log(2) / np.log(1.4), rel=0.15)
    # the pictures that it made lie among the images, and are none
    again = api.grow(tmp_path / "images", tmp_path / "images" / "out", **options)
    assert [one.time_h.size for one in again.series] == [5, 5]


def test_nothing_segmented_is_an_error(tmp_path: Path, tiny_bundle: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises((DataError, UsageError), match="None of the images could be segmented"):
        api.grow(tmp_path / "a.png", tmp_path / "out", model=tiny_bundle)


def test_demo_runs_the_whole_way(
    tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from c6seg.evaluation import demo

    small = {**demo.DEMO_CULTURE, "size_hw": (96, 128), "start_count": 4, "times_h": [0.0, 12.0, 24.0, 36.0, 48.0]}
    monkeypatch.setattr(demo, "DEMO_CULTURE", small)
    assert run(app, ["demo", "--out", str(tmp_path / "demo"), "--model", str(tiny_bundle)]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1:5]] == ["A1", "A2", "A3", "A4"]
    assert "20.0 h" in out
    assert "does not grow" in out
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "doubles every 28.0 h" in page
    assert page.count("Dice 0.") == 4


def test_growth_needs_neither_torch_nor_a_network() -> None:
    code = (
        "import sys; import c6seg.growth.analysis, c6seg.growth.report; "
        "sys.exit(bool({'torch', 'openvino', 'matplotlib', 'jinja2', 'scipy.stats'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_folders_of_results_say_the_well_even_where_no_name_occurs_twice(tmp_path: Path) -> None:
    first = results(tmp_path / "B2", [f"img_{n:02d},0,,,{0.1 * 1.3**n:.4f}," for n in range(6)])
    second = results(tmp_path / "B3", [f"img_{n:02d},0,,,{0.1 * 1.1**n:.4f}," for n in range(10, 16)])
    result = api.grow([first, second], tmp_path / "out", config={"interval_h": 6.0})
    assert [(one.name, one.time_h.size) for one in result.series] == [("B2", 6), ("B3", 6)]


def test_folders_that_are_dates_with_a_pattern(tmp_path: Path) -> None:
    folders = [
        results(tmp_path / f"2024-05-0{day}", [f"A1_{f},0,,,{0.08 * 2**day:.3f}," for f in (1, 2)]) for day in (1, 2, 3)
    ]
    result = api.grow(folders, tmp_path / "out", config={"pattern": "{date}/{well}_{field}"})
    assert [(one.name, one.plate, one.time_h.tolist()) for one in result.series] == [("A1", None, [0.0, 24.0, 48.0])]
    assert result.series[0].fields.shape == (2, 3)
    # without one, a folder of frames that are told apart by hours is a plate
    plates = [results(tmp_path / f"exp/2024-06-0{day}", growing()) for day in (1, 2)]
    result = api.grow(plates, tmp_path / "out2")
    assert [one.name for one in result.series] == ["2024-06-01 A1", "2024-06-02 A1"]
    lines = [results(tmp_path / f"C6_plate{number}", growing()) for number in (1, 2)]
    result = api.grow(lines, tmp_path / "out3")
    assert [one.name for one in result.series] == ["C6_plate1 A1", "C6_plate2 A1"]


def test_a_bad_cell_costs_its_row_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path / "seg", [*growing(), "A1_60h,0,,,many,", "B7_0h,0,soon,,0.2,"])
    code = run(app, ["growth", str(folder), "--out", str(tmp_path / "out")])
    captured = capsys.readouterr()
    assert code == 1
    assert "doubling every 23.1 h" in captured.out
    assert "line 12: confluence is 'many', which is no number" in captured.err
    assert "line 13: time_h is 'soon'" in captured.err
    assert [row["series"] for row in fits(tmp_path / "out")] == ["A1"]
    assert "2 rows of the table were left out" in (tmp_path / "out" / "report.html").read_text()


def test_pictures_of_earlier_results_are_no_photographs(tmp_path: Path, tiny_bundle: Path) -> None:
    for step in range(4):
        pixels = np.full((64, 96), 20, np.uint8)
        pixels[:, : round(8 * 1.4**step)] = 220
        path = tmp_path / "exp" / "images" / f"B2_{12 * step}h.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    earlier = tmp_path / "exp" / "old results"
    for part in ("masks", "overlays", "figures"):
        (earlier / part).mkdir(parents=True)
        Image.fromarray(pixels).save(earlier / part / "B3_0h.png")
    (earlier / "manifest.json").write_text("{}")
    options = {"model": tiny_bundle, "segment_config": {"pixel_size_um": 1.0}, "recursive": True}
    result = api.grow(tmp_path / "exp", tmp_path / "out", **options)
    assert [(one.name, one.time_h.size) for one in result.series] == [("B2", 4)]
    with pytest.raises(DataError, match="no photograph"):
        api.grow(earlier, tmp_path / "out2", **options)


def test_flags_that_nothing_sets_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path / "seg", growing())
    arguments = ["growth", str(folder), "--out", str(tmp_path / "out"), "--exclude-flags"]
    assert run(app, [*arguments, "out_of_focs"]) == 2
    error = capsys.readouterr().err
    assert "'out_of_focus'" in error
    assert "overexposed" in error
    assert run(app, [*arguments, "empty_field,scale_unknown"]) == 0
    # a table made elsewhere may have flags of its own
    own = results(tmp_path / "own", [*growing()[:-1], "A1_54h,0,,,0.3,debris"])
    assert run(app, ["growth", str(own), "--out", str(tmp_path / "out"), "--exclude-flags", "debris"]) == 0
