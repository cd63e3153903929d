"""What a training step will take in memory, counted without doing it.

The step runs on tensors that have shapes and no contents, so that the count for 2592x1952 takes seconds and no memory.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from c6seg.config import TrainConfig
from c6seg.machine import available_memory_mb
from c6seg.models.encoders import find_encoder
from c6seg.runtime import logger
from c6seg.training.recompute import recompute_blocks

PROCESSOR_BATCH = 8
"""Largest batch that is chosen on a processor."""

MOST_BYTES_PER_PX = 10_000
"""No encoder of the table keeps more for a pixel of its batch, in float32."""


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Memory of one training step, bytes.

    Parameters
    ----------
    weights
        Weights, and Adam's two numbers for each.
    kept
        Activations that the forward pass keeps for the backward pass.
    peak
        Largest sum of everything at any moment: weights, Adam, gradients, activations, input. What a device's own
        libraries work with comes on top and is not counted.
    """

    weights: int
    kept: int
    peak: int


def step_memory(network: nn.Module, size_hw: tuple[int, int], *, batch: int = 1, bf16: bool = False) -> StepMemory:
    """Count the memory of a training step with Adam.

    Parameters
    ----------
    network
        (N, 3, H, W) to logits (N, 1, H, W), not yet wrapped for a device; it is not run, and left as it is.
    size_hw
        Height and width of the input, px.
    batch
        Images.
    bf16
        Under autocast to bfloat16, else float32.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    training = network.training
    network.train()
    live, kept = _Live(), _Kept()
    try:
        with torch.random.fork_rng(devices=[]), FakeTensorMode(allow_non_fake_inputs=True) as fake:
            own = {name: fake.from_tensor(value) for name, value in network.state_dict(keep_vars=True).items()}
            weights = {
                name: nn.Parameter(own[name], weight.requires_grad) for name, weight in network.named_parameters()
            }
            kept.ignore(weights.values())
            with live:
                image = torch.empty(batch, 3, *size_hw)
                with (
                    torch.autograd.graph.saved_tensors_hooks(kept.pack, _same),
                    torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16),
                ):
                    logits = torch.func.functional_call(network, {**own, **weights}, (image,))
                logits.float().mean().backward()
    finally:
        network.train(training)
    fixed = sum(_bytes(weight) * (3 if weight.requires_grad else 1) for weight in weights.values())
    return StepMemory(fixed, kept.total, fixed + live.peak)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a training keeps to the memory there is.

    Parameters
    ----------
    recompute
        Whether activations are computed again for the gradient.
    batch
        Images per step and process: as configured, at most the images of an epoch, but enough for the encoder's batch
        norm. ``auto`` on a processor: 8, or as many as fit if they are fewer; on a graphics card the least, as more are
        to be found by trying.
    """

    recompute: bool
    batch: int


def plan_memory(
    network: nn.Module, config: TrainConfig, size_hw: tuple[int, int], *, count: int, bf16: bool, device: torch.device
) -> Plan:
    """Decide whether activations are computed again, where the recipe leaves it open, and how large a batch may be.

    Parameters
    ----------
    network
        Not yet wrapped for a device; left as it is.
    config
        The recipe.
    size_hw
        Size of the largest example, px.
    count
        Images of an epoch.
    bf16, device
        What the training runs in and on.
    """
    encoder, least = find_encoder(config.network.encoder), find_encoder(config.network.encoder).min_batch
    asked = config.batch if config.batch != "auto" else PROCESSOR_BATCH if device.type == "cpu" else 1
    batch = max(least, min(asked, count))
    again = config.checkpointing
    if again == "auto":
        again = not fits(network, size_hw, batch=batch, bf16=bf16, device=device)
        if again:
            logger.info("activations are computed again for the gradient: all of them would not fit into memory")
    if config.batch == "auto" and device.type == "cpu":
        trial = copy.deepcopy(network) if again else network
        if again:
            recompute_blocks(trial, encoder)
        while batch > least and not fits(trial, size_hw, batch=batch, bf16=bf16, device=device):
            batch = max(least, batch // 2)
            logger.info("batch %d, as more would not fit into memory", batch)
    return Plan(again, batch)


def fits(network: nn.Module, size_hw: tuple[int, int], *, batch: int, bf16: bool, device: torch.device) -> bool:
    """Whether a training step fits into what is free on a device, with a fifth to spare; True where nobody knows."""
    free = free_bytes(device)
    if free is None or batch * size_hw[0] * size_hw[1] * MOST_BYTES_PER_PX < 0.8 * free:
        return True
    return step_memory(network, size_hw, batch=batch, bf16=bf16).peak < 0.8 * free


def free_bytes(device: torch.device) -> float | None:
    """Memory that is free on a device, bytes; None where it does not say."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    free_mb = available_memory_mb()
    return None if free_mb is None else free_mb * 1e6


class _Kept:
    """Counts the memory behind tensors that are kept for the backward pass, each piece once."""

    def __init__(self) -> None:
        self.total = 0
        self._seen: dict[int, Any] = {}  # the storages themselves, so that no number is given twice

    def ignore(self, tensors: Any) -> None:
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._seen[storage._cdata] = storage

    def pack(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._seen:
            self._seen[storage._cdata] = storage
            self.total += storage.nbytes()
        return tensor


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the memory behind all tensors that operations make, while it is in use."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._watch(tensor.untyped_storage())
        return made

    def _watch(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            weakref.finalize(storage, self._forget, key, storage.nbytes())
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
