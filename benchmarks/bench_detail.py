"""How much of the detail of cells a model keeps: Dice along the true outline, and recall of thin parts.

    python benchmarks/bench_detail.py [--model NAME_OR_DIR] [--quick] [--out FILE.md]

The ten t98g test images of ``embedded_split.json`` (MIT licence) and the 13 annotated LIVECell images (CC BY-NC 4.0,
research only; Edlund et al., Nat Methods 2021), on the way of ``c6seg segment``, scored at native size. Two more lines
tell what the way back from the network costs: the same probability with the threshold at 0.3, and the truth itself
taken to the scale of the model and back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from c6seg.config import SegmentConfig
from c6seg.data.datasets import Item, open_dataset
from c6seg.data.images import read_image
from c6seg.data.splits import select_text
from c6seg.evaluation.protocol import BAND_PX, THIN_RADIUS_PX, Score, score_image
from c6seg.evaluation.statistics import summarise
from c6seg.inference.segmenter import Segmentation, Segmenter
from c6seg.transforms.preprocess import resize
from common import SPLIT, Report, parser, shared

INCUCYTE_10X_UM = 1.24
LOW_THRESHOLD = 0.3


@dataclass(frozen=True)
class Case:
    """An image, segmented, with its truth."""

    found: Segmentation
    true: NDArray[np.bool_]

    def score(self, *, threshold: float) -> Score:
        """Score the probability at native size."""
        return score_image(self.found.name, self.found.probability, self.true, threshold=threshold)

    def there_and_back(self, *, threshold: float) -> Score:
        """Score a perfect network: the truth at the scale of the model, brought back as a probability is."""
        size_hw = (round(self.true.shape[0] * self.found.scale), round(self.true.shape[1] * self.found.scale))
        perfect = (resize(self.true.astype(np.float32), size_hw) >= 0.5).astype(np.float32)
        back = np.clip(resize(perfect, self.found.size_hw), 0, 1)
        return score_image(self.found.name, back, self.true, threshold=threshold)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__).parse_args()
    report = Report("Detail: outlines and thin parts")
    few = 2 if options.quick else None
    segmenter = Segmenter(options.model)
    spec = segmenter.bundle.spec
    report.say(
        f"Model {spec.name} {spec.version}, threshold {segmenter.threshold:.3f}, {segmenter.engine.precision}.\n"
    )
    t98g = select_text(open_dataset(shared("t98g")), f"{SPLIT}:split00")[:few]
    part(report, "t98g, test images", cases(t98g, segmenter), segmenter.threshold)
    livecell = [item for item in open_dataset(shared("livecell")).items if item.annotation is not None][:few]
    options_10x = SegmentConfig(pixel_size_um=INCUCYTE_10X_UM)
    scaled = Segmenter(segmenter.bundle, options_10x, engine=segmenter.engine)
    part(report, f"LIVECell, at {INCUCYTE_10X_UM} um per px", cases(livecell, scaled), segmenter.threshold)
    report.save(options.out)


def cases(items: Sequence[Item], segmenter: Segmenter) -> list[Case]:
    """Segment annotated images."""
    made = []
    for item in items:
        frame = read_image(item.image, frame=item.frame)
        if item.annotation is None:
            raise ValueError(item.name)
        true = item.annotation.mask((frame.pixels.shape[0], frame.pixels.shape[1]))
        made.append(Case(segmenter.segment(frame), true))
    return made


def part(report: Report, title: str, made: Sequence[Case], threshold: float) -> None:
    """Print the means of one data set."""
    sizes = sorted({f"{size:.4g}" for case in made if (size := case.found.pixel_size_um) is not None})
    size_um = float(sizes[0]) if len(sizes) == 1 else None
    disc = f"{THIN_RADIUS_PX:g} px" + ("" if size_um is None else f" = {THIN_RADIUS_PX * size_um:.1f} um")
    report.say(f"### {title}: {len(made)} images, scale x{made[0].found.scale:.2f}\n")
    report.say(
        f"Band of {BAND_PX:g} px on either side of the outline; thin parts: a disc of radius {disc} does not fit.\n"
    )
    lines: dict[str, Callable[[Case], Score]] = {
        "the model": lambda case: case.score(threshold=threshold),
        f"the model, threshold {LOW_THRESHOLD}": lambda case: case.score(threshold=LOW_THRESHOLD),
        "a perfect network, there and back": lambda case: case.there_and_back(threshold=threshold),
    }
    rows = []
    for name, score in lines.items():
        scores = [score(case) for case in made]
        table = [one.row() for one in scores]
        share = fmean((one.thin.tp + one.thin.fn) / (one.counts.tp + one.counts.fn) for one in scores)
        rows.append(
            [
                name,
                f"{fmean(one.dice for one in scores):.4f}",
                interval([row["band_dice"] for row in table]),
                interval([row["thin_recall"] for row in table]),
                f"{100 * share:.1f} %",
            ]
        )
    report.table(("", "Dice", "Dice within the band", "recall of thin parts", "thin part of the cell area"), rows)


def interval(values: Sequence[float]) -> str:
    """Mean with its 95 % bootstrap interval over images."""
    found = summarise(list(values))
    return f"{found.mean:.3f}" + (f" ({found.low:.3f} to {found.high:.3f})" if found.n > 2 else "")


if __name__ == "__main__":
    main()
