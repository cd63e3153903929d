"""The data doctor: what is wrong with a data set, in words, file by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from c6seg.data.annotations import Shapes
from c6seg.data.check_rules import Finding, Severity, check_facts
from c6seg.data.datasets import FAULTS, Dataset, Fault, open_dataset
from c6seg.data.facts import Facts, Progress, examine
from c6seg.data.images import MAX_PIXELS

__all__ = ["Finding", "check_dataset", "check_facts_together", "has_errors"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
RELATIVE_MIN = 0.4
"""An image with less than this part of the usual share of annotated structure stands out from its data set."""
PIXEL_SIZE_TOLERANCE = 0.02

# What opening a data set finds: how bad it is and what to do.
FAULT_ADVICE: dict[str, tuple[Severity, str]] = {
    "missing_image": ("error", "Put the image back, or take its entry out of the annotation file."),
    "missing_mask": ("error", "Annotate it, put its mask back, or take the image out."),
    "stray_mask": ("warning", "Put its image back, or give both the same name."),
    "duplicate_image": ("warning", "Keep one of the two entries in the annotation file."),
    "in_two_files": ("warning", "Keep one of the two entries."),
    "outside_image": (
        "note",
        "Put the images into the folder of the annotations to be sure that they are the right ones.",
    ),
    "not_an_area": ("note", "Draw it as a polygon or mask if it is a cell."),
    "duplicate_id": ("error", "Give every image its own id: objects may have gone to the wrong image."),
    "two_splits": ("error", "Take it out of one of them: a model must not be tested on what it was trained on."),
    "unknown_image": ("error", "Add the image to the list 'images' of the file, or take the object out."),
    "ambiguous_image": ("error", "Rename or remove the other files of this name."),
    "ambiguous_mask": ("error", "Keep one mask for each image."),
    "bad_shape": ("warning", "Draw the object again, or take it out."),
    "box_only": ("warning", "Draw its outline: a box covers background too."),
    "frames_differ": ("error", "Give image and mask the same number of frames."),
    "unused_file": ("note", "Save it in a format that holds data only, such as PNG or TIFF."),
}


def check_dataset(
    data: str | Path | Dataset,
    *,
    layout: str = "auto",
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> list[Finding]:
    """Look for everything that is wrong with a data set.

    Parameters
    ----------
    data
        Its folder or file, or the data set itself.
    layout
        Key of :data:`c6seg.data.datasets.LAYOUTS`, or ``auto``.
    max_pixels
        Larger images are not decoded, and reported.
    progress
        Called after each image.

    Returns
    -------
    list[Finding]
        Errors first, then warnings, then notes; empty = nothing is wrong.

    Raises
    ------
    LayoutError, ImageNotFoundError, AnnotationError
        The data set cannot be opened at all.
    """
    dataset = data if isinstance(data, Dataset) else open_dataset(data, layout=layout)
    findings = list(_opening(dataset))
    facts = []
    for done, item in enumerate(dataset.items, start=1):
        facts.append(examine(item, max_pixels=max_pixels))
        findings += check_facts(facts[-1])
        if progress is not None:
            progress(done, len(dataset.items), item.name)
    flagged = {finding.file for finding in findings if finding.rule in {"few_objects", "empty_mask", "all_foreground"}}
    findings += check_facts_together(dataset, facts, flagged=flagged)
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether any of them is an error."""
    return any(finding.severity == "error" for finding in findings)


def check_facts_together(
    dataset: Dataset, facts: Sequence[Facts], *, flagged: Iterable[Path] = ()
) -> Iterator[Finding]:
    """Apply the rules that compare the images of a data set with each other.

    Parameters
    ----------
    dataset
        The data set.
    facts
        One per item.
    flagged
        Images whose amount of annotation was found strange already.
    """
    yield from _twins(facts)
    yield from _depth(facts)
    yield from _scale(dataset, facts)
    yield from _outliers(facts, set(flagged))


def _opening(dataset: Dataset) -> Iterator[Finding]:
    listed = any(isinstance(item.annotation, Shapes) for item in dataset.items)
    for fault in dataset.faults:
        severity, advice = FAULT_ADVICE.get(fault.kind, ("warning", "Look at it."))
        if fault.kind == "missing_mask" and listed:
            # images that no annotation file lists: LIVECell's folders hold those of several files
            severity, advice = "warning", "Annotate it, or leave it: it takes no part in training and testing."
        yield Finding(severity, fault.file, _in_words(fault), advice, fault.kind)


