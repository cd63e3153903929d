"""Simulated time-lapses: the same cells move, spread, round up and divide, so that their number follows a known law."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from c6seg.data.synthetic_cells import Cell, draw_cell
from c6seg.data.synthetic_layer import border_warp, rasterise, thickness, with_every_cell
from c6seg.data.synthetic_optics import photograph
from c6seg.data.synthetic_style import SceneStyle, check_size
from c6seg.errors import UsageError
from c6seg.runtime import seed_for

__all__ = ["CultureFrame", "cell_number", "culture_style", "simulate_culture"]

_STEP_H = 0.5
_SPEED_UM_PER_H = 12.0
_PERSISTENCE_H = 2.0
_ROUNDING_H = 0.8
_SPREADING_H = 4.0
_MOST_CELLS = 20_000
_FASTEST_PER_H = 0.2  # faster than that, a cell would have to divide while it rounds up


@dataclass(frozen=True, slots=True)
class CultureFrame:
    """One picture of a simulated culture and what is true about it.

    Parameters
    ----------
    pixels
        (Y, X) uint8 or uint16.
    labels
        (Y, X) int32, 0 = no cell, 1..count; a cell keeps its number, and one daughter inherits it.
    time_h
        Time in hours.
    count
        Number of cells, the growth law rounded to a whole number.
    confluence
        Covered share of the field, 0..1.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    labels: NDArray[np.int32]
    time_h: float
    count: int
    confluence: float


@dataclass(slots=True)
class _Life:
    """A cell with what the picture does not show: full radius, direction of travel, age, time of its division."""

    cell: Cell
    full_radius: float
    heading: float
    age_h: float
    divides_at_h: float | None = None


def cell_number(time_h: float, *, start_count: int, growth_rate_per_h: float, capacity: float | None = None) -> float:
    """Return the number of cells by the growth law: exponential, or logistic (Verhulst) with a capacity.

    Examples
    --------
    >>> round(cell_number(20, start_count=10, growth_rate_per_h=math.log(2) / 20), 6)
    20.0
    >>> cell_number(1e4, start_count=10, growth_rate_per_h=0.05, capacity=80.0)
    80.0
    """
    if capacity is None:
        return start_count * math.exp(growth_rate_per_h * time_h)
    return capacity / (1 + (capacity / start_count - 1) * math.exp(-growth_rate_per_h * time_h))


def _time_of(number: float, start_count: int, rate: float, capacity: float | None) -> float:
    """Time in hours at which the growth law passes a number of cells."""
    if capacity is None:
        return math.log(number / start_count) / rate
    return -math.log((capacity / number - 1) / (capacity / start_count - 1)) / rate


def simulate_culture(
    *,
    size_hw: tuple[int, int],
    times_h: Sequence[float],
    growth_rate_per_h: float,
    start_count: int,
    seed: int,
    pixel_size_um: float = 0.87,
    style: SceneStyle | None = None,
    capacity: float | None = None,
) -> Iterator[CultureFrame]:
    """Simulate a growing culture, frame by frame.

    The number of cells follows the law; the mean area of a cell stays the same, so confluence is proportional to the
    number until about 90 % of the field are covered.

    Parameters
    ----------
    size_hw
        Height and width in px.
    times_h
        Times of the frames in hours, ascending, from 0.
    growth_rate_per_h
        Growth rate per hour, 0 to 0.2; the doubling time is ln 2 / rate.
    start_count
        Number of cells at time 0.
    seed
        The same arguments give the same frames.
    pixel_size_um
        Edge of a pixel in um.
    style
        The look; None takes spread cells, small enough that the last frame is at most 70 % covered.
    capacity
        Largest number of cells (logistic growth); None grows exponentially.

    Raises
    ------
    UsageError
        Times that are not ascending, a rate out of range, no cells at the start, a capacity below their number, or more
        than 20 000 cells at the end.
    """
    fitting = culture_style(
        size_hw=size_hw,
        times_h=times_h,
        growth_rate_per_h=growth_rate_per_h,
        start_count=start_count,
        capacity=capacity,
    )
    style = replace(style or fitting, pixel_size_um=pixel_size_um, rounded=0.0)
    return _frames(size_hw, times_h, growth_rate_per_h, start_count, seed, style, capacity)


