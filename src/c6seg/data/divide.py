"""From a data set to ``splits.json``: which images take part, which belong together, which are there twice."""

from __future__ import annotations

from pathlib import Path

from c6seg.data.datasets import Dataset, open_dataset
from c6seg.data.facts import Progress, duplicate_sets
from c6seg.data.splits import Split, make_splits, write_splits
from c6seg.errors import UsageError


def divide_dataset(
    data: str | Path | Dataset,
    *,
    out: Path | None = None,
    counts: tuple[int, int, int] = (15, 5, 10),
    repeats: int = 10,
    seed: int = 0,
    stratify: bool = False,
    grouped: bool = False,
    layout: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
) -> tuple[Path, list[Split]]:
    """Draw divisions of the annotated images of a data set and write them.

    Of images that are equal pixel for pixel one takes part; the others would let a test image be trained on.

    Parameters
    ----------
    data
        Folder or export file of the data set, or the data set itself.
    out
        File to write; None = ``splits.json`` in (or beside) the data set.
    counts, repeats, seed
        As in :func:`c6seg.data.splits.make_splits`.
    stratify
        Give every part the groups of the data set in proportion.
    grouped
        Keep the images of a group in one part.
    layout
        Key of :data:`c6seg.data.datasets.LAYOUTS`, or ``auto``.
    force
        Replace a file that is there.
    progress
        Called after each image.

    Returns
    -------
    tuple[Path, list[Split]]
        The file and what is in it.

    Raises
    ------
    UsageError
        Too few images, no groups to stratify or group by, or the file is there already.
    DataError
        The data set cannot be opened.
    OutputError
        The file cannot be written.
    """
    dataset = data if isinstance(data, Dataset) else open_dataset(data, layout=layout)
    folder = dataset.root if dataset.root.is_dir() else dataset.root.parent
    path = out or folder / "splits.json"
    if path.exists() and not force:
        raise UsageError(f"'{path}' is there already, and studies may rest on it. Name another --out, or --force.")
    items = [item for item in dataset.items if item.annotation is not None]
    groups = {item.name: item.group for item in items if item.group is not None}
    if (stratify or grouped) and not groups:
        raise UsageError(
            f"'{dataset.root}' names no groups. Add a column 'group' to its dataset.csv, or leave that out."
        )
    annotated = Dataset(dataset.root, dataset.layout, tuple(items))
    duplicates = duplicate_sets(annotated, progress=progress)
    splits = make_splits(
        [item.name for item in items],
        counts=counts,
        repeats=repeats,
        seed=seed,
        groups=groups if grouped else None,
        stratify=groups if stratify else None,
        duplicates=duplicates,
    )
    write_splits(
        path,
        splits,
        names=[item.name for item in dataset.items],
        seed=seed,
        counts=dict(zip(("train", "val", "test"), counts, strict=True)),
        stratified=stratify,
        grouped=grouped,
        duplicates=[list(names) for names in duplicates],
    )
    return path, splits
