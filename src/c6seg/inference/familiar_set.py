"""From training images to what is familiar to a model, kept in its bundle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from c6seg import runtime
from c6seg.config import SegmentConfig
from c6seg.data.datasets import open_dataset
from c6seg.data.images import find_images, image_name, read_image
from c6seg.errors import DataError, LayoutError
from c6seg.inference.familiar import Floats, learn
from c6seg.inference.segmenter import Segmenter
from c6seg.models.bundle import Bundle, copy_bundle
from c6seg.models.bundle_spec import Familiar

MOST_IMAGES = 120
"""Images that are measured; larger sets are measured in part, each data set alike."""


def add_familiar(
    bundle: Bundle, groups: Mapping[str, Sequence[Path]], *, progress: Callable[[int, int, str], None] | None = None
) -> Bundle:
    """Measure training images and write what is familiar into the bundle.

    Raises
    ------
    UsageError
        Too few images, or too few with cells.
    """
    familiar = measure_images(bundle, groups, progress=progress)
    return copy_bundle(bundle, bundle.path, familiar=familiar, replace=True)


def measure_images(
    bundle: Bundle, groups: Mapping[str, Sequence[Path]], *, progress: Callable[[int, int, str], None] | None = None
) -> Familiar:
    """Measure training images as the network saw them in training.

    Parameters
    ----------
    bundle
        The model.
    groups
        Name of a data set to its images.
    progress
        Called with (images done, images in all, name of the image at work).

    Raises
    ------
    UsageError
        Too few images, or too few with cells.
    """
    # fragments were cut at the scale of the files; whole images were scaled to one size, which "auto" does
    scale = "native" if bundle.spec.scale.whole_image is None else "auto"
    segmenter = Segmenter(bundle, SegmentConfig(scale=scale, overlays=False))
    chosen = [path for paths in _shares(groups) for path in paths]
    found: list[Floats] = []
    for number, path in enumerate(chosen):
        if progress is not None:
            progress(number, len(chosen), image_name(path))
        try:
            measured = segmenter.measures(read_image(path))
        except DataError as error:
            runtime.logger.warning("left out: %s", error)
            continue
        if measured is not None:
            found.append(measured)
    return learn(found, data=tuple(groups))


def training_images(bundle: Bundle, data: Sequence[str | Path]) -> dict[str, list[Path]]:
    """Find images by data set; of a set that holds images which the bundle names as its training, only these.

    Parameters
    ----------
    bundle
        The model.
    data
        Annotated data sets, folders, files or patterns.

    Raises
    ------
    DataError
        There is nothing of that name, or no image in it.
    """
    names = bundle.spec.provenance.get("train")
    own = {str(name) for name in names} if isinstance(names, list | tuple) else set()
    groups: dict[str, list[Path]] = defaultdict(list)
    for given in data:
        try:
            dataset = open_dataset(given)
            named = [(item.name, item.image) for item in dataset.items]
        except LayoutError:
            named = [(image_name(path), path) for path in find_images([given])]
        trained = [path for name, path in named if name in own]
        groups[Path(given).resolve().stem] += trained or [path for _, path in named]
    return dict(groups)


def _shares(groups: Mapping[str, Sequence[Path]]) -> list[list[Path]]:
    """Choose at most :data:`MOST_IMAGES`, evenly spread; what a small set leaves goes to the larger ones."""
    left, shares = MOST_IMAGES, []
    # the frames of a series are alike: its first one stands for it
    ordered = sorted((list(dict.fromkeys(paths)) for paths in groups.values()), key=len)
    for number, paths in enumerate(ordered):
        count = min(len(paths), left // (len(ordered) - number))
        picks = np.linspace(0, len(paths) - 1, count).round().astype(int)
        shares.append([paths[pick] for pick in picks])
        left -= count
    return shares
