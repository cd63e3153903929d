"""Hills and joining, on landscapes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import ndimage

from c6seg.inference.parting import Border, Region, Weights, hills, join, parted

WEIGHTS = Weights(neck=5.0, valley=1.0, ridge=0.0, company=0.0, least_area=0.1, least=1.5)


def climbed(landscape: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Where the steepest way up from each pixel ends, walked one by one."""
    height, width = landscape.shape
    goals = np.full((height, width, 2), -1)
    for y, x in np.argwhere(mask):
        here = (int(y), int(x))
        while True:
            around = [(here[0] + dy, here[1] + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            around = [(a, b) for a, b in around if 0 <= a < height and 0 <= b < width and mask[a, b]]
            best = max(around, key=lambda place: (landscape[place], place))
            if best == here:
                break
            here = best
        goals[y, x] = here
    return goals


@pytest.mark.parametrize("seed", range(4))
def test_hills_equal_walks_up_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    landscape = ndimage.gaussian_filter(rng.standard_normal((25, 31)), 1.5)
    mask = ndimage.gaussian_filter(rng.standard_normal((25, 31)), 2) > -0.05
    if seed == 3:
        landscape = np.round(landscape * 10)  # flat tops
    labels = hills(landscape, mask)
    goals = climbed(landscape, mask)
    assert_array_equal(labels > 0, mask)
    assert_array_equal(np.unique(labels[mask]), np.arange(1, labels.max() + 1))
    pairs = {(int(label), *goal) for label, goal in zip(labels[mask], goals[mask].tolist(), strict=True)}
    assert len(pairs) == labels.max() == len({pair[1:] for pair in pairs}), "one hilltop for each number"


def test_nothing_and_everything() -> None:
    nothing = np.zeros((4, 5), bool)
    assert hills(np.ones((4, 5)), nothing).max() == 0
    assert_array_equal(hills(np.ones((4, 5)), ~nothing), np.ones((4, 5)))


def discs(distance_px: int, radius_px: int = 10) -> np.ndarray:
    rows, columns = np.mgrid[0:40, 0:80]
    return (np.hypot(rows - 20, columns - 25) < radius_px) | (
        np.hypot(rows - 20, columns - 25 - distance_px) < radius_px
    )


def joined(mask: np.ndarray, weights: Weights = WEIGHTS, valley: np.ndarray | None = None) -> np.ndarray:
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 0.7)
    signal = np.zeros(mask.shape) if valley is None else valley
    labels = hills(np.where(mask, distance - signal, 0), mask)
    return join(labels, distance, signal, np.zeros(mask.shape), cell_area=np.pi * 100, weights=weights)


def test_discs_part_at_a_neck_and_not_where_they_are_one() -> None:
    touching = joined(discs(18))
    assert touching.max() == 2
    assert touching[20, 25] != touching[20, 43]
    middle = np.flatnonzero(np.diff(touching[20, 25:44]))
    assert abs(25 + middle[0] - 33.5) <= 1.5
    assert joined(discs(6)).max() == 1
    assert joined(discs(30)).max() == 2, "apart in the mask"


def test_a_dip_parts_what_the_shape_does_not() -> None:
    mask = np.zeros((40, 80), bool)
    mask[10:30, 10:70] = True
    dip = np.zeros(mask.shape)
    dip[:, 38:42] = 6.0
    assert joined(mask).max() == 1
    labels = joined(mask, valley=dip)
    assert labels.max() == 2
    assert labels[20, 20] != labels[20, 60]


def test_what_speaks_for_two_cells() -> None:
    def cell(area: float = 1.0, peak: float = 10.0, company: float = 0.0) -> Region:
        return Region(area, peak, 0.2 * area, 0.1 * area, company)

    def sum_of(a: Region, b: Region, border: Border, **changes: float) -> float:
        weights = Weights(0.0, 0.0, 0.0, 0.0, 0.3, 1.0)._replace(**changes)
        return parted(a, b, border, weights)

    border = Border(length=4, saddle=4.0, valley=4 * 1.2, ridge=4 * 0.6)
    assert sum_of(cell(), cell(peak=8), border, neck=2.0) == pytest.approx(2 * (1 - 4 / 8))
    assert sum_of(cell(), cell(), border, valley=3.0) == pytest.approx(3 * (1.2 - 0.2))
    assert sum_of(cell(), cell(), border, ridge=2.0) == pytest.approx(2 * (0.6 - 0.1))
    assert sum_of(cell(company=1.5), cell(company=1.5), border, company=2.0) == pytest.approx(3.0)
    assert sum_of(cell(), cell(area=0.31), border, neck=2.0) > 0
    for pair in ((cell(), cell(area=0.29)), (cell(area=0.29), cell())):
        assert sum_of(*pair, border, neck=2.0, valley=9.0) < -900, "too small to be a cell"


def test_a_layer_is_parted_sooner_than_a_lone_cell() -> None:
    weights = WEIGHTS._replace(least=2.0, neck=3.0)
    assert joined(discs(14), weights).max() == 1
    many = np.tile(discs(14)[8:32], (1, 4))  # the same pair four times, in one connected part
    many[10:14] = True
    alone = joined(many, weights).max()
    assert joined(many, weights._replace(company=1.0)).max() > alone
    assert joined(discs(14), weights._replace(company=1.0)).max() == 1, "two cells are no company"


def test_numbers_have_no_gaps_and_each_hill_has_one_owner() -> None:
    rng = np.random.default_rng(1)
    mask = ndimage.gaussian_filter(rng.standard_normal((120, 150)), 4) > -0.02
    distance = ndimage.distance_transform_edt(mask)
    labels = hills(np.where(mask, distance + 0.3 * rng.random(mask.shape), 0), mask)
    zero = np.zeros(mask.shape)
    found = join(labels, distance, zero, zero, cell_area=300, weights=WEIGHTS)
    assert_array_equal(found > 0, mask)
    assert_array_equal(np.unique(found), np.arange(found.max() + 1))
    assert len(np.unique(labels[mask] * 10_000 + found[mask])) == labels.max()
    for least, count in ((-np.inf, labels.max()), (np.inf, ndimage.label(mask, np.ones((3, 3)))[1])):
        weights = WEIGHTS._replace(least=least)
        assert join(labels, distance, zero, zero, cell_area=300, weights=weights).max() == count


def test_what_is_known_of_joined_regions() -> None:
    region, border = Region(1.0, 5.0, 0.4, 0.2, 1.5), Border(2, 3.0, 1.0, 0.5)
    region.take(Region(0.5, 7.0, 0.1, 0.3, 1.5))
    border.take(Border(3, 4.0, 2.0, 0.25))
    assert region == Region(1.5, 7.0, 0.5, 0.5, 1.5)
    assert border == Border(5, 4.0, 3.0, 0.75)
