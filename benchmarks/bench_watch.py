"""Seconds from a picture that is completely written to its mask, curves and report, by `c6seg watch`.

    python benchmarks/bench_watch.py [--quick] [--out FILE.md]

Aim: at most 2 s for a picture of 2592x1952 px, 8 bits, on two cores. The pictures are LIVECell images, enlarged, as
uncompressed TIFF. A watch runs as a user starts it; pictures are written one after the other, with a pause in which it
comes to rest. The time is from the end of writing to the modification time of the new `report.html`, which is written
last. The second table says where the time goes. Earlier times of a plate are put into the folder as finished results.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import tifffile

from c6seg.api_watch import _Growth
from c6seg.config import GrowthConfig
from c6seg.data.images import read_image, write_mask
from c6seg.inference.arrivals import look, stamp_of
from c6seg.inference.batch import options_key
from c6seg.inference.live import open_live
from c6seg.inference.overlay import write_overlay
from c6seg.inference.segmenter import Segmenter
from c6seg.runtime import sha256
from c6seg.transforms.preprocess import resize
from common import Report, parser, shared

SIZES = {"704x520": (520, 704), "2592x1952": (1952, 2592)}


@dataclass(frozen=True)
class Case:
    """A plate: how many wells, and how many times were there before."""

    size: str
    wells: int
    earlier: int
    pictures: int


def main() -> None:
    """Measure and print."""
    options = parser(__doc__).parse_args()
    report = Report("Watching")
    cases = [Case(size, wells, earlier, 8) for size in SIZES for wells, earlier in ((4, 0), (96, 10))]
    if options.quick:
        cases = [Case("704x520", 4, 0, 3), Case("704x520", 6, 4, 2)]
    segmenter = Segmenter(options.model)
    rows, stages = [], []
    for case in cases:
        with tempfile.TemporaryDirectory() as place:
            plate = Plate(Path(place), case, segmenter, options.model)
            seconds = plate.watch()
            first, rest = seconds[0], seconds[1:]
            row = (f"{case.wells} x {case.earlier}", f"{first:.2f}", f"{median(rest):.2f}", f"{max(rest):.2f}")
            rows.append((case.size, *row, len(rest)))
            stages.append((case.size, row[0], *(f"{1000 * value:.0f}" for value in plate.stages().values())))
    titles = ("picture", "wells x earlier times", "first picture, s", "median, s", "worst, s", "pictures")
    report.table(titles, rows)
    report.say("Milliseconds of the parts, after the first picture; looking and settling overlap with the network.\n")
    names = ("look", "hash", "read", "segment", "mask", "overlay", "tables", "growth and report")
    report.table(("picture", "wells x earlier times", *names), stages)
    report.save(options.out)


class Plate:
    """A folder that a microscope writes into, and the results beside it."""

    def __init__(self, place: Path, case: Case, segmenter: Segmenter, model: str) -> None:
        self.case, self.segmenter, self.model = case, segmenter, model
        self.folder, self.out = place / "in", place / "out"
        self.folder.mkdir()
        self.number = 0
        paths = sorted(shared("livecell").rglob("*.tif"))[::9]
        self.sources = [
            np.clip(np.round(resize(read_image(path).pixels.astype(np.float32), SIZES[case.size])), 0, 255)
            for path in paths
        ]
        if case.earlier:
            self._fill()

    def _fill(self) -> None:
        """Put finished results of earlier times there: one picture and its results under many names."""
        self.out.mkdir()
        first = self.write("0_Phase_A1_1_00d00h00m.tif")
        frame = read_image(first)
        found = self.segmenter.segment(frame)
        write_mask(self.out / "masks" / "0.png", found.mask)
        write_overlay(self.out / "overlays" / "0.jpg", frame.pixels, found.mask)
        lines = [json.dumps({"format": "c6seg-journal/1", "key": options_key(self.segmenter)})]
        rng = np.random.default_rng(0)
        rates = rng.uniform(0.0, 0.04, self.case.wells)
        height, width = SIZES[self.case.size]
        for index in range(self.case.wells * self.case.earlier):
            hours, well = index // self.case.wells * 4, index % self.case.wells
            name = self.name(well, hours)
            os.link(first, self.folder / f"{name}.tif")
            outputs = [f"masks/{name}.png", f"overlays/{name}.jpg"]
            for source, output in zip(("masks/0.png", "overlays/0.jpg"), outputs, strict=True):
                os.link(self.out / source, self.out / output)
            confluence = 0.1 * np.exp(rates[well] * hours) * (1 + rng.normal(0, 0.02))
            row = {"image": name, "frame": 0, "time_h": hours, "well": label(well), "width_px": width}
            row |= {"height_px": height, "confluence": float(min(confluence, 0.95)), "uncertainty": 0.05, "flags": ""}
            entry = {"name": name, "state": "done", "sha256": f"{index}", "seconds": 1.0, "rows": [row]}
            stamp = stamp_of(first)
            assert stamp is not None
            lines.append(json.dumps({**entry, "outputs": outputs, "path": f"{name}.tif", "stamp": list(stamp)}))
        first.unlink()
        (self.out / "journal.jsonl").write_text("\n".join(lines) + "\n")

    def name(self, well: int, hours: int) -> str:
        """Name of a picture."""
        return f"Line_Phase_{label(well)}_1_{hours // 24:02d}d{hours % 24:02d}h00m"

    def write(self, name: str) -> Path:
        """Write a new picture, unlike the others."""
        self.number += 1
        source = self.sources[self.number % len(self.sources)]
        tifffile.imwrite(self.folder / name, np.roll(source, 7 * self.number, axis=1).astype(np.uint8))
        return self.folder / name

    def next_name(self, index: int) -> str:
        """Name of the next picture: well after well, time after time."""
        wells = min(self.case.wells, 4)
        return self.name(index % wells, 4 * (self.case.earlier + index // wells))

    def watch(self) -> list[float]:
        """Seconds of each picture."""
        seconds = []
        with running(self.folder, self.out, self.model) as process:
            wait(process, (self.out / "manifest.json").exists)
            if self.case.earlier:
                wait(process, (self.out / "report.html").exists)
            time.sleep(2)
            for index in range(self.case.pictures):
                name = self.next_name(index)
                before = changed(self.out / "report.html")
                self.write(f"{name}.tif")
                written = time.time()

                def there(name: str = name, before: float = before) -> bool:
                    return changed(self.out / "report.html") > before and self.holds(name)

                wait(process, there)
                seconds.append(changed(self.out / "report.html") - written)
                time.sleep(1)
        return seconds

    def holds(self, name: str) -> bool:
        """Whether the table has a picture, and its mask is there."""
        mask = self.out / "masks" / f"{name}.png"
        return mask.exists() and f"\n{name}," in (self.out / "measurements.csv").read_text(encoding="utf-8")

    def stages(self) -> dict[str, float]:
        """Seconds of each part, in this process."""
        parts: dict[str, float] = {}
        growth = _Growth(self.out, GrowthConfig(), "Benchmark")

        def lap(name: str) -> None:
            parts[name] = time.perf_counter() - started[0]
            started[0] = time.perf_counter()

        started = [0.0]
        for index in range(2):  # the first time is for warming up
            name = self.next_name(self.case.pictures + index)
            path = self.write(f"{name}.tif")
            started[0] = time.perf_counter()
            look(self.folder)
            lap("look")
            digest = sha256(path)
            lap("hash")
            frame = read_image(path)
            lap("read")
            found = self.segmenter.segment(frame)
            lap("segment")
            write_mask(self.folder.with_name("mask.png"), found.mask)
            lap("mask")
            write_overlay(self.folder.with_name("overlay.jpg"), frame.pixels, found.mask)
            lap("overlay")
            assert digest
            with open_live(self.folder, self.out, self.segmenter) as live:
                stamp = stamp_of(path)
                assert stamp is not None
                live.add(path, stamp)
                started[0] = time.perf_counter()
                live.tables({}, complete=False)
                lap("tables")
                growth.update(quick=True)
                lap("growth and report")
        return parts


def label(well: int) -> str:
    """Name of a well of a 96-well plate."""
    return f"{'ABCDEFGH'[well // 12 % 8]}{well % 12 + 1}"


@contextmanager
def running(folder: Path, out: Path, model: str) -> Iterator[subprocess.Popen[str]]:
    """Run a watch and end it as a user does; ends the program if the watch fails."""
    command = [sys.executable, "-m", "c6seg", "watch", str(folder), "--out", str(out), "--model", model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            _, err = process.communicate()
    if process.returncode:
        sys.exit(f"the watch ended with {process.returncode}:\n{err}")


def wait(process: subprocess.Popen[str], condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 300
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit("the watch ended early, or takes more than 5 minutes")
        time.sleep(0.01)


def changed(path: Path) -> float:
    """When a file changed last; 0 where there is none."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


if __name__ == "__main__":
    main()
