"""The largest batch that fits, on a device that is full at a known size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from c6seg.errors import TrainingError
from c6seg.training.device import largest_batch, make_accelerator

IMAGE = np.random.default_rng(0).random((3, 8, 8), dtype=np.float32)


class Small(torch.nn.Module):
    """A network with batch norm for which more than ``room`` images do not fit."""

    def __init__(self, room):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 3), torch.nn.BatchNorm2d(1))
        self.room = room

    def forward(self, images):
        if len(images) > self.room:
            raise RuntimeError("CUDA out of memory.")
        return self.layers(images)


@pytest.mark.parametrize(("room", "most", "expected"), [(11, 16, 11), (40, 16, 16), (1, 16, 1)])
def test_the_largest_batch_that_fits_is_found_and_the_network_left_alone(room, most, expected):
    network = Small(room)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = largest_batch(make_accelerator("fp32"), network, IMAGE, most=most)
    assert found <= expected
    assert found >= 0.85 * expected
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())


def test_a_device_too_small_for_one_image_is_said():
    with pytest.raises(TrainingError, match="Not even one image of 8x8 px"):
        largest_batch(make_accelerator("fp32"), Small(0), IMAGE, most=4)


def test_other_faults_of_the_network_are_not_taken_for_a_full_device():
    class Broken(Small):
        def forward(self, images):
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        largest_batch(make_accelerator("fp32"), Broken(1), IMAGE, most=4)
