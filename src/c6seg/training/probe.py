"""How long a training step takes on this machine, by a few steps on a small input; for forecasts."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch

from c6seg.config import TrainConfig
from c6seg.models.encoders import find_encoder
from c6seg.models.network import build_network
from c6seg.training.device import make_accelerator
from c6seg.training.losses import segmentation_loss
from c6seg.training.memory import step_memory

SIDE_PX, LARGE_PX = 192, 384
"""Sides of the input; the larger one for transformers, whose steps take longer for a pixel of a larger image."""

STEPS = 2
TRANSFORMERS = "mit_"
"""Beginning of the library's names of encoders with attention."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """Time of a training step.

    Parameters
    ----------
    seconds_per_mpx
        Seconds for a million pixels of input, forward, backward and update, without what grows.
    device
        Where: ``cpu`` or ``cuda``, and the precision.
    growth
        Seconds that each million pixels of an image adds to those of a million of its pixels: attention looks from
        every place at every other.
    """

    seconds_per_mpx: float
    device: str
    growth: float = 0.0

    def rate(self, mpx: float) -> float:
        """Return the seconds for a million pixels of images of this size, in million pixels."""
        return self.seconds_per_mpx + self.growth * mpx


def probe_step(config: TrainConfig) -> StepTime:
    """Time a few steps on an input of 192x192, and of transformers on one of 384x384 too.

    Parameters
    ----------
    config
        Encoder and precision count; the weights are random.
    """
    seconds, device = _rate(config, SIDE_PX)
    if not find_encoder(config.network.encoder).library_name.startswith(TRANSFORMERS):
        return StepTime(seconds, device)
    return through(seconds, _rate(config, LARGE_PX)[0], device)


def through(small: float, large: float, device: str) -> StepTime:
    """Return the time of a step from the seconds for a million pixels at both sides.

    Parameters
    ----------
    small, large
        At inputs of :data:`SIDE_PX` and :data:`LARGE_PX`; a larger input that is quicker for a pixel makes no growth.
    device
        As in :class:`StepTime`.
    """
    sizes = [side**2 / 1e6 for side in (SIDE_PX, LARGE_PX)]
    growth = max(0.0, (large - small) / (sizes[1] - sizes[0]))
    return StepTime(large - growth * sizes[1], device, growth)


def _rate(config: TrainConfig, side_px: int) -> tuple[float, str]:
    """Return the seconds for a million pixels of a square input, and where they were measured."""
    encoder = find_encoder(config.network.encoder)
    network, _, _ = build_network(config.network.model_copy(update={"init": "random"}), seed=0)
    accelerator = make_accelerator(config.precision)
    network = network.to(memory_format=torch.channels_last)
    model, optimizer = accelerator.prepare(network, torch.optim.Adam(network.parameters(), lr=1e-4))
    model.train()
    batch = encoder.min_batch
    images = torch.rand(batch, 3, side_px, side_px, device=accelerator.device)
    images = images.contiguous(memory_format=torch.channels_last)
    masks = torch.rand(batch, 1, side_px, side_px, device=accelerator.device) > 0.5
    times = []
    for _ in range(STEPS + 1):
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        accelerator.backward(segmentation_loss(model(images), masks, config.loss))
        optimizer.step()
        if accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    # the first step also chooses kernels
    seconds = statistics.median(times[1:]) / (batch * side_px * side_px / 1e6)
    return seconds, f"{accelerator.device.type} {accelerator.mixed_precision.replace('no', 'fp32')}"


def count_memory(config: TrainConfig, size_hw: tuple[int, int]) -> float:
    """Count the memory of a training step at a size, MB; one image (or the least the encoder can) where batch is auto.

    Parameters
    ----------
    config
        Encoder, batch and precision; whether activations are computed again is not counted.
    size_hw
        Height and width of the input, px.
    """
    encoder = find_encoder(config.network.encoder)
    batch = encoder.min_batch if config.batch == "auto" else config.batch
    network, _, _ = build_network(config.network.model_copy(update={"init": "random"}), seed=0)
    bf16 = make_accelerator(config.precision).mixed_precision == "bf16"
    return step_memory(network, size_hw, batch=batch, bf16=bf16).peak / 1e6
