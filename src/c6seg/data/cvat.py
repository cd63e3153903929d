"""Read what CVAT exports besides COCO: "CVAT for images 1.1" xml, and the masks of "Segmentation mask 1.1"."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from c6seg.data.annotations import Annotation, MaskFile, Rle, Shape, Shapes
from c6seg.data.coco import ImageShapes, cell_parts
from c6seg.data.images import read_raw
from c6seg.data.items import Fault, split_of
from c6seg.errors import AnnotationError, ImageReadError

__all__ = ["ClassedMask", "ellipse", "is_cvat_xml", "read_cvat_xml", "read_labelmap"]

_LINES = frozenset({"polyline", "points", "cuboid", "skeleton"})
_AREAS = frozenset({"polygon", "box", "ellipse", "mask"})


def is_cvat_xml(path: Path) -> bool:
    """Whether an xml file begins as CVAT's do."""
    try:
        with path.open("rb") as file:
            return b"<annotations" in file.read(2000)
    except OSError:
        return False


def read_cvat_xml(path: Path) -> tuple[list[ImageShapes], list[Fault], frozenset[str]]:
    """Read a "CVAT for images 1.1" file: polygons, boxes, ellipses (both also rotated) and masks.

    Outlines of one label that CVAT grouped are parts of one cell, as in CVAT's own COCO export.

    Returns
    -------
    tuple
        Its images with annotations, the faults found, and the labels left out as parts of cells.

    Raises
    ------
    AnnotationError
        The file is no such xml, or is a "CVAT for video" file.

    References
    ----------
    https://docs.cvat.ai/docs/other/xml_format
    """
    root = _parse(path)
    labels = {(node.text or "", "") for node in root.iterfind("meta//labels/label/name")}
    labels |= {(node.get("label", ""), "") for image in root.iterfind("image") for node in image if node.get("label")}
    parts = cell_parts(labels)
    faults: list[Fault] = []
    images: list[ImageShapes] = []
    for image in root.iterfind("image"):
        name, ident = image.get("name", ""), image.get("id", "")
        size_hw = _size_hw(image)
        shapes = _shapes(image, size_hw, path, faults)
        cells = tuple(shape for shape in shapes if shape.category not in parts)
        others = tuple(shape for shape in shapes if shape.category in parts)
        split = split_of(Path(image.get("subset", "")))
        images.append(ImageShapes(name, Shapes(cells, size_hw, path, ident, others), split))
    return images, faults, parts


def _parse(path: Path) -> ElementTree.Element:
    try:
        data = path.read_bytes()
        entities = b"<!DOCTYPE" in data or b"<!ENTITY" in data
        root = ElementTree.Element("refused") if entities else ElementTree.fromstring(data)
    except (OSError, ElementTree.ParseError, LookupError, ValueError) as error:  # LookupError: unknown encoding
        raise AnnotationError(f"'{path}' is no readable xml: {error}. Export it again.") from error
    if entities:
        raise AnnotationError(f"'{path}' defines xml entities, which no CVAT export does. It was not read.")
    if root.tag != "annotations":
        raise AnnotationError(f"'{path}' is no CVAT file: it begins with <{root.tag}>, not <annotations>.")
    if root.find("track") is not None and root.find("image") is None:
        raise AnnotationError(f"'{path}' is 'CVAT for video'. Export the task again as 'CVAT for images 1.1'.")
    return root


def _size_hw(image: ElementTree.Element) -> tuple[int, int] | None:
    width, height = image.get("width", ""), image.get("height", "")
    return (int(height), int(width)) if width.isdigit() and height.isdigit() else None


def _shapes(
    image: ElementTree.Element, size_hw: tuple[int, int] | None, path: Path, faults: list[Fault]
) -> list[Shape]:
    grouped: dict[tuple[str, str], int] = {}
    shapes: list[Shape] = []
    for number, node in enumerate(image):
        if node.tag in _LINES:
            faults.append(Fault("not_an_area", path, f"{node.tag} of {image.get('name')}"))
        if node.tag not in _AREAS:
            continue
        try:
            shape = _shape(node, size_hw, f"{image.get('id', '?')}/{number}")
        except (ValueError, TypeError, AnnotationError) as error:
            faults.append(Fault("bad_shape", path, f"{node.tag} of {image.get('name')} ({error})"))
            continue
        key = (shape.category, node.get("group_id", "0"))
        if key[1] in {"", "0"} or not shape.polygons:
            shapes.append(shape)
        elif key in grouped:
            first = shapes[grouped[key]]
            shapes[grouped[key]] = Shape((*first.polygons, *shape.polygons), None, first.category, ident=first.ident)
        else:
            grouped[key] = len(shapes)
            shapes.append(shape)
    return shapes


def _shape(node: ElementTree.Element, size_hw: tuple[int, int] | None, ident: str) -> Shape:
    label = node.get("label", "cell")
    if node.tag == "mask":
        return Shape((), _mask_rle(node, size_hw), label, kind="mask", ident=ident)
    if node.tag == "polygon":
        pairs = [pair.split(",") for pair in node.get("points", "").split(";") if pair.strip()]
        corners = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    elif node.tag == "box":
        left, top, right, bottom = (_number(node, key) for key in ("xtl", "ytl", "xbr", "ybr"))
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        corners = _rotate(corners, ((left + right) / 2, (top + bottom) / 2), _number(node, "rotation", 0.0))
    else:
        centre = (_number(node, "cx"), _number(node, "cy"))
        corners = ellipse(centre, (_number(node, "rx"), _number(node, "ry")), _number(node, "rotation", 0.0))
    if not np.isfinite(corners).all():
        raise AnnotationError("coordinates that are no numbers")
    return Shape((corners,), None, label, kind=node.tag, ident=ident)


