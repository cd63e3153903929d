"""Layouts whose annotations are COCO files: plain COCO, LIVECell, Glioma C6, EVICAN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from c6seg.data.coco import ImageShapes, is_coco, read_coco
from c6seg.data.images import image_name, natural_key
from c6seg.data.items import Dataset, Fault, Item, Tree, looks_like_mask, split_of, summarise

__all__ = [
    "build",
    "open_coco",
    "open_evican",
    "open_glioma",
    "open_livecell",
    "takes_coco",
    "takes_evican",
    "takes_glioma",
    "takes_livecell",
]

Reader = Callable[[Path], tuple[list[ImageShapes], list[Fault], frozenset[str]]]

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
    tree: Tree,
    layout: str,
    files: Sequence[Path],
    *,
    read: Reader = read_coco,
    group: Callable[[Path], str | None] = lambda _: None,
) -> Dataset:
    """Join annotation files and images to a data set; images that no file lists are kept without annotation.

    Parameters
    ----------
    tree
        The files.
    layout
        Its name.
    files
        The annotation files.
    read
        Reader of one of them.
    group
        Group of an image file.
    """
    faults: list[Fault] = []
    chosen: dict[Path, tuple[ImageShapes, str | None]] = {}
    parts: set[str] = set()
    for path in files:
        split = split_of(path.relative_to(tree.root))
        entries, found, left_out = read(path)
        faults += found
        parts |= left_out
        for entry in entries:
            image = _find(tree, entry, path, faults)
            if image is not None:
                _choose(chosen, image, entry, entry.split or split, faults)
    items = [
        Item(name, image, 0, chosen[image][0].shapes if image in chosen else None, group(image), _split(chosen, image))
        for image, name in unique_names(tree.root, _images(tree, chosen)).items()
    ]
    faults += [Fault("missing_mask", item.image, item.image.name) for item in items if item.annotation is None]
    notes = summarise(faults)
    if parts:
        notes = (*notes, f"Left out as parts of cells: {', '.join(sorted(parts))}.")
    return Dataset(tree.root, layout, tuple(items), notes, tuple(faults))


def takes_glioma(tree: Tree) -> bool:
    """Whether there are anno_*.json files in spec or gen folders."""
    return any(_glioma_part(path, tree.root) is not None and path.name.startswith("anno") for path in coco_files(tree))


def open_glioma(tree: Tree) -> Dataset:
    """Open Glioma C6; the group is ``spec`` or ``gen``, somas stay out (supercategory ``cell_part``)."""
    return build(tree, "glioma-c6", coco_files(tree), group=lambda path: _glioma_part(path, tree.root))


def _glioma_part(path: Path, root: Path) -> str | None:
    folders = (root.name, *path.relative_to(root).parts[:-1])
    return next((folder.lower() for folder in reversed(folders) if folder.lower() in {"spec", "gen"}), None)


def takes_evican(tree: Tree) -> bool:
    """Whether there are COCO files called EVICAN."""
    return any("evican" in path.name.lower() for path in coco_files(tree))


def open_evican(tree: Tree) -> Dataset:
    """Open EVICAN; the group of its test images is how hard they are, nuclei stay out."""
    dataset = build(tree, "evican", coco_files(tree))
    items = tuple(replace(item, group=_hardness(item)) for item in dataset.items)
    note = "EVICAN outlines only some of the cells of its training and validation images."
    return replace(dataset, items=items, notes=(*dataset.notes, note))


def _hardness(item: Item) -> str | None:
    name = "" if item.annotation is None else item.annotation.source.name.lower()
    return next((word for word in ("easy", "medium", "difficult") if word in name), None)


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


def _images(tree: Tree, chosen: dict[Path, tuple[ImageShapes, str | None]]) -> list[Path]:
    """Every image below, but of files that look like masks only those that an annotation file lists."""
    return [*(image for image in tree.images if image not in chosen and not looks_like_mask(image, tree.root)), *chosen]


def _split(chosen: dict[Path, tuple[ImageShapes, str | None]], image: Path) -> str | None:
    return chosen[image][1] if image in chosen else None


def _find(tree: Tree, entry: ImageShapes, path: Path, faults: list[Fault]) -> Path | None:
    found = tree.find(entry.file_name, path)
    if not found:
        faults.append(Fault("missing_image", path, entry.file_name))
        return None
    if not found[0].is_relative_to(tree.root):
        faults.append(Fault("outside_image", found[0], str(found[0])))
    if len(found) > 1:
        faults.append(Fault("ambiguous_image", found[0], f"{entry.file_name} ({len(found)} files)"))
    return found[0]


def _choose(
    chosen: dict[Path, tuple[ImageShapes, str | None]],
    image: Path,
    entry: ImageShapes,
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
    if kept.shapes.file == entry.shapes.file:
        detail = f"{image.name} (ids {kept.shapes.image_id} and {entry.shapes.image_id})"
        faults.append(Fault("duplicate_image", image, detail))
    else:
        faults.append(Fault("in_two_files", image, f"{image.name} ({kept.shapes.file.name}, {entry.shapes.file.name})"))
    if len(entry.shapes.shapes) > len(kept.shapes.shapes):
        chosen[image] = (entry, split)
