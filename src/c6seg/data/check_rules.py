"""What can be wrong with one image and its annotation; each rule is a function from facts to findings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from c6seg.data.annotations import Shapes
from c6seg.data.facts import Facts
from c6seg.data.texture import Texture

Severity = Literal["error", "warning", "note"]

OUTSIDE_PX = 1.0
"""A corner this far outside the image is rounding, px."""
CONTRAST_MIN = 2.0
ROUGH_MIN = 0.04
ANNOTATED_MIN = 0.15
"""Share of the structure of a picture below which its annotation is called incomplete; see data.texture."""
INVERTED_MAX = 0.4


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a data set that its owner should know.

    Parameters
    ----------
    severity
        ``error`` (wrong as it is), ``warning`` (suspicious or awkward), ``note`` (worth knowing).
    file
        The file it is about.
    problem
        What is wrong.
    advice
        What to do about it.
    rule
        Short name of the rule that found it, such as ``empty_mask``.
    """

    severity: Severity
    file: Path
    problem: str
    advice: str
    rule: str


def check_facts(facts: Facts) -> list[Finding]:
    """Apply every rule for single images."""
    return [finding for rule in RULES for finding in rule(facts)]


def unreadable(facts: Facts) -> Iterator[Finding]:
    """Find an image that cannot be read."""
    if facts.image_error is not None:
        problem, advice = _parted(facts.image_error)
        yield Finding("error", facts.item.image, problem, advice, "unreadable_file")


def blank(facts: Facts) -> Iterator[Finding]:
    """Find an image whose pixels all have one value."""
    if facts.blank:
        yield Finding(
            "error",
            facts.item.image,
            "all pixels have the same value",
            "Take the image out or copy it again.",
            "blank_image",
        )


def size(facts: Facts) -> Iterator[Finding]:
    """Find an annotation that was made for another size."""
    if facts.info is None or facts.annotated_hw is None or facts.item.annotation is None:
        return
    if facts.annotated_hw != facts.info.size_hw:
        (height, width), (rows, columns) = facts.annotated_hw, facts.info.size_hw
        where = _where(facts)
        yield Finding(
            "error",
            facts.item.image,
            f"the image is {columns}x{rows} (width x height), its annotation in '{where}' is for {width}x{height}",
            "Put back the image that was annotated, or export the annotation again at this size.",
            "size_mismatch",
        )


def annotation(facts: Facts) -> Iterator[Finding]:
    """Find an annotation that cannot be read or drawn."""
    fits = facts.info is None or facts.annotated_hw in {None, facts.info.size_hw}
    if facts.annotation_error is not None and fits and facts.item.annotation is not None:
        problem, advice = _parted(facts.annotation_error)
        yield Finding("error", facts.item.annotation.source, problem, advice, "unreadable_annotation")


def amount(facts: Facts) -> Iterator[Finding]:
    """Find images of which nothing, everything, or too little is annotated."""
    if facts.covered is None:
        return
    file = facts.item.image
    texture = facts.texture
    structured = texture is not None and texture.contrast >= CONTRAST_MIN and texture.rough >= ROUGH_MIN
    if facts.covered == 0:
        though = ", although the picture has structure like cells" if structured else ""
        yield Finding(
            "warning",
            file,
            f"nothing is annotated (empty mask in '{_where(facts)}'){though}",
            "If the field has cells, annotate them; if it is empty indeed, keep it.",
            "empty_mask",
        )
    elif facts.covered == 1:
        yield Finding(
            "error",
            file,
            f"all of the image is annotated as cell ('{_where(facts)}')",
            "Check that 0 is background in the mask and that no outline runs around the whole image.",
            "all_foreground",
        )
    elif texture is not None and structured:
        yield from _suspicious(facts, texture)


def _suspicious(facts: Facts, texture: Texture) -> Iterator[Finding]:
    file, count = facts.item.image, 0 if facts.areas_px is None else facts.areas_px.size
    if texture.annotated < ANNOTATED_MIN:
        missed = f"{1 - texture.annotated:.0%} of the structure to be seen"
        yield Finding(
            "warning",
            file,
            f"suspiciously few objects: {count} annotated, and {missed} is outside them",
            "Look at it: annotate the other cells, or take the image out of training and testing.",
            "few_objects",
        )
    elif facts.covered is not None and facts.covered > 0.5 and texture.inside_out < INVERTED_MAX:
        yield Finding(
            "warning",
            file,
            "the annotated part is smoother than the rest, as if cells and background were exchanged",
            "Look at it: 0 must be background in the mask.",
            "inverted_mask",
        )