def culture_style(
    *,
    size_hw: tuple[int, int],
    times_h: Sequence[float],
    growth_rate_per_h: float,
    start_count: int,
    capacity: float | None = None,
) -> SceneStyle:
    """Return spread cells, small enough that they cover at most 70 % of the field at the end.

    Parameters and errors as in :func:`simulate_culture`.
    """
    check_size(size_hw)
    times = [float(time) for time in times_h]
    if not times or times[0] < 0 or any(later <= earlier for earlier, later in pairwise(times)):
        raise UsageError(f"times_h is {times}; expected at least one time, ascending, from 0.")
    if not 0 <= growth_rate_per_h <= _FASTEST_PER_H:
        raise UsageError(f"growth_rate_per_h is {growth_rate_per_h}; expected 0 to {_FASTEST_PER_H}.")
    if start_count < 1:
        raise UsageError(f"start_count is {start_count}; expected at least 1 cell.")
    if capacity is not None and capacity <= start_count:
        raise UsageError(f"capacity is {capacity}; expected more than start_count = {start_count}, or None.")
    most = math.log(start_count) + growth_rate_per_h * times[-1]
    if min(most, math.log(capacity or math.inf)) > math.log(_MOST_CELLS):
        raise UsageError(
            f"{start_count} cells growing by {growth_rate_per_h} per hour exceed {_MOST_CELLS} after {times[-1]} h. "
            "Give a capacity, fewer hours, or fewer cells."
        )
    last = cell_number(times[-1], start_count=start_count, growth_rate_per_h=growth_rate_per_h, capacity=capacity)
    diameter_px = 2 * math.sqrt(0.7 * size_hw[0] * size_hw[1] / last / math.pi)
    return SceneStyle(
        diameter_px=float(np.clip(diameter_px, 8, 40)),
        irregularity=0.05,
        debris=80.0,
        floaters=4.0,
        level=0.35,
        gradient=0.02,  # light as even as in good photographs: it spans about a third of the contrast of the cells
        vignetting=0.03,
    )


def _frames(
    size_hw: tuple[int, int],
    times_h: Sequence[float],
    rate: float,
    start_count: int,
    seed: int,
    style: SceneStyle,
    capacity: float | None,
) -> Iterator[CultureFrame]:
    rng = np.random.default_rng(seed_for(seed, "culture"))
    mean_area = math.pi / 4 * style.diameter_px**2
    lives = _seed_cells(size_hw, start_count, style, rng)
    warp = border_warp(size_hw, style, rng)
    now = 0.0
    for index, time in enumerate(times_h):
        while now < time - 1e-9:
            step = min(_STEP_H, time - now)
            later = now + step + _ROUNDING_H
            known = len(lives) + sum(life.divides_at_h is not None for life in lives)
            due = int(cell_number(later, start_count=start_count, growth_rate_per_h=rate, capacity=capacity) + 0.5)
            times = [_time_of(number - 0.5, start_count, rate, capacity) for number in range(known + 1, due + 1)]
            _schedule(lives, times, rng)
            now += step
            _divide(lives, now, style, rng)
            _move(lives, step, size_hw, style, rng)
        drawing = np.random.default_rng(seed_for(seed, "culture frame", index))
        cells = [_appearance(life, now) for life in lives]
        layer = with_every_cell(rasterise(cells, size_hw, warp=warp, area_px=len(cells) * mean_area), cells)
        matter = thickness(layer, cells, style, drawing)
        mask = layer.labels > 0
        still = np.random.default_rng(seed_for(seed, "culture optics"))
        pixels = photograph(matter, mask, style, still, moving=drawing)
        yield CultureFrame(pixels, layer.labels, float(time), len(cells), float(mask.mean()))


def _seed_cells(size_hw: tuple[int, int], count: int, style: SceneStyle, rng: np.random.Generator) -> list[_Life]:
    lives = []
    for _ in range(count):
        y, x = rng.uniform(0, 1, 2) * size_hw
        cell = draw_cell(style, rng, y=float(y), x=float(x), angle=float(rng.uniform(0, 2 * np.pi)))
        lives.append(_Life(cell, cell.radius, float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 30))))
    for _ in range(8):
        _separate(lives, size_hw, rounds=4)
    return lives


def _schedule(lives: list[_Life], times_h: list[float], rng: np.random.Generator) -> None:
    """Choose a mother, an old cell first, for each division that is coming up."""
    if not times_h:
        return
    free = [life for life in lives if life.divides_at_h is None]
    order = np.argsort([-life.age_h * rng.uniform(0.7, 1.3) for life in free])
    for k, time in zip(order, times_h, strict=False):
        free[int(k)].divides_at_h = time


