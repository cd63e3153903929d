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

SIDE_PX = 192
STEPS = 2


@dataclass(frozen=True, slots=True)
class StepTime:
    """Time of a training step.

    Parameters
    ----------
    seconds_per_mpx
        Seconds for a million pixels of input, forward, backward and update.
    device
        Where: ``cpu`` or ``cuda``, and the precision.
    """

    seconds_per_mpx: float
    device: str


def probe_step(config: TrainConfig) -> StepTime:
    """Time a few steps on an input of 192x192.

    Parameters
    ----------
    config
        Encoder and precision count; the weights are random.
    """
    encoder = find_encoder(config.network.encoder)
    network, _, _ = build_network(config.network.model_copy(update={"init": "random"}), seed=0)
    accelerator = make_accelerator(config.precision)
    network = network.to(memory_format=torch.channels_last)
    model, optimizer = accelerator.prepare(network, torch.optim.Adam(network.parameters(), lr=1e-4))
    model.train()
    batch = encoder.min_batch
    images = torch.rand(batch, 3, SIDE_PX, SIDE_PX, device=accelerator.device)
    images = images.contiguous(memory_format=torch.channels_last)
    masks = torch.rand(batch, 1, SIDE_PX, SIDE_PX, device=accelerator.device) > 0.5
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
    seconds = statistics.median(times[1:]) / (batch * SIDE_PX * SIDE_PX / 1e6)
    return StepTime(seconds, f"{accelerator.device.type} {accelerator.mixed_precision.replace('no', 'fp32')}")


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
