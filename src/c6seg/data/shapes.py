"""One annotated object as outlines or run lengths, and the one rasteriser: pycocotools."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg.errors import AnnotationError

__all__ = ["FAR", "Rle", "Shape", "decode_counts", "encode_counts", "encode_mask", "misfit", "shape_rle"]

FAR = 4.0
"""A corner further outside than this many image sides is no drawing error but a broken file."""


@dataclass(frozen=True, slots=True)
class Rle:
    """Run-length code of a mask in COCO's order: columns first, beginning with background.

    Parameters
    ----------
    size_hw
        Height and width of the mask, px.
    counts
        Lengths of the runs, px; they sum to height times width.
    """

    size_hw: tuple[int, int]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth of being equal
class Shape:
    """One annotated object.

    Parameters
    ----------
    polygons
        Outlines of its parts, each (N, 2) float64 with x, y in px; (0, 0) is the corner of the first pixel, not its
        centre. Exactly as in the file: nothing clipped, closed or mended.
    rle
        The object as run lengths, in place of outlines.
    category
        Name of its class as the file gives it.
    supercategory
        The class above, or "".
    crowd
        Whether it stands for a group of cells that were not outlined one by one.
    kind
        What was drawn: ``polygon``, ``rle``, ``box``, ``ellipse`` or ``mask``.
    ident
        Its id in the file, or "".
    """

    polygons: tuple[NDArray[np.float64], ...] = ()
    rle: Rle | None = None
    category: str = "cell"
    supercategory: str = ""
    crowd: bool = False
    kind: str = "polygon"
    ident: str = ""


def shape_rle(shape: Shape, size_hw: tuple[int, int]) -> dict[str, Any] | None:
    """Draw one shape as a compressed run-length code of pycocotools.

    Returns
    -------
    dict | None
        ``{"size": [h, w], "counts": bytes}``; None where the shape encloses nothing (fewer than three corners).

    Raises
    ------
    AnnotationError
        Coordinates far outside the image or no numbers; run lengths of another size.
    """
    from pycocotools import mask as coco

    height, width = size_hw
    if shape.rle is not None:
        if shape.rle.size_hw != size_hw:
            raise misfit(f"run lengths of object {shape.ident or '?'}", shape.rle.size_hw, size_hw)
        _check_counts(shape.rle.counts, size_hw)
        result: dict[str, Any] = coco.frPyObjects(
            {"size": [height, width], "counts": list(shape.rle.counts)}, height, width
        )
        return result
    limit = FAR * max(height, width)
    outlines = []
    for polygon in shape.polygons:
        # NaN fails this comparison too; pycocotools walks along edges, so that a far corner would take all memory
        if polygon.size and not np.abs(polygon).max() <= limit:
            raise AnnotationError(f"object {shape.ident or '?'} has corners far outside the image. Correct the file.")
        if len(polygon) >= 3:  # pycocotools takes four numbers for a box
            outlines.append(polygon.reshape(-1).tolist())
    if not outlines:
        return None
    merged: dict[str, Any] = coco.merge(coco.frPyObjects(outlines, height, width))
    return merged


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Write a mask (Y, X) as COCO's compressed run-length code, ready for json: ``{"size": [h, w], "counts": str}``."""
    from pycocotools import mask as coco

    rle = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def encode_counts(counts: Sequence[int], size_hw: tuple[int, int]) -> str:
    """Write the lengths of runs (see :class:`Rle`) as the text of COCO's compressed run-length code."""
    from pycocotools import mask as coco

    height, width = size_hw
    rle = coco.frPyObjects({"size": [height, width], "counts": list(counts)}, height, width)
    text: str = rle["counts"].decode("ascii")
    return text


def decode_counts(text: str | bytes) -> tuple[int, ...]:
    """Read the text of a compressed run-length code; pycocotools itself reads behind the end of a broken one.

    Source: ``rleFrString`` of the COCO API: base 32 digits from character 48 on, lowest first; from the fourth number
    on, the difference to the number two before.

    Raises
    ------
    AnnotationError
        The text is no run-length code.
    """
    data = text.encode("utf-8") if isinstance(text, str) else text
    counts: list[int] = []
    value = shift = 0
    for byte in data:
        digit = byte - 48
        if not 0 <= digit < 64 or shift > 60:
            raise AnnotationError(
                "a compressed run-length code has characters that do not belong there. Export it again."
            )
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise AnnotationError("a compressed run-length code is cut short. Export it again.")
    return tuple(counts)


def _check_counts(counts: Sequence[int], size_hw: tuple[int, int]) -> None:
    if any(count < 0 for count in counts) or sum(counts) != math.prod(size_hw):
        raise AnnotationError(
            f"a run-length code covers {sum(counts)} pixels, its image has {math.prod(size_hw)}. Export it again."
        )


def misfit(what: str, given_hw: tuple[int, int], image_hw: tuple[int, int]) -> AnnotationError:
    """Say that an annotation was made for another size."""
    return AnnotationError(
        f"{what}: made for {given_hw[1]}x{given_hw[0]}, but the image is {image_hw[1]}x{image_hw[0]} (width x height). "
        "Take the image that was annotated, or export the annotation again."
    )
