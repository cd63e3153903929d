"""Fused attention: the plain layer's numbers, its gradients and its names."""

from __future__ import annotations

import copy

import pytest
import segmentation_models_pytorch as smp
import torch

from c6seg.config import NetworkConfig
from c6seg.models.attention import fuse_attention
from c6seg.models.encoders import ENCODERS
from c6seg.models.network import build_network


@pytest.fixture(scope="module")
def pair():
    """A small transformer U-Net with plain attention, and its copy with the fused one."""
    torch.manual_seed(0)
    plain = smp.Unet("mit_b0", encoder_weights=None, decoder_interpolation="bilinear")
    fused = copy.deepcopy(plain)
    assert fuse_attention(fused) == 8
    return plain, fused


def step(network, images, *, bf16=False):
    """Logits and gradients of a training step; layers with chance in them draw the same each time."""
    network.train()
    network.zero_grad()
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        logits = network(images)
    logits.float().square().mean().backward()
    return logits.detach().float(), [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]


def distance(found, expected):
    """Relative distance of all gradients together."""
    error = sum((a - b).square().sum() for a, b in zip(found, expected, strict=True))
    return float((error / sum(b.square().sum() for b in expected)).sqrt())


@pytest.mark.parametrize("size_hw", [(64, 96), (32, 160)])
def test_output_and_gradients_are_those_of_plain_attention(pair, size_hw):
    images = torch.randn(2, 3, *size_hw, generator=torch.Generator().manual_seed(2))
    (logits, gradients), (expected, wanted) = step(pair[1], images), step(pair[0], images)
    torch.testing.assert_close(logits, expected, atol=5e-5, rtol=0)
    assert distance(gradients, wanted) < 1e-4


def test_in_bfloat16_it_is_as_near_to_the_exact_result_as_plain_attention(pair):
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(3))
    exact, wanted = step(pair[0], images)
    errors, gradient_errors = [], []
    for network in pair:
        logits, gradients = step(network, images, bf16=True)
        errors.append(float((logits - exact).abs().mean() / exact.abs().mean()))
        gradient_errors.append(distance(gradients, wanted))
    assert errors[1] < 1.2 * errors[0]
    assert gradient_errors[1] < 1.2 * gradient_errors[0]


def test_one_layer_is_the_plain_one_in_bfloat16(pair):
    plain, fused = (network.encoder.block2[0].attn.eval() for network in pair)
    tokens = torch.randn(1, 48, 64, generator=torch.Generator().manual_seed(4))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = fused(tokens, 6, 8), plain(tokens, 6, 8)
    assert found.dtype == expected.dtype == torch.bfloat16
    assert float((found.float() - expected.float()).abs().max()) <= 0.02 * float(expected.float().abs().max())


def test_nothing_keeps_the_matrix(pair):
    """Tokens x tokens numbers are saved by the plain layer only."""
    tokens = torch.randn(1, 1024, 32)
    most = []
    for network in pair:
        layer = copy.deepcopy(network.encoder.block1[0].attn)
        layer.sr_ratio = 1  # keys and values of every token
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t):
            layer(tokens.requires_grad_(), 32, 32)
        most.append(max(sizes))
    assert most[0] == 1024 * 1024
    assert most[1] <= 1024 * 64


def test_names_stay_and_a_copy_has_its_own_layers(pair):
    plain, fused = pair
    assert list(fused.state_dict()) == list(plain.state_dict())
    again = copy.deepcopy(fused)
    with torch.no_grad():
        again.encoder.block1[0].attn.proj.weight.zero_()
        again.encoder.block1[0].attn.proj.bias.zero_()
        assert not again.encoder.block1[0].attn.eval()(torch.randn(1, 64, 32), 8, 8).any()


def test_networks_are_built_with_it():
    network, _, _ = build_network(NetworkConfig(encoder="MiT-B3", init="random"))
    attention = [
        module for module in network.modules() if type(module).__name__ == "Attention" and hasattr(module, "kv")
    ]
    assert len(attention) == 28
    assert all("forward" in vars(module) for module in attention)
    assert fuse_attention(smp.Unet("mobilenet_v2", encoder_weights=None)) == 0
    assert sum("MiT" in encoder.name for encoder in ENCODERS) == 1, "other transformers need a look at their attention"
