"""Memory against time: blocks whose inner activations are thrown away and computed again for the gradient.

Chen et al., arXiv 1604.06174. The loss, the gradients and the batch-norm statistics are those of a training without it:
dropout draws the same numbers again, and the second pass leaves running statistics alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from c6seg.models.encoders import Encoder

DECODER = ("decoder.center", "decoder.blocks")


def recompute_blocks(network: nn.Module, encoder: Encoder) -> int:
    """Make the blocks of a U-Net forget what they can compute again, in place.

    Parameters
    ----------
    network
        A U-Net of :func:`c6seg.models.network.build_network`. The names in its state dict stay what they were.
    encoder
        Its row of the table, which names the parts of the encoder whose blocks are treated one by one; those of the
        decoder are the same for all.

    Returns
    -------
    int
        Number of blocks.
    """
    places = [f"encoder.{name}".rstrip(".") for name in encoder.blocks]
    groups = [group for place in (*places, *DECODER) for group in _groups(network.get_submodule(place))]
    for group in groups:
        _relu_outside(group[0])
        first: Callable[..., Any] = _Recomputed(group)
        for module, forward in zip(group, (first, *[_identity] * (len(group) - 1)), strict=True):
            module.forward = forward
    return len(groups)


@contextmanager
def frozen_statistics(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Let batch norms that train normalise as they do, but leave their running statistics and counters alone."""
    norms = [norm for module in modules for norm in module.modules() if isinstance(norm, _BatchNorm) and norm.training]
    # A pace of 0 rather than no statistics at all: as many tensors must be kept as in the first pass.
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, _, counter in before:
        norm.momentum, norm.num_batches_tracked = 0.0, None if counter is None else counter.clone()
    try:
        yield
    finally:
        for norm, momentum, counter in before:
            norm.momentum, norm.num_batches_tracked = momentum, counter


class _Recomputed:
    """Forward pass of modules one after the other, of which only the input is kept."""

    def __init__(self, modules: list[nn.Module]) -> None:
        self.modules = modules
        self.forwards = [module.forward for module in modules]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return self._run(*args, **kwargs)
        args = tuple(
            list(value) if isinstance(value, list) else value for value in args
        )  # DenseNet's list goes on growing
        return checkpoint(self._run, *args, use_reentrant=False, context_fn=self._contexts, **kwargs)

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        first, *others = self.forwards
        value = first(*args, **kwargs)
        for forward in others:
            value = forward(value)
        return value

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), frozen_statistics(self.modules)


def _groups(container: nn.Module) -> Iterator[list[nn.Module]]:
    """Cut the children of a container into blocks: a child with parts is one, bare layers are one up to a pooling."""
    bare: list[nn.Module] = []
    for child in container.children():
        parts, pool = any(True for _ in child.children()), isinstance(child, nn.MaxPool2d)
        if (parts or pool) and len(bare) > 1:
            yield bare
        if parts or pool:
            bare = []
        if parts:
            yield [child]
        else:
            bare.append(child)
    if len(bare) > 1:
        yield bare


def _relu_outside(block: nn.Module) -> None:
    """Xception's blocks begin with a ReLU that overwrites their input, which is what has to be kept: do it before."""
    layers = getattr(block, "rep", None)
    if isinstance(layers, nn.Sequential) and isinstance(layers[0], nn.ReLU) and layers[0].inplace:
        layers[0].inplace = False
        block.register_forward_pre_hook(lambda module, args: (torch.relu_(args[0]), *args[1:]))


def _identity(value: Any) -> Any:
    return value