def ellipse(centre_xy: tuple[float, float], radii_xy: tuple[float, float], degrees: float) -> NDArray[np.float64]:
    """Outline of an ellipse, as a polygon with the area of the ellipse.

    Parameters
    ----------
    centre_xy, radii_xy
        Centre and half axes, px.
    degrees
        Rotation, clockwise as seen on the screen.

    Returns
    -------
    NDArray[np.float64]
        (N, 2), about two corners per px of the circumference.
    """
    if not (math.isfinite(sum(radii_xy)) and min(radii_xy) > 0):
        raise AnnotationError("an ellipse without radii")
    count = int(min(max(32, 4 * math.pi * max(radii_xy)), 4096))
    step = 2 * math.pi / count
    angle = np.arange(count) * step
    # a polygon with its corners on the ellipse would have a smaller area, by sin(step) / step
    grow = math.sqrt(step / math.sin(step))
    corners = np.stack([np.cos(angle) * radii_xy[0], np.sin(angle) * radii_xy[1]], axis=1) * grow
    return _rotate(corners + centre_xy, centre_xy, degrees)


def _rotate(corners: NDArray[np.float64], centre_xy: tuple[float, float], degrees: float) -> NDArray[np.float64]:
    turn = math.radians(degrees)
    matrix = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    return np.asarray((corners - centre_xy) @ matrix + centre_xy)


def _number(node: ElementTree.Element, key: str, default: float | None = None) -> float:
    text = node.get(key)
    if text is None and default is not None:
        return default
    if text is None:
        raise AnnotationError(f"no {key}")
    return float(text)


def _mask_rle(node: ElementTree.Element, size_hw: tuple[int, int] | None) -> Rle:
    """Turn CVAT's run lengths (rows first, inside a box) into COCO's (columns first, whole image)."""
    if size_hw is None:
        raise AnnotationError("a mask, but the image has no width and height")
    left, top, width, height = (int(_number(node, key)) for key in ("left", "top", "width", "height"))
    counts = np.array([int(count) for count in re.findall(r"-?\d+", node.get("rle", ""))], dtype=np.int64)
    if min(left, top) < 0 or min(width, height) < 1 or left + width > size_hw[1] or top + height > size_hw[0]:
        raise AnnotationError("its box is not inside the image")
    if (counts < 0).any() or counts.sum() != width * height:
        raise AnnotationError(f"its runs cover {counts.sum()} pixels, its box has {width * height}")
    inside = np.repeat(np.arange(counts.size) % 2 == 1, counts).reshape(height, width)
    columns, rows = np.nonzero(inside.T)
    places = (columns + left) * size_hw[0] + rows + top
    area = size_hw[0] * size_hw[1]
    starts = places[np.diff(places, prepend=-2) > 1]
    ends = places[np.diff(places, append=area + 1) > 1] + 1
    edges = np.concatenate([[0], np.stack([starts, ends], axis=1).reshape(-1), [area]])
    return Rle(size_hw, tuple(np.diff(edges).tolist()))


@dataclass(frozen=True, slots=True)
class ClassedMask(Annotation):
    """A mask of "Segmentation mask 1.1": objects in colours, and the class of every pixel in a second file.

    Parameters
    ----------
    objects
        File in ``SegmentationObject``; None if only classes were exported.
    classes
        File in ``SegmentationClass``.
    left_out
        Colours, as 0xRRGGBB, of classes that are no cells.
    """

    objects: Path | None
    classes: Path | None
    left_out: frozenset[int] = frozenset()

    @property
    def source(self) -> Path:
        """The file with the objects, or else the one with the classes."""
        return self.objects or self.classes or Path()

    @property
    def size_hw(self) -> tuple[int, int] | None:
        """Size that the header of the file gives."""
        return MaskFile(self.source).size_hw

    def labels(self, size_hw: tuple[int, int]) -> NDArray[np.int32]:
        """Draw the objects, without those pixels whose class is no cell."""
        from scipy import ndimage

        labels = MaskFile(self.source).labels(size_hw)
        if self.classes is not None and self.left_out:
            codes = _codes(self.classes)
            if codes.shape != labels.shape:
                raise AnnotationError(f"'{self.classes}' and '{self.source}' differ in size. Export them again.")
            labels = np.where(np.isin(codes, list(self.left_out)), np.int32(0), labels)
        if self.objects is None:  # classes alone: cells are the connected parts
            return np.asarray(ndimage.label(labels > 0, structure=np.ones((3, 3)))[0], dtype=np.int32)
        present = np.unique(labels)
        numbers = np.searchsorted(present[present > 0], labels) + 1
        return np.where(labels > 0, numbers, 0).astype(np.int32)


def read_labelmap(path: Path) -> dict[str, int]:
    """Read ``labelmap.txt``: colour of every class as 0xRRGGBB, without the background."""
    classes: dict[str, int] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"'{path}' cannot be read: {error}.") from error
    for line in lines:
        match = re.match(r"\s*([^#:][^:]*):\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)", line)
        if match and match[1].strip().lower() != "background":
            classes[match[1].strip()] = int(match[2]) << 16 | int(match[3]) << 8 | int(match[4])
    return classes


def _codes(path: Path) -> NDArray[np.int64]:
    try:
        values = np.asarray(read_raw(path), dtype=np.int64)
    except ImageReadError as error:
        raise AnnotationError(f"Mask {error}") from error
    if values.ndim == 2:
        return values
    return np.asarray(values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2])
