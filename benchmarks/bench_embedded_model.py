"""How good the embedded model is on real images that it was not trained on.

    python benchmarks/bench_embedded_model.py [--quick] [--split FILE:NAME] [--pictures DIR] [--out FILE.md]

Ten t98g images (the test images of ``embedded_split.json``; MIT licence), and the 13 annotated LIVECell images (CC
BY-NC 4.0, research only; Edlund et al., Nat Methods 2021), of which it has seen none. Images go the way of ``c6seg
segment``; the union of the cells is scored at native size. LIVECell files carry no pixel size: they are scored as they
are, and with the 1.24 um that others give for the Incucyte's 10x objective. Aim: mean Dice at least 0.87 on t98g.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from c6seg.config import SegmentConfig
from c6seg.data.datasets import Item, open_dataset
from c6seg.data.images import Frame, find_images, read_frames, read_image
from c6seg.data.splits import select_text
from c6seg.evaluation.protocol import Score, score_image
from c6seg.evaluation.statistics import summarise
from c6seg.inference.segmenter import Segmentation, Segmenter
from c6seg.transforms.preprocess import contrast_limits, raise_contrast, resize, to_grey
from common import SPLIT, Report, parser, shared

INCUCYTE_10X_UM = 1.24
PREDICTED, TRUE = (255, 140, 0), (0, 220, 255)


@dataclass(frozen=True)
class Result:
    """One image, segmented and scored."""

    frame: Frame
    found: Segmentation
    true: NDArray[np.bool_]
    score: Score
    group: str

    @property
    def confluence_error(self) -> float:
        """Predicted minus true confluence, in points (percent of the field)."""
        return 100 * float(self.found.mask.mean() - self.true.mean())


def main() -> None:
    """Score and print."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "--split", default=f"{SPLIT}:split00", metavar="FILE:NAME", help="whose test images are scored"
    )
    arguments.add_argument("--pictures", type=Path, metavar="DIR", help="write pictures with both outlines there")
    arguments.add_argument("--pixel-size", type=float, default=INCUCYTE_10X_UM, metavar="UM", help="of LIVECell images")
    options = arguments.parse_args()
    report = Report("The embedded model on real images")
    segmenter = Segmenter(options.model)
    spec = segmenter.bundle.spec
    report.say(
        f"Model {spec.name} {spec.version}, threshold {segmenter.threshold:.3f}, trained at "
        f"{spec.scale.pixel_size_um} um per px, {segmenter.engine.precision}.\n"
    )
    few = 2 if options.quick else None
    t98g = open_dataset(shared("t98g"))
    chosen = select_text(t98g, options.split)
    seen = set(spec.provenance.get("train", ())) | set(spec.provenance.get("val", ()))
    if overlap := sorted({item.name for item in chosen} & seen):
        report.say(f"**These images are no test: the model was trained or chosen on {', '.join(overlap)}.**\n")
    results = score(chosen[:few], segmenter)
    show(report, f"t98g, {len(results)} test images", results, each=True)
    montage(results, options.pictures, "t98g")

    livecell = open_dataset(shared("livecell"))
    annotated = [item for item in livecell.items if item.annotation is not None][:few]
    scaled = Segmenter(segmenter.bundle, SegmentConfig(pixel_size_um=options.pixel_size), engine=segmenter.engine)
    for title, one in (("as they are", segmenter), (f"with --pixel-size {options.pixel_size}", scaled)):
        results = score(annotated, one, line=True)
        show(
            report, f"LIVECell, {len(results)} annotated images, {title} (scale x{results[0].found.scale:.2f})", results
        )
        montage(results, options.pictures, f"livecell {title}".replace(" ", "_"))
    folders(report, segmenter, scaled, few)
    report.save(options.out)


def score(items: Sequence[Item], segmenter: Segmenter, *, line: bool = False) -> list[Result]:
    """Segment and score; ``line``: the group is the cell line in the name."""
    results = []
    for item in items:
        frame = read_image(item.image, frame=item.frame)
        found = segmenter.segment(frame)
        if item.annotation is None:
            raise ValueError(item.name)
        true = item.annotation.mask((frame.pixels.shape[0], frame.pixels.shape[1]))
        scored = score_image(item.name, found.probability, true, threshold=segmenter.threshold)
        group = Path(item.name).name.split("_")[0] if line else item.group or ""
        results.append(Result(frame, found, true, scored, group))
    return results


