from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from c6seg import machine
from c6seg.errors import ConfigError, EngineError, MissingExtraError
from c6seg.inference.engine import Engine, open_engine
from c6seg.inference.engine_openvino import OpenVinoEngine
from c6seg.inference.engine_torch import TorchEngine
from c6seg.models.bundle import Bundle, open_bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle()


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> TorchEngine:
    return TorchEngine(bundle, device="cpu", precision="f32")


@pytest.fixture
def batch() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((2, 3, 64, 96), dtype=np.float32)


def test_it_computes_what_the_network_in_the_bundle_does(
    engine: TorchEngine, bundle: Bundle, batch: np.ndarray
) -> None:
    assert isinstance(engine, Engine)
    assert (engine.name, engine.device, engine.precision) == ("torch", "cpu", "f32")
    expected = OpenVinoEngine(bundle.onnx_path, precision="f32").run(batch)
    found = engine.run(batch)
    assert (found.shape, found.dtype) == ((2, 1, 64, 96), np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    turned = batch.transpose(0, 1, 3, 2)  # no contiguous array
    np.testing.assert_allclose(
        engine.run(turned), OpenVinoEngine(bundle.onnx_path, precision="f32").run(turned), atol=1e-4
    )


def test_half_precisions_are_close_but_not_the_same(bundle: Bundle, engine: TorchEngine, batch: np.ndarray) -> None:
    import torch

    half = TorchEngine(bundle, device="cpu", precision="bf16")
    assert half.precision == "bf16"
    brain = np.quantile(np.abs(half.run(batch) - engine.run(batch)), 0.9)
    half._half = torch.float16  # what CUDA devices compute in
    ieee = np.quantile(np.abs(half.run(batch) - engine.run(batch)), 0.9)
    assert 0 < 3 * ieee < brain < 0.05


@pytest.mark.parametrize(
    ("device", "capability", "precision"), [("cuda", (8, 0), "f16"), ("cuda", (6, 1), "f32"), ("cpu", (9, 0), "f32")]
)
def test_precision_follows_the_device(
    device: str, capability: tuple[int, int], precision: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *_, **__: self)
    found = TorchEngine(bundle, device=device)
    assert (found.device, found.precision) == (device, precision)


def test_it_gives_no_gradients_and_leaves_the_batch(engine: TorchEngine, batch: np.ndarray) -> None:
    before = batch.copy()
    engine.run(batch)
    np.testing.assert_array_equal(batch, before)
    np.testing.assert_array_equal(engine.run(batch), engine.run(batch))  # nothing is learnt, no layer is dropped


def test_what_cannot_be_is_said(bundle: Bundle, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineError, match="no CUDA device"):
        TorchEngine(bundle, device="cuda")
    with pytest.raises(ConfigError, match="Unknown encoder 'none'"):
        open_engine(open_bundle(tiny_bundle), "torch:cpu")
    with pytest.raises(ConfigError, match="Unknown precision"):
        TorchEngine(bundle, precision="f16")
    monkeypatch.setattr(machine, "installed", lambda module: module != "segmentation_models_pytorch")
    with pytest.raises(MissingExtraError, match=r"engine torch.*pip install 'c6seg\[train\]'"):
        TorchEngine(bundle)


def test_failures_of_torch_are_failures_of_the_engine(engine: TorchEngine, batch: np.ndarray) -> None:
    with pytest.raises(EngineError, match="torch on cpu failed"):
        engine.run(batch[:, :2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_network", lambda image: (_ for _ in ()).throw(RuntimeError("out of memory")))
        with pytest.raises(MemoryError):
            engine.run(batch)
    assert engine.run(batch).shape == (2, 1, 64, 96)


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 1e-3), ("auto", 0.1)])
def test_a_cuda_device_gives_the_same(bundle: Bundle, precision: str, tolerance: float, batch: np.ndarray) -> None:
    cuda = TorchEngine(bundle, device="cuda", precision=precision)
    expected = OpenVinoEngine(bundle.onnx_path, precision="f32").run(batch)
    assert np.quantile(np.abs(cuda.run(batch) - expected), 0.99) < tolerance
    assert open_engine(bundle).name == "torch"
