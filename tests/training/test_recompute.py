"""Activations computed again: the numbers of a training that keeps them, in far less memory."""

from __future__ import annotations

import pytest
import torch
from timm.layers import BatchNormAct2d

from c6seg.config import NetworkConfig, TrainConfig
from c6seg.config_files import load_config
from c6seg.models.encoders import ENCODERS, find_encoder
from c6seg.models.network import build_network
from c6seg.training.memory import fits, plan_memory, step_memory
from c6seg.training.recompute import frozen_statistics, recompute_blocks

QUICK = ("MobileNetV2", "Xception")
ALL = [
    pytest.param(encoder, id=encoder.name, marks=() if encoder.name in QUICK else pytest.mark.slow)
    for encoder in ENCODERS
]


def build(name, *, again):
    network, _, _ = build_network(NetworkConfig(encoder=name, init="random"), seed=0)
    if again:
        assert recompute_blocks(network, find_encoder(name)) > 8
    return network


def step(network, images, *, bf16=False):
    torch.manual_seed(1)  # for drop path and the like
    network.train()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        loss = network(images).float().square().mean()
    loss.backward()
    return loss.detach()


@pytest.mark.parametrize("encoder", ALL)
def test_loss_gradients_and_statistics_are_the_same(encoder):
    images = torch.randn(encoder.min_batch, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    kept, again = (build(encoder.name, again=again) for again in (False, True))
    for _ in range(2):
        assert torch.equal(step(kept, images), step(again, images))
    for (name, weight), other in zip(kept.named_parameters(), again.parameters(), strict=True):
        assert (weight.grad is None) == (other.grad is None), name
        assert weight.grad is None or torch.equal(weight.grad, other.grad), name
    # Running statistics and counters: a second pass must not count.
    assert list(kept.state_dict()) == list(again.state_dict())
    for name, value in kept.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    with torch.no_grad():
        assert torch.equal(kept.eval()(images), again.eval()(images))


@pytest.mark.parametrize("kind", [torch.nn.BatchNorm2d, BatchNormAct2d, torch.nn.SyncBatchNorm])
def test_frozen_statistics_stay_and_the_result_is_the_same(kind):
    norm = kind(3).train()
    values = torch.randn(2, 3, 4, 4)
    before = {name: value.clone() for name, value in norm.named_buffers()}
    with frozen_statistics([norm]):
        assert isinstance(norm.num_batches_tracked, torch.Tensor), "joined norms of graphics cards insist on a counter"
        frozen = norm(values) if kind is not torch.nn.SyncBatchNorm else None
    assert norm.momentum == 0.1
    assert all(torch.equal(value, before[name]) for name, value in norm.named_buffers())
    if frozen is not None:
        assert torch.equal(frozen, norm(values))
        assert norm.num_batches_tracked == 1


@pytest.mark.parametrize("encoder", ALL)
def test_far_less_is_kept(encoder):
    network = build(encoder.name, again=False)
    before = step_memory(network, (256, 256), batch=encoder.min_batch)
    recompute_blocks(network, encoder)
    after = step_memory(network, (256, 256), batch=encoder.min_batch)
    assert after.kept < 0.45 * before.kept
    assert after.peak < before.peak


def test_the_same_in_bfloat16():
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    kept, again = (build("MobileNetV2", again=again) for again in (False, True))
    assert torch.equal(step(kept, images, bf16=True), step(again, images, bf16=True))
    for weight, other in zip(kept.parameters(), again.parameters(), strict=True):
        assert torch.equal(weight.grad, other.grad)


def test_the_count_is_that_of_a_real_step():
    """What the forward pass keeps, counted on real tensors."""
    network = build("MobileNetV2", again=False).train()
    storages = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    held = {}

    def pack(tensor):
        if tensor.untyped_storage().data_ptr() not in storages:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(torch.randn(2, 3, 96, 64))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    counted = step_memory(network, (96, 64), batch=2)
    assert counted.kept == pytest.approx(sum(storage.nbytes() for storage in held.values()), rel=0.02)
    assert counted.weights < counted.peak
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items()), "nothing was run"
    assert step_memory(network, (96, 64), batch=4).kept == pytest.approx(2 * counted.kept, rel=0.01)


def test_bfloat16_keeps_about_half():
    network = build("MobileNetV2", again=False)
    full, half = (step_memory(network, (320, 320), bf16=bf16).kept for bf16 in (False, True))
    assert 0.4 * full < half < 0.7 * full


@pytest.mark.parametrize(("free", "expected"), [(None, True), (1e12, True), (1e8, False), (2.2e9, True)])
def test_whether_it_fits(monkeypatch, free, expected):
    monkeypatch.setattr("c6seg.training.memory.free_bytes", lambda device: free)
    network = build("MobileNetV2", again=False)
    assert fits(network, (512, 704), batch=1, bf16=False, device=torch.device("cpu")) == expected


@pytest.mark.parametrize(
    ("wanted", "free", "expected"), [(True, 1e12, True), (False, 1, False), ("auto", 1e12, False), ("auto", 1, True)]
)
def test_the_recipe_decides(monkeypatch, wanted, free, expected):
    monkeypatch.setattr("c6seg.training.memory.free_bytes", lambda device: free)
    config = load_config(TrainConfig, {"checkpointing": wanted})
    network = build("MobileNetV2", again=False)
    plan = plan_memory(network, config, (64, 64), count=50, bf16=False, device=torch.device("cpu"))
    assert (plan.recompute, plan.batch) == (expected, 4)
    assert not recomputed(network), "a plan changes nothing"


@pytest.mark.parametrize(
    ("batch", "fit", "again", "count", "expected"),
    [
        ("auto", 8, 8, 50, (8, False)),
        ("auto", 2, 8, 50, (8, True)),
        ("auto", 1, 3, 50, (2, True)),
        ("auto", 0, 0, 50, (1, True)),
        ("auto", 8, 8, 5, (5, False)),
        (3, 0, 0, 50, (3, True)),
        (3, 8, 8, 2, (2, False)),
    ],
)
def test_the_batch_of_a_processor_is_what_fits(monkeypatch, batch, fit, again, count, expected):
    """Activations are computed again before the batch is made smaller, and a batch that was asked for is kept."""
    monkeypatch.setattr(
        "c6seg.training.memory.fits",
        lambda network, size_hw, *, batch, **options: batch <= (again if recomputed(network) else fit),
    )
    network = build("MobileNetV2", again=False)
    config = load_config(TrainConfig, {"batch": batch})
    plan = plan_memory(network, config, (64, 64), count=count, bf16=False, device=torch.device("cpu"))
    assert (plan.batch, plan.recompute) == expected


def test_enough_for_batch_norm_and_the_least_on_a_card():
    config = load_config(TrainConfig, {"batch": "auto", "network": {"encoder": "ResNeSt50d"}, "checkpointing": False})
    plan = plan_memory(torch.nn.Identity(), config, (64, 64), count=9, bf16=False, device=torch.device("cuda"))
    assert (plan.batch, plan.recompute) == (2, False)


def recomputed(network):
    return sum(type(vars(module).get("forward")).__name__ == "_Recomputed" for module in network.modules())
