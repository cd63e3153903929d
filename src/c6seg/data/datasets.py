"""Open annotated data sets in the layouts that people have; one function and one row of the table for each.

Opening lists files and reads annotation files; no image is decoded.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from c6seg.data.archives import unpacked
from c6seg.data.coco_layouts import (
    open_coco,
    open_evican,
    open_glioma,
    open_livecell,
    takes_coco,
    takes_evican,
    takes_glioma,
    takes_livecell,
)
from c6seg.data.cvat_layouts import open_cvat, open_cvat_masks, takes_cvat, takes_cvat_masks
from c6seg.data.instance_layouts import (
    open_cellpose,
    open_dsb,
    open_omnipose,
    takes_cellpose,
    takes_dsb,
    takes_omnipose,
)
from c6seg.data.items import FAULTS, Dataset, Fault, Item, Tree, split_of
from c6seg.data.pair_layouts import open_folders, takes_folders
from c6seg.errors import AnnotationError, ImageNotFoundError, LayoutError, did_you_mean

__all__ = ["FAULTS", "LAYOUTS", "Dataset", "Fault", "Item", "Layout", "open_dataset"]


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to lay out images and annotations.

    Parameters
    ----------
    takes
        Whether a folder looks like this layout; cheap.
    opens
        Build the data set.
    looks
        How it looks, for people.
    """

    takes: Callable[[Tree], bool]
    opens: Callable[[Tree], Dataset]
    looks: str


# In the order in which "auto" tries them: the particular before the general.
LAYOUTS: dict[str, Layout] = {
    "glioma-c6": Layout(
        takes_glioma, open_glioma, "spec/{train,valid,test}/ and gen/, each with images/ and anno_*.json"
    ),
    "livecell": Layout(takes_livecell, open_livecell, "livecell_*.json, images flat or in a folder per cell line"),
    "evican": Layout(takes_evican, open_evican, "instances_*_EVICAN2.json and Images/EVICAN_*/"),
    "cvat-masks": Layout(
        takes_cvat_masks, open_cvat_masks, "CVAT 'Segmentation mask 1.1': SegmentationObject/, JPEGImages/"
    ),
    "cvat": Layout(takes_cvat, open_cvat, "CVAT 'CVAT for images 1.1': annotations.xml and images/"),
    "coco": Layout(takes_coco, open_coco, "COCO json (also CVAT's 'COCO 1.0'), images anywhere below"),
    "dsb2018": Layout(takes_dsb, open_dsb, "<id>/images/<id>.png and <id>/masks/*.png, one per object"),
    "cellpose": Layout(takes_cellpose, open_cellpose, "000_img.png beside 000_masks.png"),
    "omnipose": Layout(takes_omnipose, open_omnipose, "name.tif beside name_masks.tif"),
    "folders": Layout(
        takes_folders, open_folders, "images/ beside masks/ or labels/, or name.png beside name_mask.png"
    ),
}


def open_dataset(path: str | Path, *, layout: str = "auto") -> Dataset:
    """Open an annotated data set.

    Parameters
    ----------
    path
        Its folder, or a zip as CVAT exports it (unpacked into the user's cache), or one json or xml file. Images that
        a zip does not hold are looked for beside it and in ``images`` beside it.
    layout
        A key of :data:`LAYOUTS`, or ``"auto"`` to look.

    Raises
    ------
    ImageNotFoundError
        There is nothing at ``path``.
    LayoutError
        The path has no known layout, or not the one asked for, or is a zip that is not safe to unpack.
    AnnotationError
        An annotation file is broken.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise ImageNotFoundError(f"There is no data set '{root}'. Check the name and where you are.")
    if layout != "auto" and layout not in LAYOUTS:
        raise LayoutError(did_you_mean(layout, ["auto", *LAYOUTS], what="layout"))
    tree = _tree(root)
    name = _look(tree) if layout == "auto" else layout
    if name is None and root.is_dir() and len(archives := tree.with_suffix(".zip")) == 1:
        tree = _tree(archives[0])
        name = _look(tree)
    if name is None:
        known = "; ".join(f"{key}: {row.looks}" for key, row in LAYOUTS.items())
        raise LayoutError(f"'{root}' is no data set in a known layout. Known are: {known}.")
    dataset = LAYOUTS[name].opens(tree)
    if not dataset.items:
        why = f" {dataset.notes[0]}" if dataset.notes else ""
        raise LayoutError(f"'{root}' was read as layout '{name}' ({LAYOUTS[name].looks}), but no image was found.{why}")
    folder = root if root.is_dir() else root.parent
    return replace(dataset, root=root, items=_with_table(dataset.items, folder / "dataset.csv"))


def _tree(path: Path) -> Tree:
    if path.is_dir():
        return Tree(path)
    beside = (path.parent, path.parent / "images")
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return Tree(unpacked(path), extra=beside)
    if suffix in {".json", ".xml"}:
        return Tree(path.parent, annotation=path)
    raise LayoutError(f"'{path}' is no data set. Name a folder, a zip, or a json or xml file with annotations.")


def _look(tree: Tree) -> str | None:
    return next((name for name, row in LAYOUTS.items() if row.takes(tree)), None)


def _with_table(items: tuple[Item, ...], path: Path) -> tuple[Item, ...]:
    """Take group and split from dataset.csv where the layout gives none.

    Its columns: ``name`` (with or without suffix), ``group`` or the first whose name ends in group, and ``split``.
    """
    if not path.is_file():
        return items
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [{(key or "").strip().lower(): value for key, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AnnotationError(f"'{path}' cannot be read: {error}. Save it as CSV in UTF-8.") from error
    columns = list(rows[0]) if rows else []
    key = next((column for column in columns if column in {"name", "image"}), None)
    group = next((column for column in columns if column.endswith("group")), None)
    if key is None:
        return items
    table = {str(row[key] or ""): row for row in rows}
    joined = []
    for item in items:
        row = next((table[name] for name in (item.name, item.image.name, item.image.stem) if name in table), {})
        split = item.split or split_of(Path(row.get("split") or ""))
        joined.append(replace(item, group=item.group or (row.get(group) if group else None) or None, split=split))
    return tuple(joined)
