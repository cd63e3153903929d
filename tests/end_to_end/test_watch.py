"""`c6seg watch` as a process, with another one that writes like a microscope does, slowly and in disorder."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from c6seg.data.synthetic import simulate_image, write_png

DEADLINE_S = 60

# Writes each file in pieces with a pause after each, under a temporary name where the plan says so.
WRITER = """
import os, shutil, sys, time
from pathlib import Path

source, target, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

def slowly(path, data):
    with open(path, "wb", buffering=0) as file:
        for start in range(0, len(data), len(data) // 3 + 1):
            file.write(data[start : start + len(data) // 3 + 1])
            time.sleep(pause)

for number, path in enumerate(sorted(source.iterdir())):
    if number % 2:
        slowly(target / (path.name + ".tmp"), path.read_bytes())
        os.replace(target / (path.name + ".tmp"), target / path.name)
    else:
        slowly(target / path.name, path.read_bytes())
"""


@dataclass
class Watch:
    """A running `c6seg watch`."""

    process: subprocess.Popen[str]
    out: Path

    def images(self) -> list[str]:
        """Images in the table, once it is there."""
        return [row["image"] for row in rows(self.out)]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so; the process must be running meanwhile."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, self.images()
            time.sleep(0.02)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal; exit code, stdout, stderr."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out, err


def rows(out: Path) -> list[dict[str, str]]:
    """Table of a results folder; empty where there is none yet."""
    with contextlib.suppress(FileNotFoundError), (out / "measurements.csv").open(newline="") as file:
        return list(csv.DictReader(file))
    return []


Start = Callable[..., Watch]


@pytest.fixture
def start(tmp_path: Path, tiny_bundle: Path) -> Iterator[Start]:
    """Start `c6seg watch in --out OUT` in ``tmp_path``; ended with the test."""
    running: list[subprocess.Popen[str]] = []
    (tmp_path / "in").mkdir()

    def run(out: str = "out", *options: str) -> Watch:
        command = [sys.executable, "-m", "c6seg", "watch", "in", "--out", out, "--model", str(tiny_bundle), *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        running.append(process)
        return Watch(process, tmp_path / out)

    yield run
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Folder with pictures of two wells at four times: PNG, and TIFF, and JPEG."""
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(8):
        path = folder / f"Phase_{'AB'[number % 2]}1_1_00d{2 * (number // 2):02d}h00m_1.png"
        write_png(path, simulate_image(size_hw=(96, 96), seed=number).pixels)
        if number in {2, 5}:
            with Image.open(path) as picture:
                picture.save(path.with_suffix(".tif" if number == 2 else ".jpg"))
            path.unlink()
    return folder


def write(source: Path, target: Path, pause_s: float) -> subprocess.Popen[bytes]:
    """Start the process that writes."""
    return subprocess.Popen([sys.executable, "-c", WRITER, str(source), str(target), str(pause_s)])


def undisturbed(tmp_path: Path, tiny_bundle: Path, folder: Path) -> dict[str, bytes]:
    """Table and masks that a batch makes of the same files."""
    out = tmp_path / "batch"
    command = [sys.executable, "-m", "c6seg", "segment", str(folder), "--out", str(out), "--model", str(tiny_bundle)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return contents(out)


def contents(out: Path) -> dict[str, bytes]:
    """Table, masks and overlays by name; nothing half-written may lie there."""
    paths = [out / "measurements.csv", *(out / "masks").iterdir(), *(out / "overlays").iterdir()]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def test_a_microscope_that_writes_slowly_and_a_watch_that_is_killed(
    start: Start, source: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    held = max(source.iterdir()).rename(tmp_path / max(source.iterdir()).name)  # left for the second watch
    watch = start()
    with write(source, tmp_path / "in", 0.15) as writer:
        watch.until(lambda: len(watch.images()) >= 2)
        watch.process.kill()
        watch.process.wait()
        for path in (tmp_path / "out" / "masks").glob("[!.]*.png"):
            with Image.open(path) as picture:
                picture.load()
        watch = start()
        shutil.copy(held, tmp_path / "in")
        watch.until(lambda: len(watch.images()) == 8)
        assert writer.wait(DEADLINE_S) == 0
    code, out, err = watch.end()
    assert code == 0, err
    assert "8 images, " in out
    assert "of them before in 'out'" in out
    assert "Report: out/report.html" in out
    assert "failed" not in err
    assert "Traceback" not in err
    assert contents(tmp_path / "out") == undisturbed(tmp_path, tiny_bundle, tmp_path / "in")
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "A1" in report
    assert "B1" in report
    series = {row["series"] for row in csv.DictReader((tmp_path / "out" / "growth.csv").read_text().splitlines())}
    assert series == {"A1", "B1"}
    assert (tmp_path / "out" / "fits.csv").is_file()


def test_disorder_and_a_broken_file(start: Start, source: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    folder = tmp_path / "in"
    names = sorted(path.name for path in source.iterdir())
    watch = start("in/results")  # inside the watched folder: its own pictures are not taken for images
    watch.until((tmp_path / "in" / "results" / "manifest.json").exists)
    (folder / "Phase_C3_1_00d00h00m_1.tif").write_bytes((source / names[4]).read_bytes()[:700])
    for name in names[:3]:
        shutil.copy(source / name, folder)
    watch.until(lambda: len(watch.images()) == 3)
    mask = tmp_path / "in" / "results" / "masks" / f"{Path(names[2]).stem}.png"
    first = mask.read_bytes()
    shutil.copy(folder / names[0], folder / "copy.png")  # repeated
    (folder / names[1]).rename(folder / names[3])  # renamed
    (folder / names[2]).write_bytes((source / names[6]).read_bytes())  # overwritten
    wanted = {Path(names[0]).stem, Path(names[3]).stem, Path(names[2]).stem}
    watch.until(lambda: set(watch.images()) == wanted and mask.read_bytes() != first)
    (folder / "moved away").mkdir()
    shutil.move(folder / names[0], tmp_path / "elsewhere.png")  # removed: its copy takes its place
    watch.until(lambda: "copy" in watch.images())
    code, out, err = watch.end(signal.SIGINT)
    assert code == 0, err
    assert "3 images" in out
    assert "'copy.png' has the same content as" in err
    assert f"is now called '{names[3]}'" in err
    assert f"'{names[0]}' is now called 'copy.png'" in err
    assert "failed: 'in/Phase_C3_1_00d00h00m_1.tif'" in err
    assert "Traceback" not in err
    assert (tmp_path / "in" / "results" / "failures.csv").read_text().count("\n") == 2
    (folder / "Phase_C3_1_00d00h00m_1.tif").unlink()
    assert contents(tmp_path / "in" / "results") == undisturbed(tmp_path, tiny_bundle, folder)


def test_it_ends_by_itself_and_one_at_a_time(start: Start, source: Path, tmp_path: Path) -> None:
    for path in sorted(source.iterdir())[:2]:
        shutil.copy(path, tmp_path / "in")
    watch = start("out", "--until-idle", "4")
    watch.until(lambda: len(watch.images()) == 2)
    other = start("out", "--until-idle", "4")
    _, err = other.process.communicate(timeout=DEADLINE_S)
    assert other.process.returncode == 2
    assert "Another c6seg is writing into 'out'" in err
    out, err = watch.process.communicate(timeout=DEADLINE_S)
    assert watch.process.returncode == 0, err
    assert "2 images in 'out'" in out
    (tmp_path / "in" / "bad.png").write_text("no image")
    ended = start("out", "--until-idle", "1")
    out, err = ended.process.communicate(timeout=DEADLINE_S)
    assert ended.process.returncode == 1, err
    assert "c6seg: 1 file could not be used; see 'out/failures.csv'" in err
