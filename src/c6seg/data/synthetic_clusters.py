"""Simulated pictures with dense clusters of dead, rounded cells that lie on each other, and where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.data.synthetic import SyntheticImage
from c6seg.data.synthetic_cells import place_cells
from c6seg.data.synthetic_layer import border_warp, compact_labels, rasterise, thickness
from c6seg.data.synthetic_optics import Matter, photograph
from c6seg.data.synthetic_style import SceneStyle, check_size
from c6seg.runtime import seed_for

__all__ = ["ClusteredImage", "Pile", "simulate_clusters"]

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ClusteredImage(SyntheticImage):
    """A simulated picture with clusters.

    Parameters
    ----------
    clusters
        (Y, X) bool, True = within a cluster. ``labels`` holds the attached cells, also those below a cluster.
    """

    clusters: NDArray[np.bool_]


class Pile(NamedTuple):
    """Balls on each other: (Y, X) phase delay in radians; (Y, X) bool, where they lie."""

    phase_rad: Image
    mask: NDArray[np.bool_]


def simulate_clusters(
    *, size_hw: tuple[int, int], seed: int, count: int, style: SceneStyle | None = None
) -> ClusteredImage:
    """Simulate one picture with clusters of 20 to 80 dead cells.

    Parameters
    ----------
    size_hw
        Height and width in px, at least 32 each.
    seed
        The same seed, size, count and style give the same picture.
    count
        Number of clusters; 0 gives the same culture without any.
    style
        The look; None draws one from the seed.

    Raises
    ------
    UsageError
        A size below 32 px.

    Examples
    --------
    >>> picture = simulate_clusters(size_hw=(128, 160), seed=3, count=1)
    >>> bool(picture.clusters.any()), simulate_clusters(size_hw=(128, 160), seed=3, count=0).clusters.any().item()
    (True, False)
    """
    check_size(size_hw)
    rng = np.random.default_rng(seed_for(seed, "synthetic clusters"))
    style = style or SceneStyle.random(rng)
    cells = place_cells(size_hw, style, rng)
    layer = rasterise(cells, size_hw, warp=border_warp(size_hw, style, rng), fill_px=0.0)
    matter = thickness(layer, cells, style, rng)
    pile = pile_up(size_hw, count, style, np.random.default_rng(seed_for(seed, "synthetic clusters", "pile")))
    # thick balls gather light like lenses, as floating cells do
    lens = matter.lens + np.float32(style.lens / 9) * pile.phase_rad**2
    pixels = photograph(Matter(matter.phase_rad + pile.phase_rad, lens), layer.labels > 0, style, rng)
    labels = compact_labels(layer.labels)
    return ClusteredImage(pixels, labels, style.pixel_size_um, style, pile.mask)


def pile_up(size_hw: tuple[int, int], count: int, style: SceneStyle, rng: np.random.Generator) -> Pile:
    """Pile up dead cells: balls that have shrunk to a quarter of the width of a living cell, about two on each other.

    Parameters
    ----------
    size_hw
        Height and width in px.
    count
        Number of clusters.
    style
        The look; ``diameter_px`` decides the size of the balls.
    rng
        Source of chance.
    """
    phase = np.zeros(size_hw, np.float32)
    base = float(np.clip(style.diameter_px * 0.22, 4, 11))
    for _ in range(count):
        centre = rng.uniform(0.15, 0.85, 2) * size_hw
        number = int(rng.integers(20, 81))
        spread = rng.uniform(0.75, 1.35, 2) * 0.36 * base * np.sqrt(number)
        for _ in range(number):
            place = centre + rng.normal(0, 1, 2) * spread
            _add_ball(phase, place, base * rng.uniform(0.65, 1.25), rng.uniform(1.2, 3.2))
    reach = max(1, round(base / 2))
    mask = ndimage.binary_closing(np.pad(phase > 0.3, reach), iterations=reach)[reach:-reach, reach:-reach]
    # single balls beside a cluster are no part of it
    labels, _ = ndimage.label(ndimage.binary_opening(mask, iterations=reach))
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    return Pile(phase, np.asarray((areas >= 6 * np.pi * base**2)[labels], dtype=np.bool_))


def _add_ball(phase: Image, centre: NDArray[np.float64], radius: float, height: float) -> None:
    """Add the phase delay of a ball in place."""
    top, left = (max(0, int(value - radius)) for value in centre)
    rows, columns = np.ogrid[top : int(centre[0] + radius) + 2, left : int(centre[1] + radius) + 2]
    part = phase[top : rows.size + top, left : columns.size + left]
    r2 = ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / radius**2
    ball = height * np.sqrt(np.clip(1 - r2, 0, None))
    part += ball[: part.shape[0], : part.shape[1]].astype(np.float32)
