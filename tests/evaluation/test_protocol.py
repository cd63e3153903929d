"""Equation (2) and its resizing against torch and against loops, on toys and on real masks."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from c6seg.errors import ImageReadError, UsageError
from c6seg.evaluation import protocol
from c6seg.evaluation.metrics import Counts

Mask = NDArray[np.bool_]


def by_torch(array: NDArray[np.float64], size_hw: tuple[int, int]) -> NDArray[np.float64]:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(array.astype(np.float64))[None, None]
    return torch.nn.functional.interpolate(tensor, size=size_hw, mode="bilinear", align_corners=False)[0, 0].numpy()


def by_loops(array: NDArray[np.float64], size_hw: tuple[int, int]) -> NDArray[np.float64]:
    height, width = array.shape
    out = np.zeros(size_hw)
    for row in range(size_hw[0]):
        for column in range(size_hw[1]):
            y = max((row + 0.5) * height / size_hw[0] - 0.5, 0.0)
            x = max((column + 0.5) * width / size_hw[1] - 0.5, 0.0)
            top, left = math.floor(y), math.floor(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            v, u = y - top, x - left
            above = (1 - u) * array[top, left] + u * array[top, right]
            below = (1 - u) * array[bottom, left] + u * array[bottom, right]
            out[row, column] = (1 - v) * above + v * below
    return out


SIZES = [
    ((5, 7), (5, 7)),
    ((12, 9), (4, 3)),
    ((6, 8), (17, 21)),
    ((13, 11), (5, 29)),
    ((1, 4), (3, 2)),
    ((9, 9), (1, 1)),
]


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_interpolation_equals_torch_and_loops(before: tuple[int, int], after: tuple[int, int]) -> None:
    array = np.random.default_rng(0).random(before)
    found = protocol.interpolate(array, after)
    assert found.shape == after
    np.testing.assert_allclose(found, by_loops(array, after), atol=1e-12)
    np.testing.assert_allclose(found, by_torch(array, after), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    before=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    after=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 1000),
)
def test_interpolation_stays_inside_and_keeps_constants(
    before: tuple[int, int], after: tuple[int, int], seed: int
) -> None:
    array = np.random.default_rng(seed).random(before)
    found = protocol.interpolate(array, after)
    assert array.min() - 1e-12 <= found.min()
    assert found.max() <= array.max() + 1e-12
    np.testing.assert_allclose(protocol.interpolate(np.full(before, 0.3), after), 0.3, atol=1e-15)
    np.testing.assert_allclose(found, by_loops(array, after), atol=1e-12)


def test_truth_keeps_every_part_when_enlarged_and_is_exact_at_whole_factors() -> None:
    true = np.zeros((8, 8), dtype=bool)
    true[3, 4] = True
    large = protocol.resize_truth(true, (16, 16))
    assert large.sum() == 16  # one pixel reaches half a pixel beyond its border on each side
    assert large[5:9, 7:11].all()
    # a third of the size samples exactly the middle pixels: rounding must not let neighbours in
    grid = np.random.default_rng(1).random((31 * 3, 17 * 3)) > 0.5
    assert np.array_equal(protocol.resize_truth(grid, (31, 17)), grid[1::3, 1::3])
    assert protocol.resize_truth(grid, None) is grid


def reference_score(probability: NDArray[np.float32], true: Mask, size_hw: tuple[int, int], threshold: float) -> float:
    """Equation (2) from its text: torch's g, the truth > 0, equation (1) by sets."""
    predicted = {tuple(p) for p in np.argwhere(by_torch(probability.astype(float), size_hw) >= threshold)}
    truth = {tuple(p) for p in np.argwhere(by_torch(true.astype(float), size_hw) > 1e-9)}
    return 2 * len(predicted & truth) / (len(predicted) + len(truth))


