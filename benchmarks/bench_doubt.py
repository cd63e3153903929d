"""What might tell the error of confluence of one image, and what a second model brings in an ensemble.

    python benchmarks/bench_doubt.py [--second NAME_OR_DIR] [--quick] [--model NAME_OR_DIR] [--out FILE.md]

The images of bench_uncertainty.py: none trained the embedded model. Of t98g the middle 512x512 px. Each measure is
compared with the absolute error of confluence by rank correlation, over all images and within each data set: a measure
that only tells the data sets apart has a high figure over all and none within.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench_uncertainty import annotated, spearman
from c6seg.config import SegmentConfig
from c6seg.data.images import Frame, read_image
from c6seg.inference.ensemble import mean_threshold
from c6seg.inference.familiar import MEASURES, describe, distance
from c6seg.inference.fine_structure import fine_structure
from c6seg.inference.segmenter import Segmentation, Segmenter
from common import Report, parser

SIDE_PX = 512
SMALLER = 0.85
Row = dict[str, float]
Bools = NDArray[np.bool_]


def main() -> None:
    """Segment, compare, print."""
    arguments = parser(__doc__)
    arguments.add_argument("--second", metavar="NAME_OR_DIR", help="a second model, for the ensemble")
    options = arguments.parse_args()
    report = Report("What might tell the error")
    segmenter = Segmenter(options.model, SegmentConfig(scale="pixel-size"))
    second = Segmenter(options.second, SegmentConfig(scale="pixel-size")) if options.second else None
    groups: dict[str, list[Row]] = {"t98g": [], "livecell": []}
    for item in annotated(4 if options.quick else None):
        group = next(name for name in groups if name in item.image.parts)
        groups[group].append(measured(segmenter, second, item))
    everything = [row for rows in groups.values() for row in rows]
    names = [name for name in everything[0] if name not in {"error", "Dice"} and "together" not in name]
    names = [name for name in names if not name.startswith("second: ")]
    titles = ("measure", f"all {len(everything)}", *(f"{name}, {len(rows)}" for name, rows in groups.items()))
    report.say("Rank correlation with the absolute error of confluence\n")
    parts = [everything, *groups.values()]
    report.table(titles, [(name, *(f"{correlation(rows, name):.2f}" for rows in parts)) for name in names])
    if second is not None:
        ensembles(report, groups)
    report.save(options.out)


def measured(segmenter: Segmenter, second: Segmenter | None, item: Any) -> Row:
    """Take all measures of an image, and its error."""
    whole = read_image(item.image)
    size_hw = int(whole.pixels.shape[0]), int(whole.pixels.shape[1])
    box = tuple(slice((s - SIDE_PX) // 2, (s + SIDE_PX) // 2) if min(size_hw) > 600 else slice(None) for s in size_hw)
    size_um = segmenter.bundle.spec.scale.pixel_size_um
    frame = Frame(np.ascontiguousarray(whole.pixels[box]), item.name, pixel_size_um=whole.pixel_size_um or size_um)
    true = item.annotation.mask(size_hw)[box]
    found = segmenter.segment(frame)
    turned = segmenter.segment(replace(frame, pixels=np.ascontiguousarray(frame.pixels[:, ::-1]))).mask[:, ::-1]
    smaller = segmenter.segment(replace(frame, pixel_size_um=SMALLER * (frame.pixel_size_um or 1))).mask
    row = {
        "error": abs(found.confluence - float(true.mean())),
        "Dice": dice(found.mask, true),
        "uncertainty": found.uncertainty,
        "confluence": found.confluence,
        "flip: change of confluence": abs(float(turned.mean()) - found.confluence),
        "flip: 1 - Dice of the masks": 1 - dice(turned, found.mask),
        f"at {SMALLER} of the scale: change of confluence": abs(float(smaller.mean()) - found.confluence),
        f"at {SMALLER} of the scale: 1 - Dice of the masks": 1 - dice(smaller, found.mask),
        "area with a probability of 0.3 to 0.7": float(((found.probability > 0.3) & (found.probability < 0.7)).mean()),
        "mean probability less confluence": abs(float(found.probability.mean()) - found.confluence),
        **unlike(segmenter, frame, found),
    }
    return row | (together(segmenter, second, frame, found, true) if second is not None else {})


def unlike(segmenter: Segmenter, frame: Frame, found: Segmentation) -> Row:
    """Distance from the training, and the measures that it is made of."""
    answer, familiar = segmenter.answer(), segmenter.bundle.spec.familiar
    answer.add(found.probability)
    structure = fine_structure(lambda top, end: frame.pixels[top:end], found.size_hw, found.scale)
    values = describe(structure, answer, found.scale)
    if values is None or familiar is None:
        return {}
    return {"distance from the training": distance(familiar, values) or 0.0} | dict(zip(MEASURES, values, strict=True))


def together(segmenter: Segmenter, second: Segmenter, frame: Frame, found: Segmentation, true: Bools) -> Row:
    """Compare the two models and their ensemble with the truth, and with each other."""
    other = second.segment(frame)
    mask = (found.probability + other.probability) / 2 >= mean_threshold(segmenter.threshold, [second])
    return {
        "second model: change of confluence": abs(other.confluence - found.confluence),
        "second model: 1 - Dice of the masks": 1 - dice(other.mask, found.mask),
        "second: Dice": dice(other.mask, true),
        "second: error": abs(other.confluence - float(true.mean())),
        "together: Dice": dice(mask, true),
        "together: error": abs(float(mask.mean()) - float(true.mean())),
    }


def ensembles(report: Report, groups: Mapping[str, Sequence[Row]]) -> None:
    """Print Dice and error of either model and of both together."""
    rows = []
    for name, found in groups.items():
        line = [name, f"{len(found)}"]
        for key in ("Dice", "second: Dice", "together: Dice"):
            line.append(f"{np.mean([row[key] for row in found]):.3f}")
        for key in ("error", "second: error", "together: error"):
            line.append(f"{100 * np.mean([row[key] for row in found]):.1f}")
        rows.append((*line, f"{sum(row['together: Dice'] > row['Dice'] for row in found)}"))
    words = ("first", "second", "together")
    head = ("images", "n", *(f"Dice, {word}" for word in words), *(f"error, points, {word}" for word in words))
    report.table((*head, "Dice better together"), rows)


def correlation(rows: Sequence[Row], name: str) -> float:
    """Rank correlation of a measure with the error."""
    return spearman(np.array([(row[name], row["error"]) for row in rows]))


def dice(found: Bools, true: Bools) -> float:
    """Dice of two masks."""
    return float(2 * (found & true).sum() / max(1, found.sum() + true.sum()))


if __name__ == "__main__":
    main()
