"""Layouts of published collections with masks in files: Cellpose, Omnipose, DSB 2018."""

from __future__ import annotations

from pathlib import Path

from c6seg.data.annotations import ObjectMasks
from c6seg.data.coco_layouts import unique_names
from c6seg.data.images import image_name
from c6seg.data.items import Dataset, Fault, Item, Tree, split_of, summarise
from c6seg.data.pair_layouts import build

__all__ = ["open_cellpose", "open_dsb", "open_omnipose", "takes_cellpose", "takes_dsb", "takes_omnipose"]

_BY_PRODUCTS = ("_flows", "_cp_output", "_outlines", "_bg", "_links")
"""Endings of pictures that Cellpose and Omnipose write beside images and masks."""


def takes_cellpose(tree: Tree) -> bool:
    """Whether an image 000_img.png lies beside 000_masks.png."""
    return any(_partners(tree, "_img").values())


def open_cellpose(tree: Tree) -> Dataset:
    """Open the layout of the Cellpose data: NNN_img.png and NNN_masks.png, in train/ and test/."""
    return build(tree, "cellpose", _partners(tree, "_img"), _pickles(tree))


def takes_omnipose(tree: Tree) -> bool:
    """Whether an image name.tif lies beside name_masks.tif."""
    return any(_partners(tree, "").values())


def open_omnipose(tree: Tree) -> Dataset:
    """Open the layout of the Omnipose data and of the Cellpose program: name.tif and name_masks.tif."""
    return build(tree, "omnipose", _partners(tree, ""), _pickles(tree))


def _partners(tree: Tree, ending: str) -> dict[Path, Path | None]:
    masks = {
        (path.parent, image_name(path)[: -len(tail)]): path
        for tail in ("_cp_masks", "_masks")
        for path in tree.images
        if image_name(path).endswith(tail)
    }
    return {
        path: masks.get((path.parent, image_name(path).removesuffix(ending)))
        for path in tree.images
        if image_name(path).endswith(ending)
        and not image_name(path).endswith(("_masks", *_BY_PRODUCTS))
        and "_flows_" not in image_name(path)
    }


def _pickles(tree: Tree) -> list[Fault]:
    return [Fault("unused_file", path, path.name) for path in tree.with_suffix(".npy") if path.stem.endswith("_seg")]


def takes_dsb(tree: Tree) -> bool:
    """Whether an image lies in <name>/images/<name>.png with masks/ beside images/."""
    return any(image.parent.parent.joinpath("masks").is_dir() for image in _dsb_images(tree))


def open_dsb(tree: Tree) -> Dataset:
    """Open DSB 2018: one folder per image, with one mask file per nucleus; the stage of a folder gives the split."""
    masks: dict[Path, list[Path]] = {}
    for path in tree.images:
        if path.parent.name == "masks":
            masks.setdefault(path.parent.parent, []).append(path)
    items = []
    for image, name in unique_names(tree.root, _dsb_images(tree)).items():
        found = masks.get(image.parent.parent)
        split = split_of(image.relative_to(tree.root).parent)
        items.append(Item(name, image, 0, ObjectMasks(tuple(found)) if found else None, None, split))
    faults = tuple(Fault("missing_mask", item.image, item.image.name) for item in items if item.annotation is None)
    return Dataset(tree.root, "dsb2018", tuple(items), summarise(faults), faults)


def _dsb_images(tree: Tree) -> list[Path]:
    return [path for path in tree.images if path.parent.name == "images" and path.parent.parent.name == path.stem]
