"""One scale for the images of a run that were taken alike, so that a growth curve has no steps of magnification."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from c6seg.data.images import probe, read_image
from c6seg.data.regions import LARGE_PX
from c6seg.errors import DataError
from c6seg.inference.quality import shows_nothing
from c6seg.inference.scale import FoundScale
from c6seg.inference.segmenter import Segmenter

SAMPLES = 5
"""Images of one size whose scales are found; the median one serves all."""


def share_scales(segmenter: Segmenter, paths: Sequence[Path]) -> None:
    """Find the scale of images without a pixel size, once for all of one size; ``segmenter.scales`` keeps it.

    Sizes whose scale it knows stay as they are.

    Parameters
    ----------
    segmenter
        The model.
    paths
        All images of a run. Those that cannot be read are left to complain later.
    """
    for member in segmenter.members:
        share_scales(member, paths)
    groups: dict[tuple[int, int], list[Path]] = defaultdict(list)
    for path in paths:
        try:
            info = probe(path, max_pixels=segmenter.config.max_pixels)
        except DataError:
            continue
        if segmenter.must_find_scale(info.pixel_size_um) and info.size_hw not in segmenter.scales:
            groups[info.size_hw].append(path)
    for size_hw, group in groups.items():
        picks = np.unique(np.linspace(0, len(group) - 1, SAMPLES).round().astype(int))
        found = [one for pick in picks if (one := _found(segmenter, group[pick])) is not None]
        if found:
            segmenter.scales[size_hw] = sorted(found, key=lambda one: one.factor)[(len(found) - 1) // 2]


def recall_scales(segmenter: Segmenter, rows: Iterable[Mapping[str, Any]]) -> None:
    """Take the scales from rows of an earlier run: images that come later are taken alike.

    Parameters
    ----------
    segmenter
        The model.
    rows
        As in ``measurements.csv``; the first row of a size decides.
    """
    for row in rows:
        size_hw = int(row["height_px"]), int(row["width_px"])
        if row.get("scale_source") == "estimated" and size_hw not in segmenter.scales:
            factor, lower, upper = (float(row[key]) for key in ("scale", "scale_lower", "scale_upper"))
            segmenter.scales[size_hw] = FoundScale(factor, lower, upper)


def _found(segmenter: Segmenter, path: Path) -> FoundScale | None:
    """Scale of the middle frame of an image or series; None where it shows no cells, is large, or cannot be read."""
    try:
        info = probe(path, max_pixels=segmenter.config.max_pixels)
        if info.size_hw[0] * info.size_hw[1] >= LARGE_PX:
            return None
        pixels = read_image(path, frame=info.frames // 2, max_pixels=segmenter.config.max_pixels).pixels
    except DataError:
        return None
    return None if shows_nothing(pixels) else segmenter.find_scale(pixels)
