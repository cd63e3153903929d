"""What ``--fast`` costs in Dice and gains in time and memory, with one processor thread and with all.

Dice on annotated images of t98g (1024x1022) and LIVECell (704x520, nearly the size that ``--fast`` allows); frames per
second and peak memory on real images brought to 2592x1952, reading and writing included.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from c6seg.config import PreprocessConfig, SegmentConfig
from c6seg.data.datasets import open_dataset
from c6seg.data.images import read_image
from c6seg.inference.segmenter import Segmenter
from c6seg.transforms.preprocess import Preprocess, resize
from common import Report, measure, parser, shared


def main() -> None:
    """Measure and print."""
    given = parser(__doc__).parse_args()
    report = Report("The price of --fast")
    _dice(report, given.model, every=8 if given.quick else 2)
    _speed(report, images=3 if given.quick else 12)
    report.save(given.out)


def _dice(report: Report, model: str, *, every: int) -> None:
    whole = Segmenter(model, SegmentConfig(scale="pixel-size"))
    fast = Segmenter(whole.bundle, SegmentConfig(scale="pixel-size", fast=True), engine=whole.engine)
    rows = []
    for name in ("t98g", "livecell"):
        items = [item for item in open_dataset(shared(name)).items if item.annotation is not None][::every]
        found = []
        for item in items:
            frame = read_image(item.image)
            true = item.annotation.mask((frame.pixels.shape[0], frame.pixels.shape[1]))
            masks = [segmenter.segment(frame).mask for segmenter in (whole, fast)]
            found.append([2 * (mask & true).sum() / (mask.sum() + true.sum()) for mask in masks])
        full, quick = np.mean(found, axis=0)
        rows.append([name, str(len(items)), f"{full:.3f}", f"{quick:.3f}", f"{quick - full:+.3f}"])
    report.table(("data", "images", "Dice", "Dice with --fast", "difference"), rows)


def _speed(report: Report, *, images: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        _draw(Path(folder) / "images", images)
        _draw(Path(folder) / "one", 1)
        for used in ([cores[0]], cores):
            times = {}
            for options in ((), ("--fast",)):
                seconds, peak = [], 0.0
                for part in ("one", "images"):  # their difference is free of the start
                    command = [
                        "taskset", "-c", ",".join(map(str, used)), sys.executable, "-m", "c6seg", "segment",
                        str(Path(folder) / part), "--out", str(Path(folder) / f"out{len(rows)}{len(options)}{part}"),
                        "--pixel-size", "0.8708", "--force", *options,
                    ]  # fmt: skip
                    measured = measure(command)
                    seconds.append(measured.seconds)
                    peak = max(peak, measured.peak_mb)
                times[options] = ((images - 1) / max(1e-9, seconds[1] - seconds[0]), peak)
            (full, full_mb), (quick, quick_mb) = times[()], times["--fast",]
            rows.append([f"{len(used)} of the cores", f"{full:.2f}", f"{quick:.2f}", f"{quick / full:.1f}",
                         f"{full_mb:.0f} MB", f"{quick_mb:.0f} MB"])  # fmt: skip
    report.table(("2592x1952", "frames per s", "with --fast", "times faster", "peak memory", "peak with --fast"), rows)


def _draw(folder: Path, number: int) -> None:
    """Real pictures, brought to 2592x1952."""
    folder.mkdir()
    stretch = Preprocess(PreprocessConfig()).stretch
    for index, path in enumerate(sorted(shared("t98g", "images").glob("*.tif"))[:number]):
        picture = resize(stretch(read_image(path).pixels), (1952, 2592))
        Image.fromarray((255 * picture).round().astype(np.uint8)).save(folder / f"{index:02d}.png")


if __name__ == "__main__":
    main()