@pytest.mark.parametrize("score_hw", [(64, 80), (30, 41), (100, 90)])
@pytest.mark.parametrize("input_hw", [(64, 80), (32, 64)])
def test_dice_equals_equation_2_by_torch(score_hw: tuple[int, int], input_hw: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    true = ndimage.gaussian_filter(rng.standard_normal((64, 80)), 4) > 0.03
    noisy = ndimage.gaussian_filter(true + 0.4 * rng.standard_normal(true.shape), 1.5)
    probability = np.clip(ndimage.zoom(noisy, np.divide(input_hw, true.shape), order=1), 0, 1).astype(np.float32)
    score = protocol.score_image("a", probability, true, threshold=0.4, input_hw=input_hw, score_hw=score_hw)
    assert score.counts.total == score_hw[0] * score_hw[1]
    assert score.dice == pytest.approx(reference_score(probability, true, score_hw, 0.4), abs=1e-12)
    assert 0.5 < score.dice < 1


def test_real_masks_at_the_papers_resolutions(shared_data: Path) -> None:
    file = sorted((shared_data / "t98g" / "masks").glob("*.png"))[3]
    true = np.asarray(Image.open(file)) > 0
    for size_hw in ((512, 704), (1120, 1472)):
        reference = by_torch(true.astype(float), size_hw)
        ours = protocol.resize_truth(true, size_hw)
        assert np.array_equal(ours, reference > 1e-9)
        # the truth scored against its own area-true probability: nothing is lost, a seam is gained
        score = protocol.score_image("a", true.astype(np.float32), true, threshold=0.5, score_hw=size_hw)
        assert 0.9 < score.dice < 1
        assert score.counts.fp == 0
    whole = protocol.score_image("a", true.astype(np.float32), true, threshold=0.5)
    assert (whole.dice, whole.hd95_px, whole.boundary_f1) == (1.0, 0.0, 1.0)
    assert whole.counts.total == true.size


def test_probability_is_interpolated_before_the_threshold() -> None:
    probability = np.array([[0.0, 1.0]], dtype=np.float32)
    # interpolated: 0, 1/4, 3/4, 1; a mask resized by nearest neighbours would not move with the threshold
    for threshold, cells in ((0.2, 3), (0.25, 3), (0.5, 2), (0.76, 1)):
        assert protocol.resize_prediction(probability, (1, 4), threshold=threshold).sum() == cells
    assert protocol.resize_prediction(probability, (1, 2), threshold=1.0).tolist() == [[False, True]]


def test_rows_have_exactly_the_agreed_columns() -> None:
    nothing = np.zeros((4, 6), dtype=bool)
    one = nothing.copy()
    one[1, 1] = True
    row = protocol.score_image("x", one.astype(np.float32), nothing, threshold=0.5, input_hw=(512, 704)).row()
    assert tuple(row) == protocol.COLUMNS
    assert (row["input_size"], row["score_size"]) == ("704x512", "native")
    assert (row["tp"], row["fp"], row["fn"], row["tn"]) == (0, 1, 0, 23)
    assert (row["dice"], row["precision"], row["recall"], row["hd95_px"]) == (0.0, 0.0, None, None)
    assert row["confluence_pred"] == pytest.approx(1 / 24)
    assert (row["band_dice"], row["thin_recall"], row["band_tp"], row["thin_fn"]) == (None, None, 0, 0)


def test_detail_is_scored_at_the_size_of_the_score_and_pooled() -> None:
    true = np.zeros((60, 90), dtype=bool)
    true[10:50, 10:50] = True
    true[29:33, 50:80] = True
    body = true.copy()
    body[:, 50:] = False
    one, other = (protocol.score_image("a", mask.astype(np.float32), true, threshold=0.5) for mask in (body, true))
    assert one.row()["thin_recall"] < 0.2
    assert (other.row()["thin_recall"], other.row()["band_dice"]) == (1.0, 1.0)
    pooled = protocol.Evaluation((one, other)).summary()["pooled"]
    both = one.thin.plus(other.thin)
    assert pooled["thin_recall"] == pytest.approx(both.tp / (both.tp + both.fn))
    assert one.row()["band_dice"] < pooled["band_dice"] < 1.0
    # four times as large, the process is thicker than the disc
    large = protocol.score_image("a", body.astype(np.float32), true, threshold=0.5, score_hw=(240, 360))
    assert large.thin.fn < one.thin.fn


def test_averages_of_equations_3_and_4() -> None:
    scores = [[0.9, 0.8], [0.7, 1.0], [0.6, 0.8]]
    assert protocol.dice_score_average(scores) == pytest.approx(0.8)
    assert protocol.dice_loss_average(scores) == pytest.approx(0.2)
    for bad in ([], [[]], [[0.5], [0.5, 0.6]]):
        with pytest.raises(UsageError, match=r"Equation \(3\)"):
            protocol.dice_score_average(bad)


def test_a_failure_costs_its_image_and_is_counted() -> None:
    counts = {"a": Counts(8, 2, 2, 88), "c": Counts(5, 0, 5, 90)}

    def score(name: str) -> protocol.Score:
        if name == "b":
            raise ImageReadError("b.tif is cut off")
        return protocol.Score(name, None, None, counts[name], 0.5, math.nan)

    evaluation = protocol.evaluate_each("abc", score, expected=(ImageReadError,))
    summary = evaluation.summary()
    assert (summary["images"], summary["scored"], summary["failed"]) == (3, 2, 1)
    assert summary["failures"] == [{"image": "b", "reason": "b.tif is cut off"}]
    assert summary["scores"]["dice"]["mean"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert summary["dice_failures_as_0"] == pytest.approx((0.8 + 2 / 3) / 3)
    assert summary["pooled"]["dice"] == pytest.approx(2 * 13 / (2 * 13 + 9))
    assert summary["scores"]["hd95_px"] == protocol.summarise([math.nan, math.nan]).as_dict()
    assert summary["scores"]["confluence_error"]["mean"] == pytest.approx(-0.025)
    assert summary["scores"]["confluence_error_absolute"]["mean"] == pytest.approx(0.025)
    json.dumps(summary, allow_nan=False)
    with pytest.raises(ImageReadError):
        protocol.evaluate_each("abc", score, expected=(UsageError,))


def test_nothing_scored_is_said_not_invented() -> None:
    summary = protocol.Evaluation((), (("a", "gone"),)).summary()
    assert summary["pooled"] is None
    assert summary["scores"]["dice"]["mean"] is None
    assert summary["dice_failures_as_0"] == 0.0


def test_sizes_that_cannot_be() -> None:
    for array, size_hw in ((np.zeros((2, 2, 3)), (1, 1)), (np.zeros((2, 0)), (1, 1)), (np.zeros((2, 2)), (0, 1))):
        with pytest.raises(UsageError, match="Cannot interpolate"):
            protocol.interpolate(array, size_hw)
