"""Fields without cells: simulated ones with noise, debris and uneven light, and background cut out of real images.

    python benchmarks/bench_empty_field.py [--quick] [--out FILE.md]

Aim: every simulated empty field has a confluence below 0.5 % and the flag ``empty_field``. Floating cells count as no
cells; they are simulated apart. The real background is what the annotators of t98g left out: it is not free of debris,
floating cells and cut processes, so there the figure is a hint and no aim.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.data.datasets import open_dataset
from c6seg.data.images import Frame, read_image
from c6seg.data.splits import select_text
from c6seg.data.synthetic import SceneStyle, simulate_image
from c6seg.inference.segmenter import EMPTY_CONFLUENCE, Segmentation, Segmenter
from common import SPLIT, Report, parser, shared

PLAIN = {"floaters": 0.0, "debris": 0.0, "dust_rings": 0.0, "scratches": 0, "wall": 0.0}
CASES: dict[str, dict[str, float]] = {
    "noise only": {**PLAIN, "gradient": 0.0, "vignetting": 0.0, "stripes": 0.0, "background_texture": 0.0},
    "uneven light": {**PLAIN, "gradient": 0.3, "vignetting": 0.3},
    "debris and dust": {**PLAIN, "debris": 150.0, "dust_rings": 20.0},
    "as drawn, without floating cells": {"floaters": 0.0},
    "as drawn": {},
    "many floating cells": {"floaters": 60.0},
}


def main() -> None:
    """Segment and print."""
    arguments = parser(__doc__)
    arguments.add_argument("--seeds", type=int, default=20, help="pictures of each kind")
    options = arguments.parse_args()
    report = Report("Fields without cells")
    segmenter = Segmenter(options.model)
    size_hw, seeds = ((160, 192), 3) if options.quick else ((512, 640), options.seeds)
    rows = [
        row(f"simulated: {name}", [segmenter.segment(frame) for frame in simulated(changes, size_hw, seeds)])
        for name, changes in CASES.items()
    ]
    found = [segmenter.segment(frame) for frame in backgrounds(3 if options.quick else None)]
    rows.append(row("real: background of t98g test images", found))
    report.table(("fields", "n", "median confluence", "largest", "below 0.5 %", "flag `empty_field`"), rows)
    report.save(options.out)


def row(name: str, found: Sequence[Segmentation]) -> tuple[str, ...]:
    """One line of the table."""
    values = [one.confluence for one in found]
    below = sum(value < EMPTY_CONFLUENCE for value in values)
    flags = sum("empty_field" in one.flags for one in found)
    return name, f"{len(values)}", f"{median(values):.2%}", f"{max(values):.2%}", f"{below}", f"{flags}"


def simulated(changes: dict[str, float], size_hw: tuple[int, int], seeds: int) -> Iterator[Frame]:
    """Give pictures of all styles, without cells."""
    for seed in range(seeds):
        style = replace(SceneStyle.random(np.random.default_rng(seed)), region_fraction=0.0, scatter=0.0, **changes)
        picture = simulate_image(size_hw=size_hw, seed=seed, style=style)
        if picture.labels.any():
            raise RuntimeError(f"The simulated field of seed {seed} is not empty.")
        yield Frame(picture.pixels, f"empty{seed}", pixel_size_um=picture.pixel_size_um)


def backgrounds(
    few: int | None, *, smallest_px: int = 200, largest_px: int = 400, margin_px: int = 15
) -> Iterator[Frame]:
    """Cut the largest square without annotated cells out of each test image."""
    items = select_text(open_dataset(shared("t98g")), f"{SPLIT}:split00")
    for item in items[:few]:
        frame = read_image(item.image)
        if item.annotation is None:
            continue
        cells = item.annotation.mask((frame.pixels.shape[0], frame.pixels.shape[1]))
        centre, radius = largest_square(ndimage.binary_dilation(cells, iterations=margin_px))
        radius = min(radius, largest_px // 2)
        if 2 * radius >= smallest_px:
            box = tuple(slice(middle - radius, middle + radius) for middle in centre)
            yield replace(frame, pixels=frame.pixels[box])


def largest_square(taken: NDArray[np.bool_]) -> tuple[tuple[int, int], int]:
    """Centre and half side of the largest square, within the image, that holds nothing."""
    framed = np.pad(taken, 1, constant_values=True)
    distance = ndimage.distance_transform_cdt(~framed, metric="chessboard")[1:-1, 1:-1]
    centre = np.unravel_index(int(np.argmax(distance)), distance.shape)
    return (int(centre[0]), int(centre[1])), int(distance.max()) - 1


if __name__ == "__main__":
    main()
