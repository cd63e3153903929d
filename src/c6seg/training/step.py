"""One step: its learning rate, and the gradient of its loss, in one piece or in several."""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from torch import nn

from c6seg.config import TrainConfig
from c6seg.training.losses import segmentation_loss
from c6seg.training.recompute import frozen_statistics


def learning_rate(config: TrainConfig, step: int, steps_in_epoch: int) -> float:
    """Learning rate of a step counted from the start of the training: linear warm-up, then fixed or half a cosine."""
    warmup, total = config.warmup_epochs * steps_in_epoch, config.epochs * steps_in_epoch
    if step < warmup:
        return config.learning_rate * (step + 1) / max(1.0, warmup)
    if config.schedule == "fixed":
        return config.learning_rate
    part = (step - warmup) / max(1.0, total - warmup)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, part))))


def add_gradient(
    accelerator: Accelerator,
    network: nn.Module,
    images: torch.Tensor,
    masks: torch.Tensor,
    *,
    loss: str,
    pieces: int,
    seed: int,
) -> torch.Tensor:
    """Add the gradient of a batch's loss to that of the weights; return the loss.

    Parameters
    ----------
    accelerator
        That prepared the network.
    network
        In training mode.
    images, masks
        (N, 3, H, W) and (N, 1, H, W).
    loss
        As in :func:`c6seg.training.losses.segmentation_loss`.
    pieces
        The batch goes through the network in so many pieces, one after the other, and the gradient is that of the whole
        batch: dice is taken of the batch together, so its logits are computed first without keeping anything, and then
        again piece by piece against the gradient of the loss by them (Gao et al., arXiv 2101.06983). It costs a third
        more time and the memory of one piece. Batch norms see one piece at a time.
    seed
        Of the layers with chance in them; both passes draw the same.
    """
    device = accelerator.device
    images, masks = images.to(device, non_blocking=True), masks.to(device, non_blocking=True)
    torch.manual_seed(seed)
    if pieces == 1:
        value = segmentation_loss(network(_fast(images)), masks, loss, together=True)
        accelerator.backward(value)
        return value.detach()
    parts = images.chunk(pieces)
    with torch.no_grad(), frozen_statistics([network]):
        logits = torch.cat([network(_fast(part)).float() for part in parts]).requires_grad_()
    value = segmentation_loss(logits, masks, loss, together=True)
    (gradient,) = torch.autograd.grad(value, logits)
    torch.manual_seed(seed)
    for number, (part, wanted) in enumerate(zip(parts, gradient.chunk(pieces), strict=True), start=1):
        with nullcontext() if number == len(parts) else accelerator.no_sync(network):
            accelerator.backward((network(_fast(part)).float() * wanted).sum())
    return value.detach()


def _fast(images: torch.Tensor) -> torch.Tensor:
    return images.contiguous(memory_format=torch.channels_last)
