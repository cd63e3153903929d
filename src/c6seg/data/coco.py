"""Read COCO annotation files as they are found in the wild."""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from c6seg.data.annotations import Rle, Shape, Shapes, decode_counts
from c6seg.data.items import Fault
from c6seg.errors import AnnotationError

__all__ = ["ImageShapes", "cell_parts", "is_coco", "read_coco"]

PART = re.compile(r"(^|[^a-z])(somas?|somata|nucle(us|i)|nucl)$")
"""Names of parts of cells, in lower case. They stay out of masks and counts where whole cells are annotated too."""


def _text(value: Any) -> Any:
    """Ids come as 7, "7" and 7.0, and mean the same."""
    if isinstance(value, bool) or value is None:
        return value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _listed(value: Any) -> Any:
    """LIVECell's files for single cell lines hold a mapping of ids in place of a list."""
    return list(value.values()) if isinstance(value, dict) else value


@dataclass(frozen=True, slots=True)
class _Outline:
    polygons: tuple[NDArray[np.float64], ...] = ()
    rle: Rle | None = None
    fault: str = ""


def _outline(value: Any) -> _Outline:
    """Bring every form of ``segmentation`` to arrays at once, so that a million polygons fit in memory."""
    try:
        if isinstance(value, dict):
            height, width = (int(side) for side in value["size"])
            counts = value["counts"]
            runs = decode_counts(counts) if isinstance(counts, str) else tuple(int(count) for count in counts)
            return _Outline(rle=Rle((height, width), runs))
        if value and isinstance(value[0], int | float):
            value = [value]
        return _Outline(tuple(np.asarray(part, dtype=np.float64).reshape(-1, 2) for part in value or []))
    except (AnnotationError, KeyError, TypeError, ValueError, OverflowError) as error:
        return _Outline(fault=str(error) or type(error).__name__)


Id = Annotated[str, BeforeValidator(_text)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, arbitrary_types_allowed=True)


class _Category(_Record):
    id: Id
    name: str = "cell"
    supercategory: str | None = None


class _Image(_Record):
    id: Id
    file_name: str
    width: int | None = None
    height: int | None = None


class _Object(_Record):
    id: Id | None = None
    image_id: Id
    category_id: Id | None = None
    segmentation: Annotated[_Outline, BeforeValidator(_outline)] = _Outline()
    bbox: tuple[float, ...] | None = None
    iscrowd: bool | int | None = 0


class _File(_Record):
    images: Annotated[list[_Image], BeforeValidator(_listed)]
    annotations: Annotated[list[_Object], BeforeValidator(_listed)] = Field(default_factory=list)
    categories: Annotated[list[_Category], BeforeValidator(_listed)] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ImageShapes:
    """An image of an annotation file: its name there, its annotation, and its split if the entry itself says so."""

    file_name: str
    shapes: Shapes
    split: str | None = None


def is_coco(path: Path) -> bool:
    """Whether a json file has the two keys of a COCO file, without parsing it."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            return text.find(b'"images"') >= 0 and text.find(b'"annotations"') >= 0
    except (OSError, ValueError):  # empty files cannot be mapped
        return False


def cell_parts(categories: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Which categories are parts of cells and stay out.

    Parameters
    ----------
    categories
        Name and supercategory of each.

    Returns
    -------
    frozenset[str]
        Names with the supercategory ``cell_part`` (Glioma C6), and names such as soma or nucleus where some other
        category is left to be the cell.

    Examples
    --------
    >>> sorted(cell_parts([("A", "cell"), ("soma A", "cell_part")]))
    ['soma A']
    >>> cell_parts([("nucleus", "")])
    frozenset()
    """
    pairs = list(categories)
    declared = {name for name, above in pairs if above.lower() == "cell_part"}
    named = {name for name, _ in pairs if PART.search(name.lower())}
    return frozenset(declared | named if {name for name, _ in pairs} - declared - named else declared)


def read_coco(path: Path) -> tuple[list[ImageShapes], list[Fault], frozenset[str]]:
    """Read a COCO file.

    Returns
    -------
    tuple
        Its images with annotations, the faults found, and the categories left out as parts of cells.

    Raises
    ------
    AnnotationError
        The file is no json, or lacks what COCO needs.
    """
    content = _parse(path)
    categories = {category.id: category for category in content.categories}
    parts = cell_parts((category.name, category.supercategory or "") for category in content.categories)
    faults: list[Fault] = []
    images: dict[str, _Image] = {}
    for image in content.images:
        known = images.setdefault(image.id, image)
        if known is not image and known.file_name != image.file_name:
            faults.append(Fault("duplicate_id", path, f"id {image.id} ({known.file_name}, {image.file_name})"))
    cells: dict[str, list[Shape]] = {ident: [] for ident in images}
    left_out: dict[str, list[Shape]] = {ident: [] for ident in images}
    for entry in content.annotations:
        if entry.image_id not in images:
            faults.append(Fault("unknown_image", path, f"object {entry.id or '?'} of image {entry.image_id}"))
            continue
        shape = _shape(entry, categories, path, faults)
        if shape is not None:
            (left_out if shape.category in parts else cells)[entry.image_id].append(shape)
    found = [
        ImageShapes(image.file_name, Shapes(tuple(cells[key]), _size_hw(image), path, key, tuple(left_out[key])))
        for key, image in images.items()
    ]
    return found, faults, parts


def _parse(path: Path) -> _File:
    try:
        return _File.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise AnnotationError(f"'{path}' is no COCO file: {where}: {first['msg']}. Export it again.") from error
    except (OSError, json.JSONDecodeError) as error:
        raise AnnotationError(f"'{path}' cannot be read: {error}.") from error


def _shape(entry: _Object, categories: dict[str, _Category], path: Path, faults: list[Fault]) -> Shape | None:
    category = categories.get(entry.category_id or "")
    name, above = (category.name, category.supercategory or "") if category else ("cell", "")
    outline, kind, ident = entry.segmentation, "polygon", entry.id or ""
    polygons = outline.polygons
    if outline.fault:
        faults.append(Fault("bad_shape", path, f"object {ident or '?'} ({outline.fault})"))
        return None
    if outline.rle is not None:
        kind = "rle"
    elif not polygons:
        if entry.bbox is None or len(entry.bbox) != 4 or min(entry.bbox[2:]) <= 0:
            faults.append(Fault("bad_shape", path, f"object {ident or '?'} (no outline)"))
            return None
        x, y, width, height = entry.bbox
        polygons = (np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]]),)
        kind = "box"
        faults.append(Fault("box_only", path, f"object {ident or '?'}"))
    return Shape(polygons, outline.rle, name, above, bool(entry.iscrowd), kind, ident)


def _size_hw(image: _Image) -> tuple[int, int] | None:
    return (image.height, image.width) if image.height and image.width else None