def _in_words(fault: Fault) -> str:
    words = FAULTS.get(fault.kind, fault.kind)
    return words if fault.detail in {"", fault.file.name} else f"{words}: {fault.detail}"


def _twins(facts: Sequence[Facts]) -> Iterator[Finding]:
    """Find the same picture in two files, pixel for pixel."""
    first: dict[str, Facts] = {}
    for fact in facts:
        if fact.picture is None or fact.blank:
            continue
        twin = first.setdefault(fact.picture, fact)
        if twin is fact:
            continue
        other = f"'{twin.item.image.name}'" + (f" frame {twin.item.frame}" if twin.item.frame else "")
        splits = (twin.item.split, fact.item.split)
        if splits[0] != splits[1]:
            problem = f"the same picture as {other}, which is in split {splits[0]}, this one in {splits[1]}"
            advice = "Take one out: a model must not be tested on what it was trained on."
            yield Finding("error", fact.item.image, problem, advice, "two_splits")
            continue
        differs = None not in {twin.truth, fact.truth} and twin.truth != fact.truth
        problem = f"the same picture as {other}" + (", with another annotation" if differs else "")
        yield Finding("warning", fact.item.image, problem, "Take one of the two out.", "duplicate_image")


def _depth(facts: Sequence[Facts]) -> Iterator[Finding]:
    """Find a bit depth or channels that differ from those of most images."""
    kinds: list[tuple[str, Callable[[Facts], str], str]] = [
        ("bit depth", lambda fact: fact.info.dtype if fact.info else "", "inconsistent_bit_depth"),
        ("colour", lambda fact: "colour" if fact.info and fact.info.channels >= 3 else "grey", "inconsistent_channels"),
    ]
    readable = [fact for fact in facts if fact.info is not None]
    for what, kind, rule in kinds:
        counts = Counter(kind(fact) for fact in readable)
        if len(counts) < 2:
            continue
        usual, times = counts.most_common(1)[0]
        for fact in readable:
            if kind(fact) != usual:
                yield Finding(
                    "warning",
                    fact.item.image,
                    f"its {what} is {kind(fact)}, that of {times} of {len(readable)} images {usual}",
                    "Check that it was exported like the others; grey values may have been rescaled.",
                    rule,
                )


def _scale(dataset: Dataset, facts: Sequence[Facts]) -> Iterator[Finding]:
    """Find missing pixel sizes, and those that are not that of most images."""
    readable = [fact for fact in facts if fact.info is not None]
    sizes = {fact.item.image: fact.info.pixel_size_um for fact in readable if fact.info is not None}
    known = [size for size in sizes.values() if size is not None]
    if sizes and not known:
        yield Finding(
            "warning",
            dataset.root,
            f"none of its {len(sizes)} images says its pixel size",
            "Note the size in um from the microscope and give it with --pixel-size when you segment.",
            "missing_pixel_size",
        )
        return
    usual = float(np.median(known)) if known else 0.0
    for file, size in sizes.items():
        if size is None:
            problem, rule = "no pixel size in the file, while other images have one", "missing_pixel_size"
        elif abs(size / usual - 1) > PIXEL_SIZE_TOLERANCE:
            problem, rule = f"its pixels are {size:.4g} um, those of most images {usual:.4g} um", "other_pixel_size"
        else:
            continue
        yield Finding("warning", file, problem, "Check the objective; export it from the microscope's own file.", rule)


def _outliers(facts: Sequence[Facts], flagged: set[Path]) -> Iterator[Finding]:
    """Find images with far less annotated structure than is usual in this data set."""
    shares = [fact.texture.annotated for fact in facts if fact.texture is not None and fact.covered]
    if len(shares) < 5:
        return
    usual = float(np.median(shares))
    for fact in facts:
        texture = fact.texture
        if texture is None or fact.item.image in flagged or texture.annotated >= RELATIVE_MIN * usual:
            continue
        yield Finding(
            "warning",
            fact.item.image,
            f"{texture.annotated:.0%} of the structure to be seen is annotated, in most images {usual:.0%}",
            "Look at it: annotate the other cells, or take the image out of training and testing.",
            "few_objects",
        )
