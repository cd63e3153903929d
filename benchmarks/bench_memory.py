"""Memory of `c6seg segment` on large images beside its forecast, and the first result of a cold start.

    python benchmarks/bench_memory.py [--quick] [--side PX] [--out FILE.md]

Every figure is of a process of its own; memory is the peak that the system kept of it (VmHWM). 2592x1952 is an enlarged
t98g image; the large TIFF is a mosaic of t98g images, 8 bit, uncompressed (--side 30000, or 6000 with --quick). For the
cold start no compiled network is kept; files lie in the machine's file cache.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import tifffile

from c6seg.data.images import read_image
from c6seg.transforms.preprocess import resize
from common import Report, parser, shared

CHILD = """
import sys, time
from c6seg.interfaces.cli import main
try:
    main()
finally:
    with open("/proc/self/status") as file:
        print(next(line for line in file if line.startswith("VmHWM")).strip(), file=sys.stderr)
    print(f"processor: {time.process_time()} s", file=sys.stderr)
"""
PATCH_PX = 1000


@dataclass(frozen=True)
class Run:
    """A finished `c6seg segment`."""

    seconds: float
    processor_s: float
    peak_mb: float
    stderr: str


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--side", type=int, default=30_000, metavar="PX", help="side of the large image")
    options = made.parse_args()
    report = Report("Memory and start")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        start(report, options.model, place, 2 if options.quick else 7)
        camera(report, options.model, place)
        large(report, options.model, place, 6000 if options.quick else options.side)
    report.save(options.out)


def segment(image: Path, model: str, *more: str, cache: str = "off") -> Run:
    """Run the command in a process of its own; ends the program if it fails."""
    import os

    verb = ["segment", str(image), "--out", str(image.with_suffix("")), "--force", "--model", model, *more]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *verb],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "C6SEG_CACHE": cache},
    )
    seconds = time.perf_counter() - started
    peak = re.search(r"VmHWM:\s*(\d+) kB", done.stderr)
    processor = re.search(r"processor: ([\d.]+) s", done.stderr)
    if done.returncode or peak is None or processor is None:
        sys.exit(f"`c6seg {' '.join(verb)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return Run(seconds, float(processor[1]), int(peak[1]) * 1024 / 1e6, done.stderr)


def start(report: Report, model: str, place: Path, rounds: int) -> None:
    """Time the first result on a small image."""
    image, rows = place / "one.tif", []
    tifffile.imwrite(image, patches()[0][:520, :704])
    for state, cache in (("no", "off"), ("yes", str(place / "kept"))):
        runs = [segment(image, model, cache=cache) for _ in range(rounds + 1)][1:]
        seconds = [run.seconds for run in runs]
        middle, work = median(seconds), median(run.processor_s for run in runs)
        numbers = (middle, min(seconds), middle / 3, work)
        rows.append((state, *(f"{number:.2f}" for number in numbers), f"{runs[0].peak_mb:.0f}"))
    report.say("704x520, first result (aim: 3 s):\n")
    report.table(("network kept", "s (median)", "least", "s / aim", "processor, s", "peak MB"), rows)


def camera(report: Report, model: str, place: Path) -> None:
    """Measure an image of a large camera, whose network's picture is cut into tiles."""
    pixels = resize(read_image(photographs()[0]).pixels.astype(np.float32), (1952, 2592))
    image, rows = place / "camera.tif", []
    tifffile.imwrite(image, np.clip(np.round(pixels), 0, 65535).astype(np.uint16))
    for precision in ("f32", "bf16"):
        run = segment(image, model, "--precision", precision)
        rows.append((precision, f"{run.peak_mb:.0f}", f"{run.peak_mb / 1200:.2f}", f"{run.seconds:.1f}"))
    report.say("2592x1952, 16 bit (aim: 1200 MB):\n")
    report.table(("precision", "peak MB", "MB / aim", "s, start-up included"), rows)


def large(report: Report, model: str, place: Path, side: int) -> None:
    """Measure an image that is read by rows, beside what was forecast."""
    image = place / "large.tif"
    rows_per_strip = min(500, side)
    tifffile.imwrite(
        image,
        strips(side, rows_per_strip),
        shape=(side, side),
        dtype=np.uint8,
        photometric="minisblack",
        rowsperstrip=rows_per_strip,
    )
    run = segment(image, model)
    told = re.search(r"about ([\d.]+) (s|min|h) and ([\d.]+) GB", run.stderr)
    if told is None:
        sys.exit(f"There is no forecast:\n{run.stderr}")
    seconds = float(told[1]) * {"s": 1, "min": 60, "h": 3600}[told[2]]
    memory = 1000 * float(told[3])
    report.say(f"{side}x{side}, 8 bit, uncompressed TIFF (aim: 3000 MB):\n")
    titles = ("", "measured", "forecast", "measured / forecast", "measured / aim")
    first = (
        "peak MB",
        f"{run.peak_mb:.0f}",
        f"{memory:.0f}",
        f"{run.peak_mb / memory:.2f}",
        f"{run.peak_mb / 3000:.2f}",
    )
    second = ("s", f"{run.seconds:.0f}", f"{seconds:.0f}", f"{run.seconds / seconds:.2f}", "")
    report.table(titles, [first, second])
    mask = image.with_suffix("") / "masks" / "large.tif"
    report.say(f"{side * side / run.seconds / 1e6:.2f} Mpx per s; the mask has {mask.stat().st_size / 1e6:.0f} MB.\n")


def photographs() -> list[Path]:
    """Real images."""
    return sorted(shared("t98g", "images").iterdir())


def patches() -> list[np.ndarray]:
    """Four real images, 8 bit, 1000x1000."""
    found = []
    for path in photographs()[:4]:
        pixels = read_image(path).pixels[:PATCH_PX, :PATCH_PX].astype(np.float32)
        low, high = np.percentile(pixels, (0.1, 99.9))
        found.append(np.clip((pixels - low) / (high - low) * 255, 0, 255).astype(np.uint8))
    return found


def strips(side: int, height: int) -> Iterator[np.ndarray]:
    """Rows of a mosaic of real images, each turned so that neighbours meet at equal pixels."""
    real = patches()
    for top in range(0, side, height):
        row = top // PATCH_PX
        band = [real[column % 4][:: (-1) ** row, :: (-1) ** column] for column in range(-(-side // PATCH_PX))]
        start = top % PATCH_PX
        yield np.concatenate(band, axis=1)[start : start + min(height, side - top), :side]


if __name__ == "__main__":
    main()
