"""Batches: what an epoch shows, in which order, and how processes share it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from c6seg.config import TrainConfig
from c6seg.config_files import load_config
from c6seg.data.datasets import open_dataset
from c6seg.data.images import read_image
from c6seg.training.batches import Examples, epoch_order, steps_per_epoch, train_batches
from c6seg.transforms.preprocess import Preprocess

PLAIN = {"input_size": "64x64", "augment": {"flips": False, "quarter_turns": False}}


@pytest.fixture
def items(tiny_data):
    return open_dataset(tiny_data).items


def examples(items, extra=(), **changes):
    return Examples(items, load_config(TrainConfig, {**PLAIN, **changes}), extra=extra)


def test_an_epoch_shows_every_image_as_often_as_asked(items):
    order = epoch_order(examples(items, crops_per_image=3), epoch=0)
    assert np.bincount(order).tolist() == [3] * 5


def test_extra_images_join_in_the_number_asked_for(items):
    made = examples(items[:2], extra=items[2:], crops_per_image=2, extra_per_epoch=2)
    for epoch in range(5):
        counts = np.bincount(epoch_order(made, epoch=epoch), minlength=5)
        assert counts[:2].tolist() == [2, 2]
        assert counts[2:].sum() == 2
    assert steps_per_epoch(made, batch=3) == 2


def test_order_depends_on_epoch_and_seed_only(items):
    orders = [
        tuple(epoch_order(examples(items, seed=seed, crops_per_image=4), epoch=epoch))
        for seed, epoch in [(0, 0), (0, 0), (0, 1), (1, 0)]
    ]
    assert orders[0] == orders[1]
    assert len(set(orders)) == 3


def test_two_processes_see_together_what_one_with_twice_the_batch_sees(items):
    made = examples(items, crops_per_image=2)
    whole = list(train_batches(made, epoch=1, batch=4))
    parts = [list(train_batches(made, epoch=1, batch=2, rank=rank, processes=2)) for rank in (0, 1)]
    assert len(whole) == len(parts[0]) == len(parts[1])
    for step, (images, masks) in enumerate(whole):
        assert torch.equal(images, torch.cat([parts[0][step][0], parts[1][step][0]]))
        assert torch.equal(masks, torch.cat([parts[0][step][1], parts[1][step][1]]))


def test_an_epoch_entered_in_the_middle_goes_on_with_the_same_examples(items):
    made = examples(items, crops_per_image=2, augment={"scale": [0.7, 1.4], "noise": 0.1})
    whole = list(train_batches(made, epoch=2, batch=3))
    rest = list(train_batches(made, epoch=2, batch=3, first_step=2))
    assert len(rest) == len(whole) - 2
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole[2:], rest, strict=True))


def test_training_and_inference_see_the_same_numbers(items):
    made = examples(items, input_size="96x96")
    image, _ = made.train(0, epoch=0, index=0)
    pixels = read_image(items[0].image).pixels
    whole = Preprocess(made.config.preprocess).network_input(pixels)
    assert any(np.allclose(image, whole[:, :, left : left + 96], atol=2e-2) for left in range(whole.shape[2] - 95))


def test_validation_windows_cover_the_image(items):
    made = examples(items)
    seen = np.zeros(made.prepared(0).size_hw, int)
    for window in made.windows(0):
        left, top, right, bottom = (int(edge) for edge in window.box_xyxy)
        assert (bottom - top, right - left) == window.inner_hw
        seen[top:bottom, left:right] += 1
    assert seen.min() >= 1


@pytest.mark.parametrize("changes", [{"fit": "resize", "input_size": "96x64"}, {"input_size": "native"}])
def test_whole_images_at_a_fixed_or_their_own_size(items, changes):
    made = examples(items, **changes)
    image, mask = made.train(0, epoch=0, index=0)
    expected = (64, 96) if "fit" in changes else (96, 128)
    assert image.shape == (3, *expected)
    assert mask.shape == (1, *expected)
    assert made.fixed(0, made.windows(0)[0])[0].shape == (3, *expected)
