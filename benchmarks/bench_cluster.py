"""Scaling on a Ray cluster: overhead per unit of work, the driver's own work, and throughput of ``segment``.

The throughput is that of 1 and 2 workers of one core, and means something only on a machine with two free cores: the
load before each measurement is told. Starts its own cluster of several nodes on this machine, on the loopback address.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from common import ROOT, Report, parser

sys.path.insert(0, str(ROOT / "tests"))

from c6seg.cluster import Resources, connected, each
from c6seg.config import SegmentConfig
from c6seg.data.images import find_images, probe, read_image
from c6seg.data.synthetic import write_dataset
from c6seg.inference.batch import segment_images
from c6seg.inference.journal import open_journal
from c6seg.inference.segmenter import Segmenter
from c6seg.inference.tables import measurement_row
from cluster_tools import ray_nodes

IMAGES, IMAGES_QUICK, DISTINCT = 480, 96, 8
SIZE_HW = (1022, 1024)
DRIVER_IMAGES = 2000
PLAN_IMAGES, PLAN_NODES, PLAN_CORES, PLAN_SHARD = 1_000_000, 100, 16, 16


def main() -> None:
    """Tell overhead, throughput, and what a million images on a hundred nodes would take by these figures."""
    options_of = parser(__doc__ or "")
    options_of.add_argument("--part", choices=("all", "overhead", "driver", "segment"), default="all", help="which")
    options = options_of.parse_args()
    report = Report("Scaling on a Ray cluster")
    if options.part in {"all", "driver"}:
        driver(report, options.model, 200 if options.quick else DRIVER_IMAGES)
    counts = [10] if options.part == "segment" else [10, 100, 1000] if options.quick else [10, 100, 1000, 10_000]
    per_unit = 0.0 if options.part == "driver" else overhead(report, counts)
    if options.part in {"all", "segment"}:
        segmenting(report, options.model, IMAGES_QUICK if options.quick else IMAGES, per_unit)
    if options.out:
        options.out.write_text("\n".join(report.lines) + "\n", encoding="utf-8")


def nothing(number: int) -> int:
    """Do no work."""
    return number


def overhead(report: Report, counts: list[int]) -> float:
    """Tell the time of dummy units on two nodes of one core; returns the seconds per unit of the largest number."""
    rows, per_unit = [], 0.0
    with ray_nodes(2) as nodes, connected(nodes.address) as ray:
        list(each(ray, nothing, [(0,)] * 4, Resources()))  # workers start
        for count in counts:
            started = time.perf_counter()
            done = sorted(result for _, result in each(ray, nothing, [(n,) for n in range(count)], Resources()))
            seconds = time.perf_counter() - started
            if done != list(range(count)):
                sys.exit("units were lost or done twice")
            per_unit = seconds / count
            rows.append([f"{count}", f"{seconds:.2f}", f"{1000 * per_unit:.2f}"])
    report.table(("dummy units", "s in all", "ms per unit"), rows)
    return per_unit


def driver(report: Report, model: str, images: int) -> None:
    """Tell what the one driver does for each image besides handing it out, and what that means for many."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder, images)
        paths = find_images([folder / "images"])
        segmenter = Segmenter(model, SegmentConfig(scale="pixel-size"))
        found = segmenter.segment(read_image(paths[0]))
        entry = {"sha256": "0" * 64, "seconds": 1.0, "rows": [measurement_row(found)], "outputs": ["masks/a.png"]}
        steps = {}
        started = time.perf_counter()
        for path in paths:
            probe(path)
        steps["header of each image, where its scale must be found"] = time.perf_counter() - started
        with open_journal(folder, "0") as journal:
            started = time.perf_counter()
            for path in paths:
                journal.done(path.stem, entry)
            steps["line of the journal, synced"] = time.perf_counter() - started
        tracemalloc.start()
        kept = [json.loads(json.dumps(entry)) for _ in paths]
        memory = tracemalloc.get_traced_memory()[0] / len(kept)
        tracemalloc.stop()
    rows = [[step, f"{1000 * s / images:.2f}", f"{s / images * PLAN_IMAGES / 60:.0f}"] for step, s in steps.items()]
    report.table(("the driver, for each image", "ms", f"min for {PLAN_IMAGES}"), rows)
    report.say(f"Rows of {PLAN_IMAGES} images take {memory * PLAN_IMAGES / 1e9:.1f} GB ({images} were measured).\n")


def segmenting(report: Report, model: str, images: int, per_unit: float) -> None:
    """Tell the throughput of one and two workers, and what that means for many."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder, images)
        found = [throughput(folder, model, workers) for workers in (1, 2)]
    rows = [[f"{n}", f"{rate:.2f}", f"{total:.1f}", f"{load:.1f}"] for n, (rate, total, load) in enumerate(found, 1)]
    report.table(("workers of one core", "images/s", "s with their start", "load before"), rows)
    one, two = found[0][0], found[1][0]
    report.say(f"Efficiency of two workers: {two / (2 * one):.2f} ({images} simulated images of 1024x1022).\n")
    work = PLAN_IMAGES / (one * PLAN_NODES * PLAN_CORES)
    report.say(
        f"By that {PLAN_IMAGES} such images on {PLAN_NODES} nodes of {PLAN_CORES} cores take {work / 60:.1f} min, "
        f"and the one driver {PLAN_IMAGES / PLAN_SHARD * per_unit / 60:.1f} min to hand the shards out."
    )


def draw(folder: Path, images: int) -> None:
    """Simulate a few pictures and copy them: simulating takes longer than segmenting."""
    write_dataset(folder, count=DISTINCT, size_hw=SIZE_HW, seed=0)
    drawn = sorted((folder / "images").iterdir())
    for number in range(DISTINCT, images):
        shutil.copy(drawn[number % DISTINCT], folder / "images" / f"copy_{number:05d}.png")


def throughput(folder: Path, model: str, workers: int) -> tuple[float, float, float]:
    """Images per second in the steady state, seconds in all with the start of the workers, and the load before."""
    moments: list[tuple[float, float]] = []
    with ray_nodes(workers) as nodes:
        load, began = os.getloadavg()[0], time.perf_counter()
        segment_images(
            folder / "images",
            folder / f"out{workers}",
            model=model,
            cluster=(nodes.address, Resources()),
            progress=lambda done, total, name: moments.append((time.perf_counter(), done)),
        )
        total = time.perf_counter() - began
    known = [moment for moment in moments if moment[1] > 0]
    first = known[len(known) // 5]  # by then the workers have started and compiled the network
    return (known[-1][1] - first[1]) / (known[-1][0] - first[0]), total, load


if __name__ == "__main__":
    main()
