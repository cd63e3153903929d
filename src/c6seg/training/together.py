"""Several processes that train as one: sums over all of them, with their gradients.

With these the loss and the batch norms of P processes are those of one process with a batch P times as large; without
them each would see a dice loss and batch statistics of its own part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


def sum_across(values: torch.Tensor) -> torch.Tensor:
    """Sum over all processes, the same in each; as it stands where there is one process.

    Its gradient is summed over the processes, too, so that the mean of all processes' gradients, which the wrapper for
    several processes takes, is the gradient of the whole.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return values
    summed: torch.Tensor = _Sum.apply(values)
    return summed


def join_norms(network: nn.Module, processes: int, device: torch.device) -> nn.Module:
    """Make batch norms take their statistics over the images of all processes.

    Parameters
    ----------
    network
        Changed in place where it trains on a processor; the names in its state dict stay what they were.
    processes
        One: nothing is done.
    device
        On graphics cards PyTorch's own layers take the place of the network's.
    """
    if processes == 1:
        return network
    if device.type == "cuda":
        from timm.layers.norm_act import convert_sync_batchnorm

        joined: nn.Module = convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return joined
    for norm in network.modules():
        if isinstance(norm, _BatchNorm):
            forward: Callable[..., Any] = _JoinedNorm(norm)
            norm.forward = forward  # type: ignore[method-assign]
    return network


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        summed = values.clone()
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        summed = gradients[0].clone()
        distributed.all_reduce(summed)
        return summed


class _JoinedNorm:
    """Forward pass of one batch norm (Ioffe and Szegedy, ICML 2015) over all processes."""

    def __init__(self, norm: _BatchNorm) -> None:
        self.norm = norm
        self.alone = norm.forward

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        norm: Any = self.norm
        if not norm.training:
            plain: torch.Tensor = self.alone(values)
            return plain
        exact = values.float()
        count = exact.numel() // exact.shape[1] * distributed.get_world_size()
        mean = sum_across(exact.sum((0, 2, 3))) / count
        centred = exact - mean[:, None, None]
        variance = sum_across(centred.square().sum((0, 2, 3))) / count
        self._remember(mean.detach(), variance.detach() * (count / max(1, count - 1)))
        scaled = centred * (torch.rsqrt(variance + norm.eps) * norm.weight)[:, None, None] + norm.bias[:, None, None]
        if hasattr(norm, "act"):  # timm's batch norm with its activation
            scaled = norm.act(norm.drop(scaled))
        result: torch.Tensor = scaled.to(values.dtype)
        return result

    def _remember(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        norm = self.norm
        if norm.running_mean is None or norm.running_var is None:
            return
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean, norm.momentum or 0.0)
        norm.running_var.lerp_(variance, norm.momentum or 0.0)
