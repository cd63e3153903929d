"""Counts of cells: touching cells parted by ``c6seg segment --objects``, beside the connected parts of the mask.

    python benchmarks/bench_objects.py [--model NAME_OR_DIR] [--quick] [--out FILE.md]

The ten t98g test images of ``embedded_split.json`` (MIT licence), the 13 annotated LIVECell images (CC BY-NC 4.0,
research only; Edlund et al., Nat Methods 2021; 1.24 um per px), and simulated dense cultures. Each from the true union
of the cells and from the mask of the model. Weights were fitted on the 20 training images of the split and on dense
scenes composed of their cells; nothing reported here was used. Count error: objects found over true ones, less 1. F1:
objects whose intersection over union with a true one is above 0.5.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.config import SegmentConfig
from c6seg.data.datasets import Item, open_dataset
from c6seg.data.images import Frame, read_image
from c6seg.data.splits import select_text
from c6seg.data.synthetic import simulate_image
from c6seg.data.synthetic_style import SceneStyle
from c6seg.inference.clusters import cell_width_px
from c6seg.inference.objects import find_objects
from c6seg.inference.segmenter import Segmentation, Segmenter
from common import SPLIT, Report, parser, shared

INCUCYTE_10X_UM = 1.24
FAMILIES = ("spread", "confluent", "islands", "round", "plump", "spindle", "large")
DENSE_SEED = 7000

Labels = NDArray[np.int32]


class Tally(NamedTuple):
    """One image: true objects, found objects, and how many match."""

    true: int
    found: int
    matched: int

    @property
    def error(self) -> float:
        """Relative error of the count."""
        return self.found / self.true - 1

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall of objects."""
        return 2 * self.matched / (self.true + self.found)


@dataclass(frozen=True)
class Case:
    """An image with its objects, segmented."""

    frame: Frame
    labels: Labels
    found: Segmentation
    group: str


def main() -> None:
    """Measure and print."""
    options = parser(__doc__).parse_args()
    few = 2 if options.quick else None
    report = Report("Objects: counts of touching cells")
    segmenter = Segmenter(options.model)
    spec = segmenter.bundle.spec
    report.say(
        f"Model {spec.name} {spec.version}, threshold {segmenter.threshold:.3f}, {segmenter.engine.precision}.\n"
    )
    t98g = select_text(open_dataset(shared("t98g")), f"{SPLIT}:split00")[:few]
    part(report, "t98g, test images", photographs(t98g, segmenter), segmenter)
    at_10x = SegmentConfig(pixel_size_um=INCUCYTE_10X_UM)
    scaled = Segmenter(segmenter.bundle, at_10x, engine=segmenter.engine)
    livecell = [item for item in open_dataset(shared("livecell")).items if item.annotation is not None][:few]
    part(report, "LIVECell, annotated images", photographs(livecell, scaled), segmenter)
    part(report, "simulated dense cultures", dense(few or 2 * len(FAMILIES), segmenter), segmenter)
    report.save(options.out)


def photographs(items: Sequence[Item], segmenter: Segmenter) -> Iterator[Case]:
    """Segment annotated photographs."""
    for item in items:
        frame = read_image(item.image, frame=item.frame)
        if item.annotation is None:
            raise ValueError(item.name)
        labels = item.annotation.labels((frame.pixels.shape[0], frame.pixels.shape[1]))
        group = item.group or frame.name.split("_")[0]
        yield Case(frame, labels, segmenter.segment(frame), group)


def dense(count: int, segmenter: Segmenter) -> Iterator[Case]:
    """Simulate cultures in which nearly every cell touches others, and segment them."""
    for number in range(count):
        family = FAMILIES[number % len(FAMILIES)]
        drawn = SceneStyle.random(np.random.default_rng(DENSE_SEED + number), family=family)
        style = replace(drawn, packing=max(drawn.packing, 0.9), region_fraction=max(drawn.region_fraction, 0.7))
        picture = simulate_image(size_hw=(512, 640), seed=DENSE_SEED + number, style=style)
        frame = Frame(picture.pixels, f"{family} {number}", pixel_size_um=picture.pixel_size_um)
        yield Case(frame, picture.labels, segmenter.segment(frame), family)


def part(report: Report, title: str, cases: Iterator[Case], segmenter: Segmenter) -> None:
    """Count the objects of one collection in every way, and print the means and the groups."""
    tallies: dict[tuple[str, str], list[Tally]] = {}
    groups: dict[str, list[Tally]] = {}
    seconds = []
    for case in cases:
        union = case.labels > 0
        found = case.found
        cell_px = cell_width_px(segmenter.bundle.spec.scale, pixel_size_um=found.pixel_size_um, factor=found.scale)
        for source, mask in (("true union", union), ("mask of the model", found.mask)):
            started = time.perf_counter()
            parted = find_objects(case.frame.pixels, found.probability, mask, cell_px=cell_px)
            seconds.append((time.perf_counter() - started) / mask.size * 1e6)
            whole = np.asarray(ndimage.label(mask, np.ones((3, 3)))[0], np.int32)
            for way, labels in (("connected parts", whole), ("--objects", parted)):
                tallies.setdefault((source, way), []).append(tally(labels, case.labels))
        groups.setdefault(case.group, []).append(tallies["mask of the model", "--objects"][-1])
    number = len(tallies["true union", "--objects"])
    cells = sum(one.true for one in tallies["true union", "--objects"])
    report.say(f"### {title}: {number} images, {cells} cells\n")
    titles = ("from", "way", "mean count error", "mean absolute", "all cells together", "F1 at IoU 0.5")
    report.table(titles, [[source, way, *figures(found)] for (source, way), found in tallies.items()])
    lines = [[group, len(found), *figures(found)] for group, found in sorted(groups.items())]
    report.table(("--objects, mask of the model", "images", *titles[2:]), lines)
    report.say(f"Parting takes {fmean(seconds):.2f} s per million pixels.\n")


def tally(found: Labels, true: Labels) -> Tally:
    """Match objects: above an intersection over union of 0.5 each has one partner at most."""
    width = int(found.max()) + 1
    table = np.bincount((true.astype(np.int64) * width + found).reshape(-1), minlength=(int(true.max()) + 1) * width)
    table = table.reshape(-1, width)
    both = table[1:, 1:]
    either = table.sum(axis=1)[1:, None] + table.sum(axis=0)[None, 1:] - both
    return Tally(table.shape[0] - 1, width - 1, int((2 * both > either).sum()))


def figures(found: Sequence[Tally]) -> list[str]:
    """Means over images, and the error of the sum."""
    errors = [100 * one.error for one in found]
    summed = 100 * (sum(one.found for one in found) / sum(one.true for one in found) - 1)
    return [
        f"{fmean(errors):+.1f} %",
        f"{fmean(map(abs, errors)):.1f} %",
        f"{summed:+.1f} %",
        f"{fmean(one.f1 for one in found):.3f}",
    ]


if __name__ == "__main__":
    main()
