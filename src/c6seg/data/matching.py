"""Whether two annotated data sets can be shown to a network at one object size, and how: scale-matched pre-training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c6seg.config import format_size
from c6seg.data.datasets import Dataset, open_dataset
from c6seg.data.facts import Progress, draw
from c6seg.data.images import probe
from c6seg.data.items import Item
from c6seg.errors import DataError
from c6seg.transforms.scale import SPREAD, ObjectSize, fragment_range, largest_input, matching_fraction, measure_size

MOST_MEASURED = 500
"""Images that are measured; of larger data sets every second, third ... one."""

UNEVEN = 1.2
"""Factor in s* between all objects and image by image from which it is said."""

STRONG = 4.0
"""Magnification from which fragments are mostly blur."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one data set: its name, object size, typical image size (px), objects per image (median)."""

    name: str
    size: ObjectSize
    image_hw: tuple[float, float]
    objects_per_image: float


@dataclass(frozen=True, slots=True)
class ScaleMatch:
    """How to cut fragments of a source so that its objects look as large as those of a target.

    Parameters
    ----------
    source, target
        The data sets as measured.
    input_hw
        Input size of the pre-training, px.
    target_input_hw
        Size to which whole images of the target are scaled afterwards, px; None: fragments at the original scale.
    target_px
        Object size of the target as the network will see it, px.
    fraction
        s*: side of the fragment as a fraction of the image's side (paper, Fig. 5).
    interval
        Its 95 % interval, from those of both object sizes.
    spread
        Half width of the suggested range about s*, as a part of s*.
    """

    source: Measured
    target: Measured
    input_hw: tuple[int, int]
    target_input_hw: tuple[int, int] | None
    target_px: float
    fraction: float
    interval: tuple[float, float]
    spread: float

    @property
    def possible(self) -> bool:
        """Whether such a fragment fits into an image of the source."""
        return self.fraction <= 1

    @property
    def fragment(self) -> tuple[float, float] | None:
        """Value for the option ``augment.fragment``; None where the data sets cannot be matched at this input size."""
        return fragment_range(self.fraction, self.spread) if self.possible else None

    @property
    def magnification(self) -> float:
        """Factor by which objects of the source are magnified at s*."""
        return self.target_px / self.source.size.median_px

    def sentences(self) -> tuple[str, ...]:
        """Say s*, how it was measured, whether the two can be matched, and what to do."""
        low, high = self.interval
        return (
            _said(self.source, "source"),
            _said(self.target, "target"),
            self._seen(),
            f"s* = {self.fraction:.3g} (95 % interval {low:.3g} to {high:.3g}, bootstrap over images): a fragment with "
            f"this part of the image's side, brought to {format_size(self.input_hw)}, shows the objects of "
            f"{self.source.name} at that size, magnified {self.magnification:.3g} times.",
            *self._advice(),
        )

    def _seen(self) -> str:
        how = (
            "fragments at the original scale"
            if self.target_input_hw is None
            else f"whole images scaled to {format_size(self.target_input_hw)}"
        )
        return f"The network will see {self.target.name} as {how}: objects of {self.target_px:.3g} px."

    def _by_image(self) -> str | None:
        first, second = self.source.size, self.target.size
        factor = first.by_image_px / first.median_px * second.median_px / second.by_image_px
        if abs(math.log(factor)) < math.log(UNEVEN):
            return None
        return (
            f"Objects differ between images: taken image by image their medians are {first.by_image_px:.3g} and "
            f"{second.by_image_px:.3g} px, and s* would be {self.fraction * factor:.3g}."
        )

    def _advice(self) -> tuple[str, ...]:
        if self.fragment is None:
            smaller = format_size(largest_input(self.input_hw, self.fraction))
            low, high = self.magnification / (1 + self.spread), self.magnification * (1 + self.spread)
            return (
                "They cannot be matched so: s* is above 1, the fragment would be larger than the image. Pre-train at "
                f"{smaller} or less (input_size), or keep the input size and shrink the images within it, the rest "
                f"being filled by reflection: --set fit=crop --set augment.scale=[{low:.3g},{high:.3g}].",
            )
        low, high = self.fragment
        said = [f"They can be matched: --set augment.fragment=[{low:g},{high:g}]."]
        uneven = self._by_image()
        if uneven is not None:
            said.append(uneven)
        if self.interval[1] > 1:
            said.append("The interval of s* reaches above 1: a larger input size would leave nothing to cut.")
        shown = self.source.objects_per_image * self.fraction**2
        if shown < 1:
            said.append(f"But a fragment shows {shown:.2g} objects on average: many will be empty.")
        if self.magnification > STRONG:
            said.append(
                f"But objects are magnified {self.magnification:.3g} times and will be blurred; a smaller size of the "
                "target (fit=resize, input_size) needs less."
            )
        return tuple(said)


