"""`uncertainty` against the true error of confluence, on annotated images and degraded copies; and what flips bring.

    python benchmarks/bench_uncertainty.py [--quick] [--figure FILE] [--out FILE.md]

No image trained the embedded model: the validation and test images of t98g, and the annotated ones of LIVECell. The
relation (mean error and bound for nine of ten images, both as multiples of the uncertainty) is fitted on every other
image with its copies and checked on the rest. Copies with the flags `out_of_focus` or `empty_field` are left out of it:
there the network misses cells without doubt. All are segmented at their own scale.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench_flags import blurred, lit, noisy
from c6seg.config import SegmentConfig
from c6seg.data.datasets import open_dataset
from c6seg.data.images import Frame, read_image
from c6seg.data.splits import select_text
from c6seg.inference.segmenter import Segmentation, Segmenter
from common import SPLIT, Report, parser, shared

COPIES = {
    "as they are": lambda pixels: pixels,
    "blur, sigma 2 px": lambda pixels: blurred(pixels, 2),
    "blur, sigma 4 px": lambda pixels: blurred(pixels, 4),
    "slope of light, 50%": lambda pixels: lit(pixels, 0.5, "slope"),
    "noise, half the contrast": lambda pixels: noisy(pixels, 0.5),
}
BINS = 5


@dataclass(frozen=True)
class Measured:
    """A copy of an image that was segmented; `error` is that of confluence, 0..1."""

    uncertainty: float
    error: float
    dice: float
    flags: tuple[str, ...]
    seconds: float


def main() -> None:
    """Segment, compare, print, draw."""
    arguments = parser(__doc__)
    arguments.add_argument("--figure", type=Path, metavar="FILE", help="draw the reliability figure there")
    options = arguments.parse_args()
    report = Report("Uncertainty and the error of confluence")
    segmenter = Segmenter(options.model, SegmentConfig(scale="pixel-size"))
    items = annotated(4 if options.quick else None)
    table = {kind: [measure(segmenter, item, kind) for item in items] for kind in COPIES}
    report.table(
        ("copies", "n", "uncertainty", "error, points", "Dice", "`out_of_focus`", "`uneven_light`", "`empty_field`"),
        [summary(kind, found) for kind, found in table.items()],
    )
    fit, check = (used([found[half::2] for found in table.values()]) for half in (0, 1))
    slope = float(fit[:, 1].sum() / fit[:, 0].sum())
    bound = float(np.quantile(fit[:, 1] / fit[:, 0], 0.9))
    report.say(
        f"Of {len(fit)} copies in focus and not empty: mean error = {slope:.2f} x uncertainty; nine of ten "
        f"errors are below {bound:.2f} x uncertainty. On the other {len(check)}:\n"
    )
    bins = binned(check, slope, bound)
    report.table(
        ("expected, points", "n", "error, points", "below the bound"),
        [(f"{100 * a:.1f}", n, f"{100 * b:.1f}", f"{part:.0%}") for a, b, n, part in bins],
    )
    within = float((check[:, 1] <= bound * check[:, 0]).mean())
    report.say(f"Of these {within:.0%} lie below the bound; rank correlation {spearman(check):.2f}.")
    if options.figure:
        draw(options.figure, check, bins, slope, bound)
    flips(report, segmenter, items)
    report.save(options.out)


def summary(kind: str, found: Sequence[Measured]) -> tuple[str, ...]:
    """Give one line of means and counts."""
    means = [float(np.mean([getattr(one, key) for one in found])) for key in ("uncertainty", "error", "dice")]
    counts = [sum(word in one.flags for one in found) for word in ("out_of_focus", "uneven_light", "empty_field")]
    return kind, f"{len(found)}", f"{means[0]:.3f}", f"{100 * means[1]:.1f}", f"{means[2]:.3f}", *map(str, counts)


def used(found: Sequence[Sequence[Measured]]) -> np.ndarray:
    """Uncertainty and error, (copies, 2), of those that are in focus and not empty."""
    kept = [one for some in found for one in some if not {"out_of_focus", "empty_field"} & set(one.flags)]
    return np.array([(one.uncertainty, one.error) for one in kept])


def annotated(few: int | None) -> list[Any]:
    """Give images with truth that did not train the embedded model, t98g and LIVECell in turn."""
    t98g, livecell = open_dataset(shared("t98g")), open_dataset(shared("livecell"))
    unseen = [*select_text(t98g, f"{SPLIT}:split00"), *select_text(t98g, f"{SPLIT}:split00", part="val")]
    items = [*unseen, *(item for item in livecell.items if item.annotation is not None)]
    return items if few is None else items[:: max(1, len(items) // few)]


def measure(segmenter: Segmenter, item: Any, kind: str) -> Measured:
    """Segment a copy of an image and compare with the truth."""
    frame = read_image(item.image)
    true = item.annotation.mask((int(frame.pixels.shape[0]), int(frame.pixels.shape[1])))
    copy = Frame(COPIES[kind](frame.pixels), item.name, pixel_size_um=frame.pixel_size_um)
    started = time.process_time()
    found = segmenter.segment(copy)
    seconds = time.process_time() - started
    return Measured(
        found.uncertainty, abs(found.confluence - float(true.mean())), dice(found, true), found.flags, seconds
    )


def dice(found: Segmentation, true: np.ndarray) -> float:
    """Dice of the mask."""
    return float(2 * (found.mask & true).sum() / max(1, found.mask.sum() + true.sum()))


def binned(check: np.ndarray, slope: float, bound: float) -> list[tuple[float, float, int, float]]:
    """Make groups by uncertainty: mean of the expected and of the true errors, number, part below the bound."""
    groups = [check[part] for part in np.array_split(np.argsort(check[:, 0]), BINS) if len(part)]
    return [
        (slope * one[:, 0].mean(), one[:, 1].mean(), len(one), float((one[:, 1] <= bound * one[:, 0]).mean()))
        for one in groups
    ]


def spearman(check: np.ndarray) -> float:
    """Rank correlation of uncertainty and error."""
    ranks = np.argsort(np.argsort(check, axis=0), axis=0)
    return float(np.corrcoef(ranks.T)[0, 1])


def flips(report: Report, plain: Segmenter, items: Sequence[Any]) -> None:
    """Dice and time with and without the mean over four flips, on every other image."""
    mean = Segmenter(plain.bundle, plain.config.model_copy(update={"flips": True}))
    rows = []
    for name in ("t98g", "livecell"):
        some = [item for item in items[0::2] if name in item.image.parts]
        if not some:
            continue
        line = [name, str(len(some))]
        for segmenter in (plain, mean):
            found = [measure(segmenter, item, "as they are") for item in some]
            score, error, seconds = (np.mean([getattr(m, key) for m in found]) for key in ("dice", "error", "seconds"))
            line += [f"{score:.4f}", f"{100 * error:.2f}", f"{seconds:.2f}"]
        rows.append(line)
    one = ("Dice", "error, points", "processor time, s")
    report.say("\nWithout and with `--flips`\n")
    report.table(("images", "n", *one, *(f"{word}, flips" for word in one)), rows)


def draw(
    path: Path, check: np.ndarray, bins: Sequence[tuple[float, float, int, float]], slope: float, bound: float
) -> None:
    """Draw expected against true errors, each copy and the means of the groups."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(5, 4.2), layout="constrained")
    expected = 100 * slope * check[:, 0]
    axis.plot(expected, 100 * check[:, 1], "o", color="0.7", markersize=4, label="one image or copy")
    axis.plot([100 * one[0] for one in bins], [100 * one[1] for one in bins], "C0o-", label="mean of a fifth of them")
    top = 1.05 * max(expected.max(), 1)
    axis.plot([0, top], [0, top], "k:", label="as expected")
    axis.plot([0, top], [0, top * bound / slope], "k--", linewidth=0.8, label="bound for nine of ten")
    axis.set(xlabel="error expected from the uncertainty, points", ylabel="true error of confluence, points")
    axis.legend()
    axis.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
