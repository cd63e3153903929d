"""Losses against hand-written numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from c6seg.training.losses import dice_loss, segmentation_loss


def test_against_numpy():
    rng = np.random.default_rng(0)
    logits, target = rng.standard_normal((2, 1, 8, 8)), rng.random((2, 1, 8, 8)) > 0.5
    p = 1 / (1 + np.exp(-logits))
    dice = 1 - (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1)
    bce = -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean()
    tensors = torch.from_numpy(logits), torch.from_numpy(target)
    assert float(segmentation_loss(*tensors, "dice")) == pytest.approx(dice, rel=1e-5)
    assert float(segmentation_loss(*tensors, "bce")) == pytest.approx(bce, rel=1e-5)
    assert float(segmentation_loss(*tensors, "bce+dice")) == pytest.approx(bce + dice, rel=1e-5)


@pytest.mark.parametrize(("sign", "expected"), [(1, 0.0), (-1, 1.0)])
def test_dice_loss_is_zero_for_the_truth_and_one_for_its_opposite(sign, expected):
    target = (torch.arange(64).reshape(1, 1, 8, 8) % 2).float()
    assert float(dice_loss(sign * 200 * (target - 0.5), target)) == pytest.approx(expected, abs=0.05)


def test_an_example_without_cells_has_a_gradient_towards_nothing():
    logits = torch.zeros(1, 1, 8, 8, requires_grad=True)
    dice_loss(logits, torch.zeros(1, 1, 8, 8)).backward()
    assert logits.grad is not None
    assert torch.all(logits.grad > 0)
