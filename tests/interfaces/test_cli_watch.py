from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from c6seg import api
from c6seg.api_watch import WatchStatus
from c6seg.inference.live import Added
from c6seg.interfaces import cli_watch
from c6seg.interfaces.cli import app
from c6seg.interfaces.cli_base import run


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    rows, columns = np.mgrid[0:50, 0:70]
    for number in (1, 2):
        disc = ((rows - 25) ** 2 + (columns - 20 * number) ** 2 < 150) * 160 + rows
        Image.fromarray(disc.astype(np.uint8)).save(folder / f"picture t{number}.png")
    return folder


def status(**values: Any) -> WatchStatus:
    return WatchStatus(Path("out"), **values)


def made(name: str, confluence: float = 0.25) -> Added:
    return Added(name, "made", rows=({"confluence": confluence},))


def test_options_reach_the_results(
    images: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    options = ["--pixel-size", "0.5", "--interval", "3", "--title", "Plate <1>", "--threshold", "0.4"]
    options += ["--precision", "f32", "--memory", "500", "--max-pixels", "9999", "--no-overlays"]
    arguments = ["watch", str(images), "--out", str(out), "--model", str(tiny_bundle), "--until-idle", "0.3", *options]
    assert run(app, arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-2:] == [f"2 images in '{out}'", f"Report: {out / 'report.html'}"]
    assert captured.err.count("picture t1") == captured.err.count("picture t2") == 1
    known = json.loads((out / "manifest.json").read_text())["options"]
    wanted = {"pixel_size_um": 0.5, "threshold": 0.4, "precision": "f32", "memory_mb": 500, "max_pixels": 9999}
    assert {key: known[key] for key in wanted} == wanted
    assert not (out / "overlays").exists()
    assert "Plate &lt;1&gt;" in (out / "report.html").read_text(encoding="utf-8")
    times = [line.split(",")[1] for line in (out / "growth.csv").read_text().splitlines()[1:]]
    assert [float(time) for time in times] == [0.0, 3.0]
    assert run(app, [*arguments, "-q"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--out", "out"], "There is no folder 'nowhere' to watch"),
        (["images"], "--out"),
        (["images", "--out", "out", "--until-idle", "0"], "until_idle_s = 0"),
        (["images", "--out", "out", "--precision", "f16"], "precision = 'f16'"),
        (["images", "--out", "out", "--interval", "-1"], "interval_h"),
        (["images", "--out", "out", "--model", "nope"], "Unknown model 'nope'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(app, ["watch", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert message in captured.err
    assert not (tmp_path / "out").exists()


def test_images_without_times_have_masks_and_words_about_the_curve(
    images: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "picture t1.png").rename(images / "one.png")
    (images / "picture t2.png").rename(images / "two.png")
    for name in ("one.png", "two.png"):
        os.utime(images / name, (1e9, 1e9))
    (images / "bad.png").write_text("no image")
    out = tmp_path / "out"
    arguments = ["watch", str(images), "--out", str(out), "--model", str(tiny_bundle), "--until-idle", "0.3"]
    assert run(app, arguments) == 1
    captured = capsys.readouterr()
    assert "2 images in" in captured.out
    assert "c6seg: 1 file could not be used; see" in captured.err
    assert "failed: " in captured.err
    assert len(list((out / "masks").iterdir())) == 2


def test_a_growth_analysis_that_fails_does_not_end_a_watch(
    images: Path,
    tmp_path: Path,
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("c6seg.growth.analysis.analyse", fail)
    out = tmp_path / "out"
    arguments = ["watch", str(images), "--out", str(out), "--model", str(tiny_bundle), "--until-idle", "0.3"]
    assert run(app, arguments) == 0
    captured = capsys.readouterr()
    assert "2 images in" in captured.out
    assert "No growth curve yet: unexpected ZeroDivisionError: by zero. This is a fault of c6seg" in captured.err
    assert (out / "measurements.csv").read_text().count("\n") == 3


def test_a_plate_map_is_used_and_a_broken_one_ends_it_at_once(
    images: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plate, out = tmp_path / "plate.csv", tmp_path / "out"
    arguments = ["watch", str(images), "--out", str(out), "--model", str(tiny_bundle), "--until-idle", "0.3"]
    plate.write_text("place,drug\nA1,x\n")
    assert run(app, [*arguments, "--plate", str(plate)]) == 2
    assert "has no column 'well'" in capsys.readouterr().err
    assert not out.exists()
    for number in (1, 2):
        (images / f"picture t{number}.png").rename(images / f"Phase_B{number}_1_00d00h00m.png")
    plate.write_text("well,treatment\nB1,drug\nB2,control\n")
    assert run(app, [*arguments, "--plate", str(plate)]) == 0
    assert (out / "plate.csv").is_file()


def test_times_of_files_stand_in_for_times_in_names(
    images: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["watch", str(images), "--out", str(out), "--model", str(tiny_bundle), "--until-idle", "0.3"]
    for number in (1, 2):
        os.utime(images / f"picture t{number}.png", (1e9 + 7200 * number, 1e9 + 7200 * number))
    assert run(app, arguments) == 0
    assert "the times are those at which the files were last written" in capsys.readouterr().err
    (images / "picture t1.png").unlink()  # microscopes move files away
    (out / "growth.csv").unlink()
    assert run(app, arguments) == 0
    rows = [line.split(",") for line in (out / "growth.csv").read_text().splitlines()]
    assert [float(row[rows[0].index("time_h")]) for row in rows[1:]] == [0.0, 2.0]


SIGNALS = """
import signal, sys, threading
from c6seg.interfaces import cli_watch

before = signal.getsignal(signal.SIGINT)
for first in (signal.SIGINT, signal.SIGTERM):
    with cli_watch._stop_on_signals() as stop:
        assert not stop.is_set()
        signal.raise_signal(first)
        assert stop.wait(5)
        signal.raise_signal(signal.SIGTERM)
        try:
            signal.raise_signal(signal.SIGINT)
            threading.Event().wait(5)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    assert signal.getsignal(signal.SIGINT) is before
"""


def test_the_first_signal_stops_and_the_second_ctrl_c_is_the_usual_one() -> None:
    ended = subprocess.run([sys.executable, "-c", SIGNALS], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "interrupted\ninterrupted\n"), ended.stderr


def test_told_to_stop_is_done_even_if_images_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = status(images=3, made=1, failures={Path("a.png"): "'a.png' is no image"}, growth_note="no times")
    stops = [True, False, False]

    def watch(*_: object, stop: threading.Event, **__: object) -> WatchStatus:
        if stops.pop(0):
            stop.set()
        return found

    monkeypatch.setattr(api, "watch", watch)
    for code in (0, 1):
        assert run(app, ["watch", str(tmp_path), "--out", "out"]) == code
        captured = capsys.readouterr()
        assert captured.out == "3 images, 2 of them before in 'out'\n"
        assert "No growth curve yet: no times" in captured.err
        assert "1 file could not be used" in captured.err
    found = replace(found, failures={}, problem="'in' cannot be reached")
    assert run(app, ["watch", str(tmp_path), "--out", "out"]) == 1
    assert "c6seg: 'in' cannot be reached" in capsys.readouterr().err


def test_lines_say_each_thing_once() -> None:
    said: list[str] = []
    show = cli_watch._Lines(Path("in"), write=said.append).show
    show(status(state="waiting"))
    show(status(state="waiting"))
    first, note = made("a", 0.5), Added("b", "repeated", "'b' has the same content")
    for last in (first, first, note, note):
        show(status(state="working", images=1, last=last))
    for problem in ("", "the disk is full", "the disk is full", ""):
        show(status(state="waiting", images=1, last=note, problem=problem))
    failed = {Path("c"): "'c' is no image"}
    for failures in (failed, failed, {}, failed):
        show(status(images=1, last=note, failures=failures))
    assert said == [
        "Waiting for images in 'in'. Ctrl-C ends.",
        "a 50.0 %, 1 image",
        "'b' has the same content",
        "c6seg: the disk is full",
        "c6seg: it goes on",
        "failed: 'c' is no image",
        "failed: 'c' is no image",
    ]


def test_the_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(cli_watch.time, "monotonic", lambda: clock[0])
    line = cli_watch._Line(Path("in"))
    assert line.text() == "Looking into in ..."
    wells = [SimpleNamespace(plate=None, well=well) for well in ("A1", "B2")]
    growth: Any = SimpleNamespace(series=wells)
    line.status = status(state="working", images=12, last=made("[a]"), queue=3, growth=growth)
    assert line.text() == "12 images · 2 wells · [a] 25.0 % 0 s ago · 3 to do · working"
    assert line.__rich__().plain == line.text()
    growth.series.append(SimpleNamespace(plate=None, well=None))
    assert "· 3 series ·" in line.text()
    clock[0] += 200
    line.status = replace(line.status, state="waiting", queue=0, unfinished={Path("b"): "cut short"})
    assert line.text().endswith("[a] 25.0 % 3 min ago · 1 file not whole yet · waiting (Ctrl-C ends)")
    clock[0] += 7200
    line.status = replace(line.status, state="problem", failures={Path("b"): "cut short"}, unfinished={})
    assert line.text().endswith("2.1 h ago · 1 failed · problem")


def test_on_a_terminal_there_is_one_line_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    shown: list[Callable[[WatchStatus], None]] = []
    with cli_watch._progress(Path("in")) as show:
        shown.append(show)
        show(status(state="waiting", images=1, last=made("a")))
        show(status(state="waiting", images=1, last=made("a"), problem="[the disk] is full"))
    err = capsys.readouterr().err
    assert "[the disk] is full" in err
    assert "25.0 %, 1 image" not in err, "pictures are in the line only"
