"""Regions of a landscape, and which neighbours among them belong together: how touching cells are parted.

First every pixel of the mask goes to the hilltop that the steepest way up leads to (a watershed with more regions than
cells). Then neighbours that nothing parts are joined, the surest pair first, each time with what is known of the joined
region. Nothing here knows images; :mod:`c6seg.inference.objects` makes the landscape.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

ALWAYS = 1e3
"""More than all that can speak for two cells."""

COMPANY = 2, 16
"""Areas of a cell up to which a connected part may be one large cell, and from which on it is a layer."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Labels = NDArray[np.int32]
Cut = tuple[slice, slice]

_HALF = ((0, 1), (1, -1), (1, 0), (1, 1))
"""Steps (y, x) to half of the eight neighbours; the other half are these, backwards."""


class Weights(NamedTuple):
    """What speaks for two neighbouring regions being two cells; they are joined while the sum is below ``least``.

    Parameters
    ----------
    neck
        For each 1 of 1 - (distance to the background at the widest place of the border between them) / (largest such
        distance in the slimmer of both): 0 = as wide as itself, 1 = hangs by a thread.
    valley, ridge
        For each unit by which the mean of the signal along the border exceeds that inside.
    company
        For each e-fold by which the connected part of the mask that they lie in exceeds a large cell, up to a layer: in
        a lone cell borders are rare, in a layer they are everywhere.
    least_area
        A region smaller than this, in areas of a cell, is no cell, and is joined to a neighbour whatever parts them.
    least
        Sum from which they stay apart.
    """

    neck: float
    valley: float
    ridge: float
    company: float
    least_area: float
    least: float


@dataclass
class Region:
    """A region.

    Parameters
    ----------
    area
        In areas of a cell.
    peak
        Largest distance to the background, px.
    valley, ridge
        Sums of both signals over the area.
    company
        Logarithm of the area of the connected part that it lies in over the first of :data:`COMPANY`; 0 = it may be one
        cell.
    """

    area: float
    peak: float
    valley: float
    ridge: float
    company: float

    def take(self, other: Region) -> None:
        """Swallow another one."""
        self.area += other.area
        self.peak = max(self.peak, other.peak)
        self.valley += other.valley
        self.ridge += other.ridge


@dataclass
class Border:
    """Between two regions: pairs of pixels, largest distance to the background, sums of both signals over the pairs."""

    length: int
    saddle: float
    valley: float
    ridge: float

    def take(self, other: Border) -> None:
        """Add another piece of the same border."""
        self.length += other.length
        self.saddle = max(self.saddle, other.saddle)
        self.valley += other.valley
        self.ridge += other.ridge


Graph = dict[int, dict[int, Border]]


def hills(landscape: Floats, mask: Bools) -> Labels:
    """Give each pixel of a mask the number of the hilltop that the steepest way up leads to.

    Parameters
    ----------
    landscape
        (Y, X).
    mask
        (Y, X) bool; only its pixels are climbed. Flat tops are decided by the place, so that each has one number.

    Returns
    -------
    NDArray
        int32 (Y, X); 0 outside the mask, else 1..n without gaps.
    """
    height = np.pad(np.where(mask, landscape, -np.inf), 1, constant_values=-np.inf)
    place = np.arange(height.size).reshape(height.shape)
    best, goal = height.copy(), place.copy()
    for one, other in _neighbours(height.shape):
        for here, there in ((one, other), (other, one)):
            up = (height[there] > best[here]) | ((height[there] == best[here]) & (place[there] > goal[here]))
            best[here] = np.where(up, height[there], best[here])
            goal[here] = np.where(up, place[there], goal[here])
    way = goal.reshape(-1)
    while not np.array_equal(way, further := way[way]):
        way = further
    tops = way.reshape(height.shape)[1:-1, 1:-1]
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = np.unique(tops[mask], return_inverse=True)[1].reshape(-1) + 1
    return labels


def join(
    labels: Labels, distance: Floats, valley: Floats, ridge: Floats, *, cell_area: float, weights: Weights
) -> Labels:
    """Join neighbouring regions, the surest pair first, until what speaks for two cells is enough everywhere.

    Parameters
    ----------
    labels
        (Y, X), 0 = background, regions 1..n.
    distance
        (Y, X) distance to the background, px.
    valley, ridge
        (Y, X) two signals that are high between cells.
    cell_area
        Area of a cell, px.
    weights
        What speaks how much for two cells.

    Returns
    -------
    NDArray
        int32 (Y, X), numbered 1..m without gaps.
    """
    regions = _regions(labels, distance, valley, ridge, cell_area)
    graph = _borders(labels, distance, valley, ridge)
    age = dict.fromkeys(regions, 0)
    owner = np.arange(len(regions) + 1)

    def entry(a: int, b: int) -> tuple[float, int, int, int, int]:
        return parted(regions[a], regions[b], graph[a][b], weights), a, b, age[a], age[b]

    queue = [entry(a, b) for a in graph for b in graph[a] if a < b]
    heapq.heapify(queue)
    while queue:
        score, a, b, age_a, age_b = heapq.heappop(queue)
        if score >= weights.least:
            break
        if age.get(a) != age_a or age.get(b) != age_b:
            continue  # one of them has grown, or is gone
        owner[b] = a
        age[a] += 1
        del age[b]
        regions[a].take(regions.pop(b))
        _hand_over(graph, b, a)
        for c in graph[a]:
            heapq.heappush(queue, entry(a, c))
    while not np.array_equal(owner, further := owner[owner]):
        owner = further
    numbers = np.unique(owner, return_inverse=True)[1].reshape(-1)
    return np.asarray(numbers[labels], np.int32)


