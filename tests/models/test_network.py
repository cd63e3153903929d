"""Networks: all 16 encoders build, train a step and export; weights are found, checked and refused with words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from c6seg.config import NetworkConfig
from c6seg.errors import BundleError, ConfigError, WeightsNotFoundError
from c6seg.inference.engine_openvino import OpenVinoEngine
from c6seg.models.encoders import ENCODERS, find_encoder
from c6seg.models.export import export_network
from c6seg.models.network import WEIGHTS_VARIABLE, build_network, find_imagenet_weights, load_encoder
from c6seg.training.losses import segmentation_loss


def test_the_table_holds_the_sixteen_encoders_of_the_paper():
    assert len({encoder.name for encoder in ENCODERS}) == 16


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.name)
def test_every_encoder_builds_trains_a_step_and_exports(encoder, tmp_path):
    torch.manual_seed(0)
    network, mean, std = build_network(NetworkConfig(encoder=encoder.name, init="random"))
    assert (mean, std) == (encoder.mean, encoder.std)
    assert "bilinear" in repr(network.decoder) or any(
        getattr(block, "interpolation_mode", None) == "bilinear" for block in network.decoder.blocks
    )
    images = torch.randn(encoder.min_batch, 3, 64, 96)
    target = (torch.rand(encoder.min_batch, 1, 64, 96) > 0.5).float()
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    loss = segmentation_loss(network.train()(images), target, "bce+dice")
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    # Several processes wait for the gradient of every weight.
    assert not [key for key, weight in network.named_parameters() if weight.requires_grad and weight.grad is None]
    assert sum(not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True)) > 50

    network.eval()
    export_network(network, tmp_path, weights="float32")
    engine = OpenVinoEngine(tmp_path / "model.onnx", precision="f32")
    for size_hw in [(64, 96), (96, 64)]:
        batch = np.random.default_rng(0).standard_normal((1, 3, *size_hw)).astype(np.float32)
        with torch.no_grad():
            expected = torch.sigmoid(network(torch.from_numpy(batch))).numpy()
        np.testing.assert_allclose(engine.run(batch), expected, atol=2e-3)
    # The weights lie on disk once: the graph itself is small.
    assert (tmp_path / "model.onnx").stat().st_size < 0.1 * (tmp_path / "weights.safetensors").stat().st_size


def test_float16_weights_halve_the_file_and_keep_the_probability(tmp_path):
    torch.manual_seed(1)
    network, _, _ = build_network(NetworkConfig(init="random"))
    network.eval()
    sizes, found = {}, {}
    batch = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)
    for weights in ("float32", "float16"):
        folder = tmp_path / weights
        folder.mkdir()
        export_network(network, folder, weights=weights)
        sizes[weights] = sum(file.stat().st_size for file in folder.iterdir())
        found[weights] = OpenVinoEngine(folder / "model.onnx", precision="f32").run(batch)
    assert sizes["float16"] < 0.53 * sizes["float32"]
    np.testing.assert_allclose(found["float16"], found["float32"], atol=0.01)


def test_real_imagenet_weights_are_found_and_bring_their_normalisation(shared_data, monkeypatch):
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(shared_data / "weights"))
    network, mean, std = build_network(NetworkConfig())
    assert mean == std == (0.5, 0.5, 0.5)
    random, _, _ = build_network(NetworkConfig(init="random"))
    own, other = network.encoder.state_dict(), random.encoder.state_dict()
    changed = [key for key in own if own[key].ndim == 4 and not torch.equal(own[key], other[key])]
    assert len(changed) == sum(value.ndim == 4 for value in own.values())


def test_missing_imagenet_weights_say_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        WeightsNotFoundError, match=r"Put 'vgg19_imagenet.safetensors' in a folder and set C6SEG_WEIGHTS"
    ):
        find_imagenet_weights(find_encoder("VGG19"), str(tmp_path))


def test_imagenet_weights_from_the_hugging_face_cache(tmp_path, monkeypatch):
    import huggingface_hub.constants

    network, _, _ = build_network(NetworkConfig(encoder="RegNetX-064", init="random"))
    # The cache of timm holds the names of the whole classifier, with dots where the feature extractor has underscores.
    state = {key.removeprefix("model."): value for key, value in network.encoder.state_dict().items()}
    state = {
        key.replace("stages_", "stages.").replace("s1_", "s1."): value.contiguous() for key, value in state.items()
    }
    snapshot = tmp_path / "models--timm--regnetx_064.pycls_in1k" / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--timm--regnetx_064.pycls_in1k" / "refs").mkdir()
    (tmp_path / "models--timm--regnetx_064.pycls_in1k" / "refs" / "main").write_text("0123abcd")
    save_file({**state, "head.fc.weight": torch.zeros(10, 4)}, snapshot / "model.safetensors")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    loaded, _, _ = build_network(NetworkConfig(encoder="RegNetX-064"))
    for key, value in network.encoder.state_dict().items():
        assert torch.equal(loaded.encoder.state_dict()[key], value), key


def test_weights_of_another_encoder_are_refused(tmp_path):
    network, _, _ = build_network(NetworkConfig(init="random"))
    with pytest.raises(BundleError, match="another encoder"):
        load_encoder(network, {"conv.weight": torch.zeros(3)}, tmp_path / "x.safetensors")


def test_a_weights_file_starts_the_network(tmp_path):
    network, _, _ = build_network(NetworkConfig(init="random"))
    path = tmp_path / "w.safetensors"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    again, _, _ = build_network(NetworkConfig(init=str(path)))
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_an_unreadable_weights_file_is_one_line(tmp_path, content):
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((BundleError, WeightsNotFoundError), match=r"w\.safetensors"):
        build_network(NetworkConfig(init=str(path)))


def test_an_unknown_encoder_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'VGG19'"):
        find_encoder("vgg91")
    assert find_encoder("mit_b3") is find_encoder("MiT-B3")
