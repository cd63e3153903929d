"""Attention of the transformer encoders without the token x token matrix.

Attention as it is usually written keeps ``softmax(q k^T)``, tokens x tokens numbers for each head, until the backward
pass: at 2592x1952 that is most of 84 GiB, and why the paper stopped at 1472x1120 with MiT-B3 (section 4). The fused
kernel of PyTorch works through the same product piece by piece (Dao et al., NeurIPS 2022, arXiv 2205.14135; Rabe and
Staats, arXiv 2112.05682) and keeps two numbers for each token. Same weights, same names, same output up to rounding.
"""

from __future__ import annotations

from typing import Any

from c6seg.errors import MissingExtraError

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:  # pragma: no cover
    raise MissingExtraError("Training", "train") from error


def fuse_attention(network: nn.Module) -> int:
    """Give every attention layer of the MiT encoders in a network its fused form, in place.

    Parameters
    ----------
    network
        Any network; one without such layers is left as it is. The names in its state dict stay what they were.

    Returns
    -------
    int
        Number of layers that were changed.
    """
    from segmentation_models_pytorch.encoders.mix_transformer import Attention

    layers = [module for module in network.modules() if isinstance(module, Attention)]
    for layer in layers:
        layer.forward = _Fused(layer)
    return len(layers)


class _Fused:
    """Forward pass of one attention layer; holds the layer, so that a copy of a network has its own."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __call__(self, tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Attend from every token to those of the reduced map.

        Parameters
        ----------
        tokens
            (N, height * width, C).
        height, width
            Of the map that the tokens came from.

        Returns
        -------
        torch.Tensor
            (N, height * width, C).
        """
        layer = self.layer
        batch, count, channels = tokens.shape
        heads = (layer.num_heads, channels // layer.num_heads)
        query = layer.q(tokens).reshape(batch, count, *heads).transpose(1, 2)
        if layer.sr_ratio > 1:  # keys and values from a map that is sr_ratio times smaller (Xie et al., SegFormer)
            tokens = layer.sr(tokens.transpose(1, 2).reshape(batch, channels, height, width))
            tokens = layer.norm(tokens.flatten(2).transpose(1, 2))
        key, value = layer.kv(tokens).reshape(batch, -1, 2, *heads).permute(2, 0, 3, 1, 4).unbind(0)
        drop = layer.attn_drop.p if layer.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=drop, scale=layer.scale)
        mixed = layer.proj(mixed.transpose(1, 2).reshape(batch, count, channels))
        result: torch.Tensor = layer.proj_drop(mixed)
        return result
