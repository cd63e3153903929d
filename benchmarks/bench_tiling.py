"""How far a network sees: what the halo of the tiles must be.

    python benchmarks/bench_tiling.py [--quick] [--out FILE.md]

The first table puts noise in place of 16x16 px of real images, and says how much the probability moves at a distance.
The second cuts windows out of real images and compares them with the whole, by distance from the cut. The third
compares masks from tiles with those of the whole image for several halos. Tiles never differ in pixel values, only in
what they do not see.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from c6seg.data.images import read_image
from c6seg.inference import tiling
from c6seg.inference.engine_openvino import OpenVinoEngine
from c6seg.models.bundle import open_bundle
from c6seg.transforms.preprocess import Preprocess
from common import Report, parser, shared

TOLERANCE = 0.02
DISTANCES = range(0, 449, 32)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__).parse_args()
    report = Report("How far the network sees")
    bundle = open_bundle(options.model)
    engine = OpenVinoEngine(bundle.onnx_path, precision="f32")
    preprocess = Preprocess(bundle.spec.preprocess)
    paths = sorted(shared("t98g", "images").iterdir())[:: 10 if options.quick else 5]
    images = [preprocess.network_input(read_image(path).pixels)[:, :992, :992] for path in paths]
    wholes = [tiling.predict(engine, image, memory_mb=100_000) for image in images]
    report.say(f"{bundle.spec.name} {bundle.spec.version}, f32, {len(images)} images of 992x992 px of t98g.\n")
    reach(report, engine, images, wholes)
    halos(report, engine, images, wholes, bundle.spec.threshold, quick=options.quick)
    report.save(options.out)


def reach(report: Report, engine: OpenVinoEngine, images: Sequence[np.ndarray], wholes: Sequence[np.ndarray]) -> None:
    """Largest change of the probability, by distance."""
    by_noise, by_cut = np.zeros(993), np.zeros(993)
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:992, :992]
    for image, whole in zip(images, wholes, strict=True):
        for top, left in rng.integers(400, 560, (3, 2)):
            changed = image.copy()
            changed[:, top : top + 16, left : left + 16] = rng.normal(0, 2, (3, 16, 16))
            moved = np.abs(tiling.predict(engine, changed, memory_mb=100_000) - whole)
            distance = np.maximum(np.abs(rows - top - 7.5), np.abs(columns - left - 7.5)) - 7.5
            np.maximum.at(by_noise, np.maximum(distance, 0).astype(int), moved)
        for start in (256, 384, 512):
            part = tiling.predict(engine, image[:, start:, start:], memory_mb=100_000)
            distance = np.minimum(rows[start:, start:], columns[start:, start:]) - start
            np.maximum.at(by_cut, distance, np.abs(part - whole[start:, start:]))
    farther = [np.maximum.accumulate(values[::-1])[::-1] for values in (by_noise, by_cut)]
    table = [(distance, f"{farther[0][distance]:.1e}", f"{farther[1][distance]:.1e}") for distance in DISTANCES]
    report.say("Largest change of the probability at this distance or farther:\n")
    report.table(("px", "from noise in 16x16 px", "from a cut"), table)


def halos(
    report: Report,
    engine: OpenVinoEngine,
    images: Sequence[np.ndarray],
    wholes: Sequence[np.ndarray],
    threshold: float,
    *,
    quick: bool,
) -> None:
    """Compare masks from tiles with those of the whole image."""
    rows = []
    for halo in (64, 208) if quick else (64, 128, 176, 208, 240):
        worst, other = 0.0, 0
        side = 2 * halo + 256
        for image, whole in zip(images, wholes, strict=True):
            plan = tiling.plan_tiles(image.shape[1:], limit_px=side * side, halo_px=halo)
            tiled = np.empty_like(whole)
            for top, part in tiling.predict_rows(engine, plan, lambda a, b, c, d, image=image: image[:, a:b, c:d]):
                tiled[top : top + len(part)] = part
            worst = max(worst, float(np.abs(tiled - whole).max()))
            differs = (tiled >= threshold) != (whole >= threshold)
            other += int((differs & (np.abs(whole - threshold) > TOLERANCE)).sum())
        rows.append((halo, f"{worst:.4f}", other, f"{plan.work_px / (992 * 992):.2f}"))
    report.say(f"Tiles with a step of 256 px beside the whole; undecided = within {TOLERANCE} of the threshold:\n")
    titles = ("halo, px", "largest difference of the probability", "decided pixels that change sides", "work / whole")
    report.table(titles, rows)


if __name__ == "__main__":
    main()
