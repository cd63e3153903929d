"""Validation: loss, Dice and the threshold from counts over all thresholds at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from c6seg.training.batches import Examples
from c6seg.training.losses import segmentation_loss

BINS = 200
"""Thresholds that are told apart: k / BINS."""


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Parameters
    ----------
    loss
        Mean of the training loss over the windows.
    cells, background
        (images, BINS) counts of true cell and true background pixels by predicted probability.
    """

    loss: float
    cells: NDArray[np.int64]
    background: NDArray[np.int64]

    def dice(self, threshold: float = 0.5) -> float:
        """Mean Dice (equation (1)) over the images at a threshold; an image without cells and marks counts 1."""
        return float(self.dice_by_threshold()[round(threshold * BINS)])

    def dice_by_threshold(self) -> NDArray[np.float64]:
        """Mean Dice for the thresholds 0, 1 / BINS, ..., (BINS - 1) / BINS; a pixel at the threshold is cell."""
        tp = np.cumsum(self.cells[:, ::-1], axis=1)[:, ::-1]
        fp = np.cumsum(self.background[:, ::-1], axis=1)[:, ::-1]
        total = tp + fp + self.cells.sum(axis=1, keepdims=True)
        dice = np.where(total > 0, 2 * tp / np.maximum(total, 1), 1.0)
        mean: NDArray[np.float64] = dice.mean(axis=0)
        return mean

    def confluences(self, threshold: float = 0.5) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Covered fraction of each image by its truth and by the network at a threshold, (images,) each.

        Of the windows of :func:`validate`: pixels that two of them share count twice in both.
        """
        total = (self.cells + self.background).sum(axis=1)
        marked = (self.cells + self.background)[:, round(threshold * BINS) :].sum(axis=1)
        return self.cells.sum(axis=1) / total, marked / total

    def best_threshold(self) -> float:
        """Return the threshold of best mean Dice in 0.2..0.8: the middle of the plateau within 0.0005 of the best."""
        low, high = round(0.2 * BINS), round(0.8 * BINS)
        curve = self.dice_by_threshold()[low : high + 1]
        good = np.flatnonzero(curve >= curve.max() - 0.0005)
        return float((low + good[len(good) // 2]) / BINS)


def is_worse(result: Validation, start: Validation) -> bool:
    """Whether a training did not improve on its start: a higher loss, and no higher Dice."""
    return result.loss > start.loss and result.dice() <= start.dice()


@torch.no_grad()
def validate(network: nn.Module, examples: Examples, *, batch: int, loss: str, device: torch.device) -> Validation:
    """Run the network over fixed windows that cover every validation image.

    Windows of one image that overlap count their shared pixels once for each.
    """
    was_training = network.training
    network.eval()
    count = len(examples)
    cells, background = np.zeros((count, BINS), np.int64), np.zeros((count, BINS), np.int64)
    losses: list[float] = []
    for number in range(count):
        windows = examples.windows(number)
        for start in range(0, len(windows), batch):
            pairs = [examples.fixed(number, window) for window in windows[start : start + batch]]
            images = torch.from_numpy(np.stack([image for image, _ in pairs])).to(device)
            masks = torch.from_numpy(np.stack([mask for _, mask in pairs])).to(device)
            logits = network(images.contiguous(memory_format=torch.channels_last))
            losses += [float(segmentation_loss(logits, masks, loss))] * len(pairs)
            bins = (torch.sigmoid(logits.float()) * BINS).long().clamp_(0, BINS - 1)
            cells[number] += torch.bincount(bins[masks], minlength=BINS).cpu().numpy()
            background[number] += torch.bincount(bins[~masks], minlength=BINS).cpu().numpy()
    network.train(was_training)
    return Validation(float(np.mean(losses)), cells, background)
