"""A layer of cells on the pixel grid: label map and thickness, from a list of cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.data.synthetic_cells import OUTLINE_STEPS, Cell
from c6seg.data.synthetic_optics import Matter, random_field
from c6seg.data.synthetic_style import SceneStyle

__all__ = ["Layer", "border_warp", "compact_labels", "rasterise", "thickness", "with_every_cell"]

Image = NDArray[np.float32]
_MOST_SWELLING = 1.35


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


def rasterise(
    cells: list[Cell],
    size_hw: tuple[int, int],
    *,
    warp: tuple[Image, Image] | None = None,
    area_px: float | None = None,
    fill_px: float = 0.0,
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
    fill_px
        Gaps between cells of less than this area are closed by the cells around them, as in a confluent layer.
    """
    limit = _MOST_SWELLING if area_px is not None or fill_px > 0 else 1.0
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
    outside = level > threshold
    if fill_px > 0:
        gaps, count = ndimage.label(outside)
        narrow = np.bincount(gaps.ravel(), minlength=count + 1) < fill_px
        outside &= ~(narrow[gaps] & (level <= limit))
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
    turn = np.arctan2(v, u) * np.float32(OUTLINE_STEPS / (2 * np.pi))
    radius = cell.outline[turn.astype(np.int32) & (OUTLINE_STEPS - 1)]
    level = np.sqrt(u * u + v * v) / radius
    thin = np.zeros_like(level)
    for direction, length, width, bend in cell.processes:
        c, s = np.float32(np.cos(direction)), np.float32(np.sin(direction))
        far = along * c + across * s
        side = across * c - along * s - np.float32(bend) * far * far
        # broad where it leaves the body, even further out
        taper = 0.8 + 2.5 * np.exp(-np.abs(far) * np.float32(1.2 / cell.radius))
        half = np.float32(0.5 * width) * taper + np.float32(0.25)
        # a process gives way to the bodies of its neighbours but not to their rims
        arm = np.maximum(np.abs(side) / half, far / np.float32(length))
        arm = np.where(far > 0, np.maximum(arm, np.float32(0.8)), np.float32(9))
        thin = np.where(arm < level, 1 - 0.8 * np.clip(np.abs(side) / half, 0, 1), thin)
        level = np.minimum(level, arm)
    n_y, n_x, n_a, n_b = cell.nucleus
    oval = ((u * root**0.5 - n_x) / n_a) ** 2 + ((v / root**0.5 - n_y) / n_b) ** 2
    core = 1 / (1 + np.minimum(oval, 50) ** 4)
    return level.astype(np.float32), core.astype(np.float32), thin.astype(np.float32)


def thickness(layer: Layer, cells: list[Cell], style: SceneStyle, rng: np.random.Generator) -> Matter:
    """Phase delay and lens effect of a layer of cells: body, nucleus with nucleoli, granules, texture, ruffles."""
    labels = layer.labels
    mask = labels > 0
    if not mask.any():
        return Matter(np.zeros(labels.shape, np.float32), np.zeros(labels.shape, np.float32))
    depth = np.where(mask, _depth(labels) + np.float32(0.5), 0)
    widest = np.concatenate([[1.0], np.maximum(ndimage.maximum(depth, labels, np.arange(1, len(cells) + 1)), 1)])
    rounding = _per_label([cell.rounding for cell in cells], labels)
    dome = np.maximum(_per_label([cell.dome for cell in cells], labels), rounding)
    # a rounded cell keeps its volume: it is thicker
    amount = _per_label([cell.phase + (style.rounded_rad - cell.phase) * cell.rounding for cell in cells], labels)
    # the edge is steep here and drawn out there, as a lamella is
    uneven = random_field((labels.shape[0], labels.shape[1]), max(8.0, 0.6 * style.diameter_px), rng)
    edge = np.maximum(
        _per_label([style.edge_fraction * cell.radius for cell in cells], labels) * np.exp(0.5 * uneven), 0.8
    )
    amount *= np.clip(1 + 0.2 * uneven, 0.4, 1.6)
    rise = 1 - np.exp(-depth / edge)
    sphere = np.sqrt(np.clip(1 - (1 - depth / widest.astype(np.float32)[labels]) ** 2, 0, 1))
    flat = rise * (0.45 + 0.55 * (1 - layer.level**2))
    spread = 1 - rounding
    phase = amount * ((1 - dome) * flat + dome * sphere)
    seen = _beyond_skirt(mask, min(style.skirt_px, 0.08 * style.diameter_px))
    rise *= seen
    phase *= seen
    phase = np.maximum(phase, np.float32(style.phase_rad * 0.6) * layer.arm)
    phase += layer.nucleus * rise * spread * np.float32(style.nucleus_rad)
    ruffle = np.float32(style.ruffle_rad) * np.clip(0.6 - uneven, 0, 2) * np.exp(-(((depth - 2.2) / 1.2) ** 2))
    phase += ruffle * spread * seen
    noise = rng.standard_normal(labels.shape, dtype=np.float32)
    fine = ndimage.gaussian_filter(noise, 0.7, truncate=3.0)
    texture = (fine - ndimage.gaussian_filter(fine, 2.5, truncate=3.0)) / np.float32(0.4)
    phase += np.float32(style.texture_rad) * texture * rise * (1 - 0.6 * layer.nucleus)
    phase += _granules(layer, style, rng) * np.minimum(rise * 1.5, 1)
    lens = np.float32(style.lens) * rounding * sphere**2
    return Matter(np.where(mask, phase, 0).astype(np.float32), lens.astype(np.float32))


