"""Layouts with one mask file for one image file: folder pairs, and pairs by the ending of the name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from c6seg.data.annotations import MaskFile
from c6seg.data.coco_layouts import unique_names
from c6seg.data.images import image_name, probe
from c6seg.data.items import MASK_ENDINGS, MASK_FOLDERS, Dataset, Fault, Item, Tree, split_of, summarise
from c6seg.errors import ImageReadError

__all__ = ["build", "open_folders", "takes_folders"]

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "raw")
IMAGE_ENDINGS = ("_img", "_image", "_raw", "-image")


def takes_folders(tree: Tree) -> bool:
    """Whether image and mask folders lie side by side, or masks beside their images."""
    return bool(_folder_pairs(tree)) or bool(_beside(tree))


def open_folders(tree: Tree) -> Dataset:
    """Open image/mask folder pairs, or one folder in which masks end in ``_mask`` or the like."""
    faults: list[Fault] = []
    pairs: dict[Path, Path | None] = {}
    folder_pairs = _folder_pairs(tree)
    for images, masks in folder_pairs:
        pairs |= _match(tree, images, masks, faults)
    if not folder_pairs:
        pairs = _beside(tree)
    return build(tree, "folders", pairs, faults)


def build(tree: Tree, layout: str, pairs: Mapping[Path, Path | None], faults: list[Fault]) -> Dataset:
    """Make the items of images and their masks; a TIFF series with a series of masks gives one item per frame."""
    items: list[Item] = []
    for image, name in unique_names(tree.root, list(pairs)).items():
        mask = pairs[image]
        split = split_of(image.relative_to(tree.root).parent)
        if mask is None:
            faults.append(Fault("missing_mask", image, image.name))
            items.append(Item(name, image, 0, None, None, split))
            continue
        frames = _frames(image, mask, faults)
        for frame in range(frames):
            title = name if frames == 1 else f"{name}_{frame:04d}"
            items.append(Item(title, image, frame, MaskFile(mask, frame), None, split))
    return Dataset(tree.root, layout, tuple(items), summarise(faults), tuple(faults))


def _folder_pairs(tree: Tree) -> list[tuple[Path, Path]]:
    """Folders called images with a folder called masks beside them, anywhere below."""
    folders = {path.parent for path in tree.images}
    # masks/ or images/ may hold folders only
    folders |= {parent for folder in folders for parent in folder.parents if parent.is_relative_to(tree.root)}
    pairs = []
    for images in sorted(folder for folder in folders if folder.name.lower() in IMAGE_FOLDERS):
        beside = {folder.name.lower(): folder for folder in folders if folder.parent == images.parent}
        masks = next((beside[name] for name in MASK_FOLDERS if name in beside), None)
        if masks is not None:
            pairs.append((images, masks))
    return pairs


def _match(tree: Tree, images: Path, masks: Path, faults: list[Fault]) -> dict[Path, Path | None]:
    """Pair files by name without suffix, with their folders below; endings such as ``_mask`` are ignored."""
    found: dict[tuple[str, ...], list[Path]] = {}
    for path in tree.images:
        if path.is_relative_to(masks):
            # an image may itself be called "no-label" or "x_seg"
            for stem in dict.fromkeys((_stem(path, MASK_ENDINGS), image_name(path).casefold())):
                found.setdefault((*path.relative_to(masks).parts[:-1], stem), []).append(path)
    pairs: dict[Path, Path | None] = {}
    used: set[Path] = set()
    for image in (path for path in tree.images if path.is_relative_to(images)):
        folders = image.relative_to(images).parts[:-1]
        keys = [(*folders, image_name(image).casefold()), (*folders, _stem(image, IMAGE_ENDINGS))]
        candidates = next((found[key] for key in keys if key in found), [])
        if len(candidates) > 1:
            names = ", ".join(path.name for path in candidates)
            faults.append(Fault("ambiguous_mask", image, f"{image.name} ({names})"))
        pairs[image] = candidates[0] if candidates else None
        used |= set(candidates)
    stray = dict.fromkeys(path for paths in found.values() for path in paths if path not in used)
    faults += [Fault("stray_mask", path, path.name) for path in stray]
    return pairs


def _beside(tree: Tree) -> dict[Path, Path | None]:
    """Masks in the folder of their images, known by their ending; empty if there is no such pair."""
    masks: dict[tuple[Path, str], Path] = {}
    images: list[Path] = []
    for path in tree.images:
        stem = _stem(path, MASK_ENDINGS)
        if stem != image_name(path).casefold():
            masks.setdefault((path.parent, stem), path)
        else:
            images.append(path)
    pairs = {image: masks.get((image.parent, _stem(image, IMAGE_ENDINGS))) for image in images}
    pairs = {image: mask or masks.get((image.parent, image_name(image).casefold())) for image, mask in pairs.items()}
    return pairs if any(pairs.values()) else {}


def _stem(path: Path, endings: tuple[str, ...]) -> str:
    stem = image_name(path).casefold()
    return next((stem[: -len(ending)] for ending in endings if stem.endswith(ending) and stem != ending), stem)


def _frames(image: Path, mask: Path, faults: list[Fault]) -> int:
    """Frames that image and mask both have; only TIFF masks can be series, so only then the headers are read."""
    if mask.suffix.lower() not in {".tif", ".tiff"} or image.suffix.lower() not in {".tif", ".tiff"}:
        return 1
    try:
        counts = (probe(image).frames, probe(mask).frames)
    except ImageReadError:
        return 1  # whoever reads the image meets the error, with its words
    if counts[0] != counts[1]:
        faults.append(Fault("frames_differ", image, f"{image.name} ({counts[0]} and {counts[1]})"))
    return min(counts)
