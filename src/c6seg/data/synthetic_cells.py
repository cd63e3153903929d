"""Outlines of adherent cells and their thickness: from a list of cells to a label map and a phase map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.data.synthetic_optics import random_field
from c6seg.data.synthetic_style import SceneStyle

__all__ = ["Cell", "Layer", "draw_cell", "phase_map", "place_cells", "rasterise"]

Image = NDArray[np.float32]
_ANGLES = 256


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


class Layer(NamedTuple):
    """Cells on the pixel grid.

    ``labels`` (Y, X) int32, 0 = none, i + 1 = cell i of the list; ``level`` (Y, X) float32, 0 at the centre of a cell
    and 1 at its outline; ``nucleus`` (Y, X) float32, 1 inside the nucleus, 0 outside; ``arm`` (Y, X) float32, 1 on the
    axis of a thin process, 0 outside.
    """

    labels: NDArray[np.int32]
    level: Image
    nucleus: Image
    arm: Image


def draw_cell(style: SceneStyle, rng: np.random.Generator, *, y: float, x: float, angle: float) -> Cell:
    """Draw one cell of a style at a place (px) with its long axis near a direction (radians)."""
    rounding = 1.0 if rng.random() < style.rounded else 0.0
    radius = 0.5 * style.diameter_px * float(np.exp(style.diameter_spread * rng.standard_normal()))
    radius = float(np.clip(radius, 4, 90))
    if rounding:
        radius *= 0.75
    stretch = 1.0 if rounding else max(1.0, 1 + (style.elongation - 1) * rng.gamma(4, 0.25))
    corners = int(np.clip(round(rng.normal(style.corners, 0.8)), 0, 7))
    roughness = style.irregularity * rng.uniform(0.5, 1.5)
    outline = _outline(0 if rounding else corners, style.concavity, roughness * (0.3 if rounding else 1), rng)
    wide = 2 * radius
    processes = tuple(
        (
            float(rng.choice([0.0, np.pi]) + rng.normal(0, 0.9)),
            float(wide * (0.3 + style.process_length * rng.gamma(3, 1 / 3))),
            float(style.process_width_px * rng.uniform(0.6, 1.4)),
            float(rng.normal(0, 0.25) / wide),
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
    theta = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
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
        radius = np.ones(_ANGLES)
    for order in range(2, 9):
        radius = radius * (
            1 + roughness * rng.standard_normal() * 1.6 / order * np.cos(order * theta + rng.uniform(0, 6.3))
        )
    radius = np.maximum(radius, 0.2)
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


def rasterise(
    cells: list[Cell],
    size_hw: tuple[int, int],
    *,
    warp: tuple[Image, Image] | None = None,
    area_px: float | None = None,
) -> Layer:
    """Draw cells without overlap: where two meet, the nearer one (in units of its own radius) has the pixel.

    Parameters
    ----------
    cells
        The cells; a cell that is covered or out of the field leaves no pixel.
    size_hw
        Size of the field.
    warp
        Two (Y, X) displacement fields in px that roughen the borders.
    area_px
        Total area that the cells shall cover; outlines swell or shrink together (by at most 35 % of the radius) until
        they do. None keeps the drawn outlines.
    """
    limit = 1.35 if area_px is not None else 1.0
    level = np.full(size_hw, np.inf, np.float32)
    labels = np.zeros(size_hw, np.int32)
    nucleus, arm = np.zeros(size_hw, np.float32), np.zeros(size_hw, np.float32)
    for number, cell in enumerate(cells, start=1):
        window = _window(cell, size_hw, limit)
        if window is None:
            continue
        y = np.arange(window[0].start, window[0].stop, dtype=np.float32)[:, None] - np.float32(cell.y)
        x = np.arange(window[1].start, window[1].stop, dtype=np.float32)[None, :] - np.float32(cell.x)
        if warp is not None:
            y, x = y + warp[0][window], x + warp[1][window]
        own, core, thin = _levels(cell, y, x)
        nearer = own < np.minimum(level[window], limit)
        np.copyto(level[window], own, where=nearer)
        np.copyto(labels[window], np.int32(number), where=nearer)
        np.copyto(nucleus[window], core, where=nearer)
        np.copyto(arm[window], thin, where=nearer)
    threshold = 1.0
    if area_px is not None:
        share = min(area_px / level.size, 1.0)
        threshold = float(np.clip(np.quantile(level, share, method="lower"), 0.65, limit))
    outside = ~(level <= threshold)
    labels[outside] = 0
    nucleus[outside] = 0
    arm[outside] = 0
    level = np.minimum(level / np.float32(threshold), np.float32(1))
    return Layer(labels, level, nucleus, arm)


def _window(cell: Cell, size_hw: tuple[int, int], limit: float) -> tuple[slice, slice] | None:
    reach = cell.radius * float(cell.outline.max()) * np.sqrt(cell.stretch) * limit + 4
    reach = max([reach, *(length + 4 for _, length, _, _ in cell.processes)])
    y0, y1 = max(0, int(cell.y - reach)), min(size_hw[0], int(cell.y + reach) + 1)
    x0, x1 = max(0, int(cell.x - reach)), min(size_hw[1], int(cell.x + reach) + 1)
    return (slice(y0, y1), slice(x0, x1)) if y0 < y1 and x0 < x1 else None


def _levels(cell: Cell, y: Image, x: Image) -> tuple[Image, Image, Image]:
    """Level of the outline (1 = edge), soft indicators of the nucleus and of the processes on a patch of offsets."""
    cosine, sine = np.float32(np.cos(cell.angle)), np.float32(np.sin(cell.angle))
    along, across = x * cosine + y * sine, y * cosine - x * sine
    root = np.float32(np.sqrt(cell.stretch))
    u, v = along / (root * cell.radius), across * (root / cell.radius)
    turn = np.arctan2(v, u) * np.float32(_ANGLES / (2 * np.pi))
    radius = cell.outline[turn.astype(np.int32) & (_ANGLES - 1)]
    level = np.sqrt(u * u + v * v) / radius
    thin = np.zeros_like(level)
    for direction, length, width, bend in cell.processes:
        c, s = np.float32(np.cos(direction)), np.float32(np.sin(direction))
        far = along * c + across * s
        side = across * c - along * s - np.float32(bend) * far * far
        half = np.float32(0.5 * width) * (1.6 - np.clip(far / length, 0, 1)) + np.float32(0.25)
        # a process gives way to the bodies of its neighbours but not to their rims
        arm = np.maximum(np.abs(side) / half, far / np.float32(length))
        arm = np.where(far > 0, np.maximum(arm, np.float32(0.8)), np.float32(9))
        thin = np.where(arm < level, 1 - 0.8 * np.clip(np.abs(side) / half, 0, 1), thin)
        level = np.minimum(level, arm)
    n_y, n_x, n_a, n_b = cell.nucleus
    oval = ((u * root**0.5 - n_x) / n_a) ** 2 + ((v / root**0.5 - n_y) / n_b) ** 2
    core = 1 / (1 + np.minimum(oval, 50) ** 4)
    return level.astype(np.float32), core.astype(np.float32), thin.astype(np.float32)


def phase_map(layer: Layer, cells: list[Cell], style: SceneStyle, rng: np.random.Generator) -> Image:
    """Phase delay in radians of a layer of cells: body, nucleus with nucleoli, granules, texture, ruffles."""
    labels = layer.labels
    mask = labels > 0
    if not mask.any():
        return np.zeros(labels.shape, np.float32)
    depth = np.where(mask, _depth(labels) + np.float32(0.5), 0)
    widest = np.concatenate([[1.0], np.maximum(ndimage.maximum(depth, labels, np.arange(1, len(cells) + 1)), 1)])
    rounding = _per_label([cell.rounding for cell in cells], labels)
    dome = np.maximum(_per_label([cell.dome for cell in cells], labels), rounding)
    # a rounded cell keeps its volume: it is thicker
    amount = _per_label([cell.phase * (1 + 1.6 * cell.rounding) for cell in cells], labels)
    edge = np.maximum(_per_label([style.edge_fraction * cell.radius for cell in cells], labels), 1)
    rise = 1 - np.exp(-depth / edge)
    sphere = np.sqrt(np.clip(1 - (1 - depth / widest.astype(np.float32)[labels]) ** 2, 0, 1))
    flat = rise * (0.45 + 0.55 * (1 - layer.level**2))
    spread = 1 - rounding
    phase = amount * ((1 - dome) * flat + dome * sphere)
    phase = np.maximum(phase, np.float32(style.phase_rad * 0.9) * layer.arm)
    phase += layer.nucleus * rise * spread * np.float32(style.nucleus_rad)
    phase += np.float32(style.ruffle_rad) * np.exp(-(((depth - 2.2) / 1.2) ** 2)) * spread
    noise = rng.standard_normal(labels.shape, dtype=np.float32)
    fine = ndimage.gaussian_filter(noise, 0.7, truncate=3.0)
    texture = (fine - ndimage.gaussian_filter(fine, 2.5, truncate=3.0)) / np.float32(0.4)
    phase += np.float32(style.texture_rad) * texture * rise * (1 - 0.6 * layer.nucleus)
    phase += _granules(layer, style, rng) * np.minimum(rise * 1.5, 1)
    return np.where(mask, phase, 0).astype(np.float32)


def _depth(labels: NDArray[np.int32]) -> Image:
    """Distance in px of each pixel of a cell from its outline, whether background or a neighbour lies beyond."""
    border = np.zeros(labels.shape, dtype=bool)
    vertical, horizontal = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    border[1:] |= vertical
    border[:-1] |= vertical
    border[:, 1:] |= horizontal
    border[:, :-1] |= horizontal
    depth = ndimage.distance_transform_edt(~border)
    return np.where(labels > 0, depth, 0).astype(np.float32)


def _per_label(values: list[float], labels: NDArray[np.int32]) -> Image:
    return np.array([0.0, *values], dtype=np.float32)[labels]


def _granules(layer: Layer, style: SceneStyle, rng: np.random.Generator) -> Image:
    """Granules around the nucleus and nucleoli inside it, as small bumps of phase."""
    chance = rng.random(layer.labels.shape, dtype=np.float32)
    near = np.clip(1.15 - layer.level, 0.05, 1) * (1 - layer.nucleus)
    spots = (chance < np.float32(style.granule_density) * near) & (layer.labels > 0)
    dots = np.zeros(layer.labels.shape, np.float32)
    count = int(spots.sum())
    dots[spots] = style.granule_rad * rng.gamma(2, 0.5, count) * np.where(rng.random(count) < 0.8, 1, -0.7)
    sigma = rng.uniform(0.5, 0.95)
    out = ndimage.gaussian_filter(dots, sigma, truncate=3.0) * (2 * np.pi * sigma**2)
    nucleoli = (chance > 0.985) & (layer.nucleus > 0.8)
    dots = np.where(nucleoli, np.float32(style.nucleolus_rad), 0).astype(np.float32)
    return (out + ndimage.gaussian_filter(dots, 1.3, truncate=3.0) * (2 * np.pi * 1.3**2) * 0.6).astype(np.float32)
