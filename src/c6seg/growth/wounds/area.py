"""Where the wound of a scratch assay is, and how much of it is still open: masks in, areas in pixels out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from c6seg.errors import DataError
from c6seg.growth.words import percent
from c6seg.growth.wounds.pixels import (
    Bools,
    centre_yx,
    hull_area_px,
    opened,
    parts,
    shifted,
    straight,
    widened,
    without_small,
)

Shape = Literal["strip", "round", "edge", "other"]
# A gap narrower than about a cell is no gap: 2 x 10 um, or 2 % of the shorter side where the scale is unknown.
CELL_UM, CELL_PART = 10.0, 0.01
# Least part of the image that counts as layer, and not as single cells or debris.
ISLAND = 0.01
# The layer that a wound is scratched into: part of the image it fills, and how much of the ground beside the wound.
LEAST_LAYER, LEAST_COVER = 0.15, 0.75
# Least part of the image that a wound fills, and how wide it is at least, in cell widths.
LEAST_GAP, LEAST_WIDTH = 0.03, 2.0
# Largest other hole of the layer, as a part of the wound, for wounds between two layers and for others.
LARGEST_OTHER = {2: 0.35, 1: 0.2}
# How narrow a wound may be in places, as a part of its widest; the second where the first finds none.
NARROWEST = (1 / 2, 1 / 3)
# How much of its convex hull a wound fills at least: background that winds between colonies fills less.
LEAST_SOLID = {2: 0.6, 1: 0.8}
# How far the gap may move or widen, as a part of the shorter side.
MARGIN = 0.05
# An image counts as shifted where by this part of the wound more is open at the new place.
CLEARER = 0.03


@dataclass(frozen=True, slots=True)
class Wound:
    """The wound in the first image of a field.

    Parameters
    ----------
    region
        (Y, X) bool, the wound with the single cells and the debris inside it.
    near
        (Y, X) bool, the wound and its surroundings, in which it is looked for later.
    shape
        ``"strip"`` = between two layers, ``"round"`` = a layer all round, ``"edge"`` = one front in the image.
    fronts_px
        Length of each front, from end to end; empty where the fronts are not straight.
    axis_yx
        Unit vector along a strip or an edge; None for others.
    cell_px
        Half width of a gap that is too narrow to count.
    inside, outside
        Covered part of the wound and of the layer, 0..1.
    """

    region: Bools
    near: Bools
    shape: Shape
    fronts_px: tuple[float, ...]
    axis_yx: tuple[float, float] | None
    cell_px: int
    inside: float
    outside: float

    @property
    def area_px(self) -> int:
        """Area of the wound with what lies inside it, px."""
        return int(np.count_nonzero(self.region))

    @property
    def front_length_px(self) -> float | None:
        """Half the length of all fronts: the mean length of the two fronts of a strip."""
        return sum(self.fronts_px) / 2 if self.fronts_px else None


@dataclass(frozen=True, slots=True)
class Gap:
    """What is open of a wound in one image.

    Parameters
    ----------
    mask
        (Y, X) bool, True = open.
    area_px
        Its area, px.
    analysed_px
        Area of the image, px.
    density
        How densely the wound is covered, compared with the layer beside it: 0 at the start, 1 where they are alike
        (relative wound density). None where there is no layer to compare with.
    shift_yx
        By how much the image is shifted against the first one, px; (0, 0) unless it is clearly shifted.
    """

    mask: Bools
    area_px: int
    analysed_px: int
    density: float | None
    shift_yx: tuple[int, int]

    @property
    def fraction(self) -> float:
        """Part of the image that is open wound, 0..1."""
        return self.area_px / self.analysed_px


def cell_scale_px(size_hw: tuple[int, int], pixel_size_um: float | None) -> int:
    """Return the half width of a gap that is too narrow to count, px.

    Examples
    --------
    >>> cell_scale_px((1000, 1400), None), cell_scale_px((1000, 1400), 1.25)
    (10, 8)
    """
    shorter = min(size_hw)
    wanted = CELL_PART * shorter if pixel_size_um is None else CELL_UM / pixel_size_um
    return max(1, min(round(wanted), shorter // 25))


def find_wound(mask: Bools, *, pixel_size_um: float | None = None) -> tuple[Wound | None, str]:
    """Find the one large gap in a layer of cells.

    Cells and debris inside the gap and holes in the layer do no harm. The gap may be a strip in any direction, may be
    round, or may reach over the edge of the image.

    Parameters
    ----------
    mask
        (Y, X) bool, True = cell: the first image of a field.
    pixel_size_um
        Edge of a pixel in um; None = unknown.

    Returns
    -------
    tuple
        The wound and an empty text; or None, and why there is none.

    Raises
    ------
    DataError
        The mask is not two-dimensional bool, or has no pixels.
    """
    _check(mask)
    cell = cell_scale_px((mask.shape[0], mask.shape[1]), pixel_size_um)
    if not mask.any():
        return None, "there are no cells in the first image"
    void = opened(~mask, cell)
    layer = without_small(~void, ISLAND * mask.size)
    if layer.mean() < LEAST_LAYER:
        return None, (
            f"there is no layer of cells around a gap: {percent(mask.mean())} of the first image is covered, "
            f"and {percent(layer.mean())} by cells that touch each other"
        )
    tries = [_judge(mask, region, void, cell) for region in _largest_gaps(layer, void, cell)]
    wounds = [wound for wound, _ in tries if wound is not None]
    if not wounds:
        return None, tries[0][1] if tries else "the layer of cells has no large gap in the first image"
    # a strip that is narrow in places may look cut off at first
    return next((wound for wound in wounds if wound.shape != "other"), wounds[0]), ""


def follow_wound(mask: Bools, wound: Wound, *, shift_yx: tuple[int, int] = (0, 0)) -> Gap | None:
    """Find what is open of a wound in a later image of the same field.

    Single cells inside the gap count as covered ground; holes that open elsewhere in the layer do not count. A shift of
    the image is found where most of the gap is still open, and else taken to be as before.

    Parameters
    ----------
    mask
        (Y, X) bool, True = cell.
    wound
        As found in the first image.
    shift_yx
        Shift of the image before this one, px.

    Returns
    -------
    Gap
        None where the layer beside the wound cannot be seen: images out of focus, failed masks.

    Raises
    ------
    DataError
        The mask is not two-dimensional bool, or of another size than the first.
    """
    _check(mask)
    if mask.shape != wound.region.shape:
        raise DataError(f"The mask is {mask.shape} and the first one {wound.region.shape}; they must have one shape.")
    void = opened(~mask, wound.cell_px)
    shift_yx = _shift(void, wound, shift_yx)
    region, near = (shifted(area, shift_yx) for area in (wound.region, wound.near))
    beside = shifted(~wound.near, shift_yx)
    outside = float(mask[beside].mean()) if beside.any() else math.nan
    if outside < wound.outside / 2 or not (mask & ~region).any():
        return None
    labels, sizes = parts(void & near)
    shared = np.bincount(labels[region], minlength=sizes.size)
    # a hole of the layer that the gap's surroundings happen to hold lies mostly outside the first gap
    kept = (shared >= 0.5 * sizes) | (shared >= 0.5 * region.sum())
    kept[0] = False
    gap = np.asarray(kept[labels])
    known = region.any() and math.isfinite(outside) and outside > wound.inside
    density = (float(mask[region].mean()) - wound.inside) / (outside - wound.inside) if known else None
    return Gap(gap, int(np.count_nonzero(gap)), mask.size, density, shift_yx)


def _check(mask: Bools) -> None:
    if mask.ndim != 2 or mask.dtype != np.bool_ or not mask.size:
        raise DataError(f"A mask must be (Y, X) bool with at least one pixel; this one is {mask.shape} {mask.dtype}.")


def _largest_gaps(layer: Bools, void: Bools, cell_px: int) -> Iterator[Bools]:
    """Yield the gap that is wide: channels between cells, and holes that are much narrower, are cut off from it."""
    from scipy import ndimage

    empty = ~layer
    widest = int(ndimage.distance_transform_cdt(empty, metric="chessboard").max()) if empty.any() else 0
    if widest < LEAST_WIDTH * cell_px:
        return
    for part in NARROWEST:
        half = max(cell_px, int(part * widest))
        labels, sizes = parts(opened(empty, half))
        sizes[0] = 0
        core = labels == sizes.argmax()
        # fronts are ragged: what is open and hangs together with the wide part, near it, belongs to it
        labels, _ = parts(empty & void & widened(core, half))
        region = np.isin(labels, np.setdiff1d(np.unique(labels[core]), [0]))
        region = ~without_small(~region, ISLAND * region.size)
        if region.mean() >= LEAST_GAP:
            yield region


def _judge(mask: Bools, region: Bools, void: Bools, cell_px: int) -> tuple[Wound | None, str]:
    """Tell a wound from the ground between colonies."""
    beside = ~widened(region, cell_px)
    cover = float((~void)[beside].mean()) if beside.any() else 0.0
    if cover < LEAST_COVER:
        return None, (
            f"there is no closed layer of cells around a gap: beside the largest gap of the first image only "
            f"{percent(cover)} of the ground is covered, at least {percent(LEAST_COVER)} are needed"
        )
    sides, sizes = parts(~region)
    number = sizes.size - 1
    if number > 2:
        return None, f"the ground without cells divides the first image into {number} colonies and is no single wound"
    other = parts(void & beside)[1][1:].max(initial=0) / np.count_nonzero(region)
    if other > LARGEST_OTHER[number]:
        return None, f"the layer has several large holes; the second is {percent(other)} of the largest"
    if np.count_nonzero(region) / hull_area_px(region) < LEAST_SOLID[number]:
        return None, "the ground without cells winds between the cells and is no single wound"
    fronts = [np.argwhere(region & widened(sides == side, 1)) for side in range(1, number + 1)]
    lengths, axis = straight(fronts)
    rim = region[0].any() or region[-1].any() or region[:, 0].any() or region[:, -1].any()
    shape: Shape = "other"
    if number == 1 and not rim:
        shape, lengths, axis = "round", (), None
    elif lengths:
        shape = "strip" if number == 2 else "edge"
    margin = max(2 * cell_px, round(MARGIN * min(mask.shape)))
    near = widened(region, margin)
    beyond = ~near
    outside = float(mask[beyond].mean()) if beyond.any() else cover
    return Wound(region, near, shape, lengths, axis, cell_px, float(mask[region].mean()), outside), ""


def _shift(void: Bools, wound: Wound, before_yx: tuple[int, int]) -> tuple[int, int]:
    """Return where most of the first wound is still open: where it was before, or where the largest gap now lies."""
    if wound.shape == "edge":  # a front that moves and an image that is shifted look alike
        return 0, 0
    before = shifted(wound.region, before_yx)
    still_open = np.count_nonzero(void & before)
    if wound.area_px - still_open <= CLEARER * wound.area_px:
        return before_yx
    labels, sizes = parts(void)
    shared = np.bincount(labels[before], minlength=sizes.size)
    shared[0] = 0
    main = int(shared.argmax())
    if not shared[main]:
        return before_yx
    off = centre_yx(labels == main) - centre_yx(wound.region)
    if wound.axis_yx is not None:
        axis = np.array(wound.axis_yx)
        off = off - (off @ axis) * axis
    after_yx = (round(float(off[0])), round(float(off[1])))
    won = np.count_nonzero(void & shifted(wound.region, after_yx)) - still_open
    return after_yx if won > CLEARER * wound.area_px else before_yx
