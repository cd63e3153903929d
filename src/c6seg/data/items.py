"""The vocabulary of data sets: an item, a fault, a data set, and the files below a folder."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from c6seg.data.annotations import Annotation
from c6seg.data.images import IMAGE_SUFFIXES, image_name, natural_key
from c6seg.errors import LayoutError

__all__ = [
    "FAULTS",
    "MASK_ENDINGS",
    "MASK_FOLDERS",
    "Dataset",
    "Fault",
    "Item",
    "Tree",
    "looks_like_mask",
    "split_of",
    "summarise",
]

FAULTS = {
    "missing_image": "listed in the annotations, but the file is not there",
    "missing_mask": "without annotation",
    "stray_mask": "mask without an image",
    "duplicate_image": "annotated more than once under different ids; the entry with most objects is used",
    "in_two_files": "annotated in more than one file; the entry with most objects is used",
    "outside_image": "image taken from beside the export, which holds none",
    "not_an_area": "object that is no area (line, point, cuboid, track) and is left out",
    "duplicate_id": "id used for more than one image",
    "two_splits": "in more than one split; kept for testing before validation before training",
    "unknown_image": "annotation of an image that the file does not list",
    "ambiguous_image": "several files of that name; the first one is used",
    "ambiguous_mask": "several masks for one image; the first one is used",
    "bad_shape": "object that cannot be drawn and is left out",
    "box_only": "object with a box but no outline, drawn as a rectangle",
    "frames_differ": "image and mask have different numbers of frames",
    "unused_file": "file that is never read because it could run code (pickle)",
}
"""Kinds of faults that opening a data set finds, in words."""

MAX_FILES = 500_000

MASK_FOLDERS = (
    "masks", "mask", "labels", "label", "annotations", "annotation", "gt", "groundtruth", "segmentation",
    "segmentationobject", "segmentationclass",
)  # fmt: skip
"""Names of folders with masks, in lower case, the surest first."""

MASK_ENDINGS = ("_cp_masks", "_masks", "_mask", "_labels", "_label", "_gt", "_seg", "-mask", "-label", "_segmentation")
"""Endings of the names of masks that lie beside their images."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong with a data set, found without decoding an image.

    Parameters
    ----------
    kind
        A key of :data:`FAULTS`.
    file
        The file it is about.
    detail
        The names or ids concerned.
    """

    kind: str
    file: Path
    detail: str


@dataclass(frozen=True, slots=True)
class Item:
    """One image, or one frame of a series, with its annotation.

    Parameters
    ----------
    name
        Unique within the data set; the file name without suffix where that is unique.
    image
        The image file.
    frame
        Number of the frame in it, from 0.
    annotation
        Where its cells are; None = not annotated.
    group
        What belongs together (cell line, size group, subset), or None.
    split
        ``train``, ``val`` or ``test`` where the data set says so, else None.
    """

    name: str
    image: Path
    frame: int = 0
    annotation: Annotation | None = None
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images with annotations.

    Parameters
    ----------
    root
        Where it lies.
    layout
        Key of :data:`c6seg.data.datasets.LAYOUTS`.
    items
        Naturally sorted by name; names are unique.
    notes
        What is worth knowing, in words.
    faults
        Every single fault found on opening.
    """

    root: Path
    layout: str
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = field(default=(), repr=False)


def summarise(faults: Sequence[Fault]) -> tuple[str, ...]:
    """One sentence for each kind of fault: how many, what, and the first three."""
    counts = Counter(fault.kind for fault in faults)
    notes = []
    for kind, count in counts.items():
        examples = [fault.detail for fault in faults if fault.kind == kind][:3]
        more = ", ..." if count > 3 else ""
        notes.append(f"{count} x {FAULTS[kind]}: {', '.join(examples)}{more}.")
    return tuple(notes)


