"""One step: a batch in pieces gives the gradient of the whole."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from c6seg.config import TrainConfig
from c6seg.training.device import make_accelerator
from c6seg.training.losses import segmentation_loss
from c6seg.training.step import add_gradient, learning_rate

LOSSES = ("bce", "dice", "bce+dice")


def network(*extra):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *extra, nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1)).train()


def batch(count=4):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, 16, 16, generator=generator)
    # pieces with few and with many cells: dice is not their mean
    return images, torch.rand(count, 1, 16, 16, generator=generator) < torch.linspace(0.02, 0.9, count)[
        :, None, None, None
    ]


def gradients(net, *, loss, pieces):
    images, masks = batch()
    accelerator = make_accelerator("fp32")
    value = add_gradient(accelerator, accelerator.prepare(net), images, masks, loss=loss, pieces=pieces, seed=3)
    return value, [weight.grad for weight in net.parameters()]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("pieces", [2, 4])
def test_pieces_give_the_gradient_of_one_large_batch(loss, pieces):
    (value, found), (expected, wanted) = (gradients(network(), loss=loss, pieces=count) for count in (pieces, 1))
    torch.testing.assert_close(value, expected)
    for gradient, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, right, rtol=1e-4, atol=1e-7)


def test_the_mean_of_the_pieces_dice_is_something_else():
    """So that the test above can fail."""
    images, masks = batch()
    net = network()
    parts = [segmentation_loss(net(a), b, "dice") for a, b in zip(images.chunk(4), masks.chunk(4), strict=True)]
    whole = segmentation_loss(net(images), masks, "dice")
    assert abs(float((torch.stack(parts).mean() - whole).detach())) > 0.01


def test_chance_and_batch_norm_are_those_of_the_pieces_seen_once():
    """Both passes draw the same, and running statistics move once for each piece."""
    net, other = network(nn.BatchNorm2d(8), nn.Dropout(0.5)), network(nn.BatchNorm2d(8), nn.Dropout(0.5))
    value, found = gradients(net, loss="bce+dice", pieces=2)
    images, masks = batch()
    images = images.contiguous(memory_format=torch.channels_last)  # dropout draws in the order of memory
    torch.manual_seed(3)
    logits = torch.cat([other(part) for part in images.chunk(2)])
    expected = segmentation_loss(logits, masks, "bce+dice")
    expected.backward()
    torch.testing.assert_close(value, expected.detach())
    for gradient, weight in zip(found, other.parameters(), strict=True):
        torch.testing.assert_close(gradient, weight.grad, rtol=1e-4, atol=1e-7)
    for name, statistic in net.named_buffers():
        torch.testing.assert_close(statistic, other.get_buffer(name), msg=name)
    assert net[1].num_batches_tracked == 2


def test_the_rate_warms_up_and_falls():
    config = TrainConfig(epochs=10, warmup_epochs=1, learning_rate=1.0, schedule="cosine")
    rates = [learning_rate(config, step, 4) for step in range(40)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(0.01, abs=0.01)
    assert learning_rate(config.model_copy(update={"schedule": "fixed"}), 30, 4) == 1.0
