"""Losses on logits."""

from __future__ import annotations

import torch
from torch.nn import functional

from c6seg.training.together import sum_across


def dice_loss(logits: torch.Tensor, target: torch.Tensor, *, together: bool = False) -> torch.Tensor:
    """One minus soft Dice of the whole batch (equation (1) on probabilities; Milletari et al., 3DV 2016, with |.|).

    The batch is taken together, with ``together`` that of all processes, so that an example without cells has a defined
    gradient.
    """
    probability = torch.sigmoid(logits)
    parts = torch.stack([(probability * target).sum(), probability.sum() + target.sum()])
    overlap, total = (sum_across(parts) if together else parts).unbind()
    return 1 - (2 * overlap + 1) / (total + 1)


def segmentation_loss(logits: torch.Tensor, target: torch.Tensor, kind: str, *, together: bool = False) -> torch.Tensor:
    """Loss by name: ``bce``, ``dice`` or ``bce+dice`` (their sum).

    Parameters
    ----------
    logits, target
        (N, 1, H, W); target holds 0 and 1. Computed in float32 whatever the network's precision.
    together
        Whether all processes take the loss of all their images at once. Their gradients are to be averaged.
    """
    logits, target = logits.float(), target.float()
    loss = logits.new_zeros(())
    if "bce" in kind:
        loss = loss + functional.binary_cross_entropy_with_logits(logits, target)
    if "dice" in kind:
        loss = loss + dice_loss(logits, target, together=together)
    return loss
