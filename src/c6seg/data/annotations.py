"""Where the cells of an image are, from shapes or from mask files, as bool masks and label maps.

Shapes (COCO, CVAT) are drawn by pycocotools and by nothing else, so that a data set has one truth; mask files are read
by :mod:`c6seg.data.masks`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg.data.images import probe
from c6seg.data.masks import read_labels
from c6seg.data.shapes import Rle, Shape, decode_counts, encode_mask, misfit, shape_rle
from c6seg.errors import AnnotationError, ImageReadError

__all__ = [
    "Annotation",
    "MaskFile",
    "ObjectMasks",
    "Rle",
    "Shape",
    "Shapes",
    "decode_counts",
    "encode_mask",
    "shape_rle",
]


class Annotation(ABC):
    """The cells of one image."""

    @property
    @abstractmethod
    def source(self) -> Path:
        """The file that the annotation comes from (the first one, where there are several)."""

    @property
    @abstractmethod
    def size_hw(self) -> tuple[int, int] | None:
        """Height and width that the annotation was made for, px; None if it does not say."""

    @abstractmethod
    def labels(self, size_hw: tuple[int, int]) -> NDArray[np.int32]:
        """Draw the objects.

        Parameters
        ----------
        size_hw
            Height and width of the image, px.

        Returns
        -------
        NDArray[np.int32]
            (Y, X); 0 = background, objects numbered 1..n without gaps.

        Raises
        ------
        AnnotationError
            The annotation was made for another size, or cannot be read.
        """

    def mask(self, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
        """Draw the union of all cells, (Y, X) bool; see :meth:`labels` for what is raised."""
        return self.labels(size_hw) > 0


@dataclass(frozen=True, slots=True)
class MaskFile(Annotation):
    """A binary mask or a label map in an image file.

    Parameters
    ----------
    path
        PNG, TIFF, BMP, or a JPEG whose values lie near 0 and 255.
    frame
        Which frame of the file, from 0.
    """

    path: Path
    frame: int = 0

    @property
    def source(self) -> Path:
        """The mask file."""
        return self.path

    @property
    def size_hw(self) -> tuple[int, int] | None:
        """Size that the header of the file gives."""
        return _probed_size(self.path)

    def labels(self, size_hw: tuple[int, int]) -> NDArray[np.int32]:
        """Draw the objects: the numbers of a label map, or the connected parts of a binary mask."""
        return _fit(read_labels(self.path, frame=self.frame), size_hw, self.path)


@dataclass(frozen=True, slots=True)
class ObjectMasks(Annotation):
    """Several mask files, one object each, as in DSB 2018; where they overlap, the smaller object is on top."""

    paths: tuple[Path, ...]

    @property
    def source(self) -> Path:
        """The first of the files."""
        return self.paths[0]

    @property
    def size_hw(self) -> tuple[int, int] | None:
        """Size that the header of the first file gives."""
        return _probed_size(self.paths[0])

    def labels(self, size_hw: tuple[int, int]) -> NDArray[np.int32]:
        """Draw every file as one object."""
        objects = [_fit(read_labels(path), size_hw, path) > 0 for path in self.paths]
        return _stack([int(part.sum()) for part in objects], objects.__getitem__, size_hw)


@dataclass(frozen=True, slots=True, eq=False)
class Shapes(Annotation):
    """Objects as outlines or run lengths.

    Parameters
    ----------
    shapes
        The cells; none = an image that was annotated and is empty.
    declared_hw
        Height and width that the file gives for the image, px, or None.
    file
        The json or xml.
    image_id
        Id of the image in that file.
    parts
        Shapes that are parts of cells (somas, nuclei): never drawn, never counted.
    """

    shapes: tuple[Shape, ...]
    declared_hw: tuple[int, int] | None
    file: Path
    image_id: str = ""
    parts: tuple[Shape, ...] = ()

    @property
    def source(self) -> Path:
        """The json or xml."""
        return self.file

    @property
    def size_hw(self) -> tuple[int, int] | None:
        """Size that the file gives for the image."""
        return self.declared_hw

    def mask(self, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
        """Draw the union of all cells, crowds included."""
        from pycocotools import mask as coco

        rles = self._rles(size_hw)
        if not rles:
            return np.zeros(size_hw, dtype=bool)
        return np.asarray(coco.decode(coco.merge(rles)), dtype=bool)

    def labels(self, size_hw: tuple[int, int]) -> NDArray[np.int32]:
        """Draw every object with its own number, touching ones too; where they overlap, the smaller one is on top.

        A crowd gets one number. An object that is wholly covered by smaller ones gets none.
        """
        from pycocotools import mask as coco

        rles = self._rles(size_hw)  # drawn one after the other: thousands of whole masks would fill the memory
        areas = [int(coco.area(rle)) for rle in rles]
        return _stack(areas, lambda index: np.asarray(coco.decode(rles[index]), dtype=bool), size_hw)

    def _rles(self, size_hw: tuple[int, int]) -> list[dict[str, Any]]:
        if self.declared_hw is not None and self.declared_hw != size_hw:
            raise misfit(f"In '{self.file}', image {self.image_id or '?'}", self.declared_hw, size_hw)
        try:
            return [rle for shape in self.shapes if (rle := shape_rle(shape, size_hw)) is not None]
        except AnnotationError as error:
            raise AnnotationError(f"In '{self.file}', image {self.image_id or '?'}: {error}") from error


def _stack(
    areas: Sequence[int], draw: Callable[[int], NDArray[np.bool_]], size_hw: tuple[int, int]
) -> NDArray[np.int32]:
    labels = np.zeros(size_hw, dtype=np.int32)
    for index in sorted(range(len(areas)), key=lambda index: -areas[index]):
        labels[draw(index)] = index + 1
    present = np.unique(labels)
    if present.size and present[-1] == present.size - 1:
        return labels
    numbers = np.zeros(len(areas) + 1, dtype=np.int32)
    numbers[present[present > 0]] = np.arange(1, (present > 0).sum() + 1)
    return numbers[labels]


def _fit(labels: NDArray[np.int32], size_hw: tuple[int, int], path: Path) -> NDArray[np.int32]:
    if labels.shape != tuple(size_hw):
        raise misfit(f"Mask '{path}'", (labels.shape[0], labels.shape[1]), size_hw)
    return labels


def _probed_size(path: Path) -> tuple[int, int]:
    try:
        return probe(path).size_hw
    except ImageReadError as error:
        raise AnnotationError(f"Mask {error}") from error
