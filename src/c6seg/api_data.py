"""The verbs of ``c6seg data``; :mod:`c6seg.api` offers them too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c6seg.config import parse_size

if TYPE_CHECKING:
    from c6seg.data.checks import Finding
    from c6seg.data.convert import Conversion
    from c6seg.data.describe import DataSheet
    from c6seg.data.splits import Split

PathLike = str | Path


def check_data(data: PathLike, **options: Any) -> list[Finding]:
    """Say what is wrong with a data set, errors first; options as in :func:`c6seg.data.checks.check_dataset`."""
    from c6seg.data.checks import check_dataset

    return check_dataset(data, **options)


def describe_data(data: PathLike, **options: Any) -> DataSheet:
    """Measure a data set; options as in :func:`c6seg.data.describe.describe_dataset`."""
    from c6seg.data.describe import describe_dataset

    return describe_dataset(data, **options)


def convert_data(source: PathLike, destination: PathLike, **options: Any) -> Conversion:
    """Write a data set as images/, masks/ and dataset.csv; options as in :func:`c6seg.data.convert.convert_dataset`."""
    from c6seg.data.convert import convert_dataset

    return convert_dataset(source, destination, **options)


def split_data(data: PathLike, **options: Any) -> tuple[Path, list[Split]]:
    """Divide a data set at random, several times; options as in :func:`c6seg.data.divide.divide_dataset`."""
    from c6seg.data.divide import divide_dataset

    return divide_dataset(data, **options)


def simulate_data(
    out: PathLike, *, count: int = 100, size: str = "480x480", seed: int = 0, family: str | None = None
) -> Path:
    """Write simulated pictures with their masks as a data set; returns the path of its ``dataset.csv``.

    Parameters
    ----------
    out
        Folder to write into.
    count
        Number of pictures.
    size
        ``WIDTHxHEIGHT``, px.
    seed
        The same seed gives the same pictures.
    family
        Kind of culture, such as ``confluent`` or ``empty``; None = all kinds.
    """
    from c6seg.data.synthetic import write_dataset

    return write_dataset(Path(out), count=count, size_hw=_picture_size(size), seed=seed, family=family)


def compose_data(
    data: PathLike,
    out: PathLike,
    *,
    count: int = 100,
    size: str = "512x512",
    seed: int = 0,
    split: str | None = None,
    disturbed: float = 0.0,
    progress: Callable[[float, int, str], None] | None = None,
) -> Path:
    """Write dense scenes made of the cells of an annotated data set; returns the path of their ``dataset.csv``.

    Parameters
    ----------
    data
        Annotated data set of grey photographs.
    out
        Folder to write into.
    count, size, seed
        As in :func:`simulate_data`.
    split
        ``FILE:NAME``: take cells of its training images only. None = of all images.
    disturbed
        Share of the scenes, 0..1, with bright floating cells and uneven light.
    progress
        Called with (scenes done, scenes in all, name).
    """
    from c6seg.data.compose_set import write_composed
    from c6seg.data.datasets import open_dataset
    from c6seg.data.splits import select_text

    dataset = open_dataset(Path(data))
    items = dataset.items if split is None else select_text(dataset, split, part="train")
    return write_composed(
        items,
        Path(out),
        count=count,
        size_hw=_picture_size(size),
        seed=seed,
        disturbed=disturbed,
        progress=progress,
    )


def _picture_size(size: str) -> tuple[int, int]:
    from c6seg.errors import UsageError

    size_hw = parse_size(size)
    if size_hw is None:
        raise UsageError("A made picture has no native size. Write WIDTHxHEIGHT in pixels, such as 480x480.")
    return size_hw


def download_data(
    name: str,
    out: PathLike,
    *,
    url: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[str]:
    """Fetch a published data set into a folder; the same call again goes on, or checks what is there.

    Parameters
    ----------
    name
        Such as ``livecell``.
    out
        Folder to write into.
    url
        Another place that has the same files.
    progress
        Called with (bytes done, bytes in all, name of the file).

    Returns
    -------
    list[str]
        Files that were fetched now.

    Raises
    ------
    DownloadError
        Something cannot be fetched, or arrived damaged.
    """
    from c6seg.data.download import download_dataset

    return download_dataset(name, Path(out), url=url, progress=progress)
