"""Dense clusters of dead or detached cells, told from attached ones, so that they can be left out or counted apart.

Two ways. Networks differ in how they treat clusters by what they were pre-trained on (Ilyukhin et al. 2025, experiment
E8): those that started from LIVECell leave them out, those from ImageNet mark them. Where two such networks disagree,
on a region that is thick and bright or textured, there is a cluster: :func:`compare_masks`. With one network, clusters
are what is much brighter and much more textured than its cells are, over more than the width of a cell:
:func:`find_clusters`. ``benchmarks/bench_clusters.py`` measures both.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.config import SegmentConfig
from c6seg.errors import UsageError
from c6seg.models.bundle_spec import ScaleSpec
from c6seg.transforms.preprocess import resize, to_grey

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

CELL_PX = 24
"""Clusters are looked for at the magnification at which a cell is so wide; finer detail tells nothing about them."""

USUAL_CELL_PX = 46.8
"""Width of a cell at the scale of models that do not say it, px: that of the embedded model."""

SIGMA = 1 / 6
"""Standard deviation of the Gaussian window of the measures, in widths of a cell."""

TEXTURE, BRIGHTNESS = 2.0, 1.5
"""A cluster has at least so many times the texture and the brightness of the median pixel of the cells. Chosen with
``THICK`` on half of the material of ``benchmarks/bench_clusters.py``."""

THICK = 1.0
"""Widths of a cell that a cluster measures across its narrowest place. A single rounded cell is narrower, unless it is
so bright that the window of the measures spreads its light."""

RIM = 0.5
"""Parts as narrow as this, in widths of a cell, still belong to a cluster that is thick elsewhere."""

WEAK = 1.3
"""Where two networks disagree, this much brightness or texture is enough."""

FEWEST_PX = 50
"""Pixels of cell, at the magnification of the search, that it takes to know what cells look like."""

WALL = 0.5
"""A region along more than this part of one border of the image is a wall of the vessel."""


class Measures(NamedTuple):
    """Texture and brightness of each pixel over those of the median pixel of the cells; both (y, x), reduced."""

    texture: Floats
    brightness: Floats


def find_clusters(pixels: NDArray[np.generic], mask: Bools, *, cell_px: float) -> Bools:
    """Find dense clusters with one network: bright, textured, and thicker than a cell.

    Parameters
    ----------
    pixels
        (Y, X) or (Y, X, 3), the image.
    mask
        (Y, X), True = cell by the network; clusters may be in it or not. Without cells nothing tells what a cluster is,
        and none is found.
    cell_px
        Width of a cell in the image, px.

    Returns
    -------
    NDArray
        bool (Y, X), True = cluster.
    """
    reduced = _reduced(mask, cell_px)
    found = measure(pixels, reduced, cell_px=cell_px)
    if found is None:
        return np.zeros(mask.shape, np.bool_)
    dense = (found.texture >= TEXTURE) & (found.brightness >= BRIGHTNESS)
    regions = _holding(_opened(dense, RIM * CELL_PX), _opened(dense, THICK * CELL_PX))
    return _enlarged(_without_walls(regions), mask.shape)


def compare_masks(pixels: NDArray[np.generic], mask: Bools, other: Bools, *, cell_px: float) -> Bools:
    """Find dense clusters with two networks of different pre-training: what one marks and the other leaves out.

    Only regions that are thick, and bright or textured, are clusters; outlines and faint cells on which networks
    disagree as well are not (paper, section 3.3, experiment E8).

    Parameters
    ----------
    pixels
        (Y, X) or (Y, X, 3), the image.
    mask, other
        (Y, X), True = cell by either network. What both mark tells what cells look like.
    cell_px
        Width of a cell in the image, px.
    """
    differ = _reduced(mask ^ other, cell_px)
    agreed = _reduced(mask & other, cell_px)
    found = measure(pixels, agreed, cell_px=cell_px)
    if found is None:
        return np.zeros(mask.shape, np.bool_)
    thick = _opened(differ, RIM * CELL_PX)
    striking = thick & ((found.texture >= WEAK) | (found.brightness >= WEAK))
    regions = _holding(thick, _opened(striking, RIM * CELL_PX))
    # its holes are cluster, too, and so is what both networks marked inside
    filled = np.asarray(ndimage.binary_fill_holes(regions), dtype=np.bool_)
    return _enlarged(_without_walls(filled), mask.shape)


def measure(pixels: NDArray[np.generic], cells: Bools, *, cell_px: float) -> Measures | None:
    """Measure texture and brightness, relative to the cells.

    Texture is the standard deviation of grey values in a Gaussian window; brightness the mean in that window of what
    exceeds the median of the image. A mean that lets dark pixels cancel bright ones would not do: many microscopes
    flatten the background, and with it the mean.

    Parameters
    ----------
    pixels
        (Y, X) or (Y, X, 3), the image.
    cells
        bool (y, x), True = cell, at the magnification at which a cell is :data:`CELL_PX` wide.
    cell_px
        Width of a cell in the image, px.

    Returns
    -------
    Measures
        None where there are too few cells to compare with.
    """
    if np.count_nonzero(cells) < FEWEST_PX:
        return None
    grey = resize(to_grey(pixels), (cells.shape[0], cells.shape[1]))
    grey = grey - np.median(grey)
    texture = _texture(grey)
    brightness = ndimage.gaussian_filter(np.maximum(grey, 0), SIGMA * CELL_PX)
    usual = float(np.median(texture[cells])), float(np.median(brightness[cells]))
    if min(usual) <= 0:
        return None
    return Measures((texture / usual[0]).astype(np.float32), (brightness / usual[1]).astype(np.float32))


def _texture(grey: Floats) -> Floats:
    """Take the standard deviation in a Gaussian window about each pixel."""
    mean = ndimage.gaussian_filter(grey, SIGMA * CELL_PX)
    variance = ndimage.gaussian_filter(grey * grey, SIGMA * CELL_PX) - mean * mean
    return np.asarray(np.sqrt(np.maximum(variance, 0)), dtype=np.float32)


def cell_width_px(trained: ScaleSpec, *, pixel_size_um: float | None, factor: float) -> float:
    """Width of a cell in an image, px.

    Parameters
    ----------
    trained
        The scale of the model.
    pixel_size_um
        Edge of a pixel of the image in um; None where nobody knows.
    factor
        Magnification that brings the image to the scale of the model, where no pixel size tells it.
    """
    if pixel_size_um is not None and trained.pixel_size_um is not None:
        factor = pixel_size_um / trained.pixel_size_um
    return (trained.object_size_px or USUAL_CELL_PX) / factor


def check_policy(config: SegmentConfig) -> None:
    """Refuse a second model where clusters are neither left out nor reported.

    Raises
    ------
    UsageError
        It says what to do.
    """
    if config.clusters == "include" and config.cluster_model is not None:
        raise UsageError(
            "A cluster model is of no use while clusters are included. Say --clusters exclude or --clusters report, "
            "or leave out --cluster-model."
        )


def _reduced(mask: Bools, cell_px: float) -> Bools:
    """Bring a mask to the magnification of the search; images are not magnified more than twice."""
    factor = min(2.0, CELL_PX / cell_px)
    size_hw = (max(1, round(mask.shape[0] * factor)), max(1, round(mask.shape[1] * factor)))
    return np.asarray(resize(mask.astype(np.float32), size_hw) >= 0.5)


def _enlarged(mask: Bools, size_hw: tuple[int, ...]) -> Bools:
    return np.asarray(resize(mask.astype(np.float32), (size_hw[0], size_hw[1])) >= 0.5)


def _opened(mask: Bools, width_px: float) -> Bools:
    """Keep what a disc of a diameter fits into; beyond the border of the image it goes on as at the border."""
    radius = width_px / 2
    pad = math.ceil(radius) + 1
    padded = np.pad(mask, pad, mode="edge")
    if padded.all() or not padded.any():
        return mask
    eroded = ndimage.distance_transform_edt(padded) > radius
    if not eroded.any():
        return np.zeros_like(mask)
    opened = padded & (ndimage.distance_transform_edt(~eroded) <= radius)
    return np.asarray(opened[pad:-pad, pad:-pad], dtype=np.bool_)


def _holding(regions: Bools, seeds: Bools) -> Bools:
    """Keep the connected regions that hold a seed."""
    labels, count = ndimage.label(regions)
    kept = np.zeros(count + 1, np.bool_)
    kept[np.unique(labels[seeds & regions])] = True
    kept[0] = False
    return np.asarray(kept[labels])


def _without_walls(regions: Bools) -> Bools:
    """Drop regions that run along a border of the image."""
    labels, count = ndimage.label(regions)
    kept = np.ones(count + 1, np.bool_)
    kept[0] = False
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        kept &= np.bincount(border, minlength=count + 1) <= WALL * border.size
    kept[0] = False
    return np.asarray(kept[labels])
