"""Dice against the scale of the images, with and without an estimate of it, on real images.

Annotated images are made smaller and larger, their pixel size is taken away, and they are segmented as they come
(``--scale native``), with the scale estimated (``auto``), and, with ``--best``, at the best of all magnifications (an
oracle).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from c6seg.config import SegmentConfig
from c6seg.data.datasets import open_dataset
from c6seg.data.images import Frame, read_image
from c6seg.data.splits import select_text
from c6seg.inference.scale import FACTORS
from c6seg.inference.segmenter import Segmenter
from c6seg.transforms.preprocess import resize
from common import SPLIT, Report, parser, shared

SIZES = (0.4, 0.5, 0.63, 0.8, 1.0, 1.26, 1.6, 2.0, 2.5)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--every", type=int, default=3, metavar="N", help="take every Nth annotated image; default 3")
    options.add_argument("--test", action="store_true", help="of t98g only the images that did not train the model")
    options.add_argument("--best", action="store_true", help="try all magnifications, too; takes twice as long")
    options.add_argument("--figure", type=Path, metavar="FILE", help="draw the table there")
    given = options.parse_args()
    report = Report("Dice against scale")
    native = Segmenter(given.model, SegmentConfig(scale="native"))
    finding = Segmenter(native.bundle, SegmentConfig(), engine=native.engine)
    curves = {}
    for name in ("t98g", "livecell"):
        dataset = open_dataset(shared(name))
        items = [item for item in dataset.items if item.annotation is not None]
        if given.test and name == "t98g":
            items = list(select_text(dataset, f"{SPLIT}:split00"))
        items = items[: 3 if given.quick else None : given.every if name == "t98g" else 1]
        sizes = SIZES[::4] if given.quick else SIZES
        rows = [_row(items, size, native, finding, given.best) for size in sizes]
        report.say(f"\n{name}, {len(items)} images\n")
        titles = ["image at", "as it comes", "scale estimated", "best magnification", "estimate x size"]
        cells = [
            [f"x{row[0]:g}", *(f"{value:.3f}" for value in row[1:4]), f"{row[4]:.2f} ({row[5]:.2f} to {row[6]:.2f})"]
            for row in rows
        ]
        for line in (titles, *cells):
            if not given.best:
                del line[3]
        report.table(titles, cells)
        curves[name] = rows
    if given.figure:
        _draw(given.figure, curves)
    report.save(given.out)


def _row(items: list[Any], size: float, native: Segmenter, finding: Segmenter, oracle: bool) -> tuple[float, ...]:
    scores, products = [], []
    for item in items:
        frame = read_image(item.image)
        from_hw = (int(frame.pixels.shape[0]), int(frame.pixels.shape[1]))
        to_hw = (round(from_hw[0] * size), round(from_hw[1] * size))
        pixels = resize(frame.pixels.astype(np.float32), to_hw).round().astype(frame.pixels.dtype)
        true = item.annotation.mask(from_hw)
        found = finding.segment(Frame(pixels, item.name))
        plain = native.segment(Frame(pixels, item.name))
        best = max(_dice(_at(native, pixels, factor), true) for factor in FACTORS) if oracle else float("nan")
        scores.append((_dice(plain.probability, true), _dice(found.probability, true), best))
        products.append(found.scale * size)
    return (size, *np.mean(scores, axis=0), float(np.median(products)), min(products), max(products))


def _at(segmenter: Segmenter, pixels: np.ndarray, factor: float) -> np.ndarray:
    size_um = segmenter.bundle.spec.scale.pixel_size_um
    known = Segmenter(segmenter.bundle, SegmentConfig(scale="pixel-size"), engine=segmenter.engine)
    return known.segment(Frame(pixels, "", pixel_size_um=(size_um or 1.0) * factor)).probability


def _dice(probability: np.ndarray, true: np.ndarray) -> float:
    """At the size of the truth, with the mask made before it is resized, as a user would."""
    mask = resize((probability >= 0.5).astype(np.float32), (true.shape[0], true.shape[1])) >= 0.5
    return float(2 * (mask & true).sum() / max(1, mask.sum() + true.sum()))


def _draw(path: Path, curves: dict[str, list[tuple[float, ...]]]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(9, 3.6), sharey=True, layout="constrained")
    for axis, (name, rows) in zip(axes, curves.items(), strict=True):
        sizes = [row[0] for row in rows]
        for column, label, look in ((3, "best magnification", "k:"), (2, "scale estimated", "C0o-"),
                                    (1, "as it comes", "C1s--")):  # fmt: skip
            if not np.isnan(rows[0][column]):
                axis.plot(sizes, [row[column] for row in rows], look, label=label)
        axis.set(xscale="log", xlabel="image resized by", title=name)
        axis.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("Dice")
    axes[0].legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
