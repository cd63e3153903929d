"""Simulated phase-contrast pictures of adherent cells with known masks and scale.

Reading order: :mod:`~c6seg.data.synthetic_style` (what a culture looks like), :mod:`~c6seg.data.synthetic_cells`
(outlines and thickness), :mod:`~c6seg.data.synthetic_optics` (image formation), this module (pictures, data sets),
:mod:`~c6seg.data.synthetic_culture` (time-lapses with a known growth law).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from c6seg.data.synthetic_cells import phase_map, place_cells, rasterise
from c6seg.data.synthetic_optics import photograph, random_field
from c6seg.data.synthetic_style import SceneStyle
from c6seg.errors import UsageError
from c6seg.runtime import atomic_path, make_folder, seed_for, write_csv

__all__ = ["SceneStyle", "SyntheticImage", "simulate_image", "write_dataset"]


@dataclass(frozen=True, slots=True)
class SyntheticImage:
    """A simulated picture and what is true about it.

    Parameters
    ----------
    pixels
        (Y, X) uint8 or uint16.
    labels
        (Y, X) int32, 0 = no cell, 1..n one number per cell. Thin processes belong to their cells; floating cells and
        debris belong to nothing.
    pixel_size_um
        Edge of a pixel in um.
    style
        The look that was simulated.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    labels: NDArray[np.int32]
    pixel_size_um: float
    style: SceneStyle


def simulate_image(*, size_hw: tuple[int, int], seed: int, style: SceneStyle | None = None) -> SyntheticImage:
    """Simulate one picture.

    Parameters
    ----------
    size_hw
        Height and width in px, at least 32 each.
    seed
        The same seed, size and style give the same picture.
    style
        The look; None draws one from the seed.

    Raises
    ------
    UsageError
        A size below 32 px.

    Examples
    --------
    >>> picture = simulate_image(size_hw=(64, 96), seed=3)
    >>> picture.pixels.shape == picture.labels.shape == (64, 96)
    True
    """
    check_size(size_hw)
    rng = np.random.default_rng(seed_for(seed, "synthetic image"))
    style = style or SceneStyle.random(rng)
    cells = place_cells(size_hw, style, rng)
    layer = rasterise(cells, size_hw, warp=border_warp(size_hw, style, rng))
    phase = phase_map(layer, cells, style, rng)
    pixels = photograph(phase, layer.labels > 0, style, rng)
    return SyntheticImage(pixels, compact_labels(layer.labels), style.pixel_size_um, style)


def write_dataset(folder: Path, *, count: int, size_hw: tuple[int, int], seed: int) -> Path:
    """Write simulated pictures as a data set: ``images/*.png``, ``masks/*.png`` (16-bit label maps), ``dataset.csv``.

    Parameters
    ----------
    folder
        Where to; made if absent.
    count
        Number of pictures.
    size_hw
        Height and width of each in px.
    seed
        Picture i is a function of (seed, i) alone, so a longer set begins with the shorter one.

    Returns
    -------
    table
        Path of ``dataset.csv``: name, family, optics, cells, covered_fraction, diameter_px, pixel_size_um.

    Raises
    ------
    UsageError
        A count below 1 or a size below 32 px.
    OutputError
        The folder cannot be written.
    """
    if count < 1:
        raise UsageError(f"count is {count}; at least 1 picture can be simulated.")
    check_size(size_hw)
    images, masks = make_folder(folder / "images"), make_folder(folder / "masks")
    rows = []
    for index in range(count):
        picture = simulate_image(size_hw=size_hw, seed=seed_for(seed, "synthetic data set", index))
        name = f"synthetic_{index:05d}"
        write_png(images / f"{name}.png", picture.pixels)
        write_png(masks / f"{name}.png", picture.labels.astype(np.uint16))
        rows.append(
            {
                "name": name,
                "family": picture.style.family,
                "optics": picture.style.optics,
                "cells": int(picture.labels.max()),
                "covered_fraction": round(float((picture.labels > 0).mean()), 4),
                "diameter_px": round(picture.style.diameter_px, 1),
                "pixel_size_um": round(picture.pixel_size_um, 4),
            }
        )
    table = folder / "dataset.csv"
    write_csv(table, list(rows[0]), rows)
    return table


def check_size(size_hw: tuple[int, int]) -> None:
    """Refuse a field that is too small to hold a cell."""
    if len(size_hw) != 2 or min(size_hw) < 32:
        raise UsageError(f"size_hw is {tuple(size_hw)}; height and width of a simulated picture are at least 32 px.")


def border_warp(
    size_hw: tuple[int, int], style: SceneStyle, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two displacement fields in px that make outlines uneven at the scale of a few pixels."""
    strength = np.float32(style.irregularity * style.diameter_px * 0.25)
    scale = max(4.0, style.diameter_px * 0.25)
    return strength * random_field(size_hw, scale, rng), strength * random_field(size_hw, scale, rng)


def compact_labels(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Renumber labels to 1..n without gaps, in the same order."""
    present = np.unique(labels)
    table = np.zeros(int(labels.max()) + 1, np.int32)
    table[present[present > 0]] = np.arange(1, int((present > 0).sum()) + 1)
    return table[labels]


def write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write a grey PNG of 8 or 16 bits, whole or not at all."""
    with atomic_path(path) as temporary:
        Picture.fromarray(pixels).save(temporary, format="PNG")
