"""Simulated phase-contrast pictures of adherent cells with known masks and scale.

Reading order: :mod:`~c6seg.data.synthetic_style` (what a culture looks like), :mod:`~c6seg.data.synthetic_cells`
(single cells), :mod:`~c6seg.data.synthetic_layer` (label map and thickness), :mod:`~c6seg.data.synthetic_optics` (image
formation), :mod:`~c6seg.data.synthetic_culture` (time-lapses with a known growth law), this module (pictures and
files).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from c6seg.data.synthetic_cells import place_cells
from c6seg.data.synthetic_culture import CultureFrame, culture_style, simulate_culture
from c6seg.data.synthetic_layer import border_warp, compact_labels, rasterise, thickness
from c6seg.data.synthetic_optics import photograph
from c6seg.data.synthetic_style import SceneStyle, check_size
from c6seg.errors import UsageError
from c6seg.runtime import atomic_path, make_folder, save_picture, seed_for, write_csv

__all__ = [
    "CultureFrame",
    "SceneStyle",
    "SyntheticImage",
    "simulate_culture",
    "simulate_image",
    "write_culture",
    "write_dataset",
]


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
    # where cells touch all round, they leave no gaps smaller than themselves
    fill_px = 0.6 * math.pi / 4 * style.diameter_px**2 if style.packing >= 1 else 0.0
    layer = rasterise(cells, size_hw, warp=border_warp(size_hw, style, rng), fill_px=fill_px)
    matter = thickness(layer, cells, style, rng)
    pixels = photograph(matter, layer.labels > 0, style, rng)
    return SyntheticImage(pixels, compact_labels(layer.labels), style.pixel_size_um, style)


def write_dataset(folder: Path, *, count: int, size_hw: tuple[int, int], seed: int, family: str | None = None) -> Path:
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
        Picture i is a function of (seed, i) and the family alone, so a longer set begins with the shorter one.
    family
        Row of :data:`~c6seg.data.synthetic_style.FAMILIES` that all pictures are of; None draws one for each.

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
        number = seed_for(seed, "synthetic data set", index)
        style = None if family is None else SceneStyle.random(np.random.default_rng(number), family=family)
        picture = simulate_image(size_hw=size_hw, seed=number, style=style)
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


def write_culture(
    folder: Path,
    *,
    size_hw: tuple[int, int],
    times_h: Sequence[float],
    growth_rates_per_h: Mapping[str, float],
    start_count: int,
    seed: int,
    pixel_size_um: float = 0.87,
    style: SceneStyle | None = None,
    capacity: float | None = None,
    prefix: str = "Demo_Phase",
) -> Path:
    """Write simulated time-lapses of several wells, as a microscope would, with the truth beside them.

    ``images/Demo_Phase_A1_1_00d04h00m_1.tif`` (16-bit, pixel size in the resolution tags), ``masks/`` with the same
    names (16-bit PNG label maps), and ``truth.csv``: image, well, time_h, count, confluence, growth_rate_per_h,
    doubling_time_h (empty where nothing grows).

    Parameters
    ----------
    folder
        Where to; made if absent.
    size_hw, times_h, start_count, seed, pixel_size_um, style, capacity
        As in :func:`simulate_culture`; every well has a seed of its own.
    growth_rates_per_h
        Growth rate of each well by its name, e.g. ``{"A1": 0.03, "A2": 0.02}``.
    prefix
        What the file names begin with.

    Returns
    -------
    table
        Path of ``truth.csv``.

    Raises
    ------
    UsageError
        As :func:`simulate_culture`, or no well.
    OutputError
        The folder cannot be written.
    """
    if not growth_rates_per_h:
        raise UsageError("growth_rates_per_h is empty; give at least one well, e.g. {'A1': 0.03}.")
    # one look for the whole plate, drawn for the fastest well, so that cells have the same size everywhere
    law: dict[str, Any] = {"size_hw": size_hw, "times_h": times_h, "start_count": start_count, "capacity": capacity}
    fastest = max(growth_rates_per_h.values())
    style = replace(style or culture_style(growth_rate_per_h=fastest, **law), bits=16)
    images, masks = make_folder(folder / "images"), make_folder(folder / "masks")
    rows = []
    for well, rate in growth_rates_per_h.items():
        frames = simulate_culture(
            growth_rate_per_h=rate,
            seed=seed_for(seed, "well", well),
            pixel_size_um=pixel_size_um,
            style=style,
            **law,
        )
        for frame in frames:
            name = f"{prefix}_{well}_1_{_clock(frame.time_h)}_1"
            _write_tiff(images / f"{name}.tif", frame.pixels, pixel_size_um)
            write_png(masks / f"{name}.png", frame.labels.astype(np.uint16))
            rows.append(
                {
                    "image": f"{name}.tif",
                    "well": well,
                    "time_h": frame.time_h,
                    "count": frame.count,
                    "confluence": round(frame.confluence, 6),
                    "growth_rate_per_h": rate,
                    "doubling_time_h": math.log(2) / rate if rate > 0 else None,
                }
            )
    table = folder / "truth.csv"
    write_csv(table, list(rows[0]), rows)
    return table


def _clock(time_h: float) -> str:
    minutes = round(time_h * 60)
    return f"{minutes // 1440:02d}d{minutes // 60 % 24:02d}h{minutes % 60:02d}m"


def write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write a grey PNG of 8 or 16 bits, whole or not at all."""
    with atomic_path(path) as temporary:
        save_picture(Picture.fromarray(pixels), temporary, format="PNG")


def _write_tiff(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16], pixel_size_um: float) -> None:
    import tifffile

    per_cm = 1e4 / pixel_size_um
    with atomic_path(path) as temporary:
        tifffile.imwrite(temporary, pixels, resolution=(per_cm, per_cm), resolutionunit="CENTIMETER", metadata=None)
