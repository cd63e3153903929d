"""A data set of dense scenes, composed from the cells of an annotated one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from c6seg.data.compose import compose_dense
from c6seg.data.disturb import disturb
from c6seg.data.images import read_image
from c6seg.data.items import Item
from c6seg.data.synthetic import write_png
from c6seg.errors import DataError, UsageError
from c6seg.runtime import make_folder, seed_for, write_csv


def write_composed(
    items: Sequence[Item],
    folder: Path,
    *,
    count: int,
    size_hw: tuple[int, int],
    seed: int,
    disturbed: float = 0.0,
    progress: Callable[[float, int, str], None] | None = None,
) -> Path:
    """Write composed scenes: ``images/*.png``, ``masks/*.png`` (16-bit label maps), ``dataset.csv``.

    Parameters
    ----------
    items
        Annotated grey photographs, 8- or 16-bit; those without annotation are left out. Give training images only:
        the scenes are made of their cells.
    folder
        Where to; made if absent.
    count, size_hw
        Number of scenes; height and width of each, px.
    seed
        Scene i is a function of (items, seed, i, disturbed).
    disturbed
        Share of the scenes, 0..1, that get floating cells and uneven light.
    progress
        Called with (scenes done, scenes in all, name).

    Returns
    -------
    Path
        Of ``dataset.csv``: name, cells, covered_fraction.

    Raises
    ------
    UsageError
        A count below 1, a share outside 0..1, or a size that no photograph has.
    DataError
        No annotated image.
    """
    if count < 1:
        raise UsageError(f"count is {count}; at least 1 scene can be composed.")
    if not 0 <= disturbed <= 1:
        raise UsageError(f"The share of disturbed scenes is {disturbed:g}; expected 0 to 1.")
    images, labels = [], []
    for item in items:
        if item.annotation is not None:
            pixels = read_image(item.image, frame=item.frame).pixels
            images.append(pixels)
            labels.append(item.annotation.labels((pixels.shape[0], pixels.shape[1])))
    if not images:
        raise DataError("There is no annotated image to compose scenes from.")
    pictures, masks = make_folder(folder / "images"), make_folder(folder / "masks")
    rows = []
    for index in range(count):
        scene, owner = compose_dense(images, labels, size_hw=size_hw, seed=seed_for(seed, "composed data set", index))
        chance = np.random.default_rng(seed_for(seed, "disturbed", index))
        if chance.random() < disturbed:
            scene = disturb(scene, owner > 0, chance)
        name = f"composed_{index:05d}"
        write_png(pictures / f"{name}.png", scene)
        write_png(masks / f"{name}.png", owner.astype(np.uint16))
        rows.append({"name": name, "cells": int(owner.max()), "covered_fraction": round(float((owner > 0).mean()), 4)})
        if progress is not None:
            progress(index + 1, count, name)
    table = folder / "dataset.csv"
    write_csv(table, list(rows[0]), rows)
    return table