def outlines(facts: Facts) -> Iterator[Finding]:
    """Find outlines beyond the image and outlines that cross themselves."""
    if facts.info is None or not isinstance(facts.item.annotation, Shapes):
        return
    height, width = facts.info.size_hw
    far: list[str] = []
    gone: list[str] = []
    crossed: list[str] = []
    furthest = 0.0
    for number, shape in enumerate(facts.item.annotation.shapes):
        name = shape.ident or f"number {number + 1}"
        finite = [polygon for polygon in shape.polygons if polygon.size and np.isfinite(polygon).all()]
        if not finite:
            continue
        low = np.min([polygon.min(axis=0) for polygon in finite], axis=0)
        high = np.max([polygon.max(axis=0) for polygon in finite], axis=0)
        beyond = max(float(-low.min()), float(high[0] - width), float(high[1] - height))
        if high.min() <= 0 or low[0] >= width or low[1] >= height:
            gone.append(name)
        elif beyond > OUTSIDE_PX:
            far.append(name)
            furthest = max(furthest, beyond)
        if any(crossings(polygon) for polygon in finite):
            crossed.append(name)
    file, where = facts.item.image, _where(facts)
    if gone:
        yield Finding(
            "error",
            file,
            f"{_objects(gone)} in '{where}' {_lie(gone)} wholly outside the image",
            "The outlines belong to another image or another size: export the annotation again.",
            "polygon_outside",
        )
    if far:
        yield Finding(
            "warning",
            file,
            f"{_objects(far)} in '{where}' reach up to {math.ceil(furthest)} px beyond the image",
            "What lies outside is cut off; check that the outlines fit the image.",
            "polygon_outside",
        )
    if crossed:
        yield Finding(
            "warning",
            file,
            f"the outline of {_objects(crossed)} in '{where}' crosses itself",
            "Draw it again, or check how it is filled: c6seg data convert writes the masks.",
            "polygon_crosses_itself",
        )


RULES: tuple[Callable[[Facts], Iterator[Finding]], ...] = (unreadable, blank, size, annotation, amount, outlines)


def crossings(polygon: NDArray[np.float64], *, block: int = 512) -> int:
    """Count the places where a closed outline crosses itself; touching is no crossing.

    Parameters
    ----------
    polygon
        (N, 2) corners x, y, px.
    block
        Edges compared with all others at a time, which bounds the memory.

    Examples
    --------
    >>> crossings(np.array([[0.0, 0], [1, 1], [1, 0], [0, 1]]))
    1
    >>> crossings(np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]))
    0
    """
    start = polygon[(polygon != np.roll(polygon, -1, axis=0)).any(axis=1)]
    end = np.roll(start, -1, axis=0)
    along = end - start
    total = 0
    for first in range(0, len(start), block):
        here = slice(first, first + block)
        # edge i crosses edge j where the ends of each lie strictly on both sides of the other
        parted = _side(start[here], along[here], start) * _side(start[here], along[here], end) < 0
        back = _side(start, along, start[here]) * _side(start, along, end[here]) < 0
        total += int(np.count_nonzero(parted & back.T))
    return total // 2


def _side(start: NDArray[np.float64], along: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = points[None, :, 0] - start[:, None, 0], points[None, :, 1] - start[:, None, 1]
    return np.asarray(along[:, None, 0] * y - along[:, None, 1] * x, dtype=np.float64)


def _parted(message: str) -> tuple[str, str]:
    """Our messages end with a sentence that says what to do."""
    text = message.strip().rstrip(".")
    problem, dot, advice = text.rpartition(". ")
    return (problem, advice + ".") if dot else (text, "Copy or export the file again, or take it out.")


def _where(facts: Facts) -> str:
    return facts.item.annotation.source.name if facts.item.annotation is not None else ""


def _objects(names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} object{'s' if len(names) > 1 else ''} ({shown})"


def _lie(names: list[str]) -> str:
    return "lie" if len(names) > 1 else "lies"
