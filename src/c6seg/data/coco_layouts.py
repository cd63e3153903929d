"""Layouts whose annotations are COCO files: plain COCO, LIVECell, Glioma C6, EVICAN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from c6seg.data.coco import CocoImage, is_coco, read_coco
from c6seg.data.images import image_name, natural_key
from c6seg.data.items import Dataset, Fault, Item, Tree, split_of, summarise

__all__ = ["open_coco", "open_livecell", "takes_coco", "takes_livecell"]

_ORDER = {"test": 0, "val": 1, "train": 2, None: 3}
"""An image in two splits stays where it harms least: training on it would spoil the test."""


def coco_files(tree: Tree) -> tuple[Path, ...]:
    """List the COCO files of a folder."""
    return tuple(path for path in tree.with_suffix(".json") if is_coco(path))


def takes_coco(tree: Tree) -> bool:
    """Whether there is a COCO file."""
    return bool(coco_files(tree))


def open_coco(tree: Tree) -> Dataset:
    """Open COCO files with their images; several files are several splits where their names say so."""
    return build(tree, "coco", coco_files(tree))


def takes_livecell(tree: Tree) -> bool:
    """Whether there are COCO files called livecell."""
    return any("livecell" in path.name.lower() for path in coco_files(tree))


def open_livecell(tree: Tree) -> Dataset:
    """Open LIVECell; the group of an image is its cell line, the first word of its name."""
    return build(tree, "livecell", coco_files(tree), group=lambda path: path.name.split("_")[0])


def build(
    tree: Tree, layout: str, files: Sequence[Path], *, group: Callable[[Path], str | None] = lambda _: None
) -> Dataset:
    """Join COCO files and images to a data set; images that no file lists are kept without annotation.

    Parameters
    ----------
    tree
        The files.
    layout
        Its name.
    files
        The COCO files.
    group
        Group of an image file.
    """
    faults: list[Fault] = []
    chosen: dict[Path, tuple[CocoImage, str | None]] = {}
    parts: set[str] = set()
    several = len(files) > 1
    for path in files:
        split = split_of(path.relative_to(tree.root))
        entries, found, left_out = read_coco(path)
        faults += found
        parts |= left_out
        for entry in entries:
            image = _find(tree, entry, path, faults)
            if image is not None:
                _choose(chosen, image, entry, split if several or split else None, faults)
    items = [
        Item(name, image, 0, chosen[image][0].shapes if image in chosen else None, group(image), _split(chosen, image))
        for image, name in unique_names(tree.root, _images(tree, chosen)).items()
    ]
    faults += [Fault("missing_mask", item.image, item.image.name) for item in items if item.annotation is None]
    notes = summarise(faults)
    if parts:
        notes = (*notes, f"Left out as parts of cells: {', '.join(sorted(parts))}.")
    return Dataset(tree.root, layout, tuple(items), notes, tuple(faults))


def unique_names(root: Path, images: Sequence[Path]) -> dict[Path, str]:
    """Name every image by its file, with its folders in front where two files have one name; naturally sorted."""
    stems: dict[str, int] = {}
    for image in images:
        stems[image_name(image).casefold()] = stems.get(image_name(image).casefold(), 0) + 1
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for image in sorted(images, key=natural_key):
        name = image_name(image)
        if stems[name.casefold()] > 1:
            folders = image.relative_to(root).parts[:-1] if image.is_relative_to(root) else image.parts[-2:-1]
            name = "-".join((*folders, name))
        if name.casefold() in taken:  # a.png beside a.tif
            name += f"-{image.suffix[1:].lower()}"
        taken.add(name.casefold())
        names[image] = name
    return dict(sorted(names.items(), key=lambda pair: natural_key(pair[1])))


def _images(tree: Tree, chosen: dict[Path, tuple[CocoImage, str | None]]) -> list[Path]:
    inside = [image for image in tree.images if image.is_relative_to(tree.root)]
    return [*inside, *(image for image in chosen if not image.is_relative_to(tree.root))]


def _split(chosen: dict[Path, tuple[CocoImage, str | None]], image: Path) -> str | None:
    return chosen[image][1] if image in chosen else None


def _find(tree: Tree, entry: CocoImage, path: Path, faults: list[Fault]) -> Path | None:
    found = tree.find(entry.file_name, path)
    if not found:
        faults.append(Fault("missing_image", path, entry.file_name))
        return None
    if len(found) > 1:
        faults.append(Fault("ambiguous_image", found[0], f"{entry.file_name} ({len(found)} files)"))
    return found[0]


def _choose(
    chosen: dict[Path, tuple[CocoImage, str | None]],
    image: Path,
    entry: CocoImage,
    split: str | None,
    faults: list[Fault],
) -> None:
    """Keep one entry for each image: the split nearest to the test, then the entry with most objects."""
    if image not in chosen:
        chosen[image] = (entry, split)
        return
    kept, kept_split = chosen[image]
    if kept_split != split:
        faults.append(
            Fault("two_splits", image, f"{image.name} ({kept_split or 'no split'} and {split or 'no split'})")
        )
        if _ORDER[split] < _ORDER[kept_split]:
            chosen[image] = (entry, split)
        return
    faults.append(
        Fault("duplicate_image", image, f"{image.name} (ids {kept.shapes.image_id} and {entry.shapes.image_id})")
    )
    if len(entry.shapes.shapes) > len(kept.shapes.shapes):
        chosen[image] = (entry, split)
