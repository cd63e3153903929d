"""Layouts of CVAT's own exports."""

from __future__ import annotations

from pathlib import Path

from c6seg.data.coco import cell_parts
from c6seg.data.coco_layouts import build, unique_names
from c6seg.data.cvat import ClassedMask, is_cvat_xml, read_cvat_xml, read_labelmap
from c6seg.data.images import image_name
from c6seg.data.items import Dataset, Fault, Item, Tree, looks_like_mask, summarise

__all__ = ["open_cvat", "open_cvat_masks", "takes_cvat", "takes_cvat_masks"]


def takes_cvat(tree: Tree) -> bool:
    """Whether there is an xml file of CVAT."""
    return any(is_cvat_xml(path) for path in tree.with_suffix(".xml"))


def open_cvat(tree: Tree) -> Dataset:
    """Open "CVAT for images 1.1": annotations.xml and images/."""
    return build(tree, "cvat", [path for path in tree.with_suffix(".xml") if is_cvat_xml(path)], read=read_cvat_xml)


def takes_cvat_masks(tree: Tree) -> bool:
    """Whether there are the mask folders of "Segmentation mask 1.1"."""
    return any(path.parent.name in {"SegmentationObject", "SegmentationClass"} for path in tree.images)


def open_cvat_masks(tree: Tree) -> Dataset:
    """Open "Segmentation mask 1.1": SegmentationObject/, SegmentationClass/, labelmap.txt, JPEGImages/."""
    faults: list[Fault] = []
    maps = [path for path in tree.with_suffix(".txt") if path.name == "labelmap.txt"]
    classes = read_labelmap(maps[0]) if maps else {}
    parts = cell_parts((name, "") for name in classes)
    left_out = frozenset(classes[name] for name in parts)
    masks = _masks(tree, left_out)
    photographs = [path for path in tree.images if not looks_like_mask(path, tree.root)]
    annotated: dict[Path, ClassedMask] = {}
    for name, mask in masks.items():
        found = [path for path in photographs if image_name(path) == Path(name).name] or tree.beside(name)
        faults += [Fault("outside_image", path, str(path)) for path in found if path not in photographs]
        if found:
            annotated[found[0]] = mask
        else:
            faults.append(Fault("missing_image", mask.source, mask.source.name))
    items = [
        Item(name, path, 0, annotated.get(path))
        for path, name in unique_names(tree.root, list(dict.fromkeys([*photographs, *annotated]))).items()
    ]
    faults += [Fault("missing_mask", item.image, item.image.name) for item in items if item.annotation is None]
    notes = summarise(faults)
    if parts:
        notes = (*notes, f"Left out as parts of cells: {', '.join(sorted(parts))}.")
    return Dataset(tree.root, "cvat-masks", tuple(items), notes, tuple(faults))


def _masks(tree: Tree, left_out: frozenset[int]) -> dict[str, ClassedMask]:
    found: dict[str, dict[str, Path]] = {}
    for path in tree.images:
        parts = path.relative_to(tree.root).parts
        for folder in ("SegmentationObject", "SegmentationClass"):
            if folder in parts[:-1]:
                # images of a project may lie in folders of their own: the name goes on below the mask folder
                name = "/".join((*parts[parts.index(folder) + 1 : -1], image_name(path)))
                found.setdefault(name, {})[folder] = path
    return {
        name: ClassedMask(files.get("SegmentationObject"), files.get("SegmentationClass"), left_out)
        for name, files in found.items()
    }
