"""Open annotated data sets in the layouts that people have; one function and one row of the table for each.

Opening lists files and reads annotation files; no image is decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from c6seg.data.coco_layouts import open_coco, open_livecell, takes_coco, takes_livecell
from c6seg.data.items import FAULTS, Dataset, Fault, Item, Tree
from c6seg.data.pair_layouts import open_folders, takes_folders
from c6seg.errors import ImageNotFoundError, LayoutError, did_you_mean

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
    "livecell": Layout(
        takes_livecell, open_livecell, "livecell_*.json anywhere, images flat or in a folder per cell line"
    ),
    "coco": Layout(takes_coco, open_coco, "COCO json anywhere, images anywhere below"),
    "folders": Layout(
        takes_folders, open_folders, "images/ beside masks/, labels/ or annotations/ with the same names"
    ),
}


def open_dataset(path: str | Path, *, layout: str = "auto") -> Dataset:
    """Open an annotated data set.

    Parameters
    ----------
    path
        Its folder.
    layout
        A key of :data:`LAYOUTS`, or ``"auto"`` to look.

    Raises
    ------
    ImageNotFoundError
        There is nothing at ``path``.
    LayoutError
        The folder has no known layout, or not the one asked for.
    AnnotationError
        An annotation file is broken.
    """
    root = Path(path)
    if not root.exists():
        raise ImageNotFoundError(f"There is no data set '{root}'. Check the name and where you are.")
    if layout != "auto" and layout not in LAYOUTS:
        raise LayoutError(did_you_mean(layout, ["auto", *LAYOUTS], what="layout"))
    tree = Tree(root)
    candidates = LAYOUTS if layout == "auto" else {layout: LAYOUTS[layout]}
    for name, row in candidates.items():
        if layout != "auto" or row.takes(tree):
            dataset = row.opens(tree)
            if not dataset.items:
                raise LayoutError(f"'{root}' looks like the layout '{name}' ({row.looks}), but holds no image.")
            return dataset
    known = "; ".join(f"{name}: {row.looks}" for name, row in LAYOUTS.items())
    raise LayoutError(f"'{root}' is no data set in a known layout. Known are: {known}.")
