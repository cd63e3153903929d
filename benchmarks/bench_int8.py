"""A network in int8 beside bf16 and f32: seconds on all cores and on one, and how near its masks come to those in f32.

    python benchmarks/bench_int8.py [--quick] [--model NAME_OR_DIR] [--out FILE.md]

The ranges are taken from the t98g images that trained the model; masks are compared on those that test it and on
LIVECell images, none of which was given for the ranges. The network alone is timed, each precision in turn.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from c6seg.config import SegmentConfig
from c6seg.data.datasets import open_dataset
from c6seg.data.images import read_image
from c6seg.data.splits import select_text
from c6seg.inference.engine_openvino import OpenVinoEngine
from c6seg.inference.quantise import quantise
from c6seg.inference.segmenter import Segmenter
from c6seg.models.bundle import Bundle, open_bundle
from common import SPLIT, Report, parser, shared

SIZES_HW = ((512, 704), (1024, 1408))
SETS = (("t98g", None), ("LIVECell", 1.24))
"""Data set and pixel size, um; None = what the file says."""


def main() -> None:
    """Measure and print."""
    options = parser(__doc__).parse_args()
    report = Report("int8")
    bundle = open_bundle(options.model)
    data = open_dataset(shared("t98g"))
    ranges, tested = (
        [item.image for item in select_text(data, f"{SPLIT}:split00", part=part)] for part in ("train", "test")
    )
    livecell = sorted(shared("livecell").rglob("*.tif"))[::4]
    with tempfile.TemporaryDirectory() as folder:
        quantised = quantise(bundle, ranges[: 3 if options.quick else None], Path(folder) / "int8")
        times(report, bundle, quantised, rounds=1 if options.quick else 7)
        images = {"t98g": tested, "LIVECell": livecell}
        agreement(report, bundle, quantised, {k: v[: 2 if options.quick else None] for k, v in images.items()})
    report.save(options.out)


def engines(bundle: Bundle, quantised: Bundle, *, threads: int | None = None) -> dict[str, OpenVinoEngine]:
    """Open the network in each precision."""
    network = quantised.int8_path
    if network is None:
        sys.exit("The bundle was written without a network in int8.")
    found = {name: OpenVinoEngine(bundle.onnx_path, precision=name, threads=threads) for name in ("f32", "bf16")}
    return {**found, "int8": OpenVinoEngine(network, threads=threads)}


def times(report: Report, bundle: Bundle, quantised: Bundle, *, rounds: int) -> None:
    """Time the network at two sizes."""
    rows = []
    for threads in (None, 1):
        ready = engines(bundle, quantised, threads=threads)
        for height, width in SIZES_HW:
            image = np.random.default_rng(0).standard_normal((1, 3, height, width), dtype=np.float32)
            taken: dict[str, list[float]] = {name: [] for name in ready}
            for turn in range(rounds + 1):
                for name in ready if turn % 2 else reversed(ready):
                    started = time.perf_counter()
                    ready[name].run(image)
                    taken[name].append(time.perf_counter() - started)
            ms = {name: 1000 * median(each[1:]) for name, each in taken.items()}
            cores = threads or len(os.sched_getaffinity(0))
            numbers = (f"{ms[name]:.0f}" for name in ready)
            rows.append((f"{width}x{height}", cores, *numbers, f"**{ms['bf16'] / ms['int8']:.2f}**"))
    report.table(("size", "cores", "f32, ms", "bf16, ms", "int8, ms", "int8 faster than bf16"), rows)


def agreement(report: Report, bundle: Bundle, quantised: Bundle, images: dict[str, list[Path]]) -> None:
    """Compare masks with those in f32."""
    ready = engines(bundle, quantised)
    rows = []
    for name, pixel_size_um in SETS:
        config = SegmentConfig(pixel_size_um=pixel_size_um)
        found: dict[str, list[float]] = {"bf16": [], "int8": []}
        for path in images[name]:
            frame = read_image(path)
            masks = {way: Segmenter(bundle, config, engine=engine).segment(frame).mask for way, engine in ready.items()}
            for way, dices in found.items():
                dices.append(dice(masks[way], masks["f32"]))
        for way, dices in found.items():
            rows.append((name, len(dices), way, f"{fmean(dices):.4f}", f"{min(dices):.4f}"))
    report.table(("images", "n", "precision", "mean Dice with the mask in f32 (aim 0.99)", "worst"), rows)


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice of two masks; 1 where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


if __name__ == "__main__":
    main()
