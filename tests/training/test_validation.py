"""Validation: Dice at every threshold at once equals Dice at each."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from c6seg.config import TrainConfig
from c6seg.config_files import load_config
from c6seg.data.datasets import open_dataset
from c6seg.training.batches import Examples
from c6seg.training.validation import BINS, Validation, is_worse, validate


class Known(torch.nn.Module):
    """A network whose probability is the red channel."""

    def forward(self, images):
        return torch.logit(images[:, :1].clamp(0.001, 0.999))


def test_counts_give_the_dice_of_each_threshold(tiny_data):
    config = load_config(
        TrainConfig,
        {"input_size": "native", "preprocess": {"mean": [0, 0, 0], "std": [1, 1, 1]}},
    )
    items = open_dataset(tiny_data).items
    examples = Examples(items, config)
    found = validate(Known(), examples, batch=2, loss="bce", device=torch.device("cpu"))
    for threshold in (0.25, 0.5, 0.6):
        dices = []
        for number in range(len(items)):
            image, mask = examples.fixed(number, examples.windows(number)[0])
            predicted = np.clip(image[:1], 0.001, 0.999) >= threshold - 1e-6
            dices.append(2 * (predicted & mask).sum() / (predicted.sum() + mask.sum()))
        assert found.dice(threshold) == pytest.approx(np.mean(dices), abs=2e-3)


def test_counts_give_the_confluence_of_each_image(tiny_data):
    config = load_config(
        TrainConfig,
        {"input_size": "native", "preprocess": {"mean": [0, 0, 0], "std": [1, 1, 1]}},
    )
    items = open_dataset(tiny_data).items
    examples = Examples(items, config)
    found = validate(Known(), examples, batch=2, loss="bce", device=torch.device("cpu"))
    true, predicted = found.confluences(0.6)
    assert len(true) == len(items)
    for number in range(len(items)):
        image, mask = examples.fixed(number, examples.windows(number)[0])
        assert true[number] == pytest.approx(mask.mean())
        assert predicted[number] == pytest.approx((image[:1] >= 0.6 - 1e-6).mean(), abs=2e-3)
    assert predicted.std() > 0.001


def test_the_threshold_is_the_best_one():
    cells, background = np.zeros((1, BINS), int), np.zeros((1, BINS), int)
    cells[0, 130:] = 10  # every cell pixel at 0.65 or more, every other one below 0.6
    background[0, :120] = 10
    found = Validation(0.0, cells, background)
    assert found.dice(found.best_threshold()) == 1.0
    assert 0.6 <= found.best_threshold() <= 0.65


def test_nothing_marked_where_nothing_is_counts_one():
    nothing = np.zeros((1, BINS), int)
    background = nothing.copy()
    background[0, 0] = 100
    assert Validation(0.0, nothing, background).dice() == 1.0


def test_worse_means_a_higher_loss_and_no_higher_dice():
    def found(loss, hits):
        cells = np.zeros((1, BINS), int)
        cells[0, 150], cells[0, 10] = hits, 10 - hits
        return Validation(loss, cells, np.zeros((1, BINS), int))

    assert is_worse(found(2.0, 5), found(1.0, 8))
    assert is_worse(found(2.0, 0), found(1.0, 0))
    assert not is_worse(found(0.5, 5), found(1.0, 8))
    assert not is_worse(found(2.0, 9), found(1.0, 8))
