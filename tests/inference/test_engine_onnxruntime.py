from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from c6seg import machine
from c6seg.errors import BundleError, ConfigError, EngineError, MissingExtraError
from c6seg.inference import engine_onnxruntime
from c6seg.inference.engine import Engine
from c6seg.inference.engine_onnxruntime import OnnxRuntimeEngine
from c6seg.inference.engine_openvino import OpenVinoEngine


@pytest.fixture
def batch() -> np.ndarray:
    return np.random.default_rng(1).random((2, 3, 64, 96), dtype=np.float32)


@pytest.mark.parametrize("half", [False, True])
def test_it_computes_what_openvino_does(
    half: bool, write_tiny_network: object, tmp_path: Path, batch: np.ndarray
) -> None:
    write_tiny_network(tmp_path, half=half)
    engine = OnnxRuntimeEngine(tmp_path / "model.onnx", device="cpu", threads=1)
    assert isinstance(engine, Engine)
    assert (engine.device, engine.precision) == ("cpu", "f32")
    for pictures in (batch, batch[:1, :, :32], batch):  # sizes change, and an array that is no contiguous one
        expected = OpenVinoEngine(tmp_path / "model.onnx", precision="f32").run(pictures)
        found = engine.run(pictures)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_other_precisions_are_refused(tiny_bundle: Path) -> None:
    with pytest.raises(ConfigError, match="computes in f32"):
        OnnxRuntimeEngine(tiny_bundle / "model.onnx", precision="bf16")
    with pytest.raises(ConfigError, match="Unknown precision"):
        OnnxRuntimeEngine(tiny_bundle / "model.onnx", precision="f8")


def test_it_says_how_to_install_it(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "installed", lambda module: False)
    with pytest.raises(MissingExtraError, match=r"engine onnxruntime.*pip install 'c6seg\[ort\]'"):
        OnnxRuntimeEngine(tiny_bundle / "model.onnx")


def test_a_build_that_does_not_load_is_one_clear_line(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> object:
        raise ImportError("DLL load failed")

    monkeypatch.setattr(machine, "import_onnxruntime", broken)
    assert machine.onnxruntime_devices() == ()
    with pytest.raises(EngineError, match="does not load"):
        OnnxRuntimeEngine(tiny_bundle / "model.onnx")


@pytest.mark.parametrize(
    ("built", "cards", "picked"),
    [
        (("cpu",), 0, "cpu"),
        (("cuda", "tensorrt", "cpu"), 1, "cuda"),
        (("cuda", "tensorrt", "cpu"), 0, "cpu"),  # a CUDA build without a card
        (("directml", "cpu"), 0, "directml"),
        (("coreml", "cpu"), 0, "coreml"),
    ],
)
def test_the_best_device_of_the_build_is_picked(
    built: tuple[str, ...], cards: int, picked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [machine.PROVIDERS[device] for device in built]
    fake = SimpleNamespace(get_available_providers=lambda: ["AzureExecutionProvider", *names])
    monkeypatch.setattr(machine, "import_onnxruntime", lambda: fake)
    monkeypatch.setattr(machine, "cuda_devices", lambda: cards)
    assert machine.onnxruntime_devices() == built
    assert engine_onnxruntime._pick(None) == picked
    assert engine_onnxruntime._pick("cpu") == "cpu"
    with pytest.raises(EngineError, match=r"has no \w+, only .*cpu"):
        engine_onnxruntime._pick("directml" if "directml" not in built else "cuda")


def test_a_device_that_it_leaves_out_without_a_word_is_an_error(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_onnxruntime, "_pick", lambda device: "cuda")
    monkeypatch.setattr(engine_onnxruntime, "_providers", lambda device: [machine.PROVIDERS["cpu"]])
    with pytest.raises(EngineError, match="cannot start on cuda"):
        OnnxRuntimeEngine(tiny_bundle / "model.onnx")


def test_what_it_raises_is_one_line(tiny_bundle: Path, tmp_path: Path, batch: np.ndarray) -> None:
    with pytest.raises(BundleError, match="missing"):
        OnnxRuntimeEngine(tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes(b"no network")
    with pytest.raises(BundleError, match=r"model\.onnx") as caught:
        OnnxRuntimeEngine(tmp_path / "model.onnx", device="cpu")
    assert "\n" not in str(caught.value)
    engine = OnnxRuntimeEngine(tiny_bundle / "model.onnx", device="cpu")
    with pytest.raises(EngineError, match="onnxruntime on cpu failed") as failed:
        engine.run(batch[:, :2])
    assert "\n" not in str(failed.value)
    assert engine.run(batch).shape == (2, 1, 64, 96)


def test_memory_that_runs_out_is_told_from_other_failures(tiny_bundle: Path, batch: np.ndarray) -> None:
    engine = OnnxRuntimeEngine(tiny_bundle / "model.onnx", device="cpu")

    def full(*_: object) -> object:
        raise ValueError("[ONNXRuntimeError] : 1 : FAIL : bfc_arena.cc:360 Failed to allocate memory for requested")

    engine._session = SimpleNamespace(run=full)
    with pytest.raises(MemoryError, match="Failed to allocate"):
        engine.run(batch)
    engine.device = "cuda"  # there it is a matter of the engine, which is replaced
    with pytest.raises(EngineError, match="Failed to allocate"):
        engine.run(batch)


def test_it_reports_nothing_and_writes_nothing_into_the_home_folder(tiny_bundle: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; import numpy as np\n"
        "from c6seg.inference.engine_onnxruntime import OnnxRuntimeEngine\n"
        "OnnxRuntimeEngine(Path(sys.argv[1])).run(np.zeros((1, 3, 32, 32), np.float32)); time.sleep(0.5)\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ORT_", "XDG_"))}
    environment |= {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    command = [sys.executable, "-c", code, str(tiny_bundle / "model.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "1"
    assert done.stderr == ""
    assert list(tmp_path.rglob("*")) == []
