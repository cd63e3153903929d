"""What one look at an item tells: the image, its annotation, their sizes. Checks and the data sheet are made of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c6seg.data.annotations import Annotation, Shapes, shape_rle
from c6seg.data.images import MAX_PIXELS, ImageInfo, probe, read_image
from c6seg.data.items import Dataset, Item
from c6seg.data.texture import Texture, measure_texture
from c6seg.errors import AnnotationError, DataError, ImageReadError

Progress = Callable[[int, int, str], None]
"""Called after each image: (images done, images in all, name of the image)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out about one item.

    Parameters
    ----------
    item
        The item.
    info
        What the header of the image says; None if it cannot be read.
    image_error
        Why the image cannot be read, or None.
    picture
        Hash of the decoded pixels; None if they cannot be read.
    blank
        Whether all pixels have the same value.
    annotated_hw
        Size that the annotation was made for, px, where it says so.
    annotation_error
        Why the annotation cannot be drawn, or None.
    truth
        Hash of the drawn annotation; None where there is none.
    areas_px
        Area of every object, px; None where there is no annotation.
    covered
        Fraction of the image that is cell, 0 to 1, or None.
    texture
        Structure against annotation, or None where it was not looked at.
    """

    item: Item
    info: ImageInfo | None = None
    image_error: str | None = None
    picture: str | None = None
    blank: bool = False
    annotated_hw: tuple[int, int] | None = None
    annotation_error: str | None = None
    truth: str | None = None
    areas_px: NDArray[np.float64] | None = None
    covered: float | None = None
    texture: Texture | None = None

    @property
    def diameters_px(self) -> NDArray[np.float64]:
        """Equivalent diameter of every object: that of the circle of its area, px."""
        areas = np.empty(0) if self.areas_px is None else self.areas_px
        return np.asarray(np.sqrt(areas * (4 / math.pi)), dtype=np.float64)


def examine(item: Item, *, texture: bool = True, max_pixels: int = MAX_PIXELS) -> Facts:
    """Read an item once and say what is in it; nothing that is wrong with it is raised.

    Parameters
    ----------
    item
        The item.
    texture
        Whether to compare structure and annotation (about 0.1 s for a million pixels).
    max_pixels
        Larger images are not decoded.
    """
    try:
        info = probe(item.image, max_pixels=max_pixels)
        frame = read_image(item.image, frame=item.frame, max_pixels=max_pixels)
    except DataError as error:
        return Facts(item, image_error=str(error))
    pixels = frame.pixels
    picture = _digest(pixels)
    blank = bool((pixels == pixels.flat[0]).all())
    facts = Facts(item, info, picture=picture, blank=blank)
    if item.annotation is None:
        return facts
    size_hw = (int(pixels.shape[0]), int(pixels.shape[1]))
    annotated_hw = None
    try:
        annotated_hw = item.annotation.size_hw
        areas, mask = draw(item.annotation, size_hw)
    except (AnnotationError, ImageReadError) as error:
        return Facts(item, info, picture=picture, blank=blank, annotated_hw=annotated_hw, annotation_error=str(error))
    return Facts(
        item,
        info,
        picture=picture,
        blank=blank,
        annotated_hw=annotated_hw,
        truth=_digest(mask),
        areas_px=areas,
        covered=float(mask.mean()),
        texture=measure_texture(pixels, mask) if texture and not blank else None,
    )


def draw(annotation: Annotation, size_hw: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Area of every object (px) and the union of all, (Y, X) bool.

    Outlines may overlap, so each has its own area; crowds stand for no single cell and are in the union only.
    """
    if isinstance(annotation, Shapes):
        from pycocotools import mask as coco

        mask = annotation.mask(size_hw)
        rles = [shape_rle(shape, size_hw) for shape in annotation.shapes if not shape.crowd]
        areas = np.array([float(coco.area(rle)) for rle in rles if rle is not None])
        return areas[areas > 0], mask
    labels = annotation.labels(size_hw)
    counts = np.bincount(labels.reshape(-1))[1:].astype(np.float64)
    return counts[counts > 0], labels > 0


def duplicate_sets(
    dataset: Dataset, *, max_pixels: int = MAX_PIXELS, progress: Progress | None = None
) -> list[tuple[str, ...]]:
    """Names of items whose pictures are equal pixel for pixel, set by set; unreadable and blank ones left out."""
    same: dict[str, list[str]] = {}
    for name, digest in _pictures(dataset, max_pixels, progress):
        same.setdefault(digest, []).append(name)
    return [tuple(names) for names in same.values() if len(names) > 1]


def _pictures(dataset: Dataset, max_pixels: int, progress: Progress | None) -> Iterator[tuple[str, str]]:
    for done, item in enumerate(dataset.items, start=1):
        if progress is not None:
            progress(done, len(dataset.items), item.name)
        try:
            pixels = read_image(item.image, frame=item.frame, max_pixels=max_pixels).pixels
        except DataError:
            continue
        if (pixels != pixels.flat[0]).any():
            yield item.name, _digest(pixels)


def _digest(array: NDArray[np.generic]) -> str:
    digest = hashlib.blake2b(f"{array.shape} {array.dtype.str}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