def parted(a: Region, b: Region, border: Border, weights: Weights) -> float:
    """Sum up what speaks for two neighbours being two cells; see :class:`Weights`."""
    total = a.area + b.area
    score = weights.neck * (1 - border.saddle / max(min(a.peak, b.peak), 1e-6))
    score += weights.valley * (border.valley / border.length - (a.valley + b.valley) / total)
    score += weights.ridge * (border.ridge / border.length - (a.ridge + b.ridge) / total)
    score += weights.company * a.company
    return score - ALWAYS if min(a.area, b.area) < weights.least_area else score


def _regions(labels: Labels, distance: Floats, valley: Floats, ridge: Floats, cell_area: float) -> dict[int, Region]:
    flat = labels.reshape(-1)
    count = int(flat.max(initial=0))
    areas = np.bincount(flat, minlength=count + 1) / cell_area
    sums = [np.bincount(flat, signal.reshape(-1), count + 1) / cell_area for signal in (valley, ridge)]
    peaks = np.zeros(count + 1)
    np.maximum.at(peaks, flat, distance.reshape(-1))
    parts = ndimage.label(labels, structure=np.ones((3, 3)))[0].reshape(-1)
    part = np.zeros(count + 1, np.intp)
    part[flat] = parts
    company = np.log(np.clip(np.bincount(parts)[part] / cell_area, *COMPANY) / COMPANY[0])
    columns = zip(*(values.tolist() for values in (areas, peaks, *sums, company)), strict=True)
    return {number: Region(*values) for number, values in enumerate(columns) if number}


def _borders(labels: Labels, distance: Floats, valley: Floats, ridge: Floats) -> Graph:
    """Borders of all neighbouring regions, each under both."""
    graph: Graph = {number: {} for number in range(1, int(labels.max(initial=0)) + 1)}
    parts: list[list[NDArray[np.generic]]] = []
    for one, other in _neighbours(labels.shape):
        a, b = labels[one], labels[other]
        meet = (a > 0) & (b > 0) & (a != b)
        lower, upper = np.minimum(a[meet], b[meet]), np.maximum(a[meet], b[meet])
        saddle = np.minimum(distance[one][meet], distance[other][meet])
        signals = [np.maximum(signal[one][meet], signal[other][meet]) for signal in (valley, ridge)]
        parts.append([lower.astype(np.int64) * (len(graph) + 1) + upper, saddle, *signals])
    keys, saddle, *signals = (np.concatenate(part) for part in zip(*parts, strict=True))
    pairs, place = np.unique(keys, return_inverse=True)
    lengths = np.bincount(place, minlength=len(pairs))
    highest = np.zeros(len(pairs))
    np.maximum.at(highest, place, saddle)
    sums = [np.bincount(place, signal, len(pairs)) for signal in signals]
    columns = zip(lengths.tolist(), highest.tolist(), sums[0].tolist(), sums[1].tolist(), strict=True)
    for pair, values in zip(pairs.tolist(), columns, strict=True):
        a, b = divmod(pair, len(graph) + 1)
        graph[a][b] = graph[b][a] = Border(*values)
    return graph


def _hand_over(graph: Graph, gone: int, to: int) -> None:
    """Give the borders of a region that is gone to the one that took it."""
    del graph[to][gone]
    for c, border in graph.pop(gone).items():
        if c == to:
            continue
        del graph[c][gone]
        if c in graph[to]:
            graph[to][c].take(border)
        else:
            graph[to][c] = graph[c][to] = border


def _neighbours(size_hw: tuple[int, ...]) -> Iterator[tuple[Cut, Cut]]:
    """Cuts of an array that lay each pixel beside a neighbour, for half of the eight directions."""
    height, width = size_hw
    for down, right in _HALF:
        here = slice(max(0, -right), width - max(0, right))
        there = slice(max(0, right), width + min(0, right))
        yield (slice(0, height - down), here), (slice(down, height), there)
