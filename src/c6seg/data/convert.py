"""Any supported layout to the plainest one: ``images/``, ``masks/`` with the same names, and ``dataset.csv``."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg.data.datasets import Dataset, Item, open_dataset
from c6seg.data.facts import Progress
from c6seg.data.images import IMAGE_SUFFIXES, MAX_PIXELS, Frame, probe, read_image
from c6seg.data.splits import PARTS, Split, write_splits
from c6seg.errors import DataError, UsageError
from c6seg.runtime import atomic_path, make_folder, save_picture, write_csv

COLUMNS = (
    "name", "image", "mask", "width_px", "height_px", "pixel_size_um", "cells", "median_equivalent_diameter_px",
    "covered_fraction", "group", "split", "source", "source_frame",
)  # fmt: skip
ORIGINAL = "original"
"""Name of the division that the source itself had, in the ``splits.json`` of the result."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of a data set.

    Parameters
    ----------
    folder
        The result.
    written
        Names of the images that are in it.
    failures
        Name of an image that is not in it, and why.
    unannotated
        Names of images without annotation, which were left out.
    """

    folder: Path
    written: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    unannotated: tuple[str, ...]


def convert_dataset(
    source: str | Path | Dataset,
    destination: str | Path,
    *,
    layout: str = "auto",
    force: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> Conversion:
    """Write a data set as image folder, mask folder and table; go on after an item that fails.

    Image files of one frame are copied byte for byte. A frame of a series becomes a TIFF with the same values and pixel
    size. Masks are 16-bit label PNGs (0 = background, 1..n = objects; 32-bit TIFF above 65535 objects); where
    objects overlap, the smaller one is on top. A division that the source has becomes ``splits.json``.

    Parameters
    ----------
    source
        Folder or file of the data set, or the data set itself.
    destination
        A folder that is new or empty.
    layout
        Key of :data:`c6seg.data.datasets.LAYOUTS`, or ``auto``.
    force
        Write into a folder that is not empty; files of the same names are replaced.
    max_pixels
        Larger images are not decoded and count as failures.
    progress
        Called after each image.

    Raises
    ------
    UsageError
        ``destination`` is not empty.
    DataError
        The data set cannot be opened at all.
    OutputError
        The result cannot be written.
    """
    dataset = source if isinstance(source, Dataset) else open_dataset(source, layout=layout)
    target = Path(destination)
    if not force and target.is_dir() and any(target.iterdir()):
        raise UsageError(f"'{target}' is not empty. Choose a new folder, or --force to write into it.")
    for folder in ("images", "masks"):
        make_folder(target / folder)
    rows: list[dict[str, Any]] = []
    failures: list[tuple[str, str]] = []
    unannotated: list[str] = []
    for done, item in enumerate(dataset.items, start=1):
        if item.annotation is None:
            unannotated.append(item.name)
        else:
            try:
                rows.append(_convert(item, target, dataset.root, max_pixels))
            except DataError as error:
                failures.append((item.name, str(error)))
        if progress is not None:
            progress(done, len(dataset.items), item.name)
    write_csv(target / "dataset.csv", COLUMNS, rows)
    written = tuple(str(row["name"]) for row in rows)
    _write_original(target, dataset.items, written)
    return Conversion(target, written, tuple(failures), tuple(unannotated))


def _convert(item: Item, target: Path, root: Path, max_pixels: int) -> dict[str, Any]:
    if item.annotation is None:
        raise UsageError(f"'{item.name}' has no annotation.")
    info = probe(item.image, max_pixels=max_pixels)
    # decoded in any case: a broken file must not pass into the result
    frame = read_image(item.image, frame=item.frame, max_pixels=max_pixels)
    labels = item.annotation.labels(info.size_hw)
    single = info.frames == 1 and item.image.suffix.lower() in IMAGE_SUFFIXES
    image = target / "images" / (item.name + (item.image.suffix.lower() if single else ".tif"))
    count = int(labels.max(initial=0))
    mask = target / "masks" / (item.name + (".png" if count <= 65535 else ".tif"))
    with atomic_path(image) as temporary:
        if single:
            shutil.copyfile(item.image, temporary)
        else:
            _write_frame(temporary, frame)
    with atomic_path(mask) as temporary:
        _write_labels(temporary, labels)
    areas = np.bincount(labels.reshape(-1))[1:]
    diameters = np.sqrt(areas[areas > 0] * (4 / np.pi))
    return {
        "name": item.name,
        "image": f"images/{image.name}",
        "mask": f"masks/{mask.name}",
        "width_px": info.size_hw[1],
        "height_px": info.size_hw[0],
        "pixel_size_um": info.pixel_size_um,
        "cells": count,
        "median_equivalent_diameter_px": round(float(np.median(diameters)), 2) if diameters.size else None,
        "covered_fraction": round(float((labels > 0).mean()), 5),
        "group": item.group,
        "split": item.split,
        "source": item.image.relative_to(root).as_posix() if item.image.is_relative_to(root) else item.image.name,
        "source_frame": item.frame,
    }


def _write_frame(path: Path, frame: Frame) -> None:
    import tifffile

    colour = frame.pixels.ndim == 3
    size: dict[str, Any] = {}
    if frame.pixel_size_um is not None:
        per_cm = 1e4 / frame.pixel_size_um
        size = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        path, frame.pixels, compression="zlib", photometric="rgb" if colour else "minisblack", metadata=None, **size
    )


def _write_labels(path: Path, labels: NDArray[np.int32]) -> None:
    if path.suffix == ".png":
        from PIL import Image

        save_picture(Image.fromarray(labels.astype(np.uint16)), path, format="PNG", compress_level=6)
        return
    import tifffile

    tifffile.imwrite(path, labels.astype(np.uint32), compression="zlib", metadata=None)


def _write_original(target: Path, items: Sequence[Item], written: Sequence[str]) -> None:
    kept = set(written)
    parts = {part: tuple(item.name for item in items if item.name in kept and item.split == part) for part in PARTS}
    if any(parts.values()):
        split = Split(ORIGINAL, parts["train"], parts["val"], parts["test"])
        write_splits(target / "splits.json", [split], names=written, drawn="by the authors of the data set")