def matching_scale(
    source: str | Path | Dataset,
    target: str | Path | Dataset,
    *,
    input_hw: tuple[int, int] = (1120, 1472),
    target_input_hw: tuple[int, int] | None = None,
    spread: float = SPREAD,
    progress: Progress | None = None,
) -> ScaleMatch:
    """Measure the objects of two annotated data sets and find the fragment size that matches them (paper, E6).

    Parameters
    ----------
    source
        Data set of the pre-training: folder, export file, or opened.
    target
        Data set of the fine-tuning.
    input_hw
        Input size of the pre-training, (height, width) px; the default is the paper's 1472x1120.
    target_input_hw
        Size to which whole images of the target are scaled in fine-tuning; None: fragments at the original scale.
    spread
        Half width of the range about s*, as a part of s*.
    progress
        Called after each image.

    Raises
    ------
    DataError
        A data set has no annotated object.
    """
    first, second = _measure(source, progress, seed=0), _measure(target, progress, seed=1)
    shrunk = 1.0
    if target_input_hw is not None:
        shrunk = math.sqrt(math.prod(target_input_hw) / math.prod(second.image_hw))

    def at(source_px: float, target_px: float) -> float:
        return matching_fraction(source_px, target_px * shrunk, first.image_hw, input_hw)

    ratios = first.size.resampled_px / second.size.resampled_px
    low, high = (at(float(ratio), 1.0) for ratio in np.percentile(ratios, (2.5, 97.5)))
    return ScaleMatch(
        first,
        second,
        input_hw,
        target_input_hw,
        target_px=second.size.median_px * shrunk,
        fraction=at(first.size.median_px, second.size.median_px),
        interval=(low, high),
        spread=spread,
    )


def _measure(data: str | Path | Dataset, progress: Progress | None, *, seed: int) -> Measured:
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    items: list[Item] = [item for item in dataset.items if item.annotation is not None]
    items = items[:: max(1, len(items) // MOST_MEASURED)]
    diameters, sizes = [], []
    for done, item in enumerate(items, start=1):
        size_hw = probe(item.image).size_hw
        if item.annotation is not None:
            areas, _ = draw(item.annotation, size_hw)
            diameters.append(np.sqrt(areas * (4 / math.pi)))
            sizes.append(size_hw)
        if progress is not None:
            progress(done, len(items), item.name)
    size = measure_size(diameters, seed=seed)
    if size is None:
        raise DataError(
            f"'{dataset.root}' has no annotated object to measure. See what is in it with: "
            f"c6seg data describe {dataset.root}"
        )
    height, width = (float(value) for value in np.median(np.array(sizes), axis=0))
    return Measured(dataset.root.stem, size, (height, width), float(np.median([values.size for values in diameters])))


def _said(measured: Measured, role: str) -> str:
    size, (low, high) = measured.size, measured.size.interval_px
    height, width = measured.image_hw
    return (
        f"{measured.name} ({role}): median equivalent diameter of the annotated objects {size.median_px:.3g} px "
        f"(95 % interval {low:.3g} to {high:.3g}); {size.objects} objects in {size.images} images of "
        f"{width:g}x{height:g} px."
    )
