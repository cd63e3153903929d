"""Single cells: their outlines, and where they settle on a field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.data.synthetic_optics import random_field
from c6seg.data.synthetic_style import SceneStyle

__all__ = ["OUTLINE_STEPS", "Cell", "draw_cell", "place_cells"]

Image = NDArray[np.float32]
OUTLINE_STEPS = 256  # directions in which an outline is tabulated
_DIRECTIONS = np.arange(OUTLINE_STEPS) * (2 * np.pi / OUTLINE_STEPS)
_ORDERS = np.arange(2, 8)[:, None]  # waves of roughness per turn


@dataclass(slots=True)
class Cell:
    """One adherent cell.

    Parameters
    ----------
    y, x
        Centre in px.
    radius
        Radius in px of the disc of the same area.
    angle, stretch
        Direction of the long axis in radians, axis ratio.
    outline
        (256,) relative radius by direction in the cell's own frame.
    processes
        Thin processes: direction, length and width at the base in px, bend.
    nucleus
        Offset (y, x) and half axes (a, b) of the nucleus, in radii of the cell.
    rounding
        0 spread, 1 rounded up.
    phase, dome
        Phase delay of the body in radians, 0 flat to 1 sphere.
    """

    y: float
    x: float
    radius: float
    angle: float
    stretch: float
    outline: Image
    processes: tuple[tuple[float, float, float, float], ...]
    nucleus: tuple[float, float, float, float]
    rounding: float
    phase: float
    dome: float


def draw_cell(style: SceneStyle, rng: np.random.Generator, *, y: float, x: float, angle: float) -> Cell:
    """Draw one cell of a style at a place (px) with its long axis near a direction (radians)."""
    rounding = 1.0 if rng.random() < style.rounded else 0.0
    radius = 0.5 * style.diameter_px * float(np.exp(style.diameter_spread * rng.standard_normal()))
    radius = float(np.clip(radius, 4, 90))
    if rounding:
        radius *= 0.75
    stretch = 1.0 if rounding else max(1.0, 1 + (style.elongation - 1) * rng.gamma(4, 0.25))
    corners = int(np.clip(round(rng.normal(style.corners, 0.8)), 3, 7)) if style.corners >= 2.5 else 0
    roughness = style.irregularity * rng.uniform(0.5, 1.5)
    outline = _outline(0 if rounding else corners, style.concavity, roughness * (0.3 if rounding else 1), rng)
    wide = 2 * radius
    processes = tuple(
        (
            float(rng.choice([0.0, np.pi]) + rng.normal(0, 0.5)),
            float(wide * (0.3 + style.process_length * rng.gamma(3, 1 / 3))),
            float(style.process_width_px * rng.uniform(0.6, 1.4)),
            float(rng.normal(0, 0.35) / wide),
        )
        for _ in range(0 if rounding else rng.poisson(style.processes))
    )
    shift = rng.normal(0, 0.12, 2)
    size = float(rng.uniform(0.3, 0.42))
    return Cell(
        y=y,
        x=x,
        radius=radius,
        angle=angle,
        stretch=float(stretch),
        outline=outline,
        processes=processes,
        nucleus=(float(shift[0]), float(shift[1]), size, size * float(rng.uniform(0.7, 1.0))),
        rounding=rounding,
        phase=float(style.phase_rad * np.exp(0.25 * rng.standard_normal())),
        dome=float(np.clip(style.dome + 0.12 * rng.standard_normal(), 0, 1)),
    )


def _outline(corners: int, concavity: float, roughness: float, rng: np.random.Generator) -> Image:
    """Relative radius by direction, scaled to the area of the unit disc."""
    theta = _DIRECTIONS
    if corners >= 3:
        at = np.sort((np.arange(corners) + rng.uniform(-0.28, 0.28, corners)) * (2 * np.pi / corners))
        reach = rng.uniform(0.75, 1.35, corners)
        ends = np.append(at, at[0] + 2 * np.pi)
        reach = np.append(reach, reach[0])
        turned = (theta - at[0]) % (2 * np.pi) + at[0]
        left = np.clip(np.searchsorted(ends, turned, side="right") - 1, 0, corners - 1)
        gap = ends[left + 1] - ends[left]
        part = turned - ends[left]
        # straight edge between two corners in polar form
        denominator = reach[left] * np.sin(part) + reach[left + 1] * np.sin(gap - part)
        radius = reach[left] * reach[left + 1] * np.sin(np.minimum(gap, 3.0)) / np.maximum(denominator, 1e-3)
        u = 2 * part / gap - 1
        bend = concavity * rng.uniform(0.4, 1.4, corners)[left]
        radius = np.clip(radius, 0.3, 1.6) * (1 - np.clip(bend, 0, 0.65) * (1 - u**2))
        radius = ndimage.gaussian_filter1d(radius, rng.uniform(2, 6), mode="wrap")
    else:
        radius = np.ones(OUTLINE_STEPS)
    waves = np.cos(_ORDERS * theta + rng.uniform(0, 2 * np.pi, _ORDERS.shape))
    size = roughness * rng.standard_normal(_ORDERS.shape) * 4 / _ORDERS**2
    radius = np.maximum(radius * np.prod(1 + size * waves, axis=0), 0.2)
    return np.asarray(radius / np.sqrt(np.mean(radius**2)), dtype=np.float32)


def place_cells(size_hw: tuple[int, int], style: SceneStyle, rng: np.random.Generator) -> list[Cell]:
    """Settle cells on a field: dense regions, single cells between them, directions shared with the neighbours."""
    settled = style.region_fraction > 0
    spacing = style.diameter_px * np.sqrt(np.pi / 4 / style.packing) if settled else style.diameter_px
    rows = np.arange(-spacing, size_hw[0] + spacing, spacing * np.sqrt(3) / 2)
    columns = np.arange(-spacing, size_hw[1] + spacing, spacing)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    x = x + 0.5 * spacing * (np.arange(len(rows)) % 2)[:, None] * 1.0
    y = y.ravel() + rng.normal(0, 0.2 * spacing, y.size)
    x = x.ravel() + rng.normal(0, 0.2 * spacing, x.size)
    field = random_field(size_hw, style.region_px, rng)
    row = np.clip(y.astype(int), 0, size_hw[0] - 1)
    column = np.clip(x.astype(int), 0, size_hw[1] - 1)
    inside = np.zeros(y.size, dtype=bool)
    if settled:
        inside = field[row, column] <= np.quantile(field, min(style.region_fraction, 1.0))
    keep = inside | (~inside & (rng.random(y.size) < style.scatter / style.packing))
    direction = random_field(size_hw, 2.5 * style.region_px, rng)[row, column] * 1.2 + rng.uniform(0, np.pi)
    direction = direction + (1 - style.alignment) * rng.uniform(-np.pi / 2, np.pi / 2, y.size)
    return [
        draw_cell(style, rng, y=float(y[k]), x=float(x[k]), angle=float(direction[k])) for k in np.flatnonzero(keep)
    ]
