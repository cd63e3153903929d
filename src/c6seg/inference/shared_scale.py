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
from c6seg.runtime import logger

SAMPLES = 5
"""Images of one size whose scales are found; the median one serves all."""

DISAGREE = 1.6
"""Images of one size whose scales differ by more than this factor were not taken alike. Estimates of one image at
neighbouring magnifications differ by up to 1.26."""


def share_scales(segmenter: Segmenter, paths: Sequence[Path]) -> None:
    """Find the scale of images without a pixel size, once for all of one size; ``segmenter.scales`` keeps it.

    Sizes whose scale it knows stay as they are. Where the images that are looked at disagree, there is none for all:
    each image finds its own, and that is told.

    Parameters
    ----------
    segmenter
        The model.
    paths
        All images of a run. Those that cannot be read are left to complain later.
    """
    for another in segmenter.further:
        share_scales(another, paths)
    if not segmenter.must_find_scale(None):  # then no image has to be opened for it
        return
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
        if not found:
            continue
        found.sort(key=lambda one: one.factor)
        factors = [one.factor for one in found]
        inner = factors[1:-1] if len(factors) > 3 else factors  # one odd image is no other magnification
        if inner[-1] > DISAGREE * inner[0]:
            logger.warning(
                "images of %dx%d px seem to be taken at different magnifications (the best scales are %s): each finds "
                "its own; give --pixel-size, or segment them apart",
                size_hw[1],
                size_hw[0],
                ", ".join(f"{factor:g}" for factor in dict.fromkeys(factors)),
            )
            continue
        middle = factors[(len(factors) - 1) // 2]
        segmenter.scales[size_hw] = FoundScale(middle, min(one.lower for one in found), max(one.upper for one in found))


def recall_scales(segmenter: Segmenter, rows: Iterable[Mapping[str, Any]], *, fewest: int = 1) -> None:
    """Take the scales from rows of an earlier run: images that come later are taken alike.

    Parameters
    ----------
    segmenter
        The model.
    rows
        As in ``measurements.csv``.
    fewest
        Images of one size that must have been segmented at one scale before it counts; where they differ, none does.
    """
    images: dict[tuple[int, int], set[str]] = defaultdict(set)
    scales: dict[tuple[int, int], set[FoundScale]] = defaultdict(set)
    for row in rows:
        if row.get("scale_source") == "estimated":
            size_hw = int(row["height_px"]), int(row["width_px"])
            images[size_hw].add(str(row["image"]))
            scales[size_hw].add(FoundScale(*(float(row[key]) for key in ("scale", "scale_lower", "scale_upper"))))
    for size_hw, found in scales.items():
        if size_hw not in segmenter.scales and len(found) == 1 and len(images[size_hw]) >= fewest:
            segmenter.scales[size_hw] = next(iter(found))


def out_of_scale(segmenter: Segmenter, entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of images that an earlier run segmented at another estimate than images of their size have now.

    Parameters
    ----------
    segmenter
        The model, with the scales that images share.
    entries
        Name to the entry of the journal.
    """
    return [name for name, entry in entries.items() if any(_differs(segmenter, row) for row in entry["rows"])]


def _differs(segmenter: Segmenter, row: Mapping[str, Any]) -> bool:
    shared = segmenter.scales.get((int(row["height_px"]), int(row["width_px"])))
    return row.get("scale_source") == "estimated" and shared is not None and float(row["scale"]) != shared.factor


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
