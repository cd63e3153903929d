"""The data sheet of a data set (the paper's Table 6), with measured object sizes, covered area and pixel size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from c6seg.config import format_size
from c6seg.data.datasets import Dataset, open_dataset
from c6seg.data.facts import Facts, Progress, examine
from c6seg.data.images import MAX_PIXELS

# What the authors of known data sets say of them; other layouts do not tell.
MODALITIES = {
    "livecell": "phase contrast, live cells",
    "glioma-c6": "phase contrast, live cells",
    "evican": "phase contrast and bright field, live and fixed cells",
    "cellpose": "fluorescence and phase contrast, live and stained",
    "omnipose": "fluorescence and phase contrast, live and stained",
    "dsb2018": "fluorescence, stained nuclei",
}


@dataclass(frozen=True, slots=True)
class Range:
    """Lower quartile, median and upper quartile, and the mean."""

    low: float
    median: float
    high: float
    mean: float


@dataclass(frozen=True, slots=True)
class DataSheet:
    """A data set in numbers.

    Parameters
    ----------
    path, layout
        Where it lies and how it is laid out.
    modality
        As its authors say, or "".
    images, annotated, unreadable
        Number of images; of those with an annotation; of those that could not be measured.
    sizes, channels, dtypes
        WIDTHxHEIGHT, ``grey`` or ``RGB``, and type of sample, each with the number of images.
    pixel_sizes_um
        Edge of a pixel (um, four digits; "unknown") with the number of images.
    objects
        Number of annotated objects.
    objects_per_image, diameter_px, diameter_um, covered_fraction
        Quartiles over images (objects, covered) or over objects (equivalent diameter); None where nothing is known.
    splits, groups
        Images in each.
    notes
        What opening the data set found.
    """

    path: str
    layout: str
    modality: str
    images: int
    annotated: int
    unreadable: int
    sizes: dict[str, int]
    channels: dict[str, int]
    dtypes: dict[str, int]
    pixel_sizes_um: dict[str, int]
    objects: int
    objects_per_image: Range | None
    diameter_px: Range | None
    diameter_um: Range | None
    covered_fraction: Range | None
    splits: dict[str, int]
    groups: dict[str, int]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """Return everything in words, for a table of two columns."""
        objects = f"{self.objects}" + (
            f", {_range(self.objects_per_image)} per image" if self.objects_per_image else ""
        )
        rows = [
            ("data set", self.path),
            ("layout", self.layout),
            ("modality", self.modality or "not stated in the files"),
            ("images", f"{self.images}, {self.annotated} annotated, {self.unreadable} unreadable"),
            ("size, px", _counted(self.sizes)),
            ("channels", _counted(self.channels)),
            ("samples", _counted(self.dtypes)),
            ("pixel size, um", _counted(self.pixel_sizes_um)),
            ("objects", objects),
            ("equivalent diameter, px", _range(self.diameter_px)),
            ("equivalent diameter, um", _range(self.diameter_um)),
            ("covered fraction", _range(self.covered_fraction)),
            ("splits", _counted(self.splits)),
            ("groups", _counted(self.groups)),
        ]
        return [*rows, *(("note", note) for note in self.notes)]


def describe_dataset(
    data: str | Path | Dataset,
    *,
    layout: str = "auto",
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> DataSheet:
    """Measure a data set.

    Parameters
    ----------
    data
        Its folder or file, or the data set itself.
    layout
        Key of :data:`c6seg.data.datasets.LAYOUTS`, or ``auto``.
    max_pixels
        Larger images are not decoded, and counted as unreadable.
    progress
        Called after each image.

    Raises
    ------
    LayoutError, ImageNotFoundError, AnnotationError
        The data set cannot be opened at all.
    """
    dataset = data if isinstance(data, Dataset) else open_dataset(data, layout=layout)
    facts = []
    for done, item in enumerate(dataset.items, start=1):
        facts.append(examine(item, texture=False, max_pixels=max_pixels))
        if progress is not None:
            progress(done, len(dataset.items), item.name)
    return sheet_of(dataset, facts)


def sheet_of(dataset: Dataset, facts: Sequence[Facts]) -> DataSheet:
    """Put the facts of all items together."""
    infos = [fact.info for fact in facts if fact.info is not None]
    drawn = [fact for fact in facts if fact.areas_px is not None]
    diameters = [fact.diameters_px for fact in drawn]
    scaled = [
        fact.diameters_px * fact.info.pixel_size_um
        for fact in drawn
        if fact.info and fact.info.pixel_size_um is not None
    ]
    return DataSheet(
        path=str(dataset.root),
        layout=dataset.layout,
        modality=MODALITIES.get(dataset.layout, ""),
        images=len(facts),
        annotated=sum(fact.item.annotation is not None for fact in facts),
        unreadable=sum(fact.image_error is not None or fact.annotation_error is not None for fact in facts),
        sizes=_count([format_size(info.size_hw) for info in infos]),
        channels=_count(["RGB" if info.channels >= 3 else "grey" for info in infos]),
        dtypes=_count([info.dtype for info in infos]),
        pixel_sizes_um=_count([f"{i.pixel_size_um:.4g}" if i.pixel_size_um is not None else "unknown" for i in infos]),
        objects=sum(values.size for values in diameters),
        objects_per_image=_quartiles([float(values.size) for values in diameters]),
        diameter_px=_quartiles(np.concatenate(diameters).tolist() if diameters else []),
        diameter_um=_quartiles(np.concatenate(scaled).tolist() if scaled else []),
        covered_fraction=_quartiles([fact.covered for fact in drawn if fact.covered is not None]),
        splits=_count([fact.item.split for fact in facts if fact.item.split]),
        groups=_count([fact.item.group for fact in facts if fact.item.group]),
        notes=dataset.notes,
    )


def _count(values: Sequence[str | None]) -> dict[str, int]:
    return {str(value): times for value, times in Counter(values).most_common()}


def _quartiles(values: Sequence[float]) -> Range | None:
    if not values:
        return None
    low, median, high = (float(value) for value in np.percentile(values, (25, 50, 75)))
    return Range(low, median, high, float(np.mean(values)))


def _counted(counts: dict[str, int]) -> str:
    shown = [f"{value} ({times})" for value, times in list(counts.items())[:6]]
    return ", ".join(shown) + (f", and {len(counts) - 6} more" if len(counts) > 6 else "") if shown else "-"


def _range(values: Range | None) -> str:
    return f"median {values.median:.3g} (quartiles {values.low:.3g} to {values.high:.3g})" if values else "unknown"