def _beyond_skirt(mask: NDArray[np.bool_], skirt_px: float) -> Image:
    """Return 0 in the seam of a layer that is too thin to see, 1 inside."""
    if skirt_px <= 0:
        return np.ones(mask.shape, np.float32)
    return np.clip(ndimage.distance_transform_edt(mask) - skirt_px, 0, 1).astype(np.float32)


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
    crowded = np.exp(-(((layer.level - 0.45) / 0.18) ** 2)) * 2.5 + np.float32(0.15)
    share = np.float32(rng.random())
    near = (share * crowded + (1 - share) * np.clip(1.15 - layer.level, 0.05, 1)) * (1 - layer.nucleus)
    spots = (chance < np.float32(style.granule_density) * near) & (layer.labels > 0)
    dots = np.zeros(layer.labels.shape, np.float32)
    count = int(spots.sum())
    dots[spots] = style.granule_rad * rng.gamma(2, 0.5, count) * np.where(rng.random(count) < 0.8, 1, -0.7)
    sigma = rng.uniform(0.5, 0.95)
    out = ndimage.gaussian_filter(dots, sigma, truncate=3.0) * (2 * np.pi * sigma**2)
    nucleoli = (chance > 0.985) & (layer.nucleus > 0.8)
    dots = np.where(nucleoli, np.float32(style.nucleolus_rad), 0).astype(np.float32)
    return (out + ndimage.gaussian_filter(dots, 1.3, truncate=3.0) * (2 * np.pi * 1.3**2) * 0.6).astype(np.float32)


def border_warp(
    size_hw: tuple[int, int], style: SceneStyle, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two displacement fields in px that make outlines uneven at the scale of a few pixels."""
    strength = np.float32(style.irregularity * style.diameter_px * 0.2)
    scale = max(6.0, style.diameter_px * 0.35)
    return strength * random_field(size_hw, scale, rng), strength * random_field(size_hw, scale, rng)


def compact_labels(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Renumber labels to 1..n without gaps, in the same order."""
    present = np.unique(labels)
    table = np.zeros(int(labels.max()) + 1, np.int32)
    table[present[present > 0]] = np.arange(1, int((present > 0).sum()) + 1)
    return table[labels]


def with_every_cell(layer: Layer, cells: list[Cell]) -> Layer:
    """Give a crowded-out cell the pixel of its centre, so that the label map counts like the law."""
    present = np.bincount(layer.labels.ravel(), minlength=len(cells) + 1)
    for number in np.flatnonzero(present[1:] == 0) + 1:
        cell = cells[int(number) - 1]
        y, x = int(np.clip(cell.y, 0, layer.labels.shape[0] - 1)), int(np.clip(cell.x, 0, layer.labels.shape[1] - 1))
        for shift in range(layer.labels.shape[1]):
            column = (x + shift) % layer.labels.shape[1]
            owner = layer.labels[y, column]
            if owner == 0 or present[owner] > 1:
                present[owner] -= 1
                present[number] = 1
                layer.labels[y, column] = number
                break
    return layer