def split_of(path: Path) -> str | None:
    """Read ``train``, ``val`` or ``test`` out of a file name, or else out of its folders, the nearest first.

    Examples
    --------
    >>> split_of(Path("annotations/livecell_coco_val.json"))
    'val'
    >>> split_of(Path("spec/valid/anno.json"))
    'val'
    >>> split_of(Path("instances_eval2019_easy_EVICAN2.json"))
    'test'
    """
    names = {"train": "train", "val": "val", "test": "test", "eval": "test"}
    for part in (path.stem, *reversed(path.parts[:-1])):
        found = {names[word] for word in re.findall(r"(?<![a-z])(train|val|test|eval)", part.lower())}
        if len(found) == 1:
            return found.pop()
    return None


def looks_like_mask(path: Path, root: Path) -> bool:
    """Whether an image file is a mask by its folder or the ending of its name."""
    folders = {folder.lower() for folder in path.relative_to(root).parts[:-1]}
    return bool(folders & set(MASK_FOLDERS)) or image_name(path).casefold().endswith(MASK_ENDINGS)


class Tree:
    """The files below a folder, listed once.

    Parameters
    ----------
    root
        The folder.
    annotation
        The only json or xml file that counts, where one was named.
    extra
        Folders whose own images may be meant by an annotation file, for exports without images.
    """

    def __init__(self, root: Path, *, annotation: Path | None = None, extra: Iterable[Path] = ()) -> None:
        self.root = root
        self._annotation = annotation
        self._extra = tuple(extra)

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """All files, naturally sorted; hidden ones and links out of the folder left out."""
        found: list[Path] = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
            found += [Path(folder, name) for name in names if not name.startswith(".")]
            if len(found) > MAX_FILES:
                raise LayoutError(f"'{self.root}' holds more than {MAX_FILES} files. Name the data set's own folder.")
        return tuple(sorted(found, key=natural_key))

    @cached_property
    def images(self) -> tuple[Path, ...]:
        """Files with the ending of an image."""
        return self.with_suffix(*IMAGE_SUFFIXES)

    def with_suffix(self, *suffixes: str) -> tuple[Path, ...]:
        """Files with one of these endings, given in lower case."""
        found = tuple(path for path in self.files if path.suffix.lower() in suffixes)
        if self._annotation is not None and self._annotation.suffix.lower() in suffixes:
            return (self._annotation,)
        return found

    @cached_property
    def _index(self) -> dict[str, list[Path]]:
        """Images by name and by name without suffix."""
        index: dict[str, list[Path]] = {}
        for path in self.images:
            for key in {path.name.casefold(), path.stem.casefold()}:
                index.setdefault(key, []).append(path)
        return index

    @cached_property
    def _outside(self) -> dict[str, Path]:
        index: dict[str, Path] = {}
        for folder in self._extra:
            for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                    index.setdefault(path.name.casefold(), path)
                    index.setdefault(path.stem.casefold(), path)
        return index

    def beside(self, file_name: str) -> list[Path]:
        """Find an image, by its name with or without suffix, in the extra folders."""
        name = Path(file_name).name.casefold()
        found = self._outside.get(name) or self._outside.get(Path(name).stem)
        return [found] if found else []

    def find(self, file_name: str, near: Path) -> list[Path]:
        """Find the image that an annotation file names: best matches, normally one.

        Parameters
        ----------
        file_name
            As in the annotation, perhaps with folders that do not exist here, perhaps with another ending.
        near
            The annotation file; its own folder is preferred.
        """
        parts = [part for part in re.split(r"[\\/]+", file_name) if part not in {"", "."}]
        if not parts:
            return []
        last = parts[-1].casefold()
        candidates = self._index.get(last) or self._index.get(Path(last).stem) or self.beside(last)
        if len(candidates) < 2:
            return list(candidates)
        scores = [(_same_tail(path, parts), _same_head(path, near)) for path in candidates]
        return [path for path, score in zip(candidates, scores, strict=True) if score == max(scores)]


def _same_tail(path: Path, parts: list[str]) -> int:
    count = 0
    for mine, theirs in zip(reversed(path.parts), reversed(parts), strict=False):
        if mine.casefold() != theirs.casefold():
            break
        count += 1
    return count


def _same_head(path: Path, near: Path) -> int:
    return next((i for i, (a, b) in enumerate(zip(path.parts, near.parts, strict=False)) if a != b), len(near.parts))
