"""One scale for images that were taken alike, so that a growth curve has no steps of magnification.

Every estimate is kept in the journal under the content of its image. So the scale that images share depends on the
images and not on what ran before, and a batch that goes on where it was stopped looks at none of them twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg import runtime
from c6seg.data.images import probe, read_image
from c6seg.data.regions import MORE_BY_ROWS, open_rows
from c6seg.errors import DataError
from c6seg.inference.journal import Journal, Scale
from c6seg.inference.quality import enough_blocks, shows_nothing
from c6seg.inference.scale import WINDOW_PX, FoundScale, middle
from c6seg.inference.segmenter import Segmenter

SAMPLES = 5
"""Images of one size whose scales are found; the median one serves all."""

DISAGREE = 1.6
"""Images of one size whose scales differ by more than this factor were not taken alike. Estimates of images that were
taken alike differ by up to that: two of the magnifications that are tried."""

SizeHW = tuple[int, int]


def share_scales(segmenter: Segmenter, paths: Sequence[Path], journal: Journal) -> None:
    """Find the scale of images without a pixel size, once for all of one size; ``segmenter.scales`` keeps it.

    Where the images that are looked at disagree, there is none for all: each image finds its own, and that is told.

    Parameters
    ----------
    segmenter
        The model; what it shared before is forgotten.
    paths
        All images of a run. Those that cannot be read are left to complain later.
    journal
        Knows what was found before, and keeps what is found now.
    """
    for another in segmenter.further:
        share_scales(another, paths, journal)
    segmenter.scales.clear()
    if not segmenter.must_find_scale(None):  # then no image has to be opened for it
        return
    groups: dict[SizeHW, list[Path]] = defaultdict(list)
    for path in paths:
        size_hw = _blind_size(segmenter, path)
        if size_hw is not None:
            groups[size_hw].append(path)
    for size_hw, group in groups.items():
        picks = np.unique(np.linspace(0, len(group) - 1, SAMPLES).round().astype(int))
        samples = [group[pick] for pick in picks]
        found = [one for path in samples if (one := _estimate(segmenter, path, size_hw, journal)) is not None]
        shared = _agreed(found, size_hw)
        if shared is not None:
            segmenter.scales[size_hw] = shared


class ArrivingScales:
    """The scales of images that come one by one: each finds its own until there are :data:`SAMPLES` of its size.

    Then the median of these serves all, those before it as well, which are made again.

    Parameters
    ----------
    segmenter
        The model.
    journal
        Knows what was found before, and keeps what is found now.
    """

    def __init__(self, segmenter: Segmenter, journal: Journal) -> None:
        self._journal = journal
        self._models = (segmenter, *segmenter.further)
        self._settled: list[dict[SizeHW, FoundScale | None]] = [{} for _ in self._models]
        for model, settled in zip(self._models, self._settled, strict=True):
            model.scales.clear()
            for size_hw in {one.size_hw for one in journal.scales if one.model == model.model_sha256}:
                self._settle(model, settled, size_hw)

    def arrive(self, path: Path) -> None:
        """Find the scale of an image before it is segmented; ``segmenter.scales`` has it then."""
        for model, settled in zip(self._models, self._settled, strict=True):
            size_hw = _blind_size(model, path)
            if size_hw is None or settled.get(size_hw) is not None:
                continue
            own = _estimate(model, path, size_hw, self._journal)
            if size_hw not in settled:
                self._settle(model, settled, size_hw)
            scale = settled.get(size_hw) or own
            if scale is None:
                model.scales.pop(size_hw, None)
            else:
                model.scales[size_hw] = scale

    def out_of_scale(self, entry: Mapping[str, Any]) -> bool:
        """Whether an image was segmented at another scale than images of its size share by now."""
        return any(_differs(self._settled[0], row) for row in entry["rows"])

    def _settle(self, model: Segmenter, settled: dict[SizeHW, FoundScale | None], size_hw: SizeHW) -> None:
        known = (one for one in self._journal.scales if (one.model, one.size_hw) == (model.model_sha256, size_hw))
        found = [FoundScale(*one.found) for one in known if one.found is not None][:SAMPLES]
        if len(found) == SAMPLES:
            settled[size_hw] = shared = _agreed(found, size_hw)  # None: each its own
            if shared is not None:
                model.scales[size_hw] = shared


def out_of_scale(segmenter: Segmenter, entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of images that an earlier run segmented at another estimate than images of their size have now.

    Parameters
    ----------
    segmenter
        The model, with the scales that images share.
    entries
        Name to the entry of the journal.
    """
    return [name for name, entry in entries.items() if any(_differs(segmenter.scales, row) for row in entry["rows"])]


