"""Each metric against an independent implementation, and its empty cases."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial.distance import cdist, directed_hausdorff
from sklearn import metrics as sk

from c6seg.errors import UsageError
from c6seg.evaluation import metrics

Mask = NDArray[np.bool_]


def random_pair(seed: int, size: tuple[int, int] = (23, 31)) -> tuple[Mask, Mask]:
    """Two blobby masks that overlap in part."""
    rng = np.random.default_rng(seed)
    field, other = (ndimage.gaussian_filter(rng.standard_normal(size), 2) for _ in range(2))
    return field > 0.05, (field + 0.5 * other) > 0.08


PAIRS = [random_pair(seed) for seed in range(6)]


@pytest.mark.parametrize("pair", PAIRS)
def test_counts_and_ratios_equal_scikit_learn(pair: tuple[Mask, Mask]) -> None:
    predicted, true = pair
    counts = metrics.count(predicted, true)
    flat = (true.ravel(), predicted.ravel())
    tn, fp, fn, tp = sk.confusion_matrix(*flat).ravel()
    assert counts == (tp, fp, fn, tn)
    assert counts.total == true.size
    assert metrics.dice(counts) == pytest.approx(sk.f1_score(*flat), abs=1e-12)
    assert metrics.iou(counts) == pytest.approx(sk.jaccard_score(*flat), abs=1e-12)
    assert metrics.precision(counts) == pytest.approx(sk.precision_score(*flat), abs=1e-12)
    assert metrics.recall(counts) == pytest.approx(sk.recall_score(*flat), abs=1e-12)
    assert metrics.confluence_true(counts) == pytest.approx(true.mean(), abs=1e-12)
    assert metrics.confluence_predicted(counts) == pytest.approx(predicted.mean(), abs=1e-12)
    assert metrics.confluence_error(counts) == pytest.approx(predicted.mean() - true.mean(), abs=1e-12)


def outline_by_loops(mask: Mask) -> NDArray[np.int64]:
    height, width = mask.shape
    points = []
    for y in range(height):
        for x in range(width):
            if mask[y, x]:
                around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
                if any(not (0 <= b < height and 0 <= a < width) or not mask[b, a] for b, a in around):
                    points.append((y, x))
    return np.array(points)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("tolerance_px", [0.0, 1.0, 2.0, 2.5])
def test_boundary_scores_equal_brute_force(pair: tuple[Mask, Mask], tolerance_px: float) -> None:
    ours, theirs = map(outline_by_loops, pair)
    every = cdist(ours, theirs)
    there, back = every.min(axis=1), every.min(axis=0)
    distances = metrics.boundary_distances(*pair)
    np.testing.assert_allclose(np.sort(distances.predicted_to_true_px), np.sort(there))
    np.testing.assert_allclose(np.sort(distances.true_to_predicted_px), np.sort(back))
    hit, found = (there <= tolerance_px).mean(), (back <= tolerance_px).mean()
    assert metrics.boundary_f1(distances, tolerance_px=tolerance_px) == pytest.approx(2 * hit * found / (hit + found))
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert metrics.hd95_px(distances) == pytest.approx(expected)


@pytest.mark.parametrize("pair", PAIRS)
def test_largest_boundary_distance_equals_scipy_hausdorff(pair: tuple[Mask, Mask]) -> None:
    ours, theirs = (np.argwhere(metrics.outline(mask)) for mask in pair)
    distances = metrics.boundary_distances(*pair)
    assert distances.predicted_to_true_px.max() == pytest.approx(directed_hausdorff(ours, theirs)[0])
    assert distances.true_to_predicted_px.max() == pytest.approx(directed_hausdorff(theirs, ours)[0])


@settings(max_examples=60, deadline=None)
@given(
    pair=hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9)).filter(
        lambda array: array.shape[0] >= 2
    )
)
def test_laws(pair: Mask) -> None:
    first, second = pair[0], pair[1]
    there, back = metrics.count(first, second), metrics.count(second, first)
    assert metrics.dice(there) == metrics.dice(back)
    assert (there.fp, there.fn) == (back.fn, back.fp)
    overlap = metrics.iou(there)
    assert metrics.dice(there) == pytest.approx(2 * overlap / (1 + overlap))
    one, other = metrics.boundary_distances(first, second), metrics.boundary_distances(second, first)
    assert metrics.boundary_f1(one) == metrics.boundary_f1(other)
    np.testing.assert_equal(metrics.hd95_px(one), metrics.hd95_px(other))
    same = metrics.boundary_distances(first, first)
    assert (metrics.boundary_f1(same), metrics.hd95_px(same)) == (1.0, 0.0)


def test_empty_cases_are_what_their_parameters_say() -> None:
    nothing, full = np.zeros((4, 5), dtype=bool), np.ones((4, 5), dtype=bool)
    both = metrics.count(nothing, nothing)
    assert (metrics.dice(both), metrics.iou(both)) == (1.0, 1.0)
    assert (metrics.dice(both, empty=0.0), metrics.iou(both, empty=0.25)) == (0.0, 0.25)
    assert math.isnan(metrics.precision(both))
    assert math.isnan(metrics.recall(both))
    assert metrics.precision(both, empty=1.0) == 1.0
    assert metrics.confluence_error(both) == 0.0
    missed = metrics.count(nothing, full)
    assert (metrics.dice(missed), metrics.recall(missed)) == (0.0, 0.0)
    assert math.isnan(metrics.precision(missed))

    neither = metrics.boundary_distances(nothing, nothing)
    assert (metrics.boundary_f1(neither), metrics.hd95_px(neither)) == (1.0, 0.0)
    assert (metrics.boundary_f1(neither, empty=0.5), metrics.hd95_px(neither, empty=7.0)) == (0.5, 7.0)
    for pair in ((nothing, full), (full, nothing)):
        one = metrics.boundary_distances(*pair)
        assert metrics.boundary_f1(one) == 0.0
        assert math.isnan(metrics.hd95_px(one))
        assert metrics.hd95_px(one, one_empty=99.0) == 99.0


def test_far_outlines_score_zero_not_an_error() -> None:
    first, second = np.zeros((2, 40, 40), dtype=bool)
    first[2:5, 2:5] = second[30:33, 30:33] = True
    assert metrics.boundary_f1(metrics.boundary_distances(first, second)) == 0.0


def test_counts_pool_over_images() -> None:
    first, second = (metrics.count(*pair) for pair in PAIRS[:2])
    joined = metrics.count(*(np.concatenate([PAIRS[0][i], PAIRS[1][i]]) for i in (0, 1)))
    assert first.plus(second) == joined


def test_masks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"\(2, 3\).*\(3, 2\)"):
        metrics.count(np.zeros((2, 3), dtype=bool), np.zeros((3, 2), dtype=bool))
    with pytest.raises(UsageError, match="must be bool"):
        metrics.boundary_distances(np.zeros((2, 3), dtype=np.uint8), np.zeros((2, 3), dtype=bool))  # type: ignore[arg-type]


def test_a_real_outline_moved_by_known_pixels(shared_data: Path) -> None:
    """Moving a real mask by 3 px moves its outline by at most 3 px, and dilating it by 1 px only adds."""
    file = sorted((shared_data / "t98g" / "masks").glob("*.png"))[0]
    true = np.asarray(Image.open(file)) > 0
    moved = np.zeros_like(true)
    moved[:, 3:] = true[:, :-3]
    distances = metrics.boundary_distances(moved[8:-8, 8:-8], true[8:-8, 8:-8])
    assert metrics.boundary_f1(distances, tolerance_px=3.0) > 0.98
    assert metrics.boundary_f1(distances, tolerance_px=1.0) < 0.8
    assert 1.0 < metrics.hd95_px(distances) <= 3.0
    grown = ndimage.binary_dilation(true)
    counts = metrics.count(grown, true)
    assert (metrics.recall(counts), counts.fn) == (1.0, 0)
    assert 0.85 < metrics.precision(counts) < 1.0


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("width_px", [1.0, 2.5, 3.0])
def test_band_equals_distances_by_brute_force(pair: tuple[Mask, Mask], width_px: float) -> None:
    predicted, true = pair
    cells, background = np.argwhere(true), np.argwhere(~true)
    every = cdist(cells, background)
    band = np.zeros_like(true)
    band[tuple(cells[every.min(axis=1) <= width_px].T)] = True
    band[tuple(background[every.min(axis=0) <= width_px].T)] = True
    counts = metrics.band_counts(predicted, true, width_px=width_px)
    assert counts.total == band.sum()
    assert metrics.band_dice(counts) == pytest.approx(sk.f1_score(true[band], predicted[band]), abs=1e-12)


def test_band_leaves_out_the_interior_and_the_frame() -> None:
    true = np.zeros((40, 40), dtype=bool)
    true[:, :20] = True  # cut by the frame on three sides: its outline is one line
    hollow = true.copy()
    hollow[:, :10] = False
    counts = metrics.band_counts(hollow, true)
    assert counts.total == 40 * 6
    assert metrics.band_dice(counts) == 1.0
    assert metrics.band_dice(metrics.band_counts(np.roll(true, 1, axis=1), true)) < 1.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("radius_px", [1.0, 2.5, 3.0])
def test_thin_parts_equal_scipy_opening_with_a_disc(seed: int, radius_px: float) -> None:
    true = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((40, 50)), 2.5) > 0.02
    reach = int(radius_px)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = rows**2 + columns**2 <= radius_px**2
    pad = 10
    opened = ndimage.binary_opening(np.pad(true, pad, mode="edge"), structure=disc)[pad:-pad, pad:-pad]
    thin = metrics.thin_parts(true, radius_px=radius_px)
    np.testing.assert_array_equal(thin, true & ~opened)
    predicted = np.roll(true, 1, axis=0)
    counts = metrics.thin_counts(predicted, true, radius_px=radius_px)
    assert (counts.tp, counts.fn, counts.fp, counts.tn) == ((predicted & thin).sum(), (~predicted & thin).sum(), 0, 0)
    if thin.any():
        assert metrics.thin_recall(counts) == pytest.approx(sk.recall_score(true[thin], predicted[thin]))


def test_a_lost_process_costs_thin_recall_more_than_dice() -> None:
    true = np.zeros((80, 120), dtype=bool)
    true[20:60, 20:60] = True
    true[38:42, 60:] = True  # 4 px wide, up to the frame
    body = true.copy()
    body[:, 60:] = False
    assert metrics.dice(metrics.count(body, true)) > 0.9
    assert metrics.thin_recall(metrics.thin_counts(body, true)) < 0.1
    assert metrics.thin_recall(metrics.thin_counts(true, true)) == 1.0
    assert metrics.thin_parts(true)[38:42, -1].all()


def test_empty_cases_of_detail() -> None:
    nothing, full = np.zeros((9, 9), dtype=bool), np.ones((9, 9), dtype=bool)
    for true in (nothing, full):
        for predicted in (nothing, full):
            band, thin = metrics.band_counts(predicted, true), metrics.thin_counts(predicted, true)
            assert (band.total, thin.total) == (0, 0)
            assert math.isnan(metrics.band_dice(band))
            assert metrics.band_dice(band, empty=1.0) == 1.0
            assert math.isnan(metrics.thin_recall(thin))
            assert metrics.thin_recall(thin, empty=0.0) == 0.0
    with pytest.raises(UsageError, match="must be equal"):
        metrics.band_counts(nothing, full[:4])
    line = nothing.copy()
    line[4] = True
    assert metrics.thin_parts(line).sum() == 9  # nothing is left of it