def _divide(lives: list[_Life], now: float, style: SceneStyle, rng: np.random.Generator) -> None:
    for mother in [life for life in lives if life.divides_at_h is not None and life.divides_at_h <= now + 1e-9]:
        direction = float(rng.uniform(0, 2 * np.pi))
        reach = 0.5 * mother.cell.radius
        shift = (reach * math.sin(direction), reach * math.cos(direction))
        old = mother.cell
        new = draw_cell(style, rng, y=old.y + shift[0], x=old.x + shift[1], angle=old.angle)
        daughter = _Life(new, new.radius, direction, float(rng.uniform(0, 2)))
        old.y, old.x = old.y - shift[0], old.x - shift[1]
        mother.heading, mother.age_h, mother.divides_at_h = direction + math.pi, float(rng.uniform(0, 2)), None
        mother.cell.radius = daughter.cell.radius = mother.full_radius / math.sqrt(2)
        lives.append(daughter)


def _move(
    lives: list[_Life], step_h: float, size_hw: tuple[int, int], style: SceneStyle, rng: np.random.Generator
) -> None:
    """Walk at random with persistence (Fürth 1920), spread after division, keep clear of the neighbours."""
    turn = rng.normal(0, math.sqrt(2 * step_h / _PERSISTENCE_H), len(lives))
    stride = rng.gamma(4, 0.25, len(lives)) * _SPEED_UM_PER_H / style.pixel_size_um * step_h
    for life, angle, length in zip(lives, turn, stride, strict=True):
        life.heading += float(angle)
        life.age_h += step_h
        cell = life.cell
        cell.radius += (life.full_radius - cell.radius) * min(step_h / _SPREADING_H, 1)
        if life.divides_at_h is None:
            cell.y += float(length) * math.sin(life.heading)
            cell.x += float(length) * math.cos(life.heading)
            # the long axis follows the direction of travel
            cell.angle += 0.2 * math.sin(2 * (life.heading - cell.angle))
    _separate(lives, size_hw, rounds=3)


def _separate(lives: list[_Life], size_hw: tuple[int, int], *, rounds: int) -> None:
    """Push overlapping cells apart, half the way in each round, and keep all of them in the field."""
    place = np.array([(life.cell.y, life.cell.x) for life in lives])
    radius = np.array([life.cell.radius for life in lives])
    rim = np.minimum(0.6 * radius, 0.25 * min(size_hw))[:, None]
    pairs = cKDTree(place).query_pairs(2.2 * float(radius.max()), output_type="ndarray")
    first, second = pairs[:, 0], pairs[:, 1]
    reach = 1.02 * (radius[first] + radius[second])
    for _ in range(rounds):
        gap = place[second] - place[first]
        distance = np.maximum(np.hypot(gap[:, 0], gap[:, 1]), 1e-3)
        push = gap * (0.25 * np.maximum(reach - distance, 0) / distance)[:, None]
        for axis in (0, 1):
            place[:, axis] += np.bincount(second, push[:, axis], len(lives))
            place[:, axis] -= np.bincount(first, push[:, axis], len(lives))
        place = np.clip(place, rim, np.array(size_hw) - 1 - rim)
    for life, (y, x) in zip(lives, place.tolist(), strict=True):
        life.cell.y, life.cell.x = y, x


def _appearance(life: _Life, now: float) -> Cell:
    """Return the cell as it looks now: rounded up shortly before it divides and shortly after."""
    before = 1 - (life.divides_at_h - now) / _ROUNDING_H if life.divides_at_h is not None else 0.0
    after = max(0.0, 1 - life.age_h / 2) if life.age_h < 2 and life.cell.radius < life.full_radius else 0.0
    rounding = float(np.clip(max(before, after), 0, 1))
    if rounding == 0:
        return life.cell
    cell = life.cell
    outline = (1 - rounding) * cell.outline + rounding
    return replace(
        cell,
        outline=(outline / np.sqrt(np.mean(outline**2))).astype(np.float32),
        stretch=1 + (cell.stretch - 1) * (1 - rounding),
        radius=cell.radius * (1 - 0.2 * rounding),
        processes=() if rounding > 0.3 else cell.processes,
        rounding=rounding,
    )