def _differs(scales: Mapping[SizeHW, FoundScale | None], row: Mapping[str, Any]) -> bool:
    shared = scales.get((int(row["height_px"]), int(row["width_px"])))
    return row.get("scale_source") == "estimated" and shared is not None and float(row["scale"]) != shared.factor


def _agreed(found: Iterable[FoundScale], size_hw: SizeHW) -> FoundScale | None:
    """Give the median of some scales, between the bounds of all; None where there is none or they disagree."""
    by_factor = sorted(found, key=lambda one: one.factor)
    if not by_factor:
        return None
    factors = [one.factor for one in by_factor]
    inner = factors[1:-1] if len(factors) > 3 else factors  # one odd image is no other magnification
    if inner[-1] > DISAGREE * inner[0]:
        runtime.logger.warning(
            "images of %dx%d px seem to be taken at different magnifications (the best scales are %s): each finds "
            "its own; give --pixel-size, or segment them apart",
            size_hw[1],
            size_hw[0],
            ", ".join(f"{factor:g}" for factor in dict.fromkeys(factors)),
        )
        return None
    middle_one = factors[(len(factors) - 1) // 2]
    return FoundScale(middle_one, min(one.lower for one in by_factor), max(one.upper for one in by_factor))


def _blind_size(segmenter: Segmenter, path: Path) -> SizeHW | None:
    """Size of an image whose scale has to be found; None where it has not to be, or the image cannot be read."""
    if not segmenter.must_find_scale(None):
        return None
    try:
        info = probe(path, max_pixels=MORE_BY_ROWS * segmenter.config.max_pixels)
    except DataError:
        return None
    return info.size_hw if segmenter.must_find_scale(info.pixel_size_um) and enough_blocks(info.size_hw) else None


def _estimate(segmenter: Segmenter, path: Path, size_hw: SizeHW, journal: Journal) -> FoundScale | None:
    """Scale of an image or series by itself; None where it shows no cells or cannot be read."""
    try:
        digest = runtime.sha256(path)
    except OSError:
        return None
    known = journal.scale_of(segmenter.model_sha256, digest)
    if known is not None:
        return None if known.found is None else FoundScale(*known.found)
    try:
        pixels = _middle_of(segmenter, path, size_hw)
    except DataError:
        return None
    found = None if pixels is None else segmenter.find_scale_in(pixels)
    triple = None if found is None else (found.factor, found.lower, found.upper)
    journal.found_scale(Scale(segmenter.model_sha256, digest, size_hw, triple))
    return found


def _middle_of(segmenter: Segmenter, path: Path, size_hw: SizeHW) -> NDArray[np.generic] | None:
    """Read the middle of an image, or of the middle frame of a series; None where it shows nothing.

    Of an image that is read by rows nothing else is decoded.
    """
    rows, columns = middle(size_hw, WINDOW_PX)
    reader = open_rows(path, max_pixels=segmenter.config.max_pixels)
    if reader is not None:
        with reader:
            pixels = reader.rows(rows.start, min(rows.stop, size_hw[0]))[:, columns]
        return None if shows_nothing(pixels) else pixels
    frames = probe(path, max_pixels=segmenter.config.max_pixels).frames
    pixels = read_image(path, frame=frames // 2, max_pixels=segmenter.config.max_pixels).pixels
    return None if shows_nothing(pixels) else pixels[rows, columns]