def show(report: Report, title: str, results: Sequence[Result], *, each: bool = False) -> None:
    """Print means with intervals, by group, and each image."""
    report.say(f"### {title}\n")
    groups = defaultdict(list)
    for result in results:
        groups[result.group].append(result)
    rows = []
    for name, members in [("all", list(results)), *sorted(groups.items())]:
        dice = summarise([result.score.dice for result in members])
        errors = [result.confluence_error for result in members]
        interval = f"{dice.low:.3f} to {dice.high:.3f}" if dice.n > 1 else ""
        rows.append(
            (
                name,
                len(members),
                f"{dice.mean:.4f}",
                interval,
                f"{dice.minimum:.3f}",
                f"{mean(abs(error) for error in errors):.1f}",
                f"{mean(errors):+.1f}",
            )
        )
    titles = ("images", "n", "mean Dice", "95 % (bootstrap)", "worst", "confluence error, points", "bias, points")
    report.table(titles, rows)
    if each or len(results) <= 15:
        lines = [
            (
                result.frame.name,
                result.group,
                f"{result.score.dice:.3f}",
                f"{result.true.mean():.3f}",
                f"{result.found.confluence:.3f}",
                " ".join(result.found.flags),
            )
            for result in sorted(results, key=lambda result: result.score.dice)
        ]
        report.table(("image", "group", "Dice", "true confluence", "found", "flags"), lines)


def folders(report: Report, segmenter: Segmenter, scaled: Segmenter, few: int | None) -> None:
    """Print the confluence of whole folders, annotated or not: jumps and absurd values show without truth."""
    report.say("### Confluence of whole folders\n")
    rows = []
    for place, one in (
        (("t98g_timelapse",), segmenter),
        (("livecell", "images"), scaled),
        (("phantast",), segmenter),
    ):
        values = defaultdict(list)
        for path in find_images([shared(*place)], recursive=True)[:few]:
            for frame in read_frames(path):
                line = frame.name.split("_")[0] if place[0] == "livecell" else ""
                values[line].append(one.segment(frame).confluence)
        for line, found in sorted(values.items()):
            rows.append(
                (
                    f"{place[0]} {line}".strip(),
                    len(found),
                    f"{min(found):.3f}",
                    f"{mean(found):.3f}",
                    f"{max(found):.3f}",
                )
            )
    report.table(("folder", "images", "smallest", "mean", "largest"), rows)


def montage(results: Sequence[Result], folder: Path | None, name: str, *, columns: int = 2) -> None:
    """Write PNG pages of six images, worst first: prediction orange, truth blue, both white."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    ordered = sorted(results, key=lambda result: result.score.dice)
    for page in range(0, len(ordered), 6):
        tiles = [drawn(result) for result in ordered[page : page + 6]]
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
        height = min(tile.shape[0] for tile in tiles)
        lines = [np.hstack([tile[:height] for tile in tiles[i : i + columns]]) for i in range(0, len(tiles), columns)]
        Image.fromarray(np.vstack(lines)).save(folder / f"{name}_{page // 6 + 1}.png")


def drawn(result: Result, *, width_px: int = 900) -> NDArray[np.uint8]:
    """One picture with both outlines and its Dice."""
    from PIL import ImageDraw

    grey = to_grey(result.frame.pixels)
    size_hw = (round(grey.shape[0] * width_px / grey.shape[1]), width_px)
    grey = resize(raise_contrast(grey, contrast_limits(grey, (0.5, 99.5))), size_hw)
    picture = np.repeat(np.clip(grey[..., None] * 255, 0, 255), 3, axis=2).astype(np.uint8)
    lines = [outline(resize(mask.astype(np.float32), size_hw) >= 0.5) for mask in (result.found.mask, result.true)]
    picture[lines[0]], picture[lines[1]] = PREDICTED, TRUE
    picture[lines[0] & lines[1]] = 255
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text((8, 8), f"{result.frame.name}  Dice {result.score.dice:.3f}", fill=(255, 255, 0))
    return np.asarray(image)


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels just outside a mask."""
    found: NDArray[np.bool_] = ndimage.binary_dilation(mask) & ~mask
    return found


if __name__ == "__main__":
    main()
